/* SPDX-License-Identifier: MIT */
/*
 * sink_message.c - rows as messages: what each format's published specification says, word by word
 *
 * tests/cli/test_messages.py gives the same to the protocols' own libraries.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sink/message.h"

enum { JSON, DEBEZIUM, CSV, SINGER, AIRBYTE };

static const struct tg_message_about about = {
    .job = "job",
    .stream = "messages",
    .now_us = INT64_C(1705314600123456),
};

static const struct tg_commit commit = {
    .cursor = { .chat_id = -1009, .segment = 1, .id = 700, .owner = 5 },
    .seq = 3,
    .rows = 7,
    .rows_total = 21,
    .complete = true,
};

static struct tg_row row_of(const char *text, size_t len)
{
    struct tg_row row = { 0 };

    TG_ROW_SET(&row, chat_id, -1009);
    TG_ROW_SET(&row, id, 7);
    TG_ROW_SET(&row, owner, 0);
    TG_ROW_SET(&row, date, 1705314600);
    TG_ROW_SET(&row, text, ((struct tg_str){ text, (uint32_t)len }));
    return row;
}

#define ROW                                                                                        \
    "{\"chat_id\":-1009,\"id\":7,\"owner\":0,\"date\":\"2024-01-15T10:30:00Z\",\"text\":\"a\\nb\"}"

static char *text_of(struct tg_buf *out)
{
    char *text = strdup(tg_buf_cstr(out));

    assert_false(out->failed);
    tg_buf_done(out);
    return text;
}

static char *message(int format, const struct tg_message_about *a, const struct tg_row *row)
{
    struct tg_buf out;

    tg_buf_init(&out, 1 << 20);
    tg_message_format[format].put_row(a, row, &out);
    return text_of(&out);
}

static void check(char *got, const char *want)
{
    assert_string_equal(got, want);
    free(got);
}

static void a_row_in_each_format(void **state)
{
    static const struct {
        int format;
        const char *want;
    } row[] = {
        { JSON, ROW },
        { DEBEZIUM, "{\"before\":null,\"after\":" ROW ",\"source\":{\"version\":\"" TG_VERSION
                    "\",\"connector\":\"tgdata\",\"name\":\"job\",\"ts_ms\":1705314600000,"
                    "\"snapshot\":\"true\",\"db\":\"telegram\",\"table\":\"messages\","
                    "\"chat_id\":-1009},\"op\":\"r\",\"ts_ms\":1705314600123,"
                    "\"transaction\":null}" },
        { SINGER, "{\"type\":\"RECORD\",\"stream\":\"messages\",\"record\":" ROW
                  ",\"time_extracted\":\"2024-01-15T10:30:00Z\"}" },
        { AIRBYTE, "{\"type\":\"RECORD\",\"record\":{\"stream\":\"messages\",\"data\":" ROW
                   ",\"emitted_at\":1705314600123}}" },
    };
    const struct tg_row r = row_of("a\nb", 3);
    struct tg_buf csv;

    (void)state;
    for (size_t i = 0; i < TG_COUNT(row); i++)
        check(message(row[i].format, &about, &r), row[i].want);
    tg_buf_init(&csv, 4096);
    tg_buf_str(&csv, "-1009,7,0,,2024-01-15T10:30:00Z,,,,,,\"a\nb\"");
    for (int i = TG_F_text + 1; i < TG_FIELD_COUNT; i++)
        tg_buf_byte(&csv, ',');
    check(message(CSV, &about, &r), tg_buf_cstr(&csv));
    tg_buf_done(&csv);
}

#define BEFORE "{\"chat_id\":-1009,\"id\":7,\"owner\":0,\"text\":\"old\"}"

/* A row among changes. @param was  the message before; NULL: it is not kept */
static struct tg_row changed_row(enum tg_row_change change, const char *was)
{
    struct tg_row row = row_of("x", 1);

    if (change == TG_ROW_DELETED)
        row.present &= ~(TG_ROW_BIT(date) | TG_ROW_BIT(text));
    if (change != TG_ROW_READ)
        TG_ROW_SET(&row, change, tg_str_of(tg_row_change_name[change]));
    TG_ROW_SET(&row, kind, TG_STR("message"));
    TG_ROW_SET(&row, change_seq, 12);
    TG_ROW_SET(&row, change_pts, 345);
    TG_ROW_SET(&row, change_date, 1705314660);
    if (was)
        TG_ROW_SET(&row, before, tg_str_of(was));
    return row;
}

/* As Debezium has them. What it was before stands there alone, and every message gives its row. */
static void each_change_has_its_sides(void **state)
{
    static const char *const op[] = { "r", "c", "u", "u", "d" };
    struct tg_batch *batch = tg_batch_new(1);

    (void)state;
    for (int i = 0; i < 2 * TG_ROW_CHANGES; i++) {
        enum tg_row_change change = (enum tg_row_change)(i / 2);
        const struct tg_row r = changed_row(change, i % 2 ? BEFORE : NULL);
        char *got = message(DEBEZIUM, &about, &r), *sign, want[400];
        struct tg_error err;

        snprintf(want, sizeof want, "{\"before\":%s,\"after\":%s", i % 2 ? BEFORE : "null",
                 change == TG_ROW_DELETED ? "null," : "{\"chat_id\":-1009,\"id\":7,\"owner\":0,");
        assert_int_equal(strncmp(got, want, strlen(want)), 0);
        snprintf(want, sizeof want,
                 ",\"source\":{\"version\":\"" TG_VERSION "\",\"connector\":\"tgdata\","
                 "\"name\":\"job\",\"ts_ms\":1705314660000,\"snapshot\":\"%s\",\"db\":\"telegram\","
                 "\"table\":\"messages\",\"chat_id\":-1009,\"owner\":0,\"id\":7,"
                 "\"kind\":\"message\",\"seq\":12,\"pts\":345},\"op\":\"%s\","
                 "\"ts_ms\":1705314600123,\"transaction\":null}",
                 change == TG_ROW_READ ? "true" : "false", op[change]);
        assert_string_equal(strstr(got, ",\"source\""), want);
        sign = strstr(got, "\"before\"");
        assert_null(strstr(sign + 1, "\"before\""));
        assert_int_equal(tg_message_read(DEBEZIUM, tg_str_of(got), batch, &err), TG_OK);
        free(got);
        got = message(JSON, &about, batch->row);
        check(message(JSON, &about, &r), got);
        free(got);
        tg_batch_clear(batch);
    }
    tg_batch_free(batch);
}

/* By the names that readers of each protocol know. */
static void what_is_gone_is_marked(void **state)
{
    static const struct {
        int format;
        const char *mark;
    } row[] = { { SINGER, "\"change_date\":\"2024-01-15T10:31:00Z\","
                          "\"_sdc_deleted_at\":\"2024-01-15T10:31:00Z\"},\"time_extracted\"" },
                { AIRBYTE, "\"change_date\":\"2024-01-15T10:31:00Z\","
                           "\"_ab_cdc_deleted_at\":\"2024-01-15T10:31:00Z\"},\"emitted_at\"" } };

    (void)state;
    for (int c = TG_ROW_READ; c < TG_ROW_CHANGES; c++) {
        for (size_t i = 0; i < TG_COUNT(row); i++) {
            const struct tg_row r = changed_row((enum tg_row_change)c, NULL);
            char *got = message(row[i].format, &about, &r);

            assert_int_equal(strstr(got, row[i].mark) != NULL, c == TG_ROW_DELETED);
            assert_int_equal(strstr(got, "_deleted_at") != NULL, c == TG_ROW_DELETED);
            free(got);
        }
    }
}

static void a_commit_tells_how_far_it_goes(void **state)
{
    static const char mark[] = "{\"-1009\":{\"segment\":1,\"id\":700,\"owner\":5,\"rows\":21,"
                               "\"commit\":3,\"complete\":true}}";
    char want[512];
    struct tg_buf out;

    (void)state;
    for (int i = 0; i < TG_MESSAGE_FORMATS; i++)
        assert_int_equal(tg_message_format[i].put_commit != NULL, i == SINGER || i == AIRBYTE);
    tg_buf_init(&out, 1 << 20);
    tg_message_format[SINGER].put_commit(&about, &commit, 7, &out);
    snprintf(want, sizeof want,
             "{\"type\":\"STATE\",\"value\":{\"bookmarks\":{\"messages\":%s}}}", mark);
    check(text_of(&out), want);
    tg_message_format[AIRBYTE].put_commit(&about, &commit, 7, &out);
    snprintf(want, sizeof want,
             "{\"type\":\"STATE\",\"state\":{\"type\":\"STREAM\",\"stream\":{\"stream_descriptor\":"
             "{\"name\":\"messages\"},\"stream_state\":%s},\"sourceStats\":{\"recordCount\":7}}}",
             mark);
    check(text_of(&out), want);
}

/* Every field of the table stands in the schema, and nothing but the key must be there. */
static void the_head_describes_all_fields(void **state)
{
    static const int with_schema[] = { SINGER, AIRBYTE };
    struct tg_buf out;
    char field[64], *got;

    (void)state;
    assert_null(tg_message_format[JSON].put_head);
    assert_null(tg_message_format[DEBEZIUM].put_head);
    tg_buf_init(&out, 1 << 20);
    for (size_t i = 0; i < TG_COUNT(with_schema); i++) {
        tg_message_format[with_schema[i]].put_head(&about, &out);
        got = text_of(&out);
        assert_null(strchr(got, '\n'));
        for (int f = 0; f < TG_FIELD_COUNT; f++) {
            snprintf(field, sizeof field, "\"%s\":{\"type\":[",
                     tg_field((enum tg_field_id)f)->name);
            assert_non_null(strstr(got, field));
        }
        assert_non_null(strstr(got, "\"id\":{\"type\":[\"integer\"]"));
        assert_non_null(strstr(got, "\"date\":{\"type\":[\"null\",\"string\"],"
                                    "\"format\":\"date-time\""));
        assert_non_null(strstr(got, "\"media\":{\"type\":[\"null\",\"array\",\"object\"]"));
        assert_non_null(strstr(got, "_deleted_at\":{\"type\":[\"null\",\"string\"]"));
        free(got);
    }
    tg_message_format[SINGER].put_head(&about, &out);
    got = text_of(&out);
    assert_ptr_equal(strstr(got, "{\"type\":\"SCHEMA\",\"stream\":\"messages\","), got);
    assert_non_null(strstr(got, "\"key_properties\":[\"owner\",\"chat_id\",\"id\"]"));
    free(got);
    tg_message_format[AIRBYTE].put_head(&about, &out);
    got = text_of(&out);
    assert_ptr_equal(strstr(got, "{\"type\":\"CATALOG\",\"catalog\":{\"streams\":[{"), got);
    assert_non_null(strstr(got, "\"source_defined_primary_key\":[[\"owner\"],[\"chat_id\"],"
                                "[\"id\"]]"));
    free(got);
}

/* A NUL, bytes that are no UTF-8, what ends lines elsewhere: one line of valid JSON still. */
static void any_text_is_one_line(void **state)
{
    static const char odd[] = "a\0b\xff\xed\xa0\x80\n\r\"\\\xe2\x80\xa8";
    const struct tg_row r = row_of(odd, sizeof odd - 1);

    (void)state;
    for (int i = 0; i < TG_MESSAGE_FORMATS; i++) {
        char *got = message(i, &about, &r);

        if (i != CSV) {
            assert_null(strpbrk(got, "\n\r"));
            assert_non_null(strstr(got, "\"text\":\"a\\u0000b\xef\xbf\xbd"));
        }
        free(got);
    }
}

static void a_full_buffer_is_told(void **state)
{
    const struct tg_row r = changed_row(TG_ROW_DELETED, BEFORE);

    (void)state;
    for (int i = 0; i < TG_MESSAGE_FORMATS; i++) {
        size_t whole;
        struct tg_buf out;

        tg_buf_init(&out, 1 << 20);
        tg_message_format[i].put_row(&about, &r, &out);
        whole = out.len;
        tg_buf_done(&out);
        for (size_t max = 1; max < whole; max++) {
            tg_buf_init(&out, max);
            tg_message_format[i].put_row(&about, &r, &out);
            assert_true(out.failed);
            assert_true(out.len <= max);
            tg_buf_done(&out);
        }
    }
}

/* What is refused is known by its message alone. */
static void a_message_gives_its_row_back(void **state)
{
    static const char *const none[] = { "", "7", "{\"op\":\"r\"}", "{\"after\":null}",
                                        "{\"after\":{\"id\":1}",
                                        "{\"op\":\"d\",\"source\":{\"chat_id\":1}}",
                                        "{\"op\":\"d\",\"source\":[]}",
                                        "{\"op\":\"d\",\"source\":{\"chat_id\":1,\"id\":\"2\"}}",
                                        "{\"op\":\"u\",\"source\":{\"chat_id\":1,\"id\":2}}" };
    struct tg_batch *batch = tg_batch_new(1);
    const struct tg_row row = row_of("a\nb", 3);
    struct tg_error err;

    (void)state;
    for (int format = JSON; format <= DEBEZIUM; format++) {
        char *text = message(format, &about, &row);

        assert_int_equal(tg_message_read(format, tg_str_of(text), batch, &err), TG_OK);
        free(text);
        check(message(JSON, &about, batch->row), ROW);
        tg_batch_clear(batch);
    }
    for (size_t i = 0; i < TG_COUNT(none); i++) {
        assert_int_equal(tg_message_read(DEBEZIUM, tg_str_of(none[i]), batch, &err), TG_DATA);
        tg_batch_clear(batch);
    }
    assert_int_equal(tg_message_read(JSON, (struct tg_str){ NULL, 0 }, batch, &err), TG_DATA);
    tg_batch_free(batch);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_row_in_each_format),
        cmocka_unit_test(each_change_has_its_sides),
        cmocka_unit_test(what_is_gone_is_marked),
        cmocka_unit_test(a_commit_tells_how_far_it_goes),
        cmocka_unit_test(the_head_describes_all_fields),
        cmocka_unit_test(any_text_is_one_line),
        cmocka_unit_test(a_full_buffer_is_told),
        cmocka_unit_test(a_message_gives_its_row_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

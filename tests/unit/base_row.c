/* SPDX-License-Identifier: MIT */
/*
 * base_row.c - rows and batches: fields, JSON, keys, what a cleared batch keeps; the code table
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json_read.h"
#include "base/row.h"

static void a_row_is_written_in_table_order(void **state)
{
    struct tg_batch *b = tg_batch_new(2);
    struct tg_row *row = tg_batch_row(b);
    struct tg_buf out;

    (void)state;
    tg_buf_init(&out, 1 << 16);
    tg_row_json(row, &out);
    assert_string_equal(tg_buf_cstr(&out), "{}");
    TG_ROW_SET(row, silent, 1);
    TG_ROW_SET(row, text, TG_STR("a\"b"));
    TG_ROW_SET(row, id, 7);
    TG_ROW_SET(row, date, 1705314600);
    TG_ROW_SET(row, entities, TG_STR("[{\"type\":\"bold\"}]"));
    TG_ROW_SET(row, reactions, TG_STR(""));
    TG_ROW_SET(row, edit_date, INT64_MAX);
    TG_ROW_SET(row, sender_name, ((struct tg_str){ NULL, 0 }));
    TG_ROW_SET(row, post, 0);
    tg_buf_clear(&out);
    tg_row_json(row, &out);
    assert_string_equal(tg_buf_cstr(&out),
                        "{\"id\":7,\"date\":\"2024-01-15T10:30:00Z\","
                        "\"edit_date\":9223372036854775807,\"sender_name\":\"\","
                        "\"text\":\"a\\\"b\","
                        "\"entities\":[{\"type\":\"bold\"}],\"reactions\":null,\"post\":false,"
                        "\"silent\":true}");
    tg_buf_done(&out);
    tg_batch_free(b);
}

/* The row of that JSON gives the same JSON. */
static void reads_back(const struct tg_buf *json)
{
    struct tg_batch *b = tg_batch_new(1);
    struct tg_error err = { 0 };
    struct tg_buf again;

    tg_buf_init(&again, 1 << 16);
    if (tg_row_read(b, (const char *)json->data, json->len, &err) != TG_OK)
        fail_msg("%s", err.message);
    tg_row_json(&b->row[0], &again);
    assert_int_equal(again.len, json->len);
    assert_memory_equal(again.data, json->data, json->len);
    tg_buf_done(&again);
    tg_batch_free(b);
}

static void every_field_is_written_and_read(void **state)
{
    struct tg_row row = { .present = 0 };
    struct tg_buf out;
    struct tg_json_in in;
    struct tg_str key;
    size_t n = 0, len;

    (void)state;
    tg_buf_init(&out, 1 << 16);
    for (int i = 0; i < TG_FIELD_COUNT; i++) {
        enum tg_field_id id = (enum tg_field_id)i;
        char *member = (char *)&row + tg_row_offset[i];
        bool text = tg_field(id)->type == TG_FIELD_STR || tg_field(id)->type == TG_FIELD_JSON;

        assert_false(tg_row_has(&row, id));
        if (text) {
            assert_null(tg_row_text(&row, id, &len));
            *(struct tg_str *)(void *)member = TG_STR("[]");
        } else {
            *(int64_t *)(void *)member = i + 1;
        }
        row.present |= UINT64_C(1) << i;
        assert_true(tg_row_has(&row, id));
        if (text)
            assert_memory_equal(tg_row_text(&row, id, &len), "[]", 2);
        else
            assert_int_equal(tg_row_int(&row, id), i + 1);
        assert_true(tg_field(id)->meaning[0] != 0);
    }
    tg_row_json(&row, &out);
    tg_json_in_init(&in, (const char *)out.data, out.len);
    for (tg_json_enter(&in, '{'); tg_json_next_key(&in, &key); n++) {
        assert_true(tg_str_eq(key, tg_str_of(tg_field((enum tg_field_id)n)->name)));
        tg_json_skip(&in);
    }
    assert_true(tg_json_in_done(&in));
    assert_int_equal(n, TG_FIELD_COUNT);
    reads_back(&out);
    tg_buf_done(&out);
}

static void what_is_no_row_is_not_read(void **state)
{
    static const char *const texts[] = {
        "", "[]", "{}", "{\"id\":1}", "{\"chat_id\":1,\"id\":1,\"id\":1}",
        "{\"chat_id\":1,\"id\":\"1\"}", "{\"chat_id\":1,\"id\":1,\"date\":\"x\"}",
        "{\"chat_id\":1,\"id\":1,\"text\":[]}", "{\"chat_id\":1,\"id\":1",
        "{\"chat_id\":1,\"id\":1,\"pinned\":1}",
    };
    static const char odd[] = " {\"later\":{\"a\":[1]}, \"id\" : 5, \"chat_id\": -3 , "
                              "\"date\": \"2024-01-15T10:30:00Z\",\"text\":\"a\\u00e4\","
                              "\"media\": {\"x\":1} ,\"views\":null}";
    struct tg_batch *b = tg_batch_new(1);
    struct tg_error err;

    (void)state;
    for (size_t i = 0; i < TG_COUNT(texts); i++) {
        assert_int_equal(tg_row_read(b, texts[i], strlen(texts[i]), &err), TG_DATA);
        assert_int_equal(b->n, 0);
    }
    assert_int_equal(tg_row_read(b, odd, strlen(odd), &err), TG_OK);
    assert_int_equal(b->row[0].date, 1705314600);
    assert_true(tg_str_eq(b->row[0].text, TG_STR("a\xc3\xa4")));
    assert_true(tg_str_eq(b->row[0].media, TG_STR("{\"x\":1}")));
    assert_false(tg_row_has(&b->row[0], TG_F_views));
    assert_int_equal(tg_row_read(b, odd, strlen(odd), &err), TG_LIMIT);
    tg_batch_free(b);
}

static void a_key_tells_versions_apart(void **state)
{
    struct tg_row row = { .present = 0 };
    struct tg_buf out;

    (void)state;
    tg_buf_init(&out, 1000);
    TG_ROW_SET(&row, owner, 0);
    TG_ROW_SET(&row, chat_id, -1001);
    TG_ROW_SET(&row, id, 5);
    TG_ROW_SET(&row, edit_date, 77);
    TG_ROW_SET(&row, content_hash, TG_STR("abc"));
    tg_row_key(&row, &out);
    assert_string_equal(tg_buf_cstr(&out), "0:-1001:5:77-abc");
    tg_buf_done(&out);
}

/* Among changes: reactions alone, reactions that are gone, the message that is gone. */
static void a_key_tells_changes_apart(void **state)
{
    static const struct {
        const char *change, *reactions;
    } step[] = { { NULL, NULL }, { NULL, "[1]" }, { "edited", "[1,2]" }, { "reactions", "[]" },
                 { "reactions", NULL }, { "deleted", NULL } };
    char seen[TG_COUNT(step)][80];

    (void)state;
    for (size_t i = 0; i < TG_COUNT(step); i++) {
        struct tg_row row = { .present = 0 };
        struct tg_buf out;

        TG_ROW_SET(&row, chat_id, -1001);
        TG_ROW_SET(&row, id, 5);
        TG_ROW_SET(&row, change_seq, 12);
        TG_ROW_SET(&row, content_hash, TG_STR("abc"));
        if (step[i].change)
            TG_ROW_SET(&row, change, tg_str_of(step[i].change));
        if (step[i].reactions)
            TG_ROW_SET(&row, reactions, tg_str_of(step[i].reactions));
        tg_buf_init(&out, 1000);
        tg_row_key(&row, &out);
        snprintf(seen[i], sizeof seen[i], "%s", tg_buf_cstr(&out));
        tg_buf_done(&out);
        for (size_t k = 0; k < i; k++)
            assert_string_not_equal(seen[i], seen[k]);
        assert_int_equal(strncmp(seen[i], "0:-1001:5:", 10), 0);
    }
    assert_string_equal(seen[0], "0:-1001:5:0-abc");
    assert_string_equal(seen[4], "0:-1001:5:0-abc-00000000");
    assert_string_equal(seen[5], "0:-1001:5:deleted");
}

static void a_change_is_known_by_its_name(void **state)
{
    struct tg_row row = { .present = 0 };

    (void)state;
    assert_int_equal(tg_row_changed(&row), TG_ROW_READ);
    for (int c = TG_ROW_NEW; c < TG_ROW_CHANGES; c++) {
        TG_ROW_SET(&row, change, tg_str_of(tg_row_change_name[c]));
        assert_int_equal(tg_row_changed(&row), c);
    }
    TG_ROW_SET(&row, change, TG_STR("of a later version"));
    assert_int_equal(tg_row_changed(&row), TG_ROW_READ);
}

static void a_batch_is_reused(void **state)
{
    struct tg_batch *b = tg_batch_new(3);
    const struct tg_row *array = b->row;

    (void)state;
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 3; i++) {
            struct tg_row *row = tg_batch_row(b);

            assert_non_null(row);
            assert_int_equal(row->present, 0);
            TG_ROW_SET(row, text, tg_batch_text(b, "hello", 5));
            assert_memory_equal(row->text.at, "hello", 5);
        }
        assert_null(tg_batch_row(b));
        for (int i = 0; i < 40; i++)
            assert_true(tg_batch_adopt(b, malloc(10), 10));
        assert_true(b->bytes >= 3 * sizeof(struct tg_row) + 15 + 400);
        assert_non_null(tg_batch_text(b, NULL, 0).at);
        if (round == 1)
            assert_non_null(tg_arena_bytes(&b->arena, 1 << 20));
        b->seq = 9;
        tg_batch_clear(b);
        assert_int_equal(b->n, 0);
        assert_int_equal(b->seq, 0);
        assert_int_equal(b->bytes, 0);
        assert_ptr_equal(b->row, array);
        assert_true(tg_arena_held(&b->arena) <= 256 * 1024);
    }
    tg_batch_free(b);
    tg_batch_free(NULL);
}

static void every_code_has_its_row(void **state)
{
    struct tg_error err;

    (void)state;
    for (int i = 0; i < TG_CODE_COUNT; i++) {
        tg_code code = (tg_code)i;

        assert_true(tg_code_text(code)[0] != 0);
        assert_true(tg_code_name(code)[0] != 0);
        assert_true(tg_error_type_name(tg_code_type(code))[0] != 0);
        assert_int_equal(tg_code_exit(code) == 0, code <= TG_END);
    }
    assert_int_equal(tg_fail(&err, TG_USAGE, "%s %d", "what", 7), TG_USAGE);
    assert_string_equal(err.message, "what 7");
    assert_string_equal(err.hint, "");
    assert_int_equal(tg_hint(&err, "do %s", "this"), TG_USAGE);
    assert_string_equal(err.hint, "do this");
}

/* What others said may be anything, and is cut off anywhere. */
static void messages_are_text(void **state)
{
    static const struct {
        const char *said, *told;
    } row[] = {
        { "", "" },
        { "h\xc3\xa9 \xe6\x98\x8e \xf0\x9f\x98\x80", "h\xc3\xa9 \xe6\x98\x8e \xf0\x9f\x98\x80" },
        { "\xff\xfe", "??" },
        { "a\xc3", "a?" },
        { "\xe6\x98" "b", "??b" },
        { "\xf0\x9f\x98\x80\x80", "\xf0\x9f\x98\x80?" },
        { "\xed\xa0\x80", "???" },
    };
    struct tg_error err;
    char filler[400];

    (void)state;
    for (size_t i = 0; i < TG_COUNT(row); i++) {
        tg_fail(&err, TG_SERVER, "%s", row[i].said);
        tg_hint(&err, "%s", row[i].said);
        assert_string_equal(err.message, row[i].told);
        assert_string_equal(err.hint, row[i].told);
    }
    for (int at = 300; at < 320; at++) {
        snprintf(filler, sizeof filler, "%0*d\xf0\x9f\x98\x80\xe6\x98\x8e\xc3\xa9", at, 0);
        tg_fail(&err, TG_SERVER, "%s", filler);
        assert_true(tg_utf8_valid(err.message, strlen(err.message)));
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_row_is_written_in_table_order),
        cmocka_unit_test(every_field_is_written_and_read),
        cmocka_unit_test(what_is_no_row_is_not_read),
        cmocka_unit_test(a_key_tells_versions_apart),
        cmocka_unit_test(a_key_tells_changes_apart),
        cmocka_unit_test(a_change_is_known_by_its_name),
        cmocka_unit_test(a_batch_is_reused),
        cmocka_unit_test(every_code_has_its_row),
        cmocka_unit_test(messages_are_text),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

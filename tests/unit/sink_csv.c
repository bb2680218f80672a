/* SPDX-License-Identifier: MIT */
/*
 * sink_csv.c - CSV files: the contract of all sinks, the order of a commit, texts that need quotes,
 * rows read back, files that are no CSV
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/json.h"
#include "sink/csv_text.h"

#define FILES_URL "csv:out"
#include "tests/unit/sink_files.h"

const struct sink_harness harness = { fresh_files, files_done, false };

static void data_is_safe_before_it_gets_its_name(void **state)
{
    struct tg_commit last = { 0 }, got;
    struct contract c;
    const char *log;
    char size[16];

    (void)state;
    contract_start(&c);
    contract_attach(&c, CHAT, &got);
    contract_commit(&c, CHAT, &last, 1);
    log = tg_fs_memory_log(memory, NULL);
    assert_int_equal(sscanf(log, "create _writer." WRITER "\n"
                                 "sync_dir out/chat_-1009\n"
                                 "create part-000001.csv." WRITER ".tmp\n"
                                 "write part-000001.csv." WRITER ".tmp %15s", size), 1);
    log = strstr(log, "fsync");
    assert_string_equal(log, "fsync part-000001.csv." WRITER ".tmp\n"
                             "fsync part-000001.json." WRITER ".tmp\n"
                             "rename part-000001.json." WRITER ".tmp part-000001.json\n"
                             "sync_dir out/chat_-1009\n"
                             "rename part-000001.csv." WRITER ".tmp part-000001.csv\n"
                             "sync_dir out/chat_-1009\n");
    contract_end(&c);
}

/* A record of the given fields, with the commas of those that are absent. */
static void expect_row(struct tg_buf *out, const char *id, const char *date, const char *text,
                       const char *end)
{
    for (int i = 0; i < TG_FIELD_COUNT; i++) {
        tg_buf_str(out, i ? "," : "");
        tg_buf_str(out, i == TG_F_chat_id ? "-1009"
                        : i == TG_F_id    ? id
                        : i == TG_F_date  ? date
                        : i == TG_F_text  ? text
                                          : "");
    }
    tg_buf_str(out, end);
}

static void the_files_are_as_documented(void **state)
{
    static const struct {
        const char *url, *end;
    } row[] = { { "csv:out", "\r\n" },
                { "csv:out?newline=lf", "\n" },
                { "csv:out?newline=crlf", "\r\n" } };

    (void)state;
    for (size_t i = 0; i < TG_COUNT(row); i++) {
        struct tg_commit last = { 0 }, got;
        struct tg_buf want;
        struct contract c;

        contract_start(&c);
        c.url = row[i].url;
        contract_reopen(&c);
        contract_attach(&c, CHAT, &got);
        contract_commit(&c, CHAT, &last, 2);
        contract_commit(&c, CHAT, &last, 1);
        for (int part = 1; part <= 2; part++) {
            char *text = get_file(&c, part == 1 ? "part-000001.csv" : "part-000002.csv");

            tg_buf_init(&want, 1 << 20);
            for (int k = 0; k < TG_FIELD_COUNT; k++) {
                tg_buf_str(&want, k ? "," : "");
                tg_buf_str(&want, tg_field((enum tg_field_id)k)->name);
            }
            tg_buf_str(&want, row[i].end);
            for (int id = 2 * part - 1; id <= (part == 1 ? 2 : 3); id++) {
                char field[3][40];

                snprintf(field[0], 40, "%d", id);
                snprintf(field[1], 40, "2023-11-14T22:13:2%dZ", id);
                snprintf(field[2], 40, "\"message \"\"%d\"\"\n\"", id);
                expect_row(&want, field[0], field[1], field[2], row[i].end);
            }
            assert_string_equal(text, tg_buf_cstr(&want));
            tg_buf_done(&want);
            free(text);
        }
        contract_scan(&c, CHAT, 3);
        contract_end(&c);
    }
}

static void texts_are_quoted_when_needed(void **state)
{
#define TEXT(text, field) { { text, sizeof text - 1 }, { field, sizeof field - 1 } }
    static const struct {
        struct tg_str text, field;
    } row[] = {
        TEXT("plain text; with 'marks'", "plain text; with 'marks'"),
        TEXT("", "\"\""),
        TEXT("a,b", "\"a,b\""),
        TEXT("a\"b", "\"a\"\"b\""),
        TEXT("\"", "\"\"\"\""),
        TEXT("\"\"", "\"\"\"\"\"\""),
        TEXT("a\nb", "\"a\nb\""),
        TEXT("a\r\nb\r", "\"a\r\nb\r\""),
        TEXT("a\0b", "\"a\0b\""),
        TEXT("\t", "\"\t\""),
        TEXT(" a", "\" a\""),
        TEXT("a ", "\"a \""),
        TEXT("\xf0\x9f\x91\x8d", "\xf0\x9f\x91\x8d"),
        TEXT("\xff,\x80" "a", "\"\xef\xbf\xbd,\xef\xbf\xbd" "a\""),
    };
#undef TEXT
    struct tg_batch *b = tg_batch_new(1);

    (void)state;
    for (size_t i = 0; i < TG_COUNT(row); i++) {
        struct tg_row *r;
        struct tg_buf out;
        const char *at;

        tg_buf_init(&out, 1 << 20);
        tg_batch_clear(b);
        r = tg_batch_row(b);
        TG_ROW_SET(r, text, row[i].text);
        tg_csv_row(b->row, &out, true);
        at = (const char *)out.data;
        assert_int_equal(out.len, TG_FIELD_COUNT - 1 + row[i].field.len + 2);
        assert_memory_equal(at + TG_F_text, row[i].field.at, row[i].field.len);
        assert_memory_equal(at + out.len - 2, "\r\n", 2);
        tg_buf_done(&out);
    }
    tg_batch_free(b);
}

/* ---- read back ---- */

static uint64_t next(uint64_t *x)
{
    *x = *x * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return *x >> 31;
}

/* Texts of what CSV makes something of. */
static struct tg_str draw_text(uint64_t *x, struct tg_batch *b, enum tg_field_type type)
{
    static const char *const piece[] = { "\"", ",",  "\r",   "\n", "\r\n",
                                         " ",  "a", "\"\"", "é",  "👍" };
    struct tg_str s;
    struct tg_buf text, json;
    size_t n = next(x) % (next(x) % 30 ? 12 : 4000);

    tg_buf_init(&text, 1 << 20);
    tg_buf_init(&json, 1 << 20);
    while (n--) {
        size_t which = next(x) % (TG_COUNT(piece) + 1);

        if (which < TG_COUNT(piece))
            tg_buf_str(&text, piece[which]);
        else
            tg_buf_byte(&text, 0);
    }
    if (type == TG_FIELD_JSON)
        tg_json_quote(&json, (const char *)text.data, text.len);
    s = type == TG_FIELD_JSON ? tg_batch_text(b, json.data, json.len)
                              : tg_batch_text(b, text.data, text.len);
    tg_buf_done(&text);
    tg_buf_done(&json);
    return s;
}

static void draw_row(uint64_t *x, struct tg_batch *b, int64_t id)
{
    struct tg_row *row = tg_batch_row(b);

    for (int i = 0; i < TG_FIELD_COUNT; i++) {
        void *value = (char *)row + tg_row_offset[i];
        enum tg_field_type type = tg_field((enum tg_field_id)i)->type;

        if (next(x) % 3 == 0)
            continue;
        row->present |= UINT64_C(1) << i;
        if (type == TG_FIELD_BOOL)
            *(int64_t *)value = next(x) & 1;
        else if (type == TG_FIELD_STR || type == TG_FIELD_JSON)
            *(struct tg_str *)value = draw_text(x, b, type);
        else
            *(int64_t *)value = (int64_t)(next(x) << 33 ^ next(x)) >> next(x) % 64;
    }
    TG_ROW_SET(row, chat_id, CHAT);
    TG_ROW_SET(row, id, id);
}

static tg_code take_json(void *ctx, struct tg_batch *b, struct tg_error *err)
{
    (void)err;
    for (size_t i = 0; i < b->n; i++) {
        tg_row_json(&b->row[i], ctx);
        tg_buf_byte(ctx, '\n');
    }
    return TG_OK;
}

static void rows_are_read_back_as_they_were(void **state)
{
    enum { SEEDS = 40, ROWS = 200 };

    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct tg_commit last = { 0 }, next_commit, got;
        const struct tg_cursor all = { .chat_id = CHAT, .id = -1 };
        struct tg_batch *b = tg_batch_new(ROWS);
        struct tg_buf want, back;
        struct contract c;
        uint64_t x = seed;

        contract_start(&c);
        contract_attach(&c, CHAT, &got);
        tg_buf_init(&want, 64 << 20);
        tg_buf_init(&back, 64 << 20);
        b->cursor.chat_id = CHAT;
        for (int64_t id = 1; id <= ROWS; id++)
            draw_row(&x, b, id);
        take_json(&want, b, NULL);
        next_commit = test_commit(&last, CHAT, ROWS, ROWS);
        assert_int_equal(c.sink.ops->write(c.sink.self, b, 0, ROWS, &c.err), TG_OK);
        assert_int_equal(c.sink.ops->commit(c.sink.self, &next_commit, &c.err), TG_OK);
        contract_scan(&c, CHAT, ROWS);
        assert_int_equal(
            c.sink.ops->read(c.sink.self, CHAT, &all, c.batch, take_json, &back, &c.err), TG_OK);
        if (back.len != want.len || memcmp(back.data, want.data, want.len) != 0)
            fail_msg("seed %llu", (unsigned long long)seed);
        tg_buf_done(&want);
        tg_buf_done(&back);
        tg_batch_free(b);
        contract_end(&c);
    }
}

static void records_end_where_they_do_however_the_bytes_come(void **state)
{
    static const char text[] = "a,b\r\n\"x\n\"\"\n\",\"\"\r\n\n\"\"\"\n\"\"\"\n";
    static const size_t end[] = { 5, 17, 18, 26 }; /* in it */

    (void)state;
    for (size_t step = 1; step < sizeof text; step++) {
        size_t n = 0, at = 0;
        unsigned quotes = 0;

        while (at < sizeof text - 1) {
            size_t len = TG_MIN(step, sizeof text - 1 - at);
            size_t found = tg_csv_find_end(&quotes, text + at, len);

            at += found ? found : len;
            if (!found)
                continue;
            quotes = 0;
            assert_true(n < TG_COUNT(end));
            assert_int_equal(at, end[n++]);
        }
        assert_int_equal(n, TG_COUNT(end));
    }
}

static void what_is_no_csv_is_told(void **state)
{
    static const struct {
        const char *head, *record, *wrong;
    } row[] = {
        { "chat_id,id,text", "1,2,\"a\"", NULL },
        { "text,new_one,id,\"chat_id\"\r", "\"a\n\"\"\",x,2,1\r", NULL },
        { "chat_id,text", "", "does not name" },
        { "", "", "does not name" },
        { "chat_id,id,id", "", "twice" },
        { "chat_id,id,\"text", "", "is no CSV" },
        { "chat_id,id,te\"xt", "", "is no CSV" },
        { "chat_id,id,text", "1,2", "as many fields" },
        { "chat_id,id,text", "1,2,,", "as many fields" },
        { "chat_id,id,text", "1,2,3,4", "as many fields" },
        { "chat_id,id,text", "", "as many fields" },
        { "chat_id,id,text", "1,,x", "no number" },
        { "chat_id,id,text", "1,2x,x", "no number" },
        { "chat_id,id,text", "1,99999999999999999999,x", "no number" },
        { "chat_id,id,text", "1,2,\"a\"b", "is no CSV" },
        { "chat_id,id,text", "1,2,\"a", "is no CSV" },
        { "chat_id,id,text", "1,2,\"a\"\"", "is no CSV" },
        { "chat_id,id,text", "1,2,a\"\"", "is no CSV" },
        { "chat_id,id,text", "1,2,a\rb", "is no CSV" },
    };
    struct tg_batch *b = tg_batch_new(2);

    (void)state;
    for (size_t i = 0; i < TG_COUNT(row); i++) {
        size_t len = strlen(row[i].record);
        struct tg_file_columns columns;
        struct tg_error err;
        int64_t chat_id = 0, id = 0;
        const char *wrong = tg_csv_take_head(&columns, row[i].head, strlen(row[i].head));

        if (!wrong) {
            wrong = tg_csv_take_ids(&columns, row[i].record, len, &chat_id, &id);
            tg_batch_clear(b);
            assert_int_equal(tg_csv_read_row(&columns, b, row[i].record, len, &err),
                             wrong ? TG_DATA : TG_OK);
            assert_int_equal(b->n, wrong ? 0 : 1);
        }
        if (!row[i].wrong) {
            assert_null(wrong);
            assert_int_equal(chat_id, 1);
            assert_int_equal(id, 2);
        } else if (!wrong || !strstr(wrong, row[i].wrong)) {
            fail_msg("row %zu: %s", i, wrong ? wrong : "taken");
        }
    }
    tg_batch_free(b);
}

static void values_that_a_field_cannot_have_are_refused(void **state)
{
    static const char *const bad[] = {
        "x,,,,", ",2024-01-15,,,", ",2024-13-15T10:30:00Z,,,", ",,yes,,", ",,,{,", ",,,\"\",",
        ",,,,\xff", ",\"\",,,", ",,\"\",,",
    };
    static const char head[] = "chat_id,id,views,date,silent,media,text";
    struct tg_batch *b = tg_batch_new(1);
    struct tg_file_columns columns;

    (void)state;
    assert_null(tg_csv_take_head(&columns, head, sizeof head - 1));
    for (size_t i = 0; i < TG_COUNT(bad); i++) {
        char text[100];
        struct tg_error err;
        int len = snprintf(text, sizeof text, "1,2,%s", bad[i]);

        assert_int_equal(tg_csv_read_row(&columns, b, text, (size_t)len, &err), TG_DATA);
        assert_int_equal(b->n, 0);
    }
    tg_batch_free(b);
}

static void another_format_is_not_written_over(void **state)
{
    struct tg_commit last = { 0 }, got;
    struct contract c;
    char *before, *after;

    (void)state;
    contract_start(&c);
    c.url = "ndjson:out";
    contract_reopen(&c);
    contract_attach(&c, CHAT, &got);
    contract_commit(&c, CHAT, &last, 2);
    before = get_file(&c, "part-000001.json");
    c.url = "csv:out";
    contract_reopen(&c);
    assert_int_equal(contract_attach(&c, CHAT, &got), TG_USAGE);
    assert_non_null(strstr(c.err.message, "another format"));
    assert_true(c.err.hint[0] != 0);
    after = get_file(&c, "part-000001.json");
    assert_string_equal(before, after);
    c.url = "ndjson:out";
    contract_reopen(&c);
    assert_int_equal(contract_attach(&c, CHAT, &got), TG_OK);
    assert_true(test_same_commit(&got, &last));
    free(before);
    free(after);
    contract_end(&c);
}

static void large_rows_pass_the_buffer(void **state)
{
    enum { LARGE = 700 * 1024 };
    struct tg_commit last = { 0 }, got;
    struct contract c;
    char *text = malloc(LARGE);

    (void)state;
    for (size_t i = 0; i < LARGE; i++)
        text[i] = "\"\n,x\r"[i % 5];
    contract_start(&c);
    contract_attach(&c, CHAT, &got);
    for (int64_t id = 1; id <= 3; id++) {
        struct tg_commit one = test_commit(&last, CHAT, id, 1);

        test_rows(c.batch, CHAT, id, 1);
        TG_ROW_SET(&c.batch->row[0], text, tg_batch_text(c.batch, text, LARGE));
        assert_int_equal(c.sink.ops->write(c.sink.self, c.batch, 0, 1, &c.err), TG_OK);
        assert_int_equal(c.sink.ops->commit(c.sink.self, &one, &c.err), TG_OK);
        last = one;
    }
    contract_scan(&c, CHAT, 3);
    free(text);
    contract_end(&c);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        SINK_CONTRACT_TESTS,
        cmocka_unit_test(data_is_safe_before_it_gets_its_name),
        cmocka_unit_test(the_files_are_as_documented),
        cmocka_unit_test(texts_are_quoted_when_needed),
        cmocka_unit_test(rows_are_read_back_as_they_were),
        cmocka_unit_test(records_end_where_they_do_however_the_bytes_come),
        cmocka_unit_test(what_is_no_csv_is_told),
        cmocka_unit_test(values_that_a_field_cannot_have_are_refused),
        cmocka_unit_test(another_format_is_not_written_over),
        cmocka_unit_test(large_rows_pass_the_buffer),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

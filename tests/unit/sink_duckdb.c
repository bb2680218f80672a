/* SPDX-License-Identifier: MIT */
/*
 * sink_duckdb.c - a DuckDB table as destination: the contract of all sinks, and what is its own
 *
 * The library is what TGDATA_DUCKDB names, else what tests/interop/setup duckdb installs.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <unistd.h>

#include "client/duckdb.h"
#include "tests/unit/sink_refusals.h"

enum { TEXT_MAX = 4096 };
static char directory[64], url[160], path[96];
static const struct tg_duckdb_settings beside = { .memory_bytes = 512 << 20 };

static const char *fresh(struct tg_sink_env *env)
{
    snprintf(directory, sizeof directory, "/tmp/tgdata-sink-XXXXXX");
    assert_non_null(mkdtemp(directory));
    snprintf(path, sizeof path, "%s/out.duckdb", directory);
    snprintf(url, sizeof url, "duckdb:%s", path);
    *env = (struct tg_sink_env){ .job = "job",
                                  .fs = &tg_fs_system,
                                  .unix_us = test_unix_us };
    return url;
}

static void done(void)
{
    char name[128];

    unlink(path);
    snprintf(name, sizeof name, "%s.wal", path);
    unlink(name);
    assert_int_equal(rmdir(directory), 0);
}

const struct sink_harness harness = { fresh, done };

static void exec(const char *sql)
{
    struct tg_duckdb *db = NULL;
    struct tg_error err = { 0 };

    if (tg_duckdb_open(path, &beside, &db, &err) != TG_OK ||
        tg_duckdb_exec(db, sql, &err) != TG_OK)
        fail_msg("%s: %s", sql, err.message);
    tg_duckdb_close(db);
}

static tg_code take_text(void *ctx, const struct tg_duckdb_value *v, struct tg_error *err)
{
    (void)err;
    snprintf(ctx, TEXT_MAX, "%.*s", v[0].null ? 4 : (int)v[0].text.len,
             v[0].null ? "NULL" : v[0].text.at);
    return TG_END;
}

/* An expression over the table's only group, as text. */
static void value_is(const char *expression, const char *want)
{
    char sql[300], got[TEXT_MAX] = "";
    struct tg_duckdb *db = NULL;
    struct tg_error err = { 0 };

    snprintf(sql, sizeof sql, "SELECT (%s)::VARCHAR FROM messages", expression);
    if (tg_duckdb_open(path, &beside, &db, &err) != TG_OK ||
        tg_duckdb_query(db, sql, NULL, 0, take_text, got, &err) != TG_OK)
        fail_msg("%s: %s", sql, err.message);
    tg_duckdb_close(db);
    assert_string_equal(got, want);
}

/* DuckDB adds no constraint to a table: it is made once more, with one. */
static void make_again(const char *constraint)
{
    static const char text_sql[] =
        "SELECT sql FROM duckdb_tables() WHERE table_name = 'messages'";
    char made[TEXT_MAX] = "", sql[TEXT_MAX + 1000];
    struct tg_duckdb *db = NULL;
    struct tg_error err = { 0 };

    if (tg_duckdb_open(path, &beside, &db, &err) != TG_OK ||
        tg_duckdb_query(db, text_sql, NULL, 0, take_text, made, &err) != TG_OK)
        fail_msg("%s", err.message);
    tg_duckdb_close(db);
    assert_non_null(strrchr(made, ')'));
    *strrchr(made, ')') = 0;
    snprintf(sql, sizeof sql, "ALTER TABLE messages RENAME TO before; %s, %s);"
             " INSERT INTO messages FROM before; DROP TABLE before", made, constraint);
    exec(sql);
}

static void refuse_rows(int64_t from, int64_t to)
{
    char check[100];

    snprintf(check, sizeof check, "CHECK(id NOT BETWEEN %lld AND %lld)", (long long)from,
             (long long)to);
    make_again(check);
}

/* Also beside rows that replace others; which one it is depends on those before. */
static void rows_that_are_refused_beside_others_that_are_there(void **state)
{
    struct contract_refused refused = { .n = 0 };
    struct tg_commit last = { 0 };
    struct contract c;

    (void)state;
    contract_start_refusing(&c, &refused);
    make_again("CHECK(id NOT IN (1, 17, 18, 64))");
    exec("INSERT INTO messages(chat_id, owner, id, text, job_commit)"
         " VALUES(-1009, 0, 40, 'old', 0)");
    assert_int_equal(contract_offer(&c, &last, 64), TG_OK);
    assert_int_equal(refused.n, 4);
    assert_true(refused.id[0] == 1 && refused.id[1] == 17 && refused.id[2] == 18 &&
                refused.id[3] == 64);
    value_is("count(*)", "60");
    value_is("count(*) FILTER (text = 'old')", "0");
    contract_end(&c);
}

/* A table with a unique index more takes no row in the place of another: that is told at once. */
static void an_index_that_forbids_to_replace_is_told(void **state)
{
    struct contract_refused refused = { .n = 0 };
    struct tg_commit last = { 0 };
    struct contract c;

    (void)state;
    contract_start_refusing(&c, &refused);
    make_again("UNIQUE(chat_id, id)");
    assert_int_equal(contract_offer(&c, &last, 3), TG_OK);
    exec("INSERT INTO messages(chat_id, owner, id, job_commit) VALUES(-1009, 0, 5, 0)");
    contract_write(&c, CHAT, 4, 3);
    last = test_commit(&last, CHAT, 6, 3);
    assert_int_equal(c.sink.ops->commit(c.sink.self, &last, &c.err), TG_IO);
    assert_true(c.err.hint[0] != 0);
    assert_int_equal(refused.n, 0);
    contract_end(&c);
}

static void fields_have_their_types(void **state)
{
    struct tg_commit last = { 0 }, next, got;
    struct contract c;
    struct tg_row *row;

    (void)state;
    contract_start(&c);
    contract_attach(&c, CHAT, &got);
    test_rows(c.batch, CHAT, 1, 1);
    row = &c.batch->row[0];
    TG_ROW_SET(row, date, 1705314600);
    TG_ROW_SET(row, text, tg_batch_text(c.batch, "a\0b \xf0\x9f\x90\x98", 8));
    TG_ROW_SET(row, sender_name, tg_batch_text(c.batch, "\xff a name of no UTF-8", 20));
    TG_ROW_SET(row, entities, tg_batch_text(c.batch, "[{\"type\":\"bold\"}]", 17));
    TG_ROW_SET(row, pinned, 1);
    TG_ROW_SET(row, views, INT64_MIN);
    next = test_commit(&last, CHAT, 1, 1);
    assert_int_equal(c.sink.ops->write(c.sink.self, c.batch, 0, 1, &c.err), TG_OK);
    assert_int_equal(c.sink.ops->commit(c.sink.self, &next, &c.err), TG_OK);
    value_is("epoch(date)", "1705314600.0");
    value_is("hex(text)", "61006220F09F9098");
    value_is("sender_name", "\xef\xbf\xbd a name of no UTF-8");
    value_is("entities ->> '$[0].type'", "bold");
    value_is("typeof(entities) || ' ' || typeof(date)", "JSON TIMESTAMP WITH TIME ZONE");
    value_is("pinned || ' ' || post", "true false");
    value_is("views", "-9223372036854775808");
    value_is("edit_date", "NULL");
    value_is("job_commit", "1");
    value_is("job_chat_id", "NULL");
    contract_end(&c);
}

static tg_code count_taken(void *ctx, struct tg_batch *batch, struct tg_error *err)
{
    (void)err;
    for (size_t i = 0; i < batch->n; i++)
        assert_true(batch->row[i].id == (int64_t)++*(size_t *)ctx && batch->row[i].text.len < 64);
    return TG_OK;
}

/* More rows than a chunk of the library has, texts of all lengths. */
static void many_rows_come_back_as_they_were(void **state)
{
    enum { BATCHES = 80 };
    const struct tg_cursor start = { .chat_id = CHAT };
    struct tg_commit last = { 0 }, next, got;
    struct contract c;
    char text[64];
    size_t n_read = 0;

    (void)state;
    contract_start(&c);
    contract_attach(&c, CHAT, &got);
    memset(text, 'x', sizeof text);
    for (int64_t k = 0; k < BATCHES; k++) {
        test_rows(c.batch, CHAT, k * 64 + 1, 64);
        for (size_t i = 0; i < 64; i++)
            if (i % 3)
                TG_ROW_SET(&c.batch->row[i], text, tg_batch_text(c.batch, text, i));
        assert_int_equal(c.sink.ops->write(c.sink.self, c.batch, 0, 64, &c.err), TG_OK);
    }
    next = test_commit(&last, CHAT, BATCHES * 64, BATCHES * 64);
    assert_int_equal(c.sink.ops->commit(c.sink.self, &next, &c.err), TG_OK);
    contract_scan(&c, CHAT, BATCHES * 64);
    value_is("count(*) || ' ' || sum(len(text)) FILTER ((id - 1) % 64 % 3 != 0)",
             "5120 105840");
    tg_batch_clear(c.batch);
    assert_int_equal(c.sink.ops->read(c.sink.self, CHAT, &start, c.batch, count_taken, &n_read,
                                      &c.err), TG_OK);
    assert_int_equal(n_read, BATCHES * 64);
    contract_end(&c);
}

static void a_row_that_is_there_is_replaced(void **state)
{
    struct tg_commit last = { 0 }, next, got;
    struct contract c;

    (void)state;
    contract_start(&c);
    contract_attach(&c, CHAT, &got);
    exec("INSERT INTO messages(chat_id, owner, id, text, job_commit)"
         " VALUES(-1009, 0, 2, 'old', 0)");
    contract_commit(&c, CHAT, &last, 3);
    value_is("string_agg(id, ',' ORDER BY id)", "1,2,3");
    value_is("count(*) FILTER (text = 'old')", "0");
    /* one that comes twice in a commit: the last */
    test_rows(c.batch, CHAT, 4, 2);
    c.batch->row[1].id = 4;
    TG_ROW_SET(&c.batch->row[1], text, tg_batch_text(c.batch, "second", 6));
    next = test_commit(&last, CHAT, 4, 2);
    assert_int_equal(c.sink.ops->write(c.sink.self, c.batch, 0, 2, &c.err), TG_OK);
    assert_int_equal(c.sink.ops->commit(c.sink.self, &next, &c.err), TG_OK);
    value_is("string_agg(text, ',') FILTER (id = 4)", "second");
    contract_end(&c);
}

/* Rows of the group that a supergroup was before belong to the supergroup's commits. */
static void an_old_group_is_told_and_cut_with_its_supergroup(void **state)
{
    struct tg_commit last = { 0 }, next, got;
    struct test_seen seen = { .chat_id = OTHER_CHAT, .next_id = 1 };
    struct contract c;

    (void)state;
    contract_start(&c);
    contract_attach(&c, CHAT, &got);
    test_rows(c.batch, OTHER_CHAT, 1, 4);
    c.batch->cursor.chat_id = CHAT;
    next = test_commit(&last, CHAT, 4, 4);
    assert_int_equal(c.sink.ops->write(c.sink.self, c.batch, 0, 4, &c.err), TG_OK);
    assert_int_equal(c.sink.ops->commit(c.sink.self, &next, &c.err), TG_OK);
    assert_int_equal(c.sink.ops->scan(c.sink.self, CHAT, test_seen, &seen, &c.err), TG_OK);
    assert_int_equal(seen.next_id, 5);
    contract_scan(&c, OTHER_CHAT, 0);
    assert_int_equal(c.sink.ops->rollback(c.sink.self, CHAT, &test_fence, 0, &c.err), TG_OK);
    value_is("count(*)", "0");
    contract_end(&c);
}

/* As an older program made it: columns less. */
static void new_fields_get_their_columns(void **state)
{
    struct tg_commit last = { 0 }, got;
    struct contract c;

    (void)state;
    contract_start(&c);
    contract_attach(&c, CHAT, &got);
    contract_commit(&c, CHAT, &last, 2);
    tg_sink_close(&c.sink);
    exec("ALTER TABLE messages DROP COLUMN ttl_s; ALTER TABLE messages DROP COLUMN silent");
    contract_open(&c);
    assert_int_equal(contract_attach(&c, CHAT, &got), TG_OK);
    contract_commit(&c, CHAT, &last, 2);
    contract_scan(&c, CHAT, 4);
    value_is("count(*) FILTER (silent = false)", "4");
    contract_end(&c);
}

static void what_is_wrong_is_told(void **state)
{
    static const struct {
        const char *more;
        tg_code code;
    } row[] = {
        { "?table=1x", TG_USAGE },     { "?table=a b", TG_USAGE }, { "?memory=1KiB", TG_USAGE },
        { "?table=theirs", TG_IO },    { "?table=a_view", TG_IO }, { "?table=drifted", TG_IO },
        { "/none/x", TG_IO },          { "?table=rows", TG_END },
    };
    struct tg_commit got;
    struct contract c;

    (void)state;
    contract_start(&c);
    exec("CREATE TABLE theirs(x INT); CREATE VIEW a_view AS SELECT 1");
    snprintf(url, sizeof url, "duckdb:%s?table=drifted", path);
    c.url = url;
    contract_reopen(&c);
    contract_attach(&c, CHAT, &got);
    tg_sink_close(&c.sink);
    exec("ALTER TABLE drifted ALTER views TYPE VARCHAR");
    for (size_t i = 0; i < TG_COUNT(row); i++) {
        char text[300];
        struct tg_sink sink = { 0 };
        tg_code code;

        snprintf(text, sizeof text, "duckdb:%s%s", path, row[i].more);
        code = tg_sink_open(text, &c.env, &sink, &c.err);
        if (code == TG_OK)
            code = sink.ops->attach(sink.self, CHAT, &test_fence, &got, &c.err);
        if (code != row[i].code)
            fail_msg("%s: %d %s", row[i].more, (int)code, c.err.message);
        assert_true(code == TG_END || code == TG_USAGE || c.err.hint[0]);
        tg_sink_close(&sink);
    }
    contract_end(&c);
}

static void rows_lost_behind_its_back_are_told(void **state)
{
    struct tg_commit last = { 0 }, got;
    struct test_seen seen = { .chat_id = CHAT, .next_id = 1 };
    struct contract c;

    (void)state;
    contract_start(&c);
    contract_attach(&c, CHAT, &got);
    contract_commit(&c, CHAT, &last, 9);
    exec("DELETE FROM messages WHERE id = 9");
    assert_int_equal(c.sink.ops->scan(c.sink.self, CHAT, test_seen, &seen, &c.err), TG_CORRUPT);
    contract_end(&c);
}

int main(void)
{
    const struct CMUnitTest test[] = {
        SINK_CONTRACT_TESTS,
        SINK_CONTRACT_REFUSALS,
        cmocka_unit_test(rows_that_are_refused_beside_others_that_are_there),
        cmocka_unit_test(an_index_that_forbids_to_replace_is_told),
        cmocka_unit_test(fields_have_their_types),
        cmocka_unit_test(many_rows_come_back_as_they_were),
        cmocka_unit_test(a_row_that_is_there_is_replaced),
        cmocka_unit_test(an_old_group_is_told_and_cut_with_its_supergroup),
        cmocka_unit_test(new_fields_get_their_columns),
        cmocka_unit_test(what_is_wrong_is_told),
        cmocka_unit_test(rows_lost_behind_its_back_are_told),
    };
    const char *deps = getenv("TG_DEPS");
    char library[300];

    snprintf(library, sizeof library, "%s/duckdb/libduckdb.so", deps ? deps : ".deps");
    setenv("TGDATA_DUCKDB", library, 0);
    if (access(getenv("TGDATA_DUCKDB"), R_OK) != 0) {
        fprintf(stderr, "skipped: tests/interop/setup duckdb installs the library of DuckDB\n");
        return 77;
    }
    return cmocka_run_group_tests_name("unit/sink_duckdb", test, NULL, NULL);
}

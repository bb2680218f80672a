/* SPDX-License-Identifier: MIT */
/*
 * sink_duckdb.c - a DuckDB table as destination: the contracts of sinks and of tables, and what is
 * its own
 *
 * The library is what TGDATA_DUCKDB names, else what tests/interop/setup duckdb installs.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "client/duckdb.h"
#include "tests/unit/table_contract.h"

static const struct tg_duckdb_settings beside = { .memory_bytes = 512 << 20 };

static const char *fresh(struct tg_sink_env *env)
{
    return table_file_fresh("duckdb", env);
}

const struct sink_harness harness = { fresh, table_file_done, true };

static const char *table_name(void)
{
    return "messages";
}

static tg_code take_text(void *ctx, const struct tg_sql_value *v, struct tg_error *err)
{
    (void)err;
    snprintf(ctx, TABLE_TEXT_MAX, "%.*s", v[0].null ? 4 : (int)v[0].text.len,
             v[0].null ? "NULL" : v[0].text.at);
    return TG_END;
}

static void table_run(const char *sql, char *ret)
{
    struct tg_duckdb *db = NULL;
    struct tg_error err = { 0 };
    char text[TABLE_SQL_MAX];
    tg_code code = tg_duckdb_open(table_file.path, &beside, &db, &err);

    snprintf(text, sizeof text, "SELECT COLUMNS(*)::VARCHAR FROM (%s)", sql);
    if (code == TG_OK)
        code = ret ? tg_duckdb_query(db, text, NULL, 0, take_text, ret, &err)
                   : tg_duckdb_exec(db, sql, &err);
    if (code != TG_OK)
        fail_msg("%s: %s", sql, err.message);
    tg_duckdb_close(db);
}

/* DuckDB adds no constraint to a table: it is made once more, with one. */
static void make_again(const char *constraint)
{
    static const char text_sql[] =
        "SELECT sql FROM duckdb_tables() WHERE table_name = 'messages'";
    char made[TABLE_TEXT_MAX] = "", sql[TABLE_TEXT_MAX + 1000];

    table_run(text_sql, made);
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

const struct table_value table_values[] = {
    { "epoch(date)", "1705314600.0" },
    { "hex(text)", "61006220F09F9098" },
    { "entities ->> '$[0].type'", "bold" },
    { "typeof(entities) || ' ' || typeof(date)", "JSON TIMESTAMP WITH TIME ZONE" },
    { "pinned || ' ' || post", "true false" },
    { NULL, NULL },
};

static void a_text_that_is_no_utf8_is_mended(void **state)
{
    struct tg_commit last = { 0 }, got;
    struct contract c;

    (void)state;
    contract_start(&c);
    contract_attach(&c, CHAT, &got);
    test_rows(c.batch, CHAT, 1, 1);
    TG_ROW_SET(&c.batch->row[0], sender_name,
               tg_batch_text(c.batch, "\xff a name of no UTF-8", 20));
    commit_batch(&c, CHAT, &last);
    value_is("sender_name", "\xef\xbf\xbd a name of no UTF-8");
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

static void of_a_key_that_comes_twice_in_a_commit_the_last_stays(void **state)
{
    struct tg_commit last = { 0 }, got;
    struct contract c;

    (void)state;
    contract_start(&c);
    contract_attach(&c, CHAT, &got);
    test_rows(c.batch, CHAT, 4, 2);
    c.batch->row[1].id = 4;
    TG_ROW_SET(&c.batch->row[1], text, tg_batch_text(c.batch, "second", 6));
    commit_batch(&c, CHAT, &last);
    value_is("string_agg(text, ',')", "second");
    contract_end(&c);
}

static void what_is_wrong_is_told(void **state)
{
    static const struct {
        const char *more;
        tg_code code;
        const char *says;
    } row[] = {
        { "?table=1x", TG_USAGE, "'1x' is no name" },
        { "?table=a b", TG_USAGE, "'a b' is no name" },
        { "?memory=1KiB", TG_USAGE, "memory" },
        { "?table=theirs", TG_IO, "another program's" },
        { "?table=a_view", TG_IO, "another program's" },
        { "?table=messages", TG_IO, "column 'views' of table 'messages' is VARCHAR, not BIGINT" },
        { "/none/x", TG_IO, "" },
        { "?table=rows", TG_END, "" },
    };
    struct tg_commit got;
    struct contract c;

    (void)state;
    contract_start(&c);
    exec("CREATE TABLE theirs(x INT); CREATE VIEW a_view AS SELECT 1");
    contract_attach(&c, CHAT, &got);
    tg_sink_close(&c.sink);
    exec("ALTER TABLE @ ALTER views TYPE VARCHAR");
    for (size_t i = 0; i < TG_COUNT(row); i++) {
        char url[200];

        snprintf(url, sizeof url, "%s%s", c.url, row[i].more);
        attach_ends_with(&c, url, row[i].code, row[i].says);
    }
    contract_end(&c);
}

int main(void)
{
    const struct CMUnitTest test[] = {
        TABLE_CONTRACT_TESTS,
        cmocka_unit_test(rows_that_are_refused_beside_others_that_are_there),
        cmocka_unit_test(an_index_that_forbids_to_replace_is_told),
        cmocka_unit_test(a_text_that_is_no_utf8_is_mended),
        cmocka_unit_test(many_rows_come_back_as_they_were),
        cmocka_unit_test(of_a_key_that_comes_twice_in_a_commit_the_last_stays),
        cmocka_unit_test(what_is_wrong_is_told),
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

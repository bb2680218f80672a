/* SPDX-License-Identifier: MIT */
/*
 * sink_postgres.c - a PostgreSQL table as destination, at a real server: the contracts of sinks
 * and of tables, and what is its own
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/postgres_rig.h"
#include "tests/unit/table_contract.h"

static char url[160];
static int n_tables;

/* Each test has tables of its own. */
static const char *fresh(struct tg_sink_env *env)
{
    snprintf(url, sizeof url, "postgres:%s?table=t%d", rig.address, ++n_tables);
    *env = (struct tg_sink_env){ .job = "job",
                                  .fs = &tg_fs_system,
                                  .unix_us = test_unix_us };
    return url;
}

static void done(void)
{
}

const struct sink_harness harness = { fresh, done, true };

/* ---- what is its own ---- */

static const char *table_name(void)
{
    static char name[16];

    snprintf(name, sizeof name, "t%d", n_tables);
    return name;
}

static tg_code keep_text(void *ctx, const struct tg_sql_value *v, struct tg_error *err)
{
    (void)err;
    snprintf(ctx, TABLE_TEXT_MAX, "%.*s", v[0].null ? 4 : (int)v[0].text.len,
             v[0].null ? "NULL" : v[0].text.at);
    return TG_END;
}

static void table_run(const char *sql, char *ret)
{
    struct tg_error err;
    tg_code code = ret ? tg_postgres_query(rig.beside, sql, NULL, 0, keep_text, ret, &err)
                       : tg_postgres_exec(rig.beside, sql, &err);

    if (code != TG_OK)
        fail_msg("%s: %s", sql, err.message);
}

static void refuse_rows(int64_t from, int64_t to)
{
    char sql[100];

    snprintf(sql, sizeof sql, "ALTER TABLE @ ADD CHECK (id NOT BETWEEN %lld AND %lld)",
             (long long)from, (long long)to);
    exec(sql);
}

const struct table_value table_values[] = {
    { "to_char(date, 'YYYY-MM-DD HH24:MI:SS TZ')", "2024-01-15 10:30:00 UTC" },
    { "text", "a\xe2\x90\x80" "b \xf0\x9f\x90\x98" },
    { "job_note", "NUL became U+2400" },
    { "entities->0->>'type'", "bold" },
    { "pinned::text || post::text", "truefalse" },
    { NULL, NULL },
};

/* What PostgreSQL cannot store is not left out, and is not changed without a word. */
static void a_nul_becomes_its_symbol(void **state)
{
    static const char json[] = "{\"a\":\"\\u0000x\\\\u0000\"}";
    struct tg_commit last = { 0 }, got;
    struct contract c;

    (void)state;
    contract_start(&c);
    contract_attach(&c, CHAT, &got);
    test_rows(c.batch, CHAT, 1, 2);
    TG_ROW_SET(&c.batch->row[0], media, tg_batch_text(c.batch, json, sizeof json - 1));
    commit_batch(&c, CHAT, &last);
    value_is("media->>'a'", "\xe2\x90\x80" "x\\u0000");
    value_is("string_agg(id || ': ' || job_note, ', ')", "1: NUL became U+2400");
    contract_end(&c);
}

static void a_column_of_another_type_is_told(void **state)
{
    struct tg_commit got;
    struct contract c;

    (void)state;
    contract_start(&c);
    contract_attach(&c, CHAT, &got);
    exec("ALTER TABLE @ ALTER COLUMN date TYPE text");
    contract_reopen(&c);
    assert_int_equal(contract_attach(&c, CHAT, &got), TG_IO);
    assert_non_null(strstr(c.err.message, "column 'date' of table"));
    assert_non_null(strstr(c.err.message, "is text, not timestamp with time zone"));
    contract_end(&c);
}

/* Shut down in the middle, at each step: nothing is there of what was not committed, and the sink
 * goes on when the server is back. */
static void a_server_that_comes_back(void **state)
{
    struct tg_commit last = { 0 }, next, got;
    struct contract c;

    (void)state;
    contract_start(&c);
    contract_attach(&c, CHAT, &got);
    contract_commit(&c, CHAT, &last, 5);
    for (int step = 0; step < 2; step++) {
        contract_write(&c, CHAT, (int64_t)last.rows_total + 1, 4);
        postgres_stop(step ? SIGQUIT : SIGINT);
        next = test_commit(&last, CHAT, (int64_t)last.rows_total + 4, 4);
        assert_int_equal(c.sink.ops->commit(c.sink.self, &next, &c.err), TG_SINK);
        assert_true(c.err.hint[0] != 0);
        assert_int_equal(contract_attach(&c, CHAT, &got), TG_SINK);
        postgres_start();
        assert_int_equal(contract_attach(&c, CHAT, &got), TG_OK);
        assert_true(test_same_commit(&got, &last));
        contract_commit(&c, CHAT, &last, 4);
        contract_scan(&c, CHAT, (int64_t)last.rows_total);
        contract_write(&c, CHAT, (int64_t)last.rows_total + 1, 4);
        postgres_stop(SIGQUIT);
        next = test_commit(&last, CHAT, (int64_t)last.rows_total + 4, 4);
        assert_int_equal(c.sink.ops->commit(c.sink.self, &next, &c.err), TG_SINK);
        assert_int_equal(c.sink.ops->again(c.sink.self, CHAT, &test_fence, &got, &c.err), TG_SINK);
        postgres_start();
        assert_int_equal(c.sink.ops->again(c.sink.self, CHAT, &test_fence, &got, &c.err), TG_OK);
        assert_true(test_same_commit(&got, &last));
        assert_int_equal(c.sink.ops->commit(c.sink.self, &next, &c.err), TG_OK); /* held */
        last = next;
        contract_scan(&c, CHAT, (int64_t)last.rows_total);
    }
    contract_end(&c);
}

static void what_is_wrong_is_told(void **state)
{
    static const struct {
        const char *address, *more;
        tg_code code;
        const char *says;
    } row[] = {
        { NULL, "?table=1x", TG_USAGE, "'1x' is no name" },
        { NULL, "?schema=no-such", TG_USAGE, "'no-such' is no name" },
        { NULL, "?schema=nowhere", TG_IO, "nowhere" },
        { NULL, "?table=theirs", TG_IO, "another program's" },
        { "//tg:secret@127.0.0.1/test", "", TG_USAGE, "password" },
        { "//nobody@127.0.0.1:%d/test", "", TG_IO, "authentication failed" },
        { "//tg@127.0.0.1:%d/nowhere", "", TG_IO, "\"nowhere\" does not exist" },
        { "//tg@127.0.0.1:1/test", "", TG_SINK, "refused" },
        { "//tg@[x", "", TG_USAGE, "cannot be read" },
        { NULL, "?sslmode=require", TG_SINK, "SSL" },
    };
    struct contract c;

    (void)state;
    contract_start(&c);
    exec("CREATE TABLE theirs(x int)");
    for (size_t i = 0; i < TG_COUNT(row); i++) {
        char where[120], text[200];
        const char *hole = row[i].address ? strstr(row[i].address, "%d") : NULL;

        if (hole)
            snprintf(where, sizeof where, "%.*s%d%s", (int)(hole - row[i].address),
                     row[i].address, rig.port, hole + 2);
        else
            snprintf(where, sizeof where, "%s", row[i].address ? row[i].address : rig.address);
        snprintf(text, sizeof text, "postgres:%s%s", where, row[i].more);
        attach_ends_with(&c, text, row[i].code, row[i].says);
    }
    contract_end(&c);
}

int main(void)
{
    const struct CMUnitTest test[] = {
        TABLE_CONTRACT_TESTS,
        cmocka_unit_test(a_nul_becomes_its_symbol),
        cmocka_unit_test(a_column_of_another_type_is_told),
        cmocka_unit_test(a_server_that_comes_back),
        cmocka_unit_test(what_is_wrong_is_told),
    };

    return cmocka_run_group_tests_name("unit/sink_postgres", test, postgres_set_up,
                                       postgres_tear_down);
}

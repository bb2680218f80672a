/* SPDX-License-Identifier: MIT */
/*
 * sink_postgres.c - a PostgreSQL table as destination, at a real server: the contract of all sinks,
 * and what is its own
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/postgres_rig.h"
#include "tests/unit/sink_refusals.h"

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

const struct sink_harness harness = { fresh, done };

/* ---- what is its own ---- */

/* Runs a statement with the test's table for @. */
static void exec(const char *sql)
{
    char text[400], table[16];
    struct tg_error err;
    const char *at = strchr(sql, '@');

    snprintf(table, sizeof table, "t%d", n_tables);
    snprintf(text, sizeof text, "%.*s%s%s", at ? (int)(at - sql) : (int)strlen(sql), sql,
             at ? table : "", at ? at + 1 : "");
    if (tg_postgres_exec(rig.beside, text, &err) != TG_OK)
        fail_msg("%s: %s", text, err.message);
}

static void refuse_rows(int64_t from, int64_t to)
{
    char sql[100];

    snprintf(sql, sizeof sql, "ALTER TABLE @ ADD CHECK (id NOT BETWEEN %lld AND %lld)",
             (long long)from, (long long)to);
    exec(sql);
}

static bool keep_text(void *ctx, const struct tg_str *value, int n)
{
    (void)n;
    snprintf(ctx, 256, "%.*s", value[0].at ? (int)value[0].len : 4,
             value[0].at ? value[0].at : "NULL");
    return false;
}

static void value_is(const char *expression, const char *want)
{
    char sql[300], got[256] = "no row";
    struct tg_error err;

    snprintf(sql, sizeof sql, "SELECT %s FROM t%d", expression, n_tables);
    if (tg_postgres_query(rig.beside, sql, NULL, 0, keep_text, got, &err) != TG_OK)
        fail_msg("%s: %s", sql, err.message);
    assert_string_equal(got, want);
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
    TG_ROW_SET(row, text, tg_batch_text(c.batch, "b\xc3\xa4 \xf0\x9f\x90\x98", 8));
    TG_ROW_SET(row, entities, tg_batch_text(c.batch, "[{\"type\":\"bold\"}]", 17));
    TG_ROW_SET(row, pinned, 1);
    TG_ROW_SET(row, views, INT64_MIN);
    next = test_commit(&last, CHAT, 1, 1);
    assert_int_equal(c.sink.ops->write(c.sink.self, c.batch, 0, 1, &c.err), TG_OK);
    assert_int_equal(c.sink.ops->commit(c.sink.self, &next, &c.err), TG_OK);
    value_is("to_char(date, 'YYYY-MM-DD HH24:MI:SS TZ')", "2024-01-15 10:30:00 UTC");
    value_is("text", "b\xc3\xa4 \xf0\x9f\x90\x98");
    value_is("entities->0->>'type'", "bold");
    value_is("pinned::text || post::text", "truefalse");
    value_is("views", "-9223372036854775808");
    value_is("edit_date", "NULL");
    value_is("owner", "0");
    value_is("job_commit", "1");
    value_is("job_chat_id", "NULL");
    value_is("job_note", "NULL");
    contract_end(&c);
}

/* What PostgreSQL cannot store is not left out, and is not changed without a word. */
static void a_nul_becomes_its_symbol(void **state)
{
    static const char json[] = "{\"a\":\"\\u0000x\\\\u0000\"}";
    struct tg_commit last = { 0 }, next, got;
    struct contract c;

    (void)state;
    contract_start(&c);
    contract_attach(&c, CHAT, &got);
    test_rows(c.batch, CHAT, 1, 1);
    TG_ROW_SET(&c.batch->row[0], text, tg_batch_text(c.batch, "a\0b\0", 4));
    TG_ROW_SET(&c.batch->row[0], media, tg_batch_text(c.batch, json, sizeof json - 1));
    next = test_commit(&last, CHAT, 1, 1);
    assert_int_equal(c.sink.ops->write(c.sink.self, c.batch, 0, 1, &c.err), TG_OK);
    assert_int_equal(c.sink.ops->commit(c.sink.self, &next, &c.err), TG_OK);
    value_is("text", "a\xe2\x90\x80" "b\xe2\x90\x80");
    value_is("media->>'a'", "\xe2\x90\x80" "x\\u0000");
    value_is("job_note", "NUL became U+2400");
    contract_end(&c);
}

static void a_row_that_is_there_is_replaced(void **state)
{
    struct tg_commit last = { 0 }, got;
    struct contract c;

    (void)state;
    contract_start(&c);
    contract_attach(&c, CHAT, &got);
    exec("INSERT INTO @ (chat_id, owner, id, text, job_commit) VALUES(-1009, 0, 2, 'old', 0)");
    contract_commit(&c, CHAT, &last, 3);
    value_is("string_agg(id::text, ',' ORDER BY id)", "1,2,3");
    value_is("count(*) FILTER (WHERE text = 'old')", "0");
    contract_commit(&c, CHAT, &last, 2);
    contract_scan(&c, CHAT, 5);
    contract_end(&c);
}

static void new_fields_get_their_columns(void **state)
{
    struct tg_commit last = { 0 }, got;
    struct contract c;

    (void)state;
    contract_start(&c);
    contract_attach(&c, CHAT, &got);
    contract_commit(&c, CHAT, &last, 2);
    exec("ALTER TABLE @ DROP COLUMN ttl_s, DROP COLUMN silent, ADD COLUMN theirs text");
    contract_reopen(&c);
    assert_int_equal(contract_attach(&c, CHAT, &got), TG_OK);
    contract_commit(&c, CHAT, &last, 2);
    contract_scan(&c, CHAT, 4);
    value_is("count(silent)", "2");
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
    struct tg_commit got;
    struct contract c;

    (void)state;
    contract_start(&c);
    exec("CREATE TABLE theirs(x int)");
    for (size_t i = 0; i < TG_COUNT(row); i++) {
        char where[120], text[200];
        struct tg_sink sink = { 0 };
        tg_code code;
        const char *hole = row[i].address ? strstr(row[i].address, "%d") : NULL;

        if (hole)
            snprintf(where, sizeof where, "%.*s%d%s", (int)(hole - row[i].address),
                     row[i].address, rig.port, hole + 2);
        else
            snprintf(where, sizeof where, "%s", row[i].address ? row[i].address : rig.address);
        snprintf(text, sizeof text, "postgres:%s%s", where, row[i].more);
        code = tg_sink_open(text, &c.env, &sink, &c.err);
        if (code == TG_OK)
            code = sink.ops->attach(sink.self, CHAT, &test_fence, &got, &c.err);
        if (code != row[i].code || !strstr(c.err.message, row[i].says) || !c.err.hint[0])
            fail_msg("%s: %d %s (%s)", text, (int)code, c.err.message, c.err.hint);
        assert_null(strstr(c.err.message, "secret"));
        tg_sink_close(&sink);
    }
    contract_end(&c);
}

int main(void)
{
    const struct CMUnitTest test[] = {
        SINK_CONTRACT_TESTS,
        SINK_CONTRACT_REFUSALS,
        cmocka_unit_test(fields_have_their_types),
        cmocka_unit_test(a_nul_becomes_its_symbol),
        cmocka_unit_test(a_row_that_is_there_is_replaced),
        cmocka_unit_test(new_fields_get_their_columns),
        cmocka_unit_test(a_column_of_another_type_is_told),
        cmocka_unit_test(a_server_that_comes_back),
        cmocka_unit_test(what_is_wrong_is_told),
    };

    return cmocka_run_group_tests_name("unit/sink_postgres", test, postgres_set_up,
                                       postgres_tear_down);
}

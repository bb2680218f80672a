/* SPDX-License-Identifier: MIT */
/*
 * sink_sqlite.c - an SQLite table as destination: the contracts of sinks and of tables, and what is
 * its own
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <sqlite3.h>

#include "tests/unit/table_contract.h"

static const char *fresh(struct tg_sink_env *env)
{
    return table_file_fresh("sqlite", env);
}

const struct sink_harness harness = { fresh, table_file_done, true };

static const char *table_name(void)
{
    return "messages";
}

static int take_text(void *ctx, int n, char **value, char **name)
{
    (void)n;
    (void)name;
    if (ctx)
        snprintf(ctx, TABLE_TEXT_MAX, "%s", value[0] ? value[0] : "NULL");
    return 0;
}

static void table_run(const char *sql, char *ret)
{
    sqlite3 *db = NULL;
    char *why = NULL;

    assert_int_equal(sqlite3_open(table_file.path, &db), SQLITE_OK);
    if (sqlite3_exec(db, sql, take_text, ret, &why) != SQLITE_OK)
        fail_msg("%s: %s", sql, why);
    sqlite3_close(db);
}

static void refuse_rows(int64_t from, int64_t to)
{
    char sql[200];

    snprintf(sql, sizeof sql,
             "CREATE TRIGGER no BEFORE INSERT ON @ WHEN new.id BETWEEN %lld AND %lld"
             " BEGIN SELECT RAISE(ABORT, 'not that one'); END", (long long)from, (long long)to);
    exec(sql);
}

const struct table_value table_values[] = {
    { "date", "2024-01-15T10:30:00Z" },
    { "unixepoch(date)", "1705314600" },
    { "hex(text)", "61006220F09F9098" },
    { "json_extract(entities, '$[0].type')", "bold" },
    { "pinned || post", "10" },
    { NULL, NULL },
};

static void what_is_wrong_is_told(void **state)
{
    static const struct {
        const char *more;
        tg_code code;
        const char *says;
    } row[] = {
        { "?table=1x", TG_USAGE, "'1x' is no name" },
        { "?table=a b", TG_USAGE, "'a b' is no name" },
        { "?table=sqlite_x", TG_USAGE, "is no name" },
        { "?table=theirs", TG_IO, "another program's" },
        { "?table=rows", TG_END, "" },
        { "/none", TG_IO, "" },
    };
    struct contract c;

    (void)state;
    contract_start(&c);
    exec("CREATE TABLE theirs(x)");
    for (size_t i = 0; i < TG_COUNT(row); i++) {
        char url[200];

        snprintf(url, sizeof url, "%s%s", c.url, row[i].more);
        attach_ends_with(&c, url, row[i].code, row[i].says);
    }
    contract_end(&c);
}

/* Who only reads makes no table. */
static void reading_leaves_the_file_as_it_is(void **state)
{
    struct contract c;

    (void)state;
    contract_start(&c);
    exec("CREATE TABLE theirs(x)");
    contract_scan(&c, CHAT, 0);
    tg_sink_close(&c.sink);
    exec("CREATE TABLE @(x); CREATE TABLE @_commits(x)");
    contract_open(&c);
    contract_end(&c);
}

int main(void)
{
    const struct CMUnitTest test[] = {
        TABLE_CONTRACT_TESTS,
        cmocka_unit_test(what_is_wrong_is_told),
        cmocka_unit_test(reading_leaves_the_file_as_it_is),
    };

    return cmocka_run_group_tests_name("unit/sink_sqlite", test, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
/*
 * sink_sqlite.c - an SQLite table as destination: the contract of all sinks, and what is its own
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <sqlite3.h>
#include <unistd.h>

#include "tests/unit/sink_refusals.h"

static char directory[64], url[128], path[96];

static const char *fresh(struct tg_sink_env *env)
{
    snprintf(directory, sizeof directory, "/tmp/tgdata-sink-XXXXXX");
    assert_non_null(mkdtemp(directory));
    snprintf(path, sizeof path, "%s/out.db", directory);
    snprintf(url, sizeof url, "sqlite:%s", path);
    *env = (struct tg_sink_env){ .job = "job",
                                  .fs = &tg_fs_system,
                                  .unix_us = test_unix_us };
    return url;
}

static void done(void)
{
    static const char *const end[] = { "", "-wal", "-shm", "-journal" };
    char name[128];

    for (size_t i = 0; i < TG_COUNT(end); i++) {
        snprintf(name, sizeof name, "%s%s", path, end[i]);
        unlink(name);
    }
    assert_int_equal(rmdir(directory), 0);
}

const struct sink_harness harness = { fresh, done };

static sqlite3 *open_beside(void)
{
    sqlite3 *db = NULL;

    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    return db;
}

static void exec(const char *sql)
{
    sqlite3 *db = open_beside();
    char *why = NULL;

    if (sqlite3_exec(db, sql, NULL, NULL, &why) != SQLITE_OK)
        fail_msg("%s: %s", sql, why);
    sqlite3_close(db);
}

static void refuse_rows(int64_t from, int64_t to)
{
    char sql[200];

    snprintf(sql, sizeof sql,
             "CREATE TRIGGER no BEFORE INSERT ON messages WHEN new.id BETWEEN %lld AND %lld"
             " BEGIN SELECT RAISE(ABORT, 'not that one'); END", (long long)from, (long long)to);
    exec(sql);
}

/* The first column of the first row as text. */
static void value_is(const char *sql, const char *want)
{
    sqlite3 *db = open_beside();
    sqlite3_stmt *stmt = NULL;

    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &stmt, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
    if (want)
        assert_string_equal((const char *)sqlite3_column_text(stmt, 0), want);
    else
        assert_int_equal(sqlite3_column_type(stmt, 0), SQLITE_NULL);
    sqlite3_finalize(stmt);
    sqlite3_close(db);
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
    TG_ROW_SET(row, entities, tg_batch_text(c.batch, "[{\"type\":\"bold\"}]", 17));
    TG_ROW_SET(row, pinned, 1);
    TG_ROW_SET(row, views, INT64_MIN);
    next = test_commit(&last, CHAT, 1, 1);
    assert_int_equal(c.sink.ops->write(c.sink.self, c.batch, 0, 1, &c.err), TG_OK);
    assert_int_equal(c.sink.ops->commit(c.sink.self, &next, &c.err), TG_OK);
    value_is("SELECT date FROM messages", "2024-01-15T10:30:00Z");
    value_is("SELECT unixepoch(date) FROM messages", "1705314600");
    value_is("SELECT hex(text) FROM messages", "61006220F09F9098");
    value_is("SELECT json_extract(entities, '$[0].type') FROM messages", "bold");
    value_is("SELECT pinned || post FROM messages", "10");
    value_is("SELECT views FROM messages", "-9223372036854775808");
    value_is("SELECT edit_date FROM messages", NULL);
    value_is("SELECT job_commit FROM messages", "1");
    value_is("SELECT job_chat_id FROM messages", NULL);
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
    contract_attach(&c, OTHER_CHAT, &got);
    test_rows(c.batch, OTHER_CHAT, 1, 4);
    c.batch->cursor.chat_id = CHAT;
    next = test_commit(&last, CHAT, 4, 4);
    assert_int_equal(c.sink.ops->write(c.sink.self, c.batch, 0, 4, &c.err), TG_OK);
    assert_int_equal(c.sink.ops->commit(c.sink.self, &next, &c.err), TG_OK);
    assert_int_equal(c.sink.ops->scan(c.sink.self, CHAT, test_seen, &seen, &c.err), TG_OK);
    assert_int_equal(seen.next_id, 5);
    contract_scan(&c, OTHER_CHAT, 0);
    assert_int_equal(c.sink.ops->rollback(c.sink.self, CHAT, &test_fence, 0, &c.err), TG_OK);
    value_is("SELECT count(*) FROM messages", "0");
    contract_end(&c);
}

static void a_row_that_is_there_is_replaced(void **state)
{
    struct tg_commit last = { 0 }, got;
    struct contract c;

    (void)state;
    contract_start(&c);
    contract_attach(&c, CHAT, &got);
    exec("INSERT INTO messages(chat_id, owner, id, text, job_commit)"
         " VALUES(-1009, 0, 2, 'old', 0)");
    contract_commit(&c, CHAT, &last, 3);
    value_is("SELECT group_concat(id) FROM messages", "1,2,3");
    value_is("SELECT count(*) FROM messages WHERE text = 'old'", "0");
    contract_end(&c);
}

/* As an older program made it: a column less. */
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
    value_is("SELECT sum(silent) FROM messages", "0");
    contract_end(&c);
}

static void what_is_wrong_is_told(void **state)
{
    static const struct {
        const char *more;
        tg_code code;
    } row[] = {
        { "?table=1x", TG_USAGE },  { "?table=a b", TG_USAGE },   { "?table=sqlite_x", TG_USAGE },
        { "?table=theirs", TG_IO }, { "?table=rows", TG_END },    { "/none", TG_IO },
    };
    struct tg_commit got;
    struct contract c;

    (void)state;
    contract_start(&c);
    exec("CREATE TABLE theirs(x)");
    for (size_t i = 0; i < TG_COUNT(row); i++) {
        char text[200];
        struct tg_sink sink = { 0 };
        tg_code code;

        snprintf(text, sizeof text, "%s%s", c.url, row[i].more);
        code = tg_sink_open(text, &c.env, &sink, &c.err);
        if (code == TG_OK)
            code = sink.ops->attach(sink.self, CHAT, &test_fence, &got, &c.err);
        if (code != row[i].code)
            fail_msg("%s: %d %s", row[i].more, (int)code, c.err.message);
        assert_true(code == TG_END || c.err.hint[0]);
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
        cmocka_unit_test(fields_have_their_types),
        cmocka_unit_test(an_old_group_is_told_and_cut_with_its_supergroup),
        cmocka_unit_test(a_row_that_is_there_is_replaced),
        cmocka_unit_test(new_fields_get_their_columns),
        cmocka_unit_test(what_is_wrong_is_told),
        cmocka_unit_test(rows_lost_behind_its_back_are_told),
    };

    return cmocka_run_group_tests_name("unit/sink_sqlite", test, NULL, NULL);
}

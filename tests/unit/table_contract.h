/* SPDX-License-Identifier: MIT */
/*
 * table_contract.h - what a sink must do whose destination is a table of a database, besides
 * sink_contract.h and sink_refusals.h
 *
 * The test program defines table_run, table_name and table_values, and puts TABLE_CONTRACT_TESTS
 * into its list of tests.
 */
#ifndef TG_TEST_TABLE_CONTRACT_H
#define TG_TEST_TABLE_CONTRACT_H

#include <unistd.h>

#include "client/sql.h"
#include "tests/unit/sink_refusals.h"

enum { TABLE_TEXT_MAX = 4096, TABLE_SQL_MAX = 16384 };

/** Runs statements beside the sink. @param ret  of TABLE_TEXT_MAX, the first value as text, "NULL"
 *  if it is; NULL: there is none */
static void table_run(const char *sql, char *ret);
static const char *table_name(void);

/** What a database makes of the row of fields_have_their_types; the last one is { NULL, NULL }. */
struct table_value {
    const char *expression, *want;
};
extern const struct table_value table_values[];

/** A database in a file: of a folder of its own. */
static struct {
    char directory[64], path[96], url[128];
} table_file;

static inline const char *table_file_fresh(const char *driver, struct tg_sink_env *env)
{
    snprintf(table_file.directory, sizeof table_file.directory, "/tmp/tgdata-sink-XXXXXX");
    assert_non_null(mkdtemp(table_file.directory));
    snprintf(table_file.path, sizeof table_file.path, "%s/out.db", table_file.directory);
    snprintf(table_file.url, sizeof table_file.url, "%s:%s", driver, table_file.path);
    *env = (struct tg_sink_env){ .job = "job", .fs = &tg_fs_system, .unix_us = test_unix_us };
    return table_file.url;
}

static inline void table_file_done(void)
{
    static const char *const end[] = { "", "-wal", "-shm", "-journal", ".wal" };
    char name[128];

    for (size_t i = 0; i < TG_COUNT(end); i++) {
        snprintf(name, sizeof name, "%s%s", table_file.path, end[i]);
        unlink(name);
    }
    assert_int_equal(rmdir(table_file.directory), 0);
}

/* Runs statements in which @ is the table. */
static inline void exec(const char *sql)
{
    struct tg_buf text;

    tg_buf_init(&text, TABLE_SQL_MAX);
    tg_sql_put(&text, sql, table_name());
    table_run(tg_buf_cstr(&text), NULL);
    tg_buf_done(&text);
}

static inline void value_is(const char *expression, const char *want)
{
    char got[TABLE_TEXT_MAX] = "no row";
    struct tg_buf text;

    tg_buf_init(&text, TABLE_SQL_MAX);
    tg_buf_printf(&text, "SELECT %s FROM %s", expression, table_name());
    table_run(tg_buf_cstr(&text), got);
    tg_buf_done(&text);
    assert_string_equal(got, want);
}

/* Commits the rows that are in the batch. */
static inline void commit_batch(struct contract *c, int64_t chat_id, struct tg_commit *last)
{
    size_t n = c->batch->n;

    c->batch->cursor.chat_id = chat_id;
    *last = test_commit(last, chat_id, c->batch->row[n - 1].id, n);
    assert_int_equal(c->sink.ops->write(c->sink.self, c->batch, 0, n, &c->err), TG_OK);
    if (c->sink.ops->commit(c->sink.self, last, &c->err) != TG_OK)
        fail_msg("%s", c->err.message);
}

/* What opening and attaching a sink ends with. @param says  part of the message */
static inline void attach_ends_with(struct contract *c, const char *url, tg_code want,
                                    const char *says)
{
    struct tg_sink sink = { 0 };
    struct tg_commit got;
    tg_code code;

    c->err = (struct tg_error){ 0 };
    code = tg_sink_open(url, &c->env, &sink, &c->err);
    if (code == TG_OK)
        code = sink.ops->attach(sink.self, CHAT, &test_fence, &got, &c->err);
    if (code != want || (want != TG_END && !strstr(c->err.message, says)))
        fail_msg("%s: %d %s (%s)", url, (int)code, c->err.message, c->err.hint);
    assert_true(want == TG_END || strstr(url, "memory=") || c->err.hint[0]);
    assert_null(strstr(c->err.message, "secret"));
    tg_sink_close(&sink);
}

static void fields_have_their_types(void **state)
{
    struct tg_commit last = { 0 }, got;
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
    commit_batch(&c, CHAT, &last);
    for (const struct table_value *v = table_values; v->expression; v++)
        value_is(v->expression, v->want);
    value_is("views", "-9223372036854775808");
    value_is("edit_date", "NULL");
    value_is("owner", "0");
    value_is("job_commit", "1");
    value_is("job_chat_id", "NULL");
    contract_end(&c);
}

/* Rows of the group that a supergroup was before belong to the supergroup's commits. */
static void an_old_group_is_told_and_cut_with_its_supergroup(void **state)
{
    struct tg_commit last = { 0 }, got;
    struct test_seen seen = { .chat_id = OTHER_CHAT, .next_id = 1 };
    struct contract c;

    (void)state;
    contract_start(&c);
    contract_attach(&c, CHAT, &got);
    contract_attach(&c, OTHER_CHAT, &got);
    test_rows(c.batch, OTHER_CHAT, 1, 4);
    commit_batch(&c, CHAT, &last);
    assert_int_equal(c.sink.ops->scan(c.sink.self, CHAT, test_seen, &seen, &c.err), TG_OK);
    assert_int_equal(seen.next_id, 5);
    contract_scan(&c, OTHER_CHAT, 0);
    assert_int_equal(c.sink.ops->rollback(c.sink.self, CHAT, &test_fence, 0, &c.err), TG_OK);
    value_is("count(*)", "0");
    contract_end(&c);
}

static void a_row_that_is_there_is_replaced(void **state)
{
    struct tg_commit last = { 0 }, got;
    struct contract c;

    (void)state;
    contract_start(&c);
    contract_attach(&c, CHAT, &got);
    exec("INSERT INTO @(chat_id, owner, id, text, job_commit) VALUES(-1009, 0, 2, 'old', 0)");
    contract_commit(&c, CHAT, &last, 3);
    value_is("sum(id) || ' ' || count(*)", "6 3");
    value_is("count(CASE WHEN text = 'old' THEN 1 END)", "0");
    contract_commit(&c, CHAT, &last, 2);
    contract_scan(&c, CHAT, 5);
    contract_end(&c);
}

static tg_code count_batch(void *ctx, struct tg_batch *batch, struct tg_error *err)
{
    (void)err;
    *(size_t *)ctx += batch->n;
    return TG_OK;
}

/* As an older program made it: columns less. It can be read as it is. */
static void new_fields_get_their_columns(void **state)
{
    const struct tg_cursor start = { .chat_id = CHAT };
    struct tg_commit last = { 0 }, got;
    struct contract c;
    size_t n = 0;

    (void)state;
    contract_start(&c);
    contract_attach(&c, CHAT, &got);
    contract_commit(&c, CHAT, &last, 2);
    tg_sink_close(&c.sink);
    exec("ALTER TABLE @ DROP COLUMN ttl_s; ALTER TABLE @ DROP COLUMN silent;"
         " ALTER TABLE @ ADD COLUMN theirs text");
    contract_open(&c);
    tg_batch_clear(c.batch);
    assert_int_equal(c.sink.ops->read(c.sink.self, CHAT, &start, c.batch, count_batch, &n, &c.err),
                     TG_OK);
    assert_int_equal(n, 2);
    assert_int_equal(contract_attach(&c, CHAT, &got), TG_OK);
    contract_commit(&c, CHAT, &last, 2);
    contract_scan(&c, CHAT, 4);
    value_is("count(CASE WHEN silent THEN 1 END) || ' ' || max(id)", "0 4");
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
    exec("DELETE FROM @ WHERE id = 9");
    assert_int_equal(c.sink.ops->scan(c.sink.self, CHAT, test_seen, &seen, &c.err), TG_CORRUPT);
    contract_end(&c);
}

#define TABLE_CONTRACT_TESTS                                                                       \
    SINK_CONTRACT_TESTS, SINK_CONTRACT_REFUSALS, cmocka_unit_test(fields_have_their_types),        \
        cmocka_unit_test(an_old_group_is_told_and_cut_with_its_supergroup),                        \
        cmocka_unit_test(a_row_that_is_there_is_replaced),                                         \
        cmocka_unit_test(new_fields_get_their_columns),                                            \
        cmocka_unit_test(rows_lost_behind_its_back_are_told)

#endif

/* SPDX-License-Identifier: MIT */
/*
 * sqlite.c - rows in a table of an SQLite database: `sqlite:FILE[?table=messages]`
 *
 * Tables and commits are as table_sink.h says. A row whose key is there already takes its place.
 * Columns of fields that only this program knows are added.
 *
 * Numbers are INTEGER, times TEXT as 2024-01-15T10:30:00Z (which SQLite's date functions read),
 * truth values 0 and 1, JSON is TEXT.
 *
 * Threads: one at a time      Limits: 64 MiB of rows in memory, then a temporary file
 */
#include <stdlib.h>

#include "sink/sqlite_impl.h"

tg_code tg_sqlite_sink_told(tg_code code, struct tg_error *err)
{
    if (code == TG_STATE || code == TG_UNUSABLE)
        err->code = code = code == TG_STATE ? TG_SINK : TG_IO;
    return code;
}

static tg_code sqlite_need(void *self, bool write, struct tg_error *err)
{
    struct sink_sqlite *s = self;
    tg_code code;

    if (s->db.db && (s->writes || !write))
        return TG_OK;
    tg_sqlite_close(&s->db);
    s->db.existing = !write;
    s->db.large = true;
    code = tg_sqlite_open(&s->db, s->t.where, s->busy_timeout_ms, err);
    if (code == TG_OK)
        code = write ? tg_sqlite_sink_tables(s, err) : tg_sqlite_sink_look(s, err);
    s->writes = write && code == TG_OK;
    if (code != TG_OK)
        tg_sqlite_close(&s->db);
    return tg_sqlite_sink_told(code, err);
}

static tg_code sqlite_begin(void *self, bool write, struct tg_error *err)
{
    struct sink_sqlite *s = self;

    return tg_sqlite_sink_told(
        write ? tg_sqlite_begin(&s->db, err) : tg_sqlite_exec(&s->db, "BEGIN", err), err);
}

static tg_code sqlite_end(void *self, tg_code code, struct tg_error *err)
{
    struct sink_sqlite *s = self;
    tg_code ended = tg_sqlite_end(&s->db, code, err);

    return code == TG_OK ? tg_sqlite_sink_told(ended, err) : code;
}

void tg_sqlite_sink_bind(sqlite3_stmt *stmt, const struct tg_sql_value *value, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const struct tg_str *text = &value[i].text;

        if (text->at)
            sqlite3_bind_text64(stmt, (int)i + 1, text->at, text->len, SQLITE_STATIC, SQLITE_UTF8);
        else
            sqlite3_bind_int64(stmt, (int)i + 1, value[i].number);
    }
}

static tg_code give_row(sqlite3_stmt *stmt, tg_sql_row row, void *ctx, struct tg_error *err)
{
    struct tg_sql_value v[TG_HELD_COMMIT_N];
    int n = TG_MIN(sqlite3_column_count(stmt), TG_HELD_COMMIT_N);

    for (int i = 0; i < n; i++) {
        v[i] = (struct tg_sql_value){ .number = sqlite3_column_int64(stmt, i) };
        if (sqlite3_column_type(stmt, i) != SQLITE_TEXT)
            continue;
        v[i].text.at = (const char *)sqlite3_column_text(stmt, i);
        v[i].text.len = v[i].text.at ? (uint32_t)sqlite3_column_bytes(stmt, i) : 0;
    }
    return row(ctx, v, err);
}

static tg_code sqlite_ask(void *self, enum tg_table_statement statement,
                          const struct tg_sql_value *value, size_t n, tg_sql_row row, void *ctx,
                          struct tg_error *err)
{
    struct sink_sqlite *s = self;
    sqlite3_stmt *stmt;
    tg_code code = tg_sqlite_stmt(&s->db, statement, &stmt, err);
    int status;

    if (code != TG_OK)
        return tg_sqlite_sink_told(code, err);
    tg_sqlite_sink_bind(stmt, value, n);
    while (code == TG_OK && (status = sqlite3_step(stmt)) != SQLITE_DONE)
        code = status == SQLITE_ROW
                   ? give_row(stmt, row, ctx, err)
                   : tg_sqlite_sink_told(
                         tg_sqlite_fail(&s->db, row ? "read a table" : "write to a table", err),
                         err);
    sqlite3_reset(stmt);
    return code == TG_END ? TG_OK : code;
}

static const struct tg_table_ops ops = {
    .another = "sqlite:FILE?table=NAME",
    .need = sqlite_need,
    .begin = sqlite_begin,
    .end = sqlite_end,
    .ask = sqlite_ask,
    .put_rows = tg_sqlite_sink_put,
    .read_rows = tg_sqlite_sink_read,
};

static tg_code sqlite_open(void *self, const char *target, const struct tg_sink_env *env,
                           struct tg_error *err)
{
    struct sink_sqlite *s = self;
    tg_code code = tg_table_path(target, "sqlite", err);

    s->t.where = target;
    if (code == TG_OK)
        code = tg_table_init(&s->t, &ops, env, err);
    return code == TG_OK ? tg_sqlite_sink_statements(s, err) : code;
}

static void sqlite_close(void *self)
{
    struct sink_sqlite *s = self;

    tg_table_done(&s->t);
    tg_sqlite_close(&s->db);
    for (size_t i = 0; i < N_STMTS; i++) {
        free(s->sql[i]);
        s->sql[i] = NULL;
    }
}

static const struct tg_option sqlite_option[] = {
    TG_TABLE_OPTION,
    { .name = "busy-timeout",
      .type = TG_OPT_MS,
      .offset = offsetof(struct sink_sqlite, busy_timeout_ms),
      .fallback = "30s",
      .min = 0,
      .max = 600000,
      .help = "longest wait for another process that is writing" },
    { 0 },
};

const struct tg_sink_ops tg_sink_sqlite = {
    .head = { "sqlite", "a table in an SQLite database, exactly once", sqlite_option,
              sizeof(struct sink_sqlite) },
    .open = sqlite_open,
    .commit = tg_sqlite_sink_commit,
    TG_TABLE_SINK_OPS,
    .close = sqlite_close,
};

/* SPDX-License-Identifier: MIT */
/*
 * postgres.c - rows in a table of a PostgreSQL database:
 * `postgres://USER@HOST:PORT/DATABASE[?table=messages&schema=public]`
 *
 * Tables and commits are as table_sink.h says. The chat's line in <table>_chats is locked while its
 * transaction runs; rows come by COPY in binary (postgres_rows.c).
 *
 * A transaction whose COMMIT was not answered may have been done or not: the chat is taken up again
 * and the database tells.
 *
 * Threads: one at a time; calls block      Limits: 64 MiB of rows in memory, then a temporary file
 */
#include <stdio.h>

#include "sink/postgres_impl.h"

static tg_code postgres_begin(void *self, bool write, struct tg_error *err)
{
    struct sink_postgres *s = self;

    return tg_postgres_exec(
        s->db, write ? "BEGIN" : "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", err);
}

static tg_code postgres_end(void *self, tg_code code, struct tg_error *err)
{
    struct sink_postgres *s = self;

    return tg_postgres_end(s->db, code, err);
}

static tg_code postgres_ask(void *self, enum tg_table_statement statement,
                            const struct tg_sql_value *value, size_t n, tg_sql_row row, void *ctx,
                            struct tg_error *err)
{
    struct sink_postgres *s = self;
    char sql[600];

    if (statement >= TG_TABLE_SCAN_OLD && statement <= TG_TABLE_SCAN_CHANGES)
        return tg_pg_each(s, tg_table_sql[statement], value, n, row, ctx, err);
    snprintf(sql, sizeof sql, "%s%s", tg_table_sql[statement],
             statement == TG_TABLE_WRITER ? " FOR UPDATE" : "");
    return tg_postgres_query(s->db, sql, value, n, row, ctx, err);
}

static const struct tg_table_ops ops = {
    .another = "?table=NAME",
    .need = tg_pg_need,
    .begin = postgres_begin,
    .end = postgres_end,
    .ask = postgres_ask,
    .put_rows = tg_pg_put_rows,
    .read_rows = tg_pg_read_rows,
};

static tg_code postgres_open(void *self, const char *target, const struct tg_sink_env *env,
                             struct tg_error *err)
{
    struct sink_postgres *s = self;
    char name[160];
    const struct tg_postgres_options options = {
        .address = target,
        .name = name,
        .tls = s->tls,
        .root_cert = s->root_cert,
        .timeout_ms = s->timeout_ms,
    };
    tg_code code = tg_table_init(&s->t, &ops, env, err);

    if (code == TG_OK)
        code = tg_sql_check_name("a schema", s->schema, err);
    if (code != TG_OK)
        return code;
    snprintf(name, sizeof name, "%s\".\"%s", s->schema, s->t.table);
    code = tg_postgres_new(&options, &s->db, err);
    if (code == TG_OK)
        s->t.where = tg_postgres_name(s->db);
    return code;
}

static void postgres_close(void *self)
{
    struct sink_postgres *s = self;

    tg_table_done(&s->t);
    tg_postgres_free(s->db);
    s->db = NULL;
}

static const struct tg_option postgres_option[] = {
    TG_TABLE_OPTION,
    TG_POSTGRES_OPTIONS(sink_postgres),
    { 0 },
};

const struct tg_sink_ops tg_sink_postgres = {
    .head = { "postgres", "a table in a PostgreSQL database, exactly once", postgres_option,
              sizeof(struct sink_postgres) },
    .open = postgres_open,
    .commit = tg_table_commit,
    TG_TABLE_SINK_OPS,
    .close = postgres_close,
};

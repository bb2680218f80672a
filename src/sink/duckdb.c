/* SPDX-License-Identifier: MIT */
/*
 * duckdb.c - rows in a table of a DuckDB database: `duckdb:FILE[?table=messages]`
 *
 * Tables and commits are as table_sink.h says; columns of fields that only this program knows are
 * added. The rows of a commit are appended column by column. That takes no row whose key is there
 * already: where the library refuses one, the same commit is made again by way of a temporary
 * table, whose rows replace those that are there. If it refuses one even so, for a constraint that
 * somebody gave the table, that one is looked for, as the library does not tell which it is and
 * undoes the whole transaction, and the commit is made without it.
 *
 * Numbers are BIGINT, times TIMESTAMP WITH TIME ZONE, truth values BOOLEAN, texts VARCHAR, JSON is
 * JSON. Times beyond the range of microseconds are NULL.
 *
 * The file belongs to this process while it is open: to the end of the run.
 *
 * Threads: one at a time      Limits: 64 MiB of rows in memory, then a temporary file; beside them
 * what the option `memory` gives to the library
 */
#include <stdlib.h>

#include "sink/duckdb_impl.h"

static tg_code duckdb_need(void *self, bool write, struct tg_error *err)
{
    struct sink_duckdb *s = self;
    const struct tg_duckdb_settings settings = { s->busy_timeout_ms, s->memory, !write, !write };
    tg_code code;

    if (s->db && (s->writes || !write))
        return TG_OK;
    tg_duckdb_close(s->db);
    s->db = NULL;
    code = tg_duckdb_open(s->t.where, &settings, &s->db, err);
    if (code == TG_OK)
        code = write ? tg_duckdb_sink_tables(s, err) : tg_duckdb_sink_look(s, err);
    s->writes = write && code == TG_OK;
    if (code != TG_OK) {
        tg_duckdb_close(s->db);
        s->db = NULL;
    }
    return code;
}

static tg_code duckdb_begin(void *self, bool write, struct tg_error *err)
{
    struct sink_duckdb *s = self;

    (void)write;
    return tg_duckdb_begin(s->db, err);
}

static tg_code duckdb_end(void *self, tg_code code, struct tg_error *err)
{
    struct sink_duckdb *s = self;

    return tg_duckdb_end(s->db, code, err);
}

tg_code tg_duckdb_sink_query(struct sink_duckdb *s, const char *sql,
                             const struct tg_sql_value *value, size_t n, tg_sql_row row, void *ctx,
                             struct tg_error *err)
{
    struct tg_buf text;
    tg_code code;

    tg_buf_init(&text, TG_DUCKDB_SQL_MAX);
    tg_sql_put(&text, sql, s->t.table);
    code = text.failed ? tg_fail(err, TG_NOMEM, "no memory for a statement")
                       : tg_duckdb_query(s->db, tg_buf_cstr(&text), value, n, row, ctx, err);
    tg_buf_done(&text);
    return code;
}

static tg_code duckdb_ask(void *self, enum tg_table_statement statement,
                          const struct tg_sql_value *value, size_t n, tg_sql_row row, void *ctx,
                          struct tg_error *err)
{
    return tg_duckdb_sink_query(self, tg_table_sql[statement], value, n, row, ctx, err);
}

static tg_code put_rows(void *self, struct tg_held_chat *chat, const struct tg_commit *commit,
                        struct tg_error *err)
{
    struct sink_duckdb *s = self;

    return tg_duckdb_sink_put(s, chat, commit, s->how, err);
}

static const struct tg_table_ops ops = {
    .another = "duckdb:FILE?table=NAME",
    .need = duckdb_need,
    .begin = duckdb_begin,
    .end = duckdb_end,
    .ask = duckdb_ask,
    .put_rows = put_rows,
    .read_rows = tg_duckdb_sink_read,
};

static tg_code duckdb_open(void *self, const char *target, const struct tg_sink_env *env,
                           struct tg_error *err)
{
    struct sink_duckdb *s = self;
    tg_code code = tg_table_path(target, "duckdb", err);

    s->t.where = target;
    return code == TG_OK ? tg_table_init(&s->t, &ops, env, err) : code;
}

static void duckdb_close(void *self)
{
    struct sink_duckdb *s = self;

    tg_table_done(&s->t);
    tg_duckdb_close(s->db);
    s->db = NULL;
}

/* ---- rows that the table refuses ---- */

/* Puts the first rows, and takes them back. @return TG_END: they can be put */
static tg_code try_first(struct sink_duckdb *s, struct tg_held_chat *chat,
                         const struct tg_commit *commit, struct duckdb_how how,
                         struct tg_error *err)
{
    tg_code code = tg_duckdb_begin(s->db, err);

    if (code != TG_OK)
        return code;
    code = tg_duckdb_sink_put(s, chat, commit, &how, err);
    return tg_duckdb_end(s->db, code == TG_OK ? TG_END : code, err);
}

/* Finds the first row that cannot be put behind those before it, by steps that grow until they are
 * too long and by halves then. @param ret_why  what the library says of it */
static tg_code find_refused(struct sink_duckdb *s, struct tg_held_chat *chat,
                            const struct tg_commit *commit, const struct duckdb_how *how,
                            uint64_t *ret, struct tg_error *ret_why)
{
    uint64_t good = how->n_refused ? how->refused[how->n_refused - 1] + 1 : 0;
    uint64_t bad = chat->rows.n, step = 1;
    struct duckdb_how some = *how;
    struct tg_error err;
    tg_code code;

    some.first = bad;
    code = try_first(s, chat, commit, some, ret_why);
    while (code == TG_CONFLICT && bad - good > 1) {
        some.first = good + TG_MIN(step, (bad - good) / 2);
        code = try_first(s, chat, commit, some, &err);
        if (code == TG_END) {
            good = some.first;
            step *= 2;
            code = TG_CONFLICT;
        } else {
            bad = some.first;
            step = chat->rows.n;
            *ret_why = err;
        }
    }
    if (code == TG_END) /* it was not the rows */
        return tg_fail(ret_why, TG_SINK, "DuckDB did not take a commit, but takes its rows");
    *ret = bad - 1;
    return code == TG_CONFLICT ? TG_OK : code;
}

struct refusing {
    struct sink_duckdb *s;
    struct tg_held_chat *chat;
    struct tg_error why;
    uint64_t left; /* rows before it */
};

static tg_code refuse_it(void *ctx, const struct tg_row *row, struct tg_error *err)
{
    struct refusing *r = ctx;
    tg_code code;

    if (r->left--)
        return TG_OK;
    code = tg_held_refuse(r->chat, r->s->t.env, row, &r->why, err);
    return code == TG_OK ? TG_END : code;
}

/* Leaves out one more row. @return TG_OK: it is kept elsewhere */
static tg_code refuse_next(struct sink_duckdb *s, struct tg_held_chat *chat,
                           const struct tg_commit *commit, struct duckdb_how *how,
                           struct tg_error *err)
{
    struct refusing refusing = { .s = s, .chat = chat };
    uint64_t *more = reallocarray(how->refused, how->n_refused + 1, sizeof *more), row = 0;
    tg_code code;

    if (!more)
        return tg_fail(err, TG_NOMEM, "no memory for rows that are refused");
    how->refused = more;
    code = find_refused(s, chat, commit, how, &row, &refusing.why);
    if (code != TG_OK) {
        *err = refusing.why;
        return code;
    }
    refusing.why.code = TG_DATA;
    refusing.left = more[how->n_refused++] = row;
    code = tg_staged_each(&chat->rows, refuse_it, &refusing, err);
    return code == TG_END ? TG_OK : code;
}

static tg_code duckdb_commit(void *self, const struct tg_commit *commit, struct tg_error *err)
{
    struct sink_duckdb *s = self;
    struct duckdb_how how = { .first = UINT64_MAX,
                              .replace = commit->cursor.segment == TG_SEGMENT_CHANGES };
    struct tg_held_chat *chat;
    bool ours = false;
    tg_code code = tg_held_begin_commit(&s->t.held, commit, &chat, err);

    if (code != TG_OK)
        return code;
    s->how = &how;
    code = tg_table_put(&s->t, chat, commit, &ours, err);
    if (code == TG_CONFLICT && ours && !how.replace) {
        how.replace = true;
        code = tg_table_put(&s->t, chat, commit, &ours, err);
    }
    while (code == TG_CONFLICT && ours) {
        code = refuse_next(s, chat, commit, &how, err);
        if (code == TG_OK)
            code = tg_table_put(&s->t, chat, commit, &ours, err);
    }
    free(how.refused);
    s->how = NULL;
    return tg_held_end_commit(&s->t.held, chat, commit, code);
}

static const struct tg_option duckdb_option[] = {
    TG_TABLE_OPTION,
    { .name = "busy-timeout",
      .type = TG_OPT_MS,
      .offset = offsetof(struct sink_duckdb, busy_timeout_ms),
      .fallback = "30s",
      .min = 0,
      .max = 600000,
      .help = "longest wait for another process that has the file open" },
    { .name = "memory",
      .type = TG_OPT_SIZE,
      .offset = offsetof(struct sink_duckdb, memory),
      .fallback = "512MiB",
      .min = 64 << 20,
      .max = INT64_C(1) << 40,
      .help = "what DuckDB may use" },
    { 0 },
};

const struct tg_sink_ops tg_sink_duckdb = {
    .head = { "duckdb", "a table in a DuckDB database, exactly once", duckdb_option,
              sizeof(struct sink_duckdb) },
    .open = duckdb_open,
    .commit = duckdb_commit,
    TG_TABLE_SINK_OPS,
    .close = duckdb_close,
};

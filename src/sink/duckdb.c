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
#include <stdio.h>
#include <stdlib.h>

#include "sink/duckdb_impl.h"

static tg_code duckdb_open(void *self, const char *target, const struct tg_sink_env *env,
                           struct tg_error *err)
{
    struct sink_duckdb *s = self;
    tg_code code = tg_table_path(target, "duckdb", err);

    s->env = env;
    s->path = target;
    tg_table_init(&s->chats);
    return code == TG_OK ? tg_table_name(&s->table, s->other, env, err) : code;
}

/* @return TG_NOT_FOUND: it is not there, and was to be read only */
static tg_code need_db(struct sink_duckdb *s, bool write, struct tg_error *err)
{
    const struct tg_duckdb_settings settings = { s->busy_timeout_ms, s->memory, !write, !write };
    tg_code code;

    if (s->db && (s->writes || !write))
        return TG_OK;
    tg_duckdb_close(s->db);
    s->db = NULL;
    code = tg_duckdb_open(s->path, &settings, &s->db, err);
    if (code == TG_OK && write)
        code = tg_duckdb_sink_tables(s, err);
    s->writes = write && code == TG_OK;
    if (code != TG_OK) {
        tg_duckdb_close(s->db);
        s->db = NULL;
    }
    return code;
}

static void duckdb_close(void *self)
{
    struct sink_duckdb *s = self;

    tg_table_done(&s->chats);
    tg_duckdb_close(s->db);
    s->db = NULL;
}

tg_code tg_duckdb_sink_ask(struct sink_duckdb *s, const char *sql, const int64_t *param, size_t n,
                           tg_duckdb_row row, void *ctx, struct tg_error *err)
{
    struct tg_duckdb_value value[TG_TABLE_COMMIT_N] = { 0 };
    struct tg_buf text;
    tg_code code;

    for (size_t i = 0; i < n; i++)
        value[i].number = param[i];
    tg_buf_init(&text, TG_DUCKDB_SQL_MAX);
    tg_sql_put(&text, sql, s->table);
    code = text.failed ? tg_fail(err, TG_NOMEM, "no memory for a statement")
                       : tg_duckdb_query(s->db, tg_buf_cstr(&text), value, n, row, ctx, err);
    tg_buf_done(&text);
    return code;
}

/* ---- taking up ---- */

static struct tg_commit commit_of(const struct tg_duckdb_value *v)
{
    int64_t number[TG_TABLE_COMMIT_N];

    for (int i = 0; i < TG_TABLE_COMMIT_N; i++)
        number[i] = v[i].number;
    return tg_table_to_commit(number);
}

static tg_code take_commit(void *ctx, const struct tg_duckdb_value *v, struct tg_error *err)
{
    (void)err;
    *(struct tg_commit *)ctx = commit_of(v);
    return TG_END;
}

static tg_code read_last(struct sink_duckdb *s, int64_t chat_id, struct tg_commit *ret,
                         struct tg_error *err)
{
    *ret = (struct tg_commit){ 0 };
    return tg_duckdb_sink_ask(s, "SELECT " TG_TABLE_COMMIT " FROM @_commits WHERE chat_id = $1"
                                 " ORDER BY seq DESC LIMIT 1",
                              &chat_id, 1, take_commit, ret, err);
}

static tg_code take_writer(void *ctx, const struct tg_duckdb_value *v, struct tg_error *err)
{
    struct tg_table_writer *w = ctx;

    (void)err;
    snprintf(w->job, sizeof w->job, "%.*s", (int)TG_MIN(v[0].text.len, 255U), v[0].text.at);
    w->fence = (struct tg_fence){ (uint64_t)v[1].number, (uint32_t)v[2].number };
    return TG_END;
}

static tg_code read_writer(struct sink_duckdb *s, int64_t chat_id, struct tg_table_writer *ret,
                           struct tg_error *err)
{
    *ret = (struct tg_table_writer){ .job = "" };
    return tg_duckdb_sink_ask(s, "SELECT job, token, nonce FROM @_chats WHERE chat_id = $1",
                              &chat_id, 1, take_writer, ret, err);
}

static tg_code write_writer(struct sink_duckdb *s, int64_t chat_id, const struct tg_fence *fence,
                            struct tg_error *err)
{
    const struct tg_duckdb_value value[] = { { .number = chat_id },
                                             { .text = tg_str_of(s->env->job) },
                                             { .number = (int64_t)fence->token },
                                             { .number = fence->nonce } };
    struct tg_buf sql;
    tg_code code;

    tg_buf_init(&sql, TG_DUCKDB_SQL_MAX);
    tg_sql_put(&sql, "INSERT INTO @_chats(chat_id, job, token, nonce) VALUES($1, $2, $3, $4)"
                     " ON CONFLICT(chat_id) DO UPDATE SET token = $3, nonce = $4", s->table);
    code = tg_duckdb_query(s->db, tg_buf_cstr(&sql), value, TG_COUNT(value), NULL, NULL, err);
    tg_buf_done(&sql);
    return code;
}

static tg_code attach(struct sink_duckdb *s, int64_t chat_id, const struct tg_fence *fence,
                      struct tg_table_chat **ret, struct tg_error *err)
{
    struct tg_table_writer there;
    struct tg_table_chat *chat;
    tg_code code = need_db(s, true, err);

    if (code == TG_OK)
        code = tg_table_take(&s->chats, chat_id, &chat, err);
    if (code != TG_OK)
        return code;
    tg_table_leave(chat);
    code = tg_duckdb_begin(s->db, err);
    if (code != TG_OK)
        return code;
    code = read_writer(s, chat_id, &there, err);
    if (code == TG_OK)
        code = tg_table_may_take(chat, s->env->job, &there, fence, s->path,
                                 "duckdb:FILE?table=NAME", err);
    if (code == TG_OK)
        code = write_writer(s, chat_id, fence, err);
    if (code == TG_OK)
        code = read_last(s, chat_id, &chat->last, err);
    code = tg_duckdb_end(s->db, code, err);
    if (code != TG_OK)
        return code;
    chat->fence = *fence;
    chat->attached = chat->was_attached = true;
    *ret = chat;
    return TG_OK;
}

static tg_code duckdb_attach(void *self, int64_t chat_id, const struct tg_fence *fence,
                             struct tg_commit *ret, struct tg_error *err)
{
    struct tg_table_chat *chat;
    tg_code code = attach(self, chat_id, fence, &chat, err);

    if (code != TG_OK)
        return code;
    if (!chat->last.seq)
        return TG_END;
    *ret = chat->last;
    return TG_OK;
}

/* ---- writing ---- */

static tg_code duckdb_write(void *self, const struct tg_batch *batch, size_t from, size_t n,
                            struct tg_error *err)
{
    struct sink_duckdb *s = self;

    return tg_table_write(&s->chats, batch, from, n, err);
}

static tg_code write_commit(struct sink_duckdb *s, const struct tg_commit *commit,
                            struct tg_error *err)
{
    int64_t number[TG_TABLE_COMMIT_N];

    tg_table_of_commit(commit, number);
    return tg_duckdb_sink_ask(s, "INSERT INTO @_commits(" TG_TABLE_COMMIT ") VALUES($1, $2, $3,"
                                 " $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)",
                              number, TG_TABLE_COMMIT_N, NULL, NULL, err);
}

/* One attempt. @param ret_ours  whether it failed, if so, before the rows: another has the chat */
static tg_code put_all(struct sink_duckdb *s, struct tg_table_chat *chat,
                       const struct tg_commit *commit, const struct duckdb_how *how,
                       bool *ret_ours, struct tg_error *err)
{
    const struct tg_commit recorded = tg_table_recorded(chat, commit);
    struct tg_table_writer there;
    tg_code code = tg_duckdb_begin(s->db, err);

    if (code != TG_OK)
        return code;
    code = read_writer(s, chat->id, &there, err);
    if (code == TG_OK)
        code = tg_table_still(chat, &there, err);
    *ret_ours = code == TG_OK;
    if (code == TG_OK)
        code = tg_duckdb_sink_put(s, chat, commit, how, err);
    if (code == TG_OK)
        code = write_commit(s, &recorded, err);
    return tg_duckdb_end(s->db, code, err);
}

/* ---- rows that the table refuses ---- */

/* Puts the first rows, and takes them back. @return TG_END: they can be put */
static tg_code try_first(struct sink_duckdb *s, struct tg_table_chat *chat,
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
static tg_code find_refused(struct sink_duckdb *s, struct tg_table_chat *chat,
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
    struct tg_table_chat *chat;
    struct tg_error why;
    uint64_t left; /* rows before it */
};

static tg_code refuse_it(void *ctx, const struct tg_row *row, struct tg_error *err)
{
    struct refusing *r = ctx;
    tg_code code;

    if (r->left--)
        return TG_OK;
    code = tg_table_refuse(r->chat, r->s->env, row, &r->why, err);
    return code == TG_OK ? TG_END : code;
}

/* Leaves out one more row. @return TG_OK: it is kept elsewhere */
static tg_code refuse_next(struct sink_duckdb *s, struct tg_table_chat *chat,
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
    struct duckdb_how how = { .first = UINT64_MAX };
    struct tg_table_chat *chat;
    bool ours = false;
    tg_code code = tg_table_begin_commit(&s->chats, commit, &chat, err);

    if (code != TG_OK)
        return code;
    code = put_all(s, chat, commit, &how, &ours, err);
    if (code == TG_CONFLICT && ours) {
        how.replace = true;
        code = put_all(s, chat, commit, &how, &ours, err);
    }
    while (code == TG_CONFLICT && ours) {
        code = refuse_next(s, chat, commit, &how, err);
        if (code == TG_OK)
            code = put_all(s, chat, commit, &how, &ours, err);
    }
    free(how.refused);
    return tg_table_end_commit(&s->chats, chat, commit, code);
}

static tg_code duckdb_rollback(void *self, int64_t chat_id, const struct tg_fence *fence,
                               uint64_t seq, struct tg_error *err)
{
    const int64_t param[] = { chat_id, (int64_t)seq };
    struct sink_duckdb *s = self;
    struct tg_table_chat *chat;
    tg_code code = attach(s, chat_id, fence, &chat, err);

    if (code == TG_OK) {
        tg_table_leave(chat);
        code = tg_duckdb_begin(s->db, err);
    }
    if (code != TG_OK)
        return code;
    code = tg_duckdb_sink_ask(s, "DELETE FROM @ WHERE job_commit > $2 AND (job_chat_id = $1 OR"
                                 " (chat_id = $1 AND job_chat_id IS NULL))",
                              param, 2, NULL, NULL, err);
    if (code == TG_OK)
        code = tg_duckdb_sink_ask(s, "DELETE FROM @_commits WHERE chat_id = $1 AND seq > $2",
                                  param, 2, NULL, NULL, err);
    return tg_duckdb_end(s->db, code, err);
}

/* ---- reading ---- */

/* @return TG_NOT_FOUND: nothing was written there yet */
static tg_code need_tables(struct sink_duckdb *s, struct tg_error *err)
{
    int64_t there = 0;
    struct tg_buf sql;
    tg_code code = need_db(s, false, err);

    if (code != TG_OK || s->writes)
        return code;
    tg_buf_init(&sql, TG_DUCKDB_SQL_MAX);
    tg_sql_put(&sql, "SELECT count(*) FROM duckdb_tables() WHERE table_name = '@_commits'",
               s->table);
    code = tg_duckdb_number(s->db, tg_buf_cstr(&sql), &there, err);
    tg_buf_done(&sql);
    return code == TG_OK && !there ? TG_NOT_FOUND : code;
}

static tg_code scan_row(void *ctx, const struct tg_duckdb_value *v, struct tg_error *err)
{
    (void)err;
    return tg_table_seen(ctx, v[0].number, v[1].number) ? TG_OK : TG_END;
}

static tg_code duckdb_scan(void *self, int64_t chat_id, tg_sink_seen seen, void *ctx,
                           struct tg_error *err)
{
    struct sink_duckdb *s = self;
    const int64_t all[] = { chat_id, INT64_MIN };
    struct tg_table_scan scan = { .seen = seen, .ctx = ctx };
    struct tg_commit last;
    tg_code code = need_tables(s, err);

    if (code == TG_NOT_FOUND)
        return TG_OK;
    if (code == TG_OK)
        code = read_last(s, chat_id, &last, err);
    if (code == TG_OK)
        code = tg_duckdb_sink_ask(s, "SELECT chat_id, id" TG_DUCKDB_OLD, all, 2, scan_row, &scan,
                                  err);
    if (code == TG_OK && !scan.stopped)
        code = tg_duckdb_sink_ask(s, "SELECT chat_id, id" TG_DUCKDB_OWN, all, 2, scan_row, &scan,
                                  err);
    return code == TG_OK ? tg_table_scanned(&scan, &last, chat_id, s->table, err) : code;
}

static tg_code duckdb_read(void *self, int64_t chat_id, const struct tg_cursor *behind,
                           struct tg_batch *batch, tg_sink_taken taken, void *ctx,
                           struct tg_error *err)
{
    struct sink_duckdb *s = self;
    struct tg_table_read r = { .batch = batch, .taken = taken, .ctx = ctx };
    struct tg_table_from from;
    struct tg_commit last;
    tg_code code = need_tables(s, err);

    if (code == TG_OK)
        code = read_last(s, chat_id, &last, err);
    if (code != TG_OK)
        return code;
    from = tg_table_from(behind, &last);
    code = tg_duckdb_sink_read(s, chat_id, &from, &r, err);
    if (code == TG_OK)
        code = tg_table_rows_end(&r, err);
    if (code == TG_OK && from.old_id <= 0 && from.id <= 0)
        code = tg_table_scanned(&(struct tg_table_scan){ .rows = r.rows }, &last, chat_id,
                                s->table, err);
    return code == TG_END ? TG_OK : code;
}

struct chats {
    tg_chat_seen seen;
    void *ctx;
};

static tg_code give_chat(void *ctx, const struct tg_duckdb_value *v, struct tg_error *err)
{
    const struct chats *c = ctx;
    char job[256];

    (void)err;
    snprintf(job, sizeof job, "%.*s", (int)TG_MIN(v[1].text.len, 255U), v[1].text.at);
    return c->seen(c->ctx, v[0].number, job) ? TG_OK : TG_END;
}

static tg_code duckdb_chats(void *self, tg_chat_seen seen, void *ctx, struct tg_error *err)
{
    struct sink_duckdb *s = self;
    struct chats chats = { seen, ctx };
    tg_code code = need_tables(s, err);

    if (code == TG_NOT_FOUND)
        return TG_OK;
    if (code != TG_OK)
        return code;
    return tg_duckdb_sink_ask(s, "SELECT chat_id, job FROM @_chats WHERE chat_id IN"
                                 " (SELECT chat_id FROM @_commits) ORDER BY chat_id",
                              NULL, 0, give_chat, &chats, err);
}

struct commits {
    tg_commit_seen seen;
    void *ctx;
};

static tg_code give_commit(void *ctx, const struct tg_duckdb_value *v, struct tg_error *err)
{
    const struct commits *c = ctx;
    struct tg_commit commit = commit_of(v);

    (void)err;
    return c->seen(c->ctx, &commit) ? TG_OK : TG_END;
}

static tg_code duckdb_commits(void *self, int64_t chat_id, tg_commit_seen seen, void *ctx,
                              struct tg_error *err)
{
    struct sink_duckdb *s = self;
    struct commits commits = { seen, ctx };
    tg_code code = need_tables(s, err);

    if (code == TG_NOT_FOUND)
        return TG_OK;
    if (code != TG_OK)
        return code;
    return tg_duckdb_sink_ask(s, "SELECT " TG_TABLE_COMMIT " FROM @_commits WHERE chat_id = $1"
                                 " ORDER BY seq",
                              &chat_id, 1, give_commit, &commits, err);
}

static uint64_t duckdb_bytes(const void *self)
{
    const struct sink_duckdb *s = self;

    return s->chats.bytes;
}

static const struct tg_option duckdb_option[] = {
    { .name = "table",
      .type = TG_OPT_STR,
      .offset = offsetof(struct sink_duckdb, table),
      .fallback = "messages",
      .help = "name of the table; others with the same beginning stand beside it" },
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
    .attach = duckdb_attach,
    .write = duckdb_write,
    .commit = duckdb_commit,
    .rollback = duckdb_rollback,
    .scan = duckdb_scan,
    .commits = duckdb_commits,
    .read = duckdb_read,
    .chats = duckdb_chats,
    .series = true,
    .bytes = duckdb_bytes,
    .close = duckdb_close,
};

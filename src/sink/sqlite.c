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
#include <stdio.h>
#include <stdlib.h>

#include "sink/sqlite_impl.h"

static tg_code sqlite_open(void *self, const char *target, const struct tg_sink_env *env,
                           struct tg_error *err)
{
    struct sink_sqlite *s = self;
    tg_code code = tg_table_path(target, "sqlite", err);

    s->env = env;
    s->path = target;
    tg_table_init(&s->chats);
    if (code == TG_OK)
        code = tg_table_name(&s->table, s->other, env, err);
    return code == TG_OK ? tg_sqlite_sink_statements(s, err) : code;
}

/* The database is no state here: its troubles are those of a destination. */
static tg_code told(tg_code code, struct tg_error *err)
{
    if (code == TG_STATE || code == TG_UNUSABLE)
        err->code = code = code == TG_STATE ? TG_SINK : TG_IO;
    return code;
}

/* @return TG_NOT_FOUND: it is not there, and was to be read only */
static tg_code need_db(struct sink_sqlite *s, bool create, struct tg_error *err)
{
    tg_code code;

    if (s->db.db)
        return TG_OK;
    s->db.existing = !create;
    s->db.large = true;
    code = tg_sqlite_open(&s->db, s->path, s->busy_timeout_ms, err);
    if (code == TG_OK && !s->db.read_only)
        code = tg_sqlite_sink_tables(s, err);
    if (code != TG_OK)
        tg_sqlite_close(&s->db);
    return code;
}

static void sqlite_close(void *self)
{
    struct sink_sqlite *s = self;

    tg_table_done(&s->chats);
    tg_sqlite_close(&s->db);
    for (size_t i = 0; i < N_STMTS; i++) {
        free(s->sql[i]);
        s->sql[i] = NULL;
    }
}

/* ---- taking up ---- */

static tg_code read_last(struct sink_sqlite *s, int64_t chat_id, struct tg_commit *ret,
                         struct tg_error *err)
{
    sqlite3_stmt *stmt;
    tg_code code = tg_sqlite_sink_ready(s, COMMIT_LAST, chat_id, &stmt, err);
    int status;

    *ret = (struct tg_commit){ 0 };
    if (code != TG_OK)
        return code;
    status = sqlite3_step(stmt);
    if (status == SQLITE_ROW)
        *ret = tg_sqlite_commit_of(stmt);
    else if (status != SQLITE_DONE)
        code = tg_sqlite_fail(&s->db, "read the last commit", err);
    sqlite3_reset(stmt);
    return code;
}

static tg_code read_writer(struct sink_sqlite *s, int64_t chat_id, struct tg_table_writer *ret,
                           struct tg_error *err)
{
    sqlite3_stmt *stmt;
    tg_code code = tg_sqlite_sink_ready(s, CHAT_GET, chat_id, &stmt, err);
    const char *job;
    int status;

    *ret = (struct tg_table_writer){ .job = "" };
    if (code != TG_OK)
        return code;
    status = sqlite3_step(stmt);
    if (status == SQLITE_ROW) {
        job = (const char *)sqlite3_column_text(stmt, 0);
        snprintf(ret->job, sizeof ret->job, "%s", job ? job : "?");
        ret->fence.token = (uint64_t)sqlite3_column_int64(stmt, 1);
        ret->fence.nonce = (uint32_t)sqlite3_column_int64(stmt, 2);
    } else if (status != SQLITE_DONE) {
        code = tg_sqlite_fail(&s->db, "read who writes a chat", err);
    }
    sqlite3_reset(stmt);
    return code;
}

static tg_code write_writer(struct sink_sqlite *s, int64_t chat_id, const struct tg_fence *fence,
                            struct tg_error *err)
{
    sqlite3_stmt *stmt;
    tg_code code = tg_sqlite_sink_ready(s, CHAT_PUT, chat_id, &stmt, err);

    if (code != TG_OK)
        return code;
    sqlite3_bind_text(stmt, 2, s->env->job, -1, SQLITE_STATIC);
    sqlite3_bind_int64(stmt, 3, (int64_t)fence->token);
    sqlite3_bind_int64(stmt, 4, fence->nonce);
    return tg_sqlite_run(&s->db, stmt, "take up a chat", err);
}

static tg_code attach(struct sink_sqlite *s, int64_t chat_id, const struct tg_fence *fence,
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
    code = tg_sqlite_begin(&s->db, err);
    if (code != TG_OK)
        return code;
    code = read_writer(s, chat_id, &there, err);
    if (code == TG_OK)
        code = tg_table_may_take(chat, s->env->job, &there, fence, s->path,
                                 "sqlite:FILE?table=NAME", err);
    if (code == TG_OK)
        code = write_writer(s, chat_id, fence, err);
    if (code == TG_OK)
        code = read_last(s, chat_id, &chat->last, err);
    code = tg_sqlite_end(&s->db, code, err);
    if (code != TG_OK)
        return code;
    chat->fence = *fence;
    chat->attached = chat->was_attached = true;
    *ret = chat;
    return TG_OK;
}

static tg_code sqlite_attach(void *self, int64_t chat_id, const struct tg_fence *fence,
                             struct tg_commit *ret, struct tg_error *err)
{
    struct tg_table_chat *chat;
    tg_code code = attach(self, chat_id, fence, &chat, err);

    if (code != TG_OK)
        return told(code, err);
    if (!chat->last.seq)
        return TG_END;
    *ret = chat->last;
    return TG_OK;
}

/* ---- writing ---- */

static tg_code sqlite_write(void *self, const struct tg_batch *batch, size_t from, size_t n,
                            struct tg_error *err)
{
    struct sink_sqlite *s = self;

    return tg_table_write(&s->chats, batch, from, n, err);
}

struct put {
    struct sink_sqlite *s;
    struct tg_table_chat *chat;
    sqlite3_stmt *stmt;
    const struct tg_commit *commit;
};

/* A row that the table refuses leaves nothing behind: only its own statement is undone. */
static tg_code put_row(void *ctx, const struct tg_row *row, struct tg_error *err)
{
    const struct put *p = ctx;
    struct tg_error why;
    tg_code code;

    tg_sqlite_bind_row(p->stmt, row, p->commit);
    code = tg_sqlite_run(&p->s->db, p->stmt, "write a row", err);
    if (code != TG_DATA || sqlite3_get_autocommit(p->s->db.db))
        return code; /* a trigger may have ended the transaction */
    why = *err;
    code = tg_table_refuse(p->chat, p->s->env, row, &why, err);
    p->s->not_kept = code != TG_OK;
    return code;
}

static tg_code put_all(struct sink_sqlite *s, struct tg_table_chat *chat,
                       const struct tg_commit *commit, struct tg_error *err)
{
    struct put put = { .s = s, .chat = chat, .commit = commit };
    struct tg_commit recorded;
    struct tg_table_writer there;
    sqlite3_stmt *stmt;
    tg_code code = read_writer(s, chat->id, &there, err);

    if (code == TG_OK)
        code = tg_table_still(chat, &there, err);
    if (code == TG_OK)
        code = tg_sqlite_stmt(&s->db, ROW_PUT, &put.stmt, err);
    if (code == TG_OK)
        code = tg_staged_each(&chat->rows, put_row, &put, err);
    if (code == TG_OK)
        code = tg_sqlite_stmt(&s->db, COMMIT_PUT, &stmt, err);
    if (code != TG_OK)
        return code;
    recorded = tg_table_recorded(chat, commit);
    tg_sqlite_bind_commit(stmt, &recorded);
    return tg_sqlite_run(&s->db, stmt, "write a commit", err);
}

static tg_code sqlite_commit(void *self, const struct tg_commit *commit, struct tg_error *err)
{
    struct sink_sqlite *s = self;
    struct tg_table_chat *chat;
    tg_code code = tg_table_begin_commit(&s->chats, commit, &chat, err);

    if (code != TG_OK)
        return code;
    s->not_kept = false;
    code = tg_sqlite_begin(&s->db, err);
    if (code == TG_OK)
        code = tg_sqlite_end(&s->db, put_all(s, chat, commit, err), err);
    return tg_table_end_commit(&s->chats, chat, commit, s->not_kept ? code : told(code, err));
}

static tg_code cut(struct sink_sqlite *s, enum sqlite_sink_statement id, int64_t chat_id,
                   uint64_t seq, struct tg_error *err)
{
    sqlite3_stmt *stmt;
    tg_code code = tg_sqlite_sink_ready(s, id, chat_id, &stmt, err);

    if (code != TG_OK)
        return code;
    sqlite3_bind_int64(stmt, 2, (int64_t)seq);
    return tg_sqlite_run(&s->db, stmt, "go back", err);
}

static tg_code sqlite_rollback(void *self, int64_t chat_id, const struct tg_fence *fence,
                               uint64_t seq, struct tg_error *err)
{
    struct sink_sqlite *s = self;
    struct tg_table_chat *chat;
    tg_code code = attach(s, chat_id, fence, &chat, err);

    if (code == TG_OK) {
        tg_table_leave(chat);
        code = tg_sqlite_begin(&s->db, err);
    }
    if (code != TG_OK)
        return told(code, err);
    code = cut(s, ROW_CUT, chat_id, seq, err);
    if (code == TG_OK)
        code = cut(s, COMMIT_CUT, chat_id, seq, err);
    return told(tg_sqlite_end(&s->db, code, err), err);
}

/* ---- reading ---- */

static tg_code scan_rows(struct sink_sqlite *s, enum sqlite_sink_statement id, int64_t chat_id,
                         struct tg_table_scan *scan, struct tg_error *err)
{
    sqlite3_stmt *stmt;
    tg_code code = tg_sqlite_sink_ready(s, id, chat_id, &stmt, err);
    int status;

    if (code != TG_OK)
        return code;
    while (!scan->stopped && (status = sqlite3_step(stmt)) != SQLITE_DONE) {
        if (status != SQLITE_ROW) {
            code = tg_sqlite_fail(&s->db, "read the rows", err);
            break;
        }
        tg_table_seen(scan, sqlite3_column_int64(stmt, 0), sqlite3_column_int64(stmt, 1));
    }
    sqlite3_reset(stmt);
    return code;
}

static tg_code sqlite_scan(void *self, int64_t chat_id, tg_sink_seen seen, void *ctx,
                           struct tg_error *err)
{
    struct sink_sqlite *s = self;
    struct tg_table_scan scan = { .seen = seen, .ctx = ctx };
    struct tg_commit last;
    tg_code code = need_db(s, false, err);

    if (code == TG_NOT_FOUND)
        return TG_OK;
    if (code == TG_OK)
        code = read_last(s, chat_id, &last, err);
    if (code == TG_OK)
        code = scan_rows(s, ROW_SCAN_OLD, chat_id, &scan, err);
    if (code == TG_OK && !scan.stopped)
        code = scan_rows(s, ROW_SCAN, chat_id, &scan, err);
    if (code == TG_OK)
        code = tg_table_scanned(&scan, &last, chat_id, s->table, err);
    return told(code, err);
}

static tg_code sqlite_commits(void *self, int64_t chat_id, tg_commit_seen seen, void *ctx,
                              struct tg_error *err)
{
    struct sink_sqlite *s = self;
    sqlite3_stmt *stmt;
    tg_code code = need_db(s, false, err);
    int status;

    if (code == TG_NOT_FOUND)
        return TG_OK;
    if (code == TG_OK)
        code = tg_sqlite_sink_ready(s, COMMIT_ALL, chat_id, &stmt, err);
    if (code != TG_OK)
        return told(code, err);
    while ((status = sqlite3_step(stmt)) == SQLITE_ROW) {
        struct tg_commit commit = tg_sqlite_commit_of(stmt);

        if (!seen(ctx, &commit))
            break;
    }
    if (status != SQLITE_ROW && status != SQLITE_DONE)
        code = tg_sqlite_fail(&s->db, "read the commits", err);
    sqlite3_reset(stmt);
    return told(code, err);
}

static tg_code take_row(struct tg_table_read *r, sqlite3_stmt *stmt, const int16_t *field, int n,
                        struct tg_error *err)
{
    tg_code code = tg_table_next_row(r, err);

    for (int i = 0; code == TG_OK && i < n; i++) {
        bool truth = field[i] >= 0 && tg_field((enum tg_field_id)field[i])->type == TG_FIELD_BOOL;
        struct tg_str text;

        if (field[i] < 0 || sqlite3_column_type(stmt, i) == SQLITE_NULL)
            continue;
        text.at = (const char *)sqlite3_column_text(stmt, i);
        text.len = (uint32_t)sqlite3_column_bytes(stmt, i);
        if (!text.at)
            return tg_fail(err, TG_NOMEM, "no memory for a row");
        if (truth)
            text = TG_STR("true");
        if (!truth || sqlite3_column_int(stmt, i)) /* 0: no value */
            code = tg_table_take_field(r, field[i], text, err);
    }
    return code;
}

static tg_code read_rows(struct sink_sqlite *s, enum sqlite_sink_statement id, int64_t chat_id,
                         int64_t behind, struct tg_table_read *r, struct tg_error *err)
{
    int16_t field[SQLITE_COLUMNS];
    sqlite3_stmt *stmt;
    tg_code code = tg_sqlite_sink_ready(s, id, chat_id, &stmt, err);
    int status, n;

    if (code != TG_OK)
        return code;
    sqlite3_bind_int64(stmt, 2, behind);
    n = TG_MIN(sqlite3_column_count(stmt), SQLITE_COLUMNS);
    for (int i = 0; i < n; i++)
        field[i] = (int16_t)tg_field_find(tg_str_of(sqlite3_column_name(stmt, i)));
    while (code == TG_OK && (status = sqlite3_step(stmt)) != SQLITE_DONE)
        code = status == SQLITE_ROW ? take_row(r, stmt, field, n, err)
                                    : tg_sqlite_fail(&s->db, "read the rows", err);
    sqlite3_reset(stmt);
    return code;
}

static tg_code read_chat(struct sink_sqlite *s, int64_t chat_id, const struct tg_cursor *behind,
                         struct tg_table_read *r, struct tg_error *err)
{
    struct tg_table_from from;
    struct tg_commit last;
    tg_code code = read_last(s, chat_id, &last, err);

    from = tg_table_from(behind, &last);
    if (code == TG_OK)
        code = read_rows(s, ROW_READ_OLD, chat_id, from.old_id, r, err);
    if (code == TG_OK)
        code = read_rows(s, from.by_post ? ROW_READ_BY_POST : ROW_READ, chat_id, from.id, r, err);
    if (code == TG_OK)
        code = tg_table_rows_end(r, err);
    if (code == TG_OK && from.old_id <= 0 && from.id <= 0)
        code = tg_table_scanned(&(struct tg_table_scan){ .rows = r->rows }, &last, chat_id,
                                s->table, err);
    return code;
}

static tg_code sqlite_read(void *self, int64_t chat_id, const struct tg_cursor *behind,
                           struct tg_batch *batch, tg_sink_taken taken, void *ctx,
                           struct tg_error *err)
{
    struct sink_sqlite *s = self;
    struct tg_table_read r = { .batch = batch, .taken = taken, .ctx = ctx };
    struct tg_error ignored;
    tg_code code = need_db(s, false, err);

    if (code == TG_OK) /* all of one moment */
        code = tg_sqlite_exec(&s->db, "BEGIN", err);
    if (code != TG_OK)
        return code == TG_NOT_FOUND ? code : told(code, err);
    code = read_chat(s, chat_id, behind, &r, err);
    if (tg_sqlite_exec(&s->db, "ROLLBACK", &ignored) != TG_OK) {
        /* nothing was written */
    }
    return code == TG_END ? TG_OK : told(code, err);
}

static tg_code sqlite_chats(void *self, tg_chat_seen seen, void *ctx, struct tg_error *err)
{
    struct sink_sqlite *s = self;
    sqlite3_stmt *stmt;
    tg_code code = need_db(s, false, err);
    int status;

    if (code == TG_NOT_FOUND)
        return TG_OK;
    if (code == TG_OK)
        code = tg_sqlite_stmt(&s->db, CHAT_ALL, &stmt, err);
    if (code != TG_OK)
        return told(code, err);
    while ((status = sqlite3_step(stmt)) == SQLITE_ROW) {
        const char *job = (const char *)sqlite3_column_text(stmt, 1);

        if (!seen(ctx, sqlite3_column_int64(stmt, 0), job ? job : ""))
            break;
    }
    if (status != SQLITE_ROW && status != SQLITE_DONE)
        code = tg_sqlite_fail(&s->db, "read the chats", err);
    sqlite3_reset(stmt);
    return told(code, err);
}

static uint64_t sqlite_bytes(const void *self)
{
    const struct sink_sqlite *s = self;

    return s->chats.bytes;
}

static const struct tg_option sqlite_option[] = {
    { .name = "table",
      .type = TG_OPT_STR,
      .offset = offsetof(struct sink_sqlite, table),
      .fallback = "messages",
      .help = "name of the table; others with the same beginning stand beside it" },
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
    .attach = sqlite_attach,
    .write = sqlite_write,
    .commit = sqlite_commit,
    .rollback = sqlite_rollback,
    .scan = sqlite_scan,
    .commits = sqlite_commits,
    .read = sqlite_read,
    .chats = sqlite_chats,
    .series = true,
    .bytes = sqlite_bytes,
    .close = sqlite_close,
};

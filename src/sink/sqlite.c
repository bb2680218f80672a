/* SPDX-License-Identifier: MIT */
/*
 * sqlite.c - rows in a table of an SQLite database: `sqlite:FILE[?table=messages]`
 *
 *   <table>           a column for each field; key (chat_id, owner, id); job_chat_id and job_commit
 *                     tell the commit that brought the row
 *   <table>_commits   what each commit of a chat covers
 *   <table>_chats     to which job a chat belongs, and who writes it
 *
 * Rows wait in memory (staged.h) until their commit puts them and its record into the tables in one
 * transaction, so that there is each row exactly once, whenever a run is killed. The same
 * transaction looks whether the writer is still the one that the chat was taken up by. A row whose
 * key is there already takes its place. Columns of fields that only this program knows are added.
 *
 * Numbers are INTEGER, times TEXT as 2024-01-15T10:30:00Z (which SQLite's date functions read),
 * truth values 0 and 1, JSON is TEXT. job_chat_id is NULL unless it differs from chat_id (the old
 * group of a supergroup).
 *
 * Threads: one at a time      Limits: 64 MiB of rows in memory, then a temporary file
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "sink/sqlite_impl.h"

enum { HELD_MAX = 64 << 20, CHATS_MAX = 65536, TABLE_MAX = 64 };

/* ---- opening ---- */

static bool is_name(const char *text)
{
    size_t n = strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_");

    return n > 0 && n < TABLE_MAX && !text[n] && !(*text >= '0' && *text <= '9') &&
           strncmp(text, "sqlite_", 7) != 0;
}

static tg_code sqlite_open(void *self, const char *target, const struct tg_sink_env *env,
                           struct tg_error *err)
{
    struct sink_sqlite *s = self;

    s->env = env;
    s->path = target;
    s->room.most = HELD_MAX;
    if (!*target) {
        tg_fail(err, TG_USAGE, "no file is named for the output");
        return tg_hint(err, "write it as sqlite:FILE");
    }
    if (strncmp(target, "//", 2) == 0) {
        tg_fail(err, TG_USAGE, "'%.200s' is no path of a file", target);
        return tg_hint(err, "write it without '//': sqlite:FILE");
    }
    if (!is_name(s->table)) {
        tg_fail(err, TG_USAGE, "'%.80s' is no name for a table", s->table);
        return tg_hint(err, "letters, digits and _, at most %d, and no digit first", TABLE_MAX - 1);
    }
    return tg_sqlite_sink_statements(s, err);
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

    for (size_t i = 0; i < s->n_chats; i++) {
        tg_staged_done(&s->chat[i]->rows);
        free(s->chat[i]);
    }
    free(s->chat);
    s->chat = NULL;
    s->n_chats = 0;
    tg_sqlite_close(&s->db);
    for (size_t i = 0; i < N_STMTS; i++) {
        free(s->sql[i]);
        s->sql[i] = NULL;
    }
}

/* ---- chats ---- */

static struct sqlite_chat *find_chat(struct sink_sqlite *s, int64_t id)
{
    for (size_t i = 0; i < s->n_chats; i++)
        if (s->chat[i]->id == id)
            return s->chat[i];
    return NULL;
}

static tg_code take_chat(struct sink_sqlite *s, int64_t id, struct sqlite_chat **ret,
                         struct tg_error *err)
{
    struct sqlite_chat **more;

    if ((*ret = find_chat(s, id)))
        return TG_OK;
    if (s->n_chats == CHATS_MAX)
        return tg_fail(err, TG_LIMIT, "more than %d chats in one run", CHATS_MAX);
    more = reallocarray(s->chat, s->n_chats + 1, sizeof(struct sqlite_chat *));
    if (more)
        s->chat = more;
    *ret = more ? calloc(1, sizeof **ret) : NULL;
    if (!*ret)
        return tg_fail(err, TG_NOMEM, "one more chat");
    (*ret)->id = id;
    tg_staged_init(&(*ret)->rows, &s->room);
    s->chat[s->n_chats++] = *ret;
    return TG_OK;
}

static void leave(struct sqlite_chat *chat)
{
    chat->attached = false;
    tg_staged_clear(&chat->rows);
}

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

/* ---- who writes ---- */

static tg_code shut_out(int64_t chat_id, struct tg_error *err)
{
    tg_fail(err, TG_CONFLICT, "another run has taken over chat %lld", (long long)chat_id);
    return tg_hint(err, "let that run end, or stop it, before this one goes on");
}

/* @return TG_END: nobody has written the chat yet */
static tg_code read_writer(struct sink_sqlite *s, int64_t chat_id, struct tg_fence *ret,
                           struct tg_error *err)
{
    sqlite3_stmt *stmt;
    tg_code code = tg_sqlite_sink_ready(s, CHAT_GET, chat_id, &stmt, err);
    int status;

    if (code != TG_OK)
        return code;
    status = sqlite3_step(stmt);
    if (status == SQLITE_DONE) {
        code = TG_END;
    } else if (status != SQLITE_ROW) {
        code = tg_sqlite_fail(&s->db, "read who writes a chat", err);
    } else {
        const char *job = (const char *)sqlite3_column_text(stmt, 0);

        ret->token = (uint64_t)sqlite3_column_int64(stmt, 1);
        ret->nonce = (uint32_t)sqlite3_column_int64(stmt, 2);
        if (!job || strcmp(job, s->env->job) != 0) {
            tg_fail(err, TG_USAGE, "chat %lld in '%.160s' belongs to job '%.80s'",
                    (long long)chat_id, s->path, job ? job : "");
            code = tg_hint(err, "name that job, or another table: sqlite:FILE?table=NAME");
        }
    }
    sqlite3_reset(stmt);
    return code;
}

static bool same_fence(const struct tg_fence *a, const struct tg_fence *b)
{
    return a->token == b->token && a->nonce == b->nonce;
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

/* Within a transaction. One that wrote before and finds another there was shut out. */
static tg_code take_over(struct sink_sqlite *s, struct sqlite_chat *chat,
                         const struct tg_fence *fence, struct tg_error *err)
{
    struct tg_fence there = { 0 };
    tg_code code = read_writer(s, chat->id, &there, err);

    if (code == TG_OK && (there.token > fence->token ||
                          (chat->was_attached && same_fence(&chat->fence, fence) &&
                           !same_fence(&there, fence))))
        return shut_out(chat->id, err);
    if (code != TG_OK && code != TG_END)
        return code;
    return write_writer(s, chat->id, fence, err);
}

static tg_code attach(struct sink_sqlite *s, int64_t chat_id, const struct tg_fence *fence,
                      struct sqlite_chat **ret, struct tg_error *err)
{
    struct sqlite_chat *chat;
    tg_code code = need_db(s, true, err);

    if (code == TG_OK)
        code = take_chat(s, chat_id, &chat, err);
    if (code != TG_OK)
        return code;
    leave(chat);
    code = tg_sqlite_begin(&s->db, err);
    if (code != TG_OK)
        return code;
    code = take_over(s, chat, fence, err);
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
    struct sqlite_chat *chat;
    tg_code code = attach(self, chat_id, fence, &chat, err);

    if (code != TG_OK)
        return told(code, err);
    if (!chat->last.seq)
        return TG_END;
    *ret = chat->last;
    return TG_OK;
}

/* ---- writing ---- */

static tg_code not_taken(int64_t chat_id, struct tg_error *err)
{
    return tg_fail(err, TG_INTERNAL, "chat %lld was not taken up", (long long)chat_id);
}

static tg_code sqlite_write(void *self, const struct tg_batch *batch, size_t from, size_t n,
                            struct tg_error *err)
{
    struct sink_sqlite *s = self;
    struct sqlite_chat *chat = find_chat(s, batch->cursor.chat_id);
    tg_code code = TG_OK;

    assert(from <= batch->n && n <= batch->n - from);
    if (!chat || !chat->attached)
        return not_taken(batch->cursor.chat_id, err);
    for (size_t i = from; code == TG_OK && i < from + n; i++)
        code = tg_staged_add(&chat->rows, &batch->row[i], err);
    if (code != TG_OK)
        leave(chat);
    return code;
}

struct put {
    struct sink_sqlite *s;
    sqlite3_stmt *stmt;
    const struct tg_commit *commit;
};

static tg_code put_row(void *ctx, const struct tg_row *row, struct tg_error *err)
{
    const struct put *p = ctx;

    tg_sqlite_bind_row(p->stmt, row, p->commit);
    return tg_sqlite_run(&p->s->db, p->stmt, "write a row", err);
}

static tg_code put_all(struct sink_sqlite *s, struct sqlite_chat *chat,
                       const struct tg_commit *commit, struct tg_error *err)
{
    struct put put = { .s = s, .commit = commit };
    struct tg_fence there = { 0 };
    sqlite3_stmt *stmt;
    tg_code code = read_writer(s, chat->id, &there, err);

    if (code == TG_END || (code == TG_OK && !same_fence(&there, &chat->fence)))
        return shut_out(chat->id, err);
    if (code == TG_OK)
        code = tg_sqlite_stmt(&s->db, ROW_PUT, &put.stmt, err);
    if (code == TG_OK)
        code = tg_staged_each(&chat->rows, put_row, &put, err);
    if (code == TG_OK)
        code = tg_sqlite_stmt(&s->db, COMMIT_PUT, &stmt, err);
    if (code != TG_OK)
        return code;
    tg_sqlite_bind_commit(stmt, commit);
    return tg_sqlite_run(&s->db, stmt, "write a commit", err);
}

static tg_code sqlite_commit(void *self, const struct tg_commit *commit, struct tg_error *err)
{
    struct sink_sqlite *s = self;
    struct sqlite_chat *chat = find_chat(s, commit->cursor.chat_id);
    const struct tg_commit *last;
    tg_code code;

    if (!chat || !chat->attached)
        return not_taken(commit->cursor.chat_id, err);
    last = &chat->last;
    if (commit->seq != last->seq + 1 || commit->rows != chat->rows.n ||
        commit->rows_total != last->rows_total + commit->rows) {
        leave(chat);
        return tg_fail(err, TG_INTERNAL, "commit %llu of chat %lld does not follow",
                       (unsigned long long)commit->seq, (long long)chat->id);
    }
    code = tg_sqlite_begin(&s->db, err);
    if (code == TG_OK)
        code = tg_sqlite_end(&s->db, put_all(s, chat, commit, err), err);
    if (code != TG_OK) {
        leave(chat);
        return told(code, err);
    }
    s->bytes += chat->rows.file.size + chat->rows.rows.len;
    tg_staged_clear(&chat->rows);
    chat->last = *commit;
    return TG_OK;
}

static tg_code cut(struct sink_sqlite *s, size_t id, int64_t chat_id, uint64_t seq,
                   struct tg_error *err)
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
    struct sqlite_chat *chat;
    tg_code code = attach(s, chat_id, fence, &chat, err);

    if (code != TG_OK)
        return told(code, err);
    leave(chat);
    code = tg_sqlite_begin(&s->db, err);
    if (code != TG_OK)
        return told(code, err);
    code = cut(s, ROW_CUT, chat_id, seq, err);
    if (code == TG_OK)
        code = cut(s, COMMIT_CUT, chat_id, seq, err);
    return told(tg_sqlite_end(&s->db, code, err), err);
}

/* ---- reading ---- */

struct count {
    tg_sink_seen seen;
    void *ctx;
    uint64_t rows;
    bool stopped;
};

static tg_code scan_rows(struct sink_sqlite *s, size_t id, int64_t chat_id, struct count *c,
                         struct tg_error *err)
{
    sqlite3_stmt *stmt;
    tg_code code = c->stopped ? TG_END : tg_sqlite_sink_ready(s, id, chat_id, &stmt, err);
    int status;

    if (code != TG_OK)
        return code == TG_END ? TG_OK : code;
    while (!c->stopped && (status = sqlite3_step(stmt)) != SQLITE_DONE) {
        if (status != SQLITE_ROW) {
            code = tg_sqlite_fail(&s->db, "read the rows", err);
            break;
        }
        c->rows++;
        c->stopped = !c->seen(c->ctx, sqlite3_column_int64(stmt, 0), sqlite3_column_int64(stmt, 1));
    }
    sqlite3_reset(stmt);
    return code;
}

static tg_code sqlite_scan(void *self, int64_t chat_id, tg_sink_seen seen, void *ctx,
                           struct tg_error *err)
{
    struct sink_sqlite *s = self;
    struct count c = { .seen = seen, .ctx = ctx };
    struct tg_commit last;
    tg_code code = need_db(s, false, err);

    if (code == TG_NOT_FOUND)
        return TG_OK;
    if (code == TG_OK)
        code = read_last(s, chat_id, &last, err);
    if (code == TG_OK)
        code = scan_rows(s, ROW_SCAN_OLD, chat_id, &c, err);
    if (code == TG_OK)
        code = scan_rows(s, ROW_SCAN, chat_id, &c, err);
    if (code == TG_OK && !c.stopped && c.rows != last.rows_total)
        code = tg_fail(err, TG_CORRUPT,
                       "table '%s' has %llu rows of chat %lld, its commits tell %llu", s->table,
                       (unsigned long long)c.rows, (long long)chat_id,
                       (unsigned long long)last.rows_total);
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

static uint64_t sqlite_bytes(const void *self)
{
    const struct sink_sqlite *s = self;

    return s->bytes;
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
    .bytes = sqlite_bytes,
    .close = sqlite_close,
};

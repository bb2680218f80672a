/* SPDX-License-Identifier: MIT */
/*
 * postgres.c - rows in a table of a PostgreSQL database:
 * `postgres://USER@HOST:PORT/DATABASE[?table=messages&schema=public]`
 *
 * Tables and commits are as table_sink.h says. A commit is one transaction: the chat's line in
 * <table>_chats is locked and tells whether this is still the writer, rows come by COPY in binary
 * (postgres_rows.c), then the record of the commit.
 *
 * A transaction whose COMMIT was not answered may have been done or not: the chat is taken up again
 * and the database tells.
 *
 * Threads: one at a time; calls block      Limits: 64 MiB of rows in memory, then a temporary file
 */
#include <stdio.h>

#include "sink/postgres_impl.h"

/* ---- opening ---- */

static tg_code postgres_open(void *self, const char *target, const struct tg_sink_env *env,
                             struct tg_error *err)
{
    struct sink_postgres *s = self;
    char name[PG_NAME_MAX]; /* @" is the table, @_chats" the one beside it */
    const struct tg_postgres_options options = {
        .address = target,
        .name = name,
        .tls = s->tls,
        .root_cert = s->root_cert,
        .timeout_ms = s->timeout_ms,
    };
    tg_code code;

    s->env = env;
    tg_table_init(&s->chats);
    code = tg_table_name(&s->table, s->other, env, err);
    if (code == TG_OK)
        code = tg_sql_check_name("a schema", s->schema, err);
    if (code != TG_OK)
        return code;
    snprintf(name, sizeof name, "\"%s\".\"%s", s->schema, s->table);
    return tg_postgres_new(&options, &s->db, err);
}

static void postgres_close(void *self)
{
    struct sink_postgres *s = self;

    tg_table_done(&s->chats);
    tg_postgres_free(s->db);
    s->db = NULL;
}

/* ---- taking up ---- */

static bool take_commit(void *ctx, const struct tg_str *value, int n)
{
    int64_t v[TG_TABLE_COMMIT_N] = { 0 };

    for (int i = 0; i < TG_MIN(n, TG_TABLE_COMMIT_N); i++)
        v[i] = tg_postgres_number(value[i]);
    *(struct tg_commit *)ctx = tg_table_to_commit(v);
    return true;
}

tg_code tg_pg_last(struct sink_postgres *s, int64_t chat_id, struct tg_commit *ret,
                   struct tg_error *err)
{
    const struct tg_postgres_arg arg = { .number = chat_id };

    *ret = (struct tg_commit){ 0 };
    return tg_postgres_query(s->db,
                 "SELECT " TG_TABLE_COMMIT " FROM @_commits\" WHERE chat_id = $1"
                 " ORDER BY seq DESC LIMIT 1",
                 &arg, 1, take_commit, ret, err);
}

static bool take_writer(void *ctx, const struct tg_str *value, int n)
{
    struct tg_table_writer *writer = ctx;

    (void)n;
    snprintf(writer->job, sizeof writer->job, "%.*s", (int)value[0].len,
             value[0].len ? value[0].at : "");
    writer->fence.token = (uint64_t)tg_postgres_number(value[1]);
    writer->fence.nonce = (uint32_t)tg_postgres_number(value[2]);
    return false;
}

/* Within a transaction; nobody else can change it until its end. */
static tg_code read_writer(struct sink_postgres *s, int64_t chat_id, struct tg_table_writer *ret,
                           struct tg_error *err)
{
    const struct tg_postgres_arg arg = { .number = chat_id };

    *ret = (struct tg_table_writer){ .job = "" };
    return tg_postgres_query(s->db,
                       "SELECT job, token, nonce FROM @_chats\" WHERE chat_id = $1 FOR UPDATE",
                       &arg, 1, take_writer, ret, err);
}

static tg_code write_writer(struct sink_postgres *s, int64_t chat_id, const struct tg_fence *fence,
                            struct tg_error *err)
{
    const struct tg_postgres_arg arg[] = {
        { .number = chat_id },
        { .text = s->env->job },
        { .number = (int64_t)fence->token },
        { .number = fence->nonce },
    };

    return tg_postgres_query(s->db,
                 "INSERT INTO @_chats\" VALUES($1, $2, $3, $4)"
                 " ON CONFLICT(chat_id) DO UPDATE SET token = $3, nonce = $4",
                 arg, TG_COUNT(arg), NULL, NULL, err);
}

static tg_code attach(struct sink_postgres *s, int64_t chat_id, const struct tg_fence *fence,
                      struct tg_table_chat **ret, struct tg_error *err)
{
    struct tg_table_writer there;
    struct tg_table_chat *chat;
    tg_code code = tg_table_take(&s->chats, chat_id, &chat, err);

    if (code != TG_OK)
        return code;
    tg_table_leave(chat);
    code = tg_pg_need(s, true, err);
    if (code == TG_OK)
        code = tg_postgres_exec(s->db, "BEGIN", err);
    if (code == TG_OK)
        code = read_writer(s, chat_id, &there, err);
    if (code == TG_OK)
        code = tg_table_may_take(chat, s->env->job, &there, fence, tg_postgres_name(s->db),
                                 "?table=NAME", err);
    if (code == TG_OK)
        code = write_writer(s, chat_id, fence, err);
    if (code == TG_OK)
        code = tg_pg_last(s, chat_id, &chat->last, err);
    code = tg_postgres_end(s->db, code, err);
    if (code != TG_OK)
        return code;
    chat->fence = *fence;
    chat->attached = chat->was_attached = true;
    *ret = chat;
    return TG_OK;
}

static tg_code postgres_attach(void *self, int64_t chat_id, const struct tg_fence *fence,
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

static tg_code postgres_write(void *self, const struct tg_batch *batch, size_t from, size_t n,
                              struct tg_error *err)
{
    struct sink_postgres *s = self;

    return tg_table_write(&s->chats, batch, from, n, err);
}

static tg_code put_commit(struct sink_postgres *s, const struct tg_commit *commit,
                          struct tg_error *err)
{
    struct tg_postgres_arg arg[TG_TABLE_COMMIT_N] = { { NULL, 0 } };
    int64_t v[TG_TABLE_COMMIT_N];

    tg_table_of_commit(commit, v);
    for (int i = 0; i < TG_TABLE_COMMIT_N; i++)
        arg[i].number = v[i];
    return tg_postgres_query(s->db,
                 "INSERT INTO @_commits\"(" TG_TABLE_COMMIT ") VALUES($1, $2, $3, $4, $5, $6, $7,"
                 " $8, $9, $10, $11, $12, $13, $14)",
                 arg, TG_TABLE_COMMIT_N, NULL, NULL, err);
}

static tg_code put_all(struct sink_postgres *s, struct tg_table_chat *chat,
                       const struct tg_commit *commit, struct tg_error *err)
{
    struct tg_table_writer there;
    struct tg_commit recorded;
    tg_code code = read_writer(s, chat->id, &there, err);

    if (code == TG_OK)
        code = tg_table_still(chat, &there, err);
    if (code == TG_OK && chat->rows.n)
        code = tg_pg_put_rows(s, chat, commit, err);
    if (code != TG_OK)
        return code;
    recorded = tg_table_recorded(chat, commit);
    return put_commit(s, &recorded, err);
}

static tg_code postgres_commit(void *self, const struct tg_commit *commit, struct tg_error *err)
{
    struct sink_postgres *s = self;
    struct tg_table_chat *chat;
    tg_code code = tg_table_begin_commit(&s->chats, commit, &chat, err);

    if (code != TG_OK)
        return code;
    code = tg_postgres_exec(s->db, "BEGIN", err);
    if (code == TG_OK)
        code = tg_postgres_end(s->db, put_all(s, chat, commit, err), err);
    return tg_table_end_commit(&s->chats, chat, commit, code);
}

static tg_code postgres_rollback(void *self, int64_t chat_id, const struct tg_fence *fence,
                                 uint64_t seq, struct tg_error *err)
{
    struct sink_postgres *s = self;
    const struct tg_postgres_arg arg[] = { { .number = chat_id }, { .number = (int64_t)seq } };
    struct tg_table_writer there;
    struct tg_table_chat *chat;
    tg_code code = attach(s, chat_id, fence, &chat, err);

    if (code != TG_OK)
        return code;
    tg_table_leave(chat);
    code = tg_postgres_exec(s->db, "BEGIN", err);
    if (code == TG_OK)
        code = read_writer(s, chat_id, &there, err);
    if (code == TG_OK)
        code = tg_table_still(chat, &there, err);
    if (code == TG_OK)
        code = tg_postgres_query(s->db,
                     "DELETE FROM @\" WHERE job_commit > $2 AND (job_chat_id = $1 OR"
                     " (chat_id = $1 AND job_chat_id IS NULL))",
                     arg, TG_COUNT(arg), NULL, NULL, err);
    if (code == TG_OK)
        code = tg_postgres_query(s->db,
                                 "DELETE FROM @_commits\" WHERE chat_id = $1 AND seq > $2", arg,
                                 TG_COUNT(arg), NULL, NULL, err);
    return tg_postgres_end(s->db, code, err);
}

/* ---- reading ---- */

struct piece {
    struct tg_table_scan *scan;
    bool any;
};

static bool take_row(void *ctx, const struct tg_str *value, int n)
{
    struct piece *piece = ctx;

    (void)n;
    piece->any = true;
    return tg_table_seen(piece->scan, tg_postgres_number(value[0]), tg_postgres_number(value[1]));
}

/* Through a cursor, so that no more than a piece is in memory. */
static tg_code scan_rows(struct sink_postgres *s, int64_t chat_id, struct tg_table_scan *scan,
                         struct tg_error *err)
{
    struct piece piece = { scan, true };
    char sql[400];
    tg_code code;

    snprintf(sql, sizeof sql,
             "DECLARE rows NO SCROLL CURSOR FOR SELECT chat_id, id FROM @\" WHERE job_chat_id ="
             " %1$lld OR (chat_id = %1$lld AND job_chat_id IS NULL)"
             " ORDER BY job_chat_id NULLS LAST, owner, id",
             (long long)chat_id);
    code = tg_postgres_exec(s->db, sql, err);
    while (code == TG_OK && piece.any && !scan->stopped) {
        piece.any = false;
        code = tg_postgres_query(s->db, "FETCH 10000 FROM rows", NULL, 0, take_row, &piece, err);
    }
    return code;
}

static tg_code postgres_scan(void *self, int64_t chat_id, tg_sink_seen seen, void *ctx,
                             struct tg_error *err)
{
    struct sink_postgres *s = self;
    struct tg_table_scan scan = { .seen = seen, .ctx = ctx };
    struct tg_commit last;
    tg_code code = tg_pg_need(s, false, err);

    if (code == TG_NOT_FOUND)
        return TG_OK;
    if (code == TG_OK)
        code = tg_postgres_exec(s->db, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", err);
    if (code == TG_OK)
        code = tg_pg_last(s, chat_id, &last, err);
    if (code == TG_OK)
        code = scan_rows(s, chat_id, &scan, err);
    code = tg_postgres_end(s->db, code, err);
    return code == TG_OK ? tg_table_scanned(&scan, &last, chat_id, s->table, err) : code;
}

struct hand {
    tg_commit_seen seen;
    void *ctx;
};

static bool hand_commit(void *ctx, const struct tg_str *value, int n)
{
    const struct hand *hand = ctx;
    struct tg_commit commit;

    take_commit(&commit, value, n);
    return hand->seen(hand->ctx, &commit);
}

static tg_code postgres_commits(void *self, int64_t chat_id, tg_commit_seen seen, void *ctx,
                                struct tg_error *err)
{
    struct sink_postgres *s = self;
    const struct tg_postgres_arg arg = { .number = chat_id };
    struct hand hand = { seen, ctx };
    tg_code code = tg_pg_need(s, false, err);

    if (code == TG_NOT_FOUND)
        return TG_OK;
    return code != TG_OK ? code
                         : tg_postgres_query(s->db,
                                 "SELECT " TG_TABLE_COMMIT " FROM @_commits\" WHERE chat_id = $1"
                                 " ORDER BY seq",
                                 &arg, 1, hand_commit, &hand, err);
}

static uint64_t postgres_bytes(const void *self)
{
    const struct sink_postgres *s = self;

    return s->chats.bytes;
}

static const struct tg_option postgres_option[] = {
    { .name = "table",
      .type = TG_OPT_STR,
      .offset = offsetof(struct sink_postgres, table),
      .fallback = "messages",
      .help = "name of the table; others with the same beginning stand beside it" },
    TG_POSTGRES_OPTIONS(sink_postgres),
    { 0 },
};

const struct tg_sink_ops tg_sink_postgres = {
    .head = { "postgres", "a table in a PostgreSQL database, exactly once", postgres_option,
              sizeof(struct sink_postgres) },
    .open = postgres_open,
    .attach = postgres_attach,
    .write = postgres_write,
    .commit = postgres_commit,
    .rollback = postgres_rollback,
    .scan = postgres_scan,
    .commits = postgres_commits,
    .read = tg_pg_read,
    .chats = tg_pg_chats,
    .series = true,
    .bytes = postgres_bytes,
    .close = postgres_close,
};

/* SPDX-License-Identifier: MIT */
/*
 * table_sink.c - see table_sink.h
 */
#include "sink/table_sink.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "client/sql.h"

enum { HELD_MAX = 64 << 20, CHATS_MAX = 65536, READ_BYTES = 16 << 20, REFUSED_FEW = 100 };

void tg_table_init(struct tg_table_chats *s)
{
    s->room.most = HELD_MAX;
}

void tg_table_done(struct tg_table_chats *s)
{
    for (size_t i = 0; i < s->n; i++) {
        tg_staged_done(&s->chat[i]->rows);
        free(s->chat[i]);
    }
    free(s->chat);
    s->chat = NULL;
    s->n = 0;
}

static struct tg_table_chat *find(struct tg_table_chats *s, int64_t id)
{
    for (size_t i = 0; i < s->n; i++)
        if (s->chat[i]->id == id)
            return s->chat[i];
    return NULL;
}

tg_code tg_table_take(struct tg_table_chats *s, int64_t id, struct tg_table_chat **ret,
                      struct tg_error *err)
{
    struct tg_table_chat **more;

    if ((*ret = find(s, id)))
        return TG_OK;
    if (s->n == CHATS_MAX)
        return tg_fail(err, TG_LIMIT, "more than %d chats in one run", CHATS_MAX);
    more = reallocarray(s->chat, s->n + 1, sizeof(struct tg_table_chat *));
    if (more)
        s->chat = more;
    *ret = more ? calloc(1, sizeof **ret) : NULL;
    if (!*ret)
        return tg_fail(err, TG_NOMEM, "one more chat");
    (*ret)->id = id;
    tg_staged_init(&(*ret)->rows, &s->room);
    s->chat[s->n++] = *ret;
    return TG_OK;
}

void tg_table_leave(struct tg_table_chat *chat)
{
    chat->attached = false;
    tg_staged_clear(&chat->rows);
}

/* ---- who writes ---- */

static bool same(const struct tg_fence *a, const struct tg_fence *b)
{
    return a->token == b->token && a->nonce == b->nonce;
}

static tg_code shut_out(int64_t chat_id, struct tg_error *err)
{
    tg_fail(err, TG_CONFLICT, "chat %lld was taken over by another run", (long long)chat_id);
    return tg_hint(err, "let that run end, or stop it, before this one goes on");
}

tg_code tg_table_may_take(const struct tg_table_chat *chat, const char *job,
                          const struct tg_table_writer *there, const struct tg_fence *fence,
                          const char *where, const char *hint, struct tg_error *err)
{
    if (!*there->job)
        return TG_OK;
    if (strcmp(there->job, job) != 0) {
        tg_fail(err, TG_USAGE, "chat %lld in %.120s belongs to job '%.80s'", (long long)chat->id,
                where, there->job);
        return tg_hint(err, "name that job, or another place: %s", hint);
    }
    if (there->fence.token > fence->token)
        return shut_out(chat->id, err);
    /* one that wrote with this very fence and finds another there was shut out meanwhile */
    return chat->was_attached && same(&chat->fence, fence) && !same(&there->fence, fence)
               ? shut_out(chat->id, err)
               : TG_OK;
}

tg_code tg_table_still(const struct tg_table_chat *chat, const struct tg_table_writer *there,
                       struct tg_error *err)
{
    return *there->job && same(&there->fence, &chat->fence) ? TG_OK : shut_out(chat->id, err);
}

/* ---- writing ---- */

static tg_code not_taken(int64_t chat_id, struct tg_error *err)
{
    return tg_fail(err, TG_INTERNAL, "chat %lld was not taken up", (long long)chat_id);
}

tg_code tg_table_writing(struct tg_table_chats *s, int64_t chat_id, struct tg_table_chat **ret,
                         struct tg_error *err)
{
    *ret = find(s, chat_id);
    return *ret && (*ret)->attached ? TG_OK : not_taken(chat_id, err);
}

tg_code tg_table_write(struct tg_table_chats *s, const struct tg_batch *batch, size_t from,
                       size_t n, struct tg_error *err)
{
    struct tg_table_chat *chat;
    tg_code code = tg_table_writing(s, batch->cursor.chat_id, &chat, err);

    assert(from <= batch->n && n <= batch->n - from);
    if (code != TG_OK)
        return code;
    for (size_t i = from; code == TG_OK && i < from + n; i++)
        code = tg_staged_add(&chat->rows, &batch->row[i], err);
    if (code != TG_OK)
        tg_table_leave(chat);
    return code;
}

tg_code tg_table_begin_commit(struct tg_table_chats *s, const struct tg_commit *commit,
                              struct tg_table_chat **ret, struct tg_error *err)
{
    struct tg_table_chat *chat = find(s, commit->cursor.chat_id);

    if (!chat || !chat->attached)
        return not_taken(commit->cursor.chat_id, err);
    *ret = chat;
    chat->refused = 0;
    if (commit->seq == chat->last.seq + 1 && commit->rows == chat->rows.n &&
        commit->rows_total == chat->last.rows_total + commit->rows)
        return TG_OK;
    tg_table_leave(chat);
    return tg_fail(err, TG_INTERNAL, "commit %llu of chat %lld does not follow",
                   (unsigned long long)commit->seq, (long long)chat->id);
}

tg_code tg_table_end_commit(struct tg_table_chats *s, struct tg_table_chat *chat,
                            const struct tg_commit *commit, tg_code code)
{
    if (code != TG_OK) {
        tg_table_leave(chat);
        return code;
    }
    s->bytes += chat->rows.file.size + chat->rows.rows.len;
    tg_staged_clear(&chat->rows);
    chat->last = tg_table_recorded(chat, commit);
    return TG_OK;
}

static bool most(uint64_t refused, uint64_t n)
{
    return refused >= REFUSED_FEW && refused > n / 2;
}

tg_code tg_table_refuse(struct tg_table_chat *chat, const struct tg_sink_env *env,
                        const struct tg_row *row, const struct tg_error *why,
                        struct tg_error *err)
{
    tg_code code;

    *err = *why;
    if (!env->refuse)
        return err->code;
    if (most(chat->refused, chat->rows.n) ||
        most(chat->last.refused + chat->refused, chat->last.rows_total + chat->rows.n))
        return tg_hint(err, "it refuses most rows: look at the table's constraints and triggers");
    code = env->refuse(env->ctx, row, why->message, err);
    chat->refused += code == TG_OK;
    return code;
}

struct tg_commit tg_table_recorded(const struct tg_table_chat *chat,
                                   const struct tg_commit *commit)
{
    struct tg_commit recorded = *commit;

    recorded.refused = chat->last.refused + chat->refused;
    return recorded;
}

void tg_table_of_commit(const struct tg_commit *c, int64_t out[TG_TABLE_COMMIT_N])
{
    const int64_t v[TG_TABLE_COMMIT_N] = {
        c->cursor.chat_id,
        (int64_t)c->seq,
        c->cursor.segment,
        c->cursor.id,
        c->cursor.owner,
        (int64_t)c->batches,
        (int64_t)c->rows,
        (int64_t)c->rows_total,
        c->covered_from,
        c->last_id,
        c->last_date,
        (int64_t)c->fence,
        c->complete,
        (int64_t)c->refused,
    };

    memcpy(out, v, sizeof v);
}

struct tg_commit tg_table_to_commit(const int64_t v[TG_TABLE_COMMIT_N])
{
    return (struct tg_commit){
        .cursor = { .chat_id = v[0], .segment = (int32_t)v[2], .id = v[3], .owner = v[4] },
        .seq = (uint64_t)v[1],
        .batches = (uint64_t)v[5],
        .rows = (uint64_t)v[6],
        .rows_total = (uint64_t)v[7],
        .covered_from = v[8],
        .last_id = v[9],
        .last_date = v[10],
        .fence = (uint64_t)v[11],
        .complete = v[12] != 0,
        .refused = (uint64_t)v[13],
    };
}

/* ---- reading ---- */

bool tg_table_seen(struct tg_table_scan *scan, int64_t chat_id, int64_t id)
{
    scan->rows++;
    scan->stopped = !scan->seen(scan->ctx, chat_id, id);
    return !scan->stopped;
}

tg_code tg_table_scanned(const struct tg_table_scan *scan, const struct tg_commit *last,
                         int64_t chat_id, const char *table, struct tg_error *err)
{
    uint64_t told = last->rows_total - last->refused;

    if (scan->stopped || scan->rows == told)
        return TG_OK;
    return tg_fail(err, TG_CORRUPT, "table '%s' has %llu rows of chat %lld, its commits tell %llu",
                   table, (unsigned long long)scan->rows, (long long)chat_id,
                   (unsigned long long)told);
}

/* ---- reading back ---- */

static tg_code give_batch(struct tg_table_read *r, struct tg_error *err)
{
    tg_code code = r->batch->n ? r->taken(r->ctx, r->batch, err) : TG_OK;

    tg_batch_clear(r->batch);
    return code;
}

tg_code tg_table_next_row(struct tg_table_read *r, struct tg_error *err)
{
    struct tg_batch *b = r->batch;
    tg_code code = TG_OK;

    if (b->n == b->cap || b->bytes >= READ_BYTES)
        code = give_batch(r, err);
    if (code != TG_OK)
        return code;
    r->row = tg_batch_row(b);
    r->rows++;
    return TG_OK;
}

tg_code tg_table_take_field(struct tg_table_read *r, int field, struct tg_str text,
                            struct tg_error *err)
{
    tg_code code = tg_row_take(r->batch, r->row, (enum tg_field_id)field, text);

    if (code == TG_NOMEM)
        return tg_fail(err, code, "no memory for a row");
    if (code != TG_OK)
        return tg_fail(err, TG_CORRUPT, "column '%s' of row %llu is '%.*s'",
                       tg_field((enum tg_field_id)field)->name, (unsigned long long)r->rows,
                       (int)TG_MIN(text.len, 60u), text.len ? text.at : "");
    return TG_OK;
}

tg_code tg_table_rows_end(struct tg_table_read *r, struct tg_error *err)
{
    return give_batch(r, err);
}

struct tg_table_from tg_table_from(const struct tg_cursor *behind, const struct tg_commit *last)
{
    struct tg_table_from from = { .by_post = last->cursor.segment == TG_SEGMENT_THREADS };

    if (from.by_post)
        return from;
    from.old_id = behind->segment ? INT64_MAX : behind->id;
    from.id = behind->segment == last->cursor.segment ? behind->id : 0;
    return from;
}

/* ---- columns ---- */

bool tg_table_is_key(int field)
{
    return field == TG_F_chat_id || field == TG_F_owner || field == TG_F_id;
}

tg_code tg_table_lacks_key(const char *table, const char *column, const char *where,
                           struct tg_error *err)
{
    tg_fail(err, TG_IO, "table '%s' of '%.200s' has no column '%s', which rows are known by", table,
            where, column);
    return tg_hint(err, "put it back, or name another table: ?table=NAME");
}

tg_code tg_table_path(const char *path, const char *driver, struct tg_error *err)
{
    if (*path && strncmp(path, "//", 2) != 0)
        return TG_OK;
    if (*path)
        tg_fail(err, TG_USAGE, "'%.200s' is no path of a file", path);
    else
        tg_fail(err, TG_USAGE, "no file is named for the output");
    return tg_hint(err, *path ? "write it without '//': %s:FILE" : "write it as %s:FILE", driver);
}

tg_code tg_table_name(const char **table, char room[TG_TABLE_NAME], const struct tg_sink_env *env,
                      struct tg_error *err)
{
    tg_code code = tg_sql_check_name("a table", *table, err);

    if (code != TG_OK || !env->series)
        return code;
    snprintf(room, TG_TABLE_NAME, "%s_%s", *table, env->series);
    *table = room;
    return tg_sql_check_name("a table", room, err);
}

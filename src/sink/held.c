/* SPDX-License-Identifier: MIT */
/*
 * held.c - see held.h
 */
#include "sink/held.h"

#include <assert.h>
#include <stdlib.h>

enum { HELD_MAX = 64 << 20, CHATS_MAX = 65536, READ_BYTES = 16 << 20, REFUSED_FEW = 100 };

void tg_held_init(struct tg_held *s)
{
    s->room.most = HELD_MAX;
}

void tg_held_done(struct tg_held *s)
{
    for (size_t i = 0; i < s->n; i++) {
        tg_staged_done(&s->chat[i]->rows);
        free(s->chat[i]);
    }
    free(s->chat);
    s->chat = NULL;
    s->n = 0;
}

static struct tg_held_chat *find(struct tg_held *s, int64_t id)
{
    for (size_t i = 0; i < s->n; i++)
        if (s->chat[i]->id == id)
            return s->chat[i];
    return NULL;
}

tg_code tg_held_take(struct tg_held *s, int64_t id, struct tg_held_chat **ret,
                     struct tg_error *err)
{
    struct tg_held_chat **more;

    if ((*ret = find(s, id)))
        return TG_OK;
    if (s->n == CHATS_MAX)
        return tg_fail(err, TG_LIMIT, "more than %d chats in one run", CHATS_MAX);
    more = reallocarray(s->chat, s->n + 1, sizeof(struct tg_held_chat *));
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

void tg_held_leave(struct tg_held_chat *chat)
{
    chat->attached = false;
}

void tg_held_forget(struct tg_held_chat *chat)
{
    chat->attached = false;
    tg_staged_clear(&chat->rows);
}

void tg_held_attached(struct tg_held_chat *chat, const struct tg_fence *fence,
                      const struct tg_commit *last)
{
    const struct tg_commit *was = &chat->last;

    if (was->seq != last->seq || was->rows_total != last->rows_total ||
        was->cursor.segment != last->cursor.segment || was->cursor.id != last->cursor.id)
        tg_staged_clear(&chat->rows);
    chat->last = *last;
    chat->fence = *fence;
    chat->attached = chat->was_attached = true;
}

tg_code tg_held_stands(const struct tg_held_chat *chat, tg_code code, struct tg_commit *ret)
{
    if (code != TG_OK)
        return code;
    if (!chat->last.seq)
        return TG_END;
    *ret = chat->last;
    return TG_OK;
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

tg_code tg_held_may_take(const struct tg_held_chat *chat, const char *job,
                         const struct tg_held_writer *there, const struct tg_fence *fence,
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

tg_code tg_held_still(const struct tg_held_chat *chat, const struct tg_held_writer *there,
                      struct tg_error *err)
{
    return *there->job && same(&there->fence, &chat->fence) ? TG_OK : shut_out(chat->id, err);
}

/* ---- writing ---- */

static tg_code not_taken(int64_t chat_id, struct tg_error *err)
{
    return tg_fail(err, TG_INTERNAL, "chat %lld was not taken up", (long long)chat_id);
}

tg_code tg_held_writing(struct tg_held *s, int64_t chat_id, struct tg_held_chat **ret,
                        struct tg_error *err)
{
    *ret = find(s, chat_id);
    return *ret && (*ret)->attached ? TG_OK : not_taken(chat_id, err);
}

tg_code tg_held_written(struct tg_held_chat *chat, struct tg_staged_mark before, tg_code code)
{
    if (code != TG_OK) {
        tg_staged_cut(&chat->rows, before);
        tg_held_leave(chat);
    }
    return code;
}

tg_code tg_held_write(struct tg_held *s, const struct tg_batch *batch, size_t from, size_t n,
                      struct tg_error *err)
{
    struct tg_staged_mark before;
    struct tg_held_chat *chat;
    tg_code code = tg_held_writing(s, batch->cursor.chat_id, &chat, err);

    assert(from <= batch->n && n <= batch->n - from);
    if (code != TG_OK)
        return code;
    before = tg_staged_mark(&chat->rows);
    for (size_t i = from; code == TG_OK && i < from + n; i++)
        code = tg_staged_add(&chat->rows, &batch->row[i], err);
    return tg_held_written(chat, before, code);
}

tg_code tg_held_begin_commit(struct tg_held *s, const struct tg_commit *commit,
                             struct tg_held_chat **ret, struct tg_error *err)
{
    struct tg_held_chat *chat = find(s, commit->cursor.chat_id);

    if (!chat || !chat->attached)
        return not_taken(commit->cursor.chat_id, err);
    *ret = chat;
    chat->refused = 0;
    if (commit->seq == chat->last.seq + 1 && commit->rows == chat->rows.n &&
        commit->rows_total == chat->last.rows_total + commit->rows)
        return TG_OK;
    tg_held_forget(chat);
    return tg_fail(err, TG_INTERNAL, "commit %llu of chat %lld does not follow",
                   (unsigned long long)commit->seq, (long long)chat->id);
}

tg_code tg_held_end_commit(struct tg_held *s, struct tg_held_chat *chat,
                           const struct tg_commit *commit, tg_code code)
{
    if (code != TG_OK) {
        tg_held_leave(chat);
        return code;
    }
    s->bytes += chat->rows.file.size + chat->rows.rows.len;
    tg_staged_clear(&chat->rows);
    chat->last = tg_held_recorded(chat, commit);
    return TG_OK;
}

static bool most(uint64_t refused, uint64_t n)
{
    return refused >= REFUSED_FEW && refused > n / 2;
}

tg_code tg_held_refuse(struct tg_held_chat *chat, const struct tg_sink_env *env,
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

struct tg_commit tg_held_recorded(const struct tg_held_chat *chat,
                                  const struct tg_commit *commit)
{
    struct tg_commit recorded = *commit;

    recorded.refused = chat->last.refused + chat->refused;
    return recorded;
}

/* ---- commits as numbers ---- */

void tg_held_numbers(const struct tg_commit *c, int64_t out[TG_HELD_COMMIT_N])
{
    const int64_t v[TG_HELD_COMMIT_N] = {
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

struct tg_commit tg_held_commit(const int64_t v[TG_HELD_COMMIT_N])
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

/* ---- rows that are read back ---- */

tg_code tg_held_give(struct tg_held_back *b, struct tg_error *err)
{
    tg_code code = b->batch->n ? b->taken(b->ctx, b->batch, err) : TG_OK;

    tg_batch_clear(b->batch);
    return code;
}

tg_code tg_held_room(struct tg_held_back *b, struct tg_error *err)
{
    bool full = b->batch->n == b->batch->cap || b->batch->bytes >= READ_BYTES;

    return full ? tg_held_give(b, err) : TG_OK;
}

/* SPDX-License-Identifier: MIT */
/*
 * several.c - see several.h
 *
 * The caller counts commits and rows as the destination counts them that was furthest behind when
 * the chat was taken up; `base` is where all stood then or after the last commit in its numbers,
 * `last` in those of each. A commit that failed leaves some at `last` and some at `tried`: attach
 * finds out which, and speaks of `base` until all are at `tried`. Where all parts hold their rows
 * (`again`), one that stands at `last` has its `rows` still; those of a write that failed elsewhere
 * come once more, and are what it `has`.
 *
 * Lock protocol: a part's fields of a call are its thread's while `busy`, else the caller's.
 */
#include "sink/several.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "os/queue.h"

struct chat {
    int64_t id;
    struct tg_commit base, trying; /* as the caller counts; trying.seq 0: no commit has failed */
    struct tg_commit last[TG_SEVERAL_MAX], tried[TG_SEVERAL_MAX];
    uint64_t rows[TG_SEVERAL_MAX]; /* written since */
    uint64_t has[TG_SEVERAL_MAX];  /* rows that it has already, and that come again */
    bool known;
};

struct several;

struct call {
    enum { CALL_NONE, CALL_ATTACH, CALL_WRITE, CALL_COMMIT, CALL_END } what;
    struct tg_fence fence;
    int64_t chat_id;
    bool again; /* an attach */
    const struct tg_batch *batch;
    size_t from, n;
    size_t due, had; /* of a write: rows behind where it stands; of these it has so many */
    struct tg_commit commit; /* to be made; that attach found */
    tg_code code;
    struct tg_error err;
};

struct part {
    struct several *of;
    struct tg_sink sink;
    pthread_t thread;
    bool started, busy;
    struct call call;
};

struct several {
    struct part part[TG_SEVERAL_MAX];
    const char *name[TG_SEVERAL_MAX];
    size_t n;
    bool holds; /* all parts do */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct chat **chat;
    size_t n_chats;
};

/* ---- calls, all at the same time ---- */

static void make_call(const struct tg_sink *sink, struct call *c)
{
    c->err = (struct tg_error){ .code = TG_OK };
    switch (c->what) {
    case CALL_ATTACH:
        c->commit = (struct tg_commit){ .cursor.chat_id = c->chat_id };
        c->code = (c->again ? sink->ops->again : sink->ops->attach)(
            sink->self, c->chat_id, &c->fence, &c->commit, &c->err);
        break;
    case CALL_WRITE:
        c->code = sink->ops->write(sink->self, c->batch, c->from, c->n, &c->err);
        break;
    case CALL_COMMIT:
        c->code = sink->ops->commit(sink->self, &c->commit, &c->err);
        break;
    case CALL_NONE:
    case CALL_END:
        c->code = TG_OK;
    }
}

static void *run_part(void *arg)
{
    struct part *p = arg;
    struct several *s = p->of;
    bool more = true;

    pthread_mutex_lock(&s->lock);
    while (more) {
        while (!p->busy)
            pthread_cond_wait(&s->changed, &s->lock);
        pthread_mutex_unlock(&s->lock);
        more = p->call.what != CALL_END;
        make_call(&p->sink, &p->call);
        pthread_mutex_lock(&s->lock);
        p->busy = false;
        pthread_cond_broadcast(&s->changed);
    }
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

/* Makes the calls that parts have; waits for all. */
static void make_calls(struct several *s)
{
    bool busy = true;

    pthread_mutex_lock(&s->lock);
    for (size_t i = 0; i < s->n; i++)
        s->part[i].busy = s->part[i].started && s->part[i].call.what != CALL_NONE;
    pthread_cond_broadcast(&s->changed);
    while (busy) {
        busy = false;
        for (size_t i = 0; i < s->n; i++)
            busy |= s->part[i].busy;
        if (busy)
            pthread_cond_wait(&s->changed, &s->lock);
    }
    pthread_mutex_unlock(&s->lock);
}

static void clear_calls(struct several *s)
{
    for (size_t i = 0; i < s->n; i++) {
        s->part[i].call.what = CALL_NONE;
        s->part[i].call.code = TG_OK;
    }
}

/* @return the first failure, with the destination's name; one that ends the run before one that may
 * pass */
static tg_code result(struct several *s, struct tg_error *err)
{
    const struct call *worst = NULL;
    size_t at = 0;

    for (size_t i = 0; i < s->n; i++) {
        const struct call *c = &s->part[i].call;
        bool failed = c->what != CALL_NONE && c->code != TG_OK && c->code != TG_END;

        if (failed && (!worst || (tg_code_retry(worst->code) != TG_RETRY_NEVER &&
                                  tg_code_retry(c->code) == TG_RETRY_NEVER))) {
            worst = c;
            at = i;
        }
    }
    if (!worst)
        return TG_OK;
    *err = worst->err;
    snprintf(err->message, sizeof err->message, "%.100s: %.200s", tg_sink_shown(s->name[at]).text,
             worst->err.message);
    return worst->code;
}

/* ---- chats ---- */

static struct chat *find(const struct several *s, int64_t id)
{
    for (size_t i = 0; i < s->n_chats; i++)
        if (s->chat[i]->id == id)
            return s->chat[i];
    return NULL;
}

static struct chat *take(struct several *s, int64_t id)
{
    struct chat *c = find(s, id), **more;

    if (c)
        return c;
    more = reallocarray(s->chat, s->n_chats + 1, sizeof(struct chat *));
    if (!more)
        return NULL;
    s->chat = more;
    c = calloc(1, sizeof *c);
    if (c) {
        c->id = id;
        s->chat[s->n_chats++] = c;
    }
    return c;
}

static bool same(const struct tg_commit *a, const struct tg_commit *b)
{
    return a->seq == b->seq && a->rows_total == b->rows_total &&
           a->cursor.segment == b->cursor.segment && (!a->seq || a->cursor.id == b->cursor.id);
}

static bool is_behind(const struct tg_cursor *a, const struct tg_cursor *b)
{
    return a->segment != b->segment ? a->segment > b->segment : a->id > b->id;
}

/* Whether a stands before b. */
static bool is_before(const struct tg_commit *a, const struct tg_commit *b)
{
    if (!a->seq || !b->seq)
        return !a->seq && b->seq;
    return is_behind(&b->cursor, &a->cursor) ||
           (!is_behind(&a->cursor, &b->cursor) && !a->complete && b->complete);
}

/* Where all go on, as the caller counts. */
static void settle(struct several *s, struct chat *c, bool again)
{
    bool at_last = true, at_tried = c->trying.seq > 0, known = c->known;
    size_t lowest = 0;

    for (size_t i = 0; known && i < s->n; i++) {
        const struct tg_commit *there = &s->part[i].call.commit;
        bool there_tried = c->trying.seq && same(there, &c->tried[i]);

        at_tried &= there_tried;
        at_last &= there_tried || same(there, &c->last[i]);
    }
    for (size_t i = 0; i < s->n; i++) {
        if (!again || !same(&s->part[i].call.commit, &c->last[i])) {
            c->has[i] = tg_sink_remembers(&s->part[i].sink) ? 0 : c->has[i] + c->rows[i];
            c->rows[i] = 0;
        }
        c->last[i] = s->part[i].call.commit;
        if (is_before(&c->last[i], &c->last[lowest]))
            lowest = i;
    }
    if (known && at_tried)
        c->base = c->trying;
    else if (!known || !at_last)
        c->base = c->last[lowest];
    c->trying = (struct tg_commit){ 0 };
    c->known = true;
}

static tg_code take_up(struct several *s, int64_t chat_id, const struct tg_fence *fence, bool again,
                       struct tg_commit *ret, struct tg_error *err)
{
    struct chat *c = take(s, chat_id);
    tg_code code;

    clear_calls(s);
    if (!c)
        return tg_fail(err, TG_NOMEM, "no memory for a chat");
    for (size_t i = 0; i < s->n; i++) {
        struct call *call = &s->part[i].call;

        *call = (struct call){ .what = CALL_ATTACH, .fence = *fence, .chat_id = chat_id,
                               .again = again };
        if (tg_sink_remembers(&s->part[i].sink))
            continue;
        call->what = CALL_NONE;
        call->commit = c->last[i];
    }
    make_calls(s);
    code = result(s, err);
    if (code != TG_OK)
        return code;
    settle(s, c, again);
    if (!c->base.seq)
        return TG_END;
    *ret = c->base;
    return TG_OK;
}

static tg_code several_attach(void *self, int64_t chat_id, const struct tg_fence *fence,
                              struct tg_commit *ret, struct tg_error *err)
{
    return take_up(self, chat_id, fence, false, ret, err);
}

static tg_code several_again(void *self, int64_t chat_id, const struct tg_fence *fence,
                             struct tg_commit *ret, struct tg_error *err)
{
    return take_up(self, chat_id, fence, true, ret, err);
}

/* What each has after a write that failed at one of them. */
static void note_failed_write(struct several *s, struct chat *c)
{
    for (size_t i = 0; i < s->n; i++) {
        const struct call *call = &s->part[i].call;

        if (s->holds) {
            c->rows[i] -= call->due; /* they come again */
            c->has[i] = call->code == TG_OK ? call->due : call->had;
        } else if (call->code != TG_OK) {
            c->rows[i] = c->has[i] = 0; /* a stream forgets them all */
        }
    }
}

static tg_code several_write(void *self, const struct tg_batch *batch, size_t from, size_t n,
                             struct tg_error *err)
{
    struct several *s = self;
    struct chat *c = find(s, batch->cursor.chat_id);
    tg_code code;

    clear_calls(s);
    if (!c || !c->known)
        return tg_fail(err, TG_INTERNAL, "chat %lld was not taken up",
                       (long long)batch->cursor.chat_id);
    for (size_t i = 0; i < s->n; i++) {
        struct tg_cursor at = { .segment = batch->cursor.segment };
        struct call *call = &s->part[i].call;
        size_t skip = 0;

        for (; c->last[i].seq && skip < n; skip++) {
            at.id = tg_row_place(&batch->row[from + skip], at.segment);
            if (is_behind(&at, &c->last[i].cursor))
                break;
        }
        *call = (struct call){ .batch = batch, .due = n - skip };
        call->had = (size_t)TG_MIN(c->has[i], (uint64_t)call->due);
        c->rows[i] += call->due;
        c->has[i] -= call->had;
        call->from = from + skip + call->had;
        call->n = call->due - call->had;
        if (call->n)
            call->what = CALL_WRITE;
    }
    make_calls(s);
    code = result(s, err);
    if (code != TG_OK)
        note_failed_write(s, c);
    return code;
}

/* The caller's commit as one destination makes it. */
static struct tg_commit own_commit(const struct chat *c, size_t i, const struct tg_commit *given)
{
    const struct tg_commit *last = &c->last[i];
    struct tg_commit own = *given;

    own.seq = last->seq + 1;
    own.rows = c->rows[i];
    own.rows_total = last->rows_total + own.rows;
    if (last->seq && last->cursor.segment == given->cursor.segment &&
        given->covered_from <= given->cursor.id)
        own.covered_from = last->rows ? last->cursor.id + 1 : last->covered_from;
    if (!own.rows) {
        own.last_id = last->last_id;
        own.last_date = last->last_date;
    }
    return own;
}

static tg_code several_commit(void *self, const struct tg_commit *commit, struct tg_error *err)
{
    struct several *s = self;
    struct chat *c = find(s, commit->cursor.chat_id);
    tg_code code;

    clear_calls(s);
    if (!c || !c->known)
        return tg_fail(err, TG_INTERNAL, "chat %lld was not taken up",
                       (long long)commit->cursor.chat_id);
    c->trying = *commit;
    for (size_t i = 0; i < s->n; i++) {
        c->tried[i] = c->last[i];
        if (!c->rows[i] && !is_before(&c->last[i], commit))
            continue; /* it is there already */
        c->tried[i] = own_commit(c, i, commit);
        s->part[i].call = (struct call){ .what = CALL_COMMIT, .commit = c->tried[i] };
    }
    make_calls(s);
    code = result(s, err);
    for (size_t i = 0; i < s->n; i++) {
        bool made = s->part[i].call.code == TG_OK;

        if (code == TG_OK || (made && !tg_sink_remembers(&s->part[i].sink)))
            c->last[i] = c->tried[i];
        if (code == TG_OK || !s->holds)
            c->rows[i] = c->has[i] = 0;
    }
    if (code != TG_OK)
        return code;
    c->base = *commit;
    c->trying = (struct tg_commit){ 0 };
    return TG_OK;
}

static uint64_t several_bytes(const void *self)
{
    const struct several *s = self;
    uint64_t bytes = 0;

    for (size_t i = 0; i < s->n; i++)
        bytes += s->part[i].sink.ops->bytes(s->part[i].sink.self);
    return bytes;
}

static void several_close(void *self)
{
    struct several *s = self;

    for (size_t i = 0; i < s->n; i++)
        s->part[i].call.what = CALL_END;
    make_calls(s);
    for (size_t i = 0; i < s->n; i++) {
        if (s->part[i].started)
            pthread_join(s->part[i].thread, NULL);
        tg_sink_close(&s->part[i].sink);
    }
    for (size_t i = 0; i < s->n_chats; i++)
        free(s->chat[i]);
    free(s->chat);
    pthread_mutex_destroy(&s->lock);
    pthread_cond_destroy(&s->changed);
}

#define SEVERAL_OPS                                                                                \
    .head = { "several", "several destinations", NULL, sizeof(struct several) },                   \
    .attach = several_attach, .write = several_write, .commit = several_commit,                    \
    .bytes = several_bytes, .close = several_close

static const struct tg_sink_ops several_ops = { SEVERAL_OPS };
static const struct tg_sink_ops holding_ops = { SEVERAL_OPS, .again = several_again };

/* ---- making and asking ---- */

tg_code tg_several_new(struct tg_sink *part, const char *const *name, size_t n,
                       struct tg_sink *ret, struct tg_error *err)
{
    struct tg_sink made = { .ops = &several_ops, .self = calloc(1, sizeof(struct several)) };
    struct several *s = made.self;
    tg_code code = TG_OK;

    assert(n <= TG_SEVERAL_MAX);
    if (!s) {
        for (size_t i = 0; i < n; i++)
            tg_sink_close(&part[i]);
        return tg_fail(err, TG_NOMEM, "no memory for destinations");
    }
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->changed, NULL);
    s->n = n;
    s->holds = true;
    for (size_t i = 0; i < n; i++)
        s->holds &= part[i].ops->again != NULL;
    if (s->holds)
        made.ops = &holding_ops;
    for (size_t i = 0; i < n; i++) {
        struct part *p = &s->part[i];

        p->of = s;
        p->sink = part[i];
        s->name[i] = name[i];
        if (code == TG_OK)
            code = tg_thread_start(&p->thread, "destination", run_part, p, err);
        p->started = code == TG_OK;
    }
    if (code != TG_OK)
        tg_sink_close(&made);
    else
        *ret = made;
    return code;
}

static bool is_several(const struct tg_sink *sink)
{
    return sink->ops == &several_ops || sink->ops == &holding_ops;
}

size_t tg_several_n(const struct tg_sink *sink)
{
    return is_several(sink) ? ((const struct several *)sink->self)->n : 1;
}

const struct tg_sink *tg_several_part(const struct tg_sink *sink, size_t i)
{
    return is_several(sink) ? &((const struct several *)sink->self)->part[i].sink : sink;
}

bool tg_several_did(const struct tg_sink *sink, size_t i, tg_code *ret, struct tg_error *err)
{
    const struct call *c = &((const struct several *)sink->self)->part[i].call;

    if (c->what == CALL_NONE)
        return false;
    *ret = c->code;
    *err = c->err;
    return true;
}

struct tg_commit tg_several_last(const struct tg_sink *sink, size_t i, int64_t chat_id)
{
    const struct chat *c = find(sink->self, chat_id);

    return c ? c->last[i] : (struct tg_commit){ .cursor.chat_id = chat_id };
}

bool tg_several_stands(const struct tg_sink *sink, size_t i, const struct tg_commit *at)
{
    struct chat *c = take(sink->self, at->cursor.chat_id);

    if (c) {
        c->last[i] = *at;
        c->rows[i] = c->has[i] = 0;
    }
    return c != NULL;
}

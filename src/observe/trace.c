/* SPDX-License-Identifier: MIT */
/*
 * trace.c - see trace.h and trace_impl.h
 */
#include "observe/trace_impl.h"

#include <stdio.h>
#include <stdlib.h>

enum { BATCHES_MAX = 4096 };

/* By enum tg_trace_pattern. */
static const struct {
    const char *name;
    bool mixed; /* batches are of any chats, and hang on the job */
    bool apart; /* what hangs on the job is a trace of its own */
} patterns[] = {
    [TG_TRACE_BATCH] = { "batch", false, false },
    [TG_TRACE_WORKER] = { "worker", false, true },
    [TG_TRACE_STREAM] = { "stream", true, true },
    [TG_TRACE_DELTA] = { "delta", true, false },
    [TG_TRACE_TRANSFORM] = { "transform", true, false },
};

/* ---- what every span has ---- */

uint64_t trace_new_id(struct tg_trace *t)
{
    const struct tg_random random = tg_random_seeded(&t->seeded);
    uint64_t id;

    do
        id = tg_random_u64(&random);
    while (!id);
    return id;
}

static void new_trace(const struct tg_random *random, uint8_t trace[TG_TRACE_ID])
{
    do
        tg_random_fill(random, trace, TG_TRACE_ID);
    while (!trace[0]);
}

struct trace_place trace_below(const struct trace_place *p, uint64_t id)
{
    struct trace_place ret = *p;

    ret.parent = id;
    return ret;
}

struct trace_place trace_of_job(struct tg_trace *t)
{
    const struct tg_random random = tg_random_seeded(&t->seeded);
    struct trace_place ret = trace_below(&t->at, t->root);

    if (patterns[t->options.pattern].apart) {
        ret.parent = 0;
        new_trace(&random, ret.trace);
    }
    return ret;
}

static bool has_chats(const struct tg_trace *t)
{
    return !patterns[t->options.pattern].mixed;
}

bool trace_in_share(const struct tg_trace *t, uint64_t id)
{
    return id % 1000000 < t->options.share_ppm;
}

static void put_job(const struct tg_trace *t, struct tg_span *s)
{
    tg_span_text(s, "tgdata.job", t->job);
    tg_span_text(s, "tgdata.pattern", patterns[t->options.pattern].name);
}

struct tg_span trace_begin_span(const struct tg_trace *t, const char *name,
                                 const struct trace_place *at, int64_t start_us)
{
    struct tg_span s = {
        .name = name,
        .parent = at->parent,
        .start_us = start_us,
        .end_us = TG_MAX(t->options.unix_us(), start_us),
    };

    memcpy(s.trace, at->trace, TG_TRACE_ID);
    if (!at->parent && at != &t->at) {
        memcpy(s.job.trace, t->at.trace, TG_TRACE_ID);
        s.job.span = t->root;
        put_job(t, &s);
    }
    return s;
}

void trace_put_failure(struct tg_span *s, const struct tg_error *err)
{
    if (!err)
        return;
    s->err = err;
    tg_span_text(s, "error.type", tg_code_name(err->code));
}

void trace_add(struct tg_trace *t, const struct tg_span *s)
{
    t->options.add(t->options.ctx, s);
}

/* ---- life ---- */

struct tg_trace *tg_trace_new(const struct tg_trace_options *options)
{
    struct tg_trace *t = calloc(1, sizeof *t);

    if (!t)
        return NULL;
    t->options = *options;
    snprintf(t->job, sizeof t->job, "%s", options->job ? options->job : "");
    t->options.job = NULL; /* was lent for this call */
    t->options.parent = NULL;
    tg_random_seeded_init(&t->seeded, tg_random_u64(&options->random));
    new_trace(&options->random, t->at.trace);
    if (options->parent) {
        memcpy(t->at.trace, options->parent->trace, TG_TRACE_ID);
        t->at.parent = options->parent->span;
    }
    t->root = trace_new_id(t);
    t->begun_us = options->unix_us();
    pthread_mutex_init(&t->lock, NULL);
    return t;
}

struct trace_chat *trace_find_chat(struct tg_trace *t, int64_t chat_id)
{
    if (!has_chats(t))
        return &t->changes;
    for (size_t i = 0; chat_id && i < t->n_chats; i++)
        if (t->chat[i].chat_id == chat_id)
            return &t->chat[i];
    return NULL;
}

static struct trace_batch *find_batch(const struct tg_trace *t, int64_t chat_id, uint64_t seq)
{
    for (size_t i = 0; seq && i < t->n_batches; i++)
        if (t->batch[i].chat_id == chat_id && t->batch[i].seq == seq)
            return &t->batch[i];
    return NULL;
}

static void add_batch(struct tg_trace *t, const struct trace_batch *b, bool taken,
                      const struct tg_error *err)
{
    bool poll = !has_chats(t) && !b->any;
    struct tg_span s = trace_begin_span(t, poll ? "poll" : "batch", &b->at, b->begun_us);

    if (!b->told && !err)
        return;
    s.id = b->id;
    if (has_chats(t))
        tg_span_number(&s, "tgdata.chat_id", b->chat_id);
    else
        tg_span_list(&s, "tgdata.chat_ids", b->of, b->n_of);
    tg_span_number(&s, "tgdata.calls", b->calls);
    if (b->seq)
        tg_span_number(&s, "tgdata.batch", (int64_t)b->seq);
    if (!poll) {
        tg_span_number(&s, "tgdata.rows", (int64_t)b->rows);
        tg_span_text(&s, "tgdata.taken", taken ? "yes" : "no");
    }
    if (b->whole_us)
        s.event[s.n_events++] = (struct tg_span_event){ .at_us = b->whole_us, .name = "gathered" };
    trace_put_failure(&s, err);
    trace_add(t, &s);
}

static void drop_batch(struct tg_trace *t, struct trace_batch *b)
{
    *b = t->batch[--t->n_batches];
}

/* Tells what is left of a chat's batches, which nobody has taken. */
static void end_batches(struct tg_trace *t, struct trace_chat *c)
{
    if (c->gathers.id)
        add_batch(t, &c->gathers, false, NULL);
    for (size_t i = 0; i < t->n_batches;) {
        if (has_chats(t) && t->batch[i].chat_id != c->chat_id) {
            i++;
            continue;
        }
        add_batch(t, &t->batch[i], false, NULL);
        drop_batch(t, &t->batch[i]);
    }
}

static void end_chat(struct tg_trace *t, struct trace_chat *c, int64_t rows,
                     const struct tg_error *err)
{
    struct tg_span s = trace_begin_span(t, "chat", &c->at, c->begun_us);

    end_batches(t, c);
    s.id = c->id;
    tg_span_number(&s, "tgdata.chat_id", c->chat_id);
    tg_span_text(&s, "tgdata.account", c->account);
    if (rows >= 0)
        tg_span_number(&s, "tgdata.rows", rows);
    trace_put_failure(&s, err);
    trace_add(t, &s);
    *c = t->chat[--t->n_chats];
}

void tg_trace_end(struct tg_trace *t, int64_t rows, const struct tg_error *err)
{
    struct tg_span s;

    if (!t)
        return;
    while (t->n_chats)
        end_chat(t, &t->chat[t->n_chats - 1], -1, err);
    end_batches(t, &t->changes);
    s = trace_begin_span(t, "job", &t->at, t->begun_us);
    s.id = t->root;
    put_job(t, &s);
    tg_span_number(&s, "tgdata.rows", rows);
    trace_put_failure(&s, err);
    trace_add(t, &s);
    pthread_mutex_destroy(&t->lock);
    free(t->chat);
    free(t->batch);
    free(t->troubled);
    free(t);
}

void tg_trace_where(struct tg_trace *t, int64_t chat_id, struct tg_span_link *ret)
{
    const struct trace_chat *c;

    pthread_mutex_lock(&t->lock);
    c = has_chats(t) ? trace_find_chat(t, chat_id) : NULL;
    memcpy(ret->trace, c ? c->at.trace : t->at.trace, TG_TRACE_ID);
    ret->span = c ? c->id : t->root;
    pthread_mutex_unlock(&t->lock);
}

/* ---- chats and batches ---- */

static bool room_for_chat(struct tg_trace *t)
{
    size_t cap = TG_MAX(2 * t->cap_chats, (size_t)8);
    struct trace_chat *more;

    if (t->n_chats < t->cap_chats)
        return true;
    more = reallocarray(t->chat, cap, sizeof *more);
    if (!more)
        return false;
    t->chat = more;
    t->cap_chats = cap;
    return true;
}

void tg_trace_chat(struct tg_trace *t, int64_t chat_id, const char *account)
{
    if (!t || !chat_id)
        return;
    pthread_mutex_lock(&t->lock);
    if (!trace_find_chat(t, chat_id) && room_for_chat(t)) {
        struct trace_chat *c = &t->chat[t->n_chats++];

        *c = (struct trace_chat){ .chat_id = chat_id,
                            .at = trace_of_job(t),
                            .id = trace_new_id(t),
                            .begun_us = t->options.unix_us() };
        snprintf(c->account, sizeof c->account, "%s", account ? account : "");
    }
    pthread_mutex_unlock(&t->lock);
}

void tg_trace_chat_end(struct tg_trace *t, int64_t chat_id, int64_t rows,
                       const struct tg_error *err)
{
    struct trace_chat *c;

    if (!t)
        return;
    pthread_mutex_lock(&t->lock);
    c = trace_find_chat(t, chat_id);
    if (c)
        end_chat(t, c, rows, err);
    pthread_mutex_unlock(&t->lock);
}

struct trace_batch *trace_gathers(struct tg_trace *t, struct trace_chat *c, int64_t since_us)
{
    struct trace_batch *b = &c->gathers;

    if (!b->id) {
        *b = (struct trace_batch){
            .id = trace_new_id(t), .begun_us = since_us, .chat_id = c->chat_id
        };
        b->at = has_chats(t) ? trace_below(&c->at, c->id) : trace_of_job(t);
        b->told = trace_in_share(t, b->id);
    }
    b->begun_us = TG_MAX(TG_MIN(b->begun_us, since_us), c->begun_us);
    return b;
}

void tg_trace_gather(struct tg_trace *t, bool any)
{
    if (!t)
        return;
    pthread_mutex_lock(&t->lock);
    if (any)
        trace_gathers(t, &t->changes, t->options.unix_us())->any = true;
    else
        t->changes.gathers.any = false;
    pthread_mutex_unlock(&t->lock);
}

void tg_trace_settle(struct tg_trace *t)
{
    struct trace_batch *b;

    if (!t)
        return;
    pthread_mutex_lock(&t->lock);
    b = &t->changes.gathers;
    if (b->id && !b->any) {
        add_batch(t, b, false, NULL);
        b->id = 0;
    }
    pthread_mutex_unlock(&t->lock);
}

static bool room_for_batch(struct tg_trace *t)
{
    size_t cap = TG_MAX(2 * t->cap_batches, (size_t)16);
    struct trace_batch *more;

    if (t->n_batches < t->cap_batches)
        return true;
    more = t->n_batches < BATCHES_MAX ? reallocarray(t->batch, cap, sizeof *more) : NULL;
    if (!more)
        return false;
    t->batch = more;
    t->cap_batches = cap;
    return true;
}

/* Which chats its rows are of: the first few. */
static void note_chats(struct trace_batch *b, const struct tg_batch *rows)
{
    b->n_of = 0;
    for (size_t i = 0; i < rows->n && b->n_of < TG_SPAN_LIST; i++) {
        size_t k = 0;

        while (k < b->n_of && b->of[k] != rows->row[i].chat_id)
            k++;
        if (k == b->n_of)
            b->of[b->n_of++] = rows->row[i].chat_id;
    }
}

/* The batch that is gathered is whole, and waits. */
static void begin_wait(struct tg_trace *t, struct trace_chat *c, int64_t chat_id,
                       const struct tg_batch *rows)
{
    int64_t now_us = t->options.unix_us();
    struct trace_batch *b = trace_gathers(t, c, now_us);

    b->any = true;
    b->chat_id = chat_id;
    b->seq = rows->seq;
    b->rows = rows->n;
    b->whole_us = now_us;
    if (!has_chats(t))
        note_chats(b, rows);
    if (room_for_batch(t))
        t->batch[t->n_batches++] = *b;
    else
        add_batch(t, b, false, NULL);
    b->id = 0;
}

void tg_trace_batch(struct tg_trace *t, int64_t chat_id, const struct tg_batch *batch)
{
    struct trace_batch *waits;
    struct trace_chat *c;

    if (!t)
        return;
    pthread_mutex_lock(&t->lock);
    waits = find_batch(t, chat_id, batch->seq);
    c = trace_find_chat(t, chat_id);
    if (waits)
        waits->rows = batch->n;
    else if (c)
        begin_wait(t, c, chat_id, batch);
    pthread_mutex_unlock(&t->lock);
}

void tg_trace_batch_end(struct tg_trace *t, int64_t chat_id, uint64_t seq,
                        const struct tg_error *err)
{
    struct trace_batch *b;

    if (!t)
        return;
    pthread_mutex_lock(&t->lock);
    b = find_batch(t, chat_id, seq);
    if (b) {
        add_batch(t, b, !err, err);
        drop_batch(t, b);
    }
    pthread_mutex_unlock(&t->lock);
}

void tg_trace_commit(struct tg_trace *t, int64_t chat_id, uint64_t seq, uint64_t rows,
                     int64_t begun_us, const struct tg_error *err)
{
    const struct trace_batch *b;
    const struct trace_chat *c;
    struct trace_place at;
    struct tg_span s;

    if (!t)
        return;
    pthread_mutex_lock(&t->lock);
    b = find_batch(t, chat_id, seq);
    c = has_chats(t) ? trace_find_chat(t, chat_id) : NULL;
    at = b ? trace_below(&b->at, b->id) : c ? trace_below(&c->at, c->id) : trace_of_job(t);
    s = trace_begin_span(t, "commit", &at, begun_us);
    s.id = trace_new_id(t);
    if (chat_id && has_chats(t))
        tg_span_number(&s, "tgdata.chat_id", chat_id);
    tg_span_number(&s, "tgdata.rows", (int64_t)rows);
    trace_put_failure(&s, err);
    if (err || (b ? b->told : trace_in_share(t, s.id)))
        trace_add(t, &s);
    pthread_mutex_unlock(&t->lock);
}

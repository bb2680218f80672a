/* SPDX-License-Identifier: MIT */
/*
 * pipeline.c - see pipeline.h
 *
 * Lock protocol: `lock` guards `shared` and the pool; the queue has its own. Everything under
 * `chat` belongs to the taker's thread. The store is used by the taker's thread; quarantine entries
 * travel through the queue for that reason.
 */
#include "etl/pipeline.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/json.h"
#include "base/text.h"
#include "crypto/hash.h"
#include "os/proc.h"
#include "os/queue.h"

enum { BATCHES_MAX = 8, ITEMS_MAX = 64 };
/* A stored document holds 1 MiB; base64 makes four bytes of three. */
enum { QUARANTINE_MAX = 1 << 20, QUARANTINE_BYTES = 700 << 10 };

enum item_kind { ITEM_CHAT, ITEM_BATCH, ITEM_BAD_RECORD };

struct item {
    enum item_kind kind;
    int64_t chat_id;
    struct tg_batch *batch;
    struct tg_buf record; /* quarantine entry */
    char name[48];        /* its key within the chat */
};

/* Of the chat at work; the taker's thread only. */
struct chat {
    struct tg_checkpoint checkpoint;
    struct tg_commit next;    /* what the next commit will say; rows counts up */
    bool dirty;               /* something is not committed yet */
    bool held;                /* a callback left rows behind: nothing moves past them */
};

struct tg_pipeline {
    struct tg_pipeline_options options;
    struct tg_queue *queue;
    pthread_t thread;
    bool running;
    struct tg_lease lease;
    char lease_name[80];
    int64_t renew_us;
    struct tg_fence fence;
    struct chat chat;

    pthread_mutex_t lock;
    struct tg_pipeline_state shared;
    struct tg_commit resume;
    bool resume_known;
    size_t n_queued;
    uint64_t bytes_out;
    struct tg_batch *pool[BATCHES_MAX];
    size_t n_pool;
};

static int64_t now_us(const struct tg_pipeline *p)
{
    return p->options.unix_us();
}

/* ---- lease ---- */

static tg_code take_lease(struct tg_pipeline *p, struct tg_error *err)
{
    int64_t ttl_us = p->options.job->lease_ms * TG_MS_US, now = now_us(p);
    const struct tg_store *store = p->options.store;
    tg_code code = store->ops->lease(store->self, p->lease_name, now, ttl_us, &p->lease, err);

    if (code == TG_OK)
        p->renew_us = now + ttl_us / 3;
    return code;
}

/* The first time: a run of this machine that was killed need not be waited for. */
static tg_code win_lease(struct tg_pipeline *p, struct tg_error *err)
{
    const struct tg_store *store = p->options.store;
    tg_code code;

    tg_proc_name(p->lease.owner, sizeof p->lease.owner);
    code = take_lease(p, err);
    if (code != TG_BUSY || !tg_proc_gone(p->lease.owner))
        return code;
    code = store->ops->release(store->self, p->lease_name, &p->lease, err);
    if (code != TG_OK)
        return code;
    p->lease = (struct tg_lease){ 0 };
    tg_proc_name(p->lease.owner, sizeof p->lease.owner);
    return take_lease(p, err);
}

/* Before each commit: a run that slept past its lease must not write any more. */
static tg_code check_lease(struct tg_pipeline *p, struct tg_error *err)
{
    tg_code code;

    if (now_us(p) < p->renew_us)
        return TG_OK;
    code = take_lease(p, err);
    if (code == TG_CONFLICT || code == TG_BUSY) {
        code = tg_fail(err, TG_CONFLICT, "job '%s' was taken over by another run",
                       p->options.job->job);
        tg_hint(err, "this run has stopped; nothing it had not committed was written");
    }
    return code;
}

/* ---- commits ---- */

static tg_code commit(struct tg_pipeline *p, bool complete, struct tg_error *err)
{
    struct chat *chat = &p->chat;
    const struct tg_sink *sink = p->options.sink;
    tg_code code = check_lease(p, err);

    chat->next.seq = chat->checkpoint.commit.seq + 1;
    chat->next.fence = p->lease.token;
    chat->next.complete = complete;
    if (code == TG_OK && sink)
        code = sink->ops->commit(sink->self, &chat->next, err);
    if (code != TG_OK)
        return code;
    chat->checkpoint.commit = chat->next;
    code = tg_checkpoint_save(p->options.store, p->options.job, &chat->checkpoint, now_us(p), err);
    if (code != TG_OK)
        return code;
    pthread_mutex_lock(&p->lock);
    p->shared.commits++;
    p->shared.rows += chat->next.rows;
    p->shared.chat_rows += (int64_t)chat->next.rows;
    p->shared.bytes_out = sink ? sink->ops->bytes(sink->self) : 0;
    pthread_mutex_unlock(&p->lock);
    chat->next.rows = 0;
    chat->next.covered_from = chat->next.cursor.id + 1;
    chat->dirty = false;
    return TG_OK;
}

/* Writes rows from..to and counts them in. */
static tg_code write_rows(struct tg_pipeline *p, const struct tg_batch *b, size_t from, size_t to,
                          struct tg_error *err)
{
    struct chat *chat = &p->chat;
    const struct tg_sink *sink = p->options.sink;
    const struct tg_row *last = &b->row[to - 1];
    tg_code code = TG_OK;

    if (sink)
        code = sink->ops->write(sink->self, b, from, to - from, err);
    if (code != TG_OK)
        return code;
    chat->next.rows += to - from;
    chat->next.rows_total += to - from;
    chat->next.last_id = last->id;
    chat->next.last_date = last->date;
    chat->next.cursor.id = last->id;
    chat->dirty = true;
    return TG_OK;
}

/* The rows that are taken for good go to the sink, cut where a checkpoint is due. */
static tg_code take_rows(struct tg_pipeline *p, const struct tg_batch *b, size_t n,
                         struct tg_error *err)
{
    uint64_t interval = (uint64_t)p->options.job->checkpoint_interval;
    size_t at = 0;

    while (at < n) {
        size_t piece = (size_t)TG_MIN(interval - p->chat.next.rows, (uint64_t)(n - at));
        tg_code code = write_rows(p, b, at, at + piece, err);

        at += piece;
        if (code == TG_OK && p->chat.next.rows == interval && at < n)
            code = commit(p, false, err);
        if (code != TG_OK)
            return code;
    }
    return TG_OK;
}

static tg_code ask_callback(struct tg_pipeline *p, struct tg_batch *b, struct tg_error *err)
{
    tg_code code;

    snprintf(b->checkpoint_id, sizeof b->checkpoint_id, "%s/%lld/%llu", p->options.job->job,
             (long long)b->cursor.chat_id, (unsigned long long)p->chat.checkpoint.number);
    if (!p->chat.checkpoint.number)
        b->checkpoint_id[0] = 0;
    if (!p->options.callback) {
        b->n_taken = b->n;
        return TG_OK;
    }
    b->n_taken = 0;
    code = p->options.callback(p->options.callback_ctx, b, err);
    if (code != TG_OK)
        assert(err->code != TG_OK);
    return code;
}

/* A new segment (the supergroup behind a basic group): a commit never spans two. */
static tg_code enter_segment(struct tg_pipeline *p, const struct tg_batch *b, struct tg_error *err)
{
    struct chat *chat = &p->chat;
    tg_code code = TG_OK;

    if (chat->next.cursor.segment != b->cursor.segment) {
        if (chat->dirty)
            code = commit(p, false, err);
        chat->next.cursor.segment = b->cursor.segment;
        chat->next.cursor.id = b->covered_from - 1;
        chat->next.covered_from = b->covered_from;
    } else if (chat->checkpoint.commit.seq == 0 && !chat->dirty) {
        chat->next.covered_from = b->covered_from;
    }
    return code;
}

static tg_code take_batch(struct tg_pipeline *p, struct tg_batch *b, struct tg_error *err)
{
    struct chat *chat = &p->chat;
    uint64_t interval = (uint64_t)p->options.job->checkpoint_interval;
    struct tg_batch_record record = {
        .id = b->seq,
        .started_us = b->started_us,
        .ended_us = b->ended_us,
        .rows = b->n,
    };
    bool moved;
    tg_code code = enter_segment(p, b, err);

    if (code == TG_OK)
        code = ask_callback(p, b, err);
    if (code == TG_OK && !chat->held)
        code = take_rows(p, b, b->n_taken, err);
    if (code != TG_OK)
        return code;
    if (b->n_taken < b->n)
        chat->held = true;
    if (!chat->held) {
        moved = chat->next.cursor.id < b->cursor.id;
        chat->next.cursor.id = TG_MAX(chat->next.cursor.id, b->cursor.id);
        chat->next.batches++;
        chat->dirty |= moved;
        tg_checkpoint_batch(&chat->checkpoint, &record);
    }
    pthread_mutex_lock(&p->lock);
    p->shared.batches++;
    pthread_mutex_unlock(&p->lock);
    if (chat->dirty && (chat->next.rows >= interval || b->last))
        code = commit(p, b->last && !chat->held, err);
    else if (b->last && !chat->held && !chat->checkpoint.commit.complete)
        code = commit(p, true, err);
    return code;
}

/* ---- chats ---- */

/* The destination's own last commit decides; the checkpoint is brought to it. */
static tg_code attach(struct tg_pipeline *p, int64_t chat_id, struct tg_error *err)
{
    struct chat *chat = &p->chat;
    const struct tg_sink *sink = p->options.sink;
    struct tg_checkpoint stored = { 0 };
    struct tg_commit there = { .cursor.chat_id = chat_id };
    tg_code code = chat->dirty ? commit(p, false, err) : TG_OK; /* of the chat before */

    if (code == TG_OK)
        code = tg_checkpoint_load(p->options.store, p->options.job, chat_id, &stored, err);
    if (code != TG_OK && code != TG_END)
        return code;
    if (sink) {
        code = sink->ops->attach(sink->self, chat_id, &p->fence, &there, err);
        if (code == TG_END)
            there = (struct tg_commit){ .cursor.chat_id = chat_id };
        else if (code != TG_OK)
            return code;
        code = TG_OK;
    } else {
        there = stored.number ? stored.commit : there;
        code = TG_OK;
    }
    tg_checkpoint_done(&chat->checkpoint);
    *chat = (struct chat){ .checkpoint = stored, .next = there };
    if (stored.commit.seq != there.seq || !stored.number) {
        chat->checkpoint.commit = there;
        if (there.seq) /* killed between the destination's commit and the checkpoint */
            code = tg_checkpoint_save(p->options.store, p->options.job, &chat->checkpoint,
                                      now_us(p), err);
    }
    chat->next.rows = 0;
    chat->next.covered_from = there.cursor.id + 1;
    pthread_mutex_lock(&p->lock);
    p->resume = there;
    p->resume_known = code == TG_OK;
    p->shared.chat_rows = 0;
    pthread_mutex_unlock(&p->lock);
    return code;
}

/* ---- thread ---- */

static void give_back(struct tg_pipeline *p, struct tg_batch *b, uint64_t bytes)
{
    tg_batch_clear(b);
    pthread_mutex_lock(&p->lock);
    assert(p->n_pool < BATCHES_MAX && p->bytes_out >= bytes);
    p->pool[p->n_pool++] = b;
    p->bytes_out -= bytes;
    p->shared.n_out--;
    pthread_mutex_unlock(&p->lock);
}

/* A document of its own, so that a record met again after a resume is kept once. */
static tg_code keep_bad_record(struct tg_pipeline *p, struct item *item, struct tg_error *err)
{
    const struct tg_store *store = p->options.store;
    struct tg_doc stamp = { .at_us = now_us(p), .fence = p->lease.token };
    char key[192];
    tg_code code;

    snprintf(key, sizeof key, "%s/%lld/%s", p->options.job->job, (long long)item->chat_id,
             item->name);
    code = store->ops->put(store->self, "quarantine", key, 0, &stamp, item->record.data,
                           item->record.len, err);
    return code == TG_CONFLICT ? TG_OK : code;
}

static tg_code work(struct tg_pipeline *p, struct item *item, struct tg_error *err)
{
    switch (item->kind) {
    case ITEM_CHAT:
        return attach(p, item->chat_id, err);
    case ITEM_BATCH:
        return take_batch(p, item->batch, err);
    case ITEM_BAD_RECORD:
        return keep_bad_record(p, item, err);
    }
    return TG_OK;
}

static void fail_pipeline(struct tg_pipeline *p, const struct tg_error *err)
{
    pthread_mutex_lock(&p->lock);
    p->shared.failed = true;
    p->shared.err = *err;
    pthread_mutex_unlock(&p->lock);
}

static void *taker_thread(void *arg)
{
    struct tg_pipeline *p = arg;
    struct tg_error err;
    bool failed = false;

    for (;;) {
        struct item *item;
        void *popped;
        uint64_t bytes;
        int64_t wait_us = TG_MAX(p->renew_us - now_us(p), TG_MS_US);
        tg_code code = tg_queue_pop(p->queue, wait_us, &popped, &bytes);

        if (code == TG_END)
            break;
        if (code == TG_AGAIN) {
            /* the lease must not run out while nothing comes */
            if (!failed && check_lease(p, &err) != TG_OK) {
                failed = true;
                fail_pipeline(p, &err);
                p->options.wake(p->options.wake_ctx);
            }
            continue;
        }
        item = popped;
        if (!failed && work(p, item, &err) != TG_OK) {
            failed = true;
            fail_pipeline(p, &err);
        }
        if (item->batch)
            give_back(p, item->batch, bytes);
        tg_buf_done(&item->record);
        free(item);
        pthread_mutex_lock(&p->lock);
        p->n_queued--;
        pthread_mutex_unlock(&p->lock);
        p->options.wake(p->options.wake_ctx);
    }
    if (!failed && p->chat.dirty && commit(p, false, &err) != TG_OK)
        fail_pipeline(p, &err);
    return NULL;
}

/* ---- loop thread ---- */

tg_code tg_pipeline_new(const struct tg_pipeline_options *options, struct tg_pipeline **ret,
                        struct tg_error *err)
{
    struct tg_pipeline *p = calloc(1, sizeof *p);
    tg_code code;

    assert(options->sink || options->callback);
    if (!p)
        return tg_fail(err, TG_NOMEM, "no memory for a pipeline");
    p->options = *options;
    pthread_mutex_init(&p->lock, NULL);
    snprintf(p->lease_name, sizeof p->lease_name, "job/%s", options->job->job);
    code = win_lease(p, err);
    if (code == TG_BUSY)
        tg_hint(err, "wait for it to end, stop it, or use another --job name");
    if (code == TG_OK) {
        p->queue = tg_queue_new(ITEMS_MAX, UINT64_MAX);
        if (!p->queue)
            code = tg_fail(err, TG_NOMEM, "no memory for a queue");
    }
    if (code == TG_OK)
        code = tg_thread_start(&p->thread, "taker", taker_thread, p, err);
    if (code != TG_OK) {
        tg_pipeline_free(p);
        return code;
    }
    p->running = true;
    *ret = p;
    return TG_OK;
}

static tg_code put_item(struct tg_pipeline *p, const struct item *fields, uint64_t bytes)
{
    struct item *item = malloc(sizeof *item);

    if (!item)
        return TG_NOMEM;
    *item = *fields;
    pthread_mutex_lock(&p->lock);
    p->n_queued++;
    pthread_mutex_unlock(&p->lock);
    if (tg_queue_push(p->queue, item, bytes) != TG_OK) {
        free(item);
        return TG_END;
    }
    return TG_OK;
}

tg_code tg_pipeline_begin(struct tg_pipeline *p, int64_t chat_id, struct tg_error *err)
{
    struct item item = { .kind = ITEM_CHAT, .chat_id = chat_id };

    pthread_mutex_lock(&p->lock);
    p->resume_known = false;
    pthread_mutex_unlock(&p->lock);
    if (put_item(p, &item, 0) != TG_OK)
        return tg_fail(err, TG_NOMEM, "no memory to start a chat");
    return TG_OK;
}

tg_code tg_pipeline_resume(struct tg_pipeline *p, struct tg_commit *ret, struct tg_error *err)
{
    tg_code code = TG_AGAIN;

    pthread_mutex_lock(&p->lock);
    if (p->shared.failed) {
        *err = p->shared.err;
        code = err->code;
    } else if (p->resume_known) {
        *ret = p->resume;
        code = TG_OK;
    }
    pthread_mutex_unlock(&p->lock);
    return code;
}

struct tg_batch *tg_pipeline_batch(struct tg_pipeline *p)
{
    struct tg_batch *b = NULL;
    bool credit;

    pthread_mutex_lock(&p->lock);
    credit = p->shared.n_out < BATCHES_MAX &&
             p->bytes_out < (uint64_t)p->options.job->credit_bytes && !p->shared.failed;
    if (credit && p->n_pool)
        b = p->pool[--p->n_pool];
    if (credit)
        p->shared.n_out++;
    pthread_mutex_unlock(&p->lock);
    if (!credit || b)
        return b;
    b = tg_batch_new((size_t)p->options.job->batch_size);
    if (!b) {
        pthread_mutex_lock(&p->lock);
        p->shared.n_out--;
        pthread_mutex_unlock(&p->lock);
    }
    return b;
}

void tg_pipeline_put(struct tg_pipeline *p, struct tg_batch *batch)
{
    struct item item = { .kind = ITEM_BATCH, .chat_id = batch->cursor.chat_id, .batch = batch };
    uint64_t bytes = batch->bytes;

    pthread_mutex_lock(&p->lock);
    p->bytes_out += bytes;
    pthread_mutex_unlock(&p->lock);
    if (put_item(p, &item, bytes) != TG_OK) {
        struct tg_error err;

        tg_fail(&err, TG_NOMEM, "no memory to hand a batch over");
        fail_pipeline(p, &err);
        give_back(p, batch, bytes);
    }
}

void tg_pipeline_return(struct tg_pipeline *p, struct tg_batch *batch)
{
    give_back(p, batch, 0);
}

void tg_pipeline_state(struct tg_pipeline *p, struct tg_pipeline_state *ret)
{
    pthread_mutex_lock(&p->lock);
    *ret = p->shared;
    ret->idle = p->n_queued == 0;
    pthread_mutex_unlock(&p->lock);
}

tg_code tg_pipeline_finish(struct tg_pipeline *p, struct tg_error *err)
{
    const struct tg_store *store = p->options.store;
    struct tg_error ignored;

    if (p->running) {
        tg_queue_close(p->queue);
        pthread_join(p->thread, NULL);
        p->running = false;
        if (store->ops->release(store->self, p->lease_name, &p->lease, &ignored) != TG_OK) {
            /* it runs out by itself */
        }
    }
    if (p->shared.failed) {
        *err = p->shared.err;
        return err->code;
    }
    return TG_OK;
}

void tg_pipeline_free(struct tg_pipeline *p)
{
    struct tg_error ignored;

    if (!p)
        return;
    if (p->running && tg_pipeline_finish(p, &ignored) != TG_OK) {
        /* the caller that wanted to know has called finish itself */
    }
    for (size_t i = 0; i < p->n_pool; i++)
        tg_batch_free(p->pool[i]);
    tg_queue_free(p->queue);
    tg_checkpoint_done(&p->chat.checkpoint);
    pthread_mutex_destroy(&p->lock);
    free(p);
}

tg_code tg_pipeline_quarantine(struct tg_pipeline *p, int64_t chat_id, int64_t id,
                               const char *reason, const void *bytes, size_t len,
                               struct tg_error *err)
{
    struct item item = { .kind = ITEM_BAD_RECORD, .chat_id = chat_id };
    struct tg_json j;

    tg_buf_init(&item.record, QUARANTINE_MAX);
    tg_json_init(&j, &item.record);
    tg_json_object(&j);
    tg_json_key(&j, "chat_id");
    tg_json_i64(&j, chat_id);
    tg_json_key(&j, "id");
    if (id)
        tg_json_i64(&j, id);
    else
        tg_json_null(&j);
    tg_json_key(&j, "reason");
    tg_json_cstr(&j, reason);
    tg_json_key(&j, "bytes");
    tg_json_base64(&j, bytes, TG_MIN(len, (size_t)QUARANTINE_BYTES));
    tg_json_end_object(&j);
    snprintf(item.name, sizeof item.name, "%lld", (long long)id);
    if (!id) { /* told apart by its bytes */
        uint8_t digest[32];

        tg_sha256(digest, bytes, len);
        item.name[0] = 'x';
        tg_hex(item.name + 1, digest, 16);
    }
    if (item.record.failed || put_item(p, &item, item.record.len) != TG_OK) {
        tg_buf_done(&item.record);
        return tg_fail(err, TG_NOMEM, "no memory to keep a bad record");
    }
    return TG_OK;
}

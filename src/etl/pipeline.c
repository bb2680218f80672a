/* SPDX-License-Identifier: MIT */
/*
 * pipeline.c - see pipeline.h
 *
 * Lock protocol: `lock` guards what stands behind it in the struct; the queue has its own. Nothing
 * that blocks is called under it. `taker` is the taker thread's until that has been joined. The
 * store is used by the taker's thread alone; quarantine entries travel through the queue for that
 * reason, and so that a record is in quarantine before a checkpoint passes it.
 */
#include "etl/pipeline.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/json.h"
#include "base/text.h"
#include "crypto/hash.h"
#include "os/queue.h"

enum { BATCHES_BEHIND = 8, ITEMS_MAX = 64 };
/* A stored document holds 1 MiB; base64 makes four bytes of three. */
enum { QUARANTINE_MAX = 1 << 20, QUARANTINE_BYTES = 700 << 10 };

enum item_kind { ITEM_LIST, ITEM_CHAT, ITEM_BATCH, ITEM_LEAVE, ITEM_BAD_RECORD, ITEM_CIRCUIT };

struct item {
    enum item_kind kind;
    int64_t chat_id;
    struct tg_batch *batch;
    const struct tg_job_chat *list; /* or the one chat that begins */
    size_t n_list;
    struct tg_buf record; /* quarantine entry; a breaker's */
    char name[48];        /* its key within the chat; within the job */
};

/* A chat between begin and left, as the loop thread sees it. */
struct chat {
    int64_t id, rows;
    struct tg_commit resume;
    bool resumed, left;
    bool failed; /* it alone: what comes of it is dropped until it is left */
    struct tg_error err;
};

struct tg_pipeline {
    struct tg_pipeline_options options;
    struct tg_taker taker; /* the taker thread's, while that runs */
    struct tg_queue *queue;
    pthread_t thread;
    bool running;

    pthread_mutex_t lock;
    struct tg_pipeline_state shared;
    struct chat *chat;
    size_t n_chats, cap_chats;
    size_t n_queued;
    uint64_t bytes_out;
    struct tg_batch **pool;
    size_t n_pool, batches_max;
};

/* ---- thread ---- */

static void give_back(struct tg_pipeline *p, struct tg_batch *b, uint64_t bytes)
{
    tg_batch_clear(b);
    pthread_mutex_lock(&p->lock);
    assert(p->n_pool < p->batches_max && p->bytes_out >= bytes);
    p->pool[p->n_pool++] = b;
    p->bytes_out -= bytes;
    p->shared.n_out--;
    pthread_mutex_unlock(&p->lock);
}

/* Under the lock. */
static struct chat *find_chat(struct tg_pipeline *p, int64_t chat_id)
{
    for (size_t i = 0; i < p->n_chats; i++)
        if (p->chat[i].id == chat_id)
            return &p->chat[i];
    return NULL;
}

/* What became of a chat's item. @return what ends the pipeline */
static tg_code note_chat(struct tg_pipeline *p, int64_t chat_id, const struct chat *news,
                         tg_code code, const struct tg_error *err)
{
    bool only_chat = code != TG_OK && tg_taker_only_chat(&p->taker, code);
    struct chat *c;

    pthread_mutex_lock(&p->lock);
    c = find_chat(p, chat_id);
    c->rows = news->rows;
    if (news->resumed && code == TG_OK) {
        c->resume = news->resume;
        c->resumed = true;
    }
    c->left |= news->left && (code == TG_OK || only_chat);
    if (only_chat) {
        c->failed = true;
        c->err = *err;
    }
    pthread_mutex_unlock(&p->lock);
    return only_chat ? TG_OK : code;
}

static bool has_failed(struct tg_pipeline *p, int64_t chat_id)
{
    bool failed;

    pthread_mutex_lock(&p->lock);
    failed = find_chat(p, chat_id)->failed;
    pthread_mutex_unlock(&p->lock);
    return failed;
}

static tg_code take_chat(struct tg_pipeline *p, const struct tg_job_chat *chat,
                         struct tg_error *err)
{
    struct chat news = { .resumed = true };
    tg_code code = tg_taker_chat(&p->taker, chat, &news.resume, err);

    return note_chat(p, chat->id, &news, code, err);
}

static tg_code take_batch(struct tg_pipeline *p, struct tg_batch *b, struct tg_error *err)
{
    int64_t chat_id = b->cursor.chat_id;
    struct chat news = { 0 };
    tg_code code;

    if (has_failed(p, chat_id))
        return TG_OK;
    code = tg_taker_batch(&p->taker, b, err);
    news.rows = tg_taker_rows(&p->taker, chat_id);
    return note_chat(p, chat_id, &news, code, err);
}

static tg_code leave_chat(struct tg_pipeline *p, int64_t chat_id, struct tg_error *err)
{
    struct chat news = { .left = true };
    tg_code code = TG_OK;

    if (has_failed(p, chat_id))
        news.rows = tg_pipeline_rows(p, chat_id);
    else
        code = tg_taker_leave(&p->taker, chat_id, &news.rows, err);
    return note_chat(p, chat_id, &news, code, err);
}

static tg_code work(struct tg_pipeline *p, struct item *item, struct tg_error *err)
{
    switch (item->kind) {
    case ITEM_LIST:
        return tg_taker_list(&p->taker, item->list, item->n_list, err);
    case ITEM_CHAT:
        return take_chat(p, item->list, err);
    case ITEM_BATCH:
        return take_batch(p, item->batch, err);
    case ITEM_LEAVE:
        return leave_chat(p, item->chat_id, err);
    case ITEM_BAD_RECORD:
        return tg_taker_bad_record(&p->taker, item->chat_id, item->name, &item->record, err);
    case ITEM_CIRCUIT:
        tg_taker_keep_circuit(&p->taker, item->name, &item->record);
        return TG_OK;
    }
    return TG_OK;
}

/* Tells the loop thread what was done, and `failure` if there is one. */
static void publish(struct tg_pipeline *p, const struct tg_error *failure)
{
    const struct tg_sink *sink = p->options.sink;
    uint64_t bytes_out = sink ? sink->ops->bytes(sink->self) : 0;

    pthread_mutex_lock(&p->lock);
    p->shared.rows = p->taker.rows;
    p->shared.batches = p->taker.batches;
    p->shared.commits = p->taker.commits;
    p->shared.bytes_out = bytes_out;
    if (failure && !p->shared.failed) {
        p->shared.failed = true;
        p->shared.err = *failure;
    }
    pthread_mutex_unlock(&p->lock);
}

/* Whether an item asks the destination for something. */
static bool needs_sink(struct tg_pipeline *p, const struct item *item)
{
    switch (item->kind) {
    case ITEM_LIST:
    case ITEM_CHAT:
        return true;
    case ITEM_BATCH:
    case ITEM_LEAVE:
        return !has_failed(p, item->chat_id);
    default:
        return false;
    }
}

static tg_code try_work(struct tg_pipeline *p, struct item *item, struct tg_error *err)
{
    tg_code code = needs_sink(p, item) ? tg_taker_await_sink(&p->taker, err) : TG_OK;

    if (code == TG_OK)
        return work(p, item, err);
    p->taker.failed = true;
    return code;
}

/* Works an item off and gives everything in it back. */
static tg_code take_item(struct tg_pipeline *p, struct item *item, uint64_t bytes, bool drop,
                         struct tg_error *err)
{
    tg_code code = drop ? TG_OK : try_work(p, item, err);

    publish(p, code == TG_OK ? NULL : err);
    if (item->batch)
        give_back(p, item->batch, bytes);
    tg_buf_done(&item->record);
    free(item);
    pthread_mutex_lock(&p->lock);
    p->n_queued--;
    pthread_mutex_unlock(&p->lock);
    return code;
}

static void *taker_thread(void *arg)
{
    struct tg_pipeline *p = arg;
    struct tg_taker *t = &p->taker;
    struct tg_error err;
    bool failed = false;

    for (;;) {
        void *popped;
        uint64_t bytes;
        int64_t wait_us = failed ? INT64_MAX : TG_MAX(t->renew_us - t->unix_us(), TG_MS_US);
        tg_code code = tg_queue_pop(p->queue, wait_us, &popped, &bytes);

        if (code == TG_END)
            break;
        if (code == TG_OK) {
            failed |= take_item(p, popped, bytes, failed, &err) != TG_OK;
        } else if (failed || tg_taker_renew(t, &err) == TG_OK) {
            continue; /* the lease must not run out while nothing comes */
        } else {
            failed = t->failed = true;
            publish(p, &err);
        }
        p->options.wake(p->options.wake_ctx);
    }
    failed = tg_taker_end(t, &err) != TG_OK;
    publish(p, failed ? &err : NULL);
    return NULL;
}

/* ---- loop thread ---- */

tg_code tg_pipeline_new(const struct tg_pipeline_options *options, struct tg_pipeline **ret,
                        struct tg_error *err)
{
    struct tg_pipeline *p = calloc(1, sizeof *p);
    tg_code code;

    if (!p)
        return tg_fail(err, TG_NOMEM, "no memory for a pipeline");
    p->options = *options;
    p->taker = (struct tg_taker){
        .job = options->job,
        .store = options->store,
        .sink = options->sink,
        .callback = options->callback,
        .callback_ctx = options->callback_ctx,
        .unix_us = options->unix_us,
        .nonce = options->nonce,
        .by_chat = options->by_chat,
        .circuit = { .options = options->circuit, .fails = options->circuit_fails },
    };
    pthread_mutex_init(&p->lock, NULL);
    pthread_mutex_init(&p->taker.circuit.lock, NULL);
    p->batches_max = BATCHES_BEHIND - 1 + TG_MAX(options->n_chats, (size_t)1);
    p->pool = calloc(p->batches_max, sizeof(struct tg_batch *));
    p->queue = tg_queue_new(ITEMS_MAX + 4 * p->batches_max, UINT64_MAX);
    code = p->pool && p->queue ? tg_taker_start(&p->taker, err)
                               : tg_fail(err, TG_NOMEM, "no memory for a queue");
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
        pthread_mutex_lock(&p->lock);
        p->n_queued--;
        pthread_mutex_unlock(&p->lock);
        free(item);
        return TG_END;
    }
    return TG_OK;
}

tg_code tg_pipeline_list(struct tg_pipeline *p, const struct tg_job_chat *chat, size_t n,
                         struct tg_error *err)
{
    struct item item = { .kind = ITEM_LIST, .list = chat, .n_list = n };

    if (put_item(p, &item, 0) != TG_OK)
        return tg_fail(err, TG_NOMEM, "no memory for the list of chats");
    return TG_OK;
}

static bool add_chat(struct tg_pipeline *p, int64_t chat_id)
{
    struct chat *more = p->chat;

    pthread_mutex_lock(&p->lock);
    assert(!find_chat(p, chat_id));
    if (p->n_chats == p->cap_chats) {
        size_t cap = TG_MAX(2 * p->cap_chats, (size_t)4);

        more = reallocarray(p->chat, cap, sizeof *more);
        if (more) {
            p->chat = more;
            p->cap_chats = cap;
        }
    }
    if (more)
        p->chat[p->n_chats++] = (struct chat){ .id = chat_id };
    pthread_mutex_unlock(&p->lock);
    return more != NULL;
}

tg_code tg_pipeline_begin(struct tg_pipeline *p, const struct tg_job_chat *chat,
                          struct tg_error *err)
{
    struct item item = { .kind = ITEM_CHAT, .list = chat };

    if (!add_chat(p, chat->id) || put_item(p, &item, 0) != TG_OK)
        return tg_fail(err, TG_NOMEM, "no memory to start a chat");
    return TG_OK;
}

tg_code tg_pipeline_resume(struct tg_pipeline *p, int64_t chat_id, struct tg_commit *ret,
                           struct tg_error *err)
{
    tg_code code = TG_AGAIN;
    struct chat *c;

    pthread_mutex_lock(&p->lock);
    c = find_chat(p, chat_id);
    if (p->shared.failed || (c && c->failed)) {
        *err = p->shared.failed ? p->shared.err : c->err;
        code = err->code;
    } else if (c && c->resumed) {
        *ret = c->resume;
        code = TG_OK;
    }
    pthread_mutex_unlock(&p->lock);
    return code;
}

tg_code tg_pipeline_leave(struct tg_pipeline *p, int64_t chat_id, struct tg_error *err)
{
    struct item item = { .kind = ITEM_LEAVE, .chat_id = chat_id };

    if (put_item(p, &item, 0) != TG_OK)
        return tg_fail(err, TG_NOMEM, "no memory to end a chat");
    return TG_OK;
}

tg_code tg_pipeline_left(struct tg_pipeline *p, int64_t chat_id, int64_t *ret_rows,
                         struct tg_error *ret_alone, struct tg_error *err)
{
    tg_code code = TG_AGAIN;
    struct chat *c;

    pthread_mutex_lock(&p->lock);
    c = find_chat(p, chat_id);
    if (p->shared.failed) {
        *err = p->shared.err;
        code = err->code;
    } else if (c->left) {
        *ret_rows = c->rows;
        *ret_alone = c->failed ? c->err : (struct tg_error){ .code = TG_OK };
        *c = p->chat[--p->n_chats];
        code = TG_OK;
    }
    pthread_mutex_unlock(&p->lock);
    return code;
}

int64_t tg_pipeline_rows(struct tg_pipeline *p, int64_t chat_id)
{
    const struct chat *c;
    int64_t rows;

    pthread_mutex_lock(&p->lock);
    c = find_chat(p, chat_id);
    rows = c ? c->rows : 0;
    pthread_mutex_unlock(&p->lock);
    return rows;
}

bool tg_pipeline_chat_failed(struct tg_pipeline *p, int64_t chat_id, struct tg_error *err)
{
    const struct chat *c;
    bool failed;

    pthread_mutex_lock(&p->lock);
    c = find_chat(p, chat_id);
    failed = c && c->failed;
    if (failed)
        *err = c->err;
    pthread_mutex_unlock(&p->lock);
    return failed;
}

struct tg_batch *tg_pipeline_batch(struct tg_pipeline *p)
{
    struct tg_batch *b = NULL;
    bool credit;

    pthread_mutex_lock(&p->lock);
    credit = p->shared.n_out < p->batches_max &&
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
        pthread_mutex_lock(&p->lock);
        p->shared.failed = true;
        p->shared.err = err;
        pthread_mutex_unlock(&p->lock);
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
    if (p->running) {
        tg_pipeline_hurry(p);
        tg_queue_close(p->queue);
        pthread_join(p->thread, NULL);
        p->running = false;
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
    if (tg_taker_end(&p->taker, &ignored) != TG_OK) {
        /* nothing was left to commit: the thread has done it, or there was none */
    }
    for (size_t i = 0; i < p->n_pool; i++)
        tg_batch_free(p->pool[i]);
    free(p->pool);
    free(p->chat);
    tg_queue_free(p->queue);
    pthread_mutex_destroy(&p->lock);
    pthread_mutex_destroy(&p->taker.circuit.lock);
    free(p);
}

bool tg_pipeline_news(struct tg_pipeline *p, struct tg_taker_news *ret)
{
    return tg_taker_news(&p->taker, ret);
}

void tg_pipeline_hurry(struct tg_pipeline *p)
{
    atomic_store(&p->taker.circuit.hurry, true);
}

void tg_pipeline_circuit(struct tg_pipeline *p, int64_t chat_id,
                         const struct tg_breaker_record *record)
{
    struct item item = { .kind = ITEM_CIRCUIT };

    tg_circuit_name(item.name, TG_CIRCUIT_CHAT, chat_id);
    tg_buf_init(&item.record, TG_CIRCUIT_JSON);
    tg_circuit_write(record, &item.record);
    if (item.record.failed || put_item(p, &item, 0) != TG_OK)
        tg_buf_done(&item.record);
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

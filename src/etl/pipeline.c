/* SPDX-License-Identifier: MIT */
/*
 * pipeline.c - what the loop thread calls; see pipeline.h and pipeline_impl.h
 */
#include <assert.h>
#include <stdlib.h>

#include "etl/pipeline_impl.h"
#include "observe/observer.h"

enum { BATCHES_BEHIND = 8, ITEMS_MAX = 64 };

void pipeline_give_back(struct tg_pipeline *p, struct tg_batch *b, uint64_t bytes)
{
    tg_batch_clear(b);
    pthread_mutex_lock(&p->lock);
    assert(p->n_pool < p->batches_max && p->bytes_out >= bytes);
    p->pool[p->n_pool++] = b;
    p->bytes_out -= bytes;
    p->shared.n_out--;
    pthread_mutex_unlock(&p->lock);
}

struct pipeline_chat *pipeline_find_chat(struct tg_pipeline *p, int64_t chat_id)
{
    for (size_t i = 0; i < p->n_chats; i++)
        if (p->chat[i].id == chat_id)
            return &p->chat[i];
    return NULL;
}

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
        .fallback_sink = options->fallback_sink,
        .letters = options->letters,
        .steps = options->steps,
        .observer = options->observer,
        .trace = options->trace,
        .callback = options->callback,
        .callback_ctx = options->callback_ctx,
        .unix_us = options->unix_us,
        .nonce = options->nonce,
        .by_chat = options->by_chat,
        .journals = true,
        .circuit = { .options = options->circuit, .fails = options->circuit_fails },
        .wait = { .most_ms = options->sink_wait_ms,
                  .first_us = options->sink_pause_us,
                  .meanwhile = pipeline_spill,
                  .ctx = p },
    };
    pipeline_spill_init(p);
    pthread_mutex_init(&p->lock, NULL);
    pthread_mutex_init(&p->taker.circuit.lock, NULL);
    p->batches_max = BATCHES_BEHIND - 1 + TG_MAX(options->n_chats, (size_t)1);
    p->pool = calloc(p->batches_max, sizeof(struct tg_batch *));
    p->queue = tg_queue_new(ITEMS_MAX + 4 * p->batches_max, UINT64_MAX);
    code = p->pool && p->queue ? tg_taker_start(&p->taker, err)
                               : tg_fail(err, TG_NOMEM, "no memory for a queue");
    if (code == TG_OK)
        code = tg_thread_start(&p->thread, "taker", pipeline_thread, p, err);
    if (code != TG_OK) {
        tg_pipeline_free(p);
        return code;
    }
    p->running = true;
    *ret = p;
    return TG_OK;
}

static tg_code put_item(struct tg_pipeline *p, const struct pipeline_item *fields, uint64_t bytes)
{
    struct pipeline_item *item = malloc(sizeof *item);
    tg_code code;

    if (!item)
        return TG_NOMEM;
    *item = *fields;
    item->bytes = bytes;
    pthread_mutex_lock(&p->lock);
    code = p->over ? TG_AGAIN : tg_queue_try_push(p->queue, item, bytes);
    if (code == TG_AGAIN) { /* the loop does not wait */
        *(p->over ? p->over_end : &p->over) = item;
        p->over_end = &item->next;
        code = TG_OK;
    }
    p->n_queued += code == TG_OK;
    pthread_mutex_unlock(&p->lock);
    if (code != TG_OK)
        free(item);
    return code;
}

/* While something is over, all that is put goes there: a queue that is empty then stays so. */
tg_code pipeline_pop(struct tg_pipeline *p, struct pipeline_item **ret)
{
    void *popped;
    uint64_t bytes;
    bool over;
    tg_code code;

    pthread_mutex_lock(&p->lock);
    over = p->over != NULL;
    pthread_mutex_unlock(&p->lock);
    code = tg_queue_pop(p->queue, 0, &popped, &bytes);
    if (code == TG_OK) {
        *ret = popped;
    } else if (over) {
        pthread_mutex_lock(&p->lock);
        *ret = p->over;
        p->over = p->over->next;
        pthread_mutex_unlock(&p->lock);
        (*ret)->next = NULL;
        code = TG_OK;
    }
    return code;
}

tg_code tg_pipeline_list(struct tg_pipeline *p, const struct tg_job_chat *chat, size_t n,
                         struct tg_error *err)
{
    struct pipeline_item item = { .kind = ITEM_LIST, .list = chat, .n_list = n };

    if (put_item(p, &item, 0) != TG_OK)
        return tg_fail(err, TG_NOMEM, "no memory for the list of chats");
    return TG_OK;
}

static bool add_chat(struct tg_pipeline *p, int64_t chat_id)
{
    struct pipeline_chat *more = p->chat;

    pthread_mutex_lock(&p->lock);
    assert(!pipeline_find_chat(p, chat_id));
    if (p->n_chats == p->cap_chats) {
        size_t cap = TG_MAX(2 * p->cap_chats, (size_t)4);

        more = reallocarray(p->chat, cap, sizeof *more);
        if (more) {
            p->chat = more;
            p->cap_chats = cap;
        }
    }
    if (more)
        p->chat[p->n_chats++] = (struct pipeline_chat){ .id = chat_id };
    pthread_mutex_unlock(&p->lock);
    return more != NULL;
}

tg_code tg_pipeline_begin(struct tg_pipeline *p, const struct tg_job_chat *chat,
                          struct tg_error *err)
{
    struct pipeline_item item = { .kind = ITEM_CHAT, .list = chat };

    if (!add_chat(p, chat->id) || put_item(p, &item, 0) != TG_OK)
        return tg_fail(err, TG_NOMEM, "no memory to start a chat");
    return TG_OK;
}

tg_code tg_pipeline_resume(struct tg_pipeline *p, int64_t chat_id, struct tg_commit *ret,
                           struct tg_error *err)
{
    tg_code code = TG_AGAIN;
    struct pipeline_chat *c;

    pthread_mutex_lock(&p->lock);
    c = pipeline_find_chat(p, chat_id);
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
    struct pipeline_item item = { .kind = ITEM_LEAVE, .chat_id = chat_id };

    if (put_item(p, &item, 0) != TG_OK)
        return tg_fail(err, TG_NOMEM, "no memory to end a chat");
    return TG_OK;
}

/* A chat that the taker has left, taken out of the list. @return TG_AGAIN: it has not yet */
static tg_code take_left(struct tg_pipeline *p, int64_t chat_id, struct pipeline_chat *ret,
                         struct tg_error *ret_alone, struct tg_error *err)
{
    tg_code code = TG_AGAIN;
    struct pipeline_chat *c;

    pthread_mutex_lock(&p->lock);
    c = pipeline_find_chat(p, chat_id);
    if (p->shared.failed) {
        *err = p->shared.err;
        code = err->code;
    } else if (c->left) {
        *ret_alone = c->failed ? c->err : (struct tg_error){ .code = TG_OK };
        *ret = *c;
        *c = p->chat[--p->n_chats];
        code = TG_OK;
    }
    pthread_mutex_unlock(&p->lock);
    return code;
}

tg_code tg_pipeline_left(struct tg_pipeline *p, int64_t chat_id, int64_t *ret_rows,
                         struct tg_error *ret_alone, struct tg_error *err)
{
    struct pipeline_chat chat = { 0 };
    tg_code code = take_left(p, chat_id, &chat, ret_alone, err);

    if (code == TG_OK)
        *ret_rows = chat.rows;
    return code;
}

tg_code tg_pipeline_fall_back(struct tg_pipeline *p, const struct tg_fallback_request *request,
                              struct tg_error *err)
{
    struct pipeline_item item = { .kind = ITEM_FALLBACK, .request = request };

    if (!add_chat(p, request->chat->id) || put_item(p, &item, 0) != TG_OK)
        return tg_fail(err, TG_NOMEM, "no memory for a fallback");
    return TG_OK;
}

tg_code tg_pipeline_fell_back(struct tg_pipeline *p, int64_t chat_id,
                              struct tg_fallback_result *ret, struct tg_error *ret_alone,
                              struct tg_error *err)
{
    struct pipeline_chat chat = { 0 };
    tg_code code = take_left(p, chat_id, &chat, ret_alone, err);

    if (code == TG_OK)
        *ret = chat.fallback;
    return code;
}

int64_t tg_pipeline_rows(struct tg_pipeline *p, int64_t chat_id)
{
    const struct pipeline_chat *c;
    int64_t rows;

    pthread_mutex_lock(&p->lock);
    c = pipeline_find_chat(p, chat_id);
    rows = c ? c->rows : 0;
    pthread_mutex_unlock(&p->lock);
    return rows;
}

bool tg_pipeline_chat_failed(struct tg_pipeline *p, int64_t chat_id, struct tg_error *err)
{
    const struct pipeline_chat *c;
    bool failed;

    pthread_mutex_lock(&p->lock);
    c = pipeline_find_chat(p, chat_id);
    failed = c && c->failed;
    if (failed)
        *err = c->err;
    pthread_mutex_unlock(&p->lock);
    return failed;
}

uint64_t tg_pipeline_fence(const struct tg_pipeline *p)
{
    return p->taker.lease.token; /* the same from its start to its end */
}

/* Under the lock. */
static bool has_credit(const struct tg_pipeline *p)
{
    return p->shared.n_out < p->batches_max &&
           p->bytes_out < (uint64_t)p->options.job->credit_bytes;
}

struct tg_batch *tg_pipeline_batch(struct tg_pipeline *p)
{
    struct tg_batch *b = NULL;
    bool credit;

    pthread_mutex_lock(&p->lock);
    credit = has_credit(p) && !p->shared.failed && !p->over;
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
    struct pipeline_item item = {
        .kind = ITEM_BATCH,
        .chat_id = batch->cursor.chat_id,
        .batch = batch,
    };
    uint64_t bytes = batch->bytes;

    tg_observe_rows(p->options.observer, batch->n);
    tg_trace_batch(p->options.trace, item.chat_id, batch);
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
        pipeline_give_back(p, batch, bytes);
    }
}

void tg_pipeline_return(struct tg_pipeline *p, struct tg_batch *batch)
{
    pipeline_give_back(p, batch, 0);
}

void tg_pipeline_state(struct tg_pipeline *p, struct tg_pipeline_state *ret)
{
    pthread_mutex_lock(&p->lock);
    *ret = p->shared;
    ret->idle = p->n_queued == 0;
    ret->full = !has_credit(p);
    pthread_mutex_unlock(&p->lock);
}

tg_code tg_pipeline_finish(struct tg_pipeline *p, struct tg_error *err)
{
    if (p->running) {
        atomic_store(&p->no_fallbacks, true);
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
    pipeline_spill_done(p);
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
    atomic_store(&p->no_fallbacks, true);
}

void tg_pipeline_circuit(struct tg_pipeline *p, int64_t chat_id,
                         const struct tg_breaker_record *record)
{
    struct pipeline_item item = { .kind = ITEM_CIRCUIT };

    tg_circuit_name(item.name, TG_CIRCUIT_CHAT, chat_id);
    tg_buf_init(&item.record, TG_CIRCUIT_JSON);
    tg_circuit_write(record, NULL, &item.record);
    if (item.record.failed || put_item(p, &item, 0) != TG_OK)
        tg_buf_done(&item.record);
}

tg_code tg_pipeline_quarantine(struct tg_pipeline *p, int64_t chat_id, int64_t id,
                               const char *reason, const void *bytes, size_t len,
                               struct tg_error *err)
{
    struct pipeline_item item = { .kind = ITEM_BAD_RECORD, .chat_id = chat_id };
    const struct tg_bad_record record = { chat_id, id, reason, bytes, len };

    tg_bad_record_write(&record, &item.record, item.name);
    if (item.record.failed || put_item(p, &item, item.record.len) != TG_OK) {
        tg_buf_done(&item.record);
        return tg_fail(err, TG_NOMEM, "no memory to keep a bad record");
    }
    return TG_OK;
}

tg_code tg_pipeline_letter(struct tg_pipeline *p, const struct tg_letter_box *box, int64_t chat_id,
                           const struct tg_row_aside *aside, struct tg_error *err)
{
    struct pipeline_item item = { .kind = ITEM_LETTER, .chat_id = chat_id };
    tg_code code;

    tg_buf_init(&item.record, TG_LETTER_MAX + TG_LETTER_KEY);
    code = tg_letter_note(box, chat_id, aside, &item.record, err);
    if (code == TG_OK && put_item(p, &item, item.record.len) != TG_OK)
        code = tg_fail(err, TG_NOMEM, "no memory to keep a row that breaks a rule");
    if (code != TG_OK)
        tg_buf_done(&item.record);
    return code;
}

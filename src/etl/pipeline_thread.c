/* SPDX-License-Identifier: MIT */
/*
 * pipeline_thread.c - the taker's thread: works items off and tells the loop thread; see
 * pipeline_impl.h
 */
#include <assert.h>
#include <stdlib.h>

#include "etl/pipeline_impl.h"

/* What became of a chat's item. @return what ends the pipeline */
static tg_code note_chat(struct tg_pipeline *p, int64_t chat_id, const struct pipeline_chat *news,
                         tg_code code, const struct tg_error *err)
{
    bool only_chat = code != TG_OK && tg_taker_only_chat(&p->taker, code);
    struct pipeline_chat *c;

    pthread_mutex_lock(&p->lock);
    c = pipeline_find_chat(p, chat_id);
    c->rows = news->rows;
    if (news->resumed && code == TG_OK) {
        c->resume = news->resume;
        c->resumed = true;
    }
    c->fallback = news->fallback;
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
    failed = pipeline_find_chat(p, chat_id)->failed;
    pthread_mutex_unlock(&p->lock);
    return failed;
}

static tg_code take_chat(struct tg_pipeline *p, const struct tg_job_chat *chat,
                         struct tg_error *err)
{
    struct pipeline_chat news = { .resumed = true };
    tg_code code = tg_taker_chat(&p->taker, chat, &news.resume, err);

    return note_chat(p, chat->id, &news, code, err);
}

static tg_code take_batch(struct tg_pipeline *p, struct tg_batch *b, struct tg_error *err)
{
    int64_t chat_id = b->cursor.chat_id;
    struct pipeline_chat news = { 0 };
    tg_code code;

    if (has_failed(p, chat_id))
        return TG_OK;
    code = tg_taker_batch(&p->taker, b, err);
    news.rows = tg_taker_rows(&p->taker, chat_id);
    return note_chat(p, chat_id, &news, code, err);
}

static tg_code leave_chat(struct tg_pipeline *p, int64_t chat_id, struct tg_error *err)
{
    struct pipeline_chat news = { .left = true };
    tg_code code = TG_OK;

    if (has_failed(p, chat_id))
        news.rows = tg_pipeline_rows(p, chat_id);
    else
        code = tg_taker_leave(&p->taker, chat_id, &news.rows, err);
    return note_chat(p, chat_id, &news, code, err);
}

static struct tg_steps_counts counts_of(const struct tg_taker_steps *steps)
{
    const struct tg_stage_counts *n = steps ? &steps->counts : NULL;

    return n ? (struct tg_steps_counts){ n->dropped, n->aside, n->judged, n->invalid }
             : (struct tg_steps_counts){ 0 };
}

/* Tells the loop thread what was done, and `failure` if there is one. */
static void publish(struct tg_pipeline *p, const struct tg_error *failure)
{
    const struct tg_sink *sink = p->options.sink, *other = p->options.fallback_sink;
    uint64_t bytes_out = sink ? sink->ops->bytes(sink->self) : 0;

    bytes_out += other ? other->ops->bytes(other->self) : 0;

    pthread_mutex_lock(&p->lock);
    p->shared.rows = p->taker.rows;
    p->shared.fallback_rows = p->taker.fallback_rows;
    p->shared.batches = p->taker.batches;
    p->shared.commits = p->taker.commits;
    p->shared.bytes_out = bytes_out;
    p->shared.steps = counts_of(p->taker.steps);
    if (failure && !p->shared.failed) {
        p->shared.failed = true;
        p->shared.err = *failure;
    }
    pthread_mutex_unlock(&p->lock);
}

/* Some rows more: it may take long. */
static void tell_fallback(void *ctx, const struct tg_taker *t)
{
    struct tg_pipeline *p = ctx;

    pthread_mutex_lock(&p->lock);
    for (size_t i = 0; i < t->n_chats; i++)
        if (t->chat[i]->fallback)
            pipeline_find_chat(p, t->chat[i]->next.cursor.chat_id)->rows = t->chat[i]->rows;
    pthread_mutex_unlock(&p->lock);
    publish(p, NULL);
    p->options.wake(p->options.wake_ctx);
}

static tg_code fall_back(struct tg_pipeline *p, const struct tg_fallback_request *given,
                         struct tg_error *err)
{
    struct tg_fallback_request request = *given;
    struct pipeline_chat news = { .left = true };
    tg_code code;

    request.stop = &p->no_fallbacks;
    request.told = tell_fallback;
    request.ctx = p;
    code = tg_taker_fallback(&p->taker, &request, &news.fallback, err);
    news.rows = news.fallback.rows;
    return note_chat(p, request.chat->id, &news, code, err);
}

static tg_code work(struct tg_pipeline *p, struct pipeline_item *item, struct tg_error *err)
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
    case ITEM_LETTER:
        return tg_taker_letter(&p->taker, &item->record, err);
    case ITEM_BAD_RECORD:
        return tg_taker_bad_record(&p->taker, item->chat_id, item->name, &item->record, err);
    case ITEM_CIRCUIT:
        tg_taker_keep_circuit(&p->taker, item->name, &item->record);
        return TG_OK;
    case ITEM_FALLBACK:
        return fall_back(p, item->request, err);
    }
    return TG_OK;
}

/* Whether an item asks the destination for something. */
static bool needs_sink(struct tg_pipeline *p, const struct pipeline_item *item)
{
    switch (item->kind) {
    case ITEM_LIST:
    case ITEM_CHAT:
    case ITEM_FALLBACK:
        return true;
    case ITEM_BATCH:
    case ITEM_LEAVE:
        return !has_failed(p, item->chat_id);
    default:
        return false;
    }
}

static tg_code try_work(struct tg_pipeline *p, struct pipeline_item *item, struct tg_error *err)
{
    tg_code code = needs_sink(p, item) ? tg_taker_await_sink(&p->taker, err) : TG_OK;

    if (code == TG_OK)
        code = pipeline_take_back(p, item, err);
    if (code == TG_OK)
        return work(p, item, err);
    p->taker.failed = true;
    return code;
}

/* Works an item off and gives everything in it back. */
static tg_code take_item(struct tg_pipeline *p, struct pipeline_item *item, bool drop,
                         struct tg_error *err)
{
    tg_code code = drop ? TG_OK : try_work(p, item, err);

    publish(p, code == TG_OK ? NULL : err);
    pipeline_drop_batch(p, item);
    tg_buf_done(&item->record);
    free(item);
    pthread_mutex_lock(&p->lock);
    p->n_queued--;
    pthread_mutex_unlock(&p->lock);
    return code;
}

/* What was taken aside goes first. @return as tg_queue_pop */
static tg_code next_item(struct tg_pipeline *p, int64_t wait_us, struct pipeline_item **ret)
{
    void *popped;
    uint64_t bytes;
    tg_code code;

    *ret = pipeline_held(p);
    if (*ret)
        return TG_OK;
    code = pipeline_pop(p, ret);
    if (code != TG_AGAIN)
        return code;
    code = tg_queue_pop(p->queue, wait_us, &popped, &bytes); /* nothing is behind it */
    if (code == TG_OK)
        *ret = popped;
    return code;
}

void *pipeline_thread(void *arg)
{
    struct tg_pipeline *p = arg;
    struct tg_taker *t = &p->taker;
    struct tg_error err;
    bool failed = false;

    for (;;) {
        int64_t wait_us = failed ? INT64_MAX : TG_MAX(t->renew_us - t->unix_us(), TG_MS_US);
        struct pipeline_item *item;
        tg_code code = next_item(p, wait_us, &item);

        if (code == TG_END)
            break;
        if (code == TG_OK) {
            failed |= take_item(p, item, failed, &err) != TG_OK;
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

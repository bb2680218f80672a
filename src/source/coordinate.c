/* SPDX-License-Identifier: MIT */
/*
 * coordinate.c - see coordinate.h
 */
#include "source/coordinate.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/text.h"
#include "client/redis.h"
#include "os/queue.h"

enum { UNDER_WAY_MAX = 256, REPLY_LEN = 10, NUMBERS = 14, WORDS = NUMBERS + 4, KEY_MAX = 192 };

#define REDIS_MS 500                   /* for an answer; then the worker is on its own */
#define STALE_US TG_SHARE_PERIOD_US    /* an ask that nobody awaits any more */
#define AGAIN_US (TG_SECOND_US / 2)    /* between two tries to subscribe */

/* An ask, or what came back. */
struct item {
    struct tgc_share_query query;
    int64_t asked_us;
    enum { ITEM_ASK, ITEM_REPLY, ITEM_GONE, ITEM_NEWS } kind;
    struct tg_share_reply reply;
    struct tg_error err;
    char method[64]; /* of news */
    int64_t closed_us;
};

struct tg_coordinate {
    struct tg_redis *redis, *news;
    struct tg_redis_script script;
    struct tgc_share_io io;
    char name[17];               /* the worker's */
    struct tg_queue *asks, *answers, *stop;
    struct tg_net *net;
    bool asking, listening;      /* the threads run */
    pthread_t asker, listener;
    char channel[KEY_MAX];
};

/* ---- the loop's side ---- */

static bool pass_on(void *ctx, const struct tgc_share_query *query, struct tg_error *err)
{
    struct tg_coordinate *co = ctx;
    struct item *item = calloc(1, sizeof *item);

    if (item) {
        item->query = *query;
        item->asked_us = tg_clock_mono_us();
        if (tg_queue_try_push(co->asks, item, 1) == TG_OK)
            return true;
    }
    free(item);
    tg_fail(err, TG_LIMIT, "too many asks wait for Redis at %s", tg_redis_name(co->redis));
    return false;
}

void tg_coordinate_poll(struct tg_coordinate *co)
{
    struct tgc *client = co ? tg_net_client(co->net) : NULL;
    struct item *item;
    void *popped;
    uint64_t bytes;

    while (co && tg_queue_pop(co->answers, 0, &popped, &bytes) == TG_OK) {
        int64_t now = tg_net_now(co->net);

        item = popped;
        if (item->kind == ITEM_REPLY)
            tgc_share_reply(client, item->query.number, &item->reply, now);
        else if (item->kind == ITEM_GONE)
            tgc_share_gone(client, item->query.number, &item->err, now);
        else
            tgc_share_closed(client, item->method, item->query.dc, item->closed_us, now);
        free(item);
    }
}

/* ---- the threads' side ---- */

/* A full queue loses an answer: it counts as overdue then. */
static void answer(struct tg_coordinate *co, struct item *item)
{
    if (tg_queue_try_push(co->answers, item, 1) != TG_OK)
        free(item);
    else
        tg_net_wake(co->net);
}

/* "METHOD DC MICROSECONDS" */
static void on_news(struct tg_coordinate *co, const char *text)
{
    struct item *item = calloc(1, sizeof *item);
    int dc;

    if (item && sscanf(text, "%63s %d %" SCNd64, item->method, &dc, &item->closed_us) == 3 &&
        item->closed_us > 0) {
        item->kind = ITEM_NEWS;
        item->query.dc = dc;
        answer(co, item);
    } else {
        free(item);
    }
}

static void *listen_on(void *arg)
{
    struct tg_coordinate *co = arg;
    struct tg_error err;
    void *none;
    uint64_t bytes;
    char *text;

    do {
        if (tg_redis_subscribe(co->news, co->channel, &err) != TG_OK)
            continue;
        while (tg_redis_next(co->news, &text, &err) == TG_OK) {
            on_news(co, text);
            free(text);
        }
    } while (tg_queue_pop(co->stop, AGAIN_US, &none, &bytes) == TG_AGAIN);
    return NULL;
}

/* When it is known whose limits these are. Without news, the next reply tells of a wait. */
static void begin_listening(struct tg_coordinate *co, const struct tgc_share_query *q)
{
    struct tg_error ignored;

    if (co->listening)
        return;
    snprintf(co->channel, sizeof co->channel, "tgdata%s:{%" PRId64 "}:news",
             q->test ? "-test" : "", q->account);
    co->listening = tg_thread_start(&co->listener, "tg-news", listen_on, co, &ignored) == TG_OK;
}

static bool read_reply(const struct redisReply *r, struct tg_share_reply *ret)
{
    int64_t v[REPLY_LEN];

    for (size_t i = 0; i < REPLY_LEN; i++)
        v[i] = tg_redis_i64(tg_redis_item(r, i), -1);
    *ret = (struct tg_share_reply){ (enum tg_share_mode)v[0], v[1], v[2], v[3], v[4], v[5], v[6],
                                    v[7], v[8], v[9] == 1 };
    for (size_t i = 0; i < REPLY_LEN; i++)
        if (v[i] < 0 || v[i] > INT64_C(1) << 53)
            return false;
    return v[0] <= TG_SHARE_WAIT && v[1] < TG_SHARE_PERIOD_US;
}

static tg_code run_script(struct tg_coordinate *co, const struct tgc_share_query *q,
                          struct tg_share_reply *ret, struct tg_error *err)
{
    const struct tg_share_ask *a = &q->ask;
    const int64_t number[NUMBERS] = { 0, a->want_micro, a->now_too, a->returned_micro,
                                      a->cap_milli, a->burst_micro, a->adaptive, a->known_milli,
                                      a->known_learned_milli, a->apart, a->flood_us,
                                      a->found_milli, a->found_learned_milli, a->gives_up };
    char text[NUMBERS][24], key[KEY_MAX], words[96];
    const char *word[WORDS + 1] = { key, co->name };
    struct redisReply *reply;
    tg_code code;
    bool ok;

    snprintf(key, sizeof key, "tgdata%s:{%" PRId64 "}:%.100s:%d", q->test ? "-test" : "",
             q->account, q->method, q->dc);
    snprintf(words, sizeof words, "%.63s %d", q->method, q->dc);
    for (size_t i = 0; i < NUMBERS; i++) {
        snprintf(text[i], sizeof text[i], "%" PRId64, number[i]);
        word[2 + i] = text[i];
    }
    word[WORDS - 2] = co->channel;
    word[WORDS - 1] = words;
    code = tg_redis_eval(co->redis, &co->script, 1, word, &reply, err);
    if (code != TG_OK) {
        tg_redis_hang_up(co->news); /* a host that is gone does not tell */
        return code;
    }
    ok = read_reply(reply, ret);
    tg_redis_reply_free(reply);
    return ok ? TG_OK : tg_fail(err, TG_PROTOCOL, "Redis at %s: an answer that cannot be",
                                tg_redis_name(co->redis));
}

static void *ask_on(void *arg)
{
    struct tg_coordinate *co = arg;
    void *popped;
    uint64_t bytes;

    while (tg_queue_pop(co->asks, INT64_MAX, &popped, &bytes) == TG_OK) {
        struct item *item = popped;
        bool stale = tg_clock_mono_us() - item->asked_us > STALE_US;
        tg_code code;

        begin_listening(co, &item->query);
        code = stale ? tg_fail(&item->err, TG_TIMEOUT, "Redis at %s does not answer in time",
                               tg_redis_name(co->redis))
                     : run_script(co, &item->query, &item->reply, &item->err);
        item->kind = code == TG_OK ? ITEM_REPLY : ITEM_GONE;
        if (item->query.number)
            answer(co, item);
        else
            free(item);
    }
    return NULL;
}

/* ---- life ---- */

tg_code tg_coordinate_new(const char *url, const struct tg_random *random,
                          struct tg_coordinate **ret, struct tg_error *err)
{
    struct tg_coordinate *co = calloc(1, sizeof *co);
    uint64_t name = tg_random_u64(random);
    tg_code code = TG_OK;

    if (!co)
        return tg_fail(err, TG_NOMEM, "no memory to share limits");
    tg_hex(co->name, &name, sizeof name);
    co->script.text = tg_share_script;
    co->io = (struct tgc_share_io){ co, pass_on };
    co->asks = tg_queue_new(UNDER_WAY_MAX, UNDER_WAY_MAX);
    co->answers = tg_queue_new(UNDER_WAY_MAX, UNDER_WAY_MAX);
    co->stop = tg_queue_new(1, 1);
    if (!co->asks || !co->answers || !co->stop)
        code = tg_fail(err, TG_NOMEM, "no memory to share limits");
    if (code == TG_OK)
        code = tg_redis_new(url, REDIS_MS, &co->redis, err);
    if (code == TG_OK)
        code = tg_redis_new(url, REDIS_MS, &co->news, err);
    if (code == TG_OK)
        code = tg_redis_connect(co->redis, err);
    if (code != TG_OK) {
        tg_coordinate_free(co);
        return code;
    }
    *ret = co;
    return TG_OK;
}

const struct tgc_share_io *tg_coordinate_io(const struct tg_coordinate *co)
{
    return &co->io;
}

tg_code tg_coordinate_start(struct tg_coordinate *co, struct tg_net *net, struct tg_error *err)
{
    tg_code code;

    co->net = net;
    code = tg_thread_start(&co->asker, "tg-share", ask_on, co, err);
    co->asking = code == TG_OK;
    return code;
}

static void drain(struct tg_queue *q)
{
    void *item;
    uint64_t bytes;

    while (q && tg_queue_pop(q, 0, &item, &bytes) == TG_OK)
        free(item);
    tg_queue_free(q);
}

void tg_coordinate_free(struct tg_coordinate *co)
{
    if (!co)
        return;
    if (co->asking) {
        tgc_share_leave(tg_net_client(co->net));
        tg_queue_close(co->asks); /* what is in it is still told */
        pthread_join(co->asker, NULL);
    }
    if (co->listening) {
        tg_queue_close(co->stop);
        tg_redis_interrupt(co->news);
        pthread_join(co->listener, NULL);
    }
    drain(co->asks);
    drain(co->answers);
    drain(co->stop);
    tg_redis_free(co->redis);
    tg_redis_free(co->news);
    free(co);
}

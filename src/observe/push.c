/* SPDX-License-Identifier: MIT */
/*
 * push.c - see push.h: the thread
 */
#include <assert.h>
#include <stdlib.h>

#include "observe/push_impl.h"
#include "os/queue.h"

static const struct tg_push_type *const types[TG_PUSH_KINDS] = {
    [TG_PUSH_ENDPOINT] = &tg_push_endpoint,
    [TG_PUSH_STATSD] = &tg_push_statsd,
    [TG_PUSH_CLOUDWATCH] = &tg_push_cloudwatch,
};

struct tg_push {
    enum tg_push_kind kind;
    struct tg_push_options options;
    void *self;
    struct tg_queue *stop; /* nothing is ever in it: closed, it ends the thread's wait */
    pthread_t thread;
    bool running;
};

const char *tg_push_name(enum tg_push_kind kind)
{
    assert(kind < TG_PUSH_KINDS);
    return types[kind]->name;
}

static void push(struct tg_push *p)
{
    struct tg_error err;
    tg_code code = types[p->kind]->send(p->self, &p->options, &err);

    p->options.done(p->options.ctx, p->kind, code == TG_OK ? NULL : &err);
}

static void *run(void *arg)
{
    struct tg_push *p = arg;
    uint64_t bytes;
    void *none;

    while (tg_queue_pop(p->stop, p->options.interval_ms * TG_MS_US, &none, &bytes) != TG_END)
        push(p);
    push(p); /* how it ended */
    return NULL;
}

tg_code tg_push_new(enum tg_push_kind kind, const struct tg_push_options *options,
                    struct tg_push **ret, struct tg_error *err)
{
    struct tg_push *p = calloc(1, sizeof *p);
    tg_code code;

    if (!p)
        return tg_fail(err, TG_NOMEM, "no memory to push metrics");
    p->kind = kind;
    p->options = *options;
    code = types[kind]->open(options, &p->self, err);
    p->options.where = p->options.job = NULL; /* were lent for this call */
    p->stop = tg_queue_new(1, 1);
    if (code == TG_OK && !p->stop)
        code = tg_fail(err, TG_NOMEM, "no memory to push metrics");
    if (code == TG_OK)
        code = tg_thread_start(&p->thread, "tg-push", run, p, err);
    p->running = code == TG_OK;
    if (code != TG_OK) {
        tg_push_free(p);
        return code;
    }
    *ret = p;
    return TG_OK;
}

void tg_push_free(struct tg_push *p)
{
    if (!p)
        return;
    if (p->running) {
        tg_queue_close(p->stop);
        pthread_join(p->thread, NULL);
    }
    if (p->self)
        types[p->kind]->close(p->self);
    if (p->stop)
        tg_queue_free(p->stop);
    free(p);
}

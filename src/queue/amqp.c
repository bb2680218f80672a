/* SPDX-License-Identifier: MIT */
/*
 * amqp.c - tasks on a quorum queue of RabbitMQ: `amqp://USER:PASSWORD@HOST:PORT/VHOST?queue=NAME`
 *
 *   NAME            quorum queue; what is delivered too often is dead, by the server's count if
 *                   nobody takes it any more
 *   NAME.later.Ns   for 1, 2, 4 .. 512 seconds: a message stays that long, then returns to NAME
 *   NAME.dead       dead letters; header `reason`, or x-death if the server judged
 *
 * A message that was got belongs to the connection. When that is gone (the worker died, or was
 * silent for longer than the visibility time, which is what heartbeats are set to), the server
 * gives it to another. A message that ends other than by ack is published again, confirmed, and
 * then acknowledged: in between, a crash leaves it twice, which is what "at least once" means here.
 *
 * How many messages others have taken cannot be asked for over AMQP: `taken` is 0, and not known.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "client/amqp.h"
#include "os/proc.h"
#include "queue/broker.h"

enum { NAME_MAX_BYTES = 64, TIMEOUT_MS = 5000, LATER_QUEUES = 10, POLL_MS = 50 };

struct broker_amqp {
    /* options */
    const char *queue;
    int64_t visibility_ms, max_deliveries;
    /* own */
    struct tg_amqp *amqp;
    char *url;
    char dead[NAME_MAX_BYTES + 16];
    char later[LATER_QUEUES][NAME_MAX_BYTES + 32];
    uint64_t declared; /* connection on which the queues were declared */
};

/* A delivery's id is "epoch/tag". */
static struct tg_amqp_message message_of(const struct tg_delivery *d)
{
    struct tg_amqp_message m = { 0 };

    if (sscanf(d->id, "%" SCNu64 "/%" SCNu64, &m.epoch, &m.tag) != 2)
        m.epoch = 0;
    return m;
}

static struct tg_amqp_queue later_queue(const struct broker_amqp *b, int i)
{
    return (struct tg_amqp_queue){ .name = b->later[i],
                                   .ttl_ms = INT64_C(1000) << i,
                                   .dead_to = b->queue };
}

/* @param ret  may be NULL */
static tg_code declare(struct broker_amqp *b, struct tg_broker_depth *ret, struct tg_error *err)
{
    const struct tg_amqp_queue tasks = { .name = b->queue,
                                         .quorum = true,
                                         .delivery_limit = b->max_deliveries,
                                         .dead_to = b->dead };
    const struct tg_amqp_queue dead = { .name = b->dead };
    uint64_t n;
    tg_code code = tg_amqp_declare(b->amqp, &dead, &n, err);

    if (ret)
        *ret = (struct tg_broker_depth){ .dead = n };
    if (code == TG_OK)
        code = tg_amqp_declare(b->amqp, &tasks, &n, err);
    if (ret)
        ret->waiting = n;
    for (int i = 0; code == TG_OK && i < LATER_QUEUES; i++) {
        const struct tg_amqp_queue later = later_queue(b, i);

        code = tg_amqp_declare(b->amqp, &later, &n, err);
        if (ret)
            ret->later += n;
    }
    if (code == TG_OK)
        b->declared = tg_amqp_epoch(b->amqp);
    return code;
}

static tg_code need_queues(struct broker_amqp *b, struct tg_error *err)
{
    tg_code code = tg_amqp_connect(b->amqp, err);

    return code == TG_OK && b->declared != tg_amqp_epoch(b->amqp) ? declare(b, NULL, err) : code;
}

static tg_code broker_open(void *self, const char *target, const char *who, struct tg_error *err)
{
    struct tg_amqp_options options = { .timeout_ms = TIMEOUT_MS };
    struct broker_amqp *b = self;
    tg_code code;

    (void)who;
    if (!*b->queue || strlen(b->queue) >= NAME_MAX_BYTES)
        return tg_fail(err, TG_USAGE, "'%.100s' is no name of a queue", b->queue);
    snprintf(b->dead, sizeof b->dead, "%s.dead", b->queue);
    for (int i = 0; i < LATER_QUEUES; i++)
        snprintf(b->later[i], sizeof b->later[i], "%s.later.%ds", b->queue, 1 << i);
    if (asprintf(&b->url, "amqp:%s", target) < 0) {
        b->url = NULL;
        return tg_fail(err, TG_NOMEM, "no memory for a queue");
    }
    options.url = b->url;
    options.heartbeat_s = TG_MAX(b->visibility_ms / 2000, INT64_C(1));
    code = tg_amqp_new(&options, &b->amqp, err);
    return code == TG_OK ? need_queues(b, err) : code;
}

static void broker_close(void *self)
{
    struct broker_amqp *b = self;

    tg_amqp_free(b->amqp);
    if (b->url)
        explicit_bzero(b->url, strlen(b->url));
    free(b->url);
    b->amqp = NULL;
    b->url = NULL;
}

/* Publishes a message; TG_OK when the server has it safe. */
static tg_code publish(struct broker_amqp *b, const char *queue, const struct tg_str *body,
                       uint32_t attempts, const char *reason, struct tg_error *err)
{
    const struct tg_amqp_header header[] = { { .key = "attempts", .number = attempts },
                                             { .key = "reason", .text = reason } };
    const struct tg_amqp_publication p = {
        .exchange = "",
        .routing_key = queue,
        .content_type = "application/json",
        .body = body->at,
        .len = body->len,
        .header = header,
        .n_headers = reason ? 2 : 1,
    };
    tg_code code = tg_amqp_publish(b->amqp, &p, err);

    return code == TG_OK ? tg_amqp_confirm(b->amqp, 0, err) : code;
}

static tg_code broker_put(void *self, const void *body, size_t len, struct tg_error *err)
{
    const struct tg_str text = { body, (uint32_t)len };
    struct broker_amqp *b = self;
    tg_code code;

    if (len > TG_BROKER_BODY_MAX)
        return tg_fail(err, TG_LIMIT, "a task of %zu bytes", len);
    code = need_queues(b, err);
    return code == TG_OK ? publish(b, b->queue, &text, 0, NULL, err) : code;
}

static tg_code broker_keep(void *self, const struct tg_delivery *d, struct tg_error *err)
{
    struct broker_amqp *b = self;
    tg_code code = tg_amqp_tick(b->amqp, err);

    if (code == TG_OK && message_of(d).epoch != tg_amqp_epoch(b->amqp))
        code = tg_fail(err, TG_CONFLICT, "the task was given to another worker");
    return code;
}

static tg_code broker_ack(void *self, const struct tg_delivery *d, struct tg_error *err)
{
    const struct tg_amqp_message m = message_of(d);

    return tg_amqp_ack(((struct broker_amqp *)self)->amqp, &m, err);
}

/* Publishes it elsewhere, unless it is not ours any more, and ends it here. */
static tg_code pass_on(struct broker_amqp *b, const struct tg_delivery *d, const char *queue,
                       uint32_t attempts, const char *reason, struct tg_error *err)
{
    const struct tg_str text = { (const char *)d->body.data, (uint32_t)d->body.len };
    tg_code code = broker_keep(b, d, err);

    if (code == TG_OK)
        code = publish(b, queue, &text, attempts, reason, err);
    return code == TG_OK ? broker_ack(b, d, err) : code;
}

static tg_code broker_retry(void *self, const struct tg_delivery *d, int64_t delay_ms, bool failed,
                            struct tg_error *err)
{
    struct broker_amqp *b = self;
    int i = 0;

    while (i + 1 < LATER_QUEUES && (INT64_C(1000) << i) < delay_ms)
        i++;
    return pass_on(b, d, b->later[i], d->attempts + failed, NULL, err);
}

static tg_code broker_give_back(void *self, const struct tg_delivery *d, struct tg_error *err)
{
    struct broker_amqp *b = self;

    return pass_on(b, d, b->queue, d->attempts, NULL, err);
}

static tg_code broker_bury(void *self, const struct tg_delivery *d, const char *reason,
                           struct tg_error *err)
{
    struct broker_amqp *b = self;

    return pass_on(b, d, b->dead, d->attempts, reason, err);
}

static tg_code broker_take(void *self, int64_t wait_ms, struct tg_delivery *ret,
                           struct tg_error *err)
{
    struct broker_amqp *b = self;
    struct tg_amqp_message m = { .body = ret->body };
    tg_code code = need_queues(b, err);

    while (code == TG_OK) {
        code = tg_amqp_get(b->amqp, b->queue, &m, err);
        if (code != TG_AGAIN || wait_ms <= 0)
            break;
        tg_sleep_us(POLL_MS * TG_MS_US);
        wait_ms -= POLL_MS;
        code = TG_OK;
    }
    ret->body = m.body;
    if (code == TG_OK && ret->body.failed)
        tg_buf_clear(&ret->body); /* longer than any task: dead letters get it without its text */
    if (code != TG_OK)
        return code;
    snprintf(ret->id, sizeof ret->id, "%" PRIu64 "/%" PRIu64, m.epoch, m.tag);
    ret->deliveries = m.deliveries;
    ret->attempts = m.attempts;
    if (ret->deliveries <= b->max_deliveries)
        return TG_OK;
    code = broker_bury(b, ret, "taken again and again without an end", err);
    return code == TG_OK || code == TG_CONFLICT ? TG_AGAIN : code;
}

static tg_code broker_depth(void *self, struct tg_broker_depth *ret, struct tg_error *err)
{
    return declare(self, ret, err);
}

static int64_t broker_visibility_ms(const void *self)
{
    return ((const struct broker_amqp *)self)->visibility_ms;
}

static const struct tg_option amqp_option[] = {
    { .name = "queue",
      .type = TG_OPT_STR,
      .offset = offsetof(struct broker_amqp, queue),
      .fallback = "tgdata",
      .value = "NAME",
      .help = "name of the queue" },
    { .name = "visibility",
      .type = TG_OPT_MS,
      .offset = offsetof(struct broker_amqp, visibility_ms),
      .fallback = "60s",
      .min = 2000,
      .max = 3600000,
      .value = "TIME",
      .help = "a task whose worker was not heard of for so long goes to another" },
    { .name = "max-deliveries",
      .type = TG_OPT_I64,
      .offset = offsetof(struct broker_amqp, max_deliveries),
      .fallback = "5",
      .min = 1,
      .max = 1000,
      .value = "N",
      .help = "a task that was taken so often without an end goes to the dead letters; belongs to "
              "the queue once it is made" },
    { 0 },
};

const struct tg_broker_ops tg_broker_amqp = {
    .head = { "amqp", "a quorum queue of RabbitMQ", amqp_option, sizeof(struct broker_amqp) },
    .open = broker_open,
    .close = broker_close,
    .put = broker_put,
    .take = broker_take,
    .keep = broker_keep,
    .ack = broker_ack,
    .retry = broker_retry,
    .give_back = broker_give_back,
    .bury = broker_bury,
    .depth = broker_depth,
    .visibility_ms = broker_visibility_ms,
};

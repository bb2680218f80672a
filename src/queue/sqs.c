/* SPDX-License-Identifier: MIT */
/*
 * sqs.c - tasks on a queue of Amazon SQS: `sqs://NAME?region=eu-west-1`, or the whole URL of a
 * queue, `sqs:https://sqs.eu-west-1.amazonaws.com/123456789012/NAME`
 *
 *   NAME        standard or FIFO queue (.fifo); a message that was taken is hidden, and seen again
 *               when that was not renewed for the visibility time
 *   dead        target of the queue's redrive policy, else NAME-dead (NAME-dead.fifo)
 *
 * Attributes of messages: `attempts`; in dead letters `deliveries` and `reason`, unless SQS itself
 * moved them; `due`, see below.
 *
 * A message cannot be changed, so one that ends other than by ack is sent again and then deleted:
 * in between, a crash leaves it twice, which is what "at least once" means here. That also begins
 * its receive count anew, so that the redrive policy counts what it is meant for: workers that
 * died. What is sent again for later is delayed by SQS, up to 15 minutes in a standard queue; the
 * rest, and all of it in a FIFO queue, is left to whoever receives it: before its time `due` it is
 * hidden until then.
 *
 * In a FIFO queue the group is the digest of the text: equal tasks wait for each other, all others
 * run side by side. SQS hides a message for 12 hours at most, counted from its receipt: then
 * another worker gets it, finds its chat at work, and puts it off.
 *
 * SQS accepts old receipts at times. What was not renewed in time is given up here, by this
 * machine's own clock.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "crypto/hash.h"
#include "crypto/random.h"
#include "os/loop.h"
#include "queue/sqs.h"

enum { REPLY_MAX = 8 << 20, RECEIPT_MAX = 4096, WAIT_MAX_S = 5,
       ONCE_BYTES = 16 };
#define MS_PER_S INT64_C(1000)

/* A message that was received and has not ended. */
struct held {
    uint64_t serial;
    char *receipt;
    int64_t until_us;
    bool sent_again; /* all that is left is to delete it */
    struct held *next;
};

struct broker_sqs {
    /* options */
    const char *region, *endpoint;
    int64_t visibility_ms, max_deliveries;
    bool create;
    /* own */
    struct sqs sqs;
    char name[SQS_NAME_MAX + 1], url[SQS_URL_MAX];
    char dead_name[SQS_NAME_MAX + 8], dead_url[SQS_URL_MAX];
    bool fifo, redrive; /* redrive: SQS itself moves what was received too often */
    struct sqs_message message;
    struct held *held;
    uint64_t serial;
    int64_t empty; /* how often in a row nothing came */
};

/* ---- which queue ---- */

static tg_code set_name(struct broker_sqs *b, const char *name, struct tg_error *err)
{
    static const char good[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";
    size_t len = strlen(name);
    size_t plain;

    b->fifo = sqs_is_fifo(name);
    plain = len - (b->fifo ? 5 : 0);
    if (!plain || len > SQS_NAME_MAX || strspn(name, good) != plain) {
        tg_fail(err, TG_USAGE, "'%.100s' is no name of an SQS queue", name);
        return tg_hint(err, "write it as sqs://NAME: letters, digits, '_-', at most 80, '.fifo' "
                            "at the end");
    }
    snprintf(b->name, sizeof b->name, "%s", name);
    snprintf(b->dead_name, sizeof b->dead_name, "%.*s-dead%s", (int)plain, name,
             b->fifo ? ".fifo" : "");
    return TG_OK;
}

/* What a queue's URL says beside its name. */
struct place {
    char region[48], endpoint[256];
};

/* "//NAME", or "https://HOST/ACCOUNT/NAME". */
static tg_code read_target(struct broker_sqs *b, const char *target, struct place *ret,
                           struct tg_error *err)
{
    const char *host = strstr(target, "://"), *path, *name;
    int n;

    *ret = (struct place){ "", "" };
    if (strncmp(target, "//", 2) == 0)
        return set_name(b, target + 2, err);
    path = host ? strchr(host + 3, '/') : NULL;
    name = path ? strrchr(path, '/') : NULL;
    if (!name || name == path || strlen(target) >= sizeof b->url ||
        (size_t)(path - target) >= sizeof ret->endpoint) {
        tg_fail(err, TG_USAGE, "'sqs:%.100s' names no SQS queue", target);
        return tg_hint(err, "write it as sqs://NAME or sqs:https://HOST/ACCOUNT/NAME");
    }
    snprintf(ret->endpoint, sizeof ret->endpoint, "%.*s", (int)(path - target), target);
    if (sscanf(host + 3, "sqs.%47[a-z0-9-].amazonaws.com%n", ret->region, &n) != 1)
        ret->region[0] = 0;
    snprintf(b->url, sizeof b->url, "%s", target);
    return set_name(b, name + 1, err);
}

/* ---- opening ---- */

static tg_code no_queue(const struct broker_sqs *b, const char *what, struct tg_error *err)
{
    tg_fail(err, TG_NOT_FOUND, "%s '%.90s' at %.100s", what, b->name, tg_aws_endpoint(b->sqs.aws));
    return tg_hint(err, "make it with its redrive policy, or add create=yes to the URL; do "
                        "region and keys belong to it?");
}

static tg_code arn_of(struct broker_sqs *b, const char *url, char ret[SQS_ARN_MAX],
                      struct tg_error *err)
{
    struct sqs_queue queue;
    tg_code code = sqs_look(&b->sqs, url, &queue, err);

    if (code != TG_OK)
        return code;
    if (!queue.arn[0] || strpbrk(queue.arn, "\"\\"))
        return tg_fail(err, TG_PROTOCOL, "%.100s: a queue without ARN", url);
    memcpy(ret, queue.arn, sizeof queue.arn);
    return TG_OK;
}

/* The queue NAME-dead, made if need be and allowed. */
static tg_code find_dead(struct broker_sqs *b, struct tg_error *err)
{
    tg_code code = sqs_find(&b->sqs, b->dead_name, NULL, b->dead_url, err);

    if (code == TG_UNUSABLE && sqs_no_queue(&b->sqs))
        code = b->create ? sqs_create(&b->sqs, b->dead_name, NULL, 0, b->dead_url, err)
                         : no_queue(b, "there are no dead letters for SQS queue", err);
    return code;
}

static tg_code create(struct broker_sqs *b, struct tg_error *err)
{
    /* What is put off in a FIFO queue was received once before its time. */
    int64_t deliveries = TG_MAX(b->max_deliveries, (int64_t)(b->fifo ? 2 : 1));
    char arn[SQS_ARN_MAX];
    tg_code code = find_dead(b, err);

    if (code == TG_OK)
        code = arn_of(b, b->dead_url, arn, err);
    if (code == TG_OK)
        code = sqs_create(&b->sqs, b->name, arn, deliveries, b->url, err);
    return code;
}

/* arn:aws:sqs:REGION:ACCOUNT:NAME */
static tg_code find_target(struct broker_sqs *b, const char *arn, struct tg_error *err)
{
    char account[24], name[SQS_NAME_MAX + 1];

    if (sscanf(arn, "arn:%*[^:]:sqs:%*[^:]:%23[0-9]:%80s", account, name) != 2)
        return tg_fail(err, TG_PROTOCOL, "the redrive policy of '%.80s' names no queue", b->name);
    return sqs_find(&b->sqs, name, account, b->dead_url, err);
}

static tg_code find_queues(struct broker_sqs *b, struct tg_error *err)
{
    struct sqs_queue queue;
    tg_code code = TG_OK;

    if (!b->url[0])
        code = sqs_find(&b->sqs, b->name, NULL, b->url, err);
    if (code == TG_OK)
        code = sqs_look(&b->sqs, b->url, &queue, err);
    if (code == TG_UNUSABLE && sqs_no_queue(&b->sqs)) {
        if (!b->create)
            return no_queue(b, "there is no SQS queue", err);
        code = create(b, err);
        b->redrive = code == TG_OK;
        return code;
    }
    if (code != TG_OK)
        return code;
    b->redrive = queue.dead_arn[0];
    return b->redrive ? find_target(b, queue.dead_arn, err) : find_dead(b, err);
}

static tg_code broker_open(void *self, const char *target, const char *who, struct tg_error *err)
{
    struct broker_sqs *b = self;
    struct tg_aws_service service = { .name = "sqs",
                                      .target = "AmazonSQS",
                                      .content_type = "application/x-amz-json-1.0",
                                      .endpoint_env = "AWS_ENDPOINT_URL_SQS" };
    struct place place;
    tg_code code;

    (void)who;
    tg_buf_init(&b->sqs.request, REPLY_MAX);
    tg_buf_init(&b->sqs.reply, REPLY_MAX);
    tg_buf_init(&b->message.receipt, RECEIPT_MAX);
    tg_buf_init(&b->message.text, TG_BROKER_TAKE_MAX);
    code = read_target(b, target, &place, err);
    if (code != TG_OK)
        return code;
    service.region = b->region ? b->region : place.region;
    service.endpoint = b->endpoint ? b->endpoint : place.endpoint;
    code = tg_aws_new(&service, &b->sqs.aws, err);
    return code == TG_OK ? find_queues(b, err) : code;
}

static void drop(struct broker_sqs *b, struct held *h)
{
    struct held **at = &b->held;

    while (*at != h)
        at = &(*at)->next;
    *at = h->next;
    free(h->receipt);
    free(h);
}

static void broker_close(void *self)
{
    struct broker_sqs *b = self;

    while (b->held)
        drop(b, b->held);
    tg_aws_free(b->sqs.aws);
    b->sqs.aws = NULL;
    tg_buf_done(&b->sqs.request);
    tg_buf_done(&b->sqs.reply);
    tg_buf_done(&b->message.receipt);
    tg_buf_done(&b->message.text);
}

/* ---- messages ---- */

static int64_t visibility_s(const struct broker_sqs *b)
{
    return (b->visibility_ms + MS_PER_S - 1) / MS_PER_S;
}

static int64_t unix_ms(void)
{
    return tg_clock_unix_us() / TG_MS_US;
}

/* @return the message that a delivery is; NULL if it is not ours any more */
static struct held *find(struct broker_sqs *b, const struct tg_delivery *d)
{
    struct held *h = b->held;
    int64_t serial;

    if (!tg_i64_parse(d->id, &serial))
        return NULL;
    while (h && h->serial != (uint64_t)serial)
        h = h->next;
    if (h && h->until_us < tg_clock_mono_us()) {
        drop(b, h);
        return NULL;
    }
    return h;
}

static tg_code lost(struct tg_error *err)
{
    return tg_fail(err, TG_CONFLICT, "the task was given to another worker");
}

/* The end of a call about a message that is held: an old receipt says that it is lost. */
static tg_code check(struct broker_sqs *b, struct held *h, tg_code code, struct tg_error *err)
{
    if (code != TG_UNUSABLE || !sqs_old_receipt(&b->sqs))
        return code;
    drop(b, h);
    return lost(err);
}

static tg_code send(struct broker_sqs *b, struct sqs_send *m, struct tg_error *err)
{
    const struct tg_random random = tg_random_system();
    uint8_t digest[TG_SHA256], serial[ONCE_BYTES];
    char group[2 * TG_SHA256 + 1], once[2 * ONCE_BYTES + 1];

    if (b->fifo) {
        tg_sha256(digest, m->text.at, m->text.len);
        tg_hex(group, digest, sizeof digest);
        tg_random_fill(&random, serial, sizeof serial);
        tg_hex(once, serial, sizeof serial);
        m->group = group;
        m->once = once;
    }
    return sqs_send(&b->sqs, m, err);
}

static tg_code broker_put(void *self, const void *body, size_t len, struct tg_error *err)
{
    struct broker_sqs *b = self;
    struct sqs_send m = { .url = b->url, .text = { body, (uint32_t)len } };

    if (len > TG_BROKER_BODY_MAX)
        return tg_fail(err, TG_LIMIT, "a task of %zu bytes", len);
    return send(b, &m, err);
}

static tg_code end_here(struct broker_sqs *b, struct held *h, struct tg_error *err)
{
    tg_code code = check(b, h, sqs_delete(&b->sqs, b->url, h->receipt, err), err);

    if (code == TG_OK)
        drop(b, h);
    return code;
}

/* Sends a message again, elsewhere or for later, and ends it here. */
static tg_code pass_on(struct broker_sqs *b, struct held *h, struct sqs_send *m,
                       struct tg_error *err)
{
    tg_code code = h->sent_again ? TG_OK : send(b, m, err);

    h->sent_again |= code == TG_OK;
    return code == TG_OK ? end_here(b, h, err) : code;
}

static struct tg_str text_of(const struct tg_delivery *d)
{
    return (struct tg_str){ (const char *)d->body.data, (uint32_t)d->body.len };
}

static tg_code broker_ack(void *self, const struct tg_delivery *d, struct tg_error *err)
{
    struct broker_sqs *b = self;
    struct held *h = find(b, d);

    return h ? end_here(b, h, err) : lost(err);
}

static tg_code broker_retry(void *self, const struct tg_delivery *d, int64_t delay_ms, bool failed,
                            struct tg_error *err)
{
    struct broker_sqs *b = self;
    struct held *h = find(b, d);
    struct sqs_send m = { .url = b->url, .text = text_of(d), .attempts = d->attempts + failed };
    int64_t delay_s = (TG_MAX(delay_ms, INT64_C(0)) + MS_PER_S - 1) / MS_PER_S;

    if (!h)
        return lost(err);
    m.delay_s = b->fifo ? 0 : TG_MIN(delay_s, (int64_t)SQS_DELAY_MAX_S);
    if (m.delay_s < delay_s)
        m.due_ms = unix_ms() + delay_s * MS_PER_S;
    return pass_on(b, h, &m, err);
}

static tg_code broker_give_back(void *self, const struct tg_delivery *d, struct tg_error *err)
{
    struct broker_sqs *b = self;
    struct held *h = find(b, d);
    struct sqs_send m = { .url = b->url, .text = text_of(d), .attempts = d->attempts };

    return h ? pass_on(b, h, &m, err) : lost(err);
}

static tg_code broker_bury(void *self, const struct tg_delivery *d, const char *reason,
                           struct tg_error *err)
{
    struct broker_sqs *b = self;
    struct held *h = find(b, d);
    struct sqs_send m = { .url = b->dead_url, .text = text_of(d), .attempts = d->attempts,
                          .deliveries = d->deliveries, .reason = reason };

    return h ? pass_on(b, h, &m, err) : lost(err);
}

static tg_code broker_keep(void *self, const struct tg_delivery *d, struct tg_error *err)
{
    struct broker_sqs *b = self;
    struct held *h = find(b, d);
    int64_t now_us = tg_clock_mono_us();
    tg_code code;

    if (!h)
        return lost(err);
    code = check(b, h, sqs_hide(&b->sqs, b->url, h->receipt, visibility_s(b), err), err);
    if (code == TG_OK)
        h->until_us = now_us + b->visibility_ms * TG_MS_US;
    return code;
}

/* ---- taking ---- */

static tg_code hold(struct broker_sqs *b, struct tg_delivery *ret, struct tg_error *err)
{
    const struct sqs_message *m = &b->message;
    int64_t deliveries = m->deliveries - (m->due_ms != 0); /* once it came too early */
    struct held *h = calloc(1, sizeof *h);

    if (h)
        h->receipt = strdup((const char *)m->receipt.data);
    if (!h || !h->receipt) {
        free(h);
        return tg_fail(err, TG_NOMEM, "no memory for a task");
    }
    h->serial = ++b->serial;
    h->until_us = tg_clock_mono_us() + b->visibility_ms * TG_MS_US;
    h->next = b->held;
    b->held = h;
    snprintf(ret->id, sizeof ret->id, "%" PRIu64, h->serial);
    ret->deliveries = (uint32_t)TG_MAX(TG_MIN(deliveries, INT64_C(1000000)), INT64_C(1));
    ret->attempts = (uint32_t)TG_MIN(m->attempts, INT64_C(1000000));
    tg_buf_clear(&ret->body);
    tg_buf_add(&ret->body, m->text.data, m->text.len);
    tg_buf_cstr(&ret->body);
    return ret->body.failed ? tg_fail(err, TG_NOMEM, "no memory for a task") : TG_OK;
}

/* Hides what is not due yet. */
static tg_code put_off(struct broker_sqs *b, int64_t early_ms, struct tg_error *err)
{
    int64_t hide_s = TG_MIN((early_ms + MS_PER_S - 1) / MS_PER_S, (int64_t)SQS_HIDE_MAX_S - 60);
    tg_code code = sqs_hide(&b->sqs, b->url, (const char *)b->message.receipt.data, hide_s, err);

    return code == TG_OK || sqs_old_receipt(&b->sqs) ? TG_AGAIN : code;
}

/* What this machine forgot about: a worker that lost a task never tells its end. */
static void drop_expired(struct broker_sqs *b)
{
    int64_t now_us = tg_clock_mono_us();

    for (struct held *h = b->held, *next; h; h = next) {
        next = h->next;
        if (h->until_us < now_us)
            drop(b, h);
    }
}

/* The longer nothing came and nothing is at work, the fewer questions, which are paid for. */
static int64_t wait_s(const struct broker_sqs *b)
{
    return b->held ? 1 : TG_MIN(1 + b->empty, (int64_t)WAIT_MAX_S);
}

static tg_code broker_take(void *self, int64_t wait_ms, struct tg_delivery *ret,
                           struct tg_error *err)
{
    struct broker_sqs *b = self;
    const struct sqs_message *m = &b->message;
    int64_t early_ms;
    tg_code code;

    drop_expired(b);
    code = sqs_receive(&b->sqs, b->url, visibility_s(b), wait_ms > 0 ? wait_s(b) : 0, &b->message,
                       err);
    b->empty = code == TG_AGAIN ? b->empty + 1 : 0;
    if (code != TG_OK)
        return code;
    early_ms = m->due_ms ? m->due_ms - unix_ms() : 0;
    if (early_ms > 0)
        return put_off(b, early_ms, err);
    code = hold(b, ret, err);
    if (code != TG_OK || b->redrive || ret->deliveries <= b->max_deliveries)
        return code;
    code = broker_bury(b, ret, "taken again and again without an end", err);
    return code == TG_OK || code == TG_CONFLICT ? TG_AGAIN : code;
}

static tg_code broker_depth(void *self, struct tg_broker_depth *ret, struct tg_error *err)
{
    struct broker_sqs *b = self;
    struct sqs_queue queue, dead;
    tg_code code = sqs_look(&b->sqs, b->url, &queue, err);

    if (code == TG_OK)
        code = sqs_look(&b->sqs, b->dead_url, &dead, err);
    if (code == TG_OK)
        *ret = (struct tg_broker_depth){ .waiting = queue.visible, .taken = queue.hidden,
                                         .later = queue.delayed, .dead = dead.visible };
    return code;
}

static int64_t broker_visibility_ms(const void *self)
{
    return ((const struct broker_sqs *)self)->visibility_ms;
}

static const struct tg_option sqs_option[] = {
    { .name = "region",
      .type = TG_OPT_STR,
      .offset = offsetof(struct broker_sqs, region),
      .value = "NAME",
      .help = "AWS region (default: AWS_REGION, or the profile's)" },
    { .name = "endpoint",
      .type = TG_OPT_STR,
      .offset = offsetof(struct broker_sqs, endpoint),
      .value = "URL",
      .help = "where the service is, if not at AWS: https://HOST:PORT" },
    { .name = "visibility",
      .type = TG_OPT_MS,
      .offset = offsetof(struct broker_sqs, visibility_ms),
      .fallback = "60s",
      .min = 2000,
      .max = 43200000,
      .value = "TIME",
      .help = "a task whose worker was not heard of for so long goes to another" },
    { .name = "max-deliveries",
      .type = TG_OPT_I64,
      .offset = offsetof(struct broker_sqs, max_deliveries),
      .fallback = "5",
      .min = 1,
      .max = 1000,
      .value = "N",
      .help = "a task that was taken so often without an end goes to the dead letters, where the "
              "queue has no redrive policy" },
    { .name = "create",
      .type = TG_OPT_BOOL,
      .offset = offsetof(struct broker_sqs, create),
      .help = "make the queue and its dead letters if they are missing" },
    { 0 },
};

const struct tg_broker_ops tg_broker_sqs = {
    .head = { "sqs", "a queue of Amazon SQS", sqs_option, sizeof(struct broker_sqs) },
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

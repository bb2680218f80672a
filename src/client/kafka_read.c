/* SPDX-License-Identifier: MIT */
/*
 * kafka_read.c - what was committed in a partition, message by message; see kafka.h
 *
 * The server tells nothing behind the beginning of the oldest transaction that is still open: what
 * seems to be the end then is not, and is waited at.
 */
#ifdef TG_HAVE_KAFKA

#include "client/kafka_impl.h"

#include <stdlib.h>

#include "os/proc.h"

#define PAUSE_US (20 * TG_MS_US)

enum { AT_ONCE = 1000 };

static const char what[] = "read messages";

static struct tg_str view(const void *bytes, size_t n)
{
    return (struct tg_str){ bytes, (uint32_t)(bytes ? n : 0) };
}

static tg_code hand_over(const rd_kafka_message_t *m, const char *const *names,
                         tg_kafka_seen seen, void *ctx, struct tg_error *err)
{
    struct tg_kafka_message message = {
        .partition = m->partition,
        .offset = m->offset,
        .key = view(m->key, m->key_len),
        .value = view(m->payload, m->len),
    };
    rd_kafka_headers_t *headers = NULL;

    if (*names && rd_kafka_message_headers(m, &headers) != RD_KAFKA_RESP_ERR_NO_ERROR)
        headers = NULL;
    for (size_t i = 0; i < TG_KAFKA_HEADERS && names[i]; i++) {
        const void *value = NULL;
        size_t n = 0;

        message.header[i].name = names[i];
        if (headers && rd_kafka_header_get_last(headers, names[i], &value, &n) ==
                           RD_KAFKA_RESP_ERR_NO_ERROR)
            message.header[i].value = view(value, n);
    }
    return seen(ctx, &message, err);
}

struct reading {
    struct tg_kafka *k;
    int32_t partition;
    const char *const *names;
    tg_kafka_seen seen;
    void *ctx;
    int64_t end;   /* of the partition when it was first reached; -1: not yet */
    bool stopped;  /* by the one who gets the messages */
    bool hindered; /* an open transaction stands before the end */
};

/* @return TG_END at the end */
static tg_code take_end(struct reading *r, int64_t offset)
{
    int64_t first;

    if (r->end < 0 && rd_kafka_get_watermark_offsets(r->k->rk, r->k->topic, r->partition, &first,
                                                     &r->end) != RD_KAFKA_RESP_ERR_NO_ERROR)
        r->end = offset;
    r->hindered = offset < r->end;
    return r->hindered ? TG_OK : TG_END;
}

static tg_code take_some(struct reading *r, rd_kafka_message_t **m, ssize_t n,
                         struct tg_error *err)
{
    tg_code code = TG_OK;

    for (ssize_t i = 0; i < n && code == TG_OK; i++) {
        if (m[i]->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
            code = take_end(r, m[i]->offset);
        } else if (m[i]->err) {
            code = tg_kafka_failed(r->k, what, m[i]->err, rd_kafka_message_errstr(m[i]), err);
        } else {
            code = hand_over(m[i], r->names, r->seen, r->ctx, err);
            r->stopped = code != TG_OK;
        }
    }
    return code;
}

static tg_code too_long(const struct reading *r, struct tg_error *err)
{
    if (!r->hindered)
        return tg_kafka_timed_out(r->k, what, &r->k->trouble, err);
    tg_fail(err, TG_SINK, "a transaction is open in partition %d of %.200s", (int)r->partition,
            r->k->name);
    return tg_hint(err, "wait until its writer ends it, or the server does: "
                        "transaction-timeout, 60 s");
}

static tg_code read_all(struct reading *r, rd_kafka_queue_t *queue, struct tg_error *err)
{
    rd_kafka_message_t **m = calloc(AT_ONCE, sizeof(rd_kafka_message_t *));
    int64_t deadline = tg_kafka_deadline(r->k);
    tg_code code = m ? TG_OK : tg_fail(err, TG_NOMEM, "no memory to read messages");
    int slice;

    while (code == TG_OK) {
        ssize_t n = 0;

        slice = tg_kafka_slice(deadline);
        if (!slice || tg_kafka_hopeless(&r->k->trouble)) {
            code = too_long(r, err);
            break;
        }
        n = rd_kafka_consume_batch_queue(queue, slice, m, AT_ONCE);
        if (n > 0) {
            code = take_some(r, m, n, err);
            deadline = tg_kafka_deadline(r->k);
        }
        for (ssize_t i = 0; i < n; i++)
            rd_kafka_message_destroy(m[i]);
        rd_kafka_poll(r->k->rk, 0);
    }
    free(m);
    return code == TG_END && !r->stopped ? TG_OK : code;
}

/* A topic that was just made has no leaders yet. */
static tg_code ask_ends(struct tg_kafka *k, int32_t partition, int64_t *ret_first,
                        int64_t *ret_end, struct tg_error *err)
{
    int64_t deadline = tg_kafka_deadline(k);
    rd_kafka_resp_err_t e;

    while ((e = rd_kafka_query_watermark_offsets(k->rk, k->topic, partition, ret_first, ret_end,
                                                 (int)k->o.timeout_ms)) &&
           tg_kafka_passes(e) && tg_kafka_slice(deadline))
        tg_sleep_us(PAUSE_US);
    return e ? tg_kafka_failed(k, what, e, NULL, err) : TG_OK;
}

tg_code tg_kafka_read(struct tg_kafka *k, int32_t partition, enum tg_kafka_open open,
                      const char *const *names, tg_kafka_seen seen, void *ctx, int64_t *ret_first,
                      struct tg_error *err)
{
    struct reading r = { .k = k, .partition = partition, .names = names, .seen = seen, .ctx = ctx };
    rd_kafka_queue_t *queue;
    int64_t first, end;
    tg_code code;

    k->trouble.code = RD_KAFKA_RESP_ERR_NO_ERROR;
    code = ask_ends(k, partition, &first, &end, err);
    if (code != TG_OK)
        return code;
    if (ret_first)
        *ret_first = first;
    if (open == TG_KAFKA_NOW && first == end)
        return TG_OK;
    r.end = open == TG_KAFKA_NOW ? end : -1;
    queue = rd_kafka_queue_new(k->rk);
    if (rd_kafka_consume_start_queue(k->rkt, partition, RD_KAFKA_OFFSET_BEGINNING, queue) != 0) {
        code = tg_kafka_failed(k, what, rd_kafka_last_error(), NULL, err);
    } else {
        code = read_all(&r, queue, err);
        rd_kafka_consume_stop(k->rkt, partition);
    }
    rd_kafka_queue_destroy(queue);
    return code;
}

#else
typedef int tg_kafka_read_is_absent; /* a translation unit may not be empty */
#endif

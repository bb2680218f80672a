/* SPDX-License-Identifier: MIT */
/*
 * kafka_write.c - transactions; see kafka.h
 *
 *   writer_new --> begin --> send ... --> commit --> begin ...
 *        |            any failure: free; what was sent is taken back by the next writer
 *        +-- takes back what an older writer of that id has sent and not committed
 *
 * What may pass (a server that restarts, a leader that moves) is tried again until the timeout.
 */
#ifdef TG_HAVE_KAFKA

#include "client/kafka_impl.h"

#include <stdio.h>
#include <stdlib.h>

struct tg_kafka_writer {
    struct tg_kafka *k;
    rd_kafka_t *rk;
    rd_kafka_topic_t *rkt;
    struct kafka_trouble trouble; /* of a message too: it was given up */
};

/* ---- steps that are tried again ---- */

/* What is behind "a fatal error". */
static tg_code fatal(struct tg_kafka_writer *w, const char *what, struct tg_error *err)
{
    char why[200] = "";
    rd_kafka_resp_err_t code = rd_kafka_fatal_error(w->rk, why, sizeof why);

    return tg_kafka_failed(w->k, what, code ? code : RD_KAFKA_RESP_ERR__FATAL, why, err);
}

/* Ends with the error. @return TG_AGAIN if the step may be tried again */
static tg_code judge(struct tg_kafka_writer *w, const char *what, rd_kafka_error_t *e,
                     struct tg_error *err)
{
    tg_code code;

    rd_kafka_poll(w->rk, 0);
    if (!e)
        return TG_OK;
    if (rd_kafka_error_is_fatal(e))
        code = fatal(w, what, err);
    else if (rd_kafka_error_is_retriable(e) && !tg_kafka_hopeless(&w->trouble))
        code = TG_AGAIN;
    else if (rd_kafka_error_is_retriable(e))
        code = tg_kafka_timed_out(w->k, what, &w->trouble, err);
    else if (w->trouble.code == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE)
        code = tg_kafka_failed(w->k, what, w->trouble.code, w->trouble.text, err);
    else
        code = tg_kafka_failed(w->k, what, rd_kafka_error_code(e), rd_kafka_error_string(e), err);
    rd_kafka_error_destroy(e);
    return code;
}

struct offsets {
    const rd_kafka_topic_partition_list_t *list;
    const rd_kafka_consumer_group_metadata_t *group;
};

typedef rd_kafka_error_t *(*step_fn)(rd_kafka_t *rk, const struct offsets *offsets, int wait_ms);

static rd_kafka_error_t *init(rd_kafka_t *rk, const struct offsets *offsets, int wait_ms)
{
    (void)offsets;
    return rd_kafka_init_transactions(rk, wait_ms);
}

static rd_kafka_error_t *send_offsets(rd_kafka_t *rk, const struct offsets *offsets, int wait_ms)
{
    return rd_kafka_send_offsets_to_transaction(rk, offsets->list, offsets->group, wait_ms);
}

static rd_kafka_error_t *end(rd_kafka_t *rk, const struct offsets *offsets, int wait_ms)
{
    (void)offsets;
    return rd_kafka_commit_transaction(rk, wait_ms);
}

static rd_kafka_error_t *take_back(rd_kafka_t *rk, const struct offsets *offsets, int wait_ms)
{
    (void)offsets;
    return rd_kafka_abort_transaction(rk, wait_ms);
}

/*
 * Only a step that goes on where it was left is waited for in slices, so that a wrong login is told
 * at once. The others may wait all the time there is: version 2.0 of the library loses count of its
 * requests when it is asked again while one is on the way.
 */
static tg_code run(struct tg_kafka_writer *w, const char *what, step_fn step,
                   const struct offsets *offsets, struct tg_error *err)
{
    int64_t deadline = tg_kafka_deadline(w->k);
    tg_code code = TG_AGAIN;
    int left;

    while (code == TG_AGAIN && (left = tg_kafka_left(deadline)))
        code = judge(w, what, step(w->rk, offsets, step == init ? tg_kafka_slice(deadline) : left),
                     err);
    return code == TG_AGAIN ? tg_kafka_timed_out(w->k, what, &w->trouble, err) : code;
}

/* ---- writers ---- */

static rd_kafka_t *new_producer(struct tg_kafka *k, const char *id, struct kafka_trouble *trouble,
                                struct tg_error *err)
{
    char timeout[24], message_max[24];
    const char *const more[][2] = {
        { "transactional.id", id },
        { "transaction.timeout.ms", timeout },
        { "message.max.bytes", message_max },
        { "compression.type", k->o.compression },
        /* zstd's 3, its default, takes a third more time in all for 8 % less */
        { "compression.level", strcmp(k->o.compression, "zstd") == 0 ? "1" : NULL },
        /* the rows of a commit are there at once: its last ones wait for nothing that comes yet */
        { "linger.ms", "2" },
        { "retry.backoff.ms", "10" }, /* the server is still ending the transaction before */
        { "batch.size", "1000000" },
        { "queue.buffering.max.kbytes", "32768" },
        { "delivery.report.only.error", "true" },
        { NULL, NULL },
    };

    snprintf(timeout, sizeof timeout, "%lld", (long long)k->o.transaction_ms);
    snprintf(message_max, sizeof message_max, "%zu", k->message_max);
    return tg_kafka_handle(k, RD_KAFKA_PRODUCER, more, trouble, err);
}

tg_code tg_kafka_writer_new(struct tg_kafka *k, const char *id, struct tg_kafka_writer **ret,
                            struct tg_error *err)
{
    struct tg_kafka_writer *w = calloc(1, sizeof *w);
    tg_code code;

    *ret = NULL;
    if (!w)
        return tg_fail(err, TG_NOMEM, "no memory for a Kafka producer");
    w->k = k;
    w->rk = new_producer(k, id, &w->trouble, err);
    w->rkt = w->rk ? rd_kafka_topic_new(w->rk, k->topic, NULL) : NULL;
    if (w->rkt)
        code = run(w, "begin with transactions", init, NULL, err);
    else
        code = w->rk ? tg_fail(err, TG_NOMEM, "no memory for a Kafka producer") : err->code;
    if (code != TG_OK) {
        tg_kafka_writer_free(w);
        return code;
    }
    *ret = w;
    return TG_OK;
}

void tg_kafka_writer_free(struct tg_kafka_writer *w)
{
    if (!w)
        return;
    if (w->rk)
        rd_kafka_purge(w->rk, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT |
                                  RD_KAFKA_PURGE_F_NON_BLOCKING);
    if (w->rkt)
        rd_kafka_topic_destroy(w->rkt);
    if (w->rk)
        rd_kafka_destroy(w->rk);
    free(w);
}

/* ---- transactions ---- */

tg_code tg_kafka_begin(struct tg_kafka_writer *w, struct tg_error *err)
{
    w->trouble.code = RD_KAFKA_RESP_ERR_NO_ERROR;
    return judge(w, "begin a transaction", rd_kafka_begin_transaction(w->rk), err);
}

/* The library copies or only reads them, though its type does not say so. */
static void *bytes_of(struct tg_str s)
{
    void *bytes;

    memcpy(&bytes, &s.at, sizeof bytes);
    return bytes;
}

/* @return NULL, or why it was not taken */
static rd_kafka_error_t *put(struct tg_kafka_writer *w, const struct tg_kafka_message *m)
{
    rd_kafka_vu_t vu[5 + TG_KAFKA_HEADERS] = {
        { .vtype = RD_KAFKA_VTYPE_RKT, .u.rkt = w->rkt },
        { .vtype = RD_KAFKA_VTYPE_PARTITION, .u.i32 = m->partition },
        { .vtype = RD_KAFKA_VTYPE_KEY, .u.mem = { bytes_of(m->key), m->key.len } },
        { .vtype = RD_KAFKA_VTYPE_VALUE, .u.mem = { bytes_of(m->value), m->value.len } },
        { .vtype = RD_KAFKA_VTYPE_MSGFLAGS, .u.i = m->stays ? 0 : RD_KAFKA_MSG_F_COPY },
    };
    size_t n = 5;

    for (size_t i = 0; i < TG_KAFKA_HEADERS && m->header[i].name; i++, n++) {
        vu[n].vtype = RD_KAFKA_VTYPE_HEADER;
        vu[n].u.header.name = m->header[i].name;
        vu[n].u.header.val = m->header[i].value.at;
        vu[n].u.header.size = m->header[i].value.len;
    }
    return rd_kafka_produceva(w->rk, vu, n);
}

tg_code tg_kafka_send(struct tg_kafka_writer *w, const struct tg_kafka_message *m,
                      struct tg_error *err)
{
    static const char what[] = "send a message";
    int64_t deadline = 0;
    rd_kafka_error_t *e;

    while ((e = put(w, m))) {
        rd_kafka_resp_err_t code = rd_kafka_error_code(e);
        tg_code failed;

        if (code == RD_KAFKA_RESP_ERR__QUEUE_FULL) {
            rd_kafka_error_destroy(e);
            deadline = deadline ? deadline : tg_kafka_deadline(w->k);
            rd_kafka_poll(w->rk, 10); /* room comes when the server has taken some */
            if (!tg_kafka_slice(deadline))
                return tg_kafka_timed_out(w->k, what, &w->trouble, err);
            continue;
        }
        failed = code == RD_KAFKA_RESP_ERR__FATAL
                     ? fatal(w, what, err)
                     : tg_kafka_failed(w->k, what, code, rd_kafka_error_string(e), err);
        rd_kafka_error_destroy(e);
        return failed;
    }
    return TG_OK;
}

static tg_code finish(struct tg_kafka_writer *w, const char *group, const char *cursor,
                      const char *what, step_fn step, struct tg_error *err)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_consumer_group_metadata_t *of = rd_kafka_consumer_group_metadata_new(group);
    rd_kafka_topic_partition_t *at = rd_kafka_topic_partition_list_add(list, w->k->topic, 0);
    const struct offsets offsets = { list, of };
    tg_code code = TG_NOMEM;

    at->offset = 0;
    at->metadata = strdup(cursor);
    at->metadata_size = at->metadata ? strlen(cursor) : 0;
    if (at->metadata && of)
        code = run(w, "write a cursor", send_offsets, &offsets, err);
    else
        tg_fail(err, TG_NOMEM, "no memory for a cursor");
    if (code == TG_OK)
        code = run(w, what, step, NULL, err);
    if (of)
        rd_kafka_consumer_group_metadata_destroy(of);
    rd_kafka_topic_partition_list_destroy(list);
    return code;
}

tg_code tg_kafka_commit(struct tg_kafka_writer *w, const char *group, const char *cursor,
                        struct tg_error *err)
{
    return finish(w, group, cursor, "end a transaction", end, err);
}

/* The library takes back what it has not sent yet without a word to the server, whose partition
 * would not be part of it then: so it is sent first. */
tg_code tg_kafka_abort(struct tg_kafka_writer *w, const char *group, struct tg_error *err)
{
    static const char what[] = "take a transaction back";
    int64_t deadline = tg_kafka_deadline(w->k);
    int slice;

    while (rd_kafka_outq_len(w->rk) && !tg_kafka_hopeless(&w->trouble)) {
        slice = tg_kafka_slice(deadline);
        if (!slice)
            break;
        rd_kafka_flush(w->rk, slice);
    }
    if (rd_kafka_outq_len(w->rk))
        return tg_kafka_timed_out(w->k, what, &w->trouble, err);
    return finish(w, group, "", what, take_back, err);
}

#else
typedef int tg_kafka_write_is_absent; /* a translation unit may not be empty */
#endif

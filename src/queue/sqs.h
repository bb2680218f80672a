/* SPDX-License-Identifier: MIT */
/*
 * sqs.h - the calls to Amazon SQS that a queue of tasks needs, as requests and answers of JSON
 *
 * Receipts and texts that an answer holds are bounded by its buffer; what does not belong to it is
 * TG_PROTOCOL.
 *
 * Facts: docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference
 *
 * Threads: one at a time per client
 */
#ifndef TG_QUEUE_SQS_H
#define TG_QUEUE_SQS_H

#include "client/aws.h"
#include "queue/broker.h"

enum { SQS_NAME_MAX = 80, SQS_URL_MAX = 512, SQS_ARN_MAX = 256, SQS_DELAY_MAX_S = 900,
       SQS_HIDE_MAX_S = 43200 };

struct sqs {
    struct tg_aws *aws;
    struct tg_buf request, reply;
};

/** What a message is sent with. */
struct sqs_send {
    const char *url;
    struct tg_str text;
    uint32_t attempts;
    uint32_t deliveries;   /* 0: not said */
    const char *reason;    /* NULL: none */
    int64_t due_ms;        /* Unix time before which nobody should work on it; 0: none */
    int64_t delay_s;       /* standard queues: it stays unseen for so long, at most 900 s */
    const char *group, *once; /* FIFO queues: MessageGroupId, MessageDeduplicationId; else NULL */
};

/** A message that was received; texts end with a NUL. */
struct sqs_message {
    struct tg_buf receipt, text;
    int64_t deliveries, attempts, due_ms; /* 0 where it does not say */
};

/** Attributes of a queue. */
struct sqs_queue {
    uint64_t visible, hidden, delayed; /* messages; roughly */
    char dead_arn[SQS_ARN_MAX];        /* target of its redrive policy; "" if it has none */
    char arn[SQS_ARN_MAX];
};

/** @return whether a queue of that name is a FIFO queue */
bool sqs_is_fifo(const char *name);

/** Whether the last call was refused because the queue does not exist, or because a receipt is not
 *  good any more. */
bool sqs_no_queue(const struct sqs *s);
bool sqs_old_receipt(const struct sqs *s);

/** @param account  NULL: the caller's */
tg_code sqs_find(struct sqs *s, const char *name, const char *account, char ret_url[SQS_URL_MAX],
                 struct tg_error *err);
/** @param dead_arn  where messages go that were received more than `deliveries` times; NULL: no
 *                   such queue */
tg_code sqs_create(struct sqs *s, const char *name, const char *dead_arn, int64_t deliveries,
                   char ret_url[SQS_URL_MAX], struct tg_error *err);
tg_code sqs_look(struct sqs *s, const char *url, struct sqs_queue *ret, struct tg_error *err);

tg_code sqs_send(struct sqs *s, const struct sqs_send *m, struct tg_error *err);
/** @param wait_s  0..20  @return TG_AGAIN: nothing came */
tg_code sqs_receive(struct sqs *s, const char *url, int64_t hide_s, int64_t wait_s,
                    struct sqs_message *ret, struct tg_error *err);
/** Hides a message anew, for so long from now on. */
tg_code sqs_hide(struct sqs *s, const char *url, const char *receipt, int64_t hide_s,
                 struct tg_error *err);
tg_code sqs_delete(struct sqs *s, const char *url, const char *receipt, struct tg_error *err);

#endif

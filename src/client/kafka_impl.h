/* SPDX-License-Identifier: MIT */
/*
 * kafka_impl.h - what the files of the Kafka client share; see kafka.h
 *
 * The library does everything in threads of its own and tells troubles by callbacks, which
 * rd_kafka_poll runs in ours. A call that only timed out failed for the last trouble told.
 */
#ifndef TG_CLIENT_KAFKA_IMPL_H
#define TG_CLIENT_KAFKA_IMPL_H

#include "client/kafka.h"

#include <librdkafka/rdkafka.h>

enum { KAFKA_SLICE_MS = 250, KAFKA_TOPIC_MAX = 249 };

/* The last trouble that was told without a call. */
struct kafka_trouble {
    rd_kafka_resp_err_t code;
    char text[200];
};

struct tg_kafka {
    struct tg_kafka_options o;
    char topic[KAFKA_TOPIC_MAX + 1], brokers[512], name[300];
    struct tg_buf user, password;
    rd_kafka_t *rk; /* NULL: not looked yet */
    rd_kafka_topic_t *rkt;
    int32_t partitions;
    size_t message_max;
    struct kafka_trouble trouble;
};

/** @return a handle of that type, with all settings and two more; NULL, err filled */
rd_kafka_t *tg_kafka_handle(struct tg_kafka *k, rd_kafka_type_t type,
                            const char *const (*more)[2], struct kafka_trouble *trouble,
                            struct tg_error *err);

/** Fills err for a code of the library. @param why  NULL: the code's text */
tg_code tg_kafka_failed(const struct tg_kafka *k, const char *what, rd_kafka_resp_err_t code,
                        const char *why, struct tg_error *err);
/** The same, where a call timed out: what was told meanwhile is the reason. */
tg_code tg_kafka_timed_out(const struct tg_kafka *k, const char *what,
                           const struct kafka_trouble *trouble, struct tg_error *err);

/** @return whether what was told cannot pass: waiting longer is of no use */
bool tg_kafka_hopeless(const struct kafka_trouble *trouble);

/** @return whether a server's answer may be another one soon, as when it is just beginning */
bool tg_kafka_passes(rd_kafka_resp_err_t code);

/** @return when a call that begins now is given up, by the monotonic clock */
int64_t tg_kafka_deadline(const struct tg_kafka *k);
/** @return milliseconds until then; 0: it is over */
int tg_kafka_left(int64_t deadline_us);
/** The same, at most a slice. */
int tg_kafka_slice(int64_t deadline_us);

#endif

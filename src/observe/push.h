/* SPDX-License-Identifier: MIT */
/*
 * push.h - brings metrics to somebody, again and again: for runs that nobody can scrape
 *
 *   kind         where        how
 *   endpoint     URL          all numbers: PUT to a Pushgateway, or Prometheus' remote write
 *   statsd       HOST:PORT    lines over UDP: what is new
 *   cloudwatch   NAMESPACE    PutMetricData: what is new
 *
 * Every interval, and once more at the end. Who does not answer costs nothing but a line: the next
 * push has what is missing.
 *
 * Threads: one of its own, which calls the functions of the options
 * Limits:  10 s for a request
 */
#ifndef TG_OBSERVE_PUSH_H
#define TG_OBSERVE_PUSH_H

#include "observe/metrics.h"

enum tg_push_kind { TG_PUSH_ENDPOINT, TG_PUSH_STATSD, TG_PUSH_CLOUDWATCH, TG_PUSH_KINDS };
enum { TG_PUSH_MS = 10000, TG_PUSH_TEXT_MAX = 16 << 20 };

struct tg_push;

struct tg_push_options {
    const char *where; /* lent for tg_push_new, as job is */
    const char *job;
    bool tags;         /* of statsd: labels are tags, as DogStatsD has them */
    int64_t interval_ms;
    /** Writes all numbers in Prometheus' text form. */
    int (*fill)(void *ctx, struct tg_buf *out);
    /** As tg_metrics_read and tg_metrics_take. */
    void (*read)(void *ctx, unsigned reader,
                 void (*put)(void *ctx, const struct tg_metric_sample *sample), void *arg);
    void (*take)(void *ctx, unsigned reader, size_t place);
    /** How a push went; err NULL: well. */
    void (*done)(void *ctx, enum tg_push_kind kind, const struct tg_error *err);
    void *ctx;
};

/** @return TG_OK; TG_USAGE: there can be nobody; TG_UNSUPPORTED: this build has no HTTP client;
 *          TG_NOMEM */
tg_code tg_push_new(enum tg_push_kind kind, const struct tg_push_options *options,
                    struct tg_push **ret, struct tg_error *err);
/** Pushes once more, then ends. NULL is nothing. */
void tg_push_free(struct tg_push *p);

/** @return "endpoint", "statsd", "cloudwatch" */
const char *tg_push_name(enum tg_push_kind kind);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * push.h - brings metrics to a Pushgateway, again and again: for runs that nobody can scrape
 *
 *   PUT URL/metrics/job/JOB/instance/HOST     every interval, and once more at the end
 *
 * A gateway that does not answer costs nothing but a line: the next push has all numbers again.
 *
 * Threads: one of its own, which calls `fill`
 * Limits:  10 s for a push
 */
#ifndef TG_OBSERVE_PUSH_H
#define TG_OBSERVE_PUSH_H

#include "base/buf.h"

struct tg_push;

struct tg_push_options {
    const char *url;     /* with "/metrics/job/" in it: taken as it is */
    const char *job;
    int64_t interval_ms;
    int (*fill)(void *ctx, struct tg_buf *out);
    /** How a push went; err NULL: well. On the thread. */
    void (*done)(void *ctx, const struct tg_error *err);
    void *ctx;
};

/** @return TG_OK; TG_USAGE: no such URL; TG_UNSUPPORTED: this build has no HTTP client; TG_NOMEM */
tg_code tg_push_new(const struct tg_push_options *options, struct tg_push **ret,
                    struct tg_error *err);
/** Pushes once more, then ends. NULL is nothing. */
void tg_push_free(struct tg_push *p);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * limiter.h - when the next request of one (account, method, DC) may leave
 *
 * Three things hold a request back: a flood wait that the server named (never shortened), a rate
 * that was configured, and a rate that was learned. Learning needs no guess: a server that limits by
 * token bucket says FLOOD_WAIT exactly when its bucket is empty, so the requests it let pass between
 * two floods, divided by the time between them, are its rate.
 *
 *   rate unknown  --flood-->  measuring  --flood, long enough apart-->  known (kept just below)
 *   known --probe interval, growing geometrically--> a little faster until the next flood
 *
 * Time: any monotonic microseconds. Pure: no clock, no randomness.
 *
 * Threads: none: value type      Limits: one struct per key
 */
#ifndef TG_LIMITER_H
#define TG_LIMITER_H

#include "base/base.h"

struct tg_limiter_options {
    int64_t rate_milli_per_s; /* configured: 1000 is one a second; 0 none */
    int64_t burst;            /* requests that may leave at once after a pause; >= 1 */
    bool adaptive;            /* learn from floods */
    int32_t use_permille;     /* share of a learned or configured rate that is used; 1000 all */
};

struct tg_limiter {
    struct tg_limiter_options options;
    int64_t closed_until_us;  /* end of the server's wait; INT64_MIN none */
    /* token bucket of the effective rate */
    int64_t level_nano, last_us;
    /* measuring */
    int64_t learned_milli_per_s; /* 0 unknown */
    int64_t empty_at_us;         /* when the server's bucket was last known to be empty */
    int64_t passed;              /* requests it accepted since */
    bool measuring;
    /* probing */
    int64_t probe_at_us, probe_every_us;
    /* statistics */
    uint64_t n_floods, n_passed;
};

void tg_limiter_init(struct tg_limiter *l, const struct tg_limiter_options *options,
                     int64_t now_us);

/** @return 0 if a request may leave now (a token was taken), else microseconds to wait first */
int64_t tg_limiter_take(struct tg_limiter *l, int64_t now_us);

/** As take, but takes nothing. */
int64_t tg_limiter_peek(const struct tg_limiter *l, int64_t now_us);

/** The server accepted a request that was sent at sent_us. */
void tg_limiter_passed(struct tg_limiter *l, int64_t sent_us, int64_t now_us);

/**
 * The server answered FLOOD_WAIT_X to a request sent at sent_us.
 * @param wait_s  X; may be 0
 */
void tg_limiter_flood(struct tg_limiter *l, int64_t sent_us, int64_t wait_s, int64_t now_us);

/** @return the rate that is kept now, milli-requests per second; 0 unlimited */
int64_t tg_limiter_rate(const struct tg_limiter *l);

/** @return whole tokens left now; -1 while no rate is known */
int32_t tg_limiter_remaining(const struct tg_limiter *l, int64_t now_us);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * limiter.h - when the next request of one (account, method, DC) may leave
 *
 * Three things hold a request back: a flood wait that the server named (never shortened), a rate
 * that was configured, and a rate that was learned. Learning needs no guess: a server that limits
 * by token bucket says FLOOD_WAIT exactly when its bucket is empty, so the requests that it let
 * pass between two floods, divided by the time between them, are its rate. Measured from the first
 * to the last of several floods that is off by one request in all, and a lower bound: a bucket that
 * is full before a wait is over drops the rest. So twice the pace is tried, then a tenth more than
 * what that showed; there the bucket's contents are known and can be subtracted.
 *
 *   OPEN --flood--> MEASURE --enough passed--> VERIFY --flood--> REFINE --flood--> KNOWN
 *                                              |  no flood: double the pace, again
 *   KNOWN --flood--> a little slower, or what passed since the flood before it, if that is less
 *   KNOWN --long quiet, growing geometrically--> PROBE
 *
 * Whether a limit was raised shows only when the server's bucket is empty, so a probe costs floods:
 * double the pace until one comes, then until the next: what passed between the two is the rate,
 * off by one request. If it is the one known, that is kept; else it is measured again. A double
 * pace that meets no flood for a minute is simply allowed. So a limit that falls is followed at
 * once, one that rises at the next probe: ten minutes after the last change, or two after a fall.
 *
 *   PROBE --flood--> PROBED --flood--> KNOWN or VERIFY
 *
 * Time: any monotonic microseconds. Pure: no clock, no randomness.
 *
 * Threads: none: value type      Limits: one struct per key
 */
#ifndef TG_LIMITER_H
#define TG_LIMITER_H

#include "flow/backoff.h"

struct tg_limiter_options {
    int64_t rate_milli_per_s; /* configured: 1000 is one a second; 0 none */
    int64_t burst;            /* requests that may leave at once after a pause; 0: what makes up for
                                 timers that fire late: a tenth of a second's, at least 2 */
    bool adaptive;            /* learn from floods */
    int32_t use_permille;     /* share of a learned or configured rate that is used; 1000 all */
    struct tg_backoff backoff; /* base_us > 0: floods in a row are waited for at least as long as
                                  this says, whatever the server names */
};

enum tg_limiter_phase {
    TG_LIMIT_OPEN,
    TG_LIMIT_MEASURE,
    TG_LIMIT_VERIFY,
    TG_LIMIT_REFINE,
    TG_LIMIT_KNOWN,
    TG_LIMIT_PROBE,
    TG_LIMIT_PROBED
};

struct tg_limiter {
    struct tg_limiter_options options;
    enum tg_limiter_phase phase;
    int64_t closed_until_us; /* end of the server's wait; INT64_MIN none */
    int64_t flood_at_us;     /* when the last flood event began: later answers to requests sent
                                before it belong to it */
    int64_t refused_us;      /* when the first request that it refused was sent */
    /* token bucket of the rate that is kept */
    int64_t rate_milli;      /* 0: unlimited */
    int64_t level_nano, last_us;
    /* learning */
    int64_t learned_milli;   /* 0 unknown */
    int64_t since_us;        /* start of the measured stretch */
    int64_t passed;          /* requests accepted since then */
    int64_t passed_after;    /* requests sent and accepted since the last flood */
    int64_t cycles;          /* floods while measuring, and how long was sent between them */
    int64_t sending_us;
    int64_t bucket_milli;    /* thousandths of a request that a wait puts into the bucket; 0 not
                                known */
    int64_t probe_at_us, probe_every_us;
    int64_t coarse_at_us;    /* when a coarse estimate is raised a little; INT64_MAX never */
    uint32_t floods_in_a_row; /* without a request accepted between them */
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
 * @param random  64 uniform random bits, for options.backoff
 * @return microseconds from now until the key is open again
 */
int64_t tg_limiter_flood(struct tg_limiter *l, int64_t sent_us, int64_t wait_s, uint64_t random,
                         int64_t now_us);

/** Takes up a rate learned earlier (0: nothing), as tg_limiter_learned gave it. */
void tg_limiter_recall(struct tg_limiter *l, int64_t learned_milli, int64_t now_us);
int64_t tg_limiter_learned(const struct tg_limiter *l);

/** Makes the next request the first of a probe, whenever that was due; a rate must be known. */
void tg_limiter_probe(struct tg_limiter *l, int64_t now_us);

/** @return the rate that is kept now, milli-requests per second; 0 unlimited */
int64_t tg_limiter_rate(const struct tg_limiter *l);

/** @return whole tokens left now; -1 while no rate is known */
int32_t tg_limiter_remaining(const struct tg_limiter *l, int64_t now_us);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * retry.h - whether a call that failed is made again, and when
 *
 * Asked after each failure, in this order:
 *   1. may the call be repeated at all? one that is not idempotent only if it cannot have arrived
 *   2. is the failure of a kind that passes (its code's retry class), and of a type in `retry_on`?
 *   3. are attempts left?
 *   4. when: the server's own wait if it named one, else exponential backoff with full jitter
 *   5. is that before the call's deadline?
 *   6. does the budget allow it? Calls pay into it, retries are paid from it, so that retries are
 *      at most a given share of all load, however much fails; time pays in a little too, so that a
 *      client with few calls can still try
 *
 * A wait that the server named is no trouble of its: such a retry is not paid from the budget and
 * uses no attempt.
 *
 * Pure: time and the random number are arguments.
 *
 * Threads: none: value types
 */
#ifndef TG_RETRY_H
#define TG_RETRY_H

#include "flow/backoff.h"

/* Error types in a set. */
#define TG_RETRY_ON(type) (1u << (type))

struct tg_retry_policy {
    uint32_t attempts_max;     /* of one call, the first included; 0: no end */
    struct tg_backoff backoff;
    uint32_t retry_on;         /* set of TG_RETRY_ON(enum tg_error_type) */
    uint32_t budget_permille;  /* retries at most, as a share of calls; 0: not limited */
    uint32_t budget_free;      /* retries that are allowed at once after a quiet time */
    uint32_t budget_milli_per_s; /* and how fast those come back: 1000 is one a second */
};

/** What retries are paid from; one for all calls of an account. */
struct tg_retry_budget {
    int64_t micro;             /* retries left, in millionths */
    int64_t last_us;
};

/** One call on its way. */
struct tg_retry_call {
    uint32_t attempts;         /* made so far that failed */
    int64_t deadline_us;       /* not made again from then on; 0: none */
    bool once;                 /* not idempotent */
    bool arrived;              /* the last attempt may have reached the other side */
};

enum tg_retry_answer {
    TG_RETRY_YES,
    TG_RETRY_NO_ONCE,          /* it may have been done already */
    TG_RETRY_NO_KIND,          /* the same call fails again, or retry_on leaves the type out */
    TG_RETRY_NO_ATTEMPTS,
    TG_RETRY_NO_TIME,
    TG_RETRY_NO_BUDGET,
};

void tg_retry_budget_init(struct tg_retry_budget *b, const struct tg_retry_policy *p,
                          int64_t now_us);

/** A call is made for the first time: pays its share in. */
void tg_retry_began(struct tg_retry_budget *b, const struct tg_retry_policy *p);

/**
 * The call failed.
 * @param random   64 uniform random bits
 * @param ret_us   on TG_RETRY_YES: when to make it again, microseconds from now
 */
enum tg_retry_answer tg_retry_failed(const struct tg_retry_policy *p, struct tg_retry_budget *b,
                                     struct tg_retry_call *call, const struct tg_error *err,
                                     uint64_t random, int64_t now_us, int64_t *ret_us);

/** @return why not, as half a sentence: "it was tried 3 times"; "" for TG_RETRY_YES */
const char *tg_retry_text(enum tg_retry_answer answer);

/**
 * Reads error types as they are named in reports ("RateLimit,NetworkError,ServerError").
 * @return TG_USAGE with the names there are
 */
tg_code tg_retry_on_parse(const char *names, uint32_t *ret, struct tg_error *err);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * limits.c - token buckets, exact in integers: milli-tokens a second times microseconds is
 * nano-tokens
 *
 * Threads: none
 */
#include "sim/limits.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#define NANO INT64_C(1000000000)

struct bucket {
    int64_t account;
    int64_t level_nano;
    int64_t last_us;
    int64_t told_us;  /* when the last wait was announced */
    int64_t until_us; /* and when it is over; 0: none */
};

struct rule {
    char method[64];
    int64_t rate_milli; /* tokens a second, times 1000 */
    int64_t burst_nano;
    struct bucket *bucket;
    size_t n_buckets, cap;
};

struct sim_limits {
    struct rule rule[SIM_LIMIT_RULES_MAX];
    size_t n_rules;
};

struct sim_limits *sim_limits_new(void)
{
    return calloc(1, sizeof(struct sim_limits));
}

void sim_limits_free(struct sim_limits *l)
{
    if (!l)
        return;
    for (size_t i = 0; i < l->n_rules; i++)
        free(l->rule[i].bucket);
    free(l);
}

tg_code sim_limits_add(struct sim_limits *l, const char *text, struct tg_error *err)
{
    const char *equals = strchr(text, '=');
    char *end = NULL;
    double rate, burst;
    struct rule *r;

    if (l->n_rules == SIM_LIMIT_RULES_MAX)
        return tg_fail(err, TG_LIMIT, "more than %d limits", SIM_LIMIT_RULES_MAX);
    r = &l->rule[l->n_rules];
    if (!equals || equals == text || (size_t)(equals - text) >= sizeof r->method)
        return tg_fail(err, TG_USAGE, "a limit is METHOD=RATE/BURST, not '%.80s'", text);
    rate = strtod(equals + 1, &end);
    burst = rate;
    if (end != equals + 1 && *end == '/') {
        const char *from = end + 1;

        burst = strtod(from, &end);
        if (end == from)
            burst = -1;
    }
    if (end == equals + 1 || *end || !(rate >= 0.001 && rate <= 1e6) ||
        !(burst >= 0 && burst <= 1e6))
        return tg_fail(err, TG_USAGE, "a limit is METHOD=RATE/BURST, not '%.80s'", text);
    *r = (struct rule){ .rate_milli = (int64_t)(rate * 1000 + 0.5),
                        .burst_nano = (int64_t)(TG_MAX(burst, 1.0) * 1e9) };
    snprintf(r->method, sizeof r->method, "%.*s", (int)(equals - text), text);
    l->n_rules++;
    return TG_OK;
}

static struct bucket *bucket_of(struct rule *r, int64_t account, int64_t now_us)
{
    struct bucket *b;

    for (size_t i = 0; i < r->n_buckets; i++) {
        if (r->bucket[i].account == account)
            return &r->bucket[i];
    }
    if (r->n_buckets == r->cap) {
        size_t cap = r->cap ? r->cap * 2 : 8;

        if (r->n_buckets == SIM_LIMIT_ACCOUNTS_MAX ||
            !(b = realloc(r->bucket, cap * sizeof *b)))
            return NULL;
        r->bucket = b;
        r->cap = cap;
    }
    b = &r->bucket[r->n_buckets++];
    *b = (struct bucket){ .account = account, .level_nano = r->burst_nano, .last_us = now_us };
    return b;
}

static void bucket_fill(const struct rule *r, struct bucket *b, int64_t now_us)
{
    int64_t idle_us = now_us - b->last_us;
    int64_t full_us = (r->burst_nano - b->level_nano + r->rate_milli - 1) / r->rate_milli;

    b->last_us = now_us;
    if (idle_us >= full_us)
        b->level_nano = r->burst_nano;
    else if (idle_us > 0)
        b->level_nano += idle_us * r->rate_milli;
}

/* @return 0 with a token taken, else the wait in seconds */
static int64_t bucket_take(const struct rule *r, struct bucket *b, const struct sim_limit_query *q,
                           bool *ret_early)
{
    int64_t wait_us = b->until_us - q->now_us;

    if (wait_us > 0) {
        if (q->sent_us > b->told_us + q->grace_us)
            *ret_early = true;
        return (wait_us + TG_SECOND_US - 1) / TG_SECOND_US;
    }
    b->until_us = 0;
    bucket_fill(r, b, q->now_us);
    if (b->level_nano >= NANO) {
        b->level_nano -= NANO;
        return 0;
    }
    wait_us = (NANO - b->level_nano + r->rate_milli - 1) / r->rate_milli;
    wait_us = (wait_us + TG_SECOND_US - 1) / TG_SECOND_US * TG_SECOND_US;
    assert(wait_us >= TG_SECOND_US);
    b->told_us = q->now_us;
    b->until_us = q->now_us + wait_us;
    return wait_us / TG_SECOND_US;
}

int64_t sim_limits_take(struct sim_limits *l, const struct sim_limit_query *q, bool *ret_early)
{
    int64_t longest = 0;

    *ret_early = false;
    for (size_t i = 0; i < l->n_rules; i++) {
        struct rule *r = &l->rule[i];
        struct bucket *b;
        int64_t wait;

        if (strcmp(r->method, q->method) && strcmp(r->method, "*"))
            continue;
        b = bucket_of(r, q->account, q->now_us);
        if (!b)
            continue;
        wait = bucket_take(r, b, q, ret_early);
        longest = TG_MAX(longest, wait);
    }
    return longest;
}

/* SPDX-License-Identifier: MIT */
/*
 * quiet.c - see quiet.h
 */
#include "flow/quiet.h"

enum { HOUR_MS = 3600000, BETTER_PERMILLE = 50, PAGE = 100, COMMITS = 20 };

static size_t hour_of(int64_t at_ms)
{
    return (size_t)(((at_ms / HOUR_MS) % TG_QUIET_HOURS + TG_QUIET_HOURS) % TG_QUIET_HOURS);
}

static int64_t next_hour(int64_t at_ms)
{
    return (at_ms / HOUR_MS + 1) * HOUR_MS;
}

void tg_quiet_note(struct tg_quiet *q, int64_t from_ms, int64_t until_ms, int64_t flood_ms,
                   int64_t requests)
{
    int64_t took_ms = TG_MAX(until_ms - from_ms, (int64_t)1), end_ms, seen;
    int64_t busy_ms, share;

    flood_ms = TG_MAX(TG_MIN(flood_ms, took_ms), (int64_t)0);
    share = flood_ms * 1000 / took_ms;
    end_ms = TG_MIN(until_ms, from_ms + (int64_t)HOUR_MS * TG_QUIET_HOURS);
    for (int64_t at = from_ms;; at = next_hour(at)) {
        int32_t *known = &q->permille[hour_of(at)];

        *known += (int32_t)((share - *known) / 4);
        if (share > *known)
            ++*known; /* what is divided must not stand still below it */
        if (next_hour(at) >= end_ms)
            break;
    }
    busy_ms = took_ms - flood_ms;
    if (requests < 10 || busy_ms < 100)
        return;
    seen = (int64_t)((double)requests * 1e6 / (double)busy_ms);
    q->rate_milli += q->rate_milli ? (seen - q->rate_milli) / 4 : seen;
}

void tg_quiet_join(struct tg_quiet *q, const struct tg_quiet *other)
{
    for (size_t i = 0; i < TG_QUIET_HOURS; i++)
        q->permille[i] = TG_MAX(q->permille[i], other->permille[i]);
    q->rate_milli = TG_MAX(q->rate_milli, other->rate_milli);
}

int64_t tg_quiet_best(const struct tg_quiet *q, int64_t from_ms, int64_t until_ms)
{
    int64_t best_ms = from_ms;
    int32_t best = q->permille[hour_of(from_ms)];

    for (int64_t at = next_hour(from_ms); at <= until_ms; at += HOUR_MS) {
        if (q->permille[hour_of(at)] + BETTER_PERMILLE >= best)
            continue;
        best = q->permille[hour_of(at)];
        best_ms = at;
    }
    return best_ms;
}

int64_t tg_quiet_requests(const struct tg_quiet *q, int64_t rate_milli, int64_t now_ms,
                          int64_t for_ms)
{
    double sum = 0;
    int64_t end_ms = now_ms + TG_MIN(for_ms, INT64_C(30) * 24 * HOUR_MS);

    if (!rate_milli)
        rate_milli = q->rate_milli;
    if (!rate_milli)
        return -1;
    for (int64_t at = now_ms; at < end_ms; at = next_hour(at)) {
        int64_t part_ms = TG_MIN(next_hour(at), end_ms) - at;

        sum += (double)part_ms * (1000 - q->permille[hour_of(at)]) / 1000;
    }
    return (int64_t)(sum * (double)rate_milli / 1e6);
}

int64_t tg_quiet_batch(int64_t requests)
{
    int64_t pages;

    if (requests < 0)
        return 0;
    pages = TG_MIN(requests, INT64_C(1) << 40) / COMMITS;
    return TG_MAX(TG_MIN(pages * PAGE, (int64_t)TG_QUIET_BATCH_MAX), (int64_t)TG_QUIET_BATCH_MIN);
}

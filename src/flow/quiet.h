/* SPDX-License-Identifier: MIT */
/*
 * quiet.h - what floods teach about the hours of the day, and how much can be read until the next
 *           run
 *
 * Of each hour of the day (in UTC) is remembered which share of the time of runs in it was spent in
 * flood waits, a newer run counting for a quarter. An hour that is not known counts as quiet, so it
 * is tried.
 *
 * Pure: value types
 */
#ifndef TG_QUIET_H
#define TG_QUIET_H

#include "base/base.h"

enum { TG_QUIET_HOURS = 24, TG_QUIET_BATCH_MIN = 100, TG_QUIET_BATCH_MAX = 10000 };

struct tg_quiet {
    int32_t permille[TG_QUIET_HOURS]; /* of time that was waited */
    int64_t rate_milli;               /* requests per 1000 s of time that was not; 0: unknown */
};

/** A run has made so many requests, and waited flood_ms of its time. */
void tg_quiet_note(struct tg_quiet *q, int64_t from_ms, int64_t until_ms, int64_t flood_ms,
                   int64_t requests);

/** Adds what another job of the same account knows. */
void tg_quiet_join(struct tg_quiet *q, const struct tg_quiet *other);

/** @return the beginning of the quietest time in [from, until]: from itself, or a full hour that is
 *  quieter by more than a twentieth */
int64_t tg_quiet_best(const struct tg_quiet *q, int64_t from_ms, int64_t until_ms);

/**
 * @param rate_milli  a configured rate of requests per 1000 s; 0: the one that was seen
 * @return how many requests can be made from now for so long, floods of these hours expected; -1
 *         if that is not known
 */
int64_t tg_quiet_requests(const struct tg_quiet *q, int64_t rate_milli, int64_t now_ms,
                          int64_t for_ms);

/** @return messages in a batch so that a run which reads that many pages of 100 commits some twenty
 *  times, whole pages each: what is cut off is little; 0 for unknown requests */
int64_t tg_quiet_batch(int64_t requests);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * drift.h - in what the values of a run differ from those of the run before
 *
 *   profile of a run -> what to remember of it, some KB of JSON -> compared with the next profile
 *
 * Of each field: the share of rows without it; numbers, and lengths of texts, by how many lie
 * between the quantiles of before; the ten most frequent values, where they were half of all; how
 * many are different. Two distributions differ by their population stability index,
 *
 *   PSI = sum over the bins of (now - before) * ln(now / before),    of shares
 *
 * which is 0 for equals; 0.1 is little, and above 0.2 one looks. So that few rows make no drift, it
 * must also be greater than chance makes it in one of 300000 comparisons: for rows of one source it
 * is distributed as chi square times (1/n + 1/m). What grows with time anyway (times, ids of
 * messages) is looked at for missing values alone.
 *
 * Threads: none: pure functions      Limits: runs of less than 100 rows are not compared
 */
#ifndef TG_QUALITY_DRIFT_H
#define TG_QUALITY_DRIFT_H

#include "quality/profile.h"
#include "tgdata/quality.h"

enum { TG_DRIFT_ROWS = 100, TG_DRIFT_BYTES = 1 << 20 };

/** Writes what to remember of a profile. */
void tg_drift_write(const struct tg_profile *p, int64_t now_s, struct tg_buf *out);

/**
 * Adds what is different to a run's result.
 * @param limit  of the PSI
 * @return TG_CORRUPT: what was remembered is no such thing
 */
tg_code tg_drift_compare(const struct tg_buf *before, const struct tg_profile *now, double limit,
                         struct tg_quality_result *ret, struct tg_error *err);

#endif

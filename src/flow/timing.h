/* SPDX-License-Identifier: MIT */
/*
 * timing.h - a schedule that gives way: to better times of the day, and out of bad ones
 *
 *   run of the schedule -> waits for a preferred time -> is moved out of blocked time -> jitter
 *
 *   preferred   times of day; a run waits for the first of them that comes before the next run
 *               would be due, else it runs as it is
 *   blocked     windows of local time on each day (also over midnight), and dated ones: a run in
 *               one is moved to its end. Several that come to lie there are one run
 *   jitter      up to so many seconds later, never into blocked time nor up to the next run. Drawn
 *               from the seed and the run's time: the same each time it is asked
 *
 * So runs keep their order, and none lies in blocked time. A window's end that clocks skip is when
 * they have jumped.
 *
 * Pure.      Limits: 8 windows a day, 64 dated ones, one day of jitter
 */
#ifndef TG_TIMING_H
#define TG_TIMING_H

#include "flow/cron.h"

enum { TG_TIMING_WINDOWS = 8, TG_TIMING_DATED = 64, TG_TIMING_JITTER_MAX_S = 86400 };

struct tg_timing {
    struct tg_cron cron;
    bool prefers;
    struct tg_cron preferred;
    size_t n_windows, n_dated;
    struct {
        int from_min, until_min; /* of the day; until <= from: over midnight */
    } window[TG_TIMING_WINDOWS];
    struct {
        int64_t from_s, until_s;
    } dated[TG_TIMING_DATED];
    int64_t jitter_s;
    uint64_t seed;
};

/** Adds times of day, "02:00,14:00". @return TG_USAGE */
tg_code tg_timing_prefer(struct tg_timing *t, const char *text, struct tg_error *err) TG_MUST_CHECK;

/** Adds windows of each day, "09:00-17:00,22:30-01:00". @return TG_USAGE, also if no minute of the
 *  day is left */
tg_code tg_timing_avoid(struct tg_timing *t, const char *text, struct tg_error *err) TG_MUST_CHECK;

/** Adds a dated window [from, until). @return TG_USAGE */
tg_code tg_timing_block(struct tg_timing *t, int64_t from_s, int64_t until_s,
                        struct tg_error *err) TG_MUST_CHECK;

/** The seed of a name, such as a job's. */
uint64_t tg_timing_seed(const char *name);

bool tg_timing_blocked(const struct tg_timing *t, const struct tg_zone *z, int64_t at_s);

/** Why a run is when it is; with the reasons of tg_cron_why where it is at the schedule's time. */
enum tg_timing_why { TG_TIMING_AS_DUE, TG_TIMING_PREFERRED, TG_TIMING_UNBLOCKED };

struct tg_timing_run {
    int64_t at_s;     /* TG_ZONE_NEVER: none */
    int64_t before_s; /* ... before jitter */
    enum tg_timing_why why;
};

/** The first run behind that instant. */
struct tg_timing_run tg_timing_next(const struct tg_timing *t, const struct tg_zone *z,
                                    int64_t after_s);

/** The last run at or before that instant; -TG_ZONE_NEVER: none in the fifty years before. */
struct tg_timing_run tg_timing_previous(const struct tg_timing *t, const struct tg_zone *z,
                                        int64_t at_s);

#endif

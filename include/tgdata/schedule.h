/* SPDX-License-Identifier: MIT */
/*
 * schedule.h - when something shall run: cron lines and plain words, in a time zone
 *
 *   struct tg_schedule *s;
 *   struct tg_schedule_time t = { .unix_s = now };
 *   tg_schedule_new("mon-fri 02:30", "Europe/Berlin", &s, &err);
 *   while (tg_schedule_next(s, t.unix_s, &t))
 *       ...
 *   tg_schedule_free(s);
 *
 * docs/scheduling.md tells what can be written, and what happens when clocks are changed.
 *
 * Threads: a schedule is const once made; any thread may ask it
 */
#ifndef TGDATA_SCHEDULE_H
#define TGDATA_SCHEDULE_H

#include "tgdata/error.h"

#ifdef __cplusplus
extern "C" {
#endif

struct tg_schedule;

/** What a run owes to clocks that are put forward or back. */
enum tg_schedule_why {
    TG_SCHEDULE_PLAIN,
    TG_SCHEDULE_SKIPPED, /**< clocks jumped over its time: it runs when they have */
    TG_SCHEDULE_FIRST,   /**< its time comes twice: the first of them */
    TG_SCHEDULE_SECOND,  /**< ... and the second */
};

/** One instant of a schedule. */
struct tg_schedule_time {
    int64_t unix_s;
    int32_t offset_s;  /**< of local time from UTC, east is positive */
    char zone[16];     /**< abbreviation in use then, such as "CEST" */
    enum tg_schedule_why why;
};

/**
 * @param text  "30 2 * * *", "every 15 minutes", "02:00,14:00", "mon-fri 08:30", "@daily", ...
 * @param zone  a name such as "Europe/Berlin", looked up in TZDIR or /usr/share/zoneinfo; "UTC"
 *              needs no file
 * @return TG_USAGE if the text is no schedule, or none that ever comes; TG_NOT_FOUND for an unknown
 *         zone; TG_DATA if its file is damaged
 */
TG_API tg_code tg_schedule_new(const char *text, const char *zone, struct tg_schedule **ret,
                               struct tg_error *err) TG_MUST_CHECK;
TG_API void tg_schedule_free(struct tg_schedule *s);

/** The first instant behind that one. @return false if the year 9999 ends before */
TG_API bool tg_schedule_next(const struct tg_schedule *s, int64_t after_unix_s,
                             struct tg_schedule_time *ret);

/** The last instant at or before that one. @return false if there is none since year 1 */
TG_API bool tg_schedule_previous(const struct tg_schedule *s, int64_t at_unix_s,
                                 struct tg_schedule_time *ret);

#ifdef __cplusplus
}
#endif
#endif

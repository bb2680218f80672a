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

/** What a run owes to clocks that are put forward or back, or to times to prefer and to avoid. */
enum tg_schedule_why {
    TG_SCHEDULE_PLAIN,
    TG_SCHEDULE_SKIPPED, /**< clocks jumped over its time: it runs when they have */
    TG_SCHEDULE_FIRST,   /**< its time comes twice: the first of them */
    TG_SCHEDULE_SECOND,  /**< ... and the second */
    TG_SCHEDULE_PREFERRED, /**< it has waited for a preferred time */
    TG_SCHEDULE_PUT_OFF,   /**< it has waited for the end of a time to avoid */
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

/**
 * Times of day to prefer, "02:00,14:00": a run waits for the first of them that comes before the
 * next run would be due. May be called again for more, as the next two.
 * @return TG_USAGE
 */
TG_API tg_code tg_schedule_prefer(struct tg_schedule *s, const char *times,
                                  struct tg_error *err) TG_MUST_CHECK;

/** Times of each day to avoid, "09:00-17:00,22:30-01:00": a run that lies there is put off to their
 *  end; several become one. @return TG_USAGE; also if they leave no time of the day */
TG_API tg_code tg_schedule_avoid(struct tg_schedule *s, const char *windows,
                                 struct tg_error *err) TG_MUST_CHECK;

/** The same from one instant up to another. @return TG_USAGE */
TG_API tg_code tg_schedule_maintenance(struct tg_schedule *s, int64_t from_unix_s,
                                       int64_t until_unix_s, struct tg_error *err) TG_MUST_CHECK;

/** The same of a text, "2026-12-24T18:00/2026-12-26T06:00", in UTC or with offsets.
 *  @return TG_USAGE */
TG_API tg_code tg_schedule_maintenance_text(struct tg_schedule *s, const char *window,
                                            struct tg_error *err) TG_MUST_CHECK;

/** Runs up to so many seconds later, never into times to avoid nor up to the next run: how much is
 *  drawn from the name and the run, and stays. @return TG_USAGE if that is more than a day */
TG_API tg_code tg_schedule_jitter(struct tg_schedule *s, int64_t seconds, const char *name,
                                  struct tg_error *err) TG_MUST_CHECK;

/** The first instant behind that one. @return false if the year 9999 ends before */
TG_API bool tg_schedule_next(const struct tg_schedule *s, int64_t after_unix_s,
                             struct tg_schedule_time *ret);

/** The last instant at or before that one. @return false if the fifty years before have none */
TG_API bool tg_schedule_previous(const struct tg_schedule *s, int64_t at_unix_s,
                                 struct tg_schedule_time *ret);

#ifdef __cplusplus
}
#endif
#endif

/* SPDX-License-Identifier: MIT */
/*
 * cron.h - when something shall run, as a text, and the instants that come of it
 *
 *   30 2 * * mon-fri        five fields of cron: minute, hour, day of month, month, day of week;
 *                           names, lists 1,5, ranges 1-5, steps 1-30/2, star and star/15; 0 and 7
 *                           are Sunday. If both days are given, either is enough
 *   @hourly @daily @weekly @monthly @yearly
 *   every 15 minutes        seconds, minutes or hours that pass, counted from 1970 on
 *   every 2 days at 02:00   days of the calendar, counted from 1970-01-01; without `at`, 00:00
 *   02:00   daily 02:00,14:00   mon-fri 08:30   sat,sun 10:00
 *
 * What clocks do when they are put forward or back:
 *
 *   times of day    a time that is skipped runs when the clocks have jumped, once, however many
 *                   such times were skipped; one that comes twice runs the first time
 *   star in minute  it is told by the wall clock as it goes: a skipped hour has no runs, one that
 *   or hour         comes twice has them twice (as Vixie cron has it)
 *   every N hours   time that passes: never skipped nor doubled
 *
 * Pure: the zone and the instants are arguments.      Limits: texts of 256 characters
 */
#ifndef TG_CRON_H
#define TG_CRON_H

#include "flow/tzif.h"

enum { TG_CRON_TEXT = 256, TG_CRON_DAY_MINUTES = 24 * 60 };

struct tg_cron {
    int64_t period_s;          /* > 0: an instant each so many seconds, and nothing else below */
    bool follows;              /* the wall clock as it goes: a star in minute or hour */
    bool either;               /* day of month or day of week is enough */
    int32_t every_days;        /* 1: each */
    uint32_t of_month;         /* bits 1..31 */
    uint16_t month;            /* bits 1..12 */
    uint8_t of_week;           /* bits 0..6 */
    uint64_t minute[(TG_CRON_DAY_MINUTES + 63) / 64]; /* of the day */
};

/** @return TG_USAGE with what is wrong; also for a date that no year has */
tg_code tg_cron_parse(struct tg_cron *c, const char *text, struct tg_error *err) TG_MUST_CHECK;

/** @return the first instant behind that one, or TG_ZONE_NEVER if the year 9999 has none */
int64_t tg_cron_next(const struct tg_cron *c, const struct tg_zone *z, int64_t after_s);

/** @return the last instant at or before that one, or -TG_ZONE_NEVER */
int64_t tg_cron_previous(const struct tg_cron *c, const struct tg_zone *z, int64_t at_s);

/** What an instant of a schedule owes to a change of clocks. */
enum tg_cron_why {
    TG_CRON_PLAIN,
    TG_CRON_MOVED, /* its time was skipped: it runs when the clocks have jumped */
    TG_CRON_FIRST, /* its time comes twice: this is the first */
    TG_CRON_SECOND,/* ... and this the second */
};

/** @param at_s  an instant that tg_cron_next gave */
enum tg_cron_why tg_cron_why(const struct tg_cron *c, const struct tg_zone *z, int64_t at_s);

/** Whether the wall clock of that local time is one of the schedule's, whatever the zone. */
bool tg_cron_has(const struct tg_cron *c, int64_t local_s);

/** Reads "02:00" into minutes of the day. @return what follows, or NULL */
const char *tg_cron_clock(const char *text, int *ret_minute);

#endif

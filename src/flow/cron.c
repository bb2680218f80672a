/* SPDX-License-Identifier: MIT */
/*
 * cron.c - the instants of a schedule; its text is read by cron_parse.c
 *
 * All but elapsed time is a set of days and a set of minutes of the day: a set of local times.
 * Times of day are turned into instants by a map that never falls as local times rise (a skipped
 * one maps to the jump, a double one to its first instant), so the first local time above a point
 * gives the first instant. What follows the wall clock is looked for span by span instead.
 */
#include "flow/cron.h"

enum { DAY_S = 86400, DAYS_MAX = 41 * 366 };

static bool bit(const uint64_t *set, int i)
{
    return set[i / 64] >> (i % 64) & 1;
}

static bool has_day(const struct tg_cron *c, int64_t days)
{
    struct tg_date date = tg_date_of(days);
    bool month = c->of_month >> date.day & 1, week = c->of_week >> tg_date_weekday(days) & 1;

    return c->month >> date.month & 1 && (c->either ? month || week : month && week) &&
           days - tg_floor_div(days, c->every_days) * c->every_days == 0;
}

bool tg_cron_has(const struct tg_cron *c, int64_t local_s)
{
    int64_t days = tg_floor_div(local_s, DAY_S), s = local_s - days * DAY_S;

    return c->period_s == 0 && s % 60 == 0 && bit(c->minute, (int)(s / 60)) && has_day(c, days);
}

/* The first local time of the schedule at or behind that one; `step` -1: the last at or before. */
static int64_t local_time(const struct tg_cron *c, int64_t local_s, int step)
{
    int64_t days = tg_floor_div(local_s, DAY_S), s = local_s - days * DAY_S;
    int minute = (int)((step > 0 ? s + 59 : s) / 60);

    for (int i = 0; i < DAYS_MAX; i++, days += step) {
        if (has_day(c, days))
            for (; minute >= 0 && minute < TG_CRON_DAY_MINUTES; minute += step)
                if (bit(c->minute, minute))
                    return days * DAY_S + minute * 60;
        minute = step > 0 ? 0 : TG_CRON_DAY_MINUTES - 1;
    }
    return step * TG_ZONE_NEVER;
}

static int64_t first_instant(const struct tg_zone *z, int64_t local_s)
{
    int64_t first = 0, last;

    tg_zone_local(z, local_s, &first, &last);
    return first;
}

static bool in_time(int64_t s)
{
    return s >= TG_ZONE_TIME_MIN + DAY_S * 2 && s <= TG_ZONE_TIME_MAX - DAY_S * 2;
}

static int64_t next_following(const struct tg_cron *c, const struct tg_zone *z, int64_t from_s)
{
    while (in_time(from_s)) {
        struct tg_zone_span span = tg_zone_span(z, from_s);
        int64_t local_s = local_time(c, from_s + span.kind->offset_s, 1);

        if (!in_time(local_s))
            break;
        if (local_s - span.kind->offset_s < span.until_s)
            return local_s - span.kind->offset_s;
        from_s = span.until_s;
    }
    return TG_ZONE_NEVER;
}

static int64_t previous_following(const struct tg_cron *c, const struct tg_zone *z, int64_t at_s)
{
    while (in_time(at_s)) {
        struct tg_zone_span span = tg_zone_span(z, at_s);
        int64_t local_s = local_time(c, at_s + span.kind->offset_s, -1);

        if (!in_time(local_s))
            break;
        if (local_s - span.kind->offset_s >= span.from_s)
            return local_s - span.kind->offset_s;
        at_s = span.from_s - 1;
    }
    return -TG_ZONE_NEVER;
}

int64_t tg_cron_next(const struct tg_cron *c, const struct tg_zone *z, int64_t after_s)
{
    int64_t local_s;

    if (!in_time(after_s))
        return TG_ZONE_NEVER;
    if (c->period_s)
        return (tg_floor_div(after_s, c->period_s) + 1) * c->period_s;
    if (c->follows)
        return next_following(c, z, after_s + 1);
    for (local_s = tg_zone_wall(z, after_s) + 1;; local_s++) {
        int64_t at_s;

        local_s = local_time(c, local_s, 1);
        if (!in_time(local_s))
            return TG_ZONE_NEVER;
        at_s = first_instant(z, local_s);
        if (at_s > after_s) /* the rest are the second of two */
            return at_s;
    }
}

/* The last local time whose first instant has come: what clocks showed before they were put back
 * counts, too. */
static int64_t latest_wall(const struct tg_zone *z, int64_t at_s)
{
    struct tg_zone_span span = tg_zone_span(z, at_s);
    int64_t wall_s = at_s + span.kind->offset_s;

    if (at_s - span.from_s > 2 * TG_ZONE_OFFSET_S)
        return wall_s;
    return TG_MAX(wall_s, tg_zone_wall(z, span.from_s - 1));
}

int64_t tg_cron_previous(const struct tg_cron *c, const struct tg_zone *z, int64_t at_s)
{
    int64_t local_s;

    if (!in_time(at_s))
        return -TG_ZONE_NEVER;
    if (c->period_s)
        return tg_floor_div(at_s, c->period_s) * c->period_s;
    if (c->follows)
        return previous_following(c, z, at_s);
    local_s = local_time(c, latest_wall(z, at_s), -1);
    return in_time(local_s) ? first_instant(z, local_s) : -TG_ZONE_NEVER;
}

enum tg_cron_why tg_cron_why(const struct tg_cron *c, const struct tg_zone *z, int64_t at_s)
{
    int64_t local_s, first = at_s, last = at_s;

    if (c->period_s || !in_time(at_s))
        return TG_CRON_PLAIN;
    local_s = tg_zone_wall(z, at_s);
    if (!tg_cron_has(c, local_s))
        return TG_CRON_MOVED;
    tg_zone_local(z, local_s, &first, &last);
    if (first == last)
        return TG_CRON_PLAIN;
    return at_s == first ? TG_CRON_FIRST : TG_CRON_SECOND;
}

/* SPDX-License-Identifier: MIT */
/*
 * timing.c - see timing.h
 *
 * `due` is what the schedule says, `wanted` with preferred times, `open` outside blocked time. All
 * three rise together, and `wanted` stays before the next `due`, so each is found from the one
 * before by looking at a neighbour only.
 */
#include "flow/timing.h"

enum { DAY_S = 86400, BACK_S = 3600 };

#define BACK_MAX_S (INT64_C(50) * 366 * DAY_S)

static bool in_window(const struct tg_timing *t, size_t i, int minute)
{
    int from = t->window[i].from_min, until = t->window[i].until_min;

    return from < until ? minute >= from && minute < until : minute >= from || minute < until;
}

static bool blocks_all(const struct tg_timing *t)
{
    for (int minute = 0; minute < TG_CRON_DAY_MINUTES; minute++) {
        bool blocked = false;

        for (size_t i = 0; i < t->n_windows && !blocked; i++)
            blocked = in_window(t, i, minute);
        if (!blocked)
            return false;
    }
    return true;
}

tg_code tg_timing_prefer(struct tg_timing *t, const char *text, struct tg_error *err)
{
    struct tg_cron c;
    tg_code code;
    int minute;

    if (!tg_cron_clock(text, &minute)) {
        tg_fail(err, TG_USAGE, "'%.40s' is no time of day to prefer", text);
        return tg_hint(err, "write 02:00, or several: 02:00,14:00");
    }
    code = tg_cron_parse(&c, text, err);
    if (code != TG_OK)
        return code;
    for (size_t i = 0; t->prefers && i < TG_COUNT(c.minute); i++)
        c.minute[i] |= t->preferred.minute[i];
    t->preferred = c;
    t->prefers = true;
    return TG_OK;
}

tg_code tg_timing_avoid(struct tg_timing *t, const char *text, struct tg_error *err)
{
    const char *p = text;
    int from, until;

    do {
        const char *dash = tg_cron_clock(p, &from);

        p = dash && *dash == '-' ? tg_cron_clock(dash + 1, &until) : NULL;
        if (!p || (*p && *p != ',') || from == until) {
            tg_fail(err, TG_USAGE, "'%.40s' is no window of time to avoid", text);
            return tg_hint(err, "write 09:00-17:00, or several: 09:00-12:00,22:30-01:00");
        }
        if (t->n_windows == TG_TIMING_WINDOWS)
            return tg_fail(err, TG_USAGE, "at most %d windows of time can be avoided",
                           TG_TIMING_WINDOWS);
        t->window[t->n_windows].from_min = from;
        t->window[t->n_windows++].until_min = until;
    } while (*p++ == ',');
    if (blocks_all(t))
        return tg_fail(err, TG_USAGE, "the windows to avoid leave no time of the day");
    return TG_OK;
}

tg_code tg_timing_block(struct tg_timing *t, int64_t from_s, int64_t until_s, struct tg_error *err)
{
    if (from_s >= until_s)
        return tg_fail(err, TG_USAGE, "a maintenance window ends before it begins");
    if (t->n_dated == TG_TIMING_DATED)
        return tg_fail(err, TG_USAGE, "at most %d maintenance windows can be given",
                       TG_TIMING_DATED);
    t->dated[t->n_dated].from_s = from_s;
    t->dated[t->n_dated++].until_s = until_s;
    return TG_OK;
}

/* Mixes all bits (the end of splitmix64). */
static uint64_t mix(uint64_t v)
{
    v = (v ^ v >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    v = (v ^ v >> 27) * UINT64_C(0x94d049bb133111eb);
    return v ^ v >> 31;
}

uint64_t tg_timing_seed(const char *name)
{
    uint64_t seed = UINT64_C(0x9e3779b97f4a7c15);

    for (; *name; name++)
        seed = mix(seed + (unsigned char)*name);
    return seed;
}

/* The end of one window that holds that instant, or when clocks are changed if that is before (they
 * may leave the window so); or the instant itself. */
static int64_t leave_one(const struct tg_timing *t, const struct tg_zone *z, int64_t at_s)
{
    struct tg_zone_span span;
    int64_t local_s, days, first, last;
    int minute;

    for (size_t i = 0; i < t->n_dated; i++)
        if (at_s >= t->dated[i].from_s && at_s < t->dated[i].until_s)
            return t->dated[i].until_s;
    if (t->n_windows == 0)
        return at_s;
    span = tg_zone_span(z, at_s);
    local_s = at_s + span.kind->offset_s;
    days = tg_floor_div(local_s, DAY_S);
    minute = (int)((local_s - days * DAY_S) / 60);
    for (size_t i = 0; i < t->n_windows; i++) {
        int until = t->window[i].until_min;

        if (!in_window(t, i, minute))
            continue;
        days += until <= minute;
        tg_zone_local(z, days * DAY_S + until * 60, &first, &last);
        first = first > at_s ? first : last;
        return first > at_s && first < span.until_s ? first : span.until_s;
    }
    return at_s;
}

bool tg_timing_blocked(const struct tg_timing *t, const struct tg_zone *z, int64_t at_s)
{
    return leave_one(t, z, at_s) != at_s;
}

/* The first instant that is not blocked; what blocks is left in at most so many steps. */
static int64_t leave(const struct tg_timing *t, const struct tg_zone *z, int64_t at_s)
{
    for (int i = 0; i < 4096 && at_s < TG_ZONE_TIME_MAX && at_s > TG_ZONE_TIME_MIN; i++) {
        int64_t next_s = leave_one(t, z, at_s);

        if (next_s == at_s)
            return at_s;
        at_s = next_s;
    }
    return TG_ZONE_NEVER;
}

static int64_t wanted_of(const struct tg_timing *t, const struct tg_zone *z, int64_t due_s)
{
    int64_t at_s;

    if (!t->prefers || due_s == TG_ZONE_NEVER || due_s == -TG_ZONE_NEVER)
        return due_s;
    at_s = tg_cron_next(&t->preferred, z, due_s - 1);
    return at_s < tg_cron_next(&t->cron, z, due_s) ? at_s : due_s;
}

static int64_t wanted_next(const struct tg_timing *t, const struct tg_zone *z, int64_t after_s)
{
    int64_t at_s;

    if (t->prefers) {
        at_s = wanted_of(t, z, tg_cron_previous(&t->cron, z, after_s));
        if (at_s > after_s)
            return at_s;
    }
    return wanted_of(t, z, tg_cron_next(&t->cron, z, after_s));
}

static int64_t wanted_previous(const struct tg_timing *t, const struct tg_zone *z, int64_t at_s)
{
    int64_t due_s = tg_cron_previous(&t->cron, z, at_s), wanted_s = wanted_of(t, z, due_s);

    if (wanted_s <= at_s)
        return wanted_s;
    return wanted_of(t, z, tg_cron_previous(&t->cron, z, due_s - 1));
}

/* In blocked time only what has been wanted since it began is put off to its end. */
static int64_t open_next(const struct tg_timing *t, const struct tg_zone *z, int64_t after_s)
{
    int64_t wanted_s;

    if (tg_timing_blocked(t, z, after_s)) {
        int64_t end_s = leave(t, z, after_s);

        if (end_s == TG_ZONE_NEVER)
            return end_s;
        wanted_s = wanted_previous(t, z, end_s - 1);
        if (wanted_s != -TG_ZONE_NEVER && leave(t, z, wanted_s) == end_s)
            return end_s;
        after_s = end_s - 1;
    }
    wanted_s = wanted_next(t, z, after_s);
    return wanted_s == TG_ZONE_NEVER ? wanted_s : leave(t, z, wanted_s);
}

/* A run that is opened then, and the one behind it. */
struct step {
    int64_t open_s, next_s;
};

static struct step first_step(const struct tg_timing *t, const struct tg_zone *z, int64_t after_s)
{
    struct step s = { .open_s = open_next(t, z, after_s) };

    s.next_s = s.open_s == TG_ZONE_NEVER ? s.open_s : open_next(t, z, s.open_s);
    return s;
}

static void go_on(const struct tg_timing *t, const struct tg_zone *z, struct step *s)
{
    s->open_s = s->next_s;
    s->next_s = s->open_s == TG_ZONE_NEVER ? s->open_s : open_next(t, z, s->open_s);
}

static int64_t jittered(const struct tg_timing *t, const struct tg_zone *z, const struct step *s)
{
    int64_t most_s, at_s;

    if (t->jitter_s == 0 || s->open_s == TG_ZONE_NEVER)
        return s->open_s;
    most_s = TG_MIN(t->jitter_s, s->next_s - s->open_s - 1);
    at_s = s->open_s + (int64_t)(mix(t->seed + (uint64_t)s->open_s) % ((uint64_t)most_s + 1));
    return tg_timing_blocked(t, z, at_s) ? s->open_s : at_s;
}

static struct tg_timing_run told(const struct tg_timing *t, const struct tg_zone *z,
                                 const struct step *s)
{
    struct tg_timing_run run = { .at_s = jittered(t, z, s), .before_s = s->open_s };

    if (run.at_s == TG_ZONE_NEVER)
        return run;
    if (wanted_previous(t, z, s->open_s) != s->open_s)
        run.why = TG_TIMING_UNBLOCKED;
    else if (tg_cron_previous(&t->cron, z, s->open_s) != s->open_s)
        run.why = TG_TIMING_PREFERRED;
    return run;
}

struct tg_timing_run tg_timing_next(const struct tg_timing *t, const struct tg_zone *z,
                                    int64_t after_s)
{
    struct step s;

    if (t->jitter_s == 0) {
        s.open_s = open_next(t, z, after_s);
        return told(t, z, &s);
    }
    s = first_step(t, z, after_s - t->jitter_s - 1);
    while (jittered(t, z, &s) <= after_s) /* those opened before may come behind that instant */
        go_on(t, z, &s);
    return told(t, z, &s);
}

struct tg_timing_run tg_timing_previous(const struct tg_timing *t, const struct tg_zone *z,
                                        int64_t at_s)
{
    for (int64_t back_s = BACK_S; back_s < BACK_MAX_S; back_s *= 2) {
        struct step s = first_step(t, z, at_s - back_s), last = { .open_s = TG_ZONE_NEVER };

        for (; s.open_s <= at_s && jittered(t, z, &s) <= at_s; go_on(t, z, &s))
            last = s;
        if (last.open_s != TG_ZONE_NEVER)
            return told(t, z, &last);
    }
    return (struct tg_timing_run){ .at_s = -TG_ZONE_NEVER };
}

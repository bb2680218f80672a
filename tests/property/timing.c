/* SPDX-License-Identifier: MIT */
/*
 * timing.c - schedules that give way, against the rules of timing.h followed minute by minute
 *
 * Each seed draws a schedule, preferred times, windows of the day and dated ones in a zone that
 * knows summer, over two weeks around one of its changes. What is due, wanted, open is worked out
 * for all of it, one after the other; each answer is held against that.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "flow/timing.h"
#include "tests/seeds.h"

enum { SEEDS = 1500, DAY_S = 86400, DAYS = 14, RUNS_MAX = DAYS * 1440,
       MINUTES = (DAYS + 6) * 1440 };

static uint64_t seed;
static struct tg_zone zone;

static const char europe[] = "TZif2\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
                             "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1\0\0\0\4"
                             "\0\0\0\0\0\0CET\0"
                             "TZif2\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
                             "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1\0\0\0\4"
                             "\0\0\0\0\0\0CET\0"
                             "\nCET-1CEST,M3.5.0,M10.5.0/3\n";

static void draw_timing(struct random *r, struct tg_timing *t)
{
    static const char *const text[] = {
        "every 1 hour", "every 15 minutes", "every 6 hours", "every 7 minutes", "02:30",
        "30 */2 * * *", "*/20 1-4 * * *", "mon-fri 08:30", "02:00,02:30,14:00", "0 0 */3 * *",
        "every 2 days at 02:15", "0-59/30 2 * * *",
    };
    struct tg_error err;
    char part[32];

    *t = (struct tg_timing){ .seed = seed };
    assert_int_equal(tg_cron_parse(&t->cron, text[below(r, TG_COUNT(text))], &err), TG_OK);
    for (uint32_t i = below(r, 3); i; i--) {
        snprintf(part, sizeof part, "%02u:%02u", below(r, 24), below(r, 4) * 15);
        assert_int_equal(tg_timing_prefer(t, part, &err), TG_OK);
    }
    for (uint32_t i = below(r, 3); i; i--) {
        uint32_t from = below(r, 96), until = (from + 1 + below(r, 44)) % 96;

        snprintf(part, sizeof part, "%02u:%02u-%02u:%02u", from / 4, from % 4 * 15, until / 4,
                 until % 4 * 15);
        assert_int_equal(tg_timing_avoid(t, part, &err), TG_OK);
    }
}

/* What comes of these days, by the rules. */
static struct days {
    int64_t begin_s, end_s;
    int64_t open_s[RUNS_MAX];
    int64_t leave_s[MINUTES]; /* of each minute, the first that is not blocked */
    size_t n;
} days;

static bool is_blocked(const struct tg_timing *t, int64_t at_s)
{
    int64_t local_s = tg_zone_wall(&zone, at_s);
    int minute = (int)((local_s - tg_floor_div(local_s, DAY_S) * DAY_S) / 60);
    bool blocked = false;

    for (size_t i = 0; i < t->n_windows; i++) {
        int from = t->window[i].from_min, until = t->window[i].until_min;

        blocked = blocked || (minute >= from && minute < until) ||
                  (until < from && (minute >= from || minute < until));
    }
    for (size_t i = 0; i < t->n_dated; i++)
        blocked = blocked || (at_s >= t->dated[i].from_s && at_s < t->dated[i].until_s);
    return blocked;
}

static void follow_rules(const struct tg_timing *t)
{
    int64_t due_s = tg_cron_next(&t->cron, &zone, days.begin_s), next_s;

    for (int i = MINUTES - 1; i >= 0; i--) {
        days.leave_s[i] = days.begin_s + i * 60;
        if (i < MINUTES - 1 && is_blocked(t, days.leave_s[i]))
            days.leave_s[i] = days.leave_s[i + 1];
    }
    days.n = 0;
    for (; due_s < days.end_s; due_s = next_s) {
        int64_t at_s = due_s;

        next_s = tg_cron_next(&t->cron, &zone, due_s);
        if (t->prefers && tg_cron_next(&t->preferred, &zone, due_s - 1) < next_s)
            at_s = tg_cron_next(&t->preferred, &zone, due_s - 1);
        at_s = days.leave_s[TG_MIN((at_s - days.begin_s) / 60, (int64_t)MINUTES - 1)];
        if (days.n == 0 || days.open_s[days.n - 1] != at_s)
            days.open_s[days.n++] = at_s;
    }
}

static void draw_days(struct random *r, struct tg_timing *t)
{
    struct tg_error err;

    days.begin_s = (chance(r, 50) ? 1742688000 : 1760832000) + 60 * (int64_t)below(r, 1440);
    days.end_s = days.begin_s + DAYS * DAY_S;
    draw_timing(r, t);
    for (uint32_t i = below(r, 3); i; i--) {
        int64_t from_s = days.begin_s + 60 * (int64_t)below(r, DAYS * 1440);

        assert_int_equal(tg_timing_block(t, from_s, from_s + 60 * (1 + below(r, 4000)), &err),
                         TG_OK);
    }
    follow_rules(t);
}

static void runs_are_those_of_the_rules(void **state)
{
    (void)state;
    for (seed = 1; seed <= SEEDS; seed++) {
        struct random r = { seed };
        struct tg_timing t;

        draw_days(&r, &t);
        for (int k = 0; k < 10; k++) { /* what lies before the first days may reach into them */
            int64_t at_s = days.begin_s + (4 * 1440 + (int64_t)below(&r, 5 * 1440)) * 60;
            struct tg_timing_run next = tg_timing_next(&t, &zone, at_s);
            struct tg_timing_run last = tg_timing_previous(&t, &zone, at_s);
            size_t i = 0;

            while (i < days.n && days.open_s[i] <= at_s)
                i++;
            if (i < days.n && next.at_s != days.open_s[i])
                fail_msg("seed %llu: behind %lld comes %lld, not %lld", (unsigned long long)seed,
                         (long long)at_s, (long long)next.at_s, (long long)days.open_s[i]);
            if (i && last.at_s != days.open_s[i - 1])
                fail_msg("seed %llu: before %lld was %lld, not %lld", (unsigned long long)seed,
                         (long long)at_s, (long long)last.at_s, (long long)days.open_s[i - 1]);
        }
    }
}

static void jitter_keeps_the_order(void **state)
{
    (void)state;
    for (seed = 1; seed <= SEEDS; seed++) {
        struct random r = { seed };
        struct tg_timing t;
        int64_t at_s, moved = 0;

        draw_days(&r, &t);
        t.jitter_s = 1 + (int64_t)below(&r, 3600);
        at_s = days.begin_s;
        for (int i = 0; i < 20; i++) {
            struct tg_timing_run run = tg_timing_next(&t, &zone, at_s), back;

            if (run.at_s == TG_ZONE_NEVER)
                fail_msg("seed %llu: ends", (unsigned long long)seed);
            if (run.at_s <= at_s || run.at_s < run.before_s ||
                run.at_s > run.before_s + t.jitter_s || is_blocked(&t, run.at_s))
                fail_msg("seed %llu: behind %lld comes %lld of %lld", (unsigned long long)seed,
                         (long long)at_s, (long long)run.at_s, (long long)run.before_s);
            back = tg_timing_next(&t, &zone, run.at_s - 1);
            assert_true(back.at_s == run.at_s && back.before_s == run.before_s);
            assert_true(tg_timing_previous(&t, &zone, run.at_s).at_s == run.at_s);
            moved += run.at_s != run.before_s;
            at_s = run.at_s;
        }
        assert_true(moved > 0);
    }
}

static void what_makes_no_sense_is_refused(void **state)
{
    static const char *const window[] = { "", "9", "09:00", "09:00-", "09:00-09:00", "25:00-26:00",
                                          "09:00-10:00,", "09:00 - 10:00", "09:00-10:00x" };
    static const char *const prefer[] = { "", "mon 02:00", "every 1 hour", "0 2 * * *", "24:00" };
    struct tg_timing t = { 0 };
    struct tg_error err;

    (void)state;
    for (size_t i = 0; i < TG_COUNT(window); i++)
        assert_int_equal(tg_timing_avoid(&t, window[i], &err), TG_USAGE);
    for (size_t i = 0; i < TG_COUNT(prefer); i++)
        assert_int_equal(tg_timing_prefer(&t, prefer[i], &err), TG_USAGE);
    t.n_windows = 0;
    assert_int_equal(tg_timing_avoid(&t, "09:00-21:00", &err), TG_OK);
    assert_int_equal(tg_timing_avoid(&t, "21:00-09:00", &err), TG_USAGE);
    assert_int_equal(tg_timing_block(&t, 5, 5, &err), TG_USAGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(runs_are_those_of_the_rules),
        cmocka_unit_test(jitter_keeps_the_order),
        cmocka_unit_test(what_makes_no_sense_is_refused),
    };
    struct tg_error err = { 0 };

    if (tg_zone_read(&zone, europe, sizeof europe - 1, &err) != TG_OK) {
        fprintf(stderr, "%s\n", err.message);
        return 1;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}

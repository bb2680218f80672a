/* SPDX-License-Identifier: MIT */
/*
 * cron.c - zones and schedules against tables that are made minute by minute
 *
 * Each seed makes the file of a zone whose clocks change now and then, by up to a day, and reads
 * it. A week around the changes is walked in minutes: what the wall shows at each, and so which
 * local times come never, once, twice, stands in a table. All answers are held against that.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/text.h"
#include "flow/cron.h"
#include "tests/seeds.h"

enum { SEEDS = 2000, DAY_MIN = 1440, WEEK_MIN = 8 * DAY_MIN, MARGIN_MIN = 2 * DAY_MIN };

static uint64_t seed;

/* ---- zones ---- */

struct file {
    uint8_t at[8192];
    size_t n;
};

static void put(struct file *f, const void *bytes, size_t n)
{
    memcpy(f->at + f->n, bytes, n);
    f->n += n;
}

static void put_be(struct file *f, uint64_t v, int bytes)
{
    for (int i = bytes - 1; i >= 0; i--)
        f->at[f->n++] = (uint8_t)(v >> (8 * i));
}

static void put_header(struct file *f, uint32_t changes, uint32_t kinds)
{
    put(f, "TZif2\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 20);
    for (int i = 0; i < 3; i++)
        put_be(f, 0, 4);
    put_be(f, changes, 4), put_be(f, kinds, 4), put_be(f, 4, 4);
}

static void make_file(struct file *f, const int64_t *at, const int32_t *offset_s, uint32_t n,
                      const char *footer)
{
    f->n = 0;
    put_header(f, 0, 1);
    put_be(f, 0, 6), put(f, "ABC", 4);
    put_header(f, n, n + 1);
    for (uint32_t i = 0; i < n; i++)
        put_be(f, (uint64_t)at[i], 8);
    for (uint32_t i = 0; i < n; i++)
        put_be(f, i + 1, 1);
    for (uint32_t i = 0; i <= n; i++)
        put_be(f, (uint32_t)offset_s[i], 4), put_be(f, 0, 2);
    put(f, "ABC", 4), put(f, "\n", 1), put(f, footer, strlen(footer)), put(f, "\n", 1);
}

/* The week, in minutes. */
static struct week {
    struct tg_zone zone;
    int64_t begin_s, low_s;           /* of the instants; of the local times */
    int64_t wall_s[WEEK_MIN];
    int first[WEEK_MIN + 2 * MARGIN_MIN]; /* minute of the instant that shows a local time; -1 */
    int last[WEEK_MIN + 2 * MARGIN_MIN];
    int jump[WEEK_MIN + 2 * MARGIN_MIN]; /* the first minute whose wall is later */
} week;

static void walk(void)
{
    struct week *w = &week;

    w->low_s = w->begin_s - MARGIN_MIN * 60;
    for (size_t i = 0; i < TG_COUNT(w->first); i++)
        w->first[i] = w->last[i] = w->jump[i] = -1;
    for (int i = 0; i < WEEK_MIN; i++) {
        int64_t local_min;

        w->wall_s[i] = tg_zone_wall(&w->zone, w->begin_s + i * 60);
        local_min = (w->wall_s[i] - w->low_s) / 60;
        assert_true(local_min >= 0 && local_min < (int64_t)TG_COUNT(w->first));
        w->last[local_min] = i;
        if (w->first[local_min] < 0)
            w->first[local_min] = i;
    }
    for (int i = 0, top = 0; i < WEEK_MIN; i++) /* jumps go over what is later than all before */
        for (int until = (int)((w->wall_s[i] - w->low_s) / 60); top < until; top++)
            w->jump[top] = i;
}

/* 1 or 2 changes, at least two days apart; none of a footer in that week. */
static void draw_zone(struct random *r)
{
    static const int32_t steps_min[] = { 60, 60, 30, 120, 15, 24 * 60, 0 };
    uint32_t n = 1 + below(r, 2);
    int64_t at[2];
    int32_t offset_s[3];
    struct file f;
    struct tg_error err;

    week.begin_s = 60 * ((int64_t)below(r, 60000000) - 1000000);
    offset_s[0] = 900 * ((int32_t)below(r, 80) - 40);
    for (uint32_t i = 0; i < n; i++) {
        int32_t step_s = 60 * steps_min[below(r, TG_COUNT(steps_min))];

        at[i] = week.begin_s + 60 * ((int64_t)(2 + 2 * i) * DAY_MIN + below(r, DAY_MIN));
        offset_s[i + 1] = offset_s[i] + (chance(r, 50) ? step_s : -step_s);
        if (abs(offset_s[i + 1]) > 25 * 3600)
            offset_s[i + 1] = offset_s[i];
    }
    make_file(&f, at, offset_s, n, "");
    assert_int_equal(tg_zone_read(&week.zone, f.at, f.n, &err), TG_OK);
    walk();
}

static void local_times_are_found(void **state)
{
    (void)state;
    for (seed = 1; seed <= SEEDS; seed++) {
        struct random r = { seed };

        draw_zone(&r);
        for (int k = 0; k < 400; k++) {
            int64_t local_s = week.wall_s[DAY_MIN + below(&r, WEEK_MIN - 2 * DAY_MIN)] +
                              60 * ((int64_t)below(&r, 121) - 60), first, last;
            int i = (int)((local_s - week.low_s) / 60);
            enum tg_zone_fit fit = tg_zone_local(&week.zone, local_s, &first, &last), want;
            int want_first = week.first[i] < 0 ? week.jump[i] : week.first[i];
            int want_last = week.first[i] < 0 ? week.jump[i] : week.last[i];

            want = week.first[i] < 0                ? TG_ZONE_SKIPPED
                   : week.first[i] == week.last[i] ? TG_ZONE_ONCE
                                                    : TG_ZONE_TWICE;
            if (fit != want || first != week.begin_s + want_first * 60 ||
                last != week.begin_s + want_last * 60)
                fail_msg("seed %llu: local %lld: %d at %lld..%lld, not %d at minutes %d..%d",
                         (unsigned long long)seed, (long long)local_s, fit, (long long)first,
                         (long long)last, want, want_first, want_last);
        }
    }
}

/* ---- schedules ---- */

struct text {
    char at[TG_CRON_TEXT];
    uint64_t set[5];
    bool star[5];
};

static void draw_field(struct random *r, struct text *t, int which, int min, int max)
{
    size_t n = strlen(t->at);
    int parts = 1 + (int)below(r, 3);

    t->set[which] = 0;
    t->star[which] = chance(r, 40);
    if (t->star[which]) {
        int step = chance(r, 60) ? 1 : 1 + (int)below(r, (uint32_t)(max - min));

        snprintf(t->at + n, sizeof t->at - n, step == 1 ? "* " : "*/%d ", step);
        for (int i = min; i <= max; i += step)
            t->set[which] |= UINT64_C(1) << i;
        return;
    }
    for (int p = 0; p < parts; p++) {
        int from = min + (int)below(r, (uint32_t)(max - min + 1));
        int to = chance(r, 50) ? from : from + (int)below(r, (uint32_t)(max - from + 1));
        int step = to > from && chance(r, 40) ? 1 + (int)below(r, 5) : 1;

        n = strlen(t->at);
        if (to == from)
            snprintf(t->at + n, sizeof t->at - n, "%s%d", p ? "," : "", from);
        else
            snprintf(t->at + n, sizeof t->at - n, step > 1 ? "%s%d-%d/%d" : "%s%d-%d",
                     p ? "," : "", from, to, step);
        for (int i = from; i <= to; i += step)
            t->set[which] |= UINT64_C(1) << i;
    }
    n = strlen(t->at);
    snprintf(t->at + n, sizeof t->at - n, " ");
}

static struct text draw_text(struct random *r)
{
    struct text t = { .at = "" };

    draw_field(r, &t, 0, 0, 59);
    draw_field(r, &t, 1, 0, 23);
    draw_field(r, &t, 2, 1, 31);
    snprintf(t.at + strlen(t.at), sizeof t.at - strlen(t.at), "* "); /* a week is too short */
    draw_field(r, &t, 4, 0, 6);
    return t;
}

static bool in_text(const struct text *t, int64_t local_s)
{
    int64_t days = tg_floor_div(local_s, 86400);
    int s = (int)(local_s - days * 86400);
    struct tg_date d = tg_date_of(days);
    bool month = t->set[2] >> d.day & 1, of_week = t->set[4] >> tg_date_weekday(days) & 1;

    return s % 60 == 0 && t->set[0] >> (s / 60 % 60) & 1 && t->set[1] >> (s / 3600) & 1 &&
           (t->star[2] || t->star[4] ? month && of_week : month || of_week);
}

/* Which minutes of the week are instants of the schedule. */
static void mark(const struct text *t, bool *due)
{
    memset(due, 0, WEEK_MIN * sizeof *due);
    for (int i = 0; i < WEEK_MIN && (t->star[0] || t->star[1]); i++)
        due[i] = in_text(t, week.wall_s[i]);
    if (t->star[0] || t->star[1])
        return;
    for (size_t i = 0; i < TG_COUNT(week.first); i++) {
        int at = week.first[i] < 0 ? week.jump[i] : week.first[i];

        if (at > 0 && in_text(t, week.low_s + (int64_t)i * 60))
            due[at] = true; /* what jumped over the first minute lies before the week */
    }
}

static void check_instants(struct random *r, const struct text *t, const struct tg_cron *c,
                           const bool *due)
{
    for (int k = 0; k < 60; k++) {
        int from = DAY_MIN + (int)below(r, WEEK_MIN - 2 * DAY_MIN), i;
        int64_t from_s = week.begin_s + from * 60, at;

        for (i = from + 1; i < WEEK_MIN && !due[i];)
            i++;
        at = tg_cron_next(c, &week.zone, from_s);
        if (i < WEEK_MIN ? at != week.begin_s + i * 60 : at < week.begin_s + WEEK_MIN * 60)
            fail_msg("seed %llu: '%s': behind minute %d comes %lld s, not minute %d",
                     (unsigned long long)seed, t->at, from, (long long)(at - week.begin_s), i);
        for (i = from; i > MARGIN_MIN / 2 && !due[i];)
            i--;
        at = tg_cron_previous(c, &week.zone, from_s);
        if (due[i] ? at != week.begin_s + i * 60 : at >= week.begin_s + i * 60)
            fail_msg("seed %llu: '%s': before minute %d is %lld s, not minute %d",
                     (unsigned long long)seed, t->at, from, (long long)(at - week.begin_s), i);
    }
}

static void instants_are_those_of_the_table(void **state)
{
    static bool due[WEEK_MIN];
    unsigned n = 0;

    (void)state;
    for (seed = 1; seed <= SEEDS; seed++) {
        struct random r = { seed };

        draw_zone(&r);
        for (int k = 0; k < 5; k++) {
            struct text t = draw_text(&r);
            struct tg_cron c;
            struct tg_error err;

            if (tg_cron_parse(&c, t.at, &err) != TG_OK)
                fail_msg("seed %llu: '%s': %s", (unsigned long long)seed, t.at, err.message);
            mark(&t, due);
            check_instants(&r, &t, &c, due);
            n++;
        }
    }
    assert_true(n == SEEDS * 5);
}

/* ---- rules of a footer ---- */

static void a_footer_goes_on_for_ever(void **state)
{
    static const struct {
        const char *footer;
        int64_t at;
        int32_t want_s;
    } row[] = {
        { "CET-1CEST,M3.5.0,M10.5.0/3", 1743296399, 3600 }, /* 2025-03-30 01:00 UTC */
        { "CET-1CEST,M3.5.0,M10.5.0/3", 1743296400, 7200 },
        { "CET-1CEST,M3.5.0,M10.5.0/3", 1761440399, 7200 },
        { "CET-1CEST,M3.5.0,M10.5.0/3", 1761440400, 3600 },
        { "CET-1CEST,M3.5.0,M10.5.0/3", INT64_C(64833696000), 7200 }, /* in the year 4024 */
        { "IST-1GMT0,M10.5.0,M3.5.0/1", 1743296399, 0 },     /* winter is the other one */
        { "IST-1GMT0,M10.5.0,M3.5.0/1", 1743296400, 3600 },
        { "<+1030>-10:30<+11>-11,M10.1.0,M4.1.0", 1735689600, 39600 },
        { "<+1030>-10:30<+11>-11,M10.1.0,M4.1.0", 1751328000, 37800 },
        { "XXX3EDT4,0/0,J365/23", 1735689600, -14400 },      /* summer all year round */
        { "XXX3EDT4,0/0,J365/23", 1735689600 + 3 * 3600, -14400 },
        { "<-03>3", 1743296399, -10800 },
    };

    (void)state;
    for (size_t i = 0; i < TG_COUNT(row); i++) {
        int64_t at[] = { 0 };
        int32_t offset_s[] = { 0, 60 };
        static struct tg_zone z;
        struct tg_zone_span span;
        struct tg_error err = { 0 };
        struct file f;

        make_file(&f, at, offset_s, 1, row[i].footer);
        if (tg_zone_read(&z, f.at, f.n, &err) != TG_OK)
            fail_msg("%s: %s", row[i].footer, err.message);
        span = tg_zone_span(&z, row[i].at);
        if (span.kind->offset_s != row[i].want_s)
            fail_msg("%s at %lld: %d", row[i].footer, (long long)row[i].at, span.kind->offset_s);
        assert_true(span.from_s <= row[i].at && row[i].at < span.until_s);
    }
}

static void what_is_no_zone_is_refused(void **state)
{
    static const char *const footer[] = { "CET", "CET-1CEST", "CET-1CEST,M3.5.0", "C-1", "CET-99",
                                          "CET-1CEST,M13.5.0,M10.5.0", "CET-1CEST,M3.6.0,M10.5.0",
                                          "CET-1CEST,M3.5.0,M10.5.0/168", "<CE-1", "CET-1 " };
    int64_t at[] = { 100, 200 };
    int32_t offset_s[] = { 0, 60, 120 };
    static struct tg_zone z;
    struct tg_error err;
    struct file f;

    (void)state;
    for (size_t i = 0; i < TG_COUNT(footer); i++) {
        make_file(&f, at, offset_s, 2, footer[i]);
        if (tg_zone_read(&z, f.at, f.n, &err) != TG_DATA)
            fail_msg("'%s' was taken", footer[i]);
    }
    make_file(&f, at, offset_s, 2, "ABC0");
    assert_int_equal(tg_zone_read(&z, f.at, f.n, &err), TG_OK);
    for (size_t n = 0; n < f.n; n++)
        assert_int_equal(tg_zone_read(&z, f.at, n, &err), TG_DATA);
    at[1] = 100;
    make_file(&f, at, offset_s, 2, "ABC0");
    assert_int_equal(tg_zone_read(&z, f.at, f.n, &err), TG_DATA);
}

/* ---- texts ---- */

static void texts_mean_what_they_say(void **state)
{
    static const struct {
        const char *text;
        const char *after, *want; /* of UTC */
    } row[] = {
        { "0 2 * * *", "2026-11-29T02:00:00Z", "2026-11-30T02:00:00Z" },
        { "*/15 * * * *", "2026-11-29T02:00:00Z", "2026-11-29T02:15:00Z" },
        { "0 0 29 2 *", "2026-11-29", "2028-02-29" },
        { "0 0 13 * fri", "2026-11-29", "2026-12-04" },        /* either day */
        { "0 0 13 * *", "2026-11-29", "2026-12-13" },
        { "0 12 * jan-mar,DEC Mon", "2026-11-29", "2026-12-07T12:00:00Z" },
        { "5 4 * * 7", "2026-11-28", "2026-11-29T04:05:00Z" },
        { "5 4 * * fri-sun", "2026-11-23", "2026-11-27T04:05:00Z" },
        { "0 0 1 january *", "2026-11-23", "2027-01-01" },
        { "10-50/20 3 * * *", "2026-11-23T03:10:00Z", "2026-11-23T03:30:00Z" },
        { "40/10 3 * * *", "2026-11-23T03:40:00Z", "2026-11-23T03:50:00Z" },
        { "@hourly", "2026-11-23T03:40:00Z", "2026-11-23T04:00:00Z" },
        { "@weekly", "2026-11-23", "2026-11-29" },
        { "@yearly", "2026-11-23", "2027-01-01" },
        { "every 1 hour", "2026-11-23T03:40:00Z", "2026-11-23T04:00:00Z" },
        { "every hour", "2026-11-23T04:00:00Z", "2026-11-23T05:00:00Z" },
        { "every 15 minutes", "2026-11-23T03:40:01Z", "2026-11-23T03:45:00Z" },
        { "every 6 hours", "2026-11-23T03:40:01Z", "2026-11-23T06:00:00Z" },
        { "every 90 s", "2026-11-23T00:00:00Z", "2026-11-23T00:01:30Z" },
        { "every 2 days at 02:00", "2026-11-23T02:00:00Z", "2026-11-25T02:00:00Z" },
        { "every day", "2026-11-23T01:00:00Z", "2026-11-24" },
        { "02:00", "2026-11-23T03:40:01Z", "2026-11-24T02:00:00Z" },
        { "02:00,14:00", "2026-11-23T03:40:01Z", "2026-11-23T14:00:00Z" },
        { "02:00 14:30", "2026-11-23T03:40:01Z", "2026-11-23T14:30:00Z" },
        { "daily 9:05", "2026-11-23T03:40:01Z", "2026-11-23T09:05:00Z" },
        { "daily at 9:05", "2026-11-23T09:05:00Z", "2026-11-24T09:05:00Z" },
        { "mon-fri 08:30", "2026-11-27T08:30:00Z", "2026-11-30T08:30:00Z" },
        { "sat,sun 10:00", "2026-11-27T08:30:00Z", "2026-11-28T10:00:00Z" },
        { "  0  2 *   * * ", "2026-11-29T02:00:00Z", "2026-11-30T02:00:00Z" },
    };

    (void)state;
    for (size_t i = 0; i < TG_COUNT(row); i++) {
        struct tg_cron c;
        struct tg_error err = { 0 };
        int64_t after, want, at;

        if (tg_cron_parse(&c, row[i].text, &err) != TG_OK)
            fail_msg("'%s': %s", row[i].text, err.message);
        assert_true(tg_time_parse(row[i].after, &after) && tg_time_parse(row[i].want, &want));
        at = tg_cron_next(&c, &tg_zone_utc, after);
        if (at != want)
            fail_msg("'%s' behind %s: %lld, not %s", row[i].text, row[i].after, (long long)at,
                     row[i].want);
        assert_int_equal(tg_cron_previous(&c, &tg_zone_utc, want), want);
    }
}

static void what_is_no_schedule_is_refused(void **state)
{
    static const char *const text[] = {
        "", " ", "0", "0 2", "0 2 * *", "60 * * * *", "* 24 * * *", "* * 0 * *", "* * 32 * *",
        "* * * 13 *", "* * * * 8", "5-1 * * * *", "*/0 * * * *", "*/60 * * * *", "a * * * *",
        "1, * * * *", ",1 * * * *", "1-2-3 * * * *", "1/ * * * *", "-1 * * * *", "* * * foo *",
        "* * * marsh *", "0 0 30 2 *", "0 0 31 4,6,9,11 *", "@never", "every", "every 0 hours",
        "every 2 fortnights", "every -1 hours", "every 400 days", "every 3 hours at 02:00",
        "every 2 days 02:00", "every 2 days at", "24:00", "02:60", "2:5", "02:00,", "daily",
        "mon", "daily 02:00x", "1 2 3 4 5 6", "99999999999999999999 * * * *",
        "every 99999999999999999999 hours", "* * * * * * * * * *",
    };

    (void)state;
    for (size_t i = 0; i < TG_COUNT(text); i++) {
        struct tg_cron c;
        struct tg_error err = { 0 };

        if (tg_cron_parse(&c, text[i], &err) != TG_USAGE)
            fail_msg("'%s' was taken", text[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(local_times_are_found),
        cmocka_unit_test(instants_are_those_of_the_table),
        cmocka_unit_test(a_footer_goes_on_for_ever),
        cmocka_unit_test(what_is_no_zone_is_refused),
        cmocka_unit_test(texts_mean_what_they_say),
        cmocka_unit_test(what_is_no_schedule_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

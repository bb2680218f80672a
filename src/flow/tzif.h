/* SPDX-License-Identifier: MIT */
/*
 * tzif.h - a time zone: what the clocks on the wall show at an instant, and the other way round
 *
 *   bytes of a file of /usr/share/zoneinfo (TZif, RFC 8536) -> struct tg_zone
 *
 *   instant (Unix seconds) --- tg_zone_span ---> offset from UTC, and from when to when it holds
 *   local time             --- tg_zone_local --> no instant (clocks jumped over it), one, or two
 *
 * A local time is written as the Unix seconds that it would be in UTC: 1970-01-01 00:00 is 0 in
 * every zone. A span is a stretch of time in which the offset does not change; spans follow one
 * another without gaps. The last of the file's changes is followed by those of its footer, a rule
 * of POSIX such as "CET-1CEST,M3.5.0,M10.5.0/3", for ever.
 *
 * The file is checked as input of an enemy: whatever it holds, each call ends and stays in bounds.
 *
 * Threads: a zone is const once read      Limits: 2000 changes, 256 kinds; 64-bit data (version 2+)
 */
#ifndef TG_TZIF_H
#define TG_TZIF_H

#include "base/base.h"

enum {
    TG_ZONE_CHANGES = 2000,
    TG_ZONE_KINDS = 256,
    TG_ZONE_NAME = 16,         /* an abbreviation with its NUL */
    TG_ZONE_OFFSET_S = 26 * 3600, /* no offset is larger */
    TG_ZONE_FILE_MAX = 256 << 10, /* bytes of a file, with room to spare */
};

/* No instant that a schedule speaks of lies outside the years 1..9999. */
#define TG_ZONE_TIME_MIN INT64_C(-62135596800)
#define TG_ZONE_TIME_MAX INT64_C(253402300799)
/* Where a span has no beginning or end. */
#define TG_ZONE_NEVER (INT64_MAX / 4)

struct tg_zone_kind {
    int32_t offset_s; /* east of UTC */
    bool dst;
    char name[TG_ZONE_NAME];
};

/* When clocks change each year, in the footer. */
struct tg_zone_rule {
    char type;       /* 'J': day 1..365, never 29 February; 'D': day 0..365; 'M': month.week.day */
    int16_t day;     /* of J and D; of M the day of the week, 0 Sunday */
    int16_t month, week;
    int32_t time_s;  /* of the local time before the change; may be negative or beyond a day */
};

struct tg_zone {
    size_t n_changes, n_kinds;
    int64_t at[TG_ZONE_CHANGES];  /* ascending */
    uint8_t kind_of[TG_ZONE_CHANGES];
    struct tg_zone_kind kind[TG_ZONE_KINDS]; /* [0] also holds before the first change */
    bool has_footer, has_dst;
    struct tg_zone_kind standard, summer;
    struct tg_zone_rule to_summer, to_standard;
};

struct tg_zone_span {
    int64_t from_s, until_s; /* [from, until); -TG_ZONE_NEVER, TG_ZONE_NEVER: without bound */
    const struct tg_zone_kind *kind;
};

/** How many instants show a local time. */
enum tg_zone_fit { TG_ZONE_SKIPPED, TG_ZONE_ONCE, TG_ZONE_TWICE };

/** @return TG_DATA with what is wrong with the file */
tg_code tg_zone_read(struct tg_zone *z, const void *bytes, size_t n,
                     struct tg_error *err) TG_MUST_CHECK;

/** The zone that needs no file. */
extern const struct tg_zone tg_zone_utc;

/** @return the span that holds an instant. Neighbours may have the same offset. */
struct tg_zone_span tg_zone_span(const struct tg_zone *z, int64_t unix_s);

/**
 * The instants that show a local time: the first and the last one, which is the same if there is
 * one only; if there is none, both are the instant when the clocks jumped over it.
 */
enum tg_zone_fit tg_zone_local(const struct tg_zone *z, int64_t local_s, int64_t *ret_first,
                               int64_t *ret_last);

static inline int64_t tg_zone_wall(const struct tg_zone *z, int64_t unix_s)
{
    return unix_s + tg_zone_span(z, unix_s).kind->offset_s;
}

/* ---- the calendar ---- */

struct tg_date {
    int64_t year;
    int month, day; /* from 1 */
};

/** Days since 1970-01-01. */
int64_t tg_date_days(int64_t year, int month, int day);
struct tg_date tg_date_of(int64_t days);
/** 0 Sunday .. 6 Saturday */
int tg_date_weekday(int64_t days);

/** Quotient and rest, the rest never negative. */
static inline int64_t tg_floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

#endif

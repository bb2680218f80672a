/* SPDX-License-Identifier: MIT */
/*
 * tzif.c - see tzif.h
 *
 *   file = header, data of 32 bits (skipped), header, data of 64 bits, "\n" footer "\n"
 *   data = times of changes, kind after each, kinds (offset, is it summer, name), names, ...
 */
#include "flow/tzif.h"

enum { DAY_S = 86400, HEADER = 44 };

const struct tg_zone tg_zone_utc = { .n_kinds = 1, .kind = { { .name = "UTC" } } };

/* ---- the calendar ---- */

int64_t tg_date_days(int64_t year, int month, int day)
{
    int64_t y = year - (month <= 2), era = tg_floor_div(y, 400), of_era = y - era * 400;
    int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;

    return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

struct tg_date tg_date_of(int64_t days)
{
    int64_t shifted = days + 719468, era = tg_floor_div(shifted, 146097);
    int64_t of_era = shifted - era * 146097;
    int64_t y = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    int64_t of_year = of_era - (365 * y + y / 4 - y / 100), m = (5 * of_year + 2) / 153;
    int month = (int)(m < 10 ? m + 3 : m - 9);

    return (struct tg_date){ y + era * 400 + (month <= 2), month,
                             (int)(of_year - (153 * m + 2) / 5 + 1) };
}

int tg_date_weekday(int64_t days)
{
    return (int)(days + 4 - 7 * tg_floor_div(days + 4, 7));
}

static bool is_leap(int64_t year)
{
    return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

/* ---- the footer ---- */

/* A text being read; `bad` stays once something did not fit. */
struct scan {
    const char *at, *end;
    bool bad;
};

static bool take(struct scan *s, char c)
{
    if (s->at == s->end || *s->at != c)
        return false;
    s->at++;
    return true;
}

static int32_t number(struct scan *s, int32_t min, int32_t max)
{
    int32_t v = 0;
    const char *begin = s->at;

    for (; s->at < s->end && *s->at >= '0' && *s->at <= '9' && v <= max; s->at++)
        v = v * 10 + (*s->at - '0');
    s->bad = s->bad || s->at == begin || v < min || v > max;
    return s->bad ? min : v;
}

/* [+-]hh[:mm[:ss]] */
static int32_t clock_time(struct scan *s, int32_t hours_max)
{
    int32_t sign = take(s, '-') ? -1 : 1, v;

    if (sign > 0)
        take(s, '+');
    v = number(s, 0, hours_max) * 3600;
    if (take(s, ':'))
        v += number(s, 0, 59) * 60;
    if (take(s, ':'))
        v += number(s, 0, 59);
    return sign * v;
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_name(char c)
{
    return is_letter(c) || (c >= '0' && c <= '9') || c == '+' || c == '-';
}

static void zone_name(struct scan *s, char out[TG_ZONE_NAME])
{
    bool quoted = take(s, '<');
    size_t n = 0;

    for (; s->at < s->end && (quoted ? is_name(*s->at) : is_letter(*s->at)); s->at++)
        if (n < TG_ZONE_NAME - 1)
            out[n++] = *s->at;
    out[n] = 0;
    s->bad = s->bad || n < 3 || (quoted && !take(s, '>'));
}

static struct tg_zone_rule rule(struct scan *s)
{
    struct tg_zone_rule r = { .type = 'D', .time_s = 2 * 3600 };

    if (take(s, 'M')) {
        r.type = 'M';
        r.month = (int16_t)number(s, 1, 12);
        s->bad = s->bad || !take(s, '.');
        r.week = (int16_t)number(s, 1, 5);
        s->bad = s->bad || !take(s, '.');
        r.day = (int16_t)number(s, 0, 6);
    } else if (take(s, 'J')) {
        r.type = 'J';
        r.day = (int16_t)number(s, 1, 365);
    } else {
        r.day = (int16_t)number(s, 0, 365);
    }
    if (take(s, '/'))
        r.time_s = clock_time(s, 167);
    return r;
}

static bool read_footer(struct tg_zone *z, const char *text, size_t n)
{
    struct scan s = { text, text + n, false };

    if (n == 0)
        return true; /* the last change holds for ever */
    zone_name(&s, z->standard.name);
    z->standard.offset_s = -clock_time(&s, 25);
    if (s.at < s.end && !s.bad) {
        z->has_dst = true;
        zone_name(&s, z->summer.name);
        z->summer.dst = true;
        z->summer.offset_s = z->standard.offset_s + 3600;
        if (s.at < s.end && *s.at != ',')
            z->summer.offset_s = -clock_time(&s, 25);
        s.bad = s.bad || !take(&s, ',');
        z->to_summer = rule(&s);
        s.bad = s.bad || !take(&s, ',');
        z->to_standard = rule(&s);
    }
    z->has_footer = true;
    return !s.bad && s.at == s.end;
}

/* ---- the file ---- */

static uint32_t be32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static int64_t be64(const uint8_t *p)
{
    return (int64_t)((uint64_t)be32(p) << 32 | be32(p + 4));
}

/* What a header counts, and what its data takes. */
struct counts {
    uint32_t isut, isstd, leap, changes, kinds, letters;
    size_t bytes;
};

static bool read_header(const uint8_t *p, size_t n, unsigned width, struct counts *ret)
{
    uint32_t *count[] = { &ret->isut,    &ret->isstd, &ret->leap,
                          &ret->changes, &ret->kinds, &ret->letters };

    if (n < HEADER || memcmp(p, "TZif", 4) != 0)
        return false;
    for (size_t i = 0; i < TG_COUNT(count); i++) {
        *count[i] = be32(p + 20 + 4 * i);
        if (*count[i] > TG_ZONE_FILE_MAX)
            return false; /* more than a file may hold: sums cannot overflow either */
    }
    ret->bytes = (size_t)ret->changes * (width + 1) + (size_t)ret->kinds * 6 + ret->letters +
                 (size_t)ret->leap * (width + 4) + ret->isstd + ret->isut;
    return ret->bytes <= n - HEADER;
}

static bool read_kind(struct tg_zone_kind *k, const uint8_t *p, const char *letters, uint32_t n)
{
    int32_t offset_s = (int32_t)be32(p);
    size_t len;

    if (offset_s < -TG_ZONE_OFFSET_S || offset_s > TG_ZONE_OFFSET_S || p[4] > 1 || p[5] >= n)
        return false;
    len = strnlen(letters + p[5], n - p[5]);
    if (len >= TG_ZONE_NAME)
        return false;
    for (size_t i = 0; i < len; i++)
        if (!is_name(letters[p[5] + i]))
            return false; /* it is shown on terminals */
    k->offset_s = offset_s;
    k->dst = p[4];
    memcpy(k->name, letters + p[5], len);
    k->name[len] = 0;
    return true;
}

static const char *read_data(struct tg_zone *z, const uint8_t *p, const struct counts *c)
{
    const uint8_t *kind_of = p + (size_t)c->changes * 8, *kinds = kind_of + c->changes;
    const char *letters = (const char *)kinds + (size_t)c->kinds * 6;

    if (c->leap)
        return "it counts leap seconds";
    if (c->changes > TG_ZONE_CHANGES || c->kinds > TG_ZONE_KINDS || c->kinds == 0)
        return "it has too many changes";
    z->n_changes = c->changes;
    z->n_kinds = c->kinds;
    for (uint32_t i = 0; i < c->kinds; i++)
        if (!read_kind(&z->kind[i], kinds + 6 * i, letters, c->letters))
            return "a kind of time is malformed";
    for (uint32_t i = 0; i < c->changes; i++) {
        int64_t at = be64(p + 8 * i);

        if (kind_of[i] >= c->kinds || at < -TG_ZONE_NEVER || at > TG_ZONE_NEVER ||
            (i && at <= z->at[i - 1]))
            return "its changes are out of order";
        z->at[i] = at;
        z->kind_of[i] = kind_of[i];
    }
    return NULL;
}

static const char *read_file(struct tg_zone *z, const uint8_t *p, size_t n)
{
    struct counts old = { 0 }, c = { 0 };
    const char *wrong;
    const uint8_t *end;

    if (n > TG_ZONE_FILE_MAX || !read_header(p, n, 4, &old))
        return "it is no TZif file";
    if (p[4] < '2')
        return "it is of version 1, without times of 64 bits";
    p += HEADER + old.bytes;
    n -= HEADER + old.bytes;
    if (!read_header(p, n, 8, &c))
        return "it is cut short";
    wrong = read_data(z, p + HEADER, &c);
    if (wrong)
        return wrong;
    p += HEADER + c.bytes;
    n -= HEADER + c.bytes;
    if (n == 0 || *p != '\n' || !(end = memchr(p + 1, '\n', n - 1)))
        return "its footer is missing";
    if (!read_footer(z, (const char *)p + 1, (size_t)(end - p - 1)))
        return "its footer is malformed";
    return NULL;
}

tg_code tg_zone_read(struct tg_zone *z, const void *bytes, size_t n, struct tg_error *err)
{
    const char *wrong;

    *z = (struct tg_zone){ 0 };
    wrong = read_file(z, bytes, n);
    return wrong ? tg_fail(err, TG_DATA, "time zone data cannot be read: %s", wrong) : TG_OK;
}

/* ---- instants ---- */

static int64_t day_of_rule(const struct tg_zone_rule *r, int64_t year)
{
    int64_t first, day;

    if (r->type == 'D')
        return tg_date_days(year, 1, 1) + r->day;
    if (r->type == 'J')
        return tg_date_days(year, 1, 1) + r->day - 1 + (is_leap(year) && r->day >= 60);
    first = tg_date_days(year, r->month, 1);
    day = first + (r->day - tg_date_weekday(first) + 7) % 7 + 7 * (r->week - 1);
    if (tg_date_of(day).month != r->month)
        day -= 7; /* week 5 is the last one */
    return day;
}

/* The change of that year, as an instant. */
static int64_t change_of(const struct tg_zone *z, bool to_summer, int64_t year)
{
    const struct tg_zone_rule *r = to_summer ? &z->to_summer : &z->to_standard;
    const struct tg_zone_kind *before = to_summer ? &z->standard : &z->summer;

    return day_of_rule(r, year) * DAY_S + r->time_s - before->offset_s;
}

/* The span of an instant behind the last change of the file. */
static struct tg_zone_span span_of_footer(const struct tg_zone *z, int64_t unix_s, int64_t from_s)
{
    struct tg_zone_span span = { from_s, TG_ZONE_NEVER, &z->standard };
    int64_t year, newest = -TG_ZONE_NEVER;

    if (!z->has_dst || unix_s < TG_ZONE_TIME_MIN || unix_s > TG_ZONE_TIME_MAX)
        return span;
    year = tg_date_of(tg_floor_div(unix_s, DAY_S)).year;
    for (int64_t y = year - 1; y <= year + 1; y++) {
        for (int i = 0; i < 2; i++) { /* at one time: to standard, then to summer, which stays */
            int64_t at = change_of(z, i == 1, y);

            if (at <= unix_s && at >= newest) {
                newest = at;
                span.kind = i == 1 ? &z->summer : &z->standard;
            } else if (at > unix_s) {
                span.until_s = TG_MIN(span.until_s, at);
            }
        }
    }
    span.from_s = TG_MAX(from_s, newest);
    return span;
}

struct tg_zone_span tg_zone_span(const struct tg_zone *z, int64_t unix_s)
{
    size_t low = 0, high = z->n_changes;

    while (low < high) { /* low: how many changes lie at or before */
        size_t middle = (low + high) / 2;

        if (z->at[middle] <= unix_s)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == z->n_changes && z->has_footer)
        return span_of_footer(z, unix_s, low ? z->at[low - 1] : -TG_ZONE_NEVER);
    return (struct tg_zone_span){
        .from_s = low ? z->at[low - 1] : -TG_ZONE_NEVER,
        .until_s = low < z->n_changes ? z->at[low] : TG_ZONE_NEVER,
        .kind = &z->kind[low ? z->kind_of[low - 1] : 0],
    };
}

/* Clocks show at most TG_ZONE_OFFSET_S more or less than UTC, so that all instants that may show a
 * local time lie in one short window; its spans are gone through. */
enum tg_zone_fit tg_zone_local(const struct tg_zone *z, int64_t local_s, int64_t *ret_first,
                               int64_t *ret_last)
{
    struct tg_zone_span span = tg_zone_span(z, local_s - TG_ZONE_OFFSET_S - 1);
    int64_t jump = local_s, last_s = local_s + TG_ZONE_OFFSET_S + 1;
    bool found = false, jumped = false;

    for (;;) {
        int64_t at = local_s - span.kind->offset_s;

        if (at >= span.from_s && at < span.until_s) {
            if (!found)
                *ret_first = at;
            *ret_last = at;
            found = true;
        }
        if (span.until_s > last_s)
            break;
        if (!jumped && at >= span.until_s) {
            int64_t until_s = span.until_s;

            span = tg_zone_span(z, until_s);
            jumped = local_s - span.kind->offset_s < until_s;
            jump = jumped ? until_s : jump;
        } else {
            span = tg_zone_span(z, span.until_s);
        }
    }
    if (!found)
        *ret_first = *ret_last = jump;
    return !found ? TG_ZONE_SKIPPED : *ret_first == *ret_last ? TG_ZONE_ONCE : TG_ZONE_TWICE;
}

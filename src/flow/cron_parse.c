/* SPDX-License-Identifier: MIT */
/*
 * cron_parse.c - the texts of cron.h, read
 *
 * A text is cut into words at white space. What begins it tells which of the forms it is.
 */
#include <ctype.h>
#include <strings.h>

#include "base/text.h"
#include "flow/cron.h"

enum { WORDS_MAX = 8, PERIOD_MAX_S = 366 * 86400 };

struct words {
    char text[TG_CRON_TEXT];
    char *at[WORDS_MAX];
    size_t n;
};

/* A field of cron: its bounds and the names that stand for numbers. */
struct field {
    const char *name;
    int min, max;
    const char *words; /* of three letters each, the first means min */
};

enum { MINUTE, HOUR, OF_MONTH, MONTH, OF_WEEK, FIELDS };

static const struct field field[FIELDS] = {
    { "minute", 0, 59, "" },
    { "hour", 0, 23, "" },
    { "day of the month", 1, 31, "" },
    { "month", 1, 12, "janfebmaraprmayjunjulaugsepoctnovdec" },
    { "day of the week", 0, 7, "sunmontuewedthufrisat" },
};

static tg_code cut(struct words *w, const char *text, struct tg_error *err)
{
    if (strlen(text) >= sizeof w->text)
        return tg_fail(err, TG_USAGE, "a schedule has at most %d characters", TG_CRON_TEXT - 1);
    memcpy(w->text, text, strlen(text) + 1);
    w->n = 0;
    for (char *p = w->text; *p;) {
        if (*p == ' ' || *p == '\t') {
            *p++ = 0;
            continue;
        }
        if (w->n == WORDS_MAX)
            return tg_fail(err, TG_USAGE, "'%.64s' has too many words for a schedule", text);
        w->at[w->n++] = p;
        p += strcspn(p, " \t");
    }
    if (w->n == 0)
        return tg_fail(err, TG_USAGE, "the schedule is empty");
    return TG_OK;
}

/* A number or a name. @return what follows, or NULL */
static const char *value(const struct field *f, const char *p, int *ret)
{
    size_t n = 0;

    while (isalpha((unsigned char)p[n]))
        n++;
    if (n >= 3) {
        static const char *const rest[] = { "sunday", "monday", "tuesday", "wednesday", "thursday",
                                            "friday", "saturday", "january", "february", "march",
                                            "april", "may", "june", "july", "august", "september",
                                            "october", "november", "december" };

        for (int i = 0; f->words[3 * i]; i++) {
            if (strncasecmp(f->words + 3 * i, p, 3) != 0)
                continue;
            *ret = f->min + i;
            for (size_t k = 0; n > 3 && k < TG_COUNT(rest); k++)
                if (strlen(rest[k]) == n && strncasecmp(rest[k], p, n) == 0)
                    return p + n;
            return n == 3 ? p + n : NULL;
        }
        return NULL;
    }
    if (!isdigit((unsigned char)*p))
        return NULL;
    for (*ret = 0; isdigit((unsigned char)*p) && *ret <= 9999; p++)
        *ret = *ret * 10 + (*p - '0');
    return p;
}

/* One part of a list: star, A, A-B, each with an optional step. */
static const char *part(const struct field *f, const char *p, uint64_t *set)
{
    int from = f->min, to = f->max, step = 1;

    if (*p == '*') {
        p++;
        to = f->max - (f->max == 7); /* Sunday once */
    } else {
        p = value(f, p, &from);
        to = from;
        if (p && *p == '-')
            p = value(f, p + 1, &to);
        else if (p && *p == '/')
            to = f->max;
    }
    if (p && *p == '/')
        p = isdigit((unsigned char)p[1]) ? value(f, p + 1, &step) : NULL;
    if (p && f->max == 7 && to == 0 && from > 0)
        to = 7; /* fri-sun */
    if (!p || from < f->min || to > f->max || from > to || step < 1 || (step > f->max))
        return NULL;
    for (int i = from; i <= to; i += step)
        *set |= UINT64_C(1) << i;
    return p;
}

static tg_code read_field(const struct field *f, const char *text, uint64_t *ret,
                          struct tg_error *err)
{
    const char *p = text;

    *ret = 0;
    do {
        p = part(f, p, ret);
    } while (p && *p++ == ',');
    if (!p || p[-1]) {
        tg_fail(err, TG_USAGE, "'%.40s' is no %s of a schedule", text, f->name);
        return tg_hint(err, "it takes %d-%d%s, lists 1,3, ranges 1-5, steps */2", f->min, f->max,
                       f->words[0] ? " or names" : "");
    }
    return TG_OK;
}

static void every_day(struct tg_cron *c)
{
    *c = (struct tg_cron){ .every_days = 1, .month = 0x1ffe, .of_week = 0x7f,
                           .of_month = 0xfffffffe };
}

static void set_minute(struct tg_cron *c, int minute)
{
    c->minute[minute / 64] |= UINT64_C(1) << (minute % 64);
}

static uint8_t week_set(uint64_t set)
{
    return (uint8_t)((set | set >> 7) & 0x7f);
}

static tg_code read_fields(struct tg_cron *c, char *const *word, struct tg_error *err)
{
    uint64_t set[FIELDS];
    bool star[FIELDS];

    for (int i = 0; i < FIELDS; i++) {
        tg_code code = read_field(&field[i], word[i], &set[i], err);

        if (code != TG_OK)
            return code;
        star[i] = word[i][0] == '*';
    }
    every_day(c);
    for (int h = 0; h < 24; h++)
        for (int m = 0; m < 60 && set[HOUR] >> h & 1; m++)
            if (set[MINUTE] >> m & 1)
                set_minute(c, h * 60 + m);
    c->of_month = (uint32_t)set[OF_MONTH];
    c->month = (uint16_t)set[MONTH];
    c->of_week = week_set(set[OF_WEEK]);
    c->either = !star[OF_MONTH] && !star[OF_WEEK];
    c->follows = star[MINUTE] || star[HOUR];
    return TG_OK;
}

static tg_code read_macro(struct tg_cron *c, const char *word, struct tg_error *err)
{
    static const struct {
        const char *name, *field[FIELDS];
    } macro[] = {
        { "@hourly", { "0", "*", "*", "*", "*" } },  { "@daily", { "0", "0", "*", "*", "*" } },
        { "@midnight", { "0", "0", "*", "*", "*" } }, { "@weekly", { "0", "0", "*", "*", "0" } },
        { "@monthly", { "0", "0", "1", "*", "*" } }, { "@yearly", { "0", "0", "1", "1", "*" } },
        { "@annually", { "0", "0", "1", "1", "*" } },
    };
    char copy[FIELDS][4];
    char *words[FIELDS];

    for (size_t i = 0; i < TG_COUNT(macro); i++) {
        if (strcasecmp(macro[i].name, word) != 0)
            continue;
        for (int k = 0; k < FIELDS; k++)
            words[k] = memcpy(copy[k], macro[i].field[k], 2);
        return read_fields(c, words, err);
    }
    tg_fail(err, TG_USAGE, "there is no schedule '%.40s'", word);
    return tg_hint(err, "there are @hourly, @daily, @weekly, @monthly and @yearly");
}

const char *tg_cron_clock(const char *p, int *ret_minute)
{
    int part[2] = { 0, 0 };

    for (int i = 0; i < 2; i++) {
        int digits = 0;

        for (; isdigit((unsigned char)*p) && digits < 2; p++, digits++)
            part[i] = part[i] * 10 + (*p - '0');
        if (digits == 0 || (i == 1 && digits != 2) || (i == 0 && *p++ != ':'))
            return NULL;
    }
    if (part[0] > 23 || part[1] > 59)
        return NULL;
    *ret_minute = part[0] * 60 + part[1];
    return p;
}

static tg_code read_clocks(struct tg_cron *c, char *const *word, size_t n, struct tg_error *err)
{
    for (size_t i = 0; i < n; i++) {
        const char *p = word[i];
        int minute;

        while (*p) {
            const char *end = tg_cron_clock(p, &minute);

            if (!end || (*end && (*end != ',' || !end[1]))) {
                tg_fail(err, TG_USAGE, "'%.40s' is no time of day", p);
                return tg_hint(err, "it is written 02:00 or 14:30, lists 02:00,14:00");
            }
            set_minute(c, minute);
            p = end + (*end == ',');
        }
    }
    if (n == 0)
        return tg_fail(err, TG_USAGE, "the time of day is missing, such as 02:00");
    return TG_OK;
}

static int64_t unit_s(const char *word)
{
    static const struct {
        const char *name;
        int64_t s;
    } unit[] = {
        { "second", 1 }, { "sec", 1 },     { "s", 1 },     { "minute", 60 }, { "min", 60 },
        { "m", 60 },     { "hour", 3600 }, { "h", 3600 },  { "day", 86400 }, { "d", 86400 },
        { "week", 7 * 86400 },
    };
    size_t n = strlen(word);

    for (size_t i = 0; i < TG_COUNT(unit); i++) {
        size_t len = strlen(unit[i].name);

        if (strncasecmp(unit[i].name, word, len) == 0 &&
            (n == len || (len > 1 && n == len + 1 && (word[len] | 32) == 's')))
            return unit[i].s;
    }
    return 0;
}

/* every [N] UNIT [at HH:MM,...], every15m is not one */
static tg_code read_every(struct tg_cron *c, char *const *word, size_t n, struct tg_error *err)
{
    int64_t count = 1, unit, s;
    size_t i = n && tg_i64_parse(word[0], &count);

    unit = i < n ? unit_s(word[i]) : 0;
    if (unit == 0) {
        tg_fail(err, TG_USAGE, "'every%s%.40s' names no unit of time", i < n ? " " : "",
                i < n ? word[i] : "");
        return tg_hint(err, "write every 15 minutes, every 6 hours, every 2 days at 02:00");
    }
    if (count < 1 || count > PERIOD_MAX_S / unit)
        return tg_fail(err, TG_USAGE, "a schedule repeats after a second at least, a year at most");
    s = count * unit;
    i++;
    every_day(c);
    if (unit < 86400) {
        c->period_s = s;
        return i == n ? TG_OK
                      : tg_fail(err, TG_USAGE, "'%.40s' does not belong to a schedule of hours, "
                                "minutes or seconds", word[i]);
    }
    c->every_days = (int32_t)(s / 86400);
    if (i == n) {
        set_minute(c, 0);
        return TG_OK;
    }
    if (strcasecmp(word[i], "at") != 0)
        return tg_fail(err, TG_USAGE, "'at' is expected in the place of '%.40s'", word[i]);
    return read_clocks(c, word + i + 1, n - i - 1, err);
}

/* [daily | DAYS] HH:MM,... */
static tg_code read_daily(struct tg_cron *c, char *const *word, size_t n, struct tg_error *err)
{
    uint64_t days = 0x7f;
    tg_code code = TG_OK;

    if (!isdigit((unsigned char)word[0][0])) {
        if (strcasecmp(word[0], "daily") != 0)
            code = read_field(&field[OF_WEEK], word[0], &days, err);
        word++, n--;
    }
    if (code != TG_OK)
        return code;
    every_day(c);
    c->of_week = week_set(days);
    if (n && strcasecmp(word[0], "at") == 0)
        word++, n--;
    return read_clocks(c, word, n, err);
}

static tg_code read_words(struct tg_cron *c, const struct words *w, struct tg_error *err)
{
    const char *first = w->at[0];
    bool clock = isdigit((unsigned char)first[0]) && strchr(first, ':');
    uint64_t set;

    if (first[0] == '@' && w->n == 1)
        return read_macro(c, first, err);
    if (strcasecmp(first, "every") == 0)
        return read_every(c, w->at + 1, w->n - 1, err);
    if (clock || strcasecmp(first, "daily") == 0 ||
        (isalpha((unsigned char)first[0]) && w->n > 1 && w->n < FIELDS &&
         read_field(&field[OF_WEEK], first, &set, err) == TG_OK))
        return read_daily(c, w->at, w->n, err);
    if (w->n == FIELDS)
        return read_fields(c, w->at, err);
    tg_fail(err, TG_USAGE, "'%.64s%s' is no schedule", first, w->n > 1 ? " ..." : "");
    return tg_hint(err, "write '0 2 * * *', 'every 1 hour', '02:00,14:00' or 'mon-fri 08:30'");
}

tg_code tg_cron_parse(struct tg_cron *c, const char *text, struct tg_error *err)
{
    struct words w;
    tg_code code = cut(&w, text, err);

    if (code == TG_OK)
        code = read_words(c, &w, err);
    if (code != TG_OK)
        return code;
    if (tg_cron_next(c, &tg_zone_utc, 0) == TG_ZONE_NEVER)
        return tg_fail(err, TG_USAGE, "'%.64s' never comes: no year has such a day", text);
    return TG_OK;
}

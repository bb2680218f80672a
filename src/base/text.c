/* SPDX-License-Identifier: MIT */
/*
 * text.c - see text.h
 *
 * Dates use the proleptic Gregorian calendar counted in days from 0000-03-01, so that the leap day
 * is the last of its year and no month table is needed.
 */
#include "base/text.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* The digits of four bytes, the first in the lowest byte: the halves are spread, one to a byte, and
 * those above 9 moved on to the letters. */
static inline uint64_t eight_hex(uint32_t bytes)
{
    uint64_t x = bytes, letter;

    x = (x | x << 16) & UINT64_C(0x0000ffff0000ffff);
    x = (x | x << 8) & UINT64_C(0x00ff00ff00ff00ff);
    x = (x >> 4 | x << 8) & UINT64_C(0x0f0f0f0f0f0f0f0f);
    letter = (x + UINT64_C(0x0606060606060606)) >> 4 & UINT64_C(0x0101010101010101);
    return x + UINT64_C(0x3030303030303030) + letter * ('a' - '0' - 10);
}

void tg_hex(char *out, const void *bytes, size_t n)
{
    const uint8_t *b = bytes;

    for (; n >= 4; n -= 4, b += 4, out += 8)
        tg_put_le64(out, eight_hex(tg_le32(b)));
    for (; n; n--, b++, out += 2) {
        uint8_t digits[8];

        tg_put_le64(digits, eight_hex(*b));
        memcpy(out, digits, 2);
    }
    *out = 0;
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

bool tg_unhex(void *out, size_t n, const char *hex, size_t hex_len)
{
    uint8_t *b = out;

    if (hex_len / 2 != n || hex_len % 2)
        return false;
    for (size_t i = 0; i < n; i++) {
        int high = hex_value(hex[2 * i]), low = hex_value(hex[2 * i + 1]);

        if (high < 0 || low < 0)
            return false;
        b[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

static const char base64_digit[2][65] = {
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/",
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_",
};

void tg_base64(struct tg_buf *out, const void *bytes, size_t n, bool url)
{
    const uint8_t *b = bytes;
    const char *digit = base64_digit[url];

    for (size_t i = 0; i < n; i += 3) {
        size_t left = TG_MIN(n - i, (size_t)3);
        uint32_t v = (uint32_t)b[i] << 16;

        if (left > 1)
            v |= (uint32_t)b[i + 1] << 8;
        if (left > 2)
            v |= b[i + 2];
        for (size_t k = 0; k < 4; k++) {
            if (k <= left)
                tg_buf_byte(out, (uint8_t)digit[v >> (18 - 6 * k) & 63]);
            else if (!url)
                tg_buf_byte(out, '=');
        }
    }
}

static int base64_value(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    if (c == '+' || c == '-')
        return 62;
    return c == '/' || c == '_' ? 63 : -1;
}

bool tg_unbase64(struct tg_buf *out, const char *text, size_t len)
{
    uint32_t v = 0;
    unsigned bits = 0;

    for (int pad = 0; pad < 2 && len && text[len - 1] == '='; pad++)
        len--;
    if (len % 4 == 1)
        return false;
    for (size_t i = 0; i < len; i++) {
        int digit = base64_value(text[i]);

        if (digit < 0)
            return false;
        v = v << 6 | (uint32_t)digit;
        bits += 6;
        if (bits >= 8) {
            bits -= 8;
            tg_buf_byte(out, (uint8_t)(v >> bits));
        }
    }
    return !out->failed;
}

/* Days from 1970-01-01 to a civil date; months count from March. */
static int64_t days_of(int64_t year, int month, int day)
{
    int64_t y = month <= 2 ? year - 1 : year;
    int64_t era = (y >= 0 ? y : y - 399) / 400;
    int64_t of_era = y - era * 400;
    int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;

    return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

/* The other way, for years 1..9999; in 32 bits, as every row has a date. */
static void civil_of(int64_t days, uint32_t *year, uint32_t *month, uint32_t *day)
{
    uint32_t z = (uint32_t)(days + 719468), era = z / 146097, of_era = z - era * 146097;
    uint32_t y = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    uint32_t of_year = of_era - (365 * y + y / 4 - y / 100);
    uint32_t m = (5 * of_year + 2) / 153;

    *day = of_year - (153 * m + 2) / 5 + 1;
    *month = m < 10 ? m + 3 : m - 9;
    *year = y + era * 400 + (*month <= 2);
}

static void put_pair(char *out, uint32_t v)
{
    memcpy(out, tg_digit_pair + 2 * v, 2);
}

bool tg_time_utc(char out[21], int64_t unix_s)
{
    int64_t days = unix_s / 86400, rest = unix_s % 86400;
    uint32_t year, month, day, second;

    if (rest < 0) {
        rest += 86400;
        days--;
    }
    second = (uint32_t)rest;
    if (days < -719162 || days > 2932896) /* 0001-01-01 .. 9999-12-31 */
        return false;
    civil_of(days, &year, &month, &day);
    memcpy(out, "0000-00-00T00:00:00Z", 21);
    put_pair(out, year / 100);
    put_pair(out + 2, year % 100);
    put_pair(out + 5, month);
    put_pair(out + 8, day);
    put_pair(out + 11, second / 3600);
    put_pair(out + 14, second / 60 % 60);
    put_pair(out + 17, second % 60);
    return true;
}

/* Reads exactly n digits and moves on. @return -1 if they are not there */
static int take_digits(const char **at, int n)
{
    int v = 0;

    for (int i = 0; i < n; i++, (*at)++) {
        if (**at < '0' || **at > '9')
            return -1;
        v = v * 10 + (**at - '0');
    }
    return v;
}

/* Reads "", "Z", "+02:00" or "-0530" to the end of the text, as seconds east of UTC. */
static bool take_offset(const char *at, int *ret_s)
{
    int sign = *at == '-' ? -1 : 1, hour, minute;

    *ret_s = 0;
    if (*at == 0 || (*at == 'Z' && at[1] == 0))
        return true;
    if (*at != '+' && *at != '-')
        return false;
    at++;
    hour = take_digits(&at, 2);
    at += *at == ':';
    minute = take_digits(&at, 2);
    if (hour < 0 || hour > 15 || minute < 0 || minute > 59 || *at)
        return false;
    *ret_s = sign * (hour * 3600 + minute * 60);
    return true;
}

static bool take_clock(const char **at, int *ret_s)
{
    int hour = take_digits(at, 2), minute, second = 0;

    if (*(*at)++ != ':')
        return false;
    minute = take_digits(at, 2);
    if (minute >= 0 && **at == ':') {
        ++*at;
        second = take_digits(at, 2);
    }
    if (hour < 0 || hour > 23 || minute < 0 || minute > 59 || second < 0 || second > 59)
        return false;
    *ret_s = hour * 3600 + minute * 60 + second;
    return true;
}

bool tg_time_parse(const char *text, int64_t *ret_unix_s)
{
    const char *at = text;
    int year, month, day, clock_s = 0, offset_s = 0;
    uint32_t y, m, d;
    int64_t days;

    if (*at == '@')
        return tg_i64_parse(at + 1, ret_unix_s);
    year = take_digits(&at, 4);
    if (year < 1 || *at++ != '-')
        return false;
    month = take_digits(&at, 2);
    if (month < 1 || month > 12 || *at++ != '-')
        return false;
    day = take_digits(&at, 2);
    if (day < 1 || day > 31)
        return false;
    days = days_of(year, month, day);
    civil_of(days, &y, &m, &d); /* 31 April does not come back as itself */
    if (m != (uint32_t)month || d != (uint32_t)day)
        return false;
    if (*at == 'T' || *at == ' ') {
        at++;
        if (!take_clock(&at, &clock_s))
            return false;
    }
    if (!take_offset(at, &offset_s))
        return false;
    *ret_unix_s = days * 86400 + clock_s - offset_s;
    return true;
}

bool tg_i64_parse(const char *text, int64_t *ret)
{
    char *end;
    long long v;

    if (*text != '-' && (*text < '0' || *text > '9'))
        return false;
    errno = 0;
    v = strtoll(text, &end, 10);
    if (errno || *end || end == text || (*text == '-' && end == text + 1))
        return false;
    *ret = v;
    return true;
}

bool tg_str_i64(struct tg_str s, int64_t *ret)
{
    char text[24];

    if (s.len >= sizeof text || (s.len && memchr(s.at, 0, s.len)))
        return false;
    if (s.len)
        memcpy(text, s.at, s.len);
    text[s.len] = 0;
    return tg_i64_parse(text, ret);
}

struct unit {
    const char *name;
    int64_t factor;
};

/* Reads digits and one of the units; nothing else may follow. */
static bool parse_unit(const char *text, const struct unit *unit, size_t n, int64_t *ret)
{
    char *end;
    long long v;

    if (*text < '0' || *text > '9')
        return false;
    errno = 0;
    v = strtoll(text, &end, 10);
    if (errno)
        return false;
    for (size_t i = 0; i < n; i++)
        if (strcmp(end, unit[i].name) == 0)
            return !__builtin_mul_overflow((int64_t)v, unit[i].factor, ret);
    return false;
}

bool tg_percent_parse(const char *text, int64_t *ret_ppm)
{
    int64_t v = 0, unit = 10000;

    if (*text < '0' || *text > '9')
        return false;
    for (; *text >= '0' && *text <= '9' && v <= INT32_MAX; text++)
        v = 10 * v + (*text - '0');
    v *= unit;
    if (*text == '.') {
        if (text[1] < '0' || text[1] > '9')
            return false;
        for (text++; *text >= '0' && *text <= '9' && unit > 1; text++)
            v += (*text - '0') * (unit /= 10);
    }
    text += *text == '%';
    if (*text)
        return false;
    *ret_ppm = v;
    return true;
}

bool tg_size_parse(const char *text, int64_t *ret)
{
    static const struct unit unit[] = {
        { "", 1 },
        { "B", 1 },
        { "KiB", INT64_C(1) << 10 },
        { "MiB", INT64_C(1) << 20 },
        { "GiB", INT64_C(1) << 30 },
        { "TiB", INT64_C(1) << 40 },
        { "kB", 1000 },
        { "MB", 1000000 },
        { "GB", 1000000000 },
    };
    int64_t v;

    if (!parse_unit(text, unit, TG_COUNT(unit), &v))
        return false;
    *ret = v;
    return true;
}

void tg_text_wipe(char *text)
{
    if (text)
        explicit_bzero(text, strlen(text));
    free(text);
}

int64_t tg_name_count(const char *text, char *name, size_t room)
{
    const char *is = strchr(text, '=');
    size_t len = is ? (size_t)(is - text) : strlen(text);
    int64_t n = 1;

    if (!len || len >= room || (is && (!tg_i64_parse(is + 1, &n) || n < 1 || n > 1000000)))
        return 0;
    memcpy(name, text, len);
    name[len] = 0;
    return n;
}

bool tg_duration_parse(const char *text, int64_t *ret_ms)
{
    static const struct unit unit[] = {
        { "", 1000 },    { "ms", 1 },      { "s", 1000 },
        { "m", 60000 }, { "h", 3600000 }, { "d", 86400000 },
    };
    int64_t v;

    if (!parse_unit(text, unit, TG_COUNT(unit), &v))
        return false;
    *ret_ms = v;
    return true;
}

enum { PATH_SHOWN = 8, HOST_SHOWN = 80 };

const char *tg_url_shown(const char *url, char out[TG_URL_SHOWN])
{
    const char *at = strstr(url, "://"), *path, *login;
    size_t host, begin;

    at = at ? at + 3 : url;
    path = at + strcspn(at, "/?#");
    login = memrchr(at, '@', (size_t)(path - at));
    host = (size_t)(path - (login ? login + 1 : at));
    begin = strcspn(path, "?#");
    snprintf(out, TG_URL_SHOWN, "%.*s%.*s%.*s%s", (int)TG_MIN(at - url, 8), url,
             (int)TG_MIN(host, (size_t)HOST_SHOWN), path - host,
             (int)TG_MIN(begin, (size_t)PATH_SHOWN), path, strlen(path) > PATH_SHOWN ||
             begin < strlen(path) ? "..." : "");
    return out;
}

bool tg_url_is_http(const char *url)
{
    size_t scheme = strncmp(url, "https://", 8) == 0 ? 8 : strncmp(url, "http://", 7) ? 0 : 7;

    return scheme && strcspn(url + scheme, "/?#") && !strpbrk(url, " \t\r\n");
}

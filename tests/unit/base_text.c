/* SPDX-License-Identifier: MIT */
/*
 * base_text.c - hex, base64, dates, numbers with units, UTF-8
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <time.h>

#include "base/text.h"

static void hex_goes_both_ways(void **state)
{
    static const struct {
        const char *text;
        bool good;
    } row[] = { { "00ff7A", true }, { "00ff7", false }, { "00ff7a0", false }, { "00fg7a", false },
                { "00ff7a00", false } };
    static const uint8_t all[] = { 0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef, 0x9a };
    uint8_t bytes[3];
    char text[19];

    (void)state;
    for (size_t i = 0; i < TG_COUNT(row); i++)
        assert_int_equal(tg_unhex(bytes, 3, row[i].text, strlen(row[i].text)), row[i].good);
    assert_true(tg_unhex(bytes, 3, "00ff7A", 6));
    tg_hex(text, bytes, 3);
    assert_string_equal(text, "00ff7a");
    tg_hex(text, all, sizeof all);
    assert_string_equal(text, "0123456789abcdef9a");
}

/* Of any length, in blocks or not; nothing behind the NUL is touched. */
static void hex_of_every_byte(void **state)
{
    uint8_t all[256];
    char text[2 * sizeof all + 2], want[2 * sizeof all + 1];

    (void)state;
    for (size_t i = 0; i < sizeof all; i++) {
        all[i] = (uint8_t)(i * 37);
        snprintf(want + 2 * i, 3, "%02x", all[i]);
    }
    for (size_t from = 0; from < sizeof all; from++) {
        size_t n = (sizeof all - from) % 67;

        memset(text, '!', sizeof text);
        tg_hex(text, all + from, n);
        assert_memory_equal(text, want + 2 * from, 2 * n);
        assert_int_equal(text[2 * n], 0);
        assert_int_equal(text[2 * n + 1], '!');
    }
}

static void base64_as_in_rfc_4648(void **state)
{
    static const struct {
        const char *plain, *coded, *url;
    } row[] = {
        { "", "", "" },
        { "f", "Zg==", "Zg" },
        { "fo", "Zm8=", "Zm8" },
        { "foo", "Zm9v", "Zm9v" },
        { "foob", "Zm9vYg==", "Zm9vYg" },
        { "fooba", "Zm9vYmE=", "Zm9vYmE" },
        { "foobar", "Zm9vYmFy", "Zm9vYmFy" },
        { "\xfb\xff", "+/8=", "-_8" },
    };
    static const char *const bad[] = { "A", "A===", "Zg=a", "Zm9v Yg", "Zm9vY", "====" };
    struct tg_buf out;

    (void)state;
    tg_buf_init(&out, 100);
    for (size_t i = 0; i < TG_COUNT(row); i++) {
        for (int url = 0; url < 2; url++) {
            const char *want = url ? row[i].url : row[i].coded;

            tg_buf_clear(&out);
            tg_base64(&out, row[i].plain, strlen(row[i].plain), url);
            assert_string_equal(tg_buf_cstr(&out), want);
            tg_buf_clear(&out);
            assert_true(tg_unbase64(&out, want, strlen(want)));
            assert_string_equal(tg_buf_cstr(&out), row[i].plain);
        }
    }
    for (size_t i = 0; i < TG_COUNT(bad); i++)
        assert_false(tg_unbase64(&out, bad[i], strlen(bad[i])));
    tg_buf_done(&out);
}

static void dates_are_read(void **state)
{
    static const struct {
        const char *text;
        int64_t want;
    } row[] = {
        { "1970-01-01", 0 },
        { "2024-01-15", 1705276800 },
        { "2024-01-15T10:30:00Z", 1705314600 },
        { "2024-01-15 10:30", 1705314600 },
        { "2024-01-15T10:30:05", 1705314605 },
        { "2024-01-15T12:30:00+02:00", 1705314600 },
        { "2024-01-15T05:00:00-0530", 1705314600 },
        { "2000-02-29", 951782400 },
        { "1969-12-31T23:59:59Z", -1 },
        { "0001-01-01", INT64_C(-62135596800) },
        { "9999-12-31T23:59:59Z", INT64_C(253402300799) },
        { "@1705314600", 1705314600 },
        { "@-5", -5 },
    };
    static const char *const bad[] = {
        "",           "2024",           "2024-01",          "2024-1-15",        "2024-13-01",
        "2024-00-01", "2024-01-00",     "2024-04-31",       "1900-02-29",       "2023-02-29",
        "24-01-15",   "2024-01-15T",    "2024-01-15T24:00", "2024-01-15T10:60", "2024-01-15T10",
        "@",          "@1x",            "2024-01-15x",      "2024-01-15T10:30:60Z",
        "0000-01-01", "2024-01-15T10:30:00ZZ", "2024-01-15T10:30:00+2", " 2024-01-15",
    };
    int64_t got = 77;

    (void)state;
    for (size_t i = 0; i < TG_COUNT(row); i++) {
        assert_true(tg_time_parse(row[i].text, &got));
        if (got != row[i].want)
            fail_msg("%s gives %lld", row[i].text, (long long)got);
    }
    got = 77;
    for (size_t i = 0; i < TG_COUNT(bad); i++)
        if (tg_time_parse(bad[i], &got) || got != 77)
            fail_msg("'%s' is taken", bad[i]);
}

static void dates_are_written_as_the_c_library_does(void **state)
{
    int64_t last = 253402300799, step = 7654321 * INT64_C(13);
    char got[21], want[80];

    (void)state;
    for (int64_t t = -62135596800; t <= last; t += step) {
        time_t at = (time_t)t;
        struct tm tm;
        int64_t again;

        assert_true(tg_time_utc(got, t));
        gmtime_r(&at, &tm);
        snprintf(want, sizeof want, "%04d-%02d-%02dT%02d:%02d:%02dZ", tm.tm_year + 1900,
                 tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);
        assert_string_equal(got, want);
        assert_true(tg_time_parse(got, &again));
        assert_int_equal(again, t);
    }
    assert_true(tg_time_utc(got, last));
    assert_string_equal(got, "9999-12-31T23:59:59Z");
    assert_false(tg_time_utc(got, last + 1));
    assert_false(tg_time_utc(got, INT64_C(-62135596801)));
    assert_false(tg_time_utc(got, INT64_MIN));
    assert_false(tg_time_utc(got, INT64_MAX));
}

static void numbers_fill_the_whole_text(void **state)
{
    static const struct {
        bool (*parse)(const char *text, int64_t *ret);
        const char *text;
        bool good;
        int64_t want;
    } row[] = {
        { tg_i64_parse, "0", true, 0 },
        { tg_i64_parse, "-9223372036854775808", true, INT64_MIN },
        { tg_i64_parse, "9223372036854775807", true, INT64_MAX },
        { tg_i64_parse, "9223372036854775808", false, 0 },
        { tg_i64_parse, "", false, 0 },
        { tg_i64_parse, "-", false, 0 },
        { tg_i64_parse, "- 1", false, 0 },
        { tg_i64_parse, "+1", false, 0 },
        { tg_i64_parse, " 1", false, 0 },
        { tg_i64_parse, "1.0", false, 0 },
        { tg_i64_parse, "0x10", false, 0 },
        { tg_size_parse, "512", true, 512 },
        { tg_size_parse, "512B", true, 512 },
        { tg_size_parse, "64KiB", true, 65536 },
        { tg_size_parse, "10MB", true, 10000000 },
        { tg_size_parse, "2GiB", true, INT64_C(2147483648) },
        { tg_size_parse, "8388608TiB", false, 0 },
        { tg_size_parse, "1K", false, 0 },
        { tg_size_parse, "-1", false, 0 },
        { tg_size_parse, "MiB", false, 0 },
        { tg_duration_parse, "250ms", true, 250 },
        { tg_duration_parse, "30s", true, 30000 },
        { tg_duration_parse, "30", true, 30000 },
        { tg_duration_parse, "5m", true, 300000 },
        { tg_duration_parse, "2h", true, 7200000 },
        { tg_duration_parse, "1d", true, 86400000 },
        { tg_duration_parse, "1w", false, 0 },
        { tg_duration_parse, "9223372036854775807s", false, 0 },
        { tg_duration_parse, "1.5s", false, 0 },
    };

    (void)state;
    for (size_t i = 0; i < TG_COUNT(row); i++) {
        int64_t got = 77;
        bool good = row[i].parse(row[i].text, &got);

        if (good != row[i].good || (good && got != row[i].want))
            fail_msg("'%s' gives %lld", row[i].text, (long long)got);
    }
}

static void utf8_is_told_from_other_bytes(void **state)
{
    static const struct {
        const char *text;
        bool good;
    } row[] = {
        { "", true },
        { "plain", true },
        { "\xc2\x80 \xdf\xbf", true },
        { "\xe0\xa0\x80 \xed\x9f\xbf \xee\x80\x80 \xef\xbf\xbf", true },
        { "\xf0\x90\x80\x80 \xf4\x8f\xbf\xbf", true },
        { "\x80", false },
        { "\xc0\x80", false },         /* NUL in two bytes */
        { "\xc1\xbf", false },
        { "\xc3", false },
        { "\xe0\x9f\xbf", false },     /* too long */
        { "\xed\xa0\x80", false },     /* half a surrogate pair */
        { "\xf0\x8f\xbf\xbf", false },
        { "\xf4\x90\x80\x80", false }, /* above U+10FFFF */
        { "\xf5\x80\x80\x80", false },
        { "\xe2\x82", false },
        { "\xe2\x28\xa1", false },
        { "\xff", false },
    };

    (void)state;
    for (size_t i = 0; i < TG_COUNT(row); i++)
        assert_int_equal(tg_utf8_valid(row[i].text, strlen(row[i].text)), row[i].good);
}

/* One byte after the other, as the standard's table 3-7 has it. */
static bool well_formed(const uint8_t *s, size_t n)
{
    static const struct {
        uint8_t first[2], second[2];
        size_t len;
    } row[] = {
        { { 0x00, 0x7f }, { 0, 0 }, 1 },       { { 0xc2, 0xdf }, { 0x80, 0xbf }, 2 },
        { { 0xe0, 0xe0 }, { 0xa0, 0xbf }, 3 }, { { 0xe1, 0xec }, { 0x80, 0xbf }, 3 },
        { { 0xed, 0xed }, { 0x80, 0x9f }, 3 }, { { 0xee, 0xef }, { 0x80, 0xbf }, 3 },
        { { 0xf0, 0xf0 }, { 0x90, 0xbf }, 4 }, { { 0xf1, 0xf3 }, { 0x80, 0xbf }, 4 },
        { { 0xf4, 0xf4 }, { 0x80, 0x8f }, 4 },
    };

    for (size_t i = 0; i < n;) {
        size_t k = 0;

        while (k < TG_COUNT(row) && (s[i] < row[k].first[0] || s[i] > row[k].first[1]))
            k++;
        if (k == TG_COUNT(row) || row[k].len > n - i)
            return false;
        for (size_t j = 1; j < row[k].len; j++)
            if (s[i + j] < (j == 1 ? row[k].second[0] : 0x80) ||
                s[i + j] > (j == 1 ? row[k].second[1] : 0xbf))
                return false;
        i += row[k].len;
    }
    return true;
}

/* @return bytes before the first that starts no character or needs an escape in JSON */
static size_t plain(const uint8_t *s, size_t n)
{
    size_t i = 0, len = 1;

    for (; i < n && s[i] >= 0x20 && s[i] != '"' && s[i] != '\\'; i += len) {
        for (len = 1; len <= 4 && len <= n - i && !well_formed(s + i, len); len++)
            continue;
        if (len > 4 || len > n - i)
            break;
    }
    return i;
}

/* Each pair and many triples of bytes, behind and before text of each length and kind. */
static void utf8_blocks_judge_as_single_bytes_do(void **state)
{
    static const char *const filler[] = { "abcdefgh", "\xd0\xb4\xd0\xb4\xd0\xb4\xd0\xb4",
                                          "\xe2\x82\xac\xe2\x82\xac  ",
                                          "\xf0\x9f\x98\x80\xf0\x9f\x98\x80" };
    static const uint8_t third[] = { 'a', 0x80, 0xbf, 0xc3, 0xe2, 0xf0 };
    uint8_t text[64], copy[64 + 16];

    (void)state;
    for (size_t round = 0; round < 65536 * TG_COUNT(third); round++) {
        size_t before = round * 7 % 41, n = before + 3 + round % 19;
        const char *fill = filler[round % TG_COUNT(filler)];

        for (size_t i = 0; i < n; i++)
            text[i] = (uint8_t)fill[i % 8];
        text[before] = (uint8_t)(round / TG_COUNT(third) >> 8);
        text[before + 1] = (uint8_t)(round / TG_COUNT(third));
        text[before + 2] = third[round % TG_COUNT(third)];
        if (tg_utf8_valid(text, n) != well_formed(text, n))
            fail_msg("round %zu: %d", round, tg_utf8_valid(text, n));
        if (tg_utf8_copy(copy, text, n) != plain(text, n) || memcmp(copy, text, plain(text, n)))
            fail_msg("round %zu: %zu are copied", round, tg_utf8_copy(copy, text, n));
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(hex_goes_both_ways),
        cmocka_unit_test(hex_of_every_byte),
        cmocka_unit_test(base64_as_in_rfc_4648),
        cmocka_unit_test(dates_are_read),
        cmocka_unit_test(dates_are_written_as_the_c_library_does),
        cmocka_unit_test(numbers_fill_the_whole_text),
        cmocka_unit_test(utf8_is_told_from_other_bytes),
        cmocka_unit_test(utf8_blocks_judge_as_single_bytes_do),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
/*
 * base_json.c - JSON written and read: escapes, broken text, numbers, levels, strictness
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/json.h"
#include "base/json_read.h"

static void text_is_quoted(void **state)
{
    static const struct {
        const char *text;
        size_t len;
        const char *want;
    } row[] = {
        { "", 0, "\"\"" },
        { "a\"b\\c/d", 7, "\"a\\\"b\\\\c/d\"" },
        { "\b\f\n\r\t\x01\x1f\x7f", 8, "\"\\b\\f\\n\\r\\t\\u0001\\u001f\x7f\"" },
        { "a\0b", 3, "\"a\\u0000b\"" },
        { "\xd0\x9f\xd1\x80\xd0\xb8 \xe4\xbd\xa0\xe5\xa5\xbd \xf0\x9f\x98\x80", 18,
          "\"\xd0\x9f\xd1\x80\xd0\xb8 \xe4\xbd\xa0\xe5\xa5\xbd \xf0\x9f\x98\x80\"" },
        { "\xff", 1, "\"\xef\xbf\xbd\"" },
        { "a\xc3", 2, "\"a\xef\xbf\xbd\"" },
        { "\xed\xa0\x80", 3, "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"" },
        { "\xf0\x9f\x98", 3, "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"" },
        { "fifteen bytes..\"and more than sixteen", 37,
          "\"fifteen bytes..\\\"and more than sixteen\"" },
    };
    struct tg_buf out;

    (void)state;
    tg_buf_init(&out, 1000);
    for (size_t i = 0; i < TG_COUNT(row); i++) {
        tg_buf_clear(&out);
        tg_json_quote(&out, row[i].text, row[i].len);
        assert_string_equal(tg_buf_cstr(&out), row[i].want);
    }
    tg_buf_done(&out);
}

/* All texts of some bytes that matter, at all offsets of the sixteen-byte steps. */
static void any_bytes_make_valid_json(void **state)
{
    static const uint8_t byte[] = { 'a', '"', '\\', 0, 0x1f, 0x80, 0xbf, 0xc3, 0xe2, 0xed,
                                    0xa0, 0xf0, 0x9f, 0xf4, 0xff };
    uint64_t random = 1;
    struct tg_buf out;

    (void)state;
    tg_buf_init(&out, 1000);
    for (int round = 0; round < 20000; round++) {
        char text[48];
        size_t n = (size_t)round % sizeof text;
        struct tg_json_in in;

        for (size_t i = 0; i < n; i++) {
            random = random * UINT64_C(6364136223846793005) + 1442695040888963407;
            text[i] = (char)(random >> 40 & 1 ? 'x' : byte[(random >> 33) % sizeof byte]);
        }
        tg_buf_clear(&out);
        tg_json_quote(&out, text, n);
        assert_false(out.failed);
        assert_true(tg_utf8_valid(out.data, out.len));
        tg_json_in_init(&in, (const char *)out.data, out.len);
        tg_json_skip(&in);
        assert_true(tg_json_in_done(&in));
        if (tg_utf8_valid(text, n)) { /* then it comes back as it was */
            struct tg_buf back;

            tg_buf_init(&back, 1000);
            tg_json_in_init(&in, (const char *)out.data, out.len);
            tg_json_take_str(&in, &back);
            assert_int_equal(back.len, n);
            if (n)
                assert_memory_equal(back.data, text, n);
            tg_buf_done(&back);
        }
    }
    tg_buf_done(&out);
}

static void a_cap_that_is_too_small_only_fails(void **state)
{
    (void)state;
    for (size_t max = 1; max < 100; max++) {
        struct tg_buf out;

        tg_buf_init(&out, max);
        tg_json_quote(&out, "\x01\x01\x01\x01\x01\x01", 6);
        assert_true(out.failed || out.len == 38);
        assert_true(max >= 38 || out.failed);
        assert_true(max < 38 + 24 || !out.failed); /* some room is asked for ahead */
        assert_true(out.len <= max);
        tg_buf_done(&out);
    }
}

static void values_are_separated(void **state)
{
    struct tg_buf out;
    struct tg_json j;

    (void)state;
    tg_buf_init(&out, 1000);
    tg_json_init(&j, &out);
    tg_json_object(&j);
    tg_json_key(&j, "a\"");
    tg_json_array(&j);
    tg_json_i64(&j, INT64_MIN);
    tg_json_u64(&j, UINT64_MAX);
    tg_json_array(&j);
    tg_json_end_array(&j);
    tg_json_object(&j);
    tg_json_end_object(&j);
    tg_json_bool(&j, true);
    tg_json_null(&j);
    tg_json_end_array(&j);
    tg_json_key(&j, "b");
    tg_json_cstr(&j, NULL);
    tg_json_key(&j, "c");
    tg_json_base64(&j, "\xfb\xff", 2);
    tg_json_key(&j, "d");
    tg_json_time(&j, 1705314600);
    tg_json_key(&j, "e");
    tg_json_time(&j, INT64_MAX);
    tg_json_key(&j, "f");
    tg_json_raw(&j, "[1]", 3);
    tg_json_end_object(&j);
    assert_string_equal(tg_buf_cstr(&out),
                        "{\"a\\\"\":[-9223372036854775808,18446744073709551615,[],{},true,null],"
                        "\"b\":null,\"c\":\"+/8=\",\"d\":\"2024-01-15T10:30:00Z\","
                        "\"e\":9223372036854775807,\"f\":[1]}");
    tg_buf_done(&out);
}

static void doubles_are_the_shortest_that_read_back(void **state)
{
    static const struct {
        double v;
        const char *want;
    } row[] = {
        { 0, "0" },
        { 0.1, "0.1" },
        { 1.0 / 3, "0.3333333333333333" },
        { -1e300, "-1e+300" },
        { 48.8566, "48.8566" },
        { -0.000123, "-0.000123" },
        { 1e9, "1000000000" },
        { INFINITY, "null" },
        { NAN, "null" },
    };
    struct tg_buf out;
    struct tg_json j;

    (void)state;
    tg_buf_init(&out, 100);
    for (size_t i = 0; i < TG_COUNT(row); i++) {
        tg_buf_clear(&out);
        tg_json_init(&j, &out);
        tg_json_double(&j, row[i].v);
        assert_string_equal(tg_buf_cstr(&out), row[i].want);
    }
    /* of few digits and of many, the same as when they are tried one after the other */
    for (uint64_t random = 1, i = 0; i < 20000; i++) {
        static const double unit[] = { 1, 1e1, 1e3, 1e5, 1e6, 1e7, 1e9, 7, 3e6 };
        char want[32];
        double v;

        random = random * UINT64_C(6364136223846793005) + 1442695040888963407;
        v = (double)(int64_t)random / (double)(1 << random % 31) / 1e6;
        v = rint(v) / unit[i % TG_COUNT(unit)];
        if (i % 4 == 1)
            v = ldexp((double)(random >> 11), -(int)(10 + random % 54)); /* of any digits */
        else if (i % 4 == 2) /* about powers of two and of ten, where the gaps change */
            v = nextafter(i % 8 == 2 ? ldexp(1, (int)(random % 44) - 12)
                                     : pow(10, (int)(random % 14) - 4),
                          (double)(random % 3) * v);
        for (int precision = 15; precision <= 17; precision++) {
            snprintf(want, sizeof want, "%.*g", precision, v);
            if (strtod(want, NULL) == v)
                break;
        }
        tg_buf_clear(&out);
        tg_json_init(&j, &out);
        tg_json_double(&j, v);
        assert_string_equal(tg_buf_cstr(&out), want);
    }
    tg_buf_done(&out);
}

static void only_json_is_read(void **state)
{
    static const struct {
        const char *text;
        bool good;
    } row[] = {
        { "{}", true },
        { " [ ] ", true },
        { "{\"a\":[1,-0,2.5e-3,{\"b\":null}],\"c\":\"\\u00e9\\ud83d\\ude00\"}", true },
        { "[[[[]]],{},[],0]", true },
        { "\"a\"", true },
        { "true", true },
        { "", false },
        { "{", false },
        { "[", false },
        { "]", false },
        { "{}}", false },
        { "{} {}", false },
        { "[1,]", false },
        { "[,1]", false },
        { "[1 2]", false },
        { "{\"a\"}", false },
        { "{\"a\":}", false },
        { "{\"a\":1,}", false },
        { "{a:1}", false },
        { "{\"a\":1]", false },
        { "[01]", false },
        { "[1.]", false },
        { "[.5]", false },
        { "[1e]", false },
        { "[+1]", false },
        { "[-]", false },
        { "[NaN]", false },
        { "[tru]", false },
        { "[nul]", false },
        { "[\"\\x\"]", false },
        { "[\"\\u12g4\"]", false },
        { "[\"\\u123\"]", false },
        { "[\"\\\"]", false },
        { "[\"a\nb\"]", false },
        { "[\"\xff\"]", false },
        { "[\"a]", false },
    };
    char deep[2 * TG_JSON_DEPTH + 3];
    struct tg_json_in in;

    (void)state;
    for (size_t i = 0; i < TG_COUNT(row); i++) {
        tg_json_in_init(&in, row[i].text, strlen(row[i].text));
        tg_json_skip(&in);
        if (tg_json_in_done(&in) != row[i].good)
            fail_msg("%s", row[i].text);
    }
    for (size_t levels = TG_JSON_DEPTH; levels <= TG_JSON_DEPTH + 1; levels++) {
        memset(deep, '[', levels);
        memset(deep + levels, ']', levels);
        tg_json_in_init(&in, deep, 2 * levels);
        tg_json_skip(&in);
        assert_int_equal(tg_json_in_done(&in), levels == TG_JSON_DEPTH);
    }
}

static void values_are_taken_by_type(void **state)
{
    static const char text[] = "{\"i\":-9223372036854775808,\"u\":18446744073709551615,\"b\":false,"
                               "\"s\":\"x\\n\\u00e9\\ud83d\\ude00\\ud800\\/\",\"skip\":[{\"i\":1}],"
                               "\"n\":null,\"a\":[1,2,3]}";
    static const char *const wrong[] = { "9223372036854775808", "1.0", "1e2", "\"1\"", "", "--1" };
    struct tg_json_in in;
    struct tg_str key;
    struct tg_buf s;
    int64_t sum = 0;

    (void)state;
    tg_buf_init(&s, 100);
    tg_json_in_init(&in, text, sizeof text - 1);
    for (tg_json_enter(&in, '{'); tg_json_next_key(&in, &key);) {
        if (tg_str_eq(key, TG_STR("i"))) {
            assert_true(tg_json_take_i64(&in) == INT64_MIN);
        } else if (tg_str_eq(key, TG_STR("u"))) {
            assert_true(tg_json_take_u64(&in) == UINT64_MAX);
        } else if (tg_str_eq(key, TG_STR("b"))) {
            assert_false(tg_json_take_bool(&in));
        } else if (tg_str_eq(key, TG_STR("s"))) {
            tg_json_take_str(&in, &s);
        } else if (tg_str_eq(key, TG_STR("n"))) {
            assert_true(tg_json_take_null(&in));
        } else if (tg_str_eq(key, TG_STR("a"))) {
            for (tg_json_enter(&in, '['); tg_json_next_item(&in);)
                sum += tg_json_take_i64(&in);
        } else {
            tg_json_skip(&in);
        }
    }
    assert_true(tg_json_in_done(&in));
    assert_int_equal(sum, 6);
    assert_string_equal(tg_buf_cstr(&s), "x\n\xc3\xa9\xf0\x9f\x98\x80\xef\xbf\xbd/");
    tg_buf_done(&s);
    for (size_t i = 0; i < TG_COUNT(wrong); i++) {
        tg_json_in_init(&in, wrong[i], strlen(wrong[i]));
        assert_int_equal(tg_json_take_i64(&in), 0);
        assert_false(tg_json_in_done(&in));
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_is_quoted),
        cmocka_unit_test(any_bytes_make_valid_json),
        cmocka_unit_test(a_cap_that_is_too_small_only_fails),
        cmocka_unit_test(values_are_separated),
        cmocka_unit_test(doubles_are_the_shortest_that_read_back),
        cmocka_unit_test(only_json_is_read),
        cmocka_unit_test(values_are_taken_by_type),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

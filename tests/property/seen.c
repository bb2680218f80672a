/* SPDX-License-Identifier: MIT */
/*
 * Keys that came before (seen.h) are told from new ones as a plain list tells them, however small
 * memory is; a disk that fails is told; and the stage `dedup` keeps of equal rows the first.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "etl/stage_disk.h"
#include "quality/seen.h"
#include "stage/stage.h"
#include "tests/seeds.h"

static struct tg_error err;

static struct tg_seen_key key_of(uint64_t number)
{
    struct random r = { number };
    struct tg_seen_key key = { draw(&r), draw(&r) };

    if (number % 7 == 0)
        key.a = number % 21; /* many that differ in their end only */
    else if (number % 11 == 0)
        key.b = 0;
    else if (number == 5)
        key.a = key.b = 0;
    return key;
}

static void test_as_a_list_tells(void **state)
{
    uint64_t spilled = 0, merged = 0;

    (void)state;
    for (uint64_t seed = 1; seed <= 200; seed++) {
        struct random r = { seed };
        uint32_t range = 1 + below(&r, 30000), n = below(&r, 40000);
        bool *before = calloc(range, 1);
        struct tg_seen s;

        tg_seen_init(&s, chance(&r, 90) ? &tg_stage_disk : NULL, 512 + below(&r, 1 << 17));
        for (uint32_t i = 0; i < n; i++) {
            uint32_t number = below(&r, range);
            bool fresh;

            if (tg_seen_put(&s, key_of(number), &fresh, &err) != TG_OK)
                fail_msg("seed %llu: %s", (unsigned long long)seed, err.message);
            if (fresh == before[number])
                fail_msg("seed %llu: key %u, number %u", (unsigned long long)seed, number, i);
            before[number] = true;
            if (s.n > s.n_max)
                fail_msg("seed %llu: %zu keys in memory", (unsigned long long)seed, s.n);
        }
        for (size_t i = 1; i < s.n_runs; i++)
            assert_true(s.run[i - 1].n > 2 * s.run[i].n);
        spilled += s.spills;
        merged += s.spills - s.n_runs;
        tg_seen_done(&s);
        free(before);
    }
    printf("%llu times to disk, %llu merged\n", (unsigned long long)spilled,
           (unsigned long long)merged);
    assert_true(spilled > 1000 && merged > 700);
}

/* ---- a disk that fails ---- */

static uint64_t good; /* calls that go well */

static bool fails(void)
{
    return good == 0 || --good == 0;
}

static tg_code bad_open(void **ret, struct tg_error *e)
{
    return fails() ? tg_fail(e, TG_IO, "open") : tg_stage_disk.open(ret, e);
}

static tg_code bad_add(void *file, const void *bytes, size_t n, struct tg_error *e)
{
    return fails() ? tg_fail(e, TG_FULL, "add") : tg_stage_disk.add(file, bytes, n, e);
}

static tg_code bad_read(void *file, uint64_t at, void *bytes, size_t n, struct tg_error *e)
{
    return fails() ? tg_fail(e, TG_IO, "read") : tg_stage_disk.read(file, at, bytes, n, e);
}

static void bad_close(void *file)
{
    tg_stage_disk.close(file);
}

static void test_a_disk_that_fails_is_told(void **state)
{
    static const struct tg_seen_disk bad = { bad_open, bad_add, bad_read, bad_close };

    (void)state;
    for (uint64_t nth = 1; nth <= 300; nth++) {
        struct tg_seen s;
        tg_code code = TG_OK;

        good = nth;
        tg_seen_init(&s, &bad, 1024);
        for (uint64_t i = 0; code == TG_OK && i < 100000; i++) {
            bool fresh;

            code = tg_seen_put(&s, key_of(i % 4000), &fresh, &err);
        }
        assert_true(code == TG_IO || code == TG_FULL);
        tg_seen_done(&s);
    }
}

/* ---- the stage ---- */

static void test_the_first_stays(void **state)
{
    static const char *const texts[] = { "a", "b", "ab", "" };
    static const char *const severity[] = { "drop", "warn" };

    (void)state;
    for (uint64_t seed = 1; seed <= 500; seed++) {
        struct random r = { seed };
        const char *choice = severity[seed % 2];
        char text[80];
        struct tg_quality_result found = { 0 };
        struct tg_stage_counts counts = { 0 };
        const struct tg_stage_env env = { .counts = &counts, .disk = &tg_stage_disk };
        struct tg_stage_list list;
        bool before[4][3] = { { false } };
        uint64_t twice = 0, checked = 0;

        snprintf(text, sizeof text, "dedup?keys=text,views&memory=4096&severity=%s", choice);
        if (tg_stages_open((const char *const[]){ text }, 1, &list, &err) != TG_OK)
            fail_msg("%s", err.message);
        for (int k = 0; k < 3; k++) {
            struct tg_batch *b = tg_batch_new(16);
            size_t stay = 0;

            for (int i = 0; i < 16; i++) {
                struct tg_row *row = tg_batch_row(b);
                size_t t = below(&r, 4), v = below(&r, 3);
                bool gone = chance(&r, 10), lacks = chance(&r, 10);

                TG_ROW_SET(row, text, tg_str_of(texts[t]));
                if (!lacks)
                    TG_ROW_SET(row, views, (int64_t)v);
                if (gone)
                    TG_ROW_SET(row, change, TG_STR("deleted"));
                checked += !gone;
                stay += gone || lacks || !before[t][v] || seed % 2;
                if (gone || lacks)
                    continue;
                twice += before[t][v];
                before[t][v] = true;
            }
            assert_int_equal(tg_stages_run(&list, b, &env, &err), TG_OK);
            assert_int_equal(b->n, stay);
            tg_batch_free(b);
        }
        tg_stages_tally(&list, &found);
        assert_int_equal(found.rule[0].checked, checked);
        assert_int_equal(found.rule[0].broken, twice);
        assert_int_equal(counts.invalid, twice);
        assert_string_equal(found.rule[0].name, "text,views: uniqueness");
        tg_stages_close(&list);
    }
}

static void test_mistakes_are_told(void **state)
{
    static const char *const wrong[] = { "dedup", "dedup?keys=", "dedup?keys=txt" };
    static const char *const why[] = { "no keys", "no keys", "no field 'txt'" };

    (void)state;
    for (size_t i = 0; i < TG_COUNT(wrong); i++) {
        struct tg_stage_list list;

        assert_int_equal(tg_stages_open(&wrong[i], 1, &list, &err), TG_USAGE);
        assert_non_null(strstr(err.message, why[i]));
        tg_stages_close(&list);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_as_a_list_tells),
        cmocka_unit_test(test_a_disk_that_fails_is_told),
        cmocka_unit_test(test_the_first_stays),
        cmocka_unit_test(test_mistakes_are_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

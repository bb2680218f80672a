/* SPDX-License-Identifier: MIT */
/*
 * Sketches keep what their headers promise, whole and put together from parts: the number of
 * different values (hll.h) over 10^3 to 10^7, ranks of quantiles (kll.h) over several
 * distributions, counts of the most frequent values (top.h); and a profile is exact where it says
 * so.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "quality/profile.h"
#include "tests/seeds.h"

/* ---- hll ---- */

/* @return how far the estimate is off, as a share */
static double distinct_error(uint64_t seed, uint64_t n)
{
    struct random r = { seed };
    struct tg_hll *part = calloc(3, sizeof *part);
    double error;

    for (uint64_t i = 0; i < n; i++) {
        uint64_t hash = draw(&r);

        tg_hll_add(&part[i % 3], hash);
        if (i % 4 == 0)
            tg_hll_add(&part[(i + 1) % 3], hash); /* again, elsewhere */
    }
    tg_hll_merge(&part[0], &part[1]);
    tg_hll_merge(&part[0], &part[2]);
    error = tg_hll_estimate(&part[0]) / (double)n - 1;
    free(part);
    return error;
}

static void test_distinct(void **state)
{
    static const struct {
        uint64_t n;
        int seeds;
    } row[] = { { 1, 50 },      { 10, 50 },      { 1000, 1000 },   { 10000, 500 },
                { 100000, 200 }, { 1000000, 40 }, { 10000000, 5 } };
    const struct tg_hll empty = { { 0 } };

    (void)state;
    assert_true(tg_hll_estimate(&empty) == 0);
    for (size_t i = 0; i < TG_COUNT(row); i++) {
        double sum = 0, worst = 0, off;

        for (int s = 1; s <= row[i].seeds; s++) {
            double e = distinct_error((uint64_t)s * 7919, row[i].n);

            if (fabs(e) > 0.035)
                fail_msg("seed %d, %llu values: %.4f off", s, (unsigned long long)row[i].n, e);
            sum += e * e;
            worst = TG_MAX(worst, fabs(e));
        }
        off = sqrt(sum / row[i].seeds);
        printf("%9llu different: %.4f off, %.4f at the worst of %d\n",
               (unsigned long long)row[i].n, off, worst, row[i].seeds);
        assert_true(off < (row[i].seeds >= 40 ? 0.0095 : 0.02));
    }
}

/* ---- kll ---- */

static int64_t number(struct random *r, int kind, uint64_t i)
{
    switch (kind) {
    case 0: return (int64_t)i;                                   /* ascending */
    case 1: return -(int64_t)i;                                  /* descending */
    case 2: return (int64_t)draw(r);                             /* anything */
    case 3: return (int64_t)below(r, 10);                        /* few values */
    case 4: return INT64_C(1) << below(r, 62);                   /* a long tail */
    default: return chance(r, 95) ? 0 : (int64_t)below(r, 1000); /* mostly one */
    }
}

static int by_value(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return (x > y) - (x < y);
}

/* @return how far a value's rank is from a share of the sorted numbers */
static double rank_error(const int64_t *sorted, size_t n, int64_t value, double share)
{
    size_t low = 0, high = n, upto;

    while (low < high) {
        size_t at = (low + high) / 2;

        if (sorted[at] < value)
            low = at + 1;
        else
            high = at;
    }
    for (upto = low; upto < n && sorted[upto] == value;)
        upto++;
    if ((double)low > share * (double)n)
        return ((double)low - share * (double)n) / (double)n;
    return (double)upto < share * (double)n ? (share * (double)n - (double)upto) / (double)n : 0;
}

static void test_quantiles(void **state)
{
    static const double share[] = { 0, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 1 };
    int64_t found[TG_COUNT(share)], *all = calloc(1000000, sizeof *all);
    double worst = 0;
    size_t bad = 0, runs = 0;

    (void)state;
    for (uint64_t seed = 1; seed <= 1200; seed++) {
        struct random r = { seed };
        size_t n = seed % 200 == 0 ? 1000000 : 1 + below(&r, 20000);
        int kind = (int)(seed % 6), parts = 1 + (int)below(&r, 4);
        struct tg_kll k[4];
        double most = 0;

        for (int i = 0; i < 4; i++)
            tg_kll_init(&k[i], seed + (uint64_t)i);
        for (size_t i = 0; i < n; i++)
            tg_kll_add(&k[below(&r, (uint32_t)parts)], all[i] = number(&r, kind, i));
        for (int i = 1; i < 4; i++)
            tg_kll_merge(&k[0], &k[i]);
        assert_int_equal(k[0].n, n);
        qsort(all, n, sizeof *all, by_value);
        assert_true(tg_kll_quantiles(&k[0], share, found, TG_COUNT(share)));
        assert_true(found[0] == all[0] && found[TG_COUNT(share) - 1] == all[n - 1]);
        for (size_t i = 0; i < TG_COUNT(share); i++)
            most = TG_MAX(most, rank_error(all, n, found[i], share[i]));
        if (most > 0.025)
            fail_msg("seed %llu: a rank is %.4f off", (unsigned long long)seed, most);
        worst = TG_MAX(worst, most);
        bad += most > 0.01;
        runs++;
        assert_true(tg_kll_below(&k[0], INT64_MAX) <= n + n / 50);
        for (int i = 0; i < 4; i++)
            tg_kll_done(&k[i]);
    }
    printf("ranks: %.4f off at the worst, more than 0.01 in %zu of %zu\n", worst, bad, runs);
    assert_true(bad * 20 <= runs);
    free(all);
}

/* ---- top ---- */

static void test_most_frequent(void **state)
{
    enum { VALUES = 5000 };
    static uint64_t count[VALUES];

    (void)state;
    for (uint64_t seed = 1; seed <= 300; seed++) {
        struct random r = { seed };
        struct tg_top *t = calloc(2, sizeof *t);
        size_t n = 1 + below(&r, 30000);
        const struct tg_top_value *best[11];
        uint64_t most = 0;
        size_t n_best;

        memset(count, 0, sizeof count);
        for (size_t i = 0; i < n; i++) {
            uint64_t range = 1 + draw(&r) % (1 + draw(&r) % VALUES);
            uint64_t v = draw(&r) % range;
            struct random hash = { v };

            tg_top_add(&t[below(&r, 2)], draw(&hash), (int64_t)v, (struct tg_str){ NULL, 0 });
            count[v]++;
        }
        tg_top_merge(&t[0], &t[1]);
        assert_int_equal(t[0].total, n);
        assert_true(t[0].off <= n / 128 + 1);
        for (size_t i = 0; i < t[0].n; i++) {
            const struct tg_top_value *v = &t[0].value[i];

            if (count[v->number] < v->count || count[v->number] > v->count + t[0].off)
                fail_msg("seed %llu: value %lld", (unsigned long long)seed, (long long)v->number);
        }
        for (size_t i = 0; i < VALUES; i++)
            most = TG_MAX(most, count[i]);
        n_best = tg_top_best(&t[0], best, 10);
        if (most > t[0].off && (!n_best || best[0]->count + t[0].off < most))
            fail_msg("seed %llu: the most frequent is not there", (unsigned long long)seed);
        for (size_t i = 1; i < n_best; i++)
            assert_true(best[i - 1]->count >= best[i]->count);
        free(t);
    }
}

/* ---- a profile ---- */

static void test_a_profile_is_exact_where_it_says_so(void **state)
{
    static const char *const texts[] = { "", "a", "\xd0\x96\xd0\x96", "four" };

    (void)state;
    for (uint64_t seed = 1; seed <= 300; seed++) {
        struct random r = { seed };
        struct tg_profile part[2] = { { 0 } };
        uint64_t with_text = 0, with_views = 0, rows = below(&r, 500), gone = 0, fours = 0;
        int64_t least = INT64_MAX, most = INT64_MIN;

        for (uint64_t i = 0; i < rows; i++) {
            struct tg_row row = { 0 };
            size_t text = below(&r, 4);

            TG_ROW_SET(&row, id, (int64_t)i);
            if (chance(&r, 10))
                TG_ROW_SET(&row, change, TG_STR("deleted"));
            gone += row.change.len > 0;
            if (chance(&r, 60)) {
                TG_ROW_SET(&row, text, tg_str_of(texts[text]));
                with_text += !row.change.len;
                fours += !row.change.len && text == 3;
            }
            if (chance(&r, 30)) {
                TG_ROW_SET(&row, views, (int64_t)below(&r, 1000) - 500);
                with_views += !row.change.len;
                least = row.change.len ? least : TG_MIN(least, row.views);
                most = row.change.len ? most : TG_MAX(most, row.views);
            }
            tg_profile_add(&part[below(&r, 2)], &row);
        }
        tg_profile_merge(&part[0], &part[1]);
        assert_int_equal(part[0].rows, rows - gone);
        assert_int_equal(part[0].deletions, gone);
        assert_int_equal(part[0].field[TG_F_text] ? part[0].field[TG_F_text]->n : 0, with_text);
        assert_int_equal(part[0].field[TG_F_views] ? part[0].field[TG_F_views]->n : 0, with_views);
        if (with_views)
            assert_true(part[0].field[TG_F_views]->numbers.min == least &&
                        part[0].field[TG_F_views]->numbers.max == most);
        if (fours)
            assert_true(part[0].field[TG_F_text]->numbers.max == 4);
        tg_profile_done(&part[0]);
        tg_profile_done(&part[1]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_distinct),
        cmocka_unit_test(test_quantiles),
        cmocka_unit_test(test_most_frequent),
        cmocka_unit_test(test_a_profile_is_exact_where_it_says_so),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

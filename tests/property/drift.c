/* SPDX-License-Identifier: MIT */
/*
 * Drift between runs: rows of one source make none, whatever their number; each way in which a
 * source can change is told, for the field that changed; what is remembered is read back or
 * refused.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "quality/drift.h"
#include "tests/seeds.h"

enum { SEEDS = 1000, VIEWS = 1 << 16 };

static struct random dice;

static uint64_t roll(uint64_t n)
{
    return draw(&dice) % n;
}

/* How a source makes its rows. */
struct source {
    uint64_t senders, views, views_from, length, without; /* without: in a hundred no sender */
    bool same_hash;
};

static const struct source usual = { .senders = 8, .views = VIEWS, .length = 60, .without = 10 };

static void sample(const struct source *s, size_t n, struct tg_profile *ret)
{
    static const char text[180] = { 0 };
    char hash[24];

    *ret = (struct tg_profile){ .rows = 0 };
    for (size_t i = 0; i < n; i++) {
        struct tg_row row = { .present = 0 };

        TG_ROW_SET(&row, chat_id, -5);
        /* these grow, and are others in each run */
        TG_ROW_SET(&row, id, (int64_t)(dice.state >> 40) + (int64_t)i);
        TG_ROW_SET(&row, date, 1700000000 + (int64_t)(dice.state >> 44) + (int64_t)i);
        if (roll(100) >= s->without) /* the first of them is the most frequent */
            TG_ROW_SET(&row, sender_id, (int64_t)(roll(s->senders) * roll(s->senders)));
        TG_ROW_SET(&row, views, (int64_t)(s->views_from + roll(s->views)));
        TG_ROW_SET(&row, text, ((struct tg_str){ text, (uint32_t)roll(s->length) }));
        snprintf(hash, sizeof hash, "%016llx",
                 (unsigned long long)(s->same_hash ? roll(9) : roll(UINT64_MAX)));
        TG_ROW_SET(&row, content_hash, ((struct tg_str){ hash, 16 }));
        tg_profile_add(ret, &row);
    }
}

static void compare(const struct source *was, size_t n_was, const struct source *is, size_t n_is,
                    struct tg_quality_result *ret)
{
    struct tg_profile before, now;
    struct tg_error err;
    struct tg_buf bytes;

    tg_buf_init(&bytes, TG_DRIFT_BYTES);
    sample(was, n_was, &before);
    sample(is, n_is, &now);
    tg_drift_write(&before, 1700000000, &bytes);
    *ret = (struct tg_quality_result){ 0 };
    if (tg_drift_compare(&bytes, &now, 0.2, ret, &err) != TG_OK)
        fail_msg("%s", err.message);
    tg_buf_done(&bytes);
    tg_profile_done(&before);
    tg_profile_done(&now);
}

static bool tells(const struct tg_quality_result *q, const char *field, enum tg_drift_kind kind)
{
    for (size_t i = 0; i < q->n_drifts; i++)
        if (strcmp(q->drift[i].field, field) == 0 && q->drift[i].kind == kind)
            return true;
    return false;
}

static void rows_of_one_source_make_none(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct tg_quality_result q;
        struct source s = usual;

        dice.state = seed;
        s.senders = 2 + roll(12);
        s.length = 1 + roll(180);
        s.views = 1 + roll(VIEWS);
        s.without = roll(100);
        compare(&s, 100 + roll(600), &s, 100 + roll(600), &q);
        if (q.n_drifts)
            fail_msg("seed %llu: %s of %s, %f above %f", (unsigned long long)seed,
                     tg_drift_kind_name(q.drift[0].kind), q.drift[0].field, q.drift[0].score,
                     q.drift[0].limit);
        assert_true(q.drift_rows >= 100);
    }
}

static void each_change_is_told(void **state)
{
    static const struct {
        const char *field;
        enum tg_drift_kind kind;
        struct source is;
    } row[] = {
        { "sender_id", TG_DRIFT_NULLS, { 8, VIEWS, 0, 60, 40, false } },
        { "sender_id", TG_DRIFT_TOP, { 2, VIEWS, 0, 60, 10, false } },
        { "views", TG_DRIFT_VALUES, { 8, VIEWS, VIEWS / 2, 60, 10, false } },
        { "views", TG_DRIFT_VALUES, { 8, VIEWS / 8, 0, 60, 10, false } },
        { "text", TG_DRIFT_LENGTHS, { 8, VIEWS, 0, 180, 10, false } },
        { "content_hash", TG_DRIFT_DISTINCT, { 8, VIEWS, 0, 60, 10, true } },
    };

    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS / 25; seed++)
        for (size_t i = 0; i < TG_COUNT(row); i++) {
            struct tg_quality_result q;

            dice.state = seed;
            compare(&usual, 1000 + roll(2000), &row[i].is, 1000 + roll(2000), &q);
            if (!tells(&q, row[i].field, row[i].kind))
                fail_msg("seed %llu: not told: %s of %s", (unsigned long long)seed,
                         tg_drift_kind_name(row[i].kind), row[i].field);
            for (size_t k = 0; k < q.n_drifts; k++) /* and nothing of other fields */
                assert_string_equal(q.drift[k].field, row[i].field);
        }
}

static void few_rows_and_damage(void **state)
{
    struct tg_quality_result q;
    struct source other = usual;
    struct tg_profile now;
    struct tg_error err;
    struct tg_buf bytes;

    (void)state;
    dice.state = 7;
    other.views_from = 10 * VIEWS;
    compare(&usual, 99, &other, 5000, &q);
    assert_int_equal(q.drift_rows, 0);
    compare(&usual, 5000, &other, 99, &q);
    assert_int_equal(q.n_drifts, 0);

    sample(&usual, 200, &now);
    tg_buf_init(&bytes, TG_DRIFT_BYTES);
    tg_drift_write(&now, 1, &bytes);
    for (int i = 0; i < 3000; i++) { /* whatever stands there, it ends */
        struct tg_buf cut = bytes;
        uint8_t kept;
        size_t at = roll(bytes.len);

        if (i % 2)
            cut.len = at;
        kept = bytes.data[at];
        bytes.data[at] = (uint8_t)roll(256);
        q = (struct tg_quality_result){ 0 };
        if (tg_drift_compare(&cut, &now, 0.2, &q, &err) != TG_OK)
            assert_int_equal(err.code, TG_CORRUPT);
        bytes.data[at] = kept;
    }
    tg_buf_done(&bytes);
    tg_profile_done(&now);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_of_one_source_make_none),
        cmocka_unit_test(each_change_is_told),
        cmocka_unit_test(few_rows_and_damage),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

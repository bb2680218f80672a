/* SPDX-License-Identifier: MIT */
/*
 * compare.c - stored signatures beside what is there now: each kind, confirmations, the counts
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "flow/compare.h"

/* ids 1..10; 2 and 9 lie outside the range that is compared, 3..8. */
static const struct tg_signature was[] = {
    { 2, 0, 2, 0 }, { 3, 0, 3, 0 }, { 4, 0, 4, 0 }, { 5, 0, 5, 0 },
    { 6, 0, 6, 0 }, { 7, 7, 7, 7 }, { 9, 0, 9, 0 },
};
static const struct tg_signatures stored = { 1, 10, was, TG_COUNT(was) };

/* 3 as it was, 4 edited, 5 reacted to, 6 and 7 missing, 8 new. */
static const struct tg_signature is[] = {
    { 3, 0, 3, 0 }, { 4, 50, 44, 1 }, { 5, 50, 5, 1 }, { 8, 0, 8, 0 },
};
static const struct tg_signatures now = { 3, 8, is, TG_COUNT(is) };

static void check_kinds(const struct tg_compare *c, const enum tg_change want[6])
{
    assert_int_equal(c->n, 6);
    for (size_t i = 0; i < 6; i++) {
        assert_int_equal(c->item[i].id, 3 + i);
        assert_int_equal(c->item[i].kind, want[i]);
    }
}

static void every_kind(void **state)
{
    static const enum tg_change first[] = { TG_CHANGE_SAME,      TG_CHANGE_EDITED,
                                            TG_CHANGE_REACTIONS, TG_CHANGE_SUSPECTED,
                                            TG_CHANGE_SUSPECTED, TG_CHANGE_NEW };
    static const enum tg_change then[] = { TG_CHANGE_SAME,    TG_CHANGE_EDITED,
                                           TG_CHANGE_REACTIONS, TG_CHANGE_DELETED,
                                           TG_CHANGE_EDITED,  TG_CHANGE_NEW };
    static const struct tg_signature back = { 7, 8, 7, 7 };
    struct tg_compare c = { 0 };
    struct tg_compare_stats stats = { 0 };
    struct tg_error err;

    (void)state;
    assert_int_equal(tg_compare_run(&c, stored, true, now, &err), TG_OK);
    check_kinds(&c, first);
    assert_int_equal(c.n_suspected, 2);
    assert_int_equal(c.item[1].differs, TG_SIGNATURE_EDIT_DATE | TG_SIGNATURE_CONTENT |
                                            TG_SIGNATURE_REACTIONS);
    assert_int_equal(c.item[5].row, 3);
    assert_true(c.item[3].row == TG_COMPARE_NO_ROW);

    assert_null(tg_compare_confirm(&c, 3, &is[0])); /* not suspected */
    assert_null(tg_compare_confirm(&c, 99, NULL));
    assert_int_equal(tg_compare_confirm(&c, 6, NULL)->kind, TG_CHANGE_DELETED);
    assert_int_equal(tg_compare_confirm(&c, 7, &back)->kind, TG_CHANGE_EDITED);
    assert_null(tg_compare_confirm(&c, 7, NULL)); /* once only */
    check_kinds(&c, then);
    assert_int_equal(c.n_suspected, 0);

    tg_compare_count(&c, 5, &stats);
    tg_compare_count(&c, 6, &stats);
    assert_int_equal(stats.total_processed, 12);
    assert_int_equal(stats.changes_detected, 10);
    assert_int_equal(stats.n[TG_CHANGE_EDITED], 4);
    assert_int_equal(stats.n[TG_CHANGE_SAME], 2);
    assert_int_equal(stats.processing_us, 11);
    tg_compare_done(&c);
}

static void an_unknown_range_is_read(void **state)
{
    static const enum tg_change want[] = { TG_CHANGE_READ,      TG_CHANGE_READ,
                                           TG_CHANGE_READ,      TG_CHANGE_SUSPECTED,
                                           TG_CHANGE_SUSPECTED, TG_CHANGE_READ };
    struct tg_compare c = { 0 };
    struct tg_error err;

    (void)state;
    assert_int_equal(tg_compare_run(&c, stored, false, now, &err), TG_OK);
    check_kinds(&c, want);
    assert_int_equal(tg_compare_confirm(&c, 7, &was[5])->kind, TG_CHANGE_READ);
    assert_int_equal(tg_compare_confirm(&c, 6, NULL)->kind, TG_CHANGE_DELETED);
    tg_compare_done(&c);
}

static void an_empty_page_deletes_nothing_by_itself(void **state)
{
    struct tg_signatures none = { 1, 10, NULL, 0 };
    struct tg_compare c = { 0 };
    struct tg_compare_stats stats = { 0 };
    struct tg_error err;

    (void)state;
    assert_int_equal(tg_compare_run(&c, stored, true, none, &err), TG_OK);
    assert_int_equal(c.n_suspected, TG_COUNT(was));
    tg_compare_count(&c, 0, &stats);
    assert_int_equal(stats.changes_detected, 0);
    tg_compare_done(&c);
}

static void pages_that_are_wrong(void **state)
{
    static const struct tg_signature twice[] = { { 4, 0, 0, 0 }, { 4, 0, 0, 0 } };
    static const struct tg_signature back[] = { { 5, 0, 0, 0 }, { 4, 0, 0, 0 } };
    static const struct tg_signature beyond[] = { { 5, 0, 0, 0 }, { 9, 0, 0, 0 } };
    static const struct tg_signature *const page[] = { twice, back, beyond };
    struct tg_compare c = { 0 };
    struct tg_error err;

    (void)state;
    for (size_t i = 0; i < TG_COUNT(page); i++) {
        struct tg_signatures bad = { 3, 8, page[i], 2 };

        assert_int_equal(tg_compare_run(&c, stored, true, bad, &err), TG_PROTOCOL);
        assert_int_equal(c.n, 0);
    }
    tg_compare_done(&c);
}

static void no_more_than_a_window(void **state)
{
    struct tg_signature *many = calloc(TG_WINDOW_MAX + 1, sizeof *many);
    struct tg_signatures s = { 1, TG_WINDOW_MAX + 1, many, TG_WINDOW_MAX + 1 };
    struct tg_signatures none = { 1, TG_WINDOW_MAX + 1, NULL, 0 };
    struct tg_compare c = { 0 };
    struct tg_error err;

    (void)state;
    assert_non_null(many);
    for (size_t i = 0; i < s.n; i++)
        many[i].id = (int64_t)i + 1;
    assert_int_equal(tg_compare_run(&c, none, true, s, &err), TG_LIMIT);
    assert_int_equal(tg_compare_run(&c, s, true, none, &err), TG_LIMIT);
    s.n = TG_WINDOW_MAX;
    assert_int_equal(tg_compare_run(&c, none, true, s, &err), TG_OK);
    tg_compare_done(&c);
    free(many);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind),
        cmocka_unit_test(an_unknown_range_is_read),
        cmocka_unit_test(an_empty_page_deletes_nothing_by_itself),
        cmocka_unit_test(pages_that_are_wrong),
        cmocka_unit_test(no_more_than_a_window),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

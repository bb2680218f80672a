/* SPDX-License-Identifier: MIT */
/*
 * history.c - the planner's requests one by one, and replies that a sane server never sends
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "telegram/history.h"

static struct tg_history *planner(int64_t low, int64_t high, uint32_t lanes, uint32_t ahead_max)
{
    struct tg_history *h = tg_history_new(
        &(struct tg_history_options){ low, high, lanes, 0, 1000, ahead_max });

    assert_non_null(h);
    return h;
}

static struct tg_history_request ask(struct tg_history *h)
{
    struct tg_history_request q;

    assert_int_equal(tg_history_next(h, &q), TG_OK);
    return q;
}

/* Ids from..to, newest first. */
static size_t ids(int32_t *out, int32_t from, int32_t to)
{
    size_t n = 0;

    for (int32_t id = to; id >= from; id--)
        out[n++] = id;
    return n;
}

static tg_code give(struct tg_history *h, uint32_t tag, int32_t from, int32_t to, void *page)
{
    int32_t id[256];
    struct tg_error err;
    size_t n = ids(id, from, to);

    return tg_history_reply(h, &(struct tg_history_reply){ tag, id, n, false, page }, &err);
}

static void expect_piece(struct tg_history *h, void *page, int64_t from, int64_t to, bool end)
{
    struct tg_history_piece piece;

    assert_int_equal(tg_history_take(h, &piece), TG_OK);
    assert_ptr_equal(piece.page, page);
    assert_int_equal(piece.from, from);
    assert_int_equal(piece.to, to);
    assert_int_equal(piece.end, end);
}

static void test_chain(void **state)
{
    struct tg_history *h = planner(0, 150, 1, 10);
    struct tg_history_request q = ask(h);
    struct tg_history_piece piece;
    int a, b;

    (void)state;
    assert_int_equal(q.offset_id, 1);
    assert_int_equal(q.add_offset, -100);
    assert_int_equal(q.limit, 100);
    assert_int_equal(q.min_id, 0);
    assert_int_equal(tg_history_next(h, &q), TG_AGAIN);
    assert_int_equal(give(h, q.tag, 1, 100, &a), TG_OK);
    q = ask(h);
    assert_int_equal(q.offset_id, 101);
    assert_int_equal(q.min_id, 100);
    expect_piece(h, &a, 1, 100, false);
    assert_int_equal(tg_history_take(h, &piece), TG_AGAIN);
    assert_int_equal(give(h, q.tag, 101, 150, &b), TG_OK);
    assert_int_equal(tg_history_next(h, &q), TG_END);
    expect_piece(h, &b, 101, 150, true);
    assert_int_equal(tg_history_take(h, &piece), TG_END);
    tg_history_free(h, NULL, NULL);
}

static void test_short_page_needs_follow_up(void **state)
{
    struct tg_history *h = planner(0, 100, 1, 10);
    struct tg_history_request q = ask(h);
    struct tg_history_piece piece;
    int a, b;

    (void)state;
    assert_int_equal(give(h, q.tag, 60, 100, &a), TG_OK);
    assert_int_equal(tg_history_take(h, &piece), TG_AGAIN); /* 1..59 may have been cut off */
    q = ask(h);
    assert_int_equal(q.offset_id, 60);
    assert_int_equal(q.add_offset, 0);
    assert_int_equal(q.min_id, 0);
    assert_int_equal(give(h, q.tag, 50, 59, &b), TG_OK);
    q = ask(h);
    assert_int_equal(q.offset_id, 50);
    assert_int_equal(give(h, q.tag, 1, 0, NULL), TG_OK);
    expect_piece(h, NULL, 1, 49, false);
    expect_piece(h, &b, 50, 59, false);
    expect_piece(h, &a, 60, 100, true);
    tg_history_free(h, NULL, NULL);
}

static void test_missing_top_is_confirmed(void **state)
{
    struct tg_history *h = planner(0, 500, 1, 10);
    struct tg_history_request q = ask(h);
    int a;

    (void)state;
    assert_int_equal(give(h, q.tag, 1, 100, &a), TG_OK);
    q = ask(h);
    assert_int_equal(give(h, q.tag, 1, 0, NULL), TG_OK);
    q = ask(h);
    assert_int_equal(q.offset_id, 501); /* what is there below high and above 100? */
    assert_int_equal(q.add_offset, 0);
    assert_int_equal(q.min_id, 100);
    expect_piece(h, &a, 1, 100, false);
    assert_int_equal(give(h, q.tag, 1, 0, NULL), TG_OK);
    expect_piece(h, NULL, 101, 500, true);
    tg_history_free(h, NULL, NULL);
}

static void test_contradiction_is_read_to_its_end(void **state)
{
    struct tg_history *h = planner(0, 50, 1, 10);
    struct tg_history_request q = ask(h);
    int a;

    (void)state;
    assert_int_equal(give(h, q.tag, 1, 0, NULL), TG_OK); /* "nothing above 0" */
    q = ask(h);
    assert_int_equal(give(h, q.tag, 1, 50, &a), TG_OK); /* but here they are */
    expect_piece(h, &a, 1, 50, true);
    tg_history_free(h, NULL, NULL);
}

static void test_again_keeps_the_question(void **state)
{
    struct tg_history *h = planner(7, 50, 1, 10);
    struct tg_history_request q = ask(h), again;

    (void)state;
    tg_history_again(h, q.tag);
    again = ask(h);
    assert_memory_equal(&q, &again, sizeof q);
    tg_history_free(h, NULL, NULL);
}

static void test_lanes_open_with_replies(void **state)
{
    struct tg_history *h = planner(0, 10000, 4, 100);
    struct tg_history_request q = ask(h), r;

    (void)state;
    assert_int_equal(tg_history_next(h, &r), TG_AGAIN);
    assert_int_equal(give(h, q.tag, 1, 100, &q), TG_OK);
    q = ask(h);
    r = ask(h);
    assert_int_equal(q.offset_id, 101);
    assert_int_equal(r.offset_id, 201); /* dense: windows of 100 ids side by side */
    assert_int_equal(tg_history_next(h, &r), TG_AGAIN);
    tg_history_free(h, NULL, NULL);
}

static void test_ahead_is_bounded(void **state)
{
    struct tg_history *h = planner(0, 100000, 16, 3);
    struct tg_history_request q = ask(h), r;
    int page;
    int32_t from = 101;

    (void)state;
    assert_int_equal(give(h, q.tag, 1, 100, &page), TG_OK);
    for (int i = 0; i < 2; i++, from += 100) {
        q = ask(h);
        assert_int_equal(give(h, q.tag, from, from + 99, &page), TG_OK);
    }
    assert_int_equal(tg_history_next(h, &r), TG_AGAIN); /* three pages wait to be taken */
    expect_piece(h, &page, 1, 100, false);
    assert_int_equal(tg_history_next(h, &r), TG_OK);
    tg_history_free(h, NULL, NULL);
}

static void test_lying_replies(void **state)
{
    static const struct {
        const char *name;
        int32_t id[3];
        size_t n;
    } row[] = {
        { "ascending", { 11, 12, 13 }, 3 },
        { "an id twice", { 13, 13, 12 }, 3 },
        { "below what was asked for", { 12, 11, 10 }, 3 },
        { "negative", { 12, 11, -1 }, 3 },
    };
    struct tg_error err;

    (void)state;
    for (size_t i = 0; i < TG_COUNT(row); i++) {
        struct tg_history *h = planner(10, 50, 1, 10);
        struct tg_history_request q = ask(h);

        if (tg_history_reply(h, &(struct tg_history_reply){ q.tag, row[i].id, row[i].n, false,
                                                           NULL },
                             &err) != TG_PROTOCOL)
            fail_msg("%s: accepted", row[i].name);
        tg_history_free(h, NULL, NULL);
    }
    struct tg_history *h = planner(10, 5000, 1, 10);
    assert_int_equal(give(h, ask(h).tag, 11, 120, NULL), TG_PROTOCOL); /* 110 for 100 */
    tg_history_free(h, NULL, NULL);
}

static void count_page(void *ctx, void *page)
{
    (void)page;
    ++*(int *)ctx;
}

static void test_held_pages_are_dropped(void **state)
{
    struct tg_history *h = planner(0, 1000, 1, 10);
    int n = 0;

    (void)state;
    assert_int_equal(give(h, ask(h).tag, 1, 100, &n), TG_OK);
    assert_int_equal(give(h, ask(h).tag, 150, 180, &n), TG_OK); /* its group is not complete */
    tg_history_free(h, count_page, &n);
    assert_int_equal(n, 2);
    tg_history_free(NULL, count_page, &n);
}

static void test_empty_range(void **state)
{
    struct tg_history *h = planner(50, 50, 4, 10);
    struct tg_history_request q;
    struct tg_history_piece piece;

    (void)state;
    assert_int_equal(tg_history_next(h, &q), TG_END);
    assert_int_equal(tg_history_take(h, &piece), TG_END);
    tg_history_free(h, NULL, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_chain),
        cmocka_unit_test(test_short_page_needs_follow_up),
        cmocka_unit_test(test_missing_top_is_confirmed),
        cmocka_unit_test(test_contradiction_is_read_to_its_end),
        cmocka_unit_test(test_again_keeps_the_question),
        cmocka_unit_test(test_lanes_open_with_replies),
        cmocka_unit_test(test_ahead_is_bounded),
        cmocka_unit_test(test_lying_replies),
        cmocka_unit_test(test_held_pages_are_dropped),
        cmocka_unit_test(test_empty_range),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

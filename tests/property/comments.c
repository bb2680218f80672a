/* SPDX-License-Identifier: MIT */
/*
 * comments.c - whichever messages a group has, wherever reading begins and however often: what is
 * told of a thread is the truth, and nothing is asked twice in a row
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "sim/world_int.h"
#include "telegram/comments.h"
#include "telegram/peers.h"

enum { IDS = 20000 };

/* The truth: every fourth message or so is a root. */
static struct tg_post post_of(uint64_t seed, int32_t id)
{
    uint64_t h = sim_hash(seed, (uint64_t)id);
    struct tg_post none = { 0 };
    int64_t chat = -TG_CHANNEL_MARK - 7 - (int64_t)(h >> 8 & 1);

    return h & 3 ? none : (struct tg_post){ chat, id / 2 + 1 };
}

static void check(const struct tg_comments *c, uint64_t seed, int32_t thread)
{
    struct tg_post want = post_of(seed, thread), got = { 0 };
    tg_code code = tg_comments_find(c, thread, &got);

    assert_int_equal(code, want.chat ? TG_OK : TG_END);
    assert_true(got.chat == want.chat && got.id == want.id);
}

static void read_from(struct tg_comments *c, uint64_t seed, int32_t from, struct sim_rng *r)
{
    struct tg_post got;
    uint64_t n_asked = 0;

    tg_comments_begin(c, from);
    for (int32_t id = from; id < from + IDS; id++) {
        int32_t thread = id - 1 - (int32_t)sim_below(r, (uint32_t)TG_MIN(id - 1, IDS / 4));

        if (sim_chance(r, 50))
            continue; /* deleted */
        assert_true(tg_comments_note(c, id, post_of(seed, id)));
        if (thread < 1)
            continue;
        if (tg_comments_find(c, thread, &got) == TG_AGAIN) {
            assert_true(thread < from);
            assert_true(tg_comments_learn(c, thread, post_of(seed, thread)));
            n_asked++;
        }
        if (thread < from || tg_comments_find(c, thread, &got) == TG_OK)
            check(c, seed, thread);
    }
    assert_true(n_asked <= (uint64_t)TG_MIN(from, IDS));
}

static void what_is_told_is_the_truth(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct sim_rng r = { seed };
        struct tg_comments c = { 0 };

        print_message("seed %llu\n", (unsigned long long)seed);
        read_from(&c, seed, 1, &r);
        read_from(&c, seed, IDS, &r); /* gone on with in another run */
        read_from(&c, seed, 1 + (int32_t)sim_below(&r, IDS), &r);
        tg_comments_done(&c);
    }
}

static void a_group_without_end_takes_no_more_memory(void **state)
{
    struct tg_comments c = { 0 };
    struct tg_post got;

    (void)state;
    tg_comments_begin(&c, 1);
    for (int32_t id = 1; id <= 3 * TG_COMMENTS_NOTED; id++) {
        assert_true(tg_comments_note(&c, id, (struct tg_post){ -TG_CHANNEL_MARK - 1, id }));
        assert_true(c.cap <= TG_COMMENTS_NOTED && c.n <= c.cap);
    }
    for (int32_t id = 1; id <= 3 * TG_COMMENTS_NOTED; id += 97) {
        tg_code code = tg_comments_find(&c, id, &got);

        assert_int_equal(code, id < c.from ? TG_AGAIN : TG_OK);
        if (code == TG_OK)
            assert_int_equal(got.id, id);
    }
    assert_true(c.from < 3 * TG_COMMENTS_NOTED - TG_COMMENTS_NOTED / 2 + 2);
    for (int32_t id = 1; id <= 3 * TG_COMMENTS_ASKED; id++) { /* forgotten all at once */
        assert_true(tg_comments_learn(&c, id, (struct tg_post){ -TG_CHANNEL_MARK - 2, id }));
        assert_true(c.n_asked <= TG_COMMENTS_ASKED);
        assert_int_equal(tg_comments_find(&c, id, &got), TG_OK);
        assert_true(got.chat == -TG_CHANNEL_MARK - 2 && got.id == id);
    }
    tg_comments_done(&c);
}

static void nonsense_is_no_thread(void **state)
{
    struct tg_comments c = { 0 };
    struct tg_post got;

    (void)state;
    tg_comments_begin(&c, 10);
    assert_true(tg_comments_note(&c, 12, (struct tg_post){ -TG_CHANNEL_MARK - 1, 3 }));
    assert_true(tg_comments_note(&c, 11, (struct tg_post){ -TG_CHANNEL_MARK - 1, 4 })); /* again */
    assert_int_equal(tg_comments_find(&c, 0, &got), TG_END);
    assert_int_equal(tg_comments_find(&c, -5, &got), TG_END);
    assert_int_equal(tg_comments_find(&c, 11, &got), TG_END);
    assert_int_equal(tg_comments_find(&c, INT32_MAX, &got), TG_END);
    assert_int_equal(tg_comments_find(&c, 12, &got), TG_OK);
    assert_int_equal(tg_comments_find(&c, 9, &got), TG_AGAIN);
    tg_comments_done(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_told_is_the_truth),
        cmocka_unit_test(a_group_without_end_takes_no_more_memory),
        cmocka_unit_test(nonsense_is_no_thread),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

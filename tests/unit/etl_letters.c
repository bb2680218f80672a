/* SPDX-License-Identifier: MIT */
/*
 * etl_letters.c - dead letters: kept, counted, worked off
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "etl/lease.h"
#include "os/loop.h"
#include "tests/unit/etl_kit.h"
#include "tgdata/letters.h"

/* ---- counting ---- */

static void a_letter_counts_once_however_often_its_commit_is_tried(void **state)
{
    struct tg_batch *b = tg_batch_new(2);
    struct tg_letters letters;
    struct tg_letter_box box = { &letters, "ndjson:out", NULL };
    struct kit k;

    (void)state;
    kit_start(&k, 100, 100);
    test_rows(b, CHAT, 1, 2);
    for (int run = 0; run < 2; run++) { /* the second refuses what the first, killed, had kept */
        tg_letters_init(&letters, &k.store, "job", kit_unix_us);
        letters.chat_id = CHAT;
        for (int try = 0; try < 3; try++)
            for (size_t i = 0; i < 2; i++)
                assert_int_equal(tg_letter_keep(&box, &b->row[i], "no", &k.err), TG_OK);
        assert_int_equal(letters.n, 2);
        tg_letters_done(&letters);
        atomic_fetch_add(&kit_clock_us, TG_SECOND_US);
    }
    tg_batch_free(b);
    kit_end(&k);
}

/* ---- working them off ---- */

static void keep_letters(struct kit *k, int64_t chat_id, size_t n)
{
    struct tg_batch *b = tg_batch_new(n);
    struct tg_letters letters;
    struct tg_letter_box box = { &letters, "ndjson:nowhere", NULL };

    test_rows(b, CHAT, 1, n);
    tg_letters_init(&letters, &k->store, "job", kit_unix_us);
    letters.chat_id = chat_id;
    for (size_t i = 0; i < n; i++)
        assert_int_equal(tg_letter_keep(&box, &b->row[i], "no", &k->err), TG_OK);
    tg_letters_done(&letters);
    tg_batch_free(b);
}

static void a_replay_leaves_a_chat_to_the_worker_that_has_it(void **state)
{
    struct tg_lease lease = { .owner = "a worker elsewhere" };
    struct tg_letters_result result;
    char name[TG_LEASE_NAME];
    struct kit k;

    (void)state;
    kit_start(&k, 100, 100);
    keep_letters(&k, CHAT, 3);
    tg_lease_chat_name(name, "job", CHAT);
    assert_int_equal(k.store.ops->lease(k.store.self, name, tg_clock_unix_us(), 30 * TG_SECOND_US,
                                        &lease, &k.err), TG_OK);
    assert_int_equal(tg_letters_replay(&(struct tg_letter_filter){ .state = k.state }, NULL,
                                       &result,
                                       &k.err), TG_BUSY);
    assert_non_null(strstr(k.err.message, "a worker elsewhere"));
    assert_int_equal(k.store.ops->lease(k.store.self, name, tg_clock_unix_us(), TG_SECOND_US,
                                        &lease, &k.err), TG_OK); /* it still has it */
    kit_end(&k);
}

static bool count_letter(void *ctx, const struct tg_letter_info *letter)
{
    ++*(int *)ctx;
    return letter->chat_id == CHAT; /* where the message is */
}

/* They can be seen and dropped, but what is newer must not be written over. */
static void letters_of_changes_are_not_replayed(void **state)
{
    struct tg_letters_result result;
    struct tg_letter_filter which;
    uint64_t dropped;
    struct kit k;
    int n = 0;

    (void)state;
    kit_start(&k, 100, 100);
    which = (struct tg_letter_filter){ .state = k.state };
    keep_letters(&k, TG_CHAT_CHANGES, 3);
    assert_int_equal(tg_letters_list(&which, count_letter, &n, &k.err), TG_OK);
    assert_int_equal(n, 3);
    assert_int_equal(tg_letters_replay(&which, NULL, &result, &k.err), TG_UNSUPPORTED);
    assert_non_null(strstr(k.err.hint, "rollback changes --number 0"));
    assert_int_equal(tg_letters_drop(&which, &dropped, &k.err), TG_OK);
    assert_int_equal(dropped, 3);
    kit_end(&k);
}

static void letters_of_many_pages_are_all_dropped(void **state)
{
    uint64_t n;
    struct kit k;

    (void)state;
    kit_start(&k, 100, 100);
    keep_letters(&k, CHAT, 1203);
    assert_int_equal(tg_letters_drop(&(struct tg_letter_filter){ .state = k.state }, &n, &k.err),
                     TG_OK);
    assert_int_equal(n, 1203);
    assert_int_equal(tg_letters_drop(&(struct tg_letter_filter){ .state = k.state }, &n, &k.err),
                     TG_OK);
    assert_int_equal(n, 0);
    kit_end(&k);
}

/* As if most of its time had passed. */
static tg_code take_long(void *ctx, struct tg_lease_held *held, struct tg_error *err)
{
    struct kit *k = ctx;

    for (size_t i = 0; i < 2; i++) {
        struct tg_lease other = { .owner = "a run elsewhere" };

        assert_int_equal(k->store.ops->lease(k->store.self, held->name[i], tg_clock_unix_us(),
                                             TG_SECOND_US, &held->lease[i], err), TG_OK);
        assert_int_equal(tg_lease_keep(held, err), TG_OK);
        assert_int_equal(k->store.ops->lease(k->store.self, held->name[i],
                                             tg_clock_unix_us() + 40 * TG_SECOND_US, TG_SECOND_US,
                                             &other, err), TG_BUSY);
    }
    return TG_OK;
}

static tg_code lose_it(void *ctx, struct tg_lease_held *held, struct tg_error *err)
{
    struct tg_lease other = { .owner = "a run elsewhere" };
    struct kit *k = ctx;

    assert_int_equal(k->store.ops->lease(k->store.self, held->name[0],
                                         tg_clock_unix_us() + 90 * TG_SECOND_US, TG_SECOND_US,
                                         &other, err), TG_OK);
    held->lease[0].expires_us = tg_clock_unix_us();
    return tg_lease_keep(held, err);
}

static void what_takes_long_keeps_its_leases(void **state)
{
    struct kit k;

    (void)state;
    kit_start(&k, 100, 100);
    assert_int_equal(tg_lease_job(&k.store, "job", CHAT, take_long, &k, &k.err), TG_OK);
    assert_int_equal(tg_lease_job(&k.store, "job", CHAT, lose_it, &k, &k.err), TG_CONFLICT);
    assert_non_null(strstr(k.err.message, "another run has taken"));
    kit_end(&k);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_letter_counts_once_however_often_its_commit_is_tried),
        cmocka_unit_test(a_replay_leaves_a_chat_to_the_worker_that_has_it),
        cmocka_unit_test(letters_of_changes_are_not_replayed),
        cmocka_unit_test(letters_of_many_pages_are_all_dropped),
        cmocka_unit_test(what_takes_long_keeps_its_leases),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

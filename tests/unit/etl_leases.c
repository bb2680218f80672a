/* SPDX-License-Identifier: MIT */
/*
 * etl_leases.c - who works on a job: one run, workers chat by chat, and those who lost their lease
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/unit/etl_kit.h"

static void a_job_runs_once_at_a_time(void **state)
{
    struct tg_pipeline *second;
    struct kit k;

    (void)state;
    kit_start(&k, 100, 100);
    kit_run(&k);
    assert_int_equal(tg_pipeline_new(&k.options, &second, &k.err), TG_BUSY);
    assert_true(k.err.hint[0] != 0);
    assert_int_equal(kit_finish(&k), TG_OK);
    kit_run(&k); /* the lease was given back */
    assert_int_equal(kit_finish(&k), TG_OK);
    kit_end(&k);
}

/* Workers: a lease for each chat. Who finds a chat taken, or lost, goes on with the others. */
static void workers_share_a_job_chat_by_chat(void **state)
{
    static const struct kit_piece mine = { 100, 1, 50, 50, 0, false },
                                  more = { 100, 51, 90, 90, 0, true },
                                  other = { 101, 1, 40, 40, 0, true };
    static const struct tg_job_chat chat = { .id = 100, .title = "" };
    struct kit_commits all;
    struct tg_commit there;
    struct kit k, second;
    uint64_t seq = 0, seq2 = 0, fence;

    (void)state;
    kit_start(&k, 10, 10);
    k.options.by_chat = true;
    kit_run(&k);
    assert_int_equal(kit_chat(&k, 100, &there), TG_OK);
    assert_true(kit_feed(&k, &mine, &seq));
    kit_join(&second, &k);
    kit_run(&second);
    /* it is taken */
    assert_int_equal(kit_chat(&second, 100, &there), TG_BUSY);
    assert_int_equal(kit_leave(&second, 100), 0);
    assert_int_equal(kit_chat(&second, 101, &there), TG_OK);
    assert_true(kit_feed(&second, &other, &seq2));
    assert_int_equal(kit_leave(&second, 101), 40);
    /* the first one sleeps past its lease */
    kit_wait_rows(&k, 100, 50);
    atomic_fetch_add(&kit_clock_us, 2 * k.job.lease_ms * TG_MS_US);
    assert_int_equal(tg_pipeline_begin(second.pipeline, &chat, &k.err), TG_OK);
    assert_int_equal(kit_resume(&second, 100, &there), TG_OK);
    assert_int_equal(there.cursor.id, 50);
    fence = there.fence;
    kit_feed(&k, &more, &seq);
    assert_true(kit_leave(&k, 100) >= 0);
    assert_int_equal(k.err.code, TG_OK);
    seq2 = there.batches;
    assert_true(kit_feed(&second, &more, &seq2));
    assert_int_equal(kit_leave(&second, 100), 40);
    /* and goes on with another chat */
    assert_int_equal(kit_chat(&k, 101, &there), TG_OK);
    assert_int_equal(there.cursor.id, 40);
    assert_int_equal(kit_finish(&k), TG_OK);
    assert_int_equal(kit_finish(&second), TG_OK);
    kit_commits(&k, 100, &all);
    assert_int_equal(all.at[all.n - 1].rows_total, 90);
    assert_true(all.at[all.n - 1].complete && all.at[all.n - 1].fence > fence);
    kit_close(&second);
    kit_end(&k);
}

static void a_run_that_lost_its_lease_stops(void **state)
{
    static const struct kit_piece first = { CHAT, 1, 100, 100, 0, false },
                                  more = { CHAT, 101, 300, 300, 0, true };
    static const struct tg_job_chat second = { .id = 12, .title = "" };
    struct tg_lease other = { .owner = "elsewhere:1" };
    struct tg_commit there;
    struct tg_store store;
    uint64_t seq = 0;
    struct kit k;

    (void)state;
    for (int asleep = 0; asleep < 2; asleep++) {
        kit_start(&k, 100, 100);
        kit_run(&k);
        assert_int_equal(kit_chat(&k, CHAT, &there), TG_OK);
        seq = 0;
        assert_true(kit_feed(&k, &first, &seq));
        kit_idle(&k);
        atomic_fetch_add(&kit_clock_us, 31 * TG_SECOND_US);
        assert_int_equal(tg_store_open(k.state, &store, &k.err), TG_OK);
        other = (struct tg_lease){ .owner = "elsewhere:1" };
        assert_int_equal(store.ops->lease(store.self, "job/job", kit_unix_us(), TG_SECOND_US,
                                          &other, &k.err), TG_OK);
        tg_store_close(&store);
        if (asleep)
            kit_feed(&k, &more, &seq);
        else
            assert_int_equal(tg_pipeline_begin(k.pipeline, &second, &k.err), TG_OK);
        assert_int_equal(kit_finish(&k), TG_CONFLICT);
        assert_non_null(strstr(k.err.message, "taken over"));
        assert_true(k.err.hint[0] != 0);
        kit_check_rows(&k, 100);
        kit_end(&k);
    }
}

/* The store is away for a moment while the lease still holds. */
static _Atomic int lease_refusals;

static tg_code refused_lease(void *self, const char *name, int64_t now_us, int64_t ttl_us,
                             struct tg_lease *lease, struct tg_error *err)
{
    if (lease->token && atomic_fetch_add(&lease_refusals, 1) < 3)
        return tg_fail(err, TG_STATE, "locked by another process");
    return kit_bad_store.inner->lease(self, name, now_us, ttl_us, lease, err);
}

static void a_store_that_is_away_for_a_moment_is_asked_again(void **state)
{
    static const struct kit_piece piece[] = { { CHAT, 1, 100, 100, 0, false },
                                              { CHAT, 101, 200, 200, 0, false },
                                              { CHAT, 201, 300, 300, 0, true } };
    struct tg_commit there;
    uint64_t seq = 0;
    struct kit k;

    (void)state;
    kit_start(&k, 100, 100);
    kit_break_store(&k, 0, TG_OK);
    kit_bad_store.ops.lease = refused_lease;
    atomic_store(&lease_refusals, 0);
    kit_run(&k);
    assert_int_equal(kit_chat(&k, CHAT, &there), TG_OK);
    for (size_t i = 0; i < TG_COUNT(piece); i++) {
        assert_true(kit_feed(&k, &piece[i], &seq));
        kit_idle(&k);
        atomic_fetch_add(&kit_clock_us, 10500 * TG_MS_US / (i + 1));
    }
    assert_int_equal(kit_finish(&k), TG_OK);
    k.store.ops = kit_bad_store.inner;
    assert_true(atomic_load(&lease_refusals) > 0);
    kit_check_rows(&k, 300);
    kit_end(&k);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_job_runs_once_at_a_time),
        cmocka_unit_test(workers_share_a_job_chat_by_chat),
        cmocka_unit_test(a_run_that_lost_its_lease_stops),
        cmocka_unit_test(a_store_that_is_away_for_a_moment_is_asked_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
/*
 * Stages on several threads: batches come back in their order whatever each takes, workers come
 * and go with the load, what a step does is seen, and a failure stops what is behind it only.
 */
#include <assert.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "etl/stage_pool.h"
#include "os/loop.h"
#include "tests/seeds.h"

enum { ROWS = 8 };

static struct tg_error err;

static void sleep_us(int64_t us)
{
    struct timespec t = { us / TG_SECOND_US, us % TG_SECOND_US * 1000 };

    while (nanosleep(&t, &t) && errno == EINTR)
        ;
}

static struct tg_batch *batch_of(uint64_t number, size_t n_rows)
{
    struct tg_batch *b = tg_batch_new(ROWS);

    assert_non_null(b);
    b->seq = number;
    for (size_t i = 0; i < n_rows; i++) {
        struct tg_row *row = tg_batch_row(b);

        TG_ROW_SET(row, chat_id, -7);
        TG_ROW_SET(row, id, (int64_t)(number * ROWS + i));
        TG_ROW_SET(row, text, tg_str_of("three short words"));
    }
    return b;
}

static struct tg_stage_pool *pool_of(const struct tg_stage_pool_options *o)
{
    struct tg_stage_pool *pool;

    if (tg_stage_pool_new(o, &pool, &err) != TG_OK)
        fail_msg("%s", err.message);
    return pool;
}

static void put(struct tg_stage_pool *pool, struct tg_batch *b)
{
    assert_int_equal(tg_stage_pool_put(pool, b, &err), TG_OK);
}

/* Takes the next, however long it needs. @return NULL: the pool failed */
static struct tg_batch *take(struct tg_stage_pool *pool)
{
    struct tg_batch *b = NULL;
    tg_code code;

    while ((code = tg_stage_pool_take(pool, &b, &err)) == TG_AGAIN)
        sleep_us(200);
    return code == TG_OK ? b : NULL;
}

/* ---- steps ---- */

static bool odd_stays(void *ctx, const struct tg_row *row)
{
    (void)ctx;
    return tg_row_int(row, TG_F_id) % 2;
}

static tg_code shout(void *ctx, struct tg_row_edit *edit, struct tg_error *e)
{
    size_t len;
    const char *text = tg_row_text(tg_row_edit_row(edit), TG_F_text, &len);
    char out[64];
    tg_code code;

    (void)ctx;
    assert(len < sizeof out - 1);
    memcpy(out, text, len);
    out[len] = '!';
    code = tg_row_set_text(edit, TG_F_text, out, len + 1, e);
    if (code == TG_OK)
        code = tg_row_set_int(edit, TG_F_views, 5, e);
    return code == TG_OK ? tg_row_unset(edit, TG_F_views, e) : code;
}

/* Takes some time, another for each row. */
static tg_code dawdle(void *ctx, struct tg_row_edit *edit, struct tg_error *e)
{
    int64_t most_us = *(int64_t *)ctx;
    struct random r = { (uint64_t)tg_row_int(tg_row_edit_row(edit), TG_F_id) };

    (void)e;
    sleep_us((int64_t)below(&r, (uint32_t)most_us));
    return TG_OK;
}

static tg_code fails_at(void *ctx, struct tg_row_edit *edit, struct tg_error *e)
{
    int64_t id = tg_row_int(tg_row_edit_row(edit), TG_F_id);

    if (id < *(int64_t *)ctx)
        return TG_OK;
    if (id % 2)
        return tg_fail(e, TG_FORBIDDEN, "odd");
    return TG_FORBIDDEN; /* without a word */
}

static atomic_uint woken;

static void wake(void *ctx)
{
    assert_ptr_equal(ctx, &woken);
    atomic_fetch_add(&woken, 1);
}

/* ---- tests ---- */

static void steps_run_in_their_order(void **state)
{
    static const struct tg_step steps[] = { { .filter = odd_stays },
                                            { .transform = shout },
                                            { .stage = "enrich" },
                                            { .stage = "fields?keep=text,word_count" } };
    const struct tg_stage_pool_options o = { steps, TG_COUNT(steps), 2, 3, NULL, NULL };
    struct tg_stage_pool *pool = pool_of(&o);
    struct tg_stage_pool_state seen;

    (void)state;
    for (uint64_t i = 0; i < 50; i++)
        put(pool, batch_of(i, i % ROWS));
    for (uint64_t i = 0; i < 50; i++) {
        struct tg_batch *b = take(pool);

        assert_non_null(b);
        assert_int_equal(b->seq, i);
        assert_int_equal(b->n, i % ROWS / 2);
        for (size_t k = 0; k < b->n; k++) {
            assert_int_equal(b->row[k].id, i * ROWS + 2 * k + 1);
            assert_int_equal(b->row[k].word_count, 3);
            assert_true(tg_str_eq(b->row[k].text, TG_STR("three short words!")));
            assert_int_equal(b->row[k].present, TG_ROW_BIT(chat_id) | TG_ROW_BIT(id) |
                                                    TG_ROW_BIT(text) | TG_ROW_BIT(word_count));
        }
        tg_batch_free(b);
    }
    tg_stage_pool_state(pool, &seen);
    assert_int_equal(seen.rows_in, 6 * 28 + 1);
    assert_int_equal(seen.dropped, 6 * 16 + 1);
    assert_int_equal(seen.waiting + seen.done + seen.busy, 0);
    tg_stage_pool_free(pool);
}

static void order_holds_whatever_a_batch_takes(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct random r = { seed };
        int64_t most_us = 1 + below(&r, 600);
        const struct tg_step steps[] = { { .transform = dawdle, .ctx = &most_us } };
        unsigned min = 1 + below(&r, 3);
        const struct tg_stage_pool_options o = { steps, 1, min, min + below(&r, 6), wake, &woken };
        struct tg_stage_pool *pool = pool_of(&o);
        uint64_t in = 0, out = 0;
        struct tg_batch *b;

        while (out < 100) {
            if (in < 100 && chance(&r, 60))
                put(pool, batch_of(in++, below(&r, ROWS)));
            while (tg_stage_pool_take(pool, &b, &err) == TG_OK) {
                if (b->seq != out++)
                    fail_msg("seed %llu: batch %llu is not number %llu", (unsigned long long)seed,
                             (unsigned long long)b->seq, (unsigned long long)out - 1);
                tg_batch_free(b);
            }
            if (chance(&r, 20))
                sleep_us(below(&r, 1000));
        }
        assert_int_equal(tg_stage_pool_take(pool, &b, &err), TG_AGAIN);
        tg_stage_pool_free(pool);
    }
}

/* Whoever sleeps until it is woken gets every batch. */
static void wake_is_not_forgotten(void **state)
{
    int64_t most_us = 50;
    const struct tg_step steps[] = { { .transform = dawdle, .ctx = &most_us } };
    const struct tg_stage_pool_options o = { steps, 1, 2, 4, wake, &woken };
    struct tg_stage_pool *pool = pool_of(&o);
    unsigned seen = atomic_load(&woken);
    int64_t end_us = tg_clock_mono_us() + 60 * TG_SECOND_US;
    struct tg_batch *b;

    (void)state;
    for (uint64_t i = 0; i < 400; i++)
        put(pool, batch_of(i, 1 + i % 4));
    for (uint64_t out = 0; out < 400;) {
        while (atomic_load(&woken) == seen && tg_clock_mono_us() < end_us)
            sleep_us(50);
        if (atomic_load(&woken) == seen)
            fail_msg("nobody woke for batch %llu", (unsigned long long)out);
        seen = atomic_load(&woken);
        for (; tg_stage_pool_take(pool, &b, &err) == TG_OK; out++) {
            assert_int_equal(b->seq, out);
            tg_batch_free(b);
        }
    }
    tg_stage_pool_free(pool);
}

static void workers_come_with_the_load_and_go(void **state)
{
    int64_t most_us = 10000;
    const struct tg_step steps[] = { { .transform = dawdle, .ctx = &most_us } };
    const struct tg_stage_pool_options o = { steps, 1, 1, 4, NULL, NULL };
    struct tg_stage_pool *pool = pool_of(&o);
    struct tg_stage_pool_state seen;
    int64_t end_us = tg_clock_mono_us() + 120 * TG_SECOND_US;

    (void)state;
    tg_stage_pool_state(pool, &seen);
    assert_int_equal(seen.workers, 1);
    for (uint64_t i = 0; i < 100; i++)
        put(pool, batch_of(i, ROWS));
    for (uint64_t i = 0; i < 100; i++)
        tg_batch_free(take(pool));
    tg_stage_pool_state(pool, &seen);
    assert_int_equal(seen.workers_top, 4);
    assert_true(seen.grown > 0 && seen.busy_us > 100 * TG_MS_US);
    do {
        sleep_us(50 * TG_MS_US);
        tg_stage_pool_state(pool, &seen);
    } while (seen.workers > 1 && tg_clock_mono_us() < end_us);
    assert_int_equal(seen.workers, 1);
    assert_int_equal(seen.shrunk, 3);
    for (uint64_t i = 0; i < 100; i++) /* and again, in the places of those that went */
        put(pool, batch_of(i, ROWS));
    for (uint64_t i = 0; i < 100; i++)
        tg_batch_free(take(pool));
    tg_stage_pool_free(pool);
}

static void a_failure_stops_what_is_behind_it(void **state)
{
    (void)state;
    for (int64_t at = 30 * ROWS; at < 30 * ROWS + 2; at++) {
        int64_t first = at;
        const struct tg_step steps[] = { { .transform = fails_at, .ctx = &first } };
        const struct tg_stage_pool_options o = { steps, 1, 3, 3, wake, &woken };
        struct tg_stage_pool *pool = pool_of(&o);
        char text[96];

        for (uint64_t i = 0; i < 60; i++)
            put(pool, batch_of(i, ROWS));
        for (uint64_t i = 0; i < 30; i++) {
            struct tg_batch *b = take(pool);

            assert_int_equal(b->seq, i);
            tg_batch_free(b);
        }
        snprintf(text, sizeof text, "the transformation of message %lld of chat -7 failed: %s",
                 (long long)at, tg_code_text(TG_FORBIDDEN));
        for (int i = 0; i < 2; i++) {
            assert_null(take(pool));
            assert_int_equal(err.code, TG_FORBIDDEN);
            assert_string_equal(err.message, at % 2 ? "odd" : text);
        }
        put(pool, batch_of(60, 1)); /* harmless */
        assert_null(take(pool));
        tg_stage_pool_free(pool);
    }
}

static void without_steps_there_are_no_threads(void **state)
{
    const struct tg_stage_pool_options o = { NULL, 0, 1, 4, NULL, NULL };
    struct tg_stage_pool *pool = pool_of(&o);
    struct tg_stage_pool_state seen;
    struct tg_batch *b;

    (void)state;
    for (uint64_t i = 0; i < 3; i++)
        put(pool, batch_of(i, 2));
    for (uint64_t i = 0; i < 2; i++) {
        assert_int_equal(tg_stage_pool_take(pool, &b, &err), TG_OK);
        assert_int_equal(b->seq, i);
        tg_batch_free(b);
    }
    tg_stage_pool_state(pool, &seen);
    assert_int_equal(seen.workers_top, 0);
    assert_int_equal(seen.rows_in, 6);
    tg_stage_pool_free(pool); /* and what was not taken */
}

/* A program of its own for each worker; rows that it fails for are counted. */
static void programs_run_on_every_worker(void **state)
{
#ifdef TG_HAVE_LUA
    static const struct tg_step steps[] = {
        { .stage = "where?expr=id %25 2 == 1" },
        { .stage = "lua?code=local n = 0 for w in text:gmatch('%25a+') do n = n + #w end "
                   "row.n = n" },
        { .stage = "where?on-error=drop&expr=id %25 5 ~= 0 or views > 1" }
    };
    const struct tg_stage_pool_options o = { steps, TG_COUNT(steps), 3, 4, NULL, NULL };
    struct tg_stage_pool *pool = pool_of(&o);
    struct tg_stage_pool_state seen;
    size_t n = 0;

    (void)state;
    for (uint64_t i = 0; i < 200; i++)
        put(pool, batch_of(i, ROWS));
    for (uint64_t i = 0; i < 200; i++) {
        struct tg_batch *b = take(pool);

        assert_non_null(b);
        assert_int_equal(b->seq, i);
        for (size_t k = 0; k < b->n; k++, n++) {
            assert_true(b->row[k].id % 2 == 1 && b->row[k].id % 5 != 0);
            assert_true(tg_str_eq(b->row[k].extra, TG_STR("{\"n\":15}")));
        }
        tg_batch_free(b);
    }
    tg_stage_pool_state(pool, &seen);
    assert_int_equal(n, 640);
    assert_int_equal(seen.failed, 160);
    assert_int_equal(seen.dropped, 960);
    assert_non_null(strstr(seen.failed_why, "attempt to compare number with nil"));
    tg_stage_pool_free(pool);
#else
    (void)state;
    skip();
#endif
}

/* What each worker's stages saw is told as one, whoever saw it. */
static void what_stages_gather_is_put_together(void **state)
{
    char path[] = "/tmp/tgdata-test-profile-XXXXXX", stage[80], text[200] = "";
    int64_t most_us = 50;
    const struct tg_step steps[] = { { .transform = dawdle, .ctx = &most_us },
                                     { .stage = "validate?field=id&min=8&severity=drop" },
                                     { .stage = "validate?field=views&required" },
                                     { .stage = stage } };
    const struct tg_stage_pool_options o = { steps, TG_COUNT(steps), 3, 3, NULL, NULL };
    struct tg_quality_result found = { 0 };
    struct tg_stage_pool *pool;
    FILE *file;
    int fd = mkstemp(path);

    (void)state;
    assert_true(fd >= 0);
    snprintf(stage, sizeof stage, "profile?drift=0&to=%s", path);
    pool = pool_of(&o);
    for (uint64_t i = 0; i < 40; i++)
        put(pool, batch_of(i, 8));
    for (uint64_t i = 0; i < 40; i++)
        tg_batch_free(take(pool));
    assert_int_equal(tg_stage_pool_end(pool, &(struct tg_stage_report){ .job = "some job" }, &found,
                                       &err), TG_OK);
    assert_int_equal(found.n_rules, 2);
    assert_int_equal(found.rows, 320);
    assert_int_equal(found.invalid, 320);
    assert_int_equal(found.rule[0].checked, 320);
    assert_int_equal(found.rule[0].broken, 8);
    assert_int_equal(found.rule[0].n_examples, 3);
    assert_int_equal(found.rule[1].checked, 312);
    assert_int_equal(found.rule[1].broken, 312);
    file = fopen(path, "r");
    assert_non_null(file);
    assert_true(fread(text, 1, sizeof text - 1, file) > 100);
    assert_non_null(strstr(text, "{\"job\":\"some job\""));
    assert_non_null(strstr(text, "\"rows\":312,\"deletions\":0,"));
    fclose(file);
    close(fd);
    unlink(path);
    tg_stage_pool_free(pool);
}

static void one_that_must_see_all_rows_is_refused(void **state)
{
    static const struct tg_step steps[] = { { .stage = "dedup?keys=text" } };
    const struct tg_stage_pool_options o = { steps, 1, 1, 1, NULL, NULL };
    struct tg_stage_pool *pool;

    (void)state;
    assert_int_equal(tg_stage_pool_new(&o, &pool, &err), TG_USAGE);
    assert_non_null(strstr(err.message, "'dedup' must see all rows"));
}

static void wrong_steps_are_told(void **state)
{
    static const struct {
        struct tg_step step;
        const char *says;
    } wrong[] = {
        { { .stage = "decode" }, "stage 'decode' has nothing to do here" },
        { { .stage = "nosuch" }, "there is no stage 'nosuch'" },
        { { 0 }, "step 1 is to be one of" },
        { { .stage = "enrich", .filter = odd_stays }, "step 1 is to be one of" },
    };

    (void)state;
    for (size_t i = 0; i < TG_COUNT(wrong); i++) {
        const struct tg_stage_pool_options o = { &wrong[i].step, 1, 1, 2, NULL, NULL };
        struct tg_stage_pool *pool;

        assert_int_equal(tg_stage_pool_new(&o, &pool, &err), TG_USAGE);
        assert_non_null(strstr(err.message, wrong[i].says));
    }
    tg_stage_pool_free(NULL);
}

static void fields_are_set_by_their_type(void **state)
{
    struct tg_batch *b = batch_of(1, 1);
    struct tg_row_edit edit = { b, &b->row[0] };

    (void)state;
    assert_int_equal(tg_row_set_int(&edit, TG_F_id, 1, &err), TG_USAGE);
    assert_string_equal(err.message, "the field id cannot be changed");
    assert_int_equal(tg_row_set_text(&edit, TG_F_change, "new", 3, &err), TG_USAGE);
    assert_int_equal(tg_row_unset(&edit, TG_F_before, &err), TG_USAGE);
    assert_int_equal(tg_row_set_int(&edit, TG_F_text, 1, &err), TG_USAGE);
    assert_int_equal(tg_row_set_text(&edit, TG_F_views, "1", 1, &err), TG_USAGE);
    assert_int_equal(tg_row_set_text(&edit, TG_F_text, "\xff", 1, &err), TG_DATA);
    assert_int_equal(tg_row_set_text(&edit, TG_F_extra, "{", 1, &err), TG_DATA);
    assert_int_equal(tg_row_set_int(&edit, TG_F_post, 2, &err), TG_DATA);
    assert_int_equal(tg_row_set_int(&edit, TG_F_post, 1, &err), TG_OK);
    assert_true(b->row[0].present & TG_ROW_BIT(post));
    assert_int_equal(tg_row_set_int(&edit, TG_F_post, 0, &err), TG_OK);
    assert_false(b->row[0].present & TG_ROW_BIT(post));
    assert_int_equal(tg_row_set_text(&edit, TG_F_extra, "{\"a\":1}", 7, &err), TG_OK);
    assert_true(tg_str_eq(b->row[0].extra, TG_STR("{\"a\":1}")));
    assert_int_equal(tg_row_set_text(&edit, TG_F_text, "", 0, &err), TG_OK);
    assert_true(b->row[0].present & TG_ROW_BIT(text) && b->row[0].text.len == 0);
    assert_int_equal(tg_row_unset(&edit, TG_F_text, &err), TG_OK);
    assert_false(tg_row_has(&b->row[0], TG_F_text));
    tg_batch_free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(steps_run_in_their_order),
        cmocka_unit_test(order_holds_whatever_a_batch_takes),
        cmocka_unit_test(wake_is_not_forgotten),
        cmocka_unit_test(workers_come_with_the_load_and_go),
        cmocka_unit_test(a_failure_stops_what_is_behind_it),
        cmocka_unit_test(without_steps_there_are_no_threads),
        cmocka_unit_test(programs_run_on_every_worker),
        cmocka_unit_test(what_stages_gather_is_put_together),
        cmocka_unit_test(one_that_must_see_all_rows_is_refused),
        cmocka_unit_test(wrong_steps_are_told),
        cmocka_unit_test(fields_are_set_by_their_type),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

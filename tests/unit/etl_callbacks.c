/* SPDX-License-Identifier: MIT */
/*
 * etl_callbacks.c - the destination is a callback that commits, or does not, what it is given
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/unit/etl_kit.h"

struct taker {
    size_t take_of[8];  /* rows taken of each batch; SIZE_MAX: all */
    tg_code end_at[8];  /* what is returned after it */
    bool silent;        /* the error is left as it was */
    size_t n;
    uint64_t seen[16];
    char checkpoint[8][64];
};

static tg_code take(void *ctx, struct tg_batch *b, struct tg_error *err)
{
    struct taker *t = ctx;
    struct tg_batch_info info;
    size_t i = t->n++, n;

    assert(i < TG_COUNT(t->take_of));
    tg_batch_info(b, &info);
    t->seen[i] = info.id;
    snprintf(t->checkpoint[i], sizeof t->checkpoint[i], "%s", info.checkpoint_id);
    n = TG_MIN(t->take_of[i], info.n);
    if (n && tg_batch_commit(b, n, err) != TG_OK)
        return err->code;
    if (t->end_at[i] != TG_OK && !t->silent)
        return tg_fail(err, t->end_at[i], "not this one");
    return t->end_at[i];
}

static void nothing_passes_what_a_callback_left(void **state)
{
    static const struct {
        const char *name;
        struct taker taker;
        tg_code code;
        uint64_t rows, batches;
        size_t calls;
        bool complete;
    } row[] = {
        { "all taken", { .take_of = { 100, 100, 100, 50 } }, TG_OK, 350, 4, 4, true },
        { "nothing taken", { .n = 0 }, TG_OK, 0, 0, 4, false },
        { "the second not", { .take_of = { 100 } }, TG_OK, 100, 1, 4, false },
        { "a part of it", { .take_of = { 100, 30 } }, TG_OK, 130, 1, 4, false },
        { "past rows that were left", { .take_of = { 100, 30, 100 } }, TG_USAGE, 130, 1, 3, false },
        { "refused", { .take_of = { 100, 0 }, .end_at = { TG_OK, TG_SINK } }, TG_SINK, 100, 1, 2,
          false },
        { "refused after a part", { .take_of = { 100, 20 }, .end_at = { TG_OK, TG_DATA } }, TG_DATA,
          120, 1, 2, false },
        { "refused without a word",
          { .take_of = { 100 }, .end_at = { TG_OK, TG_AGAIN }, .silent = true }, TG_SINK, 100, 1, 2,
          false },
        { "refused at once", { .end_at = { TG_CANCELLED } }, TG_CANCELLED, 0, 0, 1, false },
    };

    (void)state;
    for (int sink = 0; sink < 2; sink++) {
        for (size_t i = 0; i < TG_COUNT(row); i++) {
            struct taker taker = row[i].taker, all = { .take_of = { 0 } };
            struct tg_commit last = { 0 };
            struct tg_buf text;
            struct kit k;
            uint64_t number;

            for (size_t n = 0; n < TG_COUNT(all.take_of); n++)
                all.take_of[n] = SIZE_MAX;
            kit_start(&k, 1000, 100);
            if (!sink)
                k.options.sink = NULL;
            k.options.callback = take;
            k.options.callback_ctx = &taker;
            assert_int_equal(kit_extract(&k, 350), row[i].code);
            if (row[i].code != TG_OK)
                assert_true(k.err.message[0] != 0);
            number = kit_checkpoint(&k, &last, &text);
            if (number) {
                assert_int_equal(last.rows_total, row[i].rows);
                assert_int_equal(last.batches, row[i].batches);
                assert_int_equal(last.complete, row[i].complete);
                assert_int_equal(strstr(tg_buf_cstr(&text), "\"failed\"") != NULL,
                                 row[i].code != TG_OK);
            }
            assert_true(number > 0 || row[i].rows == 0);
            tg_buf_done(&text);
            assert_int_equal(taker.n, row[i].calls);
            assert_string_equal(taker.checkpoint[0], "");
            k.options.callback_ctx = &all; /* the next run gets the rest, by the same numbers */
            assert_int_equal(kit_extract(&k, 350), TG_OK);
            if (!row[i].complete)
                assert_int_equal(all.seen[0], row[i].batches + 1);
            kit_checkpoint(&k, &last, &text);
            tg_buf_done(&text);
            assert_true(last.complete && last.rows_total == 350);
            if (sink)
                kit_check_rows(&k, 350);
            kit_end(&k);
        }
    }
}

/* Takes each batch in two commits and looks, from the callback, what is durable after each. */
struct looking {
    struct kit *k;
    uint64_t rows;      /* committed so far */
    size_t failures;    /* commits that failed; the callback hides it */
    bool sink, swallow;
};

static void look(struct looking *l, bool complete)
{
    struct kit_commits all;
    struct tg_store other, mine = l->k->store;
    struct tg_commit last = { 0 };
    struct tg_buf text;

    assert_int_equal(tg_store_open(l->k->state, &other, &l->k->err), TG_OK);
    l->k->store = other; /* another process would see the same */
    assert_true(kit_checkpoint(l->k, &last, &text) > 0);
    l->k->store = mine;
    tg_store_close(&other);
    tg_buf_done(&text);
    assert_int_equal(last.rows_total, l->rows);
    assert_int_equal(last.complete, complete);
    if (!l->sink)
        return;
    kit_commits(l->k, CHAT, &all);
    assert_int_equal(all.at[all.n - 1].rows_total, l->rows);
    assert_true(test_same_commit(&all.at[all.n - 1], &last));
}

static tg_code take_and_look(void *ctx, struct tg_batch *b, struct tg_error *err)
{
    struct looking *l = ctx;
    struct tg_batch_info info;
    const size_t upto[] = { b->n / 2, b->n, b->n };

    for (size_t i = 0; i < TG_COUNT(upto); i++) {
        size_t before = b->n_taken;
        tg_code code = tg_batch_commit(b, upto[i], err);

        if (code != TG_OK) {
            l->failures++;
            return l->swallow ? TG_OK : code;
        }
        l->rows += upto[i] - before;
        look(l, b->last && upto[i] == b->n);
        tg_batch_info(b, &info);
        assert_string_not_equal(info.checkpoint_id, "");
    }
    assert_int_equal(tg_batch_commit(b, b->n + 1, err), TG_USAGE);
    assert_int_equal(tg_batch_commit(b, 0, err), b->n ? TG_USAGE : TG_OK);
    return TG_OK;
}

static void what_a_callback_commits_is_durable_at_once(void **state)
{
    (void)state;
    for (int sink = 0; sink < 2; sink++) {
        for (int64_t interval = 30; interval <= 3000; interval *= 10) {
            struct kit k;
            struct looking l = { .k = &k, .sink = sink };

            kit_start(&k, interval, 100);
            if (!sink)
                k.options.sink = NULL;
            k.options.callback = take_and_look;
            k.options.callback_ctx = &l;
            assert_int_equal(kit_extract(&k, 350), TG_OK);
            assert_int_equal(l.rows, 350);
            if (sink)
                kit_check_rows(&k, 350);
            kit_end(&k);
        }
    }
}

/* A failed commit ends the run, whatever the callback makes of it, and is never taken for done. */
static void a_commit_that_fails_is_told_and_ends_the_run(void **state)
{
    (void)state;
    for (uint64_t nth = 1;; nth++) {
        struct kit k;
        struct looking l = { .k = &k, .sink = true, .swallow = nth % 2 };
        struct tg_commit there;
        tg_code code;

        kit_start(&k, 1000, 100);
        tg_fs_memory_fail(k.memory, nth, TG_IO, true);
        k.options.callback = take_and_look;
        k.options.callback_ctx = &l;
        code = kit_extract(&k, 350);
        tg_fs_memory_fail(k.memory, 0, TG_IO, false);
        assert_true(code == TG_OK || code == TG_IO);
        assert_true(code == TG_OK ? l.failures == 0 : l.failures <= 1);
        kit_close(&k);
        tg_fs_memory_cut(k.memory, nth);
        kit_open(&k);
        kit_run(&k);
        assert_int_equal(kit_chat(&k, CHAT, &there), TG_OK);
        assert_true(there.rows_total >= l.rows); /* more: only its last sync failed */
        assert_int_equal(kit_finish(&k), TG_OK);
        kit_end(&k);
        if (code == TG_OK)
            break;
    }
}

static void a_batch_is_committed_inside_its_callback_only(void **state)
{
    struct tg_batch *b = tg_batch_new(5);
    struct tg_error err;

    (void)state;
    assert_int_equal(tg_batch_commit(b, 0, &err), TG_USAGE);
    tg_batch_free(b);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_passes_what_a_callback_left),
        cmocka_unit_test(what_a_callback_commits_is_durable_at_once),
        cmocka_unit_test(a_commit_that_fails_is_told_and_ends_the_run),
        cmocka_unit_test(a_batch_is_committed_inside_its_callback_only),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

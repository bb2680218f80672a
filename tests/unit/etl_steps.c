/* SPDX-License-Identifier: MIT */
/*
 * Steps before the destination: commits come by what was read and cover it, whatever is left of it;
 * what stages remember counts with the commits that cover its rows, and with no others.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/unit/etl_kit.h"

static struct tg_steps steps;
static struct tg_taker_steps at_work;
static struct tg_error err;

static bool is_even(void *ctx, const struct tg_row *row)
{
    (void)ctx;
    return row->id % 2 == 0;
}

static bool is_none(void *ctx, const struct tg_row *row)
{
    (void)ctx;
    (void)row;
    return false;
}

/* Rows 1..10 are of kind "a", 11..20 of "b", and so on, and then again. */
static tg_code name_kind(void *ctx, struct tg_row_edit *edit, struct tg_error *e)
{
    char kind = (char)('a' + (tg_row_edit_row(edit)->id - 1) / 10 % 20);

    (void)ctx;
    return tg_row_set_text(edit, TG_F_kind, &kind, 1, e);
}

static const struct tg_step evens[] = { { .filter = is_even } };
static const struct tg_step nothing[] = { { .filter = is_none } };
static const struct tg_step kinds[] = { { .transform = name_kind },
                                        { .stage = "dedup?keys=kind" } };

/* As a process that starts with these steps. */
static void begin(struct kit *k, const struct tg_step *step, size_t n)
{
    tg_steps_init(&steps);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(tg_steps_add(&steps, &step[i], &err), TG_OK);
    at_work = (struct tg_taker_steps){ .all = &steps };
    assert_int_equal(tg_taker_steps_open(&at_work, false, &err), TG_OK);
    k->options.steps = &at_work;
}

static void end(void)
{
    tg_taker_steps_close(&at_work);
    tg_steps_done(&steps);
}

struct ids {
    int64_t at[1000];
    size_t n;
};

static bool on_id(void *ctx, int64_t chat_id, int64_t id)
{
    struct ids *ids = ctx;

    (void)chat_id;
    assert_true(ids->n < TG_COUNT(ids->at));
    ids->at[ids->n++] = id;
    return true;
}

static void read_ids(struct kit *k, struct ids *ret)
{
    ret->n = 0;
    assert_int_equal(k->sink.ops->scan(k->sink.self, CHAT, on_id, ret, &k->err), TG_OK);
}

/* Of batches of 40 a commit every 25 rows that were read: pieces end in the middle of them. */
static void commits_come_by_what_was_read(void **state)
{
    static struct kit_commits commits;
    static struct ids ids;
    struct kit k;

    (void)state;
    kit_start(&k, 25, 40);
    begin(&k, evens, TG_COUNT(evens));
    assert_int_equal(kit_extract(&k, 110), TG_OK);
    kit_commits(&k, CHAT, &commits);
    for (size_t i = 0; i < commits.n; i++) {
        const struct tg_commit *c = &commits.at[i];
        uint64_t upto = TG_MIN(25 * (i + 1), 110);

        assert_int_equal(c->cursor.id, upto);
        assert_int_equal(c->covered_from, 25 * i + 1);
        assert_int_equal(c->rows_total, upto / 2);
    }
    assert_int_equal(commits.n, 5);
    read_ids(&k, &ids);
    assert_int_equal(ids.n, 55);
    for (size_t i = 0; i < ids.n; i++)
        assert_int_equal(ids.at[i], 2 * (i + 1));
    assert_int_equal(at_work.counts.dropped, 55);
    end();
    kit_end(&k);
}

static void a_chat_of_which_nothing_is_left(void **state)
{
    static struct kit_commits commits;
    struct tg_commit last;
    struct tg_buf text;
    struct kit k;

    (void)state;
    kit_start(&k, 25, 40);
    begin(&k, nothing, TG_COUNT(nothing));
    assert_int_equal(kit_extract(&k, 110), TG_OK);
    assert_int_equal(kit_checkpoint(&k, &last, &text), 5); /* it moved every 25 rows */
    tg_buf_done(&text);
    assert_int_equal(last.cursor.id, 110);
    assert_int_equal(last.rows_total, 0);
    assert_true(last.complete);
    kit_commits(&k, CHAT, &commits);
    assert_int_equal(commits.at[commits.n - 1].cursor.id, 110);
    assert_int_equal(commits.at[commits.n - 1].covered_from, 1);
    end();
    begin(&k, evens, TG_COUNT(evens));
    assert_int_equal(kit_extract(&k, 150), TG_OK); /* on behind that */
    kit_commits(&k, CHAT, &commits);
    assert_int_equal(commits.at[commits.n - 1].cursor.id, 150);
    assert_int_equal(commits.at[commits.n - 1].rows_total, 20);
    for (size_t i = 1; i < commits.n; i++)
        assert_true(commits.at[i].covered_from <= commits.at[i - 1].cursor.id + 1);
    end();
    kit_end(&k);
}

/* The checkpoint of commit number n cannot be written: the destination is ahead of it then. */
static void what_stages_remember_is_as_of_the_last_commit(void **state)
{
    static struct ids ids;

    (void)state;
    for (int nth = 1; nth < 14; nth++) {
        struct kit k;
        int failed = 0;
        bool fails = true;

        kit_start(&k, 25, 40);
        for (int run = 0; fails && run < 20; run++) {
            begin(&k, kinds, TG_COUNT(kinds));
            kit_break_store(&k, run % 2 ? 0 : nth, TG_STATE);
            fails = kit_extract(&k, 400) != TG_OK;
            failed += fails;
            k.store.ops = kit_bad_store.inner;
            end();
            kit_close(&k);
            atomic_fetch_add(&kit_clock_us, INT64_C(60000000)); /* its lease has ended */
            k.options.nonce++;
            kit_open(&k);
        }
        assert_true(!fails && failed == 1);
        read_ids(&k, &ids); /* kinds come again from 201 on */
        assert_int_equal(ids.n, 20);
        for (size_t i = 0; i < ids.n; i++)
            assert_int_equal(ids.at[i], 10 * i + 1);
        kit_end(&k);
    }
}

/* ---- callbacks ---- */

struct taker {
    size_t most; /* rows that are taken of a batch */
    bool left;   /* some were, in this run */
    struct ids ids;
};

static tg_code take(void *ctx, struct tg_batch *b, struct tg_error *e)
{
    struct taker *t = ctx;
    struct tg_batch_info info;
    size_t n;

    tg_batch_info(b, &info);
    n = t->left ? 0 : TG_MIN(info.n, t->most);
    t->left |= n < info.n;
    if (n && tg_batch_commit(b, n, e) != TG_OK)
        return e->code;
    for (size_t i = 0; i < n; i++)
        t->ids.at[t->ids.n++] = tg_batch_get(b, i)->id;
    return TG_OK;
}

/* What is left of a batch comes again and is not taken for what came before. What stages remember
 * of one that was taken in part is not kept: a kind may come once more then, none is missing. */
static void rows_that_a_callback_leaves(void **state)
{
    struct taker taker = { .most = 3 };
    struct tg_commit there = { 0 };
    bool seen[20] = { false };
    struct tg_buf text;
    struct kit k;

    (void)state;
    kit_start(&k, 1000, 100);
    k.options.callback = take;
    k.options.callback_ctx = &taker;
    for (int run = 0; run < 40 && !there.complete; run++) {
        struct kit_piece piece = { CHAT, 0, 400, 400, 0, true };
        uint64_t seq;

        taker.left = false;
        begin(&k, kinds, TG_COUNT(kinds));
        kit_run(&k);
        assert_int_equal(kit_chat(&k, CHAT, &there), TG_OK);
        piece.from = there.cursor.id + 1;
        seq = there.batches;
        kit_feed(&k, &piece, &seq);
        assert_true(kit_leave(&k, CHAT) >= 0);
        if (run == 0) { /* its stages have seen what was left */
            assert_int_equal(kit_chat(&k, CHAT, &there), TG_BUSY);
            assert_int_equal(kit_finish(&k), TG_BUSY);
        } else {
            assert_int_equal(kit_finish(&k), TG_OK);
        }
        end();
        kit_checkpoint(&k, &there, &text);
        tg_buf_done(&text);
    }
    assert_true(there.complete);
    for (size_t i = 0; i < taker.ids.n; i++) {
        assert_true(!i || taker.ids.at[i] > taker.ids.at[i - 1]);
        seen[(taker.ids.at[i] - 1) / 10 % 20] = true;
    }
    for (size_t i = 0; i < TG_COUNT(seen); i++)
        assert_true(seen[i]);
    assert_int_equal(there.rows_total, taker.ids.n);
    kit_end(&k);
}

/* ---- mistakes ---- */

static void steps_that_make_no_sense(void **state)
{
    static const struct tg_step row[][1] = {
        { { .stage = "decode" } },
        { { .stage = "none" } },
        { { .stage = "filter", .filter = is_even } },
        { { .ctx = NULL } },
    };
    (void)state;
    for (size_t i = 0; i < TG_COUNT(row); i++) {
        tg_code code;

        tg_steps_init(&steps);
        code = tg_steps_add(&steps, row[i], &err);
        at_work = (struct tg_taker_steps){ .all = &steps };
        if (code == TG_OK && i != 2) /* a step's text alone is looked at when steps are made */
            code = tg_taker_steps_open(&at_work, true, &err);
        else if (i == 2)
            code = tg_steps_open(row[i], 1, &at_work.live.stages, &err);
        assert_int_equal(code, TG_USAGE);
        assert_true(err.message[0] != 0);
        end();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(commits_come_by_what_was_read),
        cmocka_unit_test(a_chat_of_which_nothing_is_left),
        cmocka_unit_test(what_stages_remember_is_as_of_the_last_commit),
        cmocka_unit_test(rows_that_a_callback_leaves),
        cmocka_unit_test(steps_that_make_no_sense),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

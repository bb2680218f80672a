/* SPDX-License-Identifier: MIT */
/*
 * etl_pipeline.c - batches in, commits and checkpoints out: sizes, resumes, callbacks, leases
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/unit/etl_kit.h"

/* ---- sizes ---- */

static bool count_records(void *ctx, const char *key, const struct tg_doc *doc, const void *bytes,
                          size_t len)
{
    const char *at = bytes;
    size_t *n = ctx;

    (void)key;
    (void)doc;
    for (size_t i = 0; i + 22 <= len; i++)
        *n += memcmp(at + i, "\"status\":\"committed\"", 20) == 0;
    return true;
}

static void commits_come_at_the_interval(void **state)
{
    static const struct {
        int64_t interval, batch_size;
        size_t commits;
    } row[] = { { 100, 1000, 124 }, { 1000, 1000, 13 }, { 5000, 1000, 3 }, { 20000, 1000, 1 },
                { 1, 1, 20 },       { 7, 3, 3 },        { 3, 7, 7 } };

    (void)state;
    for (size_t i = 0; i < TG_COUNT(row); i++) {
        int64_t total = row[i].batch_size == 1000 ? 12345 : 20;
        size_t n_batches = (size_t)((total + row[i].batch_size - 1) / row[i].batch_size), n = 0;
        struct kit_commits all;
        struct tg_commit last;
        struct tg_buf text;
        struct kit k;

        kit_start(&k, row[i].interval, row[i].batch_size);
        assert_int_equal(kit_extract(&k, total), TG_OK);
        kit_check_rows(&k, total);
        kit_commits(&k, CHAT, &all);
        assert_int_equal(all.n, row[i].commits);
        for (size_t c = 0; c < all.n; c++) {
            int64_t before = (int64_t)c * row[i].interval;

            assert_int_equal(all.at[c].rows, TG_MIN(row[i].interval, total - before));
            assert_int_equal(all.at[c].covered_from, before + 1);
            assert_int_equal(all.at[c].cursor.id, before + (int64_t)all.at[c].rows);
            assert_int_equal(all.at[c].complete, c + 1 == all.n);
        }
        assert_int_equal(kit_checkpoint(&k, &last, &text), row[i].commits);
        assert_true(test_same_commit(&last, &all.at[all.n - 1]));
        assert_int_equal(last.batches, n_batches);
        tg_buf_done(&text);
        k.store.ops->history(k.store.self, "checkpoint", "job/-1009", count_records, &n, &k.err);
        assert_int_equal(n, n_batches);
        kit_end(&k);
    }
}

/* ---- resumes ---- */

/* Whatever fails at the destination and when: the next run goes on behind the last commit. */
static void a_failure_at_any_step_is_resumed(void **state)
{
    (void)state;
    for (int64_t interval = 50; interval <= 250; interval += 100) {
        for (uint64_t nth = 1;; nth++) {
            struct tg_commit last;
            struct tg_buf text;
            struct kit k;
            tg_code code;

            kit_start(&k, interval, 100);
            tg_fs_memory_fail(k.memory, nth, nth % 2 ? TG_FULL : TG_IO, true);
            code = kit_extract(&k, 730);
            tg_fs_memory_fail(k.memory, 0, TG_IO, false);
            if (code != TG_OK)
                assert_true(code == TG_FULL || code == TG_IO);
            kit_close(&k);
            if (nth % 3 == 0)
                tg_fs_memory_cut(k.memory, nth);
            kit_open(&k);
            assert_int_equal(kit_extract(&k, 730), TG_OK);
            kit_check_rows(&k, 730);
            assert_true(kit_checkpoint(&k, &last, &text) > 0);
            assert_true(last.complete && last.rows_total == 730 && last.cursor.id == 730);
            tg_buf_done(&text);
            kit_end(&k);
            if (code == TG_OK)
                break;
        }
    }
}

/* A store whose n-th document cannot be written. */
static struct {
    struct tg_store_ops ops;
    const struct tg_store_ops *inner;
    _Atomic int left;
    tg_code code;
} bad_store;

static tg_code bad_put(void *self, const char *kind, const char *key, uint64_t expect,
                       const struct tg_doc *stamp, const void *bytes, size_t len,
                       struct tg_error *err)
{
    if (atomic_fetch_sub(&bad_store.left, 1) == 1)
        return tg_fail(err, bad_store.code, "made to fail");
    return bad_store.inner->put(self, kind, key, expect, stamp, bytes, len, err);
}

static void break_store(struct kit *k, int nth, tg_code code)
{
    bad_store.inner = k->store.ops;
    bad_store.ops = *k->store.ops;
    bad_store.ops.put = bad_put;
    bad_store.code = code;
    atomic_store(&bad_store.left, nth);
    k->store.ops = &bad_store.ops;
}

static void a_destination_ahead_of_the_checkpoint_decides(void **state)
{
    (void)state;
    for (int nth = 1; nth <= 4; nth++) {
        struct tg_commit there, last;
        struct tg_buf text;
        struct kit k;

        kit_start(&k, 100, 100);
        break_store(&k, nth, TG_STATE);
        assert_int_equal(kit_extract(&k, 350), TG_STATE);
        k.store.ops = bad_store.inner;
        kit_close(&k);
        kit_open(&k);
        kit_run(&k);
        assert_int_equal(kit_chat(&k, CHAT, &there), TG_OK);
        assert_int_equal(there.seq, nth);
        assert_int_equal(kit_finish(&k), TG_OK);
        kit_checkpoint(&k, &last, &text);
        assert_true(test_same_commit(&there, &last));
        tg_buf_done(&text);
        assert_int_equal(kit_extract(&k, 350), TG_OK);
        kit_check_rows(&k, 350);
        kit_end(&k);
    }
}

/* Rows that were delivered and are not there: nothing is read, nothing is written. */
static void a_destination_behind_the_checkpoint_is_refused(void **state)
{
    static const struct tg_fence fence = { 50, 0 };
    static const struct tg_job_chat chat = { .id = CHAT, .title = "" };
    struct tg_commit there, before, last;
    struct tg_buf text;
    struct kit k;

    (void)state;
    for (uint64_t seq = 0; seq <= 2; seq++) {
        kit_start(&k, 100, 100);
        assert_int_equal(kit_extract(&k, 350), TG_OK);
        kit_checkpoint(&k, &before, &text);
        tg_buf_done(&text);
        assert_int_equal(k.sink.ops->rollback(k.sink.self, CHAT, &fence, seq, &k.err), TG_OK);
        for (int listed = 0; listed < 2; listed++) {
            struct kit_commits all;

            kit_close(&k);
            kit_open(&k);
            kit_run(&k);
            if (listed)
                assert_int_equal(tg_pipeline_list(k.pipeline, &chat, 1, &k.err), TG_OK);
            assert_int_equal(kit_chat(&k, CHAT, &there), TG_GAP);
            assert_non_null(strstr(k.err.hint, "rollback --number 0 --job job"));
            assert_int_equal(kit_finish(&k), TG_GAP);
            kit_commits(&k, CHAT, &all);
            assert_int_equal(all.n, seq);
            assert_int_equal(kit_checkpoint(&k, &last, &text), 4);
            tg_buf_done(&text);
            assert_true(test_same_commit(&before, &last));
        }
        kit_end(&k);
    }
}

static void another_destination_is_refused(void **state)
{
    static const struct tg_job_chat chat = { .id = CHAT, .title = "" };
    struct tg_commit there;
    struct kit k;

    (void)state;
    kit_start(&k, 100, 100);
    assert_int_equal(kit_extract(&k, 350), TG_OK);
    kit_close(&k);
    k.job.to = "ndjson:elsewhere";
    kit_open(&k);
    kit_run(&k);
    assert_int_equal(tg_pipeline_list(k.pipeline, &chat, 1, &k.err), TG_OK);
    assert_int_equal(kit_chat(&k, CHAT, &there), TG_USAGE);
    assert_non_null(strstr(k.err.message, "to ndjson:out, not to ndjson:elsewhere"));
    assert_int_equal(kit_finish(&k), TG_USAGE);
    kit_close(&k);
    k.job.to = "ndjson:out";
    kit_open(&k);
    assert_int_equal(kit_extract(&k, 400), TG_OK);
    kit_check_rows(&k, 400);
    kit_end(&k);
}

static void a_run_with_nothing_new_writes_nothing(void **state)
{
    struct kit_commits all;
    struct tg_commit last;
    struct tg_buf text;
    struct kit k;

    (void)state;
    kit_start(&k, 100, 100);
    for (int run = 0; run < 3; run++) {
        assert_int_equal(kit_extract(&k, 0), TG_OK); /* an empty chat is complete at once */
        kit_commits(&k, CHAT, &all);
        assert_int_equal(all.n, 1);
        assert_true(all.at[0].complete && all.at[0].rows == 0);
        assert_int_equal(kit_checkpoint(&k, &last, &text), 1);
        tg_buf_done(&text);
    }
    for (int run = 0; run < 3; run++) {
        assert_int_equal(kit_extract(&k, 130), TG_OK);
        kit_commits(&k, CHAT, &all);
        assert_int_equal(all.n, 2);
        assert_int_equal(kit_checkpoint(&k, &last, &text), 3);
        assert_true(last.complete);
        tg_buf_done(&text);
    }
    kit_end(&k);
}

/* ---- what commits cover ---- */

static void commits_without_rows_leave_no_gap(void **state)
{
    static const struct kit_piece piece[] = {
        { CHAT, 1, 150, 100, 0, true }, /* 101..150 are deleted */
        { CHAT, 151, 200, 0, 0, true },
        { CHAT, 201, 240, 0, 0, false },
        { CHAT, 241, 250, 250, 0, true },
        { CHAT, 251, 260, 0, 0, true },
    };
    struct tg_commit there;
    struct kit_commits all;
    struct kit k;

    (void)state;
    kit_start(&k, 1000, 1000);
    for (size_t i = 0; i < TG_COUNT(piece); i++) {
        uint64_t seq;

        kit_run(&k);
        assert_int_equal(kit_chat(&k, CHAT, &there), TG_OK);
        assert_int_equal(there.cursor.id, i ? piece[i - 1].to : 0);
        seq = there.batches;
        assert_true(kit_feed(&k, &piece[i], &seq));
        assert_int_equal(kit_finish(&k), TG_OK);
        kit_close(&k);
        kit_open(&k);
    }
    kit_commits(&k, CHAT, &all);
    assert_int_equal(all.n, 3);
    assert_int_equal(all.at[0].cursor.id, 150);
    assert_int_equal(all.at[1].covered_from, 151);
    assert_int_equal(all.at[1].cursor.id, 250);
    assert_int_equal(all.at[2].covered_from, 251);
    assert_int_equal(all.at[2].cursor.id, 260);
    kit_end(&k);
}

static void a_commit_never_spans_two_segments(void **state)
{
    static const struct kit_piece piece[] = {
        { CHAT, 1, 150, 150, 0, false }, { CHAT, 1, 80, 80, 1, true }, { CHAT, 81, 90, 90, 1, true }
    };
    struct kit_commits all;
    struct tg_commit there;
    uint64_t seq = 0;
    struct kit k;

    (void)state;
    kit_start(&k, 1000, 100);
    kit_run(&k);
    assert_int_equal(kit_chat(&k, CHAT, &there), TG_OK);
    assert_true(kit_feed(&k, &piece[0], &seq));
    assert_true(kit_feed(&k, &piece[1], &seq));
    assert_int_equal(kit_finish(&k), TG_OK);
    kit_run(&k);
    assert_int_equal(kit_chat(&k, CHAT, &there), TG_OK);
    assert_int_equal(there.cursor.segment, 1);
    assert_int_equal(there.cursor.id, 80);
    assert_true(kit_feed(&k, &piece[2], &seq));
    assert_int_equal(kit_finish(&k), TG_OK);
    kit_commits(&k, CHAT, &all);
    assert_int_equal(all.n, 3);
    assert_int_equal(all.at[0].cursor.segment, 0);
    assert_int_equal(all.at[0].rows, 150);
    assert_false(all.at[0].complete);
    assert_int_equal(all.at[1].cursor.segment, 1);
    assert_int_equal(all.at[1].covered_from, 1);
    assert_int_equal(all.at[1].rows, 80);
    assert_int_equal(all.at[2].covered_from, 81);
    kit_end(&k);
}

static void a_chat_that_is_left_commits_what_is_left(void **state)
{
    static const struct kit_piece first = { CHAT, 1, 60, 60, 0, false },
                                  second = { 12, 1, 30, 30, 0, true };
    struct kit_commits all;
    struct tg_commit there;
    uint64_t seq = 0;
    struct kit k;

    (void)state;
    kit_start(&k, 1000, 100);
    kit_run(&k);
    assert_int_equal(kit_chat(&k, CHAT, &there), TG_OK);
    assert_true(kit_feed(&k, &first, &seq));
    seq = 0;
    assert_int_equal(kit_leave(&k, CHAT), 60);
    assert_int_equal(kit_chat(&k, 12, &there), TG_OK);
    assert_true(kit_feed(&k, &second, &seq));
    assert_int_equal(kit_finish(&k), TG_OK);
    kit_commits(&k, CHAT, &all);
    assert_int_equal(all.n, 1);
    assert_int_equal(all.at[0].rows, 60);
    assert_false(all.at[0].complete);
    kit_commits(&k, 12, &all);
    assert_int_equal(all.n, 1);
    assert_true(all.at[0].complete);
    kit_end(&k);
}

/* Chats side by side, cut off by a failure anywhere: each goes on behind its own last commit. */
static void chats_at_once_have_commits_of_their_own(void **state)
{
    enum { CHATS = 5, ROWS = 230, PIECE = 30 };

    (void)state;
    for (uint64_t nth = 1;; nth += 3) {
        struct kit_commits all;
        struct tg_commit there;
        bool whole = true;
        struct kit k;

        kit_start(&k, 70, 20);
        for (int run = 0; run < 2; run++) {
            struct kit_piece piece[CHATS];
            uint64_t seq[CHATS];
            int left = 0;

            k.options.n_chats = CHATS;
            kit_run(&k);
            if (run == 0)
                tg_fs_memory_fail(k.memory, nth, TG_FULL, true);
            whole = true;
            for (int c = 0; c < CHATS && whole; c++) {
                whole = kit_chat(&k, 100 + c, &there) == TG_OK;
                piece[c] = (struct kit_piece){ .chat_id = 100 + c, .to = there.cursor.id };
                seq[c] = there.batches;
            }
            for (int c = 0; c < CHATS && whole; c++)
                left += piece[c].to < ROWS;
            while (left && whole) {
                for (int c = 0; c < CHATS && whole; c++) {
                    if (piece[c].to == ROWS)
                        continue;
                    piece[c].from = piece[c].to + 1;
                    piece[c].to = piece[c].rows_to = TG_MIN(piece[c].to + PIECE + c, ROWS);
                    piece[c].last = piece[c].to == ROWS;
                    whole = kit_feed(&k, &piece[c], &seq[c]);
                    left -= piece[c].last;
                    if (whole && piece[c].last)
                        whole = kit_leave(&k, 100 + c) >= 0;
                }
            }
            whole = kit_finish(&k) == TG_OK;
            tg_fs_memory_fail(k.memory, 0, TG_IO, false);
            if (run == 0 && whole)
                break;
            kit_close(&k);
            kit_open(&k);
        }
        assert_true(whole);
        for (int c = 0; c < CHATS; c++) {
            kit_commits(&k, 100 + c, &all);
            assert_true(all.at[all.n - 1].complete);
            assert_int_equal(all.at[all.n - 1].rows_total, ROWS);
            for (size_t i = 0, from = 1; i < all.n; from = (size_t)all.at[i++].cursor.id + 1)
                assert_int_equal(all.at[i].covered_from, from);
        }
        kit_end(&k);
        if (nth > 400)
            break;
    }
}

/* ---- callbacks ---- */

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

/* ---- leases ---- */

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
    return bad_store.inner->lease(self, name, now_us, ttl_us, lease, err);
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
    break_store(&k, 0, TG_OK);
    bad_store.ops.lease = refused_lease;
    atomic_store(&lease_refusals, 0);
    kit_run(&k);
    assert_int_equal(kit_chat(&k, CHAT, &there), TG_OK);
    for (size_t i = 0; i < TG_COUNT(piece); i++) {
        assert_true(kit_feed(&k, &piece[i], &seq));
        kit_idle(&k);
        atomic_fetch_add(&kit_clock_us, 10500 * TG_MS_US / (i + 1));
    }
    assert_int_equal(kit_finish(&k), TG_OK);
    k.store.ops = bad_store.inner;
    assert_true(atomic_load(&lease_refusals) > 0);
    kit_check_rows(&k, 300);
    kit_end(&k);
}

/* ---- credit, quarantine ---- */

static void credit_is_counted_in_batches_and_bytes(void **state)
{
    struct tg_batch *b[9];
    struct tg_commit there;
    size_t n = 0;
    struct kit k;

    (void)state;
    kit_start(&k, 100, 100);
    k.job.credit_bytes = 5000;
    kit_run(&k);
    while (n < TG_COUNT(b) && (b[n] = tg_pipeline_batch(k.pipeline)) != NULL)
        n++;
    assert_int_equal(n, 8);
    while (n)
        tg_pipeline_return(k.pipeline, b[--n]);
    assert_int_equal(kit_chat(&k, CHAT, &there), TG_OK);
    for (int64_t i = 0; i < 50; i++) { /* each is more than all credit, and passes alone */
        struct kit_piece piece = { CHAT, i * 100 + 1, i * 100 + 100, i * 100 + 100, 0, i == 49 };
        uint64_t seq = (uint64_t)i;

        assert_true(kit_feed(&k, &piece, &seq));
    }
    kit_idle(&k);
    while (n < TG_COUNT(b) && (b[n] = tg_pipeline_batch(k.pipeline)) != NULL)
        n++;
    assert_int_equal(n, 8);
    while (n)
        tg_pipeline_return(k.pipeline, b[--n]);
    assert_int_equal(kit_finish(&k), TG_OK);
    kit_check_rows(&k, 5000);
    kit_end(&k);
}

static bool count_docs(void *ctx, const char *key, const struct tg_doc *doc, const void *bytes,
                       size_t len)
{
    size_t *n = ctx;

    (void)key;
    (void)bytes;
    assert_int_equal(doc->version, 1);
    assert_true(len > 10);
    (*n)++;
    return true;
}

static void a_bad_record_is_kept_once(void **state)
{
    struct tg_commit there;
    size_t n = 0;
    struct kit k;

    (void)state;
    kit_start(&k, 100, 100);
    for (int run = 0; run < 2; run++) {
        kit_run(&k);
        assert_int_equal(kit_chat(&k, CHAT, &there), TG_OK);
        for (int again = 0; again < 2; again++) {
            assert_int_equal(tg_pipeline_quarantine(k.pipeline, CHAT, 7, "odd", "\1\2\3", 3,
                                                    &k.err), TG_OK);
            assert_int_equal(tg_pipeline_quarantine(k.pipeline, CHAT, 0, "odd", "user a", 6,
                                                    &k.err), TG_OK);
            assert_int_equal(tg_pipeline_quarantine(k.pipeline, CHAT, 0, "odd", "user b", 6,
                                                    &k.err), TG_OK);
        }
        assert_int_equal(kit_finish(&k), TG_OK);
    }
    k.store.ops->list(k.store.self, "quarantine", "job/-1009/", count_docs, &n, &k.err);
    assert_int_equal(n, 3);
    kit_end(&k);
}

static void after_a_failure_nothing_more_is_taken(void **state)
{
    static const struct kit_piece first = { CHAT, 1, 100, 100, 0, false },
                                  more = { CHAT, 101, 3000, 3000, 0, true };
    struct tg_pipeline_state told;
    struct tg_commit there;
    uint64_t seq = 0;
    struct kit k;

    (void)state;
    kit_start(&k, 100, 100);
    kit_run(&k);
    assert_int_equal(kit_chat(&k, CHAT, &there), TG_OK);
    assert_true(kit_feed(&k, &first, &seq));
    kit_idle(&k);
    tg_fs_memory_fail(k.memory, 3, TG_FULL, true);
    assert_false(kit_feed(&k, &more, &seq));
    kit_idle(&k);
    tg_pipeline_state(k.pipeline, &told);
    assert_true(told.failed && told.n_out == 0 && told.rows == 100);
    assert_null(tg_pipeline_batch(k.pipeline));
    assert_int_equal(tg_pipeline_resume(k.pipeline, CHAT, &there, &k.err), TG_FULL);
    tg_fs_memory_fail(k.memory, 0, TG_FULL, false);
    assert_int_equal(kit_finish(&k), TG_FULL);
    kit_check_rows(&k, 100);
    kit_end(&k);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(commits_come_at_the_interval),
        cmocka_unit_test(a_failure_at_any_step_is_resumed),
        cmocka_unit_test(a_destination_ahead_of_the_checkpoint_decides),
        cmocka_unit_test(a_destination_behind_the_checkpoint_is_refused),
        cmocka_unit_test(another_destination_is_refused),
        cmocka_unit_test(a_run_with_nothing_new_writes_nothing),
        cmocka_unit_test(commits_without_rows_leave_no_gap),
        cmocka_unit_test(a_commit_never_spans_two_segments),
        cmocka_unit_test(a_chat_that_is_left_commits_what_is_left),
        cmocka_unit_test(chats_at_once_have_commits_of_their_own),
        cmocka_unit_test(nothing_passes_what_a_callback_left),
        cmocka_unit_test(what_a_callback_commits_is_durable_at_once),
        cmocka_unit_test(a_commit_that_fails_is_told_and_ends_the_run),
        cmocka_unit_test(a_batch_is_committed_inside_its_callback_only),
        cmocka_unit_test(a_job_runs_once_at_a_time),
        cmocka_unit_test(workers_share_a_job_chat_by_chat),
        cmocka_unit_test(a_run_that_lost_its_lease_stops),
        cmocka_unit_test(a_store_that_is_away_for_a_moment_is_asked_again),
        cmocka_unit_test(credit_is_counted_in_batches_and_bytes),
        cmocka_unit_test(a_bad_record_is_kept_once),
        cmocka_unit_test(after_a_failure_nothing_more_is_taken),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

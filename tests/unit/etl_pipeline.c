/* SPDX-License-Identifier: MIT */
/*
 * etl_pipeline.c - batches in, commits and checkpoints out: sizes, resumes, coverage, credit
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

static void a_destination_ahead_of_the_checkpoint_decides(void **state)
{
    (void)state;
    for (int nth = 1; nth <= 4; nth++) {
        struct tg_commit there, last;
        struct tg_buf text;
        struct kit k;

        kit_start(&k, 100, 100);
        kit_break_store(&k, nth, TG_STATE);
        assert_int_equal(kit_extract(&k, 350), TG_STATE);
        k.store.ops = kit_bad_store.inner;
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
        cmocka_unit_test(credit_is_counted_in_batches_and_bytes),
        cmocka_unit_test(a_bad_record_is_kept_once),
        cmocka_unit_test(after_a_failure_nothing_more_is_taken),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

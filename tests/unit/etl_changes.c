/* SPDX-License-Identifier: MIT */
/*
 * etl_changes.c - jobs of changes: one batch is one commit, and what is noted with it counts if and
 * only if the destination has that commit
 *
 * A batch is three changes, four changes or none, in turn; its note tells up to which change the
 * job has come. So what was noted can be held against the rows that are there.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "etl/change_journal.h"
#include "tgdata/transform.h"
#include "tests/seeds.h"
#include "tests/unit/etl_kit.h"

enum { CHANGES = TG_CHAT_CHANGES, NOTE = 4000 };

static size_t size_of(uint64_t batch)
{
    return (size_t[]){ 3, 4, 0 }[batch % 3];
}

/* The note of batch k: how far the job has come, and bytes that no text has. */
static size_t put_note(char out[NOTE], uint64_t batch, int64_t upto)
{
    size_t len = batch % 5 ? 8 : NOTE;

    memset(out, (int)batch, len);
    tg_put_le64(out, (uint64_t)upto);
    return len;
}

static void fill(struct tg_batch *b, uint64_t batch, int64_t first)
{
    char note[NOTE];
    int64_t upto = first + (int64_t)size_of(batch) - 1;

    test_rows(b, CHANGES, first, size_of(batch));
    for (size_t i = 0; i < b->n; i++) {
        struct tg_row *row = &b->row[i];

        row->chat_id = -1000 - (int64_t)(batch + i) % 5;
        TG_ROW_SET(row, change, TG_STR("new"));
        TG_ROW_SET(row, change_seq, first + (int64_t)i);
        row->id = 1 + (int64_t)((batch * 7 + i) % 11); /* the same messages again and again */
    }
    b->seq = batch;
    b->cursor = (struct tg_cursor){ .chat_id = CHANGES,
                                    .segment = TG_SEGMENT_CHANGES,
                                    .id = upto };
    b->covered_from = first;
    b->note = tg_batch_text(b, note, put_note(note, batch, upto));
    b->started_us = 1000000;
    b->ended_us = 2500000;
}

/* Feeds n batches behind `first` - 1 changes. @return false if the pipeline ended before */
static bool feed(struct kit *k, uint64_t batch, int64_t first, int n)
{
    while (n > 0) {
        struct tg_pipeline_state state;
        uint64_t seen = kit_woken(k);
        struct tg_batch *b = tg_pipeline_batch(k->pipeline);

        if (!b) {
            tg_pipeline_state(k->pipeline, &state);
            if (state.failed)
                return false;
            kit_wait(k, seen);
            continue;
        }
        fill(b, batch, first);
        first += (int64_t)size_of(batch++);
        tg_pipeline_put(k->pipeline, b);
        n--;
    }
    return true;
}

/* ---- what is there ---- */

struct noted {
    uint64_t seq;
    int64_t upto;
    bool odd;
};

static bool seen_note(void *ctx, uint64_t seq, const void *note, size_t len)
{
    struct noted *n = ctx;
    char want[NOTE];

    n->upto = (int64_t)tg_le64(note);
    n->odd |= seq != ++n->seq || len != put_note(want, seq, n->upto) || memcmp(note, want, len);
    return true;
}

static tg_code count_rows(void *ctx, struct tg_batch *b, struct tg_error *err)
{
    int64_t *n = ctx;

    (void)err;
    for (size_t i = 0; i < b->n; i++)
        assert_int_equal(b->row[i].change_seq, ++*n);
    return TG_OK;
}

/* Rows and notes up to commit n, which is the destination's last, tell the same. */
static void check(struct kit *k, const struct tg_commit *there)
{
    const struct tg_cursor start = { .chat_id = CHANGES };
    struct tg_batch *b = tg_batch_new(100);
    struct noted noted = { 0 };
    int64_t n = 0;

    assert_int_equal(tg_change_journal_read(&k->store, "job", 0, there->seq, seen_note, &noted,
                                            &k->err), TG_OK);
    assert_false(noted.odd);
    assert_int_equal(noted.seq, there->seq);
    assert_int_equal(noted.upto, there->cursor.id);
    if (there->seq)
        assert_int_equal(k->sink.ops->read(k->sink.self, CHANGES, &start, b, count_rows, &n,
                                           &k->err), TG_OK);
    assert_int_equal(n, there->cursor.id);
    assert_int_equal(there->rows_total, n);
    tg_batch_free(b);
}

/* A run of n batches behind what is there. *ret: where it stood before */
static tg_code run(struct kit *k, int n, struct tg_commit *ret)
{
    tg_code code;

    kit_run(k);
    code = kit_chat(k, CHANGES, ret);
    if (code == TG_OK) {
        check(k, ret);
        feed(k, ret->seq + 1, ret->cursor.id + 1, n);
    }
    return kit_finish(k);
}

static bool count_entry(void *ctx, const struct tg_log_entry *entry)
{
    (void)entry;
    ++*(int *)ctx;
    return true;
}

static int n_entries(struct kit *k)
{
    int n = 0;

    assert_int_equal(k->store.ops->read(k->store.self, "changes", "job", 1, count_entry, &n,
                                        &k->err), TG_OK);
    return n;
}

/* ---- commits ---- */

static void a_batch_is_a_commit(void **state)
{
    (void)state;
    for (int64_t interval = 1; interval <= 1000; interval *= 10) {
        struct kit_commits all;
        struct tg_commit last;
        struct kit k;

        kit_start(&k, interval, 4);
        assert_int_equal(run(&k, 30, &last), TG_OK);
        kit_run(&k);
        assert_int_equal(kit_chat(&k, CHANGES, &last), TG_OK);
        assert_int_equal(last.seq, 30);
        assert_int_equal(last.cursor.id, 70);
        assert_int_equal(last.cursor.segment, TG_SEGMENT_CHANGES);
        check(&k, &last);
        assert_int_equal(kit_finish(&k), TG_OK);
        kit_commits(&k, CHANGES, &all);
        for (size_t i = 0; i < all.n; i++)
            assert_int_equal(all.at[i].rows, size_of(all.at[i].seq));
        kit_end(&k);
    }
}

/* Whatever fails and when, at the destination or in the state store. */
static void what_is_noted_is_what_is_there(void **state)
{
    (void)state;
    for (int where = 0; where < 2; where++) {
        for (uint64_t nth = 1;; nth++) {
            struct tg_commit before, last;
            struct kit k;
            tg_code code;

            kit_start(&k, 10, 4);
            if (where)
                kit_break_store(&k, (int)nth, TG_STATE);
            else
                tg_fs_memory_fail(k.memory, nth, nth % 2 ? TG_FULL : TG_IO, true);
            code = run(&k, 12, &before);
            if (where)
                k.store.ops = kit_bad_store.inner;
            tg_fs_memory_fail(k.memory, 0, TG_IO, false);
            kit_close(&k);
            if (nth % 3 == 0)
                tg_fs_memory_cut(k.memory, nth);
            kit_open(&k);
            assert_int_equal(run(&k, 12, &before), TG_OK);
            assert_true(code != TG_OK || before.seq == 12);
            assert_int_equal(run(&k, 0, &last), TG_OK);
            assert_int_equal(last.seq, before.seq + 12);
            assert_int_equal(n_entries(&k), (int)last.seq); /* none is left of a commit not made */
            kit_end(&k);
            if (code == TG_OK)
                break;
        }
    }
}

/* A store that fails at the n-th call which writes, made before it fails or not, and from then on:
 * as if the process was killed there. */
static struct {
    struct tg_store_ops ops;
    const struct tg_store_ops *inner;
    atomic_int left;
    bool made;
} dying;

/* @return whether the call is made */
static bool lives(bool *ret_told)
{
    int left = atomic_fetch_sub(&dying.left, 1);

    *ret_told = left > 1;
    return left > 1 || (left == 1 && dying.made);
}

static tg_code dying_put(void *self, const char *kind, const char *key, uint64_t expect,
                         const struct tg_doc *stamp, const void *bytes, size_t len,
                         struct tg_error *err)
{
    bool told;
    tg_code code = TG_OK;

    if (lives(&told))
        code = dying.inner->put(self, kind, key, expect, stamp, bytes, len, err);
    return told ? code : tg_fail(err, TG_STATE, "killed");
}

static tg_code dying_append(void *self, const char *kind, const char *key, int64_t at_us,
                            const void *bytes, size_t len, uint64_t *ret_n, struct tg_error *err)
{
    bool told;
    tg_code code = TG_OK;

    if (lives(&told))
        code = dying.inner->append(self, kind, key, at_us, bytes, len, ret_n, err);
    return told ? code : tg_fail(err, TG_STATE, "killed");
}

static tg_code dying_drop(void *self, const char *kind, const char *key, uint64_t from,
                          uint64_t to, struct tg_error *err)
{
    bool told;
    tg_code code = TG_OK;

    if (lives(&told))
        code = dying.inner->drop(self, kind, key, from, to, err);
    return told ? code : tg_fail(err, TG_STATE, "killed");
}

static void make_dying(struct kit *k, int nth, bool made)
{
    dying.inner = k->store.ops;
    dying.ops = *k->store.ops;
    dying.ops.put = dying_put;
    dying.ops.append = dying_append;
    dying.ops.drop = dying_drop;
    dying.made = made;
    atomic_store(&dying.left, nth);
    k->store.ops = &dying.ops;
}

/* Again and again, at either side; each run begins where rows and notes tell the same. */
static void killed_again_and_again(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 60; seed++) {
        struct random random = { seed };
        struct tg_commit there;
        struct kit k;
        uint64_t before;

        kit_start(&k, 10, 4);
        for (int kill = 0; kill < 6; kill++) {
            uint32_t nth = 1 + below(&random, 40);
            bool store = chance(&random, 50);

            if (store)
                make_dying(&k, (int)nth, chance(&random, 50));
            else
                tg_fs_memory_fail(k.memory, nth, TG_IO, true);
            run(&k, 15, &there); /* checks what it finds */
            if (store)
                k.store.ops = dying.inner;
            tg_fs_memory_fail(k.memory, 0, TG_IO, false);
            kit_close(&k);
            if (chance(&random, 50))
                tg_fs_memory_cut(k.memory, draw(&random));
            kit_open(&k);
            atomic_fetch_add(&kit_clock_us, 60 * TG_SECOND_US); /* its lease has ended */
        }
        if (run(&k, 10, &there) != TG_OK)
            fail_msg("seed %d: %s", (int)seed, k.err.message);
        before = there.seq;
        assert_int_equal(run(&k, 0, &there), TG_OK);
        if (there.seq != before + 10)
            fail_msg("seed %d: commit %d", (int)seed, (int)there.seq);
        kit_end(&k);
    }
}

static struct {
    const struct tg_sink_ops *files;
    struct tg_sink_ops ops;
    atomic_int fails;
} away;

static tg_code away_commit(void *self, const struct tg_commit *commit, struct tg_error *err)
{
    if (atomic_fetch_sub(&away.fails, 1) > 0)
        return tg_fail(err, TG_SINK, "not now");
    return away.files->commit(self, commit, err);
}

/* Notes of batches that wait in a file come with them; what is tried again is noted once. */
static void notes_are_spilled_with_their_batches(void **state)
{
    struct tg_pipeline_state told;
    struct tg_commit last;
    struct kit k;

    (void)state;
    kit_start(&k, 10, 4);
    away.files = k.sink.ops;
    away.ops = *k.sink.ops;
    away.ops.disk = false;
    away.ops.commit = away_commit;
    k.sink.ops = &away.ops;
    k.options.sink_wait_ms = 3600000;
    k.options.sink_pause_us = 2 * TG_MS_US;
    k.options.spill_bytes = 1 << 20;
    kit_run(&k);
    assert_int_equal(kit_chat(&k, CHANGES, &last), TG_OK);
    atomic_store(&away.fails, 1000000);
    assert_true(feed(&k, 1, 1, 100));
    tg_pipeline_state(k.pipeline, &told);
    assert_true(told.spilled > 50);
    atomic_store(&away.fails, 5);
    assert_int_equal(kit_finish(&k), TG_OK);
    k.sink.ops = away.files;
    assert_int_equal(run(&k, 0, &last), TG_OK);
    assert_int_equal(last.seq, 100);
    assert_int_equal(n_entries(&k), 100);
    kit_end(&k);
}

static tg_code take_some(void *ctx, struct tg_batch *b, struct tg_error *err)
{
    struct tg_error why;

    (void)err;
    if (b->n)
        assert_int_equal(tg_batch_commit(b, b->n - 1, &why), TG_USAGE);
    *(uint64_t *)ctx += b->n;
    return tg_batch_commit(b, b->n, err);
}

static void a_callback_commits_whole_batches(void **state)
{
    struct tg_commit last;
    uint64_t n = 0;
    struct kit k;

    (void)state;
    kit_start(&k, 10, 4);
    k.options.callback = take_some;
    k.options.callback_ctx = &n;
    assert_int_equal(run(&k, 9, &last), TG_OK);
    assert_int_equal(n, 21);
    assert_int_equal(run(&k, 0, &last), TG_OK);
    assert_int_equal(last.seq, 9);
    kit_end(&k);
}

/* ---- transformed ---- */

struct log {
    char dir[64], from[96], to[96];
    struct tg_sink_env env;
    struct tg_commit last;
};

/* Appends n batches to a log of changes in files. */
static void log_changes(struct log *l, int n)
{
    struct tg_batch *b = tg_batch_new(4);
    struct tg_sink sink;
    struct tg_error err;
    tg_code code;

    assert_int_equal(tg_sink_open(l->from, &l->env, &sink, &err), TG_OK);
    code = sink.ops->attach(sink.self, CHANGES, &test_fence, &l->last, &err);
    assert_true(code == TG_OK || code == TG_END);
    while (n-- > 0) {
        struct tg_commit next = l->last;

        fill(b, l->last.seq + 1, l->last.cursor.id + 1);
        next.cursor = b->cursor;
        next.covered_from = b->covered_from;
        next.seq++;
        next.rows = b->n;
        next.rows_total += b->n;
        assert_int_equal(sink.ops->write(sink.self, b, 0, b->n, &err), TG_OK);
        assert_int_equal(sink.ops->commit(sink.self, &next, &err), TG_OK);
        l->last = next;
    }
    tg_sink_close(&sink);
    tg_batch_free(b);
}

/* @return rows that came */
static uint64_t transform_log(const struct log *l)
{
    static const char *const stage[] = { "enrich" };
    const struct tg_transform_request request = { .from = l->from, .stage = stage, .n_stages = 1 };
    const struct tg_transform_hooks hooks = { .ctx = NULL };
    struct tg_config *config = tg_config_new();
    struct tg_transform_result result;
    struct tg_transform *t;
    struct tg_error err;
    char state[96];

    snprintf(state, sizeof state, "sqlite:%s/state", l->dir);
    assert_int_equal(tg_config_set(config, "to", l->to, &err), TG_OK);
    assert_int_equal(tg_config_set(config, "state", state, &err), TG_OK);
    assert_int_equal(tg_config_set(config, "job", "world", &err), TG_OK);
    assert_int_equal(tg_transform_new(config, &request, &t, &err), TG_OK);
    if (tg_transform_run(t, &hooks, &result, &err) != TG_OK)
        fail_msg("%s", err.message);
    tg_transform_free(t);
    tg_config_free(config);
    return result.rows;
}

static tg_code count_enriched(void *ctx, struct tg_batch *b, struct tg_error *err)
{
    uint64_t *n = ctx;

    (void)err;
    for (size_t i = 0; i < b->n; i++)
        assert_true(b->row[i].word_count > 0 && b->row[i].change_seq > 0);
    *n += b->n;
    return TG_OK;
}

/* Each row once into another log, each message once into a table. */
static void a_log_of_changes_is_transformed(void **state)
{
    static const char *const to[] = { "ndjson", "sqlite" };
    const struct tg_cursor start = { .chat_id = CHANGES };

    (void)state;
    for (size_t i = 0; i < TG_COUNT(to); i++) {
        struct log l = { .env = { .job = "log", .fs = &tg_fs_system, .unix_us = test_unix_us } };
        struct tg_batch *b = tg_batch_new(10);
        struct tg_sink sink;
        struct tg_error err;
        char command[96];
        uint64_t n = 0;

        snprintf(l.dir, sizeof l.dir, "/tmp/tg_log_XXXXXX");
        assert_non_null(mkdtemp(l.dir));
        snprintf(l.from, sizeof l.from, "ndjson:%s/log", l.dir);
        snprintf(l.to, sizeof l.to, "%s:%s/world", to[i], l.dir);
        log_changes(&l, 60);
        assert_int_equal(transform_log(&l), 140);
        assert_int_equal(transform_log(&l), 0);
        log_changes(&l, 30);
        assert_int_equal(transform_log(&l), 70);
        l.env.job = "world";
        assert_int_equal(tg_sink_open(l.to, &l.env, &sink, &err), TG_OK);
        assert_int_equal(sink.ops->read(sink.self, CHANGES, &start, b, count_enriched, &n, &err),
                         TG_OK);
        assert_int_equal(n, i ? 55 : 210); /* 5 chats, 11 ids */
        tg_sink_close(&sink);
        tg_batch_free(b);
        snprintf(command, sizeof command, "rm -r %s", l.dir);
        assert_int_equal(system(command), 0);
    }
}

/* ---- the journal alone ---- */

static void add(struct kit *k, uint64_t seq, uint64_t fence, int64_t upto)
{
    char note[NOTE];
    struct tg_change_entry entry = { seq, fence, { note, 0 } };

    entry.note.len = (uint32_t)put_note(note, seq, upto);
    assert_int_equal(tg_change_journal_append(&k->store, "job", &entry, 1, &k->err), TG_OK);
}

static tg_code noted_upto(struct kit *k, uint64_t after, uint64_t upto, int64_t *ret)
{
    struct noted noted = { .seq = after };
    tg_code code = tg_change_journal_read(&k->store, "job", after, upto, seen_note, &noted,
                                          &k->err);

    assert_false(noted.odd);
    *ret = noted.upto;
    return code;
}

static void of_several_entries_the_newest_writers_counts(void **state)
{
    int64_t upto;
    struct kit k;

    (void)state;
    kit_start(&k, 10, 4);
    assert_int_equal(noted_upto(&k, 0, 0, &upto), TG_OK);
    assert_int_equal(noted_upto(&k, 0, 1, &upto), TG_GAP);
    add(&k, 1, 5, 10);
    add(&k, 2, 5, 20);
    add(&k, 3, 5, 30); /* never committed */
    add(&k, 3, 6, 31); /* not either */
    add(&k, 3, 7, 32);
    add(&k, 3, 7, 33); /* told as failed, though it was made: written again */
    add(&k, 3, 5, 34); /* by one that had slept */
    add(&k, 4, 5, 44);
    assert_int_equal(noted_upto(&k, 0, 3, &upto), TG_OK);
    assert_int_equal(upto, 33);
    add(&k, 4, 7, 40);
    assert_int_equal(noted_upto(&k, 0, 4, &upto), TG_OK);
    assert_int_equal(upto, 40);
    assert_int_equal(noted_upto(&k, 0, 5, &upto), TG_GAP);
    assert_non_null(strstr(k.err.message, "lacks commit 5"));
    assert_int_equal(upto, 40);
    assert_int_equal(noted_upto(&k, 2, 2, &upto), TG_OK);
    assert_int_equal(tg_change_journal_cut(&k.store, "job", 3, 7, &k.err), TG_OK);
    assert_int_equal(n_entries(&k), 8); /* of its own it drops nothing */
    assert_int_equal(tg_change_journal_cut(&k.store, "job", 3, 8, &k.err), TG_OK);
    assert_int_equal(n_entries(&k), 7);
    assert_int_equal(tg_change_journal_drop(&k.store, "job", 2, &k.err), TG_OK);
    assert_int_equal(n_entries(&k), 5);
    assert_int_equal(noted_upto(&k, 2, 3, &upto), TG_OK);
    assert_int_equal(upto, 33);
    assert_int_equal(noted_upto(&k, 0, 3, &upto), TG_GAP);
    kit_end(&k);
}

static void damage_is_told_and_can_be_dropped(void **state)
{
    int64_t upto;
    uint64_t n;
    struct kit k;

    (void)state;
    kit_start(&k, 10, 4);
    add(&k, 1, 5, 10);
    assert_int_equal(k.store.ops->append(k.store.self, "changes", "job", 1, "short", 5, &n,
                                         &k.err), TG_OK);
    add(&k, 2, 5, 20);
    assert_int_equal(noted_upto(&k, 0, 2, &upto), TG_CORRUPT);
    assert_int_equal(tg_change_journal_cut(&k.store, "job", 1, 6, &k.err), TG_OK);
    assert_int_equal(noted_upto(&k, 0, 1, &upto), TG_CORRUPT);
    assert_int_equal(tg_change_journal_drop(&k.store, "job", UINT64_MAX, &k.err), TG_OK);
    assert_int_equal(n_entries(&k), 0);
    assert_int_equal(tg_change_journal_append(&k.store, "job",
                                              &(struct tg_change_entry){
                                                  1, 5, { "", TG_CHANGE_NOTE_MAX + 1 } },
                                              1, &k.err), TG_LIMIT);
    kit_end(&k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_batch_is_a_commit),
        cmocka_unit_test(what_is_noted_is_what_is_there),
        cmocka_unit_test(killed_again_and_again),
        cmocka_unit_test(notes_are_spilled_with_their_batches),
        cmocka_unit_test(a_callback_commits_whole_batches),
        cmocka_unit_test(a_log_of_changes_is_transformed),
        cmocka_unit_test(of_several_entries_the_newest_writers_counts),
        cmocka_unit_test(damage_is_told_and_can_be_dropped),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

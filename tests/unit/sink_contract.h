/* SPDX-License-Identifier: MIT */
/*
 * sink_contract.h - what every sink with a cursor of its own must do, as test cases
 *
 * A test program includes this file, defines `const struct sink_harness harness`, and
 * puts SINK_CONTRACT_TESTS into its list of tests.
 */
#ifndef TG_TEST_SINK_CONTRACT_H
#define TG_TEST_SINK_CONTRACT_H

#include "tests/unit/sink_rows.h"

struct sink_harness {
    /** Empties the destination. @return its URL */
    const char *(*fresh)(struct tg_sink_env *env);
    void (*done)(void);
    bool merges; /* changes: of each message it has the last one */
};

extern const struct sink_harness harness;

enum { CHAT = -1009, OTHER_CHAT = 12 };

struct contract {
    const char *url;
    struct tg_sink_env env;
    struct tg_sink sink;
    struct tg_batch *batch;
    struct tg_error err;
};

static inline void contract_open(struct contract *c)
{
    assert_int_equal(tg_sink_open(c->url, &c->env, &c->sink, &c->err), TG_OK);
}

static inline void contract_start(struct contract *c)
{
    *c = (struct contract){ .batch = tg_batch_new(64) };
    c->url = harness.fresh(&c->env);
    contract_open(c);
}

static inline void contract_reopen(struct contract *c)
{
    tg_sink_close(&c->sink);
    contract_open(c);
}

static inline void contract_end(struct contract *c)
{
    tg_sink_close(&c->sink);
    tg_batch_free(c->batch);
    harness.done();
}

static inline tg_code contract_attach(struct contract *c, int64_t chat_id, struct tg_commit *ret)
{
    *ret = (struct tg_commit){ 0 };
    return c->sink.ops->attach(c->sink.self, chat_id, &test_fence, ret, &c->err);
}

static inline void contract_write(struct contract *c, int64_t chat_id, int64_t first, size_t n)
{
    test_rows(c->batch, chat_id, first, n);
    assert_int_equal(c->sink.ops->write(c->sink.self, c->batch, 0, n, &c->err), TG_OK);
}

/* Writes n rows behind `last` and commits them; last becomes that commit. */
static inline void contract_commit(struct contract *c, int64_t chat_id, struct tg_commit *last,
                                   size_t n)
{
    int64_t first = (int64_t)last->rows_total + 1;
    struct tg_commit next = test_commit(last, chat_id, first + (int64_t)n - 1, n);

    contract_write(c, chat_id, first, n);
    assert_int_equal(c->sink.ops->commit(c->sink.self, &next, &c->err), TG_OK);
    *last = next;
}

static inline void contract_scan(struct contract *c, int64_t chat_id, int64_t n_rows)
{
    struct test_seen seen = { .chat_id = chat_id, .next_id = 1 };

    assert_int_equal(c->sink.ops->scan(c->sink.self, chat_id, test_seen, &seen, &c->err), TG_OK);
    assert_false(seen.odd);
    assert_int_equal(seen.next_id, n_rows + 1);
}

static void an_empty_destination_has_no_commit(void **state)
{
    struct contract c;
    struct tg_commit got;

    (void)state;
    contract_start(&c);
    assert_int_equal(contract_attach(&c, CHAT, &got), TG_END);
    got.cursor.chat_id = 5;
    assert_int_equal(c.sink.ops->attach(c.sink.self, CHAT, &test_fence, &got, &c.err), TG_END);
    assert_int_equal(got.cursor.chat_id, 5);
    contract_end(&c);
}

static void committed_rows_and_cursor_survive_reopening(void **state)
{
    struct tg_commit last = { 0 }, got;
    struct contract c;

    (void)state;
    contract_start(&c);
    assert_int_equal(contract_attach(&c, CHAT, &got), TG_END);
    contract_commit(&c, CHAT, &last, 10);
    contract_commit(&c, CHAT, &last, 7);
    assert_true(c.sink.ops->bytes(c.sink.self) > 0);
    contract_reopen(&c);
    assert_int_equal(contract_attach(&c, CHAT, &got), TG_OK);
    assert_true(test_same_commit(&got, &last));
    contract_scan(&c, CHAT, 17);
    contract_commit(&c, CHAT, &last, 1);
    contract_scan(&c, CHAT, 18);
    contract_end(&c);
}

static void rows_without_a_commit_never_show(void **state)
{
    struct tg_commit last = { 0 }, got;
    struct contract c;

    (void)state;
    contract_start(&c);
    contract_attach(&c, CHAT, &got);
    contract_commit(&c, CHAT, &last, 3);
    contract_write(&c, CHAT, 4, 20);
    contract_scan(&c, CHAT, 3);
    contract_reopen(&c);
    assert_int_equal(contract_attach(&c, CHAT, &got), TG_OK);
    assert_true(test_same_commit(&got, &last));
    contract_write(&c, CHAT, 4, 20);
    assert_int_equal(contract_attach(&c, CHAT, &got), TG_OK); /* again, in the same process */
    contract_commit(&c, CHAT, &last, 5);
    contract_scan(&c, CHAT, 8);
    contract_end(&c);
}

static void chats_are_kept_apart(void **state)
{
    struct tg_commit a = { 0 }, b = { 0 }, next, got;
    struct contract c;

    (void)state;
    contract_start(&c);
    contract_attach(&c, CHAT, &got);
    contract_attach(&c, OTHER_CHAT, &got);
    contract_write(&c, CHAT, 1, 5);
    contract_write(&c, OTHER_CHAT, 1, 2);
    contract_write(&c, CHAT, 6, 5);
    next = test_commit(&a, CHAT, 10, 10);
    assert_int_equal(c.sink.ops->commit(c.sink.self, &next, &c.err), TG_OK);
    a = next;
    next = test_commit(&b, OTHER_CHAT, 2, 2);
    assert_int_equal(c.sink.ops->commit(c.sink.self, &next, &c.err), TG_OK);
    contract_scan(&c, CHAT, 10);
    contract_scan(&c, OTHER_CHAT, 2);
    contract_reopen(&c);
    assert_int_equal(contract_attach(&c, CHAT, &got), TG_OK);
    assert_true(test_same_commit(&got, &a));
    contract_end(&c);
}

static void a_commit_may_hold_no_rows(void **state)
{
    struct tg_commit last = { 0 }, got;
    struct contract c;

    (void)state;
    contract_start(&c);
    contract_attach(&c, CHAT, &got);
    contract_commit(&c, CHAT, &last, 0);
    contract_commit(&c, CHAT, &last, 4);
    contract_commit(&c, CHAT, &last, 0);
    contract_commit(&c, CHAT, &last, 0);
    contract_reopen(&c);
    assert_int_equal(contract_attach(&c, CHAT, &got), TG_OK);
    assert_true(test_same_commit(&got, &last));
    assert_true(got.complete);
    contract_commit(&c, CHAT, &last, 2);
    contract_reopen(&c);
    assert_int_equal(contract_attach(&c, CHAT, &got), TG_OK);
    assert_true(test_same_commit(&got, &last));
    contract_scan(&c, CHAT, 6);
    contract_end(&c);
}

static void a_batch_may_be_committed_in_pieces(void **state)
{
    struct tg_commit last = { 0 }, got;
    struct contract c;

    (void)state;
    contract_start(&c);
    contract_attach(&c, CHAT, &got);
    test_rows(c.batch, CHAT, 1, 10);
    for (size_t from = 0; from < 10; from += 5) {
        struct tg_commit next = test_commit(&last, CHAT, (int64_t)from + 5, 5);

        assert_int_equal(c.sink.ops->write(c.sink.self, c.batch, from, 5, &c.err), TG_OK);
        assert_int_equal(c.sink.ops->commit(c.sink.self, &next, &c.err), TG_OK);
        last = next;
    }
    contract_scan(&c, CHAT, 10);
    contract_end(&c);
}

static void rollback_removes_what_is_behind(void **state)
{
    struct tg_commit last = { 0 }, third, got;
    struct contract c;

    (void)state;
    contract_start(&c);
    contract_attach(&c, CHAT, &got);
    for (size_t i = 1; i <= 6; i++) {
        contract_commit(&c, CHAT, &last, i == 4 ? 0 : 2);
        if (i == 3)
            third = last;
    }
    assert_int_equal(c.sink.ops->rollback(c.sink.self, CHAT, &test_fence, 3, &c.err), TG_OK);
    assert_int_equal(contract_attach(&c, CHAT, &got), TG_OK);
    assert_true(test_same_commit(&got, &third));
    contract_scan(&c, CHAT, 6);
    contract_commit(&c, CHAT, &third, 1);
    contract_scan(&c, CHAT, 7);
    assert_int_equal(c.sink.ops->rollback(c.sink.self, CHAT, &test_fence, 0, &c.err), TG_OK);
    assert_int_equal(contract_attach(&c, CHAT, &got), TG_END);
    contract_scan(&c, CHAT, 0);
    contract_end(&c);
}

/* Of a sink that holds rows: by `again`, until the destination stands elsewhere, or attach. */
static void what_waits_is_held_if_it_can_be(void **state)
{
    struct tg_commit last = { 0 }, next, got = { 0 };
    struct contract c;

    (void)state;
    contract_start(&c);
    assert_int_equal(contract_attach(&c, CHAT, &got), TG_END);
    if (!c.sink.ops->again) {
        contract_end(&c);
        return;
    }
    contract_write(&c, CHAT, 1, 5);
    assert_int_equal(c.sink.ops->again(c.sink.self, CHAT, &test_fence, &got, &c.err), TG_END);
    next = test_commit(&last, CHAT, 5, 5);
    assert_int_equal(c.sink.ops->commit(c.sink.self, &next, &c.err), TG_OK);
    contract_write(&c, CHAT, 6, 3);
    assert_int_equal(c.sink.ops->again(c.sink.self, CHAT, &test_fence, &got, &c.err), TG_OK);
    assert_true(test_same_commit(&got, &next));
    contract_write(&c, CHAT, 9, 2);
    last = next;
    next = test_commit(&last, CHAT, 10, 5);
    assert_int_equal(c.sink.ops->commit(c.sink.self, &next, &c.err), TG_OK);
    contract_write(&c, CHAT, 11, 3);
    assert_int_equal(c.sink.ops->rollback(c.sink.self, CHAT, &test_fence, 1, &c.err), TG_OK);
    assert_int_equal(c.sink.ops->again(c.sink.self, CHAT, &test_fence, &got, &c.err), TG_OK);
    assert_true(test_same_commit(&got, &last));
    contract_commit(&c, CHAT, &last, 2);
    contract_scan(&c, CHAT, 7);
    contract_end(&c);
}

/* As a commit does that was made, and told as a failure. */
static void what_waits_is_forgotten_if_it_is_there(void **state)
{
    struct tg_commit last = { 0 }, made, got = { 0 };
    struct tg_sink second;
    struct contract c;

    (void)state;
    contract_start(&c);
    contract_attach(&c, CHAT, &got);
    contract_commit(&c, CHAT, &last, 2);
    contract_write(&c, CHAT, 3, 4);
    assert_int_equal(tg_sink_open(c.url, &c.env, &second, &c.err), TG_OK);
    assert_int_equal(second.ops->attach(second.self, CHAT, &test_fence, &got, &c.err), TG_OK);
    test_rows(c.batch, CHAT, 3, 4);
    made = test_commit(&last, CHAT, 6, 4);
    assert_int_equal(second.ops->write(second.self, c.batch, 0, 4, &c.err), TG_OK);
    assert_int_equal(second.ops->commit(second.self, &made, &c.err), TG_OK);
    tg_sink_close(&second);
    if (c.sink.ops->again) {
        assert_int_equal(c.sink.ops->again(c.sink.self, CHAT, &test_fence, &got, &c.err), TG_OK);
        assert_true(test_same_commit(&got, &made));
        contract_commit(&c, CHAT, &made, 3);
        contract_scan(&c, CHAT, 9);
    }
    contract_end(&c);
}

static void a_commit_that_does_not_follow_is_refused(void **state)
{
    struct tg_commit last = { 0 }, next, got;
    struct contract c;

    (void)state;
    contract_start(&c);
    contract_attach(&c, CHAT, &got);
    contract_commit(&c, CHAT, &last, 2);
    for (int i = 0; i < 3; i++) {
        contract_write(&c, CHAT, 3, 2);
        next = test_commit(&last, CHAT, 4, 2);
        next.seq += i == 0;
        next.rows += i == 1;
        next.rows_total += i == 2;
        assert_int_equal(c.sink.ops->commit(c.sink.self, &next, &c.err), TG_INTERNAL);
        assert_int_equal(contract_attach(&c, CHAT, &got), TG_OK);
        assert_true(test_same_commit(&got, &last));
    }
    contract_commit(&c, CHAT, &last, 2);
    contract_scan(&c, CHAT, 4);
    contract_end(&c);
}

static void writing_needs_an_attach(void **state)
{
    struct tg_commit next;
    struct contract c;

    (void)state;
    contract_start(&c);
    test_rows(c.batch, CHAT, 1, 2);
    next = test_commit(&(struct tg_commit){ 0 }, CHAT, 2, 2);
    assert_int_equal(c.sink.ops->write(c.sink.self, c.batch, 0, 2, &c.err), TG_INTERNAL);
    assert_int_equal(c.sink.ops->commit(c.sink.self, &next, &c.err), TG_INTERNAL);
    contract_end(&c);
}

static void another_job_is_refused(void **state)
{
    struct tg_commit last = { 0 }, got;
    struct contract c;

    (void)state;
    contract_start(&c);
    contract_attach(&c, CHAT, &got);
    contract_commit(&c, CHAT, &last, 2);
    c.env.job = "another";
    contract_reopen(&c);
    assert_int_equal(contract_attach(&c, CHAT, &got), TG_USAGE);
    assert_true(c.err.hint[0] != 0);
    c.env.job = "job";
    contract_reopen(&c);
    assert_int_equal(contract_attach(&c, CHAT, &got), TG_OK);
    contract_end(&c);
}

static bool stop_after_two(void *ctx, int64_t chat_id, int64_t id)
{
    (void)chat_id;
    (void)id;
    return ++*(int *)ctx < 2;
}

static void a_scan_can_be_stopped(void **state)
{
    struct tg_commit last = { 0 }, got;
    struct contract c;
    int n = 0;

    (void)state;
    contract_start(&c);
    contract_attach(&c, CHAT, &got);
    contract_commit(&c, CHAT, &last, 5);
    contract_commit(&c, CHAT, &last, 5);
    assert_int_equal(c.sink.ops->scan(c.sink.self, CHAT, stop_after_two, &n, &c.err), TG_OK);
    assert_int_equal(n, 2);
    contract_end(&c);
}

struct contract_commits {
    struct tg_commit at[8];
    size_t n, stop_at; /* 0: never */
};

static inline bool contract_seen_commit(void *ctx, const struct tg_commit *commit)
{
    struct contract_commits *seen = ctx;

    if (seen->n < TG_COUNT(seen->at))
        seen->at[seen->n] = *commit;
    return ++seen->n != seen->stop_at;
}

static inline void contract_commits(struct contract *c, int64_t chat_id,
                                    struct contract_commits *ret)
{
    assert_int_equal(
        c->sink.ops->commits(c->sink.self, chat_id, contract_seen_commit, ret, &c->err), TG_OK);
}

static void commits_are_told_oldest_first(void **state)
{
    struct tg_commit last = { 0 }, made[4], got;
    struct contract_commits seen = { .n = 0 }, two = { .stop_at = 2 };
    struct contract c;

    (void)state;
    contract_start(&c);
    contract_commits(&c, CHAT, &seen);
    assert_int_equal(seen.n, 0);
    contract_attach(&c, CHAT, &got);
    contract_commits(&c, CHAT, &seen);
    assert_int_equal(seen.n, 0);
    for (size_t i = 0; i < TG_COUNT(made); i++) {
        contract_commit(&c, CHAT, &last, i == 3 ? 0 : 3 + i);
        made[i] = last;
    }
    contract_write(&c, CHAT, 1000, 2); /* not committed: not told */
    contract_commits(&c, CHAT, &seen);
    assert_int_equal(seen.n, 4);
    for (size_t i = 0; i < TG_COUNT(made); i++)
        assert_true(test_same_commit(&seen.at[i], &made[i]));
    contract_commits(&c, CHAT, &two);
    assert_int_equal(two.n, 2);
    contract_end(&c);
}

struct contract_read {
    struct contract *c;
    int64_t next_id;
    size_t stop_at; /* rows; 0: never */
    size_t n;
};

static tg_code contract_taken(void *ctx, struct tg_batch *batch, struct tg_error *err)
{
    struct contract_read *r = ctx;
    struct tg_batch *want = tg_batch_new(1);

    (void)err;
    assert_true(batch->n > 0);
    for (size_t i = 0; i < batch->n; i++, r->next_id++) {
        const struct tg_row *row = &batch->row[i];

        if (r->next_id == 0)
            r->next_id = row->id;
        test_rows(want, CHAT, r->next_id, 1);
        assert_int_equal(row->id, r->next_id);
        assert_int_equal(row->date, want->row[0].date);
        assert_int_equal(row->chat_id, CHAT);
        assert_true(tg_str_eq(row->text, want->row[0].text));
        assert_int_equal(row->present | TG_ROW_BIT(owner), want->row[0].present |
                                                               TG_ROW_BIT(owner));
        r->n++;
    }
    tg_batch_free(want);
    return r->stop_at && r->n >= r->stop_at ? TG_END : TG_OK;
}

static void rows_are_read_back_in_batches(void **state)
{
    struct tg_commit last = { 0 }, got;
    struct tg_cursor behind = { .chat_id = CHAT };
    struct tg_batch *batch = tg_batch_new(4);
    struct contract_read all = { .next_id = 1 }, some = { .n = 0 }, two = { .stop_at = 2 };
    struct contract c;

    (void)state;
    contract_start(&c);
    contract_attach(&c, CHAT, &got);
    contract_commit(&c, CHAT, &last, 5);
    contract_commit(&c, CHAT, &last, 6);
    contract_attach(&c, OTHER_CHAT, &got);
    last = (struct tg_commit){ 0 };
    contract_commit(&c, OTHER_CHAT, &last, 3);
    contract_write(&c, CHAT, 1000, 2); /* not committed: not told */
    contract_reopen(&c);
    assert_int_equal(c.sink.ops->read(c.sink.self, CHAT, &behind, batch, contract_taken, &all,
                                      &c.err), TG_OK);
    assert_int_equal(all.n, 11);
    behind.id = 5; /* what ends there may be left out */
    assert_int_equal(c.sink.ops->read(c.sink.self, CHAT, &behind, batch, contract_taken, &some,
                                      &c.err), TG_OK);
    assert_int_equal(some.next_id, 12);
    assert_true(some.n >= 6);
    assert_int_equal(c.sink.ops->read(c.sink.self, CHAT, &behind, batch, contract_taken, &two,
                                      &c.err), TG_OK);
    assert_true(two.n >= 2 && two.n <= 4);
    tg_batch_free(batch);
    contract_end(&c);
}

static void contract_fill(struct tg_batch *batch, struct tg_row *row)
{
    for (int i = 0; i < TG_FIELD_COUNT; i++) {
        const struct tg_field *f = tg_field((enum tg_field_id)i);
        void *member = (char *)row + tg_row_offset[i];
        char text[64];
        int n = snprintf(text, sizeof text, "\"%s\"", f->name);

        if (row->present >> i & 1 || i == TG_F_owner)
            continue;
        row->present |= UINT64_C(1) << i;
        if (f->type == TG_FIELD_STR || f->type == TG_FIELD_JSON)
            *(struct tg_str *)member = tg_batch_text(batch, text, (size_t)n);
        else
            *(int64_t *)member = f->type == TG_FIELD_BOOL ? 1 : 1700000000 + i;
    }
}

static tg_code contract_filled(void *ctx, struct tg_batch *batch, struct tg_error *err)
{
    struct tg_batch *want = tg_batch_new(1);

    (void)err;
    test_rows(want, CHAT, 1, 1);
    contract_fill(want, &want->row[0]);
    assert_int_equal(batch->n, 1);
    for (int i = 0; i < TG_FIELD_COUNT; i++) {
        const struct tg_field *f = tg_field((enum tg_field_id)i);
        const void *a = (const char *)&batch->row[0] + tg_row_offset[i];
        const void *b = (const char *)&want->row[0] + tg_row_offset[i];
        bool text = f->type == TG_FIELD_STR || f->type == TG_FIELD_JSON;

        if (i == TG_F_owner)
            continue;
        if (!(batch->row[0].present >> i & 1) ||
            !(text ? tg_str_eq(*(const struct tg_str *)a, *(const struct tg_str *)b)
                   : *(const int64_t *)a == *(const int64_t *)b))
            fail_msg("field %s is not what was written", f->name);
    }
    tg_batch_free(want);
    ++*(int *)ctx;
    return TG_OK;
}

static void every_field_is_read_back(void **state)
{
    struct tg_commit next = test_commit(&(struct tg_commit){ 0 }, CHAT, 1, 1), got;
    const struct tg_cursor start = { .chat_id = CHAT };
    struct contract c;
    int n = 0;

    (void)state;
    contract_start(&c);
    contract_attach(&c, CHAT, &got);
    test_rows(c.batch, CHAT, 1, 1);
    contract_fill(c.batch, &c.batch->row[0]);
    assert_int_equal(c.sink.ops->write(c.sink.self, c.batch, 0, 1, &c.err), TG_OK);
    assert_int_equal(c.sink.ops->commit(c.sink.self, &next, &c.err), TG_OK);
    tg_batch_clear(c.batch);
    assert_int_equal(
        c.sink.ops->read(c.sink.self, CHAT, &start, c.batch, contract_filled, &n, &c.err), TG_OK);
    assert_int_equal(n, 1);
    contract_end(&c);
}

static bool contract_seen_chat(void *ctx, int64_t chat_id, const char *job)
{
    int64_t *seen = ctx;

    assert_string_equal(job, "job");
    seen[++seen[0]] = chat_id;
    return seen[0] < 2;
}

static void chats_are_told_with_their_job(void **state)
{
    static const int64_t chats[] = { OTHER_CHAT, CHAT, 77 };
    int64_t seen[4] = { 0 };
    struct tg_commit got;
    struct contract c;

    (void)state;
    contract_start(&c);
    assert_int_equal(c.sink.ops->chats(c.sink.self, contract_seen_chat, seen, &c.err), TG_OK);
    assert_int_equal(seen[0], 0);
    for (size_t i = 0; i < TG_COUNT(chats); i++) {
        struct tg_commit last = { 0 };

        contract_attach(&c, chats[i], &got);
        contract_commit(&c, chats[i], &last, i);
    }
    contract_attach(&c, 78, &got); /* nothing was committed */
    c.env.job = "another";
    contract_reopen(&c);
    assert_int_equal(c.sink.ops->chats(c.sink.self, contract_seen_chat, seen, &c.err), TG_OK);
    assert_int_equal(seen[0], 2); /* it was stopped */
    assert_int_equal(seen[1], CHAT);
    assert_int_equal(seen[2], OTHER_CHAT);
    contract_end(&c);
}

/* A run that was stopped wakes up when another has gone on: it adds nothing and learns why. */
static void a_newer_writer_shuts_the_older_one_out(void **state)
{
    static const struct tg_fence newer[] = { { 4, 0 }, { 3, 0x1f3a9c03 } };

    (void)state;
    for (size_t i = 0; i < TG_COUNT(newer); i++) {
        struct tg_commit last = { 0 }, theirs, next, got;
        struct tg_sink second;
        struct contract c;

        contract_start(&c);
        contract_attach(&c, CHAT, &got);
        contract_commit(&c, CHAT, &last, 5);
        contract_write(&c, CHAT, 6, 20);
        assert_int_equal(tg_sink_open(c.url, &c.env, &second, &c.err), TG_OK);
        assert_int_equal(second.ops->attach(second.self, CHAT, &newer[i], &got, &c.err), TG_OK);
        assert_true(test_same_commit(&got, &last));
        next = test_commit(&last, CHAT, 25, 20);
        assert_int_equal(c.sink.ops->commit(c.sink.self, &next, &c.err), TG_CONFLICT);
        assert_true(c.err.hint[0] != 0);
        assert_int_equal(contract_attach(&c, CHAT, &got), TG_CONFLICT);
        theirs = test_commit(&last, CHAT, 8, 3);
        test_rows(c.batch, CHAT, 6, 3);
        assert_int_equal(second.ops->write(second.self, c.batch, 0, 3, &c.err), TG_OK);
        assert_int_equal(second.ops->commit(second.self, &theirs, &c.err), TG_OK);
        contract_scan(&c, CHAT, 8);
        assert_int_equal(c.sink.ops->rollback(c.sink.self, CHAT, &test_fence, 0, &c.err),
                         TG_CONFLICT);
        tg_sink_close(&second);
        contract_scan(&c, CHAT, 8);
        contract_end(&c);
    }
}

#include "tests/unit/sink_changes.h"

#define SINK_CONTRACT_TESTS                                                                        \
    cmocka_unit_test(an_empty_destination_has_no_commit),                                          \
        cmocka_unit_test(committed_rows_and_cursor_survive_reopening),                             \
        cmocka_unit_test(rows_without_a_commit_never_show),                                        \
        cmocka_unit_test(chats_are_kept_apart), cmocka_unit_test(a_commit_may_hold_no_rows),       \
        cmocka_unit_test(a_batch_may_be_committed_in_pieces),                                      \
        cmocka_unit_test(rollback_removes_what_is_behind),                                         \
        cmocka_unit_test(what_waits_is_held_if_it_can_be),                                         \
        cmocka_unit_test(what_waits_is_forgotten_if_it_is_there),                                  \
        cmocka_unit_test(a_commit_that_does_not_follow_is_refused),                                \
        cmocka_unit_test(writing_needs_an_attach), cmocka_unit_test(another_job_is_refused),       \
        cmocka_unit_test(a_scan_can_be_stopped),                                                   \
        cmocka_unit_test(commits_are_told_oldest_first),                                           \
        cmocka_unit_test(rows_are_read_back_in_batches),                                           \
        cmocka_unit_test(every_field_is_read_back),                                                \
        cmocka_unit_test(chats_are_told_with_their_job),                                           \
        cmocka_unit_test(a_newer_writer_shuts_the_older_one_out),                                  \
        cmocka_unit_test(changes_are_one_sequence)

#endif

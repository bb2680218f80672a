/* SPDX-License-Identifier: MIT */
/*
 * sink_changes.h - what every sink with a cursor must do with a job of changes: rows of many chats
 * in one sequence, a message more than once in a commit, messages that are gone; part of
 * sink_contract.h
 *
 * A destination is a log, and has each row; or it merges (harness.merges), and has each message's
 * last one.
 */
#ifndef TG_TEST_SINK_CHANGES_H
#define TG_TEST_SINK_CHANGES_H

enum { CHANGES = TG_CHAT_CHANGES, CHANGES_MAX = 16 };

/* The changes of four commits; one is without rows. */
static const struct change_step {
    uint64_t commit;
    int64_t chat_id, id;
    enum tg_row_change what;
    const char *text, *reactions, *before;
} change_step[] = {
    { 1, -1001, 1, TG_ROW_NEW, "a", NULL, NULL },
    { 1, -1002, 1, TG_ROW_READ, "b", "[1]", NULL },
    { 1, -1001, 1, TG_ROW_EDITED, "aa", NULL, "[1]" }, /* twice in one commit */
    { 1, -1001, 2, TG_ROW_NEW, "c", "[1]", NULL },
    { 2, -1001, 2, TG_ROW_DELETED, NULL, NULL, NULL },
    { 2, -1002, 1, TG_ROW_REACTIONS, "b", "[2]", NULL },
    { 2, 77, 5, TG_ROW_NEW, "d", NULL, NULL },
    { 2, 77, 5, TG_ROW_DELETED, NULL, NULL, "[2]" },
    { 4, -1002, 3, TG_ROW_NEW, "e", NULL, NULL },
    { 4, -1001, 1, TG_ROW_EDITED, "aaa", NULL, NULL },
};
enum { CHANGE_STEPS = sizeof change_step / sizeof *change_step };

static inline void change_row(struct tg_batch *b, size_t i)
{
    const struct change_step *step = &change_step[i];
    struct tg_row *row = tg_batch_row(b);

    TG_ROW_SET(row, chat_id, step->chat_id);
    TG_ROW_SET(row, id, step->id);
    TG_ROW_SET(row, owner, step->chat_id > 0 ? 5 : 0);
    TG_ROW_SET(row, change_seq, 10 * (int64_t)i + 1); /* with holes */
    TG_ROW_SET(row, change_pts, 100 + (int64_t)i);
    TG_ROW_SET(row, change_date, 1705314660);
    if (step->what != TG_ROW_READ)
        TG_ROW_SET(row, change, tg_str_of(tg_row_change_name[step->what]));
    if (step->text) {
        TG_ROW_SET(row, date, 1705314600);
        TG_ROW_SET(row, pinned, 1);
        TG_ROW_SET(row, text, tg_batch_text(b, step->text, strlen(step->text)));
    }
    if (step->reactions)
        TG_ROW_SET(row, reactions, tg_str_of(step->reactions));
    if (step->before)
        TG_ROW_SET(row, before, tg_str_of(step->before));
}

/* Fills the batch with the rows of a commit. @return the commit, behind `last` */
static inline struct tg_commit change_batch(struct tg_batch *b, uint64_t commit,
                                            const struct tg_commit *last)
{
    struct tg_commit next = *last;

    tg_batch_clear(b);
    for (size_t i = 0; i < CHANGE_STEPS; i++)
        if (change_step[i].commit == commit)
            change_row(b, i);
    if (b->n)
        next.cursor.id = b->row[b->n - 1].change_seq;
    next.cursor.segment = TG_SEGMENT_CHANGES;
    next.seq = commit;
    next.rows = b->n;
    next.rows_total += b->n;
    next.batches++;
    next.covered_from = last->cursor.id + 1;
    next.fence = 3;
    b->cursor = next.cursor;
    return next;
}

static inline void change_commit(struct contract *c, uint64_t commit, struct tg_commit *last)
{
    struct tg_commit next = change_batch(c->batch, commit, last), got;

    assert_int_equal(c->sink.ops->write(c->sink.self, c->batch, 0, c->batch->n, &c->err), TG_OK);
    if (c->sink.ops->again && last->seq) {
        assert_int_equal(c->sink.ops->again(c->sink.self, CHANGES, &test_fence, &got, &c->err),
                         TG_OK);
        assert_true(test_same_commit(&got, last));
    }
    if (c->sink.ops->commit(c->sink.self, &next, &c->err) != TG_OK)
        fail_msg("commit %d: %s", (int)commit, c->err.message);
    *last = next;
}

/* Whether step i is what the destination has of its message once `commit` is there. */
static inline bool change_stays(size_t i, uint64_t commit)
{
    if (change_step[i].commit > commit)
        return false;
    for (size_t k = i + 1; harness.merges && k < CHANGE_STEPS; k++)
        if (change_step[k].commit <= commit && change_step[k].chat_id == change_step[i].chat_id &&
            change_step[k].id == change_step[i].id)
            return false;
    return true;
}

struct change_seen {
    size_t next; /* step */
    uint64_t commit;
    bool skips; /* the first may have been left out */
};

static inline size_t change_next(struct change_seen *seen)
{
    while (seen->next < CHANGE_STEPS && !change_stays(seen->next, seen->commit))
        seen->next++;
    assert_true(seen->next < CHANGE_STEPS);
    return seen->next++;
}

static bool change_scanned(void *ctx, int64_t chat_id, int64_t id)
{
    const struct change_step *step = &change_step[change_next(ctx)];

    assert_int_equal(chat_id, step->chat_id);
    assert_int_equal(id, step->id);
    return true;
}

static tg_code change_taken(void *ctx, struct tg_batch *batch, struct tg_error *err)
{
    struct tg_batch *want = tg_batch_new(1);
    struct change_seen *seen = ctx;

    (void)err;
    for (size_t i = 0; i < batch->n; i++) {
        struct tg_buf got, wanted;
        size_t step = change_next(seen);

        while (seen->skips && batch->row[i].change_seq > 10 * (int64_t)step + 1)
            step = change_next(seen);
        seen->skips = false;
        tg_batch_clear(want);
        change_row(want, step);
        tg_buf_init(&got, 1 << 16);
        tg_buf_init(&wanted, 1 << 16);
        tg_row_json(&batch->row[i], &got);
        tg_row_json(&want->row[0], &wanted);
        assert_string_equal(tg_buf_cstr(&got), tg_buf_cstr(&wanted));
        tg_buf_done(&got);
        tg_buf_done(&wanted);
    }
    tg_batch_free(want);
    return TG_OK;
}

static inline void change_all(const struct change_seen *seen)
{
    for (size_t i = seen->next; i < CHANGE_STEPS; i++)
        assert_false(change_stays(i, seen->commit));
}

/* What is there once `commit` is, counted and read. */
static inline void change_check(struct contract *c, uint64_t commit)
{
    struct change_seen scan = { .commit = commit }, all = scan, some = { .commit = commit };
    struct tg_cursor behind = { .chat_id = CHANGES, .segment = TG_SEGMENT_CHANGES };
    struct tg_batch *b = tg_batch_new(3);

    assert_int_equal(c->sink.ops->scan(c->sink.self, CHANGES, change_scanned, &scan, &c->err),
                     TG_OK);
    change_all(&scan);
    if (c->sink.ops->read(c->sink.self, CHANGES, &behind, b, change_taken, &all, &c->err) != TG_OK)
        fail_msg("%s", c->err.message);
    change_all(&all);
    behind.id = 31; /* the end of the first commit */
    some.skips = true;
    assert_int_equal(c->sink.ops->read(c->sink.self, CHANGES, &behind, b, change_taken, &some,
                                       &c->err), TG_OK);
    some.next = TG_MAX(some.next, (size_t)4);
    change_all(&some);
    tg_batch_free(b);
}

static bool change_chat(void *ctx, int64_t chat_id, const char *job)
{
    assert_string_equal(job, "job");
    *(int *)ctx += chat_id == CHANGES;
    return true;
}

static void changes_are_one_sequence(void **state)
{
    struct tg_commit last = { 0 }, other = { 0 }, at[5], got;
    struct contract c;
    int n = 0;

    (void)state;
    contract_start(&c);
    assert_int_equal(contract_attach(&c, CHANGES, &got), TG_END);
    assert_int_equal(contract_attach(&c, CHAT, &got), TG_END);
    contract_commit(&c, CHAT, &other, 3); /* a chat that is extracted there as well */
    for (uint64_t commit = 1; commit <= 4; commit++) {
        change_commit(&c, commit, &last);
        at[commit] = last;
        change_check(&c, commit);
        contract_reopen(&c);
        assert_int_equal(contract_attach(&c, CHANGES, &got), TG_OK);
        assert_true(test_same_commit(&got, &last));
    }
    contract_scan(&c, CHAT, 3);
    assert_int_equal(c.sink.ops->chats(c.sink.self, change_chat, &n, &c.err), TG_OK);
    assert_int_equal(n, 1);
    assert_int_equal(c.sink.ops->rollback(c.sink.self, CHANGES, &test_fence, 4, &c.err), TG_OK);
    change_check(&c, 4);
    n = c.sink.ops->rollback(c.sink.self, CHANGES, &test_fence, 2, &c.err);
    assert_int_equal(n, harness.merges ? TG_USAGE : TG_OK);
    assert_true(!harness.merges || c.err.hint[0]);
    assert_int_equal(contract_attach(&c, CHANGES, &got), TG_OK);
    assert_true(test_same_commit(&got, &at[harness.merges ? 4 : 2]));
    change_check(&c, got.seq);
    if (!harness.merges) {
        change_commit(&c, 3, &got);
        change_commit(&c, 4, &got);
        change_check(&c, 4);
    }
    assert_int_equal(c.sink.ops->rollback(c.sink.self, CHANGES, &test_fence, 0, &c.err), TG_OK);
    assert_int_equal(contract_attach(&c, CHANGES, &got), TG_END);
    change_check(&c, 0);
    contract_scan(&c, CHAT, 3);
    contract_end(&c);
}

#endif

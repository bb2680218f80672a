/* SPDX-License-Identifier: MIT */
/*
 * holding.h - a sink that holds its rows until their commit (sink.h's again), over one that need
 * not, whose writes and commits fail as a test wants them to
 */
#ifndef TG_TEST_HOLDING_H
#define TG_TEST_HOLDING_H

#include <stdlib.h>

#include "sink/sink.h"
#include "sink/staged.h"

struct holding {
    struct tg_sink sink; /* where the rows go */
    struct tg_commit last;
    struct tg_staged_room room;
    struct tg_staged rows;
    uint64_t n_written; /* rows that it was given, also by writes that failed */
    uint64_t n_again;
    void *ctx; /* of both: */
    bool (*write_fails)(void *ctx);
    enum holding_commit {
        HOLDING_MADE,
        HOLDING_NOT_MADE,
        HOLDING_UNANSWERED /* made, and told as a failure */
    } (*commit_is)(void *ctx);
};

static inline void holding_init(struct holding *h)
{
    h->room.most = 1 << 20;
    tg_staged_init(&h->rows, &h->room);
}

static inline tg_code holding_up(struct holding *h, int64_t chat_id, const struct tg_fence *fence,
                                 struct tg_commit *ret, struct tg_error *err)
{
    struct tg_commit there = { .cursor.chat_id = chat_id };
    tg_code code = h->sink.ops->attach(h->sink.self, chat_id, fence, &there, err);

    if (there.seq != h->last.seq)
        tg_staged_clear(&h->rows);
    h->last = there;
    if (code == TG_OK)
        *ret = there;
    return code;
}

/* self of these is a struct holding ** */
static tg_code holding_attach(void *self, int64_t chat_id, const struct tg_fence *fence,
                              struct tg_commit *ret, struct tg_error *err)
{
    struct holding *h = *(struct holding **)self;

    tg_staged_clear(&h->rows);
    return holding_up(h, chat_id, fence, ret, err);
}

static tg_code holding_again(void *self, int64_t chat_id, const struct tg_fence *fence,
                             struct tg_commit *ret, struct tg_error *err)
{
    struct holding *h = *(struct holding **)self;

    h->n_again++;
    return holding_up(h, chat_id, fence, ret, err);
}

static tg_code holding_write(void *self, const struct tg_batch *batch, size_t from, size_t n,
                             struct tg_error *err)
{
    struct holding *h = *(struct holding **)self;
    tg_code code = TG_OK;

    h->n_written += n;
    if (h->write_fails && h->write_fails(h->ctx))
        return tg_fail(err, TG_FULL, "no room now");
    for (size_t i = from; code == TG_OK && i < from + n; i++)
        code = tg_staged_add(&h->rows, &batch->row[i], err);
    return code;
}

struct holding_put {
    const struct tg_sink *sink;
    const struct tg_commit *commit;
};

static tg_code holding_put(void *ctx, const struct tg_row *row, struct tg_error *err)
{
    const struct holding_put *p = ctx;
    struct tg_row copy = *row;
    const struct tg_batch one = { .row = &copy, .n = 1, .cap = 1, .cursor = p->commit->cursor };

    return p->sink->ops->write(p->sink->self, &one, 0, 1, err);
}

static tg_code holding_commit(void *self, const struct tg_commit *commit, struct tg_error *err)
{
    struct holding *h = *(struct holding **)self;
    struct holding_put put = { &h->sink, commit };
    enum holding_commit is = h->commit_is ? h->commit_is(h->ctx) : HOLDING_MADE;
    tg_code code;

    if (h->rows.n != commit->rows)
        return tg_fail(err, TG_INTERNAL, "it holds %llu rows, not %llu",
                       (unsigned long long)h->rows.n, (unsigned long long)commit->rows);
    if (is == HOLDING_NOT_MADE)
        return tg_fail(err, TG_SINK, "not now");
    code = tg_staged_each(&h->rows, holding_put, &put, err);
    if (code == TG_OK)
        code = h->sink.ops->commit(h->sink.self, commit, err);
    if (code == TG_OK && is == HOLDING_UNANSWERED)
        return tg_fail(err, TG_SINK, "made, but who knows");
    if (code == TG_OK) {
        tg_staged_clear(&h->rows);
        h->last = *commit;
    }
    return code;
}

static uint64_t holding_bytes(const void *self)
{
    (void)self;
    return 0;
}

static void holding_close(void *self)
{
    struct holding *h = *(struct holding **)self;

    tg_staged_done(&h->rows);
}

static const struct tg_sink_ops holding_ops = {
    .head = { "holding", "one that holds its rows", NULL, sizeof(struct holding *) },
    .attach = holding_attach,
    .again = holding_again,
    .write = holding_write,
    .commit = holding_commit,
    .bytes = holding_bytes,
    .close = holding_close,
};

/** A sink that tg_sink_close frees; `h` stays the caller's. */
static inline struct tg_sink holding_sink(struct holding *h)
{
    struct holding **self = malloc(sizeof *self);

    assert_non_null(self);
    *self = h;
    holding_init(h);
    return (struct tg_sink){ .ops = &holding_ops, .self = self };
}

#endif

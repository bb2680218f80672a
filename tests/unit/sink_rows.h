/* SPDX-License-Identifier: MIT */
/*
 * sink_rows.h - rows and commits for tests of sinks: as many as asked for, told apart by their ids
 */
#ifndef TG_TEST_SINK_ROWS_H
#define TG_TEST_SINK_ROWS_H

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "sink/sink.h"

static const struct tg_fence test_fence = { 3, 0x1f3a9c02 };

static inline int64_t test_unix_us(void *ctx)
{
    (void)ctx;
    return INT64_C(1705314600000000);
}

/** Fills the batch with n rows whose ids follow first_id - 1. */
static inline void test_rows(struct tg_batch *b, int64_t chat_id, int64_t first_id, size_t n)
{
    char text[64];

    tg_batch_clear(b);
    b->cursor = (struct tg_cursor){ .chat_id = chat_id, .id = first_id + (int64_t)n - 1 };
    b->covered_from = first_id;
    for (size_t i = 0; i < n; i++) {
        struct tg_row *row = tg_batch_row(b);
        int64_t id = first_id + (int64_t)i;
        int len = snprintf(text, sizeof text, "message \"%lld\"\n", (long long)id);

        assert(row);
        TG_ROW_SET(row, chat_id, chat_id);
        TG_ROW_SET(row, id, id);
        TG_ROW_SET(row, date, 1700000000 + id);
        TG_ROW_SET(row, text, tg_batch_text(b, text, (size_t)len));
    }
}

/** The commit behind `last` that covers rows up to `id`. */
static inline struct tg_commit test_commit(const struct tg_commit *last, int64_t chat_id,
                                           int64_t id, uint64_t rows)
{
    return (struct tg_commit){
        .cursor = { .chat_id = chat_id, .id = id },
        .seq = last->seq + 1,
        .batches = last->batches + 1,
        .rows = rows,
        .rows_total = last->rows_total + rows,
        .covered_from = last->cursor.id + 1,
        .last_id = rows ? id : last->last_id,
        .last_date = rows ? 1700000000 + id : last->last_date,
        .fence = 3,
        .complete = rows == 0,
    };
}

static inline bool test_same_commit(const struct tg_commit *a, const struct tg_commit *b)
{
    return a->cursor.chat_id == b->cursor.chat_id && a->cursor.segment == b->cursor.segment &&
           a->cursor.id == b->cursor.id && a->cursor.owner == b->cursor.owner &&
           a->seq == b->seq && a->batches == b->batches &&
           a->rows == b->rows && a->rows_total == b->rows_total &&
           a->covered_from == b->covered_from && a->last_id == b->last_id &&
           a->last_date == b->last_date && a->fence == b->fence && a->complete == b->complete;
}

/** Counts what a scan reports; ids must come as 1, 2, 3, ... */
struct test_seen {
    int64_t chat_id, next_id;
    bool odd; /* something came twice, was left out or is of another chat */
};

static inline bool test_seen(void *ctx, int64_t chat_id, int64_t id)
{
    struct test_seen *seen = ctx;

    seen->odd |= chat_id != seen->chat_id || id != seen->next_id;
    seen->next_id++;
    return true;
}

#endif

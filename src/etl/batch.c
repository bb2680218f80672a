/* SPDX-License-Identifier: MIT */
/*
 * batch.c - a batch as a callback sees it
 *
 * Threads: the taker's thread, while the callback runs
 */
#include <assert.h>

#include "base/row.h"
#include "tgdata/extract.h"

void tg_batch_info(const struct tg_batch *b, struct tg_batch_info *ret)
{
    *ret = (struct tg_batch_info){
        .id = b->seq,
        .chat_id = b->cursor.chat_id,
        .n = b->n,
        .started_us = b->started_us,
        .ended_us = b->ended_us,
        .requests = b->n_requests,
        .flood_waits = b->n_flood_waits,
        .flood_wait_s = b->flood_wait_s,
        .rate_limit_remaining = b->rate_limit_remaining,
        .circuit_state = b->circuit_state ? b->circuit_state : "closed",
        .success_rate = b->success_rate,
        .avg_response_us = b->response_us,
        .checkpoint_id = b->checkpoint_id,
        .last = b->last,
        .source = tg_row_source_name[b->source],
    };
}

const struct tg_row *tg_batch_get(const struct tg_batch *b, size_t i)
{
    return i < b->n ? &b->row[i] : NULL;
}

tg_code tg_batch_commit(struct tg_batch *b, size_t n_rows, struct tg_error *err)
{
    assert(b->n_taken <= b->n);
    if (n_rows > b->n)
        return tg_fail(err, TG_USAGE, "a batch of %zu rows cannot commit %zu", b->n, n_rows);
    if (n_rows < b->n_taken)
        return tg_fail(err, TG_USAGE, "%zu rows are committed already, not %zu", b->n_taken,
                       n_rows);
    if (!b->commit)
        return tg_fail(err, TG_USAGE, "a batch is committed inside the callback that was given it");
    return b->commit(b->commit_ctx, b, n_rows, err);
}

/* SPDX-License-Identifier: MIT */
/*
 * transform_chat.c - one chat of the source, row by row in the order of its cursor
 *
 *   segment 0 (old group)        segment 1 (supergroup)
 *   [covered_from .. end]        [covered_from .. end]     as the source's commits tell
 *   rows -> batch -> taker       rows -> ...
 *        \-> at its end: an empty batch, so that the destination covers as much
 *
 * Changes, rows of many chats, are one segment; so are comments that were read post by post.
 *
 * Rows up to the destination's own cursor were delivered before. Rows that go back are a damaged
 * source: which of them were delivered nobody could tell.
 */
#include "etl/transform_impl.h"
#include "os/loop.h"

static int64_t source_clock(void *ctx)
{
    (void)ctx;
    return 0; /* nothing is written */
}

tg_code transform_open_source(struct tg_transform *t, const char *job, struct tg_error *err)
{
    tg_code code;

    if (t->source.ops && strcmp(t->source_env.job, job) == 0)
        return TG_OK;
    if (t->source.ops)
        tg_sink_close(&t->source);
    t->source_env = (struct tg_sink_env){ .job = job,
                                          .fs = &tg_fs_system,
                                          .unix_us = source_clock };
    code = tg_sink_open(t->request->from, &t->source_env, &t->source, err);
    if (code != TG_OK)
        return code;
    if (t->source.ops->read && t->source.ops->commits)
        return TG_OK;
    tg_fail(err, TG_UNSUPPORTED, "what was written to %.200s cannot be read again",
            t->request->from);
    return tg_hint(err, "read from files or tables that an extraction has written");
}

/* ---- what the source has ---- */

static bool on_commit(void *ctx, const struct tg_commit *commit)
{
    struct transform_chat *c = ctx;
    int32_t s = commit->cursor.segment;

    if (s < 0 || s >= TRANSFORM_SEGMENTS)
        return true;
    if (c->last.seq && !c->gap.seq &&
        (s < c->last.cursor.segment ||
         (s == c->last.cursor.segment && commit->covered_from > c->last.cursor.id + 1)))
        c->gap = *commit;
    if (!c->segment[s].any)
        c->segment[s].covered_from = commit->covered_from;
    c->segment[s].any = true;
    c->segment[s].end = commit->cursor;
    c->last = *commit;
    return true;
}

static tg_code look_at_source(struct tg_transform *t, struct transform_chat *c,
                              struct tg_error *err)
{
    tg_code code = transform_open_source(t, c->job, err);

    if (code == TG_OK)
        code = t->source.ops->commits(t->source.self, c->id, on_commit, c, err);
    if (code != TG_OK)
        return code;
    if (!c->last.seq)
        return tg_fail(err, TG_NOT_FOUND, "nothing of chat %lld was committed in %.200s",
                       (long long)c->id, t->request->from);
    if (!c->gap.seq)
        return TG_OK;
    tg_fail(err, TG_GAP, "commit %llu of chat %lld in %.160s does not begin where the one before "
                         "ended",
            (unsigned long long)c->gap.seq, (long long)c->id, t->request->from);
    return tg_hint(err, "tgdata verify tells what is missing there");
}

/* ---- places ---- */

static bool is_behind(const struct tg_cursor *a, const struct tg_cursor *b)
{
    return a->segment != b->segment ? a->segment > b->segment : a->id > b->id;
}

/* Where a row stands: a chat that grew from a group has that group's rows in its first segment. */
static struct tg_cursor place_of(const struct transform_chat *c, const struct tg_row *row)
{
    int32_t segment = c->last.cursor.segment;

    if (segment < TG_SEGMENT_THREADS && row->chat_id != c->id)
        segment = 0;
    return (struct tg_cursor){ c->id, segment, tg_row_place(row, segment), row->owner };
}

/* ---- rows ---- */

static tg_code give(struct tg_transform *t, struct transform_chat *c, struct tg_batch *b,
                    const struct tg_cursor *upto, struct tg_error *err)
{
    b->seq = tg_taker_find(&t->taker, c->id)->next.batches + 1;
    b->cursor = *upto;
    b->covered_from = c->segment[upto->segment].covered_from;
    b->source = TG_FROM_TELEGRAM;
    b->rate_limit_remaining = -1;
    b->started_us = b->ended_us = tg_clock_unix_us();
    c->done = *upto;
    t->batches++;
    tg_trace_batch(t->observed.trace, c->id, b);
    return tg_taker_batch(&t->taker, b, err);
}

/* The destination covers all of a segment, whether rows of it are left or not. */
static tg_code end_segment(struct tg_transform *t, struct transform_chat *c, int32_t segment,
                           struct tg_error *err)
{
    struct tg_batch empty = { .last = segment == c->last.cursor.segment && c->last.complete };

    if (!c->segment[segment].any || c->done.segment > segment)
        return TG_OK;
    if (c->done.segment == segment && c->done.id >= c->segment[segment].end.id && !empty.last)
        return TG_OK;
    return give(t, c, &empty, &c->segment[segment].end, err);
}

/* Gives the first n rows, all of one segment, and drops them from the batch. */
static tg_code give_rows(struct tg_transform *t, struct transform_chat *c, struct tg_batch *b,
                         size_t n, struct tg_error *err)
{
    struct tg_cursor upto = place_of(c, &b->row[n - 1]);
    size_t rest = b->n - n;
    tg_code code = TG_OK;

    for (int32_t s = c->done.segment; code == TG_OK && s < upto.segment; s++)
        code = end_segment(t, c, s, err);
    b->n = n;
    if (code == TG_OK)
        code = give(t, c, b, &upto, err);
    memmove(b->row, b->row + n, rest * sizeof *b->row);
    b->n = rest;
    return code;
}

/* Leaves the rows that are to be delivered now. */
static tg_code choose(struct transform_chat *c, struct tg_batch *b, struct tg_error *err)
{
    size_t n = 0;

    for (size_t i = 0; i < b->n; i++) {
        struct tg_cursor at = place_of(c, &b->row[i]);

        if (c->seen.segment >= 0 && !is_behind(&at, &c->seen))
            return tg_fail(err, TG_CORRUPT, "rows of chat %lld are not in order at message %lld",
                           (long long)c->id, (long long)b->row[i].id);
        c->seen = at;
        if (is_behind(&at, &c->done) && !is_behind(&at, &c->last.cursor))
            b->row[n++] = b->row[i];
    }
    b->n = n;
    return TG_OK;
}

static tg_code take(void *ctx, struct tg_batch *b, struct tg_error *err)
{
    struct tg_transform *t = ctx;
    struct transform_chat *c = &t->chat[t->at];
    tg_code code = tg_taker_renew(&t->taker, err);

    if (code == TG_OK)
        code = choose(c, b, err);
    c->read += b->n;
    t->result->rows_read += b->n;
    tg_observe_rows(t->observed.to, b->n);
    while (code == TG_OK && b->n) {
        int32_t segment = place_of(c, &b->row[0]).segment;
        size_t n = 1;

        while (n < b->n && place_of(c, &b->row[n]).segment == segment)
            n++;
        code = give_rows(t, c, b, n, err);
    }
    transform_tell(t, false);
    return code == TG_OK && atomic_load(&t->stop) ? TG_END : code;
}

static tg_code read_rows(struct tg_transform *t, struct transform_chat *c, struct tg_error *err)
{
    const struct tg_cursor behind = c->done;
    tg_code code;

    tg_batch_clear(t->batch);
    code = t->source.ops->read(t->source.self, c->id, &behind, t->batch, take, t, err);
    if (code != TG_OK || atomic_load(&t->stop))
        return code;
    for (int32_t s = c->done.segment; code == TG_OK && s <= c->last.cursor.segment; s++)
        code = end_segment(t, c, s, err);
    return code;
}

tg_code transform_chat(struct tg_transform *t, struct transform_chat *c, struct tg_error *err)
{
    const struct tg_job_chat chat = { .id = c->id, .title = "" };
    struct tg_commit stand = { 0 };
    int64_t rows;
    tg_code code = look_at_source(t, c, err);

    if (code == TG_OK)
        code = tg_taker_chat(&t->taker, &chat, &stand, err);
    if (code != TG_OK)
        return code;
    c->done = stand.cursor;
    c->seen = (struct tg_cursor){ .segment = -1 };
    c->expected = c->last.rows_total - c->last.refused;
    transform_tell(t, false);
    code = read_rows(t, c, err);
    if (t->taker.failed)
        return code;
    if (code != TG_OK) { /* of the source: what was given stays */
        struct tg_error late;

        if (tg_taker_leave(&t->taker, c->id, &rows, &late) != TG_OK)
            *err = late;
        return err->code;
    }
    code = tg_taker_leave(&t->taker, c->id, &rows, err);
    t->result->chats += code == TG_OK && !atomic_load(&t->stop);
    return code;
}

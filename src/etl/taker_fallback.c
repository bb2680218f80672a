/* SPDX-License-Identifier: MIT */
/*
 * taker_fallback.c - what fallbacks have of a chat, delivered beside what comes from Telegram
 *
 *   series     of Telegram                     of fallbacks
 *   sink       t->sink                         t->fallback_sink: parts and manifests of its own
 *   cursor     checkpoint "job/chat"           fallback "job/chat"
 *   rows       all in the range, proved        those beyond both cursors that a source has
 *
 * Neither series ever moves the other's cursor. The fallbacks' own grows only, by place: the id, in
 * the old group of a supergroup (segment 0) or in the chat itself (segment 1). So no row is
 * delivered twice by fallbacks, whichever of them had it, however often the run is killed; and what
 * came from Telegram is not delivered again. What a fallback has delivered Telegram delivers too,
 * later; `source` tells both apart.
 *
 * A source is asked from the first to the last; what one gave moves the cursor for the next. One
 * that fails is left for the next; what it gave before stays.
 *
 * Threads: the taker's
 */
#include <assert.h>

#include "etl/taker_impl.h"

struct place {
    int32_t segment;
    int64_t id;
};

struct fall {
    struct tg_taker *t;
    const struct tg_fallback_request *q;
    const struct tg_extract_settings *set;
    struct tg_fallback_result *ret;
    struct place live;  /* from Telegram up to there */
    struct place begun; /* from fallbacks, when this began */
    struct place done;  /* from either, now */
    int64_t left;       /* rows that --limit leaves, but for: */
    int64_t before;     /* rows between live and begun, by the source that has most of them */
    int64_t seen;       /* by the one that is read */
    int64_t taken;
    bool ended;         /* nothing more is to be taken */
    struct tg_error broken; /* of sink, store or callback; code TG_OK: none */
};

static bool is_behind(const struct place *a, const struct place *b)
{
    return a->segment != b->segment ? a->segment > b->segment : a->id > b->id;
}

static struct place place_of(const struct fall *f, const struct tg_row *row)
{
    return (struct place){ row->chat_id == f->q->chat->id, row->id };
}

/* As the range is understood where Telegram is read: --min-id and --max-id are of the chat. */
static bool in_range(const struct tg_extract_settings *set, const struct tg_row *row, int segment)
{
    if ((set->since && row->date < set->since) || (set->until && row->date >= set->until))
        return false;
    if (segment == 0)
        return !set->min_id;
    return row->id >= set->min_id && (!set->max_id || row->id <= set->max_id);
}

static bool has_room(const struct fall *f)
{
    return !f->set->limit || f->taken + TG_MAX(f->before, f->seen) < f->left;
}

/* Looks at a row that comes next. @return whether it is to be delivered */
static bool wants(struct fall *f, const struct tg_row *row)
{
    struct place at = place_of(f, row);

    if (!is_behind(&at, &f->live) || !in_range(f->set, row, at.segment))
        return false;
    if (!is_behind(&at, &f->begun))
        f->seen++;
    if (!is_behind(&at, &f->done) || !has_room(f))
        return false;
    f->done = at;
    f->taken++;
    return true;
}

/* Delivers the first n rows, all of one segment, and drops them from the batch. */
static tg_code deliver(struct fall *f, struct tg_batch *b, size_t n, struct tg_error *err)
{
    struct tg_taker_chat *c = tg_taker_find(f->t, f->q->chat->id);
    size_t rest = b->n - n;
    const struct tg_row *last = &b->row[n - 1];
    tg_code code;

    b->n = n;
    b->seq = c->next.batches + 1;
    b->cursor = (struct tg_cursor){ f->q->chat->id, place_of(f, last).segment, last->id,
                                    last->owner };
    b->covered_from = last->id;
    b->last = false;
    b->started_us = b->ended_us = f->t->unix_us();
    b->rate_limit_remaining = -1;
    b->circuit_state = "open";
    code = tg_taker_batch(f->t, b, err);
    if (code == TG_OK) {
        f->ret->last_id = c->next.last_id;
        f->ret->source = b->source;
        f->ended = c->held; /* the callback left some: they come again in the next run */
    }
    memmove(b->row, b->row + n, rest * sizeof *b->row);
    b->n = rest;
    return code;
}

static tg_code take(void *ctx, struct tg_batch *b, struct tg_error *err)
{
    struct fall *f = ctx;
    tg_code code = tg_taker_renew(f->t, err);
    size_t n = 0;

    for (size_t i = 0; i < b->n; i++)
        if (wants(f, &b->row[i]))
            b->row[n++] = b->row[i];
    b->n = n;
    while (code == TG_OK && b->n && !f->ended) {
        for (n = 1; n < b->n && b->row[n].chat_id == b->row[0].chat_id;)
            n++;
        code = deliver(f, b, n, err);
    }
    if (code != TG_OK) {
        f->broken = *err;
        return code;
    }
    if (f->q->told)
        f->q->told(f->q->ctx, f->t);
    f->ended |= atomic_load(f->q->stop) || !has_room(f);
    return f->ended ? TG_END : TG_OK;
}

/* ---- the sources ---- */

static void read_sources(struct fall *f, const struct tg_commit *live, struct tg_batch *batch)
{
    const struct tg_fallbacks *from = f->q->from;
    struct tg_fallback_ask ask = {
        .store = f->t->store,
        .job = f->set,
        .chat_id = f->q->chat->id,
        .reader = f->q->reader,
        .behind = live->cursor,
    };

    for (size_t i = 0; i < from->n && !f->ended && !atomic_load(f->q->stop); i++) {
        struct tg_error why;
        tg_code code;

        f->seen = 0;
        if (f->done.segment && !f->set->limit) /* else those in between are counted */
            ask.known = f->done.id;
        code = tg_fallback_read(&from->one[i], &ask, batch, take, f, &why);
        f->before = TG_MAX(f->before, f->seen);
        if (f->broken.code != TG_OK)
            return;
        if (code != TG_OK && code != TG_NOT_FOUND && f->ret->trouble.code == TG_OK)
            f->ret->trouble = why;
    }
}

/* The last commit of the destination that reaches furthest; zeroes: none has any. */
static tg_code ask_each(const struct fall *f, struct tg_commit *ret, struct tg_error *err)
{
    const struct tg_sink *sink = f->t->sink;

    for (size_t i = 0; sink && i < tg_several_n(sink); i++) {
        const struct tg_sink *part = tg_several_part(sink, i);
        struct tg_commit there = { 0 };
        struct place at, furthest = { ret->cursor.segment, ret->cursor.id };
        tg_code code = TG_END;

        if (tg_sink_remembers(part))
            code = tg_taker_last_commit(f->t, part, f->q->chat->id, &there, err);
        if (code != TG_OK && code != TG_END)
            return code;
        at = (struct place){ there.cursor.segment, there.cursor.id };
        if (code == TG_OK && (!ret->seq || is_behind(&at, &furthest)))
            *ret = there;
    }
    return TG_OK;
}

/* Where the chat stands with Telegram; a state store that was lost does not hide what is there. */
static tg_code find_live(struct fall *f, struct tg_commit *ret, struct tg_error *err)
{
    tg_code code = tg_taker_stand(f->t, f->q->chat, ret, err);

    if (code == TG_OK && !ret->seq)
        code = ask_each(f, ret, err);
    if (code == TG_OK && ret->cursor.segment == TG_SEGMENT_THREADS)
        f->live = (struct place){ TG_SEGMENT_THREADS, 0 }; /* not by id: nothing lies beyond */
    else if (code == TG_OK && ret->seq)
        f->live = (struct place){ f->q->migrated ? ret->cursor.segment : 1, ret->cursor.id };
    if (code == TG_OK)
        code = tg_taker_count_read(f->t, f->set, ret, err);
    f->left = f->set->limit - (int64_t)ret->rows_total;
    return code;
}

tg_code tg_taker_fallback(struct tg_taker *t, const struct tg_fallback_request *q,
                          struct tg_fallback_result *ret, struct tg_error *err)
{
    struct fall f = { .t = t, .q = q, .ret = ret };
    struct tg_commit live = { 0 }, done = { 0 };
    struct tg_batch *batch;
    tg_code code;

    assert(!t->failed && (t->fallback_sink || !t->sink));
    *ret = (struct tg_fallback_result){ 0 };
    f.set = q->chat->settings ? q->chat->settings : t->job;
    batch = tg_batch_new((size_t)f.set->batch_size);
    code = batch ? find_live(&f, &live, err) : tg_fail(err, TG_NOMEM, "no memory for a fallback");
    if (code != TG_OK)
        t->failed |= !tg_taker_only_chat(t, code);
    else
        code = tg_taker_take_up(t, q->chat, true, &done, err);
    if (code == TG_OK) {
        f.begun = (struct place){ done.cursor.segment, done.cursor.id };
        f.done = is_behind(&f.begun, &f.live) ? f.begun : f.live;
        read_sources(&f, &live, batch);
        if (f.broken.code == TG_OK) {
            code = tg_taker_leave(t, q->chat->id, &ret->rows, err);
        } else {
            *err = f.broken;
            code = err->code;
        }
    }
    tg_batch_free(batch);
    return code;
}

/* SPDX-License-Identifier: MIT */
/*
 * stream_out.c - the batch at hand, its way to the destination, and how much room there is
 *
 *   batch at hand --(full, or old)--> stage workers --in order--> pipeline --> committed
 *                                                         |  ^
 *                                       without credit    v  |
 *                                                     temporary files
 *
 * A batch is put when it has batch_size rows; sooner, when it is `linger` old and the destination
 * has next to nothing to do: so a quiet stream is fast, and under load commits are large. What is
 * to be remembered goes with it as its note.
 *
 * Rows that are on their way, as a share of buffer_size, are the pressure: from the threshold on no
 * difference and no page is asked for. What is pushed all the same goes to temporary files of
 * bounded size; when they are full, pushes are let go (stream_boxes.c).
 */
#include <assert.h>
#include <stdlib.h>

#include "etl/stream_impl.h"

#define IDLE_NOTE_US (5 * TG_SECOND_US) /* what is to be remembered waits for rows so long */
#define TELL_US TG_SECOND_US

enum { BUSY = 2 }; /* batches on their way that make the next one wait */

/* ---- the batch at hand ---- */

static bool remember_sent(struct stream_run *r, uint64_t rows, int64_t came_us)
{
    if (r->n_sent == r->cap_sent) {
        size_t cap = r->cap_sent ? 2 * r->cap_sent : 64;
        struct stream_sent *more = calloc(cap, sizeof *more);

        if (!more)
            return false;
        for (size_t i = 0; i < r->n_sent; i++)
            more[i] = r->sent[(r->first_sent + i) % r->cap_sent];
        free(r->sent);
        r->sent = more;
        r->cap_sent = cap;
        r->first_sent = 0;
    }
    r->sent[(r->first_sent + r->n_sent++) % r->cap_sent] = (struct stream_sent){ rows, came_us };
    return true;
}

/* An empty batch is there for the next rows. */
static void give_back(struct stream_run *r, struct tg_batch *b)
{
    tg_batch_clear(b);
    r->spare[r->n_spare++] = b;
}

/* Puts the batch at hand. */
static void send_batch(struct stream_run *r)
{
    struct tg_batch *b = r->batch;
    struct tg_error err;

    r->batch = NULL;
    stream_boxes_remember(r);
    if (!b->n && !tg_change_entry_any(r->state)) {
        tg_trace_gather(r->observed_run.trace, false);
        give_back(r, b);
        return;
    }
    if (r->versions && tg_versions_flush(r->versions, &err) != TG_OK) {
        stream_fail(r, &err);
        give_back(r, b);
        return;
    }
    if (tg_change_entry_end(r->state, &b->arena, &b->note, &err) != TG_OK ||
        !remember_sent(r, b->n, r->batch_us)) {
        if (!b->note.len)
            stream_fail(r, &err);
        else
            stream_no_memory(r);
        give_back(r, b);
        return;
    }
    b->seq = ++r->batch_seq;
    b->cursor = (struct tg_cursor){ TG_CHAT_CHANGES, TG_SEGMENT_CHANGES, (int64_t)r->seq, 0 };
    b->started_us = b->ended_us = stream_now(r);
    b->rate_limit_remaining = -1;
    tg_trace_batch(r->observed_run.trace, TG_CHAT_CHANGES, b);
    if (tg_stage_pool_put(r->pool, b, &err) != TG_OK) {
        give_back(r, b);
        stream_fail(r, &err);
    }
}

static struct tg_batch *new_batch(struct stream_run *r)
{
    struct tg_batch *b = r->n_spare ? r->spare[--r->n_spare] : NULL;

    if (b)
        b->covered_from = (int64_t)r->seq + 1;
    r->batch_us = 0;
    return b;
}

bool stream_room(struct stream_run *r, size_t n)
{
    assert(n <= STREAM_ANSWER_MAX);
    if (r->code != TG_OK || r->left)
        return false;
    if (r->batch && (r->batch->n >= r->batch_size || r->batch->n + n > r->batch->cap))
        send_batch(r);
    if (!r->batch)
        r->batch = new_batch(r);
    return r->batch != NULL;
}

void stream_touched(struct stream_run *r)
{
    if (r->batch_us)
        return;
    r->batch_us = stream_now(r);
    tg_trace_gather(r->observed_run.trace, true);
}

/* ---- what becomes of batches ---- */

static void take_committed(struct stream_run *r, const struct tg_pipeline_state *p)
{
    for (; r->commits_seen < p->commits && r->n_sent; r->commits_seen++) {
        r->rows_out -= r->sent[r->first_sent].rows;
        r->first_sent = (r->first_sent + 1) % r->cap_sent;
        r->n_sent--;
    }
    tg_change_committed(r->state, r->resume.seq + r->commits_seen);
}

/* The batch's contents go to the destination, if it takes one more. */
static bool hand_over(struct stream_run *r, struct tg_batch *b)
{
    struct tg_batch *to = tg_pipeline_batch(r->pipeline), swap;

    if (!to)
        return false;
    swap = *to;
    *to = *b;
    *b = swap;
    tg_pipeline_put(r->pipeline, to);
    give_back(r, b);
    return true;
}

/* What was spilled goes first. @return whether nothing is left of it */
static bool drain(struct stream_run *r)
{
    struct tg_batch *to;
    struct tg_error err;

    while (r->spill.n_batches && r->code == TG_OK && (to = tg_pipeline_batch(r->pipeline))) {
        if (tg_spill_take(&r->spill, to, &err) == TG_OK) {
            tg_pipeline_put(r->pipeline, to);
            continue;
        }
        tg_pipeline_return(r->pipeline, to);
        stream_fail(r, &err);
    }
    return !r->spill.n_batches;
}

/* @return whether the batch has gone: to the destination, or to a temporary file */
static bool pass_on(struct stream_run *r, struct tg_batch *b)
{
    if (drain(r) && hand_over(r, b))
        return true;
    if (!tg_spill_add(&r->spill, b))
        return false;
    give_back(r, b);
    return true;
}

/* Rows that rules have set aside are kept before their batch moves anywhere. */
static bool keep_aside(struct stream_run *r, struct tg_batch *b)
{
    struct tg_error err;
    tg_code code = TG_OK;

    if (b->aside && !r->sink.ops) {
        tg_fail(&err, TG_USAGE, "severity=quarantine keeps letters to a destination, and there is "
                                "none");
        code = tg_hint(&err, "use severity=drop, or write to a destination");
    }
    for (; code == TG_OK && b->aside; b->aside = b->aside->next)
        code = tg_pipeline_letter(r->pipeline, &r->box, b->cursor.chat_id, b->aside, &err);
    if (code != TG_OK)
        stream_fail(r, &err);
    return code == TG_OK;
}

static void move_on(struct stream_run *r)
{
    struct tg_batch *b;
    struct tg_error err;
    tg_code code = TG_OK;

    drain(r);
    if (r->waiting && pass_on(r, r->waiting))
        r->waiting = NULL;
    while (!r->waiting && (code = tg_stage_pool_take(r->pool, &b, &err)) == TG_OK) {
        if (!keep_aside(r, b)) {
            give_back(r, b);
            return;
        }
        if (!pass_on(r, b))
            r->waiting = b;
    }
    if (code != TG_OK && code != TG_AGAIN)
        stream_fail(r, &err);
}

/* When the batch at hand goes at the latest, INT64_MAX: not by itself. */
int64_t stream_out_due(const struct stream_run *r)
{
    if (!r->batch || !r->batch_us)
        return INT64_MAX;
    if (r->n_sent >= BUSY)
        return INT64_MAX; /* a commit will call */
    return r->batch_us + (r->batch->n ? r->linger_us : TG_MAX(r->linger_us, IDLE_NOTE_US));
}

void stream_out_step(struct stream_run *r, bool flush, int64_t now_us)
{
    struct tg_pipeline_state p;
    struct tg_taker_news news;
    struct tg_error err;
    double usage;

    move_on(r);
    while (tg_pipeline_news(r->pipeline, &news))
        tg_observed_news(r->account, r->made->observer, &news, &r->sink_away, &r->sink_open);
    tg_pipeline_state(r->pipeline, &p);
    if (p.failed)
        stream_fail(r, &p.err);
    take_committed(r, &p);
    if (r->batch && !r->batch_us && stream_boxes_moved(r))
        stream_touched(r);
    if (r->batch && (flush || r->batch->n >= r->batch_size ||
                     stream_out_due(r) <= now_us))
        send_batch(r);
    move_on(r);
    if (tg_change_due(r->state) && tg_change_step(r->state, tg_clock_unix_us(), &err) != TG_OK)
        stream_fail(r, &err);
    usage = 100.0 * (double)r->rows_out / (double)r->set->buffer_size;
    r->pressed = usage >= (double)r->set->backpressure_threshold;
}

bool stream_out_empty(const struct stream_run *r)
{
    bool at_hand = r->batch && (r->batch->n || tg_change_entry_any(r->state));

    return !at_hand && !r->n_sent;
}

/* Small files are a burden for whoever reads them; a delta ends soon anyway. */
static int64_t linger_of(const struct stream_run *r)
{
    const struct tg_sink_ops *to = r->sink.ops;

    if (r->set->linger_ms)
        return r->set->linger_ms * TG_MS_US;
    return to && to->parts ? 5 * TG_SECOND_US : 50 * TG_MS_US;
}

tg_code stream_out_open(struct stream_run *r, struct tg_error *err)
{
    r->linger_us = linger_of(r);
    tg_spill_init(&r->spill, (uint64_t)r->settings.spill_bytes);
    for (; r->n_spare < STREAM_BATCHES; r->n_spare++) {
        r->spare[r->n_spare] = tg_batch_new((size_t)r->settings.batch_size);
        if (!r->spare[r->n_spare])
            return tg_fail(err, TG_NOMEM, "no memory for the batches of a stream");
    }
    return TG_OK;
}

void stream_out_close(struct stream_run *r)
{
    tg_stage_pool_free(r->pool);
    r->pool = NULL;
    tg_batch_free(r->batch);
    tg_batch_free(r->waiting);
    r->batch = r->waiting = NULL;
    while (r->n_spare)
        tg_batch_free(r->spare[--r->n_spare]);
    tg_spill_done(&r->spill);
    free(r->sent);
    r->sent = NULL;
}

/* ---- what is told ---- */

static void fill(struct stream_run *r, int64_t now_us)
{
    struct tg_stream_stats *s = r->stats;
    struct tg_stage_pool_state pool;
    struct tg_pipeline_state p;
    struct tg_change_usage state;
    struct tgc_stats c;
    int64_t oldest = r->n_sent ? r->sent[r->first_sent].came_us : r->batch_us;

    tg_stage_pool_state(r->pool, &pool);
    tg_pipeline_state(r->pipeline, &p);
    tgc_stats(r->client, &c);
    if (r->told_us && now_us > r->told_us)
        s->messages_per_second =
            (double)(p.rows - r->told_rows) * 1e6 / (double)(now_us - r->told_us);
    r->told_rows = p.rows;
    s->changes_detected = p.rows;
    s->commits = p.commits;
    s->bytes_out = p.bytes_out;
    s->filtered = pool.dropped - pool.aside;
    s->set_aside = pool.aside;
    s->quality.rows = pool.judged;
    s->quality.invalid = pool.invalid;
    s->failed = pool.failed;
    memcpy(s->failed_why, pool.failed_why, sizeof s->failed_why);
    s->workers = pool.workers;
    s->buffer_usage = (double)r->rows_out / (double)r->set->buffer_size;
    s->lag_s = oldest && !stream_out_empty(r) ? (double)(now_us - oldest) / 1e6 : 0;
    s->backpressure = r->pressed;
    s->refused = r->letters.n;
    s->flood_waits = c.n_floods - r->before.n_floods;
    s->seconds = (double)(now_us - r->started_us) / 1e6;
    s->chats = r->n_chats;
    tg_change_usage(r->state, &state);
    if (r->versions) {
        struct tg_versions_usage kept;

        tg_versions_usage(r->versions, &kept);
        s->versions = kept.rows;
        s->version_bytes = kept.document_bytes;
    }
    s->state_messages = state.messages;
    s->state_bytes = state.stored + state.journal;
}

static const char *why_not_ready(const struct stream_run *r)
{
    if (r->phase < RUN_WATCH)
        return "it is looked where the chats stand";
    if (r->sink_open)
        return "the circuit breaker of a destination is open";
    return r->sink_away ? "a destination is waited for" : NULL;
}

static void put_chats(const struct stream_run *r, struct tg_buf *out)
{
    struct tg_json j;

    tg_json_init(&j, out);
    tg_json_array(&j);
    for (size_t i = 0; i < r->n_chats; i++) {
        const struct stream_chat *c = &r->chat[i];

        tg_json_object(&j);
        tg_json_key(&j, "chat_id"), tg_json_i64(&j, c->job.id);
        tg_json_key(&j, "title"), tg_json_cstr(&j, c->job.title);
        tg_json_key(&j, "state");
        tg_json_cstr(&j, c->phase == CHAT_LOST ? "lost" : "watching");
        tg_json_end_object(&j);
    }
    tg_json_end_array(&j);
}

void stream_observe(struct stream_run *r, bool ended)
{
    const struct tg_stream_stats *s = r->stats;
    struct tg_observer *o = r->made->observer;
    struct tg_pipeline_state p;
    struct tg_buf chats;

    if (!o)
        return;
    tg_pipeline_state(r->pipeline, &p);
    tg_observed_pipeline(&r->observed_run, &p, s->quarantined, r->letters.n);
    tg_observed_quality(&r->observed_run, &s->quality, s->set_aside);
    tg_observed_look(&r->observed);
    tg_observe_set(o, TG_METRIC_ACCOUNTS, NULL, NULL, 1);
    tg_observe_set(o, TG_METRIC_CHATS, NULL, NULL, (double)r->n_chats);
    tg_observe_set(o, TG_METRIC_CHATS_AT_WORK, NULL, NULL,
                   ended ? 0 : (double)(r->n_chats - s->chats_lost));
    tg_observe_set(o, TG_METRIC_QUEUE, NULL, NULL, (double)r->n_sent);
    tg_observe_set(o, TG_METRIC_STREAM_BUFFER, NULL, NULL, s->buffer_usage);
    tg_observe_set(o, TG_METRIC_STREAM_LAG, NULL, NULL, s->lag_s);
    tg_observe_set(o, TG_METRIC_STREAM_CAUGHT_UP, NULL, NULL,
                   r->phase == RUN_WATCH && stream_scans_idle(r) && !r->n_fetches &&
                       stream_out_empty(r));
    tg_observe_set(o, TG_METRIC_STREAM_WORKERS, NULL, NULL, s->workers);
    tg_observe_add(o, TG_METRIC_PUSHES, NULL, NULL, (double)(s->pushes - r->observed_pushes));
    tg_observe_add(o, TG_METRIC_PUSHES_LOST, NULL, NULL,
                   (double)(s->pushes_lost - r->observed_lost));
    r->observed_pushes = s->pushes;
    r->observed_lost = s->pushes_lost;
    tg_buf_init(&chats, 4 << 20);
    put_chats(r, &chats);
    if (!chats.failed)
        tg_observe_chats(o, (const char *)chats.data, chats.len);
    tg_buf_done(&chats);
    tg_observe_ready(o, ended ? "the run has ended" : why_not_ready(r));
}

void stream_tell(struct stream_run *r, int64_t now_us, bool last)
{
    if (!last && now_us < r->told_us + TELL_US)
        return;
    if (!r->pipeline || !r->state || !r->pool)
        return;
    fill(r, now_us);
    r->told_us = now_us;
    stream_observe(r, false);
    if (r->monitor && !r->monitor(r->monitor_ctx, r->stats))
        r->stopping = true;
}

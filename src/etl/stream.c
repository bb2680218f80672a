/* SPDX-License-Identifier: MIT */
/*
 * stream.c - patterns 2 and 4, streams and deltas: a run from its start to its end
 *
 *   FIND   the chats are found
 *   BEGIN  the job's lease, the destination's last commit; what is remembered as of that
 *   TOPS   where chats stand that are new to the job; from here on the server pushes
 *   WATCH  until it is stopped, or (delta) has caught up
 *   LEAVE  what is at hand is committed
 *
 * A stream is a step function on the account's loop, as an extraction is (extract.c).
 */
#include "tgdata/stream.h"

#include <stdlib.h>

#include "crypto/hash.h"
#include "crypto/random.h"
#include "etl/stream_impl.h"

enum { BODY_MAX = 64 << 20, CHATS_MAX = 100000, BATCHES_BEHIND = 8 };

int64_t stream_now(const struct stream_run *r)
{
    return tg_net_now(r->account->net);
}

void stream_fail(struct stream_run *r, const struct tg_error *err)
{
    if (r->code != TG_OK)
        return;
    r->code = err->code;
    r->err = *err;
}

void stream_no_memory(struct stream_run *r)
{
    struct tg_error err;

    tg_fail(&err, TG_NOMEM, "no memory for a stream");
    stream_fail(r, &err);
}

void stream_quarantine(struct stream_run *r, int64_t chat_id, int64_t id, const char *reason,
                       const void *bytes, size_t len)
{
    struct tg_error err;

    r->stats->quarantined++;
    if (tg_pipeline_quarantine(r->pipeline, chat_id, id, reason, bytes, len, &err) != TG_OK)
        stream_fail(r, &err);
}

/* ---- what the client tells ---- */

static void count_call(struct tg_stream_stats *s, const char *method)
{
    if (strcmp(method, "updates.getDifference") == 0)
        s->differences++;
    else if (strcmp(method, "updates.getChannelDifference") == 0)
        s->channel_differences++;
    else if (strcmp(method, "messages.getHistory") == 0)
        s->history_requests++;
    else if (strstr(method, ".getMessages"))
        s->confirm_requests++;
    else
        s->other_requests++;
}

static void watch(void *ctx, const struct tgc_notice *n)
{
    struct stream_run *r = ctx;

    tg_observed_notice(&r->observed, n);
    switch (n->kind) {
    case TGC_CIRCUIT:
        tg_observed_circuit(r->made->observer, n->circuit, r->account->path);
        break;
    case TGC_UPDATES:
    case TGC_NEW_SESSION:
        stream_pushed(r, n->bytes, n->len);
        break;
    case TGC_LOST: /* nothing is pushed until somebody asks again */
        if (n->dc == tgc_session(r->client)->home_dc)
            stream_pushed(r, NULL, 0);
        break;
    case TGC_ASKED:
        count_call(r->stats, n->method);
        break;
    case TGC_LOGGED_OUT:
        stream_fail(r, n->err);
        break;
    case TGC_UNREADABLE:
        if (r->pipeline)
            stream_quarantine(r, 0, 0, n->err->message, n->bytes, n->len);
        break;
    default:
        break;
    }
}

/* ---- phases ---- */

static const struct tg_job_chat changes = { .id = TG_CHAT_CHANGES, .title = "changes" };

/* All chats are found: the job's list, then its one sequence is taken up. */
static void begin(struct stream_run *r)
{
    struct tg_error err;
    tg_code code = TG_OK;

    r->list = calloc(r->n_chats, sizeof *r->list);
    if (!r->list) {
        stream_no_memory(r);
        return;
    }
    for (size_t i = 0; i < r->n_chats; i++)
        r->list[i] = r->chat[i].job;
    code = tg_pipeline_list(r->pipeline, r->list, r->n_chats, &err);
    if (code == TG_OK)
        code = tg_pipeline_begin(r->pipeline, &changes, &err);
    if (code != TG_OK)
        stream_fail(r, &err);
    r->phase = RUN_BEGIN;
}

static tg_code open_state(struct stream_run *r, struct tg_error *err)
{
    struct tg_change_state_options options = {
        .store = &r->change_store,
        .job = r->settings.job,
        .fields = r->fields,
        .commit_seq = r->resume.seq,
        .fence = tg_pipeline_fence(r->pipeline),
        .unix_us = tg_clock_unix_us(),
    };
    tg_code code = tg_store_open(r->settings.state, &r->change_store, err);

    if (code == TG_OK)
        code = tg_change_state_open(&options, &r->state, err);
    if (code == TG_OK && r->set->keep_versions) {
        r->versions = tg_versions_new(&(struct tg_versions_options){
            &r->change_store, r->settings.job, options.fence, tg_clock_unix_us });
        if (!r->versions)
            code = tg_fail(err, TG_NOMEM, "no memory for versions of messages");
    }
    if (code == TG_OK && tg_change_doubt(r->state))
        tg_account_note(r->account, TG_NOTE_WARNING, 0,
                        "what job '%s' remembers is not to be trusted: %s", r->settings.job,
                        tg_change_doubt(r->state));
    return code;
}

static void step_begin(struct stream_run *r)
{
    struct tg_error err;
    tg_code code = tg_pipeline_resume(r->pipeline, TG_CHAT_CHANGES, &r->resume, &err);

    if (code == TG_AGAIN)
        return;
    if (code == TG_OK)
        code = open_state(r, &err);
    if (code != TG_OK) {
        stream_fail(r, &err);
        return;
    }
    r->seq = (uint64_t)r->resume.cursor.id;
    r->batch_seq = r->resume.batches;
    r->phase = RUN_TOPS;
}

static bool has_caught_up(const struct stream_run *r)
{
    for (size_t i = 0; i < r->n_chats; i++) {
        const struct stream_chat *c = &r->chat[i];

        if (c->phase != CHAT_LOST && (c->phase != CHAT_READY || (c->channel && !c->caught_up)))
            return false;
    }
    return (!r->own || r->account_caught_up) && stream_scans_idle(r) && !r->n_fetches &&
           !r->n_reacted;
}

static bool is_over(const struct stream_run *r, int64_t now_us)
{
    if (r->stopping || r->code != TG_OK)
        return true;
    if (r->delta)
        return has_caught_up(r);
    return r->set->idle_exit_ms && stream_scans_idle(r) && stream_out_empty(r) &&
           now_us - r->quiet_us >= r->set->idle_exit_ms * TG_MS_US;
}

static void step_watch(struct stream_run *r, int64_t now_us)
{
    int64_t due;

    stream_out_step(r, false, now_us);
    stream_chats_doubted(r);
    stream_chats_tops(r, now_us);
    due = stream_boxes_step(r, now_us);
    stream_scans_step(r, now_us);
    stream_reacted(r, now_us);
    stream_out_step(r, false, now_us);
    if (is_over(r, now_us)) {
        r->phase = RUN_LEAVE;
        return;
    }
    due = TG_MIN(due, stream_out_due(r));
    due = TG_MIN(due, now_us + TG_SECOND_US / 2);
    tg_net_timer(r->account->net, TG_MAX(due, now_us + TG_MS_US));
}

/* After a failure what is at hand is not put: nobody knows what is missing in it. */
static void step_leave(struct stream_run *r, int64_t now_us)
{
    struct tg_error err, alone;
    int64_t rows;
    tg_code code;

    if (r->code == TG_OK || r->n_sent)
        stream_out_step(r, r->code == TG_OK, now_us);
    if (r->code == TG_OK && !stream_out_empty(r)) {
        tg_net_timer(r->account->net, now_us + 100 * TG_MS_US);
        return;
    }
    if (!r->left && tg_pipeline_leave(r->pipeline, TG_CHAT_CHANGES, &err) != TG_OK)
        stream_fail(r, &err);
    r->left = true;
    code = r->code == TG_OK
               ? tg_pipeline_left(r->pipeline, TG_CHAT_CHANGES, &rows, &alone, &err) : TG_OK;
    if (code == TG_AGAIN)
        return;
    if (code != TG_OK)
        stream_fail(r, &err);
    r->phase = RUN_DONE;
}

static void step(struct stream_run *r, int64_t now_us)
{
    switch (r->phase) {
    case RUN_FIND:
        if (stream_chats_find(r, now_us))
            begin(r);
        break;
    case RUN_BEGIN:
        step_begin(r);
        break;
    case RUN_TOPS:
        if (!stream_chats_tops(r, now_us))
            break;
        r->phase = RUN_WATCH;
        r->quiet_us = now_us;
        break;
    case RUN_WATCH:
        step_watch(r, now_us);
        break;
    case RUN_LEAVE:
        step_leave(r, now_us);
        break;
    case RUN_DONE:
        break;
    }
}

static tg_code run_step(void *ctx, struct tg_account *account, int64_t now_us,
                        struct tg_error *err)
{
    struct stream_run *r = ctx;
    enum stream_phase before;

    r->stopping |= tg_account_stopping(account);
    do {
        before = r->phase;
        step(r, now_us);
        if (r->phase < RUN_WATCH && (r->code != TG_OK || r->stopping))
            r->phase = RUN_DONE;
    } while (r->phase != before);
    tg_trace_settle(r->observed_run.trace);
    stream_tell(r, now_us, false);
    if (r->phase != RUN_DONE)
        return TG_AGAIN;
    if (r->code != TG_OK) {
        *err = r->err;
        return r->code;
    }
    return r->stopping && r->delta ? tg_fail(err, TG_CANCELLED, "stopped") : TG_OK;
}

/* ---- opening and closing ---- */

static void wake(void *ctx)
{
    tg_net_wake(((struct stream_run *)ctx)->account->net);
}

static int64_t sink_clock(void *ctx)
{
    (void)ctx;
    return tg_clock_unix_us();
}

/* At most one: killed between two of them, one would have changes that no run sees again. */
static tg_code open_sink(struct stream_run *r, struct tg_error *err)
{
    const struct tg_option_list *to = &r->settings.destinations;

    tg_letters_init(&r->letters, &r->store, r->settings.job, tg_clock_unix_us);
    if (!to->n)
        return TG_OK;
    r->box = (struct tg_letter_box){ &r->letters, to->item[0], NULL };
    r->env = (struct tg_sink_env){ .job = r->settings.job,
                                   .fs = &tg_fs_system,
                                   .unix_us = sink_clock,
                                   .refuse = tg_letter_keep,
                                   .ctx = &r->box };
    return tg_sink_open(to->item[0], &r->env, &r->sink, err);
}

static tg_code check_destination(const struct stream_run *r, struct tg_error *err)
{
    if (r->settings.destinations.n > 1) {
        tg_fail(err, TG_USAGE, "changes go to one destination");
        return tg_hint(err, "run a job with a --job name of its own for each");
    }
    if (r->settings.destinations.n || r->made->callback)
        return TG_OK;
    tg_fail(err, TG_USAGE, "no destination is given");
    return tg_hint(err, "say where to, such as --to ndjson:DIR");
}

/* The steps of the config, then those that were added. */
static tg_code open_pool(struct stream_run *r, struct tg_error *err)
{
    const struct tg_stream *s = r->made;
    struct tg_stage_pool_options options = {
        .step = r->steps.step, .min = (unsigned)r->set->min_workers,
        .max = (unsigned)TG_MAX(r->set->min_workers, r->set->parallel_workers),
        .wake = wake, .ctx = r,
    };
    tg_code code;

    tg_steps_init(&r->steps);
    code = tg_steps_set(&r->steps, &s->config->steps, err);
    for (size_t i = 0; code == TG_OK && i < s->n_steps; i++)
        code = tg_steps_add(&r->steps, &s->step[i], err);
    options.n_steps = r->steps.n;
    return code == TG_OK ? tg_stage_pool_new(&options, &r->pool, err) : code;
}

static tg_code open_pipeline(struct stream_run *r, struct tg_error *err)
{
    const struct tg_random random = tg_random_system();
    const struct tg_account_settings *account = &r->account->settings;
    size_t batches = (size_t)r->set->buffer_size / r->batch_size;
    struct tg_pipeline_options options = {
        .job = &r->settings,
        .store = &r->store,
        .sink = r->sink.ops ? &r->sink : NULL,
        .letters = r->sink.ops ? &r->letters : NULL,
        .callback = r->made->callback,
        .callback_ctx = r->made->callback_ctx,
        .observer = r->made->observer,
        .trace = r->observed_run.trace,
        .circuit = tg_account_breaker(account),
        .circuit_fails = account->circuit_open == TG_CIRCUIT_OPEN_FAIL,
        .sink_wait_ms = r->settings.destination_wait_ms,
        .n_chats = TG_MAX(batches, (size_t)BATCHES_BEHIND) - BATCHES_BEHIND + 1,
        .nonce = (uint32_t)tg_random_u64(&random),
        .unix_us = tg_clock_unix_us,
        .wake = wake,
        .wake_ctx = r,
    };

    return tg_pipeline_new(&options, &r->pipeline, err);
}

static tg_code open_chats(struct stream_run *r, struct tg_error *err)
{
    const struct tg_stream *s = r->made;

    r->chat = calloc(s->n_chats + 1, sizeof *r->chat);
    if (!r->chat)
        return tg_fail(err, TG_NOMEM, "no memory for the chats of a stream");
    r->n_chats = s->n_chats;
    for (size_t i = 0; i < s->n_chats; i++)
        r->chat[i] = (struct stream_chat){ .run = r, .what = s->chat[i] };
    return TG_OK;
}

static tg_code open_all(struct stream_run *r, struct tg_error *err)
{
    tg_code code = tg_job_name_check(r->settings.job, err);

    if (code == TG_OK)
        code = tg_signature_fields(tg_str_of(r->set->comparison_fields), &r->fields, err);
    if (code == TG_OK)
        code = check_destination(r, err);
    if (code == TG_OK)
        code = open_chats(r, err);
    if (code == TG_OK)
        code = tg_account_who(r->account, err);
    if (code == TG_OK)
        code = open_pool(r, err);
    if (code == TG_OK)
        code = tg_store_open(r->settings.state, &r->store, err);
    if (code == TG_OK)
        code = open_sink(r, err);
    if (code == TG_OK)
        code = open_pipeline(r, err);
    r->page = tg_page_new();
    tg_buf_init(&r->body, BODY_MAX);
    if (code == TG_OK && !r->page)
        code = tg_fail(err, TG_NOMEM, "no memory for a stream");
    if (code == TG_OK)
        code = stream_out_open(r, err);
    return code == TG_OK ? stream_boxes_open(r, err) : code;
}

static void close_all(struct stream_run *r)
{
    stream_out_close(r);
    stream_boxes_close(r);
    stream_chats_free(r);
    tg_pipeline_free(r->pipeline);
    tg_change_state_free(r->state);
    tg_versions_free(r->versions);
    if (r->sink.ops)
        tg_sink_close(&r->sink);
    tg_letters_done(&r->letters);
    tg_store_close(&r->change_store);
    tg_store_close(&r->store);
    tg_page_free(r->page);
    tg_buf_done(&r->body);
    tg_steps_done(&r->steps);
    free(r->list);
}

/* All that was put is committed, unless that failed; then what is remembered is made compact. */
static tg_code finish(struct stream_run *r, tg_code code, struct tg_error *err)
{
    struct tg_pipeline_state state;
    struct tg_error late;
    tg_code ended;

    ended = tg_pipeline_finish(r->pipeline, &late);
    tg_pipeline_state(r->pipeline, &state);
    if (ended == TG_OK && r->state) {
        tg_change_committed(r->state, r->resume.seq + state.commits);
        ended = tg_change_state_close(r->state, tg_clock_unix_us(), &late);
    }
    if (ended != TG_OK && (code == TG_OK || code == TG_CANCELLED)) {
        *err = late;
        code = ended;
    }
    return code;
}

static tg_code run(struct stream_run *r, struct tg_error *err)
{
    struct tg_error late;
    tg_code ended, code;

    tg_observed_run_begin(&r->observed_run, r->made->observer, r->settings.job,
                          r->delta ? TG_TRACE_DELTA : TG_TRACE_STREAM);
    code = open_all(r, err);
    if (code == TG_OK) {
        tgc_stats(r->client, &r->before);
        r->started_us = stream_now(r);
        tg_observed_begin(&r->observed, r->made->observer, r->observed_run.trace, r->account);
        r->account->watch = watch;
        r->account->watch_ctx = r;
        code = tg_account_run(r->account, run_step, r, err);
        r->account->watch = NULL;
        ended = tg_stage_pool_end(r->pool,
                                  &(struct tg_stage_report){ r->settings.job, r->settings.state,
                                                             code == TG_OK },
                                  &r->stats->quality, &late);
        if (ended != TG_OK && code == TG_OK) {
            *err = late;
            code = ended;
        }
        stream_tell(r, stream_now(r), true);
        code = finish(r, code, err);
        stream_observe(r, true);
        tg_observed_end(&r->observed);
        r->account->dirty = true; /* peers were learned */
        if (tg_account_save(r->account, &late) != TG_OK && code == TG_OK) {
            *err = late;
            code = late.code;
        }
    }
    close_all(r);
    tg_observed_run_end(&r->observed_run, r->stats->changes_detected, code == TG_OK ? NULL : err);
    return code;
}

static tg_code make_run(struct tg_stream *s, bool delta, tg_stream_monitor_fn monitor, void *ctx,
                        struct tg_stream_stats *ret, struct tg_error *err)
{
    struct stream_run *r = calloc(1, sizeof *r);
    const char *to = s->to;
    tg_code code;

    *ret = (struct tg_stream_stats){ 0 };
    if (s->broken.code != TG_OK || !r) {
        free(r);
        *err = s->broken;
        return r ? err->code : tg_fail(err, TG_NOMEM, "no memory for a stream");
    }
    r->made = s;
    r->account = s->account;
    r->client = tg_net_client(s->account->net);
    r->settings = s->config->extract;
    r->set = &s->config->stream;
    r->monitor = monitor;
    r->monitor_ctx = ctx;
    r->stats = ret;
    r->delta = delta;
    r->batch_size = s->batch_size ? s->batch_size : (size_t)r->settings.batch_size;
    r->settings.batch_size = (int64_t)r->batch_size + STREAM_ANSWER_MAX;
    if (to) {
        r->settings.destinations = (struct tg_option_list){ &to, 1 };
        r->settings.to = to;
    }
    code = run(r, err);
    free(r);
    return code;
}

tg_code tg_stream_run(struct tg_stream *s, tg_stream_monitor_fn monitor, void *ctx,
                      struct tg_stream_stats *ret, struct tg_error *err)
{
    return make_run(s, false, monitor, ctx, ret, err);
}

tg_code tg_stream_delta(struct tg_stream *s, tg_stream_monitor_fn monitor, void *ctx,
                        struct tg_stream_stats *ret, struct tg_error *err)
{
    return make_run(s, true, monitor, ctx, ret, err);
}

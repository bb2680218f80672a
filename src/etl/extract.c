/* SPDX-License-Identifier: MIT */
/*
 * extract.c - pattern 1, batches with checkpoints: one run over some chats of one account
 *
 *   TAKEOUT -> CHATS -> RANGES -> per chat: BEGIN -> RESUME -> READ -> ... -> END
 *
 * The run is a step function on the account's loop. It owns the state store, the sink and the
 * pipeline; the history source asks it for batches.
 */
#include "tgdata/extract.h"

#include <assert.h>
#include <stdlib.h>

#include "crypto/hash.h"
#include "crypto/random.h"
#include "etl/extract_impl.h"

#define PROGRESS_US (200 * TG_MS_US)
#define LEAVE_US (10 * TG_SECOND_US) /* for the answers that an end still needs */

/* Failures of one chat let the others go on. */
bool extract_only_this_chat(tg_code code)
{
    return code == TG_NOT_FOUND || code == TG_FORBIDDEN || code == TG_BAD_REQUEST ||
           code == TG_UNSUPPORTED;
}

void extract_keep_failure(struct extract_run *r, const struct tg_error *err)
{
    if (r->code != TG_OK && (!extract_only_this_chat(r->code) || extract_only_this_chat(err->code)))
        return;
    r->code = err->code;
    r->err = *err;
}

void extract_chat_failed(struct extract_run *r, const char *name, const struct tg_error *err)
{
    extract_keep_failure(r, err);
    if (extract_only_this_chat(err->code) && (!r->names || r->n_names > 1))
        tg_account_note(r->account, TG_NOTE_WARNING, 0, "left out '%s': %s", name, err->message);
}

static bool has_failed(const struct extract_run *r)
{
    return r->code != TG_OK && !extract_only_this_chat(r->code);
}

void extract_enter(struct extract_run *r, enum extract_phase phase)
{
    r->phase = phase;
    r->asked = false;
}

void extract_no_memory(struct extract_run *r)
{
    struct tg_error err;

    tg_fail(&err, TG_NOMEM, "no memory for the list of chats");
    extract_keep_failure(r, &err);
    extract_enter(r, PHASE_END);
}

/* ---- reading ---- */

static struct tg_batch *take_batch(void *ctx)
{
    return tg_pipeline_batch(((struct extract_run *)ctx)->pipeline);
}

static void put_batch(void *ctx, struct tg_batch *batch)
{
    tg_pipeline_put(((struct extract_run *)ctx)->pipeline, batch);
}

static void return_batch(void *ctx, struct tg_batch *batch)
{
    tg_pipeline_return(((struct extract_run *)ctx)->pipeline, batch);
}

static void bad_record(void *ctx, int64_t chat_id, int64_t id, const char *reason,
                       const void *bytes, size_t len)
{
    struct extract_run *r = ctx;
    struct tg_error err;

    r->result->quarantined++;
    if (tg_pipeline_quarantine(r->pipeline, chat_id, id, reason, bytes, len, &err) != TG_OK)
        extract_keep_failure(r, &err);
}

/* An object in a reply that told of chats, not of messages: chat 0 while none is at work. */
static void unreadable(void *ctx, const char *what, const uint8_t *bytes, size_t len)
{
    struct extract_run *r = ctx;
    uint8_t hash[TG_SHA256];

    tg_sha256(hash, bytes, len);
    if (r->source)
        tg_source_unreadable(r->source, what, bytes, len);
    else if (tg_marks_add(&r->unreadable, tg_le64(hash)))
        bad_record(r, 0, 0, what, bytes, len);
}

static void warn(void *ctx, const char *line)
{
    struct extract_run *r = ctx;

    tg_account_note(r->account, TG_NOTE_WARNING, 0, "%s", line);
}

static void on_source_done(void *ctx, const struct tg_error *err)
{
    struct extract_run *r = ctx;

    r->source_done = true;
    r->chat_failed = err != NULL;
    if (err)
        extract_chat_failed(r, r->chat[r->at_chat].title, err);
}

static void step_begin(struct extract_run *r)
{
    struct tg_error err;

    if (r->at_chat == r->n_chats) {
        extract_enter(r, PHASE_END);
    } else if ((r->at_chat == 0 &&
                tg_pipeline_list(r->pipeline, r->chat, r->n_chats, &err) != TG_OK) ||
               tg_pipeline_begin(r->pipeline, r->chat[r->at_chat].id, &err) != TG_OK) {
        extract_keep_failure(r, &err);
        extract_enter(r, PHASE_END);
    } else {
        extract_enter(r, PHASE_RESUME);
    }
}

static void step_resume(struct extract_run *r, int64_t now_us)
{
    struct tg_commit done;
    struct tg_error err;
    tg_code code = tg_pipeline_resume(r->pipeline, &done, &err);

    if (code == TG_AGAIN)
        return;
    if (code != TG_OK) {
        extract_keep_failure(r, &err);
        extract_enter(r, PHASE_END);
        return;
    }
    struct tg_source_options options = {
        .client = tg_net_client(r->account->net),
        .settings = r->settings,
        .io = { r, take_batch, put_batch, return_batch, bad_record, warn, on_source_done },
        .chat_id = r->chat[r->at_chat].id,
        .range = r->range,
        .n_ranges = r->n_ranges,
        .resume = done.cursor,
        .rows_before = done.rows_total,
        .batches_before = done.batches,
    };
    r->source_done = false;
    r->n_rates = 0;
    r->source = tg_source_start(&options, now_us);
    if (!r->source) {
        extract_no_memory(r);
        return;
    }
    extract_enter(r, PHASE_READ);
}

/* Nothing in the range asked for is worth a word: it may be mistyped. */
static void mind_empty(struct extract_run *r, const struct tg_source_state *state)
{
    const struct tg_extract_settings *set = r->settings;

    if (r->chat_failed || r->stopping || state->rows || state->n_bad ||
        !(set->since || set->until || set->min_id || set->max_id))
        return;
    r->result->empty++;
    tg_account_note(r->account, TG_NOTE_INFO, 0, "'%s' has no message in that range",
                    r->chat[r->at_chat].title);
}

static void step_read(struct extract_run *r, int64_t now_us)
{
    struct tg_source_state state;
    struct tg_pipeline_state pipeline;

    tg_pipeline_state(r->pipeline, &pipeline);
    if (pipeline.failed)
        extract_keep_failure(r, &pipeline.err);
    if ((pipeline.failed || has_failed(r)) && !r->source_done) { /* also: no quarantine */
        tg_source_free(r->source);
        r->source = NULL;
        extract_enter(r, PHASE_END);
        return;
    }
    if (r->stopping)
        tg_source_stop(r->source, now_us);
    else
        tg_source_step(r->source, now_us);
    if (!r->source_done)
        return;
    tg_source_state(r->source, &state);
    tg_source_free(r->source);
    r->source = NULL;
    r->result->chats += !r->chat_failed;
    mind_empty(r, &state);
    if (r->stopping || has_failed(r)) {
        extract_enter(r, PHASE_END);
        return;
    }
    r->at_chat++;
    extract_enter(r, PHASE_BEGIN);
}

/* ---- the run ---- */

static void step_end(struct extract_run *r, int64_t now_us)
{
    if (!r->asked && !extract_finish_takeout(r, now_us))
        extract_enter(r, PHASE_DONE);
}

/* Ends what is on its way; the callbacks know that nothing follows. */
static void end_calls(struct extract_run *r, const char *why)
{
    struct tg_error err;

    tg_fail(&err, TG_CANCELLED, "%s", why);
    tgc_fail_all(tg_net_client(r->account->net), &err);
}

/* Not at once if an export session is being opened: one that was opened must be ended. */
static void stop(struct extract_run *r)
{
    r->stopping = true;
    if (r->phase >= PHASE_READ || (r->phase == PHASE_TAKEOUT && r->asked))
        return;
    end_calls(r, "stopped");
    extract_enter(r, PHASE_END);
}

/* A server that does not answer does not keep a run from ending. */
static void mind_the_end(struct extract_run *r, int64_t now_us)
{
    if (!r->leave_us)
        r->leave_us = now_us + LEAVE_US;
    if (r->asked && now_us >= r->leave_us)
        end_calls(r, "no answer before the run ended");
    else if (r->asked)
        tg_net_timer(r->account->net, r->leave_us);
}

static tg_code run_step(void *ctx, int64_t now_us, struct tg_error *err)
{
    struct extract_run *r = ctx;
    enum extract_phase before;

    if (tg_account_stopping(r->account) && !r->stopping)
        stop(r);
    if (r->phase == PHASE_END || (r->stopping && r->phase < PHASE_READ))
        mind_the_end(r, now_us);
    if (now_us >= r->progress_us) {
        extract_tell_progress(r, now_us, false);
        r->progress_us = now_us + PROGRESS_US;
    }
    tg_net_timer(r->account->net, r->progress_us);
    do {
        before = r->phase;
        switch (r->phase) {
        case PHASE_TAKEOUT:
            extract_step_takeout(r, now_us);
            break;
        case PHASE_CHATS:
            extract_step_chats(r, now_us);
            break;
        case PHASE_RANGES:
            extract_step_ranges(r, now_us);
            break;
        case PHASE_BEGIN:
            step_begin(r);
            break;
        case PHASE_RESUME:
            step_resume(r, now_us);
            break;
        case PHASE_READ:
            step_read(r, now_us);
            break;
        case PHASE_END:
            step_end(r, now_us);
            break;
        case PHASE_DONE:
            break;
        }
    } while (r->phase != before || (r->phase == PHASE_CHATS && !r->asked));
    if (r->phase != PHASE_DONE)
        return TG_AGAIN;
    if (r->code != TG_OK) {
        *err = r->err;
        return r->code;
    }
    return r->stopping ? tg_fail(err, TG_CANCELLED, "stopped") : TG_OK;
}

static void wake_loop(void *ctx)
{
    struct extract_run *r = ctx;

    tg_net_wake(r->account->net);
}

static int64_t sink_clock(void *ctx)
{
    (void)ctx;
    return tg_clock_unix_us();
}

static tg_code open_all(struct extract_run *r, struct tg_error *err)
{
    const struct tg_random random = tg_random_system();
    struct tg_pipeline_options options = {
        .job = r->settings,
        .store = &r->store,
        .callback = r->hooks->batch,
        .callback_ctx = r->hooks->ctx,
        .nonce = (uint32_t)tg_random_u64(&random),
        .unix_us = tg_clock_unix_us,
        .wake = wake_loop,
        .wake_ctx = r,
    };
    tg_code code = tg_job_name_check(r->settings->job, err);

    if (code == TG_OK && !r->settings->to && !r->hooks->batch) {
        tg_fail(err, TG_USAGE, "no destination is given");
        code = tg_hint(err, "say where to, such as --to ndjson:DIR");
    }
    if (code == TG_OK)
        code = tg_store_open(r->settings->state, &r->store, err);
    if (code == TG_OK && r->settings->to) {
        code = tg_sink_open(r->settings->to, &r->sink_env, &r->sink, err);
        r->has_sink = code == TG_OK;
    }
    options.sink = r->has_sink ? &r->sink : NULL;
    if (code == TG_OK)
        code = tg_pipeline_new(&options, &r->pipeline, err);
    return code;
}

static void close_all(struct extract_run *r)
{
    tg_source_free(r->source);
    tg_pipeline_free(r->pipeline);
    if (r->has_sink)
        tg_sink_close(&r->sink);
    if (r->store.ops)
        tg_store_close(&r->store);
    for (size_t i = 0; i < r->n_chats; i++)
        free((void *)(uintptr_t)r->chat[i].title);
    free(r->chat);
    free(r->range);
}

static void fill_result(struct extract_run *r, const struct tgc_stats *before)
{
    struct tg_pipeline_state state;
    struct tgc_stats now;

    tg_pipeline_state(r->pipeline, &state);
    tgc_stats(tg_net_client(r->account->net), &now);
    r->result->rows = state.rows;
    r->result->batches = state.batches;
    r->result->checkpoints = state.commits;
    r->result->bytes_out = state.bytes_out;
    r->result->requests = now.n_requests - before->n_requests;
    r->result->flood_waits = now.n_floods - before->n_floods;
    r->result->flood_wait_s = (double)(now.flood_wait_s - before->flood_wait_s);
    r->result->seconds = (double)(tg_clock_mono_us() - r->started_us) / 1e6;
}

/* A range that no message can be in is a slip of the hand. */
static tg_code check_range(const struct tg_extract_settings *set, struct tg_error *err)
{
    if (set->since && set->until && set->since >= set->until)
        tg_fail(err, TG_USAGE, "no message can be sent at or after --since and before --until: "
                               "since is not before until");
    else if (set->max_id && set->min_id > set->max_id)
        tg_fail(err, TG_USAGE, "no id can be at least --min-id %lld and at most --max-id %lld",
                (long long)set->min_id, (long long)set->max_id);
    else
        return TG_OK;
    return tg_hint(err, "check both ends of the range");
}

/* What no server would let a bot do is told before anything is opened. */
static tg_code check_bot(const struct tg_extract_settings *set, size_t n_chats,
                         struct tg_error *err)
{
    if (set->takeout) {
        tg_fail(err, TG_UNSUPPORTED, "a bot has no export sessions");
        return tg_hint(err, "leave out --takeout");
    }
    if (n_chats)
        return TG_OK;
    tg_fail(err, TG_UNSUPPORTED, "Telegram lets no bot list its chats");
    return tg_hint(err, "name a channel or supergroup: tgdata extract @name");
}

tg_code tg_extract(struct tg_account *a, const struct tg_config *config, const char *const *chats,
                   size_t n, const struct tg_extract_hooks *hooks, struct tg_extract_result *ret,
                   struct tg_error *err)
{
    struct extract_run r = {
        .account = a,
        .settings = &config->extract,
        .hooks = hooks,
        .result = ret,
        .names = n ? chats : NULL,
        .n_names = n,
        .sink_env = { config->extract.job, &tg_fs_system, sink_clock, NULL },
        .started_us = tg_clock_mono_us(),
    };
    struct tgc_stats before;
    struct tg_error late;
    tg_code code, ended;

    *ret = (struct tg_extract_result){ 0 };
    code = check_range(r.settings, err);
    if (code == TG_OK)
        code = tg_account_who(a, err);
    if (code == TG_OK && a->session.is_bot)
        code = check_bot(&config->extract, n, err);
    if (code != TG_OK)
        return code;
    code = open_all(&r, err);
    if (code == TG_OK) {
        tgc_stats(tg_net_client(a->net), &before);
        a->unreadable = unreadable;
        a->unreadable_ctx = &r;
        code = tg_account_run(a, run_step, &r, err);
        a->unreadable = NULL;
        a->dirty = true; /* peers were learned */
        ended = tg_pipeline_finish(r.pipeline, &late);
        if (ended != TG_OK && (code == TG_OK || code == TG_CANCELLED)) {
            *err = late;
            code = ended;
        }
        fill_result(&r, &before);
        extract_tell_progress(&r, tg_net_now(a->net), true);
        if (tg_account_save(a, &late) != TG_OK && code == TG_OK) {
            *err = late;
            code = late.code;
        }
    }
    close_all(&r);
    return code;
}

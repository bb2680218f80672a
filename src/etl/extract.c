/* SPDX-License-Identifier: MIT */
/*
 * extract.c - pattern 1, batches with checkpoints: one run over some chats of one account
 *
 *   TAKEOUT -> CHATS (resolve names, or list all) -> per chat: BEGIN -> RESUME -> READ -> ... ->
 * END
 *
 * The run is a step function on the account's loop. It owns the state store, the sink and the
 * pipeline; the history source asks it for batches.
 */
#include "tgdata/extract.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/text.h"
#include "crypto/random.h"
#include "etl/pipeline.h"
#include "source/account_impl.h"
#include "source/history_source.h"

#define PROGRESS_US (200 * TG_MS_US)
#define RATE_WINDOW_US (5 * TG_SECOND_US)
enum { CHATS_MAX = 100000, RATE_SLOTS = 25 };

enum phase { PHASE_TAKEOUT, PHASE_CHATS, PHASE_RANGES, PHASE_BEGIN, PHASE_RESUME, PHASE_READ,
             PHASE_END, PHASE_DONE };

struct chat_ref {
    int64_t id;
    char *title;
};

struct run {
    struct tg_account *account;
    const struct tg_extract_settings *settings;
    const struct tg_extract_hooks *hooks;
    struct tg_extract_result *result;
    struct tg_store store;
    struct tg_sink_env sink_env;   /* lives as long as the sink */
    struct tg_sink sink;
    bool has_sink;
    struct tg_pipeline *pipeline;

    enum phase phase;
    bool asked;                    /* a request of the phase is on its way */
    const char *const *names;      /* as given; NULL: all chats */
    size_t n_names, next_name;
    bool left_listed;
    struct chat_ref *chat;
    size_t n_chats, cap_chats, at_chat;
    struct tg_range *range;
    size_t n_ranges;
    int64_t takeout_id, takeout_due_us;
    struct tg_history_source *source;
    bool source_done;
    tg_code code;                  /* the first failure, told at the end */
    struct tg_error err;
    bool stopping;

    int64_t started_us, progress_us;
    double flood_until_us;
    char flood_method[64];
    struct {
        int64_t at_us, rows;
    } rate[RATE_SLOTS];
    size_t n_rates;
};

static void keep_failure(struct run *r, const struct tg_error *err)
{
    if (r->code != TG_OK)
        return;
    r->code = err->code;
    r->err = *err;
}

/* Failures of one chat let the others go on. */
static bool only_this_chat(tg_code code)
{
    return code == TG_NOT_FOUND || code == TG_FORBIDDEN || code == TG_BAD_REQUEST ||
           code == TG_UNSUPPORTED;
}

static bool add_chat(struct run *r, const struct tg_peer *peer)
{
    char *title;

    for (size_t i = 0; i < r->n_chats; i++)
        if (r->chat[i].id == peer->id)
            return true;
    if (r->n_chats == r->cap_chats) {
        size_t cap = r->cap_chats ? r->cap_chats * 2 : 16;
        struct chat_ref *more = cap > CHATS_MAX ? NULL : realloc(r->chat, cap * sizeof *more);

        if (!more)
            return false;
        r->chat = more;
        r->cap_chats = cap;
    }
    title = strdup(peer->name ? peer->name : "");
    if (!title)
        return false;
    r->chat[r->n_chats++] = (struct chat_ref){ peer->id, title };
    return true;
}

static void enter(struct run *r, enum phase phase)
{
    r->phase = phase;
    r->asked = false;
}

/* ---- takeout ---- */

static void on_takeout(void *ctx, int64_t id, const struct tg_error *err)
{
    struct run *r = ctx;
    int64_t wait_us;

    r->asked = false;
    if (!err) {
        r->takeout_id = id;
        enter(r, PHASE_CHATS);
        return;
    }
    if (err->code != TG_FLOOD) {
        keep_failure(r, err);
        enter(r, PHASE_END);
        return;
    }
    wait_us = TG_MAX(err->retry_after_s, INT64_C(1)) * TG_SECOND_US;
    tg_account_note(r->account, TG_NOTE_FLOOD, (double)wait_us / 1e6,
                    "account.initTakeoutSession: the server lets exports start only after a delay");
    r->takeout_due_us = tg_net_now(r->account->net) + wait_us;
    snprintf(r->flood_method, sizeof r->flood_method, "account.initTakeoutSession");
    r->flood_until_us = (double)r->takeout_due_us;
}

static void step_takeout(struct run *r, int64_t now_us)
{
    static const struct tg_takeout_options all = { true, true, true, true, false, 0 };

    if (r->asked)
        return;
    if (!r->settings->takeout) {
        enter(r, PHASE_CHATS);
    } else if (now_us < r->takeout_due_us) {
        tg_net_timer(r->account->net, r->takeout_due_us);
    } else {
        r->asked = tg_takeout_start(tg_net_client(r->account->net), &all, on_takeout, r, now_us);
    }
}

static void on_takeout_finished(void *ctx, const struct tg_error *err)
{
    struct run *r = ctx;

    if (err)
        tg_account_note(r->account, TG_NOTE_WARNING, 0, "the export session did not end: %s",
                        err->message);
    r->takeout_id = 0;
    r->asked = false;
}

static void on_ranges(void *ctx, const struct tg_range *range, size_t n, const struct tg_error *err)
{
    struct run *r = ctx;

    r->asked = false;
    if (!err && n) {
        r->range = calloc(n, sizeof *r->range);
        if (r->range) {
            memcpy(r->range, range, n * sizeof *range);
            r->n_ranges = n;
        }
    }
    if (err) {
        keep_failure(r, err);
        enter(r, PHASE_END);
    } else {
        enter(r, PHASE_BEGIN);
    }
}

/* ---- which chats ---- */

static void no_memory(struct run *r)
{
    struct tg_error err;

    tg_fail(&err, TG_NOMEM, "no memory for the list of chats");
    keep_failure(r, &err);
    enter(r, PHASE_END);
}

static void on_resolved(void *ctx, const struct tg_peer *peer, const struct tg_error *err)
{
    struct run *r = ctx;

    r->asked = false;
    r->next_name++;
    if (!peer) {
        keep_failure(r, err);
        if (!only_this_chat(err->code))
            enter(r, PHASE_END);
    } else if (!add_chat(r, peer)) {
        no_memory(r);
    }
}

static bool on_dialog(void *ctx, const struct tg_dialog *dialog)
{
    struct run *r = ctx;

    if (dialog->peer->migrated_to)
        return true; /* read as the first part of the supergroup it became */
    if (dialog->peer->protected && !r->settings->allow_protected) {
        tg_account_note(r->account, TG_NOTE_INFO, 0,
                        "left out '%s': it forbids saving its content (--allow-protected)",
                        dialog->peer->name);
        return true;
    }
    return add_chat(r, dialog->peer);
}

static void on_listed(void *ctx, const struct tg_error *err)
{
    struct run *r = ctx;

    r->asked = false;
    if (err) {
        keep_failure(r, err);
        enter(r, PHASE_END);
    } else if (r->takeout_id && !r->left_listed) {
        r->left_listed = true;
        r->asked = tg_left_channels_start(tg_net_client(r->account->net), on_dialog, on_listed, r,
                                          tg_net_now(r->account->net));
        if (!r->asked)
            no_memory(r);
    } else {
        enter(r, PHASE_RANGES);
    }
}

static void step_chats(struct run *r, int64_t now_us)
{
    struct tgc *client = tg_net_client(r->account->net);

    if (r->asked)
        return;
    if (!r->names) {
        r->asked = tg_dialogs_start(client, on_dialog, on_listed, r, now_us);
    } else if (r->next_name < r->n_names) {
        r->asked = true; /* the answer may come at once, from the cache */
        if (!tg_resolve_start(client, r->names[r->next_name], on_resolved, r, now_us)) {
            r->asked = false;
            no_memory(r);
        }
    } else {
        enter(r, PHASE_RANGES);
    }
}

static void step_ranges(struct run *r, int64_t now_us)
{
    if (r->asked)
        return;
    if (!r->takeout_id)
        enter(r, PHASE_BEGIN);
    else
        r->asked = tg_split_ranges_start(tg_net_client(r->account->net), on_ranges, r, now_us);
}

/* ---- reading ---- */

static struct tg_batch *take_batch(void *ctx)
{
    return tg_pipeline_batch(((struct run *)ctx)->pipeline);
}

static void put_batch(void *ctx, struct tg_batch *batch)
{
    tg_pipeline_put(((struct run *)ctx)->pipeline, batch);
}

static void return_batch(void *ctx, struct tg_batch *batch)
{
    tg_pipeline_return(((struct run *)ctx)->pipeline, batch);
}

static void bad_record(void *ctx, int64_t chat_id, int64_t id, const char *reason,
                       const void *bytes, size_t len)
{
    struct run *r = ctx;
    struct tg_error err;

    r->result->quarantined++;
    if (tg_pipeline_quarantine(r->pipeline, chat_id, id, reason, bytes, len, &err) != TG_OK)
        keep_failure(r, &err);
}

static void warn(void *ctx, const char *line)
{
    struct run *r = ctx;

    tg_account_note(r->account, TG_NOTE_WARNING, 0, "%s", line);
}

static void on_source_done(void *ctx, const struct tg_error *err)
{
    struct run *r = ctx;

    r->source_done = true;
    if (err)
        keep_failure(r, err);
}

static void step_begin(struct run *r)
{
    struct tg_error err;

    if (r->at_chat == r->n_chats) {
        enter(r, PHASE_END);
    } else if (tg_pipeline_begin(r->pipeline, r->chat[r->at_chat].id, &err) != TG_OK) {
        keep_failure(r, &err);
        enter(r, PHASE_END);
    } else {
        enter(r, PHASE_RESUME);
    }
}

static void step_resume(struct run *r, int64_t now_us)
{
    struct tg_commit done;
    struct tg_error err;
    tg_code code = tg_pipeline_resume(r->pipeline, &done, &err);

    if (code == TG_AGAIN)
        return;
    if (code != TG_OK) {
        keep_failure(r, &err);
        enter(r, PHASE_END);
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
        no_memory(r);
        return;
    }
    enter(r, PHASE_READ);
}

static void step_read(struct run *r, int64_t now_us)
{
    struct tg_source_state state;
    struct tg_pipeline_state pipeline;

    tg_pipeline_state(r->pipeline, &pipeline);
    if (pipeline.failed && !r->source_done) {
        keep_failure(r, &pipeline.err);
        tg_source_free(r->source);
        r->source = NULL;
        enter(r, PHASE_END);
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
    r->result->chats++;
    if (r->stopping || (r->code != TG_OK && !only_this_chat(r->code))) {
        enter(r, PHASE_END);
        return;
    }
    r->at_chat++;
    enter(r, PHASE_BEGIN);
}

/* ---- progress ---- */

static double rate_of(struct run *r, int64_t now_us, int64_t rows)
{
    int64_t span;

    if (r->n_rates == RATE_SLOTS) {
        memmove(r->rate, r->rate + 1, sizeof r->rate - sizeof r->rate[0]);
        r->n_rates--;
    }
    while (r->n_rates && now_us - r->rate[0].at_us > RATE_WINDOW_US) {
        memmove(r->rate, r->rate + 1, (r->n_rates - 1) * sizeof r->rate[0]);
        r->n_rates--;
    }
    r->rate[r->n_rates].at_us = now_us;
    r->rate[r->n_rates++].rows = rows;
    span = now_us - r->rate[0].at_us;
    return span > 0 ? (double)(rows - r->rate[0].rows) * 1e6 / (double)span : 0;
}

static void tell_progress(struct run *r, int64_t now_us, bool done)
{
    struct tg_progress p = { .expected = -1, .eta_s = -1, .n_chats = r->n_chats, .done = done };
    struct tg_pipeline_state state;
    struct tg_source_state source;
    int64_t wait;

    if (!r->hooks->progress)
        return;
    tg_pipeline_state(r->pipeline, &state);
    p.rows = state.chat_rows;
    p.rows_total = (int64_t)state.rows;
    p.bytes_out = state.bytes_out;
    p.chat_index = TG_MIN(r->at_chat, r->n_chats ? r->n_chats - 1 : 0);
    if (r->n_chats) {
        p.chat_id = r->chat[p.chat_index].id;
        p.title = r->chat[p.chat_index].title;
    }
    p.rows_per_s = rate_of(r, now_us, p.rows);
    if (r->source) {
        tg_source_state(r->source, &source);
        p.expected = source.expected;
        wait = tgc_limit_wait(tg_net_client(r->account->net), "messages.getHistory", now_us);
        if (wait > TG_SECOND_US / 2) {
            p.flood_wait_s = (double)wait / 1e6;
            p.waiting_for = "messages.getHistory";
        }
    }
    if ((double)now_us < r->flood_until_us) {
        p.flood_wait_s = (r->flood_until_us - (double)now_us) / 1e6;
        p.waiting_for = r->flood_method;
    }
    if (p.expected >= 0 && p.rows_per_s > 0)
        p.eta_s = (double)TG_MAX(p.expected - p.rows, INT64_C(0)) / p.rows_per_s;
    r->hooks->progress(r->hooks->ctx, &p);
}

/* ---- the run ---- */

static tg_code step_end(struct run *r, int64_t now_us)
{
    if (r->asked)
        return TG_AGAIN;
    if (r->takeout_id) {
        r->asked = tg_takeout_finish(tg_net_client(r->account->net), r->code == TG_OK,
                                     on_takeout_finished, r, now_us);
        if (r->asked)
            return TG_AGAIN;
    }
    enter(r, PHASE_DONE);
    return TG_OK;
}

static tg_code run_step(void *ctx, int64_t now_us, struct tg_error *err)
{
    struct run *r = ctx;
    enum phase before;

    if (tg_account_stopping(r->account) && !r->stopping) {
        r->stopping = true;
        if (r->phase < PHASE_READ)
            enter(r, PHASE_END);
    }
    if (now_us >= r->progress_us) {
        tell_progress(r, now_us, false);
        r->progress_us = now_us + PROGRESS_US;
    }
    tg_net_timer(r->account->net, r->progress_us);
    do {
        before = r->phase;
        switch (r->phase) {
        case PHASE_TAKEOUT:
            step_takeout(r, now_us);
            break;
        case PHASE_CHATS:
            step_chats(r, now_us);
            break;
        case PHASE_RANGES:
            step_ranges(r, now_us);
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
    struct run *r = ctx;

    tg_net_wake(r->account->net);
}

static int64_t sink_clock(void *ctx)
{
    (void)ctx;
    return tg_clock_unix_us();
}

static tg_code open_all(struct run *r, struct tg_error *err)
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

static void close_all(struct run *r)
{
    tg_source_free(r->source);
    tg_pipeline_free(r->pipeline);
    if (r->has_sink)
        tg_sink_close(&r->sink);
    if (r->store.ops)
        tg_store_close(&r->store);
    for (size_t i = 0; i < r->n_chats; i++)
        free(r->chat[i].title);
    free(r->chat);
    free(r->range);
}

static void fill_result(struct run *r, const struct tgc_stats *before)
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

tg_code tg_extract(struct tg_account *a, const struct tg_config *config, const char *const *chats,
                   size_t n, const struct tg_extract_hooks *hooks, struct tg_extract_result *ret,
                   struct tg_error *err)
{
    struct run r = {
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
    if (!a->session.user_id) {
        tg_fail(err, TG_AUTH, "session '%s' is not logged in", a->path);
        return tg_hint(err, "log in with `tgdata login`");
    }
    code = open_all(&r, err);
    if (code == TG_OK) {
        tgc_stats(tg_net_client(a->net), &before);
        code = tg_account_run(a, run_step, &r, err);
        a->dirty = true; /* peers were learned */
        ended = tg_pipeline_finish(r.pipeline, &late);
        if (ended != TG_OK && (code == TG_OK || code == TG_CANCELLED)) {
            *err = late;
            code = ended;
        }
        fill_result(&r, &before);
        tell_progress(&r, tg_net_now(a->net), true);
        if (tg_account_save(a, &late) != TG_OK && code == TG_OK) {
            *err = late;
            code = late.code;
        }
    }
    close_all(&r);
    return code;
}

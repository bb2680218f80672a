/* SPDX-License-Identifier: MIT */
/*
 * extract.c - pattern 1, batches with checkpoints: a run from its start to its end
 *
 *   ACCOUNTS -> NAMES -> READ -> END -> DONE
 *
 * The run is a step function on the accounts' loop. It owns the state store, the sink and the
 * pipeline; the lanes' sources ask it for batches. tg_extract is a run with one account;
 * parallel.c has those with several.
 */
#include "tgdata/extract.h"

#include <assert.h>
#include <stdlib.h>

#include "crypto/hash.h"
#include "crypto/random.h"
#include "etl/extract_impl.h"

#define PROGRESS_US (200 * TG_MS_US)
#define LEAVE_US (10 * TG_SECOND_US) /* for the answers that an end still needs */

bool extract_only_this_chat(tg_code code)
{
    return code == TG_NOT_FOUND || code == TG_FORBIDDEN || code == TG_BAD_REQUEST ||
           code == TG_UNSUPPORTED;
}

bool extract_may_pass(const struct extract_run *r, tg_code code)
{
    enum tg_error_type type = tg_code_type(code);

    return r->isolate &&
           (type == TG_TYPE_NETWORK || type == TG_TYPE_SERVER || type == TG_TYPE_RATE_LIMIT);
}

void extract_keep_failure(struct extract_run *r, const struct tg_error *err, bool fatal)
{
    if (r->code != TG_OK && (r->fatal || !fatal))
        return;
    r->code = err->code;
    r->err = *err;
    r->fatal = fatal;
}

void extract_enter(struct extract_run *r, enum extract_phase phase)
{
    r->phase = phase;
}

void extract_no_memory(struct extract_run *r)
{
    struct tg_error err;

    tg_fail(&err, TG_NOMEM, "no memory for the chats of a run");
    extract_keep_failure(r, &err, true);
}

int64_t extract_now(void)
{
    return tg_clock_mono_us();
}

void extract_touch(struct extract_account *a)
{
    if (a != a->run->stepping)
        tg_net_wake(a->account->net);
}

/* ---- what cannot be read ---- */

void extract_bad_record(struct extract_run *r, int64_t chat_id, int64_t id, const char *reason,
                        const void *bytes, size_t len)
{
    struct tg_error err;

    r->result->quarantined++;
    if (tg_pipeline_quarantine(r->pipeline, chat_id, id, reason, bytes, len, &err) != TG_OK)
        extract_keep_failure(r, &err, true);
}

/* An object in a reply that no source asked for itself: what a chat is, or the list of chats. It
 * belongs to the chat at work if there is just one; to none (chat 0) if not. */
static void unreadable(struct extract_account *a, const char *what, const uint8_t *bytes,
                       size_t len)
{
    struct extract_run *r = a->run;
    struct tg_history_source *source = NULL;
    uint8_t hash[TG_SHA256];

    for (size_t i = 0; a->n_lanes == 1 && i < r->n_lanes; i++)
        if (r->lane[i]->account == a)
            source = r->lane[i]->source;
    tg_sha256(hash, bytes, len);
    if (source)
        tg_source_unreadable(source, what, bytes, len);
    else if (tg_marks_add(&r->unreadable, tg_le64(hash)))
        extract_bad_record(r, 0, 0, what, bytes, len);
}

/* What the client of an account tells. */
static void watch(void *ctx, const struct tgc_notice *n)
{
    struct extract_account *a = ctx;
    const struct tg_extract_hooks *hooks = a->run->hooks;

    tg_observed_notice(&a->observed, n);
    if (n->kind == TGC_UNREADABLE)
        unreadable(a, n->err->message, n->bytes, n->len);
    else if (n->kind == TGC_LOGGED_OUT)
        extract_account_out(a, n->err);
    else if (n->kind == TGC_CIRCUIT)
        extract_circuit_changed(a, n->circuit);
    else if (n->kind == TGC_FLOOD && hooks->wait)
        hooks->wait(hooks->ctx, a->account->path, n->method, (double)n->wait_us / 1e6);
    else
        extract_pool_notice(a, n);
}

/* ---- phases ---- */

static void step_accounts(struct extract_run *r)
{
    for (size_t i = 0; i < r->n_accounts; i++)
        if (r->account[i].phase < ACCOUNT_READY)
            return;
    extract_enter(r, RUN_NAMES);
}

/* Writes the job's list down before the first chat is read. */
static void step_names(struct extract_run *r)
{
    struct tg_error err;
    size_t n = 0;

    if (!extract_find(r))
        return;
    extract_tasks_known(r, NULL);
    r->list = calloc(r->n_tasks + 1, sizeof *r->list);
    if (!r->list) {
        extract_no_memory(r);
        return;
    }
    for (size_t i = 0; i < r->n_tasks; i++) {
        struct extract_task *t = r->task[i];

        if (t->state != TASK_WAITING)
            continue;
        t->chat.settings = &t->settings;
        t->listed = true;
        r->list[n++] = t->chat;
    }
    if (n && tg_pipeline_list(r->pipeline, r->list, n, &err) != TG_OK)
        extract_keep_failure(r, &err, true);
    extract_enter(r, RUN_READ);
}

static void step_lanes(struct extract_run *r, const struct extract_account *a, int64_t now_us)
{
    for (size_t i = 0; i < r->n_lanes;) {
        struct extract_lane *lane = r->lane[i];

        if (lane->account != a || !extract_lane_step(lane, now_us)) {
            i++;
            continue;
        }
        extract_task_over(r, lane);
        extract_lane_free(lane);
    }
}

static void step_read(struct extract_run *r, struct extract_account *a, int64_t now_us)
{
    struct tg_pipeline_state pipeline;
    bool more = false;

    extract_circuit_news(r);
    tg_pipeline_state(r->pipeline, &pipeline);
    if (pipeline.failed)
        extract_keep_failure(r, &pipeline.err, true);
    extract_media_step(a, now_us);
    step_lanes(r, a, now_us);
    if (r->feed && !r->stopping && !r->fatal) {
        extract_tasks_prune(r);
        more = r->feed(r->feed_ctx);
    }
    if (!r->stopping)
        extract_find(r);
    extract_dispatch(r);
    if (r->fatal) { /* what was put is still taken; no quarantine, no more reading */
        while (r->n_lanes)
            extract_lane_free(r->lane[r->n_lanes - 1]);
        extract_enter(r, RUN_END);
    } else if (!r->n_lanes && (r->stopping || (!more && r->n_ended == r->n_tasks))) {
        extract_enter(r, RUN_END);
    }
}

static void step_end(struct extract_run *r, struct extract_account *a, int64_t now_us)
{
    bool awaited = extract_account_finish(a, now_us);

    for (size_t i = 0; i < r->n_accounts; i++) {
        struct extract_account *other = &r->account[i];

        if (other->phase < ACCOUNT_FINISH) {
            awaited = true;
            extract_touch(other);
        }
        awaited |= other->asked;
    }
    if (!awaited)
        extract_enter(r, RUN_DONE);
}

/* ---- the end ---- */

/* Ends what is on its way; the callbacks know that nothing follows. */
static void end_calls(struct extract_account *a, const char *why)
{
    struct tg_error err;

    tg_fail(&err, TG_CANCELLED, "%s", why);
    tgc_fail_all(tg_net_client(a->account->net), &err);
}

/* Not at once if an export session is being opened: one that was opened must be ended. */
static void stop(struct extract_run *r)
{
    r->stopping = true;
    tg_pipeline_hurry(r->pipeline);
    if (r->phase >= RUN_READ)
        return;
    for (size_t i = 0; i < r->n_accounts; i++)
        if (r->account[i].phase != ACCOUNT_TAKEOUT || !r->account[i].asked)
            end_calls(&r->account[i], "stopped");
    extract_enter(r, RUN_END);
}

/* A server that does not answer does not keep a run from ending. */
static void mind_the_end(struct extract_run *r, struct extract_account *a, int64_t now_us)
{
    int64_t left;

    if (!r->leave_us)
        r->leave_us = extract_now() + LEAVE_US;
    left = r->leave_us - extract_now();
    if (a->asked && left <= 0)
        end_calls(a, "no answer before the run ended");
    else if (a->asked)
        tg_net_timer(a->account->net, now_us + left);
}

static bool is_stopped(const struct extract_run *r)
{
    for (size_t i = 0; i < r->n_accounts; i++)
        if (tg_account_stopping(r->accounts[i]))
            return true;
    return false;
}

static struct extract_account *account_of(struct extract_run *r, const struct tg_account *account)
{
    size_t i = 0;

    while (r->accounts[i] != account)
        i++;
    return &r->account[i];
}

static void tell(struct extract_run *r, const struct extract_account *a, int64_t now_us)
{
    int64_t now = extract_now();

    if (now >= r->progress_us) {
        extract_tell_progress(r, false);
        r->progress_us = now + PROGRESS_US;
    }
    if (a->at == 0)
        tg_net_timer(a->account->net, now_us + r->progress_us - now);
}

static tg_code run_step(void *ctx, struct tg_account *account, int64_t now_us,
                        struct tg_error *err)
{
    struct extract_run *r = ctx;
    struct extract_account *a = account_of(r, account);
    enum extract_phase before;

    r->stepping = a;
    if (is_stopped(r) && !r->stopping)
        stop(r);
    if (r->fatal && r->phase < RUN_READ)
        extract_enter(r, RUN_END);
    if (r->phase == RUN_END)
        mind_the_end(r, a, now_us);
    tell(r, a, now_us);
    do {
        before = r->phase;
        switch (r->phase) {
        case RUN_ACCOUNTS:
            extract_account_step(a, now_us);
            step_accounts(r);
            break;
        case RUN_NAMES:
            step_names(r);
            break;
        case RUN_READ:
            step_read(r, a, now_us);
            break;
        case RUN_END:
            step_end(r, a, now_us);
            break;
        case RUN_DONE:
            break;
        }
        if (r->fatal && r->phase < RUN_READ)
            extract_enter(r, RUN_END);
    } while (r->phase != before);
    r->stepping = NULL;
    if (r->phase != RUN_DONE)
        return TG_AGAIN;
    if (r->code != TG_OK) {
        *err = r->err;
        return r->code;
    }
    return r->stopping ? tg_fail(err, TG_CANCELLED, "stopped") : TG_OK;
}

/* From the taker's thread. */
void extract_wake(void *ctx)
{
    struct extract_run *r = ctx;

    for (size_t i = 0; i < r->n_accounts; i++)
        tg_net_wake(r->accounts[i]->net);
}

static tg_code open_all(struct extract_run *r, struct tg_error *err)
{
    const struct tg_random random = tg_random_system();
    const struct tg_account_settings *account = &r->accounts[0]->settings;
    struct tg_pipeline_options options = {
        .job = r->settings,
        .store = &r->store,
        .steps = r->steps.n ? &r->at_work : NULL,
        .callback = r->hooks->batch,
        .callback_ctx = r->hooks->ctx,
        .observer = r->hooks->observer,
        .trace = r->observed.trace,
        .by_chat = r->by_chat,
        .circuit = tg_account_breaker(account),
        .circuit_fails = account->circuit_open == TG_CIRCUIT_OPEN_FAIL,
        .sink_wait_ms = r->settings->destination_wait_ms,
        .spill_bytes = r->settings->spill_bytes,
        .n_chats = extract_workers(r),
        .nonce = (uint32_t)tg_random_u64(&random),
        .unix_us = tg_clock_unix_us,
        .wake = extract_wake,
        .wake_ctx = r,
    };
    tg_code code = tg_job_name_check(r->settings->job, err);

    if (code == TG_OK && !r->settings->to && !r->hooks->batch) {
        tg_fail(err, TG_USAGE, "no destination is given");
        code = tg_hint(err, "say where to, such as --to ndjson:DIR");
    }
    if (code == TG_OK)
        code = tg_store_open(r->settings->state, &r->store, err);
    if (code == TG_OK && r->store.ops->warning && r->store.ops->warning(r->store.self))
        tg_account_note(r->accounts[0], TG_NOTE_WARNING, 0, "%s",
                        r->store.ops->warning(r->store.self));
    if (code == TG_OK)
        code = extract_circuits_open(r, err);
    if (code == TG_OK)
        code = extract_sinks_open(r, err);
    options.sink = r->live.sink.ops ? &r->live.sink : NULL;
    options.fallback_sink = r->beside.sink.ops ? &r->beside.sink : NULL;
    options.letters = options.sink ? &r->letters : NULL;
    if (code == TG_OK)
        code = extract_media_open(r, err);
    if (code == TG_OK)
        code = tg_pipeline_new(&options, &r->pipeline, err);
    return code;
}

static void close_all(struct extract_run *r)
{
    while (r->n_lanes)
        extract_lane_free(r->lane[r->n_lanes - 1]);
    free(r->lane);
    extract_media_close(r);
    tg_pipeline_free(r->pipeline);
    extract_sinks_close(r);
    if (r->store.ops)
        tg_store_close(&r->store);
    for (size_t i = 0; i < r->n_accounts; i++) {
        free(r->account[i].range);
        free(r->account[i].own);
    }
    extract_pool_close(r);
    extract_circuits_close(r);
    extract_steps_close(r);
    extract_tasks_free(r);
}

static tg_code begin_accounts(struct extract_run *r, struct tg_error *err)
{
    for (size_t i = 0; i < r->n_accounts; i++) {
        struct extract_account *a = &r->account[i];

        a->run = r;
        a->account = r->accounts[i];
        a->at = (uint32_t)i;
        tgc_stats(tg_net_client(a->account->net), &a->before);
        tg_observed_begin(&a->observed, r->hooks->observer, r->observed.trace, a->account);
        a->account->watch = watch;
        a->account->watch_ctx = a;
    }
    return extract_pool_open(r, err);
}

/* @return the first failure to store what was learned */
static tg_code end_accounts(struct extract_run *r, struct tg_error *err)
{
    tg_code code = TG_OK;

    for (size_t i = 0; i < r->n_accounts; i++) {
        struct tg_account *account = r->accounts[i];
        struct tg_error late;

        account->watch = NULL;
        tg_observed_end(&r->account[i].observed);
        account->dirty = true; /* peers were learned */
        if (tg_account_save(account, &late) != TG_OK && code == TG_OK) {
            *err = late;
            code = late.code;
        }
    }
    return code;
}

static void fill_result(struct extract_run *r)
{
    struct tg_pipeline_state state;

    tg_pipeline_state(r->pipeline, &state);
    r->result->rows = state.rows;
    r->result->fallback_rows = state.fallback_rows;
    r->result->batches = state.batches;
    r->result->checkpoints = state.commits;
    r->result->bytes_out = state.bytes_out;
    r->result->refused = r->letters.n;
    for (size_t i = 0; i < r->n_accounts; i++) {
        const struct extract_account *a = &r->account[i];
        struct tgc_stats now;

        tgc_stats(tg_net_client(a->account->net), &now);
        r->result->requests += now.n_requests - a->before.n_requests;
        r->result->flood_waits += now.n_floods - a->before.n_floods;
        r->result->flood_wait_s += (double)(now.flood_wait_s - a->before.flood_wait_s);
    }
    r->result->seconds = (double)(extract_now() - r->started_us) / 1e6;
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
static tg_code check_bot(const struct tg_extract_settings *set, bool all, struct tg_error *err)
{
    if (set->takeout) {
        tg_fail(err, TG_UNSUPPORTED, "a bot has no export sessions");
        return tg_hint(err, "leave out --takeout");
    }
    if (!all)
        return TG_OK;
    tg_fail(err, TG_UNSUPPORTED, "Telegram lets no bot list its chats");
    return tg_hint(err, "name a channel or supergroup: tgdata extract @name");
}

/* What speaks against the run before anything is opened. */
static tg_code check_run(struct extract_run *r, struct tg_error *err)
{
    tg_code code = check_range(r->settings, err);

    if (code == TG_OK)
        code = extract_check_fallback(r, err);
    for (size_t i = 0; code == TG_OK && i < r->n_accounts; i++) {
        code = tg_account_who(r->accounts[i], err);
        if (code == TG_OK && r->accounts[i]->session.is_bot)
            code = check_bot(r->settings, r->all, err);
    }
    return code;
}

tg_code extract_go(struct extract_run *r, struct tg_error *err)
{
    struct tg_error late;
    tg_code code, ended;

    r->started_us = extract_now();
    code = check_run(r, err);
    if (code == TG_OK)
        code = extract_steps_open(r, err);
    tg_observed_run_begin(&r->observed, code == TG_OK ? r->hooks->observer : NULL,
                          r->settings->job, r->feed ? TG_TRACE_WORKER : TG_TRACE_BATCH);
    if (code == TG_OK)
        code = open_all(r, err);
    if (code == TG_OK)
        code = begin_accounts(r, err);
    if (code == TG_OK) {
        code = tg_accounts_run(r->accounts, r->n_accounts, run_step, r, err);
        ended = tg_pipeline_finish(r->pipeline, &late);
        extract_circuit_news(r);
        if (ended != TG_OK && (code == TG_OK || code == TG_CANCELLED)) {
            *err = late;
            code = ended;
        }
        code = extract_steps_end(r, code, err);
        fill_result(r);
        extract_tell_progress(r, true);
        if (end_accounts(r, &late) != TG_OK && code == TG_OK) {
            *err = late;
            code = late.code;
        }
    }
    close_all(r);
    tg_observed_run_end(&r->observed, r->result->rows, code == TG_OK ? NULL : err);
    return code;
}

void extract_init(struct extract_run *r, const struct tg_config *config,
                  const struct tg_extract_hooks *hooks, struct tg_extract_result *result)
{
    *result = (struct tg_extract_result){ 0 };
    memset(r, 0, sizeof *r);
    r->settings = &config->extract;
    r->step_settings = &config->steps;
    r->hooks = hooks;
    r->result = result;
    atomic_store(&r->workers, (unsigned)r->settings->workers);
    tg_tasks_init(&r->tasks, EXTRACT_TASKS_MAX);
}

tg_code tg_extract(struct tg_account *a, const struct tg_config *config, const char *const *chats,
                   size_t n, const struct tg_extract_hooks *hooks, struct tg_extract_result *ret,
                   struct tg_error *err)
{
    struct extract_run *r = malloc(sizeof *r);
    tg_code code;

    if (!r)
        return tg_fail(err, TG_NOMEM, "no memory for a run");
    extract_init(r, config, hooks, ret);
    r->accounts[r->n_accounts++] = a;
    r->all = n == 0;
    for (size_t i = 0; i < n; i++)
        if (!extract_task_add(r, chats[i]))
            extract_no_memory(r);
    code = extract_go(r, err);
    free(r);
    return code;
}

/* SPDX-License-Identifier: MIT */
/*
 * extract_progress.c - how far a run is: rows, rates over the last seconds, what is waited for
 */
#include <stdlib.h>

#include "base/json.h"
#include "etl/extract_impl.h"

#define RATE_WINDOW_US (5 * TG_SECOND_US)

static double rate_of(struct extract_lane *lane, int64_t now_us, int64_t rows)
{
    int64_t span;

    if (lane->n_rates == EXTRACT_RATE_SLOTS) {
        memmove(lane->rate, lane->rate + 1, sizeof lane->rate - sizeof lane->rate[0]);
        lane->n_rates--;
    }
    while (lane->n_rates && now_us - lane->rate[0].at_us > RATE_WINDOW_US) {
        memmove(lane->rate, lane->rate + 1, (lane->n_rates - 1) * sizeof lane->rate[0]);
        lane->n_rates--;
    }
    lane->rate[lane->n_rates].at_us = now_us;
    lane->rate[lane->n_rates++].rows = rows;
    span = now_us - lane->rate[0].at_us;
    return span > 0 ? (double)(rows - lane->rate[0].rows) * 1e6 / (double)span : 0;
}

static const char *state_of(const struct extract_lane *lane)
{
    static const char *const name[] = {
        [LANE_FIND] = "finding", [LANE_BEGIN] = "starting",     [LANE_RESUME] = "starting",
        [LANE_READ] = "reading", [LANE_LEAVE] = "committing",   [LANE_FALLBACK] = "fallback",
    };

    return lane->moving ? "moving" : name[lane->phase];
}

static void fill_chat(struct extract_lane *lane, struct tg_progress_chat *ret)
{
    struct extract_run *r = lane->run;
    struct tg_source_state source;
    int64_t wait;

    *ret = (struct tg_progress_chat){
        .chat_id = lane->task->chat.id,
        .title = lane->task->chat.title,
        .account = lane->account->account->path,
        .rows = lane->task->rows + tg_pipeline_rows(r->pipeline, lane->task->chat.id),
        .expected = -1,
        .eta_s = -1,
        .state = state_of(lane),
    };
    if (lane->phase == LANE_FALLBACK)
        ret->rows -= lane->task->rows;
    ret->rows_per_s = rate_of(lane, extract_now(), ret->rows);
    if (!lane->source)
        return;
    tg_source_state(lane->source, &source);
    if (source.expected >= 0)
        ret->expected = source.expected + lane->task->rows;
    wait = extract_lane_wait(lane);
    if (wait > TG_SECOND_US / 2) {
        ret->flood_wait_s = (double)wait / 1e6;
        ret->waiting_for = source.method;
        ret->state = "waiting";
    }
    if (extract_circuit_wait(r, ret->chat_id)) {
        ret->waiting_for = "circuit breaker";
        ret->state = "waiting";
    }
    if (ret->expected >= 0 && ret->rows_per_s > 0)
        ret->eta_s = (double)TG_MAX(ret->expected - ret->rows, INT64_C(0)) / ret->rows_per_s;
}

/* Of an export that may not begin yet. */
static void mind_takeouts(const struct extract_run *r, struct tg_progress *p)
{
    for (size_t i = 0; i < r->n_accounts && !p->waiting_for; i++) {
        const struct extract_account *a = &r->account[i];
        int64_t left = a->takeout_due_us - tg_net_now(a->account->net);

        if (a->phase != ACCOUNT_TAKEOUT || left <= 0)
            continue;
        p->flood_wait_s = (double)left / 1e6;
        p->waiting_for = "account.initTakeoutSession";
    }
}

/* The chat that has been at work the longest stands for all where one line is shown. */
static void fill_first(const struct extract_run *r, struct tg_progress *p)
{
    const struct tg_progress_chat *first = p->at_work;
    const struct extract_task *last = r->n_tasks ? r->task[r->n_tasks - 1] : NULL;

    p->chat_index = TG_MIN(r->n_ended, p->n_chats ? p->n_chats - 1 : 0);
    if (p->n_at_work) {
        p->chat_id = first->chat_id;
        p->title = first->title;
        p->rows = first->rows;
        p->expected = first->expected;
        p->rows_per_s = first->rows_per_s;
        p->eta_s = first->eta_s;
        p->flood_wait_s = first->flood_wait_s;
        p->waiting_for = first->waiting_for;
    } else if (last) {
        p->chat_id = last->chat.id;
        p->title = last->chat.title;
        p->rows = last->rows;
    }
}

/* ---- what an observer is told ---- */

static void put_chat(struct tg_json *j, const struct tg_progress_chat *c)
{
    tg_json_object(j);
    tg_json_key(j, "chat_id"), tg_json_i64(j, c->chat_id);
    tg_json_key(j, "title"), tg_json_cstr(j, c->title);
    tg_json_key(j, "account"), tg_json_cstr(j, c->account);
    tg_json_key(j, "state"), tg_json_cstr(j, c->state);
    tg_json_key(j, "rows"), tg_json_i64(j, c->rows);
    tg_json_key(j, "expected"), tg_json_i64(j, c->expected);
    tg_json_key(j, "rows_per_s"), tg_json_double(j, c->rows_per_s);
    tg_json_key(j, "eta_s"), tg_json_double(j, c->eta_s);
    tg_json_key(j, "flood_wait_s"), tg_json_double(j, c->flood_wait_s);
    tg_json_key(j, "waiting_for"), tg_json_cstr(j, c->waiting_for);
    tg_json_end_object(j);
}

static const char *why_not_ready(const struct extract_run *r, size_t n_up)
{
    if (!n_up)
        return "no account is logged in";
    if (r->phase < RUN_READ)
        return "the accounts are being asked for their chats";
    if (r->sink_open)
        return "the circuit breaker of a destination is open";
    return r->sink_away ? "a destination is waited for" : NULL;
}

static void tell_observer(struct extract_run *r, const struct tg_progress *p,
                          const struct tg_pipeline_state *state)
{
    struct tg_observer *o = r->hooks->observer;
    struct tg_json j;
    struct tg_buf text;
    size_t n_up = 0;

    tg_observed_pipeline(&r->observed, state, r->result->quarantined, r->letters.n);
    r->result->quality.rows = state->steps.judged;
    r->result->quality.invalid = state->steps.invalid;
    tg_observed_quality(&r->observed, &r->result->quality, state->steps.aside);
    for (size_t i = 0; i < r->n_accounts; i++) {
        tg_observed_look(&r->account[i].observed);
        n_up += !r->account[i].out;
    }
    tg_observe_set(o, TG_METRIC_ACCOUNTS, NULL, NULL, (double)n_up);
    tg_observe_set(o, TG_METRIC_CHATS, NULL, NULL, (double)p->n_chats);
    tg_observe_set(o, TG_METRIC_CHATS_DONE, NULL, NULL, (double)p->n_done);
    tg_observe_set(o, TG_METRIC_CHATS_AT_WORK, NULL, NULL, (double)p->n_at_work);
    tg_buf_init(&text, 4 << 20);
    tg_json_init(&j, &text);
    tg_json_array(&j);
    for (size_t i = 0; i < p->n_at_work; i++)
        put_chat(&j, &p->at_work[i]);
    tg_json_end_array(&j);
    if (!text.failed)
        tg_observe_chats(o, (const char *)text.data, text.len);
    tg_buf_done(&text);
    tg_observe_ready(o, p->done ? "the run has ended" : why_not_ready(r, n_up));
}

void extract_tell_progress(struct extract_run *r, bool done)
{
    struct tg_progress p = { .expected = -1, .eta_s = -1, .done = done };
    struct tg_pipeline_state state;
    struct tg_progress_chat *chat;

    if (!r->hooks->progress && !r->hooks->observer)
        return;
    chat = calloc(r->n_lanes + 1, sizeof *chat);
    if (!chat)
        return; /* the next one may be told again */
    tg_pipeline_state(r->pipeline, &state);
    p.rows_total = (int64_t)state.rows;
    p.fallback_rows = (int64_t)state.fallback_rows;
    p.bytes_out = state.bytes_out;
    p.n_accounts = r->n_accounts;
    p.n_done = r->n_ended;
    p.n_chats = r->phase < RUN_READ ? 0 : r->n_tasks;
    p.at_work = chat;
    for (size_t i = 0; i < r->n_lanes; i++)
        fill_chat(r->lane[i], &chat[p.n_at_work++]);
    fill_first(r, &p);
    mind_takeouts(r, &p);
    if (r->sink_open || r->sink_away)
        p.waiting_for = "destination";
    if (r->hooks->observer)
        tell_observer(r, &p, &state);
    if (r->hooks->progress)
        r->hooks->progress(r->hooks->ctx, &p);
    free(chat);
}

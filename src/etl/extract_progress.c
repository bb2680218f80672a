/* SPDX-License-Identifier: MIT */
/*
 * extract_progress.c - how far a run is: rows, rate over the last seconds, what it waits for
 */
#include "etl/extract_impl.h"

#define RATE_WINDOW_US (5 * TG_SECOND_US)

static double rate_of(struct extract_run *r, int64_t now_us, int64_t rows)
{
    int64_t span;

    if (r->n_rates == EXTRACT_RATE_SLOTS) {
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

void extract_tell_progress(struct extract_run *r, int64_t now_us, bool done)
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
        wait = tgc_limit_wait(tg_net_client(r->account->net), source.method, now_us);
        if (wait > TG_SECOND_US / 2) {
            p.flood_wait_s = (double)wait / 1e6;
            p.waiting_for = source.method;
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

/* SPDX-License-Identifier: MIT */
/*
 * extract_circuits.c - the circuit breakers of a run
 *
 * Each account's client has its own and those of its DCs (telegram/client_circuit.c); the chats'
 * are the run's, since a chat that moves to another account is as broken as before. A chat whose
 * breaker is open occupies no worker, and server trouble is then no reason to end the run: the
 * others go on, and the chat has failed if its calls have. The destinations' are the taker's
 * (taker_circuit.c): while one is open nothing is taken, so that no credit is left to read with.
 */
#include "etl/extract_impl.h"

/* All clients' clocks are the same up to microseconds. */
static int64_t clients_now(const struct extract_run *r)
{
    return tg_net_now(r->accounts[0]->net);
}

static void on_kept(void *ctx, enum tg_circuit_kind kind, int64_t number,
                    const struct tg_breaker_record *record)
{
    struct extract_run *r = ctx;

    if (kind == TG_CIRCUIT_CHAT && !tg_circuit_chats_load(&r->circuits, number, record,
                                                          clients_now(r), tg_clock_unix_us()))
        extract_no_memory(r);
}

tg_code extract_circuits_open(struct extract_run *r, struct tg_error *err)
{
    const struct tg_breaker_options options = tg_account_breaker(&r->accounts[0]->settings);

    tg_circuit_chats_init(&r->circuits, &options);
    for (size_t i = 0; i < r->n_accounts; i++)
        tgc_set_chats(tg_net_client(r->accounts[i]->net), &r->circuits);
    if (!options.failure_threshold && !options.rate_permille)
        return TG_OK; /* they never open */
    return tg_circuits_read(&r->store, r->settings->job, on_kept, r, err);
}

void extract_circuits_close(struct extract_run *r)
{
    for (size_t i = 0; i < r->n_accounts; i++)
        tgc_set_chats(tg_net_client(r->accounts[i]->net), NULL);
    tg_circuit_chats_done(&r->circuits);
}

static void keep(struct extract_run *r, int64_t chat_id)
{
    struct tg_breaker_record record;

    tg_breaker_save(tg_circuit_chat(&r->circuits, chat_id), clients_now(r), tg_clock_unix_us(),
                    &record);
    tg_pipeline_circuit(r->pipeline, chat_id, &record);
}

static void count(struct extract_run *r, const struct tg_circuit_change *change)
{
    struct tg_circuit_counts *const counts[] = {
        [TG_CIRCUIT_ACCOUNT] = &r->result->account_circuits,
        [TG_CIRCUIT_DC] = &r->result->dc_circuits,
        [TG_CIRCUIT_CHAT] = &r->result->chat_circuits,
        [TG_CIRCUIT_SINK] = &r->result->sink_circuits,
    };
    struct tg_circuit_counts *n = counts[change->kind];

    n->opened += change->to == TG_BREAKER_OPEN;
    n->half_opened += change->to == TG_BREAKER_HALF_OPEN;
    n->closed += change->to == TG_BREAKER_CLOSED;
}

void extract_circuit_changed(struct extract_account *a, const struct tg_circuit_change *change)
{
    struct extract_run *r = a->run;

    count(r, change);
    tg_observed_circuit(r->hooks->observer, change, a->account->path);
    if (change->kind == TG_CIRCUIT_CHAT)
        keep(r, change->number);
}

void extract_circuit_news(struct extract_run *r)
{
    struct tg_taker_news news;

    while (tg_pipeline_news(r->pipeline, &news)) {
        if (news.what == TG_TAKER_CIRCUIT)
            count(r, &news.change);
        tg_observed_news(r->accounts[0], r->hooks->observer, &news, &r->sink_away, &r->sink_open);
    }
}

int64_t extract_circuit_wait(const struct extract_run *r, int64_t chat_id)
{
    const struct tg_breaker *b = tg_circuit_chat(&r->circuits, chat_id);

    return b && b->state == TG_BREAKER_OPEN ? tg_breaker_peek(b, clients_now(r)) : 0;
}

bool extract_circuit_own(const struct extract_run *r, int64_t chat_id, tg_code code)
{
    const struct tg_breaker *b = tg_circuit_chat(&r->circuits, chat_id);

    return b && b->state != TG_BREAKER_CLOSED && tg_code_type(code) == TG_TYPE_SERVER;
}

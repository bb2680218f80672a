/* SPDX-License-Identifier: MIT */
/*
 * observed.c - see observed.h
 */
#include "etl/observed.h"

#include <stdio.h>

#include "observe/alerts.h"
#include "os/loop.h"

#define LONG_WAIT_US TG_SECOND_US /* more than a pace: the server's wait */

void tg_observed_run_begin(struct tg_observed_run *run, struct tg_observer *to, const char *job,
                           enum tg_trace_pattern pattern)
{
    *run = (struct tg_observed_run){ .to = to, .trace = tg_observe_trace(to, job, pattern) };
}

void tg_observed_run_end(struct tg_observed_run *run, uint64_t rows, const struct tg_error *err)
{
    bool stopped = err && err->code == TG_CANCELLED;

    tg_observe_trace_end(run->to, run->trace, (int64_t)rows, stopped ? NULL : err);
    run->trace = NULL;
}

void tg_observed_begin(struct tg_observed_account *a, struct tg_observer *to,
                       struct tg_trace *trace, struct tg_account *account)
{
    struct tgc_stats stats;

    tgc_stats(tg_net_client(account->net), &stats);
    *a = (struct tg_observed_account){
        .to = to,
        .trace = trace,
        .account = account,
        .method = account->session.is_bot ? "channels.getMessages" : "messages.getHistory",
        .bytes_in = stats.bytes_in,
    };
    tg_average_init(&a->history, tg_clock_mono_us());
}

static void trace_call(struct tg_observed_account *a, const struct tgc_notice *n)
{
    const struct tg_trace_call call = {
        .method = n->method,
        .account = a->account->path,
        .number = n->call.number,
        .chat_id = n->call.chat,
        .dc = n->dc,
        .age_us = n->call.age_us,
        .took_us = n->took_us,
        .n_floods = n->call.n_floods,
        .n_retries = n->call.n_retries,
        .flood_wait_s = n->call.flood_wait_s,
        .err = n->err,
    };

    tg_trace_call(a->trace, &call);
}

static void call_ended(struct tg_observed_account *a, const struct tgc_notice *n)
{
    bool flood = n->err && n->err->code == TG_FLOOD;
    const char *outcome = n->err ? tg_error_type_name(tg_code_type(n->err->code)) : "ok";

    if (n->err && n->err->code == TG_CANCELLED)
        outcome = "cancelled";
    else if (!flood)
        tg_observe_attempt(a->to, n->err != NULL);
    tg_observe_add(a->to, TG_METRIC_CALLS, n->method, outcome, 1);
    if (n->took_us)
        tg_observe_seconds(a->to, TG_METRIC_CALL_SECONDS, (double)n->took_us / 1e6);
    trace_call(a, n);
}

void tg_observed_notice(struct tg_observed_account *a, const struct tgc_notice *n)
{
    const char *path = a->account->path;

    if (!a->to)
        return;
    switch (n->kind) {
    case TGC_ASKED:
        if (strcmp(n->method, a->method) == 0)
            tg_average_add(&a->history, 1, tg_clock_mono_us());
        break;
    case TGC_ENDED:
        call_ended(a, n);
        break;
    case TGC_RETRY:
        tg_observe_add(a->to, TG_METRIC_RETRIES, n->method, NULL, 1);
        tg_observe_attempt(a->to, true);
        tg_trace_call_event(a->trace, path, n->call.number, "retry", n->wait_us, n->err);
        break;
    case TGC_FLOOD:
        tg_observe_add(a->to, TG_METRIC_FLOODS, path, n->method, 1);
        tg_observe_add(a->to, TG_METRIC_FLOOD_SECONDS, path, n->method, (double)n->wait_us / 1e6);
        tg_trace_call_event(a->trace, path, n->call.number, "flood_wait", n->wait_us, NULL);
        break;
    case TGC_LOST:
        tg_observe_add(a->to, TG_METRIC_RECONNECTS, NULL, NULL, 1);
        break;
    default:
        break;
    }
}

static double limit_usage(struct tg_observed_account *a)
{
    const struct tgc *client = tg_net_client(a->account->net);
    int64_t rate_milli = tgc_limit_rate(client, a->method);

    if (tgc_limit_wait(client, a->method, tg_net_now(a->account->net)) > LONG_WAIT_US)
        return 1;
    if (!rate_milli)
        return 0;
    return TG_MIN(tg_average_rate(&a->history, tg_clock_mono_us()) * 1000 / (double)rate_milli, 1);
}

static void tell_news(struct tg_observed_account *a)
{
    char news[TG_OBSERVE_NEWS];

    while (tg_observe_news(a->to, news))
        tg_account_note(a->account, TG_NOTE_WARNING, 0, "%s", news);
}

void tg_observed_look(struct tg_observed_account *a)
{
    struct tgc_stats stats;

    if (!a->to)
        return;
    tell_news(a);
    tgc_stats(tg_net_client(a->account->net), &stats);
    tg_observe_add(a->to, TG_METRIC_BYTES_IN, NULL, NULL, (double)(stats.bytes_in - a->bytes_in));
    a->bytes_in = stats.bytes_in;
    tg_observe_move(a->to, TG_METRIC_CONNECTIONS, NULL, (double)stats.n_links - a->links);
    a->links = (double)stats.n_links;
    tg_observe_set(a->to, TG_METRIC_LIMIT_USAGE, a->account->path, NULL, limit_usage(a));
}

void tg_observed_end(struct tg_observed_account *a)
{
    if (!a->to)
        return;
    tell_news(a);
    tg_observe_move(a->to, TG_METRIC_CONNECTIONS, NULL, -a->links);
    tg_observe_set(a->to, TG_METRIC_LIMIT_USAGE, a->account->path, NULL, 0);
    a->links = 0;
    a->to = NULL;
}

/* Which one it is, as people name it. */
static void name_breaker(const struct tg_circuit_change *change, const char *account,
                         char ret[TG_BREAKER_OF])
{
    long long number = change->number;

    switch (change->kind) {
    case TG_CIRCUIT_DC:
        snprintf(ret, TG_BREAKER_OF, "DC %lld of %s", number, account ? account : "an account");
        break;
    case TG_CIRCUIT_CHAT:
        snprintf(ret, TG_BREAKER_OF, "%lld", number);
        break;
    case TG_CIRCUIT_SINK:
        snprintf(ret, TG_BREAKER_OF, "%s", change->name ? change->name : "the destination");
        break;
    default:
        snprintf(ret, TG_BREAKER_OF, "%s", account ? account : "");
        break;
    }
}

void tg_observed_circuit(struct tg_observer *to, const struct tg_circuit_change *change,
                         const char *account)
{
    const char *kind = tg_circuit_kind_name(change->kind);
    struct tg_open_breaker now = { .kind = kind, .since_us = tg_clock_mono_us() };

    if (change->to != TG_BREAKER_CLOSED)
        now.state = tg_breaker_name(change->to);
    name_breaker(change, account, now.of);
    tg_observe_breaker(to, &now, change->err ? change->err->message : NULL);
    tg_observe_add(to, TG_METRIC_CIRCUITS, kind, tg_breaker_name(change->to), 1);
    tg_observe_move(to, TG_METRIC_CIRCUIT_OPEN, kind,
                    (change->to == TG_BREAKER_OPEN) - (change->from == TG_BREAKER_OPEN));
}

static void advance(struct tg_observed_run *run, enum tg_metric metric, uint64_t *told,
                    uint64_t now)
{
    tg_observe_add(run->to, metric, NULL, NULL, (double)(now - *told));
    *told = now;
}

void tg_observed_pipeline(struct tg_observed_run *run, const struct tg_pipeline_state *p,
                          uint64_t quarantined, uint64_t refused)
{
    if (!run->to)
        return;
    advance(run, TG_METRIC_COMMITTED, &run->rows, p->rows);
    advance(run, TG_METRIC_FALLBACK, &run->fallback_rows, p->fallback_rows);
    advance(run, TG_METRIC_BATCHES, &run->batches, p->batches);
    advance(run, TG_METRIC_COMMITS, &run->commits, p->commits);
    advance(run, TG_METRIC_BYTES_OUT, &run->bytes_out, p->bytes_out);
    advance(run, TG_METRIC_QUARANTINED, &run->quarantined, quarantined);
    advance(run, TG_METRIC_REFUSED, &run->refused, refused);
    tg_observe_set(run->to, TG_METRIC_QUEUE, NULL, NULL, p->n_out);
    tg_observe_held(run->to, p->full);
}

void tg_observed_quality(struct tg_observed_run *run, const struct tg_quality_result *q,
                         uint64_t set_aside)
{
    const struct tg_drift *worst = q->drift;
    char line[200];

    if (!run->to)
        return;
    advance(run, TG_METRIC_JUDGED, &run->judged, q->rows);
    advance(run, TG_METRIC_INVALID, &run->invalid, q->invalid);
    advance(run, TG_METRIC_SET_ASIDE, &run->aside, set_aside);
    if (!q->drift_rows || run->told_drift)
        return;
    run->told_drift = true;
    tg_observe_set(run->to, TG_METRIC_DRIFT, NULL, NULL, (double)q->n_drifts);
    for (size_t i = 1; i < q->n_drifts; i++)
        if (q->drift[i].score / q->drift[i].limit > worst->score / worst->limit)
            worst = &q->drift[i];
    if (!q->n_drifts)
        return;
    snprintf(line, sizeof line, "profile_drift: %zu difference%s from the run before, such as %s "
             "of %s: %.4g, was %.4g", q->n_drifts, q->n_drifts == 1 ? "" : "s",
             tg_drift_kind_name(worst->kind), worst->field, worst->now, worst->before);
    tg_observe_finding(run->to, worst->score, worst->limit, line);
}

void tg_observed_news(struct tg_account *account, struct tg_observer *to,
                      const struct tg_taker_news *news, bool *away, bool *open)
{
    const char *gap = news->name[0] ? " " : "";
    char why[TG_ALERT_AWAY];

    snprintf(why, sizeof why, "the destination%s%.60s is waited for: %.100s", gap, news->name,
             news->err.message);
    switch (news->what) {
    case TG_TAKER_CIRCUIT:
        *open = news->n > 0;
        if (news->change.to == TG_BREAKER_OPEN)
            tg_observe_away(to, why);
        tg_observed_circuit(to, &news->change, NULL);
        tg_account_tell_circuit(account, &news->change);
        break;
    case TG_TAKER_AWAY:
        *away = news->n > 0;
        tg_observe_away(to, why);
        tg_account_note(account, TG_NOTE_WARNING, 0, "the destination%s%s is waited for: %s", gap,
                        news->name, news->err.message);
        break;
    case TG_TAKER_BACK:
        *away = news->n > 0;
        tg_account_note(account, TG_NOTE_INFO, 0,
                        "the destination%s%s takes rows again, after %.3g s", gap, news->name,
                        (double)news->away_us / 1e6);
        break;
    }
    if (!*away && !*open)
        tg_observe_away(to, NULL);
}

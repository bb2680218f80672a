/* SPDX-License-Identifier: MIT */
/*
 * observer.c - see tgdata/observe.h and observer.h
 *
 * Threads: the lock guards the registry and what stands behind it in the struct
 */
#include "observe/observer_impl.h"

#include <stdio.h>
#include <stdlib.h>

#include "crypto/ct.h"
#include "os/loop.h"

enum { TEXT_MAX = 16 << 20, CHATS_MAX = 4 << 20 };

/* ---- what it is told ---- */

void tg_observe_add(struct tg_observer *o, enum tg_metric metric, const char *label0,
                    const char *label1, double v)
{
    if (!o)
        return;
    pthread_mutex_lock(&o->lock);
    tg_metrics_add(o->metrics, metric, label0, label1, v);
    pthread_mutex_unlock(&o->lock);
}

void tg_observe_set(struct tg_observer *o, enum tg_metric metric, const char *label0,
                    const char *label1, double v)
{
    if (!o)
        return;
    pthread_mutex_lock(&o->lock);
    tg_metrics_set(o->metrics, metric, label0, label1, v);
    pthread_mutex_unlock(&o->lock);
}

void tg_observe_move(struct tg_observer *o, enum tg_metric metric, const char *label0, double v)
{
    double before;

    if (!o)
        return;
    pthread_mutex_lock(&o->lock);
    before = tg_metrics_get(o->metrics, metric, label0, NULL);
    tg_metrics_set(o->metrics, metric, label0, NULL, TG_MAX(before + v, 0));
    pthread_mutex_unlock(&o->lock);
}

void tg_observe_seconds(struct tg_observer *o, enum tg_metric metric, double v)
{
    if (!o)
        return;
    pthread_mutex_lock(&o->lock);
    tg_metrics_observe(o->metrics, metric, TG_MAX(v, 0));
    pthread_mutex_unlock(&o->lock);
}

void tg_observe_rows(struct tg_observer *o, size_t n)
{
    if (!o)
        return;
    pthread_mutex_lock(&o->lock);
    tg_metrics_rows(o->metrics, (double)n, tg_clock_mono_us());
    pthread_mutex_unlock(&o->lock);
}

void tg_observe_attempt(struct tg_observer *o, bool failed)
{
    if (!o)
        return;
    pthread_mutex_lock(&o->lock);
    tg_metrics_attempt(o->metrics, failed, tg_clock_mono_us());
    pthread_mutex_unlock(&o->lock);
}

void tg_observe_ready(struct tg_observer *o, const char *why)
{
    if (!o)
        return;
    pthread_mutex_lock(&o->lock);
    snprintf(o->why, sizeof o->why, "%s", why ? why : "");
    tg_metrics_set(o->metrics, TG_METRIC_READY, NULL, NULL, !why);
    pthread_mutex_unlock(&o->lock);
}

void tg_observe_breaker(struct tg_observer *o, const struct tg_open_breaker *now, const char *why)
{
    if (!o)
        return;
    pthread_mutex_lock(&o->lock);
    tg_breakers_set(&o->breakers, now, why);
    pthread_mutex_unlock(&o->lock);
}

void tg_observe_away(struct tg_observer *o, const char *why)
{
    if (!o)
        return;
    pthread_mutex_lock(&o->lock);
    if (!o->away[0])
        o->away_us = tg_clock_mono_us();
    snprintf(o->away, sizeof o->away, "%s", why ? why : "");
    pthread_mutex_unlock(&o->lock);
}

void tg_observe_held(struct tg_observer *o, bool held)
{
    if (!o)
        return;
    pthread_mutex_lock(&o->lock);
    o->held = held;
    pthread_mutex_unlock(&o->lock);
}

void tg_observe_chats(struct tg_observer *o, const char *json, size_t len)
{
    if (!o)
        return;
    pthread_mutex_lock(&o->lock);
    tg_buf_clear(&o->chats);
    tg_buf_add(&o->chats, json, len);
    pthread_mutex_unlock(&o->lock);
}

bool tg_observe_news(struct tg_observer *o, char ret[TG_OBSERVE_NEWS])
{
    bool found;

    if (!o)
        return false;
    pthread_mutex_lock(&o->lock);
    found = tg_news_take(&o->news, ret);
    pthread_mutex_unlock(&o->lock);
    return found;
}

/* ---- pushes ---- */

static void pushed(void *ctx, enum tg_push_kind kind, const struct tg_error *err)
{
    struct tg_observer *o = ctx;

    pthread_mutex_lock(&o->lock);
    tg_metrics_add(o->metrics, TG_METRIC_PUSH_CALLS, tg_push_name(kind), err ? "failed" : "ok", 1);
    tg_news_service(&o->news, &o->push_fails[kind], "metrics", err);
    pthread_mutex_unlock(&o->lock);
}

static void push_read(void *ctx, unsigned reader,
                      void (*put)(void *ctx, const struct tg_metric_sample *sample), void *arg)
{
    struct tg_observer *o = ctx;

    pthread_mutex_lock(&o->lock);
    tg_metrics_read(o->metrics, reader, tg_clock_mono_us(), put, arg);
    pthread_mutex_unlock(&o->lock);
}

static void push_take(void *ctx, unsigned reader, size_t place)
{
    struct tg_observer *o = ctx;

    pthread_mutex_lock(&o->lock);
    tg_metrics_take(o->metrics, reader, place);
    pthread_mutex_unlock(&o->lock);
}

struct tg_trace *tg_observe_trace(struct tg_observer *o, const char *job,
                                  enum tg_trace_pattern pattern)
{
    return o ? tg_traces_begin(o->traces, job, pattern) : NULL;
}

void tg_observe_trace_end(struct tg_observer *o, struct tg_trace *trace, int64_t rows,
                          const struct tg_error *err)
{
    if (o)
        tg_traces_end(o->traces, trace, rows, err);
}

bool tg_observe_where(struct tg_observer *o, int64_t chat_id, struct tg_span_link *ret)
{
    return o && tg_traces_where(o->traces, chat_id, ret);
}

static void spans_done(void *ctx, enum tg_spans_end end, size_t n, const struct tg_error *err)
{
    struct tg_observer *o = ctx;

    pthread_mutex_lock(&o->lock);
    if (n)
        tg_metrics_add(o->metrics, TG_METRIC_TRACE_SPANS, tg_spans_end_name[end], NULL, (double)n);
    if (err || end == TG_SPANS_SENT)
        tg_news_service(&o->news, &o->traces_fail, "traces", err);
    pthread_mutex_unlock(&o->lock);
}

static tg_code start_traces(struct tg_observer *o, const struct tg_monitor_settings *set,
                            struct tg_error *err)
{
    tg_code code = tg_traces_new(set, spans_done, o, &o->traces, err);

    if (code == TG_OK && *tg_traces_warning(o->traces))
        tg_news_add(&o->news, "", tg_traces_warning(o->traces));
    return code;
}

/* ---- alerts ---- */

static void alert_sent(void *ctx, const struct tg_error *err)
{
    struct tg_observer *o = ctx;

    pthread_mutex_lock(&o->lock);
    tg_metrics_add(o->metrics, TG_METRIC_ALERT_POSTS, err ? "failed" : "ok", NULL, 1);
    tg_news_service(&o->news, &o->alert_fails, "alerts", err);
    pthread_mutex_unlock(&o->lock);
}

static void alert_changed(void *ctx, const char *alert, bool fires, const char *line)
{
    struct tg_observer *o = ctx;

    pthread_mutex_lock(&o->lock);
    tg_metrics_set(o->metrics, TG_METRIC_ALERT_FIRING, alert, NULL, fires);
    tg_metrics_add(o->metrics, TG_METRIC_ALERTS, alert, fires ? "firing" : "resolved", 1);
    tg_news_add(&o->news, fires ? "alert: " : "alert is over: ", line);
    pthread_mutex_unlock(&o->lock);
}

/* A stream that has all and is connected, and need not wait, has nothing to read. */
static bool caught_up(const struct tg_metrics *m)
{
    return tg_metrics_sum(m, TG_METRIC_STREAM_CAUGHT_UP) > 0 &&
           tg_metrics_sum(m, TG_METRIC_READY) > 0 &&
           tg_metrics_sum(m, TG_METRIC_CONNECTIONS) > 0 &&
           tg_metrics_top(m, TG_METRIC_LIMIT_USAGE) < 1;
}

static void alert_look(void *ctx, struct tg_alerts_sample *ret)
{
    struct tg_observer *o = ctx;

    pthread_mutex_lock(&o->lock);
    ret->rows = tg_metrics_sum(o->metrics, TG_METRIC_EXTRACTED);
    ret->attempts = tg_metrics_attempts(o->metrics, tg_clock_mono_us(), &ret->error_rate);
    ret->caught_up = caught_up(o->metrics);
    ret->held = o->held;
    memcpy(ret->away, o->away, sizeof ret->away);
    if (o->away[0])
        ret->away_s = (double)(tg_clock_mono_us() - o->away_us) / 1e6;
    pthread_mutex_unlock(&o->lock);
}

static bool has_threshold(const struct tg_monitor_settings *set)
{
    return set->alert_error_rate || set->alert_rate_drop || set->alert_anomaly;
}

/* Whether the end of a run may find that its profile has drifted; a file of rules may have one. */
static bool has_profile(const struct tg_config *config)
{
    static const char *const begins[] = { "profile", "validate?rules=" };
    const struct tg_option_list *stage = &config->steps.stage;

    for (size_t i = 0; i < stage->n; i++)
        for (size_t k = 0; k < TG_COUNT(begins); k++)
            if (strncmp(stage->item[i], begins[k], strlen(begins[k])) == 0)
                return true;
    return false;
}

static tg_code start_alerts(struct tg_observer *o, const struct tg_config *config,
                            struct tg_error *err)
{
    const struct tg_monitor_settings *set = &config->monitor;

    if (!has_threshold(set) && !has_profile(config)) {
        tg_fail(err, TG_USAGE, "there is an alert-webhook, but no alert");
        return tg_hint(err, "give alert-error-rate, alert-rate-drop or alert-anomaly, or a stage "
                            "profile");
    }
    return tg_alerts_new(&(struct tg_alerts_options){ .error_rate = set->alert_error_rate,
                                                      .rate_drop = set->alert_rate_drop,
                                                      .anomaly = set->alert_anomaly,
                                                      .hold_ms = set->alert_hold_ms,
                                                      .interval_ms = set->alert_interval_ms,
                                                      .webhook = set->alert_webhook,
                                                      .token = set->alert_token,
                                                      .job = config->extract.job,
                                                      .look = alert_look,
                                                      .changed = alert_changed,
                                                      .sent = alert_sent,
                                                      .ctx = o },
                         &o->alerts, err);
}

void tg_observe_finding(struct tg_observer *o, double score, double limit, const char *line)
{
    if (o && o->alerts)
        tg_alerts_find(o->alerts, score, limit, line);
}

/* ---- the public side ---- */

/* Where numbers are pushed, by kind; NULL: not there. */
static void push_targets(const struct tg_monitor_settings *set, const char *ret[TG_PUSH_KINDS])
{
    ret[TG_PUSH_ENDPOINT] = set->metrics_endpoint;
    ret[TG_PUSH_STATSD] = set->statsd;
    ret[TG_PUSH_CLOUDWATCH] = set->cloudwatch;
}

static tg_code start_pushes(struct tg_observer *o, const struct tg_config *config,
                            struct tg_error *err)
{
    const struct tg_monitor_settings *set = &config->monitor;
    struct tg_push_options options = { .job = config->extract.job,
                                       .tags = set->statsd_format == TG_STATSD_DOGSTATSD,
                                       .interval_ms = set->export_interval_ms,
                                       .fill = tg_observer_put_text,
                                       .read = push_read,
                                       .take = push_take,
                                       .done = pushed,
                                       .ctx = o };
    const char *where[TG_PUSH_KINDS];
    tg_code code = TG_OK;

    push_targets(set, where);
    for (enum tg_push_kind i = 0; code == TG_OK && i < TG_PUSH_KINDS; i++) {
        options.where = where[i];
        if (where[i])
            code = tg_push_new(i, &options, &o->push[i], err);
    }
    return code;
}

/* An empty address stands for none: so it takes away one that was given before. */
static bool listens(const struct tg_monitor_settings *set)
{
    return set->listen && *set->listen;
}

bool tg_observer_wanted(const struct tg_config *config)
{
    const struct tg_monitor_settings *set = &config->monitor;

    return listens(set) || set->metrics_endpoint || set->statsd || set->cloudwatch ||
           set->alert_webhook || has_threshold(set) || tg_traces_wanted(set);
}

tg_code tg_observer_new(const struct tg_config *config, struct tg_observer **ret,
                        struct tg_error *err)
{
    const struct tg_monitor_settings *set = &config->monitor;
    struct tg_observer *o;
    tg_code code = tg_config_check(config, err);

    if (code != TG_OK)
        return code;
    o = calloc(1, sizeof *o);
    if (!o)
        return tg_fail(err, TG_NOMEM, "no memory for an observer");
    pthread_mutex_init(&o->lock, NULL);
    pthread_mutex_init(&o->file_lock, NULL);
    o->started_us = tg_clock_mono_us();
    o->metrics = tg_metrics_new(o->started_us);
    tg_history_init(&o->history, o->started_us);
    o->state = strdup(config->extract.state);
    o->job = strdup(config->extract.job);
    tg_buf_init(&o->chats, CHATS_MAX);
    snprintf(o->why, sizeof o->why, "no run has begun");
    if (!o->metrics || !o->state || !o->job)
        code = tg_fail(err, TG_NOMEM, "no memory for metrics");
    if (code == TG_OK && (set->alert_webhook || has_threshold(set) || has_profile(config)))
        code = start_alerts(o, config, err);
    if (code == TG_OK && tg_traces_wanted(set))
        code = start_traces(o, set, err);
    if (code == TG_OK && listens(set))
        code = tg_observer_listen(o, set, err);
    if (code == TG_OK)
        code = start_pushes(o, config, err);
    if (code == TG_OK)
        *ret = o;
    else
        tg_observer_free(o);
    return code;
}

void tg_observer_free(struct tg_observer *o)
{
    if (!o)
        return;
    tg_traces_free(o->traces);
    tg_httpd_free(o->httpd);
    tg_alerts_free(o->alerts);
    for (enum tg_push_kind i = 0; i < TG_PUSH_KINDS; i++)
        tg_push_free(o->push[i]);
    tg_metrics_free(o->metrics);
    if (o->state)
        tg_wipe(o->state, strlen(o->state));
    free(o->state), free(o->job);
    tg_buf_done(&o->chats);
    pthread_mutex_destroy(&o->lock);
    pthread_mutex_destroy(&o->file_lock);
    free(o);
}

void tg_observer_jobs(struct tg_observer *o, const struct tg_config_file *file)
{
    pthread_mutex_lock(&o->file_lock);
    o->file = file;
    pthread_mutex_unlock(&o->file_lock);
}

unsigned tg_observer_port(const struct tg_observer *o)
{
    return o->httpd ? tg_httpd_port(o->httpd) : 0;
}

static size_t write_page(struct tg_observer *o, int (*fill)(void *ctx, struct tg_buf *out),
                         char *out, size_t n)
{
    struct tg_buf text;
    int len;

    tg_buf_init(&text, TEXT_MAX);
    fill(o, &text);
    len = snprintf(out, n, "%s", tg_buf_cstr(&text));
    tg_buf_done(&text);
    return (size_t)len;
}

size_t tg_metrics_json(struct tg_observer *o, char *out, size_t n)
{
    return write_page(o, tg_observer_put_summary, out, n);
}

size_t tg_metrics_text(struct tg_observer *o, char *out, size_t n)
{
    return write_page(o, tg_observer_put_text, out, n);
}

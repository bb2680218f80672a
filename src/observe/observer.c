/* SPDX-License-Identifier: MIT */
/*
 * observer.c - see tgdata/observe.h and observer.h
 *
 * Threads: the lock guards the registry and what stands behind it in the struct
 */
#include "observe/observer.h"

#include <stdio.h>
#include <stdlib.h>

#include "config/settings.h"
#include "observe/httpd.h"
#include "observe/push.h"
#include "os/loop.h"
#include "os/queue.h"

enum { TEXT_MAX = 16 << 20, CHATS_MAX = 4 << 20 };

struct tg_observer {
    struct tg_httpd *httpd; /* NULL: it does not listen */
    struct tg_push *push;   /* NULL: it does not push */
    int64_t started_us;

    pthread_mutex_t lock;
    struct tg_metrics *metrics;
    char why[160];          /* it is not ready; "": it is */
    struct tg_buf chats;
    bool push_fails;
    char news[TG_OBSERVE_NEWS];         /* a line for the user; "": none */
};

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
    found = o->news[0] != 0;
    memcpy(ret, o->news, TG_OBSERVE_NEWS);
    o->news[0] = 0;
    pthread_mutex_unlock(&o->lock);
    return found;
}

/* A gateway that is away is told of once, until it answers again. */
static void pushed(void *ctx, const struct tg_error *err)
{
    struct tg_observer *o = ctx;

    pthread_mutex_lock(&o->lock);
    tg_metrics_add(o->metrics, TG_METRIC_PUSH_CALLS, err ? "failed" : "ok", NULL, 1);
    if (err && !o->push_fails)
        snprintf(o->news, sizeof o->news, "metrics cannot be pushed: %.280s", err->message);
    else if (!err && o->push_fails)
        snprintf(o->news, sizeof o->news, "metrics are pushed again");
    o->push_fails = err != NULL;
    pthread_mutex_unlock(&o->lock);
}

/* ---- pages ---- */

static int page_metrics(void *ctx, struct tg_buf *out)
{
    struct tg_observer *o = ctx;

    pthread_mutex_lock(&o->lock);
    tg_metrics_put_text(o->metrics, tg_clock_mono_us(), out);
    pthread_mutex_unlock(&o->lock);
    return 200;
}

static int page_health(void *ctx, struct tg_buf *out)
{
    (void)ctx;
    tg_buf_str(out, "ok\n");
    return 200;
}

static int page_ready(void *ctx, struct tg_buf *out)
{
    struct tg_observer *o = ctx;
    bool ready;

    pthread_mutex_lock(&o->lock);
    ready = !o->why[0];
    tg_buf_printf(out, "%s\n", ready ? "ready" : o->why);
    pthread_mutex_unlock(&o->lock);
    return ready ? 200 : 503;
}

static int page_summary(void *ctx, struct tg_buf *out)
{
    struct tg_observer *o = ctx;
    struct tg_json j;

    tg_json_init(&j, out);
    pthread_mutex_lock(&o->lock);
    tg_metrics_put_summary(o->metrics, tg_clock_mono_us(), &j);
    pthread_mutex_unlock(&o->lock);
    return 200;
}

static int page_status(void *ctx, struct tg_buf *out)
{
    struct tg_observer *o = ctx;
    int64_t now_us = tg_clock_mono_us();
    struct tg_json j;

    tg_json_init(&j, out);
    pthread_mutex_lock(&o->lock);
    tg_json_object(&j);
    tg_json_key(&j, "version"), tg_json_cstr(&j, TG_VERSION);
    tg_json_key(&j, "uptime_s"), tg_json_double(&j, (double)(now_us - o->started_us) / 1e6);
    tg_json_key(&j, "ready"), tg_json_bool(&j, !o->why[0]);
    tg_json_key(&j, "reason"), tg_json_cstr(&j, o->why[0] ? o->why : NULL);
    tg_json_key(&j, "summary"), tg_metrics_put_summary(o->metrics, now_us, &j);
    tg_json_key(&j, "chats");
    if (o->chats.len)
        tg_json_raw(&j, (const char *)o->chats.data, o->chats.len);
    else
        tg_json_raw(&j, "[]", 2);
    tg_json_key(&j, "metrics"), tg_metrics_put_series(o->metrics, now_us, &j);
    tg_json_end_object(&j);
    pthread_mutex_unlock(&o->lock);
    return 200;
}

static const struct tg_httpd_page pages[] = {
    { "/metrics", "text/plain; version=0.0.4; charset=utf-8", page_metrics },
    { "/healthz", "text/plain; charset=utf-8", page_health },
    { "/readyz", "text/plain; charset=utf-8", page_ready },
    { "/api/metrics", "application/json", page_summary },
    { "/api/status", "application/json", page_status },
    { 0 },
};

/* ---- the public side ---- */

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
    o->started_us = tg_clock_mono_us();
    o->metrics = tg_metrics_new(o->started_us);
    tg_buf_init(&o->chats, CHATS_MAX);
    snprintf(o->why, sizeof o->why, "starting");
    if (!o->metrics)
        code = tg_fail(err, TG_NOMEM, "no memory for metrics");
    if (code == TG_OK && set->listen)
        code = tg_httpd_new(set->listen, pages, o, &o->httpd, err);
    if (code == TG_OK && set->metrics_endpoint)
        code = tg_push_new(&(struct tg_push_options){ .url = set->metrics_endpoint,
                                                      .job = config->extract.job,
                                                      .interval_ms = set->export_interval_ms,
                                                      .fill = page_metrics,
                                                      .done = pushed,
                                                      .ctx = o },
                           &o->push, err);
    if (code != TG_OK) {
        tg_observer_free(o);
        return code;
    }
    *ret = o;
    return TG_OK;
}

void tg_observer_free(struct tg_observer *o)
{
    if (!o)
        return;
    tg_push_free(o->push);
    tg_httpd_free(o->httpd);
    tg_metrics_free(o->metrics);
    tg_buf_done(&o->chats);
    pthread_mutex_destroy(&o->lock);
    free(o);
}

unsigned tg_observer_port(const struct tg_observer *o)
{
    return o->httpd ? tg_httpd_port(o->httpd) : 0;
}

static size_t write_page(struct tg_observer *o, int (*fill)(void *ctx, struct tg_buf *out),
                         char *out, size_t n)
{
    struct tg_buf text;
    size_t len, copied;

    tg_buf_init(&text, TEXT_MAX);
    fill(o, &text);
    len = text.len;
    copied = n ? TG_MIN(len, n - 1) : 0;
    if (copied)
        memcpy(out, text.data, copied);
    if (n)
        out[copied] = 0;
    tg_buf_done(&text);
    return len;
}

size_t tg_metrics_json(struct tg_observer *o, char *out, size_t n)
{
    return write_page(o, page_summary, out, n);
}

size_t tg_metrics_text(struct tg_observer *o, char *out, size_t n)
{
    return write_page(o, page_metrics, out, n);
}

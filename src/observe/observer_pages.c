/* SPDX-License-Identifier: MIT */
/*
 * observer_pages.c - what an observer answers over HTTP: the table of its pages
 *
 * Threads: those of the server
 */
#include "base/text.h"
#include "crypto/ct.h"
#include "observe/api.h"
#include "observe/guard.h"
#include "observe/observer_impl.h"
#include "observe/page.h"
#include "os/loop.h"

int tg_observer_put_text(void *ctx, struct tg_buf *out)
{
    struct tg_observer *o = ctx;

    pthread_mutex_lock(&o->lock);
    tg_metrics_put_text(o->metrics, tg_clock_mono_us(), out);
    pthread_mutex_unlock(&o->lock);
    return 200;
}

static int page_metrics(void *ctx, const struct tg_httpd_request *r, struct tg_buf *out)
{
    (void)r;
    return tg_observer_put_text(ctx, out);
}

static int page_health(void *ctx, const struct tg_httpd_request *r, struct tg_buf *out)
{
    (void)ctx, (void)r;
    tg_buf_str(out, "ok\n");
    return 200;
}

static int page_ready(void *ctx, const struct tg_httpd_request *r, struct tg_buf *out)
{
    struct tg_observer *o = ctx;
    bool ready;

    (void)r;
    pthread_mutex_lock(&o->lock);
    ready = !o->why[0];
    tg_buf_printf(out, "%s\n", ready ? "ready" : o->why);
    pthread_mutex_unlock(&o->lock);
    return ready ? 200 : 503;
}

int tg_observer_put_summary(void *ctx, struct tg_buf *out)
{
    struct tg_observer *o = ctx;
    struct tg_json j;

    tg_json_init(&j, out);
    pthread_mutex_lock(&o->lock);
    tg_metrics_put_summary(o->metrics, tg_clock_mono_us(), &j);
    pthread_mutex_unlock(&o->lock);
    return 200;
}

static int page_summary(void *ctx, const struct tg_httpd_request *r, struct tg_buf *out)
{
    (void)r;
    return tg_observer_put_summary(ctx, out);
}

static int page_status(void *ctx, const struct tg_httpd_request *r, struct tg_buf *out)
{
    struct tg_observer *o = ctx;
    int64_t now_us = tg_clock_mono_us();
    struct tg_json j;

    (void)r;
    tg_json_init(&j, out);
    pthread_mutex_lock(&o->lock);
    tg_json_object(&j);
    tg_json_key(&j, "version"), tg_json_cstr(&j, TG_VERSION);
    tg_json_key(&j, "job"), tg_json_cstr(&j, o->job);
    tg_json_key(&j, "writable"), tg_json_bool(&j, o->writable);
    tg_json_key(&j, "uptime_s"), tg_json_double(&j, (double)(now_us - o->started_us) / 1e6);
    tg_json_key(&j, "ready"), tg_json_bool(&j, !o->why[0]);
    tg_json_key(&j, "reason"), tg_json_cstr(&j, o->why[0] ? o->why : NULL);
    tg_json_key(&j, "summary"), tg_metrics_put_summary(o->metrics, now_us, &j);
    tg_json_key(&j, "chats");
    if (o->chats.len)
        tg_json_raw(&j, (const char *)o->chats.data, o->chats.len);
    else
        tg_json_raw(&j, "[]", 2);
    tg_json_key(&j, "breakers"), tg_breakers_put(&o->breakers, now_us, &j);
    tg_json_key(&j, "alerts"), tg_alerts_put(o->alerts, &j);
    tg_json_key(&j, "metrics"), tg_metrics_put_series(o->metrics, now_us, &j);
    tg_json_end_object(&j);
    pthread_mutex_unlock(&o->lock);
    return 200;
}

static int page_history(void *ctx, const struct tg_httpd_request *r, struct tg_buf *out)
{
    struct tg_observer *o = ctx;
    int64_t from = 0;
    struct tg_json j;

    if (r->arg[0][0] && (!tg_i64_parse(r->arg[0], &from) || from < 0)) {
        tg_buf_str(out, "{\"error\":\"from is the number of a sample\"}");
        return 400;
    }
    tg_json_init(&j, out);
    pthread_mutex_lock(&o->lock);
    tg_history_put(&o->history, (uint64_t)from, tg_clock_mono_us(),
                   tg_clock_unix_us() / TG_SECOND_US, &j);
    pthread_mutex_unlock(&o->lock);
    return 200;
}

static int page_jobs(void *ctx, const struct tg_httpd_request *r, struct tg_buf *out)
{
    (void)r;
    return tg_api_jobs(((struct tg_observer *)ctx)->state, out);
}

static int page_schedule(void *ctx, const struct tg_httpd_request *r, struct tg_buf *out)
{
    struct tg_observer *o = ctx;
    int status;

    (void)r;
    pthread_mutex_lock(&o->file_lock);
    status = tg_api_schedule(o->file, out);
    pthread_mutex_unlock(&o->file_lock);
    return status;
}

static int page_checkpoints(void *ctx, const struct tg_httpd_request *r, struct tg_buf *out)
{
    return tg_api_checkpoints(((struct tg_observer *)ctx)->state, r, out);
}

static int page_letters(void *ctx, const struct tg_httpd_request *r, struct tg_buf *out)
{
    return tg_api_letters(((struct tg_observer *)ctx)->state, r, out);
}

static int page_rollback(void *ctx, const struct tg_httpd_request *r, struct tg_buf *out)
{
    return tg_api_rollback(((struct tg_observer *)ctx)->state, r, out);
}

/* The files of the page, each as it is. */
#define FILE_PAGE(name)                                                                            \
    static int page_##name(void *ctx, const struct tg_httpd_request *r, struct tg_buf *out)       \
    {                                                                                              \
        (void)ctx, (void)r;                                                                        \
        tg_buf_add(out, tg_page_##name.bytes, tg_page_##name.len);                                 \
        return 200;                                                                                \
    }
FILE_PAGE(html)
FILE_PAGE(css)
FILE_PAGE(js)
FILE_PAGE(parts)
FILE_PAGE(chart)
FILE_PAGE(state)
FILE_PAGE(icon)

#define PLAIN "text/plain; charset=utf-8"
#define JSON "application/json"
#define SCRIPT "text/javascript; charset=utf-8"

static const struct tg_httpd_page pages[] = {
    { "/", "text/html; charset=utf-8", page_html, TG_HTTPD_OPEN, { NULL } },
    { "/page.css", "text/css; charset=utf-8", page_css, TG_HTTPD_OPEN, { NULL } },
    { "/page.js", SCRIPT, page_js, TG_HTTPD_OPEN, { NULL } },
    { "/parts.js", SCRIPT, page_parts, TG_HTTPD_OPEN, { NULL } },
    { "/chart.js", SCRIPT, page_chart, TG_HTTPD_OPEN, { NULL } },
    { "/state.js", SCRIPT, page_state, TG_HTTPD_OPEN, { NULL } },
    { "/icon.svg", "image/svg+xml", page_icon, TG_HTTPD_OPEN, { NULL } },
    { "/metrics", "text/plain; version=0.0.4; charset=utf-8", page_metrics, 0, { NULL } },
    { "/healthz", PLAIN, page_health, TG_HTTPD_OPEN, { NULL } },
    { "/readyz", PLAIN, page_ready, TG_HTTPD_OPEN, { NULL } },
    { "/api/metrics", JSON, page_summary, 0, { NULL } },
    { "/api/status", JSON, page_status, 0, { NULL } },
    { "/api/history", JSON, page_history, 0, { "from" } },
    { "/api/jobs", JSON, page_jobs, TG_HTTPD_SLOW, { NULL } },
    { "/api/schedule", JSON, page_schedule, TG_HTTPD_SLOW, { NULL } },
    { "/api/checkpoints", JSON, page_checkpoints, TG_HTTPD_SLOW, { "job", "chat" } },
    { "/api/letters", JSON, page_letters, TG_HTTPD_SLOW, { "job" } },
    { "/api/rollback", JSON, page_rollback, TG_HTTPD_SLOW | TG_HTTPD_CHANGES,
      { "job", "chat", "number" } },
    { 0 },
};

/* On the server's thread, again and again. */
static void tick(void *ctx)
{
    struct tg_observer *o = ctx;

    pthread_mutex_lock(&o->lock);
    tg_history_look(&o->history, o->metrics, tg_clock_mono_us());
    pthread_mutex_unlock(&o->lock);
}

tg_code tg_observer_listen(struct tg_observer *o, const struct tg_monitor_settings *set,
                           struct tg_error *err)
{
    char token[TG_TOKEN_MAX + 1];
    tg_code code = tg_token_read(set->listen_token_file, token, err);

    o->writable = token[0] != 0;
    if (code == TG_OK)
        code = tg_httpd_new(&(struct tg_httpd_options){ .where = set->listen,
                                                        .token = o->writable ? token : NULL,
                                                        .open = set->listen_open,
                                                        .pages = pages,
                                                        .tick = tick,
                                                        .ctx = o },
                            &o->httpd, err);
    tg_wipe(token, sizeof token);
    return code;
}

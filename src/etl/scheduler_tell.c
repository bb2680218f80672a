/* SPDX-License-Identifier: MIT */
/*
 * scheduler_tell.c - whom a scheduler tells what has happened: its caller, and webhooks
 */
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/text.h"
#include "etl/scheduler_impl.h"
#include "observe/observer.h"

enum { BODY_MAX = 64 << 10 };

bool tg_scheduled_is_alarm(const struct tg_scheduled_record *r)
{
    static const char *const how[] = { "failed",  "incomplete", "overtime",
                                       "missed", "late",       "upstream" };

    for (size_t i = 0; i < TG_COUNT(how); i++)
        if (strcmp(r->how, how[i]) == 0)
            return !r->again;
    return false;
}

void tg_sched_trouble(const struct tg_scheduler *s, const char *job, const struct tg_error *err)
{
    if (s->hooks.trouble)
        s->hooks.trouble(s->hooks.ctx, job, err);
}

/* A line for people; chats that take webhooks show the member `text`. */
static void put_text(struct tg_json *j, const struct tg_scheduled_record *r)
{
    char due[21] = "", text[512];
    int n;

    tg_time_utc(due, r->due_ms / 1000);
    n = snprintf(text, sizeof text, "%s: %s, due %s", r->job, r->how, due);
    if (r->ended_ms && n > 0 && (size_t)n < sizeof text)
        n += snprintf(text + n, sizeof text - (size_t)n, ", %.1f s, %llu rows",
                      (double)(r->ended_ms - r->started_ms) / 1000, (unsigned long long)r->rows);
    if (*r->error && n > 0 && (size_t)n < sizeof text)
        snprintf(text + n, sizeof text - (size_t)n, ": %s", r->error);
    tg_json_key(j, "text"), tg_json_cstr(j, text);
}

static void put_body(struct tg_json *j, const char *event, const struct tg_scheduled_record *r)
{
    tg_json_object(j);
    tg_json_key(j, "event"), tg_json_cstr(j, event);
    tg_json_key(j, "job"), tg_json_cstr(j, r->job);
    tg_json_key(j, "outcome"), tg_json_cstr(j, r->how);
    tg_json_time_ms(j, "due", r->due_ms);
    tg_json_time_ms(j, "started", r->started_ms);
    tg_json_time_ms(j, "ended", r->ended_ms);
    tg_json_key(j, "seconds"), tg_json_double(j, (double)(r->ended_ms - r->started_ms) / 1000);
    tg_json_key(j, "attempt"), tg_json_u64(j, r->attempt);
    tg_json_key(j, "again"), tg_json_bool(j, r->again);
    tg_json_key(j, "late"), tg_json_bool(j, r->late || strcmp(r->how, "late") == 0);
    tg_json_key(j, "backfill"), tg_json_bool(j, r->backfill);
    tg_json_key(j, "rows"), tg_json_u64(j, r->rows);
    tg_json_key(j, "step"), tg_json_cstr(j, *r->step ? r->step : NULL);
    tg_json_key(j, "error"), tg_json_cstr(j, *r->error ? r->error : NULL);
    put_text(j, r);
    tg_json_end_object(j);
}

static void post(struct tg_scheduler *s, const char *url, const char *event,
                 const struct tg_scheduled_record *r)
{
    struct tg_buf body;
    struct tg_json j;
    struct tg_error err;
    tg_code code = TG_OK;

    tg_buf_init(&body, BODY_MAX);
    tg_json_init(&j, &body);
    put_body(&j, event, r);
    if (body.failed)
        code = tg_fail(&err, TG_NOMEM, "no memory for a notice");
    if (code == TG_OK)
        code = tg_notices_post(s->notices, r->job, url, body.data, body.len, &err);
    tg_buf_done(&body);
    if (code != TG_OK)
        tg_sched_trouble(s, r->job, &err);
}

tg_code tg_sched_tell_begin(struct tg_scheduler *s, struct tg_error *err)
{
    size_t i = 0;

    while (i < s->n_jobs && !s->job[i].conf->on_complete_webhook &&
           !s->job[i].conf->on_alert_webhook)
        i++;
    return i < s->n_jobs ? tg_notices_new(&s->notices, err) : TG_OK;
}

static void count(struct tg_observer *o, const struct tg_scheduled_record *r)
{
    if (strcmp(r->how, "started") == 0)
        return;
    tg_observe_add(o, TG_METRIC_SCHEDULED, r->job, r->how, 1);
    if (strcmp(r->how, "ok") == 0)
        tg_observe_set(o, TG_METRIC_SCHEDULED_OK, r->job, NULL, (double)r->ended_ms / 1000);
}

void tg_sched_tell(struct tg_scheduler *s, const struct tg_sched_job *j,
                   const struct tg_scheduled_record *r)
{
    if (s->hooks.told)
        s->hooks.told(s->hooks.ctx, r);
    count(s->hooks.observer, r);
    if (j->conf->on_complete_webhook && r->ended_ms)
        post(s, j->conf->on_complete_webhook, "complete", r);
    if (j->conf->on_alert_webhook && tg_scheduled_is_alarm(r))
        post(s, j->conf->on_alert_webhook, "alert", r);
}

void tg_sched_told(struct tg_scheduler *s)
{
    char job[TG_NOTICE_ABOUT];
    struct tg_error err;

    while (s->notices && tg_notices_failed(s->notices, job, &err))
        tg_sched_trouble(s, job, &err);
}

void tg_sched_tell_last(struct tg_scheduler *s)
{
    if (!s->notices)
        return;
    tg_notices_end(s->notices);
    tg_sched_told(s);
    tg_notices_free(s->notices);
    s->notices = NULL;
}

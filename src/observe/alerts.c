/* SPDX-License-Identifier: MIT */
/*
 * alerts.c - see alerts.h
 *
 * Threads: the lock guards `row`; what else there is belongs to the thread
 */
#include "observe/alerts.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/text.h"
#include "client/http.h"
#include "crypto/random.h"
#include "flow/alert.h"
#include "flow/backoff.h"
#include "flow/trend.h"
#include "observe/alert_post.h"
#include "os/loop.h"
#include "os/proc.h"
#include "os/queue.h"

enum { POST_MS = 5000, ANSWER_MAX = 64 << 10, ATTEMPTS_LEAST = 10, LAST_TRIES = 3 };
#define CLEAR_SHARE 0.9                   /* of a threshold: at or below it an alert may end */
#define AGAIN_US (60 * TG_SECOND_US)      /* Alertmanager is told again what still fires */
#define OVER_US (4 * AGAIN_US)            /* and forgets what it is not told so long */

enum row { ERROR_RATE, RATE_DROP, ANOMALY, AWAY, N_LOOKED, DRIFT = N_LOOKED, N_ROWS };

/* What each is called, and its line: "WHAT VALUE UNIT, more than THRESHOLD". */
static const struct {
    const char *name, *what, *unit;
    double scale; /* of the numbers in the line */
} about[N_ROWS] = {
    { "error_rate", "of the attempts of calls fails a share of", " %", 100 },
    { "extraction_rate_drop", "rows come slower than in the moving average, by", " %", 100 },
    { "extraction_rate_anomaly", "rows come at an unusual rate, with a score of", "", 1 },
    { "destination_away", NULL, NULL, 1 }, /* so does this one's */
    { "profile_drift", NULL, NULL, 1 }, /* its line comes with it */
};

struct watched {
    bool on;
    struct tg_alert alert;
    double threshold;
    int64_t starts_unix_s, ends_unix_s; /* when it fired last, and was resolved */
    char line[TG_ALERT_LINE];
    unsigned changes, told;   /* how often it changed; of these the service was told */
};

struct tg_alerts {
    struct tg_alerts_options options;
    char *webhook, *token, *job;
    char instance[64];
    bool manager;
    struct tg_http *http; /* NULL: there is no webhook */
    struct tg_queue *stop; /* nothing is ever in it: closed, it ends the thread's wait */
    pthread_t thread;
    bool running;

    struct tg_trend trend;
    double rows;       /* of the last look */
    int64_t looked_us; /* the end of the trend's last slot */
    uint32_t failures; /* posts in vain, in a row */
    int64_t post_us;   /* when the next one may be; of Alertmanager also: when it is due */

    pthread_mutex_t lock;
    struct watched row[N_ROWS];
};

/* ---- looking ---- */

/* Slots are as long as an interval, however late a look comes. Time in which the destination is
 * away has none. */
static void add_rows(struct tg_alerts *a, const struct tg_alerts_sample *s, int64_t now_us)
{
    int64_t slot_us = a->options.interval_ms * TG_MS_US, n = (now_us - a->looked_us) / slot_us;
    double count = n > 0 ? (s->rows - a->rows) / (double)n : 0;

    if (n <= 0)
        return;
    for (int64_t i = 0; !s->away[0] && i < TG_MIN(n, (int64_t)TG_TREND_SLOTS); i++)
        tg_trend_add(&a->trend, count);
    a->looked_us += n * slot_us;
    a->rows = s->rows;
}

static double value_of(const struct tg_alerts *a, enum row i, const struct tg_alerts_sample *s)
{
    bool firing = a->row[i].alert.state == TG_ALERT_FIRING;

    switch (i) {
    case ERROR_RATE:
        return s->attempts >= (firing ? 1 : ATTEMPTS_LEAST) ? s->error_rate : NAN;
    case RATE_DROP:
        return s->caught_up || s->away[0] ? NAN : tg_trend_drop(&a->trend, firing);
    case ANOMALY:
        return s->caught_up || s->away[0] ? NAN : fabs(tg_trend_score(&a->trend));
    case AWAY:
        return s->away[0] ? s->away_s : NAN;
    default:
        return NAN;
    }
}

/* After its alert has changed. */
static void note_change(struct watched *w, enum row i, const struct tg_alerts_sample *s)
{
    const char *held = s->held && (i == RATE_DROP || i == ANOMALY)
                           ? "; the destination is behind, and holds it up" : "";
    int64_t now = tg_clock_unix_us() / TG_SECOND_US;
    bool fires = w->alert.state == TG_ALERT_FIRING;

    if (fires && i == AWAY) {
        w->starts_unix_s = now;
        snprintf(w->line, sizeof w->line, "%s: %.200s", about[i].name, s->away);
    } else if (fires) {
        w->starts_unix_s = now;
        snprintf(w->line, sizeof w->line, "%s: %s %.3g%s, more than %.3g%s", about[i].name,
                 about[i].what, w->alert.value * about[i].scale, about[i].unit,
                 w->threshold * about[i].scale, held);
    } else {
        w->ends_unix_s = now;
    }
    w->changes++;
}

/* Looks at all, or ends all. */
static void look(struct tg_alerts *a, bool end)
{
    struct tg_alerts_sample s = { 0 };
    int64_t now_us = tg_clock_mono_us();
    bool changed[N_ROWS] = { 0 };

    a->options.look(a->options.ctx, &s);
    add_rows(a, &s, now_us);
    pthread_mutex_lock(&a->lock);
    for (enum row i = 0; i < N_LOOKED; i++) {
        struct watched *w = &a->row[i];

        if (!w->on)
            continue;
        changed[i] = end ? tg_alert_end(&w->alert, now_us)
                         : tg_alert_look(&w->alert, value_of(a, i, &s), now_us);
        if (changed[i])
            note_change(w, i, &s);
    }
    pthread_mutex_unlock(&a->lock);
    for (enum row i = 0; i < N_LOOKED; i++) /* only this thread writes to them */
        if (changed[i])
            a->options.changed(a->options.ctx, about[i].name,
                               a->row[i].alert.state == TG_ALERT_FIRING, a->row[i].line);
}

/* ---- telling ---- */

/* Writes what is to be posted now. @param changes  how often each has changed by then
 *  @return how many are told of */
static size_t gather(struct tg_alerts *a, bool again, unsigned changes[N_ROWS], struct tg_buf *body)
{
    const struct tg_alert_source source = { a->job, a->instance };
    struct tg_alert_told told[N_ROWS];
    size_t n = 0;

    pthread_mutex_lock(&a->lock);
    for (enum row i = 0; i < N_ROWS; i++) {
        const struct watched *w = &a->row[i];
        bool fires = w->on && w->alert.state == TG_ALERT_FIRING;

        changes[i] = w->changes;
        if (w->changes == w->told && !(again && fires))
            continue;
        told[n++] = (struct tg_alert_told){ .name = about[i].name, .summary = w->line,
                                            .value = w->alert.value, .threshold = w->threshold,
                                            .fires = fires, .starts_unix_s = w->starts_unix_s,
                                            .ends_unix_s = w->ends_unix_s };
    }
    if (n)
        tg_alert_put(body, a->manager, &source, told, n,
                     (tg_clock_unix_us() + OVER_US) / TG_SECOND_US);
    pthread_mutex_unlock(&a->lock);
    return n;
}

static tg_code send(struct tg_alerts *a, const struct tg_buf *body, struct tg_error *err)
{
    const char *header[] = { "content-type: application/json", NULL, NULL };
    struct tg_buf answer, bearer;
    char where[TG_URL_SHOWN];
    int status = 0;
    tg_code code;

    tg_buf_init(&answer, ANSWER_MAX);
    tg_buf_init(&bearer, ANSWER_MAX);
    if (a->token) {
        tg_buf_printf(&bearer, "authorization: Bearer %s", a->token);
        header[1] = tg_buf_cstr(&bearer);
    }
    code = tg_http_send(a->http,
                        &(struct tg_http_request){ .url = a->webhook, .header = header,
                                                   .body = body->data, .len = body->len,
                                                   .timeout_ms = POST_MS },
                        &status, &answer, err);
    if (code == TG_OK && (status < 200 || status > 299))
        code = tg_fail(err, TG_NET, "%s: status %d", tg_url_shown(a->webhook, where), status);
    tg_buf_wipe(&bearer);
    tg_buf_done(&answer);
    return code;
}

/* After a post, that it may be made again or not before some time. */
static void set_pause(struct tg_alerts *a, bool well)
{
    static const struct tg_backoff backoff = { .base_us = TG_SECOND_US, .cap_us = AGAIN_US,
                                               .multiplier_milli = 2000, .jitter = true };
    struct tg_random random = tg_random_system();

    a->failures = well ? 0 : a->failures + 1;
    a->post_us = tg_clock_mono_us() +
                 (well ? AGAIN_US : tg_backoff_wait(&backoff, a->failures - 1,
                                                    tg_random_u64(&random)));
}

/* Posts what there is to tell. @param hurry  without waiting for the end of a pause
 *  @return whether nothing is left to tell */
static bool tell(struct tg_alerts *a, bool hurry)
{
    bool due = hurry || tg_clock_mono_us() >= a->post_us;
    unsigned changes[N_ROWS];
    struct tg_error err;
    struct tg_buf body;
    tg_code code;

    if (!a->http || (a->failures && !due))
        return true;
    tg_buf_init(&body, ANSWER_MAX);
    if (!gather(a, a->manager && due, changes, &body)) {
        tg_buf_done(&body);
        return true;
    }
    code = body.failed ? tg_fail(&err, TG_NOMEM, "no memory for alerts") : send(a, &body, &err);
    tg_buf_done(&body);
    pthread_mutex_lock(&a->lock);
    for (enum row i = 0; code == TG_OK && i < N_ROWS; i++)
        a->row[i].told = changes[i];
    pthread_mutex_unlock(&a->lock);
    set_pause(a, code == TG_OK);
    a->options.sent(a->options.ctx, code == TG_OK ? NULL : &err);
    return code == TG_OK;
}

static bool has_found(struct tg_alerts *a)
{
    bool found;

    pthread_mutex_lock(&a->lock);
    found = a->row[DRIFT].changes != a->row[DRIFT].told;
    pthread_mutex_unlock(&a->lock);
    return found;
}

void tg_alerts_find(struct tg_alerts *a, double score, double limit, const char *line)
{
    struct watched *w = &a->row[DRIFT];
    int64_t now_us = tg_clock_mono_us();
    bool found;

    pthread_mutex_lock(&a->lock);
    tg_alert_init(&w->alert, &(struct tg_alert_options){ .raise = limit, .clear = limit }, now_us);
    w->on = tg_alert_look(&w->alert, score, now_us);
    w->threshold = limit;
    w->starts_unix_s = tg_clock_unix_us() / TG_SECOND_US;
    snprintf(w->line, sizeof w->line, "%s", line);
    found = w->on;
    w->changes += found;
    pthread_mutex_unlock(&a->lock);
    if (found)
        a->options.changed(a->options.ctx, about[DRIFT].name, true, line);
}

static void *run(void *arg)
{
    struct tg_alerts *a = arg;
    uint64_t bytes;
    void *none;

    while (tg_queue_pop(a->stop, a->options.interval_ms * TG_MS_US, &none, &bytes) != TG_END) {
        look(a, false);
        tell(a, false);
    }
    if (has_found(a)) /* before what else fires is resolved */
        tell(a, true);
    look(a, true);
    for (int i = 0; i < LAST_TRIES && !tell(a, true); i++)
        tg_sleep_us(200 * TG_MS_US << i);
    return NULL;
}

/* ---- the outside ---- */

static tg_code check_webhook(struct tg_alerts *a, struct tg_error *err)
{
    if (!tg_url_is_http(a->webhook)) {
        tg_fail(err, TG_USAGE, "alerts cannot be posted to that address");
        return tg_hint(err, "write it as https://HOST/PATH, or that of Alertmanager as "
                            "http://HOST:9093/api/v2/alerts");
    }
    a->manager = tg_alert_is_manager(a->webhook);
    return tg_http_new(NULL, &a->http, err);
}

static void set_thresholds(struct tg_alerts *a, int64_t now_us)
{
    const struct tg_alerts_options *o = &a->options;
    const double threshold[N_ROWS] = { (double)o->error_rate / 1e6, (double)o->rate_drop / 1e6,
                                       (double)o->anomaly };

    for (enum row i = 0; i < N_ROWS; i++) {
        struct watched *w = &a->row[i];

        w->on = threshold[i] > 0 || i == AWAY;
        w->threshold = threshold[i];
        tg_alert_init(&w->alert, &(struct tg_alert_options){ .raise = threshold[i],
                                                             .clear = CLEAR_SHARE * threshold[i],
                                                             .hold_us = o->hold_ms * TG_MS_US },
                      now_us);
    }
}

static bool copy_texts(struct tg_alerts *a)
{
    const struct tg_alerts_options *o = &a->options;

    a->job = strdup(o->job);
    a->webhook = o->webhook ? strdup(o->webhook) : NULL;
    a->token = o->token ? strdup(o->token) : NULL;
    if (gethostname(a->instance, sizeof a->instance) != 0)
        snprintf(a->instance, sizeof a->instance, "unknown");
    a->instance[sizeof a->instance - 1] = 0;
    if (!a->job || !a->webhook != !o->webhook || !a->token != !o->token)
        return false;
    a->options.job = a->options.webhook = a->options.token = NULL; /* were lent for this call */
    return true;
}

tg_code tg_alerts_new(const struct tg_alerts_options *options, struct tg_alerts **ret,
                      struct tg_error *err)
{
    struct tg_alerts *a = calloc(1, sizeof *a);
    tg_code code = TG_OK;

    assert(options->interval_ms > 0);
    if (!a)
        return tg_fail(err, TG_NOMEM, "no memory for alerts");
    a->options = *options;
    pthread_mutex_init(&a->lock, NULL);
    a->looked_us = tg_clock_mono_us();
    set_thresholds(a, a->looked_us);
    a->stop = tg_queue_new(1, 1);
    if (!copy_texts(a) || !a->stop)
        code = tg_fail(err, TG_NOMEM, "no memory for alerts");
    if (code == TG_OK && a->webhook)
        code = check_webhook(a, err);
    if (code == TG_OK)
        code = tg_thread_start(&a->thread, "tg-alerts", run, a, err);
    a->running = code == TG_OK;
    if (code != TG_OK) {
        tg_alerts_free(a);
        return code;
    }
    *ret = a;
    return TG_OK;
}

void tg_alerts_free(struct tg_alerts *a)
{
    if (!a)
        return;
    if (a->running) {
        tg_queue_close(a->stop);
        pthread_join(a->thread, NULL);
    }
    tg_http_free(a->http);
    if (a->stop)
        tg_queue_free(a->stop);
    tg_text_wipe(a->webhook);
    tg_text_wipe(a->token);
    free(a->job);
    pthread_mutex_destroy(&a->lock);
    free(a);
}

void tg_alerts_put(struct tg_alerts *a, struct tg_json *j)
{
    tg_json_array(j);
    if (a)
        pthread_mutex_lock(&a->lock);
    for (enum row i = 0; a && i < N_ROWS; i++) {
        const struct watched *w = &a->row[i];
        bool fires = w->alert.state == TG_ALERT_FIRING;

        if (!w->on)
            continue;
        tg_json_object(j);
        tg_json_key(j, "name"), tg_json_cstr(j, about[i].name);
        tg_json_key(j, "state"), tg_json_cstr(j, fires ? "firing" : "resolved");
        tg_json_key(j, "value");
        tg_json_double(j, w->alert.value); /* null: nothing can be said */
        tg_json_key(j, "threshold"), tg_json_double(j, w->threshold);
        tg_json_key(j, "since_s");
        tg_json_double(j, (double)(tg_clock_mono_us() - w->alert.since_us) / 1e6);
        tg_json_key(j, "line"), tg_json_cstr(j, fires ? w->line : NULL);
        tg_json_end_object(j);
    }
    if (a)
        pthread_mutex_unlock(&a->lock);
    tg_json_end_array(j);
}

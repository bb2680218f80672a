/* SPDX-License-Identifier: MIT */
/*
 * notices.c - see notices.h
 *
 * Threads: `wait` and `http` are the thread's; two queues join it with the others
 */
#include "observe/notices.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/text.h"
#include "client/http.h"
#include "crypto/random.h"
#include "flow/backoff.h"
#include "os/loop.h"
#include "os/queue.h"

enum { WAIT_MAX = 1000, POST_MS = 5000, TRIES = 8, END_MS = 10000, ANSWER_MAX = 64 << 10 };

struct notice {
    char about[TG_NOTICE_ABOUT];
    char *url;            /* may be as secret as a password */
    struct tg_error err;  /* of the last try */
    uint32_t tries;
    int64_t next_us;      /* when it may be tried again */
    size_t len;
    char body[];
};

struct tg_notices {
    struct tg_queue *in, *failed; /* of struct notice */
    struct tg_http *http;
    struct notice *wait[WAIT_MAX]; /* in the order in which they came */
    size_t n;
    pthread_t thread;
    bool running;
    atomic_bool ending;
};

static void drop(struct notice *notice)
{
    tg_text_wipe(notice->url);
    free(notice);
}

/* Takes it out of those that wait; what it failed with is told, if anybody asks in time. */
static void remove_at(struct tg_notices *n, size_t i, bool failed)
{
    struct notice *notice = n->wait[i];

    memmove(&n->wait[i], &n->wait[i + 1], (--n->n - i) * sizeof *n->wait);
    if (!failed || tg_queue_try_push(n->failed, notice, 1) != TG_OK)
        drop(notice);
}

static void add(struct tg_notices *n, struct notice *notice)
{
    if (n->n == WAIT_MAX) {
        tg_fail(&n->wait[0]->err, TG_LIMIT, "more than %d notices wait: the oldest is given up",
                WAIT_MAX);
        remove_at(n, 0, true);
    }
    n->wait[n->n++] = notice;
}

static bool is_passing(int status)
{
    return status == 408 || status == 425 || status == 429 || status >= 500;
}

/* @return whether it is over with it; err.code TG_OK: it was taken */
static bool send(struct tg_notices *n, struct notice *notice, int64_t timeout_ms)
{
    static const char *const header[] = { "content-type: application/json", NULL };
    struct tg_buf answer;
    char where[TG_URL_SHOWN];
    int status = 0;
    tg_code code;

    tg_buf_init(&answer, ANSWER_MAX);
    code = tg_http_send(n->http,
                        &(struct tg_http_request){ .url = notice->url, .header = header,
                                                   .body = notice->body, .len = notice->len,
                                                   .timeout_ms = timeout_ms },
                        &status, &answer, &notice->err);
    tg_buf_done(&answer);
    notice->tries++;
    if (code == TG_LIMIT || (code == TG_OK && status >= 200 && status <= 299)) {
        notice->err.code = TG_OK; /* a long answer is one, too */
        return true;
    }
    if (code == TG_OK)
        tg_fail(&notice->err, TG_NET, "%s: status %d", tg_url_shown(notice->url, where), status);
    return (code == TG_OK && !is_passing(status)) || notice->tries == TRIES;
}

/* Only the first notice to an address is looked at. */
static bool is_first(const struct tg_notices *n, size_t i)
{
    for (size_t k = 0; k < i; k++)
        if (strcmp(n->wait[k]->url, n->wait[i]->url) == 0)
            return false;
    return true;
}

/* Sends what is due, one round. @return when to look again */
static int64_t send_due(struct tg_notices *n)
{
    static const struct tg_backoff backoff = { .base_us = TG_SECOND_US, .cap_us = 60 * TG_SECOND_US,
                                               .multiplier_milli = 2000, .jitter = true };
    struct tg_random random = tg_random_system();
    int64_t next_us = INT64_MAX;

    for (size_t i = 0; i < n->n && !n->ending;) {
        struct notice *notice = n->wait[i];

        if (!is_first(n, i)) {
            i++;
            continue;
        }
        if (tg_clock_mono_us() >= notice->next_us) {
            if (send(n, notice, POST_MS)) {
                remove_at(n, i, notice->err.code != TG_OK);
                next_us = 0; /* the one behind it may be sent now */
                continue;
            }
            notice->next_us = tg_clock_mono_us() + tg_backoff_wait(&backoff, notice->tries - 1,
                                                                   tg_random_u64(&random));
        }
        next_us = TG_MIN(next_us, notice->next_us);
        i++;
    }
    return next_us;
}

/* Takes in all that has come. @return false at the end */
static bool take_in(struct tg_notices *n, int64_t wait_us)
{
    uint64_t bytes;
    void *item;
    tg_code code;

    while ((code = tg_queue_pop(n->in, wait_us, &item, &bytes)) == TG_OK) {
        add(n, item);
        wait_us = 0;
    }
    return code != TG_END;
}

static void send_last(struct tg_notices *n)
{
    int64_t end_us = tg_clock_mono_us() + END_MS * TG_MS_US;

    while (n->n) {
        struct notice *notice = n->wait[0];
        int64_t left_ms = (end_us - tg_clock_mono_us()) / TG_MS_US;

        if (left_ms <= 0 && !notice->tries)
            tg_fail(&notice->err, TG_TIMEOUT, "there was no time left for a notice");
        if (left_ms > 0)
            send(n, notice, TG_MIN(left_ms, (int64_t)POST_MS));
        remove_at(n, 0, notice->err.code != TG_OK);
    }
}

static void *run(void *arg)
{
    struct tg_notices *n = arg;
    int64_t wait_us = INT64_MAX;

    while (take_in(n, wait_us)) {
        int64_t next_us = send_due(n);

        wait_us = next_us == INT64_MAX ? next_us : TG_MAX(next_us - tg_clock_mono_us(), 0);
    }
    send_last(n);
    return NULL;
}

tg_code tg_notices_new(struct tg_notices **ret, struct tg_error *err)
{
    struct tg_notices *n = calloc(1, sizeof *n);
    tg_code code;

    if (!n)
        return tg_fail(err, TG_NOMEM, "no memory for notices");
    n->in = tg_queue_new(WAIT_MAX, UINT64_MAX);
    n->failed = tg_queue_new(WAIT_MAX, UINT64_MAX);
    code = n->in && n->failed ? tg_http_new(NULL, &n->http, err)
                              : tg_fail(err, TG_NOMEM, "no memory for notices");
    if (code == TG_OK)
        code = tg_thread_start(&n->thread, "tg-notices", run, n, err);
    n->running = code == TG_OK;
    if (code == TG_OK)
        *ret = n;
    else
        tg_notices_free(n);
    return code;
}

tg_code tg_notices_post(struct tg_notices *n, const char *about, const char *url, const void *body,
                        size_t len, struct tg_error *err)
{
    struct notice *notice = malloc(sizeof *notice + len);

    if (!notice)
        return tg_fail(err, TG_NOMEM, "no memory for a notice");
    *notice = (struct notice){ .url = strdup(url), .len = len };
    memcpy(notice->body, body, len);
    snprintf(notice->about, sizeof notice->about, "%s", about);
    if (notice->url && tg_queue_try_push(n->in, notice, 1) == TG_OK)
        return TG_OK;
    drop(notice);
    return tg_fail(err, TG_LIMIT, "a notice finds no room: too many wait");
}

bool tg_notices_failed(struct tg_notices *n, char about[TG_NOTICE_ABOUT], struct tg_error *ret)
{
    struct notice *notice;
    uint64_t bytes;
    void *item;

    if (tg_queue_pop(n->failed, 0, &item, &bytes) != TG_OK)
        return false;
    notice = item;
    memcpy(about, notice->about, TG_NOTICE_ABOUT);
    *ret = notice->err;
    drop(notice);
    return true;
}

void tg_notices_end(struct tg_notices *n)
{
    if (!n->running)
        return;
    n->ending = true;
    tg_queue_close(n->in);
    pthread_join(n->thread, NULL);
    n->running = false;
}

void tg_notices_free(struct tg_notices *n)
{
    char about[TG_NOTICE_ABOUT];
    struct tg_error err;

    if (!n)
        return;
    if (n->failed)
        while (tg_notices_failed(n, about, &err))
            ;
    tg_http_free(n->http);
    if (n->in)
        tg_queue_free(n->in);
    if (n->failed)
        tg_queue_free(n->failed);
    free(n);
}

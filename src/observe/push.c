/* SPDX-License-Identifier: MIT */
/*
 * push.c - see push.h
 */
#include "observe/push.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/text.h"
#include "client/http.h"
#include "os/queue.h"

enum { PUSH_MS = 10000, TEXT_MAX = 16 << 20, ANSWER_MAX = 64 << 10, URL_MAX = 1024 };

struct tg_push {
    struct tg_push_options options;
    struct tg_http *http;
    char url[URL_MAX];
    struct tg_queue *stop; /* nothing is ever in it: closed, it ends the thread's wait */
    pthread_t thread;
    bool running;
};

static tg_code send(struct tg_push *p, struct tg_error *err)
{
    static const char *const header[] = { "content-type: text/plain; version=0.0.4", NULL };
    char where[TG_URL_SHOWN];
    struct tg_buf text, answer;
    int status = 0;
    tg_code code;

    tg_buf_init(&text, TEXT_MAX);
    tg_buf_init(&answer, ANSWER_MAX);
    p->options.fill(p->options.ctx, &text);
    code = text.failed ? tg_fail(err, TG_NOMEM, "no memory for metrics") : TG_OK;
    if (code == TG_OK)
        code = tg_http_send(p->http,
                            &(struct tg_http_request){ .method = "PUT",
                                                       .url = p->url,
                                                       .header = header,
                                                       .body = text.data,
                                                       .len = text.len,
                                                       .timeout_ms = PUSH_MS },
                            &status, &answer, err);
    if (code == TG_OK && (status < 200 || status > 299))
        code = tg_fail(err, TG_NET, "%s: status %d: %.120s", tg_url_shown(p->url, where), status,
                       tg_buf_cstr(&answer));
    tg_buf_done(&text);
    tg_buf_done(&answer);
    return code;
}

static void push(struct tg_push *p)
{
    struct tg_error err;
    tg_code code = send(p, &err);

    p->options.done(p->options.ctx, code == TG_OK ? NULL : &err);
}

static void *run(void *arg)
{
    struct tg_push *p = arg;
    uint64_t bytes;
    void *none;

    while (tg_queue_pop(p->stop, p->options.interval_ms * TG_MS_US, &none, &bytes) != TG_END)
        push(p);
    push(p); /* how it ended */
    return NULL;
}

/* The gateway's name for this machine: letters, digits, dots and dashes. */
static void name_host(char out[64])
{
    if (gethostname(out, 64) != 0)
        snprintf(out, 64, "unknown");
    out[63] = 0;
    for (char *c = out; *c; c++)
        if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-", *c))
            *c = '-';
}

static tg_code name_url(struct tg_push *p, struct tg_error *err)
{
    const char *given = p->options.url;
    size_t len = strlen(given);
    char host[64];
    int n;

    if (strncmp(given, "http://", 7) != 0 && strncmp(given, "https://", 8) != 0) {
        tg_fail(err, TG_USAGE, "metrics cannot be pushed to '%.80s'", given);
        return tg_hint(err, "name a Pushgateway, such as http://127.0.0.1:9091");
    }
    while (len && given[len - 1] == '/')
        len--;
    name_host(host);
    if (strstr(given, "/metrics/job/"))
        n = snprintf(p->url, sizeof p->url, "%s", given);
    else
        n = snprintf(p->url, sizeof p->url, "%.*s/metrics/job/%s/instance/%s",
                     (int)TG_MIN(len, (size_t)URL_MAX), given, p->options.job, host);
    return n < URL_MAX ? TG_OK : tg_fail(err, TG_USAGE, "the URL of the Pushgateway is too long");
}

tg_code tg_push_new(const struct tg_push_options *options, struct tg_push **ret,
                    struct tg_error *err)
{
    struct tg_push *p = calloc(1, sizeof *p);
    tg_code code;

    if (!p)
        return tg_fail(err, TG_NOMEM, "no memory to push metrics");
    p->options = *options;
    code = name_url(p, err);
    p->options.url = p->options.job = NULL; /* were lent for this call */
    p->stop = tg_queue_new(1, 1);
    if (code == TG_OK && !p->stop)
        code = tg_fail(err, TG_NOMEM, "no memory to push metrics");
    if (code == TG_OK)
        code = tg_http_new(NULL, &p->http, err);
    if (code == TG_OK)
        code = tg_thread_start(&p->thread, "tg-push", run, p, err);
    p->running = code == TG_OK;
    if (code != TG_OK) {
        tg_push_free(p);
        return code;
    }
    *ret = p;
    return TG_OK;
}

void tg_push_free(struct tg_push *p)
{
    if (!p)
        return;
    if (p->running) {
        tg_queue_close(p->stop);
        pthread_join(p->thread, NULL);
    }
    tg_http_free(p->http);
    if (p->stop)
        tg_queue_free(p->stop);
    free(p);
}

/* SPDX-License-Identifier: MIT */
/*
 * spans.c - see spans.h
 *
 * Threads: the lock guards `filling`; a chunk belongs to the thread once it is out of the queue
 */
#include "observe/spans.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/text.h"
#include "client/http.h"
#include "os/loop.h"
#include "os/queue.h"

enum {
    CHUNKS_MAX = 16,
    CHUNK_SPANS = 512,
    CHUNK_BYTES = 512 << 10,
    ANSWER_MAX = 64 << 10,
    URL_MAX = 1024,
    REQUEST_MS = 4000,
    LAST_MS = 3000,
};
#define FLUSH_US (2 * TG_SECOND_US)
#define PAUSE_US TG_SECOND_US
#define PAUSE_MAX_US (30 * TG_SECOND_US)

const char *const tg_spans_end_name[] = { "sent", "dropped", "refused" };

struct chunk {
    struct tg_buf text;
    size_t n;
};

struct tg_spans {
    struct tg_spans_options options;
    enum tg_span_form form;
    struct tg_http *http;
    char url[URL_MAX];
    char host[64];
    const char *header[TG_SPANS_HEADERS + 2];
    struct tg_queue *full; /* chunks */
    struct tg_queue *stop; /* nothing is ever in it: closed, it ends the thread's pauses */
    pthread_t thread;
    bool running;
    int64_t last_us; /* the end has come: nothing is sent behind that; 0: it has not */

    pthread_mutex_t lock;
    struct chunk *filling; /* NULL: nothing was added */
};

static void free_chunk(struct chunk *c)
{
    if (c)
        tg_buf_done(&c->text);
    free(c);
}

static void tell(struct tg_spans *s, enum tg_spans_end end, size_t n, const struct tg_error *err)
{
    s->options.done(s->options.ctx, end, n, err);
}

/* ---- who adds ---- */

static struct chunk *new_chunk(void)
{
    struct chunk *c = calloc(1, sizeof *c);

    if (c)
        tg_buf_init(&c->text, CHUNK_BYTES);
    return c;
}

/* Under the lock. @return whether the span is in the chunk; if not, that is as it was */
static bool put(const struct tg_spans *s, struct chunk *c, const struct tg_span *span)
{
    size_t before = c->text.len;

    if (c->n)
        tg_buf_byte(&c->text, ',');
    tg_span_put(&c->text, s->form, span, &s->options.from);
    if (c->text.failed) {
        c->text.failed = false;
        c->text.len = before;
        return false;
    }
    c->n++;
    return true;
}

void tg_spans_add(struct tg_spans *s, const struct tg_span *span)
{
    bool added;

    pthread_mutex_lock(&s->lock);
    if (!s->filling)
        s->filling = new_chunk();
    added = s->filling && s->filling->n < CHUNK_SPANS && put(s, s->filling, span);
    if (!added && s->filling &&
        tg_queue_try_push(s->full, s->filling, s->filling->text.len) == TG_OK) {
        s->filling = new_chunk();
        added = s->filling && put(s, s->filling, span);
    }
    pthread_mutex_unlock(&s->lock);
    if (!added)
        tell(s, TG_SPANS_DROPPED, 1, NULL);
}

/* ---- the thread ---- */

static bool is_over(struct tg_spans *s)
{
    void *none;
    uint64_t bytes;

    return tg_queue_pop(s->stop, 0, &none, &bytes) == TG_END;
}

/* @return milliseconds for the next request; 0: none any more */
static int64_t patience(struct tg_spans *s)
{
    int64_t now_us = tg_clock_mono_us();

    if (!s->last_us && is_over(s))
        s->last_us = now_us + LAST_MS * TG_MS_US;
    if (!s->last_us)
        return REQUEST_MS;
    return TG_MAX((s->last_us - now_us) / TG_MS_US, INT64_C(0));
}

/* @return TG_OK; TG_NET and the like: it may be tried again; TG_BAD_REQUEST: it may not */
static tg_code send(struct tg_spans *s, const struct tg_buf *body, int64_t timeout_ms,
                    struct tg_error *err)
{
    char where[TG_URL_SHOWN];
    struct tg_buf answer;
    int status = 0;
    tg_code code;

    tg_buf_init(&answer, ANSWER_MAX);
    code = tg_http_send(s->http,
                        &(struct tg_http_request){ .url = s->url,
                                                   .header = s->header,
                                                   .body = body->data,
                                                   .len = body->len,
                                                   .timeout_ms = timeout_ms },
                        &status, &answer, err);
    if (code == TG_OK && (status < 200 || status > 299)) {
        bool again = status == 429 || (status >= 502 && status <= 504);

        code = tg_fail(err, again ? TG_NET : TG_BAD_REQUEST, "%s: status %d: %.120s",
                       tg_url_shown(s->url, where), status, tg_buf_cstr(&answer));
    }
    tg_buf_done(&answer);
    return code;
}

/* Until the collector has it, refuses it, or the end has come. */
static void bring(struct tg_spans *s, struct chunk *c)
{
    int64_t pause_us = PAUSE_US, ms;
    struct tg_error err;
    struct tg_buf body;
    tg_code code = TG_NOMEM;
    uint64_t bytes;
    void *none;

    tg_buf_init(&body, CHUNK_BYTES + (64 << 10));
    tg_span_wrap(&body, s->form, &c->text, &s->options.from);
    tg_fail(&err, TG_NOMEM, "no memory for spans");
    while (!body.failed && (ms = patience(s)) > 0) {
        code = send(s, &body, ms, &err);
        if (code == TG_OK || code == TG_BAD_REQUEST || s->last_us)
            break;
        tell(s, TG_SPANS_DROPPED, 0, &err);
        tg_queue_pop(s->stop, pause_us, &none, &bytes);
        pause_us = TG_MIN(2 * pause_us, PAUSE_MAX_US);
    }
    if (code == TG_OK)
        tell(s, TG_SPANS_SENT, c->n, NULL);
    else
        tell(s, code == TG_BAD_REQUEST ? TG_SPANS_REFUSED : TG_SPANS_DROPPED, c->n, &err);
    if (code != TG_OK && s->last_us)
        s->last_us = 1; /* what is left would fare as this did */
    tg_buf_done(&body);
    free_chunk(c);
}

static struct chunk *take_filling(struct tg_spans *s)
{
    struct chunk *c;

    pthread_mutex_lock(&s->lock);
    c = s->filling;
    s->filling = NULL;
    pthread_mutex_unlock(&s->lock);
    return c;
}

static void *run(void *arg)
{
    struct tg_spans *s = arg;
    tg_code code;

    do {
        struct chunk *c;
        uint64_t bytes;
        void *popped;

        code = tg_queue_pop(s->full, FLUSH_US, &popped, &bytes);
        c = code == TG_OK ? popped : take_filling(s);
        if (c)
            bring(s, c);
    } while (code != TG_END);
    return NULL;
}

/* ---- life ---- */

static tg_code read_target(struct tg_spans *s, const char *to, struct tg_error *err)
{
    static const struct {
        const char *name, *path;
    } form[] = { { "otlp:", "/v1/traces" }, { "zipkin:", "/api/v2/spans" } };
    const char *url = NULL, *host, *path;

    for (size_t i = 0; i < TG_COUNT(form); i++) {
        if (strncmp(to, form[i].name, strlen(form[i].name)) != 0)
            continue;
        s->form = (enum tg_span_form)i;
        url = to + strlen(form[i].name);
    }
    host = url ? strstr(url, "://") : NULL;
    if (!host || !host[3] ||
        (strncmp(url, "http://", 7) != 0 && strncmp(url, "https://", 8) != 0)) {
        tg_fail(err, TG_USAGE, "traces cannot be brought to '%.40s'", to);
        return tg_hint(err, "name a collector, such as otlp:http://127.0.0.1:4318/v1/traces or "
                            "zipkin:http://127.0.0.1:9411/api/v2/spans");
    }
    path = strchr(host + 3, '/');
    if (path && path[1])
        path = NULL;
    else
        path = form[s->form].path + (path != NULL);
    if (snprintf(s->url, sizeof s->url, "%s%s", url, path ? path : "") >= (int)sizeof s->url)
        return tg_fail(err, TG_USAGE, "the URL of the collector of traces is too long");
    return TG_OK;
}

static tg_code read_headers(struct tg_spans *s, const char *const *header, struct tg_error *err)
{
    s->header[0] = "content-type: application/json";
    for (size_t i = 0; header && header[i] && i < TG_SPANS_HEADERS; i++) {
        if (!strchr(header[i], ':') || strpbrk(header[i], "\r\n")) {
            tg_fail(err, TG_USAGE, "a header for the collector of traces is 'NAME: VALUE'");
            return tg_hint(err, "such as 'authorization: Bearer TOKEN'");
        }
        s->header[i + 1] = header[i];
    }
    return TG_OK;
}

tg_code tg_spans_new(const struct tg_spans_options *options, struct tg_spans **ret,
                     struct tg_error *err)
{
    struct tg_spans *s = calloc(1, sizeof *s);
    tg_code code;

    if (!s)
        return tg_fail(err, TG_NOMEM, "no memory for traces");
    s->options = *options;
    pthread_mutex_init(&s->lock, NULL);
    if (gethostname(s->host, sizeof s->host - 1) != 0)
        snprintf(s->host, sizeof s->host, "unknown");
    code = read_target(s, options->to, err);
    if (code == TG_OK)
        code = read_headers(s, options->header, err);
    s->options.to = NULL; /* was lent for this call */
    s->options.from.host = s->host;
    s->full = tg_queue_new(CHUNKS_MAX, UINT64_MAX);
    s->stop = tg_queue_new(1, 1);
    if (code == TG_OK && (!s->full || !s->stop))
        code = tg_fail(err, TG_NOMEM, "no memory for traces");
    if (code == TG_OK)
        code = tg_http_new(NULL, &s->http, err);
    if (code == TG_OK)
        code = tg_thread_start(&s->thread, "tg-traces", run, s, err);
    s->running = code == TG_OK;
    if (code != TG_OK) {
        tg_spans_free(s);
        return code;
    }
    *ret = s;
    return TG_OK;
}

void tg_spans_free(struct tg_spans *s)
{
    if (!s)
        return;
    if (s->running) {
        tg_queue_close(s->stop);
        tg_queue_close(s->full);
        pthread_join(s->thread, NULL);
    }
    free_chunk(s->filling);
    tg_http_free(s->http);
    if (s->full)
        tg_queue_free(s->full);
    if (s->stop)
        tg_queue_free(s->stop);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

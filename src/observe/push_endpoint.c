/* SPDX-License-Identifier: MIT */
/*
 * push_endpoint.c - all metrics for a Pushgateway, or for Prometheus itself by remote write
 *
 *   URL                      what is sent
 *   has "/metrics/job/"      PUT to it, in the text form
 *   ends with /api/v1/write  POST to it, remote write
 *   others                   PUT to URL/metrics/job/JOB/instance/HOST; if that is not there (404 or
 *                            405), POST to URL/api/v1/write: what takes it is remembered
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/text.h"
#include "client/http.h"
#include "observe/push_impl.h"
#include "observe/remote.h"
#include "os/loop.h"

enum { ANSWER_MAX = 64 << 10, URL_MAX = 1024 };

struct endpoint {
    struct tg_http *http;
    char put[URL_MAX], post[URL_MAX]; /* "": it is not of that kind */
    char job[TG_METRIC_LABEL], instance[64];
};

/* ---- one request ---- */

/* @return TG_OK whatever the status; TG_NET with a message, too, if it is not 2xx */
static tg_code ask(struct endpoint *e, const struct tg_http_request *request, int *ret_status,
                   struct tg_error *err)
{
    char where[TG_URL_SHOWN];
    struct tg_buf answer;
    tg_code code;

    tg_buf_init(&answer, ANSWER_MAX);
    *ret_status = 0;
    code = tg_http_send(e->http, request, ret_status, &answer, err);
    if (code == TG_OK && (*ret_status < 200 || *ret_status > 299))
        code = tg_fail(err, TG_NET, "%s: status %d: %.120s", tg_url_shown(request->url, where),
                       *ret_status, tg_buf_cstr(&answer));
    tg_buf_done(&answer);
    return code;
}

static tg_code put_text(struct endpoint *e, const struct tg_push_options *o, int *ret_status,
                        struct tg_error *err)
{
    static const char *const header[] = { "content-type: text/plain; version=0.0.4", NULL };
    struct tg_buf text;
    tg_code code;

    tg_buf_init(&text, TG_PUSH_TEXT_MAX);
    o->fill(o->ctx, &text);
    if (text.failed)
        code = tg_fail(err, TG_NOMEM, "no memory for metrics");
    else
        code = ask(e, &(struct tg_http_request){ .method = "PUT", .url = e->put, .header = header,
                                                 .body = text.data, .len = text.len,
                                                 .timeout_ms = TG_PUSH_MS }, ret_status, err);
    tg_buf_done(&text);
    return code;
}

static tg_code write_remote(struct endpoint *e, const struct tg_push_options *o,
                            struct tg_error *err)
{
    struct tg_buf request, packed;
    struct tg_remote remote = { .job = e->job, .instance = e->instance, .out = &request,
                                .unix_ms = tg_clock_unix_us() / 1000 };
    int status;
    tg_code code;

    tg_buf_init(&request, TG_PUSH_TEXT_MAX);
    tg_buf_init(&packed, 2 * TG_PUSH_TEXT_MAX);
    o->read(o->ctx, TG_PUSH_READER_ALL, tg_remote_put, &remote);
    tg_remote_pack(&packed, &request);
    if (request.failed || packed.failed)
        code = tg_fail(err, TG_NOMEM, "no memory for metrics");
    else
        code = ask(e, &(struct tg_http_request){ .url = e->post, .header = tg_remote_header,
                                                 .body = packed.data, .len = packed.len,
                                                 .timeout_ms = TG_PUSH_MS }, &status, err);
    tg_buf_done(&request);
    tg_buf_done(&packed);
    return code;
}

static tg_code endpoint_send(void *self, const struct tg_push_options *o, struct tg_error *err)
{
    struct endpoint *e = self;
    int status;
    tg_code code;

    if (!e->put[0])
        return write_remote(e, o, err);
    code = put_text(e, o, &status, err);
    if (!e->post[0] || (code != TG_OK && status != 404 && status != 405))
        return code;
    if (code == TG_OK) {
        e->post[0] = 0;
        return code;
    }
    code = write_remote(e, o, err);
    if (code == TG_OK)
        e->put[0] = 0;
    return code;
}

/* ---- opening ---- */

/* The name of this machine in a path: letters, digits, dots and dashes. */
static void name_host(char out[64])
{
    if (gethostname(out, 64) != 0)
        snprintf(out, 64, "unknown");
    out[63] = 0;
    for (char *c = out; *c; c++)
        if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-", *c))
            *c = '-';
}

static tg_code name_urls(struct endpoint *e, const char *given, struct tg_error *err)
{
    size_t len = strlen(given), path = strlen(TG_REMOTE_PATH);

    if (strncmp(given, "http://", 7) != 0 && strncmp(given, "https://", 8) != 0) {
        tg_fail(err, TG_USAGE, "metrics cannot be pushed to '%.80s'", given);
        return tg_hint(err, "name a Pushgateway, such as http://127.0.0.1:9091, or Prometheus, "
                            "such as http://127.0.0.1:9090/api/v1/write");
    }
    if (len + 2 * sizeof e->job > URL_MAX)
        return tg_fail(err, TG_USAGE, "the URL of the metrics-endpoint is too long");
    while (len && given[len - 1] == '/')
        len--;
    if (len > path && strncmp(given + len - path, TG_REMOTE_PATH, path) == 0) {
        snprintf(e->post, sizeof e->post, "%.*s", (int)len, given);
    } else if (strstr(given, "/metrics/job/")) {
        snprintf(e->put, sizeof e->put, "%s", given);
    } else {
        snprintf(e->put, sizeof e->put, "%.*s/metrics/job/%s/instance/%s", (int)len, given, e->job,
                 e->instance);
        snprintf(e->post, sizeof e->post, "%.*s" TG_REMOTE_PATH, (int)len, given);
    }
    return TG_OK;
}

static void endpoint_close(void *self)
{
    struct endpoint *e = self;

    tg_http_free(e->http);
    free(e);
}

static tg_code endpoint_open(const struct tg_push_options *o, void **ret, struct tg_error *err)
{
    struct endpoint *e = calloc(1, sizeof *e);
    tg_code code;

    if (!e)
        return tg_fail(err, TG_NOMEM, "no memory to push metrics");
    *ret = e;
    snprintf(e->job, sizeof e->job, "%s", o->job);
    name_host(e->instance);
    code = name_urls(e, o->where, err);
    return code == TG_OK ? tg_http_new(NULL, &e->http, err) : code;
}

const struct tg_push_type tg_push_endpoint = {
    .name = "endpoint",
    .open = endpoint_open,
    .send = endpoint_send,
    .close = endpoint_close,
};

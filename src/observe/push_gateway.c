/* SPDX-License-Identifier: MIT */
/*
 * push_gateway.c - metrics for a Pushgateway, in Prometheus' text form
 *
 * A URL with "/metrics/job/" in it is taken as it is.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/text.h"
#include "client/http.h"
#include "observe/push_impl.h"

enum { ANSWER_MAX = 64 << 10, URL_MAX = 1024 };

struct gateway {
    struct tg_http *http;
    char url[URL_MAX];
};

static tg_code gateway_send(void *self, const struct tg_push_options *o, struct tg_error *err)
{
    static const char *const header[] = { "content-type: text/plain; version=0.0.4", NULL };
    struct gateway *g = self;
    char where[TG_URL_SHOWN];
    struct tg_buf text, answer;
    int status = 0;
    tg_code code;

    tg_buf_init(&text, TG_PUSH_TEXT_MAX);
    tg_buf_init(&answer, ANSWER_MAX);
    o->fill(o->ctx, &text);
    code = text.failed ? tg_fail(err, TG_NOMEM, "no memory for metrics") : TG_OK;
    if (code == TG_OK)
        code = tg_http_send(g->http,
                            &(struct tg_http_request){ .method = "PUT",
                                                       .url = g->url,
                                                       .header = header,
                                                       .body = text.data,
                                                       .len = text.len,
                                                       .timeout_ms = TG_PUSH_MS },
                            &status, &answer, err);
    if (code == TG_OK && (status < 200 || status > 299))
        code = tg_fail(err, TG_NET, "%s: status %d: %.120s", tg_url_shown(g->url, where), status,
                       tg_buf_cstr(&answer));
    tg_buf_done(&text);
    tg_buf_done(&answer);
    return code;
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

static tg_code name_url(struct gateway *g, const struct tg_push_options *o, struct tg_error *err)
{
    const char *given = o->where;
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
        n = snprintf(g->url, sizeof g->url, "%s", given);
    else
        n = snprintf(g->url, sizeof g->url, "%.*s/metrics/job/%s/instance/%s",
                     (int)TG_MIN(len, (size_t)URL_MAX), given, o->job, host);
    return n < URL_MAX ? TG_OK : tg_fail(err, TG_USAGE, "the URL of the Pushgateway is too long");
}

static void gateway_close(void *self)
{
    struct gateway *g = self;

    tg_http_free(g->http);
    free(g);
}

static tg_code gateway_open(const struct tg_push_options *o, void **ret, struct tg_error *err)
{
    struct gateway *g = calloc(1, sizeof *g);
    tg_code code;

    if (!g)
        return tg_fail(err, TG_NOMEM, "no memory to push metrics");
    *ret = g;
    code = name_url(g, o, err);
    return code == TG_OK ? tg_http_new(NULL, &g->http, err) : code;
}

const struct tg_push_type tg_push_gateway = {
    .name = "pushgateway",
    .open = gateway_open,
    .send = gateway_send,
    .close = gateway_close,
};

/* SPDX-License-Identifier: MIT */
/*
 * push_statsd.c - metrics for StatsD: lines over UDP
 *
 *   tgdata.JOB.calls_total.messages_getHistory.ok:12|c                   plain
 *   tgdata.calls_total:12|c|#job:JOB,method:messages.getHistory,outcome:ok   DogStatsD
 *
 * Counters tell what came since the last push, if anything did; gauges how they are. A histogram is
 * two counters, NAME.count and NAME.sum, and a gauge, NAME.p95. A datagram has as many lines as it
 * holds. That one arrives is not known; but where nobody listens the system tells so some time
 * later, and what was new is sent again: a push is taken for well when nothing is told until the
 * next.
 *
 * Facts: github.com/statsd/statsd/blob/master/docs/metric_types.md; docs.datadoghq.com/
 * developers/dogstatsd/datagram_shell
 */
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "observe/push_impl.h"

enum { DATAGRAM = 1432, HOST_MAX = 256 }; /* what passes an Ethernet in one piece */

struct statsd {
    int fd;    /* -1: the address is not known yet */
    bool sent; /* the last push was, and nobody has told yet that it was refused */
    char host[HOST_MAX], port[8], job[TG_METRIC_LABEL];
};

/* ---- where to ---- */

static tg_code read_address(struct statsd *s, const char *where, struct tg_error *err)
{
    const char *colon = strrchr(where, ':'), *port = colon ? colon + 1 : where;
    size_t host = colon ? (size_t)(colon - where) : 0, digits = strspn(port, "0123456789");
    bool six = host > 2 && where[0] == '[' && colon[-1] == ']';
    long number = digits ? strtol(port, NULL, 10) : 0;

    if (digits > 5 || port[digits] || number < 1 || number > 65535 || host >= HOST_MAX ||
        (colon && !host) || (!six && memchr(where, ':', host))) {
        tg_fail(err, TG_USAGE, "'%.80s' is no address of StatsD", where);
        return tg_hint(err, "write PORT, HOST:PORT or [ADDRESS]:PORT, such as 8125");
    }
    snprintf(s->port, sizeof s->port, "%s", port);
    if (colon)
        snprintf(s->host, sizeof s->host, "%.*s", (int)(six ? host - 2 : host),
                 six ? where + 1 : where);
    else
        snprintf(s->host, sizeof s->host, "127.0.0.1");
    return TG_OK;
}

static tg_code find(struct statsd *s, struct tg_error *err)
{
    const struct addrinfo want = { .ai_socktype = SOCK_DGRAM };
    struct addrinfo *found = NULL;
    int failed = getaddrinfo(s->host, s->port, &want, &found);

    if (failed)
        return tg_fail(err, TG_NET, "StatsD on %.120s: %s", s->host, gai_strerror(failed));
    s->fd = socket(found->ai_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (s->fd >= 0 && connect(s->fd, found->ai_addr, found->ai_addrlen) != 0) {
        close(s->fd);
        s->fd = -1;
    }
    freeaddrinfo(found);
    return s->fd >= 0 ? TG_OK
                      : tg_fail(err, TG_NET, "StatsD on %.120s: %s", s->host, strerror(errno));
}

/* ---- lines ---- */

/* Datagrams that are being filled: `lines` has all, a NUL behind each. */
struct filling {
    const struct statsd *statsd;
    bool tags;
    struct tg_buf lines;
    size_t begun; /* where the last datagram begins */
};

/* A part of a name has letters, digits, '_' and '-'; a tag may have more. */
static void put_part(struct tg_buf *out, const char *text, bool tag)
{
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        bool word = (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z') || c == '-';

        tg_buf_byte(out, word || (tag && (c >= 0x80 || strchr("./:+@", c))) ? c : '_');
    }
}

static void put_line(struct filling *f, const struct tg_metric_sample *s, const char *part,
                     double v, char type)
{
    struct tg_buf *out = &f->lines;
    struct tg_json j;
    size_t at = out->len;

    if (type == 'c' && !(v > 0))
        return;
    tg_buf_str(out, "tgdata.");
    if (!f->tags) {
        put_part(out, f->statsd->job, false);
        tg_buf_byte(out, '.');
    }
    tg_buf_printf(out, "%s%s", s->info->name, part);
    for (int i = 0; !f->tags && i < 2 && s->label[i]; i++) {
        tg_buf_byte(out, '.');
        put_part(out, s->label[i], false);
    }
    tg_buf_byte(out, ':');
    tg_json_init(&j, out);
    tg_json_double(&j, v);
    tg_buf_printf(out, "|%c", type);
    if (f->tags) {
        tg_buf_str(out, "|#job:");
        put_part(out, f->statsd->job, true);
    }
    for (int i = 0; f->tags && i < 2 && s->label[i]; i++) {
        tg_buf_printf(out, ",%s:", s->info->label[i]);
        put_part(out, s->label[i], true);
    }
    if (out->len - f->begun > DATAGRAM && at > f->begun && !out->failed) {
        out->data[at - 1] = 0; /* it begins the next one */
        f->begun = at;
    }
    tg_buf_byte(out, '\n');
}

static void put_sample(void *ctx, const struct tg_metric_sample *s)
{
    if (s->info->type == TG_METRIC_HISTOGRAM) {
        put_line(ctx, s, ".count", (double)s->all, 'c');
        put_line(ctx, s, ".sum", s->v, 'c');
        put_line(ctx, s, ".p95", s->p95, 'g');
    } else {
        put_line(ctx, s, "", s->v, s->info->type == TG_METRIC_GAUGE ? 'g' : 'c');
    }
}

/* ---- sending ---- */

/* Whether what was sent before was refused. */
static bool was_refused(const struct statsd *s)
{
    int error = 0;
    socklen_t len = sizeof error;

    return getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &error, &len) == 0 && error == ECONNREFUSED;
}

/* Sends all, whoever refuses some. */
static tg_code send_all(const struct statsd *s, const struct tg_buf *lines, bool *refused,
                        struct tg_error *err)
{
    for (size_t at = 0, n; at < lines->len; at += n + 1) {
        ssize_t sent;

        n = strnlen((const char *)lines->data + at, lines->len - at);
        sent = send(s->fd, lines->data + at, n, MSG_NOSIGNAL);
        if (sent < 0 && errno == ECONNREFUSED) { /* of one before; this one was not sent */
            *refused = true;
            sent = send(s->fd, lines->data + at, n, MSG_NOSIGNAL);
        }
        if (sent < 0)
            return tg_fail(err, TG_NET, "StatsD on %.120s: %s", s->host, strerror(errno));
    }
    return TG_OK;
}

static tg_code statsd_send(void *self, const struct tg_push_options *o, struct tg_error *err)
{
    struct statsd *s = self;
    struct filling f = { .statsd = s, .tags = o->tags };
    tg_code code = s->fd < 0 ? find(s, err) : TG_OK;
    bool refused;

    if (code != TG_OK)
        return code;
    refused = was_refused(s);
    if (s->sent && !refused)
        o->take(o->ctx, TG_PUSH_READER_STATSD, SIZE_MAX);
    tg_buf_init(&f.lines, TG_PUSH_TEXT_MAX);
    o->read(o->ctx, TG_PUSH_READER_STATSD, put_sample, &f);
    code = f.lines.failed ? tg_fail(err, TG_NOMEM, "no memory for metrics")
                          : send_all(s, &f.lines, &refused, err);
    tg_buf_done(&f.lines);
    s->sent = code == TG_OK;
    if (code == TG_OK && refused)
        code = tg_fail(err, TG_NET, "StatsD on %.120s: %s", s->host, strerror(ECONNREFUSED));
    return code;
}

static void statsd_close(void *self)
{
    struct statsd *s = self;

    if (s->fd >= 0)
        close(s->fd);
    free(s);
}

static tg_code statsd_open(const struct tg_push_options *o, void **ret, struct tg_error *err)
{
    struct statsd *s = calloc(1, sizeof *s);

    if (!s)
        return tg_fail(err, TG_NOMEM, "no memory to push metrics");
    *ret = s;
    s->fd = -1;
    snprintf(s->job, sizeof s->job, "%s", o->job);
    return read_address(s, o->where, err);
}

const struct tg_push_type tg_push_statsd = {
    .name = "statsd",
    .open = statsd_open,
    .send = statsd_send,
    .close = statsd_close,
};

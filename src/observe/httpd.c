/* SPDX-License-Identifier: MIT */
/*
 * httpd.c - see httpd.h: libmicrohttpd, run by a thread of ours that also keeps the deadlines
 */
#ifdef TG_HAVE_HTTPD

#include "observe/httpd.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <microhttpd.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/text.h"
#include "os/loop.h"
#include "os/queue.h"

enum {
    PLACES = 256,
    SPARE = 16,       /* places that are made free before none is left */
    MEMORY = 8 << 10, /* of a connection */
    TURN_MS = 100,    /* between looks at the deadlines */
    PAGE_MAX = 16 << 20,
};
#define DEADLINE_US (10 * TG_SECOND_US)

struct place {
    int fd;
    int64_t since_us; /* 0: it is free */
    bool cut;         /* it was shut down: the library closes it soon */
};

struct tg_httpd {
    const struct tg_httpd_page *page;
    void *ctx;
    struct MHD_Daemon *daemon;
    pthread_t thread;
    bool running;
    atomic_bool stop;
    uint16_t port;
    struct place place[PLACES]; /* the thread's */
    size_t n_open;
};

/* ---- connections ---- */

static void cut(struct place *p)
{
    p->cut = true;
    shutdown(p->fd, SHUT_RDWR); /* the library sees an end, and closes it */
}

static void cut_oldest(struct tg_httpd *h)
{
    struct place *oldest = NULL;

    for (size_t i = 0; i < PLACES; i++) {
        struct place *p = &h->place[i];

        if (p->since_us && !p->cut && (!oldest || p->since_us < oldest->since_us))
            oldest = p;
    }
    if (oldest)
        cut(oldest);
}

static void on_connection(void *ctx, struct MHD_Connection *c, void **place,
                          enum MHD_ConnectionNotificationCode what)
{
    struct tg_httpd *h = ctx;
    const union MHD_ConnectionInfo *info;
    size_t i = 0;

    if (what == MHD_CONNECTION_NOTIFY_CLOSED) {
        if (*place) {
            *(struct place *)*place = (struct place){ 0 };
            h->n_open--;
        }
        return;
    }
    if (h->n_open >= PLACES - SPARE)
        cut_oldest(h);
    info = MHD_get_connection_info(c, MHD_CONNECTION_INFO_CONNECTION_FD);
    while (i < PLACES && h->place[i].since_us)
        i++;
    if (i == PLACES || !info)
        return; /* the library takes no more than there are places */
    h->place[i] = (struct place){ .fd = info->connect_fd, .since_us = tg_clock_mono_us() };
    h->n_open++;
    *place = &h->place[i];
}

static void keep_deadlines(struct tg_httpd *h)
{
    int64_t now_us = tg_clock_mono_us();

    for (size_t i = 0; i < PLACES; i++) {
        struct place *p = &h->place[i];

        if (p->since_us && !p->cut && now_us - p->since_us > DEADLINE_US)
            cut(p);
    }
}

/* ---- answers ---- */

static enum MHD_Result answer(struct MHD_Connection *c, int status, const char *type,
                              const void *body, size_t len)
{
    static const char *const header[][2] = {
        { MHD_HTTP_HEADER_CONNECTION, "close" },
        { MHD_HTTP_HEADER_CACHE_CONTROL, "no-store" },
        { "X-Content-Type-Options", "nosniff" },
    };
    struct MHD_Response *r =
        MHD_create_response_from_buffer(len, (void *)(uintptr_t)body, MHD_RESPMEM_MUST_COPY);
    enum MHD_Result result;

    if (!r)
        return MHD_NO;
    MHD_add_response_header(r, MHD_HTTP_HEADER_CONTENT_TYPE, type);
    for (size_t i = 0; i < TG_COUNT(header); i++)
        MHD_add_response_header(r, header[i][0], header[i][1]);
    if (status == MHD_HTTP_METHOD_NOT_ALLOWED)
        MHD_add_response_header(r, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
    result = MHD_queue_response(c, (unsigned)status, r);
    MHD_destroy_response(r);
    return result;
}

static enum MHD_Result answer_text(struct MHD_Connection *c, int status, const char *text)
{
    return answer(c, status, "text/plain; charset=utf-8", text, strlen(text));
}

static enum MHD_Result on_request(void *ctx, struct MHD_Connection *c, const char *url,
                                  const char *method, const char *version, const char *upload,
                                  size_t *upload_size, void **request)
{
    struct tg_httpd *h = ctx;
    const struct tg_httpd_page *page = h->page;
    enum MHD_Result result;
    struct tg_buf out;
    int status;

    (void)version, (void)upload, (void)upload_size, (void)request;
    if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0)
        return answer_text(c, MHD_HTTP_METHOD_NOT_ALLOWED, "only GET\n");
    while (page->path && strcmp(page->path, url) != 0)
        page++;
    if (!page->path)
        return answer_text(c, MHD_HTTP_NOT_FOUND, "there is no such page\n");
    tg_buf_init(&out, PAGE_MAX);
    status = page->fill(h->ctx, &out);
    result = out.failed ? answer_text(c, MHD_HTTP_INTERNAL_SERVER_ERROR, "no memory\n")
                        : answer(c, status, page->type, out.data, out.len);
    tg_buf_done(&out);
    return result;
}

static void *run(void *arg)
{
    struct tg_httpd *h = arg;

    while (!atomic_load(&h->stop)) {
        if (MHD_run_wait(h->daemon, TURN_MS) != MHD_YES)
            poll(NULL, 0, TURN_MS); /* the kernel is short of something */
        keep_deadlines(h);
    }
    return NULL;
}

/* ---- opening and closing ---- */

union address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

static tg_code no_address(const char *where, struct tg_error *err)
{
    tg_fail(err, TG_USAGE, "'%.80s' is no address to listen on", where);
    return tg_hint(err, "write PORT for this machine alone, or ADDRESS:PORT, such as 0.0.0.0:9464");
}

static tg_code read_address(const char *where, union address *ret, socklen_t *ret_len,
                            struct tg_error *err)
{
    const char *colon = strrchr(where, ':'), *host = colon ? where : "";
    size_t n = colon ? (size_t)(colon - where) : 0;
    char text[64];
    int64_t port;

    if (!tg_i64_parse(colon ? colon + 1 : where, &port) || port < 0 || port > UINT16_MAX)
        return no_address(where, err);
    if (n >= 2 && host[0] == '[' && host[n - 1] == ']') {
        host++;
        n -= 2;
    }
    if (n >= sizeof text)
        return no_address(where, err);
    memcpy(text, host, n);
    text[n] = 0;
    if (!n || strcmp(text, "localhost") == 0)
        snprintf(text, sizeof text, "127.0.0.1");
    *ret = (union address){ 0 };
    if (inet_pton(AF_INET, text, &ret->v4.sin_addr) == 1) {
        ret->v4.sin_family = AF_INET;
        ret->v4.sin_port = htons((uint16_t)port);
        *ret_len = sizeof ret->v4;
    } else if (inet_pton(AF_INET6, text, &ret->v6.sin6_addr) == 1) {
        ret->v6.sin6_family = AF_INET6;
        ret->v6.sin6_port = htons((uint16_t)port);
        *ret_len = sizeof ret->v6;
    } else {
        return no_address(where, err);
    }
    return TG_OK;
}

/* Bound here, so that a failure is told with its reason. */
static tg_code listen_on(const char *where, int *ret_fd, uint16_t *ret_port, struct tg_error *err)
{
    union address a;
    socklen_t len;
    int fd, yes = 1;
    tg_code code = read_address(where, &a, &len, err);

    if (code != TG_OK)
        return code;
    fd = socket(a.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return tg_fail(err, TG_IO, "could not make a socket: %s", strerror(errno));
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (bind(fd, &a.any, len) < 0 || listen(fd, 1024) < 0 || getsockname(fd, &a.any, &len) < 0) {
        tg_fail(err, TG_IO, "could not listen on '%s': %s", where, strerror(errno));
        close(fd);
        return tg_hint(err, "is another program there? Port 0 takes a free one");
    }
    *ret_port = ntohs(a.any.sa_family == AF_INET ? a.v4.sin_port : a.v6.sin6_port);
    *ret_fd = fd;
    return TG_OK;
}

tg_code tg_httpd_new(const char *where, const struct tg_httpd_page *pages, void *ctx,
                     struct tg_httpd **ret, struct tg_error *err)
{
    struct tg_httpd *h = calloc(1, sizeof *h);
    int fd = -1;
    tg_code code;

    if (!h)
        return tg_fail(err, TG_NOMEM, "no memory for an HTTP server");
    h->page = pages;
    h->ctx = ctx;
    code = listen_on(where, &fd, &h->port, err);
    if (code == TG_OK) {
        h->daemon = MHD_start_daemon(
            MHD_USE_EPOLL, 0, NULL, NULL, on_request, h, MHD_OPTION_LISTEN_SOCKET, fd,
            MHD_OPTION_CONNECTION_LIMIT, (unsigned)PLACES, MHD_OPTION_CONNECTION_TIMEOUT,
            (unsigned)(DEADLINE_US / TG_SECOND_US), MHD_OPTION_CONNECTION_MEMORY_LIMIT,
            (size_t)MEMORY, MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_NOTIFY_CONNECTION,
            on_connection, h, MHD_OPTION_END);
        if (!h->daemon) {
            close(fd);
            code = tg_fail(err, TG_IO, "the HTTP server does not start");
        }
    }
    if (code == TG_OK)
        code = tg_thread_start(&h->thread, "tg-http", run, h, err);
    h->running = code == TG_OK;
    if (code != TG_OK) {
        tg_httpd_free(h);
        return code;
    }
    *ret = h;
    return TG_OK;
}

void tg_httpd_free(struct tg_httpd *h)
{
    if (!h)
        return;
    if (h->running) {
        atomic_store(&h->stop, true);
        pthread_join(h->thread, NULL);
    }
    if (h->daemon)
        MHD_stop_daemon(h->daemon);
    free(h);
}

uint16_t tg_httpd_port(const struct tg_httpd *h)
{
    return h->port;
}

#else
typedef int tg_httpd_is_absent; /* a translation unit may not be empty */
#endif

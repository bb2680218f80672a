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
#include "crypto/ct.h"
#include "observe/guard.h"
#include "os/loop.h"
#include "os/queue.h"

enum {
    PLACES = 256,
    SPARE = 16,       /* places that are made free before none is left */
    MEMORY = 8 << 10, /* of a connection */
    TURN_MS = 100,    /* between looks at the deadlines */
    PAGE_MAX = 16 << 20,
    SLOW_MAX = 8,
};
#define DEADLINE_US (10 * TG_SECOND_US)

struct place {
    int fd;
    int64_t since_us; /* 0: it is free */
    bool cut;         /* it was shut down: the library closes it soon */
    bool busy;        /* what it asked for is being made */
};

struct tg_httpd {
    const struct tg_httpd_page *page;
    void (*tick)(void *ctx);
    void *ctx;
    char token[TG_TOKEN_MAX + 1]; /* "": none */
    bool open;
    struct MHD_Daemon *daemon;
    struct tg_queue *slow; /* of jobs */
    pthread_t thread, slow_thread;
    bool running, slow_running;
    atomic_bool stop; /* slow pages are refused */
    atomic_bool end;
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

        if (p->since_us && !p->cut && !p->busy && (!oldest || p->since_us < oldest->since_us))
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

        if (p->since_us && !p->cut && !p->busy && now_us - p->since_us > DEADLINE_US)
            cut(p);
    }
}

/* ---- answers ---- */

/* The page is of this server alone: it loads nothing from elsewhere, and is framed by nobody. */
static const char *const header[][2] = {
    { MHD_HTTP_HEADER_CONNECTION, "close" },
    { MHD_HTTP_HEADER_CACHE_CONTROL, "no-store" },
    { "X-Content-Type-Options", "nosniff" },
    { "X-Frame-Options", "DENY" },
    { "Referrer-Policy", "no-referrer" },
    { "Cross-Origin-Opener-Policy", "same-origin" },
    { "Cross-Origin-Resource-Policy", "same-origin" },
    { "Content-Security-Policy",
      "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
      "img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'" },
};

static enum MHD_Result answer(struct MHD_Connection *c, int status,
                              const struct tg_httpd_page *page, const void *body, size_t len)
{
    struct MHD_Response *r =
        MHD_create_response_from_buffer(len, (void *)(uintptr_t)body, MHD_RESPMEM_MUST_COPY);
    enum MHD_Result result;

    if (!r)
        return MHD_NO;
    MHD_add_response_header(r, MHD_HTTP_HEADER_CONTENT_TYPE,
                            page ? page->type : "text/plain; charset=utf-8");
    for (size_t i = 0; i < TG_COUNT(header); i++)
        MHD_add_response_header(r, header[i][0], header[i][1]);
    if (status == MHD_HTTP_METHOD_NOT_ALLOWED)
        MHD_add_response_header(r, MHD_HTTP_HEADER_ALLOW,
                                page && page->traits & TG_HTTPD_CHANGES ? "POST" : "GET, HEAD");
    if (status == MHD_HTTP_UNAUTHORIZED)
        MHD_add_response_header(r, MHD_HTTP_HEADER_WWW_AUTHENTICATE, "Bearer");
    result = MHD_queue_response(c, (unsigned)status, r);
    MHD_destroy_response(r);
    return result;
}

/* One line, in the form of the page that was asked for. */
static enum MHD_Result refuse(struct MHD_Connection *c, int status,
                              const struct tg_httpd_page *page, const char *line)
{
    bool json = page && strcmp(page->type, "application/json") == 0;
    char text[256];

    if (json)
        snprintf(text, sizeof text, "{\"error\":\"%s\"}", line);
    else
        snprintf(text, sizeof text, "%s\n", line);
    if (json || !page)
        return answer(c, status, page, text, strlen(text));
    return answer(c, status, &(struct tg_httpd_page){ .type = "text/plain; charset=utf-8",
                                                      .traits = page->traits },
                  text, strlen(text));
}

static const char *header_of(struct MHD_Connection *c, const char *name)
{
    return MHD_lookup_connection_value(c, MHD_HEADER_KIND, name);
}

/* @return 0: it may be made; else the status of the refusal, with its line */
static int guard(const struct tg_httpd *h, struct MHD_Connection *c, const char *method,
                 const struct tg_httpd_page *page, const char **ret_line)
{
    const char *host = header_of(c, MHD_HTTP_HEADER_HOST);
    bool post = page && page->traits & TG_HTTPD_CHANGES;

    *ret_line = "there is no such page";
    if (!h->token[0] && !h->open && !tg_guard_host(host)) {
        *ret_line = "the name of another host: ask for an address or localhost, or set a token";
        return MHD_HTTP_FORBIDDEN;
    }
    if (!page)
        return MHD_HTTP_NOT_FOUND;
    *ret_line = post ? "only POST" : "only GET";
    if (post ? strcmp(method, MHD_HTTP_METHOD_POST) != 0
             : strcmp(method, MHD_HTTP_METHOD_GET) != 0 &&
                   strcmp(method, MHD_HTTP_METHOD_HEAD) != 0)
        return MHD_HTTP_METHOD_NOT_ALLOWED;
    *ret_line = "no token is set: nothing can be changed here";
    if (post && !h->token[0])
        return MHD_HTTP_FORBIDDEN;
    *ret_line = "this needs the token: Authorization: Bearer TOKEN";
    if (h->token[0] && !(page->traits & TG_HTTPD_OPEN) &&
        !tg_guard_token(header_of(c, MHD_HTTP_HEADER_AUTHORIZATION), h->token))
        return MHD_HTTP_UNAUTHORIZED;
    *ret_line = "asked for by the page of another site";
    if (post && !tg_guard_origin(header_of(c, MHD_HTTP_HEADER_ORIGIN), host))
        return MHD_HTTP_FORBIDDEN;
    return 0;
}

static bool has_body(struct MHD_Connection *c)
{
    const char *length = header_of(c, MHD_HTTP_HEADER_CONTENT_LENGTH);

    return (length && strcmp(length, "0") != 0) ||
           header_of(c, MHD_HTTP_HEADER_TRANSFER_ENCODING);
}

/* @return false: one is too long */
static bool take_args(struct MHD_Connection *c, const struct tg_httpd_page *page,
                      struct tg_httpd_request *ret)
{
    *ret = (struct tg_httpd_request){ 0 };
    for (size_t i = 0; i < TG_HTTPD_ARGS && page->arg[i]; i++) {
        const char *text = MHD_lookup_connection_value(c, MHD_GET_ARGUMENT_KIND, page->arg[i]);
        size_t n = text ? strlen(text) : 0;

        if (n >= TG_HTTPD_ARG)
            return false;
        if (n)
            memcpy(ret->arg[i], text, n);
    }
    return true;
}

static enum MHD_Result answer_made(struct MHD_Connection *c, const struct tg_httpd_page *page,
                                   int status, const struct tg_buf *out)
{
    return out->failed ? refuse(c, MHD_HTTP_INTERNAL_SERVER_ERROR, page, "no memory")
                       : answer(c, status, page, out->data, out->len);
}

/* ---- slow pages: the connection is suspended while the second thread makes one ---- */

struct job {
    struct tg_httpd *to;
    const struct tg_httpd_page *page;
    struct tg_httpd_request request;
    struct MHD_Connection *connection;
    struct place *place;
    struct tg_buf out;
    int status;
};

static void *make_slow(void *arg)
{
    struct tg_httpd *h = arg;
    uint64_t bytes;
    void *item;

    while (tg_queue_pop(h->slow, INT64_MAX, &item, &bytes) == TG_OK) {
        struct job *job = item;

        if (atomic_load(&h->stop)) {
            tg_buf_str(&job->out, "{\"error\":\"the run has ended\"}");
            job->status = MHD_HTTP_SERVICE_UNAVAILABLE;
        } else {
            job->status = job->page->fill(h->ctx, &job->request, &job->out);
        }
        MHD_resume_connection(job->connection); /* the job is the first thread's again */
    }
    return NULL;
}

static enum MHD_Result begin_slow(struct tg_httpd *h, struct MHD_Connection *c,
                                  const struct tg_httpd_page *page,
                                  const struct tg_httpd_request *request, void **ret)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(c, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    struct job *job = calloc(1, sizeof *job);

    if (!job)
        return refuse(c, MHD_HTTP_INTERNAL_SERVER_ERROR, page, "no memory");
    *job = (struct job){ .to = h, .page = page, .request = *request, .connection = c };
    job->place = info ? info->socket_context : NULL;
    tg_buf_init(&job->out, PAGE_MAX);
    if (job->place)
        job->place->busy = true;
    *ret = job;
    MHD_suspend_connection(c);
    if (tg_queue_try_push(h->slow, job, 0) != TG_OK) {
        tg_buf_str(&job->out, "{\"error\":\"too many others are waiting\"}");
        job->status = MHD_HTTP_SERVICE_UNAVAILABLE;
        MHD_resume_connection(c);
    }
    return MHD_YES;
}

static void on_completed(void *ctx, struct MHD_Connection *c, void **request,
                         enum MHD_RequestTerminationCode why)
{
    struct job *job = *request;

    (void)ctx, (void)c, (void)why;
    if (!job)
        return;
    tg_buf_done(&job->out);
    free(job);
    *request = NULL;
}

static enum MHD_Result on_request(void *ctx, struct MHD_Connection *c, const char *url,
                                  const char *method, const char *version, const char *upload,
                                  size_t *upload_size, void **request)
{
    struct tg_httpd *h = ctx;
    const struct tg_httpd_page *page = h->page;
    struct tg_httpd_request r;
    enum MHD_Result result;
    struct tg_buf out;
    const char *line;
    int status;

    (void)version, (void)upload, (void)upload_size;
    if (*request) {
        struct job *job = *request;

        if (job->place) {
            job->place->busy = false;
            job->place->since_us = tg_clock_mono_us(); /* to take what it has waited for */
        }
        return answer_made(c, job->page, job->status, &job->out);
    }
    while (page->path && strcmp(page->path, url) != 0)
        page++;
    page = page->path ? page : NULL;
    if ((status = guard(h, c, method, page, &line)))
        return refuse(c, status, page, line);
    if (has_body(c))
        return refuse(c, MHD_HTTP_CONTENT_TOO_LARGE, page, "a request has no body here");
    if (!take_args(c, page, &r))
        return refuse(c, MHD_HTTP_BAD_REQUEST, page, "an argument is too long");
    if (page->traits & TG_HTTPD_SLOW)
        return begin_slow(h, c, page, &r, request);
    tg_buf_init(&out, PAGE_MAX);
    status = page->fill(h->ctx, &r, &out);
    result = answer_made(c, page, status, &out);
    tg_buf_done(&out);
    return result;
}

static void *run(void *arg)
{
    struct tg_httpd *h = arg;

    while (!atomic_load(&h->end)) {
        if (MHD_run_wait(h->daemon, TURN_MS) != MHD_YES)
            poll(NULL, 0, TURN_MS); /* the kernel is short of something */
        keep_deadlines(h);
        h->tick(h->ctx);
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

static bool is_loopback(const union address *a)
{
    return a->any.sa_family == AF_INET6 ? IN6_IS_ADDR_LOOPBACK(&a->v6.sin6_addr)
                                        : ntohl(a->v4.sin_addr.s_addr) >> 24 == 127;
}

/* Bound here, so that a failure is told with its reason. */
static tg_code listen_on(const struct tg_httpd_options *o, int *ret_fd, uint16_t *ret_port,
                         struct tg_error *err)
{
    const char *where = o->where;
    union address a;
    socklen_t len;
    int fd, yes = 1;
    tg_code code = read_address(where, &a, &len, err);

    if (code != TG_OK)
        return code;
    if (!is_loopback(&a) && !o->token && !o->open) {
        tg_fail(err, TG_USAGE, "everybody who reaches '%.80s' could read there", where);
        return tg_hint(err, "set a token (--listen-token-file FILE or TGDATA_LISTEN_TOKEN), or "
                            "allow that with --listen-open");
    }
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

static struct MHD_Daemon *start_daemon(struct tg_httpd *h, int fd)
{
    return MHD_start_daemon(
        MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL, on_request, h,
        MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_CONNECTION_LIMIT, (unsigned)PLACES,
        MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)(DEADLINE_US / TG_SECOND_US),
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)MEMORY, MHD_OPTION_STRICT_FOR_CLIENT, 1,
        MHD_OPTION_NOTIFY_CONNECTION, on_connection, h, MHD_OPTION_NOTIFY_COMPLETED, on_completed,
        h, MHD_OPTION_END);
}

static tg_code begin(struct tg_httpd *h, const struct tg_httpd_options *o, struct tg_error *err)
{
    int fd = -1;
    tg_code code = listen_on(o, &fd, &h->port, err);

    if (code != TG_OK)
        return code;
    h->daemon = start_daemon(h, fd);
    if (!h->daemon) {
        close(fd);
        return tg_fail(err, TG_IO, "the HTTP server does not start");
    }
    code = tg_thread_start(&h->slow_thread, "tg-http-slow", make_slow, h, err);
    h->slow_running = code == TG_OK;
    if (code == TG_OK)
        code = tg_thread_start(&h->thread, "tg-http", run, h, err);
    h->running = code == TG_OK;
    return code;
}

tg_code tg_httpd_new(const struct tg_httpd_options *o, struct tg_httpd **ret, struct tg_error *err)
{
    struct tg_httpd *h = calloc(1, sizeof *h);
    tg_code code;

    if (!h || !(h->slow = tg_queue_new(SLOW_MAX, UINT64_MAX))) {
        free(h);
        return tg_fail(err, TG_NOMEM, "no memory for an HTTP server");
    }
    h->page = o->pages;
    h->tick = o->tick;
    h->ctx = o->ctx;
    h->open = o->open;
    snprintf(h->token, sizeof h->token, "%s", o->token ? o->token : "");
    code = begin(h, o, err);
    if (code != TG_OK) {
        tg_httpd_free(h);
        return code;
    }
    *ret = h;
    return TG_OK;
}

/* Slow pages end first, while the first thread still answers. */
void tg_httpd_free(struct tg_httpd *h)
{
    if (!h)
        return;
    atomic_store(&h->stop, true);
    tg_queue_close(h->slow);
    if (h->slow_running)
        pthread_join(h->slow_thread, NULL);
    atomic_store(&h->end, true);
    if (h->running)
        pthread_join(h->thread, NULL);
    if (h->daemon)
        MHD_stop_daemon(h->daemon);
    tg_queue_free(h->slow);
    tg_wipe(h->token, sizeof h->token);
    free(h);
}

uint16_t tg_httpd_port(const struct tg_httpd *h)
{
    return h->port;
}

#else
typedef int tg_httpd_is_absent; /* a translation unit may not be empty */
#endif

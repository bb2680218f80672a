/* SPDX-License-Identifier: MIT */
/*
 * net.c - TCP connections and listeners of the loop; see loop.h
 *
 *   RESOLVING -> CONNECTING -> UP -> ENDED
 *        |___________|__________|______^     closed, refused, reset, or by the owner
 *
 * Every end goes through uv_close, so `closed` always comes later and never from inside a call of
 * the owner. Outgoing bytes are offered to the kernel at once. What it does not take is gathered in
 * `next`; while one write is under way in `now`, more is gathered, and the two change places.
 *
 * Threads: the loop's own      Limits: 64 MiB queued per connection; host names of 255 bytes
 */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "os/loop_internal.h"

enum {
    QUEUE_MAX = 64 << 20,
    QUEUE_KEEP = 1 << 20, /* a queue buffer larger than this is given back once it is empty */
    BACKLOG = 511,
    HOST_MAX = 255,
};

enum conn_state { RESOLVING, CONNECTING, UP, ENDED };

struct tg_conn {
    struct tg_link link;
    uv_tcp_t tcp;
    uv_getaddrinfo_t resolve;
    uv_connect_t connect;
    uv_write_t write;
    struct tg_loop *loop;
    enum conn_state state;
    bool resolving;  /* the lookup's callback is still to come */
    bool closing;    /* the handle's close callback is still to come */
    bool writing;    /* `now` is with libuv */
    bool paused, quiet;
    struct addrinfo *found, *next_found; /* what the name stands for; NULL if it was numeric */
    struct tg_buf now, next;
    const struct tg_conn_events *events;
    void *ctx;
    struct tg_error err; /* why it ended */
    uint16_t port;
    char host[HOST_MAX + 1];
};

struct tg_listener {
    struct tg_link link;
    uv_tcp_t tcp;
    struct tg_loop *loop;
    void *(*accept)(void *ctx, struct tg_conn *conn, const struct tg_conn_events **ret);
    void *ctx;
};

static struct tg_conn *conn_new(struct tg_loop *loop)
{
    struct tg_conn *c = calloc(1, sizeof *c);

    if (!c)
        return NULL;
    uv_tcp_init(&loop->uv, &c->tcp);
    c->tcp.data = c;
    c->loop = loop;
    tg_buf_init(&c->now, QUEUE_MAX);
    tg_buf_init(&c->next, QUEUE_MAX);
    tg_link_append(&loop->conn, &c->link);
    return c;
}

/* The last step of an end: nothing of libuv refers to the connection any more. */
static void conn_gone(struct tg_conn *c)
{
    assert(c->state == ENDED);
    if (c->resolving || c->closing)
        return;
    tg_link_remove(&c->link);
    if (!c->quiet)
        c->events->closed(c->ctx, &c->err);
    uv_freeaddrinfo(c->found);
    tg_buf_done(&c->now);
    tg_buf_done(&c->next);
    free(c);
}

static void on_closed(uv_handle_t *h)
{
    struct tg_conn *c = h->data;

    c->closing = false;
    conn_gone(c);
}

/* Ends a connection whose `err` is filled. */
static void conn_end(struct tg_conn *c, bool reset)
{
    if (c->state == ENDED)
        return;
    c->state = ENDED;
    if (c->resolving)
        uv_cancel((uv_req_t *)&c->resolve);
    if (c->closing) /* between two addresses: that callback goes on from here */
        return;
    c->closing = true;
    if (!reset || uv_tcp_close_reset(&c->tcp, on_closed) < 0)
        uv_close((uv_handle_t *)&c->tcp, on_closed);
}

static void conn_fail(struct tg_conn *c, int status, const char *what)
{
    tg_fail_uv(&c->err, status, what);
    conn_end(c, false);
}

static void conn_lost(struct tg_conn *c, int status)
{
    char what[HOST_MAX + 64];

    if (!c->host[0])
        snprintf(what, sizeof what, "connection lost");
    else
        snprintf(what, sizeof what, "connection to %s port %u lost", c->host, c->port);
    if (status == UV_EOF) {
        errno = 0;
        tg_fail(&c->err, TG_NET, "%s: closed by the peer", what);
        conn_end(c, false);
    } else {
        conn_fail(c, status, what);
    }
}

/* ---- reading ---- */

static void on_alloc(uv_handle_t *h, size_t suggested, uv_buf_t *ret)
{
    struct tg_conn *c = h->data;
    size_t n = 0;
    uint8_t *room = c->events->room(c->ctx, &n);

    (void)suggested;
    *ret = uv_buf_init((char *)room, room ? (unsigned)TG_MIN(n, (size_t)1 << 30) : 0);
}

static void on_read(uv_stream_t *s, ssize_t n, const uv_buf_t *buf)
{
    struct tg_conn *c = s->data;

    (void)buf;
    if (c->state != UP || n == 0)
        return;
    if (n == UV_ENOBUFS) {
        tg_fail(&c->err, TG_LIMIT, "no room to read into");
        conn_end(c, false);
    } else if (n < 0) {
        conn_lost(c, (int)n);
    } else {
        c->events->received(c->ctx, c, (size_t)n);
    }
}

void tg_conn_pause(struct tg_conn *conn, bool pause)
{
    if (conn->paused == pause)
        return;
    conn->paused = pause;
    if (conn->state != UP)
        return;
    if (pause)
        uv_read_stop((uv_stream_t *)&conn->tcp);
    else
        uv_read_start((uv_stream_t *)&conn->tcp, on_alloc, on_read);
}

/* ---- writing ---- */

static void on_written(uv_write_t *req, int status);

static void start_write(struct tg_conn *c)
{
    struct tg_buf swap = c->now;
    uv_buf_t bytes;
    int status;

    assert(!c->writing && c->next.len > 0);
    c->now = c->next;
    c->next = swap;
    bytes = uv_buf_init((char *)c->now.data, (unsigned)c->now.len);
    c->write.data = c;
    status = uv_write(&c->write, (uv_stream_t *)&c->tcp, &bytes, 1, on_written);
    if (status < 0)
        conn_lost(c, status);
    else
        c->writing = true;
}

static void on_written(uv_write_t *req, int status)
{
    struct tg_conn *c = req->data;

    c->writing = false;
    if (c->now.cap > QUEUE_KEEP)
        tg_buf_done(&c->now);
    tg_buf_clear(&c->now);
    if (c->state != UP)
        return;
    if (status < 0)
        conn_lost(c, status);
    else if (c->next.len)
        start_write(c);
    else if (c->events->drained)
        c->events->drained(c->ctx, c);
}

size_t tg_conn_queued(const struct tg_conn *conn)
{
    size_t under_way = conn->writing
                           ? uv_stream_get_write_queue_size((const uv_stream_t *)&conn->tcp)
                           : 0;

    return under_way + conn->next.len;
}

void tg_conn_write(struct tg_conn *conn, const void *bytes, size_t n)
{
    const char *at = bytes;

    if (conn->state == ENDED || n == 0)
        return;
    if (conn->state == UP && !conn->writing && conn->next.len == 0) {
        uv_buf_t buf = uv_buf_init((char *)(uintptr_t)at, (unsigned)TG_MIN(n, (size_t)1 << 30));
        int taken = uv_try_write((uv_stream_t *)&conn->tcp, &buf, 1);

        if (taken < 0 && taken != UV_EAGAIN) {
            conn_lost(conn, taken);
            return;
        }
        at += TG_MAX(taken, 0);
        n -= (size_t)TG_MAX(taken, 0);
        if (n == 0)
            return;
    }
    if (n > QUEUE_MAX - TG_MIN(tg_conn_queued(conn), (size_t)QUEUE_MAX)) {
        tg_fail(&conn->err, TG_LIMIT, "more than %d MiB wait to be sent", QUEUE_MAX >> 20);
        conn_end(conn, true);
        return;
    }
    tg_buf_add(&conn->next, at, n);
    if (conn->next.failed) {
        tg_fail(&conn->err, TG_NOMEM, "send queue");
        conn_end(conn, true);
        return;
    }
    if (conn->state == UP && !conn->writing)
        start_write(conn);
}

/* ---- coming up ---- */

static void conn_up(struct tg_conn *c)
{
    c->state = UP;
    uv_tcp_nodelay(&c->tcp, 1);
    if (c->next.len)
        start_write(c);
    if (c->state == UP)
        c->events->opened(c->ctx, c);
    if (c->state == UP && !c->paused)
        uv_read_start((uv_stream_t *)&c->tcp, on_alloc, on_read);
}

static void connect_next(struct tg_conn *c);

/* A handle that failed to connect is of no more use: it is closed and made anew. */
static void on_closed_for_next(uv_handle_t *h)
{
    struct tg_conn *c = h->data;

    c->closing = false;
    if (c->state == ENDED) {
        conn_gone(c);
        return;
    }
    uv_tcp_init(&c->loop->uv, &c->tcp);
    c->tcp.data = c;
    connect_next(c);
}

static void connect_failed(struct tg_conn *c, int status)
{
    char what[HOST_MAX + 64];

    if (c->next_found) {
        c->closing = true;
        uv_close((uv_handle_t *)&c->tcp, on_closed_for_next);
        return;
    }
    snprintf(what, sizeof what, "could not connect to %s port %u", c->host, c->port);
    conn_fail(c, status, what);
}

static void on_connected(uv_connect_t *req, int status)
{
    struct tg_conn *c = req->data;

    if (c->state != CONNECTING || c->closing)
        return;
    if (status < 0)
        connect_failed(c, status);
    else
        conn_up(c);
}

static void connect_to(struct tg_conn *c, const struct sockaddr *addr)
{
    int status;

    c->state = CONNECTING;
    c->connect.data = c;
    status = uv_tcp_connect(&c->connect, &c->tcp, addr, on_connected);
    if (status < 0)
        connect_failed(c, status);
}

static void connect_next(struct tg_conn *c)
{
    struct addrinfo *to = c->next_found;

    c->next_found = to->ai_next;
    connect_to(c, to->ai_addr);
}

static void on_resolved(uv_getaddrinfo_t *req, int status, struct addrinfo *found)
{
    struct tg_conn *c = req->data;
    char what[HOST_MAX + 64];

    c->resolving = false;
    c->found = c->next_found = found;
    if (c->state == ENDED) {
        conn_gone(c);
        return;
    }
    if (status == 0 && found) {
        connect_next(c);
        return;
    }
    snprintf(what, sizeof what, "could not resolve '%s'", c->host);
    tg_fail_uv(&c->err, status ? status : UV_EAI_NONAME, what);
    c->err.sys_errno = 0; /* resolver codes are no errno */
    tg_hint(&c->err, "check the name and the network connection");
    conn_end(c, false);
}

/* Reads a numeric address, IPv6 also in brackets. */
static bool numeric(const char *host, uint16_t port, struct sockaddr_storage *ret)
{
    char bare[HOST_MAX + 1];
    size_t n = strlen(host);

    if (uv_ip4_addr(host, port, (struct sockaddr_in *)ret) == 0)
        return true;
    if (n > 2 && n < sizeof bare && host[0] == '[' && host[n - 1] == ']') {
        memcpy(bare, host + 1, n - 2);
        bare[n - 2] = 0;
        host = bare;
    }
    return uv_ip6_addr(host, port, (struct sockaddr_in6 *)ret) == 0;
}

static const struct addrinfo tcp_only = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM };

tg_code tg_conn_open(struct tg_loop *loop, const char *host, uint16_t port,
                     const struct tg_conn_events *events, void *ctx, struct tg_conn **ret,
                     struct tg_error *err)
{
    struct sockaddr_storage addr = { 0 };
    char service[8];
    struct tg_conn *c;

    assert(loop && events && events->room && events->received && events->closed);
    if (!*host || strlen(host) > HOST_MAX || port == 0)
        return tg_fail(err, TG_USAGE, "not an address to connect to: '%.80s' port %u", host, port);
    c = conn_new(loop);
    if (!c)
        return tg_fail(err, TG_NOMEM, "connection");
    memcpy(c->host, host, strlen(host) + 1);
    c->port = port;
    c->events = events;
    c->ctx = ctx;
    *ret = c;
    if (numeric(host, port, &addr)) {
        connect_to(c, (const struct sockaddr *)&addr);
        return TG_OK;
    }
    snprintf(service, sizeof service, "%u", port);
    c->resolve.data = c;
    int status = uv_getaddrinfo(&loop->uv, &c->resolve, on_resolved, host, service, &tcp_only);

    c->resolving = status == 0;
    if (status < 0)
        conn_fail(c, status, "could not look up a name");
    return TG_OK;
}

void tg_conn_close(struct tg_conn *conn, bool reset, bool quiet)
{
    if (!conn)
        return;
    conn->quiet |= quiet;
    if (conn->state == ENDED)
        return;
    tg_fail(&conn->err, TG_CANCELLED, "connection closed");
    conn_end(conn, reset);
}

/* ---- listening ---- */

static void on_incoming(uv_stream_t *s, int status)
{
    struct tg_listener *l = s->data;
    struct tg_conn *c = status == 0 ? conn_new(l->loop) : NULL;

    if (!c)
        return;
    if (uv_accept(s, (uv_stream_t *)&c->tcp) < 0) {
        tg_conn_close(c, false, true);
        return;
    }
    c->state = CONNECTING;
    c->ctx = l->accept(l->ctx, c, &c->events);
    if (!c->events)
        tg_conn_close(c, true, true);
    else if (c->state == CONNECTING)
        conn_up(c);
}

static void on_listener_closed(uv_handle_t *h)
{
    free(h->data);
}

/* Binds to a numeric address or to the first one that a name stands for. */
static int bind_to(struct tg_listener *l, const char *host, uint16_t port)
{
    struct sockaddr_storage addr = { 0 };
    uv_getaddrinfo_t lookup;
    char service[8];
    int status;

    if (numeric(host, port, &addr))
        return uv_tcp_bind(&l->tcp, (const struct sockaddr *)&addr, 0);
    snprintf(service, sizeof service, "%u", port);
    status = uv_getaddrinfo(&l->loop->uv, &lookup, NULL, host, service, &tcp_only);
    if (status < 0)
        return status;
    status = uv_tcp_bind(&l->tcp, lookup.addrinfo->ai_addr, 0);
    uv_freeaddrinfo(lookup.addrinfo);
    return status;
}

static int bound_port(const uv_tcp_t *tcp, uint16_t *ret)
{
    struct sockaddr_storage addr = { 0 };
    int size = sizeof addr, status = uv_tcp_getsockname(tcp, (struct sockaddr *)&addr, &size);

    if (status < 0)
        return status;
    *ret = ntohs(addr.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&addr)->sin6_port
                                            : ((struct sockaddr_in *)&addr)->sin_port);
    return 0;
}

tg_code tg_listen(struct tg_loop *loop, const char *host, uint16_t port,
                  void *(*accept)(void *ctx, struct tg_conn *conn,
                                  const struct tg_conn_events **ret),
                  void *ctx, struct tg_listener **ret, uint16_t *ret_port, struct tg_error *err)
{
    struct tg_listener *l = calloc(1, sizeof *l);
    char what[HOST_MAX + 64];
    uint16_t got = 0;
    int status;

    assert(loop && accept);
    if (!l)
        return tg_fail(err, TG_NOMEM, "listener");
    uv_tcp_init(&loop->uv, &l->tcp);
    l->tcp.data = l;
    l->loop = loop;
    l->accept = accept;
    l->ctx = ctx;
    tg_link_append(&loop->listener, &l->link);
    status = bind_to(l, host, port);
    if (status == 0)
        status = uv_listen((uv_stream_t *)&l->tcp, BACKLOG, on_incoming);
    if (status == 0)
        status = bound_port(&l->tcp, &got);
    if (status < 0) {
        tg_listener_close(l);
        snprintf(what, sizeof what, "could not listen on %.255s port %u", host, port);
        tg_fail_uv(err, status, what);
        if (status == UV_EADDRINUSE)
            tg_hint(err, "another program uses that port; choose another, or 0 for a free one");
        return err->code;
    }
    *ret = l;
    if (ret_port)
        *ret_port = got;
    return TG_OK;
}

void tg_listener_close(struct tg_listener *listener)
{
    if (!listener)
        return;
    tg_link_remove(&listener->link);
    uv_close((uv_handle_t *)&listener->tcp, on_listener_closed);
}

void tg_net_close_all(struct tg_loop *loop)
{
    /* A connection leaves the ring only once it is gone, so this walks instead of popping. */
    for (struct tg_link *l = loop->conn.next; l != &loop->conn; l = l->next)
        tg_conn_close(TG_LINK_OWNER(l, struct tg_conn), false, true);
    while (!tg_link_alone(&loop->listener))
        tg_listener_close(TG_LINK_OWNER(loop->listener.next, struct tg_listener));
}

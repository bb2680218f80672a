/* SPDX-License-Identifier: MIT */
/*
 * net.c - see net.h
 *
 * After every event the client is ticked once and the timer set to its next deadline, so no other
 * place has to think about time.
 */
#include "source/net.h"

#include <assert.h>
#include <stdlib.h>

#include "source/socks.h"

enum { SOCKS_ROOM = 1024 };

struct net_link {
    struct tg_net *net;
    uint32_t index;
    struct tg_conn *conn;
    bool tunnelled;           /* past the proxy's greeting, or none needed */
    struct tg_dc_address where;
    struct net_greeting *greeting; /* with a SOCKS5 proxy; else NULL */
};

struct net_greeting {
    struct tg_socks socks;
    uint8_t in[SOCKS_ROOM];
};

struct tg_net {
    struct tg_net_options options;
    struct tg_loop *loop;
    bool own_loop;
    struct tgc *client;
    struct tg_timer *timer;
    struct tg_wake *wake;
    struct tgc_io io;
    struct net_link *link[TGC_LINKS_MAX]; /* made when first dialled; NULL until then */
    int64_t base_us;  /* Unix minus monotonic time at the start */
    int64_t timer_us; /* asked for by the owner */
    bool stepping;
};

int64_t tg_net_now(const struct tg_net *net)
{
    return net->base_us + tg_clock_mono_us();
}

struct tgc *tg_net_client(struct tg_net *net)
{
    return net->client;
}

struct tg_loop *tg_net_loop(struct tg_net *net)
{
    return net->loop;
}

/* What follows every event: the owner goes on, the client sends, the timer is set. */
void tg_net_settle(struct tg_net *net)
{
    int64_t now = tg_net_now(net), next;

    if (net->stepping)
        return;
    net->stepping = true;
    if (now >= net->timer_us)
        net->timer_us = INT64_MAX;
    if (net->options.step)
        net->options.step(net->options.ctx, now);
    now = tg_net_now(net);
    tgc_tick(net->client, now);
    if (net->options.step) /* a call may have ended in the tick, without any event */
        net->options.step(net->options.ctx, now);
    next = TG_MIN(tgc_deadline(net->client), net->timer_us);
    tg_timer_at(net->timer, next == INT64_MAX ? INT64_MAX : next - net->base_us);
    net->stepping = false;
}

static void on_timer(void *ctx)
{
    tg_net_settle(ctx);
}

/* ---- connections ---- */

static void tunnel_up(struct net_link *link)
{
    link->tunnelled = true;
    tgc_link_up(link->net->client, link->index, tg_net_now(link->net));
}

static void on_opened(void *ctx, struct tg_conn *conn)
{
    struct net_link *link = ctx;
    struct tg_net *net = link->net;
    struct tg_buf hello;

    link->conn = conn;
    if (net->options.proxy.kind != TG_PROXY_SOCKS5) {
        tunnel_up(link);
    } else {
        tg_buf_init(&hello, 1024);
        tg_socks_start(&link->greeting->socks, &net->options.proxy, &link->where, &hello);
        tg_conn_write(conn, hello.data, hello.len);
        tg_buf_wipe(&hello);
    }
    tg_net_settle(net);
}

static uint8_t *on_room(void *ctx, size_t *ret_n)
{
    struct net_link *link = ctx;

    if (link->tunnelled)
        return tgc_link_room(link->net->client, link->index, ret_n);
    *ret_n = sizeof link->greeting->in;
    return link->greeting->in;
}

static void lost(struct net_link *link, const struct tg_error *err)
{
    link->conn = NULL;
    link->tunnelled = false;
    tgc_link_down(link->net->client, link->index, err, tg_net_now(link->net));
}

static void on_socks(struct net_link *link, size_t n)
{
    struct tg_error err;
    struct tg_buf out;
    tg_code code;

    tg_buf_init(&out, 1024);
    code = tg_socks_input(&link->greeting->socks, link->greeting->in, n, &out, &err);
    if (out.len)
        tg_conn_write(link->conn, out.data, out.len);
    tg_buf_wipe(&out);
    if (code == TG_OK) {
        tunnel_up(link);
    } else if (code != TG_AGAIN) {
        tg_conn_close(link->conn, false, true);
        lost(link, &err);
    }
}

static void on_received(void *ctx, struct tg_conn *conn, size_t n)
{
    struct net_link *link = ctx;

    assert(conn == link->conn);
    if (link->tunnelled)
        tgc_link_received(link->net->client, link->index, n, tg_net_now(link->net));
    else
        on_socks(link, n);
    tg_net_settle(link->net);
}

static void on_closed(void *ctx, const struct tg_error *err)
{
    struct net_link *link = ctx;

    lost(link, err);
    tg_net_settle(link->net);
}

static const struct tg_conn_events conn_events = {
    .opened = on_opened,
    .room = on_room,
    .received = on_received,
    .closed = on_closed,
};

/* ---- what the client asks for ---- */

static void io_dial(void *ctx, uint32_t index, const struct tg_dc_address *where)
{
    struct tg_net *net = ctx;
    const struct tg_proxy *proxy = &net->options.proxy;
    bool direct = proxy->kind == TG_PROXY_NONE;
    struct net_link *link = net->link[index];
    struct tg_error err;

    if (!link)
        link = net->link[index] = calloc(1, sizeof *link);
    if (link && !link->greeting && proxy->kind == TG_PROXY_SOCKS5)
        link->greeting = calloc(1, sizeof *link->greeting);
    if (!link || (proxy->kind == TG_PROXY_SOCKS5 && !link->greeting)) {
        tg_fail(&err, TG_NOMEM, "no memory for a connection");
        tgc_link_down(net->client, index, &err, tg_net_now(net));
        return;
    }
    assert(!link->conn);
    link->net = net;
    link->index = index;
    link->where = *where;
    link->tunnelled = false;
    if (tg_conn_open(net->loop, direct ? where->host : proxy->host,
                     direct ? where->port : proxy->port, &conn_events, link, &link->conn,
                     &err) != TG_OK)
        lost(link, &err);
}

static void io_send(void *ctx, uint32_t index, const void *bytes, size_t n)
{
    struct tg_net *net = ctx;

    if (net->link[index] && net->link[index]->conn)
        tg_conn_write(net->link[index]->conn, bytes, n);
}

static void io_hang_up(void *ctx, uint32_t index)
{
    struct tg_net *net = ctx;
    struct net_link *link = net->link[index];

    if (!link)
        return;
    if (link->conn)
        tg_conn_close(link->conn, false, true);
    link->conn = NULL;
    link->tunnelled = false;
}

static void io_save(void *ctx)
{
    struct tg_net *net = ctx;

    net->options.save(net->options.ctx);
}

static void io_notice(void *ctx, const struct tgc_notice *notice)
{
    struct tg_net *net = ctx;

    net->options.notice(net->options.ctx, notice);
}

/* ---- life ---- */

static void on_signal(void *ctx, int signum)
{
    struct tg_net *net = ctx;

    net->options.on_signal(net->options.ctx, signum);
    tg_net_settle(net);
}

tg_code tg_net_new(const struct tg_net_options *options, struct tgc_options *client,
                   struct tg_net **ret, struct tg_error *err)
{
    struct tg_net *net = calloc(1, sizeof *net);
    tg_code code;

    if (!net)
        return tg_fail(err, TG_NOMEM, "no memory for connections");
    net->options = *options;
    net->base_us = tg_clock_unix_us() - tg_clock_mono_us();
    net->timer_us = INT64_MAX;
    net->io = (struct tgc_io){
        .ctx = net,
        .dial = io_dial,
        .send = io_send,
        .hang_up = io_hang_up,
        .save = io_save,
        .notice = io_notice,
    };
    if (options->proxy.kind == TG_PROXY_MTPROTO) {
        client->transport.obfuscated = client->transport.has_secret = true;
        memcpy(client->transport.secret, options->proxy.secret, 16);
        client->transport.framing = options->proxy.padded ? MT_PADDED : MT_INTERMEDIATE;
    }
    client->io = &net->io;
    net->loop = options->loop;
    net->own_loop = !options->loop;
    code = net->own_loop ? tg_loop_new(&net->loop, err) : TG_OK;
    if (code == TG_OK)
        code = tg_timer_new(net->loop, on_timer, net, &net->timer, err);
    if (code == TG_OK)
        code = tg_wake_new(net->loop, on_timer, net, &net->wake, err);
    assert(net->own_loop || !options->on_signal);
    if (code == TG_OK && options->on_signal)
        code = tg_signals_watch(net->loop, on_signal, net, err);
    if (code == TG_OK) {
        net->client = tgc_new(client, tg_net_now(net));
        if (!net->client)
            code = tg_fail(err, TG_NOMEM, "no memory for a client");
    }
    if (code != TG_OK) {
        tg_net_free(net);
        return code;
    }
    *ret = net;
    return TG_OK;
}

void tg_net_free(struct tg_net *net)
{
    if (!net)
        return;
    for (uint32_t i = 0; i < TGC_LINKS_MAX; i++)
        io_hang_up(net, i);
    tgc_free(net->client);
    tg_wake_free(net->wake);
    tg_timer_free(net->timer);
    for (uint32_t i = 0; i < TGC_LINKS_MAX; i++) {
        if (net->link[i])
            free(net->link[i]->greeting);
        free(net->link[i]);
    }
    if (net->own_loop)
        tg_loop_free(net->loop);
    explicit_bzero(&net->options.proxy, sizeof net->options.proxy);
    free(net);
}

void tg_net_run(struct tg_net *net)
{
    tg_net_settle(net);
    tg_loop_run(net->loop);
}

void tg_net_stop(struct tg_net *net)
{
    tg_loop_stop(net->loop);
}

void tg_net_timer(struct tg_net *net, int64_t at_us)
{
    net->timer_us = TG_MIN(net->timer_us, at_us);
}

void tg_net_wake(struct tg_net *net)
{
    tg_wake_send(net->wake);
}

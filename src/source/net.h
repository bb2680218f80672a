/* SPDX-License-Identifier: MIT */
/*
 * net.h - gives a client its sockets, clock and timer: the place where telegram/ meets os/
 *
 * One client, one TCP connection per DC link, directly or through a SOCKS5 proxy, on a loop of its
 * own or on one that many clients share. An
 * MTProto proxy stands in for every DC: all links dial it, and the transport's secret tells it
 * which DC is meant.
 *
 * Time given to the client is Unix time at the start plus what the monotonic clock has counted
 * since, so it never jumps.
 *
 * Threads: the loop's, but for tg_net_wake
 */
#ifndef TG_SOURCE_NET_H
#define TG_SOURCE_NET_H

#include "os/loop.h"
#include "telegram/client.h"

struct tg_net;

enum tg_proxy_kind { TG_PROXY_NONE, TG_PROXY_SOCKS5, TG_PROXY_MTPROTO };

/** Where connections go instead of straight to a DC. */
struct tg_proxy {
    enum tg_proxy_kind kind;
    char host[256];
    uint16_t port;
    char user[256], password[256]; /* SOCKS5; may be empty */
    uint8_t secret[16];            /* MTProto */
    bool padded;                   /* MTProto: a dd secret asks for padded framing */
};

/**
 * Reads "socks5://[user:password@]host:port" or "mtproto://SECRET@host:port" (secret in hex or
 * base64url, with or without the dd prefix).
 */
tg_code tg_proxy_parse(const char *url, struct tg_proxy *ret, struct tg_error *err);

struct tg_net_options {
    struct tg_loop *loop;  /* borrowed, outlives the net; NULL: one of its own */
    struct tg_proxy proxy;
    void *ctx;
    void (*save)(void *ctx);
    void (*notice)(void *ctx, const struct tgc_notice *notice);
    /* Runs on the loop after every event and at tg_net_timer: a place to go on. May be NULL. */
    void (*step)(void *ctx, int64_t now_us);
    /* Signals SIGINT and SIGTERM, if watched; may be NULL. Only on a loop of its own. */
    void (*on_signal)(void *ctx, int signum);
};

/** @param client  options of the client; io is filled in here */
tg_code tg_net_new(const struct tg_net_options *options, struct tgc_options *client,
                   struct tg_net **ret, struct tg_error *err);
void tg_net_free(struct tg_net *net); /* with its client */

struct tgc *tg_net_client(struct tg_net *net);
struct tg_loop *tg_net_loop(struct tg_net *net);
int64_t tg_net_now(const struct tg_net *net); /* the client's time */

/** As after an event: `step` runs and the client's timer is set; to be done once before the loop
 *  runs. */
void tg_net_settle(struct tg_net *net);

/** Settles, then runs the loop until tg_net_stop. */
void tg_net_run(struct tg_net *net);
void tg_net_stop(struct tg_net *net);

/** Asks for `step` at a time of the client's clock, besides the client's own deadlines. */
void tg_net_timer(struct tg_net *net, int64_t at_us);

/** From any thread: `step` runs soon. */
void tg_net_wake(struct tg_net *net);

#endif

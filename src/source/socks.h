/* SPDX-License-Identifier: MIT */
/*
 * socks.h - the client's side of a SOCKS5 greeting (RFC 1928, RFC 1929), without a socket
 *
 * Threads: none: value type
 */
#ifndef TG_SOURCE_SOCKS_H
#define TG_SOURCE_SOCKS_H

#include "source/net.h"

struct tg_socks {
    enum { TG_SOCKS_METHOD, TG_SOCKS_AUTH, TG_SOCKS_CONNECT } step;
    const struct tg_proxy *proxy;        /* borrowed */
    const struct tg_dc_address *where;   /* borrowed */
    uint8_t in[512];
    size_t n;
};

/** Appends the greeting. */
void tg_socks_start(struct tg_socks *s, const struct tg_proxy *proxy,
                    const struct tg_dc_address *where, struct tg_buf *out);

/**
 * Takes bytes of the proxy; appends what to send next.
 * @return TG_OK: the tunnel stands; TG_AGAIN; TG_NET with what the proxy said
 */
tg_code tg_socks_input(struct tg_socks *s, const void *bytes, size_t n, struct tg_buf *out,
                       struct tg_error *err);

#endif

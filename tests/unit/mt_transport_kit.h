/* SPDX-License-Identifier: MIT */
/*
 * mt_transport_kit.h - two ends of a connection, for the transport tests
 */
#ifndef MT_TRANSPORT_KIT_H
#define MT_TRANSPORT_KIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "mtproto/transport.h"

enum { BUF_MAX = 64 << 20 };

static const uint8_t secret[16] = "0123456789abcde";

/* How a client opens. */
static const struct shape {
    const char *name;
    enum mt_framing framing;
    bool obfuscated, has_secret;
} shapes[] = {
    { "abridged", MT_ABRIDGED, false, false },
    { "intermediate", MT_INTERMEDIATE, false, false },
    { "padded", MT_PADDED, false, false },
    { "full", MT_FULL, false, false },
    { "abridged, obfuscated", MT_ABRIDGED, true, false },
    { "intermediate, obfuscated", MT_INTERMEDIATE, true, false },
    { "padded, obfuscated", MT_PADDED, true, false },
    { "abridged, proxy", MT_ABRIDGED, true, true },
    { "intermediate, proxy", MT_INTERMEDIATE, true, true },
    { "padded, proxy", MT_PADDED, true, true },
};

/* Both ends of a connection and the bytes on their way. */
struct wire {
    struct tg_random_seeded seeded;
    struct tg_random random;
    struct mt_transport *client, *server;
    struct tg_buf up, down;
};

static inline void wire_open(struct wire *w, const struct shape *s, uint64_t seed)
{
    struct mt_transport_options o = { .framing = s->framing,
                                      .obfuscated = s->obfuscated,
                                      .has_secret = s->has_secret,
                                      .dc = -10002 };

    memcpy(o.secret, secret, sizeof o.secret);
    tg_random_seeded_init(&w->seeded, seed);
    w->random = tg_random_seeded(&w->seeded);
    tg_buf_init(&w->up, BUF_MAX);
    tg_buf_init(&w->down, BUF_MAX);
    w->client = mt_transport_new_client(&o, &w->random, &w->up);
    w->server = mt_transport_new_server(&w->random, s->has_secret ? secret : NULL);
    assert_non_null(w->client);
    assert_non_null(w->server);
}

static inline void wire_close(struct wire *w)
{
    mt_transport_free(w->client);
    mt_transport_free(w->server);
    tg_buf_done(&w->up);
    tg_buf_done(&w->down);
}

static inline void make_packet(uint8_t *p, size_t len)
{
    for (size_t i = 0; i < len; i++)
        p[i] = (uint8_t)(i * 7 + len / 4);
}

/* The next packet must be make_packet(len), with at most 15 bytes behind it in padded framing. */
static inline void expect_packet(const struct shape *s, struct mt_transport *t, size_t len,
                          struct mt_packet *got)
{
    uint8_t *want = malloc(len);
    struct tg_error err;

    if (mt_transport_next(t, got, &err) != TG_OK)
        fail_msg("%s: no packet of %zu bytes", s->name, len);
    assert_int_equal(got->error, 0);
    assert_false(got->is_quick_ack);
    if (s->framing == MT_PADDED)
        assert_in_range(got->len, len, len + 15);
    else
        assert_int_equal(got->len, len);
    make_packet(want, len);
    assert_memory_equal(got->at, want, len);
    free(want);
}

/* Lets the server learn what the client speaks. */
static inline void introduce(struct wire *w)
{
    struct mt_packet got;
    struct tg_error err;
    uint8_t p[20] = { 0 };

    mt_transport_write(w->client, p, sizeof p, false, &w->up);
    assert_int_equal(mt_transport_feed(w->server, w->up.data, w->up.len, &err), TG_OK);
    assert_int_equal(mt_transport_next(w->server, &got, &err), TG_OK);
    tg_buf_clear(&w->up);
}

#endif

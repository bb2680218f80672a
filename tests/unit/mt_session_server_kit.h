/* SPDX-License-Identifier: MIT */
/*
 * mt_session_server_kit.h - a client played by hand, for the tests of the server role
 */
#ifndef TESTS_UNIT_MT_SESSION_SERVER_KIT_H
#define TESTS_UNIT_MT_SESSION_SERVER_KIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "mtproto/session_server.h"
#include "tests/mt_rig.h"

enum { QUERY = 0x11223344, OBJECT = 0x55667788, QUERIES_MAX = 2048 };

struct rig {
    struct rig_wire w;
    struct mt_server *s;
    struct mt_server_conn *c;
    struct mt_transport *t;
    int64_t now;
    uint64_t session_id, last_id;
    uint32_t n_content;
    uint8_t salt[8];
    bool answers; /* at once */
    bool key_gone;
    struct mt_query query[QUERIES_MAX];
    uint32_t tag[QUERIES_MAX];
    struct mt_server_conn *asked[QUERIES_MAX];
    size_t n_queries;
    int32_t error;
    uint32_t quick_ack;
    unsigned n_outputs;
};

static inline const struct mt_key *find_key(void *ctx, const uint8_t id[8])
{
    struct rig *g = ctx;

    return !g->key_gone && memcmp(id, g->w.key.id, 8) == 0 ? &g->w.key : NULL;
}

static inline bool on_destroy_key(void *ctx, const uint8_t id[8])
{
    struct rig *g = ctx;

    (void)id;
    return !g->key_gone;
}

static inline void on_output(void *ctx, struct mt_server_conn *conn)
{
    struct rig *g = ctx;

    (void)conn;
    g->n_outputs++;
}

static inline void reply(struct rig *g, size_t i, uint32_t object)
{
    uint8_t body[4];

    tg_put_le32(body, object);
    mt_server_reply(g->asked[i], &(struct mt_reply){ .session_id = g->query[i].session_id,
                                                     .req_msg_id = g->query[i].msg_id,
                                                     .body = body, .len = 4 }, g->now);
}

static inline void on_query(void *ctx, struct mt_server_conn *conn, const struct mt_query *q)
{
    struct rig *g = ctx;
    size_t i = g->n_queries++;

    assert_true(i < QUERIES_MAX);
    assert_int_equal(tg_le32(q->body), QUERY);
    g->query[i] = *q;
    g->tag[i] = q->len >= 8 ? tg_le32(q->body + 4) : 0;
    g->asked[i] = conn;
    if (g->answers)
        reply(g, i, OBJECT);
}

/* A new connection of the same client; the old one goes unless `keep`. */
static inline void connect_rig(struct rig *g, bool keep)
{
    static const struct mt_transport_options options = { .framing = MT_INTERMEDIATE };
    struct tg_error err;
    struct tg_buf head;

    if (!keep)
        mt_server_conn_free(g->c);
    mt_transport_free(g->t);
    tg_buf_init(&head, 256);
    g->c = mt_server_conn_new(g->s, g);
    g->t = mt_transport_new_client(&options, &g->w.random, &head);
    assert_int_equal(mt_server_conn_input(g->c, head.data, head.len, g->now, &err), TG_OK);
    assert_ptr_equal(mt_server_conn_user(g->c), g);
    tg_buf_done(&head);
}

static inline struct rig *start(int64_t salt_every_us)
{
    struct rig *g = calloc(1, sizeof *g);
    struct mt_server_options options = { .random = &g->w.random, .ctx = g, .find_key = find_key,
                                         .on_query = on_query, .on_destroy_key = on_destroy_key,
                                         .on_output = on_output,
                                         .salt_every_us = salt_every_us };

    rig_wire_init(&g->w, 11);
    g->now = RIG_NOW_US;
    g->session_id = 0x0123456789abcdef;
    g->answers = true;
    g->s = mt_server_new(&options);
    assert_non_null(g->s);
    connect_rig(g, false);
    return g;
}

static inline void stop(struct rig *g)
{
    mt_server_conn_free(g->c);
    mt_server_free(g->s);
    mt_transport_free(g->t);
    rig_wire_done(&g->w);
    free(g);
}

static inline uint64_t client_id(struct rig *g)
{
    uint64_t id = rig_id(g->now, 0);

    if (id <= g->last_id)
        id = g->last_id + 4;
    return g->last_id = id;
}

/* Takes the server's output apart: messages are added to the list. */
static inline void receive(struct rig *g)
{
    struct tg_buf *out = mt_server_conn_output(g->c, g->now);
    struct mt_packet packet;
    struct tg_error err;

    assert_int_equal(mt_transport_feed(g->t, out->data, out->len, &err), TG_OK);
    tg_buf_clear(out);
    while (mt_transport_next(g->t, &packet, &err) == TG_OK) {
        if (packet.error)
            g->error = packet.error;
        else if (packet.is_quick_ack)
            g->quick_ack = packet.quick_ack;
        else
            rig_open(&g->w, MT_FROM_SERVER, &packet);
    }
}

static inline tg_code send_packet(struct rig *g, const void *packet, size_t len, bool quick)
{
    struct tg_buf framed;
    struct tg_error err;
    tg_code code;

    tg_buf_init(&framed, MT_PACKET_MAX);
    mt_transport_write(g->t, packet, len, quick, &framed);
    code = mt_server_conn_input(g->c, framed.data, framed.len, g->now, &err);
    tg_buf_done(&framed);
    return code;
}

/* Seals and sends any message; the answers are listed anew. */
static inline void send_as(struct rig *g, const struct mt_message *m)
{
    struct tg_buf packet;

    tg_buf_init(&packet, MT_PACKET_MAX);
    mt_envelope_write(&g->w.key, MT_FROM_CLIENT, m, &g->w.random, &packet, NULL);
    rig_wire_clear(&g->w);
    send_packet(g, packet.data, packet.len, false);
    receive(g);
    tg_buf_done(&packet);
}

static inline struct mt_message message(struct rig *g, const struct tg_buf *b, bool content)
{
    struct mt_message m = { .session_id = g->session_id, .msg_id = client_id(g), .body = b->data,
                            .len = (uint32_t)b->len };

    memcpy(m.salt, g->salt, 8);
    m.seq_no = content ? 2 * g->n_content++ + 1 : 2 * g->n_content;
    return m;
}

static inline uint64_t send_body(struct rig *g, const struct tg_buf *b, bool content)
{
    struct mt_message m = message(g, b, content);

    send_as(g, &m);
    return m.msg_id;
}

static inline struct tg_buf body_of(uint32_t id, const uint64_t *longs, size_t n)
{
    struct tg_buf b;

    tg_buf_init(&b, MT_PACKET_MAX);
    tg_buf_u32(&b, id);
    for (size_t i = 0; i < n; i++)
        tg_buf_u64(&b, longs[i]);
    return b;
}

static inline uint64_t send_words(struct rig *g, uint32_t id, const uint64_t *longs, size_t n)
{
    struct tg_buf b = body_of(id, longs, n);
    uint64_t msg_id = send_body(g, &b, true);

    tg_buf_done(&b);
    return msg_id;
}

static inline uint64_t send_ids(struct rig *g, uint32_t id, const uint64_t *ids, size_t n,
                                bool content)
{
    struct tg_buf b = body_of(id, NULL, 0);
    uint64_t msg_id;

    rig_ids(&b, ids, n);
    msg_id = send_body(g, &b, content);
    tg_buf_done(&b);
    return msg_id;
}

static inline uint64_t query(struct rig *g, uint32_t tag)
{
    uint64_t word = tag;

    return send_words(g, QUERY, &word, 1);
}

/* Learns the salt as a client that knows none does. */
static inline void learn_salt(struct rig *g)
{
    const struct rig_message *m;

    query(g, 0);
    m = rig_find(&g->w, MT_ID_BAD_SERVER_SALT, 0);
    assert_non_null(m);
    assert_int_equal(tg_le32(rig_body(&g->w, m) + 16), MT_BAD_SALT);
    memcpy(g->salt, rig_body(&g->w, m) + 20, 8);
    assert_int_equal(g->n_queries, 0);
}

#endif

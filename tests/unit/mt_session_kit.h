/* SPDX-License-Identifier: MIT */
/*
 * mt_session_kit.h - a server played by hand, for the tests of the client session
 */
#ifndef TESTS_UNIT_MT_SESSION_KIT_H
#define TESTS_UNIT_MT_SESSION_KIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <stdio.h>

#include <cmocka.h>

#include "mtproto/session.h"
#include "tests/mt_rig.h"

enum { EVENTS_MAX = 4096, QUERY = 0x11223344, OBJECT = 0x55667788 };

struct seen_event {
    struct mt_event event;
    uint32_t object; /* first word of the body */
    tg_code err;
    char text[64];
};

struct rig {
    struct rig_wire w;
    struct mt_session *s;
    struct mt_transport *client, *server;
    struct tg_buf out;
    struct seen_event event[EVENTS_MAX];
    size_t n_events;
    int64_t now;      /* owner's clock */
    int64_t skew;     /* server's clock minus the owner's */
    uint64_t last_id; /* of the server's messages */
    uint32_t n_content;
    uint8_t salt[8];
    bool keep;
    void *kept;
    void (*hook)(struct rig *g, const struct mt_event *e);
};

static inline void on_event(void *ctx, const struct mt_event *e)
{
    struct rig *g = ctx;
    struct seen_event *to = &g->event[g->n_events++];

    assert_true(g->n_events <= EVENTS_MAX);
    *to = (struct seen_event){ .event = *e, .object = e->len >= 4 ? tg_le32(e->body) : 0,
                               .err = e->err ? e->err->code : TG_OK };
    if (e->text)
        snprintf(to->text, sizeof to->text, "%s", e->text);
    if (g->keep && e->kind == MT_EVENT_REPLY && e->pooled)
        g->kept = mt_session_keep(g->s);
    if (g->hook)
        g->hook(g, e);
}

static inline void connect_rig(struct rig *g)
{
    static const struct mt_transport_options options = { .framing = MT_ABRIDGED };

    mt_transport_free(g->client);
    mt_transport_free(g->server);
    tg_buf_clear(&g->out);
    g->client = mt_transport_new_client(&options, &g->w.random, &g->out);
    g->server = mt_transport_new_server(&g->w.random, NULL);
    assert_non_null(g->client);
    assert_non_null(g->server);
    mt_session_connected(g->s, g->client, g->now);
}

static inline void start(struct rig *g, int64_t offset_us, bool gzip)
{
    struct mt_session_options options = { .random = &g->w.random, .on_event = on_event, .ctx = g,
                                          .gzip_requests = gzip };

    memset(g, 0, sizeof *g);
    rig_wire_init(&g->w, 7);
    tg_buf_init(&g->out, 64 << 20);
    g->now = RIG_NOW_US;
    g->skew = offset_us;
    memcpy(g->salt, "firstone", 8);
    g->s = mt_session_new(&options, &g->w.key, g->salt, offset_us);
    assert_non_null(g->s);
    connect_rig(g);
}

static inline void stop(struct rig *g)
{
    mt_session_free(g->s);
    mt_transport_free(g->client);
    mt_transport_free(g->server);
    tg_buf_done(&g->out);
    rig_wire_done(&g->w);
    free(g->kept);
    g->s = NULL;
}

/* Flushes and lists what came, anew. */
static inline void flush(struct rig *g)
{
    struct mt_packet packet;
    struct tg_error err;

    rig_wire_clear(&g->w);
    mt_session_flush(g->s, g->now, &g->out);
    assert_int_equal(mt_transport_feed(g->server, g->out.data, g->out.len, &err), TG_OK);
    tg_buf_clear(&g->out);
    while (mt_transport_next(g->server, &packet, &err) == TG_OK)
        rig_open(&g->w, MT_FROM_CLIENT, &packet);
}

static inline struct mt_session_state state_of(struct rig *g)
{
    struct mt_session_state state;

    mt_session_state(g->s, &state);
    return state;
}

static inline uint64_t call(struct rig *g, uint32_t tag)
{
    uint8_t body[8];

    tg_put_le32(body, QUERY);
    tg_put_le32(body + 4, tag);
    return mt_session_call(g->s, &(struct mt_call){ .body = body, .len = sizeof body });
}

static inline uint64_t server_id(struct rig *g)
{
    uint64_t id = rig_id(g->now + g->skew, 1);

    if (id <= g->last_id)
        id = g->last_id + 4;
    return g->last_id = id;
}

/* Seals any message as the server and hands it over. */
static inline void send_as(struct rig *g, const struct mt_message *m)
{
    struct tg_buf packet;

    tg_buf_init(&packet, MT_PACKET_MAX);
    mt_envelope_write(&g->w.key, MT_FROM_SERVER, m, &g->w.random, &packet, NULL);
    assert_false(packet.failed);
    mt_session_packet(g->s, &(struct mt_packet){ .at = packet.data, .len = packet.len }, g->now);
    tg_buf_done(&packet);
}

static inline void send_body(struct rig *g, const struct tg_buf *b, bool content)
{
    struct mt_message m = { .session_id = state_of(g).session_id, .msg_id = server_id(g),
                            .body = b->data, .len = (uint32_t)b->len };

    m.seq_no = content ? 2 * g->n_content++ + 1 : 2 * g->n_content;
    send_as(g, &m);
}

static inline void put_result(struct tg_buf *b, uint64_t msg_id)
{
    tg_buf_u32(b, MT_ID_RPC_RESULT);
    tg_buf_u64(b, msg_id);
    tg_buf_u32(b, OBJECT);
    tg_buf_u32(b, 1);
}

static inline struct tg_buf buffer(void)
{
    struct tg_buf b;

    tg_buf_init(&b, MT_PACKET_MAX);
    return b;
}

static inline void send_result(struct rig *g, uint64_t msg_id)
{
    struct tg_buf b = buffer();

    put_result(&b, msg_id);
    send_body(g, &b, true);
    tg_buf_done(&b);
}

static inline void send_words(struct rig *g, bool content, uint32_t id, const uint64_t *longs,
                              size_t n)
{
    struct tg_buf b = buffer();

    tg_buf_u32(&b, id);
    for (size_t i = 0; i < n; i++)
        tg_buf_u64(&b, longs[i]);
    send_body(g, &b, content);
    tg_buf_done(&b);
}

/* Answers the ping of the last flush. */
static inline void send_pong(struct rig *g)
{
    const struct rig_message *ping = rig_find(&g->w, MT_ID_PING_DELAY_DISCONNECT, 0);
    uint64_t body[2];

    assert_non_null(ping);
    body[0] = ping->msg_id;
    body[1] = tg_le64(rig_body(&g->w, ping) + 4);
    send_words(g, false, MT_ID_PONG, body, 2);
}

static inline void send_bad(struct rig *g, uint64_t bad_id, uint32_t code, const char *salt)
{
    struct tg_buf b = buffer();

    tg_buf_u32(&b, salt ? MT_ID_BAD_SERVER_SALT : MT_ID_BAD_MSG_NOTIFICATION);
    tg_buf_u64(&b, bad_id);
    tg_buf_u32(&b, 0);
    tg_buf_u32(&b, code);
    if (salt)
        tg_buf_add(&b, salt, 8);
    send_body(g, &b, false);
    tg_buf_done(&b);
}

static inline const struct seen_event *find_event(const struct rig *g, enum mt_event_kind kind)
{
    for (size_t i = 0; i < g->n_events; i++)
        if (g->event[i].event.kind == kind)
            return &g->event[i];
    return NULL;
}

static inline size_t count_events(const struct rig *g, enum mt_event_kind kind)
{
    size_t n = 0;

    for (size_t i = 0; i < g->n_events; i++)
        n += g->event[i].event.kind == kind;
    return n;
}

/* Connected, time known, one call on its way: where most tests begin. @return its msg_id */
static inline uint64_t begin(struct rig *g, uint64_t *ret_call)
{
    uint64_t number;

    start(g, 5, false);
    number = call(g, 1);
    flush(g);
    send_pong(g);
    if (ret_call)
        *ret_call = number;
    return rig_find(&g->w, QUERY, 0)->msg_id;
}

#endif

/* SPDX-License-Identifier: MIT */
/*
 * mt_session_server.c - the server role against a client that is played by hand: what it answers to
 * every service message, what it refuses and with which code, what it repeats, what it forgets
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "mtproto/gzip.h"
#include "mtproto/handshake_wire.h"
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

static const struct mt_key *find_key(void *ctx, const uint8_t id[8])
{
    struct rig *g = ctx;

    return !g->key_gone && memcmp(id, g->w.key.id, 8) == 0 ? &g->w.key : NULL;
}

static bool on_destroy_key(void *ctx, const uint8_t id[8])
{
    struct rig *g = ctx;

    (void)id;
    return !g->key_gone;
}

static void on_output(void *ctx, struct mt_server_conn *conn)
{
    struct rig *g = ctx;

    (void)conn;
    g->n_outputs++;
}

static void reply(struct rig *g, size_t i, uint32_t object)
{
    uint8_t body[4];

    tg_put_le32(body, object);
    mt_server_reply(g->asked[i], &(struct mt_reply){ .session_id = g->query[i].session_id,
                                                     .req_msg_id = g->query[i].msg_id,
                                                     .body = body, .len = 4 }, g->now);
}

static void on_query(void *ctx, struct mt_server_conn *conn, const struct mt_query *q)
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
static void connect_rig(struct rig *g, bool keep)
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

static struct rig *start(int64_t salt_every_us)
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

static void stop(struct rig *g)
{
    mt_server_conn_free(g->c);
    mt_server_free(g->s);
    mt_transport_free(g->t);
    rig_wire_done(&g->w);
    free(g);
}

static uint64_t client_id(struct rig *g)
{
    uint64_t id = rig_id(g->now, 0);

    if (id <= g->last_id)
        id = g->last_id + 4;
    return g->last_id = id;
}

/* Takes the server's output apart: messages are added to the list. */
static void receive(struct rig *g)
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

static tg_code send_packet(struct rig *g, const void *packet, size_t len, bool quick)
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
static void send_as(struct rig *g, const struct mt_message *m)
{
    struct tg_buf packet;

    tg_buf_init(&packet, MT_PACKET_MAX);
    mt_envelope_write(&g->w.key, MT_FROM_CLIENT, m, &g->w.random, &packet, NULL);
    rig_wire_clear(&g->w);
    send_packet(g, packet.data, packet.len, false);
    receive(g);
    tg_buf_done(&packet);
}

static struct mt_message message(struct rig *g, const struct tg_buf *b, bool content)
{
    struct mt_message m = { .session_id = g->session_id, .msg_id = client_id(g), .body = b->data,
                            .len = (uint32_t)b->len };

    memcpy(m.salt, g->salt, 8);
    m.seq_no = content ? 2 * g->n_content++ + 1 : 2 * g->n_content;
    return m;
}

static uint64_t send_body(struct rig *g, const struct tg_buf *b, bool content)
{
    struct mt_message m = message(g, b, content);

    send_as(g, &m);
    return m.msg_id;
}

static struct tg_buf body_of(uint32_t id, const uint64_t *longs, size_t n)
{
    struct tg_buf b;

    tg_buf_init(&b, MT_PACKET_MAX);
    tg_buf_u32(&b, id);
    for (size_t i = 0; i < n; i++)
        tg_buf_u64(&b, longs[i]);
    return b;
}

static uint64_t send_words(struct rig *g, uint32_t id, const uint64_t *longs, size_t n)
{
    struct tg_buf b = body_of(id, longs, n);
    uint64_t msg_id = send_body(g, &b, true);

    tg_buf_done(&b);
    return msg_id;
}

static uint64_t send_ids(struct rig *g, uint32_t id, const uint64_t *ids, size_t n, bool content)
{
    struct tg_buf b = body_of(id, NULL, 0);
    uint64_t msg_id;

    rig_ids(&b, ids, n);
    msg_id = send_body(g, &b, content);
    tg_buf_done(&b);
    return msg_id;
}

static uint64_t query(struct rig *g, uint32_t tag)
{
    uint64_t word = tag;

    return send_words(g, QUERY, &word, 1);
}

/* Learns the salt as a client that knows none does. */
static void learn_salt(struct rig *g)
{
    const struct rig_message *m;

    query(g, 0);
    m = rig_find(&g->w, MT_ID_BAD_SERVER_SALT, 0);
    assert_non_null(m);
    assert_int_equal(tg_le32(rig_body(&g->w, m) + 16), MT_BAD_SALT);
    memcpy(g->salt, rig_body(&g->w, m) + 20, 8);
    assert_int_equal(g->n_queries, 0);
}

/* ---- ordinary life ---- */

static void test_query(void **unused)
{
    struct rig *g = start(0);
    const struct rig_message *m;
    uint64_t id;

    (void)unused;
    learn_salt(g);
    id = query(g, 5);
    assert_int_equal(g->n_queries, 1);
    assert_int_equal(g->tag[0], 5);
    m = rig_find(&g->w, MT_ID_NEW_SESSION_CREATED, 0);
    assert_non_null(m);
    assert_int_equal(m->seq_no % 2, 1);
    assert_int_equal(tg_le64(rig_body(&g->w, m) + 4), id);
    assert_memory_equal(rig_body(&g->w, m) + 20, g->salt, 8);
    m = rig_find(&g->w, MT_ID_RPC_RESULT, 0);
    assert_non_null(m);
    assert_int_equal(m->msg_id % 4, 1);
    assert_int_equal(m->seq_no % 2, 1);
    assert_int_equal(m->session_id, g->session_id);
    assert_int_equal(tg_le64(rig_body(&g->w, m) + 4), id);
    assert_int_equal(tg_le32(rig_body(&g->w, m) + 12), OBJECT);
    query(g, 6);
    assert_null(rig_find(&g->w, MT_ID_NEW_SESSION_CREATED, 0));
    stop(g);
}

static void test_container_and_gzip(void **unused)
{
    struct rig *g = start(0);
    struct tg_buf inner = body_of(QUERY, NULL, 0), b = body_of(MT_ID_MSG_CONTAINER, NULL, 0);
    struct mt_gzip *gzip = mt_gzip_new();
    uint8_t zero[800] = { 0 };
    uint64_t first;

    (void)unused;
    learn_salt(g);
    tg_buf_u32(&inner, 9);
    tg_buf_add(&inner, zero, sizeof zero);
    tg_buf_u32(&b, 3);
    first = g->last_id + 4;
    for (int i = 0; i < 3; i++) {
        struct tg_buf packed;

        tg_buf_init(&packed, 4096);
        if (i == 2)
            assert_true(mt_gzip_pack(gzip, inner.data, inner.len, &packed));
        else
            tg_buf_add(&packed, inner.data, inner.len);
        tg_buf_u64(&b, client_id(g));
        tg_buf_u32(&b, 2 * g->n_content++ + 1);
        tg_buf_u32(&b, (uint32_t)packed.len);
        tg_buf_add(&b, packed.data, packed.len);
        tg_buf_done(&packed);
    }
    send_body(g, &b, false);
    assert_int_equal(g->n_queries, 3);
    assert_int_equal(g->tag[2], 9);
    assert_int_equal(g->w.n_packets, 1); /* all answers in one container */
    assert_int_equal(tg_le64(rig_body(&g->w, rig_find(&g->w, MT_ID_NEW_SESSION_CREATED, 0)) + 4),
                     first);
    assert_non_null(rig_find(&g->w, MT_ID_RPC_RESULT, 2));
    mt_gzip_free(gzip);
    tg_buf_done(&inner);
    tg_buf_done(&b);
    stop(g);
}

/* ---- refusals ---- */

static void test_refusals(void **unused)
{
    static const struct {
        const char *name;
        int64_t ahead_s;
        uint32_t id, code;
        int seq_change;
        unsigned id_change;
    } row[] = {
        { "the id is too low", -301, QUERY, MT_BAD_ID_TOO_LOW, 0, 0 },
        { "the id is too high", 31, QUERY, MT_BAD_ID_TOO_HIGH, 0, 0 },
        { "the id has low bits", 0, QUERY, MT_BAD_ID_LOW_BITS, 0, 2 },
        { "the seq_no is too low", 0, QUERY, MT_BAD_SEQ_TOO_LOW, -4, 0 },
        { "a query needs an odd seq_no", 0, QUERY, MT_BAD_SEQ_NOT_ODD, 1, 0 },
        { "an ack needs an even seq_no", 0, MT_ID_MSGS_ACK, MT_BAD_SEQ_NOT_EVEN, 0, 0 },
        { "a container needs an even seq_no", 0, MT_ID_MSG_CONTAINER, MT_BAD_SEQ_NOT_EVEN, 0, 0 },
        { "a container that is cut short", 0, MT_ID_MSG_CONTAINER, MT_BAD_CONTAINER, 1, 0 },
    };

    (void)unused;
    for (size_t i = 0; i < TG_COUNT(row); i++) {
        struct rig *g = start(0);
        struct tg_buf b = body_of(row[i].id, NULL, 0);
        const struct rig_message *m;
        struct mt_message sent;

        learn_salt(g);
        query(g, 1);
        query(g, 2);
        g->n_queries = 0;
        if (row[i].id == MT_ID_MSG_CONTAINER)
            tg_buf_u32(&b, 3);
        sent = message(g, &b, true);
        sent.seq_no += (uint32_t)row[i].seq_change;
        if (row[i].ahead_s)
            sent.msg_id = rig_id(g->now + row[i].ahead_s * TG_SECOND_US, 0);
        sent.msg_id += row[i].id_change;
        send_as(g, &sent);
        m = rig_find(&g->w, MT_ID_BAD_MSG_NOTIFICATION, 0);
        if (!m || tg_le32(rig_body(&g->w, m) + 16) != row[i].code)
            fail_msg("%s: code %u", row[i].name, m ? tg_le32(rig_body(&g->w, m) + 16) : 0);
        assert_int_equal(tg_le64(rig_body(&g->w, m) + 4), sent.msg_id);
        assert_int_equal(tg_le32(rig_body(&g->w, m) + 12), sent.seq_no);
        assert_int_equal(m->seq_no % 2, 0);
        assert_int_equal(g->n_queries, 0);
        tg_buf_done(&b);
        stop(g);
    }
}

/* A message with a lower id that comes later must have a lower seq_no. */
static void test_seq_no_too_high(void **unused)
{
    struct rig *g = start(0);
    struct tg_buf b = body_of(QUERY, NULL, 0);
    struct mt_message m;

    (void)unused;
    learn_salt(g);
    client_id(g);
    query(g, 1);
    m = message(g, &b, true);
    m.msg_id = g->last_id - 8;
    m.seq_no += 10;
    send_as(g, &m);
    assert_int_equal(
        tg_le32(rig_body(&g->w, rig_find(&g->w, MT_ID_BAD_MSG_NOTIFICATION, 0)) + 16),
        MT_BAD_SEQ_TOO_HIGH);
    tg_buf_done(&b);
    stop(g);
}

static void test_unknown_key(void **unused)
{
    struct rig *g = start(0);

    (void)unused;
    learn_salt(g);
    g->key_gone = true;
    query(g, 1);
    assert_int_equal(g->error, -404);
    assert_false(mt_server_conn_closing(g->c));
    for (int i = 0; i < 20; i++)
        query(g, 1);
    assert_true(mt_server_conn_closing(g->c)); /* not for ever */
    assert_int_equal(g->n_queries, 0);
    stop(g);
}

/* ---- repetition ---- */

static void test_query_again(void **unused)
{
    struct rig *g = start(0);
    struct tg_buf b = body_of(QUERY, (const uint64_t[]){ 7 }, 1);
    struct mt_message m;
    uint64_t answer_id, ids[2];

    (void)unused;
    learn_salt(g);
    m = message(g, &b, true);
    send_as(g, &m);
    answer_id = rig_find(&g->w, MT_ID_RPC_RESULT, 0)->msg_id;
    send_as(g, &m);
    assert_int_equal(g->n_queries, 1);
    assert_int_equal(rig_find(&g->w, MT_ID_RPC_RESULT, 0)->msg_id, answer_id); /* the same one */
    ids[0] = answer_id;
    ids[1] = 999;
    send_ids(g, MT_ID_MSGS_ACK, ids, 2, false);
    send_as(g, &m);
    assert_null(rig_find(&g->w, MT_ID_RPC_RESULT, 0)); /* acknowledged: forgotten, not run again */
    assert_int_equal(g->n_queries, 1);

    g->answers = false;
    m = message(g, &b, true);
    send_as(g, &m);
    send_as(g, &m);
    assert_int_equal(g->n_queries, 2); /* it still runs */
    reply(g, 1, OBJECT);
    reply(g, 1, OBJECT + 1);
    receive(g);
    assert_non_null(rig_find(&g->w, MT_ID_RPC_RESULT, 0));
    assert_null(rig_find(&g->w, MT_ID_RPC_RESULT, 1)); /* one answer only */
    tg_buf_done(&b);
    stop(g);
}

static void test_resent_on_reconnect(void **unused)
{
    struct rig *g = start(0);
    uint64_t answer_id, push_id;
    const struct rig_message *m;

    (void)unused;
    learn_salt(g);
    query(g, 1);
    answer_id = rig_find(&g->w, MT_ID_RPC_RESULT, 0)->msg_id;
    mt_server_push(g->c, g->session_id, "\1\2\3\4", 4, g->now);
    receive(g);
    push_id = rig_find(&g->w, 0x04030201, 0)->msg_id;
    assert_int_equal(push_id % 4, 3);
    connect_rig(g, false);
    send_words(g, MT_ID_PING, (const uint64_t[]){ 3 }, 1);
    assert_int_equal(rig_find(&g->w, MT_ID_RPC_RESULT, 0)->msg_id, answer_id);
    m = rig_find(&g->w, 0x04030201, 0);
    assert_int_equal(m->msg_id, push_id);
    assert_non_null(rig_find(&g->w, MT_ID_NEW_SESSION_CREATED, 0)); /* content-related as well */
    send_ids(g, MT_ID_MSGS_ACK, (const uint64_t[]){ answer_id, push_id }, 2, false);
    connect_rig(g, false);
    send_words(g, MT_ID_PING, (const uint64_t[]){ 4 }, 1);
    assert_null(rig_find(&g->w, MT_ID_RPC_RESULT, 0));
    assert_null(rig_find(&g->w, 0x04030201, 0));
    stop(g);
}

/* What ran for a connection that is gone runs again when asked again; elsewhere it is refused. */
static void test_orphans(void **unused)
{
    struct rig *g = start(0);
    struct tg_buf b = body_of(QUERY, (const uint64_t[]){ 7 }, 1);
    struct mt_server_conn *old;
    struct mt_message m;

    (void)unused;
    learn_salt(g);
    g->answers = false;
    m = message(g, &b, true);
    send_as(g, &m);
    connect_rig(g, false);
    send_as(g, &m);
    assert_int_equal(g->n_queries, 2);

    old = g->c;
    connect_rig(g, true);
    send_as(g, &m); /* the old connection may still answer */
    assert_int_equal(g->n_queries, 2);
    mt_server_conn_free(old);
    assert_true(g->n_outputs > 0);
    receive(g);
    assert_int_equal(tg_le32(rig_body(&g->w, rig_find(&g->w, MT_ID_RPC_RESULT, 0)) + 12),
                     MT_ID_RPC_ERROR);

    /* an answer that is given on the old connection goes to where the client is now */
    m = message(g, &b, true);
    send_as(g, &m);
    old = g->c;
    connect_rig(g, true);
    send_words(g, MT_ID_PING, (const uint64_t[]){ 4 }, 1);
    reply(g, 2, OBJECT);
    rig_wire_clear(&g->w);
    receive(g);
    assert_int_equal(tg_le64(rig_body(&g->w, rig_find(&g->w, MT_ID_RPC_RESULT, 0)) + 4), m.msg_id);
    mt_server_conn_free(old);
    tg_buf_done(&b);
    stop(g);
}

static void test_answers_bounded(void **unused)
{
    struct rig *g = start(0);

    (void)unused;
    learn_salt(g);
    for (uint32_t i = 0; i < 1500; i++)
        query(g, i);
    connect_rig(g, false);
    send_words(g, MT_ID_PING, (const uint64_t[]){ 4 }, 1);
    assert_non_null(rig_find(&g->w, MT_ID_RPC_RESULT, 900));
    assert_null(rig_find(&g->w, MT_ID_RPC_RESULT, 1001));
    stop(g);
}

/* ---- service messages ---- */

static void test_ping(void **unused)
{
    struct rig *g = start(0);
    struct tg_buf b = body_of(MT_ID_PING_DELAY_DISCONNECT, (const uint64_t[]){ 55 }, 1);
    const struct rig_message *m;
    uint64_t id;

    (void)unused;
    learn_salt(g);
    id = send_words(g, MT_ID_PING, (const uint64_t[]){ 77 }, 1);
    m = rig_find(&g->w, MT_ID_PONG, 0);
    assert_int_equal(tg_le64(rig_body(&g->w, m) + 4), id);
    assert_int_equal(tg_le64(rig_body(&g->w, m) + 12), 77);
    assert_int_equal(m->seq_no % 2, 0);
    tg_buf_u32(&b, 75);
    send_body(g, &b, false);
    assert_non_null(rig_find(&g->w, MT_ID_PONG, 0));
    mt_server_conn_tick(g->c, g->now + 74 * TG_SECOND_US);
    assert_false(mt_server_conn_closing(g->c));
    mt_server_conn_tick(g->c, g->now + 75 * TG_SECOND_US);
    assert_true(mt_server_conn_closing(g->c));
    tg_buf_done(&b);
    stop(g);
}

static void test_salts(void **unused)
{
    struct rig *g = start(0);
    struct tg_buf b = body_of(MT_ID_GET_FUTURE_SALTS, NULL, 0);
    const struct rig_message *m;
    uint8_t first[8], next[8];
    const uint8_t *list;
    uint64_t id;

    (void)unused;
    learn_salt(g);
    tg_buf_u32(&b, 64);
    id = send_body(g, &b, true);
    m = rig_find(&g->w, MT_ID_FUTURE_SALTS, 0);
    assert_non_null(m);
    assert_int_equal(m->len, 4 + 8 + 4 + 4 + 64 * 16); /* bare vector of bare salts */
    list = rig_body(&g->w, m);
    assert_int_equal(tg_le64(list + 4), id);
    assert_int_equal(tg_le32(list + 12), g->now / TG_SECOND_US);
    assert_int_equal(tg_le32(list + 16), 64);
    assert_memory_equal(list + 28, g->salt, 8); /* the one that is valid now comes first */
    memcpy(next, list + 20 + 16 + 8, 8);
    assert_int_equal(tg_le32(list + 20), g->now / TG_SECOND_US / 1800 * 1800);
    assert_int_equal(tg_le32(list + 24) - tg_le32(list + 20), 3600);
    g->now = tg_le32(list + 20 + 16) * TG_SECOND_US;
    query(g, 1);
    assert_int_equal(g->n_queries, 1); /* the old one lives half an hour longer */
    memcpy(first, g->salt, 8);
    memcpy(g->salt, next, 8);
    query(g, 2);
    assert_int_equal(g->n_queries, 2);
    g->now += 1800 * TG_SECOND_US;
    memcpy(g->salt, first, 8);
    query(g, 3);
    assert_int_equal(g->n_queries, 2);
    assert_non_null(rig_find(&g->w, MT_ID_BAD_SERVER_SALT, 0));
    memcpy(g->salt, next, 8);
    query(g, 4);
    assert_int_equal(g->n_queries, 3);
    tg_buf_done(&b);
    stop(g);
}

static void test_states(void **unused)
{
    struct rig *g = start(0);
    uint64_t id, answer_id, push_id, ids[3];
    const struct rig_message *m;
    const uint8_t *info;

    (void)unused;
    learn_salt(g);
    id = query(g, 1);
    answer_id = rig_find(&g->w, MT_ID_RPC_RESULT, 0)->msg_id;
    g->answers = false;
    ids[0] = id;
    ids[1] = query(g, 2);
    ids[2] = g->last_id + 4000;
    send_ids(g, MT_ID_MSGS_STATE_REQ, ids, 3, true);
    m = rig_find(&g->w, MT_ID_MSGS_STATE_INFO, 0);
    assert_non_null(m);
    info = rig_body(&g->w, m) + 12;
    assert_int_equal(info[0], 3);
    assert_int_equal(info[1], MT_STATE_RECEIVED | MT_STATE_RUNNING | MT_STATE_ANSWERED);
    assert_int_equal(info[2], MT_STATE_RECEIVED | MT_STATE_RUNNING);
    assert_int_equal(info[3], MT_STATE_TOO_HIGH);

    send_ids(g, MT_ID_MSG_RESEND_REQ, &answer_id, 1, true);
    assert_int_equal(rig_find(&g->w, MT_ID_RPC_RESULT, 0)->msg_id, answer_id);
    assert_null(rig_find(&g->w, MT_ID_MSGS_STATE_INFO, 0));
    send_ids(g, MT_ID_MSG_RESEND_REQ, &id, 1, true);
    assert_non_null(rig_find(&g->w, MT_ID_MSGS_STATE_INFO, 0));

    /* a minute without acknowledgement: the messages are mentioned, not repeated */
    mt_server_push(g->c, g->session_id, "\1\2\3\4", 4, g->now);
    receive(g);
    push_id = rig_find(&g->w, 0x04030201, 0)->msg_id;
    rig_wire_clear(&g->w);
    g->now += 61 * TG_SECOND_US;
    mt_server_conn_tick(g->c, g->now);
    receive(g);
    assert_non_null(rig_find(&g->w, MT_ID_MSG_DETAILED_INFO, 0));
    m = rig_find(&g->w, MT_ID_MSG_NEW_DETAILED_INFO, 1); /* new_session_created is the other */
    assert_non_null(m);
    assert_int_equal(tg_le64(rig_body(&g->w, m) + 4), push_id);
    stop(g);
}

static void test_drop_answer(void **unused)
{
    static const struct {
        const char *name;
        bool answered, acked, asked;
        uint32_t want;
    } row[] = {
        { "a query that runs", false, false, true, MT_ID_RPC_ANSWER_DROPPED_RUNNING },
        { "one that is answered", true, false, true, MT_ID_RPC_ANSWER_DROPPED },
        { "one whose answer arrived", true, true, true, MT_ID_RPC_ANSWER_UNKNOWN },
        { "one that never came", false, false, false, MT_ID_RPC_ANSWER_UNKNOWN },
    };

    (void)unused;
    for (size_t i = 0; i < TG_COUNT(row); i++) {
        struct rig *g = start(0);
        uint64_t id = 400, drop;
        size_t n = 0;

        learn_salt(g);
        g->answers = row[i].answered;
        if (row[i].asked)
            id = query(g, 1);
        if (row[i].acked)
            send_ids(g, MT_ID_MSGS_ACK, &rig_find(&g->w, MT_ID_RPC_RESULT, 0)->msg_id, 1, false);
        drop = send_words(g, MT_ID_RPC_DROP_ANSWER, &id, 1);
        for (size_t k = 0; k < g->w.n; k++) {
            const struct rig_message *m = &g->w.message[k];
            uint64_t to = m->id == MT_ID_RPC_RESULT ? tg_le64(rig_body(&g->w, m) + 4) : 0;

            if (to == drop) {
                if (tg_le32(rig_body(&g->w, m) + 12) != row[i].want)
                    fail_msg("%s", row[i].name);
                n++;
            } else if (to == id) {
                assert_int_equal(tg_le32(rig_body(&g->w, m) + 12),
                                 MT_ID_RPC_ANSWER_DROPPED_RUNNING);
            }
        }
        assert_int_equal(n, 1);
        rig_wire_clear(&g->w);
        if (row[i].asked && !row[i].answered)
            reply(g, 0, OBJECT);
        receive(g);
        assert_null(rig_find(&g->w, MT_ID_RPC_RESULT, 0)); /* nobody wants it any more */
        stop(g);
    }
}

static void test_destroy(void **unused)
{
    struct rig *g = start(0);
    uint64_t old = g->session_id;

    (void)unused;
    learn_salt(g);
    query(g, 1);
    g->session_id++;
    g->n_content = 0;
    send_words(g, MT_ID_DESTROY_SESSION, &old, 1);
    assert_int_equal(tg_le64(rig_body(&g->w, rig_find(&g->w, MT_ID_DESTROY_SESSION_OK, 0)) + 4),
                     old);
    send_words(g, MT_ID_DESTROY_SESSION, &old, 1);
    assert_non_null(rig_find(&g->w, MT_ID_DESTROY_SESSION_NONE, 0));
    send_words(g, MT_ID_DESTROY_SESSION, &g->session_id, 1); /* never itself */
    assert_non_null(rig_find(&g->w, MT_ID_DESTROY_SESSION_NONE, 0));
    send_words(g, MT_ID_DESTROY_AUTH_KEY, NULL, 0);
    assert_non_null(rig_find(&g->w, MT_ID_DESTROY_AUTH_KEY_OK, 0));
    send_words(g, MT_ID_HTTP_WAIT, (const uint64_t[]){ 0, 0 }, 2);
    assert_int_equal(g->n_queries, 1);
    stop(g);
}

static void test_acks(void **unused)
{
    struct rig *g = start(0);
    const struct rig_message *m;

    (void)unused;
    learn_salt(g);
    g->answers = false;
    query(g, 1);
    query(g, 2);
    assert_null(rig_find(&g->w, MT_ID_MSGS_ACK, 0));
    rig_wire_clear(&g->w);
    reply(g, 0, OBJECT); /* an answer acknowledges its query */
    g->now += 11 * TG_SECOND_US;
    assert_true(mt_server_conn_deadline(g->c) <= g->now);
    mt_server_conn_tick(g->c, g->now);
    receive(g);
    m = rig_find(&g->w, MT_ID_MSGS_ACK, 0);
    assert_non_null(m);
    assert_int_equal(tg_le32(rig_body(&g->w, m) + 8), 1);
    assert_int_equal(tg_le64(rig_body(&g->w, m) + 12), g->query[1].msg_id);
    stop(g);
}

static void test_quick_ack(void **unused)
{
    struct rig *g = start(0);
    struct tg_buf b = body_of(QUERY, NULL, 0), packet;
    struct mt_message m;
    uint32_t token;

    (void)unused;
    learn_salt(g);
    m = message(g, &b, true);
    tg_buf_init(&packet, 4096);
    mt_envelope_write(&g->w.key, MT_FROM_CLIENT, &m, &g->w.random, &packet, &token);
    send_packet(g, packet.data, packet.len, true);
    receive(g);
    assert_int_equal(g->quick_ack, token);
    tg_buf_done(&packet);
    tg_buf_done(&b);
    stop(g);
}

/* ---- faults on demand ---- */

static void test_faults(void **unused)
{
    struct rig *g = start(0);
    const struct rig_message *m;

    (void)unused;
    learn_salt(g);
    query(g, 1);
    mt_server_fault(g->c, MT_FAULT_BAD_SALT);
    send_words(g, MT_ID_PING, (const uint64_t[]){ 4 }, 1);
    assert_non_null(rig_find(&g->w, MT_ID_PONG, 0)); /* waits for a query */
    query(g, 2);
    assert_non_null(rig_find(&g->w, MT_ID_BAD_SERVER_SALT, 0));
    mt_server_fault(g->c, MT_FAULT_CLOCK_BEHIND);
    query(g, 3);
    m = rig_find(&g->w, MT_ID_BAD_MSG_NOTIFICATION, 0);
    assert_int_equal(tg_le32(rig_body(&g->w, m) + 16), MT_BAD_ID_TOO_HIGH);
    assert_int_equal(g->n_queries, 1);
    mt_server_fault(g->c, MT_FAULT_DUPLICATE);
    query(g, 4);
    assert_int_equal(g->w.n_packets, 2);
    assert_int_equal(rig_find(&g->w, MT_ID_RPC_RESULT, 0)->msg_id,
                     rig_find(&g->w, MT_ID_RPC_RESULT, 1)->msg_id);
    mt_server_fault(g->c, MT_FAULT_NEW_SESSION);
    query(g, 5);
    assert_non_null(rig_find(&g->w, MT_ID_NEW_SESSION_CREATED, 0));

    mt_server_fault(g->c, MT_FAULT_REORDER);
    query(g, 6);
    assert_int_equal(g->w.n, 0);
    query(g, 7);
    assert_int_equal(g->w.n, 2);
    assert_true(g->w.message[0].msg_id > g->w.message[1].msg_id);
    mt_server_fault(g->c, MT_FAULT_REORDER);
    query(g, 8);
    assert_int_equal(g->w.n, 0);
    g->now = mt_server_conn_deadline(g->c);
    mt_server_conn_tick(g->c, g->now);
    receive(g);
    assert_int_equal(g->w.n, 1); /* or the tick */

    mt_server_fault(g->c, MT_FAULT_TRANSPORT_429);
    receive(g);
    assert_int_equal(g->error, -429);
    assert_true(mt_server_conn_closing(g->c));
    stop(g);
}

static void test_garbage(void **unused)
{
    struct rig *g = start(0);
    struct tg_buf b = body_of(QUERY, NULL, 0), packet;
    struct mt_packet got;
    struct mt_message m;
    struct tg_error err;

    (void)unused;
    learn_salt(g);
    mt_server_fault(g->c, MT_FAULT_GARBAGE);
    m = message(g, &b, true);
    tg_buf_init(&packet, 4096);
    mt_envelope_write(&g->w.key, MT_FROM_CLIENT, &m, &g->w.random, &packet, NULL);
    send_packet(g, packet.data, packet.len, false);
    struct tg_buf *out = mt_server_conn_output(g->c, g->now);
    assert_int_equal(mt_transport_feed(g->t, out->data, out->len, &err), TG_OK);
    assert_int_equal(mt_transport_next(g->t, &got, &err), TG_OK);
    assert_int_equal(mt_envelope_open(&g->w.key, MT_FROM_SERVER, false, got.at, got.len, &m, &err),
                     TG_SECURITY);
    tg_buf_done(&packet);
    tg_buf_done(&b);
    stop(g);
}

/* ---- plain packets ---- */

/* Sends one plain message and reads the answer. @return its body; NULL if it was a -404 */
static const uint8_t *plain(struct rig *g, const struct tg_buf *body, size_t *ret_n)
{
    struct tg_buf packet, *out;
    struct mt_packet got;
    struct mt_message m;
    struct tg_error err;

    tg_buf_init(&packet, 8192);
    mt_plain_write(client_id(g), body->data, body->len, &packet);
    send_packet(g, packet.data, packet.len, false);
    tg_buf_done(&packet);
    out = mt_server_conn_output(g->c, g->now);
    assert_int_equal(mt_transport_feed(g->t, out->data, out->len, &err), TG_OK);
    tg_buf_clear(out);
    assert_int_equal(mt_transport_next(g->t, &got, &err), TG_OK);
    if (got.error) {
        assert_int_equal(got.error, -404);
        return NULL;
    }
    assert_int_equal(mt_plain_open(got.at, got.len, &m, &err), TG_OK);
    assert_int_equal(m.msg_id % 4, 1);
    *ret_n = m.len;
    return m.body;
}

static void on_key(void *ctx, const struct mt_handshake_result *made)
{
    struct rig *g = ctx;

    g->w.key = made->key;
    memcpy(g->salt, made->salt, 8);
    g->n_outputs++;
}

/* Two handshakes take turns on one connection; either key works at once with its first salt. */
static void test_handshakes(void **unused)
{
    struct rig *g = start(0);
    struct tg_rsa_private *rsa = tg_rsa_private_generate(&g->w.random);
    struct mt_server_options options = { .random = &g->w.random, .ctx = g, .find_key = find_key,
                                         .on_query = on_query, .on_key = on_key, .rsa = rsa };
    struct mt_handshake *h[2];
    struct tg_buf say[2], stray;
    tg_code code = TG_AGAIN;
    size_t n;

    (void)unused;
    assert_non_null(rsa);
    mt_server_conn_free(g->c);
    g->c = NULL;
    mt_server_free(g->s);
    g->s = mt_server_new(&options);
    connect_rig(g, false);
    for (int i = 0; i < 2; i++) {
        tg_buf_init(&say[i], 8192);
        h[i] = mt_handshake_new(
            &(struct mt_handshake_options){ .rsa = tg_rsa_private_public(rsa), .n_rsa = 1, .dc = 2,
                                            .temp_expires_in = i ? 3600 : 0 },
            &g->w.random, &say[i]);
        assert_non_null(h[i]);
    }
    tg_buf_init(&stray, 256);
    tg_buf_u32(&stray, MT_ID_REQ_DH); /* belongs to no handshake */
    tg_buf_add(&stray, "nonce of 16 byte", 16);
    assert_null(plain(g, &stray, &n));
    for (int round = 0; round < 3; round++)
        for (int i = 0; i < 2; i++) {
            struct mt_handshake_result made;
            struct tg_error err;
            const uint8_t *body = plain(g, &say[i], &n);

            assert_non_null(body);
            tg_buf_clear(&say[i]);
            code = mt_handshake_input(h[i], body, n, g->now / TG_SECOND_US, &say[i], &made, &err);
            assert_int_equal(code, round < 2 ? TG_AGAIN : TG_OK);
            if (round < 2)
                continue;
            assert_memory_equal(made.key.key, g->w.key.key, 256);
            assert_memory_equal(made.salt, g->salt, 8);
            g->last_id = 0;
            g->n_content = 0;
            g->session_id++;
            query(g, 1);
            assert_int_equal(g->n_queries, (size_t)i + 1);
        }
    assert_int_equal(g->n_outputs, 2);
    for (int i = 0; i < 2; i++) {
        mt_handshake_free(h[i]);
        tg_buf_done(&say[i]);
    }
    tg_buf_done(&stray);
    stop(g);
    tg_rsa_private_free(rsa);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_query),
        cmocka_unit_test(test_container_and_gzip),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_seq_no_too_high),
        cmocka_unit_test(test_unknown_key),
        cmocka_unit_test(test_query_again),
        cmocka_unit_test(test_resent_on_reconnect),
        cmocka_unit_test(test_orphans),
        cmocka_unit_test(test_answers_bounded),
        cmocka_unit_test(test_ping),
        cmocka_unit_test(test_salts),
        cmocka_unit_test(test_states),
        cmocka_unit_test(test_drop_answer),
        cmocka_unit_test(test_destroy),
        cmocka_unit_test(test_acks),
        cmocka_unit_test(test_quick_ack),
        cmocka_unit_test(test_faults),
        cmocka_unit_test(test_garbage),
        cmocka_unit_test(test_handshakes),
    };

    return cmocka_run_group_tests_name("mt_session_server", tests, NULL, NULL);
}

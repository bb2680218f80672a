/* SPDX-License-Identifier: MIT */
/*
 * mt_session_server.c - the server role against a client that is played by hand: what it answers,
 * what it refuses and with which code, what it repeats, what it forgets, faults on demand
 */
#include "mtproto/gzip.h"
#include "mtproto/handshake_wire.h"
#include "tests/unit/mt_session_server_kit.h"

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

/* A message that comes as a copy runs as itself: once, whichever way it comes again. */
static void test_copy(void **unused)
{
    struct rig *g = start(0);
    struct tg_buf b = body_of(QUERY, (const uint64_t[]){ 7 }, 1), copy, nested;
    struct mt_message m;

    (void)unused;
    learn_salt(g);
    m = message(g, &b, true);
    copy = body_of(MT_ID_MSG_COPY, &m.msg_id, 1);
    tg_buf_u32(&copy, m.seq_no);
    tg_buf_u32(&copy, m.len);
    tg_buf_add(&copy, m.body, m.len);
    send_body(g, &copy, false);
    assert_int_equal(g->n_queries, 1);
    assert_int_equal(g->query[0].msg_id, m.msg_id);
    assert_int_equal(g->tag[0], 7);
    assert_int_equal(tg_le64(rig_body(&g->w, rig_find(&g->w, MT_ID_RPC_RESULT, 0)) + 4), m.msg_id);
    send_body(g, &copy, false);
    send_as(g, &m);
    assert_int_equal(g->n_queries, 1);
    assert_non_null(rig_find(&g->w, MT_ID_RPC_RESULT, 0)); /* its answer again */

    m = message(g, &b, true); /* a copy of a copy is none */
    copy.len = 4;
    tg_buf_u64(&copy, m.msg_id);
    tg_buf_u32(&copy, m.seq_no);
    tg_buf_u32(&copy, m.len);
    tg_buf_add(&copy, m.body, m.len);
    m = message(g, &copy, false);
    nested = body_of(MT_ID_MSG_COPY, &m.msg_id, 1);
    tg_buf_u32(&nested, m.seq_no);
    tg_buf_u32(&nested, m.len);
    tg_buf_add(&nested, m.body, m.len);
    send_body(g, &nested, false);
    assert_int_equal(g->n_queries, 1);

    copy.len -= 4; /* one that is cut short neither */
    send_body(g, &copy, false);
    assert_int_equal(g->n_queries, 1);
    tg_buf_done(&nested);
    tg_buf_done(&copy);
    tg_buf_done(&b);
    stop(g);
}

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
    assert_null(rig_find(&g->w, MT_ID_PONG, 1)); /* what needs no acknowledgement goes once */
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

/* An answer that is given while the client has no connection is lost: the query runs again, though
 * the connection that it ran for is still there. */
static void test_answer_without_connection(void **unused)
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
    old = g->c;
    connect_rig(g, true);
    send_as(g, &m);
    mt_server_conn_free(g->c);
    g->c = NULL;
    reply(g, 0, OBJECT);
    g->answers = true;
    connect_rig(g, false);
    send_as(g, &m);
    assert_int_equal(g->n_queries, 2);
    assert_int_equal(tg_le32(rig_body(&g->w, rig_find(&g->w, MT_ID_RPC_RESULT, 0)) + 12), OBJECT);
    mt_server_conn_free(old);
    tg_buf_done(&b);
    stop(g);
}

/* 1024 messages fit a container, no more. */
static void test_container_limit(void **unused)
{
    (void)unused;
    for (uint32_t n = MT_CONTAINER_MAX; n <= MT_CONTAINER_MAX + 1; n++) {
        struct rig *g = start(0);
        struct tg_buf b = body_of(MT_ID_MSG_CONTAINER, NULL, 0);
        const struct rig_message *m;

        learn_salt(g);
        tg_buf_u32(&b, n);
        for (uint32_t i = 0; i < n; i++) {
            tg_buf_u64(&b, client_id(g));
            tg_buf_u32(&b, 2 * g->n_content++ + 1);
            tg_buf_u32(&b, 4);
            tg_buf_u32(&b, QUERY);
        }
        send_body(g, &b, false);
        m = rig_find(&g->w, MT_ID_BAD_MSG_NOTIFICATION, 0);
        assert_int_equal(g->n_queries, n > MT_CONTAINER_MAX ? 0 : n);
        assert_int_equal(m ? tg_le32(rig_body(&g->w, m) + 16) : 0,
                         n > MT_CONTAINER_MAX ? MT_BAD_CONTAINER : 0);
        tg_buf_done(&b);
        stop(g);
    }
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
    connect_rig(g, false);
    query(g, 9);
    mt_server_fault(g->c, MT_FAULT_TRANSPORT_444);
    receive(g);
    assert_int_equal(g->error, -444);
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

/* Sends one plain message and reads the answer. @return its body; NULL if it was an error */
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
    g->error = got.error;
    if (got.error)
        return NULL;
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
    assert_int_equal(g->error, -404);
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

/* A server of DC 2 that makes keys; free rsa after stop. */
static struct rig *start_dc(struct tg_rsa_private **ret_rsa)
{
    struct rig *g = start(0);
    struct mt_server_options options = { .random = &g->w.random, .ctx = g, .find_key = find_key,
                                         .on_query = on_query, .on_key = on_key, .dc = 2 };

    options.rsa = *ret_rsa = tg_rsa_private_generate(&g->w.random);
    assert_non_null(*ret_rsa);
    mt_server_conn_free(g->c);
    g->c = NULL;
    mt_server_free(g->s);
    g->s = mt_server_new(&options);
    connect_rig(g, false);
    return g;
}

/* A key is made for this DC only, as whatever kind of it the client names it. */
static void test_wrong_dc(void **unused)
{
    static const struct {
        int32_t dc, error;
    } row[] = { { 2, 0 }, { -2, 0 }, { 10002, 0 }, { 3, -444 }, { -4, -444 }, { 10001, -444 } };
    struct tg_rsa_private *rsa;
    struct rig *g = start_dc(&rsa);

    (void)unused;
    for (size_t i = 0; i < TG_COUNT(row); i++) {
        struct mt_handshake_options options = { .rsa = tg_rsa_private_public(rsa), .n_rsa = 1,
                                                .dc = row[i].dc };
        struct mt_handshake_result made;
        struct mt_handshake *h;
        struct tg_error err;
        struct tg_buf say;
        const uint8_t *body;
        size_t n;

        tg_buf_init(&say, 8192);
        h = mt_handshake_new(&options, &g->w.random, &say);
        body = plain(g, &say, &n);
        tg_buf_clear(&say);
        assert_int_equal(mt_handshake_input(h, body, n, g->now / TG_SECOND_US, &say, &made, &err),
                         TG_AGAIN);
        body = plain(g, &say, &n);
        assert_int_equal(body == NULL, row[i].error != 0);
        assert_int_equal(g->error, row[i].error);
        mt_handshake_free(h);
        tg_buf_done(&say);
    }
    stop(g);
    tg_rsa_private_free(rsa);
}

/* A client whose connection breaks goes on with its handshake on the next one: what was answered is
 * answered alike, for 10 minutes. */
static void test_handshake_across_connections(void **unused)
{
    struct tg_rsa_private *rsa;
    struct rig *g = start_dc(&rsa);
    struct mt_handshake_options options = { .rsa = tg_rsa_private_public(rsa), .n_rsa = 1,
                                            .dc = 2 };
    struct mt_handshake_result made;
    struct mt_handshake *h;
    struct tg_buf say, first;
    tg_code code = TG_AGAIN;
    struct tg_error err;
    const uint8_t *body;
    size_t n;

    (void)unused;
    tg_buf_init(&say, 8192);
    tg_buf_init(&first, 8192);
    h = mt_handshake_new(&options, &g->w.random, &say);
    while (code == TG_AGAIN) {
        body = plain(g, &say, &n);
        assert_non_null(body);
        tg_buf_clear(&first);
        tg_buf_add(&first, body, n);
        connect_rig(g, false); /* that answer did not arrive */
        g->now += 60 * TG_SECOND_US;
        body = plain(g, &say, &n);
        assert_non_null(body);
        assert_int_equal(n, first.len);
        assert_memory_equal(body, first.data, n);
        if (g->n_outputs) { /* the key is made: its answer is kept, but not for ever */
            g->now += 600 * TG_SECOND_US;
            tg_buf_clear(&first);
            assert_null(plain(g, &say, &n));
            assert_int_equal(g->error, -404);
        }
        if (g->n_outputs)
            break;
        tg_buf_clear(&say);
        code = mt_handshake_input(h, body, n, g->now / TG_SECOND_US, &say, &made, &err);
    }
    assert_int_equal(g->n_outputs, 1); /* one key, whatever was asked twice */
    mt_handshake_free(h);
    tg_buf_done(&say);
    tg_buf_done(&first);
    stop(g);
    tg_rsa_private_free(rsa);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_query),
        cmocka_unit_test(test_container_and_gzip),
        cmocka_unit_test(test_copy),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_seq_no_too_high),
        cmocka_unit_test(test_unknown_key),
        cmocka_unit_test(test_query_again),
        cmocka_unit_test(test_resent_on_reconnect),
        cmocka_unit_test(test_orphans),
        cmocka_unit_test(test_answer_without_connection),
        cmocka_unit_test(test_container_limit),
        cmocka_unit_test(test_answers_bounded),
        cmocka_unit_test(test_faults),
        cmocka_unit_test(test_garbage),
        cmocka_unit_test(test_handshakes),
        cmocka_unit_test(test_wrong_dc),
        cmocka_unit_test(test_handshake_across_connections),
    };

    return cmocka_run_group_tests_name("mt_session_server", tests, NULL, NULL);
}

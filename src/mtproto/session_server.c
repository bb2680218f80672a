/* SPDX-License-Identifier: MIT */
/*
 * session_server.c - the server role: data centre, connections, handshakes, replies, faults; see
 * session_server.h and session_server_impl.h
 *
 * Threads: none: one caller      See also: docs/internals/mtproto-session.md
 */
#include "mtproto/session_server_impl.h"

#include "mtproto/handshake_wire.h"

#include <assert.h>
#include <stdlib.h>

enum { NONCE_AT = 4, NONCE = 16 };
enum { ERROR_UNKNOWN = -404, ERROR_TOO_MANY = -429, ERROR_WRONG_DC = -444 };

static void set_time(struct mt_server *s, int64_t now_us)
{
    /* The server's clock is right by definition, so a leap is no reason for doubt here. */
    s->clock.started = true;
    s->clock.local_us = s->clock.wall_us = TG_MAX(now_us, INT64_C(0));
}

/* ---- data centre ---- */

struct mt_server *mt_server_new(const struct mt_server_options *options)
{
    struct mt_server *s = calloc(1, sizeof *s);

    if (!s)
        return NULL;
    assert(options->find_key && options->on_query && options->random);
    s->options = *options;
    s->secret = tg_random_u64(options->random);
    tg_buf_init(&s->scratch, MT_PACKET_MAX);
    tg_buf_init(&s->packet, MT_PACKET_MAX);
    s->gzip = mt_gzip_new();
    if (!s->gzip) {
        free(s);
        return NULL;
    }
    return s;
}

void mt_server_free(struct mt_server *s)
{
    if (!s)
        return;
    while (s->first)
        mt_srv_forget(s, s->first);
    for (size_t i = 0; i < MT_SRV_HANDSHAKES_MAX; i++)
        mt_handshake_server_free(s->handshake[i].h);
    mt_idmap_done(&s->sessions);
    tg_buf_done(&s->scratch);
    tg_buf_done(&s->packet);
    mt_gzip_free(s->gzip);
    explicit_bzero(s, sizeof *s);
    free(s);
}

/* ---- connections ---- */

struct mt_server_conn *mt_server_conn_new(struct mt_server *s, void *user)
{
    struct mt_server_conn *c = calloc(1, sizeof *c);

    if (!c)
        return NULL;
    c->server = s;
    c->user = user;
    c->number = ++s->last_conn;
    tg_buf_init(&c->out, MT_SRV_OUT_MAX);
    c->transport = mt_transport_new_server(s->options.random, s->options.proxy_secret);
    if (!c->transport) {
        free(c);
        return NULL;
    }
    return c;
}

/* Wakes the owner of another connection that has something to send now. */
static void wake(struct mt_server_conn *from, struct mt_srv_session *x)
{
    const struct mt_server_options *o = &from->server->options;

    if (x->conn && x->conn != from && o->on_output)
        o->on_output(o->ctx, x->conn);
}

/* A query that runs no more and was not answered: the client's repetition runs it. */
static void forget_query(struct mt_srv_session *x, uint64_t msg_id)
{
    x->n_running--;
    mt_srv_unack(x, msg_id);
    mt_seen_remove(&x->seen, msg_id);
}

/* Queues rpc_result for a query, unless it was answered already or nobody wants the answer. */
static void answer(struct mt_srv_session *x, const struct mt_reply *reply)
{
    struct mt_seen_entry *e = mt_seen_find(&x->seen, reply->req_msg_id);
    struct mt_srv_msg *m;

    if ((e && !(e->flag & MT_QUERY_RUNNING)) ||
        (!e && mt_idmap_get(&x->by_req, reply->req_msg_id)))
        return;
    m = x->conn ? mt_srv_add(x, true, reply->req_msg_id, NULL, 12 + reply->len) : NULL;
    if (!m) { /* no connection to answer on, or it is lost for want of room */
        if (e)
            forget_query(x, reply->req_msg_id);
        return;
    }
    if (e) {
        e->flag = MT_QUERY_ANSWERED;
        x->n_running--;
    }
    mt_srv_unack(x, reply->req_msg_id); /* the answer says as much */
    tg_put_le32(m->body, MT_ID_RPC_RESULT);
    tg_put_le64(m->body + 4, reply->req_msg_id);
    if (reply->len)
        memcpy(m->body + 12, reply->body, reply->len);
    m->answer = mt_idmap_put(&x->by_req, reply->req_msg_id, m);
}

static void answer_error(struct mt_srv_session *x, uint64_t req_msg_id, int32_t code,
                         const char *text)
{
    size_t len = TG_MIN(strlen(text), (size_t)253);
    struct tg_buf body;

    tg_buf_init(&body, 512);
    tg_buf_u32(&body, MT_ID_RPC_ERROR);
    tg_buf_u32(&body, (uint32_t)code);
    tg_buf_byte(&body, (uint8_t)len);
    tg_buf_add(&body, text, len);
    while (body.len % 4)
        tg_buf_byte(&body, 0);
    if (!body.failed)
        answer(x, &(struct mt_reply){ .req_msg_id = req_msg_id, .body = body.data,
                                      .len = body.len });
    tg_buf_done(&body);
}

/*
 * Queries that ran for a connection have nobody left to answer them. They are forgotten, so that
 * the client's repetition runs them; where it has repeated them already on its new connection and
 * will not again, it is told to try once more.
 */
static void orphan_queries(struct mt_server_conn *c, struct mt_srv_session *x)
{
    for (size_t i = x->seen.n; i-- > 0;) {
        struct mt_seen_entry *e = &x->seen.at[x->seen.head + i];

        if (!(e->flag & MT_QUERY_RUNNING) || e->tag != c->number)
            continue;
        if (e->flag & MT_QUERY_MOVED && x->conn && x->conn != c) {
            answer_error(x, e->id, -503, "Timeout");
            wake(c, x);
            continue;
        }
        forget_query(x, e->id);
    }
}

void mt_server_conn_free(struct mt_server_conn *c)
{
    if (!c)
        return;
    for (struct mt_srv_session *x = c->server->first; x; x = x->next)
        if (x->n_running)
            orphan_queries(c, x);
    while (c->sessions)
        mt_srv_detach(c->sessions);
    mt_transport_free(c->transport);
    tg_buf_done(&c->out);
    free(c->held);
    free(c);
}

void *mt_server_conn_user(const struct mt_server_conn *c)
{
    return c->user;
}

/* ---- plain packets: handshakes ---- */

/* A client that lost its connection may go on, or ask again, on another. */
static struct mt_srv_handshake *find_handshake(struct mt_server *s, const uint8_t *nonce)
{
    for (size_t i = 0; i < MT_SRV_HANDSHAKES_MAX; i++)
        if (s->handshake[i].h && memcmp(s->handshake[i].nonce, nonce, NONCE) == 0)
            return &s->handshake[i];
    return NULL;
}

/* Starts a handshake in the place of the oldest one. */
static struct mt_srv_handshake *new_handshake(struct mt_server *s, const uint8_t *nonce)
{
    struct mt_srv_handshake *slot = &s->handshake[s->handshake_at++ % MT_SRV_HANDSHAKES_MAX];
    struct mt_handshake_server_options options = { .rsa = s->options.rsa,
                                                   .retries = s->options.handshake_retries,
                                                   .dc = s->options.dc };

    mt_handshake_server_free(slot->h);
    slot->h = mt_handshake_server_new(&options, s->options.random);
    memcpy(slot->nonce, nonce, NONCE);
    return slot->h ? slot : NULL;
}

static void plain_answer(struct mt_server_conn *c, const struct tg_buf *body)
{
    struct mt_server *s = c->server;

    s->clock.last_id = s->plain_id;
    s->plain_id = mt_clock_id(&s->clock, 1);
    tg_buf_clear(&s->packet);
    mt_plain_write(s->plain_id, body->data, body->len, &s->packet);
    if (!s->packet.failed)
        mt_transport_write(c->transport, s->packet.data, s->packet.len, false, &c->out);
}

/* @return 0, or the transport error to answer with */
static int32_t on_plain(struct mt_server_conn *c, struct mt_packet *packet)
{
    const struct mt_server_options *o = &c->server->options;
    struct mt_handshake_result made;
    struct mt_srv_handshake *slot;
    struct mt_message m;
    struct tg_error err;
    struct tg_buf body;
    uint32_t id;
    tg_code code;

    if (mt_plain_open(packet->at, packet->len, &m, &err) != TG_OK || m.len < NONCE_AT + NONCE)
        return ERROR_UNKNOWN;
    id = tg_le32(m.body);
    slot = find_handshake(c->server, m.body + NONCE_AT);
    if (!slot && (id == MT_ID_REQ_PQ || id == MT_ID_REQ_PQ_MULTI))
        slot = new_handshake(c->server, m.body + NONCE_AT);
    if (!slot)
        return ERROR_UNKNOWN;
    tg_buf_init(&body, 4096);
    code = mt_handshake_server_input(slot->h, m.body, m.len,
                                     mt_clock_peer_us(&c->server->clock) / TG_SECOND_US, &body,
                                     &made, &err);
    if ((code == TG_OK || code == TG_AGAIN) && !body.failed)
        plain_answer(c, &body);
    if (code == TG_OK) {
        mt_srv_key_made(c->server, made.key.id, made.salt);
        if (o->on_key)
            o->on_key(o->ctx, &made);
        explicit_bzero(&made, sizeof made);
    } else if (code != TG_AGAIN) { /* its nonce is unknown from now on, so every step gets -404 */
        mt_handshake_server_free(slot->h);
        slot->h = NULL;
    }
    tg_buf_done(&body);
    if (code == TG_OK || code == TG_AGAIN)
        return 0;
    return code == TG_NOT_FOUND ? ERROR_WRONG_DC : ERROR_UNKNOWN;
}

/* ---- input and output ---- */

static void on_packet(struct mt_server_conn *c, struct mt_packet *packet)
{
    int32_t error = 0;

    if (mt_is_plain(packet->at, packet->len))
        error = on_plain(c, packet);
    else if (!mt_srv_packet(c, packet))
        error = ERROR_UNKNOWN;
    if (!error)
        return;
    mt_transport_write_error(c->transport, error, &c->out);
    if (++c->n_errors > MT_SRV_ERRORS_MAX)
        c->closing = true;
}

tg_code mt_server_conn_input(struct mt_server_conn *c, const void *bytes, size_t n, int64_t now_us,
                             struct tg_error *err)
{
    struct mt_packet packet;
    tg_code code;

    set_time(c->server, now_us);
    if (c->closing)
        return tg_fail(err, TG_NET, "the connection is closing");
    code = mt_transport_feed(c->transport, bytes, n, err);
    while (code == TG_OK && !c->closing &&
           (code = mt_transport_next(c->transport, &packet, err)) == TG_OK)
        if (packet.at)
            on_packet(c, &packet);
    if (code != TG_OK && code != TG_AGAIN) {
        c->closing = true;
        return code;
    }
    return c->closing ? tg_fail(err, TG_PROTOCOL, "the client was cut off") : TG_OK;
}

void mt_server_conn_tick(struct mt_server_conn *c, int64_t now_us)
{
    int64_t now;

    set_time(c->server, now_us);
    now = mt_clock_peer_us(&c->server->clock);
    if (c->disconnect_us && now >= c->disconnect_us)
        c->closing = true;
    if (c->held && now - c->held_since_us >= MT_SRV_HOLD_US)
        mt_srv_release(c);
    for (struct mt_srv_session *x = c->sessions; x; x = x->conn_next)
        mt_srv_remind(x, c->server);
}

/* Transport errors that a test has ordered. */
static void ordered_errors(struct mt_server_conn *c)
{
    static const struct {
        enum mt_server_fault fault;
        int32_t code;
    } row[] = { { MT_FAULT_TRANSPORT_404, ERROR_UNKNOWN },
                { MT_FAULT_TRANSPORT_429, ERROR_TOO_MANY },
                { MT_FAULT_TRANSPORT_444, ERROR_WRONG_DC } };
    enum mt_framing framing;
    bool obfuscated;
    int16_t dc;

    if (!mt_transport_detected(c->transport, &framing, &obfuscated, &dc))
        return;
    for (size_t i = 0; i < TG_COUNT(row); i++)
        if (c->fault[row[i].fault]) {
            c->fault[row[i].fault]--;
            mt_transport_write_error(c->transport, row[i].code, &c->out);
            c->closing = true;
        }
}

struct tg_buf *mt_server_conn_output(struct mt_server_conn *c, int64_t now_us)
{
    set_time(c->server, now_us);
    if (!c->closing)
        ordered_errors(c);
    if (!c->closing)
        mt_srv_output(c);
    return &c->out;
}

int64_t mt_server_conn_deadline(const struct mt_server_conn *c)
{
    int64_t now = mt_clock_peer_us(&c->server->clock), at = INT64_MAX;

    if (c->closing)
        return now;
    if (c->disconnect_us)
        at = c->disconnect_us;
    if (c->held)
        at = TG_MIN(at, c->held_since_us + MT_SRV_HOLD_US);
    for (const struct mt_srv_session *x = c->sessions; x; x = x->conn_next) {
        if (x->due_first && !c->out.len)
            return now;
        if (x->n_acks)
            at = TG_MIN(at, x->ack_since_us + MT_SRV_ACK_DELAY_US);
        if (x->n_kept)
            at = TG_MIN(at, x->remind_us);
    }
    return at;
}

bool mt_server_conn_closing(const struct mt_server_conn *c)
{
    return c->closing;
}

/* ---- replies ---- */

/* The session of that id among the keys used on the connection. */
static struct mt_srv_session *session_of(const struct mt_server_conn *c, uint64_t session_id)
{
    for (size_t i = 0; i < TG_MIN(c->n_keys, (size_t)MT_SRV_CONN_KEYS_MAX); i++) {
        struct mt_srv_session *x = mt_srv_find(c->server, c->keys[i], session_id);

        if (x)
            return x;
    }
    return NULL;
}

void mt_server_reply(struct mt_server_conn *c, const struct mt_reply *reply, int64_t now_us)
{
    struct mt_srv_session *x = session_of(c, reply->session_id);

    assert(reply->len % 4 == 0);
    set_time(c->server, now_us);
    if (!x)
        return;
    answer(x, reply);
    wake(c, x);
}

void mt_server_error(struct mt_server_conn *c, uint64_t session_id, uint64_t req_msg_id,
                     int32_t code, const char *text, int64_t now_us)
{
    struct mt_srv_session *x = session_of(c, session_id);

    set_time(c->server, now_us);
    if (!x)
        return;
    answer_error(x, req_msg_id, code, text);
    wake(c, x);
}

void mt_server_push(struct mt_server_conn *c, uint64_t session_id, const void *body, size_t len,
                    int64_t now_us)
{
    struct mt_srv_session *x = session_of(c, session_id);

    assert(len % 4 == 0);
    set_time(c->server, now_us);
    if (!x || !x->conn)
        return;
    mt_srv_add(x, true, 0, body, len);
    wake(c, x);
}

void mt_server_fault(struct mt_server_conn *c, enum mt_server_fault fault)
{
    assert(fault < MT_FAULT_COUNT);
    c->fault[fault]++;
}

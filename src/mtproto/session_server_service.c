/* SPDX-License-Identifier: MIT */
/*
 * session_server_service.c - service messages of a client, answered as a real server answers them;
 * see session_server.h
 *
 * Threads: none: one caller      Limits: 8192 ids a message; 64 salts an answer
 */
#include "mtproto/session_server_impl.h"

static int64_t server_us(const struct mt_srv_in *in)
{
    return mt_clock_peer_us(&in->conn->server->clock);
}

void mt_srv_say(const struct mt_srv_in *in, const struct tg_buf *body)
{
    if (!body->failed)
        mt_srv_add(in->session, false, in->msg_id, body->data, body->len);
}

/* ---- sessions, salts, pings ---- */

static void on_destroy_session(const struct mt_srv_in *in, struct tl_reader *r)
{
    uint64_t session_id = (uint64_t)tl_read_i64(r);
    struct mt_srv_session *x =
        mt_srv_find(in->conn->server, in->session->key_id, session_id);
    bool other = x && x != in->session;
    struct tg_buf body;

    if (r->bad)
        return;
    if (other)
        mt_srv_forget(in->conn->server, x);
    tg_buf_init(&body, 16);
    tg_buf_u32(&body, other ? MT_ID_DESTROY_SESSION_OK : MT_ID_DESTROY_SESSION_NONE);
    tg_buf_u64(&body, session_id);
    mt_srv_say(in, &body);
    tg_buf_done(&body);
}

static void on_destroy_auth_key(const struct mt_srv_in *in, struct tl_reader *r)
{
    const struct mt_server_options *o = &in->conn->server->options;
    struct tg_buf body;

    (void)r;
    tg_buf_init(&body, 16);
    if (!o->on_destroy_key)
        tg_buf_u32(&body, MT_ID_DESTROY_AUTH_KEY_FAIL);
    else
        tg_buf_u32(&body, o->on_destroy_key(o->ctx, in->session->key_id)
                              ? MT_ID_DESTROY_AUTH_KEY_OK
                              : MT_ID_DESTROY_AUTH_KEY_NONE);
    mt_srv_say(in, &body);
    tg_buf_done(&body);
}

static void pong(const struct mt_srv_in *in, uint64_t ping_id)
{
    struct tg_buf body;

    tg_buf_init(&body, 32);
    tg_buf_u32(&body, MT_ID_PONG);
    tg_buf_u64(&body, in->msg_id);
    tg_buf_u64(&body, ping_id);
    mt_srv_say(in, &body);
    tg_buf_done(&body);
}

static void on_ping(const struct mt_srv_in *in, struct tl_reader *r)
{
    uint64_t ping_id = (uint64_t)tl_read_i64(r);

    if (!r->bad)
        pong(in, ping_id);
}

static void on_ping_delay(const struct mt_srv_in *in, struct tl_reader *r)
{
    uint64_t ping_id = (uint64_t)tl_read_i64(r);
    int64_t delay_s = tl_read_i32(r);

    if (r->bad)
        return;
    in->conn->disconnect_us = server_us(in) + TG_MAX(delay_s, INT64_C(1)) * TG_SECOND_US;
    pong(in, ping_id);
}

static void on_get_future_salts(const struct mt_srv_in *in, struct tl_reader *r)
{
    struct mt_server *s = in->conn->server;
    int64_t every = s->options.salt_every_us > 0 ? s->options.salt_every_us : MT_SRV_SALT_EVERY_US;
    int64_t period = server_us(in) / every;
    int32_t asked = tl_read_i32(r), n = TG_MAX(1, TG_MIN(asked, (int32_t)MT_SRV_SALTS_MAX));
    struct tg_buf body;
    uint8_t salt[8];

    if (r->bad)
        return;
    tg_buf_init(&body, 32 + 16 * MT_SRV_SALTS_MAX);
    tg_buf_u32(&body, MT_ID_FUTURE_SALTS);
    tg_buf_u64(&body, in->msg_id);
    tg_buf_u32(&body, (uint32_t)(server_us(in) / TG_SECOND_US));
    tg_buf_u32(&body, (uint32_t)n); /* a bare vector of bare future_salt */
    for (int64_t i = period; i < period + n; i++) {
        mt_srv_salt_at(s, in->session->key_id, i, salt);
        tg_buf_u32(&body, (uint32_t)(i * every / TG_SECOND_US));
        tg_buf_u32(&body, (uint32_t)((i + 2) * every / TG_SECOND_US));
        tg_buf_add(&body, salt, sizeof salt);
    }
    mt_srv_say(in, &body);
    tg_buf_done(&body);
}

/* ---- acknowledgements, states, repetition ---- */

static uint32_t read_ids(struct tl_reader *r)
{
    uint32_t n = tl_read_vector(r, 8);

    if (n > MT_IDS_MAX)
        tl_read_fail(r);
    return r->bad ? 0 : n;
}

static void on_acks(const struct mt_srv_in *in, struct tl_reader *r)
{
    for (uint32_t n = read_ids(r); n > 0; n--) {
        struct mt_srv_msg *m = mt_idmap_get(&in->session->by_id, (uint64_t)tl_read_i64(r));

        if (m)
            mt_srv_drop(in->session, m);
    }
}

static uint8_t state_of(const struct mt_srv_session *session, uint64_t msg_id)
{
    const struct mt_seen_entry *e = mt_seen_find(&session->seen, msg_id);
    uint8_t state = mt_seen_state(&session->seen, msg_id);

    if (!e)
        return state;
    if (!(e->seq_no & 1))
        return state | MT_STATE_NO_ACK_NEEDED;
    if (e->flag & MT_QUERY_RUNNING)
        state |= MT_STATE_RUNNING;
    if (e->flag & MT_QUERY_ANSWERED)
        state |= MT_STATE_RUNNING | MT_STATE_ANSWERED;
    return state;
}

static void say_states(const struct mt_srv_in *in, const uint8_t *ids, uint32_t n)
{
    size_t head = n < 254 ? 1 : 4;
    struct tg_buf body;

    tg_buf_init(&body, MT_IDS_MAX + 64);
    tg_buf_u32(&body, MT_ID_MSGS_STATE_INFO);
    tg_buf_u64(&body, in->msg_id);
    if (head == 1)
        tg_buf_byte(&body, (uint8_t)n);
    else
        tg_buf_u32(&body, 0xfe | n << 8);
    for (uint32_t i = 0; i < n; i++)
        tg_buf_byte(&body, state_of(in->session, tg_le64(ids + 8 * i)));
    while (body.len % 4)
        tg_buf_byte(&body, 0);
    mt_srv_say(in, &body);
    tg_buf_done(&body);
}

static void on_state_req(const struct mt_srv_in *in, struct tl_reader *r)
{
    uint32_t n = read_ids(r);
    const uint8_t *ids = tl_read_view(r, (size_t)n * 8);

    if (!r->bad)
        say_states(in, ids, n);
}

static void on_resend_req(const struct mt_srv_in *in, struct tl_reader *r)
{
    uint32_t n = read_ids(r), missing = 0;
    const uint8_t *ids = tl_read_view(r, (size_t)n * 8);

    if (r->bad)
        return;
    for (uint32_t i = 0; i < n; i++) {
        struct mt_srv_msg *m = mt_idmap_get(&in->session->by_id, tg_le64(ids + 8 * i));

        if (m)
            mt_srv_due(in->session, m);
        else
            missing++;
    }
    if (missing)
        say_states(in, ids, n);
}

/* rpc_drop_answer: its own answer is an rpc_result, and so is that to a query still running. */
static void on_drop_answer(const struct mt_srv_in *in, struct tl_reader *r)
{
    struct mt_srv_session *x = in->session;
    uint64_t query = (uint64_t)tl_read_i64(r);
    struct mt_seen_entry *e = mt_seen_find(&x->seen, query);
    struct mt_srv_msg *kept = mt_idmap_get(&x->by_req, query);
    uint8_t body[36];
    size_t len = 16;

    if (r->bad)
        return;
    tg_put_le32(body, MT_ID_RPC_RESULT);
    tg_put_le32(body + 12, MT_ID_RPC_ANSWER_UNKNOWN);
    if (e && e->flag & MT_QUERY_RUNNING) {
        e->flag = MT_QUERY_DROPPED;
        x->n_running--;
        tg_put_le32(body + 12, MT_ID_RPC_ANSWER_DROPPED_RUNNING);
        tg_put_le64(body + 4, query);
        mt_srv_add(x, true, query, body, len);
    } else if (kept) {
        tg_put_le32(body + 12, MT_ID_RPC_ANSWER_DROPPED);
        tg_put_le64(body + 16, kept->msg_id);
        tg_put_le32(body + 24, kept->seq_no);
        tg_put_le32(body + 28, kept->len);
        len = 32;
        mt_srv_drop(x, kept);
    }
    tg_put_le64(body + 4, in->msg_id);
    mt_srv_add(x, true, in->msg_id, body, len);
}

static void on_nothing(const struct mt_srv_in *in, struct tl_reader *r)
{
    (void)in;
    (void)r;
}

/* ---- the table ---- */

static const struct {
    uint32_t id;
    void (*on)(const struct mt_srv_in *in, struct tl_reader *r);
} handlers[] = {
    { MT_ID_MSGS_ACK, on_acks },
    { MT_ID_PING, on_ping },
    { MT_ID_PING_DELAY_DISCONNECT, on_ping_delay },
    { MT_ID_GET_FUTURE_SALTS, on_get_future_salts },
    { MT_ID_MSGS_STATE_REQ, on_state_req },
    { MT_ID_MSGS_STATE_INFO, on_nothing },
    { MT_ID_MSGS_ALL_INFO, on_nothing },
    { MT_ID_MSG_RESEND_REQ, on_resend_req },
    { MT_ID_MSG_RESEND_ANS_REQ, on_resend_req },
    { MT_ID_RPC_DROP_ANSWER, on_drop_answer },
    { MT_ID_DESTROY_SESSION, on_destroy_session },
    { MT_ID_DESTROY_AUTH_KEY, on_destroy_auth_key },
    { MT_ID_HTTP_WAIT, on_nothing },
};

bool mt_srv_is_service(uint32_t id)
{
    for (size_t i = 0; i < TG_COUNT(handlers); i++)
        if (handlers[i].id == id)
            return true;
    return false;
}

bool mt_srv_service(const struct mt_srv_in *in, uint32_t id, struct tl_reader *r)
{
    for (size_t i = 0; i < TG_COUNT(handlers); i++)
        if (handlers[i].id == id) {
            handlers[i].on(in, r);
            return true;
        }
    return false;
}

/* SPDX-License-Identifier: MIT */
/*
 * session_service.c - service messages of the server; see session.h
 *
 * A table names the handler of each constructor. A complaint about a message is honoured only if
 * that was really sent: it names a call, or stands in the ring of service messages. Complaints
 * are counted in rounds (all that was sent before the last reaction is one round), so a server that
 * refuses everything does not keep us busy for ever.
 *
 * Threads: none: one caller      Limits: 8192 ids a message; 16 rounds of refusals
 */
#include "mtproto/session_impl.h"

#include <stdlib.h>

#define ALL_INFO_AFTER_US (10 * TG_SECOND_US) /* a younger call may just be on its way */
#define CLOCK_WRONG_US (5 * TG_SECOND_US)

/* ---- refusals ---- */

/* @return false if the server has refused too often and the connection was dropped */
static bool count_refusal(struct mt_session *s, uint64_t bad_id)
{
    if (bad_id <= s->refused_up_to)
        return true;
    s->refused_up_to = s->clock.last_id;
    if (++s->n_refused <= MT_REFUSALS_MAX)
        return true;
    mt_session_fail(s, TG_PROTOCOL, 0, "the server refuses every message");
    return false;
}

/* Whether we sent that message, under this session id. */
static bool was_sent(const struct mt_session *s, uint64_t msg_id)
{
    return mt_idmap_get(&s->by_msg_id, msg_id) || mt_session_sent_find(s, msg_id);
}

/* Queues again what went in message or container `bad_id`, under new numbers. */
static void send_again(struct mt_session *s, uint64_t bad_id)
{
    struct mt_pending *before;

    for (struct mt_pending *p = s->sent.last; p; p = before) {
        before = p->prev;
        if (p->msg_id != bad_id && p->container != bad_id)
            continue;
        mt_session_requeue(s, p, true);
        if (s->n_after)
            before = s->sent.last; /* those that wait for it went along */
    }
    mt_session_resend_service(s, bad_id);
}

static void on_bad_server_salt(struct mt_session *s, const struct mt_in *in, struct tl_reader *r)
{
    uint64_t bad_id = (uint64_t)tl_read_i64(r);
    const uint8_t *salt = (tl_read_view(r, 8), tl_read_view(r, 8));

    (void)in;
    if (r->bad || !was_sent(s, bad_id) || !count_refusal(s, bad_id))
        return;
    s->n_salts = 0; /* what was said about later ones is worth nothing either */
    send_again(s, bad_id);
    mt_session_set_salt(s, salt);
}

static void on_bad_msg(struct mt_session *s, const struct mt_in *in, struct tl_reader *r)
{
    uint64_t bad_id = (uint64_t)tl_read_i64(r);
    uint32_t code = (tl_read_u32(r), tl_read_u32(r));

    if (r->bad || !was_sent(s, bad_id) || !count_refusal(s, bad_id))
        return;
    switch (code) {
    case MT_BAD_ID_TOO_LOW:
    case MT_BAD_ID_TOO_HIGH:
        mt_session_measured(s, mt_id_us(in->msg_id));
        /* Ids of a session only grow: where the last one lies ahead of the corrected clock, only
         * a fresh session can go on. */
        if (mt_id_us(s->clock.last_id) > mt_clock_peer_us(&s->clock) + MT_FUTURE_MAX_US / 2)
            mt_session_restart(s);
        else
            send_again(s, bad_id);
        return;
    case MT_BAD_CONTAINER_REUSED:
    case MT_BAD_TOO_OLD:
    case MT_BAD_SALT:
    case MT_BAD_CONTAINER:
        send_again(s, bad_id);
        return;
    default: /* sequence numbers out of step, or something unknown: start over */
        mt_session_restart(s);
        return;
    }
}

/* ---- sessions, salts, pings ---- */

static uint64_t container_of_sent(const struct mt_session *s, uint64_t msg_id)
{
    const struct mt_pending *call = mt_idmap_get(&s->by_msg_id, msg_id);
    const struct mt_sent *sent = mt_session_sent_find(s, msg_id);

    return call ? call->container : sent ? sent->container : 0;
}

static void on_new_session(struct mt_session *s, const struct mt_in *in, struct tl_reader *r)
{
    uint64_t first_id = (uint64_t)tl_read_i64(r), unique_id = (uint64_t)tl_read_i64(r), together;
    const uint8_t *salt = tl_read_view(r, 8);

    (void)in;
    if (r->bad || unique_id == s->last_unique_id)
        return;
    s->last_unique_id = unique_id;
    together = container_of_sent(s, first_id);
    /* The server has nothing from before its first message, save what came in that container. */
    for (struct mt_pending *p = s->sent.last, *before; p; p = before) {
        before = p->prev;
        if (p->msg_id >= first_id ||
            (p->container && (p->container == first_id || p->container == together)))
            continue;
        mt_session_requeue(s, p, true);
        if (s->n_after)
            before = s->sent.last;
    }
    mt_session_set_salt(s, salt);
    mt_session_event(s, &(struct mt_event){ .kind = MT_EVENT_NEW_SESSION });
}

static void on_future_salts(struct mt_session *s, const struct mt_in *in, struct tl_reader *r)
{
    const struct mt_sent *asked = mt_session_sent_find(s, (uint64_t)tl_read_i64(r));
    struct mt_salt salts[MT_SALTS_MAX];
    int64_t last_us = 0;
    uint32_t n, kept = 0;

    (void)in;
    tl_read_u32(r); /* the server's time in whole seconds: the ping knows better */
    n = tl_read_u32(r);
    if (r->bad || !asked || asked->kind != MT_SENT_SALTS || n > MT_SALTS_MAX ||
        n > tl_left(r) / 16)
        return;
    for (uint32_t i = 0; i < n; i++) {
        struct mt_salt salt = { .since_us = tl_read_i32(r) * TG_SECOND_US };

        salt.until_us = tl_read_i32(r) * TG_SECOND_US;
        memcpy(salt.salt, tl_read_view(r, 8), 8);
        if (salt.until_us <= salt.since_us || salt.since_us < last_us)
            continue;
        last_us = salt.since_us;
        salts[kept++] = salt;
    }
    memcpy(s->salts, salts, kept * sizeof *salts);
    s->n_salts = kept;
}

/* The server's time is known now. Settles what becomes of messages that came with a wrong one. */
static void settle_doubt(struct mt_session *s)
{
    int64_t moved_us = s->doubt_moved_us;
    bool future = s->doubt_future;

    s->in_doubt = s->doubt_future = false;
    if (moved_us > CLOCK_WRONG_US || moved_us < -CLOCK_WRONG_US) {
        s->n_doubt = 0;
        mt_session_fail(s, TG_NET, 0, "the clock was wrong; messages must be sent again");
        return;
    }
    for (size_t i = 0; i < s->n_doubt; i++)
        mt_session_ack(s, s->doubt[i]);
    s->n_doubt = 0;
    if (future)
        mt_session_fail(s, TG_SECURITY, 0, "the server sent a message from the future");
}

static void on_pong(struct mt_session *s, const struct mt_in *in, struct tl_reader *r)
{
    uint64_t ping_id = (tl_read_view(r, 8), (uint64_t)tl_read_i64(r));
    int64_t rtt_us = s->clock.local_us - s->ping_sent_us, peer_us, off_us;

    if (r->bad || !s->ping_id || ping_id != s->ping_id)
        return;
    s->ping_id = 0;
    s->n_refused = 0;
    s->rtt_us = TG_MAX(rtt_us, INT64_C(1));
    peer_us = mt_id_us(in->msg_id) + rtt_us / 2;
    off_us = peer_us - mt_clock_peer_us(&s->clock);
    if (!s->time_known || s->in_doubt || off_us > TG_SECOND_US + rtt_us ||
        -off_us > TG_SECOND_US + rtt_us)
        mt_session_measured(s, peer_us);
    if (s->in_doubt)
        settle_doubt(s);
}

/* ---- acknowledgements and states ---- */

/* Reads the head of Vector<long> with at most 8192 items. */
static uint32_t read_ids(struct tl_reader *r)
{
    uint32_t n = tl_read_vector(r, 8);

    if (n > MT_IDS_MAX)
        tl_read_fail(r);
    return r->bad ? 0 : n;
}

/* What the server says of one of our messages: a call that it never got is sent again. */
static void apply_state(struct mt_session *s, uint64_t msg_id, uint8_t state)
{
    struct mt_pending *call = mt_idmap_get(&s->by_msg_id, msg_id);
    uint8_t got = state & MT_STATE_MASK;

    if (call && call->sent && got >= MT_STATE_UNKNOWN && got <= MT_STATE_TOO_HIGH &&
        s->clock.local_us - call->sent_us >= ALL_INFO_AFTER_US)
        mt_session_requeue(s, call, true);
}

static void on_state_info(struct mt_session *s, const struct mt_in *in, struct tl_reader *r)
{
    const struct mt_sent *asked = mt_session_sent_find(s, (uint64_t)tl_read_i64(r));
    struct tg_str info = tl_read_str(r);
    size_t n = s->n_state_ids;

    (void)in;
    if (r->bad || !asked || asked->kind != MT_SENT_STATE_REQ || info.len != n)
        return;
    s->n_state_ids = 0;
    for (size_t i = n; i-- > 0;) /* backwards, so that they come out in order */
        apply_state(s, s->state_ids[i], (uint8_t)info.at[i]);
}

static void on_all_info(struct mt_session *s, const struct mt_in *in, struct tl_reader *r)
{
    uint32_t n = read_ids(r);
    const uint8_t *ids = tl_read_view(r, (size_t)n * 8);
    struct tg_str info = tl_read_str(r);

    (void)in;
    if (r->bad || info.len != n)
        return;
    for (uint32_t i = n; i-- > 0;)
        apply_state(s, tg_le64(ids + 8 * i), (uint8_t)info.at[i]);
}

/* Appends a TL string of up to 8192 bytes, to be filled by the caller. */
static uint8_t *put_bytes(struct tg_buf *b, size_t n)
{
    size_t head = n < 254 ? 1 : 4, pad = (0 - head - n) & 3;
    uint8_t *at = tg_buf_extend(b, head + n + pad);

    if (!at)
        return NULL;
    memset(at + head + n, 0, pad);
    if (head == 1)
        at[0] = (uint8_t)n;
    else
        tg_put_le32(at, 0xfe | (uint32_t)n << 8);
    return at + head;
}

/* Answers what became of the server's messages. */
static void say_states(struct mt_session *s, uint64_t req_id, const uint8_t *ids, uint32_t n)
{
    struct tg_buf body;
    uint8_t *info;

    tg_buf_init(&body, MT_IDS_MAX + 64);
    tg_buf_u32(&body, MT_ID_MSGS_STATE_INFO);
    tg_buf_u64(&body, req_id);
    info = put_bytes(&body, n);
    for (uint32_t i = 0; info && i < n; i++)
        info[i] = mt_seen_state(&s->seen, tg_le64(ids + 8 * i));
    if (!body.failed)
        mt_session_service(s, MT_SENT_OTHER, 0, &body);
    tg_buf_done(&body);
}

static void on_state_req(struct mt_session *s, const struct mt_in *in, struct tl_reader *r)
{
    uint32_t n = read_ids(r);
    const uint8_t *ids = tl_read_view(r, (size_t)n * 8);

    if (!r->bad)
        say_states(s, in->msg_id, ids, n);
}

/* Sends again, under the same number, what the server lost; states where we cannot. */
static void on_resend_req(struct mt_session *s, const struct mt_in *in, struct tl_reader *r)
{
    uint32_t n = read_ids(r), missing = 0;
    const uint8_t *ids = tl_read_view(r, (size_t)n * 8);

    if (r->bad)
        return;
    for (uint32_t i = n; i-- > 0;) {
        struct mt_pending *call = mt_idmap_get(&s->by_msg_id, tg_le64(ids + 8 * i));

        if (call && call->sent)
            mt_session_requeue(s, call, false);
        else if (!call)
            missing++;
    }
    if (missing)
        say_states(s, in->msg_id, ids, n);
}

/* An answer exists that we may not have got: acknowledge it, or ask for it. */
static void ask_answer(struct mt_session *s, uint64_t answer_id, bool wanted)
{
    struct tg_buf body;

    if (!wanted || mt_seen_check(&s->seen, answer_id) != MT_SEEN_NEW) {
        mt_session_ack(s, answer_id);
        return;
    }
    tg_buf_init(&body, 32);
    tg_buf_u32(&body, MT_ID_MSG_RESEND_REQ);
    tg_buf_u32(&body, MT_ID_VECTOR);
    tg_buf_u32(&body, 1);
    tg_buf_u64(&body, answer_id);
    if (!body.failed)
        mt_session_service(s, MT_SENT_OTHER, 0, &body);
    tg_buf_done(&body);
}

static void on_detailed(struct mt_session *s, const struct mt_in *in, struct tl_reader *r)
{
    uint64_t msg_id = (uint64_t)tl_read_i64(r), answer_id = (uint64_t)tl_read_i64(r);

    (void)in;
    if (!r->bad)
        ask_answer(s, answer_id, mt_idmap_get(&s->by_msg_id, msg_id) != NULL);
}

static void on_new_detailed(struct mt_session *s, const struct mt_in *in, struct tl_reader *r)
{
    uint64_t answer_id = (uint64_t)tl_read_i64(r);

    (void)in;
    if (!r->bad)
        ask_answer(s, answer_id, true);
}

static void on_nothing(struct mt_session *s, const struct mt_in *in, struct tl_reader *r)
{
    (void)s;
    (void)in;
    (void)r;
}

/* ---- the table ---- */

static const struct {
    uint32_t id;
    void (*on)(struct mt_session *s, const struct mt_in *in, struct tl_reader *r);
} handlers[] = {
    { MT_ID_MSGS_ACK, on_nothing }, /* the reply is what counts */
    { MT_ID_PONG, on_pong },
    { MT_ID_NEW_SESSION_CREATED, on_new_session },
    { MT_ID_BAD_SERVER_SALT, on_bad_server_salt },
    { MT_ID_BAD_MSG_NOTIFICATION, on_bad_msg },
    { MT_ID_FUTURE_SALTS, on_future_salts },
    { MT_ID_MSGS_STATE_REQ, on_state_req },
    { MT_ID_MSGS_STATE_INFO, on_state_info },
    { MT_ID_MSGS_ALL_INFO, on_all_info },
    { MT_ID_MSG_RESEND_REQ, on_resend_req },
    { MT_ID_MSG_RESEND_ANS_REQ, on_resend_req },
    { MT_ID_MSG_DETAILED_INFO, on_detailed },
    { MT_ID_MSG_NEW_DETAILED_INFO, on_new_detailed },
    { MT_ID_DESTROY_SESSION_OK, on_nothing },
    { MT_ID_DESTROY_SESSION_NONE, on_nothing },
    { MT_ID_DESTROY_AUTH_KEY_OK, on_nothing }, /* never asked for; what is so shows as -404 */
    { MT_ID_DESTROY_AUTH_KEY_NONE, on_nothing },
    { MT_ID_DESTROY_AUTH_KEY_FAIL, on_nothing },
    { MT_ID_HTTP_WAIT, on_nothing },
};

bool mt_session_on_service(struct mt_session *s, uint32_t id, const struct mt_in *in)
{
    struct tl_reader r = tl_reader_of(in->body, in->len);

    tl_read_u32(&r);
    for (size_t i = 0; i < TG_COUNT(handlers); i++)
        if (handlers[i].id == id) {
            handlers[i].on(s, in, &r);
            return true;
        }
    return false;
}

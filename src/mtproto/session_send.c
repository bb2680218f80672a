/* SPDX-License-Identifier: MIT */
/*
 * session_send.c - what the client sends: messages, containers, packets; see session.h
 *
 * A packet is gathered in `scratch` in the shape of a container; if only one message came together
 * it is sent bare. Acknowledgements go along with whatever is sent, inside the container; they make
 * a packet of their own when more than 16 wait, or the oldest has waited for 20 s.
 *
 *   scratch   msg_container n | msg_id seq_no bytes body | msg_id seq_no bytes body | ...
 *
 * Threads: none: one caller
 */
#include "mtproto/session_impl.h"

#include <assert.h>
#include <stdlib.h>

enum {
    CONTAINER_HEAD = 8,
    MESSAGE_HEAD = 16,
    RECORD_HEAD = 16,       /* of a waiting service message: kind, length, arg */
    ROOM_MIN = 96 << 10,    /* the owner's buffer must have that much for a packet */
    DELAY_NUM = 75,         /* disconnect_delay is 75/60 of the ping interval */
    DELAY_DEN = 60,
    SALTS_WANTED = 32,
    KEEP_MAX = 2 << 20,     /* of the two buffers, between packets */
};

struct batch {
    unsigned n;
    bool quick;              /* some call wants a quick ack */
    struct mt_pending *first; /* of the calls in it */
    size_t ring_from;        /* service messages in it: ring[ring_from..ring_at) */
};

/* ---- service messages ---- */

void mt_session_service(struct mt_session *s, enum mt_sent_kind kind, uint64_t arg,
                        const struct tg_buf *body)
{
    assert(body->len % 4 == 0);
    if (s->service.max - s->service.len < RECORD_HEAD + body->len)
        return; /* a peer that asks faster than it reads gets no answer */
    if (!tg_buf_room(&s->service, RECORD_HEAD + body->len)) {
        s->service.failed = false;
        return;
    }
    tg_buf_u32(&s->service, (uint32_t)kind);
    tg_buf_u32(&s->service, (uint32_t)body->len);
    tg_buf_u64(&s->service, arg);
    tg_buf_add(&s->service, body->data, body->len);
}

static bool widen_acks(struct mt_session *s)
{
    size_t cap = TG_MIN(TG_MAX(2 * s->cap_acks, (size_t)32), (size_t)MT_IDS_MAX);
    uint64_t *wider = realloc(s->acks, cap * sizeof *wider);

    if (!wider)
        return false;
    s->acks = wider;
    s->cap_acks = cap;
    return true;
}

void mt_session_ack(struct mt_session *s, uint64_t msg_id)
{
    if (s->n_acks == MT_IDS_MAX) /* the server repeats what was not acknowledged */
        return;
    if (s->n_acks == s->cap_acks && !widen_acks(s))
        return;
    if (s->n_acks == 0)
        s->ack_since_us = s->clock.local_us;
    s->acks[s->n_acks++] = msg_id;
}

const struct mt_sent *mt_session_sent_find(const struct mt_session *s, uint64_t msg_id)
{
    for (size_t i = 0; s->ring && msg_id && i < MT_RING_MAX; i++)
        if (s->ring[i].msg_id == msg_id)
            return &s->ring[i];
    return NULL;
}

static void resend_one(struct mt_session *s, const struct mt_sent *sent)
{
    struct tg_buf body;

    switch (sent->kind) {
    case MT_SENT_ACK:
        for (size_t i = 0; s->acked && i < MT_ACKED_MAX; i++)
            if (s->acked[i].carrier == sent->msg_id)
                mt_session_ack(s, s->acked[i].id);
        break;
    case MT_SENT_PING:
        s->ping_due = true;
        break;
    case MT_SENT_SALTS:
        s->salts_asked_us = 0;
        break;
    case MT_SENT_DESTROY:
        tg_buf_init(&body, 16);
        tg_buf_u32(&body, MT_ID_DESTROY_SESSION);
        tg_buf_u64(&body, sent->arg);
        if (!body.failed)
            mt_session_service(s, MT_SENT_DESTROY, sent->arg, &body);
        tg_buf_done(&body);
        break;
    case MT_SENT_CONTAINER:
    case MT_SENT_STATE_REQ: /* asked again when it is time */
    case MT_SENT_DROP:
    case MT_SENT_OTHER:
        break;
    }
}

void mt_session_resend_service(struct mt_session *s, uint64_t msg_id)
{
    for (size_t i = 0; s->ring && i < MT_RING_MAX; i++) {
        struct mt_sent sent = s->ring[i];

        if (!sent.msg_id || (sent.msg_id != msg_id && sent.container != msg_id))
            continue;
        s->ring[i] = (struct mt_sent){ 0 }; /* only once */
        resend_one(s, &sent);
    }
}

static void remember(struct mt_session *s, uint64_t msg_id, enum mt_sent_kind kind, uint64_t arg)
{
    if (!s->ring)
        s->ring = calloc(MT_RING_MAX, sizeof *s->ring);
    if (s->ring) /* else a complaint about it will not be understood, and the connection dropped */
        s->ring[s->ring_at++ % MT_RING_MAX] =
            (struct mt_sent){ .msg_id = msg_id, .kind = kind, .arg = arg };
}

/* ---- gathering a packet ---- */

static uint32_t next_seq_no(struct mt_session *s, bool content)
{
    return content ? 2 * s->n_content++ + 1 : 2 * s->n_content;
}

/* Begins a message in scratch; @return where, for end_message. */
static size_t begin_message(struct mt_session *s, uint64_t msg_id, uint32_t seq_no)
{
    size_t at = s->scratch.len;

    tg_buf_u64(&s->scratch, msg_id);
    tg_buf_u32(&s->scratch, seq_no);
    tg_buf_u32(&s->scratch, 0);
    return at;
}

static void end_message(struct mt_session *s, size_t at, struct batch *b)
{
    size_t len = s->scratch.len - at - MESSAGE_HEAD;

    if (s->scratch.failed)
        return;
    assert(len % 4 == 0);
    tg_put_le32(s->scratch.data + at + 12, (uint32_t)len);
    b->n++;
}

static void put_acks(struct mt_session *s, struct batch *b)
{
    size_t n = TG_MIN(s->n_acks, (size_t)MT_PACKET_ACKS_MAX), at;
    uint64_t id;

    if (n == 0)
        return;
    id = mt_clock_id(&s->clock, 0);
    at = begin_message(s, id, next_seq_no(s, false));
    tg_buf_u32(&s->scratch, MT_ID_MSGS_ACK);
    tg_buf_u32(&s->scratch, MT_ID_VECTOR);
    tg_buf_u32(&s->scratch, (uint32_t)n);
    if (!s->acked)
        s->acked = calloc(MT_ACKED_MAX, sizeof *s->acked);
    for (size_t i = 0; i < n; i++) {
        tg_buf_u64(&s->scratch, s->acks[i]);
        if (!s->acked) /* then they are not repeated if the packet is refused: the server asks */
            continue;
        s->acked[s->acked_at].id = s->acks[i];
        s->acked[s->acked_at].carrier = id;
        s->acked_at = (s->acked_at + 1) % MT_ACKED_MAX;
    }
    end_message(s, at, b);
    s->n_acks -= n;
    memmove(s->acks, s->acks + n, s->n_acks * sizeof *s->acks);
    remember(s, id, MT_SENT_ACK, 0);
}

static void put_ping(struct mt_session *s, struct batch *b)
{
    int64_t delay_s = s->options.ping_every_us / TG_SECOND_US * DELAY_NUM / DELAY_DEN;
    uint64_t id;
    size_t at;

    if (!s->ping_due)
        return;
    s->ping_due = false;
    s->ping_id = tg_random_u64(s->options.random) | 1;
    s->ping_sent_us = s->clock.local_us;
    id = mt_clock_id(&s->clock, 0);
    at = begin_message(s, id, next_seq_no(s, false));
    tg_buf_u32(&s->scratch, MT_ID_PING_DELAY_DISCONNECT);
    tg_buf_u64(&s->scratch, s->ping_id);
    tg_buf_u32(&s->scratch, (uint32_t)TG_MAX(INT64_C(1), TG_MIN(delay_s, INT64_C(86400))));
    end_message(s, at, b);
    remember(s, id, MT_SENT_PING, 0);
}

/* Asks for salts early, but only once the server has been heard: the salt then is a good one. */
static void put_salts(struct mt_session *s, struct batch *b)
{
    int64_t now = mt_clock_peer_us(&s->clock);
    uint64_t id;
    size_t at;

    if (!s->time_known || !s->seen.n ||
        (s->n_salts && s->salts[s->n_salts - 1].until_us > now + MT_SALT_STOCK_US) ||
        (s->salts_asked_us && s->clock.local_us - s->salts_asked_us < MT_STALE_US))
        return;
    s->salts_asked_us = TG_MAX(s->clock.local_us, INT64_C(1));
    id = mt_clock_id(&s->clock, 0);
    at = begin_message(s, id, next_seq_no(s, true));
    tg_buf_u32(&s->scratch, MT_ID_GET_FUTURE_SALTS);
    tg_buf_u32(&s->scratch, SALTS_WANTED);
    end_message(s, at, b);
    remember(s, id, MT_SENT_SALTS, 0);
}

/* Takes waiting service messages while the packet stays small. */
static void put_service(struct mt_session *s, struct batch *b)
{
    size_t at = 0;

    while (at < s->service.len) {
        const uint8_t *record = s->service.data + at;
        enum mt_sent_kind kind = (enum mt_sent_kind)tg_le32(record);
        size_t len = tg_le32(record + 4), start;
        bool content = kind == MT_SENT_DESTROY || kind == MT_SENT_DROP;
        uint64_t id;

        if (b->n && s->scratch.len + MESSAGE_HEAD + len > MT_PACKET_BYTES)
            break;
        id = mt_clock_id(&s->clock, 0);
        start = begin_message(s, id, next_seq_no(s, content));
        tg_buf_add(&s->scratch, record + RECORD_HEAD, len);
        end_message(s, start, b);
        remember(s, id, kind, tg_le64(record + 8));
        at += RECORD_HEAD + len;
    }
    tg_buf_shift(&s->service, at);
}

/* The msg_id that a call must wait for on the server: that of an earlier call without reply. */
static uint64_t predecessor(const struct mt_session *s, const struct mt_pending *call)
{
    const struct mt_pending *p =
        call->after ? mt_idmap_get(&s->by_number, call->after) : NULL;

    return p && p != call ? p->msg_id : 0;
}

/* A repeated call keeps its msg_id while the server can still know it. @return false: no memory */
static bool number_call(struct mt_session *s, struct mt_pending *call)
{
    uint64_t after = predecessor(s, call);

    if (call->msg_id &&
        (mt_id_us(call->msg_id) < mt_clock_peer_us(&s->clock) - MT_RESEND_WITHIN_US ||
         (after && after != call->after_id))) {
        mt_idmap_take(&s->by_msg_id, call->msg_id);
        call->msg_id = 0;
    }
    call->after_id = after;
    if (call->msg_id)
        return true;
    call->msg_id = mt_clock_id(&s->clock, 0);
    call->seq_no = next_seq_no(s, true);
    if (mt_idmap_put(&s->by_msg_id, call->msg_id, call))
        return true;
    call->msg_id = 0;
    return false;
}

static bool put_call(struct mt_session *s, struct mt_pending *call, struct batch *b)
{
    size_t at;

    if (!number_call(s, call))
        return false;
    at = begin_message(s, call->msg_id, call->seq_no);
    if (call->after_id) {
        tg_buf_u32(&s->scratch, MT_ID_INVOKE_AFTER_MSG);
        tg_buf_u64(&s->scratch, call->after_id);
    }
    if (call->make_body)
        call->make_body(call->make_ctx, call->msg_id, s->session_id, &s->scratch);
    else
        tg_buf_add(&s->scratch, call->body, call->len);
    end_message(s, at, b);
    b->quick |= call->want_quick_ack;
    mt_calls_remove(&s->queue, call);
    mt_calls_append(&s->sent, call);
    s->queued_bytes -= call->len;
    call->sent = true;
    call->container = 0;
    call->sent_us = s->clock.local_us;
    if (!b->first)
        b->first = call;
    return true;
}

static bool put_calls(struct mt_session *s, struct batch *b)
{
    struct mt_pending *call;

    for (unsigned n = 0; (call = s->queue.first) && n < MT_PACKET_CALLS_MAX; n++) {
        if (b->n && s->scratch.len + MESSAGE_HEAD + 12 + call->len > MT_PACKET_BYTES)
            break;
        if (!put_call(s, call, b))
            return false;
    }
    return true;
}

/* ---- the packet ---- */

/* Turns scratch into the message that is sent: bare if it is the only one, else a container. */
static struct mt_message wrap(struct mt_session *s, const struct batch *b)
{
    struct mt_message m = { .session_id = s->session_id };
    uint8_t *at = s->scratch.data;

    memcpy(m.salt, s->salt, 8);
    if (b->n == 1) {
        m.msg_id = tg_le64(at + CONTAINER_HEAD);
        m.seq_no = tg_le32(at + CONTAINER_HEAD + 8);
        m.len = tg_le32(at + CONTAINER_HEAD + 12);
        m.body = at + CONTAINER_HEAD + MESSAGE_HEAD;
        return m;
    }
    tg_put_le32(at, MT_ID_MSG_CONTAINER);
    tg_put_le32(at + 4, b->n);
    m.msg_id = mt_clock_id(&s->clock, 0);
    m.seq_no = next_seq_no(s, false);
    m.len = (uint32_t)s->scratch.len;
    m.body = at;
    for (struct mt_pending *p = b->first; p; p = p->next)
        p->container = m.msg_id;
    for (size_t i = b->ring_from; i < s->ring_at; i++)
        s->ring[i % MT_RING_MAX].container = m.msg_id;
    remember(s, m.msg_id, MT_SENT_CONTAINER, 0);
    return m;
}

static bool send_packet(struct mt_session *s, struct tg_buf *out)
{
    struct batch b = { .ring_from = s->ring_at };
    struct mt_message m;
    uint32_t token = 0;

    tg_buf_clear(&s->scratch);
    tg_buf_clear(&s->packet);
    tg_buf_extend(&s->scratch, CONTAINER_HEAD);
    put_acks(s, &b);
    put_ping(s, &b);
    put_salts(s, &b);
    put_service(s, &b);
    if (!put_calls(s, &b) || s->scratch.failed || b.n == 0)
        return false;
    m = wrap(s, &b);
    mt_envelope_write(&s->key, MT_FROM_CLIENT, &m, s->options.random, &s->packet, &token);
    if (s->packet.failed)
        return false;
    for (struct mt_pending *p = b.first; p; p = p->next)
        p->quick_token = p->want_quick_ack ? token : 0;
    mt_transport_write(s->transport, s->packet.data, s->packet.len, b.quick, out);
    if (s->packet.cap > KEEP_MAX) {
        tg_buf_wipe(&s->scratch);
        tg_buf_done(&s->packet);
    }
    s->used = true;
    return !out->failed;
}

/* Moves on to the newest salt that the server surely takes. */
static void use_salts(struct mt_session *s)
{
    int64_t now = mt_clock_peer_us(&s->clock);
    size_t n = 0;

    while (n < s->n_salts && s->salts[n].since_us + MT_SALT_SETTLE_US <= now)
        n++;
    if (n == 0 || !s->time_known)
        return;
    if (s->salts[n - 1].until_us > now)
        mt_session_set_salt(s, s->salts[n - 1].salt);
    n--; /* the one in use stays, so that the stock is known */
    s->n_salts -= n;
    memmove(s->salts, s->salts + n, s->n_salts * sizeof *s->salts);
}

static bool anything_due(const struct mt_session *s)
{
    return s->queue.first || s->service.len || s->ping_due || s->n_acks > MT_ACKS_EAGER ||
           (s->n_acks && s->clock.local_us - s->ack_since_us >= MT_ACK_DELAY_US);
}

void mt_session_flush(struct mt_session *s, int64_t now_us, struct tg_buf *out)
{
    mt_session_time(s, now_us);
    if (!s->transport || s->failed)
        return;
    use_salts(s);
    while (s->transport && !s->failed && anything_due(s)) {
        size_t want = ROOM_MIN + (s->queue.first ? s->queue.first->len : 0);

        if (out->max - out->len < want && out->len)
            return; /* the rest goes when the owner has written what is there */
        if (!send_packet(s, out))
            mt_session_fail(s, TG_NOMEM, 0, "a packet could not be built");
    }
}

/* SPDX-License-Identifier: MIT */
/*
 * session_recv.c - what the client receives: checks, carriers, replies; see session.h
 *
 *   packet -> key, msg_key, padding (envelope) -> session id -> each message:
 *   parity -> time -> window of msg_ids -> acknowledgement -> container | copy | gzip | service |
 *   rpc_result | update
 *
 * A message with a wrong time is dropped and a ping is sent: its pong tells whether our clock was
 * wrong (then the connection is dropped, so that the server repeats what was lost) or the message
 * was (then an old one is acknowledged, and one from the future ends the connection).
 *
 * Threads: none: one caller      Limits: 64 MiB inflated a packet; containers do not nest
 */
#include "mtproto/session_impl.h"

#include <stdlib.h>

enum {
    INNER_HEAD = 16,  /* of a message in a container */
    TEXT_MAX = 255,   /* of an rpc_error */
    UNREADABLE = 500, /* rpc code of a reply that could not be read: the server's fault */
};

static void on_message(struct mt_session *s, const struct mt_in *in, size_t *budget);

static uint32_t id_of(const struct mt_in *in)
{
    return in->len >= 4 ? tg_le32(in->body) : 0;
}

/* ---- checks ---- */

/* Notes that a message has a wrong time and asks for the server's. */
static void doubt(struct mt_session *s, const struct mt_in *in, bool future)
{
    if (!s->in_doubt) {
        s->ping_due = true;
        s->doubt_moved_us = 0;
    }
    s->in_doubt = true;
    s->doubt_future |= future;
    if (!future && in->seq_no & 1 && s->n_doubt < MT_DOUBT_MAX)
        s->doubt[s->n_doubt++] = in->msg_id;
}

static bool time_passes(struct mt_session *s, const struct mt_in *in)
{
    int64_t ahead = mt_id_us(in->msg_id) - mt_clock_peer_us(&s->clock);
    uint32_t id = id_of(in);
    bool future = ahead > MT_FUTURE_MAX_US;

    if (!s->time_known || id == MT_ID_BAD_SERVER_SALT || id == MT_ID_BAD_MSG_NOTIFICATION)
        return true;
    if (id == MT_ID_MSG_CONTAINER) /* a wrapper: each message in it is checked */
        return true;
    if (!future && ahead >= -MT_PAST_MAX_US)
        return true;
    if (s->in_doubt && id == MT_ID_PONG) /* the answer that ends the doubt, one way or the other */
        return true;
    doubt(s, in, future);
    return false;
}

/* The checks that each message must pass on its own. */
static bool checks_pass(struct mt_session *s, const struct mt_in *in)
{
    enum mt_seen_answer known;

    if (!(in->msg_id & 1)) {
        mt_session_fail(s, TG_SECURITY, 0, "the server sent a message with a client's id");
        return false;
    }
    known = mt_seen_check(&s->seen, in->msg_id);
    if (known == MT_SEEN_NEW) {
        if (!time_passes(s, in))
            return false;
        known = mt_seen_add(&s->seen, in->msg_id, in->seq_no);
    }
    if (known == MT_SEEN_NOMEM) {
        mt_session_fail(s, TG_NOMEM, 0, "out of memory for message ids");
        return false;
    }
    if (in->seq_no & 1) /* a repeated one too: its acknowledgement was lost */
        mt_session_ack(s, in->msg_id);
    return known == MT_SEEN_NEW;
}

/* ---- replies ---- */

static void raise_error(struct mt_session *s, uint64_t number, int32_t code, struct tg_str text)
{
    char copy[TEXT_MAX + 1];
    size_t n = TG_MIN((size_t)text.len, (size_t)TEXT_MAX);

    memcpy(copy, text.at, n);
    copy[n] = 0;
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)copy[i] < ' ')
            copy[i] = '?';
    mt_session_event(s, &(struct mt_event){ .kind = MT_EVENT_ERROR, .call = number, .code = code,
                                            .text = copy });
}

/* Raises the reply. The call is gone already, so the owner may do what it likes meanwhile. */
static void raise_reply(struct mt_session *s, uint64_t number, const uint8_t *body, size_t len)
{
    struct tl_reader r = tl_reader_of(body, len);
    struct tg_str text;
    int32_t code;

    if (tl_peek_u32(&r) != MT_ID_RPC_ERROR) {
        mt_session_event(s, &(struct mt_event){ .kind = MT_EVENT_REPLY, .call = number,
                                                .body = body, .len = len,
                                                .pooled = s->body_pooled });
        return;
    }
    tl_read_u32(&r);
    code = tl_read_i32(&r);
    text = tl_read_str(&r);
    if (r.bad)
        raise_error(s, number, UNREADABLE, TG_STR("REPLY_MALFORMED"));
    else
        raise_error(s, number, code, text);
}

/* Inflates the gzip_packed object at r. @return false if it is none that can be read */
static bool inflate_object(struct mt_session *s, struct tl_reader r, size_t *budget,
                           uint8_t **ret, size_t *ret_len)
{
    struct tg_str packed;

    tl_read_u32(&r);
    packed = tl_read_str(&r);
    if (r.bad || mt_gzip_inflate(s->gzip, packed.at, packed.len, *budget, ret, ret_len) != TG_OK ||
        *ret_len < 4 || *ret_len % 4)
        return false;
    *budget -= *ret_len;
    return true;
}

static void on_rpc_result(struct mt_session *s, const struct mt_in *in, size_t *budget)
{
    struct tl_reader r = tl_reader_of(in->body, in->len);
    struct mt_pending *call;
    const uint8_t *body;
    uint8_t *made, *held = NULL;
    uint64_t number;
    size_t len;

    tl_read_u32(&r);
    call = mt_idmap_get(&s->by_msg_id, (uint64_t)tl_read_i64(&r));
    if (!call || r.bad)
        return; /* cancelled, answered before, or the answer to rpc_drop_answer */
    number = call->number;
    mt_session_unlink(s, call);
    explicit_bzero(call->body, call->len);
    free(call);
    s->n_refused = 0;
    body = r.at;
    len = tl_left(&r);
    s->body_pooled = in->in_gzip;
    if (tl_peek_u32(&r) == MT_ID_GZIP_PACKED) {
        if (in->in_gzip) /* the input stands where the output would go */
            held = mt_gzip_take(s->gzip);
        s->body_pooled = inflate_object(s, r, budget, &made, &len);
        body = s->body_pooled ? made : NULL;
    }
    if (!body || len < 4)
        raise_error(s, number, UNREADABLE, TG_STR("REPLY_MALFORMED"));
    else
        raise_reply(s, number, body, len);
    s->body_pooled = false;
    free(held);
}

/* ---- carriers ---- */

static void on_gzip(struct mt_session *s, const struct mt_in *in, size_t *budget)
{
    struct mt_in inner = *in;

    if (in->in_gzip || !inflate_object(s, tl_reader_of(in->body, in->len), budget, &inner.body,
                                       &inner.len))
        return;
    inner.in_gzip = true;
    on_message(s, &inner, budget);
}

/* Reads the head of a bare message {msg_id seq_no bytes body} and steps over it. */
static bool read_inner(struct tl_reader *r, uint8_t *base, const struct mt_in *outer,
                       struct mt_in *ret)
{
    struct mt_in in = *outer;
    uint32_t len;

    in.msg_id = (uint64_t)tl_read_i64(r);
    in.seq_no = tl_read_u32(r);
    len = tl_read_u32(r);
    if (r->bad || len % 4 || len > tl_left(r))
        return false;
    in.body = base + (r->at - base);
    in.len = len;
    tl_read_view(r, len);
    *ret = in;
    return true;
}

static void on_copy(struct mt_session *s, const struct mt_in *in, size_t *budget)
{
    struct tl_reader r = tl_reader_of(in->body, in->len);
    struct mt_in inner;

    tl_read_u32(&r);
    if (in->in_copy || in->in_gzip || !read_inner(&r, in->body, in, &inner))
        return;
    inner.in_copy = true;
    if (checks_pass(s, &inner))
        on_message(s, &inner, budget);
}

/* A container that came before is read again only to repeat acknowledgements that were lost. */
static void on_container(struct mt_session *s, const struct mt_in *in, size_t *budget)
{
    struct tl_reader r = tl_reader_of(in->body, in->len);
    unsigned epoch = s->epoch;
    uint32_t n;

    tl_read_u32(&r);
    n = tl_read_u32(&r);
    if (in->in_container || in->in_copy || in->in_gzip)
        return;
    if (n > MT_CONTAINER_MAX || n > tl_left(&r) / INNER_HEAD) {
        mt_session_fail(s, TG_PROTOCOL, 0, "the server sent a malformed container");
        return;
    }
    for (uint32_t i = 0; i < n; i++) {
        struct mt_in inner;

        if (!read_inner(&r, in->body, in, &inner)) {
            mt_session_fail(s, TG_PROTOCOL, 0, "the server sent a malformed container");
            return;
        }
        inner.in_container = true;
        if (checks_pass(s, &inner))
            on_message(s, &inner, budget);
        if (s->epoch != epoch)
            return; /* the owner or a service message ended this session or connection */
    }
}

/* Reads one message that passed the checks. */
static void on_message(struct mt_session *s, const struct mt_in *in, size_t *budget)
{
    uint32_t id = id_of(in);

    switch (id) {
    case 0:
        return;
    case MT_ID_MSG_CONTAINER:
        on_container(s, in, budget);
        return;
    case MT_ID_MSG_COPY:
        on_copy(s, in, budget);
        return;
    case MT_ID_GZIP_PACKED:
        on_gzip(s, in, budget);
        return;
    case MT_ID_RPC_RESULT:
        on_rpc_result(s, in, budget);
        return;
    default:
        break;
    }
    if (!mt_session_on_service(s, id, in))
        mt_session_event(s, &(struct mt_event){ .kind = MT_EVENT_UPDATE, .body = in->body,
                                                .len = in->len });
}

/* ---- packets ---- */

static void on_transport_error(struct mt_session *s, int32_t error)
{
    if (error == -404)
        mt_session_fail(s, TG_AUTH, error, "the server does not know the authorization key");
    else if (error == -429)
        mt_session_fail(s, TG_NET, error, "the server refuses so many connections");
    else
        mt_session_fail(s, TG_SERVER, error, "the server refused the connection");
}

static void on_quick_ack(struct mt_session *s, uint32_t token)
{
    unsigned epoch = s->epoch;
    struct mt_pending *p = s->sent.first;

    while (p && s->epoch == epoch) {
        if (!p->quick_token || p->quick_token != token) {
            p = p->next;
            continue;
        }
        p->quick_token = 0; /* once; and the search starts over, as the owner may cancel any call */
        mt_session_event(s, &(struct mt_event){ .kind = MT_EVENT_QUICK_ACK, .call = p->number });
        p = s->sent.first;
    }
}

static bool is_former(const struct mt_session *s, uint64_t session_id)
{
    for (size_t i = 0; i < MT_FORMER_MAX; i++)
        if (session_id && s->former[i] == session_id)
            return true;
    return false;
}

/* Key id 0 is no key: it marks plain packets, which have no place in a session. */
static bool is_of_former_key(const struct mt_session *s, const struct mt_packet *packet)
{
    return tg_le64(s->former_key_id) && packet->len >= 8 &&
           memcmp(packet->at, s->former_key_id, 8) == 0 &&
           memcmp(s->former_key_id, s->key.id, 8) != 0;
}

static void on_packet(struct mt_session *s, struct mt_packet *packet)
{
    enum mt_framing framing = MT_ABRIDGED;
    size_t budget = MT_INFLATE_MAX;
    struct mt_message m;
    struct tg_error err;
    bool obfuscated;
    int16_t dc;

    mt_transport_detected(s->transport, &framing, &obfuscated, &dc);
    if (is_of_former_key(s, packet))
        return; /* sent before the key was replaced */
    if (mt_envelope_read(&s->key, MT_FROM_SERVER, framing == MT_PADDED, packet, &m, &err) !=
        TG_OK) {
        mt_session_fail(s, err.code, 0, err.message);
        return;
    }
    if (m.session_id != s->session_id) {
        if (!is_former(s, m.session_id))
            mt_session_fail(s, TG_SECURITY, 0, "the server sent a message of another session");
        return;
    }
    struct mt_in in = { .msg_id = m.msg_id, .seq_no = m.seq_no, .body = m.body, .len = m.len };
    bool fresh = checks_pass(s, &in);

    if (fresh || (!s->failed && id_of(&in) == MT_ID_MSG_CONTAINER &&
                  mt_seen_find(&s->seen, in.msg_id)))
        on_message(s, &in, &budget);
    mt_gzip_trim(s->gzip);
}

void mt_session_decrypt(const struct mt_session *s, struct mt_packet *packet, size_t n)
{
    enum mt_framing framing = MT_ABRIDGED;
    bool obfuscated;
    int16_t dc;

    if (!s->transport || s->failed)
        return;
    mt_transport_detected(s->transport, &framing, &obfuscated, &dc);
    mt_envelope_decrypt(&s->key, MT_FROM_SERVER, framing == MT_PADDED, packet, n);
}

void mt_session_packet(struct mt_session *s, struct mt_packet *packet, int64_t now_us)
{
    mt_session_time(s, now_us);
    if (!s->transport || s->failed)
        return;
    s->heard_us = s->clock.local_us;
    if (packet->error)
        on_transport_error(s, packet->error);
    else if (packet->is_quick_ack)
        on_quick_ack(s, packet->quick_ack);
    else
        on_packet(s, packet);
}

/* SPDX-License-Identifier: MIT */
/*
 * session_server_recv.c - what a client sends, checked as a real server checks it; see
 * session_server.h
 *
 *   packet -> key, msg_key -> salt -> container | message:
 *   low bits -> time -> window of msg_ids -> seq_no -> acknowledgement -> service message | query
 *
 * A query that comes again is never run twice: its answer is sent again while it is kept, and it is
 * passed over while it still runs or once the answer was acknowledged.
 *
 * Threads: none: one caller
 */
#include "mtproto/session_server_impl.h"

#include "crypto/hash.h"
#include "crypto/mt_kdf.h"

enum { INNER_HEAD = 16, CIPHER_AT = 24, INFLATE_BUDGET = 16 << 20 };

#define ID_PAST_US (300 * TG_SECOND_US)
#define ID_FUTURE_US (30 * TG_SECOND_US)

static void on_message(const struct mt_srv_in *in);

static uint32_t id_of(const struct mt_srv_in *in)
{
    return in->len >= 4 ? tg_le32(in->body) : 0;
}

static int64_t server_us(const struct mt_srv_in *in)
{
    return mt_clock_peer_us(&in->conn->server->clock);
}

/* ---- refusing ---- */

static void refuse(const struct mt_srv_in *in, uint32_t code)
{
    struct tg_buf body;
    uint8_t salt[8];

    tg_buf_init(&body, 64);
    tg_buf_u32(&body, code == MT_BAD_SALT ? MT_ID_BAD_SERVER_SALT : MT_ID_BAD_MSG_NOTIFICATION);
    tg_buf_u64(&body, in->msg_id);
    tg_buf_u32(&body, in->seq_no);
    tg_buf_u32(&body, code);
    if (code == MT_BAD_SALT) {
        mt_srv_salt(in->conn->server, in->session->key_id, salt);
        tg_buf_add(&body, salt, sizeof salt);
    }
    mt_srv_say(in, &body);
    tg_buf_done(&body);
}

/* Numbers must grow with ids, strictly where both messages are content-related. */
static uint32_t check_seq_no(const struct mt_srv_in *in)
{
    const struct mt_seen *seen = &in->session->seen;
    size_t rank = mt_seen_rank(seen, in->msg_id);
    const struct mt_seen_entry *e;
    uint32_t id = id_of(in);

    if ((id == MT_ID_MSGS_ACK || id == MT_ID_MSG_CONTAINER || id == MT_ID_MSG_COPY) &&
        in->seq_no & 1)
        return MT_BAD_SEQ_NOT_EVEN;
    if (seen->n == 0)
        return 0;
    e = seen->at + seen->head + rank;
    if (rank > 0 && (e[-1].seq_no > in->seq_no ||
                     (e[-1].seq_no == in->seq_no && in->seq_no & 1)))
        return MT_BAD_SEQ_TOO_LOW;
    if (rank < seen->n && (e->seq_no < in->seq_no || (e->seq_no == in->seq_no && in->seq_no & 1)))
        return MT_BAD_SEQ_TOO_HIGH;
    return 0;
}

/* @return the code to refuse the message with, or 0. `ret_again` tells that it came before. */
static uint32_t check(const struct mt_srv_in *in, bool *ret_again)
{
    int64_t ahead = mt_id_us(in->msg_id) - server_us(in);
    enum mt_seen_answer known = mt_seen_check(&in->session->seen, in->msg_id);

    *ret_again = false;
    if (in->msg_id & 3)
        return MT_BAD_ID_LOW_BITS;
    if (ahead > ID_FUTURE_US)
        return MT_BAD_ID_TOO_HIGH;
    if (known == MT_SEEN_DUPLICATE) {
        *ret_again = true;
        return id_of(in) == MT_ID_MSG_CONTAINER ? MT_BAD_CONTAINER_REUSED : 0;
    }
    if (ahead < -ID_PAST_US)
        return MT_BAD_ID_TOO_LOW;
    return known == MT_SEEN_TOO_OLD ? MT_BAD_TOO_OLD : check_seq_no(in);
}

/* ---- sessions ---- */

/* Tells a client of its new session; `first_id` is the first message that was received in it. */
static void announce(struct mt_srv_session *session, struct mt_server *s, uint64_t first_id)
{
    struct tg_buf body;
    uint8_t salt[8];

    session->announced = true;
    mt_srv_salt(s, session->key_id, salt);
    tg_buf_init(&body, 64);
    tg_buf_u32(&body, MT_ID_NEW_SESSION_CREATED);
    tg_buf_u64(&body, first_id);
    tg_buf_u64(&body, tg_random_u64(s->options.random));
    tg_buf_add(&body, salt, sizeof salt);
    if (!body.failed)
        mt_srv_add(session, true, 0, body.data, body.len);
    tg_buf_done(&body);
}

/* ---- repetition and queries ---- */

/* A message that came before: only its answer, if it is still kept, is of use to the client. */
static void on_again(const struct mt_srv_in *in)
{
    struct mt_seen_entry *e = mt_seen_find(&in->session->seen, in->msg_id);
    struct mt_srv_msg *answer = mt_idmap_get(&in->session->by_req, in->msg_id);

    if (answer)
        mt_srv_due(in->session, answer);
    else if (e && e->flag & MT_QUERY_RUNNING && e->tag != in->conn->number)
        e->flag |= MT_QUERY_MOVED;
    if (in->seq_no & 1 && !answer)
        mt_srv_ack(in->session, in->conn->server, in->msg_id);
}

static void on_query(const struct mt_srv_in *in)
{
    const struct mt_server_options *o = &in->conn->server->options;
    struct mt_seen_entry *e = mt_seen_find(&in->session->seen, in->msg_id);

    if (!(in->seq_no & 1)) {
        mt_seen_remove(&in->session->seen, in->msg_id);
        refuse(in, MT_BAD_SEQ_NOT_ODD);
        return;
    }
    if (e) {
        e->flag = MT_QUERY_RUNNING;
        e->tag = in->conn->number;
        in->session->n_running++;
    }
    o->on_query(o->ctx, in->conn,
                &(struct mt_query){ .key_id = in->session->key_id,
                                    .session_id = in->session->session_id, .msg_id = in->msg_id,
                                    .body = in->body, .len = in->len });
}

static void on_gzip(const struct mt_srv_in *in)
{
    struct tl_reader r = tl_reader_of(in->body, in->len);
    struct mt_gzip *gzip = in->conn->server->gzip;
    struct mt_srv_in inner = *in;
    struct tg_str packed;

    tl_read_u32(&r);
    packed = tl_read_str(&r);
    if (r.bad || in->in_gzip ||
        mt_gzip_inflate(gzip, packed.at, packed.len, INFLATE_BUDGET, &inner.body, &inner.len) ||
        inner.len < 4 || inner.len % 4)
        return;
    inner.in_gzip = true;
    on_message(&inner);
    mt_gzip_trim(gzip);
}

/* ---- carriers ---- */

static bool read_inner(struct tl_reader *r, const struct mt_srv_in *outer, struct mt_srv_in *ret)
{
    struct mt_srv_in in = *outer;
    uint32_t len;

    in.msg_id = (uint64_t)tl_read_i64(r);
    in.seq_no = tl_read_u32(r);
    len = tl_read_u32(r);
    if (r->bad || len % 4 || len > tl_left(r))
        return false;
    in.body = outer->body + (r->at - outer->body);
    in.len = len;
    tl_read_view(r, len);
    *ret = in;
    return true;
}

/* Checks one message and, if it is good, notes and reads it. */
static void take_message(const struct mt_srv_in *in)
{
    bool again;
    uint32_t code = check(in, &again);

    if (code) {
        refuse(in, code);
        return;
    }
    if (again) {
        on_again(in);
        return;
    }
    if (mt_seen_add(&in->session->seen, in->msg_id, in->seq_no) != MT_SEEN_NEW)
        return;
    if (in->seq_no & 1)
        mt_srv_ack(in->session, in->conn->server, in->msg_id);
    on_message(in);
}

static void on_copy(const struct mt_srv_in *in, struct tl_reader *r)
{
    struct mt_srv_in inner;

    if (in->in_copy || in->in_gzip || !read_inner(r, in, &inner))
        return;
    inner.in_copy = true;
    take_message(&inner);
}

/* @return whether the layout is right: 0..1024 messages, none a container, all ids below its own */
static bool container_valid(const struct mt_srv_in *in, uint64_t *ret_first_id)
{
    struct tl_reader r = tl_reader_of(in->body, in->len);
    uint64_t first = in->msg_id;
    struct mt_srv_in inner;
    uint32_t n;

    tl_read_u32(&r);
    n = tl_read_u32(&r);
    if (r.bad || n > MT_CONTAINER_MAX)
        return false;
    while (n-- > 0) {
        if (!read_inner(&r, in, &inner) || id_of(&inner) == MT_ID_MSG_CONTAINER ||
            inner.msg_id >= in->msg_id)
            return false;
        first = TG_MIN(first, inner.msg_id);
    }
    *ret_first_id = first;
    return true;
}

static void on_container(const struct mt_srv_in *in)
{
    struct tl_reader r = tl_reader_of(in->body, in->len);
    struct mt_srv_in inner;
    uint32_t n;

    tl_read_u32(&r);
    n = tl_read_u32(&r);
    while (n-- > 0 && read_inner(&r, in, &inner) && !in->conn->closing) {
        inner.container = in->msg_id;
        take_message(&inner);
    }
}

/* ---- dispatch ---- */

static void on_message(const struct mt_srv_in *in)
{
    struct tl_reader r = tl_reader_of(in->body, in->len);
    uint32_t id = tl_read_u32(&r);

    if (r.bad || id == MT_ID_MSG_CONTAINER)
        return;
    if (id == MT_ID_GZIP_PACKED) {
        on_gzip(in);
        return;
    }
    if (id == MT_ID_MSG_COPY)
        on_copy(in, &r);
    else if (!mt_srv_service(in, id, &r))
        on_query(in);
}

/* Whether a query stands in the message or container: what the faults wait for. */
static bool has_query(const struct mt_srv_in *in)
{
    struct tl_reader r = tl_reader_of(in->body, in->len);
    struct mt_srv_in inner;
    uint32_t n;

    if (id_of(in) != MT_ID_MSG_CONTAINER)
        return in->len >= 4 && !mt_srv_is_service(id_of(in));
    tl_read_u32(&r);
    for (n = tl_read_u32(&r); n > 0 && read_inner(&r, in, &inner); n--)
        if (inner.len >= 4 && !mt_srv_is_service(id_of(&inner)))
            return true;
    return false;
}

/* @return the code of a refusal that a test has ordered, or 0 */
static uint32_t ordered_refusal(const struct mt_srv_in *in)
{
    unsigned *fault = in->conn->fault;

    if (!(fault[MT_FAULT_BAD_SALT] || fault[MT_FAULT_CLOCK_BEHIND]) || !has_query(in))
        return 0;
    if (fault[MT_FAULT_BAD_SALT]) {
        fault[MT_FAULT_BAD_SALT]--;
        return MT_BAD_SALT;
    }
    fault[MT_FAULT_CLOCK_BEHIND]--;
    return MT_BAD_ID_TOO_HIGH;
}

/* The outermost message of a packet. */
static void on_outer(const struct mt_srv_in *in, const uint8_t salt[8])
{
    bool container = id_of(in) == MT_ID_MSG_CONTAINER, again;
    struct mt_server *s = in->conn->server;
    uint64_t first_id = in->msg_id;
    uint32_t code = ordered_refusal(in);

    if (!code && !mt_srv_salt_valid(s, in->session->key_id, salt))
        code = MT_BAD_SALT;
    if (!code)
        code = check(in, &again);
    if (!code && container && !container_valid(in, &first_id))
        code = MT_BAD_CONTAINER;
    if (code) {
        refuse(in, code);
        return;
    }
    if (!in->session->announced || in->conn->fault[MT_FAULT_NEW_SESSION]) {
        if (in->session->announced)
            in->conn->fault[MT_FAULT_NEW_SESSION]--;
        announce(in->session, s, first_id);
    }
    if (!container) {
        take_message(in);
        return;
    }
    mt_seen_add(&in->session->seen, in->msg_id, in->seq_no);
    on_container(in);
}

/* ---- packets ---- */

static void quick_ack(struct mt_server_conn *c, const struct mt_key *key,
                      const struct mt_packet *packet)
{
    size_t n = (packet->len - CIPHER_AT) / 16 * 16;
    uint8_t large[TG_SHA256];

    tg_mt_msg_key_large(key->key, MT_FROM_CLIENT, packet->at + CIPHER_AT, n, large);
    mt_transport_write_quick_ack(c->transport, tg_le32(large) | UINT32_C(0x80000000), &c->out);
}

static void note_key(struct mt_server_conn *c, const uint8_t id[8])
{
    for (size_t i = 0; i < TG_MIN(c->n_keys, (size_t)MT_SRV_CONN_KEYS_MAX); i++)
        if (memcmp(c->keys[i], id, 8) == 0)
            return;
    memcpy(c->keys[c->n_keys++ % MT_SRV_CONN_KEYS_MAX], id, 8);
}

bool mt_srv_packet(struct mt_server_conn *c, struct mt_packet *packet)
{
    const struct mt_server_options *o = &c->server->options;
    enum mt_framing framing = MT_ABRIDGED;
    const struct mt_key *key;
    struct mt_message m;
    struct tg_error err;
    bool obfuscated;
    int16_t dc;

    if (packet->len < CIPHER_AT || !(key = o->find_key(o->ctx, packet->at)))
        return false;
    mt_transport_detected(c->transport, &framing, &obfuscated, &dc);
    if (mt_envelope_open(key, MT_FROM_CLIENT, framing == MT_PADDED, packet->at, packet->len, &m,
                         &err) != TG_OK)
        return false;
    note_key(c, packet->at);
    if (packet->wants_quick_ack)
        quick_ack(c, key, packet);
    struct mt_srv_in in = { .conn = c, .msg_id = m.msg_id, .seq_no = m.seq_no, .body = m.body,
                            .len = m.len };

    in.session = mt_srv_attach(c, packet->at, m.session_id);
    if (in.session)
        on_outer(&in, m.salt);
    else
        c->closing = true;
    return true;
}

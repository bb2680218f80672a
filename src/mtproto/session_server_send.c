/* SPDX-License-Identifier: MIT */
/*
 * session_server_send.c - messages of the server role become packets; see session_server.h
 *
 * Small messages that are due together share a container, with the acknowledgements that wait. A
 * large one goes alone, encrypted straight from where it is kept.
 *
 * Threads: none: one caller
 */
#include "mtproto/session_server_impl.h"

#include <assert.h>
#include <stdlib.h>

enum {
    CONTAINER_HEAD = 8,
    MESSAGE_HEAD = 16,
    CIPHER_AT = 24,
};

/* ---- acknowledgements ---- */

static int64_t server_us(const struct mt_server *s)
{
    return mt_clock_peer_us(&s->clock);
}

void mt_srv_ack(struct mt_srv_session *session, const struct mt_server *s, uint64_t msg_id)
{
    if (session->n_acks == MT_SRV_ACKS_MAX) /* the client asks again for what it misses */
        return;
    if (session->n_acks == 0)
        session->ack_since_us = server_us(s);
    session->acks[session->n_acks++] = msg_id;
}

void mt_srv_unack(struct mt_srv_session *session, uint64_t msg_id)
{
    for (size_t i = session->n_acks; i-- > 0;)
        if (session->acks[i] == msg_id) {
            session->acks[i] = session->acks[--session->n_acks];
            return;
        }
}

bool mt_srv_acks_due(const struct mt_srv_session *session, const struct mt_server *s)
{
    return session->n_acks > MT_SRV_ACKS_EAGER ||
           (session->n_acks && server_us(s) - session->ack_since_us >= MT_SRV_ACK_DELAY_US);
}

static void add_acks(struct mt_srv_session *session, const struct mt_server *s)
{
    struct mt_srv_msg *m;

    if (!mt_srv_acks_due(session, s))
        return;
    m = mt_srv_add(session, false, 0, NULL, 12 + 8 * session->n_acks);
    if (!m)
        return;
    tg_put_le32(m->body, MT_ID_MSGS_ACK);
    tg_put_le32(m->body + 4, MT_ID_VECTOR);
    tg_put_le32(m->body + 8, (uint32_t)session->n_acks);
    for (size_t i = 0; i < session->n_acks; i++)
        tg_put_le64(m->body + 12 + 8 * i, session->acks[i]);
    session->n_acks = 0;
}

void mt_srv_remind(struct mt_srv_session *session, const struct mt_server *s)
{
    int64_t before = server_us(s) - MT_SRV_REMIND_US;
    struct mt_srv_msg *last = session->last;
    uint8_t body[28];
    unsigned n = 0;

    if (server_us(s) < session->remind_us)
        return;
    session->remind_us = server_us(s) + MT_SRV_REMIND_US;
    for (struct mt_srv_msg *m = session->first; m && n < MT_SRV_REMIND_MAX; m = m->next) {
        size_t at = 4;

        if (m->content && !m->due && m->sent_us <= before) {
            tg_put_le32(body, m->answer ? MT_ID_MSG_DETAILED_INFO : MT_ID_MSG_NEW_DETAILED_INFO);
            if (m->answer) {
                tg_put_le64(body + at, m->req_msg_id);
                at += 8;
            }
            tg_put_le64(body + at, m->msg_id);
            tg_put_le32(body + at + 8, m->len);
            tg_put_le32(body + at + 12, 0);
            mt_srv_add(session, false, 0, body, at + 16);
            n++;
        }
        if (m == last) /* those just added stand behind it */
            break;
    }
}

/* ---- packets ---- */

static void write_packet(struct mt_server_conn *c, const uint8_t *packet, size_t len)
{
    mt_transport_write(c->transport, packet, len, false, &c->out);
    if (c->out.failed)
        c->closing = true;
}

void mt_srv_release(struct mt_server_conn *c)
{
    if (c->held)
        write_packet(c, c->held, c->held_len);
    free(c->held);
    c->held = NULL;
}

/* Encrypts one message and writes it, with the faults that are ordered. */
static void send_message(struct mt_server_conn *c, const struct mt_key *key, struct mt_message *m,
                         bool answer)
{
    struct mt_server *s = c->server;
    unsigned *fault = c->fault;

    tg_buf_clear(&s->packet);
    mt_srv_salt(s, key->id, m->salt);
    mt_envelope_write(key, MT_FROM_SERVER, m, s->options.random, &s->packet, NULL);
    if (s->packet.failed) {
        c->closing = true;
        return;
    }
    if (fault[MT_FAULT_GARBAGE]) {
        fault[MT_FAULT_GARBAGE]--;
        s->packet.data[CIPHER_AT + tg_random_below(s->options.random, s->packet.len - CIPHER_AT)] ^=
            1;
    }
    if (fault[MT_FAULT_REORDER] && !c->held && (c->held = malloc(s->packet.len))) {
        fault[MT_FAULT_REORDER]--;
        memcpy(c->held, s->packet.data, s->packet.len);
        c->held_len = s->packet.len;
        c->held_since_us = server_us(s);
        return;
    }
    write_packet(c, s->packet.data, s->packet.len);
    if (answer && fault[MT_FAULT_DUPLICATE]) {
        fault[MT_FAULT_DUPLICATE]--;
        write_packet(c, s->packet.data, s->packet.len);
    }
    mt_srv_release(c);
}

/* The message was sent: it leaves the line, and memory too unless it must be acknowledged. */
static void was_sent(struct mt_srv_session *session, struct mt_srv_msg *m, int64_t now_us)
{
    mt_srv_undue(session, m);
    m->sent_us = now_us;
    if (!m->content)
        mt_srv_drop(session, m);
}

/* Fills scratch with a container of the first messages due. @return how many there are */
static unsigned gather(const struct mt_server *s, const struct mt_srv_session *session,
                       struct tg_buf *scratch)
{
    unsigned n = 0;

    (void)s;
    tg_buf_clear(scratch);
    tg_buf_extend(scratch, CONTAINER_HEAD);
    for (struct mt_srv_msg *m = session->due_first; m && n < MT_CONTAINER_MAX; m = m->due_next) {
        if (scratch->len + MESSAGE_HEAD + m->len > MT_SRV_PACKET_BYTES)
            break;
        tg_buf_u64(scratch, m->msg_id);
        tg_buf_u32(scratch, m->seq_no);
        tg_buf_u32(scratch, m->len);
        tg_buf_add(scratch, m->body, m->len);
        n++;
    }
    return scratch->failed ? 0 : n;
}

static bool output_one(struct mt_server_conn *c, struct mt_srv_session *session,
                       const struct mt_key *key)
{
    struct mt_srv_msg *m = session->due_first;
    struct mt_server *s = c->server;
    struct mt_message out = { .session_id = session->session_id };
    bool answer = false;
    unsigned n = 1;

    if (m->due_next && m->len < MT_SRV_PACKET_BYTES)
        n = gather(s, session, &s->scratch);
    if (n < 2) {
        out.msg_id = m->msg_id;
        out.seq_no = m->seq_no;
        out.body = m->body;
        out.len = m->len;
        send_message(c, key, &out, m->answer);
        was_sent(session, m, server_us(s));
        return !c->closing;
    }
    tg_put_le32(s->scratch.data, MT_ID_MSG_CONTAINER);
    tg_put_le32(s->scratch.data + 4, n);
    out.msg_id = mt_srv_msg_id(session, s, 1);
    out.seq_no = 2 * session->n_content;
    out.body = s->scratch.data;
    out.len = (uint32_t)s->scratch.len;
    while (n-- > 0) {
        answer |= session->due_first->answer;
        was_sent(session, session->due_first, server_us(s));
    }
    send_message(c, key, &out, answer);
    return !c->closing;
}

void mt_srv_output(struct mt_server_conn *c)
{
    const struct mt_server_options *o = &c->server->options;

    for (struct mt_srv_session *x = c->sessions; x; x = x->conn_next) {
        const struct mt_key *key = o->find_key(o->ctx, x->key_id);

        if (!key) { /* it was destroyed meanwhile: nobody can read these */
            while (x->first)
                mt_srv_drop(x, x->first);
            continue;
        }
        struct mt_key copy = *key; /* borrowed until the next call only */

        add_acks(x, c->server);
        while (x->due_first && c->out.len < MT_SRV_OUT_HIGH && output_one(c, x, &copy))
            ;
        mt_srv_bound(x);
        explicit_bzero(&copy, sizeof copy);
    }
}

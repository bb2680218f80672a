/* SPDX-License-Identifier: MIT */
/*
 * mt_session.c - fuzzer: messages of a peer that holds the key, read by the client session and by
 * the server role
 *
 * The input is a script of records: flags (1), delay in quarter seconds (1), length (2), body. Each
 * becomes one message that is sealed with the right key, so that the fuzzer reaches what lies
 * behind the envelope. In a body the bytes f1 f2 f3 f4 NN stand for the NN-th newest msg_id that
 * the tested side made, so that answers and complaints can name real messages. A message that is
 * taken may crash nothing, and the calls that are left must fit the results that came.
 */
#include <assert.h>
#include <stdlib.h>

#include "mtproto/ids.h"
#include "mtproto/msg_ids.h"
#include "mtproto/session.h"
#include "mtproto/session_server_impl.h"
#include "tl/reader.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { NAMES = 256, RECORD_HEAD = 4, TO_SERVER = 1, CONTENT = 2, WRONG_TIME = 4, RECONNECT = 8,
       CALL = 16, CANCEL = 32, IN_CONTAINER = 64, RESTART = 128 };

struct fuzz {
    struct tg_random_seeded seeded;
    struct tg_random random;
    struct mt_key key;
    int64_t now;
    struct mt_session *s;
    struct mt_transport *client, *reader;
    struct tg_buf out, body, packet;
    struct mt_server *server;
    struct mt_server_conn *conn;
    bool opened; /* the server's connection got its first bytes */
    uint64_t name[NAMES]; /* msg_ids that the tested side made */
    size_t n_names;
    uint64_t last_id;
    uint32_t n_content;
    size_t n_calls, n_results, n_cancelled;
    uint64_t last_call;
};

static const struct mt_key *find_key(void *ctx, const uint8_t id[8])
{
    struct fuzz *f = ctx;

    return memcmp(id, f->key.id, 8) == 0 ? &f->key : NULL;
}

static void on_query(void *ctx, struct mt_server_conn *conn, const struct mt_query *q)
{
    struct fuzz *f = ctx;

    assert(q->len >= 4);
    if (q->body[0] & 1)
        mt_server_reply(conn, &(struct mt_reply){ .session_id = q->session_id,
                                                  .req_msg_id = q->msg_id, .body = "\1\2\3\4",
                                                  .len = 4 }, f->now);
}

static void on_event(void *ctx, const struct mt_event *e)
{
    struct fuzz *f = ctx;

    if (e->kind == MT_EVENT_REPLY || e->kind == MT_EVENT_ERROR) {
        f->n_results++;
        assert(e->call && e->call <= f->n_calls);
        if (e->pooled && e->len & 4)
            free(mt_session_keep(f->s));
    }
}

static void note(struct fuzz *f, uint64_t msg_id)
{
    f->name[f->n_names++ % NAMES] = msg_id;
}

/* Reads what the client sent, for its msg_ids. */
static void read_client(struct fuzz *f)
{
    struct mt_packet packet;
    struct tg_error err;
    struct mt_message m;

    tg_buf_clear(&f->out);
    mt_session_flush(f->s, f->now, &f->out);
    if (mt_transport_feed(f->reader, f->out.data, f->out.len, &err) != TG_OK)
        abort();
    while (mt_transport_next(f->reader, &packet, &err) == TG_OK) {
        if (mt_envelope_open(&f->key, MT_FROM_CLIENT, false, packet.at, packet.len, &m, &err))
            abort();
        note(f, m.msg_id);
        for (uint32_t at = 0; tg_le32(m.body) == MT_ID_MSG_CONTAINER && at + 24 <= m.len;) {
            note(f, tg_le64(m.body + 8 + at));
            at += 16 + tg_le32(m.body + 8 + at + 12);
        }
    }
}

static void connect_client(struct fuzz *f)
{
    static const struct mt_transport_options options = { .framing = MT_ABRIDGED };
    struct tg_error err;

    mt_session_disconnected(f->s);
    mt_transport_free(f->client);
    mt_transport_free(f->reader);
    tg_buf_clear(&f->out);
    f->client = mt_transport_new_client(&options, &f->random, &f->out);
    f->reader = mt_transport_new_server(&f->random, NULL);
    if (!f->client || !f->reader || mt_transport_feed(f->reader, f->out.data, f->out.len, &err))
        abort();
    mt_session_connected(f->s, f->client, f->now);
}

/* The server role answers without a client: only its input matters. */
static void connect_server(struct fuzz *f)
{
    mt_server_conn_free(f->conn);
    f->conn = mt_server_conn_new(f->server, NULL);
    f->opened = false;
    if (!f->conn)
        abort();
}

static void send_to_server(struct fuzz *f)
{
    static const uint8_t tag[4] = { 0xee, 0xee, 0xee, 0xee };
    uint8_t head[4];
    struct tg_error err;
    struct tg_buf *out;

    if (mt_server_conn_closing(f->conn))
        connect_server(f);
    tg_put_le32(head, (uint32_t)f->packet.len);
    if (!f->opened)
        (void)mt_server_conn_input(f->conn, tag, sizeof tag, f->now, &err);
    f->opened = true;
    (void)mt_server_conn_input(f->conn, head, sizeof head, f->now, &err);
    (void)mt_server_conn_input(f->conn, f->packet.data, f->packet.len, f->now, &err);
    mt_server_conn_tick(f->conn, f->now);
    out = mt_server_conn_output(f->conn, f->now);
    assert(out->len < 64 << 20);
    tg_buf_clear(out);
}

/* Copies a body and puts real msg_ids where it names them. */
static void put_body(struct fuzz *f, const uint8_t *at, size_t n)
{
    size_t start = f->body.len;

    for (size_t i = 0; i < n; i++)
        if (n - i >= 5 && memcmp(at + i, "\xf1\xf2\xf3\xf4", 4) == 0) {
            tg_buf_u64(&f->body, f->name[(f->n_names - 1 - at[i + 4]) % NAMES]);
            i += 4;
        } else {
            tg_buf_byte(&f->body, at[i]);
        }
    while ((f->body.len - start) % 4)
        tg_buf_byte(&f->body, 0);
}

static void one_message(struct fuzz *f, uint8_t flags, const uint8_t *at, size_t n)
{
    struct mt_clock clock = { .started = true, .wall_us = f->now, .local_us = f->now,
                              .last_id = f->last_id };
    bool to_server = flags & TO_SERVER;
    struct mt_session_state state;
    struct mt_message m = { .session_id = 77 };

    mt_session_state(f->s, &state);
    if (flags & WRONG_TIME)
        clock.offset_us = n & 1 ? -400 * TG_SECOND_US : 100 * TG_SECOND_US;
    tg_buf_clear(&f->body);
    if (flags & IN_CONTAINER) {
        tg_buf_u32(&f->body, MT_ID_MSG_CONTAINER);
        tg_buf_u32(&f->body, 1);
        tg_buf_u64(&f->body, mt_clock_id(&clock, to_server ? 0 : 1));
        tg_buf_u32(&f->body, flags & CONTENT ? 2 * f->n_content++ + 1 : 2 * f->n_content);
        tg_buf_u32(&f->body, 0);
    }
    put_body(f, at, n);
    if (flags & IN_CONTAINER)
        tg_put_le32(f->body.data + 20, (uint32_t)f->body.len - 24);
    m.msg_id = mt_clock_id(&clock, to_server ? 0 : 1);
    m.seq_no = flags & CONTENT && !(flags & IN_CONTAINER) ? 2 * f->n_content++ + 1
                                                          : 2 * f->n_content;
    m.body = f->body.data;
    m.len = (uint32_t)f->body.len;
    if (to_server)
        mt_srv_salt(f->server, f->key.id, m.salt);
    else
        m.session_id = state.session_id;
    f->last_id = clock.last_id;
    tg_buf_clear(&f->packet);
    mt_envelope_write(&f->key, to_server ? MT_FROM_CLIENT : MT_FROM_SERVER, &m, &f->random,
                      &f->packet, NULL);
    if (f->packet.failed || f->body.failed)
        return;
    if (to_server) {
        note(f, m.msg_id);
        send_to_server(f);
    } else {
        mt_session_packet(f->s, &(struct mt_packet){ .at = f->packet.data, .len = f->packet.len },
                          f->now);
    }
}

static void run(struct fuzz *f, const uint8_t *data, size_t size)
{
    struct tl_reader r = tl_reader_of(data, size);

    while (tl_left(&r) >= RECORD_HEAD) {
        const uint8_t *head = tl_read_view(&r, RECORD_HEAD), *at;
        size_t n = TG_MIN((size_t)(head[2] | head[3] << 8), tl_left(&r));

        at = tl_read_view(&r, n);
        f->now += head[1] * TG_SECOND_US / 4;
        if (head[0] & RECONNECT && head[0] & TO_SERVER)
            connect_server(f);
        else if (head[0] & RECONNECT)
            connect_client(f);
        if (head[0] & RESTART && n & 2)
            mt_session_restart(f->s);
        if (head[0] & CALL) {
            f->last_call = mt_session_call(
                f->s, &(struct mt_call){ .body = "\1\2\3\4", .len = 4,
                                         .after = n & 4 ? f->last_call : 0,
                                         .want_quick_ack = n & 8 });
            f->n_calls++;
        }
        if (head[0] & CANCEL)
            mt_session_cancel(f->s, f->last_call);
        mt_session_tick(f->s, f->now);
        read_client(f);
        one_message(f, head[0], at, n);
        read_client(f);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz f = { .now = INT64_C(1700000000) * TG_SECOND_US };
    struct mt_session_options options = { .random = &f.random, .on_event = on_event, .ctx = &f };
    struct mt_server_options server = { .random = &f.random, .ctx = &f, .find_key = find_key,
                                        .on_query = on_query };
    struct mt_session_state state;

    tg_random_seeded_init(&f.seeded, 5);
    f.random = tg_random_seeded(&f.seeded);
    tg_random_fill(&f.random, f.key.key, sizeof f.key.key);
    mt_key_derive(&f.key);
    tg_buf_init(&f.out, 64 << 20);
    tg_buf_init(&f.body, 1 << 20);
    tg_buf_init(&f.packet, 2 << 20);
    f.s = mt_session_new(&options, &f.key, (const uint8_t *)"saltsalt", 3);
    f.server = mt_server_new(&server);
    if (!f.s || !f.server)
        abort();
    connect_client(&f);
    connect_server(&f);
    run(&f, data, size);
    mt_session_state(f.s, &state);
    assert(state.n_calls + f.n_results <= f.n_calls);
    mt_session_free(f.s);
    mt_server_conn_free(f.conn);
    mt_server_free(f.server);
    mt_transport_free(f.client);
    mt_transport_free(f.reader);
    tg_buf_done(&f.out);
    tg_buf_done(&f.body);
    tg_buf_done(&f.packet);
    return 0;
}

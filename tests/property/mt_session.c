/* SPDX-License-Identifier: MIT */
/*
 * mt_session.c - client session against server session over a pipe that loses connections, with
 * faults, wrong clocks and clocks that jump: every call gets exactly one result
 *
 * A world is one seed: virtual time, a client with a few dozen calls, one data centre. Bytes travel
 * in random pieces with random delay; a connection may break after any byte, on either side first.
 * Answers come at once, late, or after the connection they were asked on is gone.
 *
 * TG_SEED=n runs one world, TG_SEEDS=n that many.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "mtproto/gzip.h"
#include "mtproto/session.h"
#include "mtproto/session_server.h"
#include "tests/mt_rig.h"

enum {
    SEEDS = 2000,
    CALLS_MAX = 64,
    CONNS_MAX = 512,
    LATER_MAX = 4096,
    PUSHES_MAX = 64,
    STEPS_MAX = 200000,
};

enum { TAG_QUERY = 0x0a0b0c0d, TAG_OBJECT = 0x01020304, TAG_PUSH = 0x0f0e0d0c };

/* One direction of a connection: bytes that are under way. */
struct pipe {
    struct tg_buf bytes;
    size_t breaks_at; /* after that many bytes in all */
    size_t passed;
};

struct later { /* a query to be answered */
    struct mt_server_conn *conn;
    uint64_t session_id, msg_id;
    uint32_t number;
    int64_t at;
};

struct world {
    uint64_t seed;
    struct tg_random_seeded seeded;
    struct tg_random random;
    int64_t now;  /* true time */
    int64_t skew; /* of the client's clock */
    struct mt_key key;

    struct mt_session *client;
    struct mt_transport *transport; /* the client's; NULL: not connected */
    struct tg_buf out;
    bool failed;
    uint64_t call[CALLS_MAX];
    unsigned results[CALLS_MAX];
    bool cancelled[CALLS_MAX];
    size_t n_calls, n_wanted, n_open;
    unsigned pushes[PUSHES_MAX];
    size_t n_pushes;

    struct mt_server *server;
    struct mt_server_conn *conn, *ghost; /* ghost: the server does not know yet that it is gone */
    struct pipe up, down;
    struct later later[LATER_MAX];
    size_t n_later;
    struct mt_gzip *gzip;
    unsigned ran[CALLS_MAX]; /* how often the server ran each query */
    unsigned n_conns, n_steps;
    char why[400];
};

static uint64_t pick(struct world *w, uint64_t n)
{
    return tg_random_below(&w->random, n);
}

static bool chance(struct world *w, unsigned percent)
{
    return pick(w, 100) < percent;
}

/* ---- the server's owner ---- */

static const struct mt_key *find_key(void *ctx, const uint8_t id[8])
{
    struct world *w = ctx;

    return memcmp(id, w->key.id, 8) == 0 ? &w->key : NULL;
}

static void answer(struct world *w, const struct later *l)
{
    struct tg_buf body, packed;
    uint32_t words;

    tg_buf_init(&body, 1 << 20);
    tg_buf_init(&packed, 1 << 20);
    if (l->number % 7 == 3) {
        mt_server_error(w->ghost == l->conn ? w->ghost : l->conn, l->session_id, l->msg_id, 400,
                        "TEST_ERROR", w->now);
    } else {
        tg_buf_u32(&body, TAG_OBJECT);
        tg_buf_u32(&body, l->number);
        words = l->number % 5 == 0 ? 20000 : l->number % 3 == 0 ? 300 : 1;
        for (uint32_t i = 0; i < words; i++)
            tg_buf_u32(&body, i * l->number);
        bool small = mt_gzip_pack(w->gzip, body.data, body.len, &packed);
        const struct tg_buf *b = small ? &packed : &body;

        mt_server_reply(l->conn,
                        &(struct mt_reply){ .session_id = l->session_id, .req_msg_id = l->msg_id,
                                            .body = b->data, .len = b->len },
                        w->now);
    }
    tg_buf_done(&body);
    tg_buf_done(&packed);
}

static void on_query(void *ctx, struct mt_server_conn *conn, const struct mt_query *q)
{
    struct world *w = ctx;
    const uint8_t *body = q->body;
    size_t len = q->len;
    struct later l = { .conn = conn, .session_id = q->session_id, .msg_id = q->msg_id };

    if (len >= 12 && tg_le32(body) == MT_ID_INVOKE_AFTER_MSG) {
        body += 12;
        len -= 12;
    }
    assert_true(len >= 8);
    assert_int_equal(tg_le32(body), TAG_QUERY);
    l.number = tg_le32(body + 4);
    assert_true(l.number < w->n_calls);
    w->ran[l.number]++;
    if (chance(w, 60)) {
        answer(w, &l);
        return;
    }
    l.at = w->now + (int64_t)pick(w, chance(w, 20) ? 90 * TG_SECOND_US : TG_SECOND_US);
    assert_true(w->n_later < LATER_MAX);
    w->later[w->n_later++] = l;
}

static void close_conn(struct world *w, struct mt_server_conn *conn)
{
    size_t kept = 0;

    for (size_t i = 0; i < w->n_later; i++)
        if (w->later[i].conn != conn)
            w->later[kept++] = w->later[i];
    w->n_later = kept;
    mt_server_conn_free(conn);
}

/* ---- the client's owner ---- */

static void on_event(void *ctx, const struct mt_event *e)
{
    struct world *w = ctx;
    size_t i;

    switch (e->kind) {
    case MT_EVENT_REPLY:
    case MT_EVENT_ERROR:
        for (i = 0; i < w->n_calls && w->call[i] != e->call; i++)
            ;
        assert_true(i < w->n_calls);
        assert_false(w->cancelled[i]);
        w->results[i]++;
        w->n_open--;
        if (e->kind == MT_EVENT_REPLY) {
            assert_int_equal(tg_le32(e->body), TAG_OBJECT);
            assert_int_equal(tg_le32(e->body + 4), i);
            if (e->pooled && chance(w, 50))
                free(mt_session_keep(w->client));
        } else {
            assert_true(e->code == 400 || e->code == -503);
        }
        break;
    case MT_EVENT_UPDATE:
        assert_int_equal(tg_le32(e->body), TAG_PUSH);
        assert_true(tg_le32(e->body + 4) < PUSHES_MAX);
        w->pushes[tg_le32(e->body + 4)]++;
        break;
    case MT_EVENT_FAILED:
        w->failed = true;
        snprintf(w->why, sizeof w->why, "%s", e->err->message);
        break;
    case MT_EVENT_NEW_SESSION:
    case MT_EVENT_SALT:
    case MT_EVENT_TIME:
    case MT_EVENT_QUICK_ACK:
        break;
    }
}

static void new_call(struct world *w)
{
    uint8_t body[1200] = { 0 };
    size_t len = chance(w, 20) ? 1200 : 8;
    size_t i = w->n_calls++;

    tg_put_le32(body, TAG_QUERY);
    tg_put_le32(body + 4, (uint32_t)i);
    w->n_open++;
    w->call[i] = mt_session_call(
        w->client, &(struct mt_call){ .body = body, .len = len, .first = chance(w, 10),
                                      .want_quick_ack = chance(w, 20),
                                      .after = i && chance(w, 15) ? w->call[pick(w, i)] : 0 });
    assert_int_not_equal(w->call[i], 0);
}

static int64_t client_now(const struct world *w)
{
    return w->now + w->skew;
}

/* ---- the pipe ---- */

static void disconnect(struct world *w)
{
    mt_session_disconnected(w->client);
    mt_transport_free(w->transport);
    w->transport = NULL;
    w->failed = false;
    if (w->ghost)
        close_conn(w, w->ghost);
    w->ghost = NULL;
    if (chance(w, 50)) { /* the server notices later */
        w->ghost = w->conn;
    } else {
        close_conn(w, w->conn);
    }
    w->conn = NULL;
    tg_buf_clear(&w->up.bytes);
    tg_buf_clear(&w->down.bytes);
}

static void connect_world(struct world *w, bool calm)
{
    static const enum mt_framing framings[] = { MT_ABRIDGED, MT_INTERMEDIATE, MT_PADDED, MT_FULL };
    struct mt_transport_options options = { .framing = framings[pick(w, 4)], .dc = 2 };

    options.obfuscated = options.framing != MT_FULL && chance(w, 30);
    tg_buf_clear(&w->out);
    w->transport = mt_transport_new_client(&options, &w->random, &w->out);
    w->conn = mt_server_conn_new(w->server, NULL);
    assert_non_null(w->transport);
    assert_non_null(w->conn);
    w->n_conns++;
    w->up.passed = w->down.passed = 0;
    w->up.breaks_at = w->down.breaks_at = SIZE_MAX;
    if (!calm && chance(w, 60))
        *(chance(w, 50) ? &w->up.breaks_at : &w->down.breaks_at) = (size_t)pick(w, 6000);
    if (!calm)
        for (int n = (int)pick(w, 3); n > 0; n--)
            mt_server_fault(w->conn, (enum mt_server_fault)pick(w, MT_FAULT_COUNT));
    mt_session_connected(w->client, w->transport, client_now(w));
}

/* Moves up to n bytes out of the pipe. @return false if the connection breaks there */
static bool pass(struct pipe *p, size_t n, struct tg_buf *to)
{
    size_t room = p->breaks_at - p->passed;

    n = TG_MIN(TG_MIN(n, p->bytes.len), room);
    tg_buf_add(to, p->bytes.data, n);
    tg_buf_shift(&p->bytes, n);
    p->passed += n;
    return p->passed < p->breaks_at;
}

static void server_output(struct world *w)
{
    struct tg_buf *b = mt_server_conn_output(w->conn, w->now);

    tg_buf_add(&w->down.bytes, b->data, b->len);
    tg_buf_clear(b);
}

static void client_flush(struct world *w)
{
    mt_session_flush(w->client, client_now(w), &w->out);
    tg_buf_add(&w->up.bytes, w->out.data, w->out.len);
    tg_buf_clear(&w->out);
}

/* Carries some bytes each way. @return false if the connection is gone */
static bool carry(struct world *w)
{
    size_t piece = chance(w, 50) ? 1 << 20 : 1 + (size_t)pick(w, 700);
    struct tg_buf moved;
    struct mt_packet packet[4];
    struct tg_error err;
    bool whole, ok;
    size_t n;

    tg_buf_init(&moved, 64 << 20);
    client_flush(w);
    whole = pass(&w->up, piece, &moved);
    ok = mt_server_conn_input(w->conn, moved.data, moved.len, w->now, &err) == TG_OK;
    server_output(w);
    tg_buf_clear(&moved);
    whole &= pass(&w->down, piece, &moved);
    if (mt_transport_feed(w->transport, moved.data, moved.len, &err) != TG_OK)
        whole = false;
    do { /* as many at once as a client takes, or fewer */
        size_t wanted = 1 + (size_t)(w->now / 7 % TG_COUNT(packet));

        for (n = 0; w->transport && !w->failed && n < wanted &&
                    mt_transport_next(w->transport, &packet[n], &err) == TG_OK;)
            n++;
        mt_session_decrypt(w->client, packet, n);
        for (size_t i = 0; i < n && w->transport && !w->failed; i++)
            mt_session_packet(w->client, &packet[i], client_now(w));
    } while (n);
    tg_buf_done(&moved);
    return whole && (ok || w->down.bytes.len) && !w->failed;
}

/* ---- a run ---- */

static void tick(struct world *w)
{
    for (size_t i = 0; i < w->n_later;)
        if (w->later[i].at <= w->now) {
            struct later l = w->later[i];

            w->later[i] = w->later[--w->n_later];
            answer(w, &l);
        } else {
            i++;
        }
    mt_session_tick(w->client, client_now(w));
    if (w->conn)
        mt_server_conn_tick(w->conn, w->now);
    if (w->ghost && chance(w, 5)) {
        close_conn(w, w->ghost);
        w->ghost = NULL;
    }
}

static void disturb(struct world *w)
{
    size_t i;

    switch (pick(w, 12)) {
    case 0:
        w->skew += ((int64_t)pick(w, 7201) - 3600) * TG_SECOND_US;
        break;
    case 1:
        if (w->conn)
            mt_server_fault(w->conn, (enum mt_server_fault)pick(w, MT_FAULT_COUNT));
        break;
    case 2:
        if (w->n_calls && chance(w, 30)) {
            i = pick(w, w->n_calls);
            w->n_open -= !w->results[i] && !w->cancelled[i];
            w->cancelled[i] |= !w->results[i];
            mt_session_cancel(w->client, w->call[i]);
        }
        break;
    case 3:
        if (chance(w, 10))
            mt_session_restart(w->client);
        break;
    case 4:
        w->now += (int64_t)pick(w, 400) * TG_SECOND_US;
        break;
    case 5:
        if (w->conn && w->n_pushes < PUSHES_MAX) {
            struct mt_session_state state;
            uint8_t body[8];

            mt_session_state(w->client, &state);
            tg_put_le32(body, TAG_PUSH);
            tg_put_le32(body + 4, (uint32_t)w->n_pushes++);
            mt_server_push(w->conn, state.session_id, body, sizeof body, w->now);
        }
        break;
    default:
        break;
    }
}

static void start(struct world *w, uint64_t seed)
{
    struct mt_session_options options = { .random = &w->random, .on_event = on_event, .ctx = w,
                                          .gzip_requests = true };
    struct mt_server_options server = { .random = &w->random, .ctx = w, .find_key = find_key,
                                        .on_query = on_query };
    int64_t offset;

    memset(w, 0, sizeof *w);
    w->seed = seed;
    tg_random_seeded_init(&w->seeded, seed);
    w->random = tg_random_seeded(&w->seeded);
    w->now = RIG_NOW_US + (int64_t)pick(w, 86400 * TG_SECOND_US);
    if (chance(w, 50))
        w->skew = ((int64_t)pick(w, 7201) - 3600) * TG_SECOND_US;
    tg_random_fill(&w->random, w->key.key, sizeof w->key.key);
    mt_key_derive(&w->key);
    tg_buf_init(&w->out, 64 << 20);
    tg_buf_init(&w->up.bytes, 64 << 20);
    tg_buf_init(&w->down.bytes, 64 << 20);
    w->gzip = mt_gzip_new();
    if (chance(w, 30))
        server.salt_every_us = 20 * TG_SECOND_US;
    w->server = mt_server_new(&server);
    /* nothing known, the truth, or something wrong */
    offset = chance(w, 40) ? 0 : chance(w, 50) ? -w->skew : (int64_t)pick(w, 7200 * TG_SECOND_US);
    w->client = mt_session_new(&options, &w->key, (const uint8_t *)"\0\0\0\0\0\0\0", offset);
    assert_non_null(w->server);
    assert_non_null(w->client);
    w->n_wanted = 1 + (size_t)pick(w, CALLS_MAX);
}

static void stop(struct world *w)
{
    mt_session_free(w->client);
    mt_transport_free(w->transport);
    if (w->conn)
        close_conn(w, w->conn);
    if (w->ghost)
        close_conn(w, w->ghost);
    mt_server_free(w->server);
    mt_gzip_free(w->gzip);
    tg_buf_done(&w->out);
    tg_buf_done(&w->up.bytes);
    tg_buf_done(&w->down.bytes);
}

/* After the disturbances the pipe is calm; then all must come to an end. @return whether it did */
static bool run(struct world *w)
{
    unsigned calm_from = 100 + (unsigned)pick(w, 400);

    for (w->n_steps = 0; w->n_steps < STEPS_MAX; w->n_steps++) {
        bool calm = w->n_steps >= calm_from;

        if (calm && w->n_calls == w->n_wanted && w->n_open == 0)
            return true;
        if (w->n_calls < w->n_wanted && (calm || chance(w, 20)))
            new_call(w);
        if (!calm && chance(w, 10))
            disturb(w);
        w->now += (int64_t)pick(w, chance(w, 10) ? 5 * TG_SECOND_US : 50 * TG_MS_US);
        tick(w);
        if (!w->transport) {
            if (chance(w, 50))
                connect_world(w, calm);
        } else if (w->failed || !carry(w) ||
                   (mt_server_conn_closing(w->conn) && !w->down.bytes.len)) {
            disconnect(w);
        }
    }
    return false;
}

static void check(struct world *w, bool ended)
{
    struct mt_session_state state;

    mt_session_state(w->client, &state);
    if (!ended) {
        fprintf(stderr, "seed %llu: %zu of %zu calls open after %u steps, %u connections (%s)\n",
                (unsigned long long)w->seed, w->n_open, w->n_calls, w->n_steps, w->n_conns, w->why);
        fail();
    }
    for (size_t i = 0; i < w->n_calls; i++)
        if (w->results[i] != !w->cancelled[i]) {
            fprintf(stderr, "seed %llu: call %zu has %u results\n", (unsigned long long)w->seed, i,
                    w->results[i]);
            fail();
        }
    for (size_t i = 0; i < w->n_pushes; i++)
        if (w->pushes[i] > 1) {
            fprintf(stderr, "seed %llu: push %zu came %u times\n", (unsigned long long)w->seed, i,
                    w->pushes[i]);
            fail();
        }
    assert_int_equal(state.n_calls, 0);
    assert_int_equal(state.queued_bytes, 0);
}

static void test_worlds(void **unused)
{
    const char *one = getenv("TG_SEED"), *many = getenv("TG_SEEDS");
    uint64_t from = one ? strtoull(one, NULL, 10) : 1;
    uint64_t n = one ? 1 : many ? strtoull(many, NULL, 10) : SEEDS;
    struct world *w = malloc(sizeof *w);
    uint64_t conns = 0, calls = 0, runs = 0;

    (void)unused;
    for (uint64_t seed = from; seed < from + n; seed++) {
        start(w, seed);
        check(w, run(w));
        conns += w->n_conns;
        calls += w->n_calls;
        for (size_t i = 0; i < w->n_calls; i++)
            runs += w->ran[i];
        stop(w);
    }
    print_message("%llu worlds, %llu calls, %llu runs of a query, %llu connections\n",
                  (unsigned long long)n, (unsigned long long)calls, (unsigned long long)runs,
                  (unsigned long long)conns);
    free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_worlds) };

    return cmocka_run_group_tests_name("mt_session worlds", tests, NULL, NULL);
}

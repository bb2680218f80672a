/* SPDX-License-Identifier: MIT */
/*
 * mt_session.c - the client session against a server that is played by hand: what it sends, which
 * replies it takes, and what becomes of calls when connections and sessions change
 */
#include <libdeflate.h>

#include "crypto/mt_kdf.h"
#include "mtproto/gzip.h"
#include "tests/unit/mt_session_kit.h"

static void test_numbers(void **unused)
{
    struct rig *g = calloc(1, sizeof *g);
    uint64_t last = 0;
    uint32_t content = 0;

    (void)unused;
    start(g, 5, false);
    for (uint32_t i = 0; i < 1500; i++)
        assert_int_not_equal(call(g, i), 0);
    flush(g);
    assert_true(g->w.n_packets >= 2); /* no more than 1000 calls a container */
    assert_int_equal(g->w.n, 1501);   /* and the ping */
    for (size_t i = 0; i < g->w.n; i++) {
        const struct rig_message *m = &g->w.message[i];

        assert_int_equal(m->msg_id % 4, 0);
        assert_true(m->msg_id > last);
        last = m->msg_id;
        if (m->id == QUERY) {
            assert_int_equal(tg_le32(rig_body(&g->w, m) + 4), content);
            assert_int_equal(m->seq_no, 2 * content++ + 1);
        } else {
            assert_int_equal(m->seq_no, 2 * content);
        }
        assert_memory_equal(m->salt, "firstone", 8);
    }
    stop(g);
    free(g);
}

static void test_container_size(void **unused)
{
    struct rig *g = calloc(1, sizeof *g);
    uint8_t *body = calloc(1, 20000);

    (void)unused;
    start(g, 5, false);
    tg_put_le32(body, QUERY);
    for (int i = 0; i < 5; i++)
        mt_session_call(g->s, &(struct mt_call){ .body = body, .len = i == 2 ? 20000 : 12000 });
    flush(g);
    assert_int_equal(g->w.n, 6);
    assert_int_equal(g->w.n_packets, 3); /* ping 12 12 | 20 12 | 12 */
    stop(g);
    free(body);
    free(g);
}

static void make_body(void *ctx, uint64_t msg_id, uint64_t session_id, struct tg_buf *out)
{
    uint64_t *seen = ctx;

    seen[0] = msg_id;
    seen[1] = session_id;
    tg_buf_u32(out, QUERY + 1);
    tg_buf_u64(out, msg_id);
}

static void test_call_options(void **unused)
{
    struct rig *g = calloc(1, sizeof *g);
    uint64_t seen[2] = { 0 }, first;
    const struct rig_message *m, *late;

    (void)unused;
    start(g, 5, false);
    first = call(g, 1);
    mt_session_call(g->s, &(struct mt_call){ .body = "\xaa\0\0\0", .len = 4, .after = first });
    mt_session_call(g->s, &(struct mt_call){ .first = true, .make_body = make_body,
                                             .make_ctx = seen });
    flush(g);
    m = rig_find(&g->w, QUERY + 1, 0);
    late = rig_find(&g->w, MT_ID_INVOKE_AFTER_MSG, 0);
    assert_non_null(m);
    assert_non_null(late);
    assert_true(m->msg_id < rig_find(&g->w, QUERY, 0)->msg_id);
    assert_int_equal(seen[0], m->msg_id);
    assert_int_equal(seen[1], m->session_id);
    assert_int_equal(tg_le64(rig_body(&g->w, m) + 4), m->msg_id);
    assert_int_equal(tg_le64(rig_body(&g->w, late) + 4), rig_find(&g->w, QUERY, 0)->msg_id);
    assert_int_equal(late->len, 16);

    /* refused: the one that waits gets the new number of the one it waits for */
    send_bad(g, rig_find(&g->w, QUERY, 0)->msg_id, MT_BAD_TOO_OLD, NULL);
    flush(g);
    m = rig_find(&g->w, QUERY, 0);
    late = rig_find(&g->w, MT_ID_INVOKE_AFTER_MSG, 0);
    assert_non_null(m);
    assert_non_null(late);
    assert_true(m->msg_id < late->msg_id);
    assert_int_equal(tg_le64(rig_body(&g->w, late) + 4), m->msg_id);
    stop(g);
    free(g);
}

static void test_gzip_requests(void **unused)
{
    struct rig *g = calloc(1, sizeof *g);
    uint8_t body[1024] = { 0 };
    struct mt_gzip *gzip = mt_gzip_new();
    const struct rig_message *m;
    struct tl_reader r;
    struct tg_str packed;
    uint8_t *made;
    size_t n;

    (void)unused;
    start(g, 5, true);
    tg_put_le32(body, QUERY);
    mt_session_call(g->s, &(struct mt_call){ .body = body, .len = 1024 });
    mt_session_call(g->s, &(struct mt_call){ .body = body, .len = 252 });
    tg_random_fill(&g->w.random, body + 4, 1020);
    mt_session_call(g->s, &(struct mt_call){ .body = body, .len = 1024 });
    flush(g);
    assert_null(rig_find(&g->w, MT_ID_GZIP_PACKED, 1)); /* small and random ones stay as they are */
    m = rig_find(&g->w, MT_ID_GZIP_PACKED, 0);
    assert_int_equal(m->seq_no % 2, 1);
    r = tl_reader_of(rig_body(&g->w, m) + 4, m->len - 4);
    packed = tl_read_str(&r);
    assert_int_equal(mt_gzip_inflate(gzip, packed.at, packed.len, 4096, &made, &n), TG_OK);
    assert_int_equal(n, 1024);
    assert_int_equal(tg_le32(made), QUERY);
    mt_gzip_free(gzip);
    stop(g);
    free(g);
}

static void test_reply(void **unused)
{
    struct rig *g = calloc(1, sizeof *g);
    uint64_t number, id = begin(g, &number);
    const struct seen_event *e;

    (void)unused;
    send_result(g, id);
    e = find_event(g, MT_EVENT_REPLY);
    assert_non_null(e);
    assert_int_equal(e->event.call, number);
    assert_int_equal(e->object, OBJECT);
    assert_false(e->event.pooled);
    assert_int_equal(state_of(g).n_calls, 0);
    send_result(g, id); /* a second answer under another number */
    assert_int_equal(count_events(g, MT_EVENT_REPLY), 1);
    stop(g);
    free(g);
}

static void put_gzip(struct tg_buf *b, const void *object, size_t n, bool zlib)
{
    struct libdeflate_compressor *c = libdeflate_alloc_compressor(6);
    uint8_t *packed = malloc(n + 1024);
    size_t made = zlib ? libdeflate_zlib_compress(c, object, n, packed, n + 1024)
                       : libdeflate_gzip_compress(c, object, n, packed, n + 1024);

    assert_int_not_equal(made, 0);
    tg_buf_u32(b, MT_ID_GZIP_PACKED);
    rig_bytes(b, packed, made);
    libdeflate_free_compressor(c);
    free(packed);
}

/* One reply in each wrapping that a server may choose. */
static void test_wrapped_replies(void **unused)
{
    enum { RESULT_GZIP, RESULT_ZLIB, GZIP_RESULT, GZIP_RESULT_GZIP, COPY, ERROR, GZIP_ERROR, N };
    static const size_t size = 200000;
    uint8_t *object = calloc(1, size);

    (void)unused;
    tg_put_le32(object, OBJECT);
    for (int how = 0; how < N; how++) {
        struct rig *g = calloc(1, sizeof *g);
        uint64_t number, id = begin(g, &number);
        struct tg_buf b = buffer(), inner = buffer(), error = buffer();
        const struct seen_event *e;

        tg_buf_u32(&error, MT_ID_RPC_ERROR);
        tg_buf_u32(&error, 420);
        rig_bytes(&error, "FLOOD_WAIT_3", 12);
        tg_buf_u32(&inner, MT_ID_RPC_RESULT);
        tg_buf_u64(&inner, id);
        if (how == RESULT_GZIP || how == RESULT_ZLIB || how == GZIP_RESULT_GZIP)
            put_gzip(&inner, object, size, how == RESULT_ZLIB);
        else if (how == ERROR)
            tg_buf_add(&inner, error.data, error.len);
        else if (how == GZIP_ERROR)
            put_gzip(&inner, error.data, error.len, false);
        else
            tg_buf_add(&inner, object, size);
        if (how == COPY) {
            tg_buf_u32(&b, MT_ID_MSG_COPY);
            tg_buf_u64(&b, server_id(g));
            tg_buf_u32(&b, 1);
            tg_buf_u32(&b, (uint32_t)inner.len);
        }
        if (how == GZIP_RESULT || how == GZIP_RESULT_GZIP)
            put_gzip(&b, inner.data, inner.len, false);
        else
            tg_buf_add(&b, inner.data, inner.len);
        g->keep = true;
        send_body(g, &b, how != COPY);
        e = find_event(g, how == ERROR || how == GZIP_ERROR ? MT_EVENT_ERROR : MT_EVENT_REPLY);
        assert_non_null(e);
        assert_int_equal(e->event.call, number);
        if (e->event.kind == MT_EVENT_ERROR) {
            assert_int_equal(e->event.code, 420);
            assert_string_equal(e->text, "FLOOD_WAIT_3");
        } else {
            assert_int_equal(e->event.len, size);
            assert_int_equal(e->object, OBJECT);
            assert_int_equal(e->event.pooled, how != COPY);
            assert_int_equal(g->kept != NULL, how != COPY);
        }
        tg_buf_done(&b);
        tg_buf_done(&inner);
        tg_buf_done(&error);
        stop(g);
        free(g);
    }
    free(object);
}

/* A call whose reply cannot be read still ends, as a server error. */
static void test_unreadable_replies(void **unused)
{
    static const char *const name[] = {
        "empty", "not gzip", "truncated", "claims 3 GiB", "inflates to odd bytes",
        "bomb past 64 MiB", "error without text",
    };

    (void)unused;
    for (size_t how = 0; how < TG_COUNT(name); how++) {
        struct rig *g = calloc(1, sizeof *g);
        uint64_t id = begin(g, NULL);
        struct tg_buf b = buffer();
        uint8_t *zero = calloc(1, 65 << 20);

        tg_buf_u32(&b, MT_ID_RPC_RESULT);
        tg_buf_u64(&b, id);
        switch (how) {
        case 1:
            tg_buf_u32(&b, MT_ID_GZIP_PACKED);
            rig_bytes(&b, "no gzip at all, and longer than a header", 40);
            break;
        case 2:
        case 3:
            put_gzip(&b, zero, 4096, false);
            if (how == 2)
                b.len -= 4;
            else
                tg_put_le32(b.data + b.len - 8, 0xc0000000);
            break;
        case 4:
            put_gzip(&b, zero, 4097, false);
            break;
        case 5:
            put_gzip(&b, zero, 65 << 20, false);
            break;
        case 6:
            tg_buf_u32(&b, MT_ID_RPC_ERROR);
            tg_buf_u32(&b, 400);
            tg_buf_u32(&b, 0xffffffff);
            break;
        default:
            break;
        }
        send_body(g, &b, true);
        if (!find_event(g, MT_EVENT_ERROR))
            fail_msg("no error for a reply that is '%s'", name[how]);
        assert_int_equal(find_event(g, MT_EVENT_ERROR)->event.code, 500);
        assert_int_equal(count_events(g, MT_EVENT_FAILED), 0);
        tg_buf_done(&b);
        free(zero);
        stop(g);
        free(g);
    }
}

static void test_updates(void **unused)
{
    struct rig *g = calloc(1, sizeof *g);
    struct tg_buf b = buffer();
    uint32_t object[2] = { OBJECT, 2 };

    (void)unused;
    begin(g, NULL);
    put_gzip(&b, object, sizeof object, false);
    send_body(g, &b, true);
    tg_buf_clear(&b);
    tg_buf_add(&b, object, sizeof object);
    send_body(g, &b, true);
    assert_int_equal(count_events(g, MT_EVENT_UPDATE), 2);
    assert_int_equal(find_event(g, MT_EVENT_UPDATE)->object, OBJECT);
    tg_buf_done(&b);
    stop(g);
    free(g);
}

static void test_reconnect(void **unused)
{
    struct rig *g = calloc(1, sizeof *g);
    uint64_t id = begin(g, NULL), session_id = state_of(g).session_id;
    uint32_t seq_no = rig_find(&g->w, QUERY, 0)->seq_no;
    const struct rig_message *m;

    (void)unused;
    mt_session_disconnected(g->s);
    flush(g);
    assert_int_equal(g->w.n, 0);
    g->now += 100 * TG_SECOND_US;
    connect_rig(g);
    call(g, 2);
    flush(g);
    m = rig_find(&g->w, QUERY, 0);
    assert_int_equal(m->msg_id, id);
    assert_int_equal(m->seq_no, seq_no);
    assert_int_equal(m->session_id, session_id);
    assert_int_equal(tg_le32(rig_body(&g->w, rig_find(&g->w, QUERY, 1)) + 4), 2);
    mt_session_disconnected(g->s);
    for (int i = 0; i < 3; i++) { /* a longer step would count as a leap of the clock */
        g->now += 90 * TG_SECOND_US;
        mt_session_tick(g->s, g->now);
    }
    connect_rig(g);
    flush(g);
    m = rig_find(&g->w, QUERY, 0);
    assert_int_not_equal(m->msg_id, id); /* too old to be repeated */
    send_result(g, id);
    assert_int_equal(count_events(g, MT_EVENT_REPLY), 0);
    send_result(g, m->msg_id);
    assert_int_equal(count_events(g, MT_EVENT_REPLY), 1);
    stop(g);
    free(g);
}

static void test_restart(void **unused)
{
    struct rig *g = calloc(1, sizeof *g);
    uint64_t id = begin(g, NULL), old = state_of(g).session_id;
    struct tg_buf b = buffer();
    const struct rig_message *m;

    (void)unused;
    mt_session_restart(g->s);
    assert_int_not_equal(state_of(g).session_id, old);
    flush(g);
    m = rig_find(&g->w, MT_ID_DESTROY_SESSION, 0);
    assert_non_null(m);
    assert_int_equal(tg_le64(rig_body(&g->w, m) + 4), old);
    assert_int_not_equal(rig_find(&g->w, QUERY, 0)->msg_id, id);
    put_result(&b, rig_find(&g->w, QUERY, 0)->msg_id);
    send_as(g, &(struct mt_message){ .session_id = old, .msg_id = server_id(g), .seq_no = 1,
                                     .body = b.data, .len = (uint32_t)b.len });
    assert_int_equal(g->n_events, 0); /* a straggler of the old session is no attack, no reply */
    send_result(g, rig_find(&g->w, QUERY, 0)->msg_id);
    assert_int_equal(count_events(g, MT_EVENT_REPLY), 1);
    tg_buf_done(&b);
    stop(g);
    free(g);
}

static void test_set_key(void **unused)
{
    struct rig *g = calloc(1, sizeof *g);
    uint64_t id = begin(g, NULL), old = state_of(g).session_id;
    struct mt_key former = g->w.key;
    struct tg_buf b = buffer(), packet = buffer();
    struct mt_message m = { .session_id = old, .msg_id = server_id(g), .seq_no = 1 };

    (void)unused;
    g->w.key.key[0] ^= 1;
    mt_key_derive(&g->w.key);
    mt_session_set_key(g->s, &g->w.key, (const uint8_t *)"newsalt!");
    put_result(&b, id);
    m.body = b.data;
    m.len = (uint32_t)b.len;
    mt_envelope_write(&former, MT_FROM_SERVER, &m, &g->w.random, &packet, NULL);
    mt_session_packet(g->s, &(struct mt_packet){ .at = packet.data, .len = packet.len }, g->now);
    assert_int_equal(g->n_events, 0);
    flush(g);
    assert_non_null(rig_find(&g->w, QUERY, 0));
    assert_memory_equal(g->w.message[0].salt, "newsalt!", 8);
    send_result(g, rig_find(&g->w, QUERY, 0)->msg_id);
    assert_int_equal(count_events(g, MT_EVENT_REPLY), 1);
    tg_buf_done(&b);
    tg_buf_done(&packet);
    stop(g);
    free(g);
}

static void test_cancel(void **unused)
{
    struct rig *g = calloc(1, sizeof *g);
    uint64_t number, id = begin(g, &number), unsent = call(g, 2);
    const struct rig_message *m;

    (void)unused;
    mt_session_cancel(g->s, unsent);
    mt_session_cancel(g->s, number);
    mt_session_cancel(g->s, 999);
    flush(g);
    assert_null(rig_find(&g->w, QUERY, 0));
    m = rig_find(&g->w, MT_ID_RPC_DROP_ANSWER, 0);
    assert_non_null(m);
    assert_int_equal(m->seq_no % 2, 1);
    assert_int_equal(tg_le64(rig_body(&g->w, m) + 4), id);
    send_result(g, id);
    send_result(g, m->msg_id);
    assert_int_equal(count_events(g, MT_EVENT_REPLY), 0);
    assert_int_equal(state_of(g).n_calls, 0);
    assert_int_equal(state_of(g).queued_bytes, 0);
    stop(g);
    free(g);
}

static void test_quick_ack(void **unused)
{
    struct rig *g = calloc(1, sizeof *g);
    uint8_t body[4] = { 1 };
    struct mt_packet packet;
    struct tg_error err;
    struct mt_message m;
    uint8_t large[32];
    uint64_t number;
    uint32_t token;

    (void)unused;
    start(g, 5, false);
    number = mt_session_call(
        g->s, &(struct mt_call){ .body = body, .len = 4, .want_quick_ack = true });
    mt_session_flush(g->s, g->now, &g->out);
    assert_int_equal(mt_transport_feed(g->server, g->out.data, g->out.len, &err), TG_OK);
    assert_int_equal(mt_transport_next(g->server, &packet, &err), TG_OK);
    assert_true(packet.wants_quick_ack);
    assert_int_equal(mt_envelope_open(&g->w.key, MT_FROM_CLIENT, false, packet.at, packet.len, &m,
                                      &err), TG_OK);
    tg_mt_msg_key_large(g->w.key.key, MT_FROM_CLIENT, packet.at + 24, packet.len - 24, large);
    token = tg_le32(large) | 0x80000000;
    mt_session_packet(g->s, &(struct mt_packet){ .is_quick_ack = true, .quick_ack = token ^ 1 },
                      g->now);
    assert_int_equal(count_events(g, MT_EVENT_QUICK_ACK), 0);
    for (int i = 0; i < 2; i++)
        mt_session_packet(g->s, &(struct mt_packet){ .is_quick_ack = true, .quick_ack = token },
                          g->now);
    assert_int_equal(count_events(g, MT_EVENT_QUICK_ACK), 1);
    assert_int_equal(find_event(g, MT_EVENT_QUICK_ACK)->event.call, number);
    stop(g);
    free(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_container_size),
        cmocka_unit_test(test_call_options),
        cmocka_unit_test(test_gzip_requests),
        cmocka_unit_test(test_reply),
        cmocka_unit_test(test_wrapped_replies),
        cmocka_unit_test(test_unreadable_replies),
        cmocka_unit_test(test_updates),
        cmocka_unit_test(test_reconnect),
        cmocka_unit_test(test_restart),
        cmocka_unit_test(test_set_key),
        cmocka_unit_test(test_cancel),
        cmocka_unit_test(test_quick_ack),
    };

    return cmocka_run_group_tests_name("mt_session", tests, NULL, NULL);
}

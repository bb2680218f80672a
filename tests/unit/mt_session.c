/* SPDX-License-Identifier: MIT */
/*
 * mt_session.c - the client session against a server that is played by hand: what it sends, what it
 * takes, and what it refuses
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <stdio.h>

#include <cmocka.h>
#include <libdeflate.h>

#include "crypto/mt_kdf.h"
#include "mtproto/gzip.h"
#include "mtproto/session.h"
#include "tests/mt_rig.h"

enum { EVENTS_MAX = 4096, QUERY = 0x11223344, OBJECT = 0x55667788 };

struct seen_event {
    struct mt_event event;
    uint32_t object; /* first word of the body */
    tg_code err;
    char text[64];
};

struct rig {
    struct rig_wire w;
    struct mt_session *s;
    struct mt_transport *client, *server;
    struct tg_buf out;
    struct seen_event event[EVENTS_MAX];
    size_t n_events;
    int64_t now;      /* owner's clock */
    int64_t skew;     /* server's clock minus the owner's */
    uint64_t last_id; /* of the server's messages */
    uint32_t n_content;
    uint8_t salt[8];
    bool keep;
    void *kept;
    void (*hook)(struct rig *g, const struct mt_event *e);
};

static void on_event(void *ctx, const struct mt_event *e)
{
    struct rig *g = ctx;
    struct seen_event *to = &g->event[g->n_events++];

    assert_true(g->n_events <= EVENTS_MAX);
    *to = (struct seen_event){ .event = *e, .object = e->len >= 4 ? tg_le32(e->body) : 0,
                               .err = e->err ? e->err->code : TG_OK };
    if (e->text)
        snprintf(to->text, sizeof to->text, "%s", e->text);
    if (g->keep && e->kind == MT_EVENT_REPLY && e->pooled)
        g->kept = mt_session_keep(g->s);
    if (g->hook)
        g->hook(g, e);
}

static void connect_rig(struct rig *g)
{
    static const struct mt_transport_options options = { .framing = MT_ABRIDGED };

    mt_transport_free(g->client);
    mt_transport_free(g->server);
    tg_buf_clear(&g->out);
    g->client = mt_transport_new_client(&options, &g->w.random, &g->out);
    g->server = mt_transport_new_server(&g->w.random, NULL);
    assert_non_null(g->client);
    assert_non_null(g->server);
    mt_session_connected(g->s, g->client, g->now);
}

static void start(struct rig *g, int64_t offset_us, bool gzip)
{
    struct mt_session_options options = { .random = &g->w.random, .on_event = on_event, .ctx = g,
                                          .gzip_requests = gzip };

    memset(g, 0, sizeof *g);
    rig_wire_init(&g->w, 7);
    tg_buf_init(&g->out, 64 << 20);
    g->now = RIG_NOW_US;
    g->skew = offset_us;
    memcpy(g->salt, "firstone", 8);
    g->s = mt_session_new(&options, &g->w.key, g->salt, offset_us);
    assert_non_null(g->s);
    connect_rig(g);
}

static void stop(struct rig *g)
{
    mt_session_free(g->s);
    mt_transport_free(g->client);
    mt_transport_free(g->server);
    tg_buf_done(&g->out);
    rig_wire_done(&g->w);
    free(g->kept);
    g->s = NULL;
}

/* Flushes and lists what came, anew. */
static void flush(struct rig *g)
{
    struct mt_packet packet;
    struct tg_error err;

    rig_wire_clear(&g->w);
    mt_session_flush(g->s, g->now, &g->out);
    assert_int_equal(mt_transport_feed(g->server, g->out.data, g->out.len, &err), TG_OK);
    tg_buf_clear(&g->out);
    while (mt_transport_next(g->server, &packet, &err) == TG_OK)
        rig_open(&g->w, MT_FROM_CLIENT, &packet);
}

static struct mt_session_state state_of(struct rig *g)
{
    struct mt_session_state state;

    mt_session_state(g->s, &state);
    return state;
}

static uint64_t call(struct rig *g, uint32_t tag)
{
    uint8_t body[8];

    tg_put_le32(body, QUERY);
    tg_put_le32(body + 4, tag);
    return mt_session_call(g->s, &(struct mt_call){ .body = body, .len = sizeof body });
}

static uint64_t server_id(struct rig *g)
{
    uint64_t id = rig_id(g->now + g->skew, 1);

    if (id <= g->last_id)
        id = g->last_id + 4;
    return g->last_id = id;
}

/* Seals any message as the server and hands it over. */
static void send_as(struct rig *g, const struct mt_message *m)
{
    struct tg_buf packet;

    tg_buf_init(&packet, MT_PACKET_MAX);
    mt_envelope_write(&g->w.key, MT_FROM_SERVER, m, &g->w.random, &packet, NULL);
    assert_false(packet.failed);
    mt_session_packet(g->s, &(struct mt_packet){ .at = packet.data, .len = packet.len }, g->now);
    tg_buf_done(&packet);
}

static void send_body(struct rig *g, const struct tg_buf *b, bool content)
{
    struct mt_message m = { .session_id = state_of(g).session_id, .msg_id = server_id(g),
                            .body = b->data, .len = (uint32_t)b->len };

    m.seq_no = content ? 2 * g->n_content++ + 1 : 2 * g->n_content;
    send_as(g, &m);
}

static void put_result(struct tg_buf *b, uint64_t msg_id)
{
    tg_buf_u32(b, MT_ID_RPC_RESULT);
    tg_buf_u64(b, msg_id);
    tg_buf_u32(b, OBJECT);
    tg_buf_u32(b, 1);
}

static struct tg_buf buffer(void)
{
    struct tg_buf b;

    tg_buf_init(&b, MT_PACKET_MAX);
    return b;
}

static void send_result(struct rig *g, uint64_t msg_id)
{
    struct tg_buf b = buffer();

    put_result(&b, msg_id);
    send_body(g, &b, true);
    tg_buf_done(&b);
}

static void send_words(struct rig *g, bool content, uint32_t id, const uint64_t *longs, size_t n)
{
    struct tg_buf b = buffer();

    tg_buf_u32(&b, id);
    for (size_t i = 0; i < n; i++)
        tg_buf_u64(&b, longs[i]);
    send_body(g, &b, content);
    tg_buf_done(&b);
}

/* Answers the ping of the last flush. */
static void send_pong(struct rig *g)
{
    const struct rig_message *ping = rig_find(&g->w, MT_ID_PING_DELAY_DISCONNECT, 0);
    uint64_t body[2];

    assert_non_null(ping);
    body[0] = ping->msg_id;
    body[1] = tg_le64(rig_body(&g->w, ping) + 4);
    send_words(g, false, MT_ID_PONG, body, 2);
}

static void send_bad(struct rig *g, uint64_t bad_id, uint32_t code, const char *salt)
{
    struct tg_buf b = buffer();

    tg_buf_u32(&b, salt ? MT_ID_BAD_SERVER_SALT : MT_ID_BAD_MSG_NOTIFICATION);
    tg_buf_u64(&b, bad_id);
    tg_buf_u32(&b, 0);
    tg_buf_u32(&b, code);
    if (salt)
        tg_buf_add(&b, salt, 8);
    send_body(g, &b, false);
    tg_buf_done(&b);
}

static const struct seen_event *find_event(const struct rig *g, enum mt_event_kind kind)
{
    for (size_t i = 0; i < g->n_events; i++)
        if (g->event[i].event.kind == kind)
            return &g->event[i];
    return NULL;
}

static size_t count_events(const struct rig *g, enum mt_event_kind kind)
{
    size_t n = 0;

    for (size_t i = 0; i < g->n_events; i++)
        n += g->event[i].event.kind == kind;
    return n;
}

/* Connected, time known, one call on its way: where most tests begin. @return its msg_id */
static uint64_t begin(struct rig *g, uint64_t *ret_call)
{
    uint64_t number;

    start(g, 5, false);
    number = call(g, 1);
    flush(g);
    send_pong(g);
    if (ret_call)
        *ret_call = number;
    return rig_find(&g->w, QUERY, 0)->msg_id;
}

/* ---- sending ---- */

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

/* ---- replies ---- */

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
    static const char *const name[] = { "empty", "not gzip", "truncated", "claims 3 GiB",
                                        "inflates to odd bytes", "bomb past 64 MiB", "error without text" };

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

/* ---- a server that lies ---- */

enum lie {
    TRUTH, OTHER_SESSION, CLIENT_PARITY, TWICE, TOO_OLD_IN_WINDOW, TOO_LATE, FROM_FUTURE, BIT_FLIP,
    OTHER_KEY, NESTED, SHORT_CONTAINER, HUGE_COUNT, ODD_LENGTH, INNER_PARITY,
};

static void test_lies(void **unused)
{
    static const struct {
        const char *name;
        enum lie lie;
        size_t replies;
        bool fails;
    } row[] = {
        { "an honest reply is taken", TRUTH, 1, false },
        { "another session id", OTHER_SESSION, 0, true },
        { "an even msg_id", CLIENT_PARITY, 0, true },
        { "the same msg_id twice", TWICE, 1, false },
        { "an id below the 1000 remembered", TOO_OLD_IN_WINDOW, 0, false },
        { "301 s old", TOO_LATE, 0, false },
        { "31 s ahead", FROM_FUTURE, 0, false },
        { "a flipped bit", BIT_FLIP, 0, true },
        { "another key", OTHER_KEY, 0, true },
        { "a container in a container", NESTED, 0, false },
        { "a container cut short", SHORT_CONTAINER, 1, true },
        { "a container of 2^32-1", HUGE_COUNT, 0, true },
        { "an inner length of 5", ODD_LENGTH, 0, true },
        { "an even msg_id inside", INNER_PARITY, 0, true },
    };

    (void)unused;
    for (size_t i = 0; i < TG_COUNT(row); i++) {
        struct rig *g = calloc(1, sizeof *g);
        uint64_t id = begin(g, NULL);
        struct tg_buf b = buffer(), packet = buffer();
        enum lie lie = row[i].lie;
        struct mt_message m = { .session_id = state_of(g).session_id, .msg_id = server_id(g),
                                .seq_no = 1 };
        struct mt_key key = g->w.key;

        if (lie >= NESTED) {
            for (int level = 0; level < (lie == NESTED ? 2 : 1); level++) {
                tg_buf_u32(&b, MT_ID_MSG_CONTAINER);
                tg_buf_u32(&b, lie == HUGE_COUNT ? UINT32_MAX : lie == SHORT_CONTAINER ? 2 : 1);
                tg_buf_u64(&b, m.msg_id + 4 + (lie == INNER_PARITY) + 4 * (uint64_t)level);
                tg_buf_u32(&b, 1);
                tg_buf_u32(&b, lie == ODD_LENGTH ? 5 : lie == NESTED && level == 0 ? 44 : 20);
            }
            m.seq_no = 0;
        }
        put_result(&b, id);
        if (lie == SHORT_CONTAINER)
            tg_buf_add(&b, "0123456789abcdef0123", 12);
        if (lie == OTHER_SESSION)
            m.session_id ^= 1;
        if (lie == CLIENT_PARITY)
            m.msg_id -= 1;
        if (lie == TOO_LATE)
            m.msg_id = rig_id(g->now + g->skew - 301 * TG_SECOND_US, 1);
        if (lie == FROM_FUTURE)
            m.msg_id = rig_id(g->now + g->skew + 31 * TG_SECOND_US, 1);
        if (lie == OTHER_KEY)
            key.key[100] ^= 1;
        if (lie == TOO_OLD_IN_WINDOW)
            for (int k = 0; k < 1001; k++)
                send_words(g, false, MT_ID_HTTP_WAIT, NULL, 0);
        m.body = b.data;
        m.len = (uint32_t)b.len;
        for (int k = 0; k < (lie == TWICE ? 2 : 1); k++) {
            tg_buf_clear(&packet);
            mt_envelope_write(&key, MT_FROM_SERVER, &m, &g->w.random, &packet, NULL);
            if (lie == BIT_FLIP)
                packet.data[60] ^= 4;
            mt_session_packet(g->s, &(struct mt_packet){ .at = packet.data, .len = packet.len },
                              g->now);
        }
        if (count_events(g, MT_EVENT_REPLY) != row[i].replies ||
            (count_events(g, MT_EVENT_FAILED) == 1) != row[i].fails)
            fail_msg("%s: %zu replies, %zu failures", row[i].name,
                     count_events(g, MT_EVENT_REPLY), count_events(g, MT_EVENT_FAILED));
        if (row[i].fails) { /* nothing more is taken from that connection */
            send_result(g, id);
            assert_int_equal(count_events(g, MT_EVENT_REPLY), row[i].replies);
        }
        tg_buf_done(&b);
        tg_buf_done(&packet);
        stop(g);
        free(g);
    }
}

/* A message with a wrong time leads to a ping; its pong tells whose clock is wrong. */
static void test_doubt(void **unused)
{
    static const struct {
        const char *name;
        int64_t message_s, skew_s; /* of the message; of the server's clock from then on */
        tg_code fails;             /* TG_OK: the connection goes on */
    } row[] = {
        { "an old message, right clock: passed over", -400, 0, TG_OK },
        { "a message from the future, right clock: a lie", 100, 0, TG_SECURITY },
        { "our clock was ahead: start over", -400, -400, TG_NET },
        { "our clock was behind: start over", 400, 400, TG_NET },
    };

    (void)unused;
    for (size_t i = 0; i < TG_COUNT(row); i++) {
        struct rig *g = calloc(1, sizeof *g);
        uint64_t id = begin(g, NULL);
        struct tg_buf b = buffer();
        struct mt_message m = { .session_id = state_of(g).session_id, .seq_no = 1 };

        put_result(&b, id);
        m.body = b.data;
        m.len = (uint32_t)b.len;
        m.msg_id = rig_id(g->now + g->skew + row[i].message_s * TG_SECOND_US, 1) + 400;
        send_as(g, &m);
        assert_int_equal(count_events(g, MT_EVENT_REPLY), 0);
        flush(g);
        g->skew += row[i].skew_s * TG_SECOND_US;
        if (row[i].skew_s)
            g->last_id = 0;
        send_pong(g);
        if (row[i].fails == TG_OK) {
            assert_int_equal(count_events(g, MT_EVENT_FAILED), 0);
        } else if (!find_event(g, MT_EVENT_FAILED) ||
                   find_event(g, MT_EVENT_FAILED)->err != row[i].fails) {
            fail_msg("%s: %s", row[i].name,
                     g->n_events ? tg_code_name(g->event[g->n_events - 1].err) : "nothing");
        }
        assert_int_equal(count_events(g, MT_EVENT_REPLY), 0);
        if (row[i].fails == TG_NET) { /* the repetition is then taken */
            assert_non_null(find_event(g, MT_EVENT_TIME));
            connect_rig(g);
            send_as(g, &m);
            assert_int_equal(count_events(g, MT_EVENT_REPLY), 1);
        }
        tg_buf_done(&b);
        stop(g);
        free(g);
    }
}

/* ---- refusals ---- */

static void test_bad_salt(void **unused)
{
    struct rig *g = calloc(1, sizeof *g);
    const struct rig_message *m;
    uint64_t id, container;

    (void)unused;
    start(g, 5, false);
    call(g, 1);
    call(g, 2);
    flush(g);
    id = rig_find(&g->w, QUERY, 0)->msg_id;
    container = rig_find(&g->w, QUERY, 0)->container;
    assert_int_not_equal(container, 0);
    send_bad(g, 12345 * 4, MT_BAD_SALT, "nonsense"); /* names nothing that was sent */
    assert_memory_equal(state_of(g).salt, "firstone", 8);
    send_bad(g, container, MT_BAD_SALT, "othersal");
    assert_memory_equal(state_of(g).salt, "othersal", 8);
    assert_int_equal(count_events(g, MT_EVENT_SALT), 1);
    flush(g);
    m = rig_find(&g->w, QUERY, 0);
    assert_non_null(m);
    assert_memory_equal(m->salt, "othersal", 8);
    assert_true(m->msg_id > id);
    assert_int_equal(tg_le32(rig_body(&g->w, m) + 4), 1); /* in order */
    assert_int_equal(tg_le32(rig_body(&g->w, rig_find(&g->w, QUERY, 1)) + 4), 2);
    assert_non_null(rig_find(&g->w, MT_ID_PING_DELAY_DISCONNECT, 0)); /* it was refused too */
    send_result(g, m->msg_id);
    assert_int_equal(count_events(g, MT_EVENT_REPLY), 1);
    stop(g);
    free(g);
}

static void test_bad_msg(void **unused)
{
    static const struct {
        const char *name;
        uint32_t code;
        int64_t skew_s; /* the server's clock in truth */
        bool fresh;     /* a new session id */
    } row[] = {
        { "16: our clock is behind", MT_BAD_ID_TOO_LOW, 4000, false },
        { "17: our clock is ahead, ids must go back", MT_BAD_ID_TOO_HIGH, -4000, true },
        { "17 though the clock is right", MT_BAD_ID_TOO_HIGH, 0, false },
        { "18", MT_BAD_ID_LOW_BITS, 0, true },
        { "19", MT_BAD_CONTAINER_REUSED, 0, false },
        { "20", MT_BAD_TOO_OLD, 0, false },
        { "32", MT_BAD_SEQ_TOO_LOW, 0, true },
        { "33", MT_BAD_SEQ_TOO_HIGH, 0, true },
        { "34", MT_BAD_SEQ_NOT_EVEN, 0, true },
        { "35", MT_BAD_SEQ_NOT_ODD, 0, true },
        { "48 without a salt", MT_BAD_SALT, 0, false },
        { "64", MT_BAD_CONTAINER, 0, false },
        { "an unknown code", 99, 0, true },
    };

    (void)unused;
    for (size_t i = 0; i < TG_COUNT(row); i++) {
        struct rig *g = calloc(1, sizeof *g);
        uint64_t id, session_id;
        const struct rig_message *m;

        start(g, 5, false);
        call(g, 1);
        flush(g);
        id = rig_find(&g->w, QUERY, 0)->msg_id;
        session_id = state_of(g).session_id;
        g->skew += row[i].skew_s * TG_SECOND_US;
        send_bad(g, rig_find(&g->w, QUERY, 0)->container, row[i].code, NULL);
        assert_int_equal(count_events(g, MT_EVENT_FAILED), 0);
        if ((state_of(g).session_id != session_id) != row[i].fresh)
            fail_msg("%s: fresh session or not", row[i].name);
        flush(g);
        m = rig_find(&g->w, QUERY, 0);
        if (!m || m->msg_id == id)
            fail_msg("%s: sent again under a new number", row[i].name);
        if (row[i].skew_s) {
            int64_t off = mt_id_us(m->msg_id) - g->now - g->skew;

            assert_true(off < 5 * TG_SECOND_US && off > -5 * TG_SECOND_US);
            assert_int_equal(count_events(g, MT_EVENT_TIME), 1);
        }
        if (row[i].fresh && row[i].code != MT_BAD_ID_TOO_HIGH)
            assert_non_null(rig_find(&g->w, MT_ID_DESTROY_SESSION, 0));
        send_result(g, m->msg_id);
        assert_int_equal(count_events(g, MT_EVENT_REPLY), 1);
        stop(g);
        free(g);
    }
}

static void test_refuses_all(void **unused)
{
    struct rig *g = calloc(1, sizeof *g);
    unsigned rounds = 0;

    (void)unused;
    begin(g, NULL);
    while (!find_event(g, MT_EVENT_FAILED) && rounds++ < 100) {
        const struct rig_message *m = rig_find(&g->w, QUERY, 0);

        send_bad(g, m->container ? m->container : m->msg_id, MT_BAD_SALT, "badagain");
        flush(g);
    }
    assert_true(rounds < 20);
    assert_int_equal(find_event(g, MT_EVENT_FAILED)->err, TG_PROTOCOL);
    stop(g);
    free(g);
}

/* ---- acknowledgements ---- */

static void test_acks(void **unused)
{
    struct rig *g = calloc(1, sizeof *g);
    struct tg_buf b = buffer();
    const struct rig_message *ack;

    (void)unused;
    begin(g, NULL);
    flush(g); /* asks for salts, perhaps */
    tg_buf_u32(&b, OBJECT);
    for (int i = 0; i < 16; i++)
        send_body(g, &b, true);
    send_body(g, &b, false); /* not content-related: not acknowledged */
    flush(g);
    assert_null(rig_find(&g->w, MT_ID_MSGS_ACK, 0)); /* 16 wait for company */
    send_body(g, &b, true);
    flush(g);
    ack = rig_find(&g->w, MT_ID_MSGS_ACK, 0);
    assert_non_null(ack);
    assert_int_equal(ack->seq_no % 2, 0);
    assert_int_equal(tg_le32(rig_body(&g->w, ack) + 8), 17);

    send_body(g, &b, true);
    call(g, 9);
    flush(g);
    ack = rig_find(&g->w, MT_ID_MSGS_ACK, 0);
    assert_non_null(ack);
    assert_int_not_equal(ack->container, 0); /* inside the container of the call */

    send_body(g, &b, true);
    assert_int_equal(mt_session_deadline(g->s), g->now + 20 * TG_SECOND_US);
    g->now += 20 * TG_SECOND_US;
    mt_session_tick(g->s, g->now);
    flush(g);
    assert_non_null(rig_find(&g->w, MT_ID_MSGS_ACK, 0)); /* or for 20 s */

    /* refused with its container: said again */
    send_body(g, &b, true);
    call(g, 10);
    flush(g);
    send_bad(g, rig_find(&g->w, MT_ID_MSGS_ACK, 0)->container, MT_BAD_SALT, "saltsalt");
    flush(g);
    assert_non_null(rig_find(&g->w, MT_ID_MSGS_ACK, 0));
    tg_buf_done(&b);
    stop(g);
    free(g);
}

/* A repeated message is not raised again, but acknowledged again. */
static void test_repeated_is_acked(void **unused)
{
    struct rig *g = calloc(1, sizeof *g);
    struct tg_buf b = buffer();
    struct mt_message m = { 0 };

    (void)unused;
    begin(g, NULL);
    tg_buf_u32(&b, OBJECT);
    m = (struct mt_message){ .session_id = state_of(g).session_id, .msg_id = server_id(g),
                             .seq_no = 1, .body = b.data, .len = 4 };
    for (int i = 0; i < 2; i++) {
        send_as(g, &m);
        call(g, 3);
        flush(g);
        assert_non_null(rig_find(&g->w, MT_ID_MSGS_ACK, 0));
    }
    assert_int_equal(count_events(g, MT_EVENT_UPDATE), 1);
    tg_buf_done(&b);
    stop(g);
    free(g);
}

/* ---- reconnecting ---- */

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

static void test_new_session(void **unused)
{
    struct rig *g = calloc(1, sizeof *g);
    uint64_t first = begin(g, NULL), second, body[3] = { 0, 77, 0 };

    (void)unused;
    call(g, 2);
    flush(g);
    second = rig_find(&g->w, QUERY, 0)->msg_id;
    assert_true(second > first);
    body[0] = second;
    memcpy(&body[2], "sessalt!", 8);
    send_words(g, true, MT_ID_NEW_SESSION_CREATED, body, 3);
    assert_int_equal(count_events(g, MT_EVENT_NEW_SESSION), 1);
    assert_memory_equal(state_of(g).salt, "sessalt!", 8);
    flush(g);
    assert_non_null(rig_find(&g->w, QUERY, 0)); /* the first is unknown to the server */
    assert_null(rig_find(&g->w, QUERY, 1));
    assert_int_equal(tg_le32(rig_body(&g->w, rig_find(&g->w, QUERY, 0)) + 4), 1);
    send_words(g, true, MT_ID_NEW_SESSION_CREATED, body, 3);
    assert_int_equal(count_events(g, MT_EVENT_NEW_SESSION), 1); /* the same one again */
    stop(g);
    free(g);
}

/* ---- other service messages ---- */

static void test_states(void **unused)
{
    struct rig *g = calloc(1, sizeof *g);
    struct tg_buf b = buffer();
    uint64_t id = begin(g, NULL), ids[4];
    const struct rig_message *m;
    const uint8_t *info;

    (void)unused;
    ids[0] = g->last_id;          /* the pong */
    ids[1] = g->last_id + 400000; /* never sent */
    ids[2] = g->last_id + 2; /* below the request itself, and never sent */
    tg_buf_u32(&b, MT_ID_MSGS_STATE_REQ);
    rig_ids(&b, ids, 3);
    send_body(g, &b, true);
    flush(g);
    m = rig_find(&g->w, MT_ID_MSGS_STATE_INFO, 0);
    assert_non_null(m);
    assert_int_equal(tg_le64(rig_body(&g->w, m) + 4), g->last_id);
    info = rig_body(&g->w, m) + 12;
    assert_int_equal(info[0], 3);
    assert_int_equal(info[1], MT_STATE_RECEIVED);
    assert_int_equal(info[2], MT_STATE_TOO_HIGH);
    assert_int_equal(info[3], MT_STATE_NOT_RECEIVED);

    tg_buf_clear(&b);
    tg_buf_u32(&b, MT_ID_MSG_RESEND_REQ);
    rig_ids(&b, &id, 1);
    send_body(g, &b, false);
    flush(g);
    assert_int_equal(rig_find(&g->w, QUERY, 0)->msg_id, id);

    /* detailed info of an answer that never came: ask for it; of one that did: acknowledge it */
    tg_buf_clear(&b);
    tg_buf_u32(&b, MT_ID_MSG_DETAILED_INFO);
    tg_buf_u64(&b, id);
    tg_buf_u64(&b, g->last_id + 1000);
    tg_buf_u64(&b, 0);
    send_body(g, &b, false);
    flush(g);
    m = rig_find(&g->w, MT_ID_MSG_RESEND_REQ, 0);
    assert_non_null(m);
    assert_int_equal(tg_le64(rig_body(&g->w, m) + 12), g->last_id - 4 + 1000);
    tg_buf_clear(&b);
    tg_buf_u32(&b, MT_ID_MSG_NEW_DETAILED_INFO);
    tg_buf_u64(&b, ids[0]);
    tg_buf_u64(&b, 0);
    send_body(g, &b, false);
    call(g, 4);
    flush(g);
    assert_null(rig_find(&g->w, MT_ID_MSG_RESEND_REQ, 0));
    assert_non_null(rig_find(&g->w, MT_ID_MSGS_ACK, 0));
    tg_buf_done(&b);
    stop(g);
    free(g);
}

/* A call without a reply for a minute is asked about, and sent again if it never arrived. */
static void test_lost_call(void **unused)
{
    struct rig *g = calloc(1, sizeof *g);
    uint64_t id = begin(g, NULL);
    struct tg_buf b = buffer();
    const struct rig_message *m;

    (void)unused;
    g->now += 61 * TG_SECOND_US;
    mt_session_tick(g->s, g->now);
    flush(g);
    m = rig_find(&g->w, MT_ID_MSGS_STATE_REQ, 0);
    assert_non_null(m);
    assert_int_equal(tg_le64(rig_body(&g->w, m) + 12), id);
    tg_buf_u32(&b, MT_ID_MSGS_STATE_INFO);
    tg_buf_u64(&b, m->msg_id);
    rig_bytes(&b, "\x02", 1);
    send_body(g, &b, false);
    flush(g);
    m = rig_find(&g->w, QUERY, 0);
    assert_non_null(m);
    assert_int_not_equal(m->msg_id, id);
    tg_buf_done(&b);
    stop(g);
    free(g);
}

static void test_future_salts(void **unused)
{
    struct rig *g = calloc(1, sizeof *g);
    uint32_t now_s = (uint32_t)(RIG_NOW_US / TG_SECOND_US);
    struct tg_buf b = buffer();
    const struct rig_message *m;

    (void)unused;
    begin(g, NULL);
    call(g, 2);
    flush(g);
    m = rig_find(&g->w, MT_ID_GET_FUTURE_SALTS, 0);
    assert_non_null(m);
    tg_buf_u32(&b, MT_ID_FUTURE_SALTS);
    tg_buf_u64(&b, m->msg_id);
    tg_buf_u32(&b, now_s);
    tg_buf_u32(&b, 3);
    for (uint32_t i = 0; i < 3; i++) {
        tg_buf_u32(&b, now_s - 900 + 1800 * i);
        tg_buf_u32(&b, now_s - 900 + 1800 * (i + 2));
        tg_buf_add(&b, i == 0 ? "salt of0" : i == 1 ? "salt of1" : "salt of2", 8);
    }
    send_body(g, &b, false);
    call(g, 3);
    flush(g);
    assert_memory_equal(g->w.message[0].salt, "salt of0", 8);
    for (int i = 0; i < 10; i++) {
        g->now += 91 * TG_SECOND_US;
        mt_session_tick(g->s, g->now);
        flush(g);
        send_pong(g);
    }
    call(g, 4);
    flush(g);
    assert_memory_equal(g->w.message[0].salt, "salt of1", 8);
    assert_int_equal(count_events(g, MT_EVENT_SALT), 2);
    tg_buf_done(&b);
    stop(g);
    free(g);
}

static void test_ping(void **unused)
{
    struct rig *g = calloc(1, sizeof *g);
    const struct rig_message *m;

    (void)unused;
    begin(g, NULL);
    assert_true(state_of(g).rtt_us > 0);
    g->now = mt_session_deadline(g->s);
    assert_int_equal(g->now, RIG_NOW_US + 60 * TG_SECOND_US);
    mt_session_tick(g->s, g->now);
    flush(g);
    m = rig_find(&g->w, MT_ID_PING_DELAY_DISCONNECT, 0);
    assert_non_null(m);
    assert_int_equal(tg_le32(rig_body(&g->w, m) + 12), 75);
    for (int i = 0; i < 5 && !find_event(g, MT_EVENT_FAILED); i++) {
        g->now = mt_session_deadline(g->s);
        mt_session_tick(g->s, g->now);
    }
    assert_non_null(find_event(g, MT_EVENT_FAILED));
    assert_int_equal(find_event(g, MT_EVENT_FAILED)->err, TG_TIMEOUT);
    assert_int_equal(g->now, RIG_NOW_US + 180 * TG_SECOND_US);
    assert_true(mt_session_deadline(g->s) == INT64_MAX);
    stop(g);
    free(g);
}

/* The owner's clock leaps: ids keep growing and the session lives on. */
static void test_clock_leaps(void **unused)
{
    static const int64_t leap_s[] = { 3600, -3600, 40000000, -40000000, 1, -1 };

    (void)unused;
    for (size_t i = 0; i < TG_COUNT(leap_s); i++) {
        struct rig *g = calloc(1, sizeof *g);
        uint64_t id = begin(g, NULL);

        g->now += leap_s[i] * TG_SECOND_US;
        g->skew -= leap_s[i] * TG_SECOND_US; /* the server's clock does not move */
        mt_session_tick(g->s, g->now);
        call(g, 2);
        flush(g);
        assert_true(rig_find(&g->w, QUERY, 0)->msg_id > id);
        if (rig_find(&g->w, MT_ID_PING_DELAY_DISCONNECT, 0))
            send_pong(g);
        send_result(g, id);
        send_result(g, rig_find(&g->w, QUERY, 0)->msg_id);
        assert_int_equal(count_events(g, MT_EVENT_REPLY), 2);
        assert_int_equal(count_events(g, MT_EVENT_FAILED), 0);
        stop(g);
        free(g);
    }
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

static void test_transport_errors(void **unused)
{
    static const struct {
        int32_t code;
        tg_code err;
    } row[] = { { -404, TG_AUTH }, { -429, TG_NET }, { -444, TG_SERVER } };

    (void)unused;
    for (size_t i = 0; i < TG_COUNT(row); i++) {
        struct rig *g = calloc(1, sizeof *g);

        begin(g, NULL);
        mt_session_packet(g->s, &(struct mt_packet){ .error = row[i].code }, g->now);
        assert_int_equal(find_event(g, MT_EVENT_FAILED)->event.code, row[i].code);
        assert_int_equal(find_event(g, MT_EVENT_FAILED)->err, row[i].err);
        connect_rig(g);
        flush(g);
        assert_non_null(rig_find(&g->w, QUERY, 0));
        stop(g);
        free(g);
    }
}

/* The owner may do anything but free the session while it hears an event. */
static void hook_all(struct rig *g, const struct mt_event *e)
{
    if (e->kind == MT_EVENT_REPLY && g->n_events == 1) {
        mt_session_restart(g->s);
        call(g, 7);
    } else if (e->kind == MT_EVENT_UPDATE) {
        mt_session_disconnected(g->s);
    }
}

static void test_owner_acts_in_events(void **unused)
{
    struct rig *g = calloc(1, sizeof *g);
    struct tg_buf b = buffer();
    uint64_t id = begin(g, NULL);

    (void)unused;
    g->hook = hook_all;
    tg_buf_u32(&b, MT_ID_MSG_CONTAINER);
    tg_buf_u32(&b, 2);
    for (int i = 0; i < 2; i++) {
        tg_buf_u64(&b, server_id(g));
        tg_buf_u32(&b, 1 + 2 * (uint32_t)i);
        tg_buf_u32(&b, i ? 4 : 20);
        if (i)
            tg_buf_u32(&b, OBJECT);
        else
            put_result(&b, id);
    }
    send_body(g, &b, false);
    assert_int_equal(g->n_events, 1); /* what stood behind belonged to the old session */
    flush(g);
    assert_non_null(rig_find(&g->w, QUERY, 0));
    tg_buf_clear(&b);
    tg_buf_u32(&b, OBJECT);
    send_body(g, &b, true);
    assert_true(mt_session_deadline(g->s) == INT64_MAX);
    tg_buf_done(&b);
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
        cmocka_unit_test(test_lies),
        cmocka_unit_test(test_doubt),
        cmocka_unit_test(test_bad_salt),
        cmocka_unit_test(test_bad_msg),
        cmocka_unit_test(test_refuses_all),
        cmocka_unit_test(test_acks),
        cmocka_unit_test(test_repeated_is_acked),
        cmocka_unit_test(test_reconnect),
        cmocka_unit_test(test_restart),
        cmocka_unit_test(test_set_key),
        cmocka_unit_test(test_new_session),
        cmocka_unit_test(test_states),
        cmocka_unit_test(test_lost_call),
        cmocka_unit_test(test_future_salts),
        cmocka_unit_test(test_ping),
        cmocka_unit_test(test_clock_leaps),
        cmocka_unit_test(test_cancel),
        cmocka_unit_test(test_quick_ack),
        cmocka_unit_test(test_transport_errors),
        cmocka_unit_test(test_owner_acts_in_events),
    };

    return cmocka_run_group_tests_name("mt_session", tests, NULL, NULL);
}

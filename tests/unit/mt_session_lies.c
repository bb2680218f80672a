/* SPDX-License-Identifier: MIT */
/*
 * mt_session_lies.c - the client session against a server that lies, refuses, or lives in another
 * time: each check that the security guidelines demand has its row
 */
#include "tests/unit/mt_session_kit.h"

enum lie {
    TRUTH, OTHER_SESSION, CLIENT_PARITY, TWICE, TOO_OLD_IN_WINDOW, TOO_LATE, FROM_FUTURE, BIT_FLIP,
    OTHER_KEY, PLAIN, NESTED, SHORT_CONTAINER, HUGE_COUNT, ODD_LENGTH, INNER_PARITY,
    FULL_CONTAINER, LONG_CONTAINER,
};

/* What a container says it holds. */
static uint32_t inner_count(enum lie lie)
{
    static const uint32_t n[] = { [SHORT_CONTAINER] = 2,
                                  [HUGE_COUNT] = UINT32_MAX,
                                  [FULL_CONTAINER] = MT_CONTAINER_MAX,
                                  [LONG_CONTAINER] = MT_CONTAINER_MAX + 1 };

    return n[lie] ? n[lie] : 1;
}

/* Writes the body of the lie: a reply to call `id`, in a container where that is the lie. */
static void put_lie(struct tg_buf *b, enum lie lie, uint64_t outer_id, uint64_t id)
{
    for (int level = 0; lie >= NESTED && level < (lie == NESTED ? 2 : 1); level++) {
        tg_buf_u32(b, MT_ID_MSG_CONTAINER);
        tg_buf_u32(b, inner_count(lie));
        tg_buf_u64(b, outer_id + 4 + (lie == INNER_PARITY) + 4 * (uint64_t)level);
        tg_buf_u32(b, 1);
        tg_buf_u32(b, lie == ODD_LENGTH ? 5 : lie == NESTED && level == 0 ? 44 : 20);
    }
    put_result(b, id);
    if (lie == SHORT_CONTAINER)
        tg_buf_add(b, "0123456789abcdef0123", 12);
    for (uint32_t k = 2; lie >= FULL_CONTAINER && k <= inner_count(lie); k++) {
        tg_buf_u64(b, outer_id + 4 * (uint64_t)k);
        tg_buf_u32(b, 0);
        tg_buf_u32(b, 4);
        tg_buf_u32(b, MT_ID_HTTP_WAIT);
    }
}

/* Tells one lie about a call that waits for its reply; `ahead`: the packet is decrypted ahead. */
static void tell(struct rig *g, enum lie lie, bool ahead, uint64_t id)
{
    struct tg_buf b = buffer(), packet = buffer();
    struct mt_message m = { .session_id = state_of(g).session_id, .msg_id = server_id(g),
                            .seq_no = lie < NESTED };
    struct mt_key key = g->w.key;

    put_lie(&b, lie, m.msg_id, id);
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
        if (lie == PLAIN) {
            tg_buf_clear(&packet);
            mt_plain_write(m.msg_id, m.body, m.len, &packet);
        }
        struct mt_packet p = { .at = packet.data, .len = packet.len };

        if (ahead)
            mt_session_decrypt(g->s, &p, 1);
        mt_session_packet(g->s, &p, g->now);
    }
    tg_buf_done(&b);
    tg_buf_done(&packet);
}

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
        { "a packet without a key", PLAIN, 0, true },
        { "a container in a container", NESTED, 0, false },
        { "a container cut short", SHORT_CONTAINER, 1, true },
        { "a container of 2^32-1", HUGE_COUNT, 0, true },
        { "an inner length of 5", ODD_LENGTH, 0, true },
        { "an even msg_id inside", INNER_PARITY, 0, true },
        { "a container of 1024 is no lie", FULL_CONTAINER, 1, false },
        { "a container of 1025", LONG_CONTAINER, 0, true },
    };

    (void)unused;
    for (size_t round = 0; round < 2 * TG_COUNT(row); round++) {
        struct rig *g = calloc(1, sizeof *g);
        uint64_t id = begin(g, NULL);
        size_t i = round / 2;

        tell(g, row[i].lie, round % 2, id);
        if (count_events(g, MT_EVENT_REPLY) != row[i].replies ||
            (count_events(g, MT_EVENT_FAILED) == 1) != row[i].fails)
            fail_msg("%s: %zu replies, %zu failures", row[i].name,
                     count_events(g, MT_EVENT_REPLY), count_events(g, MT_EVENT_FAILED));
        if (row[i].fails) { /* nothing more is taken from that connection */
            send_result(g, id);
            assert_int_equal(count_events(g, MT_EVENT_REPLY), row[i].replies);
        }
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lies),
        cmocka_unit_test(test_doubt),
        cmocka_unit_test(test_bad_salt),
        cmocka_unit_test(test_bad_msg),
        cmocka_unit_test(test_refuses_all),
        cmocka_unit_test(test_clock_leaps),
        cmocka_unit_test(test_transport_errors),
    };

    return cmocka_run_group_tests_name("mt_session_lies", tests, NULL, NULL);
}

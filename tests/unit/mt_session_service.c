/* SPDX-License-Identifier: MIT */
/*
 * mt_session_service.c - service messages of the client session: acknowledgements, states, salts,
 * pings, sessions of the server
 */
#include "tests/unit/mt_session_kit.h"

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

/* msgs_all_info says unasked what became of calls: one that never arrived is sent again, unless it
 * may just be on its way. */
static void test_all_info(void **unused)
{
    static const struct {
        const char *name;
        int64_t age_s;
        uint32_t n; /* ids named */
        const char *info;
        bool again;
    } row[] = {
        { "never arrived", 11, 1, "\x02", true },
        { "its id was too high", 11, 1, "\x03", true },
        { "it arrived", 11, 1, "\x04", false },
        { "it may be on its way", 9, 1, "\x02", false },
        { "more states than ids", 11, 1, "\x02\x02", false },
        { "fewer states than ids", 11, 2, "\x02", false },
    };

    (void)unused;
    for (size_t i = 0; i < TG_COUNT(row); i++) {
        struct rig *g = calloc(1, sizeof *g);
        uint64_t ids[2] = { begin(g, NULL), 12344 };
        struct tg_buf b = buffer();
        const struct rig_message *m;

        g->now += row[i].age_s * TG_SECOND_US;
        tg_buf_u32(&b, MT_ID_MSGS_ALL_INFO);
        rig_ids(&b, ids, row[i].n);
        rig_bytes(&b, row[i].info, strlen(row[i].info));
        send_body(g, &b, false);
        flush(g);
        m = rig_find(&g->w, QUERY, 0);
        if ((m && m->msg_id != ids[0]) != row[i].again)
            fail_msg("%s", row[i].name);
        send_result(g, m ? m->msg_id : ids[0]);
        assert_int_equal(count_events(g, MT_EVENT_REPLY), 1);
        assert_int_equal(count_events(g, MT_EVENT_UPDATE), 0);
        tg_buf_done(&b);
        stop(g);
        free(g);
    }
}

/* Asked for what it was to answer, the client sends what it has under the same number, and says
 * what it does not have. */
static void test_resend_ans_req(void **unused)
{
    struct rig *g = calloc(1, sizeof *g);
    uint64_t ids[2] = { begin(g, NULL), 12344 };
    struct tg_buf b = buffer();
    const struct rig_message *m;

    (void)unused;
    tg_buf_u32(&b, MT_ID_MSG_RESEND_ANS_REQ);
    rig_ids(&b, ids, 2);
    send_body(g, &b, false);
    flush(g);
    assert_int_equal(rig_find(&g->w, QUERY, 0)->msg_id, ids[0]);
    m = rig_find(&g->w, MT_ID_MSGS_STATE_INFO, 0);
    assert_non_null(m);
    assert_int_equal(tg_le64(rig_body(&g->w, m) + 4), g->last_id);
    assert_int_equal(rig_body(&g->w, m)[12], 2);
    assert_int_equal(count_events(g, MT_EVENT_UPDATE), 0);
    tg_buf_done(&b);
    stop(g);
    free(g);
}

/* What the server says of keys and sessions that are destroyed is no update and ends nothing. */
static void test_destroyed(void **unused)
{
    static const uint32_t said[] = { MT_ID_DESTROY_AUTH_KEY_OK, MT_ID_DESTROY_AUTH_KEY_NONE,
                                     MT_ID_DESTROY_AUTH_KEY_FAIL, MT_ID_DESTROY_SESSION_OK,
                                     MT_ID_DESTROY_SESSION_NONE };

    (void)unused;
    for (size_t i = 0; i < TG_COUNT(said); i++) {
        struct rig *g = calloc(1, sizeof *g);
        uint64_t id = begin(g, NULL), session = 5;

        send_words(g, true, said[i], &session, i > 2);
        assert_int_equal(count_events(g, MT_EVENT_UPDATE), 0);
        assert_int_equal(count_events(g, MT_EVENT_FAILED), 0);
        send_result(g, id);
        assert_int_equal(count_events(g, MT_EVENT_REPLY), 1);
        stop(g);
        free(g);
    }
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
        cmocka_unit_test(test_acks),
        cmocka_unit_test(test_repeated_is_acked),
        cmocka_unit_test(test_new_session),
        cmocka_unit_test(test_states),
        cmocka_unit_test(test_lost_call),
        cmocka_unit_test(test_all_info),
        cmocka_unit_test(test_resend_ans_req),
        cmocka_unit_test(test_destroyed),
        cmocka_unit_test(test_future_salts),
        cmocka_unit_test(test_ping),
        cmocka_unit_test(test_owner_acts_in_events),
    };

    return cmocka_run_group_tests_name("mt_session_service", tests, NULL, NULL);
}

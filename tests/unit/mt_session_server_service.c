/* SPDX-License-Identifier: MIT */
/*
 * mt_session_server_service.c - service messages as the server role answers them
 */
#include "tests/unit/mt_session_server_kit.h"

static void test_ping(void **unused)
{
    struct rig *g = start(0);
    struct tg_buf b = body_of(MT_ID_PING_DELAY_DISCONNECT, (const uint64_t[]){ 55 }, 1);
    const struct rig_message *m;
    uint64_t id;

    (void)unused;
    learn_salt(g);
    id = send_words(g, MT_ID_PING, (const uint64_t[]){ 77 }, 1);
    m = rig_find(&g->w, MT_ID_PONG, 0);
    assert_int_equal(tg_le64(rig_body(&g->w, m) + 4), id);
    assert_int_equal(tg_le64(rig_body(&g->w, m) + 12), 77);
    assert_int_equal(m->seq_no % 2, 0);
    tg_buf_u32(&b, 75);
    send_body(g, &b, false);
    assert_non_null(rig_find(&g->w, MT_ID_PONG, 0));
    mt_server_conn_tick(g->c, g->now + 74 * TG_SECOND_US);
    assert_false(mt_server_conn_closing(g->c));
    mt_server_conn_tick(g->c, g->now + 75 * TG_SECOND_US);
    assert_true(mt_server_conn_closing(g->c));
    tg_buf_done(&b);
    stop(g);
}

static void test_salts(void **unused)
{
    struct rig *g = start(0);
    struct tg_buf b = body_of(MT_ID_GET_FUTURE_SALTS, NULL, 0);
    const struct rig_message *m;
    uint8_t first[8], next[8];
    const uint8_t *list;
    uint64_t id;

    (void)unused;
    learn_salt(g);
    tg_buf_u32(&b, 64);
    id = send_body(g, &b, true);
    m = rig_find(&g->w, MT_ID_FUTURE_SALTS, 0);
    assert_non_null(m);
    assert_int_equal(m->len, 4 + 8 + 4 + 4 + 64 * 16); /* bare vector of bare salts */
    list = rig_body(&g->w, m);
    assert_int_equal(tg_le64(list + 4), id);
    assert_int_equal(tg_le32(list + 12), g->now / TG_SECOND_US);
    assert_int_equal(tg_le32(list + 16), 64);
    assert_memory_equal(list + 28, g->salt, 8); /* the one that is valid now comes first */
    memcpy(next, list + 20 + 16 + 8, 8);
    assert_int_equal(tg_le32(list + 20), g->now / TG_SECOND_US / 1800 * 1800);
    assert_int_equal(tg_le32(list + 24) - tg_le32(list + 20), 3600);
    g->now = tg_le32(list + 20 + 16) * TG_SECOND_US;
    query(g, 1);
    assert_int_equal(g->n_queries, 1); /* the old one lives half an hour longer */
    memcpy(first, g->salt, 8);
    memcpy(g->salt, next, 8);
    query(g, 2);
    assert_int_equal(g->n_queries, 2);
    g->now += 1800 * TG_SECOND_US;
    memcpy(g->salt, first, 8);
    query(g, 3);
    assert_int_equal(g->n_queries, 2);
    assert_non_null(rig_find(&g->w, MT_ID_BAD_SERVER_SALT, 0));
    memcpy(g->salt, next, 8);
    query(g, 4);
    assert_int_equal(g->n_queries, 3);
    tg_buf_done(&b);
    stop(g);
}

static void test_states(void **unused)
{
    struct rig *g = start(0);
    uint64_t id, answer_id, push_id, ids[3];
    const struct rig_message *m;
    const uint8_t *info;

    (void)unused;
    learn_salt(g);
    id = query(g, 1);
    answer_id = rig_find(&g->w, MT_ID_RPC_RESULT, 0)->msg_id;
    g->answers = false;
    ids[0] = id;
    ids[1] = query(g, 2);
    ids[2] = g->last_id + 4000;
    send_ids(g, MT_ID_MSGS_STATE_REQ, ids, 3, true);
    m = rig_find(&g->w, MT_ID_MSGS_STATE_INFO, 0);
    assert_non_null(m);
    info = rig_body(&g->w, m) + 12;
    assert_int_equal(info[0], 3);
    assert_int_equal(info[1], MT_STATE_RECEIVED | MT_STATE_RUNNING | MT_STATE_ANSWERED);
    assert_int_equal(info[2], MT_STATE_RECEIVED | MT_STATE_RUNNING);
    assert_int_equal(info[3], MT_STATE_TOO_HIGH);

    send_ids(g, MT_ID_MSG_RESEND_REQ, &answer_id, 1, true);
    assert_int_equal(rig_find(&g->w, MT_ID_RPC_RESULT, 0)->msg_id, answer_id);
    assert_null(rig_find(&g->w, MT_ID_MSGS_STATE_INFO, 0));
    send_ids(g, MT_ID_MSG_RESEND_REQ, &id, 1, true);
    assert_non_null(rig_find(&g->w, MT_ID_MSGS_STATE_INFO, 0));

    /* a minute without acknowledgement: the messages are mentioned, not repeated */
    mt_server_push(g->c, g->session_id, "\1\2\3\4", 4, g->now);
    receive(g);
    push_id = rig_find(&g->w, 0x04030201, 0)->msg_id;
    rig_wire_clear(&g->w);
    g->now += 61 * TG_SECOND_US;
    mt_server_conn_tick(g->c, g->now);
    receive(g);
    assert_non_null(rig_find(&g->w, MT_ID_MSG_DETAILED_INFO, 0));
    m = rig_find(&g->w, MT_ID_MSG_NEW_DETAILED_INFO, 1); /* new_session_created is the other */
    assert_non_null(m);
    assert_int_equal(tg_le64(rig_body(&g->w, m) + 4), push_id);
    stop(g);
}

static void test_drop_answer(void **unused)
{
    static const struct {
        const char *name;
        bool answered, acked, asked;
        uint32_t want;
    } row[] = {
        { "a query that runs", false, false, true, MT_ID_RPC_ANSWER_DROPPED_RUNNING },
        { "one that is answered", true, false, true, MT_ID_RPC_ANSWER_DROPPED },
        { "one whose answer arrived", true, true, true, MT_ID_RPC_ANSWER_UNKNOWN },
        { "one that never came", false, false, false, MT_ID_RPC_ANSWER_UNKNOWN },
    };

    (void)unused;
    for (size_t i = 0; i < TG_COUNT(row); i++) {
        struct rig *g = start(0);
        uint64_t id = 400, drop;
        size_t n = 0;

        learn_salt(g);
        g->answers = row[i].answered;
        if (row[i].asked)
            id = query(g, 1);
        if (row[i].acked)
            send_ids(g, MT_ID_MSGS_ACK, &rig_find(&g->w, MT_ID_RPC_RESULT, 0)->msg_id, 1, false);
        drop = send_words(g, MT_ID_RPC_DROP_ANSWER, &id, 1);
        for (size_t k = 0; k < g->w.n; k++) {
            const struct rig_message *m = &g->w.message[k];
            uint64_t to = m->id == MT_ID_RPC_RESULT ? tg_le64(rig_body(&g->w, m) + 4) : 0;

            if (to == drop) {
                if (tg_le32(rig_body(&g->w, m) + 12) != row[i].want)
                    fail_msg("%s", row[i].name);
                n++;
            } else if (to == id) {
                assert_int_equal(tg_le32(rig_body(&g->w, m) + 12),
                                 MT_ID_RPC_ANSWER_DROPPED_RUNNING);
            }
        }
        assert_int_equal(n, 1);
        rig_wire_clear(&g->w);
        if (row[i].asked && !row[i].answered)
            reply(g, 0, OBJECT);
        receive(g);
        assert_null(rig_find(&g->w, MT_ID_RPC_RESULT, 0)); /* nobody wants it any more */
        stop(g);
    }
}

static void test_destroy(void **unused)
{
    struct rig *g = start(0);
    uint64_t old = g->session_id;

    (void)unused;
    learn_salt(g);
    query(g, 1);
    g->session_id++;
    g->n_content = 0;
    send_words(g, MT_ID_DESTROY_SESSION, &old, 1);
    assert_int_equal(tg_le64(rig_body(&g->w, rig_find(&g->w, MT_ID_DESTROY_SESSION_OK, 0)) + 4),
                     old);
    send_words(g, MT_ID_DESTROY_SESSION, &old, 1);
    assert_non_null(rig_find(&g->w, MT_ID_DESTROY_SESSION_NONE, 0));
    send_words(g, MT_ID_DESTROY_SESSION, &g->session_id, 1); /* never itself */
    assert_non_null(rig_find(&g->w, MT_ID_DESTROY_SESSION_NONE, 0));
    send_words(g, MT_ID_DESTROY_AUTH_KEY, NULL, 0);
    assert_non_null(rig_find(&g->w, MT_ID_DESTROY_AUTH_KEY_OK, 0));
    send_words(g, MT_ID_HTTP_WAIT, (const uint64_t[]){ 0, 0 }, 2);
    assert_int_equal(g->n_queries, 1);
    stop(g);
}

static void test_acks(void **unused)
{
    struct rig *g = start(0);
    const struct rig_message *m;

    (void)unused;
    learn_salt(g);
    g->answers = false;
    query(g, 1);
    query(g, 2);
    assert_null(rig_find(&g->w, MT_ID_MSGS_ACK, 0));
    rig_wire_clear(&g->w);
    reply(g, 0, OBJECT); /* an answer acknowledges its query */
    g->now += 11 * TG_SECOND_US;
    assert_true(mt_server_conn_deadline(g->c) <= g->now);
    mt_server_conn_tick(g->c, g->now);
    receive(g);
    m = rig_find(&g->w, MT_ID_MSGS_ACK, 0);
    assert_non_null(m);
    assert_int_equal(tg_le32(rig_body(&g->w, m) + 8), 1);
    assert_int_equal(tg_le64(rig_body(&g->w, m) + 12), g->query[1].msg_id);
    stop(g);
}

static void test_quick_ack(void **unused)
{
    struct rig *g = start(0);
    struct tg_buf b = body_of(QUERY, NULL, 0), packet;
    struct mt_message m;
    uint32_t token;

    (void)unused;
    learn_salt(g);
    m = message(g, &b, true);
    tg_buf_init(&packet, 4096);
    mt_envelope_write(&g->w.key, MT_FROM_CLIENT, &m, &g->w.random, &packet, &token);
    send_packet(g, packet.data, packet.len, true);
    receive(g);
    assert_int_equal(g->quick_ack, token);
    tg_buf_done(&packet);
    tg_buf_done(&b);
    stop(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ping),
        cmocka_unit_test(test_salts),
        cmocka_unit_test(test_states),
        cmocka_unit_test(test_drop_answer),
        cmocka_unit_test(test_destroy),
        cmocka_unit_test(test_acks),
        cmocka_unit_test(test_quick_ack),
    };

    return cmocka_run_group_tests_name("mt_session_server_service", tests, NULL, NULL);
}

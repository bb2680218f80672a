/* SPDX-License-Identifier: MIT */
/*
 * client.c - calls of a client against scripted servers: waits, repeats, ends; callbacks that do as
 * they like
 */
#include "tests/unit/client_kit.h"

/* ---- waits that the server names ---- */

static const struct tl_value *flood(struct script *s, struct rig_call *call)
{
    static char text[32];
    int64_t now = s->g->now_us, wait = 1 + (int64_t)(draw(s) % 9);

    s->n_early += now > s->told_us && now < s->open_us; /* the same instant: was under way */
    if (s->open_us && now >= s->open_us) { /* the first after a wait is not late either */
        s->late_us = TG_MAX(s->late_us, now - s->open_us);
        s->open_us = 0;
    }
    if (s->n_left == 0 || draw(s) % 3 == 0)
        return yes(s, call);
    s->n_left--;
    s->told_us = now;
    s->open_us = TG_MAX(s->open_us, now + wait * TG_SECOND_US);
    snprintf(text, sizeof text, "FLOOD_WAIT_%d", (int)wait);
    call->error = 420;
    call->text = text;
    return NULL;
}

static void test_flood_waits_are_kept_to_the_millisecond(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 60; seed++) {
        struct script s;

        start(&s, seed % 2, 3);
        be_logged_in(&s);
        s.seed = seed * UINT64_C(0x9e3779b97f4a7c15);
        s.answer = flood;
        s.n_left = 12;
        for (size_t i = 0; i < 1 + seed % 12; i++)
            make(&s, (struct tgc_request){ 0 });
        run(&s, 600);
        each_done_once(&s, TG_OK); /* attempts do not count waits */
        assert_int_equal(s.n_early, 0);
        assert_in_range(s.late_us, 0, TG_SECOND_US / 4);
        rig_stop(s.g);
    }
}

static void test_a_flood_holds_its_method_alone(void **state)
{
    struct script s;
    struct one *held, *free_one;

    (void)state;
    start(&s, false, 0);
    be_logged_in(&s);
    s.answer = refuse;
    s.error = 420;
    s.text = "FLOOD_WAIT_100";
    s.n_left = 1;
    held = make(&s, (struct tgc_request){ .method = "a.b" });
    rig_settle(s.g);
    free_one = make(&s, (struct tgc_request){ .method = "c.d" });
    make(&s, (struct tgc_request){ .method = "a.b" });
    run(&s, 50);
    assert_int_equal(free_one->n_done, 1);
    assert_int_equal(held->n_done + s.call[2].n_done, 0);
    run(&s, 60);
    each_done_once(&s, TG_OK);
    rig_stop(s.g);
}

static void test_flood_of_no_seconds(void **state)
{
    struct script s;

    (void)state;
    start(&s, false, 3);
    be_logged_in(&s);
    s.answer = refuse;
    s.error = 420;
    s.text = "FLOOD_WAIT_0";
    s.n_left = 5;
    make(&s, (struct tgc_request){ 0 });
    run(&s, 60);
    each_done_once(&s, TG_OK);
    assert_int_equal(s.n_queries, 6);
    for (size_t i = 1; i < 6; i++) /* a second each: nothing spins */
        assert_in_range(s.at_us[i] - s.at_us[i - 1], TG_SECOND_US, TG_SECOND_US * 5 / 4);
    rig_stop(s.g);
}

static void test_flood_for_the_caller(void **state)
{
    struct script s;

    (void)state;
    start(&s, false, 0);
    be_logged_in(&s);
    s.answer = refuse;
    s.error = 420;
    s.text = "TAKEOUT_INIT_DELAY_86400";
    s.n_left = 1;
    make(&s, (struct tgc_request){ .flood_fails = true });
    rig_settle(s.g);
    each_done_once(&s, TG_FLOOD);
    rig_stop(s.g);
}

/* ---- repeats and their end ---- */

static void test_server_trouble(void **state)
{
    static const struct {
        int32_t error;
        const char *text;
        unsigned times;
        bool once;
        tg_code code;
    } row[] = {
        { 500, "RPC_CALL_FAIL", 3, false, TG_OK },
        { -503, "Timeout", 3, false, TG_OK },
        { 500, "RPC_CALL_FAIL", 4, false, TG_SERVER },
        { 500, "SOMETHING_NEW", 4, false, TG_SERVER },
        { 500, "RPC_CALL_FAIL", 1, true, TG_SERVER },
        { 400, "CHANNEL_INVALID", 1, false, TG_NOT_FOUND },
        { 400, "CONNECTION_NOT_INITED", 2, false, TG_OK },
        { 403, "CHAT_FORBIDDEN", 1, false, TG_FORBIDDEN },
        { 303, "FILE_MIGRATE_3", 1, false, TG_OK },
        { 303, "FILE_MIGRATE_9", 1, false, TG_BAD_REQUEST },
        { 400, "BOT_METHOD_INVALID", 1, false, TG_UNSUPPORTED },
    };

    (void)state;
    for (size_t i = 0; i < TG_COUNT(row); i++) {
        struct script s;

        start(&s, false, 4);
        be_logged_in(&s);
        s.answer = refuse;
        s.error = row[i].error;
        s.text = row[i].text;
        s.n_left = row[i].times;
        make(&s, (struct tgc_request){ .once = row[i].once });
        run(&s, 120);
        each_done_once(&s, row[i].code);
        rig_stop(s.g);
    }
}

/* What the policy does not let a call repeat is told at once. */
static void test_policy_decides(void **state)
{
    static const struct {
        struct tg_retry_policy policy;
        int64_t deadline_s;
        const char *text;
        int32_t error;
        size_t refusals;
        unsigned queries; /* that reach the server */
        tg_code code;
    } row[] = {
        { { .retry_on = TG_RETRY_ON(TG_TYPE_NETWORK) }, 0, "FLOOD_WAIT_5", 420, 9, 1, TG_FLOOD },
        { { .retry_on = TG_RETRY_ON(TG_TYPE_RATE_LIMIT) }, 0, "INTERNAL", 500, 9, 1, TG_SERVER },
        { { .attempts_max = 3 }, 0, "INTERNAL", 500, 9, 3, TG_SERVER },
        { { .budget_permille = 1, .budget_free = 4 }, 0, "INTERNAL", 500, 9, 5, TG_SERVER },
        { { 0 }, 30, "FLOOD_WAIT_31", 420, 9, 1, TG_FLOOD },
        { { 0 }, 30, "FLOOD_WAIT_9", 420, 9, 4, TG_FLOOD },
        { { 0 }, 30, "FLOOD_WAIT_9", 420, 2, 3, TG_OK },
    };

    (void)state;
    for (size_t i = 0; i < TG_COUNT(row); i++) {
        struct script s;

        start_with(&s, false,
                   &(struct tgc_options){ .retry = row[i].policy,
                                          .call_deadline_us = row[i].deadline_s * TG_SECOND_US });
        be_logged_in(&s);
        s.answer = refuse;
        s.error = row[i].error;
        s.text = row[i].text;
        s.n_left = row[i].refusals;
        make(&s, (struct tgc_request){ 0 });
        run(&s, 600);
        each_done_once(&s, row[i].code);
        assert_int_equal(s.n_queries, row[i].queries);
        rig_stop(s.g);
    }
}

/* A call that cannot even leave ends at its deadline. */
static void test_deadline_while_waiting(void **state)
{
    struct script s;
    int64_t begun;

    (void)state;
    start_with(&s, false, &(struct tgc_options){ .call_deadline_us = 20 * TG_SECOND_US });
    be_logged_in(&s);
    s.answer = refuse;
    s.error = 420;
    s.text = "FLOOD_WAIT_100";
    s.n_left = 1;
    make(&s, (struct tgc_request){ .flood_fails = true });
    rig_settle(s.g);
    begun = s.g->now_us;
    make(&s, (struct tgc_request){ 0 });
    run(&s, 60);
    assert_int_equal(s.call[1].n_done, 1);
    assert_int_equal(s.call[1].code, TG_TIMEOUT);
    assert_int_equal(s.call[1].done_us, begun + 20 * TG_SECOND_US);
    rig_stop(s.g);
}

/* What a run learned is there in the next one, which keeps below it from its first call on. */
static void test_learned_limits_outlive_a_client(void **state)
{
    struct script s;
    int64_t begun;

    (void)state;
    start(&s, false, 0);
    assert_true(tg_session_set_limit(&s.g->session, "help.getNearestDc", s.g->session.home_dc, 2000,
                                     s.g->now_us / TG_SECOND_US));
    be_logged_in(&s);
    begun = s.g->now_us;
    for (int i = 0; i < 10; i++)
        make(&s, (struct tgc_request){ 0 });
    run(&s, 60);
    each_done_once(&s, TG_OK);
    assert_true(s.call[9].done_us - begun >= 4 * TG_SECOND_US);
    assert_false(tgc_note_learned(s.g->client, s.g->now_us)); /* the same as before */
    assert_int_equal(tgc_limit_wait(s.g->client, "contacts.resolveUsername", s.g->now_us), 0);
    rig_stop(s.g);
}

/* What is urgent does not stand behind what came before it and still waits. */
static void test_urgent_calls_overtake(void **state)
{
    struct script s;

    (void)state;
    start(&s, false, 0);
    be_logged_in(&s);
    tgc_limit(s.g->client, "help.getNearestDc",
              &(struct tg_limiter_options){ 1000, 1, false, 1000, { 0 } }, s.g->now_us);
    for (int i = 0; i < 12; i++)
        make(&s, (struct tgc_request){ .urgent = i >= 10 });
    run(&s, 60);
    each_done_once(&s, TG_OK);
    for (int i = 1; i < 10; i++) /* one was sent at once */
        assert_true(s.call[10].done_us < s.call[i].done_us);
    assert_true(s.call[10].done_us < s.call[11].done_us && s.call[11].done_us < s.call[1].done_us);
    rig_stop(s.g);
}

/* Names are resolved slowly after the first few. */
static void test_strict_methods(void **state)
{
    struct script s;
    int64_t begun;

    (void)state;
    start(&s, false, 0);
    be_logged_in(&s);
    begun = s.g->now_us;
    for (int i = 0; i < 22; i++)
        make(&s, (struct tgc_request){ .method = "contacts.resolveUsername" });
    run(&s, 60);
    each_done_once(&s, TG_OK);
    assert_true(s.call[19].done_us - begun < TG_SECOND_US);
    assert_in_range(s.call[21].done_us - begun, 9 * TG_SECOND_US, 11 * TG_SECOND_US);
    rig_stop(s.g);
}

/* ---- callbacks that do as they like ---- */

/* Cancels a neighbour, and makes a call in the place of what ended. */
static void wild(struct script *s, struct one *one)
{
    size_t other = (size_t)(draw(s) % s->n);

    (void)one;
    if (s->call[other].n_done == 0) {
        tgc_cancel(s->g->client, s->call[other].number);
        s->call[other].n_done = 1; /* no callback may come for it */
    }
    if (s->n < CALLS && !s->closing)
        make(s, (struct tgc_request){ .before_login = draw(s) % 2, .dc = (int32_t)(draw(s) % 4) });
}

static void test_wild_callbacks(void **state)
{
    static const struct {
        int32_t error;
        const char *text;
    } row[] = {
        { 406, "AUTH_KEY_DUPLICATED" }, { 401, "AUTH_KEY_UNREGISTERED" },
        { 400, "CHANNEL_INVALID" },     { 401, "AUTH_KEY_PERM_EMPTY" },
        { 500, "RPC_CALL_FAIL" },       { 420, "FLOOD_WAIT_2" },
        { 303, "FILE_MIGRATE_1" },      { 400, "CONNECTION_NOT_INITED" },
    };

    (void)state;
    for (uint64_t seed = 0; seed < 15 * TG_COUNT(row); seed++) {
        struct script s;
        struct tg_error why;

        start(&s, seed % 2, 3);
        be_logged_in(&s);
        s.seed = (seed + 1) * UINT64_C(0x9e3779b97f4a7c15);
        s.answer = refuse;
        s.error = row[seed % TG_COUNT(row)].error;
        s.text = row[seed % TG_COUNT(row)].text;
        s.n_left = 1 + seed % 5;
        s.on_done = wild;
        for (int i = 0; i < 6; i++)
            make(&s, (struct tgc_request){ .dc = (int32_t)(draw(&s) % 4) });
        if (seed % 4 == 1) {
            rig_settle(s.g);
            rig_cut(s.g, 0);
        }
        if (seed % 4 == 2) {
            tg_fail(&why, TG_CANCELLED, "enough");
            rig_step(s.g);
            tgc_fail_all(s.g->client, &why);
        }
        if (seed % 4 != 3)
            run(&s, 300);
        else
            run(&s, 0);
        s.closing = true;
        tgc_free(s.g->client); /* what is open ends now, once */
        s.g->client = NULL;
        for (size_t i = 0; i < s.n; i++)
            assert_int_equal(s.call[i].n_done, 1);
        rig_stop(s.g);
    }
}

int main(void)
{
    const struct CMUnitTest test[] = {
        cmocka_unit_test(test_flood_waits_are_kept_to_the_millisecond),
        cmocka_unit_test(test_a_flood_holds_its_method_alone),
        cmocka_unit_test(test_flood_of_no_seconds),
        cmocka_unit_test(test_flood_for_the_caller),
        cmocka_unit_test(test_server_trouble),
        cmocka_unit_test(test_policy_decides),
        cmocka_unit_test(test_deadline_while_waiting),
        cmocka_unit_test(test_learned_limits_outlive_a_client),
        cmocka_unit_test(test_urgent_calls_overtake),
        cmocka_unit_test(test_strict_methods),
        cmocka_unit_test(test_wild_callbacks),
    };

    return cmocka_run_group_tests_name("telegram/client", test, set_up, tear_down);
}

/* SPDX-License-Identifier: MIT */
/*
 * login_life.c - keys and connections of a login, QR codes on the screen, cancelling, logging out
 */
#include "tests/unit/login_kit.h"

static void test_qr_codes_are_shown_once_each(void **state)
{
    static const struct row row = { .name = "QR", .options = { .qr = true } };
    struct run r;

    (void)state;
    start(&r, &row, true);
    log_in(&r);
    assert_false(r.failed);
    /* 12 polls, 3 s apart or at the end of a token: 33 s and more need two tokens of 30 s */
    assert_in_range(r.n_qr, 2, 3);
    assert_int_equal(r.fake.n_polls, 13);
    assert_true(r.qr_expires % TOKEN_LIFE_S == 0 && r.qr_expires > RIG_START_US / TG_SECOND_US);
    assert_memory_equal(r.url, "tg://login?token=dG9rZW4t", 25);
    assert_null(strpbrk(r.url + 17, "+/="));
    rig_stop(r.fake.rig);
}

static void test_keys_and_init(void **state)
{
    static const struct row row = { .name = "keys", .options = GIVEN };
    static const struct row far = { .name = "keys", .options = GIVEN, .dc = 1 };
    struct run r;

    (void)state;
    for (int pfs = 0; pfs < 2; pfs++) {
        start(&r, &row, pfs);
        log_in(&r);
        assert_int_equal(r.fake.rig->n_permanent, 1);
        assert_int_equal(r.fake.rig->n_temporary, pfs);
        assert_int_equal(r.fake.rig->n_binds, pfs);
        assert_int_equal(r.fake.rig->n_dials, 1);
        assert_int_equal(r.fake.n_calls, 2); /* sendCode, signIn */
        assert_int_equal(r.fake.n_inited, 1);
        rig_stop(r.fake.rig);
    }
    start(&r, &far, true);
    log_in(&r);
    assert_int_equal(r.fake.rig->n_dials, 2);
    assert_int_equal(r.fake.rig->n_binds, 2);
    rig_stop(r.fake.rig);
}

static void test_a_dead_key_is_replaced(void **state)
{
    static const struct row row = { .name = "a dead key",
                                    .options = GIVEN,
                                    .refuse = ONCE(auth_sendCode, 406, "AUTH_KEY_DUPLICATED") };
    struct run r;

    (void)state;
    for (int pfs = 0; pfs < 2; pfs++) {
        start(&r, &row, pfs);
        log_in(&r);
        assert_false(r.failed);
        assert_int_equal(r.fake.rig->n_permanent, 2);
        assert_int_equal(r.fake.rig->n_logged_out, 1);
        rig_stop(r.fake.rig);
    }
}

static void test_lines_that_break(void **state)
{
    static const struct row row = { .name = "broken lines", .answers = { PHONE, "12345" } };
    const struct tg_login_hooks hooks = { NULL, on_ask, on_qr, on_done };
    struct tg_login_hooks h = hooks;
    struct run r;
    struct rig *g;

    (void)state;
    start(&r, &row, true);
    g = r.fake.rig;
    h.ctx = &r;
    r.login = tg_login_start(g->client, &row.options, &h, g->now_us);
    for (int steps = 1; !r.done && steps < 100; steps++) {
        for (int i = 0; i < steps % 9 && rig_step(g); i++)
            ; /* a few round trips, then the line is cut */
        for (uint32_t i = 0; i < TG_DC_MAX; i++)
            rig_cut(g, i);
        g->now_us += 10 * TG_SECOND_US;
        if (r.asking) {
            r.asking = false;
            tg_login_answer(r.login, row.answers[r.n_answered++], g->now_us);
        }
    }
    assert_true(r.done && !r.failed);
    assert_in_range(g->n_lost, 5, 100);
    assert_int_equal(g->n_permanent, 1);
    assert_int_equal(r.fake.n_codes, 1); /* nothing was asked of the server twice */
    rig_stop(g);
}

static void test_cancel(void **state)
{
    static const struct row row = { .name = "cancel", .options = GIVEN };
    const struct tg_login_hooks hooks = { NULL, on_ask, on_qr, on_done };
    struct run r;

    (void)state;
    for (int steps = 0; steps < 20; steps++) {
        struct tg_login_hooks h = hooks;

        start(&r, &row, true);
        h.ctx = &r;
        r.login = tg_login_start(r.fake.rig->client, &row.options, &h, r.fake.rig->now_us);
        for (int i = 0; i < steps; i++)
            rig_step(r.fake.rig);
        if (r.login)
            tg_login_cancel(r.login);
        r.login = NULL;
        rig_settle(r.fake.rig);
        rig_stop(r.fake.rig);
    }
    tg_login_cancel(NULL);
}

static void test_logout(void **state)
{
    static const struct row row = { .name = "logout", .options = GIVEN };
    struct run r;
    struct rig *g;

    (void)state;
    start(&r, &row, true);
    g = r.fake.rig;
    log_in(&r);
    for (int again = 0; again < 2; again++) { /* the second time nobody is logged in any more */
        r.done = false;
        tg_logout_start(g->client, on_done, &r, g->now_us);
        rig_settle(g);
        assert_true(r.done && !r.failed);
        assert_true(g->session.user_id == 0 && !tg_session_authorized(&g->session));
        assert_false(tg_session_dc(&g->session, 2)->has_key);
    }
    r.done = false; /* and the same client can log in again */
    log_in(&r);
    assert_true(!r.failed && g->session.user_id == USER);
    rig_stop(g);
}

static void test_a_login_that_ended_elsewhere(void **state)
{
    static const struct row row = { .name = "revoked", .options = GIVEN };
    struct run r;
    struct rig *g;

    (void)state;
    start(&r, &row, true);
    g = r.fake.rig;
    log_in(&r);
    memset(r.fake.authorized, 0, 8);
    r.done = false;
    tg_whoami_start(g->client, on_done, &r, g->now_us);
    rig_settle(g);
    assert_true(r.done && r.failed && r.err.code == TG_AUTH && r.err.hint[0]);
    assert_true(g->session.user_id == 0 && !tg_session_authorized(&g->session));
    assert_int_equal(g->n_logged_out, 1);
    assert_int_equal(tg_peers_count(&g->session.peers), 1); /* who comes back finds them */
    rig_stop(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_qr_codes_are_shown_once_each),
        cmocka_unit_test(test_keys_and_init),
        cmocka_unit_test(test_a_dead_key_is_replaced),
        cmocka_unit_test(test_lines_that_break),
        cmocka_unit_test(test_cancel),
        cmocka_unit_test(test_logout),
        cmocka_unit_test(test_a_login_that_ended_elsewhere),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}

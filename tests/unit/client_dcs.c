/* SPDX-License-Identifier: MIT */
/*
 * client_dcs.c - keys that a server has lost, logins that end, further data centres, media DCs
 */
#include "tests/unit/client_kit.h"

/* ---- keys that are lost, logins that end ---- */

static void drop_keys(struct rig *g, bool temporary)
{
    for (size_t i = 0; i < g->n_keys; i++)
        if (temporary || !g->key[i].key.expires_at)
            g->key[i].dropped |= (g->key[i].key.expires_at != 0) == temporary;
    for (uint32_t i = 0; i < TGC_LINKS_MAX; i++)
        rig_cut(g, i);
}

static void test_lost_keys(void **state)
{
    static const struct {
        const char *name;
        bool pfs, temporary, permanent;
        int64_t age_s;
        tg_code code;
    } row[] = {
        { "a temporary key: another is bound", true, true, false, 0, TG_OK },
        { "both", true, true, true, 3600, TG_AUTH },
        { "the permanent key, no others are used", false, false, true, 3600, TG_AUTH },
    };

    (void)state;
    for (size_t i = 0; i < TG_COUNT(row); i++) {
        struct script s;

        start(&s, row[i].pfs, 5);
        be_logged_in(&s);
        run(&s, row[i].age_s + 1);
        if (row[i].temporary)
            drop_keys(s.g, true);
        if (row[i].permanent)
            drop_keys(s.g, false);
        make(&s, (struct tgc_request){ 0 });
        make(&s, (struct tgc_request){ 0 });
        run(&s, 120);
        if (s.call[0].code != row[i].code)
            print_error("%s: %s\n", row[i].name, tg_code_text(s.call[0].code));
        each_done_once(&s, row[i].code);
        assert_int_equal(s.g->n_logged_out, row[i].code == TG_AUTH);
        assert_int_equal(tg_session_authorized(&s.g->session), row[i].code == TG_OK);
        s.n = 0; /* what needs no login works on with a new key */
        make(&s, (struct tgc_request){ .before_login = true });
        run(&s, 60);
        each_done_once(&s, TG_OK);
        rig_stop(s.g);
    }
}

/* What the server may say to a temporary key. */
static void test_binding(void **state)
{
    enum { ALWAYS = 10000 };
    static const struct {
        const char *name;
        int32_t error;
        const char *text;
        unsigned times;
        unsigned keys; /* temporary ones made; 0: any number */
        int64_t wait_us;
        tg_code code;
    } row[] = {
        { "a flood wait is waited for, with the same key", 420, "FLOOD_WAIT_7", 1, 1,
          7 * TG_SECOND_US, TG_OK },
        { "and another", 420, "FLOOD_WAIT_3", 2, 1, 3 * TG_SECOND_US, TG_OK },
        { "server trouble passes", 500, "RPC_CALL_FAIL", 2, 1, 0, TG_OK },
        { "or comes with a negative code", -503, "Timeout", 1, 1, 0, TG_OK },
        { "or does not pass", 500, "RPC_CALL_FAIL", ALWAYS, 0, 0, TG_SERVER },
        { "it could not be read: another key", 400, "ENCRYPTED_MESSAGE_INVALID", 1, 2, 0, TG_OK },
        { "nor the other: the permanent one is gone", 400, "ENCRYPTED_MESSAGE_INVALID", 2, 0, 0,
          TG_AUTH },
        { "our clock was off: another key", 400, "EXPIRES_AT_INVALID", 1, 2, 0, TG_OK },
        { "refused for good", 400, "NO_SUCH_THING", ALWAYS, 0, 0, TG_BAD_REQUEST },
        { "the login has ended", 406, "AUTH_KEY_DUPLICATED", 1, 0, 0, TG_AUTH },
    };

    (void)state;
    for (size_t i = 0; i < TG_COUNT(row); i++) {
        struct script s;
        int64_t wait_us;
        bool ends = row[i].code == TG_AUTH;

        start(&s, true, 5);
        be_logged_in(&s);
        run(&s, 3600); /* the permanent key is no new one */
        drop_keys(s.g, true);
        s.g->n_temporary = s.g->n_binds = 0;
        s.g->bind_error = row[i].error;
        s.g->bind_text = row[i].text;
        s.g->n_bind_errors = row[i].times;
        make(&s, (struct tgc_request){ 0 });
        run(&s, 600);
        wait_us = s.call[0].done_us - s.g->bind_error_us;
        if (s.call[0].n_done != 1 || s.call[0].code != row[i].code ||
            (row[i].keys && s.g->n_temporary != row[i].keys))
            fail_msg("%s: %u done, %s, %u keys", row[i].name, (unsigned)s.call[0].n_done,
                     tg_code_text(s.call[0].code), s.g->n_temporary);
        if (row[i].wait_us)
            assert_in_range(wait_us, row[i].wait_us, row[i].wait_us + TG_SECOND_US / 4);
        assert_int_equal(s.g->n_logged_out, ends);
        assert_int_equal(tg_session_authorized(&s.g->session), !ends);
        rig_stop(s.g);
    }
}

static void test_ended_logins(void **state)
{
    static const struct {
        int32_t error;
        const char *text;
    } row[] = {
        { 406, "AUTH_KEY_DUPLICATED" }, { 401, "AUTH_KEY_UNREGISTERED" },
        { 401, "AUTH_KEY_INVALID" },    { 401, "SESSION_REVOKED" },
        { 401, "SESSION_EXPIRED" },     { 401, "USER_DEACTIVATED_BAN" },
    };

    (void)state;
    for (size_t i = 0; i < 2 * TG_COUNT(row); i++) {
        struct script s;

        start(&s, i % 2, 5);
        be_logged_in(&s);
        s.answer = refuse;
        s.error = row[i / 2].error;
        s.text = row[i / 2].text;
        s.n_left = 1;
        for (int k = 0; k < 5; k++)
            make(&s, (struct tgc_request){ 0 });
        run(&s, 60);
        each_done_once(&s, TG_AUTH);
        assert_int_equal(s.g->n_logged_out, 1);
        assert_false(tg_session_authorized(&s.g->session));
        rig_stop(s.g);
    }
}

/* ---- further data centres ---- */

static const struct tl_value *import_fails(struct script *s, struct rig_call *call)
{
    if (call->name != TLN_auth_importAuthorization)
        return yes(s, call);
    s->n_imports++;
    call->error = 400;
    call->text = "AUTH_BYTES_INVALID";
    return NULL;
}

static const struct tl_value *import_works(struct script *s, struct rig_call *call)
{
    struct tl_value *v;

    if (call->name != TLN_auth_importAuthorization)
        return yes(s, call);
    s->n_imports++;
    v = tl_obj(call->arena, TLN_auth_authorization);
    tl_set_long(tl_set_new(v, TLN_user, TLN_userEmpty), TLN_id, 1);
    return v;
}

static void test_further_data_centres(void **state)
{
    (void)state;
    for (int works = 0; works < 2; works++) {
        struct script s;

        start(&s, true, 5);
        be_logged_in(&s);
        s.answer = works ? import_works : import_fails;
        for (int i = 0; i < 6; i++)
            make(&s, (struct tgc_request){ .dc = 1 + 2 * (i % 2) });
        run(&s, 60);
        each_done_once(&s, works ? TG_OK : TG_BAD_REQUEST);
        if (works) {
            assert_int_equal(s.n_exports, 2);
            assert_int_equal(s.n_imports, 2);
        }
        assert_in_range(s.n_queries, 0, 30); /* asked, not hammered */
        rig_stop(s.g);
    }
}

/* ---- media DCs ---- */

/* Calls go over connections of their own, with the DC's keys; whatever is wrong there, the login
 * stays and the DC's own connection goes on. */
static void test_media_dcs(void **state)
{
    static const struct {
        const char *name;
        bool pfs;
        int32_t error;
        const char *text;
        bool stays; /* with the media DC */
    } row[] = {
        { "all is well", false, 0, "", true },
        { "with temporary keys", true, 0, "", true },
        { "it has trouble", true, 500, "RPC_CALL_FAIL", true },
        { "it does not know the login", true, 401, "AUTH_KEY_UNREGISTERED", false },
    };

    (void)state;
    for (size_t i = 0; i < TG_COUNT(row); i++) {
        struct tg_dc_address where = { .host = "media" };
        struct script s;
        int32_t home;
        unsigned n_dials;

        start(&s, row[i].pfs, 4);
        home = s.g->session.home_dc;
        where.port = (uint16_t)home;
        tgc_set_media(s.g->client, home, &where);
        assert_int_equal(tgc_media(s.g->client, home, 0), home); /* nobody is logged in */
        be_logged_in(&s);
        n_dials = s.g->n_dials;
        assert_int_equal(tgc_media(s.g->client, home, 1), home + 20000);
        assert_int_equal(tgc_media(s.g->client, 3, 1), 3); /* that is not known */
        s.answer = refuse;
        s.error = row[i].error;
        s.text = row[i].text;
        s.n_left = row[i].error ? 1 : 0;
        for (uint32_t n = 0; n < 8; n++)
            make(&s, (struct tgc_request){ .dc = tgc_media(s.g->client, home,
                                                           n % TGC_MEDIA_LINKS) });
        run(&s, 60);
        each_done_once(&s, TG_OK);
        assert_int_equal(s.g->n_dials, n_dials + TGC_MEDIA_LINKS);
        assert_int_equal(s.g->n_permanent, 1);
        assert_int_equal(s.g->n_logged_out, 0);
        assert_true(tg_session_authorized(&s.g->session));
        assert_int_equal(tgc_media(s.g->client, home, 0) != home, row[i].stays);
        rig_stop(s.g);
    }
}

int main(void)
{
    const struct CMUnitTest test[] = {
        cmocka_unit_test(test_lost_keys),
        cmocka_unit_test(test_binding),
        cmocka_unit_test(test_ended_logins),
        cmocka_unit_test(test_further_data_centres),
        cmocka_unit_test(test_media_dcs),
    };

    return cmocka_run_group_tests_name("telegram/client data centres", test, set_up, tear_down);
}

/* SPDX-License-Identifier: MIT */
/*
 * sim_auth.c - logging in to the simulated data centre: every way, and every way refused
 */
#include <stdio.h>

#include "sim_kit.h"

#include "crypto/srp.h"

static struct tl_value *send_code(struct kit *k, const char *phone)
{
    struct tl_value *q = kit_obj(k, TLN_auth_sendCode);

    tl_set_cstr(q, TLN_phone_number, phone);
    tl_set_int(q, TLN_api_id, 17);
    tl_set_cstr(q, TLN_api_hash, "0123456789abcdef");
    tl_set_new(q, TLN_settings, TLN_codeSettings);
    return q;
}

static struct tl_value *sign_in(struct kit *k, const char *phone, struct tg_str hash,
                                const char *code)
{
    struct tl_value *q = kit_obj(k, TLN_auth_signIn);

    tl_set_cstr(q, TLN_phone_number, phone);
    tl_set_copy(q, TLN_phone_code_hash, hash.at, hash.len);
    tl_set_cstr(q, TLN_phone_code, code);
    return q;
}

static struct tg_str hash_of(struct kit *k, struct sim_key *key, const char *phone)
{
    const struct tl_value *sent = kit_call(k, key, send_code(k, phone));
    struct tg_str hash = tl_get_str(sent, TLN_phone_code_hash);

    return (struct tg_str){ tg_arena_copy(&k->arena, hash.at, hash.len), hash.len };
}

static void a_phone_code_logs_in(void **state)
{
    struct kit *k = kit_new(NULL, NULL);
    const struct sim_account *a = kit_account(k, 2, false, false);
    struct sim_key *key = kit_key(k, 2, 0);
    struct tg_str hash;
    const struct tl_value *done;

    (void)state;
    kit_refused(k, key, kit_obj(k, TLN_updates_getState), 401, "AUTH_KEY_UNREGISTERED");
    hash = hash_of(k, key, a->phone);
    kit_refused(k, key, sign_in(k, a->phone, hash, "00000"), 400, "PHONE_CODE_INVALID");
    kit_refused(k, key, sign_in(k, a->phone, hash, ""), 400, "PHONE_CODE_EMPTY");
    kit_refused(k, key, sign_in(k, a->phone, TG_STR("no such hash"), a->code), 400,
                "PHONE_CODE_EXPIRED");
    done = kit_call(k, key, sign_in(k, a->phone, hash, a->code));
    assert_int_equal(tl_get_long(tl_get_obj(done, TLN_user), TLN_id, 0), a->user_id);
    assert_true(tl_get_bool(tl_get_obj(done, TLN_user), TLN_self));
    kit_call(k, key, kit_obj(k, TLN_updates_getState));
    kit_call(k, key, kit_obj(k, TLN_auth_logOut));
    kit_refused(k, key, kit_obj(k, TLN_updates_getState), 401, "AUTH_KEY_UNREGISTERED");
    kit_free(k);
}

static void codes_expire_and_phones_are_checked(void **state)
{
    struct kit *k = kit_new(NULL, NULL);
    const struct sim_account *a = kit_account(k, 2, false, false);
    const struct sim_account *other = kit_account(k, 1, false, false);
    struct sim_key *key = kit_key(k, 2, 0);
    struct tg_str hash;

    (void)state;
    kit_refused(k, key, send_code(k, "12"), 400, "PHONE_NUMBER_INVALID");
    kit_refused(k, key, send_code(k, "+49 12x45678"), 400, "PHONE_NUMBER_INVALID");
    kit_refused(k, key, send_code(k, other->phone), 303, "PHONE_MIGRATE_1");
    hash = hash_of(k, key, a->phone);
    k->now_us += (SIM_CODE_LIFE_S + 1) * TG_SECOND_US;
    kit_refused(k, key, sign_in(k, a->phone, hash, a->code), 400, "PHONE_CODE_EXPIRED");
    hash = hash_of(k, key, "+31 (6) 1234-5678");
    kit_refused(k, key, sign_in(k, "31612345678", hash, "1"), 400, "PHONE_CODE_INVALID");
    assert_int_equal(tl_name(kit_call(k, key, sign_in(k, "31612345678", hash, "12345"))),
                     TLN_auth_authorizationSignUpRequired);
    kit_free(k);
}

static struct tl_value *check_password(struct kit *k, const struct tl_value *asked,
                                       const char *password)
{
    const struct tl_value *algo = tl_get_obj(asked, TLN_current_algo);
    struct tl_value *q = kit_obj(k, TLN_auth_checkPassword);
    struct tl_value *srp = tl_set_new(q, TLN_password, TLN_inputCheckPasswordSRP);
    struct tg_str salt1 = tl_get_str(algo, TLN_salt1), salt2 = tl_get_str(algo, TLN_salt2);
    struct tg_str p = tl_get_str(algo, TLN_p), b = tl_get_str(asked, TLN_srp_B);
    struct tg_srp_challenge challenge = { .algo = { .salt1 = { salt1.at, salt1.len },
                                                    .salt2 = { salt2.at, salt2.len },
                                                    .p = { p.at, p.len },
                                                    .g = (uint32_t)tl_get_int(algo, TLN_g, 0) },
                                          .b = { b.at, b.len } };
    struct tg_srp_proof proof;
    struct tg_error err;
    uint8_t secret[TG_DH_BYTES];

    tg_random_fill(&k->core.random, secret, sizeof secret);
    challenge.secret_a = secret;
    assert_int_equal(
        tg_srp_prove(&challenge, (struct tg_part){ password, strlen(password) }, &proof, &err),
        TG_OK);
    tl_set_long(srp, TLN_srp_id, tl_get_long(asked, TLN_srp_id, 0));
    tl_set_copy(srp, TLN_A, proof.a, sizeof proof.a);
    tl_set_copy(srp, TLN_M1, proof.m1, sizeof proof.m1);
    return q;
}

static void a_password_is_asked_for_and_proved(void **state)
{
    struct kit *k = kit_new(NULL, NULL);
    const struct sim_account *a = kit_account(k, 2, true, false);
    struct sim_key *key = kit_key(k, 2, 0);
    struct tg_str hash;
    const struct tl_value *asked;
    struct tl_value *proof;

    (void)state;
    kit_refused(k, key, kit_obj(k, TLN_account_getPassword), 401, "AUTH_KEY_UNREGISTERED");
    hash = hash_of(k, key, a->phone);
    kit_refused(k, key, sign_in(k, a->phone, hash, a->code), 401, "SESSION_PASSWORD_NEEDED");
    kit_refused(k, key, kit_obj(k, TLN_updates_getState), 401, "AUTH_KEY_UNREGISTERED");
    asked = kit_call(k, key, kit_obj(k, TLN_account_getPassword));
    assert_true(tl_get_bool(asked, TLN_has_password));
    kit_refused(k, key, check_password(k, asked, "wrong"), 400, "PASSWORD_HASH_INVALID");
    asked = kit_call(k, key, kit_obj(k, TLN_account_getPassword));
    proof = check_password(k, asked, a->password);
    kit_call(k, key, kit_obj(k, TLN_account_getPassword)); /* only the last challenge counts */
    kit_refused(k, key, proof, 400, "SRP_ID_INVALID");
    asked = kit_call(k, key, kit_obj(k, TLN_account_getPassword));
    kit_call(k, key, check_password(k, asked, a->password));
    kit_call(k, key, kit_obj(k, TLN_updates_getState));
    kit_free(k);
}

static struct tl_value *bot(struct kit *k, const char *token)
{
    struct tl_value *q = kit_obj(k, TLN_auth_importBotAuthorization);

    tl_set_int(q, TLN_api_id, 17);
    tl_set_cstr(q, TLN_api_hash, "0123456789abcdef");
    tl_set_cstr(q, TLN_bot_auth_token, token);
    return q;
}

static void bots_log_in_and_may_call_what_bots_may(void **state)
{
    struct kit *k = kit_new(NULL, NULL);
    const struct sim_account *a = kit_account(k, 2, false, true);
    const struct sim_account *other = kit_account(k, 1, false, true);
    const struct sim_chat *chat = kit_chat(k, SIM_SUPERGROUP);
    struct sim_key *key = kit_key(k, 2, 0);
    struct tl_value *q;

    (void)state;
    kit_refused(k, key, bot(k, "1:x"), 400, "ACCESS_TOKEN_INVALID");
    kit_refused(k, key, bot(k, other->bot_token), 303, "USER_MIGRATE_1");
    kit_call(k, key, bot(k, a->bot_token));
    kit_refused(k, key, kit_history(k, a, chat, 0), 400, "BOT_METHOD_INVALID");
    q = kit_obj(k, TLN_channels_getMessages);
    tl_set_obj(q, TLN_channel, kit_peer(k, a, chat, true));
    tl_set_int(tl_add_new(tl_set_vector(q, TLN_id), TLN_inputMessageID), TLN_id, 3);
    assert_int_equal(tl_len(tl_get_vector(kit_call(k, key, q), TLN_messages)), 1);
    kit_free(k);
}

/* Every method of the schema that is not for the caller's kind of account, whether the simulator
 * serves it or not, is refused with the name of the reason. */
static void bots_and_people_have_methods_of_their_own(void **state)
{
    struct kit *k = kit_new(NULL, NULL);
    const struct tl_schema *schema = tl_schema_builtin(228);
    struct sim_key *bot_key = kit_login(k, kit_account(k, 2, false, true));
    struct sim_key *user_key = kit_login(k, kit_account(k, 2, false, false));
    unsigned n_users = 0, n_bots = 0;

    (void)state;
    for (uint32_t i = 0; i < schema->n_ctors; i++) {
        const struct tl_ctor *c = &schema->ctor[i];
        enum tl_access access = tl_method_access(c->name);

        if (!c->is_function)
            continue;
        if (access == TL_FOR_USERS)
            kit_refused(k, bot_key, kit_obj(k, c->name), 400, "BOT_METHOD_INVALID");
        else if (access == TL_FOR_BOTS)
            kit_refused(k, user_key, kit_obj(k, c->name), 400, "USER_BOT_REQUIRED");
        n_users += access == TL_FOR_USERS;
        n_bots += access == TL_FOR_BOTS;
    }
    print_message("%u methods of people, %u of bots\n", n_users, n_bots);
    assert_true(n_users > 300 && n_bots > 10);
    kit_free(k);
}

static struct tl_value *export_token(struct kit *k)
{
    struct tl_value *q = kit_obj(k, TLN_auth_exportLoginToken);

    tl_set_int(q, TLN_api_id, 17);
    tl_set_cstr(q, TLN_api_hash, "0123456789abcdef");
    tl_set_vector(q, TLN_except_ids);
    return q;
}

static void a_shown_token_is_accepted_by_another_login(void **state)
{
    struct kit *k = kit_new(NULL, NULL);
    const struct sim_account *a = kit_account(k, 1, false, false);
    struct sim_key *mine = kit_login(k, a), *fresh = kit_key(k, 2, 0), *there;
    const struct tl_value *v;
    struct tl_value *q;
    struct tg_str token;

    (void)state;
    v = kit_call(k, fresh, export_token(k));
    assert_int_equal(tl_name(v), TLN_auth_loginToken);
    token = tl_get_str(v, TLN_token);
    q = kit_obj(k, TLN_auth_acceptLoginToken);
    tl_set_copy(q, TLN_token, token.at, token.len);
    kit_call(k, mine, q);
    assert_int_equal(k->n_pushed, 1);
    q = kit_obj(k, TLN_auth_acceptLoginToken);
    tl_set_cstr(q, TLN_token, "nonsense");
    kit_refused(k, mine, q, 400, "AUTH_TOKEN_INVALIDX");
    v = kit_call(k, fresh, export_token(k));
    assert_int_equal(tl_name(v), TLN_auth_loginTokenMigrateTo);
    assert_int_equal(tl_get_int(v, TLN_dc_id, 0), 1);
    token = tl_get_str(v, TLN_token);
    there = kit_key(k, 1, 0);
    q = kit_obj(k, TLN_auth_importLoginToken);
    tl_set_copy(q, TLN_token, token.at, token.len);
    assert_int_equal(tl_name(kit_call(k, there, q)), TLN_auth_loginTokenSuccess);
    kit_call(k, there, kit_obj(k, TLN_updates_getState));
    kit_free(k);
}

static void a_test_may_accept_tokens_too(void **state)
{
    struct kit *k = kit_new(NULL, NULL);
    const struct sim_account *a = kit_account(k, 2, false, false);
    struct sim_key *fresh = kit_key(k, 2, 0);

    (void)state;
    assert_false(sim_auth_accept_all(&k->core, a->phone));
    kit_call(k, fresh, export_token(k));
    assert_true(sim_auth_tokens_wait(&k->core, k->now_us / TG_SECOND_US));
    assert_false(sim_auth_accept_all(&k->core, "1"));
    assert_true(sim_auth_accept_all(&k->core, a->phone));
    assert_int_equal(tl_name(kit_call(k, fresh, export_token(k))), TLN_auth_loginTokenSuccess);
    kit_free(k);
}

static void authorizations_travel_to_the_other_dc(void **state)
{
    struct kit *k = kit_new(NULL, NULL);
    const struct sim_account *a = kit_account(k, 2, false, false);
    struct sim_key *home = kit_login(k, a), *away = kit_key(k, 1, 0);
    struct tl_value *q = kit_obj(k, TLN_auth_exportAuthorization);
    const struct tl_value *v;
    struct tg_str bytes;

    (void)state;
    tl_set_int(q, TLN_dc_id, 2);
    kit_refused(k, home, q, 400, "DC_ID_INVALID");
    tl_set_int(q, TLN_dc_id, 1);
    v = kit_call(k, home, q);
    bytes = tl_get_str(v, TLN_bytes);
    q = kit_obj(k, TLN_auth_importAuthorization);
    tl_set_long(q, TLN_id, a->user_id);
    tl_set_copy(q, TLN_bytes, "wrong", 5);
    kit_refused(k, away, q, 400, "AUTH_BYTES_INVALID");
    tl_set_copy(q, TLN_bytes, bytes.at, bytes.len);
    kit_call(k, away, q);
    kit_refused(k, away, kit_obj(k, TLN_updates_getState), 303, "USER_MIGRATE_2");
    kit_refused(k, kit_key(k, 1, 0), q, 400, "AUTH_BYTES_INVALID"); /* only once */
    kit_free(k);
}

static struct tl_value *bind_query(struct kit *k, struct sim_key *temp, struct sim_key *perm,
                                   int32_t expires_at)
{
    struct tl_value *q = kit_obj(k, TLN_auth_bindTempAuthKey);
    uint64_t next = ((uint64_t)(k->now_us / TG_SECOND_US) << 32) + (k->msg_id & UINT32_MAX) + 4;
    struct mt_bind bind = { .nonce = 77, .msg_id = next, .temp_session_id = kit_session(k),
                            .expires_at = expires_at };
    struct tg_buf out;

    memcpy(bind.temp_key_id, temp->key.id, 8);
    memcpy(bind.perm_key_id, perm->key.id, 8);
    tg_buf_init(&out, 1024);
    mt_bind_write(&perm->key, &bind, &k->core.random, &out);
    tl_set_long(q, TLN_perm_auth_key_id, (int64_t)tg_le64(perm->key.id));
    tl_set_long(q, TLN_nonce, 77);
    tl_set_int(q, TLN_expires_at, expires_at);
    tl_set_copy(q, TLN_encrypted_message, out.data, out.len);
    tg_buf_done(&out);
    return q;
}

static void temporary_keys_are_bound(void **state)
{
    struct kit *k = kit_new(NULL, NULL);
    const struct sim_account *a = kit_account(k, 2, false, false);
    int64_t now_s = k->now_us / TG_SECOND_US;
    struct sim_key *perm = kit_login(k, a), *other = kit_key(k, 2, 0);
    struct sim_key *temp = kit_key(k, 2, now_s + 1000), *next = kit_key(k, 2, now_s + 1000);
    struct tl_value *q;

    (void)state;
    kit_refused(k, temp, kit_obj(k, TLN_updates_getState), 401, "AUTH_KEY_PERM_EMPTY");
    kit_call(k, temp, kit_obj(k, TLN_help_getConfig));
    kit_refused(k, perm, bind_query(k, temp, perm, (int32_t)now_s + 900), 400,
                "TEMP_AUTH_KEY_EMPTY");
    kit_refused(k, temp, bind_query(k, temp, perm, (int32_t)now_s - 1), 400,
                "EXPIRES_AT_INVALID");
    q = bind_query(k, temp, perm, (int32_t)now_s + 900);
    tl_set_long(q, TLN_nonce, 78);
    kit_refused(k, temp, q, 400, "ENCRYPTED_MESSAGE_INVALID");
    q = bind_query(k, temp, other, (int32_t)now_s + 900);
    tl_set_long(q, TLN_perm_auth_key_id, (int64_t)tg_le64(perm->key.id));
    kit_refused(k, temp, q, 400, "ENCRYPTED_MESSAGE_INVALID");
    k->init = false; /* may be the very first query */
    kit_call(k, temp, bind_query(k, temp, perm, (int32_t)now_s + 900));
    k->init = true;
    kit_call(k, temp, kit_obj(k, TLN_updates_getState));
    kit_refused(k, temp, bind_query(k, temp, other, (int32_t)now_s + 900), 400,
                "TEMP_AUTH_KEY_ALREADY_BOUND");
    kit_call(k, next, bind_query(k, next, perm, (int32_t)now_s + 900));
    assert_null(sim_keys_find(k->core.keys, 2, temp->key.id)); /* one key, one temporary key */
    kit_free(k);
}

/* A query on connection number `link`. */
static void speak(struct kit *k, uint64_t link, struct sim_key *key)
{
    k->link = link;
    kit_call(k, key, kit_obj(k, TLN_updates_getState));
}

static void check_dead(struct kit *k, uint64_t link, struct sim_key *key)
{
    k->link = link;
    kit_refused(k, key, kit_obj(k, TLN_updates_getState), 406, "AUTH_KEY_DUPLICATED");
}

static void one_login_on_two_connections_dies(void **state)
{
    struct kit *k = kit_new(NULL, NULL);
    const struct sim_account *a = kit_account(k, 2, false, false);
    struct sim_key *key = kit_login(k, a), *other = kit_login(k, a);

    (void)state;
    speak(k, 1, key);
    speak(k, 2, key); /* a reconnect */
    speak(k, 2, key);
    sim_use_end(&k->use[1]); /* the older one is closed */
    speak(k, 3, key);
    speak(k, 4, key);
    check_dead(k, 2, key); /* two others have spoken since */
    check_dead(k, 4, key);
    assert_int_equal(k->core.stats.duplicated, 1);
    speak(k, 4, other); /* another login of the same account */
    kit_free(k);
}

/* A session may go to another connection, and back. */
static void a_session_moves_between_connections(void **state)
{
    struct kit *k = kit_new(NULL, NULL);
    struct sim_key *key = kit_login(k, kit_account(k, 2, false, false));

    (void)state;
    k->session = 7;
    for (uint64_t i = 0; i < 6; i++)
        speak(k, 1 + i % 3, key);
    k->session = 0;
    speak(k, 4, key);
    k->session = 7;
    check_dead(k, 1, key);
    kit_free(k);
}

static void media_dcs_take_several_connections(void **state)
{
    struct kit *k = kit_new(NULL, NULL);
    struct sim_key *key = kit_login(k, kit_account(k, 2, false, false));

    (void)state;
    speak(k, 1, key);
    k->media = true;
    for (uint64_t i = 0; i < 6; i++)
        speak(k, 2 + i % 3, key);
    k->media = false;
    speak(k, 1, key);
    kit_free(k);
}

/* Two programs with copies of a session each make a temporary key of their own. */
static void temporary_keys_do_not_hide_it(void **state)
{
    struct kit *k = kit_new(NULL, NULL);
    int32_t end_s = (int32_t)(k->now_us / TG_SECOND_US) + 900;
    struct sim_key *perm = kit_login(k, kit_account(k, 2, false, false));
    struct sim_key *one = kit_key(k, 2, end_s), *two = kit_key(k, 2, end_s);
    struct sim_key *media = kit_key(k, 2, end_s);

    (void)state;
    sim_use_end(&k->use[1]);
    k->link = 2;
    kit_call(k, one, bind_query(k, one, perm, end_s));
    speak(k, 2, one);
    k->media = true; /* a media DC has keys of its own */
    k->link = 5;
    kit_call(k, media, bind_query(k, media, perm, end_s));
    k->media = false;
    k->link = 3;
    kit_call(k, two, bind_query(k, two, perm, end_s));
    speak(k, 3, two);
    assert_non_null(sim_keys_find(k->core.keys, 2, media->key.id));
    check_dead(k, 2, one);
    check_dead(k, 3, two);
    kit_free(k);
}

/* One program that makes its next temporary key in time: the connection before is closed. */
static void temporary_keys_are_renewed(void **state)
{
    struct kit *k = kit_new(NULL, NULL);
    int32_t end_s = (int32_t)(k->now_us / TG_SECOND_US) + 900;
    struct sim_key *perm = kit_login(k, kit_account(k, 2, false, false)), *temp;

    (void)state;
    for (uint64_t link = 1; link < TG_COUNT(k->use); link++) {
        sim_use_end(&k->use[link - 1]);
        k->link = link;
        temp = kit_key(k, 2, end_s);
        kit_call(k, temp, bind_query(k, temp, perm, end_s));
        speak(k, link, temp);
        speak(k, link, temp);
    }
    assert_int_equal(k->core.stats.duplicated, 0);
    kit_free(k);
}

static void logins_are_listed_and_ended(void **state)
{
    struct kit *k = kit_new(NULL, NULL);
    const struct sim_account *a = kit_account(k, 2, false, false);
    struct sim_key *one = kit_login(k, a), *two = kit_login(k, a);
    const struct tl_value *list;

    (void)state;
    list = tl_get_vector(kit_call(k, one, kit_obj(k, TLN_account_getAuthorizations)),
                         TLN_authorizations);
    assert_int_equal(tl_len(list), 2);
    kit_call(k, one, kit_obj(k, TLN_auth_resetAuthorizations));
    kit_refused(k, two, kit_obj(k, TLN_updates_getState), 401, "SESSION_REVOKED");
    kit_call(k, one, kit_obj(k, TLN_updates_getState));
    kit_free(k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_phone_code_logs_in),
        cmocka_unit_test(codes_expire_and_phones_are_checked),
        cmocka_unit_test(a_password_is_asked_for_and_proved),
        cmocka_unit_test(bots_log_in_and_may_call_what_bots_may),
        cmocka_unit_test(bots_and_people_have_methods_of_their_own),
        cmocka_unit_test(a_shown_token_is_accepted_by_another_login),
        cmocka_unit_test(a_test_may_accept_tokens_too),
        cmocka_unit_test(authorizations_travel_to_the_other_dc),
        cmocka_unit_test(temporary_keys_are_bound),
        cmocka_unit_test(one_login_on_two_connections_dies),
        cmocka_unit_test(a_session_moves_between_connections),
        cmocka_unit_test(media_dcs_take_several_connections),
        cmocka_unit_test(temporary_keys_do_not_hide_it),
        cmocka_unit_test(temporary_keys_are_renewed),
        cmocka_unit_test(logins_are_listed_and_ended),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

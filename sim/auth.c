/* SPDX-License-Identifier: MIT */
/*
 * auth.c - login by phone code and by bot token, logout, and the list of logins
 *
 * A phone of one of the world's accounts gets the account's fixed code. Any other well-formed phone
 * gets a code too, as Telegram does not tell who has an account: with any five digits it leads to
 * authorizationSignUpRequired, and signing up is refused.
 *
 * Threads: none
 */
#include "sim/auth.h"

#include <assert.h>
#include <stdio.h>

#include "base/text.h"

/* Keeps the digits of a phone as a user may write it. @return false if it is none */
static bool phone_clean(struct tg_str text, char out[24])
{
    size_t n = 0;

    for (uint32_t i = 0; i < text.len; i++) {
        char ch = text.at[i];

        if (ch >= '0' && ch <= '9') {
            if (n == 15)
                return false;
            out[n++] = ch;
        } else if (!strchr("+ -()", ch) || !ch) {
            return false;
        }
    }
    out[n] = 0;
    return n >= 7;
}

static const struct sim_account *account_by_phone(const struct sim_world *w, const char *phone)
{
    for (size_t i = 0; i < sim_world_accounts(w); i++) {
        const struct sim_account *a = sim_world_account(w, i);

        if (!a->bot_token && a->phone && !strcmp(a->phone, phone))
            return a;
    }
    return NULL;
}

static struct tl_value *sent_code(struct sim_call *c, const struct sim_code *code)
{
    struct tl_value *v = tl_obj(c->arena, TLN_auth_sentCode);
    struct tl_value *type = tl_set_new(v, TLN_type, TLN_auth_sentCodeTypeApp);

    tl_set_int(type, TLN_length, code->account ? (int32_t)strlen(code->account->code) : 5);
    tl_set_copy(v, TLN_phone_code_hash, code->hash, strlen(code->hash));
    return v;
}

struct tl_value *sim_auth_send_code(struct sim_call *c, const struct tl_value *q)
{
    struct sim_core *core = c->core;
    struct sim_code *slot = &core->code[0];
    const struct sim_account *account;
    char phone[24];
    uint8_t random[9];

    if (tl_get_int(q, TLN_api_id, 0) <= 0 || tl_get_str(q, TLN_api_hash).len == 0)
        return sim_fail(c, "API_ID_INVALID");
    if (!phone_clean(tl_get_str(q, TLN_phone_number), phone))
        return sim_fail(c, "PHONE_NUMBER_INVALID");
    account = account_by_phone(core->world, phone);
    if (account && account->home_dc != c->request->dc)
        return sim_fail_number(c, "PHONE_MIGRATE", account->home_dc);
    for (size_t i = 0; i < SIM_CODES_MAX; i++) {
        if (core->code[i].sent_s < slot->sent_s)
            slot = &core->code[i];
    }
    *slot = (struct sim_code){ .account = account, .sent_s = c->now_s };
    snprintf(slot->phone, sizeof slot->phone, "%s", phone);
    tg_random_fill(&core->random, random, sizeof random);
    tg_hex(slot->hash, random, sizeof random);
    return sent_code(c, slot);
}

/* @return the code that a request names by phone and hash; the call fails otherwise */
static struct sim_code *code_of(struct sim_call *c, const struct tl_value *q)
{
    struct sim_core *core = c->core;
    struct tg_str hash = tl_get_str(q, TLN_phone_code_hash);
    char phone[24];

    if (!phone_clean(tl_get_str(q, TLN_phone_number), phone)) {
        sim_fail(c, "PHONE_NUMBER_INVALID");
        return NULL;
    }
    for (size_t i = 0; hash.len && i < SIM_CODES_MAX; i++) {
        struct sim_code *code = &core->code[i];

        if (!tg_str_eq(tg_str_of(code->hash), hash) || strcmp(code->phone, phone))
            continue;
        if (c->now_s - code->sent_s <= SIM_CODE_LIFE_S)
            return code;
    }
    sim_fail(c, hash.len ? "PHONE_CODE_EXPIRED" : "PHONE_CODE_HASH_EMPTY");
    return NULL;
}

struct tl_value *sim_auth_resend_code(struct sim_call *c, const struct tl_value *q)
{
    struct sim_code *code = code_of(c, q);

    return code ? sent_code(c, code) : NULL;
}

struct tl_value *sim_auth_cancel_code(struct sim_call *c, const struct tl_value *q)
{
    struct sim_code *code = code_of(c, q);

    if (!code)
        return NULL;
    *code = (struct sim_code){ .sent_s = 0 };
    return tl_bool(c->arena, true);
}

struct tl_value *sim_auth_finish(struct sim_call *c, const struct sim_account *account)
{
    struct sim_core *core = c->core;
    struct tl_value *v = tl_obj(c->arena, TLN_auth_authorization);

    assert(c->perm);
    c->login = sim_keys_login(core->keys, c->perm, account, tg_random_u64(&core->random) | 1,
                              c->now_s);
    if (!c->login)
        return sim_fail_code(c, 500, "MEMORY_LIMIT");
    c->me = account;
    tl_set_obj(v, TLN_user, sim_world_user(core->world, account, account->user_id, c->arena));
    return v;
}

struct tl_value *sim_auth_pass(struct sim_call *c, const struct sim_account *account)
{
    if (!account->password)
        return sim_auth_finish(c, account);
    c->perm->pending = account;
    return sim_fail(c, "SESSION_PASSWORD_NEEDED");
}

struct tl_value *sim_auth_sign_in(struct sim_call *c, const struct tl_value *q)
{
    struct sim_code *code = code_of(c, q);
    struct tg_str given = tl_get_str(q, TLN_phone_code);
    const struct sim_account *account;

    if (!code)
        return NULL;
    if (given.len == 0)
        return sim_fail(c, "PHONE_CODE_EMPTY");
    account = code->account;
    if (account ? !tg_str_eq(given, tg_str_of(account->code)) : given.len != 5)
        return sim_fail(c, "PHONE_CODE_INVALID");
    if (!account)
        return tl_obj(c->arena, TLN_auth_authorizationSignUpRequired);
    *code = (struct sim_code){ .sent_s = 0 };
    return sim_auth_pass(c, account);
}

struct tl_value *sim_auth_sign_up(struct sim_call *c, const struct tl_value *q)
{
    struct sim_code *code = code_of(c, q);

    if (!code)
        return NULL;
    return sim_fail(c, code->account ? "PHONE_NUMBER_OCCUPIED" : "PHONE_NUMBER_FLOOD");
}

struct tl_value *sim_auth_bot(struct sim_call *c, const struct tl_value *q)
{
    const struct sim_world *w = c->core->world;
    struct tg_str token = tl_get_str(q, TLN_bot_auth_token);

    if (tl_get_int(q, TLN_api_id, 0) <= 0 || tl_get_str(q, TLN_api_hash).len == 0)
        return sim_fail(c, "API_ID_INVALID");
    for (size_t i = 0; i < sim_world_accounts(w); i++) {
        const struct sim_account *a = sim_world_account(w, i);

        if (!a->bot_token || !tg_str_eq(tg_str_of(a->bot_token), token))
            continue;
        if (a->home_dc != c->request->dc)
            return sim_fail_number(c, "USER_MIGRATE", a->home_dc);
        return sim_auth_finish(c, a);
    }
    return sim_fail(c, "ACCESS_TOKEN_INVALID");
}

struct tl_value *sim_auth_log_out(struct sim_call *c, const struct tl_value *q)
{
    (void)q;
    sim_core_end_login(c->core, c->login, SIM_LOGGED_OUT);
    return tl_obj(c->arena, TLN_auth_loggedOut);
}

static bool mine(const struct sim_call *c, const struct sim_login *l)
{
    return l->account == c->me && !l->dead;
}

struct tl_value *sim_auth_reset_all(struct sim_call *c, const struct tl_value *q)
{
    (void)q;
    for (struct sim_login *l = sim_keys_logins(c->core->keys); l; l = l->next) {
        if (mine(c, l) && l != c->login)
            sim_core_end_login(c->core, l, SIM_REVOKED);
    }
    return tl_bool(c->arena, true);
}

struct tl_value *sim_authorization_row(struct sim_call *c, const struct sim_login *l)
{
    struct tl_value *row = tl_obj(c->arena, TLN_authorization);

    tl_set_true(row, TLN_current, l == c->login);
    tl_set_long(row, TLN_hash, l == c->login ? 0 : (int64_t)l->hash);
    tl_set_copy(row, TLN_device_model, l->device, strlen(l->device));
    tl_set_cstr(row, TLN_platform, "");
    tl_set_copy(row, TLN_system_version, l->system, strlen(l->system));
    tl_set_int(row, TLN_api_id, l->api_id);
    tl_set_cstr(row, TLN_app_name, "client");
    tl_set_copy(row, TLN_app_version, l->version, strlen(l->version));
    tl_set_int(row, TLN_date_created, (int32_t)l->created_s);
    tl_set_int(row, TLN_date_active, (int32_t)l->active_s);
    tl_set_cstr(row, TLN_ip, "127.0.0.1");
    tl_set_cstr(row, TLN_country, "Simulation");
    return row;
}

struct tl_value *sim_account_get_authorizations(struct sim_call *c, const struct tl_value *q)
{
    struct tl_value *v = tl_obj(c->arena, TLN_account_authorizations);
    struct tl_value *list = tl_set_vector(v, TLN_authorizations);

    (void)q;
    tl_set_int(v, TLN_authorization_ttl_days, 180);
    for (struct sim_login *l = sim_keys_logins(c->core->keys); l; l = l->next) {
        if (mine(c, l))
            tl_add_obj(list, sim_authorization_row(c, l));
    }
    return v;
}

struct tl_value *sim_account_reset_authorization(struct sim_call *c, const struct tl_value *q)
{
    uint64_t hash = (uint64_t)tl_get_long(q, TLN_hash, 0);
    struct sim_login *l = sim_keys_login_by_hash(c->core->keys, hash);

    if (!l || !mine(c, l) || l == c->login)
        return sim_fail(c, "HASH_INVALID");
    sim_core_end_login(c->core, l, SIM_REVOKED);
    return tl_bool(c->arena, true);
}

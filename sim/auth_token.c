/* SPDX-License-Identifier: MIT */
/*
 * auth_token.c - login tokens (QR), authorizations carried to the other DC, temporary keys
 *
 *   new device                 another logged-in device      test
 *   exportLoginToken --> token
 *                              acceptLoginToken(token)  or   writes PHONE to DIR/accept-login
 *   <-- updateLoginToken
 *   exportLoginToken --> loginTokenSuccess, or loginTokenMigrateTo the account's DC, where
 *   importLoginToken --> loginTokenSuccess
 *
 * Threads: none
 */
#include "sim/auth.h"

#include <assert.h>

/* @return a free slot, or the one that expires first */
static struct sim_token *slot_of(struct sim_core *core)
{
    struct sim_token *best = &core->token[0];

    for (size_t i = 0; i < SIM_TOKENS_MAX; i++) {
        struct sim_token *t = &core->token[i];

        if (t->len == 0)
            return t;
        if (t->expires_s < best->expires_s)
            best = t;
    }
    return best;
}

static struct sim_token *token_find(struct sim_call *c, struct tg_str bytes)
{
    for (size_t i = 0; bytes.len && i < SIM_TOKENS_MAX; i++) {
        struct sim_token *t = &c->core->token[i];

        if (t->len == bytes.len && !memcmp(t->bytes, bytes.at, t->len))
            return t;
    }
    return NULL;
}

/* ---- QR ---- */

static struct tl_value *token_success(struct sim_call *c, const struct sim_account *account)
{
    struct tl_value *done = sim_auth_pass(c, account);
    struct tl_value *v;

    if (!done)
        return NULL;
    v = tl_obj(c->arena, TLN_auth_loginTokenSuccess);
    tl_set_obj(v, TLN_authorization, done);
    return v;
}

/* @return the token that this key showed and that somebody accepted */
static struct sim_token *token_accepted(struct sim_call *c)
{
    for (size_t i = 0; i < SIM_TOKENS_MAX; i++) {
        struct sim_token *t = &c->core->token[i];

        if (t->len == SIM_TOKEN && t->account && t->dc == c->request->dc &&
            !memcmp(t->key_id, c->perm->key.id, sizeof t->key_id))
            return t;
    }
    return NULL;
}

static struct tl_value *token_show(struct sim_call *c, struct sim_token *t)
{
    struct tl_value *v = tl_obj(c->arena, TLN_auth_loginToken);

    tl_set_int(v, TLN_expires, (int32_t)t->expires_s);
    tl_set_copy(v, TLN_token, t->bytes, t->len);
    return v;
}

struct tl_value *sim_auth_export_token(struct sim_call *c, const struct tl_value *q)
{
    struct sim_token *t = token_accepted(c);
    const struct sim_account *account;
    struct tl_value *v;

    if (tl_get_int(q, TLN_api_id, 0) <= 0)
        return sim_fail(c, "API_ID_INVALID");
    if (t && t->account->home_dc != c->request->dc) {
        v = tl_obj(c->arena, TLN_auth_loginTokenMigrateTo);
        tl_set_int(v, TLN_dc_id, t->account->home_dc);
        tl_set_copy(v, TLN_token, t->bytes, t->len);
        return v;
    }
    if (t) {
        account = t->account;
        *t = (struct sim_token){ .len = 0 };
        return token_success(c, account);
    }
    t = slot_of(c->core);
    *t = (struct sim_token){ .len = SIM_TOKEN,
                             .expires_s = c->now_s + SIM_TOKEN_LIFE_S,
                             .dc = c->request->dc,
                             .session_id = c->request->session_id };
    memcpy(t->key_id, c->perm->key.id, sizeof t->key_id);
    tg_random_fill(&c->core->random, t->bytes, t->len);
    return token_show(c, t);
}

struct tl_value *sim_auth_import_token(struct sim_call *c, const struct tl_value *q)
{
    struct sim_token *t = token_find(c, tl_get_str(q, TLN_token));
    const struct sim_account *account;

    if (!t || t->len != SIM_TOKEN || !t->account)
        return sim_fail(c, "AUTH_TOKEN_INVALID");
    if (t->account->home_dc != c->request->dc)
        return sim_fail(c, "AUTH_TOKEN_INVALID");
    account = t->account;
    *t = (struct sim_token){ .len = 0 };
    return token_success(c, account);
}

/* Tells whoever showed the token. */
static void announce(struct sim_core *core, const struct sim_token *t)
{
    uint8_t body[4 + 4 + 4];
    struct tg_buf out = { .data = body, .len = sizeof body, .cap = sizeof body,
                          .max = sizeof body };
    const struct tl_schema *s = core->schema[core->n_schemas - 1];

    if (!core->push)
        return;
    tg_put_le32(body, tl_id(s, TLN_updateShort));
    tg_put_le32(body + 4, tl_id(s, TLN_updateLoginToken));
    tg_put_le32(body + 8, (uint32_t)(t->expires_s - SIM_TOKEN_LIFE_S));
    core->push(core->push_ctx, t->dc, t, &out);
}

struct tl_value *sim_auth_accept_token(struct sim_call *c, const struct tl_value *q)
{
    struct sim_token *t = token_find(c, tl_get_str(q, TLN_token));

    if (!t || t->len != SIM_TOKEN)
        return sim_fail(c, "AUTH_TOKEN_INVALIDX");
    if (t->account)
        return sim_fail(c, "AUTH_TOKEN_ALREADY_ACCEPTED");
    if (t->expires_s < c->now_s)
        return sim_fail(c, "AUTH_TOKEN_EXPIRED");
    t->account = c->me;
    announce(c->core, t);
    return sim_authorization_row(c, c->login);
}

bool sim_auth_accept_all(struct sim_core *core, const char *phone)
{
    const struct sim_account *account = NULL;
    bool any = false;

    for (size_t i = 0; i < sim_world_accounts(core->world); i++) {
        const struct sim_account *a = sim_world_account(core->world, i);

        if (a->phone && !a->bot_token && !strcmp(a->phone, phone))
            account = a;
    }
    for (size_t i = 0; account && i < SIM_TOKENS_MAX; i++) {
        struct sim_token *t = &core->token[i];

        if (t->len != SIM_TOKEN || t->account)
            continue;
        t->account = account;
        announce(core, t);
        any = true;
    }
    return any;
}

bool sim_auth_tokens_wait(const struct sim_core *core, int64_t now_s)
{
    for (size_t i = 0; i < SIM_TOKENS_MAX; i++) {
        const struct sim_token *t = &core->token[i];

        if (t->len == SIM_TOKEN && !t->account && t->expires_s >= now_s)
            return true;
    }
    return false;
}

/* ---- the other DC ---- */

struct tl_value *sim_auth_export(struct sim_call *c, const struct tl_value *q)
{
    int32_t dc = tl_get_int(q, TLN_dc_id, 0);
    struct sim_token *t;
    struct tl_value *v;

    if (dc < 1 || dc > SIM_DCS || dc == c->request->dc)
        return sim_fail(c, "DC_ID_INVALID");
    t = slot_of(c->core);
    *t = (struct sim_token){ .len = SIM_EXPORT,
                             .expires_s = c->now_s + SIM_CODE_LIFE_S,
                             .dc = dc,
                             .login = c->login,
                             .id = c->me->user_id };
    tg_random_fill(&c->core->random, t->bytes, t->len);
    v = tl_obj(c->arena, TLN_auth_exportedAuthorization);
    tl_set_long(v, TLN_id, t->id);
    tl_set_copy(v, TLN_bytes, t->bytes, t->len);
    return v;
}

struct tl_value *sim_auth_import(struct sim_call *c, const struct tl_value *q)
{
    struct sim_token *t = token_find(c, tl_get_str(q, TLN_bytes));
    struct tl_value *v;

    if (!t || t->len != SIM_EXPORT || t->dc != c->request->dc || t->expires_s < c->now_s)
        return sim_fail(c, "AUTH_BYTES_INVALID");
    if (t->id != tl_get_long(q, TLN_id, 0))
        return sim_fail(c, "USER_ID_INVALID");
    if (t->login->dead)
        return sim_fail(c, "AUTH_BYTES_INVALID");
    sim_keys_authorize(c->core->keys, c->perm, t->login);
    c->login = t->login;
    c->me = t->login->account;
    *t = (struct sim_token){ .len = 0 };
    v = tl_obj(c->arena, TLN_auth_authorization);
    tl_set_obj(v, TLN_user, sim_world_user(c->core->world, c->me, c->me->user_id, c->arena));
    return v;
}

/* ---- temporary keys ---- */

static bool bind_ok(struct sim_call *c, const struct tl_value *q, const struct mt_bind *b)
{
    const struct sim_request *r = c->request;

    return b->nonce == (uint64_t)tl_get_long(q, TLN_nonce, 0) && b->msg_id == r->msg_id &&
           !memcmp(b->temp_key_id, r->key_id, 8) && b->temp_session_id == r->session_id &&
           tg_le64(b->perm_key_id) == (uint64_t)tl_get_long(q, TLN_perm_auth_key_id, 0) &&
           b->expires_at == tl_get_int(q, TLN_expires_at, 0);
}

struct tl_value *sim_auth_bind(struct sim_call *c, const struct tl_value *q)
{
    struct sim_core *core = c->core;
    struct tg_str encrypted = tl_get_str(q, TLN_encrypted_message);
    struct sim_key *perm;
    struct mt_bind bind;
    struct tg_error err;
    uint8_t id[8];

    if (!c->key->key.expires_at)
        return sim_fail(c, "TEMP_AUTH_KEY_EMPTY");
    tg_put_le64(id, (uint64_t)tl_get_long(q, TLN_perm_auth_key_id, 0));
    perm = sim_keys_find(core->keys, c->request->dc, id);
    if (!perm || perm->key.expires_at)
        return sim_fail(c, "ENCRYPTED_MESSAGE_INVALID");
    if (tl_get_int(q, TLN_expires_at, 0) <= c->now_s)
        return sim_fail(c, "EXPIRES_AT_INVALID");
    if (mt_bind_open(&perm->key, encrypted.at, encrypted.len, &bind, &err) != TG_OK ||
        !bind_ok(c, q, &bind))
        return sim_fail(c, "ENCRYPTED_MESSAGE_INVALID");
    if (c->key->perm && c->key->perm != perm)
        return sim_fail(c, "TEMP_AUTH_KEY_ALREADY_BOUND");
    /* One permanent key has one temporary key, the newer one, but for those of media DCs. One in
     * use on another connection is known until that is closed: it shows two programs at work. */
    c->key->media = !c->request->use;
    for (struct sim_key *k = sim_keys_first(core->keys); k && c->request->use; k = k->next) {
        if (k != c->key && k->perm == perm && !k->dropped && !k->media &&
            !sim_use_elsewhere(k, c->request->use))
            sim_keys_drop(core->keys, k);
    }
    sim_keys_bind(core->keys, c->key, perm);
    return tl_bool(c->arena, true);
}

struct tl_value *sim_auth_drop_temp(struct sim_call *c, const struct tl_value *q)
{
    const struct tl_value *except = tl_get_vector(q, TLN_except_auth_keys);

    for (struct sim_key *k = sim_keys_first(c->core->keys); k; k = k->next) {
        bool keep = !k->perm || k->perm->login != c->login || k == c->key;

        for (uint32_t i = 0; !keep && i < tl_len(except); i++)
            keep = (uint64_t)tl_item_long(except, i) == tg_le64(k->key.id);
        if (!keep && !k->dropped)
            sim_keys_drop(c->core->keys, k);
    }
    return tl_bool(c->arena, true);
}

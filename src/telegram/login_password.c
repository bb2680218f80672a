/* SPDX-License-Identifier: MIT */
/*
 * login_password.c - two-step verification: proving the password by SRP
 *
 *   account.getPassword -> [ask -> account.getPassword] -> auth.checkPassword -> logged in
 *                                    ^------ wrong, or the challenge is stale ------'
 *
 * A challenge is used once and right away: after a person was asked it is fetched anew.
 * Facts: core.telegram.org/api/srp, /method/auth.checkPassword.
 */
#include <assert.h>

#include "crypto/ct.h"
#include "crypto/srp.h"
#include "telegram/login_impl.h"

enum { REFETCH_MAX = 3 };

static struct tg_part part_of(struct tg_str s)
{
    return (struct tg_part){ s.at, s.len };
}

static void forget(struct tg_login *l)
{
    tg_wipe(l->password, sizeof l->password);
    l->has_password = false;
}

static const char *password_of(const struct tg_login *l)
{
    return l->options.password ? l->options.password : l->has_password ? l->password : NULL;
}

static void on_checked(struct tg_login *l, const struct tgc_reply *reply)
{
    struct tg_arena arena;
    struct tg_error err;

    if (tg_login_is(reply, "PASSWORD_HASH_INVALID") && !l->options.password) {
        tg_login_explain(reply, &err);
        forget(l);
        tg_login_ask(l, TG_LOGIN_PASSWORD, "that was wrong, try again", &err);
        return;
    }
    if ((tg_login_is(reply, "SRP_ID_INVALID") || tg_login_is(reply, "SRP_PASSWORD_CHANGED")) &&
        l->refetches++ < REFETCH_MAX) {
        tg_login_password(l, reply->now_us);
        return;
    }
    if (reply->code != TG_OK) {
        tg_login_refused(l, reply);
        return;
    }
    tg_arena_init(&arena, LOGIN_ARENA_MAX);
    tg_login_authorized(l, tg_reply_value(l->client, reply, &arena, &err), "auth.checkPassword");
    tg_arena_done(&arena);
}

/* Makes the proof. The server's numbers are checked as strictly as those of a handshake. */
static tg_code prove(struct tg_login *l, const struct tl_value *v, struct tg_srp_proof *ret,
                     struct tg_error *err)
{
    const struct tl_value *algo = tl_get_obj(v, TLN_current_algo);
    const char *password = password_of(l);
    uint8_t secret[TG_DH_BYTES];
    struct tg_srp_challenge challenge = {
        .algo = {
            .salt1 = part_of(tl_get_str(algo, TLN_salt1)),
            .salt2 = part_of(tl_get_str(algo, TLN_salt2)),
            .p = part_of(tl_get_str(algo, TLN_p)),
            .g = (uint32_t)tl_get_int(algo, TLN_g, 0),
        },
        .b = part_of(tl_get_str(v, TLN_srp_B)),
        .secret_a = secret,
    };
    tg_code code;

    if (tl_name(algo) != TLN_passwordKdfAlgoSHA256SHA256PBKDF2HMACSHA512iter100000SHA256ModPow) {
        tg_fail(err, TG_UNSUPPORTED, "the account's password uses a method that is not known here");
        return tg_hint(err, "log in with --qr, or update this program");
    }
    tg_random_fill(tgc_random(l->client), secret, sizeof secret);
    code = tg_srp_prove(&challenge, (struct tg_part){ password, strlen(password) }, ret, err);
    tg_wipe(secret, sizeof secret);
    return code;
}

static void check(struct tg_login *l, const struct tl_value *v, int64_t now_us)
{
    struct tgc_request how = { .method = "auth.checkPassword" };
    struct tg_srp_proof proof;
    struct tg_arena arena;
    struct tl_value *q, *srp;
    struct tg_error err;

    if (prove(l, v, &proof, &err) != TG_OK) {
        tg_login_end(l, &err);
        return;
    }
    tg_arena_init(&arena, LOGIN_ARENA_MAX);
    q = tl_obj(&arena, TLN_auth_checkPassword);
    srp = tl_set_new(q, TLN_password, TLN_inputCheckPasswordSRP);
    tl_set_long(srp, TLN_srp_id, tl_get_long(v, TLN_srp_id, 0));
    tl_set_bytes(srp, TLN_A, proof.a, sizeof proof.a);
    tl_set_bytes(srp, TLN_M1, proof.m1, sizeof proof.m1);
    tg_login_call(l, q, &how, on_checked, now_us);
    tg_arena_done(&arena);
    tg_wipe(&proof, sizeof proof);
}

static void ask_password(struct tg_login *l, const struct tl_value *v)
{
    struct tg_str kept = tl_get_str(v, TLN_hint);
    char hint[160] = "two-step verification";
    struct tg_buf text;

    tg_buf_init(&text, sizeof hint - 1);
    tg_buf_room(&text, sizeof hint - 1);
    tg_buf_str(&text, hint);
    if (kept.len) {
        tg_buf_str(&text, ", hint: ");
        for (uint32_t i = 0; i < kept.len && text.len < text.max; i++)
            tg_buf_byte(&text, (uint8_t)kept.at[i] < ' ' ? ' ' : (uint8_t)kept.at[i]);
    }
    memcpy(hint, text.data, text.len);
    hint[text.len] = 0;
    tg_buf_done(&text);
    tg_login_ask(l, TG_LOGIN_PASSWORD, hint, NULL);
}

static void on_challenge(struct tg_login *l, const struct tgc_reply *reply)
{
    const struct tl_value *v = NULL;
    struct tg_arena arena;
    struct tg_error err;

    if (reply->code != TG_OK) {
        tg_login_refused(l, reply);
        return;
    }
    tg_arena_init(&arena, LOGIN_ARENA_MAX);
    v = tg_reply_value(l->client, reply, &arena, &err);
    if (tl_name(v) != TLN_account_password || !tl_get_bool(v, TLN_has_password))
        tg_login_odd(l, "account.getPassword");
    else if (password_of(l))
        check(l, v, reply->now_us);
    else
        ask_password(l, v);
    tg_arena_done(&arena);
}

void tg_login_password(struct tg_login *l, int64_t now_us)
{
    struct tgc_request how = { .method = "account.getPassword" };
    struct tg_arena arena;

    l->deadline_us = INT64_MAX;
    tg_arena_init(&arena, LOGIN_ARENA_MAX);
    tg_login_call(l, tl_obj(&arena, TLN_account_getPassword), &how, on_challenge, now_us);
    tg_arena_done(&arena);
}

void tg_login_password_answer(struct tg_login *l, const char *text, int64_t now_us)
{
    size_t n = strlen(text);
    struct tg_error err;

    if (n == 0 || n >= sizeof l->password) {
        tg_fail(&err, TG_LOGIN, "the two-step verification password is %s",
                n ? "too long" : "empty");
        tg_login_ask(l, TG_LOGIN_PASSWORD, err.message, &err);
        return;
    }
    memcpy(l->password, text, n + 1);
    l->has_password = true;
    tg_login_password(l, now_us);
}

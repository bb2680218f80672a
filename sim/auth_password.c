/* SPDX-License-Identifier: MIT */
/*
 * auth_password.c - the second factor: account.getPassword and auth.checkPassword
 *
 * Salts are drawn when an account's password is first asked about; each getPassword draws a fresh
 * exponent b under a fresh srp_id, and only the last of them counts.
 *
 * Threads: none
 */
#include "sim/auth.h"

#include <string.h>

#include "crypto/srp.h"

enum { SRP_G = 3 };

static struct tg_srp_algo algo_of(const struct sim_password *p)
{
    return (struct tg_srp_algo){ .salt1 = { p->salt1, sizeof p->salt1 },
                                 .salt2 = { p->salt2, sizeof p->salt2 },
                                 .p = { tg_dh_prime, TG_DH_BYTES },
                                 .g = SRP_G };
}

/* @return the account's verifier, made on first use; NULL for want of memory */
static struct sim_password *password_of(struct sim_call *c, const struct sim_account *account)
{
    struct sim_core *core = c->core;
    size_t n = sim_world_accounts(core->world);
    struct sim_password *p;
    struct tg_srp_algo algo;
    struct tg_error err;
    size_t i = 0;

    while (i < n && sim_world_account(core->world, i) != account)
        i++;
    p = &core->password[i];
    if (p->made)
        return p;
    tg_random_fill(&core->random, p->salt1, sizeof p->salt1);
    tg_random_fill(&core->random, p->salt2, sizeof p->salt2);
    algo = algo_of(p);
    if (tg_srp_verifier(&algo, (struct tg_part){ account->password, strlen(account->password) },
                        p->v, &err) != TG_OK)
        return NULL;
    p->made = true;
    return p;
}

static struct tl_value *algo_value(struct sim_call *c, const struct sim_password *p)
{
    struct tl_value *v = tl_obj(
        c->arena, TLN_passwordKdfAlgoSHA256SHA256PBKDF2HMACSHA512iter100000SHA256ModPow);

    tl_set_bytes(v, TLN_salt1, p->salt1, sizeof p->salt1);
    tl_set_bytes(v, TLN_salt2, p->salt2, sizeof p->salt2);
    tl_set_int(v, TLN_g, SRP_G);
    tl_set_bytes(v, TLN_p, tg_dh_prime, TG_DH_BYTES);
    return v;
}

/* What somebody without a password may use to set one: fresh salts that are kept nowhere. */
static struct tl_value *new_algo(struct sim_call *c)
{
    struct sim_password *fresh = tg_arena_alloc(c->arena, 1, sizeof *fresh);

    if (!fresh)
        return NULL;
    tg_random_fill(&c->core->random, fresh->salt1, 8);
    tg_random_fill(&c->core->random, fresh->salt2, sizeof fresh->salt2);
    return algo_value(c, fresh);
}

static bool set_challenge(struct sim_call *c, struct sim_password *p, struct tl_value *v)
{
    struct tg_srp_server server = { .algo = algo_of(p), .v = p->v, .secret_b = c->perm->srp_b };
    uint8_t b[TG_DH_BYTES];
    struct tg_error err;

    c->perm->srp_id = tg_random_u64(&c->core->random) | 1;
    tg_random_fill(&c->core->random, c->perm->srp_b, sizeof c->perm->srp_b);
    if (tg_srp_server_b(&server, b, &err) != TG_OK)
        return false;
    tl_set_true(v, TLN_has_password, true);
    tl_set_obj(v, TLN_current_algo, algo_value(c, p));
    tl_set_copy(v, TLN_srp_B, b, sizeof b);
    tl_set_long(v, TLN_srp_id, (int64_t)c->perm->srp_id);
    tl_set_cstr(v, TLN_hint, "of the simulation");
    return true;
}

struct tl_value *sim_account_get_password(struct sim_call *c, const struct tl_value *q)
{
    const struct sim_account *account = c->me ? c->me : c->perm->pending;
    struct tl_value *v = tl_obj(c->arena, TLN_account_password);
    struct sim_password *p;
    uint8_t random[32];

    (void)q;
    if (!account)
        return sim_fail(c, "AUTH_KEY_UNREGISTERED");
    if (account->password) {
        p = password_of(c, account);
        if (!p || !set_challenge(c, p, v))
            return sim_fail_code(c, 500, "MEMORY_LIMIT");
    }
    tl_set_obj(v, TLN_new_algo, new_algo(c));
    tg_random_fill(&c->core->random, random, sizeof random);
    tl_set_copy(v, TLN_secure_random, random, sizeof random);
    return v;
}

struct tl_value *sim_auth_check_password(struct sim_call *c, const struct tl_value *q)
{
    const struct sim_account *account = c->perm->pending;
    const struct tl_value *given = tl_get_obj(q, TLN_password);
    struct tg_str a = tl_get_str(given, TLN_A);
    struct tg_str m1 = tl_get_str(given, TLN_M1);
    struct sim_password *p;
    struct tg_srp_server server;
    struct tg_error err;
    tg_code code;

    if (!account)
        return sim_fail(c, "AUTH_KEY_UNREGISTERED");
    if (tl_name(given) != TLN_inputCheckPasswordSRP || m1.len != TG_SHA256 || a.len > TG_DH_BYTES)
        return sim_fail(c, "PASSWORD_HASH_INVALID");
    if (!c->perm->srp_id || (uint64_t)tl_get_long(given, TLN_srp_id, 0) != c->perm->srp_id)
        return sim_fail(c, "SRP_ID_INVALID");
    p = password_of(c, account);
    if (!p)
        return sim_fail_code(c, 500, "MEMORY_LIMIT");
    server = (struct tg_srp_server){ .algo = algo_of(p), .v = p->v, .secret_b = c->perm->srp_b };
    code = tg_srp_server_check(&server, (struct tg_part){ a.at, a.len }, (const uint8_t *)m1.at,
                               &err);
    c->perm->srp_id = 0;
    if (code != TG_OK)
        return sim_fail(c, "PASSWORD_HASH_INVALID");
    return sim_auth_finish(c, account);
}

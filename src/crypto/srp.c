/* SPDX-License-Identifier: MIT */
/*
 * srp.c - see srp.h
 */
#include "crypto/srp.h"

#include "crypto/ct.h"
#include "crypto/dh_bn.h"

enum { ITERATIONS = 100000 };

/* What both roles compute with. All numbers have 256 bytes; a, b and s are filled on the way. */
struct work {
    const struct tg_srp_algo *algo;
    struct tg_dh_group group;
    uint8_t g[TG_DH_BYTES], a[TG_DH_BYTES], b[TG_DH_BYTES];
    BIGNUM *p, *bn_g, *k;
    BN_CTX *ctx;
};

static void work_done(struct work *w)
{
    BN_free(w->p);
    BN_free(w->bn_g);
    BN_free(w->k);
    BN_CTX_free(w->ctx);
}

static tg_code no_memory(struct tg_error *err)
{
    return tg_fail(err, TG_NOMEM, "out of memory checking a password");
}

/* `w` must be zeroed; it is to be freed with work_done whatever comes back. */
static tg_code work_init(struct work *w, const struct tg_srp_algo *algo, struct tg_error *err)
{
    uint8_t k[TG_SHA256];
    tg_code code = tg_dh_check(algo->p.at, algo->p.len, algo->g, algo->cache, &w->group, err);

    if (code != TG_OK)
        return code;
    w->algo = algo;
    w->g[TG_DH_BYTES - 1] = (uint8_t)algo->g; /* 2..7, just checked */
    tg_sha256_v(k, (struct tg_part[]){ { w->group.p, TG_DH_BYTES }, { w->g, TG_DH_BYTES } }, 2);
    w->p = BN_bin2bn(w->group.p, TG_DH_BYTES, NULL);
    w->bn_g = BN_bin2bn(w->g, TG_DH_BYTES, NULL);
    w->k = BN_bin2bn(k, sizeof k, NULL);
    w->ctx = BN_CTX_new();
    return w->p && w->bn_g && w->k && w->ctx ? TG_OK : no_memory(err);
}

static void salted(uint8_t out[TG_SHA256], struct tg_part data, struct tg_part salt)
{
    tg_sha256_v(out, (struct tg_part[]){ salt, data, salt }, 3);
}

/* x of the header: the password, made slow to guess. NULL if out of memory. */
static BIGNUM *password_number(const struct tg_srp_algo *algo, struct tg_part password)
{
    uint8_t h[TG_SHA256], slow[TG_SHA512];
    BIGNUM *x;

    salted(h, password, algo->salt1);
    salted(h, (struct tg_part){ h, sizeof h }, algo->salt2);
    tg_pbkdf2_sha512(slow, (struct tg_part){ h, sizeof h }, algo->salt1, ITERATIONS);
    salted(h, (struct tg_part){ slow, sizeof slow }, algo->salt2);
    x = BN_bin2bn(h, sizeof h, NULL);
    tg_wipe(h, sizeof h);
    tg_wipe(slow, sizeof slow);
    return x;
}

/* u = H(A | B); NULL if out of memory */
static BIGNUM *scramble(const struct work *w)
{
    uint8_t u[TG_SHA256];

    tg_sha256_v(u, (struct tg_part[]){ { w->a, TG_DH_BYTES }, { w->b, TG_DH_BYTES } }, 2);
    return BN_bin2bn(u, sizeof u, NULL);
}

/* A peer's A or B as 256 bytes: 0 < value < p. */
static bool read_value(const struct work *w, struct tg_part value, uint8_t out[TG_DH_BYTES])
{
    uint8_t any = 0;

    if (!value.len || value.len > TG_DH_BYTES)
        return false;
    memset(out, 0, TG_DH_BYTES - value.len);
    memcpy(out + TG_DH_BYTES - value.len, value.at, value.len);
    for (int i = 0; i < TG_DH_BYTES; i++)
        any |= out[i];
    return any && memcmp(out, w->group.p, TG_DH_BYTES) < 0;
}

static bool write_value(const BIGNUM *value, uint8_t out[TG_DH_BYTES])
{
    return BN_bn2binpad(value, out, TG_DH_BYTES) == TG_DH_BYTES;
}

/* M1 over a, b and the shared secret S. @return false if out of memory */
static bool m1_of(const struct work *w, const BIGNUM *secret, uint8_t m1[TG_SHA256])
{
    uint8_t hp[TG_SHA256], hg[TG_SHA256], h1[TG_SHA256], h2[TG_SHA256], key[TG_SHA256];
    uint8_t s[TG_DH_BYTES];

    if (!write_value(secret, s))
        return false;
    tg_sha256(hp, w->group.p, TG_DH_BYTES);
    tg_sha256(hg, w->g, TG_DH_BYTES);
    for (int i = 0; i < TG_SHA256; i++)
        hp[i] ^= hg[i];
    tg_sha256_v(h1, &w->algo->salt1, 1);
    tg_sha256_v(h2, &w->algo->salt2, 1);
    tg_sha256(key, s, sizeof s);
    tg_sha256_v(m1,
                (struct tg_part[]){ { hp, sizeof hp },
                                    { h1, sizeof h1 },
                                    { h2, sizeof h2 },
                                    { w->a, sizeof w->a },
                                    { w->b, sizeof w->b },
                                    { key, sizeof key } },
                6);
    tg_wipe(s, sizeof s);
    tg_wipe(key, sizeof key);
    return true;
}

/* ---- client ---- */

/* t = (B - k g^x) mod p. @return false if out of memory */
static bool remove_verifier(const struct work *w, BIGNUM *x, BIGNUM *t)
{
    TG_BN *kv = BN_new();
    TG_BN *b = BN_bin2bn(w->b, TG_DH_BYTES, NULL);

    return kv && b && tg_bn_power(kv, w->bn_g, x, w->p, w->ctx) &&
           BN_mod_mul(kv, kv, w->k, w->p, w->ctx) && BN_mod_sub(t, b, kv, w->p, w->ctx);
}

/* S = t^(a + u x) mod p. @return false if out of memory */
static bool client_secret(const struct work *w, const BIGNUM *t, const BIGNUM *a, const BIGNUM *x,
                          BIGNUM *s)
{
    TG_BN *u = scramble(w);
    TG_BN *e = BN_new();

    return u && e && BN_mul(e, u, x, w->ctx) && BN_add(e, e, a) &&
           tg_bn_power(s, t, e, w->p, w->ctx);
}

static tg_code prove(struct work *w, const struct tg_srp_challenge *c, BIGNUM *x,
                     struct tg_srp_proof *ret, struct tg_error *err)
{
    TG_BN *a = BN_bin2bn(c->secret_a, TG_DH_BYTES, NULL);
    TG_BN *t = BN_new();
    TG_BN *s = BN_new();
    uint8_t g_b[TG_DH_BYTES], m1[TG_SHA256];

    if (!read_value(w, c->b, w->b))
        return tg_fail(err, TG_SECURITY, "the server's srp_B is out of range");
    if (!a || !x || !t || !s || !tg_bn_power(t, w->bn_g, a, w->p, w->ctx) ||
        !write_value(t, w->a) || !remove_verifier(w, x, t) || !write_value(t, g_b))
        return no_memory(err);
    /* if the password is right, t is the g^b that the server drew */
    if (!tg_dh_public_ok(&w->group, g_b, sizeof g_b))
        return tg_fail(err, TG_SECURITY, "the server's srp_B hides a value out of range");
    if (!client_secret(w, t, a, x, s) || !m1_of(w, s, m1))
        return no_memory(err);
    memcpy(ret->a, w->a, sizeof ret->a);
    memcpy(ret->m1, m1, sizeof ret->m1);
    return TG_OK;
}

tg_code tg_srp_prove(const struct tg_srp_challenge *challenge, struct tg_part password,
                     struct tg_srp_proof *ret, struct tg_error *err)
{
    TG_CLEANUP(work_done) struct work w = { 0 };
    TG_BN *x = NULL;
    tg_code code = work_init(&w, &challenge->algo, err);

    if (code != TG_OK)
        return code;
    x = password_number(&challenge->algo, password);
    return prove(&w, challenge, x, ret, err);
}

/* ---- server ---- */

tg_code tg_srp_verifier(const struct tg_srp_algo *algo, struct tg_part password,
                        uint8_t ret_v[TG_DH_BYTES], struct tg_error *err)
{
    TG_CLEANUP(work_done) struct work w = { 0 };
    TG_BN *x = NULL;
    TG_BN *v = BN_new();
    tg_code code = work_init(&w, algo, err);

    if (code != TG_OK)
        return code;
    x = password_number(algo, password);
    if (!x || !v || !tg_bn_power(v, w.bn_g, x, w.p, w.ctx) || !write_value(v, ret_v))
        return no_memory(err);
    return TG_OK;
}

static bool server_b(struct work *w, const struct tg_srp_server *server)
{
    TG_BN *kv = BN_bin2bn(server->v, TG_DH_BYTES, NULL);
    TG_BN *b = BN_bin2bn(server->secret_b, TG_DH_BYTES, NULL);
    TG_BN *sum = BN_new();

    return kv && b && sum && BN_mod_mul(kv, kv, w->k, w->p, w->ctx) &&
           tg_bn_power(sum, w->bn_g, b, w->p, w->ctx) && BN_mod_add(sum, sum, kv, w->p, w->ctx) &&
           write_value(sum, w->b);
}

tg_code tg_srp_server_b(const struct tg_srp_server *server, uint8_t ret_b[TG_DH_BYTES],
                        struct tg_error *err)
{
    TG_CLEANUP(work_done) struct work w = { 0 };
    tg_code code = work_init(&w, &server->algo, err);

    if (code != TG_OK)
        return code;
    if (!server_b(&w, server))
        return no_memory(err);
    memcpy(ret_b, w.b, sizeof w.b);
    return TG_OK;
}

/* S = (A v^u)^b; u is public */
static bool server_secret(const struct work *w, const struct tg_srp_server *server, BIGNUM *s)
{
    TG_BN *u = scramble(w);
    TG_BN *a = BN_bin2bn(w->a, TG_DH_BYTES, NULL);
    TG_BN *b = BN_bin2bn(server->secret_b, TG_DH_BYTES, NULL);
    TG_BN *v = BN_bin2bn(server->v, TG_DH_BYTES, NULL);
    TG_BN *base = BN_new();

    return u && a && b && v && base && BN_mod_exp(base, v, u, w->p, w->ctx) &&
           BN_mod_mul(base, base, a, w->p, w->ctx) && tg_bn_power(s, base, b, w->p, w->ctx);
}

tg_code tg_srp_server_check(const struct tg_srp_server *server, struct tg_part a,
                            const uint8_t m1[TG_SHA256], struct tg_error *err)
{
    TG_CLEANUP(work_done) struct work w = { 0 };
    TG_BN *s = BN_new();
    uint8_t expected[TG_SHA256];
    tg_code code = work_init(&w, &server->algo, err);

    if (code != TG_OK)
        return code;
    if (!read_value(&w, a, w.a))
        return tg_fail(err, TG_SECURITY, "the client's A is out of range");
    if (!s || !server_b(&w, server) || !server_secret(&w, server, s) || !m1_of(&w, s, expected))
        return no_memory(err);
    if (!tg_equal_ct(m1, expected, sizeof expected))
        return tg_fail(err, TG_LOGIN, "wrong password");
    return TG_OK;
}

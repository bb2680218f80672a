/* SPDX-License-Identifier: MIT */
/*
 * dh.c - see dh.h
 *
 * Range checks are done on bytes or on numbers a peer sent, which are public; only the exponent is
 * secret, and it carries the constant-time flag.
 */
#include "crypto/dh.h"

#include "crypto/dh_bn.h"

const uint8_t tg_dh_prime[TG_DH_BYTES] = {
    0xc7, 0x1c, 0xae, 0xb9, 0xc6, 0xb1, 0xc9, 0x04, 0x8e, 0x6c, 0x52, 0x2f, 0x70, 0xf1, 0x3f, 0x73,
    0x98, 0x0d, 0x40, 0x23, 0x8e, 0x3e, 0x21, 0xc1, 0x49, 0x34, 0xd0, 0x37, 0x56, 0x3d, 0x93, 0x0f,
    0x48, 0x19, 0x8a, 0x0a, 0xa7, 0xc1, 0x40, 0x58, 0x22, 0x94, 0x93, 0xd2, 0x25, 0x30, 0xf4, 0xdb,
    0xfa, 0x33, 0x6f, 0x6e, 0x0a, 0xc9, 0x25, 0x13, 0x95, 0x43, 0xae, 0xd4, 0x4c, 0xce, 0x7c, 0x37,
    0x20, 0xfd, 0x51, 0xf6, 0x94, 0x58, 0x70, 0x5a, 0xc6, 0x8c, 0xd4, 0xfe, 0x6b, 0x6b, 0x13, 0xab,
    0xdc, 0x97, 0x46, 0x51, 0x29, 0x69, 0x32, 0x84, 0x54, 0xf1, 0x8f, 0xaf, 0x8c, 0x59, 0x5f, 0x64,
    0x24, 0x77, 0xfe, 0x96, 0xbb, 0x2a, 0x94, 0x1d, 0x5b, 0xcd, 0x1d, 0x4a, 0xc8, 0xcc, 0x49, 0x88,
    0x07, 0x08, 0xfa, 0x9b, 0x37, 0x8e, 0x3c, 0x4f, 0x3a, 0x90, 0x60, 0xbe, 0xe6, 0x7c, 0xf9, 0xa4,
    0xa4, 0xa6, 0x95, 0x81, 0x10, 0x51, 0x90, 0x7e, 0x16, 0x27, 0x53, 0xb5, 0x6b, 0x0f, 0x6b, 0x41,
    0x0d, 0xba, 0x74, 0xd8, 0xa8, 0x4b, 0x2a, 0x14, 0xb3, 0x14, 0x4e, 0x0e, 0xf1, 0x28, 0x47, 0x54,
    0xfd, 0x17, 0xed, 0x95, 0x0d, 0x59, 0x65, 0xb4, 0xb9, 0xdd, 0x46, 0x58, 0x2d, 0xb1, 0x17, 0x8d,
    0x16, 0x9c, 0x6b, 0xc4, 0x65, 0xb0, 0xd6, 0xff, 0x9c, 0xa3, 0x92, 0x8f, 0xef, 0x5b, 0x9a, 0xe4,
    0xe4, 0x18, 0xfc, 0x15, 0xe8, 0x3e, 0xbe, 0xa0, 0xf8, 0x7f, 0xa9, 0xff, 0x5e, 0xed, 0x70, 0x05,
    0x0d, 0xed, 0x28, 0x49, 0xf4, 0x7b, 0xf9, 0x59, 0xd9, 0x56, 0x85, 0x0c, 0xe9, 0x29, 0x85, 0x1f,
    0x0d, 0x81, 0x15, 0xf6, 0x35, 0xb1, 0x05, 0xee, 0x2e, 0x4e, 0x15, 0xd0, 0x4b, 0x24, 0x54, 0xbf,
    0x6f, 0x4f, 0xad, 0xf0, 0x34, 0xb1, 0x04, 0x03, 0x11, 0x9c, 0xd8, 0xe3, 0xb9, 0x2f, 0xcc, 0x5b,
};

/* The rule for g makes it generate the subgroup of order (p-1)/2. */
static bool generator_ok(const BIGNUM *p, uint32_t g)
{
    switch (g) {
    case 2:
        return BN_mod_word(p, 8) == 7;
    case 3:
        return BN_mod_word(p, 3) == 2;
    case 4:
        return true;
    case 5:
        return BN_mod_word(p, 5) == 1 || BN_mod_word(p, 5) == 4;
    case 6:
        return BN_mod_word(p, 24) == 19 || BN_mod_word(p, 24) == 23;
    case 7:
        return BN_mod_word(p, 7) == 3 || BN_mod_word(p, 7) == 5 || BN_mod_word(p, 7) == 6;
    default:
        return false;
    }
}

/* @return 1 if p and (p-1)/2 are prime, 0 if not, -1 if out of memory */
static int is_safe_prime(const BIGNUM *p)
{
    TG_BN_CTX *ctx = BN_CTX_new();
    TG_BN *half = BN_new();
    int half_prime;

    if (!ctx || !half || !BN_rshift1(half, p))
        return -1;
    if (BN_mod_word(p, 4) != 3)
        return 0; /* (p-1)/2 would be even */
    half_prime = BN_check_prime(half, ctx, NULL);
    return half_prime == 1 ? BN_check_prime(p, ctx, NULL) : half_prime;
}

static tg_code check_prime(const uint8_t *bytes, const BIGNUM *p, struct tg_dh_cache *cache,
                           struct tg_error *err)
{
    int verdict;

    if (memcmp(bytes, tg_dh_prime, TG_DH_BYTES) == 0)
        return TG_OK;
    if (cache && cache->filled && memcmp(bytes, cache->p, TG_DH_BYTES) == 0)
        return TG_OK;
    verdict = is_safe_prime(p);
    if (verdict < 0)
        return tg_fail(err, TG_NOMEM, "out of memory testing a prime");
    if (!verdict)
        return tg_fail(err, TG_SECURITY, "the server's prime is not a safe prime");
    if (cache) {
        memcpy(cache->p, bytes, TG_DH_BYTES);
        cache->filled = true;
    }
    return TG_OK;
}

tg_code tg_dh_check(const void *p, size_t p_len, uint32_t g, struct tg_dh_cache *cache,
                    struct tg_dh_group *ret, struct tg_error *err)
{
    const uint8_t *bytes = p;
    TG_BN *bn = NULL;
    tg_code code;

    if (p_len != TG_DH_BYTES || bytes[0] < 0x80)
        return tg_fail(err, TG_SECURITY, "the server's prime does not have 2048 bits");
    bn = BN_bin2bn(bytes, TG_DH_BYTES, NULL);
    if (!bn)
        return tg_fail(err, TG_NOMEM, "out of memory checking a prime");
    if (!generator_ok(bn, g)) /* cheap, so it comes before the primality test */
        return tg_fail(err, TG_SECURITY, "the server's generator %u does not fit its prime", g);
    code = check_prime(bytes, bn, cache, err);
    if (code != TG_OK)
        return code;
    memcpy(ret->p, bytes, TG_DH_BYTES);
    ret->g = g;
    return TG_OK;
}

/* Numbers of any length as 256 bytes; leading zeros may be absent, or there in excess. */
static bool to_fixed(uint8_t out[TG_DH_BYTES], const void *value, size_t len)
{
    const uint8_t *at = value;

    for (; len > TG_DH_BYTES && *at == 0; len--)
        at++;
    if (len > TG_DH_BYTES)
        return false;
    memset(out, 0, TG_DH_BYTES - len);
    if (len)
        memcpy(out + TG_DH_BYTES - len, at, len);
    return true;
}

bool tg_dh_public_ok(const struct tg_dh_group *group, const void *value, size_t len)
{
    enum { EDGE = TG_DH_BYTES - 1984 / 8 - 1 }; /* the byte that holds bit 1984 */
    uint8_t x[TG_DH_BYTES], top[TG_DH_BYTES];
    int borrow = 0;
    bool low_ok = false;

    if (!to_fixed(x, value, len))
        return false;
    for (int i = 0; i <= EDGE; i++)
        low_ok |= x[i] != 0;
    memcpy(top, group->p, sizeof top); /* p - 2^1984: the lower bytes stay */
    for (int i = EDGE; i >= 0; i--) {
        int v = top[i] - (i == EDGE) - borrow;

        borrow = v < 0;
        top[i] = (uint8_t)v;
    }
    return low_ok && memcmp(x, top, sizeof x) <= 0;
}

bool tg_bn_power(BIGNUM *ret, const BIGNUM *base, BIGNUM *secret, const BIGNUM *p, BN_CTX *ctx)
{
    BN_set_flags(secret, BN_FLG_CONSTTIME);
    return BN_mod_exp(ret, base, secret, p, ctx);
}

static bool power_padded(const struct tg_dh_group *group, BIGNUM *base,
                         const uint8_t secret[TG_DH_BYTES], uint8_t out[TG_DH_BYTES])
{
    TG_BN_CTX *ctx = BN_CTX_new();
    TG_BN *p = BN_bin2bn(group->p, TG_DH_BYTES, NULL);
    TG_BN *x = BN_bin2bn(secret, TG_DH_BYTES, NULL);
    TG_BN *y = BN_new();

    return ctx && p && x && y && base && tg_bn_power(y, base, x, p, ctx) &&
           BN_bn2binpad(y, out, TG_DH_BYTES) == TG_DH_BYTES;
}

tg_code tg_dh_public(const struct tg_dh_group *group, const uint8_t secret[TG_DH_BYTES],
                     uint8_t ret[TG_DH_BYTES], struct tg_error *err)
{
    uint8_t value[TG_DH_BYTES];
    TG_BN *g = BN_new();

    if (!g || !BN_set_word(g, group->g) || !power_padded(group, g, secret, value))
        return tg_fail(err, TG_NOMEM, "out of memory computing a public value");
    if (!tg_dh_public_ok(group, value, sizeof value))
        return TG_AGAIN;
    memcpy(ret, value, sizeof value);
    return TG_OK;
}

tg_code tg_dh_shared(const struct tg_dh_group *group, struct tg_dh_peer peer,
                     const uint8_t secret[TG_DH_BYTES], uint8_t ret[TG_DH_BYTES],
                     struct tg_error *err)
{
    uint8_t fixed[TG_DH_BYTES];
    TG_BN *base = NULL;

    if (!tg_dh_public_ok(group, peer.value, peer.len))
        return tg_fail(err, TG_SECURITY, "the peer's public value is out of range");
    to_fixed(fixed, peer.value, peer.len);
    base = BN_bin2bn(fixed, sizeof fixed, NULL);
    if (!power_padded(group, base, secret, ret))
        return tg_fail(err, TG_NOMEM, "out of memory computing a shared key");
    return TG_OK;
}

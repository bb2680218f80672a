/* SPDX-License-Identifier: MIT */
/*
 * rsa_key.c - RSA keys: PEM in and out, fingerprint, generation; see rsa.h
 *
 * libcrypto leaves the reasons of a failure in a queue of the thread, where a TLS library on the
 * same thread would take them for its own: every call that a wrong input can fail removes them.
 */
#include <assert.h>
#include <stdlib.h>

#include <openssl/core_names.h>
#include <openssl/decoder.h>
#include <openssl/encoder.h>
#include <openssl/err.h>
#include <openssl/param_build.h>
#include <openssl/rsa.h>

#include "crypto/ct.h"
#include "crypto/evp.h"
#include "crypto/hash.h"
#include "crypto/rsa_key.h"

enum { HALF = TG_RSA_BYTES / 2, E = 65537, DRAWS_MAX = 100000, KEYS_MAX = 64 };

struct tg_rsa_private {
    EVP_PKEY *pkey;
    struct tg_rsa_key pub;
};

static void pkey_freep(EVP_PKEY **k)
{
    EVP_PKEY_free(*k);
}

static void pkey_ctx_freep(EVP_PKEY_CTX **c)
{
    EVP_PKEY_CTX_free(*c);
}

static void decoder_freep(OSSL_DECODER_CTX **c)
{
    OSSL_DECODER_CTX_free(*c);
}

static void encoder_freep(OSSL_ENCODER_CTX **c)
{
    OSSL_ENCODER_CTX_free(*c);
}

static void bld_freep(OSSL_PARAM_BLD **b)
{
    OSSL_PARAM_BLD_free(*b);
}

static void params_freep(OSSL_PARAM **p)
{
    for (OSSL_PARAM *i = *p; i && i->key; i++)
        tg_wipe(i->data, i->data_size); /* may be a private key; libcrypto frees without wiping */
    OSSL_PARAM_free(*p);
}

/* ---- public keys ---- */

static uint64_t fingerprint(const struct tg_rsa_key *k)
{
    static const uint8_t head[4] = { 0xfe, TG_RSA_BYTES & 0xff, TG_RSA_BYTES >> 8, 0 };
    uint8_t e[8] = { 0 }, h[TG_SHA1]; /* TL string: length, bytes, zeros to a multiple of 4 */
    size_t e_len = 0;

    for (int shift = 24; shift >= 0; shift -= 8) {
        if (e_len || k->e >> shift)
            e[++e_len] = (uint8_t)(k->e >> shift);
    }
    e[0] = (uint8_t)e_len;
    tg_sha1_v(h,
              (struct tg_part[]){
                  { head, sizeof head }, { k->n, TG_RSA_BYTES }, { e, e_len < 4 ? 4 : 8 } },
              3);
    return tg_le64(h + 12);
}

bool tg_rsa_key_set(struct tg_rsa_key *ret, const void *n, size_t n_len, uint32_t e)
{
    const uint8_t *b = n;

    if (n_len != TG_RSA_BYTES || b[0] < 0x80 || b[TG_RSA_BYTES - 1] % 2 == 0 || e < 3 || e % 2 == 0)
        return false;
    memmove(ret->n, n, TG_RSA_BYTES);
    ret->e = e;
    ret->fingerprint = fingerprint(ret);
    return true;
}

/* A sealed PEM would otherwise make libcrypto ask at the terminal. */
static int no_password(char *buf, int size, int writing, void *ctx)
{
    (void)buf, (void)size, (void)writing, (void)ctx;
    return -1;
}

/* @return the first RSA key in the text, or NULL */
static EVP_PKEY *decode(const char *pem, size_t len, int selection)
{
    EVP_PKEY *k = NULL;
    const unsigned char *at = (const unsigned char *)pem;

    ERR_set_mark();
    {
        TG_CLEANUP(decoder_freep)
        OSSL_DECODER_CTX *c =
            OSSL_DECODER_CTX_new_for_pkey(&k, "PEM", NULL, "RSA", selection, NULL, NULL);

        if (!c || !OSSL_DECODER_CTX_set_pem_password_cb(c, no_password, NULL) ||
            !OSSL_DECODER_from_data(c, &at, &len)) {
            EVP_PKEY_free(k);
            k = NULL;
        }
    }
    ERR_pop_to_mark();
    return k;
}

/* @return false if it is not a key that the handshake can use */
static bool public_of(const EVP_PKEY *k, struct tg_rsa_key *ret)
{
    TG_BN *n = NULL;
    TG_BN *e = NULL;
    uint8_t bytes[TG_RSA_BYTES];

    return EVP_PKEY_get_bn_param(k, OSSL_PKEY_PARAM_RSA_N, &n) &&
           EVP_PKEY_get_bn_param(k, OSSL_PKEY_PARAM_RSA_E, &e) && BN_num_bits(e) <= 32 &&
           BN_num_bits(n) == TG_RSA_BYTES * 8 &&
           BN_bn2binpad(n, bytes, sizeof bytes) == TG_RSA_BYTES &&
           tg_rsa_key_set(ret, bytes, sizeof bytes, (uint32_t)BN_get_word(e));
}

tg_code tg_rsa_key_parse(const char *pem, size_t len, struct tg_rsa_key *ret, struct tg_error *err)
{
    TG_CLEANUP(pkey_freep) EVP_PKEY *k = decode(pem, len, EVP_PKEY_PUBLIC_KEY);

    if (!k)
        return tg_fail(err, TG_DATA, "no RSA public key in the PEM text");
    if (!public_of(k, ret))
        return tg_fail(err, TG_DATA, "the public key is not an RSA key of 2048 bits");
    return TG_OK;
}

static bool encode(const EVP_PKEY *k, int selection, const char *structure, struct tg_buf *out)
{
    TG_CLEANUP(encoder_freep)
    OSSL_ENCODER_CTX *c = OSSL_ENCODER_CTX_new_for_pkey(k, selection, "PEM", structure, NULL);
    unsigned char *text = NULL;
    size_t len = 0;

    if (!c || !OSSL_ENCODER_to_data(c, &text, &len))
        return false;
    tg_buf_add(out, text, len);
    OPENSSL_clear_free(text, len);
    return !out->failed;
}

struct number {
    const char *name;
    const BIGNUM *value;
};

/* Makes a key of named numbers. @return NULL if out of memory or they do not make a key */
static EVP_PKEY *assemble(const struct number *number, size_t n, int selection)
{
    TG_CLEANUP(bld_freep) OSSL_PARAM_BLD *b = OSSL_PARAM_BLD_new();
    TG_CLEANUP(params_freep) OSSL_PARAM *params = NULL;
    TG_CLEANUP(pkey_ctx_freep) EVP_PKEY_CTX *c = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
    EVP_PKEY *k = NULL;

    if (!b || !c)
        return NULL;
    for (size_t i = 0; i < n; i++) {
        if (!OSSL_PARAM_BLD_push_BN(b, number[i].name, number[i].value))
            return NULL;
    }
    params = OSSL_PARAM_BLD_to_param(b);
    if (!params || EVP_PKEY_fromdata_init(c) != 1 ||
        EVP_PKEY_fromdata(c, &k, selection, params) != 1)
        return NULL;
    return k;
}

bool tg_rsa_key_write(const struct tg_rsa_key *key, enum tg_rsa_form form, struct tg_buf *out)
{
    TG_BN *n = BN_bin2bn(key->n, TG_RSA_BYTES, NULL);
    TG_BN *e = BN_new();
    TG_CLEANUP(pkey_freep) EVP_PKEY *k = NULL;

    if (!n || !e || !BN_set_word(e, key->e))
        return false;
    k = assemble((struct number[]){ { OSSL_PKEY_PARAM_RSA_N, n }, { OSSL_PKEY_PARAM_RSA_E, e } }, 2,
                 EVP_PKEY_PUBLIC_KEY);
    return k && encode(k, EVP_PKEY_PUBLIC_KEY,
                       form == TG_RSA_PKCS1 ? "type-specific" : "SubjectPublicKeyInfo", out);
}

/* ---- private keys ---- */

void tg_rsa_private_free(struct tg_rsa_private *k)
{
    if (!k)
        return;
    EVP_PKEY_free(k->pkey); /* wipes the secret numbers */
    free(k);
}

const struct tg_rsa_key *tg_rsa_private_public(const struct tg_rsa_private *k)
{
    return &k->pub;
}

/* Takes pkey over, also on failure. */
static struct tg_rsa_private *private_of(EVP_PKEY *pkey, const struct tg_rsa_key *pub)
{
    struct tg_rsa_private *k = pkey ? calloc(1, sizeof *k) : NULL;

    if (!k) {
        EVP_PKEY_free(pkey);
        return NULL;
    }
    k->pkey = pkey;
    k->pub = *pub;
    return k;
}

/* A random prime of 1024 bits, the top two set, so that two of them make 2048. */
static bool draw_prime(const struct tg_random *random, BIGNUM *ret, BN_CTX *ctx)
{
    uint8_t b[HALF];
    bool found = false;

    for (int i = 0; !found && i < DRAWS_MAX; i++) {
        tg_random_fill(random, b, sizeof b);
        b[0] |= 0xc0;
        b[HALF - 1] |= 1;
        if (!BN_bin2bn(b, sizeof b, ret))
            break;
        found = BN_mod_word(ret, E) != 1 && BN_check_prime(ret, ctx, NULL) == 1;
    }
    tg_wipe(b, sizeof b);
    return found;
}

/* The numbers of a private key, in libcrypto's order. */
enum { N, EXP, D, P, Q, DP, DQ, QINV, N_NUMBERS };

struct numbers {
    BIGNUM *at[N_NUMBERS];
};

static void numbers_done(struct numbers *n)
{
    for (int i = 0; i < N_NUMBERS; i++)
        BN_clear_free(n->at[i]);
}

/* @return whether n = p q has a fingerprint fit for all clients; false also if out of memory */
static bool public_numbers(struct numbers *v, BN_CTX *ctx, struct tg_rsa_key *ret)
{
    uint8_t n[TG_RSA_BYTES];

    return BN_set_word(v->at[EXP], E) && BN_mul(v->at[N], v->at[P], v->at[Q], ctx) &&
           BN_bn2binpad(v->at[N], n, sizeof n) == TG_RSA_BYTES &&
           tg_rsa_key_set(ret, n, sizeof n, E) && ret->fingerprint >> 60 != 0;
}

static bool private_numbers(struct numbers *v, BN_CTX *ctx)
{
    BIGNUM **at = v->at;
    TG_BN *p1 = BN_dup(at[P]);
    TG_BN *q1 = BN_dup(at[Q]);
    TG_BN *phi = BN_new();

    if (!p1 || !q1 || !phi || !BN_sub_word(p1, 1) || !BN_sub_word(q1, 1))
        return false;
    BN_set_flags(p1, BN_FLG_CONSTTIME);
    BN_set_flags(q1, BN_FLG_CONSTTIME);
    BN_set_flags(phi, BN_FLG_CONSTTIME);
    BN_set_flags(at[P], BN_FLG_CONSTTIME);
    return BN_mul(phi, p1, q1, ctx) && BN_mod_inverse(at[D], at[EXP], phi, ctx) &&
           BN_mod(at[DP], at[D], p1, ctx) && BN_mod(at[DQ], at[D], q1, ctx) &&
           BN_mod_inverse(at[QINV], at[Q], at[P], ctx);
}

static EVP_PKEY *assemble_private(const struct numbers *v)
{
    static const char *const name[N_NUMBERS] = {
        [N] = OSSL_PKEY_PARAM_RSA_N,          [EXP] = OSSL_PKEY_PARAM_RSA_E,
        [D] = OSSL_PKEY_PARAM_RSA_D,          [P] = OSSL_PKEY_PARAM_RSA_FACTOR1,
        [Q] = OSSL_PKEY_PARAM_RSA_FACTOR2,    [DP] = OSSL_PKEY_PARAM_RSA_EXPONENT1,
        [DQ] = OSSL_PKEY_PARAM_RSA_EXPONENT2, [QINV] = OSSL_PKEY_PARAM_RSA_COEFFICIENT1,
    };
    struct number number[N_NUMBERS];

    for (int i = 0; i < N_NUMBERS; i++)
        number[i] = (struct number){ name[i], v->at[i] };
    return assemble(number, N_NUMBERS, EVP_PKEY_KEYPAIR);
}

struct tg_rsa_private *tg_rsa_private_generate(const struct tg_random *random)
{
    TG_CLEANUP(numbers_done) struct numbers v = { 0 };
    TG_BN_CTX *ctx = BN_CTX_new();
    struct tg_rsa_key pub;
    bool ok = ctx != NULL, fit = false;

    for (int i = 0; i < N_NUMBERS; i++)
        ok = (v.at[i] = BN_new()) && ok;
    ok = ok && draw_prime(random, v.at[P], ctx);
    for (int i = 0; ok && !fit && i < KEYS_MAX; i++) {
        ok = draw_prime(random, v.at[Q], ctx);
        fit = ok && BN_cmp(v.at[P], v.at[Q]) != 0 && public_numbers(&v, ctx, &pub);
    }
    if (!ok || !fit || !private_numbers(&v, ctx))
        return NULL;
    return private_of(assemble_private(&v), &pub);
}

tg_code tg_rsa_private_parse(const char *pem, size_t len, struct tg_rsa_private **ret,
                             struct tg_error *err)
{
    TG_CLEANUP(pkey_freep) EVP_PKEY *pkey = decode(pem, len, EVP_PKEY_KEYPAIR);
    TG_BN *d = NULL;
    struct tg_rsa_key pub;
    struct tg_rsa_private *k;

    if (!pkey || !EVP_PKEY_get_bn_param(pkey, OSSL_PKEY_PARAM_RSA_D, &d))
        return tg_fail(err, TG_DATA, "no RSA private key in the PEM text");
    if (!public_of(pkey, &pub))
        return tg_fail(err, TG_DATA, "the private key is not an RSA key of 2048 bits");
    k = private_of(pkey, &pub);
    pkey = NULL;
    if (!k)
        return tg_fail(err, TG_NOMEM, "out of memory reading a private key");
    *ret = k;
    return TG_OK;
}

bool tg_rsa_private_write(const struct tg_rsa_private *k, struct tg_buf *out)
{
    return encode(k->pkey, EVP_PKEY_KEYPAIR, "PrivateKeyInfo", out);
}

bool tg_rsa_private_power(const struct tg_rsa_private *k, const uint8_t c[TG_RSA_BYTES],
                          uint8_t ret[TG_RSA_BYTES])
{
    TG_CLEANUP(pkey_ctx_freep) EVP_PKEY_CTX *x = EVP_PKEY_CTX_new_from_pkey(NULL, k->pkey, NULL);
    size_t len = TG_RSA_BYTES;
    bool ok;

    ERR_set_mark();
    ok = x && EVP_PKEY_decrypt_init(x) == 1 &&
         EVP_PKEY_CTX_set_rsa_padding(x, RSA_NO_PADDING) == 1 &&
         EVP_PKEY_decrypt(x, ret, &len, c, TG_RSA_BYTES) == 1 && len == TG_RSA_BYTES;
    ERR_pop_to_mark();
    return ok;
}

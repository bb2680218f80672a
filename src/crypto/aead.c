/* SPDX-License-Identifier: MIT */
/*
 * aead.c - see aead.h
 */
#include "crypto/aead.h"

#include <assert.h>

#include <openssl/err.h>
#include <openssl/evp.h>

#include "crypto/ct.h"
#include "crypto/evp.h"

/* N=2^14, r=8, p=5: about the work of N=2^16 with p=1, in a quarter of its memory (16 MiB) */
enum { LOG2_N = 14, R = 8, P = 5, R_MAX = 32, P_MAX = 16, MEMORY_MAX = 256 << 20 };
enum { AT_PARAMS = 8, AT_SALT = 12, AT_CHECK = 28, AT_NONCE = 44, NONCE = 12 };
enum { PLAIN_MAX = 1 << 30 };

static const uint8_t magic[AT_PARAMS] = { 'T', 'G', 'S', 'E', 'A', 'L', 1, 0 };

static void cipher_ctx_freep(EVP_CIPHER_CTX **c)
{
    EVP_CIPHER_CTX_free(*c);
}

/* Fills key and check from the passphrase and the salt and parameters in k. */
static bool derive(struct tg_part passphrase, struct tg_seal_key *k, uint8_t ret_check[16])
{
    uint8_t out[48];
    bool ok = EVP_PBE_scrypt(passphrase.len ? passphrase.at : "", passphrase.len, k->salt,
                             sizeof k->salt, UINT64_C(1) << k->log2_n, k->r, k->p,
                             (uint64_t)MEMORY_MAX + (8 << 20), out, sizeof out) == 1;

    if (ok) {
        memcpy(k->key, out, 32);
        memcpy(ret_check, out + 32, 16);
    }
    tg_wipe(out, sizeof out);
    return ok;
}

tg_code tg_seal_key_new(struct tg_part passphrase, const struct tg_random *random,
                        struct tg_seal_key *ret, struct tg_error *err)
{
    struct tg_seal_key k = { .log2_n = LOG2_N, .r = R, .p = P };

    tg_random_fill(random, k.salt, sizeof k.salt);
    if (!derive(passphrase, &k, k.check))
        return tg_fail(err, TG_NOMEM, "out of memory deriving a key from the passphrase");
    *ret = k;
    tg_wipe(&k, sizeof k);
    return TG_OK;
}

void tg_seal_key_wipe(struct tg_seal_key *k)
{
    tg_wipe(k, sizeof *k);
}

bool tg_is_sealed(const void *data, size_t len)
{
    return len >= sizeof magic && memcmp(data, magic, sizeof magic - 2) == 0;
}

/* Encrypts `in` to `out`, the tag behind it; or decrypts `in`, which the tag follows. */
static bool gcm(const struct tg_seal_key *k, const uint8_t head[TG_SEAL_HEAD], struct tg_part in,
                uint8_t *out, bool encrypt)
{
    TG_CLEANUP(cipher_ctx_freep) EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
    uint8_t tag[TG_SEAL_TAG];
    int n, end;

    if (!encrypt)
        memcpy(tag, (const uint8_t *)in.at + in.len, sizeof tag);
    if (!c ||
        !EVP_CipherInit_ex2(c, tg_evp_cipher(TG_EVP_AES_GCM), k->key, head + AT_NONCE, encrypt,
                            NULL) ||
        !EVP_CipherUpdate(c, NULL, &n, head, TG_SEAL_HEAD) ||
        (in.len && (!EVP_CipherUpdate(c, out, &n, in.at, (int)in.len) || n != (int)in.len)) ||
        (!encrypt && !EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_SET_TAG, sizeof tag, tag)) ||
        !EVP_CipherFinal_ex(c, out + in.len, &end))
        return false;
    return !encrypt || EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_GET_TAG, sizeof tag, out + in.len) == 1;
}

tg_code tg_seal(const struct tg_seal_key *key, struct tg_part plain, const struct tg_random *random,
                struct tg_buf *out, struct tg_error *err)
{
    uint8_t *at;

    if (plain.len > PLAIN_MAX)
        return tg_fail(err, TG_LIMIT, "too much to seal in one file");
    at = tg_buf_extend(out, plain.len + TG_SEAL_OVERHEAD);
    if (!at)
        return tg_fail(err, TG_LIMIT, "no room for the sealed file");
    memcpy(at, magic, sizeof magic);
    memcpy(at + AT_PARAMS, (uint8_t[]){ key->log2_n, key->r, key->p, 0 }, 4);
    memcpy(at + AT_SALT, key->salt, sizeof key->salt);
    memcpy(at + AT_CHECK, key->check, sizeof key->check);
    tg_random_fill(random, at + AT_NONCE, NONCE);
    if (!gcm(key, at, plain, at + TG_SEAL_HEAD, true)) {
        out->len -= plain.len + TG_SEAL_OVERHEAD;
        return tg_fail(err, TG_NOMEM, "out of memory sealing a file");
    }
    return TG_OK;
}

/* Reads the head. The parameters are bounded, as they come from a file. */
static tg_code read_head(struct tg_part sealed, struct tg_seal_key *ret, struct tg_error *err)
{
    const uint8_t *h = sealed.at;
    uint64_t memory;

    if (sealed.len < TG_SEAL_OVERHEAD || !tg_is_sealed(h, sealed.len))
        return tg_fail(err, TG_CORRUPT, "not a sealed file");
    if (memcmp(h, magic, sizeof magic) != 0)
        return tg_fail(err, TG_CORRUPT, "sealed by another version (%u)", h[6]);
    *ret = (struct tg_seal_key){ .log2_n = h[8], .r = h[9], .p = h[10] };
    memory = ret->log2_n > 30 ? UINT64_MAX : (UINT64_C(128) << ret->log2_n) * ret->r;
    if (ret->log2_n < 1 || ret->r < 1 || ret->r > R_MAX || ret->p < 1 || ret->p > P_MAX ||
        memory > MEMORY_MAX || h[11])
        return tg_fail(err, TG_CORRUPT, "the head of the sealed file is damaged");
    if (sealed.len - TG_SEAL_OVERHEAD > PLAIN_MAX)
        return tg_fail(err, TG_LIMIT, "the sealed file is too large");
    memcpy(ret->salt, h + AT_SALT, sizeof ret->salt);
    memcpy(ret->check, h + AT_CHECK, sizeof ret->check);
    return TG_OK;
}

static tg_code open_with(const struct tg_seal_key *k, struct tg_part sealed, struct tg_buf *out,
                         struct tg_error *err)
{
    const uint8_t *h = sealed.at;
    const size_t len = sealed.len - TG_SEAL_OVERHEAD;
    uint8_t *plain = tg_buf_extend(out, len + TG_SEAL_TAG);
    bool ok;

    if (!plain)
        return tg_fail(err, TG_LIMIT, "no room for the opened file");
    out->len -= TG_SEAL_TAG; /* asked for so that an empty file has an address too */
    ERR_set_mark();
    ok = gcm(k, h, (struct tg_part){ h + TG_SEAL_HEAD, len }, plain, false);
    ERR_pop_to_mark();
    if (!ok) {
        tg_wipe(plain, len);
        out->len -= len;
        return tg_fail(err, TG_CORRUPT, "the sealed file is damaged");
    }
    return TG_OK;
}

tg_code tg_seal_open(struct tg_part passphrase, struct tg_part sealed, struct tg_buf *out,
                     struct tg_seal_key *ret_key, struct tg_error *err)
{
    TG_CLEANUP(tg_seal_key_wipe) struct tg_seal_key k = { 0 };
    uint8_t check[16];
    tg_code code = read_head(sealed, &k, err);

    if (code != TG_OK)
        return code;
    if (!derive(passphrase, &k, check))
        return tg_fail(err, TG_NOMEM, "out of memory deriving a key from the passphrase");
    if (!tg_equal_ct(check, k.check, sizeof check))
        return tg_fail(err, TG_AUTH, "wrong passphrase");
    code = open_with(&k, sealed, out, err);
    if (code == TG_OK && ret_key)
        *ret_key = k;
    return code;
}

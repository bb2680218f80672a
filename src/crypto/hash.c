/* SPDX-License-Identifier: MIT */
/*
 * hash.c - see hash.h
 */
#include "crypto/hash.h"

#include <assert.h>

#include <openssl/evp.h>

#include "crypto/ct.h"
#include "crypto/evp.h"

static void md_ctx_freep(EVP_MD_CTX **c)
{
    EVP_MD_CTX_free(*c);
}

static void digest_many(enum tg_evp_md id, const struct tg_hash_job *job, size_t n)
{
    TG_CLEANUP(md_ctx_freep) EVP_MD_CTX *c = EVP_MD_CTX_new();
    const EVP_MD *md = tg_evp_md(id);
    bool ok = c != NULL;

    for (size_t i = 0; ok && i < n; i++) {
        /* without an algorithm the state of the last digest is reused */
        ok = EVP_DigestInit_ex2(c, i ? NULL : md, NULL);
        for (size_t k = 0; ok && k < job[i].n; k++)
            ok = EVP_DigestUpdate(c, job[i].parts[k].at, job[i].parts[k].len);
        ok = ok && EVP_DigestFinal_ex(c, job[i].out, NULL);
    }
    tg_evp_must(ok);
}

static void digest(enum tg_evp_md id, uint8_t *out, const struct tg_part *parts, size_t n)
{
    digest_many(id, &(struct tg_hash_job){ out, parts, n }, 1);
}

void tg_sha1_v(uint8_t out[TG_SHA1], const struct tg_part *parts, size_t n)
{
    digest(TG_EVP_SHA1, out, parts, n);
}

void tg_sha1(uint8_t out[TG_SHA1], const void *data, size_t len)
{
    tg_sha1_v(out, &(struct tg_part){ data, len }, 1);
}

void tg_sha256_v(uint8_t out[TG_SHA256], const struct tg_part *parts, size_t n)
{
    digest(TG_EVP_SHA256, out, parts, n);
}

void tg_sha256(uint8_t out[TG_SHA256], const void *data, size_t len)
{
    tg_sha256_v(out, &(struct tg_part){ data, len }, 1);
}

void tg_sha512_v(uint8_t out[TG_SHA512], const struct tg_part *parts, size_t n)
{
    digest(TG_EVP_SHA512, out, parts, n);
}

void tg_sha512(uint8_t out[TG_SHA512], const void *data, size_t len)
{
    tg_sha512_v(out, &(struct tg_part){ data, len }, 1);
}

void tg_sha1_many(const struct tg_hash_job *job, size_t n)
{
    digest_many(TG_EVP_SHA1, job, n);
}

void tg_sha256_many(const struct tg_hash_job *job, size_t n)
{
    digest_many(TG_EVP_SHA256, job, n);
}

/* ---- streaming ---- */

bool tg_sha256_init(struct tg_sha256_ctx *c)
{
    EVP_MD_CTX *evp = EVP_MD_CTX_new();

    if (!evp || !EVP_DigestInit_ex2(evp, tg_evp_md(TG_EVP_SHA256), NULL)) {
        EVP_MD_CTX_free(evp);
        return false;
    }
    c->evp = evp;
    return true;
}

void tg_sha256_add(struct tg_sha256_ctx *c, const void *data, size_t len)
{
    assert(c->evp);
    tg_evp_must(EVP_DigestUpdate(c->evp, data, len));
}

void tg_sha256_take(struct tg_sha256_ctx *c, uint8_t out[TG_SHA256])
{
    assert(c->evp);
    tg_evp_must(EVP_DigestFinal_ex(c->evp, out, NULL) && EVP_DigestInit_ex2(c->evp, NULL, NULL));
}

void tg_sha256_done(struct tg_sha256_ctx *c)
{
    EVP_MD_CTX_free(c->evp);
    c->evp = NULL;
}

/* ---- HMAC (RFC 2104), over the digests above ---- */

enum { HMAC_BLOCK_MAX = 128 };

static void hmac(enum tg_evp_md id, uint8_t *out, struct tg_part key, const struct tg_part *parts,
                 size_t n)
{
    const size_t size = id == TG_EVP_SHA512 ? TG_SHA512 : TG_SHA256;
    const size_t block = id == TG_EVP_SHA512 ? 128 : 64;
    uint8_t inner[HMAC_BLOCK_MAX] = { 0 }, outer[HMAC_BLOCK_MAX], sum[TG_SHA512];
    struct tg_part all[1 + TG_HMAC_PARTS] = { { inner, block } };

    assert(n <= TG_HMAC_PARTS);
    memcpy(all + 1, parts, n * sizeof *parts);
    if (key.len > block)
        digest(id, inner, &key, 1);
    else if (key.len)
        memcpy(inner, key.at, key.len);
    for (size_t i = 0; i < block; i++) {
        outer[i] = inner[i] ^ 0x5c;
        inner[i] ^= 0x36;
    }
    digest(id, sum, all, 1 + n);
    digest(id, out, (struct tg_part[]){ { outer, block }, { sum, size } }, 2);
    tg_wipe(inner, sizeof inner);
    tg_wipe(outer, sizeof outer);
    tg_wipe(sum, sizeof sum);
}

void tg_hmac_sha256(uint8_t out[TG_SHA256], struct tg_part key, const void *data, size_t len)
{
    tg_hmac_sha256_v(out, key, &(struct tg_part){ data, len }, 1);
}

void tg_hmac_sha256_v(uint8_t out[TG_SHA256], struct tg_part key, const struct tg_part *parts,
                      size_t n)
{
    hmac(TG_EVP_SHA256, out, key, parts, n);
}

void tg_hmac_sha512(uint8_t out[TG_SHA512], struct tg_part key, const void *data, size_t len)
{
    hmac(TG_EVP_SHA512, out, key, &(struct tg_part){ data, len }, 1);
}

void tg_pbkdf2_sha512(uint8_t out[TG_SHA512], struct tg_part password, struct tg_part salt,
                      uint32_t iterations)
{
    assert(iterations > 0 && iterations <= INT32_MAX);
    assert(password.len <= INT32_MAX && salt.len <= INT32_MAX);
    tg_evp_must(PKCS5_PBKDF2_HMAC(password.len ? password.at : "", (int)password.len, salt.at,
                                  (int)salt.len, (int)iterations, tg_evp_md(TG_EVP_SHA512),
                                  TG_SHA512, out));
}

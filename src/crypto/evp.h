/* SPDX-License-Identifier: MIT */
/*
 * evp.h - libcrypto's algorithms, looked up once; inside src/crypto only
 *
 * A lookup by name costs more than hashing a short message, so each algorithm is fetched on first
 * use and kept until the process ends. The table is only ever filled: a slot goes from NULL to its
 * final value, whichever thread comes first.
 *
 * Threads: any
 */
#ifndef TG_EVP_H
#define TG_EVP_H

#include <openssl/bn.h>
#include <openssl/evp.h>

#include "base/base.h"

enum tg_evp_md { TG_EVP_SHA1, TG_EVP_SHA256, TG_EVP_SHA512, TG_EVP_MD_COUNT };
enum tg_evp_cipher { TG_EVP_AES_ECB, TG_EVP_AES_CTR, TG_EVP_AES_GCM, TG_EVP_CIPHER_COUNT };

/** @return the digest; stops the process if libcrypto has none */
const EVP_MD *tg_evp_md(enum tg_evp_md id);

/** @return the AES-256 cipher; stops the process if libcrypto has none */
const EVP_CIPHER *tg_evp_cipher(enum tg_evp_cipher id);

/**
 * Stops the process unless ok: for calls that fail only when a few hundred bytes of memory are
 * missing, in functions whose result nobody could do without.
 */
void tg_evp_must(bool ok);

static inline void tg_bn_clear_freep(BIGNUM **b)
{
    BN_clear_free(*b);
}

static inline void tg_bn_ctx_freep(BN_CTX **c)
{
    BN_CTX_free(*c);
}

#define TG_BN TG_CLEANUP(tg_bn_clear_freep) BIGNUM
#define TG_BN_CTX TG_CLEANUP(tg_bn_ctx_freep) BN_CTX

#endif

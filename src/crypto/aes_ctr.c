/* SPDX-License-Identifier: MIT */
/*
 * aes_ctr.c - AES-256-CTR as a running stream; see aes.h
 */
#include <assert.h>

#include <openssl/evp.h>

#include "crypto/aes.h"
#include "crypto/evp.h"

bool tg_aes_ctr_init(struct tg_aes_ctr *c, const uint8_t key[TG_AES_KEY],
                     const uint8_t iv[TG_AES_BLOCK])
{
    EVP_CIPHER_CTX *evp = EVP_CIPHER_CTX_new();

    if (!evp || !EVP_EncryptInit_ex2(evp, tg_evp_cipher(TG_EVP_AES_CTR), key, iv, NULL)) {
        EVP_CIPHER_CTX_free(evp);
        return false;
    }
    c->evp = evp;
    return true;
}

void tg_aes_ctr_xor(struct tg_aes_ctr *c, void *out, const void *in, size_t len)
{
    const uint8_t *from = in;
    uint8_t *to = out;

    assert(c->evp);
    while (len) {
        int some = (int)TG_MIN(len, (size_t)1 << 30), n; /* libcrypto counts in int */

        tg_evp_must(EVP_EncryptUpdate(c->evp, to, &n, from, some) && n == some);
        from += some;
        to += some;
        len -= (size_t)some;
    }
}

void tg_aes_ctr_done(struct tg_aes_ctr *c)
{
    EVP_CIPHER_CTX_free(c->evp); /* wipes */
    c->evp = NULL;
}

void tg_aes_ctr_cdn_iv(uint8_t ret[TG_AES_BLOCK], const uint8_t iv[TG_AES_BLOCK], uint64_t offset)
{
    uint32_t block = (uint32_t)(offset / TG_AES_BLOCK);

    memmove(ret, iv, TG_AES_BLOCK - 4);
    for (int i = 0; i < 4; i++)
        ret[12 + i] = (uint8_t)(block >> (24 - 8 * i));
}

/* SPDX-License-Identifier: MIT */
/*
 * aes_ige.c - which IGE implementation runs; see aes.h
 */
#include "crypto/aes_ige.h"

#include <assert.h>

/* Asked per call: the answer is one load and a test, cheaper than any shared state is worth. */
static const struct tg_aes_ige_impl *pick(void)
{
    return tg_aes_ige_ni.available() ? &tg_aes_ige_ni : &tg_aes_ige_evp;
}

void tg_aes_ige_encrypt(void *out, const void *in, size_t len, const uint8_t key[TG_AES_KEY],
                        const uint8_t iv[TG_AES_IGE_IV])
{
    assert(len % TG_AES_BLOCK == 0);
    if (len)
        pick()->encrypt(&(struct tg_aes_ige_job){ out, in, len, key, iv });
}

void tg_aes_ige_decrypt(void *out, const void *in, size_t len, const uint8_t key[TG_AES_KEY],
                        const uint8_t iv[TG_AES_IGE_IV])
{
    assert(len % TG_AES_BLOCK == 0);
    if (len)
        pick()->decrypt(&(struct tg_aes_ige_job){ out, in, len, key, iv });
}

void tg_aes_ige_decrypt_many(const struct tg_aes_ige_job *job, size_t n)
{
    for (size_t i = 0; i < n; i++)
        assert(job[i].len % TG_AES_BLOCK == 0);
    pick()->decrypt_many(job, n);
}

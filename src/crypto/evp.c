/* SPDX-License-Identifier: MIT */
/*
 * evp.c - see evp.h
 */
#include "crypto/evp.h"

#include <stdatomic.h>
#include <stdlib.h>

void tg_evp_must(bool ok)
{
    if (!ok)
        abort();
}

const EVP_MD *tg_evp_md(enum tg_evp_md id)
{
    static const char *const name[TG_EVP_MD_COUNT] = { "SHA1", "SHA256", "SHA512" };
    static _Atomic(EVP_MD *) slot[TG_EVP_MD_COUNT];
    EVP_MD *md = atomic_load_explicit(&slot[id], memory_order_acquire);

    if (!md) {
        EVP_MD *fetched = EVP_MD_fetch(NULL, name[id], NULL);

        tg_evp_must(fetched);
        if (atomic_compare_exchange_strong(&slot[id], &md, fetched))
            md = fetched;
        else
            EVP_MD_free(fetched); /* another thread was first; md is its value */
    }
    return md;
}

const EVP_CIPHER *tg_evp_cipher(enum tg_evp_cipher id)
{
    static const char *const name[TG_EVP_CIPHER_COUNT] = { "AES-256-ECB", "AES-256-CTR",
                                                           "AES-256-GCM" };
    static _Atomic(EVP_CIPHER *) slot[TG_EVP_CIPHER_COUNT];
    EVP_CIPHER *cipher = atomic_load_explicit(&slot[id], memory_order_acquire);

    if (!cipher) {
        EVP_CIPHER *fetched = EVP_CIPHER_fetch(NULL, name[id], NULL);

        tg_evp_must(fetched);
        if (atomic_compare_exchange_strong(&slot[id], &cipher, fetched))
            cipher = fetched;
        else
            EVP_CIPHER_free(fetched);
    }
    return cipher;
}

/* SPDX-License-Identifier: MIT */
/*
 * aes_ige.h - the two implementations behind aes.h; for its dispatch and for tests
 *
 * Threads: none: pure
 */
#ifndef TG_AES_IGE_H
#define TG_AES_IGE_H

#include "crypto/aes.h"

/** One way to compute IGE. Lengths are multiples of 16; `out` is `in` or does not overlap it. */
struct tg_aes_ige_impl {
    const char *name;
    bool (*available)(void); /* may this processor run it */
    void (*encrypt)(const struct tg_aes_ige_job *job);
    void (*decrypt)(const struct tg_aes_ige_job *job);
    void (*decrypt_many)(const struct tg_aes_ige_job *job, size_t n);
};

extern const struct tg_aes_ige_impl tg_aes_ige_ni;  /* AES instructions of x86 */
extern const struct tg_aes_ige_impl tg_aes_ige_evp; /* libcrypto's AES-256-ECB, everywhere */

#endif

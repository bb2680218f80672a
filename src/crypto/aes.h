/* SPDX-License-Identifier: MIT */
/*
 * aes.h - AES-256 in the two modes that Telegram uses: IGE for packets, CTR for streams
 *
 *   IGE   iv = c[-1] (16) | p[-1] (16)
 *         c[i] = E(p[i] ^ c[i-1]) ^ p[i-1]      p[i] = D(c[i] ^ p[i-1]) ^ c[i-1]
 *
 * libcrypto 3 no longer offers IGE. Ours runs on the AES instructions of x86 where the processor
 * has them (chosen at run time) and else over libcrypto's AES-256-ECB; both give the same bytes.
 * Each block needs the one before it, both ways, so one packet is bound by the latency of AES;
 * several packets at once hide it: tg_aes_ige_decrypt_many.
 *
 * Neither mode authenticates: callers check msg_key or a hash.
 *
 * Threads: none: pure; a struct tg_aes_ctr belongs to one thread at a time
 */
#ifndef TG_AES_H
#define TG_AES_H

#include "base/base.h"

enum { TG_AES_BLOCK = 16, TG_AES_KEY = 32, TG_AES_IGE_IV = 32 };

/** Key and iv as one key derivation yields them. Wipe after use. */
struct tg_aes_ige_key {
    uint8_t key[TG_AES_KEY];
    uint8_t iv[TG_AES_IGE_IV];
};

/**
 * Encrypts len bytes.
 *
 * @param out  len bytes; may be `in`, must not overlap it otherwise
 * @param len  a multiple of 16, asserted: callers check what a peer sent; 0 does nothing
 * @param iv   read only: to go on with a second piece, pass its last ciphertext and plaintext block
 */
void tg_aes_ige_encrypt(void *out, const void *in, size_t len, const uint8_t key[TG_AES_KEY],
                        const uint8_t iv[TG_AES_IGE_IV]);

/** As tg_aes_ige_encrypt, the other way. */
void tg_aes_ige_decrypt(void *out, const void *in, size_t len, const uint8_t key[TG_AES_KEY],
                        const uint8_t iv[TG_AES_IGE_IV]);

/** One of several independent decryptions; all pointers borrowed for the call. */
struct tg_aes_ige_job {
    void *out; /* may be `in` */
    const void *in;
    size_t len;         /* a multiple of 16 */
    const uint8_t *key; /* TG_AES_KEY bytes */
    const uint8_t *iv;  /* TG_AES_IGE_IV bytes, not changed */
};

/**
 * Decrypts n independent jobs, up to four side by side: about three times as fast as one after the
 * other where the lengths are alike. Outputs must not overlap those of other jobs.
 */
void tg_aes_ige_decrypt_many(const struct tg_aes_ige_job *job, size_t n);

/** A running AES-256-CTR key stream. The counter goes on across calls of any length. */
struct tg_aes_ctr {
    void *evp;
};

/**
 * @param iv  first counter block, big endian
 * @return false if out of memory; c then needs no _done
 */
bool tg_aes_ctr_init(struct tg_aes_ctr *c, const uint8_t key[TG_AES_KEY],
                     const uint8_t iv[TG_AES_BLOCK]) TG_MUST_CHECK;

/** Encrypts or decrypts, which is the same. `out` may be `in`, must not overlap it otherwise. */
void tg_aes_ctr_xor(struct tg_aes_ctr *c, void *out, const void *in, size_t len);

/** Wipes and frees. Safe on a zeroed struct, and twice. */
void tg_aes_ctr_done(struct tg_aes_ctr *c);

/**
 * The counter block at an offset of a CDN file: the last four bytes of iv become offset / 16, big
 * endian. Fact: core.telegram.org/cdn.
 */
void tg_aes_ctr_cdn_iv(uint8_t ret[TG_AES_BLOCK], const uint8_t iv[TG_AES_BLOCK], uint64_t offset);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * aead.h - a file sealed with a passphrase: scrypt, then AES-256-GCM
 *
 *   "TGSEAL" 01 00 | log2 N, r, p, 00 | salt 16 | check 16 | nonce 12 | ciphertext | tag 16
 *   '------------------------ 56 bytes, authenticated -----------'
 *
 * scrypt gives 48 bytes: the AES key and `check`, by which a wrong passphrase is told apart from
 * damage. Deriving is slow and takes 16 MiB, so a program derives once (tg_seal_key_new or
 * tg_seal_open) and seals with the same key, each time with a fresh nonce.
 *
 * Threads: none: pure
 * Limits:  opening refuses parameters that would need more than 256 MiB; 1 GiB of plaintext
 */
#ifndef TG_AEAD_H
#define TG_AEAD_H

#include "base/buf.h"
#include "crypto/hash.h"
#include "crypto/random.h"

enum { TG_SEAL_HEAD = 56, TG_SEAL_TAG = 16, TG_SEAL_OVERHEAD = TG_SEAL_HEAD + TG_SEAL_TAG };

/** A derived key with what its files must repeat. Wipe with tg_seal_key_wipe. */
struct tg_seal_key {
    uint8_t key[32];
    uint8_t check[16];
    uint8_t salt[16];
    uint8_t log2_n, r, p;
};

/** Derives a key from a passphrase and a new salt. @return TG_NOMEM */
tg_code tg_seal_key_new(struct tg_part passphrase, const struct tg_random *random,
                        struct tg_seal_key *ret, struct tg_error *err) TG_MUST_CHECK;
void tg_seal_key_wipe(struct tg_seal_key *k);

/** @return whether the bytes begin as a sealed file does */
bool tg_is_sealed(const void *data, size_t len);

/**
 * Appends the sealed form of plain.
 * @return TG_NOMEM; TG_LIMIT if out is full or plain too long. out may hold a part of it then.
 */
tg_code tg_seal(const struct tg_seal_key *key, struct tg_part plain, const struct tg_random *random,
                struct tg_buf *out, struct tg_error *err) TG_MUST_CHECK;

/**
 * Checks and appends the plaintext to out; nothing is appended on failure.
 *
 * @param ret_key  the key, to seal again with; may be NULL
 * @return TG_AUTH: wrong passphrase; TG_CORRUPT: not sealed, or damaged; TG_LIMIT; TG_NOMEM
 */
tg_code tg_seal_open(struct tg_part passphrase, struct tg_part sealed, struct tg_buf *out,
                     struct tg_seal_key *ret_key, struct tg_error *err) TG_MUST_CHECK;

#endif

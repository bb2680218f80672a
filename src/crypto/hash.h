/* SPDX-License-Identifier: MIT */
/*
 * hash.h - SHA-1, SHA-2, HMAC and PBKDF2
 *
 * `_v` variants hash the concatenation of several parts without copying them together. The digests
 * come from libcrypto, looked up once per process. They cannot fail for any input; should libcrypto
 * be unable to allocate its few hundred bytes of state, the process stops, since a wrong digest
 * would be taken for an attack or, worse, for a match.
 *
 * Threads: none: pure; a struct tg_sha256_ctx belongs to one thread at a time
 */
#ifndef TG_HASH_H
#define TG_HASH_H

#include "base/base.h"

enum { TG_SHA1 = 20, TG_SHA256 = 32, TG_SHA512 = 64 };

/** Bytes that someone else owns: one part of what is hashed, or a secret with its length. */
struct tg_part {
    const void *at;
    size_t len;
};

void tg_sha1(uint8_t out[TG_SHA1], const void *data, size_t len);
void tg_sha1_v(uint8_t out[TG_SHA1], const struct tg_part *parts, size_t n);

void tg_sha256(uint8_t out[TG_SHA256], const void *data, size_t len);
void tg_sha256_v(uint8_t out[TG_SHA256], const struct tg_part *parts, size_t n);

void tg_sha512(uint8_t out[TG_SHA512], const void *data, size_t len);
void tg_sha512_v(uint8_t out[TG_SHA512], const struct tg_part *parts, size_t n);

/** Several digests with one state: cheaper than one call each where the messages are short. */
struct tg_hash_job {
    uint8_t *out; /* TG_SHA1 or TG_SHA256 bytes */
    const struct tg_part *parts;
    size_t n;
};
void tg_sha1_many(const struct tg_hash_job *job, size_t n);
void tg_sha256_many(const struct tg_hash_job *job, size_t n);

/** SHA-256 of what arrives piece by piece, such as a file. */
struct tg_sha256_ctx {
    void *evp;
};

/** @return false if out of memory; c then needs no _done */
bool tg_sha256_init(struct tg_sha256_ctx *c) TG_MUST_CHECK;
void tg_sha256_add(struct tg_sha256_ctx *c, const void *data, size_t len);

/** Gives the digest of all bytes added since the start, and starts anew. */
void tg_sha256_take(struct tg_sha256_ctx *c, uint8_t out[TG_SHA256]);

/** Frees. Safe on a zeroed struct, and twice. */
void tg_sha256_done(struct tg_sha256_ctx *c);

void tg_hmac_sha256(uint8_t out[TG_SHA256], struct tg_part key, const void *data, size_t len);
enum { TG_HMAC_PARTS = 3 }; /* at most */
void tg_hmac_sha256_v(uint8_t out[TG_SHA256], struct tg_part key, const struct tg_part *parts,
                      size_t n);
void tg_hmac_sha512(uint8_t out[TG_SHA512], struct tg_part key, const void *data, size_t len);

/**
 * PBKDF2 with HMAC-SHA-512, one block of 64 bytes. Slow by design: 100 000 iterations take about a
 * tenth of a second.
 */
void tg_pbkdf2_sha512(uint8_t out[TG_SHA512], struct tg_part password, struct tg_part salt,
                      uint32_t iterations);

#endif

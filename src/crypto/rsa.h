/* SPDX-License-Identifier: MIT */
/*
 * rsa.h - the RSA step of the handshake, for both roles
 *
 *   RSA_PAD   d = data | random to 192; k = temp_key 32; a = IGE(reverse(d) | SHA256(k | d), key k)
 *             m = (k ^ SHA256(a)) 32 | a 224; again with another k while m >= n; c = m^e mod n
 *   legacy    m = 00 | SHA1(data) 20 | data | random to 256; c = m^e mod n
 *
 * The client only writes RSA_PAD; the server reads both. Keys have 2048 bits and nothing else.
 * Facts: core.telegram.org/mtproto/auth_key.
 *
 * Threads: none: pure; a private key may be used by several threads at once
 */
#ifndef TG_RSA_H
#define TG_RSA_H

#include "base/buf.h"
#include "crypto/random.h"

enum {
    TG_RSA_BYTES = 256,
    TG_RSA_PAD_DATA_MAX = 144,
    TG_RSA_PAD_PLAIN = 192,    /* data and its random tail */
    TG_RSA_LEGACY_PLAIN = 235, /* at most */
};

/** A public key. A plain value: copy it freely. */
struct tg_rsa_key {
    uint8_t n[TG_RSA_BYTES]; /* big endian, top bit set */
    uint32_t e;              /* odd, at least 3 */
    uint64_t fingerprint;    /* low 64 bits of SHA-1 of the TL strings n and e */
};

/**
 * Fills a key from its numbers, with fingerprint.
 * @return false if n is not 256 bytes with the top bit set, n or e is even, or e below 3
 */
bool tg_rsa_key_set(struct tg_rsa_key *ret, const void *n, size_t n_len, uint32_t e);

/**
 * Reads the first public key of a PEM text, "BEGIN RSA PUBLIC KEY" (PKCS#1) or "BEGIN PUBLIC KEY".
 * @return TG_DATA if there is none, or it is not an RSA key of 2048 bits
 */
tg_code tg_rsa_key_parse(const char *pem, size_t len, struct tg_rsa_key *ret,
                         struct tg_error *err) TG_MUST_CHECK;

enum tg_rsa_form { TG_RSA_PKCS1, TG_RSA_SPKI };

/** Appends the PEM text. @return false if out of memory or out is full */
bool tg_rsa_key_write(const struct tg_rsa_key *key, enum tg_rsa_form form, struct tg_buf *out);

/**
 * RSA_PAD. @param data  at most TG_RSA_PAD_DATA_MAX bytes, asserted
 * @return false if out of memory or the random source yields only keys that do not fit
 */
bool tg_rsa_pad_encrypt(const struct tg_rsa_key *key, const void *data, size_t len,
                        const struct tg_random *random, uint8_t ret[TG_RSA_BYTES]) TG_MUST_CHECK;

/** The legacy form, as old clients write it. @param data  at most 235 bytes, asserted */
bool tg_rsa_legacy_encrypt(const struct tg_rsa_key *key, const void *data, size_t len,
                           const struct tg_random *random, uint8_t ret[TG_RSA_BYTES]) TG_MUST_CHECK;

/* ---- server ---- */

struct tg_rsa_private;

/**
 * Makes a key from the given randomness, so that a seed gives the same key again; e is 65537. The
 * top hex digit of its fingerprint is not 0: some clients compare it without leading zeros.
 * Takes a few tenths of a second.
 * @return NULL if out of memory, or if the source yields no primes
 */
struct tg_rsa_private *tg_rsa_private_generate(const struct tg_random *random);
void tg_rsa_private_free(struct tg_rsa_private *k); /* wipes; NULL is fine */

/** @return the public half; lives as long as k */
const struct tg_rsa_key *tg_rsa_private_public(const struct tg_rsa_private *k);

/** Reads a private key from PEM (PKCS#1 or PKCS#8, not encrypted). @return TG_DATA; TG_NOMEM */
tg_code tg_rsa_private_parse(const char *pem, size_t len, struct tg_rsa_private **ret,
                             struct tg_error *err) TG_MUST_CHECK;

/** Appends PEM (PKCS#8). Wipe the buffer. @return false if out of memory or out is full */
bool tg_rsa_private_write(const struct tg_rsa_private *k, struct tg_buf *out);

enum tg_rsa_flavour { TG_RSA_FLAVOUR_PAD, TG_RSA_FLAVOUR_LEGACY };

/** What a client sent. */
struct tg_rsa_plain {
    enum tg_rsa_flavour flavour;
    size_t len; /* PAD: 192, a random tail included; LEGACY: exactly the bytes that were hashed */
    uint8_t data[TG_RSA_LEGACY_PLAIN];
};

/**
 * Decrypts and decides the flavour: RSA_PAD if its SHA-256 matches, legacy if the SHA-1 in front
 * matches some prefix whose length is a multiple of 4 (TL objects are), else refused.
 *
 * @param len  must be 256, else refused
 * @return false for anything that is neither; ret is then unchanged
 */
bool tg_rsa_decrypt(const struct tg_rsa_private *k, const void *cipher, size_t len,
                    struct tg_rsa_plain *ret) TG_MUST_CHECK;

TG_DEFINE_FREEP(struct tg_rsa_private, tg_rsa_private_free)

#endif

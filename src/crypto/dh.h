/* SPDX-License-Identifier: MIT */
/*
 * dh.h - Diffie-Hellman over a 2048-bit safe prime, with every check that Telegram demands
 *
 *   p     2^2047 < p < 2^2048; p and (p-1)/2 prime
 *   g     2 if p%8==7; 3 if p%3==2; 4; 5 if p%5 is 1 or 4; 6 if p%24 is 19 or 23;
 *         7 if p%7 is 3, 5 or 6
 *   g^x   2^1984 <= g^x <= p - 2^1984, which holds 1 < g^x < p-1
 *
 * Telegram's own prime is known to be safe and is accepted by comparison; any other is tested,
 * which takes about a third of a second, and remembered in a cache that the caller owns.
 * Numbers are big endian. Secret exponents go through constant-time exponentiation.
 * Facts: core.telegram.org/mtproto/auth_key, /security_guidelines.
 *
 * Threads: none: pure; a cache belongs to one thread at a time
 */
#ifndef TG_DH_H
#define TG_DH_H

#include "base/base.h"

enum { TG_DH_BYTES = 256 };

/** Telegram's own prime; the generators 3, 4 and 7 go with it. */
extern const uint8_t tg_dh_prime[TG_DH_BYTES];

/** The last prime that passed the slow test. Zeroed is empty. */
struct tg_dh_cache {
    bool filled;
    uint8_t p[TG_DH_BYTES];
};

/** A group that tg_dh_check accepted. */
struct tg_dh_group {
    uint8_t p[TG_DH_BYTES];
    uint32_t g;
};

/**
 * Checks a peer's prime and generator.
 *
 * @param p      as sent; anything but 256 bytes is refused
 * @param cache  read and filled; NULL tests an unknown prime each time
 * @param ret    written on TG_OK
 * @return TG_SECURITY if a rule is broken; TG_NOMEM
 */
tg_code tg_dh_check(const void *p, size_t p_len, uint32_t g, struct tg_dh_cache *cache,
                    struct tg_dh_group *ret, struct tg_error *err) TG_MUST_CHECK;

/** @return whether a public value (at most 256 bytes, leading zeros may be absent) is in range */
bool tg_dh_public_ok(const struct tg_dh_group *group, const void *value, size_t len);

/**
 * g^secret mod p, padded to 256 bytes.
 * @return TG_AGAIN if the result is out of range (draw another secret); TG_NOMEM
 */
tg_code tg_dh_public(const struct tg_dh_group *group, const uint8_t secret[TG_DH_BYTES],
                     uint8_t ret[TG_DH_BYTES], struct tg_error *err) TG_MUST_CHECK;

/** A peer's public value as it came; borrowed. */
struct tg_dh_peer {
    const void *value;
    size_t len; /* may be below 256: some clients strip leading zeros */
};

/**
 * peer^secret mod p, padded to 256 bytes: the authorization key.
 * @return TG_SECURITY if the peer's value is out of range; TG_NOMEM
 */
tg_code tg_dh_shared(const struct tg_dh_group *group, struct tg_dh_peer peer,
                     const uint8_t secret[TG_DH_BYTES], uint8_t ret[TG_DH_BYTES],
                     struct tg_error *err) TG_MUST_CHECK;

#endif

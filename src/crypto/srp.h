/* SPDX-License-Identifier: MIT */
/*
 * srp.h - proving the 2FA password without sending it; both roles
 *
 *   SH(d, s) = H(s | d | s)     x = SH(PBKDF2-SHA512(SH(SH(pw, salt1), salt2), salt1, 100000),
 * salt2) v = g^x   k = H(p | g)      A = g^a     B = k v + g^b     u = H(A | B) client  S = (B - k
 * v)^(a + u x)         server  S = (A v^u)^b M1 = H( (H(p) ^ H(g)) | H(salt1) | H(salt2) | A | B |
 * H(S) )      H = SHA-256
 *
 * All numbers are big endian and padded to 256 bytes before hashing. p and g are checked as in the
 * handshake (dh.h). Fact: core.telegram.org/api/srp.
 *
 * Threads: none: pure. A proof takes about 0.15 s.
 */
#ifndef TG_SRP_H
#define TG_SRP_H

#include "crypto/dh.h"
#include "crypto/hash.h"

/** passwordKdfAlgoSHA256SHA256PBKDF2HMACSHA512iter100000SHA256ModPow; everything borrowed. */
struct tg_srp_algo {
    struct tg_part salt1, salt2;
    struct tg_part p;
    uint32_t g;
    struct tg_dh_cache *cache; /* may be NULL; see tg_dh_check */
};

/** What inputCheckPasswordSRP carries. */
struct tg_srp_proof {
    uint8_t a[TG_DH_BYTES]; /* A */
    uint8_t m1[TG_SHA256];
};

/** One login attempt, seen from the client. */
struct tg_srp_challenge {
    struct tg_srp_algo algo;
    struct tg_part b;        /* srp_B as sent */
    const uint8_t *secret_a; /* TG_DH_BYTES random bytes, used once */
};

/**
 * Client: answers a challenge.
 * @return TG_SECURITY if the server's p, g or B breaks a rule; TG_NOMEM
 */
tg_code tg_srp_prove(const struct tg_srp_challenge *challenge, struct tg_part password,
                     struct tg_srp_proof *ret, struct tg_error *err) TG_MUST_CHECK;

/* ---- server ---- */

/** v = g^x, what the server stores instead of the password. @return as tg_srp_prove */
tg_code tg_srp_verifier(const struct tg_srp_algo *algo, struct tg_part password,
                        uint8_t ret_v[TG_DH_BYTES], struct tg_error *err) TG_MUST_CHECK;

/** One login attempt, seen from the server. */
struct tg_srp_server {
    struct tg_srp_algo algo;
    const uint8_t *v;        /* TG_DH_BYTES: the verifier */
    const uint8_t *secret_b; /* TG_DH_BYTES random bytes, used once */
};

/** B = k v + g^b mod p, to be sent. @return as tg_srp_prove */
tg_code tg_srp_server_b(const struct tg_srp_server *server, uint8_t ret_b[TG_DH_BYTES],
                        struct tg_error *err) TG_MUST_CHECK;

/**
 * Checks a client's answer.
 * @param a  as sent; at most 256 bytes
 * @return TG_LOGIN if the password was another; TG_SECURITY if A breaks a rule; TG_NOMEM
 */
tg_code tg_srp_server_check(const struct tg_srp_server *server, struct tg_part a,
                            const uint8_t m1[TG_SHA256], struct tg_error *err) TG_MUST_CHECK;

#endif

/* SPDX-License-Identifier: MIT */
/*
 * handshake_wire.h - what both roles of the handshake share: constructor ids, the temporary AES key
 *                    that protects the Diffie-Hellman step, and its SHA1-guarded payload
 *
 *   sealed payload   IGE( SHA1(object) 20 | object | 0..15 bytes of padding )
 *
 * Threads: none: pure functions      Limits: MT_SEALED_MAX
 */
#ifndef MT_HANDSHAKE_WIRE_H
#define MT_HANDSHAKE_WIRE_H

#include "mtproto/handshake.h"
#include "tl/put.h"
#include "tl/reader.h"

#define MT_ID_REQ_PQ UINT32_C(0x60469778)
#define MT_ID_REQ_PQ_MULTI UINT32_C(0xbe7e8ef1)
#define MT_ID_RES_PQ UINT32_C(0x05162463)
#define MT_ID_INNER UINT32_C(0x83c95aec)
#define MT_ID_INNER_TEMP UINT32_C(0x3c6a84d4)
#define MT_ID_INNER_DC UINT32_C(0xa9f55f95)
#define MT_ID_INNER_TEMP_DC UINT32_C(0x56fddf88)
#define MT_ID_REQ_DH UINT32_C(0xd712e4be)
#define MT_ID_DH_OK UINT32_C(0xd0e8075c)
#define MT_ID_DH_FAIL UINT32_C(0x79cb045d)
#define MT_ID_DH_INNER UINT32_C(0xb5890dba)
#define MT_ID_SET_DH UINT32_C(0xf5045f1f)
#define MT_ID_CLIENT_INNER UINT32_C(0x6643b654)
#define MT_ID_GEN_OK UINT32_C(0x3bcbf734)
#define MT_ID_GEN_RETRY UINT32_C(0x46dc1fb9)
#define MT_ID_GEN_FAIL UINT32_C(0xa69dae02)
#define MT_ID_VECTOR UINT32_C(0x1cb5c415)

enum {
    MT_NUMBER = 256,        /* bytes of an RSA or Diffie-Hellman number */
    MT_SEALED_MAX = 1024,   /* the largest real one is 592 bytes */
    MT_BODY_MAX = 4 * 1024, /* of any handshake message */
    MT_PQ_MAX = 8,
};

/** The nonces of one handshake. */
struct mt_nonces {
    uint8_t client[16], server[16];
    uint8_t secret[32]; /* new_nonce: sent under RSA, known to both ends only */
};

/** Reads a nonce and a server_nonce. @return whether both are ours (r may be bad) */
bool mt_wire_nonces_match(struct tl_reader *r, const struct mt_nonces *n);

/** Appends a constructor id, the nonce and the server nonce. */
void mt_wire_head(struct tg_buf *out, uint32_t id, const struct mt_nonces *n);

/** Seals an object and appends it as a TL string. */
void mt_wire_seal(const struct mt_nonces *n, const struct tg_buf *object,
                  const struct tg_random *random, struct tg_buf *out);

/**
 * Decrypts a sealed payload.
 * @param ret  as large as the payload; the object stands at ret + 20
 * @return false if the length cannot be right
 */
bool mt_wire_unseal(const struct mt_nonces *n, const uint8_t *sealed, size_t len, uint8_t *ret);

/** @return whether the SHA1 in front is that of the object's `used` bytes, the rest padding */
bool mt_wire_sealed_ok(const uint8_t *plain, size_t len, size_t used);

/** Writes v as the shortest big endian bytes. @return their number, 1..8 */
size_t mt_wire_number(uint64_t v, uint8_t ret[8]);

/** Reads 1..8 big endian bytes. @return 0 for any other length, or for a value above 2^63-1 */
uint64_t mt_wire_number_of(const void *bytes, size_t n);

#endif

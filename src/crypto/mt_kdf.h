/* SPDX-License-Identifier: MIT */
/*
 * mt_kdf.h - the hashes of MTProto: which bytes of which key become which key
 *
 *   msg_key_large = SHA256(auth_key[88+x, 32] | plaintext with padding); msg_key = its [8, 24)
 *   a = SHA256(msg_key | auth_key[x, 36])   b = SHA256(auth_key[40+x, 36] | msg_key)
 *   key = a[0,8) b[8,24) a[24,32)           iv = b[0,8) a[8,24) b[24,32)
 *
 * x is 0 for packets of the client, 8 for those of the server.
 * Facts: core.telegram.org/mtproto/description, /description_v1, /auth_key.
 *
 * Threads: none: pure
 */
#ifndef TG_MT_KDF_H
#define TG_MT_KDF_H

#include "crypto/aes.h"
#include "crypto/hash.h"

enum {
    TG_MT_AUTH_KEY = 256,
    TG_MT_MSG_KEY = 16,
    TG_MT_X_CLIENT = 0, /* written by the client */
    TG_MT_X_SERVER = 8,
};

/**
 * MTProto 2.0: msg_key_large of a plaintext, padding included.
 * @param ret  msg_key is ret[8..24); ret[0..4) with the top bit set is the quick-ack token
 */
void tg_mt_msg_key_large(const uint8_t auth_key[TG_MT_AUTH_KEY], int x, const void *plain,
                         size_t len, uint8_t ret[TG_SHA256]);

/** MTProto 2.0: key and iv of one packet. */
void tg_mt_kdf(const uint8_t auth_key[TG_MT_AUTH_KEY], int x, const uint8_t msg_key[TG_MT_MSG_KEY],
               struct tg_aes_ige_key *ret);

/** MTProto 1.0, for auth.bindTempAuthKey: msg_key of a plaintext without its padding. */
void tg_mt1_msg_key(const void *plain, size_t len, uint8_t ret[TG_MT_MSG_KEY]);

/** MTProto 1.0, client to server: key and iv. */
void tg_mt1_kdf(const uint8_t auth_key[TG_MT_AUTH_KEY], const uint8_t msg_key[TG_MT_MSG_KEY],
                struct tg_aes_ige_key *ret);

/** Handshake: key and iv for server_DH_inner_data and client_DH_inner_data. */
void tg_mt_tmp_key(const uint8_t new_nonce[32], const uint8_t server_nonce[16],
                   struct tg_aes_ige_key *ret);

/** auth_key_id (as on the wire) and auth_key_aux_hash: the last and first 8 bytes of SHA1(key). */
void tg_mt_auth_key_id(const uint8_t auth_key[TG_MT_AUTH_KEY], uint8_t ret_id[8],
                       uint8_t ret_aux_hash[8]);

/** new_nonce_hash1, 2 or 3 of dh_gen_ok, _retry or _fail. */
void tg_mt_new_nonce_hash(const uint8_t new_nonce[32], uint8_t number, const uint8_t aux_hash[8],
                          uint8_t ret[16]);

/** The first server salt, as on the wire. */
void tg_mt_first_salt(const uint8_t new_nonce[32], const uint8_t server_nonce[16], uint8_t ret[8]);

#endif

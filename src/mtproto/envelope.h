/* SPDX-License-Identifier: MIT */
/*
 * envelope.h - one packet: plain, or encrypted with an authorization key (MTProto 2.0)
 *
 *   plain      0 (8) | msg_id (8) | length (4) | body
 *   encrypted  auth_key_id (8) | msg_key (16) | IGE( salt 8 | session 8 | msg_id 8 | seq_no 4 |
 *                                                    length 4 | body | padding 12..1024 )
 *
 * Decryption is in place. Every failure of an encrypted packet reads the same to the peer: nothing
 * is looked at before msg_key has been compared over the whole plaintext.
 * Facts: core.telegram.org/mtproto/description, /security_guidelines.
 *
 * Threads: none: pure      Limits: MT_PACKET_MAX
 */
#ifndef MT_ENVELOPE_H
#define MT_ENVELOPE_H

#include "mtproto/handshake.h"
#include "mtproto/transport.h"

/* The longest body of a message: what a packet holds besides its heads and least padding. */
enum { MT_MESSAGE_MAX = MT_PACKET_MAX - 24 - 32 - 28 };

enum mt_side { MT_FROM_CLIENT = 0, MT_FROM_SERVER = 8 };

/** A message inside a packet. `body` points into the packet. */
struct mt_message {
    uint8_t salt[8];
    uint64_t session_id;
    uint64_t msg_id;
    uint32_t seq_no;
    uint8_t *body;
    uint32_t len;
};

/** @return whether the packet is long enough and begins with a zero key id */
bool mt_is_plain(const void *packet, size_t len);

/** Reads a plain packet. Only msg_id, body and len are set. @return TG_PROTOCOL if malformed */
tg_code mt_plain_open(void *packet, size_t len, struct mt_message *ret, struct tg_error *err);

/** Appends a plain packet. Sets out->failed if the body is longer than MT_MESSAGE_MAX. */
void mt_plain_write(uint64_t msg_id, const void *body, size_t len, struct tg_buf *out);

/**
 * Decrypts in place and checks key id, msg_key, lengths and padding. Session, salt and msg_id are
 * the caller's to check.
 *
 * @param side   who wrote the packet
 * @param padded whether the framing appended random bytes that are no part of the ciphertext
 * @return TG_SECURITY on any failure, always with the same message
 */
tg_code mt_envelope_open(const struct mt_key *key, enum mt_side side, bool padded, uint8_t *packet,
                         size_t len, struct mt_message *ret, struct tg_error *err);

/**
 * Decrypts packets ahead, in place, where they lie in their transport's buffer: up to four side by
 * side, which hides the latency of AES. Sets `decrypted` and `genuine` of those that carry this
 * key's id and a possible length; mt_envelope_read then takes them.
 */
void mt_envelope_decrypt(const struct mt_key *key, enum mt_side side, bool padded,
                         struct mt_packet *packet, size_t n);

/** As mt_envelope_open for a packet of a transport, decrypted ahead or not. */
tg_code mt_envelope_read(const struct mt_key *key, enum mt_side side, bool padded,
                         const struct mt_packet *packet, struct mt_message *ret,
                         struct tg_error *err);

/**
 * Appends an encrypted packet around body (a multiple of 4 bytes). Sets out->failed if it is longer
 * than MT_MESSAGE_MAX.
 *
 * @param ret_quick_ack  token the peer would send as quick ack; may be NULL
 */
void mt_envelope_write(const struct mt_key *key, enum mt_side side, const struct mt_message *m,
                       const struct tg_random *random, struct tg_buf *out,
                       uint32_t *ret_quick_ack);

/**
 * The MTProto 1.0 message inside auth.bindTempAuthKey: bind_auth_key_inner encrypted with the
 * permanent key. Fact: core.telegram.org/method/auth.bindTempAuthKey.
 */
struct mt_bind {
    uint64_t nonce;
    uint64_t msg_id; /* of the request that carries it */
    uint8_t temp_key_id[8];
    uint8_t perm_key_id[8];
    uint64_t temp_session_id;
    int32_t expires_at;
};

void mt_bind_write(const struct mt_key *perm, const struct mt_bind *b,
                   const struct tg_random *random, struct tg_buf *out);

/** Server role. @return TG_SECURITY if it does not decrypt to a well-formed bind */
tg_code mt_bind_open(const struct mt_key *perm, const void *encrypted, size_t len,
                     struct mt_bind *ret, struct tg_error *err);

#endif

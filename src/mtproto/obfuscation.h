/* SPDX-License-Identifier: MIT */
/*
 * obfuscation.h - the layer below the framing that makes a connection look like random bytes
 *
 *   init: 64 bytes, sent first by the client
 *   | random 8 | key 32 | iv 16 | tag 4 | dc 2 | random 2 |     client to server: AES-256-CTR
 *   the same bytes reversed give key and iv of server to client
 *
 * init itself is run through the client's cipher; its last 8 bytes are sent encrypted, the rest as
 * it is. Both counters go on from there. With a proxy secret a key is SHA256(key | secret).
 * Fact: core.telegram.org/mtproto/mtproto-transports#transport-obfuscation.
 *
 * Threads: none: value type      Limits: none
 */
#ifndef MT_OBFUSCATION_H
#define MT_OBFUSCATION_H

#include "base/buf.h"
#include "crypto/aes.h"
#include "crypto/random.h"

enum { MT_INIT_SIZE = 64 };

/** Both directions of one connection. A zeroed struct is off. */
struct mt_obfuscation {
    bool on;
    struct tg_aes_ctr from_peer, to_peer;
};

/** What the init says about the connection. */
struct mt_init {
    uint32_t tag; /* of the framing below, as a little endian word */
    int16_t dc;
};

/** @return whether the word opens another protocol (HTTP, TLS) that servers tell apart by it */
bool mt_foreign_word(const uint8_t first[4]);

/**
 * Client role: draws the init, keys both directions and appends the 64 bytes to out.
 * @param secret  NULL or the 16 bytes of a proxy
 * @return false if out of memory
 */
bool mt_obfuscation_open(struct mt_obfuscation *o, const struct mt_init *say,
                         const uint8_t *secret, const struct tg_random *random,
                         struct tg_buf *out);

/**
 * Server role: keys both directions from the 64 received bytes and decrypts them in place; the next
 * byte to decrypt is the one after them. Any init is taken: look at the tag.
 * @return false if out of memory
 */
bool mt_obfuscation_accept(struct mt_obfuscation *o, uint8_t init[MT_INIT_SIZE],
                           const uint8_t *secret, struct mt_init *ret);

/** Runs bytes through one direction, in place. Does nothing while the layer is off. */
static inline void mt_obfuscation_read(struct mt_obfuscation *o, void *bytes, size_t n)
{
    if (o->on)
        tg_aes_ctr_xor(&o->from_peer, bytes, bytes, n);
}

static inline void mt_obfuscation_write(struct mt_obfuscation *o, void *bytes, size_t n)
{
    if (o->on)
        tg_aes_ctr_xor(&o->to_peer, bytes, bytes, n);
}

/** Frees and wipes the ciphers. */
void mt_obfuscation_done(struct mt_obfuscation *o);

#endif

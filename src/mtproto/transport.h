/* SPDX-License-Identifier: MIT */
/*
 * transport.h - cuts a TCP byte stream into MTProto packets and back; both roles, no socket
 *
 *   bytes from the peer --> mt_transport_feed --> mt_transport_next --> packet (view)
 *   packet ------------> mt_transport_write --> bytes for the peer (appended to a buffer)
 *
 * Five framings, optionally under the obfuscation layer (AES-CTR both ways, one running counter per
 * direction). The client chooses; the server role detects from the first bytes and answers in kind.
 * Facts: core.telegram.org/mtproto/mtproto-transports, mtproto-transports#transport-obfuscation.
 *
 * Threads: none: one connection, one caller      Limits: packet 16 MiB - 4 bytes
 */
#ifndef MT_TRANSPORT_H
#define MT_TRANSPORT_H

#include "base/buf.h"
#include "crypto/random.h"

enum mt_framing {
    MT_ABRIDGED,
    MT_INTERMEDIATE,
    MT_PADDED,
    MT_FULL,
    MT_FRAMING_COUNT
};

enum { MT_PACKET_MAX = (1 << 24) - 4, MT_TRANSPORT_HEAD_MAX = 64 };

/** What the client chooses. */
struct mt_transport_options {
    enum mt_framing framing;
    bool obfuscated;
    bool has_secret;    /* MTProto proxy: keys are hashed with the secret */
    uint8_t secret[16];
    int16_t dc;         /* for the obfuscation header; +10000 test, negative media */
};

/** One received packet. */
struct mt_packet {
    uint8_t *at;          /* into the transport's buffer; valid until the next feed; writable */
    size_t len;           /* for padded framing the random tail is still there (see envelope.h) */
    int32_t error;        /* transport error such as -404, else 0; then at and len are empty */
    bool is_quick_ack;    /* then `quick_ack` holds the token and at/len are empty */
    bool wants_quick_ack; /* server role: the client asked for one */
    bool decrypted;       /* mt_envelope_decrypt has been over it ... */
    bool genuine;         /* ... and this is what it found */
    uint32_t quick_ack;
};

struct mt_transport;

/** Client role. Appends the opening bytes (tag or 64-byte header) to out. NULL if out of memory. */
struct mt_transport *mt_transport_new_client(const struct mt_transport_options *options,
                                             const struct tg_random *random, struct tg_buf *out);

/** Server role: framing is taken from the first bytes. `secret` NULL or 16 bytes of a proxy. */
struct mt_transport *mt_transport_new_server(const struct tg_random *random,
                                             const uint8_t *secret);
void mt_transport_free(struct mt_transport *t);

/** Takes bytes from the peer. @return TG_LIMIT if more than one largest packet is waiting */
tg_code mt_transport_feed(struct mt_transport *t, const void *bytes, size_t n,
                          struct tg_error *err);

/**
 * Where the owner may read socket bytes to directly, to save a copy: n bytes of room, then
 * mt_transport_fed(n_read).
 */
uint8_t *mt_transport_room(struct mt_transport *t, size_t *ret_n);
tg_code mt_transport_fed(struct mt_transport *t, size_t n, struct tg_error *err);

/** Gives the receive buffer back if nothing waits in it. */
void mt_transport_rest(struct mt_transport *t);

/** @return TG_OK with a packet; TG_AGAIN if more bytes are needed; TG_PROTOCOL if the peer erred */
tg_code mt_transport_next(struct mt_transport *t, struct mt_packet *ret, struct tg_error *err);

/** Appends one packet (len % 4 == 0), framed and obfuscated. Sets out->failed if it cannot. */
void mt_transport_write(struct mt_transport *t, const void *packet, size_t len, bool quick_ack,
                        struct tg_buf *out);

/** Server role: appends a transport error, such as -404, or a quick ack. */
void mt_transport_write_error(struct mt_transport *t, int32_t code, struct tg_buf *out);
void mt_transport_write_quick_ack(struct mt_transport *t, uint32_t token, struct tg_buf *out);

/** Server role, once detected: what the client speaks. @return false before that */
bool mt_transport_detected(const struct mt_transport *t, enum mt_framing *ret, bool *ret_obfuscated,
                           int16_t *ret_dc);

#endif

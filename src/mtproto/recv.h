/* SPDX-License-Identifier: MIT */
/*
 * recv.h - the receive buffer of a transport
 *
 *      data         at              len            cap
 *      |-- taken ---|--- waiting ---|---- room ----|
 *
 * Bytes are read into the room; taking a packet only moves `at`. Waiting bytes are moved down when
 * the room runs out, and only if that moves no more than was taken before, so a byte is moved at
 * most once on average. Memory follows the bytes that really came, not the length that a peer
 * claims. Packets are decrypted in place, so what is given back is wiped.
 *
 * Threads: none: one connection, one caller
 * Limits:  MT_RECV_ROOM..MT_RECV_MAX bytes; a large buffer is given back after 64 small packets
 */
#ifndef MT_RECV_H
#define MT_RECV_H

#include "mtproto/transport.h"

enum {
    MT_RECV_ROOM = 16 * 1024,
    MT_FRAME_EXTRA = 32, /* heads, padding and CRC of any framing */
    MT_RECV_MAX = MT_PACKET_MAX + MT_FRAME_EXTRA + 64 * 1024,
};

struct mt_recv {
    uint8_t *data;
    size_t at, len, cap;
    unsigned small_run; /* packets in a row that needed less than a quarter of cap */
};

void mt_recv_drop(struct mt_recv *r); /* frees everything; may be used again */

/** Makes at least n bytes of room. @return false at the limit, or out of memory */
bool mt_recv_reserve(struct mt_recv *r, size_t n);

/** @return whether a packet must be complete already, so that reading on would only pile up */
static inline bool mt_recv_enough(const struct mt_recv *r)
{
    return r->len - r->at >= MT_PACKET_MAX + MT_FRAME_EXTRA;
}

/** Takes a packet of n bytes, of which `used` were the packet's own. */
static inline void mt_recv_take(struct mt_recv *r, size_t n, size_t used)
{
    r->at += n;
    r->small_run = used < r->cap / 4 ? r->small_run + 1 : 0;
}

#endif

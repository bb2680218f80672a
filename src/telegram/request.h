/* SPDX-License-Identifier: MIT */
/*
 * request.h - calls built as value trees and replies read as value trees: for everything that is
 * not on the path of a message
 *
 * Threads: none: runs inside the client's callbacks
 */
#ifndef TG_REQUEST_H
#define TG_REQUEST_H

#include "telegram/client.h"
#include "tl/value.h"

enum { TG_REQUEST_MAX = 1 << 20 };

/**
 * Encodes `query` and calls it.
 * @param how  method, dc, flags, done and ctx; its body is ignored
 * @return as tgc_call; 0 also if the query cannot be encoded
 */
uint64_t tg_request(struct tgc *c, const struct tl_value *query, const struct tgc_request *how,
                    int64_t now_us);

/**
 * Reads a reply's object into the arena. Of a reply that holds something the schema does not know,
 * the rest is read: lists lack that item; an object in a field of its own has the fields before the
 * unknown one, or is absent. The client's owner is told of each such object (TGC_UNREADABLE).
 *
 * @return NULL with err filled
 */
const struct tl_value *tg_reply_value(struct tgc *c, const struct tgc_reply *reply,
                                      struct tg_arena *arena, struct tg_error *err);

/** Marked id of a Peer object (peerUser, peerChat, peerChannel); 0 for anything else. */
int64_t tg_peer_id(const struct tl_value *peer);

#endif

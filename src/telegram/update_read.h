/* SPDX-License-Identifier: MIT */
/*
 * update_read.h - what the server sends of updates, cut into changes and how they are counted
 *
 *   Updates (pushed, or the answer to a call)      packet: changes, each with its sequence
 *   updates.Difference, updates.ChannelDifference  answer: changes in order, the state behind them
 *
 * A change is a view into the bytes: of a message, or of ids. Messages that come in a short form
 * are written out as whole ones. Users and chats stand beside, for the rows of all of them.
 *
 * Updates that nobody asks for here, such as who is typing, are no change; if they are counted they
 * are one of kind TG_UPDATE_NOTHING, since a sequence must see them. So is, behind its changes, a
 * packet that is counted as a whole, by seq.
 *
 * Source: core.telegram.org/api/updates.
 *
 * Threads: none: value type      Limits: 100,000 changes at once
 */
#ifndef TG_UPDATE_READ_H
#define TG_UPDATE_READ_H

#include "base/arena.h"
#include "telegram/updates.h"
#include "tl/walk.h"

enum tg_update_kind {
    TG_UPDATE_NOTHING,   /* counted, nothing to keep */
    TG_UPDATE_NEW,       /* message */
    TG_UPDATE_EDITED,    /* message; also if only reactions or counters have changed (edit_hide) */
    TG_UPDATE_DELETED,   /* ids; of the account's box no chat is told */
    TG_UPDATE_REACTIONS, /* of message `id`; not counted */
    TG_UPDATE_BEHIND,    /* the chat's box must ask for its difference */
};

struct tg_update_change {
    enum tg_update_kind kind;
    int64_t chat;    /* marked id; 0: not told */
    int64_t channel; /* marked id of the box; 0: the account's */
    struct tg_update counted; /* but for its item; after 0: not counted */
    int32_t id;      /* of a message */
    struct tg_str bytes; /* the message; or Vector<int>, with its header */
};

struct tg_update_packet {
    const struct tg_update_change *change;
    size_t n;
    int32_t date;
    bool lost;            /* updatesTooLong: the account's box must ask */
    struct tg_str users, chats; /* vectors with their headers; {NULL, 0}: none */
    /* of a difference */
    struct tg_update_answer answer; /* without items */
};

/**
 * Reads an Updates object.
 * @param self   the account's user id, for short messages that it sent itself
 * @param arena  holds what is not a view; cleared by the caller
 * @return TG_OK; TG_PROTOCOL: an object that this layer has not, or none at all: what it held is
 *         lost, the account's box must ask; TG_NOMEM
 */
tg_code tg_update_packet(const struct tl_schema *s, const uint8_t *body, size_t len, int64_t self,
                         struct tg_arena *arena, struct tg_update_packet *ret,
                         struct tg_error *err);

/**
 * Reads an updates.Difference or updates.ChannelDifference.
 * @param channel  marked id that was asked for; 0: the account
 * @param since    the state that was asked for: what an answer does not tell stays
 * @return as tg_update_packet
 */
tg_code tg_update_difference(const struct tl_schema *s, const uint8_t *body, size_t len,
                             int64_t channel, const struct tg_update_state *since,
                             struct tg_arena *arena, struct tg_update_packet *ret,
                             struct tg_error *err);

#endif

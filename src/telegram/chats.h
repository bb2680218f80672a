/* SPDX-License-Identifier: MIT */
/*
 * chats.h - finding chats: the account's list, a name or link, what a chat tells about itself
 *
 * Every reply feeds the session's peer cache, so a username is resolved once and access hashes are
 * known afterwards.
 *
 * Threads: none: runs inside the client's callbacks
 */
#ifndef TG_CHATS_H
#define TG_CHATS_H

#include "telegram/client.h"

/** One entry of the chat list. */
struct tg_dialog {
    const struct tg_peer *peer; /* valid during the call */
    int32_t top_id;
    int32_t members; /* -1 unknown */
    bool unreadable; /* it is in the list, but the schema does not know what it is: peer has its id,
                        its kind where the id tells, and no name */
};

/**
 * Pages through messages.getDialogs (archived ones too), each chat once, in the list's order.
 * @param seen  false stops
 * @param done  last call; err NULL on success
 * @return false out of memory (done is not called)
 */
bool tg_dialogs_start(struct tgc *client, bool (*seen)(void *ctx, const struct tg_dialog *dialog),
                      void (*done)(void *ctx, const struct tg_error *err), void *ctx,
                      int64_t now_us);

/** channels.getLeftChannels inside a takeout, as tg_dialogs_start. */
bool tg_left_channels_start(struct tgc *client,
                            bool (*seen)(void *ctx, const struct tg_dialog *dialog),
                            void (*done)(void *ctx, const struct tg_error *err), void *ctx,
                            int64_t now_us);

/**
 * Finds a chat by "@name", "name", "https://t.me/name", "t.me/c/ID", "me" (Saved Messages), or a
 * marked id. The cache is asked first; an id that it lacks is looked for in the chat list.
 *
 * @param done  peer is NULL on failure; it is valid during the call
 */
bool tg_resolve_start(struct tgc *client, const char *what,
                      void (*done)(void *ctx, const struct tg_peer *peer,
                                   const struct tg_error *err),
                      void *ctx, int64_t now_us);

/** What channels.getFullChannel or messages.getFullChat tell. */
struct tg_chat_full {
    int64_t id;               /* marked */
    int64_t migrated_from;    /* marked id of the old basic group; 0 none */
    int32_t migrated_max_id;  /* its highest id */
    int64_t linked_chat;      /* discussion group or its channel; 0 none */
    int32_t members, available_min_id, pts;
    bool hidden_prehistory;
    bool partial; /* a part of it could not be read: what is zero here may be otherwise */
};

/** For users there is nothing to ask: done comes at once with zeroes. */
bool tg_chat_full_start(struct tgc *client, int64_t marked_id,
                        void (*done)(void *ctx, const struct tg_chat_full *full,
                                     const struct tg_error *err),
                        void *ctx, int64_t now_us);

/** Appends an InputPeer / InputChannel of a known peer. @return false if it is not known well
 * enough */
bool tg_input_peer(const struct tg_peers *peers, int64_t marked_id, struct tg_buf *out);
bool tg_input_channel(const struct tg_peers *peers, int64_t marked_id, struct tg_buf *out);

/** Adds all users and chats of a reply object (fields `users`, `chats`, `user`, `chat`, `peer`...)
 *  to the cache. Unknown objects inside are skipped over. */
void tg_peers_learn(struct tg_peers *peers, const struct tl_schema *schema, const uint8_t *body,
                    size_t len);

#endif

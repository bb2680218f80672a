/* SPDX-License-Identifier: MIT */
/*
 * targets.h - what an InputPeer, InputChannel or InputUser means, and whether the asking account
 * may have it
 *
 * Access hashes are checked against the one that this account was given: those of another account
 * are refused with CHANNEL_INVALID, PEER_ID_INVALID or USER_ID_INVALID. Bots may leave the hash 0.
 *
 * Threads: none
 */
#ifndef SIM_TARGETS_H
#define SIM_TARGETS_H

#include "sim/core.h"

/** A peer that exists and whose access hash was right. */
struct sim_target {
    int64_t marked_id;
    const struct sim_chat *chat; /* NULL: a user without messages in this world */
};

/** Resolves; the call fails by name otherwise. */
bool sim_target_peer(struct sim_call *c, const struct tl_value *input, struct sim_target *ret);
bool sim_target_channel(struct sim_call *c, const struct tl_value *input, struct sim_target *ret);
bool sim_target_user(struct sim_call *c, const struct tl_value *input, int64_t *ret_user_id);

/** @return the marked id of the chat that a query is about, whatever its access hash; 0 none */
int64_t sim_target_named(const struct tl_value *query);

/** Whether the account may read it: members, everybody where it is public, and takeout where it was
 *  left. Fails with CHANNEL_PRIVATE or PEER_ID_INVALID. A user with whom this account never spoke
 *  loses its chat: there is nothing to read. */
bool sim_target_readable(struct sim_call *c, struct sim_target *t);

/** Both: a peer to read from. */
bool sim_target_open(struct sim_call *c, const struct tl_value *input, struct sim_target *ret);

/** @return whether the chat is a channel or supergroup (its ids are its own) */
bool sim_is_channel(const struct sim_chat *chat);

/** @return Peer object of a marked id */
struct tl_value *sim_peer_of(struct tg_arena *arena, int64_t marked_id);

/** @return the child in a field, to be changed or shared with another parent; NULL if absent */
struct tl_value *sim_child(struct tl_value *o, uint32_t field);

/** @return the world's message in the shape of the call's layer */
struct tl_value *sim_message(struct sim_call *c, const struct sim_chat *chat, int64_t id);

/** Adds the collected users and chats to a reply. @return the reply */
struct tl_value *sim_with_peers(struct sim_call *c, struct tl_value *reply);

#endif

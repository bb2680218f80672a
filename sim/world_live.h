/* SPDX-License-Identifier: MIT */
/*
 * world_live.h - what has happened to a chat of the world since it began
 *
 * A message stays a function of its id; kept is only what cannot be computed. Of each chat:
 *
 *   tail      posted since: place and date of each      8 bytes a post
 *   gone      ids deleted since, ascending              4 bytes a deletion
 *   touched   ids edited or reacted to, ascending:      16 bytes a message
 *             how often, and when
 *
 * Ranks and pages of the chat go by (computed + tail - gone). A post of a private chat or basic
 * group takes the next free row of its account's box. A deleted id never comes back.
 *
 * Threads: none      Limits: 2^31-1 ids; imported chats and discussion groups do not change
 */
#ifndef SIM_WORLD_LIVE_H
#define SIM_WORLD_LIVE_H

#include "sim/world.h"

/** @return whether the chat can change at all: an account is in it, and it is generated */
bool sim_world_alive(const struct sim_world *w, const struct sim_chat *chat);

/** @return the new message's id; 0: no id or no memory is left */
int64_t sim_world_post(struct sim_world *w, const struct sim_chat *chat, int64_t date);
/** Gives a message another text. @return false: there is none that could, or no memory */
bool sim_world_edit(struct sim_world *w, const struct sim_chat *chat, int64_t id, int64_t date);
/** Adds a reaction, which moves the edit date as servers do. @return as sim_world_edit */
bool sim_world_react(struct sim_world *w, const struct sim_chat *chat, int64_t id, int64_t date);
/** @return false: there is no such message, or no memory */
bool sim_world_delete(struct sim_world *w, const struct sim_chat *chat, int64_t id);

/** Ids deleted since the world began, ascending. @return how many */
size_t sim_world_gone(const struct sim_world *w, const struct sim_chat *chat, const int32_t **ret);

/** The channel's pts is that much further on. */
void sim_world_pts_add(struct sim_world *w, const struct sim_chat *chat, int32_t count);

#endif

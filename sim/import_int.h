/* SPDX-License-Identifier: MIT */
/*
 * import_int.h - what the import*.c files share
 *
 * Threads: none
 */
#ifndef SIM_IMPORT_INT_H
#define SIM_IMPORT_INT_H

#include "export/members.h"
#include "sim/import.h"
#include "sim/world_int.h"

struct sim_import_name {
    int64_t id; /* marked */
    const char *name;
};

struct sim_import {
    struct tg_buf text;
    struct tg_arena arena; /* names and titles */
    struct sim_import_chat *chat; /* one for each chat of the world, in the same order */
    size_t n_chats, cap_chats;
    struct sim_import_name *name; /* open hash table; id 0: free */
    size_t n_names, cap_names;
};

/* ---- import_people.c ---- */

/** Somebody that a message names. `name` is NULL where only the id is known. */
typedef void (*sim_import_seen)(void *ctx, int64_t marked_id, const char *name);

/** @return an invented user id for somebody who is only named */
int64_t sim_import_named_id(const char *name);
/** Everybody in a message, service or not. */
void sim_import_people(const json_t *message, sim_import_seen seen, void *ctx);
/** Remembers a name; the first that is not empty stays. @return false out of memory */
bool sim_import_name_add(struct sim_import *imp, int64_t marked_id, const char *name);

/* ---- import_text.c ---- */

/** Sets `message` and `entities` from a message's text. */
void sim_import_set_text(struct tl_value *m, const json_t *message, struct tg_arena *arena);

/* ---- import_media.c, import_action.c ---- */

/** @return the media of a message, or NULL if it has none */
struct tl_value *sim_import_media(const struct sim_media_at *at, const json_t *message);
struct tl_value *sim_import_photo(const struct sim_media_at *at, const json_t *message);
struct tl_value *sim_import_action(const struct sim_media_at *at, const json_t *message);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * import.h - a world from a Telegram Desktop export (result.json): one chat, or all ("chats.list")
 *
 * The file is read whole and walked once: every message is parsed, checked and its people noted,
 * then only where it stands in the file is kept (32 bytes a message). It is parsed again when
 * somebody asks for it. What the format does not tell is invented from hashes: access hashes, file
 * ids, user ids of people who are only named (members of an invitation, "via" bots).
 *
 * A supergroup's messages with ids below zero are those of the basic group that it was: they become
 * a chat of their own, and the supergroup a SIM_MIGRATED one. Basic groups and private chats belong
 * to the first account, which takes the exporter's user id where the file names it.
 *
 * Threads: none      Limits: 512 MiB of file, 1 MiB a message, 100,000 chats, names 64 MiB
 */
#ifndef SIM_IMPORT_H
#define SIM_IMPORT_H

#include "sim/world.h"

struct sim_chat_in;
struct sim_import;

/** Where a message stands. */
struct sim_import_item {
    int64_t id, date; /* date: the largest so far, so that it grows with ids */
    uint64_t at;
    uint32_t len;
};

/** Messages of a chat, by id ascending. */
struct sim_import_chat {
    struct sim_import_item *item;
    size_t n, cap;
    bool channel; /* posts have no sender */
};

/**
 * Loads the chats of a file into a world that has accounts and no chats yet.
 *
 * @return TG_OK; TG_NOT_FOUND, TG_IO; TG_DATA with file, line and cause; TG_LIMIT; TG_NOMEM
 */
tg_code sim_import_load(struct sim_world *w, const char *path, struct tg_error *err);
/** As sim_import_load, from text that is copied. `name` is for messages. */
tg_code sim_import_text(struct sim_world *w, const char *name, struct tg_str text,
                        struct tg_error *err);
void sim_import_free(struct sim_import *imp);

/** @return the place of an id among the messages, or -1 */
int64_t sim_import_find(const struct sim_import_chat *c, int64_t id);
uint64_t sim_import_rank(const struct sim_import_chat *c, int64_t id);
int64_t sim_import_select(const struct sim_import_chat *c, uint64_t n);
int64_t sim_import_date(const struct sim_import_chat *c, int64_t id);

/** @return the name of a user, chat or channel that the file names; "": deleted; NULL: unknown */
const char *sim_import_peer_name(const struct sim_import *imp, int64_t marked_id);
/** Calls back with everybody a message names. */
void sim_import_peers(const struct sim_world *w, const struct sim_chat_in *c, int64_t id,
                      void (*seen)(void *ctx, int64_t marked_id), void *ctx);
/** @return a channel or chat that is named only, not exported; NULL if the file does not name it */
struct tl_value *sim_import_chat_value(const struct sim_world *w, const struct sim_account *viewer,
                                       int64_t marked_id, struct tg_arena *arena);

#endif

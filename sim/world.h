/* SPDX-License-Identifier: MIT */
/*
 * world.h - the simulated Telegram world: accounts, users, chats and messages as pure functions
 *
 * Nothing is stored per message: whether an id exists, who sent it, when, and what it says are
 * computed from (seed, chat, id). Dates grow with ids. Holes (deleted ids) follow a pattern by
 * blocks so that rank and select cost little. A world can also be loaded from a Telegram Desktop
 * result.json; then its chats are held in memory. What happens to a chat while it is served is laid
 * over that: world_live.h.
 *
 * The world knows no connection and no layer: it answers with tl_value trees named by predicate,
 * which tl_encode writes for whatever layer a client speaks.
 *
 * Threads: none; all calls on the simulator's loop      Limits: 100,000 chats, 2^31-1 ids a chat
 */
#ifndef SIM_WORLD_H
#define SIM_WORLD_H

#include "base/arena.h"
#include "base/text.h"
#include "tl/value.h"

struct sim_world;

/** Which groups, in which the posts of channels are discussed, are part of the world; numbers as in
 *  the option's choices. */
enum sim_discussions {
    SIM_DISCUSS_NONE,
    SIM_DISCUSS_OPEN,   /* one for each channel; every account is in it */
    SIM_DISCUSS_CLOSED, /* no account can read it: only the comments on a post can be asked for */
    SIM_DISCUSS_MIXED,  /* in turn: open, closed, open to the second person alone, closed */
};

/** Ids of a discussion group that belong to the same posts; see world_discuss.c. */
#define SIM_DISCUSS_BLOCK 256

struct sim_world_options {
    uint64_t seed;
    uint32_t n_chats;      /* cycle through the kinds below; at least one of each when n >= 6. Left
                              channels and old groups come on top */
    uint64_t n_messages;   /* existing messages per chat (not ids) */
    int holes_percent;     /* share of ids deleted: 0..99; -1: 5 in most chats, 0 in the first */
    const char *import;    /* result.json of Telegram Desktop, or NULL */
    enum sim_discussions discussions;
    int64_t file_max;      /* no file is larger; 0: 40 MiB */
    int files_empty;       /* percent of plain documents that have no bytes */
};

enum sim_chat_kind {
    SIM_SUPERGROUP,    /* the first chat of every world: plain, dense */
    SIM_CHANNEL,       /* broadcast, posts without sender, views, comments */
    SIM_FORUM,         /* supergroup with topics */
    SIM_BASIC_GROUP,   /* ids shared with private chats of the account */
    SIM_PRIVATE,       /* with one user */
    SIM_MIGRATED,      /* supergroup that was a basic group: two histories */
    SIM_PROTECTED,     /* channel with noforwards */
    SIM_LEFT_CHANNEL,  /* only seen by takeout's getLeftChannels */
    SIM_DISCUSSION,    /* supergroup in which a channel's posts are discussed */
};

struct sim_account {
    int64_t user_id;
    const char *phone; /* digits only; "" for a bot */
    const char *code;  /* "" for a bot */
    const char *password;  /* NULL: no 2FA */
    const char *bot_token; /* NULL: a person */
    int home_dc;           /* 1 or 2 */
};

struct sim_chat {
    uint32_t index;
    enum sim_chat_kind kind;
    int64_t id;          /* bare id of channel, chat or user */
    int64_t marked_id;   /* user > 0, chat < 0, channel -100... */
    int64_t access_hash; /* sim_world_access_hash derives each account's own */
    const char *title;
    const char *username; /* NULL: none */
    uint64_t n_messages;  /* existing */
    int32_t top_id;
    int32_t pts;          /* of a channel: every change since it was made counts */
    int64_t migrated_from; /* SIM_MIGRATED: index of the old group's chat (a SIM_BASIC_GROUP of the
                              account that can see it); -1 else */
};

/** @return TG_OK; TG_USAGE for numbers out of range; of `import` TG_NOT_FOUND, TG_IO, TG_LIMIT,
 *  TG_DATA with file, line and cause; TG_NOMEM */
tg_code sim_world_new(const struct sim_world_options *options, struct sim_world **ret,
                      struct tg_error *err);
/** As sim_world_new with `import`, but of a file's text. `name` stands in messages. */
tg_code sim_world_from_json(const struct sim_world_options *options, const char *name,
                            struct tg_str text, struct sim_world **ret, struct tg_error *err);
void sim_world_free(struct sim_world *w);

size_t sim_world_accounts(const struct sim_world *w);
const struct sim_account *sim_world_account(const struct sim_world *w, size_t i);

size_t sim_world_chats(const struct sim_world *w); /* with left channels and old groups */
const struct sim_chat *sim_world_chat(const struct sim_world *w, size_t i);
/** @return NULL if there is none */
const struct sim_chat *sim_world_chat_by_id(const struct sim_world *w, int64_t marked_id);
const struct sim_chat *sim_world_chat_by_username(const struct sim_world *w, struct tg_str name);

/** Whether an account is in a chat (dialogs) and may read it. */
bool sim_world_member(const struct sim_world *w, const struct sim_account *a,
                      const struct sim_chat *chat);

/** The access hash that this account sees; another account's is refused by the rpc layer. */
int64_t sim_world_access_hash(const struct sim_world *w, int64_t account_user_id,
                              int64_t peer_id);

/** The supergroup that an old basic group has become; NULL for every other chat. Its own
 *  getHistory still works; clients hide its dialog. */
const struct sim_chat *sim_world_migrated_to(const struct sim_world *w,
                                             const struct sim_chat *chat);
/** The account that alone is in it; NULL where all are, or none. */
const struct sim_account *sim_world_owner(const struct sim_world *w, const struct sim_chat *chat);

/** The channel's discussion group, or the group's channel; NULL if there is none. */
const struct sim_chat *sim_world_linked(const struct sim_world *w, const struct sim_chat *chat);
/** @return id of the post that a message of a discussion group is a comment on, or is the copy of;
 *  0: of none, or that cannot be known */
int64_t sim_world_comment_of(const struct sim_world *w, const struct sim_chat *chat, int64_t id);
/** @return id of the copy of a channel's post in its group; 0: there is none */
int64_t sim_world_post_root(const struct sim_world *w, const struct sim_chat *chat, int64_t id);

/** @return the id of the user with that public name (no account of ours needed), 0 if none */
int64_t sim_world_user_by_username(const struct sim_world *w, struct tg_str name);

/** Every existing id, ascending: what an extraction of the chat must hold. */
void sim_world_ids(const struct sim_world *w, const struct sim_chat *chat,
                   void (*seen)(void *ctx, int64_t id), void *ctx);

/* ---- messages ---- */

/** @return whether the id exists (neither deleted nor outside 1..top_id) */
bool sim_world_exists(const struct sim_world *w, const struct sim_chat *chat, int64_t id);
/** @return how many existing ids are below id */
uint64_t sim_world_rank(const struct sim_world *w, const struct sim_chat *chat, int64_t id);
/** @return the n-th existing id from 0, ascending; 0 if there are not as many */
int64_t sim_world_select(const struct sim_world *w, const struct sim_chat *chat, uint64_t n);
/** @return the date (Unix s) an id has or would have; grows with ids */
int64_t sim_world_date(const struct sim_world *w, const struct sim_chat *chat, int64_t id);
/** @return the lowest id whose date is >= date; top_id + 1 if none */
int64_t sim_world_id_at(const struct sim_world *w, const struct sim_chat *chat, int64_t date);

/** Parameters of messages.getHistory, with its exact semantics: offsets first, then max and min.
 *  Where both are given, offset_id counts and not offset_date. */
struct sim_page {
    int64_t offset_id, offset_date, add_offset, limit, max_id, min_id;
};

/** Fills ids newest first. `limit` is clamped to 100. @return how many; *ret_offset: position of
 *  the first among all, newest = 0 (offset_id_offset) */
size_t sim_world_page(const struct sim_world *w, const struct sim_chat *chat,
                      const struct sim_page *page, int32_t ids[100], int32_t *ret_offset);

/** @return message, messageService, or messageEmpty for ids that do not exist; NULL: no memory */
struct tl_value *sim_world_message(const struct sim_world *w, const struct sim_account *viewer,
                                   const struct sim_chat *chat, int64_t id, struct tg_arena *arena);

/** Users and chats that a reply must carry; collects each once. */
struct sim_peers;
struct sim_peers *sim_peers_new(void);
void sim_peers_free(struct sim_peers *p);
void sim_peers_clear(struct sim_peers *p);
void sim_peers_add_message(struct sim_peers *p, const struct sim_world *w,
                           const struct sim_chat *chat, int64_t id);
void sim_peers_add(struct sim_peers *p, int64_t marked_id);
/** Sets the `users` and `chats` vectors of a reply object. */
void sim_peers_set(struct sim_peers *p, const struct sim_world *w, const struct sim_account *viewer,
                   struct tl_value *reply, struct tg_arena *arena);

/** user, chat/channel, dialog, userFull, chatFull/channelFull objects for the rpc layer. */
struct tl_value *sim_world_user(const struct sim_world *w, const struct sim_account *viewer,
                                int64_t user_id, struct tg_arena *arena);
struct tl_value *sim_world_chat_value(const struct sim_world *w, const struct sim_account *viewer,
                                      const struct sim_chat *chat, struct tg_arena *arena);
struct tl_value *sim_world_chat_full(const struct sim_world *w, const struct sim_account *viewer,
                                     const struct sim_chat *chat, struct tg_arena *arena);
struct tl_value *sim_world_dialog(const struct sim_world *w, const struct sim_account *viewer,
                                  const struct sim_chat *chat, struct tg_arena *arena);

/** userFull of any user. sim_world_chat_value of a private chat is the user, its full one this. */
struct tl_value *sim_world_user_full(const struct sim_world *w, const struct sim_account *viewer,
                                     int64_t user_id, struct tg_arena *arena);

/** File references that are made from now on tell that Unix time; 0: none, as at first. */
void sim_world_tell_time(struct sim_world *w, int64_t now_s);

/** @return whether a file of the world may have that id */
bool sim_world_is_file(int64_t file_id);
/** Bytes of a media file of the world: a pure function of its id. Fills n bytes from offset. */
int64_t sim_world_file_size(const struct sim_world *w, int64_t file_id);
void sim_world_file_bytes(const struct sim_world *w, int64_t file_id, int64_t offset, void *out,
                          size_t n);

/** @return the id that size and bytes of a file's thumbnail go by: s, m, x, y, w; 0: none such */
int64_t sim_world_file_thumb(int64_t file_id, char letter);

/** Topics of a forum: forumTopic objects, by id descending; the last is General, id 1. */
size_t sim_world_topics(const struct sim_world *w, const struct sim_chat *chat);
struct tl_value *sim_world_topic(const struct sim_world *w, const struct sim_account *viewer,
                                 const struct sim_chat *chat, size_t i, struct tg_arena *arena);
/** @return the id of topic i, in the order of sim_world_topic */
int64_t sim_world_topic_id(const struct sim_world *w, const struct sim_chat *chat, size_t i);
/** @return the topic a message is in (1 General), or its thread; 0 none */
int64_t sim_world_thread(const struct sim_world *w, const struct sim_chat *chat, int64_t id);

#endif

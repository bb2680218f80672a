/* SPDX-License-Identifier: MIT */
/*
 * peers.h - the users, groups and channels that an account has seen, with its access hashes
 *
 * Fed from the users and chats of every reply. A min object (seen only in passing) never replaces a
 * full one. A username is resolved once and then found here. Ids are marked: users > 0, basic
 * groups -id, channels -(10^12 + id).
 *
 * Threads: none: one owner      Limits: 1,000,000 peers; the least recently seen go first
 */
#ifndef TG_PEERS_H
#define TG_PEERS_H

#include "base/buf.h"
#include "base/text.h"

enum tg_peer_kind { TG_PEER_USER = 1, TG_PEER_GROUP, TG_PEER_SUPERGROUP, TG_PEER_CHANNEL };

#define TG_CHANNEL_MARK INT64_C(1000000000000)
/* Bounds of ids as the server names them (core.telegram.org/api/bots/ids); channels have room. */
#define TG_USER_ID_MAX INT64_C(0xffffffffff)
#define TG_GROUP_ID_MAX (TG_CHANNEL_MARK - 1)
#define TG_CHANNEL_ID_MAX (INT64_C(1) << 52)
#define TG_PEERS_MAX 1000000

struct tg_peer {
    int64_t id; /* marked */
    int64_t access_hash;
    enum tg_peer_kind kind;
    bool min, bot, deleted, forum, protected, left;
    int64_t migrated_to;  /* marked id of the supergroup a basic group became; 0 none */
    const char *name;     /* title or full name, NUL-terminated; owned by the cache; may be "" */
    const char *username; /* without @; NULL none */
};

/** Marked ids of what the server names; 0, which is nobody, if it names what cannot be. */
static inline int64_t tg_mark_user(int64_t id)
{
    return id > 0 && id <= TG_USER_ID_MAX ? id : 0;
}

static inline int64_t tg_mark_group(int64_t id)
{
    return id > 0 && id <= TG_GROUP_ID_MAX ? -id : 0;
}

static inline int64_t tg_mark_channel(int64_t id)
{
    return id > 0 && id <= TG_CHANNEL_ID_MAX ? -TG_CHANNEL_MARK - id : 0;
}

struct tg_peers {
    struct tg_peers_table *table; /* opaque */
};

void tg_peers_init(struct tg_peers *p);
void tg_peers_done(struct tg_peers *p);

/** Adds or updates; texts are copied. A username belongs to who was seen with it last. A full peer
 *  without access hash keeps the one it had. @return false out of memory */
bool tg_peers_put(struct tg_peers *p, const struct tg_peer *peer);

/** @return the peer, valid until the next put; NULL if unknown */
const struct tg_peer *tg_peers_get(const struct tg_peers *p, int64_t id);
/** Case does not matter. */
const struct tg_peer *tg_peers_by_username(const struct tg_peers *p, struct tg_str name);

size_t tg_peers_count(const struct tg_peers *p);
/** @return the i-th peer in order of first sight, 0 <= i < count */
const struct tg_peer *tg_peers_at(const struct tg_peers *p, size_t i);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * world_int.h - inside the simulated world: what the world*.c files share
 *
 * The way of a message: sim_plan_make draws from hash(seed, chat, id) who sent it, what kind it is
 * and whom it names; world_message.c turns the plan into a tree, sim_peers only collects the names.
 * So the users of a reply always fit its messages.
 *
 * Inside a chat, ids are counted by a "local" number from 1. For channels it is the id itself.
 * Private chats and basic groups of one account share an id space, its box: in each row of `stride`
 * ids every chat of the box owns exactly one, so the local number is the row:
 *
 *     box ids     1 2 3 | 4 5 6 | 7 8 9       stride 3
 *     chat of     a c b | b a c | c b a
 *     local       1 1 1 | 2 2 2 | 3 3 3
 *
 * Holes: local numbers are cut into blocks of 1000; each block follows one of 64 patterns, all with
 * the same number of existing ids, so rank and select are a division and a table look-up.
 *
 * Threads: none      Limits: see world.h
 */
#ifndef SIM_WORLD_INT_H
#define SIM_WORLD_INT_H

#include "sim/world.h"

enum {
    SIM_BLOCK = 1000,
    SIM_PATTERNS = 64,
    SIM_POOL = 8000,     /* users that groups draw members from; private partners come after */
    SIM_FOREIGN = 256,   /* channels that are only forwarded from */
    SIM_TOPICS_MAX = 120,
    SIM_PERSONS_MAX = 8,
    SIM_TEXT_MAX = 4096, /* UTF-16 units of one message */
    SIM_SPANS_MAX = 6,
};

#define SIM_CHANNEL_BASE INT64_C(1000000000000)

/* ---- randomness: a pure function of what is named ---- */

static inline uint64_t sim_mix(uint64_t x)
{
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

static inline uint64_t sim_hash(uint64_t a, uint64_t b)
{
    return sim_mix(a + UINT64_C(0x9e3779b97f4a7c15) * (b + 1));
}

struct sim_rng {
    uint64_t s;
};

static inline uint64_t sim_next(struct sim_rng *r)
{
    r->s += UINT64_C(0x9e3779b97f4a7c15);
    return sim_mix(r->s);
}

/** @return 0..n-1 */
static inline uint32_t sim_below(struct sim_rng *r, uint32_t n)
{
    return (uint32_t)((sim_next(r) >> 32) * n >> 32);
}

static inline bool sim_chance(struct sim_rng *r, uint32_t per_mille)
{
    return sim_below(r, 1000) < per_mille;
}

/* ---- the world's parts ---- */

/** Which of 1000 local numbers exist. */
struct sim_pattern {
    uint16_t rank[SIM_BLOCK + 1]; /* existing below x; exists(x) is rank[x + 1] > rank[x] */
    uint16_t select[SIM_BLOCK];
};

struct sim_import_chat; /* import.h */

/** What happened to a chat; see world_live.h. */
struct sim_tail {
    int32_t local, date;
};
struct sim_touched {
    int32_t id, date;
    uint32_t version, reactions;
};
struct sim_live_chat {
    uint64_t n_computed; /* existing before anything happened */
    struct sim_tail *tail;
    int32_t *gone;
    struct sim_touched *touched;
    size_t n_tail, tail_cap, n_gone, gone_cap, n_touched, touched_cap;
};

struct sim_chat_in {
    struct sim_chat pub; /* first: sim_chat pointers are these */
    uint64_t salt;
    bool holes;          /* follows the patterns; else every local number exists */
    int64_t local_top;
    uint32_t stride, slot;    /* place in the box; 1, 0 for channels */
    uint64_t box_salt;        /* turns the slots of each row */
    int64_t date_from, date_to, date_top; /* local 1..date_top spread over that time */
    uint64_t date_salt;
    int64_t migrated_to;      /* old group: number of its supergroup; -1 */
    uint32_t linked;          /* number + 1 of the channel's discussion group, or of the group's
                                 channel; 0: none */
    bool closed;              /* no account is in it */
    int owner;                /* number of the account that it belongs to; -1: public */
    uint8_t script;           /* most used one */
    bool signatures;          /* channel posts name their author */
    uint32_t n_members;       /* slots that senders are drawn from */
    int32_t *topic;           /* ids of topic create messages, ascending; owned */
    size_t n_topics;
    const struct sim_import_chat *import; /* messages read from a file; NULL: generated */
    struct sim_live_chat *live;           /* NULL: nothing has happened */
};

struct sim_import;

/** Lists of the world by marked id and by user name. */
struct sim_key_id {
    int64_t id;
    uint32_t index;
};
struct sim_key_name {
    const char *name;
    uint32_t index;
};

struct sim_world {
    uint64_t seed;
    struct sim_world_options options;
    struct tg_arena arena; /* names of accounts and chats */
    struct sim_account *account;
    size_t n_accounts;
    uint32_t person[SIM_PERSONS_MAX]; /* numbers of the accounts that are no bots */
    uint32_t n_persons;
    struct sim_chat_in *chat;
    size_t n_chats;
    struct sim_key_id *by_id;
    struct sim_key_name *by_name;
    size_t n_by_name;
    uint32_t n_users; /* pool and private partners */
    uint32_t keep;    /* existing ids in a block of 1000 */
    struct sim_pattern *pattern; /* SIM_PATTERNS of them; NULL without holes */
    struct sim_import *import;
    int64_t told_s; /* of references; 0 */
    int64_t box_top[SIM_PERSONS_MAX]; /* rows taken in an account's box; 0: not counted yet */
};

static inline const struct sim_chat_in *sim_in(const struct sim_world *w,
                                               const struct sim_chat *chat)
{
    return &w->chat[chat->index];
}

/* ---- world_ids.c ---- */

tg_code sim_patterns_make(struct sim_world *w, struct tg_error *err);
int64_t sim_local_to_id(const struct sim_chat_in *c, int64_t local);
/** @return the local number of the row that an id is in; ids <= 0 give 0 */
int64_t sim_id_to_local(const struct sim_chat_in *c, int64_t id);
bool sim_local_exists(const struct sim_world *w, const struct sim_chat_in *c, int64_t local);
/** Highest local number so that n exist; 0 for n == 0. */
int64_t sim_local_top(const struct sim_world *w, const struct sim_chat_in *c, uint64_t n);
/** First local number of the album that a local number lies in (existing or not); 0: none.
 *  ret_len may be NULL. */
int64_t sim_album(const struct sim_chat_in *c, int64_t local, uint32_t *ret_len);

/* ---- world_live.c: of a chat with `live` ---- */

/** Whether an id exists that `computed` says of whether it did. */
bool sim_live_exists(const struct sim_chat_in *c, int64_t local, int64_t id, bool computed);
/** Existing below an id, of which `computed` did before. */
uint64_t sim_live_rank(const struct sim_chat_in *c, int64_t local, int64_t id, uint64_t computed);
/** @return the place that the n-th existing has among those that ever were */
uint64_t sim_live_skip(const struct sim_world *w, const struct sim_chat_in *c, uint64_t n);
/** @return whether the local number is of the tail: then its date */
bool sim_live_date(const struct sim_chat_in *c, int64_t local, int64_t *ret);
void sim_live_free(struct sim_live_chat *l);

/* ---- world_chats.c ---- */

/** Makes the generated chats. */
tg_code sim_chats_make(struct sim_world *w, struct tg_error *err);
/** Sorts by_id and by_name anew. @return TG_DATA if two chats share an id */
tg_code sim_chats_index(struct sim_world *w, struct tg_error *err);

/* ---- world_people.c ---- */

int64_t sim_user_id(const struct sim_world *w, uint32_t k);
/** @return the user's number, or -1 if the world has no such user */
int64_t sim_user_number(const struct sim_world *w, int64_t user_id);
bool sim_user_is_bot(const struct sim_world *w, uint32_t k);
/** Number of a member slot's user: the first slots are the accounts, if the chat is public. */
uint32_t sim_member(const struct sim_world *w, const struct sim_chat_in *c, uint32_t slot);
/** Writes "First Last" or "Deleted Account" as a NUL-terminated name into the arena. */
const char *sim_user_name(const struct sim_world *w, uint32_t k, struct tg_arena *arena);
/** @return the user's public name; NULL: none (or out of memory) */
const char *sim_user_username(const struct sim_world *w, uint32_t k, struct tg_arena *arena);
int64_t sim_foreign_id(uint32_t f); /* marked */
/** @return the foreign channel's number, or -1 */
int64_t sim_foreign_number(int64_t marked_id);
struct tl_value *sim_foreign_value(const struct sim_world *w, const struct sim_account *viewer,
                                   uint32_t f, struct tg_arena *arena);
/** Title of a chat or channel, made from its salt. */
const char *sim_title(uint64_t salt, uint8_t script, struct tg_arena *arena);

/* ---- world_text.c ---- */

/* Times of the world: nothing happens after SIM_NOW. */
#define SIM_EPOCH INT64_C(1546300800) /* 2019-01-01 */
#define SIM_NOW INT64_C(1767225600)   /* 2026-01-01 */

enum sim_script {
    SIM_ENGLISH,
    SIM_SPANISH,
    SIM_RUSSIAN,
    SIM_ARABIC,
    SIM_CHINESE,
    SIM_SCRIPTS
};

/** Words of one script. */
struct sim_words {
    const struct tg_str *word;
    uint32_t n;
    const char *space, *comma, *stop;
    uint32_t bytes_8; /* bytes of eight UTF-16 units, at least */
};
extern const struct sim_words sim_words[SIM_SCRIPTS];
extern const struct tg_str sim_emoji[];
extern const uint32_t sim_n_emoji;

enum sim_span_kind {
    SIM_BOLD,
    SIM_ITALIC,
    SIM_UNDERLINE,
    SIM_STRIKE,
    SIM_SPOILER,
    SIM_CODE,
    SIM_PRE,
    SIM_BLOCKQUOTE,
    SIM_TEXT_URL,
    SIM_MENTION_NAME,
    SIM_CUSTOM_EMOJI,
    SIM_URL,
    SIM_MENTION,
    SIM_HASHTAG,
    SIM_CASHTAG,
    SIM_EMAIL,
    SIM_PHONE,
    SIM_COMMAND,
    SIM_SPAN_KINDS
};

/** A stretch of text, in UTF-16 units. */
struct sim_span {
    enum sim_span_kind kind;
    uint32_t at, len;
};

struct sim_said {
    struct tg_str text;
    uint32_t n_spans;
    struct sim_span span[SIM_SPANS_MAX];
};

/** What to say: about `units` UTF-16 units with up to n_spans spans. */
struct sim_say {
    enum sim_script script;
    uint32_t units, n_spans;
    bool mention; /* the first span names a user */
};

/** Draws a text. @return false out of memory */
bool sim_text_make(struct sim_rng *r, const struct sim_say *say, struct tg_arena *arena,
                   struct sim_said *ret);

/* ---- world_plan.c ---- */

enum sim_media {
    SIM_NO_MEDIA,
    SIM_PHOTO,
    SIM_VIDEO,
    SIM_WEBPAGE,
    SIM_VOICE,
    SIM_AUDIO,
    SIM_STICKER,
    SIM_ROUND,
    SIM_GIF,
    SIM_FILE,
    SIM_POLL,
    SIM_GEO,
    SIM_GEO_LIVE,
    SIM_VENUE,
    SIM_CONTACT,
    SIM_DICE,
    SIM_GAME,
    SIM_UNSUPPORTED,
};

enum sim_action {
    SIM_MESSAGE, /* none: an ordinary message */
    SIM_CHAT_CREATE,
    SIM_CHANNEL_CREATE,
    SIM_MIGRATE_TO,
    SIM_MIGRATE_FROM,
    SIM_TOPIC_CREATE,
    SIM_TOPIC_EDIT,
    SIM_ADD_USER,
    SIM_DELETE_USER,
    SIM_JOIN_LINK,
    SIM_JOIN_REQUEST,
    SIM_EDIT_TITLE,
    SIM_EDIT_PHOTO,
    SIM_DELETE_PHOTO,
    SIM_PIN,
    SIM_CALL_START,
    SIM_CALL_END,
    SIM_CALL_INVITE,
    SIM_CALL_PLAN,
    SIM_TTL,
    SIM_SCORE,
    SIM_BOOST,
    SIM_CUSTOM,
    SIM_PHONE_CALL,
    SIM_SCREENSHOT,
    SIM_SIGN_UP,
    SIM_HISTORY_CLEAR,
    SIM_PROXIMITY,
};

enum sim_forward { SIM_OWN, SIM_FROM_USER, SIM_FROM_HIDDEN, SIM_FROM_CHANNEL };

enum { SIM_PLAN_PEOPLE = 4 };

/** Whom and what a message is about; everything else is drawn from `key` when it is built. */
struct sim_plan {
    int64_t id, local;
    uint64_t key;
    enum sim_action action;
    int64_t from;                /* marked id; 0: not said */
    int64_t reply_to, reply_top; /* ids; 0: none */
    bool forum_topic;
    bool reply_quote;
    int64_t topic; /* forum: topic it is in */
    enum sim_media media;
    int64_t album;   /* grouped id; 0: none */
    bool album_head; /* carries the caption */
    enum sim_forward forward;
    int64_t forward_from; /* marked id */
    int64_t via_bot;      /* user ids from here on */
    int64_t mention;
    int64_t contact;
    uint32_t n_people; /* of an action */
    int64_t people[SIM_PLAN_PEOPLE];
    uint32_t n_reactors;
    int64_t reactor[SIM_PLAN_PEOPLE];
    bool reactions, replies;
    int64_t discussion; /* marked id of the group of comments; 0: none */
    bool counted;       /* the thread is part of the world: n_replies, its highest id */
    int32_t n_replies, top_reply;
    int64_t post;       /* of which it is the copy in the discussion group; 0: none */
    uint32_t n_repliers;
    int64_t replier[SIM_PLAN_PEOPLE];
};

/** Plans a message whether the id exists or not. Generated chats only. */
void sim_plan_make(const struct sim_world *w, const struct sim_chat_in *c, int64_t local,
                   struct sim_plan *ret);
/** Calls back with each marked id that a plan names, and the chat itself. */
void sim_plan_peers(const struct sim_chat_in *c, const struct sim_plan *p,
                    void (*seen)(void *ctx, int64_t marked_id), void *ctx);
/** @return whether it is a service message, if it exists. No forums */
bool sim_local_is_service(const struct sim_chat_in *c, int64_t local);
/** @return the topic of a forum's local number: 1 General */
int64_t sim_topic_of(const struct sim_chat_in *c, int64_t local);

/* ---- world_discuss.c ---- */

/** The comments on a post. */
struct sim_thread {
    uint32_t n;
    int64_t top;     /* the newest; 0: none */
    int64_t last[3]; /* the newest of them, in a ring: n counts on */
};

/** @return post of the channel that a local number of its group is the copy of; 0: none */
int64_t sim_discuss_post(const struct sim_world *w, const struct sim_chat_in *group,
                         int64_t local);
/** @return local number of a post's copy in the group; 0: there is none, or it is deleted */
int64_t sim_discuss_root(const struct sim_world *w, const struct sim_chat_in *channel,
                         int64_t post);
/** @return local number of the post's copy that a comment is on, deleted or not; 0: it is none */
int64_t sim_discuss_thread(const struct sim_world *w, const struct sim_chat_in *group,
                           int64_t local);
/** @return when it was sent */
int64_t sim_discuss_date(const struct sim_world *w, const struct sim_chat_in *group, int64_t local);
void sim_discuss_count(const struct sim_world *w, const struct sim_chat_in *group, int64_t root,
                       struct sim_thread *ret);
/** @return how many groups come on top */
uint32_t sim_discuss_groups(const struct sim_world *w, uint32_t n_channels);
/** Makes the nth group that of a channel. */
void sim_discuss_link(struct sim_world *w, struct sim_chat_in *group, struct sim_chat_in *channel,
                      uint32_t nth);

/* ---- world_media.c ---- */

/** What a media file hangs on: its ids are drawn from `key`. */
struct sim_media_at {
    const struct sim_world *w;
    const struct sim_account *viewer;
    const struct sim_chat_in *chat;
    const struct sim_plan *plan;
    int64_t id, date;
    uint64_t key;
    struct tg_arena *arena;
};

/** What a client hands back to fetch the file: it names the message that the file came with. */
void sim_set_reference(struct tl_value *o, const struct sim_media_at *at);
struct tl_value *sim_media_value(const struct sim_media_at *at, enum sim_media media);
struct tl_value *sim_photo_value(const struct sim_media_at *at, uint64_t key);
struct tl_value *sim_peer_value(int64_t marked_id, struct tg_arena *arena);
/** Bytes of a stripped thumbnail; also of profile photos. */
void sim_set_stripped(struct tl_value *o, uint32_t field, uint64_t key, struct tg_arena *arena);

enum sim_file_kind {
    SIM_FILE_PHOTO = 1,
    SIM_FILE_VIDEO,
    SIM_FILE_VOICE,
    SIM_FILE_AUDIO,
    SIM_FILE_STICKER,
    SIM_FILE_ROUND,
    SIM_FILE_GIF,
    SIM_FILE_OTHER,
    SIM_FILE_SIZED, /* of an import: the id carries the size */
};

/** @return a file id that carries its kind */
int64_t sim_file_id(uint64_t key, enum sim_file_kind kind);
/** @return a file id that carries its size, cut to 0..2^33-1 */
int64_t sim_file_id_sized(uint64_t key, int64_t size);

/* ---- world_message.c, world_action.c ---- */

/** One message being built. */
struct sim_build {
    const struct sim_world *w;
    const struct sim_account *viewer;
    const struct sim_chat_in *chat;
    int64_t peer; /* marked id of where it stands */
    const struct sim_plan *plan;
    struct tg_arena *arena;
    int64_t date;
    struct sim_rng rng;
};

/** Puts edits and reactions that a message has got on it (world_live.c). */
void sim_live_dress(struct sim_build *b, struct tl_value *m);
struct tl_value *sim_service_value(struct sim_build *b);
struct tl_value *sim_import_message(const struct sim_world *w, const struct sim_account *viewer,
                                    const struct sim_chat_in *c, int64_t id,
                                    struct tg_arena *arena);

/** Sets reply_to of a message from its plan. */
void sim_set_reply(struct sim_build *b, struct tl_value *m);
/** Sets reactions. */
void sim_set_reactions(struct sim_build *b, struct tl_value *m);
/** Adds entities of a text. */
void sim_set_entities(struct sim_build *b, struct tl_value *o, const struct sim_said *said);

#endif

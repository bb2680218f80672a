/* SPDX-License-Identifier: MIT */
/*
 * page.h - the inside of struct tg_page, shared by the files that open pages and fill rows
 *
 *   reply bytes:  ... | vector | message 0 | message 1 | ... | topics | chats | users |
 *                              ^ start     ^ end; at[] are offsets of the fields from start
 *
 * Where fields stand inside a constructor is resolved by name once per schema, into `shape`; the
 * rows are then filled without looking up a name. Messages are walked once, when the page opens.
 *
 * Threads: none: a page has one owner at a time
 */
#ifndef TG_PAGE_H
#define TG_PAGE_H

#include "telegram/peers.h"
#include "telegram/rows.h"
#include "tl/pieces.h"

enum {
    TG_PAGE_MESSAGE_MAX = 200,
    TG_PAGE_PEER_MAX = 2000, /* users and chats together */
    TG_PAGE_ENTITY_SLOTS = 64,
};

/* What messages and service messages have, under one numbering. name, kind */
#define TG_MESSAGE_FIELDS(X)                                                                       \
    X(id, INT)                                                                                     \
    X(from_id, OBJECT)                                                                             \
    X(peer_id, OBJECT)                                                                             \
    X(fwd_from, OBJECT)                                                                            \
    X(via_bot_id, LONG)                                                                            \
    X(reply_to, OBJECT)                                                                            \
    X(date, INT)                                                                                   \
    X(message, STRING)                                                                             \
    X(media, OBJECT)                                                                               \
    X(entities, VECTOR)                                                                            \
    X(views, INT)                                                                                  \
    X(forwards, INT)                                                                               \
    X(replies, OBJECT)                                                                             \
    X(edit_date, INT)                                                                              \
    X(post_author, STRING)                                                                         \
    X(grouped_id, LONG)                                                                            \
    X(reactions, OBJECT)                                                                           \
    X(ttl_period, INT)                                                                             \
    X(action, OBJECT)                                                                              \
    X(rich_message, OBJECT)                                                                        \
    X(out, TRUE)                                                                                   \
    X(post, TRUE)                                                                                  \
    X(silent, TRUE)                                                                                \
    X(pinned, TRUE)                                                                                \
    X(noforwards, TRUE)

enum tg_message_field {
#define TG_MESSAGE_ENUM(name, kind) TG_M_##name,
    TG_MESSAGE_FIELDS(TG_MESSAGE_ENUM)
#undef TG_MESSAGE_ENUM
        TG_M_COUNT
};

enum tg_message_kind { TG_MESSAGE, TG_MESSAGE_SERVICE, TG_MESSAGE_EMPTY };

/* Fields of other constructors that hot code reads. constructor, field, kind */
#define TG_PAGE_FIELDS(X)                                                                          \
    X(messageReplyHeader, reply_to_msg_id, INT)                                                    \
    X(messageReplyHeader, reply_to_peer_id, OBJECT)                                                \
    X(messageReplyHeader, reply_to_top_id, INT)                                                    \
    X(messageReplyHeader, forum_topic, TRUE)                                                       \
    X(messageFwdHeader, from_id, OBJECT)                                                           \
    X(messageFwdHeader, from_name, STRING)                                                         \
    X(messageFwdHeader, date, INT)                                                                 \
    X(messageFwdHeader, channel_post, INT)                                                         \
    X(messageFwdHeader, saved_from_peer, OBJECT)                                                   \
    X(messageFwdHeader, saved_from_msg_id, INT)                                                    \
    X(messageReplies, replies, INT)                                                                \
    X(messageReactions, results, VECTOR)                                                           \
    X(reactionCount, reaction, OBJECT)                                                             \
    X(reactionCount, count, INT)                                                                   \
    X(messageMediaPhoto, photo, OBJECT)                                                            \
    X(messageMediaPhoto, ttl_seconds, INT)                                                         \
    X(messageMediaPhoto, spoiler, TRUE)                                                            \
    X(messageMediaDocument, document, OBJECT)                                                      \
    X(messageMediaDocument, ttl_seconds, INT)                                                      \
    X(messageMediaDocument, spoiler, TRUE)                                                         \
    X(messageMediaDocument, video, TRUE)                                                           \
    X(messageMediaDocument, round, TRUE)                                                           \
    X(messageMediaDocument, voice, TRUE)                                                           \
    X(messageMediaWebPage, webpage, OBJECT)                                                        \
    X(photo, id, LONG)                                                                             \
    X(photo, sizes, VECTOR)                                                                        \
    X(photoSize, w, INT)                                                                           \
    X(photoSize, h, INT)                                                                           \
    X(photoSize, size, INT)                                                                        \
    X(photoSizeProgressive, w, INT)                                                                \
    X(photoSizeProgressive, h, INT)                                                                \
    X(photoSizeProgressive, sizes, VECTOR)                                                         \
    X(photoCachedSize, w, INT)                                                                     \
    X(photoCachedSize, h, INT)                                                                     \
    X(photoCachedSize, bytes, BYTES)                                                               \
    X(document, id, LONG)                                                                          \
    X(document, mime_type, STRING)                                                                 \
    X(document, size, LONG)                                                                        \
    X(document, attributes, VECTOR)                                                                \
    X(documentAttributeImageSize, w, INT)                                                          \
    X(documentAttributeImageSize, h, INT)                                                          \
    X(documentAttributeVideo, round_message, TRUE)                                                 \
    X(documentAttributeVideo, duration, DOUBLE)                                                    \
    X(documentAttributeVideo, w, INT)                                                              \
    X(documentAttributeVideo, h, INT)                                                              \
    X(documentAttributeAudio, voice, TRUE)                                                         \
    X(documentAttributeAudio, duration, INT)                                                       \
    X(documentAttributeAudio, title, STRING)                                                       \
    X(documentAttributeAudio, performer, STRING)                                                   \
    X(documentAttributeFilename, file_name, STRING)                                                \
    X(documentAttributeSticker, alt, STRING)                                                       \
    X(documentAttributeSticker, stickerset, OBJECT)                                                \
    X(documentAttributeCustomEmoji, alt, STRING)                                                   \
    X(documentAttributeCustomEmoji, stickerset, OBJECT)                                            \
    X(webPage, id, LONG)                                                                           \
    X(webPage, url, STRING)                                                                        \
    X(webPage, type, STRING)                                                                       \
    X(webPage, site_name, STRING)                                                                  \
    X(webPage, title, STRING)                                                                      \
    X(webPage, description, STRING)                                                                \
    X(webPage, photo, OBJECT)                                                                      \
    X(webPage, author, STRING)                                                                     \
    X(webPage, document, OBJECT)                                                                   \
    X(user, id, LONG)                                                                              \
    X(user, first_name, STRING)                                                                    \
    X(user, last_name, STRING)                                                                     \
    X(user, username, STRING)                                                                      \
    X(user, usernames, VECTOR)                                                                     \
    X(user, access_hash, LONG)                                                                     \
    X(user, min, TRUE)                                                                             \
    X(user, bot, TRUE)                                                                             \
    X(user, deleted, TRUE)                                                                         \
    X(channel, id, LONG)                                                                           \
    X(channel, title, STRING)                                                                      \
    X(channel, username, STRING)                                                                   \
    X(channel, usernames, VECTOR)                                                                  \
    X(channel, access_hash, LONG)                                                                  \
    X(channel, min, TRUE)                                                                          \
    X(channel, megagroup, TRUE)                                                                    \
    X(channel, forum, TRUE)                                                                        \
    X(channel, noforwards, TRUE)                                                                   \
    X(channel, left, TRUE)

#define TG_PAGE_INDEX(ctor, field, kind) int8_t ctor##_##field;

/* How the JSON of an entity of one constructor begins. */
struct tg_page_entity {
    uint32_t id;   /* 0: free slot */
    bool plain;    /* nothing but id, offset, length: 12 bytes */
    uint8_t len;
    char text[58]; /* {"type":"bold","offset": */
};

/** Constructors whose objects are opened by a plan. */
#define TG_PAGE_PLANNED(X) X(message) X(messageService) X(user) X(channel) /* as tg_message_kind */
#define TG_PAGE_PLAN(ctor) TG_PLAN_##ctor,
enum { TG_PAGE_PLANNED(TG_PAGE_PLAN) TG_PAGE_PLANS };

/** Where things stand in the objects of one schema. */
struct tg_page_shape {
    const struct tl_schema *schema;
    uint32_t peer_user, peer_chat, peer_channel; /* constructor ids; 0: not as expected */
    uint32_t reaction_emoji, reaction_custom, reaction_paid, reaction_count;
    uint16_t page_type, message_type, chat_type, user_type; /* indexes of tl_type */
    uint32_t message_id[2];                      /* by tg_message_kind; 0: not as expected */
    uint8_t place[2][TL_FIELD_MAX];              /* tg_message_field of each field of theirs */
    int8_t empty_id;                             /* of messageEmpty.id */
    struct tl_plan plan[TG_PAGE_PLANS];          /* of the objects that pages consist of */
    struct {
        TG_PAGE_FIELDS(TG_PAGE_INDEX)
    } ix;
    struct tg_page_entity entity[TG_PAGE_ENTITY_SLOTS];
};

struct tg_page_message {
    const uint8_t *start, *end;
    enum tg_message_kind kind;
    uint32_t at[TG_M_COUNT + 1]; /* offset of the field from start; 0 absent; the last: others */
};

struct tg_page_peer {
    struct tg_str first, last, username; /* a chat's title is first */
    struct tg_peer is;                   /* but for its texts */
};

/** What is needed only while a row is filled; a page is const then, its scratch is not. */
struct tg_page_scratch {
    struct tg_buf json, hash;
};

struct tg_page {
    struct tg_page_shape shape;
    const uint8_t *body;
    size_t len;
    size_t n, cap;
    int32_t id[TG_PAGE_MESSAGE_MAX];
    struct tg_page_message *message;
    struct tg_page_peer *peer;
    size_t n_peers, cap_peers;
    uint16_t *slot; /* marked id -> index + 1 into peer */
    uint32_t slot_mask;
    struct tl_pieces pieces; /* of a reply with a fault, while info.n_bad says so */
    struct tg_page_scratch *scratch;
};

/** Resolves all names. @return false if the schema lacks what every layer has */
bool tg_page_shape_of(struct tg_page_shape *shape, const struct tl_schema *schema);

/** Appends the words of a mixed-case name in lower case with underscores: ChatAddUser as
 *  chat_add_user. */
void tg_page_snake(struct tg_buf *out, const char *name);

/** @return the slot that holds the entity's constructor, or NULL */
const struct tg_page_entity *tg_page_entity_of(const struct tg_page_shape *shape, uint32_t id);

/** Adds a user or chat object that was walked. @return false out of memory */
bool tg_page_peer_add(struct tg_page *p, const struct tl_object *o);
/** Makes the peers findable by id, once all are added. @return false out of memory */
bool tg_page_peer_index(struct tg_page *p);
/** @return NULL if the reply did not tell of it */
const struct tg_page_peer *tg_page_peer_of(const struct tg_page *p, int64_t id);

/** @return the marked id of a boxed Peer that was walked; 0 if it is none */
static inline int64_t tg_page_peer_id(const struct tg_page_shape *shape, const uint8_t *at)
{
    uint32_t id = at ? tg_le32(at) : 0;

    if (id == 0)
        return 0;
    if (id == shape->peer_user)
        return tg_mark_user((int64_t)tg_le64(at + 4));
    if (id == shape->peer_channel)
        return tg_mark_channel((int64_t)tg_le64(at + 4));
    return id == shape->peer_chat ? tg_mark_group((int64_t)tg_le64(at + 4)) : 0;
}

static inline const uint8_t *tg_message_at(const struct tg_page_message *m, enum tg_message_field f)
{
    return m->at[f] ? m->start + m->at[f] : NULL;
}

static inline struct tl_reader tg_message_reader(const struct tg_page_message *m,
                                                 enum tg_message_field f)
{
    return (struct tl_reader){ .at = tg_message_at(m, f), .end = m->end };
}

/**
 * Goes to field number i of the object at the reader, which must be of the constructor named and is
 * known to be whole. Cheaper than opening it: what stands from the field on is not walked. Only for
 * fields that are always there.
 *
 * @return a reader on the field; {NULL, NULL} if it is another object
 */
static inline struct tl_reader tg_page_enter(const struct tl_schema *s, struct tl_reader r,
                                             uint32_t ctor, int i, struct tl_object *ret)
{
    const struct tl_ctor *c = tl_ctor_by_id(s, tl_peek_u32(&r));
    const uint8_t *end = r.end;

    if (!c || c->name != ctor || i < 0 || !tl_object_open_until(s, &r, i - 1, ret))
        return (struct tl_reader){ 0 };
    return (struct tl_reader){ .at = ret->end, .end = end };
}

static inline int32_t tg_message_i32(const struct tg_page_message *m, enum tg_message_field f)
{
    return m->at[f] ? (int32_t)tg_le32(m->start + m->at[f]) : 0;
}

/* ---- filling one row ---- */

struct tg_fill {
    const struct tg_page *page;
    const struct tg_page_shape *shape;
    const struct tg_page_message *message;
    const struct tg_row_options *options;
    struct tg_batch *batch;
    struct tg_row *row;
    struct tg_buf *json;    /* scratch for composed text */
    uint32_t media_hashed;  /* leading bytes of row->media that the content hash covers */
    bool printed;           /* media or action_data holds an object as tl_print_json tells it */
    bool no_memory;
};

/** Sets a text field from a view into the reply, copied if the options say so. */
struct tg_str tg_fill_view(struct tg_fill *f, struct tg_str text);

/** Moves what was composed in the scratch since `from` into the batch. */
struct tg_str tg_fill_take(struct tg_fill *f, size_t from);

/** Composes the object at the reader as JSON without its predicate; "{}" if it has no fields. */
struct tg_str tg_fill_object(struct tg_fill *f, struct tl_reader r);

#define TG_FILL_VIEW(f, field, text)                                                               \
    do {                                                                                           \
        struct tg_str tg_fill_text = (text);                                                       \
        if (tg_fill_text.len)                                                                      \
            TG_ROW_SET((f)->row, field, tg_fill_view((f), tg_fill_text));                          \
    } while (0)

void tg_fill_entities(struct tg_fill *f);
void tg_fill_reactions(struct tg_fill *f);
void tg_fill_media(struct tg_fill *f);
/** Tells the batch where the photo or document at the reader is; thumb: which of its pictures. */
void tg_fill_file(struct tg_fill *f, struct tl_reader r, int64_t size, struct tg_str thumb);

/** Appends an array of entities as JSON from a reader on the vector; for quotes and polls, too. */
void tg_entities_json(const struct tg_page_shape *shape, struct tl_reader r, struct tg_buf *out);

/* media whose details are composed by hand: row_media_json.c */
void tg_media_web_page(struct tg_fill *f, struct tl_reader media, struct tg_json *j);
void tg_media_poll(struct tg_fill *f, const struct tl_object *media, struct tg_json *j);
void tg_media_geo(const struct tl_object *media, struct tg_json *j);
void tg_media_story(struct tg_fill *f, const struct tl_object *media, struct tg_json *j);
void tg_media_game(const struct tl_object *media, struct tg_json *j);

#endif

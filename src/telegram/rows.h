/* SPDX-License-Identifier: MIT */
/*
 * rows.h - from a reply with messages, users and chats to rows of a batch
 *
 * tg_page_open walks the reply once: the vector of messages is cut into its items, users and chats
 * go into a small table by id (names are views into the reply). tg_page_row then fills one row; its
 * strings are views into the reply's buffer where the field is plain text, and arena text where it
 * is composed (entities, reactions, media details as JSON).
 *
 * An object of an unknown constructor does not lose its neighbours: see tg_page_open.
 *
 * Threads: none: value type      Limits: 200 messages, 1000 users, 1000 chats a page
 */
#ifndef TG_ROWS_H
#define TG_ROWS_H

#include "base/row.h"
#include "tl/walk.h"

/** Why and where a reply could not be read to its end. */
enum tg_page_fault {
    TG_PAGE_WHOLE,
    TG_PAGE_BAD_MESSAGE, /* an unknown object inside a message: ask for a smaller id range */
    TG_PAGE_BAD_PEER,    /* inside users or chats: messages are all there, and all other names */
};

struct tg_page; /* pooled by the caller: reuse with tg_page_open */

struct tg_page_info {
    size_t n;             /* messages */
    int32_t total;        /* the server's count, -1 if it did not say */
    int32_t pts;          /* channel pts, 0 if none */
    enum tg_page_fault fault;
    size_t fault_at, fault_len; /* the bytes of the first faulty object; to the end of the reply if
                                   nothing behind it could be read */
    uint32_t fault_constructor;
    size_t n_bad;         /* unreadable objects that stand apart: tg_page_bad */
};

struct tg_page *tg_page_new(void);
void tg_page_free(struct tg_page *p);

/**
 * Reads a messages.Messages object. The bytes must stay until the last row was taken.
 *
 * @return TG_OK (look at ret->fault); TG_PROTOCOL if the bytes are no such object at all
 */
tg_code tg_page_open(struct tg_page *p, const struct tl_schema *schema, const uint8_t *body,
                     size_t len, struct tg_page_info *ret, struct tg_error *err);

/** Ids newest first, as received; n of them. */
const int32_t *tg_page_ids(const struct tg_page *p);
/** @return date of message i, 0 for messageEmpty */
int32_t tg_page_date(const struct tg_page *p, size_t i);
/** Whether message i forbids saving, or is a messageEmpty. */
bool tg_page_is_empty(const struct tg_page *p, size_t i);
/** If message i is messageActionChatMigrateTo / ChannelMigrateFrom: the other chat's marked id. */
int64_t tg_page_migration(const struct tg_page *p, size_t i);

/** A channel's post. */
struct tg_post {
    int64_t chat; /* marked id; 0: none */
    int32_t id;
};

/** @return the post that message i is the copy of: the server forwards each post of a channel to
 *  its discussion group; chat 0: of none */
struct tg_post tg_page_post(const struct tg_page *p, size_t i);
/** @return the first message of the thread that message i stands in, as its row tells; 0: none, or
 *  it is a service message */
int32_t tg_page_thread(const struct tg_page *p, size_t i);

struct tg_row_options {
    int64_t chat_id;      /* marked id that rows carry */
    int64_t owner;        /* see TG_FIELDS */
    bool protected_chat;
    bool forum;
    bool raw;             /* fill `raw` with the whole object as JSON */
    bool files;           /* tell the batch of photos and documents, for downloads */
    bool copy;            /* copy texts into the batch instead of pointing into the reply */
};

/** Fills the next row of the batch from message i. @return TG_END if it is a messageEmpty: no row
 *  was taken; TG_LIMIT if the batch is full, TG_NOMEM, TG_DATA if the message's own bytes make no
 *  sense (quarantine it) */
tg_code tg_page_row(const struct tg_page *p, size_t i, const struct tg_row_options *options,
                    struct tg_batch *batch, struct tg_error *err);

/** Brings message i nearer to the processor, while the row before it is filled: a page waits for
 *  those before it, and is cold by then. */
void tg_page_ahead(const struct tg_page *p, size_t i);

/** Raw bytes of message i, for quarantine. */
void tg_page_bytes(const struct tg_page *p, size_t i, const uint8_t **ret, size_t *ret_len);

/** The bytes of unreadable object i, i < info.n_bad. @return false past the last */
bool tg_page_bad(const struct tg_page *p, size_t i, const uint8_t **ret, size_t *ret_len);

/** Each user and chat of the reply, for the peer cache. */
struct tg_peer;
void tg_page_peers(const struct tg_page *p, void (*seen)(void *ctx, const struct tg_peer *peer),
                   void *ctx);

#endif

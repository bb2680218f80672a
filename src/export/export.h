/* SPDX-License-Identifier: MIT */
/*
 * export.h - a Telegram Desktop export (result.json), read as a stream: one chat, or all of them
 *
 *   { "personal_information": {...}, "chats": { "list": [ CHAT, ... ] }, "left_chats": {...} }
 *   { "name": ..., "type": ..., "id": ..., "messages": [ ... ] }             a CHAT, or alone
 *
 *   while ((code = tg_export_next(e, &event, err)) == TG_OK && event != TG_EXPORT_END)
 *       if (event == TG_EXPORT_MESSAGE)
 *           code = tg_export_parse(e, &json, err) ...
 *
 * The outer structure is walked here, byte by byte; no more of the file is held than one value. A
 * message is handed out as where it stands; whoever wants it has it parsed (jansson, strictly).
 * Values that nobody asks for are only looked through for their end.
 *
 * What a message says, as a row of a batch: export/rows.h. Reading single members: export/members.h
 *
 * Threads: one at a time      Limits: a message of 1 MiB, 48 levels deep; what is passed over
 * may have any size
 */
#ifndef TG_EXPORT_H
#define TG_EXPORT_H

#include <jansson.h>

#include "base/text.h"

enum { TG_EXPORT_VALUE_MAX = 1 << 20, TG_EXPORT_DEPTH_MAX = 48 };

/** Message ids from before a migration are shifted by this: a supergroup's negative ids are those
 *  of the basic group that it was. */
#define TG_EXPORT_SHIFT INT64_C(1000000000)
/** A channel's marked id is minus this minus its id. */
#define TG_EXPORT_CHANNELS INT64_C(1000000000000)

enum tg_export_kind {
    TG_EXPORT_UNKNOWN,
    TG_EXPORT_PRIVATE,
    TG_EXPORT_GROUP,
    TG_EXPORT_SUPERGROUP,
    TG_EXPORT_CHANNEL,
};

enum tg_export_event {
    TG_EXPORT_OWNER,    /* whose export it is: owner_id is known */
    TG_EXPORT_CHAT,     /* a chat begins; nothing of it is known yet */
    TG_EXPORT_MESSAGES, /* its messages begin; name, type and id are known if they stand first */
    TG_EXPORT_MESSAGE,
    TG_EXPORT_CHAT_END,
    TG_EXPORT_END,
};

/** A chat as far as it was read. */
struct tg_export_chat {
    char *title;  /* NULL: none */
    bool has_type;
    enum tg_export_kind kind;
    int64_t id;   /* as written: without mark; 0: none */
    bool has_messages, left;
    bool alone;   /* the file is this chat */
};

/** Where bytes come from. @return TG_OK with *ret_n 0 at the end */
struct tg_export_input {
    tg_code (*read)(void *ctx, void *bytes, size_t n, size_t *ret_n, struct tg_error *err);
    void *ctx;
};

enum tg_export_place {
    TG_EXPORT_IN_FILE,
    TG_EXPORT_IN_CHATS,
    TG_EXPORT_IN_LIST,
    TG_EXPORT_IN_CHAT,
    TG_EXPORT_IN_MESSAGES,
    TG_EXPORT_PLACES,
};

struct tg_export {
    /* to be read by the caller */
    const char *name;             /* of the file, for messages */
    struct tg_export_chat *chat;  /* the one at hand */
    int64_t owner_id;             /* user id of who made the export; 0 not told */
    char *owner_name;             /* first name; NULL not told */
    uint64_t message_at;          /* where the message at hand begins in the file */
    size_t message_len;

    /* own */
    struct tg_export_input input;
    struct tg_buf window; /* what of the file is held */
    size_t at;            /* next byte in it */
    size_t message;       /* begin of the message at hand in it */
    uint64_t passed;      /* bytes before the window */
    uint64_t lines;       /* ends of lines in them */
    bool input_ended, begun, ended;
    enum tg_export_place place;
    bool first[TG_EXPORT_PLACES]; /* nothing was read yet on that level */
    bool left;                    /* inside "left_chats" */
    struct tg_export_chat alone, listed;
};

/** @param name  borrowed, as is the input */
void tg_export_init(struct tg_export *e, const char *name, const struct tg_export_input *input);
void tg_export_done(struct tg_export *e); /* safe on a zeroed struct */

/** Goes on to the next event. @return TG_OK; TG_DATA with file, line and cause; TG_NOMEM; what the
 *  input failed with */
tg_code tg_export_next(struct tg_export *e, enum tg_export_event *ret, struct tg_error *err);

/** @return the id of the message at hand if that stands first in it, as Telegram Desktop writes it;
 *  0: it must be read to know */
int64_t tg_export_peek(const struct tg_export *e);

/** Reads the message at hand. @param ret  to be given back with json_decref */
tg_code tg_export_parse(struct tg_export *e, json_t **ret, struct tg_error *err);

/** Says that the message at hand is wrong, with its line. @return TG_DATA */
tg_code tg_export_fail(const struct tg_export *e, const char *what, struct tg_error *err);

#endif

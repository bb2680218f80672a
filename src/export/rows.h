/* SPDX-License-Identifier: MIT */
/*
 * rows.h - an exported message as a row of a batch
 *
 * A row gets what the export tells, in the form that rows from Telegram have it in; what an export
 * lacks stays absent, nothing is invented:
 *
 *   there    chat_id id owner kind date edit_date sender_id sender_name text entities reply_to_id
 *            reply_to_chat_id forward_from_id forward_from_name forward_date media_kind media_mime
 *            media_name media_size media_width media_height media_duration media reactions
 *            post_author action action_data outgoing post source raw
 *   absent   content_hash sender_username thread_id topic_id forward_message_id album_id media_id
 *            views forwards replies via_bot_id silent pinned protected ttl_s
 *
 *   action       named as Telegram's schema does; one that is not known keeps the export's word
 *   action_data  the members that the export has for that action, under its own names
 *   media        polls, places and what else of files there is as in other rows; contacts too
 *   raw          the exported object, not Telegram's
 *
 * Threads: none: pure functions
 */
#ifndef TG_EXPORT_ROWS_H
#define TG_EXPORT_ROWS_H

#include "base/row.h"
#include "export/members.h"

struct tg_export_row {
    int64_t chat_id; /* marked */
    int64_t owner;   /* as in rows */
    int64_t reader;  /* user id of the account: what it sent itself is outgoing */
    enum tg_export_kind kind;
    bool raw;
};

/**
 * Appends a row for a message whose id and date are right (tg_export_identity), and positive.
 * @return TG_OK; TG_LIMIT: the batch is full; TG_NOMEM: then the row is not in it
 */
tg_code tg_export_row(const json_t *message, const struct tg_export_row *about, struct tg_batch *b,
                      struct tg_error *err);

/* ---- rows.c and media.c share ---- */

struct tg_export_fill {
    const json_t *message;
    const struct tg_export_row *about;
    struct tg_batch *batch;
    struct tg_row *row;
    bool failed; /* out of memory */
};

/** @return text that belongs to the batch; {NULL, 0}, and failed, out of memory */
struct tg_str tg_export_keep(struct tg_export_fill *f, const void *text, size_t len);
/** Fills media_kind to media (media.c). */
void tg_export_media(struct tg_export_fill *f);

/** Sets a text column to a member's text, if it has one that is not empty. */
#define TG_EXPORT_SET(f, column, text_)                                                            \
    do {                                                                                           \
        const char *text_set = (text_);                                                            \
        if (text_set && *text_set)                                                                 \
            TG_ROW_SET((f)->row, column, tg_export_keep((f), text_set, strlen(text_set)));         \
    } while (0)

#endif

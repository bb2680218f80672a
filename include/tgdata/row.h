/* SPDX-License-Identifier: MIT */
/*
 * row.h - one extracted message as a row of named, typed fields
 *
 * The table TG_FIELDS declares each field once: its name in every output, its type, its meaning.
 * The struct, the JSON and CSV encoders, database schemas, `tgdata schema` and the docs are read
 * from it. New fields are appended, so an older program still reads what it knows.
 *
 * Threads: rows are read-only once their batch is delivered.
 */
#ifndef TGDATA_ROW_H
#define TGDATA_ROW_H

#include <stddef.h>

#include "tgdata/error.h"

#ifdef __cplusplus
extern "C" {
#endif

/** How a field is stored and written. */
enum tg_field_type {
    TG_FIELD_I64,  /**< 64-bit integer */
    TG_FIELD_TIME, /**< Unix seconds; written as 2024-01-15T10:30:00Z */
    TG_FIELD_BOOL, /**< absent means false and is not written */
    TG_FIELD_STR,  /**< UTF-8 text */
    TG_FIELD_JSON, /**< text that is valid JSON */
};

/* name, type, meaning. Ids are marked as bots see them: users > 0, groups < 0, channels -100... */
#define TG_FIELDS(X)                                                                               \
    X(chat_id, I64, "marked id of the chat")                                                       \
    X(id, I64, "message id, unique within its chat (within its account for private chats)")        \
    X(owner, I64, "0 in channels and supergroups, else the account's user id: ids belong to it")   \
    X(kind, STR, "message or service")                                                             \
    X(date, TIME, "when it was sent")                                                              \
    X(edit_date, TIME, "when it was last edited; also moves on a first reaction")                  \
    X(content_hash, STR, "XXH3-128 of the content without reactions and counters, hex")            \
    X(sender_id, I64, "marked id of the sender; absent for channel posts")                         \
    X(sender_name, STR, "name or title of the sender, as the reply told it")                       \
    X(sender_username, STR, "username of the sender")                                              \
    X(text, STR, "message text or media caption")                                                  \
    X(entities, JSON, "formatting: array of {type, offset, length, ...}, UTF-16 units")            \
    X(reply_to_id, I64, "id of the message it answers")                                            \
    X(reply_to_chat_id, I64, "chat of that message when it is another")                            \
    X(thread_id, I64, "id of the thread's first message")                                          \
    X(topic_id, I64, "forum topic; 1 is General")                                                  \
    X(forward_from_id, I64, "marked id of the original sender")                                    \
    X(forward_from_name, STR, "name of the original sender when the account is hidden")            \
    X(forward_message_id, I64, "id of the original channel post")                                  \
    X(forward_date, TIME, "when the original was sent")                                            \
    X(album_id, I64, "equal for the items of one album")                                           \
    X(media_kind, STR, "photo, video, document, audio, voice, sticker, web_page, poll, ...")       \
    X(media_id, I64, "id of the photo or document")                                                \
    X(media_mime, STR, "MIME type of the document")                                                \
    X(media_name, STR, "file name")                                                                \
    X(media_size, I64, "bytes of the file")                                                        \
    X(media_width, I64, "pixels")                                                                  \
    X(media_height, I64, "pixels")                                                                 \
    X(media_duration, I64, "seconds, rounded down")                                                \
    X(media, JSON, "what else the media tells: web page, poll, location, contact, ...")            \
    X(views, I64, "view count")                                                                    \
    X(forwards, I64, "forward count")                                                              \
    X(replies, I64, "number of replies or comments")                                               \
    X(reactions, JSON, "array of {reaction, count}")                                               \
    X(via_bot_id, I64, "bot that the message was sent through")                                    \
    X(post_author, STR, "signature of a channel post")                                             \
    X(action, STR, "service action, such as chat_add_user")                                        \
    X(action_data, JSON, "the service action's fields")                                            \
    X(outgoing, BOOL, "sent by the account that reads")                                            \
    X(post, BOOL, "a channel post")                                                                \
    X(silent, BOOL, "sent without notification")                                                   \
    X(pinned, BOOL, "pinned")                                                                      \
    X(protected, BOOL, "the chat forbids saving content")                                          \
    X(ttl_s, I64, "self-destruction period in seconds")                                            \
    X(raw, JSON, "the whole object as received (--raw)")                                           \
    X(source, STR, "archive or export: a fallback's row; absent: it came from Telegram")           \
    X(comment_of_chat_id, I64, "channel of the post it is a comment on, or the group's copy of")   \
    X(comment_of_id, I64, "id of that post (both: --include-replies)")                             \
    X(media_path, STR, "where the file is, below the directory of --media")                        \
    X(media_sha256, STR, "SHA-256 of that file, hex")                                              \
    X(media_error, STR, "why there is no file though one was wanted (--media)")                    \
    X(extracted_timestamp, TIME, "when the stage enrich saw it")                                   \
    X(word_count, I64, "words of the text (enrich)")                                               \
    X(has_media, BOOL, "it has media (enrich)")                                                    \
    X(change, STR, "new, edited, reactions or deleted; absent: it was read, as extract does")      \
    X(change_seq, I64, "number of the change within its job, from 1, with holes")                  \
    X(change_pts, I64, "state of the chat's updates behind the change")                            \
    X(change_date, TIME, "when the server told of the change")                                     \
    X(before, JSON, "the row as it was before the change (--keep-versions)")                       \
    X(extra, JSON, "what expressions added")

enum tg_field_id {
#define TG_FIELD_ENUM(name, type, meaning) TG_F_##name,
    TG_FIELDS(TG_FIELD_ENUM)
#undef TG_FIELD_ENUM
        TG_FIELD_COUNT
};

struct tg_field {
    const char *name;
    enum tg_field_type type;
    const char *meaning;
};

/** @return the table's row for a field, 0 <= id < TG_FIELD_COUNT */
TG_API const struct tg_field *tg_field(enum tg_field_id id);

struct tg_row; /* opaque: read through the functions below */

/** @return whether the field has a value */
TG_API bool tg_row_has(const struct tg_row *row, enum tg_field_id id);

/** @return the value of an I64, TIME or BOOL field; 0 if absent */
TG_API int64_t tg_row_int(const struct tg_row *row, enum tg_field_id id);

/**
 * @param ret_len  bytes; may be NULL
 * @return the value of a STR or JSON field, not NUL-terminated, valid as long as the batch; NULL if
 *         absent
 */
TG_API const char *tg_row_text(const struct tg_row *row, enum tg_field_id id, size_t *ret_len);

#ifdef __cplusplus
}
#endif
#endif

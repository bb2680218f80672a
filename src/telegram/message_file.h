/* SPDX-License-Identifier: MIT */
/*
 * message_file.h - messages asked for again, for the places of their files: the references in them
 * end after some hours
 *
 * Threads: none
 */
#ifndef TG_MESSAGE_FILE_H
#define TG_MESSAGE_FILE_H

#include "base/row.h"
#include "telegram/client.h"

enum { TG_MESSAGES_ASKED = 100 }; /* at once, at most */

/** Appends the request for messages of a chat. @return its method; NULL: this account has no access
 *  to the chat */
const char *tg_messages_ask(struct tgc *c, int64_t chat_id, const int32_t *id, size_t n,
                            struct tg_buf *out);
/** Appends the request for the comments on a channel's post from that one on. @return as above */
const char *tg_comments_ask(struct tgc *c, int64_t channel_id, int32_t post, int32_t from,
                            struct tg_buf *out);

/** Reads the messages of an answer and their files. @param ret  room for TG_MESSAGES_ASKED rows */
tg_code tg_message_files_read(struct tgc *c, const struct tgc_reply *reply, struct tg_batch *ret,
                              struct tg_error *err);
/** @return the file of a message that was read so; NULL: it is gone, or has no file any more */
const struct tg_row_file *tg_message_file(const struct tg_batch *read, int64_t id);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * message_file.h - one message asked for again, for the place of its file: the reference in it ends
 * after some hours
 *
 * Threads: none
 */
#ifndef TG_MESSAGE_FILE_H
#define TG_MESSAGE_FILE_H

#include "base/row.h"
#include "telegram/client.h"

/** Appends the request for messages of a chat. @return its method; NULL: this account has no access
 *  to the chat */
const char *tg_messages_ask(struct tgc *c, int64_t chat_id, const int32_t *id, size_t n,
                            struct tg_buf *out);

/**
 * Reads the answer.
 * @param scratch   a batch with room for a row; owns what ret_file points to
 * @param ret_file  NULL: the message is gone, or has no file any more
 */
tg_code tg_message_file_read(struct tgc *c, const struct tgc_reply *reply, int64_t id,
                             struct tg_batch *scratch, const struct tg_row_file **ret_file,
                             struct tg_error *err);

#endif

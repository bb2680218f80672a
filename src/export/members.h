/* SPDX-License-Identifier: MIT */
/*
 * members.h - single members of an exported message: ids, numbers, dates, pieces of text
 *
 * Nothing of what stands in a file is trusted: a member of another type than expected is as good as
 * none.
 *
 * Threads: none: pure functions
 */
#ifndef TG_EXPORT_MEMBERS_H
#define TG_EXPORT_MEMBERS_H

#include "export/export.h"

/** @return the kind of a chat's "type"; TG_EXPORT_UNKNOWN */
enum tg_export_kind tg_export_kind_of(const char *type);
/** @return the marked id of a chat of that kind; 0 if the id is none */
int64_t tg_export_marked(enum tg_export_kind kind, int64_t id);

const char *tg_export_str(const json_t *o, const char *key); /* NULL: absent or no string */
int64_t tg_export_num(const json_t *o, const char *key, int64_t absent); /* also in quotes */
/** @return Unix seconds of the first of both members that is a time; `absent` */
int64_t tg_export_time(const json_t *o, const char *unix_key, const char *text_key,
                       int64_t absent);

/** @return the marked id of "user123", "chat123", "channel123" (or a bare number: a user); 0 if it
 *  is none */
int64_t tg_export_peer(const json_t *v);

/** A stretch of a message's text. `piece` tells what it is; NULL: plain. */
typedef void (*tg_export_piece)(void *ctx, const char *text, size_t len, const json_t *piece);

/** The text, piece by piece: newer exports have "text_entities", older ones "text" as a string, or
 *  a list of strings and objects. Pieces without text are left out. */
void tg_export_text(const json_t *message, tg_export_piece seen, void *ctx);

/** The id and date of a message. The id as written: negative ones are an old group's, shifted.
 *  @return NULL, or what is wrong with it */
const char *tg_export_identity(const json_t *message, int64_t *ret_id, int64_t *ret_date);

#endif

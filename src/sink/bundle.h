/* SPDX-License-Identifier: MIT */
/*
 * bundle.h - rows as messages that are sent with one request
 *
 *   text     [message|message|message|      each with one byte behind it, and one before the first
 *   packed   the rows themselves, for the one that is refused; of messages that came ready, nothing
 *
 * Threads: one at a time      Limits: given at construction; a row of 80 MiB
 */
#ifndef TG_SINK_BUNDLE_H
#define TG_SINK_BUNDLE_H

#include "sink/message.h"

struct tg_bundle_item {
    size_t at, end; /* of the message, in text */
    size_t packed;  /* of the row */
};

struct tg_bundle {
    struct tg_buf text, packed;
    struct tg_bundle_item *item;
    size_t n, cap; /* messages; room for them, which stays */
};

/** @param cap  most messages @return false: out of memory */
bool tg_bundle_init(struct tg_bundle *b, size_t cap);
void tg_bundle_done(struct tg_bundle *b);
void tg_bundle_clear(struct tg_bundle *b);

/** Appends a row's message, not beyond `cap`. @return TG_LIMIT: too large, or out of memory; then
 *  nothing was added */
tg_code tg_bundle_add(struct tg_bundle *b, const struct tg_message_format *format,
                      const struct tg_message_about *about, const struct tg_row *row,
                      struct tg_error *err);

/** The same of a message that is ready. */
tg_code tg_bundle_put(struct tg_bundle *b, struct tg_str message, struct tg_error *err);

/** Takes the last message back. */
void tg_bundle_undo(struct tg_bundle *b);

/** Drops the first n messages. */
void tg_bundle_drop(struct tg_bundle *b, size_t n);

/** The row of message i, which did not come ready; its texts point into the bundle. */
void tg_bundle_row(const struct tg_bundle *b, size_t i, struct tg_row *ret);

#endif

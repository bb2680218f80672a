/* SPDX-License-Identifier: MIT */
/*
 * log_text.h - a record of a log as bytes: a line of text, of JSON, an entry of the journal
 *
 * The journal's native protocol is a datagram of fields, "NAME=value\n", or, for a value with line
 * ends in it, "NAME\n", its length as 64 bits little endian, the value, "\n".
 *
 * Threads: none: pure
 */
#ifndef TG_OBSERVE_LOG_TEXT_H
#define TG_OBSERVE_LOG_TEXT_H

#include "base/buf.h"
#include "observe/span.h"
#include "tgdata/log.h"

/** "error", "warning", "info" */
extern const char *const tg_log_level_name[];

/** What all records of a log have, or one by where it happens. */
struct tg_log_of {
    const char *job;          /* NULL: of none */
    struct tg_span_link span; /* span 0: of none that is traced */
};

void tg_log_put_json(struct tg_buf *out, const struct tg_log_record *r,
                     const struct tg_log_of *of, int64_t unix_us);
void tg_log_put_text(struct tg_buf *out, const struct tg_log_record *r, const char *job,
                     int64_t unix_us);
/** The journal has a clock of its own. */
void tg_log_put_journal(struct tg_buf *out, const struct tg_log_record *r,
                        const struct tg_log_of *of);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * bad_record.h - what the quarantine keeps of a record that cannot be decoded
 *
 * Threads: none: pure functions      Limits: 700 KiB of its bytes
 */
#ifndef TG_BAD_RECORD_H
#define TG_BAD_RECORD_H

#include "base/buf.h"

enum { TG_BAD_RECORD_NAME = 48 };

struct tg_bad_record {
    int64_t chat_id, id; /* id 0: none is known */
    const char *reason;
    const void *bytes;
    size_t len;
};

/** Starts the buffer with the record as JSON, and names it: by its id, else by its bytes. */
void tg_bad_record_write(const struct tg_bad_record *record, struct tg_buf *out,
                         char name[TG_BAD_RECORD_NAME]);

#endif

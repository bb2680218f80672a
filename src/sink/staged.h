/* SPDX-License-Identifier: MIT */
/*
 * staged.h - the rows of one chat that wait for their commit
 *
 *   write --> packed in memory --(all chats hold more than the bound)--> a file without a name
 *   commit <-- file, then memory: in the order of writing
 *
 * Who sends rows in a form that is known when they are written keeps them as that, in records of
 * its own (tg_staged_begin), instead of packed.
 *
 * For destinations that take rows and cursor in one transaction: chats commit each in their own
 * time, so that an open transaction could not hold the rows of several. What was not committed
 * leaves no trace.
 *
 * Threads: one at a time      Limits: a row of 80 MiB
 */
#ifndef TG_SINK_STAGED_H
#define TG_SINK_STAGED_H

#include "base/row.h"
#include "os/scratch.h"

/** What the chats of a sink hold in memory together. */
struct tg_staged_room {
    size_t held, most;
};

struct tg_staged {
    struct tg_staged_room *room;
    struct tg_buf rows; /* the newest ones: records, each behind its length of 4 bytes */
    size_t last;        /* where the one in hand begins */
    struct tg_scratch file;
    uint64_t n;
};

void tg_staged_init(struct tg_staged *s, struct tg_staged_room *room);
/** Copies a row. @return TG_LIMIT a row too large; TG_NOMEM; TG_FULL, TG_IO of the file */
tg_code tg_staged_add(struct tg_staged *s, const struct tg_row *row, struct tg_error *err);

/** Gets each row, whose texts are valid during the call. Another code than TG_OK ends it. */
typedef tg_code (*tg_staged_row)(void *ctx, const struct tg_row *row, struct tg_error *err);
tg_code tg_staged_each(struct tg_staged *s, tg_staged_row each, void *ctx, struct tg_error *err);

/**
 * A record of the caller's own: it is appended to what begin gives, and counted by end, which drops
 * it if it fails (as tg_staged_add). All of a chat's until tg_staged_clear are such, or none is.
 * @param row  whose record it is, for the failure
 */
struct tg_buf *tg_staged_begin(struct tg_staged *s);
tg_code tg_staged_end(struct tg_staged *s, const struct tg_row *row, struct tg_error *err);

/** As tg_staged_row. @param stays  the bytes are valid until tg_staged_clear */
typedef tg_code (*tg_staged_record)(void *ctx, const uint8_t *record, size_t len, bool stays,
                                    struct tg_error *err);
tg_code tg_staged_records(struct tg_staged *s, tg_staged_record each, void *ctx,
                          struct tg_error *err);

/** What is there; and what was added since then is dropped. */
struct tg_staged_mark {
    uint64_t bytes, n;
};
struct tg_staged_mark tg_staged_mark(const struct tg_staged *s);
void tg_staged_cut(struct tg_staged *s, struct tg_staged_mark to);

void tg_staged_clear(struct tg_staged *s);
void tg_staged_done(struct tg_staged *s);

#endif

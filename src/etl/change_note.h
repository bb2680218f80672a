/* SPDX-License-Identifier: MIT */
/*
 * change_note.h - what one commit changes of what a job of changes remembers, as bytes
 *
 *   "tgce" | version, 1 | job, 8 | fields, 8 | number of the commit, 8 | checksum of the note
 *   before, 8 | items | XXH3-64 of all before, 8                         (numbers little endian)
 *
 * The job is the XXH3-64 of its name, `fields` are those that are signed. An item is its kind,
 * 1 byte, and (numbers as base/varint.h has them, signed ones zigzag)
 *
 *   box       channel, pts, qts, seq, date
 *   no box    channel
 *   chat      id, owner: whose the items behind it are, until the next one
 *   message   id, from that of the item before; if edited: date, from the one before | content, 8
 *             | if reactions: 4                   its kind says which there are
 *   deleted   id, from that of the item before
 *   scan      scanned_to, scan_end, 1 if the baseline is done, else 0
 *
 * Threads: value types
 */
#ifndef TG_CHANGE_NOTE_H
#define TG_CHANGE_NOTE_H

#include "etl/change_journal.h"
#include "flow/signature_window.h"
#include "telegram/updates.h"

/** Whose note it is. */
struct tg_change_of {
    uint64_t job, fields;
};

struct tg_change_of tg_change_of(const char *job, uint64_t fields);

/** How far a scan is; see change_state.h. */
struct tg_change_scan {
    int64_t to, end;
    bool scanned;
};

enum tg_change_item_kind {
    TG_CHANGE_ITEM_BOX,
    TG_CHANGE_ITEM_NO_BOX,
    TG_CHANGE_ITEM_MESSAGE,
    TG_CHANGE_ITEM_DELETED,
    TG_CHANGE_ITEM_SCAN
};

struct tg_change_item {
    enum tg_change_item_kind kind;
    int64_t chat;  /* or the channel of a box */
    int64_t owner; /* of the chat */
    union {
        struct tg_update_state box;
        struct tg_signature signature; /* of one that is deleted the id alone */
        struct tg_change_scan scan;
    };
};

/** A note being written; `out` is set up by whoever owns it. */
struct tg_change_note {
    struct tg_buf out;
    int64_t chat, owner, last_id, last_edit;
    bool any; /* item */
};

void tg_change_note_begin(struct tg_change_note *e, struct tg_change_of of);
void tg_change_note_add(struct tg_change_note *e, const struct tg_change_item *item);
/** The bytes are whole then, if out has not failed.
 *  @param before  checksum of the note before. @return its own */
uint64_t tg_change_note_finish(struct tg_change_note *e, uint64_t seq, uint64_t before);

typedef void (*tg_change_item_seen)(void *ctx, const struct tg_change_item *item);

/** Calls `seen` for each item, in order.
 *  @param sum  in: checksum of the note before; out: of this one, if it is whole
 *  @return TG_OK; TG_CORRUPT: not the bytes that were written for that commit, then `seen` may have
 *          been called for some */
tg_code tg_change_note_read(struct tg_change_of of, uint64_t seq, const void *bytes, size_t len,
                            uint64_t *sum, tg_change_item_seen seen, void *ctx,
                            struct tg_error *err);

#endif

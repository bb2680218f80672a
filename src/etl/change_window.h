/* SPDX-License-Identifier: MIT */
/*
 * change_window.h - the signatures of a chat in memory: packed windows, and changes beside them
 *
 *      1                from                from
 *      |---- window -----|----- window ------|---- window ...   TG_WINDOW_ID_MAX
 *         base: bytes       base: bytes         base: not loaded
 *         ops                                   ops
 *
 * The windows of a chat cover all ids. A window's base is what flow/signature_window.h makes of it;
 * to change one signature in that all of it would have to be written anew, so changes are gathered
 * as ops beside the base, by id, until they are some dozens. Each has the number of the commit that
 * it is part of: only what is committed is merged into the base, so that a base may be stored at
 * any time. A window that grows is cut.
 *
 * A window that is as stored may be without its bytes; then they must be loaded before it is merged
 * or looked into.
 *
 * After TG_NOMEM windows are only good to be freed.
 *
 * Threads: one at a time
 */
#ifndef TG_CHANGE_WINDOW_H
#define TG_CHANGE_WINDOW_H

#include "flow/signature_window.h"

enum { TG_CHANGE_OPS = 32 }; /* of a window, before they are merged */

/** A message is there with that signature, or deleted, from that commit on. */
struct tg_change_op {
    int64_t id, edit_date;
    uint64_t content;
    uint32_t reactions;
    bool there;
    uint64_t seq;
};

struct tg_change_window {
    int64_t from;             /* it ends where the next one begins */
    uint8_t *bytes;           /* base; NULL: not loaded, or empty (sum 0) */
    uint64_t sum;             /* of the base; 0: of one without signatures */
    uint32_t len, n;          /* of the base */
    struct tg_change_op *op;  /* by id, those of one id by commit */
    uint32_t n_ops, cap_ops, merge_at;
    /* its document */
    uint32_t stored_len, stored_n, round; /* round: of compaction, in which it was looked at */
    uint64_t stored_sum;
    uint64_t version;         /* newest, if known */
    bool version_known;
    bool stored;              /* there is one, of these ids: with stored_sum (0: none is needed) */
    bool prune;               /* it has versions that nobody needs any more */
    bool used;                /* since memory was last short */
};

struct tg_change_windows {
    struct tg_change_window *at;
    size_t n, cap;
};

/** Memory to merge in, and how much windows have. */
struct tg_change_room {
    struct tg_signature *base, *out; /* TG_WINDOW_MAX; cap */
    size_t cap;
    struct tg_buf bytes;
    size_t packed, beside; /* bytes of bases; of ops and windows */
};

/** One window that covers all, empty. @return false: no memory */
bool tg_change_windows_begin(struct tg_change_windows *ws, struct tg_change_room *room);
/** Makes room for n windows in all. */
bool tg_change_windows_reserve(struct tg_change_windows *ws, size_t n,
                               struct tg_change_room *room);
void tg_change_windows_done(struct tg_change_windows *ws, struct tg_change_room *room);
void tg_change_room_done(struct tg_change_room *room);

/** @return index of the window with that id */
size_t tg_change_windows_find(const struct tg_change_windows *ws, int64_t id);
/** @return last id of a window */
int64_t tg_change_window_to(const struct tg_change_windows *ws, size_t i);

/** Adds a change; it replaces an earlier one of the same commit. @return false: no memory */
bool tg_change_window_put(struct tg_change_window *w, const struct tg_change_op *op,
                          struct tg_change_room *room);

/** @return the newest op of that id; NULL */
const struct tg_change_op *tg_change_window_op(const struct tg_change_window *w, int64_t id);

static inline bool tg_change_window_loaded(const struct tg_change_window *w)
{
    return w->bytes || !w->sum;
}

/** Looks into a window that is loaded. */
bool tg_change_window_look(const struct tg_change_window *w, int64_t id, struct tg_signature *ret);

/** Takes bytes as read for the base: those with the checksum `sum`. They are copied.
 *  @return TG_OK; TG_CORRUPT: others; TG_NOMEM */
tg_code tg_change_window_load(struct tg_change_windows *ws, size_t i,
                              const struct tg_window_owner *of, const void *bytes, size_t len,
                              struct tg_change_room *room, struct tg_error *err);
/** Leaves out the bytes of one that is as stored. */
void tg_change_window_unload(struct tg_change_window *w, struct tg_change_room *room);
/** The base is empty, and nothing is stored of it: after damage. */
void tg_change_window_empty(struct tg_change_window *w, struct tg_change_room *room);

static inline bool tg_change_window_dirty(const struct tg_change_window *w)
{
    return !w->stored || w->sum != w->stored_sum;
}

/**
 * All signatures of a window that is loaded, as of that commit, in room->out.
 * @return TG_OK; TG_NOMEM; TG_CORRUPT: memory was overwritten
 */
tg_code tg_change_window_view(const struct tg_change_windows *ws, size_t i,
                              const struct tg_window_owner *of, uint64_t seq,
                              struct tg_change_room *room, struct tg_signatures *ret,
                              struct tg_error *err);

/** Merges what is committed up to `seq` into the base of a window that is loaded, and cuts it if
 *  it has grown: then there are windows behind it, in none of which anything is stored. */
tg_code tg_change_window_merge(struct tg_change_windows *ws, size_t i,
                               const struct tg_window_owner *of, uint64_t seq,
                               struct tg_change_room *room, struct tg_error *err);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * signature_window.h - the signatures of an id window of a chat as bytes, and how a chain of them
 *                      is known to be whole
 *
 * The ids 1..top of a chat (of one segment) are cut into windows without gap or overlap, each an
 * object of its own in the state store, read and replaced alone: a chat of ten million messages
 * never stands in memory. A window is begun when the last holds TG_WINDOW_CUT signatures; it
 * shrinks as messages are deleted.
 *
 *   "tgsw" | version, 1 | fields, 8 | chat_id, 8 | owner, 8 | segment, 4 | from, 8 | to, 8 | n, 4 |
 *   n signatures | XXH3-64 of all before, 8                                 (numbers little endian)
 *
 *   signature = varint: (id - the one before - 1) << 2 | has edit_date << 1 | has reactions
 *             | if edited: zigzag varint, edit_date - that of the last edited one before
 *             | content, 8 | if reactions: 4
 *
 * So 9 bytes for a plain message next to its neighbour, 18 for the dearest usual one. There is one
 * encoding of a window only. What is read must be exact: whose it is, how it was signed, order,
 * range, length, checksum.
 *
 * A checksum does not find an object that is gone, or is an older one of the same window (a backup
 * half restored). Nor does a window know what reached the destination when a process was killed
 * before it was stored: a message may have been delivered and be deleted before the next run. For
 * that a head stands beside the windows, written before what it speaks of:
 *
 *   now, next   where the windows end and the sum of their checksums: as it is, and as it will be
 *               after the replacement under way (two objects are never written at once)
 *   open        ids whose changes are on their way to the destination
 *   unread      ids from top+1 to this one may be at the destination, though in no window
 *
 *   for each range with changes:  tg_window_open, write the head, deliver until it is committed,
 *                                 tg_window_replace, write the head, write the window,
 *                                 tg_window_close
 *   at the end, all ids read:     unread = 0, write the head
 *
 * A process killed anywhere leaves a head that agrees with the windows, and what is open or unread
 * is unknown to the next run (tg_window_known; flow/compare.h), not taken for what was stored. What
 * is read agrees with neither extent if a window is lost, stale, foreign or twice there. Then no
 * window of the chain is to be trusted, since nobody can say which are stale: tg_window_reset, and
 * the chat is read anew. A backup restored as a whole agrees with itself, so whoever restores one
 * resets the head. The head itself must be the last that was written: of an older one that agrees,
 * too, nobody can tell what it does not say is open.
 *
 *   "tgsh" | version, 1 | fields, 8 | chat_id, 8 | owner, 8 | segment, 4 | now: top, 8, sum, 8 |
 *   next: the same | open_from, 8 | open_to, 8 | unread_to, 8 | XXH3-64 of all before, 8
 *
 * Threads: value types      Limits: TG_WINDOW_MAX signatures in a window; ids 1..TG_WINDOW_ID_MAX
 */
#ifndef TG_SIGNATURE_WINDOW_H
#define TG_SIGNATURE_WINDOW_H

#include "flow/signature.h"

enum { TG_WINDOW_CUT = 1024, TG_WINDOW_MAX = 4096 };
#define TG_WINDOW_ID_MAX (INT64_C(1) << 60)

/** Whose windows they are, and which fields are signed. */
struct tg_window_owner {
    int64_t chat_id, owner;
    int32_t segment;
    uint64_t fields;
};

/** Bytes of a window at most, of a head always. */
enum { TG_WINDOW_BYTES = 53 + TG_WINDOW_MAX * 32 + 8, TG_WINDOW_HEAD_BYTES = 33 + 7 * 8 + 8 };

/**
 * Appends the window's bytes.
 *
 * @param w  valid, within the limits
 * @return its checksum, for the head; out may have failed (as base/buf.h)
 */
uint64_t tg_window_put(const struct tg_window_owner *of, struct tg_signatures w,
                       struct tg_buf *out);

/**
 * Reads a window back.
 *
 * @param room     TG_WINDOW_MAX signatures, where ret points into
 * @param ret_sum  its checksum
 * @return TG_OK; TG_CORRUPT: the bytes are not what was written, or another chat's, or signed
 *         otherwise; nothing of them is to be used, room is undefined
 */
tg_code tg_window_take(const struct tg_window_owner *of, const void *bytes, size_t len,
                       struct tg_signature *room, struct tg_signatures *ret, uint64_t *ret_sum,
                       struct tg_error *err);

/** Looks one up in bytes that tg_window_take has accepted once, without reading all of them.
 *  @return false: it is not among them */
bool tg_window_find(const void *bytes, size_t len, int64_t id, struct tg_signature *ret);

/** The first window's worth of signatures: at most n, up to the last one's id; up to the end if
 *  there are no more. */
struct tg_signatures tg_window_first(struct tg_signatures s, size_t n);

/* ---- the chain ---- */

/** Where a chain of windows ends, and the sum of their checksums. {0, 0}: there are none. */
struct tg_window_extent {
    int64_t top;
    uint64_t sum;
};

/** What stands beside the windows; begun with tg_window_reset. */
struct tg_window_head {
    struct tg_window_extent now, next;
    int64_t open_from, open_to; /* {1, 0}: none */
    int64_t unread_to;          /* 0: none */
};

/** Nothing is known: of a chat's first run, and after windows that are not to be trusted. */
void tg_window_reset(struct tg_window_head *head);

/** Appends the head's bytes, TG_WINDOW_HEAD_BYTES of them. */
void tg_window_head_put(const struct tg_window_owner *of, const struct tg_window_head *head,
                        struct tg_buf *out);

/** Reads a head back. One that is lost or broken is begun anew with tg_window_reset; then only an
 *  empty chain is whole. @return TG_OK; TG_CORRUPT as tg_window_take; ret is untouched then */
tg_code tg_window_head_take(const struct tg_window_owner *of, const void *bytes, size_t len,
                            struct tg_window_head *ret, struct tg_error *err);

/** Before changes of the ids from..to are delivered. What was open before stays so. */
void tg_window_open(struct tg_window_head *head, int64_t from, int64_t to);

/** After the window with from..to is stored: `next` has come true. */
void tg_window_close(struct tg_window_head *head, int64_t from, int64_t to);

/** @param to  in: up to where somebody asks; out: up to where the answer holds
 *  @return whether from..to are at the destination as the windows say */
bool tg_window_known(const struct tg_window_head *head, int64_t from, int64_t *to);

/** Before a window is written: `next` is how it will be then; the former `next` has come true.
 *
 * @param old_sum  checksum of the window that is replaced; 0: the new one is put behind the last
 * @param top      where the chain ends then
 */
void tg_window_replace(struct tg_window_head *head, uint64_t old_sum, uint64_t new_sum,
                       int64_t top);

/** Adds the next window of the chain, lowest ids first. @return false: a gap or an overlap */
bool tg_window_chain_add(struct tg_window_extent *chain, int64_t from, int64_t to, uint64_t sum);

/** Whether all windows that were added are all there are, and none is stale. Makes the head say how
 *  they are. @return false: nothing of the chain is to be trusted; the head is untouched */
bool tg_window_chain_whole(const struct tg_window_extent *chain, struct tg_window_head *head);

#endif

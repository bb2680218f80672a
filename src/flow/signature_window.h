/* SPDX-License-Identifier: MIT */
/*
 * signature_window.h - the signatures of an id window of a chat as bytes
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
 * half restored): whoever stores windows remembers each one's (etl/change_doc.h).
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

/** Bytes of a window at most. */
enum { TG_WINDOW_BYTES = 53 + TG_WINDOW_MAX * 32 + 8 };

/**
 * Appends the window's bytes.
 *
 * @param w  valid, within the limits
 * @return its checksum; out may have failed (as base/buf.h)
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

#endif

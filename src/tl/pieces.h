/* SPDX-License-Identifier: MIT */
/*
 * pieces.h - cuts a reply into its parts, though some of them cannot be read
 *
 * TL has no lengths, so behind an object of an unknown constructor the next one must be found: of
 * all ways to read the reply to its last byte, the one that leaves the fewest bytes unread. Fields
 * that are lists of objects are cut into their items, all others are one piece.
 *
 *   messages.messages | vector, 1 | message | vector, 1 | ???? | vector, 2 | user | user
 *                       LIST        ITEM      LIST        BAD    LIST        ITEM   ITEM
 *
 * For replies that a plain walk has refused: it is slow, and allocates some 30 bytes a word.
 *
 * Threads: none      Limits: 1 MiB from the first unreadable object on
 */
#ifndef TL_PIECES_H
#define TL_PIECES_H

#include "tl/reader.h"
#include "tl/schema.h"

enum tl_piece_kind {
    TL_PIECE_VALUE, /* a field that can be read; of a `true` flag: no bytes */
    TL_PIECE_LIST,  /* the head of a list of objects; its items follow */
    TL_PIECE_ITEM,  /* an item that can be read */
    TL_PIECE_BAD,   /* an item or a field that cannot */
};

struct tl_piece {
    enum tl_piece_kind kind;
    int field; /* its number in the reply's constructor */
    const uint8_t *at, *end;
};

struct tl_pieces {
    const struct tl_ctor *ctor; /* of the reply */
    struct tl_piece *piece;
    size_t n, cap;
    size_t n_bad;
};

/**
 * @param ret  free with tl_pieces_done, whatever is returned; pieces point into the bytes
 * @return false if no way was found: the reply's own constructor is unknown, it is cut short, is
 *         too large, or memory is out
 */
bool tl_pieces_cut(const struct tl_schema *s, const void *bytes, size_t len,
                   struct tl_pieces *ret);

void tl_pieces_done(struct tl_pieces *p);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * signature.h - a message in 32 bytes: enough to tell later whether it changed, and how
 *
 *   id          which message
 *   edit_date   as the server gave it; 0: never edited, or not compared
 *   content     XXH3-64 of the fields that are compared
 *   reactions   32 bits of an XXH3-64 of the reactions; 0: none
 *
 * Which fields are compared is a set (`comparison_fields`), by default id, edit_date, content_hash.
 * The id is the key and always in it, reactions are always compared, apart from the rest. The row's
 * content_hash leaves out reactions, views and other counters (docs/internals/rows.md), so they do
 * not change a signature unless a field of theirs is named. `content` is taken over
 *
 *     number of the field in TG_FIELDS, 1 byte | length, 4 bytes LE | value
 *
 * of each compared field that is present, in that table's order, edit_date and id aside; numbers
 * are 8 bytes LE. Fields are only ever appended to the table, so signatures stay comparable.
 *
 * How two signatures of a message differ says what happened:
 *
 *   content                                edited
 *   reactions, and not content             reactions only: a first one moves the edit date, too
 *   edit_date alone                        edited, in what no row shows (the buttons below it, say)
 *
 * Two contents have one hash by chance once in 2^64, reactions once in 2^32.
 *
 * Threads: pure functions
 */
#ifndef TG_SIGNATURE_H
#define TG_SIGNATURE_H

#include "base/row.h"

struct tg_signature {
    int64_t id, edit_date;
    uint64_t content;
    uint32_t reactions;
};

/** Those with the ids from..to, ascending; what is not among them does not exist. */
struct tg_signatures {
    int64_t from, to; /* to is from-1: of no id at all */
    const struct tg_signature *at;
    size_t n;
};

/** In what two signatures differ. */
enum tg_signature_part {
    TG_SIGNATURE_EDIT_DATE = 1,
    TG_SIGNATURE_CONTENT = 2,
    TG_SIGNATURE_REACTIONS = 4
};

/** The default of `comparison_fields`. */
#define TG_SIGNATURE_FIELDS                                                                        \
    (TG_ROW_BIT(id) | TG_ROW_BIT(edit_date) | TG_ROW_BIT(content_hash))

/**
 * Reads a list such as "id, edit_date, content_hash".
 *
 * @param ret  a bit per tg_field_id; that of id is always set
 * @return TG_OK; TG_USAGE: no such field, one that cannot be compared, or none but the id
 */
tg_code tg_signature_fields(struct tg_str list, uint64_t *ret, struct tg_error *err);

/**
 * @param fields  a bit per tg_field_id
 * @return false: the row has no id, or no content_hash though that is compared (rows of exports);
 *         such a row cannot be told from another
 */
bool tg_signature_of(const struct tg_row *row, uint64_t fields, struct tg_signature *ret);

/** @return tg_signature_part bits; 0: nothing changed */
unsigned tg_signature_differs(const struct tg_signature *before, const struct tg_signature *after);

/** @return of the same signatures those with the ids from..to alone */
struct tg_signatures tg_signatures_slice(struct tg_signatures s, int64_t from, int64_t to);

/** @return whether ids ascend and lie within from..to */
bool tg_signatures_valid(struct tg_signatures s);

#endif

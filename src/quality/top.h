/* SPDX-License-Identifier: MIT */
/*
 * top.h - which values come most often, and how often, about, in some 20 KB
 *
 * Counts of up to 256 values. When one more comes, the median count is taken from all, and those
 * that have nothing left go (Misra and Gries, in the form of Anderson and others, 2017). `off` is
 * what was taken in all: a value came at least `count` times, and at most count + off; one that is
 * not there at most `off` times, which is at most 1/128 of all.
 *
 * Threads: none: value type, 0 is empty
 */
#ifndef TG_QUALITY_TOP_H
#define TG_QUALITY_TOP_H

#include "base/text.h"

enum { TG_TOP_VALUES = 256, TG_TOP_TEXT = 48 };

struct tg_top_value {
    uint64_t hash;
    uint64_t count;
    int64_t number;          /* of a field of numbers */
    uint8_t len;             /* of a text, cut where it is longer */
    bool cut;
    char text[TG_TOP_TEXT];
};

struct tg_top {
    struct tg_top_value value[TG_TOP_VALUES];
    uint16_t slot[2 * TG_TOP_VALUES]; /* by hash: 1 + place in `value`; 0 */
    size_t n;
    uint64_t total, off;
};

/** @param hash    64 well mixed bits; values of one hash are one
 *  @param text    {NULL, 0}: it is a number */
void tg_top_add(struct tg_top *t, uint64_t hash, int64_t number, struct tg_str text);

/** The values of both. */
void tg_top_merge(struct tg_top *t, const struct tg_top *other);

/** Writes the n most frequent, most frequent first. @return how many there were */
size_t tg_top_best(const struct tg_top *t, const struct tg_top_value **ret, size_t n);

#endif

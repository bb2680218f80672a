/* SPDX-License-Identifier: MIT */
/*
 * profile.h - what the values of each field are like, in bounded memory
 *
 * Of each field: how many rows have it, how many different values there are, the least, the
 * greatest and quantiles of numbers and times and of the lengths of texts in characters, the most
 * frequent values. Counts, least and greatest are exact, the rest is as near as hll.h, kll.h and
 * top.h say. Rows of deletions are counted, and that is all.
 *
 * Threads: none      Limits: 60 KB for each field that some row had
 */
#ifndef TG_QUALITY_PROFILE_H
#define TG_QUALITY_PROFILE_H

#include "base/row.h"
#include "quality/hll.h"
#include "quality/kll.h"
#include "quality/top.h"

struct tg_profile_field {
    uint64_t n;            /* rows that have it */
    struct tg_hll distinct;
    struct tg_kll numbers; /* values; of texts and JSON their lengths */
    struct tg_top top;     /* not of JSON */
};

struct tg_profile {
    uint64_t rows;      /* without deletions */
    uint64_t deletions;
    struct tg_profile_field *field[TG_FIELD_COUNT]; /* NULL: no row had it */
    bool failed;        /* out of memory */
};

/* A zeroed one is empty. */
void tg_profile_done(struct tg_profile *p);
void tg_profile_add(struct tg_profile *p, const struct tg_row *row);
/** The rows of both. */
void tg_profile_merge(struct tg_profile *p, const struct tg_profile *other);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * marks.h - remembers what was met before, by hashes: a bounded set of 64-bit marks
 *
 * Threads: none: value type, zero is empty
 * Limits:  1024 marks; past them old ones are forgotten
 */
#ifndef TG_MARKS_H
#define TG_MARKS_H

#include "base/base.h"

enum { TG_MARKS_MAX = 1024 };

struct tg_marks {
    uint64_t slot[TG_MARKS_MAX]; /* 0: free */
};

/** @return whether the mark was not there yet */
static inline bool tg_marks_add(struct tg_marks *m, uint64_t mark)
{
    size_t i = mark % TG_MARKS_MAX;

    mark |= UINT64_C(1) << 63;
    for (size_t n = 0; n < TG_MARKS_MAX && m->slot[i]; n++) {
        if (m->slot[i] == mark)
            return false;
        i = (i + 1) % TG_MARKS_MAX;
    }
    m->slot[i] = mark;
    return true;
}

#endif

/* SPDX-License-Identifier: MIT */
/*
 * program.h - the walk program of a constructor: what to step over, in as few words as possible
 *
 *    31          16 15        8 7         0
 *   |   argument   | condition |    op     |
 *
 * Fixed-size fields that follow one another under the same condition are one word; `true` flags
 * take none. A condition is 0xff (always) or flags word number << 5 | bit.
 */
#ifndef TL_PROGRAM_H
#define TL_PROGRAM_H

#include "base/base.h"

enum tl_op {
    TL_OP_FIXED, /* argument: bytes */
    TL_OP_FLAGS, /* read the next flags word; argument: its number */
    TL_OP_STRING,
    TL_OP_BOOL,
    TL_OP_OBJECT, /* argument: type */
    TL_OP_BARE,   /* argument: constructor */
    TL_OP_VECTOR, /* argument: the vector's type; boxed or bare */
    TL_OP_ANY,
};

enum { TL_ALWAYS = 0xff, TL_WORDS_MAX = 7 };

static inline uint32_t tl_op_word(enum tl_op op, uint32_t condition, uint32_t argument)
{
    return (uint32_t)op | condition << 8 | argument << 16;
}

#endif

/* SPDX-License-Identifier: MIT */
/*
 * ct.h - comparing and forgetting secrets
 *
 * Threads: none: pure functions
 */
#ifndef TG_CT_H
#define TG_CT_H

#include <string.h>

#include "base/base.h"

/** @return whether n bytes are equal; takes the same time wherever they differ */
bool tg_equal_ct(const void *a, const void *b, size_t n);

/** Overwrites n bytes with zeros, and the compiler keeps that. NULL with 0 is fine. */
static inline void tg_wipe(void *p, size_t n)
{
    if (n)
        explicit_bzero(p, n);
}

#endif

/* SPDX-License-Identifier: MIT */
/*
 * ct.c - see ct.h
 */
#include "crypto/ct.h"

bool tg_equal_ct(const void *a, const void *b, size_t n)
{
    const volatile uint8_t *x = a, *y = b; /* volatile: no early exit may be put in */
    uint8_t diff = 0;

    for (size_t i = 0; i < n; i++)
        diff |= (uint8_t)(x[i] ^ y[i]);
    return diff == 0;
}

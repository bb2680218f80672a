/* SPDX-License-Identifier: MIT */
/*
 * base.h - the handful of helpers that every file uses
 *
 * Threads: none: value types and macros
 */
#ifndef TG_BASE_H
#define TG_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "tgdata/error.h"

#define TG_COUNT(array) (sizeof(array) / sizeof *(array))
#define TG_MIN(a, b) ((a) < (b) ? (a) : (b))
#define TG_MAX(a, b) ((a) > (b) ? (a) : (b))

/* Runs `fn(&variable)` when the variable leaves its scope; fn takes NULL contents. */
#define TG_CLEANUP(fn) __attribute__((cleanup(fn)))

/* Declares `<name>_freep` for TG_CLEANUP from `<name>_free`. */
#define TG_DEFINE_FREEP(type, name)                                                                \
    static inline void name##p(type **p)                                                           \
    {                                                                                              \
        name(*p);                                                                                  \
    }

#define TG_SECOND_US INT64_C(1000000)
#define TG_MS_US INT64_C(1000)

/* Asks for n bytes that are read soon to be brought into the cache; nothing else happens. */
static inline void tg_fetch(const void *bytes, size_t n)
{
    for (size_t i = 0; i < n; i += 64)
        __builtin_prefetch((const char *)bytes + i);
}

static inline uint32_t tg_le32(const void *p)
{
    const uint8_t *b = p;

    return (uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
}

static inline uint64_t tg_le64(const void *p)
{
    const uint8_t *b = p;

    return (uint64_t)tg_le32(b) | (uint64_t)tg_le32(b + 4) << 32;
}

static inline void tg_put_le32(void *p, uint32_t v)
{
    uint8_t *b = p;

    for (int i = 0; i < 4; i++)
        b[i] = (uint8_t)(v >> (8 * i));
}

static inline void tg_put_le64(void *p, uint64_t v)
{
    tg_put_le32(p, (uint32_t)v);
    tg_put_le32((uint8_t *)p + 4, (uint32_t)(v >> 32));
}

#endif

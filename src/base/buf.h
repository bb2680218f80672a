/* SPDX-License-Identifier: MIT */
/*
 * buf.h - a growing byte buffer with a hard cap, for everything that is built or gathered
 *
 *      data                 data+len         data+cap <= max
 *      |---- filled bytes ---|---- room -----|
 *
 * Errors are sticky: an append past `max` or out of memory sets `failed`, and every later append
 * does nothing. A writer appends freely and checks once, at the end.
 *
 * Threads: none: value type      Limits: `max` bytes, given at construction
 */
#ifndef TG_BUF_H
#define TG_BUF_H

#include <stdarg.h>

#include "base/base.h"

struct tg_buf {
    uint8_t *data;
    size_t len, cap, max;
    bool failed;
};

/** Starts an empty buffer that never grows past max bytes. Allocates nothing. */
void tg_buf_init(struct tg_buf *b, size_t max);

/** Frees the memory and leaves an empty buffer with the same cap. Safe on a zeroed struct. */
void tg_buf_done(struct tg_buf *b);

/** As tg_buf_done, but overwrites the bytes first: for secrets. */
void tg_buf_wipe(struct tg_buf *b);

/** Forgets the contents, keeps the memory, clears `failed`. */
static inline void tg_buf_clear(struct tg_buf *b)
{
    b->len = 0;
    b->failed = false;
}

/** Makes room for n more bytes. @return false, with `failed` set, if that passes `max` */
bool tg_buf_grow(struct tg_buf *b, size_t n);

static inline bool tg_buf_room(struct tg_buf *b, size_t n)
{
    return !b->failed && (b->cap - b->len >= n || tg_buf_grow(b, n));
}

/** Appends n bytes of space and returns their start, uninitialised; NULL on failure. */
static inline uint8_t *tg_buf_extend(struct tg_buf *b, size_t n)
{
    uint8_t *at;

    if (!tg_buf_room(b, n))
        return NULL;
    at = b->data + b->len;
    b->len += n;
    return at;
}

static inline void tg_buf_add(struct tg_buf *b, const void *bytes, size_t n)
{
    if (n && tg_buf_room(b, n)) {
        memcpy(b->data + b->len, bytes, n);
        b->len += n;
    }
}

static inline void tg_buf_byte(struct tg_buf *b, uint8_t v)
{
    if (tg_buf_room(b, 1))
        b->data[b->len++] = v;
}

static inline void tg_buf_str(struct tg_buf *b, const char *s)
{
    tg_buf_add(b, s, strlen(s));
}

void tg_buf_u32(struct tg_buf *b, uint32_t v); /* little endian */
void tg_buf_u64(struct tg_buf *b, uint64_t v);
void tg_buf_i64_text(struct tg_buf *b, int64_t v); /* decimal digits */
/** Writes the decimal digits of v, at most 20, no NUL; up to TG_I64_ROOM bytes are overwritten.
 *  @return behind the last digit */
enum { TG_I64_ROOM = 28 };
uint8_t *tg_put_i64_text(uint8_t *out, int64_t v);

/** "00" to "99", one behind the other, without an end. */
extern const char tg_digit_pair[200];
void tg_buf_printf(struct tg_buf *b, const char *fmt, ...) TG_PRINTF(2, 3);

/** Drops the first n bytes and moves the rest down. */
void tg_buf_shift(struct tg_buf *b, size_t n);

/** Ends the text with a NUL that is not counted. @return the text, or "" if the buffer failed */
const char *tg_buf_cstr(struct tg_buf *b);

#endif

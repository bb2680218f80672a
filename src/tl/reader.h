/* SPDX-License-Identifier: MIT */
/*
 * reader.h - reads TL values from bytes that nobody vouches for
 *
 * Errors are sticky: a read past the end sets `bad`, moves to the end and returns zero, and so does
 * every later one. The caller reads freely and checks `bad` once. Views point into the bytes.
 *
 * Threads: none: value type
 */
#ifndef TL_READER_H
#define TL_READER_H

#include "base/text.h"

struct tl_reader {
    const uint8_t *at, *end;
    bool bad;
};

static inline struct tl_reader tl_reader_of(const void *bytes, size_t n)
{
    return (struct tl_reader){ .at = bytes, .end = n ? (const uint8_t *)bytes + n : bytes };
}

static inline size_t tl_left(const struct tl_reader *r)
{
    return (size_t)(r->end - r->at);
}

/** Marks the reader bad. @return false, so that it can stand in a return */
static inline bool tl_read_fail(struct tl_reader *r)
{
    r->bad = true;
    r->at = r->end;
    return false;
}

/** @return n bytes in place; NULL past the end */
static inline const uint8_t *tl_read_view(struct tl_reader *r, size_t n)
{
    const uint8_t *at = r->at;

    if (tl_left(r) < n || r->bad) {
        tl_read_fail(r);
        return NULL;
    }
    r->at += n;
    return at;
}

static inline uint32_t tl_read_u32(struct tl_reader *r)
{
    const uint8_t *p = tl_read_view(r, 4);

    return p ? tg_le32(p) : 0;
}

static inline int32_t tl_read_i32(struct tl_reader *r)
{
    return (int32_t)tl_read_u32(r);
}

static inline int64_t tl_read_i64(struct tl_reader *r)
{
    const uint8_t *p = tl_read_view(r, 8);

    return p ? (int64_t)tg_le64(p) : 0;
}

static inline double tl_read_double(struct tl_reader *r)
{
    int64_t bits = tl_read_i64(r);
    double v;

    memcpy(&v, &bits, sizeof v);
    return v;
}

/** @return 16 or 32 bytes in place; NULL past the end */
static inline const uint8_t *tl_read_int128(struct tl_reader *r)
{
    return tl_read_view(r, 16);
}

static inline const uint8_t *tl_read_int256(struct tl_reader *r)
{
    return tl_read_view(r, 32);
}

/** Reads a string or bytes. @return a view; {NULL, 0} on failure, never NULL else */
struct tg_str tl_read_str(struct tl_reader *r);

/** Reads a boxed Bool; anything but its two constructors is a failure. */
bool tl_read_bool(struct tl_reader *r);

/** Reads the id without moving. @return 0 past the end, the reader is not marked */
static inline uint32_t tl_peek_u32(const struct tl_reader *r)
{
    return tl_left(r) >= 4 && !r->bad ? tg_le32(r->at) : 0;
}

/**
 * Reads the head of a boxed vector.
 *
 * @return number of items; the reader fails if the id is another or if so many items of at least
 *         item_min bytes (0 counts as 4) cannot stand in the bytes left
 */
uint32_t tl_read_vector(struct tl_reader *r, size_t item_min);

#endif

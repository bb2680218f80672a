/* SPDX-License-Identifier: MIT */
/*
 * gzip.c - gzip_packed through libdeflate; see gzip.h
 *
 * Threads: none: one caller
 */
#include "mtproto/gzip.h"

#include "mtproto/ids.h"

#include <assert.h>
#include <libdeflate.h>
#include <stdlib.h>

enum {
    LEVEL = 6,
    RATIO_MAX = 1032,      /* deflate cannot do better */
    KEEP_MAX = 4 << 20,
    GZIP_MIN = 18,         /* header 10, trailer 8 */
    GUESS_MIN = 4096,
};

struct mt_gzip {
    struct libdeflate_decompressor *inflater; /* made when first needed, as all that follows */
    struct libdeflate_compressor *deflater;
    uint8_t *data;
    size_t cap;
};

struct mt_gzip *mt_gzip_new(void)
{
    return calloc(1, sizeof(struct mt_gzip));
}

void mt_gzip_free(struct mt_gzip *g)
{
    if (!g)
        return;
    libdeflate_free_decompressor(g->inflater);
    if (g->deflater)
        libdeflate_free_compressor(g->deflater);
    free(g->data);
    free(g);
}

void mt_gzip_rest(struct mt_gzip *g)
{
    libdeflate_free_decompressor(g->inflater);
    g->inflater = NULL;
    if (g->deflater)
        libdeflate_free_compressor(g->deflater);
    g->deflater = NULL;
    free(g->data);
    g->data = NULL;
    g->cap = 0;
}

/* Makes the buffer at least n bytes large; its contents are lost. */
static bool make_room(struct mt_gzip *g, size_t n)
{
    if (g->cap >= n)
        return true;
    free(g->data);
    g->data = malloc(n);
    g->cap = g->data ? n : 0;
    return g->data != NULL;
}

/* The output size of a gzip stream as its trailer says; 0 if there is no such stream. */
static size_t trailer_size(const uint8_t *packed, size_t n)
{
    if (n < GZIP_MIN || packed[0] != 0x1f || packed[1] != 0x8b)
        return 0;
    return tg_le32(packed + n - 4);
}

static bool is_zlib(const uint8_t *packed, size_t n)
{
    return n >= 6 && (packed[0] & 15) == 8 && (packed[0] << 8 | packed[1]) % 31 == 0;
}

/* One attempt with all the room there is. */
static enum libdeflate_result attempt(struct mt_gzip *g, const uint8_t *packed, size_t n,
                                      size_t room, size_t *ret_n)
{
    size_t used;

    if (is_zlib(packed, n))
        return libdeflate_zlib_decompress_ex(g->inflater, packed, n, g->data, room, &used, ret_n);
    return libdeflate_gzip_decompress_ex(g->inflater, packed, n, g->data, room, &used, ret_n);
}

tg_code mt_gzip_inflate(struct mt_gzip *g, const void *packed, size_t n, size_t budget,
                        uint8_t **ret, size_t *ret_n)
{
    size_t max = TG_MIN(budget, (size_t)MT_INFLATE_MAX), reach, room, made = 0;
    size_t size = trailer_size(packed, n);
    enum libdeflate_result result;

    if (n < 6 || n > MT_INFLATE_MAX)
        return TG_DATA;
    reach = n * RATIO_MAX;
    if (size > reach) /* no stream of this length makes that much: the trailer is not one */
        size = 0;
    if (size > max)
        return TG_LIMIT;
    if (!g->inflater)
        g->inflater = libdeflate_alloc_decompressor();
    if (!g->inflater)
        return TG_NOMEM;
    room = size ? size : TG_MIN(max, TG_MAX(n * 4, (size_t)GUESS_MIN));
    for (;;) {
        if (!make_room(g, TG_MAX(room, (size_t)1)))
            return TG_NOMEM;
        result = attempt(g, packed, n, room, &made);
        if (result != LIBDEFLATE_INSUFFICIENT_SPACE)
            break;
        if (room >= TG_MIN(max, reach))
            return TG_LIMIT;
        room = TG_MIN(TG_MIN(max, reach), room * 2);
    }
    if (result != LIBDEFLATE_SUCCESS)
        return TG_DATA;
    assert(made <= room);
    *ret = g->data;
    *ret_n = made;
    return TG_OK;
}

void *mt_gzip_take(struct mt_gzip *g)
{
    void *data = g->data;

    g->data = NULL;
    g->cap = 0;
    return data;
}

void mt_gzip_trim(struct mt_gzip *g)
{
    if (g->cap > KEEP_MAX)
        free(mt_gzip_take(g));
}

bool mt_gzip_pack(struct mt_gzip *g, const void *object, size_t n, struct tg_buf *out)
{
    size_t start = out->len, room, made;
    uint8_t *at;

    if (n <= 16 || n >= 1 << 24)
        return false;
    if (!g->deflater && !(g->deflater = libdeflate_alloc_compressor(LEVEL)))
        return false;
    room = n - 12; /* id, length and padding must come out smaller too */
    at = tg_buf_extend(out, 8 + room + 4);
    if (!at)
        return false;
    made = libdeflate_gzip_compress(g->deflater, object, n, at + 8, room);
    if (made == 0) {
        out->len = start;
        return false;
    }
    tg_put_le32(at, MT_ID_GZIP_PACKED);
    if (made < 254) { /* the short form of a TL string has one byte of length */
        at[4] = (uint8_t)made;
        memmove(at + 5, at + 8, made);
        out->len = start + 5 + made;
    } else {
        tg_put_le32(at + 4, 0xfe | (uint32_t)made << 8);
        out->len = start + 8 + made;
    }
    while ((out->len - start) % 4)
        tg_buf_byte(out, 0);
    return true;
}

/* SPDX-License-Identifier: MIT */
/*
 * gzip.h - gzip_packed: packing requests and replies, and unpacking without trusting the peer
 *
 * The size of the output is taken from the gzip trailer, so a reply is inflated once, into a buffer
 * of exactly its size. That size is believed only below MT_INFLATE_MAX and below what deflate can
 * reach at all (1032:1), so a small packet cannot claim much memory. Streams without a usable
 * trailer (zlib format, or bytes behind the stream) are inflated into a buffer that doubles.
 *
 * Threads: none: one caller      Limits: MT_INFLATE_MAX; 4 MiB are kept between two calls
 */
#ifndef MT_GZIP_H
#define MT_GZIP_H

#include "base/buf.h"

struct mt_gzip; /* the working memory of one session */

struct mt_gzip *mt_gzip_new(void); /* NULL if out of memory */
void mt_gzip_free(struct mt_gzip *g);
void mt_gzip_rest(struct mt_gzip *g); /* frees all buffers; they come back when needed */

/**
 * Inflates the bytes of a gzip_packed.
 *
 * @param budget  bytes that may still be made; at most MT_INFLATE_MAX count
 * @param ret     the output, in a buffer of g: valid until the next call or mt_gzip_take
 * @return TG_OK; TG_DATA if malformed; TG_LIMIT past the budget; TG_NOMEM
 */
tg_code mt_gzip_inflate(struct mt_gzip *g, const void *packed, size_t n, size_t budget,
                        uint8_t **ret, size_t *ret_n);

/** Hands the buffer of the last output over: malloc'ed, the caller frees it. NULL if none. */
void *mt_gzip_take(struct mt_gzip *g);

/** Gives an unusually large buffer back to the system. */
void mt_gzip_trim(struct mt_gzip *g);

/**
 * Appends gzip_packed of the object, if that is smaller than the object itself.
 * @return whether it was; otherwise nothing was appended
 */
bool mt_gzip_pack(struct mt_gzip *g, const void *object, size_t n, struct tg_buf *out);

#endif

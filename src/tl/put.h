/* SPDX-License-Identifier: MIT */
/*
 * put.h - writes single TL values into a buffer, for the few requests that are put together by hand
 *
 * Threads: none: pure      Limits: those of the buffer; strings below 2^24 bytes
 */
#ifndef TL_PUT_H
#define TL_PUT_H

#include "base/buf.h"

/** Appends a string or bytes: length (1 or 4 bytes), the bytes, zeroes up to a multiple of 4. */
void tl_put_bytes(struct tg_buf *out, const void *bytes, size_t n);

static inline void tl_put_str(struct tg_buf *out, const char *text)
{
    tl_put_bytes(out, text, strlen(text));
}

#endif

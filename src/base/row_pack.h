/* SPDX-License-Identifier: MIT */
/*
 * row_pack.h - a row as bytes, to be kept for a while by the program that wrote them
 *
 *   record = length of what follows, 4 bytes | present mask, 8 bytes | fields in table order
 *   field  = number: zigzag varint | text: length as varint, bytes
 *
 * Little endian. No format for exchange: it changes with the table of fields.
 *
 * Threads: pure      Limits: a record of 4 GiB
 */
#ifndef TG_BASE_ROW_PACK_H
#define TG_BASE_ROW_PACK_H

#include "base/row.h"

/** Appends a record; a failure shows in out->failed. */
void tg_row_pack(const struct tg_row *row, struct tg_buf *out);

/**
 * Reads the record at the start of n bytes.
 * @param ret       its texts point into the bytes
 * @param ret_size  bytes of the record; more than n: the record goes on behind them, and nothing
 *                  but its length (0: not even that) is known
 * @return false if it is damaged
 */
bool tg_row_unpack(const uint8_t *at, size_t n, struct tg_row *ret, size_t *ret_size);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * csv_text.h - rows as CSV, RFC 4180, and back
 *
 *   chat_id,id,owner,kind,date,...          a column for each field, in table order
 *   -1009,1,0,message,2024-01-15T10:30:00Z,...,"two
 *   lines and a ""quote""",,                ,, no value    ,"", an empty text
 *
 * Quoted is what holds a quote, a comma, a line end or another control character, begins or ends
 * with a space, or is empty. Nothing else changes a text: a NUL stands as it is, and bytes that are
 * no UTF-8 become U+FFFD as in JSON. Times are 2024-01-15T10:30:00Z, outside years 1..9999 Unix
 * seconds; truth values true or false; JSON stands as text.
 *
 * Reading takes both line ends and any order of columns, and nothing that RFC 4180 does not have:
 * no quote within an unquoted field, nothing behind the closing quote.
 *
 * Threads: none: pure functions      Limits: 1024 columns
 */
#ifndef TG_SINK_CSV_TEXT_H
#define TG_SINK_CSV_TEXT_H

#include "base/row.h"
#include "sink/files.h"

/** Appends the names of all fields. */
void tg_csv_head(struct tg_buf *out, bool crlf);

/** Appends a row. */
void tg_csv_row(const struct tg_row *row, struct tg_buf *out, bool crlf);

/* As in struct tg_file_format. */
size_t tg_csv_find_end(unsigned *state, const char *at, size_t len);
const char *tg_csv_take_head(struct tg_file_columns *ret, const char *at, size_t len);
const char *tg_csv_take_ids(const struct tg_file_columns *columns, const char *at, size_t len,
                            int64_t *ret_chat_id, int64_t *ret_id);
tg_code tg_csv_read_row(const struct tg_file_columns *columns, struct tg_batch *b, const char *at,
                        size_t len, struct tg_error *err);

#endif

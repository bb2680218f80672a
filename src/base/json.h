/* SPDX-License-Identifier: MIT */
/*
 * json.h - writes JSON straight into a buffer: rows, --json output, manifests
 *
 * The writer keeps only whether a comma is due. Text is checked as UTF-8 while it is copied: a byte
 * that does not belong to a well-formed sequence becomes U+FFFD, so the output is always valid JSON
 * whatever a peer sent. 64-bit integers are written in full.
 *
 *   tg_json_init(&j, &buf);
 *   tg_json_object(&j);
 *   tg_json_key(&j, "id");  tg_json_i64(&j, 7);
 *   tg_json_end_object(&j);                        -> {"id":7}
 *
 * Threads: none: value type      Limits: those of the buffer
 */
#ifndef TG_JSON_H
#define TG_JSON_H

#include "base/buf.h"

struct tg_json {
    struct tg_buf *out;
    bool comma; /* a value stands before on this level */
};

static inline void tg_json_init(struct tg_json *j, struct tg_buf *out)
{
    *j = (struct tg_json){ .out = out };
}

void tg_json_object(struct tg_json *j);
void tg_json_end_object(struct tg_json *j);
void tg_json_array(struct tg_json *j);
void tg_json_end_array(struct tg_json *j);
void tg_json_key(struct tg_json *j, const char *key); /* escaped as needed */
void tg_json_str(struct tg_json *j, const char *text, size_t len);
void tg_json_cstr(struct tg_json *j, const char *text); /* NULL writes null */
void tg_json_i64(struct tg_json *j, int64_t v);
void tg_json_u64(struct tg_json *j, uint64_t v);
void tg_json_double(struct tg_json *j, double v); /* shortest that reads back; null if not finite */
void tg_json_bool(struct tg_json *j, bool v);
void tg_json_null(struct tg_json *j);
void tg_json_base64(struct tg_json *j, const void *bytes, size_t n); /* as a string */

/** Unix seconds as "2024-01-15T10:30:00Z"; seconds outside years 1..9999 as a number. */
void tg_json_time(struct tg_json *j, int64_t unix_s);
/** A member that is such a time, of Unix milliseconds; null if there is none, 0 or less. */
void tg_json_time_ms(struct tg_json *j, const char *key, int64_t unix_ms);

/** Copies text that is already valid JSON. */
void tg_json_raw(struct tg_json *j, const char *json, size_t len);

/** Appends text as a quoted, escaped JSON string: the inner loop of every row. */
void tg_json_quote(struct tg_buf *out, const char *text, size_t len);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * json_read.h - reads JSON strictly, value by value, without building anything
 *
 *   tg_json_in_init(&in, text, len);
 *   for (tg_json_enter(&in, '{'); tg_json_next_key(&in, &key);) {
 *       if (tg_str_eq(key, TG_STR("id")))
 *           id = tg_json_take_i64(&in);
 *       else
 *           tg_json_skip(&in);
 *   }
 *   if (!tg_json_in_done(&in)) ... malformed
 *
 * The first thing that is not as RFC 8259 has it, or not of the type asked for, sets `bad`; all
 * later reads then give nothing, so the caller checks once, at the end.
 *
 * Threads: none: value type      Limits: 64 levels
 */
#ifndef TG_JSON_READ_H
#define TG_JSON_READ_H

#include "base/text.h"

enum { TG_JSON_DEPTH = 64 };

struct tg_json_in {
    const char *at, *end;
    unsigned depth;
    bool first; /* nothing was read yet on this level */
    bool bad;
};

void tg_json_in_init(struct tg_json_in *in, const char *text, size_t len);

/** Reads the opening bracket of an object or array. */
void tg_json_enter(struct tg_json_in *in, char bracket);

/** @return whether the object goes on; then the key, as written (escapes and all) */
bool tg_json_next_key(struct tg_json_in *in, struct tg_str *ret_key);

/** @return whether the array goes on */
bool tg_json_next_item(struct tg_json_in *in);

int64_t tg_json_take_i64(struct tg_json_in *in);  /* an integer without fraction or exponent */
uint64_t tg_json_take_u64(struct tg_json_in *in);
bool tg_json_take_bool(struct tg_json_in *in);
bool tg_json_take_null(struct tg_json_in *in); /* true if null stood there; else reads nothing */

/** Appends the text of a string, escapes resolved. */
void tg_json_take_str(struct tg_json_in *in, struct tg_buf *out);

/** Appends text as a reader of its JSON gets it: what is no UTF-8 is U+FFFD. */
void tg_json_mend(struct tg_buf *out, const void *text, size_t len);

/** Reads over any value, checking it. */
void tg_json_skip(struct tg_json_in *in);

/** @return whether all was well and nothing but white space is left */
bool tg_json_in_done(struct tg_json_in *in);

#endif

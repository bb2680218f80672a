/* SPDX-License-Identifier: MIT */
/*
 * text.h - views of text, and the encodings that stand in files: hex, base64, UTC time, UTF-8
 *
 * Threads: none: pure functions
 */
#ifndef TG_TEXT_H
#define TG_TEXT_H

#include "base/buf.h"

/** Bytes that someone else owns; not NUL-terminated. {NULL, 0} means absent, {"", 0} empty. */
struct tg_str {
    const char *at;
    uint32_t len;
};

#define TG_STR(literal) ((struct tg_str){ (literal), sizeof(literal) - 1 })

static inline struct tg_str tg_str_of(const char *s)
{
    return (struct tg_str){ s, s ? (uint32_t)strlen(s) : 0 };
}

static inline bool tg_str_eq(struct tg_str a, struct tg_str b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.at, b.at, a.len) == 0);
}

/** Writes 2n lower-case hex digits and a NUL. */
void tg_hex(char *out, const void *bytes, size_t n);

/** Reads exactly 2n hex digits. @return false on anything else */
bool tg_unhex(void *out, size_t n, const char *hex, size_t hex_len);

/** Appends base64 with padding. `url` chooses the URL-safe alphabet without padding. */
void tg_base64(struct tg_buf *out, const void *bytes, size_t n, bool url);

/** Appends the decoded bytes; takes both alphabets, padding optional. @return false if malformed */
bool tg_unbase64(struct tg_buf *out, const char *text, size_t len);

/** Writes "2024-01-15T10:30:00Z" (20 characters and a NUL). @return false outside years 1..9999 */
bool tg_time_utc(char out[21], int64_t unix_s);

/**
 * Reads "2024-01-15", "2024-01-15T10:30:00Z", "2024-01-15 10:30", offsets "+02:00", or
 * "@1705314600".
 * @return false if malformed or not a real date; ret in Unix seconds, written on success only
 */
bool tg_time_parse(const char *text, int64_t *ret_unix_s);

/** Reads a decimal number that fills the whole text. @return false on overflow or anything else */
bool tg_i64_parse(const char *text, int64_t *ret);

/** "5", "0.25", "12.5%" of a hundred, with four decimals at most, to parts of a million. */
bool tg_percent_parse(const char *text, int64_t *ret_ppm);
/** The same of a text that need not end with a NUL. */
bool tg_str_i64(struct tg_str text, int64_t *ret);

/** Reads "512", "64KiB", "1GiB", "10MB". @return false if malformed or too large */
bool tg_size_parse(const char *text, int64_t *ret);

/** Reads "250ms", "30s", "5m", "2h", "1d"; a bare number is seconds. Result in milliseconds. */
bool tg_duration_parse(const char *text, int64_t *ret_ms);

/** Reads "NAME=N", or "NAME" for one, N up to a million. @return N, and the name written; 0 if it
 *  is neither or the name finds no room */
int64_t tg_name_count(const char *text, char *name, size_t room);

/** Overwrites and frees a secret; NULL is nothing. */
void tg_text_wipe(char *text);

/** @return whether the bytes are well-formed UTF-8 (no surrogates, nothing above U+10FFFF) */
bool tg_utf8_valid(const void *bytes, size_t n);

/** @return how many units of UTF-16 well-formed UTF-8 has: offsets of formatting count in them */
uint32_t tg_utf16_len(const char *text, size_t n);

/**
 * Copies leading text that stands for itself inside the quotes of JSON: well-formed UTF-8 without
 * control characters, quote and backslash. `out` has room for 16 bytes more than there are.
 *
 * @return bytes copied, n or up to the first that is none of that
 */
size_t tg_utf8_copy(uint8_t *out, const uint8_t *s, size_t n);

enum { TG_URL_SHOWN = 128 };

/** Writes what messages show of an address: scheme, host and the beginning of the path. A path may
 *  be as secret as a password, and so may a query. @return out */
const char *tg_url_shown(const char *url, char out[TG_URL_SHOWN]);

/** @return whether it can be the address of a request: http:// or https://, a host, no blanks */
bool tg_url_is_http(const char *url);

#endif

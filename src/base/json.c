/* SPDX-License-Identifier: MIT */
/*
 * json.c - see json.h
 *
 * Quoting is the hot loop. A run of bytes that need nothing (printable ASCII other than the quote
 * and the backslash) is found sixteen at a time where SSE2 is there and copied at once; anything
 * else is looked at singly.
 */
#include "base/json.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include "base/text.h"

static void before_value(struct tg_json *j)
{
    if (j->comma)
        tg_buf_byte(j->out, ',');
    j->comma = true;
}

static void open_level(struct tg_json *j, char bracket)
{
    before_value(j);
    tg_buf_byte(j->out, (uint8_t)bracket);
    j->comma = false;
}

static void close_level(struct tg_json *j, char bracket)
{
    tg_buf_byte(j->out, (uint8_t)bracket);
    j->comma = true;
}

void tg_json_object(struct tg_json *j)
{
    open_level(j, '{');
}

void tg_json_end_object(struct tg_json *j)
{
    close_level(j, '}');
}

void tg_json_array(struct tg_json *j)
{
    open_level(j, '[');
}

void tg_json_end_array(struct tg_json *j)
{
    close_level(j, ']');
}

static inline bool is_plain(uint8_t c)
{
    return c >= 0x20 && c < 0x80 && c != '"' && c != '\\';
}

/*
 * Copies leading bytes that are ASCII and need no escape. The caller has room for 16 bytes more
 * than there are, so that a block can be stored before it is known how much of it counts.
 *
 * @return how many were copied
 */
static inline size_t copy_plain(uint8_t *out, const uint8_t *s, size_t n)
{
    size_t i = 0;

#if defined(__SSE2__)
    const __m128i space = _mm_set1_epi8(0x20), quote = _mm_set1_epi8('"'),
                  back = _mm_set1_epi8('\\');

    for (; i + 16 <= n; i += 16) {
        __m128i v = _mm_loadu_si128((const __m128i *)(s + i));
        /* signed compare: control characters and bytes above 0x7f are both below 0x20 */
        __m128i odd = _mm_or_si128(_mm_cmplt_epi8(v, space),
                                   _mm_or_si128(_mm_cmpeq_epi8(v, quote), _mm_cmpeq_epi8(v, back)));
        int mask = _mm_movemask_epi8(odd);

        _mm_storeu_si128((__m128i *)(out + i), v);
        if (mask)
            return i + (size_t)__builtin_ctz((unsigned)mask);
    }
#endif
    for (; i < n && is_plain(s[i]); i++)
        out[i] = s[i];
    return i;
}

/* @return length of the well-formed multi-byte sequence at s, 0 if there is none */
static inline size_t utf8_run(const uint8_t *s, size_t n)
{
    if (s[0] >= 0xc2 && s[0] <= 0xdf)
        return n >= 2 && (s[1] & 0xc0) == 0x80 ? 2 : 0;
    if ((s[0] & 0xf0) == 0xe0) {
        if (n < 3 || (s[1] & 0xc0) != 0x80 || (s[2] & 0xc0) != 0x80)
            return 0;
        if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f))
            return 0;
        return 3;
    }
    if (s[0] >= 0xf0 && s[0] <= 0xf4) {
        if (n < 4 || (s[1] & 0xc0) != 0x80 || (s[2] & 0xc0) != 0x80 || (s[3] & 0xc0) != 0x80)
            return 0;
        if ((s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f))
            return 0;
        return 4;
    }
    return 0;
}

/* Copies well-formed multi-byte sequences one after another. @return how many bytes */
static inline size_t copy_utf8(uint8_t *out, const uint8_t *s, size_t n)
{
    size_t i = 0;

    while (i < n && s[i] >= 0x80) {
        size_t run = utf8_run(s + i, n - i);

        if (run == 0)
            break;
        memcpy(out + i, s + i, 2);
        if (run > 2)
            memcpy(out + i + run - 2, s + i + run - 2, 2);
        i += run;
    }
    return i;
}

/* Writes the escape of one byte that is no plain ASCII and starts no sequence. */
static uint8_t *escape(uint8_t *out, uint8_t c)
{
    static const char digit[] = "0123456789abcdef";
    static const char short_form[] = "\bb\ff\nn\rr\tt\"\"\\\\";

    if (c >= 0x80) {
        memcpy(out, "\xef\xbf\xbd", 3); /* U+FFFD */
        return out + 3;
    }
    *out++ = '\\';
    for (size_t i = 0; i + 1 < sizeof short_form; i += 2) {
        if (short_form[i] == (char)c) {
            *out++ = (uint8_t)short_form[i + 1];
            return out;
        }
    }
    memcpy(out, "u00", 3);
    out[3] = (uint8_t)digit[c >> 4];
    out[4] = (uint8_t)digit[c & 15];
    return out + 5;
}

void tg_json_quote(struct tg_buf *b, const char *text, size_t len)
{
    enum { SLACK = 24 }; /* both quotes, an escape, and what copy_plain stores beyond its end */
    const uint8_t *s = (const uint8_t *)text, *end = s + len;
    uint8_t *out;

    if (len > SIZE_MAX / 8 || !tg_buf_room(b, len + SLACK))
        return;
    out = b->data + b->len;
    *out++ = '"';
    while (s < end) {
        size_t n = copy_plain(out, s, (size_t)(end - s));

        n += copy_utf8(out + n, s + n, (size_t)(end - s) - n);
        out += n;
        s += n;
        if (s == end || n)
            continue;
        /* an escape takes up to 6 bytes where 1 was reckoned with */
        b->len = (size_t)(out - b->data);
        if (!tg_buf_room(b, (size_t)(end - s) + SLACK))
            return;
        out = escape(b->data + b->len, *s++);
    }
    *out++ = '"';
    b->len = (size_t)(out - b->data);
}

void tg_json_key(struct tg_json *j, const char *key)
{
    before_value(j);
    tg_json_quote(j->out, key, strlen(key));
    tg_buf_byte(j->out, ':');
    j->comma = false;
}

void tg_json_str(struct tg_json *j, const char *text, size_t len)
{
    before_value(j);
    tg_json_quote(j->out, text, len);
}

void tg_json_cstr(struct tg_json *j, const char *text)
{
    if (text)
        tg_json_str(j, text, strlen(text));
    else
        tg_json_null(j);
}

void tg_json_i64(struct tg_json *j, int64_t v)
{
    before_value(j);
    tg_buf_i64_text(j->out, v);
}

void tg_json_u64(struct tg_json *j, uint64_t v)
{
    before_value(j);
    tg_buf_printf(j->out, "%llu", (unsigned long long)v);
}

void tg_json_double(struct tg_json *j, double v)
{
    char text[32];

    if (!isfinite(v)) {
        tg_json_null(j);
        return;
    }
    before_value(j);
    for (int precision = 15; precision <= 17; precision++) {
        snprintf(text, sizeof text, "%.*g", precision, v);
        if (strtod(text, NULL) == v)
            break;
    }
    tg_buf_str(j->out, text);
}

void tg_json_bool(struct tg_json *j, bool v)
{
    before_value(j);
    tg_buf_str(j->out, v ? "true" : "false");
}

void tg_json_null(struct tg_json *j)
{
    before_value(j);
    tg_buf_add(j->out, "null", 4);
}

void tg_json_base64(struct tg_json *j, const void *bytes, size_t n)
{
    before_value(j);
    tg_buf_byte(j->out, '"');
    tg_base64(j->out, bytes, n, false);
    tg_buf_byte(j->out, '"');
}

void tg_json_time(struct tg_json *j, int64_t unix_s)
{
    char text[21];

    if (tg_time_utc(text, unix_s))
        tg_json_str(j, text, 20);
    else
        tg_json_i64(j, unix_s);
}

void tg_json_raw(struct tg_json *j, const char *json, size_t len)
{
    before_value(j);
    tg_buf_add(j->out, json, len);
}

/* SPDX-License-Identifier: MIT */
/*
 * json_read.c - see json_read.h
 *
 * Whether a level is an object or an array is known to the caller that entered it; skipping keeps
 * the kinds of the levels it goes through in a bit mask.
 */
#include "base/json_read.h"

#include <assert.h>

#include "base/block16.h"
#include "base/json.h"

void tg_json_in_init(struct tg_json_in *in, const char *text, size_t len)
{
    text = len ? text : ""; /* of an empty buffer it is NULL */
    *in = (struct tg_json_in){ .at = text, .end = text + len };
}

static void fail(struct tg_json_in *in)
{
    in->bad = true;
    in->at = in->end; /* all later reads fail too */
}

static void skip_space(struct tg_json_in *in)
{
    while (in->at < in->end &&
           (*in->at == ' ' || *in->at == '\n' || *in->at == '\t' || *in->at == '\r'))
        in->at++;
}

/* @return the next character that is no white space; 0 at the end */
static char peek(struct tg_json_in *in)
{
    skip_space(in);
    return in->at < in->end ? *in->at : 0;
}

static bool take(struct tg_json_in *in, char c)
{
    if (peek(in) != c || c == 0)
        return false;
    in->at++;
    return true;
}

void tg_json_enter(struct tg_json_in *in, char bracket)
{
    assert(bracket == '{' || bracket == '[');
    if (in->depth >= TG_JSON_DEPTH || !take(in, bracket)) {
        fail(in);
        return;
    }
    in->depth++;
    in->first = true;
}

/* Reads the comma or the closing bracket. @return whether the level goes on */
static bool go_on(struct tg_json_in *in, char closing)
{
    bool first = in->first;

    if (in->bad || in->depth == 0)
        return false;
    in->first = false;
    if (take(in, closing)) {
        in->depth--;
        return false;
    }
    if (!first && !take(in, ',')) {
        fail(in);
        return false;
    }
    return true;
}

static bool is_hex(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

/* @return the first byte from there on that ends what is plain in a string: a quote, a backslash, a
 * control character; the end. *ascii falls where a byte of a longer character was passed */
static const char *find_odd(const char *at, const char *end, bool *ascii)
{
#if defined(__SSE2__)
    const __m128i quote = _mm_set1_epi8('"'), slash = _mm_set1_epi8('\\');
    const __m128i control = _mm_set1_epi8(0x1f);

    for (; end - at >= 16; at += 16) {
        __m128i c = tg_load16((const uint8_t *)at);
        __m128i odd = _mm_or_si128(_mm_cmpeq_epi8(_mm_max_epu8(c, control), control),
                                   _mm_or_si128(_mm_cmpeq_epi8(c, quote),
                                                _mm_cmpeq_epi8(c, slash)));
        unsigned stop = (unsigned)_mm_movemask_epi8(odd), high = (unsigned)_mm_movemask_epi8(c);

        if (stop) {
            *ascii &= !(high & (stop - 1) & ~stop); /* those before it */
            return at + __builtin_ctz(stop);
        }
        *ascii &= !high;
    }
#endif
    for (; at < end && *at != '"' && *at != '\\' && (uint8_t)*at >= 0x20; at++)
        *ascii &= (uint8_t)*at < 0x80;
    return at;
}

/* Reads a string. @return what stands between its quotes; NULL if it is none or malformed */
static struct tg_str take_quoted(struct tg_json_in *in)
{
    const char *start, *at;
    bool ascii = true;

    if (!take(in, '"')) {
        fail(in);
        return (struct tg_str){ NULL, 0 };
    }
    start = in->at;
    for (at = find_odd(start, in->end, &ascii); at < in->end && *at == '\\';
         at = find_odd(at + 1, in->end, &ascii)) {
        if (++at == in->end || !strchr("\"\\/bfnrtu", *at) || !*at)
            break;
        if (*at != 'u')
            continue;
        if (in->end - at < 5 || !is_hex(at[1]) || !is_hex(at[2]) || !is_hex(at[3]) ||
            !is_hex(at[4]))
            break;
        at += 4;
    }
    if (at >= in->end || *at != '"' || at - start > (ptrdiff_t)UINT32_MAX ||
        (!ascii && !tg_utf8_valid(start, (size_t)(at - start)))) {
        fail(in);
        return (struct tg_str){ NULL, 0 };
    }
    in->at = at + 1;
    return (struct tg_str){ start, (uint32_t)(at - start) };
}

bool tg_json_next_key(struct tg_json_in *in, struct tg_str *ret_key)
{
    if (!go_on(in, '}'))
        return false;
    *ret_key = take_quoted(in);
    if (!in->bad && !take(in, ':'))
        fail(in);
    return !in->bad;
}

bool tg_json_next_item(struct tg_json_in *in)
{
    return go_on(in, ']');
}

static bool at_digit(const struct tg_json_in *in)
{
    return in->at < in->end && *in->at >= '0' && *in->at <= '9';
}

static bool take_digits(struct tg_json_in *in)
{
    if (!at_digit(in))
        return false;
    while (at_digit(in))
        in->at++;
    return true;
}

/* Reads a sign and the digits of an integer, as the grammar has them, with their value. */
static bool take_integer(struct tg_json_in *in, bool *ret_negative, uint64_t *ret, bool *ret_fits)
{
    skip_space(in);
    *ret_negative = in->at < in->end && *in->at == '-';
    in->at += *ret_negative;
    *ret = 0;
    *ret_fits = true;
    if (!at_digit(in))
        return false;
    if (*in->at == '0') { /* no digit may follow */
        in->at++;
        return !at_digit(in);
    }
    for (; at_digit(in); in->at++)
        if (__builtin_mul_overflow(*ret, UINT64_C(10), ret) ||
            __builtin_add_overflow(*ret, (uint64_t)(*in->at - '0'), ret))
            *ret_fits = false;
    return true;
}

static bool at_fraction(const struct tg_json_in *in)
{
    return in->at < in->end && (*in->at == '.' || *in->at == 'e' || *in->at == 'E');
}

int64_t tg_json_take_i64(struct tg_json_in *in)
{
    bool negative, fits;
    uint64_t v;

    if (!take_integer(in, &negative, &v, &fits) || !fits || at_fraction(in) ||
        v > (uint64_t)INT64_MAX + negative) {
        fail(in);
        return 0;
    }
    return negative ? (int64_t)(0 - v) : (int64_t)v;
}

uint64_t tg_json_take_u64(struct tg_json_in *in)
{
    bool negative, fits;
    uint64_t v;

    if (!take_integer(in, &negative, &v, &fits) || !fits || negative || at_fraction(in)) {
        fail(in);
        return 0;
    }
    return v;
}

static void skip_number(struct tg_json_in *in)
{
    bool negative, fits, ok;
    uint64_t v;

    ok = take_integer(in, &negative, &v, &fits);
    if (ok && in->at < in->end && *in->at == '.') {
        in->at++;
        ok = take_digits(in);
    }
    if (ok && in->at < in->end && (*in->at == 'e' || *in->at == 'E')) {
        in->at++;
        in->at += in->at < in->end && (*in->at == '+' || *in->at == '-');
        ok = take_digits(in);
    }
    if (!ok)
        fail(in);
}

static bool take_word(struct tg_json_in *in, const char *word)
{
    size_t n = strlen(word);

    skip_space(in);
    if ((size_t)(in->end - in->at) < n || memcmp(in->at, word, n) != 0)
        return false;
    in->at += n;
    return true;
}

bool tg_json_take_bool(struct tg_json_in *in)
{
    if (take_word(in, "true"))
        return true;
    if (!take_word(in, "false"))
        fail(in);
    return false;
}

bool tg_json_take_null(struct tg_json_in *in)
{
    return take_word(in, "null");
}

static uint32_t hex4(const char *s)
{
    uint8_t b[2] = { 0 };

    tg_unhex(b, 2, s, 4); /* the digits were checked before */
    return (uint32_t)b[0] << 8 | b[1];
}

static void put_utf8(struct tg_buf *out, uint32_t c)
{
    if (c < 0x80) {
        tg_buf_byte(out, (uint8_t)c);
        return;
    }
    if (c < 0x800) {
        tg_buf_byte(out, (uint8_t)(0xc0 | c >> 6));
    } else {
        if (c < 0x10000) {
            tg_buf_byte(out, (uint8_t)(0xe0 | c >> 12));
        } else {
            tg_buf_byte(out, (uint8_t)(0xf0 | c >> 18));
            tg_buf_byte(out, (uint8_t)(0x80 | (c >> 12 & 63)));
        }
        tg_buf_byte(out, (uint8_t)(0x80 | (c >> 6 & 63)));
    }
    tg_buf_byte(out, (uint8_t)(0x80 | (c & 63)));
}

/* Appends the character of a \u escape at s, which may be a surrogate pair. @return past it */
static const char *put_escaped(struct tg_buf *out, const char *s, const char *end)
{
    uint32_t c = hex4(s + 2);

    s += 6;
    if (c >= 0xd800 && c < 0xdc00 && end - s >= 6 && s[0] == '\\' && s[1] == 'u') {
        uint32_t low = hex4(s + 2);

        if (low >= 0xdc00 && low < 0xe000) {
            c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
            s += 6;
        }
    }
    put_utf8(out, c >= 0xd800 && c < 0xe000 ? 0xfffd : c); /* half a pair is no character */
    return s;
}

void tg_json_take_str(struct tg_json_in *in, struct tg_buf *out)
{
    static const char name[] = "bfnrt", value[] = "\b\f\n\r\t";
    struct tg_str raw = take_quoted(in);
    const char *s = raw.at, *end = s ? s + raw.len : s;

    while (s < end) {
        const char *back = memchr(s, '\\', (size_t)(end - s)), *found;

        tg_buf_add(out, s, (size_t)((back ? back : end) - s));
        if (!back)
            return;
        if (back[1] == 'u') {
            s = put_escaped(out, back, end);
            continue;
        }
        found = strchr(name, back[1]);
        tg_buf_byte(out, (uint8_t)(found ? value[found - name] : back[1]));
        s = back + 2;
    }
}

/* Reads a value that has no levels of its own. */
static void skip_plain(struct tg_json_in *in)
{
    char c = peek(in);

    if (c == '"')
        take_quoted(in);
    else if (c == 't' || c == 'f')
        tg_json_take_bool(in);
    else if (c != 'n')
        skip_number(in);
    else if (!tg_json_take_null(in))
        fail(in);
}

void tg_json_skip(struct tg_json_in *in)
{
    unsigned outer = in->depth;
    uint64_t is_object = 0; /* a bit per level below `outer` */

    do {
        char c = peek(in);
        struct tg_str key;

        if (c == '{' || c == '[') {
            tg_json_enter(in, c);
            if (in->bad)
                break;
            is_object = is_object << 1 | (c == '{');
        } else {
            skip_plain(in);
        }
        /* Close every level that ends here. */
        while (in->depth > outer) {
            bool more = is_object & 1 ? tg_json_next_key(in, &key) : tg_json_next_item(in);

            if (more || in->bad)
                break;
            is_object >>= 1;
        }
    } while (in->depth > outer && !in->bad);
}

void tg_json_mend(struct tg_buf *out, const void *text, size_t len)
{
    struct tg_json_in in;
    struct tg_buf json;

    tg_buf_init(&json, SIZE_MAX);
    tg_json_quote(&json, text, len);
    tg_json_in_init(&in, (const char *)json.data, json.len);
    tg_json_take_str(&in, out);
    out->failed |= json.failed;
    tg_buf_done(&json);
}

bool tg_json_in_done(struct tg_json_in *in)
{
    return !in->bad && in->depth == 0 && peek(in) == 0 && in->at == in->end;
}

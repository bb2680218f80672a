/* SPDX-License-Identifier: MIT */
/*
 * json.c - see json.h
 *
 * Quoting is the hot loop. Text is copied sixteen bytes at a time where SSE2 is there, up to the
 * first that is not ASCII or needs an escape; for most that is all. Behind it, bytes are checked to
 * be UTF-8 while they are copied, up to the next one that needs an escape.
 */
#include "base/json.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include "base/block16.h"
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

#if defined(__SSE2__)

/*
 * Copies leading ASCII that needs no escape. The caller has room for 16 bytes more than there are,
 * so that a block can be stored before it is known how much counts.
 *
 * @return how many were copied
 */
static inline size_t copy_leading(uint8_t *out, const uint8_t *s, size_t n)
{
    const __m128i last_control = _mm_set1_epi8(0x1f), quote = _mm_set1_epi8('"'),
                  back = _mm_set1_epi8('\\');

    for (size_t i = 0; i < n; i += 16) {
        __m128i v = n - i >= 16 ? tg_load16(s + i) : tg_load_short(s + i, n - i);
        __m128i odd = _mm_or_si128(_mm_cmpeq_epi8(_mm_min_epu8(v, last_control), v),
                                   _mm_or_si128(_mm_cmpeq_epi8(v, quote), _mm_cmpeq_epi8(v, back)));
        int mask = _mm_movemask_epi8(_mm_or_si128(odd, v));

        _mm_storeu_si128((__m128i *)(void *)(out + i), v);
        if (mask)
            return TG_MIN(n, i + (size_t)__builtin_ctz((unsigned)mask));
    }
    return n;
}

#else

static inline size_t copy_leading(uint8_t *out, const uint8_t *s, size_t n)
{
    (void)out;
    (void)s;
    (void)n;
    return 0;
}

#endif

/* Both quotes, an escape, and what is stored beyond the end of a copy. */
enum { QUOTE_SLACK = 24 };

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

/* Appends what is left of a text, and the quote behind it. */
static void quote_rest(struct tg_buf *b, const uint8_t *s, const uint8_t *end)
{
    for (;;) {
        size_t n;

        /* anew for each round: an escape takes up to 6 bytes where 1 was reckoned with */
        if (!tg_buf_room(b, (size_t)(end - s) + QUOTE_SLACK))
            return;
        n = tg_utf8_copy(b->data + b->len, s, (size_t)(end - s));
        b->len += n;
        s += n;
        if (s == end)
            break;
        b->len = (size_t)(escape(b->data + b->len, *s++) - b->data);
    }
    b->data[b->len++] = '"';
}

void tg_json_quote(struct tg_buf *b, const char *text, size_t len)
{
    const uint8_t *s = (const uint8_t *)text;
    uint8_t *out;
    size_t n;

    if (len > SIZE_MAX / 8 || !tg_buf_room(b, len + QUOTE_SLACK))
        return;
    out = b->data + b->len;
    *out++ = '"';
    n = copy_leading(out, s, len);
    if (n == len)
        out[n++] = '"';
    b->len += n + 1;
    if (n < len)
        quote_rest(b, s + n, s + len);
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

/*
 * Appends the fewest of 15, 16 or 17 digits that read as v again. With v = m / 2^s, a text of k
 * decimals stands for n / 10^k, and both sides of comparisons are multiplied by 2^s 10^k: nothing
 * is lost to rounding, and each product has less than 128 bits.
 *
 * @return false if v is not of the size of a coordinate: s and k would be too large
 */
static bool put_decimals(struct tg_buf *out, double v)
{
    uint64_t m, n = 0, power = 1, unit;
    double size = fabs(v);
    int exponent, k = 18;
    unsigned s;

    if (!(size >= 1e-3 && size < 1e9))
        return false;
    m = (uint64_t)ldexp(frexp(size, &exponent), 53);
    s = (unsigned)(53 - exponent);
    for (uint64_t left = (uint64_t)((unsigned __int128)m * 1000 >> s); left; left /= 10)
        k--; /* 14 decimals behind one digit */
    for (int i = 0; i < k; i++)
        power *= 10;
    for (int precision = 15;; precision++, k++, power *= 10) {
        unsigned __int128 exact = (unsigned __int128)m * power, text, off;
        uint64_t rest, half = UINT64_C(1) << (s - 1);

        n = (uint64_t)(exact >> s);
        rest = (uint64_t)exact & (2 * half - 1);
        n += rest > half || (rest == half && n % 2);
        if (precision == 17)
            break;
        text = (unsigned __int128)n << s;
        off = text > exact ? text - exact : 2 * (exact - text);
        if (text < exact && m != UINT64_C(1) << 52) /* below a power of two doubles are denser */
            off /= 2;
        if (2 * off < power || (2 * off == power && m % 2 == 0))
            break;
    }
    if (v < 0)
        tg_buf_byte(out, '-');
    tg_buf_i64_text(out, (int64_t)(n / power));
    n %= power;
    if (n)
        tg_buf_byte(out, '.');
    for (unit = power / 10; n; n %= unit, unit /= 10)
        tg_buf_byte(out, (uint8_t)('0' + n / unit));
    return true;
}

void tg_json_double(struct tg_json *j, double v)
{
    char text[32];

    if (!isfinite(v)) {
        tg_json_null(j);
        return;
    }
    before_value(j);
    if (put_decimals(j->out, v))
        return;
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

void tg_json_time_ms(struct tg_json *j, const char *key, int64_t unix_ms)
{
    tg_json_key(j, key);
    if (unix_ms > 0)
        tg_json_time(j, unix_ms / 1000);
    else
        tg_json_null(j);
}

void tg_json_raw(struct tg_json *j, const char *json, size_t len)
{
    before_value(j);
    tg_buf_add(j->out, json, len);
}

/* SPDX-License-Identifier: MIT */
/*
 * sigv4.c - see sigv4.h
 */
#include "client/sigv4.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/text.h"
#include "crypto/ct.h"
#include "crypto/hash.h"

enum { CANONICAL_MAX = 1 << 20, SCOPE_MAX = 160, HEX_SHA256 = 2 * TG_SHA256 + 1 };
#define ALGORITHM "AWS4-HMAC-SHA256"

bool tg_sigv4_time(char out[17], int64_t unix_s)
{
    char text[21];
    size_t n = 0;

    if (!tg_time_utc(text, unix_s))
        return false;
    for (const char *c = text; *c; c++)
        if (*c != '-' && *c != ':')
            out[n++] = *c;
    out[n] = 0;
    assert(n == 16);
    return true;
}

/* ---- the canonical request ---- */

static bool unreserved(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
           (c && strchr("-._~", c));
}

static void encode(struct tg_buf *out, const char *text, size_t len, bool keep_slash)
{
    for (size_t i = 0; i < len; i++) {
        if (unreserved(text[i]) || (keep_slash && text[i] == '/'))
            tg_buf_byte(out, (uint8_t)text[i]);
        else
            tg_buf_printf(out, "%%%02X", (uint8_t)text[i]);
    }
}

/* The same for text that is percent-encoded, more or less: decoded first. */
static void encode_again(struct tg_buf *out, const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        uint8_t byte = (uint8_t)text[i];

        if (byte == '%' && len - i > 2 && tg_unhex(&byte, 1, text + i + 1, 2))
            i += 2;
        encode(out, (const char *)&byte, 1, false);
    }
}

/* A parameter of the query, encoded: where it stands in the buffer. */
struct parameter {
    const struct tg_buf *in;
    size_t name, name_len, value, value_len;
};

static int compare_bytes(const uint8_t *a, size_t n, const uint8_t *b, size_t m)
{
    int order = memcmp(a, b, TG_MIN(n, m));

    return order ? order : (n > m) - (n < m);
}

static int compare_parameters(const void *left, const void *right)
{
    const struct parameter *a = left, *b = right;
    const uint8_t *in = a->in->data;
    int order = compare_bytes(in + a->name, a->name_len, in + b->name, b->name_len);

    return order ? order
                 : compare_bytes(in + a->value, a->value_len, in + b->value, b->value_len);
}

static bool add_query(struct tg_buf *out, const char *query)
{
    struct parameter p[TG_SIGV4_PARAMETERS_MAX];
    struct tg_buf text;
    size_t n = 0;

    tg_buf_init(&text, out->max);
    for (const char *at = query; at && *at;) {
        size_t len = strcspn(at, "&"), name_len = TG_MIN(strcspn(at, "="), len);
        size_t value_at = TG_MIN(name_len + 1, len);

        if (n == TG_COUNT(p) || text.failed) {
            tg_buf_done(&text);
            return false;
        }
        p[n] = (struct parameter){ .in = &text, .name = text.len };
        encode_again(&text, at, name_len);
        p[n].name_len = text.len - p[n].name;
        p[n].value = text.len;
        encode_again(&text, at + value_at, len - value_at);
        p[n].value_len = text.len - p[n].value;
        n += len > 0;
        at += len + (at[len] == '&');
    }
    if (!text.failed && n)
        qsort(p, n, sizeof *p, compare_parameters);
    for (size_t i = 0; i < n && !text.failed; i++) {
        tg_buf_str(out, i ? "&" : "");
        tg_buf_add(out, text.data + p[i].name, p[i].name_len);
        tg_buf_byte(out, '=');
        tg_buf_add(out, text.data + p[i].value, p[i].value_len);
    }
    out->failed |= text.failed;
    tg_buf_done(&text);
    return true;
}

/* The value without spaces around it, and one where several stand. */
static void add_trimmed(struct tg_buf *out, const char *value)
{
    size_t start = out->len;

    for (; *value; value++)
        if (*value != ' ' || (out->len > start && value[1] && value[1] != ' '))
            tg_buf_byte(out, (uint8_t)*value);
}

static int compare_headers(const void *left, const void *right)
{
    return strcmp(((const struct tg_sigv4_header *)left)->name,
                  ((const struct tg_sigv4_header *)right)->name);
}

static void add_names(struct tg_buf *out, const struct tg_sigv4_header *sorted, size_t n)
{
    for (size_t i = 0; i < n; i++)
        tg_buf_printf(out, "%s%s", i ? ";" : "", sorted[i].name);
}

static void hex_sha256(char out[HEX_SHA256], const void *data, size_t len)
{
    uint8_t digest[TG_SHA256];

    tg_sha256(digest, data, len);
    tg_hex(out, digest, sizeof digest);
}

/* Its digest in hex. */
static bool canonical(const struct tg_sigv4_request *r, const struct tg_sigv4_header *sorted,
                      char ret[HEX_SHA256])
{
    struct tg_buf text;
    char body[HEX_SHA256];
    bool good;

    tg_buf_init(&text, CANONICAL_MAX);
    tg_buf_printf(&text, "%s\n", r->method);
    if (r->path_as_is)
        tg_buf_str(&text, r->path);
    else
        encode(&text, r->path, strlen(r->path), true);
    tg_buf_byte(&text, '\n');
    good = add_query(&text, r->query);
    tg_buf_byte(&text, '\n');
    for (size_t i = 0; i < r->n_headers; i++) {
        tg_buf_printf(&text, "%s:", sorted[i].name);
        add_trimmed(&text, sorted[i].value);
        tg_buf_byte(&text, '\n');
    }
    tg_buf_byte(&text, '\n');
    add_names(&text, sorted, r->n_headers);
    if (!r->body_sha256)
        hex_sha256(body, r->body, r->len);
    tg_buf_printf(&text, "\n%s", r->body_sha256 ? r->body_sha256 : body);
    good &= !text.failed;
    if (good)
        hex_sha256(ret, text.data, text.len);
    tg_buf_wipe(&text); /* a session token stood there */
    return good;
}

/* ---- the signature ---- */

static void chain(uint8_t key[TG_SHA256], const char *text)
{
    uint8_t next[TG_SHA256];

    tg_hmac_sha256(next, (struct tg_part){ key, TG_SHA256 }, text, strlen(text));
    memcpy(key, next, TG_SHA256);
    tg_wipe(next, sizeof next);
}

static bool signature(const char *secret, const char *date, const struct tg_sigv4_request *r,
                      const char *to_sign, char ret[HEX_SHA256])
{
    uint8_t key[TG_SHA256];
    struct tg_buf first;
    bool good;

    tg_buf_init(&first, 4096);
    tg_buf_printf(&first, "AWS4%s", secret);
    good = !first.failed;
    if (good) {
        tg_hmac_sha256(key, (struct tg_part){ first.data, first.len }, date, strlen(date));
        chain(key, r->region);
        chain(key, r->service);
        chain(key, "aws4_request");
        chain(key, to_sign);
        tg_hex(ret, key, sizeof key);
    }
    tg_wipe(key, sizeof key);
    tg_buf_wipe(&first);
    return good;
}

tg_code tg_sigv4_sign(const struct tg_aws_keys *keys, int64_t unix_s,
                      const struct tg_sigv4_request *r, struct tg_buf *out, struct tg_error *err)
{
    struct tg_sigv4_header sorted[TG_SIGV4_HEADERS_MAX];
    char time[17], date[9], scope[SCOPE_MAX], digest[HEX_SHA256], to_sign[SCOPE_MAX + 128];
    int n;

    assert(r->method && r->path && r->region && r->service);
    if (r->n_headers > TG_COUNT(sorted) || !tg_sigv4_time(time, unix_s))
        return tg_fail(err, TG_LIMIT, "a request with too many headers, or of no real time");
    memcpy(sorted, r->header, r->n_headers * sizeof *sorted);
    qsort(sorted, r->n_headers, sizeof *sorted, compare_headers);
    snprintf(date, sizeof date, "%.8s", time);
    n = snprintf(scope, sizeof scope, "%s/%s/%s/aws4_request", date, r->region, r->service);
    if (n < 0 || (size_t)n >= sizeof scope || !canonical(r, sorted, digest))
        return tg_fail(err, TG_LIMIT, "a request that is too large to be signed");
    snprintf(to_sign, sizeof to_sign, ALGORITHM "\n%s\n%s\n%s", time, scope, digest);
    if (!signature(keys->secret, date, r, to_sign, digest))
        return tg_fail(err, TG_LIMIT, "the secret key is too long");
    tg_buf_printf(out, ALGORITHM " Credential=%s/%s, SignedHeaders=", keys->id, scope);
    add_names(out, sorted, r->n_headers);
    tg_buf_printf(out, ", Signature=%s", digest);
    return out->failed ? tg_fail(err, TG_LIMIT, "the signature is too long") : TG_OK;
}

/* SPDX-License-Identifier: MIT */
/*
 * s3.c - see s3.h; objects in pieces are in s3_upload.c
 *
 * The bucket stands in the path (https://s3.REGION.amazonaws.com/BUCKET/KEY), which every server
 * that speaks as S3 understands, and whose certificate fits any bucket's name.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "client/s3_impl.h"
#include "client/xml.h"
#include "crypto/random.h"

enum { TIMEOUT_MS = 60000, REPLY_MAX = 8 << 20, HEADERS_MAX = 16 << 10, QUERY_MAX = 6 << 10 };

/* ---- which bucket ---- */

static bool made_of(const char *text, size_t len, const char *good)
{
    for (size_t i = 0; i < len; i++)
        if (!text[i] || !strchr(good, text[i]))
            return false;
    return true;
}

#define SMALL "abcdefghijklmnopqrstuvwxyz0123456789"

/* Names between slashes, none of them empty, "." or "..". */
static bool good_prefix(const char *text)
{
    for (; *text; text += strcspn(text, "/"), text += *text == '/') {
        size_t n = strcspn(text, "/");

        if (!n || strspn(text, ".") == n ||
            !made_of(text, n, SMALL "ABCDEFGHIJKLMNOPQRSTUVWXYZ-._~"))
            return false;
    }
    return true;
}

static tg_code set_place(struct tg_s3 *s, const char *place, struct tg_error *err)
{
    const char *bucket = strncmp(place, "//", 2) == 0 ? place + 2 : "";
    size_t len = strcspn(bucket, "/");
    const char *prefix = bucket + len + (bucket[len] == '/');
    size_t n = strlen(prefix);

    n -= n && prefix[n - 1] == '/';
    if (len < 3 || len >= sizeof s->bucket || !made_of(bucket, len, SMALL ".-") ||
        strspn(bucket, ".-") || n + 2 > sizeof s->prefix || !good_prefix(prefix)) {
        tg_fail(err, TG_USAGE, "'s3:%.160s' names no place in S3", place);
        return tg_hint(err, "write it as s3://BUCKET/PREFIX: buckets of 3 to 63 small letters, "
                            "digits, '.-'; prefixes of letters, digits, '-._~/'");
    }
    snprintf(s->bucket, sizeof s->bucket, "%.*s", (int)len, bucket);
    snprintf(s->prefix, sizeof s->prefix, "%.*s%s", (int)n, prefix, n ? "/" : "");
    snprintf(s->name, sizeof s->name, "s3://%s/%.*s", s->bucket, (int)n, prefix);
    return TG_OK;
}

tg_code tg_s3_new(const char *place, const char *region, const char *endpoint, struct tg_s3 **ret,
                  struct tg_error *err)
{
    const struct tg_aws_service service = { .name = "s3", .region = region, .endpoint = endpoint,
                                            .endpoint_env = "AWS_ENDPOINT_URL_S3" };
    struct tg_s3 *s = calloc(1, sizeof *s);
    tg_code code;

    if (!s)
        return tg_fail(err, TG_NOMEM, "no memory for a connection");
    tg_buf_init(&s->reply, REPLY_MAX);
    tg_buf_init(&s->headers, HEADERS_MAX);
    code = set_place(s, place, err);
    if (code == TG_OK)
        code = tg_aws_new(&service, &s->aws, err);
    if (code == TG_OK)
        *ret = s;
    else
        tg_s3_free(s);
    return code;
}

void tg_s3_free(struct tg_s3 *s)
{
    if (!s)
        return;
    tg_aws_free(s->aws);
    tg_buf_done(&s->reply);
    tg_buf_done(&s->headers);
    free(s);
}

const char *tg_s3_name(const struct tg_s3 *s)
{
    return s->name;
}

/* ---- calls ---- */

tg_code tg_s3_strange(const struct tg_s3 *s, struct tg_error *err)
{
    return tg_fail(err, TG_PROTOCOL, "%.100s: the answer is none of S3", tg_aws_endpoint(s->aws));
}

void tg_s3_encode(struct tg_buf *out, const char *text)
{
    for (; *text; text++) {
        if (made_of(text, 1, SMALL "ABCDEFGHIJKLMNOPQRSTUVWXYZ-._~"))
            tg_buf_byte(out, (uint8_t)*text);
        else
            tg_buf_printf(out, "%%%02X", (uint8_t)*text);
    }
}

/* What S3's refusals mean here. */
static tg_code told(struct tg_s3 *s, const struct s3_call *call, tg_code code,
                    struct tg_error *err)
{
    const char *refusal = tg_aws_refusal(s->aws);
    int status = tg_aws_status(s->aws);

    if (status == 404 && strcmp(refusal, "NoSuchBucket") == 0) {
        tg_fail(err, TG_NOT_FOUND, "there is no bucket '%.63s' at %.100s", s->bucket,
                tg_aws_endpoint(s->aws));
        return tg_hint(err, "make it, or name another; do region and keys belong to it?");
    }
    if (status == 404)
        return TG_END;
    if (status == 412 || (status == 409 && call->condition)) {
        tg_fail(err, TG_CONFLICT, "%.160s/%.140s was changed by another", s->name, call->key);
        return TG_CONFLICT;
    }
    if (status == 301 || status == 307 || strcmp(refusal, "PermanentRedirect") == 0)
        return tg_hint(err, "the bucket is in another region: name it with region=");
    return code;
}

tg_code tg_s3_call(struct tg_s3 *s, const struct s3_call *call, struct tg_error *err)
{
    const struct tg_sigv4_header header[] = {
        { "content-type", "application/octet-stream" },
        { call->condition, call->value },
    };
    struct tg_aws_request request = {
        .method = call->method, .query = call->query, .header = header,
        .n_headers = call->condition ? 2 : 1, .body = call->body, .len = call->len,
        .timeout_ms = TIMEOUT_MS, .ret_headers = &s->headers,
    };
    char path[TG_S3_KEY_MAX + 100];
    int n = call->key ? snprintf(path, sizeof path, "/%s/%s%s", s->bucket, s->prefix, call->key)
                      : snprintf(path, sizeof path, "/%s", s->bucket);
    tg_code code;

    if (n < 0 || (size_t)n >= sizeof path)
        return tg_fail(err, TG_LIMIT, "%.120s: a key is too long", s->name);
    request.path = path;
    code = tg_aws_send(s->aws, &request, call->ret ? call->ret : &s->reply, err);
    return code == TG_OK ? TG_OK : told(s, call, code, err);
}

tg_code tg_s3_told(tg_code code, struct tg_error *err)
{
    switch (code) {
    case TG_NET:
    case TG_TIMEOUT:
    case TG_SERVER:
    case TG_PROTOCOL:
        return err->code = TG_SINK;
    case TG_NOT_FOUND: /* the bucket */
    case TG_UNUSABLE:
        return err->code = TG_IO;
    default:
        return code;
    }
}

/* Takes quotes off, and the mark of a weak one. */
static bool set_etag(struct tg_s3_etag *ret, struct tg_str text)
{
    if (text.len > 2 && memcmp(text.at, "W/", 2) == 0)
        text = (struct tg_str){ text.at + 2, text.len - 2 };
    if (text.len > 2 && text.at[0] == '"' && text.at[text.len - 1] == '"')
        text = (struct tg_str){ text.at + 1, text.len - 2 };
    if (!text.len || text.len >= sizeof ret->at)
        return false;
    for (size_t i = 0; i < text.len; i++)
        if (text.at[i] <= ' ' || text.at[i] > '~' || text.at[i] == '"')
            return false;
    memcpy(ret->at, text.at, text.len);
    ret->at[text.len] = 0;
    return true;
}

tg_code tg_s3_take_etag(struct tg_s3 *s, struct tg_s3_etag *ret, struct tg_error *err)
{
    const char *at = tg_buf_cstr(&s->headers);
    const char *line = strcasestr(at, "\netag:");

    if (line) {
        line += strlen("\netag:");
        line += strspn(line, " \t");
        if (set_etag(ret, (struct tg_str){ line, (uint32_t)strcspn(line, " \t\r\n") }))
            return TG_OK;
    }
    return tg_s3_strange(s, err);
}

/* ---- one object ---- */

tg_code tg_s3_get(struct tg_s3 *s, const char *key, struct tg_buf *ret,
                  struct tg_s3_etag *ret_etag, struct tg_error *err)
{
    const struct s3_call call = { .method = "GET", .key = key, .ret = ret };
    tg_code code = tg_s3_call(s, &call, err);

    return code == TG_OK && ret_etag ? tg_s3_take_etag(s, ret_etag, err) : code;
}

tg_code tg_s3_get_range(struct tg_s3 *s, const char *key, uint64_t from, size_t n,
                        struct tg_buf *ret, struct tg_error *err)
{
    char range[64];
    const struct s3_call call = { .method = "GET", .key = key, .condition = "range",
                                  .value = range, .ret = ret };
    tg_code code;

    snprintf(range, sizeof range, "bytes=%" PRIu64 "-%" PRIu64, from, from + n - 1);
    code = tg_s3_call(s, &call, err);
    if (tg_aws_status(s->aws) == 416) { /* it ends before that */
        tg_buf_clear(ret);
        return TG_OK;
    }
    if (code == TG_OK && (ret->len > n || (from && tg_aws_status(s->aws) != 206)))
        return tg_s3_strange(s, err);
    return code;
}

tg_code tg_s3_put(struct tg_s3 *s, const char *key, const struct tg_s3_etag *seen,
                  const void *bytes, size_t len, struct tg_s3_etag *ret, struct tg_error *err)
{
    char value[sizeof seen->at + 2];
    struct s3_call call = { .method = "PUT", .key = key, .body = bytes, .len = len };
    tg_code code;

    if (seen) {
        call.condition = *seen->at ? "if-match" : "if-none-match";
        call.value = value;
        snprintf(value, sizeof value, *seen->at && !s->bare ? "\"%s\"" : "%s",
                 *seen->at ? seen->at : "*");
    }
    code = tg_s3_call(s, &call, err);
    if (code == TG_END) { /* a condition on an object that is gone; or no condition, and strange */
        if (!seen)
            return tg_s3_strange(s, err);
        return tg_fail(err, TG_CONFLICT, "%.160s/%.140s was removed by another", s->name, key);
    }
    return code == TG_OK && ret ? tg_s3_take_etag(s, ret, err) : code;
}

tg_code tg_s3_drop(struct tg_s3 *s, const char *key, struct tg_error *err)
{
    const struct s3_call call = { .method = "DELETE", .key = key };
    tg_code code = tg_s3_call(s, &call, err);

    return code == TG_END ? TG_OK : code;
}

/* ---- lists ---- */

struct page {
    const struct tg_s3 *s;
    tg_s3_seen seen;
    void *ctx;
    char key[TG_S3_KEY_MAX + 1];
    int64_t size;
    char token[TG_S3_ID_MAX * 2];
    bool whole, truncated, stopped, bad;
};

static bool take_element(void *ctx, struct tg_str parent, struct tg_str name, const char *value)
{
    struct page *p = ctx;
    size_t prefix = strlen(p->s->prefix);

    if (tg_str_eq(parent, TG_STR("Contents")) && value) {
        if (tg_str_eq(name, TG_STR("Key")))
            p->bad |= (size_t)snprintf(p->key, sizeof p->key, "%s", value) >= sizeof p->key;
        else if (tg_str_eq(name, TG_STR("Size")))
            p->bad |= !tg_i64_parse(value, &p->size) || p->size < 0;
    } else if (tg_str_eq(name, TG_STR("Contents")) && !value) {
        p->bad |= strncmp(p->key, p->s->prefix, prefix) != 0 || p->size < 0;
        if (!p->bad)
            p->stopped = !p->seen(p->ctx, p->key + prefix, (uint64_t)p->size);
        p->key[0] = 0;
        p->size = -1;
    } else if (tg_str_eq(name, TG_STR("NextContinuationToken")) && value) {
        p->bad |= (size_t)snprintf(p->token, sizeof p->token, "%s", value) >= sizeof p->token;
    } else if (tg_str_eq(name, TG_STR("IsTruncated")) && value) {
        p->truncated = strcmp(value, "true") == 0;
    } else if (tg_str_eq(name, TG_STR("ListBucketResult"))) {
        p->whole = true;
    }
    return !p->bad && !p->stopped;
}

static tg_code list_page(struct tg_s3 *s, const char *prefix, const char *after, struct page *p,
                         struct tg_error *err)
{
    struct s3_call call = { .method = "GET" };
    struct tg_buf query;
    tg_code code;

    tg_buf_init(&query, QUERY_MAX);
    tg_buf_str(&query, "list-type=2&prefix=");
    tg_s3_encode(&query, s->prefix);
    tg_s3_encode(&query, prefix);
    if (*p->token) {
        tg_buf_str(&query, "&continuation-token=");
        tg_s3_encode(&query, p->token);
    } else if (after) {
        tg_buf_str(&query, "&start-after=");
        tg_s3_encode(&query, s->prefix);
        tg_s3_encode(&query, after);
    }
    call.query = tg_buf_cstr(&query);
    *p->token = 0;
    p->truncated = p->whole = false;
    code = query.failed ? tg_fail(err, TG_LIMIT, "%.160s: a name is too long", s->name)
                        : tg_s3_call(s, &call, err);
    tg_buf_done(&query);
    if (code == TG_END ||
        (code == TG_OK && (!tg_xml_read(s->reply.data, s->reply.len, take_element, p) || p->bad ||
                           (!p->whole && !p->stopped) || (p->truncated && !*p->token))))
        return tg_s3_strange(s, err);
    return code;
}

tg_code tg_s3_list(struct tg_s3 *s, const char *prefix, const char *after, tg_s3_seen seen,
                   void *ctx, struct tg_error *err)
{
    struct page p = { .s = s, .seen = seen, .ctx = ctx, .size = -1 };
    tg_code code;

    do
        code = list_page(s, prefix, after, &p, err);
    while (code == TG_OK && p.truncated && !p.stopped);
    return code;
}

/* ---- the probe ---- */

static tg_code ignores(struct tg_s3 *s, const char *what, struct tg_error *err)
{
    tg_fail(err, TG_UNSUPPORTED, "%.100s does not keep to %s when an object is written",
            tg_aws_endpoint(s->aws), what);
    return tg_hint(err, "two runs could both believe to be the only one: use a server with "
                        "conditional writes, such as Amazon S3");
}

/* @return TG_OK if a put under that condition did what it should */
static tg_code expect(struct tg_s3 *s, const char *key, const struct tg_s3_etag *seen,
                      const char *text, tg_code want, const char *what, struct tg_s3_etag *ret,
                      struct tg_error *err)
{
    tg_code code = tg_s3_put(s, key, seen, text, strlen(text), ret, err);

    if (code == want)
        return TG_OK;
    if (code == TG_OK || code == TG_CONFLICT ||
        (code == TG_UNUSABLE && tg_aws_status(s->aws) != 403)) /* or it does not know it: 501 */
        return ignores(s, what, err);
    return code;
}

static tg_code probe_object(struct tg_s3 *s, const char *key, struct tg_error *err)
{
    static const char make[] = "If-None-Match", change[] = "If-Match";
    const struct tg_s3_etag none = { "" };
    struct tg_s3_etag first, second;
    tg_code code = tg_s3_put(s, key, NULL, "1", 1, &first, err);

    if (code == TG_OK)
        code = expect(s, key, &none, "2", TG_CONFLICT, make, NULL, err);
    if (code == TG_OK)
        code = tg_s3_put(s, key, &first, "2", 1, &second, err);
    if (code == TG_CONFLICT) { /* it knows no quotes */
        s->bare = true;
        code = expect(s, key, &first, "2", TG_OK, change, &second, err);
    }
    if (code == TG_OK)
        code = expect(s, key, &first, "3", TG_CONFLICT, change, NULL, err);
    if (code == TG_OK)
        code = tg_s3_drop(s, key, err);
    return code == TG_OK ? expect(s, key, &none, "4", TG_OK, make, NULL, err) : code;
}

tg_code tg_s3_probe(struct tg_s3 *s, struct tg_error *err)
{
    const struct tg_random random = tg_random_system();
    struct tg_error ignored;
    char key[40];
    tg_code code;

    snprintf(key, sizeof key, "_probe-%016" PRIx64, tg_random_u64(&random));
    code = probe_object(s, key, err);
    if (code == TG_OK)
        return tg_s3_drop(s, key, err);
    if (code == TG_UNSUPPORTED)
        tg_s3_drop(s, key, &ignored);
    return code;
}

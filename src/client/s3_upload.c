/* SPDX-License-Identifier: MIT */
/*
 * s3_upload.c - objects in pieces; see s3.h
 */
#include <stdio.h>
#include <stdlib.h>

#include "client/s3_impl.h"
#include "client/xml.h"

enum { QUERY_MAX = 4 << 10, LIST_MAX = 2 << 20 };

/* ---- one upload ---- */

struct wanted {
    const char *name;
    char *out;
    size_t max;
    bool bad, refused; /* refused: the answer is an error, although its status was 200 */
};

static bool take_wanted(void *ctx, struct tg_str parent, struct tg_str name, const char *value)
{
    struct wanted *w = ctx;

    w->refused |= tg_str_eq(name, TG_STR("Error")) && !parent.len;
    if (value && tg_str_eq(name, tg_str_of(w->name)))
        w->bad |= (size_t)snprintf(w->out, w->max, "%s", value) >= w->max;
    return true;
}

/* Takes the text of an element out of the answer. */
static tg_code take_text(struct tg_s3 *s, const char *name, char *out, size_t max,
                         struct tg_error *err)
{
    struct wanted w = { .name = name, .out = out, .max = max };

    *out = 0;
    if (!tg_xml_read(s->reply.data, s->reply.len, take_wanted, &w) || w.bad || !*out)
        return w.refused ? tg_fail(err, TG_SERVER, "%.160s: the server failed while it put an "
                                   "object together", s->name)
                         : tg_s3_strange(s, err);
    return TG_OK;
}

/* "partNumber=N&uploadId=ID", or the latter alone. */
static const char *about(struct tg_buf *query, unsigned n, const char *id)
{
    tg_buf_init(query, QUERY_MAX);
    if (n)
        tg_buf_printf(query, "partNumber=%u&", n);
    tg_buf_str(query, "uploadId=");
    tg_s3_encode(query, id);
    return tg_buf_cstr(query);
}

static tg_code gone(struct tg_s3 *s, const char *key, tg_code code, struct tg_error *err)
{
    return code == TG_END ? tg_fail(err, TG_CONFLICT, "%.160s/%.120s: the upload was ended by "
                                    "another", s->name, key)
                          : code;
}

tg_code tg_s3_upload(struct tg_s3 *s, const char *key, char ret_id[TG_S3_ID_MAX],
                     struct tg_error *err)
{
    const struct s3_call call = { .method = "POST", .key = key, .query = "uploads=", .body = "" };
    tg_code code = tg_s3_call(s, &call, err);

    if (code == TG_END)
        return tg_s3_strange(s, err);
    return code == TG_OK ? take_text(s, "UploadId", ret_id, TG_S3_ID_MAX, err) : code;
}

tg_code tg_s3_piece(struct tg_s3 *s, const char *key, const char *id, unsigned n,
                    const void *bytes, size_t len, struct tg_s3_etag *ret, struct tg_error *err)
{
    struct tg_buf query;
    const struct s3_call call = { .method = "PUT", .key = key, .query = about(&query, n, id),
                                  .body = bytes, .len = len };
    tg_code code = tg_s3_call(s, &call, err);

    tg_buf_done(&query);
    return code == TG_OK ? tg_s3_take_etag(s, ret, err) : gone(s, key, code, err);
}

tg_code tg_s3_finish(struct tg_s3 *s, const char *key, const char *id,
                     const struct tg_s3_etag *piece, unsigned n, struct tg_error *err)
{
    struct tg_buf query, body;
    struct s3_call call = { .method = "POST", .key = key, .query = about(&query, 0, id) };
    struct tg_s3_etag etag;
    tg_code code;

    tg_buf_init(&body, LIST_MAX);
    tg_buf_str(&body, "<CompleteMultipartUpload>");
    for (unsigned i = 0; i < n; i++)
        tg_buf_printf(&body, "<Part><PartNumber>%u</PartNumber><ETag>&quot;%s&quot;</ETag></Part>",
                      i + 1, piece[i].at);
    tg_buf_str(&body, "</CompleteMultipartUpload>");
    call.body = body.data;
    call.len = body.len;
    code = body.failed ? tg_fail(err, TG_NOMEM, "list of pieces") : tg_s3_call(s, &call, err);
    tg_buf_done(&body);
    tg_buf_done(&query);
    return code == TG_OK ? take_text(s, "ETag", etag.at, sizeof etag.at, err)
                         : gone(s, key, code, err);
}

tg_code tg_s3_abort(struct tg_s3 *s, const char *key, const char *id, struct tg_error *err)
{
    struct tg_buf query;
    const struct s3_call call = { .method = "DELETE", .key = key, .query = about(&query, 0, id) };
    tg_code code = tg_s3_call(s, &call, err);

    tg_buf_done(&query);
    return code == TG_END ? TG_OK : code;
}

/* ---- all that were left ---- */

struct upload {
    char key[TG_S3_KEY_MAX + 1], id[TG_S3_ID_MAX];
};

struct uploads {
    const struct tg_s3 *s;
    struct upload one; /* being read */
    struct upload *at;
    size_t n;
    bool bad;
};

static bool take_upload(void *ctx, struct tg_str parent, struct tg_str name, const char *value)
{
    struct uploads *u = ctx;
    struct upload *more, *one = &u->one;
    size_t prefix = strlen(u->s->prefix);

    if (tg_str_eq(parent, TG_STR("Upload")) && value) {
        if (tg_str_eq(name, TG_STR("Key")))
            u->bad |= (size_t)snprintf(one->key, sizeof one->key, "%s", value) >= sizeof one->key;
        else if (tg_str_eq(name, TG_STR("UploadId")))
            u->bad |= (size_t)snprintf(one->id, sizeof one->id, "%s", value) >= sizeof one->id;
    } else if (tg_str_eq(name, TG_STR("Upload")) && !value) {
        u->bad |= strncmp(one->key, u->s->prefix, prefix) != 0 || !*one->id;
        more = u->bad ? NULL : reallocarray(u->at, u->n + 1, sizeof *more);
        if (more) {
            u->at = more;
            memmove(one->key, one->key + prefix, strlen(one->key + prefix) + 1);
            u->at[u->n++] = *one;
        }
        u->bad |= !more;
        *one = (struct upload){ "", "" };
    }
    return !u->bad;
}

/* The first page of them. @return TG_END if there are none */
static tg_code abort_some(struct tg_s3 *s, const char *prefix, struct tg_error *err)
{
    struct uploads u = { .s = s };
    struct s3_call call = { .method = "GET" };
    struct tg_buf query;
    tg_code code;

    tg_buf_init(&query, QUERY_MAX);
    tg_buf_str(&query, "uploads=&prefix=");
    tg_s3_encode(&query, s->prefix);
    tg_s3_encode(&query, prefix);
    call.query = tg_buf_cstr(&query);
    code = tg_s3_call(s, &call, err);
    tg_buf_done(&query);
    if (code == TG_OK && (!tg_xml_read(s->reply.data, s->reply.len, take_upload, &u) || u.bad))
        code = tg_s3_strange(s, err);
    for (size_t i = 0; i < u.n && code == TG_OK; i++)
        code = tg_s3_abort(s, u.at[i].key, u.at[i].id, err);
    free(u.at);
    return code == TG_OK && !u.n ? TG_END : code;
}

tg_code tg_s3_abort_all(struct tg_s3 *s, const char *prefix, struct tg_error *err)
{
    enum { PAGES = 100 };
    tg_code code = TG_OK;

    for (int i = 0; i < PAGES && code == TG_OK; i++)
        code = abort_some(s, prefix, err);
    return code == TG_END ? TG_OK : code;
}

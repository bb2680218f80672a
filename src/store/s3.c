/* SPDX-License-Identifier: MIT */
/*
 * s3.c - state in objects of Amazon S3: `s3://BUCKET/PREFIX[?region=&endpoint=]`; see objects.h
 *
 * Rests on conditional writes, which are tried out when a state is opened to be changed: a server
 * that ignores them would let two runs both be the only one.
 *
 * Some servers keep objects as files, whose names end at 255 bytes: in keys, what is longer between
 * two slashes is broken by "~/" every 200 bytes.
 *
 * Threads: one call at a time; calls block
 */
#include <stdlib.h>

#include "client/s3.h"
#include "store/objects.h"

struct store_s3 {
    struct tg_objects objects;
    /* options */
    const char *region, *endpoint;
    /* own */
    struct tg_s3 *s3;
};

_Static_assert(sizeof(struct tg_s3_etag) == sizeof(struct tg_object_tag), "one is the other");

enum { BREAK = 200 };

struct key {
    char at[TG_OBJECT_NAME + TG_OBJECT_NAME / BREAK * 2 + 1];
};

static const char *break_up(const char *name, struct key *out)
{
    size_t n = 0, since = 0;

    for (; *name; name++) {
        if (since == BREAK && *name != '/') {
            out->at[n++] = '~';
            out->at[n++] = '/';
            since = 0;
        }
        since = *name == '/' ? 0 : since + 1;
        out->at[n++] = *name;
    }
    out->at[n] = 0;
    return out->at;
}

static void join(const char *key, struct key *out)
{
    size_t n = 0;

    for (; *key && n + 1 < sizeof out->at; key++) {
        if (key[0] == '~' && key[1] == '/')
            key++;
        else
            out->at[n++] = *key;
    }
    out->at[n] = 0;
}

static tg_code get(void *self, const char *name, struct tg_buf *ret, struct tg_object_tag *ret_tag,
                   struct tg_error *err)
{
    struct store_s3 *s = self;
    struct tg_s3_etag etag = { "" };
    struct key key;
    tg_code code = tg_s3_get(s->s3, break_up(name, &key), ret, &etag, err);

    memcpy(ret_tag, &etag, sizeof etag);
    return code;
}

static tg_code put(void *self, const char *name, const struct tg_object_tag *seen,
                   const void *bytes, size_t len, struct tg_error *err)
{
    struct store_s3 *s = self;
    struct tg_s3_etag etag;
    struct key key;

    if (seen)
        memcpy(&etag, seen, sizeof etag);
    return tg_s3_put(s->s3, break_up(name, &key), seen ? &etag : NULL, bytes, len, NULL, err);
}

static tg_code drop(void *self, const char *name, struct tg_error *err)
{
    struct store_s3 *s = self;
    struct key key;

    return tg_s3_drop(s->s3, break_up(name, &key), err);
}

struct listing {
    tg_object_seen seen;
    void *ctx;
    size_t parent; /* bytes up to the last slash */
};

static bool seen_key(void *ctx, const char *key, uint64_t size)
{
    const struct listing *l = ctx;
    struct key name;

    (void)size;
    join(key, &name);
    return strlen(name.at) < l->parent || strchr(name.at + l->parent, '/') ||
           l->seen(l->ctx, name.at + l->parent);
}

static tg_code list(void *self, const char *prefix, tg_object_seen seen, void *ctx,
                    struct tg_error *err)
{
    struct store_s3 *s = self;
    const char *slash = strrchr(prefix, '/');
    struct listing l = { seen, ctx, slash ? (size_t)(slash + 1 - prefix) : 0 };
    struct key key;

    return tg_s3_list(s->s3, break_up(prefix, &key), NULL, seen_key, &l, err);
}

static const struct tg_objects_ops objects = {
    .object_max = 2 << 20, .get = get, .put = put, .drop = drop, .list = list,
};

static tg_code s3_open(void *self, const char *target, enum tg_store_use use, struct tg_error *err)
{
    struct store_s3 *s = self;
    tg_code code = tg_s3_new(target, s->region, s->endpoint, &s->s3, err);

    if (code != TG_OK)
        return code;
    s->objects.ops = &objects;
    s->objects.where = tg_s3_name(s->s3);
    if (use != TG_STORE_LOOK)
        code = tg_objects_told(&s->objects, tg_s3_probe(s->s3, err), err);
    return code == TG_OK ? tg_objects_open(&s->objects, use, err) : code;
}

static void s3_close(void *self)
{
    struct store_s3 *s = self;

    tg_s3_free(s->s3);
    s->s3 = NULL;
}

static const struct tg_option s3_option[] = {
    { .name = "region",
      .type = TG_OPT_STR,
      .offset = offsetof(struct store_s3, region),
      .fallback = "",
      .value = "NAME",
      .help = "region of the bucket, else that of AWS_REGION or the profile" },
    { .name = "endpoint",
      .type = TG_OPT_STR,
      .offset = offsetof(struct store_s3, endpoint),
      .fallback = "",
      .value = "URL",
      .help = "server, else AWS_ENDPOINT_URL_S3 or Amazon's own" },
    { 0 },
};

const struct tg_store_ops tg_store_s3 = {
    .head = { "s3", "objects of Amazon S3, or a server with conditional writes", s3_option,
              sizeof(struct store_s3) },
    .open = s3_open,
    .close = s3_close,
    TG_OBJECTS_OPS,
};

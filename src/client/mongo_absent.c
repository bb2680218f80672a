/* SPDX-License-Identifier: MIT */
/*
 * mongo_absent.c - mongo.h in a build without the library: no client can be made, so that only the
 * first of these functions is ever called
 */
#ifndef TG_HAVE_MONGODB

#include "client/mongo.h"

#define ABSENT(err) tg_fail(err, TG_UNSUPPORTED, "this build has no MongoDB client")

tg_code tg_mongo_new(const struct tg_mongo_options *options, struct tg_mongo **ret,
                     struct tg_error *err)
{
    (void)options, (void)ret;
    ABSENT(err);
    return tg_hint(err, "build it with libmongoc-dev installed");
}

void tg_mongo_free(struct tg_mongo *m)
{
    (void)m;
}

const char *tg_mongo_name(const struct tg_mongo *m)
{
    (void)m;
    return "";
}

tg_code tg_mongo_get(struct tg_mongo *m, const char *name, struct tg_buf *ret,
                     char ret_mark[TG_MONGO_MARK], struct tg_error *err)
{
    (void)m, (void)name, (void)ret, (void)ret_mark;
    return ABSENT(err);
}

tg_code tg_mongo_put(struct tg_mongo *m, const char *name, const char *seen, const char *mark,
                     const void *bytes, size_t len, struct tg_error *err)
{
    (void)m, (void)name, (void)seen, (void)mark, (void)bytes, (void)len;
    return ABSENT(err);
}

tg_code tg_mongo_drop(struct tg_mongo *m, const char *name, struct tg_error *err)
{
    (void)m, (void)name;
    return ABSENT(err);
}

tg_code tg_mongo_list(struct tg_mongo *m, const char *prefix, tg_mongo_seen seen, void *ctx,
                      struct tg_error *err)
{
    (void)m, (void)prefix, (void)seen, (void)ctx;
    return ABSENT(err);
}

#else
typedef int tg_mongo_is_built_in; /* a translation unit may not be empty */
#endif

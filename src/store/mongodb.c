/* SPDX-License-Identifier: MIT */
/*
 * mongodb.c - state in a collection of MongoDB: `mongodb://[USER@]HOST[:PORT]/DATABASE[?...]`; see
 * objects.h and client/mongo.h
 *
 * Threads: one call at a time; calls block
 */
#include <inttypes.h>
#include <stdio.h>

#include "client/mongo.h"
#include "crypto/random.h"
#include "store/objects.h"

struct store_mongodb {
    struct tg_objects objects;
    struct tg_mongo_options options; /* but for the address */
    struct tg_mongo *mongo;
};

static tg_code get(void *self, const char *name, struct tg_buf *ret, struct tg_object_tag *ret_tag,
                   struct tg_error *err)
{
    struct store_mongodb *s = self;

    return tg_mongo_get(s->mongo, name, ret, ret_tag->at, err);
}

static tg_code put(void *self, const char *name, const struct tg_object_tag *seen,
                   const void *bytes, size_t len, struct tg_error *err)
{
    const struct tg_random random = tg_random_system();
    struct store_mongodb *s = self;
    char mark[TG_MONGO_MARK];

    snprintf(mark, sizeof mark, "%016" PRIx64, tg_random_u64(&random));
    return tg_mongo_put(s->mongo, name, seen ? seen->at : NULL, mark, bytes, len, err);
}

static tg_code drop(void *self, const char *name, struct tg_error *err)
{
    struct store_mongodb *s = self;

    return tg_mongo_drop(s->mongo, name, err);
}

struct listing {
    tg_object_seen seen;
    void *ctx;
    size_t parent; /* bytes up to the last slash */
};

static bool seen_name(void *ctx, const char *name)
{
    const struct listing *l = ctx;

    return strlen(name) < l->parent || strchr(name + l->parent, '/') ||
           l->seen(l->ctx, name + l->parent);
}

static tg_code list(void *self, const char *prefix, tg_object_seen seen, void *ctx,
                    struct tg_error *err)
{
    struct store_mongodb *s = self;
    struct listing l = { seen, ctx, (size_t)(strrchr(prefix, '/') + 1 - prefix) };

    return tg_mongo_list(s->mongo, prefix, seen_name, &l, err);
}

static const struct tg_objects_ops objects = {
    .object_max = 2 << 20, .get = get, .put = put, .drop = drop, .list = list,
};

static tg_code mongodb_open(void *self, const char *target, enum tg_store_use use,
                            struct tg_error *err)
{
    struct store_mongodb *s = self;
    tg_code code;

    s->options.address = target;
    code = tg_mongo_new(&s->options, &s->mongo, err);
    if (code != TG_OK)
        return code;
    s->objects.ops = &objects;
    s->objects.where = tg_mongo_name(s->mongo);
    return tg_objects_open(&s->objects, use, err);
}

static void mongodb_close(void *self)
{
    struct store_mongodb *s = self;

    tg_mongo_free(s->mongo);
    s->mongo = NULL;
}

#define OPTION(name_, type_, member, fallback_, value_, help_)                                     \
    { .name = (name_), .type = (type_), .offset = offsetof(struct store_mongodb, options.member),  \
      .fallback = (fallback_), .value = (value_), .help = (help_) }

static const struct tg_option mongodb_option[] = {
    OPTION("collection", TG_OPT_STR, collection, "tgdata", "NAME", "where the state is"),
    OPTION("replica-set", TG_OPT_STR, replica_set, "", "NAME", "name of the replica set"),
    OPTION("auth-source", TG_OPT_STR, auth_source, "", "NAME",
           "database that knows the user, if it is not the one of the state"),
    OPTION("tls", TG_OPT_BOOL, tls, "no", NULL, "speak TLS, and check the certificate"),
    OPTION("ca-file", TG_OPT_STR, ca_file, "", "FILE",
           "certificates to trust instead of the system's"),
    { .name = "timeout",
      .type = TG_OPT_MS,
      .offset = offsetof(struct store_mongodb, options.timeout_ms),
      .fallback = "30s",
      .min = 100,
      .max = 600000,
      .value = "TIME",
      .help = "longest wait for the server" },
    { 0 },
};

const struct tg_store_ops tg_store_mongodb = {
    .head = { "mongodb", "a collection of MongoDB", mongodb_option,
              sizeof(struct store_mongodb) },
    .open = mongodb_open,
    .close = mongodb_close,
    TG_OBJECTS_OPS,
};

/* SPDX-License-Identifier: MIT */
/*
 * mongo.h - named objects in a collection of MongoDB, each replaced only if it is the one that was
 * seen
 *
 *   { _id: "doc/checkpoint/job", m: "5f0c...", b: <bytes> }    m is new with each write
 *
 * Writes are acknowledged by a majority of a replica set, and are in its journals; reads ask the
 * primary for what a majority has: a write whose answer was lost, and that is read back, stays. A
 * write whose answer was lost, or that the library made again, may have been done.
 *
 *   code             when
 *   TG_UNSUPPORTED   this build has no MongoDB client
 *   TG_USAGE         an address that cannot be read, or with a password in it
 *   TG_NET, TG_SERVER   what may pass: no connection, no primary
 *   TG_UNUSABLE      it refuses: wrong password, no right
 *
 * The password of the user that the address names stands in MONGODB_PASSWORD.
 *
 * Threads: one at a time per client
 */
#ifndef TG_CLIENT_MONGO_H
#define TG_CLIENT_MONGO_H

#include "base/buf.h"

struct tg_mongo;

enum { TG_MONGO_MARK = 24 };

struct tg_mongo_options {
    const char *address; /* "//[USER@]HOST[:PORT][,HOST...]/DATABASE" */
    const char *collection;
    const char *replica_set, *auth_source, *ca_file; /* NULL or "": none */
    bool tls;
    int64_t timeout_ms;
};

/** Nothing is sent. */
tg_code tg_mongo_new(const struct tg_mongo_options *options, struct tg_mongo **ret,
                     struct tg_error *err);
void tg_mongo_free(struct tg_mongo *m); /* NULL is nothing */

/** "mongodb://HOST/DATABASE", for messages. */
const char *tg_mongo_name(const struct tg_mongo *m);

/** @return TG_END if there is none. ret is cleared */
tg_code tg_mongo_get(struct tg_mongo *m, const char *name, struct tg_buf *ret,
                     char ret_mark[TG_MONGO_MARK], struct tg_error *err);

/** @param seen  the mark that it must have now; "": it must not be there; NULL: anything
 *  @param mark  the new one  @return TG_CONFLICT */
tg_code tg_mongo_put(struct tg_mongo *m, const char *name, const char *seen, const char *mark,
                     const void *bytes, size_t len, struct tg_error *err);

/** One that is not there is removed already. */
tg_code tg_mongo_drop(struct tg_mongo *m, const char *name, struct tg_error *err);

typedef bool (*tg_mongo_seen)(void *ctx, const char *name); /* false stops */

/** Names that begin so, in ASCII. */
tg_code tg_mongo_list(struct tg_mongo *m, const char *prefix, tg_mongo_seen seen, void *ctx,
                      struct tg_error *err);

#endif

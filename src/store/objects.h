/* SPDX-License-Identifier: MIT */
/*
 * objects.h - state in any store of named objects that can swap one object for another
 *
 * Amazon S3, DynamoDB and MongoDB have no transactions that all of their kind understand, but each
 * can replace one object if it is still the one that was seen. Documents, logs and leases are built
 * on that alone:
 *
 *   version/form         of this form
 *   kind/doc/KIND        there are documents of that kind; kind/last/KIND: logs
 *   doc/KIND/KEY         newest version of a document
 *   old/KIND/KEY/N       version N, older: put there before the newest is replaced
 *   last/KIND/KEY        the highest number that the log has given
 *   log/KIND/KEY/N       an entry
 *   lease/NAME           who has it
 *   bit/NAME/N-MARK.I    piece I of what does not fit into one object; NAME is that of doc or log
 *
 *   object  "tg1 number fence at_us mark pieces\n", then the bytes (a lease: its owner; none if
 *           they are in pieces). The mark is random: it tells one's own write from another's.
 *
 * A document changes by one swap of doc/. What is in old/ is a copy of what was in doc/ under that
 * number, so that it may be written twice, and late, by anybody. Pieces are written before the
 * swap; those of one that failed are nobody's, and removed when the document is pruned. A log's
 * number is taken by a swap, then the entry is written under it: a crash between the two leaves a
 * number without an entry. An entry that is copied is written first: its number was given before.
 *
 * Where a swap says that it did not happen, or nothing at all, the object is read again: if it is
 * one's own, it did.
 *
 * In kinds and keys all but letters, digits, '_' and '-' is written as ~XX, so that the last part
 * of a name begins behind its last '/'; an empty one is "~0".
 *
 * Threads: one call at a time; calls block      Limits: those of store.h
 */
#ifndef TG_STORE_OBJECTS_H
#define TG_STORE_OBJECTS_H

#include "store/rules.h"

enum { TG_OBJECT_NAME = 960 };

/** What an object was when it was read; "": it was not there. */
struct tg_object_tag {
    char at[96];
};

/** @param last  the last part of its name  @return false to stop. May not call the store */
typedef bool (*tg_object_seen)(void *ctx, const char *last);

/** What a store offers. `self` is the driver's instance. Temporary failures as the client has
 *  them: TG_NET, TG_TIMEOUT, TG_SERVER, TG_PROTOCOL */
struct tg_objects_ops {
    size_t object_max; /* bytes that an object may have */

    /** @return TG_END if there is none; ret is cleared */
    tg_code (*get)(void *self, const char *name, struct tg_buf *ret, struct tg_object_tag *ret_tag,
                   struct tg_error *err);
    /** Writes it if it is what was seen; seen NULL: whatever it is. @return TG_CONFLICT */
    tg_code (*put)(void *self, const char *name, const struct tg_object_tag *seen,
                   const void *bytes, size_t len, struct tg_error *err);
    /** One that is not there is TG_OK. */
    tg_code (*drop)(void *self, const char *name, struct tg_error *err);
    /** Names that begin with `prefix`; all share what stands up to its last '/'. In any order. */
    tg_code (*list)(void *self, const char *prefix, tg_object_seen seen, void *ctx,
                    struct tg_error *err);
};

/** The first member of a driver's instance. */
struct tg_objects {
    const struct tg_objects_ops *ops;
    const char *where; /* "s3://bucket/prefix", for messages */
    bool look;
};

/** Looks for the version, writes it if it may. To be called at the end of a driver's open. */
tg_code tg_objects_open(struct tg_objects *o, enum tg_store_use use, struct tg_error *err);

/** Turns what may pass into TG_STATE; for a driver's own calls. @return err->code */
tg_code tg_objects_told(const struct tg_objects *o, tg_code code, struct tg_error *err);

/* As tg_store_ops has them. */
tg_code tg_objects_get(void *self, const char *kind, const char *key, struct tg_doc *ret,
                       struct tg_buf *ret_bytes, struct tg_error *err);
tg_code tg_objects_put(void *self, const char *kind, const char *key, uint64_t expect,
                       const struct tg_doc *stamp, const void *bytes, size_t len,
                       struct tg_error *err);
tg_code tg_objects_history(void *self, const char *kind, const char *key, tg_doc_seen seen,
                           void *ctx, struct tg_error *err);
tg_code tg_objects_list(void *self, const char *kind, const char *prefix, tg_doc_seen seen,
                        void *ctx, struct tg_error *err);
tg_code tg_objects_prune(void *self, const char *kind, const char *key, uint64_t n_keep,
                         struct tg_error *err);
tg_code tg_objects_append(void *self, const char *kind, const char *key, int64_t at_us,
                          const void *bytes, size_t len, uint64_t *ret_n, struct tg_error *err);
tg_code tg_objects_read(void *self, const char *kind, const char *key, uint64_t from,
                        tg_log_seen seen, void *ctx, struct tg_error *err);
tg_code tg_objects_drop(void *self, const char *kind, const char *key, uint64_t from, uint64_t to,
                        struct tg_error *err);
tg_code tg_objects_lease(void *self, const char *name, int64_t now_us, int64_t ttl_us,
                         struct tg_lease *lease, struct tg_error *err);
tg_code tg_objects_release(void *self, const char *name, const struct tg_lease *lease,
                           struct tg_error *err);
tg_code tg_objects_names(void *self, enum tg_store_shape shape, tg_name_seen seen, void *ctx,
                         struct tg_error *err);
tg_code tg_objects_raise(void *self, enum tg_store_shape shape, const char *kind, const char *key,
                         uint64_t number, struct tg_error *err);
tg_code tg_objects_enter(void *self, const char *kind, const char *key,
                         const struct tg_log_entry *entry, struct tg_error *err);

#define TG_OBJECTS_OPS                                                                             \
    .get = tg_objects_get, .put = tg_objects_put, .history = tg_objects_history,                   \
    .list = tg_objects_list, .prune = tg_objects_prune, .append = tg_objects_append,               \
    .read = tg_objects_read, .drop = tg_objects_drop, .lease = tg_objects_lease,                   \
    .release = tg_objects_release, .names = tg_objects_names, .raise = tg_objects_raise,           \
    .enter = tg_objects_enter

#endif

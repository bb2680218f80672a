/* SPDX-License-Identifier: MIT */
/*
 * store.h - durable state: versioned documents, append-only logs, leases with fencing tokens
 *
 * Everything the engine remembers is one of three shapes, each simple enough for any backend:
 *
 *   document  (kind, key) -> version, bytes; replaced by compare-and-swap; old versions are kept
 *   log       (kind, key) -> entries numbered from 1; appended, listed, dropped
 *   lease     name -> owner until a time, with a token that grows with each new owner
 *
 * A writer that holds a lease passes its token; a store refuses a token older than one it has seen.
 *
 * Threads: one call at a time per open store. Calls may block.
 * Limits:  kind 32, key 256, document 1 MiB, owner 128 bytes
 */
#ifndef TG_STORE_H
#define TG_STORE_H

#include "base/option.h"

/** A document's version as read. `bytes` is appended to a buffer of the caller. */
struct tg_doc {
    uint64_t version; /* from 1 */
    int64_t at_us;    /* when it was written, Unix microseconds */
    uint64_t fence;
};

struct tg_log_entry {
    uint64_t n;
    int64_t at_us;
    const void *bytes; /* valid during the callback */
    size_t len;
};

/* What the owner of a job's lease begins with when the job was moved to another store. */
#define TG_STORE_MOVED "moved to "

struct tg_lease {
    uint64_t token;        /* grows with every change of owner */
    int64_t expires_us;
    char owner[128];
};

enum tg_store_shape { TG_STORE_DOCS, TG_STORE_LOGS, TG_STORE_LEASES };

/** What a store keeps something of, and the number that this counts by. */
struct tg_store_name {
    const char *kind, *key; /* of a lease: "lease", and its name */
    uint64_t number;        /* newest version; highest number given, dropped or not; newest token */
    const char *owner;      /* of a lease: "" if it is free, else who has it until when */
    int64_t expires_us;
};

/* Callbacks must not call the store; what they are given is valid until they return. */
typedef bool (*tg_doc_seen)(void *ctx, const char *key, const struct tg_doc *doc,
                            const void *bytes, size_t len); /* false stops */
typedef bool (*tg_log_seen)(void *ctx, const struct tg_log_entry *entry);
typedef bool (*tg_name_seen)(void *ctx, const struct tg_store_name *name);

/** What a store is opened for. */
enum tg_store_use {
    TG_STORE_CREATE, /* reading and writing; made if it is not there */
    TG_STORE_CHANGE, /* reading and writing one that is there */
    TG_STORE_LOOK,   /* reading one that is there; it stays as it is */
};

struct tg_store_ops {
    struct tg_driver head;

    tg_code (*open)(void *self, const char *target, enum tg_store_use use, struct tg_error *err);
    void (*close)(void *self); /* safe after a failed open */

    /** What the user should know of a store that is open, such as that a crash of the server makes
     *  it forget; NULL if nothing. The function itself may be NULL. */
    const char *(*warning)(const void *self);

    /** @return TG_END if there is no such document */
    tg_code (*get)(void *self, const char *kind, const char *key, struct tg_doc *ret,
                   struct tg_buf *ret_bytes, struct tg_error *err);

    /**
     * Writes version expect+1 if the newest is `expect` (0: none yet) and no newer fence was seen.
     * @param stamp  version 0; or a greater one than `expect`, which is written in place of
     *               expect+1: state that is copied keeps its numbers, with their holes
     * @return TG_CONFLICT if not
     */
    tg_code (*put)(void *self, const char *kind, const char *key, uint64_t expect,
                   const struct tg_doc *stamp, const void *bytes, size_t len,
                   struct tg_error *err);

    /** All versions of one document, newest first. */
    tg_code (*history)(void *self, const char *kind, const char *key, tg_doc_seen seen, void *ctx,
                       struct tg_error *err);

    /** The newest version of every document of a kind whose key begins with prefix, by key. */
    tg_code (*list)(void *self, const char *kind, const char *prefix, tg_doc_seen seen, void *ctx,
                    struct tg_error *err);

    /** Keeps the newest n_keep (at least 1) versions of a document. */
    tg_code (*prune)(void *self, const char *kind, const char *key, uint64_t n_keep,
                     struct tg_error *err);

    /**
     * What get, put and prune do between these two is one change, and costs what one costs; no
     * other call may come between. NULL: each is one of its own.
     * @param code  of end: other than TG_OK takes back all that was done
     * @return of end: code, or why it could not be made durable
     */
    tg_code (*begin)(void *self, struct tg_error *err);
    tg_code (*end)(void *self, tg_code code, struct tg_error *err);

    tg_code (*append)(void *self, const char *kind, const char *key, int64_t at_us,
                      const void *bytes, size_t len, uint64_t *ret_n, struct tg_error *err);
    tg_code (*read)(void *self, const char *kind, const char *key, uint64_t from, tg_log_seen seen,
                    void *ctx, struct tg_error *err);
    tg_code (*drop)(void *self, const char *kind, const char *key, uint64_t from, uint64_t to,
                    struct tg_error *err);

    /**
     * Takes a free or expired lease, or renews one's own (same owner and ret->token as given).
     * @param lease  in: owner, and token (0 to take, own token to renew); out: token, expires_us
     * @return TG_BUSY with the holder named in err if somebody else has it; TG_CONFLICT if the own
     *         lease was lost to another, or the job was moved to another store
     *         On TG_BUSY *lease tells who has it and until when.
     */
    tg_code (*lease)(void *self, const char *name, int64_t now_us, int64_t ttl_us,
                     struct tg_lease *lease, struct tg_error *err);

    /** Gives it back if the token is still the own one. */
    tg_code (*release)(void *self, const char *name, const struct tg_lease *lease,
                       struct tg_error *err);

    /** Everything there is of that shape, of all kinds: each document of which a version is kept,
     *  each log that ever gave a number, each lease that anybody ever had. In any order; one may
     *  come twice. */
    tg_code (*names)(void *self, enum tg_store_shape shape, tg_name_seen seen, void *ctx,
                     struct tg_error *err);

    /** Raises the number that a log or a lease counts by to `number`, if it is less; what is there
     *  stays. The next entry, the next owner gets the one behind it. Who has the lease keeps it,
     *  with the raised token. */
    tg_code (*raise)(void *self, enum tg_store_shape shape, const char *kind, const char *key,
                     uint64_t number, struct tg_error *err);

    /** Writes the entry of a log that is copied under its own number, and raises that of the log to
     *  it; cut off between the two, the entry is there. NULL where raise and append do, as each is
     *  one change. */
    tg_code (*enter)(void *self, const char *kind, const char *key,
                     const struct tg_log_entry *entry, struct tg_error *err);
};

extern const struct tg_store_ops *const tg_stores[]; /* all, ended by NULL */

/*
 * Opens a store from a URL such as "sqlite:FILE?busy-timeout=5s".
 * ret: close with tg_store_close (safe on a zeroed struct). A store that can only be read opens all
 * the same; changes then fail with TG_UNUSABLE.
 * Codes: TG_USAGE; TG_NOT_FOUND (tg_store_open_existing: it is not there, or holds no state);
 * TG_UNUSABLE (cannot be opened, another program's file, a newer version); TG_CORRUPT; TG_STATE
 * (for a while)
 */

struct tg_store {
    const struct tg_store_ops *ops;
    void *self;
    char *url;
};
tg_code tg_store_open(const char *url, struct tg_store *ret, struct tg_error *err);
tg_code tg_store_open_existing(const char *url, enum tg_store_use use, struct tg_store *ret,
                               struct tg_error *err);
/** @return TG_USAGE if a URL names no driver, or options that it has not; opens nothing */
tg_code tg_store_check(const char *url, struct tg_error *err);
void tg_store_close(struct tg_store *store);

/** A store's URL for messages: a password in it is "***". */
struct tg_store_shown {
    char text[200];
};
struct tg_store_shown tg_store_shown(const char *url);

#endif

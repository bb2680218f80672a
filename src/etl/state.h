/* SPDX-License-Identifier: MIT */
/*
 * state.h - the state of jobs as a stream of items, from a store or a file to a store or a file
 *
 *   store -> tg_state_read ------> item, item, ... -> tg_state_target   -> store
 *   file  -> tg_state_file_read -/                 \-> tg_state_file_put -> file
 *
 * The items of one document (its versions, oldest first) and of one log (its entries in order, then
 * the highest number it has given) stand together. Which job something belongs to is told by its
 * key alone, "job" or "job/...", and by a lease's name "job/NAME..."; so whatever is kept under a
 * job's name moves with it, of kinds that this program does not know as well.
 *
 * Threads: one
 */
#ifndef TG_ETL_STATE_H
#define TG_ETL_STATE_H

#include "crypto/hash.h"
#include "etl/checkpoint.h"
#include "os/fs.h"
#include "tgdata/state.h"

enum { TG_STATE_JOBS_MAX = 10000 };

struct tg_state_item {
    enum tg_store_shape shape;
    const char *kind, *key;
    uint64_t number; /* version; entry; token */
    int64_t at_us;
    uint64_t fence;
    bool last;       /* of a log: no entry, but the highest number it has given */
    const void *bytes;
    size_t len;
};

typedef tg_code (*tg_state_taken)(void *ctx, const struct tg_state_item *item,
                                  struct tg_error *err);

/* ---- state_names.c: what there is ---- */

/** Sorted by shape, kind and key, each once. */
struct tg_state_names {
    struct tg_state_name {
        enum tg_store_shape shape;
        uint64_t number;
        int64_t expires_us;
        char *kind, *key, *owner; /* of one piece of memory: free kind */
        bool met;                 /* for who goes through them */
    } *at;
    size_t n, cap;
};

/** Some jobs, sorted. */
struct tg_state_jobs {
    char (*at)[TG_JOB_NAME_MAX + 1];
    size_t n, cap;
};

/** Writes the name of the job that something belongs to. @return false if it is nobody's */
bool tg_state_job_of(enum tg_store_shape shape, const char *key, char out[TG_JOB_NAME_MAX + 1]);

/** Reads the names of everything that belongs to a job. */
tg_code tg_state_names_read(const struct tg_store *store, struct tg_state_names *ret,
                            struct tg_error *err);
struct tg_state_name *tg_state_names_find(const struct tg_state_names *names,
                                          enum tg_store_shape shape, const char *kind,
                                          const char *key);
void tg_state_names_done(struct tg_state_names *names);

/** Adds one that is not in it yet. @return TG_LIMIT, TG_NOMEM */
tg_code tg_state_jobs_add(struct tg_state_jobs *jobs, const char *job, struct tg_error *err);
bool tg_state_jobs_have(const struct tg_state_jobs *jobs, const char *job);
void tg_state_jobs_done(struct tg_state_jobs *jobs);

/* ---- state_read.c ---- */

/** Gives the items of those jobs; the store is not in a call meanwhile. */
tg_code tg_state_read(const struct tg_store *store, const struct tg_state_names *names,
                      const struct tg_state_jobs *jobs, tg_state_taken take, void *ctx,
                      struct tg_error *err);

/* ---- state_write.c ---- */

enum tg_state_pass {
    TG_STATE_CHECK,  /* whether the items may be written; changes nothing */
    TG_STATE_WRITE,  /* those that are not there */
    TG_STATE_VERIFY, /* whether they are there */
};

struct tg_state_digest {
    uint64_t number, fence;
    int64_t at_us;
    uint8_t sha256[TG_SHA256];
    bool met; /* it is among the items */
};

struct tg_state_hold;

/** Takes all items once for each pass. */
struct tg_state_target {
    const struct tg_store *store;
    const struct tg_state_jobs *jobs;
    struct tg_state_hold *hold;    /* the leases of those jobs there */
    uint64_t token_ahead;          /* added to tokens */
    struct tg_state_result result; /* of the last pass; `written` of all */
    /* the rest is its own */
    enum tg_state_pass pass;
    struct tg_state_names there;   /* at the target when the pass began */
    enum tg_store_shape shape;     /* of what is at hand */
    char kind[40], key[264];
    bool open;
    struct tg_state_digest *known; /* what the target has of it, by number */
    size_t n_known, cap_known;
    uint64_t before, newest;       /* number at the target when the pass began, and now */
    uint64_t first, last;          /* of the items */
    int64_t first_us;
    bool no_memory;
};

tg_code tg_state_target_begin(struct tg_state_target *t, enum tg_state_pass pass,
                              struct tg_error *err);
tg_code tg_state_target_take(void *target, const struct tg_state_item *item,
                             struct tg_error *err);
tg_code tg_state_target_end(struct tg_state_target *t, struct tg_error *err);
void tg_state_target_done(struct tg_state_target *t);

/* ---- state_file.c ---- */

struct tg_state_file {
    const struct tg_fs *fs;
    struct tg_dir *dir;
    struct tg_file *file;
    char *folder, *name, *aside;
    struct tg_sha256_ctx sha256;
    struct tg_buf buf;
    uint64_t lines;
    struct tg_state_result result;
};

tg_code tg_state_file_create(const struct tg_fs *fs, const char *path, struct tg_state_file *ret,
                             struct tg_error *err);
tg_code tg_state_file_put(void *file, const struct tg_state_item *item, struct tg_error *err);
/** Makes it durable under its name. @return TG_CONFLICT if there is one already */
tg_code tg_state_file_finish(struct tg_state_file *f, struct tg_error *err);
/** Drops what was not finished. Safe on a zeroed struct. */
void tg_state_file_done(struct tg_state_file *f);

/** Gives the items of a file; TG_OK only if it is whole. */
tg_code tg_state_file_read(const struct tg_fs *fs, const char *path, tg_state_taken take,
                           void *ctx, struct tg_error *err);

/** Reads one line between the first and the last of a file. `room` holds what the item points to.
 *  @return false if it is none */
struct tg_state_room {
    char kind[40], key[264];
    struct tg_buf bytes, text;
};
bool tg_state_line_read(const char *line, size_t len, struct tg_state_room *room,
                        struct tg_state_item *ret);
void tg_state_line_write(const struct tg_state_item *item, struct tg_buf *out);

/* ---- state_hold.c: the leases of jobs, so that nobody runs them ---- */

struct tg_state_hold {
    const struct tg_store *store;
    const struct tg_state_jobs *jobs;
    struct tg_lease *lease; /* of each job; token 0: not held */
    struct tg_lease *away;  /* "moved to ..." that it was taken from; owner "": it was not */
    bool arrived;           /* the jobs are here now; else those go back to where they were */
    int64_t renew_us;
};

/** Takes them all. @param moved_from_here  also those of jobs that were moved away from here */
tg_code tg_state_hold_take(struct tg_state_hold *h, const struct tg_state_names *names,
                           bool moved_from_here, struct tg_error *err);
/** The token of a lease was raised; nothing if it is not held. */
void tg_state_hold_raised(struct tg_state_hold *h, const char *name, uint64_t token);
/** Renews them when it is time. @return TG_CONFLICT if one was lost */
tg_code tg_state_hold_renew(struct tg_state_hold *h, struct tg_error *err);
/** Gives them back, or to where the jobs were moved before. What is not held is left out. */
void tg_state_hold_release(struct tg_state_hold *h);
/** The lease of a job that was moved there. */
void tg_state_moved_to(struct tg_lease *ret, const char *url);
/** Gives them to nobody: the jobs were moved to that store. */
tg_code tg_state_hold_leave(struct tg_state_hold *h, const char *url, struct tg_error *err);

#endif

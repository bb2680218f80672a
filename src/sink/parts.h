/* SPDX-License-Identifier: MIT */
/*
 * parts.h - the files of one chat as numbered parts, each with a manifest: what file sinks share
 *
 *   DIR/chat_<id>/part-000001.ndjson   rows of one commit; never changed once it has this name
 *                 part-000001.json     its manifest: rows, bytes, SHA-256, ids covered, the commit
 *                 part-000002.ndjson.7-1f3a9c02.tmp   being written by the writer of that fence
 *                 _writer.7-1f3a9c02   that writer is at work
 *                 _cursor.json         a commit without rows, newer than the last part
 *   DIR/<series>/chat_<id>/...         the same for rows of another series (struct tg_sink_env)
 *
 * A commit with rows goes, in this order: data and manifest aside, both synced; is the chat still
 * ours?; manifest renamed, directory synced; then the data is renamed - this is the commit - and
 * the directory synced. So a part that has its final name is whole and has its manifest, whenever
 * the power fails. A commit without rows (only the cursor moved, or the chat is complete) replaces
 * _cursor.json instead; a later part supersedes it. A manifest without its part belongs to a commit
 * that did not happen; the next one replaces it.
 *
 * Taking up a chat shuts out older writers, deletes what they left aside (parts_fence.c) and checks
 * the chain: numbers without holes, one job, rows adding up, sizes right, the newest part's digest.
 *
 * A directory holds one format: where parts of another stand with their manifests, TG_USAGE.
 *
 * A file that is changed by hand is found by size or digest and reported as TG_CORRUPT, never
 * repaired or deleted.
 *
 * Threads: one at a time      Limits: parts of 2^63 bytes; job names of 255 bytes
 */
#ifndef TG_SINK_PARTS_H
#define TG_SINK_PARTS_H

#include "crypto/hash.h"
#include "sink/sink.h"

enum { TG_PART_NAME = 96, TG_JOB_MAX = 255 };

struct tg_parts_place;

struct tg_parts {
    const struct tg_sink_env *env;
    const char *suffix; /* ".ndjson" */
    int64_t chat_id;
    struct tg_dir *dir; /* NULL while not needed: a complete chat holds no handle */
    char *path;
    struct tg_fence fence;
    bool claimed;  /* _writer.<tag> is there, as far as we know */
    bool attached; /* `last` and `n` tell what is on disk */
    uint64_t n;    /* number of the last part; 0: none */
    struct tg_commit last; /* the last commit; seq 0: none */

    struct tg_file *file; /* part n+1, being written; NULL if none is */
    struct tg_sha256_ctx sha;
    uint64_t bytes, rows; /* of it */

    const struct tg_parts_place *place; /* where they are, if not in a directory; else NULL */
    void *elsewhere;                    /* its own */
};

/** One part as its manifest tells. */
struct tg_manifest {
    char job[TG_JOB_MAX + 1];
    int64_t chat_id;
    uint64_t part;       /* in _cursor.json: the last part that it stands behind */
    uint64_t bytes;
    uint8_t sha256[TG_SHA256];
    char file[TG_PART_NAME]; /* "" if there is none */
    struct tg_commit commit;
};

/**
 * Readies the parts of a chat below `root`; the directory is opened when it is needed.
 * @param p  overwritten; done with tg_parts_done, also after a failure
 */
tg_code tg_parts_init(struct tg_parts *p, const struct tg_sink_env *env, const char *root,
                      int64_t chat_id, const char *suffix, struct tg_error *err);
void tg_parts_done(struct tg_parts *p);

/** As tg_sink_ops.attach; makes the directory if it is missing. Drops what was being written. */
tg_code tg_parts_attach(struct tg_parts *p, const struct tg_fence *fence, struct tg_commit *ret,
                        struct tg_error *err);

/** Appends bytes that hold `rows` rows to the part under way, starting it if there is none. */
tg_code tg_parts_write(struct tg_parts *p, const void *bytes, size_t len, uint64_t rows,
                       struct tg_error *err);

/** Commits the part under way, or only the cursor if there is none. */
tg_code tg_parts_commit(struct tg_parts *p, const struct tg_commit *commit, struct tg_error *err);

/** Drops the part under way and asks for a new attach: after any failure. */
void tg_parts_abort(struct tg_parts *p);

/** As tg_sink_ops.rollback. The chat must be attached again afterwards. */
tg_code tg_parts_rollback(struct tg_parts *p, const struct tg_fence *fence, uint64_t seq,
                          struct tg_error *err);

/**
 * What a scan does with the bytes of each part: called block by block in order, and with len 0 at
 * the part's end. @return TG_OK to go on; TG_END to stop; a failure with err filled
 */
struct tg_parts_reader {
    bool (*wanted)(void *ctx, const struct tg_manifest *part); /* NULL: all are */
    tg_code (*block)(void *ctx, const struct tg_manifest *part, const void *bytes, size_t len,
                     struct tg_error *err);
    void *ctx;
};

/** Reads all parts, checking chain, sizes and digests. Changes nothing; needs no attach.
 *  @return TG_NOT_FOUND if there is no such directory; TG_CORRUPT */
tg_code tg_parts_scan(struct tg_parts *p, const struct tg_parts_reader *reader,
                      struct tg_error *err);

/** As tg_sink_ops.commits, from the manifests; the data is not read. Commits without rows that
 * later ones superseded leave no trace. */
tg_code tg_parts_commits(struct tg_parts *p, tg_commit_seen seen, void *ctx, struct tg_error *err);

/** Whose chat it is, by the first manifest that is there. @return TG_NOT_FOUND: nothing is there,
 *  or parts of another format */
tg_code tg_parts_job(struct tg_parts *p, char ret[TG_JOB_MAX + 1], struct tg_error *err);

/**
 * Another place than directories. Each function does what the one of its name above does there, for
 * parts whose `place` it is; who calls them has dropped or counted what is common.
 */
struct tg_parts_place {
    void (*done)(struct tg_parts *p);
    tg_code (*attach)(struct tg_parts *p, const struct tg_fence *fence, struct tg_error *err);
    tg_code (*write)(struct tg_parts *p, const void *bytes, size_t len, struct tg_error *err);
    tg_code (*commit)(struct tg_parts *p, const struct tg_manifest *m, struct tg_error *err);
    void (*abort)(struct tg_parts *p);
    tg_code (*rollback)(struct tg_parts *p, uint64_t seq, struct tg_error *err);
    tg_code (*scan)(struct tg_parts *p, const struct tg_parts_reader *reader,
                    struct tg_error *err);
    tg_code (*commits)(struct tg_parts *p, tg_commit_seen seen, void *ctx, struct tg_error *err);
    tg_code (*job)(struct tg_parts *p, char ret[TG_JOB_MAX + 1], struct tg_error *err);
};

/* ---- manifests (parts_manifest.c) ---- */

/** Appends the manifest as JSON. Its last member is the digest of all that stands before it. */
void tg_manifest_write(const struct tg_manifest *m, const char *file, int64_t unix_us,
                       struct tg_buf *out);

/** @return false if it is not whole and well-formed; then ret is undefined */
bool tg_manifest_read(struct tg_manifest *ret, const void *text, size_t len);

#endif

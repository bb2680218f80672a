/* SPDX-License-Identifier: MIT */
/*
 * media_home.h - where complete files are: a directory, or objects of Amazon S3
 *
 *   ab/abcdef....jpg     named by the SHA-256 of the content, below DIR or s3://BUCKET/PREFIX
 *
 * A file is under its name whole or not at all. In a directory it is moved there (media_home.c); an
 * object is put at once, or as a multipart upload that nobody sees until it is complete
 * (media_home_s3.c), from a file that was fetched whole before: its name is not known earlier.
 *
 *   "DIR"                        a directory, which is worked in as well
 *   "s3://BUCKET/PREFIX?work=DIR&region=NAME&endpoint=URL"   half-done files and the index are in
 *                                work, "tgdata.media" unless given
 *
 * Threads: one at a time      Limits: S3: files of 1 TiB
 */
#ifndef TG_MEDIA_HOME_H
#define TG_MEDIA_HOME_H

#include "base/text.h"
#include "crypto/hash.h"
#include "os/fs.h"

enum { TG_MEDIA_PATH = 96, TG_MEDIA_EXT = 12, TG_MEDIA_NAME = 88 };

/** A complete file. */
struct tg_media_file {
    int64_t size;
    uint8_t sha256[TG_SHA256];
    char ext[TG_MEDIA_EXT]; /* without the dot; "" none */
};

struct tg_media_home;

struct tg_media_home_ops {
    /** Whether it can be used, as far as a look tells. */
    tg_code (*look)(struct tg_media_home *h, struct tg_error *err);
    /** @return TG_OK: it is there; TG_NOT_FOUND */
    tg_code (*has)(struct tg_media_home *h, const struct tg_media_file *f, struct tg_error *err);
    /** Makes a whole file durable under its name. If the same content is there under another end,
     *  that is what f->ext becomes. @param own, name  where it is; it may be gone behind this */
    tg_code (*place)(struct tg_media_home *h, struct tg_dir *own, const char *name,
                     struct tg_media_file *f, struct tg_error *err);
    /** Reads it again. @return TG_OK; TG_GAP: it is missing, or another than its name says */
    tg_code (*check)(struct tg_media_home *h, const struct tg_media_file *f, struct tg_error *err);
    /** Ends what was left of placing a file that nobody goes on with. @param name  NAME.upload */
    tg_code (*forget)(struct tg_media_home *h, struct tg_dir *own, const char *name,
                      struct tg_error *err);
    void (*close)(struct tg_media_home *h);
};

struct tg_media_home {
    const struct tg_media_home_ops *ops;
    const struct tg_fs *fs;
    const char *work; /* the directory to work in */
    /* It fails for a reason that may pass, for the n-th time in a row (from 1). @return false to
       give up. NULL: it gives up */
    bool (*wait)(void *ctx, unsigned n, const struct tg_error *why);
    void *ctx;
};

/** @return TG_OK; TG_USAGE; TG_UNSUPPORTED. Nothing is sent */
tg_code tg_media_home_open(const struct tg_fs *fs, const char *place, struct tg_media_home **ret,
                           struct tg_error *err);
void tg_media_home_close(struct tg_media_home *h); /* NULL is nothing */

/* ---- media_home_s3.c ---- */
tg_code tg_media_home_s3(const struct tg_fs *fs, const char *place, struct tg_media_home **ret,
                         struct tg_error *err);

/* ---- names ---- */

/** Writes the name below the home: "ab/abcdef....jpg". */
void tg_media_path(const struct tg_media_file *f, char ret[TG_MEDIA_PATH]);
/** Reads a name as tg_media_path writes it; the size stays. */
bool tg_media_path_read(struct tg_str path, struct tg_media_file *ret);
/** @return whether it can be the end of a name everywhere */
bool tg_media_ext_ok(const char *at, size_t n);

/** Opens a directory below one. */
tg_code tg_media_open_sub(const struct tg_fs *fs, const char *path, const char *sub, bool create,
                          struct tg_dir **ret, struct tg_error *err);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * s3.h - the objects of one bucket below one prefix, at Amazon S3 or a server that speaks as it
 *
 * What a state or a destination is built on: an object is replaced only if it is the one that was
 * seen (its ETag), or made only if there is none; listed by name; written in pieces that nobody
 * sees until the last one is there. Many servers ignore the conditions and answer 200: tg_s3_probe
 * finds that out, and whether the ETag stands in quotes (as AWS has it) or bare.
 *
 * A put whose answer was lost, or that was made again after a failure, may have been done: what it
 * then says (TG_CONFLICT, a failure) tells nothing, and the caller reads again.
 *
 *   code            when
 *   TG_USAGE, TG_UNSUPPORTED   see aws.h; a bucket or prefix that cannot be read
 *   TG_NET, TG_TIMEOUT, TG_SERVER, TG_PROTOCOL   what may pass
 *   TG_NOT_FOUND    there is no such bucket
 *   TG_UNUSABLE, TG_SECURITY, TG_LIMIT   what does not
 *
 * Keys are sent as they are: letters, digits, - . _ ~ /
 *
 * Facts: docs.aws.amazon.com/AmazonS3/latest/API, .../userguide/conditional-writes.html
 *
 * Threads: one at a time per client      Limits: lists without end; names of 1024 bytes
 */
#ifndef TG_CLIENT_S3_H
#define TG_CLIENT_S3_H

#include "client/aws.h"

enum { TG_S3_KEY_MAX = 1024, TG_S3_ID_MAX = 512, TG_S3_PIECES_MAX = 10000 };

struct tg_s3;

/** The same failure as one of a destination: TG_SINK is what may pass, TG_IO what does not.
 *  @return err->code; other codes, such as TG_OK, as they are */
tg_code tg_s3_told(tg_code code, struct tg_error *err);

/** As the server gives it, without quotes. "" stands for an object that is not there. */
struct tg_s3_etag {
    char at[96];
};

/** @param place  "//BUCKET" or "//BUCKET/PREFIX"; nothing is sent */
tg_code tg_s3_new(const char *place, const char *region, const char *endpoint, struct tg_s3 **ret,
                  struct tg_error *err);
void tg_s3_free(struct tg_s3 *s); /* NULL is nothing */

/** "s3://BUCKET/PREFIX", for messages. */
const char *tg_s3_name(const struct tg_s3 *s);

/** Whether conditional writes hold here; makes and removes an object. @return TG_UNSUPPORTED */
tg_code tg_s3_probe(struct tg_s3 *s, struct tg_error *err);

/** @return TG_END if there is none. `ret` is cleared; ret_etag may be NULL */
tg_code tg_s3_get(struct tg_s3 *s, const char *key, struct tg_buf *ret,
                  struct tg_s3_etag *ret_etag, struct tg_error *err);
/** As tg_s3_get: the n bytes from `from` on, fewer at the end. */
tg_code tg_s3_get_range(struct tg_s3 *s, const char *key, uint64_t from, size_t n,
                        struct tg_buf *ret, struct tg_error *err);

/** Writes an object, which must not be empty. @param seen  what it must be now; NULL: anything
 *  @return TG_CONFLICT if it is not */
tg_code tg_s3_put(struct tg_s3 *s, const char *key, const struct tg_s3_etag *seen,
                  const void *bytes, size_t len, struct tg_s3_etag *ret, struct tg_error *err);

/** One that is not there is removed already. */
tg_code tg_s3_drop(struct tg_s3 *s, const char *key, struct tg_error *err);

/** @param key  without the client's prefix  @return false to stop */
typedef bool (*tg_s3_seen)(void *ctx, const char *key, uint64_t size);

/** The objects whose keys begin with `prefix` and stand behind `after` (NULL: all), by key. */
tg_code tg_s3_list(struct tg_s3 *s, const char *prefix, const char *after, tg_s3_seen seen,
                   void *ctx, struct tg_error *err);

/* ---- objects in pieces: of 5 MiB at least, but for the last ---- */

tg_code tg_s3_upload(struct tg_s3 *s, const char *key, char ret_id[TG_S3_ID_MAX],
                     struct tg_error *err);
/** @param n  1, 2, ... up to TG_S3_PIECES_MAX */
tg_code tg_s3_piece(struct tg_s3 *s, const char *key, const char *id, unsigned n,
                    const void *bytes, size_t len, struct tg_s3_etag *ret, struct tg_error *err);
/** All pieces become the object. */
tg_code tg_s3_finish(struct tg_s3 *s, const char *key, const char *id,
                     const struct tg_s3_etag *piece, unsigned n, struct tg_error *err);
tg_code tg_s3_abort(struct tg_s3 *s, const char *key, const char *id, struct tg_error *err);
/** Aborts all uploads below a prefix that are not finished. */
tg_code tg_s3_abort_all(struct tg_s3 *s, const char *prefix, struct tg_error *err);

#endif

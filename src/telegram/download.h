/* SPDX-License-Identifier: MIT */
/*
 * download.h - one file from its data centre, part by part: what to ask next, and whether what came
 * is what was asked for
 *
 *   PART --bytes--> given out in order
 *     |   upload.fileCdnRedirect: other servers have it
 *     v
 *   HASHES, at the file's own DC -> CDN_PART --decrypted, each piece's hash compared--> given out
 *                                     |  cdnFileReuploadNeeded: REUPLOAD, at the file's own DC
 *
 * Parts are of 1 MiB at offsets of whole MiB, which the server's rules always allow, several side
 * by side. A server that refuses requests for so much (LIMIT_INVALID) is asked for half of it, and
 * so on: a part then takes several requests, one after the other.
 * A reference that has ended asks for REFERENCE: the message again, whose new one goes on.
 * What a CDN delivers is worth nothing before the hashes of the file's own DC say so; one that lies
 * is not asked again, and the file comes from its DC.
 *
 * Pure: no connection, no clock. Replies are bounded by what was asked for: a file that is longer
 * or shorter than its message told ends with TG_PROTOCOL.
 *
 * Threads: none: value type      Limits: 16 parts side by side; 65,536 hashes of a file
 */
#ifndef TG_DOWNLOAD_H
#define TG_DOWNLOAD_H

#include "base/buf.h"
#include "base/row.h"
#include "tl/walk.h"

enum { TG_PART_SIZE = 1 << 20, TG_PART_LEAST = 4 << 10, TG_PARTS_MAX = 16 };

enum tg_file_ask { TG_ASK_PART, TG_ASK_CDN_PART, TG_ASK_HASHES, TG_ASK_REUPLOAD, TG_ASK_REFERENCE };

struct tg_file_request {
    enum tg_file_ask ask;
    int64_t offset;
    uint32_t limit;      /* bytes asked for, of a part */
    int32_t dc;          /* to be asked */
    uint32_t generation; /* private */
};

struct tg_download;

/**
 * @param file   copied
 * @param done   bytes that are here already, from the start: whole parts, or all
 * @param parts  asked for at once at most, 1..TG_PARTS_MAX
 * @param limit  bytes that a request asks for, TG_PART_LEAST..TG_PART_SIZE, doubling: what the
 *               last download found, so that the next need not
 * @return NULL out of memory
 */
struct tg_download *tg_download_new(const struct tg_row_file *file, int64_t done, uint32_t parts,
                                    uint32_t limit);
void tg_download_free(struct tg_download *d); /* NULL is nothing */

/** What is to be asked next. @return TG_OK: send it, one of the next three follows; TG_AGAIN:
 *  nothing before another answer, or before what is here was taken; TG_END: all was given out */
tg_code tg_download_next(struct tg_download *d, struct tg_file_request *ret);

/** The request's method, and its body appended; not of REFERENCE, which is the caller's to ask. */
const char *tg_download_write(const struct tg_download *d, const struct tg_file_request *request,
                              struct tg_buf *out);

/** An answer. `dc`: who gave it. @return TG_OK; TG_PROTOCOL: the file cannot be had; TG_NOMEM */
tg_code tg_download_answer(struct tg_download *d, const struct tg_file_request *request,
                           const struct tl_schema *schema, const void *body, size_t len, int32_t dc,
                           struct tg_error *err);
/** The server refused with that text. @return TG_OK: it is asked for otherwise; else `err` stays
 *  what it was */
tg_code tg_download_refused(struct tg_download *d, const struct tg_file_request *request,
                            const char *text, const struct tg_error *err);
/** The message was asked for again; file NULL: it has none any more. @return TG_OK; TG_NOT_FOUND */
tg_code tg_download_refreshed(struct tg_download *d, const struct tg_row_file *file,
                              struct tg_error *err);

/** @return whether all was given out */
bool tg_download_ended(const struct tg_download *d);

/** The next bytes in order: malloc'ed, the caller's from now on. @return NULL: not here yet */
void *tg_download_take(struct tg_download *d, size_t *ret_len);

/** What `limit` has become. */
uint32_t tg_download_limit(const struct tg_download *d);
/** What befell it: CDN parts that were not what they should be. */
uint32_t tg_download_lies(const struct tg_download *d);
/** @return the CDN that it comes from now; 0: none. It must be known before the next request. */
int32_t tg_download_cdn(const struct tg_download *d);
/** Ends what a CDN has to do with it: it cannot be reached, say. */
void tg_download_no_cdn(struct tg_download *d);

#endif

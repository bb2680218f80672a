/* SPDX-License-Identifier: MIT */
/*
 * media_dir.h - files by the SHA-256 of their content: which are there, and what is half done
 *
 *   DIR/ab/abcdef....jpg       complete files, or elsewhere: media_home.h
 *   DIR/.tgdata-0/lock         the first process that works in DIR now; a second one has 1, ...
 *   DIR/.tgdata-0/index        which file of Telegram's has which content, a line each
 *   DIR/.tgdata-0/p123.part    half of a photo, and the XXH3-128 of each part of it in p123.sums;
 *                              where files are in S3, how far it was put there in p123.upload
 *
 * A file is written aside, synced, and gets its name: a name that is there has all of its content.
 * The index tells what need not be fetched again; a line that is lost or torn costs one more
 * download. What is half done goes on, even of a process that was killed, behind the last part
 * whose sum is right. Who opens the directory removes what nobody has gone on with for
 * TG_MEDIA_OLD_S, wherever no process works now.
 *
 * Threads: one at a time      Limits: 4M files remembered (72 bytes each), 16 processes
 */
#ifndef TG_MEDIA_DIR_H
#define TG_MEDIA_DIR_H

#include "base/row.h"
#include "etl/media_home.h"

enum { TG_MEDIA_PART = 1 << 20 };

/** Half-done files that are older than that are removed. */
#define TG_MEDIA_OLD_S (INT64_C(7) * 24 * 3600)

struct tg_media_dir;
struct tg_media_part;

/** @param place  as in media_home.h  @param now_s  Unix time
 *  @return TG_OK; TG_IO; TG_BUSY: too many processes work there */
tg_code tg_media_dir_open(const struct tg_fs *fs, const char *place, int64_t now_s,
                          struct tg_media_dir **ret, struct tg_error *err);
void tg_media_dir_close(struct tg_media_dir *d); /* NULL is nothing */

struct tg_media_home *tg_media_dir_home(struct tg_media_dir *d);

/** @return whether that photo or document is here, whole */
bool tg_media_find(struct tg_media_dir *d, const struct tg_row_file *file,
                   struct tg_media_file *ret);

/** Begins a file, or goes on with what is half done. @param ret_done  bytes that are here */
tg_code tg_media_begin(struct tg_media_dir *d, const struct tg_row_file *file,
                       struct tg_media_part **ret, int64_t *ret_done, struct tg_error *err);
/** Appends TG_MEDIA_PART bytes, or what is left of the file. */
tg_code tg_media_write(struct tg_media_part *p, const void *bytes, size_t n, struct tg_error *err);
/** All is here: makes it durable under its name. Ends the part, whatever becomes of it. */
tg_code tg_media_finish(struct tg_media_part *p, const char *ext, struct tg_media_file *ret,
                        struct tg_error *err);
/** Lets it be, for another time. NULL is nothing. */
void tg_media_leave(struct tg_media_part *p);

#endif

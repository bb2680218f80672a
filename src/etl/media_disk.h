/* SPDX-License-Identifier: MIT */
/*
 * media_disk.h - the thread that writes files, so that the network's loop never waits for a disk,
 *                or for S3
 *
 *   loop thread                       disk thread
 *   tg_media_disk_begin  --file-->    is it here? is half of it?
 *                        <--answer--  FOUND, or BEGUN with what is done
 *   tg_media_disk_write  --part-->
 *                        <--answer--  WRITTEN
 *   tg_media_disk_finish ------->     synced, and under its name
 *                        <--answer--  FOUND
 *   tg_media_disk_leave  ------->     closed as it is
 *                        <--answer--  LEFT, the last of the file
 *
 * Each call has one answer, and those of a file come in the order of its calls. After an answer of
 * FAILED the file is left, and of later answers only LEFT means anything. AWAY is of no call: what
 * files are in (S3) fails for a reason that may pass, and is tried again.
 *
 * Threads: functions are the loop thread's; `wake` is called from the disk thread
 * Limits:  what the caller has under way
 */
#ifndef TG_MEDIA_DISK_H
#define TG_MEDIA_DISK_H

#include "etl/media_dir.h"

struct tg_media_disk;

enum tg_media_news { TG_MEDIA_FOUND, TG_MEDIA_BEGUN, TG_MEDIA_WRITTEN, TG_MEDIA_LEFT,
                     TG_MEDIA_FAILED, TG_MEDIA_AWAY };

struct tg_media_answer {
    enum tg_media_news news;
    void *of;                  /* the caller's */
    int64_t done;              /* BEGUN: bytes that are here */
    struct tg_media_file file; /* FOUND */
    struct tg_error err;       /* FAILED, AWAY */
};

/** @param place  as in media_home.h
 *  @param wait_ms  how long it may be away; INT64_MAX: for ever */
tg_code tg_media_disk_new(const char *place, int64_t wait_ms, void (*wake)(void *ctx), void *ctx,
                          struct tg_media_disk **ret, struct tg_error *err);
/** What is under way is left as it is; answers that were not taken are dropped. NULL is nothing. */
void tg_media_disk_free(struct tg_media_disk *m);

/** A file under way; `of` names it in answers. What `file` points to is not used.
 *  @return NULL out of memory */
struct tg_media_job *tg_media_disk_begin(struct tg_media_disk *m, const struct tg_row_file *file,
                                         void *of);
/** Takes over the malloc'ed bytes. @return false out of memory, as the next */
bool tg_media_disk_write(struct tg_media_disk *m, struct tg_media_job *job, void *bytes, size_t n);
bool tg_media_disk_finish(struct tg_media_disk *m, struct tg_media_job *job, const char *ext);
/** The job is not to be used any more. */
void tg_media_disk_leave(struct tg_media_disk *m, struct tg_media_job *job);

/** @return whether there was an answer */
bool tg_media_disk_answer(struct tg_media_disk *m, struct tg_media_answer *ret);

#endif

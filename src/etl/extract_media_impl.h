/* SPDX-License-Identifier: MIT */
/*
 * extract_media_impl.h - files of rows from the inside: extract_media.c (batches, gets, parts),
 * extract_media_renew.c (references that have ended)
 *
 * Threads: the loop's
 */
#ifndef TG_EXTRACT_MEDIA_IMPL_H
#define TG_EXTRACT_MEDIA_IMPL_H

#include "etl/extract_impl.h"
#include "etl/media_disk.h"
#include "etl/media_want.h"
#include "telegram/download.h"
#include "telegram/message_file.h"

enum { MEDIA_CALLS = TG_PARTS_MAX + 2 };

enum media_state { FILE_WANTED, FILE_GOING, FILE_DONE };

/* A batch whose files are not all there. */
struct extract_held {
    struct extract_held *next;
    struct tg_batch *batch;
    size_t first, n_left; /* no file before it is wanted; that are not done */
    uint8_t state[];      /* enum media_state of each */
};

struct media_get;

struct media_call {
    struct media_get *get;
    struct tg_file_request request;
    uint32_t on;     /* connection to its media DC */
    uint64_t number; /* 0: free */
};

/* A file that is being fetched. */
struct media_get {
    struct media_get *next;
    struct extract_lane *lane; /* NULL: nobody wants it any more */
    struct extract_account *account;
    struct extract_held *held;
    size_t at; /* which of its files */
    struct tg_media_job *job;
    struct tg_download *download; /* NULL: not begun */
    uint32_t unwritten;
    bool stale; /* its reference has ended */
    bool finishing, ended;
    struct tg_error err; /* code TG_OK: none */
    enum { OF_FILE, OF_ACCOUNT, OF_DISK } trouble;
    struct media_call call[MEDIA_CALLS];
};

struct extract_media {
    struct tg_media_disk *disk;
    struct tg_media_want want;
    struct media_get *gets;
    struct tg_batch *answer; /* messages that were asked for again */
};

static inline struct tg_row_file *media_file_of(const struct extract_held *h, size_t at)
{
    return &h->batch->file[at];
}

static inline struct tg_row *media_row_of(const struct extract_held *h, size_t at)
{
    return &h->batch->row[media_file_of(h, at)->row];
}

/** The get cannot go on; the step sees to what becomes of it. The first reason counts. */
void media_get_failed(struct media_get *g, const struct tg_error *err);

/** Asks for messages again, if references of the lane's gets have ended. */
void media_renew(struct extract_lane *lane, int64_t now_us);
/** Ends what is asked for. */
void media_renew_drop(struct extract_lane *lane);

#endif

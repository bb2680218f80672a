/* SPDX-License-Identifier: MIT */
/*
 * takeout.h - an export session: begun, named in every call, finished on every exit
 *
 * Facts: core.telegram.org/api/takeout. TAKEOUT_INIT_DELAY_X comes back as TG_FLOOD with
 * retry_after_s; the caller decides whether to wait.
 *
 * Threads: none: runs inside the client's callbacks
 */
#ifndef TG_TAKEOUT_H
#define TG_TAKEOUT_H

#include "telegram/client.h"

struct tg_takeout_options {
    bool users, groups, supergroups, channels, files;
    int64_t file_max_bytes;
};

/** On success all further calls of the client are wrapped (tgc_set_takeout). */
bool tg_takeout_start(struct tgc *client, const struct tg_takeout_options *options,
                      void (*done)(void *ctx, int64_t takeout_id, const struct tg_error *err),
                      void *ctx, int64_t now_us);

/** Ends the session at the server and the wrapping; done's err is NULL on success. */
bool tg_takeout_finish(struct tgc *client, bool success,
                       void (*done)(void *ctx, const struct tg_error *err), void *ctx,
                       int64_t now_us);

/** Message ranges that the server wants the account's own message space to be read in. */
struct tg_range {
    int32_t min_id, max_id;
};
bool tg_split_ranges_start(struct tgc *client,
                           void (*done)(void *ctx, const struct tg_range *range, size_t n,
                                        const struct tg_error *err),
                           void *ctx, int64_t now_us);

#endif

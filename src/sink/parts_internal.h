/* SPDX-License-Identifier: MIT */
/*
 * parts_internal.h - what parts.c, parts_check.c and parts_fence.c share: names, manifests, claims
 *
 * Threads: one at a time
 */
#ifndef TG_SINK_PARTS_INTERNAL_H
#define TG_SINK_PARTS_INTERNAL_H

#include "sink/parts.h"

#define TG_CURSOR_NAME "_cursor.json"
enum { TG_TAG = 32 };

/** Writes "part-000001.ndjson". */
void tg_part_name(char out[TG_PART_NAME], uint64_t n, const char *suffix);

/** @return the number of "part-000012<suffix>" or "part-000012.json"; 0 if it is neither.
 *  ret_manifest may be NULL */
uint64_t tg_part_number(const struct tg_parts *p, const char *name, bool *ret_manifest);

/** Opens the directory if it is not open. */
tg_code tg_parts_need_dir(struct tg_parts *p, bool create, struct tg_error *err);

/** Reads a manifest and checks that it is of this job and chat. @return TG_NOT_FOUND, TG_CORRUPT,
 *  TG_USAGE if another job's, TG_IO */
tg_code tg_parts_read_manifest(struct tg_parts *p, const char *name, struct tg_manifest *ret,
                               struct tg_error *err);

/** @return TG_CORRUPT: that file of a chat `how` */
tg_code tg_parts_damaged(const struct tg_parts *p, const char *name, const char *how,
                         struct tg_error *err);

/** @return TG_USAGE if it is another job's than env.job; NULL there: any is right */
tg_code tg_parts_check_job(const struct tg_parts *p, const struct tg_manifest *m,
                           struct tg_error *err);

/** @return TG_USAGE: the chat's parts are in another format */
tg_code tg_parts_another_format(const struct tg_parts *p, struct tg_error *err);

/* ---- parts_fence.c ---- */

/** Writes "7-1f3a9c02". */
void tg_fence_tag(char out[TG_TAG], const struct tg_fence *fence);

/** Reads it; only the exact spelling counts. */
bool tg_fence_read(const char *text, size_t len, struct tg_fence *ret);

/** @return below 0: a is older */
int tg_fence_compare(const struct tg_fence *a, const struct tg_fence *b);

/** Writes "name.7-1f3a9c02.tmp". */
void tg_aside_name(char out[TG_PART_NAME], const char *name, const struct tg_fence *fence);

/** Shuts out older writers of the open directory and removes what they left aside.
 *  @return TG_CONFLICT if a newer one is there; TG_BUSY while a rollback is under way */
tg_code tg_parts_claim(struct tg_parts *p, const struct tg_fence *fence, struct tg_error *err);

/** @return TG_CONFLICT if a newer writer has claimed the chat */
tg_code tg_parts_check_claim(struct tg_parts *p, struct tg_error *err);

/** Turns a failure whose cause is a newer writer into TG_CONFLICT; others stay as they are. */
tg_code tg_parts_blame(struct tg_parts *p, tg_code code, struct tg_error *err);

/** Gives the claim back. */
void tg_parts_release(struct tg_parts *p);

/** Takes the lock of rollbacks and checks the claim behind it; give it back with fs->unlock. */
tg_code tg_parts_lock(struct tg_parts *p, struct tg_lock **ret, struct tg_error *err);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * parts_internal.h - names and reading of manifests, shared by parts.c and parts_check.c
 *
 * Threads: one at a time
 */
#ifndef TG_SINK_PARTS_INTERNAL_H
#define TG_SINK_PARTS_INTERNAL_H

#include "sink/parts.h"

#define TG_CURSOR_NAME "_cursor.json"

/** Writes "part-000001.ndjson.tmp". */
void tg_part_name(char out[TG_PART_NAME], uint64_t n, const char *suffix, const char *more);

/** Opens the directory if it is not open. */
tg_code tg_parts_need_dir(struct tg_parts *p, bool create, struct tg_error *err);

/** Reads a manifest and checks that it is of this job and chat. @return TG_NOT_FOUND, TG_CORRUPT,
 *  TG_USAGE if another job's, TG_IO */
tg_code tg_parts_read_manifest(struct tg_parts *p, const char *name, struct tg_manifest *ret,
                               struct tg_error *err);

#endif

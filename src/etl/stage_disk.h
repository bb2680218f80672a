/* SPDX-License-Identifier: MIT */
/*
 * stage_disk.h - temporary files for stages that remember more than memory holds
 *
 * Threads: one at a time for each file
 */
#ifndef TG_STAGE_DISK_H
#define TG_STAGE_DISK_H

#include "quality/seen.h"

/** In the directory that TMPDIR names, else in /tmp. */
extern const struct tg_seen_disk tg_stage_disk;

#endif

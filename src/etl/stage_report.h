/* SPDX-License-Identifier: MIT */
/*
 * stage_report.h - what stages have gathered is told when a run ends
 *
 * Threads: none of the list's stages may run
 */
#ifndef TG_STAGE_REPORT_H
#define TG_STAGE_REPORT_H

#include "stage/stage.h"

/**
 * Writes what rules found, and the files that stages write at the end.
 * @param ret  `rows` and `invalid` are there already
 * @return TG_OK; TG_IO, TG_NOMEM: a file could not be written
 */
tg_code tg_stage_report(const struct tg_stage_list *list, const char *job,
                        struct tg_quality_result *ret, struct tg_error *err);

#endif

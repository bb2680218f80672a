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
 * What they remember for the job's next run goes to the state store, as documents of kind
 * "profile", key "job/number of the stage among those of its name".
 * @param ret  `rows` and `invalid` are there already
 * @return TG_OK; TG_IO, TG_NOMEM: a file could not be written; a failure of the store
 */
struct tg_stage_report {
    const char *job, *state; /* name, URL of the store */
    bool whole;              /* the run has ended well */
};
tg_code tg_stage_report(const struct tg_stage_list *list, const struct tg_stage_report *run,
                        struct tg_quality_result *ret, struct tg_error *err);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * transform.h - what `tgdata transform` and jobs of that pattern share
 *
 * Threads: main
 */
#ifndef TG_CLI_TRANSFORM_H
#define TG_CLI_TRANSFORM_H

#include "cli/run.h"

/** The settings of the command. */
struct transform_own {
    const char *from_job;
    struct tg_option_list chat;
    int64_t progress; /* index into the choices */
    bool json;
    struct run_reload reload; /* of a job in a configuration file, no option */
};

/** Transforms what stands at the first argument, and tells how it ended. */
tg_code transform_run(struct cli *cli, struct tg_error *err) TG_MUST_CHECK;

#endif

/* SPDX-License-Identifier: MIT */
/*
 * verify.h - what `tgdata verify` and jobs of that pattern share
 *
 * Threads: main
 */
#ifndef TG_CLI_VERIFY_H
#define TG_CLI_VERIFY_H

#include "cli/run.h"

/** The settings of the command. */
struct verify_own {
    bool json, offline;
    const char *state, *job, *media;
    struct run_reload reload; /* of a job in a configuration file, no option */
};

/** Checks what a job has delivered, and tells chat by chat. */
tg_code verify_run(struct cli *cli, struct tg_error *err) TG_MUST_CHECK;

#endif

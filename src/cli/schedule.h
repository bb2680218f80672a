/* SPDX-License-Identifier: MIT */
/*
 * schedule.h - the words of `tgdata schedule` that take a configuration file
 *
 * Threads: main
 */
#ifndef TG_CLI_SCHEDULE_H
#define TG_CLI_SCHEDULE_H

#include "cli/cli.h"

struct schedule_own {
    bool json, all;
    const char *zone, *name, *job;
    int64_t from_s, until_s, count, jitter_ms;
    struct tg_option_list prefer, avoid, maintenance;
};

/** Runs the jobs as they are due, until a signal; or those of a time that has passed. */
tg_code schedule_run(struct cli *cli, struct tg_error *err) TG_MUST_CHECK;
tg_code schedule_backfill(struct cli *cli, struct tg_error *err) TG_MUST_CHECK;

tg_code schedule_next(struct cli *cli, struct tg_error *err) TG_MUST_CHECK;
tg_code schedule_list(struct cli *cli, struct tg_error *err) TG_MUST_CHECK;
tg_code schedule_history(struct cli *cli, struct tg_error *err) TG_MUST_CHECK;
tg_code schedule_pause(struct cli *cli, struct tg_error *err) TG_MUST_CHECK;
tg_code schedule_resume(struct cli *cli, struct tg_error *err) TG_MUST_CHECK;

#endif

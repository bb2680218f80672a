/* SPDX-License-Identifier: MIT */
/*
 * changes.h - what stream and delta share: how it goes, and the summary at the end
 *
 * Threads: main
 */
#ifndef TG_CLI_CHANGES_H
#define TG_CLI_CHANGES_H

#include "cli/cli.h"
#include "cli/progress.h"
#include "cli/run.h"

/** The settings of both commands. */
struct changes_own {
    bool all, json;
    int64_t progress; /* index into the choices */
    struct run_reload reload; /* of a job in a configuration file */
};

/* The rows of both commands' option tables. */
#define CHANGES_OPTIONS                                                                            \
    { .name = "all",                                                                               \
      .type = TG_OPT_BOOL,                                                                         \
      .offset = offsetof(struct changes_own, all),                                                 \
      .help = "all chats that the account has now, instead of named ones" },                       \
    CLI_PROGRESS_OPTION(struct changes_own, progress),                                             \
    { .name = "json",                                                                              \
      .type = TG_OPT_BOOL,                                                                         \
      .offset = offsetof(struct changes_own, json),                                                \
      .help = "print the summary on stdout as a JSON object (on stderr if the rows go to stdout)" }

/** Runs the chats of the arguments, and tells how it ended. */
tg_code changes_run(struct cli *cli, bool delta, struct tg_error *err) TG_MUST_CHECK;

#endif

/* SPDX-License-Identifier: MIT */
/*
 * run.h - what extract, worker and run share: accounts, workers, progress, the summary at the end
 *
 * Threads: main
 */
#ifndef TG_CLI_RUN_H
#define TG_CLI_RUN_H

#include "cli/cli.h"
#include "cli/progress.h"

/** What the commands of `tgdata run` do at SIGHUP; `at` NULL: nothing. */
struct run_reload {
    /* @return false: the run is to end, where it stands. *workers: how many there are to be */
    bool (*at)(void *ctx, unsigned *workers);
    void *ctx;
};

/** The steps of a job of a file; --step. */
enum run_step { RUN_ALL, RUN_EXTRACT, RUN_VALIDATE, RUN_CLEANUP, RUN_STEPS };
#define RUN_STEP_WORDS "all|extract|validate|cleanup"

/** @return whether a job asks for a step */
bool run_has_step(const struct tg_config_job *job, enum run_step step);

/** Does one of the steps behind RUN_EXTRACT, or all of them that the job asks for. */
tg_code run_after(const struct cli *cli, const struct tg_config_job *job, enum run_step step,
                  bool json, struct tg_error *err) TG_MUST_CHECK;

/** The settings of these commands. */
struct run_own {
    bool all, json;
    const char *accounts, *workers_from;
    int64_t progress; /* index into the choices */
    /* of a job in a configuration file, no options: it names the accounts */
    const struct tg_config_job *job;
    struct run_reload reload;
};

/* The rows of both commands' option tables. */
#define RUN_OPTIONS                                                                                \
    { .name = "accounts",                                                                          \
      .type = TG_OPT_STR,                                                                          \
      .offset = offsetof(struct run_own, accounts),                                                \
      .value = "LIST",                                                                             \
      .help = "session files of several accounts, or a directory of NAME.session files, "          \
              "separated by commas: the chats are shared out among them; instead of --session" },  \
    { .name = "workers-from",                                                                      \
      .type = TG_OPT_STR,                                                                          \
      .offset = offsetof(struct run_own, workers_from),                                            \
      .value = "FILE",                                                                             \
      .help = "read --workers from that file, now and again at each SIGHUP" },                     \
    CLI_PROGRESS_OPTION(struct run_own, progress),                                                 \
    { .name = "json",                                                                              \
      .type = TG_OPT_BOOL,                                                                         \
      .offset = offsetof(struct run_own, json),                                                    \
      .help = "print the summary on stdout as a JSON object (on stderr if the rows go to stdout)" }

/** Runs the chats of the arguments, or of a queue, and tells how it ended. */
tg_code run_extraction(struct cli *cli, const struct tg_worker_options *worker,
                       struct tg_error *err) TG_MUST_CHECK;

#endif

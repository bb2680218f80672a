/* SPDX-License-Identifier: MIT */
/*
 * cmd_worker.c - tgdata worker: takes chats from a queue, with any number of others
 */
#include "cli/run.h"

static const struct tg_option options[] = { RUN_OPTIONS, { 0 } };

static tg_code run(struct cli *cli, struct tg_error *err)
{
    static const struct tg_worker_options as_set = { 0 };

    return run_extraction(cli, &as_set, err);
}

const struct cli_command cmd_worker = {
    .name = "worker",
    .help = "extract the chats that stand on a queue, together with other workers",
    .usage = "--queue URL --to URL [OPTIONS]",
    .about = "Takes tasks from a queue, that `tgdata enqueue` or any other program fills, and "
             "extracts their chats. Any number of workers may run, on any number of machines, each "
             "with its own accounts; those of one job share --state. A task is done when its rows "
             "are committed; the tasks of a worker that dies go to others, which go on behind its "
             "last commit. SIGINT and SIGTERM give back what is not done.",
    .examples = "  tgdata enqueue @a @b @c --queue redis://127.0.0.1:6379/0\n"
                "  tgdata worker --queue redis://127.0.0.1:6379/0 --accounts sessions/ \\\n"
                "      --to ndjson:out --workers 8\n"
                "  tgdata worker --queue redis://127.0.0.1:6379/0 --to ndjson:out --until-empty\n"
                "  tgdata worker --queue 'sqs://chats?region=eu-west-1' --to ndjson:out\n",
    .scopes = 1u << TG_SCOPE_ACCOUNT | 1u << TG_SCOPE_JOB | 1u << TG_SCOPE_READ |
              1u << TG_SCOPE_STAGES | 1u << TG_SCOPE_EXTRACT | 1u << TG_SCOPE_WORKER |
              1u << TG_SCOPE_MONITOR | 1u << TG_SCOPE_LOG,
    .option = options,
    .size = sizeof(struct run_own),
    .args_max = 0,
    .run = run,
};

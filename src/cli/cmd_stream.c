/* SPDX-License-Identifier: MIT */
/*
 * cmd_stream.c - tgdata stream: what happens in chats, as it happens
 */
#include "cli/changes.h"

static const struct tg_option options[] = { CHANGES_OPTIONS, { 0 } };

static tg_code run(struct cli *cli, struct tg_error *err)
{
    return changes_run(cli, false, err);
}

const struct cli_command cmd_stream = {
    .name = "stream",
    .help = "deliver what happens in chats, as it happens",
    .usage = "CHAT... --to URL [OPTIONS]",
    .about = "Watches chats and writes a row for each message that is posted, edited, reacted to "
             "or deleted, within a fraction of a second; `change` tells what happened, "
             "`change_seq` in which order. Tables are kept as the chats are, files and brokers get "
             "the changes one behind the other. A destination that cannot keep up slows the "
             "reading down; nothing is lost, also not while the program is away: the same command "
             "goes on behind the last commit. Runs until SIGINT or SIGTERM.",
    .examples = "  tgdata stream @durov --to ndjson:out --state sqlite:state.db --job live\n"
                "  tgdata stream --all --to postgres://db/tg --history --job mirror\n"
                "  tgdata stream @a --to kafka:localhost:9092/changes?format=debezium\n"
                "  tgdata stream @a --to stdout: --filter 'word_count > 3' --enrich\n"
                "  tgdata stream @a --to ndjson:out --progress json 2>statistics.ndjson\n",
    .scopes = 1u << TG_SCOPE_ACCOUNT | 1u << TG_SCOPE_JOB | 1u << TG_SCOPE_READ |
              1u << TG_SCOPE_STAGES | 1u << TG_SCOPE_WATCH | 1u << TG_SCOPE_STREAM |
              1u << TG_SCOPE_MONITOR | 1u << TG_SCOPE_LOG,
    .option = options,
    .size = sizeof(struct changes_own),
    .args_max = SIZE_MAX,
    .run = run,
};

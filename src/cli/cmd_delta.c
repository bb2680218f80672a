/* SPDX-License-Identifier: MIT */
/*
 * cmd_delta.c - tgdata delta: what has changed in chats since the last run
 */
#include "cli/changes.h"

static const struct tg_option options[] = { CHANGES_OPTIONS, { 0 } };

static tg_code run(struct cli *cli, struct tg_error *err)
{
    return changes_run(cli, true, err);
}

const struct cli_command cmd_delta = {
    .name = "delta",
    .help = "deliver what has changed in chats since the last run",
    .usage = "CHAT... --to URL [OPTIONS]",
    .about = "The first run of a job delivers all messages of the chats; each later one what was "
             "posted, edited, reacted to or deleted since. Where the server still tells that, a "
             "few requests do; else the chat is read again and compared with the signatures that "
             "the job keeps of each message, and what seems to be deleted is asked for by its id. "
             "What is remembered moves only with the destination's commits: killed at any moment, "
             "the next run goes on behind the last one.",
    .examples = "  tgdata delta @durov --to ndjson:out --state sqlite:state.db --job nightly\n"
                "  tgdata delta @a @b --to postgres://db/tg --state sqlite:s.db --job mirror\n"
                "  tgdata delta @a --to ndjson:out --comparison-fields id,content_hash,views\n"
                "  tgdata delta @a --to ndjson:out --rescan --json\n",
    .scopes = 1u << TG_SCOPE_ACCOUNT | 1u << TG_SCOPE_JOB | 1u << TG_SCOPE_READ |
              1u << TG_SCOPE_STAGES | 1u << TG_SCOPE_WATCH | 1u << TG_SCOPE_MONITOR |
              1u << TG_SCOPE_LOG,
    .option = options,
    .size = sizeof(struct changes_own),
    .args_max = SIZE_MAX,
    .run = run,
};

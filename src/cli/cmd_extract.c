/* SPDX-License-Identifier: MIT */
/*
 * cmd_extract.c - tgdata extract: chats into files, resumably
 */
#include "cli/run.h"

static const struct tg_option options[] = {
    { .name = "all",
      .type = TG_OPT_BOOL,
      .offset = offsetof(struct run_own, all),
      .help = "all chats of the account, instead of named ones" },
    RUN_OPTIONS,
    { 0 },
};

static tg_code run(struct cli *cli, struct tg_error *err)
{
    const struct run_own *own = cli->own;
    tg_code code = cli_check_chats(cli, own->all, err);

    return code == TG_OK ? run_extraction(cli, NULL, err) : code;
}

const struct cli_command cmd_extract = {
    .name = "extract",
    .help = "extract messages of chats into files, resumably",
    .usage = "CHAT... --to URL [OPTIONS]",
    .about = "Reads every message of the chats, oldest first, and writes rows to the destination. "
             "Each commit moves a checkpoint; a run that was stopped or killed goes on behind the "
             "last commit when the same command is given again. A CHAT is an id as tgdata chats "
             "prints it, a username, a t.me link, or me for Saved Messages. SIGINT and SIGTERM "
             "end the run after the batch in hand; "
             "a second one ends it at once, and nothing that was committed is lost.",
    .examples = "  tgdata extract @durov --to ndjson:out\n"
                "  tgdata extract --all --to ndjson:out --state sqlite:state.db --job nightly\n"
                "  tgdata extract --all --to ndjson:out --accounts sessions/\n"
                "  tgdata extract @durov --to stdout: --state sqlite:pipe.db | jq -r .text\n"
                "  tgdata extract -1001234567890 --to ndjson:out --since 2024-01-01 --limit 10000\n"
                "  tgdata extract @chat --to ndjson:out --circuit-failures 5 \\\n"
                "      --circuit-open fallback --fallback archive,export:result.json\n"
                "  tgdata extract @chat --to ndjson:out --progress json --json 2>progress.ndjson\n",
    .scopes = 1u << TG_SCOPE_ACCOUNT | 1u << TG_SCOPE_JOB | 1u << TG_SCOPE_READ |
              1u << TG_SCOPE_STAGES | 1u << TG_SCOPE_EXTRACT | 1u << TG_SCOPE_MONITOR |
              1u << TG_SCOPE_LOG,
    .option = options,
    .size = sizeof(struct run_own),
    .args_max = SIZE_MAX,
    .run = run,
};

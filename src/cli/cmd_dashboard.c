/* SPDX-License-Identifier: MIT */
/*
 * cmd_dashboard.c - tgdata dashboard: the page of a state store, while nothing runs here
 */
#include "cli/cli.h"
#include "cli/term.h"

struct own {
    const char *state;
};

static const struct tg_option options[] = {
    { .name = "state",
      .type = TG_OPT_STR,
      .offset = offsetof(struct own, state),
      .fallback = "sqlite:tgdata.state",
      .value = "URL",
      .help = "where checkpoints are kept",
      .env = "TGDATA_STATE" },
    { 0 },
};

static tg_code run(struct cli *cli, struct tg_error *err)
{
    const struct own *own = cli->own;
    struct tg_observer *observer;
    tg_code code = tg_config_set(cli->config, "state", own->state, err);

    if (code == TG_OK && !tg_config_text(cli->config, "listen"))
        code = tg_config_set(cli->config, "listen", "9464", err);
    if (code == TG_OK)
        code = tg_observer_new(cli->config, &observer, err);
    if (code != TG_OK)
        return code;
    term_stops(NULL, NULL);
    cli_tell_observer(cli, observer);
    while (!term_stopped())
        term_sleep(0.25);
    tg_observer_free(observer);
    return TG_OK;
}

const struct cli_command cmd_dashboard = {
    .name = "dashboard",
    .help = "serve a page with jobs and checkpoints",
    .usage = "[--state URL] [--listen ADDRESS] [OPTIONS]",
    .about = "Serves the page that a run with --listen has, of a state store alone: jobs, "
             "checkpoints, dead letters, and going back to a checkpoint of a job that rests. "
             "Without --listen it is http://127.0.0.1:9464/; SIGTERM or Ctrl-C ends it.",
    .examples = "  tgdata dashboard --state sqlite:state.db\n"
                "  tgdata dashboard --state sqlite:state.db --listen-token-file token\n",
    .scopes = 1 << TG_SCOPE_MONITOR,
    .option = options,
    .size = sizeof(struct own),
    .run = run,
};

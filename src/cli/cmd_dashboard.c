/* SPDX-License-Identifier: MIT */
/*
 * cmd_dashboard.c - tgdata dashboard: the page of a state store, while nothing runs here
 */
#include "cli/file.h"
#include "cli/term.h"

struct own {
    const char *state;
};

static const struct tg_option options[] = {
    { .name = "state",
      .type = TG_OPT_STR,
      .offset = offsetof(struct own, state),
      .value = "URL",
      .help = "where checkpoints are kept; without it, where the first job of FILE keeps them, or "
              "sqlite:tgdata.state",
      .env = "TGDATA_STATE" },
    { 0 },
};

static void serve(struct cli *cli, struct tg_observer *observer)
{
    term_stops(NULL, NULL);
    cli_tell_observer(cli, observer);
    while (!term_stopped())
        term_sleep(0.25);
}

static tg_code run(struct cli *cli, struct tg_error *err)
{
    const struct own *own = cli->own;
    struct tg_config_file *file = NULL;
    struct tg_observer *observer = NULL;
    tg_code code = cli->n_args ? cli_load_file(cli, cli->arg[0], &file, err) : TG_OK;

    if (code == TG_OK && !tg_config_text(cli->config, "listen"))
        code = tg_config_set(cli->config, "listen", "9464", err);
    if (code == TG_OK)
        code = cli_open_page(cli, file, own->state, &observer, err);
    if (code == TG_OK)
        serve(cli, observer);
    cli_close_observer(cli, observer);
    tg_config_file_free(file);
    return code;
}

const struct cli_command cmd_dashboard = {
    .name = "dashboard",
    .help = "serve a page with jobs, schedules and checkpoints",
    .usage = "[FILE] [--state URL] [--listen ADDRESS] [OPTIONS]",
    .about = "Serves the page that a run with --listen has, of a state store alone: jobs, "
             "checkpoints, dead letters, and going back to a checkpoint of a job that rests. "
             "With a configuration FILE also when its jobs run, and how their last runs went. "
             "Without --listen it is http://127.0.0.1:9464/; SIGTERM or Ctrl-C ends it.",
    .examples = "  tgdata dashboard --state sqlite:state.db\n"
                "  tgdata dashboard etl.yaml --listen-token-file token\n",
    .scopes = 1u << TG_SCOPE_MONITOR | 1u << TG_SCOPE_LOG,
    .option = options,
    .size = sizeof(struct own),
    .args_max = 1,
    .run = run,
};

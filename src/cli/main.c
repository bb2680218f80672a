/* SPDX-License-Identifier: MIT */
/*
 * main.c - the program: finds the command, reads its settings, runs it, tells how it ended
 *
 * Threads: main
 */
#include <stdlib.h>

#include "cli/cli.h"
#include "cli/term.h"

const struct cli_command *const cli_commands[] = {
    &cmd_login,       &cmd_logout, &cmd_chats,  &cmd_extract, &cmd_stream,    &cmd_delta,
    &cmd_enqueue,     &cmd_worker, &cmd_verify, &cmd_dlq,     &cmd_transform, &cmd_checkpoints,
    &cmd_state,       &cmd_schedule, &cmd_sim,    &cmd_demo,   &cmd_schema,  &cmd_export_session,
    &cmd_run, &cmd_config, &cmd_dashboard, &cmd_man, &cmd_completion, &cmd_version, &cmd_help, NULL,
};

const struct cli_command *cli_find(const char *name)
{
    for (size_t i = 0; cli_commands[i]; i++)
        if (strcmp(cli_commands[i]->name, name) == 0)
            return cli_commands[i];
    return NULL;
}

static tg_code unknown_command(const char *name, struct tg_error *err)
{
    struct tg_option names[TG_COUNT(cli_commands) + 1] = { { 0 } };
    const char *similar;

    for (size_t i = 0; cli_commands[i]; i++)
        names[i].name = cli_commands[i]->name;
    similar = tg_option_similar(names, name);
    tg_fail(err, TG_USAGE, "there is no command '%.64s'", name);
    if (similar)
        return tg_hint(err, "did you mean '%s'?", similar);
    return tg_hint(err, "tgdata help lists all commands");
}

/* `tgdata help COMMAND` is `tgdata COMMAND --help`. */
static tg_code run_help(struct cli *cli, struct tg_error *err)
{
    const struct cli_command *command;

    if (cli->n_args == 0) {
        cli_help_program(stdout);
        return TG_OK;
    }
    command = cli_find(cli->arg[0]);
    if (!command)
        return unknown_command(cli->arg[0], err);
    cli_help_command(command, stdout);
    return TG_OK;
}

const struct cli_command cmd_help = {
    .name = "help",
    .help = "how to use a command",
    .usage = "[COMMAND]",
    .about = "Lists the commands, or explains one of them.",
    .examples = "  tgdata help extract\n",
    .args_max = 1,
    .run = run_help,
};

static tg_code prepare(struct cli *cli, struct tg_error *err)
{
    cli->config = tg_config_new();
    if (!cli->config)
        return tg_fail(err, TG_NOMEM, "no memory for the settings");
    if (!cli->command->option)
        return TG_OK;
    cli->own = calloc(1, cli->command->size);
    if (!cli->own)
        return tg_fail(err, TG_NOMEM, "no memory for the settings");
    return tg_options_default(cli->command->option, cli->own, err);
}

static tg_code run(struct cli *cli, int argc, char **argv, struct tg_error *err)
{
    tg_code code = prepare(cli, err);

    if (code == TG_OK)
        code = cli_parse(cli, argc, argv, err);
    if (code != TG_OK)
        return code;
    if (cli->help)
        cli_help_command(cli->command, stdout);
    else if (cli->command->scopes & 1u << TG_SCOPE_LOG)
        code = cli_open_log(cli, cli->config, err);
    if (!cli->help && code == TG_OK)
        code = cli->command->run(cli, err);
    return code == TG_OK ? cli_flush(err) : code;
}

int main(int argc, char **argv)
{
    struct cli cli = { 0 };
    struct tg_error err = { 0 };
    tg_code code = TG_OK;
    int status;

    term_init();
    term_signals();
    if (argc < 2) {
        cli_help_program(stderr);
        return tg_code_exit(TG_USAGE);
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)
        cli.command = &cmd_help;
    else if (strcmp(argv[1], "--version") == 0)
        cli.command = &cmd_version;
    else
        cli.command = cli_find(argv[1]);
    if (cli.command)
        code = run(&cli, argc - 2, argv + 2, &err);
    else
        code = unknown_command(argv[1], &err);
    if (cli.own)
        tg_options_done(cli.command->option, cli.own);
    free(cli.own);
    free(cli.arg);
    tg_config_free(cli.config);
    status = code == TG_OK ? 0 : cli_report(&cli, &err);
    tg_log_close(cli.log);
    return status;
}

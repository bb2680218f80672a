/* SPDX-License-Identifier: MIT */
/*
 * open.c - opening the account of a command
 */
#include "cli/cli.h"
#include "cli/term.h"

/* A sealed session file and no passphrase: asks for it once, where somebody can be asked. */
tg_code cli_ask_passphrase(struct cli *cli, struct tg_error *err)
{
    char text[512];
    struct tg_error asked;
    tg_code code = term_ask("Passphrase of the session file: ", false, text, sizeof text, &asked);

    if (code == TG_END)
        return err->code; /* nobody there: the first failure stands */
    if (code == TG_OK)
        code = tg_config_set(cli->config, "passphrase", text, &asked);
    explicit_bzero(text, sizeof text);
    if (code != TG_OK)
        *err = asked;
    return code;
}

static void stop_account(void *account)
{
    tg_account_stop(account);
}

tg_code cli_open_account(struct cli *cli, struct tg_account **ret, struct tg_error *err)
{
    tg_code code = tg_account_open(cli->config, cli_note, cli, ret, err);

    if (code == TG_LOGIN && term_can_ask()) {
        code = cli_ask_passphrase(cli, err);
        if (code == TG_OK)
            code = tg_account_open(cli->config, cli_note, cli, ret, err);
    }
    if (code == TG_OK)
        term_stops(stop_account, *ret);
    return code;
}

void cli_close_account(struct tg_account *account)
{
    term_stops(NULL, NULL);
    tg_account_close(account);
}

tg_code cli_open_observer(struct cli *cli, struct tg_observer **ret, struct tg_error *err)
{
    tg_code code = TG_OK;

    *ret = NULL;
    if (tg_observer_wanted(cli->config))
        code = tg_observer_new(cli->config, ret, err);
    tg_log_follow(cli->log, *ret);
    return code;
}

tg_code cli_listen_as(struct cli *cli, const struct tg_config_file *file, struct tg_error *err)
{
    static const char *const how[] = { "listen", "listen-token-file" };
    const struct tg_config_job *job = tg_config_file_job(file, 0);
    tg_code code = TG_OK;

    if (!job || tg_config_text(cli->config, "listen"))
        return TG_OK;
    for (size_t i = 0; code == TG_OK && i < TG_COUNT(how); i++)
        if (tg_config_text(job->accounts[0], how[i]))
            code = tg_config_set(cli->config, how[i], tg_config_text(job->accounts[0], how[i]),
                                 err);
    if (code == TG_OK && tg_config_flag(job->accounts[0], "listen-open"))
        code = tg_config_set(cli->config, "listen-open", "yes", err);
    return code;
}

tg_code cli_open_page(struct cli *cli, const struct tg_config_file *file, const char *state,
                      struct tg_observer **ret, struct tg_error *err)
{
    const struct tg_config_job *job = file ? tg_config_file_job(file, 0) : NULL;
    tg_code code = TG_OK;

    *ret = NULL;
    if (!state && job)
        state = tg_config_text(job->accounts[0], "state");
    if (state)
        code = tg_config_set(cli->config, "state", state, err);
    if (code == TG_OK)
        code = cli_open_observer(cli, ret, err);
    if (*ret)
        tg_observer_jobs(*ret, file);
    return code;
}

void cli_close_observer(struct cli *cli, struct tg_observer *observer)
{
    if (observer)
        tg_log_follow(cli->log, NULL); /* how the run ended is told behind this */
    tg_observer_free(observer);
}

void cli_tell_observer(struct cli *cli, const struct tg_observer *observer)
{
    char text[96];

    if (!observer || !tg_observer_port(observer))
        return;
    snprintf(text, sizeof text, "port %u serves a page at /, /metrics, /api/status",
             tg_observer_port(observer));
    cli_note(cli, &(struct tg_note){ .kind = TG_NOTE_INFO, .text = text });
}

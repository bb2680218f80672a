/* SPDX-License-Identifier: MIT */
/*
 * accounts.c - the session files of a run with several accounts
 *
 * A list names files and directories; a directory stands for its *.session files. Of those, the
 * ones that another process uses, or that cannot be opened, are left out with a word: whoever runs
 * several programs over one directory wants each to take what is free. A file that was named must
 * open.
 */
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cli/cli.h"
#include "cli/term.h"

enum { PATH_MAX_BYTES = 4096 };
static const char suffix[] = ".session";

static void left_out(struct cli *cli, const char *path, const struct tg_error *err)
{
    if (!cli->quiet)
        cli_tell(cli, TG_LOG_WARNING, "tgdata %s: left out '%s': %s", cli->command->name, path,
                 err->message);
}

static tg_code add_file(struct cli *cli, struct tg_parallel *p, const char *path,
                        struct tg_error *err)
{
    tg_code code = path ? tg_config_set(cli->config, "session", path, err) : TG_OK;

    if (code == TG_OK)
        code = tg_parallel_account(p, cli->config, cli_note, cli, err);
    if (code == TG_LOGIN && term_can_ask()) {
        code = cli_ask_passphrase(cli, err);
        if (code == TG_OK)
            code = tg_parallel_account(p, cli->config, cli_note, cli, err);
    }
    return code;
}

static int is_session(const struct dirent *entry)
{
    size_t len = strlen(entry->d_name), tail = sizeof suffix - 1;

    return len > tail && strcmp(entry->d_name + len - tail, suffix) == 0;
}

static tg_code add_dir(struct cli *cli, struct tg_parallel *p, const char *dir,
                       struct tg_error *err)
{
    struct dirent **entry;
    int n = scandir(dir, &entry, is_session, alphasort);
    char path[PATH_MAX_BYTES];
    size_t opened = 0;

    if (n < 0)
        return tg_fail(err, TG_IO, "cannot read the directory '%s'", dir);
    for (int i = 0; i < n; i++) {
        snprintf(path, sizeof path, "%s/%s", dir, entry[i]->d_name);
        if (add_file(cli, p, path, err) == TG_OK)
            opened++;
        else
            left_out(cli, path, err);
        free(entry[i]);
    }
    free(entry);
    if (opened)
        return TG_OK;
    if (n)
        return err->code; /* of the last */
    tg_fail(err, TG_USAGE, "there is no session file in '%s'", dir);
    return tg_hint(err, "log in with `tgdata login --session %.100s/NAME%s`", dir, suffix);
}

tg_code cli_add_accounts(struct cli *cli, struct tg_parallel *p, const char *list,
                         struct tg_error *err)
{
    struct stat what;
    char *text, *at, *name;
    tg_code code;

    if (!list)
        return add_file(cli, p, NULL, err);
    at = text = strdup(list);
    code = text ? TG_OK : tg_fail(err, TG_NOMEM, "no memory for a list of accounts");
    while (code == TG_OK && (name = strsep(&at, ","))) {
        if (!*name)
            code = tg_fail(err, TG_USAGE, "an account without a name in '%.200s'", list);
        else if (stat(name, &what) == 0 && S_ISDIR(what.st_mode))
            code = add_dir(cli, p, name, err);
        else
            code = add_file(cli, p, name, err);
    }
    free(text);
    return code;
}

tg_code cli_check_chats(const struct cli *cli, bool all, struct tg_error *err)
{
    if (all && cli->n_args)
        tg_fail(err, TG_USAGE, "--all and named chats exclude each other");
    else if (!all && !cli->n_args)
        tg_fail(err, TG_USAGE, "no chat is named");
    else
        return TG_OK;
    return tg_hint(err, "name chats by id, @username or link (tgdata chats lists them), or pass "
                        "--all");
}

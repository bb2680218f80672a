/* SPDX-License-Identifier: MIT */
/*
 * parse.c - words of the command line to settings
 *
 *   --name value   --name=value   --flag   --flag=no   -h   --   everything else is an argument
 *
 * A name is looked for in the command's own table, the common ones, and the scopes it takes. What
 * no table has is refused, with the most similar name that this command does take.
 */
#include <ctype.h>
#include <stdlib.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/term.h"

struct common {
    bool help, verbose, quiet;
};

struct secrets {
    int64_t fd[5]; /* as the rows of cli_secret_options */
};

const struct tg_option cli_common_options[] = {
    { .name = "verbose",
      .type = TG_OPT_BOOL,
      .offset = offsetof(struct common, verbose),
      .help = "log on stderr what happens, one line each with its time" },
    { .name = "quiet",
      .type = TG_OPT_BOOL,
      .offset = offsetof(struct common, quiet),
      .help = "no log even where stderr is no terminal; warnings and errors only" },
    { .name = "help",
      .type = TG_OPT_BOOL,
      .offset = offsetof(struct common, help),
      .help = "this text" },
    { 0 },
};

#define SECRET_FD(i, name_, help_)                                                                 \
    {                                                                                              \
        .name = name_, .type = TG_OPT_I64, .offset = offsetof(struct secrets, fd[i]),              \
        .min = 0, .max = 1 << 20, .value = "N", .help = help_                   \
    }

const struct tg_option cli_secret_options[] = {
    SECRET_FD(0, "passphrase-fd", "read the passphrase as a line from that file descriptor"),
    SECRET_FD(1, "code-fd", "read the login code as a line from that file descriptor"),
    SECRET_FD(2, "password-fd", "read the password as a line from that file descriptor"),
    SECRET_FD(3, "bot-token-fd", "read the bot token as a line from that file descriptor"),
    SECRET_FD(4, "session-string-fd", "read the session string as a line from that descriptor"),
    { 0 },
};
static const struct {
    const char *name;
    enum tg_scope scope;
} secret[] = {
    { "passphrase", TG_SCOPE_ACCOUNT },  { "code", TG_SCOPE_LOGIN },
    { "password", TG_SCOPE_LOGIN },      { "bot-token", TG_SCOPE_LOGIN },
    { "session-string", TG_SCOPE_ACCOUNT },
};

enum { NAMES_MAX = 128 };

/* All that is being read, on its way to struct cli. */
struct parse {
    struct cli *cli;
    struct common common;
    struct secrets secrets;
    const char *given[NAMES_MAX]; /* options with a value so far, as they were written */
    size_t n_given;
};

static bool same(const char *a, const char *b)
{
    for (; *a && (*a == *b || (*a == '_' && *b == '-') || (*a == '-' && *b == '_')); a++)
        b++;
    return *a == *b;
}

static bool in_scopes(unsigned scopes, const char *name)
{
    for (unsigned s = 0; s < TG_SCOPE_COUNT; s++)
        for (size_t i = 0; scopes & 1u << s && tg_config_name((enum tg_scope)s, i); i++)
            if (same(tg_config_name((enum tg_scope)s, i), name))
                return true;
    return false;
}

const struct tg_option *cli_secret_option(unsigned scopes, const char *name)
{
    const struct tg_option *row = tg_option_find(cli_secret_options, name);

    return row && scopes & 1u << secret[row - cli_secret_options].scope ? row : NULL;
}

static size_t add_table(struct tg_option *all, size_t n, const struct tg_option *table)
{
    for (; table && table->name && n < NAMES_MAX; table++)
        all[n++].name = table->name;
    return n;
}

static tg_code unknown(const struct cli *cli, const char *name, struct tg_error *err)
{
    struct tg_option all[NAMES_MAX + 1] = { { 0 } };
    const struct cli_command *c = cli->command;
    const char *similar;
    size_t n = add_table(all, 0, c->option);

    n = add_table(all, n, cli_common_options);
    for (const struct tg_option *row = cli_secret_options; row->name; row++)
        if (n < NAMES_MAX && cli_secret_option(c->scopes, row->name))
            all[n++].name = row->name;
    for (unsigned s = 0; s < TG_SCOPE_COUNT; s++)
        for (size_t i = 0; c->scopes & 1u << s && tg_config_name((enum tg_scope)s, i); i++)
            if (n < NAMES_MAX)
                all[n++].name = tg_config_name((enum tg_scope)s, i);
    similar = tg_option_similar(all, name);
    tg_fail(err, TG_USAGE, "there is no option '--%.64s'", name);
    if (similar)
        return tg_hint(err, "did you mean '--%s'?", similar);
    return tg_hint(err, "tgdata %s --help lists all options", c->name);
}

/* The words of other processes can be read by everyone on the machine. */
static void wipe_secret(const char *name, char *value)
{
    bool wipe = same("proxy", name) || same("api-hash", name);

    for (size_t i = 0; i < TG_COUNT(secret); i++)
        wipe = wipe || same(secret[i].name, name);
    if (wipe)
        explicit_bzero(value, strlen(value));
}

/* Which kind of name it is, and whether it wants a value. */
struct target {
    const struct tg_option *table; /* NULL: a setting of the config */
    void *settings;
    bool flag;
    bool list;                     /* may be given again */
};

static bool find_target(struct parse *p, const char *name, struct target *ret)
{
    const struct cli_command *c = p->cli->command;
    const struct tg_option *row;

    if ((row = tg_option_find(c->option, name)))
        *ret = (struct target){ c->option, p->cli->own, row->type == TG_OPT_BOOL,
                                row->type == TG_OPT_LIST };
    else if ((row = tg_option_find(cli_common_options, name)))
        *ret = (struct target){ .table = cli_common_options, .settings = &p->common,
                                .flag = row->type == TG_OPT_BOOL };
    else if (cli_secret_option(c->scopes, name))
        *ret = (struct target){ .table = cli_secret_options, .settings = &p->secrets };
    else if (in_scopes(c->scopes, name) && tg_config_known(name, &ret->flag))
        *ret = (struct target){ .flag = ret->flag, .list = tg_config_repeats(name) };
    else
        return false;
    return true;
}

/* Of two values one would be dropped without a word. */
static tg_code check_again(struct parse *p, const char *name, const struct target *t,
                           struct tg_error *err)
{
    if (t->flag || t->list)
        return TG_OK;
    for (size_t i = 0; i < p->n_given; i++) {
        if (!same(p->given[i], name))
            continue;
        tg_fail(err, TG_USAGE, "option '--%.64s' is given twice", name);
        return tg_hint(err, "it takes one value: leave one of them out");
    }
    if (p->n_given < NAMES_MAX)
        p->given[p->n_given++] = name;
    return TG_OK;
}

/* One option; `next` is the word behind it, or NULL. @return whether it was used in *ret_used */
static tg_code option(struct parse *p, char *word, char *next, bool *ret_used,
                      struct tg_error *err)
{
    char *equals = strchr(word, '='), *value = equals ? equals + 1 : NULL;
    struct target t;
    tg_code code;

    if (equals)
        *equals = 0;
    if (!find_target(p, word, &t))
        return unknown(p->cli, word, err);
    code = check_again(p, word, &t, err);
    if (code != TG_OK)
        return code;
    if (!value && !t.flag) {
        if (!next || strncmp(next, "--", 2) == 0) {
            tg_fail(err, TG_USAGE, "option '--%s' needs a value", word);
            return tg_hint(err, "tgdata %s --help explains it%s", p->cli->command->name,
                           next ? "; a value that begins with '--' is given as --name=value" : "");
        }
        value = next;
        *ret_used = true;
    }
    if (t.table)
        return tg_option_set(t.table, t.settings, word, value, err);
    code = tg_config_set(p->cli->config, word, value, err);
    if (value)
        wipe_secret(word, value);
    return code;
}

static tg_code check_arguments(const struct cli *cli, struct tg_error *err)
{
    const struct cli_command *c = cli->command;

    if (cli->n_args > c->args_max)
        tg_fail(err, TG_USAGE, "'%.64s' is one argument too many", cli->arg[c->args_max]);
    else if (cli->n_args < c->args_min)
        tg_fail(err, TG_USAGE, "an argument is missing");
    else
        return TG_OK;
    return tg_hint(err, "usage: tgdata %s %s", c->name, c->usage);
}

static tg_code read_secrets(struct parse *p, struct tg_error *err)
{
    char line[1024];
    tg_code code = TG_OK;

    for (size_t i = 0; i < TG_COUNT(secret) && code == TG_OK; i++) {
        if (p->secrets.fd[i] < 0)
            continue;
        code = term_read_line((int)p->secrets.fd[i], line, sizeof line, err);
        if (code == TG_OK)
            code = tg_config_set(p->cli->config, secret[i].name, line, err);
    }
    explicit_bzero(line, sizeof line);
    return code;
}

tg_code cli_parse(struct cli *cli, int argc, char **argv, struct tg_error *err)
{
    struct parse p = { .cli = cli, .secrets = { { -1, -1, -1, -1, -1 } } };
    bool options = true;
    tg_code code = TG_OK;

    cli->arg = calloc((size_t)argc + 1, sizeof *cli->arg);
    if (!cli->arg)
        return tg_fail(err, TG_NOMEM, "no memory for the arguments");
    for (int i = 0; i < argc && code == TG_OK; i++) {
        char *word = argv[i];
        bool used = false;

        if (options && strcmp(word, "--") == 0) {
            options = false;
        } else if (options && strcmp(word, "-h") == 0) {
            p.common.help = true;
        } else if (options && strncmp(word, "--", 2) == 0) {
            code = option(&p, word + 2, i + 1 < argc ? argv[i + 1] : NULL, &used, err);
            i += used;
        } else if (options && word[0] == '-' && isalpha((unsigned char)word[1])) {
            code = unknown(cli, word + 1, err);
        } else {
            cli->arg[cli->n_args++] = word;
        }
    }
    cli->help = p.common.help;
    cli->verbose = p.common.verbose;
    cli->quiet = p.common.quiet;
    if (code == TG_OK && !cli->help)
        code = check_arguments(cli, err);
    if (code == TG_OK && !cli->help)
        code = read_secrets(&p, err);
    return code;
}

/* SPDX-License-Identifier: MIT */
/*
 * cmd_config.c - tgdata config: checks a configuration file, shows what it comes to, and tells
 * editors what one can hold
 */
#include <stdlib.h>

#include "cli/file.h"

static tg_code print_made(char *text, struct tg_error *err)
{
    if (!text)
        return tg_fail(err, TG_NOMEM, "no memory for what is to be printed");
    fputs(text, stdout);
    free(text);
    return TG_OK;
}

static tg_code show(const struct tg_config_file *file, struct tg_error *err)
{
    size_t n = tg_config_file_show(file, NULL, 0) + 1;
    char *text = malloc(n);

    if (text)
        tg_config_file_show(file, text, n);
    return print_made(text, err);
}

static tg_code schema(struct tg_error *err)
{
    size_t n = tg_config_schema(NULL, 0) + 1;
    char *text = malloc(n + 1);

    if (text) {
        tg_config_schema(text, n);
        text[n - 1] = '\n';
        text[n] = 0;
    }
    return print_made(text, err);
}

static void tell_good(const char *path, const struct tg_config_file *file)
{
    size_t n = 0;

    while (tg_config_file_job(file, n))
        n++;
    printf("%s is in order: %zu job%s", path, n, n == 1 ? "" : "s");
    for (size_t i = 0; i < n && i < 8; i++)
        printf("%s %s (%s)", i ? "," : ":", tg_config_file_job(file, i)->name,
               tg_pattern_name(tg_config_file_job(file, i)->pattern));
    printf("%s\n", n > 8 ? ", ..." : "");
}

static tg_code run(struct cli *cli, struct tg_error *err)
{
    const char *what = cli->arg[0];
    bool is_check = strcmp(what, "check") == 0;
    struct tg_config_file *file;
    tg_code code;

    if (strcmp(what, "schema") == 0 && cli->n_args == 1)
        return schema(err);
    if (!is_check && strcmp(what, "show") != 0) {
        tg_fail(err, TG_USAGE, "tgdata config cannot '%.64s'", what);
        return tg_hint(err, "it can check FILE, show FILE, and print the schema");
    }
    if (cli->n_args != 2) {
        tg_fail(err, TG_USAGE, "no file is named");
        return tg_hint(err, "usage: tgdata config %s FILE", what);
    }
    code = cli_load_file(cli, cli->arg[1], &file, err);
    if (code != TG_OK)
        return code;
    if (is_check)
        tell_good(cli->arg[1], file);
    else
        code = show(file, err);
    tg_config_file_free(file);
    return code;
}

const struct cli_command cmd_config = {
    .name = "config",
    .help = "check a configuration file, or show what it comes to",
    .usage = "check FILE | show FILE | schema",
    .about = "check reads a file as tgdata run does and tells everything that is wrong with it, "
             "each with its line; nothing is run or asked for. show prints the jobs with the "
             "settings that the file gives each of them, secrets as ***. schema prints a JSON "
             "Schema, for editors that complete and check YAML.",
    .examples = "  tgdata config check etl.yaml\n"
                "  tgdata config show etl.yaml\n"
                "  tgdata config schema >tgdata.schema.json\n",
    .args_min = 1,
    .args_max = 2,
    .run = run,
};

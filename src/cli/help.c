/* SPDX-License-Identifier: MIT */
/*
 * help.c - what --help prints, read from the tables of commands, settings and codes
 */
#include <stdlib.h>

#include "cli/cli.h"
#include "cli/term.h"

enum { HELP_MAX = 1 << 20, WIDTH = 100, WIDTH_MIN = 60 };

const struct cli_exit_code cli_exit_codes[] = {
    { 0, "success" },
    { 1, "internal error, such as no memory" },
    { 2, "wrong usage: an option or argument" },
    { 3, "not found: a chat, a job, a checkpoint" },
    { 4, "refused: protected content, or not supported" },
    { 5, "not logged in, or the login was refused" },
    { 6, "network or server trouble that outlasted all attempts" },
    { 7, "the destination cannot be written or read" },
    { 8, "the state store or a session file is damaged or unusable" },
    { 9, "in use by another process" },
    { 10, "verify: something is missing, doubled or different" },
    { 130, "stopped by SIGINT or SIGTERM, after committing" },
    { 0, NULL },
};

const struct cli_scope_part cli_scope_parts[] = {
    { TG_SCOPE_JOB, "Job" },           { TG_SCOPE_WORKER, "Queue" },
    { TG_SCOPE_STAGES, "Steps" },      { TG_SCOPE_STREAM, "Streams" },
    { TG_SCOPE_WATCH, "Changes" },     { TG_SCOPE_EXTRACT, "Extraction" },
    { TG_SCOPE_READ, "Reading" },      { TG_SCOPE_LOGIN, "Login" },
    { TG_SCOPE_ACCOUNT, "Account" },   { TG_SCOPE_MONITOR, "Monitoring" },
    { TG_SCOPE_LOG, "Log" },
    { TG_SCOPE_SCHEDULE, "Keys of jobs that run by themselves" },
    { TG_SCOPE_COUNT, NULL },
};

static size_t help_width(FILE *to)
{
    size_t width = term_is_tty(fileno(to)) ? term_width(fileno(to), WIDTH) : WIDTH;

    return TG_MIN(TG_MAX(width, (size_t)WIDTH_MIN), (size_t)WIDTH);
}

static void put_paragraph(struct tg_buf *out, const char *text, size_t width)
{
    size_t column = 0;

    while (*text) {
        size_t n = strcspn(text, " ");

        if (column && column + 1 + n > width) {
            tg_buf_byte(out, '\n');
            column = 0;
        } else if (column) {
            tg_buf_byte(out, ' ');
            column++;
        }
        tg_buf_add(out, text, n);
        column += n;
        text += n;
        text += strspn(text, " ");
    }
    tg_buf_byte(out, '\n');
}

static void put_scope(struct tg_buf *out, enum tg_scope scope, size_t width)
{
    size_t n = tg_config_help(scope, width, NULL, 0);
    char *text = malloc(n + 1);

    if (!text)
        return;
    tg_config_help(scope, width, text, n + 1);
    tg_buf_str(out, text);
    free(text);
}

static size_t add_rows(struct tg_option *all, size_t n, const struct tg_option *table)
{
    for (; table && table->name && n < CLI_ROWS_MAX; table++)
        all[n++] = *table;
    return n;
}

void cli_command_rows(const struct cli_command *c, struct tg_option rows[CLI_ROWS_MAX + 1])
{
    size_t n = add_rows(rows, 0, c->option);

    for (const struct tg_option *row = cli_secret_options; row->name; row++)
        if (n < CLI_ROWS_MAX && cli_secret_option(c->scopes, row->name))
            rows[n++] = *row;
    n = add_rows(rows, n, cli_common_options);
    rows[n] = (struct tg_option){ 0 };
}

static void put_options(struct tg_buf *out, const struct cli_command *c, size_t width)
{
    struct tg_option rows[CLI_ROWS_MAX + 1];

    cli_command_rows(c, rows);
    tg_buf_str(out, "\nOptions:\n");
    tg_options_help(rows, out, width);
    for (const struct cli_scope_part *part = cli_scope_parts; part->title; part++) {
        if (!(c->scopes & 1u << part->scope))
            continue;
        tg_buf_printf(out, "\n%s:\n", part->title);
        put_scope(out, part->scope, width);
    }
}

static void put_exit_codes(struct tg_buf *out)
{
    tg_buf_str(out, "\nExit codes:\n");
    for (const struct cli_exit_code *row = cli_exit_codes; row->meaning; row++)
        tg_buf_printf(out, "  %3d  %s\n", row->code, row->meaning);
}

void cli_help_program(FILE *to)
{
    struct tg_buf out;

    tg_buf_init(&out, HELP_MAX);
    tg_buf_printf(&out,
                  "tgdata %s - extracts Telegram messages: whole histories, resumably, without "
                  "loss\n\nUsage: tgdata COMMAND [ARGUMENTS] [OPTIONS]\n\nCommands:\n",
                  tg_version());
    for (size_t i = 0; cli_commands[i]; i++)
        tg_buf_printf(&out, "  %-16s%s\n", cli_commands[i]->name, cli_commands[i]->help);
    tg_buf_str(&out, "\nFirst steps:\n"
                     "  tgdata demo                  see everything at work, without an account\n"
                     "  tgdata login --api-id N --api-hash HEX\n"
                     "  tgdata chats\n"
                     "  tgdata extract NAME --to ndjson:DIR\n"
                     "\nEach command explains itself: tgdata COMMAND --help\n");
    fputs(tg_buf_cstr(&out), to);
    tg_buf_done(&out);
}

void cli_help_command(const struct cli_command *c, FILE *to)
{
    struct tg_buf out;
    size_t width = help_width(to);

    tg_buf_init(&out, HELP_MAX);
    tg_buf_printf(&out, "Usage: tgdata %s %s\n\n", c->name, c->usage);
    put_paragraph(&out, c->about, width);
    put_options(&out, c, width);
    put_exit_codes(&out);
    tg_buf_printf(&out, "\nExamples:\n%s", c->examples);
    fputs(tg_buf_cstr(&out), to);
    tg_buf_done(&out);
}

/* SPDX-License-Identifier: MIT */
/*
 * cli.h - what the commands of the program share
 *
 * A command is one row: its name, what it does, which settings it takes (scopes of
 * tgdata/config.h and a table of its own), and a function. Parsing, help and errors are read from
 * that row.
 *
 *   argv -> cli_parse -> struct cli -> command->run -> tg_code -> message, hint, exit code
 *
 * Threads: the main thread; the signal handler of term.c
 */
#ifndef TG_CLI_H
#define TG_CLI_H

#include <stdio.h>

#include "base/option.h"
#include "tgdata/tgdata.h"

struct cli;

/** One command of the program. */
struct cli_command {
    const char *name;
    const char *help;       /* one line for the list of commands */
    const char *usage;      /* what follows the name: "CHAT... [OPTIONS]"; begins with the words for
                               what it can do, if it does several things: "list|show ID" */
    const char *about;      /* one paragraph */
    const char *examples;   /* whole lines, indented by two */
    unsigned scopes;        /* bits of 1 << enum tg_scope */
    const struct tg_option *option; /* settings of its own; NULL none */
    size_t size;            /* of the struct that `option` fills */
    size_t args_min, args_max;
    tg_code (*run)(struct cli *cli, struct tg_error *err);
};

/** The flood waits of one method, told together. */
struct cli_flood {
    char method[64];
    double due;              /* of term_clock: earlier ones are only counted */
    unsigned n_untold;
    double untold_s;         /* seconds named by those */
};

enum { CLI_FLOODS = 8 };     /* methods apart; the rest is told one by one */

/** One call of the program. */
struct cli {
    const struct cli_command *command;
    struct tg_config *config;
    void *own;               /* the command's settings, filled from its option table */
    const char **arg;        /* positional arguments, borrowed from argv */
    size_t n_args;
    bool verbose, quiet;
    bool help;
    struct cli_progress *progress; /* the line that notes must not tear; NULL none */
    struct tg_log *log;      /* what is told goes there; NULL: text on stderr, of any level */
    bool notes_json;         /* notes as JSON lines, unless the log is no text */
    struct cli_flood flood[CLI_FLOODS];
};

extern const struct cli_command cmd_login, cmd_logout, cmd_export_session, cmd_chats, cmd_extract,
    cmd_worker, cmd_enqueue, cmd_checkpoints, cmd_state, cmd_verify, cmd_dlq, cmd_sim, cmd_demo,
    cmd_schema, cmd_version, cmd_help, cmd_transform, cmd_stream, cmd_delta, cmd_schedule,
    cmd_run, cmd_config, cmd_dashboard, cmd_man, cmd_completion;
extern const struct cli_command *const cli_commands[]; /* all, ended by NULL */

/** @return the command of that name, or NULL */
const struct cli_command *cli_find(const char *name);

/* ---- parse.c ---- */

/**
 * Fills cli from the words behind the command's name. `cli->config` and `cli->own` must be ready.
 * Secrets given as words are wiped from argv.
 * @return TG_USAGE with a suggestion
 */
tg_code cli_parse(struct cli *cli, int argc, char **argv, struct tg_error *err) TG_MUST_CHECK;

/** Options that every command takes, and those of commands with an account. */
extern const struct tg_option cli_common_options[], cli_secret_options[];

/** @return the row of cli_secret_options if a command with those scopes takes it, or NULL */
const struct tg_option *cli_secret_option(unsigned scopes, const char *name);

/* ---- help.c ---- */

void cli_help_program(FILE *to);
void cli_help_command(const struct cli_command *command, FILE *to);

/* The tables behind help, manual pages and completion. */

struct cli_exit_code {
    int code;
    const char *meaning;
};
extern const struct cli_exit_code cli_exit_codes[]; /* ended by a NULL meaning */

/** A scope of settings, as a part of the help. */
struct cli_scope_part {
    enum tg_scope scope;
    const char *title;
};
extern const struct cli_scope_part cli_scope_parts[]; /* in their order, ended by a NULL title */

enum { CLI_ROWS_MAX = 128 };

/** Copies the rows of a command's options without those of its scopes, ended by a NULL name. */
void cli_command_rows(const struct cli_command *command, struct tg_option rows[CLI_ROWS_MAX + 1]);

/* ---- man.c ---- */

/** Appends the names of all manual pages: "tgdata-extract.1" */
void cli_man_list(struct tg_buf *out, char between);

/* ---- report.c: what is said to the user ---- */

/** Opens the log that a config asks for; one that is open is closed. */
tg_code cli_open_log(struct cli *cli, const struct tg_config *config,
                     struct tg_error *err) TG_MUST_CHECK;

/** @return whether the log is for programs: nothing else belongs on stderr */
bool cli_logs(const struct cli *cli);

/** A line that is none of an account's, to the log; on stderr if that is text. */
void cli_tell(struct cli *cli, enum tg_log_level level, const char *fmt, ...) TG_PRINTF(3, 4);

/** "tgdata COMMAND: message" and the hint, on stderr; in the log. @return the exit code */
int cli_report(const struct cli *cli, const struct tg_error *err);

/** Hook for tg_account_open: ctx is the struct cli. */
void cli_note(void *ctx, const struct tg_note *note);

/** Ends stdout: what could not be written is a failure. */
tg_code cli_flush(struct tg_error *err) TG_MUST_CHECK;

/** Writes a buffer with a line end to stdout. */
tg_code cli_print(struct tg_buf *text, struct tg_error *err) TG_MUST_CHECK;

/** The summary of a run, on stderr, or in the log, where the rows go to stdout. */
tg_code cli_print_summary(const struct cli *cli, struct tg_buf *text, bool json,
                          struct tg_error *err) TG_MUST_CHECK;

/* ---- shown.c ---- */

/** Copies text that a peer wrote so that it cannot steer a terminal, cut to `columns`.
 *  @return columns that it takes */
size_t cli_clean(struct tg_buf *out, const char *text, size_t columns);

/** "1,234,567" */
void cli_number(char out[32], uint64_t v);
/** "1.2 GB" */
void cli_bytes(char out[32], uint64_t v);
/** "0:07", "1:02:03" */
void cli_duration(char out[32], double seconds);

/* ---- open.c ---- */

/** Opens the account of the config, asking for a passphrase where there is a terminal; signals
 *  then stop it. Close with cli_close_account. */
tg_code cli_open_account(struct cli *cli, struct tg_account **ret,
                         struct tg_error *err) TG_MUST_CHECK;
void cli_close_account(struct tg_account *account);

/** Makes an observer if the settings ask for one, which the log follows; else *ret is NULL. */
tg_code cli_open_observer(struct cli *cli, struct tg_observer **ret,
                          struct tg_error *err) TG_MUST_CHECK;
/** Unless it is told on the command line, listens where and as the file's first job would. */
tg_code cli_listen_as(struct cli *cli, const struct tg_config_file *file,
                      struct tg_error *err) TG_MUST_CHECK;
/** The same for a page about a file's jobs, which shows the state of `state` or, if that is NULL,
 *  of the file's first job. @param file  NULL: there is none */
tg_code cli_open_page(struct cli *cli, const struct tg_config_file *file, const char *state,
                      struct tg_observer **ret, struct tg_error *err) TG_MUST_CHECK;
void cli_close_observer(struct cli *cli, struct tg_observer *observer);
/** Notes where it listens; NULL is nothing. */
void cli_tell_observer(struct cli *cli, const struct tg_observer *observer);

/** Asks for the passphrase of a session file once, where somebody can be asked, and sets it.
 *  @param err  why it is needed: stays if nobody is there */
tg_code cli_ask_passphrase(struct cli *cli, struct tg_error *err) TG_MUST_CHECK;

/* ---- accounts.c ---- */

/** @return TG_USAGE unless either all chats are wanted or some are named */
tg_code cli_check_chats(const struct cli *cli, bool all, struct tg_error *err) TG_MUST_CHECK;

/** Opens the accounts of a list "FILE,DIRECTORY,..." for a run; NULL: the one of the config. */
tg_code cli_add_accounts(struct cli *cli, struct tg_parallel *p, const char *list,
                         struct tg_error *err) TG_MUST_CHECK;

#endif

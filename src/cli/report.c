/* SPDX-License-Identifier: MIT */
/*
 * report.c - errors and notes as the user sees them
 *
 * Errors and notes go to stderr, results to stdout. Notes are shown with --verbose, or when nobody
 * watches (stderr is no terminal, so it is a log); warnings and lost connections always. With
 * --log-format json or journald all of that goes to the log instead.
 */
#include <errno.h>
#include <stdarg.h>

#include "base/json.h"
#include "base/text.h"
#include "cli/progress.h"
#include "cli/term.h"

#define FLOOD_EVERY_S 10

/* What to do about a code when whoever failed did not say more. Only an extraction goes on where it
 * stopped, and only a command with an account has a list of chats. */
static const char *default_hint(const struct cli_command *command, tg_code code)
{
    bool goes_on = command == &cmd_extract || command == &cmd_worker ||
                   command == &cmd_transform;
    bool has_chats = command && command->scopes & 1u << TG_SCOPE_ACCOUNT;

    switch (code) {
    case TG_AUTH:
        return "log in with: tgdata login";
    case TG_LOGIN:
        return "check what was entered and run tgdata login again";
    case TG_NET:
    case TG_TIMEOUT:
        return goes_on ? "check the network, --datacenter and --proxy; run the same command again "
                         "to go on"
                       : "check the network, --datacenter and --proxy, then try again";
    case TG_SERVER:
    case TG_PROTOCOL:
        return goes_on ? "run the same command again to go on where it stopped"
                       : "try again in a while";
    case TG_NOT_FOUND:
        return has_chats ? "tgdata chats lists the chats of the account" : NULL;
    case TG_FULL:
        return goes_on ? "make room and run the same command again: it goes on behind the last "
                         "commit"
                       : "make room and try again";
    case TG_BUSY:
        return "wait for the other process to end, or stop it";
    case TG_CANCELLED:
        return goes_on ? "run the same command again to go on behind the last commit" : NULL;
    default:
        return NULL;
    }
}

tg_code cli_open_log(struct cli *cli, const struct tg_config *config, struct tg_error *err)
{
    tg_log_close(cli->log);
    cli->log = NULL;
    return tg_log_open(config, &cli->log, err);
}

bool cli_logs(const struct cli *cli)
{
    return cli->log && !tg_log_is_text(cli->log);
}

void cli_tell(struct cli *cli, enum tg_log_level level, const char *fmt, ...)
{
    char line[640];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(line, sizeof line, fmt, ap);
    va_end(ap);
    if (cli_logs(cli))
        tg_log_write(cli->log, &(struct tg_log_record){ .level = level, .message = line });
    else if (!cli->log || tg_log_wants(cli->log, level))
        fprintf(stderr, "%s\n", line);
}

/* Where somebody looks at the terminal, an entry in the journal alone would leave him guessing. */
static bool report_logged(const struct cli *cli, const struct tg_error *err, const char *hint)
{
    if (!cli_logs(cli))
        return false;
    tg_log_write(cli->log, &(struct tg_log_record){
                               .level = TG_LOG_ERROR,
                               .event = "failed",
                               .message = err->message[0] ? err->message : tg_code_text(err->code),
                               .hint = hint,
                               .code = err->code,
                               .wait_s = (double)err->retry_after_s });
    return !term_is_tty(fileno(stderr));
}

int cli_report(const struct cli *cli, const struct tg_error *err)
{
    const char *hint = err->hint[0] ? err->hint : default_hint(cli->command, err->code);
    const char *name = cli->command ? cli->command->name : NULL;
    struct tg_buf text;

    fflush(stdout);
    if (cli->progress)
        progress_clear(cli->progress);
    if (report_logged(cli, err, hint))
        return tg_code_exit(err->code);
    tg_buf_init(&text, sizeof err->message * 4);
    cli_clean(&text, err->message[0] ? err->message : tg_code_text(err->code), SIZE_MAX);
    fprintf(stderr, "tgdata%s%s: %s\n", name ? " " : "", name ? name : "", tg_buf_cstr(&text));
    tg_buf_done(&text);
    if (err->code == TG_USAGE && !hint && name)
        fprintf(stderr, "  hint: tgdata %s --help explains what it takes\n", name);
    if (err->code == TG_FLOOD && err->retry_after_s > 0)
        fprintf(stderr, "  hint: try again in %lld seconds\n", (long long)err->retry_after_s);
    else if (hint)
        fprintf(stderr, "  hint: %s\n", hint);
    return tg_code_exit(err->code);
}

static void note_json(const struct tg_note *note)
{
    struct tg_buf line;
    struct tg_json j;

    tg_buf_init(&line, 64 << 10);
    tg_json_init(&j, &line);
    tg_json_object(&j);
    tg_json_key(&j, "event"), tg_json_cstr(&j, "note");
    tg_json_key(&j, "kind"), tg_json_cstr(&j, tg_log_note_event(note->kind));
    tg_json_key(&j, "text"), tg_json_cstr(&j, note->text);
    tg_json_key(&j, "wait_s"), tg_json_double(&j, note->wait_s);
    tg_json_end_object(&j);
    fprintf(stderr, "%s\n", tg_buf_cstr(&line));
    tg_buf_done(&line);
}

/*
 * A run at the server's limit waits every second. Each method is told at once and then every
 * FLOOD_EVERY_S, with what came between. @return false if this one is only counted
 */
static bool tell_flood(struct cli *cli, const struct tg_note *note, struct tg_buf *out)
{
    double now = term_clock();

    tg_buf_printf(out, " %.3g s: ", note->wait_s);
    cli_clean(out, note->text, 2000);
    for (size_t i = 0; i < CLI_FLOODS; i++) {
        struct cli_flood *f = &cli->flood[i];

        if (!f->method[0])
            snprintf(f->method, sizeof f->method, "%s", note->text);
        if (strncmp(f->method, note->text, sizeof f->method - 1) != 0)
            continue;
        if (now < f->due) {
            f->n_untold++;
            f->untold_s += note->wait_s;
            return false;
        }
        if (f->n_untold)
            tg_buf_printf(out, " (and %u more since it was last told, %.3g s)", f->n_untold,
                          f->untold_s);
        f->due = now + FLOOD_EVERY_S;
        f->n_untold = 0;
        f->untold_s = 0;
        return true;
    }
    return true;
}

/* What follows the word for the kind. @return false if nothing is to be told now */
static bool put_note(struct cli *cli, const struct tg_note *note, struct tg_buf *out)
{
    bool has_text = note->text && *note->text;

    if (note->kind == TG_NOTE_FLOOD)
        return tell_flood(cli, note, out);
    if (note->kind == TG_NOTE_RETRY && note->wait_s > 0)
        tg_buf_printf(out, " in %.3g s", note->wait_s);
    if (has_text) {
        tg_buf_str(out, ": ");
        cli_clean(out, note->text, 2000);
    }
    if (note->kind == TG_NOTE_LOST && note->wait_s <= 0)
        tg_buf_str(out, "; next try at once");
    else if (note->kind == TG_NOTE_LOST)
        tg_buf_printf(out, "; next try in %.3g s", note->wait_s);
    return true;
}

/* The same text, and what is known besides. */
static void note_logged(struct cli *cli, const struct tg_note *note)
{
    bool plain = note->kind == TG_NOTE_WARNING || note->kind == TG_NOTE_INFO;
    struct tg_note whole = *note;
    struct tg_buf text;

    if (cli->quiet && tg_log_note_level(note->kind) > TG_LOG_WARNING)
        return;
    tg_buf_init(&text, 64 << 10);
    tg_buf_str(&text, plain ? "" : tg_log_note_event(note->kind));
    if (plain)
        tg_buf_str(&text, note->text);
    if (plain || put_note(cli, note, &text)) {
        whole.text = tg_buf_cstr(&text);
        tg_log_note(cli->log, &whole);
    }
    tg_buf_done(&text);
}

void cli_note(void *ctx, const struct tg_note *note)
{
    struct cli *cli = ctx;
    bool log = cli->verbose || (!cli->quiet && !term_is_tty(fileno(stderr)));
    bool always = note->kind == TG_NOTE_WARNING || (note->kind == TG_NOTE_LOST && !cli->quiet);
    struct tg_buf text;
    char stamp[21];

    if (cli_logs(cli)) {
        note_logged(cli, note);
        return;
    }
    if ((!always && !log) || (cli->log && !tg_log_wants(cli->log, tg_log_note_level(note->kind))))
        return;
    if (cli->notes_json) {
        note_json(note);
        return;
    }
    tg_buf_init(&text, 64 << 10);
    if (put_note(cli, note, &text)) {
        if (cli->progress)
            progress_clear(cli->progress);
        term_now(stamp);
        if (log)
            fprintf(stderr, "%s %s", stamp, tg_log_note_event(note->kind));
        else
            fprintf(stderr, "tgdata %s: %s", cli->command->name, tg_log_note_event(note->kind));
        fprintf(stderr, "%s\n", tg_buf_cstr(&text));
    }
    tg_buf_done(&text);
}

tg_code cli_flush(struct tg_error *err)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return TG_OK;
    return tg_fail(err, errno == ENOSPC ? TG_FULL : TG_IO, "could not write to standard output: %s",
                   strerror(errno));
}

tg_code cli_print(struct tg_buf *text, struct tg_error *err)
{
    tg_buf_byte(text, '\n');
    if (text->failed)
        return tg_fail(err, TG_NOMEM, "no memory for the output");
    fwrite(text->data, 1, text->len, stdout);
    return cli_flush(err);
}

tg_code cli_print_summary(const struct cli *cli, struct tg_buf *text, bool json,
                          struct tg_error *err)
{
    bool aside = false;
    const char *to;

    for (size_t i = 0; (to = tg_config_item(cli->config, "to", i)); i++)
        aside |= strncmp(to, "stdout:", 7) == 0;
    if (!aside)
        return cli_print(text, err);
    if (cli_logs(cli) && !json) {
        tg_log_write(cli->log, &(struct tg_log_record){ .level = TG_LOG_INFO,
                                                        .event = "summary",
                                                        .message = tg_buf_cstr(text) });
        return TG_OK;
    }
    tg_buf_byte(text, '\n'); /* the rows have standard output for themselves */
    fwrite(text->data, 1, text->len, stderr);
    return TG_OK;
}

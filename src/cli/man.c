/* SPDX-License-Identifier: MIT */
/*
 * man.c - tgdata man: manual pages, written from the tables that the program works with
 *
 *   tgdata.1             the commands, the options that all take, exit codes, environment
 *   tgdata-COMMAND.1     one for each
 *   tgdata-config.5      what a configuration file holds
 *   tgdata-drivers.7     destinations, stores, queues and stages, with the options in their URLs
 *
 * Plain man macros, for groff and mandoc alike. A page carries the day of SOURCE_DATE_EPOCH if that
 * is set, so that builds can be reproduced.
 */
#include <assert.h>
#include <ctype.h>
#include <stdlib.h>
#include <time.h>

#include "base/json_read.h"
#include "base/text.h"
#include "cli/cli.h"

enum { PAGE_MAX = 4 << 20, WIDTH = 76, TITLE_MAX = 64, KEYS_DEEP = 8 };

static const char config_page[] = "tgdata-config.5", drivers_page[] = "tgdata-drivers.7";

/* ---- text ---- */

/* Appends one byte of text so that it is shown as it is. */
static void put_char(struct tg_buf *out, char c)
{
    static const struct {
        char c;
        const char *roff;
    } special[] = {
        { '\\', "\\e" },  { '-', "\\-" },   { '\'', "\\(aq" }, { '`', "\\(ga" },
        { '^', "\\(ha" }, { '~', "\\(ti" }, { '"', "\\(dq" }, { '|', "|\\:" },
    };

    for (size_t i = 0; i < TG_COUNT(special); i++) {
        if (special[i].c == c) {
            tg_buf_str(out, special[i].roff);
            return;
        }
    }
    tg_buf_byte(out, (uint8_t)c);
}

static void put_bytes(struct tg_buf *out, const char *text, size_t n)
{
    if (n && (*text == '.' || *text == '\''))
        tg_buf_str(out, "\\&");
    for (size_t i = 0; i < n; i++)
        put_char(out, text[i]);
}

static void put_word(struct tg_buf *out, const char *text)
{
    put_bytes(out, text, strlen(text));
}

/* Whether a sentence ends with the word before `at`: the next one begins with a capital. */
static bool sentence_ends(const char *text, const char *at)
{
    return at > text && at[-1] == '.' && isupper((unsigned char)at[strspn(at, " ")]);
}

/* A paragraph, a line for each sentence, long ones in several. */
static void put_text(struct tg_buf *out, const char *text)
{
    const char *at = text;
    size_t column = 0;

    for (; *at; at += strspn(at, " ")) {
        size_t n = strcspn(at, " ");

        if (column && (column + 1 + n > WIDTH || sentence_ends(text, at))) {
            tg_buf_byte(out, '\n');
            column = 0;
        } else if (column) {
            tg_buf_byte(out, ' ');
            column++;
        }
        put_bytes(out, at, n);
        column += n;
        at += n;
    }
    tg_buf_byte(out, '\n');
}

static void put_head(struct tg_buf *out, const char *title, int section)
{
    const char *epoch = getenv("SOURCE_DATE_EPOCH");
    int64_t now;
    char day[21];

    if (!epoch || !tg_i64_parse(epoch, &now))
        now = (int64_t)time(NULL);
    if (!tg_time_utc(day, now))
        day[0] = 0;
    tg_buf_str(out, ".TH ");
    for (; *title; title++)
        put_char(out, (char)toupper((unsigned char)*title));
    tg_buf_printf(out, " %d %.10s \"tgdata %s\" \"tgdata manual\"\n.nh\n.ad l\n", section, day,
                  tg_version());
}

static void put_name(struct tg_buf *out, const char *name, const char *help)
{
    tg_buf_str(out, ".SH NAME\n");
    put_word(out, name);
    tg_buf_str(out, " \\- ");
    put_word(out, help);
    tg_buf_byte(out, '\n');
}

static void put_item(struct tg_buf *out, const char *name, const char *text)
{
    tg_buf_str(out, ".TP\n\\fB");
    put_word(out, name);
    tg_buf_str(out, "\\fR\n");
    put_text(out, text);
}

/* ---- options ---- */

/* How the name of an option is written. */
enum dress { DRESS_OPTION, DRESS_URL, DRESS_KEY };

static void put_option(struct tg_buf *out, const struct tg_option_info *o, enum dress dress)
{
    struct tg_buf text;

    tg_buf_init(&text, 4096);
    tg_buf_str(out, ".TP\n\\fB");
    if (dress == DRESS_OPTION)
        tg_buf_str(out, "\\-\\-");
    for (const char *c = o->name; *c; c++)
        put_char(out, dress == DRESS_KEY && *c == '-' ? '_' : *c);
    tg_buf_str(out, "\\fR");
    if (o->value) {
        tg_buf_str(out, dress == DRESS_OPTION ? " \\fI" : dress == DRESS_URL ? "=\\fI" : ": \\fI");
        put_word(out, o->value);
        tg_buf_str(out, "\\fR");
    }
    tg_buf_byte(out, '\n');
    tg_buf_str(&text, *o->help ? o->help : "a setting");
    if (o->repeats)
        tg_buf_str(&text, dress == DRESS_KEY ? " (or a list)" : " (may be given again)");
    if (o->choices && o->value != o->choices)
        tg_buf_printf(&text, " (%s)", o->choices);
    if (o->fallback)
        tg_buf_printf(&text, " (default: %s)", o->fallback);
    if (o->env)
        tg_buf_printf(&text, " [$%s]", o->env);
    put_text(out, tg_buf_cstr(&text));
    tg_buf_done(&text);
}

static void put_rows(struct tg_buf *out, const struct tg_option *row)
{
    struct tg_option_info o;

    for (; row->name; row++) {
        tg_option_describe(row, &o);
        put_option(out, &o, DRESS_OPTION);
    }
}

static void put_scopes(struct tg_buf *out, unsigned scopes, enum dress dress)
{
    struct tg_option_info o;

    for (const struct cli_scope_part *part = cli_scope_parts; part->title; part++) {
        if (!(scopes & 1u << part->scope))
            continue;
        tg_buf_printf(out, ".SS %s\n", part->title);
        for (size_t i = 0; tg_setting_describe(part->scope, i, &o); i++)
            put_option(out, &o, dress);
    }
}

static void put_exit_codes(struct tg_buf *out)
{
    char number[16];

    tg_buf_str(out, ".SH EXIT STATUS\n");
    for (const struct cli_exit_code *row = cli_exit_codes; row->meaning; row++) {
        snprintf(number, sizeof number, "%d", row->code);
        put_item(out, number, row->meaning);
    }
}

/* Those of all scopes whose variable is set in place of the option. */
static void put_environment(struct tg_buf *out, unsigned scopes)
{
    struct tg_option_info o;
    bool any = false;

    for (int scope = 0; scope < TG_SCOPE_COUNT; scope++) {
        for (size_t i = 0; scopes & 1u << scope &&
                           tg_setting_describe((enum tg_scope)scope, i, &o); i++) {
            if (!o.env)
                continue;
            tg_buf_str(out, any ? "" : ".SH ENVIRONMENT\n");
            put_item(out, o.env, o.help);
            any = true;
        }
    }
}

static void put_page_name(struct tg_buf *out, const char *name, int section, bool last)
{
    tg_buf_str(out, ".BR ");
    put_word(out, name);
    tg_buf_printf(out, " (%d)%s\n", section, last ? "" : ",");
}

/* ---- the page of a command ---- */

/* Examples stand in the table as whole lines, indented by two. */
static void put_examples(struct tg_buf *out, const char *text)
{
    tg_buf_str(out, ".SH EXAMPLES\n.EX\n");
    while (*text) {
        size_t n = strcspn(text, "\n"), indent = TG_MIN(strspn(text, " "), (size_t)2);

        put_bytes(out, text + indent, n - indent);
        tg_buf_byte(out, '\n');
        text += n + (text[n] == '\n');
    }
    tg_buf_str(out, ".EE\n");
}

static void command_page(struct tg_buf *out, const struct cli_command *c)
{
    struct tg_option rows[CLI_ROWS_MAX + 1];
    char title[TITLE_MAX];

    snprintf(title, sizeof title, "tgdata-%s", c->name);
    put_head(out, title, 1);
    put_name(out, title, c->help);
    tg_buf_str(out, ".SH SYNOPSIS\n\\fBtgdata ");
    put_word(out, c->name);
    tg_buf_str(out, "\\fR ");
    put_word(out, c->usage);
    tg_buf_str(out, "\n.SH DESCRIPTION\n");
    put_text(out, c->about);
    tg_buf_str(out, ".SH OPTIONS\n");
    cli_command_rows(c, rows);
    put_rows(out, rows);
    put_scopes(out, c->scopes, DRESS_OPTION);
    put_exit_codes(out);
    put_environment(out, c->scopes);
    put_examples(out, c->examples);
    tg_buf_str(out, ".SH SEE ALSO\n");
    put_page_name(out, "tgdata", 1, false);
    put_page_name(out, "tgdata-config", 5, false);
    put_page_name(out, "tgdata-drivers", 7, true);
}

/* ---- the page of the program ---- */

static void program_page(struct tg_buf *out)
{
    char name[TITLE_MAX];

    put_head(out, "tgdata", 1);
    put_name(out, "tgdata", "extracts Telegram messages: histories, streams, changes; resumably");
    tg_buf_str(out, ".SH SYNOPSIS\n\\fBtgdata\\fR \\fICOMMAND\\fR [\\fIARGUMENTS\\fR] "
                    "[\\fIOPTIONS\\fR]\n.SH DESCRIPTION\n");
    put_text(out, "Extracts the whole history of Telegram chats and what changes in them, and "
                  "delivers it without loss: every message once, in order, with a proof that "
                  "nothing is missing. A run that was stopped goes on behind its last commit when "
                  "the same command is given again.");
    tg_buf_str(out, ".PP\n");
    put_text(out, "An option is written as --name VALUE or --name=VALUE, a flag as --name or "
                  "--name=no; words behind -- are arguments. Settings can stand in a file as well: "
                  "see tgdata-config(5).");
    tg_buf_str(out, ".SH COMMANDS\n");
    for (size_t i = 0; cli_commands[i]; i++)
        put_item(out, cli_commands[i]->name, cli_commands[i]->help);
    tg_buf_str(out, ".SH OPTIONS\nEvery command takes these:\n");
    put_rows(out, cli_common_options);
    put_exit_codes(out);
    put_environment(out, ~0u);
    tg_buf_str(out, ".SH SEE ALSO\n");
    for (size_t i = 0; cli_commands[i]; i++) {
        snprintf(name, sizeof name, "tgdata-%s", cli_commands[i]->name);
        put_page_name(out, name, 1, false);
    }
    put_page_name(out, "tgdata-config", 5, false);
    put_page_name(out, "tgdata-drivers", 7, true);
}

/* ---- configuration files ---- */

/*
 * The keys that are no settings are read from the schema of such files, as `tgdata config schema`
 * prints it: what has a description stands under KEYS, with what is below it; settings ($ref) and
 * the sections, which have none, have parts of their own.
 */

/* What the schema tells of one key. */
struct key_about {
    struct tg_buf text; /* its description, and the words that it takes */
    bool setting;
};

/* Appends "(a|b)" of the first of several forms that is a choice of words. */
static void read_choices(struct tg_json_in *in, struct tg_buf *text)
{
    struct tg_str key;
    bool any = false;

    for (tg_json_enter(in, '['); tg_json_next_item(in);) {
        for (tg_json_enter(in, '{'); tg_json_next_key(in, &key);) {
            if (!tg_str_eq(key, TG_STR("enum"))) {
                tg_json_skip(in);
                continue;
            }
            for (tg_json_enter(in, '['); tg_json_next_item(in); any = true) {
                tg_buf_str(text, any ? "|" : text->len ? " (" : "(");
                tg_json_take_str(in, text);
            }
        }
    }
    tg_buf_str(text, any ? ")" : "");
}

/* @param in  a copy of where the key's value begins */
static void read_about(struct tg_json_in in, struct key_about *about)
{
    struct tg_str key;

    about->setting = false;
    tg_buf_clear(&about->text);
    for (tg_json_enter(&in, '{'); tg_json_next_key(&in, &key);) {
        about->setting = about->setting || tg_str_eq(key, TG_STR("$ref"));
        if (tg_str_eq(key, TG_STR("description")))
            tg_json_take_str(&in, &about->text);
        else if (tg_str_eq(key, TG_STR("anyOf")))
            read_choices(&in, &about->text);
        else
            tg_json_skip(&in);
    }
}

static void put_keys(struct tg_buf *out, struct tg_json_in *in, int depth);

/* The keys below one: its own, those of its items, or those of what it names. */
static void put_below(struct tg_buf *out, struct tg_json_in *in, int depth)
{
    struct tg_str key;

    for (tg_json_enter(in, '{'); tg_json_next_key(in, &key);) {
        bool many = tg_str_eq(key, TG_STR("items")) ||
                    tg_str_eq(key, TG_STR("additionalProperties"));

        if (tg_str_eq(key, TG_STR("properties")))
            put_keys(out, in, depth);
        else if (many && in->at < in->end && *in->at == '{')
            put_below(out, in, depth);
        else
            tg_json_skip(in);
    }
}

static void put_keys(struct tg_buf *out, struct tg_json_in *in, int depth)
{
    struct key_about about;
    struct tg_buf below;
    struct tg_str key;
    char name[TITLE_MAX];

    tg_buf_init(&about.text, 4096);
    tg_buf_init(&below, PAGE_MAX);
    for (tg_json_enter(in, '{'); tg_json_next_key(in, &key);) {
        read_about(*in, &about);
        tg_buf_clear(&below);
        if (about.setting || depth >= KEYS_DEEP || !about.text.len)
            tg_json_skip(in);
        else
            put_below(&below, in, depth + 1);
        if (about.setting)
            continue;
        snprintf(name, sizeof name, "%.*s", (int)key.len, key.at);
        put_item(out, name, about.text.len ? tg_buf_cstr(&about.text) : "see SECTIONS");
        if (below.len) {
            tg_buf_str(out, ".RS\n");
            tg_buf_add(out, below.data, below.len);
            tg_buf_str(out, ".RE\n");
        }
    }
    tg_buf_done(&below);
    tg_buf_done(&about.text);
}

static void put_schema(struct tg_buf *out)
{
    size_t n = tg_config_schema(NULL, 0);
    char *text = malloc(n + 1);
    struct tg_json_in in;
    struct tg_str key;

    if (!text)
        return;
    tg_config_schema(text, n + 1);
    tg_json_in_init(&in, text, n);
    for (tg_json_enter(&in, '{'); tg_json_next_key(&in, &key);)
        if (tg_str_eq(key, TG_STR("properties")))
            put_keys(out, &in, 0);
        else
            tg_json_skip(&in);
    assert(tg_json_in_done(&in));
    free(text);
}

static void put_sections(struct tg_buf *out)
{
    struct tg_file_key_info key;
    char text[512];

    tg_buf_str(out, ".SH SECTIONS\n");
    for (size_t i = 0; tg_file_key_describe(i, &key); i++) {
        snprintf(text, sizeof text, "%s%s%s%s", key.setting ? "the setting " : "",
                 key.setting ? key.setting : "", key.setting && key.meaning ? ": " : "",
                 key.meaning ? key.meaning : "");
        for (char *c = text; key.setting && *c && *c != ':'; c++)
            *c = (char)(*c == '-' ? '_' : *c);
        put_item(out, key.path, *text ? text : "not supported by this build");
    }
}

static void file_page(struct tg_buf *out)
{
    put_head(out, "tgdata-config", 5);
    put_name(out, "tgdata-config", "accounts, jobs and settings of tgdata in one YAML file");
    tg_buf_str(out, ".SH DESCRIPTION\n");
    put_text(out, "tgdata run FILE runs the jobs of such a file, tgdata config check FILE tells "
                  "all that is wrong with it. Names may be written with _ or with -. A setting of "
                  "a job counts before that of its account, then defaults, then the sections; a "
                  "list replaces the other list.");
    tg_buf_str(out, ".PP\n");
    put_text(out, "In values ${NAME} is an environment variable, ${NAME:-text} the same with a "
                  "text for when it is empty, ${file:PATH} what a file holds, and $${ the two "
                  "characters. The whole value of a secret setting may be file:PATH.");
    tg_buf_str(out, ".SH KEYS\n");
    put_schema(out);
    put_sections(out);
    tg_buf_str(out, ".SH SETTINGS\nOf accounts those under Account; of jobs and defaults all.\n");
    put_scopes(out, ~(1u << TG_SCOPE_LOGIN), DRESS_KEY);
    tg_buf_str(out, ".SH EXAMPLES\n.EX\naccounts:\n  main: {session: me.session}\njobs:\n"
                    "  \\- name: history\n    chats: all\n    to: ndjson:archive\n.EE\n"
                    ".SH SEE ALSO\n");
    put_page_name(out, "tgdata-run", 1, false);
    put_page_name(out, "tgdata-config", 1, true);
}

/* ---- drivers ---- */

static void put_drivers(struct tg_buf *out, enum tg_driver_kind kind)
{
    struct tg_driver_info driver;
    struct tg_option_info o;
    char name[TITLE_MAX];

    for (size_t i = 0; tg_driver_describe(kind, i, &driver); i++) {
        snprintf(name, sizeof name, kind == TG_DRIVER_STAGE ? "%s" : "%s:", driver.name);
        put_item(out, name, driver.help);
        if (!tg_driver_option_describe(kind, i, 0, &o))
            continue;
        tg_buf_str(out, ".RS\n");
        for (size_t j = 0; tg_driver_option_describe(kind, i, j, &o); j++)
            put_option(out, &o, DRESS_URL);
        tg_buf_str(out, ".RE\n");
    }
}

static void driver_page(struct tg_buf *out)
{
    static const struct {
        const char *title, *about;
    } part[TG_DRIVER_KINDS] = {
        [TG_DRIVER_DESTINATION] = { "DESTINATIONS", "What --to takes." },
        [TG_DRIVER_STATE] = { "STATE", "What --state takes: checkpoints, leases, dead letters." },
        [TG_DRIVER_QUEUE] = { "QUEUES", "What --queue takes: tasks for workers." },
        [TG_DRIVER_STAGE] = { "STAGES", "What --stage takes: done to rows on their way, in the "
                                        "order in which they are given." },
    };

    put_head(out, "tgdata-drivers", 7);
    put_name(out, "tgdata-drivers", "where tgdata writes, keeps its state, takes its tasks from");
    tg_buf_str(out, ".SH DESCRIPTION\n");
    put_text(out, "A driver is named by a URL, NAME:TARGET?option=value&option=value, a stage as "
                  "NAME?option=value. In values & and % are written as %26 and %25.");
    for (int kind = 0; kind < TG_DRIVER_KINDS; kind++) {
        tg_buf_printf(out, ".SH %s\n", part[kind].title);
        put_text(out, part[kind].about);
        put_drivers(out, (enum tg_driver_kind)kind);
    }
    tg_buf_str(out, ".SH SEE ALSO\n");
    put_page_name(out, "tgdata", 1, false);
    put_page_name(out, "tgdata-extract", 1, true);
}

/* ---- the command ---- */

void cli_man_list(struct tg_buf *out, char between)
{
    tg_buf_str(out, "tgdata.1");
    for (size_t i = 0; cli_commands[i]; i++)
        tg_buf_printf(out, "%ctgdata-%s.1", between, cli_commands[i]->name);
    tg_buf_printf(out, "%c%s%c%s", between, config_page, between, drivers_page);
}

/* "tgdata-extract.1", "tgdata-extract" and "extract" are the page of that command. */
static const struct cli_command *command_of(const char *page)
{
    char name[TITLE_MAX];
    size_t n;

    snprintf(name, sizeof name, "%s", strncmp(page, "tgdata-", 7) == 0 ? page + 7 : page);
    n = strlen(name);
    if (n > 2 && strcmp(name + n - 2, ".1") == 0)
        name[n - 2] = 0;
    return cli_find(name);
}

static tg_code run(struct cli *cli, struct tg_error *err)
{
    const char *page = cli->n_args ? cli->arg[0] : NULL;
    const struct cli_command *command = page ? command_of(page) : NULL;
    struct tg_buf out;
    tg_code code;

    tg_buf_init(&out, PAGE_MAX);
    if (!page)
        cli_man_list(&out, '\n');
    else if (strcmp(page, config_page) == 0)
        file_page(&out);
    else if (strcmp(page, drivers_page) == 0 || strcmp(page, "tgdata-drivers") == 0)
        driver_page(&out);
    else if (strcmp(page, "tgdata.1") == 0 || strcmp(page, "tgdata") == 0)
        program_page(&out);
    else if (command)
        command_page(&out, command);
    if (!out.len && !out.failed) {
        tg_fail(err, TG_NOT_FOUND, "there is no page '%.64s'", page);
        code = tg_hint(err, "tgdata man lists them all");
    } else {
        if (out.len && out.data[out.len - 1] == '\n')
            out.len--; /* the line end comes back */
        code = cli_print(&out, err);
    }
    tg_buf_done(&out);
    return code;
}

const struct cli_command cmd_man = {
    .name = "man",
    .help = "manual pages, for those that are not installed",
    .usage = "[PAGE]",
    .about = "Lists the manual pages, or prints one of them as man reads it. `cmake --install` "
             "puts them where man finds them; so does this for a program that was copied: for p in "
             "$(tgdata man); do tgdata man $p >~/.local/share/man/man${p##*.}/$p; done",
    .examples = "  tgdata man tgdata-extract.1 | man -l -\n"
                "  tgdata man tgdata-config.5 >tgdata-config.5\n",
    .args_max = 1,
    .run = run,
};

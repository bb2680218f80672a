/* SPDX-License-Identifier: MIT */
/*
 * completion.c - tgdata completion: what a shell needs to complete commands, options and values
 *
 * Written from the tables of commands, settings and drivers. Settings of a scope stand once and are
 * named by each command that takes them. What a value can be is read from the row of its option:
 *
 *   a choice         its words
 *   to, state, ...   the names of the drivers, then files
 *   FILE, DIR        files
 *   anything else    nothing is offered
 */
#include <ctype.h>

#include "cli/cli.h"

enum { SCRIPT_MAX = 4 << 20, WORDS_MAX = 8192 };

/* What the value of an option can be. */
enum values { VALUES_FLAG, VALUES_ANY, VALUES_FILES, VALUES_WORDS, VALUES_DRIVERS };

static const struct {
    const char *option;
    enum tg_driver_kind kind;
    const char *end; /* of what is written of a driver */
} by_driver[] = {
    { "to", TG_DRIVER_DESTINATION, ":" },
    { "state", TG_DRIVER_STATE, ":" },
    { "queue", TG_DRIVER_QUEUE, ":" },
    { "stage", TG_DRIVER_STAGE, "" },
};

/* @param words  gets them, separated by spaces */
static enum values values_of(const struct tg_option_info *o, struct tg_buf *words)
{
    struct tg_driver_info driver;

    tg_buf_clear(words);
    if (!o->value)
        return VALUES_FLAG;
    for (size_t i = 0; i < TG_COUNT(by_driver); i++) {
        if (strcmp(by_driver[i].option, o->name) != 0)
            continue;
        for (size_t k = 0; tg_driver_describe(by_driver[i].kind, k, &driver); k++)
            tg_buf_printf(words, "%s%s%s", k ? " " : "", driver.name, by_driver[i].end);
        return VALUES_DRIVERS;
    }
    if (o->choices) {
        tg_buf_str(words, o->choices);
        for (size_t i = 0; i < words->len; i++)
            words->data[i] = words->data[i] == '|' ? ' ' : words->data[i];
        return VALUES_WORDS;
    }
    return strstr(o->value, "FILE") || strstr(o->value, "DIR") ? VALUES_FILES : VALUES_ANY;
}

/* The length of one of the alternatives of a usage; those between brackets are of their option. */
static size_t alternative(const char *text)
{
    size_t n = 0;

    for (int depth = 0; text[n] && (text[n] != '|' || depth); n++)
        depth += (text[n] == '[') - (text[n] == ']');
    return n;
}

/* Whether one of the words is that one. */
static bool has_word(const char *words, const char *word, size_t len)
{
    for (size_t n; *words; words += n + (words[n] == ' '))
        if ((n = strcspn(words, " ")) == len && memcmp(words, word, len) == 0)
            return true;
    return false;
}

/* The words that a command's usage begins with: "list|show KEY" can list and show. */
static void put_verbs(struct tg_buf *out, const struct cli_command *c)
{
    const char *at = c->usage;
    size_t start = out->len, n;

    if (!at[alternative(at)])
        return;
    for (; *at; at += n + (at[n] == '|')) {
        size_t len;

        at += strspn(at, " ");
        n = alternative(at);
        len = strcspn(at, " |[");
        if (!islower((unsigned char)*at))
            return;
        if (!has_word(tg_buf_cstr(out) + start, at, len))
            tg_buf_printf(out, "%s%.*s", out->len > start ? " " : "", (int)len, at);
    }
}

/* What stands behind a command: its verbs, commands, pages; nothing: files. */
static void put_arguments(struct tg_buf *out, const struct cli_command *c)
{
    if (c == &cmd_help) {
        for (size_t i = 0; cli_commands[i]; i++)
            tg_buf_printf(out, "%s%s", i ? " " : "", cli_commands[i]->name);
    } else if (c == &cmd_man) {
        cli_man_list(out, ' ');
    } else {
        put_verbs(out, c);
    }
}

/* The text in single quotes of a shell; a quote ends them, stands alone, and begins them again. */
static void put_quoted(struct tg_buf *out, const char *text)
{
    for (; *text; text++)
        if (*text == '\'')
            tg_buf_str(out, "'\\''");
        else
            tg_buf_byte(out, (uint8_t)*text);
}

static const char *scope_name(const struct cli_scope_part *part, char out[32])
{
    snprintf(out, 32, "%s", part->title);
    for (char *c = out; *c; c++)
        *c = (char)tolower((unsigned char)*c);
    return out;
}

typedef void (*row_fn)(struct tg_buf *out, const char *who, const struct tg_option_info *o);

static void each_own(struct tg_buf *out, const struct cli_command *c, row_fn put)
{
    struct tg_option rows[CLI_ROWS_MAX + 1];
    struct tg_option_info o;

    cli_command_rows(c, rows);
    for (const struct tg_option *row = rows; row->name; row++) {
        tg_option_describe(row, &o);
        put(out, c->name, &o);
    }
}

static void each_setting(struct tg_buf *out, enum tg_scope scope, const char *who, row_fn put)
{
    struct tg_option_info o;

    for (size_t i = 0; tg_setting_describe(scope, i, &o); i++)
        put(out, who, &o);
}

/* ---- bash ---- */

static const char bash_head[] =
    "# bash completion of tgdata, written by `tgdata completion bash`\n"
    "_tgdata() {\n"
    "    local cur=${COMP_WORDS[COMP_CWORD]} option=${COMP_WORDS[COMP_CWORD-1]}\n"
    "    local command=${COMP_WORDS[1]} options= words=\n"
    "    COMPREPLY=()\n";

static const char bash_tail[] =
    "    # bash splits words at '=' and ':'\n"
    "    if [[ $cur == : || $option == : ]]; then\n"
    "        [[ $cur == : ]] && cur=\n"
    "        compopt -o filenames\n"
    "        mapfile -t COMPREPLY < <(compgen -f -- \"$cur\")\n"
    "        return\n"
    "    fi\n"
    "    if [[ $cur == = ]]; then\n"
    "        cur=\n"
    "    elif [[ $option == = ]]; then\n"
    "        option=${COMP_WORDS[COMP_CWORD-2]}\n"
    "    fi\n"
    "    if [[ \" $options \" == *\" $option \"* ]]; then\n"
    "        _tgdata_value \"$command\" \"$option\" && return\n"
    "    fi\n"
    "    if [[ $cur == -* ]]; then\n"
    "        mapfile -t COMPREPLY < <(compgen -W \"$options\" -- \"$cur\")\n"
    "    elif [[ $COMP_CWORD == 2 && $words ]]; then\n"
    "        mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$cur\")\n"
    "    else\n"
    "        compopt -o filenames\n"
    "        mapfile -t COMPREPLY < <(compgen -f -- \"$cur\")\n"
    "    fi\n"
    "}\n\n"
    "complete -F _tgdata tgdata\n";

static void bash_name(struct tg_buf *out, const char *who, const struct tg_option_info *o)
{
    (void)who;
    tg_buf_printf(out, "--%s ", o->name);
}

/* What _tgdata_value does for one option: status 1 says that it takes no value. */
static void bash_value(struct tg_buf *out, const char *who, const struct tg_option_info *o)
{
    struct tg_buf words;
    enum values values;

    tg_buf_init(&words, WORDS_MAX);
    values = values_of(o, &words);
    tg_buf_printf(out, "    %s:--%s) ", who, o->name);
    if (values == VALUES_FLAG)
        tg_buf_str(out, "return 1 ;;\n");
    else if (values == VALUES_ANY)
        tg_buf_str(out, ";;\n");
    else if (values == VALUES_FILES)
        tg_buf_str(out, "compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- \"$cur\") "
                        ";;\n");
    else
        tg_buf_printf(out, "%smapfile -t COMPREPLY < <(compgen -W \"%s\" -- \"$cur\") ;;\n",
                      values == VALUES_DRIVERS ? "compopt -o nospace; " : "", tg_buf_cstr(&words));
    tg_buf_done(&words);
}

static void put_bash(struct tg_buf *out)
{
    char name[32];

    tg_buf_str(out, bash_head);
    for (const struct cli_scope_part *part = cli_scope_parts; part->title; part++) {
        tg_buf_printf(out, "    local s_%s=\"", scope_name(part, name));
        each_setting(out, part->scope, "", bash_name);
        tg_buf_str(out, "\"\n");
    }
    tg_buf_str(out, "    if [[ $COMP_CWORD == 1 ]]; then\n        words=\"--help --version");
    for (size_t i = 0; cli_commands[i]; i++)
        tg_buf_printf(out, " %s", cli_commands[i]->name);
    tg_buf_str(out, "\"\n        mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$cur\")\n"
                    "        return\n    fi\n    case $command in\n");
    for (size_t i = 0; cli_commands[i]; i++) {
        tg_buf_printf(out, "    %s)\n        words=\"", cli_commands[i]->name);
        put_arguments(out, cli_commands[i]);
        tg_buf_str(out, "\"\n        options=\"");
        each_own(out, cli_commands[i], bash_name);
        for (const struct cli_scope_part *part = cli_scope_parts; part->title; part++)
            if (cli_commands[i]->scopes & 1u << part->scope)
                tg_buf_printf(out, "$s_%s", scope_name(part, name));
        tg_buf_str(out, "\"\n        ;;\n");
    }
    tg_buf_str(out, "    *) return ;;\n    esac\n");
    tg_buf_str(out, bash_tail);
    tg_buf_str(out, "\n# Completes the value of an option; status 1: it takes none.\n"
                    "_tgdata_value() {\n    case $1:$2 in\n");
    for (size_t i = 0; cli_commands[i]; i++)
        each_own(out, cli_commands[i], bash_value);
    for (const struct cli_scope_part *part = cli_scope_parts; part->title; part++)
        each_setting(out, part->scope, "*", bash_value);
    tg_buf_str(out, "    *) return 1 ;;\n    esac\n}");
}

/* ---- zsh ---- */

/* The text of a description between brackets, in single quotes. */
static void zsh_help(struct tg_buf *out, const char *text)
{
    for (; *text; text++) {
        char one[2] = { *text, 0 };

        if (strchr("[]\\", *text))
            tg_buf_byte(out, '\\');
        put_quoted(out, one);
    }
}

static void zsh_spec(struct tg_buf *out, const char *who, const struct tg_option_info *o)
{
    struct tg_buf words;
    enum values values;

    (void)who;
    tg_buf_init(&words, WORDS_MAX);
    values = values_of(o, &words);
    tg_buf_printf(out, "        '%s--%s%s[", o->repeats ? "*" : "", o->name,
                  values == VALUES_FLAG ? "" : "=");
    zsh_help(out, o->help);
    tg_buf_byte(out, ']');
    if (values != VALUES_FLAG)
        tg_buf_str(out, ":value:");
    if (values == VALUES_FILES)
        tg_buf_str(out, "_files");
    else if (values == VALUES_DRIVERS)
        tg_buf_printf(out, "_tgdata_%s", o->name);
    else if (values == VALUES_WORDS)
        tg_buf_printf(out, "(%s)", tg_buf_cstr(&words));
    else if (values == VALUES_ANY)
        tg_buf_byte(out, ' ');
    tg_buf_str(out, "'\n");
    tg_buf_done(&words);
}

static void zsh_drivers(struct tg_buf *out)
{
    struct tg_driver_info driver;

    for (size_t i = 0; i < TG_COUNT(by_driver); i++) {
        tg_buf_printf(out, "_tgdata_%s() {\n    if compset -P '*:'; then\n        _files\n"
                           "    else\n        compadd -S '' --", by_driver[i].option);
        for (size_t k = 0; tg_driver_describe(by_driver[i].kind, k, &driver); k++)
            tg_buf_printf(out, " %s%s", driver.name, by_driver[i].end);
        tg_buf_str(out, "\n    fi\n}\n\n");
    }
}

static void zsh_command(struct tg_buf *out, const struct cli_command *c)
{
    struct tg_buf words;
    char name[32];

    tg_buf_init(&words, WORDS_MAX);
    put_arguments(&words, c);
    tg_buf_printf(out, "    %s)\n        specs=(\n", c->name);
    each_own(out, c, zsh_spec);
    tg_buf_str(out, "        ");
    for (const struct cli_scope_part *part = cli_scope_parts; part->title; part++)
        if (c->scopes & 1u << part->scope)
            tg_buf_printf(out, "$s_%s ", scope_name(part, name));
    tg_buf_str(out, ")\n");
    if (words.len)
        tg_buf_printf(out, "        specs+=('1:what:(%s)')\n", tg_buf_cstr(&words));
    tg_buf_str(out, "        ;;\n");
    tg_buf_done(&words);
}

static void put_zsh(struct tg_buf *out)
{
    char name[32];

    tg_buf_str(out, "#compdef tgdata\n# zsh completion of tgdata, written by `tgdata completion "
                    "zsh`\n\n");
    zsh_drivers(out);
    tg_buf_str(out, "_tgdata() {\n    local -a specs commands\n");
    for (const struct cli_scope_part *part = cli_scope_parts; part->title; part++) {
        tg_buf_printf(out, "    local -a s_%s=(\n", scope_name(part, name));
        each_setting(out, part->scope, "", zsh_spec);
        tg_buf_str(out, "    )\n");
    }
    tg_buf_str(out, "    commands=(\n");
    for (size_t i = 0; cli_commands[i]; i++) {
        tg_buf_printf(out, "        '%s:", cli_commands[i]->name);
        put_quoted(out, cli_commands[i]->help);
        tg_buf_str(out, "'\n");
    }
    tg_buf_str(out, "    )\n    if (( CURRENT == 2 )); then\n        _describe command commands\n"
                    "        return\n    fi\n    shift words\n    (( CURRENT-- ))\n"
                    "    case $words[1] in\n");
    for (size_t i = 0; cli_commands[i]; i++)
        zsh_command(out, cli_commands[i]);
    tg_buf_str(out, "    esac\n    _arguments -S $specs '*:argument:_files'\n}\n\n"
                    "if [[ $zsh_eval_context[-1] == loadautofunc ]]; then\n    _tgdata \"$@\"\n"
                    "else\n    compdef _tgdata tgdata\nfi");
}

/* ---- fish ---- */

/* @param who  the names of the commands that take it */
static void fish_row(struct tg_buf *out, const char *who, const struct tg_option_info *o)
{
    struct tg_buf words;
    enum values values;

    tg_buf_init(&words, WORDS_MAX);
    values = values_of(o, &words);
    tg_buf_printf(out, "complete -c tgdata -n '__tgdata_is %s' -l %s", who, o->name);
    if (values == VALUES_FILES)
        tg_buf_str(out, " -r -F");
    else if (values == VALUES_WORDS || values == VALUES_DRIVERS)
        tg_buf_printf(out, " -x -a '%s'", tg_buf_cstr(&words));
    else if (values == VALUES_ANY)
        tg_buf_str(out, " -x");
    tg_buf_str(out, " -d '");
    for (const char *c = o->help; *c; c++) {
        if (strchr("'\\", *c))
            tg_buf_byte(out, '\\');
        tg_buf_byte(out, (uint8_t)*c);
    }
    tg_buf_str(out, "'\n");
    tg_buf_done(&words);
}

static void fish_command(struct tg_buf *out, const struct cli_command *c)
{
    struct tg_buf words;

    tg_buf_init(&words, WORDS_MAX);
    put_arguments(&words, c);
    tg_buf_printf(out, "complete -c tgdata -n __tgdata_first -f -a %s -d '", c->name);
    put_quoted(out, c->help);
    tg_buf_str(out, "'\n");
    if (words.len)
        tg_buf_printf(out, "complete -c tgdata -n '__tgdata_second %s' -f -a '%s'\n", c->name,
                      tg_buf_cstr(&words));
    each_own(out, c, fish_row);
    tg_buf_done(&words);
}

static void put_fish(struct tg_buf *out)
{
    struct tg_buf who;

    tg_buf_str(out,
               "# fish completion of tgdata, written by `tgdata completion fish`\n"
               "function __tgdata_is\n    set -l words (commandline -opc)\n"
               "    test (count $words) -gt 1; and contains -- $words[2] $argv\nend\n"
               "function __tgdata_first\n    test (count (commandline -opc)) -eq 1\nend\n"
               "function __tgdata_second\n    test (count (commandline -opc)) -eq 2; "
               "and __tgdata_is $argv\nend\n");
    for (size_t i = 0; cli_commands[i]; i++)
        fish_command(out, cli_commands[i]);
    tg_buf_init(&who, WORDS_MAX);
    for (const struct cli_scope_part *part = cli_scope_parts; part->title; part++) {
        tg_buf_clear(&who);
        for (size_t i = 0; cli_commands[i]; i++)
            if (cli_commands[i]->scopes & 1u << part->scope)
                tg_buf_printf(&who, "%s%s", who.len ? " " : "", cli_commands[i]->name);
        each_setting(out, part->scope, tg_buf_cstr(&who), fish_row);
    }
    out->len -= out->len && out->data[out->len - 1] == '\n'; /* the line end comes back */
    tg_buf_done(&who);
}

/* ---- the command ---- */

static const struct {
    const char *name;
    void (*put)(struct tg_buf *out);
} shell[] = { { "bash", put_bash }, { "zsh", put_zsh }, { "fish", put_fish } };

static tg_code run(struct cli *cli, struct tg_error *err)
{
    struct tg_buf out;
    tg_code code;

    for (size_t i = 0; i < TG_COUNT(shell); i++) {
        if (strcmp(shell[i].name, cli->arg[0]) != 0)
            continue;
        tg_buf_init(&out, SCRIPT_MAX);
        shell[i].put(&out);
        code = cli_print(&out, err);
        tg_buf_done(&out);
        return code;
    }
    tg_fail(err, TG_USAGE, "there is no completion for '%.64s'", cli->arg[0]);
    return tg_hint(err, "there is for bash, zsh and fish");
}

const struct cli_command cmd_completion = {
    .name = "completion",
    .help = "what a shell needs to complete commands, options and values",
    .usage = "bash|zsh|fish",
    .about = "Prints a script that makes the shell complete commands, options, the words that they "
             "take, drivers and files. `cmake --install` puts it where the shells find it.",
    .examples = "  source <(tgdata completion bash)\n"
                "  tgdata completion zsh >~/.zfunc/_tgdata\n"
                "  tgdata completion fish >~/.config/fish/completions/tgdata.fish\n",
    .args_min = 1,
    .args_max = 1,
    .run = run,
};

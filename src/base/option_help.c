/* SPDX-License-Identifier: MIT */
/*
 * option_help.c - the help text of an option table
 *
 *   --batch-size N    messages per batch (default: 1000)
 *   --progress auto|plain|json|none
 *                     how progress is shown (default: auto)
 *
 * The left column is as wide as the longest entry that is not outsize; longer ones stand on a line
 * of their own.
 *
 * Threads: none
 */
#include <stdio.h>

#include "base/option.h"

enum { INDENT = 2, GAP = 2, LEFT_MAX = 30, TEXT_MIN = 24 };

static const char *value_word(const struct tg_option *row)
{
    if (row->value)
        return row->value;
    switch (row->type) {
    case TG_OPT_BOOL:
        return NULL;
    case TG_OPT_CHOICE:
        return row->choices;
    case TG_OPT_I64:
        return "N";
    case TG_OPT_SIZE:
        return "SIZE";
    case TG_OPT_PERCENT:
        return "PERCENT";
    case TG_OPT_MS:
    case TG_OPT_TIME:
        return "TIME";
    default:
        return "TEXT";
    }
}

/* The default, if it is worth telling; else NULL. */
static const char *told_fallback(const struct tg_option *row)
{
    bool off = row->type == TG_OPT_BOOL && row->fallback && strcmp(row->fallback, "no") == 0;

    return row->fallback && *row->fallback && row->type != TG_OPT_SECRET && !off ? row->fallback
                                                                                : NULL;
}

void tg_option_describe(const struct tg_option *row, struct tg_option_info *ret)
{
    *ret = (struct tg_option_info){
        .name = row->name,
        .value = value_word(row),
        .choices = row->type == TG_OPT_CHOICE ? row->choices : NULL,
        .help = row->help ? row->help : "",
        .fallback = told_fallback(row),
        .env = row->env,
        .repeats = row->type == TG_OPT_LIST,
    };
}

/* Appends an option as it is written. @return how many columns that takes */
static size_t put_name(const struct tg_option *row, bool url, struct tg_buf *out)
{
    const char *word = value_word(row);
    size_t start = out->len;

    if (!url)
        tg_buf_str(out, "--");
    tg_buf_str(out, row->name);
    if (word) {
        tg_buf_byte(out, url ? '=' : ' ');
        tg_buf_str(out, word);
    }
    return out->len - start;
}

static void put_spaces(struct tg_buf *out, size_t n)
{
    while (n--)
        tg_buf_byte(out, ' ');
}

/* Appends words from column `left` on, breaking lines before `width`. */
static void put_wrapped(struct tg_buf *out, const char *text, size_t left, size_t width)
{
    size_t column = left;

    while (*text) {
        size_t n = strcspn(text, " ");

        if (column > left && column + 1 + n > width) {
            tg_buf_byte(out, '\n');
            put_spaces(out, left);
            column = left;
        } else if (column > left) {
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

static void put_text(const struct tg_option *row, size_t left, size_t width, struct tg_buf *out)
{
    struct tg_buf text;

    tg_buf_init(&text, 4096);
    tg_buf_str(&text, row->help ? row->help : "");
    if (row->type == TG_OPT_LIST)
        tg_buf_str(&text, " (may be given again)");
    if (row->type == TG_OPT_CHOICE && row->value)
        tg_buf_printf(&text, " (%s)", row->choices);
    if (told_fallback(row))
        tg_buf_printf(&text, " (default: %s)", row->fallback);
    if (row->env)
        tg_buf_printf(&text, " [$%s]", row->env);
    put_wrapped(out, tg_buf_cstr(&text), left, width);
    tg_buf_done(&text);
}

static void put_help(const struct tg_option *table, bool url, struct tg_buf *out, size_t width)
{
    struct tg_buf name;
    size_t widest = 0, left;

    tg_buf_init(&name, 4096);
    for (const struct tg_option *row = table; row && row->name; row++) {
        size_t n = put_name(row, url, &name);

        if (n <= LEFT_MAX)
            widest = TG_MAX(widest, n);
        tg_buf_clear(&name);
    }
    left = INDENT + widest + GAP;
    width = TG_MAX(width, left + TEXT_MIN);
    for (const struct tg_option *row = table; row && row->name; row++) {
        size_t n = put_name(row, url, &name);

        put_spaces(out, INDENT);
        tg_buf_add(out, name.data, name.len);
        if (n > widest) {
            tg_buf_byte(out, '\n');
            n = 0;
            put_spaces(out, INDENT);
        }
        put_spaces(out, left - INDENT - n);
        put_text(row, left, width, out);
        tg_buf_clear(&name);
    }
    tg_buf_done(&name);
}

void tg_options_help(const struct tg_option *table, struct tg_buf *out, size_t width)
{
    put_help(table, false, out, width);
}

void tg_options_help_url(const struct tg_option *table, struct tg_buf *out, size_t width)
{
    put_help(table, true, out, width);
}

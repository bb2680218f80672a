/* SPDX-License-Identifier: MIT */
/*
 * option.c - see option.h
 *
 * Reading one value, suggesting a name, and reading the query of a URL; the help text is in
 * option_help.c. Texts are borrowed: a member points to what the caller gave.
 *
 * Threads: none      Limits: names of 64 bytes are compared for likeness
 */
#include "base/option.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/text.h"

enum { NAME_MAX_LEN = 64 };

static char fold(char c)
{
    return c == '_' ? '-' : c;
}

static bool same_name(const char *a, const char *b)
{
    while (*a && fold(*a) == fold(*b)) {
        a++;
        b++;
    }
    return fold(*a) == fold(*b);
}

const struct tg_option *tg_option_find(const struct tg_option *table, const char *name)
{
    for (; table && table->name; table++)
        if (same_name(table->name, name) || (table->also && same_name(table->also, name)))
            return table;
    return NULL;
}

/* Edit distance with swaps of neighbours: letters put in, left out, changed or swapped. */
static size_t distance(const char *a, const char *b)
{
    size_t row[3][NAME_MAX_LEN + 1], n = strlen(a), m = strlen(b);

    if (n > NAME_MAX_LEN || m > NAME_MAX_LEN)
        return SIZE_MAX;
    for (size_t k = 0; k <= m; k++)
        row[0][k] = k;
    for (size_t i = 1; i <= n; i++) {
        size_t *now = row[i % 3], *before = row[(i - 1) % 3], *two = row[(i + 1) % 3];

        now[0] = i;
        for (size_t k = 1; k <= m; k++) {
            bool differ = fold(a[i - 1]) != fold(b[k - 1]);

            now[k] = TG_MIN(before[k] + 1, now[k - 1] + 1);
            now[k] = TG_MIN(now[k], before[k - 1] + differ);
            if (i > 1 && k > 1 && a[i - 1] == b[k - 2] && a[i - 2] == b[k - 1])
                now[k] = TG_MIN(now[k], two[k - 2] + 1);
        }
    }
    return row[n % 3][m];
}

const char *tg_option_similar(const struct tg_option *table, const char *name)
{
    size_t best = TG_MAX(strlen(name) / 3, (size_t)1) + 1; /* one letter in three may be wrong */
    const char *found = NULL;

    for (; table && table->name; table++) {
        size_t d = distance(name, table->name);

        /* The beginning of a name counts as near: "check" for "checkpoint-interval". */
        if (strlen(name) >= 3 && strncmp(table->name, name, strlen(name)) == 0)
            d = TG_MIN(d, (size_t)1);
        if (d < best) {
            best = d;
            found = table->name;
        }
    }
    return found;
}

static tg_code unknown(const struct tg_option *table, const char *name, struct tg_error *err)
{
    const char *similar = tg_option_similar(table, name);
    size_t at = 0;

    tg_fail(err, TG_USAGE, "unknown option '%.64s'", name);
    if (similar)
        return tg_hint(err, "did you mean '%s'?", similar);
    if (!table || !table->name)
        return tg_hint(err, "there are no options here");
    at = (size_t)snprintf(err->hint, sizeof err->hint, "there are:");
    for (; table->name; table++) {
        size_t need = strlen(table->name) + 2;

        if (at + need + 4 >= sizeof err->hint) {
            snprintf(err->hint + at, sizeof err->hint - at, " ...");
            break;
        }
        at += (size_t)snprintf(err->hint + at, sizeof err->hint - at, " %s%s", table->name,
                               table[1].name ? "," : "");
    }
    return err->code;
}

static const char forever[] = "forever";

/* Writes a number as the user would: "64MiB", "30s". */
static void show(char out[32], const struct tg_option *row, int64_t v)
{
    static const struct {
        enum tg_option_type type;
        int64_t factor;
        const char *unit;
    } unit[] = {
        { TG_OPT_SIZE, INT64_C(1) << 40, "TiB" }, { TG_OPT_SIZE, INT64_C(1) << 30, "GiB" },
        { TG_OPT_SIZE, INT64_C(1) << 20, "MiB" }, { TG_OPT_SIZE, INT64_C(1) << 10, "KiB" },
        { TG_OPT_SIZE, 1, "B" },                  { TG_OPT_MS, 86400000, "d" },
        { TG_OPT_MS, 3600000, "h" },              { TG_OPT_MS, 60000, "m" },
        { TG_OPT_MS, 1000, "s" },                 { TG_OPT_MS, 1, "ms" },
    };

    if (row->type == TG_OPT_TIME && tg_time_utc(out, v))
        return;
    if (row->type == TG_OPT_PERCENT) {
        snprintf(out, 32, "%.7g", (double)v / TG_PERCENT);
        return;
    }
    if (row->type == TG_OPT_MS && v == INT64_MAX) {
        snprintf(out, 32, "%s", forever);
        return;
    }
    for (size_t i = 0; i < TG_COUNT(unit); i++) {
        if (unit[i].type == row->type && v && v % unit[i].factor == 0) {
            snprintf(out, 32, "%lld%s", (long long)(v / unit[i].factor), unit[i].unit);
            return;
        }
    }
    snprintf(out, 32, "%lld", (long long)v);
}

static tg_code check_bounds(const struct tg_option *row, int64_t v, const char *text,
                            struct tg_error *err)
{
    char low[32], high[32];

    if (row->min == 0 && row->max == 0)
        return TG_OK;
    if (v >= row->min && (row->max < row->min || v <= row->max))
        return TG_OK;
    show(low, row, row->min);
    show(high, row, row->max);
    if (row->max < row->min)
        return tg_fail(err, TG_USAGE, "option '%s' must be at least %s, not '%.64s'", row->name,
                       low, text);
    return tg_fail(err, TG_USAGE, "option '%s' must be from %s to %s, not '%.64s'", row->name, low,
                   high, text);
}

static tg_code malformed(const struct tg_option *row, const char *text, const char *takes,
                         struct tg_error *err)
{
    return tg_fail(err, TG_USAGE, "option '%s' takes %s, not '%.64s'", row->name, takes, text);
}

static tg_code set_number(const struct tg_option *row, int64_t *member, const char *text,
                          struct tg_error *err)
{
    static const struct {
        bool (*parse)(const char *text, int64_t *ret);
        const char *takes;
    } how[] = {
        [TG_OPT_I64] = { tg_i64_parse, "a number" },
        [TG_OPT_SIZE] = { tg_size_parse, "a size such as 512KiB, 64MiB or 1GB" },
        [TG_OPT_MS] = { tg_duration_parse, "a time such as 250ms, 30s, 5m, 2h or 1d" },
        [TG_OPT_PERCENT] = { tg_percent_parse, "a percentage such as 5 or 0.25" },
        [TG_OPT_TIME] = { tg_time_parse, "a date such as 2024-01-15 or 2024-01-15T10:30:00Z" },
    };
    int64_t v;
    tg_code code;

    if (row->type == TG_OPT_MS && row->max < row->min && strcmp(text, forever) == 0)
        v = INT64_MAX;
    else if (!how[row->type].parse(text, &v))
        return malformed(row, text, how[row->type].takes, err);
    code = check_bounds(row, v, text, err);
    if (code == TG_OK)
        *member = v;
    return code;
}

static tg_code set_bool(const struct tg_option *row, bool *member, const char *text,
                        struct tg_error *err)
{
    static const char *const word[] = { "no", "yes", "false", "true", "off", "on", "0", "1" };

    for (size_t i = 0; i < TG_COUNT(word); i++) {
        if (!text || strcmp(text, word[i]) == 0) {
            *member = !text || i % 2;
            return TG_OK;
        }
    }
    return malformed(row, text, "yes or no", err);
}

static tg_code set_choice(const struct tg_option *row, int64_t *member, const char *text,
                          struct tg_error *err)
{
    const char *word = row->choices;
    size_t n = strlen(text);

    assert(word);
    for (int64_t i = 0;; i++) {
        size_t len = strcspn(word, "|");

        if (len == n && memcmp(word, text, n) == 0) {
            *member = i;
            return TG_OK;
        }
        if (!word[len])
            break;
        word += len + 1;
    }
    return tg_fail(err, TG_USAGE, "option '%s' is one of %s, not '%.64s'", row->name, row->choices,
                   text);
}

static tg_code add_item(const struct tg_option *row, struct tg_option_list *list, const char *text,
                        struct tg_error *err)
{
    const char **more = realloc(list->item, (list->n + 1) * sizeof *more);

    if (!more)
        return tg_fail(err, TG_NOMEM, "list of option '%s'", row->name);
    list->item = more;
    list->item[list->n++] = text;
    return TG_OK;
}

static tg_code set_row(const struct tg_option *row, void *settings, const char *text,
                       struct tg_error *err)
{
    void *member = (char *)settings + row->offset;

    if (!text && row->type != TG_OPT_BOOL)
        return tg_fail(err, TG_USAGE, "option '%s' needs a value", row->name);
    switch (row->type) {
    case TG_OPT_STR:
    case TG_OPT_SECRET:
        *(const char **)member = text;
        return TG_OK;
    case TG_OPT_BOOL:
        return set_bool(row, member, text, err);
    case TG_OPT_CHOICE:
        return set_choice(row, member, text, err);
    case TG_OPT_LIST:
        return add_item(row, member, text, err);
    default:
        return set_number(row, member, text, err);
    }
}

tg_code tg_option_set(const struct tg_option *table, void *settings, const char *name,
                      const char *text, struct tg_error *err)
{
    const struct tg_option *row = tg_option_find(table, name);

    return row ? set_row(row, settings, text, err) : unknown(table, name, err);
}

static size_t member_size(enum tg_option_type type)
{
    switch (type) {
    case TG_OPT_STR:
    case TG_OPT_SECRET:
        return sizeof(const char *);
    case TG_OPT_BOOL:
        return sizeof(bool);
    case TG_OPT_LIST:
        return sizeof(struct tg_option_list);
    default:
        return sizeof(int64_t);
    }
}

static bool same_text(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

static bool same_list(const struct tg_option_list *a, const struct tg_option_list *b)
{
    size_t i = 0;

    while (i < a->n && i < b->n && same_text(a->item[i], b->item[i]))
        i++;
    return i == a->n && i == b->n;
}

bool tg_options_same(const struct tg_option *table, const void *a, const void *b, const char *but)
{
    for (const struct tg_option *row = table; row && row->name; row++) {
        const void *one = (const char *)a + row->offset, *other = (const char *)b + row->offset;
        bool same;

        if (but && strcmp(row->name, but) == 0)
            continue;
        if (row->type == TG_OPT_STR || row->type == TG_OPT_SECRET)
            same = same_text(*(const char *const *)one, *(const char *const *)other);
        else if (row->type == TG_OPT_LIST)
            same = same_list(one, other);
        else
            same = memcmp(one, other, member_size(row->type)) == 0;
        if (!same)
            return false;
    }
    return true;
}

tg_code tg_options_default(const struct tg_option *table, void *settings, struct tg_error *err)
{
    const struct tg_option *row;
    tg_code code = TG_OK;

    for (row = table; row && row->name; row++)
        memset((char *)settings + row->offset, 0, member_size(row->type));
    for (row = table; row && row->name && code == TG_OK; row++) {
        const char *env = row->env ? getenv(row->env) : NULL;

        if (env && *env) {
            code = set_row(row, settings, env, err);
            if (code != TG_OK)
                tg_hint(err, "it was read from the environment variable %s", row->env);
        } else if (row->fallback) {
            code = set_row(row, settings, row->fallback, err);
        }
    }
    return code;
}

void tg_options_done(const struct tg_option *table, void *settings)
{
    for (; table && table->name; table++) {
        struct tg_option_list *list = (void *)((char *)settings + table->offset);

        if (table->type != TG_OPT_LIST)
            continue;
        free(list->item);
        *list = (struct tg_option_list){ 0 };
    }
}

bool tg_percent_decode(char *text)
{
    char *out = text;

    for (; *text; text++) {
        uint8_t byte = (uint8_t)*text;

        if (*text == '%') {
            if (!text[1] || !tg_unhex(&byte, 1, text + 1, 2) || byte == 0)
                return false;
            text += 2;
        }
        *out++ = (char)byte;
    }
    *out = 0;
    return true;
}

tg_code tg_options_query(const struct tg_option *table, void *settings, char *query,
                         struct tg_error *err)
{
    char *rest = query;

    while (rest) {
        char *pair = strsep(&rest, "&"), *value = strchr(pair, '=');
        tg_code code;

        if (!*pair)
            continue;
        if (value)
            *value++ = 0;
        if (value && !tg_percent_decode(value)) {
            tg_fail(err, TG_USAGE, "option '%.64s' has a malformed %% escape", pair);
            return tg_hint(err, "write a %% itself as %%25");
        }
        code = tg_option_set(table, settings, pair, value, err);
        if (code != TG_OK)
            return code;
    }
    return TG_OK;
}

tg_code tg_driver_split(char *url, const char *what, char **ret_target, char **ret_query,
                        struct tg_error *err)
{
    size_t n = strcspn(url, ":?/");
    char *query;

    if (n == 0 || url[n] != ':')
        return tg_fail(err, TG_USAGE, "'%.80s' names no %s", url, what);
    url[n] = 0;
    query = strchr(url + n + 1, '?');
    if (query)
        *query++ = 0;
    *ret_target = url + n + 1;
    *ret_query = query;
    return TG_OK;
}

/* The names that there are, behind a hint's first words. */
static void hint_names(const struct tg_driver *(*at)(size_t i), const char *first,
                       struct tg_error *err)
{
    size_t len = 0;

    for (size_t i = 0; at(i) && len < sizeof err->hint; i++)
        len += (size_t)snprintf(err->hint + len, sizeof err->hint - len, "%s%s", i ? ", " : first,
                                at(i)->name);
}

tg_code tg_driver_find(const struct tg_driver *(*at)(size_t i), const char *name, const char *what,
                       size_t *ret, struct tg_error *err)
{
    for (size_t i = 0; at(i); i++) {
        if (strcmp(at(i)->name, name) == 0) {
            *ret = i;
            return TG_OK;
        }
    }
    tg_fail(err, TG_USAGE, "there is no %s '%.64s'", what, name);
    hint_names(at, "there are: ", err);
    return err->code;
}

tg_code tg_driver_make(const struct tg_driver *(*at)(size_t i), const char *what, const char *url,
                       struct tg_driver_made *ret, struct tg_error *err)
{
    struct tg_driver_made made = { .url = strdup(url), .url_len = strlen(url) };
    const struct tg_driver *head = NULL;
    char *query = NULL;
    tg_code code = made.url ? tg_driver_split(made.url, what, &made.target, &query, err)
                            : tg_fail(err, TG_NOMEM, "no memory for a %s", what);

    if (code == TG_USAGE)
        hint_names(at, "write it as NAME:TARGET; names are: ", err);
    if (code == TG_OK)
        code = tg_driver_find(at, made.url, what, &made.at, err);
    if (code == TG_OK) {
        head = at(made.at);
        made.self = calloc(1, head->size);
        code = made.self ? tg_options_default(head->option, made.self, err)
                         : tg_fail(err, TG_NOMEM, "no memory for a %s", what);
    }
    if (code == TG_OK)
        code = tg_options_query(head->option, made.self, query, err);
    if (code == TG_OK) {
        *ret = made;
        return TG_OK;
    }
    tg_driver_unmake(&made, head ? head->option : NULL);
    return code;
}

void tg_driver_unmake(struct tg_driver_made *made, const struct tg_option *option)
{
    if (made->self)
        tg_options_done(option, made->self);
    if (made->url)
        explicit_bzero(made->url, made->url_len); /* it may be split */
    free(made->self);
    free(made->url);
}

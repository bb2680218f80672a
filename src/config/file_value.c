/* SPDX-License-Identifier: MIT */
/*
 * file_value.c - one value of a configuration file: what its node means for a setting
 */
#include <stdarg.h>
#include <stdio.h>

#include "base/text.h"
#include "config/file_impl.h"
#include "queue/broker.h"
#include "sink/sink.h"
#include "stage/stage.h"
#include "store/store.h"

struct tg_mistake *tg_file_wrong(struct tg_config_file *f, const struct tg_yaml_node *node,
                                 const char *fmt, ...)
{
    char text[sizeof((struct tg_error *)0)->message];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    return tg_mistakes_add(&f->mistakes, node->line, node->column, "%s", text);
}

struct tg_mistake *tg_file_advise(struct tg_config_file *f, const struct tg_yaml_node *node,
                                  const char *text)
{
    struct tg_mistake *m = tg_file_wrong(f, node, "%s", text);

    m->warning = m->advice = true;
    f->mistakes.n_errors--;
    f->n_advice++;
    return m;
}

bool tg_name_same(const char *a, const char *b)
{
    for (; *a && (*a == *b || (*a == '_' && *b == '-') || (*a == '-' && *b == '_')); a++)
        b++;
    return *a == *b;
}

void tg_file_unknown(struct tg_config_file *f, const struct tg_yaml_node *key,
                     const char *const *names, size_t n)
{
    struct tg_option table[TG_SETTINGS_MAX + 1] = { { 0 } };
    char shown[64];
    struct tg_mistake *m = tg_file_wrong(f, key, "unknown key '%.64s'", key->text);
    const char *similar;
    size_t len = 0;

    for (size_t i = 0; i < n && i < TG_SETTINGS_MAX; i++)
        table[i].name = names[i];
    similar = tg_option_similar(table, key->text);
    if (similar) {
        snprintf(shown, sizeof shown, "%s", similar);
        for (char *c = shown; *c; c++)
            *c = (char)(*c == '-' ? '_' : *c);
        tg_hint(&m->err, "did you mean '%s'?", shown);
        return;
    }
    for (size_t i = 0; i < n && n <= 12 && len < sizeof m->err.hint; i++)
        len += (size_t)snprintf(m->err.hint + len, sizeof m->err.hint - len, "%s%s",
                                i ? ", " : "there are: ", names[i]);
}

size_t tg_file_setting(const struct tg_config_file *f, const char *name)
{
    for (size_t i = 0; i < f->n_settings; i++)
        if (tg_name_same(f->setting[i].row->name, name) ||
            (f->setting[i].row->also && tg_name_same(f->setting[i].row->also, name)))
            return i;
    return SIZE_MAX;
}

/* ---- plain words that YAML takes for something else ---- */

static bool is_word(const char *text, const char *const *word, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (strcasecmp(text, word[i]) == 0)
            return true;
    return false;
}

static const char *const truth[] = { "yes", "no", "true", "false", "on", "off" };
static const char *const nothing[] = { "", "~", "null" };

static bool is_nothing(const struct tg_yaml_node *node)
{
    return node->kind == TG_YAML_TEXT && node->plain &&
           is_word(node->text, nothing, TG_COUNT(nothing));
}

/* 010 is 8 and 1:30 is 90 to a reader of YAML 1.1. */
static const char *trap(const struct tg_yaml_node *node)
{
    const char *text = node->text, *digits = text + (*text == '-' || *text == '+');
    size_t n = strspn(digits, "0123456789");

    if (!node->plain)
        return NULL;
    if (is_word(text, truth, TG_COUNT(truth)))
        return "a truth value";
    if (n > 1 && !digits[n] && digits[0] == '0')
        return "an octal number";
    if (n && digits[n] == ':' && !digits[strspn(digits, "0123456789:.")])
        return "a number to the base of 60";
    return NULL;
}

const char *tg_file_text(struct tg_config_file *f, const struct tg_yaml_node *node,
                         const char *what)
{
    const char *other;
    struct tg_mistake *m;

    if (node->kind != TG_YAML_TEXT) {
        tg_file_wrong(f, node, "'%.64s' takes one value, no %s", what,
                      node->kind == TG_YAML_LIST ? "list" : "keys");
        return NULL;
    }
    if (is_nothing(node)) {
        tg_file_wrong(f, node, "'%.64s' has no value", what);
        return NULL;
    }
    other = trap(node);
    if (!other)
        return node->text;
    m = tg_file_wrong(f, node, "a plain %.64s is %s in YAML, and '%.64s' takes none", node->text,
                      other, what);
    tg_hint(&m->err, "put it in quotes if it is a text");
    return NULL;
}

bool tg_file_bool(struct tg_config_file *f, const struct tg_yaml_node *node, const char *what,
                  bool *ret)
{
    if (node->kind == TG_YAML_TEXT) {
        for (size_t i = 0; i < TG_COUNT(truth); i++) {
            if (strcasecmp(node->text, truth[i]) == 0) {
                *ret = i % 2 == 0;
                return true;
            }
        }
    }
    if (is_nothing(node))
        tg_file_wrong(f, node, "'%.64s' has no value", what);
    else
        tg_file_wrong(f, node, "'%.64s' is true or false", what);
    return false;
}

/* ---- giving ---- */

/* A step that rows go through. */
static tg_code check_step(const char *setting, const char *text, struct tg_error *err)
{
    struct tg_stage_list stages = { .n = 0 };
    struct tg_stage_texts all;
    tg_code code;

    tg_stage_texts_init(&all);
    code = tg_stage_texts_add(&all, setting, text, err);
    if (code == TG_OK)
        code = tg_stages_open(all.text, all.n, &stages, err);
    tg_stages_close(&stages);
    tg_stage_texts_done(&all);
    return code;
}

/* What the driver that a value names says of it. */
static tg_code check_driver(const struct tg_option *row, const char *text, struct tg_error *err)
{
    static const char *const step[] = { "stage", "filter", "transform" };

    if (strcmp(row->name, "to") == 0)
        return tg_sink_check(text, err);
    if (strcmp(row->name, "state") == 0)
        return tg_store_check(text, err);
    if (strcmp(row->name, "queue") == 0)
        return tg_broker_check(text, err);
    for (size_t i = 0; i < TG_COUNT(step); i++)
        if (strcmp(row->name, step[i]) == 0)
            return check_step(step[i], text, err);
    return TG_OK;
}

/* Tries a value on the scratch config. */
static bool fits(struct tg_config_file *f, const struct tg_option *row,
                 const struct tg_yaml_node *node, const char *text)
{
    struct tg_error err;
    tg_code code = tg_config_set(f->scratch, row->name, text, &err);

    if (code == TG_OK)
        code = check_driver(row, text, &err);
    if (code != TG_OK)
        tg_mistakes_take(&f->mistakes, node->line, node->column, &err);
    return code == TG_OK;
}

static const char *read_secret(struct tg_config_file *f, const struct tg_yaml_node *node,
                               const char *path)
{
    struct tg_buf out;
    struct tg_error err;
    const char *text = NULL;

    tg_expand_buf(&out);
    if (tg_expand_file(path, f->from, &out, &err) != TG_OK)
        tg_mistakes_take(&f->mistakes, node->line, node->column, &err);
    else
        text = tg_arena_copy(&f->arena, out.data, out.len);
    tg_buf_wipe(&out);
    return text;
}

/* The text of one node for a setting of that row; NULL with the mistake told. */
static const char *text_for(struct tg_config_file *f, const struct tg_option *row,
                            const struct tg_yaml_node *node)
{
    const char *text;
    bool on;

    if (row->type == TG_OPT_BOOL)
        return tg_file_bool(f, node, row->name, &on) ? on ? "yes" : "no" : NULL;
    text = tg_file_text(f, node, row->name);
    if (text && row->type == TG_OPT_SECRET && strncmp(text, "file:", 5) == 0)
        text = read_secret(f, node, text + 5);
    return text && fits(f, row, node, text) ? text : NULL;
}

/* Settings that hold several words in one text take lists as well. */
static bool takes_words(const struct tg_option *row)
{
    return row->type == TG_OPT_STR && row->value &&
           (strcmp(row->value, "LIST") == 0 || strcmp(row->value, "TYPES") == 0);
}

static const char *join(struct tg_config_file *f, const char *const *text, size_t n)
{
    struct tg_buf all;
    const char *joined;

    tg_expand_buf(&all);
    for (size_t i = 0; i < n; i++)
        tg_buf_printf(&all, "%s%s", i ? "," : "", text[i]);
    joined = all.failed ? NULL : tg_arena_copy(&f->arena, all.data, all.len);
    tg_buf_wipe(&all);
    return joined;
}

static void keep(struct tg_config_file *f, struct tg_layer *layer, size_t setting,
                 const struct tg_given *given)
{
    const char **text = tg_arena_alloc(&f->arena, 2 * given->n, sizeof *text);

    if (!text) {
        f->mistakes.nomem = true;
        return;
    }
    memcpy(text, given->text, given->n * sizeof *text);
    memcpy(text + given->n, given->shown, given->n * sizeof *text);
    layer->given[setting] = (struct tg_given){ given->node, text, text + given->n, given->n };
}

void tg_file_give(struct tg_config_file *f, struct tg_layer *layer, size_t setting,
                  const struct tg_yaml_node *node)
{
    const struct tg_option *row = f->setting[setting].row;
    bool list = node->kind == TG_YAML_LIST && (row->type == TG_OPT_LIST || takes_words(row));
    size_t n = list ? node->n : 1, good = 0;
    const char **text = tg_arena_alloc(&f->arena, 2 * n + 1, sizeof *text), **shown = text + n;

    if (!text) {
        f->mistakes.nomem = true;
        return;
    }
    if (list && !n)
        tg_file_wrong(f, node, "'%s' has no value", row->name);
    for (size_t i = 0; i < n; i++) {
        const struct tg_yaml_node *one = list ? node->value[i] : node;

        text[i] = text_for(f, row, one);
        good += text[i] != NULL;
        shown[i] = one->kind != TG_YAML_TEXT ? ""
                   : row->type == TG_OPT_BOOL ? text[i]
                                              : one->written;
    }
    if (!n || good != n)
        return;
    if (takes_words(row) && n > 1) {
        text[0] = join(f, text, n);
        shown[0] = text[0];
        n = text[0] ? 1 : 0;
    }
    keep(f, layer, setting, &(struct tg_given){ node, text, shown, n });
}

void tg_file_give_text(struct tg_config_file *f, struct tg_layer *layer, size_t setting,
                       const struct tg_yaml_node *node, const char *text)
{
    const char *copy = tg_arena_copy(&f->arena, text, strlen(text));

    if (!copy)
        f->mistakes.nomem = true;
    else if (fits(f, f->setting[setting].row, node, copy))
        keep(f, layer, setting, &(struct tg_given){ node, &copy, &copy, 1 });
}

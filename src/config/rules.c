/* SPDX-License-Identifier: MIT */
/*
 * rules.c - see rules.h
 *
 * Keys of a rule are the options of the stage that it is, read from that stage's table; two more
 * choose the stage: `unique` is `dedup`, `replies` is `replies`, all others are `validate`.
 */
#include "config/rules.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

#include "config/file_impl.h"

enum { NAMES_MAX = 32 };

struct reader {
    struct tg_config_file *f;
    struct tg_rules *to;
    const char *severity; /* of rules that name none; NULL: their stage's own */
};

static const struct tg_yaml_node *find(const struct tg_yaml_node *map, const char *name)
{
    for (size_t i = 0; map->kind == TG_YAML_MAP && i < map->n; i++)
        if (tg_name_same(map->key[i]->text, name))
            return map->value[i];
    return NULL;
}

static bool is_text(const struct tg_yaml_node *node, const char *text)
{
    return node && node->kind == TG_YAML_TEXT && strcmp(node->text, text) == 0;
}

/* ---- what is legal, and looks as if it were not ---- */

static void advise_sender(struct reader *r, const struct tg_yaml_node *node)
{
    struct tg_mistake *m = tg_file_advise(r->f, node, "posts of channels have no sender_id: "
                                                      "they break this rule");

    tg_hint(&m->err, "if they are good: {expr: post or sender_id ~= nil}");
}

static void advise_text(struct reader *r, const struct tg_yaml_node *node)
{
    struct tg_mistake *m = tg_file_advise(r->f, node, "texts of 4096 characters are legal, and "
                                                      "break this rule");

    tg_hint(&m->err, "if they are good: {field: text, max_length: 4096}");
}

/* "len(text) < 4096", "utf8.len(row.text or '') <= 4095", "#text < 4096" */
static bool refuses_4096(const char *expr)
{
    static const char *const length[] = { "len(text", "len(row.text", "#text", "#row.text" };
    static const char *const bound[] = { "<4096", "<=4095" };
    bool measures = false, bounds = false;
    char *tight = strdup(expr), *out = tight;

    if (!tight)
        return false;
    for (; *expr; expr++)
        if (!isspace((unsigned char)*expr))
            *out++ = *expr;
    *out = 0;
    for (size_t i = 0; i < TG_COUNT(length); i++)
        measures = measures || strstr(tight, length[i]);
    for (size_t i = 0; i < TG_COUNT(bound); i++) {
        const char *at = strstr(tight, bound[i]);

        bounds = bounds || (at && !isdigit((unsigned char)at[strlen(bound[i])]));
    }
    free(tight);
    return measures && bounds;
}

static void advise_rule(struct reader *r, const struct tg_yaml_node *rule)
{
    const struct tg_yaml_node *expr = find(rule, "expr"), *field = find(rule, "field");

    if (is_text(field, "sender_id") && find(rule, "required"))
        advise_sender(r, rule);
    if (is_text(field, "text") && is_text(find(rule, "max-length"), "4095"))
        advise_text(r, rule);
    if (expr && expr->kind == TG_YAML_TEXT && refuses_4096(expr->text))
        advise_text(r, expr);
}

/* ---- stages ---- */

static const struct tg_stage_ops *stage_named(const char *name)
{
    size_t i = 0;

    while (strcmp(tg_stages[i]->head.name, name) != 0)
        i++;
    return tg_stages[i];
}

static void open_url(struct tg_buf *url)
{
    tg_buf_init(url, 2 * TG_EXPAND_MAX);
    tg_buf_grow(url, 4096);
}

/* @param value  NULL: a word alone */
static void put_option(struct tg_buf *url, const char *name, const char *value)
{
    tg_buf_byte(url, memchr(url->data, '?', url->len) ? '&' : '?');
    for (; *name; name++)
        tg_buf_byte(url, (uint8_t)(*name == '_' ? '-' : *name));
    if (value)
        tg_buf_byte(url, '=');
    for (; value && *value; value++)
        if (strchr("%&", *value))
            tg_buf_printf(url, "%%%02x", (uint8_t)*value);
        else
            tg_buf_byte(url, (uint8_t)*value);
}

/* A text, or a list of texts with commas. */
static bool put_words(struct reader *r, struct tg_buf *url, const char *name,
                      const struct tg_yaml_node *node)
{
    const char *what = strcmp(name, "keys") == 0 && url->len == 5 ? "unique" : name;
    struct tg_buf all;
    bool list = node->kind == TG_YAML_LIST, good = !list || node->n > 0;

    tg_expand_buf(&all);
    if (!good)
        tg_file_wrong(r->f, node, "'%s' has no value", what);
    for (size_t i = 0; good && i < (list ? node->n : 1); i++) {
        const char *text = tg_file_text(r->f, list ? node->value[i] : node, what);

        good = text != NULL;
        if (good)
            tg_buf_printf(&all, "%s%s", i ? "," : "", text);
    }
    if (good)
        put_option(url, name, tg_buf_cstr(&all));
    r->f->mistakes.nomem |= all.failed;
    tg_buf_wipe(&all);
    return good;
}

/* One key of a stage's options. */
static bool put_key(struct reader *r, struct tg_buf *url, const struct tg_stage_ops *ops,
                    const struct tg_yaml_node *key, const struct tg_yaml_node *value)
{
    const char *names[NAMES_MAX];
    size_t n = 0;
    bool on;

    for (const struct tg_option *row = ops->head.option; row->name; row++) {
        if (strcmp(row->name, "rules") == 0)
            continue;
        names[n++] = row->name;
        if (!tg_name_same(row->name, key->text))
            continue;
        if (row->type != TG_OPT_BOOL)
            return put_words(r, url, row->name, value);
        if (!tg_file_bool(r->f, value, row->name, &on))
            return false;
        if (on)
            put_option(url, row->name, NULL);
        return true;
    }
    if (ops == stage_named("validate")) {
        names[n++] = "unique";
        names[n++] = "replies";
    }
    tg_file_unknown(r->f, key, names, n);
    return false;
}

/* The stage is whole: it is tried where it stands. */
static void add_stage(struct reader *r, struct tg_buf *url, const struct tg_yaml_node *node)
{
    const char *text = url->failed ? NULL : tg_arena_copy(&r->f->arena, url->data, url->len);
    struct tg_stage_list stages;
    struct tg_error err;

    if (!text) {
        r->f->mistakes.nomem = true;
    } else if (r->to->n == TG_STAGES_MAX) {
        tg_file_wrong(r->f, node, "more than %d rules", TG_STAGES_MAX);
    } else {
        if (tg_stages_open(&text, 1, &stages, &err) == TG_OK)
            r->to->stage[r->to->n++] = (struct tg_rule_stage){ text, node,
                                                               stages.one[0].ops->whole };
        else
            tg_mistakes_take(&r->f->mistakes, node->line, node->column, &err);
        tg_stages_close(&stages);
    }
}

/* ---- rules ---- */

static void read_rule(struct reader *r, const struct tg_yaml_node *rule)
{
    const struct tg_yaml_node *unique = find(rule, "unique"), *replies = find(rule, "replies");
    const struct tg_stage_ops *ops = stage_named(unique ? "dedup" : replies ? "replies"
                                                                          : "validate");
    struct tg_buf url;
    bool good = true, on;

    if (rule->kind != TG_YAML_MAP) {
        struct tg_mistake *m = tg_file_wrong(r->f, rule, "a rule takes keys with values");

        tg_hint(&m->err, "write {field: date, required: yes}, or {expr: date <= now}");
        return;
    }
    open_url(&url);
    tg_buf_str(&url, ops->head.name);
    for (size_t i = 0; i < rule->n; i++) {
        const struct tg_yaml_node *key = rule->key[i], *value = rule->value[i];

        if (value == unique)
            good &= put_words(r, &url, "keys", value);
        else if (value != replies)
            good &= put_key(r, &url, ops, key, value);
        else if (!tg_file_bool(r->f, value, key->text, &on))
            good = false;
        else if (!on)
            good = tg_file_wrong(r->f, value, "leave 'replies' out for another rule") == NULL;
    }
    if (r->severity && !find(rule, "severity"))
        put_option(&url, "severity", r->severity);
    if (good) {
        add_stage(r, &url, rule);
        advise_rule(r, rule);
    }
    tg_buf_wipe(&url);
}

static void read_rules(struct reader *r, const struct tg_yaml_node *list)
{
    if (list->kind != TG_YAML_LIST) {
        struct tg_mistake *m = tg_file_wrong(r->f, list, "'rules' takes a list");

        tg_hint(&m->err, "begin each rule with a dash: - {field: date, required: yes}");
        return;
    }
    for (size_t i = 0; i < list->n; i++)
        read_rule(r, list->value[i]);
}

/* A rule of the ETL design's map: a field or an expression, and what is asked of it. */
static void add_design(struct reader *r, const struct tg_yaml_node *node, const char *of,
                       const char *name, const char *value)
{
    const char *text = tg_file_text(r->f, node, of);
    struct tg_buf url;

    if (!text)
        return;
    open_url(&url);
    tg_buf_str(&url, "validate");
    put_option(&url, of, text);
    if (name)
        put_option(&url, name, value);
    if (r->severity)
        put_option(&url, "severity", r->severity);
    add_stage(r, &url, node);
    tg_buf_wipe(&url);
}

static void read_design(struct reader *r, const struct tg_yaml_node *map)
{
    static const char *const names[] = { "completeness", "format", "business_rules" };

    if (map->kind != TG_YAML_MAP) {
        tg_file_wrong(r->f, map, "'validation_rules' takes completeness, format, business_rules");
        return;
    }
    for (size_t i = 0; i < map->n; i++) {
        const struct tg_yaml_node *key = map->key[i], *value = map->value[i];
        bool format = tg_name_same(key->text, "format");
        bool business = tg_name_same(key->text, "business_rules");

        if (!format && !business && !tg_name_same(key->text, "completeness")) {
            tg_file_unknown(r->f, key, names, TG_COUNT(names));
            continue;
        }
        if (value->kind != (format ? TG_YAML_MAP : TG_YAML_LIST)) {
            tg_file_wrong(r->f, value, "'%.32s' takes %s", key->text,
                          format ? "fields with their formats"
                                 : business ? "a list of expressions" : "a list of fields");
            continue;
        }
        for (size_t k = 0; k < value->n; k++) {
            const struct tg_yaml_node *one = value->value[k];

            if (format) {
                const char *what = tg_file_text(r->f, one, "format");

                if (what)
                    add_design(r, value->key[k], "field", "format", what);
                continue;
            }
            add_design(r, one, business ? "expr" : "field", business ? NULL : "required", NULL);
            if (!business && is_text(one, "sender_id"))
                advise_sender(r, one);
            if (business && one->kind == TG_YAML_TEXT && refuses_4096(one->text))
                advise_text(r, one);
        }
    }
}

/* ---- the section ---- */

static void read_severity(struct reader *r, const struct tg_yaml_node *section)
{
    const struct tg_yaml_node *severity = find(section, "severity");
    const struct tg_yaml_node *stop = find(section, "stop_on_error");
    bool on;

    if (severity)
        r->severity = tg_file_text(r->f, severity, "severity");
    for (int s = 0; r->severity && strcmp(r->severity, tg_severity_name(s)) != 0;)
        if (++s == TG_SEVERITIES) {
            tg_file_wrong(r->f, severity, "'severity' is one of warn|drop|quarantine|fail, not "
                          "'%.64s'", r->severity);
            r->severity = NULL;
        }
    if (!stop || !tg_file_bool(r->f, stop, "stop_on_error", &on) || !on)
        return;
    if (severity)
        tg_file_wrong(r->f, stop, "'severity' and 'stop_on_error' exclude each other");
    r->severity = tg_severity_name(TG_SEVERITY_FAIL);
}

/* A key whose value is a stage's options. */
static void read_stage(struct reader *r, const struct tg_yaml_node *key,
                       const struct tg_yaml_node *node, const char *stage)
{
    const struct tg_stage_ops *ops = stage_named(stage);
    struct tg_buf url;
    bool good = true;

    if (node->kind != TG_YAML_MAP) {
        tg_file_wrong(r->f, node, "'%.32s' takes the options of the stage %s", key->text, stage);
        return;
    }
    open_url(&url);
    tg_buf_str(&url, stage);
    for (size_t i = 0; i < node->n; i++)
        good &= put_key(r, &url, ops, node->key[i], node->value[i]);
    if (good)
        add_stage(r, &url, node);
    tg_buf_wipe(&url);
}

static void read_enrich(struct reader *r, const struct tg_yaml_node *node)
{
    struct tg_buf url;
    bool on;

    if (!tg_file_bool(r->f, node, "enrich_metadata", &on) || !on)
        return;
    open_url(&url);
    tg_buf_str(&url, "enrich");
    add_stage(r, &url, node);
    tg_buf_wipe(&url);
}

void tg_rules_read(struct tg_config_file *f, const struct tg_yaml_node *section,
                   struct tg_rules *ret)
{
    /* in the order in which rows meet them, whatever the order in the file */
    static const char *const names[] = { "severity", "stop_on_error", "rules", "validation_rules",
                                         "enrich_metadata", "deduplicate", "profile" };
    struct reader r = { .f = f, .to = ret };

    *ret = (struct tg_rules){ .section = section };
    if (section->kind != TG_YAML_MAP) {
        tg_file_wrong(f, section, "'quality' takes keys with values");
        return;
    }
    read_severity(&r, section);
    for (size_t i = 0; i < section->n; i++) {
        size_t k = 0;

        while (k < TG_COUNT(names) && !tg_name_same(names[k], section->key[i]->text))
            k++;
        if (k == TG_COUNT(names))
            tg_file_unknown(f, section->key[i], names, TG_COUNT(names));
    }
    for (size_t k = 2; k < TG_COUNT(names); k++) {
        const struct tg_yaml_node *node = find(section, names[k]);

        if (!node)
            continue;
        if (k == 2)
            read_rules(&r, node);
        else if (k == 3)
            read_design(&r, node);
        else if (k == 4)
            read_enrich(&r, node);
        else
            read_stage(&r, node, node, k == 5 ? "dedup" : "profile");
    }
}

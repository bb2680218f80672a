/* SPDX-License-Identifier: MIT */
/*
 * file_schema.c - a JSON Schema of configuration files, read from the tables
 *
 * Every setting is defined once and referred to by each of its names, with '-' and with '_'. A
 * number may also be a text with ${...} in it.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/json.h"
#include "base/text.h"
#include "config/file_impl.h"

enum { SCHEMA_MAX = 16 << 20, NAME_BYTES = 128 };

static const char filled_in[] = "\\$\\{";

static void put_pair(struct tg_json *j, const char *key, const char *value)
{
    tg_json_key(j, key), tg_json_cstr(j, value);
}

/* Opens a choice of a number or truth value and of a text that is filled in. */
static void put_or_filled(struct tg_json *j, const char *type, const struct tg_option *row)
{
    tg_json_key(j, "anyOf"), tg_json_array(j);
    tg_json_object(j);
    put_pair(j, "type", type);
    if (row && (row->min || row->max)) {
        tg_json_key(j, "minimum"), tg_json_i64(j, row->min);
        if (row->max >= row->min)
            tg_json_key(j, "maximum"), tg_json_i64(j, row->max);
    }
    tg_json_end_object(j);
    tg_json_object(j);
    put_pair(j, "type", "string"), put_pair(j, "pattern", filled_in);
    tg_json_end_object(j);
    tg_json_end_array(j);
}

static void put_choices(struct tg_json *j, const char *choices)
{
    tg_json_key(j, "anyOf"), tg_json_array(j);
    tg_json_object(j);
    tg_json_key(j, "enum"), tg_json_array(j);
    for (size_t len; *choices; choices += len + (choices[len] == '|')) {
        len = strcspn(choices, "|");
        tg_json_str(j, choices, len);
    }
    tg_json_end_array(j);
    tg_json_end_object(j);
    tg_json_object(j);
    put_pair(j, "type", "string"), put_pair(j, "pattern", filled_in);
    tg_json_end_object(j);
    tg_json_end_array(j);
}

static void put_types(struct tg_json *j, const char *const *type, size_t n)
{
    tg_json_key(j, "type"), tg_json_array(j);
    for (size_t i = 0; i < n; i++)
        tg_json_cstr(j, type[i]);
    tg_json_end_array(j);
}

static const char *const text_or_list[] = { "string", "integer", "number", "array" };

static void put_type(struct tg_json *j, const struct tg_option *row)
{
    switch (row->type) {
    case TG_OPT_I64:
        put_or_filled(j, "integer", row);
        break;
    case TG_OPT_PERCENT:
        put_or_filled(j, "number", &(struct tg_option){ .min = row->min / TG_PERCENT,
                                                        .max = row->max / TG_PERCENT });
        break;
    case TG_OPT_BOOL:
        put_or_filled(j, "boolean", NULL);
        break;
    case TG_OPT_CHOICE:
        put_choices(j, row->choices);
        break;
    case TG_OPT_LIST:
        put_types(j, text_or_list, 4);
        tg_json_key(j, "items"), tg_json_object(j), put_pair(j, "type", "string");
        tg_json_end_object(j);
        break;
    case TG_OPT_STR: /* some hold words, and take lists */
        put_types(j, text_or_list, row->value && (strcmp(row->value, "LIST") == 0 ||
                                                  strcmp(row->value, "TYPES") == 0) ? 4 : 3);
        break;
    case TG_OPT_MS:
    case TG_OPT_SIZE:
        put_types(j, text_or_list, 2);
        break;
    default:
        put_types(j, text_or_list, 1);
        break;
    }
}

static void put_definition(struct tg_json *j, const struct tg_option *row)
{
    tg_json_key(j, row->name), tg_json_object(j);
    put_pair(j, "description", row->help);
    put_type(j, row);
    if (row->fallback)
        put_pair(j, "$comment", row->fallback);
    tg_json_end_object(j);
}

static void put_reference(struct tg_json *j, const char *name, const char *setting)
{
    char where[NAME_BYTES];

    snprintf(where, sizeof where, "#/$defs/%s", setting);
    tg_json_key(j, name), tg_json_object(j);
    put_pair(j, "$ref", where);
    tg_json_end_object(j);
}

static void put_key(struct tg_json *j, const struct tg_key *row, const char *name)
{
    bool known, flag;

    known = row->setting && tg_config_known(row->setting, &flag);
    if (row->kind == TG_KEY_SAME && known) {
        put_reference(j, name, row->setting);
        return;
    }
    tg_json_key(j, name), tg_json_object(j);
    if (row->kind == TG_KEY_PERCENT)
        put_or_filled(j, "number", &(struct tg_option){ .min = 0, .max = 1 });
    else if (row->kind == TG_KEY_PATTERN)
        put_choices(j, "batch|parallel_batch|stream|delta");
    else if (row->kind == TG_KEY_NOT || row->kind == TG_KEY_BREAKER)
        put_or_filled(j, "boolean", NULL);
    tg_json_end_object(j);
}

/* Every setting that somebody takes, by all of its names. */
static void put_settings(struct tg_json *j, const struct tg_setting *setting, size_t n,
                         unsigned scopes)
{
    char other[NAME_BYTES];

    for (size_t i = 0; i < n; i++) {
        const char *name = setting[i].row->name;

        if (!(scopes & 1u << setting[i].scope))
            continue;
        snprintf(other, sizeof other, "%s", name);
        for (char *c = other; *c; c++)
            *c = (char)(*c == '-' ? '_' : *c);
        put_reference(j, name, name);
        if (strcmp(other, name) != 0)
            put_reference(j, other, name);
        for (const struct tg_key *key = tg_other_keys; key->path; key++)
            if (strcmp(key->setting, name) == 0)
                put_key(j, key, key->path);
    }
}

static void open_map(struct tg_json *j, const char *key, const char *description)
{
    if (key)
        tg_json_key(j, key);
    tg_json_object(j);
    put_pair(j, "type", "object");
    if (description)
        put_pair(j, "description", description);
    tg_json_key(j, "additionalProperties"), tg_json_bool(j, false);
    tg_json_key(j, "properties"), tg_json_object(j);
}

static void close_map(struct tg_json *j)
{
    tg_json_end_object(j);
    tg_json_end_object(j);
}

/* ---- sections: maps as deep as the paths of their rows ---- */

/* The rows from *at on whose path goes on behind `prefix`. */
static void put_section(struct tg_json *j, const struct tg_key **at, size_t prefix)
{
    const char *first = (*at)->path;

    while ((*at)->path && strncmp((*at)->path, first, prefix) == 0) {
        const char *part = (*at)->path + prefix;
        size_t n = strcspn(part, ".");
        char name[NAME_BYTES];

        snprintf(name, sizeof name, "%.*s", (int)n, part);
        if (part[n]) {
            open_map(j, name, NULL);
            put_section(j, at, prefix + n + 1);
            close_map(j);
        } else {
            put_key(j, *at, name);
            (*at)++;
        }
    }
}

/* ---- quality ---- */

/* The options of a stage, as keys. */
static void put_options(struct tg_json *j, const char *stage)
{
    char name[NAME_BYTES];
    size_t at = 0;

    while (strcmp(tg_stages[at]->head.name, stage) != 0)
        at++;
    for (const struct tg_option *row = tg_stages[at]->head.option; row->name; row++) {
        if (strcmp(row->name, "rules") == 0)
            continue;
        snprintf(name, sizeof name, "%s", row->name);
        for (char *c = name; *c; c++)
            *c = (char)(*c == '-' ? '_' : *c);
        tg_json_key(j, name), tg_json_object(j);
        put_pair(j, "description", row->help);
        if (row->type == TG_OPT_STR)
            put_types(j, text_or_list, 4);
        else
            put_type(j, row);
        tg_json_end_object(j);
    }
}

static void put_stage(struct tg_json *j, const char *key, const char *description,
                      const char *stage)
{
    open_map(j, key, description);
    put_options(j, stage);
    close_map(j);
}

static void put_flag(struct tg_json *j, const char *key, const char *description)
{
    tg_json_key(j, key), tg_json_object(j);
    put_pair(j, "description", description);
    put_or_filled(j, "boolean", NULL);
    tg_json_end_object(j);
}

static void put_texts(struct tg_json *j, const char *key, const char *description)
{
    tg_json_key(j, key), tg_json_object(j);
    put_pair(j, "description", description), put_pair(j, "type", "array");
    tg_json_key(j, "items"), tg_json_object(j), put_pair(j, "type", "string");
    tg_json_end_object(j);
    tg_json_end_object(j);
}

static void put_rules(struct tg_json *j)
{
    tg_json_key(j, "rules"), tg_json_object(j);
    put_pair(j, "type", "array"), put_pair(j, "description", "what rows are to meet, in order");
    tg_json_key(j, "items");
    open_map(j, NULL, NULL);
    put_options(j, "validate");
    tg_json_key(j, "unique"), tg_json_object(j);
    put_pair(j, "description", "instead of a field: rows differ in one of these fields");
    put_types(j, text_or_list, 4);
    tg_json_end_object(j);
    put_flag(j, "replies", "instead of a field: the message that a reply answers is there");
    tg_json_key(j, "memory"), tg_json_object(j);
    put_pair(j, "description", "of unique and replies: what they may take");
    put_types(j, text_or_list, 2);
    tg_json_end_object(j);
    close_map(j);
    tg_json_end_object(j);
}

static void put_quality(struct tg_json *j)
{
    open_map(j, "quality", "rules for the rows of jobs");
    tg_json_key(j, "severity"), tg_json_object(j);
    put_pair(j, "description", "of rules that name none");
    put_choices(j, "warn|drop|quarantine|fail");
    tg_json_end_object(j);
    put_flag(j, "stop_on_error", "rules that name no severity end the run");
    put_rules(j);
    open_map(j, "validation_rules", "the same, as the ETL design writes them");
    put_texts(j, "completeness", "fields that have a value");
    tg_json_key(j, "format"), tg_json_object(j);
    put_pair(j, "type", "object"), put_pair(j, "description", "fields with their formats");
    tg_json_end_object(j);
    put_texts(j, "business_rules", "Lua expressions that are true");
    close_map(j);
    put_flag(j, "enrich_metadata", "fill extracted_timestamp, word_count and has_media");
    put_stage(j, "deduplicate", "of rows with the same keys the first stays", "dedup");
    put_stage(j, "profile", "what values are like is told at the end", "profile");
    close_map(j);
}

/* ---- jobs ---- */

static void put_names(struct tg_json *j, const char *key, const char *description)
{
    tg_json_key(j, key), tg_json_object(j);
    put_pair(j, "description", description);
    put_types(j, text_or_list, 4);
    tg_json_key(j, "items"), tg_json_object(j), put_types(j, text_or_list, 2);
    tg_json_end_object(j);
    tg_json_end_object(j);
}

static void put_patterns(struct tg_json *j)
{
    struct tg_buf all;

    tg_buf_init(&all, 512);
    tg_buf_str(&all, "parallel_batch");
    for (int p = 0; p < TG_PATTERN_COUNT; p++)
        tg_buf_printf(&all, "|%s", tg_patterns[p].name);
    put_choices(j, tg_buf_cstr(&all));
    tg_buf_done(&all);
}

/* The keys that are no settings. */
static void put_own(struct tg_json *j)
{
    for (const struct tg_job_key *key = tg_job_keys; key->name; key++) {
        bool flag = strcmp(key->name, "offline") == 0 || strcmp(key->name, "quality") == 0;
        bool list = strcmp(key->name, "chats") == 0 || strncmp(key->name, "account", 7) == 0;

        if (flag) {
            put_flag(j, key->name, key->help);
        } else if (list) {
            put_names(j, key->name, key->help);
        } else {
            tg_json_key(j, key->name), tg_json_object(j);
            put_pair(j, "description", key->help);
            if (strcmp(key->name, "pattern") == 0)
                put_patterns(j);
            else
                put_pair(j, "type", "string");
            tg_json_end_object(j);
        }
    }
}

static void put_needed(struct tg_json *j, enum tg_pattern pattern)
{
    tg_json_key(j, "required"), tg_json_array(j);
    for (const struct tg_job_key *key = tg_job_keys; key->name; key++)
        if (key->needed & 1u << pattern)
            tg_json_cstr(j, key->name);
    tg_json_end_array(j);
}

/* {"if": {"properties": {"pattern": {"const": ...}}}, "then": {"required": [...]}}; a job that
 * names no pattern meets the first of them, too: it is one with chats. */
static void put_rows_of_needed(struct tg_json *j)
{
    tg_json_key(j, "allOf"), tg_json_array(j);
    for (int p = 0; p < TG_PATTERN_COUNT; p++) {
        tg_json_object(j);
        tg_json_key(j, "if"), tg_json_object(j);
        tg_json_key(j, "properties"), tg_json_object(j);
        tg_json_key(j, "pattern"), tg_json_object(j);
        tg_json_key(j, "const"), tg_json_cstr(j, tg_patterns[p].name);
        tg_json_end_object(j);
        tg_json_end_object(j);
        if (p) {
            tg_json_key(j, "required"), tg_json_array(j), tg_json_cstr(j, "pattern");
            tg_json_end_array(j);
        }
        tg_json_end_object(j);
        tg_json_key(j, "then"), tg_json_object(j);
        put_needed(j, (enum tg_pattern)p);
        tg_json_end_object(j);
        tg_json_end_object(j);
    }
    tg_json_end_array(j);
}

static void put_jobs(struct tg_json *j, const struct tg_setting *setting, size_t n)
{
    tg_json_key(j, "jobs"), tg_json_object(j);
    put_pair(j, "type", "array"), put_pair(j, "description", "what is run, in this order");
    tg_json_key(j, "items");
    open_map(j, NULL, NULL);
    put_own(j);
    put_settings(j, setting, n, ~0u);
    tg_json_end_object(j); /* properties */
    tg_json_key(j, "required"), tg_json_array(j);
    tg_json_cstr(j, "name");
    tg_json_end_array(j);
    put_rows_of_needed(j);
    tg_json_end_object(j); /* items */
    tg_json_end_object(j);
}

size_t tg_config_schema(char *out, size_t n)
{
    struct tg_setting setting[TG_SETTINGS_MAX];
    size_t n_settings = tg_settings_list(setting);
    const struct tg_key *at = tg_keys;
    struct tg_buf text;
    struct tg_json j;

    tg_buf_init(&text, SCHEMA_MAX);
    tg_json_init(&j, &text);
    tg_json_object(&j);
    put_pair(&j, "$schema", "https://json-schema.org/draft/2020-12/schema");
    put_pair(&j, "title", "tgdata configuration"), put_pair(&j, "type", "object");
    tg_json_key(&j, "additionalProperties"), tg_json_bool(&j, false);
    tg_json_key(&j, "properties"), tg_json_object(&j);
    put_section(&j, &at, 0);
    put_quality(&j);
    tg_json_key(&j, "accounts"), tg_json_object(&j);
    put_pair(&j, "type", "object"), put_pair(&j, "description", "accounts by name");
    tg_json_key(&j, "additionalProperties");
    open_map(&j, NULL, NULL);
    put_settings(&j, setting, n_settings, 1u << TG_SCOPE_ACCOUNT);
    close_map(&j);
    tg_json_end_object(&j);
    open_map(&j, "defaults", "settings of all jobs that take them");
    put_settings(&j, setting, n_settings, ~0u);
    close_map(&j);
    put_jobs(&j, setting, n_settings);
    tg_json_end_object(&j);
    tg_json_key(&j, "$defs"), tg_json_object(&j);
    for (size_t i = 0; i < n_settings; i++)
        put_definition(&j, setting[i].row);
    tg_json_end_object(&j);
    tg_json_end_object(&j);
    return tg_text_out(&text, out, n);
}

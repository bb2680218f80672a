/* SPDX-License-Identifier: MIT */
/*
 * validate.c - a rule that rows are to meet: `validate?field=text&max-length=4096&severity=drop`,
 * `validate?expr=date <= now&name=not_in_the_future`
 *
 * One condition for each stage, so that counts tell which one was broken. A row without the field
 * meets every condition but `required`. A pattern is a Lua pattern, and is made an expression: what
 * judges texts and what it may cost is client/lua.h's. An expression that fails for a row is broken
 * by it. Rows of deletions pass unseen: they have no content that could be judged.
 */
#include <stdio.h>

#include "client/lua.h"
#include "quality/rule.h"
#include "stage/stage.h"

enum { PATTERN_MAX = 1000 };

struct validate {
    const char *rules, *field, *name, *min, *max, *pattern, *expr; /* options */
    bool required;
    int64_t format, min_length, max_length, severity;
    const char *one_of;
    struct tg_rule rule;
    struct tg_rule_result found;
    struct tg_lua *lua;
    char code[4 * PATTERN_MAX + 200]; /* what a pattern is made */

    /* of a run */
    struct tg_batch *batch;
    const struct tg_stage_env *env;
    struct tg_error *err;
    tg_code result;
    char why[200]; /* an expression failed for the row in hand */
};

/* ---- options ---- */

static tg_code find_field(struct validate *v, struct tg_error *err)
{
    int id = v->field ? tg_field_find(tg_str_of(v->field)) : -1;

    if (!v->field) {
        tg_fail(err, TG_USAGE, "validate: no field is named");
        return tg_hint(err, "write validate?field=NAME&required, or validate?expr=EXPRESSION");
    }
    if (id < 0) {
        tg_fail(err, TG_USAGE, "validate: there is no field '%.60s'", v->field);
        return tg_hint(err, "tgdata schema lists them");
    }
    v->rule.field = (enum tg_field_id)id;
    snprintf(v->found.field, sizeof v->found.field, "%s", v->field);
    return TG_OK;
}

/* Which of the conditions is given: one, and one only. */
static tg_code find_kind(struct validate *v, struct tg_error *err)
{
    const struct {
        bool given;
        enum tg_rule_kind kind;
    } row[] = {
        { v->required, TG_RULE_COMPLETENESS },
        { v->format > 0, TG_RULE_FORMAT },
        { v->min || v->max, TG_RULE_RANGE },
        { v->one_of != NULL, TG_RULE_VALUES },
        { v->min_length >= 0 || v->max_length >= 0, TG_RULE_LENGTH },
        { v->pattern != NULL, TG_RULE_FORMAT },
        { v->expr != NULL, TG_RULE_EXPRESSION },
    };
    size_t n = 0;

    for (size_t i = 0; i < TG_COUNT(row); i++) {
        n += row[i].given;
        if (row[i].given)
            v->rule.kind = v->found.kind = row[i].kind;
    }
    if (v->rules) {
        tg_fail(err, TG_USAGE, "validate: a file of rules stands alone");
        return tg_hint(err, "write validate?rules=FILE; each rule has its options in the file");
    }
    if (n == 1)
        return TG_OK;
    tg_fail(err, TG_USAGE, "validate: %s condition is given", n ? "more than one" : "no");
    return tg_hint(err, n ? "give each a stage of its own: --stage validate?... --stage ..."
                          : "write one of required, format, min and max, one-of, min-length and "
                            "max-length, pattern, expr");
}

static tg_code bound(const struct validate *v, const char *text, int64_t *ret, struct tg_error *err)
{
    if (!text)
        return TG_OK;
    if (tg_field(v->rule.field)->type == TG_FIELD_TIME ? tg_time_parse(text, ret)
                                                       : tg_i64_parse(text, ret))
        return TG_OK;
    tg_fail(err, TG_USAGE, "validate: '%.60s' bounds no values of %s", text, v->field);
    return tg_hint(err, "give a number, or of a time a date");
}

static tg_code check_type(const struct validate *v, struct tg_error *err)
{
    enum tg_field_type type = tg_field(v->rule.field)->type;
    bool text = type == TG_FIELD_STR || type == TG_FIELD_JSON;

    if (v->rule.kind == TG_RULE_RANGE && text)
        return tg_fail(err, TG_USAGE, "validate: %s is text, which has no range", v->field);
    if (v->rule.kind == TG_RULE_LENGTH && !text)
        return tg_fail(err, TG_USAGE, "validate: %s is no text, and has no length", v->field);
    if (v->pattern && type != TG_FIELD_STR)
        return tg_fail(err, TG_USAGE, "validate: %s is no text, and has no pattern", v->field);
    return TG_OK;
}

/* Each byte of the pattern by its number, so that it needs no quotes. */
static tg_code pattern_code(struct validate *v, struct tg_error *err)
{
    size_t n = strlen(v->pattern);
    char *at = v->code;
    const char *end = v->code + sizeof v->code;

    if (n > PATTERN_MAX)
        return tg_fail(err, TG_USAGE, "validate: a pattern of more than %d bytes", PATTERN_MAX);
    at += snprintf(at, (size_t)(end - at), "string.find(row.%s, \"", v->field);
    for (size_t i = 0; i < n; i++)
        at += snprintf(at, (size_t)(end - at), "\\%03u", (unsigned)(uint8_t)v->pattern[i]);
    snprintf(at, (size_t)(end - at), "\") ~= nil");
    return TG_OK;
}

static tg_code open_lua(struct validate *v, struct tg_error *err)
{
    const struct tg_lua_options o = {
        .name = v->found.name,
        .code = v->expr ? v->expr : v->code,
        .expression = true,
        .steps = 1000000,
        .memory = 16 << 20,
    };
    tg_code code = v->pattern ? pattern_code(v, err) : TG_OK;

    return code == TG_OK ? tg_lua_new(&o, &v->lua, err) : code;
}

static void name_rule(struct validate *v)
{
    const char *what = v->pattern ? "pattern" : tg_rule_kind_name(v->rule.kind);

    if (v->name)
        snprintf(v->found.name, sizeof v->found.name, "%s", v->name);
    else if (v->expr)
        snprintf(v->found.name, sizeof v->found.name, "%s", v->expr);
    else
        snprintf(v->found.name, sizeof v->found.name, "%s: %s", v->field, what);
    for (char *c = v->found.name; *c; c++)
        if ((unsigned char)*c < ' ')
            *c = ' ';
}

static tg_code validate_open(void *self, struct tg_error *err)
{
    struct validate *v = self;
    tg_code code = find_kind(v, err);

    if (code == TG_OK && v->expr && v->field)
        code = tg_fail(err, TG_USAGE, "validate: an expression goes over the whole row; leave "
                                      "field= out");
    if (code == TG_OK && !v->expr)
        code = find_field(v, err);
    if (code != TG_OK)
        return code;
    v->found.severity = (enum tg_severity)v->severity;
    v->rule.format = (enum tg_format)(v->format - 1);
    v->rule.values = v->one_of;
    v->rule.min = v->rule.kind == TG_RULE_LENGTH ? v->min_length : INT64_MIN;
    v->rule.max = v->rule.kind == TG_RULE_LENGTH && v->max_length >= 0 ? v->max_length : INT64_MAX;
    name_rule(v);
    if (!v->expr)
        code = check_type(v, err);
    if (code == TG_OK)
        code = bound(v, v->min, &v->rule.min, err);
    if (code == TG_OK)
        code = bound(v, v->max, &v->rule.max, err);
    if (code == TG_OK && v->rule.min > v->rule.max)
        code = tg_fail(err, TG_USAGE, "validate: no %s is at least the least and at most the most",
                       v->rule.kind == TG_RULE_LENGTH ? "length" : "value");
    if (code == TG_OK && (v->expr || v->pattern))
        code = open_lua(v, err);
    return code;
}

static void validate_close(void *self)
{
    tg_lua_free(((struct validate *)self)->lua);
}

/* ---- rows ---- */

static bool holds_by_lua(struct validate *v, struct tg_row *row)
{
    struct tg_row_edit edit = { v->batch, row };
    struct tg_stage_counts *counts = v->env->counts;
    struct tg_error err;
    bool value = true;
    tg_code code;

    if (v->pattern && !(row->present >> v->rule.field & 1))
        return true;
    code = tg_lua_run(v->lua, &edit, v->env->now_us, &value, &err);
    if (code == TG_OK)
        return value;
    if (code != TG_DATA) { /* no row could mend it */
        *v->err = err;
        v->result = code;
        return true;
    }
    counts->failed++;
    snprintf(v->why, sizeof v->why, "%.199s", err.message);
    if (!counts->failed_why[0])
        memcpy(counts->failed_why, v->why, sizeof v->why);
    return false;
}

static bool stays(const void *self, const struct tg_row *at)
{
    struct validate *v = (struct validate *)(uintptr_t)self;
    struct tg_row *row = &v->batch->row[at - v->batch->row];
    bool holds;

    if (v->result != TG_OK || tg_row_changed(row) == TG_ROW_DELETED)
        return true;
    v->why[0] = 0;
    holds = v->lua ? holds_by_lua(v, row) : tg_rule_holds(&v->rule, row);
    if (v->result != TG_OK)
        return true;
    tg_stage_judge(&v->found, row, holds, v->env);
    if (!holds && v->severity == TG_SEVERITY_FAIL) {
        v->result = tg_fail(v->err, TG_DATA, "message %lld of chat %lld breaks the rule '%s'",
                            (long long)row->id, (long long)row->chat_id, v->found.name);
        tg_hint(v->err, "severity=warn, drop and quarantine go on behind such messages");
    } else if (!holds) {
        v->result = tg_stage_broken(&v->found, v->batch, row, v->why, v->env, v->err);
    }
    return holds || !tg_stage_takes_out(&v->found);
}

static tg_code validate_run(void *self, struct tg_batch *batch, const struct tg_stage_env *env,
                            struct tg_error *err)
{
    struct validate *v = self;

    v->batch = batch;
    v->env = env;
    v->err = err;
    v->result = TG_OK;
    tg_stage_keep(batch, env, stays, v);
    return v->result;
}

static void validate_merge(void *self, const void *other)
{
    tg_rule_merge(&((struct validate *)self)->found, &((const struct validate *)other)->found);
}

static void validate_tally(const void *self, struct tg_quality_result *q)
{
    q->rule[q->n_rules++] = ((const struct validate *)self)->found;
}

#define OPT(member, name_, type_, value_, help_)                                                   \
    { .name = name_, .type = TG_OPT_##type_, .offset = offsetof(struct validate, member),          \
      .value = value_, .help = help_ }
#define CHOICE(member, name_, fallback_, choices_, help_)                                          \
    { .name = name_, .type = TG_OPT_CHOICE, .offset = offsetof(struct validate, member),           \
      .fallback = fallback_, .choices = choices_, .help = help_ }
#define LENGTH(member, name_, help_)                                                               \
    { .name = name_, .type = TG_OPT_I64, .offset = offsetof(struct validate, member),              \
      .fallback = "-1", .min = -1, .max = INT32_MAX, .value = "N", .help = help_ }

static const struct tg_option validate_option[] = {
    OPT(rules, "rules", STR, "FILE", "instead of all else: the rules of a YAML file"),
    OPT(field, "field", STR, "NAME", "the field that is looked at"),
    OPT(required, "required", BOOL, NULL, "it has a value"),
    CHOICE(format, "format", "any", "any|datetime|positive_integer|hex", "what its value is"),
    OPT(min, "min", STR, "VALUE", "it is at least so much; of a time a date"),
    OPT(max, "max", STR, "VALUE", "it is at most so much"),
    OPT(one_of, "one-of", STR, "A,B,...", "it is one of these"),
    LENGTH(min_length, "min-length", "it has at least so many characters; -1: any"),
    LENGTH(max_length, "max-length", "it has at most so many characters; -1: any"),
    OPT(pattern, "pattern", STR, "PATTERN", "a Lua pattern is found in it; % is written %25"),
    OPT(expr, "expr", STR, "EXPRESSION", "instead of a field: true of the row, in Lua"),
    TG_STAGE_SEVERITY(struct validate, "warn",
                      "of a row that breaks the rule: count it, drop it, keep it as a dead letter, "
                      "end the run"),
    OPT(name, "name", STR, "NAME", "how the rule is called in what is told"),
    { 0 },
};

const struct tg_stage_ops tg_stage_validate = {
    .head = { "validate", "count, drop, keep or refuse rows that break a rule", validate_option,
              sizeof(struct validate) },
    .open = validate_open,
    .close = validate_close,
    .run = validate_run,
    .merge = validate_merge,
    .tally = validate_tally,
};

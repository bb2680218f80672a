/* SPDX-License-Identifier: MIT */
/*
 * rule.c - see rule.h
 */
#include "quality/rule.h"

static const char *const kind_name[] = { "completeness", "format",     "range",     "values",
                                         "length",       "expression", "uniqueness", "reference" };
_Static_assert(TG_COUNT(kind_name) == TG_RULE_KINDS, "one name per kind");
static const char *const severity_name[] = { "warn", "drop", "quarantine", "fail" };
_Static_assert(TG_COUNT(severity_name) == TG_SEVERITIES, "one name per severity");

const char *tg_rule_kind_name(enum tg_rule_kind kind)
{
    return kind_name[kind];
}

const char *tg_severity_name(enum tg_severity severity)
{
    return severity_name[severity];
}

int64_t tg_characters(struct tg_str text)
{
    int64_t n = 0;

    for (uint32_t i = 0; i < text.len; i++)
        n += ((uint8_t)text.at[i] & 0xc0) != 0x80; /* whatever does not go on a character */
    return n;
}

/* ---- one value ---- */

static bool is_text(enum tg_field_id id)
{
    return tg_field(id)->type == TG_FIELD_STR || tg_field(id)->type == TG_FIELD_JSON;
}

static struct tg_str text_of(const struct tg_row *row, enum tg_field_id id)
{
    struct tg_str text;

    memcpy(&text, (const char *)row + tg_row_offset[id], sizeof text);
    return text;
}

static bool is_hex(struct tg_str text)
{
    for (uint32_t i = 0; i < text.len; i++)
        if (!memchr("0123456789abcdefABCDEF", text.at[i], 22))
            return false;
    return text.len > 0;
}

static bool has_format(const struct tg_rule *rule, const struct tg_row *row)
{
    char text[64];
    struct tg_str value;
    int64_t n;

    if (!is_text(rule->field)) {
        n = tg_row_int(row, rule->field);
        return rule->format == TG_FORMAT_DATETIME ? tg_time_utc(text, n)
                                                  : rule->format == TG_FORMAT_HEX || n > 0;
    }
    value = text_of(row, rule->field);
    if (rule->format == TG_FORMAT_HEX)
        return is_hex(value);
    if (value.len >= sizeof text)
        return false;
    if (value.len)
        memcpy(text, value.at, value.len);
    text[value.len] = 0;
    if (rule->format == TG_FORMAT_DATETIME)
        return tg_time_parse(text, &n);
    return tg_i64_parse(text, &n) && n > 0;
}

static bool in_values(const struct tg_rule *rule, const struct tg_row *row)
{
    struct tg_str value;
    char number[24];

    if (is_text(rule->field)) {
        value = text_of(row, rule->field);
    } else {
        uint8_t *end = tg_put_i64_text((uint8_t *)number, tg_row_int(row, rule->field));

        value = (struct tg_str){ number, (uint32_t)((char *)end - number) };
    }
    for (const char *at = rule->values; *at;) {
        struct tg_str word = { at, (uint32_t)strcspn(at, ",") };

        if (tg_str_eq(word, value))
            return true;
        at += word.len + (at[word.len] == ',');
    }
    return false;
}

bool tg_rule_holds(const struct tg_rule *rule, const struct tg_row *row)
{
    bool there = row->present >> rule->field & 1;
    int64_t n;

    if (!there || rule->kind == TG_RULE_COMPLETENESS)
        return there || rule->kind != TG_RULE_COMPLETENESS;
    switch (rule->kind) {
    case TG_RULE_FORMAT:
        return has_format(rule, row);
    case TG_RULE_VALUES:
        return in_values(rule, row);
    case TG_RULE_LENGTH:
        n = tg_characters(text_of(row, rule->field));
        break;
    default:
        n = tg_row_int(row, rule->field);
    }
    return n >= rule->min && n <= rule->max;
}

/* ---- what was found ---- */

/* The field's value as text, of a long one the beginning. */
static void put_value(const char *field, const struct tg_row *row, char out[TG_RULE_VALUE])
{
    int id = field[0] ? tg_field_find(tg_str_of(field)) : -1;
    struct tg_str value = { "", 0 };
    uint8_t *end;

    out[0] = 0;
    if (id < 0 || !(row->present >> id & 1))
        return;
    if (is_text((enum tg_field_id)id)) {
        value = text_of(row, (enum tg_field_id)id);
        value.len = TG_MIN(value.len, TG_RULE_VALUE - 1u);
        memcpy(out, value.at, value.len);
        while (value.len && !tg_utf8_valid(out, value.len))
            value.len--;
        out[value.len] = 0;
    } else if (tg_field((enum tg_field_id)id)->type != TG_FIELD_TIME ||
               !tg_time_utc(out, tg_row_int(row, (enum tg_field_id)id))) {
        end = tg_put_i64_text((uint8_t *)out, tg_row_int(row, (enum tg_field_id)id));
        *end = 0;
    }
}

void tg_rule_count(struct tg_rule_result *r, const struct tg_row *row, bool holds)
{
    r->checked++;
    if (holds)
        return;
    r->broken++;
    if (r->n_examples < TG_RULE_EXAMPLES) {
        put_value(r->field, row, r->example[r->n_examples].value);
        r->example[r->n_examples].chat_id = row->chat_id;
        r->example[r->n_examples++].id = row->id;
    }
}

void tg_rule_merge(struct tg_rule_result *r, const struct tg_rule_result *other)
{
    r->checked += other->checked;
    r->broken += other->broken;
    for (size_t i = 0; i < other->n_examples && r->n_examples < TG_RULE_EXAMPLES; i++)
        r->example[r->n_examples++] = other->example[i];
}

double tg_validity_rate(const struct tg_quality_result *q)
{
    return q->rows ? (double)(q->rows - q->invalid) / (double)q->rows : 1;
}

double tg_completeness_score(const struct tg_quality_result *q)
{
    uint64_t wanted = 0, missing = 0;

    for (size_t i = 0; i < q->n_rules; i++)
        if (q->rule[i].kind == TG_RULE_COMPLETENESS) {
            wanted += q->rule[i].checked;
            missing += q->rule[i].broken;
        }
    return wanted ? (double)(wanted - missing) / (double)wanted : 1;
}

uint64_t tg_duplicate_count(const struct tg_quality_result *q)
{
    uint64_t n = 0;

    for (size_t i = 0; i < q->n_rules; i++)
        n += q->rule[i].kind == TG_RULE_UNIQUENESS ? q->rule[i].broken : 0;
    return n;
}

/* SPDX-License-Identifier: MIT */
/*
 * quality.c - see quality.h
 */
#include "cli/quality.h"

#include "cli/cli.h"
#include "cli/term.h"

static void rule_json(struct tg_json *j, const struct tg_rule_result *r)
{
    tg_json_object(j);
    tg_json_key(j, "name"), tg_json_cstr(j, r->name);
    tg_json_key(j, "kind"), tg_json_cstr(j, tg_rule_kind_name(r->kind));
    tg_json_key(j, "field"), tg_json_cstr(j, r->field[0] ? r->field : NULL);
    tg_json_key(j, "severity"), tg_json_cstr(j, tg_severity_name(r->severity));
    tg_json_key(j, "checked"), tg_json_u64(j, r->checked);
    tg_json_key(j, "broken"), tg_json_u64(j, r->broken);
    tg_json_key(j, "examples");
    tg_json_array(j);
    for (size_t i = 0; i < r->n_examples; i++) {
        tg_json_object(j);
        tg_json_key(j, "chat_id"), tg_json_i64(j, r->example[i].chat_id);
        tg_json_key(j, "id"), tg_json_i64(j, r->example[i].id);
        tg_json_end_object(j);
    }
    tg_json_end_array(j);
    tg_json_end_object(j);
}

void quality_json(struct tg_json *j, const struct tg_quality_result *q)
{
    tg_json_key(j, "quality");
    if (!q->n_rules) {
        tg_json_null(j);
        return;
    }
    tg_json_object(j);
    tg_json_key(j, "rows"), tg_json_u64(j, q->rows);
    tg_json_key(j, "invalid"), tg_json_u64(j, q->invalid);
    tg_json_key(j, "validity_rate"), tg_json_double(j, tg_validity_rate(q));
    tg_json_key(j, "completeness_score"), tg_json_double(j, tg_completeness_score(q));
    tg_json_key(j, "rules");
    tg_json_array(j);
    for (size_t i = 0; i < q->n_rules; i++)
        rule_json(j, &q->rule[i]);
    tg_json_end_array(j);
    tg_json_end_object(j);
}

static void rule_text(struct tg_buf *out, const struct tg_rule_result *r)
{
    char broken[32], checked[32];

    cli_number(broken, r->broken);
    cli_number(checked, r->checked);
    tg_buf_printf(out, "\n  %-4s  ", tg_severity_name(r->severity));
    cli_clean(out, r->name, SIZE_MAX);
    tg_buf_printf(out, ": broken by %s of %s", broken, checked);
    for (size_t i = 0; i < r->n_examples; i++)
        tg_buf_printf(out, "%s%lld of chat %lld", i ? ", " : "; such as message ",
                      (long long)r->example[i].id, (long long)r->example[i].chat_id);
}

void quality_text(struct tg_buf *out, const struct tg_quality_result *q)
{
    char invalid[32], rows[32];

    if (!q->n_rules)
        return;
    cli_number(invalid, q->invalid);
    cli_number(rows, q->rows);
    tg_buf_printf(out, "\nQuality: %.2f%% valid: %s of %s messages break a rule",
                  100 * tg_validity_rate(q), invalid, rows);
    for (size_t i = 0; i < q->n_rules; i++)
        rule_text(out, &q->rule[i]);
}

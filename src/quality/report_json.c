/* SPDX-License-Identifier: MIT */
/*
 * report_json.c - see report.h: the two that programs read
 */
#include "base/json.h"
#include "quality/report.h"

const double tg_report_share[] = { 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99 };
const char *const tg_report_share_name[] = { "p1", "p5", "p25", "p50", "p75", "p95", "p99" };

static const char *const type_name[] = { "integer", "time", "boolean", "string", "json" };

uint64_t tg_report_distinct(const struct tg_profile_field *f)
{
    uint64_t n = (uint64_t)(tg_hll_estimate(&f->distinct) + 0.5);

    return TG_MIN(TG_MAX(n, (uint64_t)(f->n > 0)), f->n);
}

static double share_of(uint64_t part, uint64_t all)
{
    return all ? (double)part / (double)all : 0;
}

/* ---- the profile ---- */

static void put_number(struct tg_json *j, enum tg_field_type type, int64_t n)
{
    if (type == TG_FIELD_TIME)
        tg_json_time(j, n);
    else if (type == TG_FIELD_BOOL)
        tg_json_bool(j, n != 0);
    else
        tg_json_i64(j, n);
}

static void put_numbers(struct tg_json *j, const struct tg_kll *k, enum tg_field_type type)
{
    int64_t at[TG_REPORT_SHARES];

    tg_json_key(j, "min"), put_number(j, type, k->min);
    tg_json_key(j, "max"), put_number(j, type, k->max);
    tg_json_key(j, "quantiles");
    if (!tg_kll_quantiles(k, tg_report_share, at, TG_REPORT_SHARES)) {
        tg_json_null(j);
        return;
    }
    tg_json_object(j);
    for (size_t i = 0; i < TG_REPORT_SHARES; i++)
        tg_json_key(j, tg_report_share_name[i]), put_number(j, type, at[i]);
    tg_json_end_object(j);
}

static void put_top(struct tg_json *j, const struct tg_top *t, enum tg_field_type type)
{
    const struct tg_top_value *best[TG_REPORT_TOP + 1];
    size_t n = tg_top_best(t, best, TG_REPORT_TOP);

    tg_json_array(j);
    for (size_t i = 0; i < n; i++) {
        tg_json_object(j);
        tg_json_key(j, "value");
        if (type == TG_FIELD_STR)
            tg_json_str(j, best[i]->text, best[i]->len);
        else
            put_number(j, type, best[i]->number);
        if (best[i]->cut)
            tg_json_key(j, "cut"), tg_json_bool(j, true);
        tg_json_key(j, "at_least"), tg_json_u64(j, best[i]->count);
        tg_json_key(j, "at_most"), tg_json_u64(j, best[i]->count + t->off);
        tg_json_end_object(j);
    }
    tg_json_end_array(j);
}

static void put_field(struct tg_json *j, const struct tg_report *r, size_t id)
{
    const struct tg_field *field = tg_field((enum tg_field_id)id);
    const struct tg_profile_field *f = r->profile->field[id];
    bool text = field->type == TG_FIELD_STR || field->type == TG_FIELD_JSON;
    uint64_t n = f ? f->n : 0;

    tg_json_object(j);
    tg_json_key(j, "name"), tg_json_cstr(j, field->name);
    tg_json_key(j, "type"), tg_json_cstr(j, type_name[field->type]);
    tg_json_key(j, "present"), tg_json_u64(j, n);
    tg_json_key(j, "nulls"), tg_json_u64(j, r->profile->rows - n);
    tg_json_key(j, "completeness"), tg_json_double(j, share_of(n, r->profile->rows));
    tg_json_key(j, "distinct"), tg_json_u64(j, f ? tg_report_distinct(f) : 0);
    if (n && text) {
        tg_json_key(j, "characters");
        tg_json_object(j);
        put_numbers(j, &f->numbers, TG_FIELD_I64);
        tg_json_end_object(j);
    } else if (n && field->type != TG_FIELD_BOOL) {
        put_numbers(j, &f->numbers, field->type);
    }
    if (n && field->type != TG_FIELD_JSON)
        tg_json_key(j, "top"), put_top(j, &f->top, field->type);
    tg_json_end_object(j);
}

void tg_report_json(const struct tg_report *r, struct tg_buf *out)
{
    struct tg_json j;

    tg_json_init(&j, out);
    tg_json_object(&j);
    tg_json_key(&j, "job"), tg_json_cstr(&j, r->job);
    tg_json_key(&j, "at"), tg_json_time(&j, r->now_us / TG_SECOND_US);
    tg_json_key(&j, "rows"), tg_json_u64(&j, r->profile->rows);
    tg_json_key(&j, "deletions"), tg_json_u64(&j, r->profile->deletions);
    tg_json_key(&j, "quality"), tg_quality_put(&j, r->quality);
    tg_json_key(&j, "fields");
    tg_json_array(&j);
    for (size_t i = 0; i < TG_FIELD_COUNT; i++)
        put_field(&j, r, i);
    tg_json_end_array(&j);
    tg_json_end_object(&j);
    tg_buf_byte(out, '\n');
}

/* ---- the form of Great Expectations ---- */

static const char *const expectation[] = {
    [TG_RULE_COMPLETENESS] = "expect_column_values_to_not_be_null",
    [TG_RULE_FORMAT] = "expect_column_values_to_match_format",
    [TG_RULE_RANGE] = "expect_column_values_to_be_between",
    [TG_RULE_VALUES] = "expect_column_values_to_be_in_set",
    [TG_RULE_LENGTH] = "expect_column_value_lengths_to_be_between",
    [TG_RULE_EXPRESSION] = "expect_expression_to_be_true",
    [TG_RULE_UNIQUENESS] = "expect_column_values_to_be_unique",
    [TG_RULE_REFERENCE] = "expect_reply_target_to_exist",
};
_Static_assert(TG_COUNT(expectation) == TG_RULE_KINDS, "one per kind");

static void put_found(struct tg_json *j, const struct tg_rule_result *rule)
{
    double percent = 100 * share_of(rule->broken, rule->checked);

    tg_json_object(j);
    tg_json_key(j, "element_count"), tg_json_u64(j, rule->checked);
    tg_json_key(j, "unexpected_count"), tg_json_u64(j, rule->broken);
    tg_json_key(j, "unexpected_percent"), tg_json_double(j, percent);
    tg_json_key(j, "partial_unexpected_list");
    tg_json_array(j);
    for (size_t i = 0; i < rule->n_examples; i++)
        tg_json_cstr(j, rule->example[i].value[0] ? rule->example[i].value : NULL);
    tg_json_end_array(j);
    tg_json_key(j, "partial_unexpected_index_list");
    tg_json_array(j);
    for (size_t i = 0; i < rule->n_examples; i++) {
        tg_json_object(j);
        tg_json_key(j, "chat_id"), tg_json_i64(j, rule->example[i].chat_id);
        tg_json_key(j, "id"), tg_json_i64(j, rule->example[i].id);
        tg_json_end_object(j);
    }
    tg_json_end_array(j);
    tg_json_end_object(j);
}

static void put_expectation(struct tg_json *j, const struct tg_rule_result *rule)
{
    bool several = rule->kind == TG_RULE_UNIQUENESS && !rule->field[0];
    const char *type = several ? "expect_compound_columns_to_be_unique" : expectation[rule->kind];

    tg_json_object(j);
    tg_json_key(j, "success"), tg_json_bool(j, rule->broken == 0);
    tg_json_key(j, "expectation_config");
    tg_json_object(j);
    tg_json_key(j, "type"), tg_json_cstr(j, type);
    tg_json_key(j, "kwargs");
    tg_json_object(j);
    if (rule->field[0])
        tg_json_key(j, "column"), tg_json_cstr(j, rule->field);
    tg_json_end_object(j);
    tg_json_key(j, "meta");
    tg_json_object(j);
    tg_json_key(j, "name"), tg_json_cstr(j, rule->name);
    tg_json_key(j, "severity"), tg_json_cstr(j, tg_severity_name(rule->severity));
    tg_json_end_object(j);
    tg_json_end_object(j);
    tg_json_key(j, "result"), put_found(j, rule);
    tg_json_key(j, "exception_info");
    tg_json_object(j);
    tg_json_key(j, "raised_exception"), tg_json_bool(j, false);
    tg_json_key(j, "exception_message"), tg_json_null(j);
    tg_json_key(j, "exception_traceback"), tg_json_null(j);
    tg_json_end_object(j);
    tg_json_key(j, "meta"), tg_json_object(j), tg_json_end_object(j);
    tg_json_end_object(j);
}

void tg_report_expectations(const struct tg_report *r, struct tg_buf *out)
{
    const struct tg_quality_result *q = r->quality;
    size_t good = 0;
    struct tg_json j;

    for (size_t i = 0; i < q->n_rules; i++)
        good += q->rule[i].broken == 0;
    tg_json_init(&j, out);
    tg_json_object(&j);
    tg_json_key(&j, "success"), tg_json_bool(&j, good == q->n_rules);
    tg_json_key(&j, "results");
    tg_json_array(&j);
    for (size_t i = 0; i < q->n_rules; i++)
        put_expectation(&j, &q->rule[i]);
    tg_json_end_array(&j);
    tg_json_key(&j, "suite_name"), tg_json_cstr(&j, r->job);
    tg_json_key(&j, "suite_parameters"), tg_json_object(&j), tg_json_end_object(&j);
    tg_json_key(&j, "statistics");
    tg_json_object(&j);
    tg_json_key(&j, "evaluated_expectations"), tg_json_u64(&j, q->n_rules);
    tg_json_key(&j, "successful_expectations"), tg_json_u64(&j, good);
    tg_json_key(&j, "unsuccessful_expectations"), tg_json_u64(&j, q->n_rules - good);
    tg_json_key(&j, "success_percent");
    if (q->n_rules)
        tg_json_double(&j, 100 * share_of(good, q->n_rules));
    else
        tg_json_null(&j);
    tg_json_end_object(&j);
    tg_json_key(&j, "meta");
    tg_json_object(&j);
    tg_json_key(&j, "run_time"), tg_json_time(&j, r->now_us / TG_SECOND_US);
    tg_json_key(&j, "rows"), tg_json_u64(&j, q->rows);
    tg_json_key(&j, "validity_rate"), tg_json_double(&j, tg_validity_rate(q));
    tg_json_key(&j, "completeness_score"), tg_json_double(&j, tg_completeness_score(q));
    tg_json_key(&j, "duplicate_count"), tg_json_u64(&j, tg_duplicate_count(q));
    tg_json_end_object(&j);
    tg_json_end_object(&j);
    tg_buf_byte(out, '\n');
}

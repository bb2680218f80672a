/* SPDX-License-Identifier: MIT */
/*
 * result.c - what rules found of a run and what is other than before, as JSON; see
 * tgdata/quality.h
 */
#include "base/json.h"
#include "quality/report.h"

enum { RESULT_MAX = 4 << 20 };

static void put_rule(struct tg_json *j, const struct tg_rule_result *r)
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
        tg_json_key(j, "value");
        tg_json_cstr(j, r->example[i].value[0] ? r->example[i].value : NULL);
        tg_json_end_object(j);
    }
    tg_json_end_array(j);
    tg_json_end_object(j);
}

static void put_drift(struct tg_json *j, const struct tg_drift *d)
{
    tg_json_object(j);
    tg_json_key(j, "field"), tg_json_cstr(j, d->field);
    tg_json_key(j, "kind"), tg_json_cstr(j, tg_drift_kind_name(d->kind));
    tg_json_key(j, "before"), tg_json_double(j, d->before);
    tg_json_key(j, "now"), tg_json_double(j, d->now);
    tg_json_key(j, "score"), tg_json_double(j, d->score);
    tg_json_key(j, "limit"), tg_json_double(j, d->limit);
    tg_json_end_object(j);
}

static void put_drifts(struct tg_json *j, const struct tg_quality_result *q)
{
    if (!q->drift_rows) {
        tg_json_null(j);
        return;
    }
    tg_json_object(j);
    tg_json_key(j, "since"), tg_json_time(j, q->drift_at_s);
    tg_json_key(j, "rows"), tg_json_u64(j, q->drift_rows);
    tg_json_key(j, "fields"), tg_json_array(j);
    for (size_t i = 0; i < q->n_drifts; i++)
        put_drift(j, &q->drift[i]);
    tg_json_end_array(j);
    tg_json_end_object(j);
}

void tg_quality_put(struct tg_json *j, const struct tg_quality_result *q)
{
    if (!q->n_rules && !q->drift_rows) {
        tg_json_null(j);
        return;
    }
    tg_json_object(j);
    tg_json_key(j, "rows"), tg_json_u64(j, q->rows);
    tg_json_key(j, "invalid"), tg_json_u64(j, q->invalid);
    tg_json_key(j, "validity_rate"), tg_json_double(j, tg_validity_rate(q));
    tg_json_key(j, "completeness_score"), tg_json_double(j, tg_completeness_score(q));
    tg_json_key(j, "duplicate_count"), tg_json_u64(j, tg_duplicate_count(q));
    tg_json_key(j, "rules");
    tg_json_array(j);
    for (size_t i = 0; i < q->n_rules; i++)
        put_rule(j, &q->rule[i]);
    tg_json_end_array(j);
    tg_json_key(j, "drift"), put_drifts(j, q);
    tg_json_end_object(j);
}

size_t tg_quality_json(const struct tg_quality_result *q, char *out, size_t n)
{
    struct tg_buf text;
    struct tg_json j;
    size_t len;

    tg_buf_init(&text, RESULT_MAX);
    tg_json_init(&j, &text);
    tg_quality_put(&j, q);
    len = text.failed ? 0 : text.len;
    if (n) {
        memcpy(out, tg_buf_cstr(&text), TG_MIN(len, n - 1));
        out[TG_MIN(len, n - 1)] = 0;
    }
    tg_buf_done(&text);
    return len;
}

/* SPDX-License-Identifier: MIT */
/*
 * quality.c - see quality.h
 */
#include "cli/quality.h"

#include <stdlib.h>

#include "base/text.h"
#include "cli/term.h"

enum { WARN_FIELDS = 8 }; /* that a warning names */

void quality_json(struct tg_json *j, const struct tg_quality_result *q)
{
    size_t n = tg_quality_json(q, NULL, 0) + 1;
    char *text = malloc(n);

    if (text)
        tg_quality_json(q, text, n);
    tg_json_key(j, "quality");
    if (text && n > 1)
        tg_json_raw(j, text, n - 1);
    else
        tg_json_null(j);
    free(text);
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

/* "Drift: views: values 12 -> 340 (score 0.9, told above 0.2)" */
static void drift_text(struct tg_buf *out, const struct tg_quality_result *q)
{
    char at[21] = "";

    if (!q->n_drifts)
        return;
    tg_time_utc(at, q->drift_at_s);
    tg_buf_printf(out, "\nDrift against the run of %s:", at);
    for (size_t i = 0; i < q->n_drifts; i++) {
        const struct tg_drift *d = &q->drift[i];

        tg_buf_printf(out, "\n  %s: %s %.4g -> %.4g (score %.2f, told above %.2f)", d->field,
                      tg_drift_kind_name(d->kind), d->before, d->now, d->score, d->limit);
    }
}

void quality_text(struct tg_buf *out, const struct tg_quality_result *q)
{
    char invalid[32], rows[32];

    drift_text(out, q);
    if (!q->n_rules)
        return;
    cli_number(invalid, q->invalid);
    cli_number(rows, q->rows);
    tg_buf_printf(out, "\nQuality: %.2f%% valid: %s of %s messages break a rule",
                  100 * tg_validity_rate(q), invalid, rows);
    for (size_t i = 0; i < q->n_rules; i++)
        rule_text(out, &q->rule[i]);
}

void quality_warn(struct cli *cli, const struct tg_quality_result *q)
{
    char fields[400] = "", more[32] = "";
    size_t len = 0, n = TG_MIN(q->n_drifts, (size_t)WARN_FIELDS);

    for (size_t i = 0; i < n; i++)
        len += (size_t)snprintf(fields + len, sizeof fields - len, "%s%s of %s", i ? ", " : "",
                                tg_drift_kind_name(q->drift[i].kind), q->drift[i].field);
    if (q->n_drifts > n)
        snprintf(more, sizeof more, ", and %zu more", q->n_drifts - n);
    if (q->n_drifts)
        cli_tell(cli, TG_LOG_WARNING, "warning: other than in the run before: %s%s", fields,
                 more);
}

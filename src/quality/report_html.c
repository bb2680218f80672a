/* SPDX-License-Identifier: MIT */
/*
 * report_html.c - see report.h: the page that people read
 *
 * One file without scripts: light or dark as the reader's system is; charts are SVG, bars CSS.
 * All text that came from messages is escaped.
 */
#include <stdio.h>

#include "quality/report.h"

enum { BINS = 24, BAR_WIDTH = 10, BAR_HEIGHT = 64 };

static const char style[] =
    ":root{color-scheme:light dark;--bg:#f6f7f9;--card:#fff;--ink:#1b1f24;--soft:#667080;"
    "--line:#dfe3e8;--bar:#3b82c4;--good:#2e9e6b;--bad:#d2503f}"
    "@media(prefers-color-scheme:dark){:root{--bg:#14171b;--card:#1d2126;--ink:#e6e9ed;"
    "--soft:#98a2b0;--line:#323840;--bar:#5aa2e6;--good:#4cc38a;--bad:#ef7667}}"
    "*{box-sizing:border-box}body{margin:0;background:var(--bg);color:var(--ink);"
    "font:15px/1.45 system-ui,sans-serif}main{max-width:1180px;margin:auto;padding:24px 16px}"
    "h1{font-size:22px;margin:0}h2{font-size:17px;margin:28px 0 10px}p{margin:2px 0 16px;"
    "color:var(--soft)}.grid{display:grid;gap:12px;grid-template-columns:repeat(auto-fill,"
    "minmax(min(330px,100%),1fr))}.sums{grid-template-columns:repeat(auto-fill,minmax(150px,1fr))}"
    ".card{background:var(--card);border:1px solid var(--line);border-radius:8px;padding:12px 14px;"
    "min-width:0}.card b{font-size:15px}.sums b{display:block;font-size:22px}"
    "small{color:var(--soft)}table{border-collapse:collapse;width:100%}.wide{overflow-x:auto}"
    "td,th{text-align:left;padding:4px 10px 4px 0;border-bottom:1px solid var(--line);"
    "font-weight:400}th{color:var(--soft)}.n{text-align:right;font-variant-numeric:tabular-nums}"
    ".bar{height:6px;border-radius:3px;background:var(--line);margin:6px 0;overflow:hidden}"
    ".bar i{display:block;height:100%;background:var(--good)}.bar.bad i{background:var(--bad)}"
    ".top{display:grid;grid-template-columns:minmax(0,1fr) auto;gap:0 8px;font-size:13px}"
    ".top span{overflow:hidden;text-overflow:ellipsis;white-space:nowrap;border-radius:3px;"
    "padding:0 4px;background:linear-gradient(to right,color-mix(in srgb,var(--bar) 30%,"
    "transparent) var(--w),transparent var(--w))}"
    "svg{width:100%;height:64px;display:block;margin-top:8px}svg rect{fill:var(--bar)}"
    ".ends{display:flex;flex-wrap:wrap;gap:0 8px;justify-content:space-between;font-size:12px;"
    "color:var(--soft)}";

static void put_escaped(struct tg_buf *out, const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        const char c = text[i];

        if (c == '<')
            tg_buf_str(out, "&lt;");
        else if (c == '>')
            tg_buf_str(out, "&gt;");
        else if (c == '&')
            tg_buf_str(out, "&amp;");
        else if (c == '"')
            tg_buf_str(out, "&quot;");
        else
            tg_buf_byte(out, (unsigned char)c < ' ' ? ' ' : (uint8_t)c);
    }
}

static void put_value(struct tg_buf *out, enum tg_field_type type, int64_t n)
{
    char text[21];

    if (type == TG_FIELD_TIME && tg_time_utc(text, n))
        tg_buf_str(out, text);
    else if (type == TG_FIELD_BOOL)
        tg_buf_str(out, n ? "true" : "false");
    else
        tg_buf_i64_text(out, n);
}

static double percent(uint64_t part, uint64_t all)
{
    return all ? 100.0 * (double)part / (double)all : 100;
}

static void put_bar(struct tg_buf *out, double share, bool bad)
{
    tg_buf_printf(out, "<div class=\"bar%s\"><i style=\"width:%.1f%%\"></i></div>",
                  bad ? " bad" : "", share);
}

/* ---- the whole ---- */

static void put_sum(struct tg_buf *out, const char *value, const char *what)
{
    tg_buf_printf(out, "<div class=card><b>%s</b><small>%s</small></div>", value, what);
}

static bool has_uniqueness(const struct tg_quality_result *q)
{
    for (size_t i = 0; i < q->n_rules; i++)
        if (q->rule[i].kind == TG_RULE_UNIQUENESS)
            return true;
    return false;
}

static void put_sums(const struct tg_report *r, struct tg_buf *out)
{
    const struct tg_quality_result *q = r->quality;
    char text[32];

    tg_buf_str(out, "<div class=\"grid sums\">");
    snprintf(text, sizeof text, "%llu", (unsigned long long)r->profile->rows);
    put_sum(out, text, "messages");
    snprintf(text, sizeof text, "%llu", (unsigned long long)r->profile->deletions);
    if (r->profile->deletions)
        put_sum(out, text, "deletions");
    if (q->n_rules) {
        snprintf(text, sizeof text, "%.2f %%", 100 * tg_validity_rate(q));
        put_sum(out, text, "break no rule");
        snprintf(text, sizeof text, "%.2f %%", 100 * tg_completeness_score(q));
        put_sum(out, text, "of required values are there");
    }
    snprintf(text, sizeof text, "%llu", (unsigned long long)tg_duplicate_count(q));
    if (has_uniqueness(q))
        put_sum(out, text, "duplicates");
    snprintf(text, sizeof text, "%zu", q->n_drifts);
    if (q->drift_rows)
        put_sum(out, text, "differences from the run before");
    tg_buf_str(out, "</div>");
}

static void put_rule(struct tg_buf *out, const struct tg_rule_result *rule)
{
    tg_buf_str(out, "<tr><td>");
    put_escaped(out, rule->name, strlen(rule->name));
    tg_buf_printf(out, "</td><td>%s</td><td class=n>%llu</td><td class=n>%llu</td><td>",
                  tg_severity_name(rule->severity), (unsigned long long)rule->checked,
                  (unsigned long long)rule->broken);
    put_bar(out, percent(rule->checked - rule->broken, rule->checked), rule->broken > 0);
    tg_buf_str(out, "</td><td>");
    for (size_t i = 0; i < rule->n_examples; i++) {
        const char *value = rule->example[i].value;

        tg_buf_printf(out, "%s%lld of %lld", i ? ", " : "", (long long)rule->example[i].id,
                      (long long)rule->example[i].chat_id);
        if (!*value)
            continue;
        tg_buf_str(out, " (");
        put_escaped(out, value, strlen(value));
        tg_buf_str(out, ")");
    }
    tg_buf_str(out, "</td></tr>");
}

static void put_rules(const struct tg_quality_result *q, struct tg_buf *out)
{
    if (!q->n_rules)
        return;
    tg_buf_str(out, "<h2>Rules</h2><div class=\"card wide\"><table><tr><th>rule<th>severity"
                    "<th class=n>looked at<th class=n>broken<th>met by<th>such as message</tr>");
    for (size_t i = 0; i < q->n_rules; i++)
        put_rule(out, &q->rule[i]);
    tg_buf_str(out, "</table></div>");
}

static void put_drifts(const struct tg_quality_result *q, struct tg_buf *out)
{
    char at[21] = "";

    if (!q->n_drifts)
        return;
    tg_time_utc(at, q->drift_at_s);
    tg_buf_printf(out, "<h2>Other than in the run of %s</h2><div class=\"card wide\"><table><tr>"
                       "<th>field<th>what<th class=n>before<th class=n>now<th class=n>score"
                       "<th class=n>told above</tr>", at);
    for (size_t i = 0; i < q->n_drifts; i++) {
        const struct tg_drift *d = &q->drift[i];

        tg_buf_printf(out, "<tr><td>%s</td><td>%s</td><td class=n>%.4g</td><td class=n>%.4g</td>"
                           "<td class=n>%.2f</td><td class=n>%.2f</td></tr>", d->field,
                      tg_drift_kind_name(d->kind), d->before, d->now, d->score, d->limit);
    }
    tg_buf_str(out, "</table></div>");
}

/* ---- a field ---- */

/* How its numbers lie between the hundredth and the last hundredth of them. */
static void put_histogram(struct tg_buf *out, const struct tg_kll *k, enum tg_field_type type)
{
    const double share[] = { 0.01, 0.99 };
    double bin[BINS], most = 0, width;
    uint64_t before;
    int64_t end[2];

    if (!tg_kll_quantiles(k, share, end, 2) || end[0] == end[1])
        return;
    width = ((double)end[1] - (double)end[0]) / BINS;
    before = tg_kll_below(k, end[0]);
    for (int i = 0; i < BINS; i++) {
        double to = (double)end[0] + width * (i + 1);
        uint64_t upto = i == BINS - 1 || to >= 9.2e18 ? tg_kll_upto(k, end[1])
                                                      : tg_kll_below(k, (int64_t)to);

        bin[i] = upto > before ? (double)(upto - before) : 0;
        before = TG_MAX(before, upto);
        most = TG_MAX(most, bin[i]);
    }
    tg_buf_printf(out, "<svg viewBox=\"0 0 %d %d\" preserveAspectRatio=none role=img "
                       "aria-label=histogram>",
                  BINS * BAR_WIDTH, BAR_HEIGHT);
    for (int i = 0; i < BINS; i++) {
        double height = most > 0 ? bin[i] / most * BAR_HEIGHT : 0;

        tg_buf_printf(out, "<rect x=%d y=%.1f width=%d height=%.1f />", i * BAR_WIDTH,
                      BAR_HEIGHT - height, BAR_WIDTH - 1, height);
    }
    tg_buf_str(out, "</svg><div class=ends><span>");
    put_value(out, type, end[0]);
    tg_buf_str(out, "</span><span>");
    put_value(out, type, end[1]);
    tg_buf_str(out, "</span></div>");
}

static void put_numbers(struct tg_buf *out, const struct tg_kll *k, enum tg_field_type type,
                        const char *unit)
{
    const double half = 0.5;
    int64_t median;

    tg_buf_str(out, "<br><small>");
    put_value(out, type, k->min);
    tg_buf_str(out, " to ");
    put_value(out, type, k->max);
    tg_buf_str(out, unit);
    if (tg_kll_quantiles(k, &half, &median, 1)) {
        tg_buf_str(out, ", median ");
        put_value(out, type, median);
    }
    tg_buf_str(out, "</small>");
    put_histogram(out, k, type);
}

/* Values that came once tell nothing; nor do those that others may have outdone. */
static void put_top(struct tg_buf *out, const struct tg_profile_field *f, enum tg_field_type type)
{
    const struct tg_top_value *best[TG_REPORT_TOP + 1];
    size_t n = tg_top_best(&f->top, best, TG_REPORT_TOP);

    tg_buf_str(out, "<div class=top>");
    for (size_t i = 0; i < n && best[i]->count > TG_MAX(f->top.off, UINT64_C(1)); i++) {
        tg_buf_printf(out, "<span style=\"--w:%.1f%%\">", percent(best[i]->count, f->n));
        if (type == TG_FIELD_STR)
            put_escaped(out, best[i]->text, best[i]->len);
        else
            put_value(out, type, best[i]->number);
        tg_buf_printf(out, "%s</span><span class=n>%llu</span>", best[i]->cut ? "&hellip;" : "",
                      (unsigned long long)best[i]->count);
    }
    tg_buf_str(out, "</div>");
}

static void put_field(const struct tg_report *r, size_t id, struct tg_buf *out)
{
    const struct tg_field *field = tg_field((enum tg_field_id)id);
    const struct tg_profile_field *f = r->profile->field[id];
    bool text = field->type == TG_FIELD_STR || field->type == TG_FIELD_JSON;
    double there = percent(f->n, r->profile->rows);

    tg_buf_printf(out, "<div class=card><b>%s</b> <small>%s</small>", field->name, field->meaning);
    put_bar(out, there, false);
    tg_buf_printf(out, "<small>in %.1f %%, %llu different</small>", there,
                  (unsigned long long)tg_report_distinct(f));
    if (field->type != TG_FIELD_BOOL)
        put_numbers(out, &f->numbers, text ? TG_FIELD_I64 : field->type,
                    text ? " characters" : "");
    if (field->type != TG_FIELD_JSON && field->type != TG_FIELD_BOOL)
        put_top(out, f, field->type);
    tg_buf_str(out, "</div>");
}

void tg_report_html(const struct tg_report *r, struct tg_buf *out)
{
    char at[21] = "";
    bool any = false;

    tg_time_utc(at, r->now_us / TG_SECOND_US);
    tg_buf_str(out, "<!doctype html><html lang=en><head><meta charset=utf-8><meta name=viewport "
                    "content=\"width=device-width,initial-scale=1\"><title>Data quality: ");
    put_escaped(out, r->job, strlen(r->job));
    tg_buf_printf(out, "</title><style>%s</style></head><body><main><h1>", style);
    put_escaped(out, r->job, strlen(r->job));
    tg_buf_printf(out, "</h1><p>Data quality, %s</p>", at);
    put_sums(r, out);
    put_rules(r->quality, out);
    put_drifts(r->quality, out);
    tg_buf_str(out, "<h2>Fields</h2><div class=grid>");
    for (size_t i = 0; i < TG_FIELD_COUNT; i++)
        if (r->profile->field[i])
            put_field(r, i, out);
    tg_buf_str(out, "</div><p>In no message:");
    for (size_t i = 0; i < TG_FIELD_COUNT; i++)
        if (!r->profile->field[i]) {
            tg_buf_printf(out, "%s %s", any ? "," : "", tg_field((enum tg_field_id)i)->name);
            any = true;
        }
    tg_buf_printf(out, "%s</p></main></body></html>\n", any ? "" : " -");
}

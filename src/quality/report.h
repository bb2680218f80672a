/* SPDX-License-Identifier: MIT */
/*
 * report.h - what a run found of its rows, for programs and for people
 *
 * Threads: none: pure functions
 */
#ifndef TG_QUALITY_REPORT_H
#define TG_QUALITY_REPORT_H

#include "base/json.h"
#include "quality/profile.h"
#include "tgdata/quality.h"

enum { TG_REPORT_TOP = 10 };

struct tg_report {
    const char *job;
    int64_t now_us;
    const struct tg_profile *profile;
    const struct tg_quality_result *quality; /* n_rules 0: there were no rules */
};

/** What rules found and what is other than before, as an object; null: nothing of both. */
void tg_quality_put(struct tg_json *j, const struct tg_quality_result *q);

/** The profile as a JSON object; docs/quality.md tells its members. */
void tg_report_json(const struct tg_report *r, struct tg_buf *out);

/** Profile and rules as one page with charts, that needs nothing beside it. */
void tg_report_html(const struct tg_report *r, struct tg_buf *out);

/** The rules as an object in the form that Great Expectations' validation results have. */
void tg_report_expectations(const struct tg_report *r, struct tg_buf *out);

/** The quantiles that reports tell. */
enum { TG_REPORT_SHARES = 7 };
extern const double tg_report_share[TG_REPORT_SHARES];
extern const char *const tg_report_share_name[TG_REPORT_SHARES];

/** @return how many different values there are, at most as many as there are values */
uint64_t tg_report_distinct(const struct tg_profile_field *f);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * quality.h - what rules found of the rows of a run: how many broke which, and examples
 *
 * A rule is a stage of the run, `validate?field=text&max-length=4096` (docs/quality.md). What it
 * found is part of the run's result.
 *
 * Threads: none: value types
 */
#ifndef TGDATA_QUALITY_H
#define TGDATA_QUALITY_H

#include <stddef.h>

#include "tgdata/error.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { TG_RULES_MAX = 64, TG_RULE_EXAMPLES = 3, TG_RULE_VALUE = 48,
       TG_DRIFTS_MAX = 32 };

enum tg_rule_kind {
    TG_RULE_COMPLETENESS, /**< the field has a value */
    TG_RULE_FORMAT,       /**< it is written as it should be */
    TG_RULE_RANGE,
    TG_RULE_VALUES,       /**< it is one of a list */
    TG_RULE_LENGTH,       /**< in characters */
    TG_RULE_EXPRESSION,   /**< an expression is true */
    TG_RULE_UNIQUENESS,   /**< no row before had the same keys (the stage `dedup`) */
    TG_RULE_REFERENCE,    /**< the message that it answers is there (the stage `replies`) */
    TG_RULE_KINDS
};

enum tg_severity {
    TG_SEVERITY_WARN, /**< the row stays */
    TG_SEVERITY_DROP, /**< it goes */
    TG_SEVERITY_QUARANTINE, /**< it is kept aside, as a dead letter (tgdata/letters.h) */
    TG_SEVERITY_FAIL, /**< the run ends */
    TG_SEVERITIES
};

/** @return "completeness", "format", ... */
TG_API const char *tg_rule_kind_name(enum tg_rule_kind kind);
/** @return "warn", "drop", "quarantine", "fail" */
TG_API const char *tg_severity_name(enum tg_severity severity);

/** A rule, and what it found. */
struct tg_rule_result {
    char name[64];
    enum tg_rule_kind kind;
    enum tg_severity severity;
    char field[24];     /**< "": of an expression, of several keys */
    uint64_t checked;   /**< rows */
    uint64_t broken;    /**< of them, rows that broke it */
    size_t n_examples;  /**< the first of those; of a run with several stage workers some of the
                             first */
    struct {
        int64_t chat_id, id;
        char value[TG_RULE_VALUE]; /**< of the field, cut where it is long; "": it has none */
    } example[TG_RULE_EXAMPLES];
};

/** In what a field may differ from the run before. */
enum tg_drift_kind {
    TG_DRIFT_NULLS,    /**< the share of rows without it */
    TG_DRIFT_VALUES,   /**< how its numbers lie; before and now: their medians */
    TG_DRIFT_LENGTHS,  /**< how long its texts are, in characters; their medians */
    TG_DRIFT_TOP,      /**< the values that were most frequent; the share that they have */
    TG_DRIFT_DISTINCT, /**< the share of different values */
    TG_DRIFT_KINDS
};

/** @return "nulls", "values", "lengths", "top", "distinct" */
TG_API const char *tg_drift_kind_name(enum tg_drift_kind kind);

/** A field that is other than in the run before. */
struct tg_drift {
    char field[24];
    enum tg_drift_kind kind;
    double before, now;
    double score, limit; /**< it is told as score > limit; of nulls and distinct a difference of
                              shares, else a population stability index */
};

/** What all rules of a run found. */
struct tg_quality_result {
    uint64_t rows;    /**< that at least one rule looked at */
    uint64_t invalid; /**< of them, rows that broke at least one */
    size_t n_rules;
    struct tg_rule_result rule[TG_RULES_MAX];

    /* Of the stage `profile`: what is other than in the run before. */
    uint64_t drift_rows; /**< that run had; 0: there is none to compare with */
    int64_t drift_at_s;  /**< when it ended, Unix seconds */
    size_t n_drifts;     /**< the first TG_DRIFTS_MAX */
    struct tg_drift drift[TG_DRIFTS_MAX];
};

/** @return the share of rows that broke no rule; 1 if there was none */
TG_API double tg_validity_rate(const struct tg_quality_result *q);
/** @return the share of values that were there, of those that rules of completeness looked for;
 *          1 if there was none */
TG_API double tg_completeness_score(const struct tg_quality_result *q);

/**
 * Writes all of it as a JSON object, or null if there was no rule and nothing to compare with:
 *
 *   {"rows":N,"invalid":N,"validity_rate":0..1,"completeness_score":0..1,"duplicate_count":N,
 *    "rules":[{"name","kind","field","severity","checked","broken",
 *              "examples":[{"chat_id","id","value"}]}],
 *    "drift":{"since":TIME,"rows":N,"fields":[{"field","kind","before","now","score","limit"}]}}
 *
 * @param out  gets at most n - 1 bytes and a NUL; may be NULL with n 0
 * @return length of the whole text, as snprintf; 0 out of memory
 */
TG_API size_t tg_quality_json(const struct tg_quality_result *q, char *out, size_t n);

/** @return rows that rules of uniqueness found to be there before */
TG_API uint64_t tg_duplicate_count(const struct tg_quality_result *q);

#ifdef __cplusplus
}
#endif
#endif

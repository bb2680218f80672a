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

enum { TG_RULES_MAX = 64, TG_RULE_EXAMPLES = 3 };

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
    } example[TG_RULE_EXAMPLES];
};

/** What all rules of a run found. */
struct tg_quality_result {
    uint64_t rows;    /**< that at least one rule looked at */
    uint64_t invalid; /**< of them, rows that broke at least one */
    size_t n_rules;
    struct tg_rule_result rule[TG_RULES_MAX];
};

/** @return the share of rows that broke no rule; 1 if there was none */
TG_API double tg_validity_rate(const struct tg_quality_result *q);
/** @return the share of values that were there, of those that rules of completeness looked for;
 *          1 if there was none */
TG_API double tg_completeness_score(const struct tg_quality_result *q);

#ifdef __cplusplus
}
#endif
#endif

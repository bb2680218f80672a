/* SPDX-License-Identifier: MIT */
/*
 * rule.h - what a value must be, and how many were not
 *
 * A rule is one condition on one field. A row without the field meets every condition but that of
 * completeness: "if there is a text, it has at most 4096 characters".
 *
 * Threads: none: value types
 */
#ifndef TG_QUALITY_RULE_H
#define TG_QUALITY_RULE_H

#include "base/row.h"
#include "tgdata/quality.h"

enum tg_format { TG_FORMAT_DATETIME, TG_FORMAT_POSITIVE_INTEGER, TG_FORMAT_HEX };

struct tg_rule {
    enum tg_rule_kind kind; /* not TG_RULE_EXPRESSION */
    enum tg_field_id field;
    enum tg_format format;
    int64_t min, max;   /* of a range, of a length */
    const char *values; /* "a,b,c" */
};

/** @return whether the row meets it */
bool tg_rule_holds(const struct tg_rule *rule, const struct tg_row *row);

/** Counts a row in. */
void tg_rule_count(struct tg_rule_result *r, const struct tg_row *row, bool holds);

/** Adds what another instance of the same rule found of other rows. */
void tg_rule_merge(struct tg_rule_result *r, const struct tg_rule_result *other);

/** @return how many characters well-formed UTF-8 has */
int64_t tg_characters(struct tg_str text);

#endif

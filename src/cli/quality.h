/* SPDX-License-Identifier: MIT */
/*
 * quality.h - what rules found, in the summaries of transform, stream and delta
 *
 * Threads: main
 */
#ifndef TG_CLI_QUALITY_H
#define TG_CLI_QUALITY_H

#include "base/json.h"
#include "cli/cli.h"
#include "tgdata/quality.h"

/** Adds the member "quality" to an object; null without a rule. */
void quality_json(struct tg_json *j, const struct tg_quality_result *q);

/** Appends lines, each after a line feed; none without a rule. */
/** Warns in the log if there is drift. */
void quality_warn(struct cli *cli, const struct tg_quality_result *q);
void quality_text(struct tg_buf *out, const struct tg_quality_result *q);

#endif

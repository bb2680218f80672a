/* SPDX-License-Identifier: MIT */
/*
 * steps.h - what a run does to its rows, one step after the other (tgdata/stage.h)
 *
 *   settings: enrich, stage..., filter..., transform... --+
 *   the caller's own steps -------------------------------+--> struct tg_steps, files of rules in
 *                                                              their places --> stages opened
 *
 * Whoever runs them opens the stages among them for itself, since a stage is single-threaded.
 *
 * Threads: none: one at a time for a list of open stages      Limits: 64 steps
 */
#ifndef TG_STEPS_H
#define TG_STEPS_H

#include "config/rules.h"
#include "stage/stage.h"
#include "tgdata/stage.h"

/** The steps of a run. */
struct tg_steps {
    struct tg_step step[TG_STAGES_MAX];
    size_t n;
    struct tg_stage_texts texts; /* of those that are stages, in their order */
};

void tg_steps_init(struct tg_steps *s);
void tg_steps_done(struct tg_steps *s); /* zeroes are fine */

/** Adds those of the settings. @return TG_USAGE: a file of rules is wrong, there are too many;
 *  TG_LIMIT, TG_NOT_FOUND, TG_IO, TG_NOMEM */
tg_code tg_steps_set(struct tg_steps *s, const struct tg_step_settings *set, struct tg_error *err);
/** Adds one; in place of a file of rules what it holds. What it points to but for the text is
 *  borrowed. @return as tg_steps_set */
tg_code tg_steps_add(struct tg_steps *s, const struct tg_step *step, struct tg_error *err);

/** Opens the stages among n steps. @param ret  close it in any case
 *  @return TG_USAGE: there is no such stage, its options are wrong; a step is none of the three */
tg_code tg_steps_open(const struct tg_step *step, size_t n, struct tg_stage_list *ret,
                      struct tg_error *err);

/** For rows that this program has just made: there is nothing to decode.
 *  @return TG_USAGE: one of the stages wants to */
tg_code tg_steps_check_made(const struct tg_stage_list *stages, struct tg_error *err);

/** Steps and their open stages. */
struct tg_steps_at_work {
    const struct tg_step *step;
    size_t n;
    const struct tg_stage_list *stages;
};

/** Takes the rows of a batch through all of them. @return TG_DATA, or what a callback says: one has
 *  failed */
tg_code tg_steps_run(const struct tg_steps_at_work *steps, struct tg_batch *batch,
                     const struct tg_stage_env *env, struct tg_error *err);

#endif

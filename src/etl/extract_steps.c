/* SPDX-License-Identifier: MIT */
/*
 * extract_steps.c - what rows of a run go through before they are delivered
 *
 * Those of the settings and of the caller are made one list (steps.h), and the taker runs it
 * (taker_steps.c). Stages that shape the rows are parameters of the job; those that only look at
 * them, and steps in the caller's code, are not.
 */
#include "etl/extract_impl.h"

/* Tasks have settings of their own, made before the steps were known. */
static void make_parameters(struct extract_run *r)
{
    const struct tg_stage_list *stages = &r->at_work.live.stages;
    size_t n = 0;

    for (size_t i = 0; i < stages->n; i++)
        if (!stages->one[i].ops->looks)
            r->shaping[n++] = r->steps.texts.text[i];
    r->own = *r->settings;
    r->own.stage = r->shaping;
    r->own.n_stages = n;
    r->settings = &r->own;
    for (size_t i = 0; i < r->n_tasks; i++) {
        r->task[i]->settings.stage = r->own.stage;
        r->task[i]->settings.n_stages = n;
    }
}

tg_code extract_steps_open(struct extract_run *r, struct tg_error *err)
{
    tg_code code;

    tg_steps_init(&r->steps);
    code = tg_steps_set(&r->steps, r->step_settings, err);
    for (size_t i = 0; code == TG_OK && i < r->hooks->n_steps; i++)
        code = tg_steps_add(&r->steps, &r->hooks->step[i], err);
    if (code != TG_OK || !r->steps.n)
        return code;
    r->at_work = (struct tg_taker_steps){ .all = &r->steps };
    code = tg_taker_steps_open(&r->at_work, r->falls_back, err);
    if (code == TG_OK)
        make_parameters(r);
    return code;
}

void extract_steps_close(struct extract_run *r)
{
    tg_taker_steps_close(&r->at_work);
    tg_steps_done(&r->steps);
}

tg_code extract_steps_end(struct extract_run *r, tg_code code, struct tg_error *err)
{
    const struct tg_stage_report run = { r->settings->job, r->settings->state, code == TG_OK };
    const struct tg_stage_counts *n = &r->at_work.counts;
    struct tg_extract_result *result = r->result;
    struct tg_error late;
    tg_code told;

    if (!r->steps.n)
        return code;
    result->dropped = n->dropped - n->aside;
    result->set_aside = n->aside;
    result->failed = n->failed;
    memcpy(result->failed_why, n->failed_why, sizeof result->failed_why);
    told = tg_taker_steps_end(&r->at_work, &run, &result->quality, &late);
    if (told == TG_OK || code != TG_OK)
        return code;
    *err = late;
    return told;
}

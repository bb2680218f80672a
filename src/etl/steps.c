/* SPDX-License-Identifier: MIT */
/*
 * steps.c - see steps.h
 */
#include "etl/steps.h"

/* ---- making ---- */

void tg_steps_init(struct tg_steps *s)
{
    s->n = 0;
    tg_stage_texts_init(&s->texts);
}

void tg_steps_done(struct tg_steps *s)
{
    s->n = 0;
    tg_stage_texts_done(&s->texts);
}

static tg_code put(struct tg_steps *s, const struct tg_step *step, struct tg_error *err)
{
    if (s->n == TG_STAGES_MAX)
        return tg_fail(err, TG_LIMIT, "%d steps at most that rows go through", TG_STAGES_MAX);
    s->step[s->n++] = *step;
    return TG_OK;
}

/* The texts from `from` on are steps. */
static tg_code put_texts(struct tg_steps *s, size_t from, struct tg_error *err)
{
    tg_code code = TG_OK;

    for (size_t i = from; code == TG_OK && i < s->texts.n; i++)
        code = put(s, &(struct tg_step){ .stage = s->texts.text[i] }, err);
    return code;
}

tg_code tg_steps_set(struct tg_steps *s, const struct tg_step_settings *set, struct tg_error *err)
{
    size_t from = s->texts.n;
    tg_code code = tg_stage_texts_set(&s->texts, set, err);

    return code == TG_OK ? put_texts(s, from, err) : code;
}

tg_code tg_steps_add(struct tg_steps *s, const struct tg_step *step, struct tg_error *err)
{
    size_t from = s->texts.n;
    tg_code code;

    if (!step->stage)
        return put(s, step, err);
    code = tg_stage_texts_add(&s->texts, "stage", step->stage, err);
    return code == TG_OK ? put_texts(s, from, err) : code;
}

/* ---- opening ---- */

tg_code tg_steps_open(const struct tg_step *step, size_t n, struct tg_stage_list *ret,
                      struct tg_error *err)
{
    const char *text[TG_STAGES_MAX] = { NULL };
    size_t n_texts = 0;

    *ret = (struct tg_stage_list){ .n = 0 };
    if (n > TG_STAGES_MAX)
        return tg_fail(err, TG_USAGE, "more than %d steps", TG_STAGES_MAX);
    for (size_t i = 0; i < n; i++) {
        const struct tg_step *s = &step[i];

        if ((s->stage != NULL) + (s->filter != NULL) + (s->transform != NULL) != 1)
            return tg_fail(err, TG_USAGE, "step %zu is to be one of a stage, a filter and a "
                                          "transformation",
                           i + 1);
        if (s->stage)
            text[n_texts++] = s->stage;
    }
    return tg_stages_open(text, n_texts, ret, err);
}

tg_code tg_steps_check_made(const struct tg_stage_list *stages, struct tg_error *err)
{
    for (size_t i = 0; i < stages->n; i++) {
        const struct tg_stage_ops *ops = stages->one[i].ops;

        if (!ops->decodes)
            continue;
        tg_fail(err, TG_USAGE, "stage '%s' has nothing to do here: rows were made by this program "
                               "just now", ops->head.name);
        return tg_hint(err, "leave it out; it is for tgdata transform of what an older program "
                            "has written with --raw");
    }
    return TG_OK;
}

/* ---- running ---- */

static bool callback_keeps(const void *self, const struct tg_row *row)
{
    const struct tg_step *step = self;

    return step->filter(step->ctx, row);
}

static tg_code transform(const struct tg_step *step, struct tg_batch *batch, struct tg_error *err)
{
    for (size_t i = 0; i < batch->n; i++) {
        struct tg_row *row = &batch->row[i];
        struct tg_row_edit edit = { batch, row };
        tg_code code;

        *err = (struct tg_error){ .code = TG_OK };
        code = step->transform(step->ctx, &edit, err);
        if (code == TG_OK)
            continue;
        if (err->code != code)
            tg_fail(err, code, "the transformation of message %lld of chat %lld failed: %s",
                    (long long)row->id, (long long)row->chat_id, tg_code_text(code));
        return code;
    }
    return TG_OK;
}

tg_code tg_steps_run(const struct tg_steps_at_work *steps, struct tg_batch *batch,
                     const struct tg_stage_env *env, struct tg_error *err)
{
    const struct tg_stage *stage = steps->stages->one;
    tg_code code = TG_OK;

    for (size_t i = 0; code == TG_OK && i < steps->n; i++) {
        const struct tg_step *step = &steps->step[i];

        if (step->filter)
            tg_stage_keep(batch, env, callback_keeps, step);
        else if (step->transform)
            code = transform(step, batch, err);
        else if (batch->n)
            code = stage->ops->run(stage->self, batch, env, err);
        stage += step->stage != NULL;
    }
    return code;
}

/* SPDX-License-Identifier: MIT */
/*
 * taker_steps.c - rows on their way through filters, rules and stages, before they are written
 *
 *   batch read -> piece up to the next commit -> steps -> rows that stay -> sink
 *                                                   |
 *                                                   +-- set aside: a letter for each destination,
 *                                                       in the store before the piece is committed
 *
 * The taker is one thread, so that stages which must see all rows do. Rows of fallbacks have stages
 * of their own: what a fallback has delivered Telegram delivers too, and that is no duplicate. What
 * both have found is told as one.
 *
 * Threads: the taker's; open, end and close: while there is none
 */
#include "etl/stage_disk.h"
#include "etl/taker_impl.h"
#include "os/loop.h"

tg_code tg_taker_steps_open(struct tg_taker_steps *s, bool beside, struct tg_error *err)
{
    tg_code code = tg_steps_open(s->all->step, s->all->n, &s->live.stages, err);

    if (code == TG_OK && !s->decoder)
        code = tg_steps_check_made(&s->live.stages, err);
    if (code == TG_OK)
        code = tg_taker_check_memories(&s->live.stages, err);
    if (code == TG_OK && beside)
        code = tg_steps_open(s->all->step, s->all->n, &s->beside.stages, err);
    return code;
}

void tg_taker_steps_close(struct tg_taker_steps *s)
{
    tg_stages_close(&s->live.stages);
    tg_stages_close(&s->beside.stages);
}

tg_code tg_taker_steps_end(struct tg_taker_steps *s, const struct tg_stage_report *run,
                           struct tg_quality_result *ret, struct tg_error *err)
{
    if (s->beside.stages.n)
        tg_stages_merge(&s->live.stages, &s->beside.stages);
    ret->rows = s->counts.judged;
    ret->invalid = s->counts.invalid;
    return tg_stage_report(&s->live.stages, run, ret, err);
}

struct tg_taker_series *tg_taker_series(const struct tg_taker *t, const struct tg_taker_chat *c)
{
    return c->fallback ? &t->steps->beside : &t->steps->live;
}

/* One row, in a letter for each destination: so each gets it when it is replayed. */
static tg_code keep_row(struct tg_taker *t, const struct tg_taker_chat *c,
                        const struct tg_row_aside *aside, struct tg_error *err)
{
    const struct tg_taker_series *s = tg_taker_series(t, c);
    struct tg_buf note;
    tg_code code = TG_OK;

    tg_buf_init(&note, TG_LETTER_MAX + TG_LETTER_KEY);
    for (size_t i = 0; code == TG_OK && i < s->n_boxes; i++) {
        tg_buf_clear(&note);
        code = tg_letter_note(&s->box[i], c->next.cursor.chat_id, aside, &note, err);
        if (code == TG_OK)
            code = tg_letter_post(t->letters, &note, err);
    }
    tg_buf_done(&note);
    return code;
}

static tg_code keep_aside(struct tg_taker *t, const struct tg_taker_chat *c, struct tg_batch *b,
                          struct tg_error *err)
{
    tg_code code = TG_OK;

    if (b->aside && !t->letters) {
        tg_fail(err, TG_USAGE, "severity=quarantine keeps letters to a destination, and there is "
                               "none");
        return tg_hint(err, "use severity=drop, or write to a destination");
    }
    for (; code == TG_OK && b->aside; b->aside = b->aside->next)
        code = keep_row(t, c, b->aside, err);
    return code;
}

tg_code tg_taker_pass(struct tg_taker *t, struct tg_taker_chat *c, struct tg_batch *b,
                      size_t from, size_t *to, struct tg_error *err)
{
    struct tg_taker_steps *s = t->steps;
    struct tg_row *rows = b->row;
    size_t n = b->n, end = *to;
    tg_code code;

    if (!s)
        return TG_OK;
    const struct tg_stage_env env = {
        .now_us = tg_clock_unix_us(),
        .decode = s->decoder ? tg_raw_decode : NULL,
        .ctx = s->decoder,
        .counts = &s->counts,
        .disk = &tg_stage_disk,
    };
    const struct tg_steps_at_work steps = { s->all->step, s->all->n,
                                            &tg_taker_series(t, c)->stages };

    if (s->decoder)
        tg_raw_decoder_clear(s->decoder);
    b->row = rows + from;
    b->n = end - from;
    b->n_files = 0; /* they were fetched before */
    code = tg_steps_run(&steps, b, &env, err);
    end = from + b->n;
    b->row = rows;
    b->n = n;
    if (code == TG_OK)
        code = tg_taker_learned(t, c, err);
    if (code == TG_OK)
        code = keep_aside(t, c, b, err);
    if (code == TG_OK)
        *to = end;
    return code;
}

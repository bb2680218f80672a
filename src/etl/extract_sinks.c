/* SPDX-License-Identifier: MIT */
/*
 * extract_sinks.c - the destinations of a run, opened: one, or several as one
 *
 * Each has letters of its own; rows of fallbacks go to the same places in a series of their own.
 */
#include "etl/extract_impl.h"

static int64_t sink_clock(void *ctx)
{
    (void)ctx;
    return tg_clock_unix_us();
}

/* All open ones are closed on failure. */
static tg_code open_each(struct extract_run *r, struct extract_series *s,
                         struct tg_sink open[TG_SEVERAL_MAX], struct tg_error *err)
{
    const struct tg_option_list *to = &r->settings->destinations;
    tg_code code = TG_OK;
    size_t n = 0;

    for (; code == TG_OK && n < to->n; n += code == TG_OK) {
        s->box[n] = (struct tg_letter_box){ &r->letters, to->item[n], s->name };
        s->env[n] = (struct tg_sink_env){ .job = r->settings->job,
                                          .fs = &tg_fs_system,
                                          .unix_us = sink_clock,
                                          .refuse = tg_letter_keep,
                                          .ctx = &s->box[n],
                                          .series = s->name };
        code = tg_sink_open(to->item[n], &s->env[n], &open[n], err);
    }
    while (code != TG_OK && n > 0)
        tg_sink_close(&open[--n]);
    return code;
}

static tg_code open_series(struct extract_run *r, struct extract_series *s, const char *name,
                           struct tg_error *err)
{
    const struct tg_option_list *to = &r->settings->destinations;
    struct tg_sink open[TG_SEVERAL_MAX] = { { 0 } };
    tg_code code;

    s->name = name;
    code = open_each(r, s, open, err);
    if (code != TG_OK)
        return code;
    if (to->n > 1)
        return tg_several_new(open, to->item, to->n, &s->sink, err);
    s->sink = open[0];
    return TG_OK;
}

static tg_code check(const struct tg_option_list *to, struct tg_error *err)
{
    if (to->n > TG_SEVERAL_MAX)
        return tg_fail(err, TG_USAGE, "%zu destinations; %d at most", to->n, TG_SEVERAL_MAX);
    for (size_t i = 0; i < to->n; i++)
        for (size_t j = 0; j < i; j++)
            if (strcmp(to->item[i], to->item[j]) == 0) {
                tg_fail(err, TG_USAGE, "the destination %.160s is given twice", to->item[i]);
                return tg_hint(err, "each --to gets all messages: name it once");
            }
    return TG_OK;
}

tg_code extract_sinks_open(struct extract_run *r, struct tg_error *err)
{
    tg_code code = check(&r->settings->destinations, err);

    if (code != TG_OK || !r->settings->to)
        return code;
    tg_letters_init(&r->letters, &r->store, r->settings->job, tg_clock_unix_us);
    code = open_series(r, &r->live, NULL, err);
    r->at_work.live.box = r->live.box;
    r->at_work.beside.box = r->beside.box;
    r->at_work.live.n_boxes = r->at_work.beside.n_boxes = r->settings->destinations.n;
    return code == TG_OK && r->falls_back ? open_series(r, &r->beside, "fallback", err) : code;
}

void extract_sinks_close(struct extract_run *r)
{
    if (r->beside.sink.ops)
        tg_sink_close(&r->beside.sink);
    if (r->live.sink.ops)
        tg_sink_close(&r->live.sink);
    tg_letters_done(&r->letters);
}

/* SPDX-License-Identifier: MIT */
/*
 * stream_made.c - what a stream is made of, before it runs
 */
#include <stdlib.h>

#include "etl/stream_impl.h"

enum { CHATS_MAX = 100000 };

tg_code tg_stream_new(struct tg_account *account, const struct tg_config *config,
                      struct tg_stream **ret, struct tg_error *err)
{
    struct tg_stream *s = calloc(1, sizeof *s);

    if (!s)
        return tg_fail(err, TG_NOMEM, "no memory for a stream");
    s->account = account;
    s->config = config;
    *ret = s;
    return TG_OK;
}

void tg_stream_free(struct tg_stream *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < s->n_chats; i++)
        free(s->chat[i]);
    for (size_t i = 0; i < s->n_steps; i++)
        free(s->text[i]);
    free(s->chat);
    free(s->to);
    free(s);
}

static void no_memory(struct tg_stream *s)
{
    tg_fail(&s->broken, TG_NOMEM, "no memory for a stream");
}

void tg_stream_source(struct tg_stream *s, const char *const *chats, size_t n)
{
    char **more;

    if (n > CHATS_MAX - s->n_chats) {
        tg_fail(&s->broken, TG_LIMIT, "%d chats in a stream at most", CHATS_MAX);
        return;
    }
    more = reallocarray(s->chat, s->n_chats + n + 1, sizeof *more);
    if (!more) {
        no_memory(s);
        return;
    }
    s->chat = more;
    for (size_t i = 0; i < n; i++) {
        s->chat[s->n_chats] = strdup(chats[i]);
        if (s->chat[s->n_chats])
            s->n_chats++;
        else
            no_memory(s);
    }
}

static void add_step(struct tg_stream *s, const struct tg_step *step, char *text)
{
    if (s->n_steps == STREAM_STEPS_MAX) {
        tg_fail(&s->broken, TG_LIMIT, "%d steps at most", STREAM_STEPS_MAX);
        free(text);
        return;
    }
    s->text[s->n_steps] = text;
    s->step[s->n_steps++] = *step;
}

void tg_stream_filter(struct tg_stream *s, tg_row_filter_fn filter, void *ctx)
{
    add_step(s, &(struct tg_step){ .filter = filter, .ctx = ctx }, NULL);
}

void tg_stream_transform(struct tg_stream *s, tg_row_transform_fn transform, void *ctx)
{
    add_step(s, &(struct tg_step){ .transform = transform, .ctx = ctx }, NULL);
}

void tg_stream_stage(struct tg_stream *s, const char *stage)
{
    char *text = strdup(stage);

    if (text)
        add_step(s, &(struct tg_step){ .stage = text }, text);
    else
        no_memory(s);
}

void tg_stream_batch(struct tg_stream *s, size_t size)
{
    if (size && size <= 100000)
        s->batch_size = size;
    else
        tg_fail(&s->broken, TG_USAGE, "a batch of %zu rows: 1 to 100000", size);
}

void tg_stream_sink(struct tg_stream *s, const char *url)
{
    free(s->to);
    s->to = strdup(url);
    if (!s->to)
        no_memory(s);
}

void tg_stream_callback(struct tg_stream *s, tg_batch_fn batch, void *ctx)
{
    s->callback = batch;
    s->callback_ctx = ctx;
}

void tg_stream_observe(struct tg_stream *s, struct tg_observer *observer)
{
    s->observer = observer;
}

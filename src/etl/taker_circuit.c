/* SPDX-License-Identifier: MIT */
/*
 * taker_circuit.c - the destinations' circuit breakers; breakers in the taker's store
 *
 * A commit is a call; a write that the destination only buffers shows nothing, unless it fails.
 * Failures count whose code may pass (TG_FULL, TG_SINK); the others end the run as ever.
 *
 *   failed --> tried again (taker_wait.c) --> too many: OPEN, it is waited for its time
 *     ^                                                          |
 *     +--- any failure ---  HALF_OPEN: tried again  <------------+
 *                              |
 *                              +--- enough commits --> CLOSED
 *
 * Of several destinations each has its own, which only what that one does moves. Since all get the
 * same rows, none is asked while one is open: the pause is that of the one that opens last.
 */
#include <stdio.h>

#include "etl/taker_impl.h"
#include "os/loop.h"

/* A callback's failures are its own, and it is told that they end the run. */
bool tg_taker_is_guarded(const struct tg_taker *t)
{
    const struct tg_breaker_options *o = &t->circuit.options;

    return t->sink && !t->callback && (o->failure_threshold || o->rate_permille);
}

size_t tg_taker_n_guards(const struct tg_taker *t)
{
    return t->sink ? tg_several_n(t->sink) : 0;
}

static void on_kept(void *ctx, enum tg_circuit_kind kind, int64_t number,
                    const struct tg_breaker_record *record)
{
    struct tg_taker *t = ctx;

    for (size_t i = 0; kind == TG_CIRCUIT_SINK && i < tg_taker_n_guards(t); i++)
        if (tg_circuit_sink(tg_job_to(t->job, i)) == number)
            tg_breaker_load(&t->circuit.at[i].breaker, record, tg_clock_mono_us(), t->unix_us());
}

tg_code tg_taker_circuit_start(struct tg_taker *t, struct tg_error *err)
{
    struct tg_taker_circuit *c = &t->circuit;

    tg_circuit_defaults(&c->options);
    for (size_t i = 0; i < tg_taker_n_guards(t); i++)
        tg_breaker_init(&c->at[i].breaker, &c->options, tg_clock_mono_us());
    return tg_taker_is_guarded(t) ? tg_circuits_read(t->store, t->job->job, on_kept, t, err)
                                  : TG_OK;
}

void tg_taker_keep_circuit(struct tg_taker *t, const char *name, const struct tg_buf *record)
{
    struct tg_error ignored;

    if (tg_circuit_put(t->store, t->job->job, name, record, t->unix_us(), &ignored) != TG_OK) {
        /* it is only forgotten */
    }
}

static void keep(struct tg_taker *t, size_t i)
{
    const char *to = tg_job_to(t->job, i);
    char name[TG_CIRCUIT_NAME];
    struct tg_breaker_record record;
    struct tg_buf text;

    tg_breaker_save(&t->circuit.at[i].breaker, tg_clock_mono_us(), t->unix_us(), &record);
    tg_circuit_name(name, TG_CIRCUIT_SINK, tg_circuit_sink(to));
    tg_buf_init(&text, TG_CIRCUIT_JSON);
    tg_circuit_write(&record, to, &text);
    tg_taker_keep_circuit(t, name, &text);
    tg_buf_done(&text);
}

void tg_taker_name_guard(const struct tg_taker *t, size_t i, char out[TG_TAKER_NAME])
{
    bool several = tg_taker_n_guards(t) > 1;

    snprintf(out, TG_TAKER_NAME, "%s", several ? tg_sink_shown(tg_job_to(t->job, i)).text : "");
}

/* Tells of a change and keeps it, if there was one. */
static void tell(struct tg_taker *t, size_t i, enum tg_breaker_state before,
                 const struct tg_error *why)
{
    struct tg_taker_circuit *c = &t->circuit;
    struct tg_taker_news news = { .change = { .kind = TG_CIRCUIT_SINK, .from = before,
                                              .to = c->at[i].breaker.state } };

    if (news.change.from == news.change.to)
        return;
    if (news.change.to == TG_BREAKER_OPEN) {
        news.change.wait_us = tg_breaker_peek(&c->at[i].breaker, tg_clock_mono_us());
        news.err = *why;
    }
    tg_taker_name_guard(t, i, news.name);
    for (size_t k = 0; k < tg_taker_n_guards(t); k++)
        news.n += c->at[k].breaker.state == TG_BREAKER_OPEN;
    tg_taker_tell(t, &news);
    keep(t, i);
}

void tg_taker_tell(struct tg_taker *t, const struct tg_taker_news *news)
{
    struct tg_taker_circuit *c = &t->circuit;

    pthread_mutex_lock(&c->lock);
    if (c->n_news < TG_TAKER_NEWS)
        c->news[c->n_news++] = *news;
    pthread_mutex_unlock(&c->lock);
}

bool tg_taker_news(struct tg_taker *t, struct tg_taker_news *ret)
{
    struct tg_taker_circuit *c = &t->circuit;
    bool any;

    pthread_mutex_lock(&c->lock);
    any = c->n_news > 0;
    if (any) {
        *ret = c->news[0];
        memmove(c->news, c->news + 1, --c->n_news * sizeof c->news[0]);
    }
    pthread_mutex_unlock(&c->lock);
    if (any && ret->change.to == TG_BREAKER_OPEN)
        ret->change.err = &ret->err;
    if (any && ret->name[0])
        ret->change.name = ret->name;
    return any;
}

/* The commit that is coming up asks the breaker. */
static void take(struct tg_taker *t, size_t i)
{
    struct tg_taker_guard *g = &t->circuit.at[i];
    enum tg_breaker_state before = g->breaker.state;

    if (!g->turn)
        g->turn = tg_breaker_take(&g->breaker, tg_clock_mono_us());
    tell(t, i, before, NULL);
}

int64_t tg_taker_circuit_wait(const struct tg_taker *t, size_t *ret_which)
{
    int64_t now = tg_clock_mono_us(), longest = 0;

    for (size_t i = 0; tg_taker_is_guarded(t) && i < tg_taker_n_guards(t); i++) {
        const struct tg_taker_guard *g = &t->circuit.at[i];
        int64_t wait_us = g->turn ? 0 : tg_breaker_peek(&g->breaker, now);

        if (wait_us > longest) {
            longest = wait_us;
            *ret_which = i;
        }
    }
    return longest;
}

static tg_code is_open(const struct tg_taker *t, size_t i, int64_t wait_us, struct tg_error *err)
{
    char name[TG_TAKER_NAME];

    tg_taker_name_guard(t, i, name);
    tg_fail(err, TG_CIRCUIT, "the circuit breaker of the destination%s%s is open; the next try is "
            "in %lld s", *name ? " " : "", name,
            (long long)((wait_us + TG_SECOND_US - 1) / TG_SECOND_US));
    return tg_hint(err, "run the same command again then");
}

tg_code tg_taker_await_sink(struct tg_taker *t, struct tg_error *err)
{
    const struct tg_taker_circuit *c = &t->circuit;
    int64_t wait_us;
    tg_code code = TG_OK;
    size_t which = 0;

    if (!tg_taker_is_guarded(t))
        return TG_OK;
    while (code == TG_OK && !atomic_load(&c->hurry) &&
           (wait_us = tg_taker_circuit_wait(t, &which))) {
        if (c->fails)
            return is_open(t, which, wait_us, err);
        if (!tg_taker_nap(t, wait_us, &code, err))
            break;
    }
    for (size_t i = 0; code == TG_OK && i < tg_taker_n_guards(t); i++)
        take(t, i);
    return code;
}

/* Whether a call of that sink, which may be one of several alone, was one of destination i; what it
 * did then. */
static bool was_called(const struct tg_taker *t, const struct tg_sink *sink, size_t i,
                       tg_code *code, struct tg_error *err)
{
    const struct tg_sink *other = t->fallback_sink;

    if (tg_several_n(sink) > 1)
        return tg_several_did(sink, i, code, err);
    return sink == tg_several_part(t->sink, i) || (other && sink == tg_several_part(other, i));
}

static void note(struct tg_taker *t, size_t i, tg_code code, bool commit,
                 const struct tg_error *err)
{
    struct tg_taker_guard *g = &t->circuit.at[i];
    bool failed = code != TG_OK && code != TG_END;
    enum tg_breaker_state before;

    if (failed)
        g->last = *err;
    else /* a stream says where it stands, and takes rows, unasked: its commits alone tell */
        g->answered |= commit || tg_sink_remembers(tg_several_part(t->sink, i));
    if (!tg_taker_is_guarded(t) || (!failed && !commit))
        return;
    take(t, i);
    before = g->breaker.state;
    if (g->turn && failed)
        tg_breaker_failed(&g->breaker, g->turn, 0, tg_clock_mono_us());
    else if (g->turn)
        tg_breaker_passed(&g->breaker, g->turn, 0, tg_clock_mono_us());
    g->turn = 0;
    tell(t, i, before, err);
}

tg_code tg_taker_sink_did(struct tg_taker *t, const struct tg_sink *sink, tg_code code, bool commit,
                          const struct tg_error *err)
{
    for (size_t i = 0; i < tg_taker_n_guards(t); i++)
        t->circuit.at[i].last.code = TG_OK;
    if (code != TG_OK && code != TG_END && !tg_circuit_sink_passes(code))
        return code; /* that ends the run */
    for (size_t i = 0; i < tg_taker_n_guards(t); i++) {
        struct tg_error own = { .code = TG_OK };
        tg_code did = code;

        if (code != TG_OK && code != TG_END)
            own = *err;
        if (was_called(t, sink, i, &did, &own))
            note(t, i, did, commit, &own);
    }
    return code;
}

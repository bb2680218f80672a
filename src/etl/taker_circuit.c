/* SPDX-License-Identifier: MIT */
/*
 * taker_circuit.c - the destination's circuit breaker; breakers in the taker's store
 *
 * A commit is a call; a write that the destination only buffers shows nothing, unless it fails.
 * Failures count whose code may pass (TG_FULL, TG_SINK); the others end the run as ever.
 *
 *   failed --> tried again (taker_wait.c) --> too many: OPEN, it is waited for its time
 *     ^                                                          |
 *     +--- any failure ---  HALF_OPEN: tried again  <------------+
 *                              |
 *                              +--- enough commits --> CLOSED
 */
#include "etl/taker_impl.h"
#include "os/loop.h"

/* A callback's failures are its own, and it is told that they end the run. */
bool tg_taker_is_guarded(const struct tg_taker *t)
{
    const struct tg_breaker_options *o = &t->circuit.options;

    return t->sink && !t->callback && (o->failure_threshold || o->rate_permille);
}

static void on_kept(void *ctx, enum tg_circuit_kind kind, int64_t number,
                    const struct tg_breaker_record *record)
{
    struct tg_taker *t = ctx;

    (void)number;
    if (kind == TG_CIRCUIT_SINK)
        tg_breaker_load(&t->circuit.breaker, record, tg_clock_mono_us(), t->unix_us());
}

tg_code tg_taker_circuit_start(struct tg_taker *t, struct tg_error *err)
{
    struct tg_taker_circuit *c = &t->circuit;

    tg_circuit_defaults(&c->options);
    tg_breaker_init(&c->breaker, &c->options, tg_clock_mono_us());
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

static void keep(struct tg_taker *t)
{
    char name[TG_CIRCUIT_NAME];
    struct tg_breaker_record record;
    struct tg_buf text;

    tg_breaker_save(&t->circuit.breaker, tg_clock_mono_us(), t->unix_us(), &record);
    tg_circuit_name(name, TG_CIRCUIT_SINK, 0);
    tg_buf_init(&text, TG_CIRCUIT_JSON);
    tg_circuit_write(&record, &text);
    tg_taker_keep_circuit(t, name, &text);
    tg_buf_done(&text);
}

/* Tells of a change and keeps it, if there was one. */
static void tell(struct tg_taker *t, enum tg_breaker_state before, const struct tg_error *why)
{
    struct tg_taker_circuit *c = &t->circuit;
    struct tg_taker_news news = { .change = { .kind = TG_CIRCUIT_SINK, .from = before,
                                              .to = c->breaker.state } };

    if (news.change.from == news.change.to)
        return;
    if (news.change.to == TG_BREAKER_OPEN) {
        news.change.wait_us = tg_breaker_peek(&c->breaker, tg_clock_mono_us());
        news.err = *why;
    }
    tg_taker_tell(t, &news);
    keep(t);
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
    return any;
}

/* The commit that is coming up asks the breaker. */
static void take(struct tg_taker *t)
{
    struct tg_taker_circuit *c = &t->circuit;
    enum tg_breaker_state before = c->breaker.state;

    if (!c->turn)
        c->turn = tg_breaker_take(&c->breaker, tg_clock_mono_us());
    tell(t, before, NULL);
}

tg_code tg_taker_await_sink(struct tg_taker *t, struct tg_error *err)
{
    struct tg_taker_circuit *c = &t->circuit;
    int64_t wait_us = 0;
    tg_code code = TG_OK;

    if (!tg_taker_is_guarded(t))
        return TG_OK;
    while (code == TG_OK && !atomic_load(&c->hurry) && !c->turn &&
           (wait_us = tg_breaker_peek(&c->breaker, tg_clock_mono_us()))) {
        if (c->fails) {
            tg_fail(err, TG_CIRCUIT, "the circuit breaker of the destination is open; the next "
                    "try is in %lld s",
                    (long long)((wait_us + TG_SECOND_US - 1) / TG_SECOND_US));
            return tg_hint(err, "run the same command again then");
        }
        if (!tg_taker_nap(t, wait_us, &code, err))
            break;
    }
    if (code == TG_OK)
        take(t);
    return code;
}

/* A stream says where it stands, and takes rows, without being asked: its commits alone tell. */
static bool is_answer(const struct tg_taker *t, bool commit)
{
    for (size_t i = 0; !commit && i < tg_several_n(t->sink); i++)
        if (!tg_sink_remembers(tg_several_part(t->sink, i)))
            return false;
    return true;
}

tg_code tg_taker_sink_did(struct tg_taker *t, tg_code code, bool commit,
                          const struct tg_error *err)
{
    struct tg_taker_circuit *c = &t->circuit;
    enum tg_breaker_state before;
    bool passing;

    t->wait.answered |= (code == TG_OK || code == TG_END) && is_answer(t, commit);
    passing = code != TG_OK && tg_circuit_sink_passes(code);
    if (!tg_taker_is_guarded(t) || (!passing && !(commit && code == TG_OK)))
        return code;
    take(t);
    before = c->breaker.state;
    if (c->turn && passing)
        tg_breaker_failed(&c->breaker, c->turn, 0, tg_clock_mono_us());
    else if (c->turn)
        tg_breaker_passed(&c->breaker, c->turn, 0, tg_clock_mono_us());
    c->turn = 0;
    tell(t, before, err);
    return code;
}

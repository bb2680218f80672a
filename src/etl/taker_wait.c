/* SPDX-License-Identifier: MIT */
/*
 * taker_wait.c - a destination that fails for a while: waited for, then written on where it stands
 *
 *   write, commit --fails--> pause --> attach --> where does it stand?
 *                              ^                    |
 *                              |                    +-- at the commit before: the rows behind it
 *                              +--- fails again     |   are written again, and the commit is made
 *                                                   +-- at the commit that failed: it was made
 *                                                   +-- elsewhere: rows are lost
 *
 * For that the rows behind a chat's last commit are kept: those of the batch in hand where they
 * are, the others packed, in memory, then in a temporary file. A stream knows nothing of itself and
 * gets them again. Nothing is kept for a destination that would not be waited for, or that holds
 * its rows itself until they are committed (sink.h's again): it gets none twice.
 *
 * Pauses double from one second to thirty; with a circuit breaker they are its own. While it waits
 * the leases are kept, and others' work is done (`meanwhile`). Of several destinations each that
 * fails is told by its name; the others wait with it.
 */
#include <assert.h>

#include "etl/taker_impl.h"
#include "os/loop.h"
#include "os/proc.h"

#define NAP_US (100 * TG_MS_US)
#define PAUSE_US TG_SECOND_US
#define PAUSES_MAX 30 /* times the first */

/* ---- waiting ---- */

bool tg_taker_nap(struct tg_taker *t, int64_t us, tg_code *code, struct tg_error *err)
{
    for (int64_t left = us; left > 0 && !atomic_load(&t->circuit.hurry); left -= NAP_US) {
        struct tg_error lost;

        if (t->wait.meanwhile)
            t->wait.meanwhile(t->wait.ctx);
        tg_sleep_us(TG_MIN(left, NAP_US));
        if (tg_taker_renew(t, &lost) != TG_OK) {
            *err = lost;
            *code = lost.code;
            return false;
        }
    }
    return !atomic_load(&t->circuit.hurry);
}

/* Nothing is waited for if it could be but a full disk, and that is not: rows need not be kept. */
static bool may_wait(const struct tg_taker *t)
{
    return t->wait.most_ms && (t->wait.most_ms < INT64_MAX || tg_taker_is_guarded(t) ||
                               !t->sink || !t->sink->ops->disk);
}

static bool holds(const struct tg_taker_chat *c)
{
    return c->sink && c->sink->ops->again;
}

/* A name that was mistyped, or a disk that is full, is not waited for by default. */
static bool may_pass(const struct tg_taker *t, tg_code code)
{
    const struct tg_taker_wait *w = &t->wait;
    const struct tg_taker_circuit *c = &t->circuit;

    if (!tg_circuit_sink_passes(code) || !may_wait(t))
        return false;
    for (size_t i = 0; i < tg_taker_n_guards(t); i++) {
        const struct tg_taker_guard *g = &c->at[i];
        bool lasts = tg_taker_is_guarded(t) ? c->fails && g->breaker.state == TG_BREAKER_OPEN
                                            : w->most_ms == INT64_MAX &&
                                                  (!g->answered || g->last.code == TG_FULL);

        if (g->last.code != TG_OK && lasts)
            return false;
    }
    return true;
}

static int64_t first_pause(const struct tg_taker_wait *w)
{
    return w->first_us ? w->first_us : PAUSE_US;
}

/* One destination fails, or does no longer. */
static void tell(struct tg_taker *t, size_t i, enum tg_taker_told what, int64_t now)
{
    struct tg_taker_guard *g = &t->circuit.at[i];
    struct tg_taker_news news = { .what = what };

    tg_taker_name_guard(t, i, news.name);
    if (what == TG_TAKER_AWAY)
        news.err = g->last;
    else
        news.away_us = now - g->away_us;
    g->away_us = what == TG_TAKER_AWAY ? now : 0;
    for (size_t k = 0; k < tg_taker_n_guards(t); k++)
        news.n += t->circuit.at[k].away_us > 0;
    tg_taker_tell(t, &news);
}

static void tell_failed(struct tg_taker *t, int64_t now)
{
    for (size_t i = 0; i < tg_taker_n_guards(t); i++)
        if (t->circuit.at[i].last.code != TG_OK && !t->circuit.at[i].away_us)
            tell(t, i, TG_TAKER_AWAY, now);
}

void tg_taker_back(struct tg_taker *t)
{
    int64_t now = tg_clock_mono_us();

    t->wait.since_us = 0;
    for (size_t i = 0; i < tg_taker_n_guards(t); i++)
        if (t->circuit.at[i].away_us)
            tell(t, i, TG_TAKER_BACK, now);
}

bool tg_taker_again(struct tg_taker *t, tg_code *code, struct tg_error *err)
{
    struct tg_taker_wait *w = &t->wait;
    int64_t now = tg_clock_mono_us(), pause, left = INT64_MAX;
    size_t which;

    if (!may_pass(t, *code))
        return false;
    if (!w->since_us) {
        w->since_us = now;
        w->pause_us = first_pause(w);
    }
    tell_failed(t, now);
    if (w->most_ms < INT64_MAX)
        left = w->most_ms * TG_MS_US - (now - w->since_us);
    if (left <= 0) {
        tg_hint(err, "it was waited for %lld s (--destination-wait); the same command goes on "
                     "behind the last checkpoint", (long long)(w->most_ms / 1000));
        return false;
    }
    pause = w->pause_us;
    if (tg_taker_is_guarded(t))
        pause = TG_MAX(tg_taker_circuit_wait(t, &which), pause);
    else
        w->pause_us = TG_MIN(2 * w->pause_us, PAUSES_MAX * first_pause(w));
    return tg_taker_nap(t, TG_MIN(pause, left), code, err);
}

/* ---- asking ---- */

static bool has_answered(struct tg_taker *t, tg_code code)
{
    if (code != TG_OK && code != TG_END)
        return false;
    tg_taker_back(t);
    return true;
}

tg_code tg_taker_last_commit(struct tg_taker *t, const struct tg_sink *sink, int64_t chat_id,
                             struct tg_commit *ret, struct tg_error *err)
{
    tg_code code;

    do
        code = tg_taker_sink_did(t, sink, tg_sink_last(sink, chat_id, ret, err), false, err);
    while (!has_answered(t, code) && tg_taker_again(t, &code, err));
    return code;
}

tg_code tg_taker_attach(struct tg_taker *t, struct tg_taker_chat *c, const struct tg_fence *fence,
                        struct tg_error *err)
{
    const struct tg_sink *sink = c->sink;
    tg_code code;

    do {
        code = sink->ops->attach(sink->self, c->next.cursor.chat_id, fence, &c->next, err);
        code = tg_taker_sink_did(t, sink, code, false, err);
    } while (!has_answered(t, code) && tg_taker_again(t, &code, err));
    return code;
}

/* ---- writing on ---- */

static bool stands_at(const struct tg_commit *there, const struct tg_commit *wanted)
{
    return there->seq == wanted->seq && there->rows_total == wanted->rows_total &&
           (!wanted->seq || (there->cursor.segment == wanted->cursor.segment &&
                             there->cursor.id == wanted->cursor.id));
}

struct rewrite {
    struct tg_taker *t;
    struct tg_taker_chat *c;
};

static tg_code write_row(void *ctx, const struct tg_row *row, struct tg_error *err)
{
    const struct rewrite *w = ctx;
    const struct tg_taker_chat *c = w->c;
    struct tg_row copy = *row;
    const struct tg_batch one = {
        .row = &copy,
        .n = 1,
        .cap = 1,
        .cursor = c->next.cursor,
        .covered_from = c->next.covered_from,
        .source = c->next.source,
    };

    return c->sink->ops->write(c->sink->self, &one, 0, 1, err);
}

static tg_code take_up(const struct tg_taker_chat *c, const struct tg_fence *fence,
                       struct tg_commit *ret, struct tg_error *err)
{
    const struct tg_sink *sink = c->sink;
    int64_t chat_id = c->next.cursor.chat_id;

    return holds(c) ? sink->ops->again(sink->self, chat_id, fence, ret, err)
                    : sink->ops->attach(sink->self, chat_id, fence, ret, err);
}

/* The destination has forgotten what was written behind the last commit, or holds it. ret_made, of
 * a commit that failed: it was made after all; else NULL. */
static tg_code write_on(struct tg_taker *t, struct tg_taker_chat *c, bool *ret_made,
                        struct tg_error *err)
{
    const struct tg_sink *sink = c->sink;
    const struct tg_fence fence = { c->fence, t->nonce };
    struct rewrite rewrite = { t, c };
    struct tg_commit there = { 0 };
    tg_code code = tg_taker_renew_chat(t, c, err);

    if (code == TG_OK && tg_sink_remembers(sink))
        code = take_up(c, &fence, &there, err);
    if (code != TG_OK && code != TG_END)
        return code;
    if (ret_made && there.seq && stands_at(&there, &c->next)) {
        *ret_made = true;
        return TG_OK;
    }
    if (tg_sink_remembers(sink) && !stands_at(&there, &c->checkpoint.commit)) {
        tg_fail(err, TG_GAP, "%.100s holds %llu messages of chat %lld, but %llu were delivered "
                "there", t->job->to, (unsigned long long)there.rows_total,
                (long long)c->next.cursor.chat_id,
                (unsigned long long)c->checkpoint.commit.rows_total);
        return tg_hint(err, "it came back as another than it was before; tgdata verify compares");
    }
    if (holds(c))
        return TG_OK;
    code = tg_staged_each(&c->kept, write_row, &rewrite, err);
    if (code == TG_OK && c->hand_from < c->hand_to)
        code = sink->ops->write(sink->self, c->hand, c->hand_from, c->hand_to - c->hand_from, err);
    return code;
}

static void begin_call(struct tg_taker *t, const struct tg_taker_chat *c)
{
    if (t->letters)
        t->letters->chat_id = c->next.cursor.chat_id;
}

static tg_code put_commit(struct tg_taker *t, const struct tg_taker_chat *c, struct tg_error *err)
{
    tg_code code = c->sink->ops->commit(c->sink->self, &c->next, err);

    return tg_taker_sink_did(t, c->sink, code, true, err);
}

tg_code tg_taker_put_commit(struct tg_taker *t, struct tg_taker_chat *c, struct tg_error *err)
{
    const struct tg_sink *sink = c->sink;
    bool made = false;
    tg_code code = TG_OK;

    if (!sink)
        return TG_OK;
    begin_call(t, c);
    code = put_commit(t, c, err);
    while (code != TG_OK && tg_taker_again(t, &code, err)) {
        code = tg_taker_sink_did(t, sink, write_on(t, c, &made, err), false, err);
        if (code == TG_OK && !made)
            code = put_commit(t, c, err);
    }
    if (code == TG_OK)
        tg_taker_back(t);
    return code;
}

tg_code tg_taker_put_rows(struct tg_taker *t, struct tg_taker_chat *c, const struct tg_batch *b,
                          size_t from, size_t to, struct tg_error *err)
{
    const struct tg_sink *sink = c->sink;
    tg_code code;

    if (!sink)
        return TG_OK;
    begin_call(t, c);
    if (c->hand != b || c->hand_from == c->hand_to) {
        c->hand = b;
        c->hand_from = c->hand_to = from;
    }
    assert(c->hand_to == from);
    code = sink->ops->write(sink->self, b, from, to - from, err);
    code = tg_taker_sink_did(t, sink, code, false, err);
    while (code != TG_OK && tg_taker_again(t, &code, err)) {
        code = write_on(t, c, NULL, err);
        if (code == TG_OK)
            code = sink->ops->write(sink->self, b, from, to - from, err);
        code = tg_taker_sink_did(t, sink, code, false, err);
    }
    if (code != TG_OK)
        return code;
    tg_taker_back(t);
    c->hand_to = to;
    return TG_OK;
}

tg_code tg_taker_keep_rows(struct tg_taker *t, struct tg_taker_chat *c, struct tg_error *err)
{
    bool keep = may_wait(t) && !holds(c);
    tg_code code = TG_OK;

    for (size_t i = c->hand_from; code == TG_OK && keep && i < c->hand_to; i++)
        code = tg_staged_add(&c->kept, &c->hand->row[i], err);
    c->hand = NULL;
    c->hand_from = c->hand_to = 0;
    return code;
}

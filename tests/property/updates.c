/* SPDX-License-Identifier: MIT */
/*
 * updates.c - the boxes of updates against a model server, over many seeds, on a virtual clock
 *
 * The server counts what happens in an account and in three channels, pushes it over a network that
 * loses, doubles and reorders, and answers differences in slices, late, too long, or not at all.
 * Whoever gets the updates keeps them for a while, commits them in any order, and is restarted from
 * what is committed. Whatever happens: in each sequence the next update is the one that follows,
 * none missing and none twice; what the committed state covers was committed; in the end that is
 * all.
 *
 * TG_SEED=N runs one seed alone, TG_SEEDS=N so many.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "telegram/updates.h"
#include "tests/seeds.h"

enum { SEEDS = 10000, BOXES = 4, EVENTS = 120, MAIL = 4096, OUT = 4096 };

static const int64_t channel_of[BOXES] = { 0, 11, 12, 13 };
static const bool polled[BOXES] = { false, false, true, true };
static uint64_t seed;

/* ---- the world ---- */

struct event {
    enum tg_update_seq seq;
    int32_t after, count;
    bool committed;
};

struct server_box {
    struct event event[EVENTS];
    size_t n;
    struct tg_update_state state;
};

/* What is on its way: an update, an answer or a failure, or a commit that will be done. */
struct mail {
    int64_t at_us;
    unsigned life; /* of the process that it is for */
    enum { PUSH, ANSWER, FAILURE } what;
    size_t box;
    struct tg_update push;
    struct tg_update_state since;
};

/* What the process keeps, not committed yet. */
struct out {
    size_t box;
    uint64_t ticket;
    int event; /* -1: counted by nothing; -2: a range that was too long */
    enum tg_update_seq seq;
    struct tg_update_state from, to;
};

struct world {
    struct random r;
    int64_t now_us;
    struct server_box box[BOXES];
    struct mail mail[MAIL];
    size_t n_mail;
    int lossy, slice, long_from; /* percent; items in a slice; more than that are too long */

    struct tg_updates *u;
    unsigned life;
    size_t next[BOXES][TG_UPDATES_SEQS]; /* event that must come, from here on */
    struct out out[OUT];
    size_t n_out;
    size_t applied, ranges;
};

struct item {
    size_t box;
    int event;
};

static struct item *new_item(size_t box, int event)
{
    struct item *i = malloc(sizeof *i);

    assert_non_null(i);
    *i = (struct item){ box, event };
    return i;
}

static size_t box_of(int64_t channel)
{
    size_t i = 0;

    while (channel_of[i] != channel)
        i++;
    return i;
}

static void post(struct world *w, struct mail m)
{
    assert_true(w->n_mail < MAIL);
    m.life = w->life;
    w->mail[w->n_mail++] = m;
}

static int64_t delay(struct world *w, uint32_t most_ms)
{
    return w->now_us + (int64_t)below(&w->r, most_ms) * TG_MS_US;
}

static void push(struct world *w, size_t box, int event)
{
    const struct event *e = event < 0 ? NULL : &w->box[box].event[event];
    struct mail m = { .what = PUSH, .box = box, .at_us = delay(w, 300) };

    if (e)
        m.push = (struct tg_update){ .seq = e->seq, .after = e->after, .count = e->count };
    m.push.item = new_item(box, event);
    post(w, m);
}

static void happen(struct world *w)
{
    size_t box = below(&w->r, BOXES);
    struct server_box *b = &w->box[box];
    struct event *e = &b->event[b->n];

    if (b->n == EVENTS)
        return;
    e->seq = box ? TG_UPDATES_PTS : (enum tg_update_seq)below(&w->r, TG_UPDATES_SEQS);
    e->count = e->seq == TG_UPDATES_QTS ? 1 : 1 + (int32_t)below(&w->r, 3);
    e->after = b->state.at[e->seq] += e->count;
    if (box < 2 || chance(&w->r, 50)) /* others are not pushed as a rule */
        for (uint32_t n = chance(&w->r, (uint32_t)w->lossy) ? 0 : 1 + chance(&w->r, 10); n; n--)
            push(w, box, (int)b->n);
    if (chance(&w->r, 5))
        push(w, box, -1);
    b->n++;
}

/* ---- the process ---- */

static bool follows(const struct event *e, const struct tg_update_state *state)
{
    return e->after > state->at[e->seq];
}

/* The next one must be the first behind `from`. */
static void expect_from(struct world *w, size_t box, const struct tg_update_state *from)
{
    for (int seq = 0; seq < TG_UPDATES_SEQS; seq++) {
        size_t i = 0;

        while (i < w->box[box].n && ((int)w->box[box].event[i].seq != seq ||
                                     !follows(&w->box[box].event[i], from)))
            i++;
        w->next[box][seq] = i;
    }
}

static void keep(struct world *w, const struct out *out)
{
    assert_true(w->n_out < OUT);
    w->out[w->n_out++] = *out;
}

static void on_apply(void *ctx, int64_t channel, void *item, uint64_t ticket)
{
    struct world *w = ctx;
    struct item *i = item;
    const struct server_box *b = &w->box[i->box];

    assert_int_equal(box_of(channel), i->box);
    if (i->event >= 0) {
        enum tg_update_seq seq = b->event[i->event].seq;
        size_t next = w->next[i->box][seq];

        while (next < b->n && b->event[next].seq != seq)
            next++;
        assert_int_equal(i->event, next);
        w->next[i->box][seq] = next + 1;
    }
    keep(w, &(struct out){ .box = i->box, .ticket = ticket, .event = i->event });
    w->applied++;
    free(i);
}

static void on_drop(void *ctx, void *item)
{
    (void)ctx;
    free(item);
}

static void on_ask(void *ctx, int64_t channel, const struct tg_update_state *since)
{
    struct world *w = ctx;
    bool fails = chance(&w->r, 10);

    post(w, (struct mail){ .what = fails ? FAILURE : ANSWER, .box = box_of(channel),
                           .since = *since, .at_us = delay(w, 400) });
}

static void on_too_long(void *ctx, int64_t channel, const struct tg_update_state *from,
                        const struct tg_update_state *to, uint64_t ticket)
{
    struct world *w = ctx;

    expect_from(w, box_of(channel), to);
    keep(w, &(struct out){ .box = box_of(channel), .ticket = ticket, .event = -2, .from = *from,
                           .to = *to });
    w->ranges++;
}

static const struct tg_updates_ops ops = { on_apply, on_drop, on_ask, on_too_long };

/* Everything that the committed state covers is committed. */
static void check_committed(const struct world *w, size_t box)
{
    struct tg_update_state committed;

    assert_true(tg_updates_state(w->u, channel_of[box], NULL, &committed));
    for (size_t i = 0; i < w->box[box].n; i++)
        if (!follows(&w->box[box].event[i], &committed))
            assert_true(w->box[box].event[i].committed);
}

static void commit_one(struct world *w)
{
    size_t at = below(&w->r, (uint32_t)w->n_out);
    struct out out = w->out[at];
    struct server_box *b = &w->box[out.box];

    w->out[at] = w->out[--w->n_out];
    if (out.event >= 0)
        b->event[out.event].committed = true;
    for (size_t i = 0; out.event == -2 && i < b->n; i++)
        b->event[i].committed |= follows(&b->event[i], &out.from) &&
                                 !follows(&b->event[i], &out.to);
    tg_updates_commit(w->u, channel_of[out.box], out.ticket);
    check_committed(w, out.box);
}

static void begin(struct world *w, const struct tg_update_state state[BOXES])
{
    struct tg_error err;

    w->u = tg_updates_new(&ops, w);
    assert_non_null(w->u);
    w->n_out = 0;
    w->life++;
    for (size_t i = 0; i < BOXES; i++) {
        assert_int_equal(tg_updates_begin(w->u, channel_of[i], &state[i], polled[i], w->now_us,
                                          &err), TG_OK);
        expect_from(w, i, &state[i]);
    }
}

static void restart(struct world *w)
{
    struct tg_update_state state[BOXES];

    for (size_t i = 0; i < BOXES; i++)
        assert_true(tg_updates_state(w->u, channel_of[i], NULL, &state[i]));
    tg_updates_free(w->u);
    begin(w, state);
}

/* ---- the server's answers ---- */

static void answer(struct world *w, size_t box, const struct tg_update_state *since)
{
    const struct server_box *b = &w->box[box];
    struct tg_update_answer a = { .state = *since, .timeout_us = TG_SECOND_US };
    void *item[EVENTS];
    size_t behind = 0;

    for (size_t i = 0; i < b->n; i++) {
        if (!follows(&b->event[i], since))
            continue;
        behind++;
        if (a.n == (size_t)w->slice)
            continue;
        item[a.n++] = new_item(box, (int)i);
        a.state.at[b->event[i].seq] = b->event[i].after;
    }
    a.item = item;
    a.final = behind == a.n;
    if (behind > (size_t)w->long_from) {
        while (a.n)
            free(item[--a.n]);
        a.final = a.too_long = true;
        a.state = b->state;
    }
    tg_updates_answer(w->u, channel_of[box], &a, w->now_us);
    for (size_t i = 1; !box && a.final && i < BOXES; i++) { /* updateChannelTooLong */
        struct tg_update_state received;

        if (tg_updates_state(w->u, channel_of[i], &received, NULL) &&
            received.at[0] < w->box[i].state.at[0])
            tg_updates_behind(w->u, channel_of[i], w->now_us);
    }
}

/* The next thing that is due until then. @return whether there was one */
static bool step(struct world *w, int64_t until_us)
{
    size_t first = 0;
    int64_t due = tg_updates_due(w->u), at;
    struct mail m;

    for (size_t i = 1; i < w->n_mail; i++)
        if (w->mail[i].at_us < w->mail[first].at_us)
            first = i;
    at = w->n_mail ? TG_MIN(due, w->mail[first].at_us) : due;
    if (at > until_us)
        return false;
    w->now_us = TG_MAX(w->now_us, at);
    if (due <= at) {
        tg_updates_tick(w->u, w->now_us);
        assert_true(tg_updates_due(w->u) > w->now_us);
        return true;
    }
    m = w->mail[first];
    w->mail[first] = w->mail[--w->n_mail];
    if (m.life != w->life) {
        free(m.push.item);
        return true;
    }
    if (m.what == PUSH)
        tg_updates_take(w->u, channel_of[m.box], &m.push, w->now_us);
    else if (m.what == ANSWER)
        answer(w, m.box, &m.since);
    else
        tg_updates_failed(w->u, channel_of[m.box], w->now_us + TG_SECOND_US);
    return true;
}

static void run_until(struct world *w, int64_t until_us)
{
    while (step(w, until_us))
        if (w->n_out && chance(&w->r, 40))
            commit_one(w);
    w->now_us = until_us;
}

static void check_end(const struct world *w)
{
    for (size_t box = 0; box < BOXES; box++) {
        struct tg_update_state committed;

        tg_updates_state(w->u, channel_of[box], NULL, &committed);
        for (int seq = 0; seq < TG_UPDATES_SEQS; seq++)
            assert_int_equal(committed.at[seq], w->box[box].state.at[seq]);
        for (size_t i = 0; i < w->box[box].n; i++)
            assert_true(w->box[box].event[i].committed);
    }
}

static void run_seed(struct world *w)
{
    const struct tg_update_state start[BOXES] = { 0 };
    uint32_t restarts;

    memset(w, 0, sizeof *w);
    w->r.state = seed;
    w->lossy = (int)below(&w->r, 60);
    w->slice = 1 + (int)below(&w->r, 20);
    w->long_from = 5 + (int)below(&w->r, 60);
    restarts = below(&w->r, 4);
    begin(w, start);
    for (int i = 0; i < 200; i++) {
        for (uint32_t n = below(&w->r, 4); n; n--)
            happen(w);
        run_until(w, delay(w, chance(&w->r, 2) ? 60000 : 200));
        if (chance(&w->r, restarts))
            restart(w);
    }
    for (int i = 0; i < 3; i++)
        run_until(w, w->now_us + (TG_UPDATES_SILENCE_S + 5) * TG_SECOND_US);
    while (w->n_out)
        commit_one(w);
    check_end(w);
    tg_updates_free(w->u);
    while (w->n_mail)
        free(w->mail[--w->n_mail].push.item);
}

static void each_once_and_in_order(void **state)
{
    const char *one = getenv("TG_SEED"), *many = getenv("TG_SEEDS");
    uint64_t n = many ? strtoull(many, NULL, 10) : SEEDS;
    struct world *w = malloc(sizeof *w);
    size_t applied = 0, ranges = 0;

    (void)state;
    assert_non_null(w);
    seed = one ? strtoull(one, NULL, 10) : 1;
    for (uint64_t end = one ? seed + 1 : n + 1; seed < end; seed++) {
        run_seed(w);
        applied += w->applied;
        ranges += w->ranges;
    }
    free(w);
    seed = 0;
    print_message("%zu updates applied, %zu ranges too long\n", applied, ranges);
}

static int tell_seed(void **state)
{
    (void)state;
    if (seed)
        print_error("seed %llu: TG_SEED=%llu repeats it\n", (unsigned long long)seed,
                    (unsigned long long)seed);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(each_once_and_in_order, tell_seed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
/*
 * updates.c - boxes of updates: what is next, what is missing, what is committed; see updates.h
 *
 * What was applied and is not committed waits as steps, the oldest first: a step is the state
 * behind it, and how many of its items are out. The committed state is that of the last step before
 * the first with one out. Tickets are the steps' numbers.
 */
#include "telegram/updates.h"

#include <assert.h>
#include <stdlib.h>

static const int64_t gap = TG_UPDATES_GAP_MS * TG_MS_US;
static const int64_t silence = TG_UPDATES_SILENCE_S * TG_SECOND_US;

struct step {
    struct tg_update_state state;
    size_t out;
};

struct box {
    int64_t channel; /* 0: the account */
    bool polled, asking;
    /* When it is to ask, INT64_MAX: not for this reason. */
    int64_t told_us; /* it is behind for sure, or asking failed */
    int64_t gap_us;  /* something is held */
    int64_t idle_us; /* it is polled, or was silent for long */
    struct tg_update_state received, committed;
    struct tg_update *held; /* by sequence and count, in order of coming where they are equal */
    size_t n_held, cap_held;
    struct step *step; /* a ring */
    size_t first_step, n_steps, cap_steps; /* the capacity is a power of two */
    uint64_t ticket;                       /* of the first step */
};

struct tg_updates {
    const struct tg_updates_ops *ops;
    void *ctx;
    struct box *box; /* by channel */
    size_t n, cap;
    size_t asking;  /* channels that are */
    uint64_t begun; /* boxes so far */
};

/* ---- boxes ---- */

struct tg_updates *tg_updates_new(const struct tg_updates_ops *ops, void *ctx)
{
    struct tg_updates *u = calloc(1, sizeof *u);

    if (u)
        *u = (struct tg_updates){ .ops = ops, .ctx = ctx };
    return u;
}

static void drop_held(struct tg_updates *u, struct box *b)
{
    for (size_t i = 0; i < b->n_held; i++)
        u->ops->drop(u->ctx, b->held[i].item);
    b->n_held = 0;
}

static void done(struct tg_updates *u, struct box *b)
{
    drop_held(u, b);
    u->asking -= b->asking && b->channel;
    free(b->held);
    free(b->step);
}

void tg_updates_free(struct tg_updates *u)
{
    if (!u)
        return;
    for (size_t i = 0; i < u->n; i++)
        done(u, &u->box[i]);
    free(u->box);
    free(u);
}

/* @return where the channel's box is, or belongs */
static size_t place_of(const struct tg_updates *u, int64_t channel)
{
    size_t low = 0, high = u->n;

    while (low < high) {
        size_t mid = low + (high - low) / 2;

        if (u->box[mid].channel < channel)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

static struct box *find(const struct tg_updates *u, int64_t channel)
{
    size_t at = place_of(u, channel);

    return at < u->n && u->box[at].channel == channel ? &u->box[at] : NULL;
}

tg_code tg_updates_begin(struct tg_updates *u, int64_t channel, const struct tg_update_state *state,
                         bool polled, int64_t now_us, struct tg_error *err)
{
    size_t at = place_of(u, channel);

    if (find(u, channel))
        return TG_OK;
    if (u->n == u->cap) {
        size_t cap = u->cap ? 2 * u->cap : 16;
        struct box *more = reallocarray(u->box, cap, sizeof *more);

        if (!more)
            return tg_fail(err, TG_NOMEM, "one more chat whose updates are wanted");
        u->box = more;
        u->cap = cap;
    }
    memmove(&u->box[at + 1], &u->box[at], (u->n++ - at) * sizeof *u->box);
    u->box[at] = (struct box){ .channel = channel, .polled = polled, .told_us = now_us,
                               .gap_us = INT64_MAX, .idle_us = INT64_MAX, .received = *state,
                               .committed = *state, .ticket = ++u->begun << 40 };
    return TG_OK;
}

void tg_updates_end(struct tg_updates *u, int64_t channel)
{
    size_t at = place_of(u, channel);

    if (!find(u, channel))
        return;
    done(u, &u->box[at]);
    memmove(&u->box[at], &u->box[at + 1], (--u->n - at) * sizeof *u->box);
}

/* ---- steps ---- */

static struct step *step_at(const struct box *b, size_t i)
{
    return &b->step[(b->first_step + i) & (b->cap_steps - 1)];
}

static bool has_room(struct box *b)
{
    size_t cap = b->cap_steps ? 2 * b->cap_steps : 16;
    struct step *more;

    if (b->n_steps < b->cap_steps)
        return true;
    more = calloc(cap, sizeof *more);
    if (!more)
        return false;
    for (size_t i = 0; i < b->n_steps; i++)
        more[i] = *step_at(b, i);
    free(b->step);
    b->step = more;
    b->first_step = 0;
    b->cap_steps = cap;
    return true;
}

/* The state moves on, and so many items go out. Where none does, the last step moves, if there is
 * one. @return the ticket; there must be room */
static uint64_t move_on(struct box *b, const struct tg_update_state *to, size_t out)
{
    b->received = *to;
    if (!out && !b->n_steps) {
        b->committed = *to;
    } else if (!out) {
        step_at(b, b->n_steps - 1)->state = *to;
    } else {
        assert(b->n_steps < b->cap_steps);
        *step_at(b, b->n_steps++) = (struct step){ *to, out };
    }
    return b->ticket + b->n_steps - 1;
}

void tg_updates_commit(struct tg_updates *u, int64_t channel, uint64_t ticket)
{
    struct box *b = find(u, channel);

    if (!b || ticket - b->ticket >= b->n_steps)
        return;
    assert(step_at(b, ticket - b->ticket)->out > 0);
    step_at(b, ticket - b->ticket)->out--;
    while (b->n_steps && !step_at(b, 0)->out) {
        b->committed = step_at(b, 0)->state;
        b->first_step = (b->first_step + 1) & (b->cap_steps - 1);
        b->n_steps--;
        b->ticket++;
    }
}

bool tg_updates_state(const struct tg_updates *u, int64_t channel,
                      struct tg_update_state *ret_received, struct tg_update_state *ret_committed)
{
    const struct box *b = find(u, channel);

    if (b && ret_received)
        *ret_received = b->received;
    if (b && ret_committed)
        *ret_committed = b->committed;
    return b != NULL;
}

/* ---- what comes ---- */

/* How an update stands to its sequence: 0 next, below 0 seen, above 0 something is missing. In 64
 * bits, as a server may say what it likes. */
static int order(const struct box *b, const struct tg_update *update)
{
    int64_t before = (int64_t)update->after - update->count, have = b->received.at[update->seq];

    return before < have ? -1 : before > have;
}

/* @return false: no memory, it is as if it had not come */
static bool apply(struct tg_updates *u, struct box *b, const struct tg_update *update)
{
    struct tg_update_state to = b->received;

    if (!has_room(b)) {
        u->ops->drop(u->ctx, update->item);
        return false;
    }
    if (update->after)
        to.at[update->seq] = update->after;
    if (update->date > to.date)
        to.date = update->date;
    u->ops->apply(u->ctx, b->channel, update->item, move_on(b, &to, 1));
    return true;
}

/* By sequence and number, behind what is equal. @return false: no room */
static bool hold(struct box *b, const struct tg_update *update)
{
    size_t at = b->n_held;

    if (b->n_held == TG_UPDATES_HELD)
        return false;
    if (b->n_held == b->cap_held) {
        size_t cap = b->cap_held ? 2 * b->cap_held : 8;
        struct tg_update *more = reallocarray(b->held, cap, sizeof *more);

        if (!more)
            return false;
        b->held = more;
        b->cap_held = cap;
    }
    while (at && (b->held[at - 1].seq > update->seq ||
                  (b->held[at - 1].seq == update->seq && b->held[at - 1].after > update->after)))
        at--;
    memmove(&b->held[at + 1], &b->held[at], (b->n_held++ - at) * sizeof *b->held);
    b->held[at] = *update;
    return true;
}

/* What is held may be next now. */
static void try_held(struct tg_updates *u, struct box *b, int64_t now_us)
{
    size_t kept = 0;

    for (size_t i = 0; i < b->n_held; i++) {
        int is = order(b, &b->held[i]);

        if (is > 0)
            b->held[kept++] = b->held[i];
        else if (is < 0)
            u->ops->drop(u->ctx, b->held[i].item);
        else if (!apply(u, b, &b->held[i]))
            b->told_us = now_us + gap;
    }
    b->n_held = kept;
    if (!kept)
        b->gap_us = INT64_MAX;
}

void tg_updates_take(struct tg_updates *u, int64_t channel, const struct tg_update *update,
                     int64_t now_us)
{
    struct box *b = find(u, channel);
    int is;

    if (!b) {
        u->ops->drop(u->ctx, update->item);
        return;
    }
    if (!channel)
        b->idle_us = now_us + silence;
    is = update->after ? order(b, update) : 0;
    if (is < 0) {
        u->ops->drop(u->ctx, update->item);
    } else if (is == 0 && !(b->asking && update->after)) {
        if (!apply(u, b, update))
            b->told_us = now_us + gap;
        else if (b->n_held && !b->asking)
            try_held(u, b, now_us);
    } else if (hold(b, update)) {
        b->gap_us = TG_MIN(b->gap_us, now_us + gap);
    } else { /* a difference brings them all */
        u->ops->drop(u->ctx, update->item);
        drop_held(u, b);
        b->gap_us = INT64_MAX;
        b->told_us = now_us;
    }
}

void tg_updates_behind(struct tg_updates *u, int64_t channel, int64_t now_us)
{
    struct box *b = find(u, channel);

    if (b)
        b->told_us = TG_MIN(b->told_us, now_us);
}

/* ---- differences ---- */

static void end_asking(struct tg_updates *u, struct box *b)
{
    u->asking -= b->channel != 0;
    b->asking = false;
}

/* @return false: no memory: it asks again */
static bool take_answer(struct tg_updates *u, struct box *b, const struct tg_update_answer *answer)
{
    const struct tg_update_state from = b->received;
    uint64_t ticket;

    if (!has_room(b))
        return false;
    ticket = move_on(b, &answer->state, answer->too_long ? 1 : answer->n);
    if (answer->too_long)
        u->ops->too_long(u->ctx, b->channel, &from, &answer->state, ticket);
    else
        for (size_t i = 0; i < answer->n; i++)
            u->ops->apply(u->ctx, b->channel, answer->item[i], ticket);
    return true;
}

void tg_updates_answer(struct tg_updates *u, int64_t channel, const struct tg_update_answer *answer,
                       int64_t now_us)
{
    struct box *b = find(u, channel);
    bool asked = b && b->asking;

    assert(!answer->too_long || !answer->n);
    if (asked)
        end_asking(u, b);
    if (!asked || !take_answer(u, b, answer)) {
        for (size_t i = 0; i < answer->n; i++)
            u->ops->drop(u->ctx, answer->item[i]);
        if (asked)
            b->told_us = TG_MIN(b->told_us, now_us + gap);
        return;
    }
    if (!answer->final && !answer->too_long)
        b->told_us = now_us;
    if (b->polled || !channel)
        b->idle_us = now_us + (b->polled ? answer->timeout_us : silence);
    if (b->n_held)
        b->gap_us = now_us + gap;
    try_held(u, b, now_us);
}

void tg_updates_failed(struct tg_updates *u, int64_t channel, int64_t again_us)
{
    struct box *b = find(u, channel);

    if (!b || !b->asking)
        return;
    end_asking(u, b);
    b->told_us = again_us;
}

/* ---- time ---- */

/* @return INT64_MAX: when something comes */
static int64_t due_of(const struct tg_updates *u, const struct box *b)
{
    if (b->asking || (b->channel && u->asking >= TG_UPDATES_ASKING))
        return INT64_MAX;
    return TG_MIN(b->told_us, TG_MIN(b->gap_us, b->idle_us));
}

/* The box that is due first. */
static struct box *first_due(const struct tg_updates *u)
{
    struct box *first = NULL;

    for (size_t i = 0; i < u->n; i++)
        if (!first || due_of(u, &u->box[i]) < due_of(u, first))
            first = &u->box[i];
    return first;
}

int64_t tg_updates_due(const struct tg_updates *u)
{
    const struct box *first = first_due(u);

    return first ? due_of(u, first) : INT64_MAX;
}

void tg_updates_tick(struct tg_updates *u, int64_t now_us)
{
    while (tg_updates_due(u) <= now_us) {
        struct box *b = first_due(u);

        b->asking = true;
        u->asking += b->channel != 0;
        b->told_us = b->gap_us = b->idle_us = INT64_MAX;
        u->ops->ask(u->ctx, b->channel, &b->received);
    }
}

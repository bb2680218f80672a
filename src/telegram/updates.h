/* SPDX-License-Identifier: MIT */
/*
 * updates.h - which updates come next: each of an account once, in order, whatever the network does
 *
 * Telegram counts its updates in sequences (core.telegram.org/api/updates): of the account its pts
 * (private chats and basic groups), qts and seq (whole packets), and a pts of each channel. A *box*
 * is what one difference answers for: the account, with three sequences, or a channel, with one.
 *
 *   an update (after, count) of a sequence that is at `have`:
 *     have + count == after   the next: applied
 *     have + count >  after   seen before: dropped
 *     have + count <  after   something is missing, or late: held
 *   held for 500 ms, or more than 1000 held, or told so: a difference is asked for
 *   asked for     what comes is held
 *   answered      its items are applied, its state is taken over, what is held is tried again
 *   too long      nothing is applied: what lies between must be read from the history
 *
 * A box asks one at a time, all channels together at most 10. A channel that is polled asks again
 * when the time that its last final answer named is over, the account after 15 minutes of silence.
 *
 * What was applied has been *received*. A box remembers beside it what is *committed*: the state up
 * to which everything was told to be durable, in whatever order. A restart begins there. An answer
 * is committed when all of its items are, as nobody tells the state between them.
 *
 * When memory is short an update is dropped as if the network had lost it; a difference brings it.
 *
 * Time: monotonic microseconds. Pure: no clock, no randomness, no I/O.
 *
 * Threads: one at a time      Limits: 1000 held of a box; 10 differences of channels at once
 */
#ifndef TG_UPDATES_H
#define TG_UPDATES_H

#include "base/base.h"

enum tg_update_seq { TG_UPDATES_PTS, TG_UPDATES_QTS, TG_UPDATES_SEQ, TG_UPDATES_SEQS };

enum { TG_UPDATES_HELD = 1000, TG_UPDATES_ASKING = 10, TG_UPDATES_GAP_MS = 500,
       TG_UPDATES_SILENCE_S = 15 * 60 };

/** Where a box is. A channel has a pts alone. */
struct tg_update_state {
    int32_t at[TG_UPDATES_SEQS];
    int32_t date;
};

/** One update, or what of a packet is counted by seq (count: seq - seq_start + 1). */
struct tg_update {
    enum tg_update_seq seq;
    int32_t after, count; /* after 0: counted by nothing, applied as it comes */
    int32_t date;         /* of its packet; 0: not told */
    void *item;           /* the caller's, until it is applied or dropped */
};

/** What a difference says. */
struct tg_update_answer {
    void *const *item; /* in order */
    size_t n;
    struct tg_update_state state; /* behind them */
    bool final;                   /* else there is more, and the box asks again at once */
    bool too_long;                /* without items: `state` is where to go on */
    int64_t timeout_us;           /* until a polled channel asks again */
};

/** None of them may call back, but for tg_updates_commit. */
struct tg_updates_ops {
    /** The next update of a box, channel 0: of the account. The item is the receiver's now. The
     *  ticket is given back with tg_updates_commit once what came of it is durable. */
    void (*apply)(void *ctx, int64_t channel, void *item, uint64_t ticket);
    /** An update that is not wanted: its item can be freed. */
    void (*drop)(void *ctx, void *item);
    /** Asks for the difference since that state: answered later by tg_updates_answer or _failed. */
    void (*ask)(void *ctx, int64_t channel, const struct tg_update_state *since);
    /** The server does not tell what happened between: it must be found in the history. The ticket
     *  is given back when that is durable. */
    void (*too_long)(void *ctx, int64_t channel, const struct tg_update_state *from,
                     const struct tg_update_state *to, uint64_t ticket);
};

struct tg_updates;

/** @param ops  borrowed, as ctx is
 *  @return NULL: no memory. Freed with tg_updates_free, which drops what is held */
struct tg_updates *tg_updates_new(const struct tg_updates_ops *ops, void *ctx);
void tg_updates_free(struct tg_updates *u);

/**
 * Begins a box (channel 0: the account's) at a state; it asks for its difference at the next tick.
 * One that is there already stays as it is.
 * @param polled  asks again by itself, since nothing may be pushed
 * @return TG_NOMEM
 */
tg_code tg_updates_begin(struct tg_updates *u, int64_t channel, const struct tg_update_state *state,
                         bool polled, int64_t now_us, struct tg_error *err);
/** Ends a box: what it holds is dropped, a late answer too. Tickets of it mean nothing any more. */
void tg_updates_end(struct tg_updates *u, int64_t channel);

/** An update has come. One of no box is dropped. */
void tg_updates_take(struct tg_updates *u, int64_t channel, const struct tg_update *update,
                     int64_t now_us);
/** A box is behind for sure, as after a new session or updateChannelTooLong: it asks at once. */
void tg_updates_behind(struct tg_updates *u, int64_t channel, int64_t now_us);
/** What asking brought. Of a box that did not ask, the items are dropped. */
void tg_updates_answer(struct tg_updates *u, int64_t channel, const struct tg_update_answer *answer,
                       int64_t now_us);
/** Asking failed; it is tried again then. */
void tg_updates_failed(struct tg_updates *u, int64_t channel, int64_t again_us);

/** Asks for what is due. */
void tg_updates_tick(struct tg_updates *u, int64_t now_us);
/** @return when the next tick is due; INT64_MAX: when something comes */
int64_t tg_updates_due(const struct tg_updates *u);

/** What came of one item is durable, or there was nothing to keep. */
void tg_updates_commit(struct tg_updates *u, int64_t channel, uint64_t ticket);
/** @return whether there is such a box; then its states stand in what is not NULL */
bool tg_updates_state(const struct tg_updates *u, int64_t channel,
                      struct tg_update_state *ret_received,
                      struct tg_update_state *ret_committed);

#endif

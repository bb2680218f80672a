/* SPDX-License-Identifier: MIT */
/*
 * share.h - one limiter for many workers: what one of them may send under a limit that all share
 *
 * Workers are processes, on any machine, with logins of one account: the server counts them as one.
 * A store that runs a script as one step (share_script.c; Redis) holds the limit of one (account,
 * method, DC). Time is cut into periods of a second of the store's clock. In the middle of each, a
 * worker asks for a block: tokens for the next period, used evenly over it, so a call costs no
 * round trip and the joint stream is as even as that of one client. The blocks of a period never
 * sum up to more than the rate's. They are dealt out by what each worker wants, the least first
 * (max-min), among those who have asked in the period before. So who is killed holds its share for
 * two periods at most, and a new one waits as long for its own. What a block holds runs out with
 * its period; unused tokens go back, up to the burst.
 *
 *   FREE    no limit is known: all send as they like until the first flood wait
 *   ALONE   after it one worker, and nobody else, sends and learns the rate with a limiter of its
 *           own (limiter.h), since measuring needs all that the server lets pass. Again after three
 *           floods in a minute, and now and then to see whether the limit rose.
 *   WAIT    as seen by the others
 *   SHARED  the rate is known, or was configured: blocks
 *   APART   the store does not answer: each keeps to rate / workers last seen, with its own
 *           limiter, and goes on asking
 *
 * A flood wait is told at once; the store passes it on to all, and nobody sends before it ends.
 *
 * Time: any monotonic microseconds. Pure: no clock, no randomness, no I/O.
 *
 * Threads: none: value type      Limits: one struct per key; some 200 workers a key
 */
#ifndef TG_SHARE_H
#define TG_SHARE_H

#include "flow/limiter.h"

#define TG_SHARE_PERIOD_US TG_SECOND_US
#define TG_SHARE_MICRO INT64_C(1000000) /* tokens are counted in millionths */
#define TG_SHARE_ALL INT64_C(-1)        /* as many as there are */

enum tg_share_mode {
    TG_SHARE_FREE,
    TG_SHARE_SHARED,
    TG_SHARE_ALONE,
    TG_SHARE_WAIT,
    TG_SHARE_NEW,   /* not asked yet */
    TG_SHARE_APART,
};

/** What a worker tells and asks. */
struct tg_share_ask {
    int64_t want_micro;     /* tokens for the next period; TG_SHARE_ALL; 0: it leaves */
    bool now_too;           /* it has none for the period that runs */
    int64_t returned_micro; /* not used in time */
    int64_t cap_milli;      /* configured rate; 0: none */
    int64_t burst_micro;    /* what may gather while nobody asks */
    bool adaptive;          /* it can learn from floods */
    int64_t known_milli, known_learned_milli; /* for a store that knows no rate; 0: nothing */
    int64_t apart;          /* it sent without the store, as one of so many; 0: it did not */
    int64_t flood_us;       /* a flood wait that began and is not told: what is left; -1: none */
    int64_t found_milli, found_learned_milli; /* what was learned alone; 0: not yet */
    bool gives_up;          /* nothing could be learned */
};

/** What the store says. */
struct tg_share_reply {
    enum tg_share_mode mode;   /* FREE, SHARED, ALONE or WAIT */
    int64_t offset_us;         /* since the period began */
    int64_t once_micro;        /* tokens for at once */
    int64_t rest_micro;        /* for the rest of the period */
    int64_t next_micro;        /* for the next one */
    int64_t rate_milli, learned_milli;
    int64_t workers;           /* that want something, with this one */
    int64_t closed_us;         /* nobody sends for so long */
    bool probing;              /* ALONE: a rate is known, it may have risen */
};

enum { TG_SHARE_BLOCKS = 4 };

struct tg_share_block {
    int64_t from_us, to_us, micro, taken_micro;
};

struct tg_share {
    struct tg_limiter_options options;
    enum tg_share_mode mode;
    int64_t ask_at_us;         /* within a period: workers take turns */
    int64_t level_micro;
    struct tg_share_block block[TG_SHARE_BLOCKS]; /* to_us 0: none */
    int64_t used_micro, returned_micro; /* since the last ask */
    int64_t usual_micro;       /* used from one ask to the next, of late */
    int64_t starving_us, starved_us; /* since when there is no token for a call; INT64_MAX: there
                                        is; for how long there was none since the last ask */
    int64_t wanted_us;         /* when a token was wanted last */
    bool joined, seen;         /* the store counts it; it had blocks */
    bool awaiting;             /* a reply */
    int64_t asked_us, next_ask_us;
    int64_t closed_until_us;
    int64_t flood_until_us, told_until_us; /* a wait to be told; told in the last ask; INT64_MIN:
                                              none */
    int64_t rate_milli, learned_milli, workers;
    int64_t alone_us, flooded_us; /* ALONE: since when, and its last flood */
    bool probing;
};

/** @param turn  any number of the worker's own: spreads the workers over a period */
void tg_share_init(struct tg_share *s, const struct tg_limiter_options *options, uint64_t turn);

/** As tg_limiter_take and _peek; `l` is the worker's own limiter of the same key, with the same
 *  options. */
int64_t tg_share_take(struct tg_share *s, struct tg_limiter *l, int64_t now_us);
int64_t tg_share_peek(const struct tg_share *s, const struct tg_limiter *l, int64_t now_us);

/** As tg_limiter_flood. The others are told by the next ask, which is due at once. */
int64_t tg_share_flood(struct tg_share *s, struct tg_limiter *l, int64_t sent_us, int64_t wait_s,
                       uint64_t random, int64_t now_us);

/** Another worker was told to wait. */
void tg_share_closed(struct tg_share *s, int64_t wait_us, int64_t now_us);

/** When to ask, or when a reply that is awaited is overdue; INT64_MAX: not as long as nobody wants
 *  a token. */
int64_t tg_share_due(const struct tg_share *s, int64_t now_us);

/** Whether a reply is overdue: tg_share_lost is to be called. */
bool tg_share_overdue(const struct tg_share *s, int64_t now_us);

/** Fills in an ask that is due; the reply is awaited then, unless it was the last one (want 0).
 *  `waiting`: calls that want a token now. */
void tg_share_fill(struct tg_share *s, const struct tg_limiter *l, size_t waiting, int64_t now_us,
                   struct tg_share_ask *ret);

/** Fills in the last ask: what is left goes back. @return false if the store knows nothing of it */
bool tg_share_leave(struct tg_share *s, struct tg_share_ask *ret);

/** The reply to the ask that is awaited, which was made at asked_us. */
void tg_share_reply(struct tg_share *s, struct tg_limiter *l, const struct tg_share_reply *reply,
                    int64_t now_us);

/** No reply will come: the worker keeps to its fair share until one does. */
void tg_share_lost(struct tg_share *s, struct tg_limiter *l, int64_t now_us);

/** Whole tokens left now; -1: no rate is known. */
int32_t tg_share_remaining(const struct tg_share *s, const struct tg_limiter *l, int64_t now_us);

/* share_script.c */

/**
 * The store's side, in Lua for EVAL. KEYS[1]: a hash for the key. ARGV: the worker's name; the time
 * in microseconds, 0: the store's own; the numbers of an ask in their order (true is 1); a channel,
 * and the words that a flood wait is published under there, before its microseconds.
 * Returns the numbers of a reply in their order.
 */
extern const char tg_share_script[];

#endif

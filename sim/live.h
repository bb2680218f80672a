/* SPDX-License-Identifier: MIT */
/*
 * live.h - a world in which something happens: which change comes when, and which pts it gets
 *
 *   --live RATE[/SPEC]     RATE changes a second, over all chats that can change (world_live.h)
 *
 * Change k is drawn from (seed, k) and the world as it then is, so that the same worlds live the
 * same lives, whoever reads and however fast. Only dates are the clock's.
 *
 * Sequences: each channel counts its own pts, private chats and basic groups count in their
 * account's. A change counts 1, a deletion of n messages n. Of each sequence the last `keep` counts
 * are remembered, one event for each, 8 bytes; who asks for older ones is told that it is too long.
 *
 *   event at pts p of a channel that began at pts 701:      702 703 704 705 706
 *                                                       posted | edited | 3 deleted at once
 *
 * Terms of SPEC, separated by commas:
 *
 *   edits=P, reactions=P, deletes=P   percent of the changes: 20, 15, 5; the rest are posts
 *   mass=N      one deletion in eight takes up to N messages that follow each other
 *   reach=N     edits, reactions, deletions hit the N newest messages of a chat: 1000; 0: any
 *   keep=N      counts of a sequence that are remembered: 10000
 *   early=1     who lags by more than it asks for is told that it is too long, as Telegram may
 *   timeout=S   seconds until a channel should be asked again: 30
 *   silent=P    percent of the channels of which nothing is pushed
 *   lose=P, repeat=P, swap=P   percent of the pushes that are lost, come twice, or come after the
 *               next one on their connection
 *   bare=1      reactions are told without the message, in packets that only seq counts:
 *               updateMessageReactions
 *   most=N      no more than N changes in all
 *   burst=N     N changes at once at each SIGUSR2; else SIGUSR2 stops them and lets them go on
 *   paused=1    begins stopped
 *   chat=ID     only that chat changes, by its marked id; may be repeated
 *   seed=N      instead of the world's
 *
 * Time: monotonic microseconds for when, Unix seconds for dates. Pure: no clock, no I/O.
 *
 * Threads: none      Limits: 16 Mi changes; 1000 messages in a deletion
 */
#ifndef SIM_LIVE_H
#define SIM_LIVE_H

#include "sim/world_live.h"

enum { SIM_LIVE_MASS_MAX = 1000, SIM_LIVE_CHATS_MAX = 64, SIM_LIVE_MOST = 1 << 24,
       SIM_STATE_PTS = 1000 };

enum sim_change_kind { SIM_POSTED, SIM_EDITED, SIM_REACTED, SIM_DELETED };

enum sim_fate { SIM_PUSH_COMES, SIM_PUSH_LOST, SIM_PUSH_TWICE, SIM_PUSH_LATE };

/** What one count of a sequence is. */
struct sim_event {
    int32_t id;
    uint32_t chat : 28; /* index */
    uint32_t kind : 3;  /* enum sim_change_kind */
    uint32_t more : 1;  /* the next count belongs to the same deletion */
};

/** The remembered end of a sequence. */
struct sim_log {
    struct sim_event *event; /* a ring, once `keep` are in it */
    size_t cap;
    int32_t origin;    /* pts before the first change */
    int32_t pts;
    int32_t seq;       /* of an account: packets that were counted as wholes */
    int64_t changed_s; /* date of the last change; 0: none */
};

/** One change, as it has just happened. */
struct sim_change {
    enum sim_change_kind kind;
    const struct sim_chat *chat;
    const struct sim_account *owner; /* whose sequence counts it; NULL: the channel's */
    int32_t id[SIM_LIVE_MASS_MAX];
    size_t n;     /* its pts_count */
    int32_t pts;  /* after it */
    int64_t date;
    bool silent;  /* it is not pushed */
    bool bare;    /* a reaction that no pts counts */
};

struct sim_live;

/** @param spec  of --live; @param seed  of the world, whose `w` is borrowed
 *  @return TG_USAGE for what cannot be read, TG_NOMEM */
tg_code sim_live_new(const char *spec, uint64_t seed, struct sim_world *w, struct sim_live **ret,
                     struct tg_error *err);
void sim_live_end(struct sim_live *l);

/** Makes the next change, if one is due. @return false: none is, or nothing can change any more */
bool sim_live_next(struct sim_live *l, int64_t mono_us, int64_t now_s, struct sim_change *ret);
/** @return when the next one is due, monotonic; INT64_MAX: not by itself */
int64_t sim_live_due(const struct sim_live *l);
/** SIGUSR2: see `burst`. */
void sim_live_poke(struct sim_live *l, int64_t mono_us);
/** @return what becomes of the next push */
enum sim_fate sim_live_fate(struct sim_live *l);
/** Whether nothing is pushed of a channel. */
bool sim_live_silent(const struct sim_live *l, const struct sim_chat *chat);
/** @return seconds that the last answer about a channel tells to wait */
int32_t sim_live_timeout(const struct sim_live *l);
uint64_t sim_live_count(const struct sim_live *l, enum sim_change_kind kind);

/** A channel's sequence, or that of an account's private chats and basic groups. */
const struct sim_log *sim_live_channel(const struct sim_live *l, const struct sim_chat *chat);
const struct sim_log *sim_live_account(const struct sim_live *l, const struct sim_account *a);
/** @return the event that made the sequence reach that pts; NULL: not remembered, or never */
const struct sim_event *sim_live_event(const struct sim_live *l, const struct sim_log *log,
                                       int32_t pts);
/** Whether all that came after a pts is remembered, and given to someone who asks for `limit`. */
bool sim_live_told(const struct sim_live *l, const struct sim_log *log, int32_t pts, int32_t limit);

#endif

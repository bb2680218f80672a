/* SPDX-License-Identifier: MIT */
/*
 * circuits.h - which of several circuit breakers a call asks, and which its failure is charged to
 *
 * A call of an account to a DC, perhaps about a chat, asks the breakers of all three; one that is
 * open refuses it. What fails is charged to as few as can be, so that what is broken stops alone:
 *
 *   what failed                                        is charged to
 *   a connection to a DC: refused, lost, silent        that DC
 *   a call to a DC that is not home: server, login     that DC
 *   a rate limit longer than recovery_timeout, login   the account
 *   a call about a chat: server trouble                the chat; the account as well if another
 *                                                      thing failed since the last success
 *   any other call: server trouble                     the account
 *
 * A call that went well went well for all three, and whatever a DC answers shows that it can be
 * reached. A trial that failed for somebody else's reason is a trial no more. So a chat alone never
 * opens its account's breaker, whatever its share of the calls; two chats that fail side by side,
 * with no success of any call between them, do.
 *
 * Accounts and DCs are a client's; chats are shared by all clients that read them (struct
 * tg_circuit_chats), since which of them asks makes no difference. Each destination has a
 * breaker of its own where it is written to: there is nothing to tell apart.
 *
 * Time: monotonic microseconds, of all that share chats the same up to small differences. Pure: no
 * clock, no randomness; memory for chats alone.
 *
 * Threads: none: value types      Limits: 16 DCs; 1024 chats, of which those that are closed and
 *                                 were not asked for the longest time are forgotten first
 */
#ifndef TG_CIRCUITS_H
#define TG_CIRCUITS_H

#include "flow/breaker.h"

enum { TG_CIRCUIT_DCS = 16, TG_CIRCUIT_CHATS = 1024 };

enum tg_circuit_kind {
    TG_CIRCUIT_ACCOUNT,
    TG_CIRCUIT_DC,
    TG_CIRCUIT_CHAT,
    TG_CIRCUIT_SINK,
    TG_CIRCUIT_KINDS
};

/** A breaker that changed its state. */
struct tg_circuit_change {
    enum tg_circuit_kind kind;
    int64_t number;             /* of the DC, of the chat; else 0 */
    const char *name;           /* of the destination, if there are several; else NULL */
    enum tg_breaker_state from, to;
    int64_t wait_us;            /* until it is tried, if it opened */
    const struct tg_error *err; /* what opened it; else NULL */
};
typedef void (*tg_circuit_changed)(void *ctx, const struct tg_circuit_change *change);

struct tg_circuit_chats {
    struct tg_breaker_options options;
    struct tg_circuit_chat {
        int64_t id;
        uint64_t used;
        struct tg_breaker breaker;
    } *at;
    uint32_t n, cap;
    uint64_t uses;
};

struct tg_circuits {
    /* to be set after tg_circuits_init; may change */
    struct tg_circuit_chats *chats; /* borrowed; NULL: calls about chats are like others */
    tg_circuit_changed changed;     /* may be NULL */
    void *ctx;
    /* kept */
    struct tg_breaker_options options;
    struct tg_breaker account;
    struct tg_circuit_dc {
        int32_t id;
        struct tg_breaker breaker;
    } *dc; /* in order of their first calls: most clients meet one or two */
    uint32_t n_dcs;
    int64_t suspect; /* the chat that all failures since the last success were about; 0: none yet */
    bool wide;       /* there were others */
};

/** What a call was let through with; zeroed: it awaits no verdict. */
struct tg_circuit_pass {
    int32_t dc;
    int64_t chat;
    uint64_t account_turn, dc_turn, chat_turn;
};

/** Fills in what is 0: a window and a recovery of 60 s, 3 trials. */
void tg_circuit_defaults(struct tg_breaker_options *options);

void tg_circuits_init(struct tg_circuits *cs, const struct tg_breaker_options *options,
                      int64_t now_us);
void tg_circuits_done(struct tg_circuits *cs);

/** @return the breaker of a DC, made if absent, until the next call; NULL: there are too many, it
 *          would never open, or there is no memory */
struct tg_breaker *tg_circuits_dc(struct tg_circuits *cs, int32_t dc, int64_t now_us);

/**
 * @param chat       0: the call is about none
 * @param ret_which  whose breaker it is that has the longest to wait; may be NULL
 * @return 0 if a call would be let through now, else microseconds until asking makes sense
 */
int64_t tg_circuits_wait(const struct tg_circuits *cs, int32_t dc, int64_t chat, int64_t now_us,
                         enum tg_circuit_kind *ret_which);

/** A call is sent, for which there is no wait. */
void tg_circuits_take(struct tg_circuits *cs, int32_t dc, int64_t chat, int64_t now_us,
                      struct tg_circuit_pass *ret);

/** It had its answer; err NULL: it went well. Clears the pass. */
void tg_circuits_ended(struct tg_circuits *cs, struct tg_circuit_pass *pass, bool home,
                       const struct tg_error *err, int64_t took_us, int64_t now_us);

/** It ended without saying anything about the other side. Clears the pass. */
void tg_circuits_forget(struct tg_circuits *cs, struct tg_circuit_pass *pass);

/** A connection failed, or could not be made: one failure, however many calls were on it. */
void tg_circuits_lost(struct tg_circuits *cs, int32_t dc, const struct tg_error *why,
                      int64_t now_us);

/** The worst of the breakers that a call would ask: state, success rate and response time each. */
void tg_circuits_health(const struct tg_circuits *cs, int32_t dc, int64_t chat, int64_t now_us,
                        struct tg_breaker_health *ret);

/** @return "account", "dc", "chat" or "sink" */
const char *tg_circuit_kind_name(enum tg_circuit_kind kind);

/** @return whether a destination that failed so may be asked again later */
bool tg_circuit_sink_passes(tg_code code);

/* ---- chats ---- */

void tg_circuit_chats_init(struct tg_circuit_chats *chats,
                           const struct tg_breaker_options *options);
void tg_circuit_chats_done(struct tg_circuit_chats *chats);

/** @return the chat's breaker; NULL: nothing is known of it, so it is closed */
const struct tg_breaker *tg_circuit_chat(const struct tg_circuit_chats *chats, int64_t id);

/** Takes up what an earlier run has kept. @return false out of memory */
bool tg_circuit_chats_load(struct tg_circuit_chats *chats, int64_t id,
                           const struct tg_breaker_record *record, int64_t now_us,
                           int64_t unix_us);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * limits.h - request limits as Telegram has them: a token bucket per account and method
 *
 * A rule "METHOD=RATE/BURST" gives each account BURST tokens for that method, refilled at RATE a
 * second ("messages.getHistory=30/40", "*=5", "contacts.resolveUsername=0.1/1"). Without a token
 * the answer is FLOOD_WAIT_X, X being the whole seconds until one is there, at least 1. A query
 * that was sent before such a wait was over is an early repeat: it is refused again and counted.
 *
 * Whether a client could know of the wait is told from when the query was sent, so that queries
 * that were already under way are not held against it.
 *
 * Threads: none      Limits: 64 rules, 1024 accounts a rule
 */
#ifndef SIM_LIMITS_H
#define SIM_LIMITS_H

#include "base/text.h"

enum { SIM_LIMIT_RULES_MAX = 64, SIM_LIMIT_ACCOUNTS_MAX = 1024 };

struct sim_limits;

struct sim_limits *sim_limits_new(void); /* NULL out of memory */
void sim_limits_free(struct sim_limits *l);

/** Adds a rule. @return TG_USAGE if malformed, TG_LIMIT, TG_NOMEM */
tg_code sim_limits_add(struct sim_limits *l, const char *rule, struct tg_error *err) TG_MUST_CHECK;

/** One query. */
struct sim_limit_query {
    int64_t account;    /* user id; 0: nobody yet, one bucket for all */
    const char *method;
    int64_t now_us;     /* when it is served */
    int64_t sent_us;    /* when the client made it, by its msg_id */
    int64_t grace_us;   /* how long an answer may take to reach the client */
};

/**
 * Takes a token.
 * @param ret_early  set to whether this was an early repeat
 * @return 0 if it may be served, else the seconds of FLOOD_WAIT
 */
int64_t sim_limits_take(struct sim_limits *l, const struct sim_limit_query *q, bool *ret_early);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * breaker.h - circuit breaker: stops asking something that keeps failing, and tries it again later
 *
 *   CLOSED --failure_threshold failures in a row, or too many of the window's calls--> OPEN
 *   OPEN --recovery_timeout later, when somebody asks--> HALF_OPEN
 *   HALF_OPEN --half_open_requests successes--> CLOSED;  --any failure--> OPEN
 *
 * Every state has a number, its turn, which grows with each transition. A call is let through with
 * the turn it left in and reported with it: an answer from an earlier turn counts in the statistics
 * and moves nothing, so answers that come late, in any order or never cannot disturb the state that
 * followed. Trials of HALF_OPEN that bring no verdict for recovery_timeout are given up: the state
 * begins again, with a new turn.
 *
 * The window is a ring of slices; a call belongs to the slice in which its verdict came.
 *
 * Time: any monotonic microseconds, but tg_breaker_save and _load, which use Unix time. Pure: no
 * clock, no randomness.
 *
 * Threads: none: value type      Limits: one struct per thing that can fail
 */
#ifndef TG_BREAKER_H
#define TG_BREAKER_H

#include "base/base.h"

enum { TG_BREAKER_SLICES = 10 };

enum tg_breaker_state { TG_BREAKER_CLOSED, TG_BREAKER_OPEN, TG_BREAKER_HALF_OPEN };

struct tg_breaker_options {
    uint32_t failure_threshold;   /* failures in a row that open it; 0: not counted */
    uint32_t rate_permille;       /* share of failures in the window that opens it, 1..1000;
                                     0: not looked at */
    uint32_t calls_min;           /* verdicts in the window before the share means anything */
    int64_t window_us;            /* > 0 */
    int64_t recovery_timeout_us;  /* > 0 */
    uint32_t half_open_requests;  /* trials at once, and successes that close it; >= 1 */
};

struct tg_breaker {
    struct tg_breaker_options options;
    enum tg_breaker_state state;
    uint64_t turn;                /* from 1 */
    int64_t since_us;             /* start of this turn */
    uint32_t in_a_row;            /* failures without a success between them, while CLOSED */
    uint32_t trials, trials_ok;   /* HALF_OPEN: let through in this turn and not taken back; of
                                     these answered well */
    int64_t trial_us;             /* when the last one left */
    struct {
        int64_t number;           /* of the slice of time that it stands for */
        uint32_t ok, failed;
        int64_t response_us;      /* sum */
    } slice[TG_BREAKER_SLICES];
    uint64_t n_opened, n_half_opened, n_closed, n_refused;
};

/** Starts CLOSED. */
void tg_breaker_init(struct tg_breaker *b, const struct tg_breaker_options *options,
                     int64_t now_us);

/** @return 0 if a call would be let through now, else microseconds until asking makes sense: of
 *  HALF_OPEN with all trials out, until they are given up */
int64_t tg_breaker_peek(const struct tg_breaker *b, int64_t now_us);

/**
 * Asks for a call.
 * @return the turn to report its verdict with, never 0; 0: refused
 */
uint64_t tg_breaker_take(struct tg_breaker *b, int64_t now_us);

/** The call went well, or not. @param response_us  how long it took; >= 0 */
void tg_breaker_passed(struct tg_breaker *b, uint64_t turn, int64_t response_us, int64_t now_us);
void tg_breaker_failed(struct tg_breaker *b, uint64_t turn, int64_t response_us, int64_t now_us);

/** The call ended without saying anything about the other side (cancelled, never sent). */
void tg_breaker_forget(struct tg_breaker *b, uint64_t turn);

/**
 * What a failure says about the other side: a rate limit of at most recovery_timeout and a refusal
 * of the request itself are answers like any other.
 */
enum tg_breaker_verdict { TG_BREAKER_PASS, TG_BREAKER_FAIL, TG_BREAKER_NOTHING };
enum tg_breaker_verdict tg_breaker_judge(const struct tg_error *err, int64_t recovery_timeout_us);

/** How the window's calls went. */
struct tg_breaker_health {
    enum tg_breaker_state state;
    uint32_t calls;               /* verdicts in the window */
    double success_rate;          /* 0..1; 1 without calls */
    int64_t avg_response_us;      /* 0 without calls */
};
void tg_breaker_health(const struct tg_breaker *b, int64_t now_us, struct tg_breaker_health *ret);

/** @return "closed", "open" or "half_open" */
const char *tg_breaker_name(enum tg_breaker_state state);

/** What survives a restart: an open breaker stays open for the rest of its time. A half-open one
 *  is kept as one that may be tried at once. */
struct tg_breaker_record {
    bool open;
    int64_t until_unix_us;        /* if open: when it may be tried */
    uint32_t in_a_row;
};
void tg_breaker_save(const struct tg_breaker *b, int64_t now_us, int64_t unix_us,
                     struct tg_breaker_record *ret);
/** Into a breaker just initialised. A time further away than recovery_timeout is cut to it: the
 *  clock was set, or the options are others now. */
void tg_breaker_load(struct tg_breaker *b, const struct tg_breaker_record *record, int64_t now_us,
                     int64_t unix_us);

#endif

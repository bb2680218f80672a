/* SPDX-License-Identifier: MIT */
/*
 * breakers.h - which circuit breakers are not closed now, of what, since when, and why
 *
 * Metrics have their number by kind, as there may be one for each chat; people want to know which.
 *
 * Threads: none: value type      Limits: 64; of more the newest are not kept
 */
#ifndef TG_OBSERVE_BREAKERS_H
#define TG_OBSERVE_BREAKERS_H

#include "base/json.h"

enum { TG_BREAKERS_MAX = 64, TG_BREAKER_OF = 160, TG_BREAKER_WHY = 160 };

struct tg_breakers {
    struct tg_open_breaker {
        const char *kind, *state;  /* static */
        char of[TG_BREAKER_OF];    /* account, chat, DC of an account, destination */
        int64_t since_us;          /* when it opened */
        char why[TG_BREAKER_WHY];
    } at[TG_BREAKERS_MAX];         /* the oldest first */
    size_t n;
};

/** One has changed. @param state  NULL: it is closed.  @param why  NULL: as before */
void tg_breakers_set(struct tg_breakers *b, const struct tg_open_breaker *now, const char *why);
/** Writes them as an array. */
void tg_breakers_put(const struct tg_breakers *b, int64_t now_us, struct tg_json *j);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * news.h - lines for the user, until somebody takes them
 *
 * Threads: none: value type      Limits: 16 lines; of more the newest give way
 */
#ifndef TG_OBSERVE_NEWS_H
#define TG_OBSERVE_NEWS_H

#include "base/base.h"

enum { TG_OBSERVE_NEWS = 320, TG_NEWS_MAX = 16 };

struct tg_news {
    char line[TG_NEWS_MAX][TG_OBSERVE_NEWS]; /* the oldest first */
    size_t n;
};

void tg_news_add(struct tg_news *news, const char *what, const char *text);
/** A service that is away is told of once, until it answers again.
 *  @param fails  how it was, and is;  @param err  NULL: it answers */
void tg_news_service(struct tg_news *news, bool *fails, const char *what,
                     const struct tg_error *err);
/** @return whether there is a line: the oldest, which is forgotten */
bool tg_news_take(struct tg_news *news, char ret[TG_OBSERVE_NEWS]);

#endif

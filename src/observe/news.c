/* SPDX-License-Identifier: MIT */
/*
 * news.c - see news.h
 */
#include "observe/news.h"

#include <stdio.h>

void tg_news_add(struct tg_news *news, const char *what, const char *text)
{
    if (news->n == TG_NEWS_MAX)
        news->n--;
    snprintf(news->line[news->n++], TG_OBSERVE_NEWS, "%.39s%.280s", what, text);
}

void tg_news_service(struct tg_news *news, bool *fails, const char *what,
                     const struct tg_error *err)
{
    char text[64];

    snprintf(text, sizeof text, "%s %s", what, err ? "cannot be pushed: " : "are pushed again");
    if (!!err != *fails)
        tg_news_add(news, text, err ? err->message : "");
    *fails = err != NULL;
}

bool tg_news_take(struct tg_news *news, char ret[TG_OBSERVE_NEWS])
{
    if (!news->n)
        return false;
    memcpy(ret, news->line[0], TG_OBSERVE_NEWS);
    memmove(news->line[0], news->line[1], --news->n * sizeof news->line[0]);
    return true;
}

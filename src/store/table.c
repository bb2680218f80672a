/* SPDX-License-Identifier: MIT */
/*
 * table.c - the list of all stores, and opening one from its URL; see store.h
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "store/store.h"

extern const struct tg_store_ops tg_store_sqlite, tg_store_postgres, tg_store_redis,
    tg_store_rediss, tg_store_s3, tg_store_dynamodb,
    tg_store_mongodb;

const struct tg_store_ops *const tg_stores[] = { &tg_store_sqlite, &tg_store_postgres,
                                                &tg_store_redis, &tg_store_rediss,
                                                &tg_store_s3, &tg_store_dynamodb,
                                                &tg_store_mongodb, NULL };

static const struct tg_driver *head(size_t i)
{
    return tg_stores[i] ? &tg_stores[i]->head : NULL;
}

static tg_code open_store(const char *url, enum tg_store_use use, struct tg_store *ret,
                          struct tg_error *err)
{
    struct tg_driver_made made;
    struct tg_store opened;
    tg_code code = tg_driver_make(head, "state store", url, &made, err);

    if (code != TG_OK)
        return code;
    opened = (struct tg_store){ tg_stores[made.at], made.self, made.url };
    code = opened.ops->open(opened.self, made.target, use, err);
    if (code != TG_OK)
        tg_store_close(&opened);
    else
        *ret = opened;
    return code;
}

tg_code tg_store_open(const char *url, struct tg_store *ret, struct tg_error *err)
{
    return open_store(url, TG_STORE_CREATE, ret, err);
}

tg_code tg_store_open_existing(const char *url, enum tg_store_use use, struct tg_store *ret,
                               struct tg_error *err)
{
    assert(use != TG_STORE_CREATE);
    return open_store(url, use, ret, err);
}

struct tg_store_shown tg_store_shown(const char *url)
{
    const char *host = strstr(url, "://"), *user = host ? host + 3 : url, *colon = NULL, *at = NULL;
    struct tg_store_shown shown;

    for (const char *c = user; host && *c && *c != '?'; c++) { /* the last '@' ends a password */
        if (*c == ':' && !colon)
            colon = c;
        if (*c == '@')
            at = c;
    }
    if (at && colon && colon < at)
        snprintf(shown.text, sizeof shown.text, "%.*s***%s", (int)(colon + 1 - url), url, at);
    else
        snprintf(shown.text, sizeof shown.text, "%s", url);
    return shown;
}

tg_code tg_store_check(const char *url, struct tg_error *err)
{
    struct tg_driver_made made;
    tg_code code = tg_driver_make(head, "state store", url, &made, err);

    if (code != TG_OK)
        return code;
    tg_driver_unmake(&made, tg_stores[made.at]->head.option);
    return TG_OK;
}

void tg_store_close(struct tg_store *store)
{
    if (store->self) {
        store->ops->close(store->self);
        tg_options_done(store->ops->head.option, store->self);
    }
    free(store->self);
    free(store->url);
    *store = (struct tg_store){ 0 };
}

/* SPDX-License-Identifier: MIT */
/*
 * table.c - the list of all stores, and opening one from its URL; see store.h
 */
#include <assert.h>
#include <stdlib.h>

#include "store/store.h"

extern const struct tg_store_ops tg_store_sqlite;

const struct tg_store_ops *const tg_stores[] = { &tg_store_sqlite, NULL };

static const struct tg_driver *head(size_t i)
{
    return tg_stores[i] ? &tg_stores[i]->head : NULL;
}

/* Makes the instance and opens it; whatever was made is in `ret`, also on failure. */
static tg_code open_parts(struct tg_store *ret, enum tg_store_use use, struct tg_error *err)
{
    char *target, *query;
    size_t i = 0;
    tg_code code = tg_driver_split(ret->url, "state store", &target, &query, err);

    if (code == TG_OK)
        code = tg_driver_find(head, ret->url, "state store", &i, err);
    if (code != TG_OK)
        return code;
    ret->ops = tg_stores[i];
    ret->self = calloc(1, ret->ops->head.size);
    if (!ret->self)
        return tg_fail(err, TG_NOMEM, "state store");
    code = tg_options_default(ret->ops->head.option, ret->self, err);
    if (code == TG_OK)
        code = tg_options_query(ret->ops->head.option, ret->self, query, err);
    if (code == TG_OK)
        code = ret->ops->open(ret->self, target, use, err);
    return code;
}

static tg_code open_store(const char *url, enum tg_store_use use, struct tg_store *ret,
                          struct tg_error *err)
{
    struct tg_store made = { .url = strdup(url) };
    tg_code code = made.url ? open_parts(&made, use, err) : tg_fail(err, TG_NOMEM, "state store");

    if (code != TG_OK)
        tg_store_close(&made);
    else
        *ret = made;
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

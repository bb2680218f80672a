/* SPDX-License-Identifier: MIT */
/*
 * table.c - the list of all brokers, and opening one from its URL; see broker.h
 */
#include <stdlib.h>

#include "queue/broker.h"

extern const struct tg_broker_ops tg_broker_redis, tg_broker_amqp;

const struct tg_broker_ops *const tg_brokers[] = { &tg_broker_redis, &tg_broker_amqp, NULL };

static const struct tg_driver *head(size_t i)
{
    return tg_brokers[i] ? &tg_brokers[i]->head : NULL;
}

/* Makes the instance and opens it; whatever was made is in `ret`, also on failure. */
static tg_code open_parts(struct tg_broker *ret, const char *who, struct tg_error *err)
{
    char *target, *query;
    size_t i = 0;
    tg_code code = tg_driver_split(ret->url, "queue", &target, &query, err);

    if (code == TG_OK)
        code = tg_driver_find(head, ret->url, "queue", &i, err);
    if (code != TG_OK)
        return code;
    ret->ops = tg_brokers[i];
    ret->self = calloc(1, ret->ops->head.size);
    if (!ret->self)
        return tg_fail(err, TG_NOMEM, "no memory for a queue");
    code = tg_options_default(ret->ops->head.option, ret->self, err);
    if (code == TG_OK)
        code = tg_options_query(ret->ops->head.option, ret->self, query, err);
    if (code == TG_OK)
        code = ret->ops->open(ret->self, target, who, err);
    return code;
}

tg_code tg_broker_open(const char *url, const char *who, struct tg_broker *ret,
                       struct tg_error *err)
{
    struct tg_broker made = { .url = strdup(url) };
    tg_code code = made.url ? open_parts(&made, who, err)
                            : tg_fail(err, TG_NOMEM, "no memory for a queue");

    if (code != TG_OK)
        tg_broker_close(&made);
    else
        *ret = made;
    return code;
}

void tg_broker_close(struct tg_broker *broker)
{
    if (broker->self) {
        broker->ops->close(broker->self);
        tg_options_done(broker->ops->head.option, broker->self);
    }
    free(broker->self);
    free(broker->url);
    *broker = (struct tg_broker){ 0 };
}

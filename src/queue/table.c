/* SPDX-License-Identifier: MIT */
/*
 * table.c - the list of all brokers, and opening one from its URL; see broker.h
 */
#include <stdlib.h>

#include "queue/broker.h"

extern const struct tg_broker_ops tg_broker_redis, tg_broker_amqp, tg_broker_sqs;

const struct tg_broker_ops *const tg_brokers[] = { &tg_broker_redis, &tg_broker_amqp,
                                                  &tg_broker_sqs, NULL };

static const struct tg_driver *head(size_t i)
{
    return tg_brokers[i] ? &tg_brokers[i]->head : NULL;
}

tg_code tg_broker_open(const char *url, const char *who, struct tg_broker *ret,
                       struct tg_error *err)
{
    struct tg_driver_made made;
    struct tg_broker opened;
    tg_code code = tg_driver_make(head, "queue", url, &made, err);

    if (code != TG_OK)
        return code;
    opened = (struct tg_broker){ tg_brokers[made.at], made.self, made.url };
    code = opened.ops->open(opened.self, made.target, who, err);
    if (code != TG_OK)
        tg_broker_close(&opened);
    else
        *ret = opened;
    return code;
}

tg_code tg_broker_check(const char *url, struct tg_error *err)
{
    struct tg_driver_made made;
    tg_code code = tg_driver_make(head, "queue", url, &made, err);

    if (code != TG_OK)
        return code;
    tg_driver_unmake(&made, tg_brokers[made.at]->head.option);
    return TG_OK;
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

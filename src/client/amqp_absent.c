/* SPDX-License-Identifier: MIT */
/*
 * amqp_absent.c - amqp.h in a build without the library: no connection can be made, so that only
 * the first of these functions is ever called
 */
#ifndef TG_HAVE_RABBITMQ

#include "client/amqp.h"

#define ABSENT(err) tg_fail(err, TG_UNSUPPORTED, "this build has no RabbitMQ client")

tg_code tg_amqp_new(const struct tg_amqp_options *o, struct tg_amqp **ret, struct tg_error *err)
{
    (void)o, (void)ret;
    ABSENT(err);
    return tg_hint(err, "build it with librabbitmq-dev installed");
}

void tg_amqp_free(struct tg_amqp *a)
{
    (void)a;
}

tg_code tg_amqp_connect(struct tg_amqp *a, struct tg_error *err)
{
    (void)a;
    return ABSENT(err);
}

uint64_t tg_amqp_epoch(const struct tg_amqp *a)
{
    (void)a;
    return 0;
}

tg_code tg_amqp_declare(struct tg_amqp *a, const struct tg_amqp_queue *queue, uint64_t *ret_ready,
                        struct tg_error *err)
{
    (void)a, (void)queue, (void)ret_ready;
    return ABSENT(err);
}

tg_code tg_amqp_check(struct tg_amqp *a, const char *exchange, const char *queue,
                      struct tg_error *err)
{
    (void)a, (void)exchange, (void)queue;
    return ABSENT(err);
}

tg_code tg_amqp_publish(struct tg_amqp *a, const struct tg_amqp_publication *p,
                        struct tg_error *err)
{
    (void)a, (void)p;
    return ABSENT(err);
}

tg_code tg_amqp_confirm(struct tg_amqp *a, uint64_t most, struct tg_error *err)
{
    (void)a, (void)most;
    return ABSENT(err);
}

uint64_t tg_amqp_size_max(const struct tg_amqp *a)
{
    (void)a;
    return 0;
}

tg_code tg_amqp_get(struct tg_amqp *a, const char *queue, struct tg_amqp_message *ret,
                    struct tg_error *err)
{
    (void)a, (void)queue, (void)ret;
    return ABSENT(err);
}

tg_code tg_amqp_ack(struct tg_amqp *a, const struct tg_amqp_message *m, struct tg_error *err)
{
    (void)a, (void)m;
    return ABSENT(err);
}

tg_code tg_amqp_tick(struct tg_amqp *a, struct tg_error *err)
{
    (void)a;
    return ABSENT(err);
}

#else
typedef int tg_amqp_is_built_in; /* a translation unit may not be empty */
#endif

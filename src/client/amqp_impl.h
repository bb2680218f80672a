/* SPDX-License-Identifier: MIT */
/*
 * amqp_impl.h - what amqp.c (connecting, publishing) and amqp_get.c (messages that are got) share;
 * the model stands in amqp.c. These alone include librabbitmq.
 */
#ifndef TG_CLIENT_AMQP_IMPL_H
#define TG_CLIENT_AMQP_IMPL_H

#include "client/amqp.h"

#include <amqp.h>
#include <sys/time.h>

enum { CHANNEL = 1 };

struct tg_amqp {
    char *text;                      /* the URL, cut up by the library */
    size_t text_len;
    char *password;                  /* NULL: the URL's */
    char *ca_file;
    struct amqp_connection_info where;
    char name[128];                  /* "host:port", for messages */
    int64_t timeout_ms, heartbeat_s;
    amqp_connection_state_t c;       /* NULL: not connected */
    uint64_t epoch;
    uint64_t published, confirmed;   /* of the connection; all up to `confirmed` are safe */
    bool safe[TG_AMQP_WINDOW];       /* by number, of those behind */
    uint64_t size_max;
    int64_t pause_us, again_us;      /* the last pause; when the next try may be made */
    struct tg_error why;
};

static inline amqp_bytes_t bytes_of(const char *text)
{
    return amqp_cstring_bytes(text);
}

static inline struct timeval time_of(int64_t ms)
{
    return (struct timeval){ ms / 1000, ms % 1000 * 1000 };
}

/** Closes the connection. */
void rabbit_hang_up(struct tg_amqp *a);
/** The end of a call that has a reply, or a status: a failure closes the connection. */
tg_code rabbit_check(struct tg_amqp *a, amqp_rpc_reply_t r, struct tg_error *err);
tg_code rabbit_check_status(struct tg_amqp *a, int status, struct tg_error *err);
/** What the server said when it closed channel or connection. @return never TG_OK */
tg_code rabbit_refused(struct tg_amqp *a, const amqp_rpc_reply_t *r, struct tg_error *err);

#endif

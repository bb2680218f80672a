/* SPDX-License-Identifier: MIT */
/*
 * amqp.h - a connection to RabbitMQ: durable queues, confirmed publishing, messages one by one
 *
 * Publishing is confirmed: tg_amqp_publish sends and goes on, tg_amqp_confirm waits until the
 * server has what was sent.
 *
 * Every call blocks for a bounded time, so it belongs on a thread of its own, and must come often
 * enough for heartbeats: tg_amqp_tick between others. A connection that was lost is made again by
 * the next call, not more often than a growing pause allows. With it go all messages that were got
 * and not acknowledged: the server gives them to others. `epoch` tells connections apart.
 *
 *   code               when
 *   TG_USAGE           the URL cannot be read
 *   TG_UNSUPPORTED     this build has no RabbitMQ library
 *   TG_NET             not connected: refused, lost, no answer in time
 *   TG_UNUSABLE        wrong user, password or virtual host, or the server refuses the operation
 *   TG_SECURITY        the certificate is not one of that server
 *   TG_LIMIT           a message is larger than the server takes
 *
 * Threads: one at a time per connection
 */
#ifndef TG_CLIENT_AMQP_H
#define TG_CLIENT_AMQP_H

#include "base/text.h"

struct tg_amqp;

/** What a queue is; zeroes: a plain durable one. */
struct tg_amqp_queue {
    const char *name;
    bool quorum;             /* replicated; counts deliveries */
    int64_t delivery_limit;  /* quorum: delivered more often than that, a message is dead; 0 none */
    int64_t ttl_ms;          /* older messages are dead; 0 never */
    const char *dead_to;     /* the queue where dead ones go; NULL: nowhere */
};

struct tg_amqp_message {
    uint64_t epoch, tag;
    uint32_t deliveries;     /* how often it was delivered, with this */
    uint32_t attempts;       /* its header of that name; 0 */
    struct tg_buf body;      /* the caller's */
};

/** A header of a message: a text, or a number if that is NULL. */
struct tg_amqp_header {
    const char *key;
    const char *text;
    int64_t number;
};

/** A message that is published; it is persistent. */
struct tg_amqp_publication {
    const char *exchange; /* "": straight to the queue that the routing key names */
    const char *routing_key;
    const char *content_type;
    const char *message_id; /* NULL: none */
    const void *body;
    size_t len;
    const struct tg_amqp_header *header;
    size_t n_headers; /* at most TG_AMQP_HEADERS_MAX */
};
enum { TG_AMQP_HEADERS_MAX = 4, TG_AMQP_WINDOW = 1024 };

struct tg_amqp_options {
    const char *url;      /* amqp[s]://[USER[:PASSWORD]@]HOST[:PORT][/VHOST]; percent-encoding is
                             understood */
    const char *password; /* NULL: the URL's */
    const char *ca_file;  /* certificates to trust; NULL: SSL_CERT_FILE, else Debian's */
    int64_t timeout_ms;
    int64_t heartbeat_s;  /* the server gives a connection up when it was silent for about twice
                             that long; 0: never */
};

/** @param o  copied; the library keeps user and password in memory until tg_amqp_free */
tg_code tg_amqp_new(const struct tg_amqp_options *o, struct tg_amqp **ret, struct tg_error *err);
void tg_amqp_free(struct tg_amqp *a); /* NULL is nothing */

/** Connects unless it is connected. */
tg_code tg_amqp_connect(struct tg_amqp *a, struct tg_error *err);

/** @return the number of the present or last connection, from 1 */
uint64_t tg_amqp_epoch(const struct tg_amqp *a);

/** Makes a queue that is not there. @param ret_ready  messages that wait in it; may be NULL
 *  @return TG_UNUSABLE also if it is there and is another kind of queue */
tg_code tg_amqp_declare(struct tg_amqp *a, const struct tg_amqp_queue *queue, uint64_t *ret_ready,
                        struct tg_error *err);

/** Whether an exchange, or the queue of that name if it is "", is there.
 *  @return TG_UNUSABLE if not */
tg_code tg_amqp_check(struct tg_amqp *a, const char *exchange, const char *queue,
                      struct tg_error *err);

/** Sends a message. At most TG_AMQP_WINDOW are unconfirmed: beyond that it waits for some. Those of
 *  a connection that was lost are not known of any more. */
tg_code tg_amqp_publish(struct tg_amqp *a, const struct tg_amqp_publication *p,
                        struct tg_error *err);

/** Waits until at most so many messages are unconfirmed. @return TG_UNUSABLE if the server gave one
 *  back, as no queue gets it; TG_SERVER if it could not keep one; TG_NET also if what was sent was
 *  lost with its connection */
tg_code tg_amqp_confirm(struct tg_amqp *a, uint64_t most, struct tg_error *err);

/** @return bytes of the largest message that the server takes; 0: it has not told yet, which it
 *  does with TG_LIMIT */
uint64_t tg_amqp_size_max(const struct tg_amqp *a);

/** Gets the next message. @return TG_AGAIN: there is none */
tg_code tg_amqp_get(struct tg_amqp *a, const char *queue, struct tg_amqp_message *ret,
                    struct tg_error *err);

/** @return TG_CONFLICT: the connection that got it is gone */
tg_code tg_amqp_ack(struct tg_amqp *a, const struct tg_amqp_message *m, struct tg_error *err);

/** Sends heartbeats that are due, and notices when the connection is gone. */
tg_code tg_amqp_tick(struct tg_amqp *a, struct tg_error *err);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * amqp.c - see amqp.h
 *
 * One channel, with publisher confirms: the server acknowledges messages by number, in any order;
 * a ring of flags tells which of the last TG_AMQP_WINDOW it has. After any failure the connection
 * is closed, and the next call makes another: the library offers no way back, and a channel that
 * the server closed is of no use. A refusal is told from a lost connection by what the server said.
 * MSG_NOSIGNAL; the program ignores SIGPIPE (cli/term.c), and a library's user is asked to.
 *
 * Facts: rabbitmq.com/docs (quorum queues, dead lettering, publisher confirms), AMQP 0-9-1.
 */
#ifdef TG_HAVE_RABBITMQ

#include "client/amqp_impl.h"

#include <amqp_ssl_socket.h>
#include <amqp_tcp_socket.h>
#include <assert.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "crypto/ct.h"
#include "os/loop.h"

enum { FRAME_MAX = 131072, ARGS_MAX = 6 };
#define PAUSE_FIRST_US (100 * TG_MS_US)
#define PAUSE_LAST_US (5 * TG_SECOND_US)
#define WHO "user, password and virtual host must be those of the server"
#define CA_FILE "/etc/ssl/certs/ca-certificates.crt"

void rabbit_hang_up(struct tg_amqp *a)
{
    if (a->c)
        amqp_destroy_connection(a->c); /* closes the socket; a goodbye could block */
    a->c = NULL;
}

/* ---- failures ---- */

/* What the server said when it closed channel or connection. */
tg_code rabbit_refused(struct tg_amqp *a, const amqp_rpc_reply_t *r, struct tg_error *err)
{
    amqp_bytes_t text = { 0, NULL };
    const char *told;

    if (r->reply.id == AMQP_CONNECTION_CLOSE_METHOD)
        text = ((amqp_connection_close_t *)r->reply.decoded)->reply_text;
    else if (r->reply.id == AMQP_CHANNEL_CLOSE_METHOD)
        text = ((amqp_channel_close_t *)r->reply.decoded)->reply_text;
    tg_fail(err, TG_UNUSABLE, "RabbitMQ at %s: %.*s", a->name, (int)TG_MIN(text.len, 200u),
            text.bytes ? (const char *)text.bytes : "refused");
    told = strstr(err->message, "larger than configured max size ");
    if (told && (a->size_max = strtoull(told + strlen("larger than configured max size "), NULL,
                                        10)))
        err->code = TG_LIMIT;
    if (strstr(err->message, "ACCESS_REFUSED") || strstr(err->message, "NOT_ALLOWED"))
        tg_hint(err, WHO);
    return err->code;
}

static bool is_untrusted(int status)
{
    return status == AMQP_STATUS_SSL_PEER_VERIFY_FAILED ||
           status == AMQP_STATUS_SSL_HOSTNAME_VERIFY_FAILED;
}

static tg_code lost(struct tg_amqp *a, int status, struct tg_error *err)
{
    tg_fail(err, is_untrusted(status) ? TG_SECURITY : TG_NET, "RabbitMQ at %s: %s", a->name,
            amqp_error_string2(status));
    return tg_hint(err, is_untrusted(status)
                            ? "certificates to trust stand in the file that ca-file, or "
                              "SSL_CERT_FILE, names"
                            : "check that the server runs and can be reached");
}

/* The end of a call that has a reply: a failure closes the connection. */
tg_code rabbit_check(struct tg_amqp *a, amqp_rpc_reply_t r, struct tg_error *err)
{
    tg_code code = TG_OK;

    if (r.reply_type == AMQP_RESPONSE_SERVER_EXCEPTION)
        code = rabbit_refused(a, &r, err);
    else if (r.reply_type == AMQP_RESPONSE_LIBRARY_EXCEPTION)
        code = lost(a, r.library_error, err);
    else if (r.reply_type != AMQP_RESPONSE_NORMAL)
        code = lost(a, AMQP_STATUS_UNEXPECTED_STATE, err);
    if (code != TG_OK)
        rabbit_hang_up(a);
    return code;
}

tg_code rabbit_check_status(struct tg_amqp *a, int status, struct tg_error *err)
{
    tg_code code = status == AMQP_STATUS_OK ? TG_OK : lost(a, status, err);

    if (code != TG_OK)
        rabbit_hang_up(a);
    return code;
}

/* ---- connecting ---- */

static char *copy(const char *text)
{
    return text ? strdup(text) : NULL;
}

tg_code tg_amqp_new(const struct tg_amqp_options *o, struct tg_amqp **ret, struct tg_error *err)
{
    struct tg_amqp *a = calloc(1, sizeof *a);
    const char *ca_file = o->ca_file ? o->ca_file : getenv("SSL_CERT_FILE");

    if (a) {
        a->text = copy(o->url);
        a->password = copy(o->password);
        a->ca_file = strdup(ca_file && *ca_file ? ca_file : CA_FILE);
    }
    if (!a || !a->text || !a->ca_file || (o->password && !a->password)) {
        tg_amqp_free(a);
        return tg_fail(err, TG_NOMEM, "no memory for a connection");
    }
    a->text_len = strlen(a->text);
    a->timeout_ms = o->timeout_ms;
    a->heartbeat_s = o->heartbeat_s;
    amqp_default_connection_info(&a->where);
    if (amqp_parse_url(a->text, &a->where) != AMQP_STATUS_OK) {
        tg_amqp_free(a);
        tg_fail(err, TG_USAGE, "the RabbitMQ URL cannot be read");
        return tg_hint(err, "write it as amqp://USER:PASSWORD@HOST:PORT/VHOST");
    }
    if (a->password)
        a->where.password = a->password;
    snprintf(a->name, sizeof a->name, "%.100s:%d", a->where.host, a->where.port);
    *ret = a;
    return TG_OK;
}

static void forget(char *secret, size_t len)
{
    tg_wipe(secret, len);
    free(secret);
}

void tg_amqp_free(struct tg_amqp *a)
{
    if (!a)
        return;
    rabbit_hang_up(a);
    forget(a->text, a->text_len);
    forget(a->password, a->password ? strlen(a->password) : 0);
    free(a->ca_file);
    free(a);
}

uint64_t tg_amqp_size_max(const struct tg_amqp *a)
{
    return a->size_max;
}

static amqp_socket_t *new_socket(struct tg_amqp *a)
{
    amqp_socket_t *socket;

    if (!a->where.ssl)
        return amqp_tcp_socket_new(a->c);
    socket = amqp_ssl_socket_new(a->c);
    if (!socket)
        return NULL;
    amqp_ssl_socket_set_verify_peer(socket, 1);
    amqp_ssl_socket_set_verify_hostname(socket, 1);
    amqp_ssl_socket_set_ssl_versions(socket, AMQP_TLSv1_2, AMQP_TLSvLATEST);
    return socket;
}

/* The library waits for room to send as long as it takes: the kernel shall end that. */
static void bound_sending(struct tg_amqp *a)
{
    unsigned timeout_ms = (unsigned)a->timeout_ms;
    int yes = 1, fd = amqp_get_sockfd(a->c);

    setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout_ms, sizeof timeout_ms);
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &yes, sizeof yes);
}

static tg_code open_socket(struct tg_amqp *a, struct tg_error *err)
{
    struct timeval timeout = time_of(a->timeout_ms);
    amqp_socket_t *socket;
    tg_code code;

    a->c = amqp_new_connection();
    socket = a->c ? new_socket(a) : NULL;
    if (!socket)
        return tg_fail(err, TG_NOMEM, "no memory for a connection");
    if (a->where.ssl && amqp_ssl_socket_set_cacert(socket, a->ca_file) != AMQP_STATUS_OK)
        return tg_fail(err, TG_USAGE, "'%.200s' holds no certificates", a->ca_file);
    amqp_set_handshake_timeout(a->c, &timeout);
    amqp_set_rpc_timeout(a->c, &timeout);
    code = rabbit_check_status(a, amqp_socket_open_noblock(socket, a->where.host, a->where.port,
                                                           &timeout), err);
    if (code == TG_OK)
        bound_sending(a);
    return code;
}

static tg_code log_in(struct tg_amqp *a, struct tg_error *err)
{
    tg_code code = rabbit_check(a, amqp_login(a->c, a->where.vhost, CHANNEL, FRAME_MAX,
                                              (int)a->heartbeat_s, AMQP_SASL_METHOD_PLAIN,
                                              a->where.user, a->where.password), err);

    if (code == TG_NET && strstr(err->message, "connection closed")) { /* how it refuses a login */
        code = err->code = TG_UNUSABLE;
        tg_hint(err, WHO);
    }
    if (code == TG_OK) {
        amqp_channel_open(a->c, CHANNEL);
        code = rabbit_check(a, amqp_get_rpc_reply(a->c), err);
    }
    if (code == TG_OK) {
        amqp_confirm_select(a->c, CHANNEL);
        code = rabbit_check(a, amqp_get_rpc_reply(a->c), err);
    }
    return code;
}

tg_code tg_amqp_connect(struct tg_amqp *a, struct tg_error *err)
{
    int64_t now = tg_clock_mono_us();
    tg_code code;

    if (a->c)
        return TG_OK;
    if (now < a->again_us) {
        *err = a->why;
        return err->code;
    }
    code = open_socket(a, err);
    if (code == TG_OK)
        code = log_in(a, err);
    if (code == TG_OK) {
        a->pause_us = 0;
        a->published = a->confirmed = 0;
        memset(a->safe, 0, sizeof a->safe); /* numbers begin again */
        a->epoch++;
        return TG_OK;
    }
    rabbit_hang_up(a);
    a->pause_us = a->pause_us ? TG_MIN(a->pause_us * 2, PAUSE_LAST_US) : PAUSE_FIRST_US;
    a->again_us = now + a->pause_us;
    a->why = *err;
    return code;
}

uint64_t tg_amqp_epoch(const struct tg_amqp *a)
{
    return a->epoch;
}

/* ---- queues ---- */

static void add_text(amqp_table_t *table, const char *key, const char *value)
{
    table->entries[table->num_entries++] = (amqp_table_entry_t){
        .key = bytes_of(key),
        .value = { .kind = AMQP_FIELD_KIND_UTF8, .value.bytes = bytes_of(value) },
    };
}

static void add_number(amqp_table_t *table, const char *key, int64_t value)
{
    table->entries[table->num_entries++] = (amqp_table_entry_t){
        .key = bytes_of(key),
        .value = { .kind = AMQP_FIELD_KIND_I64, .value.i64 = value },
    };
}

tg_code tg_amqp_declare(struct tg_amqp *a, const struct tg_amqp_queue *queue, uint64_t *ret_ready,
                        struct tg_error *err)
{
    amqp_table_entry_t entry[ARGS_MAX];
    amqp_table_t args = { 0, entry };
    amqp_queue_declare_ok_t *ok;
    tg_code code = tg_amqp_connect(a, err);

    if (code != TG_OK)
        return code;
    if (queue->quorum)
        add_text(&args, "x-queue-type", "quorum");
    if (queue->delivery_limit)
        add_number(&args, "x-delivery-limit", queue->delivery_limit);
    if (queue->ttl_ms)
        add_number(&args, "x-message-ttl", queue->ttl_ms);
    if (queue->dead_to) {
        add_text(&args, "x-dead-letter-exchange", "");
        add_text(&args, "x-dead-letter-routing-key", queue->dead_to);
    }
    ok = amqp_queue_declare(a->c, CHANNEL, bytes_of(queue->name), 0, 1, 0, 0, args);
    code = rabbit_check(a, amqp_get_rpc_reply(a->c), err);
    if (code == TG_OK && ret_ready)
        *ret_ready = ok ? ok->message_count : 0;
    if (a->c)
        amqp_maybe_release_buffers(a->c);
    return code;
}

tg_code tg_amqp_check(struct tg_amqp *a, const char *exchange, const char *queue,
                      struct tg_error *err)
{
    tg_code code = tg_amqp_connect(a, err);

    if (code != TG_OK)
        return code;
    if (*exchange) /* its type does not count */
        amqp_exchange_declare(a->c, CHANNEL, bytes_of(exchange), bytes_of("direct"), 1, 0, 0, 0,
                              amqp_empty_table);
    else
        amqp_queue_declare(a->c, CHANNEL, bytes_of(queue), 1, 0, 0, 0, amqp_empty_table);
    code = rabbit_check(a, amqp_get_rpc_reply(a->c), err);
    if (a->c)
        amqp_maybe_release_buffers(a->c);
    return code;
}

/* ---- publishing ---- */

/* The server has message n, or all up to n. What it says of others is passed over. */
static void confirmed(struct tg_amqp *a, uint64_t n, bool all_up_to)
{
    if (n <= a->confirmed || n > a->published)
        return;
    for (uint64_t i = all_up_to ? a->confirmed + 1 : n; i <= n; i++)
        a->safe[i % TG_AMQP_WINDOW] = true;
    while (a->confirmed < a->published && a->safe[(a->confirmed + 1) % TG_AMQP_WINDOW])
        a->safe[++a->confirmed % TG_AMQP_WINDOW] = false;
}

/* A message that no queue gets comes back: method, header, body. The body is not read, as the
 * connection ends. */
static tg_code came_back(struct tg_amqp *a, const amqp_basic_return_t *r, struct tg_error *err)
{
    struct timeval timeout = time_of(a->timeout_ms);
    char key[128], exchange[80], reply[64], id[128] = "";
    amqp_frame_t header;

    snprintf(key, sizeof key, "%.*s", (int)r->routing_key.len, (const char *)r->routing_key.bytes);
    snprintf(exchange, sizeof exchange, "%.*s", (int)r->exchange.len,
             (const char *)r->exchange.bytes);
    snprintf(reply, sizeof reply, "%.*s", (int)r->reply_text.len,
             (const char *)r->reply_text.bytes);
    if (amqp_simple_wait_frame_noblock(a->c, &header, &timeout) == AMQP_STATUS_OK &&
        header.frame_type == AMQP_FRAME_HEADER) {
        const amqp_basic_properties_t *p = header.payload.properties.decoded;

        if (p->_flags & AMQP_BASIC_MESSAGE_ID_FLAG)
            snprintf(id, sizeof id, "%.*s", (int)p->message_id.len,
                     (const char *)p->message_id.bytes);
    }
    tg_fail(err, TG_UNUSABLE, "RabbitMQ at %.80s gave message '%.80s' back: %s (exchange '%.60s', "
            "routing key '%.60s')", a->name, id, reply, exchange, key);
    return tg_hint(err, "bind a queue to that exchange and key");
}

static tg_code take_frame(struct tg_amqp *a, const amqp_frame_t *frame, struct tg_error *err)
{
    const amqp_method_t *m = &frame->payload.method;
    const amqp_basic_ack_t *ack = m->decoded;

    if (frame->frame_type != AMQP_FRAME_METHOD)
        return TG_OK;
    switch (m->id) {
    case AMQP_BASIC_ACK_METHOD:
        confirmed(a, ack->delivery_tag, ack->multiple);
        return TG_OK;
    case AMQP_BASIC_NACK_METHOD:
        tg_fail(err, TG_SERVER, "RabbitMQ at %s did not take a message (nack)", a->name);
        return tg_hint(err, "a queue that is full refuses messages; look at its limits and policy");
    case AMQP_BASIC_RETURN_METHOD:
        return came_back(a, m->decoded, err);
    case AMQP_CHANNEL_CLOSE_METHOD:
    case AMQP_CONNECTION_CLOSE_METHOD:
        return rabbit_refused(a, &(amqp_rpc_reply_t){ .reply = *m }, err);
    default:
        return TG_OK;
    }
}

tg_code tg_amqp_confirm(struct tg_amqp *a, uint64_t most, struct tg_error *err)
{
    int64_t until_us = tg_clock_mono_us() + a->timeout_ms * TG_MS_US;
    tg_code code = TG_OK;

    if (!a->c)
        return tg_fail(err, TG_NET, "RabbitMQ at %s: the connection was lost", a->name);
    while (code == TG_OK && a->published - a->confirmed > most) {
        int64_t left_us = TG_MAX(until_us - tg_clock_mono_us(), INT64_C(0));
        struct timeval timeout = time_of(left_us / TG_MS_US + 1);
        uint64_t before = a->confirmed;
        amqp_frame_t frame;

        amqp_maybe_release_buffers(a->c);
        code = rabbit_check_status(a, amqp_simple_wait_frame_noblock(a->c, &frame, &timeout), err);
        if (code != TG_OK)
            return code;
        code = take_frame(a, &frame, err);
        if (a->confirmed > before)
            until_us = tg_clock_mono_us() + a->timeout_ms * TG_MS_US;
    }
    if (code != TG_OK)
        rabbit_hang_up(a);
    return code;
}

/* A connection that the server closed: what it said stands before its end. */
static tg_code sending_failed(struct tg_amqp *a, int status, struct tg_error *err)
{
    struct timeval now = { 0, 0 };
    amqp_frame_t frame;
    tg_code code = TG_OK;

    while (code == TG_OK &&
           amqp_simple_wait_frame_noblock(a->c, &frame, &now) == AMQP_STATUS_OK)
        code = take_frame(a, &frame, err);
    if (code == TG_OK)
        code = lost(a, status, err);
    rabbit_hang_up(a);
    return code;
}

tg_code tg_amqp_publish(struct tg_amqp *a, const struct tg_amqp_publication *p,
                        struct tg_error *err)
{
    amqp_table_entry_t entry[TG_AMQP_HEADERS_MAX];
    amqp_basic_properties_t sent = { 0 };
    amqp_bytes_t body = { p->len, (void *)(uintptr_t)p->body };
    tg_code code = tg_amqp_connect(a, err);
    int status;

    assert(p->n_headers <= TG_AMQP_HEADERS_MAX);
    if (code == TG_OK && a->published - a->confirmed == TG_AMQP_WINDOW)
        code = tg_amqp_confirm(a, TG_AMQP_WINDOW / 2, err);
    if (code != TG_OK)
        return code;
    sent._flags = AMQP_BASIC_CONTENT_TYPE_FLAG | AMQP_BASIC_DELIVERY_MODE_FLAG |
                  AMQP_BASIC_HEADERS_FLAG;
    sent.content_type = bytes_of(p->content_type);
    sent.delivery_mode = AMQP_DELIVERY_PERSISTENT;
    sent.headers = (amqp_table_t){ 0, entry };
    for (size_t i = 0; i < p->n_headers; i++) {
        if (p->header[i].text)
            add_text(&sent.headers, p->header[i].key, p->header[i].text);
        else
            add_number(&sent.headers, p->header[i].key, p->header[i].number);
    }
    if (p->message_id) {
        sent._flags |= AMQP_BASIC_MESSAGE_ID_FLAG;
        sent.message_id = bytes_of(p->message_id);
    }
    status = amqp_basic_publish(a->c, CHANNEL, bytes_of(p->exchange), bytes_of(p->routing_key), 1,
                                0, &sent, body);
    if (status != AMQP_STATUS_OK)
        return sending_failed(a, status, err);
    a->published++;
    return TG_OK;
}

tg_code tg_amqp_tick(struct tg_amqp *a, struct tg_error *err)
{
    struct timeval now = { 0, 0 };
    amqp_frame_t frame;
    int status;
    tg_code code = tg_amqp_connect(a, err);

    if (code != TG_OK)
        return code;
    status = amqp_simple_wait_frame_noblock(a->c, &frame, &now);
    if (status == AMQP_STATUS_TIMEOUT)
        return TG_OK;
    if (status == AMQP_STATUS_OK) /* an answer to no question: a goodbye */
        status = AMQP_STATUS_CONNECTION_CLOSED;
    return rabbit_check_status(a, status, err);
}

#else
typedef int tg_amqp_is_absent; /* a translation unit may not be empty */
#endif

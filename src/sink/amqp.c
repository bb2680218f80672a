/* SPDX-License-Identifier: MIT */
/*
 * amqp.c - rows as messages of RabbitMQ:
 * `amqp://USER@HOST:PORT/VHOST?exchange=NAME&routing-key=KEY`, with TLS `amqps://`
 *
 * A commit is done when the server has confirmed all of its messages, each of them persistent and
 * mandatory: one that no queue gets comes back, and fails the commit. See stream.h: at least once.
 *
 *   message_id   the row's key
 *   headers      job, chat_id, id
 *   routing key  as given; {chat_id} in it is the chat's
 *
 * The password comes from AMQP_PASSWORD or a file, since the URL is written into the state.
 *
 * Threads: one for all calls      Limits: a message of up to 80 MiB, or what the server takes
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "client/amqp.h"
#include "sink/stream.h"

enum { MESSAGE_MAX = 160 << 20, KEY_MAX = 512, ROUTING_MAX = 255, SECRET_MAX = 4096 };

struct sink_amqp {
    /* options */
    const char *exchange, *routing_key, *password_file, *ca_file;
    int64_t format, timeout_ms;
    const char *stream_name;
    /* own */
    struct tg_stream stream;
    struct tg_amqp *amqp;
    uint64_t checked; /* the connection on which exchange and queue were seen */
    struct tg_buf body, key, routing;
    struct tg_message_about about;
};

/* ---- opening ---- */

static tg_code check_target(const char *target, struct tg_error *err)
{
    const char *host = strncmp(target, "//", 2) == 0 ? target + 2 : NULL;
    const char *at = host ? strchr(host, '@') : NULL;

    if (!host || !*host) {
        tg_fail(err, TG_USAGE, "the address of RabbitMQ cannot be read");
        return tg_hint(err, "write it as amqp://USER@HOST:PORT/VHOST");
    }
    if (at && memchr(host, ':', (size_t)(at - host))) {
        tg_fail(err, TG_USAGE, "a password does not belong in the address of RabbitMQ");
        return tg_hint(err, "it would be kept with the job: set AMQP_PASSWORD, or name a file with "
                            "password-file=FILE");
    }
    return TG_OK;
}

static tg_code connect_to(struct sink_amqp *s, const char *url, struct tg_error *err)
{
    struct tg_amqp_options options = { .url = url, .ca_file = s->ca_file,
                                       .timeout_ms = s->timeout_ms };
    struct tg_buf password;
    tg_code code;

    tg_buf_init(&password, SECRET_MAX);
    code = tg_stream_secret(s->password_file, "AMQP_PASSWORD", &password, err);
    if (code == TG_OK && password.len)
        options.password = tg_buf_cstr(&password);
    if (code == TG_OK)
        code = tg_amqp_new(&options, &s->amqp, err);
    tg_buf_wipe(&password);
    return code;
}

/* Whether there is what messages are sent to; asked once for each connection. */
static tg_code check_server(struct sink_amqp *s, struct tg_error *err)
{
    const char *queue = strchr(s->routing_key, '{') ? NULL : s->routing_key;
    tg_code code = tg_amqp_connect(s->amqp, err);

    if (code != TG_OK || s->checked == tg_amqp_epoch(s->amqp) || (!*s->exchange && !queue))
        return code;
    code = tg_amqp_check(s->amqp, s->exchange, queue, err);
    if (code == TG_UNUSABLE && !*err->hint)
        tg_hint(err, "make the exchange, or the queue that the routing key names, and bind it");
    if (code == TG_OK)
        s->checked = tg_amqp_epoch(s->amqp);
    return code;
}

static tg_code open_url(struct sink_amqp *s, const char *scheme, const char *target,
                        const struct tg_sink_env *env, struct tg_error *err)
{
    tg_code code = check_target(target, err);
    char *url = NULL;

    tg_stream_init(&s->stream, env);
    tg_buf_init(&s->body, MESSAGE_MAX);
    tg_buf_init(&s->key, KEY_MAX);
    tg_buf_init(&s->routing, ROUTING_MAX + 1);
    if (code == TG_OK && asprintf(&url, "%s:%s", scheme, target) < 0)
        code = tg_fail(err, TG_NOMEM, "no memory for a destination");
    if (code == TG_OK)
        code = connect_to(s, url, err);
    free(url);
    if (code == TG_OK) {
        code = tg_stream_failed(check_server(s, err), err);
        if (code == TG_SINK)
            code = TG_OK; /* it is away; the first commit tells if it still is */
    }
    return code;
}

static tg_code amqp_open(void *self, const char *target, const struct tg_sink_env *env,
                         struct tg_error *err)
{
    return open_url(self, "amqp", target, env, err);
}

static tg_code amqps_open(void *self, const char *target, const struct tg_sink_env *env,
                          struct tg_error *err)
{
    return open_url(self, "amqps", target, env, err);
}

static void amqp_close(void *self)
{
    struct sink_amqp *s = self;

    tg_amqp_free(s->amqp);
    s->amqp = NULL;
    tg_stream_done(&s->stream);
    tg_buf_done(&s->body);
    tg_buf_done(&s->key);
    tg_buf_done(&s->routing);
}

/* ---- sending ---- */

static const char *routing_of(struct sink_amqp *s, const struct tg_row *row)
{
    static const char variable[] = "{chat_id}";
    const char *from = s->routing_key, *at;

    tg_buf_clear(&s->routing);
    while ((at = strstr(from, variable))) {
        tg_buf_add(&s->routing, from, (size_t)(at - from));
        tg_buf_i64_text(&s->routing, row->chat_id);
        from = at + sizeof variable - 1;
    }
    tg_buf_str(&s->routing, from);
    return tg_buf_cstr(&s->routing);
}

/* Which message it was the server does not say, but how large one may be: with that, all again. */
static tg_code too_large(const struct sink_amqp *s, tg_code code)
{
    return code == TG_LIMIT && tg_amqp_size_max(s->amqp) ? TG_AGAIN : code;
}

static tg_code put_row(void *ctx, const struct tg_row *row, struct tg_error *err)
{
    struct sink_amqp *s = ctx;
    const struct tg_message_format *format = &tg_message_format[s->format];
    char chat_id[24], id[24]; /* clients read signed numbers in two ways, texts in one */
    const struct tg_amqp_header header[] = {
        { .key = "job", .text = s->about.job },
        { .key = "chat_id", .text = chat_id },
        { .key = "id", .text = id },
    };
    uint64_t max = tg_amqp_size_max(s->amqp);
    struct tg_amqp_publication p = {
        .exchange = s->exchange,
        .routing_key = routing_of(s, row),
        .content_type = format->content_type,
        .header = header,
        .n_headers = TG_COUNT(header),
    };

    snprintf(chat_id, sizeof chat_id, "%" PRId64, row->chat_id);
    snprintf(id, sizeof id, "%" PRId64, row->id);
    tg_buf_clear(&s->body);
    tg_buf_clear(&s->key);
    format->put_row(&s->about, row, &s->body);
    tg_row_key(row, &s->key);
    p.message_id = tg_buf_cstr(&s->key);
    p.body = s->body.data;
    p.len = s->body.len;
    if (s->key.failed || s->routing.failed)
        return tg_fail(err, TG_USAGE, "a routing key has at most %d bytes", ROUTING_MAX);
    if (s->body.failed || (max && p.len > max))
        return tg_stream_refuse(&s->stream, row, "too large for RabbitMQ", err);
    s->stream.bytes += s->body.len;
    return too_large(s, tg_amqp_publish(s->amqp, &p, err));
}

static tg_code finish(void *ctx, struct tg_error *err)
{
    struct sink_amqp *s = ctx;

    return too_large(s, tg_amqp_confirm(s->amqp, 0, err));
}

/* A connection may have ended since the last commit, while nobody looked. */
static tg_code begin(void *ctx, const struct tg_commit *commit, struct tg_error *err)
{
    struct sink_amqp *s = ctx;
    tg_code code = tg_amqp_tick(s->amqp, err);

    (void)commit;
    s->about = tg_stream_about(&s->stream, s->stream_name);
    return code == TG_OK || code == TG_NET ? check_server(s, err) : code;
}

static tg_code amqp_write(void *self, const struct tg_batch *batch, size_t from, size_t n,
                          struct tg_error *err)
{
    struct sink_amqp *s = self;

    return tg_stream_write(&s->stream, batch, from, n, err);
}

static tg_code amqp_commit(void *self, const struct tg_commit *commit, struct tg_error *err)
{
    struct sink_amqp *s = self;
    const struct tg_stream_sender sender = { begin, put_row, finish, s, NULL };

    return tg_stream_commit(&s->stream, commit, &sender, err);
}

static uint64_t amqp_bytes(const void *self)
{
    return ((const struct sink_amqp *)self)->stream.bytes;
}

static const struct tg_option amqp_option[] = {
    { .name = "exchange",
      .type = TG_OPT_STR,
      .offset = offsetof(struct sink_amqp, exchange),
      .fallback = "",
      .value = "NAME",
      .help = "exchange; without one, messages go to the queue that routing-key names" },
    { .name = "routing-key",
      .type = TG_OPT_STR,
      .offset = offsetof(struct sink_amqp, routing_key),
      .fallback = "messages",
      .value = "KEY",
      .help = "routing key; {chat_id} in it is the chat's" },
    TG_STREAM_FORMAT_OPTIONS(sink_amqp),
    { .name = "password-file",
      .type = TG_OPT_STR,
      .offset = offsetof(struct sink_amqp, password_file),
      .value = "FILE",
      .help = "its first line is the password; else AMQP_PASSWORD has it" },
    { .name = "ca-file",
      .type = TG_OPT_STR,
      .offset = offsetof(struct sink_amqp, ca_file),
      .value = "FILE",
      .help = "certificates that the server's is checked with, instead of the system's" },
    { .name = "timeout",
      .type = TG_OPT_MS,
      .offset = offsetof(struct sink_amqp, timeout_ms),
      .fallback = "30s",
      .min = 100,
      .max = 600000,
      .value = "TIME",
      .help = "longest wait for a connection, an answer or the next confirmation" },
    { 0 },
};

#define OPS                                                                                        \
    .write = amqp_write, .commit = amqp_commit, .bytes = amqp_bytes, .close = amqp_close

const struct tg_sink_ops tg_sink_amqp = {
    .head = { "amqp", "messages of RabbitMQ, confirmed; at least once", amqp_option,
              sizeof(struct sink_amqp) },
    .open = amqp_open,
    OPS,
};

const struct tg_sink_ops tg_sink_amqps = {
    .head = { "amqps", "messages of RabbitMQ over TLS", amqp_option, sizeof(struct sink_amqp) },
    .open = amqps_open,
    OPS,
};

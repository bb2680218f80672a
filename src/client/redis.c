/* SPDX-License-Identifier: MIT */
/*
 * redis.c - see redis.h; the only file that includes hiredis
 *
 * A context of hiredis is of no use after any failure, so a failure closes it, and the next call
 * makes another. Connecting is one walk: TCP, AUTH, SELECT. The library writes without
 * MSG_NOSIGNAL, so SIGPIPE is kept from the thread while a call runs.
 */
#ifdef TG_HAVE_REDIS

#include "client/redis.h"

#include <assert.h>
#include <hiredis/hiredis.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>

#include "base/text.h"
#include "crypto/hash.h"
#include "os/loop.h"
#include "os/queue.h"

enum { ARGS_MAX = 64, MOVES_MAX = 5, PORT = 6379, HOST_MAX = 255 };

#define PAUSE_FIRST_US (100 * TG_MS_US)
#define PAUSE_LAST_US (5 * TG_SECOND_US)

struct tg_redis {
    char host[HOST_MAX + 1], first_host[HOST_MAX + 1]; /* where to; what the URL says */
    int port, first_port;
    char *user, *password; /* NULL: none */
    int64_t db;
    int64_t timeout_ms;
    char name[HOST_MAX + 16];
    redisContext *c; /* NULL: not connected */
    bool subscribed;
    int64_t pause_us, again_us; /* how long the last pause was; when the next try may be made */
    struct tg_error why;        /* the last failure to connect */
    pthread_mutex_t lock;       /* over fd and interrupted */
    int fd;                     /* of c; -1 */
    bool interrupted;
};

bool tg_redis_built_in(void)
{
    return true;
}

/* ---- the URL ---- */

/* Copies n bytes with %XX decoded. NULL out of memory or malformed. */
static char *decoded(const char *text, size_t n)
{
    char *out = malloc(n + 1);
    size_t len = 0;

    for (size_t i = 0; out && i < n; i++) {
        if (text[i] != '%') {
            out[len++] = text[i];
        } else if (i + 2 < n && tg_unhex(out + len, 1, text + i + 1, 2) && out[len]) {
            len++;
            i += 2;
        } else {
            free(out);
            return NULL;
        }
    }
    if (out)
        out[len] = 0;
    return out;
}

static bool parse_user(struct tg_redis *r, const char *text, size_t n)
{
    const char *colon = memchr(text, ':', n);

    if (!colon) /* Redis knows passwords without a user, not users without a password */
        return false;
    if (colon > text && !(r->user = decoded(text, (size_t)(colon - text))))
        return false;
    r->password = decoded(colon + 1, n - (size_t)(colon + 1 - text));
    return r->password != NULL;
}

static void name_it(struct tg_redis *r)
{
    snprintf(r->name, sizeof r->name, strchr(r->host, ':') ? "[%s]:%d" : "%s:%d", r->host,
             r->port);
}

/* "host", "host:port", "[::1]:port" */
static bool set_address(struct tg_redis *r, const char *text, size_t n)
{
    const char *end = text + n, *host = text, *port = NULL, *host_end;
    int64_t number = PORT;
    char digits[8];

    if (n && *text == '[') {
        host = text + 1;
        host_end = memchr(text, ']', n);
        if (!host_end || (host_end + 1 < end && host_end[1] != ':'))
            return false;
        port = host_end + 1 < end ? host_end + 2 : NULL;
    } else {
        host_end = memchr(text, ':', n);
        port = host_end ? host_end + 1 : NULL;
        host_end = host_end ? host_end : end;
    }
    if (port && (end - port < 1 || end - port > 5))
        return false;
    if (port) {
        memcpy(digits, port, (size_t)(end - port));
        digits[end - port] = 0;
        if (!tg_i64_parse(digits, &number) || number < 1 || number > 65535)
            return false;
    }
    if (host_end == host || host_end - host > HOST_MAX)
        return false;
    memcpy(r->host, host, (size_t)(host_end - host));
    r->host[host_end - host] = 0;
    r->port = (int)number;
    memcpy(r->first_host, r->host, sizeof r->host);
    r->first_port = r->port;
    name_it(r);
    return true;
}

static tg_code parse_url(struct tg_redis *r, const char *url, struct tg_error *err)
{
    const char *at, *slash, *text = url;
    bool ok = true;

    if (!strncmp(url, "rediss://", 9)) {
        tg_fail(err, TG_UNSUPPORTED, "this build reaches Redis without TLS only");
        return tg_hint(err, "let a TLS tunnel (stunnel) listen on 127.0.0.1 and name that");
    }
    if (strncmp(url, "redis://", 8) != 0) {
        tg_fail(err, TG_USAGE, "a Redis URL begins with redis://");
        return tg_hint(err, "redis://[[USER]:PASSWORD@]HOST[:PORT][/DB]");
    }
    text += 8;
    at = strrchr(text, '@');
    if (at) {
        ok = parse_user(r, text, (size_t)(at - text));
        text = at + 1;
    }
    slash = strchr(text, '/');
    if (slash && slash[1])
        ok = ok && tg_i64_parse(slash + 1, &r->db) && r->db >= 0 && r->db <= INT32_MAX;
    ok = ok && set_address(r, text, slash ? (size_t)(slash - text) : strlen(text));
    if (ok)
        return TG_OK;
    tg_fail(err, TG_USAGE, "the Redis URL cannot be read");
    return tg_hint(err, "redis://[[USER]:PASSWORD@]HOST[:PORT][/DB]; special characters of a "
                        "password as %%XX");
}

tg_code tg_redis_new(const char *url, int64_t timeout_ms, struct tg_redis **ret,
                     struct tg_error *err)
{
    struct tg_redis *r = calloc(1, sizeof *r);
    tg_code code;

    assert(timeout_ms > 0);
    if (!r)
        return tg_fail(err, TG_NOMEM, "no memory for a Redis connection");
    r->timeout_ms = timeout_ms;
    r->fd = -1;
    pthread_mutex_init(&r->lock, NULL);
    code = parse_url(r, url, err);
    if (code != TG_OK) {
        tg_redis_free(r);
        return code;
    }
    *ret = r;
    return TG_OK;
}

const char *tg_redis_name(const struct tg_redis *r)
{
    return r->name;
}

/* ---- the connection ---- */

static void close_context(struct tg_redis *r)
{
    pthread_mutex_lock(&r->lock);
    r->fd = -1;
    pthread_mutex_unlock(&r->lock);
    if (r->c)
        redisFree(r->c);
    r->c = NULL;
    r->subscribed = false;
}

void tg_redis_free(struct tg_redis *r)
{
    if (!r)
        return;
    close_context(r);
    pthread_mutex_destroy(&r->lock);
    tg_text_wipe(r->user);
    tg_text_wipe(r->password);
    free(r);
}

bool tg_redis_connected(const struct tg_redis *r)
{
    return r->c != NULL;
}

static void shut(struct tg_redis *r, bool for_good)
{
    pthread_mutex_lock(&r->lock);
    r->interrupted |= for_good;
    if (r->fd >= 0)
        shutdown(r->fd, SHUT_RDWR); /* the descriptor is closed by its own thread */
    pthread_mutex_unlock(&r->lock);
}

void tg_redis_interrupt(struct tg_redis *r)
{
    shut(r, true);
}

void tg_redis_hang_up(struct tg_redis *r)
{
    shut(r, false);
}

static bool is_interrupted(struct tg_redis *r)
{
    bool yes;

    pthread_mutex_lock(&r->lock);
    yes = r->interrupted;
    pthread_mutex_unlock(&r->lock);
    return yes;
}

/* The text of hiredis may be empty. */
static tg_code lost(struct tg_redis *r, const char *text, struct tg_error *err)
{
    tg_fail(err, is_interrupted(r) ? TG_CANCELLED : TG_NET, "Redis at %s: %s", r->name,
            text && *text ? text : "the connection ended");
    close_context(r);
    return err->code;
}

/* What an error reply means. The server's text stands in the message, but never what was sent. */
static tg_code refused(struct tg_redis *r, const char *text, struct tg_error *err)
{
    static const char *const login[] = { "WRONGPASS", "NOAUTH", "NOPERM", "ERR AUTH",
                                         "ERR invalid password", "ERR Client sent AUTH" };
    static const char *const passing[] = { "LOADING", "BUSY ", "TRYAGAIN", "CLUSTERDOWN",
                                           "MASTERDOWN", "READONLY", "NOREPLICAS" };

    for (size_t i = 0; i < TG_COUNT(passing); i++)
        if (!strncmp(text, passing[i], strlen(passing[i])))
            return tg_fail(err, TG_NET, "Redis at %s: %s", r->name, text);
    tg_fail(err, TG_UNUSABLE, "Redis at %s: %s", r->name, text);
    for (size_t i = 0; i < TG_COUNT(login); i++)
        if (!strncmp(text, login[i], strlen(login[i])))
            return tg_hint(err, "the URL's user and password must be those of the server");
    return err->code;
}

/* One command, as it is: no connecting, no redirection. @return TG_OK also with an error reply */
static tg_code exchange(struct tg_redis *r, const struct tg_redis_arg *arg, size_t n,
                        redisReply **ret, struct tg_error *err)
{
    const char *at[ARGS_MAX];
    size_t len[ARGS_MAX];
    sigset_t pipe, before;
    struct timespec none = { 0 };

    assert(n > 0 && n <= ARGS_MAX);
    for (size_t i = 0; i < n; i++) {
        at[i] = arg[i].at;
        len[i] = arg[i].len;
    }
    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe, &before);
    *ret = redisCommandArgv(r->c, (int)n, at, len);
    if (!sigismember(&before, SIGPIPE)) {
        sigtimedwait(&pipe, NULL, &none);
        pthread_sigmask(SIG_SETMASK, &before, NULL);
    }
    return *ret ? TG_OK : lost(r, r->c->errstr, err);
}

static struct tg_redis_arg word(const char *text)
{
    return (struct tg_redis_arg){ text, strlen(text) };
}

/* A step of logging in. */
static tg_code greet(struct tg_redis *r, const struct tg_redis_arg *arg, size_t n,
                     struct tg_error *err)
{
    redisReply *reply;
    tg_code code = exchange(r, arg, n, &reply, err);

    if (code != TG_OK)
        return code;
    if (reply->type == REDIS_REPLY_ERROR) {
        code = refused(r, reply->str, err);
        close_context(r);
    }
    freeReplyObject(reply);
    return code;
}

static tg_code log_in(struct tg_redis *r, struct tg_error *err)
{
    struct tg_redis_arg arg[3];
    char db[24];
    tg_code code = TG_OK;
    size_t n = 0;

    if (r->password) {
        arg[n++] = word("AUTH");
        if (r->user)
            arg[n++] = word(r->user);
        arg[n++] = word(r->password);
        code = greet(r, arg, n, err);
    }
    if (code == TG_OK && r->db) {
        snprintf(db, sizeof db, "%lld", (long long)r->db);
        code = greet(r, (struct tg_redis_arg[]){ word("SELECT"), word(db) }, 2, err);
    }
    return code;
}

static tg_code dial(struct tg_redis *r, struct tg_error *err)
{
    struct timeval limit = { r->timeout_ms / 1000, r->timeout_ms % 1000 * 1000 };

    r->c = redisConnectWithTimeout(r->host, r->port, limit);
    if (!r->c)
        return tg_fail(err, TG_NOMEM, "no memory for a Redis connection");
    if (r->c->err)
        return lost(r, r->c->errstr, err);
    pthread_mutex_lock(&r->lock);
    r->fd = r->c->fd;
    pthread_mutex_unlock(&r->lock);
    if (is_interrupted(r))
        return lost(r, "stopped", err);
    redisSetTimeout(r->c, limit);
    redisEnableKeepAlive(r->c);
    return log_in(r, err);
}

tg_code tg_redis_connect(struct tg_redis *r, struct tg_error *err)
{
    int64_t now = tg_clock_mono_us();
    tg_code code;

    if (r->c)
        return TG_OK;
    if (is_interrupted(r))
        return tg_fail(err, TG_CANCELLED, "stopped");
    if (now < r->again_us) {
        *err = r->why;
        return err->code;
    }
    code = dial(r, err);
    if (code == TG_OK) {
        r->pause_us = r->again_us = 0;
        return TG_OK;
    }
    r->pause_us = TG_MIN(TG_MAX(r->pause_us * 2, PAUSE_FIRST_US), PAUSE_LAST_US);
    r->again_us = tg_clock_mono_us() + r->pause_us;
    r->why = *err;
    memcpy(r->host, r->first_host, sizeof r->host); /* a cluster may have another node for it now */
    r->port = r->first_port;
    name_it(r);
    return code;
}

/* ---- commands ---- */

/* "MOVED 3999 127.0.0.1:6381", or without a host: the one that was asked. */
static bool follow(struct tg_redis *r, const char *text)
{
    const char *where = strrchr(text, ' ') + 1, *colon = strrchr(where, ':');
    char host[HOST_MAX + 1];
    int64_t port;

    if (!colon || colon - where > HOST_MAX || !tg_i64_parse(colon + 1, &port) || port < 1 ||
        port > 65535)
        return false;
    memcpy(host, where, (size_t)(colon - where));
    host[colon - where] = 0;
    close_context(r);
    if (host[0])
        memcpy(r->host, host, sizeof host);
    r->port = (int)port;
    name_it(r);
    return true;
}

tg_code tg_redis_call(struct tg_redis *r, const struct tg_redis_arg *arg, size_t n,
                      struct redisReply **ret, struct tg_error *err)
{
    redisReply *reply = NULL;
    tg_code code = TG_OK;

    assert(!r->subscribed);
    for (int moves = 0;; moves++) {
        code = tg_redis_connect(r, err);
        if (code == TG_OK)
            code = exchange(r, arg, n, &reply, err);
        if (code != TG_OK)
            return code;
        if (reply->type != REDIS_REPLY_ERROR)
            break;
        if (strncmp(reply->str, "MOVED ", 6) != 0 || moves == MOVES_MAX || !follow(r, reply->str)) {
            code = refused(r, reply->str, err);
            break;
        }
        freeReplyObject(reply);
    }
    if (code != TG_OK || !ret)
        freeReplyObject(reply);
    else
        *ret = reply;
    return code;
}

tg_code tg_redis_eval_args(struct tg_redis *r, struct tg_redis_script *script, size_t n_keys,
                           const struct tg_redis_arg *given, size_t n, struct redisReply **ret,
                           struct tg_error *err)
{
    struct tg_redis_arg arg[ARGS_MAX] = { word("EVALSHA") };
    uint8_t digest[TG_SHA1];
    char count[24];
    tg_code code;

    assert(n_keys <= n && n + 3 <= ARGS_MAX);
    if (!script->sha1[0]) {
        tg_sha1(digest, script->text, strlen(script->text));
        tg_hex(script->sha1, digest, sizeof digest);
    }
    snprintf(count, sizeof count, "%zu", n_keys);
    arg[1] = word(script->sha1);
    arg[2] = word(count);
    for (size_t i = 0; i < n; i++)
        arg[3 + i] = given[i];
    code = tg_redis_call(r, arg, n + 3, ret, err);
    if (code != TG_UNUSABLE || !strstr(err->message, "NOSCRIPT"))
        return code;
    arg[0] = word("EVAL");
    arg[1] = word(script->text);
    return tg_redis_call(r, arg, n + 3, ret, err);
}

/* The words, which end with a NULL, as values. @return how many */
static size_t args_of(const char *const *words, struct tg_redis_arg arg[ARGS_MAX])
{
    size_t n = 0;

    for (; words[n]; n++) {
        assert(n < ARGS_MAX);
        arg[n] = word(words[n]);
    }
    return n;
}

tg_code tg_redis_words(struct tg_redis *r, const char *const *words, struct redisReply **ret,
                       struct tg_error *err)
{
    struct tg_redis_arg arg[ARGS_MAX];
    size_t n = args_of(words, arg);

    return tg_redis_call(r, arg, n, ret, err);
}

tg_code tg_redis_eval(struct tg_redis *r, struct tg_redis_script *script, size_t n_keys,
                      const char *const *words, struct redisReply **ret, struct tg_error *err)
{
    struct tg_redis_arg arg[ARGS_MAX];
    size_t n = args_of(words, arg);

    return tg_redis_eval_args(r, script, n_keys, arg, n, ret, err);
}

/* ---- subscriptions ---- */

tg_code tg_redis_subscribe(struct tg_redis *r, const char *channel, struct tg_error *err)
{
    const char *const words[] = { "SUBSCRIBE", channel, NULL };
    tg_code code = tg_redis_words(r, words, NULL, err);

    if (code != TG_OK)
        return code;
    redisSetTimeout(r->c, (struct timeval){ 0 });
    r->subscribed = true;
    return TG_OK;
}

tg_code tg_redis_next(struct tg_redis *r, char **ret, struct tg_error *err)
{
    for (;;) {
        struct tg_redis_arg kind, text;
        void *reply = NULL;
        char *copy;

        if (!r->c || redisGetReply(r->c, &reply) != REDIS_OK)
            return lost(r, r->c ? r->c->errstr : NULL, err);
        kind = tg_redis_str(tg_redis_item(reply, 0));
        text = tg_redis_str(tg_redis_item(reply, 2));
        copy = kind.len == 7 && !memcmp(kind.at, "message", 7) && text.at
                   ? strndup(text.at, text.len)
                   : NULL;
        freeReplyObject(reply);
        if (copy) {
            *ret = copy;
            return TG_OK;
        }
    }
}

/* ---- replies ---- */

void tg_redis_reply_free(struct redisReply *reply)
{
    if (reply)
        freeReplyObject(reply);
}

size_t tg_redis_len(const struct redisReply *reply)
{
    return reply && reply->type == REDIS_REPLY_ARRAY ? reply->elements : 0;
}

const struct redisReply *tg_redis_item(const struct redisReply *reply, size_t i)
{
    return i < tg_redis_len(reply) ? reply->element[i] : NULL;
}

int64_t tg_redis_i64(const struct redisReply *reply, int64_t fallback)
{
    int64_t v;

    if (reply && reply->type == REDIS_REPLY_INTEGER)
        return reply->integer;
    if (reply && reply->type == REDIS_REPLY_STRING && tg_i64_parse(reply->str, &v))
        return v;
    return fallback;
}

struct tg_redis_arg tg_redis_str(const struct redisReply *reply)
{
    if (!reply || (reply->type != REDIS_REPLY_STRING && reply->type != REDIS_REPLY_STATUS))
        return (struct tg_redis_arg){ NULL, 0 };
    return (struct tg_redis_arg){ reply->str, (size_t)reply->len };
}

#endif

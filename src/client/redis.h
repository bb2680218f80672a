/* SPDX-License-Identifier: MIT */
/*
 * redis.h - a connection to a Redis server or a Redis Cluster: commands, scripts, subscriptions
 *
 * Every call blocks for a bounded time, so it belongs on a thread of its own. A connection that was
 * lost is made again by the next call, not more often than a growing pause allows (a tenth of a
 * second to five seconds). What the server answers with MOVED is asked again where it points, and
 * the connection stays there, until that node is gone: then the URL's is asked again. Whoever keeps
 * to keys of one hash tag needs no map of the cluster.
 *
 *   code               when
 *   TG_USAGE           the URL cannot be read
 *   TG_UNSUPPORTED     this build has no Redis library, or none with TLS
 *   TG_NET             not connected: refused, lost, no answer in time, or the server is loading
 *   TG_UNUSABLE        wrong user or password, or the server refuses the command
 *
 * Threads: one at a time per connection, but for tg_redis_interrupt
 * Limits: what the server sends in one reply, 512 MiB by its protocol
 */
#ifndef TG_CLIENT_REDIS_H
#define TG_CLIENT_REDIS_H

#include "base/base.h"

struct tg_redis;
struct redisReply;

/** A Lua script; sent once, then named by its digest. */
struct tg_redis_script {
    const char *text;
    char sha1[41]; /* filled in by the first call */
};

/** One value of a command. */
struct tg_redis_arg {
    const void *at;
    size_t len;
};

/** @return whether this build has a Redis library */
bool tg_redis_built_in(void);

/**
 * @param url         redis://[[USER]:PASSWORD@]HOST[:PORT][/DB]; user and password may be
 *                    percent-encoded
 * @param timeout_ms  for connecting, and for each reply
 */
tg_code tg_redis_new(const char *url, int64_t timeout_ms, struct tg_redis **ret,
                     struct tg_error *err);
void tg_redis_free(struct tg_redis *r); /* NULL is nothing */

/** "host:port", for messages: never the password. */
const char *tg_redis_name(const struct tg_redis *r);

/** Connects unless it is connected. @return TG_NET also while the pause after a failure lasts */
tg_code tg_redis_connect(struct tg_redis *r, struct tg_error *err);
bool tg_redis_connected(const struct tg_redis *r);

/**
 * Sends a command and waits for its reply.
 * @param ret  the reply, to be freed with tg_redis_reply_free; may be NULL
 */
tg_code tg_redis_call(struct tg_redis *r, const struct tg_redis_arg *arg, size_t n,
                      struct redisReply **ret, struct tg_error *err);

/** The same for words that end with a NULL. */
tg_code tg_redis_words(struct tg_redis *r, const char *const *word, struct redisReply **ret,
                       struct tg_error *err);

/** Runs a script: EVALSHA, or EVAL where the server does not know it yet. `word`: the keys, then
 *  the arguments, then a NULL. */
tg_code tg_redis_eval(struct tg_redis *r, struct tg_redis_script *script, size_t n_keys,
                      const char *const *word, struct redisReply **ret, struct tg_error *err);

/** The same for any bytes: n values, the first n_keys of them keys. */
tg_code tg_redis_eval_args(struct tg_redis *r, struct tg_redis_script *script, size_t n_keys,
                           const struct tg_redis_arg *arg, size_t n, struct redisReply **ret,
                           struct tg_error *err);

/** Subscribes to a channel; from then on only tg_redis_next may be called. */
tg_code tg_redis_subscribe(struct tg_redis *r, const char *channel, struct tg_error *err);

/** Waits for the next message, however long. @return TG_NET when the connection ended, TG_CANCELLED
 *  after tg_redis_interrupt; the text ends with a NUL and is freed by the caller */
tg_code tg_redis_next(struct tg_redis *r, char **ret, struct tg_error *err);

/** From any thread: the call that runs, and all that follow, end soon. */
void tg_redis_interrupt(struct tg_redis *r);
/** The same, but a later call connects anew. */
void tg_redis_hang_up(struct tg_redis *r);

/* ---- replies ---- */

void tg_redis_reply_free(struct redisReply *reply); /* NULL is nothing */
size_t tg_redis_len(const struct redisReply *reply); /* of an array; 0 for anything else */
const struct redisReply *tg_redis_item(const struct redisReply *reply, size_t i); /* or NULL */
/** A number, also one that was sent as text; else the fallback. NULL is nothing. */
int64_t tg_redis_i64(const struct redisReply *reply, int64_t fallback);
/** The bytes of a string; at NULL if it is none. */
struct tg_redis_arg tg_redis_str(const struct redisReply *reply);

#endif

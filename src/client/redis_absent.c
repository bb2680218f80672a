/* SPDX-License-Identifier: MIT */
/*
 * redis_absent.c - redis.h in a build without the library: no connection can be made, so that only
 * the first of these functions is ever called
 */
#ifndef TG_HAVE_REDIS

#include "client/redis.h"

bool tg_redis_built_in(void)
{
    return false;
}

tg_code tg_redis_new(const char *url, int64_t timeout_ms, struct tg_redis **ret,
                     struct tg_error *err)
{
    (void)url, (void)timeout_ms, (void)ret;
    tg_fail(err, TG_UNSUPPORTED, "this build has no Redis client");
    return tg_hint(err, "build it with libhiredis-dev installed");
}

#define ABSENT(err) tg_fail(err, TG_UNSUPPORTED, "this build has no Redis client")

void tg_redis_free(struct tg_redis *r)
{
    (void)r;
}

const char *tg_redis_name(const struct tg_redis *r)
{
    (void)r;
    return "";
}

tg_code tg_redis_connect(struct tg_redis *r, struct tg_error *err)
{
    (void)r;
    return ABSENT(err);
}

bool tg_redis_connected(const struct tg_redis *r)
{
    (void)r;
    return false;
}

tg_code tg_redis_call(struct tg_redis *r, const struct tg_redis_arg *arg, size_t n,
                      struct redisReply **ret, struct tg_error *err)
{
    (void)r, (void)arg, (void)n, (void)ret;
    return ABSENT(err);
}

tg_code tg_redis_words(struct tg_redis *r, const char *const *word, struct redisReply **ret,
                       struct tg_error *err)
{
    (void)r, (void)word, (void)ret;
    return ABSENT(err);
}

tg_code tg_redis_eval(struct tg_redis *r, struct tg_redis_script *script, size_t n_keys,
                      const char *const *word, struct redisReply **ret, struct tg_error *err)
{
    (void)r, (void)script, (void)n_keys, (void)word, (void)ret;
    return ABSENT(err);
}

tg_code tg_redis_eval_args(struct tg_redis *r, struct tg_redis_script *script, size_t n_keys,
                           const struct tg_redis_arg *arg, size_t n, struct redisReply **ret,
                           struct tg_error *err)
{
    (void)r, (void)script, (void)n_keys, (void)arg, (void)n, (void)ret;
    return ABSENT(err);
}

tg_code tg_redis_subscribe(struct tg_redis *r, const char *channel, struct tg_error *err)
{
    (void)r, (void)channel;
    return ABSENT(err);
}

tg_code tg_redis_next(struct tg_redis *r, char **ret, struct tg_error *err)
{
    (void)r, (void)ret;
    return ABSENT(err);
}

void tg_redis_interrupt(struct tg_redis *r)
{
    (void)r;
}

void tg_redis_hang_up(struct tg_redis *r)
{
    (void)r;
}

void tg_redis_reply_free(struct redisReply *reply)
{
    (void)reply;
}

size_t tg_redis_len(const struct redisReply *reply)
{
    (void)reply;
    return 0;
}

const struct redisReply *tg_redis_item(const struct redisReply *reply, size_t i)
{
    (void)reply, (void)i;
    return NULL;
}

int64_t tg_redis_i64(const struct redisReply *reply, int64_t fallback)
{
    (void)reply;
    return fallback;
}

struct tg_redis_arg tg_redis_str(const struct redisReply *reply)
{
    (void)reply;
    return (struct tg_redis_arg){ NULL, 0 };
}

#else
typedef int tg_redis_is_built_in; /* a file of C holds something */
#endif

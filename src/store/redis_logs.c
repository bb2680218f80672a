/* SPDX-License-Identifier: MIT */
/*
 * redis_logs.c - logs and leases of state in Redis; the model stands in redis.c
 *
 * Whether somebody may have a lease is decided here, by the rules of all stores; a script then puts
 * the new owner where the old one still stands, and if that has changed, it is decided again.
 */
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>

#include "crypto/random.h"
#include "store/redis_impl.h"

enum { TRIES = 100 };

/* ---- logs ---- */

tg_code tg_rs_append(void *self, const char *kind, const char *key, int64_t at_us,
                     const void *bytes, size_t len, uint64_t *ret_n, struct tg_error *err)
{
    struct store_redis *s = self;
    struct rs_question q = { .script = RS_APPEND, .n_keys = 2 };
    struct redisReply *reply = NULL;
    struct rs_name log, last;
    struct tg_random random = tg_random_system();
    struct rs_digits mark; /* tells an append that is made again from an equal one before */
    struct tg_buf record;
    uint64_t n = 0;
    tg_code code = tg_store_check_name(kind, key, err);

    if (code == TG_OK)
        code = tg_store_check_size("entry of log", kind, key, len, err);
    if (code == TG_OK)
        code = tg_rs_may_change(s, err);
    if (code != TG_OK)
        return code;
    tg_buf_init(&record, TG_STORE_DOC_MAX + RS_HEAD_MAX);
    tg_buf_printf(&record, " %s %" PRId64 " ", tg_rs_digits(tg_random_u64(&random), &mark),
                  at_us);
    tg_buf_add(&record, bytes, len);
    tg_rs_add(&q, tg_rs_name(s, "log", kind, key, &log));
    tg_rs_add(&q, tg_rs_name(s, "last", kind, key, &last));
    tg_rs_add_bytes(&q, record.data, record.len);
    code = record.failed ? tg_fail(err, TG_NOMEM, "a log entry") : tg_rs_ask(s, &q, &reply, err);
    tg_buf_done(&record);
    if (code == TG_OK) {
        struct tg_redis_arg text = tg_redis_str(reply);
        char number[24];

        text.len = (size_t)snprintf(number, sizeof number, "%.*s ", (int)TG_MIN(text.len, 21u),
                                    text.at ? (const char *)text.at : "");
        text.at = number;
        if (!tg_rs_take_number(&text, &n))
            code = tg_rs_corrupt(s, "log", kind, key, err);
        else if (ret_n)
            *ret_n = n;
    }
    tg_redis_reply_free(reply);
    return code;
}

tg_code tg_rs_read(void *self, const char *kind, const char *key, uint64_t from, tg_log_seen seen,
                   void *ctx, struct tg_error *err)
{
    struct store_redis *s = self;
    struct rs_digits number;
    char start[32];
    struct rs_name name;
    bool more = true;
    tg_code code = tg_store_check_name(kind, key, err);

    if (code == TG_OK)
        tg_rs_name(s, "log", kind, key, &name);
    snprintf(start, sizeof start, "[%s", tg_rs_digits(from, &number));
    while (code == TG_OK && more) {
        struct redisReply *reply = NULL;

        code = tg_rs_page(s, "ZRANGEBYLEX", name.at, start, "+", &reply, err);
        more = code == TG_OK && tg_redis_len(reply) == RS_PAGE;
        for (size_t i = 0; i < tg_redis_len(reply) && code == TG_OK; i++) {
            struct rs_record r;

            if (!tg_rs_take_record(tg_redis_str(tg_redis_item(reply, i)), &r)) {
                code = tg_rs_corrupt(s, "log", kind, key, err);
                break;
            }
            /* ':' stands behind all digits and the blank: behind every record of this number */
            snprintf(start, sizeof start, "(%s:", tg_rs_digits(r.number, &number));
            if (!seen(ctx, &(struct tg_log_entry){ r.number, r.at_us, r.bytes, r.len })) {
                more = false;
                break;
            }
        }
        tg_redis_reply_free(reply);
    }
    return code;
}

tg_code tg_rs_drop(void *self, const char *kind, const char *key, uint64_t from, uint64_t to,
                   struct tg_error *err)
{
    struct store_redis *s = self;
    struct rs_question q = { .script = RS_COMMAND };
    struct rs_digits number;
    char first[32], last[32];
    struct rs_name name;
    tg_code code = tg_store_check_name(kind, key, err);

    if (code == TG_OK)
        code = tg_rs_may_change(s, err);
    if (code != TG_OK)
        return code;
    snprintf(first, sizeof first, "[%s", tg_rs_digits(from, &number));
    snprintf(last, sizeof last, "(%s:", tg_rs_digits(to, &number));
    tg_rs_add(&q, "ZREMRANGEBYLEX"), tg_rs_add(&q, tg_rs_name(s, "log", kind, key, &name));
    tg_rs_add(&q, first), tg_rs_add(&q, last);
    return tg_rs_ask(s, &q, NULL, err);
}

/* ---- leases ---- */

struct held {
    struct tg_lease lease;
    char text[256]; /* as it stands on the server */
};

static void write_lease(struct held *h)
{
    struct rs_digits token;

    snprintf(h->text, sizeof h->text, "%s %" PRId64 " %s", tg_rs_digits(h->lease.token, &token),
             h->lease.expires_us, h->lease.owner);
}

static tg_code read_lease(struct store_redis *s, const char *hash, const char *name,
                          struct held *ret, struct tg_error *err)
{
    struct rs_question q = { .script = RS_COMMAND };
    struct redisReply *reply = NULL;
    struct tg_redis_arg text;
    tg_code code;

    *ret = (struct held){ 0 };
    tg_rs_add(&q, "HGET"), tg_rs_add(&q, hash), tg_rs_add(&q, name);
    code = tg_rs_ask(s, &q, &reply, err);
    text = tg_redis_str(reply);
    if (code == TG_OK && text.at) {
        if (text.len < sizeof ret->text && tg_rs_take_lease(text, &ret->lease))
            memcpy(ret->text, text.at, text.len);
        else
            code = tg_rs_corrupt(s, "lease", name, "", err);
    }
    tg_redis_reply_free(reply);
    return code;
}

/* @return TG_AGAIN if it has changed meanwhile */
static tg_code swap_lease(struct store_redis *s, const char *hash, const char *name,
                          const struct held *before, struct held *after, struct tg_error *err)
{
    struct rs_question q = { .script = RS_SWAP, .n_keys = 1 };
    struct redisReply *reply = NULL;
    bool done;
    tg_code code;

    write_lease(after);
    tg_rs_add(&q, hash), tg_rs_add(&q, name);
    tg_rs_add(&q, before->text), tg_rs_add(&q, after->text);
    code = tg_rs_ask(s, &q, &reply, err);
    done = tg_redis_i64(reply, 0) == 1;
    tg_redis_reply_free(reply);
    return code == TG_OK && !done ? TG_AGAIN : code;
}

static tg_code crowded(const char *name, tg_code code, struct tg_error *err)
{
    return code == TG_AGAIN ? tg_fail(err, TG_STATE, "the lease on '%.100s' changes all the time",
                                      name)
                            : code;
}

tg_code tg_rs_lease(void *self, const char *name, int64_t now_us, int64_t ttl_us,
                    struct tg_lease *lease, struct tg_error *err)
{
    struct store_redis *s = self;
    struct held held, next;
    struct rs_name hash;
    tg_code code = tg_store_check_name("lease", name, err);

    assert(ttl_us > 0 && lease->owner[0] && memchr(lease->owner, 0, sizeof lease->owner));
    if (code == TG_OK)
        code = tg_rs_may_change(s, err);
    if (code != TG_OK)
        return code;
    tg_rs_name(s, "lease", NULL, NULL, &hash);
    code = TG_AGAIN;
    for (int i = 0; i < TRIES && code == TG_AGAIN; i++) {
        next.lease = *lease;
        code = read_lease(s, hash.at, name, &held, err);
        if (code == TG_OK)
            code = tg_store_judge(name, &held.lease, now_us, &next.lease, err);
        next.lease.expires_us = now_us + ttl_us;
        if (code == TG_OK)
            code = swap_lease(s, hash.at, name, &held, &next, err);
    }
    if (code == TG_OK)
        *lease = next.lease;
    else if (code == TG_BUSY)
        *lease = held.lease;
    return crowded(name, code, err);
}

tg_code tg_rs_release(void *self, const char *name, const struct tg_lease *lease,
                      struct tg_error *err)
{
    struct store_redis *s = self;
    struct held held, free_again;
    struct rs_name hash;
    tg_code code = tg_store_check_name("lease", name, err);

    if (code == TG_OK)
        code = tg_rs_may_change(s, err);
    if (code != TG_OK)
        return code;
    tg_rs_name(s, "lease", NULL, NULL, &hash);
    code = TG_AGAIN;
    for (int i = 0; i < TRIES && code == TG_AGAIN; i++) {
        code = read_lease(s, hash.at, name, &held, err);
        if (code != TG_OK || !tg_store_is_own(&held.lease, lease))
            return code;
        free_again.lease = (struct tg_lease){ .token = held.lease.token };
        code = swap_lease(s, hash.at, name, &held, &free_again, err);
    }
    return crowded(name, code, err);
}

tg_code tg_rs_raise_lease(struct store_redis *s, const char *name, uint64_t token,
                          struct tg_error *err)
{
    struct held held, raised;
    struct rs_name hash;
    tg_code code = TG_AGAIN;

    tg_rs_name(s, "lease", NULL, NULL, &hash);
    for (int i = 0; i < TRIES && code == TG_AGAIN; i++) {
        code = read_lease(s, hash.at, name, &held, err);
        if (code != TG_OK || held.lease.token >= token)
            return code;
        raised.lease = held.lease;
        raised.lease.token = token;
        code = swap_lease(s, hash.at, name, &held, &raised, err);
    }
    return crowded(name, code, err);
}

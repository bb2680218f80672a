/* SPDX-License-Identifier: MIT */
/*
 * redis_impl.h - what the files redis*.c share; the model stands in redis.c
 */
#ifndef TG_STORE_REDIS_IMPL_H
#define TG_STORE_REDIS_IMPL_H

#include "client/redis.h"
#include "store/rules.h"

enum {
    RS_PREFIX_MAX = 64,
    RS_NAME_MAX = RS_PREFIX_MAX + 3 * TG_STORE_KIND_MAX + TG_STORE_KEY_MAX + 16,
    RS_ARGS_MAX = 40,
    RS_PAGE = 32,     /* records or documents in one reply */
    RS_HEAD_MAX = 96, /* what stands before the bytes of a record */
};

enum rs_script { RS_COMMAND = -1, RS_NEWEST, RS_PUT, RS_APPEND, RS_SWAP, RS_RAISE, RS_SCRIPTS };

struct store_redis {
    const char *prefix; /* options */
    int64_t timeout_ms;
    struct tg_redis *db;
    struct tg_redis_script script[RS_SCRIPTS];
    bool look;
    char warning[200];
};

/* ---- questions: a command, or a script with its keys and arguments ---- */

struct rs_question {
    enum rs_script script;
    size_t n_keys, n;
    struct tg_redis_arg arg[RS_ARGS_MAX];
};

/* What is added is borrowed. */
void tg_rs_add_bytes(struct rs_question *q, const void *at, size_t len);
void tg_rs_add(struct rs_question *q, const char *text);

/** Asks, once more if the connection was cut. @return TG_STATE for what may pass; TG_UNUSABLE */
tg_code tg_rs_ask(struct store_redis *s, struct rs_question *q, struct redisReply **ret,
                  struct tg_error *err);
/** Asks for a page of the members of a set: those on from `from` and towards `to`. */
tg_code tg_rs_page(struct store_redis *s, const char *command, const char *name, const char *from,
                   const char *to, struct redisReply **ret, struct tg_error *err);

void tg_rs_set_scripts(struct store_redis *s);
tg_code tg_rs_may_change(const struct store_redis *s, struct tg_error *err);

/* ---- names and records ---- */

struct rs_name {
    char at[RS_NAME_MAX];
};

/** "{prefix}:what:kind:key"; kind and key may be NULL. @return out->at */
const char *tg_rs_name(const struct store_redis *s, const char *what, const char *kind,
                       const char *key, struct rs_name *out);

struct rs_record {
    uint64_t number, fence;
    int64_t at_us;
    const char *bytes;
    size_t len;
};

struct rs_digits {
    char at[24];
};

const char *tg_rs_digits(uint64_t v, struct rs_digits *out);

/* Each takes its part and the blank behind it. @return whether they are there */
bool tg_rs_take_number(struct tg_redis_arg *from, uint64_t *ret);
bool tg_rs_take_time(struct tg_redis_arg *from, int64_t *ret);
bool tg_rs_take_record(struct tg_redis_arg from, struct rs_record *ret);

/** Reads a lease's value in the hash. */
bool tg_rs_take_lease(struct tg_redis_arg text, struct tg_lease *ret);

/** @return TG_CORRUPT */
tg_code tg_rs_corrupt(const struct store_redis *s, const char *what, const char *kind,
                      const char *key, struct tg_error *err);

/* ---- as tg_store_ops has them: redis.c, redis_names.c, redis_logs.c ---- */

tg_code tg_rs_list(void *self, const char *kind, const char *prefix, tg_doc_seen seen, void *ctx,
                   struct tg_error *err);
tg_code tg_rs_names(void *self, enum tg_store_shape shape, tg_name_seen seen, void *ctx,
                    struct tg_error *err);
tg_code tg_rs_raise(void *self, enum tg_store_shape shape, const char *kind, const char *key,
                    uint64_t number, struct tg_error *err);
tg_code tg_rs_raise_lease(struct store_redis *s, const char *name, uint64_t token,
                          struct tg_error *err);

tg_code tg_rs_append(void *self, const char *kind, const char *key, int64_t at_us,
                     const void *bytes, size_t len, uint64_t *ret_n, struct tg_error *err);
tg_code tg_rs_read(void *self, const char *kind, const char *key, uint64_t from, tg_log_seen seen,
                   void *ctx, struct tg_error *err);
tg_code tg_rs_drop(void *self, const char *kind, const char *key, uint64_t from, uint64_t to,
                   struct tg_error *err);
tg_code tg_rs_lease(void *self, const char *name, int64_t now_us, int64_t ttl_us,
                    struct tg_lease *lease, struct tg_error *err);
tg_code tg_rs_release(void *self, const char *name, const struct tg_lease *lease,
                      struct tg_error *err);

#endif

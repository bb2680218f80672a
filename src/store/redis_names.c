/* SPDX-License-Identifier: MIT */
/*
 * redis_names.c - everything that state in Redis keeps, and numbers that are raised; the model
 * stands in redis.c
 *
 * Which kinds and logs there are stands nowhere but in the names of the keys: the server is asked
 * to go through all of its own, a thousand at a time. It may tell one twice, none that stays is
 * left out.
 */
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/text.h"
#include "store/redis_impl.h"

/* Each of them is given an item of a reply, or two. */
typedef tg_code (*item_fn)(void *ctx, const struct redisReply *item, const struct redisReply *value,
                           struct tg_error *err);

struct names {
    struct store_redis *s;
    tg_name_seen seen;
    void *ctx;
    const char *kind; /* of the documents that are listed */
    size_t skip;      /* bytes before the part of a name that tells */
    bool stopped;
};

/* Goes through the keys of the server that match, or, if `hash` is not NULL, through that hash. */
static tg_code scan(struct names *n, const char *hash, const char *match, item_fn item,
                    struct tg_error *err)
{
    char cursor[32] = "0";
    tg_code code = TG_OK;

    do {
        struct rs_question q = { .script = RS_COMMAND };
        struct redisReply *reply = NULL;
        const struct redisReply *list;
        struct tg_redis_arg next;

        tg_rs_add(&q, hash ? "HSCAN" : "SCAN");
        if (hash)
            tg_rs_add(&q, hash);
        tg_rs_add(&q, cursor), tg_rs_add(&q, "COUNT"), tg_rs_add(&q, "1000");
        if (match)
            tg_rs_add(&q, "MATCH"), tg_rs_add(&q, match);
        code = tg_rs_ask(n->s, &q, &reply, err);
        list = tg_redis_item(reply, 1);
        for (size_t i = 0; code == TG_OK && !n->stopped && i < tg_redis_len(list);
             i += hash ? 2 : 1)
            code = item(n, tg_redis_item(list, i), tg_redis_item(list, i + 1), err);
        next = tg_redis_str(tg_redis_item(reply, 0));
        snprintf(cursor, sizeof cursor, "%.*s", (int)TG_MIN(next.len, sizeof cursor - 1),
                 next.at ? (const char *)next.at : "0");
        tg_redis_reply_free(reply);
    } while (code == TG_OK && !n->stopped && strcmp(cursor, "0") != 0);
    return code;
}

/* The part of a key's name that tells: "KIND" or "KIND:KEY". @return false if it is none of ours */
static bool split(const struct names *n, const struct redisReply *item, struct rs_name *kind,
                  struct rs_name *key)
{
    struct tg_redis_arg text = tg_redis_str(item);
    const char *at = text.at, *end, *colon;
    size_t len = 0;

    if (!at || text.len <= n->skip || text.len - n->skip >= sizeof kind->at ||
        memchr(at, 0, text.len))
        return false;
    end = at + text.len;
    at += n->skip;
    colon = memchr(at, ':', (size_t)(end - at));
    snprintf(key->at, sizeof key->at, "%.*s", colon ? (int)(end - colon - 1) : 0,
             colon ? colon + 1 : "");
    for (end = colon ? colon : end; at < end; at++) { /* as tg_rs_name writes it */
        const bool coded = *at == '%' && end - at >= 3;

        kind->at[len++] = coded ? (char)strtol((char[]){ at[1], at[2], 0 }, NULL, 16) : *at;
        at += coded ? 2 : 0;
    }
    kind->at[len] = 0;
    return len >= 1 && strlen(kind->at) <= TG_STORE_KIND_MAX && strlen(key->at) <= TG_STORE_KEY_MAX;
}

static void give(struct names *n, const struct tg_store_name *name)
{
    n->stopped = !n->seen(n->ctx, name);
}

static bool on_doc(void *ctx, const char *key, const struct tg_doc *doc, const void *bytes,
                   size_t len)
{
    struct names *n = ctx;

    (void)bytes, (void)len;
    give(n, &(struct tg_store_name){ .kind = n->kind, .key = key, .number = doc->version,
                                     .owner = "" });
    return !n->stopped;
}

static tg_code on_kind(void *ctx, const struct redisReply *item, const struct redisReply *value,
                       struct tg_error *err)
{
    struct names *n = ctx;
    struct rs_name kind, key;

    (void)value;
    if (!split(n, item, &kind, &key))
        return TG_OK;
    n->kind = kind.at;
    return tg_rs_list(n->s, kind.at, "", on_doc, n, err);
}

static tg_code on_log(void *ctx, const struct redisReply *item, const struct redisReply *value,
                      struct tg_error *err)
{
    struct names *n = ctx;
    struct rs_question q = { .script = RS_COMMAND };
    struct redisReply *reply = NULL;
    struct rs_name kind, key, name;
    tg_code code;

    (void)value;
    if (!split(n, item, &kind, &key))
        return TG_OK;
    tg_rs_add(&q, "GET"), tg_rs_add(&q, tg_rs_name(n->s, "last", kind.at, key.at, &name));
    code = tg_rs_ask(n->s, &q, &reply, err);
    if (code == TG_OK && tg_redis_i64(reply, 0) > 0)
        give(n, &(struct tg_store_name){ .kind = kind.at, .key = key.at, .owner = "",
                                         .number = (uint64_t)tg_redis_i64(reply, 0) });
    tg_redis_reply_free(reply);
    return code;
}

static tg_code on_lease(void *ctx, const struct redisReply *item, const struct redisReply *value,
                        struct tg_error *err)
{
    struct names *n = ctx;
    struct tg_redis_arg text = tg_redis_str(item);
    struct tg_lease lease;
    struct rs_name name;

    snprintf(name.at, sizeof name.at, "%.*s", (int)TG_MIN(text.len, (size_t)TG_STORE_KEY_MAX),
             text.at ? (const char *)text.at : "");
    if (!tg_rs_take_lease(tg_redis_str(value), &lease))
        return tg_rs_corrupt(n->s, "lease", name.at, "", err);
    give(n, &(struct tg_store_name){ "lease", name.at, lease.token, lease.owner,
                                     lease.expires_us });
    return TG_OK;
}

tg_code tg_rs_names(void *self, enum tg_store_shape shape, tg_name_seen seen, void *ctx,
                    struct tg_error *err)
{
    static const struct {
        const char *what;
        item_fn item;
    } row[] = {
        [TG_STORE_DOCS] = { "docs", on_kind },
        [TG_STORE_LOGS] = { "last", on_log },
        [TG_STORE_LEASES] = { "lease", on_lease },
    };
    struct names n = { .s = self, .seen = seen, .ctx = ctx };
    struct rs_name name, match;

    tg_rs_name(n.s, row[shape].what, NULL, NULL, &name);
    n.skip = strlen(name.at) + 1;
    snprintf(match.at, sizeof match.at, "%.*s:*", RS_NAME_MAX - 3, name.at);
    return shape == TG_STORE_LEASES ? scan(&n, name.at, NULL, row[shape].item, err)
                                    : scan(&n, NULL, match.at, row[shape].item, err);
}

tg_code tg_rs_raise(void *self, enum tg_store_shape shape, const char *kind, const char *key,
                    uint64_t number, struct tg_error *err)
{
    struct store_redis *s = self;
    struct rs_question q = { .script = RS_RAISE, .n_keys = 1 };
    struct rs_name last;
    char digits[24];
    tg_code code = tg_store_check_name(kind, key, err);

    assert(shape != TG_STORE_DOCS);
    if (code == TG_OK)
        code = tg_rs_may_change(s, err);
    if (code != TG_OK)
        return code;
    if (shape == TG_STORE_LEASES)
        return tg_rs_raise_lease(s, key, number, err);
    snprintf(digits, sizeof digits, "%" PRId64, tg_store_clamp(number));
    tg_rs_add(&q, tg_rs_name(s, "last", kind, key, &last)), tg_rs_add(&q, digits);
    return tg_rs_ask(s, &q, NULL, err);
}

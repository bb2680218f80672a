/* SPDX-License-Identifier: MIT */
/*
 * redis.c - state in Redis: `redis://[[USER]:PASSWORD@]HOST[:PORT][/DB][?prefix=tgdata]`
 *
 *   {tgdata}:doc:KIND:KEY   sorted set: a record for each version that is kept
 *   {tgdata}:docs:KIND      sorted set: the keys of the documents of a kind
 *   {tgdata}:log:KIND:KEY   sorted set: a record for each entry
 *   {tgdata}:last:KIND:KEY  the highest number that the log has given
 *   {tgdata}:lease          hash: name -> "token expires_us owner"; owner is empty when it is free
 *   {tgdata}:version        of this form
 *
 *   record  "NNNNNNNNNNNNNNNNNNNN FFFFFFFFFFFFFFFFFFFF at_us bytes": number, fence (in a log: any
 *           number that marks the append)
 *
 * All scores are 0, so that a set is sorted by its bytes, and numbers have 20 digits, so that this
 * is by number. They stay text on the server: the numbers of Lua and of scores end at 2^53. The
 * keys share a hash tag, so that they live on one node of a cluster. A change is one command or one
 * script, which refuses if what stands is not what the change was decided upon. Times are the
 * caller's. A connection that was cut is made anew once within a call; a change then first looks
 * whether it was made already.
 *
 * Threads: one call at a time; calls block      Limits: those of store.h
 */
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "store/redis_impl.h"

#define FORM "1"

/* ---- opening ---- */

static bool good_prefix(const char *prefix)
{
    static const char good[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    size_t len = strlen(prefix);

    return len >= 1 && len <= RS_PREFIX_MAX && strspn(prefix, good) == len;
}

static bool is_text(struct tg_redis_arg value, const char *text)
{
    return value.at && value.len == strlen(text) && memcmp(value.at, text, value.len) == 0;
}

static tg_code check_form(struct store_redis *s, enum tg_store_use use, struct tg_error *err)
{
    struct rs_name name;
    struct rs_question set = { .script = RS_COMMAND }, get = { .script = RS_COMMAND };
    struct redisReply *reply = NULL;
    struct tg_redis_arg form;
    tg_code code = TG_OK;

    tg_rs_name(s, "version", NULL, NULL, &name);
    tg_rs_add(&set, "SETNX"), tg_rs_add(&set, name.at), tg_rs_add(&set, FORM);
    tg_rs_add(&get, "GET"), tg_rs_add(&get, name.at);
    if (use == TG_STORE_CREATE)
        code = tg_rs_ask(s, &set, NULL, err);
    if (code == TG_OK)
        code = tg_rs_ask(s, &get, &reply, err);
    if (code != TG_OK)
        return code;
    form = tg_redis_str(reply);
    if (!form.at) {
        tg_fail(err, TG_NOT_FOUND, "Redis at %s holds no state", tg_redis_name(s->db));
        code = tg_hint(err, "name the server, database and prefix that the job ran with");
    } else if (!is_text(form, FORM)) {
        tg_fail(err, TG_UNUSABLE, "Redis at %s has state of version %.*s, this program knows " FORM,
                tg_redis_name(s->db), (int)TG_MIN(form.len, (size_t)20), (const char *)form.at);
        code = tg_hint(err, "use the program version that wrote it, or a newer one");
    }
    tg_redis_reply_free(reply);
    return code;
}

/* The server's setting of that name. Empty if it may not be asked, as with managed ones. */
static tg_code setting(struct store_redis *s, const char *name, char *ret, size_t size,
                       struct tg_error *err)
{
    struct rs_question q = { .script = RS_COMMAND };
    struct redisReply *reply = NULL;
    struct tg_redis_arg value;
    tg_code code;

    tg_rs_add(&q, "CONFIG"), tg_rs_add(&q, "GET"), tg_rs_add(&q, name);
    code = tg_rs_ask(s, &q, &reply, err);
    value = tg_redis_str(tg_redis_item(reply, 1));
    snprintf(ret, size, "%.*s", (int)value.len, value.at ? (const char *)value.at : "");
    tg_redis_reply_free(reply);
    return code == TG_UNUSABLE ? TG_OK : code;
}

/* A server that throws keys away when it is full is no store; one that forgets in a crash is told
 *  of. */
static tg_code check_settings(struct store_redis *s, struct tg_error *err)
{
    char policy[32], limit[32], append[16], flush[16];
    tg_code code = setting(s, "maxmemory-policy", policy, sizeof policy, err);

    if (code == TG_OK)
        code = setting(s, "maxmemory", limit, sizeof limit, err);
    if (code == TG_OK)
        code = setting(s, "appendonly", append, sizeof append, err);
    if (code == TG_OK)
        code = setting(s, "appendfsync", flush, sizeof flush, err);
    if (code != TG_OK)
        return code;
    if (strncmp(policy, "allkeys-", 8) == 0 && strcmp(limit, "0") != 0) {
        tg_fail(err, TG_UNUSABLE, "Redis at %s may throw state away: its maxmemory-policy is %s",
                tg_redis_name(s->db), policy);
        return tg_hint(err, "set it to noeviction, or name a server that is no cache");
    }
    if (strcmp(append, "no") == 0)
        snprintf(s->warning, sizeof s->warning,
                 "a crash of Redis at %.100s would lose state: its appendonly is off",
                 tg_redis_name(s->db));
    else if (strcmp(flush, "no") == 0)
        snprintf(s->warning, sizeof s->warning,
                 "a crash of Redis at %.100s may lose state: its appendfsync is no",
                 tg_redis_name(s->db));
    return TG_OK;
}

static tg_code open_at(struct store_redis *s, const char *scheme, const char *target,
                       enum tg_store_use use, struct tg_error *err)
{
    char *url = NULL;
    tg_code code;

    if (!good_prefix(s->prefix)) {
        tg_fail(err, TG_USAGE, "'%.80s' is no name for a prefix", s->prefix);
        return tg_hint(err, "1 to %d letters, digits, '._-'", RS_PREFIX_MAX);
    }
    s->look = use == TG_STORE_LOOK;
    tg_rs_set_scripts(s);
    if (asprintf(&url, "%s:%s", scheme, target) < 0)
        return tg_fail(err, TG_NOMEM, "no memory for a store");
    code = tg_redis_new(url, s->timeout_ms, &s->db, err);
    explicit_bzero(url, strlen(url));
    free(url);
    if (code == TG_OK)
        code = check_form(s, use, err);
    if (code == TG_OK && use != TG_STORE_LOOK)
        code = check_settings(s, err);
    return code;
}

static tg_code redis_open(void *self, const char *target, enum tg_store_use use,
                          struct tg_error *err)
{
    return open_at(self, "redis", target, use, err);
}

static tg_code rediss_open(void *self, const char *target, enum tg_store_use use,
                           struct tg_error *err)
{
    return open_at(self, "rediss", target, use, err);
}

static void redis_close(void *self)
{
    struct store_redis *s = self;

    tg_redis_free(s->db);
    s->db = NULL;
}

static const char *redis_warning(const void *self)
{
    const struct store_redis *s = self;

    return s->warning[0] ? s->warning : NULL;
}

/* ---- documents ---- */

static struct tg_doc doc_of(const struct rs_record *r)
{
    return (struct tg_doc){ .version = r->number, .at_us = r->at_us, .fence = r->fence };
}

static tg_code redis_get(void *self, const char *kind, const char *key, struct tg_doc *ret,
                         struct tg_buf *ret_bytes, struct tg_error *err)
{
    struct store_redis *s = self;
    struct rs_question q = { .script = RS_NEWEST, .n_keys = 1 };
    struct redisReply *reply = NULL;
    struct tg_redis_arg text;
    struct rs_record newest;
    struct rs_name name;
    tg_code code = tg_store_check_name(kind, key, err);

    if (code != TG_OK)
        return code;
    tg_rs_add(&q, tg_rs_name(s, "doc", kind, key, &name));
    code = tg_rs_ask(s, &q, &reply, err);
    if (code != TG_OK)
        return code;
    text = tg_redis_str(tg_redis_item(reply, 0));
    if (!text.len) {
        code = TG_END;
    } else if (!tg_rs_take_record(text, &newest)) {
        code = tg_rs_corrupt(s, "document", kind, key, err);
    } else {
        *ret = doc_of(&newest);
        if (ret_bytes)
            tg_buf_add(ret_bytes, newest.bytes, newest.len);
        if (ret_bytes && ret_bytes->failed)
            code = tg_fail(err, TG_LIMIT, "no room for document %s/%.200s", kind, key);
    }
    tg_redis_reply_free(reply);
    return code;
}

/* What stands is not what was expected, or it is a newer token's. */
static tg_code refused(struct store_redis *s, const char *kind, const char *key,
                       struct tg_redis_arg text, uint64_t expect, uint64_t fence,
                       struct tg_error *err)
{
    struct rs_record now;
    struct tg_doc doc;
    tg_code code;

    if (!tg_rs_take_record(text, &now))
        return tg_rs_corrupt(s, "document", kind, key, err);
    doc = doc_of(&now);
    code = tg_store_compare(kind, key, expect, fence, &doc, err);
    return code == TG_OK ? tg_rs_corrupt(s, "document", kind, key, err) : code;
}

static tg_code redis_put(void *self, const char *kind, const char *key, uint64_t expect,
                         const struct tg_doc *stamp, const void *bytes, size_t len,
                         struct tg_error *err)
{
    struct store_redis *s = self;
    struct rs_question q = { .script = RS_PUT, .n_keys = 2 };
    struct tg_doc next = *stamp;
    struct rs_digits expected, fence, number;
    struct redisReply *reply = NULL;
    struct tg_redis_arg stands;
    struct rs_name doc, docs;
    struct tg_buf record;
    tg_code code = tg_store_check_name(kind, key, err);

    if (code == TG_OK)
        code = tg_store_check_size("document", kind, key, len, err);
    if (code == TG_OK)
        code = tg_rs_may_change(s, err);
    if (code != TG_OK)
        return code;
    next.version = tg_store_next(expect, stamp);
    tg_buf_init(&record, TG_STORE_DOC_MAX + RS_HEAD_MAX);
    tg_buf_printf(&record, "%s %s %" PRId64 " ", tg_rs_digits(next.version, &number),
                  tg_rs_digits(next.fence, &fence), next.at_us);
    tg_buf_add(&record, bytes, len);
    tg_rs_add(&q, tg_rs_name(s, "doc", kind, key, &doc));
    tg_rs_add(&q, tg_rs_name(s, "docs", kind, NULL, &docs));
    tg_rs_add(&q, tg_rs_digits(expect, &expected));
    tg_rs_add(&q, fence.at);
    tg_rs_add_bytes(&q, record.data, record.len);
    tg_rs_add(&q, key);
    code = record.failed ? tg_fail(err, TG_NOMEM, "a document") : tg_rs_ask(s, &q, &reply, err);
    tg_buf_done(&record);
    stands = tg_redis_str(reply);
    if (code == TG_OK && stands.len)
        code = refused(s, kind, key, stands, expect, next.fence, err);
    tg_redis_reply_free(reply);
    return code;
}

static tg_code redis_history(void *self, const char *kind, const char *key, tg_doc_seen seen,
                             void *ctx, struct tg_error *err)
{
    struct store_redis *s = self;
    char from[32] = "+";
    struct rs_name name;
    bool more = true;
    tg_code code = tg_store_check_name(kind, key, err);

    if (code == TG_OK)
        tg_rs_name(s, "doc", kind, key, &name);
    while (code == TG_OK && more) {
        struct redisReply *reply = NULL;

        code = tg_rs_page(s, "ZREVRANGEBYLEX", name.at, from, "-", &reply, err);
        more = code == TG_OK && tg_redis_len(reply) == RS_PAGE;
        for (size_t i = 0; i < tg_redis_len(reply) && code == TG_OK; i++) {
            struct rs_record r;
            struct rs_digits number;
            struct tg_doc doc;

            if (!tg_rs_take_record(tg_redis_str(tg_redis_item(reply, i)), &r)) {
                code = tg_rs_corrupt(s, "document", kind, key, err);
                break;
            }
            doc = doc_of(&r);
            /* what begins with the number itself stands behind it: not seen again */
            snprintf(from, sizeof from, "(%s", tg_rs_digits(r.number, &number));
            if (!seen(ctx, key, &doc, r.bytes, r.len)) {
                more = false;
                break;
            }
        }
        tg_redis_reply_free(reply);
    }
    return code;
}

/* Reads the newest of the documents whose keys a page of the index names. `last`: the last key.
 * *more becomes false when `seen` has enough. */
static tg_code list_page(struct store_redis *s, const char *kind, const struct redisReply *keys,
                         tg_doc_seen seen, void *ctx, struct rs_name *last, bool *more,
                         struct tg_error *err)
{
    struct rs_question q = { .script = RS_NEWEST, .n_keys = tg_redis_len(keys) };
    struct rs_name *name = calloc(RS_PAGE, sizeof *name);
    struct redisReply *reply = NULL;
    tg_code code = name ? TG_OK : tg_fail(err, TG_NOMEM, "a list of documents");

    for (size_t i = 0; i < q.n_keys && code == TG_OK; i++) {
        struct tg_redis_arg key = tg_redis_str(tg_redis_item(keys, i));

        if (!key.at || key.len > TG_STORE_KEY_MAX || memchr(key.at, 0, key.len)) {
            code = tg_rs_corrupt(s, "list of documents", kind, "", err);
            break;
        }
        snprintf(last->at, sizeof last->at, "%.*s", (int)key.len, (const char *)key.at);
        tg_rs_add(&q, tg_rs_name(s, "doc", kind, last->at, &name[i]));
    }
    if (code == TG_OK)
        code = tg_rs_ask(s, &q, &reply, err);
    for (size_t i = 0; i < tg_redis_len(reply) && code == TG_OK && *more; i++) {
        struct tg_redis_arg key = tg_redis_str(tg_redis_item(keys, i));
        struct tg_redis_arg text = tg_redis_str(tg_redis_item(reply, i));
        struct rs_record r;
        struct tg_doc doc;
        struct rs_name copy;

        snprintf(copy.at, sizeof copy.at, "%.*s", (int)key.len, (const char *)key.at);
        if (!tg_rs_take_record(text, &r)) {
            code = tg_rs_corrupt(s, "document", kind, copy.at, err);
        } else {
            doc = doc_of(&r);
            *more = seen(ctx, copy.at, &doc, r.bytes, r.len);
        }
    }
    tg_redis_reply_free(reply);
    free(name);
    return code;
}

/* The first text behind all that begin with `prefix`, as a bound of a range. */
static void end_of(const char *prefix, struct rs_name *out)
{
    size_t n = strlen(prefix);

    while (n && (uint8_t)prefix[n - 1] == 0xff)
        n--;
    snprintf(out->at, sizeof out->at, n ? "(%.*s" : "+", (int)n, prefix);
    if (n)
        out->at[n]++; /* behind the bracket */
}

tg_code tg_rs_list(void *self, const char *kind, const char *prefix, tg_doc_seen seen, void *ctx,
                   struct tg_error *err)
{
    struct store_redis *s = self;
    struct rs_name name, from, to, last = { "" };
    bool more = true;
    tg_code code = tg_store_check_name(kind, prefix, err);

    if (code != TG_OK)
        return code;
    tg_rs_name(s, "docs", kind, NULL, &name);
    snprintf(from.at, sizeof from.at, "[%s", prefix);
    end_of(prefix, &to);
    while (code == TG_OK && more) {
        struct redisReply *keys = NULL;

        code = tg_rs_page(s, "ZRANGEBYLEX", name.at, from.at, to.at, &keys, err);
        more = tg_redis_len(keys) > 0;
        if (code == TG_OK && more)
            code = list_page(s, kind, keys, seen, ctx, &last, &more, err);
        snprintf(from.at, sizeof from.at, "(%.*s", TG_STORE_KEY_MAX, last.at);
        tg_redis_reply_free(keys);
    }
    return code;
}

static tg_code redis_prune(void *self, const char *kind, const char *key, uint64_t n_keep,
                           struct tg_error *err)
{
    struct store_redis *s = self;
    struct rs_question q = { .script = RS_COMMAND };
    struct rs_name name;
    char behind[24];
    tg_code code = tg_store_check_name(kind, key, err);

    assert(n_keep > 0); /* the newest version carries the number and the fence of the next */
    if (code == TG_OK)
        code = tg_rs_may_change(s, err);
    if (code != TG_OK)
        return code;
    snprintf(behind, sizeof behind, "-%" PRIu64, TG_MIN(n_keep, (uint64_t)INT32_MAX) + 1);
    tg_rs_add(&q, "ZREMRANGEBYRANK"), tg_rs_add(&q, tg_rs_name(s, "doc", kind, key, &name));
    tg_rs_add(&q, "0"), tg_rs_add(&q, behind);
    return tg_rs_ask(s, &q, NULL, err);
}

#define OPTION(member, ...) .offset = offsetof(struct store_redis, member), __VA_ARGS__

static const struct tg_option redis_option[] = {
    { .name = "prefix", .type = TG_OPT_STR, OPTION(prefix, .fallback = "tgdata"),
      .help = "what the names of the keys begin with, in braces" },
    { .name = "timeout",
      .type = TG_OPT_MS,
      OPTION(timeout_ms, .fallback = "30s", .min = 1000, .max = 600000),
      .help = "longest wait for a connection or an answer" },
    { 0 },
};

#define REDIS_STORE(driver, text, open_it)                                                         \
    {                                                                                              \
        .head = { driver, text, redis_option, sizeof(struct store_redis) }, .open = open_it,       \
        .close = redis_close, .warning = redis_warning, .get = redis_get, .put = redis_put,        \
        .history = redis_history, .list = tg_rs_list, .prune = redis_prune,                        \
        .append = tg_rs_append, .read = tg_rs_read, .drop = tg_rs_drop, .lease = tg_rs_lease,      \
        .release = tg_rs_release, .names = tg_rs_names, .raise = tg_rs_raise,                      \
    }

const struct tg_store_ops tg_store_redis = REDIS_STORE("redis", "state in Redis", redis_open);
const struct tg_store_ops tg_store_rediss =
    REDIS_STORE("rediss", "the same through TLS, where the library has it", rediss_open);

/* SPDX-License-Identifier: MIT */
/*
 * redis.c - tasks on a Redis stream with a consumer group: `redis://HOST:PORT/DB?queue=NAME`
 *
 *   {tgdata:NAME}:tasks   stream; an entry has `body` and `attempts`; group "tgdata"
 *   {tgdata:NAME}:later   sorted set by due time, of "attempts:serial:body"
 *   {tgdata:NAME}:serial  counter: two equal tasks that wait are two members
 *   {tgdata:NAME}:dead    stream of dead letters: body, attempts, deliveries, reason
 *
 * All keys share a hash tag, so that they live on one node of a cluster. What must happen together
 * is one script. Time is the server's, in scripts and in the idle time of pending entries, so that
 * clocks of workers do not matter. An entry is deleted when it is acknowledged: the stream holds
 * what is not done yet.
 *
 * Facts: redis.io/docs/latest/commands (XREADGROUP, XAUTOCLAIM, XPENDING, XCLAIM).
 */
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "client/redis.h"
#include "queue/broker.h"

#define GROUP "tgdata"
enum { NAME_MAX_BYTES = 64, TIMEOUT_MS = 5000, WAIT_MAX_MS = 2000 };

struct broker_redis {
    /* options */
    const char *queue;
    int64_t visibility_ms, max_deliveries;
    /* own */
    struct tg_redis *redis;
    char *url;
    const char *who;
    char tasks[NAME_MAX_BYTES + 32], later[NAME_MAX_BYTES + 32], serial[NAME_MAX_BYTES + 32],
        dead[NAME_MAX_BYTES + 32];
    char cursor[TG_BROKER_ID_MAX]; /* where the search for entries of the dead goes on */
    bool group_made;
};

/* ---- scripts ---- */

/* What has become due goes into the stream. KEYS tasks later */
static struct tg_redis_script script_due = { .text =
    "local t = redis.call('TIME')\n"
    "local now = t[1] * 1000 + math.floor(t[2] / 1000)\n"
    "local due = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', now, 'LIMIT', 0, 64)\n"
    "for _, m in ipairs(due) do\n"
    "  local attempts, body = string.match(m, '^(%d+):%d+:(.*)$')\n"
    "  redis.call('XADD', KEYS[1], '*', 'body', body, 'attempts', attempts)\n"
    "  redis.call('ZREM', KEYS[2], m)\n"
    "end\n"
    "return #due\n" };

/* An entry that is ours ends. KEYS tasks later serial dead; ARGV group who id what ...; what is
 * ack | retry attempts delay body | back attempts body | bury attempts deliveries reason body.
 * Returns 0 if it is not ours any more: then nothing is done. */
static struct tg_redis_script script_end = { .text =
    "local p = redis.call('XPENDING', KEYS[1], ARGV[1], ARGV[3], ARGV[3], 1)\n"
    "if #p == 0 or p[1][2] ~= ARGV[2] then return 0 end\n"
    "redis.call('XACK', KEYS[1], ARGV[1], ARGV[3])\n"
    "redis.call('XDEL', KEYS[1], ARGV[3])\n"
    "if ARGV[4] == 'retry' then\n"
    "  local t = redis.call('TIME')\n"
    "  local due = t[1] * 1000 + math.floor(t[2] / 1000) + ARGV[6]\n"
    "  local n = redis.call('INCR', KEYS[3])\n"
    "  redis.call('ZADD', KEYS[2], due, ARGV[5] .. ':' .. n .. ':' .. ARGV[7])\n"
    "elseif ARGV[4] == 'back' then\n"
    "  redis.call('XADD', KEYS[1], '*', 'body', ARGV[6], 'attempts', ARGV[5])\n"
    "elseif ARGV[4] == 'bury' then\n"
    "  redis.call('XADD', KEYS[4], '*', 'body', ARGV[8], 'attempts', ARGV[5],"
    " 'deliveries', ARGV[6], 'reason', ARGV[7])\n"
    "end\n"
    "return 1\n" };

/* KEYS tasks later dead; ARGV group. waiting, taken, later, dead */
static struct tg_redis_script script_depth = { .text =
    "local taken = 0\n"
    "if redis.call('EXISTS', KEYS[1]) == 1 then\n"
    "  for _, g in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do\n"
    "    if g[2] == ARGV[1] then taken = g[6] end\n"
    "  end\n"
    "end\n"
    "return { redis.call('XLEN', KEYS[1]) - taken, taken, redis.call('ZCARD', KEYS[2]),"
    " redis.call('XLEN', KEYS[3]) }\n" };

/* ---- opening ---- */

static bool good_name(const char *name)
{
    static const char good[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    size_t len = strlen(name);

    return len >= 1 && len < NAME_MAX_BYTES && strspn(name, good) == len;
}

static tg_code redis_open(void *self, const char *target, const char *who, struct tg_error *err)
{
    struct broker_redis *b = self;
    tg_code code;

    if (!good_name(b->queue))
        return tg_fail(err, TG_USAGE, "'%.100s' is no name of a queue: letters, digits, '._-'",
                       b->queue);
    b->who = who;
    snprintf(b->tasks, sizeof b->tasks, "{tgdata:%s}:tasks", b->queue);
    snprintf(b->later, sizeof b->later, "{tgdata:%s}:later", b->queue);
    snprintf(b->serial, sizeof b->serial, "{tgdata:%s}:serial", b->queue);
    snprintf(b->dead, sizeof b->dead, "{tgdata:%s}:dead", b->queue);
    snprintf(b->cursor, sizeof b->cursor, "0-0");
    if (asprintf(&b->url, "redis:%s", target) < 0) {
        b->url = NULL;
        return tg_fail(err, TG_NOMEM, "no memory for a queue");
    }
    code = tg_redis_new(b->url, TIMEOUT_MS, &b->redis, err);
    return code == TG_OK ? tg_redis_connect(b->redis, err) : code;
}

static void redis_close(void *self)
{
    struct broker_redis *b = self;

    tg_redis_free(b->redis);
    if (b->url)
        explicit_bzero(b->url, strlen(b->url));
    free(b->url);
    b->redis = NULL;
    b->url = NULL;
}

/* The group is made by whoever comes first; that it is there already is no failure. */
static tg_code need_group(struct broker_redis *b, struct tg_error *err)
{
    const char *const word[] = { "XGROUP", "CREATE", b->tasks, GROUP, "0", "MKSTREAM", NULL };
    tg_code code;

    if (b->group_made)
        return TG_OK;
    code = tg_redis_words(b->redis, word, NULL, err);
    if (code == TG_UNUSABLE && strstr(err->message, "BUSYGROUP"))
        code = TG_OK;
    b->group_made = code == TG_OK;
    return code;
}

/* ---- tasks ---- */

static tg_code redis_put(void *self, const void *body, size_t len, struct tg_error *err)
{
    struct broker_redis *b = self;
    const struct tg_redis_arg arg[] = {
        { "XADD", 4 }, { b->tasks, strlen(b->tasks) }, { "*", 1 },        { "body", 4 },
        { body, len }, { "attempts", 8 },              { "0", 1 },
    };

    if (len > TG_BROKER_BODY_MAX)
        return tg_fail(err, TG_LIMIT, "a task of %zu bytes", len);
    return tg_redis_call(b->redis, arg, TG_COUNT(arg), NULL, err);
}

/* Reads an entry [id, [name, value, ...]]. @return whether it is one of ours */
static bool read_entry(const struct redisReply *entry, struct tg_delivery *ret)
{
    const struct redisReply *fields = tg_redis_item(entry, 1);
    struct tg_redis_arg id = tg_redis_str(tg_redis_item(entry, 0));
    bool found = false;

    if (!id.at || id.len >= sizeof ret->id)
        return false;
    memcpy(ret->id, id.at, id.len);
    ret->id[id.len] = 0;
    ret->attempts = 0;
    ret->deliveries = 1;
    tg_buf_clear(&ret->body);
    for (size_t i = 0; i + 1 < tg_redis_len(fields); i += 2) {
        struct tg_redis_arg name = tg_redis_str(tg_redis_item(fields, i));
        struct tg_redis_arg value = tg_redis_str(tg_redis_item(fields, i + 1));

        if (name.len == 4 && memcmp(name.at, "body", 4) == 0 && value.at) {
            tg_buf_add(&ret->body, value.at, value.len);
            found = true;
        } else if (name.len == 8 && memcmp(name.at, "attempts", 8) == 0) {
            ret->attempts = (uint32_t)TG_MAX(tg_redis_i64(tg_redis_item(fields, i + 1), 0),
                                             INT64_C(0));
        }
    }
    if (ret->body.failed)
        tg_buf_clear(&ret->body); /* longer than any task: dead letters get it without its text */
    tg_buf_cstr(&ret->body);      /* ends it with a zero byte */
    return found;
}

/* How often the entry was delivered. */
static tg_code count_deliveries(struct broker_redis *b, struct tg_delivery *d, struct tg_error *err)
{
    const char *const word[] = { "XPENDING", b->tasks, GROUP, d->id, d->id, "1", NULL };
    struct redisReply *reply;
    tg_code code = tg_redis_words(b->redis, word, &reply, err);

    if (code != TG_OK)
        return code;
    d->deliveries = (uint32_t)TG_MAX(tg_redis_i64(tg_redis_item(tg_redis_item(reply, 0), 3), 1),
                                     INT64_C(1));
    tg_redis_reply_free(reply);
    return TG_OK;
}

/* Takes over an entry whose worker has not been heard of for the visibility time. */
static tg_code claim(struct broker_redis *b, struct tg_delivery *ret, struct tg_error *err)
{
    char idle[32];
    const char *const word[] = { "XAUTOCLAIM", b->tasks, GROUP, b->who, idle, b->cursor, "COUNT",
                                 "1",          NULL };
    struct redisReply *reply;
    struct tg_redis_arg next;
    bool found;
    tg_code code;

    snprintf(idle, sizeof idle, "%" PRId64, b->visibility_ms);
    code = tg_redis_words(b->redis, word, &reply, err);
    if (code != TG_OK)
        return code;
    next = tg_redis_str(tg_redis_item(reply, 0));
    if (next.at && next.len < sizeof b->cursor) {
        memcpy(b->cursor, next.at, next.len);
        b->cursor[next.len] = 0;
    }
    found = read_entry(tg_redis_item(tg_redis_item(reply, 1), 0), ret);
    tg_redis_reply_free(reply);
    return found ? count_deliveries(b, ret, err) : TG_AGAIN;
}

static tg_code read_new(struct broker_redis *b, int64_t wait_ms, struct tg_delivery *ret,
                        struct tg_error *err)
{
    char wait[32];
    const char *const word[] = { "XREADGROUP", "GROUP", GROUP,     b->who,   "COUNT", "1",
                                 "BLOCK",      wait,    "STREAMS", b->tasks, ">",     NULL };
    const struct redisReply *entries;
    struct redisReply *reply;
    bool found;
    tg_code code;

    snprintf(wait, sizeof wait, "%" PRId64,
             TG_MIN(TG_MAX(wait_ms, INT64_C(1)), (int64_t)WAIT_MAX_MS));
    code = tg_redis_words(b->redis, word, &reply, err);
    if (code == TG_UNUSABLE && strstr(err->message, "NOGROUP"))
        b->group_made = false; /* somebody emptied the database: made again next time */
    if (code != TG_OK)
        return code;
    entries = tg_redis_item(tg_redis_item(reply, 0), 1);
    found = read_entry(tg_redis_item(entries, 0), ret);
    tg_redis_reply_free(reply);
    return found ? TG_OK : TG_AGAIN;
}

/* ---- ends ---- */

/* @return TG_CONFLICT: the entry is not ours any more */
static tg_code end_entry(struct broker_redis *b, const struct tg_delivery *d, const char *what,
                         const char *const *more, struct tg_error *err)
{
    const char *word[16] = { b->tasks, b->later, b->serial, b->dead, GROUP, b->who, d->id, what };
    size_t n = 8;
    struct redisReply *reply;
    tg_code code;
    bool ours;

    while (*more)
        word[n++] = *more++;
    if (strcmp(what, "ack") != 0)
        word[n++] = (const char *)d->body.data;
    word[n] = NULL;
    code = tg_redis_eval(b->redis, &script_end, 4, word, &reply, err);
    if (code != TG_OK)
        return code;
    ours = tg_redis_i64(reply, 0) == 1;
    tg_redis_reply_free(reply);
    return ours ? TG_OK : tg_fail(err, TG_CONFLICT, "task %s was given to another worker", d->id);
}

static tg_code redis_ack(void *self, const struct tg_delivery *d, struct tg_error *err)
{
    const char *const none[3] = { NULL };

    return end_entry(self, d, "ack", none, err);
}

static tg_code redis_retry(void *self, const struct tg_delivery *d, int64_t delay_ms, bool failed,
                           struct tg_error *err)
{
    char attempts[16], delay[32];
    const char *const more[3] = { attempts, delay, NULL };

    snprintf(attempts, sizeof attempts, "%" PRIu32, d->attempts + failed);
    snprintf(delay, sizeof delay, "%" PRId64, delay_ms);
    return end_entry(self, d, "retry", more, err);
}

static tg_code redis_give_back(void *self, const struct tg_delivery *d, struct tg_error *err)
{
    char attempts[16];
    const char *const more[3] = { attempts, NULL };

    snprintf(attempts, sizeof attempts, "%" PRIu32, d->attempts);
    return end_entry(self, d, "back", more, err);
}

static tg_code redis_bury(void *self, const struct tg_delivery *d, const char *reason,
                          struct tg_error *err)
{
    char attempts[16], deliveries[16];
    const char *const more[4] = { attempts, deliveries, reason, NULL };

    snprintf(attempts, sizeof attempts, "%" PRIu32, d->attempts);
    snprintf(deliveries, sizeof deliveries, "%" PRIu32, d->deliveries);
    return end_entry(self, d, "bury", more, err);
}

static tg_code redis_keep(void *self, const struct tg_delivery *d, struct tg_error *err)
{
    struct broker_redis *b = self;
    const char *const look[] = { "XPENDING", b->tasks, GROUP, d->id, d->id, "1", b->who, NULL };
    const char *const claim_again[] = { "XCLAIM", b->tasks, GROUP, b->who, "0", d->id, "JUSTID",
                                        NULL };
    struct redisReply *reply;
    tg_code code = tg_redis_words(b->redis, look, &reply, err);
    bool ours;

    if (code != TG_OK)
        return code;
    ours = tg_redis_len(reply) == 1;
    tg_redis_reply_free(reply);
    if (!ours)
        return tg_fail(err, TG_CONFLICT, "task %s was given to another worker", d->id);
    return tg_redis_words(b->redis, claim_again, NULL, err);
}

static tg_code redis_take(void *self, int64_t wait_ms, struct tg_delivery *ret,
                          struct tg_error *err)
{
    struct broker_redis *b = self;
    const char *const keys[] = { b->tasks, b->later, NULL };
    tg_code code = need_group(b, err);

    if (code == TG_OK)
        code = tg_redis_eval(b->redis, &script_due, 2, keys, NULL, err);
    if (code == TG_OK)
        code = claim(b, ret, err);
    if (code == TG_AGAIN)
        code = read_new(b, wait_ms, ret, err);
    if (code != TG_OK || ret->deliveries <= b->max_deliveries)
        return code;
    code = redis_bury(b, ret, "taken again and again without an end", err);
    return code == TG_OK || code == TG_CONFLICT ? TG_AGAIN : code;
}

static tg_code redis_depth(void *self, struct tg_broker_depth *ret, struct tg_error *err)
{
    struct broker_redis *b = self;
    const char *const word[] = { b->tasks, b->later, b->dead, GROUP, NULL };
    struct redisReply *reply;
    tg_code code = tg_redis_eval(b->redis, &script_depth, 3, word, &reply, err);

    if (code != TG_OK)
        return code;
    ret->taken_known = true;
    ret->waiting = (uint64_t)tg_redis_i64(tg_redis_item(reply, 0), 0);
    ret->taken = (uint64_t)tg_redis_i64(tg_redis_item(reply, 1), 0);
    ret->later = (uint64_t)tg_redis_i64(tg_redis_item(reply, 2), 0);
    ret->dead = (uint64_t)tg_redis_i64(tg_redis_item(reply, 3), 0);
    tg_redis_reply_free(reply);
    return TG_OK;
}

static int64_t redis_visibility_ms(const void *self)
{
    return ((const struct broker_redis *)self)->visibility_ms;
}

static const struct tg_option redis_option[] = {
    { .name = "queue",
      .type = TG_OPT_STR,
      .offset = offsetof(struct broker_redis, queue),
      .fallback = "tgdata",
      .value = "NAME",
      .help = "name of the queue" },
    { .name = "visibility",
      .type = TG_OPT_MS,
      .offset = offsetof(struct broker_redis, visibility_ms),
      .fallback = "60s",
      .min = 1000,
      .max = 86400000,
      .value = "TIME",
      .help = "a task whose worker was not heard of for so long goes to another" },
    { .name = "max-deliveries",
      .type = TG_OPT_I64,
      .offset = offsetof(struct broker_redis, max_deliveries),
      .fallback = "5",
      .min = 1,
      .max = 1000,
      .value = "N",
      .help = "a task that was taken so often without an end goes to the dead letters" },
    { 0 },
};

const struct tg_broker_ops tg_broker_redis = {
    .head = { "redis", "a Redis stream with a consumer group", redis_option,
              sizeof(struct broker_redis) },
    .open = redis_open,
    .close = redis_close,
    .put = redis_put,
    .take = redis_take,
    .keep = redis_keep,
    .ack = redis_ack,
    .retry = redis_retry,
    .give_back = redis_give_back,
    .bury = redis_bury,
    .depth = redis_depth,
    .visibility_ms = redis_visibility_ms,
};

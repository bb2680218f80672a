/* SPDX-License-Identifier: MIT */
/*
 * redis_ask.c - how state in Redis is asked for: scripts, failures, names, records; see redis.c
 */
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/text.h"
#include "os/loop.h"
#include "store/redis_impl.h"

/* A script that is sent a second time gets one more argument. */
static const char *const script_text[RS_SCRIPTS] = {
    /* KEYS documents. The newest record of each, or nothing */
    [RS_NEWEST] =
        "local out = {}\n"
        "for i, k in ipairs(KEYS) do\n"
        "  out[i] = redis.call('ZREVRANGE', k, 0, 0)[1] or ''\n"
        "end\n"
        "return out\n",
    /* KEYS document documents; ARGV expected fence record key. What stands, if it is refused */
    [RS_PUT] =
        "local now = redis.call('ZREVRANGE', KEYS[1], 0, 0)[1]\n"
        "if now and ARGV[5] and now == ARGV[3] then return '' end\n"
        "local head = now and string.sub(now, 1, 41) or\n"
        "  string.rep('0', 20) .. ' ' .. string.rep('0', 20)\n"
        "if string.sub(head, 1, 20) ~= ARGV[1] or string.sub(head, 22) > ARGV[2] then\n"
        "  return head .. ' 0 '\n"
        "end\n"
        "redis.call('ZADD', KEYS[1], 0, ARGV[3])\n"
        "redis.call('ZADD', KEYS[2], 0, ARGV[4])\n"
        "return ''\n",
    /* KEYS log last; ARGV record without its number. The number */
    [RS_APPEND] =
        "if ARGV[2] then\n"
        "  local now = redis.call('ZREVRANGE', KEYS[1], 0, 0)[1]\n"
        "  if now and string.sub(now, 21) == ARGV[1] then\n"
        "    return string.sub(now, 1, 20)\n"
        "  end\n"
        "end\n"
        "redis.call('INCR', KEYS[2])\n"
        "local n = redis.call('GET', KEYS[2])\n"
        "if string.sub(n, 1, 1) == '-' then return n end\n"
        "n = string.rep('0', 20 - #n) .. n\n"
        "redis.call('ZADD', KEYS[1], 0, n .. ARGV[1])\n"
        "return n\n",
    /* KEYS hash; ARGV field before after. Whether it was done */
    [RS_SWAP] =
        "local now = redis.call('HGET', KEYS[1], ARGV[1]) or ''\n"
        "if now ~= ARGV[2] and not (ARGV[4] and now == ARGV[3]) then return 0 end\n"
        "redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])\n"
        "return 1\n",
    /* KEYS last; ARGV number. Compared as text: of two, the longer one is greater */
    [RS_RAISE] =
        "local now = redis.call('GET', KEYS[1]) or '0'\n"
        "if #now < #ARGV[1] or (#now == #ARGV[1] and now < ARGV[1]) then\n"
        "  redis.call('SET', KEYS[1], ARGV[1])\n"
        "end\n"
        "return 1\n",
};

void tg_rs_set_scripts(struct store_redis *s)
{
    for (int i = 0; i < RS_SCRIPTS; i++)
        s->script[i].text = script_text[i];
}

/* ---- questions ---- */

/* What the server's refusals mean here, by a word in them. */
static tg_code told(struct store_redis *s, tg_code code, struct tg_error *err)
{
    static const struct {
        const char *word, *hint;
        tg_code code;
    } row[] = {
        { "READONLY", "this is a replica; name the server that it follows", TG_UNUSABLE },
        { "OOM ", "raise maxmemory: state is small, but it must have room", TG_UNUSABLE },
        { "WRONGTYPE", "another program uses this name; choose another prefix", TG_UNUSABLE },
        { "not an integer", "another program uses this name; choose another prefix", TG_UNUSABLE },
        { "DB index", "the number behind the '/' is too high for this server", TG_UNUSABLE },
        { "MISCONF", "the server cannot save; its log says why", TG_UNUSABLE },
        { "", "what was written is kept; start it again when the server can be reached", TG_STATE },
    };

    if (code != TG_NET && code != TG_UNUSABLE)
        return code;
    for (size_t i = 0; i < TG_COUNT(row); i++) {
        if (!strstr(err->message, row[i].word) || (code == TG_UNUSABLE && !*row[i].word))
            continue;
        err->code = row[i].code;
        if (i == 0) /* once it was none: the name may lead elsewhere by now */
            tg_redis_hang_up(s->db);
        return err->hint[0] ? err->code : tg_hint(err, "%s", row[i].hint);
    }
    return code;
}

void tg_rs_add_bytes(struct rs_question *q, const void *at, size_t len)
{
    assert(q->n < RS_ARGS_MAX);
    q->arg[q->n++] = (struct tg_redis_arg){ at, len };
}

void tg_rs_add(struct rs_question *q, const char *text)
{
    tg_rs_add_bytes(q, text, strlen(text));
}

static tg_code ask_once(struct store_redis *s, struct rs_question *q, struct redisReply **ret,
                        struct tg_error *err)
{
    if (q->script == RS_COMMAND)
        return tg_redis_call(s->db, q->arg, q->n, ret, err);
    return tg_redis_eval_args(s->db, &s->script[q->script], q->n_keys, q->arg, q->n, ret, err);
}

tg_code tg_rs_ask(struct store_redis *s, struct rs_question *q, struct redisReply **ret,
                  struct tg_error *err)
{
    bool connected = tg_redis_connected(s->db);
    int64_t start_us = tg_clock_mono_us();
    struct tg_error first;
    tg_code code = ask_once(s, q, ret, &first);

    if (code == TG_OK)
        return code;
    *err = first;
    if (code == TG_NET && connected && !tg_redis_connected(s->db) &&
        tg_clock_mono_us() - start_us < s->timeout_ms * TG_MS_US / 2) {
        if (q->script != RS_COMMAND)
            tg_rs_add(q, "again");
        code = ask_once(s, q, ret, err);
    }
    return told(s, code, err);
}

tg_code tg_rs_page(struct store_redis *s, const char *command, const char *name, const char *from,
                   const char *to, struct redisReply **ret, struct tg_error *err)
{
    struct rs_question q = { .script = RS_COMMAND };
    char count[16];

    snprintf(count, sizeof count, "%d", RS_PAGE);
    tg_rs_add(&q, command), tg_rs_add(&q, name), tg_rs_add(&q, from), tg_rs_add(&q, to);
    tg_rs_add(&q, "LIMIT"), tg_rs_add(&q, "0"), tg_rs_add(&q, count);
    return tg_rs_ask(s, &q, ret, err);
}

tg_code tg_rs_may_change(const struct store_redis *s, struct tg_error *err)
{
    return s->look ? tg_fail(err, TG_UNUSABLE, "the state was opened for reading") : TG_OK;
}

/* ---- names and records ---- */

/* A ':' in a kind is written as %3A, so that no two documents share a name. */
const char *tg_rs_name(const struct store_redis *s, const char *what, const char *kind,
                       const char *key, struct rs_name *out)
{
    size_t n = (size_t)snprintf(out->at, sizeof out->at, "{%s}:%s", s->prefix, what);

    if (kind)
        out->at[n++] = ':';
    for (; kind && *kind; kind++)
        n += (size_t)snprintf(out->at + n, sizeof out->at - n,
                              *kind == ':' || *kind == '%' ? "%%%02X" : "%c", *kind);
    if (key)
        n += (size_t)snprintf(out->at + n, sizeof out->at - n, ":%s", key);
    assert(n < sizeof out->at);
    out->at[n] = 0;
    return out->at;
}

const char *tg_rs_digits(uint64_t v, struct rs_digits *out)
{
    snprintf(out->at, sizeof out->at, "%020" PRIu64, v);
    return out->at;
}

/* Twenty digits and a blank. */
bool tg_rs_take_number(struct tg_redis_arg *from, uint64_t *ret)
{
    const char *at = from->at;
    uint64_t v = 0;

    if (!at || from->len < 21 || at[20] != ' ')
        return false;
    for (int i = 0; i < 20; i++) {
        if (at[i] < '0' || at[i] > '9' || __builtin_mul_overflow(v, 10, &v) ||
            __builtin_add_overflow(v, (uint64_t)(at[i] - '0'), &v))
            return false;
    }
    *from = (struct tg_redis_arg){ at + 21, from->len - 21 };
    *ret = v;
    return true;
}

/* A number of any length and a blank. */
bool tg_rs_take_time(struct tg_redis_arg *from, int64_t *ret)
{
    const char *blank = from->len ? memchr(from->at, ' ', from->len) : NULL;
    size_t n = blank ? (size_t)(blank - (const char *)from->at) : 0;
    char text[24];

    if (!n || n >= sizeof text)
        return false;
    memcpy(text, from->at, n);
    text[n] = 0;
    *from = (struct tg_redis_arg){ blank + 1, from->len - n - 1 };
    return tg_i64_parse(text, ret);
}

bool tg_rs_take_record(struct tg_redis_arg from, struct rs_record *ret)
{
    if (!tg_rs_take_number(&from, &ret->number) || !tg_rs_take_number(&from, &ret->fence) ||
        !tg_rs_take_time(&from, &ret->at_us))
        return false;
    ret->bytes = from.at;
    ret->len = from.len;
    return true;
}

bool tg_rs_take_lease(struct tg_redis_arg text, struct tg_lease *ret)
{
    struct tg_lease lease = { 0 };

    if (!text.at || memchr(text.at, 0, text.len) || !tg_rs_take_number(&text, &lease.token) ||
        !tg_rs_take_time(&text, &lease.expires_us) || text.len >= sizeof lease.owner)
        return false;
    memcpy(lease.owner, text.at, text.len);
    *ret = lease;
    return true;
}

tg_code tg_rs_corrupt(const struct store_redis *s, const char *what, const char *kind,
                      const char *key, struct tg_error *err)
{
    tg_fail(err, TG_CORRUPT, "Redis at %s: %s %s/%.160s cannot be read", tg_redis_name(s->db), what,
            kind, key);
    return tg_hint(err, "if another program uses the prefix '%s', choose another", s->prefix);
}

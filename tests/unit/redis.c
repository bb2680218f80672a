/* SPDX-License-Identifier: MIT */
/*
 * redis.c - the Redis client against real servers: login, scripts, subscriptions, a server that
 * goes and comes, one that says nothing, a cluster of two
 */
#include "tests/redis_rig.h"

#include "os/loop.h"
#include "os/queue.h"

static void good(tg_code code, const struct tg_error *err)
{
    if (code != TG_OK)
        fail_msg("%s", err->message);
}

static struct tg_redis *connection(const char *url)
{
    struct tg_error err;
    struct tg_redis *r = NULL;

    good(tg_redis_new(url, 2000, &r, &err), &err);
    return r;
}

static void urls(void **state)
{
    static const struct {
        const char *url;
        tg_code code;
        const char *name;
    } row[] = {
        { "redis://host", TG_OK, "host:6379" },
        { "redis://host:7000/", TG_OK, "host:7000" },
        { "redis://:p%40ss:w@127.0.0.1:1/15", TG_OK, "127.0.0.1:1" },
        { "redis://me:pass@[::1]:65535/0", TG_OK, "[::1]:65535" },
        { "redis://[::1]", TG_OK, "[::1]:6379" },
        { "rediss://host", TG_UNSUPPORTED, NULL },
        { "http://host", TG_USAGE, NULL },
        { "host:6379", TG_USAGE, NULL },
        { "", TG_USAGE, NULL },
        { "redis://", TG_USAGE, NULL },
        { "redis://host:", TG_USAGE, NULL },
        { "redis://host:0", TG_USAGE, NULL },
        { "redis://host:65536", TG_USAGE, NULL },
        { "redis://host:123456", TG_USAGE, NULL },
        { "redis://host:1x", TG_USAGE, NULL },
        { "redis://host/x", TG_USAGE, NULL },
        { "redis://host/-1", TG_USAGE, NULL },
        { "redis://user@host", TG_USAGE, NULL },
        { "redis://:p%4@host", TG_USAGE, NULL },
        { "redis://:p%zz@host", TG_USAGE, NULL },
        { "redis://:p%00@host", TG_USAGE, NULL },
        { "redis://[::1", TG_USAGE, NULL },
        { "redis://[::1]x", TG_USAGE, NULL },
    };

    (void)state;
    for (size_t i = 0; i < TG_COUNT(row); i++) {
        struct tg_redis *r = NULL;
        struct tg_error err = { .message = "" };

        if (tg_redis_new(row[i].url, 100, &r, &err) != row[i].code)
            fail_msg("'%s': %s", row[i].url, err.message);
        assert_int_equal(r != NULL, row[i].code == TG_OK);
        if (r)
            assert_string_equal(tg_redis_name(r), row[i].name);
        else
            assert_true(err.hint[0] && !strstr(err.message, "p%"));
        tg_redis_free(r);
    }
}

static void commands_and_scripts(void **state)
{
    static struct tg_redis_script script = {
        .text = "redis.call('SET', KEYS[1], ARGV[1]) return {KEYS[1], tonumber(ARGV[2]), 'x'}"
    };
    struct redis_rig g;
    struct tg_redis *r;
    struct redisReply *reply;
    struct tg_error err;

    (void)state;
    redis_start(&g, NULL);
    r = connection(g.url);
    for (int i = 0; i < 3; i++) { /* EVAL, then EVALSHA, then a server that forgot */
        good(tg_redis_eval(r, &script, 1, (const char *const[]){ "{k}1", "a b", "42", NULL },
                           &reply, &err), &err);
        assert_int_equal(tg_redis_len(reply), 3);
        assert_int_equal(tg_redis_i64(tg_redis_item(reply, 1), -1), 42);
        assert_memory_equal(tg_redis_str(tg_redis_item(reply, 0)).at, "{k}1", 4);
        assert_null(tg_redis_item(reply, 3));
        assert_null(tg_redis_str(tg_redis_item(reply, 1)).at);
        tg_redis_reply_free(reply);
        if (i == 1)
            good(tg_redis_words(r, (const char *const[]){ "SCRIPT", "FLUSH", NULL }, NULL, &err),
                 &err);
    }
    good(tg_redis_call(r, (struct tg_redis_arg[]){ { "SET", 3 }, { "b", 1 }, { "a\0b", 3 } }, 3,
                       NULL, &err), &err);
    good(tg_redis_words(r, (const char *const[]){ "GET", "b", NULL }, &reply, &err), &err);
    assert_int_equal(tg_redis_str(reply).len, 3);
    assert_memory_equal(tg_redis_str(reply).at, "a\0b", 3);
    assert_int_equal(tg_redis_i64(reply, -7), -7);
    tg_redis_reply_free(reply);
    good(tg_redis_words(r, (const char *const[]){ "GET", "none", NULL }, &reply, &err), &err);
    assert_null(tg_redis_str(reply).at);
    tg_redis_reply_free(reply);
    assert_int_equal(tg_redis_words(r, (const char *const[]){ "NONSENSE", NULL }, NULL, &err),
                     TG_UNUSABLE);
    assert_true(tg_redis_connected(r));
    tg_redis_free(r);
    redis_end(&g);
}

static void logins(void **state)
{
    static const struct {
        const char *before;
        tg_code code;
    } row[] = {
        { ":s3cr%40t", TG_OK }, { "default:s3cr%40t", TG_OK }, { ":wrong", TG_UNUSABLE },
        { "nobody:s3cr%40t", TG_UNUSABLE },
    };
    struct redis_rig g;
    struct tg_error err;
    char url[128];

    (void)state;
    redis_start(&g, "s3cr@t");
    for (size_t i = 0; i < TG_COUNT(row); i++) {
        struct tg_redis *r;

        snprintf(url, sizeof url, "redis://%s@127.0.0.1:%d/3", row[i].before, g.port);
        r = connection(url);
        assert_int_equal(tg_redis_connect(r, &err), row[i].code);
        assert_true(row[i].code == TG_OK || (err.hint[0] && !strstr(err.message, "s3cr")));
        tg_redis_free(r);
    }
    snprintf(url, sizeof url, "redis://127.0.0.1:%d", g.port);
    struct tg_redis *r = connection(url);

    assert_int_equal(tg_redis_words(r, (const char *const[]){ "GET", "x", NULL }, NULL, &err),
                     TG_UNUSABLE);
    assert_true(err.hint[0]);
    tg_redis_free(r);
    redis_end(&g);
}

/* @return whether PING is answered within that time */
static bool answers(struct tg_redis *r, int64_t within_us)
{
    int64_t end = tg_clock_mono_us() + within_us;
    struct tg_error err;

    do {
        if (tg_redis_words(r, (const char *const[]){ "PING", NULL }, NULL, &err) == TG_OK)
            return true;
        assert_int_equal(err.code, TG_NET);
        usleep(20000);
    } while (tg_clock_mono_us() < end);
    return false;
}

static void a_server_that_goes_and_comes(void **state)
{
    struct redis_rig g;
    struct tg_redis *r;
    int64_t begun;

    (void)state;
    redis_start(&g, NULL);
    r = connection(g.url);
    assert_true(answers(r, 0));
    redis_stop(&g);
    assert_false(answers(r, TG_SECOND_US / 2));
    assert_false(tg_redis_connected(r));
    redis_again(&g);
    assert_true(answers(r, 3 * TG_SECOND_US));
    /* one that says nothing costs no more than the time-out, and is left */
    kill(g.pid, SIGSTOP);
    begun = tg_clock_mono_us();
    assert_false(answers(r, 0));
    assert_in_range(tg_clock_mono_us() - begun, 1900000, 4000000);
    kill(g.pid, SIGCONT);
    assert_true(answers(r, 3 * TG_SECOND_US));
    tg_redis_free(r);
    redis_end(&g);
}

static void *hear(void *arg)
{
    struct tg_redis *r = arg;
    struct tg_error err;
    char *text;
    size_t n = 0;

    while (tg_redis_next(r, &text, &err) == TG_OK) {
        n++;
        free(text);
    }
    assert_int_equal(err.code, TG_CANCELLED);
    return (void *)n;
}

static void subscriptions(void **state)
{
    struct redis_rig g;
    struct tg_redis *r, *other;
    struct redisReply *reply;
    struct tg_error err;
    pthread_t thread;
    void *n;

    (void)state;
    redis_start(&g, NULL);
    r = connection(g.url);
    other = connection(g.url);
    good(tg_redis_subscribe(r, "news", &err), &err);
    good(tg_thread_start(&thread, "listen", hear, r, &err), &err);
    for (int i = 0; i < 20; i++) {
        good(tg_redis_words(other, (const char *const[]){ "PUBLISH", "news", "hear", NULL }, &reply,
                            &err), &err);
        assert_int_equal(tg_redis_i64(reply, 0), 1);
        tg_redis_reply_free(reply);
    }
    usleep(200000);
    tg_redis_interrupt(r);
    pthread_join(thread, &n);
    assert_int_equal((size_t)n, 20);
    assert_int_equal(tg_redis_connect(r, &err), TG_CANCELLED);
    tg_redis_free(r);
    tg_redis_free(other);
    redis_end(&g);
}

static void a_cluster(void **state)
{
    struct redis_rig g[2];
    struct tg_redis *r;
    struct redisReply *reply;
    struct tg_error err;

    (void)state;
    redis_start_cluster(g);
    for (int first = 0; first < 2; first++) {
        r = connection(g[first].url);
        for (int i = 0; i < 40; i++) { /* keys of both nodes */
            char key[16], value[16];

            snprintf(key, sizeof key, "{k%d}x", i);
            snprintf(value, sizeof value, "%d", i);
            good(tg_redis_words(r, (const char *const[]){ "SET", key, value, NULL }, NULL, &err),
                 &err);
            good(tg_redis_words(r, (const char *const[]){ "GET", key, NULL }, &reply, &err), &err);
            assert_int_equal(tg_redis_i64(reply, -1), i);
            tg_redis_reply_free(reply);
        }
        tg_redis_free(r);
    }
    redis_end(&g[0]);
    redis_end(&g[1]);
}

/* Another node takes the keys of one that is gone: the one of the URL tells which. */
static void a_node_that_is_gone(void **state)
{
    static const char *const get[] = { "GET", "{far}x", NULL };
    struct redis_rig g[2];
    struct redisReply *reply;
    struct tg_redis *r;
    struct tg_error err;
    char slot[16], id[48];
    int near;

    (void)state;
    redis_start_cluster(g);
    r = connection(g[0].url);
    good(tg_redis_words(r, (const char *const[]){ "CLUSTER", "KEYSLOT", "{far}x", NULL }, &reply,
                        &err), &err);
    near = tg_redis_i64(reply, 0) <= 8191; /* the node that has it not */
    snprintf(slot, sizeof slot, "%d", (int)tg_redis_i64(reply, 0));
    tg_redis_reply_free(reply);
    tg_redis_free(r);
    r = connection(g[near].url);
    good(tg_redis_words(r, (const char *const[]){ "CLUSTER", "MYID", NULL }, &reply, &err), &err);
    snprintf(id, sizeof id, "%.*s", (int)tg_redis_str(reply).len,
             (const char *)tg_redis_str(reply).at);
    tg_redis_reply_free(reply);
    good(tg_redis_words(r, get, NULL, &err), &err);
    assert_non_null(strstr(g[!near].url, tg_redis_name(r)));
    redis_stop(&g[!near]);
    redis_do(&g[near], (const char *const[]){ "CLUSTER", "SETSLOT", slot, "NODE", id, NULL });
    for (int i = 0; i < 20 && tg_redis_words(r, get, NULL, &err) != TG_OK; i++)
        usleep(50000);
    good(tg_redis_words(r, get, NULL, &err), &err);
    assert_non_null(strstr(g[near].url, tg_redis_name(r)));
    tg_redis_free(r);
    redis_end(&g[near]);
    redis_end(&g[!near]);
}

int main(void)
{
    const struct CMUnitTest test[] = {
        cmocka_unit_test(urls),
        cmocka_unit_test(commands_and_scripts),
        cmocka_unit_test(logins),
        cmocka_unit_test(a_server_that_goes_and_comes),
        cmocka_unit_test(subscriptions),
        cmocka_unit_test(a_cluster),
        cmocka_unit_test(a_node_that_is_gone),
    };

    if (!tg_redis_built_in())
        return 77; /* skipped */
    return cmocka_run_group_tests(test, NULL, NULL);
}

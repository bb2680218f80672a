/* SPDX-License-Identifier: MIT */
/*
 * share_script.c - the store's script in a real Redis gives the replies of the model that the
 * property tests run against, to thousands of asks drawn from a seed; and reads Redis's own clock
 */
#include "tests/redis_rig.h"
#include "tests/share_model.h"

enum { ARGS = 17, NAMES = 6, ASKS = 4000 };

static struct tg_redis_script script;

static uint64_t next(uint64_t *x)
{
    *x ^= *x << 13;
    *x ^= *x >> 7;
    return *x ^= *x << 17;
}

static int64_t pick(uint64_t *x, const int64_t *of, size_t n)
{
    return of[next(x) % n];
}
#define PICK(x, ...)                                                                               \
    pick(x, (const int64_t[]){ __VA_ARGS__ },                                                      \
         sizeof((const int64_t[]){ __VA_ARGS__ }) / sizeof(int64_t))

static struct tg_share_ask draw(uint64_t *x)
{
    struct tg_share_ask q = {
        .want_micro = PICK(x, -1, -1, -1, 0, 1, 1000000, 7300000, 25000000),
        .now_too = next(x) % 3 == 0,
        .returned_micro = PICK(x, 0, 0, 1, 900000, 5000000),
        .cap_milli = PICK(x, 0, 0, 0, 40000, 12345),
        .burst_micro = PICK(x, 2000000, 2000000, 20000000),
        .adaptive = next(x) % 8 != 0,
        .apart = PICK(x, 0, 0, 0, 0, 3),
        .flood_us = next(x) % 40 ? -1 : PICK(x, 0, 1000000, 3000000, 40000000),
        .gives_up = next(x) % 30 == 0,
    };

    if (next(x) % 5 == 0) {
        q.known_milli = PICK(x, 20000, 777);
        q.known_learned_milli = q.known_milli + 3;
    }
    if (next(x) % 5 == 0) {
        q.found_milli = PICK(x, 20000, 20400, 9000, 31000);
        q.found_learned_milli = q.found_milli + 9;
    }
    return q;
}

static void ask(struct tg_redis *r, int id, int64_t now, const struct tg_share_ask *q,
                struct tg_share_reply *ret)
{
    const int64_t number[] = { now, q->want_micro, q->now_too, q->returned_micro, q->cap_milli,
                               q->burst_micro, q->adaptive, q->known_milli, q->known_learned_milli,
                               q->apart, q->flood_us, q->found_milli, q->found_learned_milli,
                               q->gives_up };
    char text[TG_COUNT(number)][24], name[16];
    const char *word[ARGS + 2] = { "{1}x", name };
    struct redisReply *reply;
    struct tg_error err;

    snprintf(name, sizeof name, "w%d", id);
    for (size_t i = 0; i < TG_COUNT(number); i++) {
        snprintf(text[i], sizeof text[i], "%lld", (long long)number[i]);
        word[2 + i] = text[i];
    }
    word[ARGS - 1] = "news";
    word[ARGS] = "x 2";
    if (tg_redis_eval(r, &script, 1, word, &reply, &err) != TG_OK)
        fail_msg("%s", err.message);
    assert_int_equal(tg_redis_len(reply), 10);
    *ret = (struct tg_share_reply){
        .mode = (enum tg_share_mode)tg_redis_i64(tg_redis_item(reply, 0), -1),
        .offset_us = tg_redis_i64(tg_redis_item(reply, 1), -1),
        .once_micro = tg_redis_i64(tg_redis_item(reply, 2), -1),
        .rest_micro = tg_redis_i64(tg_redis_item(reply, 3), -1),
        .next_micro = tg_redis_i64(tg_redis_item(reply, 4), -1),
        .rate_milli = tg_redis_i64(tg_redis_item(reply, 5), -1),
        .learned_milli = tg_redis_i64(tg_redis_item(reply, 6), -1),
        .workers = tg_redis_i64(tg_redis_item(reply, 7), -1),
        .closed_us = tg_redis_i64(tg_redis_item(reply, 8), -1),
        .probing = tg_redis_i64(tg_redis_item(reply, 9), 0) == 1,
    };
    tg_redis_reply_free(reply);
}

static void check(uint64_t seed, int i, const char *what, int64_t model, int64_t redis)
{
    if (model != redis)
        fail_msg("seed %llu, ask %d: %s: %lld in the model, %lld in Redis",
                 (unsigned long long)seed, i, what, (long long)model, (long long)redis);
}

static void the_script_is_the_model(void **state)
{
    struct redis_rig g;
    struct tg_redis *r = NULL;
    struct tg_error err;
    int seen[4] = { 0 };

    (void)state;
    script.text = tg_share_script;
    redis_start(&g, NULL);
    assert_int_equal(tg_redis_new(g.url, 5000, &r, &err), TG_OK);
    for (uint64_t seed = 1; seed <= 5; seed++) {
        uint64_t x = seed * UINT64_C(0x9e3779b97f4a7c15);
        int64_t now = INT64_C(1790000000) * TG_SECOND_US;
        struct model m;

        model_init(&m);
        if (tg_redis_words(r, (const char *const[]){ "DEL", "{1}x", NULL }, NULL, &err) != TG_OK)
            fail_msg("%s", err.message);
        for (int i = 0; i < ASKS; i++) {
            struct tg_share_ask q = draw(&x);
            struct tg_share_reply a, b;
            int id = (int)(next(&x) % NAMES);

            now += (int64_t)(next(&x) % (i % 100 ? 300000 : 100000000));
            model_ask(&m, id, &q, now, &a);
            ask(r, id, now, &q, &b);
            check(seed, i, "mode", a.mode, b.mode);
            check(seed, i, "offset", a.offset_us, b.offset_us);
            check(seed, i, "once", a.once_micro, b.once_micro);
            check(seed, i, "rest", a.rest_micro, b.rest_micro);
            check(seed, i, "next", a.next_micro, b.next_micro);
            check(seed, i, "rate", a.rate_milli, b.rate_milli);
            check(seed, i, "learned", a.learned_milli, b.learned_milli);
            check(seed, i, "workers", a.workers, b.workers);
            check(seed, i, "closed", a.closed_us, b.closed_us);
            check(seed, i, "probing", a.probing, b.probing);
            seen[a.mode]++;
        }
    }
    for (int i = 0; i < 4; i++)
        assert_true(seen[i] > 100);
    print_message("free %d, shared %d, alone %d, wait %d\n", seen[0], seen[1], seen[2], seen[3]);
    tg_redis_free(r);
    redis_end(&g);
}

static void the_store_has_a_clock(void **state)
{
    struct tg_share_ask q = { .want_micro = TG_SHARE_ALL, .now_too = true, .cap_milli = 40000,
                              .burst_micro = 2000000, .flood_us = -1 };
    struct tg_share_reply a;
    struct redis_rig g;
    struct tg_redis *r = NULL;
    struct tg_error err;

    (void)state;
    script.text = tg_share_script;
    redis_start(&g, NULL);
    assert_int_equal(tg_redis_new(g.url, 5000, &r, &err), TG_OK);
    ask(r, 1, 0, &q, &a);
    assert_int_equal(a.mode, TG_SHARE_SHARED);
    assert_in_range(a.offset_us, 0, TG_SHARE_PERIOD_US - 1);
    assert_int_equal(a.next_micro, 40000000);
    tg_redis_free(r);
    redis_end(&g);
}

/* An account's keys are all at one node; its news is heard at any. */
static void a_cluster_is_one_store(void **state)
{
    struct tg_share_ask q = { .want_micro = TG_SHARE_ALL, .cap_milli = 40000,
                              .burst_micro = 2000000, .adaptive = true, .flood_us = 3000000 };
    struct tg_redis *r[2] = { NULL }, *news = NULL;
    struct tg_share_reply a;
    struct redis_rig g[2];
    struct tg_error err;
    char *text;

    (void)state;
    script.text = tg_share_script;
    redis_start_cluster(g);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(tg_redis_new(g[i].url, 5000, &news, &err), TG_OK);
        assert_int_equal(tg_redis_subscribe(news, "news", &err), TG_OK);
        for (int k = 0; k < 2; k++) {
            assert_int_equal(tg_redis_new(g[k].url, 5000, &r[k], &err), TG_OK);
            ask(r[k], k, 0, &q, &a);
            assert_int_equal(tg_redis_next(news, &text, &err), TG_OK);
            assert_string_equal(text, "x 2 3000000");
            free(text);
            tg_redis_free(r[k]);
        }
        tg_redis_free(news);
    }
    assert_int_equal(a.workers, 2); /* both came to the same node */
    redis_end(&g[0]);
    redis_end(&g[1]);
}

int main(void)
{
    const struct CMUnitTest test[] = {
        cmocka_unit_test(the_script_is_the_model),
        cmocka_unit_test(the_store_has_a_clock),
        cmocka_unit_test(a_cluster_is_one_store),
    };

    if (!tg_redis_built_in())
        return 77; /* skipped */
    return cmocka_run_group_tests(test, NULL, NULL);
}

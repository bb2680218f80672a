/* SPDX-License-Identifier: MIT */
/*
 * peers.c - the peer cache: full over min, usernames that move, and its bound
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "telegram/peers.h"

static struct tg_peer user(int64_t id, const char *name, const char *username)
{
    return (struct tg_peer){ .id = id, .access_hash = id * 10, .kind = TG_PEER_USER, .name = name,
                             .username = username };
}

static void put(struct tg_peers *p, struct tg_peer peer)
{
    assert_true(tg_peers_put(p, &peer));
}

static int64_t id_of(const struct tg_peers *p, const char *username)
{
    const struct tg_peer *peer = tg_peers_by_username(p, tg_str_of(username));

    return peer ? peer->id : 0;
}

static void test_put_and_get(void **state)
{
    struct tg_peers p;
    char name[] = "Ada";

    (void)state;
    tg_peers_init(&p);
    assert_null(tg_peers_get(&p, 1));
    assert_int_equal(tg_peers_count(&p), 0);
    put(&p, user(1, name, "ada"));
    name[0] = 'X'; /* texts were copied */
    assert_string_equal(tg_peers_get(&p, 1)->name, "Ada");
    assert_int_equal(tg_peers_get(&p, 1)->access_hash, 10);
    put(&p, user(-5, NULL, NULL));
    assert_string_equal(tg_peers_get(&p, -5)->name, "");
    assert_null(tg_peers_get(&p, -5)->username);
    assert_int_equal(tg_peers_at(&p, 0)->id, 1);
    assert_int_equal(tg_peers_at(&p, 1)->id, -5);
    tg_peers_done(&p);
    tg_peers_done(&p);
}

static void test_min_never_replaces_full(void **state)
{
    struct tg_peers p;
    struct tg_peer min = user(1, "passing", NULL), bare = user(1, "Ada L", "ada");

    (void)state;
    tg_peers_init(&p);
    min.min = true;
    min.access_hash = 99;
    put(&p, min);
    assert_true(tg_peers_get(&p, 1)->min);
    put(&p, user(1, "Ada", "ada"));
    assert_false(tg_peers_get(&p, 1)->min);
    put(&p, min);
    assert_string_equal(tg_peers_get(&p, 1)->name, "Ada");
    assert_int_equal(tg_peers_get(&p, 1)->access_hash, 10);
    bare.access_hash = 0;
    put(&p, bare);
    assert_string_equal(tg_peers_get(&p, 1)->name, "Ada L");
    assert_int_equal(tg_peers_get(&p, 1)->access_hash, 10);
    tg_peers_done(&p);
}

static void test_usernames(void **state)
{
    struct tg_peers p;

    (void)state;
    tg_peers_init(&p);
    put(&p, user(1, "Ada", "Lovelace"));
    assert_int_equal(id_of(&p, "lovelace"), 1);
    assert_int_equal(id_of(&p, "LOVELACE"), 1);
    assert_int_equal(id_of(&p, "lovelac"), 0);
    assert_int_equal(id_of(&p, ""), 0);
    put(&p, user(1, "Ada", "byron"));
    assert_int_equal(id_of(&p, "lovelace"), 0);
    assert_int_equal(id_of(&p, "byron"), 1);
    put(&p, user(2, "Eve", "Byron")); /* the name has moved to another */
    assert_int_equal(id_of(&p, "byron"), 2);
    assert_null(tg_peers_get(&p, 1)->username);
    put(&p, user(1, "Ada", "lovelace"));
    assert_int_equal(id_of(&p, "lovelace"), 1);
    put(&p, user(2, "Eve", NULL));
    assert_int_equal(id_of(&p, "byron"), 0);
    tg_peers_done(&p);
}

/* A slot that is left over from an earlier time must not hide who has the name now. */
static void test_a_name_that_comes_back(void **state)
{
    struct tg_peers p;

    (void)state;
    for (int way = 0; way < 2; way++) {
        tg_peers_init(&p);
        put(&p, user(1, "A", "name"));
        put(&p, user(1, "A", way ? NULL : "other")); /* leaves it, or has another */
        put(&p, user(2, "B", "name"));
        assert_int_equal(id_of(&p, "name"), 2);
        put(&p, user(1, "A", "name"));
        assert_int_equal(id_of(&p, "name"), 1);
        assert_null(tg_peers_get(&p, 2)->username);
        put(&p, user(2, "B", "NAME"));
        assert_int_equal(id_of(&p, "name"), 2);
        assert_null(tg_peers_get(&p, 1)->username);
        tg_peers_done(&p);
    }
}

static void test_many_renames_keep_the_table_small(void **state)
{
    struct tg_peers p;
    char name[32];

    (void)state;
    tg_peers_init(&p);
    for (int i = 0; i < 20000; i++) {
        snprintf(name, sizeof name, "name%d", i);
        put(&p, user(1 + i % 50, "x", name));
        assert_int_equal(id_of(&p, name), 1 + i % 50);
    }
    assert_int_equal(id_of(&p, "name19900"), 0);
    assert_int_equal(id_of(&p, "name19950"), 1);
    assert_int_equal(tg_peers_count(&p), 50);
    tg_peers_done(&p);
}

static void test_the_least_recently_seen_go_first(void **state)
{
    struct tg_peers p;

    (void)state;
    tg_peers_init(&p);
    for (int64_t id = 1; id <= TG_PEERS_MAX; id++)
        put(&p, user(id, "", NULL));
    put(&p, user(1, "", "first"));
    put(&p, user(TG_PEERS_MAX + 1, "", "last"));
    assert_true(tg_peers_count(&p) <= TG_PEERS_MAX);
    assert_non_null(tg_peers_get(&p, 1)); /* oldest, but seen again */
    assert_null(tg_peers_get(&p, 2));
    assert_non_null(tg_peers_get(&p, TG_PEERS_MAX));
    assert_int_equal(tg_peers_at(&p, 0)->id, 1);
    assert_int_equal(tg_peers_at(&p, tg_peers_count(&p) - 1)->id, TG_PEERS_MAX + 1);
    assert_int_equal(id_of(&p, "first"), 1);
    assert_int_equal(id_of(&p, "last"), TG_PEERS_MAX + 1);
    tg_peers_done(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_put_and_get),
        cmocka_unit_test(test_min_never_replaces_full),
        cmocka_unit_test(test_usernames),
        cmocka_unit_test(test_a_name_that_comes_back),
        cmocka_unit_test(test_many_renames_keep_the_table_small),
        cmocka_unit_test(test_the_least_recently_seen_go_first),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

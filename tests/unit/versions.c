/* SPDX-License-Identifier: MIT */
/* A version is found by its signature, the two newest of a message stay, through the store too. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <setjmp.h>
#include <unistd.h>
#include <cmocka.h>

#include "etl/versions.h"

static int64_t clock_us(void)
{
    return 1;
}

struct fixture {
    char dir[64], url[96];
    struct tg_store store;
    struct tg_versions *v;
    struct tg_batch *b;
};

static void open_versions(struct fixture *f)
{
    f->v = tg_versions_new(&(struct tg_versions_options){ &f->store, "job", 1, clock_us });
    assert_non_null(f->v);
}

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    struct tg_error err;

    snprintf(f->dir, sizeof f->dir, "/tmp/tgdata-versions-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    snprintf(f->url, sizeof f->url, "sqlite:%s/state.db", f->dir);
    assert_int_equal(tg_store_open(f->url, &f->store, &err), TG_OK);
    f->b = tg_batch_new(10);
    open_versions(f);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    char path[96];

    tg_versions_free(f->v);
    tg_batch_free(f->b);
    tg_store_close(&f->store);
    for (int i = 0; i < 3; i++) {
        static const char *const end[] = { "", "-wal", "-shm" };

        snprintf(path, sizeof path, "%s/state.db%s", f->dir, end[i]);
        unlink(path);
    }
    rmdir(f->dir);
    free(f);
    return 0;
}

static struct tg_signature signature(int64_t id, uint64_t content)
{
    return (struct tg_signature){ .id = id, .edit_date = (int64_t)content * 7, .content = content };
}

static void put(struct fixture *f, int64_t id, uint64_t content)
{
    struct tg_signature is = signature(id, content);
    struct tg_row *row;
    struct tg_error err;
    char text[40];
    int len = snprintf(text, sizeof text, "text %llu", (unsigned long long)content);

    tg_batch_clear(f->b);
    row = tg_batch_row(f->b);
    TG_ROW_SET(row, chat_id, -100);
    TG_ROW_SET(row, id, id);
    TG_ROW_SET(row, text, tg_batch_text(f->b, text, (size_t)len));
    TG_ROW_SET(row, change, TG_STR("edited"));
    TG_ROW_SET(row, change_seq, 5);
    assert_int_equal(tg_versions_put(f->v, -100, &is, row, &err), TG_OK);
}

static void check(struct fixture *f, int64_t id, uint64_t content, bool there)
{
    struct tg_signature is = signature(id, content);
    struct tg_str json;
    struct tg_error err;
    char expected[120];

    assert_int_equal(tg_versions_get(f->v, -100, &is, &json, &err), TG_OK);
    if (!there) {
        assert_int_equal(json.len, 0);
        return;
    }
    snprintf(expected, sizeof expected, "{\"chat_id\":-100,\"id\":%lld,\"text\":\"text %llu\"}",
             (long long)id, (unsigned long long)content);
    assert_int_equal(json.len, strlen(expected));
    assert_memory_equal(json.at, expected, json.len);
}

static void the_two_newest_stay(void **state)
{
    struct fixture *f = *state;
    struct tg_error err;

    for (uint64_t content = 1; content <= 4; content++)
        put(f, 7, content);
    put(f, 7, 3); /* it is as it was: the newest again */
    put(f, 8, 1);
    check(f, 7, 1, false);
    check(f, 7, 2, false);
    check(f, 7, 3, true);
    check(f, 7, 4, true);
    check(f, 8, 1, true);
    check(f, 9, 1, false);
    put(f, 7, 5);
    check(f, 7, 4, false);
    assert_int_equal(tg_versions_flush(f->v, &err), TG_OK);
    tg_versions_free(f->v);
    open_versions(f);
    check(f, 7, 3, true);
    check(f, 7, 5, true);
    check(f, 8, 1, true);
}

/* More documents than stay in memory, in any order. */
static void many_pages(void **state)
{
    struct fixture *f = *state;
    struct tg_error err;

    for (int64_t i = 0; i < 3000; i++) {
        put(f, 1 + i * 7919 % 3000 * 128, (uint64_t)i + 1);
        if (i % 100 == 99)
            assert_int_equal(tg_versions_flush(f->v, &err), TG_OK);
    }
    for (int64_t i = 0; i < 3000; i++)
        check(f, 1 + i * 7919 % 3000 * 128, (uint64_t)i + 1, true);
}

static void damage_is_nothing_kept(void **state)
{
    struct fixture *f = *state;
    struct tg_doc stamp = { .fence = 1 };
    struct tg_error err;

    put(f, 7, 1);
    assert_int_equal(tg_versions_flush(f->v, &err), TG_OK);
    assert_int_equal(f->store.ops->put(f->store.self, "version", "job/-100/0", 1, &stamp,
                                       "no document", 11, &err), TG_OK);
    tg_versions_free(f->v);
    open_versions(f);
    check(f, 7, 1, false);
    put(f, 7, 2);
    assert_int_equal(tg_versions_flush(f->v, &err), TG_OK);
    check(f, 7, 2, true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_two_newest_stay, set_up, tear_down),
        cmocka_unit_test_setup_teardown(many_pages, set_up, tear_down),
        cmocka_unit_test_setup_teardown(damage_is_nothing_kept, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

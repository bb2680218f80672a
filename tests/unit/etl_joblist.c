/* SPDX-License-Identifier: MIT */
/*
 * etl_joblist.c - the chats that a job was asked for: added once, kept in order, in many entries
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "etl/joblist.h"
#include "tests/unit/etl_kit.h"

struct expect {
    int64_t next, n;
    bool odd;
};

/* Chats are -1, -2, ... with a title that tells the same. */
static bool in_order(void *ctx, const struct tg_job_chat *chat)
{
    struct expect *e = ctx;

    e->n++;
    e->odd |= chat->id != e->next || strtoll(chat->title, NULL, 10) != e->next;
    e->next--;
    return true;
}

static struct tg_job_chat *make(size_t n, char (*title)[64])
{
    struct tg_job_chat *chat = calloc(n, sizeof *chat);

    assert_non_null(chat);
    for (size_t i = 0; i < n; i++) {
        snprintf(title[i], sizeof title[i], "%lld \"\\\" \xf0\x9f\x8e\xb6 and then some text",
                 -(long long)i - 1);
        chat[i] = (struct tg_job_chat){ .id = -(int64_t)i - 1, .title = title[i] };
    }
    return chat;
}

static void check(struct kit *k, const char *job, int64_t n)
{
    struct expect e = { .next = -1 };

    assert_int_equal(tg_joblist_read(&k->store, job, in_order, &e, &k->err), TG_OK);
    assert_false(e.odd);
    assert_int_equal(e.n, n);
}

static bool count_entry(void *ctx, const struct tg_log_entry *entry)
{
    size_t *n = ctx;

    assert_true(entry->len < 1 << 20);
    ++*n;
    return true;
}

static void chats_are_added_once_and_kept_in_order(void **state)
{
    enum { N = 20000 };
    static char title[N][64];
    static const size_t upto[] = { 0, 1, 1, 3, 2, 9000, N, N };
    struct tg_job_chat *chat = make(N, title);
    size_t most = 0, n_entries = 0;
    struct kit k;

    (void)state;
    kit_start(&k, 100, 100);
    for (size_t i = 0; i < TG_COUNT(upto); i++) {
        assert_int_equal(
            tg_joblist_add(&k.store, "job", chat, upto[i], kit_unix_us(), &k.err), TG_OK);
        most = TG_MAX(most, upto[i]);
        check(&k, "job", (int64_t)most);
        kit_close(&k); /* it is on disk */
        kit_open(&k);
        check(&k, "job", (int64_t)most);
    }
    assert_int_equal(k.store.ops->read(k.store.self, "job", "job", 1, count_entry, &n_entries,
                                       &k.err), TG_OK);
    assert_true(n_entries > 4 && n_entries < 12); /* no entry where nothing was new */
    check(&k, "other", 0);
    free(chat);
    kit_end(&k);
}

static void damage_is_told(void **state)
{
    static const char *const bad[] = { "", "{", "[]", "{\"chats\":7}", "{\"chats\":[7]}",
                                       "{\"chats\":[{\"id\":\"x\",\"title\":\"\"}]}",
                                       "{\"chats\":[{\"id\":5}]}" };
    char title[1][64];
    struct tg_job_chat *chat = make(1, title);

    (void)state;
    for (size_t i = 0; i < TG_COUNT(bad); i++) {
        struct expect e = { .next = -1 };
        struct kit k;

        kit_start(&k, 100, 100);
        assert_int_equal(k.store.ops->append(k.store.self, "job", "job", 1, bad[i],
                                             strlen(bad[i]), NULL, &k.err), TG_OK);
        assert_int_equal(tg_joblist_read(&k.store, "job", in_order, &e, &k.err), TG_CORRUPT);
        assert_int_equal(tg_joblist_add(&k.store, "job", chat, 1, 1, &k.err), TG_CORRUPT);
        assert_non_null(strstr(k.err.message, "'job'"));
        kit_end(&k);
    }
    free(chat);
}

/* The list is durable before a chat is taken up, and a job that is another's is left alone. */
static void the_pipeline_writes_the_list_first(void **state)
{
    char title[3][64];
    struct tg_job_chat *chat = make(3, title);
    struct tg_commit there;
    struct kit k;

    (void)state;
    kit_start(&k, 100, 100);
    kit_run(&k);
    assert_int_equal(tg_pipeline_list(k.pipeline, chat, 3, &k.err), TG_OK);
    assert_int_equal(kit_chat(&k, CHAT, &there), TG_OK);
    check(&k, "job", 3);
    assert_int_equal(kit_finish(&k), TG_OK);
    check(&k, "job", 3);
    free(chat);
    kit_end(&k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chats_are_added_once_and_kept_in_order),
        cmocka_unit_test(damage_is_told),
        cmocka_unit_test(the_pipeline_writes_the_list_first),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

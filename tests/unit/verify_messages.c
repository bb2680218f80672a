/* SPDX-License-Identifier: MIT */
/*
 * verify_messages.c - of several rows of a message the last counts, however many there are; which
 * rows tell the same message
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "etl/verify_messages.h"
#include "tests/seeds.h"

enum { CHATS = 3, IDS = 500, ROWS_MAX = 20000, SEEDS = 100 };

static void the_last_counts(void **state)
{
    static uint64_t last[CHATS][IDS + 1];

    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct random r = { seed };
        struct verify_messages m = { 0 };
        size_t n = below(&r, ROWS_MAX), n_there = 0;

        memset(last, 0, sizeof last);
        for (size_t i = 1; i <= n; i++) {
            struct verify_message row = { .content = i, .chat = below(&r, CHATS),
                                          .id = 1 + (int32_t)below(&r, IDS) };

            n_there += !last[row.chat][row.id];
            last[row.chat][row.id] = i;
            assert_true(verify_messages_put(&m, &row));
            if (chance(&r, 1))
                verify_messages_settle(&m);
        }
        verify_messages_settle(&m);
        if (m.n != n_there)
            fail_msg("seed %llu: %zu messages, not %zu", (unsigned long long)seed, m.n, n_there);
        for (uint32_t chat = 0; chat < CHATS; chat++) {
            for (int32_t id = 1; id <= IDS; id++) {
                const struct verify_message *found = verify_messages_find(&m, chat, id);

                if ((found ? found->content : 0) != last[chat][id])
                    fail_msg("seed %llu: chat %u, id %d", (unsigned long long)seed, chat, id);
            }
        }
        assert_null(verify_messages_find(&m, 0, INT64_C(1) << 32));
        assert_null(verify_messages_find(&m, CHATS, 1));
        verify_messages_done(&m);
    }
}

static void a_log_takes_room_for_its_messages(void **state)
{
    struct verify_messages m = { 0 };

    (void)state;
    for (int32_t i = 0; i < 1000000; i++)
        assert_true(verify_messages_put(&m, &(struct verify_message){ .id = 1 + i % 1000 }));
    assert_true(m.cap <= 4096);
    verify_messages_done(&m);
}

static struct verify_message of(const char *hash, int64_t edit_date, const char *reactions)
{
    struct tg_row row = { 0 };
    struct verify_message m;

    TG_ROW_SET(&row, id, 7);
    if (hash)
        TG_ROW_SET(&row, content_hash, tg_str_of(hash));
    if (edit_date)
        TG_ROW_SET(&row, edit_date, edit_date);
    if (reactions)
        TG_ROW_SET(&row, reactions, tg_str_of(reactions));
    assert_true(verify_message_of(&row, 1, &m));
    return m;
}

static void which_are_the_same(void **state)
{
    const char *a = "0123456789abcdef0123456789abcdef", *b = "1123456789abcdef0123456789abcdef";
    const char *two = "[{\"reaction\":\"a\",\"count\":2},{\"reaction\":\"b\",\"count\":1}]";
    const struct {
        struct verify_message x, y;
        bool same;
    } row[] = {
        { of(a, 0, NULL), of(a, 0, NULL), true },
        { of(a, 0, NULL), of(b, 0, NULL), false },
        { of(a, 0, NULL), of(NULL, 0, NULL), true }, /* nobody can tell */
        { of(a, 5, NULL), of(a, 0, NULL), false },
        { of(a, 0, two), of(a, 0, NULL), false },
        { of(a, 0, "[]"), of(a, 0, NULL), true },
        { of(a, 0, two),
          of(a, 0, "[ {\"count\": 1, \"reaction\": \"b\"}, {\"count\": 2, \"reaction\": \"a\"} ]"),
          true },
        { of(a, 0, two), of(a, 0, "[{\"reaction\":\"a\",\"count\":1}]"), false },
        { of(a, 0, two),
          of(a, 0, "[{\"reaction\":\"a\",\"count\":1},{\"reaction\":\"b\",\"count\":2}]"), false },
        { of(a, 0, "[{\"reaction\":null,\"count\":1}]"), of(a, 0, NULL), false },
    };
    struct verify_message gone = of(a, 0, NULL), there = gone;

    (void)state;
    for (size_t i = 0; i < TG_COUNT(row); i++)
        if (verify_message_same(&row[i].x, &row[i].y) != row[i].same)
            fail_msg("row %zu", i);
    gone.gone = true;
    assert_false(verify_message_same(&gone, &there));
    assert_false(verify_message_same(NULL, &there));
    assert_true(verify_message_same(NULL, &gone));
    assert_true(verify_message_same(NULL, NULL));
}

static void deletions_and_what_has_no_id(void **state)
{
    struct tg_row row = { 0 };
    struct verify_message m;

    (void)state;
    assert_false(verify_message_of(&row, 0, &m));
    TG_ROW_SET(&row, id, INT64_C(1) << 31);
    assert_false(verify_message_of(&row, 0, &m));
    TG_ROW_SET(&row, id, 9);
    TG_ROW_SET(&row, change, TG_STR("edited"));
    assert_true(verify_message_of(&row, 3, &m));
    assert_false(m.gone);
    TG_ROW_SET(&row, change, TG_STR("deleted"));
    assert_true(verify_message_of(&row, 3, &m));
    assert_true(m.gone && m.id == 9 && m.chat == 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_last_counts),
        cmocka_unit_test(a_log_takes_room_for_its_messages),
        cmocka_unit_test(which_are_the_same),
        cmocka_unit_test(deletions_and_what_has_no_id),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

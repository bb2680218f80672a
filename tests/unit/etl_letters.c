/* SPDX-License-Identifier: MIT */
/*
 * etl_letters.c - dead letters: kept, counted
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/unit/etl_kit.h"

/* ---- counting ---- */

static void a_letter_counts_once_however_often_its_commit_is_tried(void **state)
{
    struct tg_batch *b = tg_batch_new(2);
    struct tg_letters letters;
    struct tg_letter_box box = { &letters, "ndjson:out", NULL };
    struct kit k;

    (void)state;
    kit_start(&k, 100, 100);
    test_rows(b, CHAT, 1, 2);
    for (int run = 0; run < 2; run++) { /* the second refuses what the first, killed, had kept */
        tg_letters_init(&letters, &k.store, "job", kit_unix_us);
        letters.chat_id = CHAT;
        for (int try = 0; try < 3; try++)
            for (size_t i = 0; i < 2; i++)
                assert_int_equal(tg_letter_keep(&box, &b->row[i], "no", &k.err), TG_OK);
        assert_int_equal(letters.n, 2);
        tg_letters_done(&letters);
        atomic_fetch_add(&kit_clock_us, TG_SECOND_US);
    }
    tg_batch_free(b);
    kit_end(&k);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_letter_counts_once_however_often_its_commit_is_tried),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

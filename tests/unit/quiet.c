/* SPDX-License-Identifier: MIT */
/*
 * quiet.c - what floods teach about the hours of the day, and batches by what can be read
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "flow/quiet.h"

enum { HOUR_MS = 3600000, DAY_MS = 24 * HOUR_MS };

static void quiet_hours(void **state)
{
    struct tg_quiet q = { 0 };
    const int64_t day = INT64_C(20000) * DAY_MS;

    (void)state;
    assert_int_equal(tg_quiet_requests(&q, 0, day, HOUR_MS), -1);
    assert_int_equal(tg_quiet_batch(-1), 0);
    for (int d = 0; d < 20; d++) { /* busy from 9 to 17 */
        for (int h = 0; h < 24; h++) {
            int64_t from = day + d * (int64_t)DAY_MS + h * (int64_t)HOUR_MS;

            tg_quiet_note(&q, from, from + HOUR_MS, h >= 9 && h < 17 ? HOUR_MS / 2 : 0, 3600);
        }
    }
    assert_in_range(q.permille[12], 480, 500);
    assert_int_equal(q.permille[3], 0);
    assert_int_equal(tg_quiet_best(&q, day + 10 * HOUR_MS, day + 14 * HOUR_MS),
                     day + 10 * HOUR_MS);
    assert_int_equal(tg_quiet_best(&q, day + 15 * HOUR_MS + 7, day + 19 * HOUR_MS),
                     day + 17 * HOUR_MS);
    assert_int_equal(tg_quiet_best(&q, day + 3 * HOUR_MS + 5, day + 9 * HOUR_MS),
                     day + 3 * HOUR_MS + 5);
    /* 10 a second for an hour; half of it in a busy one */
    assert_int_equal(tg_quiet_requests(&q, 10000, day, HOUR_MS), 36000);
    assert_in_range(tg_quiet_requests(&q, 10000, day + 12 * (int64_t)HOUR_MS, HOUR_MS), 18000,
                    18720);
    assert_int_equal(tg_quiet_batch(0), TG_QUIET_BATCH_MIN);
    assert_int_equal(tg_quiet_batch(200), 1000);
    assert_int_equal(tg_quiet_batch(1000000), TG_QUIET_BATCH_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(quiet_hours),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

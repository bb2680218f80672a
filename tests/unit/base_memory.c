/* SPDX-License-Identifier: MIT */
/*
 * base_memory.c - buffer and arena: caps, sticky failure, alignment, what is kept
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>

#include "base/arena.h"
#include "base/buf.h"

static void a_buffer_never_passes_its_cap(void **state)
{
    struct tg_buf b;

    (void)state;
    tg_buf_init(&b, 10);
    tg_buf_add(&b, "12345678", 8);
    tg_buf_u32(&b, 1);
    assert_true(b.failed);
    assert_int_equal(b.len, 8);
    tg_buf_byte(&b, 'x'); /* would fit, but the failure is sticky */
    assert_int_equal(b.len, 8);
    assert_string_equal(tg_buf_cstr(&b), "");
    tg_buf_clear(&b);
    assert_false(b.failed);
    tg_buf_add(&b, "1234567890", 10);
    assert_false(b.failed);
    assert_null(tg_buf_extend(&b, SIZE_MAX));
    assert_true(b.failed);
    tg_buf_done(&b);
    tg_buf_done(&b);
}

static void a_buffer_is_filled_and_shifted(void **state)
{
    struct tg_buf b;

    (void)state;
    tg_buf_init(&b, 1000);
    tg_buf_u32(&b, 0x04030201);
    tg_buf_u64(&b, UINT64_C(0x0c0b0a0908070605));
    for (size_t i = 0; i < 12; i++)
        assert_int_equal(b.data[i], i + 1);
    tg_buf_shift(&b, 12);
    assert_int_equal(b.len, 0);
    tg_buf_i64_text(&b, INT64_MIN);
    tg_buf_byte(&b, ' ');
    tg_buf_i64_text(&b, 0);
    tg_buf_printf(&b, " %s-%d", "x", 7);
    tg_buf_str(&b, "!");
    tg_buf_add(&b, NULL, 0);
    assert_string_equal(tg_buf_cstr(&b), "-9223372036854775808 0 x-7!");
    tg_buf_shift(&b, 21);
    assert_string_equal(tg_buf_cstr(&b), "0 x-7!");
    for (int i = 0; i < 900; i++)
        tg_buf_byte(&b, 'y');
    assert_int_equal(b.len, 906);
    tg_buf_wipe(&b);
    assert_null(b.data);
    tg_buf_add(&b, "again", 5);
    assert_string_equal(tg_buf_cstr(&b), "again");
    tg_buf_done(&b);
}

/* Around each power of ten, where the number of digits changes, on both sides of zero. */
static void integers_are_written_as_printf_does(void **state)
{
    struct tg_buf b;
    char want[24];

    (void)state;
    tg_buf_init(&b, 1000);
    for (uint64_t power = 1, i = 0; i < 20; i++, power *= 10) {
        for (int k = -2; k < 12; k++) {
            uint64_t v = k < 3 ? power + (uint64_t)k : power / 10 * (uint64_t)k;

            tg_buf_clear(&b);
            tg_buf_i64_text(&b, (int64_t)v);
            snprintf(want, sizeof want, "%lld", (long long)v);
            assert_string_equal(tg_buf_cstr(&b), want);
            tg_buf_clear(&b);
            tg_buf_i64_text(&b, -(int64_t)(v / 2));
            snprintf(want, sizeof want, "%lld", -(long long)(v / 2));
            assert_string_equal(tg_buf_cstr(&b), want);
        }
    }
    tg_buf_done(&b);
}

static void an_arena_gives_zeroed_aligned_memory(void **state)
{
    struct tg_arena a;
    uint8_t *odd, *p;

    (void)state;
    tg_arena_init(&a, 1 << 20);
    assert_non_null(tg_arena_alloc(&a, 0, 8)); /* nothing is something too */
    for (int round = 0; round < 3; round++) {
        for (size_t n = 1; n < 200; n++) {
            odd = tg_arena_bytes(&a, n);
            assert_non_null(odd);
            memset(odd, 0xff, n);
            p = tg_arena_alloc(&a, n, 3);
            assert_non_null(p);
            assert_int_equal((uintptr_t)p % 8, 0);
            for (size_t i = 0; i < 3 * n; i++)
                assert_int_equal(p[i], 0);
            memset(p, 0xff, 3 * n);
        }
        tg_arena_clear(&a);
    }
    assert_string_equal(tg_arena_copy(&a, "text", 2), "te");
    assert_string_equal(tg_arena_copy(&a, NULL, 0), "");
    tg_arena_done(&a);
    tg_arena_done(&a);
}

static void an_arena_never_passes_its_cap(void **state)
{
    struct tg_arena a;

    (void)state;
    tg_arena_init(&a, 100000);
    assert_null(tg_arena_alloc(&a, SIZE_MAX / 2, 3));
    assert_null(tg_arena_alloc(&a, 1, SIZE_MAX));
    assert_null(tg_arena_bytes(&a, SIZE_MAX));
    assert_null(tg_arena_copy(&a, "", SIZE_MAX));
    assert_null(tg_arena_alloc(&a, 1, 100001));
    for (int i = 0; i < 100000; i++)
        if (!tg_arena_alloc(&a, 1, 40))
            break;
    assert_true(tg_arena_held(&a) <= 100000);
    tg_arena_clear(&a); /* the newest block was cut short by the cap; a larger one is kept */
    assert_true(tg_arena_held(&a) >= 100000 / 3);
    assert_non_null(tg_arena_alloc(&a, 1, 30000));
    tg_arena_done(&a);
}

static void a_cleared_arena_asks_for_no_more(void **state)
{
    struct tg_arena a;
    size_t held;

    (void)state;
    tg_arena_init(&a, 1 << 20);
    for (int i = 0; i < 1000; i++)
        assert_non_null(tg_arena_alloc(&a, 1, 100));
    tg_arena_clear(&a);
    held = tg_arena_held(&a);
    for (int round = 0; round < 10; round++) {
        for (size_t n = 0; n + 104 <= held; n += 104)
            assert_non_null(tg_arena_alloc(&a, 1, 100));
        assert_int_equal(tg_arena_held(&a), held);
        tg_arena_clear(&a);
    }
    tg_arena_done(&a);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_buffer_never_passes_its_cap),
        cmocka_unit_test(a_buffer_is_filled_and_shifted),
        cmocka_unit_test(integers_are_written_as_printf_does),
        cmocka_unit_test(an_arena_gives_zeroed_aligned_memory),
        cmocka_unit_test(an_arena_never_passes_its_cap),
        cmocka_unit_test(a_cleared_arena_asks_for_no_more),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

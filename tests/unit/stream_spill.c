/* SPDX-License-Identifier: MIT */
/* Batches that are put aside come back as they were, in order, within the bound. */
#include "etl/stream_spill.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <setjmp.h>
#include <cmocka.h>

static void fill(struct tg_batch *b, uint64_t seq, size_t n)
{
    tg_batch_clear(b);
    for (size_t i = 0; i < n; i++) {
        struct tg_row *row = tg_batch_row(b);
        char text[64];
        int len = snprintf(text, sizeof text, "text %zu of batch %llu", i, (unsigned long long)seq);

        TG_ROW_SET(row, chat_id, -100);
        TG_ROW_SET(row, id, (int64_t)(seq * 1000 + i));
        TG_ROW_SET(row, text, tg_batch_text(b, text, (size_t)len));
        TG_ROW_SET(row, change_seq, (int64_t)(seq * 1000 + i));
    }
    b->note = tg_batch_text(b, &seq, sizeof seq);
    b->seq = seq;
    b->cursor = (struct tg_cursor){ 0, TG_SEGMENT_CHANGES, (int64_t)(seq * 1000 + n), 0 };
    b->covered_from = (int64_t)seq;
}

static void check(const struct tg_batch *b, uint64_t seq, size_t n)
{
    uint64_t note;

    assert_int_equal(b->seq, seq);
    assert_int_equal(b->n, n);
    assert_int_equal(b->cursor.id, seq * 1000 + n);
    assert_int_equal(b->cursor.segment, TG_SEGMENT_CHANGES);
    assert_int_equal(b->covered_from, seq);
    assert_int_equal(b->note.len, sizeof note);
    memcpy(&note, b->note.at, sizeof note);
    assert_int_equal(note, seq);
    for (size_t i = 0; i < n; i++) {
        char text[64];
        int len = snprintf(text, sizeof text, "text %zu of batch %llu", i, (unsigned long long)seq);

        assert_int_equal(b->row[i].id, seq * 1000 + i);
        assert_int_equal(b->row[i].text.len, len);
        assert_memory_equal(b->row[i].text.at, text, (size_t)len);
    }
}

static void comes_back_in_order(void **state)
{
    struct tg_batch *b = tg_batch_new(200), *back = tg_batch_new(200);
    uint64_t added = 0, taken = 0;
    struct tg_spill s;
    struct tg_error err;

    (void)state;
    tg_spill_init(&s, 1 << 20);
    /* faster in than out, then the other way round: segments fill, end and are used again */
    for (int round = 0; round < 400; round++) {
        int in = round < 200 ? 3 : 1, out = round < 200 ? 1 : 3;

        for (; in; in--) {
            fill(b, added + 1, (added + 1) % 150);
            added += tg_spill_add(&s, b);
        }
        for (; out && taken < added; out--) {
            tg_batch_clear(back);
            assert_int_equal(tg_spill_take(&s, back, &err), TG_OK);
            taken++;
            check(back, taken, taken % 150);
        }
    }
    while (taken < added) {
        tg_batch_clear(back);
        assert_int_equal(tg_spill_take(&s, back, &err), TG_OK);
        taken++;
        check(back, taken, taken % 150);
    }
    assert_true(added > 300);
    assert_int_equal(s.n_batches, 0);
    assert_int_equal(tg_spill_take(&s, back, &err), TG_END);
    tg_spill_done(&s);
    tg_batch_free(b);
    tg_batch_free(back);
}

static void keeps_its_bound(void **state)
{
    struct tg_batch *b = tg_batch_new(200);
    uint64_t bytes = 0;
    struct tg_spill s;
    size_t n = 0;

    (void)state;
    tg_spill_init(&s, 256 << 10);
    for (fill(b, 1, 150); tg_spill_add(&s, b); n++)
        fill(b, n + 2, 150);
    for (size_t i = 0; i < TG_SPILL_SEGMENTS; i++)
        bytes += s.segment[i].fd >= 0 ? s.segment[i].size : 0;
    assert_true(n > 8);
    assert_true(bytes <= 256 << 10);
    tg_spill_done(&s);
    tg_spill_init(&s, 0);
    assert_false(tg_spill_add(&s, b));
    tg_spill_done(&s);
    tg_batch_free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(comes_back_in_order),
        cmocka_unit_test(keeps_its_bound),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
/*
 * sink_staged.c - rows that wait for their commit: packed and read back, in memory and in a file
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/row_pack.h"
#include "sink/staged.h"
#include "tests/unit/sink_rows.h"

static uint64_t next(uint64_t *x)
{
    *x = *x * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return *x >> 31;
}

/* A row with any of the fields, and any values in them. */
static void draw_row(uint64_t *x, struct tg_row *row, char *text, size_t text_max)
{
    memset(row, 0, sizeof *row);
    for (int i = 0; i < TG_FIELD_COUNT; i++) {
        void *value = (char *)row + tg_row_offset[i];
        enum tg_field_type type = tg_field((enum tg_field_id)i)->type;

        if (next(x) % 3 == 0)
            continue;
        row->present |= UINT64_C(1) << i;
        if (type != TG_FIELD_STR && type != TG_FIELD_JSON)
            *(int64_t *)value = (int64_t)(next(x) << 33 ^ next(x)) >> next(x) % 64;
        else
            *(struct tg_str *)value =
                (struct tg_str){ text, (uint32_t)(next(x) % (next(x) % 8 ? 60 : text_max)) };
    }
}

static void same_row(const struct tg_row *a, const struct tg_row *b)
{
    struct tg_buf one, two;

    tg_buf_init(&one, 1 << 20);
    tg_buf_init(&two, 1 << 20);
    tg_row_json(a, &one);
    tg_row_json(b, &two);
    assert_int_equal(a->present, b->present);
    assert_int_equal(one.len, two.len);
    assert_memory_equal(one.data, two.data, one.len);
    tg_buf_done(&one);
    tg_buf_done(&two);
}

static void rows_come_back_as_they_were(void **state)
{
    static char text[2000];
    struct tg_row row, got;
    struct tg_buf bytes;
    size_t size;

    (void)state;
    memset(text, 'x', sizeof text);
    tg_buf_init(&bytes, 1 << 20);
    for (uint64_t seed = 1; seed <= 2000; seed++) {
        uint64_t x = seed;

        tg_buf_clear(&bytes);
        draw_row(&x, &row, text, sizeof text);
        tg_row_pack(&row, &bytes);
        assert_false(bytes.failed);
        assert_true(tg_row_unpack(bytes.data, bytes.len, &got, &size));
        assert_int_equal(size, bytes.len);
        same_row(&row, &got);
        assert_true(tg_row_unpack(bytes.data, bytes.len - 1, &got, &size));
        assert_int_equal(size, bytes.len); /* it goes on behind what is there */
        /* damaged anywhere: no byte outside is read, and what comes out can be written */
        for (int i = 0; i < 20; i++) {
            uint8_t *at = &bytes.data[next(&x) % bytes.len], was = *at;

            *at ^= (uint8_t)(1 + next(&x) % 255);
            if (tg_row_unpack(bytes.data, bytes.len, &got, &size) && size == bytes.len)
                same_row(&got, &got);
            *at = was;
        }
    }
    tg_buf_done(&bytes);
}

struct seen {
    int64_t chat_id, next_id;
};

static tg_code see(void *ctx, const struct tg_row *row, struct tg_error *err)
{
    struct seen *seen = ctx;

    (void)err;
    assert_int_equal(row->chat_id, seen->chat_id);
    assert_int_equal(row->id, seen->next_id);
    seen->next_id++;
    return TG_OK;
}

static void holds(struct tg_staged *s, int64_t chat_id, int64_t n)
{
    struct seen seen = { chat_id, 1 };
    struct tg_error err;

    assert_int_equal(tg_staged_each(s, see, &seen, &err), TG_OK);
    assert_int_equal(seen.next_id, n + 1);
    assert_int_equal(s->n, n);
}

static void what_is_too_much_goes_to_a_file_and_back(void **state)
{
    enum { ROWS = 6000 };
    struct tg_staged_room room = { .most = 100000 };
    struct tg_batch *batch = tg_batch_new(1);
    struct tg_staged a, b;
    struct tg_error err;

    (void)state;
    tg_staged_init(&a, &room);
    tg_staged_init(&b, &room);
    for (int again = 0; again < 2; again++) {
        for (int64_t id = 1; id <= ROWS; id++) {
            test_rows(batch, 7, id, 1);
            assert_int_equal(tg_staged_add(&a, batch->row, &err), TG_OK);
            test_rows(batch, 8, id, 1);
            if (id % 4 == 0) {
                batch->row->id = id / 4;
                assert_int_equal(tg_staged_add(&b, batch->row, &err), TG_OK);
            }
        }
        assert_true(a.file.size > 0);
        assert_true(room.held <= room.most + 64 * 1024);
        holds(&a, 7, ROWS);
        holds(&b, 8, ROWS / 4);
        tg_staged_clear(&a);
        holds(&a, 7, 0);
        holds(&b, 8, ROWS / 4);
        tg_staged_clear(&b);
        assert_int_equal(room.held, 0);
    }
    tg_staged_done(&a);
    tg_staged_done(&b);
    tg_batch_free(batch);
}

/* Wherever the mark was, in memory or in the file. */
static void what_was_added_behind_a_mark_is_cut(void **state)
{
    struct tg_staged_room room = { .most = 100000 };
    struct tg_batch *batch = tg_batch_new(1);
    struct tg_staged_mark mark = { 0, 0 };
    struct tg_staged s;
    struct tg_error err;

    (void)state;
    tg_staged_init(&s, &room);
    for (int64_t kept = 0; kept <= 4000; kept += 100) {
        holds(&s, 7, kept);
        for (int64_t id = kept + 1; id <= kept + 1500; id++) {
            test_rows(batch, 7, id, 1);
            assert_int_equal(tg_staged_add(&s, batch->row, &err), TG_OK);
            if (id == kept + 100)
                mark = tg_staged_mark(&s);
        }
        holds(&s, 7, kept + 1500);
        tg_staged_cut(&s, mark);
        assert_int_equal(room.held, s.rows.len);
    }
    assert_true(s.file.size > 0);
    tg_staged_done(&s);
    assert_int_equal(room.held, 0);
    tg_batch_free(batch);
}

struct records {
    const struct tg_staged *s;
    uint64_t n, moved;
};

/* Record i is of i % 300 bytes i. */
static tg_code see_record(void *ctx, const uint8_t *record, size_t len, bool stays,
                          struct tg_error *err)
{
    struct records *seen = ctx;
    const struct tg_buf *rows = &seen->s->rows;

    (void)err;
    assert_int_equal(len, seen->n % 300);
    for (size_t i = 0; i < len; i++)
        assert_int_equal(record[i], (uint8_t)seen->n);
    assert_int_equal(stays, record >= rows->data && record <= rows->data + rows->len);
    seen->moved += !stays;
    seen->n++;
    return TG_OK;
}

static void records_of_another_form(void **state)
{
    enum { RECORDS = 5000 };
    struct tg_staged_room room = { .most = 200000 };
    const struct tg_row row = { .id = 1 };
    struct tg_staged s;
    struct records seen = { .s = &s };
    struct tg_error err;
    struct tg_buf *out;

    (void)state;
    tg_staged_init(&s, &room);
    for (int i = 0; i < RECORDS; i++) {
        uint8_t *at;

        out = tg_staged_begin(&s);
        at = tg_buf_extend(out, (size_t)i % 300);
        assert_non_null(at);
        memset(at, (uint8_t)i, (size_t)i % 300);
        assert_int_equal(tg_staged_end(&s, &row, &err), TG_OK);
    }
    out = tg_staged_begin(&s);
    out->failed = true; /* as when no memory is left: that one is dropped, no other */
    assert_int_equal(tg_staged_end(&s, &row, &err), TG_LIMIT);
    assert_int_equal(tg_staged_records(&s, see_record, &seen, &err), TG_OK);
    assert_int_equal(seen.n, RECORDS);
    assert_int_equal(s.n, RECORDS);
    assert_true(seen.moved > 0 && seen.moved < RECORDS);
    tg_staged_done(&s);
    assert_int_equal(room.held, 0);
}

static void a_directory_that_takes_no_file_is_told(void **state)
{
    struct tg_staged_room room = { .most = 1 };
    struct tg_batch *batch = tg_batch_new(1);
    struct tg_error err = { 0 };
    struct tg_staged s;
    tg_code code = TG_OK;

    (void)state;
    assert_int_equal(setenv("TMPDIR", "/nonexistent/tmp", 1), 0);
    tg_staged_init(&s, &room);
    for (int64_t id = 1; code == TG_OK && id < 5000; id++) {
        test_rows(batch, 7, id, 1);
        code = tg_staged_add(&s, batch->row, &err);
    }
    assert_int_equal(code, TG_IO);
    assert_non_null(strstr(err.message, "/nonexistent/tmp"));
    assert_non_null(strstr(err.hint, "TMPDIR"));
    assert_int_equal(unsetenv("TMPDIR"), 0);
    tg_staged_done(&s);
    tg_batch_free(batch);
}

int main(void)
{
    const struct CMUnitTest test[] = {
        cmocka_unit_test(rows_come_back_as_they_were),
        cmocka_unit_test(what_is_too_much_goes_to_a_file_and_back),
        cmocka_unit_test(what_was_added_behind_a_mark_is_cut),
        cmocka_unit_test(records_of_another_form),
        cmocka_unit_test(a_directory_that_takes_no_file_is_told),
    };

    return cmocka_run_group_tests_name("unit/sink_staged", test, NULL, NULL);
}

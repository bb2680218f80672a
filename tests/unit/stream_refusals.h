/* SPDX-License-Identifier: MIT */
/*
 * stream_refusals.h - what a stream must do whose destination can refuse rows for good, besides
 * stream_contract.h
 *
 * The destination takes messages of up to 1 MiB; the test program puts STREAM_CONTRACT_REFUSALS
 * into its list of tests.
 */
#ifndef TG_TEST_STREAM_REFUSALS_H
#define TG_TEST_STREAM_REFUSALS_H

#include "tests/unit/stream_contract.h"

enum { BIG = 1500000 };

static inline tg_code stream_refuse(void *ctx, const struct tg_row *row, const char *why,
                                    struct tg_error *err)
{
    struct stream *s = ctx;

    (void)err;
    assert_int_equal(row->id, 3);
    assert_int_equal(row->text.len, BIG);
    s->refused++;
    snprintf(s->why, sizeof s->why, "%s", why);
    return TG_OK;
}

/* Row 3 of 5 is larger than the destination takes. */
static inline void stream_write_big(struct stream *s)
{
    char *big = malloc(BIG);

    memset(big, 'x', BIG);
    test_rows(s->batch, CHAT, 1, 5);
    TG_ROW_SET(&s->batch->row[2], text, tg_batch_text(s->batch, big, BIG));
    free(big);
    assert_int_equal(stream_write_from(s, 0, 5), TG_OK);
}

static inline void stream_count(void *ctx, const char *key, const char *body, size_t len)
{
    (void)key, (void)len;
    *(unsigned *)ctx |= 1u << (strstr(body, "\"id\":")[5] - '0');
}

static void a_row_that_is_too_large_is_handed_over(void **state)
{
    unsigned ids = 0;
    struct stream s;

    (void)state;
    stream_start(&s);
    s.env.refuse = stream_refuse;
    s.env.ctx = &s;
    stream_write_big(&s);
    stream_committed(&s, &s.last, CHAT, 5);
    assert_true(s.refused >= 1);
    assert_true(s.why[0] && !strchr(s.why, '\n'));
    harness.drain(stream_count, &ids);
    assert_int_equal(ids, 1u << 1 | 1u << 2 | 1u << 4 | 1u << 5);
    stream_end(&s);
}

static void it_fails_where_nobody_keeps_such_a_row(void **state)
{
    struct stream s;

    (void)state;
    stream_start(&s);
    stream_write_big(&s);
    assert_int_equal(stream_commit(&s, &s.last, CHAT, 5), TG_DATA);
    assert_non_null(strstr(s.err.message, "message 3 of chat -1009"));
    assert_true(s.err.hint[0] != 0);
    stream_end(&s);
}

#define STREAM_CONTRACT_REFUSALS                                                                   \
    cmocka_unit_test(a_row_that_is_too_large_is_handed_over),                                      \
        cmocka_unit_test(it_fails_where_nobody_keeps_such_a_row)

#endif

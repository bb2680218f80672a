/* SPDX-License-Identifier: MIT */
/*
 * sink_refusals.h - what a sink must do whose destination can refuse rows for good, besides
 * sink_contract.h
 *
 * The test program defines refuse_rows, and puts SINK_CONTRACT_REFUSALS into its list of tests.
 */
#ifndef TG_TEST_SINK_REFUSALS_H
#define TG_TEST_SINK_REFUSALS_H

#include "tests/unit/sink_contract.h"

/** Makes the destination, which was attached, refuse rows with ids from..to for good. */
static void refuse_rows(int64_t from, int64_t to);

struct contract_refused {
    int64_t id[256];
    size_t n;
    tg_code code; /* that keeping one ends with */
};

static inline tg_code contract_refuse(void *ctx, const struct tg_row *row, const char *why,
                                      struct tg_error *err)
{
    struct contract_refused *refused = ctx;

    assert_non_null(why);
    assert_true(*why && !strchr(why, '\n'));
    assert_true(refused->n < TG_COUNT(refused->id));
    assert_true(row->text.len > 0);
    refused->id[refused->n++] = row->id;
    return refused->code == TG_OK ? TG_OK : tg_fail(err, refused->code, "cannot be kept");
}

static inline void contract_start_refusing(struct contract *c, struct contract_refused *refused)
{
    struct tg_commit got;

    contract_start(c);
    c->env.refuse = contract_refuse;
    c->env.ctx = refused;
    assert_int_equal(contract_attach(c, CHAT, &got), TG_END);
}

/* Rows 1..n are offered as the commit behind `last`. @return what became of it */
static inline tg_code contract_offer(struct contract *c, struct tg_commit *last, int64_t n)
{
    struct tg_commit next = test_commit(last, CHAT, n, (uint64_t)n);
    tg_code code;

    for (int64_t id = 1; id <= n; id += 50)
        contract_write(c, CHAT, id, (size_t)TG_MIN(n - id + 1, INT64_C(50)));
    code = c->sink.ops->commit(c->sink.self, &next, &c->err);
    if (code == TG_OK)
        *last = next;
    return code;
}

static void a_refused_row_is_handed_over_and_the_rest_committed(void **state)
{
    struct contract_commits seen = { .n = 0 };
    struct contract_refused refused = { .n = 0 };
    struct tg_commit last = { 0 }, got;
    struct test_seen rows = { .chat_id = CHAT, .next_id = 1 };
    struct contract c;

    (void)state;
    contract_start_refusing(&c, &refused);
    refuse_rows(30, 31);
    assert_int_equal(contract_offer(&c, &last, 120), TG_OK);
    assert_int_equal(refused.n, 2);
    assert_true(refused.id[0] == 30 && refused.id[1] == 31);
    contract_reopen(&c);
    assert_int_equal(contract_attach(&c, CHAT, &got), TG_OK);
    assert_true(test_same_commit(&got, &last));
    assert_int_equal(got.refused, 2);
    contract_commit(&c, CHAT, &last, 5); /* the count goes on */
    contract_commits(&c, CHAT, &seen);
    assert_true(seen.n == 2 && seen.at[0].refused == 2 && seen.at[1].refused == 2);
    assert_int_equal(c.sink.ops->scan(c.sink.self, CHAT, test_seen, &rows, &c.err), TG_OK);
    assert_int_equal(rows.next_id - 1, 123);
    contract_end(&c);
}

static void a_row_that_nobody_keeps_fails_its_commit(void **state)
{
    (void)state;
    for (int kept = 0; kept < 2; kept++) {
        struct contract_refused refused = { .code = TG_STATE };
        struct tg_commit last = { 0 }, got;
        struct contract c;

        contract_start_refusing(&c, &refused);
        if (!kept)
            c.env.refuse = NULL;
        contract_commit(&c, CHAT, &last, 4);
        refuse_rows(7, 7);
        contract_write(&c, CHAT, 5, 20);
        got = test_commit(&last, CHAT, 24, 20);
        assert_int_equal(c.sink.ops->commit(c.sink.self, &got, &c.err), kept ? TG_STATE : TG_DATA);
        assert_int_equal(contract_attach(&c, CHAT, &got), TG_OK);
        assert_true(test_same_commit(&got, &last));
        contract_scan(&c, CHAT, 4);
        contract_end(&c);
    }
}

/* A commit fails for a while; its rows are held, and are not given again. */
static void what_waits_is_held_until_it_can_be_committed(void **state)
{
    struct contract_refused refused = { .code = TG_STATE };
    struct tg_commit last = { 0 }, next, got = { 0 };
    struct contract c;

    (void)state;
    contract_start_refusing(&c, &refused);
    contract_commit(&c, CHAT, &last, 4);
    refuse_rows(7, 7);
    contract_write(&c, CHAT, 5, 15);
    contract_write(&c, CHAT, 20, 5);
    next = test_commit(&last, CHAT, 24, 20);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(c.sink.ops->commit(c.sink.self, &next, &c.err), TG_STATE);
        assert_int_equal(c.sink.ops->again(c.sink.self, CHAT, &test_fence, &got, &c.err), TG_OK);
        assert_true(test_same_commit(&got, &last));
    }
    refused.code = TG_OK;
    assert_int_equal(c.sink.ops->commit(c.sink.self, &next, &c.err), TG_OK);
    assert_int_equal(refused.n, 4);
    contract_commit(&c, CHAT, &next, 6);
    contract_reopen(&c);
    assert_int_equal(contract_attach(&c, CHAT, &got), TG_OK);
    assert_true(got.rows_total == 30 && got.refused == 1);
    contract_end(&c);
}

static void what_refuses_most_rows_is_set_up_wrongly(void **state)
{
    struct contract_refused refused = { .n = 0 };
    struct tg_commit last = { 0 }, got;
    struct contract c;

    (void)state;
    contract_start_refusing(&c, &refused);
    refuse_rows(1, 150);
    assert_int_equal(contract_offer(&c, &last, 160), TG_DATA);
    assert_true(c.err.hint[0] != 0);
    assert_int_equal(contract_attach(&c, CHAT, &got), TG_END);
    contract_scan(&c, CHAT, 0);
    contract_end(&c);
}

#define SINK_CONTRACT_REFUSALS                                                                     \
    cmocka_unit_test(a_refused_row_is_handed_over_and_the_rest_committed),                         \
        cmocka_unit_test(a_row_that_nobody_keeps_fails_its_commit),                                \
        cmocka_unit_test(what_waits_is_held_until_it_can_be_committed),                            \
        cmocka_unit_test(what_refuses_most_rows_is_set_up_wrongly)

#endif

/* SPDX-License-Identifier: MIT */
/*
 * sim_faults.c - the grammar of fault specs, and when faults happen
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "sim/faults.h"

static void parse(const char *spec, struct sim_faults *f)
{
    struct tg_error err = { .message = "" };

    if (sim_faults_parse(spec, 7, f, &err) != TG_OK)
        fail_msg("'%s': %s", spec, err.message);
}

static size_t hits(struct sim_faults *f, enum sim_fault fault, size_t chances)
{
    size_t n = 0;

    for (size_t i = 0; i < chances; i++)
        n += sim_faults_hit(f, fault);
    return n;
}

static void nothing_but_short_pages_happens_by_default(void **state)
{
    struct sim_faults f;

    (void)state;
    parse(NULL, &f);
    for (int i = 0; i < SIM_FAULT_COUNT; i++) {
        size_t n = hits(&f, (enum sim_fault)i, 10000);

        if (i == SIM_FAULT_SHORT)
            assert_in_range(n, 60, 140);
        else
            assert_int_equal(n, 0);
    }
}

static void probabilities_are_kept(void **state)
{
    struct sim_faults f;

    (void)state;
    parse("drop=0.25,500=1,short=0", &f);
    assert_in_range(hits(&f, SIM_FAULT_DROP, 10000), 2200, 2800);
    assert_int_equal(hits(&f, SIM_FAULT_RPC500, 100), 100);
    assert_int_equal(hits(&f, SIM_FAULT_SHORT, 10000), 0);
}

static void every_nth_and_the_nth(void **state)
{
    struct sim_faults f;

    (void)state;
    parse("dup@3,reset#5", &f);
    for (int i = 1; i <= 30; i++) {
        assert_int_equal(sim_faults_hit(&f, SIM_FAULT_DUP), i % 3 == 0);
        assert_int_equal(sim_faults_hit(&f, SIM_FAULT_RESET), i == 5);
    }
}

static void a_seed_repeats_and_terms_do_not_move_each_other(void **state)
{
    struct sim_faults a, b;

    (void)state;
    parse("drop=0.5", &a);
    parse("slow=0.5,drop=0.5", &b);
    for (int i = 0; i < 200; i++) {
        bool hit = sim_faults_hit(&a, SIM_FAULT_DROP);

        sim_faults_hit(&b, SIM_FAULT_SLOW);
        assert_int_equal(hit, sim_faults_hit(&b, SIM_FAULT_DROP));
    }
}

static bool is_meant(const struct sim_faults *f, const char *method, int64_t chat, int dc)
{
    return sim_faults_meant(f, &(struct sim_fault_target){ method, chat, dc });
}

/* Of what is named, all must fit. */
static void faults_keep_to_their_targets(void **state)
{
    struct sim_faults f;

    (void)state;
    parse("500=1,chat=-1000000000007,chat=12,dc=2,only=messages.getHistory", &f);
    assert_true(is_meant(&f, "messages.getHistory", 12, 2));
    assert_true(is_meant(&f, "messages.getHistory", -1000000000007, 2));
    assert_false(is_meant(&f, "messages.getHistory", 13, 2));
    assert_false(is_meant(&f, "messages.getHistory", 0, 2));
    assert_false(is_meant(&f, "messages.getHistory", 12, 1));
    assert_false(is_meant(&f, "users.getUsers", 12, 2));
}

static void settings_are_read(void **state)
{
    struct sim_faults f;

    (void)state;
    parse("clock=-40,slow-ms=7,takeout-delay=3,unknown-message=12,unknown-message=13,"
          "unknown-user=5,unknown-chat=6,only=messages.getHistory,most=2,drop=1",
          &f);
    assert_int_equal(f.clock_s, -40);
    assert_int_equal(f.slow_ms, 7);
    assert_int_equal(f.takeout_delay_s, 3);
    assert_true(sim_faults_unknown(&f, SIM_UNKNOWN_MESSAGE, 12));
    assert_true(sim_faults_unknown(&f, SIM_UNKNOWN_MESSAGE, 13));
    assert_false(sim_faults_unknown(&f, SIM_UNKNOWN_MESSAGE, 5));
    assert_true(sim_faults_unknown(&f, SIM_UNKNOWN_USER, 5));
    assert_true(sim_faults_unknown(&f, SIM_UNKNOWN_CHAT, 6));
    assert_true(is_meant(&f, "messages.getHistory", 0, 1));
    assert_false(is_meant(&f, "messages.search", 0, 1));
    assert_int_equal(hits(&f, SIM_FAULT_DROP, 100), 2);
}

static void wrong_specs_are_refused(void **state)
{
    static const char *const wrong[] = {
        "nonsense=1", "drop",        "drop=",      "drop=2",       "drop=-1",  "drop=x",
        "drop@0",     "drop@x",      "drop#0",     "=1",           "clock@3",  "slow-ms=0",
        "most=x",     "clock=9e999", "drop=0.1;x", "unknown-user=0", "drop=nan", "only@3",
        "drop=0.1,,,bad", "dc=0", "chat=x",
    };
    struct sim_faults f;

    (void)state;
    for (size_t i = 0; i < TG_COUNT(wrong); i++) {
        struct tg_error err = { .message = "" };

        assert_int_equal(sim_faults_parse(wrong[i], 1, &f, &err), TG_USAGE);
        assert_true(err.message[0]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_but_short_pages_happens_by_default),
        cmocka_unit_test(probabilities_are_kept),
        cmocka_unit_test(every_nth_and_the_nth),
        cmocka_unit_test(a_seed_repeats_and_terms_do_not_move_each_other),
        cmocka_unit_test(faults_keep_to_their_targets),
        cmocka_unit_test(settings_are_read),
        cmocka_unit_test(wrong_specs_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

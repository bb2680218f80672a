/* SPDX-License-Identifier: MIT */
/*
 * Rules over rows: each kind does what a plain model does, rows that break several are counted
 * once, instances that saw a part each find together what one finds, and mistakes are told.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "client/lua.h"
#include "stage/stage.h"
#include "tests/seeds.h"

enum { ROWS = 32, SEEDS = 3000 };

static struct tg_error err;

static const char *const texts[] = { NULL, "", "abc", "\xd0\x96\xd0\x96\xd0\x96", "12",
                                     "0fA9", "2024-01-15", "a,b", "-7" };

static void fill(struct random *r, struct tg_batch *b, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct tg_row *row = tg_batch_row(b);
        const char *text = texts[below(r, TG_COUNT(texts))];

        TG_ROW_SET(row, chat_id, -5);
        TG_ROW_SET(row, id, (int64_t)(i + 1));
        if (text)
            TG_ROW_SET(row, text, tg_str_of(text));
        if (chance(r, 70))
            TG_ROW_SET(row, views, (int64_t)below(r, 21) - 10);
        if (chance(r, 70))
            TG_ROW_SET(row, date, (int64_t)below(r, 3) * 86400);
        if (chance(r, 10))
            TG_ROW_SET(row, change, TG_STR("deleted"));
    }
}

/* ---- the model ---- */

static bool text_is(const struct tg_row *row, const char *const *list, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (tg_str_eq(row->text, tg_str_of(list[i])))
            return true;
    return false;
}

#define IS(row, ...)                                                                               \
    (!((row)->present & TG_ROW_BIT(text)) ||                                                       \
     text_is(row, (const char *const[]){ __VA_ARGS__ },                                            \
             TG_COUNT(((const char *const[]){ __VA_ARGS__ }))))

static bool required(const struct tg_row *r) { return r->present & TG_ROW_BIT(text); }
static bool range(const struct tg_row *r)
{
    return !(r->present & TG_ROW_BIT(views)) || (r->views >= -3 && r->views <= 4);
}
static bool until(const struct tg_row *r)
{
    return !(r->present & TG_ROW_BIT(date)) || r->date <= 86400;
}
static bool three(const struct tg_row *r)
{
    return IS(r, "abc", "\xd0\x96\xd0\x96\xd0\x96", "a,b");
}
static bool short_one(const struct tg_row *r) { return IS(r, "", "12", "-7"); }
static bool values(const struct tg_row *r) { return IS(r, "abc", "12"); }
static bool numbers(const struct tg_row *r)
{
    return !(r->present & TG_ROW_BIT(views)) || r->views == -2 || r->views == 10;
}
static bool hex(const struct tg_row *r) { return IS(r, "abc", "12", "0fA9"); }
static bool positive(const struct tg_row *r) { return IS(r, "12"); }
static bool datetime(const struct tg_row *r) { return IS(r, "2024-01-15"); }
static bool digits(const struct tg_row *r) { return IS(r, "12", "0fA9", "2024-01-15", "-7"); }
static bool expression(const struct tg_row *r) { return r->id % 3 != 0; }

static const struct rule {
    const char *text;
    bool (*holds)(const struct tg_row *row);
} rules[] = {
    { "validate?field=text&required", required },
    { "validate?field=views&min=-3&max=4", range },
    { "validate?field=date&max=1970-01-02", until },
    { "validate?field=text&min-length=3&max-length=3", three },
    { "validate?field=text&max-length=2", short_one },
    { "validate?field=text&one-of=abc,12", values },
    { "validate?field=views&one-of=-2,10", numbers },
    { "validate?field=text&format=hex", hex },
    { "validate?field=text&format=positive_integer", positive },
    { "validate?field=text&format=datetime", datetime },
    { "validate?field=text&pattern=%25d", digits },
    { "validate?expr=id %25 3 ~= 0", expression },
};

static bool is_built(const char *text)
{
    struct tg_lua_options o = { "x", "1", NULL, true, 1000, 1 << 20 };
    struct tg_lua *lua = NULL;
    bool there = tg_lua_new(&o, &lua, &err) == TG_OK;

    tg_lua_free(lua);
    return there || (!strstr(text, "expr") && !strstr(text, "pattern"));
}

static struct tg_stage_list open_list(const char *const *text, size_t n)
{
    struct tg_stage_list list;

    if (tg_stages_open(text, n, &list, &err) != TG_OK)
        fail_msg("%s: %s", text[0], err.message);
    return list;
}

static void check(const struct tg_stage_list *list, const struct rule *const *rule, size_t n,
                  struct random *r, struct tg_quality_result *want)
{
    struct tg_batch *b = tg_batch_new(ROWS);
    struct tg_stage_counts counts = { 0 };
    struct tg_stage_env env = { .now_us = 1, .counts = &counts };
    size_t stay = 0;

    fill(r, b, below(r, ROWS + 1));
    for (size_t i = 0; i < b->n; i++) {
        const struct tg_row *row = &b->row[i];
        bool broken = false, gone = tg_row_changed(row) == TG_ROW_DELETED;

        want->rows += !gone;
        stay += gone;
        for (size_t k = 0; k < n && !gone; k++) {
            bool holds = rule[k]->holds(row);

            want->rule[k].checked++;
            want->rule[k].broken += !holds;
            broken |= !holds;
            gone = !holds && k == 1; /* the second drops */
        }
        want->invalid += broken;
        stay += tg_row_changed(row) != TG_ROW_DELETED && !gone;
    }
    assert_int_equal(tg_stages_run(list, b, &env, &err), TG_OK);
    assert_int_equal(b->n, stay);
    want->rows -= counts.judged;
    want->invalid -= counts.invalid;
    assert_int_equal(want->rows, 0);
    assert_int_equal(want->invalid, 0);
    tg_batch_free(b);
}

static void test_rules_do_what_a_model_does(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct random r = { seed };
        const struct rule *rule[3];
        struct tg_quality_result want = { 0 }, found = { 0 };
        struct tg_stage_list one, other;
        char text[3][100];
        size_t n = 1 + below(&r, 3);

        for (size_t k = 0; k < n; k++) {
            do
                rule[k] = &rules[below(&r, TG_COUNT(rules))];
            while (!is_built(rule[k]->text));
            snprintf(text[k], sizeof text[k], "%s%s", rule[k]->text,
                     k == 1 ? "&severity=drop" : "");
        }
        one = open_list((const char *const[]){ text[0], text[1], text[2] }, n);
        other = open_list((const char *const[]){ text[0], text[1], text[2] }, n);
        for (int k = 0; k < 4; k++)
            check(k % 2 ? &one : &other, rule, n, &r, &want);
        tg_stages_merge(&one, &other);
        tg_stages_tally(&one, &found);
        assert_int_equal(found.n_rules, n);
        for (size_t k = 0; k < n; k++)
            if (found.rule[k].checked != want.rule[k].checked ||
                found.rule[k].broken != want.rule[k].broken ||
                found.rule[k].n_examples != TG_MIN(want.rule[k].broken, TG_RULE_EXAMPLES))
                fail_msg("seed %llu: %s", (unsigned long long)seed, text[k]);
        tg_stages_close(&one);
        tg_stages_close(&other);
    }
}

static void test_a_rule_may_end_the_run(void **state)
{
    struct tg_batch *b = tg_batch_new(ROWS);
    struct tg_stage_counts counts = { 0 };
    struct tg_stage_env env = { .now_us = 1, .counts = &counts };
    struct tg_stage_list list = open_list(
        (const char *const[]){ "validate?field=text&required&severity=fail&name=has text" }, 1);

    (void)state;
    TG_ROW_SET(tg_batch_row(b), id, 7);
    assert_int_equal(tg_stages_run(&list, b, &env, &err), TG_DATA);
    assert_string_equal(err.message, "message 7 of chat 0 breaks the rule 'has text'");
    tg_stages_close(&list);
    tg_batch_free(b);
}

static void test_mistakes_are_told(void **state)
{
    static const struct {
        const char *text, *why;
    } row[] = {
        { "validate", "no condition" },
        { "validate?field=text", "no condition" },
        { "validate?required", "no field" },
        { "validate?field=txt&required", "no field 'txt'" },
        { "validate?field=text&required&max-length=3", "more than one condition" },
        { "validate?field=views&max-length=3", "is no text" },
        { "validate?field=text&min=3", "has no range" },
        { "validate?field=views&min=many", "bounds no values" },
        { "validate?field=views&min=4&max=3", "no value is" },
        { "validate?field=text&min-length=4&max-length=3", "no length is" },
        { "validate?field=text&expr=true", "leave field= out" },
        { "validate?field=views&pattern=x", "has no pattern" },
    };

    (void)state;
    for (size_t i = 0; i < TG_COUNT(row); i++) {
        struct tg_stage_list list;

        assert_int_equal(tg_stages_open(&row[i].text, 1, &list, &err), TG_USAGE);
        if (!strstr(err.message, row[i].why))
            fail_msg("%s: %s", row[i].text, err.message);
        tg_stages_close(&list);
    }
}

static void test_scores(void **state)
{
    struct tg_quality_result q = { .rows = 8, .invalid = 2, .n_rules = 3 };

    (void)state;
    q.rule[0] = (struct tg_rule_result){ .kind = TG_RULE_COMPLETENESS, .checked = 8, .broken = 2 };
    q.rule[1] = (struct tg_rule_result){ .kind = TG_RULE_COMPLETENESS, .checked = 8 };
    q.rule[2] = (struct tg_rule_result){ .kind = TG_RULE_RANGE, .checked = 8, .broken = 8 };
    assert_true(tg_validity_rate(&q) == 0.75);
    assert_true(tg_completeness_score(&q) == 0.875);
    q = (struct tg_quality_result){ 0 };
    assert_true(tg_validity_rate(&q) == 1 && tg_completeness_score(&q) == 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rules_do_what_a_model_does),
        cmocka_unit_test(test_a_rule_may_end_the_run),
        cmocka_unit_test(test_mistakes_are_told),
        cmocka_unit_test(test_scores),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

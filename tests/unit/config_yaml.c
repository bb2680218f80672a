/* SPDX-License-Identifier: MIT */
/*
 * config_yaml.c - configuration files: places, quotes, aliases, what is filled in, how mistakes
 * come in order, and what a layer replaces
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "config/file_impl.h"

static const char *env(void *ctx, const char *name)
{
    (void)ctx;
    return strcmp(name, "FULL") == 0 ? "full" : strcmp(name, "EMPTY") == 0 ? "" : NULL;
}

static tg_code file(void *ctx, const char *path, struct tg_buf *out, struct tg_error *err)
{
    (void)ctx;
    if (strcmp(path, "there") == 0)
        tg_buf_str(out, "two\nlines\r\n");
    else if (strcmp(path, "binary") == 0)
        tg_buf_add(out, "a\0b", 3);
    else
        return tg_fail(err, TG_USAGE, "it is not there");
    return TG_OK;
}

static const struct tg_expand_from from = { .env = env, .file = file };

static void test_places(void **state)
{
    static const char text[] = "a: x\nbc:\n  - 'y'\n  - {d: \"z\"}\n";
    struct tg_mistakes m = { 0 };
    struct tg_yaml y;
    const struct tg_yaml_node *list;

    (void)state;
    tg_yaml_read(text, sizeof text - 1, &from, &y, &m);
    assert_int_equal(m.n, 0);
    assert_int_equal(y.root->kind, TG_YAML_MAP);
    assert_int_equal(y.root->n, 2);
    assert_string_equal(y.root->key[1]->text, "bc");
    assert_int_equal(y.root->value[0]->line, 1);
    assert_int_equal(y.root->value[0]->column, 4);
    assert_true(y.root->value[0]->plain);
    list = y.root->value[1];
    assert_int_equal(list->kind, TG_YAML_LIST);
    assert_int_equal(list->value[0]->line, 3);
    assert_false(list->value[0]->plain);
    assert_string_equal(list->value[1]->value[0]->text, "z");
    assert_int_equal(y.root->weight, 9);
    assert_int_equal(y.root->height, 3);
    tg_yaml_done(&y);
    tg_mistakes_done(&m);
}

static void test_aliases_count_as_written_out(void **state)
{
    struct tg_mistakes m = { 0 };
    struct tg_buf text;
    struct tg_yaml y;

    (void)state;
    tg_buf_init(&text, 1 << 20);
    tg_buf_str(&text, "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for (int i = 1; i < 8; i++) {
        tg_buf_printf(&text, "a%d: &a%d [", i, i);
        for (int k = 0; k < 10; k++)
            tg_buf_printf(&text, "%s*a%d", k ? ", " : "", i - 1);
        tg_buf_str(&text, "]\n");
    }
    tg_yaml_read(text.data, text.len, &from, &y, &m);
    assert_null(y.root);
    assert_int_equal(m.n, 1);
    assert_int_equal(m.item[0].line, 6); /* 11111 nodes ten times are too many */
    tg_yaml_done(&y);
    tg_mistakes_done(&m);
    tg_buf_done(&text);
}

static void test_filled_in(void **state)
{
    static const struct {
        const char *text, *becomes; /* NULL: a mistake */
    } row[] = {
        { "a ${FULL} b", "a full b" }, { "${FULL}${FULL}", "fullfull" },
        { "${EMPTY}", "" },            { "${EMPTY:-x}", "x" },
        { "${NONE:-x y}", "x y" },     { "${NONE}", NULL },
        { "${NONE:-}", "" },           { "$${FULL}", "${FULL}" },
        { "$FULL $", "$FULL $" },      { "${file:there}!", "two\nlines!" },
        { "${file:none}", NULL },      { "${file:binary}", NULL },
        { "${FULL", NULL },            { "${}", NULL },
        { "${A B}", NULL },            { "${1A}", NULL },
    };

    (void)state;
    for (size_t i = 0; i < TG_COUNT(row); i++) {
        struct tg_error err;
        struct tg_buf out;
        tg_code code;

        tg_buf_init(&out, TG_EXPAND_MAX);
        code = tg_expand(row[i].text, &from, &out, &err);
        assert_int_equal(code, row[i].becomes ? TG_OK : TG_USAGE);
        if (row[i].becomes)
            assert_string_equal(tg_buf_cstr(&out), row[i].becomes);
        tg_buf_done(&out);
    }
}

static struct tg_config_file *load(const char *text)
{
    struct tg_config_file *f = tg_config_file_read(text, strlen(text), &from);

    assert_non_null(f);
    return f;
}

static void test_layers(void **state)
{
    struct tg_config_file *f = load("extraction: {workers: 2, batch_size: 7, "
                                    "checkpoint_interval: 11}\n"
                                    "accounts: {a: {session: x, rate: 3}, b: {session: y}}\n"
                                    "defaults: {batch-size: 8, to: ['ndjson:a', 'ndjson:b'], "
                                    "rate: 2, linger: 5}\n"
                                    "jobs:\n"
                                    " - {name: one, chats: all}\n"
                                    " - {name: two, chats: ['@x'], to: 'ndjson:c', workers: 9, "
                                    "batch_size: 10, accounts: [a], rate: 4}\n"
                                    " - {name: three, chats: -5, pattern: stream, account: b, "
                                    "to: 'ndjson:d'}\n");
    const struct tg_config_job *one = tg_config_file_job(f, 0), *two = tg_config_file_job(f, 1),
                               *three = tg_config_file_job(f, 2);

    (void)state;
    assert_int_equal(f->mistakes.n, 0);
    assert_int_equal(one->n_chats, 0);
    assert_int_equal(one->n_accounts, 2);
    assert_int_equal(one->workers, 2);
    assert_int_equal(one->accounts[0]->account.rate, 3);
    assert_int_equal(one->accounts[1]->account.rate, 2);
    assert_string_equal(tg_config_text(one->accounts[1], "session"), "y");
    assert_int_equal(one->accounts[0]->extract.batch_size, 8);
    assert_int_equal(one->accounts[0]->extract.checkpoint_interval, 11);
    assert_int_equal(one->accounts[0]->extract.destinations.n, 2);
    assert_int_equal(two->n_accounts, 1);
    assert_int_equal(two->workers, 9);
    assert_int_equal(two->accounts[0]->account.rate, 4);
    assert_int_equal(two->accounts[0]->extract.destinations.n, 1);
    assert_string_equal(two->accounts[0]->extract.to, "ndjson:c");
    assert_string_equal(two->accounts[0]->extract.job, "two");
    assert_int_equal(three->pattern, TG_PATTERN_STREAM);
    assert_string_equal(three->chats[0], "-5");
    assert_int_equal(three->accounts[0]->stream.linger_ms, 5000);
    assert_int_not_equal(one->accounts[0]->stream.linger_ms, 5000);
    assert_null(tg_config_file_job(f, 3));
    tg_config_file_free(f);
}

static void test_mistakes_in_order_and_bounded(void **state)
{
    struct tg_buf text;
    struct tg_config_file *f;

    (void)state;
    tg_buf_init(&text, 1 << 20);
    tg_buf_str(&text, "jobs:\n - name: x\n   chats: []\nextra: 1\ndefaults:\n");
    for (int i = 0; i < 1500; i++)
        tg_buf_printf(&text, "  nothing%d: 1\n", i);
    f = load(tg_buf_cstr(&text));
    assert_int_equal(f->mistakes.n, TG_MISTAKES_MAX);
    assert_true(f->mistakes.n_errors >= 1500);
    for (size_t i = 1; i < f->mistakes.n; i++)
        assert_true(f->mistakes.item[i - 1].line <= f->mistakes.item[i].line);
    assert_null(tg_config_file_job(f, 5));
    tg_config_file_free(f);
    tg_buf_done(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_places),
        cmocka_unit_test(test_aliases_count_as_written_out),
        cmocka_unit_test(test_filled_in),
        cmocka_unit_test(test_layers),
        cmocka_unit_test(test_mistakes_in_order_and_bounded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

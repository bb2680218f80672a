/* SPDX-License-Identifier: MIT */
/*
 * base_option.c - option tables: values, bounds, suggestions, environment, help, URLs
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/option.h"

struct settings {
    const char *file, *password;
    int64_t batch, chat, buffer, wait_ms, share_ppm, since, progress;
    bool takeout, color;
    struct tg_option_list chats;
};

#define AT(member) .offset = offsetof(struct settings, member)
static const struct tg_option table[] = {
    { .name = "file", .type = TG_OPT_STR, AT(file), .fallback = "out.txt", .value = "FILE",
      .help = "where it goes" },
    { .name = "password", .type = TG_OPT_SECRET, AT(password), .env = "TG_TEST_PASSWORD",
      .help = "second factor" },
    { .name = "batch-size", .type = TG_OPT_I64, AT(batch), .fallback = "1000", .min = 1,
      .max = 100000, .help = "messages per batch, which is what a callback sees at once" },
    { .name = "chat", .type = TG_OPT_I64, AT(chat), .help = "an id" },
    { .name = "buffer", .type = TG_OPT_SIZE, AT(buffer), .fallback = "64KiB", .min = 4096,
      .max = 1 << 30, .help = "size" },
    { .name = "wait", .type = TG_OPT_MS, AT(wait_ms), .fallback = "30s", .min = 1000, .max = 999,
      .env = "TG_TEST_WAIT", .help = "longest wait" },
    { .name = "share", .type = TG_OPT_PERCENT, AT(share_ppm), .fallback = "2.5", .max = TG_WHOLE,
      .help = "how much of it" },
    { .name = "since", .type = TG_OPT_TIME, AT(since), .help = "from then on" },
    { .name = "progress", .type = TG_OPT_CHOICE, AT(progress), .fallback = "auto",
      .choices = "auto|plain|json|none", .also = "show-progress", .help = "how progress is shown" },
    { .name = "takeout", .type = TG_OPT_BOOL, AT(takeout), .help = "as an export" },
    { .name = "color", .type = TG_OPT_BOOL, AT(color), .fallback = "yes", .help = "in color" },
    { .name = "also", .type = TG_OPT_LIST, AT(chats), .value = "CHAT", .help = "one more chat" },
    { 0 },
};

static void another_name_is_taken(void **state)
{
    struct settings s;
    struct tg_error err;

    (void)state;
    assert_int_equal(tg_options_default(table, &s, &err), TG_OK);
    assert_int_equal(tg_option_set(table, &s, "show_progress", "json", &err), TG_OK);
    assert_int_equal(s.progress, 2);
    assert_ptr_equal(tg_option_find(table, "show-progress"), tg_option_find(table, "progress"));
}

static void defaults_come_from_the_table(void **state)
{
    struct settings s;
    struct tg_error err;

    (void)state;
    memset(&s, 0xff, sizeof s);
    assert_int_equal(tg_options_default(table, &s, &err), TG_OK);
    assert_string_equal(s.file, "out.txt");
    assert_null(s.password);
    assert_int_equal(s.batch, 1000);
    assert_int_equal(s.buffer, 65536);
    assert_int_equal(s.wait_ms, 30000);
    assert_int_equal(s.share_ppm, 25000);
    assert_int_equal(s.since, 0);
    assert_int_equal(s.progress, 0);
    assert_false(s.takeout);
    assert_true(s.color);
    assert_int_equal(s.chats.n, 0);
}

static void values_are_read_and_checked(void **state)
{
    static const struct {
        const char *name, *text;
        const char *message; /* part of it; NULL: it is taken */
    } row[] = {
        { "file", "", NULL },
        { "file", NULL, "needs a value" },
        { "batch-size", "1", NULL },
        { "batch_size", "100000", NULL },
        { "batch-size", "0", "from 1 to 100000, not '0'" },
        { "share", "0.0625%", NULL },
        { "share", "100.0001", "from 0 to 100, not '100.0001'" },
        { "share", "0.00001", "a percentage such as 5 or 0.25" },
        { "share", "5.", "a percentage" },
        { "share", ".5", "a percentage" },
        { "share", "-1", "a percentage" },
        { "share", "99999999999999999999", "a percentage" },
        { "share", "5 %", "a percentage" },
        { "batch-size", "100001", "from 1 to 100000" },
        { "batch-size", "ten", "takes a number, not 'ten'" },
        { "batch-size", "1 ", "takes a number" },
        { "batch-size", "", "takes a number" },
        { "chat", "-1001234567890", NULL },
        { "chat", "9223372036854775808", "takes a number" },
        { "buffer", "1GiB", NULL },
        { "buffer", "1", "from 4KiB to 1GiB, not '1'" },
        { "buffer", "1 MiB", "takes a size" },
        { "wait", "1s", NULL },
        { "wait", "9d", NULL },
        { "wait", "999ms", "at least 1s, not '999ms'" },
        { "since", "2024-02-29", NULL },
        { "since", "2023-02-29", "takes a date" },
        { "progress", "json", NULL },
        { "progress", "jso", "one of auto|plain|json|none, not 'jso'" },
        { "progress", "plain|json", "one of" },
        { "takeout", NULL, NULL },
        { "takeout", "off", NULL },
        { "takeout", "maybe", "yes or no, not 'maybe'" },
        { "also", "a", NULL },
        { "none", "x", "unknown option 'none'" },
    };
    struct settings s;
    struct tg_error err;

    (void)state;
    assert_int_equal(tg_options_default(table, &s, &err), TG_OK);
    for (size_t i = 0; i < TG_COUNT(row); i++) {
        struct settings before = s;
        tg_code code = tg_option_set(table, &s, row[i].name, row[i].text, &err);

        if (code != (row[i].message ? TG_USAGE : TG_OK))
            fail_msg("%s '%s': %s", row[i].name, row[i].text, tg_code_name(code));
        if (row[i].message && !strstr(err.message, row[i].message))
            fail_msg("%s '%s': %s", row[i].name, row[i].text, err.message);
        if (row[i].message)
            assert_memory_equal(&before, &s, sizeof s);
    }
    assert_int_equal(s.wait_ms, 9 * INT64_C(86400000));
    assert_int_equal(s.share_ppm, 625);
    assert_int_equal(s.since, 1709164800);
    assert_int_equal(s.progress, 2);
    assert_false(s.takeout);
    assert_int_equal(s.chats.n, 1);
    tg_options_done(table, &s);
    assert_null(s.chats.item);
}

static void a_near_name_is_suggested(void **state)
{
    static const struct {
        const char *given, *want;
    } row[] = {
        { "batchsize", "batch-size" }, { "btach-size", "batch-size" }, { "bat", "batch-size" },
        { "proggress", "progress" },   { "sicne", "since" },           { "x", NULL },
        { "checkpoint", NULL },        { "", NULL },                   { "files", "file" },
    };

    (void)state;
    for (size_t i = 0; i < TG_COUNT(row); i++) {
        const char *got = tg_option_similar(table, row[i].given);

        if ((got == NULL) != (row[i].want == NULL) || (got && strcmp(got, row[i].want) != 0))
            fail_msg("'%s' gives %s", row[i].given, got ? got : "nothing");
    }
}

static void all_names_are_told_where_none_is_near(void **state)
{
    struct settings s;
    struct tg_error err;

    (void)state;
    assert_int_equal(tg_option_set(table, &s, "zzz", "1", &err), TG_USAGE);
    assert_non_null(strstr(err.hint, "there are: file, password, "));
    assert_non_null(strstr(err.hint, "also"));
    assert_int_equal(tg_option_set(table, &s, "sinze", "1", &err), TG_USAGE);
    assert_string_equal(err.hint, "did you mean 'since'?");
    assert_int_equal(tg_option_set(NULL, &s, "any", "1", &err), TG_USAGE);
}

static void the_environment_stands_before_the_default(void **state)
{
    struct settings s;
    struct tg_error err;

    (void)state;
    setenv("TG_TEST_PASSWORD", "secret", 1);
    setenv("TG_TEST_WAIT", "", 1);
    assert_int_equal(tg_options_default(table, &s, &err), TG_OK);
    assert_string_equal(s.password, "secret");
    assert_int_equal(s.wait_ms, 30000);
    setenv("TG_TEST_WAIT", "soon", 1);
    assert_int_equal(tg_options_default(table, &s, &err), TG_USAGE);
    assert_non_null(strstr(err.hint, "TG_TEST_WAIT"));
    unsetenv("TG_TEST_PASSWORD");
    unsetenv("TG_TEST_WAIT");
}

static void help_is_aligned_and_wrapped(void **state)
{
    struct tg_buf out;
    const char *line;

    (void)state;
    tg_buf_init(&out, 1 << 16);
    tg_options_help(table, &out, 72);
    line = tg_buf_cstr(&out);
    assert_ptr_equal(strstr(line, "  --file FILE      where it goes (default: out.txt)\n"), line);
    assert_non_null(strstr(line, "\n  --password TEXT  second factor [$TG_TEST_PASSWORD]\n"));
    assert_non_null(strstr(line, "\n  --batch-size N   messages per batch, which is what a callback"
                                 " sees at\n                   once (default: 1000)\n"));
    assert_non_null(strstr(line, "\n  --progress auto|plain|json|none\n                   how "));
    assert_non_null(strstr(line, "\n  --also CHAT      one more chat (may be given again)\n"));
    assert_non_null(strstr(line, "\n  --takeout        as an export\n"));
    for (const char *end; *line; line = end + 1) {
        end = strchr(line, '\n');
        assert_true(end - line <= 72);
    }
    tg_buf_clear(&out);
    tg_options_help_url(table, &out, 72);
    assert_non_null(strstr(tg_buf_cstr(&out), "\n  batch-size=N                   messages"));
    tg_buf_done(&out);
}

static void queries_of_urls_are_read(void **state)
{
    static const struct {
        const char *query;
        tg_code want;
    } row[] = {
        { "", TG_OK },
        { "takeout&file=a%20b%26c&batch-size=5", TG_OK },
        { "&&takeout=yes&", TG_OK },
        { "file=%zz", TG_USAGE },
        { "file=%4", TG_USAGE },
        { "file=%00", TG_USAGE },
        { "file=%", TG_USAGE },
        { "file", TG_USAGE },
        { "nofile=1", TG_USAGE },
    };
    char query[3][64], url[] = "ndjson:/a/b:c?x=1?2", bare[] = "sqlite:f", bad[] = "/a/b:c";
    char *target, *rest;
    struct settings s;
    struct tg_error err;

    (void)state;
    for (size_t i = 0; i < TG_COUNT(row); i++) {
        char *text = query[i == 1 ? 1 : 0];

        snprintf(text, sizeof query[0], "%s", row[i].query);
        assert_int_equal(tg_options_default(table, &s, &err), TG_OK);
        assert_int_equal(tg_options_query(table, &s, text, &err), row[i].want);
        if (i == 1) {
            assert_true(s.takeout);
            assert_string_equal(s.file, "a b&c");
            assert_int_equal(s.batch, 5);
        }
    }
    assert_int_equal(tg_driver_split(url, "sink", &target, &rest, &err), TG_OK);
    assert_string_equal(url, "ndjson");
    assert_string_equal(target, "/a/b:c");
    assert_string_equal(rest, "x=1?2");
    assert_int_equal(tg_driver_split(bare, "sink", &target, &rest, &err), TG_OK);
    assert_null(rest);
    assert_int_equal(tg_driver_split(bad, "sink", &target, &rest, &err), TG_USAGE);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(another_name_is_taken),
        cmocka_unit_test(defaults_come_from_the_table),
        cmocka_unit_test(values_are_read_and_checked),
        cmocka_unit_test(a_near_name_is_suggested),
        cmocka_unit_test(all_names_are_told_where_none_is_near),
        cmocka_unit_test(the_environment_stands_before_the_default),
        cmocka_unit_test(help_is_aligned_and_wrapped),
        cmocka_unit_test(queries_of_urls_are_read),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

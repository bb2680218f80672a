/* SPDX-License-Identifier: MIT */
/*
 * Expressions and programs over rows: what they see and change, what they are kept from, what they
 * may cost, and what their mistakes are told as.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "client/lua.h"
#include "stage/stage.h"

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
enum { ROWS = 8, SECONDS = 60 };
#else
enum { ROWS = 8, SECONDS = 5 };
#endif

static struct tg_batch *batch;
static struct tg_stage_counts counts;
static struct tg_error err;

static int set_up(void **state)
{
    (void)state;
    batch = tg_batch_new(ROWS);
    counts = (struct tg_stage_counts){ 0 };
    return !batch;
}

static int tear_down(void **state)
{
    (void)state;
    tg_batch_free(batch);
    return 0;
}

static void sample(void)
{
    struct tg_row *row;

    tg_batch_clear(batch);
    row = tg_batch_row(batch);
    TG_ROW_SET(row, chat_id, -100123);
    TG_ROW_SET(row, id, 12);
    TG_ROW_SET(row, kind, TG_STR("message"));
    TG_ROW_SET(row, date, 1705314600); /* 2024-01-15T10:30:00Z */
    TG_ROW_SET(row, text, TG_STR("one Two three four"));
    TG_ROW_SET(row, views, 250);
    TG_ROW_SET(row, post, 1);
    TG_ROW_SET(row, word_count, 4);
    TG_ROW_SET(row, reactions,
               TG_STR("[{\"reaction\":\"\\u2764\",\"count\":7},{\"reaction\":\"x\",\"count\":2}]"));
    TG_ROW_SET(row, media, TG_STR("{\"url\":\"https://example.org/a\",\"size\":1.5,\"no\":null}"));
}

static tg_code run_stage(const char *text)
{
    struct tg_stage_env env = { .now_us = INT64_C(1705400000000000), .counts = &counts };
    struct tg_stage_list list;
    tg_code code = tg_stages_open(&text, 1, &list, &err);

    if (code == TG_OK)
        code = tg_stages_run(&list, batch, &env, &err);
    tg_stages_close(&list);
    return code;
}

/* A stage as it is written, with signs that stand for others there: ` for % */
static tg_code run_text(const char *kind, const char *code)
{
    char text[2048];
    size_t n = (size_t)snprintf(text, sizeof text, "%s=", kind);

    for (; *code; code++)
        n += (size_t)snprintf(text + n, sizeof text - n,
                              *code == '%' ? "%%25" : *code == '&' ? "%%26" : "%c", *code);
    return run_stage(text);
}

static void holds(const char *expr, bool wanted)
{
    sample();
    if (run_text("where?expr", expr) != TG_OK)
        fail_msg("%s: %s", expr, err.message);
    if (batch->n != wanted)
        fail_msg("%s is %s", expr, batch->n ? "true" : "false");
}

static void fails(const char *kind, const char *code, tg_code wanted, const char *message,
                  const char *hint)
{
    sample();
    if (run_text(kind, code) != wanted)
        fail_msg("%s: code %d: %s", code, err.code, err.message);
    if (!strstr(err.message, message) || (hint && !strstr(err.hint, hint)))
        fail_msg("%s: %s (%s)", code, err.message, err.hint);
}

/* Runs a program; @return the row as JSON, "" if it was dropped */
static const char *changed(const char *code, const char *kind)
{
    static char text[4096];
    struct tg_buf out;

    if (run_text(kind, code) != TG_OK)
        fail_msg("%s: %s", code, err.message);
    tg_buf_init(&out, sizeof text - 1);
    if (batch->n)
        tg_row_json(&batch->row[0], &out);
    snprintf(text, sizeof text, "%s", tg_buf_cstr(&out));
    tg_buf_done(&out);
    return text;
}

static void shows(const char *code, const char *piece)
{
    sample();
    if (!strstr(changed(code, "lua?code"), piece))
        fail_msg("%s: %s", code, changed("", "lua?code"));
}

/* ---- what is seen ---- */

static void expressions_judge_rows(void **state)
{
    (void)state;
    holds("word_count > 3 and post", true);
    holds("word_count > 3 and not post", false);
    holds("views", true);
    holds("forwards", false);
    holds("forwards == nil and not pinned and pinned == false", true);
    holds("text:find('two') or text:lower():find('two')", true);
    holds("row.text == text and row.views == views", true);
    holds("row.mood == nil", true);
    holds("date >= time('2024-01-15') and date < time('2024-01-15T10:30:01Z')", true);
    holds("now - date == 85400", true);
    holds("utc(date) == '2024-01-15T10:30:00Z'", true);
    holds("id % 2 == 0 & 1", true);
    holds("id % 5 == 0 | 1", false);
    holds("(id & 4) == 4", true);
    holds("#reactions == 2 and reactions[1].count == 7 and reactions[1].reaction == '\\u{2764}'",
          true);
    holds("media.url:match('^https://([%w.]+)/') == 'example.org'", true);
    holds("media.size == 1.5 and media.no == nil", true);
    holds("math.type(views) == 'integer' and views // 100 == 2", true);
    holds("string.format('%05d', id) == '00012' and ('x'):rep(3) == 'xxx'", true);
    holds("select('#', text:gsub('%a+', '')) == 2", true);
    holds("utf8.len('\\u{e9}') == 1", true);
    holds("table.concat({1, 2}, '-') == '1-2'", true);
    holds("kind == 'message' and sender_id == nil", true);
    holds("#'forty' == 5 and (function(n) for i = 1, n do n = n + i end return n end)(3) == 9",
          true);
}

static void a_text_that_is_not_there_is_empty(void **state)
{
    (void)state;
    holds("true", true);
    batch->row[0].present &= ~TG_ROW_BIT(text);
    assert_int_equal(run_text("where?expr", "text == '' and not text:find('x')"), TG_OK);
    assert_int_equal(batch->n, 1);
    changed("row.text = row.text:upper()", "lua?code");
    assert_false(batch->row[0].present & TG_ROW_BIT(text));
    changed("row.text = text .. 'a'", "lua?code");
    assert_true(tg_str_eq(batch->row[0].text, TG_STR("a")));
    changed("row.text = ''", "lua?code");
    assert_true(batch->row[0].present & TG_ROW_BIT(text));
}

/* ---- what is changed ---- */

static void programs_change_rows(void **state)
{
    (void)state;
    shows("row.text = row.text:upper()", "\"text\":\"ONE TWO THREE FOUR\"");
    shows("row.text = text:gsub('%a+', {one = '1', four = 4})", "\"text\":\"1 Two three 4\"");
    shows("row.views = views * 2; row.pinned = true", "\"views\":500");
    shows("row.views = 5.0", "\"views\":5,");
    shows("row.edit_date = time('2024-02-01')", "\"edit_date\":\"2024-02-01T00:00:00Z\"");
    shows("row.lang = 'en'", "\"extra\":{\"lang\":\"en\"}");
    shows("row.b = 1.5; row.a = {1, {x = true}}; row.c = 'x\"'; row.d = {}",
          "\"extra\":{\"a\":[1,{\"x\":true}],\"b\":1.5,\"c\":\"x\\\"\",\"d\":[]}");
    shows("row.z = 1; row.y = 2; row.z = nil", "\"extra\":{\"y\":2}");
    shows("row.n = 1; row.n = row.n + 1; row.m = extra.n", "\"extra\":{\"m\":2,\"n\":2}");
    shows("row['odd \"name\"\\n'] = 1", "\"extra\":{\"odd \\\"name\\\"\\n\":1}");
    shows("local r = reactions; r[1].count = 8; r[2] = nil; row.reactions = r",
          "\"reactions\":[{\"count\":8,\"reaction\":\"\xe2\x9d\xa4\"}]");
    shows("local n = 0\nfor w in text:gmatch('%a+') do n = n + #w end\nrow.letters = n",
          "\"extra\":{\"letters\":15}");
    shows("return true", "\"text\"");
    shows("return nil", "\"text\"");
    shows("#!/usr/bin/lua\nrow.x = 1", "\"x\":1");
    sample();
    assert_string_equal(changed("return false", "lua?code"), "");
    assert_int_equal(counts.dropped, 1);
    sample();
    assert_null(strstr(changed("row.views = nil; row.post = false; row.media = nil", "lua?code"),
                       "views"));
    assert_false(batch->row[0].present & (TG_ROW_BIT(post) | TG_ROW_BIT(media)));
}

/* Members that are not touched stay as they are written. */
static void what_was_added_stays(void **state)
{
    static const char was[] = "{\"z\":[ 1e2, null],\"a\":\"\\u00e9\",\"n\":12345678901234567890}";
    static const char is[] = "{\"a\":\"\xc3\xa9\",\"n\":12345678901234567890,\"z\":[ 1e2, null]}";

    (void)state;
    sample();
    TG_ROW_SET(&batch->row[0], extra, TG_STR(was));
    changed("assert(row.z[1] == 100 and extra.n == row.n) row.a = row.a", "lua?code");
    assert_true(tg_str_eq(batch->row[0].extra, TG_STR(is)));
}

static void deletions_pass(void **state)
{
    static const char *const stage[] = { "where?expr=false", "where?expr=views > 1",
                                         "lua?code=return false", "lua?code=row.x = 1" };

    (void)state;
    for (size_t i = 0; i < TG_COUNT(stage); i++) {
        uint64_t present;

        sample();
        batch->row[0].present = TG_ROW_BIT(chat_id) | TG_ROW_BIT(id);
        TG_ROW_SET(&batch->row[0], change, TG_STR("deleted"));
        present = batch->row[0].present;
        assert_int_equal(run_stage(stage[i]), TG_OK);
        assert_int_equal(batch->n, 1);
        assert_int_equal(batch->row[0].present, present);
    }
}

/* ---- mistakes ---- */

static void mistakes_of_programs_are_told(void **state)
{
    (void)state;
    fails("where?expr", "views >", TG_USAGE, "where?expr=views >: unexpected symbol near <eof>",
          NULL);
    fails("where?expr", "viewz > 1", TG_USAGE,
          "where?expr=viewz > 1: message 12 of chat -100123: there is no 'viewz'", NULL);
    fails("where?expr", "views > 1; x = 2", TG_USAGE, "<eof> expected", NULL);
    fails("lua?code", "x = 1", TG_USAGE, "line 1: write local x = ..., or row.x = ...", NULL);
    fails("lua?code", "\n\nviews = 1", TG_USAGE, "line 3: write row.views = ...", NULL);
    fails("lua?code", "row.id = 1", TG_USAGE, "the field id cannot be changed", NULL);
    fails("lua?code", "row.change = nil", TG_USAGE, "the field change cannot be changed", NULL);
    fails("lua?code", "row.extra = {}", TG_USAGE, "by their names", NULL);
    fails("lua?code", "row[1] = 2", TG_USAGE, "by their names only", NULL);
    fails("lua?code", "string.x = 1", TG_USAGE, "cannot be changed", NULL);
    fails("where?expr", "(function() row.x = 1 end)()", TG_USAGE, "changes nothing", NULL);
    fails("where?expr", "_ENV.x", TG_USAGE, "_ENV", NULL);
    fails("lua?file", "/nonexistent/x.lua", TG_NOT_FOUND, "/nonexistent", NULL);
    fails("where?steps", "5", TG_USAGE, "steps", NULL);
    assert_int_equal(run_stage("where?expr=id % 2"), TG_USAGE);
    assert_non_null(strstr(err.hint, "%25"));
    assert_int_equal(run_stage("where"), TG_USAGE);
    assert_int_equal(run_stage("lua"), TG_USAGE);
    assert_int_equal(run_stage("lua?code=return&file=x"), TG_USAGE);
}

static void rows_that_cannot_be_done_are_told(void **state)
{
    static const char where[] = "message 12 of chat -100123: ";

    (void)state;
    fails("where?expr", "forwards > 3", TG_DATA, "attempt to compare number with nil",
          "the field forwards has no value there");
    fails("where?expr", "forwards > 3", TG_DATA, where, NULL);
    fails("lua?code", "row.text = 5", TG_DATA,
          "line 1: the field text wants a text, not a whole number", NULL);
    fails("lua?code", "row.views = '5'", TG_DATA, "wants a whole number, not a string", NULL);
    fails("lua?code", "row.views = 1.5", TG_DATA, "not a number with a fraction", NULL);
    fails("lua?code", "row.post = 1", TG_DATA, "wants true or false", NULL);
    fails("lua?code", "row.date = 'x'", TG_DATA, "wants Unix seconds, not a string", NULL);
    fails("lua?code", "row.media = 'x'", TG_DATA, "wants a table", NULL);
    fails("lua?code", "row.text = '\\xff'", TG_DATA, "is no UTF-8", NULL);
    fails("lua?code", "row.x = {1, a = 2}", TG_DATA, "neither object nor array", NULL);
    fails("lua?code", "row.x = print", TG_USAGE, "there is no 'print'", NULL);
    fails("lua?code", "row.x = type", TG_DATA, "a function cannot stand in JSON", NULL);
    fails("lua?code", "local t = {} t.t = t row.x = t", TG_DATA, "tables in tables", NULL);
    fails("lua?code", "\n error('so what')", TG_DATA, "line 2: so what", NULL);
    fails("lua?code", "error({})", TG_DATA, "no text", NULL);
    fails("lua?code", "error(7)", TG_DATA, "no text", NULL);
    fails("lua?code", "return time('yesterday')", TG_DATA, "'yesterday' is no time", NULL);
    fails("where?expr", "text:find('[')", TG_DATA, "malformed pattern", NULL);
}

static void on_error_says_what_becomes_of_the_row(void **state)
{
    (void)state;
    sample();
    assert_int_equal(run_text("lua?on-error=keep&code", "row.text = 'x' row.y = 1 row.views = {}"),
                     TG_OK);
    assert_int_equal(batch->n, 1);
    assert_true(tg_str_eq(batch->row[0].text, TG_STR("one Two three four")));
    assert_false(batch->row[0].present & TG_ROW_BIT(extra));
    assert_int_equal(counts.failed, 1);
    assert_non_null(strstr(counts.failed_why, "chat -100123: line 1: the field views"));
    assert_int_equal(run_text("where?on-error=drop&expr", "forwards > 2"), TG_OK);
    assert_int_equal(batch->n, 0);
    assert_int_equal(counts.failed, 2);
    fails("where?on-error=keep&expr", "viewz > 2", TG_USAGE, "there is no 'viewz'", NULL);
}

/* ---- the fence ---- */

static void what_reaches_out_is_not_there(void **state)
{
    static const char *const name[] = { "io", "os", "require", "load", "loadstring", "dofile",
                                        "loadfile", "debug", "package", "coroutine", "pcall",
                                        "xpcall", "getmetatable", "setmetatable", "rawset",
                                        "rawget", "collectgarbage", "print", "warn", "_G" };
    char code[64];

    (void)state;
    for (size_t i = 0; i < TG_COUNT(name); i++) {
        snprintf(code, sizeof code, "return %s", name[i]);
        fails("lua?code", code, TG_USAGE, "there is no", NULL);
    }
    holds("string.dump == nil and ('').dump == nil and string.pack == nil", true);
    holds("math.random == nil and table.move == nil", true);
    fails("lua?code", "string.find = nil", TG_USAGE, "cannot be changed", NULL);
    fails("lua?code", "('').x = 1", TG_DATA, "attempt to index a string", NULL);
    fails("lua?code", "\x1bLua", TG_USAGE, "", NULL);
}

/* Nothing that a row's run left is seen by the next. */
static void rows_do_not_see_each_other(void **state)
{
    (void)state;
    sample();
    for (int64_t i = 0; i < 3; i++) {
        struct tg_row *row = tg_batch_row(batch);

        TG_ROW_SET(row, id, 100 + i);
        TG_ROW_SET(row, views, i);
    }
    assert_int_equal(run_text("lua?code", "if id == 101 then row.x = 1 end row.y = row.x"), TG_OK);
    assert_int_equal(batch->n, 4);
    assert_true(tg_str_eq(batch->row[2].extra, TG_STR("{\"x\":1,\"y\":1}")));
    assert_false(batch->row[3].present & TG_ROW_BIT(extra));
}

/* ---- what it costs ---- */

static double cpu_s(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Each is more than a row may take; none takes seconds. */
static void what_never_ends_is_ended(void **state)
{
    static const char *const code[] = {
        "while true do end",
        "repeat until false",
        "::a:: goto a",
        "local function f() return f() end f()",
        "for i = 1, math.huge do local s = ('x'):rep(100) end",
        "local t = {} for i = 1, 1e9 do t[1] = {t} end",
        "return (('a'):rep(4000)):find('.-.-.-.-.-b')",
        "return (('a'):rep(4000)):match('(a*)*(a*)(a*)(a*)b')",
        "return (('a'):rep(40000)):gsub('a*a*b', '')",
        "for w in (('a'):rep(40000)):gmatch('a-a-b') do end",
        "return (('x('):rep(30000)):find('%b()%b()z')",
        "local s = ('x'):rep(5e6) while true do s = s:sub(2) .. 'y' end",
        "local a, b = ('x'):rep(5e6), ('x'):rep(5e6) while a == b do end",
        "local a, b = ('x'):rep(5e6), ('x'):rep(5e6) while a <= b do end",
        "local s = ('x'):rep(5e6) while true do s:byte(1) end",
        "local s = ('1'):rep(5e6) while true do tonumber(s) end",
        "local s = ('x'):rep(5e6) while true do s:find('y', 1, true) end",
        "local t = {} for i = 1, 1e5 do t[i] = i end while true do table.insert(t, 1, 1) end",
        "local t = {} for i = 1, 5e4 do t[i] = -i end while true do table.sort(t) end",
        "local t = {} for i = 1, 5e4 do t[i] = i end while true do table.remove(t, 1) end",
        "local s = ('x'):rep(5e6) while true do utf8.len(s) end",
        "while true do row.text = text .. 'x' end",
        "row.x = 1 while true do row.x = row.x + 1 end",
        "local s = ('x'):rep(5e6) while true do row.x = s end",
        "local t = {} for i = 1, 2e5 do t[i] = i end for i = 1, 2e5 - 1 do t[i] = nil end "
        "while true do next(t) end",
    };

    (void)state;
    for (size_t i = 0; i < TG_COUNT(code); i++) {
        double began = cpu_s();

        sample();
        if (run_text("lua?code", code[i]) != TG_DATA)
            fail_msg("%s: it ended (%s)", code[i], err.message);
        if (!strstr(err.message, "it takes more than"))
            fail_msg("%s: %s", code[i], err.message);
        if (cpu_s() - began > SECONDS)
            fail_msg("%s: %.1f s", code[i], cpu_s() - began);
    }
}

static void memory_is_bounded(void **state)
{
    static const char *const code[] = {
        "local s = 'x' while true do s = s .. s end",
        "local t = {} for i = 1, 1e9 do t[i] = i end",
        "return ('x'):rep(1e9)",
        "return ('x'):rep(1e6):rep(100)",
        "local function f(n) return 1 + f(n + 1) end return f(1)",
        "return (('x'):rep(5e6):gsub('.', 'yyyy'))",
    };

    (void)state;
    for (size_t i = 0; i < TG_COUNT(code); i++) {
        sample();
        assert_int_equal(run_text("lua?steps=1000000000&code", code[i]), TG_DATA);
        if (!strstr(err.message, "it needs more than 16384 KiB") &&
            !strstr(err.message, "stack overflow"))
            fail_msg("%s: %s", code[i], err.message);
    }
    fails("lua?memory=64MiB&code", "local s = ('x'):rep(2e7) row.n = #s error('got there')",
          TG_DATA, "got there", NULL);
}

/* After a row that failed, others are done as if it had not been. */
static void a_failure_leaves_nothing_behind(void **state)
{
    (void)state;
    sample();
    for (int64_t i = 1; i < ROWS; i++) {
        struct tg_row *row = tg_batch_row(batch);

        TG_ROW_SET(row, id, 100 + i);
    }
    assert_int_equal(run_text("lua?on-error=keep&code",
                              "if id % 3 == 0 then while true do end end "
                              "if id % 3 == 1 then local s = 'x' while true do s = s .. s end end "
                              "row.ok = true"),
                     TG_OK);
    assert_int_equal(counts.failed, 5);
    for (size_t i = 0; i < ROWS; i++)
        assert_int_equal(tg_str_eq(batch->row[i].extra, TG_STR("{\"ok\":true}")),
                         batch->row[i].id % 3 == 2);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(expressions_judge_rows),
        TEST(a_text_that_is_not_there_is_empty),
        TEST(programs_change_rows),
        TEST(what_was_added_stays),
        TEST(deletions_pass),
        TEST(mistakes_of_programs_are_told),
        TEST(rows_that_cannot_be_done_are_told),
        TEST(on_error_says_what_becomes_of_the_row),
        TEST(what_reaches_out_is_not_there),
        TEST(rows_do_not_see_each_other),
        TEST(what_never_ends_is_ended),
        TEST(memory_is_bounded),
        TEST(a_failure_leaves_nothing_behind),
    };

#ifndef TG_HAVE_LUA
    return 77;
#endif
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
/*
 * cli_table.c - the table of chats at work: its text at given sizes, and how it is redrawn in place
 *
 * A small screen understands what the table sends: printable text, line ends, cursor up, and the
 * two ways to clear. Lines wrap where the screen ends.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "cli/table.h"
#include "cli/term.h"

static const struct tg_progress_chat three[] = {
    { .title = "Old friends",
      .account = "/srv/sessions/archive.session",
      .state = "waiting",
      .rows = 8800,
      .expected = 10000,
      .eta_s = -1,
      .flood_wait_s = 16.2,
      .waiting_for = "messages.getHistory" },
    { .title = "Harbour news of the northern shore",
      .account = "work",
      .state = "reading",
      .rows = 31204,
      .expected = 50000,
      .rows_per_s = 4100,
      .eta_s = 4.6 },
    { .title = "Empty\033[2J\n",
      .account = ".session",
      .state = "starting",
      .expected = -1,
      .eta_s = -1 },
};

static struct tg_progress of_three(void)
{
    return (struct tg_progress){ .n_chats = 100,
                                 .n_done = 12,
                                 .n_accounts = 5,
                                 .rows_total = 1234567,
                                 .bytes_out = 56300000,
                                 .at_work = three,
                                 .n_at_work = TG_COUNT(three) };
}

static char *text_of(const struct tg_progress *now, size_t width, size_t height)
{
    struct table_look look = { .width = width, .height = height };
    uint16_t columns[TABLE_LINES_MAX];
    struct tg_buf out;
    char *copy;

    tg_buf_init(&out, 1 << 20);
    table_text(&out, now, &look, columns);
    copy = strdup(tg_buf_cstr(&out));
    tg_buf_done(&out);
    return copy;
}

static void test_text(void **state)
{
    static const struct {
        size_t width, height;
        const char *text;
    } row[] = {
        { 120, 24,
          "chat                          account                rows  done       "
          "rate       ETA  state\n"
          "Harbour news of the northern  work                 31,204   62%    4,1"
          "00/s      0:05  reading\n"
          "Empty?[2J?                    .session                  0     -       "
          "   -         -  starting\n"
          "Old friends                   archive               8,800   88%       "
          "   -         -  waits 17 s: messages.getHistory\n"
          "12 of 100 chats, 5 accounts: 1,234,567 rows  4,100/s  56 MB\n" },
        { 80, 24,
          "chat            account          rows  done       rate       ETA  state\n"
          "Harbour news o  work           31,204   62%    4,100/s      0:05  reading\n"
          "Empty?[2J?      .session            0     -          -         -  starting\n"
          "Old friends     archive         8,800   88%          -         -  waits 17 s\n"
          "12 of 100 chats, 5 accounts: 1,234,567 rows  4,100/s  56 MB\n" },
        { 50, 24,
          "chat               rows       rate  state\n"
          "Harbour ne       31,204    4,100/s  reading\n"
          "Empty?[2J?            0          -  starting\n"
          "Old friend        8,800          -  waits 17 s\n"
          "12 of 100 chats, 5 accounts: 1,234,567 rows  4,10\n" },
        { 24, 24,
          "chat               rows\n"
          "Harbour ne       31,204\n"
          "Empty?[2J?            0\n"
          "Old friend        8,800\n"
          "12 of 100 chats, 5 acco\n" },
        { 50, 5,
          "chat               rows       rate  state\n"
          "Harbour ne       31,204    4,100/s  reading\n"
          "... and 2 more\n"
          "12 of 100 chats, 5 accounts: 1,234,567 rows  4,10\n" },
        { 80, 4, "12 of 100 chats, 5 accounts: 1,234,567 rows  4,100/s  56 MB\n" },
        { 9, 24, "12 of 10\n" },
    };
    struct tg_progress now = of_three();

    (void)state;
    for (size_t i = 0; i < TG_COUNT(row); i++) {
        char *text = text_of(&now, row[i].width, row[i].height);

        assert_string_equal(text, row[i].text);
        free(text);
    }
    now.n_chats = 15; /* all that are left are at work */
    now.n_accounts = 1;
    char *text = text_of(&now, 80, 24);

    assert_string_equal(
        text, "chat                             rows  done       rate       ETA  state\n"
              "Harbour news of the nort       31,204   62%    4,100/s      0:05  reading\n"
              "Empty?[2J?                          0     -          -         -  starting\n"
              "Old friends                     8,800   88%          -         -  waits 17 s\n"
              "12 of 15 chats: 1,234,567 rows  4,100/s  56 MB  ETA 0:05\n");
    free(text);
}

static void test_before_and_after(void **state)
{
    struct tg_progress now = { .n_chats = 3,
                               .n_accounts = 1,
                               .waiting_for = "account.initTakeoutSession",
                               .flood_wait_s = 86400 };
    char *text = text_of(&now, 80, 24);

    (void)state;
    assert_string_equal(text, "0 of 3 chats: 0 rows  0/s  waits 86400 s: "
                              "account.initTakeoutSession\n");
    free(text);
}

/* ---- many ---- */

enum { MANY = 500 };

static struct tg_progress_chat many[MANY];

static struct tg_progress of_many(uint64_t seed, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint64_t x = (seed * MANY + i + 1) * UINT64_C(0x9e3779b97f4a7c15);

        x ^= x >> 31;
        many[i] = (struct tg_progress_chat){
            .title = x % 3 ? "News 日本語 été and more" : "x",
            .account = "a.session",
            .state = "reading",
            .rows = (int64_t)(x >> 20 & 0xffffff),
            .expected = (int64_t)(x >> 10 & 0xffffff) - 100,
            .rows_per_s = x % 5 ? (double)(x >> 40 & 0xfffff) / 7 : 0,
            .eta_s = (double)(x >> 50) - 100,
            .flood_wait_s = x % 7 == 0,
            .waiting_for = "messages.getHistory",
        };
    }
    return (struct tg_progress){ .n_chats = 1000,
                                 .n_done = 400,
                                 .n_accounts = 1 + seed % 3,
                                 .at_work = many,
                                 .n_at_work = n };
}

/* Whatever the size: nothing is wider or higher than the terminal, and the counts are right. */
static void test_fits(void **state)
{
    (void)state;
    for (size_t width = 0; width < 160; width += 1 + width / 30)
        for (size_t height = 0; height < 70; height += 1 + height / 8) {
            struct tg_progress now = of_many(width + height, 40);
            struct table_look look = { .width = width, .height = height, .colour = height % 2 };
            uint16_t columns[TABLE_LINES_MAX];
            struct tg_buf out;
            size_t n, lines = 0;

            tg_buf_init(&out, 1 << 20);
            n = table_text(&out, &now, &look, columns);
            for (const char *at = tg_buf_cstr(&out); (at = strchr(at, '\n')); at++)
                lines++;
            assert_int_equal(n, lines);
            assert_true(n >= 1 && n <= TG_MAX(height, (size_t)2) - 1);
            for (size_t i = 0; i < n; i++)
                assert_true(columns[i] <= TG_MAX(width, (size_t)2) - 1);
            tg_buf_done(&out);
        }
}

/* Those that were left out are no more active than the last one shown, but for a factor of four. */
static void test_most_active(void **state)
{
    struct tg_progress now = of_many(7, MANY);
    char *text = text_of(&now, 200, 23), *line = text;
    double last = 1e300;

    (void)state;
    strsep(&line, "\n");
    for (int i = 0; i < 19; i++) {
        char *shown = strsep(&line, "\n"), *slash = strstr(shown, "/s"), *at = slash;
        double rate = 0, unit = 1;

        for (; at && at[-1] != ' '; at--)
            if (at[-1] != ',') {
                rate += (at[-1] - '0') * unit;
                unit *= 10;
            }
        assert_true(rate <= last * 4.01);
        last = rate;
    }
    for (size_t i = 0, more = 0; i < MANY; i++) {
        more += many[i].rows_per_s > last * 4.01;
        assert_true(more < 20);
    }
    assert_string_equal(strsep(&line, "\n"), "... and 481 more");
    free(text);
}

/* ---- the screen ---- */

enum { ROWS_MAX = 60, WIDTH_MAX = 120 };

struct screen {
    char cell[ROWS_MAX][WIDTH_MAX + 1];
    size_t width, row, column;
};

static void screen_clear(struct screen *s, size_t row, size_t column)
{
    memset(s->cell[row] + column, ' ', WIDTH_MAX - column);
}

static void screen_put(struct screen *s, const char *text)
{
    for (; *text; text++) {
        unsigned n = 0;
        char what;
        int used = 0;

        if (*text == '\r') {
            s->column = 0;
        } else if (*text == '\n') { /* the terminal adds the \r */
            s->column = 0;
            s->row++;
        } else if (*text != '\033') {
            if (s->column == s->width) {
                s->column = 0;
                s->row++;
            }
            s->cell[s->row][s->column++] = *text;
        } else {
            if (sscanf(text, "\033[%u%c%n", &n, &what, &used) < 2)
                assert_int_equal(sscanf(text, "\033[%c%n", &what, &used), 1);
            text += used - 1;
            assert_true(what == 'A' || what == 'K' || what == 'J');
            if (what == 'A')
                s->row -= n;
            if (what != 'A')
                screen_clear(s, s->row, s->column);
            for (size_t i = s->row + 1; what == 'J' && i < ROWS_MAX; i++)
                screen_clear(s, i, 0);
        }
        assert_true(s->row < ROWS_MAX);
    }
}

static void check_screen(const struct screen *s, size_t row, const char *text)
{
    for (const char *end; (end = strchr(text, '\n')); text = end + 1, row++) {
        size_t len = (size_t)(end - text);

        assert_memory_equal(s->cell[row], text, len);
        for (size_t i = len; i < WIDTH_MAX; i++)
            assert_int_equal(s->cell[row][i], ' ');
    }
    for (; row < ROWS_MAX; row++)
        for (size_t i = 0; i < WIDTH_MAX; i++)
            assert_int_equal(s->cell[row][i], ' ');
}

/* Tables of changing heights and contents, with lines written between: each stands alone. */
static void test_in_place(void **state)
{
    static struct screen s;
    struct cli_table t = { .n = 0 };
    size_t top = 1;

    (void)state;
    for (size_t i = 0; i < ROWS_MAX; i++)
        screen_clear(&s, i, 0);
    s.width = 100;
    screen_put(&s, "above\n");
    for (uint64_t i = 0; i < 60; i++) {
        struct tg_progress now = of_many(i, i * 7 % 40);
        struct table_look look = { .width = s.width, .height = 4 + i * 5 % 21 };
        struct tg_buf out;
        char *text;

        for (size_t k = 0; k < now.n_at_work; k++)
            many[k].title = "a title"; /* a cell for each byte */
        text = text_of(&now, look.width, look.height);
        tg_buf_init(&out, 1 << 20);
        table_draw(&t, &out, &now, &look);
        screen_put(&s, tg_buf_cstr(&out));
        check_screen(&s, top, text);
        if (i % 10 == 9) {
            tg_buf_clear(&out);
            table_clear(&t, &out, s.width);
            tg_buf_str(&out, "a note\n");
            screen_put(&s, tg_buf_cstr(&out));
            check_screen(&s, top++, "a note\n");
        }
        tg_buf_done(&out);
        free(text);
    }
    assert_memory_equal(s.cell[0], "above", 5);
    assert_memory_equal(s.cell[6], "a note", 6);
}

/* The terminal became narrower and wrapped what stood there. */
static void test_narrower(void **state)
{
    static struct screen s;
    struct cli_table t = { .n = 0 };
    struct tg_progress now = of_three();
    struct table_look look = { .width = 80, .height = 24 };
    struct tg_buf out;
    char *text = text_of(&now, 80, 24);

    (void)state;
    for (size_t i = 0; i < ROWS_MAX; i++)
        screen_clear(&s, i, 0);
    tg_buf_init(&out, 1 << 20);
    table_draw(&t, &out, &now, &look);
    s.width = 30; /* as if the terminal had wrapped it */
    screen_put(&s, "above\n");
    screen_put(&s, text);
    free(text);
    tg_buf_clear(&out);
    look.width = s.width;
    table_draw(&t, &out, &now, &look);
    screen_put(&s, tg_buf_cstr(&out));
    text = text_of(&now, 30, 24);
    check_screen(&s, 1, text);
    assert_memory_equal(s.cell[0], "above ", 6);
    free(text);
    tg_buf_done(&out);
}

static int set_up(void **state)
{
    (void)state;
    term_init();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_before_and_after),
        cmocka_unit_test(test_fits),
        cmocka_unit_test(test_most_active),
        cmocka_unit_test(test_in_place),
        cmocka_unit_test(test_narrower),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}

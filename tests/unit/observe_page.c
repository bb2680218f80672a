/* SPDX-License-Identifier: MIT */
/*
 * observe_page.c - who may ask the HTTP server for what, and the history of its charts
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "observe/guard.h"
#include "observe/history.h"
#include "seeds.h"

static void hosts(void **state)
{
    static const struct {
        const char *host;
        bool ok;
    } row[] = {
        { NULL, true },
        { "127.0.0.1", true },
        { "127.0.0.1:9464", true },
        { "10.1.2.3:80", true },
        { "[::1]:9464", true },
        { "[::1]", true },
        { "localhost", true },
        { "LocalHost:9464", true },
        { "", false },
        { "evil.example", false },
        { "evil.example:9464", false },
        { "localhost.evil.example", false },
        { "127.0.0.1.evil.example", false },
        { "127.0.0.1:9464.evil.example", false },
        { "127.0.0.1:evil", false },
        { "[::1", false },
        { "[::1]x", false },
        { "[evil.example]:1", false },
        { "2130706433", false },
        { "127.1", false },
        { "localhost:1:2", false },
        { "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", false },
    };

    (void)state;
    for (size_t i = 0; i < TG_COUNT(row); i++)
        if (tg_guard_host(row[i].host) != row[i].ok)
            fail_msg("Host: %s", row[i].host ? row[i].host : "(none)");
}

static void origins(void **state)
{
    static const struct {
        const char *origin, *host;
        bool ok;
    } row[] = {
        { NULL, "127.0.0.1:9464", true },
        { "http://127.0.0.1:9464", "127.0.0.1:9464", true },
        { "https://etl.example", "ETL.example", true },
        { "http://127.0.0.1:9465", "127.0.0.1:9464", false },
        { "http://127.0.0.1", "127.0.0.1:9464", false },
        { "http://evil.example", "127.0.0.1:9464", false },
        { "http://127.0.0.1:9464.evil.example", "127.0.0.1:9464", false },
        { "null", "127.0.0.1:9464", false },
        { "", "127.0.0.1:9464", false },
        { "file://127.0.0.1:9464", "127.0.0.1:9464", false },
        { "http://127.0.0.1:9464", NULL, false },
    };

    (void)state;
    for (size_t i = 0; i < TG_COUNT(row); i++)
        if (tg_guard_origin(row[i].origin, row[i].host) != row[i].ok)
            fail_msg("Origin: %s", row[i].origin ? row[i].origin : "(none)");
}

static void tokens(void **state)
{
    static const char right[] = "0123456789abcdef";
    char longer[TG_TOKEN_MAX + 64];

    (void)state;
    assert_true(tg_guard_token("Bearer 0123456789abcdef", right));
    assert_true(tg_guard_token("bearer 0123456789abcdef", right));
    assert_false(tg_guard_token(NULL, right));
    assert_false(tg_guard_token("", right));
    assert_false(tg_guard_token("Bearer", right));
    assert_false(tg_guard_token("Bearer ", right));
    assert_false(tg_guard_token("Bearer ", ""));
    assert_false(tg_guard_token("Basic 0123456789abcdef", right));
    assert_false(tg_guard_token("Bearer 0123456789abcde", right));
    assert_false(tg_guard_token("Bearer 0123456789abcdef0", right));
    assert_false(tg_guard_token("Bearer 0123456789abcdeF", right));
    snprintf(longer, sizeof longer, "Bearer %0*d", TG_TOKEN_MAX + 1, 0);
    assert_false(tg_guard_token(longer, right));
}

static void token_files(void **state)
{
    static const struct {
        const char *text;
        tg_code code;
    } row[] = {
        { "0123456789abcdef\n", TG_OK },  { "0123456789abcdef", TG_OK },
        { "0123456789abcdef\r\n", TG_OK }, { "short\n", TG_USAGE },
        { "", TG_USAGE },                 { "0123456789 abcdef", TG_USAGE },
        { "0123456789\tabcdef", TG_USAGE },
    };
    char path[] = "/tmp/tgdata-token-XXXXXX", token[TG_TOKEN_MAX + 1];
    struct tg_error err;
    int fd = mkstemp(path);

    (void)state;
    assert_true(fd >= 0);
    close(fd);
    for (size_t i = 0; i < TG_COUNT(row); i++) {
        FILE *f = fopen(path, "w");

        fputs(row[i].text, f);
        fclose(f);
        assert_int_equal(tg_token_read(path, token, &err), row[i].code);
        assert_string_equal(token, row[i].code == TG_OK ? "0123456789abcdef" : "");
    }
    unlink(path);
    assert_int_equal(tg_token_read(path, token, &err), TG_IO);
    unsetenv("TGDATA_LISTEN_TOKEN");
    assert_int_equal(tg_token_read(NULL, token, &err), TG_OK);
    assert_string_equal(token, "");
    setenv("TGDATA_LISTEN_TOKEN", "of the environment", 1);
    assert_int_equal(tg_token_read(NULL, token, &err), TG_USAGE);
    setenv("TGDATA_LISTEN_TOKEN", "of-the-environment", 1);
    assert_int_equal(tg_token_read(NULL, token, &err), TG_OK);
    assert_string_equal(token, "of-the-environment");
    unsetenv("TGDATA_LISTEN_TOKEN");
}

/* Whatever the pace of looks: what the samples sum up to is what was counted until the last one. */
static void history_of(uint64_t seed)
{
    struct tg_metrics *m = tg_metrics_new(0);
    struct tg_history *h = calloc(1, sizeof *h);
    struct random r = { seed };
    int64_t now_us = 0, at_us = 0;
    double counted = 0, seen = 0, told = 0;
    uint64_t before = 0;

    assert_true(m && h);
    tg_history_init(h, 0);
    for (int i = 0; i < 3000; i++) {
        double n = (double)below(&r, 50);

        tg_metrics_rows(m, n, now_us);
        counted += n;
        now_us += (int64_t)below(&r, 2 * (unsigned)TG_SECOND_US);
        tg_history_look(h, m, now_us);
        if (h->n == before)
            continue;
        assert_int_equal(h->n, before + 1);
        assert_true(now_us - at_us >= TG_HISTORY_STEP_US);
        told += h->at[TG_HISTORY_READ][before % TG_HISTORY_MAX] * (double)(now_us - at_us) / 1e6;
        assert_true(isnan(h->at[TG_HISTORY_LAG][before % TG_HISTORY_MAX]));
        seen = counted;
        at_us = now_us;
        before = h->n;
    }
    assert_true(fabs(told - seen) < 1 + 1e-3 * seen);
    free(h);
    tg_metrics_free(m);
}

static void history(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 40; seed++)
        history_of(seed);
}

static void history_as_json(void **state)
{
    struct tg_metrics *m = tg_metrics_new(0);
    struct tg_history h;
    struct tg_json j;
    struct tg_buf out;

    (void)state;
    tg_history_init(&h, 0);
    for (int i = 1; i <= TG_HISTORY_MAX + 2; i++) {
        if (i % 2)
            tg_metrics_observe(m, TG_METRIC_LAG, 0.25);
        tg_metrics_rows(m, 10, i * TG_HISTORY_STEP_US);
        tg_history_look(&h, m, i * TG_HISTORY_STEP_US);
    }
    tg_buf_init(&out, 1 << 20);
    tg_json_init(&j, &out);
    tg_history_put(&h, TG_HISTORY_MAX, h.last_us + TG_SECOND_US, 1700000001, &j);
    assert_non_null(strstr(tg_buf_cstr(&out), "{\"step_s\":5,\"first\":720,\"next\":722,"
                                              "\"until\":\"2023-11-14T22:13:20Z\","
                                              "\"read_per_s\":[2,2],\"committed_per_s\":[0,0],"
                                              "\"lag_s\":[0.25,null],"));
    tg_buf_clear(&out);
    tg_json_init(&j, &out);
    tg_history_put(&h, 0, h.last_us, 0, &j); /* no more than there is */
    assert_non_null(strstr(tg_buf_cstr(&out), "\"first\":2,\"next\":722,"));
    tg_buf_clear(&out);
    tg_json_init(&j, &out);
    tg_history_put(&h, 5000, h.last_us, 0, &j);
    assert_non_null(strstr(tg_buf_cstr(&out), "\"first\":722,\"next\":722,"));
    tg_buf_done(&out);
    tg_metrics_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hosts),       cmocka_unit_test(origins), cmocka_unit_test(tokens),
        cmocka_unit_test(token_files), cmocka_unit_test(history), cmocka_unit_test(history_as_json),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

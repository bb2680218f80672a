/* SPDX-License-Identifier: MIT */
/*
 * observer.c - an observer that brings its numbers to everybody, with nobody there; and that what
 * Prometheus is told by remote write is what it would have scraped
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "client/http.h"
#include "observe/observer.h"
#include "observe/remote.h"
#include "os/proc.h"
#include "tests/seeds.h"

/* ---- remote write ---- */

static uint64_t varint(const uint8_t **at)
{
    uint64_t v = 0;

    for (int shift = 0;; shift += 7) {
        v |= (uint64_t)(**at & 0x7f) << shift;
        if (!(*(*at)++ & 0x80))
            return v;
    }
}

/* Snappy with literals alone. */
static void unpack(const struct tg_buf *packed, struct tg_buf *out)
{
    const uint8_t *at = packed->data, *end = at + packed->len;
    uint64_t whole = varint(&at);

    while (at < end) {
        size_t n;

        assert_int_equal(*at, 61 << 2);
        n = 1 + at[1] + ((size_t)at[2] << 8);
        tg_buf_add(out, at + 3, n);
        at += 3 + n;
    }
    assert_ptr_equal(at, end);
    assert_int_equal(out->len, whole);
}

/* The next field, which has bytes. */
static const uint8_t *field(const uint8_t **at, unsigned number, size_t *ret_n)
{
    const uint8_t *bytes;

    assert_int_equal(varint(at), number << 3 | 2);
    *ret_n = varint(at);
    bytes = *at;
    *at += *ret_n;
    return bytes;
}

struct label {
    char name[64], value[256];
};

static struct label read_label(const uint8_t **at)
{
    struct label ret;
    size_t n;
    const uint8_t *l = field(at, 1, &n), *end = l + n, *bytes;

    bytes = field(&l, 1, &n);
    snprintf(ret.name, sizeof ret.name, "%.*s", (int)n, (const char *)bytes);
    bytes = field(&l, 2, &n);
    snprintf(ret.value, sizeof ret.value, "%.*s", (int)n, (const char *)bytes);
    assert_ptr_equal(l, end);
    return ret;
}

/* A series as a line of the text form, but without job and instance. */
static void put_line(struct tg_buf *out, const uint8_t *at, const uint8_t *end)
{
    struct label last = { .name = "" };
    const uint8_t *sample;
    struct tg_json j;
    bool first = true;
    double v;
    size_t n;

    while (at < end && *at == (1 << 3 | 2)) {
        struct label l = read_label(&at);

        assert_true(strcmp(last.name, l.name) < 0); /* in order */
        last = l;
        if (strcmp(l.name, "__name__") == 0) {
            tg_buf_str(out, l.value);
        } else if (strcmp(l.name, "job") == 0) {
            assert_string_equal(l.value, "nightly");
        } else if (strcmp(l.name, "instance") == 0) {
            assert_string_equal(l.value, "host");
        } else {
            tg_buf_printf(out, "%c%s=\"%s\"", first ? '{' : ',', l.name, l.value);
            first = false;
        }
    }
    sample = field(&at, 2, &n);
    assert_ptr_equal(at, end);
    assert_int_equal(*sample, 1 << 3 | 1);
    memcpy(&v, sample + 1, sizeof v);
    sample += 10;
    assert_int_equal(varint(&sample), 1700000000123);
    tg_buf_str(out, first ? " " : "} ");
    tg_json_init(&j, out);
    tg_json_double(&j, v);
    tg_buf_byte(out, '\n');
}

static void fill(struct tg_metrics *m, struct random *r)
{
    for (int i = 0; i < 300; i++) {
        char name[16];

        snprintf(name, sizeof name, "m%u", below(r, 30));
        tg_metrics_add(m, TG_METRIC_CALLS, name, chance(r, 80) ? "ok" : "NetworkError", 1);
        tg_metrics_observe(m, TG_METRIC_LAG, (double)below(r, 1u << below(r, 20)) / 100);
        tg_metrics_set(m, TG_METRIC_LIMIT_USAGE, name, NULL, below(r, 1000) / 1000.0);
        tg_metrics_rows(m, below(r, 100), i);
    }
}

static void remote_write_tells_what_is_scraped(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 50; seed++) {
        struct random r = { seed };
        struct tg_metrics *m = tg_metrics_new(0);
        struct tg_buf buf[5], *packed = &buf[1], *back = &buf[2], *lines = &buf[3], *text = &buf[4];
        struct tg_remote remote = { .job = "nightly", .instance = "host", .out = &buf[0],
                                    .unix_ms = 1700000000123 };
        const uint8_t *at;
        size_t n_lines = 0, n_text = 0;

        assert_non_null(m);
        fill(m, &r);
        for (size_t i = 0; i < TG_COUNT(buf); i++)
            tg_buf_init(&buf[i], 4 << 20);
        tg_metrics_read(m, 0, 1000, tg_remote_put, &remote);
        tg_remote_pack(packed, &buf[0]);
        unpack(packed, back);
        for (at = back->data; at < back->data + back->len;) {
            size_t n;
            const uint8_t *series = field(&at, 1, &n);

            put_line(lines, series, series + n);
            n_lines++;
        }
        tg_metrics_put_text(m, 1000, text);
        tg_buf_byte(text, 0);
        for (char *rest = (char *)text->data, *line; (line = strsep(&rest, "\n"));) {
            if (*line == '#' || !*line)
                continue;
            n_text++;
            if (!strstr(tg_buf_cstr(lines), line))
                fail_msg("seed %llu: %s is not told", (unsigned long long)seed, line);
        }
        assert_int_equal(n_lines, n_text);
        for (size_t i = 0; i < TG_COUNT(buf); i++)
            tg_buf_done(&buf[i]);
        tg_metrics_free(m);
    }
}

/* ---- readers ---- */

struct sum {
    double calls, gauge;
    uint64_t seen;
    size_t up_to; /* places that count */
};

static void add(void *ctx, const struct tg_metric_sample *s)
{
    struct sum *sum = ctx;

    if (s->info == &tg_metric_info[TG_METRIC_LIMIT_USAGE])
        sum->gauge = s->v;
    if (s->place > sum->up_to)
        return;
    if (s->info == &tg_metric_info[TG_METRIC_CALLS])
        sum->calls += s->v;
    if (s->info == &tg_metric_info[TG_METRIC_LAG])
        sum->seen += s->all;
}

/* What a reader takes adds up to all there was, whatever was given to it in vain, or taken in part,
 * and whatever another one does. */
static void readers_are_told_everything_once(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 300; seed++) {
        struct random r = { seed };
        struct tg_metrics *m = tg_metrics_new(0);
        struct sum taken[2] = { { .up_to = SIZE_MAX }, { .up_to = SIZE_MAX } };

        assert_non_null(m);
        for (int i = 0; i < 60; i++) {
            unsigned reader = below(&r, 2);
            struct sum given = { .up_to = chance(&r, 50) ? SIZE_MAX : below(&r, 8) };

            tg_metrics_add(m, TG_METRIC_CALLS, chance(&r, 50) ? "a" : "b", "ok", below(&r, 5));
            tg_metrics_observe(m, TG_METRIC_LAG, below(&r, 100));
            tg_metrics_set(m, TG_METRIC_LIMIT_USAGE, "x", NULL, i);
            tg_metrics_read(m, reader, i, add, &given);
            assert_true(given.gauge == i);
            if (chance(&r, 50) && i < 58)
                continue;
            if (chance(&r, 20)) /* behind what was given */
                tg_metrics_add(m, TG_METRIC_CALLS, "new", "ok", 1);
            tg_metrics_take(m, reader, given.up_to);
            taken[reader].calls += given.calls;
            taken[reader].seen += given.seen;
        }
        for (unsigned reader = 0; reader < 2; reader++) {
            tg_metrics_read(m, reader, 60, add, &taken[reader]);
            if (taken[reader].calls != tg_metrics_sum(m, TG_METRIC_CALLS) ||
                taken[reader].seen != 60)
                fail_msg("seed %llu: %g of %g", (unsigned long long)seed, taken[reader].calls,
                         tg_metrics_sum(m, TG_METRIC_CALLS));
        }
        tg_metrics_free(m);
    }
}

/* ---- all of it, with nobody there ---- */

static void set(struct tg_config *c, const char *name, const char *value)
{
    struct tg_error err;

    assert_int_equal(tg_config_set(c, name, value, &err), TG_OK);
}

static bool told(struct tg_observer *o, const char *what)
{
    size_t n = tg_metrics_text(o, NULL, 0) + 4096;
    char *text = malloc(n);
    bool found;

    assert_non_null(text);
    tg_metrics_text(o, text, n);
    found = strstr(text, what) != NULL;
    free(text);
    return found;
}

static void nobody_is_there(void **state)
{
    static const char *const wanted[] = {
        "tgdata_metrics_pushes_total{to=\"endpoint\",outcome=\"failed\"}",
        "tgdata_metrics_pushes_total{to=\"statsd\",outcome=\"failed\"}",
        "tgdata_alert_firing{alert=\"error_rate\"} 1",
        "tgdata_alert_posts_total{outcome=\"failed\"}",
    };
    struct tg_config *c = tg_config_new();
    char line[TG_OBSERVE_NEWS];
    struct tg_observer *o;
    struct tg_error err;
    unsigned n = 0, secrets = 0;

    (void)state;
    assert_non_null(c);
    assert_false(tg_observer_wanted(c));
    set(c, "metrics-endpoint", "http://127.0.0.1:9");
    set(c, "export-interval", "100ms");
    set(c, "statsd", "9");
    set(c, "alert-error-rate", "5");
    set(c, "alert-hold", "0");
    set(c, "alert-interval", "50ms");
    set(c, "alert-webhook", "http://127.0.0.1:9/hooks/s3cr3t");
    set(c, "alert-token", "t0k3n");
    assert_true(tg_observer_wanted(c));
    assert_int_equal(tg_observer_new(c, &o, &err), TG_OK);
    tg_config_free(c); /* what it needs it has */
    for (int i = 0; i < 20; i++)
        tg_observe_attempt(o, i % 2);
    for (size_t i = 0; i < TG_COUNT(wanted); i++)
        while (!told(o, wanted[i])) /* the test's time-out ends it */
            tg_sleep_us(20 * TG_MS_US);
    while (tg_observe_news(o, line)) {
        n++;
        secrets += strstr(line, "s3cr3t") || strstr(line, "t0k3n");
    }
    assert_in_range(n, 4, 16);
    assert_int_equal(secrets, 0);
    tg_observer_free(o);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(remote_write_tells_what_is_scraped),
        cmocka_unit_test(readers_are_told_everything_once),
        cmocka_unit_test(nobody_is_there),
    };
    struct tg_http *http;
    struct tg_error err;

    if (tg_http_new(NULL, &http, &err) != TG_OK)
        return 77;
    tg_http_free(http);
    return cmocka_run_group_tests(tests, NULL, NULL);
}

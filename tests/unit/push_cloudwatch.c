/* SPDX-License-Identifier: MIT */
/*
 * push_cloudwatch.c - a push of more data than one request has: one that is refused in the middle
 * leaves what was accepted before it alone, so that sums are right
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <netinet/in.h>

#include <cmocka.h>

#include "observe/metrics.h"
#include "observe/push_impl.h"
#include "os/queue.h"

enum { BODY_MAX = 1 << 20, SERIES = 5 * TG_METRIC_SERIES_MAX, REFUSED_MAX = 8 };

/* ---- a service that adds up what it accepts ---- */

static struct service {
    int listens;
    unsigned n, refuses; /* requests so far; bit per request that is refused */
    double sum;
    pthread_t thread;
} service;

/* All numbers that are a "Value"; those of dimensions are texts. */
static double values(const char *body)
{
    static const char key[] = "\"Value\":";
    double sum = 0;

    for (const char *at = body; (at = strstr(at, key)); at++)
        sum += strtod(at + sizeof key - 1, NULL);
    return sum;
}

/* Reads a request. @return its body; NULL: there is none */
static const char *read_request(int fd, char *text)
{
    size_t n = 0, length = 0;
    const char *body = NULL, *field;
    ssize_t got;

    while (n < BODY_MAX - 1 && (got = read(fd, text + n, BODY_MAX - 1 - n)) > 0) {
        n += (size_t)got;
        text[n] = 0;
        body = strstr(text, "\r\n\r\n");
        field = strcasestr(text, "content-length:");
        if (!body || !field)
            continue;
        body += 4;
        length = strtoul(field + 15, NULL, 10);
        if (strlen(body) >= length)
            return body;
    }
    return NULL;
}

static void *serve(void *arg)
{
    char *text = malloc(BODY_MAX);
    int fd;

    (void)arg;
    while (text && (fd = accept(service.listens, NULL, NULL)) >= 0) {
        const char *body = read_request(fd, text);
        bool refused = service.refuses >> service.n & 1;
        char answer[128];
        int n = snprintf(answer, sizeof answer,
                         "HTTP/1.1 %s\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}",
                         refused ? "400 no" : "200 ok");

        if (body) {
            service.n++;
            service.sum += refused ? 0 : values(body);
        }
        if (write(fd, answer, (size_t)n) != n)
            service.n = REFUSED_MAX; /* is seen by the test */
        close(fd);
    }
    free(text);
    return NULL;
}

static void start_service(unsigned refuses)
{
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof at;
    char url[64];

    service = (struct service){ .refuses = refuses };
    service.listens = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(service.listens, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(listen(service.listens, 8), 0);
    assert_int_equal(getsockname(service.listens, (struct sockaddr *)&at, &len), 0);
    snprintf(url, sizeof url, "http://127.0.0.1:%u", ntohs(at.sin_port));
    setenv("AWS_ENDPOINT_URL_CLOUDWATCH", url, 1);
    assert_int_equal(pthread_create(&service.thread, NULL, serve, NULL), 0);
}

static void stop_service(void)
{
    shutdown(service.listens, SHUT_RDWR);
    pthread_join(service.thread, NULL);
    close(service.listens);
}

/* ---- what is pushed ---- */

static void read_metrics(void *ctx, unsigned reader,
                         void (*put)(void *ctx, const struct tg_metric_sample *sample), void *arg)
{
    tg_metrics_read(ctx, reader, 0, put, arg);
}

static void take_metrics(void *ctx, unsigned reader, size_t place)
{
    tg_metrics_take(ctx, reader, place);
}

/* One more in each of as many series as there may be. */
static void count_all(struct tg_metrics *m)
{
    static const enum tg_metric metric[] = { TG_METRIC_CALLS, TG_METRIC_RETRIES, TG_METRIC_FLOODS,
                                             TG_METRIC_FLOOD_SECONDS, TG_METRIC_CIRCUITS };
    char label[32];

    for (size_t i = 0; i < TG_COUNT(metric); i++) {
        for (int k = 0; k < TG_METRIC_SERIES_MAX; k++) {
            snprintf(label, sizeof label, "l%d", k);
            tg_metrics_add(m, metric[i], label, tg_metric_info[metric[i]].label[1] ? "x" : NULL, 1);
        }
    }
}

/* Pushes until it works once more than it fails. */
static void push(unsigned refuses, unsigned fails)
{
    struct tg_metrics *m = tg_metrics_new(0);
    const struct tg_push_options options = { .where = "tests", .job = "job", .read = read_metrics,
                                             .take = take_metrics, .ctx = m };
    struct tg_error err;
    void *self = NULL;

    start_service(refuses);
    assert_int_equal(tg_push_cloudwatch.open(&options, &self, &err), TG_OK);
    for (unsigned i = 0; i <= fails; i++) {
        count_all(m);
        assert_int_equal(tg_push_cloudwatch.send(self, &options, &err) == TG_OK, i == fails);
    }
    assert_true(service.sum == (double)SERIES * (fails + 1));
    tg_push_cloudwatch.close(self);
    stop_service();
    tg_metrics_free(m);
}

static void what_is_accepted_counts_once(void **state)
{
    (void)state;
    push(0, 0);
    push(1 << 1, 1);           /* the second half of the first push */
    push(1 << 0, 1);           /* its first */
    push(1 << 1 | 1 << 3, 2);  /* second halves, twice */
    push(1 << 1 | 1 << 2, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_accepted_counts_once),
    };

#ifndef TG_HAVE_HTTP
    return 77;
#endif
    setenv("AWS_ACCESS_KEY_ID", "any", 1);
    setenv("AWS_SECRET_ACCESS_KEY", "any", 1);
    setenv("AWS_REGION", "eu-west-1", 1);
    return cmocka_run_group_tests(tests, NULL, NULL);
}

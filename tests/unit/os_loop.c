/* SPDX-License-Identifier: MIT */
/*
 * os_loop.c - the event loop over loopback: echo, queues, refusals, timers, wake-ups, signals
 *
 * Both ends run on one loop. Whatever a test leaves open is closed by tg_loop_free, and the leak
 * checker sees to it that nothing stays behind.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "os/loop.h"

enum { LARGE = 20 << 20 };

/* One end of a connection, or a test's state. */
struct end {
    struct tg_loop *loop;
    struct tg_conn *conn;
    struct end *server; /* what accepted connections get */
    uint8_t room[64 * 1024];
    uint64_t received, sum, to_send, n_drained, n_closed, n_opened;
    uint64_t close_after; /* so many bytes; 0: never */
    bool echo, no_room, silent;
    struct tg_error err;
};

static void opened(void *ctx, struct tg_conn *conn)
{
    struct end *e = ctx;

    e->conn = conn;
    e->n_opened++;
    if (e->to_send) {
        uint8_t *bytes = malloc(e->to_send);

        for (size_t i = 0; i < e->to_send; i++)
            bytes[i] = (uint8_t)(i * 31 + i / 1000);
        tg_conn_write(conn, bytes, e->to_send);
        free(bytes);
    }
}

static uint8_t *room(void *ctx, size_t *ret_n)
{
    struct end *e = ctx;

    *ret_n = sizeof e->room;
    return e->no_room ? NULL : e->room;
}

static void received(void *ctx, struct tg_conn *conn, size_t n)
{
    struct end *e = ctx;

    for (size_t i = 0; i < n; i++)
        e->sum += e->room[i];
    e->received += n;
    if (e->echo)
        tg_conn_write(conn, e->room, n);
    if (e->close_after && e->received >= e->close_after)
        tg_conn_close(conn, false, false);
}

static void drained(void *ctx, struct tg_conn *conn)
{
    struct end *e = ctx;

    assert_int_equal(tg_conn_queued(conn), 0);
    e->n_drained++;
}

static void closed(void *ctx, const struct tg_error *err)
{
    struct end *e = ctx;

    e->conn = NULL;
    e->err = *err;
    e->n_closed++;
    if (!e->silent)
        tg_loop_stop(e->loop);
}

static const struct tg_conn_events events = { opened, room, received, drained, closed };

static void *accept_one(void *ctx, struct tg_conn *conn, const struct tg_conn_events **ret)
{
    struct end *e = ctx;

    (void)conn;
    if (!e->server)
        return NULL; /* refused */
    *ret = &events;
    return e->server;
}

struct pair {
    struct tg_loop *loop;
    struct tg_listener *listener;
    struct end client, server;
    uint16_t port;
    struct tg_error err;
};

static struct pair *pair_new(const char *host)
{
    struct pair *p = calloc(1, sizeof *p);

    assert_int_equal(tg_loop_new(&p->loop, &p->err), TG_OK);
    p->client.loop = p->server.loop = p->loop;
    p->client.server = &p->server;
    assert_int_equal(tg_listen(p->loop, host, 0, accept_one, &p->client, &p->listener, &p->port,
                               &p->err),
                     TG_OK);
    assert_true(p->port > 0);
    return p;
}

static void pair_connect(struct pair *p, const char *host)
{
    assert_int_equal(tg_conn_open(p->loop, host, p->port, &events, &p->client, &p->client.conn,
                                  &p->err),
                     TG_OK);
    assert_int_equal(p->client.n_opened, 0); /* events come later */
}

static void pair_free(struct pair *p)
{
    tg_loop_free(p->loop);
    free(p);
}

static void bytes_come_back_whole(void **state)
{
    static const char *const host[][2] = { { "127.0.0.1", "127.0.0.1" },
                                           { "127.0.0.1", "localhost" },
                                           { "localhost", "localhost" } };

    (void)state;
    for (size_t i = 0; i < TG_COUNT(host); i++) {
        struct pair *p = pair_new(host[i][0]);
        uint64_t sum = 0;

        for (size_t k = 0; k < LARGE; k++)
            sum += (uint8_t)(k * 31 + k / 1000);
        p->client.to_send = LARGE;
        p->client.close_after = LARGE;
        p->server.echo = true;
        p->server.silent = p->client.silent = false;
        pair_connect(p, host[i][1]);
        tg_loop_run(p->loop);
        if (!p->server.n_closed || !p->client.n_closed)
            tg_loop_run(p->loop);
        assert_int_equal(p->client.received, LARGE);
        assert_true(p->client.sum == sum && p->server.sum == sum);
        assert_true(p->client.n_drained >= 1); /* more than the kernel takes at once */
        assert_int_equal(p->client.err.code, TG_CANCELLED);
        assert_int_equal(p->server.err.code, TG_NET);
        assert_int_equal(p->client.n_closed + p->server.n_closed, 2);
        pair_free(p);
    }
}

static void bytes_written_before_it_is_up_are_sent(void **state)
{
    struct pair *p = pair_new("127.0.0.1");

    (void)state;
    p->server.echo = true;
    p->client.close_after = 5;
    pair_connect(p, "localhost");
    tg_conn_write(p->client.conn, "he", 2);
    tg_conn_write(p->client.conn, "llo", 3);
    assert_int_equal(tg_conn_queued(p->client.conn), 5);
    tg_loop_run(p->loop);
    assert_int_equal(p->client.received, 5);
    pair_free(p);
}

static void ends_are_told_with_their_reason(void **state)
{
    static const struct {
        const char *host;
        uint16_t port;
        const char *message;
    } row[] = {
        { "127.0.0.1", 1, "could not connect to 127.0.0.1 port 1: connection refused" },
        { "[::1]", 1, "could not connect to [::1] port 1: " },
        { "none.invalid", 80, "could not resolve 'none.invalid': " },
    };
    struct pair *p = pair_new("127.0.0.1");

    (void)state;
    for (size_t i = 0; i < TG_COUNT(row); i++) {
        assert_int_equal(tg_conn_open(p->loop, row[i].host, row[i].port, &events, &p->client,
                                      &p->client.conn, &p->err),
                         TG_OK);
        tg_loop_run(p->loop);
        assert_int_equal(p->client.n_closed, i + 1);
        assert_int_equal(p->client.err.code, TG_NET);
        if (!strstr(p->client.err.message, row[i].message))
            fail_msg("%s", p->client.err.message);
    }
    assert_int_equal(tg_conn_open(p->loop, "", 80, &events, NULL, &p->client.conn, &p->err),
                     TG_USAGE);
    assert_int_equal(tg_conn_open(p->loop, "a", 0, &events, NULL, &p->client.conn, &p->err),
                     TG_USAGE);
    pair_free(p);
}

static void refusing_and_resetting_end_the_other_side(void **state)
{
    struct pair *p = pair_new("127.0.0.1");

    (void)state;
    p->client.server = NULL; /* accept refuses */
    pair_connect(p, "127.0.0.1");
    tg_loop_run(p->loop);
    assert_int_equal(p->client.err.code, TG_NET);

    p->client.server = &p->server;
    p->client.to_send = 10;
    p->server.close_after = 1;
    p->server.silent = true;
    pair_connect(p, "127.0.0.1");
    tg_loop_run(p->loop);
    assert_int_equal(p->client.err.code, TG_NET);
    assert_non_null(strstr(p->client.err.message, "closed by the peer"));
    pair_free(p);
}

static void no_room_ends_the_connection(void **state)
{
    struct pair *p = pair_new("127.0.0.1");

    (void)state;
    p->client.to_send = 10;
    p->client.silent = true;
    p->server.no_room = true;
    pair_connect(p, "127.0.0.1");
    tg_loop_run(p->loop);
    assert_int_equal(p->server.err.code, TG_LIMIT);
    pair_free(p);
}

static void a_peer_that_never_reads_is_cut_off(void **state)
{
    struct pair *p = pair_new("127.0.0.1");
    uint8_t *bytes = calloc(1, LARGE);
    int n = 0;

    (void)state;
    pair_connect(p, "127.0.0.1");
    while (n < 4 && tg_conn_queued(p->client.conn) < (size_t)3 * LARGE) {
        tg_conn_write(p->client.conn, bytes, LARGE);
        n++;
    }
    assert_int_equal(n, 3);
    tg_conn_write(p->client.conn, bytes, LARGE); /* past 64 MiB */
    assert_int_equal(p->client.n_closed, 0);
    tg_conn_write(p->client.conn, bytes, 1); /* nothing more happens */
    tg_loop_run(p->loop);
    assert_int_equal(p->client.n_closed, 1);
    assert_int_equal(p->client.err.code, TG_LIMIT);
    free(bytes);
    pair_free(p);
}

static void pause_for(void *ctx)
{
    struct pair *p = ctx;

    assert_int_equal(p->server.received, 0);
    tg_conn_pause(p->server.conn, false);
}

static void *accept_paused(void *ctx, struct tg_conn *conn, const struct tg_conn_events **ret)
{
    struct pair *p = ctx;

    tg_conn_pause(conn, true);
    *ret = &events;
    return &p->server;
}

static void a_paused_connection_reads_nothing(void **state)
{
    struct pair *p = pair_new("127.0.0.1");
    struct tg_timer *timer;

    (void)state;
    tg_listener_close(p->listener);
    assert_int_equal(tg_listen(p->loop, "127.0.0.1", 0, accept_paused, p, &p->listener, &p->port,
                               &p->err),
                     TG_OK);
    assert_int_equal(tg_timer_new(p->loop, pause_for, p, &timer, &p->err), TG_OK);
    tg_timer_at(timer, tg_clock_mono_us() + 20000);
    p->client.to_send = 100;
    p->server.close_after = 100;
    pair_connect(p, "127.0.0.1");
    tg_loop_run(p->loop);
    assert_int_equal(p->server.received, 100);
    pair_free(p);
}

static void a_quiet_close_brings_no_event(void **state)
{
    struct pair *p = pair_new("127.0.0.1");

    (void)state;
    p->server.silent = true;
    pair_connect(p, "localhost"); /* while the name is looked up */
    tg_conn_close(p->client.conn, false, true);
    tg_conn_close(NULL, false, true);
    pair_connect(p, "127.0.0.1"); /* while it connects */
    tg_conn_close(p->client.conn, true, false);
    tg_conn_close(p->client.conn, true, true); /* made quiet after all */
    tg_listener_close(p->listener);
    tg_loop_run(p->loop); /* ends: nothing is left open */
    assert_int_equal(p->client.n_closed, 0);
    pair_free(p);
}

/* ---- timers ---- */

struct ticking {
    struct tg_loop *loop;
    struct tg_timer *timer[3];
    int64_t at_us;
    int n, early;
    char order[16];
};

static void tick(void *ctx)
{
    struct ticking *t = ctx;

    t->early += tg_clock_mono_us() < t->at_us;
    if (++t->n == 20) {
        tg_timer_free(t->timer[0]); /* from inside its own callback */
        tg_loop_stop(t->loop);
        return;
    }
    t->at_us = tg_clock_mono_us() + 137 * t->n;
    tg_timer_at(t->timer[0], t->at_us);
}

static void a_timer_is_never_early(void **state)
{
    struct ticking t = { .at_us = 0 };
    struct tg_error err;

    (void)state;
    assert_int_equal(tg_loop_new(&t.loop, &err), TG_OK);
    assert_int_equal(tg_timer_new(t.loop, tick, &t, &t.timer[0], &err), TG_OK);
    tg_timer_at(t.timer[0], INT64_MIN);
    tg_loop_run(t.loop);
    assert_int_equal(t.n, 20);
    assert_int_equal(t.early, 0);
    tg_loop_free(t.loop);
}

static void first(void *ctx)
{
    struct ticking *t = ctx;

    strncat(t->order, "1", 2);
    tg_timer_at(t->timer[0], 0); /* due again at once: in the next turn, after the others */
    if (t->n++ == 2)
        tg_loop_stop(t->loop);
    tg_timer_free(t->timer[2]); /* due in the same turn, but gone */
    t->timer[2] = NULL;
}

static void second(void *ctx)
{
    struct ticking *t = ctx;

    strncat(t->order, "2", 2);
    tg_timer_at(t->timer[1], 0);
}

static void third(void *ctx)
{
    struct ticking *t = ctx;

    strncat(t->order, "3", 2);
}

static void timers_that_are_due_take_turns(void **state)
{
    static void (*const fire[])(void *) = { first, second, third };
    struct ticking t = { .n = 0 };
    struct tg_error err;

    (void)state;
    assert_int_equal(tg_loop_new(&t.loop, &err), TG_OK);
    for (size_t i = 0; i < TG_COUNT(fire); i++) {
        assert_int_equal(tg_timer_new(t.loop, fire[i], &t, &t.timer[i], &err), TG_OK);
        tg_timer_at(t.timer[i], 0);
    }
    tg_loop_run(t.loop);
    assert_string_equal(t.order, "12121" "2");
    tg_timer_at(t.timer[0], INT64_MAX); /* off */
    tg_timer_at(t.timer[1], INT64_MAX);
    tg_loop_run(t.loop); /* nothing is armed: ends at once */
    tg_loop_free(t.loop);
}

/* ---- other threads ---- */

enum { SENDS = 10000, SENDERS = 3 };

struct shared {
    struct tg_loop *loop;
    struct tg_wake *wake;
    pthread_mutex_t lock;
    int n, seen;
};

static void *send_many(void *arg)
{
    struct shared *s = arg;

    for (int i = 0; i < SENDS; i++) {
        pthread_mutex_lock(&s->lock);
        s->n++;
        pthread_mutex_unlock(&s->lock);
        tg_wake_send(s->wake);
    }
    return NULL;
}

static void woken(void *ctx)
{
    struct shared *s = ctx;

    pthread_mutex_lock(&s->lock);
    s->seen = s->n;
    pthread_mutex_unlock(&s->lock);
    if (s->seen == SENDS * SENDERS)
        tg_loop_stop(s->loop);
}

static void the_last_of_many_sends_is_seen(void **state)
{
    struct shared s = { .n = 0 };
    pthread_t thread[SENDERS];
    struct tg_error err;

    (void)state;
    pthread_mutex_init(&s.lock, NULL);
    assert_int_equal(tg_loop_new(&s.loop, &err), TG_OK);
    assert_int_equal(tg_wake_new(s.loop, woken, &s, &s.wake, &err), TG_OK);
    for (size_t i = 0; i < SENDERS; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, send_many, &s), 0);
    tg_loop_run(s.loop);
    for (size_t i = 0; i < SENDERS; i++)
        pthread_join(thread[i], NULL);
    assert_int_equal(s.seen, SENDS * SENDERS);
    tg_loop_free(s.loop);
    pthread_mutex_destroy(&s.lock);
}

static void on_signal(void *ctx, int signum)
{
    struct ticking *t = ctx;

    t->n = signum;
    tg_loop_stop(t->loop);
}

static void raise_signal(void *ctx)
{
    (void)ctx;
    kill(getpid(), SIGTERM);
}

static void signals_are_events(void **state)
{
    struct ticking t = { .n = 0 };
    struct tg_error err;
    struct tg_wake *keep;

    (void)state;
    assert_int_equal(tg_loop_new(&t.loop, &err), TG_OK);
    assert_int_equal(tg_signals_watch(t.loop, on_signal, &t, &err), TG_OK);
    assert_int_equal(tg_signals_watch(t.loop, on_signal, &t, &err), TG_OK);
    tg_loop_run(t.loop); /* a watch alone keeps no loop running */
    assert_int_equal(tg_wake_new(t.loop, raise_signal, &t, &keep, &err), TG_OK);
    tg_wake_send(keep);
    tg_loop_run(t.loop);
    assert_int_equal(t.n, SIGTERM);
    tg_loop_free(t.loop);
    tg_loop_free(NULL);
}

static void a_port_in_use_is_told(void **state)
{
    struct pair *p = pair_new("127.0.0.1");
    struct tg_listener *second_listener;
    uint16_t port;

    (void)state;
    assert_int_equal(tg_listen(p->loop, "127.0.0.1", p->port, accept_one, p, &second_listener,
                               &port, &p->err),
                     TG_NET);
    assert_non_null(strstr(p->err.message, "address already in use"));
    assert_true(p->err.hint[0] != 0);
    pair_free(p);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_come_back_whole),
        cmocka_unit_test(bytes_written_before_it_is_up_are_sent),
        cmocka_unit_test(ends_are_told_with_their_reason),
        cmocka_unit_test(refusing_and_resetting_end_the_other_side),
        cmocka_unit_test(no_room_ends_the_connection),
        cmocka_unit_test(a_peer_that_never_reads_is_cut_off),
        cmocka_unit_test(a_paused_connection_reads_nothing),
        cmocka_unit_test(a_quiet_close_brings_no_event),
        cmocka_unit_test(a_timer_is_never_early),
        cmocka_unit_test(timers_that_are_due_take_turns),
        cmocka_unit_test(the_last_of_many_sends_is_seen),
        cmocka_unit_test(signals_are_events),
        cmocka_unit_test(a_port_in_use_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
/*
 * sink_amqp.c - RabbitMQ: each message confirmed, and with its key
 */
#include "tests/stream_rig.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <sys/socket.h>

#include "client/amqp.h"
#include "os/loop.h"

/* What a server says up to confirm.select-ok: start, tune, open-ok, channel.open-ok. */
static const char greeting[] =
    "\1\0\0\0\0\0\34" "\0\12\0\12\0\11\0\0\0\0\0\0\0\5PLAIN\0\0\0\5en_US\316"
    "\1\0\0\0\0\0\14" "\0\12\0\36\0\0\0\2\0\0\0\0\316"
    "\1\0\0\0\0\0\5" "\0\12\0\51\0\316"
    "\1\0\1\0\0\0\10" "\0\24\0\13\0\0\0\0\316"
    "\1\0\1\0\0\0\4" "\0\125\0\13\316";
/* basic.return; the message that comes back should stand behind it */
static const char back[] = "\1\0\1\0\0\0\22" "\0\74\0\62\1\70\10NO_ROUTE\0\1k\316";

static const char ack_first[] = "\1\0\1\0\0\0\15" "\0\74\0\120\0\0\0\0\0\0\0\1\0\316";
static const char ack_second[] = "\1\0\1\0\0\0\15" "\0\74\0\120\0\0\0\0\0\0\0\2\0\316";

/* A connection: takes messages up to the one that ends in `last`, and answers. */
static void serve(int listening, const char *last, const char *answer, size_t len, bool stay)
{
    int fd = accept(listening, NULL, NULL);
    const struct timeval a_while = { 5, 0 };
    char got[4096];
    size_t n = 0;

    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &a_while, sizeof a_while);
    send(fd, greeting, sizeof greeting - 1, MSG_NOSIGNAL);
    while (n < sizeof got && !memmem(got, n, last, strlen(last))) {
        ssize_t more = recv(fd, got + n, sizeof got - n, 0);

        if (more <= 0)
            break;
        n += (size_t)more;
    }
    send(fd, answer, len, MSG_NOSIGNAL);
    while (stay && recv(fd, got, sizeof got, 0) > 0) /* until it hangs up, or for a while */
        ;
    close(fd);
}

/* Says that a message comes back, and nothing more. */
static void *fall_silent(void *arg)
{
    serve(*(int *)arg, "the body", back, sizeof back - 1, true);
    return NULL;
}

/* Has the second of two messages, and goes; has the first of two then. */
static void *lose_the_first(void *arg)
{
    serve(*(int *)arg, "the end", ack_second, sizeof ack_second - 1, false);
    serve(*(int *)arg, "the end", ack_first, sizeof ack_first - 1, true);
    return NULL;
}

/* basic.get-ok; the message should stand behind it */
static const char got_one[] = "\1\0\1\0\0\0\24" "\0\74\0\107\0\0\0\0\0\0\0\1\0\0\1k\0\0\0\0\316";

static void *keep_the_message(void *arg)
{
    serve(*(int *)arg, "the queue", got_one, sizeof got_one - 1, true);
    return NULL;
}

struct silent {
    int fd;
    pthread_t thread;
    struct tg_amqp *a;
};

static void serve_by(struct silent *s, void *(*how)(void *))
{
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    struct tg_amqp_options o = { .timeout_ms = 500 };
    socklen_t len = sizeof at;
    struct tg_error err;
    char address[64];

    s->fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(s->fd, (struct sockaddr *)&at, len), 0);
    assert_int_equal(listen(s->fd, 1), 0);
    assert_int_equal(getsockname(s->fd, (struct sockaddr *)&at, &len), 0);
    assert_int_equal(pthread_create(&s->thread, NULL, how, &s->fd), 0);
    snprintf(address, sizeof address, "amqp://guest:guest@127.0.0.1:%d/", ntohs(at.sin_port));
    o.url = address;
    assert_int_equal(tg_amqp_new(&o, &s->a, &err), TG_OK);
}

static void publish(struct silent *s, const char *body)
{
    const struct tg_amqp_publication message = { .exchange = "", .routing_key = "k",
                                                 .content_type = "text/plain", .body = body,
                                                 .len = strlen(body) };
    struct tg_error err;

    if (tg_amqp_publish(s->a, &message, &err) != TG_OK)
        fail_msg("%s", err.message);
}

static void end(struct silent *s)
{
    tg_amqp_free(s->a);
    pthread_join(s->thread, NULL);
    close(s->fd);
}

static void a_server_that_falls_silent_is_given_up(void **state)
{
    struct tg_error err = { 0 };
    struct silent s;
    int64_t begun;

    (void)state;
    serve_by(&s, fall_silent);
    publish(&s, "the body");
    begun = tg_clock_mono_us();
    assert_int_equal(tg_amqp_confirm(s.a, 0, &err), TG_UNUSABLE);
    assert_non_null(strstr(err.message, "NO_ROUTE"));
    assert_true(tg_clock_mono_us() - begun < 3 * TG_SECOND_US);
    end(&s);
}

static void what_one_connection_confirmed_is_nothing_to_the_next(void **state)
{
    struct tg_error err = { 0 };
    struct silent s;

    (void)state;
    serve_by(&s, lose_the_first);
    for (int i = 0; i < 2; i++) {
        publish(&s, "the body");
        publish(&s, "the end");
        assert_int_equal(tg_amqp_confirm(s.a, 0, &err), TG_NET);
    }
    end(&s);
}

static void a_message_that_does_not_come_is_given_up(void **state)
{
    struct tg_amqp_message m = { 0 };
    struct tg_error err = { 0 };
    struct silent s;
    int64_t begun;

    (void)state;
    serve_by(&s, keep_the_message);
    tg_buf_init(&m.body, 1024);
    begun = tg_clock_mono_us();
    assert_int_equal(tg_amqp_get(s.a, "the queue", &m, &err), TG_NET);
    assert_true(tg_clock_mono_us() - begun < 3 * TG_SECOND_US);
    tg_buf_done(&m.body);
    end(&s);
}

static int set_up(void **state)
{
    (void)state;
    rig_start("Rabbit");
    return 0;
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        STREAM_CONTRACT_TESTS,
        STREAM_CONTRACT_REFUSALS,
        cmocka_unit_test(a_server_that_falls_silent_is_given_up),
        cmocka_unit_test(a_message_that_does_not_come_is_given_up),
        cmocka_unit_test(what_one_connection_confirmed_is_nothing_to_the_next),
    };

    return cmocka_run_group_tests(tests, set_up, rig_end);
}

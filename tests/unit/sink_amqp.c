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

/* Says that a message comes back, and nothing more. */
static void *fall_silent(void *arg)
{
    int fd = accept(*(int *)arg, NULL, NULL);
    const struct timeval a_while = { 5, 0 };
    char got[4096];
    size_t n = 0;

    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &a_while, sizeof a_while);
    if (send(fd, greeting, sizeof greeting - 1, MSG_NOSIGNAL) < 0)
        return NULL;
    while (n < sizeof got && !memmem(got, n, "the body", 8)) {
        ssize_t more = recv(fd, got + n, sizeof got - n, 0);

        if (more <= 0)
            break;
        n += (size_t)more;
    }
    send(fd, back, sizeof back - 1, MSG_NOSIGNAL);
    while (recv(fd, got, sizeof got, 0) > 0) /* until it hangs up, or nothing comes for a while */
        ;
    close(fd);
    return NULL;
}

static void a_server_that_falls_silent_is_given_up(void **state)
{
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    const struct tg_amqp_publication message = { .exchange = "", .routing_key = "k",
                                                 .content_type = "text/plain", .body = "the body",
                                                 .len = 8 };
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct tg_amqp_options o = { .timeout_ms = 500 };
    socklen_t len = sizeof at;
    struct tg_error err = { 0 };
    struct tg_amqp *a = NULL;
    pthread_t server;
    char address[64];
    int64_t begun;

    (void)state;
    assert_int_equal(bind(fd, (struct sockaddr *)&at, len), 0);
    assert_int_equal(listen(fd, 1), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &len), 0);
    assert_int_equal(pthread_create(&server, NULL, fall_silent, &fd), 0);
    snprintf(address, sizeof address, "amqp://guest:guest@127.0.0.1:%d/", ntohs(at.sin_port));
    o.url = address;
    assert_int_equal(tg_amqp_new(&o, &a, &err), TG_OK);
    if (tg_amqp_publish(a, &message, &err) != TG_OK)
        fail_msg("%s", err.message);
    begun = tg_clock_mono_us();
    assert_int_equal(tg_amqp_confirm(a, 0, &err), TG_UNUSABLE);
    assert_non_null(strstr(err.message, "NO_ROUTE"));
    assert_true(tg_clock_mono_us() - begun < 3 * TG_SECOND_US);
    tg_amqp_free(a);
    pthread_join(server, NULL);
    close(fd);
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
    };

    return cmocka_run_group_tests(tests, set_up, rig_end);
}

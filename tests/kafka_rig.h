/* SPDX-License-Identifier: MIT */
/*
 * kafka_rig.h - a real Kafka broker for a test program: on free ports of 127.0.0.1, with a
 * directory of its own, ended by its process id
 *
 * kafka_set_up and kafka_tear_down are the group's; the program ends with 77 where there is no
 * broker, or no client in the library.
 */
#ifndef KAFKA_RIG_H
#define KAFKA_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client/kafka.h"

static struct {
    char directory[64];
    pid_t pid;
    int port, tls_port, controller_port;
} rig;

/* Three that are free at once. */
static inline void kafka_free_ports(void)
{
    int *const port[] = { &rig.port, &rig.tls_port, &rig.controller_port };
    int fd[TG_COUNT(port)];

    for (size_t i = 0; i < TG_COUNT(port); i++) {
        struct sockaddr_in a = { .sin_family = AF_INET,
                                 .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        socklen_t len = sizeof a;

        fd[i] = socket(AF_INET, SOCK_STREAM, 0);
        assert_int_equal(bind(fd[i], (struct sockaddr *)&a, len), 0);
        assert_int_equal(getsockname(fd[i], (struct sockaddr *)&a, &len), 0);
        *port[i] = ntohs(a.sin_port);
    }
    for (size_t i = 0; i < TG_COUNT(port); i++)
        close(fd[i]);
}

/* @return a client of a topic, made if it is not there */
static inline struct tg_kafka *kafka_client(const char *topic, int64_t partitions)
{
    char address[120];
    struct tg_kafka_options o = { .address = address,
                                  .compression = "zstd",
                                  .partitions = partitions,
                                  .timeout_ms = 60000,
                                  .transaction_ms = 60000 };
    struct tg_kafka *k;
    struct tg_error err;

    snprintf(address, sizeof address, "//127.0.0.1:%d/%s", rig.port, topic);
    if (tg_kafka_new(&o, &k, &err) == TG_UNSUPPORTED)
        exit(77);
    assert_non_null(k);
    if (tg_kafka_look(k, &err) != TG_OK)
        fail_msg("%s", err.message);
    return k;
}

static inline void kafka_start(void)
{
    char text[3][16];
    struct tg_kafka *k;
    int status;

    snprintf(text[0], sizeof text[0], "%d", rig.port);
    snprintf(text[1], sizeof text[1], "%d", rig.tls_port);
    snprintf(text[2], sizeof text[2], "%d", rig.controller_port);
    rig.pid = fork();
    assert_true(rig.pid >= 0);
    if (rig.pid == 0) {
        execl("tests/kafka_server", "kafka_server", rig.directory, text[0], text[1], text[2],
              (char *)NULL);
        _exit(127);
    }
    usleep(300000);
    if (waitpid(rig.pid, &status, WNOHANG) == rig.pid) {
        if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
            exit(77);
        fail_msg("the broker does not start: see %s/log", rig.directory);
    }
    k = kafka_client("first", 1); /* waits for it */
    tg_kafka_free(k);
}

static inline void kafka_stop(void)
{
    kill(rig.pid, SIGKILL);
    waitpid(rig.pid, NULL, 0);
}

static inline int kafka_set_up(void **state)
{
    (void)state;
    snprintf(rig.directory, sizeof rig.directory, "/tmp/tgdata-kafka-XXXXXX");
    assert_non_null(mkdtemp(rig.directory));
    kafka_free_ports();
    kafka_start();
    return 0;
}

static inline int kafka_tear_down(void **state)
{
    char command[128];

    (void)state;
    kafka_stop();
    snprintf(command, sizeof command, "rm -rf '%s'", rig.directory);
    return system(command);
}

#endif

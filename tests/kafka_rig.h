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
#include <librdkafka/rdkafka.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client/kafka.h"
#include "tests/ports.h"

static struct {
    char directory[64];
    pid_t pid;
    int port, tls_port, controller_port;
} rig;

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

/* Without waiting for it. */
static inline void kafka_begin(void)
{
    char text[3][16];

    snprintf(text[0], sizeof text[0], "%d", rig.port);
    snprintf(text[1], sizeof text[1], "%d", rig.tls_port);
    snprintf(text[2], sizeof text[2], "%d", rig.controller_port);
    rig.pid = fork();
    assert_true(rig.pid >= 0);
    if (rig.pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL); /* it does not outlive a test that crashed */
        execl("tests/kafka_server", "kafka_server", rig.directory, text[0], text[1], text[2],
              (char *)NULL);
        _exit(127);
    }
}

static inline void kafka_start(void)
{
    struct tg_kafka *k;
    int status;

    kafka_begin();
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

static inline rd_kafka_t *kafka_admin(void)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    char servers[32], why[200];
    rd_kafka_t *rk;

    snprintf(servers, sizeof servers, "127.0.0.1:%d", rig.port);
    rd_kafka_conf_set(conf, "bootstrap.servers", servers, why, sizeof why);
    rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof why);
    assert_non_null(rk);
    return rk;
}

/* Deletes a group, and its offsets with it. */
static inline void kafka_forget(const char *group)
{
    rd_kafka_t *rk = kafka_admin();
    rd_kafka_DeleteGroup_t *about = rd_kafka_DeleteGroup_new(group);
    rd_kafka_queue_t *queue;
    rd_kafka_event_t *event;
    const rd_kafka_group_result_t **done;
    size_t n;

    queue = rd_kafka_queue_new(rk);
    rd_kafka_DeleteGroups(rk, &about, 1, NULL, queue);
    event = rd_kafka_queue_poll(queue, 60000);
    assert_non_null(event);
    done = rd_kafka_DeleteGroups_result_groups(rd_kafka_event_DeleteGroups_result(event), &n);
    if (n != 1 || rd_kafka_group_result_error(done[0]))
        fail_msg("%s", n ? rd_kafka_error_string(rd_kafka_group_result_error(done[0])) : "none");
    rd_kafka_event_destroy(event);
    rd_kafka_queue_destroy(queue);
    rd_kafka_DeleteGroup_destroy(about);
    rd_kafka_destroy(rk);
}

/* Lets a user do everything with what begins with a name. */
static inline void kafka_allow(const char *user, rd_kafka_ResourceType_t of, const char *name)
{
    rd_kafka_t *rk = kafka_admin();
    rd_kafka_AclBinding_t *acl;
    rd_kafka_queue_t *queue;
    rd_kafka_event_t *event;
    const rd_kafka_acl_result_t **done;
    char why[200];
    size_t n;

    queue = rd_kafka_queue_new(rk);
    acl = rd_kafka_AclBinding_new(of, name, RD_KAFKA_RESOURCE_PATTERN_PREFIXED, user, "*",
                                  RD_KAFKA_ACL_OPERATION_ALL,
                                  RD_KAFKA_ACL_PERMISSION_TYPE_ALLOW, why, sizeof why);
    assert_non_null(acl);
    rd_kafka_CreateAcls(rk, &acl, 1, NULL, queue);
    event = rd_kafka_queue_poll(queue, 60000);
    assert_non_null(event);
    done = rd_kafka_CreateAcls_result_acls(rd_kafka_event_CreateAcls_result(event), &n);
    if (n != 1 || rd_kafka_acl_result_error(done[0]))
        fail_msg("%s", n ? rd_kafka_error_string(rd_kafka_acl_result_error(done[0])) : "none");
    rd_kafka_event_destroy(event);
    rd_kafka_queue_destroy(queue);
    rd_kafka_AclBinding_destroy(acl);
    rd_kafka_destroy(rk);
}

/* A URL of the sink: @ is the port, # that of TLS, CA the certificate, LOGIN a file. */
static inline void kafka_fill(char *out, size_t size, const char *address, const char *more)
{
    size_t n = (size_t)snprintf(out, size, "kafka:");

    for (const char *part = address; part; part = part == address ? more : NULL)
        for (const char *p = part; *p && n + 100 < size; p++) {
            if (*p == '@' && p[1] != '1')
                n += (size_t)snprintf(out + n, size - n, "%d", rig.port);
            else if (*p == '#')
                n += (size_t)snprintf(out + n, size - n, "%d", rig.tls_port);
            else if (strncmp(p, "CA", 2) == 0 && (p += 1))
                n += (size_t)snprintf(out + n, size - n, "%s/cert.pem", rig.directory);
            else if (strncmp(p, "LOGIN", 5) == 0 && (p += 4))
                n += (size_t)snprintf(out + n, size - n, "%s/login", rig.directory);
            else
                out[n++] = *p;
        }
    out[n] = 0;
}

static inline int kafka_set_up(void **state)
{
    (void)state;
    snprintf(rig.directory, sizeof rig.directory, "/tmp/tgdata-kafka-XXXXXX");
    assert_non_null(mkdtemp(rig.directory));
    rig.port = free_ports(3);
    rig.tls_port = rig.port + 1;
    rig.controller_port = rig.port + 2;
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

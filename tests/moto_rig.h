/* SPDX-License-Identifier: MIT */
/*
 * moto_rig.h - a server that speaks as AWS's services (moto), for a test program: on a free port of
 * 127.0.0.1, ended by its process id
 *
 * moto_set_up and moto_tear_down are the group's; the program ends with 77 where there is no
 * server, or no client in the library. The keys stand in the environment.
 */
#ifndef MOTO_RIG_H
#define MOTO_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client/http.h"
#include "tests/ports.h"

static struct {
    char endpoint[48], port[16];
    pid_t pid;
} rig;

static inline bool moto_is_up(void)
{
    const char *const none[] = { NULL };
    const struct tg_http_request look = { .method = "GET", .header = none, .timeout_ms = 2000,
                                          .url = rig.endpoint };
    struct tg_http *http;
    struct tg_error err;
    struct tg_buf reply;
    int status;
    bool up;

    if (tg_http_new(NULL, &http, &err) != TG_OK)
        exit(77);
    tg_buf_init(&reply, 1 << 20);
    up = tg_http_send(http, &look, &status, &reply, &err) == TG_OK;
    tg_buf_done(&reply);
    tg_http_free(http);
    return up;
}

static inline int moto_set_up(void **state)
{
    const char *deps = getenv("TG_DEPS");
    char program[256];

    (void)state;
    snprintf(program, sizeof program, "%s/moto/bin/moto_server", deps ? deps : ".deps");
    if (access(program, X_OK) != 0)
        exit(77);
    snprintf(rig.port, sizeof rig.port, "%d", free_ports(1));
    snprintf(rig.endpoint, sizeof rig.endpoint, "http://127.0.0.1:%s", rig.port);
    setenv("AWS_REGION", "eu-west-1", 1);
    setenv("AWS_CONFIG_FILE", "/dev/null", 1);
    setenv("AWS_ACCESS_KEY_ID", "any", 1);
    setenv("AWS_SECRET_ACCESS_KEY", "any", 1);
    rig.pid = fork();
    assert_true(rig.pid >= 0);
    if (rig.pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (!freopen("/dev/null", "w", stdout) || !freopen("/dev/null", "w", stderr))
            _exit(127);
        execl(program, "moto_server", "-H", "127.0.0.1", "-p", rig.port, (char *)NULL);
        _exit(127);
    }
    for (int i = 0; i < 600; i++) {
        if (waitpid(rig.pid, NULL, WNOHANG) == rig.pid)
            fail_msg("%s does not start", program);
        if (moto_is_up())
            return 0;
        usleep(100000);
    }
    fail_msg("%s does not come up", program);
    return 1;
}

static inline int moto_tear_down(void **state)
{
    (void)state;
    kill(rig.pid, SIGTERM);
    waitpid(rig.pid, NULL, 0);
    return 0;
}

#endif

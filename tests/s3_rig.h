/* SPDX-License-Identifier: MIT */
/*
 * s3_rig.h - a server that speaks as Amazon S3 (tests/s3_server), for a test program: on free ports
 * of 127.0.0.1, with a directory of its own, ended by its process id
 *
 * s3_set_up and s3_tear_down are the group's; the program ends with 77 where there is no server, or
 * no client in the library. The bucket is "rig"; the keys stand in the environment.
 */
#ifndef S3_RIG_H
#define S3_RIG_H

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

#include "client/aws.h"
#include "tests/ports.h"

static struct {
    char directory[64], endpoint[48];
    pid_t pid;
    int port;
} rig;

/* @return whether the bucket is there, made if need be */
static inline bool s3_is_up(void)
{
    const struct tg_aws_service service = { .name = "s3", .endpoint = rig.endpoint,
                                            .endpoint_env = "AWS_ENDPOINT_URL_S3" };
    const struct tg_aws_request make = { .method = "PUT", .path = "/rig", .body = "",
                                         .timeout_ms = 5000 };
    const struct tg_aws_request put = { .method = "PUT", .path = "/rig/is-up", .body = "1",
                                        .len = 1, .timeout_ms = 5000 };
    struct tg_aws *aws = NULL;
    struct tg_error err;
    struct tg_buf reply;
    tg_code code = tg_aws_new(&service, &aws, &err);

    if (code == TG_UNSUPPORTED)
        exit(77);
    tg_buf_init(&reply, 1 << 20);
    if (code == TG_OK)
        code = tg_aws_send(aws, &make, &reply, &err);
    if (code == TG_OK || tg_aws_status(aws) == 409)
        code = tg_aws_send(aws, &put, &reply, &err);
    tg_buf_done(&reply);
    tg_aws_free(aws);
    return code == TG_OK;
}

/* At the port and with the directory that it had. @return false: it has ended */
static inline bool s3_try_start(void)
{
    char port[16];

    snprintf(port, sizeof port, "%d", rig.port);
    rig.pid = fork();
    assert_true(rig.pid >= 0);
    if (rig.pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        execl("tests/s3_server", "s3_server", rig.directory, port, (char *)NULL);
        _exit(127);
    }
    for (int i = 0; i < 600; i++) {
        int status;

        if (waitpid(rig.pid, &status, WNOHANG) == rig.pid) {
            if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
                exit(77);
            return false;
        }
        if (s3_is_up())
            return true;
        usleep(100000);
    }
    fail_msg("the server does not come up: see %s/log", rig.directory);
    return false;
}

static inline void s3_start(void)
{
    if (!s3_try_start())
        fail_msg("the server does not start: see %s/log", rig.directory);
}

static inline void s3_stop(void)
{
    kill(rig.pid, SIGKILL);
    waitpid(rig.pid, NULL, 0);
}

static inline void s3_use_keys(const char *id, const char *secret)
{
    setenv("AWS_ACCESS_KEY_ID", id, 1);
    setenv("AWS_SECRET_ACCESS_KEY", secret, 1);
}

static inline int s3_set_up(void **state)
{
    (void)state;
    srandom((unsigned)getpid());
    setenv("AWS_REGION", "eu-west-1", 1);
    setenv("AWS_CONFIG_FILE", "/dev/null", 1);
    s3_use_keys("TGKEY", "TGSECRET/all+of=it");
    snprintf(rig.directory, sizeof rig.directory, "/tmp/tgdata-s3-XXXXXX");
    assert_non_null(mkdtemp(rig.directory));
    for (int tries = 0; tries < 5; tries++) { /* another may take a port that was free */
        rig.port = free_ports(8);
        snprintf(rig.endpoint, sizeof rig.endpoint, "http://127.0.0.1:%d", rig.port);
        if (s3_try_start())
            return 0;
    }
    fail_msg("the server does not start: see %s/log", rig.directory);
    return -1;
}

static inline int s3_tear_down(void **state)
{
    char command[128];

    (void)state;
    s3_stop();
    snprintf(command, sizeof command, "rm -rf '%s'", rig.directory);
    return system(command);
}

#endif

/* SPDX-License-Identifier: MIT */
/*
 * postgres_rig.h - a real PostgreSQL server for a test program: on a free port of 127.0.0.1, with a
 * directory of its own, ended by its process id
 *
 * postgres_set_up and postgres_tear_down are the group's; the program ends with 77 where there is
 * no server, or no client in the library.
 */
#ifndef POSTGRES_RIG_H
#define POSTGRES_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client/postgres.h"
#include "tests/ports.h"

static struct {
    char directory[64], address[96];
    struct tg_postgres *beside; /* for a look from outside */
    pid_t pid;
    int port;
} rig;

static inline void postgres_start(void)
{
    char text[16];

    snprintf(text, sizeof text, "%d", rig.port);
    rig.pid = fork();
    assert_true(rig.pid >= 0);
    if (rig.pid == 0) {
        execl("tests/postgres_server", "postgres_server", rig.directory, text, (char *)NULL);
        _exit(127);
    }
    for (int i = 0; i < 3000; i++) {
        struct tg_error err;
        int status;

        if (waitpid(rig.pid, &status, WNOHANG) == rig.pid) {
            if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
                exit(77);
            fail_msg("the server does not start: see %s/log", rig.directory);
        }
        if (tg_postgres_connect(rig.beside, &err) == TG_OK &&
            tg_postgres_exec(rig.beside, "SELECT 1", &err) == TG_OK)
            return;
        usleep(10000);
    }
    fail_msg("the server does not come up");
}

static inline void postgres_stop(int how)
{
    kill(rig.pid, how);
    waitpid(rig.pid, NULL, 0);
}

static inline int postgres_set_up(void **state)
{
    struct tg_postgres_options options = { .address = rig.address, .timeout_ms = 5000 };
    struct tg_error err;

    (void)state;
    setenv("PGPASSWORD", "secret", 1);
    snprintf(rig.directory, sizeof rig.directory, "/tmp/tgdata-pg-XXXXXX");
    assert_non_null(mkdtemp(rig.directory));
    assert_int_equal(chmod(rig.directory, 0755), 0);
    rig.port = free_ports(1);
    snprintf(rig.address, sizeof rig.address, "//tg@127.0.0.1:%d/test", rig.port);
    if (tg_postgres_new(&options, &rig.beside, &err) == TG_UNSUPPORTED)
        exit(77);
    postgres_start();
    return 0;
}

static inline int postgres_tear_down(void **state)
{
    char command[128];

    (void)state;
    tg_postgres_free(rig.beside);
    postgres_stop(SIGQUIT);
    snprintf(command, sizeof command, "rm -rf '%s'", rig.directory);
    return system(command);
}

#endif

/* SPDX-License-Identifier: MIT */
/*
 * redis_rig.h - real Redis servers for a test: on a free port of 127.0.0.1, with a directory of
 * their own, ended by their process id
 */
#ifndef REDIS_RIG_H
#define REDIS_RIG_H

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
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client/redis.h"
#include "tests/ports.h"

struct redis_rig {
    char dir[64];
    char url[64];
    const char *password;
    bool cluster, append;
    int port;
    pid_t pid;
};

/* It answers: one that only listens may still find the port of the cluster taken, and end. */
static inline bool redis_up(const struct redis_rig *g)
{
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                             .sin_port = htons((uint16_t)g->port) };
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    char answer;
    bool up = connect(fd, (struct sockaddr *)&a, sizeof a) == 0 &&
              send(fd, "PING\r\n", 6, MSG_NOSIGNAL) == 6 && recv(fd, &answer, 1, 0) == 1;

    close(fd);
    return up;
}

/* @return whether it came up at its port: somebody else may have taken that meanwhile */
static inline bool redis_try(struct redis_rig *g)
{
    char port[16];

    snprintf(port, sizeof port, "%d", g->port);
    g->pid = fork();
    assert_true(g->pid >= 0);
    if (g->pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        execlp("redis-server", "redis-server", "--port", port, "--bind", "127.0.0.1", "--save", "",
               "--appendonly", g->append ? "yes" : "no", "--dir", g->dir, "--logfile", "log",
               "--requirepass", g->password ? g->password : "", "--cluster-enabled",
               g->cluster ? "yes" : "no", (char *)NULL);
        _exit(127);
    }
    for (int i = 0; i < 2000; i++) {
        if (waitpid(g->pid, NULL, WNOHANG))
            return false;
        if (redis_up(g))
            return true;
        usleep(10000);
    }
    return false;
}

/* Starts the server again, at the port and with the directory that it had. */
static inline void redis_again(struct redis_rig *g)
{
    if (!redis_try(g))
        fail_msg("redis-server does not start; see %s/log", g->dir);
}

static inline void redis_begin(struct redis_rig *g)
{
    assert_non_null(mkdtemp(g->dir));
    for (int tries = 0; tries < 5; tries++) {
        g->port = free_ports(1);
        if (redis_try(g)) {
            snprintf(g->url, sizeof g->url, "redis://127.0.0.1:%d", g->port);
            return;
        }
    }
    fail_msg("redis-server does not start; see %s/log", g->dir);
}

static inline void redis_start(struct redis_rig *g, const char *password)
{
    srandom((unsigned)getpid());
    *g = (struct redis_rig){ .password = password, .dir = "/tmp/tgdata-redis-XXXXXX" };
    redis_begin(g);
}

static inline void redis_stop(struct redis_rig *g)
{
    kill(g->pid, SIGCONT);
    kill(g->pid, SIGTERM);
    waitpid(g->pid, NULL, 0);
}

/* Stops it, and nothing of it is left. */
static inline void redis_end(struct redis_rig *g)
{
    char command[128];

    redis_stop(g);
    snprintf(command, sizeof command, "rm -rf '%s'", g->dir);
    assert_int_equal(system(command), 0);
}

static inline void redis_do(const struct redis_rig *g, const char *const *word)
{
    struct tg_redis *r = NULL;
    struct tg_error err;

    if (tg_redis_new(g->url, 5000, &r, &err) != TG_OK ||
        tg_redis_words(r, word, NULL, &err) != TG_OK)
        fail_msg("%s", err.message);
    tg_redis_free(r);
}

static inline bool redis_cluster_ok(const struct redis_rig *g)
{
    struct redisReply *reply = NULL;
    struct tg_redis *r = NULL;
    struct tg_error err;
    bool ok;

    if (tg_redis_new(g->url, 5000, &r, &err) != TG_OK ||
        tg_redis_words(r, (const char *const[]){ "CLUSTER", "INFO", NULL }, &reply, &err) != TG_OK)
        fail_msg("%s", err.message);
    ok = strstr(tg_redis_str(reply).at, "cluster_state:ok") != NULL;
    tg_redis_reply_free(reply);
    tg_redis_free(r);
    return ok;
}

/* Two nodes, each with half of the slots. */
static inline void redis_start_cluster(struct redis_rig g[2])
{
    char port[16];

    srandom((unsigned)getpid() + 77);
    for (int i = 0; i < 2; i++) {
        g[i] = (struct redis_rig){ .cluster = true, .dir = "/tmp/tgdata-redis-XXXXXX" };
        redis_begin(&g[i]);
        redis_do(&g[i], (const char *const[]){ "CLUSTER", "ADDSLOTSRANGE", i ? "8192" : "0",
                                               i ? "16383" : "8191", NULL });
    }
    redis_do(&g[0], (const char *const[]){ "CLUSTER", "SET-CONFIG-EPOCH", "1", NULL });
    redis_do(&g[1], (const char *const[]){ "CLUSTER", "SET-CONFIG-EPOCH", "2", NULL });
    snprintf(port, sizeof port, "%d", g[1].port);
    redis_do(&g[0], (const char *const[]){ "CLUSTER", "MEET", "127.0.0.1", port, NULL });
    for (int i = 0; i < 1000 && !(redis_cluster_ok(&g[0]) && redis_cluster_ok(&g[1])); i++)
        usleep(20000);
    assert_true(redis_cluster_ok(&g[0]) && redis_cluster_ok(&g[1]));
}

#endif

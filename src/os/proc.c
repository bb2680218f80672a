/* SPDX-License-Identifier: MIT */
/*
 * proc.c - see proc.h
 */
#include "os/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/text.h"

uint64_t tg_proc_rss_peak(void)
{
    struct rusage u;

    if (getrusage(RUSAGE_SELF, &u) < 0)
        return 0;
    return (uint64_t)u.ru_maxrss * 1024;
}

uint64_t tg_proc_rss(void)
{
    char text[128];
    char *at;
    int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    ssize_t n;

    if (fd < 0)
        return 0;
    n = read(fd, text, sizeof text - 1);
    close(fd);
    if (n <= 0)
        return 0;
    text[n] = 0;
    at = strchr(text, ' '); /* "size resident ...", in pages */
    return at ? strtoull(at, NULL, 10) * (uint64_t)sysconf(_SC_PAGESIZE) : 0;
}

int64_t tg_proc_cpu_us(void)
{
    struct rusage u;

    if (getrusage(RUSAGE_SELF, &u) < 0)
        return 0;
    return (u.ru_utime.tv_sec + u.ru_stime.tv_sec) * TG_SECOND_US + u.ru_utime.tv_usec +
           u.ru_stime.tv_usec;
}

bool tg_proc_gone(const char *name)
{
    const char *colon = strrchr(name, ':');
    char own[128];
    int64_t pid;

    tg_proc_name(own, sizeof own);
    if (!colon || strncmp(own, name, (size_t)(colon - name) + 1) != 0 ||
        !tg_i64_parse(colon + 1, &pid) || pid < 1 || pid > INT32_MAX)
        return false;
    return kill((pid_t)pid, 0) < 0 && errno == ESRCH;
}

void tg_proc_name(char *out, size_t n)
{
    char host[65] = "";

    if (gethostname(host, sizeof host - 1) < 0)
        host[0] = 0;
    snprintf(out, n, "%s:%ld", host[0] ? host : "localhost", (long)getpid());
}

void tg_sleep_us(int64_t us)
{
    struct timespec left = { us / TG_SECOND_US, us % TG_SECOND_US * 1000 };

    while (nanosleep(&left, &left) < 0 && errno == EINTR) {
    }
}

/* SPDX-License-Identifier: MIT */
/*
 * child.c - see child.h
 *
 * A child dies with its parent (PR_SET_PDEATHSIG), so that an interrupted demo leaves nothing
 * running.
 */
#include "cli/child.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ARGS_MAX = 64, LINE_BYTES_MAX = 16 << 20, BLOCK = 64 << 10 };

static void redirect(enum child_pipe how, int to, int pipe_fd)
{
    int fd = how == CHILD_READ ? pipe_fd : how == CHILD_NULL ? open("/dev/null", O_RDWR) : -1;

    if (how != CHILD_INHERIT && (fd < 0 || dup2(fd, to) < 0))
        _exit(127);
}

static void become(const char *const *arg, const enum child_pipe how[2], int pipe_fd, pid_t parent)
{
    char *word[ARGS_MAX + 2] = { (char[]){ "tgdata" } };

    for (size_t i = 0; arg[i]; i++) {
        assert(i < ARGS_MAX);
        memcpy(&word[i + 1], &arg[i], sizeof arg[i]); /* execv's type lacks the const it keeps */
    }
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent)
        _exit(127);
    redirect(how[0], 1, pipe_fd);
    redirect(how[1], 2, pipe_fd);
    execv("/proc/self/exe", word);
    _exit(127);
}

tg_code child_start(struct child *c, const char *const *arg, enum child_pipe out,
                    enum child_pipe err_out, struct tg_error *err)
{
    const enum child_pipe how[2] = { out, err_out };
    bool reads = out == CHILD_READ || err_out == CHILD_READ;
    pid_t parent = getpid();
    int end[2] = { -1, -1 };

    assert(!(out == CHILD_READ && err_out == CHILD_READ));
    *c = (struct child){ .fd = -1 };
    tg_buf_init(&c->line, LINE_BYTES_MAX);
    if (reads && pipe2(end, O_CLOEXEC) < 0)
        return tg_fail(err, TG_INTERNAL, "could not make a pipe: %s", strerror(errno));
    c->pid = fork();
    if (c->pid == 0)
        become(arg, how, end[1], parent);
    if (end[1] >= 0)
        close(end[1]);
    c->fd = end[0];
    if (c->pid > 0)
        return TG_OK;
    c->pid = 0;
    return tg_fail(err, TG_INTERNAL, "could not start a process: %s", strerror(errno));
}

const char *child_line(struct child *c)
{
    tg_buf_shift(&c->line, c->at);
    c->at = 0;
    for (size_t from = 0;;) {
        uint8_t *newline = c->line.len > from
                               ? memchr(c->line.data + from, '\n', c->line.len - from)
                               : NULL;
        ssize_t n;

        if (newline) {
            *newline = 0;
            c->at = (size_t)(newline - c->line.data) + 1;
            return (const char *)c->line.data;
        }
        from = c->line.len;
        if (c->fd < 0 || !tg_buf_room(&c->line, BLOCK))
            return NULL;
        n = read(c->fd, c->line.data + c->line.len, BLOCK);
        if (n == 0 || (n < 0 && errno != EINTR))
            return NULL;
        c->line.len += n > 0 ? (size_t)n : 0;
    }
}

int child_wait(struct child *c)
{
    struct rusage used;
    int status;

    if (!c->pid)
        return -1;
    while (wait4(c->pid, &status, 0, &used) < 0)
        if (errno != EINTR)
            return -1;
    c->pid = 0;
    c->cpu_s = (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
               (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
    c->rss_kib = used.ru_maxrss;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

void child_signal(struct child *c, int signum)
{
    if (c->pid)
        kill(c->pid, signum);
}

void child_done(struct child *c)
{
    child_signal(c, SIGTERM);
    child_wait(c);
    if (c->fd >= 0)
        close(c->fd);
    c->fd = -1;
    tg_buf_done(&c->line);
}

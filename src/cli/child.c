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

static void become(const char *program, const char *const *arg, const enum child_pipe how[2],
                   const int to[2], pid_t parent)
{
    char *word[ARGS_MAX + 2] = { (char[]){ "tgdata" } };

    for (size_t i = 0; arg[i]; i++) {
        assert(i < ARGS_MAX);
        memcpy(&word[i + 1], &arg[i], sizeof arg[i]); /* execv's type lacks the const it keeps */
    }
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent)
        _exit(127);
    redirect(how[0], 1, to[0]);
    redirect(how[1], 2, to[1]);
    execv(program, word);
    _exit(127);
}

static tg_code start(struct child *c, const char *program, const char *const *arg,
                     const enum child_pipe how[2], struct tg_error *err)
{
    pid_t parent = getpid();
    int from[2] = { -1, -1 }, to[2] = { -1, -1 };

    *c = (struct child){ .fd = -1, .fd_err = -1 };
    tg_buf_init(&c->line, LINE_BYTES_MAX);
    for (int i = 0; i < 2; i++) {
        int end[2];

        if (how[i] != CHILD_READ)
            continue;
        if (pipe2(end, O_CLOEXEC) < 0) {
            tg_fail(err, TG_INTERNAL, "could not make a pipe: %s", strerror(errno));
            break;
        }
        from[i] = end[0];
        to[i] = end[1];
    }
    if ((how[0] == CHILD_READ) <= (from[0] >= 0) && (how[1] == CHILD_READ) <= (from[1] >= 0)) {
        c->pid = fork();
        if (c->pid == 0)
            become(program, arg, how, to, parent);
        if (c->pid < 0)
            tg_fail(err, TG_INTERNAL, "could not start a process: %s", strerror(errno));
    }
    for (int i = 0; i < 2; i++)
        if (to[i] >= 0)
            close(to[i]);
    c->fd = from[0] >= 0 ? from[0] : from[1];
    c->fd_err = from[0] >= 0 ? from[1] : -1;
    if (c->pid > 0)
        return TG_OK;
    c->pid = 0;
    return err->code;
}

tg_code child_start(struct child *c, const char *const *arg, enum child_pipe out,
                    enum child_pipe err_out, struct tg_error *err)
{
    return start(c, "/proc/self/exe", arg, (enum child_pipe[]){ out, err_out }, err);
}

tg_code child_shell(struct child *c, const char *command, struct tg_error *err)
{
    const char *const arg[] = { "-c", command, NULL };

    return start(c, "/bin/sh", arg, (enum child_pipe[]){ CHILD_INHERIT, CHILD_INHERIT }, err);
}

bool child_ended(const struct child *c)
{
    siginfo_t info = { 0 };

    return !c->pid || (waitid(P_PID, (id_t)c->pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
                       info.si_pid == c->pid);
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
    if (c->fd_err >= 0)
        close(c->fd_err);
    c->fd = c->fd_err = -1;
    tg_buf_done(&c->line);
}

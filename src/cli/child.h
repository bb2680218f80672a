/* SPDX-License-Identifier: MIT */
/*
 * child.h - other processes: this program again, as in the demo and for scheduled runs, and
 *           commands
 *
 * Threads: one at a time per child
 */
#ifndef TG_CLI_CHILD_H
#define TG_CLI_CHILD_H

#include <sys/types.h>

#include "base/buf.h"

enum child_pipe { CHILD_INHERIT, CHILD_READ, CHILD_NULL };

struct child {
    pid_t pid;       /* 0: none */
    int fd;          /* what CHILD_READ gives; -1 none */
    int fd_err;      /* of stderr, if stdout is read as well */
    struct tg_buf line;
    size_t at;       /* how much of `line` was handed out */
    double cpu_s;    /* after child_wait: processor seconds, */
    long rss_kib;    /* and greatest memory */
};

/**
 * Starts `tgdata ARG...`; arg ends with NULL.
 * @param out, err_out  where its stdout and stderr go
 */
tg_code child_start(struct child *c, const char *const *arg, enum child_pipe out,
                    enum child_pipe err_out, struct tg_error *err) TG_MUST_CHECK;

/** Starts `/bin/sh -c COMMAND`, with nothing to read from. */
tg_code child_shell(struct child *c, const char *command, struct tg_error *err) TG_MUST_CHECK;

/** Waits for nothing. @return whether it has ended: then child_wait tells how at once */
bool child_ended(const struct child *c);

/** @return the next line without its end, valid until the next call; NULL at the end */
const char *child_line(struct child *c);

/** Waits for its end. @return its exit code; 128 + signal; -1 if it cannot be waited for */
int child_wait(struct child *c);

/** Sends a signal if it runs. */
void child_signal(struct child *c, int signum);

/** Ends it if it runs, and frees. */
void child_done(struct child *c);

#endif

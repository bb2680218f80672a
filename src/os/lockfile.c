/* SPDX-License-Identifier: MIT */
/*
 * lockfile.c - see lockfile.h
 *
 * flock belongs to the open file description, so that two opens of one process exclude each other
 * too. The holder writes its process id into the file, for the message of whoever comes second.
 */
#include "os/lockfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>

struct tg_lock {
    int fd;
};

/* @return the process id in the file; 0 if there is none */
static long read_holder(int fd)
{
    char text[24];
    ssize_t n = pread(fd, text, sizeof text - 1, 0);

    if (n <= 0)
        return 0;
    text[n] = 0;
    return strtol(text, NULL, 10);
}

static tg_code refuse(int fd, const char *shown, struct tg_error *err)
{
    long pid = read_holder(fd);

    if (pid > 0) {
        tg_fail(err, TG_BUSY, "'%s' is held by process %ld", shown, pid);
        return tg_hint(err, "wait for process %ld to end, or stop it", pid);
    }
    tg_fail(err, TG_BUSY, "'%s' is held by another process", shown);
    return tg_hint(err, "wait for the other run to end, or stop it");
}

tg_code tg_lock_at(int dir_fd, const char *name, const char *shown, struct tg_lock **ret,
                   struct tg_error *err)
{
    int fd = openat(dir_fd, name, O_RDWR | O_CREAT | O_CLOEXEC, 0600), status;
    struct tg_lock *lock;
    char text[24];

    if (fd < 0)
        return tg_fail(err, TG_IO, "could not open lock file '%s': %s", shown, strerror(errno));
    do
        status = flock(fd, LOCK_EX | LOCK_NB);
    while (status < 0 && errno == EINTR);
    if (status < 0) {
        if (errno == EWOULDBLOCK)
            refuse(fd, shown, err);
        else
            tg_fail(err, TG_IO, "could not lock '%s': %s", shown, strerror(errno));
        close(fd);
        return err->code;
    }
    lock = malloc(sizeof *lock);
    if (!lock) {
        close(fd);
        return tg_fail(err, TG_NOMEM, "lock on '%s'", shown);
    }
    /* Without room for the number the lock holds all the same; only the message is poorer. */
    int n = snprintf(text, sizeof text, "%ld\n", (long)getpid());

    if (ftruncate(fd, 0) < 0 || pwrite(fd, text, (size_t)n, 0) < 0)
        errno = 0;
    lock->fd = fd;
    *ret = lock;
    return TG_OK;
}

tg_code tg_lock_file(const char *path, struct tg_lock **ret, struct tg_error *err)
{
    return tg_lock_at(AT_FDCWD, path, path, ret, err);
}

void tg_lock_release(struct tg_lock *lock)
{
    if (!lock)
        return;
    /* Emptied first: a lock file without a number was given back in order. */
    if (ftruncate(lock->fd, 0) < 0)
        errno = 0;
    close(lock->fd);
    free(lock);
}

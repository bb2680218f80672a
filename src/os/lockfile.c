/* SPDX-License-Identifier: MIT */
/*
 * lockfile.c - see lockfile.h
 *
 * flock belongs to the open file description, so that two opens of one process exclude each other
 * too. The holder writes its process id into the file, for the message of whoever comes second, and
 * removes the file before it lets go. Who opened it before that gets the lock on a file that has no
 * name any more, which would keep nobody out: so whoever has locked looks whether the name still
 * leads to the same file, and begins again if not.
 */
#include "os/lockfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { TRIES_MAX = 1000 };

struct tg_lock {
    int fd, dir; /* dir: where the name is; may be AT_FDCWD */
    char name[];
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

/* Whether the name still leads to the open file. */
static bool is_named(int fd, int dir, const char *name)
{
    struct stat open, there;

    return fstat(fd, &open) == 0 && fstatat(dir, name, &there, 0) == 0 &&
           open.st_dev == there.st_dev && open.st_ino == there.st_ino;
}

/* @return TG_AGAIN if what was locked is not the file of that name any more */
static tg_code try_lock(int dir, const char *name, const char *shown, int *ret_fd,
                        struct tg_error *err)
{
    int fd = openat(dir, name, O_RDWR | O_CREAT | O_CLOEXEC, 0600), status;
    tg_code code = TG_OK;

    if (fd < 0)
        return tg_fail(err, TG_IO, "could not open lock file '%s': %s", shown, strerror(errno));
    do
        status = flock(fd, LOCK_EX | LOCK_NB);
    while (status < 0 && errno == EINTR);
    if (status < 0 && errno == EWOULDBLOCK)
        code = refuse(fd, shown, err);
    else if (status < 0)
        code = tg_fail(err, TG_IO, "could not lock '%s': %s", shown, strerror(errno));
    else if (!is_named(fd, dir, name))
        code = TG_AGAIN;
    if (code == TG_OK)
        *ret_fd = fd;
    else
        close(fd);
    return code;
}

static struct tg_lock *lock_new(int dir, const char *name)
{
    size_t len = strlen(name);
    struct tg_lock *lock = malloc(sizeof *lock + len + 1);

    if (!lock)
        return NULL;
    memcpy(lock->name, name, len + 1);
    lock->dir = dir == AT_FDCWD ? dir : fcntl(dir, F_DUPFD_CLOEXEC, 0);
    if (lock->dir >= 0 || dir == AT_FDCWD)
        return lock;
    free(lock);
    return NULL;
}

static void lock_free(struct tg_lock *lock)
{
    if (lock->dir != AT_FDCWD)
        close(lock->dir);
    free(lock);
}

tg_code tg_lock_at(int dir_fd, const char *name, const char *shown, struct tg_lock **ret,
                   struct tg_error *err)
{
    struct tg_lock *lock = lock_new(dir_fd, name);
    tg_code code = TG_AGAIN;
    char text[24];

    if (!lock)
        return tg_fail(err, TG_NOMEM, "lock on '%s'", shown);
    for (int i = 0; i < TRIES_MAX && code == TG_AGAIN; i++)
        code = try_lock(dir_fd, name, shown, &lock->fd, err);
    if (code == TG_AGAIN)
        code = tg_fail(err, TG_BUSY, "'%s' changes hands all the time", shown);
    if (code != TG_OK) {
        lock_free(lock);
        return code;
    }
    /* Without room for the number the lock holds all the same; only the message is poorer. */
    int n = snprintf(text, sizeof text, "%ld\n", (long)getpid());

    if (ftruncate(lock->fd, 0) < 0 || pwrite(lock->fd, text, (size_t)n, 0) < 0)
        errno = 0;
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
    /* Where the name cannot be removed, an empty file tells that it was given back in order. */
    if (ftruncate(lock->fd, 0) < 0)
        errno = 0;
    if (is_named(lock->fd, lock->dir, lock->name))
        unlinkat(lock->dir, lock->name, 0);
    close(lock->fd);
    lock_free(lock);
}

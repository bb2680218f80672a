/* SPDX-License-Identifier: MIT */
/*
 * scratch.c - see scratch.h
 */
#include "os/scratch.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const char *directory(void)
{
    const char *dir = getenv("TMPDIR");

    return dir && *dir ? dir : "/tmp";
}

static tg_code fail(const char *what, struct tg_error *err)
{
    int why = errno;
    bool full = why == ENOSPC || why == EDQUOT || why == EFBIG;

    tg_fail(err, full ? TG_FULL : TG_IO, "%s a temporary file in '%.200s': %s", what, directory(),
            strerror(why));
    return tg_hint(err, full ? "make room there, or set TMPDIR to a directory with more"
                             : "set TMPDIR to a directory that can be written");
}

/* Not every file system can make one without a name. */
static int open_named(void)
{
    char path[4096];
    int n = snprintf(path, sizeof path, "%s/tgdata-XXXXXX", directory()), fd;

    if (n < 0 || n >= (int)sizeof path) {
        errno = ENAMETOOLONG;
        return -1;
    }
    fd = mkostemp(path, O_CLOEXEC);
    if (fd >= 0)
        unlink(path);
    return fd;
}

tg_code tg_scratch_open(struct tg_scratch *s, struct tg_error *err)
{
    s->size = 0;
    s->fd = open(directory(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (s->fd < 0)
        s->fd = open_named();
    return s->fd < 0 ? fail("cannot make", err) : TG_OK;
}

tg_code tg_scratch_add(struct tg_scratch *s, const void *bytes, size_t n, struct tg_error *err)
{
    const char *at = bytes;

    while (n) {
        ssize_t done = pwrite(s->fd, at, n, (off_t)s->size);

        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            return fail("cannot write", err);
        at += done;
        n -= (size_t)done;
        s->size += (uint64_t)done;
    }
    return TG_OK;
}

tg_code tg_scratch_read(const struct tg_scratch *s, uint64_t at, void *bytes, size_t n,
                        struct tg_error *err)
{
    char *to = bytes;

    while (n) {
        ssize_t done = pread(s->fd, to, n, (off_t)at);

        if (done < 0 && errno == EINTR)
            continue;
        if (done == 0)
            errno = EIO;
        if (done <= 0)
            return fail("cannot read", err);
        to += done;
        n -= (size_t)done;
        at += (uint64_t)done;
    }
    return TG_OK;
}

void tg_scratch_cut(struct tg_scratch *s, uint64_t size)
{
    assert(size <= s->size);
    s->size = size; /* what lies behind is written over */
}

void tg_scratch_empty(struct tg_scratch *s)
{
    if (s->fd >= 0 && s->size && ftruncate(s->fd, 0) != 0)
        tg_scratch_close(s);
    s->size = 0;
}

void tg_scratch_close(struct tg_scratch *s)
{
    if (s->fd >= 0)
        close(s->fd);
    *s = (struct tg_scratch){ .fd = -1 };
}

/* SPDX-License-Identifier: MIT */
/*
 * out.c - see out.h
 */
#include "os/out.h"

#include <errno.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

static tg_code fail(const char *what, struct tg_error *err)
{
    int why = errno;
    bool full = why == ENOSPC || why == EDQUOT || why == EFBIG;

    if (why == EPIPE)
        return tg_fail(err, TG_IO, "the reader of the %s has ended", what);
    return tg_fail(err, full ? TG_FULL : TG_IO, "cannot write to the %s: %s", what, strerror(why));
}

tg_code tg_out_write(int fd, const char *what, struct tg_buf *bytes, struct tg_error *err)
{
    size_t done = 0;
    tg_code code = TG_OK;

    while (done < bytes->len && code == TG_OK) {
        ssize_t n = write(fd, bytes->data + done, bytes->len - done);

        if (n >= 0) {
            done += (size_t)n;
        } else if (errno == EAGAIN) { /* whoever shares it wants it so */
            struct pollfd room = { .fd = fd, .events = POLLOUT };

            poll(&room, 1, -1);
        } else if (errno != EINTR) {
            code = fail(what, err);
        }
    }
    tg_buf_shift(bytes, done);
    return code;
}

tg_code tg_out_sync(int fd, const char *what, struct tg_error *err)
{
    struct stat is;

    if (fstat(fd, &is) < 0 || !S_ISREG(is.st_mode))
        return TG_OK;
    while (fdatasync(fd) < 0)
        if (errno != EINTR)
            return fail(what, err);
    return TG_OK;
}

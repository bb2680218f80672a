/* SPDX-License-Identifier: MIT */
/*
 * out.h - bytes to a descriptor that others have opened: standard output
 *
 * A pipe whose reader has ended shows up as TG_IO, if SIGPIPE is ignored: the program does that, a
 * library's user is asked to.
 *
 * Threads: one at a time per descriptor
 */
#ifndef TG_OS_OUT_H
#define TG_OS_OUT_H

#include "base/buf.h"

/**
 * Writes what a buffer holds, waiting for room. What was written is taken out of it, also when it
 * fails: the rest can be tried again.
 * @param what  its name in messages, "standard output"
 * @return TG_FULL; TG_IO
 */
tg_code tg_out_write(int fd, const char *what, struct tg_buf *bytes, struct tg_error *err);

/** Makes what was written durable where that can be: in a file. @return TG_FULL; TG_IO */
tg_code tg_out_sync(int fd, const char *what, struct tg_error *err);

#endif

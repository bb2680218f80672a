/* SPDX-License-Identifier: MIT */
/*
 * lockfile.h - a file that one process at a time can hold, and that tells who does
 *
 * The lock goes with the process however it ends; after a kill the file stays behind and keeps
 * nobody out, after an orderly end it is gone. It must be a file of its own beside what it guards:
 * a file that is replaced by rename cannot be locked.
 *
 * Threads: any
 */
#ifndef TG_OS_LOCKFILE_H
#define TG_OS_LOCKFILE_H

#include "base/base.h"

struct tg_lock;

/**
 * Takes the lock or fails at once. The file is created (mode 0600) if it is not there.
 * @return TG_BUSY naming the process that holds it, with a hint; TG_IO
 */
tg_code tg_lock_file(const char *path, struct tg_lock **ret, struct tg_error *err);

/** As tg_lock_file, relative to an open directory; `shown` is the path for messages. */
tg_code tg_lock_at(int dir_fd, const char *name, const char *shown, struct tg_lock **ret,
                   struct tg_error *err);

/** Removes the file and gives the lock back. NULL is nothing. */
void tg_lock_release(struct tg_lock *lock);

#endif

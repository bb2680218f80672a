/* SPDX-License-Identifier: MIT */
/*
 * fs.h - files as a small table of operations, so that tests can lose power
 *
 * tg_fs_system talks to the kernel. tg_fs_memory keeps files in memory, remembers which bytes and
 * which directory entries were synced, records each operation, can fail the n-th one (no space, I/O
 * error), and can be "cut": everything not synced is dropped, as after a power failure.
 *
 * Paths are relative to the directory handle that was opened. All calls return TG_IO or TG_FULL
 * with the path in the message, TG_NOT_FOUND where said. open_dir without `create` returns
 * TG_NOT_FOUND for a missing directory.
 *
 * Threads: system: any; memory: one at a time
 */
#ifndef TG_OS_FS_H
#define TG_OS_FS_H

#include "base/buf.h"

struct tg_dir;  /* an open directory */
struct tg_file; /* an open file */
struct tg_lock; /* a held lock file (os/lockfile.h) */

typedef bool (*tg_dir_seen)(void *ctx, const char *name, bool is_dir, uint64_t size);

struct tg_fs {
    void *ctx;
    /** Opens a directory, made first with its parents if `create`. */
    tg_code (*open_dir)(const struct tg_fs *fs, const char *path, bool create, struct tg_dir **ret,
                        struct tg_error *err);
    void (*close_dir)(const struct tg_fs *fs, struct tg_dir *dir);
    /** Makes renames and new entries durable. */
    tg_code (*sync_dir)(const struct tg_fs *fs, struct tg_dir *dir, struct tg_error *err);
    /** Every entry, in no order. */
    tg_code (*list)(const struct tg_fs *fs, struct tg_dir *dir, tg_dir_seen seen, void *ctx,
                    struct tg_error *err);

    /** Creates or truncates (mode 0644 or 0600 when `secret`). */
    tg_code (*create)(const struct tg_fs *fs, struct tg_dir *dir, const char *name, bool secret,
                      struct tg_file **ret, struct tg_error *err);
    /** Opens a file to go on writing it, made if missing: what stands behind its first `keep` bytes
     *  is cut off. */
    tg_code (*append)(const struct tg_fs *fs, struct tg_dir *dir, const char *name, uint64_t keep,
                      struct tg_file **ret, struct tg_error *err);
    tg_code (*open)(const struct tg_fs *fs, struct tg_dir *dir, const char *name,
                    struct tg_file **ret, struct tg_error *err); /* to read; TG_NOT_FOUND */
    tg_code (*write)(const struct tg_fs *fs, struct tg_file *file, const void *bytes, size_t n,
                     struct tg_error *err);
    /** Reads up to n bytes on from the last read. *ret_n == 0: end. */
    tg_code (*read)(const struct tg_fs *fs, struct tg_file *file, void *bytes, size_t n,
                    size_t *ret_n, struct tg_error *err);
    tg_code (*sync)(const struct tg_fs *fs, struct tg_file *file, struct tg_error *err);
    /** Closes without syncing. NULL is nothing. */
    void (*close)(const struct tg_fs *fs, struct tg_file *file);

    tg_code (*rename)(const struct tg_fs *fs, struct tg_dir *dir, const char *from, const char *to,
                      struct tg_error *err);
    /** As rename, but never replaces: @return TG_CONFLICT if `to` is there already. Both names may
     *  be there after a power failure. */
    tg_code (*rename_new)(const struct tg_fs *fs, struct tg_dir *dir, const char *from,
                          const char *to, struct tg_error *err);
    /** As rename_new, from one directory to another of the same file system. Neither name may be
     *  there after a power failure before to_dir is synced. */
    tg_code (*move_new)(const struct tg_fs *fs, struct tg_dir *from_dir, const char *from,
                        struct tg_dir *to_dir, const char *to, struct tg_error *err);
    tg_code (*unlink)(const struct tg_fs *fs, struct tg_dir *dir, const char *name,
                      struct tg_error *err); /* a missing file is TG_OK */
    /** When a file was written last, in Unix seconds. @return TG_NOT_FOUND */
    tg_code (*written)(const struct tg_fs *fs, struct tg_dir *dir, const char *name,
                       int64_t *ret_unix_s, struct tg_error *err);

    /** Takes a lock file of the directory, made if missing. @return TG_BUSY naming the holder */
    tg_code (*lock)(const struct tg_fs *fs, struct tg_dir *dir, const char *name,
                    struct tg_lock **ret, struct tg_error *err);
    void (*unlock)(const struct tg_fs *fs, struct tg_lock *lock); /* NULL is nothing */
};

extern const struct tg_fs tg_fs_system;

/** A file system in memory. */
struct tg_fs_memory;

enum tg_fs_op { TG_FS_CREATE, TG_FS_WRITE, TG_FS_SYNC, TG_FS_RENAME, TG_FS_SYNC_DIR, TG_FS_UNLINK };

/*
 * What survives tg_fs_memory_cut: the bytes of a file up to its last sync, under the names that its
 * directory had at its last sync_dir. Of the rest a seed picks: of the changes of each directory a
 * random subset, of each file's unsynced bytes a random prefix, the last piece of it possibly torn
 * (zeroes where data should be). A directory made by open_dir is durable at once. Locks are gone.
 */
struct tg_fs_memory *tg_fs_memory_new(void);
void tg_fs_memory_free(struct tg_fs_memory *m);
const struct tg_fs *tg_fs_memory_fs(struct tg_fs_memory *m);

/** The n-th mutating operation from now (1 is the next) fails with `code`; all later ones too if
 *  `stays`. 0 switches it off. */
void tg_fs_memory_fail(struct tg_fs_memory *m, uint64_t nth, tg_code code, bool stays);

/** Power failure: drops all unsynced bytes and directory changes; open handles become useless.
 *  `seed` decides which unsynced pieces happen to survive (0: none). */
void tg_fs_memory_cut(struct tg_fs_memory *m, uint64_t seed);

/** Files are written at that time from now on; at first it is 0. */
void tg_fs_memory_clock(struct tg_fs_memory *m, int64_t unix_s);

/** The record of mutating operations: "write a.tmp 10", "fsync a.tmp", "rename a.tmp a", ... */
const char *tg_fs_memory_log(struct tg_fs_memory *m, size_t *ret_n_ops);

/** Reads a whole file of at most max bytes. @return TG_NOT_FOUND, TG_LIMIT, TG_IO */
tg_code tg_fs_read_all(const struct tg_fs *fs, struct tg_dir *dir, const char *name, size_t max,
                       struct tg_buf *out, struct tg_error *err);

/** Replaces a file so that a crash leaves the old or the new one: write aside, sync, rename, sync.
 *  The file aside is `name`.tmp. */
tg_code tg_fs_replace(const struct tg_fs *fs, struct tg_dir *dir, const char *name, bool secret,
                      const void *bytes, size_t len, struct tg_error *err);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * fs_system.c - files of the kernel; see fs.h
 *
 * Directories are held open and names looked up relative to them, so that a renamed or remounted
 * path does not split one job's files over two places.
 *
 * Threads: any      Limits: none of its own
 */
#include "os/fs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "os/lockfile.h"

struct tg_dir {
    int fd;
    char path[]; /* as given, for messages */
};

struct tg_file {
    int fd;
    char path[];
};

/* Fills err from errno; says what to do where that is clear. */
static tg_code fail(struct tg_error *err, const char *verb, const char *path)
{
    int why = errno;
    bool full = why == ENOSPC || why == EDQUOT;

    tg_fail(err, full ? TG_FULL : TG_IO, "could not %s '%.200s': %s", verb, path, strerror(why));
    if (why == ENOSPC)
        tg_hint(err, "make room on that file system; nothing committed is lost");
    else if (why == EDQUOT)
        tg_hint(err, "the disk quota is used up; nothing committed is lost");
    else if (why == EACCES || why == EPERM)
        tg_hint(err, "check the owner and mode of the path");
    else if (why == EROFS)
        tg_hint(err, "the file system is mounted read-only; choose another place");
    else if (why == ENOTDIR)
        tg_hint(err, "a part of the path is a file, not a directory");
    else if (why == EFBIG)
        tg_hint(err, "files may not grow that large here: ulimit -f, or the file system");
    else if (why == EMFILE || why == ENFILE)
        tg_hint(err, "raise the limit of open files (ulimit -n)");
    return err->code;
}

/* @return "dir/name", to be freed; NULL out of memory */
static char *join(const char *dir, const char *name)
{
    size_t n = strlen(dir), m = strlen(name);
    char *path = malloc(n + m + 2);

    if (path) {
        memcpy(path, dir, n);
        path[n] = '/';
        memcpy(path + n + 1, name, m + 1);
    }
    return path;
}

static tg_code fail_in(struct tg_error *err, const char *verb, const struct tg_dir *dir,
                       const char *name)
{
    int why = errno;
    char *path = join(dir->path, name);

    errno = why;
    fail(err, verb, path ? path : name);
    free(path);
    return err->code;
}

static int sync_fd(int fd)
{
    int status;

    do
        status = fsync(fd);
    while (status < 0 && errno == EINTR);
    return status;
}

/* Makes the entry of a new directory durable in its parent. */
static int sync_parent(const char *path)
{
    char *copy = strdup(path), *slash;
    int fd, status;

    if (!copy)
        return -1;
    slash = strrchr(copy, '/');
    if (slash == copy)
        slash[1] = 0;
    else if (slash)
        *slash = 0;
    fd = open(slash ? copy : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    free(copy);
    if (fd < 0)
        return -1;
    status = sync_fd(fd);
    if (status < 0 && errno == EINVAL)
        status = 0; /* a file system that does not sync directories */
    close(fd);
    return status;
}

/* Makes one directory and, before it, the missing ones above it. */
static int make_dirs(char *path)
{
    for (char *at = path + 1; at[-1]; at++) {
        char kept = *at;

        if ((kept != '/' && kept != 0) || at[-1] == '/')
            continue;
        *at = 0;
        if (mkdir(path, 0755) == 0) {
            if (sync_parent(path) < 0)
                return -1;
        } else if (errno != EEXIST) {
            return -1;
        }
        *at = kept;
        if (kept == 0)
            break;
    }
    return 0;
}

static tg_code sys_open_dir(const struct tg_fs *fs, const char *path, bool create,
                            struct tg_dir **ret, struct tg_error *err)
{
    size_t n = strlen(path);
    struct tg_dir *d = malloc(sizeof *d + n + 1);

    (void)fs;
    if (!d)
        return tg_fail(err, TG_NOMEM, "directory handle");
    memcpy(d->path, path, n + 1);
    d->fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (d->fd < 0 && errno == ENOENT && create && n > 0) {
        if (make_dirs(d->path) < 0) {
            fail(err, "create directory", path);
            free(d);
            return tg_hint(err, "is its place right, and may this user write there?");
        }
        d->fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    }
    if (d->fd < 0) {
        if (errno == ENOENT)
            tg_fail(err, TG_NOT_FOUND, "there is no directory '%.200s'", path);
        else
            fail(err, "open directory", path);
        free(d);
        return err->code;
    }
    *ret = d;
    return TG_OK;
}

static void sys_close_dir(const struct tg_fs *fs, struct tg_dir *dir)
{
    (void)fs;
    if (!dir)
        return;
    close(dir->fd);
    free(dir);
}

static tg_code sys_sync_dir(const struct tg_fs *fs, struct tg_dir *dir, struct tg_error *err)
{
    (void)fs;
    if (sync_fd(dir->fd) < 0 && errno != EINVAL)
        return fail(err, "sync directory", dir->path);
    return TG_OK;
}

static tg_code sys_list(const struct tg_fs *fs, struct tg_dir *dir, tg_dir_seen seen, void *ctx,
                        struct tg_error *err)
{
    int fd = openat(dir->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    struct dirent *entry;
    bool more = true;

    (void)fs;
    if (!d) {
        fail(err, "list directory", dir->path);
        if (fd >= 0)
            close(fd);
        return err->code;
    }
    while (more && (errno = 0, entry = readdir(d)) != NULL) {
        struct stat st;

        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        if (fstatat(dir->fd, entry->d_name, &st, 0) < 0)
            continue; /* gone meanwhile, or a link to nowhere */
        more = seen(ctx, entry->d_name, S_ISDIR(st.st_mode), (uint64_t)st.st_size);
    }
    if (more && errno) {
        fail(err, "list directory", dir->path);
        closedir(d);
        return err->code;
    }
    closedir(d);
    return TG_OK;
}

static tg_code open_file(struct tg_dir *dir, const char *name, int flags, mode_t mode,
                         struct tg_file **ret, struct tg_error *err)
{
    size_t n = strlen(dir->path), m = strlen(name);
    struct tg_file *f = malloc(sizeof *f + n + m + 2);

    if (!f)
        return tg_fail(err, TG_NOMEM, "file handle");
    memcpy(f->path, dir->path, n);
    f->path[n] = '/';
    memcpy(f->path + n + 1, name, m + 1);
    do
        f->fd = openat(dir->fd, name, flags | O_CLOEXEC, mode);
    while (f->fd < 0 && errno == EINTR);
    if (f->fd < 0) {
        if (errno == ENOENT && !(flags & O_CREAT))
            tg_fail(err, TG_NOT_FOUND, "there is no file '%.200s'", f->path);
        else
            fail(err, flags & O_CREAT ? "create" : "open", f->path);
        free(f);
        return err->code;
    }
    *ret = f;
    return TG_OK;
}

static tg_code sys_create(const struct tg_fs *fs, struct tg_dir *dir, const char *name, bool secret,
                          struct tg_file **ret, struct tg_error *err)
{
    tg_code code = open_file(dir, name, O_WRONLY | O_CREAT | O_TRUNC, secret ? 0600 : 0644, ret,
                             err);

    (void)fs;
    /* A file that was there keeps its old mode; a secret must not be written into it. */
    if (code == TG_OK && secret && fchmod((*ret)->fd, 0600) < 0) {
        fail(err, "set the mode of", (*ret)->path);
        close((*ret)->fd);
        free(*ret);
        return err->code;
    }
    return code;
}

static tg_code sys_append(const struct tg_fs *fs, struct tg_dir *dir, const char *name,
                          uint64_t keep, struct tg_file **ret, struct tg_error *err)
{
    tg_code code = open_file(dir, name, O_WRONLY | O_CREAT, 0644, ret, err);
    struct stat st;

    (void)fs;
    if (code != TG_OK)
        return code;
    if (fstat((*ret)->fd, &st) < 0 ||
        ((uint64_t)st.st_size > keep && ftruncate((*ret)->fd, (off_t)keep) < 0) ||
        lseek((*ret)->fd, 0, SEEK_END) < 0) {
        fail(err, "go on with", (*ret)->path);
        close((*ret)->fd);
        free(*ret);
        return err->code;
    }
    return TG_OK;
}

static tg_code sys_open(const struct tg_fs *fs, struct tg_dir *dir, const char *name,
                        struct tg_file **ret, struct tg_error *err)
{
    (void)fs;
    return open_file(dir, name, O_RDONLY, 0, ret, err);
}

static tg_code sys_write(const struct tg_fs *fs, struct tg_file *file, const void *bytes, size_t n,
                         struct tg_error *err)
{
    const char *at = bytes;

    (void)fs;
    while (n) {
        ssize_t done = write(file->fd, at, n);

        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            return fail(err, "write", file->path);
        at += done;
        n -= (size_t)done;
    }
    return TG_OK;
}

static tg_code sys_read(const struct tg_fs *fs, struct tg_file *file, void *bytes, size_t n,
                        size_t *ret_n, struct tg_error *err)
{
    ssize_t got;

    (void)fs;
    do
        got = read(file->fd, bytes, n);
    while (got < 0 && errno == EINTR);
    if (got < 0)
        return fail(err, "read", file->path);
    *ret_n = (size_t)got;
    return TG_OK;
}

static tg_code sys_sync(const struct tg_fs *fs, struct tg_file *file, struct tg_error *err)
{
    (void)fs;
    if (sync_fd(file->fd) < 0)
        return fail(err, "sync", file->path);
    return TG_OK;
}

static void sys_close(const struct tg_fs *fs, struct tg_file *file)
{
    (void)fs;
    if (!file)
        return;
    close(file->fd);
    free(file);
}

static tg_code sys_rename(const struct tg_fs *fs, struct tg_dir *dir, const char *from,
                          const char *to, struct tg_error *err)
{
    (void)fs;
    if (renameat(dir->fd, from, dir->fd, to) < 0)
        return fail_in(err, "rename to", dir, to);
    return TG_OK;
}

/* For file systems whose rename cannot refuse: a second name, then the first one goes. */
static int link_new(int from_dir, const char *from, int to_dir, const char *to)
{
    if (linkat(from_dir, from, to_dir, to, 0) == 0)
        return unlinkat(from_dir, from, 0);
    if (errno != EPERM && errno != EOPNOTSUPP && errno != EMLINK)
        return -1;
    if (faccessat(to_dir, to, F_OK, AT_SYMLINK_NOFOLLOW) == 0) { /* no links either: look first */
        errno = EEXIST;
        return -1;
    }
    return renameat(from_dir, from, to_dir, to);
}

static tg_code sys_move_new(const struct tg_fs *fs, struct tg_dir *from_dir, const char *from,
                            struct tg_dir *to_dir, const char *to, struct tg_error *err)
{
    int status = renameat2(from_dir->fd, from, to_dir->fd, to, RENAME_NOREPLACE);

    (void)fs;
    if (status < 0 && (errno == EINVAL || errno == ENOSYS))
        status = link_new(from_dir->fd, from, to_dir->fd, to);
    if (status < 0 && errno == EEXIST)
        return tg_fail(err, TG_CONFLICT, "'%.200s/%.64s' is there already", to_dir->path, to);
    if (status < 0)
        return fail_in(err, "rename to", to_dir, to);
    return TG_OK;
}

static tg_code sys_rename_new(const struct tg_fs *fs, struct tg_dir *dir, const char *from,
                              const char *to, struct tg_error *err)
{
    return sys_move_new(fs, dir, from, dir, to, err);
}

static tg_code sys_unlink(const struct tg_fs *fs, struct tg_dir *dir, const char *name,
                          struct tg_error *err)
{
    (void)fs;
    if (unlinkat(dir->fd, name, 0) < 0 && errno != ENOENT)
        return fail_in(err, "remove", dir, name);
    return TG_OK;
}

static tg_code sys_written(const struct tg_fs *fs, struct tg_dir *dir, const char *name,
                           int64_t *ret_unix_s, struct tg_error *err)
{
    struct stat st;

    (void)fs;
    if (fstatat(dir->fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ? tg_fail(err, TG_NOT_FOUND, "there is no file '%.200s'", name)
                               : fail_in(err, "look at", dir, name);
    *ret_unix_s = st.st_mtime;
    return TG_OK;
}

static tg_code sys_lock(const struct tg_fs *fs, struct tg_dir *dir, const char *name,
                        struct tg_lock **ret, struct tg_error *err)
{
    char *path = join(dir->path, name);
    tg_code code;

    (void)fs;
    if (!path)
        return tg_fail(err, TG_NOMEM, "lock file path");
    code = tg_lock_at(dir->fd, name, path, ret, err);
    free(path);
    return code;
}

static void sys_unlock(const struct tg_fs *fs, struct tg_lock *lock)
{
    (void)fs;
    tg_lock_release(lock);
}

const struct tg_fs tg_fs_system = {
    .open_dir = sys_open_dir,
    .close_dir = sys_close_dir,
    .sync_dir = sys_sync_dir,
    .list = sys_list,
    .create = sys_create,
    .append = sys_append,
    .open = sys_open,
    .write = sys_write,
    .read = sys_read,
    .sync = sys_sync,
    .close = sys_close,
    .rename = sys_rename,
    .rename_new = sys_rename_new,
    .move_new = sys_move_new,
    .unlink = sys_unlink,
    .written = sys_written,
    .lock = sys_lock,
    .unlock = sys_unlock,
};

/* SPDX-License-Identifier: MIT */
/*
 * fs_memory.c - a file system in memory that can fail and lose power; see fs.h
 *
 * Each file has two contents: what readers see, and what is on the platter. Each directory has the
 * entries that are seen, the durable ones, and between them the changes since its last sync, in
 * order. A cut decides for each change whether it got through, and for each file how much of its
 * unsynced tail did; from then on the durable state is all there is. The generation counts cuts: a
 * handle of an older one is dead.
 *
 * Threads: one at a time      Limits: log 64 MiB; files 1 GiB
 */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "os/fs_memory_dir.h"

enum { FILE_MAX = 1 << 30, LOG_MAX = 64 << 20 };

struct dir_handle {
    struct tg_mem_dir *dir;
    uint64_t generation;
};

struct file_handle {
    struct tg_mem_inode *inode;
    uint64_t generation;
    size_t at; /* where the next read begins */
    bool writing;
    char name[TG_MEM_NAME];
};

struct lock_handle {
    struct lock_handle *next;
    const struct tg_mem_dir *dir;
    uint64_t generation;
    char name[TG_MEM_NAME];
};

struct tg_fs_memory {
    struct tg_fs fs;
    struct tg_mem_dir *dir;
    struct tg_mem_inode *inode;
    struct lock_handle *lock;
    uint64_t generation;
    int64_t unix_s;
    uint64_t fail_in; /* 0: off; 1: the next operation */
    tg_code fail_code;
    bool fail_stays;
    struct tg_buf log;
    size_t n_ops;
};

/* ---- failing and recording ---- */

static tg_code no_memory(struct tg_error *err)
{
    return tg_fail(err, TG_NOMEM, "file system in memory");
}

static tg_code dead(const char *name, struct tg_error *err)
{
    errno = EIO;
    return tg_fail(err, TG_IO, "'%.64s' was open when the power failed", name);
}

/* Counts and records one mutating operation. @return what it must fail with, or TG_OK */
static tg_code operation(struct tg_fs_memory *m, const char *what, const char *name,
                         struct tg_error *err)
{
    bool failing = m->fail_in == 1;

    m->n_ops++;
    tg_buf_printf(&m->log, "%s %s%s\n", what, name, failing ? " failed" : "");
    if (m->fail_in > 1)
        m->fail_in--;
    if (!failing)
        return TG_OK;
    if (!m->fail_stays)
        m->fail_in = 0;
    errno = m->fail_code == TG_FULL ? ENOSPC : EIO;
    return tg_fail(err, m->fail_code, "could not %s '%.64s': %s", what, name, strerror(errno));
}

void tg_fs_memory_fail(struct tg_fs_memory *m, uint64_t nth, tg_code code, bool stays)
{
    assert(nth == 0 || code > TG_END);
    m->fail_in = nth;
    m->fail_code = code;
    m->fail_stays = stays;
}

void tg_fs_memory_clock(struct tg_fs_memory *m, int64_t unix_s)
{
    m->unix_s = unix_s;
}

const char *tg_fs_memory_log(struct tg_fs_memory *m, size_t *ret_n_ops)
{
    if (ret_n_ops)
        *ret_n_ops = m->n_ops;
    return tg_buf_cstr(&m->log);
}

static bool copy_bytes(struct tg_buf *to, const struct tg_buf *from, size_t n)
{
    tg_buf_clear(to);
    tg_buf_add(to, from->data, n);
    return !to->failed;
}

/* ---- power failure ---- */

/* Lets a random piece of what was not synced get through; its end may be torn. */
static void cut_inode(struct tg_mem_inode *f, uint64_t *random)
{
    size_t synced = f->truncated ? 0 : f->durable.len, keep;

    if (*random && f->now.len >= synced && (!f->truncated || (tg_mem_random(random) & 1))) {
        keep = synced + (size_t)(tg_mem_random(random) % (f->now.len - synced + 1));
        copy_bytes(&f->durable, &f->now, keep);
        if (keep > synced && (tg_mem_random(random) & 1)) {
            size_t torn = (size_t)(tg_mem_random(random) % (keep - synced)) + 1;

            memset(f->durable.data + keep - torn, 0, torn);
        }
    }
    copy_bytes(&f->now, &f->durable, f->durable.len);
    f->truncated = false;
}

void tg_fs_memory_cut(struct tg_fs_memory *m, uint64_t seed)
{
    uint64_t random = seed;

    tg_buf_str(&m->log, "cut\n");
    m->generation++;
    for (struct tg_mem_dir *d = m->dir; d; d = d->next)
        tg_mem_cut_dir(d, &random);
    for (struct tg_mem_inode *f = m->inode; f; f = f->next)
        cut_inode(f, &random);
}

/* ---- the operations ---- */

static struct tg_fs_memory *memory_of(const struct tg_fs *fs)
{
    return fs->ctx;
}

static struct tg_mem_dir *live_dir(const struct tg_fs *fs, struct tg_dir *dir)
{
    const struct dir_handle *h = (const struct dir_handle *)(const void *)dir;

    return h->generation == memory_of(fs)->generation ? h->dir : NULL;
}

static struct file_handle *live_file(const struct tg_fs *fs, struct tg_file *file)
{
    struct file_handle *h = (struct file_handle *)(void *)file;

    return h->generation == memory_of(fs)->generation ? h : NULL;
}

static tg_code check_name(const char *name, struct tg_error *err)
{
    if (!*name || strlen(name) >= TG_MEM_NAME || strchr(name, '/'))
        return tg_fail(err, TG_IO, "no name for a file: '%.80s'", name);
    return TG_OK;
}

/* @return the name of a directory that stands right below another; NULL if it does not */
static const char *name_below(const struct tg_mem_dir *d, const char *path)
{
    size_t n = strlen(path);

    return strncmp(d->path, path, n) == 0 && d->path[n] == '/' && !strchr(d->path + n + 1, '/')
               ? d->path + n + 1 : NULL;
}

static bool has_below(const struct tg_fs_memory *m, const char *path)
{
    for (const struct tg_mem_dir *d = m->dir; d; d = d->next)
        if (name_below(d, path))
            return true;
    return false;
}

static tg_code mem_open_dir(const struct tg_fs *fs, const char *path, bool create,
                            struct tg_dir **ret, struct tg_error *err)
{
    struct tg_fs_memory *m = memory_of(fs);
    struct dir_handle *h;
    struct tg_mem_dir *d = m->dir;

    while (d && strcmp(d->path, path) != 0)
        d = d->next;
    if (!d && !create && !has_below(m, path)) /* parents are made with their first child */
        return tg_fail(err, TG_NOT_FOUND, "there is no directory '%.200s'", path);
    h = malloc(sizeof *h);
    if (!d && h) {
        d = calloc(1, sizeof *d + strlen(path) + 1);
        if (d) {
            memcpy(d->path, path, strlen(path) + 1);
            d->next = m->dir;
            m->dir = d;
        }
    }
    if (!h || !d) {
        free(h);
        return no_memory(err);
    }
    *h = (struct dir_handle){ d, m->generation };
    *ret = (struct tg_dir *)(void *)h;
    return TG_OK;
}

static void mem_close_dir(const struct tg_fs *fs, struct tg_dir *dir)
{
    (void)fs;
    free(dir);
}

static tg_code mem_sync_dir(const struct tg_fs *fs, struct tg_dir *dir, struct tg_error *err)
{
    struct tg_mem_dir *d = live_dir(fs, dir);
    tg_code code;

    if (!d)
        return dead("directory", err);
    code = operation(memory_of(fs), "sync_dir", d->path, err);
    if (code != TG_OK)
        return code;
    d->n_changes = 0;
    return tg_mem_copy(&d->durable, &d->now) ? TG_OK : no_memory(err);
}

static tg_code mem_list(const struct tg_fs *fs, struct tg_dir *dir, tg_dir_seen seen, void *ctx,
                        struct tg_error *err)
{
    struct tg_mem_dir *d = live_dir(fs, dir);

    if (!d)
        return dead("directory", err);
    for (size_t i = d->now.n; i > 0; i--) { /* backwards: nobody may rely on an order */
        const struct tg_mem_entry *e = &d->now.at[i - 1];

        if (!seen(ctx, e->name, false, e->inode->now.len))
            return TG_OK;
    }
    for (const struct tg_mem_dir *o = memory_of(fs)->dir; o; o = o->next)
        if (name_below(o, d->path) && !seen(ctx, name_below(o, d->path), true, 0))
            break;
    return TG_OK;
}

static tg_code open_handle(const struct tg_fs *fs, struct tg_mem_inode *inode, const char *name,
                           bool writing, struct tg_file **ret)
{
    struct file_handle *h = calloc(1, sizeof *h);

    if (!h)
        return TG_NOMEM;
    h->inode = inode;
    h->generation = memory_of(fs)->generation;
    h->writing = writing;
    memcpy(h->name, name, strlen(name) + 1);
    *ret = (struct tg_file *)(void *)h;
    return TG_OK;
}

static struct tg_mem_inode *new_inode(struct tg_fs_memory *m)
{
    struct tg_mem_inode *f = calloc(1, sizeof *f);

    if (!f)
        return NULL;
    tg_buf_init(&f->now, FILE_MAX);
    tg_buf_init(&f->durable, FILE_MAX);
    f->written_s = m->unix_s;
    f->next = m->inode;
    m->inode = f;
    return f;
}

/* Opens to write behind the first `keep` bytes. */
static tg_code open_to_write(const struct tg_fs *fs, struct tg_dir *dir, const char *name,
                             uint64_t keep, struct tg_file **ret, struct tg_error *err)
{
    struct tg_fs_memory *m = memory_of(fs);
    struct tg_mem_dir *d = live_dir(fs, dir);
    struct tg_mem_change c = { .gone = "" };
    struct tg_mem_entry *old;
    tg_code code = d ? check_name(name, err) : dead(name, err);

    if (code == TG_OK)
        code = operation(m, keep ? "append" : "create", name, err);
    if (code != TG_OK)
        return code;
    old = tg_mem_find(&d->now, name);
    if (old) {
        if (keep < old->inode->durable.len || !keep)
            old->inode->truncated = true;
        old->inode->now.len = (size_t)TG_MIN(keep, (uint64_t)old->inode->now.len);
        c.came = *old;
    } else {
        memcpy(c.came.name, name, strlen(name) + 1);
        c.came.inode = new_inode(m);
        if (!c.came.inode || !tg_mem_change(d, &c))
            return no_memory(err);
    }
    return open_handle(fs, c.came.inode, name, true, ret) == TG_OK ? TG_OK : no_memory(err);
}

static tg_code mem_create(const struct tg_fs *fs, struct tg_dir *dir, const char *name, bool secret,
                          struct tg_file **ret, struct tg_error *err)
{
    (void)secret;
    return open_to_write(fs, dir, name, 0, ret, err);
}

static tg_code mem_append(const struct tg_fs *fs, struct tg_dir *dir, const char *name,
                          uint64_t keep, struct tg_file **ret, struct tg_error *err)
{
    return open_to_write(fs, dir, name, keep, ret, err);
}

static tg_code mem_open(const struct tg_fs *fs, struct tg_dir *dir, const char *name,
                        struct tg_file **ret, struct tg_error *err)
{
    struct tg_mem_dir *d = live_dir(fs, dir);
    struct tg_mem_entry *e;

    if (!d)
        return dead(name, err);
    e = tg_mem_find(&d->now, name);
    if (!e)
        return tg_fail(err, TG_NOT_FOUND, "there is no file '%.120s/%.64s'", d->path, name);
    return open_handle(fs, e->inode, name, false, ret) == TG_OK ? TG_OK : no_memory(err);
}

static tg_code mem_write(const struct tg_fs *fs, struct tg_file *file, const void *bytes, size_t n,
                         struct tg_error *err)
{
    struct file_handle *h = live_file(fs, file);
    char what[TG_MEM_NAME + 24];
    tg_code code;

    if (!h)
        return dead("file", err);
    assert(h->writing);
    snprintf(what, sizeof what, "%s %zu", h->name, n);
    code = operation(memory_of(fs), "write", what, err);
    h->inode->written_s = memory_of(fs)->unix_s;
    /* A write that fails may have got half-way. */
    tg_buf_add(&h->inode->now, bytes, code == TG_OK ? n : n / 2);
    if (h->inode->now.failed)
        return no_memory(err);
    return code;
}

static tg_code mem_read(const struct tg_fs *fs, struct tg_file *file, void *bytes, size_t n,
                        size_t *ret_n, struct tg_error *err)
{
    struct file_handle *h = live_file(fs, file);

    if (!h)
        return dead("file", err);
    n = TG_MIN(n, h->inode->now.len - TG_MIN(h->at, h->inode->now.len));
    if (n)
        memcpy(bytes, h->inode->now.data + h->at, n);
    h->at += n;
    *ret_n = n;
    return TG_OK;
}

static tg_code mem_sync(const struct tg_fs *fs, struct tg_file *file, struct tg_error *err)
{
    struct file_handle *h = live_file(fs, file);
    tg_code code;

    if (!h)
        return dead("file", err);
    code = operation(memory_of(fs), "fsync", h->name, err);
    if (code != TG_OK)
        return code;
    if (!copy_bytes(&h->inode->durable, &h->inode->now, h->inode->now.len))
        return no_memory(err);
    h->inode->truncated = false;
    return TG_OK;
}

static void mem_close(const struct tg_fs *fs, struct tg_file *file)
{
    (void)fs;
    free(file);
}

/* The operation of moving `from`, which is told. */
static tg_code moving(const struct tg_fs *fs, struct tg_mem_dir *d, const char *from,
                      const char *to, struct tg_mem_entry **ret, struct tg_error *err)
{
    char what[2 * TG_MEM_NAME + 2];
    tg_code code = check_name(to, err);

    if (code != TG_OK)
        return code;
    snprintf(what, sizeof what, "%s %s", from, to);
    code = operation(memory_of(fs), "rename", what, err);
    if (code != TG_OK)
        return code;
    *ret = tg_mem_find(&d->now, from);
    return *ret ? TG_OK
                : tg_fail(err, TG_IO, "could not rename '%.64s': there is no such file", from);
}

static tg_code mem_rename(const struct tg_fs *fs, struct tg_dir *dir, const char *from,
                          const char *to, struct tg_error *err)
{
    struct tg_mem_dir *d = live_dir(fs, dir);
    struct tg_mem_change c = { .gone = "" };
    struct tg_mem_entry *e;
    tg_code code = d ? moving(fs, d, from, to, &e, err) : dead(from, err);

    if (code != TG_OK)
        return code;
    memcpy(c.gone, e->name, sizeof c.gone);
    memcpy(c.came.name, to, strlen(to) + 1);
    c.came.inode = e->inode;
    return tg_mem_change(d, &c) ? TG_OK : no_memory(err);
}

static tg_code mem_rename_new(const struct tg_fs *fs, struct tg_dir *dir, const char *from,
                              const char *to, struct tg_error *err)
{
    struct tg_mem_dir *d = live_dir(fs, dir);

    if (d && tg_mem_find(&d->now, to) && tg_mem_find(&d->now, from))
        return tg_fail(err, TG_CONFLICT, "'%.64s' is there already", to);
    return mem_rename(fs, dir, from, to, err);
}

static tg_code mem_move_new(const struct tg_fs *fs, struct tg_dir *from_dir, const char *from,
                            struct tg_dir *to_dir, const char *to, struct tg_error *err)
{
    struct tg_mem_dir *d = live_dir(fs, from_dir), *there = live_dir(fs, to_dir);
    struct tg_mem_change came = { .gone = "" }, gone = { .gone = "" };
    struct tg_mem_entry *e;
    tg_code code;

    if (d && there && tg_mem_find(&there->now, to))
        return tg_fail(err, TG_CONFLICT, "'%.64s' is there already", to);
    code = d && there ? moving(fs, d, from, to, &e, err) : dead(from, err);
    if (code != TG_OK)
        return code;
    memcpy(gone.gone, e->name, sizeof gone.gone);
    memcpy(came.came.name, to, strlen(to) + 1);
    came.came.inode = e->inode;
    return tg_mem_change(there, &came) && tg_mem_change(d, &gone) ? TG_OK : no_memory(err);
}

static tg_code mem_unlink(const struct tg_fs *fs, struct tg_dir *dir, const char *name,
                          struct tg_error *err)
{
    struct tg_mem_dir *d = live_dir(fs, dir);
    struct tg_mem_change c = { .gone = "" };
    tg_code code = d ? check_name(name, err) : dead(name, err);

    if (code == TG_OK)
        code = operation(memory_of(fs), "unlink", name, err);
    if (code != TG_OK || !tg_mem_find(&d->now, name))
        return code;
    memcpy(c.gone, name, strlen(name) + 1);
    return tg_mem_change(d, &c) ? TG_OK : no_memory(err);
}

static tg_code mem_written(const struct tg_fs *fs, struct tg_dir *dir, const char *name,
                           int64_t *ret_unix_s, struct tg_error *err)
{
    struct tg_mem_dir *d = live_dir(fs, dir);
    const struct tg_mem_entry *e = d ? tg_mem_find(&d->now, name) : NULL;

    if (!d)
        return dead(name, err);
    if (!e)
        return tg_fail(err, TG_NOT_FOUND, "there is no file '%.64s'", name);
    *ret_unix_s = e->inode->written_s;
    return TG_OK;
}

static tg_code mem_lock(const struct tg_fs *fs, struct tg_dir *dir, const char *name,
                        struct tg_lock **ret, struct tg_error *err)
{
    struct tg_fs_memory *m = memory_of(fs);
    struct tg_mem_dir *d = live_dir(fs, dir);
    struct lock_handle *h;
    tg_code code = d ? check_name(name, err) : dead(name, err);

    if (code != TG_OK)
        return code;
    for (h = m->lock; h; h = h->next) {
        if (h->generation == m->generation && h->dir == d && strcmp(h->name, name) == 0) {
            tg_fail(err, TG_BUSY, "'%.120s/%.64s' is held by another process", d->path, name);
            return tg_hint(err, "wait for the other run to end, or stop it");
        }
    }
    h = calloc(1, sizeof *h);
    if (!h)
        return no_memory(err);
    h->dir = d;
    h->generation = m->generation;
    memcpy(h->name, name, strlen(name) + 1);
    h->next = m->lock;
    m->lock = h;
    *ret = (struct tg_lock *)(void *)h;
    return TG_OK;
}

static void mem_unlock(const struct tg_fs *fs, struct tg_lock *lock)
{
    struct lock_handle **at = &memory_of(fs)->lock, *h = (struct lock_handle *)(void *)lock;

    if (!lock)
        return;
    while (*at != h)
        at = &(*at)->next;
    *at = h->next;
    free(h);
}

static const struct tg_fs memory_ops = {
    .open_dir = mem_open_dir,
    .close_dir = mem_close_dir,
    .sync_dir = mem_sync_dir,
    .list = mem_list,
    .create = mem_create,
    .append = mem_append,
    .open = mem_open,
    .write = mem_write,
    .read = mem_read,
    .sync = mem_sync,
    .close = mem_close,
    .rename = mem_rename,
    .rename_new = mem_rename_new,
    .move_new = mem_move_new,
    .unlink = mem_unlink,
    .written = mem_written,
    .lock = mem_lock,
    .unlock = mem_unlock,
};

struct tg_fs_memory *tg_fs_memory_new(void)
{
    struct tg_fs_memory *m = calloc(1, sizeof *m);

    if (!m)
        return NULL;
    m->fs = memory_ops;
    m->fs.ctx = m;
    tg_buf_init(&m->log, LOG_MAX);
    return m;
}

const struct tg_fs *tg_fs_memory_fs(struct tg_fs_memory *m)
{
    return &m->fs;
}

void tg_fs_memory_free(struct tg_fs_memory *m)
{
    if (!m)
        return;
    while (m->dir) {
        struct tg_mem_dir *next = m->dir->next;

        free(m->dir->now.at);
        free(m->dir->durable.at);
        free(m->dir->change);
        free(m->dir);
        m->dir = next;
    }
    while (m->inode) {
        struct tg_mem_inode *next = m->inode->next;

        tg_buf_done(&m->inode->now);
        tg_buf_done(&m->inode->durable);
        free(m->inode);
        m->inode = next;
    }
    while (m->lock) {
        struct lock_handle *next = m->lock->next;

        free(m->lock);
        m->lock = next;
    }
    tg_buf_done(&m->log);
    free(m);
}

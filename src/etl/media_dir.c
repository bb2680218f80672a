/* SPDX-License-Identifier: MIT */
/*
 * media_dir.c - see media_dir.h
 *
 * The order at the end of a file: its bytes are synced, it gets its name, durably, the index has a
 * line, the sums go. Whatever is cut off leaves a whole file or a half one.
 */
#include "etl/media_dir.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "etl/media_index.h"

enum { PROCESSES_MAX = 16, SUM = sizeof(XXH128_canonical_t), PART_NAME = TG_MEDIA_NAME - 8 };

struct tg_media_dir {
    const struct tg_fs *fs;
    struct tg_media_home *home;
    const char *path; /* the home's, to work in */
    struct tg_dir *own; /* .tgdata-N */
    struct tg_lock *lock;
    struct tg_file *log; /* the index, to be added to */
    struct tg_media_index index;
};

struct tg_media_part {
    struct tg_media_dir *dir;
    struct tg_row_file file;
    char name[PART_NAME], sums_name[PART_NAME];
    struct tg_file *data, *sums;
    struct tg_sha256_ctx sha;
    int64_t done;
};

/* ---- opening ---- */

static tg_code read_index(struct tg_media_dir *d, struct tg_dir *dir, struct tg_error *err)
{
    struct tg_file *file;
    char block[65536];
    size_t n = 1;
    tg_code code = d->fs->open(d->fs, dir, "index", &file, err);

    if (code != TG_OK)
        return code == TG_NOT_FOUND ? TG_OK : code;
    while (code == TG_OK && n) {
        code = d->fs->read(d->fs, file, block, sizeof block, &n, err);
        if (code == TG_OK && !tg_media_index_read(&d->index, block, n))
            code = tg_fail(err, TG_NOMEM, "no memory for the index of '%.200s'", d->path);
    }
    tg_media_index_read_end(&d->index);
    d->fs->close(d->fs, file);
    return code;
}

struct sweep {
    const struct tg_fs *fs;
    struct tg_dir *dir;
    int64_t now_s;
    char name[TG_MEDIA_NAME]; /* one that is old; "" none was found */
};

static bool ends(const char *name, const char *with)
{
    size_t n = strlen(name), m = strlen(with);

    return n > m && strcmp(name + n - m, with) == 0;
}

static bool is_old(void *ctx, const char *name, bool is_dir, uint64_t size)
{
    struct sweep *s = ctx;
    struct tg_error err;
    int64_t written_s;

    (void)size;
    if (is_dir || strlen(name) >= sizeof s->name ||
        (!ends(name, ".part") && !ends(name, ".sums") && !ends(name, ".upload")) ||
        s->fs->written(s->fs, s->dir, name, &written_s, &err) != TG_OK ||
        written_s > s->now_s - TG_MEDIA_OLD_S)
        return true;
    memcpy(s->name, name, strlen(name) + 1);
    return false;
}

/* Removes what nobody has gone on with for long. A directory of another number is locked only if
 * there is something: a process that starts now would take the next one. */
static tg_code sweep(struct tg_media_dir *d, struct tg_dir *dir, int64_t now_s,
                     struct tg_error *err)
{
    struct sweep s = { .fs = d->fs, .dir = dir, .now_s = now_s };
    struct tg_lock *lock = NULL;
    tg_code code = d->fs->list(d->fs, dir, is_old, &s, err);

    if (code == TG_OK && s.name[0] && dir != d->own)
        code = d->fs->lock(d->fs, dir, "lock", &lock, err);
    if (code == TG_BUSY)
        return TG_OK; /* somebody works there, and has looked */
    while (code == TG_OK && s.name[0]) {
        if (ends(s.name, ".upload"))
            code = d->home->ops->forget(d->home, dir, s.name, err);
        if (code == TG_OK)
            code = d->fs->unlink(d->fs, dir, s.name, err);
        s.name[0] = 0;
        if (code == TG_OK)
            code = d->fs->list(d->fs, dir, is_old, &s, err);
    }
    d->fs->unlock(d->fs, lock);
    return code;
}

/* The first number that no other process works under; the others are read as well. */
static tg_code open_own(struct tg_media_dir *d, int64_t now_s, struct tg_error *err)
{
    tg_code code = TG_OK;

    for (int i = 0; i < PROCESSES_MAX && code == TG_OK; i++) {
        struct tg_dir *dir;
        char sub[24];

        snprintf(sub, sizeof sub, ".tgdata-%d", i);
        code = tg_media_open_sub(d->fs, d->path, sub, !d->own, &dir, err);
        if (code == TG_NOT_FOUND) {
            code = TG_OK; /* none behind our own is made */
            continue;
        }
        if (code != TG_OK)
            return code;
        if (!d->own) {
            code = d->fs->lock(d->fs, dir, "lock", &d->lock, err);
            if (code == TG_OK)
                d->own = dir;
            else if (code == TG_BUSY)
                code = TG_OK;
        }
        if (code == TG_OK)
            code = read_index(d, dir, err);
        if (code == TG_OK)
            code = sweep(d, dir, now_s, err);
        if (dir != d->own)
            d->fs->close_dir(d->fs, dir);
    }
    if (code == TG_OK && !d->own)
        return tg_fail(err, TG_BUSY, "%d processes work in '%.200s' already", PROCESSES_MAX,
                       d->path);
    if (code == TG_OK)
        code = d->fs->append(d->fs, d->own, "index", UINT64_MAX, &d->log, err);
    return code == TG_OK ? d->fs->write(d->fs, d->log, "\n", 1, err) : code; /* ends a torn line */
}

tg_code tg_media_dir_open(const struct tg_fs *fs, const char *place, int64_t now_s,
                          struct tg_media_dir **ret, struct tg_error *err)
{
    struct tg_media_dir *d = calloc(1, sizeof *d);
    tg_code code;

    if (!d)
        return tg_fail(err, TG_NOMEM, "no memory for a media directory");
    d->fs = fs;
    code = tg_media_home_open(fs, place, &d->home, err);
    if (code == TG_OK) {
        d->path = d->home->work;
        code = d->home->ops->look(d->home, err);
    }
    if (code == TG_OK)
        code = open_own(d, now_s, err);
    if (code != TG_OK) {
        tg_media_dir_close(d);
        return code;
    }
    *ret = d;
    return TG_OK;
}

void tg_media_dir_close(struct tg_media_dir *d)
{
    if (!d)
        return;
    d->fs->close(d->fs, d->log);
    d->fs->unlock(d->fs, d->lock);
    if (d->own)
        d->fs->close_dir(d->fs, d->own);
    tg_media_index_done(&d->index);
    tg_media_home_close(d->home);
    free(d);
}

struct tg_media_home *tg_media_dir_home(struct tg_media_dir *d)
{
    return d->home;
}

/* ---- complete files ---- */

bool tg_media_find(struct tg_media_dir *d, const struct tg_row_file *file,
                   struct tg_media_file *ret)
{
    struct tg_error err;

    return tg_media_index_find(&d->index, file, ret) && ret->size == file->size &&
           d->home->ops->has(d->home, ret, &err) == TG_OK;
}

/* ---- half-done files ---- */

/* Reads what an earlier run has of the file, as far as its sums are right. */
static tg_code check_parts(struct tg_media_part *p, struct tg_error *err)
{
    const struct tg_fs *fs = p->dir->fs;
    struct tg_file *data = NULL, *sums = NULL;
    XXH128_canonical_t sum, is;
    uint8_t *bytes = NULL;
    size_t n, got = 0, more;
    tg_code code = fs->open(fs, p->dir->own, p->name, &data, err);

    if (code == TG_OK)
        code = fs->open(fs, p->dir->own, p->sums_name, &sums, err);
    if (code == TG_OK && !(bytes = malloc(TG_MEDIA_PART)))
        code = tg_fail(err, TG_NOMEM, "no memory for a part of a file");
    while (code == TG_OK && p->done < p->file.size) {
        size_t want = (size_t)TG_MIN(p->file.size - p->done, (int64_t)TG_MEDIA_PART);

        code = fs->read(fs, sums, &sum, SUM, &n, err);
        for (got = 0, more = 1; code == TG_OK && n == SUM && got < want && more; got += more)
            code = fs->read(fs, data, bytes + got, want - got, &more, err);
        if (code != TG_OK || n != SUM || got != want)
            break;
        XXH128_canonicalFromHash(&is, XXH3_128bits(bytes, want));
        if (memcmp(&is, &sum, SUM) != 0)
            break;
        tg_sha256_add(&p->sha, bytes, want);
        p->done += (int64_t)want;
    }
    free(bytes);
    fs->close(fs, data);
    fs->close(fs, sums);
    return code == TG_NOT_FOUND ? TG_OK : code;
}

tg_code tg_media_begin(struct tg_media_dir *d, const struct tg_row_file *file,
                       struct tg_media_part **ret, int64_t *ret_done, struct tg_error *err)
{
    struct tg_media_part *p = calloc(1, sizeof *p);
    uint64_t parts;
    tg_code code;

    if (!p || !tg_sha256_init(&p->sha)) {
        free(p);
        return tg_fail(err, TG_NOMEM, "no memory for a file");
    }
    p->dir = d;
    p->file = *file;
    snprintf(p->name, sizeof p->name, "%c%" PRId64 "-%" PRId64 ".part", file->photo ? 'p' : 'd',
             file->id, file->size);
    snprintf(p->sums_name, sizeof p->sums_name, "%.*ssums", (int)strlen(p->name) - 4, p->name);
    code = check_parts(p, err);
    parts = (uint64_t)(p->done + TG_MEDIA_PART - 1) / TG_MEDIA_PART;
    if (code == TG_OK)
        code = d->fs->append(d->fs, d->own, p->name, (uint64_t)p->done, &p->data, err);
    if (code == TG_OK)
        code = d->fs->append(d->fs, d->own, p->sums_name, parts * SUM, &p->sums, err);
    if (code != TG_OK) {
        tg_media_leave(p);
        return code;
    }
    *ret = p;
    *ret_done = p->done;
    return TG_OK;
}

tg_code tg_media_write(struct tg_media_part *p, const void *bytes, size_t n, struct tg_error *err)
{
    const struct tg_fs *fs = p->dir->fs;
    XXH128_canonical_t sum;
    tg_code code = fs->write(fs, p->data, bytes, n, err);

    assert(n <= TG_MEDIA_PART && p->done % TG_MEDIA_PART == 0);
    XXH128_canonicalFromHash(&sum, XXH3_128bits(bytes, n));
    if (code == TG_OK)
        code = fs->write(fs, p->sums, &sum, SUM, err);
    tg_sha256_add(&p->sha, bytes, n);
    p->done += (int64_t)n;
    return code;
}

tg_code tg_media_finish(struct tg_media_part *p, const char *ext, struct tg_media_file *ret,
                        struct tg_error *err)
{
    struct tg_media_dir *d = p->dir;
    struct tg_media_file f = { .size = p->done };
    tg_code code;

    assert(p->done == p->file.size);
    tg_sha256_take(&p->sha, f.sha256);
    if (tg_media_ext_ok(ext, strlen(ext)))
        memcpy(f.ext, ext, strlen(ext) + 1);
    code = d->fs->sync(d->fs, p->data, err);
    if (code == TG_OK)
        code = d->home->ops->place(d->home, d->own, p->name, &f, err);
    if (code == TG_OK) {
        char line[TG_MEDIA_LINE];
        size_t n = tg_media_index_line(&p->file, &f, line);

        code = tg_media_index_add(&d->index, &p->file, &f)
                   ? d->fs->write(d->fs, d->log, line, n, err)
                   : tg_fail(err, TG_NOMEM, "no memory for the index of '%.200s'", d->path);
    }
    if (code == TG_OK)
        code = d->fs->unlink(d->fs, d->own, p->name, err); /* if it did not move */
    if (code == TG_OK)
        code = d->fs->unlink(d->fs, d->own, p->sums_name, err);
    *ret = f;
    tg_media_leave(p);
    return code;
}

void tg_media_leave(struct tg_media_part *p)
{
    if (!p)
        return;
    p->dir->fs->close(p->dir->fs, p->data);
    p->dir->fs->close(p->dir->fs, p->sums);
    tg_sha256_done(&p->sha);
    free(p);
}

/* SPDX-License-Identifier: MIT */
/*
 * media_home.c - see media_home.h; names, and a directory
 */
#include "etl/media_home.h"

#include <stdio.h>
#include <stdlib.h>

enum { DIR_MAX = 4096 };

struct home_dir {
    struct tg_media_home head;
    char path[];
};

/* ---- names ---- */

void tg_media_path(const struct tg_media_file *f, char ret[TG_MEDIA_PATH])
{
    char hex[2 * TG_SHA256 + 1];

    tg_hex(hex, f->sha256, TG_SHA256);
    snprintf(ret, TG_MEDIA_PATH, "%.2s/%s%s%s", hex, hex, f->ext[0] ? "." : "", f->ext);
}

bool tg_media_ext_ok(const char *at, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!((at[i] >= 'a' && at[i] <= 'z') || (at[i] >= '0' && at[i] <= '9')))
            return false;
    return n < TG_MEDIA_EXT;
}

/* Reads the name within its directory. */
static bool read_name(struct tg_str name, struct tg_media_file *ret)
{
    const size_t hex = 2 * TG_SHA256;

    if (name.len < hex || !tg_unhex(ret->sha256, TG_SHA256, name.at, hex))
        return false;
    memset(ret->ext, 0, sizeof ret->ext);
    if (name.len == hex)
        return true;
    if (name.at[hex] != '.' || name.len == hex + 1 ||
        !tg_media_ext_ok(name.at + hex + 1, name.len - hex - 1))
        return false;
    memcpy(ret->ext, name.at + hex + 1, name.len - hex - 1);
    return true;
}

bool tg_media_path_read(struct tg_str path, struct tg_media_file *ret)
{
    return path.len > 3 && path.at[2] == '/' && memcmp(path.at, path.at + 3, 2) == 0 &&
           read_name((struct tg_str){ path.at + 3, path.len - 3 }, ret);
}

tg_code tg_media_open_sub(const struct tg_fs *fs, const char *path, const char *sub, bool create,
                          struct tg_dir **ret, struct tg_error *err)
{
    char whole[DIR_MAX];
    int n = snprintf(whole, sizeof whole, "%s/%s", path, sub);

    if (n < 0 || (size_t)n >= sizeof whole)
        return tg_fail(err, TG_USAGE, "the name of the media directory is too long");
    return fs->open_dir(fs, whole, create, ret, err);
}

/* ---- a directory ---- */

/* Opens the directory that a complete file is in. */
static tg_code open_home(const struct tg_media_home *h, const struct tg_media_file *f, bool create,
                         struct tg_dir **ret, struct tg_error *err)
{
    char sub[3];

    tg_hex(sub, f->sha256, 1);
    return tg_media_open_sub(h->fs, h->work, sub, create, ret, err);
}

static tg_code dir_look(struct tg_media_home *h, struct tg_error *err)
{
    (void)h, (void)err;
    return TG_OK; /* whoever opens it works in it */
}

static tg_code dir_has(struct tg_media_home *h, const struct tg_media_file *f,
                       struct tg_error *err)
{
    char path[TG_MEDIA_PATH];
    struct tg_dir *home;
    struct tg_file *there;
    tg_code code = open_home(h, f, false, &home, err);

    if (code != TG_OK)
        return code;
    tg_media_path(f, path);
    code = h->fs->open(h->fs, home, path + 3, &there, err);
    if (code == TG_OK)
        h->fs->close(h->fs, there);
    h->fs->close_dir(h->fs, home);
    return code;
}

struct twin {
    struct tg_media_file *file;
    bool found;
};

/* The same content, whatever the end of its name. */
static bool is_twin(void *ctx, const char *name, bool is_dir, uint64_t size)
{
    struct twin *t = ctx;
    struct tg_media_file other;

    if (is_dir || !read_name(tg_str_of(name), &other) ||
        memcmp(other.sha256, t->file->sha256, TG_SHA256) != 0 || (int64_t)size != t->file->size)
        return true;
    memcpy(t->file->ext, other.ext, sizeof other.ext);
    t->found = true;
    return false;
}

static tg_code dir_place(struct tg_media_home *h, struct tg_dir *own, const char *name,
                         struct tg_media_file *f, struct tg_error *err)
{
    const struct tg_fs *fs = h->fs;
    struct twin twin = { f, false };
    struct tg_dir *home;
    char path[TG_MEDIA_PATH];
    tg_code code = open_home(h, f, true, &home, err);

    if (code != TG_OK)
        return code;
    code = fs->list(fs, home, is_twin, &twin, err);
    tg_media_path(f, path);
    if (code == TG_OK && !twin.found)
        code = fs->move_new(fs, own, name, home, path + 3, err);
    if (code == TG_CONFLICT) /* another process was faster */
        code = TG_OK;
    if (code == TG_OK) /* of a twin, too: who made it may not have got so far */
        code = fs->sync_dir(fs, home, err);
    fs->close_dir(fs, home);
    return code;
}

static tg_code dir_check(struct tg_media_home *h, const struct tg_media_file *f,
                         struct tg_error *err)
{
    const struct tg_fs *fs = h->fs;
    char name[TG_MEDIA_PATH], block[65536];
    uint8_t sha256[TG_SHA256];
    struct tg_sha256_ctx sha;
    struct tg_dir *home;
    struct tg_file *file = NULL;
    size_t n = 1;
    tg_code code = open_home(h, f, false, &home, err);

    tg_media_path(f, name);
    if (code == TG_OK) {
        code = fs->open(fs, home, name + 3, &file, err);
        fs->close_dir(fs, home);
    }
    if (code == TG_NOT_FOUND)
        return tg_fail(err, TG_GAP, "there is no file '%.120s/%s'", h->work, name);
    if (code == TG_OK && !tg_sha256_init(&sha)) {
        fs->close(fs, file);
        return tg_fail(err, TG_NOMEM, "no memory to read '%s'", name);
    }
    if (code != TG_OK)
        return code;
    while (code == TG_OK && n) {
        code = fs->read(fs, file, block, sizeof block, &n, err);
        if (code == TG_OK)
            tg_sha256_add(&sha, block, n);
    }
    tg_sha256_take(&sha, sha256);
    tg_sha256_done(&sha);
    fs->close(fs, file);
    if (code == TG_OK && memcmp(sha256, f->sha256, TG_SHA256) != 0)
        return tg_fail(err, TG_GAP, "'%.120s/%s' has another content than its name says", h->work,
                       name);
    return code;
}

static tg_code dir_forget(struct tg_media_home *h, struct tg_dir *own, const char *name,
                          struct tg_error *err)
{
    (void)h, (void)own, (void)name, (void)err;
    return TG_OK; /* moving leaves nothing */
}

static void dir_close(struct tg_media_home *h)
{
    free(h);
}

static const struct tg_media_home_ops dir_ops = {
    .look = dir_look, .has = dir_has, .place = dir_place, .check = dir_check, .forget = dir_forget,
    .close = dir_close,
};

tg_code tg_media_home_open(const struct tg_fs *fs, const char *place, struct tg_media_home **ret,
                           struct tg_error *err)
{
    struct home_dir *d;

    if (strncmp(place, "s3:", 3) == 0)
        return tg_media_home_s3(fs, place, ret, err);
    d = calloc(1, sizeof *d + strlen(place) + 1);
    if (!d)
        return tg_fail(err, TG_NOMEM, "no memory for a media directory");
    memcpy(d->path, place, strlen(place) + 1);
    d->head = (struct tg_media_home){ .ops = &dir_ops, .fs = fs, .work = d->path };
    *ret = &d->head;
    return TG_OK;
}

void tg_media_home_close(struct tg_media_home *h)
{
    if (h)
        h->ops->close(h);
}

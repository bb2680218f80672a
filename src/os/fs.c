/* SPDX-License-Identifier: MIT */
/*
 * fs.c - what both file systems share: reading a whole file, replacing one; see fs.h
 */
#include "os/fs.h"

#include <stdio.h>

tg_code tg_fs_read_all(const struct tg_fs *fs, struct tg_dir *dir, const char *name, size_t max,
                       struct tg_buf *out, struct tg_error *err)
{
    enum { BLOCK = 16 * 1024 };
    struct tg_file *file;
    size_t start = out->len, n = 1;
    tg_code code = fs->open(fs, dir, name, &file, err);

    if (code != TG_OK)
        return code;
    while (code == TG_OK && n) {
        uint8_t block[BLOCK];

        code = fs->read(fs, file, block, sizeof block, &n, err);
        if (code != TG_OK)
            break;
        if (n > max - (out->len - start))
            code = tg_fail(err, TG_LIMIT, "'%s' is larger than %zu bytes", name, max);
        else
            tg_buf_add(out, block, n);
        if (code == TG_OK && out->failed)
            code = tg_fail(err, TG_LIMIT, "no room for the %zu bytes of '%s'", n, name);
    }
    fs->close(fs, file);
    if (code != TG_OK && !out->failed)
        out->len = start;
    return code;
}

tg_code tg_fs_replace(const struct tg_fs *fs, struct tg_dir *dir, const char *name, bool secret,
                      const void *bytes, size_t len, struct tg_error *err)
{
    struct tg_file *file;
    struct tg_error ignored;
    char aside[256];
    int n = snprintf(aside, sizeof aside, "%s.tmp", name);
    tg_code code;

    if (n < 0 || (size_t)n >= sizeof aside)
        return tg_fail(err, TG_USAGE, "file name too long: '%.80s...'", name);
    code = fs->create(fs, dir, aside, secret, &file, err);
    if (code != TG_OK)
        return code;
    code = fs->write(fs, file, bytes, len, err);
    if (code == TG_OK)
        code = fs->sync(fs, file, err);
    fs->close(fs, file);
    if (code == TG_OK)
        code = fs->rename(fs, dir, aside, name, err);
    if (code != TG_OK) {
        fs->unlink(fs, dir, aside, &ignored);
        return code;
    }
    return fs->sync_dir(fs, dir, err);
}

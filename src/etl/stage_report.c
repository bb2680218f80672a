/* SPDX-License-Identifier: MIT */
/*
 * stage_report.c - see stage_report.h
 */
#include "etl/stage_report.h"

#include <stdio.h>

#include "os/fs.h"
#include "os/loop.h"

/* A file is there as a whole, or as it was before. */
static tg_code write_file(void *ctx, const char *path, const struct tg_buf *bytes,
                          struct tg_error *err)
{
    const struct tg_fs *fs = &tg_fs_system;
    const char *slash = strrchr(path, '/');
    struct tg_dir *dir;
    char parent[4096];
    tg_code code;

    (void)ctx;
    snprintf(parent, sizeof parent, "%.*s", slash ? (int)TG_MAX(slash - path, 1) : 1,
             slash ? path : ".");
    code = fs->open_dir(fs, parent, true, &dir, err);
    if (code != TG_OK)
        return code;
    code = tg_fs_replace(fs, dir, slash ? slash + 1 : path, false, bytes->data, bytes->len, err);
    fs->close_dir(fs, dir);
    return code;
}

tg_code tg_stage_report(const struct tg_stage_list *list, const char *job,
                        struct tg_quality_result *ret, struct tg_error *err)
{
    const struct tg_stage_end end = {
        .quality = ret,
        .job = job,
        .now_us = tg_clock_unix_us(),
        .write = write_file,
    };
    tg_code code = TG_OK;

    tg_stages_tally(list, ret);
    for (size_t i = 0; code == TG_OK && i < list->n; i++)
        if (list->one[i].ops->finish)
            code = list->one[i].ops->finish(list->one[i].self, &end, err);
    return code;
}

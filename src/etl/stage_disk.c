/* SPDX-License-Identifier: MIT */
/*
 * stage_disk.c - see stage_disk.h
 */
#include "etl/stage_disk.h"

#include <stdlib.h>

#include "os/scratch.h"

static void disk_close(void *file)
{
    if (file)
        tg_scratch_close(file);
    free(file);
}

static tg_code disk_open(void **ret, struct tg_error *err)
{
    struct tg_scratch *file = calloc(1, sizeof *file);
    tg_code code;

    if (!file)
        return tg_fail(err, TG_NOMEM, "no memory for a temporary file");
    code = tg_scratch_open(file, err);
    if (code == TG_OK)
        *ret = file;
    else
        free(file);
    return code;
}

static tg_code disk_add(void *file, const void *bytes, size_t n, struct tg_error *err)
{
    return tg_scratch_add(file, bytes, n, err);
}

static tg_code disk_read(void *file, uint64_t at, void *bytes, size_t n, struct tg_error *err)
{
    return tg_scratch_read(file, at, bytes, n, err);
}

const struct tg_seen_disk tg_stage_disk = { disk_open, disk_add, disk_read, disk_close };

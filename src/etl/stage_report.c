/* SPDX-License-Identifier: MIT */
/*
 * stage_report.c - see stage_report.h
 */
#include "etl/stage_report.h"

#include <stdio.h>

#include "os/fs.h"
#include "os/loop.h"
#include "store/store.h"

#define KIND "profile"
enum { KEY = 96 };

/* The end of a run. */
struct ending {
    const struct tg_stage_report *run;
    struct tg_store store; /* opened when a stage asks for it */
    bool open;
    char key[KEY]; /* of the stage in hand */
    uint64_t version;
};

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

/* A connection of its own: the run's belongs to another thread. */
static tg_code recall(void *ctx, struct tg_buf *ret, struct tg_error *err)
{
    struct ending *e = ctx;
    struct tg_doc doc = { 0 };
    tg_code code = e->open ? TG_OK : tg_store_open(e->run->state, &e->store, err);

    e->open = e->open || code == TG_OK;
    if (code == TG_OK)
        code = e->store.ops->get(e->store.self, KIND, e->key, &doc, ret, err);
    e->version = code == TG_OK ? doc.version : 0;
    return code;
}

static tg_code remember(void *ctx, const struct tg_buf *bytes, struct tg_error *err)
{
    struct ending *e = ctx;
    const struct tg_store *store = &e->store;
    const struct tg_doc stamp = { .at_us = tg_clock_unix_us() };
    tg_code code = store->ops->put(store->self, KIND, e->key, e->version, &stamp, bytes->data,
                                   bytes->len, err);

    if (code == TG_CONFLICT) /* another run of the job was faster */
        return TG_OK;
    return code == TG_OK && e->version ? store->ops->prune(store->self, KIND, e->key, 1, err)
                                       : code;
}

tg_code tg_stage_report(const struct tg_stage_list *list, const struct tg_stage_report *run,
                        struct tg_quality_result *ret, struct tg_error *err)
{
    struct ending ending = { .run = run };
    const struct tg_stage_end end = {
        .quality = ret,
        .job = run->job,
        .now_us = tg_clock_unix_us(),
        .write = write_file,
        .recall = recall,
        .remember = remember,
        .whole = run->whole,
        .ctx = &ending,
    };
    tg_code code = TG_OK;

    tg_stages_tally(list, ret);
    for (size_t i = 0; code == TG_OK && i < list->n; i++) {
        unsigned before = 0;

        if (!list->one[i].ops->finish)
            continue;
        for (size_t k = 0; k < i; k++)
            before += list->one[k].ops == list->one[i].ops;
        snprintf(ending.key, sizeof ending.key, "%s/%u", run->job, before);
        code = list->one[i].ops->finish(list->one[i].self, &end, err);
    }
    if (ending.open)
        tg_store_close(&ending.store);
    return code;
}

/* SPDX-License-Identifier: MIT */
/*
 * describe.c - see tgdata/describe.h
 *
 * Threads: none: constant tables
 */
#include "tgdata/describe.h"

#include <assert.h>

#include "config/file_impl.h"
#include "queue/broker.h"
#include "sink/sink.h"
#include "stage/stage.h"
#include "store/store.h"

static bool describe(const struct tg_option *row, size_t i, struct tg_option_info *ret)
{
    while (row && row->name && i--)
        row++;
    if (!row || !row->name)
        return false;
    tg_option_describe(row, ret);
    return true;
}

bool tg_setting_describe(enum tg_scope scope, size_t i, struct tg_option_info *ret)
{
    assert(scope < TG_SCOPE_COUNT);
    return describe(tg_config_table(scope), i, ret);
}

/* ---- drivers ---- */

/* Driver number i, or NULL. */
#define FIND(table)                                                                                \
    for (size_t at = 0; (table)[at]; at++)                                                         \
        if (at == i)                                                                               \
            return &(table)[at]->head;                                                             \
    return NULL

static const struct tg_driver *destination(size_t i)
{
    FIND(tg_sinks);
}

static const struct tg_driver *state(size_t i)
{
    FIND(tg_stores);
}

static const struct tg_driver *queue(size_t i)
{
    FIND(tg_brokers);
}

static const struct tg_driver *stage(size_t i)
{
    FIND(tg_stages);
}

static const struct tg_driver *(*const driver[TG_DRIVER_KINDS])(size_t i) = {
    [TG_DRIVER_DESTINATION] = destination,
    [TG_DRIVER_STATE] = state,
    [TG_DRIVER_QUEUE] = queue,
    [TG_DRIVER_STAGE] = stage,
};

bool tg_driver_describe(enum tg_driver_kind kind, size_t i, struct tg_driver_info *ret)
{
    const struct tg_driver *head;

    assert(kind < TG_DRIVER_KINDS);
    if (!(head = driver[kind](i)))
        return false;
    *ret = (struct tg_driver_info){ head->name, head->help };
    return true;
}

bool tg_driver_option_describe(enum tg_driver_kind kind, size_t i, size_t j,
                               struct tg_option_info *ret)
{
    const struct tg_driver *head;

    assert(kind < TG_DRIVER_KINDS);
    return (head = driver[kind](i)) && describe(head->option, j, ret);
}

/* ---- keys ---- */

bool tg_file_key_describe(size_t i, struct tg_file_key_info *ret)
{
    static const char *const meaning[] = {
        [TG_KEY_NOT] = "no is that flag",
        [TG_KEY_PERCENT] = "a share from 0 to 1",
        [TG_KEY_PATTERN] = "batch, parallel_batch, stream or delta: of jobs that name none",
        [TG_KEY_BREAKER] = "no: without circuit breakers; yes: with them",
        [TG_KEY_COORDINATE] = "a URL, or yes for what --coordinate or its variable names",
    };
    const struct tg_key *key = tg_keys;
    bool flag;

    while (key->path && i--)
        key++;
    if (!key->path)
        return false;
    *ret = (struct tg_file_key_info){
        .path = key->path,
        .setting = key->setting && tg_config_known(key->setting, &flag) ? key->setting : NULL,
        .meaning = key->kind < TG_COUNT(meaning) ? meaning[key->kind] : NULL,
    };
    return true;
}

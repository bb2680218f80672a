/* SPDX-License-Identifier: MIT */
/*
 * lease.c - see lease.h
 */
#include "etl/lease.h"

#include <stdio.h>

#include "os/loop.h"
#include "os/proc.h"

#define COMMAND_US (60 * TG_SECOND_US)

static tg_code try_lease(const struct tg_store *store, const char *name, int64_t now_us,
                         int64_t ttl_us, struct tg_lease *lease, struct tg_error *err)
{
    *lease = (struct tg_lease){ 0 };
    tg_proc_name(lease->owner, sizeof lease->owner);
    return store->ops->lease(store->self, name, now_us, ttl_us, lease, err);
}

tg_code tg_lease_take(const struct tg_store *store, const char *name, int64_t now_us,
                      int64_t ttl_us, struct tg_lease *lease, struct tg_error *err)
{
    tg_code code = try_lease(store, name, now_us, ttl_us, lease, err);

    if (code != TG_BUSY || !tg_proc_gone(lease->owner))
        return code;
    code = store->ops->release(store->self, name, lease, err);
    return code == TG_OK ? try_lease(store, name, now_us, ttl_us, lease, err) : code;
}

tg_code tg_lease_job(const struct tg_store *store, const char *job,
                     tg_code (*work)(void *ctx, const struct tg_lease *lease,
                                     struct tg_error *err),
                     void *ctx, struct tg_error *err)
{
    struct tg_lease lease;
    struct tg_error late;
    char name[80];
    tg_code code;

    snprintf(name, sizeof name, "job/%s", job);
    code = tg_lease_take(store, name, tg_clock_unix_us(), COMMAND_US, &lease, err);
    if (code == TG_BUSY)
        tg_hint(err, "wait for the run to end, or stop it");
    if (code != TG_OK)
        return code;
    code = work(ctx, &lease, err);
    if (store->ops->release(store->self, name, &lease, &late) != TG_OK && code == TG_OK) {
        *err = late;
        code = late.code;
    }
    return code;
}

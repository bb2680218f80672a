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

void tg_lease_chat_name(char out[TG_LEASE_NAME], const char *job, int64_t chat_id)
{
    snprintf(out, TG_LEASE_NAME, "job/%s/%lld", job, (long long)chat_id);
}

tg_code tg_lease_keep(struct tg_lease_held *held, struct tg_error *err)
{
    tg_code code = TG_OK;

    for (size_t i = 0; code == TG_OK && i < TG_COUNT(held->lease); i++) {
        struct tg_lease *lease = &held->lease[i];
        int64_t now = tg_clock_unix_us();

        if (lease->expires_us - now > COMMAND_US * 2 / 3)
            continue;
        code = held->store->ops->lease(held->store->self, held->name[i], now, COMMAND_US, lease,
                                       err);
    }
    if (code != TG_CONFLICT)
        return code;
    tg_fail(err, TG_CONFLICT, "another run has taken '%s' over meanwhile", held->name[0]);
    return tg_hint(err, "start the command again when that run has ended");
}

/* Gives the first n back. */
static tg_code give_back(const struct tg_lease_held *held, size_t n, tg_code code,
                         struct tg_error *err)
{
    struct tg_error late;

    while (n-- > 0) {
        if (held->store->ops->release(held->store->self, held->name[n], &held->lease[n], &late) ==
            TG_OK || code != TG_OK)
            continue;
        *err = late;
        code = late.code;
    }
    return code;
}

tg_code tg_lease_job(const struct tg_store *store, const char *job, int64_t chat_id,
                     tg_code (*work)(void *ctx, struct tg_lease_held *held, struct tg_error *err),
                     void *ctx, struct tg_error *err)
{
    struct tg_lease_held held = { .store = store };
    tg_code code = TG_OK;
    size_t n = 0;

    snprintf(held.name[0], TG_LEASE_NAME, "job/%s", job);
    tg_lease_chat_name(held.name[1], job, chat_id);
    for (; code == TG_OK && n < TG_COUNT(held.lease); n += code == TG_OK)
        code = tg_lease_take(store, held.name[n], tg_clock_unix_us(), COMMAND_US, &held.lease[n],
                             err);
    if (code == TG_BUSY)
        tg_hint(err, "wait for the run to end, or stop it");
    return give_back(&held, n, code == TG_OK ? work(ctx, &held, err) : code, err);
}

/* SPDX-License-Identifier: MIT */
/*
 * lease.h - leases as runs and commands take them
 *
 * Threads: as the store's
 */
#ifndef TG_LEASE_H
#define TG_LEASE_H

#include "store/store.h"

enum { TG_LEASE_NAME = 112 };

/** Takes a lease that is free, or whose owner was a process of this machine that was killed: that
 *  one need not be waited for. @return as the store's lease */
tg_code tg_lease_take(const struct tg_store *store, const char *name, int64_t now_us,
                      int64_t ttl_us, struct tg_lease *lease, struct tg_error *err);

/** Writes the name of a chat's lease, which workers hold while the chat is at work. */
void tg_lease_chat_name(char out[TG_LEASE_NAME], const char *job, int64_t chat_id);

/** What a command holds while it changes a chat: the job's lease, then the chat's. */
struct tg_lease_held {
    const struct tg_store *store;
    char name[2][TG_LEASE_NAME];
    struct tg_lease lease[2]; /* the first one's token is the writer's */
};

/** Does something while nobody else is at work at the chat: no run of the job, no worker.
 *  @return what it returned; TG_BUSY: one is; why a lease could not be given back */
tg_code tg_lease_job(const struct tg_store *store, const char *job, int64_t chat_id,
                     tg_code (*work)(void *ctx, struct tg_lease_held *held, struct tg_error *err),
                     void *ctx, struct tg_error *err);

/** Renews what is held if it is time: to be called again and again by what takes long.
 *  @return TG_CONFLICT: it was lost */
tg_code tg_lease_keep(struct tg_lease_held *held, struct tg_error *err);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * lease.h - leases as runs and commands take them
 *
 * Threads: as the store's
 */
#ifndef TG_LEASE_H
#define TG_LEASE_H

#include "store/store.h"

/** Takes a lease that is free, or whose owner was a process of this machine that was killed: that
 *  one need not be waited for. @return as the store's lease */
tg_code tg_lease_take(const struct tg_store *store, const char *name, int64_t now_us,
                      int64_t ttl_us, struct tg_lease *lease, struct tg_error *err);

/** Does something while no run of the job can be under way.
 *  @return what it returned; TG_BUSY: one is; why the lease could not be given back */
tg_code tg_lease_job(const struct tg_store *store, const char *job,
                     tg_code (*work)(void *ctx, const struct tg_lease *lease,
                                     struct tg_error *err),
                     void *ctx, struct tg_error *err);

#endif

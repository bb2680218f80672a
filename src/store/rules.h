/* SPDX-License-Identifier: MIT */
/*
 * rules.h - what every store decides alike: sizes, who may replace a document, who may have a lease
 *
 * Threads: pure
 */
#ifndef TG_STORE_RULES_H
#define TG_STORE_RULES_H

#include "store/store.h"

enum { TG_STORE_KIND_MAX = 32, TG_STORE_KEY_MAX = 256, TG_STORE_DOC_MAX = 1 << 20 };

/** @return TG_LIMIT */
tg_code tg_store_check_name(const char *kind, const char *key, struct tg_error *err);
/** @param what  "document", "entry of log". @return TG_LIMIT */
tg_code tg_store_check_size(const char *what, const char *kind, const char *key, size_t len,
                            struct tg_error *err);

/** Whether version `expect` is the newest, and the writer's token no older than its. `now` is zero
 *  if there is no document. @return TG_CONFLICT */
tg_code tg_store_compare(const char *kind, const char *key, uint64_t expect, uint64_t fence,
                         const struct tg_doc *now, struct tg_error *err);

/** The version that a put writes. */
uint64_t tg_store_next(uint64_t expect, const struct tg_doc *stamp);

/** Whether `want` may have the lease that stands as `held` (zero: nobody ever had it); fills in its
 *  token. @return TG_BUSY, TG_CONFLICT as tg_store_ops.lease */
tg_code tg_store_judge(const char *name, const struct tg_lease *held, int64_t now_us,
                       struct tg_lease *want, struct tg_error *err);
/** Whether the lease that stands as `held` is still that one. */
bool tg_store_is_own(const struct tg_lease *held, const struct tg_lease *mine);

/** For databases whose numbers have a sign. */
int64_t tg_store_clamp(uint64_t v);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * dlq_impl.h - what the parts of tgdata/letters.h share: letters, some at a time
 *
 *   dlq.c         looking, paging, taking out
 *   dlq_replay.c  writing again
 */
#ifndef TG_DLQ_IMPL_H
#define TG_DLQ_IMPL_H

#include "etl/letters.h"
#include "tgdata/letters.h"

enum { DLQ_PAGE = 500 };

struct dlq_entry {
    const char *key;
    uint64_t version;
    struct tg_buf document;
};

/** Some letters, of those whose keys were listed when all began. */
struct dlq_page {
    const struct tg_letter_filter *which;
    char **key;
    size_t n_keys, cap, next;
    bool no_memory;
    struct dlq_entry entry[DLQ_PAGE];
    size_t n, bytes;
};

typedef tg_code (*dlq_work_fn)(void *ctx, const struct tg_store *store, struct dlq_page *page,
                               struct tg_error *err);

/** Calls `work` with all letters, some at a time. @return TG_NOT_FOUND: no letter has the key */
tg_code dlq_each_page(const struct tg_letter_filter *which, dlq_work_fn work, void *ctx,
                      struct tg_error *err);

#endif

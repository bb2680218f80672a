/* SPDX-License-Identifier: MIT */
/*
 * postgres_impl.h - what postgres.c and postgres_names.c share; the model stands in postgres.c
 */
#ifndef TG_STORE_POSTGRES_IMPL_H
#define TG_STORE_POSTGRES_IMPL_H

#include "client/postgres.h"
#include "store/rules.h"

struct store_postgres {
    const char *schema, *prefix, *tls, *root_cert; /* options */
    int64_t timeout_ms;
    struct tg_postgres *db;
    bool look;
};

/** What fails here is state, not a destination. */
tg_code tg_ps_told(tg_code code, struct tg_error *err);

/** Begins a transaction that changes something. */
tg_code tg_ps_begin(struct store_postgres *s, struct tg_error *err);

/* ---- postgres_names.c: as tg_store_ops has them ---- */

tg_code tg_ps_names(void *self, enum tg_store_shape shape, tg_name_seen seen, void *ctx,
                    struct tg_error *err);
tg_code tg_ps_raise(void *self, enum tg_store_shape shape, const char *kind, const char *key,
                    uint64_t number, struct tg_error *err);

#endif

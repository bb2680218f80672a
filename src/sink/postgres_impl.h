/* SPDX-License-Identifier: MIT */
/*
 * postgres_impl.h - what the postgres*.c share; the model stands in postgres.c
 */
#ifndef TG_SINK_POSTGRES_IMPL_H
#define TG_SINK_POSTGRES_IMPL_H

#include "client/postgres.h"
#include "sink/pgcopy.h"
#include "sink/table_sink.h"

enum { PG_SQL_MAX = 32768 };

struct sink_postgres {
    struct tg_table_sink t;
    const char *schema, *tls, *root_cert; /* options */
    int64_t timeout_ms;
    struct tg_postgres *db; /* to which "@" is the table, "@_chats" the one beside it */
    bool checked;           /* the tables are there, and as they must be */
};

/* postgres_tables.c: of struct tg_table_ops */
tg_code tg_pg_need(void *self, bool write, struct tg_error *err);

/* postgres_rows.c: of struct tg_table_ops; and rows through a cursor, no more than a piece of them
 * in memory. ret_any may be NULL. */
tg_code tg_pg_put_rows(void *self, struct tg_held_chat *chat, const struct tg_commit *commit,
                       struct tg_error *err);
tg_code tg_pg_read_rows(void *self, const char *of, const struct tg_sql_value *value, size_t n,
                        struct tg_table_reading *r, struct tg_error *err);
tg_code tg_pg_each(struct sink_postgres *s, const char *select, const struct tg_sql_value *value,
                   size_t n, tg_sql_row row, void *ctx, struct tg_error *err);

#endif

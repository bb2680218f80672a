/* SPDX-License-Identifier: MIT */
/*
 * postgres_impl.h - what the postgres*.c share; the model stands in postgres.c
 */
#ifndef TG_SINK_POSTGRES_IMPL_H
#define TG_SINK_POSTGRES_IMPL_H

#include "client/postgres.h"
#include "client/sql.h"
#include "sink/pgcopy.h"
#include "sink/table_sink.h"

enum { PG_SQL_MAX = 32768, PG_NAME_MAX = 160 };

struct sink_postgres {
    const char *table, *schema, *tls, *root_cert; /* options */
    char other[TG_TABLE_NAME]; /* table, of another series: <table>_<series> */
    int64_t timeout_ms;
    const struct tg_sink_env *env;
    struct tg_postgres *db;
    bool checked;        /* the tables are there, and as they must be */
    struct tg_table_chats chats;
};

/* postgres.c */

/* Reads the last commit of a chat; ret: seq 0 if there is none. */
tg_code tg_pg_last(struct sink_postgres *s, int64_t chat_id, struct tg_commit *ret,
                   struct tg_error *err);

/* postgres_read.c: of tg_sink_ops */
tg_code tg_pg_read(void *self, int64_t chat_id, const struct tg_cursor *behind,
                   struct tg_batch *batch, tg_sink_taken taken, void *ctx, struct tg_error *err);
tg_code tg_pg_chats(void *self, tg_chat_seen seen, void *ctx, struct tg_error *err);

/* postgres_tables.c */

/* Connects, and sees to the tables. @return TG_NOT_FOUND: nothing was ever written there, and it is
 *  to be read only; TG_IO: they are not ours, or of other types */
tg_code tg_pg_need(struct sink_postgres *s, bool create, struct tg_error *err);

/* postgres_rows.c */

/* Puts the rows that wait into the table, within a transaction; those that it refuses are handed to
 * the engine. */
tg_code tg_pg_put_rows(struct sink_postgres *s, struct tg_table_chat *chat,
                       const struct tg_commit *commit, struct tg_error *err);

#endif

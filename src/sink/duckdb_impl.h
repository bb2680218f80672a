/* SPDX-License-Identifier: MIT */
/*
 * duckdb_impl.h - what duckdb.c, duckdb_tables.c and duckdb_rows.c share; the model stands in
 * duckdb.c
 */
#ifndef TG_SINK_DUCKDB_IMPL_H
#define TG_SINK_DUCKDB_IMPL_H

#include "client/duckdb.h"
#include "sink/table_sink.h"

enum { TG_DUCKDB_SQL_MAX = 16384 };

/* How the rows of a commit are put. */
struct duckdb_how {
    bool replace;      /* rows whose key is there, or comes twice; else: TG_CONFLICT */
    uint64_t first;    /* so many of them only */
    uint64_t *refused; /* numbers of those that are left out, ascending */
    size_t n_refused;
};

struct sink_duckdb {
    struct tg_table_sink t;
    int64_t busy_timeout_ms, memory; /* options */
    struct tg_duckdb *db;
    bool writes; /* it was opened to be written, the tables are there */
    const struct duckdb_how *how; /* of the commit in hand */
};

/* Runs a statement in which @ is the table. */
tg_code tg_duckdb_sink_query(struct sink_duckdb *s, const char *sql,
                             const struct tg_sql_value *value, size_t n, tg_sql_row row, void *ctx,
                             struct tg_error *err);

/* duckdb_tables.c */

/* Makes the tables, or adds the columns that they lack. @return TG_IO: they are not ours */
tg_code tg_duckdb_sink_tables(struct sink_duckdb *s, struct tg_error *err);
/* Whether they were made. @return TG_NOT_FOUND */
tg_code tg_duckdb_sink_look(struct sink_duckdb *s, struct tg_error *err);
/* Which fields have a column, as bits. @return TG_IO: one is of another type */
tg_code tg_duckdb_sink_columns(struct sink_duckdb *s, uint64_t *ret, struct tg_error *err);

/* duckdb_rows.c */

/* Puts the rows of a commit into the table, within a transaction. */
tg_code tg_duckdb_sink_put(struct sink_duckdb *s, struct tg_held_chat *chat,
                           const struct tg_commit *commit, const struct duckdb_how *how,
                           struct tg_error *err);
/* Of struct tg_table_ops. */
tg_code tg_duckdb_sink_read(void *self, const char *of, const struct tg_sql_value *value, size_t n,
                            struct tg_table_reading *r, struct tg_error *err);

#endif

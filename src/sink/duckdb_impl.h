/* SPDX-License-Identifier: MIT */
/*
 * duckdb_impl.h - what duckdb.c, duckdb_tables.c and duckdb_rows.c share; the model stands in
 * duckdb.c
 */
#ifndef TG_SINK_DUCKDB_IMPL_H
#define TG_SINK_DUCKDB_IMPL_H

#include "client/duckdb.h"
#include "client/sql.h"
#include "sink/table_sink.h"

enum { TG_DUCKDB_SQL_MAX = 16384 };

struct sink_duckdb {
    const char *table; /* options; of another series: */
    int64_t busy_timeout_ms, memory;
    const struct tg_sink_env *env;
    const char *path; /* borrowed from the URL */
    char other[TG_TABLE_NAME]; /* <table>_<series> */
    struct tg_duckdb *db;
    bool writes; /* it was opened to be written, the tables are there */
    struct tg_table_chats chats;
};

/* Runs a statement in which @ is the table; parameters are numbers. */
tg_code tg_duckdb_sink_ask(struct sink_duckdb *s, const char *sql, const int64_t *param, size_t n,
                           tg_duckdb_row row, void *ctx, struct tg_error *err);

/* duckdb_tables.c */

/* Makes the tables, or adds the columns that they lack. @return TG_IO: they are not ours */
tg_code tg_duckdb_sink_tables(struct sink_duckdb *s, struct tg_error *err);
/* The type of a field's column. */
const char *tg_duckdb_sink_type(enum tg_field_type type);

/* duckdb_rows.c */

/* How the rows of a commit are put. */
struct duckdb_how {
    bool replace;      /* rows whose key is there, or comes twice; else: TG_CONFLICT */
    uint64_t first;    /* so many of them only */
    uint64_t *refused; /* numbers of those that are left out, ascending */
    size_t n_refused;
};

/* Puts the rows of a commit into the table, within a transaction. */
tg_code tg_duckdb_sink_put(struct sink_duckdb *s, struct tg_table_chat *chat,
                           const struct tg_commit *commit, const struct duckdb_how *how,
                           struct tg_error *err);
/* Reads the rows of a chat behind those that are left out. @return TG_END: the taker has enough */
tg_code tg_duckdb_sink_read(struct sink_duckdb *s, int64_t chat_id,
                            const struct tg_table_from *from, struct tg_table_read *read,
                            struct tg_error *err);

/* Of a chat, behind an id: rows of the group that it was before; its own; comments by post. */
#define TG_DUCKDB_OLD " FROM @ WHERE job_chat_id = $1 AND id > $2 ORDER BY id"
#define TG_DUCKDB_ROWS " FROM @ WHERE chat_id = $1 AND job_chat_id IS NULL AND id > $2"
#define TG_DUCKDB_OWN TG_DUCKDB_ROWS " ORDER BY owner, id"
#define TG_DUCKDB_BY_POST TG_DUCKDB_ROWS " ORDER BY comment_of_id, id"

#endif

/* SPDX-License-Identifier: MIT */
/*
 * duckdb.h - a DuckDB database, by the C API of its library, which is loaded when it is needed
 *
 * The library is the file that TGDATA_DUCKDB names, else libduckdb.so where libraries are found;
 * 1.3 or newer. Nothing of it is needed to build. It may not load extensions from the network.
 *
 * A database belongs to one process at a time. Within it, all that open the same file share it;
 * each has a connection of its own. A transaction that was committed is synced.
 *
 *   code            when
 *   TG_UNSUPPORTED  there is no such library
 *   TG_SINK         another process has the file, for longer than the busy timeout; an I/O error
 *   TG_IO           cannot be opened
 *   TG_CORRUPT      not a database, or a damaged one
 *   TG_FULL         no space left
 *   TG_CONFLICT     a key is there already; the transaction must be ended
 *
 * Threads: one call at a time per database
 */
#ifndef TG_CLIENT_DUCKDB_H
#define TG_CLIENT_DUCKDB_H

#include "client/sql.h"

struct tg_duckdb;

struct tg_duckdb_settings {
    int64_t busy_ms;      /* longest wait for another process */
    int64_t memory_bytes; /* what the library may use; beyond it, it writes temporary files */
    bool existing;        /* a file that is not there is not made */
    bool look;            /* with existing: for reading */
};

/** @return TG_OK; TG_NOT_FOUND if `existing` and it is not there; the codes above */
tg_code tg_duckdb_open(const char *path, const struct tg_duckdb_settings *settings,
                       struct tg_duckdb **ret, struct tg_error *err);
void tg_duckdb_close(struct tg_duckdb *d); /* NULL is nothing */

/** Runs a statement without parameters or results. */
tg_code tg_duckdb_exec(struct tg_duckdb *d, const char *sql, struct tg_error *err);

/**
 * Runs a statement with parameters $1..$n. Numbers of a result are those of BIGINT, BOOLEAN and
 * TIMESTAMP (in microseconds), texts those of VARCHAR.
 *
 * @param row  gets the result, of at most 128 columns; NULL: it has none
 */
tg_code tg_duckdb_query(struct tg_duckdb *d, const char *sql, const struct tg_sql_value *param,
                        size_t n, tg_sql_row row, void *ctx, struct tg_error *err);

/** @return the number in the first column of the first row; 0 if there is no row */
tg_code tg_duckdb_number(struct tg_duckdb *d, const char *sql, int64_t *ret, struct tg_error *err);

tg_code tg_duckdb_begin(struct tg_duckdb *d, struct tg_error *err);
/** Ends the transaction: commits if code is TG_OK, else rolls back. @return code, or why the commit
 *  failed */
tg_code tg_duckdb_end(struct tg_duckdb *d, tg_code code, struct tg_error *err);

/* ---- appending, column by column ---- */

/**
 * Begins to append to some columns of a table; others get their default. A row is put together with
 * the functions below, what is not put is null; tg_duckdb_put_end ends it.
 * @param temporary  it is a temporary table
 */
tg_code tg_duckdb_append(struct tg_duckdb *d, const char *table, bool temporary,
                         const char *const *column, size_t n, struct tg_error *err);
void tg_duckdb_put_i64(struct tg_duckdb *d, size_t column, int64_t v);
void tg_duckdb_put_bool(struct tg_duckdb *d, size_t column, bool v);
/** @param text  UTF-8 */
void tg_duckdb_put_text(struct tg_duckdb *d, size_t column, struct tg_str text);
tg_code tg_duckdb_put_end(struct tg_duckdb *d, struct tg_error *err);
/** Hands over the last rows; after a failure `code` it drops them. @return code, or why not */
tg_code tg_duckdb_append_end(struct tg_duckdb *d, tg_code code, struct tg_error *err);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * sqlite.h - an SQLite database with kept statements and the library's error codes
 *
 * Durable by default: write-ahead log, synchronous=FULL: a commit that returned survives a power
 * failure. Statements are numbered by the caller, prepared on first use and kept.
 *
 *   code               when
 *   TG_CORRUPT         not a database, or a damaged one
 *   TG_UNUSABLE        cannot be opened, or is read-only and was to be written
 *   TG_FULL            no space left
 *   TG_DATA            a constraint or trigger refuses it, or it is too large
 *   TG_STATE           locked for longer than the busy timeout, or an I/O error
 *
 * Threads: one call at a time per database      Limits: TG_SQLITE_STMTS statements kept
 */
#ifndef TG_CLIENT_SQLITE_H
#define TG_CLIENT_SQLITE_H

#include <sqlite3.h>

#include "base/base.h"

enum { TG_SQLITE_STMTS = 32 };

struct tg_sqlite {
    sqlite3 *db;
    char *path;
    bool existing; /* set by the caller: a file that is not there is not made */
    bool look;     /* set by the caller, with existing: for reading; the file stays as it is */
    bool large;    /* set by the caller: it may be too large to be looked through when opened */
    bool read_only;
    bool joined; /* a transaction goes on over several of the calls below */
    const char *const *sql; /* text of each statement, by number; the caller's */
    size_t n_sql;
    sqlite3_stmt *stmt[TG_SQLITE_STMTS];
};

/**
 * Opens or creates a database. A file that may not be written is opened for reading.
 *
 * @param d     zeroed but for sql, n_sql, existing, look and large; tg_sqlite_close is safe after a
 *              failure
 * @param path  a file; its directory must exist
 * @return TG_OK; TG_NOT_FOUND if `existing` and it is not there; the codes above
 */
tg_code tg_sqlite_open(struct tg_sqlite *d, const char *path, int64_t busy_ms,
                       struct tg_error *err);
void tg_sqlite_close(struct tg_sqlite *d);

/** Fills err from the database's last error. `what` is what was being done: "read a document". */
tg_code tg_sqlite_fail(struct tg_sqlite *d, const char *what, struct tg_error *err);

/** Runs statements without parameters or results. */
tg_code tg_sqlite_exec(struct tg_sqlite *d, const char *sql, struct tg_error *err);

/** @return the number in the first column of the first row; 0 if there is no row */
tg_code tg_sqlite_number(struct tg_sqlite *d, const char *sql, int64_t *ret, struct tg_error *err);

/** The same of n statements, as they are at one time: another process may write meanwhile. */
tg_code tg_sqlite_numbers(struct tg_sqlite *d, const char *const *sql, size_t n, int64_t *ret,
                          struct tg_error *err);

/** @return statement number `id`, ready to be bound; reset it after use */
tg_code tg_sqlite_stmt(struct tg_sqlite *d, size_t id, sqlite3_stmt **ret, struct tg_error *err);

/** Runs a bound statement to its end and resets it. */
tg_code tg_sqlite_run(struct tg_sqlite *d, sqlite3_stmt *stmt, const char *what,
                      struct tg_error *err);

/** Starts a transaction that holds the write lock from the start (BEGIN IMMEDIATE); while it is
 *  `joined` a part of that one, which may fail by itself. */
tg_code tg_sqlite_begin(struct tg_sqlite *d, struct tg_error *err);

/** Ends it: commits if code is TG_OK, else rolls back. @return code, or why the commit failed */
tg_code tg_sqlite_end(struct tg_sqlite *d, tg_code code, struct tg_error *err);

#endif

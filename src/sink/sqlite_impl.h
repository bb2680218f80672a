/* SPDX-License-Identifier: MIT */
/*
 * sqlite_impl.h - what sqlite.c and sqlite_tables.c share; the model stands in sqlite.c
 */
#ifndef TG_SINK_SQLITE_IMPL_H
#define TG_SINK_SQLITE_IMPL_H

#include "client/sql.h"
#include "client/sqlite.h"
#include "sink/table_sink.h"

enum { SQLITE_COLUMNS = 256 };

enum sqlite_sink_statement {
    ROW_PUT,
    ROW_CUT,
    ROW_SCAN_OLD,
    ROW_SCAN,
    ROW_READ_OLD,
    ROW_READ,
    ROW_READ_BY_POST,
    CHAT_ALL,
    CHAT_GET,
    CHAT_PUT,
    COMMIT_LAST,
    COMMIT_ALL,
    COMMIT_PUT,
    COMMIT_CUT,
    N_STMTS
};

struct sink_sqlite {
    const char *table; /* options; of another series: */
    int64_t busy_timeout_ms;
    const struct tg_sink_env *env;
    const char *path; /* borrowed from the URL */
    char other[TG_TABLE_NAME]; /* <table>_<series> */
    struct tg_sqlite db;
    char *sql[N_STMTS];
    struct tg_table_chats chats;
    bool not_kept; /* the last failure is that of who was to keep a refused row */
};

/* sqlite_tables.c */

/* Readies the texts of all statements. */
tg_code tg_sqlite_sink_statements(struct sink_sqlite *s, struct tg_error *err);
/* Makes the tables, or adds the columns that they lack. @return TG_UNUSABLE: they are not ours */
tg_code tg_sqlite_sink_tables(struct sink_sqlite *s, struct tg_error *err);

/* @return that statement with the chat as its first parameter */
tg_code tg_sqlite_sink_ready(struct sink_sqlite *s, enum sqlite_sink_statement id, int64_t chat_id,
                             sqlite3_stmt **ret, struct tg_error *err);

/* Row and commit as parameters of ROW_PUT and COMMIT_PUT; commit as a result of COMMIT_*. */
void tg_sqlite_bind_row(sqlite3_stmt *stmt, const struct tg_row *row,
                        const struct tg_commit *commit);
void tg_sqlite_bind_commit(sqlite3_stmt *stmt, const struct tg_commit *c);
struct tg_commit tg_sqlite_commit_of(sqlite3_stmt *stmt);

#endif

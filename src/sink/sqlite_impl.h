/* SPDX-License-Identifier: MIT */
/*
 * sqlite_impl.h - what the sqlite*.c share; the model stands in sqlite.c
 */
#ifndef TG_SINK_SQLITE_IMPL_H
#define TG_SINK_SQLITE_IMPL_H

#include "client/sqlite.h"
#include "sink/table_sink.h"

enum { SQLITE_ROW_PUT = TG_TABLE_STATEMENTS, N_STMTS }; /* behind enum tg_table_statement */

struct sink_sqlite {
    struct tg_table_sink t;
    int64_t busy_timeout_ms; /* an option */
    struct tg_sqlite db;
    bool writes; /* it was opened to be written, the tables are there */
    char *sql[N_STMTS];
    struct sqlite_refusals { /* of the commit in hand */
        uint8_t *mark;       /* of each row that waits, enum sqlite_mark; NULL: none was refused */
        struct tg_error *why; /* of those that are not handed over yet */
        size_t n;
    } refused;
};

/* The database is no state here: its troubles are those of a destination. @return the code */
tg_code tg_sqlite_sink_told(tg_code code, struct tg_error *err);

/* sqlite_tables.c */

/* Readies the texts of all statements. */
tg_code tg_sqlite_sink_statements(struct sink_sqlite *s, struct tg_error *err);
/* Makes the tables, or adds the columns that they lack. @return TG_IO: they are not ours */
tg_code tg_sqlite_sink_tables(struct sink_sqlite *s, struct tg_error *err);
/* Whether they were made. @return TG_NOT_FOUND */
tg_code tg_sqlite_sink_look(struct sink_sqlite *s, struct tg_error *err);

/* sqlite_rows.c: of struct tg_sink_ops and tg_table_ops */
tg_code tg_sqlite_sink_commit(void *self, const struct tg_commit *commit, struct tg_error *err);
tg_code tg_sqlite_sink_put(void *self, struct tg_held_chat *chat, const struct tg_commit *commit,
                           struct tg_error *err);
tg_code tg_sqlite_sink_read(void *self, const char *of, const struct tg_sql_value *value, size_t n,
                            struct tg_table_reading *r, struct tg_error *err);
void tg_sqlite_sink_bind(sqlite3_stmt *stmt, const struct tg_sql_value *value, size_t n);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * sqlite_tables.c - tables and statements of an SQLite destination, made from the table of fields
 *
 * Threads: one at a time
 */
#include <stdio.h>
#include <stdlib.h>

#include "sink/sqlite_impl.h"

enum { SQL_MAX = 16384 };

static const char *column_type(enum tg_field_type type)
{
    switch (type) {
    case TG_FIELD_I64:
        return "INTEGER";
    case TG_FIELD_BOOL:
        return "INTEGER NOT NULL DEFAULT 0";
    case TG_FIELD_TIME:
    case TG_FIELD_STR:
    case TG_FIELD_JSON:
        break;
    }
    return "TEXT";
}

/* ---- the tables ---- */

/* Fills in the table. @return TG_NOMEM */
static tg_code fill(struct sink_sqlite *s, const char *sql, struct tg_buf *text,
                    struct tg_error *err)
{
    tg_buf_init(text, SQL_MAX);
    tg_sql_put(text, sql, s->t.table);
    return text->failed ? tg_fail(err, TG_NOMEM, "no memory for a statement") : TG_OK;
}

static tg_code exec(struct sink_sqlite *s, const char *sql, struct tg_error *err)
{
    struct tg_buf text;
    tg_code code = fill(s, sql, &text, err);

    if (code == TG_OK)
        code = tg_sqlite_exec(&s->db, tg_buf_cstr(&text), err);
    tg_buf_done(&text);
    return code;
}

static tg_code count(struct sink_sqlite *s, const char *sql, int64_t *ret, struct tg_error *err)
{
    struct tg_buf text;
    tg_code code = fill(s, sql, &text, err);

    if (code == TG_OK)
        code = tg_sqlite_number(&s->db, tg_buf_cstr(&text), ret, err);
    tg_buf_done(&text);
    return code;
}

static tg_code make_tables(struct sink_sqlite *s, struct tg_error *err)
{
    struct tg_buf sql;
    tg_code code;

    tg_buf_init(&sql, SQL_MAX);
    tg_table_create(&sql, "INTEGER", column_type, "");
    tg_buf_str(&sql, "CREATE INDEX \"@_of_job_chat\" ON \"@\"(job_chat_id)"
                     " WHERE job_chat_id IS NOT NULL;");
    code = sql.failed ? tg_fail(err, TG_NOMEM, "no memory for a statement")
                      : exec(s, tg_buf_cstr(&sql), err);
    tg_buf_done(&sql);
    return code;
}

/* A field that the table has no column for: it was made by an older program. */
static tg_code add_column(struct sink_sqlite *s, int field, struct tg_error *err)
{
    const struct tg_field *f = tg_field((enum tg_field_id)field);
    char sql[200];
    int64_t there = 0;
    tg_code code;

    snprintf(sql, sizeof sql, "SELECT count(*) FROM pragma_table_info('@') WHERE name = '%s'",
             f->name);
    code = count(s, sql, &there, err);
    if (code != TG_OK || there)
        return code;
    if (tg_table_is_key(field))
        return tg_table_lacks_key(&s->t, field, err);
    snprintf(sql, sizeof sql, "ALTER TABLE \"@\" ADD COLUMN \"%s\" %s", f->name,
             column_type(f->type));
    return exec(s, sql, err);
}

tg_code tg_sqlite_sink_tables(struct sink_sqlite *s, struct tg_error *err)
{
    int64_t table = 0, ours = 0;
    tg_code code = tg_sqlite_begin(&s->db, err);

    if (code != TG_OK)
        return code;
    code = count(s, "SELECT count(*) FROM sqlite_master WHERE name = '@'", &table, err);
    if (code == TG_OK)
        code = count(s, "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name IN"
                        " ('@', '@_commits', '@_chats')", &ours, err);
    if (code == TG_OK && table == 0 && ours == 0)
        code = make_tables(s, err);
    else if (code == TG_OK && ours != 3)
        code = tg_table_theirs(&s->t, err);
    for (int i = 0; code == TG_OK && i < TG_FIELD_COUNT; i++)
        code = add_column(s, i, err);
    return tg_sqlite_end(&s->db, code, err);
}

tg_code tg_sqlite_sink_look(struct sink_sqlite *s, struct tg_error *err)
{
    int64_t there = 0;
    tg_code code = count(s, "SELECT count(*) FROM sqlite_master WHERE name = '@_commits'", &there,
                         err);

    return code == TG_OK && !there ? tg_table_none(&s->t, err) : code;
}

/* ---- statements ---- */

static void put_row_sql(struct tg_buf *sql, const char *table)
{
    tg_buf_printf(sql, "INSERT INTO \"%s\"(", table);
    for (int i = 0; i < TG_FIELD_COUNT; i++)
        tg_buf_printf(sql, "\"%s\", ", tg_field((enum tg_field_id)i)->name);
    tg_buf_str(sql, "job_chat_id, job_commit) VALUES(");
    for (int i = 0; i < TG_FIELD_COUNT + 2; i++)
        tg_buf_printf(sql, i ? ", ?%d" : "?%d", i + 1);
    tg_buf_str(sql, ") ON CONFLICT(chat_id, owner, id) DO UPDATE SET ");
    for (int i = 0; i < TG_FIELD_COUNT; i++)
        if (!tg_table_is_key(i))
            tg_buf_printf(sql, "\"%1$s\" = excluded.\"%1$s\", ",
                          tg_field((enum tg_field_id)i)->name);
    tg_buf_str(sql, "job_chat_id = excluded.job_chat_id, job_commit = excluded.job_commit");
}

tg_code tg_sqlite_sink_statements(struct sink_sqlite *s, struct tg_error *err)
{
    for (size_t i = 0; i < N_STMTS && !s->sql[i]; i++) {
        struct tg_buf sql;

        tg_buf_init(&sql, SQL_MAX);
        if (i == SQLITE_ROW_PUT)
            put_row_sql(&sql, s->t.table);
        else
            tg_sql_put(&sql, tg_table_sql[i], s->t.table);
        s->sql[i] = sql.failed ? NULL : strdup(tg_buf_cstr(&sql));
        tg_buf_done(&sql);
        if (!s->sql[i])
            return tg_fail(err, TG_NOMEM, "no memory for a statement");
    }
    s->db.sql = (const char *const *)s->sql;
    s->db.n_sql = N_STMTS;
    return TG_OK;
}

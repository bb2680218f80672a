/* SPDX-License-Identifier: MIT */
/*
 * sqlite_tables.c - tables and statements of an SQLite destination, made from the table of fields
 *
 * Threads: one at a time
 */
#include <stdlib.h>

#include "sink/sqlite_impl.h"

enum { SQL_MAX = 16384 };

/* @ is the table. ROW_PUT is made from the table of fields. */
static const char *const statement[N_STMTS] = {
    [ROW_CUT] = "DELETE FROM @ WHERE job_commit > ?2 AND (job_chat_id = ?1 OR"
                " (chat_id = ?1 AND job_chat_id IS NULL))",
    [ROW_SCAN_OLD] = "SELECT chat_id, id FROM @ WHERE job_chat_id = ?1 ORDER BY id",
    [ROW_SCAN] = "SELECT chat_id, id FROM @ WHERE chat_id = ?1 AND job_chat_id IS NULL"
                 " ORDER BY owner, id",
    [ROW_READ_OLD] = "SELECT * FROM @ WHERE job_chat_id = ?1 AND id > ?2 ORDER BY id",
    [ROW_READ] = "SELECT * FROM @ WHERE chat_id = ?1 AND job_chat_id IS NULL AND id > ?2"
                 " ORDER BY owner, id",
    [ROW_READ_BY_POST] = "SELECT * FROM @ WHERE chat_id = ?1 AND job_chat_id IS NULL AND id > ?2"
                         " ORDER BY comment_of_id, id",
    [CHAT_ALL] = "SELECT chat_id, job FROM @_chats WHERE chat_id IN"
                 " (SELECT chat_id FROM @_commits) ORDER BY chat_id",
    [CHAT_GET] = "SELECT job, token, nonce FROM @_chats WHERE chat_id = ?1",
    [CHAT_PUT] = "INSERT INTO @_chats(chat_id, job, token, nonce) VALUES(?1, ?2, ?3, ?4)"
                 " ON CONFLICT(chat_id) DO UPDATE SET token = ?3, nonce = ?4",
    [COMMIT_LAST] = "SELECT " TG_TABLE_COMMIT " FROM @_commits WHERE chat_id = ?1"
                    " ORDER BY seq DESC LIMIT 1",
    [COMMIT_ALL] = "SELECT " TG_TABLE_COMMIT " FROM @_commits WHERE chat_id = ?1 ORDER BY seq",
    [COMMIT_PUT] = "INSERT INTO @_commits(" TG_TABLE_COMMIT ")"
                   " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
    [COMMIT_CUT] = "DELETE FROM @_commits WHERE chat_id = ?1 AND seq > ?2",
};

static const char tables_sql[] =
    "CREATE TABLE @_chats(chat_id INTEGER PRIMARY KEY, job TEXT NOT NULL,"
    " token INTEGER NOT NULL, nonce INTEGER NOT NULL);"
    "CREATE TABLE @_commits(chat_id INTEGER NOT NULL, seq INTEGER NOT NULL,"
    " segment INTEGER NOT NULL, id INTEGER NOT NULL, owner INTEGER NOT NULL,"
    " batches INTEGER NOT NULL, rows INTEGER NOT NULL, rows_total INTEGER NOT NULL,"
    " covered_from INTEGER NOT NULL, last_id INTEGER NOT NULL, last_date INTEGER NOT NULL,"
    " fence INTEGER NOT NULL, complete INTEGER NOT NULL, refused INTEGER NOT NULL,"
    " PRIMARY KEY(chat_id, seq))"
    " WITHOUT ROWID;"
    "CREATE INDEX @_of_job_chat ON @(job_chat_id) WHERE job_chat_id IS NOT NULL;";

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

static tg_code exec_for(struct sink_sqlite *s, const char *sql, struct tg_error *err)
{
    struct tg_buf text;
    tg_code code;

    tg_buf_init(&text, SQL_MAX);
    tg_sql_put(&text, sql, s->table);
    code = text.failed ? tg_fail(err, TG_NOMEM, "no memory for a statement")
                       : tg_sqlite_exec(&s->db, tg_buf_cstr(&text), err);
    tg_buf_done(&text);
    return code;
}

static tg_code make_tables(struct sink_sqlite *s, struct tg_error *err)
{
    struct tg_buf sql;
    tg_code code;

    tg_buf_init(&sql, SQL_MAX);
    tg_buf_printf(&sql, "CREATE TABLE %s(", s->table);
    for (int i = 0; i < TG_FIELD_COUNT; i++) {
        const struct tg_field *f = tg_field((enum tg_field_id)i);

        tg_buf_printf(&sql, "\"%s\" %s, ", f->name,
                      tg_table_is_key(i) ? "INTEGER NOT NULL" : column_type(f->type));
    }
    tg_buf_str(&sql, "job_chat_id INTEGER, job_commit INTEGER NOT NULL, "
                     "PRIMARY KEY(chat_id, owner, id));");
    code = sql.failed ? tg_fail(err, TG_NOMEM, "no memory for a statement")
                      : tg_sqlite_exec(&s->db, tg_buf_cstr(&sql), err);
    tg_buf_done(&sql);
    return code == TG_OK ? exec_for(s, tables_sql, err) : code;
}

static tg_code count(struct sink_sqlite *s, const char *sql, int64_t *ret, struct tg_error *err)
{
    struct tg_buf text;
    tg_code code;

    tg_buf_init(&text, SQL_MAX);
    tg_sql_put(&text, sql, s->table);
    code = text.failed ? tg_fail(err, TG_NOMEM, "no memory for a statement")
                       : tg_sqlite_number(&s->db, tg_buf_cstr(&text), ret, err);
    tg_buf_done(&text);
    return code;
}

/* A field that the table has no column for: it was made by an older program. */
static tg_code add_column(struct sink_sqlite *s, int field, struct tg_error *err)
{
    const struct tg_field *f = tg_field((enum tg_field_id)field);
    struct tg_buf sql;
    int64_t there = 0;
    tg_code code;

    tg_buf_init(&sql, SQL_MAX);
    tg_buf_printf(&sql, "SELECT count(*) FROM pragma_table_info('%s') WHERE name = '%s'", s->table,
                  f->name);
    code = tg_sqlite_number(&s->db, tg_buf_cstr(&sql), &there, err);
    if (code == TG_OK && !there && tg_table_is_key(field)) {
        code = tg_table_lacks_key(s->table, f->name, s->path, err);
    } else if (code == TG_OK && !there) {
        tg_buf_clear(&sql);
        tg_buf_printf(&sql, "ALTER TABLE %s ADD COLUMN \"%s\" %s", s->table, f->name,
                      column_type(f->type));
        code = tg_sqlite_exec(&s->db, tg_buf_cstr(&sql), err);
    }
    tg_buf_done(&sql);
    return code;
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
    if (code == TG_OK && table == 0 && ours == 0) {
        code = make_tables(s, err);
    } else if (code == TG_OK && ours != 3) {
        tg_fail(err, TG_UNUSABLE, "table '%s' of '%.200s' is another program's", s->table, s->path);
        code = tg_hint(err, "name another: sqlite:FILE?table=NAME");
    }
    for (int i = 0; code == TG_OK && i < TG_FIELD_COUNT; i++)
        code = add_column(s, i, err);
    return tg_sqlite_end(&s->db, code, err);
}

/* ---- statements ---- */

static void put_row_sql(const char *table, struct tg_buf *sql)
{
    tg_buf_printf(sql, "INSERT INTO %s(", table);
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
        if (i == ROW_PUT)
            put_row_sql(s->table, &sql);
        else
            tg_sql_put(&sql, statement[i], s->table);
        s->sql[i] = sql.failed ? NULL : strdup(tg_buf_cstr(&sql));
        tg_buf_done(&sql);
        if (!s->sql[i])
            return tg_fail(err, TG_NOMEM, "no memory for a statement");
    }
    s->db.sql = (const char *const *)s->sql;
    s->db.n_sql = N_STMTS;
    return TG_OK;
}

/* ---- commits ---- */

struct tg_commit tg_sqlite_commit_of(sqlite3_stmt *stmt)
{
    int64_t v[TG_TABLE_COMMIT_N];

    for (int i = 0; i < TG_TABLE_COMMIT_N; i++)
        v[i] = sqlite3_column_int64(stmt, i);
    return tg_table_to_commit(v);
}

void tg_sqlite_bind_commit(sqlite3_stmt *stmt, const struct tg_commit *c)
{
    int64_t v[TG_TABLE_COMMIT_N];

    tg_table_of_commit(c, v);
    for (int i = 0; i < TG_TABLE_COMMIT_N; i++)
        sqlite3_bind_int64(stmt, i + 1, v[i]);
}

tg_code tg_sqlite_sink_ready(struct sink_sqlite *s, enum sqlite_sink_statement id, int64_t chat_id,
                             sqlite3_stmt **ret, struct tg_error *err)
{
    tg_code code = tg_sqlite_stmt(&s->db, id, ret, err);

    if (code == TG_OK)
        sqlite3_bind_int64(*ret, 1, chat_id);
    return code;
}

/* ---- rows ---- */

static void bind_field(sqlite3_stmt *stmt, enum tg_field_id id, const struct tg_row *row)
{
    const void *value = (const char *)row + tg_row_offset[id];
    const struct tg_str *s = value;
    enum tg_field_type type = tg_field(id)->type;
    char time[21];

    if (type == TG_FIELD_STR || type == TG_FIELD_JSON)
        sqlite3_bind_text64(stmt, id + 1, s->at ? s->at : "", s->len, SQLITE_STATIC, SQLITE_UTF8);
    else if (type == TG_FIELD_TIME && tg_time_utc(time, *(const int64_t *)value))
        sqlite3_bind_text(stmt, id + 1, time, 20, SQLITE_TRANSIENT);
    else
        sqlite3_bind_int64(stmt, id + 1, *(const int64_t *)value);
}

void tg_sqlite_bind_row(sqlite3_stmt *stmt, const struct tg_row *row,
                        const struct tg_commit *commit)
{
    sqlite3_clear_bindings(stmt);
    for (uint64_t left = row->present | TG_TABLE_ALWAYS; left; left &= left - 1)
        bind_field(stmt, (enum tg_field_id)__builtin_ctzll(left), row);
    if (row->chat_id != commit->cursor.chat_id)
        sqlite3_bind_int64(stmt, TG_FIELD_COUNT + 1, commit->cursor.chat_id);
    sqlite3_bind_int64(stmt, TG_FIELD_COUNT + 2, (int64_t)commit->seq);
}

/* SPDX-License-Identifier: MIT */
/*
 * duckdb_tables.c - tables of a DuckDB destination, made from the table of fields
 *
 * Threads: one at a time
 */
#include "sink/duckdb_impl.h"

#include <stdio.h>

static const char tables_sql[] =
    "CREATE TABLE @_chats(chat_id BIGINT PRIMARY KEY, job VARCHAR NOT NULL, token BIGINT NOT NULL,"
    " nonce BIGINT NOT NULL);"
    "CREATE TABLE @_commits(chat_id BIGINT NOT NULL, seq BIGINT NOT NULL,"
    " segment BIGINT NOT NULL, id BIGINT NOT NULL, owner BIGINT NOT NULL,"
    " batches BIGINT NOT NULL, rows BIGINT NOT NULL, rows_total BIGINT NOT NULL,"
    " covered_from BIGINT NOT NULL, last_id BIGINT NOT NULL, last_date BIGINT NOT NULL,"
    " fence BIGINT NOT NULL, complete BIGINT NOT NULL, refused BIGINT NOT NULL,"
    " PRIMARY KEY(chat_id, seq));";

const char *tg_duckdb_sink_type(enum tg_field_type type)
{
    static const char *const name[] = {
        [TG_FIELD_I64] = "BIGINT",   [TG_FIELD_TIME] = "TIMESTAMP WITH TIME ZONE",
        [TG_FIELD_BOOL] = "BOOLEAN", [TG_FIELD_STR] = "VARCHAR",
        [TG_FIELD_JSON] = "JSON",
    };

    return name[type];
}

static tg_code run_text(struct sink_duckdb *s, struct tg_buf *sql, struct tg_error *err)
{
    tg_code code = sql->failed ? tg_fail(err, TG_NOMEM, "no memory for a statement")
                               : tg_duckdb_exec(s->db, tg_buf_cstr(sql), err);

    tg_buf_done(sql);
    return code;
}

static tg_code make_tables(struct sink_duckdb *s, struct tg_error *err)
{
    struct tg_buf sql;

    tg_buf_init(&sql, TG_DUCKDB_SQL_MAX);
    tg_buf_printf(&sql, "CREATE TABLE %s(", s->table);
    for (int i = 0; i < TG_FIELD_COUNT; i++) {
        const struct tg_field *f = tg_field((enum tg_field_id)i);

        tg_buf_printf(&sql, "\"%s\" %s%s, ", f->name, tg_duckdb_sink_type(f->type),
                      tg_table_is_key(i) ? " NOT NULL"
                      : f->type == TG_FIELD_BOOL ? " DEFAULT false" : "");
    }
    tg_buf_str(&sql, "job_chat_id BIGINT, job_commit BIGINT NOT NULL,"
                     " PRIMARY KEY(chat_id, owner, id));");
    tg_sql_put(&sql, tables_sql, s->table);
    return run_text(s, &sql, err);
}

/* The columns that are there. */
struct columns {
    struct sink_duckdb *s;
    uint64_t there;
};

/* A column of another type than its field would take no row. */
static tg_code take_column(void *ctx, const struct tg_duckdb_value *v, struct tg_error *err)
{
    struct columns *c = ctx;

    for (int i = 0; i < TG_FIELD_COUNT; i++) {
        const struct tg_field *f = tg_field((enum tg_field_id)i);
        const char *type = tg_duckdb_sink_type(f->type);

        if (!tg_str_eq(v[0].text, tg_str_of(f->name)))
            continue;
        c->there |= UINT64_C(1) << i;
        if (tg_str_eq(v[1].text, tg_str_of(type)))
            return TG_OK;
        tg_fail(err, TG_IO, "column '%s' of table '%s' is %.*s, not %s", f->name, c->s->table,
                (int)TG_MIN(v[1].text.len, 80U), v[1].text.at, type);
        return tg_hint(err, "change it back, or name another table: duckdb:FILE?table=NAME");
    }
    return TG_OK;
}

static tg_code add_columns(struct sink_duckdb *s, struct tg_error *err)
{
    struct columns columns = { .s = s };
    tg_code code = tg_duckdb_sink_ask(
        s, "SELECT column_name, data_type FROM duckdb_columns() WHERE database_name ="
           " current_database() AND schema_name = 'main' AND table_name = '@'",
        NULL, 0, take_column, &columns, err);

    for (int i = 0; code == TG_OK && i < TG_FIELD_COUNT; i++) {
        const struct tg_field *f = tg_field((enum tg_field_id)i);
        struct tg_buf sql;

        if (columns.there >> i & 1)
            continue;
        if (tg_table_is_key(i))
            return tg_table_lacks_key(s->table, f->name, s->path, err);
        tg_buf_init(&sql, TG_DUCKDB_SQL_MAX);
        tg_buf_printf(&sql, "ALTER TABLE %s ADD COLUMN \"%s\" %s%s", s->table, f->name,
                      tg_duckdb_sink_type(f->type),
                      f->type == TG_FIELD_BOOL ? " DEFAULT false" : "");
        code = run_text(s, &sql, err);
    }
    return code;
}

static tg_code take_count(void *ctx, const struct tg_duckdb_value *v, struct tg_error *err)
{
    (void)err;
    *(int64_t *)ctx = v[0].number;
    return TG_END;
}

tg_code tg_duckdb_sink_tables(struct sink_duckdb *s, struct tg_error *err)
{
    int64_t table = 0, ours = 0;
    tg_code code = tg_duckdb_begin(s->db, err);

    if (code != TG_OK)
        return code;
    code = tg_duckdb_sink_ask(s, "SELECT count(*) FROM information_schema.tables WHERE table_schema"
                                 " = 'main' AND table_name = '@'",
                              NULL, 0, take_count, &table, err);
    if (code == TG_OK)
        code = tg_duckdb_sink_ask(s, "SELECT count(*) FROM duckdb_tables() WHERE database_name ="
                                     " current_database() AND schema_name = 'main' AND table_name"
                                     " IN ('@', '@_commits', '@_chats')",
                                  NULL, 0, take_count, &ours, err);
    if (code == TG_OK && table == 0 && ours == 0) {
        code = make_tables(s, err);
    } else if (code == TG_OK && ours != 3) {
        tg_fail(err, TG_IO, "table '%s' of '%.200s' is another program's", s->table, s->path);
        code = tg_hint(err, "name another: duckdb:FILE?table=NAME");
    }
    code = tg_duckdb_end(s->db, code, err);
    return code == TG_OK ? add_columns(s, err) : code; /* each alone: one ALTER a transaction */
}

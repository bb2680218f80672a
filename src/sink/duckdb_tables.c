/* SPDX-License-Identifier: MIT */
/*
 * duckdb_tables.c - tables of a DuckDB destination, made from the table of fields
 *
 * Threads: one at a time
 */
#include "sink/duckdb_impl.h"

static const char *type_of(enum tg_field_type type)
{
    static const char *const name[] = {
        [TG_FIELD_I64] = "BIGINT",   [TG_FIELD_TIME] = "TIMESTAMP WITH TIME ZONE",
        [TG_FIELD_BOOL] = "BOOLEAN", [TG_FIELD_STR] = "VARCHAR",
        [TG_FIELD_JSON] = "JSON",
    };

    return name[type];
}

static const char *column_type(enum tg_field_type type)
{
    return type == TG_FIELD_BOOL ? "BOOLEAN DEFAULT false" : type_of(type);
}

static tg_code run_text(struct sink_duckdb *s, struct tg_buf *sql, struct tg_error *err)
{
    struct tg_buf text;
    tg_code code;

    tg_buf_init(&text, TG_DUCKDB_SQL_MAX);
    tg_sql_put(&text, tg_buf_cstr(sql), s->t.table);
    code = text.failed ? tg_fail(err, TG_NOMEM, "no memory for a statement")
                       : tg_duckdb_exec(s->db, tg_buf_cstr(&text), err);
    tg_buf_done(&text);
    return code;
}

static tg_code make_tables(struct sink_duckdb *s, struct tg_error *err)
{
    struct tg_buf sql;
    tg_code code;

    tg_buf_init(&sql, TG_DUCKDB_SQL_MAX);
    tg_table_create(&sql, "BIGINT", column_type, "");
    code = run_text(s, &sql, err);
    tg_buf_done(&sql);
    return code;
}

tg_code tg_duckdb_sink_columns(struct sink_duckdb *s, uint64_t *ret, struct tg_error *err)
{
    struct tg_table_columns columns = { &s->t, type_of, 0 };
    tg_code code = tg_duckdb_sink_query(
        s, "SELECT column_name, data_type FROM duckdb_columns() WHERE database_name ="
           " current_database() AND schema_name = 'main' AND table_name = '@'",
        NULL, 0, tg_table_take_column, &columns, err);

    *ret = columns.there;
    return code;
}

static tg_code add_columns(struct sink_duckdb *s, struct tg_error *err)
{
    uint64_t there = 0;
    tg_code code = tg_duckdb_sink_columns(s, &there, err);

    for (int i = 0; code == TG_OK && i < TG_FIELD_COUNT; i++) {
        const struct tg_field *f = tg_field((enum tg_field_id)i);
        struct tg_buf sql;

        if (there >> i & 1)
            continue;
        if (tg_table_is_key(i))
            return tg_table_lacks_key(&s->t, i, err);
        tg_buf_init(&sql, TG_DUCKDB_SQL_MAX);
        tg_buf_printf(&sql, "ALTER TABLE \"@\" ADD COLUMN \"%s\" %s", f->name,
                      column_type(f->type));
        code = run_text(s, &sql, err);
        tg_buf_done(&sql);
    }
    return code;
}

static tg_code count(struct sink_duckdb *s, const char *sql, int64_t *ret, struct tg_error *err)
{
    return tg_duckdb_sink_query(s, sql, NULL, 0, tg_sql_take_number, ret, err);
}

tg_code tg_duckdb_sink_tables(struct sink_duckdb *s, struct tg_error *err)
{
    int64_t table = 0, ours = 0;
    tg_code code = tg_duckdb_begin(s->db, err);

    if (code != TG_OK)
        return code;
    code = count(s, "SELECT count(*) FROM information_schema.tables WHERE table_schema = 'main'"
                    " AND table_name = '@'",
                 &table, err);
    if (code == TG_OK)
        code = count(s, "SELECT count(*) FROM duckdb_tables() WHERE database_name ="
                        " current_database() AND schema_name = 'main' AND table_name IN"
                        " ('@', '@_commits', '@_chats')",
                     &ours, err);
    if (code == TG_OK && table == 0 && ours == 0)
        code = make_tables(s, err);
    else if (code == TG_OK && ours != 3)
        code = tg_table_theirs(&s->t, err);
    code = tg_duckdb_end(s->db, code, err);
    return code == TG_OK ? add_columns(s, err) : code; /* each alone: one ALTER a transaction */
}

tg_code tg_duckdb_sink_look(struct sink_duckdb *s, struct tg_error *err)
{
    int64_t there = 0;
    tg_code code = count(s, "SELECT count(*) FROM duckdb_tables() WHERE table_name = '@_commits'",
                         &there, err);

    return code == TG_OK && !there ? tg_table_none(&s->t, err) : code;
}

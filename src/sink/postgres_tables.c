/* SPDX-License-Identifier: MIT */
/*
 * postgres_tables.c - statements and tables of a PostgreSQL destination
 *
 * Threads: one at a time
 */
#include <stdio.h>

#include "sink/postgres_impl.h"

static bool take_number(void *ctx, const struct tg_str *value, int n)
{
    (void)n;
    *(int64_t *)ctx = tg_postgres_number(value[0]);
    return false;
}

static tg_code ask(struct sink_postgres *s, const char *sql, int64_t *ret, struct tg_error *err)
{
    return tg_postgres_query(s->db, sql, NULL, 0, take_number, ret, err);
}

/* ---- the tables ---- */

static const char tables_sql[] =
    "CREATE TABLE @_chats\"(chat_id bigint PRIMARY KEY, job text NOT NULL, token bigint NOT NULL,"
    " nonce bigint NOT NULL);"
    "CREATE TABLE @_commits\"(chat_id bigint NOT NULL, seq bigint NOT NULL,"
    " segment bigint NOT NULL, id bigint NOT NULL, owner bigint NOT NULL,"
    " batches bigint NOT NULL, rows bigint NOT NULL, rows_total bigint NOT NULL,"
    " covered_from bigint NOT NULL, last_id bigint NOT NULL, last_date bigint NOT NULL,"
    " fence bigint NOT NULL, complete bigint NOT NULL, refused bigint NOT NULL,"
    " PRIMARY KEY(chat_id, seq));"
    "CREATE INDEX ON @\"(job_chat_id) WHERE job_chat_id IS NOT NULL;";

static tg_code make_tables(struct sink_postgres *s, struct tg_error *err)
{
    struct tg_buf sql;
    tg_code code;

    tg_buf_init(&sql, PG_SQL_MAX);
    tg_buf_str(&sql, "CREATE TABLE @\"(");
    for (int i = 0; i < TG_FIELD_COUNT; i++) {
        const struct tg_field *f = tg_field((enum tg_field_id)i);

        tg_buf_printf(&sql, "\"%s\" %s%s, ", f->name, tg_pgcopy_type(f->type),
                      tg_table_is_key(i) ? " NOT NULL" : "");
    }
    tg_buf_str(&sql, "job_chat_id bigint, job_commit bigint NOT NULL, job_note text, "
                     "PRIMARY KEY(chat_id, owner, id));");
    code = sql.failed ? tg_fail(err, TG_NOMEM, "no memory for a statement")
                      : tg_postgres_exec(s->db, tg_buf_cstr(&sql), err);
    tg_buf_done(&sql);
    return code == TG_OK ? tg_postgres_exec(s->db, tables_sql, err) : code;
}

struct columns {
    struct sink_postgres *s;
    uint64_t there;
    struct tg_error *err;
    tg_code code;
};

/* A column of another type than its field would take no row. */
static bool take_column(void *ctx, const struct tg_str *value, int n)
{
    struct columns *c = ctx;

    (void)n;
    for (int i = 0; i < TG_FIELD_COUNT; i++) {
        const struct tg_field *f = tg_field((enum tg_field_id)i);
        const char *type = tg_pgcopy_type(f->type);

        if (!tg_str_eq(value[0], (struct tg_str){ f->name, (uint32_t)strlen(f->name) }))
            continue;
        c->there |= UINT64_C(1) << i;
        if (tg_str_eq(value[1], (struct tg_str){ type, (uint32_t)strlen(type) }))
            return true;
        c->code = tg_fail(c->err, TG_IO, "column '%s' of table '%s' is %.*s, not %s", f->name,
                          c->s->table, (int)value[1].len, value[1].at, type);
        tg_hint(c->err, "change it back, or name another table: ?table=NAME");
        return false;
    }
    return true;
}

static tg_code add_columns(struct sink_postgres *s, struct tg_error *err)
{
    struct columns columns = { .s = s, .err = err };
    tg_code code = tg_postgres_query(s->db,
                         "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute"
                         " WHERE attrelid = '@\"'::regclass AND attnum > 0 AND NOT attisdropped",
                         NULL, 0, take_column, &columns, err);

    if (code == TG_OK)
        code = columns.code;
    for (int i = 0; code == TG_OK && i < TG_FIELD_COUNT; i++) {
        const struct tg_field *f = tg_field((enum tg_field_id)i);
        char sql[400];

        if (columns.there >> i & 1)
            continue;
        if (tg_table_is_key(i))
            return tg_table_lacks_key(s->table, f->name, tg_postgres_name(s->db), err);
        snprintf(sql, sizeof sql, "ALTER TABLE @\" ADD COLUMN \"%s\" %s", f->name,
                 tg_pgcopy_type(f->type));
        code = tg_postgres_exec(s->db, sql, err);
    }
    return code;
}

/* One at a time: others may be about to make the same tables. */
static tg_code check_tables(struct sink_postgres *s, struct tg_error *err)
{
    int64_t table = 0, beside = 0;
    tg_code code =
        tg_postgres_exec(s->db, "BEGIN; SELECT pg_advisory_xact_lock(hashtext('@\"'))", err);

    if (code == TG_OK)
        code = ask(s, "SELECT count(to_regclass('@\"'))", &table, err);
    if (code == TG_OK)
        code = ask(s, "SELECT count(to_regclass('@_chats\"')) + count(to_regclass('@_commits\"'))",
                   &beside, err);
    if (code == TG_OK && !table && !beside) {
        code = make_tables(s, err);
    } else if (code == TG_OK && table + beside != 3) {
        tg_fail(err, TG_IO, "table '%s' of %s is another program's", s->table,
                tg_postgres_name(s->db));
        code = tg_hint(err, "name another: ?table=NAME");
    } else if (code == TG_OK) {
        code = add_columns(s, err);
    }
    return tg_postgres_end(s->db, code, err);
}

tg_code tg_pg_need(struct sink_postgres *s, bool create, struct tg_error *err)
{
    int64_t there = 0;
    tg_code code = tg_postgres_connect(s->db, err);

    if (code != TG_OK || s->checked)
        return code;
    if (!create) {
        code = ask(s, "SELECT count(to_regclass('@_commits\"'))", &there, err);
        return code == TG_OK && !there ? TG_NOT_FOUND : code;
    }
    code = check_tables(s, err);
    s->checked = code == TG_OK;
    return code;
}

/* SPDX-License-Identifier: MIT */
/*
 * postgres_tables.c - tables of a PostgreSQL destination
 *
 * Threads: one at a time
 */
#include <stdio.h>

#include "sink/postgres_impl.h"

static tg_code make_tables(struct sink_postgres *s, struct tg_error *err)
{
    struct tg_buf sql;
    tg_code code;

    tg_buf_init(&sql, PG_SQL_MAX);
    tg_table_create(&sql, "bigint", tg_pgcopy_type, "job_note text, ");
    tg_buf_str(&sql, "CREATE INDEX ON \"@\"(job_chat_id) WHERE job_chat_id IS NOT NULL;");
    code = sql.failed ? tg_fail(err, TG_NOMEM, "no memory for a statement")
                      : tg_postgres_exec(s->db, tg_buf_cstr(&sql), err);
    tg_buf_done(&sql);
    return code;
}

static tg_code add_columns(struct sink_postgres *s, struct tg_error *err)
{
    struct tg_table_columns columns = { &s->t, tg_pgcopy_type, 0 };
    tg_code code = tg_postgres_query(s->db,
                         "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute"
                         " WHERE attrelid = '\"@\"'::regclass AND attnum > 0 AND NOT attisdropped",
                         NULL, 0, tg_table_take_column, &columns, err);

    for (int i = 0; code == TG_OK && i < TG_FIELD_COUNT; i++) {
        const struct tg_field *f = tg_field((enum tg_field_id)i);
        char sql[400];

        if (columns.there >> i & 1)
            continue;
        if (tg_table_is_key(i))
            return tg_table_lacks_key(&s->t, i, err);
        snprintf(sql, sizeof sql, "ALTER TABLE \"@\" ADD COLUMN \"%s\" %s", f->name,
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
        tg_postgres_exec(s->db, "BEGIN; SELECT pg_advisory_xact_lock(hashtext('\"@\"'))", err);

    if (code == TG_OK)
        code = tg_postgres_number(s->db, "SELECT count(to_regclass('\"@\"'))", &table, err);
    if (code == TG_OK)
        code = tg_postgres_number(s->db,
                                  "SELECT count(to_regclass('\"@_chats\"')) +"
                                  " count(to_regclass('\"@_commits\"'))",
                                  &beside, err);
    if (code == TG_OK && !table && !beside) {
        code = make_tables(s, err);
    } else if (code == TG_OK && table + beside != 3) {
        code = tg_table_theirs(&s->t, err);
    } else if (code == TG_OK) {
        code = add_columns(s, err);
    }
    return tg_postgres_end(s->db, code, err);
}

tg_code tg_pg_need(void *self, bool write, struct tg_error *err)
{
    struct sink_postgres *s = self;
    int64_t there = 0;
    tg_code code = tg_postgres_connect(s->db, err);

    if (code != TG_OK || s->checked)
        return code;
    if (write) {
        code = check_tables(s, err);
        s->checked = code == TG_OK;
        return code;
    }
    code = tg_postgres_number(s->db, "SELECT count(to_regclass('\"@_commits\"'))", &there, err);
    return code == TG_OK && !there ? tg_table_none(&s->t, err) : code;
}

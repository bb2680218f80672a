/* SPDX-License-Identifier: MIT */
/*
 * duckdb_rows.c - rows into a table of DuckDB, and back; see duckdb.c
 *
 * Threads: one at a time
 */
#include "base/json_read.h"
#include "sink/duckdb_impl.h"

enum { JOB_CHAT_ID = TG_FIELD_COUNT, JOB_COMMIT, N_COLUMNS };

/* Rows whose keys may be there already, each once: the last that came. */
static const char temporary_sql[] =
    "CREATE OR REPLACE TEMP TABLE tgdata_rows AS FROM \"@\" LIMIT 0";
static const char replace_sql[] =
    "INSERT OR REPLACE INTO \"@\" BY NAME SELECT * FROM temp.tgdata_rows"
    " QUALIFY row_number() OVER (PARTITION BY chat_id, owner, id ORDER BY rowid DESC) = 1";

struct putting {
    struct tg_duckdb *db;
    const struct tg_commit *commit;
    const struct duckdb_how *how;
    uint64_t n;           /* rows so far */
    size_t at;            /* the next that is left out */
    struct tg_buf mended; /* a text that was no UTF-8 */
};

static void put_text(struct putting *p, enum tg_field_id id, struct tg_str s)
{
    if (tg_utf8_valid(s.at, s.len)) {
        tg_duckdb_put_text(p->db, id, s);
        return;
    }
    tg_buf_clear(&p->mended);
    tg_json_mend(&p->mended, s.at, s.len);
    tg_duckdb_put_text(p->db, id, (struct tg_str){ (const char *)p->mended.data,
                                                   (uint32_t)p->mended.len });
}

static void put_field(struct putting *p, enum tg_field_id id, const struct tg_row *row)
{
    const void *value = (const char *)row + tg_row_offset[id];
    const struct tg_str *s = value;
    int64_t us;

    switch (tg_field(id)->type) {
    case TG_FIELD_BOOL:
        tg_duckdb_put_bool(p->db, id, *(const int64_t *)value != 0);
        return;
    case TG_FIELD_TIME:
        if (!__builtin_mul_overflow(*(const int64_t *)value, TG_SECOND_US, &us))
            tg_duckdb_put_i64(p->db, id, us);
        return;
    case TG_FIELD_I64:
        tg_duckdb_put_i64(p->db, id, *(const int64_t *)value);
        return;
    case TG_FIELD_JSON:
        tg_duckdb_put_text(p->db, id, s->len ? *s : TG_STR("null"));
        return;
    case TG_FIELD_STR:
        put_text(p, id, *s);
        return;
    }
}

static tg_code put_row(void *ctx, const struct tg_row *row, struct tg_error *err)
{
    struct putting *p = ctx;
    uint64_t n = p->n++;

    if (n == p->how->first)
        return TG_END;
    if (p->at < p->how->n_refused && p->how->refused[p->at] == n) {
        p->at++;
        return TG_OK;
    }
    for (uint64_t left = row->present | TG_TABLE_ALWAYS; left; left &= left - 1)
        put_field(p, (enum tg_field_id)__builtin_ctzll(left), row);
    if (row->chat_id != p->commit->cursor.chat_id)
        tg_duckdb_put_i64(p->db, JOB_CHAT_ID, p->commit->cursor.chat_id);
    tg_duckdb_put_i64(p->db, JOB_COMMIT, (int64_t)p->commit->seq);
    return p->mended.failed ? tg_fail(err, TG_NOMEM, "a text for DuckDB")
                            : tg_duckdb_put_end(p->db, err);
}

static tg_code append(struct sink_duckdb *s, struct tg_staged *rows, struct putting *put,
                      const char *table, struct tg_error *err)
{
    const char *name[N_COLUMNS];
    tg_code code;

    tg_buf_init(&put->mended, SIZE_MAX);
    for (int i = 0; i < TG_FIELD_COUNT; i++)
        name[i] = tg_field((enum tg_field_id)i)->name;
    name[JOB_CHAT_ID] = "job_chat_id";
    name[JOB_COMMIT] = "job_commit";
    code = tg_duckdb_append(s->db, table, table != s->t.table, name, N_COLUMNS, err);
    if (code == TG_OK) {
        code = tg_staged_each(rows, put_row, put, err);
        code = tg_duckdb_append_end(s->db, code == TG_END ? TG_OK : code, err);
    }
    tg_buf_done(&put->mended);
    return code;
}

tg_code tg_duckdb_sink_put(struct sink_duckdb *s, struct tg_held_chat *chat,
                           const struct tg_commit *commit, const struct duckdb_how *how,
                           struct tg_error *err)
{
    struct putting put = { .db = s->db, .commit = commit, .how = how };
    tg_code code;

    if (!how->replace)
        return append(s, &chat->rows, &put, s->t.table, err);
    code = tg_duckdb_sink_query(s, temporary_sql, NULL, 0, NULL, NULL, err);
    if (code == TG_OK)
        code = append(s, &chat->rows, &put, "tgdata_rows", err);
    if (code == TG_OK)
        code = tg_duckdb_sink_query(s, replace_sql, NULL, 0, NULL, NULL, err);
    return code;
}

/* ---- back ---- */

static tg_code take_row(void *ctx, const struct tg_sql_value *v, struct tg_error *err)
{
    struct tg_table_reading *r = ctx;
    tg_code code = tg_table_next_row(r, err);

    for (int i = 0; code == TG_OK && i < TG_FIELD_COUNT; i++) {
        enum tg_field_type type = tg_field((enum tg_field_id)i)->type;
        void *member = (char *)r->row + tg_row_offset[i];
        struct tg_str text;

        if (v[i].null || (type == TG_FIELD_BOOL && !v[i].number))
            continue;
        r->row->present |= UINT64_C(1) << i;
        if (type != TG_FIELD_STR && type != TG_FIELD_JSON) {
            *(int64_t *)member = v[i].number / (type == TG_FIELD_TIME ? TG_SECOND_US : 1);
            continue;
        }
        text = tg_batch_text(r->back.batch, v[i].text.at, v[i].text.len);
        if (!text.at)
            return tg_fail(err, TG_NOMEM, "no memory for a row");
        *(struct tg_str *)member = text;
    }
    return code;
}

/* An older program's table may lack columns: they are NULL. */
tg_code tg_duckdb_sink_read(void *self, const char *of, const struct tg_sql_value *value, size_t n,
                            struct tg_table_reading *r, struct tg_error *err)
{
    struct sink_duckdb *s = self;
    uint64_t there = 0;
    struct tg_buf sql;
    tg_code code = tg_duckdb_sink_columns(s, &there, err);

    tg_buf_init(&sql, TG_DUCKDB_SQL_MAX);
    for (int i = 0; i < TG_FIELD_COUNT; i++)
        tg_buf_printf(&sql, there >> i & 1 ? "%s\"%s\"" : "%sNULL", i ? ", " : "SELECT ",
                      tg_field((enum tg_field_id)i)->name);
    tg_buf_str(&sql, of);
    if (code == TG_OK)
        code = sql.failed
                   ? tg_fail(err, TG_NOMEM, "no memory for a statement")
                   : tg_duckdb_sink_query(s, tg_buf_cstr(&sql), value, n, take_row, r, err);
    tg_buf_done(&sql);
    return code;
}

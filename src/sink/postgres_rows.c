/* SPDX-License-Identifier: MIT */
/*
 * postgres_rows.c - the rows of a commit into a PostgreSQL table, within its transaction; and back
 *
 *   COPY --key is there--> through a temporary table, in the place of those that are there
 *     |
 *     +--a row is refused--> taken back, and each half by itself, down to the row
 *
 * A key that is there already only others' hands can have brought about; or it is a job of changes,
 * whose rows go through the temporary table at once, the last one of each key. That table stays to
 * the end of the session: a job of changes commits often, and each new one is some hundred rows of
 * the catalogue. A row that a constraint or
 * a trigger refuses is looked for by halving: of n rows one costs about n more, and the rest of
 * the commit still goes in this transaction. Deferred constraints are asked at once, since at the
 * end of the transaction nobody could tell whose they are.
 *
 * Threads: one at a time
 */
#include "sink/postgres_impl.h"

enum { COPY_AT = 256 * 1024, COPY_MAX = 96 << 20 };

/* Appends all columns of rows as "name", or all but the key as "name" = EXCLUDED."name". */
static void put_columns(struct tg_buf *sql, bool excluded)
{
    static const char *const job[] = { "job_chat_id", "job_commit", "job_note" };

    for (size_t i = 0; i < TG_FIELD_COUNT + TG_COUNT(job); i++) {
        const char *name = i < TG_FIELD_COUNT ? tg_field((enum tg_field_id)i)->name
                                              : job[i - TG_FIELD_COUNT];

        if (excluded && tg_table_is_key((int)i))
            continue;
        if (sql->data[sql->len - 1] != '(' && sql->data[sql->len - 1] != ' ')
            tg_buf_str(sql, ", ");
        tg_buf_printf(sql, "\"%s\"", name);
        if (excluded)
            tg_buf_printf(sql, " = EXCLUDED.\"%s\"", name);
    }
}

/* The rows at from..to of those that wait for the commit. */
struct copy {
    struct sink_postgres *s;
    struct tg_held_chat *chat;
    const struct tg_commit *commit;
    struct tg_buf bytes;
    uint64_t at, from, to;
};

static tg_code send(struct copy *c, struct tg_error *err)
{
    tg_code code = tg_postgres_copy_add(c->s->db, c->bytes.data, c->bytes.len, err);

    tg_buf_clear(&c->bytes);
    return code;
}

static tg_code copy_row(void *ctx, const struct tg_row *row, struct tg_error *err)
{
    struct copy *c = ctx;
    uint64_t at = c->at++;

    if (at < c->from)
        return TG_OK;
    if (at == c->to)
        return TG_END;
    tg_pgcopy_row(row, c->commit->cursor.chat_id, (int64_t)c->commit->seq, &c->bytes);
    if (c->bytes.failed)
        return tg_fail(err, TG_NOMEM, "no memory to copy a row");
    return c->bytes.len >= COPY_AT ? send(c, err) : TG_OK;
}

/* Into a table, `into` with @ as the table. */
static tg_code copy_rows(struct copy *c, const char *into, struct tg_error *err)
{
    struct tg_buf sql;
    tg_code code;

    tg_buf_init(&sql, PG_SQL_MAX);
    tg_buf_str(&sql, "COPY ");
    tg_buf_str(&sql, into);
    tg_buf_str(&sql, "(");
    put_columns(&sql, false);
    tg_buf_str(&sql, ") FROM STDIN (FORMAT binary)");
    code = tg_postgres_copy(c->s->db, tg_buf_cstr(&sql), err);
    tg_buf_done(&sql);
    if (code != TG_OK)
        return code;
    tg_buf_init(&c->bytes, COPY_MAX);
    c->at = 0;
    tg_pgcopy_head(&c->bytes);
    code = tg_staged_each(&c->chat->rows, copy_row, c, err);
    tg_pgcopy_tail(&c->bytes);
    if (code == TG_OK || code == TG_END)
        code = send(c, err);
    code = tg_postgres_copy_end(c->s->db, code, err);
    tg_buf_done(&c->bytes);
    return code;
}

/* Rows with these keys are there, or may be: theirs are replaced. */
static tg_code replace_rows(struct copy *c, struct tg_error *err)
{
    struct tg_buf sql;
    tg_code code = tg_postgres_exec(c->s->db,
                        "ROLLBACK TO SAVEPOINT rows; CREATE TEMPORARY TABLE IF NOT EXISTS"
                        " tgdata_rows (LIKE \"@\") ON COMMIT DELETE ROWS; TRUNCATE tgdata_rows",
                        err);

    if (code == TG_OK)
        code = copy_rows(c, "tgdata_rows", err);
    if (code != TG_OK)
        return code;
    tg_buf_init(&sql, PG_SQL_MAX);
    tg_buf_str(&sql, "INSERT INTO \"@\"(");
    put_columns(&sql, false);
    tg_buf_str(&sql, ") SELECT DISTINCT ON (chat_id, owner, id) ");
    put_columns(&sql, false);
    tg_buf_str(&sql, " FROM tgdata_rows ORDER BY chat_id, owner, id, ctid DESC"
                     " ON CONFLICT(chat_id, owner, id) DO UPDATE SET ");
    put_columns(&sql, true);
    code = sql.failed ? tg_fail(err, TG_NOMEM, "no memory for a statement")
                      : tg_postgres_exec(c->s->db, tg_buf_cstr(&sql), err);
    tg_buf_done(&sql);
    return code;
}

/* @return TG_DATA: a row among them was refused, and none of them is there */
static tg_code put_range(struct copy *c, struct tg_error *err)
{
    struct tg_error ignored;
    bool changes = c->commit->cursor.segment == TG_SEGMENT_CHANGES;
    tg_code code = tg_postgres_exec(c->s->db, "SAVEPOINT rows", err);

    if (code == TG_OK && !changes)
        code = copy_rows(c, "\"@\"", err);
    if (code == TG_CONFLICT || (code == TG_OK && changes))
        code = replace_rows(c, err);
    if (code == TG_CONFLICT)
        err->code = code = TG_DATA; /* of another key, which is not ours */
    if (code == TG_OK)
        code = tg_postgres_exec(c->s->db, "SET CONSTRAINTS ALL IMMEDIATE; RELEASE SAVEPOINT rows",
                                err);
    if (code != TG_DATA)
        return code;
    if (tg_postgres_exec(c->s->db, "ROLLBACK TO SAVEPOINT rows; RELEASE SAVEPOINT rows",
                         &ignored) == TG_OK)
        return TG_DATA;
    *err = ignored;
    return err->code;
}

struct refusal {
    struct copy *copy;
    struct tg_error why;
};

static tg_code refuse_row(void *ctx, const struct tg_row *row, struct tg_error *err)
{
    const struct refusal *r = ctx;
    struct copy *c = r->copy;
    tg_code code;

    if (c->at++ < c->from)
        return TG_OK;
    code = tg_held_refuse(c->chat, c->s->t.env, row, &r->why, err);
    return code == TG_OK ? TG_END : code;
}

static tg_code put_halves(struct copy *c, uint64_t from, uint64_t to, struct tg_error *err)
{
    struct refusal refusal = { .copy = c };
    uint64_t middle = from + (to - from) / 2;
    tg_code code;

    c->from = from;
    c->to = to;
    code = put_range(c, err);
    if (code != TG_DATA || !c->s->t.env->refuse)
        return code;
    if (to - from > 1) {
        code = put_halves(c, from, middle, err);
        return code == TG_OK ? put_halves(c, middle, to, err) : code;
    }
    refusal.why = *err;
    c->at = 0;
    code = tg_staged_each(&c->chat->rows, refuse_row, &refusal, err);
    return code == TG_END ? TG_OK : code;
}

tg_code tg_pg_put_rows(void *self, struct tg_held_chat *chat, const struct tg_commit *commit,
                       struct tg_error *err)
{
    struct copy c = { .s = self, .chat = chat, .commit = commit };

    return put_halves(&c, 0, chat->rows.n, err);
}

/* ---- back ---- */

enum { PIECE = 500 }; /* rows in memory */

struct each {
    tg_sql_row row;
    void *ctx;
    int n;
    bool ended;
};

static tg_code each_row(void *ctx, const struct tg_sql_value *v, struct tg_error *err)
{
    struct each *each = ctx;
    tg_code code = each->row(each->ctx, v, err);

    each->n++;
    each->ended = code == TG_END;
    return code;
}

tg_code tg_pg_each(struct sink_postgres *s, const char *select, const struct tg_sql_value *value,
                   size_t n, tg_sql_row row, void *ctx, struct tg_error *err)
{
    struct each each = { row, ctx, PIECE, false };
    struct tg_buf sql;
    tg_code code;

    tg_buf_init(&sql, PG_SQL_MAX);
    tg_buf_str(&sql, "DECLARE rows NO SCROLL CURSOR FOR ");
    tg_buf_str(&sql, select);
    code = sql.failed ? tg_fail(err, TG_NOMEM, "no memory for a statement")
                      : tg_postgres_query(s->db, tg_buf_cstr(&sql), value, n, NULL, NULL, err);
    tg_buf_clear(&sql);
    tg_buf_printf(&sql, "FETCH %d FROM rows", PIECE);
    while (code == TG_OK && each.n == PIECE && !each.ended) {
        each.n = 0;
        code = tg_postgres_query(s->db, tg_buf_cstr(&sql), NULL, 0, each_row, &each, err);
    }
    tg_buf_done(&sql);
    return code == TG_OK ? tg_postgres_exec(s->db, "CLOSE rows", err) : code;
}

/* All columns of fields that the table has, each as a text that tg_row_take reads. */
struct columns {
    int16_t field[TG_FIELD_COUNT];
    int n;
    struct tg_buf sql;
};

static tg_code take_column(void *ctx, const struct tg_sql_value *v, struct tg_error *err)
{
    struct columns *c = ctx;
    int id = tg_field_find(v[0].text);

    (void)err;
    if (id < 0)
        return TG_OK;
    tg_buf_printf(&c->sql,
                  tg_field((enum tg_field_id)id)->type == TG_FIELD_TIME
                      ? "%sextract(epoch FROM \"%s\")::bigint"
                      : "%s\"%s\"::text",
                  c->n ? ", " : "SELECT ", tg_field((enum tg_field_id)id)->name);
    c->field[c->n++] = (int16_t)id;
    return TG_OK;
}

struct reading {
    struct tg_table_reading *r;
    const struct columns *columns;
};

static tg_code take_row(void *ctx, const struct tg_sql_value *v, struct tg_error *err)
{
    const struct reading *g = ctx;
    tg_code code = tg_table_next_row(g->r, err);

    for (int i = 0; code == TG_OK && i < g->columns->n; i++)
        if (!v[i].null)
            code = tg_table_take_field(g->r, g->columns->field[i], v[i].text, err);
    return code;
}

tg_code tg_pg_read_rows(void *self, const char *of, const struct tg_sql_value *value, size_t n,
                        struct tg_table_reading *r, struct tg_error *err)
{
    struct columns c = { .n = 0 };
    struct reading reading = { r, &c };
    struct sink_postgres *s = self;
    tg_code code;

    tg_buf_init(&c.sql, PG_SQL_MAX);
    code = tg_postgres_query(s->db,
                             "SELECT attname FROM pg_attribute WHERE attrelid = '\"@\"'::regclass"
                             " AND attnum > 0 AND NOT attisdropped",
                             NULL, 0, take_column, &c, err);
    tg_buf_str(&c.sql, of);
    if (code == TG_OK)
        code = c.sql.failed
                   ? tg_fail(err, TG_NOMEM, "no memory for a statement")
                   : tg_pg_each(s, tg_buf_cstr(&c.sql), value, n, take_row, &reading, err);
    tg_buf_done(&c.sql);
    return code;
}

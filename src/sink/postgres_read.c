/* SPDX-License-Identifier: MIT */
/*
 * postgres_read.c - rows of a PostgreSQL destination read back, and which chats it has
 *
 * Threads: one at a time; calls block      Limits: 500 rows, and a batch, in memory
 */
#include <stdio.h>

#include "sink/postgres_impl.h"

/* All columns of fields that the table has, each as a text that tg_row_take reads; they keep their
 * names, so that what rows are ordered by is told by its table. */
struct columns {
    int16_t field[TG_FIELD_COUNT];
    int n;
    struct tg_buf sql;
};

static bool take_column(void *ctx, const struct tg_str *value, int n)
{
    struct columns *c = ctx;
    int id = tg_field_find(value[0]);

    (void)n;
    if (id < 0)
        return true;
    tg_buf_printf(&c->sql,
                  tg_field((enum tg_field_id)id)->type == TG_FIELD_TIME
                      ? "%sextract(epoch FROM \"%s\")::bigint"
                      : "%s\"%s\"::text",
                  c->n ? ", " : "", tg_field((enum tg_field_id)id)->name);
    c->field[c->n++] = (int16_t)id;
    return c->n < TG_FIELD_COUNT;
}

struct reading {
    struct tg_table_read r;
    const struct columns *columns;
    tg_code code;
    struct tg_error *err;
    bool any;
};

static bool read_row(void *ctx, const struct tg_str *value, int n)
{
    struct reading *g = ctx;

    g->any = true;
    g->code = tg_table_next_row(&g->r, g->err);
    for (int i = 0; g->code == TG_OK && i < TG_MIN(n, g->columns->n); i++)
        if (value[i].at)
            g->code = tg_table_take_field(&g->r, g->columns->field[i], value[i], g->err);
    return g->code == TG_OK;
}

/* Through a cursor: no more than a piece of rows is in memory. */
static tg_code read_rows(struct sink_postgres *s, int64_t chat_id,
                         const struct tg_table_from *from, struct reading *g,
                         struct tg_error *err)
{
    struct columns c = { .n = 0 };
    tg_code code;

    tg_buf_init(&c.sql, PG_SQL_MAX);
    tg_buf_str(&c.sql, "DECLARE rows NO SCROLL CURSOR FOR SELECT ");
    code = tg_postgres_query(s->db,
                             "SELECT attname FROM pg_attribute WHERE attrelid = '@\"'::regclass"
                             " AND attnum > 0 AND NOT attisdropped",
                             NULL, 0, take_column, &c, err);
    tg_buf_printf(&c.sql,
                  " FROM @\" AS m WHERE (job_chat_id = %1$lld AND id > %2$lld) OR"
                  " (chat_id = %1$lld AND job_chat_id IS NULL AND id > %3$lld)"
                  " ORDER BY m.job_chat_id NULLS LAST, m.%4$s, m.id",
                  (long long)chat_id, (long long)from->old_id, (long long)from->id,
                  from->by_post ? "comment_of_id" : "owner");
    if (code == TG_OK)
        code = c.sql.failed ? tg_fail(err, TG_NOMEM, "no memory for a statement")
                            : tg_postgres_exec(s->db, tg_buf_cstr(&c.sql), err);
    g->columns = &c;
    g->any = true;
    while (code == TG_OK && g->code == TG_OK && g->any) {
        g->any = false;
        code = tg_postgres_query(s->db, "FETCH 500 FROM rows", NULL, 0, read_row, g, err);
    }
    tg_buf_done(&c.sql);
    return code == TG_OK ? g->code : code;
}

tg_code tg_pg_read(void *self, int64_t chat_id, const struct tg_cursor *behind,
                   struct tg_batch *batch, tg_sink_taken taken, void *ctx, struct tg_error *err)
{
    struct sink_postgres *s = self;
    struct reading g = { .r = { .batch = batch, .taken = taken, .ctx = ctx }, .err = err };
    struct tg_table_from from;
    struct tg_commit last;
    tg_code code = tg_pg_need(s, false, err);

    if (code == TG_NOT_FOUND)
        return tg_fail(err, code, "there is no table '%s' in %s", s->table,
                       tg_postgres_name(s->db));
    if (code == TG_OK)
        code = tg_postgres_exec(s->db, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", err);
    if (code != TG_OK)
        return code;
    code = tg_pg_last(s, chat_id, &last, err);
    from = tg_table_from(behind, &last);
    if (code == TG_OK)
        code = read_rows(s, chat_id, &from, &g, err);
    if (code == TG_OK)
        code = tg_table_rows_end(&g.r, err);
    if (code == TG_OK && from.old_id <= 0 && from.id <= 0)
        code = tg_table_scanned(&(struct tg_table_scan){ .rows = g.r.rows }, &last, chat_id,
                                s->table, err);
    code = tg_postgres_end(s->db, code, err);
    return code == TG_END ? TG_OK : code;
}

struct chat_hand {
    tg_chat_seen seen;
    void *ctx;
};

static bool hand_chat(void *ctx, const struct tg_str *value, int n)
{
    const struct chat_hand *hand = ctx;
    char job[256];

    (void)n;
    snprintf(job, sizeof job, "%.*s", (int)value[1].len, value[1].len ? value[1].at : "");
    return hand->seen(hand->ctx, tg_postgres_number(value[0]), job);
}

tg_code tg_pg_chats(void *self, tg_chat_seen seen, void *ctx, struct tg_error *err)
{
    struct sink_postgres *s = self;
    struct chat_hand hand = { seen, ctx };
    tg_code code = tg_pg_need(s, false, err);

    if (code == TG_NOT_FOUND)
        return TG_OK;
    return code != TG_OK ? code
                         : tg_postgres_query(s->db,
                                 "SELECT chat_id, job FROM @_chats\" WHERE chat_id IN"
                                 " (SELECT chat_id FROM @_commits\") ORDER BY chat_id",
                                 NULL, 0, hand_chat, &hand, err);
}

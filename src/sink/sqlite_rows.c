/* SPDX-License-Identifier: MIT */
/*
 * sqlite_rows.c - rows into a table of SQLite, and back; see sqlite.c
 *
 * The state store may be in the same file, so that a dead letter cannot be written while the
 * transaction of a commit is open. Rows that the table refuses are found first, the transaction is
 * taken back, they are handed over, and it is made again without them.
 *
 * Threads: one at a time
 */
#include <stdlib.h>

#include "sink/sqlite_impl.h"

enum { COLUMNS = 256, REFUSED_AT_ONCE = 64 };
enum sqlite_mark { ROW_UNTRIED, ROW_REFUSED, ROW_HANDED_OVER };

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

static void bind_row(sqlite3_stmt *stmt, const struct tg_row *row, const struct tg_commit *commit)
{
    sqlite3_clear_bindings(stmt);
    for (uint64_t left = row->present | TG_TABLE_ALWAYS; left; left &= left - 1)
        bind_field(stmt, (enum tg_field_id)__builtin_ctzll(left), row);
    if (row->chat_id != commit->cursor.chat_id)
        sqlite3_bind_int64(stmt, TG_FIELD_COUNT + 1, commit->cursor.chat_id);
    sqlite3_bind_int64(stmt, TG_FIELD_COUNT + 2, (int64_t)commit->seq);
}

struct put {
    struct sink_sqlite *s;
    struct tg_held_chat *chat;
    sqlite3_stmt *stmt;
    const struct tg_commit *commit;
    uint64_t at; /* of the next row */
};

static tg_code note_refused(const struct put *p, uint64_t at, struct tg_error *err)
{
    struct sqlite_refusals *r = &p->s->refused;

    if (!r->mark) {
        r->mark = calloc((size_t)p->chat->rows.n, 1);
        r->why = calloc(REFUSED_AT_ONCE, sizeof *r->why);
    }
    if (!r->mark || !r->why)
        return tg_fail(err, TG_NOMEM, "no memory for rows that are refused");
    r->mark[at] = ROW_REFUSED;
    r->why[r->n++] = *err;
    return r->n < REFUSED_AT_ONCE ? TG_OK : TG_AGAIN;
}

/* A row that the table refuses leaves nothing behind: only its own statement is undone. */
static tg_code put_row(void *ctx, const struct tg_row *row, struct tg_error *err)
{
    struct put *p = ctx;
    const uint8_t *mark = p->s->refused.mark;
    uint64_t at = p->at++;
    tg_code code;

    if (mark && mark[at] != ROW_UNTRIED)
        return TG_OK;
    bind_row(p->stmt, row, p->commit);
    code = tg_sqlite_sink_told(tg_sqlite_run(&p->s->db, p->stmt, "write a row", err), err);
    if (code != TG_DATA || sqlite3_get_autocommit(p->s->db.db))
        return code; /* a trigger may have ended the transaction */
    return note_refused(p, at, err);
}

tg_code tg_sqlite_sink_put(void *self, struct tg_held_chat *chat, const struct tg_commit *commit,
                           struct tg_error *err)
{
    struct put put = { .s = self, .chat = chat, .commit = commit };
    tg_code code = tg_sqlite_stmt(&put.s->db, SQLITE_ROW_PUT, &put.stmt, err);

    if (code != TG_OK)
        return tg_sqlite_sink_told(code, err);
    code = tg_staged_each(&chat->rows, put_row, &put, err);
    return code == TG_OK && put.s->refused.n ? TG_AGAIN : code;
}

struct handing {
    struct sink_sqlite *s;
    struct tg_held_chat *chat;
    uint64_t at;
    size_t n;
};

static tg_code hand_row(void *ctx, const struct tg_row *row, struct tg_error *err)
{
    struct handing *h = ctx;
    const struct sqlite_refusals *r = &h->s->refused;
    uint64_t at = h->at++;

    if (r->mark[at] != ROW_REFUSED)
        return TG_OK;
    r->mark[at] = ROW_HANDED_OVER;
    return tg_held_refuse(h->chat, h->s->t.env, row, &r->why[h->n++], err);
}

tg_code tg_sqlite_sink_commit(void *self, const struct tg_commit *commit, struct tg_error *err)
{
    struct sink_sqlite *s = self;
    struct tg_held_chat *chat;
    bool ours;
    tg_code code = tg_held_begin_commit(&s->t.held, commit, &chat, err);

    if (code != TG_OK)
        return code;
    do {
        code = tg_table_put(&s->t, chat, commit, &ours, err);
        if (code == TG_AGAIN) {
            struct handing handing = { .s = s, .chat = chat };

            code = tg_staged_each(&chat->rows, hand_row, &handing, err);
            s->refused.n = 0;
            if (code == TG_OK)
                code = TG_AGAIN;
        }
    } while (code == TG_AGAIN);
    free(s->refused.mark);
    free(s->refused.why);
    s->refused = (struct sqlite_refusals){ 0 };
    return tg_held_end_commit(&s->t.held, chat, commit, code);
}

/* ---- back ---- */

static tg_code take_row(struct tg_table_reading *r, sqlite3_stmt *stmt, const int16_t *field,
                        int n, struct tg_error *err)
{
    tg_code code = tg_table_next_row(r, err);

    for (int i = 0; code == TG_OK && i < n; i++) {
        struct tg_str text;

        if (field[i] < 0 || sqlite3_column_type(stmt, i) == SQLITE_NULL)
            continue;
        text.at = (const char *)sqlite3_column_text(stmt, i);
        text.len = (uint32_t)sqlite3_column_bytes(stmt, i);
        if (!text.at)
            return tg_fail(err, TG_NOMEM, "no memory for a row");
        if (tg_field((enum tg_field_id)field[i])->type == TG_FIELD_BOOL)
            text = sqlite3_column_int(stmt, i) ? TG_STR("true") : TG_STR("false");
        code = tg_table_take_field(r, field[i], text, err);
    }
    return code;
}

static tg_code take_rows(struct sink_sqlite *s, sqlite3_stmt *stmt, struct tg_table_reading *r,
                         struct tg_error *err)
{
    int n = TG_MIN(sqlite3_column_count(stmt), COLUMNS), status;
    int16_t field[COLUMNS];
    tg_code code = TG_OK;

    for (int i = 0; i < n; i++)
        field[i] = (int16_t)tg_field_find(tg_str_of(sqlite3_column_name(stmt, i)));
    while (code == TG_OK && (status = sqlite3_step(stmt)) != SQLITE_DONE)
        code = status == SQLITE_ROW
                   ? take_row(r, stmt, field, n, err)
                   : tg_sqlite_sink_told(tg_sqlite_fail(&s->db, "read the rows", err), err);
    return code == TG_END ? TG_OK : code;
}

tg_code tg_sqlite_sink_read(void *self, const char *of, const struct tg_sql_value *value, size_t n,
                            struct tg_table_reading *r, struct tg_error *err)
{
    struct sink_sqlite *s = self;
    sqlite3_stmt *stmt = NULL;
    struct tg_buf sql;
    tg_code code;

    tg_buf_init(&sql, 4096);
    tg_sql_put(&sql, "SELECT *", s->t.table);
    tg_sql_put(&sql, of, s->t.table);
    if (sql.failed) {
        code = tg_fail(err, TG_NOMEM, "no memory for a statement");
    } else if (sqlite3_prepare_v2(s->db.db, tg_buf_cstr(&sql), -1, &stmt, NULL) != SQLITE_OK) {
        code = tg_sqlite_sink_told(tg_sqlite_fail(&s->db, "read the rows", err), err);
    } else {
        tg_sqlite_sink_bind(stmt, value, n);
        code = take_rows(s, stmt, r, err);
    }
    sqlite3_finalize(stmt);
    tg_buf_done(&sql);
    return code;
}

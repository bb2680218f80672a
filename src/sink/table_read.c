/* SPDX-License-Identifier: MIT */
/*
 * table_read.c - destinations that are tables: what they hold; see table_sink.h
 */
#include <stdio.h>

#include "sink/table_sink.h"

/* ---- commits and chats ---- */

static struct tg_commit commit_of(const struct tg_sql_value *v)
{
    int64_t number[TG_HELD_COMMIT_N];

    for (size_t i = 0; i < TG_HELD_COMMIT_N; i++)
        number[i] = v[i].number;
    return tg_held_commit(number);
}

static tg_code take_commit(void *ctx, const struct tg_sql_value *v, struct tg_error *err)
{
    (void)err;
    *(struct tg_commit *)ctx = commit_of(v);
    return TG_END;
}

tg_code tg_table_ask_last(struct tg_table_sink *s, int64_t chat_id, struct tg_commit *ret,
                          struct tg_error *err)
{
    *ret = (struct tg_commit){ 0 };
    return s->ops->ask(s, TG_TABLE_LAST, &(struct tg_sql_value){ .number = chat_id }, 1,
                       take_commit, ret, err);
}

tg_code tg_table_last(void *self, int64_t chat_id, struct tg_commit *ret, struct tg_error *err)
{
    struct tg_table_sink *s = self;
    struct tg_commit last = { 0 };
    tg_code code = s->ops->need(s, false, err);

    if (code == TG_OK)
        code = tg_table_ask_last(s, chat_id, &last, err);
    if (code != TG_OK && code != TG_NOT_FOUND)
        return code;
    if (!last.seq)
        return TG_END;
    *ret = last;
    return TG_OK;
}

struct hand {
    tg_commit_seen commit;
    tg_chat_seen chat;
    void *ctx;
};

static tg_code give_commit(void *ctx, const struct tg_sql_value *v, struct tg_error *err)
{
    const struct hand *hand = ctx;
    struct tg_commit commit = commit_of(v);

    (void)err;
    return hand->commit(hand->ctx, &commit) ? TG_OK : TG_END;
}

static tg_code give_chat(void *ctx, const struct tg_sql_value *v, struct tg_error *err)
{
    const struct hand *hand = ctx;
    char job[256];

    (void)err;
    snprintf(job, sizeof job, "%.*s", (int)TG_MIN(v[1].text.len, 255U),
             v[1].text.len ? v[1].text.at : "");
    return hand->chat(hand->ctx, v[0].number, job) ? TG_OK : TG_END;
}

/* A statement alone, of what may not be there yet. */
static tg_code give_all(struct tg_table_sink *s, enum tg_table_statement statement,
                        int64_t chat_id, size_t n, tg_sql_row give, struct hand *hand,
                        struct tg_error *err)
{
    tg_code code = s->ops->need(s, false, err);

    if (code == TG_OK)
        code = s->ops->ask(s, statement, &(struct tg_sql_value){ .number = chat_id }, n, give,
                           hand, err);
    return code == TG_NOT_FOUND ? TG_OK : code;
}

tg_code tg_table_commits(void *self, int64_t chat_id, tg_commit_seen seen, void *ctx,
                         struct tg_error *err)
{
    return give_all(self, TG_TABLE_COMMITS, chat_id, 1, give_commit,
                    &(struct hand){ .commit = seen, .ctx = ctx }, err);
}

tg_code tg_table_chats(void *self, tg_chat_seen seen, void *ctx, struct tg_error *err)
{
    return give_all(self, TG_TABLE_CHATS, 0, 0, give_chat,
                    &(struct hand){ .chat = seen, .ctx = ctx }, err);
}

/* ---- rows, counted ---- */

struct scan {
    tg_sink_seen seen;
    void *ctx;
    uint64_t rows;
    bool stopped;
};

static tg_code scan_row(void *ctx, const struct tg_sql_value *v, struct tg_error *err)
{
    struct scan *scan = ctx;

    (void)err;
    scan->rows++;
    scan->stopped = !scan->seen(scan->ctx, v[0].number, v[1].number);
    return scan->stopped ? TG_END : TG_OK;
}

/* @return TG_CORRUPT if it is another number of rows than the last commit tells; of changes the
 *  commits tell how many there are at most, and that there is one */
static tg_code check_rows(const struct tg_table_sink *s, uint64_t rows,
                          const struct tg_commit *last, int64_t chat_id, struct tg_error *err)
{
    uint64_t told = last->rows_total - last->refused;

    if (rows == told || (chat_id == TG_CHAT_CHANGES && rows && rows < told))
        return TG_OK;
    return tg_fail(err, TG_CORRUPT, "table '%s' has %llu rows of chat %lld, its commits tell %llu",
                   s->table, (unsigned long long)rows, (long long)chat_id,
                   (unsigned long long)told);
}

static tg_code scan_chat(struct tg_table_sink *s, int64_t chat_id, struct scan *scan,
                         struct tg_error *err)
{
    const struct tg_sql_value chat = { .number = chat_id };
    struct tg_commit last;
    bool changes = chat_id == TG_CHAT_CHANGES;
    tg_code code = tg_table_ask_last(s, chat_id, &last, err);

    if (code == TG_OK)
        code = s->ops->ask(s, changes ? TG_TABLE_SCAN_CHANGES : TG_TABLE_SCAN_OLD, &chat, 1,
                           scan_row, scan, err);
    if (code == TG_OK && !scan->stopped && !changes)
        code = s->ops->ask(s, TG_TABLE_SCAN, &chat, 1, scan_row, scan, err);
    return code == TG_OK && !scan->stopped ? check_rows(s, scan->rows, &last, chat_id, err) : code;
}

tg_code tg_table_scan(void *self, int64_t chat_id, tg_sink_seen seen, void *ctx,
                      struct tg_error *err)
{
    struct tg_table_sink *s = self;
    struct scan scan = { .seen = seen, .ctx = ctx };
    tg_code code = s->ops->need(s, false, err);

    if (code == TG_NOT_FOUND)
        return TG_OK;
    if (code == TG_OK)
        code = s->ops->begin(s, false, err);
    if (code != TG_OK)
        return code;
    return s->ops->end(s, scan_chat(s, chat_id, &scan, err), err);
}

/* ---- rows, read back ---- */

tg_code tg_table_next_row(struct tg_table_reading *r, struct tg_error *err)
{
    tg_code code = tg_held_room(&r->back, err);

    r->ended = code == TG_END;
    if (code != TG_OK)
        return code;
    r->row = tg_batch_row(r->back.batch);
    r->rows++;
    return TG_OK;
}

tg_code tg_table_take_field(struct tg_table_reading *r, int field, struct tg_str text,
                            struct tg_error *err)
{
    tg_code code;

    if (tg_field((enum tg_field_id)field)->type == TG_FIELD_BOOL &&
        tg_str_eq(text, TG_STR("false")))
        return TG_OK; /* as one that is absent was written: TG_TABLE_ALWAYS */
    code = tg_row_take(r->back.batch, r->row, (enum tg_field_id)field, text);
    if (code == TG_NOMEM)
        return tg_fail(err, code, "no memory for a row");
    if (code != TG_OK)
        return tg_fail(err, TG_CORRUPT, "column '%s' of row %llu is '%.*s'",
                       tg_field((enum tg_field_id)field)->name, (unsigned long long)r->rows,
                       (int)TG_MIN(text.len, 60u), text.len ? text.at : "");
    return TG_OK;
}

/* Rows of a chat behind an id: of the group that it was before; its own; comments; changes. The
 * columns that are selected may have these names too. */
#define OLD_ROWS " FROM \"@\" AS m WHERE m.job_chat_id = $1 AND m.id > $2 ORDER BY m.id"
#define BEHIND " FROM \"@\" AS m WHERE m.chat_id = $1 AND m.job_chat_id IS NULL AND m.id > $2"
#define ROWS BEHIND " ORDER BY m.owner, m.id"
#define ROWS_BY_POST BEHIND " ORDER BY m.comment_of_id, m.id"
#define CHANGES                                                                                    \
    " FROM \"@\" AS m WHERE m.job_chat_id = $1 AND m.change_seq > $2 ORDER BY m.change_seq"

static tg_code read_rows(struct tg_table_sink *s, const char *of, int64_t chat_id, int64_t behind,
                         struct tg_table_reading *r, struct tg_error *err)
{
    const struct tg_sql_value value[] = { { .number = chat_id }, { .number = behind } };

    return r->ended ? TG_OK : s->ops->read_rows(s, of, value, TG_COUNT(value), r, err);
}

static tg_code read_changes(struct tg_table_sink *s, int64_t behind, struct tg_table_reading *r,
                            struct tg_error *err)
{
    struct tg_commit last;
    tg_code code = tg_table_ask_last(s, TG_CHAT_CHANGES, &last, err);

    if (code == TG_OK)
        code = read_rows(s, CHANGES, TG_CHAT_CHANGES, behind, r, err);
    if (code == TG_OK && !r->ended)
        code = tg_held_give(&r->back, err);
    if (code == TG_OK && !r->ended && behind <= 0)
        code = check_rows(s, r->rows, &last, TG_CHAT_CHANGES, err);
    return code;
}

static tg_code read_chat(struct tg_table_sink *s, int64_t chat_id, const struct tg_cursor *behind,
                         struct tg_table_reading *r, struct tg_error *err)
{
    int64_t old = behind->segment ? INT64_MAX : behind->id, own = 0;
    struct tg_commit last;
    bool by_post;
    tg_code code = tg_table_ask_last(s, chat_id, &last, err);

    by_post = last.cursor.segment == TG_SEGMENT_THREADS; /* no id of a comment tells its place */
    if (by_post)
        old = 0;
    else if (behind->segment == last.cursor.segment)
        own = behind->id;
    if (code == TG_OK)
        code = read_rows(s, OLD_ROWS, chat_id, old, r, err);
    if (code == TG_OK)
        code = read_rows(s, by_post ? ROWS_BY_POST : ROWS, chat_id, own, r, err);
    if (code != TG_OK || r->ended)
        return code;
    code = tg_held_give(&r->back, err);
    if (code == TG_OK && old <= 0 && own <= 0)
        code = check_rows(s, r->rows, &last, chat_id, err);
    return code;
}

tg_code tg_table_read(void *self, int64_t chat_id, const struct tg_cursor *behind,
                      struct tg_batch *batch, tg_sink_taken taken, void *ctx,
                      struct tg_error *err)
{
    struct tg_table_sink *s = self;
    struct tg_table_reading r = { .back = { batch, taken, ctx } };
    tg_code code = s->ops->need(s, false, err);

    if (code == TG_OK)
        code = s->ops->begin(s, false, err); /* all of one moment */
    if (code != TG_OK)
        return code;
    code = chat_id == TG_CHAT_CHANGES ? read_changes(s, behind->id, &r, err)
                                      : read_chat(s, chat_id, behind, &r, err);
    code = s->ops->end(s, code, err);
    return code == TG_END ? TG_OK : code;
}

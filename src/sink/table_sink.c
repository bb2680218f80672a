/* SPDX-License-Identifier: MIT */
/*
 * table_sink.c - destinations that are tables: chats, commits, going back; see table_sink.h
 *
 *   attach    chat's line: who writes? --> may it be taken up? --> own fence there; last commit
 *   write     rows wait
 *   commit    chat's line: still the writer? --> rows --> record of the commit
 *   again     as attach, but rows go on waiting
 *   rollback  attach; still the writer? --> rows and records behind it away
 *
 * Each is one transaction, rollback two.
 */
#include "sink/table_sink.h"

#include <stdio.h>

const char *const tg_table_sql[TG_TABLE_STATEMENTS] = {
    [TG_TABLE_WRITER] = "SELECT job, token, nonce FROM \"@_chats\" WHERE chat_id = $1",
    [TG_TABLE_TAKE_OVER] =
        "INSERT INTO \"@_chats\"(chat_id, job, token, nonce) VALUES($1, $2, $3, $4)"
        " ON CONFLICT(chat_id) DO UPDATE SET token = $3, nonce = $4",
    [TG_TABLE_LAST] = "SELECT " TG_HELD_COMMIT " FROM \"@_commits\" WHERE chat_id = $1"
                      " ORDER BY seq DESC LIMIT 1",
    [TG_TABLE_COMMITS] =
        "SELECT " TG_HELD_COMMIT " FROM \"@_commits\" WHERE chat_id = $1 ORDER BY seq",
    [TG_TABLE_PUT_COMMIT] =
        "INSERT INTO \"@_commits\"(" TG_HELD_COMMIT ")"
        " VALUES($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)",
    [TG_TABLE_CUT_ROWS] = "DELETE FROM \"@\" WHERE (job_chat_id = $1 OR"
                          " (chat_id = $1 AND job_chat_id IS NULL)) AND job_commit > $2",
    [TG_TABLE_CUT_COMMITS] = "DELETE FROM \"@_commits\" WHERE chat_id = $1 AND seq > $2",
    [TG_TABLE_CHATS] = "SELECT chat_id, job FROM \"@_chats\" WHERE chat_id IN"
                       " (SELECT chat_id FROM \"@_commits\") ORDER BY chat_id",
    [TG_TABLE_SCAN_OLD] = "SELECT chat_id, id FROM \"@\" WHERE job_chat_id = $1 ORDER BY id",
    [TG_TABLE_SCAN] = "SELECT chat_id, id FROM \"@\" WHERE chat_id = $1 AND job_chat_id IS NULL"
                      " ORDER BY owner, id",
    [TG_TABLE_SCAN_CHANGES] =
        "SELECT chat_id, id FROM \"@\" WHERE job_chat_id = $1 ORDER BY change_seq",
};

tg_code tg_table_init(struct tg_table_sink *s, const struct tg_table_ops *ops,
                      const struct tg_sink_env *env, struct tg_error *err)
{
    tg_code code = tg_sql_check_name("a table", s->table, err);

    s->ops = ops;
    s->env = env;
    tg_held_init(&s->held);
    if (code != TG_OK || !env->series)
        return code;
    snprintf(s->other, sizeof s->other, "%s_%s", s->table, env->series);
    s->table = s->other;
    return tg_sql_check_name("a table", s->table, err);
}

void tg_table_done(struct tg_table_sink *s)
{
    tg_held_done(&s->held);
}

static tg_code take_writer(void *ctx, const struct tg_sql_value *v, struct tg_error *err)
{
    struct tg_held_writer *w = ctx;

    (void)err;
    snprintf(w->job, sizeof w->job, "%.*s", (int)TG_MIN(v[0].text.len, 255U),
             v[0].text.len ? v[0].text.at : "?");
    w->fence = (struct tg_fence){ (uint64_t)v[1].number, (uint32_t)v[2].number };
    return TG_END;
}

static tg_code ask_writer(struct tg_table_sink *s, int64_t chat_id, struct tg_held_writer *ret,
                          struct tg_error *err)
{
    *ret = (struct tg_held_writer){ .job = "" };
    return s->ops->ask(s, TG_TABLE_WRITER, &(struct tg_sql_value){ .number = chat_id }, 1,
                       take_writer, ret, err);
}

static tg_code still(struct tg_table_sink *s, const struct tg_held_chat *chat,
                     struct tg_error *err)
{
    struct tg_held_writer there;
    tg_code code = ask_writer(s, chat->id, &there, err);

    return code == TG_OK ? tg_held_still(chat, &there, err) : code;
}

static tg_code take_over(struct tg_table_sink *s, const struct tg_held_chat *chat,
                         const struct tg_fence *fence, struct tg_commit *ret_last,
                         struct tg_error *err)
{
    const struct tg_sql_value value[] = { { .number = chat->id },
                                          { .text = tg_str_of(s->env->job) },
                                          { .number = (int64_t)fence->token },
                                          { .number = fence->nonce } };
    struct tg_held_writer there;
    tg_code code = ask_writer(s, chat->id, &there, err);

    if (code == TG_OK)
        code = tg_held_may_take(chat, s->env->job, &there, fence, s->where, s->ops->another, err);
    if (code == TG_OK)
        code = s->ops->ask(s, TG_TABLE_TAKE_OVER, value, TG_COUNT(value), NULL, NULL, err);
    return code == TG_OK ? tg_table_ask_last(s, chat->id, ret_last, err) : code;
}

/* Of what waits for a commit, nothing is kept unless `hold`. */
static tg_code attach(struct tg_table_sink *s, int64_t chat_id, const struct tg_fence *fence,
                      bool hold, struct tg_held_chat **ret, struct tg_error *err)
{
    struct tg_commit last;
    tg_code code = tg_held_take(&s->held, chat_id, ret, err);

    if (code != TG_OK)
        return code;
    if (hold)
        tg_held_leave(*ret);
    else
        tg_held_forget(*ret);
    code = s->ops->need(s, true, err);
    if (code == TG_OK)
        code = s->ops->begin(s, true, err);
    if (code != TG_OK)
        return code;
    code = s->ops->end(s, take_over(s, *ret, fence, &last, err), err);
    if (code == TG_OK)
        tg_held_attached(*ret, fence, &last);
    return code;
}

tg_code tg_table_attach(void *self, int64_t chat_id, const struct tg_fence *fence,
                        struct tg_commit *ret, struct tg_error *err)
{
    struct tg_held_chat *chat;
    tg_code code = attach(self, chat_id, fence, false, &chat, err);

    return tg_held_stands(chat, code, ret);
}

tg_code tg_table_again(void *self, int64_t chat_id, const struct tg_fence *fence,
                       struct tg_commit *ret, struct tg_error *err)
{
    struct tg_held_chat *chat;
    tg_code code = attach(self, chat_id, fence, true, &chat, err);

    return tg_held_stands(chat, code, ret);
}

/* ---- writing ---- */

tg_code tg_table_write(void *self, const struct tg_batch *batch, size_t from, size_t n,
                       struct tg_error *err)
{
    struct tg_table_sink *s = self;

    return tg_held_write(&s->held, batch, from, n, err);
}

static tg_code put_commit(struct tg_table_sink *s, const struct tg_commit *c,
                          struct tg_error *err)
{
    struct tg_sql_value value[TG_HELD_COMMIT_N] = { 0 };
    int64_t v[TG_HELD_COMMIT_N];

    tg_held_numbers(c, v);
    for (size_t i = 0; i < TG_HELD_COMMIT_N; i++)
        value[i].number = v[i];
    return s->ops->ask(s, TG_TABLE_PUT_COMMIT, value, TG_HELD_COMMIT_N, NULL, NULL, err);
}

tg_code tg_table_put(struct tg_table_sink *s, struct tg_held_chat *chat,
                     const struct tg_commit *commit, bool *ret_ours, struct tg_error *err)
{
    struct tg_commit record;
    tg_code code = s->ops->begin(s, true, err);

    *ret_ours = false;
    if (code != TG_OK)
        return code;
    code = still(s, chat, err);
    *ret_ours = code == TG_OK;
    if (code == TG_OK && chat->rows.n)
        code = s->ops->put_rows(s, chat, commit, err);
    record = tg_held_recorded(chat, commit);
    if (code == TG_OK)
        code = put_commit(s, &record, err);
    return s->ops->end(s, code, err);
}

tg_code tg_table_commit(void *self, const struct tg_commit *commit, struct tg_error *err)
{
    struct tg_table_sink *s = self;
    struct tg_held_chat *chat;
    bool ours;
    tg_code code = tg_held_begin_commit(&s->held, commit, &chat, err);

    if (code != TG_OK)
        return code;
    code = tg_table_put(s, chat, commit, &ours, err);
    return tg_held_end_commit(&s->held, chat, commit, code);
}

static tg_code merged(const struct tg_table_sink *s, struct tg_error *err)
{
    tg_fail(err, TG_USAGE, "table '%s' has each message as its last change left it: what it was "
            "before is not there to go back to", s->table);
    return tg_hint(err, "--number 0 deletes all rows of the job, to begin anew");
}

tg_code tg_table_rollback(void *self, int64_t chat_id, const struct tg_fence *fence, uint64_t seq,
                          struct tg_error *err)
{
    const struct tg_sql_value value[] = { { .number = chat_id }, { .number = (int64_t)seq } };
    struct tg_table_sink *s = self;
    struct tg_held_chat *chat;
    tg_code code = attach(s, chat_id, fence, false, &chat, err);

    if (code != TG_OK)
        return code;
    tg_held_leave(chat);
    if (chat_id == TG_CHAT_CHANGES && seq && seq < chat->last.seq)
        return merged(s, err);
    code = s->ops->begin(s, true, err);
    if (code != TG_OK)
        return code;
    code = still(s, chat, err);
    if (code == TG_OK)
        code = s->ops->ask(s, TG_TABLE_CUT_ROWS, value, TG_COUNT(value), NULL, NULL, err);
    if (code == TG_OK)
        code = s->ops->ask(s, TG_TABLE_CUT_COMMITS, value, TG_COUNT(value), NULL, NULL, err);
    return s->ops->end(s, code, err);
}

uint64_t tg_table_bytes(const void *self)
{
    return ((const struct tg_table_sink *)self)->held.bytes;
}

/* ---- columns and names ---- */

bool tg_table_is_key(int field)
{
    return field == TG_F_chat_id || field == TG_F_owner || field == TG_F_id;
}

void tg_table_create(struct tg_buf *sql, const char *integer,
                     const char *(*type)(enum tg_field_type type), const char *more)
{
    tg_buf_str(sql, "CREATE TABLE \"@\"(");
    for (int i = 0; i < TG_FIELD_COUNT; i++) {
        const struct tg_field *f = tg_field((enum tg_field_id)i);

        tg_buf_printf(sql, "\"%s\" %s%s, ", f->name, tg_table_is_key(i) ? integer : type(f->type),
                      tg_table_is_key(i) ? " NOT NULL" : "");
    }
    tg_buf_printf(sql,
                  "%2$sjob_chat_id %1$s, job_commit %1$s NOT NULL,"
                  " PRIMARY KEY(chat_id, owner, id));"
                  "CREATE TABLE \"@_chats\"(chat_id %1$s PRIMARY KEY, job TEXT NOT NULL,"
                  " token %1$s NOT NULL, nonce %1$s NOT NULL);"
                  "CREATE TABLE \"@_commits\"(",
                  integer, more);
    for (const char *at = TG_HELD_COMMIT; *at;) {
        size_t n = strcspn(at, ",");

        tg_buf_printf(sql, "%.*s %s NOT NULL, ", (int)n, at, integer);
        at += n + strspn(at + n, ", ");
    }
    tg_buf_str(sql, "PRIMARY KEY(chat_id, seq));");
}

tg_code tg_table_none(const struct tg_table_sink *s, struct tg_error *err)
{
    return tg_fail(err, TG_NOT_FOUND, "there is no table '%s' in %.200s", s->table, s->where);
}

tg_code tg_table_theirs(const struct tg_table_sink *s, struct tg_error *err)
{
    tg_fail(err, TG_IO, "table '%s' of '%.200s' is another program's", s->table, s->where);
    return tg_hint(err, "name another: %s", s->ops->another);
}

tg_code tg_table_lacks_key(const struct tg_table_sink *s, int field, struct tg_error *err)
{
    tg_fail(err, TG_IO, "table '%s' of '%.200s' has no column '%s', which rows are known by",
            s->table, s->where, tg_field((enum tg_field_id)field)->name);
    return tg_hint(err, "put it back, or name another table: %s", s->ops->another);
}

tg_code tg_table_take_column(void *ctx, const struct tg_sql_value *v, struct tg_error *err)
{
    struct tg_table_columns *c = ctx;
    int id = tg_field_find(v[0].text);
    const char *type = id < 0 ? NULL : c->type(tg_field((enum tg_field_id)id)->type);

    if (!type)
        return TG_OK;
    c->there |= UINT64_C(1) << id;
    if (tg_str_eq(v[1].text, tg_str_of(type)))
        return TG_OK;
    tg_fail(err, TG_IO, "column '%s' of table '%s' is %.*s, not %s",
            tg_field((enum tg_field_id)id)->name, c->s->table, (int)TG_MIN(v[1].text.len, 80U),
            v[1].text.at, type);
    return tg_hint(err, "change it back, or name another table: %s", c->s->ops->another);
}

tg_code tg_table_path(const char *path, const char *driver, struct tg_error *err)
{
    if (*path && strncmp(path, "//", 2) != 0)
        return TG_OK;
    if (*path)
        tg_fail(err, TG_USAGE, "'%.200s' is no path of a file", path);
    else
        tg_fail(err, TG_USAGE, "no file is named for the output");
    return tg_hint(err, *path ? "write it without '//': %s:FILE" : "write it as %s:FILE", driver);
}

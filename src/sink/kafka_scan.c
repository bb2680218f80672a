/* SPDX-License-Identifier: MIT */
/*
 * kafka_scan.c - what a topic holds of a chat, read back; see kafka_impl.h
 *
 * A chat's rows stand in one partition, between those of other chats. The last row of a commit
 * tells its record. A rollback leaves the rows where they are and tells that they do not count, so
 * the partition is read twice: for the commits that count, then for their rows.
 */
#include <stdlib.h>

#include "sink/kafka_impl.h"

enum { KEY, COMMIT, CURSOR, ROLLBACK };
static const char *const headers[] = { "tgdata.key", "tgdata.commit", "tgdata.cursor",
                                       "tgdata.rollback", NULL };

struct reading {
    int64_t chat_id;
    struct kafka_commits *commits;
    int64_t first; /* offset of the commit in hand; -1: none yet */
    /* of the second pass */
    size_t at;     /* commit that the next row can belong to */
    uint64_t rows; /* that count, so far */
    tg_code (*row)(struct reading *r, const struct tg_kafka_message *m, struct tg_error *err);
    tg_sink_seen seen; /* for scan */
    void *ctx;
    struct tg_held_back back; /* for read */
    int64_t format;           /* of the messages */
};

static struct reading reading_of(int64_t chat_id, struct kafka_commits *commits)
{
    return (struct reading){ .chat_id = chat_id, .commits = commits, .first = -1 };
}

static bool is_of(const struct reading *r, const struct tg_kafka_message *m)
{
    int64_t chat_id;

    return tg_kafka_chat_take(m->key, &chat_id) && chat_id == r->chat_id &&
           (m->header[COMMIT].value.at || m->header[ROLLBACK].value.at);
}

static tg_code add(struct kafka_commits *c, const struct kafka_commit *commit,
                   struct tg_error *err)
{
    if (c->n == c->cap) {
        size_t cap = c->cap ? 2 * c->cap : 64;
        struct kafka_commit *more = reallocarray(c->at, cap, sizeof *more);

        if (!more)
            return tg_fail(err, TG_NOMEM, "no memory for the commits of a chat");
        c->at = more;
        c->cap = cap;
    }
    c->at[c->n++] = *commit;
    return TG_OK;
}

static tg_code on_commit(void *ctx, const struct tg_kafka_message *m, struct tg_error *err)
{
    struct tg_str text = m->header[CURSOR].value;
    struct reading *r = ctx;
    struct kafka_commits *c = r->commits;
    struct kafka_cursor cursor;
    struct kafka_commit commit;

    if (!is_of(r, m))
        return TG_OK;
    if (!m->header[ROLLBACK].value.at && r->first < 0)
        r->first = m->offset;
    if (!text.at)
        return TG_OK;
    if (!tg_kafka_cursor_take(text.at, text.len, r->chat_id, &cursor))
        return tg_fail(err, TG_CORRUPT, "message %lld of partition %d has a cursor that cannot be",
                       (long long)m->offset, (int)m->partition);
    if (m->header[ROLLBACK].value.at) {
        while (c->n && c->at[c->n - 1].commit.seq > cursor.last.seq)
            c->n--;
        return TG_OK;
    }
    commit = (struct kafka_commit){ cursor.last, r->first, m->offset };
    r->first = -1;
    return add(c, &commit, err);
}

tg_code tg_kafka_commits(struct sink_kafka *s, int64_t chat_id, int32_t partition,
                         struct kafka_commits *ret, struct tg_error *err)
{
    struct reading r = reading_of(chat_id, ret);
    tg_code code;

    *ret = (struct kafka_commits){ .at = NULL };
    code = tg_kafka_read(s->client, partition, TG_KAFKA_WAIT, headers, on_commit, &r,
                         &ret->kept_from, err);
    if (code != TG_OK)
        tg_kafka_commits_done(ret);
    return code;
}

void tg_kafka_commits_done(struct kafka_commits *commits)
{
    free(commits->at);
    *commits = (struct kafka_commits){ .at = NULL };
}

static tg_code on_row(void *ctx, const struct tg_kafka_message *m, struct tg_error *err)
{
    struct reading *r = ctx;
    const struct kafka_commits *c = r->commits;

    if (!is_of(r, m) || !m->header[KEY].value.at)
        return TG_OK;
    while (r->at < c->n && c->at[r->at].last < m->offset)
        r->at++;
    if (r->at == c->n || m->offset < c->at[r->at].first)
        return TG_OK; /* taken back */
    r->rows++;
    return r->row(r, m, err);
}

static tg_code counted(const struct sink_kafka *s, const struct reading *r,
                       const struct tg_commit *last, struct tg_error *err)
{
    uint64_t told = last->rows_total - last->refused;

    if (r->rows == told)
        return TG_OK;
    if (r->rows < told && r->commits->kept_from > 0) {
        tg_fail(err, TG_GAP, "%.200s keeps %llu of the %llu rows of chat %lld: older ones were "
                "deleted there", tg_kafka_name(s->client), (unsigned long long)r->rows,
                (unsigned long long)told, (long long)r->chat_id);
        return tg_hint(err, "retention.ms and retention.bytes of the topic tell how long it keeps");
    }
    return tg_fail(err, TG_CORRUPT, "%.200s has %llu rows of chat %lld, its commits tell %llu",
                   tg_kafka_name(s->client), (unsigned long long)r->rows, (long long)r->chat_id,
                   (unsigned long long)told);
}

/* Hands over all rows that count. @return TG_END if it was stopped */
static tg_code read_rows(struct sink_kafka *s, struct reading *r, struct tg_error *err)
{
    struct kafka_commits commits;
    struct kafka_cursor cursor;
    tg_code code = tg_kafka_look(s->client, err);

    if (code == TG_OK)
        code = tg_kafka_sink_cursor(s, r->chat_id, TG_KAFKA_WAIT, &cursor, err);
    if (code != TG_OK)
        return code == TG_END ? TG_OK : code;
    code = tg_kafka_commits(s, r->chat_id, cursor.partition, &commits, err);
    if (code != TG_OK)
        return code;
    r->commits = &commits;
    code = tg_kafka_read(s->client, cursor.partition, TG_KAFKA_WAIT, headers, on_row, r, NULL, err);
    if (code == TG_OK)
        code = counted(s, r, &cursor.last, err);
    tg_kafka_commits_done(&commits);
    return code;
}

/* ---- scan ---- */

static tg_code see_row(struct reading *r, const struct tg_kafka_message *m, struct tg_error *err)
{
    int64_t chat_id, id;

    if (!tg_kafka_key_take(m->header[KEY].value, &chat_id, &id))
        return tg_fail(err, TG_CORRUPT, "message %lld of partition %d has a key that cannot be",
                       (long long)m->offset, (int)m->partition);
    return r->seen(r->ctx, chat_id, id) ? TG_OK : TG_END;
}

tg_code tg_kafka_sink_scan(void *self, int64_t chat_id, tg_sink_seen seen, void *ctx,
                           struct tg_error *err)
{
    struct reading r = reading_of(chat_id, NULL);
    tg_code code;

    r.row = see_row;
    r.seen = seen;
    r.ctx = ctx;
    code = read_rows(self, &r, err);
    return code == TG_END ? TG_OK : code;
}

/* ---- read ---- */

static tg_code take_row(struct reading *r, const struct tg_kafka_message *m, struct tg_error *err)
{
    tg_code code = tg_held_room(&r->back, err);

    if (code == TG_OK)
        code = tg_message_read(r->format, m->value, r->back.batch, err);
    if (code == TG_DATA)
        return tg_fail(err, TG_CORRUPT, "message %lld of partition %d is no row as this "
                       "destination's format has it", (long long)m->offset, (int)m->partition);
    return code;
}

tg_code tg_kafka_sink_read(void *self, int64_t chat_id, const struct tg_cursor *behind,
                           struct tg_batch *batch, tg_sink_taken taken, void *ctx,
                           struct tg_error *err)
{
    const struct sink_kafka *s = self;
    struct reading r = reading_of(chat_id, NULL);
    tg_code code;

    (void)behind; /* what is before it has been read all the same */
    r.row = take_row;
    r.format = s->format;
    r.back = (struct tg_held_back){ .batch = batch, .taken = taken, .ctx = ctx };
    code = read_rows(self, &r, err);
    if (code == TG_OK)
        code = tg_held_give(&r.back, err);
    return code == TG_END ? TG_OK : code;
}

/* ---- commits, chats ---- */

tg_code tg_kafka_sink_commits(void *self, int64_t chat_id, tg_commit_seen seen, void *ctx,
                              struct tg_error *err)
{
    struct sink_kafka *s = self;
    struct kafka_commits commits;
    struct kafka_cursor cursor;
    bool more = true;
    tg_code code = tg_kafka_look(s->client, err);

    if (code == TG_OK)
        code = tg_kafka_sink_cursor(s, chat_id, TG_KAFKA_WAIT, &cursor, err);
    if (code == TG_OK)
        code = tg_kafka_commits(s, chat_id, cursor.partition, &commits, err);
    if (code != TG_OK)
        return code == TG_END ? TG_OK : code;
    for (size_t i = 0; more && i < commits.n && commits.at[i].commit.seq <= cursor.last.seq; i++)
        more = seen(ctx, &commits.at[i].commit);
    /* one without rows stands in the cursor alone */
    if (more && cursor.last.seq &&
        (!commits.n || commits.at[commits.n - 1].commit.seq < cursor.last.seq))
        seen(ctx, &cursor.last);
    tg_kafka_commits_done(&commits);
    return TG_OK;
}

/* Chats whose cursor the server keeps join those whose rows the topic has. */
static tg_code on_group(void *ctx, const char *group, struct tg_error *err)
{
    struct sink_kafka *s = ctx;
    const char *chat = strrchr(group, '.');
    char expected[KAFKA_NAME_MAX];
    struct kafka_cursor cursor;
    int64_t chat_id;
    tg_code code;

    if (!chat || !tg_i64_parse(chat + 1, &chat_id))
        return TG_OK;
    tg_kafka_sink_name(s, chat_id, expected);
    if (strcmp(group, expected) != 0)
        return TG_OK;
    code = tg_kafka_sink_cursor(s, chat_id, TG_KAFKA_WAIT, &cursor, err);
    if (code == TG_OK)
        code = tg_kafka_recall_add(s, chat_id, &cursor, err);
    return code == TG_END ? TG_OK : code;
}

tg_code tg_kafka_sink_chats(void *self, tg_chat_seen seen, void *ctx, struct tg_error *err)
{
    struct sink_kafka *s = self;
    bool more = true;
    tg_code code = tg_kafka_look(s->client, err);

    if (code == TG_OK)
        code = tg_kafka_recall(s, err);
    if (code == TG_OK)
        code = tg_kafka_groups(s->client, on_group, s, err);
    for (size_t i = 0; code == TG_OK && more && i < s->n_recalled; i++)
        if (s->recalled[i].cursor.last.seq)
            more = seen(ctx, s->recalled[i].chat_id, s->recalled[i].cursor.writer.job);
    return code;
}

/* SPDX-License-Identifier: MIT */
/*
 * kafka_cursor.c - a cursor as text, and where a chat's is found; see kafka_impl.h
 *
 *   {"job":"daily","token":7,"nonce":123,"partition":2,"commit":[...]}
 *
 * The numbers of `commit` are those of held.h, in its order. The server forgets the offsets
 * of a group some days after the last one was written. Then the topic is read, once in a run: the
 * last row of each commit carries the cursor too. What happened since then has left a cursor that
 * is not forgotten, so that once is enough.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/json.h"
#include "base/json_read.h"
#include "sink/kafka_impl.h"

enum { RECALLED_MAX = 1 << 20 };

/* ---- text ---- */

void tg_kafka_cursor_put(const struct kafka_cursor *cursor, struct tg_buf *out)
{
    int64_t v[TG_HELD_COMMIT_N];
    struct tg_json j;

    tg_held_numbers(&cursor->last, v);
    tg_json_init(&j, out);
    tg_json_object(&j);
    tg_json_key(&j, "job");
    tg_json_cstr(&j, cursor->writer.job);
    tg_json_key(&j, "token");
    tg_json_u64(&j, cursor->writer.fence.token);
    tg_json_key(&j, "nonce");
    tg_json_u64(&j, cursor->writer.fence.nonce);
    tg_json_key(&j, "partition");
    tg_json_i64(&j, cursor->partition);
    tg_json_key(&j, "commit");
    tg_json_array(&j);
    for (size_t i = 0; i < TG_HELD_COMMIT_N; i++)
        tg_json_i64(&j, v[i]);
    tg_json_end_array(&j);
    tg_json_end_object(&j);
}

static void take_job(struct tg_json_in *in, struct tg_held_writer *writer)
{
    struct tg_buf text;

    tg_buf_init(&text, sizeof writer->job);
    tg_json_take_str(in, &text);
    if (text.failed || !text.len || memchr(text.data, 0, text.len))
        in->bad = true;
    else
        snprintf(writer->job, sizeof writer->job, "%.*s", (int)text.len, (const char *)text.data);
    tg_buf_done(&text);
}

static void take_commit(struct tg_json_in *in, struct tg_commit *ret)
{
    int64_t v[TG_HELD_COMMIT_N];
    size_t n = 0;

    for (tg_json_enter(in, '['); tg_json_next_item(in); n++) {
        int64_t number = tg_json_take_i64(in);

        if (n < TG_HELD_COMMIT_N)
            v[n] = number;
    }
    if (n == TG_HELD_COMMIT_N)
        *ret = tg_held_commit(v);
    else
        in->bad = true;
}

bool tg_kafka_cursor_take(const char *text, size_t len, int64_t chat_id, struct kafka_cursor *ret)
{
    struct kafka_cursor c = { .partition = -1 };
    struct tg_json_in in;
    struct tg_str key;
    bool has_commit = false;

    if (len > KAFKA_CURSOR_MAX)
        return false;
    tg_json_in_init(&in, text, len);
    for (tg_json_enter(&in, '{'); tg_json_next_key(&in, &key);) {
        if (tg_str_eq(key, TG_STR("job"))) {
            take_job(&in, &c.writer);
        } else if (tg_str_eq(key, TG_STR("token"))) {
            c.writer.fence.token = tg_json_take_u64(&in);
        } else if (tg_str_eq(key, TG_STR("nonce"))) {
            c.writer.fence.nonce = (uint32_t)tg_json_take_u64(&in);
        } else if (tg_str_eq(key, TG_STR("partition"))) {
            int64_t partition = tg_json_take_i64(&in);

            c.partition = partition >= 0 && partition <= INT32_MAX ? (int32_t)partition : -1;
        } else if (tg_str_eq(key, TG_STR("commit"))) {
            take_commit(&in, &c.last);
            has_commit = true;
        } else {
            tg_json_skip(&in);
        }
    }
    if (!tg_json_in_done(&in) || !has_commit || !*c.writer.job || c.partition < 0 ||
        (c.last.seq && c.last.cursor.chat_id != chat_id) || c.last.refused > c.last.rows_total)
        return false;
    *ret = c;
    return true;
}

bool tg_kafka_key_take(struct tg_str text, int64_t *ret_chat_id, int64_t *ret_id)
{
    int64_t part[3];
    char number[24];

    for (size_t i = 0; i < TG_COUNT(part); i++) {
        const char *end = text.len ? memchr(text.at, ':', text.len) : NULL;
        size_t n = end ? (size_t)(end - text.at) : text.len;

        if (!end && i + 1 < TG_COUNT(part))
            return false;
        if (n >= sizeof number)
            return false;
        snprintf(number, sizeof number, "%.*s", (int)n, n ? text.at : "");
        if (!tg_i64_parse(number, &part[i]))
            return false;
        text.at += n + 1;
        text.len -= (uint32_t)TG_MIN(n + 1, (size_t)text.len);
    }
    *ret_chat_id = part[1];
    *ret_id = part[2];
    return true;
}

struct tg_str tg_kafka_change_key(struct tg_str row_key)
{
    const char *end = row_key.at;
    uint32_t left = row_key.len;

    for (int i = 0; i < 3 && end; i++) {
        end = memchr(end, ':', left);
        end = end ? end + 1 : NULL;
        left = end ? row_key.len - (uint32_t)(end - row_key.at) : 0;
    }
    return end ? (struct tg_str){ row_key.at, (uint32_t)(end - row_key.at) - 1 } : row_key;
}

bool tg_kafka_chat_take(struct tg_str key, int64_t *ret_chat_id)
{
    char text[24];
    int64_t of, id;

    snprintf(text, sizeof text, "%.*s", (int)TG_MIN(key.len, 23U), key.len ? key.at : "");
    if (key.len && key.len < sizeof text && tg_i64_parse(text, ret_chat_id))
        return true;
    if (!tg_kafka_key_take(key, &of, &id) || tg_kafka_change_key(key).len != key.len)
        return false;
    *ret_chat_id = TG_CHAT_CHANGES;
    return true;
}

/* ---- what the topic tells ---- */

static const char *const cursor_header[] = { "tgdata.cursor", NULL };

/* @return the place of a chat, or where it would stand */
static size_t place_of(const struct sink_kafka *s, int64_t chat_id)
{
    size_t from = 0, to = s->n_recalled;

    while (from < to) {
        size_t middle = from + (to - from) / 2;

        if (s->recalled[middle].chat_id < chat_id)
            from = middle + 1;
        else
            to = middle;
    }
    return from;
}

tg_code tg_kafka_recall_add(struct sink_kafka *s, int64_t chat_id,
                            const struct kafka_cursor *cursor, struct tg_error *err)
{
    size_t at = place_of(s, chat_id);

    if (at == s->n_recalled || s->recalled[at].chat_id != chat_id) {
        struct kafka_recalled *more =
            s->n_recalled < RECALLED_MAX
                ? reallocarray(s->recalled, s->n_recalled + 1, sizeof *more) : NULL;

        if (!more)
            return tg_fail(err, TG_LIMIT, "no memory for the cursors of a topic's chats");
        s->recalled = more;
        memmove(more + at + 1, more + at, (s->n_recalled++ - at) * sizeof *more);
    }
    s->recalled[at] = (struct kafka_recalled){ chat_id, *cursor };
    return TG_OK;
}

static tg_code on_cursor(void *ctx, const struct tg_kafka_message *m, struct tg_error *err)
{
    struct kafka_cursor cursor;
    int64_t chat_id;

    if (!m->header[0].value.at || !tg_kafka_chat_take(m->key, &chat_id) ||
        !tg_kafka_cursor_take(m->header[0].value.at, m->header[0].value.len, chat_id, &cursor))
        return TG_OK; /* not ours */
    return tg_kafka_recall_add(ctx, chat_id, &cursor, err);
}

tg_code tg_kafka_recall(struct sink_kafka *s, struct tg_error *err)
{
    tg_code code = TG_OK;

    for (int32_t p = 0; code == TG_OK && !s->has_recalled && p < tg_kafka_partitions(s->client);
         p++)
        code = tg_kafka_read(s->client, p, TG_KAFKA_NOW, cursor_header, on_cursor, s, NULL, err);
    s->has_recalled |= code == TG_OK;
    return code;
}

static tg_code recalled(struct sink_kafka *s, int64_t chat_id, struct kafka_cursor *ret,
                        struct tg_error *err)
{
    tg_code code = tg_kafka_recall(s, err);
    size_t at = place_of(s, chat_id);

    if (code != TG_OK)
        return code;
    if (at == s->n_recalled || s->recalled[at].chat_id != chat_id)
        return TG_END;
    *ret = s->recalled[at].cursor;
    return TG_OK;
}

void tg_kafka_sink_name(const struct sink_kafka *s, int64_t chat_id, char out[KAFKA_NAME_MAX])
{
    snprintf(out, KAFKA_NAME_MAX, "tgdata.%s.%lld", tg_kafka_topic(s->client),
             (long long)chat_id);
}

tg_code tg_kafka_sink_cursor(struct sink_kafka *s, int64_t chat_id, enum tg_kafka_open open,
                             struct kafka_cursor *ret, struct tg_error *err)
{
    char group[KAFKA_NAME_MAX];
    struct tg_buf text;
    tg_code code;

    *ret = (struct kafka_cursor){ .partition = -1 };
    tg_kafka_sink_name(s, chat_id, group);
    tg_buf_init(&text, KAFKA_CURSOR_MAX);
    code = tg_kafka_cursor(s->client, group, open, &text, err);
    if (code == TG_END) {
        code = recalled(s, chat_id, ret, err);
    } else if (code == TG_OK &&
               !tg_kafka_cursor_take((const char *)text.data, text.len, chat_id, ret)) {
        tg_fail(err, TG_CORRUPT, "the offset of group '%.200s' is not this program's", group);
        code = tg_hint(err, "delete that group, or name another topic");
    }
    tg_buf_done(&text);
    return code;
}

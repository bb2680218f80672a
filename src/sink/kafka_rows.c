/* SPDX-License-Identifier: MIT */
/*
 * kafka_rows.c - rows on their way to a topic; see kafka_impl.h, staged.h
 *
 *   write   row --> record: the message as it will be sent
 *   commit  records --> producer, which sends their bytes from where they wait: no copy
 *
 *   record  bytes of the key, 4 | value | key
 *           0 | packed row          of one that is too large for a message, so that it can be
 *                                   refused; or for a record, so that it is made when it is sent
 */
#include <assert.h>
#include <stdio.h>

#include "base/row_pack.h"
#include "sink/kafka_impl.h"

enum { ROW_MAX = 100 << 20, READY_MAX = 64 << 20, KEY_SIZE = 4 };

/* ---- write ---- */

static struct tg_message_about about(const struct sink_kafka *s)
{
    return (struct tg_message_about){ .job = s->env->job, .stream = s->stream,
                                      .now_us = s->env->unix_us(s->env->ctx) };
}

static void put_record(const struct sink_kafka *s, const struct tg_message_about *about,
                       const struct tg_row *row, struct tg_buf *out)
{
    size_t start = out->len, value = start + KEY_SIZE, key;

    tg_buf_u32(out, 0);
    tg_message_format[s->format].put_row(about, row, out);
    key = out->len;
    tg_row_key(row, out);
    if (!out->failed && key - value <= READY_MAX &&
        key - value + KAFKA_CURSOR_MAX <= tg_kafka_message_max(s->client)) {
        tg_put_le32(out->data + start, (uint32_t)(out->len - key));
        return;
    }
    out->failed = false;
    out->len = value;
    tg_row_pack(row, out);
}

tg_code tg_kafka_sink_write(void *self, const struct tg_batch *batch, size_t from, size_t n,
                            struct tg_error *err)
{
    struct sink_kafka *s = self;
    const struct tg_message_about now = about(s);
    struct tg_staged_mark before;
    struct tg_held_chat *chat;
    tg_code code = tg_held_writing(&s->chats, batch->cursor.chat_id, &chat, err);

    assert(from <= batch->n && n <= batch->n - from);
    if (code != TG_OK)
        return code;
    before = tg_staged_mark(&chat->rows);
    for (size_t i = from; code == TG_OK && i < from + n; i++) {
        put_record(s, &now, &batch->row[i], tg_staged_begin(&chat->rows));
        code = tg_staged_end(&chat->rows, &batch->row[i], err);
    }
    return tg_held_written(chat, before, code);
}

/* ---- commit ---- */

struct put {
    struct sink_kafka *s;
    const struct kafka_slot *slot;
    struct tg_held_chat *chat;
    const struct tg_commit *commit;
    struct tg_kafka_message message;
    struct tg_buf key, value, cursor;
    char chat_id[24], seq[24];
    uint64_t n; /* rows so far */
};

/* The last message of a commit tells the cursor too. */
static void add_cursor(struct put *p, struct tg_kafka_header *to)
{
    const struct tg_commit recorded = tg_held_recorded(p->chat, p->commit);

    tg_kafka_sink_fill_cursor(p->s, p->slot, p->chat, &recorded, &p->cursor);
    *to = (struct tg_kafka_header){ "tgdata.cursor", tg_kafka_view(&p->cursor) };
}

static tg_code too_large(struct put *p, const struct tg_row *row, struct tg_error *err)
{
    struct tg_error why;

    tg_fail(&why, TG_DATA, "message %lld of chat %lld has %zu bytes, too many for topic '%.120s'",
            (long long)row->id, (long long)row->chat_id, p->value.len,
            tg_kafka_topic(p->s->client));
    tg_hint(&why, "raise max.message.bytes of the topic");
    return tg_held_refuse(p->chat, p->s->env, row, &why, err);
}

static bool is_changes(const struct put *p)
{
    return p->commit->cursor.segment == TG_SEGMENT_CHANGES;
}

static bool is_gone(const struct put *p, struct tg_str key)
{
    uint32_t n = tg_kafka_change_key(key).len;

    return p->s->format == TG_MESSAGE_EVENT && key.len > n &&
           tg_str_eq((struct tg_str){ key.at + n + 1, key.len - n - 1 },
                     tg_str_of(tg_row_change_name[TG_ROW_DELETED]));
}

/* As Debezium does behind a deletion. It is no row: it tells no key of one. */
static tg_code forget_key(const struct put *p, struct tg_error *err)
{
    const struct tg_kafka_message m = { .partition = p->message.partition,
                                        .key = p->message.key,
                                        .header = { p->message.header[0] } };

    return tg_kafka_send(p->slot->writer, &m, err);
}

static tg_code send(struct put *p, struct tg_str key, struct tg_str value, bool stays,
                    struct tg_error *err)
{
    struct tg_kafka_message *m = &p->message;
    tg_code code;

    m->value = value;
    m->stays = stays;
    m->header[1].value = key;
    if (is_changes(p))
        m->key = tg_kafka_change_key(key);
    if (p->n == p->commit->rows)
        add_cursor(p, &m->header[2]);
    code = tg_kafka_send(p->slot->writer, m, err);
    return code == TG_OK && is_changes(p) && is_gone(p, key) ? forget_key(p, err) : code;
}

static tg_code put_packed(struct put *p, const uint8_t *bytes, size_t len, struct tg_error *err)
{
    const struct tg_message_about now = about(p->s);
    struct tg_row row;
    size_t size;

    if (!tg_row_unpack(bytes, len, &row, &size))
        return tg_fail(err, TG_CORRUPT, "a temporary file was changed by somebody else");
    tg_buf_clear(&p->key);
    tg_buf_clear(&p->value);
    tg_row_key(&row, &p->key);
    tg_message_format[p->s->format].put_row(&now, &row, &p->value);
    if (p->key.failed || p->value.failed)
        return tg_fail(err, TG_NOMEM, "no memory for a message");
    if (p->value.len + KAFKA_CURSOR_MAX > tg_kafka_message_max(p->s->client))
        return too_large(p, &row, err);
    return send(p, tg_kafka_view(&p->key), tg_kafka_view(&p->value), false, err);
}

static tg_code put_record_of(void *ctx, const uint8_t *record, size_t len, bool stays,
                             struct tg_error *err)
{
    struct put *p = ctx;
    uint32_t key = len < KEY_SIZE ? 0 : tg_le32(record), value;
    const char *text = (const char *)record + KEY_SIZE;

    p->n++;
    if (len < KEY_SIZE || key > len - KEY_SIZE)
        return tg_fail(err, TG_CORRUPT, "a temporary file was changed by somebody else");
    if (!key)
        return put_packed(p, record + KEY_SIZE, len - KEY_SIZE, err);
    value = (uint32_t)(len - KEY_SIZE) - key;
    return send(p, (struct tg_str){ text + value, key }, (struct tg_str){ text, value }, stays,
                err);
}

/* Where the last row was refused there is none to tell the cursor. */
static tg_code put_end(struct put *p, struct tg_error *err)
{
    struct tg_kafka_message *m = &p->message;

    if (!p->commit->rows || m->header[2].name)
        return TG_OK;
    m->key = tg_str_of(p->chat_id);
    m->value = (struct tg_str){ NULL, 0 };
    add_cursor(p, &m->header[1]);
    return tg_kafka_send(p->slot->writer, m, err);
}

tg_code tg_kafka_sink_put_all(struct sink_kafka *s, const struct kafka_slot *slot,
                              struct tg_held_chat *chat, const struct tg_commit *commit,
                              struct tg_error *err)
{
    struct put p = { .s = s, .slot = slot, .chat = chat, .commit = commit };
    struct tg_commit recorded;
    tg_code code = tg_kafka_begin(slot->writer, err);

    if (code != TG_OK)
        return code;
    chat->refused = 0;
    snprintf(p.chat_id, sizeof p.chat_id, "%lld", (long long)chat->id);
    snprintf(p.seq, sizeof p.seq, "%llu", (unsigned long long)commit->seq);
    p.message = (struct tg_kafka_message){
        .partition = slot->partition,
        .key = tg_str_of(p.chat_id),
        .header = { { "tgdata.commit", tg_str_of(p.seq) }, { "tgdata.key", { NULL, 0 } } },
    };
    tg_buf_init(&p.key, ROW_MAX);
    tg_buf_init(&p.value, ROW_MAX);
    tg_buf_init(&p.cursor, KAFKA_CURSOR_MAX);
    code = tg_staged_records(&chat->rows, put_record_of, &p, err);
    if (code == TG_OK)
        code = put_end(&p, err);
    recorded = tg_held_recorded(chat, commit);
    if (code == TG_OK)
        code = tg_kafka_sink_put_cursor(s, slot, chat, &recorded, err);
    tg_buf_done(&p.key);
    tg_buf_done(&p.value);
    tg_buf_done(&p.cursor);
    return code;
}

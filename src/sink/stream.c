/* SPDX-License-Identifier: MIT */
/*
 * stream.c - see stream.h
 */
#include "sink/stream.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/row_pack.h"

enum {
    HELD_MAX = 64 << 20,
    READY_MAX = 64 << 20,
    SECRET_MAX = 4096,
    REFUSED_FEW = 100,
    ROUNDS = 3,
};

struct tg_stream_chat {
    int64_t id;
    struct tg_staged rows;
    struct tg_stream_chat *next;
};

void tg_stream_init(struct tg_stream *s, const struct tg_sink_env *env)
{
    *s = (struct tg_stream){ .env = env, .room.most = HELD_MAX };
}

void tg_stream_done(struct tg_stream *s)
{
    while (s->chat) {
        struct tg_stream_chat *chat = s->chat;

        s->chat = chat->next;
        tg_staged_done(&chat->rows);
        free(chat);
    }
}

/* ---- chats ---- */

/* The chat, moved to the front: its next calls find it there. NULL if nothing waits. */
static struct tg_stream_chat *find(struct tg_stream *s, int64_t id)
{
    for (struct tg_stream_chat **at = &s->chat, *chat; (chat = *at); at = &chat->next) {
        if (chat->id != id)
            continue;
        *at = chat->next;
        chat->next = s->chat;
        return s->chat = chat;
    }
    return NULL;
}

/* @return the chat, made if it is new; NULL: no memory */
static struct tg_stream_chat *take(struct tg_stream *s, int64_t id)
{
    struct tg_stream_chat *chat = find(s, id);

    if (chat)
        return chat;
    if (s->chat && !s->chat->rows.n) {
        chat = s->chat; /* one whose rows are sent, with its memory */
    } else if ((chat = calloc(1, sizeof *chat))) {
        tg_staged_init(&chat->rows, &s->room);
        chat->next = s->chat;
        s->chat = chat;
    }
    if (chat)
        chat->id = id;
    return chat;
}

/* Its memory stays for the next one that needs some; others' were left by chats that have ended. */
static void forget(struct tg_stream *s, struct tg_stream_chat *chat)
{
    struct tg_stream_chat *second = chat->next;

    assert(s->chat == chat);
    tg_staged_clear(&chat->rows);
    if (second && !second->rows.n) {
        chat->next = second->next;
        tg_staged_done(&second->rows);
        free(second);
    }
}

/* ---- rows ---- */

/* A record that is no row: PACKED or READY, then the row or its message. */
enum { PACKED, READY };

static void put_record(const struct tg_message_format *format, const struct tg_message_about *about,
                       const struct tg_row *row, struct tg_buf *out)
{
    size_t start = out->len;

    tg_buf_byte(out, READY);
    format->put_row(about, row, out);
    if (!out->failed && out->len - start <= READY_MAX)
        return;
    out->failed = false;
    out->len = start;
    tg_buf_byte(out, PACKED);
    tg_row_pack(row, out);
}

/* @param format  NULL: rows wait */
tg_code tg_stream_write_messages(struct tg_stream *s, const struct tg_message_format *format,
                                 const struct tg_message_about *about, const struct tg_batch *batch,
                                 size_t from, size_t n, struct tg_error *err)
{
    struct tg_stream_chat *chat = take(s, batch->cursor.chat_id);
    tg_code code = TG_OK;

    assert(from <= batch->n && n <= batch->n - from);
    if (!chat)
        return tg_fail(err, TG_NOMEM, "no memory for one more chat");
    for (size_t i = from; code == TG_OK && i < from + n; i++) {
        const struct tg_row *row = &batch->row[i];

        if (format)
            put_record(format, about, row, tg_staged_begin(&chat->rows));
        code = format ? tg_staged_end(&chat->rows, row, err)
                      : tg_staged_add(&chat->rows, row, err);
        if (code != TG_OK)
            forget(s, chat);
    }
    return code;
}

tg_code tg_stream_write(struct tg_stream *s, const struct tg_batch *batch, size_t from, size_t n,
                        struct tg_error *err)
{
    return tg_stream_write_messages(s, NULL, NULL, batch, from, n, err);
}

struct newest {
    const struct tg_stream_sender *sender;
    uint64_t before; /* rows that wait before those of the commit */
};

static tg_code put_newest(void *ctx, const struct tg_row *row, struct tg_error *err)
{
    struct newest *n = ctx;

    if (n->before == 0)
        return n->sender->put(n->sender->ctx, row, err);
    n->before--;
    return TG_OK;
}

static tg_code put_newest_record(void *ctx, const uint8_t *record, size_t len, bool stays,
                                 struct tg_error *err)
{
    struct newest *n = ctx;
    const struct tg_stream_sender *to = n->sender;
    struct tg_row row;
    size_t size;

    (void)stays;
    if (n->before) {
        n->before--;
        return TG_OK;
    }
    if (len && *record == READY)
        return to->put_message(
            to->ctx, (struct tg_str){ (const char *)record + 1, (uint32_t)len - 1 }, err);
    if (!len || !tg_row_unpack(record + 1, len - 1, &row, &size))
        return tg_fail(err, TG_CORRUPT, "a temporary file was changed by somebody else");
    return to->put(to->ctx, &row, err);
}

static tg_code send_all(struct tg_stream *s, struct tg_staged *waiting,
                        const struct tg_commit *commit, const struct tg_stream_sender *sender,
                        struct tg_error *err)
{
    tg_code code = TG_AGAIN;

    s->rows = commit->rows;
    for (int round = 0; code == TG_AGAIN && round < ROUNDS; round++) {
        struct newest newest = { sender, waiting->n - commit->rows };

        s->refused = 0;
        code = sender->begin(sender->ctx, commit, err);
        if (code == TG_OK)
            code = sender->put_message
                       ? tg_staged_records(waiting, put_newest_record, &newest, err)
                       : tg_staged_each(waiting, put_newest, &newest, err);
        if (code == TG_OK)
            code = sender->finish(sender->ctx, err);
    }
    return code == TG_AGAIN ? tg_fail(err, TG_INTERNAL, "a commit begins again and again") : code;
}

tg_code tg_stream_commit(struct tg_stream *s, const struct tg_commit *commit,
                         const struct tg_stream_sender *sender, struct tg_error *err)
{
    struct tg_stream_chat *chat = find(s, commit->cursor.chat_id);
    uint64_t n = chat ? chat->rows.n : 0;
    tg_code code = TG_OK;

    if (n < commit->rows)
        code = tg_fail(err, TG_INTERNAL, "commit %llu of chat %lld is of %llu rows, not %llu",
                       (unsigned long long)commit->seq, (long long)commit->cursor.chat_id,
                       (unsigned long long)commit->rows, (unsigned long long)n);
    else if (commit->rows)
        code = send_all(s, &chat->rows, commit, sender, err);
    if (chat)
        forget(s, chat);
    return tg_stream_failed(code, err);
}

tg_code tg_stream_refuse(struct tg_stream *s, const struct tg_row *row, const char *why,
                         struct tg_error *err)
{
    tg_code code = tg_fail(err, TG_DATA, "message %lld of chat %lld was refused: %.200s",
                           (long long)row->id, (long long)row->chat_id, why);

    if (!s->env->refuse)
        return tg_hint(err, "the destination will never take it: look at its limits");
    if (s->refused >= REFUSED_FEW && s->refused > s->rows / 2)
        return tg_hint(err, "it refuses most rows: look at how the destination is set up");
    code = s->env->refuse(s->env->ctx, row, why, err);
    s->refused += code == TG_OK;
    return code;
}

/* ---- what drivers need besides ---- */

tg_code tg_stream_failed(tg_code code, struct tg_error *err)
{
    static const uint8_t as[TG_CODE_COUNT] = {
        [TG_NET] = TG_SINK,     [TG_TIMEOUT] = TG_SINK, [TG_SERVER] = TG_SINK,
        [TG_PROTOCOL] = TG_SINK, [TG_UNUSABLE] = TG_IO,  [TG_NOT_FOUND] = TG_IO,
        [TG_SECURITY] = TG_IO,
    };

    assert(code < TG_CODE_COUNT);
    if (as[code])
        err->code = code = (tg_code)as[code];
    return code;
}

struct tg_message_about tg_stream_about(const struct tg_stream *s, const char *name)
{
    return (struct tg_message_about){ .job = s->env->job, .stream = name,
                                      .now_us = s->env->unix_us(s->env->ctx) };
}

tg_code tg_stream_secret(const char *path, const char *variable, struct tg_buf *ret,
                         struct tg_error *err)
{
    const char *text = getenv(variable);
    size_t n = 0;
    FILE *file;

    if (!path || !*path) {
        tg_buf_str(ret, text ? text : "");
        return TG_OK;
    }
    file = fopen(path, "rbe");
    if (!file) {
        tg_fail(err, TG_IO, "could not open '%.200s'", path);
        return tg_hint(err, "the secret is its first line");
    }
    setvbuf(file, NULL, _IONBF, 0); /* no copy stays in a buffer */
    if (tg_buf_room(ret, SECRET_MAX))
        n = fread(ret->data, 1, SECRET_MAX, file);
    fclose(file);
    for (const char *end = "\r\n"; ret->len < n && !strchr(end, ret->data[ret->len]);)
        ret->len++;
    if (ret->len && ret->len < SECRET_MAX)
        return TG_OK;
    tg_fail(err, TG_USAGE, "'%.200s' holds no line of at most %d bytes", path, SECRET_MAX - 1);
    return tg_hint(err, "the secret is its first line");
}

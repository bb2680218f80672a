/* SPDX-License-Identifier: MIT */
/*
 * stdout.c - rows on standard output, for pipes: `stdout:`
 *
 * Nothing can be learned from a pipe: it has no cursor, the checkpoint in the state store is it. A
 * commit writes out what is buffered, and only then the checkpoint follows; after a crash between
 * the two rows come again, with the same keys: at least once. What a line is, message.h tells.
 *
 * Threads: one for all calls      Limits: 64 KiB of buffer; a row of up to 80 MiB
 */
#include <assert.h>

#include "os/out.h"
#include "sink/message.h"

enum { BUFFER = 64 * 1024, ROW_MAX = 80 << 20, DESCRIPTOR = 1 };

static const char what[] = "standard output";

struct sink_stdout {
    /* options */
    int64_t format; /* place in the table */
    const char *stream;
    /* own */
    const struct tg_sink_env *env;
    struct tg_buf buffer;
    bool begun;    /* the head is written */
    uint64_t rows; /* since the last commit */
    uint64_t bytes;
};

static tg_code stdout_open(void *self, const char *target, const struct tg_sink_env *env,
                           struct tg_error *err)
{
    struct sink_stdout *s = self;

    assert(s->format >= 0 && s->format < TG_MESSAGE_FORMATS);
    s->env = env;
    tg_buf_init(&s->buffer, ROW_MAX + BUFFER);
    if (*target) {
        tg_fail(err, TG_USAGE, "standard output has no name such as '%.100s'", target);
        return tg_hint(err, "write it as stdout: or stdout:?format=csv");
    }
    return TG_OK;
}

/* Rows of several chats stand in the buffer: what could not be written stays there. */
static tg_code flush(struct sink_stdout *s, struct tg_error *err)
{
    size_t before = s->buffer.len;
    tg_code code = tg_out_write(DESCRIPTOR, what, &s->buffer, err);

    s->bytes += before - s->buffer.len;
    return code == TG_OK ? code : tg_hint(err, "the same command goes on behind the last "
                                               "checkpoint; rows behind it come again");
}

static struct tg_message_about about(const struct sink_stdout *s)
{
    return (struct tg_message_about){ .job = s->env->job, .stream = s->stream,
                                      .now_us = s->env->unix_us(s->env->ctx) };
}

/* Ends a line, if the buffer took all of it; else takes back what stands behind `before`. */
static tg_code end_line(struct sink_stdout *s, size_t before, struct tg_error *err)
{
    tg_buf_byte(&s->buffer, '\n');
    if (!s->buffer.failed)
        return TG_OK;
    s->buffer.failed = false;
    s->buffer.len = before;
    return tg_fail(err, TG_LIMIT, "a row is larger than %d MiB, or no memory is left",
                   ROW_MAX >> 20);
}

static tg_code begin(struct sink_stdout *s, const struct tg_message_about *now,
                     struct tg_error *err)
{
    const struct tg_message_format *format = &tg_message_format[s->format];
    size_t before = s->buffer.len;
    tg_code code = TG_OK;

    if (!s->begun && format->put_head) {
        format->put_head(now, &s->buffer);
        code = end_line(s, before, err);
    }
    s->begun = code == TG_OK;
    return code;
}

static tg_code stdout_write(void *self, const struct tg_batch *batch, size_t from, size_t n,
                            struct tg_error *err)
{
    struct sink_stdout *s = self;
    const struct tg_message_about now = about(s);
    tg_code code = n ? begin(s, &now, err) : TG_OK;

    assert(from <= batch->n && n <= batch->n - from);
    for (size_t i = from; i < from + n && code == TG_OK; i++) {
        size_t before = s->buffer.len;

        tg_message_format[s->format].put_row(&now, &batch->row[i], &s->buffer);
        code = end_line(s, before, err);
        s->rows += code == TG_OK;
        if (code == TG_OK && s->buffer.len >= BUFFER)
            code = flush(s, err);
    }
    return code;
}

/* That a commit tells how far it goes is part of the stream: it stands behind its rows. */
static tg_code put_commit(struct sink_stdout *s, const struct tg_commit *commit,
                          struct tg_error *err)
{
    const struct tg_message_format *format = &tg_message_format[s->format];
    const struct tg_message_about now = about(s);
    size_t before = s->buffer.len;
    tg_code code;

    if (!format->put_commit || !s->begun)
        return TG_OK;
    format->put_commit(&now, commit, s->rows, &s->buffer);
    code = end_line(s, before, err);
    if (code == TG_OK)
        s->rows = 0;
    return code;
}

static tg_code stdout_commit(void *self, const struct tg_commit *commit, struct tg_error *err)
{
    tg_code code = put_commit(self, commit, err);

    if (code == TG_OK)
        code = flush(self, err);
    return code == TG_OK ? tg_out_sync(DESCRIPTOR, what, err) : code;
}

static uint64_t stdout_bytes(const void *self)
{
    const struct sink_stdout *s = self;

    return s->bytes + s->buffer.len;
}

static void stdout_close(void *self)
{
    struct sink_stdout *s = self;

    tg_buf_done(&s->buffer);
}

static const struct tg_option stdout_option[] = {
    { .name = "format",
      .type = TG_OPT_CHOICE,
      .offset = offsetof(struct sink_stdout, format),
      .fallback = "json",
      .help = "what a line is: a row, a change event, or a message of Singer or Airbyte",
      .choices = TG_MESSAGE_LINES },
    { .name = "stream",
      .type = TG_OPT_STR,
      .offset = offsetof(struct sink_stdout, stream),
      .fallback = "messages",
      .value = "NAME",
      .help = "what debezium, singer and airbyte call the rows" },
    { 0 },
};

const struct tg_sink_ops tg_sink_stdout = {
    .head = { "stdout", "standard output, for pipes; at least once", stdout_option,
              sizeof(struct sink_stdout) },
    .open = stdout_open,
    .write = stdout_write,
    .commit = stdout_commit,
    .bytes = stdout_bytes,
    .close = stdout_close,
};

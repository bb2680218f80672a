/* SPDX-License-Identifier: MIT */
/*
 * stdout.c - rows on standard output, for pipes: `stdout:`
 *
 * Nothing can be learned from a pipe: it has no cursor, the checkpoint in the state store is it. A
 * commit writes out what is buffered, and only then the checkpoint follows; after a crash between
 * the two rows come again, with the same keys: at least once. A format is a row of a table.
 *
 * Threads: one for all calls      Limits: 64 KiB of buffer; a row of up to 80 MiB
 */
#include <assert.h>

#include "os/out.h"
#include "sink/csv_text.h"

enum { BUFFER = 64 * 1024, ROW_MAX = 80 << 20, DESCRIPTOR = 1 };

static const char what[] = "standard output";

struct format {
    void (*put_head)(struct tg_buf *out); /* NULL: nothing stands before the first row */
    void (*put_row)(const struct tg_row *row, struct tg_buf *out);
};

struct sink_stdout {
    int64_t format; /* option: place in the table */
    struct tg_buf buffer;
    bool begun; /* the head is written */
    uint64_t bytes;
};

static void json_row(const struct tg_row *row, struct tg_buf *out)
{
    tg_row_json(row, out);
    tg_buf_byte(out, '\n');
}

static void csv_head(struct tg_buf *out)
{
    tg_csv_head(out, false);
}

static void csv_row(const struct tg_row *row, struct tg_buf *out)
{
    tg_csv_row(row, out, false);
}

/* In the order of the option's words. */
static const struct format formats[] = { { NULL, json_row }, { csv_head, csv_row } };

static tg_code stdout_open(void *self, const char *target, const struct tg_sink_env *env,
                           struct tg_error *err)
{
    struct sink_stdout *s = self;

    (void)env;
    assert(s->format >= 0 && s->format < (int64_t)TG_COUNT(formats));
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

static tg_code stdout_write(void *self, const struct tg_batch *batch, size_t from, size_t n,
                            struct tg_error *err)
{
    struct sink_stdout *s = self;
    const struct format *format = &formats[s->format];
    tg_code code = TG_OK;

    assert(from <= batch->n && n <= batch->n - from);
    for (size_t i = from; i < from + n && code == TG_OK; i++) {
        size_t before;

        if (!s->begun && format->put_head)
            format->put_head(&s->buffer);
        s->begun = true;
        before = s->buffer.len;
        format->put_row(&batch->row[i], &s->buffer);
        if (s->buffer.failed) {
            s->buffer.failed = false;
            s->buffer.len = before;
            return tg_fail(err, TG_LIMIT, "a row is larger than %d MiB, or no memory is left",
                           ROW_MAX >> 20);
        }
        if (s->buffer.len >= BUFFER)
            code = flush(s, err);
    }
    return code;
}

static tg_code stdout_commit(void *self, const struct tg_commit *commit, struct tg_error *err)
{
    tg_code code = flush(self, err);

    (void)commit;
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
      .help = "lines of JSON, or CSV",
      .choices = "json|csv" },
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

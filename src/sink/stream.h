/* SPDX-License-Identifier: MIT */
/*
 * stream.h - what destinations have in common that take messages and give none back
 *
 *   write   a chat's rows wait (staged.h), or their messages do
 *   commit  each row is sent, in order, and the destination has said that it has them: `begin`,
 *           `put` for each, `finish`. Then, and also if that failed, the chat's rows are forgotten
 *
 * Nothing but a commit sends, so that what one chat's commit did not get through with is no
 * business of another's. After a failure some of the rows may have arrived: they come again when
 * the chat is taken up at its checkpoint. At least once, with equal keys. What was written before
 * and never committed, of a chat that another took over, say, is not sent: a commit is of the
 * newest rows.
 *
 * Threads: one at a time      Limits: 64 MiB of rows in memory, then temporary files
 */
#ifndef TG_SINK_STREAM_H
#define TG_SINK_STREAM_H

#include "sink/message.h"
#include "sink/staged.h"

struct tg_stream_chat;

struct tg_stream {
    const struct tg_sink_env *env;
    struct tg_staged_room room;
    struct tg_stream_chat *chat; /* those with rows that wait, and one that is kept for the next */
    uint64_t rows, refused;      /* of the commit in hand */
    uint64_t bytes;              /* of messages that were sent; the driver counts */
};

void tg_stream_init(struct tg_stream *s, const struct tg_sink_env *env);
void tg_stream_done(struct tg_stream *s);

/** sink.h's write. */
tg_code tg_stream_write(struct tg_stream *s, const struct tg_batch *batch, size_t from, size_t n,
                        struct tg_error *err);
/** The same, for a sender with put_message: messages wait, made now, and not rows. */
tg_code tg_stream_write_messages(struct tg_stream *s, const struct tg_message_format *format,
                                 const struct tg_message_about *about, const struct tg_batch *batch,
                                 size_t from, size_t n, struct tg_error *err);

/** How a driver sends. TG_AGAIN begins once more, from the first row. */
struct tg_stream_sender {
    tg_code (*begin)(void *ctx, const struct tg_commit *commit, struct tg_error *err);
    tg_staged_row put; /* if there is put_message: of a row whose message is too large to wait */
    tg_code (*finish)(void *ctx, struct tg_error *err);
    void *ctx;
    tg_code (*put_message)(void *ctx, struct tg_str message, struct tg_error *err); /* or NULL */
};

/**
 * sink.h's commit; without rows nothing is sent.
 * @return TG_INTERNAL if fewer rows wait than the commit says; what the sender says,
 *         as a sink says it: TG_SINK may pass, TG_IO does not, with a code of neither kind as it is
 */
tg_code tg_stream_commit(struct tg_stream *s, const struct tg_commit *commit,
                         const struct tg_stream_sender *sender, struct tg_error *err);

/**
 * A row that the destination will never take.
 * @param why  of the destination; @return TG_OK: it is kept elsewhere, go on; TG_DATA: nobody keeps
 *             it, or most rows are refused
 */
tg_code tg_stream_refuse(struct tg_stream *s, const struct tg_row *row, const char *why,
                         struct tg_error *err);

/** A client's failure as one of a destination. @return err's code */
tg_code tg_stream_failed(tg_code code, struct tg_error *err);

/** Options of every driver here; its struct has `format` and `stream_name`. */
#define TG_STREAM_FORMAT_OPTIONS(driver)                                                           \
    { .name = "format",                                                                            \
      .type = TG_OPT_CHOICE,                                                                       \
      .offset = offsetof(struct driver, format),                                                   \
      .fallback = "json",                                                                          \
      .help = "what a message is: a row, or a change event",                                       \
      .choices = TG_MESSAGE_SINGLE },                                                              \
    { .name = "stream",                                                                            \
      .type = TG_OPT_STR,                                                                          \
      .offset = offsetof(struct driver, stream_name),                                              \
      .fallback = "messages",                                                                      \
      .value = "NAME",                                                                             \
      .help = "what debezium calls the rows" }

/** What messages of now tell beside their rows. */
struct tg_message_about tg_stream_about(const struct tg_stream *s, const char *name);

/** A secret that is not in the URL: the first line of a file, or else of the environment.
 *  @param ret  initialised by the caller, who wipes it; empty if there is none */
tg_code tg_stream_secret(const char *file, const char *variable, struct tg_buf *ret,
                         struct tg_error *err);

#endif

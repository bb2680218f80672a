/* SPDX-License-Identifier: MIT */
/*
 * message.h - a row as one message, for destinations that are streams: pipes, brokers, webhooks
 *
 *   json       the row as `ndjson` has it
 *   debezium   a change event without schema: {"before","after","source","op","ts_ms",...}. op is
 *              r of a row that was read, c, u and d of those among changes; before is null unless
 *              versions are kept, after is null of a message that is gone: source tells which
 *   csv        a record, for lines: what each field is, the head tells
 *   singer     {"type":"RECORD",...}; the head is the SCHEMA, a commit adds a STATE
 *   airbyte    {"type":"RECORD",...}; the head is a CATALOG, a commit adds a STATE
 *
 * A format is a row of a table. Each message is one line, without its end; JSON text has no line
 * end inside, CSV may. The key of a message is tg_row_key: equal keys are equal rows.
 *
 * The record of a message that is gone has `_sdc_deleted_at` (singer), `_ab_cdc_deleted_at`.
 *
 * Where formats need a name for what they carry it is one stream of that name, keyed (owner,
 * chat_id, id). A STATE tells how far one chat is delivered; it is for readers to see, a run begins
 * at its checkpoint.
 *
 * Facts: debezium.io/documentation (change events), hub.meltano.com/singer/spec,
 * docs.airbyte.com/platform/understanding-airbyte/airbyte-protocol
 *
 * Threads: pure
 */
#ifndef TG_SINK_MESSAGE_H
#define TG_SINK_MESSAGE_H

#include "sink/sink.h"

/** What a message tells beside its row. */
struct tg_message_about {
    const char *job;
    const char *stream; /* its name for the reader: "messages" */
    int64_t now_us;     /* Unix time at which it is written */
};

struct tg_message_format {
    const char *name;
    const char *content_type;
    /** What stands before the first row, once for each reader; NULL: nothing. */
    void (*put_head)(const struct tg_message_about *about, struct tg_buf *out);
    void (*put_row)(const struct tg_message_about *about, const struct tg_row *row,
                    struct tg_buf *out);
    /** What stands behind the rows that a commit covers; NULL: nothing.
     *  @param rows  all that were put since the last such message */
    void (*put_commit)(const struct tg_message_about *about, const struct tg_commit *commit,
                       uint64_t rows, struct tg_buf *out);
};

/*
 * In the order of an option's words. Those of TG_MESSAGE_SINGLE can stand alone, each message for
 * itself; the others are for lines that are read from their beginning.
 */
#define TG_MESSAGE_SINGLE "json|debezium"
#define TG_MESSAGE_LINES TG_MESSAGE_SINGLE "|csv|singer|airbyte"
enum { TG_MESSAGE_FORMATS = 5, TG_MESSAGE_EVENT = 1 };
extern const struct tg_message_format tg_message_format[TG_MESSAGE_FORMATS];

/**
 * Reads the row of a message back: all of it, or what a change event tells of it.
 * @param format  a place among TG_MESSAGE_SINGLE
 * @return TG_DATA: it holds none; TG_NOMEM
 */
tg_code tg_message_read(int64_t format, struct tg_str message, struct tg_batch *to,
                        struct tg_error *err);

#endif

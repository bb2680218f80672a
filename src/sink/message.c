/* SPDX-License-Identifier: MIT */
/*
 * message.c - see message.h
 *
 * Rows are written by tg_row_json in any format but CSV; the envelopes around them are few short
 * members. The JSON schemas of Singer and Airbyte are read from the table of fields.
 */
#include "sink/message.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/json.h"
#include "base/json_read.h"
#include "sink/csv_text.h"

#define US_PER_MS 1000
#define MS_PER_S 1000

static void put_text(struct tg_json *j, const char *key, const char *value)
{
    tg_json_key(j, key), tg_json_cstr(j, value);
}

static void put_number(struct tg_json *j, const char *key, int64_t value)
{
    tg_json_key(j, key), tg_json_i64(j, value);
}

static void put_raw(struct tg_json *j, const char *key, const char *json)
{
    tg_json_key(j, key), tg_json_raw(j, json, strlen(json));
}

static void put_row_as(struct tg_json *j, const char *key, const struct tg_row *row)
{
    tg_json_key(j, key);
    if (!row) {
        tg_json_null(j);
        return;
    }
    tg_row_json(row, j->out);
    j->comma = true; /* a value stands there that the writer did not see */
}

/* ---- json, csv ---- */

static void json_row(const struct tg_message_about *about, const struct tg_row *row,
                     struct tg_buf *out)
{
    (void)about;
    tg_row_json(row, out);
}

/* Lines of CSV come with their ends. */
static void cut_end(struct tg_buf *out)
{
    if (!out->failed)
        out->len--;
}

static void csv_head(const struct tg_message_about *about, struct tg_buf *out)
{
    (void)about;
    tg_csv_head(out, false);
    cut_end(out);
}

static void csv_row(const struct tg_message_about *about, const struct tg_row *row,
                    struct tg_buf *out)
{
    (void)about;
    tg_csv_row(row, out, false);
    cut_end(out);
}

/* ---- debezium ---- */

static void debezium_row(const struct tg_message_about *about, const struct tg_row *row,
                         struct tg_buf *out)
{
    static const char *const op[] = { [TG_MESSAGE_READ] = "r", [TG_MESSAGE_CREATED] = "c",
                                      [TG_MESSAGE_UPDATED] = "u", [TG_MESSAGE_DELETED] = "d" };
    bool deleted = about->op == TG_MESSAGE_DELETED;
    struct tg_json j;

    assert(about->op < TG_COUNT(op));
    tg_json_init(&j, out);
    tg_json_object(&j);
    put_row_as(&j, "before", deleted ? row : NULL);
    put_row_as(&j, "after", deleted ? NULL : row);
    tg_json_key(&j, "source"), tg_json_object(&j);
    put_text(&j, "version", TG_VERSION);
    put_text(&j, "connector", "tgdata");
    put_text(&j, "name", about->job);
    put_number(&j, "ts_ms", TG_MAX(row->date, row->edit_date) * MS_PER_S);
    put_text(&j, "snapshot", about->op == TG_MESSAGE_READ ? "true" : "false");
    put_text(&j, "db", "telegram");
    put_text(&j, "table", about->stream);
    put_number(&j, "chat_id", row->chat_id);
    tg_json_end_object(&j);
    put_text(&j, "op", op[about->op]);
    put_number(&j, "ts_ms", about->now_us / US_PER_MS);
    tg_json_key(&j, "transaction"), tg_json_null(&j);
    tg_json_end_object(&j);
}

/* ---- what singer and airbyte have in common ---- */

static const char *const key_field[] = { "owner", "chat_id", "id" };

/* A field of JSON Schema; all but the key may be absent. */
static void put_field(struct tg_json *j, const struct tg_field *field, bool key)
{
    static const char *const type[] = {
        [TG_FIELD_I64] = "\"integer\"",  [TG_FIELD_TIME] = "\"string\"",
        [TG_FIELD_BOOL] = "\"boolean\"", [TG_FIELD_STR] = "\"string\"",
        [TG_FIELD_JSON] = "\"array\",\"object\"",
    };

    assert(field->type < TG_COUNT(type));
    tg_json_key(j, field->name), tg_json_object(j);
    tg_json_key(j, "type"), tg_json_array(j);
    if (!key)
        tg_json_cstr(j, "null");
    tg_json_raw(j, type[field->type], strlen(type[field->type]));
    tg_json_end_array(j);
    if (field->type == TG_FIELD_TIME)
        put_text(j, "format", "date-time");
    if (field->type == TG_FIELD_JSON)
        put_raw(j, "items", "{}"); /* readers of Singer want to be told of arrays */
    put_text(j, "description", field->meaning);
    tg_json_end_object(j);
}

static void put_schema(struct tg_json *j)
{
    tg_json_object(j);
    put_text(j, "type", "object");
    tg_json_key(j, "properties"), tg_json_object(j);
    for (int i = 0; i < TG_FIELD_COUNT; i++) {
        bool key = i == TG_F_owner || i == TG_F_chat_id || i == TG_F_id;

        put_field(j, tg_field((enum tg_field_id)i), key);
    }
    tg_json_end_object(j);
    tg_json_end_object(j);
}

static void put_key_fields(struct tg_json *j)
{
    tg_json_array(j);
    for (size_t i = 0; i < TG_COUNT(key_field); i++)
        tg_json_cstr(j, key_field[i]);
    tg_json_end_array(j);
}

/* {"-1001": {"segment": 0, "id": 700, ...}} */
static void put_bookmark(struct tg_json *j, const struct tg_commit *c)
{
    char chat[24];

    snprintf(chat, sizeof chat, "%" PRId64, c->cursor.chat_id);
    tg_json_object(j);
    tg_json_key(j, chat), tg_json_object(j);
    put_number(j, "segment", c->cursor.segment);
    put_number(j, "id", c->cursor.id);
    put_number(j, "owner", c->cursor.owner);
    tg_json_key(j, "rows"), tg_json_u64(j, c->rows_total);
    tg_json_key(j, "commit"), tg_json_u64(j, c->seq);
    tg_json_key(j, "complete"), tg_json_bool(j, c->complete);
    tg_json_end_object(j);
    tg_json_end_object(j);
}

/* Begins {"type": type; the caller adds the rest and ends it. */
static void begin(struct tg_json *j, struct tg_buf *out, const char *type)
{
    tg_json_init(j, out);
    tg_json_object(j);
    put_text(j, "type", type);
}

/* ---- singer ---- */

static void singer_head(const struct tg_message_about *about, struct tg_buf *out)
{
    struct tg_json j;

    begin(&j, out, "SCHEMA");
    put_text(&j, "stream", about->stream);
    tg_json_key(&j, "schema"), put_schema(&j);
    tg_json_key(&j, "key_properties"), put_key_fields(&j);
    put_raw(&j, "bookmark_properties", "[\"id\"]");
    tg_json_end_object(&j);
}

static void singer_row(const struct tg_message_about *about, const struct tg_row *row,
                       struct tg_buf *out)
{
    struct tg_json j;

    begin(&j, out, "RECORD");
    put_text(&j, "stream", about->stream);
    put_row_as(&j, "record", row);
    tg_json_key(&j, "time_extracted"), tg_json_time(&j, about->now_us / (US_PER_MS * MS_PER_S));
    tg_json_end_object(&j);
}

static void singer_commit(const struct tg_message_about *about, const struct tg_commit *commit,
                          uint64_t rows, struct tg_buf *out)
{
    struct tg_json j;

    (void)rows;
    begin(&j, out, "STATE");
    tg_json_key(&j, "value"), tg_json_object(&j);
    tg_json_key(&j, "bookmarks"), tg_json_object(&j);
    tg_json_key(&j, about->stream), put_bookmark(&j, commit);
    tg_json_end_object(&j);
    tg_json_end_object(&j);
    tg_json_end_object(&j);
}

/* ---- airbyte ---- */

static void airbyte_head(const struct tg_message_about *about, struct tg_buf *out)
{
    struct tg_json j;

    begin(&j, out, "CATALOG");
    tg_json_key(&j, "catalog"), tg_json_object(&j);
    tg_json_key(&j, "streams"), tg_json_array(&j);
    tg_json_object(&j);
    put_text(&j, "name", about->stream);
    tg_json_key(&j, "json_schema"), put_schema(&j);
    put_raw(&j, "supported_sync_modes", "[\"full_refresh\",\"incremental\"]");
    tg_json_key(&j, "source_defined_cursor"), tg_json_bool(&j, true);
    put_raw(&j, "default_cursor_field", "[\"id\"]");
    tg_json_key(&j, "source_defined_primary_key"), tg_json_array(&j);
    for (size_t i = 0; i < TG_COUNT(key_field); i++) { /* each a path */
        tg_json_array(&j);
        tg_json_cstr(&j, key_field[i]);
        tg_json_end_array(&j);
    }
    tg_json_end_array(&j);
    tg_json_end_object(&j);
    tg_json_end_array(&j);
    tg_json_end_object(&j);
    tg_json_end_object(&j);
}

static void airbyte_row(const struct tg_message_about *about, const struct tg_row *row,
                        struct tg_buf *out)
{
    struct tg_json j;

    begin(&j, out, "RECORD");
    tg_json_key(&j, "record"), tg_json_object(&j);
    put_text(&j, "stream", about->stream);
    put_row_as(&j, "data", row);
    put_number(&j, "emitted_at", about->now_us / US_PER_MS);
    tg_json_end_object(&j);
    tg_json_end_object(&j);
}

static void airbyte_commit(const struct tg_message_about *about, const struct tg_commit *commit,
                           uint64_t rows, struct tg_buf *out)
{
    struct tg_json j;

    begin(&j, out, "STATE");
    tg_json_key(&j, "state"), tg_json_object(&j);
    put_text(&j, "type", "STREAM");
    tg_json_key(&j, "stream"), tg_json_object(&j);
    tg_json_key(&j, "stream_descriptor"), tg_json_object(&j);
    put_text(&j, "name", about->stream);
    tg_json_end_object(&j);
    tg_json_key(&j, "stream_state"), put_bookmark(&j, commit);
    tg_json_end_object(&j);
    tg_json_key(&j, "sourceStats"), tg_json_object(&j);
    tg_json_key(&j, "recordCount"), tg_json_double(&j, (double)rows);
    tg_json_end_object(&j);
    tg_json_end_object(&j);
    tg_json_end_object(&j);
}

/* ---- reading ---- */

tg_code tg_message_read(int64_t format, struct tg_str message, struct tg_batch *to,
                        struct tg_error *err)
{
    struct tg_str row = message, key;
    struct tg_json_in in;

    assert(format >= 0 && format <= TG_MESSAGE_EVENT);
    if (format == TG_MESSAGE_EVENT) {
        row = (struct tg_str){ NULL, 0 };
        tg_json_in_init(&in, message.at, message.len);
        for (tg_json_enter(&in, '{'); tg_json_next_key(&in, &key);) {
            const char *at = in.at;

            tg_json_skip(&in);
            if (tg_str_eq(key, TG_STR("after")) && !in.bad)
                row = (struct tg_str){ at, (uint32_t)(in.at - at) };
        }
        if (!tg_json_in_done(&in))
            row.at = NULL;
    }
    if (!row.at)
        return tg_fail(err, TG_DATA, "it holds no row");
    return tg_row_read(to, row.at, row.len, err);
}

#define JSON "application/json"

const struct tg_message_format tg_message_format[TG_MESSAGE_FORMATS] = {
    { "json", JSON, NULL, json_row, NULL },
    { "debezium", JSON, NULL, debezium_row, NULL },
    { "csv", "text/csv", csv_head, csv_row, NULL },
    { "singer", JSON, singer_head, singer_row, singer_commit },
    { "airbyte", JSON, airbyte_head, airbyte_row, airbyte_commit },
};

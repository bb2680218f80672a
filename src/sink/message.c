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

/* What a source tells beside Debezium's own members: where to find the message and the change. Of
 * one that is gone it is the row. */
static const struct {
    const char *name;
    enum tg_field_id field;
} source_field[] = { { "chat_id", TG_F_chat_id }, { "owner", TG_F_owner },
                     { "id", TG_F_id },           { "kind", TG_F_kind },
                     { "seq", TG_F_change_seq },  { "pts", TG_F_change_pts } };

static void put_source(struct tg_json *j, const struct tg_message_about *about,
                       const struct tg_row *row, enum tg_row_change change)
{
    int64_t at = row->present & TG_ROW_BIT(change_date) ? row->change_date
                                                        : TG_MAX(row->date, row->edit_date);
    bool of_changes = row->present & TG_ROW_BIT(change_seq);

    tg_json_key(j, "source"), tg_json_object(j);
    put_text(j, "version", TG_VERSION);
    put_text(j, "connector", "tgdata");
    put_text(j, "name", about->job);
    put_number(j, "ts_ms", at * MS_PER_S);
    put_text(j, "snapshot", change == TG_ROW_READ ? "true" : "false");
    put_text(j, "db", "telegram");
    put_text(j, "table", about->stream);
    for (size_t i = 0; i < (of_changes ? TG_COUNT(source_field) : 1); i++) {
        enum tg_field_id field = source_field[i].field;
        bool text = tg_field(field)->type == TG_FIELD_STR;
        size_t len;
        const char *value = text ? tg_row_text(row, field, &len) : NULL;

        if (!tg_row_has(row, field))
            continue;
        tg_json_key(j, source_field[i].name);
        if (value)
            tg_json_str(j, value, len);
        else
            tg_json_i64(j, tg_row_int(row, field));
    }
    tg_json_end_object(j);
}

static void debezium_row(const struct tg_message_about *about, const struct tg_row *row,
                         struct tg_buf *out)
{
    static const char *const op[TG_ROW_CHANGES] = {
        [TG_ROW_READ] = "r",      [TG_ROW_NEW] = "c",     [TG_ROW_EDITED] = "u",
        [TG_ROW_REACTIONS] = "u", [TG_ROW_DELETED] = "d",
    };
    enum tg_row_change change = tg_row_changed(row);
    const struct tg_row *after = change == TG_ROW_DELETED ? NULL : row;
    struct tg_row alone; /* without what it was before */
    struct tg_json j;

    tg_json_init(&j, out);
    tg_json_object(&j);
    tg_json_key(&j, "before");
    if (row->present & TG_ROW_BIT(before) && row->before.len) {
        tg_json_raw(&j, row->before.at, row->before.len);
        alone = *row;
        alone.present &= ~TG_ROW_BIT(before);
        after = after ? &alone : NULL;
    } else {
        tg_json_null(&j);
    }
    put_row_as(&j, "after", after);
    put_source(&j, about, row, change);
    put_text(&j, "op", op[change]);
    put_number(&j, "ts_ms", about->now_us / US_PER_MS);
    tg_json_key(&j, "transaction"), tg_json_null(&j);
    tg_json_end_object(&j);
}

/* ---- what singer and airbyte have in common ---- */

static const char singer_deleted[] = "_sdc_deleted_at", airbyte_deleted[] = "_ab_cdc_deleted_at";
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

/* The row; of one that is gone also when that was told, under that name. */
static void put_record(struct tg_json *j, const char *key, const struct tg_message_about *about,
                       const struct tg_row *row, const char *deleted_at)
{
    bool dated = row->present & TG_ROW_BIT(change_date);

    put_row_as(j, key, row);
    if (tg_row_changed(row) != TG_ROW_DELETED || j->out->failed)
        return;
    j->out->len--; /* the row's end */
    tg_json_key(j, deleted_at);
    tg_json_time(j, dated ? row->change_date : about->now_us / (US_PER_MS * MS_PER_S));
    tg_json_end_object(j);
    j->comma = true;
}

static void put_schema(struct tg_json *j, const char *deleted_at)
{
    static const struct tg_field when = { NULL, TG_FIELD_TIME, "when the message was deleted" };
    struct tg_field deleted = when;

    tg_json_object(j);
    put_text(j, "type", "object");
    tg_json_key(j, "properties"), tg_json_object(j);
    for (int i = 0; i < TG_FIELD_COUNT; i++) {
        bool key = i == TG_F_owner || i == TG_F_chat_id || i == TG_F_id;

        put_field(j, tg_field((enum tg_field_id)i), key);
    }
    deleted.name = deleted_at;
    put_field(j, &deleted, false);
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
    tg_json_key(&j, "schema"), put_schema(&j, singer_deleted);
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
    put_record(&j, "record", about, row, singer_deleted);
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
    tg_json_key(&j, "json_schema"), put_schema(&j, airbyte_deleted);
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
    put_record(&j, "data", about, row, airbyte_deleted);
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

/* A change event. */
struct event {
    struct tg_str before, after, source; /* NULL: not there, or null */
    struct tg_str op;
};

static bool take_event(struct tg_str message, struct event *ret)
{
    const struct {
        struct tg_str name;
        struct tg_str *to;
    } member[] = { { TG_STR("before"), &ret->before },
                   { TG_STR("after"), &ret->after },
                   { TG_STR("source"), &ret->source },
                   { TG_STR("op"), &ret->op } };
    struct tg_json_in in;
    struct tg_str key;

    *ret = (struct event){ .op = { NULL, 0 } };
    tg_json_in_init(&in, message.at, message.len);
    for (tg_json_enter(&in, '{'); tg_json_next_key(&in, &key);) {
        const char *at = in.at;
        struct tg_str value;

        tg_json_skip(&in);
        value = (struct tg_str){ at, (uint32_t)(in.at - at) };
        for (size_t i = 0; i < TG_COUNT(member) && !in.bad; i++)
            if (tg_str_eq(key, member[i].name) && !tg_str_eq(value, TG_STR("null")))
                *member[i].to = value;
    }
    return tg_json_in_done(&in);
}

/* The row of a message that is gone, by what the source tells. */
static tg_code read_deleted(struct tg_str source, struct tg_batch *to, struct tg_error *err)
{
    struct tg_row *row = tg_batch_row(to);
    struct tg_json_in in;
    struct tg_str key;
    struct tg_buf kind;

    if (!row)
        return tg_fail(err, TG_LIMIT, "the batch is full");
    tg_buf_init(&kind, 64);
    tg_json_in_init(&in, source.at, source.len);
    for (tg_json_enter(&in, '{'); tg_json_next_key(&in, &key);) {
        size_t i = 0;

        while (i < TG_COUNT(source_field) && !tg_str_eq(key, tg_str_of(source_field[i].name)))
            i++;
        if (tg_str_eq(key, TG_STR("ts_ms"))) {
            row->change_date = tg_json_take_i64(&in) / MS_PER_S;
            row->present |= row->change_date ? TG_ROW_BIT(change_date) : 0;
        } else if (i == TG_COUNT(source_field)) {
            tg_json_skip(&in);
        } else if (source_field[i].field == TG_F_kind) {
            tg_json_take_str(&in, &kind);
            TG_ROW_SET(row, kind, tg_batch_text(to, kind.data, kind.len));
        } else {
            *(int64_t *)(void *)((char *)row + tg_row_offset[source_field[i].field]) =
                tg_json_take_i64(&in);
            row->present |= UINT64_C(1) << source_field[i].field;
        }
    }
    in.bad |= kind.failed;
    tg_buf_done(&kind);
    TG_ROW_SET(row, change, tg_str_of(tg_row_change_name[TG_ROW_DELETED]));
    if (tg_json_in_done(&in) && row->present & TG_ROW_BIT(chat_id) && row->present & TG_ROW_BIT(id))
        return TG_OK;
    to->n--;
    return tg_fail(err, TG_DATA, "it tells no message that is gone");
}

static tg_code read_event(struct tg_str message, struct tg_batch *to, struct tg_error *err)
{
    struct event event;
    struct tg_row *row;
    tg_code code;

    if (!take_event(message, &event) || (!event.after.at && !event.source.at))
        return tg_fail(err, TG_DATA, "it holds no row");
    if (event.after.at)
        code = tg_row_read(to, event.after.at, event.after.len, err);
    else if (tg_str_eq(event.op, TG_STR("\"d\"")))
        code = read_deleted(event.source, to, err);
    else
        code = tg_fail(err, TG_DATA, "it holds no row");
    if (code != TG_OK || !event.before.at)
        return code;
    row = &to->row[to->n - 1];
    TG_ROW_SET(row, before, tg_batch_text(to, event.before.at, event.before.len));
    if (row->before.at)
        return TG_OK;
    to->n--;
    return tg_fail(err, TG_NOMEM, "no memory for a row");
}

tg_code tg_message_read(int64_t format, struct tg_str message, struct tg_batch *to,
                        struct tg_error *err)
{
    assert(format >= 0 && format <= TG_MESSAGE_EVENT);
    if (!message.at)
        return tg_fail(err, TG_DATA, "it holds no row");
    return format == TG_MESSAGE_EVENT ? read_event(message, to, err)
                                      : tg_row_read(to, message.at, message.len, err);
}

#define JSON "application/json"

const struct tg_message_format tg_message_format[TG_MESSAGE_FORMATS] = {
    { "json", JSON, NULL, json_row, NULL },
    { "debezium", JSON, NULL, debezium_row, NULL },
    { "csv", "text/csv", csv_head, csv_row, NULL },
    { "singer", JSON, singer_head, singer_row, singer_commit },
    { "airbyte", JSON, airbyte_head, airbyte_row, airbyte_commit },
};

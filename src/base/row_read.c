/* SPDX-License-Identifier: MIT */
/*
 * row_read.c - a row read back from the JSON that tg_row_json wrote
 *
 * Fields stand in table order as a rule, so the one behind the last is looked at first.
 */
#include "base/json_read.h"
#include "base/row.h"

enum { FIELD_MAX = 80 << 20 };

static int find_field(struct tg_str key, int after)
{
    for (int i = 0; i < TG_FIELD_COUNT; i++) {
        int id = (after + 1 + i) % TG_FIELD_COUNT;

        if (tg_str_eq(key, tg_str_of(tg_field((enum tg_field_id)id)->name)))
            return id;
    }
    return -1;
}

static int64_t take_time(struct tg_json_in *in, struct tg_buf *text)
{
    int64_t v = 0;

    while (in->at < in->end && *in->at == ' ')
        in->at++;
    if (in->at < in->end && *in->at != '"')
        return tg_json_take_i64(in); /* outside years 1..9999 */
    tg_buf_clear(text);
    tg_json_take_str(in, text);
    in->bad |= !tg_time_parse(tg_buf_cstr(text), &v);
    return v;
}

/* @return text of the batch; {NULL, 0} out of memory */
static struct tg_str take_text(struct tg_json_in *in, enum tg_field_type type, struct tg_batch *b,
                               struct tg_buf *text)
{
    const char *from = in->at;

    if (type == TG_FIELD_JSON) {
        tg_json_skip(in);
        while (from < in->at && *from == ' ')
            from++;
        return tg_batch_text(b, from, (size_t)(in->at - from));
    }
    tg_buf_clear(text);
    tg_json_take_str(in, text);
    return tg_batch_text(b, text->data, text->len);
}

static bool take_field(struct tg_json_in *in, int id, struct tg_batch *b, struct tg_row *row,
                       struct tg_buf *text)
{
    enum tg_field_type type = tg_field((enum tg_field_id)id)->type;
    void *member = (char *)row + tg_row_offset[id];
    int64_t *number = member;
    bool kept = true;

    if (tg_json_take_null(in))
        return true;
    in->bad |= row->present >> id & 1; /* twice */
    if (type == TG_FIELD_I64) {
        *number = tg_json_take_i64(in);
    } else if (type == TG_FIELD_TIME) {
        *number = take_time(in, text);
    } else if (type == TG_FIELD_BOOL) {
        *number = tg_json_take_bool(in);
    } else {
        struct tg_str s = take_text(in, type, b, text);

        kept = s.at != NULL;
        memcpy(member, &s, sizeof s);
    }
    row->present |= UINT64_C(1) << id;
    return kept;
}

tg_code tg_row_read(struct tg_batch *b, const char *json, size_t len, struct tg_error *err)
{
    struct tg_row *row = tg_batch_row(b);
    struct tg_json_in in;
    struct tg_buf text;
    struct tg_str key;
    bool kept = true;
    int id = -1;

    if (!row)
        return tg_fail(err, TG_LIMIT, "the batch is full");
    tg_buf_init(&text, FIELD_MAX);
    tg_json_in_init(&in, json, len);
    for (tg_json_enter(&in, '{'); tg_json_next_key(&in, &key) && kept;) {
        int found = find_field(key, id);

        if (found < 0) { /* of a newer version */
            tg_json_skip(&in);
            continue;
        }
        id = found;
        kept = take_field(&in, id, b, row, &text);
    }
    kept &= !text.failed;
    tg_buf_done(&text);
    if (kept && tg_json_in_done(&in) && row->present & TG_ROW_BIT(chat_id) &&
        row->present & TG_ROW_BIT(id))
        return TG_OK;
    b->n--;
    return kept ? tg_fail(err, TG_DATA, "not the JSON of a row")
                : tg_fail(err, TG_NOMEM, "no memory for a row");
}

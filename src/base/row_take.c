/* SPDX-License-Identifier: MIT */
/*
 * row_take.c - a row's fields from their texts, as tables and CSV have them
 */
#include "base/json_read.h"
#include "base/row.h"

int tg_field_find(struct tg_str name)
{
    for (int i = 0; i < TG_FIELD_COUNT; i++)
        if (tg_str_eq(name, tg_str_of(tg_field((enum tg_field_id)i)->name)))
            return i;
    return -1;
}

static bool take_time(struct tg_str s, int64_t *ret)
{
    char text[24];

    if (tg_str_i64(s, ret)) /* outside years 1..9999 */
        return true;
    if (s.len != 20 || memchr(s.at, 0, s.len))
        return false;
    memcpy(text, s.at, s.len);
    text[s.len] = 0;
    return tg_time_parse(text, ret);
}

static bool is_json(struct tg_str s)
{
    struct tg_json_in in;

    tg_json_in_init(&in, s.at, s.len);
    tg_json_skip(&in);
    return tg_json_in_done(&in);
}

tg_code tg_row_take(struct tg_batch *b, struct tg_row *row, enum tg_field_id id,
                    struct tg_str text)
{
    enum tg_field_type type = tg_field(id)->type;
    void *member = (char *)row + tg_row_offset[id];
    struct tg_str s;

    if (type == TG_FIELD_I64 || type == TG_FIELD_TIME) {
        if (!(type == TG_FIELD_I64 ? tg_str_i64(text, member) : take_time(text, member)))
            return TG_DATA;
    } else if (type == TG_FIELD_BOOL) {
        *(int64_t *)member = tg_str_eq(text, TG_STR("true"));
        if (!*(int64_t *)member && !tg_str_eq(text, TG_STR("false")))
            return TG_DATA;
    } else {
        if (!(type == TG_FIELD_JSON ? is_json(text) : tg_utf8_valid(text.at, text.len)))
            return TG_DATA;
        s = tg_batch_text(b, text.at, text.len);
        if (!s.at)
            return TG_NOMEM;
        memcpy(member, &s, sizeof s);
    }
    row->present |= UINT64_C(1) << id;
    return TG_OK;
}

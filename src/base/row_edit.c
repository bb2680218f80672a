/* SPDX-License-Identifier: MIT */
/*
 * row_edit.c - fields of a row changed, with their type checked; see tgdata/stage.h
 */
#include <assert.h>

#include "base/json_read.h"
#include "base/row.h"

const struct tg_row *tg_row_edit_row(const struct tg_row_edit *edit)
{
    return edit->row;
}

bool tg_field_is_free(enum tg_field_id id)
{
    assert(id < TG_FIELD_COUNT);
    return !((TG_ROW_KEY | TG_ROW_BIT(before)) >> id & 1);
}

static tg_code check(enum tg_field_id id, struct tg_error *err)
{
    if (tg_field_is_free(id))
        return TG_OK;
    return tg_fail(err, TG_USAGE, "the field %s cannot be changed", tg_field(id)->name);
}

static bool is_text(enum tg_field_id id)
{
    return tg_field(id)->type == TG_FIELD_STR || tg_field(id)->type == TG_FIELD_JSON;
}

tg_code tg_row_set_int(struct tg_row_edit *edit, enum tg_field_id id, int64_t value,
                       struct tg_error *err)
{
    tg_code code = check(id, err);

    if (code != TG_OK)
        return code;
    if (is_text(id))
        return tg_fail(err, TG_USAGE, "the field %s is no number", tg_field(id)->name);
    if (tg_field(id)->type == TG_FIELD_BOOL && value != 0 && value != 1)
        return tg_fail(err, TG_DATA, "the field %s is true or false, 1 or 0", tg_field(id)->name);
    memcpy((char *)edit->row + tg_row_offset[id], &value, sizeof value);
    edit->row->present |= UINT64_C(1) << id;
    if (tg_field(id)->type == TG_FIELD_BOOL && !value) /* absent means false */
        edit->row->present &= ~(UINT64_C(1) << id);
    return TG_OK;
}

static tg_code check_text(enum tg_field_id id, const char *text, size_t len, struct tg_error *err)
{
    struct tg_json_in in;

    if (!is_text(id))
        return tg_fail(err, TG_USAGE, "the field %s is no text", tg_field(id)->name);
    if (len > UINT32_MAX)
        return tg_fail(err, TG_LIMIT, "the text for the field %s is too long", tg_field(id)->name);
    if (!tg_utf8_valid(text, len))
        return tg_fail(err, TG_DATA, "the text for the field %s is no UTF-8", tg_field(id)->name);
    if (tg_field(id)->type == TG_FIELD_STR)
        return TG_OK;
    tg_json_in_init(&in, text, len);
    tg_json_skip(&in);
    if (!tg_json_in_done(&in))
        return tg_fail(err, TG_DATA, "the text for the field %s is no JSON", tg_field(id)->name);
    return TG_OK;
}

tg_code tg_row_set_text(struct tg_row_edit *edit, enum tg_field_id id, const char *text, size_t len,
                        struct tg_error *err)
{
    tg_code code = check(id, err);
    struct tg_str copy;

    if (code == TG_OK)
        code = check_text(id, text, len, err);
    if (code != TG_OK)
        return code;
    copy = tg_batch_text(edit->batch, text, len);
    if (!copy.at)
        return tg_fail(err, TG_LIMIT, "no room for the text of the field %s in its batch",
                       tg_field(id)->name);
    memcpy((char *)edit->row + tg_row_offset[id], &copy, sizeof copy);
    edit->row->present |= UINT64_C(1) << id;
    return TG_OK;
}

tg_code tg_row_unset(struct tg_row_edit *edit, enum tg_field_id id, struct tg_error *err)
{
    tg_code code = check(id, err);

    if (code != TG_OK)
        return code;
    memset((char *)edit->row + tg_row_offset[id], 0,
           is_text(id) ? sizeof(struct tg_str) : sizeof(int64_t));
    edit->row->present &= ~(UINT64_C(1) << id);
    return TG_OK;
}

/* SPDX-License-Identifier: MIT */
/*
 * signature.c - see signature.h
 */
#include "flow/signature.h"

#include <assert.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

/* Fields that say nothing about whether a message changed, and why. */
static const struct {
    enum tg_field_id id;
    const char *why;
} refused[] = {
    { TG_F_reactions, "they are always compared, apart from the rest" },
    { TG_F_raw, "it differs from one read to the next" },
    { TG_F_extracted_timestamp, "it differs from one read to the next" },
    { TG_F_change, "it tells of a change" },
    { TG_F_change_seq, "it tells of a change" },
    { TG_F_change_pts, "it tells of a change" },
    { TG_F_change_date, "it tells of a change" },
    { TG_F_before, "it tells of a change" },
    { TG_F_extra, "it is no part of the message" },
};

static struct tg_str trimmed(const char *at, const char *end)
{
    while (at < end && *at == ' ')
        at++;
    while (at < end && end[-1] == ' ')
        end--;
    return (struct tg_str){ at, (uint32_t)(end - at) };
}

tg_code tg_signature_fields(struct tg_str list, uint64_t *ret, struct tg_error *err)
{
    const char *at = list.at, *end = list.at + list.len;
    uint64_t fields = TG_ROW_BIT(id);

    for (bool more = true; more;) {
        const char *comma = at ? memchr(at, ',', (size_t)(end - at)) : NULL;
        struct tg_str name = trimmed(at, comma ? comma : end);
        int id = tg_field_find(name);

        if (id < 0)
            return tg_fail(err, TG_USAGE, "there is no field '%.*s' to compare",
                           (int)TG_MIN(name.len, 64), name.len ? name.at : "");
        for (size_t i = 0; i < TG_COUNT(refused); i++)
            if ((int)refused[i].id == id)
                return tg_fail(err, TG_USAGE, "'%s' cannot be compared: %s",
                               tg_field(refused[i].id)->name, refused[i].why);
        fields |= UINT64_C(1) << id;
        more = comma;
        at = comma ? comma + 1 : end;
    }
    if (fields == TG_ROW_BIT(id))
        return tg_fail(err, TG_USAGE, "'id' alone does not tell whether a message changed");
    *ret = fields;
    return TG_OK;
}

static void hash_field(XXH3_state_t *hash, const struct tg_row *row, enum tg_field_id id)
{
    enum tg_field_type type = tg_field(id)->type;
    uint8_t head[5] = { (uint8_t)id }, number[8];
    const void *value = number;
    size_t len = sizeof number;

    if (type == TG_FIELD_STR || type == TG_FIELD_JSON)
        value = tg_row_text(row, id, &len);
    else
        tg_put_le64(number, (uint64_t)tg_row_int(row, id));
    tg_put_le32(head + 1, (uint32_t)len);
    XXH3_64bits_update(hash, head, sizeof head);
    if (len)
        XXH3_64bits_update(hash, value, len);
}

static uint32_t reactions_of(const struct tg_row *row)
{
    uint32_t hash;

    if (!row->reactions.len || tg_str_eq(row->reactions, TG_STR("[]")))
        return 0;
    hash = (uint32_t)XXH3_64bits(row->reactions.at, row->reactions.len);
    return hash ? hash : 1;
}

bool tg_signature_of(const struct tg_row *row, uint64_t fields, struct tg_signature *ret)
{
    uint64_t hashed = fields & row->present & ~(TG_ROW_BIT(id) | TG_ROW_BIT(edit_date));
    uint64_t needed = TG_ROW_BIT(id) | (fields & TG_ROW_BIT(content_hash));
    XXH3_state_t hash;

    assert(fields & TG_ROW_BIT(id));
    if ((row->present & needed) != needed)
        return false;
    XXH3_64bits_reset(&hash);
    for (; hashed; hashed &= hashed - 1)
        hash_field(&hash, row, (enum tg_field_id)__builtin_ctzll(hashed));
    *ret = (struct tg_signature){
        .id = row->id,
        .edit_date = fields & row->present & TG_ROW_BIT(edit_date) ? row->edit_date : 0,
        .content = XXH3_64bits_digest(&hash),
        .reactions = row->present & TG_ROW_BIT(reactions) ? reactions_of(row) : 0,
    };
    return true;
}

unsigned tg_signature_differs(const struct tg_signature *before, const struct tg_signature *after)
{
    unsigned parts = 0;

    assert(before->id == after->id);
    if (before->edit_date != after->edit_date)
        parts |= TG_SIGNATURE_EDIT_DATE;
    if (before->content != after->content)
        parts |= TG_SIGNATURE_CONTENT;
    if (before->reactions != after->reactions)
        parts |= TG_SIGNATURE_REACTIONS;
    return parts;
}

/* The first with an id of at least that. */
static size_t first_from(struct tg_signatures s, int64_t id)
{
    size_t low = 0, high = s.n;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (s.at[middle].id < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct tg_signatures tg_signatures_slice(struct tg_signatures s, int64_t from, int64_t to)
{
    size_t first = first_from(s, from), behind = to < from ? first : first_from(s, to + 1);

    assert(s.from <= from && to <= s.to && to < INT64_MAX);
    return (struct tg_signatures){ from, to, s.at ? s.at + first : NULL, behind - first };
}

bool tg_signatures_valid(struct tg_signatures s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.at[i].id < s.from || s.at[i].id > s.to || (i && s.at[i].id <= s.at[i - 1].id))
            return false;
    return true;
}

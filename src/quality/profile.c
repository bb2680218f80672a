/* SPDX-License-Identifier: MIT */
/*
 * profile.c - see profile.h
 */
#include "quality/profile.h"

#include <stdlib.h>

#include <xxhash.h>

#include "quality/rule.h"

/* @return NULL out of memory */
static struct tg_profile_field *field_of(struct tg_profile *p, size_t id)
{
    struct tg_profile_field *f = p->field[id];

    if (f)
        return f;
    f = p->field[id] = calloc(1, sizeof *f);
    if (f)
        tg_kll_init(&f->numbers, id + 1);
    p->failed |= !f;
    return f;
}

void tg_profile_done(struct tg_profile *p)
{
    for (size_t i = 0; i < TG_FIELD_COUNT; i++) {
        if (p->field[i])
            tg_kll_done(&p->field[i]->numbers);
        free(p->field[i]);
    }
    *p = (struct tg_profile){ .rows = 0 };
}

static void add_text(struct tg_profile_field *f, struct tg_str text, bool json)
{
    uint64_t hash = XXH3_64bits(text.at, text.len);

    tg_hll_add(&f->distinct, hash);
    tg_kll_add(&f->numbers, tg_characters(text));
    if (!json)
        tg_top_add(&f->top, hash, 0, text);
}

static void add_number(struct tg_profile_field *f, int64_t n)
{
    uint64_t hash = XXH3_64bits(&n, sizeof n);

    tg_hll_add(&f->distinct, hash);
    tg_kll_add(&f->numbers, n);
    tg_top_add(&f->top, hash, n, (struct tg_str){ NULL, 0 });
}

void tg_profile_add(struct tg_profile *p, const struct tg_row *row)
{
    if (tg_row_changed(row) == TG_ROW_DELETED) {
        p->deletions++;
        return;
    }
    p->rows++;
    for (uint64_t left = row->present; left; left &= left - 1) {
        size_t id = (size_t)__builtin_ctzll(left);
        enum tg_field_type type = tg_field((enum tg_field_id)id)->type;
        struct tg_profile_field *f = field_of(p, id);
        const void *at = (const char *)row + tg_row_offset[id];

        if (!f)
            return;
        f->n++;
        if (type == TG_FIELD_STR || type == TG_FIELD_JSON)
            add_text(f, *(const struct tg_str *)at, type == TG_FIELD_JSON);
        else
            add_number(f, *(const int64_t *)at);
    }
}

void tg_profile_merge(struct tg_profile *p, const struct tg_profile *other)
{
    p->rows += other->rows;
    p->deletions += other->deletions;
    p->failed |= other->failed;
    for (size_t i = 0; i < TG_FIELD_COUNT; i++) {
        const struct tg_profile_field *from = other->field[i];
        struct tg_profile_field *to = from ? field_of(p, i) : NULL;

        if (!to)
            continue;
        to->n += from->n;
        tg_hll_merge(&to->distinct, &from->distinct);
        tg_kll_merge(&to->numbers, &from->numbers);
        tg_top_merge(&to->top, &from->top);
    }
}

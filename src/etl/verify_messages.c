/* SPDX-License-Identifier: MIT */
/*
 * verify_messages.c - see verify_messages.h
 */
#include "etl/verify_messages.h"

#include <stdlib.h>
#include <xxhash.h>

#include "base/buf.h"
#include "base/json_read.h"

enum { MESSAGES_MAX = 32000000, FIRST = 1024, REACTION_MAX = 4096 };

_Static_assert(sizeof(struct verify_message) == 32, "a message takes 32 bytes");

void verify_messages_done(struct verify_messages *m)
{
    free(m->at);
    *m = (struct verify_messages){ 0 };
}

/* ---- the list ---- */

static int by_place(const void *a, const void *b)
{
    const struct verify_message *x = a, *y = b;

    if (x->chat != y->chat)
        return x->chat < y->chat ? -1 : 1;
    if (x->id != y->id)
        return x->id < y->id ? -1 : 1;
    return x->order < y->order ? -1 : x->order > y->order;
}

void verify_messages_settle(struct verify_messages *m)
{
    size_t n = 0;

    if (m->n == 0)
        return;
    qsort(m->at, m->n, sizeof *m->at, by_place);
    for (size_t i = 0; i < m->n; i++) {
        struct verify_message *last = n ? &m->at[n - 1] : NULL;
        bool again = last && last->chat == m->at[i].chat && last->id == m->at[i].id;

        m->at[again ? n - 1 : n] = m->at[i];
        n += !again;
    }
    for (size_t i = 0; i < n; i++)
        m->at[i].order = 0; /* whatever comes is later */
    m->n = n;
}

bool verify_messages_put(struct verify_messages *m, const struct verify_message *message)
{
    if (m->n == m->cap) {
        verify_messages_settle(m);
        if (m->n > m->cap / 2 || !m->cap) { /* else there is room again, and for long */
            size_t cap = TG_MIN(TG_MAX(2 * m->cap, (size_t)FIRST), (size_t)MESSAGES_MAX);
            struct verify_message *more =
                m->n >= MESSAGES_MAX ? NULL : reallocarray(m->at, cap, sizeof *more);

            if (!more)
                return false;
            m->at = more;
            m->cap = cap;
        }
    }
    m->at[m->n] = *message;
    m->at[m->n].order = (uint32_t)m->n + 1;
    m->n++;
    return true;
}

size_t verify_messages_from(const struct verify_messages *m, uint32_t chat, int32_t id)
{
    const struct verify_message wanted = { .chat = chat, .id = id };
    size_t low = 0, high = m->n;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (by_place(&m->at[middle], &wanted) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct verify_message *verify_messages_find(const struct verify_messages *m, uint32_t chat,
                                            int64_t id)
{
    size_t at = id > 0 && id <= INT32_MAX ? verify_messages_from(m, chat, (int32_t)id) : m->n;

    return at < m->n && m->at[at].chat == chat && m->at[at].id == id ? &m->at[at] : NULL;
}

/* ---- one message ---- */

/* Of [{"reaction": ..., "count": n}, ...], in any order and with any white space. */
static uint32_t reactions_of(struct tg_str json)
{
    struct tg_json_in in;
    struct tg_buf name;
    struct tg_str key;
    uint64_t sum = 0;

    tg_json_in_init(&in, json.at, json.len);
    tg_buf_init(&name, REACTION_MAX);
    for (tg_json_enter(&in, '['); tg_json_next_item(&in);) {
        uint64_t count = 0;

        tg_buf_clear(&name);
        for (tg_json_enter(&in, '{'); tg_json_next_key(&in, &key);) {
            if (tg_str_eq(key, TG_STR("reaction")) && !tg_json_take_null(&in))
                tg_json_take_str(&in, &name);
            else if (tg_str_eq(key, TG_STR("count")))
                count = tg_json_take_u64(&in);
            else
                tg_json_skip(&in);
        }
        sum += XXH3_64bits_withSeed(name.len ? (const void *)name.data : "", name.len, count);
    }
    if (!tg_json_in_done(&in))
        sum = XXH3_64bits(json.at, json.len);
    tg_buf_done(&name);
    return (uint32_t)(sum ^ sum >> 32);
}

/* @return 0 for what is no hash */
static uint64_t first_half(struct tg_str hex)
{
    uint64_t half = 0;

    if (hex.len != 32)
        return 0;
    for (size_t i = 0; i < 16; i++) {
        char c = hex.at[i];

        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f')))
            return 0;
        half = half << 4 | (uint64_t)(c <= '9' ? c - '0' : c - 'a' + 10);
    }
    return half ? half : 1;
}

bool verify_message_of(const struct tg_row *row, uint32_t chat, struct verify_message *ret)
{
    if (row->id <= 0 || row->id > INT32_MAX)
        return false;
    *ret = (struct verify_message){
        .id = (int32_t)row->id,
        .chat = chat,
        .gone = row->present & TG_ROW_BIT(change) && tg_str_eq(row->change, TG_STR("deleted")),
    };
    if (row->present & TG_ROW_BIT(content_hash))
        ret->content = first_half(row->content_hash);
    if (row->present & TG_ROW_BIT(edit_date))
        ret->edit_date = (uint32_t)row->edit_date;
    if (row->present & TG_ROW_BIT(reactions))
        ret->reactions = reactions_of(row->reactions);
    return true;
}

bool verify_message_same(const struct verify_message *a, const struct verify_message *b)
{
    bool there_a = a && !a->gone, there_b = b && !b->gone;

    if (!there_a || !there_b)
        return there_a == there_b;
    if (!a->content || !b->content)
        return true;
    return a->content == b->content && a->edit_date == b->edit_date &&
           a->reactions == b->reactions;
}

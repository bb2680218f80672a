/* SPDX-License-Identifier: MIT */
/*
 * msg_ids.c - message ids made and remembered; see msg_ids.h
 *
 * Threads: none: value types
 */
#include "mtproto/msg_ids.h"

#include "mtproto/ids.h"

#include <assert.h>
#include <stdlib.h>

/* Times are held below this, so that sums of two cannot overflow and ids stay below 2^64. */
#define TIME_MAX_US (INT64_C(4200000000) * TG_SECOND_US)

static int64_t clamp_us(int64_t us)
{
    return us < 0 ? 0 : TG_MIN(us, TIME_MAX_US);
}

bool mt_clock_set(struct mt_clock *c, int64_t now_us)
{
    int64_t now = clamp_us(now_us), step = now - c->wall_us;
    bool leap;

    if (!c->started) {
        c->started = true;
        c->wall_us = c->local_us = now;
        return false;
    }
    leap = step > MT_CLOCK_LEAP_US;
    if (step > 0 && !leap)
        c->local_us += step;
    c->wall_us = now;
    return leap;
}

int64_t mt_clock_peer_us(const struct mt_clock *c)
{
    return clamp_us(c->local_us + c->offset_us);
}

int64_t mt_clock_wall_offset_us(const struct mt_clock *c)
{
    return c->offset_us + c->local_us - c->wall_us;
}

uint64_t mt_clock_id(struct mt_clock *c, unsigned kind)
{
    uint64_t us = (uint64_t)mt_clock_peer_us(c), id;

    assert(kind < 4);
    id = (us / 1000000) << 32 | (us % 1000000 << 32) / 1000000;
    id &= ~UINT64_C(3);
    if (id <= (c->last_id & ~UINT64_C(3)))
        id = (c->last_id & ~UINT64_C(3)) + 4;
    c->last_id = id | kind;
    return c->last_id;
}

int64_t mt_id_us(uint64_t msg_id)
{
    uint64_t seconds = msg_id >> 32, fraction = msg_id & 0xffffffffu;

    return (int64_t)(seconds * 1000000 + (fraction * 1000000 >> 32));
}

void mt_seen_init(struct mt_seen *s, size_t max)
{
    assert(max > 0);
    *s = (struct mt_seen){ .max = max };
}

void mt_seen_done(struct mt_seen *s)
{
    free(s->at);
    *s = (struct mt_seen){ .max = s->max };
}

void mt_seen_clear(struct mt_seen *s)
{
    s->head = s->n = 0;
    s->floor = 0;
}

size_t mt_seen_rank(const struct mt_seen *s, uint64_t id)
{
    size_t low = 0, high = s->n;

    if (s->n && s->at[s->head + s->n - 1].id < id) /* the usual case: newer than all */
        return s->n;
    while (low < high) {
        size_t mid = low + (high - low) / 2;

        if (s->at[s->head + mid].id < id)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

struct mt_seen_entry *mt_seen_find(const struct mt_seen *s, uint64_t id)
{
    size_t rank = mt_seen_rank(s, id);

    return rank < s->n && s->at[s->head + rank].id == id ? &s->at[s->head + rank] : NULL;
}

enum mt_seen_answer mt_seen_check(const struct mt_seen *s, uint64_t id)
{
    if (mt_seen_find(s, id))
        return MT_SEEN_DUPLICATE;
    if (id <= s->floor || (s->n == s->max && id < s->at[s->head].id))
        return MT_SEEN_TOO_OLD;
    return MT_SEEN_NEW;
}

static bool widen(struct mt_seen *s)
{
    size_t cap = TG_MIN(TG_MAX(2 * s->cap, (size_t)16), 2 * s->max);
    struct mt_seen_entry *wider = realloc(s->at, cap * sizeof *wider);

    if (!wider)
        return false;
    s->at = wider;
    s->cap = cap;
    return true;
}

enum mt_seen_answer mt_seen_add(struct mt_seen *s, uint64_t id, uint32_t seq_no)
{
    enum mt_seen_answer known = mt_seen_check(s, id);
    struct mt_seen_entry *at;
    size_t rank;

    if (known != MT_SEEN_NEW)
        return known;
    if (s->head + s->n == s->cap && s->cap < 2 * s->max && !widen(s))
        return MT_SEEN_NOMEM;
    if (s->n == s->max) {
        s->floor = s->at[s->head].id;
        s->head++;
        s->n--;
    }
    if (s->head + s->n == 2 * s->max) { /* once per `max` ids */
        memmove(s->at, s->at + s->head, s->n * sizeof *s->at);
        s->head = 0;
    }
    rank = mt_seen_rank(s, id);
    at = s->at + s->head + rank;
    memmove(at + 1, at, (s->n - rank) * sizeof *at);
    *at = (struct mt_seen_entry){ .id = id, .seq_no = seq_no };
    s->n++;
    return MT_SEEN_NEW;
}

void mt_seen_remove(struct mt_seen *s, uint64_t id)
{
    struct mt_seen_entry *at = mt_seen_find(s, id);

    if (!at)
        return;
    memmove(at, at + 1, (size_t)(s->at + s->head + s->n - (at + 1)) * sizeof *at);
    s->n--;
}

uint8_t mt_seen_state(const struct mt_seen *s, uint64_t id)
{
    if (mt_seen_find(s, id))
        return MT_STATE_RECEIVED;
    if (id <= s->floor)
        return MT_STATE_UNKNOWN;
    if (s->n == 0 || id > s->at[s->head + s->n - 1].id)
        return MT_STATE_TOO_HIGH;
    return MT_STATE_NOT_RECEIVED;
}

/* SPDX-License-Identifier: MIT */
/*
 * recv.c - see recv.h
 */
#include "mtproto/recv.h"

#include <assert.h>
#include <stdlib.h>

enum {
    COMPACT_FREE = 4 * 1024, /* moving that little is always cheaper than growing */
    SMALL_RUN = 64,
};

void mt_recv_drop(struct mt_recv *r)
{
    if (r->data)
        explicit_bzero(r->data, r->cap);
    free(r->data);
    r->data = NULL;
    r->cap = r->len = r->at = 0;
}

/* Replaces the buffer by one of `cap` bytes that holds only what waits. */
static bool rebuild(struct mt_recv *r, size_t cap)
{
    size_t waiting = r->len - r->at;
    uint8_t *data = malloc(cap);

    assert(cap >= waiting && cap <= MT_RECV_MAX);
    if (!data)
        return false;
    if (waiting)
        memcpy(data, r->data + r->at, waiting);
    mt_recv_drop(r);
    r->data = data;
    r->cap = cap;
    r->len = waiting;
    return true;
}

bool mt_recv_reserve(struct mt_recv *r, size_t n)
{
    size_t waiting = r->len - r->at;
    size_t want;

    if (waiting == 0) {
        r->at = r->len = 0;
        if (r->small_run >= SMALL_RUN && r->cap > MT_RECV_ROOM) {
            r->small_run = 0;
            if (!rebuild(r, TG_MAX(r->cap / 2, (size_t)MT_RECV_ROOM)))
                return false;
        }
    }
    if (r->cap - r->len >= n)
        return true;
    if (__builtin_add_overflow(waiting, n, &want) || want > MT_RECV_MAX)
        return false;
    if (want <= r->cap && (waiting <= r->at || waiting <= COMPACT_FREE)) {
        memmove(r->data, r->data + r->at, waiting);
        r->at = 0;
        r->len = waiting;
        return true;
    }
    return rebuild(r, TG_MIN(TG_MAX(want, r->cap * 2), (size_t)MT_RECV_MAX));
}

/* SPDX-License-Identifier: MIT */
/*
 * change_look.c - what a job of changes remembers of chats and messages; see change_state.h
 */
#include <assert.h>

#include "etl/change_impl.h"

static void tell_chat(const struct change_chat *c, struct tg_change_chat *ret)
{
    *ret = (struct tg_change_chat){ c->id, c->owner, c->now.scan.to, c->now.scan.end,
                                    c->now.scan.scanned, c->now.doubted, c->top, 0 };
    for (size_t i = 0; i < c->windows.n; i++)
        ret->n += c->windows.at[i].n;
}

bool tg_change_chat(const struct tg_change_state *st, int64_t chat, struct tg_change_chat *ret)
{
    const struct change_chat *c = tg_change_chat_get(st, chat);

    if (c)
        tell_chat(c, ret);
    return c;
}

bool tg_change_chat_after(const struct tg_change_state *st, int64_t id, struct tg_change_chat *ret)
{
    size_t i = tg_change_chat_index(st, id);

    i += i < st->n_chats && st->chat[i]->id == id;
    if (i < st->n_chats)
        tell_chat(st->chat[i], ret);
    return i < st->n_chats;
}

/* Whether what is remembered of that id is true; *to is lowered to where that ends. */
static bool is_known(const struct tg_change_scan *scan, int64_t id, int64_t *to)
{
    if (scan->scanned || id > scan->end)
        return true;
    if (id <= scan->to) {
        *to = TG_MIN(*to, scan->to);
        return true;
    }
    *to = TG_MIN(*to, scan->end);
    return false;
}

/* The window with that id, in memory. */
static tg_code window_of(struct tg_change_state *st, struct change_chat *c, int64_t id,
                         size_t *ret, struct tg_error *err)
{
    size_t i = tg_change_windows_find(&c->windows, id);
    tg_code code = tg_change_window_need(st, c, i, err);

    if (code == TG_OK)
        *ret = i;
    return code;
}

tg_code tg_change_look(struct tg_change_state *st, int64_t chat, int64_t id,
                       enum tg_change_known *ret, struct tg_signature *ret_signature,
                       struct tg_error *err)
{
    struct change_chat *c = tg_change_chat_get(st, chat);
    struct tg_signature found = { 0 };
    int64_t to = id;
    size_t i;
    tg_code code;
    bool there = false;

    if (c && id >= 1 && id <= TG_WINDOW_ID_MAX) {
        code = window_of(st, c, id, &i, err);
        if (code != TG_OK)
            return code;
        there = tg_change_window_look(&c->windows.at[i], id, &found);
    }
    *ret_signature = found;
    if (!c || !is_known(&c->now.scan, id, &to))
        *ret = TG_CHANGE_UNKNOWN;
    else
        *ret = there ? TG_CHANGE_KNOWN_THERE : TG_CHANGE_KNOWN_ABSENT;
    return TG_OK;
}

tg_code tg_change_find(struct tg_change_state *st, int64_t id, int64_t *ret_chat,
                       struct tg_error *err)
{
    struct tg_signature found;

    if (id >= 1 && id <= TG_WINDOW_ID_MAX)
        for (size_t k = 0; k < st->n_chats; k++) {
            struct change_chat *c = st->chat[k];
            size_t i;
            tg_code code;

            if (!c->owner || id > c->top)
                continue;
            code = window_of(st, c, id, &i, err);
            if (code != TG_OK)
                return code;
            if (tg_change_window_look(&c->windows.at[i], id, &found)) {
                *ret_chat = c->id;
                return TG_OK;
            }
        }
    *ret_chat = 0;
    return TG_OK;
}

tg_code tg_change_range(struct tg_change_state *st, int64_t chat, int64_t from, int64_t *to,
                        struct tg_signatures *ret, bool *ret_known, struct tg_error *err)
{
    struct change_chat *c = tg_change_chat_get(st, chat);
    int64_t end = TG_MIN(*to, TG_WINDOW_ID_MAX);
    struct tg_signatures all;
    struct tg_window_owner of;
    size_t i;
    tg_code code;

    assert(from >= 1 && from <= end);
    if (!c) {
        *ret = (struct tg_signatures){ from, end, NULL, 0 };
        *ret_known = false;
        *to = end;
        return TG_OK;
    }
    code = window_of(st, c, from, &i, err);
    if (code != TG_OK)
        return code;
    of = tg_change_owner(c);
    code = tg_change_window_view(&c->windows, i, &of, UINT64_MAX, &st->room, &all, err);
    if (code != TG_OK)
        return code;
    if (all.n > TG_WINDOW_MAX) {
        all = tg_signatures_slice(all, from, all.to);
        all = tg_window_first(all, TG_WINDOW_MAX);
    }
    end = TG_MIN(end, all.to);
    *ret_known = is_known(&c->now.scan, from, &end);
    *to = end;
    *ret = all;
    return TG_OK;
}

void tg_change_usage(const struct tg_change_state *st, struct tg_change_usage *ret)
{
    *ret = (struct tg_change_usage){ .packed = st->room.packed, .beside = st->room.beside,
                                     .journal = st->journal, .loads = st->n_loads,
                                     .evictions = st->n_evictions,
                                     .compactions = st->n_compactions };
    for (size_t k = 0; k < st->n_chats; k++) {
        const struct tg_change_windows *ws = &st->chat[k]->windows;

        ret->windows += ws->n;
        for (size_t i = 0; i < ws->n; i++) {
            ret->messages += ws->at[i].n;
            ret->stored += ws->at[i].stored_len + 16;
        }
    }
}

const char *tg_change_doubt(const struct tg_change_state *st)
{
    return st->doubt;
}

size_t tg_change_n_doubted(const struct tg_change_state *st)
{
    return st->n_doubted;
}

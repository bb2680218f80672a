/* SPDX-License-Identifier: MIT */
/*
 * change_state.c - see change_state.h
 */
#include "etl/change_state.h"

#include <assert.h>
#include <stdlib.h>

#include "etl/change_impl.h"

enum { MEMORY = 32 << 20 };

static const struct change_scan unknown = { { 0, INT64_MAX, false }, false };

/* ---- chats and boxes ---- */

size_t tg_change_chat_index(const struct tg_change_state *st, int64_t id)
{
    size_t low = 0, high = st->n_chats;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (st->chat[middle]->id < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct change_chat *tg_change_chat_get(const struct tg_change_state *st, int64_t id)
{
    size_t i = st->last_chat;

    if (i >= st->n_chats || st->chat[i]->id != id)
        i = tg_change_chat_index(st, id);
    return i < st->n_chats && st->chat[i]->id == id ? st->chat[i] : NULL;
}

/* Room for one more. @return false: no memory */
static bool grow(struct tg_change_state *st, void **at, size_t n, size_t *cap, size_t size)
{
    size_t more = TG_MAX(16, *cap + *cap / 2);
    void *moved;

    if (n < *cap)
        return true;
    moved = reallocarray(*at, more, size);
    if (!moved) {
        st->no_memory = true;
        return false;
    }
    st->room.beside += (more - *cap) * size;
    *at = moved;
    *cap = more;
    return true;
}

void tg_change_chat_free(struct change_chat *c, struct tg_change_room *room)
{
    if (c)
        tg_change_windows_done(&c->windows, room);
    free(c);
}

static struct change_chat *chat_new(struct tg_change_state *st, int64_t id, int64_t owner,
                                    uint64_t born)
{
    struct change_chat *c = calloc(1, sizeof *c);

    if (!c || !tg_change_windows_begin(&c->windows, &st->room)) {
        free(c);
        st->no_memory = true;
        return NULL;
    }
    c->id = id;
    c->owner = owner;
    c->born = born;
    c->now = c->kept = unknown;
    c->head_dirty = true;
    st->room.beside += sizeof *c;
    return c;
}

struct change_chat *tg_change_chat_obtain(struct tg_change_state *st, int64_t id, int64_t owner,
                                          uint64_t born)
{
    struct change_chat *c = tg_change_chat_get(st, id);
    size_t i;
    void *at = st->chat;

    assert(id);
    if (c)
        return c;
    if (!grow(st, &at, st->n_chats, &st->cap_chats, sizeof(struct change_chat *)))
        return NULL;
    st->chat = at;
    c = chat_new(st, id, owner, born);
    if (!c)
        return NULL;
    i = tg_change_chat_index(st, id);
    memmove(st->chat + i + 1, st->chat + i, (st->n_chats - i) * sizeof *st->chat);
    st->chat[i] = c;
    st->n_chats++;
    return c;
}

void tg_change_forget_chats(struct tg_change_state *st)
{
    for (size_t i = 0; i < st->n_chats; i++)
        tg_change_chat_free(st->chat[i], &st->room);
    st->n_chats = st->n_doubted = 0;
}

static struct change_box *box_get(const struct tg_change_state *st, int64_t channel, size_t *ret_at)
{
    size_t low = 0, high = st->n_boxes;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (st->box[middle].channel < channel)
            low = middle + 1;
        else
            high = middle;
    }
    *ret_at = low;
    return low < st->n_boxes && st->box[low].channel == channel ? &st->box[low] : NULL;
}

static struct change_box *box_obtain(struct tg_change_state *st, int64_t channel)
{
    size_t i;
    struct change_box *box = box_get(st, channel, &i);
    void *at = st->box;

    if (box)
        return box;
    if (!grow(st, &at, st->n_boxes, &st->cap_boxes, sizeof *st->box))
        return NULL;
    st->box = at;
    memmove(st->box + i + 1, st->box + i, (st->n_boxes - i) * sizeof *st->box);
    st->n_boxes++;
    st->box[i] = (struct change_box){ .channel = channel };
    return &st->box[i];
}

void tg_change_box_load(struct tg_change_state *st, int64_t channel,
                        const struct tg_update_state *at)
{
    struct change_box *box = box_obtain(st, channel);

    if (box)
        *box = (struct change_box){ channel, *at, *at, true, true };
}

void tg_change_forget_boxes(struct tg_change_state *st)
{
    st->n_boxes = 0;
}

/* ---- doubts ---- */

static void set_scan(struct tg_change_state *st, struct change_chat *c, struct change_scan now)
{
    st->n_doubted += now.doubted;
    st->n_doubted -= c->now.doubted;
    c->now = now;
}

void tg_change_doubt_chat(struct tg_change_state *st, struct change_chat *c)
{
    struct change_scan doubted = unknown;

    doubted.doubted = true;
    set_scan(st, c, doubted);
    c->kept = doubted;
    c->doubt_seq = c->scan_seq;
    c->head_dirty = true;
    st->doubt_new = true;
}

/* Of a chat that is doubted only a scan that reads all from its beginning counts. */
static bool scan_counts(const struct change_scan *before, const struct tg_change_scan *scan)
{
    return !before->doubted || (scan->to == 0 && !scan->scanned);
}

/* ---- changes ---- */

static void put_late(struct tg_change_state *st, struct change_late late)
{
    void *at = st->late;

    if (st->late_at && st->late_at == st->n_late)
        st->late_at = st->n_late = 0;
    if (st->late_at > st->cap_late / 2) {
        st->n_late -= st->late_at;
        memmove(st->late, st->late + st->late_at, st->n_late * sizeof *st->late);
        st->late_at = 0;
    }
    if (!grow(st, &at, st->n_late, &st->cap_late, sizeof *st->late))
        return;
    st->late = at;
    st->late[st->n_late++] = late;
}

static void apply_message(struct tg_change_state *st, struct change_chat *c,
                          const struct tg_change_item *item, uint64_t seq)
{
    const struct tg_signature *s = &item->signature;
    struct tg_change_op op = { s->id, s->edit_date, s->content, s->reactions,
                               item->kind == TG_CHANGE_ITEM_MESSAGE, seq };
    size_t i = tg_change_windows_find(&c->windows, s->id);
    struct tg_change_window *w = &c->windows.at[i];
    struct tg_window_owner of = tg_change_owner(c);
    struct tg_error err;

    c->top = TG_MAX(c->top, s->id);
    if (!tg_change_window_put(w, &op, &st->room)) {
        st->no_memory = true;
        return;
    }
    if (w->n_ops < w->merge_at || !tg_change_window_loaded(w))
        return;
    if (tg_change_window_merge(&c->windows, i, &of, st->committed, &st->room, &err) != TG_OK)
        st->no_memory = true;
    tg_change_evict(st, &c->windows.at[i]);
}

static void apply_scan(struct tg_change_state *st, struct change_chat *c,
                       const struct tg_change_item *item, uint64_t seq)
{
    if (seq <= c->doubt_seq && seq < st->next)
        return; /* said before the doubt */
    c->scan_seq = seq;
    if (!scan_counts(&c->now, &item->scan))
        return;
    set_scan(st, c, (struct change_scan){ item->scan, false });
    put_late(st, (struct change_late){ seq, 0, *item });
}

static void apply_box(struct tg_change_state *st, const struct tg_change_item *item, uint64_t seq)
{
    struct change_box *box = box_obtain(st, item->chat);

    if (!box)
        return;
    box->now_there = item->kind == TG_CHANGE_ITEM_BOX;
    if (box->now_there)
        box->now = item->box;
    put_late(st, (struct change_late){ seq, 0, *item });
}

void tg_change_apply(struct tg_change_state *st, const struct tg_change_item *item, uint64_t seq)
{
    struct change_chat *c;

    if (item->kind == TG_CHANGE_ITEM_BOX || item->kind == TG_CHANGE_ITEM_NO_BOX) {
        apply_box(st, item, seq);
        return;
    }
    c = tg_change_chat_obtain(st, item->chat, item->owner, seq);
    if (!c)
        return;
    if (item->kind == TG_CHANGE_ITEM_SCAN)
        apply_scan(st, c, item, seq);
    else
        apply_message(st, c, item, seq);
}

static void change(struct tg_change_state *st, const struct tg_change_item *item)
{
    tg_change_note_add(&st->note, item);
    tg_change_apply(st, item, st->next);
}

void tg_change_put_box(struct tg_change_state *st, int64_t channel,
                       const struct tg_update_state *box)
{
    change(st, &(struct tg_change_item){ TG_CHANGE_ITEM_BOX, channel, 0, { .box = *box } });
}

void tg_change_drop_box(struct tg_change_state *st, int64_t channel)
{
    change(st, &(struct tg_change_item){ TG_CHANGE_ITEM_NO_BOX, channel, 0, { { { 0 }, 0 } } });
}

void tg_change_put(struct tg_change_state *st, int64_t chat, int64_t owner,
                   const struct tg_signature *signature)
{
    assert(signature->id >= 1 && signature->id <= TG_WINDOW_ID_MAX);
    change(st, &(struct tg_change_item){ TG_CHANGE_ITEM_MESSAGE, chat, owner,
                                         { .signature = *signature } });
}

void tg_change_drop(struct tg_change_state *st, int64_t chat, int64_t owner, int64_t id)
{
    assert(id >= 1 && id <= TG_WINDOW_ID_MAX);
    change(st, &(struct tg_change_item){ TG_CHANGE_ITEM_DELETED, chat, owner,
                                         { .signature = { .id = id } } });
}

void tg_change_put_scan(struct tg_change_state *st, int64_t chat, int64_t owner,
                        int64_t scanned_to, int64_t scan_end, bool scanned)
{
    const struct change_chat *c = tg_change_chat_get(st, chat);

    if (c && c->now.doubted)
        scan_end = TG_MAX(scan_end, c->top);
    else if (c && !c->now.scan.scanned && c->now.scan.end < INT64_MAX)
        scan_end = TG_MAX(scan_end, c->now.scan.end);
    change(st, &(struct tg_change_item){ TG_CHANGE_ITEM_SCAN, chat, owner,
                                         { .scan = { scanned_to, scan_end, scanned } } });
}

/* ---- entries ---- */

bool tg_change_entry_any(const struct tg_change_state *st)
{
    return st->note.any;
}

size_t tg_change_entry_size(const struct tg_change_state *st)
{
    return st->note.out.len;
}

tg_code tg_change_entry_end(struct tg_change_state *st, struct tg_arena *arena, struct tg_str *ret,
                            struct tg_error *err)
{
    struct tg_change_note *note = &st->note;
    uint64_t sum;
    char *at;

    sum = tg_change_note_finish(note, st->next, st->sum);
    put_late(st, (struct change_late){ .seq = st->next, .sum = sum });
    if (note->out.failed && note->out.len > TG_CHANGE_NOTE_MAX / 2)
        return tg_fail(err, TG_LIMIT, "too many changes in one batch");
    if (st->no_memory || note->out.failed)
        return tg_fail(err, TG_NOMEM, "what is remembered of changes");
    at = tg_arena_copy(arena, note->out.data, note->out.len);
    if (!at)
        return tg_fail(err, TG_NOMEM, "what is remembered of changes");
    *ret = (struct tg_str){ at, (uint32_t)note->out.len };
    st->journal += note->out.len;
    st->sum = sum;
    st->next++;
    tg_change_note_begin(note, st->of);
    return TG_OK;
}

static void keep(struct tg_change_state *st, const struct change_late *late)
{
    const struct tg_change_item *item = &late->item;
    struct change_chat *c;
    struct change_box *box;
    size_t at;

    if (late->sum) {
        st->committed_sum = late->sum;
        return;
    }
    if (item->kind == TG_CHANGE_ITEM_SCAN) {
        c = tg_change_chat_get(st, item->chat);
        if (!c || late->seq <= c->doubt_seq || !scan_counts(&c->kept, &item->scan))
            return;
        c->kept = (struct change_scan){ item->scan, false };
        c->head_dirty = true;
        return;
    }
    box = box_get(st, item->chat, &at);
    if (!box)
        return;
    box->kept_there = item->kind == TG_CHANGE_ITEM_BOX;
    if (box->kept_there)
        box->kept = item->box;
}

void tg_change_committed(struct tg_change_state *st, uint64_t commit_seq)
{
    assert(commit_seq < st->next);
    st->committed = TG_MAX(st->committed, commit_seq);
    while (st->late_at < st->n_late && st->late[st->late_at].seq <= commit_seq)
        keep(st, &st->late[st->late_at++]);
}

/* ---- asking ---- */

bool tg_change_box(const struct tg_change_state *st, int64_t channel, struct tg_update_state *ret)
{
    size_t at;
    const struct change_box *box = box_get(st, channel, &at);

    if (!box || !box->now_there)
        return false;
    *ret = box->now;
    return true;
}

/* ---- life ---- */

void tg_change_state_free(struct tg_change_state *st)
{
    if (!st)
        return;
    tg_change_forget_chats(st);
    tg_change_room_done(&st->room);
    tg_buf_done(&st->note.out);
    free(st->chat);
    free(st->box);
    free(st->late);
    free(st->job);
    free(st);
}

tg_code tg_change_state_open(const struct tg_change_state_options *options,
                             struct tg_change_state **ret, struct tg_error *err)
{
    struct tg_change_state *st = calloc(1, sizeof *st);
    tg_code code;

    if (!st)
        return tg_fail(err, TG_NOMEM, "what is remembered of changes");
    st->store = options->store;
    st->job = strdup(options->job);
    st->of = tg_change_of(options->job, options->fields);
    st->fence = options->fence;
    st->memory_max = options->memory_max ? options->memory_max : MEMORY;
    st->journal_fixed = options->journal_max;
    st->committed = options->commit_seq;
    st->next = options->commit_seq + 1;
    tg_buf_init(&st->note.out, TG_CHANGE_NOTE_MAX);
    tg_change_note_begin(&st->note, st->of);
    code = st->job ? tg_change_load(st, options->commit_seq, options->unix_us, err)
                   : tg_fail(err, TG_NOMEM, "what is remembered of changes");
    if (code == TG_OK && st->no_memory)
        code = tg_fail(err, TG_NOMEM, "what is remembered of changes");
    if (code != TG_OK) {
        tg_change_state_free(st);
        return code;
    }
    *ret = st;
    return TG_OK;
}

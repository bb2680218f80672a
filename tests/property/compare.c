/* SPDX-License-Identifier: MIT */
/*
 * compare.c - delta runs over changing chats against a model, over many seeds
 *
 * A world's messages are posted, edited, deleted and reacted to, between runs and between the pages
 * of one. A run compares ranges cut anywhere with what is stored, is shown short pages, has some of
 * its questions after suspected deletions left unanswered, and is killed at any write: of the head,
 * of a window, at the destination. Between runs the stored state is broken now and then: bytes
 * flipped, windows lost, older ones put back, two exchanged, the head lost.
 *
 *   every item is what the model says of two versions, and nothing is missing
 *   the state is trusted if, and only if, it is the one that was written
 *   in the end, after a run that nothing disturbs, the destination and the state equal the world
 *
 * TG_SEED=N runs one seed alone, TG_SEEDS=N so many.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "flow/compare.h"
#include "tests/seeds.h"

enum { SEEDS = 10000, IDS = 400, WINDOWS = IDS + 1, OLD = 16 };

static uint64_t seed;
static uint64_t seen[TG_CHANGES], n_kills, n_broken, n_runs;

/* ---- what there is ---- */

/* A message, or none: content 0. */
struct message {
    uint32_t content, edit_date, reactions;
};

struct blob {
    int64_t from;
    uint8_t *bytes;
    size_t len, room;
};

struct store {
    uint8_t head[TG_WINDOW_HEAD_BYTES];
    struct blob blob[WINDOWS]; /* ascending */
    size_t n;
};

struct world {
    struct random r;
    struct message message[IDS + 1], destination[IDS + 1];
    struct message stored[IDS + 1]; /* what the state must say */
    bool unknown[IDS + 1];          /* the destination may have another than that */
    int64_t top;                    /* highest id ever given out */
    struct store store, written;    /* as it is, and as it was written */
    struct blob old[OLD];           /* windows as they were once */
    size_t n_old;
    size_t cut;                     /* messages of a window */
    uint32_t changes;               /* how lively it is */
    uint32_t hidden, silent;        /* percent: left out of pages; not answered */
    uint32_t kinds;                 /* of reactions: with few, they soon are what they were */
    bool disturbed;                 /* short pages, missing answers, changes while reading */
    int64_t kill_in;                /* writes until the process is killed; < 0: not */
    struct tg_compare compare;
    struct tg_compare_stats stats;
    bool dead;
    struct blob undo;               /* the window on the other side of the last write: as it was
                                       before, or as it was meant to be; bytes NULL: none */
    bool torn;                      /* killed while a state that was not trusted was removed */
};

static const struct tg_window_owner of = { -1001, 0, 0, TG_SIGNATURE_FIELDS };

static struct tg_signature signature_of(int64_t id, const struct message *m)
{
    return (struct tg_signature){ id, m->edit_date,
                                  m->content * UINT64_C(0x9e3779b97f4a7c15), m->reactions };
}

/* ---- what happens ---- */

static void happen(struct world *w)
{
    int64_t id = 1 + below(&w->r, (uint32_t)TG_MAX(w->top, 1));
    struct message *m = &w->message[id];
    uint32_t what = below(&w->r, 100);

    if (what < 30) {
        if (w->top < IDS)
            w->message[++w->top] = (struct message){ 1 + below(&w->r, 3), 0, below(&w->r, 2) };
    } else if (!m->content) {
        return;
    } else if (what < 55) {
        m->content = 1 + (m->content + below(&w->r, 2)) % 3; /* may come back to what it was */
        m->edit_date += 1 + below(&w->r, 9);
    } else if (what < 75) {
        *m = (struct message){ 0 };
    } else {
        m->reactions = (m->reactions + 1) % w->kinds; /* as well */
        m->edit_date += what < 80;
    }
}

static void happen_some(struct world *w, uint32_t most)
{
    for (uint32_t n = below(&w->r, most + 1); n; n--)
        happen(w);
}

/* ---- writes, any of which may be the last ---- */

static bool alive(struct world *w)
{
    if (!w->dead && w->kill_in >= 0 && w->kill_in-- == 0) {
        w->dead = true;
        n_kills++;
    }
    return !w->dead;
}

static void head_bytes(const struct tg_window_head *head, uint8_t bytes[TG_WINDOW_HEAD_BYTES])
{
    struct tg_buf out;

    tg_buf_init(&out, TG_WINDOW_HEAD_BYTES);
    tg_window_head_put(&of, head, &out);
    assert_int_equal(out.len, TG_WINDOW_HEAD_BYTES);
    memcpy(bytes, out.data, TG_WINDOW_HEAD_BYTES);
    tg_buf_done(&out);
}

/* A head that is not to be read is begun anew. */
static struct tg_window_head read_head(const struct store *s)
{
    struct tg_window_head head;
    struct tg_error err = { 0 };

    if (tg_window_head_take(&of, s->head, sizeof s->head, &head, &err) != TG_OK)
        tg_window_reset(&head);
    return head;
}

static void write_head(struct world *w, const struct tg_window_head *head)
{
    if (alive(w)) {
        head_bytes(head, w->store.head);
        memcpy(w->written.head, w->store.head, sizeof w->written.head);
    }
}

static bool head_is(const struct store *s, const struct tg_window_head *head)
{
    uint8_t bytes[TG_WINDOW_HEAD_BYTES];

    head_bytes(head, bytes);
    return memcmp(s->head, bytes, sizeof bytes) == 0;
}

static void blob_put(struct store *s, int64_t from, const void *bytes, size_t len)
{
    size_t k = 0;

    while (k < s->n && s->blob[k].from < from)
        k++;
    if (k == s->n || s->blob[k].from != from) {
        assert_true(s->n < WINDOWS);
        memmove(&s->blob[k + 1], &s->blob[k], (s->n++ - k) * sizeof *s->blob);
        s->blob[k].bytes = NULL;
    }
    free(s->blob[k].bytes);
    s->blob[k] = (struct blob){ from, malloc(len + 1), len, len + 1 };
    assert_non_null(s->blob[k].bytes);
    memcpy(s->blob[k].bytes, bytes, len);
}

static void blob_drop(struct store *s, size_t k)
{
    free(s->blob[k].bytes);
    memmove(&s->blob[k], &s->blob[k + 1], (--s->n - k) * sizeof *s->blob);
}

static void store_clear(struct store *s)
{
    while (s->n)
        blob_drop(s, s->n - 1);
}

static bool same_store(const struct store *a, const struct store *b)
{
    bool same = a->n == b->n && memcmp(a->head, b->head, sizeof a->head) == 0;

    for (size_t i = 0; same && i < a->n; i++)
        same = a->blob[i].len == b->blob[i].len &&
               memcmp(a->blob[i].bytes, b->blob[i].bytes, a->blob[i].len) == 0;
    return same;
}

/* The model of what is stored, as of the signatures of a window that was written. */
static void note_window(struct world *w, struct tg_signatures s)
{
    size_t k = 0;

    for (int64_t id = s.from; id <= s.to; id++) {
        bool is = k < s.n && s.at[k].id == id;

        if (is != !!w->stored[id].content)
            fail_msg("the state of %lld is not what it should be", (long long)id);
        if (is) {
            struct tg_signature want = signature_of(id, &w->stored[id]);

            assert_int_equal(tg_signature_differs(&want, &s.at[k++]), 0);
        }
    }
    assert_int_equal(k, s.n);
}

/* Remembers what stands where a window is written next. */
static void note_undo(struct world *w, int64_t from)
{
    free(w->undo.bytes);
    w->undo = (struct blob){ .from = from };
    for (size_t k = 0; k < w->written.n; k++)
        if (w->written.blob[k].from == from) {
            w->undo.len = w->written.blob[k].len;
            w->undo.bytes = malloc(w->undo.len + 1);
            assert_non_null(w->undo.bytes);
            memcpy(w->undo.bytes, w->written.blob[k].bytes, w->undo.len);
        }
}

static bool write_window(struct world *w, struct tg_window_head *head, uint64_t old_sum,
                         struct tg_signatures s, int64_t top)
{
    struct tg_buf out;
    uint64_t sum;

    tg_buf_init(&out, TG_WINDOW_BYTES);
    sum = tg_window_put(&of, s, &out);
    assert_false(out.failed);
    tg_window_replace(head, old_sum, sum, top);
    write_head(w, head);
    if (alive(w)) {
        if (w->n_old < OLD && chance(&w->r, 10)) {
            w->old[w->n_old] = (struct blob){ s.from, malloc(out.len), out.len, out.len };
            memcpy(w->old[w->n_old++].bytes, out.data, out.len);
        }
        note_undo(w, s.from);
        blob_put(&w->store, s.from, out.data, out.len);
        blob_put(&w->written, s.from, out.data, out.len);
    } else if (head_is(&w->store, head)) {
        free(w->undo.bytes);
        w->undo = (struct blob){ s.from, malloc(out.len), out.len, out.len };
        assert_non_null(w->undo.bytes);
        memcpy(w->undo.bytes, out.data, out.len);
    }
    tg_buf_done(&out);
    return !w->dead;
}

/* ---- a piece of a run ---- */

static void check_item(const struct world *w, const struct tg_compare_item *i,
                       const struct message *now)
{
    const struct message *was = &w->stored[i->id];
    enum tg_change want = TG_CHANGE_SAME;

    if (!now->content)
        want = i->kind == TG_CHANGE_DELETED ? TG_CHANGE_DELETED : TG_CHANGE_SUSPECTED;
    else if (!w->compare.known)
        want = TG_CHANGE_READ;
    else if (!was->content)
        want = TG_CHANGE_NEW;
    else if (now->content != was->content ||
             (now->edit_date != was->edit_date && now->reactions == was->reactions))
        want = TG_CHANGE_EDITED;
    else if (now->reactions != was->reactions)
        want = TG_CHANGE_REACTIONS;
    if (i->kind != want)
        fail_msg("%lld is told %s, is %s", (long long)i->id, tg_change_name[i->kind],
                 tg_change_name[want]);
}

/* What the server shows of from..to. */
static size_t read_page(struct world *w, int64_t from, int64_t to, struct message *page,
                        struct tg_signature *now)
{
    size_t n = 0;

    for (int64_t id = from; id <= to; id++) {
        page[id] = w->message[id];
        if (w->disturbed && chance(&w->r, w->hidden))
            page[id] = (struct message){ 0 };
        if (page[id].content)
            now[n++] = signature_of(id, &page[id]);
    }
    return n;
}

static void confirm_all(struct world *w, struct message *page)
{
    for (size_t k = 0; k < w->compare.n; k++) {
        int64_t id = w->compare.item[k].id;
        struct tg_signature now = signature_of(id, &w->message[id]);

        if (w->compare.item[k].kind != TG_CHANGE_SUSPECTED ||
            (w->disturbed && chance(&w->r, w->silent)))
            continue;
        assert_non_null(tg_compare_confirm(&w->compare, id, w->message[id].content ? &now : NULL));
        page[id] = w->message[id];
        assert_null(tg_compare_confirm(&w->compare, id, NULL));
    }
}

/* All items of the range are right, and every id that was or is there has one. */
static void check_items(struct world *w, const struct message *page)
{
    const struct tg_compare *c = &w->compare;
    size_t k = 0, suspected = 0;

    for (int64_t id = c->from; id <= c->to; id++) {
        if (!page[id].content && !w->stored[id].content)
            continue;
        assert_true(k < c->n && c->item[k].id == id);
        check_item(w, &c->item[k], &page[id]);
        suspected += c->item[k++].kind == TG_CHANGE_SUSPECTED;
    }
    assert_int_equal(k, c->n);
    assert_int_equal(suspected, c->n_suspected);
}

static bool anything(const struct tg_compare *c)
{
    for (size_t i = 0; i < c->n; i++)
        if (tg_change_delivered(c->item[i].kind))
            return true;
    return !c->known;
}

static void deliver(struct world *w, const struct message *page)
{
    const struct tg_compare *c = &w->compare;
    size_t k = 0;

    for (int64_t id = c->from; id <= c->to; id++) {
        bool is = k < c->n && c->item[k].id == id;

        if (is && tg_change_delivered(c->item[k].kind))
            w->destination[id] = page[id];
        else if (!is && !c->known)
            w->destination[id] = (struct message){ 0 };
        k += is;
    }
}

/* Compares, delivers; what is to be stored is in room then. @return false: killed */
static bool piece(struct world *w, struct tg_window_head *head, struct tg_signatures stored,
                  int64_t to, struct tg_signature *room, struct tg_signatures *next)
{
    struct message page[IDS + 1];
    struct tg_signature now[IDS];
    struct tg_signatures shown = { stored.from, to, now, 0 };
    struct tg_error err = { 0 };
    bool known;

    shown.from = next->to + 1; /* behind the piece before */
    known = tg_window_known(head, shown.from, &shown.to);
    shown.n = read_page(w, shown.from, shown.to, page, now);
    assert_int_equal(tg_compare_run(&w->compare, stored, known, shown, &err), TG_OK);
    confirm_all(w, page);
    check_items(w, page);
    next->to = shown.to;
    if (anything(&w->compare)) {
        tg_window_open(head, shown.from, shown.to);
        write_head(w, head);
        if (!alive(w)) /* some of it, all, or nothing */
            return false;
        deliver(w, page);
        if (!alive(w))
            return false;
    }
    tg_compare_count(&w->compare, 1, &w->stats);
    for (size_t k = 0; k < w->compare.n; k++)
        if (w->compare.item[k].kind != TG_CHANGE_SUSPECTED)
            w->stored[w->compare.item[k].id] = page[w->compare.item[k].id];
    next->n = tg_compare_next(&w->compare, stored, room).n;
    if (w->disturbed)
        happen_some(w, 2);
    return true;
}

static int64_t cut_at(struct world *w, int64_t from, int64_t to)
{
    int64_t at = from + below(&w->r, chance(&w->r, 50) ? 10 : 120);

    return TG_MIN(to, at);
}

/* ---- a run ---- */

/* @return whether it is trusted */
static bool load(struct world *w, struct tg_window_head *head)
{
    static struct tg_signature room[TG_WINDOW_MAX];
    struct tg_window_extent chain = { 0 };
    struct tg_signatures s;
    struct tg_error err = { 0 };
    uint64_t sum;

    *head = read_head(&w->store);
    for (size_t i = 0; i < w->store.n; i++)
        if (tg_window_take(&of, w->store.blob[i].bytes, w->store.blob[i].len, room, &s, &sum,
                           &err) != TG_OK ||
            !tg_window_chain_add(&chain, s.from, s.to, sum))
            return false;
    return tg_window_chain_whole(&chain, head);
}

static void take(struct world *w, size_t k, struct tg_signature *room, struct tg_signatures *ret,
                 uint64_t *sum)
{
    struct tg_error err = { 0 };

    if (tg_window_take(&of, w->store.blob[k].bytes, w->store.blob[k].len, room, ret, sum, &err) !=
        TG_OK)
        fail_msg("%s", err.message);
}

/* Those ids that are stored: each window by itself, in pieces. */
static bool known_ids(struct world *w, struct tg_window_head *head)
{
    static struct tg_signature room[TG_WINDOW_MAX], second[2 * TG_WINDOW_MAX];

    for (size_t k = 0; k < w->store.n; k++) {
        struct tg_signatures s, next;
        uint64_t sum;

        take(w, k, room, &s, &sum);
        next = (struct tg_signatures){ s.from, s.from - 1, second, 0 };
        while (next.to < s.to) {
            int64_t from = next.to + 1;
            struct message before[IDS + 1];

            memcpy(before, w->stored, sizeof before);
            if (!piece(w, head, s, cut_at(w, from, s.to), second, &next)) {
                memcpy(w->stored, before, sizeof before);
                return false;
            }
            s.at = second;
            s.n = next.n;
            note_window(w, s);
            if (!write_window(w, head, sum, s, head->next.top)) {
                /* the window was not written: what it says is as before */
                memcpy(w->stored, before, sizeof before);
                return false;
            }
            sum = tg_le64(w->store.blob[k].bytes + w->store.blob[k].len - 8);
            if (w->compare.known || !w->compare.n_suspected)
                tg_window_close(head, from, next.to);
            memcpy(room, second, s.n * sizeof *room);
            s.at = room;
        }
    }
    return true;
}

/* Puts signatures behind the chain: into its last window while that is short. */
static bool append(struct world *w, struct tg_window_head *head, struct tg_signatures s)
{
    static struct tg_signature room[TG_WINDOW_MAX], joined[TG_WINDOW_MAX];
    struct tg_signatures last = { 0 }, part;
    uint64_t sum = 0;

    if (w->store.n)
        take(w, w->store.n - 1, room, &last, &sum);
    if (w->store.n && last.n < w->cut) {
        memcpy(joined, room, last.n * sizeof *room);
        if (s.n)
            memcpy(joined + last.n, s.at, s.n * sizeof *room);
        s = (struct tg_signatures){ last.from, s.to, joined, last.n + s.n };
    } else {
        sum = 0;
    }
    for (; s.from <= s.to; s = tg_signatures_slice(s, part.to + 1, s.to), sum = 0) {
        part = tg_window_first(s, w->cut);
        if (!write_window(w, head, sum, part, part.to))
            return false;
    }
    return true;
}

/* What a killed append left: the model follows what was written. */
static void forget_above(struct world *w, int64_t top)
{
    for (int64_t id = top + 1; id <= IDS; id++)
        w->stored[id] = (struct message){ 0 };
}

static bool new_ids(struct world *w, struct tg_window_head *head)
{
    static struct tg_signature room[2 * TG_WINDOW_MAX];
    int64_t high = w->top, from;

    while ((from = head->next.top + 1) <= high) {
        struct tg_signatures stored = { from, high, NULL, 0 };
        struct tg_signatures next = { from, from - 1, room, 0 };

        if (!piece(w, head, stored, cut_at(w, from, high), room, &next))
            return false;
        if (!append(w, head, next))
            return false;
        if (w->compare.known || !w->compare.n_suspected)
            tg_window_close(head, from, next.to);
    }
    if (head->unread_to) {
        for (int64_t id = high + 1; id <= IDS; id++)
            w->destination[id] = (struct message){ 0 };
        tg_window_close(head, head->next.top + 1, TG_WINDOW_ID_MAX);
        head->unread_to = 0;
    }
    return true;
}

/* Takes the model from what is stored. */
static void stored_again(struct world *w)
{
    struct tg_signature *room = malloc(TG_WINDOW_MAX * sizeof *room);
    struct tg_signatures s;
    uint64_t sum;

    forget_above(w, 0);
    for (size_t k = 0; k < w->store.n; k++) {
        take(w, k, room, &s, &sum);
        for (size_t i = 0; i < s.n; i++) {
            struct message m = { 1, (uint32_t)room[i].edit_date, room[i].reactions };

            while (signature_of(room[i].id, &m).content != room[i].content)
                m.content++;
            w->stored[room[i].id] = m;
        }
    }
    free(room);
}

/* Whether the fault undid the last window of a run that was killed right behind it, or did it where
 * it was killed right before: that is as if it had been killed on the other side, and nobody can
 * tell. */
static bool undone(struct world *w)
{
    struct blob undo = w->undo;
    struct tg_window_head head = read_head(&w->store);
    bool same;

    w->undo.bytes = NULL;
    note_undo(w, undo.from); /* it may come back */
    if (undo.bytes)
        blob_put(&w->written, undo.from, undo.bytes, undo.len);
    for (size_t k = 0; !undo.bytes && k < w->written.n; k++)
        if (w->written.blob[k].from == undo.from)
            blob_drop(&w->written, k);
    free(undo.bytes);
    same = same_store(&w->store, &w->written) &&
           memcmp(&head.now, &head.next, sizeof head.now) != 0;
    if (same)
        stored_again(w);
    return same;
}

/* Whether the state is what was written, or none at all, of which nothing is believed. */
static bool is_whole(struct world *w)
{
    struct tg_window_head none, head = read_head(&w->store);

    tg_window_reset(&none);
    if (!w->torn && same_store(&w->store, &w->written))
        return true;
    if (w->store.n || memcmp(&none, &head, sizeof none) != 0)
        return false;
    store_clear(&w->written);
    memcpy(w->written.head, w->store.head, sizeof w->written.head);
    forget_above(w, 0);
    w->torn = false;
    return true;
}

static void run(struct world *w)
{
    struct tg_window_head head;
    bool whole = is_whole(w), trusted = load(w, &head);

    n_runs++;
    w->dead = false;
    if (trusted && !whole)
        whole = undone(w);
    if (whole != trusted)
        fail_msg("the state is %s, and %s", whole ? "whole" : "broken",
                 trusted ? "trusted" : "not trusted");
    if (!trusted) {
        tg_window_reset(&head);
        write_head(w, &head);
        w->torn |= !w->dead;
        while (w->store.n && alive(w))
            blob_drop(&w->store, w->store.n - 1);
        if (w->dead)
            return; /* the rest is there still, and not trusted */
        store_clear(&w->written);
        forget_above(w, 0);
        w->torn = false;
    }
    if (known_ids(w, &head) && new_ids(w, &head)) {
        struct tg_window_head end = head;

        end.now = end.next;
        write_head(w, &end);
    }
    if (w->dead) { /* what is behind the last window that was written */
        struct tg_signature *room = malloc(TG_WINDOW_MAX * sizeof *room);
        struct tg_signatures last = { 0 };
        uint64_t sum;

        if (w->store.n)
            take(w, w->store.n - 1, room, &last, &sum);
        forget_above(w, last.to);
        free(room);
    }
}

/* ---- what goes wrong in between ---- */

static void break_state(struct world *w)
{
    struct store *s = &w->store;
    size_t k = s->n ? below(&w->r, (uint32_t)s->n) : 0;
    const struct blob *old = w->n_old ? &w->old[below(&w->r, (uint32_t)w->n_old)] : NULL;
    struct blob b;

    if (s->n && !s->blob[k].len)
        return;
    switch (below(&w->r, 6)) {
    case 0: /* a bit */
        if (s->n)
            s->blob[k].bytes[below(&w->r, (uint32_t)s->blob[k].len)] ^=
                (uint8_t)(1 << below(&w->r, 8));
        break;
    case 1: /* a window is lost */
        if (s->n)
            blob_drop(s, k);
        break;
    case 2: /* an older one */
        if (old)
            blob_put(s, old->from, old->bytes, old->len);
        break;
    case 3: /* cut off, or with more behind it */
        if (s->n && chance(&w->r, 50))
            s->blob[k].len -= 1 + below(&w->r, (uint32_t)s->blob[k].len);
        else if (s->n && s->blob[k].room > s->blob[k].len)
            s->blob[k].bytes[s->blob[k].len++] = 0;
        break;
    case 4: /* the head */
        if (s->n)
            s->head[below(&w->r, sizeof s->head)] ^= (uint8_t)(1 << below(&w->r, 8));
        break;
    default: /* two exchanged */
        if (s->n > 1 && k) {
            b = s->blob[k];
            s->blob[k] = s->blob[k - 1];
            s->blob[k - 1] = b;
            s->blob[k - 1].from = s->blob[k].from;
            s->blob[k].from = b.from;
        }
    }
    n_broken += !same_store(s, &w->written);
}

static void check_end(const struct world *w)
{
    for (int64_t id = 1; id <= IDS; id++) {
        if (memcmp(&w->destination[id], &w->message[id], sizeof w->message[id]) != 0)
            fail_msg("%lld at the destination: content %u edited %u reactions %u; is %u %u %u",
                     (long long)id, w->destination[id].content, w->destination[id].edit_date,
                     w->destination[id].reactions, w->message[id].content,
                     w->message[id].edit_date, w->message[id].reactions);
        if (memcmp(&w->stored[id], &w->message[id], sizeof w->message[id]) != 0)
            fail_msg("%lld is stored otherwise", (long long)id);
    }
}

static void run_seed(struct world *w)
{
    struct tg_window_head none;
    uint32_t deadly, breaking;

    memset(w, 0, sizeof *w);
    w->r.state = seed;
    w->cut = 1 + below(&w->r, chance(&w->r, 30) ? 4 : 60);
    w->changes = 1 + below(&w->r, chance(&w->r, 50) ? 60 : 600);
    w->hidden = below(&w->r, chance(&w->r, 50) ? 5 : 50);
    w->silent = below(&w->r, 80);
    w->kinds = 2 + below(&w->r, 2);
    deadly = below(&w->r, 80);
    breaking = chance(&w->r, 40) ? below(&w->r, 40) : 0;
    tg_window_reset(&none);
    head_bytes(&none, w->store.head);
    memcpy(w->written.head, w->store.head, sizeof w->written.head);
    for (uint32_t n = below(&w->r, 300); n; n--)
        happen(w);
    for (uint32_t n = 1 + below(&w->r, 8); n; n--) {
        w->disturbed = chance(&w->r, 60);
        w->kill_in = chance(&w->r, deadly) ? (int64_t)below(&w->r, 40) : -1;
        run(w);
        if (chance(&w->r, breaking))
            break_state(w);
        happen_some(w, w->changes);
    }
    w->disturbed = false;
    w->kill_in = -1;
    run(w);
    check_end(w);
    for (size_t i = 0; i < TG_CHANGES; i++)
        seen[i] += w->stats.n[i];
    w->stats = (struct tg_compare_stats){ 0 };
    run(w); /* and then there is nothing to do */
    assert_int_equal(w->stats.changes_detected, 0);
    check_end(w);
}

static void clear(struct world *w)
{
    store_clear(&w->store);
    store_clear(&w->written);
    while (w->n_old)
        free(w->old[--w->n_old].bytes);
    free(w->undo.bytes);
    tg_compare_done(&w->compare);
}

static void the_destination_equals_the_world(void **state)
{
    const char *one = getenv("TG_SEED"), *many = getenv("TG_SEEDS");
    uint64_t n = many ? strtoull(many, NULL, 10) : SEEDS;
    struct world *w = malloc(sizeof *w);

    (void)state;
    assert_non_null(w);
    seed = one ? strtoull(one, NULL, 10) : 1;
    for (uint64_t end = one ? seed + 1 : n + 1; seed < end; seed++) {
        run_seed(w);
        clear(w);
    }
    free(w);
    seed = 0;
    for (size_t i = 0; i < TG_CHANGES; i++)
        print_message("%llu %s, ", (unsigned long long)seen[i], tg_change_name[i]);
    print_message("%llu runs, %llu killed, state broken %llu times\n", (unsigned long long)n_runs,
                  (unsigned long long)n_kills, (unsigned long long)n_broken);
}

static int tell_seed(void **state)
{
    (void)state;
    if (seed)
        print_error("seed %llu: TG_SEED=%llu repeats it\n", (unsigned long long)seed,
                    (unsigned long long)seed);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(the_destination_equals_the_world, tell_seed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
/*
 * change_load.c - what is stored comes back, or is found to be damaged; see change_doc.h
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "etl/change_impl.h"

/* Of a newest document of that kind; it may be another than the one that is looked for. */
struct document {
    struct tg_buf bytes;
    uint64_t version; /* 0: there is none */
};

void tg_change_key(const struct tg_change_state *st, int64_t chat, int64_t from,
                   char out[TG_CHANGE_KEY_MAX])
{
    if (!chat)
        snprintf(out, TG_CHANGE_KEY_MAX, "%s", st->job);
    else if (!from)
        snprintf(out, TG_CHANGE_KEY_MAX, "%s/%" PRId64, st->job, chat);
    else
        snprintf(out, TG_CHANGE_KEY_MAX, "%s/%" PRId64 "/%" PRId64, st->job, chat, from);
}

struct search {
    uint64_t sum;
    struct tg_buf *bytes;
};

static bool on_version(void *ctx, const char *key, const struct tg_doc *doc, const void *bytes,
                       size_t len)
{
    struct search *s = ctx;

    (void)key, (void)doc;
    if (tg_change_doc_sum(bytes, len) != s->sum)
        return true;
    tg_buf_clear(s->bytes);
    tg_buf_add(s->bytes, bytes, len);
    return false;
}

/* Reads the version of a document that ends with that checksum, or the newest if there is no such.
 * sum 0: the newest. TG_END if there is none at all. */
static tg_code get(struct tg_change_state *st, int64_t chat, int64_t from, uint64_t sum,
                   struct document *ret, struct tg_error *err)
{
    const struct tg_store *store = st->store;
    struct search s = { sum, &ret->bytes };
    struct tg_doc doc = { 0 };
    char key[TG_CHANGE_KEY_MAX];
    tg_code code;

    tg_change_key(st, chat, from, key);
    code = store->ops->get(store->self, TG_CHANGE_KIND, key, &doc, &ret->bytes, err);
    ret->version = code == TG_OK ? doc.version : 0;
    if (code == TG_OK && sum && !ret->bytes.failed &&
        tg_change_doc_sum(ret->bytes.data, ret->bytes.len) != sum)
        code = store->ops->history(store->self, TG_CHANGE_KIND, key, on_version, &s, err);
    if (code == TG_OK && ret->bytes.failed)
        return tg_fail(err, TG_NOMEM, "a document of the job's state");
    return code;
}

/* ---- windows ---- */

tg_code tg_change_window_need(struct tg_change_state *st, struct change_chat *c, size_t i,
                              struct tg_error *err)
{
    struct tg_change_window *w = &c->windows.at[i];
    struct tg_window_owner of = tg_change_owner(c);
    struct document d = { .version = 0 };
    tg_code code;

    w->used = true;
    if (tg_change_window_loaded(w))
        return TG_OK;
    tg_buf_init(&d.bytes, TG_CHANGE_DOC_MAX);
    code = get(st, c->id, w->from, w->sum, &d, err);
    if (code == TG_OK) {
        w->version = d.version;
        w->version_known = true;
        st->n_loads++;
        code = tg_change_window_load(&c->windows, i, &of, d.bytes.data, d.bytes.len, &st->room,
                                     err);
    }
    tg_buf_done(&d.bytes);
    if (code == TG_END || code == TG_CORRUPT) {
        tg_change_window_empty(w, &st->room);
        tg_change_doubt_chat(st, c);
        code = TG_OK;
    }
    if (code == TG_OK)
        tg_change_evict(st, w);
    return code;
}

/* One that is as stored, and was not used since the hand came by last. */
static void evict(struct tg_change_state *st, struct tg_change_window *w)
{
    if (!w->bytes || tg_change_window_dirty(w))
        return;
    if (!w->used) {
        tg_change_window_unload(w, &st->room);
        st->n_evictions++;
    }
    w->used = false;
}

void tg_change_evict(struct tg_change_state *st, const struct tg_change_window *but)
{
    /* Twice around is enough; if that was not, not again before there is a good deal more. */
    size_t rounds = 0;

    if (st->room.packed <= TG_MAX(st->memory_max, st->packed_least))
        return;
    while (st->room.packed > st->memory_max && rounds < 3 && st->n_chats) {
        if (st->hand_chat >= st->n_chats) {
            st->hand_chat = 0;
            rounds++;
        }
        if (st->hand_window >= st->chat[st->hand_chat]->windows.n) {
            st->hand_window = 0;
            st->hand_chat++;
            continue;
        }
        if (&st->chat[st->hand_chat]->windows.at[st->hand_window] != but)
            evict(st, &st->chat[st->hand_chat]->windows.at[st->hand_window]);
        st->hand_window++;
    }
    st->packed_least = st->room.packed > st->memory_max ? st->room.packed + st->memory_max / 8 : 0;
}

/* ---- chats ---- */

static tg_code take_head(struct tg_change_state *st, struct change_chat *c,
                         const struct tg_change_head *head, struct tg_error *err)
{
    if (!tg_change_windows_reserve(&c->windows, head->n_windows, &st->room))
        return tg_fail(err, TG_NOMEM, "what is remembered of changes");
    c->windows.n = head->n_windows;
    for (uint32_t i = 0; i < head->n_windows; i++) {
        const struct tg_change_head_window *from = &head->window[i];

        c->windows.at[i] = (struct tg_change_window){
            .from = from->from, .sum = from->sum, .n = from->n, .len = from->len,
            .merge_at = TG_CHANGE_OPS, .stored = true, .stored_sum = from->sum,
            .stored_n = from->n, .stored_len = from->len,
        };
    }
    c->now = c->kept = (struct change_scan){ head->scan, head->doubted };
    st->n_doubted += head->doubted;
    c->top = head->top;
    /* Commits that were under way then, and were never made, have their numbers given anew. */
    c->scan_seq = c->doubt_seq = TG_MIN(head->doubt_seq, st->committed);
    c->head_dirty = false;
    return TG_OK;
}

static tg_code load_chat(struct tg_change_state *st, const struct tg_change_job_chat *listed,
                         struct tg_error *err)
{
    struct change_chat *c = tg_change_chat_obtain(st, listed->id, listed->owner, 0);
    struct document d = { .version = 0 };
    struct tg_change_head head;
    struct tg_arena arena;
    tg_code code;

    if (!c)
        return tg_fail(err, TG_NOMEM, "what is remembered of changes");
    tg_buf_init(&d.bytes, TG_CHANGE_DOC_MAX);
    tg_arena_init(&arena, 64 << 20);
    code = get(st, c->id, 0, listed->head_sum, &d, err);
    if (code == TG_OK) {
        c->version = d.version;
        c->version_known = true;
        if (tg_change_doc_sum(d.bytes.data, d.bytes.len) != listed->head_sum)
            code = TG_END;
        else
            code = tg_change_head_take(st->of.job, d.bytes.data, d.bytes.len, &arena, &head, err);
    }
    if (code == TG_OK && (head.chat != c->id || head.owner != c->owner))
        code = TG_END;
    if (code == TG_OK)
        code = take_head(st, c, &head, err);
    c->head_sum = listed->head_sum;
    c->have_head = true;
    if (code == TG_END || code == TG_CORRUPT) {
        tg_change_doubt_chat(st, c);
        code = TG_OK;
    }
    tg_arena_done(&arena);
    tg_buf_done(&d.bytes);
    return code;
}

/* ---- the whole ---- */

static void doubt(struct tg_change_state *st, const char *why)
{
    if (st->doubt)
        return;
    snprintf(st->doubt_text, sizeof st->doubt_text, "%s", why);
    st->doubt = st->doubt_text;
}

/* What the job's document says, if it can be read. @return TG_END: it cannot */
static tg_code load_documents(struct tg_change_state *st, uint64_t commit_seq,
                              struct tg_error *err)
{
    struct document d = { .version = 0 };
    struct tg_change_job_doc doc;
    struct tg_arena arena;
    tg_code code;

    tg_buf_init(&d.bytes, TG_CHANGE_DOC_MAX);
    tg_arena_init(&arena, 64 << 20);
    code = get(st, 0, 0, 0, &d, err);
    st->version = d.version;
    st->version_known = code == TG_OK || code == TG_END;
    if (code == TG_OK)
        code = tg_change_job_take(st->of.job, d.bytes.data, d.bytes.len, &arena, &doc, err);
    if (code == TG_CORRUPT) {
        doubt(st, err->message);
        code = TG_END;
    } else if (code == TG_OK) {
        if (doc.as_of > commit_seq)
            doubt(st, "the state of the job is newer than the destination");
        if (doc.fields != st->of.fields)
            doubt(st, "other comparison_fields are asked for than before");
        st->through = doc.through;
        st->sum = st->committed_sum = doc.through_sum;
        st->of.fields = doc.fields; /* to read the journal with */
        for (uint32_t i = 0; i < doc.n_boxes; i++)
            tg_change_box_load(st, doc.box[i].channel, &doc.box[i].at);
        for (uint32_t i = 0; code == TG_OK && i < doc.n_chats; i++)
            code = load_chat(st, &doc.chat[i], err);
    }
    tg_arena_done(&arena);
    tg_buf_done(&d.bytes);
    return code;
}

/* Notes as read, one behind the other: number, length, bytes. The store cannot be asked for windows
 * while it tells them. */
struct notes {
    struct tg_buf bytes;
};

enum { NOTE_HEAD = 12, NOTES_MAX = 1 << 30 };

static bool on_note(void *ctx, uint64_t seq, const void *bytes, size_t len)
{
    struct notes *notes = ctx;

    tg_buf_u64(&notes->bytes, seq);
    tg_buf_u32(&notes->bytes, (uint32_t)len);
    tg_buf_add(&notes->bytes, bytes, len);
    return !notes->bytes.failed;
}

struct replay {
    struct tg_change_state *st;
    uint64_t seq;
};

static void on_item(void *ctx, const struct tg_change_item *item)
{
    const struct replay *r = ctx;

    tg_change_apply(r->st, item, r->seq);
}

/* Puts the notes upon what is there. Damaged ones are left out, and all is doubted. */
static void replay(struct tg_change_state *st, const struct notes *notes)
{
    const uint8_t *at = notes->bytes.data, *end = at + notes->bytes.len;
    struct replay r = { st, 0 };
    struct tg_error err;

    while (at < end) {
        size_t len = tg_le32(at + 8);

        r.seq = tg_le64(at);
        at += NOTE_HEAD;
        if (tg_change_note_read(st->of, r.seq, at, len, &st->sum, on_item, &r, &err) != TG_OK) {
            doubt(st, err.message);
            st->sum = tg_change_doc_sum(at, len);
        }
        st->committed_sum = st->sum;
        at += len;
        tg_change_committed(st, r.seq);
        st->journal += len;
    }
}

static tg_code load_journal(struct tg_change_state *st, uint64_t commit_seq, struct tg_error *err)
{
    struct notes notes;
    tg_code code;

    if (st->through >= commit_seq)
        return TG_OK;
    tg_buf_init(&notes.bytes, NOTES_MAX);
    code = tg_change_journal_read(st->store, st->job, st->through, commit_seq, on_note, &notes,
                                  err);
    if (code == TG_GAP || code == TG_CORRUPT) {
        doubt(st, err->message);
        code = TG_OK;
    }
    if (code == TG_OK && notes.bytes.failed)
        code = tg_fail(err, TG_NOMEM, "a journal of changes");
    if (code == TG_OK)
        replay(st, &notes);
    tg_buf_done(&notes.bytes);
    return code;
}

/* Nothing is to be trusted. What is there stays as hints, unless the destination has nothing. */
static void doubt_all(struct tg_change_state *st, uint64_t commit_seq)
{
    st->sum = st->committed_sum = 0;
    tg_change_forget_boxes(st);
    if (!commit_seq)
        tg_change_forget_chats(st);
    for (size_t i = 0; i < st->n_chats; i++)
        tg_change_doubt_chat(st, st->chat[i]);
    st->doubt_new = true;
}

tg_code tg_change_load(struct tg_change_state *st, uint64_t commit_seq, int64_t unix_us,
                       struct tg_error *err)
{
    const uint64_t fields = st->of.fields;
    tg_code code = load_documents(st, commit_seq, err);

    if (code == TG_OK || code == TG_END)
        code = load_journal(st, commit_seq, err);
    if (code != TG_OK)
        return code;
    st->of.fields = fields;
    tg_change_note_begin(&st->note, st->of);
    tg_change_set_limit(st);
    if (!st->doubt)
        return TG_OK;
    /* Stored at once: else entries to come might fill what is missing, or reach the number that the
     * documents are at, and all would look well. */
    doubt_all(st, commit_seq);
    return tg_change_compact(st, unix_us, err);
}

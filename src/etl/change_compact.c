/* SPDX-License-Identifier: MIT */
/*
 * change_compact.c - writes what is committed into documents and drops the journal, in pieces
 *
 *   windows   of each chat: changes are merged, what is not as stored is written; then its head
 *   job       the document that names all heads: from here on this is what is stored
 *   drop      the journal, up to the commit that was the newest at the beginning
 *   prune     versions of documents that were named before
 *
 * Changes go on between the pieces. A window that was written may get another base, and is written
 * by the next compaction; but if it is cut, its document is of other ids than it, so it is written
 * again before the head is.
 */
#include <assert.h>
#include <stdlib.h>

#include "etl/change_impl.h"

#define PACE_US (10 * TG_MS_US)
#define PAUSE_MOST_US (60 * TG_SECOND_US)
#define FAILING_MOST_US (600 * TG_SECOND_US)

enum { CALLS = 4, JOURNAL_LEAST = 1 << 20, JOURNAL_MOST = 8 << 20 };

/* ---- documents ---- */

/* Writes a document behind the newest version; *version is that, if *known. */
static tg_code put(struct tg_change_state *st, const char *key, uint64_t *version, bool *known,
                   const struct tg_buf *bytes, int64_t unix_us, struct tg_error *err)
{
    const struct tg_store *store = st->store;
    struct tg_doc before = { 0 }, stamp = { .at_us = unix_us, .fence = st->fence };
    struct tg_buf ignored;
    tg_code code = TG_OK;

    if (bytes->failed)
        return tg_fail(err, bytes->len > TG_CHANGE_DOC_MAX / 2 ? TG_LIMIT : TG_NOMEM,
                       "too much to remember in '%s'", key);
    if (!*known) {
        tg_buf_init(&ignored, TG_CHANGE_DOC_MAX);
        code = store->ops->get(store->self, TG_CHANGE_KIND, key, &before, &ignored, err);
        tg_buf_done(&ignored);
        if (code != TG_OK && code != TG_END)
            return code;
        *version = code == TG_OK ? before.version : 0;
        st->compaction.calls -= st->compaction.calls > 0;
    }
    *known = false; /* if this fails it may have been written all the same */
    code = store->ops->put(store->self, TG_CHANGE_KIND, key, *version, &stamp, bytes->data,
                           bytes->len, err);
    st->compaction.calls -= st->compaction.calls > 0;
    if (code != TG_OK)
        return code;
    *known = true;
    ++*version;
    return TG_OK;
}

static tg_code put_window(struct tg_change_state *st, struct change_chat *c,
                          struct tg_change_window *w, int64_t unix_us, struct tg_error *err)
{
    char key[TG_CHANGE_KEY_MAX];
    struct tg_buf bytes = { w->bytes, w->len, w->len, w->len, false };
    tg_code code = TG_OK;

    assert(tg_change_window_loaded(w));
    if (w->sum) {
        tg_change_key(st, c->id, w->from, key);
        code = put(st, key, &w->version, &w->version_known, &bytes, unix_us, err);
        w->prune |= code == TG_OK && w->version > 1;
    }
    if (code != TG_OK)
        return code;
    w->stored = true;
    w->stored_sum = w->sum;
    w->stored_n = w->n;
    w->stored_len = w->sum ? w->len : 0;
    c->head_dirty = true;
    return TG_OK;
}

static tg_code put_head(struct tg_change_state *st, struct change_chat *c, int64_t unix_us,
                        struct tg_error *err)
{
    struct tg_change_head head = { .chat = c->id, .owner = c->owner, .top = c->top,
                                   .scan = c->kept.scan, .doubted = c->kept.doubted,
                                   .doubt_seq = c->doubt_seq,
                                   .n_windows = (uint32_t)c->windows.n };
    char key[TG_CHANGE_KEY_MAX];
    struct tg_buf bytes;
    uint64_t sum;
    tg_code code;

    head.window = calloc(c->windows.n, sizeof *head.window);
    if (!head.window)
        return tg_fail(err, TG_NOMEM, "what is remembered of changes");
    for (size_t i = 0; i < c->windows.n; i++) {
        const struct tg_change_window *w = &c->windows.at[i];

        assert(w->stored);
        head.window[i] = (struct tg_change_head_window){ w->from, w->stored_n, w->stored_len,
                                                         w->stored_sum };
    }
    tg_change_key(st, c->id, 0, key);
    tg_buf_init(&bytes, (size_t)64 << 20);
    sum = tg_change_head_put(st->of.job, &head, &bytes);
    code = put(st, key, &c->version, &c->version_known, &bytes, unix_us, err);
    tg_buf_done(&bytes);
    free(head.window);
    if (code != TG_OK)
        return code;
    c->head_sum = sum;
    c->have_head = true;
    c->head_dirty = false;
    c->prune |= c->version > 1;
    return TG_OK;
}

static bool put_lists(const struct tg_change_state *st, struct tg_change_job_doc *doc)
{
    doc->box = calloc(st->n_boxes + 1, sizeof *doc->box);
    doc->chat = calloc(st->n_chats + 1, sizeof *doc->chat);
    if (!doc->box || !doc->chat)
        return false;
    for (size_t i = 0; i < st->n_boxes; i++)
        if (st->box[i].kept_there)
            doc->box[doc->n_boxes++] = (struct tg_change_job_box){ st->box[i].channel,
                                                                   st->box[i].kept };
    for (size_t i = 0; i < st->n_chats; i++)
        if (st->chat[i]->have_head)
            doc->chat[doc->n_chats++] = (struct tg_change_job_chat){
                st->chat[i]->id, st->chat[i]->owner, st->chat[i]->head_sum };
    return true;
}

static tg_code put_job(struct tg_change_state *st, int64_t unix_us, struct tg_error *err)
{
    struct tg_change_job_doc doc = { .fields = st->of.fields, .through = st->compaction.through,
                                     .through_sum = st->compaction.through_sum,
                                     .as_of = st->committed };
    char key[TG_CHANGE_KEY_MAX];
    struct tg_buf bytes;
    bool known = st->version_known;
    tg_code code;

    tg_buf_init(&bytes, (size_t)64 << 20);
    if (put_lists(st, &doc)) {
        tg_change_job_put(st->of.job, &doc, &bytes);
        tg_change_key(st, 0, 0, key);
        code = put(st, key, &st->version, &known, &bytes, unix_us, err);
        st->version_known = known;
    } else {
        code = tg_fail(err, TG_NOMEM, "what is remembered of changes");
    }
    tg_buf_done(&bytes);
    free(doc.box);
    free(doc.chat);
    return code;
}

/* ---- windows and heads of a chat ---- */

static bool has_committed(const struct tg_change_state *st, const struct tg_change_window *w)
{
    for (uint32_t i = 0; i < w->n_ops; i++)
        if (w->op[i].seq <= st->committed)
            return true;
    return false;
}

static bool is_left(const struct tg_change_state *st, const struct tg_change_window *w)
{
    return !w->stored || (w->round != st->compaction.round &&
                          (tg_change_window_dirty(w) || has_committed(st, w)));
}

static tg_code compact_window(struct tg_change_state *st, struct change_chat *c, size_t i,
                              int64_t unix_us, struct tg_error *err)
{
    struct tg_window_owner of = tg_change_owner(c);
    tg_code code = tg_change_window_need(st, c, i, err);

    if (code != TG_OK)
        return code;
    c->windows.at[i].round = st->compaction.round;
    if (has_committed(st, &c->windows.at[i])) {
        code = tg_change_window_merge(&c->windows, i, &of, st->committed, &st->room, err);
        if (code != TG_OK) {
            st->no_memory = true;
            return code;
        }
    }
    if (!tg_change_window_dirty(&c->windows.at[i]))
        return TG_OK;
    code = put_window(st, c, &c->windows.at[i], unix_us, err);
    if (code == TG_OK)
        tg_change_evict(st, NULL);
    else
        c->windows.at[i].round = 0; /* again */
    return code;
}

/* @return TG_AGAIN: there is more to do, in another step */
static tg_code compact_chat(struct tg_change_state *st, struct change_chat *c, int64_t unix_us,
                            struct tg_error *err)
{
    struct change_compaction *k = &st->compaction;
    tg_code code = TG_OK;

    if (c->born > st->committed)
        return TG_OK;
    for (bool cut = true; cut;) {
        for (; k->window < c->windows.n; k->window++) {
            if (!is_left(st, &c->windows.at[k->window]))
                continue;
            if (!k->calls)
                return TG_AGAIN;
            code = compact_window(st, c, k->window, unix_us, err);
            if (code != TG_OK)
                return code;
        }
        cut = false;
        for (size_t i = 0; i < c->windows.n && !cut; i++)
            cut = !c->windows.at[i].stored;
        if (cut)
            k->window = 0;
    }
    if (!c->head_dirty)
        return TG_OK;
    return k->calls ? put_head(st, c, unix_us, err) : TG_AGAIN;
}

static tg_code compact_chats(struct tg_change_state *st, int64_t unix_us, struct tg_error *err)
{
    struct change_compaction *k = &st->compaction;

    for (;;) {
        size_t i = tg_change_chat_index(st, k->chat);
        tg_code code;

        if (i == st->n_chats)
            return TG_OK;
        if (st->chat[i]->id != k->chat)
            k->window = 0;
        k->chat = st->chat[i]->id;
        code = compact_chat(st, st->chat[i], unix_us, err);
        if (code != TG_OK)
            return code;
        k->window = 0;
        if (k->chat == INT64_MAX)
            return TG_OK;
        k->chat++;
    }
}

/* ---- versions that nobody needs ---- */

static tg_code prune(struct tg_change_state *st, int64_t chat, int64_t from, bool *due,
                     struct tg_error *err)
{
    char key[TG_CHANGE_KEY_MAX];
    tg_code code;

    if (!*due)
        return TG_OK;
    if (!st->compaction.calls)
        return TG_AGAIN;
    st->compaction.calls--;
    tg_change_key(st, chat, from, key);
    code = st->store->ops->prune(st->store->self, TG_CHANGE_KIND, key, 1, err);
    *due = code != TG_OK;
    return code;
}

static tg_code prune_all(struct tg_change_state *st, struct tg_error *err)
{
    bool job = true;
    tg_code code = TG_OK;

    for (size_t k = 0; k < st->n_chats; k++) {
        struct change_chat *c = st->chat[k];

        for (size_t i = 0; i < c->windows.n && code == TG_OK; i++)
            code = prune(st, c->id, c->windows.at[i].from, &c->windows.at[i].prune, err);
        if (code == TG_OK)
            code = prune(st, c->id, 0, &c->prune, err);
        if (code != TG_OK)
            return code;
    }
    return prune(st, 0, 0, &job, err);
}

/* ---- the whole ---- */

static void begin(struct tg_change_state *st)
{
    struct change_compaction *k = &st->compaction;

    k->phase = CHANGE_WINDOWS;
    k->through = st->committed;
    k->through_sum = st->committed_sum;
    k->round++;
    k->journal = st->journal;
    k->chat = INT64_MIN;
    k->window = 0;
    st->doubt_new = false;
}

static void end(struct tg_change_state *st)
{
    st->compaction.phase = CHANGE_IDLE;
    st->packed_least = 0;
    st->n_compactions++;
    tg_change_evict(st, NULL);
    tg_change_set_limit(st);
}

/* What is left of the phases, as far as the calls reach. @return TG_AGAIN: there is more */
static tg_code go_on(struct tg_change_state *st, int64_t unix_us, struct tg_error *err)
{
    struct change_compaction *k = &st->compaction;
    tg_code code;

    if (k->phase == CHANGE_WINDOWS) {
        code = compact_chats(st, unix_us, err);
        if (code != TG_OK)
            return code;
        k->phase = CHANGE_JOB;
    }
    if (k->phase == CHANGE_JOB) {
        code = put_job(st, unix_us, err);
        if (code != TG_OK)
            return code;
        st->through = k->through;
        st->journal -= TG_MIN(st->journal, k->journal);
        k->phase = CHANGE_DROP;
    }
    if (k->phase == CHANGE_DROP) {
        code = tg_change_journal_drop(st->store, st->job, st->through, err);
        if (code != TG_OK)
            return code;
        k->phase = CHANGE_PRUNE;
    }
    code = prune_all(st, err);
    if (code == TG_OK)
        end(st);
    return code;
}

void tg_change_set_limit(struct tg_change_state *st)
{
    struct tg_change_usage usage;

    tg_change_usage(st, &usage);
    st->journal_max = st->journal_fixed
                          ? st->journal_fixed
                          : TG_MAX(JOURNAL_LEAST, TG_MIN(JOURNAL_MOST, usage.stored / 2));
}

bool tg_change_due(const struct tg_change_state *st)
{
    if (st->compaction.phase != CHANGE_IDLE || st->doubt_new)
        return true;
    return st->committed > st->through &&
           (st->journal >= st->journal_max || st->room.beside > st->memory_max ||
            st->room.packed > st->memory_max + st->memory_max / 8);
}

/* Compaction can wait: a failure that may pass is tried again before it is told. */
static tg_code bear(struct change_compaction *k, int64_t unix_us, tg_code code)
{
    k->next_us = unix_us + PACE_US;
    if (code == TG_OK || code == TG_AGAIN) {
        k->failing_us = k->pause_us = 0;
        return TG_OK;
    }
    if (tg_code_retry(code) == TG_RETRY_NEVER)
        return code;
    if (!k->failing_us)
        k->failing_us = unix_us;
    k->pause_us = TG_MIN(TG_MAX(2 * k->pause_us, TG_SECOND_US), PAUSE_MOST_US);
    k->next_us = unix_us + k->pause_us;
    return unix_us - k->failing_us > FAILING_MOST_US ? code : TG_OK;
}

tg_code tg_change_step(struct tg_change_state *st, int64_t unix_us, struct tg_error *err)
{
    struct change_compaction *k = &st->compaction;
    int64_t wait_us = k->next_us - unix_us;

    /* a clock that was set back makes nobody wait */
    if (!tg_change_due(st) || (wait_us > 0 && wait_us <= PAUSE_MOST_US))
        return TG_OK;
    if (st->no_memory)
        return tg_fail(err, TG_NOMEM, "what is remembered of changes");
    if (k->phase == CHANGE_IDLE)
        begin(st);
    k->calls = CALLS;
    return bear(k, unix_us, go_on(st, unix_us, err));
}

tg_code tg_change_compact(struct tg_change_state *st, int64_t unix_us, struct tg_error *err)
{
    tg_code code = TG_OK;

    if (st->no_memory)
        return tg_fail(err, TG_NOMEM, "what is remembered of changes");
    while (st->compaction.phase != CHANGE_IDLE || st->doubt_new || st->committed > st->through) {
        if (st->compaction.phase == CHANGE_IDLE)
            begin(st);
        st->compaction.calls = UINT32_MAX;
        code = go_on(st, unix_us, err);
        if (code != TG_OK)
            return code;
    }
    return TG_OK;
}

tg_code tg_change_state_close(struct tg_change_state *st, int64_t unix_us, struct tg_error *err)
{
    /* A short journal is read again sooner than the windows that it touches are written. */
    bool due = tg_change_due(st) || st->journal >= st->journal_max / 4;

    return due ? tg_change_compact(st, unix_us, err) : TG_OK;
}

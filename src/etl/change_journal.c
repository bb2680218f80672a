/* SPDX-License-Identifier: MIT */
/*
 * change_journal.c - see change_journal.h
 *
 * Reading goes over the log twice: once for the heads, which tell what entry counts for which
 * commit, once for the notes of those.
 */
#include "etl/change_journal.h"

#include <assert.h>
#include <stdlib.h>

#define KIND "changes"

enum { HEAD = 16, ENTRIES_MAX = 10000000 };

tg_code tg_change_journal_append(const struct tg_store *store, const char *job,
                                 const struct tg_change_entry *entry, int64_t unix_us,
                                 struct tg_error *err)
{
    struct tg_buf bytes;
    uint8_t head[HEAD];
    uint64_t n;
    tg_code code;

    assert(entry->seq > 0);
    if (entry->note.len > TG_CHANGE_NOTE_MAX)
        return tg_fail(err, TG_LIMIT, "%u bytes to remember with one commit, more than %d",
                       entry->note.len, TG_CHANGE_NOTE_MAX);
    tg_buf_init(&bytes, HEAD + TG_CHANGE_NOTE_MAX);
    tg_put_le64(head, entry->seq);
    tg_put_le64(head + 8, entry->fence);
    tg_buf_add(&bytes, head, HEAD);
    tg_buf_add(&bytes, entry->note.at, entry->note.len);
    code = bytes.failed ? tg_fail(err, TG_NOMEM, "no memory for an entry of the journal")
                        : store->ops->append(store->self, KIND, job, unix_us, bytes.data,
                                             bytes.len, &n, err);
    tg_buf_done(&bytes);
    return code;
}

/* ---- the heads ---- */

struct head {
    uint64_t n;   /* of the log's entry */
    uint64_t seq; /* 0: it is no entry */
    uint64_t fence;
};

struct heads {
    const char *job;
    struct head *at;
    size_t len, cap;
    tg_code code;
    struct tg_error *err;
};

static tg_code damaged(struct heads *h)
{
    return tg_fail(h->err, TG_CORRUPT, "the journal of changes of job '%s' is damaged", h->job);
}

static bool on_head(void *ctx, const struct tg_log_entry *entry)
{
    struct heads *h = ctx;
    const uint8_t *bytes = entry->bytes;
    struct head found = { .n = entry->n };

    if (h->len == h->cap) {
        size_t cap = h->cap ? h->cap * 2 : 256;
        struct head *more = cap > ENTRIES_MAX ? NULL : reallocarray(h->at, cap, sizeof *more);

        if (!more) {
            h->code = tg_fail(h->err, TG_NOMEM, "no memory for a journal of changes");
            return false;
        }
        h->at = more;
        h->cap = cap;
    }
    if (entry->len >= HEAD) {
        found.seq = tg_le64(bytes);
        found.fence = tg_le64(bytes + 8);
    }
    h->at[h->len++] = found;
    return true;
}

/* Those that count come last among those of their number. */
static int by_weight(const void *a, const void *b)
{
    const struct head *x = a, *y = b;

    if (x->seq != y->seq)
        return x->seq < y->seq ? -1 : 1;
    if (x->fence != y->fence)
        return x->fence < y->fence ? -1 : 1;
    return (x->n > y->n) - (x->n < y->n);
}

static tg_code read_heads(const struct tg_store *store, const char *job, struct heads *ret,
                          struct tg_error *err)
{
    tg_code code;

    *ret = (struct heads){ .job = job, .code = TG_OK, .err = err };
    code = store->ops->read(store->self, KIND, job, 1, on_head, ret, err);
    return code == TG_OK ? ret->code : code;
}

/* Keeps those that count for after+1.., by number, as far as there is no hole. */
static tg_code sift(struct heads *h, uint64_t after, uint64_t upto)
{
    size_t n = 0;

    if (h->len)
        qsort(h->at, h->len, sizeof *h->at, by_weight);
    if (h->len && !h->at[0].seq)
        return damaged(h);
    for (size_t i = 0; i < h->len && h->at[i].seq <= upto; i++) {
        bool counts = i + 1 == h->len || h->at[i + 1].seq != h->at[i].seq;

        if (counts && h->at[i].seq == after + n + 1)
            h->at[n++] = h->at[i];
    }
    h->len = n;
    return TG_OK;
}

/* ---- reading ---- */

struct reading {
    struct heads *heads;
    size_t next; /* of the heads */
    tg_change_seen seen;
    void *ctx;
    bool stopped;
};

static bool on_note(void *ctx, const struct tg_log_entry *entry)
{
    struct reading *r = ctx;
    const struct head *want = r->heads->at + r->next;
    const uint8_t *bytes = entry->bytes;

    if (r->next == r->heads->len)
        return false;
    if (entry->n != want->n)
        return true;
    if (entry->len < HEAD || tg_le64(bytes) != want->seq) {
        r->heads->code = damaged(r->heads);
        return false;
    }
    r->next++;
    r->stopped = !r->seen(r->ctx, want->seq, bytes + HEAD, entry->len - HEAD);
    return !r->stopped;
}

tg_code tg_change_journal_read(const struct tg_store *store, const char *job, uint64_t after,
                               uint64_t upto, tg_change_seen seen, void *ctx,
                               struct tg_error *err)
{
    struct heads heads;
    struct reading r = { .heads = &heads, .seen = seen, .ctx = ctx };
    tg_code code = read_heads(store, job, &heads, err);

    if (code == TG_OK)
        code = sift(&heads, after, upto);
    if (code == TG_OK && heads.len)
        code = store->ops->read(store->self, KIND, job, heads.at[0].n, on_note, &r, err);
    if (code == TG_OK)
        code = heads.code;
    /* a later commit's entry stands behind that of an earlier one */
    if (code == TG_OK && !r.stopped && (r.next < heads.len || after + heads.len < upto))
        code = tg_fail(err, TG_GAP, "the journal of changes of job '%s' lacks commit %llu", job,
                       (unsigned long long)(after + r.next + 1));
    free(heads.at);
    return code;
}

/* ---- dropping ---- */

/* Drops the entries of commits from..to of tokens below `fence`, run by run. */
static tg_code drop(const struct tg_store *store, const char *job, const struct head *within,
                    uint64_t to, struct tg_error *err)
{
    struct heads heads;
    tg_code code = read_heads(store, job, &heads, err);
    uint64_t first = 0, last = 0;

    for (size_t i = 0; code == TG_OK && i < heads.len; i++) {
        const struct head *h = &heads.at[i];
        bool out = h->seq >= within->seq && h->seq <= to && h->fence < within->fence;

        if (out && !first)
            first = h->n;
        if (out)
            last = h->n;
        if (first && (!out || i + 1 == heads.len)) {
            code = store->ops->drop(store->self, KIND, job, first, last, err);
            first = 0;
        }
    }
    free(heads.at);
    return code;
}

tg_code tg_change_journal_cut(const struct tg_store *store, const char *job, uint64_t seq,
                              uint64_t fence, struct tg_error *err)
{
    return drop(store, job, &(struct head){ .seq = seq + 1, .fence = fence }, UINT64_MAX, err);
}

tg_code tg_change_journal_drop(const struct tg_store *store, const char *job, uint64_t upto,
                               struct tg_error *err)
{
    return drop(store, job, &(struct head){ .fence = UINT64_MAX }, upto, err);
}

/* SPDX-License-Identifier: MIT */
/*
 * state_read.c - what a store keeps of some jobs, item by item; see state.h
 *
 * What a call of the store tells is kept until the call has ended: whoever takes the items may then
 * call any store. A document's versions are kept all, newest first as they come; of a log a page.
 *
 * Limits: 1 GiB of versions of one document; pages of a log of 256 entries or 4 MiB
 */
#include <stdlib.h>

#include "etl/state.h"

enum { DOC_BYTES_MAX = 1 << 30, PAGE_ENTRIES = 256, PAGE_BYTES = 4 << 20 };

struct gathering {
    struct piece {
        uint64_t number, fence;
        int64_t at_us;
        size_t from, len;
    } *piece;
    size_t n, cap;
    struct tg_buf bytes;
    bool no_memory, full;
};

static bool gather(struct gathering *g, const struct piece *piece, const void *bytes)
{
    if (g->n == g->cap) {
        size_t cap = g->cap ? 2 * g->cap : 16;
        struct piece *more = reallocarray(g->piece, cap, sizeof *more);

        g->no_memory = !more;
        if (!more)
            return false;
        g->piece = more;
        g->cap = cap;
    }
    g->piece[g->n] = *piece;
    g->piece[g->n++].from = g->bytes.len;
    tg_buf_add(&g->bytes, bytes, piece->len);
    g->no_memory = g->bytes.failed;
    return !g->no_memory;
}

static bool on_version(void *ctx, const char *key, const struct tg_doc *doc, const void *bytes,
                       size_t len)
{
    (void)key;
    return gather(ctx, &(struct piece){ doc->version, doc->fence, doc->at_us, 0, len }, bytes);
}

static bool on_entry(void *ctx, const struct tg_log_entry *entry)
{
    struct gathering *g = ctx;

    if (!gather(g, &(struct piece){ entry->n, 0, entry->at_us, 0, entry->len }, entry->bytes))
        return false;
    g->full = g->n == PAGE_ENTRIES || g->bytes.len >= PAGE_BYTES;
    return !g->full;
}

struct reading {
    const struct tg_store *store;
    struct gathering got;
    tg_state_taken take;
    void *ctx;
};

static void clear(struct gathering *g)
{
    g->n = 0;
    g->full = false;
    tg_buf_clear(&g->bytes);
}

static tg_code give(struct reading *r, const struct tg_state_name *name, const struct piece *piece,
                    struct tg_error *err)
{
    const struct tg_state_item item = {
        .shape = name->shape,
        .kind = name->kind,
        .key = name->key,
        .number = piece->number,
        .at_us = piece->at_us,
        .fence = piece->fence,
        .bytes = r->got.bytes.data + piece->from,
        .len = piece->len,
    };

    return r->take(r->ctx, &item, err);
}

static tg_code no_memory(const struct tg_state_name *name, struct tg_error *err)
{
    return tg_fail(err, TG_NOMEM, "no memory for %s/%.160s", name->kind, name->key);
}

static tg_code read_doc(struct reading *r, const struct tg_state_name *name, struct tg_error *err)
{
    tg_code code;

    clear(&r->got);
    code = r->store->ops->history(r->store->self, name->kind, name->key, on_version, &r->got, err);
    if (code == TG_OK && r->got.no_memory)
        code = no_memory(name, err);
    for (size_t i = r->got.n; code == TG_OK && i-- > 0;)
        code = give(r, name, &r->got.piece[i], err);
    return code;
}

static tg_code read_log(struct reading *r, const struct tg_state_name *name, struct tg_error *err)
{
    struct tg_state_item last = { .shape = name->shape, .kind = name->kind, .key = name->key,
                                  .number = name->number, .last = true };
    uint64_t from = 1;
    tg_code code = TG_OK;

    do {
        clear(&r->got);
        code = r->store->ops->read(r->store->self, name->kind, name->key, from, on_entry, &r->got,
                                   err);
        if (code == TG_OK && r->got.no_memory)
            code = no_memory(name, err);
        for (size_t i = 0; code == TG_OK && i < r->got.n; i++) {
            code = give(r, name, &r->got.piece[i], err);
            from = r->got.piece[i].number + 1;
        }
    } while (code == TG_OK && r->got.full);
    last.number = TG_MAX(last.number, from - 1); /* more may have come since it was named */
    return code == TG_OK ? r->take(r->ctx, &last, err) : code;
}

static tg_code read_lease(struct reading *r, const struct tg_state_name *name,
                          struct tg_error *err)
{
    return give(r, name, &(struct piece){ .number = name->number }, err);
}

tg_code tg_state_read(const struct tg_store *store, const struct tg_state_names *names,
                      const struct tg_state_jobs *jobs, tg_state_taken take, void *ctx,
                      struct tg_error *err)
{
    static tg_code (*const read_it[])(struct reading *, const struct tg_state_name *,
                                      struct tg_error *) = {
        [TG_STORE_DOCS] = read_doc, [TG_STORE_LOGS] = read_log, [TG_STORE_LEASES] = read_lease
    };
    struct reading r = { .store = store, .take = take, .ctx = ctx };
    tg_code code = TG_OK;

    tg_buf_init(&r.got.bytes, DOC_BYTES_MAX);
    for (size_t i = 0; code == TG_OK && i < names->n; i++) {
        const struct tg_state_name *name = &names->at[i];
        char job[TG_JOB_NAME_MAX + 1];

        if (tg_state_job_of(name->shape, name->key, job) && tg_state_jobs_have(jobs, job))
            code = read_it[name->shape](&r, name, err);
    }
    free(r.got.piece);
    tg_buf_done(&r.got.bytes);
    return code;
}

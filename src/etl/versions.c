/* SPDX-License-Identifier: MIT */
/*
 * versions.c - see versions.h
 */
#include "etl/versions.h"

#include <stdio.h>
#include <stdlib.h>
#include <zstd.h>

enum { IDS = 128, PAGES_MAX = 512, DOC_MAX = 1 << 20, PLAIN_MAX = 64 << 20, HEAD = 32, EACH = 2 };

static const uint8_t magic[5] = { 't', 'g', 'v', 'e', 1 };
static const char kind[] = "version";

/* One row as it was. */
struct kept {
    struct tg_signature is;
    uint32_t len;
    char *json;
};

/* The messages of one document. */
struct page {
    int64_t chat, number;
    uint64_t version;  /* of the document; 0: none */
    uint64_t used;     /* when it was last */
    bool dirty;
    struct kept *kept; /* by id, of one id the newest last */
    size_t n, cap;
};

struct tg_versions {
    struct tg_versions_options options;
    struct page *page; /* by chat and number */
    size_t n, cap, n_dirty;
    uint64_t clock;
    struct tg_buf plain, packed, json;
    struct tg_versions_usage usage;
};

struct tg_versions *tg_versions_new(const struct tg_versions_options *options)
{
    struct tg_versions *v = calloc(1, sizeof *v);

    if (!v)
        return NULL;
    v->options = *options;
    tg_buf_init(&v->plain, PLAIN_MAX);
    tg_buf_init(&v->packed, PLAIN_MAX);
    tg_buf_init(&v->json, PLAIN_MAX);
    return v;
}

static void free_page(struct page *p)
{
    for (size_t i = 0; i < p->n; i++)
        free(p->kept[i].json);
    free(p->kept);
}

void tg_versions_free(struct tg_versions *v)
{
    if (!v)
        return;
    for (size_t i = 0; i < v->n; i++)
        free_page(&v->page[i]);
    free(v->page);
    tg_buf_done(&v->plain);
    tg_buf_done(&v->packed);
    tg_buf_done(&v->json);
    free(v);
}

void tg_versions_usage(const struct tg_versions *v, struct tg_versions_usage *ret)
{
    *ret = v->usage;
}

static tg_code no_memory(struct tg_error *err)
{
    return tg_fail(err, TG_NOMEM, "no memory for versions of messages");
}

/* ---- what a page holds ---- */

static size_t lower(const struct page *p, int64_t id)
{
    size_t low = 0, high = p->n;

    while (low < high) {
        size_t mid = low + (high - low) / 2;

        if (p->kept[mid].is.id < id)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

static void remove_at(struct page *p, size_t at)
{
    free(p->kept[at].json);
    memmove(&p->kept[at], &p->kept[at + 1], (--p->n - at) * sizeof *p->kept);
}

static bool same(const struct tg_signature *a, const struct tg_signature *b)
{
    return a->id == b->id && !tg_signature_differs(a, b);
}

/* Puts a version behind those of its message, the oldest of which may go. */
static bool keep(struct page *p, const struct tg_signature *is, const char *json, uint32_t len)
{
    size_t first = lower(p, is->id), at = first;
    struct kept new = { *is, len, malloc(len ? len : 1) };

    if (!new.json)
        return false;
    if (p->n == p->cap) {
        size_t cap = p->cap ? 2 * p->cap : 16;
        struct kept *more = reallocarray(p->kept, cap, sizeof *more);

        if (!more) {
            free(new.json);
            return false;
        }
        p->kept = more;
        p->cap = cap;
    }
    memcpy(new.json, json, len);
    for (; at < p->n && p->kept[at].is.id == is->id; at++)
        if (same(&p->kept[at].is, is))
            remove_at(p, at--);
    if (at - first == EACH) {
        remove_at(p, first);
        at--;
    }
    memmove(&p->kept[at + 1], &p->kept[at], (p->n++ - at) * sizeof *p->kept);
    p->kept[at] = new;
    return true;
}

/* ---- documents ---- */

static void key_of(const struct tg_versions *v, const struct page *p, char out[256])
{
    snprintf(out, 256, "%s/%lld/%lld", v->options.job, (long long)p->chat, (long long)p->number);
}

/* Reads what a document says into a page. @return false: it is damaged, and is as if it was not */
static bool take(struct page *p, const uint8_t *at, size_t len)
{
    const uint8_t *end = at + len;

    if (len < sizeof magic || memcmp(at, magic, sizeof magic) != 0)
        return false;
    for (at += sizeof magic; at < end;) {
        struct tg_signature is;
        uint32_t n;

        if (end - at < HEAD)
            return false;
        is = (struct tg_signature){ .id = (int64_t)tg_le64(at),
                                    .edit_date = (int64_t)tg_le64(at + 8),
                                    .content = tg_le64(at + 16),
                                    .reactions = tg_le32(at + 24) };
        n = tg_le32(at + 28);
        at += HEAD;
        if (n > (size_t)(end - at) || !keep(p, &is, (const char *)at, n))
            return false;
        at += n;
    }
    return true;
}

static void unpack(struct tg_versions *v, struct page *p)
{
    unsigned long long size = ZSTD_getFrameContentSize(v->packed.data, v->packed.len);
    uint8_t *into;

    tg_buf_clear(&v->plain);
    if (size > PLAIN_MAX) /* unknown and broken are larger */
        return;
    into = tg_buf_extend(&v->plain, size);
    if (!into || ZSTD_decompress(into, size, v->packed.data, v->packed.len) != size ||
        !take(p, into, size)) {
        v->plain.failed = false;
        while (p->n)
            remove_at(p, p->n - 1);
    }
}

static void put(struct tg_buf *out, const struct kept *k)
{
    tg_buf_u64(out, (uint64_t)k->is.id);
    tg_buf_u64(out, (uint64_t)k->is.edit_date);
    tg_buf_u64(out, k->is.content);
    tg_buf_u32(out, k->is.reactions);
    tg_buf_u32(out, k->len);
    tg_buf_add(out, k->json, k->len);
}

static void give_up_largest(struct page *p)
{
    size_t largest = 0;

    for (size_t i = 1; i < p->n; i++)
        if (p->kept[i].len > p->kept[largest].len)
            largest = i;
    remove_at(p, largest);
}

/* Makes the bytes of a page; what does not fit goes. */
static bool pack(struct tg_versions *v, struct page *p)
{
    for (;; give_up_largest(p)) {
        size_t bound, n;
        uint8_t *into;

        tg_buf_clear(&v->plain);
        tg_buf_clear(&v->packed);
        tg_buf_add(&v->plain, magic, sizeof magic);
        for (size_t i = 0; i < p->n; i++)
            put(&v->plain, &p->kept[i]);
        if (v->plain.failed && p->n > 1) {
            v->plain.failed = false;
            continue;
        }
        bound = ZSTD_compressBound(v->plain.len);
        into = v->plain.failed ? NULL : tg_buf_extend(&v->packed, bound);
        if (!into)
            return false;
        n = ZSTD_compress(into, bound, v->plain.data, v->plain.len, 3);
        if (ZSTD_isError(n))
            return false;
        v->packed.len = n;
        if (n <= DOC_MAX || p->n == 0)
            return n <= DOC_MAX;
    }
}

static tg_code write_page(struct tg_versions *v, struct page *p, struct tg_error *err)
{
    const struct tg_store *s = v->options.store;
    const struct tg_doc stamp = { .at_us = v->options.unix_us(), .fence = v->options.fence };
    char key[256];
    tg_code code;

    key_of(v, p, key);
    if (!pack(v, p))
        return no_memory(err);
    code = s->ops->put(s->self, kind, key, p->version, &stamp, v->packed.data, v->packed.len, err);
    if (code != TG_OK)
        return code;
    v->usage.document_bytes += v->packed.len;
    if (p->version++)
        code = s->ops->prune(s->self, kind, key, 1, err);
    p->dirty = false;
    v->n_dirty--;
    return code;
}

tg_code tg_versions_flush(struct tg_versions *v, struct tg_error *err)
{
    tg_code code = TG_OK;

    for (size_t i = 0; v->n_dirty && code == TG_OK && i < v->n; i++)
        if (v->page[i].dirty)
            code = write_page(v, &v->page[i], err);
    return code;
}

/* ---- pages in memory ---- */

static size_t place_of(const struct tg_versions *v, int64_t chat, int64_t number)
{
    size_t low = 0, high = v->n;

    while (low < high) {
        size_t mid = low + (high - low) / 2;
        const struct page *p = &v->page[mid];

        if (p->chat < chat || (p->chat == chat && p->number < number))
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

/* The page that was not used for longest makes room, if one need not be written first. */
static void make_room(struct tg_versions *v)
{
    struct page *oldest = NULL;

    if (v->n < PAGES_MAX)
        return;
    for (size_t i = 0; i < v->n; i++)
        if (!v->page[i].dirty && (!oldest || v->page[i].used < oldest->used))
            oldest = &v->page[i];
    if (!oldest)
        return;
    free_page(oldest);
    memmove(oldest, oldest + 1, (size_t)(&v->page[--v->n] - oldest) * sizeof *oldest);
}

static tg_code load(struct tg_versions *v, struct page *p, struct tg_error *err)
{
    const struct tg_store *s = v->options.store;
    struct tg_doc doc = { 0 };
    char key[256];
    tg_code code;

    key_of(v, p, key);
    tg_buf_clear(&v->packed);
    code = s->ops->get(s->self, kind, key, &doc, &v->packed, err);
    if (code == TG_END)
        return TG_OK;
    if (code != TG_OK)
        return code;
    p->version = doc.version;
    unpack(v, p);
    return TG_OK;
}

static tg_code page_of(struct tg_versions *v, int64_t chat, int64_t id, struct page **ret,
                       struct tg_error *err)
{
    int64_t number = (id - 1) / IDS;
    size_t at = place_of(v, chat, number);
    struct page new = { .chat = chat, .number = number };
    tg_code code;

    if (at == v->n || v->page[at].chat != chat || v->page[at].number != number) {
        make_room(v);
        at = place_of(v, chat, number);
        if (v->n == v->cap) {
            size_t cap = v->cap ? 2 * v->cap : 64;
            struct page *more = reallocarray(v->page, cap, sizeof *more);

            if (!more)
                return no_memory(err);
            v->page = more;
            v->cap = cap;
        }
        code = load(v, &new, err);
        if (code != TG_OK) {
            free_page(&new);
            return code;
        }
        memmove(&v->page[at + 1], &v->page[at], (v->n++ - at) * sizeof *v->page);
        v->page[at] = new;
    }
    *ret = &v->page[at];
    (*ret)->used = ++v->clock;
    return TG_OK;
}

tg_code tg_versions_get(struct tg_versions *v, int64_t chat, const struct tg_signature *is,
                        struct tg_str *ret, struct tg_error *err)
{
    struct page *p;
    tg_code code = page_of(v, chat, is->id, &p, err);

    *ret = (struct tg_str){ NULL, 0 };
    if (code != TG_OK)
        return code;
    for (size_t i = lower(p, is->id); i < p->n && p->kept[i].is.id == is->id; i++)
        if (same(&p->kept[i].is, is))
            *ret = (struct tg_str){ p->kept[i].json, p->kept[i].len };
    return TG_OK;
}

tg_code tg_versions_put(struct tg_versions *v, int64_t chat, const struct tg_signature *is,
                        const struct tg_row *row, struct tg_error *err)
{
    /* what happened to it is no part of what it is like */
    const uint64_t change = TG_ROW_BIT(change) | TG_ROW_BIT(change_seq) | TG_ROW_BIT(change_pts) |
                            TG_ROW_BIT(change_date) | TG_ROW_BIT(before);
    struct tg_row plain = *row;
    struct page *p;
    tg_code code = page_of(v, chat, is->id, &p, err);

    if (code != TG_OK)
        return code;
    plain.present &= ~change;
    tg_buf_clear(&v->json);
    tg_row_json(&plain, &v->json);
    if (v->json.failed || !keep(p, is, (const char *)v->json.data, (uint32_t)v->json.len)) {
        v->json.failed = false;
        return no_memory(err);
    }
    v->usage.rows++;
    v->usage.row_bytes += v->json.len;
    v->n_dirty += !p->dirty;
    p->dirty = true;
    return TG_OK;
}

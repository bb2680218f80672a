/* SPDX-License-Identifier: MIT */
/*
 * s3_slots.c - the slots and files of a chat in S3: listed, read, written; see s3_impl.h
 */
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "crypto/random.h"
#include "sink/s3_impl.h"

enum { SLOT_MAX = 64 * 1024, ENTRIES_MAX = 4 << 20 };

const char *tg_s3_key(const struct tg_parts *p, const char *name, struct s3_key *out)
{
    snprintf(out->at, sizeof out->at, "%s%s", tg_s3_chat(p)->key, name);
    return out->at;
}

/* ---- lists ---- */

/* "part-000001.json", "part-000001.7-1f3a9c02.1.ndjson" */
static bool read_name(const char *name, struct s3_entry *ret)
{
    char again[TG_PART_NAME];
    unsigned long long n;
    int len = 0;

    if (strlen(name) >= sizeof ret->name || sscanf(name, "part-%18llu%n", &n, &len) != 1 || !n)
        return false;
    tg_part_name(again, n, name + len);
    ret->n = n;
    ret->slot = strcmp(name + len, ".json") == 0;
    snprintf(ret->name, sizeof ret->name, "%s", name);
    return strcmp(again, name) == 0 && name[len] == '.';
}

struct gathered {
    struct s3_listing *to;
    size_t skip; /* bytes of the chat's key */
};

static bool gather(void *ctx, const char *key, uint64_t size)
{
    struct gathered *g = ctx;
    struct s3_listing *l = g->to;
    struct s3_entry one = { .size = size };

    if (strchr(key + g->skip, '/') || !read_name(key + g->skip, &one))
        return true;
    if (l->n == l->cap) {
        size_t cap = l->cap ? l->cap * 2 : 64;
        struct s3_entry *more = cap > ENTRIES_MAX ? NULL
                                                  : reallocarray(l->at, cap, sizeof *more);

        l->no_memory = !more;
        if (!more)
            return false;
        l->at = more;
        l->cap = cap;
    }
    if (one.slot && one.n > l->top)
        l->top = one.n;
    l->at[l->n++] = one;
    return true;
}

static int by_name(const void *a, const void *b)
{
    const struct s3_entry *x = a, *y = b;

    if (x->n != y->n)
        return x->n < y->n ? -1 : 1;
    return strcmp(x->name, y->name);
}

tg_code tg_s3_list_chat(struct tg_parts *p, struct s3_listing *ret, struct tg_error *err)
{
    struct s3_chat *c = tg_s3_chat(p);
    struct gathered g = { ret, strlen(c->key) };
    uint64_t before = 0;
    tg_code code;

    *ret = (struct s3_listing){ .n = 0 };
    code = tg_s3_told(tg_s3_list(c->s3, c->key, NULL, gather, &g, err), err);
    if (code == TG_OK && ret->no_memory)
        code = tg_fail(err, TG_NOMEM, "list of '%s'", p->path);
    if (code != TG_OK)
        return code;
    if (ret->n)
        qsort(ret->at, ret->n, sizeof *ret->at, by_name);
    for (size_t i = 0; i < ret->n; i++) {
        char name[TG_PART_NAME];

        if (!ret->at[i].slot)
            continue;
        if (ret->at[i].n != ++before) {
            tg_part_name(name, before, ".json");
            return tg_parts_damaged(p, name, "is missing, but later ones are there", err);
        }
    }
    return TG_OK;
}

void tg_s3_listing_done(struct s3_listing *l)
{
    free(l->at);
    l->at = NULL;
}

static const struct s3_entry *find(const struct s3_listing *l, const char *name)
{
    struct s3_entry wanted;

    return read_name(name, &wanted) && l->n
               ? bsearch(&wanted, l->at, l->n, sizeof *l->at, by_name)
               : NULL;
}

tg_code tg_s3_find_rows(struct tg_parts *p, struct s3_listing *l, const struct tg_manifest *m,
                        struct tg_error *err)
{
    const struct s3_entry *rows = find(l, m->file);

    if (!rows) { /* the part was committed after the list was made */
        tg_code code;

        tg_s3_listing_done(l);
        code = tg_s3_list_chat(p, l, err);
        if (code != TG_OK)
            return code;
        rows = find(l, m->file);
    }
    if (!rows || rows->size != m->bytes)
        return tg_parts_damaged(p, m->file, rows ? "has another size than its manifest tells"
                                                 : "is missing", err);
    return TG_OK;
}

/* ---- slots ---- */

static const char *const state_name[] = { [S3_CLAIM] = "claim", [S3_ROLLBACK] = "rollback",
                                          [S3_COMMIT] = "commit" };

static int put_header(const struct s3_slot *slot, char *out, size_t size)
{
    char tag[TG_TAG];

    tg_fence_tag(tag, &slot->writer);
    return snprintf(out, size, "{\"format\":\"tgdata writer\",\"version\":1,\"writer\":\"%s\","
                    "\"state\":\"%s\",\"mark\":\"%016" PRIx64 "\"}\n", tag,
                    state_name[slot->state], slot->mark);
}

/* @return bytes of the header; 0: there is none; -1: it is none of ours */
static int take_header(const char *text, struct s3_slot *ret)
{
    char tag[TG_TAG] = "", state[16] = "", again[160];
    int len;

    if (strncmp(text, "{\"format\":\"tgdata writer\"", 24) != 0)
        return 0;
    if (sscanf(text, "{\"format\":\"tgdata writer\",\"version\":1,\"writer\":\"%31[0-9a-f-]\","
               "\"state\":\"%15[a-z]\",\"mark\":\"%16" SCNx64, tag, state, &ret->mark) != 3 ||
        !tg_fence_read(tag, strlen(tag), &ret->writer))
        return -1;
    for (int i = S3_CLAIM; i <= S3_COMMIT; i++)
        if (strcmp(state, state_name[i]) == 0)
            ret->state = (enum s3_state)i;
    if (ret->state == S3_NOTHING)
        return -1;
    len = put_header(ret, again, sizeof again);
    return strncmp(text, again, (size_t)len) == 0 ? len : -1;
}

/* "part-000001.7-1f3a9c02.1.ndjson" */
static bool writer_of(const char *file, struct tg_fence *ret)
{
    char tag[TG_TAG] = "";

    return sscanf(file, "part-%*[0-9].%31[0-9a-f-].", tag) == 1 &&
           tg_fence_read(tag, strlen(tag), ret);
}

static bool ends_with(const char *text, const char *end)
{
    size_t n = strlen(text), m = strlen(end);

    return n >= m && strcmp(text + n - m, end) == 0;
}

static tg_code parse_slot(struct tg_parts *p, uint64_t n, const char *name, struct tg_buf *text,
                          struct s3_slot *ret, struct tg_error *err)
{
    int header = take_header(tg_buf_cstr(text), ret);
    tg_code code;

    if (header == 0)
        ret->state = S3_COMMIT;
    ret->has_manifest = header >= 0 && (size_t)header < text->len;
    if (header < 0 || (ret->state == S3_COMMIT && !ret->has_manifest) ||
        (ret->has_manifest &&
         !tg_manifest_read(&ret->m, text->data + header, text->len - (size_t)header)))
        return tg_parts_damaged(p, name, "is no whole manifest", err);
    if (!ret->has_manifest)
        return TG_OK;
    if (ret->m.chat_id != p->chat_id)
        return tg_parts_damaged(p, name, "belongs to another chat", err);
    code = tg_parts_check_job(p, &ret->m, err);
    if (code != TG_OK || ret->state != S3_COMMIT)
        return code;
    if (ret->m.part != n || (header == 0 && !writer_of(ret->m.file, &ret->writer)))
        return tg_parts_damaged(p, name, "belongs to another part", err);
    return ends_with(ret->m.file, p->suffix) ? TG_OK : tg_parts_another_format(p, err);
}

tg_code tg_s3_read_slot(struct tg_parts *p, uint64_t n, struct s3_slot *ret, struct tg_error *err)
{
    TG_CLEANUP(tg_buf_done) struct tg_buf text;
    char name[TG_PART_NAME];
    struct s3_key key;
    tg_code code;

    *ret = (struct s3_slot){ .state = S3_NOTHING };
    tg_buf_init(&text, SLOT_MAX);
    tg_part_name(name, n, ".json");
    code = tg_s3_get(tg_s3_chat(p)->s3, tg_s3_key(p, name, &key), &text, &ret->etag, err);
    if (code == TG_END) {
        ret->etag.at[0] = 0;
        return TG_OK;
    }
    if (code == TG_LIMIT)
        return tg_parts_damaged(p, name, "is no whole manifest", err);
    return code == TG_OK ? parse_slot(p, n, name, &text, ret, err) : tg_s3_told(code, err);
}

/* Whether what stands there is what was to be written. */
static bool is_written(struct tg_parts *p, const char *key, const struct tg_buf *text,
                       struct tg_s3_etag *ret)
{
    TG_CLEANUP(tg_buf_done) struct tg_buf now;
    struct tg_s3_etag etag;
    struct tg_error ignored;

    tg_buf_init(&now, SLOT_MAX);
    if (tg_s3_get(tg_s3_chat(p)->s3, key, &now, &etag, &ignored) != TG_OK ||
        now.len != text->len || memcmp(now.data, text->data, text->len) != 0)
        return false;
    *ret = etag;
    return true;
}

tg_code tg_s3_write_slot(struct tg_parts *p, uint64_t n, struct s3_slot *slot, bool touched,
                         struct tg_error *err)
{
    TG_CLEANUP(tg_buf_done) struct tg_buf text;
    char name[TG_PART_NAME], header[160];
    const struct tg_random random = tg_random_system();
    const struct tg_s3_etag seen = slot->etag;
    struct s3_key key;
    tg_code code;

    assert(slot->state != S3_NOTHING && (slot->state != S3_COMMIT || slot->has_manifest));
    tg_buf_init(&text, SLOT_MAX);
    tg_part_name(name, n, ".json");
    slot->mark = tg_random_u64(&random);
    if (slot->state != S3_COMMIT || touched)
        tg_buf_add(&text, header, (size_t)put_header(slot, header, sizeof header));
    if (slot->has_manifest)
        tg_manifest_write(&slot->m, *slot->m.file ? slot->m.file : NULL,
                          p->env->unix_us(p->env->ctx), &text);
    if (text.failed)
        return tg_fail(err, TG_NOMEM, "manifest of '%s'", p->path);
    tg_s3_key(p, name, &key);
    code = tg_s3_put(tg_s3_chat(p)->s3, key.at, &seen, text.data, text.len, &slot->etag, err);
    if (code != TG_OK && is_written(p, key.at, &text, &slot->etag))
        code = TG_OK; /* only the answer was lost, or it was a second try */
    return tg_s3_told(code, err);
}

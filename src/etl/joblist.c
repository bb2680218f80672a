/* SPDX-License-Identifier: MIT */
/*
 * joblist.c - see joblist.h
 */
#include "etl/joblist.h"

#include <jansson.h>
#include <stdlib.h>

#include "base/json.h"

enum { CHATS_MAX = 1000000, ENTRY_MAX = 1 << 20, ENTRY_FULL = 512 << 10 };
#define LIST_KIND "job"

/* ---- reading ---- */

struct reading {
    const char *job;
    tg_job_chat_fn seen;
    void *ctx;
    tg_code code;
    struct tg_error *err;
};

static tg_code damaged(struct reading *r)
{
    tg_fail(r->err, TG_CORRUPT, "the list of the chats of job '%s' is damaged", r->job);
    return tg_hint(r->err, "restore the state file from a backup, or start a job of another name");
}

static bool on_entry(void *ctx, const struct tg_log_entry *entry)
{
    struct reading *r = ctx;
    json_t *o = json_loadb(entry->bytes, entry->len, JSON_REJECT_DUPLICATES, NULL), *chat;
    json_t *chats = json_object_get(o, "chats");
    bool more = true;
    size_t i;

    if (!json_is_array(chats))
        r->code = damaged(r);
    json_array_foreach(chats, i, chat) {
        const json_t *id = json_object_get(chat, "id");
        const char *title = json_string_value(json_object_get(chat, "title"));
        struct tg_job_chat found = { .id = json_integer_value(id), .title = title };

        if (!json_is_integer(id) || !title) {
            r->code = damaged(r);
            break;
        }
        more = r->seen(r->ctx, &found);
        if (!more)
            break;
    }
    json_decref(o);
    return more && r->code == TG_OK;
}

tg_code tg_joblist_read(const struct tg_store *store, const char *job, tg_job_chat_fn seen,
                        void *ctx, struct tg_error *err)
{
    struct reading r = { job, seen, ctx, TG_OK, err };
    tg_code code = store->ops->read(store->self, LIST_KIND, job, 1, on_entry, &r, err);

    return code == TG_OK ? r.code : code;
}

/* ---- adding ---- */

struct known {
    int64_t *id;
    size_t n, cap;
    bool no_memory;
};

static bool on_known(void *ctx, const struct tg_job_chat *chat)
{
    struct known *k = ctx;

    if (k->n == k->cap) {
        size_t cap = k->cap ? k->cap * 2 : 64;
        int64_t *more = cap > CHATS_MAX ? NULL : reallocarray(k->id, cap, sizeof *more);

        k->no_memory = !more;
        if (!more)
            return false;
        k->id = more;
        k->cap = cap;
    }
    k->id[k->n++] = chat->id;
    return true;
}

static int by_id(const void *a, const void *b)
{
    const int64_t *x = a, *y = b;

    return (*x > *y) - (*x < *y);
}

/* Writes an entry with the chats from *at on that are not known, as many as fit. */
static bool fill_entry(struct tg_buf *out, const struct known *k, const struct tg_job_chat *chat,
                       size_t n, size_t *at)
{
    struct tg_json j;
    bool any = false;

    tg_buf_clear(out);
    tg_json_init(&j, out);
    tg_json_object(&j);
    tg_json_key(&j, "chats");
    tg_json_array(&j);
    for (; *at < n && out->len < ENTRY_FULL; ++*at) {
        const struct tg_job_chat *c = &chat[*at];

        if (k->n && bsearch(&c->id, k->id, k->n, sizeof *k->id, by_id))
            continue;
        any = true;
        tg_json_object(&j);
        tg_json_key(&j, "id"), tg_json_i64(&j, c->id);
        tg_json_key(&j, "title"), tg_json_cstr(&j, c->title);
        tg_json_end_object(&j);
    }
    tg_json_end_array(&j);
    tg_json_end_object(&j);
    return any;
}

tg_code tg_joblist_add(const struct tg_store *store, const char *job,
                       const struct tg_job_chat *chat, size_t n, int64_t now_us,
                       struct tg_error *err)
{
    struct known k = { 0 };
    struct tg_buf entry;
    tg_code code = tg_joblist_read(store, job, on_known, &k, err);

    if (code == TG_OK && k.no_memory)
        code = tg_fail(err, TG_NOMEM, "no memory for the list of chats");
    if (k.n)
        qsort(k.id, k.n, sizeof *k.id, by_id);
    tg_buf_init(&entry, ENTRY_MAX);
    for (size_t at = 0; code == TG_OK && at < n;) {
        if (!fill_entry(&entry, &k, chat, n, &at))
            break;
        if (entry.failed)
            code = tg_fail(err, TG_NOMEM, "no memory for the list of chats");
        else
            code = store->ops->append(store->self, LIST_KIND, job, now_us, entry.data, entry.len,
                                      NULL, err);
    }
    tg_buf_done(&entry);
    free(k.id);
    return code;
}

/* SPDX-License-Identifier: MIT */
/*
 * dlq.c - looking at dead letters, going through them some at a time, taking them out
 *
 * Keys are listed once, letters are read a page at a time: memory holds all keys, and one page.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/json_read.h"
#include "etl/checkpoint.h"
#include "etl/dlq_impl.h"
#include "os/loop.h"

enum { PAGE_BYTES = 32 << 20, PREFIX = 80 };
#define QUARANTINE "quarantine"

static const char *kind_of(const struct tg_letter_filter *which)
{
    return which->quarantine ? QUARANTINE : TG_LETTER_KIND;
}

/* ---- looking ---- */

struct listing {
    const struct tg_letter_filter *which;
    tg_letter_fn seen;
    void *ctx;
    size_t n;
    tg_code code;
    struct tg_error *err;
};

struct texts {
    struct tg_buf to, reason, rule, json;
    char job[TG_JOB_NAME_MAX + 1];
};

static void texts_done(struct texts *t)
{
    tg_buf_done(&t->to);
    tg_buf_done(&t->reason);
    tg_buf_done(&t->rule);
    tg_buf_done(&t->json);
}

/* Which message a row is of; of changes the letter does not tell the chat. */
static void read_row(struct tg_json_in *in, struct tg_letter_info *ret)
{
    bool changes = ret->chat_id == TG_CHAT_CHANGES;
    struct tg_str name;

    for (tg_json_enter(in, '{'); tg_json_next_key(in, &name);) {
        if (tg_str_eq(name, TG_STR("id")))
            ret->id = tg_json_take_i64(in);
        else if (changes && tg_str_eq(name, TG_STR("chat_id")))
            ret->chat_id = tg_json_take_i64(in);
        else
            tg_json_skip(in);
    }
}

/* What letters and quarantine have in common, by their names. A damaged one is shown as it is. */
static void read_info(const char *key, const void *bytes, size_t len, struct texts *t,
                      struct tg_letter_info *ret)
{
    const char *slash = strchr(key, '/');
    struct tg_json_in in;
    struct tg_str name;

    tg_buf_init(&t->to, TG_LETTER_MAX);
    tg_buf_init(&t->reason, TG_LETTER_MAX);
    tg_buf_init(&t->rule, TG_LETTER_MAX);
    tg_buf_init(&t->json, 2 * TG_LETTER_MAX);
    snprintf(t->job, sizeof t->job, "%.*s", slash ? (int)(slash - key) : 0, key);
    tg_buf_add(&t->json, bytes, len);
    tg_json_in_init(&in, bytes, len);
    for (tg_json_enter(&in, '{'); tg_json_next_key(&in, &name);) {
        if (tg_str_eq(name, TG_STR("to")))
            tg_json_take_str(&in, &t->to);
        else if (tg_str_eq(name, TG_STR("reason")))
            tg_json_take_str(&in, &t->reason);
        else if (tg_str_eq(name, TG_STR("rule")))
            tg_json_take_str(&in, &t->rule);
        else if (tg_str_eq(name, TG_STR("chat_id")))
            ret->chat_id = tg_json_take_i64(&in);
        else if (tg_str_eq(name, TG_STR("id")) && !tg_json_take_null(&in))
            ret->id = tg_json_take_i64(&in);
        else if (tg_str_eq(name, TG_STR("row")))
            read_row(&in, ret);
        else
            tg_json_skip(&in);
    }
    ret->key = key;
    ret->job = t->job;
    ret->to = t->to.len ? tg_buf_cstr(&t->to) : NULL;
    ret->reason = tg_buf_cstr(&t->reason);
    ret->rule = t->rule.len ? tg_buf_cstr(&t->rule) : NULL;
    ret->json = tg_buf_cstr(&t->json);
}

static bool wanted(const struct tg_letter_filter *which, const struct tg_letter_info *info)
{
    return (!which->job || strcmp(which->job, info->job) == 0) &&
           (!which->rule || (info->rule && strcmp(which->rule, info->rule) == 0)) &&
           (!which->key || strcmp(which->key, info->key) == 0) &&
           (!which->to || (info->to && strcmp(which->to, info->to) == 0));
}

static bool on_letter(void *ctx, const char *key, const struct tg_doc *doc, const void *bytes,
                      size_t len)
{
    struct listing *l = ctx;
    struct tg_letter_info info = { .at_us = doc->at_us };
    struct texts t;
    bool more = true;

    if (tg_letter_gone(bytes, len))
        return true;
    read_info(key, bytes, len, &t, &info);
    if (t.json.failed) {
        l->code = tg_fail(l->err, TG_NOMEM, "no memory for a dead letter");
        more = false;
    } else if (wanted(l->which, &info)) {
        l->n++;
        more = l->seen(l->ctx, &info);
    }
    texts_done(&t);
    return more;
}

static tg_code no_such(const struct tg_letter_filter *which, struct tg_error *err)
{
    tg_fail(err, TG_NOT_FOUND, "there is no %s '%.160s' in %s",
            which->quarantine ? "record" : "letter", which->key, tg_store_shown(which->state).text);
    return tg_hint(err, "tgdata dlq list%s shows those that there are",
                   which->quarantine ? " --quarantine" : "");
}

/* What keys of the filter's letters begin with. */
static tg_code prefix_of(const struct tg_letter_filter *which, char out[PREFIX],
                         struct tg_error *err)
{
    out[0] = 0;
    if (!which->job)
        return TG_OK;
    snprintf(out, PREFIX, "%s/", which->job);
    return tg_job_name_check(which->job, err);
}

tg_code tg_letters_list(const struct tg_letter_filter *which, tg_letter_fn seen, void *ctx,
                        struct tg_error *err)
{
    struct listing l = { which, seen, ctx, 0, TG_OK, err };
    struct tg_store store;
    char prefix[PREFIX];
    tg_code code = prefix_of(which, prefix, err);

    if (code == TG_OK)
        code = tg_store_open_existing(which->state, TG_STORE_LOOK, &store, err);
    if (code != TG_OK)
        return code;
    code = store.ops->list(store.self, kind_of(which), prefix, on_letter, &l, err);
    tg_store_close(&store);
    if (code == TG_OK && l.code == TG_OK && which->key && !l.n)
        return no_such(which, err);
    return code == TG_OK ? l.code : code;
}

/* ---- some at a time ---- */

static void page_clear(struct dlq_page *p)
{
    for (size_t i = 0; i < p->n; i++)
        tg_buf_done(&p->entry[i].document);
    p->n = p->bytes = 0;
}

static void page_free(struct dlq_page *p)
{
    if (!p)
        return;
    page_clear(p);
    for (size_t i = 0; i < p->n_keys; i++)
        free(p->key[i]);
    free(p->key);
    free(p);
}

static bool fits_filter(const struct dlq_page *p, const char *key, const void *bytes, size_t len)
{
    struct tg_letter_info info = { 0 };
    struct texts t;
    bool fits;

    read_info(key, bytes, len, &t, &info);
    fits = wanted(p->which, &info);
    texts_done(&t);
    return fits;
}

static bool on_key(void *ctx, const char *key, const struct tg_doc *doc, const void *bytes,
                   size_t len)
{
    struct dlq_page *p = ctx;
    char *copy, **more = p->key;

    (void)doc;
    if (tg_letter_gone(bytes, len) || !fits_filter(p, key, bytes, len))
        return true;
    copy = strdup(key);
    if (p->n_keys == p->cap) {
        p->cap = TG_MAX(2 * p->cap, (size_t)DLQ_PAGE);
        more = reallocarray(p->key, p->cap, sizeof *more);
    }
    p->no_memory = !copy || !more;
    if (p->no_memory) {
        free(copy);
        return false;
    }
    p->key = more;
    p->key[p->n_keys++] = copy;
    return true;
}

static tg_code list_keys(struct dlq_page *p, const struct tg_store *store, struct tg_error *err)
{
    char prefix[PREFIX];
    tg_code code = prefix_of(p->which, prefix, err);

    if (code == TG_OK)
        code = store->ops->list(store->self, kind_of(p->which), prefix, on_key, p, err);
    return code == TG_OK && p->no_memory ? tg_fail(err, TG_NOMEM, "no memory for dead letters")
                                         : code;
}

/* @return TG_END behind the last */
static tg_code next_page(struct dlq_page *p, const struct tg_store *store, struct tg_error *err)
{
    page_clear(p);
    while (p->next < p->n_keys && p->n < DLQ_PAGE && p->bytes < PAGE_BYTES) {
        struct dlq_entry *e = &p->entry[p->n++];
        struct tg_doc doc;
        tg_code code;

        *e = (struct dlq_entry){ .key = p->key[p->next++] };
        tg_buf_init(&e->document, TG_LETTER_MAX);
        code = store->ops->get(store->self, kind_of(p->which), e->key, &doc, &e->document, err);
        if (code != TG_OK && code != TG_END)
            return code;
        if (code == TG_END || tg_letter_gone(e->document.data, e->document.len)) {
            tg_buf_done(&e->document); /* somebody else was faster */
            p->n--;
            continue;
        }
        e->version = doc.version;
        p->bytes += e->document.len;
    }
    return p->n ? TG_OK : TG_END;
}

tg_code dlq_each_page(const struct tg_letter_filter *which, dlq_work_fn work, void *ctx,
                      struct tg_error *err)
{
    struct dlq_page *p = calloc(1, sizeof *p);
    struct tg_store store;
    bool any = false;
    tg_code code = p ? TG_OK : tg_fail(err, TG_NOMEM, "no memory for dead letters");

    if (code == TG_OK)
        code = tg_store_open_existing(which->state, TG_STORE_CHANGE, &store, err);
    if (code != TG_OK) {
        page_free(p);
        return code;
    }
    p->which = which;
    code = list_keys(p, &store, err);
    while (code == TG_OK && (code = next_page(p, &store, err)) == TG_OK) {
        any = true;
        code = work(ctx, &store, p, err);
    }
    if (code == TG_END)
        code = which->key && !any ? no_such(which, err) : TG_OK;
    page_free(p);
    tg_store_close(&store);
    return code;
}

/* ---- taking out ---- */

static tg_code drop_page(void *ctx, const struct tg_store *store, struct dlq_page *p,
                         struct tg_error *err)
{
    uint64_t *n = ctx;
    tg_code code = TG_OK;

    for (size_t i = 0; code == TG_OK && i < p->n; i++) {
        code = tg_letter_end(store, kind_of(p->which), p->entry[i].key, p->entry[i].version,
                             "dropped", tg_clock_unix_us(), err);
        *n += code == TG_OK;
    }
    return code;
}

tg_code tg_letters_drop(const struct tg_letter_filter *which, uint64_t *ret_n,
                        struct tg_error *err)
{
    *ret_n = 0;
    return dlq_each_page(which, drop_page, ret_n, err);
}

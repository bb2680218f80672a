/* SPDX-License-Identifier: MIT */
/*
 * dlq.c - looking at dead letters, writing them to their destinations again, taking them out
 *
 * A replay works letters off by key, some at a time, those of one chat and destination together:
 *
 *   leases -> attach -> letters marked with the commit to come -> write, commit -> letters out
 *
 * Killed behind the commit, the next replay finds it at the destination by its number and fence,
 * and only takes the letters out. A row that is refused again writes its letter anew.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/json_read.h"
#include "crypto/random.h"
#include "etl/checkpoint.h"
#include "etl/lease.h"
#include "etl/letters.h"
#include "os/loop.h"
#include "tgdata/letters.h"

enum { PAGE = 500, PAGE_BYTES = 32 << 20, PREFIX = 80, AT_ONCE = 50 };
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

struct entry {
    const char *key;
    uint64_t version;
    struct tg_buf document;
};

/* Some letters, of those whose keys were listed when all began. */
struct page {
    const struct tg_letter_filter *which;
    char **key;
    size_t n_keys, cap, next;
    bool no_memory;
    struct entry entry[PAGE];
    size_t n, bytes;
};

static void page_clear(struct page *p)
{
    for (size_t i = 0; i < p->n; i++)
        tg_buf_done(&p->entry[i].document);
    p->n = p->bytes = 0;
}

static void page_free(struct page *p)
{
    if (!p)
        return;
    page_clear(p);
    for (size_t i = 0; i < p->n_keys; i++)
        free(p->key[i]);
    free(p->key);
    free(p);
}

static bool fits_filter(const struct page *p, const char *key, const void *bytes, size_t len)
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
    struct page *p = ctx;
    char *copy, **more = p->key;

    (void)doc;
    if (tg_letter_gone(bytes, len) || !fits_filter(p, key, bytes, len))
        return true;
    copy = strdup(key);
    if (p->n_keys == p->cap) {
        p->cap = TG_MAX(2 * p->cap, (size_t)PAGE);
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

static tg_code list_keys(struct page *p, const struct tg_store *store, struct tg_error *err)
{
    char prefix[PREFIX];
    tg_code code = prefix_of(p->which, prefix, err);

    if (code == TG_OK)
        code = store->ops->list(store->self, kind_of(p->which), prefix, on_key, p, err);
    return code == TG_OK && p->no_memory ? tg_fail(err, TG_NOMEM, "no memory for dead letters")
                                         : code;
}

/* @return TG_END behind the last */
static tg_code next_page(struct page *p, const struct tg_store *store, struct tg_error *err)
{
    page_clear(p);
    while (p->next < p->n_keys && p->n < PAGE && p->bytes < PAGE_BYTES) {
        struct entry *e = &p->entry[p->n++];
        struct tg_doc doc;
        tg_code code;

        *e = (struct entry){ .key = p->key[p->next++] };
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

/* Calls `work` with all letters, some at a time. */
static tg_code each_page(const struct tg_letter_filter *which,
                         tg_code (*work)(void *ctx, const struct tg_store *store, struct page *p,
                                         struct tg_error *err),
                         void *ctx, struct tg_error *err)
{
    struct page *p = calloc(1, sizeof *p);
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

static tg_code drop_page(void *ctx, const struct tg_store *store, struct page *p,
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
    return each_page(which, drop_page, ret_n, err);
}

/* ---- writing again ---- */

/* The letters of one chat and destination, within a page. */
struct replay {
    struct tg_letters_result *result;
    const struct tg_store *store;
    struct entry *entry;
    size_t n;
    struct tg_letter letter[PAGE];
    bool done[PAGE]; /* its row is there by an earlier replay, that was killed */
    struct tg_letters letters;
    struct tg_letter_box box;
    struct tg_sink_env env;
    struct tg_sink sink;
    struct tg_batch *batch;
    struct tg_lease_held *held;
    uint64_t fence;
    struct tg_commit last, next;
};

static int64_t sink_clock(void *ctx)
{
    (void)ctx;
    return tg_clock_unix_us();
}

static bool on_commit(void *ctx, const struct tg_commit *c)
{
    struct replay *r = ctx;

    for (size_t i = 0; i < r->n; i++)
        r->done[i] |= c->seq == r->letter[i].replay_seq && c->fence == r->letter[i].replay_fence;
    return true;
}

/* Takes the chat up, and says what the commit to come will be. */
static tg_code take_up(struct replay *r, struct tg_error *err)
{
    const struct tg_sink *sink = &r->sink;
    const struct tg_random random = tg_random_system();
    const struct tg_fence fence = { r->fence, (uint32_t)tg_random_u64(&random) };
    int64_t chat_id = r->letter[0].chat_id;
    tg_code code = TG_OK;

    r->last = (struct tg_commit){ .cursor.chat_id = chat_id };
    if (tg_sink_remembers(sink)) {
        code = sink->ops->attach(sink->self, chat_id, &fence, &r->last, err);
        if (code == TG_OK)
            code = sink->ops->commits(sink->self, chat_id, on_commit, r, err);
    }
    if (code == TG_END) {
        tg_fail(err, TG_GAP, "%.160s holds nothing of chat %lld", r->box.to, (long long)chat_id);
        code = tg_hint(err, "extract the chat there again; then drop the letters");
    }
    r->next = r->last;
    r->next.seq++;
    r->next.rows = 0;
    r->next.fence = r->fence;
    if (r->last.rows || !r->last.seq) /* as ever: back to the end of the last one with rows */
        r->next.covered_from = r->last.cursor.id + 1;
    return code;
}

static tg_code mark(struct replay *r, size_t i, struct tg_error *err)
{
    struct tg_letter *letter = &r->letter[i];
    struct tg_buf document;
    tg_code code;

    letter->replay_seq = r->next.seq;
    letter->replay_fence = r->next.fence;
    tg_buf_init(&document, TG_LETTER_MAX);
    tg_letter_write(letter, &document);
    code = document.failed ? tg_fail(err, TG_LIMIT, "a dead letter is too large")
                           : tg_letter_put(r->store, r->entry[i].key, r->entry[i].version,
                                           tg_clock_unix_us(), &document, err);
    r->entry[i].version += code == TG_OK;
    tg_buf_done(&document);
    return code;
}

static tg_code write_rows(struct replay *r, struct tg_error *err)
{
    const struct tg_sink *sink = &r->sink;
    tg_code code = TG_OK;

    tg_batch_clear(r->batch);
    r->batch->cursor = r->last.cursor;
    for (size_t i = 0; code == TG_OK && i < r->n; i++) {
        if (r->done[i])
            continue;
        code = tg_row_read(r->batch, r->letter[i].row.at, r->letter[i].row.len, err);
        if (code == TG_OK)
            code = tg_lease_keep(r->held, err);
        if (code == TG_OK)
            code = mark(r, i, err);
    }
    for (size_t at = 0, n; code == TG_OK && at < r->batch->n; at += n) {
        n = TG_MIN(r->batch->n - at, (size_t)AT_ONCE);
        code = tg_lease_keep(r->held, err);
        if (code == TG_OK)
            code = sink->ops->write(sink->self, r->batch, at, n, err);
    }
    if (code != TG_OK || !r->batch->n)
        return code;
    r->next.rows = r->batch->n;
    r->next.rows_total += r->batch->n;
    code = tg_lease_keep(r->held, err);
    return code == TG_OK ? sink->ops->commit(sink->self, &r->next, err) : code;
}

/* What was refused again is a newer version than what was marked, and stays. */
static tg_code take_out(struct replay *r, struct tg_error *err)
{
    tg_code code = TG_OK;

    for (size_t i = 0; code == TG_OK && i < r->n; i++) {
        code = tg_lease_keep(r->held, err);
        if (code != TG_OK)
            return code;
        code = tg_letter_end(r->store, TG_LETTER_KIND, r->entry[i].key, r->entry[i].version,
                             "replayed", tg_clock_unix_us(), err);
        r->result->replayed += code == TG_OK;
        r->result->refused += code == TG_CONFLICT;
        if (code == TG_CONFLICT)
            code = TG_OK;
    }
    return code;
}

static tg_code replay_group(void *ctx, struct tg_lease_held *held, struct tg_error *err)
{
    struct replay *r = ctx;
    const char *series = tg_buf_cstr(&r->letter[0].series), *job = tg_buf_cstr(&r->letter[0].job);
    tg_code code;

    r->held = held;
    r->fence = held->lease[0].token;
    tg_letters_init(&r->letters, r->store, job, tg_clock_unix_us);
    r->letters.chat_id = r->letter[0].chat_id;
    r->box = (struct tg_letter_box){ &r->letters, tg_buf_cstr(&r->letter[0].to),
                                     *series ? series : NULL };
    r->env = (struct tg_sink_env){ .job = job,
                                   .fs = &tg_fs_system,
                                   .unix_us = sink_clock,
                                   .refuse = tg_letter_keep,
                                   .ctx = &r->box,
                                   .series = r->box.series };
    code = tg_sink_open(r->box.to, &r->env, &r->sink, err);
    if (code == TG_OK) {
        code = take_up(r, err);
        if (code == TG_OK)
            code = write_rows(r, err);
        if (code == TG_OK)
            code = take_out(r, err);
        tg_sink_close(&r->sink);
    }
    tg_letters_done(&r->letters);
    return code;
}

/* Bytes of a key before its row: job, destination and chat. */
static size_t group_of(const char *key)
{
    const char *at = key;

    for (int i = 0; i < 3 && at; i++)
        at = strchr(at + (i > 0), '/');
    return at ? (size_t)(at - key) : strlen(key);
}

/* A message may have changed again since: what was refused would come behind what it is now. */
static tg_code refuse_changes(struct tg_letter *letter, struct tg_error *err)
{
    tg_fail(err, TG_UNSUPPORTED, "letters of changes are not written again: %.80s in %.120s",
            tg_buf_cstr(&letter->job), tg_buf_cstr(&letter->to));
    return tg_hint(err, "mend the destination, take the job back by checkpoints rollback changes "
                        "--number 0, so that all is read again, and drop them; --job NAME keeps "
                        "to another job's");
}

static tg_code replay_page(void *ctx, const struct tg_store *store, struct page *p,
                           struct tg_error *err)
{
    struct replay *r = ctx;
    tg_code code = TG_OK;

    r->store = store;
    for (size_t from = 0; code == TG_OK && from < p->n; from += r->n) {
        size_t group = group_of(p->entry[from].key);

        r->entry = p->entry + from;
        memset(r->done, 0, sizeof r->done);
        for (r->n = 0; code == TG_OK && from + r->n < p->n; r->n++) {
            struct entry *e = &r->entry[r->n];

            if (group_of(e->key) != group || memcmp(e->key, r->entry->key, group) != 0)
                break;
            code = tg_letter_read(e->key, e->document.data, e->document.len, &r->letter[r->n],
                                  err);
        }
        if (code == TG_OK && r->letter[0].chat_id == TG_CHAT_CHANGES)
            code = refuse_changes(&r->letter[0], err);
        if (code == TG_OK)
            code = tg_lease_job(store, tg_buf_cstr(&r->letter[0].job), r->letter[0].chat_id,
                                replay_group, r, err);
        for (size_t i = 0; i < r->n; i++)
            tg_letter_done(&r->letter[i]);
    }
    return code;
}

tg_code tg_letters_replay(const struct tg_letter_filter *which, struct tg_letters_result *ret,
                          struct tg_error *err)
{
    struct replay *r = calloc(1, sizeof *r);
    tg_code code;

    *ret = (struct tg_letters_result){ 0 };
    if (which->quarantine)
        code = tg_fail(err, TG_USAGE, "what could not be decoded is no row that can be written");
    else if (!r || !(r->batch = tg_batch_new(PAGE)))
        code = tg_fail(err, TG_NOMEM, "no memory for dead letters");
    else
        code = TG_OK;
    if (code == TG_OK) {
        r->result = ret;
        code = each_page(which, replay_page, r, err);
    }
    if (r)
        tg_batch_free(r->batch);
    free(r);
    return code;
}

/* SPDX-License-Identifier: MIT */
/*
 * scheduler_doc.c - what is remembered of a job and of its runs
 */
#include <stdio.h>

#include "base/json.h"
#include "base/json_read.h"
#include "etl/scheduler_impl.h"
#include "os/loop.h"
#include "os/proc.h"

#define DOC_KIND "schedule"
#define LOG_KIND "run"

enum { DOC_MAX = 64 << 10, VERSIONS_KEPT = 3, RUNS_KEPT = 1000, DROP_EVERY = 100 };

tg_code tg_sched_store(struct tg_scheduler *s, struct tg_sched_job *j, struct tg_error *err)
{
    (void)s;
    return j->store->ops ? TG_OK : tg_store_open(j->store_url, j->store, err);
}

/* ---- the document ---- */

static void read_floods(struct tg_json_in *in, struct tg_quiet *q)
{
    size_t i = 0;

    tg_json_enter(in, '[');
    while (tg_json_next_item(in)) {
        int64_t v = tg_json_take_i64(in);

        if (i < TG_QUIET_HOURS && v >= 0 && v <= 1000)
            q->permille[i++] = (int32_t)v;
    }
}

tg_code tg_sched_read(const struct tg_store *store, const char *job, struct tg_sched_doc *ret,
                      struct tg_error *err)
{
    struct tg_sched_doc d = { 0 };
    struct tg_buf bytes;
    struct tg_json_in in;
    struct tg_str key;
    struct tg_doc doc;
    tg_code code;

    tg_buf_init(&bytes, DOC_MAX);
    code = store->ops->get(store->self, DOC_KIND, job, &doc, &bytes, err);
    if (code == TG_OK) {
        d.version = doc.version;
        tg_json_in_init(&in, (const char *)bytes.data, bytes.len);
        for (tg_json_enter(&in, '{'); tg_json_next_key(&in, &key);) {
            if (tg_str_eq(key, TG_STR("settled_ms")))
                d.settled_ms = tg_json_take_i64(&in);
            else if (tg_str_eq(key, TG_STR("ok")))
                d.ok = tg_json_take_bool(&in);
            else if (tg_str_eq(key, TG_STR("paused")))
                d.paused = tg_json_take_bool(&in);
            else if (tg_str_eq(key, TG_STR("estimate_ms")))
                d.estimate_ms = tg_json_take_i64(&in);
            else if (tg_str_eq(key, TG_STR("flood_until_ms")))
                d.flood_until_ms = tg_json_take_i64(&in);
            else if (tg_str_eq(key, TG_STR("rate_milli")))
                d.quiet.rate_milli = tg_json_take_i64(&in);
            else if (tg_str_eq(key, TG_STR("floods")))
                read_floods(&in, &d.quiet);
            else
                tg_json_skip(&in);
        }
        if (!tg_json_in_done(&in)) {
            tg_fail(err, TG_CORRUPT, "what is remembered of the schedule of '%s' is damaged", job);
            code = tg_hint(err, "restore the state from a backup, or give the job another name");
        }
    }
    tg_buf_done(&bytes);
    if (code == TG_OK || code == TG_END)
        *ret = d;
    return code == TG_END ? TG_OK : code;
}

tg_code tg_sched_write(const struct tg_store *store, const char *job, struct tg_sched_doc *doc,
                       struct tg_error *err)
{
    const struct tg_doc stamp = { .at_us = tg_clock_unix_us() };
    struct tg_buf bytes;
    struct tg_json j;
    tg_code code;

    tg_buf_init(&bytes, DOC_MAX);
    tg_json_init(&j, &bytes);
    tg_json_object(&j);
    tg_json_key(&j, "settled_ms"), tg_json_i64(&j, doc->settled_ms);
    tg_json_key(&j, "ok"), tg_json_bool(&j, doc->ok);
    tg_json_key(&j, "paused"), tg_json_bool(&j, doc->paused);
    tg_json_key(&j, "estimate_ms"), tg_json_i64(&j, doc->estimate_ms);
    tg_json_key(&j, "flood_until_ms"), tg_json_i64(&j, doc->flood_until_ms);
    tg_json_key(&j, "rate_milli"), tg_json_i64(&j, doc->quiet.rate_milli);
    tg_json_key(&j, "floods"), tg_json_array(&j);
    for (size_t i = 0; i < TG_QUIET_HOURS; i++)
        tg_json_i64(&j, doc->quiet.permille[i]);
    tg_json_end_array(&j);
    tg_json_end_object(&j);
    if (bytes.failed)
        code = tg_fail(err, TG_NOMEM, "no memory for a schedule");
    else
        code = store->ops->put(store->self, DOC_KIND, job, doc->version, &stamp, bytes.data,
                               bytes.len, err);
    tg_buf_done(&bytes);
    if (code != TG_OK)
        return code;
    doc->version++;
    if (doc->version % DROP_EVERY == 0)
        code = store->ops->prune(store->self, DOC_KIND, job, VERSIONS_KEPT, err);
    return code;
}

/* ---- the history ---- */

static void put_record(struct tg_json *j, const struct tg_scheduled_record *r)
{
    tg_json_object(j);
    tg_json_key(j, "how"), tg_json_cstr(j, r->how);
    tg_json_key(j, "due"), tg_json_time(j, r->due_ms / 1000);
    tg_json_key(j, "due_ms"), tg_json_i64(j, r->due_ms);
    if (r->until_ms)
        tg_json_key(j, "until_ms"), tg_json_i64(j, r->until_ms);
    if (r->started_ms) {
        tg_json_key(j, "started_ms"), tg_json_i64(j, r->started_ms);
        tg_json_key(j, "ended_ms"), tg_json_i64(j, r->ended_ms);
        tg_json_key(j, "attempt"), tg_json_u64(j, r->attempt);
        tg_json_key(j, "again"), tg_json_bool(j, r->again);
        tg_json_key(j, "late"), tg_json_bool(j, r->late);
        tg_json_key(j, "backfill"), tg_json_bool(j, r->backfill);
        tg_json_key(j, "rows"), tg_json_u64(j, r->rows);
        tg_json_key(j, "requests"), tg_json_u64(j, r->requests);
        tg_json_key(j, "flood_ms"), tg_json_i64(j, r->flood_ms);
    }
    if (r->step && *r->step)
        tg_json_key(j, "step"), tg_json_cstr(j, r->step);
    if (r->error && *r->error)
        tg_json_key(j, "error"), tg_json_cstr(j, r->error);
    tg_json_key(j, "by"), tg_json_cstr(j, r->by);
    tg_json_end_object(j);
}

tg_code tg_sched_record(const struct tg_store *store, const struct tg_scheduled_record *record,
                        struct tg_error *err)
{
    struct tg_scheduled_record r = *record;
    char by[128];
    struct tg_buf bytes;
    struct tg_json j;
    uint64_t n = 0;
    tg_code code;

    tg_proc_name(by, sizeof by);
    r.by = by;
    tg_buf_init(&bytes, DOC_MAX);
    tg_json_init(&j, &bytes);
    put_record(&j, &r);
    if (bytes.failed)
        code = tg_fail(err, TG_NOMEM, "no memory for the history");
    else
        code = store->ops->append(store->self, LOG_KIND, r.job, tg_clock_unix_us(), bytes.data,
                                  bytes.len, &n, err);
    tg_buf_done(&bytes);
    if (code == TG_OK && n > RUNS_KEPT && n % DROP_EVERY == 0)
        code = store->ops->drop(store->self, LOG_KIND, r.job, 1, n - RUNS_KEPT, err);
    return code;
}

struct reading {
    const char *job;
    bool (*seen)(void *ctx, const struct tg_scheduled_record *record);
    void *ctx;
    struct tg_buf how, step, error, by;
    bool damaged;
};

static bool take_number(struct tg_json_in *in, struct tg_str key, struct tg_scheduled_record *r)
{
    const struct {
        const char *name;
        int64_t *at;
    } number[] = { { "due_ms", &r->due_ms },         { "until_ms", &r->until_ms },
                   { "started_ms", &r->started_ms }, { "ended_ms", &r->ended_ms },
                   { "flood_ms", &r->flood_ms } };
    const struct {
        const char *name;
        bool *at;
    } flag[] = { { "again", &r->again }, { "late", &r->late }, { "backfill", &r->backfill } };

    for (size_t i = 0; i < TG_COUNT(number); i++) {
        if (tg_str_eq(key, tg_str_of(number[i].name))) {
            *number[i].at = tg_json_take_i64(in);
            return true;
        }
    }
    for (size_t i = 0; i < TG_COUNT(flag); i++) {
        if (tg_str_eq(key, tg_str_of(flag[i].name))) {
            *flag[i].at = tg_json_take_bool(in);
            return true;
        }
    }
    return false;
}

static bool on_entry(void *ctx, const struct tg_log_entry *entry)
{
    struct reading *h = ctx;
    struct tg_scheduled_record r = { .job = h->job };
    struct tg_json_in in;
    struct tg_str key;

    tg_buf_clear(&h->how), tg_buf_clear(&h->step), tg_buf_clear(&h->error), tg_buf_clear(&h->by);
    tg_json_in_init(&in, entry->bytes, entry->len);
    for (tg_json_enter(&in, '{'); tg_json_next_key(&in, &key);) {
        if (take_number(&in, key, &r))
            continue;
        if (tg_str_eq(key, TG_STR("attempt")))
            r.attempt = (uint32_t)tg_json_take_u64(&in);
        else if (tg_str_eq(key, TG_STR("rows")))
            r.rows = tg_json_take_u64(&in);
        else if (tg_str_eq(key, TG_STR("requests")))
            r.requests = tg_json_take_u64(&in);
        else if (tg_str_eq(key, TG_STR("how")))
            tg_json_take_str(&in, &h->how);
        else if (tg_str_eq(key, TG_STR("step")))
            tg_json_take_str(&in, &h->step);
        else if (tg_str_eq(key, TG_STR("error")))
            tg_json_take_str(&in, &h->error);
        else if (tg_str_eq(key, TG_STR("by")))
            tg_json_take_str(&in, &h->by);
        else
            tg_json_skip(&in);
    }
    h->damaged = h->damaged || !tg_json_in_done(&in);
    if (h->damaged)
        return false;
    r.how = tg_buf_cstr(&h->how);
    r.step = tg_buf_cstr(&h->step);
    r.error = tg_buf_cstr(&h->error);
    r.by = tg_buf_cstr(&h->by);
    return h->seen(h->ctx, &r);
}

tg_code tg_sched_history(const struct tg_store *store, const char *job,
                         bool (*seen)(void *ctx, const struct tg_scheduled_record *record),
                         void *ctx, struct tg_error *err)
{
    struct reading h = { .job = job, .seen = seen, .ctx = ctx };
    tg_code code;

    tg_buf_init(&h.how, DOC_MAX), tg_buf_init(&h.step, DOC_MAX);
    tg_buf_init(&h.error, DOC_MAX), tg_buf_init(&h.by, DOC_MAX);
    code = store->ops->read(store->self, LOG_KIND, job, 1, on_entry, &h, err);
    tg_buf_done(&h.how), tg_buf_done(&h.step), tg_buf_done(&h.error), tg_buf_done(&h.by);
    if (code == TG_OK && h.damaged)
        code = tg_fail(err, TG_CORRUPT, "the history of job '%s' is damaged", job);
    return code;
}

/* SPDX-License-Identifier: MIT */
/*
 * checkpoint.c - see checkpoint.h
 */
#include "etl/checkpoint.h"

#include <assert.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/json.h"
#include "base/text.h"

enum { RECORD_MAX = 1 << 20 };

/* ---- of several destinations ---- */

void tg_checkpoint_forget_each(struct tg_checkpoint *c)
{
    for (size_t i = 0; i < c->n_each; i++)
        free(c->each[i].to);
    c->n_each = 0;
}

tg_code tg_checkpoint_add_each(struct tg_checkpoint *c, const char *to,
                               const struct tg_commit *commit, struct tg_error *err)
{
    struct tg_checkpoint_each *more = reallocarray(c->each, c->n_each + 1, sizeof *more);
    char *copy = strdup(to);

    if (more)
        c->each = more;
    if (!more || !copy) {
        free(copy);
        return tg_fail(err, TG_NOMEM, "no memory for a checkpoint");
    }
    c->each[c->n_each++] = (struct tg_checkpoint_each){ copy, *commit };
    return TG_OK;
}

const struct tg_commit *tg_checkpoint_of(const struct tg_checkpoint *c, const char *to)
{
    for (size_t i = 0; i < c->n_each; i++)
        if (strcmp(c->each[i].to, to) == 0)
            return &c->each[i].commit;
    return !c->n_each && c->to && strcmp(c->to, to) == 0 ? &c->commit : NULL;
}

static void write_each(struct tg_json *j, const struct tg_checkpoint *c)
{
    tg_json_key(j, "destinations");
    tg_json_array(j);
    for (size_t i = 0; i < c->n_each; i++) {
        const struct tg_commit *m = &c->each[i].commit;

        tg_json_object(j);
        tg_json_key(j, "to"), tg_json_cstr(j, c->each[i].to);
        tg_json_key(j, "segment"), tg_json_i64(j, m->cursor.segment);
        tg_json_key(j, "cursor"), tg_json_i64(j, m->cursor.id);
        tg_json_key(j, "seq"), tg_json_u64(j, m->seq);
        tg_json_key(j, "rows"), tg_json_u64(j, m->rows);
        tg_json_key(j, "rows_total"), tg_json_u64(j, m->rows_total);
        tg_json_end_object(j);
    }
    tg_json_end_array(j);
}

/* ---- the record ---- */

void tg_checkpoint_done(struct tg_checkpoint *c)
{
    tg_checkpoint_forget_each(c);
    free(c->each);
    free(c->batch);
    free(c->to);
    *c = (struct tg_checkpoint){ 0 };
}

void tg_checkpoint_batch(struct tg_checkpoint *c, const struct tg_batch_record *record)
{
    if (c->n_batches == TG_BATCH_LOG_MAX) {
        memmove(c->batch, c->batch + 1, (c->n_batches - 1) * sizeof *c->batch);
        c->n_batches--;
    }
    if (c->n_batches == c->cap_batches) {
        size_t cap = c->cap_batches ? c->cap_batches * 2 : 16;
        struct tg_batch_record *more = realloc(c->batch, cap * sizeof *more);

        if (!more)
            return; /* a note less; the checkpoint itself is whole */
        c->batch = more;
        c->cap_batches = cap;
    }
    c->batch[c->n_batches++] = *record;
}

tg_code tg_job_name_check(const char *job, struct tg_error *err)
{
    static const char allowed[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    size_t n = strlen(job);

    if (n == 0 || n > TG_JOB_NAME_MAX || strspn(job, allowed) != n)
        return tg_fail(err, TG_USAGE,
                       "the job name must be 1 to %d of letters, digits, '.', '_' and '-'",
                       TG_JOB_NAME_MAX);
    return TG_OK;
}

void tg_checkpoint_key(char *out, size_t n, const char *job, int64_t chat_id)
{
    snprintf(out, n, "%s/%lld", job, (long long)chat_id);
}

/* What shapes a job's rows; a run with other values would mix two series. */
static void write_params(struct tg_json *j, const struct tg_extract_settings *job)
{
    tg_json_object(j);
    if (job->since) {
        tg_json_key(j, "start_date");
        tg_json_time(j, job->since);
    }
    if (job->until) {
        tg_json_key(j, "end_date");
        tg_json_time(j, job->until);
    }
    tg_json_key(j, "batch_size");
    tg_json_i64(j, job->batch_size);
    if (job->min_id) {
        tg_json_key(j, "min_id");
        tg_json_i64(j, job->min_id);
    }
    if (job->max_id) {
        tg_json_key(j, "max_id");
        tg_json_i64(j, job->max_id);
    }
    if (job->limit) {
        tg_json_key(j, "limit");
        tg_json_i64(j, job->limit);
    }
    if (job->raw) {
        tg_json_key(j, "raw");
        tg_json_bool(j, true);
    }
    if (job->include_replies) {
        tg_json_key(j, "include_replies");
        tg_json_bool(j, true);
    }
    if (job->media) { /* the directory may move */
        tg_json_key(j, "media");
        tg_json_bool(j, true);
        if (job->media_types) {
            tg_json_key(j, "media_types");
            tg_json_cstr(j, job->media_types);
        }
        if (job->media_max_size) {
            tg_json_key(j, "media_max_size");
            tg_json_i64(j, job->media_max_size);
        }
    }
    if (job->source) {
        tg_json_key(j, "source");
        tg_json_cstr(j, job->source);
    }
    if (job->source || job->n_stages) {
        tg_json_key(j, "stage");
        tg_json_array(j);
        for (size_t i = 0; i < job->n_stages; i++)
            tg_json_cstr(j, job->stage[i]);
        tg_json_end_array(j);
    }
    tg_json_end_object(j);
}

static void write_batches(struct tg_json *j, const struct tg_checkpoint *c)
{
    tg_json_key(j, "batches");
    tg_json_array(j);
    for (size_t i = 0; i < c->n_batches; i++) {
        const struct tg_batch_record *b = &c->batch[i];

        tg_json_object(j);
        tg_json_key(j, "id");
        tg_json_u64(j, b->id);
        tg_json_key(j, "started");
        tg_json_double(j, (double)b->started_us / 1e6);
        tg_json_key(j, "ended");
        tg_json_double(j, (double)b->ended_us / 1e6);
        tg_json_key(j, "rows");
        tg_json_u64(j, b->rows);
        tg_json_key(j, "status");
        tg_json_cstr(j, b->failed ? "failed" : "committed");
        if (b->failed) {
            tg_json_key(j, "error");
            tg_json_cstr(j, b->error);
        }
        tg_json_end_object(j);
    }
    tg_json_end_array(j);
}

static void write_own(struct tg_json *j, const struct tg_extract_settings *job,
                      const struct tg_checkpoint *c)
{
    const struct tg_commit *m = &c->commit;

    tg_json_key(j, "tgdata");
    tg_json_object(j);
    tg_json_key(j, "number");
    tg_json_u64(j, c->number + 1);
    tg_json_key(j, "segment");
    tg_json_i64(j, m->cursor.segment);
    tg_json_key(j, "cursor");
    tg_json_i64(j, m->cursor.id);
    tg_json_key(j, "owner");
    tg_json_i64(j, m->cursor.owner);
    tg_json_key(j, "covered_from");
    tg_json_i64(j, m->covered_from);
    tg_json_key(j, "seq");
    tg_json_u64(j, m->seq);
    tg_json_key(j, "rows");
    tg_json_u64(j, m->rows);
    tg_json_key(j, "complete");
    tg_json_bool(j, m->complete);
    tg_json_key(j, "fence");
    tg_json_u64(j, m->fence);
    tg_json_key(j, "to");
    tg_json_cstr(j, job->to);
    write_batches(j, c);
    if (c->n_each > 1 && job->destinations.n > 1)
        write_each(j, c);
    tg_json_end_object(j);
}

static void write_record(struct tg_buf *out, const struct tg_extract_settings *job,
                         const struct tg_checkpoint *c)
{
    const struct tg_commit *m = &c->commit;
    struct tg_json j;

    tg_json_init(&j, out);
    tg_json_object(&j);
    tg_json_key(&j, "job_id");
    tg_json_cstr(&j, job->job);
    tg_json_key(&j, "group_id");
    tg_json_i64(&j, m->cursor.chat_id);
    tg_json_key(&j, "last_message_id");
    tg_json_i64(&j, m->last_id);
    tg_json_key(&j, "last_message_date");
    if (m->last_id)
        tg_json_time(&j, m->last_date);
    else
        tg_json_null(&j);
    tg_json_key(&j, "batches_completed");
    tg_json_u64(&j, m->batches);
    tg_json_key(&j, "total_messages_processed");
    tg_json_u64(&j, m->rows_total);
    tg_json_key(&j, "last_checkpoint_time");
    tg_json_time(&j, c->at_us / TG_SECOND_US);
    tg_json_key(&j, "extraction_params");
    write_params(&j, job);
    write_own(&j, job, c);
    tg_json_end_object(&j);
}

static bool get_u64(const json_t *o, const char *key, uint64_t *ret)
{
    const json_t *v = json_object_get(o, key);

    if (!json_is_integer(v) || json_integer_value(v) < 0)
        return false;
    *ret = (uint64_t)json_integer_value(v);
    return true;
}

static bool get_i64(const json_t *o, const char *key, int64_t *ret)
{
    const json_t *v = json_object_get(o, key);

    if (!json_is_integer(v))
        return false;
    *ret = json_integer_value(v);
    return true;
}

static bool read_commit(const json_t *o, struct tg_commit *m)
{
    const json_t *own = json_object_get(o, "tgdata");
    const char *date = json_string_value(json_object_get(o, "last_message_date"));
    int64_t segment;

    if (!get_i64(o, "group_id", &m->cursor.chat_id) ||
        !get_i64(o, "last_message_id", &m->last_id) ||
        !get_u64(o, "batches_completed", &m->batches) ||
        !get_u64(o, "total_messages_processed", &m->rows_total) ||
        !get_i64(own, "segment", &segment) || !get_i64(own, "cursor", &m->cursor.id) ||
        !get_i64(own, "owner", &m->cursor.owner) ||
        !get_i64(own, "covered_from", &m->covered_from) || !get_u64(own, "seq", &m->seq) ||
        !get_u64(own, "rows", &m->rows) || !get_u64(own, "fence", &m->fence) || segment < 0 ||
        segment > TG_SEGMENT_CHANGES)
        return false;
    if (date && !tg_time_parse(date, &m->last_date))
        return false;
    m->cursor.segment = (int32_t)segment;
    m->complete = json_is_true(json_object_get(own, "complete"));
    return true;
}

static tg_code read_each(const json_t *o, struct tg_checkpoint *c, struct tg_error *err)
{
    const json_t *own = json_object_get(o, "tgdata"), *each = json_object_get(own, "destinations");
    const char *only = json_string_value(json_object_get(own, "to"));
    tg_code code = TG_OK;

    for (size_t i = 0; code == TG_OK && i < json_array_size(each); i++) {
        const json_t *e = json_array_get(each, i);
        const char *to = json_string_value(json_object_get(e, "to"));
        struct tg_commit m = { .cursor = c->commit.cursor };
        int64_t segment;

        if (!to || !get_i64(e, "segment", &segment) || segment < 0 ||
            segment > TG_SEGMENT_CHANGES || !get_i64(e, "cursor", &m.cursor.id) ||
            !get_u64(e, "seq", &m.seq) || !get_u64(e, "rows", &m.rows) ||
            !get_u64(e, "rows_total", &m.rows_total))
            return tg_fail(err, TG_CORRUPT, "a checkpoint's destination lacks fields");
        m.cursor.segment = (int32_t)segment;
        code = tg_checkpoint_add_each(c, to, &m, err);
    }
    if (code == TG_OK && only) {
        c->to = strdup(only);
        if (!c->to)
            code = tg_fail(err, TG_NOMEM, "no memory for a checkpoint");
    }
    return code;
}

static json_t *parse(const char *json, size_t len, struct tg_error *err)
{
    json_error_t why;
    json_t *o = json_loadb(json, len, JSON_REJECT_DUPLICATES, &why);

    if (!json_is_object(o)) {
        tg_fail(err, TG_CORRUPT, "a checkpoint record is no JSON object: %s", why.text);
        tg_hint(err, "go back with `tgdata checkpoints rollback`, or start a job of another name");
        json_decref(o);
        return NULL;
    }
    return o;
}

tg_code tg_checkpoint_parse(const char *json, size_t len, struct tg_commit *ret,
                            struct tg_error *err)
{
    struct tg_commit m = { 0 };
    json_t *o = parse(json, len, err);
    bool ok = o && read_commit(o, &m);

    if (o && !ok)
        tg_fail(err, TG_CORRUPT, "a checkpoint record lacks fields or has wrong ones");
    json_decref(o);
    if (!ok)
        return TG_CORRUPT;
    *ret = m;
    return TG_OK;
}

tg_code tg_checkpoint_read_each(const char *json, size_t len, struct tg_checkpoint *ret,
                                struct tg_error *err)
{
    json_t *o = parse(json, len, err);
    tg_code code = TG_CORRUPT;

    *ret = (struct tg_checkpoint){ 0 };
    if (o && !read_commit(o, &ret->commit))
        tg_fail(err, TG_CORRUPT, "a checkpoint record lacks fields or has wrong ones");
    else if (o)
        code = read_each(o, ret, err);
    json_decref(o);
    if (code == TG_OK && !ret->n_each && ret->to)
        code = tg_checkpoint_add_each(ret, ret->to, &ret->commit, err);
    return code;
}

bool tg_checkpoint_to(const char *json, size_t len, char *out, size_t n)
{
    json_t *o = json_loadb(json, len, 0, NULL);
    const char *to = json_string_value(json_object_get(json_object_get(o, "tgdata"), "to"));
    bool found = to && strlen(to) < n;

    assert(n > 0);
    out[0] = 0;
    if (found)
        memcpy(out, to, strlen(to) + 1);
    json_decref(o);
    return found;
}

/* @return TG_USAGE if the stored parameters differ from those of this run */
static tg_code check_params(const json_t *o, const struct tg_extract_settings *job,
                            struct tg_error *err)
{
    struct tg_buf text;
    struct tg_json j;
    json_t *now, *then = json_object_get(o, "extraction_params");
    const char *key, *differs = NULL;
    json_t *value;

    tg_buf_init(&text, 65536);
    tg_json_init(&j, &text);
    write_params(&j, job);
    now = json_loadb((const char *)text.data, text.len, 0, NULL);
    tg_buf_done(&text);
    json_object_foreach(now, key, value)
        if (strcmp(key, "batch_size") != 0 && !json_equal(value, json_object_get(then, key)))
            differs = key;
    json_object_foreach(then, key, value)
        if (!json_object_get(now, key))
            differs = key;
    if (!json_object_get(now, "source") != !json_object_get(then, "source")) {
        tg_fail(err, TG_USAGE, "job '%s' is that of %s", job->job,
                job->source ? "an extraction" : "a transformation");
        tg_hint(err, "give this one another name with --job");
    } else if (differs) {
        tg_fail(err, TG_USAGE, "job '%s' was started with another %s", job->job, differs);
        tg_hint(err, "use the same options as before, or another --job name for a new series");
    }
    json_decref(now);
    return differs ? TG_USAGE : TG_OK;
}

tg_code tg_checkpoint_load(const struct tg_store *store, const char *kind,
                           const struct tg_extract_settings *job, int64_t chat_id,
                           struct tg_checkpoint *ret, struct tg_error *err)
{
    struct tg_checkpoint c = { 0 };
    struct tg_doc doc;
    struct tg_buf text;
    char key[128];
    json_t *o = NULL;
    tg_code code;

    tg_checkpoint_key(key, sizeof key, job->job, chat_id);
    tg_buf_init(&text, RECORD_MAX);
    code = store->ops->get(store->self, kind, key, &doc, &text, err);
    if (code == TG_OK) {
        o = parse((const char *)text.data, text.len, err);
        code = o ? TG_OK : TG_CORRUPT;
    }
    if (code == TG_OK && !read_commit(o, &c.commit))
        code = tg_fail(err, TG_CORRUPT, "checkpoint '%s' lacks fields or has wrong ones", key);
    if (code == TG_OK)
        code = check_params(o, job, err);
    if (code == TG_OK)
        code = read_each(o, &c, err);
    json_decref(o);
    tg_buf_done(&text);
    if (code != TG_OK) {
        tg_checkpoint_done(&c);
        return code;
    }
    c.number = doc.version;
    c.at_us = doc.at_us;
    *ret = c;
    return TG_OK;
}

tg_code tg_checkpoint_save(const struct tg_store *store, const char *kind,
                           const struct tg_extract_settings *job, struct tg_checkpoint *c,
                           int64_t now_us, struct tg_error *err)
{
    struct tg_doc stamp = { .at_us = now_us, .fence = c->fence };
    struct tg_buf text;
    char key[128];
    tg_code code;

    c->at_us = now_us;
    tg_checkpoint_key(key, sizeof key, job->job, c->commit.cursor.chat_id);
    tg_buf_init(&text, RECORD_MAX);
    write_record(&text, job, c);
    if (text.failed)
        code = tg_fail(err, TG_LIMIT, "checkpoint '%s' is too large", key);
    else
        code = store->ops->put(store->self, kind, key, c->number, &stamp, text.data, text.len,
                               err);
    tg_buf_done(&text);
    if (code != TG_OK)
        return code;
    c->number++;
    c->n_batches = 0;
    if (c->number % 16 == 0) /* now and then is often enough */
        return store->ops->prune(store->self, kind, key, (uint64_t)job->keep_checkpoints, err);
    return TG_OK;
}

/* ---- patterns ---- */

struct pattern {
    const char *changes; /* key of the checkpoint of changes */
    bool other;
};

static bool on_key(void *ctx, const char *key, const struct tg_doc *doc, const void *bytes,
                   size_t len)
{
    struct pattern *p = ctx;

    (void)doc, (void)bytes, (void)len;
    p->other = strcmp(key, p->changes) != 0;
    return !p->other;
}

tg_code tg_checkpoint_check_pattern(const struct tg_store *store, const char *job, int64_t chat_id,
                                    struct tg_error *err)
{
    char key[128], prefix[80];
    struct pattern pattern = { .changes = key };
    struct tg_buf bytes;
    struct tg_doc doc;
    tg_code code;

    tg_checkpoint_key(key, sizeof key, job, TG_CHAT_CHANGES);
    if (chat_id == TG_CHAT_CHANGES) {
        snprintf(prefix, sizeof prefix, "%s/", job);
        code = store->ops->list(store->self, TG_CHECKPOINT_LIVE, prefix, on_key, &pattern, err);
    } else {
        tg_buf_init(&bytes, 2 << 20);
        code = store->ops->get(store->self, TG_CHECKPOINT_LIVE, key, &doc, &bytes, err);
        tg_buf_done(&bytes);
        pattern.other = code == TG_OK;
        code = code == TG_END ? TG_OK : code;
    }
    if (code != TG_OK || !pattern.other)
        return code;
    tg_fail(err, TG_USAGE, chat_id == TG_CHAT_CHANGES
                               ? "job '%s' extracts histories, and cannot be a stream or delta, too"
                               : "job '%s' is a stream or delta, and cannot extract histories, too",
            job);
    return tg_hint(err, "give this one a name of its own: --job NAME");
}

/* SPDX-License-Identifier: MIT */
/*
 * checkpoints.c - looking at a job's checkpoints, and going back to one
 *
 * Going back removes from the destination what came later, then writes the old record as the newest
 * checkpoint. It holds the leases of job and chat, so that no run and no worker can be at work.
 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "crypto/random.h"
#include "etl/checkpoint.h"
#include "etl/lease.h"
#include "os/loop.h"
#include "tgdata/extract.h"

enum { RECORD_MAX = 1 << 20 };

struct listing {
    size_t n;
    tg_checkpoint_fn seen;
    void *ctx;
    tg_code code;
    struct tg_error *err;
};

/* Splits "job/chat" and hands the record on. */
static bool on_record(void *ctx, const char *key, const struct tg_doc *doc, const void *bytes,
                      size_t len)
{
    struct listing *l = ctx;
    const char *slash = strrchr(key, '/');
    char job[TG_JOB_NAME_MAX + 1], *json;
    struct tg_checkpoint_info info = { .job = job, .number = doc->version };
    bool more;

    if (!slash || (size_t)(slash - key) >= sizeof job)
        return true;
    memcpy(job, key, (size_t)(slash - key));
    job[slash - key] = 0;
    info.chat_id = strtoll(slash + 1, NULL, 10);
    json = strndup(bytes, len);
    if (!json) {
        l->code = tg_fail(l->err, TG_NOMEM, "no memory for a checkpoint");
        return false;
    }
    info.json = json;
    l->n++;
    more = l->seen(l->ctx, &info);
    free(json);
    return more;
}

tg_code tg_checkpoints_list(const char *state_url, const char *job, tg_checkpoint_fn seen,
                            void *ctx, struct tg_error *err)
{
    struct listing l = { 0, seen, ctx, TG_OK, err };
    struct tg_store store;
    char prefix[TG_JOB_NAME_MAX + 2] = "";
    tg_code code = job ? tg_job_name_check(job, err) : TG_OK;

    if (code == TG_OK && job)
        snprintf(prefix, sizeof prefix, "%s/", job);
    if (code == TG_OK)
        code = tg_store_open_existing(state_url, TG_STORE_LOOK, &store, err);
    if (code != TG_OK)
        return code;
    code = store.ops->list(store.self, "checkpoint", prefix, on_record, &l, err);
    tg_store_close(&store);
    if (code == TG_OK && l.code == TG_OK && job && !l.n) {
        tg_fail(err, TG_NOT_FOUND, "job '%s' has no checkpoint in %s", job,
                tg_store_shown(state_url).text);
        return tg_hint(err, "`tgdata checkpoints list` without --job shows all jobs");
    }
    return code == TG_OK ? l.code : code;
}

tg_code tg_checkpoints_history(const char *state_url, const char *job, int64_t chat_id,
                               tg_checkpoint_fn seen, void *ctx, struct tg_error *err)
{
    struct listing l = { 0, seen, ctx, TG_OK, err };
    struct tg_store store;
    char key[128];
    tg_code code = tg_job_name_check(job, err);

    if (code == TG_OK)
        code = tg_store_open_existing(state_url, TG_STORE_LOOK, &store, err);
    if (code != TG_OK)
        return code;
    tg_checkpoint_key(key, sizeof key, job, chat_id);
    code = store.ops->history(store.self, "checkpoint", key, on_record, &l, err);
    tg_store_close(&store);
    if (code == TG_OK && l.code == TG_OK && !l.n) {
        tg_fail(err, TG_NOT_FOUND, "job '%s' has no checkpoint of chat %lld", job,
                (long long)chat_id);
        return tg_hint(err, "`tgdata checkpoints list` shows the jobs and their chats");
    }
    return code == TG_OK ? l.code : code;
}

/* ---- rollback ---- */

struct find {
    uint64_t number, newest;
    struct tg_buf record;
    bool found;
};

/* Number 0 is the beginning: found in every history, from the newest record. */
static bool on_version(void *ctx, const char *key, const struct tg_doc *doc, const void *bytes,
                       size_t len)
{
    struct find *f = ctx;

    (void)key;
    f->newest = TG_MAX(f->newest, doc->version);
    if (doc->version != f->number && f->number)
        return true;
    tg_buf_add(&f->record, bytes, len);
    f->found = !f->record.failed;
    return false;
}

static int64_t sink_clock(void *ctx)
{
    (void)ctx;
    return tg_clock_unix_us();
}

struct rollback {
    struct tg_store store;
    const char *job;
    int64_t chat_id;
    struct find find;
    struct tg_commit goal;
    uint64_t fence;
    bool other_history; /* the destination's commit of that number is another one */
    bool reached;       /* the destination holds what the checkpoint tells */
};

/* After an earlier rollback the same commit number may have been given again. */
static bool on_commit(void *ctx, const struct tg_commit *c)
{
    struct rollback *r = ctx;

    r->reached |= c->rows_total >= r->goal.rows_total;
    if (c->seq < r->goal.seq)
        return true;
    r->other_history = c->seq == r->goal.seq && (c->cursor.segment != r->goal.cursor.segment ||
                                                 c->cursor.id != r->goal.cursor.id ||
                                                 c->rows_total != r->goal.rows_total);
    return false;
}

static tg_code cut_destination(struct rollback *r, const char *to, struct tg_error *err)
{
    const struct tg_sink_env env = { .job = r->job,
                                     .fs = &tg_fs_system,
                                     .unix_us = sink_clock };
    const struct tg_random random = tg_random_system();
    const struct tg_fence fence = { r->fence, (uint32_t)tg_random_u64(&random) };
    struct tg_sink sink;
    tg_code code = tg_sink_open(to, &env, &sink, err);

    if (code != TG_OK)
        return code;
    if (!tg_sink_remembers(&sink)) { /* what was given away is not taken back */
        tg_sink_close(&sink);
        return TG_OK;
    }
    code = sink.ops->commits(sink.self, r->chat_id, on_commit, r, err);
    if (code == TG_OK && r->other_history) {
        tg_fail(err, TG_NOT_FOUND,
                "checkpoint %llu is of a history that an earlier rollback has removed",
                (unsigned long long)r->find.number);
        code = tg_hint(err, "choose a checkpoint from before that rollback, or a later one");
    }
    if (code == TG_OK && r->goal.rows_total && !r->reached) {
        tg_fail(err, TG_GAP, "%.120s lacks messages of chat %lld that checkpoint %llu tells of", to,
                (long long)r->chat_id, (unsigned long long)r->find.number);
        code = tg_hint(err, "choose an older checkpoint, or --number 0 for the beginning");
    }
    if (code == TG_OK)
        code = sink.ops->rollback(sink.self, r->chat_id, &fence, r->goal.seq, err);
    tg_sink_close(&sink);
    return code;
}

/* A record of a chat of which nothing was delivered yet. @return false out of memory */
static bool empty_record(json_t *o)
{
    static const char *const zero[] = { "last_message_id", "batches_completed",
                                        "total_messages_processed" };
    static const char *const own_zero[] = { "segment", "cursor", "owner", "covered_from", "seq",
                                           "rows" };
    json_t *own = json_object_get(o, "tgdata");
    bool ok = json_object_set_new(o, "last_message_date", json_null()) == 0 &&
              json_object_set_new(own, "complete", json_false()) == 0 &&
              json_object_set_new(own, "batches", json_array()) == 0;

    json_object_del(own, "destinations");
    for (size_t i = 0; i < TG_COUNT(zero); i++)
        ok = ok && json_object_set_new(o, zero[i], json_integer(0)) == 0;
    for (size_t i = 0; i < TG_COUNT(own_zero); i++)
        ok = ok && json_object_set_new(own, own_zero[i], json_integer(0)) == 0;
    return ok;
}

/* The old record again, under its new number. */
static tg_code write_again(struct rollback *r, const char *key, struct tg_error *err)
{
    const struct find *f = &r->find;
    struct tg_doc stamp = { .at_us = tg_clock_unix_us(), .fence = r->fence };
    json_t *o = json_loadb((const char *)f->record.data, f->record.len, 0, NULL);
    json_t *own = json_object_get(o, "tgdata");
    char *text = NULL;
    tg_code code;

    if (own && json_object_set_new(own, "number", json_integer((json_int_t)f->newest + 1)) == 0 &&
        json_object_set_new(own, "rolled_back_to", json_integer((json_int_t)f->number)) == 0 &&
        (f->number || empty_record(o)))
        text = json_dumps(o, JSON_COMPACT);
    code = text ? r->store.ops->put(r->store.self, "checkpoint", key, f->newest, &stamp, text,
                                    strlen(text), err)
                : tg_fail(err, TG_NOMEM, "no memory for a checkpoint");
    free(text);
    json_decref(o);
    return code;
}

static tg_code roll_back(void *ctx, struct tg_lease_held *held, struct tg_error *err)
{
    struct rollback *r = ctx;
    struct find *f = &r->find;
    struct tg_checkpoint old = { 0 };
    char key[128];
    tg_code code;

    r->fence = held->lease[0].token;
    tg_checkpoint_key(key, sizeof key, r->job, r->chat_id);
    code = r->store.ops->history(r->store.self, "checkpoint", key, on_version, f, err);
    if (code == TG_OK && !f->found) {
        tg_fail(err, TG_NOT_FOUND, "job '%s' has no checkpoint %llu of chat %lld", r->job,
                (unsigned long long)f->number, (long long)r->chat_id);
        code = tg_hint(err, "`tgdata checkpoints list` shows jobs and chats, `show` those of a "
                            "chat");
    }
    if (code == TG_OK)
        code = tg_checkpoint_read_each((const char *)f->record.data, f->record.len, &old, err);
    for (size_t i = 0; code == TG_OK && i < old.n_each; i++) {
        r->goal = f->number ? old.each[i].commit
                            : (struct tg_commit){ .cursor.chat_id = r->chat_id };
        r->reached = r->other_history = false;
        code = cut_destination(r, old.each[i].to, err);
    }
    tg_checkpoint_done(&old);
    return code == TG_OK ? write_again(r, key, err) : code;
}

tg_code tg_checkpoints_rollback(const char *state_url, const char *job, int64_t chat_id,
                                uint64_t number, struct tg_error *err)
{
    struct rollback r = { .job = job, .chat_id = chat_id, .find = { .number = number } };
    tg_code code = tg_job_name_check(job, err);

    if (code == TG_OK)
        code = tg_store_open_existing(state_url, TG_STORE_CHANGE, &r.store, err);
    if (code != TG_OK)
        return code;
    tg_buf_init(&r.find.record, RECORD_MAX);
    code = tg_lease_job(&r.store, job, chat_id, roll_back, &r, err);
    tg_buf_done(&r.find.record);
    tg_store_close(&r.store);
    return code;
}

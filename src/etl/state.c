/* SPDX-License-Identifier: MIT */
/*
 * state.c - state as a whole: lists, copies, backups; see tgdata/state.h and state.h
 *
 * The items go through the target three times: whether they may be written, then they are, then
 * whether they are there. Leases are held on both sides meanwhile. When all is there, those at the
 * source are left to "moved to URL", which no run takes.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/text.h"
#include "etl/state.h"
#include "os/loop.h"

#define TOKEN_AHEAD 1000000

/* ---- which jobs ---- */

/* Adds the jobs that have those names, or only the one. @param job  NULL: all */
static tg_code jobs_of(const struct tg_state_names *names, const char *job,
                       struct tg_state_jobs *jobs, struct tg_error *err)
{
    tg_code code = TG_OK;

    for (size_t i = 0; code == TG_OK && i < names->n; i++) {
        char found[TG_JOB_NAME_MAX + 1];

        if (tg_state_job_of(names->at[i].shape, names->at[i].key, found) &&
            (!job || strcmp(job, found) == 0))
            code = tg_state_jobs_add(jobs, found, err);
    }
    return code;
}

static tg_code none(const char *job, const char *where, struct tg_error *err)
{
    if (job)
        tg_fail(err, TG_NOT_FOUND, "%.200s has no state of job '%s'", where, job);
    else
        tg_fail(err, TG_NOT_FOUND, "%.200s has no state of any job", where);
    return tg_hint(err, "`tgdata state list` shows the jobs of a store");
}

/* ---- a move ---- */

struct move {
    struct tg_store from, to;
    struct tg_state_names names; /* of the source, if it is a store */
    const char *file;            /* else the file */
    const char *job;             /* NULL: all */
    struct tg_state_jobs jobs;
    struct tg_state_hold at_from, at_to;
    struct tg_state_target target;
};

static void move_done(struct move *m)
{
    tg_state_hold_release(&m->at_to);
    tg_state_hold_release(&m->at_from);
    tg_state_target_done(&m->target);
    tg_state_names_done(&m->names);
    tg_state_jobs_done(&m->jobs);
    tg_store_close(&m->from);
    tg_store_close(&m->to);
}

static tg_code take_item(void *ctx, const struct tg_state_item *item, struct tg_error *err)
{
    struct move *m = ctx;
    char job[TG_JOB_NAME_MAX + 1];
    tg_code code = TG_OK;

    if (!tg_state_job_of(item->shape, item->key, job) || !tg_state_jobs_have(&m->jobs, job))
        return TG_OK; /* of a file: another job's */
    code = tg_state_hold_renew(&m->at_from, err);
    if (code == TG_OK)
        code = tg_state_hold_renew(&m->at_to, err);
    return code == TG_OK ? tg_state_target_take(&m->target, item, err) : code;
}

static tg_code pass(struct move *m, enum tg_state_pass what, struct tg_error *err)
{
    tg_code code = tg_state_target_begin(&m->target, what, err);

    if (code == TG_OK)
        code = m->file ? tg_state_file_read(&tg_fs_system, m->file, take_item, m, err)
                       : tg_state_read(&m->from, &m->names, &m->jobs, take_item, m, err);
    return code == TG_OK ? tg_state_target_end(&m->target, err) : code;
}

/* The jobs are known, and held at the source: writes them. */
static tg_code write_all(struct move *m, struct tg_error *err)
{
    struct tg_state_names there = { 0 };
    tg_code code = tg_state_names_read(&m->to, &there, err);

    m->at_to = (struct tg_state_hold){ .store = &m->to, .jobs = &m->jobs };
    m->target.store = &m->to;
    m->target.jobs = &m->jobs;
    m->target.hold = &m->at_to;
    if (code == TG_OK)
        code = tg_state_hold_take(&m->at_to, &there, true, err);
    tg_state_names_done(&there);
    for (int what = TG_STATE_CHECK; code == TG_OK && what <= TG_STATE_VERIFY; what++)
        code = pass(m, (enum tg_state_pass)what, err);
    m->at_to.arrived = code == TG_OK;
    return code;
}

/* Jobs that a copy which was cut off had moved to the same place already are left out. */
static tg_code leave_out_moved(struct move *m, const char *to, struct tg_error *err)
{
    struct tg_state_jobs rest = { 0 };
    struct tg_lease moved;
    tg_code code = TG_OK;

    tg_state_moved_to(&moved, to);
    for (size_t i = 0; code == TG_OK && i < m->jobs.n; i++) {
        char key[TG_JOB_NAME_MAX + 8];
        const struct tg_state_name *lease;

        snprintf(key, sizeof key, "job/%s", m->jobs.at[i]);
        lease = tg_state_names_find(&m->names, TG_STORE_LEASES, "lease", key);
        if (!lease || strcmp(lease->owner, moved.owner) != 0)
            code = tg_state_jobs_add(&rest, m->jobs.at[i], err);
    }
    tg_state_jobs_done(&m->jobs);
    m->jobs = rest;
    return code;
}

tg_code tg_state_copy(const char *from, const char *to, const char *job, bool keep,
                      struct tg_state_result *ret, struct tg_error *err)
{
    TG_CLEANUP(move_done) struct move m = { .job = job };
    tg_code code = job ? tg_job_name_check(job, err) : TG_OK;

    if (code == TG_OK && strcmp(from, to) == 0) {
        tg_fail(err, TG_USAGE, "both names are of the same state");
        code = tg_hint(err, "tgdata state copy FROM TO");
    }
    if (code == TG_OK)
        code = tg_store_open_existing(from, TG_STORE_CHANGE, &m.from, err);
    if (code == TG_OK)
        code = tg_state_names_read(&m.from, &m.names, err);
    if (code == TG_OK)
        code = jobs_of(&m.names, job, &m.jobs, err);
    if (code == TG_OK && !m.jobs.n)
        code = none(job, tg_store_shown(from).text, err);
    if (code == TG_OK && !job)
        code = leave_out_moved(&m, to, err);
    if (code == TG_OK)
        code = tg_store_open(to, &m.to, err);
    if (code != TG_OK)
        return code;
    m.at_from = (struct tg_state_hold){ .store = &m.from, .jobs = &m.jobs };
    code = tg_state_hold_take(&m.at_from, &m.names, false, err);
    if (code == TG_OK) { /* as it stands now that nobody can change it */
        tg_state_names_done(&m.names);
        code = tg_state_names_read(&m.from, &m.names, err);
    }
    if (code == TG_OK)
        code = write_all(&m, err);
    if (code == TG_OK && !keep)
        code = tg_state_hold_leave(&m.at_from, to, err);
    if (code == TG_OK)
        *ret = m.target.result;
    return code;
}

/* ---- backups ---- */

static tg_code on_item_of_file(void *ctx, const struct tg_state_item *item, struct tg_error *err)
{
    struct move *m = ctx;
    char job[TG_JOB_NAME_MAX + 1];

    if (!tg_state_job_of(item->shape, item->key, job) || (m->job && strcmp(m->job, job) != 0))
        return TG_OK;
    return tg_state_jobs_add(&m->jobs, job, err);
}

tg_code tg_state_restore(const char *file, const char *url, const char *job,
                         struct tg_state_result *ret, struct tg_error *err)
{
    TG_CLEANUP(move_done) struct move m = { .file = file, .job = job,
                                            .target.token_ahead = TOKEN_AHEAD };
    tg_code code = job ? tg_job_name_check(job, err) : TG_OK;

    if (code == TG_OK)
        code = tg_state_file_read(&tg_fs_system, file, on_item_of_file, &m, err);
    if (code == TG_OK && !m.jobs.n)
        code = none(job, file, err);
    if (code == TG_OK)
        code = tg_store_open(url, &m.to, err);
    if (code == TG_OK)
        code = write_all(&m, err);
    if (code == TG_OK)
        *ret = m.target.result;
    return code;
}

tg_code tg_state_backup(const char *url, const char *file, const char *job,
                        struct tg_state_result *ret, struct tg_error *err)
{
    TG_CLEANUP(move_done) struct move m = { .job = job };
    TG_CLEANUP(tg_state_file_done) struct tg_state_file out = { 0 };
    tg_code code = job ? tg_job_name_check(job, err) : TG_OK;

    if (code == TG_OK)
        code = tg_store_open_existing(url, TG_STORE_LOOK, &m.from, err);
    if (code == TG_OK)
        code = tg_state_names_read(&m.from, &m.names, err);
    if (code == TG_OK)
        code = jobs_of(&m.names, job, &m.jobs, err);
    if (code == TG_OK && !m.jobs.n)
        code = none(job, tg_store_shown(url).text, err);
    if (code == TG_OK)
        code = tg_state_file_create(&tg_fs_system, file, &out, err);
    if (code == TG_OK)
        code = tg_state_read(&m.from, &m.names, &m.jobs, tg_state_file_put, &out, err);
    if (code == TG_OK)
        code = tg_state_file_finish(&out, err);
    if (code == TG_OK) {
        *ret = out.result;
        ret->jobs = m.jobs.n;
        for (size_t i = 0; i < m.names.n; i++) {
            char found[TG_JOB_NAME_MAX + 1];

            ret->documents += m.names.at[i].shape == TG_STORE_DOCS &&
                              tg_state_job_of(TG_STORE_DOCS, m.names.at[i].key, found) &&
                              tg_state_jobs_have(&m.jobs, found);
        }
        ret->written = ret->versions + ret->entries;
    }
    return code;
}

/* ---- the list ---- */

struct jobs_told {
    const struct tg_state_jobs *jobs;
    struct tg_state_job *told;
};

static struct tg_state_job *of_key(const struct jobs_told *t, enum tg_store_shape shape,
                                   const char *key)
{
    char job[TG_JOB_NAME_MAX + 1];

    if (tg_state_job_of(shape, key, job))
        for (size_t i = 0; i < t->jobs->n; i++)
            if (strcmp(t->told[i].job, job) == 0)
                return &t->told[i];
    return NULL;
}

static bool on_checkpoint(void *ctx, const char *key, const struct tg_doc *doc, const void *bytes,
                          size_t len)
{
    struct tg_state_job *job = of_key(ctx, TG_STORE_DOCS, key);

    (void)bytes, (void)len;
    if (job) {
        job->chats++;
        job->changed_us = TG_MAX(job->changed_us, doc->at_us);
    }
    return true;
}

static bool on_entry(void *ctx, const struct tg_log_entry *entry)
{
    (void)entry;
    ++*(uint64_t *)ctx;
    return true;
}

static tg_code tell_name(const struct jobs_told *t, const struct tg_store *store,
                         const struct tg_state_name *name, struct tg_error *err)
{
    struct tg_state_job *job = of_key(t, name->shape, name->key);
    const bool moved = strncmp(name->owner, TG_STORE_MOVED, sizeof TG_STORE_MOVED - 1) == 0;

    if (!job)
        return TG_OK;
    if (name->shape == TG_STORE_LOGS)
        return store->ops->read(store->self, name->kind, name->key, 0, on_entry, &job->entries,
                                err);
    if (name->shape == TG_STORE_DOCS)
        job->documents++;
    else if (moved)
        job->moved = name->owner + sizeof TG_STORE_MOVED - 1;
    else if (name->owner[0] && name->expires_us > tg_clock_unix_us())
        job->owner = name->owner;
    return TG_OK;
}

static tg_code tell_jobs(const struct tg_store *store, const struct tg_state_names *names,
                         const struct tg_state_jobs *jobs, struct tg_state_job *told,
                         struct tg_error *err)
{
    struct jobs_told t = { jobs, told };
    tg_code code;

    for (size_t i = 0; i < jobs->n; i++)
        told[i] = (struct tg_state_job){ .job = jobs->at[i] };
    code = store->ops->list(store->self, TG_CHECKPOINT_LIVE, "", on_checkpoint, &t, err);
    for (size_t i = 0; code == TG_OK && i < names->n; i++)
        code = tell_name(&t, store, &names->at[i], err);
    return code;
}

tg_code tg_state_list(const char *url, tg_state_job_fn seen, void *ctx, struct tg_error *err)
{
    TG_CLEANUP(move_done) struct move m = { 0 };
    struct tg_state_job *told = NULL;
    tg_code code = tg_store_open_existing(url, TG_STORE_LOOK, &m.from, err);

    if (code == TG_OK)
        code = tg_state_names_read(&m.from, &m.names, err);
    if (code == TG_OK)
        code = jobs_of(&m.names, NULL, &m.jobs, err);
    if (code == TG_OK) {
        told = calloc(m.jobs.n + 1, sizeof *told);
        code = told ? tell_jobs(&m.from, &m.names, &m.jobs, told, err)
                    : tg_fail(err, TG_NOMEM, "no memory for a list of jobs");
    }
    for (size_t i = 0; code == TG_OK && i < m.jobs.n && seen(ctx, &told[i]); i++) {
    }
    free(told);
    return code;
}

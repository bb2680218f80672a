/* SPDX-License-Identifier: MIT */
/*
 * scheduler_impl.h - what a scheduler knows of each job, in memory and in the job's store
 *
 *   file -> scheduler_make.c -> jobs, timings, pools -> planner --acts--> scheduler.c -> hooks
 *                                        before a run: scheduler_check.c <-|-> scheduler_doc.c
 *                                                                          \-> scheduler_tell.c
 *
 * In the store of a job stand:
 *   document "schedule", key JOB   {"settled_ms":1,"ok":true,"paused":false,"estimate_ms":1,
 *                                   "flood_until_ms":1,"rate_milli":1,
 *                                   "floods":[0, ... of 24 hours, permille]}
 *   log "run", key JOB             an entry for each struct tg_scheduled_record
 *   lease "job/JOB/schedule"       held while a run is at work, and while dues are settled
 * The document is written by whoever holds the lease, and by pause; each by compare-and-swap.
 *
 * Threads: one
 */
#ifndef TG_SCHEDULER_IMPL_H
#define TG_SCHEDULER_IMPL_H

#include "config/settings.h"
#include "etl/lease.h"
#include "flow/planner.h"
#include "flow/quiet.h"
#include "flow/timing.h"
#include "observe/notices.h"
#include "tgdata/schedule.h"
#include "tgdata/scheduler.h"

/** The document. */
struct tg_sched_doc {
    uint64_t version; /* 0: there is none yet */
    int64_t settled_ms, estimate_ms;
    int64_t flood_until_ms; /* until then its account is not to be used */
    bool ok, paused;
    struct tg_quiet quiet;
};

struct tg_sched_job {
    const struct tg_config_job *job;
    const struct tg_schedule_settings *conf;
    struct tg_store *store;      /* one of the scheduler's, open; NULL: could not be opened */
    const char *store_url;
    const struct tg_zone *zone;
    struct tg_timing timing;
    char lease_name[TG_LEASE_NAME];
    struct tg_lease lease;       /* token 0: not held */
    int64_t renew_ms;
    int64_t started_ms, due_ms;  /* of the run */
    uint32_t attempt;
    int64_t busy_wait_ms, flood_until_ms;
    struct tg_sched_doc doc;
};

struct tg_sched_zone {
    char name[64];
    struct tg_zone zone;
};

struct tg_scheduler {
    const struct tg_config_file *file;
    struct tg_scheduler_hooks hooks;
    struct tg_planner *planner;
    struct tg_plan_job *plan;
    struct tg_sched_job *job;
    size_t n_jobs;
    uint32_t *numbers;           /* pools and jobs that others refer to */
    uint32_t *slots;             /* of each pool */
    const char **pool_name;
    size_t n_pools;
    struct tg_quiet *quiet;      /* of each account */
    const char **account_name;
    size_t n_accounts;
    struct tg_sched_zone **zone;
    size_t n_zones;
    struct tg_store **store;
    const char **store_url;      /* of each */
    size_t n_stores;
    int64_t renew_ms;            /* when the next lease is to be renewed */
    bool draining;
    struct tg_notices *notices;  /* NULL: nobody is to be posted to */
    /* of a backfill */
    bool backfill;
    int64_t *dues;
    size_t n_dues;
};

/* ---- scheduler_make.c ---- */

tg_code tg_sched_make(struct tg_scheduler *s, const struct tg_scheduled_backfill *backfill,
                      struct tg_error *err);
void tg_sched_unmake(struct tg_scheduler *s);
int64_t tg_sched_now_ms(void);

/* ---- scheduler_doc.c ---- */

/** The store of a job, open; what could not be opened is tried again. */
tg_code tg_sched_store(struct tg_scheduler *s, struct tg_sched_job *j, struct tg_error *err);

/** Reads the document; one that is not there yet is all zero. */
tg_code tg_sched_read(const struct tg_store *store, const char *job, struct tg_sched_doc *ret,
                      struct tg_error *err);
/** Writes it over the version that was read. @return TG_CONFLICT: somebody else has */
tg_code tg_sched_write(const struct tg_store *store, const char *job, struct tg_sched_doc *doc,
                       struct tg_error *err);
/** Adds to the history, and drops the oldest of it. */
tg_code tg_sched_record(const struct tg_store *store, const struct tg_scheduled_record *record,
                        struct tg_error *err);
tg_code tg_sched_history(const struct tg_store *store, const char *job,
                         bool (*seen)(void *ctx, const struct tg_scheduled_record *record),
                         void *ctx, struct tg_error *err);

/* ---- scheduler_check.c ---- */

#define TG_STEP_CHECK "check_prerequisites"
#define TG_STEP_EXTRACT "extract"
#define TG_STEP_VALIDATE "validate"
#define TG_STEP_LOAD "load"

/** What is to be there before a run: sessions that are logged in, room for files. @return what is
 *  not */
tg_code tg_sched_prerequisites(const struct tg_sched_job *j, struct tg_error *err);

/** @return in which step a run fails that ends with that */
const char *tg_sched_step(tg_code code);

/** A run for which no request is left in this hour waits for the next one, if it may still begin
 *  then: floods of an hour are known from the runs in it only, so it is not put off for ever.
 *  @return until when; 0: it is started */
int64_t tg_sched_put_off(int64_t due_ms, int64_t now_ms, int64_t catch_up_ms);

/* ---- scheduler_tell.c ---- */

/** Makes what posts, where a job has a webhook. @return TG_UNSUPPORTED, TG_NOMEM */
tg_code tg_sched_tell_begin(struct tg_scheduler *s, struct tg_error *err);

/** Tells what became of a due, or of a run. */
void tg_sched_tell(struct tg_scheduler *s, const struct tg_sched_job *j,
                   const struct tg_scheduled_record *record);
void tg_sched_trouble(const struct tg_scheduler *s, const char *job, const struct tg_error *err);

/** Tells as trouble what could not be posted. */
void tg_sched_told(struct tg_scheduler *s);
/** ... when all has been posted that can be, at the end. */
void tg_sched_tell_last(struct tg_scheduler *s);

#endif

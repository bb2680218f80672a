/* SPDX-License-Identifier: MIT */
/*
 * scheduler.h - runs the jobs of a configuration file when they are due, and remembers how it went
 *
 *   tg_scheduler_new(file, &hooks, &s, &err);
 *   for (;;) {
 *       wait_ms = tg_scheduler_step(s);     calls hooks->start, hooks->stop, hooks->told
 *       ...                                 wait so long, or until a run has ended
 *       tg_scheduler_ended(s, job, &result);
 *   }
 *   tg_scheduler_free(s);
 *
 * How a run is carried out is the caller's affair: `tgdata schedule run` starts a process for each.
 * Which one starts when is told in docs/scheduling.md. What is remembered of a job stands in its
 * own state store: up to when its dues are settled, whether it is paused, what floods its account
 * met, and the history of its runs. A lease there keeps other schedulers, on other machines too,
 * from running the job at the same time; and since a due is settled only when its run has ended, a
 * run that was cut off is made up for.
 *
 * Threads: one; calls block as the stores do
 */
#ifndef TGDATA_SCHEDULER_H
#define TGDATA_SCHEDULER_H

#include "tgdata/config_file.h"
#include "tgdata/schedule.h"

#ifdef __cplusplus
extern "C" {
#endif

struct tg_scheduler;

/** A run that is to be started. */
struct tg_scheduled_run {
    const struct tg_config_job *job;
    int64_t due_ms;               /**< Unix milliseconds, as all of these times */
    int64_t from_ms;              /**< the due before it, where its interval begins; 0: none */
    uint32_t attempt;             /**< from 1 */
    int64_t until_next_ms;        /**< from now until it is due again; -1: never */
    int64_t max_duration_ms;      /**< 0: as long as it likes */
    int64_t rate_limit_remaining; /**< requests that can be made until the next run; -1: unknown */
    int64_t batch_size;           /**< messages in a batch that suit that; 0: unknown */
};

/** What a file wants to be done when a run has ended, or when somebody should know: commands, which
 *  are the caller's affair. What is to be posted the scheduler posts, on a thread of its own. */
TG_API const char *tg_scheduled_on_complete(const struct tg_config_job *job); /* NULL: nothing */
TG_API const char *tg_scheduled_on_alert(const struct tg_config_job *job);    /* NULL: nothing */

/** How a run has ended. */
struct tg_scheduled_result {
    bool ok;
    bool stopped;          /**< it was asked to, and has */
    bool again;            /**< it may go better another time */
    uint64_t rows, requests;
    int64_t flood_ms;      /**< spent in flood waits */
    int64_t flood_left_ms; /**< its account must not be used for so long */
    tg_code code;          /**< what it failed with; TG_OK: nothing, or it is not known */
    const char *step;      /**< in which step it was; NULL: as `code` says */
    const char *error;     /**< NULL: none */
};

/** What became of a due: an entry of the history. */
struct tg_scheduled_record {
    const char *job;
    /** "started", "late" and "put_off" are told only, not kept. What is kept: ok, failed,
     *  incomplete, overtime, cancelled, stopped of runs; skipped, missed, merged, upstream of dues
     *  without one */
    const char *how;
    int64_t due_ms, until_ms;       /**< until_ms: of several dues together, the next; else 0 */
    int64_t started_ms, ended_ms;   /**< 0: it did not run */
    uint32_t attempt;
    bool again;                     /**< it is tried again */
    bool late;                      /**< it ended behind its deadline */
    bool backfill;
    uint64_t rows, requests;
    int64_t flood_ms;
    const char *step;               /**< of a run that went not well, the step it was in:
                                         check_prerequisites, extract, validate, load, cleanup; else
                                         "" */
    const char *error;              /**< "" none */
    const char *by;                 /**< machine and process */
};

struct tg_scheduler_hooks {
    /** Starts a run; tg_scheduler_ended tells later how it ended. @return why it cannot */
    tg_code (*start)(void *ctx, const struct tg_scheduled_run *run, struct tg_error *err);
    /** Asks a run to end; `kill`: it did not in time. */
    void (*stop)(void *ctx, const char *job, bool kill);
    /** Something happened. May be NULL. */
    void (*told)(void *ctx, const struct tg_scheduled_record *record);
    /** A store or the like gives trouble; the scheduler goes on. May be NULL. */
    void (*trouble)(void *ctx, const char *job, const struct tg_error *err);
    void *ctx;
    struct tg_observer *observer; /**< counts what becomes of runs, and is ready while the scheduler
                                       is at work; may be NULL */
};

/** @return whether somebody should know: failed for good, incomplete, overtime, missed,
 *          upstream, late */
TG_API bool tg_scheduled_is_alarm(const struct tg_scheduled_record *record);

/** Dues of a time to be run, whatever is settled. */
struct tg_scheduled_backfill {
    const char *job;
    int64_t from_ms, until_ms;
    bool all; /**< those that went well, too */
};

/**
 * @param file      must stay until the scheduler is freed, or has another
 * @param backfill  NULL: the jobs run as they are due; else those dues, one after the other
 * @return TG_USAGE: no job has a schedule; TG_NOT_FOUND; what stores and zones return
 */
TG_API tg_code tg_scheduler_new(const struct tg_config_file *file,
                                const struct tg_scheduler_hooks *hooks,
                                const struct tg_scheduled_backfill *backfill,
                                struct tg_scheduler **ret, struct tg_error *err) TG_MUST_CHECK;

/** Gives leases back; waits up to 10 s for what is still to be posted. NULL is nothing. */
TG_API void tg_scheduler_free(struct tg_scheduler *s);

/** Does what is due. @return in how many milliseconds it is to be called again at the latest; -1:
 *  nothing will ever be due any more, and nothing runs */
TG_API int64_t tg_scheduler_step(struct tg_scheduler *s);

/** A run that was started has ended. */
TG_API void tg_scheduler_ended(struct tg_scheduler *s, const char *job,
                               const struct tg_scheduled_result *result);

/** Nothing more is started. Runs that end from now on because they were stopped are not settled. */
TG_API void tg_scheduler_drain(struct tg_scheduler *s);

/** Goes on with another file, as another scheduler: runs go on, but for those of jobs that are no
 *  longer in it, which are stopped. @return why it cannot: all goes on as it was */
TG_API tg_code tg_scheduler_reload(struct tg_scheduler **s, const struct tg_config_file *file,
                                   struct tg_error *err) TG_MUST_CHECK;

/* ---- a job, looked at from outside ---- */

/** @return whether a job is run by itself: it has a schedule, or comes after others */
TG_API bool tg_scheduled(const struct tg_config_job *job);

/** @return the text of the schedule; NULL: none */
TG_API const char *tg_scheduled_text(const struct tg_config_job *job);

/** The schedule with its zone and all that it gives way to. @return TG_NOT_FOUND: it has none */
TG_API tg_code tg_scheduled_timing(const struct tg_config_job *job, struct tg_schedule **ret,
                                   struct tg_error *err) TG_MUST_CHECK;

struct tg_scheduled_state {
    bool known;         /**< a scheduler has seen it */
    bool paused;
    bool ok;            /**< how the last run went */
    int64_t settled_ms; /**< up to when dues are settled */
    int64_t estimate_ms;/**< how long a run takes */
    char owner[128];    /**< who runs it now; "": nobody */
};
TG_API tg_code tg_scheduled_look(const struct tg_config_job *job, struct tg_scheduled_state *ret,
                                 struct tg_error *err) TG_MUST_CHECK;

/** From now on the job is not run, or is again; dues in between are not made up for. */
TG_API tg_code tg_scheduled_pause(const struct tg_config_job *job, bool pause,
                                  struct tg_error *err) TG_MUST_CHECK;

/** The history, oldest first: of the last 1000 entries at least. */
TG_API tg_code tg_scheduled_history(const struct tg_config_job *job,
                                    bool (*seen)(void *ctx,
                                                 const struct tg_scheduled_record *record),
                                    void *ctx, struct tg_error *err) TG_MUST_CHECK;

#ifdef __cplusplus
}
#endif
#endif

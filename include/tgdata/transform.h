/* SPDX-License-Identifier: MIT */
/*
 * transform.h - stages over rows that were extracted before, without a call to Telegram
 *
 *   destination of an extraction -> rows -> stages -> another destination -> commit -> checkpoint
 *
 * A transformation is a job as an extraction is: it has a name, a state store, a checkpoint for
 * each chat, and goes on behind its last commit. Where it reads from and its stages belong to the
 * job; a run with others is refused. What its commits cover is what those of the source cover: ids
 * whose rows a stage has dropped count as covered. Rows that the source gets later come with a
 * later run.
 *
 * Stages are texts "NAME?option=value&...", run in their order; docs/transform.md lists them.
 *
 *   struct tg_transform *t;
 *   tg_transform_new(config, &(struct tg_transform_request){ .from = "ndjson:raw" }, &t, &err);
 *   tg_transform_run(t, &hooks, &result, &err);
 *   tg_transform_free(t);
 *
 * Threads: one, but for tg_transform_stop
 * Limits:  64 stages, 100000 chats; a batch of rows and what stages add to it in memory
 */
#ifndef TGDATA_TRANSFORM_H
#define TGDATA_TRANSFORM_H

#include "tgdata/extract.h"
#include "tgdata/quality.h"

#ifdef __cplusplus
extern "C" {
#endif

struct tg_transform;

struct tg_transform_request {
    const char *from;        /**< URL of the destination that is read */
    const char *from_job;    /**< only chats of that job; NULL: of all (a source that cannot tell
                                  its chats: of "default") */
    const char *const *chat; /**< marked ids of chats; none: all that the source has */
    size_t n_chats;
    const char *const *stage; /**< none: the steps of the config (scope STAGES), or "decode" */
    size_t n_stages;
};

/** What a run did. */
struct tg_transform_result {
    uint64_t chats;       /**< read to their end of the moment */
    uint64_t rows_read;
    uint64_t rows;        /**< committed */
    uint64_t dropped;     /**< by stages */
    uint64_t set_aside;   /**< by rules of severity `quarantine`: they are dead letters */
    uint64_t decoded;     /**< made again from their raw objects */
    uint64_t no_raw;      /**< left as they stood, without one, */
    uint64_t undecoded;   /**< or with one that cannot be decoded */
    char undecoded_why[200]; /**< the first of those; "" */
    uint64_t failed;      /**< a stage failed for them: kept or dropped as its on-error says */
    char failed_why[200]; /**< the first of those; "" */
    uint64_t refused;     /**< by the destination for good: they are dead letters */
    uint64_t checkpoints;
    uint64_t bytes_out;
    double seconds;
    struct tg_quality_result quality; /**< what the stages `validate` found */
};

struct tg_transform_hooks {
    tg_progress_fn progress; /**< several times a second; may be NULL. Its rows are those read */
    void *ctx;               /**< of progress and note */
    struct tg_observer *observer; /**< is told of rows and commits; may be NULL */
    tg_note_fn note;         /**< alerts that the observer fires; may be NULL */
};

/**
 * @param config   settings of the scopes JOB and STAGES; borrowed until tg_transform_free
 * @param request  borrowed as well
 * @return TG_USAGE: no destination, a stage that there is not, source and destination are one
 */
TG_API tg_code tg_transform_new(const struct tg_config *config,
                                const struct tg_transform_request *request,
                                struct tg_transform **ret, struct tg_error *err) TG_MUST_CHECK;
TG_API void tg_transform_free(struct tg_transform *t); /**< NULL is nothing */

/**
 * Runs until all chats are read to their end. Once only.
 * @param ret  written also on failure: what was done until then
 * @return TG_OK; TG_DATA: a stage failed for a row; TG_NOT_FOUND: the source is not there, or lacks
 *         a chat that was named;
 *         TG_UNSUPPORTED: it cannot be read; TG_GAP: its commits do not meet, or the destination
 *         lacks what was delivered there; TG_CANCELLED; TG_BUSY, TG_CORRUPT, TG_SINK, TG_STATE, ...
 */
TG_API tg_code tg_transform_run(struct tg_transform *t, const struct tg_transform_hooks *hooks,
                                struct tg_transform_result *ret,
                                struct tg_error *err) TG_MUST_CHECK;

/** Ends the run soon with TG_CANCELLED, after the batch in hand, which is committed. From any
 *  thread or a signal handler. */
TG_API void tg_transform_stop(struct tg_transform *t);

#ifdef __cplusplus
}
#endif
#endif

/* SPDX-License-Identifier: MIT */
/*
 * state.h - state as a whole: which jobs a store knows, moving them to another, backups
 *
 * The state of a job is everything that a store keeps under its name: checkpoints with all their
 * versions, the list of its chats, rows of fallbacks, circuit breakers, records set aside. Leases
 * are not moved, but their tokens are: destinations refuse a run whose token is smaller than one
 * they know.
 *
 * Copies and restores can be made again after they were cut off: what is there already stays.
 * Nothing is written if the target has newer or other state of one of the jobs. What was written is
 * read back and compared.
 *
 * Threads: one; calls block      Limits: 10,000 jobs at a time
 */
#ifndef TGDATA_STATE_H
#define TGDATA_STATE_H

#include <stdbool.h>
#include <stdint.h>

#include "tgdata/error.h"

#ifdef __cplusplus
extern "C" {
#endif

/** What a store knows of a job. */
struct tg_state_job {
    const char *job;
    uint64_t chats;      /**< with a checkpoint */
    uint64_t documents;  /**< checkpoints and all others */
    uint64_t entries;    /**< of logs */
    int64_t changed_us;  /**< when its newest checkpoint was written, Unix microseconds; 0: none */
    const char *owner;   /**< who runs it now; NULL: nobody */
    const char *moved;   /**< where it was moved to; NULL: it was not */
};
typedef bool (*tg_state_job_fn)(void *ctx, const struct tg_state_job *job);

/**
 * Tells the jobs of a store, by name. The store is only read.
 * @param seen  what it is given is valid during the call; false stops
 */
TG_API tg_code tg_state_list(const char *url, tg_state_job_fn seen, void *ctx,
                             struct tg_error *err) TG_MUST_CHECK;

/** What was copied. */
struct tg_state_result {
    uint64_t jobs;
    uint64_t documents, versions; /**< documents, and all versions of them */
    uint64_t entries;             /**< of logs */
    uint64_t written;             /**< versions and entries that were not there already */
};

/**
 * Moves a job, or all, from one store to another. A run goes on from `to`; the job at `from` can be
 * looked at, but not run any more, until it is copied back.
 *
 * @param job   NULL: all
 * @param keep  it can be run at `from` too: the caller sees to it that it is run at one place
 * @param ret   written on TG_OK only
 * @return TG_BUSY: it is being run; TG_CONFLICT: there is newer or other state of it at `to`, or it
 *         was moved away; TG_NOT_FOUND; TG_GAP: what was written does not read back; TG_STATE, ...
 */
TG_API tg_code tg_state_copy(const char *from, const char *to, const char *job, bool keep,
                             struct tg_state_result *ret, struct tg_error *err) TG_MUST_CHECK;

/**
 * Writes a file with the state of a job, or of all, as it is now; jobs may run meanwhile.
 * @param file  must not be there yet; only its owner can read it
 */
TG_API tg_code tg_state_backup(const char *url, const char *file, const char *job,
                               struct tg_state_result *ret, struct tg_error *err) TG_MUST_CHECK;

/**
 * Writes what a backup holds into a store, which may be empty or have older state of the jobs.
 * Tokens go on 1,000,000 behind the backup's: runs after it had greater ones.
 * @return as tg_state_copy; TG_CORRUPT: the file is damaged; nothing was written then
 */
TG_API tg_code tg_state_restore(const char *file, const char *url, const char *job,
                                struct tg_state_result *ret, struct tg_error *err) TG_MUST_CHECK;

#ifdef __cplusplus
}
#endif
#endif

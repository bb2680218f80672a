/* SPDX-License-Identifier: MIT */
/*
 * extract.h - batch extraction with checkpoints: chats in, batches out, resumable
 *
 *   server -> pages -> batch (rows of one chat, oldest first) -> destination -> commit ->
 * checkpoint
 *
 * A run reads each chat from its last checkpoint to its newest message. Batches go to a destination
 * (`to`), to a callback, or both. The checkpoint in the state store moves only to what every taker
 * has committed. Killed at any moment, the next run goes on behind the last commit.
 *
 * Rows may go through steps first: filters, rules, stages (tgdata/stage.h). What was read counts,
 * whether steps dropped it or not: it is covered by the commits, which come by it, and by --limit.
 *
 * While an open circuit breaker keeps an account from Telegram (--circuit-open fallback), batches
 * may come from a fallback: see struct tg_batch_info, and docs/fallback.md.
 *
 * Threads: tg_extract runs on the calling thread until it ends; the batch callback is called on
 * another thread, one batch at a time; tg_account_stop ends it after the batch in hand.
 */
#ifndef TGDATA_EXTRACT_H
#define TGDATA_EXTRACT_H

#include "tgdata/account.h"
#include "tgdata/observe.h"
#include "tgdata/quality.h"
#include "tgdata/row.h"
#include "tgdata/stage.h"

#ifdef __cplusplus
extern "C" {
#endif

struct tg_batch;

/** Facts about a batch. */
struct tg_batch_info {
    uint64_t id;              /**< number within the job and chat, from 1, without holes */
    int64_t chat_id;          /**< marked id of the chat that was asked for */
    size_t n;                 /**< rows; may be 0 for the last batch of a chat */
    int64_t started_us;       /**< Unix microseconds: its first request was sent, */
    int64_t ended_us;         /**< and its last row was in */
    uint32_t requests;        /**< answers whose rows begin in this batch */
    uint32_t flood_waits;     /**< that those requests met, */
    int64_t flood_wait_s;     /**< and the seconds that the server named */
    int32_t rate_limit_remaining; /**< requests that may leave at once when the batch is ready; 0
                                       during a flood wait; -1 while no limit is known */
    /* the worst of the circuit breakers that concern the chat: its own, its account's, its DC's */
    const char *circuit_state; /**< "closed", "half_open", "open" */
    double success_rate;       /**< share of the calls that went well in the last minute, 0..1; 1
                                    without calls */
    int64_t avg_response_us;   /**< how long they took, on average; 0 without calls */
    const char *checkpoint_id; /**< "job/chat/number" of the chat's newest checkpoint, "" before the
                                    first; valid until the next commit, at most during the
                                    callback */
    bool last;                /**< the chat's end is reached with this batch */
    const char *source;       /**< of all its rows: "telegram"; a fallback's: "archive", "export" */
};

/** Fills *ret with the facts about a batch. Inside the callback that was given it. */
TG_API void tg_batch_info(const struct tg_batch *batch, struct tg_batch_info *ret);

/** @return row i of the batch, from 0, oldest first; NULL past the last. It and its texts belong to
 *  the batch and are valid until the callback returns. */
TG_API const struct tg_row *tg_batch_get(const struct tg_batch *batch, size_t i);

/**
 * Commits the first n_rows rows of the batch: they count as delivered and never come again. May be
 * called several times with growing numbers. Rows that are left come again in the next run; nothing
 * behind them can be committed in this one.
 *
 * When it returns TG_OK the rows are durable in the destination, if the config names one, and the
 * checkpoint that passes them is durable in the state store: killed right after, the next run goes
 * on behind them. Killed inside, it goes on either before or behind them: a callback that writes to
 * a place of its own does that first, and can tell rows that come again by their ids.
 *
 * @param batch   the one that the callback was given; only inside that callback, on its thread
 * @param n_rows  at least what was committed before, at most the batch's rows
 * @param err     written only on failure
 * @return TG_OK; TG_USAGE: a wrong number, no batch in hand, or rows before this batch were left;
 *         TG_SINK, TG_FULL, TG_IO, TG_STATE, TG_CONFLICT, ...: the run ends with it, whatever the
 *         callback returns
 *
 * Blocks for the writes. A commit for each batch of 1000 rows costs little, one for each row much.
 */
TG_API tg_code tg_batch_commit(struct tg_batch *batch, size_t n_rows,
                               struct tg_error *err) TG_MUST_CHECK;

/**
 * Takes a batch: the batches of a chat come in order, one at a time, on a thread of the library. A
 * callback that takes its time slows the run down; it must not call tg_extract or the account's
 * functions but tg_account_stop.
 *
 * @param batch  the library's; valid until the callback returns
 * @param err    to be filled on failure (tg_fail); may be left alone
 * @return TG_OK to go on. A failure ends the run with that code: what was committed stays, the rest
 *         comes again in the next run
 */
typedef tg_code (*tg_batch_fn)(void *ctx, struct tg_batch *batch, struct tg_error *err);

/** How far one chat at work is. */
struct tg_progress_chat {
    int64_t chat_id;
    const char *title;
    const char *account;     /**< its session file */
    const char *state;       /**< finding, starting, reading, waiting, moving, committing, fallback
                              */
    int64_t rows;            /**< committed in this run; those that steps dropped count, too */
    int64_t expected;        /**< rows that it is reckoned to have had left at the start; -1 */
    double rows_per_s;       /**< over the last seconds */
    double eta_s;            /**< -1 unknown */
    double flood_wait_s;     /**< seconds left of a wait that the server named; 0 none */
    const char *waiting_for; /**< method of that wait, or "circuit breaker"; NULL */
};

/** How far a run is. Where several chats are at work, the one that began first stands in the
 *  fields for one. */
struct tg_progress {
    int64_t chat_id;
    const char *title;
    size_t chat_index, n_chats;  /**< the chat at work, from 0, of how many */
    int64_t rows;                /**< of this chat, this run, committed */
    int64_t rows_total;          /**< of all chats of this run, committed */
    int64_t expected;            /**< rows this chat is reckoned to have left at the start; -1 */
    double rows_per_s;           /**< over the last seconds */
    double eta_s;                /**< -1 unknown */
    uint64_t bytes_out;
    double flood_wait_s;         /**< seconds left of a wait that the server named; 0 none */
    const char *waiting_for;     /**< method of that wait, or "destination"; NULL */
    bool done;                   /**< the last call of the run */
    const struct tg_progress_chat *at_work; /**< the chats at work, in the order they began */
    size_t n_at_work, n_done, n_accounts;
    int64_t fallback_rows;       /**< from fallbacks, besides rows_total */
};
/** Gets how far a run is, on the thread that runs it; what it is given is valid during the call. */
typedef void (*tg_progress_fn)(void *ctx, const struct tg_progress *progress);

/**
 * Is told of each wait that the server names (FLOOD_WAIT), when it begins, on the thread that runs
 * it: whoever uses the rows can slow down or say so.
 * @param account  session file of the account that must wait
 * @param method   the method that must wait, such as "messages.getHistory"; others go on
 */
typedef void (*tg_wait_fn)(void *ctx, const char *account, const char *method, double seconds);

struct tg_extract_hooks {
    tg_batch_fn batch;       /**< may be NULL when the config names a destination */
    tg_progress_fn progress; /**< several times a second; may be NULL */
    tg_wait_fn wait;         /**< may be NULL */
    void *ctx;
    struct tg_observer *observer; /**< is told how it goes; may be NULL */
    const struct tg_step *step; /**< what rows go through before `batch` and destinations get them,
                                     behind the steps of the config; called from one thread at a
                                     time. Named stages belong to the job: a run with others is
                                     refused. Filters and transformations it cannot tell apart */
    size_t n_steps;
};

/** How often circuit breakers of one kind changed their state. */
struct tg_circuit_counts {
    uint64_t opened, half_opened, closed;
};

/** What a run did. */
struct tg_extract_result {
    uint64_t chats;         /**< read to their end of the moment */
    uint64_t rows;          /**< committed */
    uint64_t batches;       /**< taken by destination and callback */
    uint64_t checkpoints;   /**< commits made */
    uint64_t requests;      /**< of all methods */
    uint64_t flood_waits;
    double flood_wait_s;    /**< seconds that the server named */
    double seconds;         /**< that the run took */
    uint64_t bytes_out;     /**< written to the destination */
    uint64_t quarantined;   /**< records that could not be decoded, kept with their bytes */
    struct tg_circuit_counts account_circuits, dc_circuits, chat_circuits, sink_circuits;
    uint64_t empty; /**< chats read to their end that have no message in the range asked for */
    uint64_t refused; /**< rows that the destination refused for good: counted in `rows`, and kept
                           as dead letters (tgdata/letters.h) */
    uint64_t dropped;   /**< rows that steps have dropped; what is read counts as covered */
    uint64_t set_aside; /**< rows that rules of severity `quarantine` have made dead letters */
    uint64_t failed;    /**< a stage failed for them: kept or dropped as its on-error says */
    char failed_why[200];    /**< the first of those; "" */
    uint64_t fallback_rows;  /**< delivered from fallbacks, besides `rows` */
    uint64_t fallback_chats; /**< that a fallback had rows of */
    uint64_t media_files;    /**< fetched; not those that were there already */
    uint64_t media_bytes;    /**< of them */
    uint64_t media_missing;  /**< files that could not be had: the field media_error says why */
    struct tg_quality_result quality; /**< what rules found, and drift */
};

/**
 * Extracts chats with the settings of scopes JOB and EXTRACT.
 *
 * @param account  logged in
 * @param config   borrowed until the call returns; so are chats and hooks
 * @param chats    each "@name", "name", a t.me link, or a marked id; NULL with n 0 means all chats
 * @param n        how many
 * @param ret      written also on failure: what was done until then
 * @param err      written only on failure
 * @return TG_OK; TG_CANCELLED after tg_account_stop; TG_BUSY: the job runs elsewhere; TG_USAGE: no
 *         destination, or a range that no message can be in;
 *         TG_GAP: the destination lacks what was delivered there; nothing was read; TG_NOT_FOUND;
 *         TG_FORBIDDEN; TG_SINK, TG_FULL, TG_STATE, ...
 */
TG_API tg_code tg_extract(struct tg_account *account, const struct tg_config *config,
                          const char *const *chats, size_t n,
                          const struct tg_extract_hooks *hooks, struct tg_extract_result *ret,
                          struct tg_error *err) TG_MUST_CHECK;

/* ---- checkpoints ---- */

/** One checkpoint as stored. */
struct tg_checkpoint_info {
    const char *job;
    int64_t chat_id;
    uint64_t number;
    const char *json; /**< the whole record */
};
typedef bool (*tg_checkpoint_fn)(void *ctx, const struct tg_checkpoint_info *checkpoint);

/**
 * The newest checkpoint of every chat of a job; job NULL: of all jobs. The store is only read, and
 * not made if it is not there.
 *
 * @param seen  called on this thread for each; what it is given is valid during the call; false
 *              stops
 * @return TG_OK; TG_NOT_FOUND: no such state, or no such job; TG_CORRUPT, TG_STATE, ...
 */
TG_API tg_code tg_checkpoints_list(const char *state_url, const char *job, tg_checkpoint_fn seen,
                                   void *ctx, struct tg_error *err) TG_MUST_CHECK;

/** All checkpoints of one chat of a job, newest first; otherwise as tg_checkpoints_list. */
TG_API tg_code tg_checkpoints_history(const char *state_url, const char *job, int64_t chat_id,
                                      tg_checkpoint_fn seen, void *ctx,
                                      struct tg_error *err) TG_MUST_CHECK;

/**
 * Goes back to checkpoint `number`: what the destination got later is removed from it. 0 is the
 * beginning: nothing of the chat counts as delivered any more.
 * @return TG_NOT_FOUND; TG_GAP: the destination lacks what that checkpoint tells of; TG_BUSY: the
 *         job runs; TG_CORRUPT, TG_CONFLICT, TG_IO, ...
 */
TG_API tg_code tg_checkpoints_rollback(const char *state_url, const char *job, int64_t chat_id,
                                       uint64_t number, struct tg_error *err) TG_MUST_CHECK;

/* ---- verification ---- */

/** The proof for one chat. */
struct tg_verify_info {
    int64_t chat_id;
    const char *title;
    int64_t covered_from, covered_to; /**< ids proved complete by contiguous replies */
    int64_t server_top;               /**< newest id at the server */
    int64_t server_count;             /**< messages by the server's count; a hint, -1 unknown */
    int64_t migrated_from;            /**< basic group that the chat grew from; 0 none, unknown */
    int64_t migrated_count;           /**< messages of that group, contained in server_count */
    uint64_t rows;                    /**< in the destination, read again */
    uint64_t duplicates;              /**< rows whose id does not grow: doubled or out of order; of
                                           by_post only the doubled */
    uint64_t gaps;                    /**< stretches of ids that no commit covers */
    uint64_t refused;                 /**< how often the destination refused a row for good, then
                                           kept as a dead letter: again when it was replayed in
                                           vain; counted by its commits, not in `rows` */
    uint64_t quarantined;             /**< records set aside because they cannot be decoded */
    uint64_t media_files;             /**< that rows tell of, read again; only if asked for */
    uint64_t media_bad;               /**< of them: missing, or with another content */
    bool by_post;                     /**< comments that were read through their channel: covered
                                           are ids of posts, and the server is not asked */
    bool begun;                       /**< something of it was committed */
    bool finished;                    /**< the run reached the chat's end of its time */
    bool complete;                    /**< finished, no gap, no duplicate: proved; of changes: none
                                           of the three below, no duplicate */
    const struct tg_error *failure;   /**< what is wrong or stood in the way; NULL: nothing */
    bool changes;                     /**< of a job of changes: every message was compared with the
                                           server's; `rows` are messages, nothing is `covered`, and
                                           `server_count` was counted */
    uint64_t missing;                 /**< the server has them, the destination has not */
    uint64_t stale;                   /**< with another content, edit date or reactions */
    uint64_t undeleted;               /**< the destination has them, the server has not */
    int64_t wrong_id;                 /**< one of these; 0: there is none */
};
typedef void (*tg_verify_fn)(void *ctx, const struct tg_verify_info *info);

/**
 * Reads the destination of a job again and compares it with its commits and with the server. The
 * chats are all that any run of the job was asked for, also those that none has begun. What stands
 * in the way of one chat's check is told in its `failure`; the others are checked all the same.
 *
 * Of a job of changes (stream, delta) each message is compared: its content, edit date, reactions,
 * and whether it is there at all. It may go on meanwhile: what differs is looked at again.
 *
 * @param account  NULL: the server is not asked, which nothing but jobs of changes needs
 * @param media  directory that the job's files are in: each file that a row tells of is read again,
 *               too; NULL: they are not looked at
 * @param seen  called for each chat in the order in which they were asked for, on this thread; what
 *              it is given is valid during the call
 * @return TG_OK if all are complete; TG_GAP if one is not, or is damaged; else the first failure
 *         that kept a chat from being compared with the server (TG_NET, ...); TG_NOT_FOUND: there
 *         is no such job; TG_CANCELLED
 */
TG_API tg_code tg_verify(struct tg_account *account, const char *state_url, const char *job,
                         const char *media, tg_verify_fn seen, void *ctx,
                         struct tg_error *err) TG_MUST_CHECK;

#ifdef __cplusplus
}
#endif
#endif

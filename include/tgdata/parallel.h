/* SPDX-License-Identifier: MIT */
/*
 * parallel.h - pattern 3: many chats at once, with many accounts, each account's limits kept
 *
 *   struct tg_parallel *p;
 *   tg_parallel_new(config, &p, &err);
 *   tg_parallel_account(p, config, note, ctx, &err);       once for each session file
 *   tg_parallel_add(p, &(struct tg_task_request){ .chat = "@name" }, NULL, &err);   for each chat
 *   tg_parallel_run(p, &hooks, &result, &err);
 *   tg_parallel_free(p);
 *
 * A task is one chat. `workers` chats are at work at a time, each with one account, chosen by
 * the setting `workload` among those that can see it; that of a high priority task is
 * high_priority: its requests go before those of others at the limits, `reserved-share` keeps a
 * part of the workers and of each account's requests under way for it, and sessions named by
 * `reserve` read nothing else as long as others can.
 * What is taken and committed, in which order, and how it is resumed is as in extract.h: chats
 * have checkpoints of their own, and batches of different chats come in turns.
 *
 * Trouble of one chat never touches another: a chat that one account cannot see is tried with
 * the next, network and server trouble is tried again (three times, with another account first),
 * and what then still fails is told as that task's result. While an account's connection is down
 * its chats go on with others, and it comes back by itself. An account whose login is gone is
 * set aside, and its chats go to others that can see them; private chats and basic groups, whose
 * message ids belong to their account, fail. While the server makes an account wait for more
 * than 60 s, its chats go to other accounts, or its worker does other work. Failures of
 * destination and state store end the run.
 *
 * Threads: one, but for tg_parallel_workers and tg_parallel_stop
 * Limits:  64 accounts, 100000 tasks, 255 tenants
 */
#ifndef TGDATA_PARALLEL_H
#define TGDATA_PARALLEL_H

#include "tgdata/extract.h"

#ifdef __cplusplus
extern "C" {
#endif

enum tg_priority { TG_PRIORITY_HIGH, TG_PRIORITY_NORMAL, TG_PRIORITY_LOW, TG_PRIORITIES };

struct tg_parallel;

/** What is to be read. What is left at zero is as the config says. */
struct tg_task_request {
    const char *chat;          /**< as tg_extract takes it; copied */
    enum tg_priority priority; /**< within a tenant; 0 is high */
    const char *tenant;        /**< on whose account it is read: tenants get fair shares of the
                                    requests; NULL: nobody's in particular; copied */
    uint32_t weight;           /**< of that tenant's share, 1..1000; 0: as it is, at first 1 */
    int64_t since, until;      /**< Unix seconds */
    int64_t limit;             /**< messages of it at most */
    bool include_replies;      /**< also read the comments on a channel's posts. Its discussion
                                    group is read once, as a task of its own with the same dates
                                    and limit, unless it is a task already; the channel's task
                                    has ended when both are read */
};

/** How a task ended. */
struct tg_task_result {
    uint64_t task;
    int64_t chat_id;       /**< marked id; 0 if the chat was not found */
    const char *title;     /**< "" unknown */
    const char *account;   /**< session file of the account that had it last */
    bool success;          /**< the chat was read to its end */
    uint64_t rows;         /**< of it committed in this run */
    double seconds;        /**< since it was taken up */
    uint32_t retry_count;  /**< how often it failed and was tried again */
    enum tg_error_type error_type; /**< TG_TYPE_NONE on success */
    double retry_after_s;  /**< how long the server asks to wait; 0: it does not */
    bool derived;          /**< it is a discussion group that no task had asked for */
    const struct tg_error *err; /**< NULL on success; valid during the call */
    uint64_t fallback_rows;   /**< that a fallback had, besides `rows` */
    int64_t fallback_last_id; /**< the newest id of those; 0: none */
};

/**
 * Gets each task's end, on the thread of tg_parallel_run. It may call tg_parallel_add,
 * tg_parallel_reschedule, tg_parallel_retry, tg_parallel_workers, tg_parallel_stop.
 */
typedef void (*tg_task_fn)(void *ctx, const struct tg_task_result *result);

struct tg_parallel_hooks {
    struct tg_extract_hooks extract; /**< as for tg_extract */
    tg_task_fn task;                 /**< may be NULL */
    void *task_ctx;
};

/** @param config  settings of scopes JOB and EXTRACT; borrowed until tg_parallel_free */
TG_API tg_code tg_parallel_new(const struct tg_config *config, struct tg_parallel **ret,
                               struct tg_error *err) TG_MUST_CHECK;

/** Ends it and closes its accounts. NULL is nothing. Not while it runs. */
TG_API void tg_parallel_free(struct tg_parallel *p);

/**
 * Opens one more account, as tg_account_open does. Several sessions of one user are several
 * connections of one account: they share its quota and its waits, and can all read its private
 * chats.
 * @param config  borrowed for the call
 * @return as tg_account_open; TG_LIMIT: there are 64
 */
TG_API tg_code tg_parallel_account(struct tg_parallel *p, const struct tg_config *config,
                                   tg_note_fn note, void *ctx,
                                   struct tg_error *err) TG_MUST_CHECK;

/**
 * Adds a task, before or while it runs. If none was added when it is run, all chats that the
 * accounts list are read.
 * @param request   borrowed for the call
 * @param ret_task  the task's number, from 1; may be NULL
 * @return TG_USAGE: a request that no message can meet; TG_LIMIT; TG_NOMEM
 */
TG_API tg_code tg_parallel_add(struct tg_parallel *p, const struct tg_task_request *request,
                               uint64_t *ret_task, struct tg_error *err) TG_MUST_CHECK;

/**
 * Runs until all tasks have ended. Once only.
 * @param hooks  borrowed until it returns
 * @param ret    written also on failure: what was done until then
 * @return as tg_extract; the first failure of a task if nothing worse happened
 */
TG_API tg_code tg_parallel_run(struct tg_parallel *p, const struct tg_parallel_hooks *hooks,
                               struct tg_extract_result *ret, struct tg_error *err) TG_MUST_CHECK;

/** Lets an ended or waiting task be tried again after `delay_s`, with this priority. While it runs.
 *  @return TG_NOT_FOUND: there is no such task, or it is at work; TG_NOMEM */
TG_API tg_code tg_parallel_reschedule(struct tg_parallel *p, uint64_t task, double delay_s,
                                      enum tg_priority priority,
                                      struct tg_error *err) TG_MUST_CHECK;

/** Tries an ended task again at once, with another account if one can see the chat. */
TG_API tg_code tg_parallel_retry(struct tg_parallel *p, uint64_t task,
                                 struct tg_error *err) TG_MUST_CHECK;

/** Sets how many chats are at work at most; 0: as many as the accounts can use. Fewer than now: the
 *  chats at work are finished first. From any thread. */
TG_API void tg_parallel_workers(struct tg_parallel *p, unsigned n);

/** Ends the run soon with TG_CANCELLED, after the batches in hand. From any thread or a signal
 *  handler. */
TG_API void tg_parallel_stop(struct tg_parallel *p);

/** @return "high", "normal", "low" */
TG_API const char *tg_priority_name(enum tg_priority priority);

#ifdef __cplusplus
}
#endif
#endif

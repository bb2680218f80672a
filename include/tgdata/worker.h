/* SPDX-License-Identifier: MIT */
/*
 * worker.h - more than one machine: tasks on a queue, and workers that take them
 *
 *   tg_enqueue -> queue on a broker -> tg_worker_run (any number, anywhere) -> rows
 *                       ^    |
 *                       +----+ failed: later again, counted; hopeless or poison: dead letters
 *
 * A worker is a run of parallel.h whose tasks come from the queue, a few ahead of what its accounts
 * can take. A task is acknowledged when all its rows are committed. A worker that dies is noticed
 * when its tasks were not kept for the queue's visibility time: others take them and go on behind
 * the last commit. Workers of one job share its state store; each chat at work has a lease and a
 * fencing token, so that a worker that slept and wakes up cannot write any more.
 *
 * A task is a JSON object, so that other programs can write it:
 *   {"chat": "@name", "priority": "normal", "tenant": "a", "weight": 2, "since": 1704067200,
 *    "until": 1706745600, "limit": 1000, "include_replies": true}
 * Everything but the chat may be left out; times are Unix seconds.
 *
 * Queues: redis://HOST:PORT/DB?queue=NAME&visibility=60s&max-deliveries=5
 *         amqp://USER:PASSWORD@HOST:PORT/VHOST?queue=NAME&visibility=60s&max-deliveries=5
 *         sqs://NAME?region=eu-west-1&visibility=60s&max-deliveries=5&create=yes&endpoint=URL
 *         sqs:https://sqs.eu-west-1.amazonaws.com/ACCOUNT/NAME?visibility=60s
 *
 * Keys for SQS are taken from where AWS's own tools take them: AWS_ACCESS_KEY_ID and
 * AWS_SECRET_ACCESS_KEY (AWS_SESSION_TOKEN), or the profile AWS_PROFILE of ~/.aws/credentials.
 *
 * A program that uses RabbitMQ or SQS should ignore SIGPIPE: their libraries write to closed
 * connections.
 *
 * Threads: as parallel.h; tg_enqueue and tg_queue_look from any thread
 */
#ifndef TGDATA_WORKER_H
#define TGDATA_WORKER_H

#include "tgdata/parallel.h"

#ifdef __cplusplus
extern "C" {
#endif

/** What is left out is as the config of the tg_parallel says (scope WORKER). */
struct tg_worker_options {
    const char *queue;     /**< URL; borrowed for the call; NULL: the setting `queue` */
    uint32_t attempts_max; /**< a task that failed so often goes to the dead letters; 0: the setting
                                `task-attempts` */
    bool until_empty;      /**< end when no task is waiting, put off, or taken by any worker (where
                                the queue cannot tell that: none came back for twice its visibility
                                time), as does the setting `until-empty`; else only
                                tg_parallel_stop ends it */
};

/**
 * Takes tasks from the queue and runs them, until it is stopped. Tasks that are not done then go
 * back to the queue.
 * @param p      with its accounts; tasks added to it are run as well
 * @param hooks  as for tg_parallel_run; borrowed until it returns
 * @return as tg_parallel_run, but the failure of a task is none of the worker; TG_USAGE: no such
 *         queue; TG_NET: it cannot be reached at the start. One that is lost later is tried again
 */
TG_API tg_code tg_worker_run(struct tg_parallel *p, const struct tg_worker_options *options,
                             const struct tg_parallel_hooks *hooks, struct tg_extract_result *ret,
                             struct tg_error *err) TG_MUST_CHECK;

/** Puts tasks on a queue. @return TG_OK when the broker has all of them; else the first *ret_n were
 *  put (may be NULL) */
TG_API tg_code tg_enqueue(const char *queue, const struct tg_task_request *task, size_t n,
                          size_t *ret_n, struct tg_error *err) TG_MUST_CHECK;

/** How many tasks are where. */
struct tg_queue_info {
    uint64_t waiting; /**< to be taken */
    uint64_t taken;   /**< by workers, dead ones too; 0 where it cannot be told (amqp), about so
                           many where it is counted roughly (sqs) */
    uint64_t later;   /**< failed, not due yet */
    uint64_t dead;    /**< given up */
};
TG_API tg_code tg_queue_look(const char *queue, struct tg_queue_info *ret,
                             struct tg_error *err) TG_MUST_CHECK;

#ifdef __cplusplus
}
#endif
#endif

/* SPDX-License-Identifier: MIT */
/*
 * joblist.h - which chats a job was asked for, written down before the first of them is read
 *
 * A checkpoint exists only for a chat that was begun. A run that is killed after two of five chats
 * would leave no trace of the other three, and what cannot be missed cannot be found missing. So
 * each run appends the chats that the job does not know yet to a log of the state store: kind
 * "job", key the job's name, each entry
 *
 *   { "chats": [ { "id": -100..., "title": "..." }, ... ] }
 *
 * Chats are only ever added: a job is asked for all that any of its runs was asked for.
 *
 * Threads: one at a time      Limits: 1000000 chats; entries of 1 MiB
 */
#ifndef TG_JOBLIST_H
#define TG_JOBLIST_H

#include "store/store.h"

struct tg_extract_settings;

struct tg_job_chat {
    int64_t id;        /* marked */
    const char *title; /* "" unknown */
    const struct tg_extract_settings *settings; /* the job's with what differs for this chat; NULL:
                                                   the job's; not in the list */
};

/** Called for each chat, in the order in which they were asked for. @return false to stop */
typedef bool (*tg_job_chat_fn)(void *ctx, const struct tg_job_chat *chat);

/** Reads a job's list. TG_OK also if there is none. @return TG_CORRUPT, TG_STATE, ... */
tg_code tg_joblist_read(const struct tg_store *store, const char *job, tg_job_chat_fn seen,
                        void *ctx, struct tg_error *err);

/** Adds those chats that the list lacks; durable on TG_OK. @return as the store's append */
tg_code tg_joblist_add(const struct tg_store *store, const char *job,
                       const struct tg_job_chat *chat, size_t n, int64_t now_us,
                       struct tg_error *err);

#endif

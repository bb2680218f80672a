/* SPDX-License-Identifier: MIT */
/*
 * checkpoint.h - the record of how far a job is in one chat, as JSON in the state store
 *
 * Document kind "checkpoint", key "job/chat id"; every version is one checkpoint. The names in the
 * upper part are the interface that ETL tools read; what only this program needs is under "tgdata":
 *
 *   { "job_id": "...", "group_id": -100..., "last_message_id": 1, "last_message_date": "2024-...Z",
 *     "batches_completed": 1, "total_messages_processed": 1000, "last_checkpoint_time":
 * "2024-...Z", "extraction_params": { "start_date": "2024-...Z", "batch_size": 1000, ... },
 *     "tgdata": { "number": 1, "segment": 0, "cursor": 1000, "covered_from": 1, "seq": 1,
 *                 "complete": false, "fence": 1, "to": "ndjson:DIR", "batches": [ ... ],
 *                 "destinations": [ of several, each: { "to": "ndjson:DIR", "segment": 0,
 *                   "cursor": 1000, "seq": 1, "rows": 1000, "rows_total": 1000 } ] } }
 *
 * The checkpoint follows the destination: where that is ahead on resume, the checkpoint is brought
 * to it. One that is behind has lost what was delivered, or is another one: the run is refused. Job
 * parameters that shape the rows belong to the job's identity: a run with others is refused.
 *
 * Threads: one at a time      Limits: record 1 MiB
 */
#ifndef TG_CHECKPOINT_H
#define TG_CHECKPOINT_H

#include "config/settings.h"
#include "sink/sink.h"
#include "store/store.h"

enum { TG_JOB_NAME_MAX = 63, TG_BATCH_LOG_MAX = 1000 };

/** How one batch went. */
struct tg_batch_record {
    uint64_t id;
    int64_t started_us, ended_us;
    uint64_t rows;
    bool failed;
    char error[160];
};

/** Document kinds: of the rows from Telegram; of those of fallbacks, in the same form. */
#define TG_CHECKPOINT_LIVE "checkpoint"
#define TG_CHECKPOINT_FALLBACK "fallback"

struct tg_checkpoint {
    uint64_t number;         /* version of the document; 0: none yet */
    struct tg_commit commit;
    char *to;                /* destination of the run that wrote it; NULL: a callback */
    struct tg_checkpoint_each {
        char *to;
        struct tg_commit commit; /* in its own numbers */
    } *each;                 /* of several destinations, `to` among them */
    size_t n_each;
    int64_t at_us;
    uint64_t fence;          /* token of who saves it; the commit may be an older writer's */
    /* batches since the checkpoint before */
    struct tg_batch_record *batch;
    size_t n_batches, cap_batches;
};

void tg_checkpoint_done(struct tg_checkpoint *c);
/** Adds a record; beyond TG_BATCH_LOG_MAX the oldest is dropped. */
void tg_checkpoint_batch(struct tg_checkpoint *c, const struct tg_batch_record *record);

void tg_checkpoint_forget_each(struct tg_checkpoint *c);
tg_code tg_checkpoint_add_each(struct tg_checkpoint *c, const char *to,
                               const struct tg_commit *commit, struct tg_error *err);
/** @return what was delivered to a destination; NULL: nothing was */
const struct tg_commit *tg_checkpoint_of(const struct tg_checkpoint *c, const char *to);

/** @return URL of the job's destination number i */
static inline const char *tg_job_to(const struct tg_extract_settings *job, size_t i)
{
    return i < job->destinations.n ? job->destinations.item[i] : job->to;
}

/** @return TG_USAGE unless 1..63 of [A-Za-z0-9._-] */
tg_code tg_job_name_check(const char *job, struct tg_error *err);

/** Writes the key "job/chat id". */
void tg_checkpoint_key(char *out, size_t n, const char *job, int64_t chat_id);

/**
 * A job has either chats or changes: each is verified and gone on with in its own way.
 * @param chat_id  that is to be taken up
 * @return TG_OK; TG_USAGE: the job has the other; TG_STATE, ...
 */
tg_code tg_checkpoint_check_pattern(const struct tg_store *store, const char *job, int64_t chat_id,
                                    struct tg_error *err);

/**
 * Reads the newest checkpoint of that kind of a chat and checks that the job's parameters are the
 * same. ret is written on TG_OK only; done with tg_checkpoint_done.
 * @return TG_OK; TG_END if there is none; TG_CORRUPT; TG_USAGE with what differs
 */
tg_code tg_checkpoint_load(const struct tg_store *store, const char *kind,
                           const struct tg_extract_settings *job, int64_t chat_id,
                           struct tg_checkpoint *ret, struct tg_error *err);

/** Reads a record's commit from its JSON. */
tg_code tg_checkpoint_parse(const char *json, size_t len, struct tg_commit *ret,
                            struct tg_error *err);

/** Reads the destinations in a record, with what was delivered to each, into ret->each; of a single
 *  one that is the record's commit. None: a callback. Done with tg_checkpoint_done in any case. */
tg_code tg_checkpoint_read_each(const char *json, size_t len, struct tg_checkpoint *ret,
                                struct tg_error *err);

/** @return the (first) destination URL in a record, "" if none; written to out */
bool tg_checkpoint_to(const char *json, size_t len, char *out, size_t n);

/**
 * Writes the next version by compare-and-swap, then forgets the batch records.
 * @return TG_CONFLICT if somebody else wrote one; TG_STATE, TG_FULL
 */
tg_code tg_checkpoint_save(const struct tg_store *store, const char *kind,
                           const struct tg_extract_settings *job, struct tg_checkpoint *checkpoint,
                           int64_t now_us, struct tg_error *err);

#endif

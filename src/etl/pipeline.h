/* SPDX-License-Identifier: MIT */
/*
 * pipeline.h - batches from the loop thread to the taker's thread, and credit back
 *
 *   loop thread                      taker thread
 *   tg_pipeline_list   --chats-->    the job's list of chats, made durable
 *   tg_pipeline_begin  --chat-->     attach at the destination, load the checkpoint
 *                      <--resume--   where to go on (tg_pipeline_resume)
 *   tg_pipeline_batch  (credit)
 *   tg_pipeline_put    --batch-->    callback, sink write, commit, checkpoint
 *                      <--credit--   the batch, empty again
 *   tg_pipeline_leave  --chat-->     what is left of it is committed
 *                      <--left--     how many rows in all (tg_pipeline_left)
 *
 * Any number of chats may be begun at once. What is begun must be left before it is begun again.
 *
 * A batch is asked for only while credit is left, counted in batches and in bytes; that is all the
 * backpressure there is. Nothing that is put makes the loop wait, whatever the destination does.
 *
 * Every `checkpoint_interval` rows the taker commits: lease checked, rows durable in the
 * destination, then the checkpoint. A batch may be cut for that, or several share a commit.
 *
 * Threads: functions are the loop thread's; `wake` is called from the taker's thread
 * Limits:  settings: credit_bytes; 8 batches, and one more for each chat beyond the first that may
 *          be at work at once
 */
#ifndef TG_PIPELINE_H
#define TG_PIPELINE_H

#include "etl/taker.h"

struct tg_pipeline;

struct tg_pipeline_options {
    const struct tg_extract_settings *job;
    const struct tg_store *store;
    const struct tg_sink *sink;        /* NULL: a callback alone */
    const struct tg_sink *fallback_sink; /* see struct tg_taker */
    struct tg_letters *letters;        /* see struct tg_taker */
    struct tg_taker_steps *steps;      /* the same; opened */
    struct tg_observer *observer;      /* is told of batches and their lag; NULL: nobody is */
    struct tg_trace *trace;            /* of the run; NULL: it has none */
    tg_batch_fn callback;              /* NULL: a sink alone */
    void *callback_ctx;
    bool by_chat;                      /* see struct tg_taker */
    struct tg_breaker_options circuit; /* see struct tg_taker_circuit */
    bool circuit_fails;
    int64_t sink_wait_ms, sink_pause_us; /* see struct tg_taker_wait */
    int64_t spill_bytes;               /* see pipeline_spill.c; 0: nothing is */
    size_t n_chats;                    /* that may be at work at once; 0: 1 */
    uint32_t nonce;                    /* random: tells this run from others (struct tg_fence) */
    int64_t (*unix_us)(void);
    void (*wake)(void *ctx);           /* something changed: look again */
    void *wake_ctx;
};

/** Takes the job's lease and starts the thread. @return TG_BUSY if the job runs elsewhere */
tg_code tg_pipeline_new(const struct tg_pipeline_options *options, struct tg_pipeline **ret,
                        struct tg_error *err);

/** Writes down which chats the job was asked for; before the first is begun. What is given must
 *  stay until the pipeline has ended. A failure ends the pipeline. */
tg_code tg_pipeline_list(struct tg_pipeline *p, const struct tg_job_chat *chat, size_t n,
                         struct tg_error *err);

/** Starts a chat; what is given must stay until it is left. The answer comes through wake and
 *  tg_pipeline_resume. */
tg_code tg_pipeline_begin(struct tg_pipeline *p, const struct tg_job_chat *chat,
                          struct tg_error *err);

/** @return TG_OK with where the chat stands (zeroes: nothing yet); TG_AGAIN: not known yet; the
 *  failure that ended the chat or the pipeline */
tg_code tg_pipeline_resume(struct tg_pipeline *p, int64_t chat_id, struct tg_commit *ret,
                           struct tg_error *err);

/** Ends a chat: what was put is taken, what is not committed yet is. The answer comes through wake
 *  and tg_pipeline_left. */
tg_code tg_pipeline_leave(struct tg_pipeline *p, int64_t chat_id, struct tg_error *err);

/** @return TG_OK: it is left, ret_rows tells what of it was committed in this run, ret_alone why it
 *  alone failed (code TG_OK: it did not), and the chat is forgotten; TG_AGAIN: not yet; the failure
 *  that ended the pipeline */
tg_code tg_pipeline_left(struct tg_pipeline *p, int64_t chat_id, int64_t *ret_rows,
                         struct tg_error *ret_alone, struct tg_error *err);

/** Has what fallbacks have of a chat delivered, which is not begun now (tg_taker_fallback). What is
 *  given must stay until the answer is there; it comes through wake and tg_pipeline_fell_back. */
tg_code tg_pipeline_fall_back(struct tg_pipeline *p, const struct tg_fallback_request *request,
                              struct tg_error *err);

/** @return as tg_pipeline_left */
tg_code tg_pipeline_fell_back(struct tg_pipeline *p, int64_t chat_id,
                              struct tg_fallback_result *ret, struct tg_error *ret_alone,
                              struct tg_error *err);

/** @return whether that chat alone failed, with why: it is to be left */
bool tg_pipeline_chat_failed(struct tg_pipeline *p, int64_t chat_id, struct tg_error *err);

/** @return rows of a begun chat committed in this run so far, with those that steps dropped */
int64_t tg_pipeline_rows(struct tg_pipeline *p, int64_t chat_id);

/** @return an empty batch, or NULL without credit */
struct tg_batch *tg_pipeline_batch(struct tg_pipeline *p);

/** Hands a batch over. seq, cursor, covered_from and last must be set. */
void tg_pipeline_put(struct tg_pipeline *p, struct tg_batch *batch);

/** Gives a batch back unused. */
void tg_pipeline_return(struct tg_pipeline *p, struct tg_batch *batch);

struct tg_pipeline_state {
    bool failed;
    struct tg_error err;         /* if failed */
    bool idle;                   /* nothing is queued or worked on */
    uint64_t rows, batches, commits, bytes_out;
    uint64_t fallback_rows;      /* besides `rows` */
    struct tg_steps_counts {
        uint64_t dropped, aside; /* rows that steps took out; of those, that were set aside */
        uint64_t judged, invalid;
    } steps;
    uint32_t n_out;              /* batches that are out */
    bool full;                   /* so many that none is read before the destination takes some */
    uint64_t spilled;            /* batches that went to a temporary file */
};
void tg_pipeline_state(struct tg_pipeline *p, struct tg_pipeline_state *ret);

/**
 * Ends: what is queued is still taken and committed, then the thread ends and the lease is given
 * back. @return the failure that ended the pipeline, if any
 */
tg_code tg_pipeline_finish(struct tg_pipeline *p, struct tg_error *err);
void tg_pipeline_free(struct tg_pipeline *p); /* NULL is nothing */

/** What has become of the destination's circuit breaker; see tg_taker_news. */
bool tg_pipeline_news(struct tg_pipeline *p, struct tg_taker_news *ret);
/** The end is near: an open breaker of the destination is not waited for. */
void tg_pipeline_hurry(struct tg_pipeline *p);

/** @return the fencing token of the job's lease */
uint64_t tg_pipeline_fence(const struct tg_pipeline *p);

/** Keeps how a chat's circuit breaker stands, for the next run. */
void tg_pipeline_circuit(struct tg_pipeline *p, int64_t chat_id,
                         const struct tg_breaker_record *record);

/** Appends a row that a rule has set aside, before the batch that it was in is put. The run has a
 *  destination. */
tg_code tg_pipeline_letter(struct tg_pipeline *p, const struct tg_letter_box *box, int64_t chat_id,
                           const struct tg_row_aside *aside, struct tg_error *err);

/** Appends a record that could not be decoded to the quarantine of the job and chat. */
tg_code tg_pipeline_quarantine(struct tg_pipeline *p, int64_t chat_id, int64_t id,
                               const char *reason, const void *bytes, size_t len,
                               struct tg_error *err);

#endif

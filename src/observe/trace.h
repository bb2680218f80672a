/* SPDX-License-Identifier: MIT */
/*
 * trace.h - the traces of one run: their spans while they are open
 *
 *   job                      tg_trace_new .. tg_trace_end
 *     chat                   tg_trace_chat .. tg_trace_chat_end
 *       batch                its first call was asked .. the destination has taken it
 *         messages.getHistory    a call, with its flood waits and retries as events
 *         commit             rows durable, checkpoint written
 *     auth.exportAuthorization   a call that is of no chat at work
 *
 * Batches of streams and deltas are of any chats, and hang on the job; calls that brought no change
 * are a `poll`.
 *
 * A span is told when it ends, and a run that goes on for days would be a tree without a root for
 * as long. So what hangs on the job of a worker (chats, calls of none) and of a stream (batches,
 * polls) is a trace of its own, whose root says which job it is of, and has a link to its span.
 *
 * A call belongs to the batch that is being gathered, of its chat, when the answer comes. Jobs and
 * chats are always told; of batches and polls, with all that is below them, and of other calls a
 * share is, and besides every call that failed, was repeated or had to wait, with what it is in.
 *
 * Whoever has begun a trace already (TRACEPARENT) gets the job as a part of it.
 *
 * A trace of NULL is told nothing: engines need not ask whether there is one.
 *
 * Threads: any, between tg_trace_new and tg_trace_end
 * Limits:  batches that wait for the destination and calls with events: 4096 and 256 at once; of
 *          more nothing is told but what they are when they end
 */
#ifndef TG_OBSERVE_TRACE_H
#define TG_OBSERVE_TRACE_H

#include "base/row.h"
#include "crypto/random.h"
#include "observe/span.h"

struct tg_trace;

/* What a run does, which decides what is a trace of its own. */
enum tg_trace_pattern {
    TG_TRACE_BATCH, /* an extraction: one trace */
    TG_TRACE_WORKER,
    TG_TRACE_STREAM,
    TG_TRACE_DELTA,
    TG_TRACE_TRANSFORM,
};

struct tg_trace_options {
    const char *job;
    enum tg_trace_pattern pattern;
    uint32_t share_ppm; /* of batches and calls that are told: so many of a million */
    const struct tg_trace_parent *parent; /* NULL: the trace begins here */
    struct tg_random random;
    int64_t (*unix_us)(void);
    void (*add)(void *ctx, const struct tg_span *span); /* from any thread, under a lock */
    void *ctx;
};

struct tg_trace *tg_trace_new(const struct tg_trace_options *options); /* NULL out of memory */
/** Ends what is open, with the job itself. @param err  NULL: it went well. NULL trace is nothing */
void tg_trace_end(struct tg_trace *t, int64_t rows, const struct tg_error *err);

/** @param ret  the span of that chat, or, if it is not at work, of the job */
void tg_trace_where(struct tg_trace *t, int64_t chat_id, struct tg_span_link *ret);

/** A chat is at work. Nothing if it is already. */
void tg_trace_chat(struct tg_trace *t, int64_t chat_id, const char *account);
/** It is not any longer: its batches are taken, or will not be. */
void tg_trace_chat_end(struct tg_trace *t, int64_t chat_id, int64_t rows,
                       const struct tg_error *err);

/** Of a stream or delta: whether something of a batch is there. */
void tg_trace_gather(struct tg_trace *t, bool any);
/** So many calls have ended as were to be looked at together: if nothing of a batch is there, they
 *  have brought none. */
void tg_trace_settle(struct tg_trace *t);

/** A batch of a chat is whole and waits for the destination; its rows are as they are now. Of
 *  streams: twice, before its stages and behind them. */
void tg_trace_batch(struct tg_trace *t, int64_t chat_id, const struct tg_batch *batch);
/** The destination has taken it, or failed. */
void tg_trace_batch_end(struct tg_trace *t, int64_t chat_id, uint64_t seq,
                        const struct tg_error *err);
/** A commit that was begun at begun_us, for that batch. @param seq  0: for none */
void tg_trace_commit(struct tg_trace *t, int64_t chat_id, uint64_t seq, uint64_t rows,
                     int64_t begun_us, const struct tg_error *err);

/** A call that ended now. */
struct tg_trace_call {
    const char *method, *account;
    uint64_t number;     /* among those of its account */
    int64_t chat_id;     /* 0: of none */
    int32_t dc;
    int64_t age_us;      /* since it was asked for */
    int64_t took_us;     /* since it was last sent; 0: never */
    uint32_t n_floods, n_retries;
    int64_t flood_wait_s;
    const struct tg_error *err;
};
void tg_trace_call(struct tg_trace *t, const struct tg_trace_call *call);
/** Something happened to a call: "flood_wait", "retry". Names are static. */
void tg_trace_call_event(struct tg_trace *t, const char *account, uint64_t number,
                         const char *name, int64_t wait_us, const struct tg_error *err);

#endif

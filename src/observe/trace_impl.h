/* SPDX-License-Identifier: MIT */
/*
 * trace_impl.h - the struct behind a trace, and what its two files share: trace.c has jobs, chats,
 * batches and commits, trace_calls.c calls
 *
 * Threads: the lock guards all of a trace; functions here are called under it
 */
#ifndef TG_OBSERVE_TRACE_IMPL_H
#define TG_OBSERVE_TRACE_IMPL_H

#include "observe/trace.h"
#include "os/queue.h"

enum { TRACE_TEXT = 128 };

/* Where a span hangs. */
struct trace_place {
    uint8_t trace[TG_TRACE_ID];
    uint64_t parent; /* 0: it is the root of a trace of its own */
};

/* A batch from its first call to its end. */
struct trace_batch {
    struct trace_place at;
    uint64_t id;
    int64_t begun_us, whole_us;
    int64_t chat_id;
    uint64_t seq;
    size_t rows;
    int64_t of[TG_SPAN_LIST]; /* the first chats of its rows, if they may be of any */
    size_t n_of;
    uint32_t calls;
    bool told; /* it is in the share, or something happened to it */
    bool any;  /* of a stream: it is more than calls */
};

struct trace_chat {
    int64_t chat_id;
    struct trace_place at;
    uint64_t id;
    int64_t begun_us;
    char account[TRACE_TEXT];
    struct trace_batch gathers; /* id 0: none */
};

/* A call that something has happened to. */
struct trace_troubled {
    uint64_t number;
    char account[TRACE_TEXT];
    struct tg_span_event event[TG_SPAN_EVENTS];
    size_t n_events;
};

struct tg_trace {
    struct tg_trace_options options;
    char job[TRACE_TEXT];
    struct trace_place at; /* of the job */
    uint64_t root;         /* its id */
    int64_t begun_us;
    struct tg_random_seeded seeded;

    pthread_mutex_t lock;
    struct trace_chat *chat;
    size_t n_chats, cap_chats;
    struct trace_chat changes; /* of streams and deltas: all that they watch */
    struct trace_batch *batch; /* that wait for the destination */
    size_t n_batches, cap_batches;
    struct trace_troubled *troubled;
    size_t n_troubled;
};

uint64_t trace_new_id(struct tg_trace *t);
/** Ids are random: a share of them is a share of the spans. */
bool trace_in_share(const struct tg_trace *t, uint64_t id);
struct trace_place trace_below(const struct trace_place *p, uint64_t id);
/** What hangs on the job: below it, or apart. */
struct trace_place trace_of_job(struct tg_trace *t);

/** A span that ends now; its id is to be set. */
struct tg_span trace_begin_span(const struct tg_trace *t, const char *name,
                                const struct trace_place *at, int64_t start_us);
/** @param err  NULL: it did not fail */
void trace_put_failure(struct tg_span *s, const struct tg_error *err);
void trace_add(struct tg_trace *t, const struct tg_span *s);

/** @return the chat, or what stands for all chats; NULL: it is not at work */
struct trace_chat *trace_find_chat(struct tg_trace *t, int64_t chat_id);
/** The batch that a chat gathers, begun if there is none. */
struct trace_batch *trace_gathers(struct tg_trace *t, struct trace_chat *c, int64_t since_us);

#endif

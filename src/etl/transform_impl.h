/* SPDX-License-Identifier: MIT */
/*
 * transform_impl.h - the inside of a transformation, shared by transform.c (the run) and
 * transform_chat.c (one chat)
 *
 * Threads: that of tg_transform_run; `stop` from any
 */
#ifndef TG_TRANSFORM_IMPL_H
#define TG_TRANSFORM_IMPL_H

#include <stdio.h>

#include "etl/observed.h"
#include "etl/taker_impl.h"
#include "tgdata/transform.h"

enum { TRANSFORM_SEGMENTS = TG_SEGMENT_CHANGES + 1 };

/* A chat of the source. */
struct transform_chat {
    int64_t id;
    char *job;              /* whose chat it is there */
    uint64_t expected, read; /* rows */

    /* what the commits there tell */
    struct {
        bool any;
        int64_t covered_from;
        struct tg_cursor end;
    } segment[TRANSFORM_SEGMENTS];
    struct tg_commit last;  /* seq 0: none */
    struct tg_commit gap;   /* the first that does not begin where the one before ended; seq 0 */

    struct tg_cursor seen;  /* of the last row that was read; segment -1: none */
    struct tg_cursor done;  /* what the destination has covered, or was given */
};

struct tg_transform {
    const struct tg_transform_request *request;
    struct tg_extract_settings settings; /* of the job */
    struct tg_steps steps; /* what request or settings name */
    struct tg_taker_steps at_work;
    atomic_bool stop;

    /* of the run */
    const struct tg_transform_hooks *hooks;
    struct tg_transform_result *result;
    int64_t started_us, progress_us;
    struct tg_store store;
    struct tg_letters letters;
    struct tg_letter_box letter_box;
    bool has_letters;
    struct tg_sink_env source_env, sink_env;
    struct tg_sink source, sink;
    struct tg_taker taker;
    struct tg_batch *batch; /* rows are read into it */
    struct tg_raw_decoder decoder;
    struct tg_observed_run observed;
    uint64_t batches; /* given to the taker */
    struct transform_chat *chat;
    size_t n_chats, at;
    bool waits; /* for the destination */
    tg_code code; /* of a callback that can only stop */
    struct tg_error err;
};

/** Opens the source as that job's, unless it is. */
tg_code transform_open_source(struct tg_transform *t, const char *job, struct tg_error *err);

/** Reads a chat to its end, or until the run is stopped. */
tg_code transform_chat(struct tg_transform *t, struct transform_chat *c, struct tg_error *err);

/** Tells how far the run is, if it is time or done. */
void transform_tell(struct tg_transform *t, bool done);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * stream.h - what changes in chats, as rows: without end (stream), or since the last run (delta)
 *
 *   updates -> order, gaps -> rows with `change` -> filters, transformations -> destination
 *      ^                                                                            |
 *      +------------- credit: what is not committed yet is bounded -----------------+
 *
 * Each row tells in `change` what happened to its message (new, edited, reactions, deleted; absent:
 * it was read) and in `change_seq` in which order. Destinations that are tables show the chats as
 * they are; files and brokers get the changes one behind the other. The job remembers how far the
 * chats' updates are and a signature of each message, exactly as of the destination's last commit:
 * killed at any moment, the next run goes on behind it. What the server does not tell any more is
 * found by reading the history again (docs/streams.md).
 *
 *   struct tg_stream *s;
 *   code = tg_stream_new(account, config, &s, &err);
 *   tg_stream_source(s, chats, n);
 *   tg_stream_filter(s, not_too_old, NULL);
 *   tg_stream_transform(s, enrich_message, NULL);
 *   tg_stream_batch(s, 500);
 *   tg_stream_sink(s, "kafka:localhost:9092/messages");
 *   code = tg_stream_run(s, print_statistics, NULL, &result, &err);
 *   tg_stream_free(s);
 *
 * Threads: functions and the monitor on the calling thread; filters and transformations on several
 *          (tgdata/stage.h), the batch callback on another; tg_account_stop from any
 */
#ifndef TGDATA_STREAM_H
#define TGDATA_STREAM_H

#include "tgdata/extract.h"
#include "tgdata/quality.h"
#include "tgdata/stage.h"

#ifdef __cplusplus
extern "C" {
#endif

/** What happened to messages; a row's `change`. */
enum tg_change_kind {
    TG_KIND_READ,      /**< it is there: the first run, or the destination may not know it */
    TG_KIND_NEW,
    TG_KIND_EDITED,
    TG_KIND_REACTIONS, /**< they alone */
    TG_KIND_DELETED,
    TG_KIND_COUNT
};

/** @return "read", "new", "edited", "reactions", "deleted" */
TG_API const char *tg_change_kind_name(enum tg_change_kind kind);

/** How a run is going, and what it did. */
struct tg_stream_stats {
    uint64_t total_processed;     /**< changes that were looked at, with those that were none */
    uint64_t changes_detected;    /**< of them delivered: taken by the destination */
    uint64_t kind[TG_KIND_COUNT]; /**< of those put on their way */
    uint64_t filtered;            /**< dropped by filters */
    uint64_t failed;              /**< a stage failed for them: kept or dropped as its on-error
                                       says */
    char failed_why[200];         /**< the first of those; "" */
    uint64_t commits;
    double buffer_usage;          /**< rows on their way as a share of --buffer-size; 1: full */
    double messages_per_second;   /**< committed, over the last second */
    double lag_s;                 /**< age of the oldest change that is not committed; 0: none */
    unsigned workers;             /**< stage workers now */
    bool backpressure;            /**< nothing is fetched now, as too much is on its way */
    uint64_t pushes, pushes_lost; /**< packets from the server; of them dropped without room: a
                                       difference brings them */
    uint64_t differences, channel_differences; /**< requests: of the account, of channels */
    uint64_t history_requests, confirm_requests, other_requests;
    uint64_t too_long;            /**< differences that the server did not give */
    uint64_t scans;               /**< chats that were read, or read again */
    uint64_t state_messages, state_bytes; /**< what is remembered of messages */
    uint64_t versions, version_bytes;     /**< kept of them in this run, and written */
    uint64_t quarantined, refused, flood_waits;
    uint64_t set_aside; /**< rows that rules of severity `quarantine` have made dead letters */
    uint64_t chats, chats_lost;   /**< watched; of them not any longer, since they became closed */
    uint64_t bytes_out;
    double seconds;
    struct tg_quality_result quality; /**< what rules found; but for `rows` and `invalid` at
                                           the end only */
};

/** Gets how it is going, once a second and at the end. @return false: end the run */
typedef bool (*tg_stream_monitor_fn)(void *ctx, const struct tg_stream_stats *stats);

struct tg_stream;

/** @param account  logged in; borrowed as config is, until tg_stream_free
 *  @return TG_NOMEM */
TG_API tg_code tg_stream_new(struct tg_account *account, const struct tg_config *config,
                             struct tg_stream **ret, struct tg_error *err) TG_MUST_CHECK;
TG_API void tg_stream_free(struct tg_stream *stream); /* NULL is nothing */

/* What the run is made of. What is wrong is told by tg_stream_run. Texts are copied. */

/** Chats to watch: each "@name", "name", a t.me link, or a marked id. Adds to those before; without
 *  any, all chats that the account lists when it begins are watched. */
TG_API void tg_stream_source(struct tg_stream *stream, const char *const *chats, size_t n);
/** Steps, in the order in which they are added; after those of the config. */
TG_API void tg_stream_filter(struct tg_stream *stream, tg_row_filter_fn filter, void *ctx);
TG_API void tg_stream_transform(struct tg_stream *stream, tg_row_transform_fn transform,
                                void *ctx);
TG_API void tg_stream_stage(struct tg_stream *stream, const char *stage);
/** Rows of a batch, about: a batch ends earlier when nothing comes, and never within what the
 *  server told at once. */
TG_API void tg_stream_batch(struct tg_stream *stream, size_t size);
/** Where rows go, instead of the config's `to`. */
TG_API void tg_stream_sink(struct tg_stream *stream, const char *url);
/** Gets the batches, before the destination if there is one. */
TG_API void tg_stream_callback(struct tg_stream *stream, tg_batch_fn batch, void *ctx);
/** Is told how it goes; borrowed until tg_stream_free. */
TG_API void tg_stream_observe(struct tg_stream *stream, struct tg_observer *observer);

/**
 * Runs until it is stopped, until nothing came for --idle-exit, or until nobody may read the chats
 * any more.
 *
 * @param monitor  may be NULL
 * @param ret      written also on failure
 * @return TG_OK also after tg_account_stop: all that was put on its way is committed; TG_BUSY: the
 *         job runs elsewhere; TG_SINK, TG_STATE, TG_AUTH, ...
 */
TG_API tg_code tg_stream_run(struct tg_stream *stream, tg_stream_monitor_fn monitor, void *ctx,
                             struct tg_stream_stats *ret, struct tg_error *err) TG_MUST_CHECK;

/** As tg_stream_run, but ends when all that has happened until now is delivered.
 *  @return TG_CANCELLED after tg_account_stop */
TG_API tg_code tg_stream_delta(struct tg_stream *stream, tg_stream_monitor_fn monitor, void *ctx,
                               struct tg_stream_stats *ret, struct tg_error *err) TG_MUST_CHECK;

#ifdef __cplusplus
}
#endif
#endif

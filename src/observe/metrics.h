/* SPDX-License-Identifier: MIT */
/*
 * metrics.h - the table of what is measured, and a registry of the numbers
 *
 * A metric is one row of the table; its series are told apart by at most two labels. The registry
 * knows nothing of where numbers come from or go to: text for Prometheus and the two JSON forms are
 * written from the same table.
 *
 *   tg_metrics_add(m, TG_METRIC_CALLS, "messages.getHistory", "ok", 1);
 *     -> tgdata_calls_total{method="messages.getHistory",outcome="ok"} 1
 *
 * Threads: none: the owner locks     Limits: TG_METRIC_SERIES_MAX series of a metric; what comes
 *          behind them is counted under the label "other"
 */
#ifndef TG_OBSERVE_METRICS_H
#define TG_OBSERVE_METRICS_H

#include "base/json.h"
#include "observe/average.h"

enum {
    TG_METRIC_SERIES_MAX = 128,
    TG_METRIC_LABEL = 96,
    TG_METRIC_BUCKETS = 16,
    TG_METRIC_READERS = 3, /* that are told what is new */
};

enum tg_metric_type { TG_METRIC_COUNTER, TG_METRIC_GAUGE, TG_METRIC_HISTOGRAM };

/* name, type, labels, help. Counters end in _total; units are base units. */
#define TG_METRICS(X)                                                                              \
    X(EXTRACTED, "messages_extracted_total", COUNTER, NULL, NULL, "Rows that were read.")          \
    X(COMMITTED, "messages_committed_total", COUNTER, NULL, NULL,                                  \
      "Rows that the destination has for good.")                                                   \
    X(FALLBACK, "messages_fallback_total", COUNTER, NULL, NULL, "Rows that came from fallbacks.")  \
    X(BATCHES, "batches_total", COUNTER, NULL, NULL, "Batches that the destination took.")         \
    X(COMMITS, "commits_total", COUNTER, NULL, NULL, "Commits, each with its checkpoint.")         \
    X(BYTES_OUT, "written_bytes_total", COUNTER, NULL, NULL, "Bytes for the destination.")         \
    X(BYTES_IN, "received_bytes_total", COUNTER, NULL, NULL, "Bytes from Telegram.")               \
    X(RATE, "extraction_rate_messages_per_second", GAUGE, NULL, NULL,                              \
      "Rows that were read per second, moving average over 300 s.")                                \
    X(ERROR_RATE, "error_rate_ratio", GAUGE, NULL, NULL,                                           \
      "Share of the attempts of calls that failed, moving over 300 s; flood waits are none.")      \
    X(CALLS, "calls_total", COUNTER, "method", "outcome",                                          \
      "Calls of Telegram that ended, by how they did.")                                            \
    X(CALL_SECONDS, "call_duration_seconds", HISTOGRAM, NULL, NULL,                                \
      "From when a call was last sent to its answer.")                                             \
    X(RETRIES, "retries_total", COUNTER, "method", NULL, "Attempts of calls that were repeated.")  \
    X(FLOODS, "flood_waits_total", COUNTER, "account", "method", "Waits that the server named.")   \
    X(FLOOD_SECONDS, "flood_wait_seconds_total", COUNTER, "account", "method",                     \
      "Seconds of those waits.")                                                                   \
    X(LIMIT_USAGE, "rate_limit_usage_ratio", GAUGE, "account", NULL,                               \
      "Requests for history of the last 300 s, as a share of what the limit allows; 0 while none " \
      "is known, 1 during a wait.")                                                                \
    X(CONNECTIONS, "active_connections", GAUGE, NULL, NULL, "Connections to Telegram that stand.") \
    X(RECONNECTS, "connections_lost_total", COUNTER, NULL, NULL,                                   \
      "Connections that ended or could not be made.")                                              \
    X(QUEUE, "queue_depth_batches", GAUGE, NULL, NULL,                                             \
      "Batches between the network and the destination's commit.")                                 \
    X(LAG, "pipeline_lag_seconds", HISTOGRAM, NULL, NULL,                                          \
      "From when the oldest batch of a commit was begun to that commit.")                          \
    X(CIRCUIT_OPEN, "circuit_open", GAUGE, "kind", NULL, "Circuit breakers that are open now.")    \
    X(CIRCUITS, "circuit_changes_total", COUNTER, "kind", "state",                                 \
      "Changes of circuit breakers, by the state that they came to.")                              \
    X(QUARANTINED, "quarantined_total", COUNTER, NULL, NULL,                                       \
      "Records that could not be decoded, set aside.")                                             \
    X(REFUSED, "refused_total", COUNTER, NULL, NULL,                                               \
      "Rows that the destination refused for good, kept as dead letters.")                         \
    X(JUDGED, "rows_judged_total", COUNTER, NULL, NULL, "Rows that rules looked at.")              \
    X(INVALID, "rows_invalid_total", COUNTER, NULL, NULL, "Of them, rows that broke a rule.")      \
    X(SET_ASIDE, "rows_set_aside_total", COUNTER, NULL, NULL,                                      \
      "Of them, rows that were kept as dead letters.")                                             \
    X(DRIFT, "profile_drift_fields", GAUGE, NULL, NULL,                                            \
      "In how much the values of the run that ended differ from those of the run before.")         \
    X(CHATS_AT_WORK, "chats_at_work", GAUGE, NULL, NULL, "Chats that are read or watched now.")    \
    X(CHATS_DONE, "chats_done", GAUGE, NULL, NULL, "Chats that were read to their end.")           \
    X(CHATS, "chats", GAUGE, NULL, NULL, "Chats that are known.")                                  \
    X(ACCOUNTS, "accounts", GAUGE, NULL, NULL, "Accounts at work.")                                \
    X(READY, "ready", GAUGE, NULL, NULL, "1 if logged in and the destination takes rows.")         \
    X(SCHEDULED, "scheduled_total", COUNTER, "name", "outcome",                                    \
      "Runs of scheduled jobs, and dues without one, by what became of them.")                     \
    X(SCHEDULED_OK, "scheduled_ok_timestamp_seconds", GAUGE, "name", NULL,                         \
      "When a run of a scheduled job last ended well, Unix time.")                                 \
    X(SCHEDULED_NOW, "scheduled_running", GAUGE, NULL, NULL,                                       \
      "Runs of scheduled jobs that are at work.")                                                  \
    X(PUSH_CALLS, "metrics_pushes_total", COUNTER, "to", "outcome",                                \
      "Pushes of these numbers, by where to.")                                                     \
    X(ALERT_FIRING, "alert_firing", GAUGE, "alert", NULL, "1 while that alert fires.")             \
    X(ALERTS, "alert_changes_total", COUNTER, "alert", "state",                                    \
      "Changes of alerts, by the state that they came to.")                                        \
    X(ALERT_POSTS, "alert_posts_total", COUNTER, "outcome", NULL, "Posts of alerts to a webhook.") \
    X(TRACE_SPANS, "trace_spans_total", COUNTER, "outcome", NULL,                                  \
      "Spans of traces: sent, dropped without room or collector, refused by it.")                  \
    X(STREAM_BUFFER, "stream_buffer_usage_ratio", GAUGE, NULL, NULL,                               \
      "Rows of a stream that are on their way, as a share of its buffer.")                         \
    X(STREAM_LAG, "stream_lag_seconds", GAUGE, NULL, NULL,                                         \
      "Age of a stream's oldest change that is not committed.")                                    \
    X(STREAM_CAUGHT_UP, "stream_caught_up", GAUGE, NULL, NULL,                                     \
      "1 if a stream has read and committed all that it knows of.")                                \
    X(STREAM_WORKERS, "stream_workers", GAUGE, NULL, NULL, "Stage workers of a stream.")           \
    X(PUSHES, "stream_pushes_total", COUNTER, NULL, NULL, "Packets that the server pushed.")       \
    X(PUSHES_LOST, "stream_pushes_lost_total", COUNTER, NULL, NULL,                                \
      "Pushed packets that were dropped without room; a difference brings them.")

enum tg_metric {
#define TG_METRIC_ENUM(id, ...) TG_METRIC_##id,
    TG_METRICS(TG_METRIC_ENUM)
#undef TG_METRIC_ENUM
        TG_METRIC_COUNT
};

struct tg_metric_info {
    const char *name; /* without the prefix tgdata_ */
    enum tg_metric_type type;
    const char *label[2];
    const char *help;
};
extern const struct tg_metric_info tg_metric_info[TG_METRIC_COUNT];

/** Upper bounds of histogram buckets in seconds; +Inf follows. */
extern const double tg_metric_bound[TG_METRIC_BUCKETS - 1];

struct tg_metrics;

struct tg_metrics *tg_metrics_new(int64_t now_us); /* NULL out of memory */
void tg_metrics_free(struct tg_metrics *m);        /* NULL is nothing */

/* Labels that a metric has not are NULL. Without memory for a new series nothing is counted. */
void tg_metrics_add(struct tg_metrics *m, enum tg_metric metric, const char *label0,
                    const char *label1, double v);
/** Sets a gauge, or a counter that somebody else counts: that never falls. */
void tg_metrics_set(struct tg_metrics *m, enum tg_metric metric, const char *label0,
                    const char *label1, double v);
/** Adds an observation to a histogram. */
void tg_metrics_observe(struct tg_metrics *m, enum tg_metric metric, double v);

/* The moving averages. */
void tg_metrics_rows(struct tg_metrics *m, double n, int64_t now_us);
void tg_metrics_attempt(struct tg_metrics *m, bool failed, int64_t now_us);

/** @return the value of one series; 0 if there is none */
double tg_metrics_get(const struct tg_metrics *m, enum tg_metric metric, const char *label0,
                      const char *label1);
/** @return of a histogram: how many observations it has */
double tg_metrics_count(const struct tg_metrics *m, enum tg_metric metric);
/** @return the sum, and the largest, of all series; of a histogram, of what was observed */
double tg_metrics_sum(const struct tg_metrics *m, enum tg_metric metric);
double tg_metrics_top(const struct tg_metrics *m, enum tg_metric metric);

/** @return the value below which the share q of the observations is, as far as the buckets tell (as
 *  Prometheus reckons it); 0 without observations */
double tg_metrics_quantile(const struct tg_metrics *m, enum tg_metric metric, double q);

/** @return attempts of calls within the moving averages' window
 *  @param ret_error_rate  the share of them that failed */
double tg_metrics_attempts(struct tg_metrics *m, int64_t now_us, double *ret_error_rate);

/** Writes the text that Prometheus reads. */
void tg_metrics_put_text(struct tg_metrics *m, int64_t now_us, struct tg_buf *out);
/** A series for a reader that adds up itself: what is new since it took something. */
struct tg_metric_sample {
    const struct tg_metric_info *info;
    const char *label[2];          /* NULL: it has none */
    double v;                      /* of a counter: what came; of a gauge: as it is */
    uint64_t n[TG_METRIC_BUCKETS]; /* of a histogram: what came into each bucket, and all */
    uint64_t all;
    double p95;                    /* of a histogram, since the beginning */
    size_t place;                  /* among all that are given now, from 1 */
};

/** Gives all series to a reader (0..TG_METRIC_READERS - 1), what is new in one again until it takes
 *  that. @see tg_metrics_take: of what was given last, all up to a place; SIZE_MAX: all */
void tg_metrics_read(struct tg_metrics *m, unsigned reader, int64_t now_us,
                     void (*put)(void *ctx, const struct tg_metric_sample *sample), void *ctx);
void tg_metrics_take(struct tg_metrics *m, unsigned reader, size_t place);

/** Writes all series as an array of objects: name, labels, value. */
void tg_metrics_put_series(struct tg_metrics *m, int64_t now_us, struct tg_json *j);
/** Writes throughput and health in one object. */
void tg_metrics_put_summary(struct tg_metrics *m, int64_t now_us, struct tg_json *j);

#endif

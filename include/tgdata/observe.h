/* SPDX-License-Identifier: MIT */
/*
 * observe.h - how runs are going, as metrics: over HTTP, and asked for
 *
 *   struct tg_observer *o;
 *   code = tg_observer_new(config, &o, &err);       settings of scope MONITOR
 *   hooks.observer = o;                             or tg_stream_observe(stream, o)
 *   ... runs, one after the other or at the same time ...
 *   tg_observer_free(o);
 *
 * With the setting `listen` a thread of the observer answers GET requests:
 *
 *   /             a page for people; what it shows comes from /api (docs/monitoring.md)
 *   /metrics      text for Prometheus: all that is counted, each with its help
 *   /healthz      200 while the process lives
 *   /readyz       200 while a run is logged in and its destination takes rows, else 503 and why
 *   /api/metrics  the JSON object of tg_metrics_json
 *   /api/status   all numbers as JSON, and the chats at work
 *
 * With the settings `metrics-endpoint`, `statsd` and `cloudwatch` others push the numbers. With
 * a threshold (`alert-error-rate`, `alert-rate-drop`, `alert-anomaly`) another one looks at the
 * numbers and tells in notes, and to `alert-webhook`, when an alert fires and is resolved.
 *
 * Threads: functions from any thread; tg_observer_free when no run uses it any more
 */
#ifndef TGDATA_OBSERVE_H
#define TGDATA_OBSERVE_H

#include "tgdata/config_file.h"

#ifdef __cplusplus
extern "C" {
#endif

struct tg_observer;

/** @return whether a setting, or OpenTelemetry's part of the environment, asks for what an observer
 *  does */
TG_API bool tg_observer_wanted(const struct tg_config *config);

/**
 * Makes an observer, and listens if the config says so.
 * @param config  borrowed for the call
 * @return TG_OK; TG_USAGE: no such address, no token where one is needed, an alert-webhook without
 *         threshold; TG_IO: it cannot be listened there; TG_UNSUPPORTED: this build has no HTTP
 *         server; TG_NOMEM
 */
TG_API tg_code tg_observer_new(const struct tg_config *config, struct tg_observer **ret,
                               struct tg_error *err) TG_MUST_CHECK;
/** Ends what is being answered; what is pushed is pushed once more, and alerts that were not told
 *  are tried three times more, which may take a minute if nobody answers. NULL is nothing. */
TG_API void tg_observer_free(struct tg_observer *observer);

/** Lets the page tell of the scheduled jobs of a file, too; waits while it tells of those of
 *  another.
 *  @param file  stays until the observer is freed, or has another; NULL: of none */
TG_API void tg_observer_jobs(struct tg_observer *observer, const struct tg_config_file *file);

/** @return the port that is listened on; 0: none is */
TG_API unsigned tg_observer_port(const struct tg_observer *observer);

/**
 * Writes throughput and health as one JSON object:
 *
 *   {"throughput":{"messages_per_minute":N,"p95_latency":SECONDS,"error_percentage":N},
 *    "health":{"rate_limit_utilization":0..1,"active_connections":N,"queue_depth":BATCHES}}
 *
 * Rates are moving averages over 300 seconds; p95_latency is of all commits so far.
 *
 * @param out  gets at most n - 1 bytes and a NUL; may be NULL with n 0
 * @return length of the whole text, as snprintf
 */
TG_API size_t tg_metrics_json(struct tg_observer *observer, char *out, size_t n);

/** Writes all metrics in the text form of Prometheus; otherwise as tg_metrics_json. */
TG_API size_t tg_metrics_text(struct tg_observer *observer, char *out, size_t n);

#ifdef __cplusplus
}
#endif
#endif

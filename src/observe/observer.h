/* SPDX-License-Identifier: MIT */
/*
 * observer.h - what engines tell an observer: the registry behind a lock
 *
 * An observer of NULL is told nothing: engines need not ask whether there is one.
 *
 * Threads: any; nothing here waits for the network or a disk
 */
#ifndef TG_OBSERVER_H
#define TG_OBSERVER_H

#include "observe/breakers.h"
#include "observe/metrics.h"
#include "observe/news.h"
#include "observe/trace.h"
#include "tgdata/observe.h"

/* As the functions of metrics.h. */
void tg_observe_add(struct tg_observer *o, enum tg_metric metric, const char *label0,
                    const char *label1, double v);
void tg_observe_set(struct tg_observer *o, enum tg_metric metric, const char *label0,
                    const char *label1, double v);
void tg_observe_seconds(struct tg_observer *o, enum tg_metric metric, double v);
void tg_observe_rows(struct tg_observer *o, size_t n);
void tg_observe_attempt(struct tg_observer *o, bool failed);

/** Adds v to a gauge, which does not fall below 0. */
void tg_observe_move(struct tg_observer *o, enum tg_metric metric, const char *label0, double v);

/** Begins the trace of a run. @return NULL: there are none */
struct tg_trace *tg_observe_trace(struct tg_observer *o, const char *job,
                                  enum tg_trace_pattern pattern);

/** Ends it, as tg_trace_end. */
void tg_observe_trace_end(struct tg_observer *o, struct tg_trace *trace, int64_t rows,
                          const struct tg_error *err);
/** As tg_traces_where. @param o  NULL: there is none */
bool tg_observe_where(struct tg_observer *o, int64_t chat_id, struct tg_span_link *ret);

/** A circuit breaker has changed; as tg_breakers_set. */
void tg_observe_breaker(struct tg_observer *o, const struct tg_open_breaker *now, const char *why);

/** A destination is waited for. @param why  one line, with its name; NULL: it takes rows again */
void tg_observe_away(struct tg_observer *o, const char *why);
/** Whether the run reads nothing because the destination has not taken enough of what it has. */
void tg_observe_held(struct tg_observer *o, bool held);

/** Whether the run can work. @param why  if not: one line; else NULL */
void tg_observe_ready(struct tg_observer *o, const char *why);

/** @return whether there is a line for the user, the oldest of those not told yet */
bool tg_observe_news(struct tg_observer *o, char ret[TG_OBSERVE_NEWS]);

/** A run has ended, and its profile is other than before: the alert `profile_drift` fires, if there
 *  are alerts. */
void tg_observe_finding(struct tg_observer *o, double score, double limit, const char *line);

/** The chats at work, a JSON array; what was told before is forgotten. */
void tg_observe_chats(struct tg_observer *o, const char *json, size_t len);

#endif

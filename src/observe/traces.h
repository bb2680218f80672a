/* SPDX-License-Identifier: MIT */
/*
 * traces.h - the traces of a program's runs: a collector for all, and what they go on
 *
 * Where they go the settings say, or the environment as OpenTelemetry has it (otel_env.h), which
 * also says as what, and how much.
 *
 * Whoever started the program may have begun a trace (TRACEPARENT in the environment): runs are
 * parts of that then. If it is not sampled, no run has a trace, unless OTEL_TRACES_SAMPLER decides
 * without it. What is no traceparent is as good as none. W3C's Trace Context wants both.
 *
 * Threads: any
 */
#ifndef TG_OBSERVE_TRACES_H
#define TG_OBSERVE_TRACES_H

#include "observe/spans.h"
#include "observe/trace.h"

struct tg_traces;

struct tg_monitor_settings;

/** @return whether the settings or the environment ask for traces */
bool tg_traces_wanted(const struct tg_monitor_settings *set);

/** @return as tg_spans_new, if the settings ask; what the environment says is no failure */
tg_code tg_traces_new(const struct tg_monitor_settings *set, tg_spans_done done, void *ctx,
                      struct tg_traces **ret, struct tg_error *err);
/** @return what is wrong with the environment; "": nothing */
const char *tg_traces_warning(const struct tg_traces *t);
/** As tg_spans_free; when no trace is open. */
void tg_traces_free(struct tg_traces *t);

/** Begins the trace of a run. @return NULL: it has none, so has one of no traces */
struct tg_trace *tg_traces_begin(struct tg_traces *t, const char *job,
                                 enum tg_trace_pattern pattern);
/** Ends it, as tg_trace_end. */
void tg_traces_end(struct tg_traces *t, struct tg_trace *trace, int64_t rows,
                   const struct tg_error *err);

/** Tells which span something belongs to that happens now: of the chat, or of the job, of the run
 *  that goes on or was the last one. @return false: there is none, or several runs go on */
bool tg_traces_where(struct tg_traces *t, int64_t chat_id, struct tg_span_link *ret);

#endif

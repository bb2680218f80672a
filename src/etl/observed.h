/* SPDX-License-Identifier: MIT */
/*
 * observed.h - what runs tell an observer: of an account's calls, of a pipeline, of destinations
 *
 * Counters that somebody keeps for a run go on from where the observer has them, so that several
 * runs may have the same one.
 *
 * Threads: the loop's
 */
#ifndef TG_OBSERVED_H
#define TG_OBSERVED_H

#include "etl/pipeline.h"
#include "observe/observer.h"
#include "source/account_impl.h"
#include "tgdata/quality.h"

/** One account of a run. */
struct tg_observed_account {
    struct tg_observer *to; /* NULL: nobody looks */
    struct tg_trace *trace;
    struct tg_account *account;
    const char *method;        /* that reads history */
    struct tg_average history; /* calls of it */
    uint64_t bytes_in;
    double links;
};

/** A run. */
struct tg_observed_run {
    struct tg_observer *to;
    struct tg_trace *trace; /* NULL: none */
    uint64_t rows, fallback_rows, batches, commits, bytes_out, quarantined, refused;
    uint64_t judged, invalid, aside;
    bool told_drift;
};

/* @param trace  of the run; NULL: it has none */
void tg_observed_begin(struct tg_observed_account *a, struct tg_observer *to,
                       struct tg_trace *trace, struct tg_account *account);
/** What its client tells. */
void tg_observed_notice(struct tg_observed_account *a, const struct tgc_notice *n);
/** How it is now: connections, bytes, how much of its limit is used. */
void tg_observed_look(struct tg_observed_account *a);
/** Begins a run and its trace, ends that. @param err  NULL: it went well */
void tg_observed_run_begin(struct tg_observed_run *run, struct tg_observer *to, const char *job,
                           enum tg_trace_pattern pattern);
void tg_observed_run_end(struct tg_observed_run *run, uint64_t rows, const struct tg_error *err);
/** It is not at work any more. */
void tg_observed_end(struct tg_observed_account *a);

/** @param account  whose breaker it is, by its session file; NULL: of none */
void tg_observed_circuit(struct tg_observer *to, const struct tg_circuit_change *change,
                         const char *account);
void tg_observed_pipeline(struct tg_observed_run *run, const struct tg_pipeline_state *p,
                          uint64_t quarantined, uint64_t refused);

/** What rules found so far; at the end of the run also what is other than before. */
void tg_observed_quality(struct tg_observed_run *run, const struct tg_quality_result *q,
                         uint64_t set_aside);

/** Tells the user what has become of a destination. @param away  whether one is waited for,
 *  @param open whether the breaker of one is open: written if the news is of that */
void tg_observed_news(struct tg_account *account, struct tg_observer *to,
                      const struct tg_taker_news *news, bool *away, bool *open);

#endif

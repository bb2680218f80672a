/* SPDX-License-Identifier: MIT */
/*
 * stats.h - what the simulated data centre counted, for tests and benchmarks to check against
 *
 * One JSON object:
 *
 *   { "connections": 3, "handshakes": 1, "queries": 120, "answers": 118, "errors": 2,
 *     "bytes_in": 31000, "bytes_out": 3000000, "messages": 11800, "messages_again": 0,
 *     "floods": 2, "early_repeats": 0, "takeout_unwrapped": 0, "takeout_open": 0,
 *     "takeout_unfinished": 0, "duplicated": 0, "short_pages": 1, "cached": 0,
 *     "pushes": 0, "pushes_lost": 0,
 *     "unwrapped_methods": ["..."], "faults": {"drop": 1, ...},
 *     "methods": {"messages.getHistory": {"calls": 118, "errors": 2, "floods": 2,
 *                                         "early_repeats": 0, "bytes_out": 2900000}, ...} }
 *
 * "duplicated" are logins that ended since two connections used them at once.
 * "takeout_open" are open now, "takeout_unfinished" were left without being finished.
 * "messages_again" counts messages that one authorization was given more than once by a history
 * method: one bit per id, kept in pieces of 64 Ki ids.
 *
 * Threads: none      Limits: 1024 methods; 2^31 ids a chat
 */
#ifndef SIM_STATS_H
#define SIM_STATS_H

#include "base/buf.h"

enum { SIM_STATS_METHODS_MAX = 1024 };

/** Counters of one method. */
struct sim_method_stats {
    const char *name; /* borrowed: a string of the tables */
    uint64_t calls, errors, floods, early_repeats, bytes_out, takeout_unwrapped;
};

struct sim_stats {
    uint64_t connections, handshakes, queries, answers, errors, bytes_in, bytes_out;
    uint64_t messages, messages_again, floods, early_repeats, takeout_unwrapped, short_pages;
    uint64_t takeout_open, takeout_unfinished, duplicated, cached, pushes, pushes_lost;
    struct sim_method_stats method[SIM_STATS_METHODS_MAX];
    size_t n_methods;
    struct sim_served *served;
};

void sim_stats_init(struct sim_stats *s);
void sim_stats_done(struct sim_stats *s);

/** @return the counters of a method; a common row for whatever is past the limit */
struct sim_method_stats *sim_stats_method(struct sim_stats *s, const char *name);

/** Notes that messages of a chat went to an authorization. Failing memory only stops the noting. */
void sim_stats_served(struct sim_stats *s, uint64_t login, int64_t chat, const int32_t *ids,
                      size_t n);

struct sim_faults;

/** Appends the JSON object and a newline. */
void sim_stats_write(const struct sim_stats *s, const struct sim_faults *faults,
                     struct tg_buf *out);

#endif

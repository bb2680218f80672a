/* SPDX-License-Identifier: MIT */
/*
 * remote.h - metrics as the body of Prometheus' remote write, version 0.1.0
 *
 *   snappy( WriteRequest { TimeSeries { labels sorted by name, one sample }, ... } )
 *
 * Snappy's format allows to leave everything as it is ("literals"), and so it is left: a body has
 * some 100 KB at most.
 *
 * Facts: prometheus.io/docs/specs/prw/remote_write_spec; github.com/google/snappy/blob/main/
 * format_description.txt
 *
 * Threads: none: value type
 */
#ifndef TG_OBSERVE_REMOTE_H
#define TG_OBSERVE_REMOTE_H

#include "observe/metrics.h"

#define TG_REMOTE_PATH "/api/v1/write"

/** Ends with NULL. */
extern const char *const tg_remote_header[];

struct tg_remote {
    const char *job, *instance; /* labels of all series */
    int64_t unix_ms;
    struct tg_buf *out; /* WriteRequest, not compressed */
};

/** Adds a sample with the whole values, of a reader that takes nothing: a function for
 *  tg_metrics_read. @param remote  struct tg_remote */
void tg_remote_put(void *remote, const struct tg_metric_sample *sample);

/** Appends what is sent. */
void tg_remote_pack(struct tg_buf *out, const struct tg_buf *request);

#endif

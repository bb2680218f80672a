/* SPDX-License-Identifier: MIT */
/*
 * spans.h - brings spans to a collector of traces
 *
 *   tg_spans_add  --as JSON-->  chunk of 512  --thread-->  POST
 *
 * A chunk that is not full goes after two seconds. A collector that is away, or busy (429, 502 to
 * 504), is asked again after 1 to 30 s; meanwhile spans gather up to the limit, and those behind it
 * are dropped and counted. What a collector refuses otherwise is not sent again. Nobody who adds
 * waits for anything but a lock.
 *
 * Threads: one of its own, which calls `done`; tg_spans_add from any
 * Limits:  16 chunks, each of 512 spans and 512 KiB; 4 s for a request, 3 s for what is left at the
 *          end
 */
#ifndef TG_OBSERVE_SPANS_H
#define TG_OBSERVE_SPANS_H

#include "observe/span.h"

enum { TG_SPANS_HEADERS = 16 };

struct tg_spans;

enum tg_spans_end { TG_SPANS_SENT, TG_SPANS_DROPPED, TG_SPANS_REFUSED };
extern const char *const tg_spans_end_name[]; /* "sent", ... */

/** What became of n spans. @param err  why they were dropped or refused; n 0: they are tried
 *  again */
typedef void (*tg_spans_done)(void *ctx, enum tg_spans_end end, size_t n,
                              const struct tg_error *err);

struct tg_spans_options {
    const char *to;     /* "otlp:URL" or "zipkin:URL"; without a path: the usual one */
    const char *const *header; /* "NAME: VALUE", to be let in; ends with NULL; borrowed */
    struct tg_span_source from; /* its host is found; the rest is borrowed */
    tg_spans_done done;
    void *ctx;
};

/** @return TG_OK; TG_USAGE: that is no collector; TG_UNSUPPORTED: this build has no HTTP client;
 *  TG_NOMEM */
tg_code tg_spans_new(const struct tg_spans_options *options, struct tg_spans **ret,
                     struct tg_error *err);
/** Sends what is left, or drops it. NULL is nothing. */
void tg_spans_free(struct tg_spans *s);

void tg_spans_add(struct tg_spans *s, const struct tg_span *span);

#endif

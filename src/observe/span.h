/* SPDX-License-Identifier: MIT */
/*
 * span.h - one finished span of a trace, and how collectors want to be told of it
 *
 *   tg_span_put(&text, TG_SPAN_OTLP, &span), ...     each one element of an array
 *   tg_span_wrap(&body, TG_SPAN_OTLP, &text)         what is posted
 *
 * OTLP is the JSON form of OpenTelemetry's protocol, for POST /v1/traces; Zipkin is that of
 * POST /api/v2/spans. Zipkin knows no links and no lists: a link is two tags, `tgdata.job_trace`
 * and `tgdata.job_span`, a list a text.
 *
 * Threads: none: pure
 */
#ifndef TG_OBSERVE_SPAN_H
#define TG_OBSERVE_SPAN_H

#include "base/buf.h"

enum { TG_SPAN_FACTS = 14, TG_SPAN_EVENTS = 8, TG_SPAN_LIST = 16, TG_TRACE_ID = 16 };

enum tg_span_form { TG_SPAN_OTLP, TG_SPAN_ZIPKIN };

/* One attribute; what it points to is borrowed, as all of a span's: a text, else a list of numbers,
 * else a number. */
struct tg_span_fact {
    const char *key, *text;
    const int64_t *list;
    size_t n_list;
    int64_t number;
};

struct tg_span_event {
    int64_t at_us;
    const char *name;
    int64_t wait_ms;  /* 0: none */
    const char *code; /* of a failure; NULL: none */
};

/* A span somewhere else. */
struct tg_span_link {
    uint8_t trace[TG_TRACE_ID];
    uint64_t span; /* 0: none */
};

struct tg_span {
    uint8_t trace[TG_TRACE_ID];
    uint64_t id, parent; /* parent 0: none */
    struct tg_span_link job; /* the trace of its own is a part of that job's work */
    const char *name;
    bool calls; /* it is a call of a server */
    int64_t start_us, end_us;
    struct tg_span_fact fact[TG_SPAN_FACTS];
    size_t n_facts;
    struct tg_span_event event[TG_SPAN_EVENTS];
    size_t n_events;
    const struct tg_error *err; /* it failed; NULL: it did not */
};

/** Adds an attribute, unless there are TG_SPAN_FACTS: a text (NULL is none), a number. */
void tg_span_text(struct tg_span *s, const char *key, const char *text);
void tg_span_number(struct tg_span *s, const char *key, int64_t v);
/** @param n  none: nothing is added */
void tg_span_list(struct tg_span *s, const char *key, const int64_t *list, size_t n);

/** Who tells of spans. */
struct tg_span_pair {
    const char *key, *value;
};
struct tg_span_source {
    const char *host;    /* of this machine */
    const char *service; /* NULL, "": tgdata */
    const struct tg_span_pair *attribute; /* more of it; goes before what is known by itself */
    size_t n_attributes;
};

/** Appends the span as JSON, without what separates it from others. */
void tg_span_put(struct tg_buf *out, enum tg_span_form form, const struct tg_span *s,
                 const struct tg_span_source *from);

/** Appends the body of a request: spans, separated by commas. Zipkin is told no attributes of the
 *  source. */
void tg_span_wrap(struct tg_buf *out, enum tg_span_form form, const struct tg_buf *spans,
                  const struct tg_span_source *from);

/** Where a trace goes on that somebody else has begun. */
struct tg_trace_parent {
    uint8_t trace[TG_TRACE_ID];
    uint64_t span;
    bool sampled;
};

/** Reads the W3C header traceparent. @return false if it is none: then nothing is written */
bool tg_trace_parent_read(const char *text, struct tg_trace_parent *ret);

#endif

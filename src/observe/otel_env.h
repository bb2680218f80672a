/* SPDX-License-Identifier: MIT */
/*
 * otel_env.h - what the environment variables of OpenTelemetry say about traces
 *
 *   where to     OTEL_SDK_DISABLED, OTEL_TRACES_EXPORTER, OTEL_EXPORTER_OTLP_TRACES_ENDPOINT,
 *                OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_EXPORTER_OTLP_TRACES_HEADERS,
 *                OTEL_EXPORTER_OTLP_HEADERS, OTEL_EXPORTER_OTLP_TRACES_PROTOCOL,
 *                OTEL_EXPORTER_OTLP_PROTOCOL, OTEL_EXPORTER_ZIPKIN_ENDPOINT
 *   as what      OTEL_SERVICE_NAME, OTEL_RESOURCE_ATTRIBUTES
 *   how much     OTEL_TRACES_SAMPLER, OTEL_TRACES_SAMPLER_ARG
 *
 * A variable that is empty is as good as none. What cannot be used is left aside with a warning, as
 * OpenTelemetry wants it: an environment never ends a run.
 *
 * Pure: the environment is an argument.
 *
 * Threads: none: value type
 * Limits:  16 headers and 32 attributes; of more the first
 */
#ifndef TG_OBSERVE_OTEL_ENV_H
#define TG_OBSERVE_OTEL_ENV_H

#include "observe/span.h"

enum { TG_OTEL_HEADERS = 16, TG_OTEL_ATTRIBUTES = 32, TG_OTEL_WHOLE = 1000000 };

struct tg_otel {
    char to[1100]; /* as --traces; "": nobody asks for traces */
    char *header[TG_OTEL_HEADERS + 1]; /* "NAME: VALUE", for `to`; ends with NULL. Secrets */
    char service[128];                 /* "": it has no name of its own */
    struct tg_span_pair attribute[TG_OTEL_ATTRIBUTES];
    size_t n_attributes;
    char *attributes; /* their bytes */
    bool by_parent;   /* a trace that goes on is told if it is sampled, and whole */
    bool off;         /* else none is */
    uint32_t share_ppm; /* of what is told otherwise, TG_OTEL_WHOLE: all */
    char warning[240];  /* one line; "": there is none */
};

/** @param env  as getenv. @return TG_OK; TG_NOMEM */
tg_code tg_otel_read(const char *(*env)(const char *name), struct tg_otel *ret,
                     struct tg_error *err);
void tg_otel_done(struct tg_otel *o); /* secrets are wiped */

/** @param parent  span 0: the trace begins here
 *  @param ret_ppm  the share of it that is told. @return whether it is told at all */
bool tg_otel_samples(const struct tg_otel *o, const struct tg_trace_parent *parent,
                     uint32_t *ret_ppm);

#endif

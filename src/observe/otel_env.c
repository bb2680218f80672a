/* SPDX-License-Identifier: MIT */
/*
 * otel_env.c - see otel_env.h
 */
#include "observe/otel_env.h"

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "base/option.h"
#include "base/text.h"

#define OTLP_LOCAL "http://localhost:4318"
#define OTLP_PATH "/v1/traces"
#define ZIPKIN_LOCAL "http://localhost:9411/api/v2/spans"

typedef const char *(*env_fn)(const char *name);

/* @return the first of two variables that has a value; NULL. @param second  NULL: there is one */
static const char *value_of(env_fn env, const char *first, const char *second)
{
    const char *value = env(first);

    if ((!value || !*value) && second)
        value = env(second);
    return value && *value ? value : NULL;
}

/* The first mistake is told. */
static void warn(struct tg_otel *o, const char *name, const char *what)
{
    if (!o->warning[0])
        snprintf(o->warning, sizeof o->warning, "%.60s %.170s", name, what);
}

/* ---- lists: key=value,key=value with %XX ---- */

static char *trim(char *text)
{
    size_t n;

    text += strspn(text, " \t");
    for (n = strlen(text); n && (text[n - 1] == ' ' || text[n - 1] == '\t'); n--)
        text[n - 1] = 0;
    return text;
}

static bool is_line(const char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < ' ' || *text == 0x7f)
            return false;
    return true;
}

/* Takes the next pair off a list, in place. @return false: it is at its end
 * @param ret_good  whether it is a pair; an empty place is passed over */
static bool next_pair(char **rest, struct tg_span_pair *ret, bool *ret_good)
{
    while (*rest) {
        char *key = trim(strsep(rest, ",")), *value = strchr(key, '=');

        if (!*key)
            continue;
        *ret_good = value != NULL;
        if (!value)
            return true;
        *value++ = 0;
        key = trim(key);
        value = trim(value);
        *ret_good = *key && tg_percent_decode(key) && tg_percent_decode(value) && is_line(key) &&
                    is_line(value);
        *ret = (struct tg_span_pair){ key, value };
        return true;
    }
    return false;
}

static tg_code read_headers(env_fn env, struct tg_otel *o, struct tg_error *err)
{
    const char *value = value_of(env, "OTEL_EXPORTER_OTLP_TRACES_HEADERS",
                                 "OTEL_EXPORTER_OTLP_HEADERS");
    char *text = value ? strdup(value) : NULL, *rest = text;
    struct tg_span_pair pair;
    bool good, memory = !value || text;
    size_t n = 0;

    while (memory && n < TG_OTEL_HEADERS && next_pair(&rest, &pair, &good)) {
        if (!good || strpbrk(pair.key, ": "))
            warn(o, "OTEL_EXPORTER_OTLP_HEADERS", "has what is no header");
        else
            memory = asprintf(&o->header[n], "%s: %s", pair.key, pair.value) >= 0;
        if (!memory)
            o->header[n] = NULL;
        n += o->header[n] != NULL;
    }
    tg_text_wipe(text);
    return memory ? TG_OK : tg_fail(err, TG_NOMEM, "no memory for traces");
}

static tg_code read_attributes(env_fn env, struct tg_otel *o, struct tg_error *err)
{
    const char *value = value_of(env, "OTEL_RESOURCE_ATTRIBUTES", NULL);
    const char *service = value_of(env, "OTEL_SERVICE_NAME", NULL);
    struct tg_span_pair pair;
    bool good;
    char *rest;

    snprintf(o->service, sizeof o->service, "%s", service ? service : "");
    if (!value)
        return TG_OK;
    rest = o->attributes = strdup(value);
    if (!rest)
        return tg_fail(err, TG_NOMEM, "no memory for traces");
    while (o->n_attributes < TG_OTEL_ATTRIBUTES && next_pair(&rest, &pair, &good)) {
        if (!good)
            warn(o, "OTEL_RESOURCE_ATTRIBUTES", "has what is no attribute");
        else if (strcmp(pair.key, "service.name") != 0)
            o->attribute[o->n_attributes++] = pair;
        else if (!service)
            snprintf(o->service, sizeof o->service, "%s", pair.value);
    }
    return TG_OK;
}

/* ---- where to ---- */

/* A collector takes gRPC at one port and HTTP at the next: spans go to that one. */
static void to_http_port(char *url)
{
    char *port = strstr(url, ":4317");

    if (port && strspn(port + 5, "0123456789") == 0)
        port[4] = '8';
}

static void choose_otlp(env_fn env, struct tg_otel *o)
{
    const char *own = value_of(env, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", NULL);
    const char *all = value_of(env, "OTEL_EXPORTER_OTLP_ENDPOINT", NULL);
    const char *protocol = value_of(env, "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
                                    "OTEL_EXPORTER_OTLP_PROTOCOL");
    const char *url = own ? own : all ? all : OTLP_LOCAL;
    size_t len = strlen(url);
    const char *form;
    int n;

    while (!own && len && url[len - 1] == '/') /* the path is added to it */
        len--;
    n = snprintf(o->to, sizeof o->to, "otlp:%s%.*s%s", strstr(url, "://") ? "" : "http://",
                 (int)TG_MIN(len, sizeof o->to), url, own ? "" : OTLP_PATH);
    if (n < 0 || n >= (int)sizeof o->to) {
        o->to[0] = 0;
        warn(o, "OTEL_EXPORTER_OTLP_ENDPOINT", "is too long: there are no traces");
        return;
    }
    if (!protocol || strcmp(protocol, "http/json") == 0)
        return;
    if (strcmp(protocol, "grpc") == 0) {
        to_http_port(o->to);
        form = "asks for grpc: traces go as http/json, to port 4318 if 4317 is named";
    } else if (strcmp(protocol, "http/protobuf") == 0) {
        form = "asks for http/protobuf: traces go there as http/json";
    } else {
        form = "asks for a form that is not known: traces go as http/json";
    }
    warn(o, "OTEL_EXPORTER_OTLP_PROTOCOL", form);
}

static bool is_true(const char *value)
{
    return value && strcasecmp(value, "true") == 0;
}

static void choose_target(env_fn env, struct tg_otel *o)
{
    const char *exporter = value_of(env, "OTEL_TRACES_EXPORTER", NULL);
    const char *zipkin = value_of(env, "OTEL_EXPORTER_ZIPKIN_ENDPOINT", NULL);

    if (is_true(value_of(env, "OTEL_SDK_DISABLED", NULL)))
        return;
    if (!exporter) {
        if (value_of(env, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"))
            choose_otlp(env, o);
    } else if (strcmp(exporter, "otlp") == 0) {
        choose_otlp(env, o);
    } else if (strcmp(exporter, "zipkin") == 0) {
        if (snprintf(o->to, sizeof o->to, "zipkin:%s", zipkin ? zipkin : ZIPKIN_LOCAL) >=
            (int)sizeof o->to)
            o->to[0] = 0;
    } else if (strcmp(exporter, "none") != 0) {
        warn(o, "OTEL_TRACES_EXPORTER", "is none of otlp, zipkin, none: there are no traces");
    }
}

/* ---- how much ---- */

static uint32_t read_ratio(env_fn env, struct tg_otel *o)
{
    const char *text = value_of(env, "OTEL_TRACES_SAMPLER_ARG", NULL);
    char *end = NULL;
    double ratio = text ? strtod(text, &end) : 1;

    if (text && (*end || end == text || !(ratio >= 0 && ratio <= 1))) {
        warn(o, "OTEL_TRACES_SAMPLER_ARG", "is no share between 0 and 1: all is told");
        ratio = 1;
    }
    return (uint32_t)(ratio * TG_OTEL_WHOLE + 0.5);
}

static void choose_sampler(env_fn env, struct tg_otel *o)
{
    static const struct {
        const char *name;
        bool by_parent, off, ratio;
    } known[] = {
        { "parentbased_always_on", true, false, false },
        { "parentbased_always_off", true, true, false },
        { "parentbased_traceidratio", true, false, true },
        { "always_on", false, false, false },
        { "always_off", false, true, false },
        { "traceidratio", false, false, true },
    };
    const char *name = value_of(env, "OTEL_TRACES_SAMPLER", NULL);
    size_t i = 0;

    while (name && i < TG_COUNT(known) && strcmp(name, known[i].name) != 0)
        i++;
    if (i == TG_COUNT(known)) {
        warn(o, "OTEL_TRACES_SAMPLER", "is not known: it is parentbased_always_on");
        i = 0;
    }
    o->by_parent = known[i].by_parent;
    o->off = known[i].off;
    o->share_ppm = known[i].ratio ? read_ratio(env, o) : TG_OTEL_WHOLE;
}

bool tg_otel_samples(const struct tg_otel *o, const struct tg_trace_parent *parent,
                     uint32_t *ret_ppm)
{
    bool goes_on = o->by_parent && parent->span;

    *ret_ppm = goes_on ? TG_OTEL_WHOLE : o->share_ppm;
    return goes_on ? parent->sampled : !o->off;
}

/* ---- all ---- */

tg_code tg_otel_read(const char *(*env)(const char *name), struct tg_otel *ret,
                     struct tg_error *err)
{
    tg_code code;

    memset(ret, 0, sizeof *ret);
    choose_target(env, ret);
    choose_sampler(env, ret);
    code = read_attributes(env, ret, err);
    if (code == TG_OK && strncmp(ret->to, "otlp:", 5) == 0)
        code = read_headers(env, ret, err);
    if (code != TG_OK)
        tg_otel_done(ret);
    return code;
}

void tg_otel_done(struct tg_otel *o)
{
    for (size_t i = 0; i < TG_OTEL_HEADERS; i++)
        tg_text_wipe(o->header[i]);
    free(o->attributes);
    memset(o, 0, sizeof *o);
}

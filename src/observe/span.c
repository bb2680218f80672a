/* SPDX-License-Identifier: MIT */
/*
 * span.c - see span.h
 */
#include "observe/span.h"

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "base/json.h"
#include "base/text.h"
#include "tgdata/version.h"

#define SERVICE "tgdata"

enum { KIND_INTERNAL = 1, KIND_CLIENT = 3, STATUS_ERROR = 2 };

void tg_span_text(struct tg_span *s, const char *key, const char *text)
{
    if (text && *text && s->n_facts < TG_SPAN_FACTS)
        s->fact[s->n_facts++] = (struct tg_span_fact){ .key = key, .text = text };
}

void tg_span_number(struct tg_span *s, const char *key, int64_t v)
{
    if (s->n_facts < TG_SPAN_FACTS)
        s->fact[s->n_facts++] = (struct tg_span_fact){ .key = key, .number = v };
}

void tg_span_list(struct tg_span *s, const char *key, const int64_t *list, size_t n)
{
    if (n && s->n_facts < TG_SPAN_FACTS)
        s->fact[s->n_facts++] = (struct tg_span_fact){ .key = key, .list = list, .n_list = n };
}

static void put_id(struct tg_json *j, const char *key, uint64_t id)
{
    char hex[17];

    snprintf(hex, sizeof hex, "%016" PRIx64, id);
    tg_json_key(j, key), tg_json_cstr(j, hex);
}

static void put_trace(struct tg_json *j, const char *key, const uint8_t trace[TG_TRACE_ID])
{
    char hex[2 * TG_TRACE_ID + 1];

    tg_hex(hex, trace, TG_TRACE_ID);
    tg_json_key(j, key), tg_json_cstr(j, hex);
}

/* 64-bit numbers are texts in the JSON form of protocol buffers. */
static void put_decimal(struct tg_json *j, const char *key, int64_t v)
{
    char text[24];

    snprintf(text, sizeof text, "%" PRId64, v);
    tg_json_key(j, key), tg_json_cstr(j, text);
}

static void put_nanos(struct tg_json *j, const char *key, int64_t unix_us)
{
    char text[32];

    snprintf(text, sizeof text, "%" PRId64 "000", unix_us);
    tg_json_key(j, key), tg_json_cstr(j, text);
}

/* ---- OTLP ---- */

static void otlp_list(struct tg_json *j, const struct tg_span_fact *f)
{
    tg_json_key(j, "arrayValue"), tg_json_object(j);
    tg_json_key(j, "values"), tg_json_array(j);
    for (size_t i = 0; i < f->n_list; i++) {
        tg_json_object(j);
        put_decimal(j, "intValue", f->list[i]);
        tg_json_end_object(j);
    }
    tg_json_end_array(j);
    tg_json_end_object(j);
}

static void otlp_fact(struct tg_json *j, const struct tg_span_fact *f)
{
    tg_json_object(j);
    tg_json_key(j, "key"), tg_json_cstr(j, f->key);
    tg_json_key(j, "value"), tg_json_object(j);
    if (f->text)
        tg_json_key(j, "stringValue"), tg_json_cstr(j, f->text);
    else if (f->list)
        otlp_list(j, f);
    else
        put_decimal(j, "intValue", f->number);
    tg_json_end_object(j);
    tg_json_end_object(j);
}

static void otlp_event(struct tg_json *j, const struct tg_span_event *e)
{
    const struct tg_span_fact wait = { .key = "tgdata.wait_ms", .number = e->wait_ms };
    const struct tg_span_fact code = { .key = "error.type", .text = e->code };

    tg_json_object(j);
    put_nanos(j, "timeUnixNano", e->at_us);
    tg_json_key(j, "name"), tg_json_cstr(j, e->name);
    tg_json_key(j, "attributes"), tg_json_array(j);
    if (e->wait_ms)
        otlp_fact(j, &wait);
    if (e->code)
        otlp_fact(j, &code);
    tg_json_end_array(j);
    tg_json_end_object(j);
}

static void otlp_link(struct tg_json *j, const struct tg_span_link *link)
{
    tg_json_key(j, "links"), tg_json_array(j);
    tg_json_object(j);
    put_trace(j, "traceId", link->trace);
    put_id(j, "spanId", link->span);
    tg_json_end_object(j);
    tg_json_end_array(j);
}

static void put_otlp(struct tg_json *j, const struct tg_span *s)
{
    tg_json_object(j);
    put_trace(j, "traceId", s->trace);
    put_id(j, "spanId", s->id);
    if (s->parent)
        put_id(j, "parentSpanId", s->parent);
    tg_json_key(j, "name"), tg_json_cstr(j, s->name);
    tg_json_key(j, "kind"), tg_json_i64(j, s->calls ? KIND_CLIENT : KIND_INTERNAL);
    put_nanos(j, "startTimeUnixNano", s->start_us);
    put_nanos(j, "endTimeUnixNano", s->end_us);
    tg_json_key(j, "attributes"), tg_json_array(j);
    for (size_t i = 0; i < s->n_facts; i++)
        otlp_fact(j, &s->fact[i]);
    tg_json_end_array(j);
    tg_json_key(j, "events"), tg_json_array(j);
    for (size_t i = 0; i < s->n_events; i++)
        otlp_event(j, &s->event[i]);
    tg_json_end_array(j);
    if (s->job.span)
        otlp_link(j, &s->job);
    tg_json_key(j, "status"), tg_json_object(j);
    if (s->err) {
        tg_json_key(j, "code"), tg_json_i64(j, STATUS_ERROR);
        tg_json_key(j, "message"), tg_json_cstr(j, s->err->message);
    }
    tg_json_end_object(j);
    tg_json_end_object(j);
}

static const char *service_of(const struct tg_span_source *from)
{
    return from->service && *from->service ? from->service : SERVICE;
}

static bool is_given(const struct tg_span_source *from, const char *key)
{
    for (size_t i = 0; i < from->n_attributes; i++)
        if (strcmp(from->attribute[i].key, key) == 0)
            return true;
    return false;
}

static void otlp_resource(struct tg_json *j, const struct tg_span_source *from)
{
    const struct tg_span_fact known[] = {
        { .key = "service.name", .text = service_of(from) },
        { .key = "service.version", .text = TG_VERSION },
        { .key = "host.name", .text = from->host },
        { .key = "process.pid", .number = getpid() },
    };

    for (size_t i = 0; i < TG_COUNT(known); i++)
        if (!is_given(from, known[i].key))
            otlp_fact(j, &known[i]);
    for (size_t i = 0; i < from->n_attributes; i++)
        otlp_fact(j, &(struct tg_span_fact){ .key = from->attribute[i].key,
                                             .text = from->attribute[i].value });
}

static void wrap_otlp(struct tg_json *j, const struct tg_buf *spans,
                      const struct tg_span_source *from)
{

    tg_json_object(j);
    tg_json_key(j, "resourceSpans"), tg_json_array(j), tg_json_object(j);
    tg_json_key(j, "resource"), tg_json_object(j);
    tg_json_key(j, "attributes"), tg_json_array(j);
    otlp_resource(j, from);
    tg_json_end_array(j), tg_json_end_object(j);
    tg_json_key(j, "scopeSpans"), tg_json_array(j), tg_json_object(j);
    tg_json_key(j, "scope"), tg_json_object(j);
    tg_json_key(j, "name"), tg_json_cstr(j, SERVICE);
    tg_json_key(j, "version"), tg_json_cstr(j, TG_VERSION);
    tg_json_end_object(j);
    tg_json_key(j, "spans"), tg_json_array(j);
    tg_json_raw(j, (const char *)spans->data, spans->len);
    tg_json_end_array(j);
    tg_json_end_object(j), tg_json_end_array(j);
    tg_json_end_object(j), tg_json_end_array(j);
    tg_json_end_object(j);
}

/* ---- Zipkin ---- */

/* As "[1,2]". */
static void zipkin_list(struct tg_json *j, const struct tg_span_fact *f)
{
    char text[TG_SPAN_LIST * 22 + 2];
    size_t n = 0;

    for (size_t i = 0; i < TG_MIN(f->n_list, (size_t)TG_SPAN_LIST); i++)
        n += (size_t)snprintf(text + n, sizeof text - n, "%c%" PRId64, i ? ',' : '[', f->list[i]);
    snprintf(text + n, sizeof text - n, "]");
    tg_json_key(j, f->key), tg_json_cstr(j, text);
}

static void zipkin_tags(struct tg_json *j, const struct tg_span *s)
{
    tg_json_key(j, "tags"), tg_json_object(j);
    for (size_t i = 0; i < s->n_facts; i++) {
        const struct tg_span_fact *f = &s->fact[i];

        if (f->text)
            tg_json_key(j, f->key), tg_json_cstr(j, f->text);
        else if (f->list)
            zipkin_list(j, f);
        else
            put_decimal(j, f->key, f->number);
    }
    if (s->job.span) {
        put_trace(j, "tgdata.job_trace", s->job.trace);
        put_id(j, "tgdata.job_span", s->job.span);
    }
    if (s->err)
        tg_json_key(j, "error"), tg_json_cstr(j, s->err->message);
    tg_json_end_object(j);
}

static void zipkin_event(struct tg_json *j, const struct tg_span_event *e)
{
    char text[160];
    int n = snprintf(text, sizeof text, "%s", e->name);

    if (e->wait_ms)
        n += snprintf(text + n, sizeof text - (size_t)n, " wait_ms=%" PRId64, e->wait_ms);
    if (e->code)
        snprintf(text + n, sizeof text - (size_t)n, " error=%.40s", e->code);
    tg_json_object(j);
    tg_json_key(j, "timestamp"), tg_json_i64(j, e->at_us);
    tg_json_key(j, "value"), tg_json_cstr(j, text);
    tg_json_end_object(j);
}

static void put_service(struct tg_json *j, const char *key, const char *name)
{
    tg_json_key(j, key), tg_json_object(j);
    tg_json_key(j, "serviceName"), tg_json_cstr(j, name);
    tg_json_end_object(j);
}

static void put_zipkin(struct tg_json *j, const struct tg_span *s,
                       const struct tg_span_source *from)
{
    tg_json_object(j);
    put_trace(j, "traceId", s->trace);
    put_id(j, "id", s->id);
    if (s->parent)
        put_id(j, "parentId", s->parent);
    tg_json_key(j, "name"), tg_json_cstr(j, s->name);
    if (s->calls)
        tg_json_key(j, "kind"), tg_json_cstr(j, "CLIENT");
    tg_json_key(j, "timestamp"), tg_json_i64(j, s->start_us);
    tg_json_key(j, "duration"), tg_json_i64(j, TG_MAX(s->end_us - s->start_us, INT64_C(1)));
    put_service(j, "localEndpoint", service_of(from));
    if (s->calls)
        put_service(j, "remoteEndpoint", "telegram");
    tg_json_key(j, "annotations"), tg_json_array(j);
    for (size_t i = 0; i < s->n_events; i++)
        zipkin_event(j, &s->event[i]);
    tg_json_end_array(j);
    zipkin_tags(j, s);
    tg_json_end_object(j);
}

/* ---- both ---- */

void tg_span_put(struct tg_buf *out, enum tg_span_form form, const struct tg_span *s,
                 const struct tg_span_source *from)
{
    struct tg_json j;

    tg_json_init(&j, out);
    if (form == TG_SPAN_OTLP)
        put_otlp(&j, s);
    else
        put_zipkin(&j, s, from);
}

void tg_span_wrap(struct tg_buf *out, enum tg_span_form form, const struct tg_buf *spans,
                  const struct tg_span_source *from)
{
    struct tg_json j;

    tg_json_init(&j, out);
    if (form == TG_SPAN_OTLP) {
        wrap_otlp(&j, spans, from);
        return;
    }
    tg_json_array(&j);
    tg_json_raw(&j, (const char *)spans->data, spans->len);
    tg_json_end_array(&j);
}

/* ---- traceparent ---- */

static bool is_lower_hex(const char *text, size_t n)
{
    return strspn(text, "0123456789abcdef") >= n;
}

bool tg_trace_parent_read(const char *text, struct tg_trace_parent *ret)
{
    static const uint8_t zeroes[TG_TRACE_ID];
    struct tg_trace_parent got = { .span = 0 };
    uint8_t version, flags, span[8];
    size_t len = text ? strlen(text) : 0;

    /* 00-<32 digits>-<16 digits>-<2 digits>; later versions may have more behind it */
    if (len < 55 || text[2] != '-' || text[35] != '-' || text[52] != '-' ||
        !is_lower_hex(text, 2) || !is_lower_hex(text + 3, 32) || !is_lower_hex(text + 36, 16) ||
        !is_lower_hex(text + 53, 2) || !tg_unhex(&version, 1, text, 2) ||
        !tg_unhex(got.trace, TG_TRACE_ID, text + 3, 32) || !tg_unhex(span, 8, text + 36, 16) ||
        !tg_unhex(&flags, 1, text + 53, 2))
        return false;
    if (version == 0xff || (version == 0 ? len != 55 : len > 55 && text[55] != '-'))
        return false;
    for (size_t i = 0; i < 8; i++)
        got.span = got.span << 8 | span[i];
    got.sampled = flags & 1;
    if (!got.span || memcmp(got.trace, zeroes, TG_TRACE_ID) == 0)
        return false;
    *ret = got;
    return true;
}

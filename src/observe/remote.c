/* SPDX-License-Identifier: MIT */
/*
 * remote.c - see remote.h
 */
#include "observe/remote.h"

#include <assert.h>
#include <stdio.h>

enum { LABELS_MAX = 6, SERIES_MAX = 2048, CHUNK = 1 << 16 };
enum { NUMBER = 0, FIXED64 = 1, BYTES = 2 }; /* wire types of protobuf */

const char *const tg_remote_header[] = { "content-type: application/x-protobuf",
                                         "content-encoding: snappy",
                                         "x-prometheus-remote-write-version: 0.1.0", NULL };

struct label {
    const char *name, *value;
};

static void put_varint(struct tg_buf *b, uint64_t v)
{
    for (; v >= 0x80; v >>= 7)
        tg_buf_byte(b, (uint8_t)(v | 0x80));
    tg_buf_byte(b, (uint8_t)v);
}

static void put_bytes(struct tg_buf *b, unsigned field, const void *bytes, size_t n)
{
    put_varint(b, field << 3 | BYTES);
    put_varint(b, n);
    tg_buf_add(b, bytes, n);
}

/* Label { name = 1, value = 2 }: field 1 of a TimeSeries. */
static void put_label(struct tg_buf *series, const struct label *l)
{
    uint8_t memory[512];
    size_t name = strlen(l->name), value = strnlen(l->value, sizeof memory / 2), at = 0;

    assert(name < 128 && value < 16384);
    memory[at++] = 1 << 3 | BYTES;
    memory[at++] = (uint8_t)name;
    memcpy(memory + at, l->name, name);
    at += name;
    memory[at++] = 2 << 3 | BYTES;
    if (value >= 0x80)
        memory[at++] = (uint8_t)(value | 0x80);
    memory[at++] = (uint8_t)(value >= 0x80 ? value >> 7 : value);
    memcpy(memory + at, l->value, value);
    put_bytes(series, 1, memory, at + value);
}

/* Sample { double value = 1, int64 timestamp = 2 }: field 2 of a TimeSeries. */
static void put_sample(struct tg_buf *series, double v, int64_t unix_ms)
{
    struct tg_buf sample;
    uint64_t bits;

    memcpy(&bits, &v, sizeof bits);
    tg_buf_init(&sample, 64);
    tg_buf_byte(&sample, 1 << 3 | FIXED64);
    tg_buf_u64(&sample, bits);
    tg_buf_byte(&sample, 2 << 3 | NUMBER);
    put_varint(&sample, (uint64_t)unix_ms);
    put_bytes(series, 2, sample.data, sample.len);
    series->failed = series->failed || sample.failed;
    tg_buf_done(&sample);
}

/* One series: field 1 of the WriteRequest. Labels stand in the order of their names. */
static void put_series(const struct tg_remote *r, const struct tg_metric_sample *s,
                       const char *part, const char *le, double v)
{
    char name[128];
    struct label label[LABELS_MAX] = { { "__name__", name }, { "instance", r->instance },
                                       { "job", r->job } };
    struct tg_buf series;
    size_t n = 3;

    snprintf(name, sizeof name, "tgdata_%s%s", s->info->name, part);
    if (le)
        label[n++] = (struct label){ "le", le };
    for (int i = 0; i < 2 && s->label[i]; i++)
        label[n++] = (struct label){ s->info->label[i], s->label[i] };
    for (size_t i = 1; i < n; i++) {
        for (size_t k = i; k && strcmp(label[k - 1].name, label[k].name) > 0; k--) {
            struct label swap = label[k];

            label[k] = label[k - 1];
            label[k - 1] = swap;
        }
    }
    tg_buf_init(&series, SERIES_MAX);
    for (size_t i = 0; i < n; i++)
        put_label(&series, &label[i]);
    put_sample(&series, v, r->unix_ms);
    put_bytes(r->out, 1, series.data, series.len);
    r->out->failed = r->out->failed || series.failed;
    tg_buf_done(&series);
}

void tg_remote_put(void *remote, const struct tg_metric_sample *s)
{
    const struct tg_remote *r = remote;
    uint64_t below = 0;

    if (s->info->type != TG_METRIC_HISTOGRAM) {
        put_series(r, s, "", NULL, s->v);
        return;
    }
    for (size_t i = 0; i < TG_METRIC_BUCKETS; i++) {
        char le[32] = "+Inf";

        below += s->n[i];
        if (i < TG_COUNT(tg_metric_bound))
            snprintf(le, sizeof le, "%g", tg_metric_bound[i]);
        put_series(r, s, "_bucket", le, (double)below);
    }
    put_series(r, s, "_sum", NULL, s->v);
    put_series(r, s, "_count", NULL, (double)s->all);
}

void tg_remote_pack(struct tg_buf *out, const struct tg_buf *request)
{
    put_varint(out, request->len);
    for (size_t at = 0, n; at < request->len; at += n) {
        n = TG_MIN(request->len - at, (size_t)CHUNK);
        tg_buf_byte(out, 61 << 2); /* a literal, whose length - 1 stands in two bytes */
        tg_buf_byte(out, (uint8_t)((n - 1) & 0xff));
        tg_buf_byte(out, (uint8_t)((n - 1) >> 8));
        tg_buf_add(out, request->data + at, n);
    }
}

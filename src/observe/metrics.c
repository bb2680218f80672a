/* SPDX-License-Identifier: MIT */
/*
 * metrics.c - the registry; see metrics.h
 */
#include "observe/metrics.h"

#include <assert.h>
#include <stdlib.h>

#include "base/text.h"

const struct tg_metric_info tg_metric_info[TG_METRIC_COUNT] = {
#define TG_METRIC_ROW(id, name_, type_, label0, label1, help_)                                     \
    [TG_METRIC_##id] = { name_, TG_METRIC_##type_, { label0, label1 }, help_ },
    TG_METRICS(TG_METRIC_ROW)
#undef TG_METRIC_ROW
};

const double tg_metric_bound[TG_METRIC_BUCKETS - 1] = { 0.005, 0.01, 0.025, 0.05, 0.1,
                                                        0.25,  0.5,  1,     2.5,  5,
                                                        10,    30,   60,    300,  1800 };

struct histogram {
    uint64_t n[TG_METRIC_BUCKETS]; /* not cumulated */
    uint64_t all;
};

struct labels {
    char text[2][TG_METRIC_LABEL]; /* "": the metric has none */
};

/* What a reader has, and would have if it took what it was given. */
struct read {
    double v, v_given;
    size_t place; /* among those it was given last, from 1; 0: it was not given */
    struct histogram buckets, buckets_given;
};

struct series {
    struct series *next;
    struct read read[TG_METRIC_READERS];
    struct labels labels;
    double v;                 /* of a histogram: the sum */
    struct histogram buckets; /* of a histogram */
};

struct tg_metrics {
    struct series *first[TG_METRIC_COUNT];
    size_t n[TG_METRIC_COUNT];
    struct tg_average rows, attempts, failures;
};

/* ---- series ---- */

/* Labels come from file names and the like: what is not UTF-8 is replaced, what is long is cut. */
static void clean(char *out, const char *text)
{
    size_t n = text ? strnlen(text, TG_METRIC_LABEL - 1) : 0;

    while (n && text[n] && ((unsigned char)text[n] & 0xc0) == 0x80)
        n--; /* not within a character */
    if (n)
        memcpy(out, text, n);
    out[n] = 0;
    if (tg_utf8_valid(out, n))
        return;
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)out[i] >= 0x80)
            out[i] = '?';
}

static struct labels clean_labels(enum tg_metric metric, const char *label0, const char *label1)
{
    struct labels ret;

    assert(!label0 == !tg_metric_info[metric].label[0]);
    assert(!label1 == !tg_metric_info[metric].label[1]);
    clean(ret.text[0], label0);
    clean(ret.text[1], label1);
    return ret;
}

static struct series *find(const struct tg_metrics *m, enum tg_metric metric,
                           const struct labels *labels)
{
    struct series *s = m->first[metric];

    while (s && (strcmp(s->labels.text[0], labels->text[0]) != 0 ||
                 strcmp(s->labels.text[1], labels->text[1]) != 0))
        s = s->next;
    return s;
}

static struct series *series_of(struct tg_metrics *m, enum tg_metric metric, const char *label0,
                                const char *label1)
{
    struct labels labels = clean_labels(metric, label0, label1);
    struct series *s = find(m, metric, &labels), **end = &m->first[metric];

    if (s)
        return s;
    if (m->n[metric] >= TG_METRIC_SERIES_MAX) {
        labels = clean_labels(metric, label0 ? "other" : NULL, label1 ? "other" : NULL);
        s = find(m, metric, &labels);
    }
    if (s || !(s = calloc(1, sizeof *s)))
        return s;
    s->labels = labels;
    while (*end)
        end = &(*end)->next;
    *end = s;
    m->n[metric]++;
    return s;
}

struct tg_metrics *tg_metrics_new(int64_t now_us)
{
    struct tg_metrics *m = calloc(1, sizeof *m);

    if (!m)
        return NULL;
    tg_average_init(&m->rows, now_us);
    tg_average_init(&m->attempts, now_us);
    tg_average_init(&m->failures, now_us);
    for (int i = 0; i < TG_METRIC_COUNT; i++) { /* what has no labels is there from the start */
        if (tg_metric_info[i].label[0] || series_of(m, (enum tg_metric)i, NULL, NULL))
            continue;
        tg_metrics_free(m);
        return NULL;
    }
    return m;
}

void tg_metrics_free(struct tg_metrics *m)
{
    for (int i = 0; m && i < TG_METRIC_COUNT; i++) {
        while (m->first[i]) {
            struct series *next = m->first[i]->next;

            free(m->first[i]);
            m->first[i] = next;
        }
    }
    free(m);
}

void tg_metrics_add(struct tg_metrics *m, enum tg_metric metric, const char *label0,
                    const char *label1, double v)
{
    struct series *s = series_of(m, metric, label0, label1);

    assert(tg_metric_info[metric].type == TG_METRIC_COUNTER && v >= 0);
    if (s)
        s->v += v;
}

void tg_metrics_set(struct tg_metrics *m, enum tg_metric metric, const char *label0,
                    const char *label1, double v)
{
    struct series *s = series_of(m, metric, label0, label1);

    assert(tg_metric_info[metric].type != TG_METRIC_HISTOGRAM);
    if (s && (tg_metric_info[metric].type == TG_METRIC_GAUGE || v > s->v))
        s->v = v;
}

void tg_metrics_observe(struct tg_metrics *m, enum tg_metric metric, double v)
{
    struct series *s = series_of(m, metric, NULL, NULL);
    size_t i = 0;

    assert(tg_metric_info[metric].type == TG_METRIC_HISTOGRAM);
    while (i < TG_COUNT(tg_metric_bound) && v > tg_metric_bound[i])
        i++;
    s->buckets.n[i]++;
    s->buckets.all++;
    s->v += v;
}

void tg_metrics_rows(struct tg_metrics *m, double n, int64_t now_us)
{
    tg_metrics_add(m, TG_METRIC_EXTRACTED, NULL, NULL, n);
    tg_average_add(&m->rows, n, now_us);
}

void tg_metrics_attempt(struct tg_metrics *m, bool failed, int64_t now_us)
{
    tg_average_add(&m->attempts, 1, now_us);
    if (failed)
        tg_average_add(&m->failures, 1, now_us);
}

/* ---- what they come to ---- */

double tg_metrics_get(const struct tg_metrics *m, enum tg_metric metric, const char *label0,
                      const char *label1)
{
    const struct labels labels = clean_labels(metric, label0, label1);
    const struct series *s = find(m, metric, &labels);

    return s ? s->v : 0;
}

double tg_metrics_sum(const struct tg_metrics *m, enum tg_metric metric)
{
    double sum = 0;

    for (const struct series *s = m->first[metric]; s; s = s->next)
        sum += s->v;
    return sum;
}

double tg_metrics_top(const struct tg_metrics *m, enum tg_metric metric)
{
    double top = 0;

    for (const struct series *s = m->first[metric]; s; s = s->next)
        top = TG_MAX(top, s->v);
    return top;
}

double tg_metrics_quantile(const struct tg_metrics *m, enum tg_metric metric, double q)
{
    const struct histogram *h = &m->first[metric]->buckets;
    double rank = q * (double)h->all, below = 0, from;
    size_t i = 0;

    if (!h->all)
        return 0;
    while (i < TG_COUNT(tg_metric_bound) && below + (double)h->n[i] < rank)
        below += (double)h->n[i++];
    if (i == TG_COUNT(tg_metric_bound))
        return tg_metric_bound[i - 1];
    from = i ? tg_metric_bound[i - 1] : 0;
    if (!h->n[i])
        return from;
    return from + (tg_metric_bound[i] - from) * (rank - below) / (double)h->n[i];
}

double tg_metrics_count(const struct tg_metrics *m, enum tg_metric metric)
{
    assert(tg_metric_info[metric].type == TG_METRIC_HISTOGRAM);
    return (double)m->first[metric]->buckets.all;
}

double tg_metrics_attempts(struct tg_metrics *m, int64_t now_us, double *ret_error_rate)
{
    double attempts = tg_average_sum(&m->attempts, now_us);
    double failures = tg_average_sum(&m->failures, now_us);

    *ret_error_rate = attempts > 0 ? failures / attempts : 0;
    return attempts;
}

/* Those that are reckoned when they are asked for. */
static void reckon(struct tg_metrics *m, int64_t now_us)
{
    double error_rate;

    tg_metrics_attempts(m, now_us, &error_rate);
    tg_metrics_set(m, TG_METRIC_RATE, NULL, NULL, tg_average_rate(&m->rows, now_us));
    tg_metrics_set(m, TG_METRIC_ERROR_RATE, NULL, NULL, error_rate);
}

/* ---- readers ---- */

static struct tg_metric_sample sample_of(const struct tg_metrics *m, enum tg_metric metric,
                                         const struct series *s, const struct read *read)
{
    const struct tg_metric_info *info = &tg_metric_info[metric];
    struct tg_metric_sample ret = { .info = info, .v = s->v };

    for (int i = 0; i < 2 && info->label[i]; i++)
        ret.label[i] = s->labels.text[i];
    if (info->type != TG_METRIC_GAUGE)
        ret.v -= read->v;
    if (info->type != TG_METRIC_HISTOGRAM)
        return ret;
    ret.all = s->buckets.all - read->buckets.all;
    for (size_t i = 0; i < TG_METRIC_BUCKETS; i++)
        ret.n[i] = s->buckets.n[i] - read->buckets.n[i];
    ret.p95 = tg_metrics_quantile(m, metric, 0.95);
    return ret;
}

void tg_metrics_read(struct tg_metrics *m, unsigned reader, int64_t now_us,
                     void (*put)(void *ctx, const struct tg_metric_sample *sample), void *ctx)
{
    size_t place = 0;

    assert(reader < TG_METRIC_READERS);
    reckon(m, now_us);
    for (int i = 0; i < TG_METRIC_COUNT; i++) {
        for (struct series *s = m->first[i]; s; s = s->next) {
            struct tg_metric_sample sample = sample_of(m, (enum tg_metric)i, s, &s->read[reader]);

            s->read[reader].v_given = s->v;
            s->read[reader].buckets_given = s->buckets;
            s->read[reader].place = sample.place = ++place;
            put(ctx, &sample);
        }
    }
}

void tg_metrics_take(struct tg_metrics *m, unsigned reader, size_t place)
{
    assert(reader < TG_METRIC_READERS);
    for (int i = 0; i < TG_METRIC_COUNT; i++) {
        for (struct series *s = m->first[i]; s; s = s->next) {
            struct read *r = &s->read[reader];

            if (!r->place || r->place > place)
                continue;
            r->v = r->v_given;
            r->buckets = r->buckets_given;
        }
    }
}

/* ---- text for Prometheus ---- */

static void put_number(struct tg_buf *out, double v)
{
    struct tg_json j;

    tg_json_init(&j, out);
    tg_json_double(&j, v);
}

static void put_label(struct tg_buf *out, const char *name, const char *text)
{
    tg_buf_printf(out, "%s=\"", name);
    for (; *text; text++) {
        if (*text == '\\' || *text == '"')
            tg_buf_byte(out, '\\');
        if (*text == '\n')
            tg_buf_str(out, "\\n");
        else
            tg_buf_byte(out, (uint8_t)*text);
    }
    tg_buf_byte(out, '"');
}

/* {a="x",b="y"}, or nothing. */
static void put_labels(struct tg_buf *out, const struct tg_metric_info *info,
                       const struct series *s)
{
    if (!info->label[0])
        return;
    for (int i = 0; i < 2 && info->label[i]; i++) {
        tg_buf_byte(out, i ? ',' : '{');
        put_label(out, info->label[i], s->labels.text[i]);
    }
    tg_buf_byte(out, '}');
}

static void put_histogram(struct tg_buf *out, const struct tg_metric_info *info,
                          const struct series *s)
{
    uint64_t below = 0;

    for (size_t i = 0; i < TG_METRIC_BUCKETS; i++) {
        below += s->buckets.n[i];
        tg_buf_printf(out, "tgdata_%s_bucket{le=\"", info->name);
        if (i < TG_COUNT(tg_metric_bound))
            put_number(out, tg_metric_bound[i]);
        else
            tg_buf_str(out, "+Inf");
        tg_buf_printf(out, "\"} %llu\n", (unsigned long long)below);
    }
    tg_buf_printf(out, "tgdata_%s_sum ", info->name);
    put_number(out, s->v);
    tg_buf_printf(out, "\ntgdata_%s_count %llu\n", info->name,
                  (unsigned long long)s->buckets.all);
}

void tg_metrics_put_text(struct tg_metrics *m, int64_t now_us, struct tg_buf *out)
{
    static const char *const type[] = { "counter", "gauge", "histogram" };

    reckon(m, now_us);
    for (int i = 0; i < TG_METRIC_COUNT; i++) {
        const struct tg_metric_info *info = &tg_metric_info[i];

        if (!m->first[i])
            continue;
        tg_buf_printf(out, "# HELP tgdata_%s %s\n# TYPE tgdata_%s %s\n", info->name, info->help,
                      info->name, type[info->type]);
        for (const struct series *s = m->first[i]; s; s = s->next) {
            if (info->type == TG_METRIC_HISTOGRAM) {
                put_histogram(out, info, s);
                continue;
            }
            tg_buf_printf(out, "tgdata_%s", info->name);
            put_labels(out, info, s);
            tg_buf_byte(out, ' ');
            put_number(out, s->v);
            tg_buf_byte(out, '\n');
        }
    }
}

/* ---- JSON ---- */

static void put_series(struct tg_json *j, const struct tg_metric_info *info,
                       const struct series *s)
{
    tg_json_object(j);
    tg_json_key(j, "name"), tg_json_cstr(j, info->name);
    if (info->label[0]) {
        tg_json_key(j, "labels"), tg_json_object(j);
        for (int i = 0; i < 2 && info->label[i]; i++)
            tg_json_key(j, info->label[i]), tg_json_cstr(j, s->labels.text[i]);
        tg_json_end_object(j);
    }
    if (info->type == TG_METRIC_HISTOGRAM) {
        tg_json_key(j, "sum"), tg_json_double(j, s->v);
        tg_json_key(j, "count"), tg_json_u64(j, s->buckets.all);
    } else {
        tg_json_key(j, "value"), tg_json_double(j, s->v);
    }
}

void tg_metrics_put_series(struct tg_metrics *m, int64_t now_us, struct tg_json *j)
{
    reckon(m, now_us);
    tg_json_array(j);
    for (int i = 0; i < TG_METRIC_COUNT; i++) {
        for (const struct series *s = m->first[i]; s; s = s->next) {
            put_series(j, &tg_metric_info[i], s);
            if (tg_metric_info[i].type == TG_METRIC_HISTOGRAM) {
                tg_json_key(j, "p95");
                tg_json_double(j, tg_metrics_quantile(m, (enum tg_metric)i, 0.95));
            }
            tg_json_end_object(j);
        }
    }
    tg_json_end_array(j);
}

void tg_metrics_put_summary(struct tg_metrics *m, int64_t now_us, struct tg_json *j)
{
    reckon(m, now_us);
    tg_json_object(j);
    tg_json_key(j, "throughput"), tg_json_object(j);
    tg_json_key(j, "messages_per_minute");
    tg_json_double(j, 60 * tg_metrics_get(m, TG_METRIC_RATE, NULL, NULL));
    tg_json_key(j, "p95_latency");
    tg_json_double(j, tg_metrics_quantile(m, TG_METRIC_LAG, 0.95));
    tg_json_key(j, "error_percentage");
    tg_json_double(j, 100 * tg_metrics_get(m, TG_METRIC_ERROR_RATE, NULL, NULL));
    tg_json_end_object(j);
    tg_json_key(j, "health"), tg_json_object(j);
    tg_json_key(j, "rate_limit_utilization");
    tg_json_double(j, tg_metrics_top(m, TG_METRIC_LIMIT_USAGE));
    tg_json_key(j, "active_connections");
    tg_json_double(j, tg_metrics_sum(m, TG_METRIC_CONNECTIONS));
    tg_json_key(j, "queue_depth");
    tg_json_double(j, tg_metrics_sum(m, TG_METRIC_QUEUE));
    tg_json_end_object(j);
    tg_json_end_object(j);
}

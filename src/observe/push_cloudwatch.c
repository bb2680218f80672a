/* SPDX-License-Identifier: MIT */
/*
 * push_cloudwatch.c - metrics for Amazon CloudWatch: PutMetricData
 *
 * The labels are dimensions, and so is the job. Counters tell what came since the last push, if
 * anything did; gauges how they are; a histogram has its new observations by bucket, each as the
 * upper bound of it (values and counts), so that CloudWatch can reckon percentiles. Requests have
 * at most 500 of them. What a request had is taken when CloudWatch has said that it has it, so that
 * one that fails leaves those before it alone.
 *
 * Facts: docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricData.html and
 * cloudwatch-protocols-faq (AWS JSON 1.0)
 */
#include <stdio.h>
#include <stdlib.h>

#include "client/aws.h"
#include "observe/push_impl.h"
#include "os/loop.h"

enum { DATA_MAX = 500, BYTES_MAX = 900 << 10, NAMESPACE_MAX = 256, ANSWER_MAX = 64 << 10 };

struct cloudwatch {
    struct tg_aws *aws;
    char space[NAMESPACE_MAX], job[TG_METRIC_LABEL];
};

/* Data that are gathered: JSON, a line end behind each. */
struct gathering {
    const struct cloudwatch *to;
    int64_t unix_s;
    struct tg_buf data;
    struct tg_buf places; /* of the series behind each line: size_t each */
};

/* ---- data ---- */

static const char *unit_of(const struct tg_metric_info *info)
{
    if (strstr(info->name, "_bytes"))
        return "Bytes";
    if (strstr(info->name, "_seconds"))
        return "Seconds";
    return info->type == TG_METRIC_COUNTER ? "Count" : "None";
}

/* Values of dimensions are ASCII with something in it, and begin with no colon. */
static void put_dimension(struct tg_json *j, const char *name, const char *value)
{
    char text[TG_METRIC_LABEL];
    size_t n = 0;

    for (; value[n] && n < sizeof text - 1; n++)
        text[n] = value[n] > ' ' && value[n] < 0x7f && (n || *value != ':') ? value[n] : '_';
    text[n] = 0;
    tg_json_object(j);
    tg_json_key(j, "Name"), tg_json_cstr(j, name);
    tg_json_key(j, "Value"), tg_json_cstr(j, n ? text : "none");
    tg_json_end_object(j);
}

static void put_buckets(struct tg_json *j, const struct tg_metric_sample *s)
{
    tg_json_key(j, "Values"), tg_json_array(j);
    for (size_t i = 0; i < TG_METRIC_BUCKETS; i++)
        if (s->n[i])
            tg_json_double(j, tg_metric_bound[TG_MIN(i, TG_COUNT(tg_metric_bound) - 1)]);
    tg_json_end_array(j);
    tg_json_key(j, "Counts"), tg_json_array(j);
    for (size_t i = 0; i < TG_METRIC_BUCKETS; i++)
        if (s->n[i])
            tg_json_u64(j, s->n[i]);
    tg_json_end_array(j);
}

static void put_sample(void *ctx, const struct tg_metric_sample *s)
{
    struct gathering *g = ctx;
    struct tg_json j;

    if (s->info->type == TG_METRIC_HISTOGRAM ? !s->all
                                             : s->info->type == TG_METRIC_COUNTER && !(s->v > 0))
        return;
    tg_json_init(&j, &g->data);
    tg_json_object(&j);
    tg_json_key(&j, "MetricName"), tg_json_cstr(&j, s->info->name);
    tg_json_key(&j, "Dimensions"), tg_json_array(&j);
    put_dimension(&j, "job", g->to->job);
    for (int i = 0; i < 2 && s->label[i]; i++)
        put_dimension(&j, s->info->label[i], s->label[i]);
    tg_json_end_array(&j);
    tg_json_key(&j, "Timestamp"), tg_json_i64(&j, g->unix_s);
    tg_json_key(&j, "Unit"), tg_json_cstr(&j, unit_of(s->info));
    if (s->info->type == TG_METRIC_HISTOGRAM)
        put_buckets(&j, s);
    else
        tg_json_key(&j, "Value"), tg_json_double(&j, s->v);
    tg_json_end_object(&j);
    tg_buf_byte(&g->data, '\n');
    tg_buf_add(&g->places, &s->place, sizeof s->place);
}

/* ---- requests ---- */

static tg_code put_some(struct cloudwatch *c, const char *at, size_t len, struct tg_error *err)
{
    struct tg_buf body, answer;
    struct tg_json j;
    tg_code code;

    tg_buf_init(&body, 2 * BYTES_MAX);
    tg_buf_init(&answer, ANSWER_MAX);
    tg_json_init(&j, &body);
    tg_json_object(&j);
    tg_json_key(&j, "Namespace"), tg_json_cstr(&j, c->space);
    tg_json_key(&j, "MetricData"), tg_json_array(&j);
    while (len) {
        size_t n = (size_t)((const char *)memchr(at, '\n', len) - at);

        tg_json_raw(&j, at, n);
        at += n + 1;
        len -= n + 1;
    }
    tg_json_end_array(&j);
    tg_json_end_object(&j);
    code = tg_aws_call(c->aws, "PutMetricData", &body, TG_PUSH_MS, &answer, err);
    tg_buf_done(&body);
    tg_buf_done(&answer);
    return code;
}

/* @return how many bytes of whole lines make the next request; moves *ret_line behind them */
static size_t next_request(const char *at, size_t len, size_t *ret_line)
{
    size_t n = 0;

    for (int i = 0; i < DATA_MAX && n < len; i++, ++*ret_line) {
        size_t line = (size_t)((const char *)memchr(at + n, '\n', len - n) - (at + n)) + 1;

        if (n && n + line > BYTES_MAX)
            break;
        n += line;
    }
    return n;
}

static tg_code cloudwatch_send(void *self, const struct tg_push_options *o, struct tg_error *err)
{
    struct cloudwatch *c = self;
    struct gathering g = { .to = c, .unix_s = tg_clock_unix_us() / TG_SECOND_US };
    tg_code code = TG_OK;
    size_t line = 0, place;

    tg_buf_init(&g.data, TG_PUSH_TEXT_MAX);
    tg_buf_init(&g.places, TG_PUSH_TEXT_MAX);
    o->read(o->ctx, TG_PUSH_READER_CLOUDWATCH, put_sample, &g);
    if (g.data.failed || g.places.failed)
        code = tg_fail(err, TG_NOMEM, "no memory for metrics");
    for (size_t at = 0, n; code == TG_OK && at < g.data.len; at += n) {
        const char *data = (const char *)g.data.data + at;

        n = next_request(data, g.data.len - at, &line);
        code = put_some(c, data, n, err);
        memcpy(&place, g.places.data + (line - 1) * sizeof place, sizeof place);
        if (code == TG_OK)
            o->take(o->ctx, TG_PUSH_READER_CLOUDWATCH, place);
    }
    tg_buf_done(&g.data);
    tg_buf_done(&g.places);
    return code;
}

static void cloudwatch_close(void *self)
{
    struct cloudwatch *c = self;

    tg_aws_free(c->aws);
    free(c);
}

static tg_code cloudwatch_open(const struct tg_push_options *o, void **ret, struct tg_error *err)
{
    static const struct tg_aws_service service = {
        .name = "monitoring",
        .target = "GraniteServiceVersion20100801",
        .content_type = "application/x-amz-json-1.0",
        .endpoint_env = "AWS_ENDPOINT_URL_CLOUDWATCH",
    };
    static const char good[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                               ".-_/#:";
    struct cloudwatch *c = calloc(1, sizeof *c);
    size_t len = strlen(o->where);

    if (!c)
        return tg_fail(err, TG_NOMEM, "no memory to push metrics");
    *ret = c;
    if (!len || len >= NAMESPACE_MAX || strspn(o->where, good) != len || o->where[0] == ':' ||
        strncmp(o->where, "AWS/", 4) == 0) {
        tg_fail(err, TG_USAGE, "'%.80s' is no namespace of CloudWatch", o->where);
        return tg_hint(err, "letters, digits and . - _ / # :, not beginning with AWS/, such as "
                            "tgdata");
    }
    snprintf(c->space, sizeof c->space, "%s", o->where);
    snprintf(c->job, sizeof c->job, "%s", o->job);
    return tg_aws_new(&service, &c->aws, err);
}

const struct tg_push_type tg_push_cloudwatch = {
    .name = "cloudwatch",
    .open = cloudwatch_open,
    .send = cloudwatch_send,
    .close = cloudwatch_close,
};

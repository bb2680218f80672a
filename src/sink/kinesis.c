/* SPDX-License-Identifier: MIT */
/*
 * kinesis.c - rows as records of Amazon Kinesis Data Streams: `kinesis:STREAM?region=eu-west-1`
 *
 * A commit is done when PutRecords has said of each record that the stream has it. A call takes
 * what it can: the records that it did not take are sent again, and they alone, after a pause that
 * grows while nothing gets through. So a record that was taken at the second try stands behind some
 * that come after it; ids tell the order. See stream.h: at least once.
 *
 * Records of a chat have the chat's id as partition key, and stand in one shard, which takes 1000
 * records and 1 MiB a second; `partition-key=row` spreads them over all.
 *
 * Keys of AWS come from where client/aws.h looks for them.
 *
 * Threads: one for all calls      Limits: kinesis.h; a row larger than a record is refused
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "client/aws.h"
#include "crypto/random.h"
#include "os/proc.h"
#include "sink/bundle.h"
#include "sink/kinesis.h"
#include "sink/stream.h"

enum { REQUEST_MAX = 8 << 20, ANSWER_MAX = 1 << 20, NAME_MAX_BYTES = 128, KEY_MAX = 256 };
#define PAUSE_US (100 * TG_MS_US) /* up to so long before the second call, doubled for each other */

enum partition { BY_CHAT, BY_ROW };

struct sink_kinesis {
    /* options */
    int64_t format, partition, tries, timeout_ms;
    const char *stream_name, *region, *endpoint;
    /* own */
    char name[NAME_MAX_BYTES + 1];
    struct tg_stream stream;
    struct tg_aws *aws;
    struct tg_bundle bundle;
    size_t key_bytes; /* of the keys of those in the bundle */
    struct tg_buf request, answer, key;
    struct tg_message_about about;
};

static const struct tg_aws_service kinesis_service = {
    .name = "kinesis",
    .target = "Kinesis_20131202",
    .content_type = "application/x-amz-json-1.1",
    .endpoint_env = "AWS_ENDPOINT_URL_KINESIS",
};

/* ---- opening ---- */

static tg_code set_name(struct sink_kinesis *s, const char *target, struct tg_error *err)
{
    static const char good[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-";
    const char *name = strncmp(target, "//", 2) == 0 ? target + 2 : target;
    size_t len = strlen(name);

    if (!len || len > NAME_MAX_BYTES || strspn(name, good) != len) {
        tg_fail(err, TG_USAGE, "'%.100s' is no name of a Kinesis stream", name);
        return tg_hint(err, "write it as kinesis:STREAM: letters, digits, '_.-', at most 128");
    }
    memcpy(s->name, name, len + 1);
    return TG_OK;
}

static tg_code kinesis_open(void *self, const char *target, const struct tg_sink_env *env,
                            struct tg_error *err)
{
    struct tg_aws_service service = kinesis_service;
    struct sink_kinesis *s = self;
    tg_code code;

    tg_stream_init(&s->stream, env);
    tg_buf_init(&s->request, REQUEST_MAX);
    tg_buf_init(&s->answer, ANSWER_MAX);
    tg_buf_init(&s->key, KEY_MAX + 1);
    if (!tg_bundle_init(&s->bundle, KINESIS_RECORDS_MAX))
        return tg_fail(err, TG_NOMEM, "no memory for a destination");
    service.region = s->region;
    service.endpoint = s->endpoint;
    code = set_name(s, target, err);
    return code == TG_OK ? tg_aws_new(&service, &s->aws, err) : code;
}

static void kinesis_close(void *self)
{
    struct sink_kinesis *s = self;

    tg_aws_free(s->aws);
    s->aws = NULL;
    tg_stream_done(&s->stream);
    tg_bundle_done(&s->bundle);
    tg_buf_done(&s->request);
    tg_buf_done(&s->answer);
    tg_buf_done(&s->key);
}

/* ---- calls ---- */

/* @return the row's partition key; valid until the next call */
static const char *key_of(struct sink_kinesis *s, const struct tg_row *row)
{
    tg_buf_clear(&s->key);
    if (s->partition == BY_CHAT)
        tg_buf_i64_text(&s->key, row->chat_id);
    else
        tg_row_key(row, &s->key);
    if (s->key.len > KEY_MAX)
        s->key.len = KEY_MAX;
    return tg_buf_cstr(&s->key);
}

static tg_code call_failed(struct sink_kinesis *s, tg_code code, struct tg_error *err)
{
    if (code != TG_UNUSABLE)
        return code;
    tg_fail(err, TG_UNUSABLE, "Kinesis stream '%.128s' at %.80s: %s", s->name,
            tg_aws_endpoint(s->aws), tg_aws_refusal(s->aws));
    return tg_hint(err, strcmp(tg_aws_refusal(s->aws), "ResourceNotFoundException") == 0
                            ? "make the stream; do region and keys belong to it?"
                            : "do the keys have the right kinesis:PutRecords on the stream?");
}

/* Sends the records whose numbers are left. Those that were not taken stay, in their order. */
static tg_code put_left(struct sink_kinesis *s, size_t *left, size_t *n_left,
                        struct kinesis_answer *ret, struct tg_error *err)
{
    size_t still = 0;
    tg_code code;

    kinesis_begin(&s->request, s->name);
    for (size_t i = 0; i < *n_left; i++) {
        const struct tg_bundle_item *item = &s->bundle.item[left[i]];
        struct kinesis_record record = { s->bundle.text.data + item->at, item->end - item->at,
                                         NULL };
        struct tg_row row;

        tg_bundle_row(&s->bundle, left[i], &row);
        record.partition_key = key_of(s, &row);
        kinesis_add(&s->request, &record);
    }
    kinesis_end(&s->request);
    code = tg_aws_call(s->aws, "PutRecords", &s->request, s->timeout_ms, &s->answer, err);
    if (code != TG_OK)
        return call_failed(s, code, err);
    if (!kinesis_read(&s->answer, *n_left, ret))
        return tg_fail(err, TG_PROTOCOL, "%.100s: the answer is none of Kinesis",
                       tg_aws_endpoint(s->aws));
    s->stream.bytes += s->request.len;
    for (size_t i = 0; i < *n_left; i++)
        if (ret->failed[i])
            left[still++] = left[i];
    *n_left = still;
    return TG_OK;
}

/* Sends the first n records until the stream has all of them. */
static tg_code put_all(struct sink_kinesis *s, size_t n, struct tg_error *err)
{
    const struct tg_random random = tg_random_system();
    size_t left[KINESIS_RECORDS_MAX], n_left = n;
    struct kinesis_answer answer;
    int64_t in_vain = 0; /* calls in a row that the stream took nothing of */

    for (size_t i = 0; i < n; i++)
        left[i] = i;
    for (;;) {
        size_t before = n_left;
        tg_code code = put_left(s, left, &n_left, &answer, err);

        if (code != TG_OK || !n_left)
            return code;
        in_vain = n_left < before ? 0 : in_vain + 1;
        if (in_vain == s->tries) {
            tg_fail(err, TG_SERVER, "Kinesis stream '%.100s' takes no more records: %.150s",
                    s->name, answer.why);
            return tg_hint(err, "a shard takes 1000 records and 1 MiB a second: add shards, or "
                                "partition-key=row");
        }
        tg_sleep_us((int64_t)tg_random_below(
                        &random, (uint64_t)PAUSE_US << TG_MIN(in_vain + 1, INT64_C(6))) + 1);
    }
}

/* ---- rows ---- */

static void forget(struct sink_kinesis *s)
{
    tg_bundle_clear(&s->bundle);
    s->key_bytes = 0;
}

static tg_code begin(void *ctx, const struct tg_commit *commit, struct tg_error *err)
{
    struct sink_kinesis *s = ctx;

    (void)commit, (void)err;
    forget(s);
    s->about = tg_stream_about(&s->stream, s->stream_name);
    return TG_OK;
}

/* Adds the row. @return TG_LIMIT: it is too large */
static tg_code add(struct sink_kinesis *s, const struct tg_row *row, size_t *ret_bytes,
                   struct tg_error *err)
{
    struct tg_bundle *b = &s->bundle;
    tg_code code = tg_bundle_add(b, &tg_message_format[s->format], &s->about, row, err);

    if (code != TG_OK)
        return code;
    key_of(s, row);
    *ret_bytes = b->item[b->n - 1].end - b->item[b->n - 1].at + s->key.len;
    if (*ret_bytes <= KINESIS_RECORD_MAX)
        return TG_OK;
    tg_bundle_undo(b);
    return TG_LIMIT;
}

static tg_code put_row(void *ctx, const struct tg_row *row, struct tg_error *err)
{
    struct sink_kinesis *s = ctx;
    struct tg_bundle *b = &s->bundle;
    size_t bytes, n;
    tg_code code = add(s, row, &bytes, err);

    if (code == TG_LIMIT)
        return tg_stream_refuse(&s->stream, row, "larger than a record of Kinesis, 1 MiB", err);
    if (code != TG_OK)
        return code;
    s->key_bytes += s->key.len;
    n = b->n;
    if (b->text.len + s->key_bytes > KINESIS_CALL_MAX && n > 1)
        n--; /* the last one does not fit beside the others */
    else if (n < b->cap)
        return TG_OK;
    code = put_all(s, n, err);
    if (code == TG_OK) {
        s->key_bytes = n < b->n ? s->key.len : 0;
        tg_bundle_drop(b, n);
    }
    return code;
}

static tg_code finish(void *ctx, struct tg_error *err)
{
    struct sink_kinesis *s = ctx;
    tg_code code = s->bundle.n ? put_all(s, s->bundle.n, err) : TG_OK;

    forget(s);
    return code;
}

static tg_code kinesis_write(void *self, const struct tg_batch *batch, size_t from, size_t n,
                             struct tg_error *err)
{
    return tg_stream_write(&((struct sink_kinesis *)self)->stream, batch, from, n, err);
}

static tg_code kinesis_commit(void *self, const struct tg_commit *commit, struct tg_error *err)
{
    const struct tg_stream_sender sender = { begin, put_row, finish, self, NULL };

    return tg_stream_commit(&((struct sink_kinesis *)self)->stream, commit, &sender, err);
}

static uint64_t kinesis_bytes(const void *self)
{
    return ((const struct sink_kinesis *)self)->stream.bytes;
}

static const struct tg_option kinesis_option[] = {
    { .name = "region",
      .type = TG_OPT_STR,
      .offset = offsetof(struct sink_kinesis, region),
      .value = "NAME",
      .help = "AWS region (default: AWS_REGION, or the profile's)" },
    { .name = "endpoint",
      .type = TG_OPT_STR,
      .offset = offsetof(struct sink_kinesis, endpoint),
      .value = "URL",
      .help = "where the service is, if not at AWS: https://HOST:PORT" },
    TG_STREAM_FORMAT_OPTIONS(sink_kinesis),
    { .name = "partition-key",
      .type = TG_OPT_CHOICE,
      .offset = offsetof(struct sink_kinesis, partition),
      .fallback = "chat",
      .help = "a chat's records in one shard, or each row's by its own key",
      .choices = "chat|row" },
    { .name = "tries",
      .type = TG_OPT_I64,
      .offset = offsetof(struct sink_kinesis, tries),
      .fallback = "8",
      .min = 1,
      .max = 50,
      .help = "how often nothing may get through, one call after the other" },
    { .name = "timeout",
      .type = TG_OPT_MS,
      .offset = offsetof(struct sink_kinesis, timeout_ms),
      .fallback = "30s",
      .min = 1000,
      .max = 600000,
      .value = "TIME",
      .help = "longest wait for an answer" },
    { 0 },
};

const struct tg_sink_ops tg_sink_kinesis = {
    .head = { "kinesis", "records of Amazon Kinesis Data Streams; at least once", kinesis_option,
              sizeof(struct sink_kinesis) },
    .open = kinesis_open,
    .write = kinesis_write,
    .commit = kinesis_commit,
    .bytes = kinesis_bytes,
    .close = kinesis_close,
};

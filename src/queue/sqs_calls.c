/* SPDX-License-Identifier: MIT */
/*
 * sqs_calls.c - see sqs.h
 */
#include <inttypes.h>
#include <stdio.h>

#include "base/json.h"
#include "base/json_read.h"
#include "queue/sqs.h"

enum { TIMEOUT_MS = 10000, RETENTION_S = 1209600 }; /* kept for 14 days, the longest there is */

bool sqs_is_fifo(const char *name)
{
    size_t len = strlen(name);

    return len > 5 && strcmp(name + len - 5, ".fifo") == 0;
}

static bool refused_as(const struct sqs *s, const char *const *type)
{
    for (; *type; type++)
        if (strcmp(tg_aws_refusal(s->aws), *type) == 0)
            return true;
    return false;
}

bool sqs_no_queue(const struct sqs *s)
{
    static const char *const type[] = { "QueueDoesNotExist",
                                        "AWS.SimpleQueueService.NonExistentQueue", NULL };

    return refused_as(s, type);
}

bool sqs_old_receipt(const struct sqs *s)
{
    static const char *const type[] = { "MessageNotInflight",
                                        "AWS.SimpleQueueService.MessageNotInflight",
                                        "ReceiptHandleIsInvalid", "InvalidParameterValue",
                                        "InvalidParameterValueException", NULL };

    return refused_as(s, type);
}

/* ---- requests ---- */

static void begin(struct sqs *s, struct tg_json *j, const char *key, const char *value)
{
    tg_buf_clear(&s->request);
    tg_json_init(j, &s->request);
    tg_json_object(j);
    tg_json_key(j, key), tg_json_cstr(j, value);
}

static tg_code end(struct sqs *s, struct tg_json *j, const char *action, int64_t wait_s,
                   struct tg_error *err)
{
    tg_json_end_object(j);
    return tg_aws_call(s->aws, action, &s->request, TIMEOUT_MS + 1000 * wait_s, &s->reply, err);
}

static void add_text(struct tg_json *j, const char *key, const char *value)
{
    tg_json_key(j, key), tg_json_cstr(j, value);
}

static void add_number(struct tg_json *j, const char *key, int64_t value)
{
    tg_json_key(j, key), tg_json_i64(j, value);
}

/* Attributes of queues are text, numbers too. */
static void add_digits(struct tg_json *j, const char *key, int64_t value)
{
    char digits[24];

    snprintf(digits, sizeof digits, "%" PRId64, value);
    add_text(j, key, digits);
}

static void open_attribute(struct tg_json *j, const char *name, const char *type)
{
    tg_json_key(j, name);
    tg_json_object(j);
    add_text(j, "DataType", type);
}

static void add_counter(struct tg_json *j, const char *name, int64_t value)
{
    open_attribute(j, name, "Number");
    add_digits(j, "StringValue", value);
    tg_json_end_object(j);
}

/* Control characters are not allowed in an attribute, nor is an empty one. */
static void add_reason(struct tg_json *j, const char *reason)
{
    char text[256];
    size_t n = 0;

    for (; reason[n] && n + 1 < sizeof text; n++)
        text[n] = (unsigned char)reason[n] < ' ' ? ' ' : reason[n];
    text[n] = 0;
    open_attribute(j, "reason", "String");
    add_text(j, "StringValue", n ? text : "none");
    tg_json_end_object(j);
}

/* ---- answers ---- */

static tg_code strange(const struct sqs *s, struct tg_error *err)
{
    return tg_fail(err, TG_PROTOCOL, "%.100s: the answer is none of SQS",
                   tg_aws_endpoint(s->aws));
}

/* Reads a string into an array. @return false if it does not fit, or is empty */
static bool take_text(struct tg_json_in *in, char *out, size_t max)
{
    struct tg_buf text;
    bool good;

    tg_buf_init(&text, max - 1);
    tg_json_take_str(in, &text);
    good = !text.failed && text.len && !memchr(text.data, 0, text.len);
    if (good)
        memcpy(out, text.data, text.len);
    out[good ? text.len : 0] = 0;
    tg_buf_done(&text);
    return good;
}

/* Reads digits that stand in a string. */
static int64_t take_digits(struct tg_json_in *in)
{
    char text[24];
    int64_t value;

    return take_text(in, text, sizeof text) && tg_i64_parse(text, &value) && value > 0 ? value : 0;
}

static tg_code read_url(struct sqs *s, char ret[SQS_URL_MAX], struct tg_error *err)
{
    struct tg_json_in in;
    struct tg_str key;
    bool found = false;

    tg_json_in_init(&in, (const char *)s->reply.data, s->reply.len);
    for (tg_json_enter(&in, '{'); tg_json_next_key(&in, &key);) {
        if (tg_str_eq(key, TG_STR("QueueUrl")))
            found = take_text(&in, ret, SQS_URL_MAX);
        else
            tg_json_skip(&in);
    }
    return found && tg_json_in_done(&in) ? TG_OK : strange(s, err);
}

/* {"deadLetterTargetArn": "arn:...", "maxReceiveCount": ...}, as text inside of JSON */
static void read_policy(struct tg_json_in *outer, char ret[SQS_ARN_MAX])
{
    struct tg_json_in in;
    struct tg_str key;
    struct tg_buf text;

    tg_buf_init(&text, 4096);
    tg_json_take_str(outer, &text);
    tg_json_in_init(&in, (const char *)text.data, text.failed ? 0 : text.len);
    for (tg_json_enter(&in, '{'); tg_json_next_key(&in, &key);) {
        if (tg_str_eq(key, TG_STR("deadLetterTargetArn")))
            take_text(&in, ret, SQS_ARN_MAX);
        else
            tg_json_skip(&in);
    }
    tg_buf_done(&text);
}

static void read_attribute(struct tg_json_in *in, struct tg_str key, struct sqs_queue *ret)
{
    if (tg_str_eq(key, TG_STR("ApproximateNumberOfMessages")))
        ret->visible = (uint64_t)take_digits(in);
    else if (tg_str_eq(key, TG_STR("ApproximateNumberOfMessagesNotVisible")))
        ret->hidden = (uint64_t)take_digits(in);
    else if (tg_str_eq(key, TG_STR("ApproximateNumberOfMessagesDelayed")))
        ret->delayed = (uint64_t)take_digits(in);
    else if (tg_str_eq(key, TG_STR("QueueArn")))
        take_text(in, ret->arn, sizeof ret->arn);
    else if (tg_str_eq(key, TG_STR("RedrivePolicy")))
        read_policy(in, ret->dead_arn);
    else
        tg_json_skip(in);
}

/* Attributes of a message: {"attempts": {"StringValue": "1", "DataType": "Number"}, ...} */
static void read_counters(struct tg_json_in *in, struct sqs_message *ret)
{
    struct tg_str name, key;

    for (tg_json_enter(in, '{'); tg_json_next_key(in, &name);) {
        int64_t value = 0;

        for (tg_json_enter(in, '{'); tg_json_next_key(in, &key);) {
            if (tg_str_eq(key, TG_STR("StringValue")))
                value = take_digits(in);
            else
                tg_json_skip(in);
        }
        if (tg_str_eq(name, TG_STR("attempts")))
            ret->attempts = value;
        else if (tg_str_eq(name, TG_STR("due")))
            ret->due_ms = value;
    }
}

static void read_message(struct tg_json_in *in, struct sqs_message *ret)
{
    struct tg_str key;

    for (tg_json_enter(in, '{'); tg_json_next_key(in, &key);) {
        if (tg_str_eq(key, TG_STR("ReceiptHandle"))) {
            tg_json_take_str(in, &ret->receipt);
        } else if (tg_str_eq(key, TG_STR("Body"))) {
            tg_json_take_str(in, &ret->text);
        } else if (tg_str_eq(key, TG_STR("MessageAttributes"))) {
            read_counters(in, ret);
        } else if (tg_str_eq(key, TG_STR("Attributes"))) {
            for (tg_json_enter(in, '{'); tg_json_next_key(in, &key);) {
                if (tg_str_eq(key, TG_STR("ApproximateReceiveCount")))
                    ret->deliveries = take_digits(in);
                else
                    tg_json_skip(in);
            }
        } else {
            tg_json_skip(in);
        }
    }
}

/* ---- queues ---- */

tg_code sqs_find(struct sqs *s, const char *name, const char *account, char ret_url[SQS_URL_MAX],
                 struct tg_error *err)
{
    struct tg_json j;
    tg_code code;

    begin(s, &j, "QueueName", name);
    if (account)
        add_text(&j, "QueueOwnerAWSAccountId", account);
    code = end(s, &j, "GetQueueUrl", 0, err);
    return code == TG_OK ? read_url(s, ret_url, err) : code;
}

tg_code sqs_create(struct sqs *s, const char *name, const char *dead_arn, int64_t deliveries,
                   char ret_url[SQS_URL_MAX], struct tg_error *err)
{
    char policy[SQS_ARN_MAX + 80];
    struct tg_json j;
    tg_code code;

    begin(s, &j, "QueueName", name);
    tg_json_key(&j, "Attributes");
    tg_json_object(&j);
    add_digits(&j, "MessageRetentionPeriod", RETENTION_S);
    if (sqs_is_fifo(name))
        add_text(&j, "FifoQueue", "true");
    if (dead_arn) {
        snprintf(policy, sizeof policy,
                 "{\"deadLetterTargetArn\":\"%s\",\"maxReceiveCount\":%" PRId64 "}", dead_arn,
                 deliveries);
        add_text(&j, "RedrivePolicy", policy);
    }
    tg_json_end_object(&j);
    code = end(s, &j, "CreateQueue", 0, err);
    return code == TG_OK ? read_url(s, ret_url, err) : code;
}

tg_code sqs_look(struct sqs *s, const char *url, struct sqs_queue *ret, struct tg_error *err)
{
    struct tg_json_in in;
    struct tg_json j;
    struct tg_str key;
    tg_code code;

    begin(s, &j, "QueueUrl", url);
    tg_json_key(&j, "AttributeNames");
    tg_json_array(&j);
    tg_json_cstr(&j, "All");
    tg_json_end_array(&j);
    code = end(s, &j, "GetQueueAttributes", 0, err);
    if (code != TG_OK)
        return code;
    *ret = (struct sqs_queue){ 0 };
    tg_json_in_init(&in, (const char *)s->reply.data, s->reply.len);
    for (tg_json_enter(&in, '{'); tg_json_next_key(&in, &key);) {
        if (!tg_str_eq(key, TG_STR("Attributes"))) {
            tg_json_skip(&in);
            continue;
        }
        for (tg_json_enter(&in, '{'); tg_json_next_key(&in, &key);)
            read_attribute(&in, key, ret);
    }
    return tg_json_in_done(&in) ? TG_OK : strange(s, err);
}

/* ---- messages ---- */

tg_code sqs_send(struct sqs *s, const struct sqs_send *m, struct tg_error *err)
{
    struct tg_json j;

    begin(s, &j, "QueueUrl", m->url);
    tg_json_key(&j, "MessageBody");
    tg_json_str(&j, m->text.at, m->text.len);
    tg_json_key(&j, "MessageAttributes");
    tg_json_object(&j);
    add_counter(&j, "attempts", m->attempts);
    if (m->deliveries)
        add_counter(&j, "deliveries", m->deliveries);
    if (m->due_ms)
        add_counter(&j, "due", m->due_ms);
    if (m->reason)
        add_reason(&j, m->reason);
    tg_json_end_object(&j);
    if (m->delay_s)
        add_number(&j, "DelaySeconds", m->delay_s);
    if (m->group) {
        add_text(&j, "MessageGroupId", m->group);
        add_text(&j, "MessageDeduplicationId", m->once);
    }
    return end(s, &j, "SendMessage", 0, err);
}

tg_code sqs_receive(struct sqs *s, const char *url, int64_t hide_s, int64_t wait_s,
                    struct sqs_message *ret, struct tg_error *err)
{
    struct tg_json_in in;
    struct tg_json j;
    struct tg_str key;
    size_t n = 0;
    tg_code code;

    begin(s, &j, "QueueUrl", url);
    add_number(&j, "MaxNumberOfMessages", 1);
    add_number(&j, "VisibilityTimeout", hide_s);
    add_number(&j, "WaitTimeSeconds", wait_s);
    tg_json_key(&j, "MessageSystemAttributeNames");
    tg_json_array(&j);
    tg_json_cstr(&j, "ApproximateReceiveCount");
    tg_json_end_array(&j);
    tg_json_key(&j, "MessageAttributeNames");
    tg_json_array(&j);
    tg_json_cstr(&j, "attempts");
    tg_json_cstr(&j, "due");
    tg_json_end_array(&j);
    code = end(s, &j, "ReceiveMessage", wait_s, err);
    if (code != TG_OK)
        return code;
    tg_buf_clear(&ret->receipt);
    tg_buf_clear(&ret->text);
    ret->deliveries = ret->attempts = ret->due_ms = 0;
    tg_json_in_init(&in, (const char *)s->reply.data, s->reply.len);
    for (tg_json_enter(&in, '{'); tg_json_next_key(&in, &key);) {
        if (!tg_str_eq(key, TG_STR("Messages"))) {
            tg_json_skip(&in);
        } else if (!tg_json_take_null(&in)) {
            for (tg_json_enter(&in, '['); tg_json_next_item(&in); n++)
                read_message(&in, ret);
        }
    }
    tg_buf_cstr(&ret->receipt), tg_buf_cstr(&ret->text);
    if (!tg_json_in_done(&in) || n > 1 || (n && !ret->receipt.len) || ret->receipt.failed ||
        ret->text.failed)
        return strange(s, err);
    return n ? TG_OK : TG_AGAIN;
}

tg_code sqs_hide(struct sqs *s, const char *url, const char *receipt, int64_t hide_s,
                 struct tg_error *err)
{
    struct tg_json j;

    begin(s, &j, "QueueUrl", url);
    add_text(&j, "ReceiptHandle", receipt);
    add_number(&j, "VisibilityTimeout", hide_s);
    return end(s, &j, "ChangeMessageVisibility", 0, err);
}

tg_code sqs_delete(struct sqs *s, const char *url, const char *receipt, struct tg_error *err)
{
    struct tg_json j;

    begin(s, &j, "QueueUrl", url);
    add_text(&j, "ReceiptHandle", receipt);
    return end(s, &j, "DeleteMessage", 0, err);
}

/* SPDX-License-Identifier: MIT */
/*
 * sqs.c - fuzzes what a server answers to calls of SQS
 *
 * In place of HTTP stands one answer: the first byte says with which status, the rest is its body.
 * What is taken must keep its own rules; what is refused must say why.
 */
#include <stdlib.h>

#include "client/http.h"
#include "os/proc.h"
#include "queue/sqs.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint8_t *answer;
static size_t answer_len;
static int status;

tg_code tg_http_new(const char *ca_file, struct tg_http **ret, struct tg_error *err)
{
    (void)ca_file, (void)err;
    *ret = NULL;
    return TG_OK;
}

void tg_http_free(struct tg_http *http)
{
    (void)http;
}

tg_code tg_http_send(struct tg_http *http, const struct tg_http_request *request, int *ret_status,
                     struct tg_buf *ret, struct tg_error *err)
{
    (void)http;
    for (size_t i = 0; request->header[i]; i++)
        if (strpbrk(request->header[i], "\r\n"))
            abort();
    tg_buf_clear(ret);
    tg_buf_add(ret, answer, answer_len);
    if (ret->failed)
        return tg_fail(err, TG_LIMIT, "too long");
    *ret_status = status;
    return TG_OK;
}

void tg_sleep_us(int64_t us)
{
    (void)us;
}

static void require(bool ok)
{
    if (!ok)
        abort();
}

static void check_text(const char *text, size_t max)
{
    require(strnlen(text, max) < max);
    for (; *text; text++)
        require((unsigned char)*text >= ' ');
}

static void check_error(tg_code code, const struct tg_error *err, const struct sqs *s)
{
    if (code == TG_OK || code == TG_AGAIN)
        return;
    require(code == TG_SERVER || code == TG_UNUSABLE || code == TG_PROTOCOL);
    check_text(err->message, sizeof err->message);
    require(err->message[0]);
    check_text(tg_aws_refusal(s->aws), 81);
}

static void ask(struct sqs *s)
{
    struct sqs_message m = { .deliveries = 0 };
    struct sqs_queue queue = { 0 };
    struct tg_error err = { 0 };
    char url[SQS_URL_MAX];
    tg_code code = sqs_find(s, "q", NULL, url, &err);

    check_error(code, &err, s);
    require(code != TG_OK || (url[0] && strnlen(url, sizeof url) < sizeof url));
    code = sqs_look(s, "u", &queue, &err);
    check_error(code, &err, s);
    require(strnlen(queue.arn, sizeof queue.arn) < sizeof queue.arn &&
            strnlen(queue.dead_arn, sizeof queue.dead_arn) < sizeof queue.dead_arn);
    tg_buf_init(&m.receipt, 256);
    tg_buf_init(&m.text, 4096);
    code = sqs_receive(s, "u", 60, 1, &m, &err);
    check_error(code, &err, s);
    if (code == TG_OK) {
        require(m.receipt.len && !m.text.failed && m.text.data && !m.text.data[m.text.len]);
        require(m.deliveries >= 0 && m.attempts >= 0 && m.due_ms >= 0);
    }
    code = sqs_delete(s, "u", "r", &err);
    check_error(code, &err, s);
    require(code == TG_OK || !sqs_no_queue(s) || !sqs_old_receipt(s));
    tg_buf_done(&m.receipt);
    tg_buf_done(&m.text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const int statuses[] = { 200, 400, 403, 500 };
    const struct tg_aws_service service = { .name = "sqs", .target = "AmazonSQS",
                                            .content_type = "application/x-amz-json-1.0",
                                            .endpoint_env = "NONE", .region = "eu-west-1" };
    struct tg_error err;
    struct sqs s = { NULL };

    if (!size)
        return 0;
    setenv("AWS_ACCESS_KEY_ID", "id", 1);
    setenv("AWS_SECRET_ACCESS_KEY", "secret", 1);
    setenv("HOME", "/nonexistent", 1);
    status = statuses[data[0] % TG_COUNT(statuses)];
    answer = data + 1;
    answer_len = size - 1;
    require(tg_aws_new(&service, &s.aws, &err) == TG_OK);
    tg_buf_init(&s.request, 64 << 10);
    tg_buf_init(&s.reply, 64 << 10);
    ask(&s);
    tg_aws_free(s.aws);
    tg_buf_done(&s.request);
    tg_buf_done(&s.reply);
    return 0;
}

/* SPDX-License-Identifier: MIT */
/*
 * s3.c - fuzzes what a server answers to calls of S3
 *
 * In place of HTTP stands one answer: the first byte says with which status, then come headers up
 * to an empty line, the rest is its body. What is taken must keep its own rules; what is refused
 * must say why.
 */
#include <stdlib.h>

#include "client/http.h"
#include "client/s3.h"
#include "os/proc.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint8_t *head, *answer;
static size_t head_len, answer_len;
static int status, calls;

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

static void require(bool ok)
{
    if (!ok)
        abort();
}

tg_code tg_http_send(struct tg_http *http, const struct tg_http_request *request, int *ret_status,
                     struct tg_buf *ret, struct tg_error *err)
{
    (void)http;
    for (size_t i = 0; request->header[i]; i++)
        require(!strpbrk(request->header[i], "\r\n"));
    for (const char *c = request->url; *c; c++)
        require(*c > ' ' && *c < 0x7f);
    tg_buf_clear(ret);
    tg_buf_add(ret, answer, answer_len);
    tg_buf_clear(request->ret_headers);
    tg_buf_add(request->ret_headers, head, head_len);
    if (ret->failed)
        return tg_fail(err, TG_LIMIT, "too long");
    *ret_status = ++calls > 50 ? 404 : status; /* a list may say again and again that it goes on */
    return TG_OK;
}

void tg_sleep_us(int64_t us)
{
    (void)us;
}

static void check_error(tg_code code, const struct tg_error *err)
{
    if (code == TG_OK || code == TG_END)
        return;
    require(code == TG_SERVER || code == TG_UNUSABLE || code == TG_PROTOCOL ||
            code == TG_NOT_FOUND || code == TG_CONFLICT || code == TG_LIMIT ||
            code == TG_UNSUPPORTED);
    require(err->message[0] && strnlen(err->message, sizeof err->message) < sizeof err->message);
}

static bool seen_key(void *ctx, const char *key, uint64_t size)
{
    (void)ctx;
    require(strnlen(key, TG_S3_KEY_MAX) < TG_S3_KEY_MAX && size <= INT64_MAX);
    return true;
}

static void check_etag(tg_code code, const struct tg_s3_etag *etag)
{
    require(code != TG_OK || (*etag->at && !strpbrk(etag->at, "\"\r\n ")));
}

static void ask(struct tg_s3 *s)
{
    char id[TG_S3_ID_MAX];
    struct tg_s3_etag etag = { "" };
    struct tg_error err = { 0 };
    struct tg_buf text;
    tg_code code;

    tg_buf_init(&text, 64 << 10);
    code = tg_s3_get(s, "a", &text, &etag, &err);
    check_error(code, &err);
    check_etag(code, &etag);
    check_error(tg_s3_get_range(s, "a", 5, 10, &text, &err), &err);
    code = tg_s3_put(s, "a", &etag, "x", 1, &etag, &err);
    check_error(code, &err);
    check_etag(code, &etag);
    check_error(tg_s3_list(s, "a", "b", seen_key, NULL, &err), &err);
    calls = 0;
    code = tg_s3_upload(s, "a", id, &err);
    check_error(code, &err);
    require(code != TG_OK || (*id && strnlen(id, sizeof id) < sizeof id));
    check_error(tg_s3_finish(s, "a", "id", &etag, 1, &err), &err);
    check_error(tg_s3_abort_all(s, "a", &err), &err);
    calls = 0;
    check_error(tg_s3_probe(s, &err), &err);
    tg_buf_done(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const int statuses[] = { 200, 206, 204, 404, 412, 409, 403, 500, 301 };
    const uint8_t *end;
    struct tg_error err;
    struct tg_s3 *s;

    if (!size)
        return 0;
    setenv("AWS_ACCESS_KEY_ID", "id", 1);
    setenv("AWS_SECRET_ACCESS_KEY", "secret", 1);
    setenv("HOME", "/nonexistent", 1);
    calls = 0;
    status = statuses[data[0] % TG_COUNT(statuses)];
    head = data + 1;
    end = memmem(head, size - 1, "\n\n", 2);
    head_len = end ? (size_t)(end - head) : 0;
    answer = end ? end + 2 : head;
    answer_len = (size_t)(data + size - answer);
    require(tg_s3_new("//bucket/p", "eu-west-1", NULL, &s, &err) == TG_OK);
    ask(s);
    tg_s3_free(s);
    return 0;
}

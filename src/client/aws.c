/* SPDX-License-Identifier: MIT */
/*
 * aws.c - see aws.h
 */
#include "client/aws.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/json_read.h"
#include "client/aws_keys.h"
#include "client/http.h"
#include "client/sigv4.h"
#include "crypto/hash.h"
#include "crypto/random.h"
#include "os/loop.h"
#include "os/proc.h"

enum { TRIES = 3, HOST_MAX = 256, NAME_MAX_BYTES = 48, TYPE_MAX = 80, HEADERS = 8, URL_MAX = 8192 };
#define PAUSE_US (100 * TG_MS_US) /* up to so long before the second try, doubled for the third */

struct tg_aws {
    struct tg_aws_service service; /* its texts are the caller's constants, but for the last two */
    char region[NAME_MAX_BYTES];
    char endpoint[HOST_MAX + 16]; /* without a slash at its end */
    const char *host;             /* in it: host, and port if there is one */
    struct tg_aws_login login;
    struct tg_http *http;
    char refusal[TYPE_MAX];
    int status;
};

/* ---- opening ---- */

static const char *choose(const char *a, const char *b, const char *c)
{
    return a && *a ? a : b && *b ? b : c && *c ? c : "";
}

static bool made_of(const char *text, const char *good, size_t max)
{
    size_t len = strlen(text);

    return len >= 1 && len < max && strspn(text, good) == len;
}

static tg_code set_endpoint(struct tg_aws *a, const char *given, struct tg_error *err)
{
    static const char good[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                               "0123456789.-:[]";
    const char *url = choose(given, getenv(a->service.endpoint_env), getenv("AWS_ENDPOINT_URL"));
    size_t scheme, len;

    if (!*url) {
        snprintf(a->endpoint, sizeof a->endpoint, "https://%s.%s.amazonaws.com%s", a->service.name,
                 a->region, strncmp(a->region, "cn-", 3) == 0 ? ".cn" : "");
        a->host = a->endpoint + strlen("https://");
        return TG_OK;
    }
    scheme = strncmp(url, "https://", 8) == 0 ? 8 : strncmp(url, "http://", 7) == 0 ? 7 : 0;
    len = strlen(url);
    len -= len > scheme && url[len - 1] == '/';
    if (len < sizeof a->endpoint) {
        memcpy(a->endpoint, url, len);
        a->endpoint[len] = 0;
        a->host = a->endpoint + scheme;
        if (scheme && made_of(a->host, good, HOST_MAX))
            return TG_OK;
    }
    tg_fail(err, TG_USAGE, "the endpoint '%.100s' cannot be read", url);
    return tg_hint(err, "write it as https://HOST or https://HOST:PORT");
}

static tg_code set_region(struct tg_aws *a, const char *given, struct tg_error *err)
{
    const char *region = choose(given, tg_buf_cstr(&a->login.region), NULL);

    if (!*region) {
        tg_fail(err, TG_USAGE, "no AWS region is named");
        return tg_hint(err, "add region=NAME to the URL, or set AWS_REGION");
    }
    if (!made_of(region, "abcdefghijklmnopqrstuvwxyz0123456789-", sizeof a->region)) {
        tg_fail(err, TG_USAGE, "'%.60s' is no name of an AWS region", region);
        return tg_hint(err, "names are such as eu-west-1");
    }
    snprintf(a->region, sizeof a->region, "%s", region);
    return TG_OK;
}

tg_code tg_aws_new(const struct tg_aws_service *service, struct tg_aws **ret, struct tg_error *err)
{
    struct tg_aws *a = calloc(1, sizeof *a);
    const char *ca_file = getenv("AWS_CA_BUNDLE");
    tg_code code;

    if (!a)
        return tg_fail(err, TG_NOMEM, "no memory for a connection");
    a->service = *service;
    code = tg_http_new(ca_file && *ca_file ? ca_file : NULL, &a->http, err);
    if (code == TG_OK)
        code = tg_aws_login_find(&a->login, err);
    if (code == TG_OK)
        code = set_region(a, service->region, err);
    if (code == TG_OK)
        code = set_endpoint(a, service->endpoint, err);
    a->service.region = a->service.endpoint = NULL;
    if (code == TG_OK)
        *ret = a;
    else
        tg_aws_free(a);
    return code;
}

void tg_aws_free(struct tg_aws *a)
{
    if (!a)
        return;
    tg_http_free(a->http);
    tg_aws_login_done(&a->login);
    free(a);
}

const char *tg_aws_endpoint(const struct tg_aws *a)
{
    return a->endpoint;
}

const char *tg_aws_refusal(const struct tg_aws *a)
{
    return a->refusal;
}

int tg_aws_status(const struct tg_aws *a)
{
    return a->status;
}

/* ---- what went wrong ---- */

enum verdict { REFUSED, ASK_LESS, NEW_KEYS, WRONG_KEYS, WRONG_TIME, NO_RIGHT };

static const struct {
    const char *type;
    enum verdict verdict;
} known[] = {
    { "RequestThrottled", ASK_LESS },
    { "RequestThrottledException", ASK_LESS },
    { "Throttling", ASK_LESS },
    { "ThrottlingException", ASK_LESS },
    { "ThrottledException", ASK_LESS },
    { "TooManyRequestsException", ASK_LESS },
    { "ProvisionedThroughputExceededException", ASK_LESS },
    { "RequestLimitExceeded", ASK_LESS },
    { "KmsThrottled", ASK_LESS },
    { "RequestTimeout", ASK_LESS },
    { "ServiceUnavailable", ASK_LESS },
    { "ServiceUnavailableException", ASK_LESS },
    { "InternalFailure", ASK_LESS },
    { "InternalError", ASK_LESS },
    { "ExpiredToken", NEW_KEYS },
    { "ExpiredTokenException", NEW_KEYS },
    { "InvalidClientTokenId", WRONG_KEYS },
    { "UnrecognizedClientException", WRONG_KEYS },
    { "InvalidAccessKeyId", WRONG_KEYS },
    { "InvalidSecurity", WRONG_KEYS },
    { "MissingAuthenticationToken", WRONG_KEYS },
    { "MissingAuthenticationTokenException", WRONG_KEYS },
    { "AuthFailure", WRONG_KEYS },
    { "IncompleteSignature", WRONG_KEYS },
    { "SignatureDoesNotMatch", WRONG_KEYS },
    { "InvalidSignatureException", WRONG_KEYS },
    { "RequestExpired", WRONG_TIME },
    { "RequestTimeTooSkewed", WRONG_TIME },
    { "AccessDenied", NO_RIGHT },
    { "AccessDeniedException", NO_RIGHT },
    { "NotAuthorized", NO_RIGHT },
    { "OptInRequired", NO_RIGHT },
};

static const char *const hint[] = {
    [REFUSED] = "look at it in the console of AWS, and at the endpoint",
    [ASK_LESS] = "it was tried three times: try again later",
    [NEW_KEYS] = "the keys have expired: get new ones",
    [WRONG_KEYS] = "the AWS credentials must be those of an account that may use it",
    [WRONG_TIME] = "signatures hold for minutes: set the clock of this machine",
    [NO_RIGHT] = "the keys need the permission for this action",
};

/* Reads a string that is shown to people: one line of it. */
static void take_line(struct tg_json_in *in, char *out, size_t max)
{
    struct tg_buf text;
    size_t n;

    tg_buf_init(&text, 1 << 20);
    if (!tg_json_take_null(in))
        tg_json_take_str(in, &text);
    n = TG_MIN(text.len, max - 1);
    while (n && n < text.len && (text.data[n] & 0xc0) == 0x80)
        n--; /* not in the middle of a character */
    for (size_t i = 0; i < n; i++)
        out[i] = text.data[i] < ' ' || text.data[i] == 0x7f ? ' ' : (char)text.data[i];
    out[n] = 0;
    tg_buf_done(&text);
}

/* Gateways answer in XML: <Error><Code>...</Code><Message>...</Message></Error> */
static void read_xml(const char *text, const char *tag, char *out, size_t max)
{
    const char *start = strstr(text, tag);
    size_t n = start ? strcspn(start + strlen(tag), "<") : 0;

    snprintf(out, max, "%.*s", (int)TG_MIN(n, max - 1), start ? start + strlen(tag) : "");
    for (; *out; out++)
        *out = (unsigned char)*out < ' ' ? ' ' : *out;
}

/* Fills a->refusal from {"__type": "namespace#Type:more", "message": "..."}. */
static void read_refusal(struct tg_aws *a, struct tg_buf *reply, char *ret_message, size_t max)
{
    char type[2 * TYPE_MAX] = "", *end;
    const char *start;
    struct tg_json_in in;
    struct tg_str key;

    *ret_message = 0;
    tg_json_in_init(&in, (const char *)reply->data, reply->len);
    for (tg_json_enter(&in, '{'); tg_json_next_key(&in, &key);) {
        if (tg_str_eq(key, TG_STR("__type")) || tg_str_eq(key, TG_STR("code")))
            take_line(&in, type, sizeof type);
        else if (tg_str_eq(key, TG_STR("message")) || tg_str_eq(key, TG_STR("Message")))
            take_line(&in, ret_message, max);
        else
            tg_json_skip(&in);
    }
    if (!*type && !*ret_message) {
        read_xml(tg_buf_cstr(reply), "<Code>", type, sizeof type);
        read_xml(tg_buf_cstr(reply), "<Message>", ret_message, max);
    }
    start = strrchr(type, '#');
    start = start ? start + 1 : type;
    end = strchr(start, ':');
    if (end)
        *end = 0;
    snprintf(a->refusal, sizeof a->refusal, "%.79s", *start ? start : "Unknown");
}

static enum verdict judge(const char *type, int status)
{
    for (size_t i = 0; i < TG_COUNT(known); i++)
        if (strcmp(known[i].type, type) == 0)
            return known[i].verdict;
    return status >= 500 || status == 429 ? ASK_LESS : REFUSED;
}

static tg_code refuse(struct tg_aws *a, int status, struct tg_buf *reply, enum verdict *ret_verdict,
                      struct tg_error *err)
{
    enum verdict verdict;
    char message[160];

    read_refusal(a, reply, message, sizeof message);
    *ret_verdict = verdict = judge(a->refusal, status);
    tg_fail(err, verdict == ASK_LESS ? TG_SERVER : TG_UNUSABLE, "%.80s: %d %s%s%s", a->endpoint,
            status, a->refusal, *message ? ": " : "", message);
    return tg_hint(err, "%s", hint[verdict]);
}

/* ---- calls ---- */

/* Lines of headers, as they are sent and as they are signed. */
struct headers {
    struct tg_buf text; /* the lines one behind the other, each ended by a NUL */
    const char *line[HEADERS + 2];
    struct tg_sigv4_header pair[HEADERS];
    size_t n;
};

static void add_header(struct headers *h, const char *name, const char *value)
{
    assert(h->n < HEADERS);
    h->pair[h->n++] = (struct tg_sigv4_header){ name, value };
}

/* The buffer may move while it grows, so lines are pointed at in the end. */
static bool make_lines(struct headers *h, const struct tg_buf *authorization)
{
    const char *at;

    for (size_t i = 0; i < h->n; i++)
        tg_buf_printf(&h->text, "%s: %s%c", h->pair[i].name, h->pair[i].value, 0);
    tg_buf_str(&h->text, "authorization: ");
    tg_buf_add(&h->text, authorization->data, authorization->len);
    tg_buf_byte(&h->text, 0);
    at = (const char *)h->text.data;
    for (size_t i = 0; i <= h->n && !h->text.failed; i++) {
        h->line[i] = at;
        at += strlen(at) + 1;
    }
    return !h->text.failed;
}

/* What every request has, and S3 or the JSON protocol want beside it. */
static void add_common(struct tg_aws *a, struct headers *h, const char *time, const char *digest)
{
    add_header(h, "host", a->host);
    add_header(h, "x-amz-date", time);
    if (a->login.token.len)
        add_header(h, "x-amz-security-token", (const char *)a->login.token.data);
    if (!a->service.target)
        add_header(h, "x-amz-content-sha256", digest);
}

static tg_code sign_and_send(struct tg_aws *a, const struct tg_aws_request *request,
                             const char *url, struct tg_buf *ret, struct tg_error *err)
{
    const struct tg_aws_login *login = &a->login;
    const struct tg_aws_keys keys = { (const char *)login->id.data,
                                      (const char *)login->secret.data, NULL };
    struct tg_http_request sent = { .method = request->method, .url = url, .body = request->body,
                                    .len = request->len, .timeout_ms = request->timeout_ms,
                                    .ret_headers = request->ret_headers };
    struct tg_sigv4_request r = { .method = request->method, .path = request->path,
                                  .query = request->query, .body = request->body,
                                  .len = request->len, .region = a->region,
                                  .service = a->service.name, .path_as_is = !a->service.target };
    int64_t now_s = tg_clock_unix_us() / TG_SECOND_US;
    char time[17], digest[2 * TG_SHA256 + 1];
    uint8_t sha256[TG_SHA256];
    struct headers h = { .n = 0 };
    struct tg_buf authorization;
    tg_code code;

    tg_buf_init(&h.text, 64 << 10);
    tg_buf_grow(&h.text, 4096); /* seldom moves then, and leaves no copies */
    tg_buf_init(&authorization, 4096);
    if (!tg_sigv4_time(time, now_s))
        return tg_fail(err, TG_USAGE, "the clock of this machine is wrong");
    tg_sha256(sha256, request->body, request->len);
    tg_hex(digest, sha256, sizeof sha256);
    add_common(a, &h, time, digest);
    for (size_t i = 0; i < request->n_headers; i++)
        add_header(&h, request->header[i].name, request->header[i].value);
    r.header = h.pair;
    r.n_headers = h.n;
    r.body_sha256 = digest;
    code = tg_sigv4_sign(&keys, now_s, &r, &authorization, err);
    if (code == TG_OK && !make_lines(&h, &authorization))
        code = tg_fail(err, TG_LIMIT, "the AWS session token is too long");
    sent.header = h.line;
    if (code == TG_OK)
        code = tg_http_send(a->http, &sent, &a->status, ret, err);
    tg_buf_wipe(&authorization);
    tg_buf_wipe(&h.text);
    return code;
}

/* What a user can do about a failure of the way there. */
static tg_code advise(tg_code code, struct tg_error *err)
{
    if (code == TG_SECURITY)
        tg_hint(err, "certificates to trust stand in the file that AWS_CA_BUNDLE names");
    else if (code == TG_NET || code == TG_TIMEOUT || code == TG_LIMIT)
        tg_hint(err, "are region and endpoint right, and is the network up?");
    return code;
}

static void pause_before(int try)
{
    const struct tg_random random = tg_random_system();

    tg_sleep_us((int64_t)tg_random_below(&random, (uint64_t)PAUSE_US << try) + 1);
}

/* Keys of files may have been renewed. */
static bool look_up_again(struct tg_aws *a)
{
    struct tg_aws_login fresh;
    struct tg_error err;

    if (tg_aws_login_find(&fresh, &err) != TG_OK)
        return false;
    tg_aws_login_done(&a->login);
    a->login = fresh;
    return true;
}

tg_code tg_aws_send(struct tg_aws *a, const struct tg_aws_request *request, struct tg_buf *ret,
                    struct tg_error *err)
{
    bool looked_up = false;
    char url[URL_MAX];
    tg_code code;
    int n = snprintf(url, sizeof url, "%s%s%s%s", a->endpoint, request->path,
                     request->query ? "?" : "", request->query ? request->query : "");

    if (n < 0 || (size_t)n >= sizeof url)
        return tg_fail(err, TG_LIMIT, "a request is too long");
    for (int try = 1;; try++) {
        enum verdict verdict = REFUSED;

        a->refusal[0] = 0;
        a->status = 0;
        code = sign_and_send(a, request, url, ret, err);
        advise(code, err);
        if (code == TG_OK && (a->status < 200 || a->status > 299))
            code = refuse(a, a->status, ret, &verdict, err);
        if (verdict == NEW_KEYS && !looked_up && look_up_again(a)) {
            looked_up = true;
            continue;
        }
        if ((code != TG_NET && code != TG_SERVER) || try == TRIES)
            return code;
        pause_before(try);
    }
}

tg_code tg_aws_call(struct tg_aws *a, const char *action, const struct tg_buf *body,
                    int64_t timeout_ms, struct tg_buf *ret, struct tg_error *err)
{
    char target[128];
    const struct tg_sigv4_header header[] = { { "content-type", a->service.content_type },
                                              { "x-amz-target", target } };
    const struct tg_aws_request request = { .method = "POST", .path = "/", .header = header,
                                            .n_headers = TG_COUNT(header), .body = body->data,
                                            .len = body->len, .timeout_ms = timeout_ms };

    if (body->failed)
        return tg_fail(err, TG_LIMIT, "a request is too long");
    snprintf(target, sizeof target, "%s.%s", a->service.target, action);
    return tg_aws_send(a, &request, ret, err);
}

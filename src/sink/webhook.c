/* SPDX-License-Identifier: MIT */
/*
 * webhook.c - rows posted to a service over HTTP: `webhook:https://HOST/PATH`
 *
 * A commit is posts of at most `batch-rows` rows and about `batch-bytes`, one after the other, each
 * answered with 2xx. See stream.h: at least once.
 *
 *   tgdata-signature   t=UNIX-SECONDS,v1=HEX: HMAC-SHA256 over "UNIX-SECONDS.BODY" with the secret
 *   idempotency-key    "JOB/CHAT/COMMIT/PART/HEX": equal only for equal bodies, by their XXH3-128;
 *                      a run that goes on behind a crash may cut its posts otherwise
 *
 *   answer                     is
 *   2xx                        taken
 *   408, 425, 429, 5xx, none   tried again after a growing pause, or the one that Retry-After asks
 *                              for; after `tries` it is a failure that may pass
 *   400, 413, 422              of several rows: each half is posted; of one: that row is refused
 *   others                     a failure for good
 *
 * Threads: one for all calls      Limits: see the options; an answer of 1 MiB
 */
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include <xxhash.h>

#include "client/http.h"
#include "crypto/ct.h"
#include "crypto/hash.h"
#include "crypto/random.h"
#include "os/proc.h"
#include "sink/bundle.h"
#include "sink/stream.h"

enum { ANSWER_MAX = 1 << 20, SECRET_MAX = 4096, URL_MAX = 2048, ROWS_MAX = 10000, REASON = 120 };
#define PAUSE_US (200 * TG_MS_US) /* up to so long before the second try, doubled for each other */

struct sink_webhook {
    /* options */
    int64_t format, body, batch_rows, batch_bytes, tries, timeout_ms;
    const char *stream_name, *secret_file, *ca_file, *query;
    /* own */
    struct tg_stream stream;
    struct tg_http *http;
    struct tg_bundle bundle;
    struct tg_buf url, secret, answer, head;
    char where[128]; /* scheme and host, for messages */
    struct tg_message_about about;
    int64_t chat_id;
    uint64_t seq, part; /* of the commit in hand */
};

/* What stands before, between and behind the rows of a post. */
static const struct body_form {
    char before, between, behind;
    const char *content_type;
} body_form[] = {
    { '[', ',', ']', "content-type: application/json" },
    { ' ', '\n', '\n', "content-type: application/x-ndjson" },
};

/* ---- opening ---- */

static tg_code set_url(struct sink_webhook *s, const char *target, struct tg_error *err)
{
    size_t scheme = strncmp(target, "https://", 8) == 0 ? 8 : strncmp(target, "http://", 7) ? 0 : 7;
    size_t host = scheme ? strcspn(target + scheme, "/?#") : 0;

    tg_buf_str(&s->url, target);
    if (s->query)
        tg_buf_printf(&s->url, "?%s", s->query);
    if (!host || s->url.failed || memchr(target + scheme, '@', host) ||
        strpbrk(tg_buf_cstr(&s->url), " \r\n")) {
        tg_fail(err, TG_USAGE, "'%.100s' is no address to post to", target);
        return tg_hint(err, "write it as webhook:https://HOST/PATH, without user and password; a "
                            "query as query=TEXT, percent-encoded");
    }
    snprintf(s->where, sizeof s->where, "%.*s", (int)TG_MIN(scheme + host, sizeof s->where - 1),
             target);
    return TG_OK;
}

static tg_code webhook_open(void *self, const char *target, const struct tg_sink_env *env,
                            struct tg_error *err)
{
    struct sink_webhook *s = self;
    tg_code code;

    tg_stream_init(&s->stream, env);
    tg_buf_init(&s->url, URL_MAX);
    tg_buf_init(&s->secret, SECRET_MAX);
    tg_buf_init(&s->answer, ANSWER_MAX);
    tg_buf_init(&s->head, ANSWER_MAX);
    if (!tg_bundle_init(&s->bundle, (size_t)s->batch_rows))
        return tg_fail(err, TG_NOMEM, "no memory for a destination");
    code = set_url(s, target, err);
    if (code == TG_OK)
        code = tg_stream_secret(s->secret_file, "TGDATA_WEBHOOK_SECRET", &s->secret, err);
    return code == TG_OK ? tg_http_new(s->ca_file, &s->http, err) : code;
}

static void webhook_close(void *self)
{
    struct sink_webhook *s = self;

    tg_http_free(s->http);
    s->http = NULL;
    tg_stream_done(&s->stream);
    tg_bundle_done(&s->bundle);
    tg_buf_done(&s->url);
    tg_buf_wipe(&s->secret);
    tg_buf_done(&s->answer);
    tg_buf_done(&s->head);
}

/* ---- one post ---- */

struct post {
    const uint8_t *body;
    size_t len;
    char key[224]; /* the header idempotency-key */
};

/* The bytes around the rows from..to are made what a body of them needs: they belong to nobody. */
static void make_post(struct sink_webhook *s, size_t from, size_t to, struct post *ret)
{
    const struct body_form *form = &body_form[s->body];
    const struct tg_bundle_item *item = s->bundle.item;
    uint8_t *text = s->bundle.text.data;
    XXH128_canonical_t digest;
    char hex[2 * sizeof digest + 1];
    size_t start = item[from].at - (form->before != ' ');

    assert(from < to && to <= s->bundle.n);
    text[item[from].at - 1] = (uint8_t)form->before;
    for (size_t i = from; i < to; i++)
        text[item[i].end] = (uint8_t)(i + 1 < to ? form->between : form->behind);
    ret->body = text + start;
    ret->len = item[to - 1].end + 1 - start;
    XXH128_canonicalFromHash(&digest, XXH3_128bits(ret->body, ret->len));
    tg_hex(hex, digest.digest, sizeof digest);
    snprintf(ret->key, sizeof ret->key,
             "idempotency-key: \"%s/%" PRId64 "/%" PRIu64 "/%" PRIu64 "/%s\"", s->about.job,
             s->chat_id, s->seq, ++s->part, hex);
}

static void sign(const struct sink_webhook *s, const struct post *post, char *out, size_t size)
{
    int64_t now_s = s->stream.env->unix_us(s->stream.env->ctx) / TG_SECOND_US;
    const struct tg_part key = { s->secret.data, s->secret.len };
    char when[24], hex[2 * TG_SHA256 + 1];
    uint8_t mac[TG_SHA256];

    snprintf(when, sizeof when, "%" PRId64 ".", now_s);
    tg_hmac_sha256_v(mac, key, (struct tg_part[]){ { when, strlen(when) },
                                                   { post->body, post->len } }, 2);
    tg_hex(hex, mac, sizeof mac);
    snprintf(out, size, "tgdata-signature: t=%" PRId64 ",v1=%s", now_s, hex);
}

/* @return seconds that the answer asks to wait; -1 if it asks for none */
static int64_t retry_after_s(struct tg_buf *head)
{
    static const char name[] = "retry-after:";
    int64_t seconds = 0;

    for (const char *at = tg_buf_cstr(head); *at; at += strcspn(at, "\n"), at += *at == '\n') {
        const char *digit = at + sizeof name - 1;

        if (strncasecmp(at, name, sizeof name - 1) != 0)
            continue;
        digit += strspn(digit, " \t");
        if (*digit < '0' || *digit > '9')
            return -1; /* a date: the pauses here will do */
        for (; *digit >= '0' && *digit <= '9' && seconds < INT32_MAX; digit++)
            seconds = seconds * 10 + (*digit - '0');
        return seconds;
    }
    return -1;
}

static bool may_pass(int status)
{
    return status == 408 || status == 425 || status == 429 || status >= 500;
}

static bool is_of_the_rows(int status)
{
    return status == 400 || status == 413 || status == 422;
}

/* The first line of an answer, for people. */
static void first_line(struct tg_buf *answer, char out[REASON])
{
    const char *text = tg_buf_cstr(answer);
    size_t n = 0;

    for (; text[n] && text[n] != '\n' && text[n] != '\r' && n + 1 < REASON; n++)
        out[n] = (unsigned char)text[n] < ' ' || text[n] == 0x7f ? ' ' : text[n];
    while (n && n < strlen(text) && ((unsigned char)text[n] & 0xc0) == 0x80)
        n--; /* not in the middle of a character */
    out[n] = 0;
    if (!tg_utf8_valid(out, n))
        out[0] = 0;
}

static tg_code judge(struct sink_webhook *s, int status, struct tg_error *err)
{
    char line[REASON];

    if (status >= 200 && status < 300)
        return TG_OK;
    first_line(&s->answer, line);
    tg_fail(err, may_pass(status) ? TG_SERVER : is_of_the_rows(status) ? TG_DATA : TG_UNUSABLE,
            "%.100s answers %d%s%.120s", s->where, status, *line ? ": " : "", line);
    if (may_pass(status))
        return tg_hint(err, "it was tried several times: try again later");
    return tg_hint(err, status < 400 ? "name the address that it is found at now"
                                     : "look at address and secret, and what the service takes");
}

static tg_code post_once(struct sink_webhook *s, const struct post *post, int *ret_status,
                         struct tg_error *err)
{
    char signature[128];
    const char *header[] = { body_form[s->body].content_type, post->key,
                             s->secret.len ? signature : NULL, NULL };
    const struct tg_http_request request = {
        .url = tg_buf_cstr(&s->url),
        .header = header,
        .body = post->body,
        .len = post->len,
        .timeout_ms = s->timeout_ms,
        .ret_headers = &s->head,
    };
    tg_code code;

    if (s->secret.len)
        sign(s, post, signature, sizeof signature);
    *ret_status = 0;
    code = tg_http_send(s->http, &request, ret_status, &s->answer, err);
    if (code == TG_OK)
        return judge(s, *ret_status, err);
    if (code == TG_LIMIT)
        err->code = code = TG_UNUSABLE;
    return tg_hint(err, code == TG_SECURITY ? "certificates to trust: ca-file=FILE"
                                            : "is the address right, and is the service up?");
}

/* @return TG_DATA: these rows are not taken; as tg_stream_commit */
static tg_code post(struct sink_webhook *s, const struct post *post, struct tg_error *err)
{
    const struct tg_random random = tg_random_system();

    for (int64_t try = 1;; try++) {
        int status;
        tg_code code = post_once(s, post, &status, err);
        int64_t pause_us, asked_s = may_pass(status) ? retry_after_s(&s->head) : -1;

        if (code == TG_OK)
            s->stream.bytes += post->len;
        if (code != TG_NET && code != TG_TIMEOUT && code != TG_SERVER)
            return code;
        if (try == s->tries || asked_s * 1000 > s->timeout_ms)
            return code;
        pause_us = (int64_t)tg_random_below(&random, (uint64_t)PAUSE_US << TG_MIN(try, 8)) + 1;
        tg_sleep_us(asked_s >= 0 ? asked_s * TG_SECOND_US : pause_us);
    }
}

/* ---- rows ---- */

static tg_code refuse_one(struct sink_webhook *s, size_t i, struct tg_error *err)
{
    const struct tg_bundle_item *item = &s->bundle.item[i];
    struct tg_batch *row = tg_batch_new(1);
    struct tg_error why = *err;
    tg_code code = TG_NOMEM;

    if (row)
        code = tg_message_read(s->format,
                               (struct tg_str){ (const char *)s->bundle.text.data + item->at,
                                                (uint32_t)(item->end - item->at) },
                               row, err);
    else
        tg_fail(err, TG_NOMEM, "no memory for a row");
    if (code == TG_OK)
        code = tg_stream_refuse(&s->stream, row->row, why.message, err);
    tg_batch_free(row);
    return code;
}

/* Posts rows from..to; what is not taken is halved until it is single rows. */
static tg_code post_rows(struct sink_webhook *s, size_t from, size_t to, struct tg_error *err)
{
    struct post made;
    tg_code code;

    make_post(s, from, to, &made);
    code = post(s, &made, err);
    if (code != TG_DATA)
        return code;
    if (to - from == 1)
        return refuse_one(s, from, err);
    code = post_rows(s, from, from + (to - from) / 2, err);
    return code == TG_OK ? post_rows(s, from + (to - from) / 2, to, err) : code;
}

static tg_code begin(void *ctx, const struct tg_commit *commit, struct tg_error *err)
{
    struct sink_webhook *s = ctx;

    (void)err;
    tg_bundle_clear(&s->bundle);
    s->about = tg_stream_about(&s->stream, s->stream_name);
    s->chat_id = commit->cursor.chat_id;
    s->seq = commit->seq;
    s->part = 0;
    return TG_OK;
}

/* Posts what is enough for a post. */
static tg_code post_ready(struct sink_webhook *s, struct tg_error *err)
{
    struct tg_bundle *b = &s->bundle;
    size_t ready = 0;
    tg_code code;

    if (b->text.len > (size_t)s->batch_bytes) /* the last one does not fit beside the others */
        ready = b->n - (b->n > 1);
    else if (b->n == b->cap)
        ready = b->n;
    if (!ready)
        return TG_OK;
    code = post_rows(s, 0, ready, err);
    if (code == TG_OK)
        tg_bundle_drop(b, ready);
    return code;
}

static tg_code put_message(void *ctx, struct tg_str message, struct tg_error *err)
{
    struct sink_webhook *s = ctx;
    tg_code code = tg_bundle_put(&s->bundle, message, err);

    return code == TG_OK ? post_ready(s, err) : code;
}

static tg_code put_row(void *ctx, const struct tg_row *row, struct tg_error *err)
{
    struct sink_webhook *s = ctx;
    tg_code code = tg_bundle_add(&s->bundle, &tg_message_format[s->format], &s->about, row, err);

    if (code == TG_LIMIT)
        return tg_stream_refuse(&s->stream, row, "too large", err);
    return post_ready(s, err);
}

static tg_code finish(void *ctx, struct tg_error *err)
{
    struct sink_webhook *s = ctx;
    tg_code code = s->bundle.n ? post_rows(s, 0, s->bundle.n, err) : TG_OK;

    tg_bundle_clear(&s->bundle);
    return code;
}

static tg_code webhook_write(void *self, const struct tg_batch *batch, size_t from, size_t n,
                             struct tg_error *err)
{
    struct sink_webhook *s = self;
    const struct tg_message_about about = tg_stream_about(&s->stream, s->stream_name);

    return tg_stream_write_messages(&s->stream, &tg_message_format[s->format], &about, batch, from,
                                    n, err);
}

static tg_code webhook_commit(void *self, const struct tg_commit *commit, struct tg_error *err)
{
    const struct tg_stream_sender sender = { begin, put_row, finish, self, put_message };

    return tg_stream_commit(&((struct sink_webhook *)self)->stream, commit, &sender, err);
}

static uint64_t webhook_bytes(const void *self)
{
    return ((const struct sink_webhook *)self)->stream.bytes;
}

static const struct tg_option webhook_option[] = {
    TG_STREAM_FORMAT_OPTIONS(sink_webhook),
    { .name = "body",
      .type = TG_OPT_CHOICE,
      .offset = offsetof(struct sink_webhook, body),
      .fallback = "array",
      .help = "a post is a JSON array, or lines of JSON",
      .choices = "array|lines" },
    { .name = "batch-rows",
      .type = TG_OPT_I64,
      .offset = offsetof(struct sink_webhook, batch_rows),
      .fallback = "500",
      .min = 1,
      .max = ROWS_MAX,
      .help = "most rows of a post" },
    { .name = "batch-bytes",
      .type = TG_OPT_SIZE,
      .offset = offsetof(struct sink_webhook, batch_bytes),
      .fallback = "1MiB",
      .min = 1024,
      .max = 64 << 20,
      .help = "most bytes of a post of several rows" },
    { .name = "secret-file",
      .type = TG_OPT_STR,
      .offset = offsetof(struct sink_webhook, secret_file),
      .value = "FILE",
      .help = "its first line signs the posts; else TGDATA_WEBHOOK_SECRET, if it is set" },
    { .name = "ca-file",
      .type = TG_OPT_STR,
      .offset = offsetof(struct sink_webhook, ca_file),
      .value = "FILE",
      .help = "certificates that the server's is checked with, instead of the system's" },
    { .name = "query",
      .type = TG_OPT_STR,
      .offset = offsetof(struct sink_webhook, query),
      .value = "TEXT",
      .help = "the query of the address, percent-encoded once more" },
    { .name = "tries",
      .type = TG_OPT_I64,
      .offset = offsetof(struct sink_webhook, tries),
      .fallback = "4",
      .min = 1,
      .max = 20,
      .help = "how often a post is tried before the run is told" },
    { .name = "timeout",
      .type = TG_OPT_MS,
      .offset = offsetof(struct sink_webhook, timeout_ms),
      .fallback = "30s",
      .min = 100,
      .max = 600000,
      .value = "TIME",
      .help = "longest wait for an answer, and longest pause that an answer may ask for" },
    { 0 },
};

const struct tg_sink_ops tg_sink_webhook = {
    .head = { "webhook", "posts of rows to a service over HTTP, signed; at least once",
              webhook_option, sizeof(struct sink_webhook) },
    .open = webhook_open,
    .write = webhook_write,
    .commit = webhook_commit,
    .bytes = webhook_bytes,
    .close = webhook_close,
};

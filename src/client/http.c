/* SPDX-License-Identifier: MIT */
/*
 * http.c - see http.h; the only file that includes libcurl
 */
#ifdef TG_HAVE_HTTP

#include "client/http.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/text.h"
#include "crypto/ct.h"

enum { CONNECT_MS = 5000 };

struct tg_http {
    CURL *curl;
    char text[CURL_ERROR_SIZE]; /* the library's words on what failed */
    char *ca_file;
};

tg_code tg_http_new(const char *ca_file, struct tg_http **ret, struct tg_error *err)
{
    struct tg_http *h = calloc(1, sizeof *h);

    if (h) {
        h->curl = curl_easy_init();
        h->ca_file = ca_file ? strdup(ca_file) : NULL;
    }
    if (!h || !h->curl || (ca_file && !h->ca_file)) {
        tg_http_free(h);
        return tg_fail(err, TG_NOMEM, "no memory for a connection");
    }
    *ret = h;
    return TG_OK;
}

void tg_http_free(struct tg_http *h)
{
    if (!h)
        return;
    curl_easy_cleanup(h->curl);
    free(h->ca_file);
    free(h);
}

static size_t receive(char *bytes, size_t one, size_t n, void *ctx)
{
    struct tg_buf *out = ctx;

    tg_buf_add(out, bytes, one * n);
    return out->failed ? 0 : one * n;
}

/* Headers that do not fit are left out. */
static size_t receive_header(char *bytes, size_t one, size_t n, void *ctx)
{
    tg_buf_add(ctx, bytes, one * n);
    return one * n;
}

/* They may hold secrets: a signature, a token. */
static void free_headers(struct curl_slist *list)
{
    for (struct curl_slist *line = list; line; line = line->next)
        tg_wipe(line->data, strlen(line->data));
    curl_slist_free_all(list);
}

static struct curl_slist *copy_headers(const char *const *header)
{
    /* A server that is asked first whether it will have a long body may let one wait a second. */
    struct curl_slist *list = curl_slist_append(NULL, "expect:"), *longer;

    for (; list && *header; header++) {
        longer = curl_slist_append(list, *header);
        if (!longer) {
            free_headers(list);
            return NULL;
        }
        list = longer;
    }
    return list;
}

static void set_up(struct tg_http *h, const struct tg_http_request *r, struct curl_slist *headers,
                   struct tg_buf *out)
{
    CURL *c = h->curl;

    curl_easy_reset(c); /* options only: connections stay */
    curl_easy_setopt(c, CURLOPT_URL, r->url);
    curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(c, CURLOPT_ERRORBUFFER, h->text);
    curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_MS);
    curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, (long)r->timeout_ms);
    curl_easy_setopt(c, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt(c, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    curl_easy_setopt(c, CURLOPT_SSL_VERIFYPEER, 1L);
    curl_easy_setopt(c, CURLOPT_SSL_VERIFYHOST, 2L);
    if (h->ca_file)
        curl_easy_setopt(c, CURLOPT_CAINFO, h->ca_file);
    curl_easy_setopt(c, CURLOPT_HTTPHEADER, headers);
    if (r->body || !r->method) {
        curl_easy_setopt(c, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)r->len);
        curl_easy_setopt(c, CURLOPT_POSTFIELDS, r->body);
    }
    if (r->method)
        curl_easy_setopt(c, CURLOPT_CUSTOMREQUEST, r->method);
    curl_easy_setopt(c, CURLOPT_PATH_AS_IS, 1L);
    if (r->ret_headers) {
        tg_buf_clear(r->ret_headers);
        curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, receive_header);
        curl_easy_setopt(c, CURLOPT_HEADERDATA, r->ret_headers);
    }
    curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, receive);
    curl_easy_setopt(c, CURLOPT_WRITEDATA, out);
    h->text[0] = 0;
}

static tg_code code_of(CURLcode result)
{
    switch (result) {
    case CURLE_OPERATION_TIMEDOUT:
        return TG_TIMEOUT;
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
        return TG_SECURITY;
    case CURLE_WRITE_ERROR:
        return TG_LIMIT;
    case CURLE_OUT_OF_MEMORY:
        return TG_NOMEM;
    default:
        return TG_NET;
    }
}

tg_code tg_http_send(struct tg_http *h, const struct tg_http_request *r, int *ret_status,
                     struct tg_buf *ret, struct tg_error *err)
{
    struct curl_slist *headers = copy_headers(r->header);
    char where[TG_URL_SHOWN];
    CURLcode result;
    long status = 0;

    if (!headers)
        return tg_fail(err, TG_NOMEM, "no memory for a request");
    tg_buf_clear(ret);
    set_up(h, r, headers, ret);
    result = curl_easy_perform(h->curl);
    curl_easy_getinfo(h->curl, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_setopt(h->curl, CURLOPT_HTTPHEADER, NULL);
    free_headers(headers);
    if (result == CURLE_WRITE_ERROR)
        return tg_fail(err, TG_LIMIT, "%s: the answer is too long", tg_url_shown(r->url, where));
    if (result != CURLE_OK)
        return tg_fail(err, code_of(result), "%s: %.160s", tg_url_shown(r->url, where),
                       h->text[0] ? h->text : curl_easy_strerror(result));
    *ret_status = (int)status;
    return TG_OK;
}

#else
typedef int tg_http_is_absent; /* a translation unit may not be empty */
#endif

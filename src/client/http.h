/* SPDX-License-Identifier: MIT */
/*
 * http.h - requests over HTTP or HTTPS, answered whole: for services that speak so
 *
 * Certificates and names are verified, redirections are not followed, and connections are kept for
 * the next call. Calls block for a bounded time, so they belong on a thread of their own. Messages
 * show of a URL its scheme, host and the beginning of its path: the rest may be secret.
 *
 *   code             when
 *   TG_UNSUPPORTED   this build has no HTTP library
 *   TG_NET           no connection, or it was lost
 *   TG_TIMEOUT       no answer in time
 *   TG_SECURITY      the certificate is not one of that server
 *   TG_LIMIT         the answer is longer than the buffer may grow
 *
 * Threads: one at a time per client
 */
#ifndef TG_CLIENT_HTTP_H
#define TG_CLIENT_HTTP_H

#include "base/buf.h"

struct tg_http;

struct tg_http_request {
    const char *method;        /* NULL: POST */
    const char *url;           /* http:// or https:// */
    const char *const *header; /* lines "name: value", ended by NULL; copies of them are wiped */
    const void *body;          /* NULL: none, which is not the same as an empty one */
    size_t len;
    int64_t timeout_ms; /* for all of it, connecting included */
    struct tg_buf *ret_headers; /* gets the lines of the answer's head; NULL: nobody asks */
};

/** @param ca_file  certificates to trust instead of the system's; NULL: the system's */
tg_code tg_http_new(const char *ca_file, struct tg_http **ret, struct tg_error *err);
void tg_http_free(struct tg_http *http); /* NULL is nothing */

/** Sends a request. @param ret  initialised by the caller; cleared, then the answer's body
 *  @return TG_OK whatever the status */
tg_code tg_http_send(struct tg_http *http, const struct tg_http_request *request, int *ret_status,
                     struct tg_buf *ret, struct tg_error *err);

#endif

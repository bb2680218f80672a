/* SPDX-License-Identifier: MIT */
/*
 * sigv4.h - AWS Signature Version 4: what stands in the header "authorization" of a request
 *
 *   canonical request = method, path, sorted query, headers, their names, SHA-256 of the body
 *   string to sign    = algorithm, time, scope (date/region/service), SHA-256 of that
 *   key               = HMAC chain over secret, date, region, service
 *
 * Pure: keys and time are arguments. A caller sends exactly the headers that it gave here, and the
 * result as one more. Paths are signed as they are sent, so a path with "//" or ".." in it must be
 * brought into order before.
 *
 * Facts: docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
 *
 * Threads: none: pure functions      Limits: 16 headers, 64 parameters of a query
 */
#ifndef TG_CLIENT_SIGV4_H
#define TG_CLIENT_SIGV4_H

#include "base/buf.h"

enum { TG_SIGV4_HEADERS_MAX = 16, TG_SIGV4_PARAMETERS_MAX = 64 };

/** Who signs. */
struct tg_aws_keys {
    const char *id, *secret;
    const char *token; /* of a temporary key; NULL: none. Its header is the caller's to add */
};

struct tg_sigv4_header {
    const char *name; /* lower case; each once */
    const char *value;
};

struct tg_sigv4_request {
    const char *method, *path, *query; /* as sent; query without '?', NULL or "": none */
    const struct tg_sigv4_header *header; /* all that are signed, host and x-amz-date among them */
    size_t n_headers;
    const void *body;
    size_t len;
    const char *body_sha256; /* in hex, where the caller has it already; else NULL */
    const char *region, *service;
    bool path_as_is; /* S3: an encoded path is not encoded once more */
};

/** Writes "20150830T123600Z", the value of x-amz-date. @return false outside years 1..9999 */
bool tg_sigv4_time(char out[17], int64_t unix_s);

/** Appends "AWS4-HMAC-SHA256 Credential=..., SignedHeaders=..., Signature=...".
 *  @return TG_LIMIT: too many headers or parameters, or out does not hold it */
tg_code tg_sigv4_sign(const struct tg_aws_keys *keys, int64_t unix_s,
                      const struct tg_sigv4_request *request, struct tg_buf *out,
                      struct tg_error *err);

#endif

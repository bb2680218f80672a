/* SPDX-License-Identifier: MIT */
/*
 * http_absent.c - http.h in a build without the library: no client can be made, so that only the
 * first of these functions is ever called
 */
#ifndef TG_HAVE_HTTP

#include "client/http.h"

#define ABSENT(err) tg_fail(err, TG_UNSUPPORTED, "this build has no HTTP client")

tg_code tg_http_new(const char *ca_file, struct tg_http **ret, struct tg_error *err)
{
    (void)ca_file, (void)ret;
    ABSENT(err);
    return tg_hint(err, "build it with libcurl4-openssl-dev installed");
}

void tg_http_free(struct tg_http *http)
{
    (void)http;
}

tg_code tg_http_send(struct tg_http *http, const struct tg_http_request *request, int *ret_status,
                     struct tg_buf *ret, struct tg_error *err)
{
    (void)http, (void)request, (void)ret_status, (void)ret;
    return ABSENT(err);
}

#else
typedef int tg_http_is_built_in; /* a translation unit may not be empty */
#endif

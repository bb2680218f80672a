/* SPDX-License-Identifier: MIT */
/*
 * httpd_absent.c - httpd.h in a build without the library: no server can be made
 */
#ifndef TG_HAVE_HTTPD

#include "observe/httpd.h"

tg_code tg_httpd_new(const struct tg_httpd_options *options, struct tg_httpd **ret,
                     struct tg_error *err)
{
    (void)options, (void)ret;
    tg_fail(err, TG_UNSUPPORTED, "this build has no HTTP server");
    return tg_hint(err, "build it with libmicrohttpd-dev installed");
}

void tg_httpd_free(struct tg_httpd *h)
{
    (void)h;
}

uint16_t tg_httpd_port(const struct tg_httpd *h)
{
    (void)h;
    return 0;
}

#else
typedef int tg_httpd_is_built_in; /* a translation unit may not be empty */
#endif

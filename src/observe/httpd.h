/* SPDX-License-Identifier: MIT */
/*
 * httpd.h - a small HTTP server: GET of a table of pages, each made anew
 *
 * A connection is for one request. It may take DEADLINE seconds in all, whatever it does meanwhile;
 * when all places are taken, the connection that has been there the longest gives its own to the
 * next: whoever asks properly is answered, however many hold their connections open.
 *
 * Threads: one of its own, which calls the pages
 * Limits:  256 connections, 8 KiB of memory for each request with its headers, 10 s
 */
#ifndef TG_OBSERVE_HTTPD_H
#define TG_OBSERVE_HTTPD_H

#include "base/buf.h"

struct tg_httpd;

struct tg_httpd_page {
    const char *path; /* NULL ends the table */
    const char *type;
    int (*fill)(void *ctx, struct tg_buf *out); /* @return the status */
};

/**
 * Listens. @param where  "HOST:PORT", "[ADDRESS]:PORT" or "PORT": of loopback; port 0 takes a free
 *                        one
 * @return TG_OK; TG_USAGE: that is no address; TG_IO; TG_UNSUPPORTED; TG_NOMEM
 */
tg_code tg_httpd_new(const char *where, const struct tg_httpd_page *pages, void *ctx,
                     struct tg_httpd **ret, struct tg_error *err);
void tg_httpd_free(struct tg_httpd *h); /* NULL is nothing */
uint16_t tg_httpd_port(const struct tg_httpd *h);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * httpd.h - a small HTTP server: a table of pages, each made anew
 *
 * A connection is for one request. It may take DEADLINE seconds in all, whatever it does meanwhile;
 * when all places are taken, the connection that has been there the longest gives its own to the
 * next: whoever asks properly is answered, however many hold their connections open.
 *
 * Pages that wait for a disk or another server are SLOW: a second thread makes them, one after the
 * other, and the others are answered meanwhile.
 *
 * Who is answered (guard.h has the rules):
 *   no token, this machine alone   reads everything; what changes something is refused. Requests
 *                                  for another host's name are refused, too: see tg_guard_host
 *   a token                        who brings it reads and changes; others get OPEN pages only
 *   `open`                         everybody reads
 *
 * Threads: two of its own, which call the pages and `tick`
 * Limits:  256 connections, 8 KiB of memory for each request with its headers, 10 s; 8 SLOW pages
 *          that wait, then 503; arguments of 127 bytes
 */
#ifndef TG_OBSERVE_HTTPD_H
#define TG_OBSERVE_HTTPD_H

#include "base/buf.h"

struct tg_httpd;

enum { TG_HTTPD_ARGS = 3, TG_HTTPD_ARG = 128 };

struct tg_httpd_request {
    char arg[TG_HTTPD_ARGS][TG_HTTPD_ARG]; /* as the page names them; "": not given */
};

/* What is particular about a page. */
enum {
    TG_HTTPD_OPEN = 1, /* needs no token */
    TG_HTTPD_SLOW = 2, /* may wait for a disk or the network */
    TG_HTTPD_CHANGES = 4, /* is a POST without a body, and needs a token */
};

struct tg_httpd_page {
    const char *path; /* NULL ends the table */
    const char *type;
    int (*fill)(void *ctx, const struct tg_httpd_request *r, struct tg_buf *out); /* @return the
                                                                                     status */
    unsigned traits;
    const char *arg[TG_HTTPD_ARGS]; /* names of arguments */
};

struct tg_httpd_options {
    const char *where; /* "HOST:PORT", "[ADDRESS]:PORT" or "PORT": of loopback; port 0 takes a free
                          one */
    const char *token; /* copied; NULL: there is none */
    bool open;         /* without a token beyond this machine, too */
    const struct tg_httpd_page *pages;
    void (*tick)(void *ctx); /* often: ten times a second, or so */
    void *ctx;
};

/**
 * Listens.
 * @return TG_OK; TG_USAGE: that is no address, or one beyond this machine with neither token nor
 *         `open`; TG_IO; TG_UNSUPPORTED; TG_NOMEM
 */
tg_code tg_httpd_new(const struct tg_httpd_options *options, struct tg_httpd **ret,
                     struct tg_error *err);
/** Ends with the pages that are being made. NULL is nothing. */
void tg_httpd_free(struct tg_httpd *h);
uint16_t tg_httpd_port(const struct tg_httpd *h);

#endif

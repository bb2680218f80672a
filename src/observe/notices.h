/* SPDX-License-Identifier: MIT */
/*
 * notices.h - posts JSON to addresses for somebody who must not wait for them
 *
 *   tg_notices_post --queue--> thread --POST--> taken: 2xx
 *                                          \--> tried again, later and later: no answer, 408, 425,
 *                                          |    429, 5xx
 *                                          \--> given up: any other status, or after 8 tries
 *
 * Notices to one address go in their order: one that is tried again holds those behind it up, and
 * none to other addresses. One may arrive twice: the answer to it was lost. Messages show of an
 * address no more than base/text.h tg_url_shown does.
 *
 * Threads: one of its own; all else by one thread at a time
 * Limits:  1000 wait, of more the oldest is given up; 5 s for a request; 8 tries, about two minutes
 */
#ifndef TG_OBSERVE_NOTICES_H
#define TG_OBSERVE_NOTICES_H

#include "base/base.h"

enum { TG_NOTICE_ABOUT = 64 };

struct tg_notices;

/** @return TG_UNSUPPORTED: this build has no HTTP client; TG_NOMEM */
tg_code tg_notices_new(struct tg_notices **ret, struct tg_error *err);

/** Takes a copy of all. Never waits. @param about  whom tg_notices_failed names
 *  @return TG_NOMEM, TG_LIMIT: too many at once */
tg_code tg_notices_post(struct tg_notices *n, const char *about, const char *url, const void *body,
                        size_t len, struct tg_error *err);

/** One that was given up. @return false: there is none */
bool tg_notices_failed(struct tg_notices *n, char about[TG_NOTICE_ABOUT], struct tg_error *ret);

/** Tries what waits once more, for 10 s at most; tg_notices_failed tells of the rest. */
void tg_notices_end(struct tg_notices *n);

/** After tg_notices_end. NULL is nothing. */
void tg_notices_free(struct tg_notices *n);

#endif

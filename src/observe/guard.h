/* SPDX-License-Identifier: MIT */
/*
 * guard.h - who may ask the HTTP server for what: pure rules over the headers of a request
 *
 * A page of another site that is open in a browser on this machine can send requests here. It can
 * neither read the answers nor set the header Authorization, unless its own name is made to mean
 * this machine (DNS rebinding): then the request's Host is that name, which is refused. What
 * changes something needs a token in Authorization, which a browser never adds by itself, and comes
 * from a page that was served here.
 *
 * Threads: none: pure functions, but for tg_token_read
 */
#ifndef TG_OBSERVE_GUARD_H
#define TG_OBSERVE_GUARD_H

#include "base/base.h"

enum { TG_TOKEN_MIN = 16, TG_TOKEN_MAX = 256 };

/** @return whether a Host names no name that others could give this machine: an address,
 *  localhost, or nothing (NULL: no browser sent it) */
bool tg_guard_host(const char *host);

/** @return whether a page of that Origin was served by that Host; so was a request without an
 *  Origin (NULL: no browser sent it) */
bool tg_guard_origin(const char *origin, const char *host);

/** @return whether the header Authorization ("Bearer TOKEN") has that token; takes the same time
 *  however much of it is right */
bool tg_guard_token(const char *authorization, const char *token);

/**
 * Reads a token: of the file, else of the environment's TGDATA_LISTEN_TOKEN.
 * @param file  one line; NULL: there is none
 * @param ret   the token; "" if there is none at all
 * @return TG_OK; TG_USAGE: shorter than TG_TOKEN_MIN, longer, or not of printable ASCII; TG_IO
 */
tg_code tg_token_read(const char *file, char ret[TG_TOKEN_MAX + 1], struct tg_error *err);

#endif

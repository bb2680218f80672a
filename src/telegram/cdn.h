/* SPDX-License-Identifier: MIT */
/*
 * cdn.h - where CDNs are and which keys they have, and where media DCs are: asked of the home DC
 *         before the first is dialled
 *
 * Threads: none: runs inside the client's callbacks
 */
#ifndef TG_CDN_H
#define TG_CDN_H

#include "telegram/client.h"

/** Asks help.getConfig and help.getCdnConfig and tells the client. @return false out of memory */
bool tg_cdn_start(struct tgc *c, void (*done)(void *ctx, const struct tg_error *err), void *ctx,
                  int64_t now_us);

#endif

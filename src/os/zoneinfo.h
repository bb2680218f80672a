/* SPDX-License-Identifier: MIT */
/*
 * zoneinfo.h - the files of time zones that the system has
 *
 * They lie in TZDIR, if that is set, else in /usr/share/zoneinfo (Debian: tzdata).
 *
 * Threads: any
 */
#ifndef TG_OS_ZONEINFO_H
#define TG_OS_ZONEINFO_H

#include "base/buf.h"

/**
 * Appends the file of a zone, such as "Europe/Berlin".
 * @return TG_NOT_FOUND if there is none, also for a name that leads out of the directory; TG_IO,
 *         TG_LIMIT
 */
tg_code tg_zoneinfo_read(const char *zone, struct tg_buf *out, struct tg_error *err) TG_MUST_CHECK;

#endif

/* SPDX-License-Identifier: MIT */
/* version.h - which tgdata this is, and what it was built with */
#ifndef TGDATA_VERSION_H
#define TGDATA_VERSION_H

#include "tgdata/error.h"

#ifdef __cplusplus
extern "C" {
#endif

/** @return "0.1.0" */
TG_API const char *tg_version(void);

/** @return the API layer that requests are made in, such as 228 */
TG_API int tg_version_layer(void);

/** The i-th thing built in ("store sqlite", "sink ndjson", "libuv 1.44.2"); NULL past the last. The
 *  text is valid until the thread's next call. */
TG_API const char *tg_version_part(unsigned i);

#ifdef __cplusplus
}
#endif
#endif

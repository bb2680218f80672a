/* SPDX-License-Identifier: MIT */
/*
 * version.c - which tgdata this is: its drivers from their tables, its libraries from the build
 *
 * Threads: none: constant tables and one text per thread
 */
#include "tgdata/version.h"

#include <stdio.h>

#include "sink/sink.h"
#include "store/store.h"
#include "tl/schema.h"

enum { PART_MAX = 96 };

/* Set by the build from pkg-config. */
static const char *const library[] = { TG_LIBRARY_VERSIONS };

const char *tg_version(void)
{
    return TG_VERSION;
}

int tg_version_layer(void)
{
    const struct tl_schema *schema = tl_schema_builtin(228); /* what the client announces */

    return schema ? schema->layer : 0;
}

const char *tg_version_part(unsigned i)
{
    static _Thread_local char text[PART_MAX];
    size_t n_stores = 0, n_sinks = 0;

    while (tg_stores[n_stores])
        n_stores++;
    while (tg_sinks[n_sinks])
        n_sinks++;
    if (i < n_sinks) {
        snprintf(text, sizeof text, "sink %s", tg_sinks[i]->head.name);
        return text;
    }
    i -= (unsigned)n_sinks;
    if (i < n_stores) {
        snprintf(text, sizeof text, "store %s", tg_stores[i]->head.name);
        return text;
    }
    i -= (unsigned)n_stores;
    return i < TG_COUNT(library) ? library[i] : NULL;
}

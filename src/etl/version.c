/* SPDX-License-Identifier: MIT */
/*
 * version.c - which tgdata this is: its drivers from their tables, its libraries from the build
 *
 * Threads: none: constant tables and one text per thread
 */
#include "tgdata/version.h"

#include <stdio.h>

#include "queue/broker.h"
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

static const char *part(const char *kind, const struct tg_driver *driver)
{
    static _Thread_local char text[PART_MAX];

    snprintf(text, sizeof text, "%s %s", kind, driver->name);
    return text;
}

const char *tg_version_part(unsigned i)
{
    for (size_t at = 0; tg_sinks[at]; at++)
        if (!i--)
            return part("sink", &tg_sinks[at]->head);
    for (size_t at = 0; tg_stores[at]; at++)
        if (!i--)
            return part("store", &tg_stores[at]->head);
    for (size_t at = 0; tg_brokers[at]; at++)
        if (!i--)
            return part("queue", &tg_brokers[at]->head);
    return i < TG_COUNT(library) ? library[i] : NULL;
}

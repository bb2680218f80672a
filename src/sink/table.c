/* SPDX-License-Identifier: MIT */
/*
 * table.c - the list of all sinks, and opening one from its URL; see sink.h
 */
#include <stdlib.h>

#include "sink/sink.h"

extern const struct tg_sink_ops tg_sink_ndjson;

const struct tg_sink_ops *const tg_sinks[] = { &tg_sink_ndjson, NULL };

static const struct tg_driver *head(size_t i)
{
    return tg_sinks[i] ? &tg_sinks[i]->head : NULL;
}

/* Makes the instance and opens it; whatever was made is in `ret`, also on failure. */
static tg_code open_parts(struct tg_sink *ret, const struct tg_sink_env *env, struct tg_error *err)
{
    char *target, *query;
    size_t i = 0;
    tg_code code = tg_driver_split(ret->url, "sink", &target, &query, err);

    if (code == TG_OK)
        code = tg_driver_find(head, ret->url, "sink", &i, err);
    if (code != TG_OK)
        return code;
    ret->ops = tg_sinks[i];
    ret->self = calloc(1, ret->ops->head.size);
    if (!ret->self)
        return tg_fail(err, TG_NOMEM, "sink");
    code = tg_options_default(ret->ops->head.option, ret->self, err);
    if (code == TG_OK)
        code = tg_options_query(ret->ops->head.option, ret->self, query, err);
    if (code == TG_OK)
        code = ret->ops->open(ret->self, target, env, err);
    return code;
}

tg_code tg_sink_open(const char *url, const struct tg_sink_env *env, struct tg_sink *ret,
                     struct tg_error *err)
{
    struct tg_sink made = { .url = strdup(url) };
    tg_code code = made.url ? open_parts(&made, env, err) : tg_fail(err, TG_NOMEM, "sink");

    if (code != TG_OK)
        tg_sink_close(&made);
    else
        *ret = made;
    return code;
}

void tg_sink_close(struct tg_sink *sink)
{
    if (sink->self) {
        sink->ops->close(sink->self);
        tg_options_done(sink->ops->head.option, sink->self);
    }
    free(sink->self);
    free(sink->url);
    *sink = (struct tg_sink){ 0 };
}

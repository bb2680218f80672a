/* SPDX-License-Identifier: MIT */
/*
 * table.c - the list of all sinks, and opening one from its URL; see sink.h
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/text.h"
#include "sink/sink.h"

extern const struct tg_sink_ops tg_sink_ndjson, tg_sink_csv, tg_sink_parquet, tg_sink_sqlite,
    tg_sink_duckdb, tg_sink_postgres, tg_sink_stdout, tg_sink_kafka, tg_sink_amqp,
    tg_sink_amqps, tg_sink_webhook, tg_sink_kinesis, tg_sink_s3;

const struct tg_sink_ops *const tg_sinks[] = { &tg_sink_ndjson, &tg_sink_csv,
                                              &tg_sink_parquet, &tg_sink_sqlite,
                                              &tg_sink_duckdb,
                                              &tg_sink_postgres, &tg_sink_stdout,
                                              &tg_sink_kafka,
                                              &tg_sink_amqp, &tg_sink_amqps,
                                              &tg_sink_webhook, &tg_sink_kinesis, &tg_sink_s3,
                                              NULL };

static const struct tg_driver *head(size_t i)
{
    return tg_sinks[i] ? &tg_sinks[i]->head : NULL;
}

tg_code tg_sink_open(const char *url, const struct tg_sink_env *env, struct tg_sink *ret,
                     struct tg_error *err)
{
    struct tg_driver_made made;
    struct tg_sink opened;
    tg_code code = tg_driver_make(head, "destination", url, &made, err);

    if (code != TG_OK)
        return code;
    opened = (struct tg_sink){ tg_sinks[made.at], made.self, made.url };
    if (env->series && !opened.ops->series)
        code = tg_fail(err, TG_UNSUPPORTED, "a destination '%s' cannot keep the rows of a %s apart",
                       opened.ops->head.name, env->series);
    else
        code = opened.ops->open(opened.self, made.target, env, err);
    if (code != TG_OK)
        tg_sink_close(&opened);
    else
        *ret = opened;
    return code;
}

struct tg_sink_shown tg_sink_shown(const char *url)
{
    struct tg_sink_shown shown;
    const char *rest = url + strcspn(url, ":");
    char where[TG_URL_SHOWN];

    rest += *rest == ':';
    if (strncmp(rest, "http://", 7) == 0 || strncmp(rest, "https://", 8) == 0)
        snprintf(shown.text, sizeof shown.text, "%.*s%s", (int)TG_MIN(rest - url, 16), url,
                 tg_url_shown(rest, where));
    else
        snprintf(shown.text, sizeof shown.text, "%.*s", (int)TG_MIN(strcspn(url, "?"), (size_t)150),
                 url);
    return shown;
}

static tg_code check(const char *url, size_t *ret, struct tg_error *err)
{
    struct tg_driver_made made;
    tg_code code = tg_driver_make(head, "destination", url, &made, err);

    if (code != TG_OK)
        return code;
    *ret = made.at;
    tg_driver_unmake(&made, tg_sinks[made.at]->head.option);
    return TG_OK;
}

tg_code tg_sink_check(const char *url, struct tg_error *err)
{
    size_t at;

    return check(url, &at, err);
}

tg_code tg_sink_check_source(const char *url, struct tg_error *err)
{
    size_t at;
    tg_code code = check(url, &at, err);

    if (code != TG_OK || (tg_sinks[at]->read && tg_sinks[at]->commits))
        return code;
    tg_fail(err, TG_UNSUPPORTED, "what was written to '%s:' cannot be read again",
            tg_sinks[at]->head.name);
    return tg_hint(err, "read files, tables or a topic of Kafka");
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

static bool keep_commit(void *ctx, const struct tg_commit *commit)
{
    *(struct tg_commit *)ctx = *commit;
    return true;
}

tg_code tg_sink_last(const struct tg_sink *sink, int64_t chat_id, struct tg_commit *ret,
                     struct tg_error *err)
{
    struct tg_commit last = { 0 };
    tg_code code;

    if (sink->ops->last)
        return sink->ops->last(sink->self, chat_id, ret, err);
    code = sink->ops->commits(sink->self, chat_id, keep_commit, &last, err);
    if (code == TG_OK && !last.seq)
        code = TG_END;
    if (code == TG_OK)
        *ret = last;
    return code;
}

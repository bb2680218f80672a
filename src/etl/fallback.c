/* SPDX-License-Identifier: MIT */
/*
 * fallback.c - the list of fallbacks, and archives; see fallback.h
 */
#include "etl/fallback.h"

#include <stdlib.h>

#include "etl/checkpoint.h"

enum { ARCHIVES_MAX = 1000, URL_MAX = 4096 };

/* ---- the list ---- */

static tg_code parse_one(const char *text, size_t len, struct tg_fallback *ret,
                         struct tg_error *err)
{
    static const char archive[] = "archive", file[] = "export:";
    size_t n = sizeof archive - 1;
    const char *name = text + len;

    *ret = (struct tg_fallback){ .source = TG_FROM_ARCHIVE };
    if (len >= n && memcmp(text, archive, n) == 0 && (len == n || text[n] == ':')) {
        name = text + TG_MIN(n + 1, len);
    } else if (len > sizeof file - 1 && memcmp(text, file, sizeof file - 1) == 0) {
        ret->source = TG_FROM_EXPORT;
        name = text + sizeof file - 1;
    } else {
        tg_fail(err, TG_USAGE, "there is no fallback '%.*s'", (int)TG_MIN(len, (size_t)200), text);
        return tg_hint(err, "give archive, archive:JOB or export:FILE, separated by commas");
    }
    len -= (size_t)(name - text);
    if (len >= sizeof ret->name)
        return tg_fail(err, TG_USAGE, "the name of a fallback is longer than %d bytes",
                       TG_FALLBACK_NAME - 1);
    memcpy(ret->name, name, len);
    return ret->source == TG_FROM_ARCHIVE && len ? tg_job_name_check(ret->name, err) : TG_OK;
}

tg_code tg_fallbacks_parse(const char *list, struct tg_fallbacks *ret, struct tg_error *err)
{
    tg_code code = TG_OK;

    ret->n = 0;
    while (code == TG_OK && list) {
        size_t len = strcspn(list, ",");

        if (ret->n == TG_FALLBACKS_MAX)
            return tg_fail(err, TG_USAGE, "more than %d fallbacks", TG_FALLBACKS_MAX);
        code = parse_one(list, len, &ret->one[ret->n], err);
        ret->n += code == TG_OK;
        list = list[len] ? list + len + 1 : NULL;
    }
    return code;
}

tg_code tg_fallbacks_check(const struct tg_fallbacks *all, struct tg_error *err)
{
    tg_code code = TG_OK;

    for (size_t i = 0; code == TG_OK && i < all->n; i++)
        if (all->one[i].source == TG_FROM_EXPORT)
            code = tg_fallback_export_check(all->one[i].name, err);
    return code;
}

/* ---- archives ---- */

/* What a job has delivered of the chat. */
struct archive {
    char job[TG_JOB_NAME_MAX + 1];
    char *to;
    struct tg_cursor end;
};

struct search {
    const struct tg_fallback_ask *ask;
    const char *job; /* "": any but the own */
    struct archive *archive;
    size_t n;
    bool no_memory;
};

static void search_done(struct search *s)
{
    for (size_t i = 0; i < s->n; i++)
        free(s->archive[i].to);
    free(s->archive);
}

/* @return whether it is the key of a chat's checkpoint that is wanted; then the job's name */
static bool read_key(const struct search *s, const char *key, char job[TG_JOB_NAME_MAX + 1])
{
    const char *slash = strchr(key, '/');
    size_t len = slash ? (size_t)(slash - key) : 0;
    int64_t chat_id;

    if (!slash || len > TG_JOB_NAME_MAX || !tg_i64_parse(slash + 1, &chat_id) ||
        chat_id != s->ask->chat_id)
        return false;
    memcpy(job, key, len);
    job[len] = 0;
    return *s->job ? strcmp(job, s->job) == 0 : strcmp(job, s->ask->job->job) != 0;
}

/* One that cannot be read as a checkpoint is left out: its job says what is wrong with it. */
static bool on_checkpoint(void *ctx, const char *key, const struct tg_doc *doc, const void *bytes,
                          size_t len)
{
    struct search *s = ctx;
    struct archive one = { 0 }, *more;
    struct tg_commit commit;
    struct tg_error ignored;
    char to[URL_MAX];

    (void)doc;
    if (!read_key(s, key, one.job) || s->n == ARCHIVES_MAX ||
        tg_checkpoint_parse(bytes, len, &commit, &ignored) != TG_OK ||
        !tg_checkpoint_to(bytes, len, to, sizeof to) ||
        commit.cursor.segment == TG_SEGMENT_THREADS || /* its rows are in no order of ids */
        (commit.cursor.owner && commit.cursor.owner != s->ask->reader))
        return true;
    one.end = commit.cursor;
    one.to = strdup(to);
    more = one.to ? reallocarray(s->archive, s->n + 1, sizeof *more) : NULL;
    if (!more) {
        free(one.to);
        s->no_memory = true;
        return false;
    }
    s->archive = more;
    s->archive[s->n++] = one;
    return true;
}

static int by_reach(const void *a, const void *b)
{
    const struct archive *x = a, *y = b;

    if (x->end.segment != y->end.segment)
        return x->end.segment < y->end.segment ? -1 : 1;
    if (x->end.id != y->end.id)
        return x->end.id < y->end.id ? -1 : 1;
    return strcmp(x->job, y->job);
}

struct pass {
    const struct tg_fallback_ask *ask;
    tg_sink_taken take;
    void *ctx;
    bool ended;
};

static tg_code pass_rows(void *ctx, struct tg_batch *b, struct tg_error *err)
{
    struct pass *p = ctx;
    size_t n = 0;
    tg_code code;

    for (size_t i = 0; i < b->n; i++) {
        struct tg_row *row = &b->row[i];

        if (row->owner && row->owner != p->ask->reader)
            continue;
        TG_ROW_SET(row, source, TG_STR("archive"));
        if (!p->ask->job->raw)
            row->present &= ~TG_ROW_BIT(raw);
        b->row[n++] = *row;
    }
    b->n = n;
    b->source = TG_FROM_ARCHIVE;
    code = p->take(p->ctx, b, err);
    p->ended |= code == TG_END;
    return code;
}

static int64_t clock_us(void *ctx)
{
    (void)ctx;
    return 0; /* nothing is written */
}

static tg_code read_archive(const struct archive *a, struct pass *pass, struct tg_batch *batch,
                            struct tg_error *err)
{
    const struct tg_sink_env env = { .job = a->job, .fs = &tg_fs_system, .unix_us = clock_us };
    struct tg_sink sink;
    tg_code code = tg_sink_open(a->to, &env, &sink, err);

    if (code != TG_OK)
        return code;
    if (sink.ops->read)
        code = sink.ops->read(sink.self, pass->ask->chat_id, &pass->ask->behind, batch, pass_rows,
                              pass, err);
    else
        code = tg_fail(err, TG_UNSUPPORTED,
                       "what job '%s' delivered to %.100s cannot be read again", a->job, a->to);
    tg_sink_close(&sink);
    return code == TG_END ? TG_OK : code;
}

static tg_code read_archives(const char *job, const struct tg_fallback_ask *ask,
                             struct tg_batch *batch, struct pass *pass, struct tg_error *err)
{
    TG_CLEANUP(search_done) struct search s = { .ask = ask, .job = job };
    tg_code code = ask->store->ops->list(ask->store->self, TG_CHECKPOINT_LIVE, job, on_checkpoint,
                                         &s, err);

    if (code == TG_OK && s.no_memory)
        code = tg_fail(err, TG_NOMEM, "no memory for the archives of a chat");
    if (code == TG_OK && !s.n)
        code = tg_fail(err, TG_NOT_FOUND, *job ? "job '%s' has delivered nothing of it"
                                               : "no other job has delivered anything of it%s",
                       job);
    if (code != TG_OK)
        return code;
    qsort(s.archive, s.n, sizeof *s.archive, by_reach);
    for (size_t i = 0; i < s.n && code == TG_OK && !pass->ended; i++)
        code = read_archive(&s.archive[i], pass, batch, err);
    return code;
}

tg_code tg_fallback_read(const struct tg_fallback *from, const struct tg_fallback_ask *ask,
                         struct tg_batch *batch, tg_sink_taken take, void *ctx,
                         struct tg_error *err)
{
    struct pass pass = { .ask = ask, .take = take, .ctx = ctx };

    tg_batch_clear(batch);
    if (from->source == TG_FROM_EXPORT)
        return tg_fallback_export(from->name, ask, batch, take, ctx, err);
    return read_archives(from->name, ask, batch, &pass, err);
}

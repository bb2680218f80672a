/* SPDX-License-Identifier: MIT */
/*
 * s3.c - rows as objects of Amazon S3: `s3://BUCKET/PREFIX?format=ndjson|csv|parquet`; see
 * s3_impl.h
 *
 * Rests on conditional writes, which are tried out when the destination is opened: a server that
 * ignores them would let two runs both write a chat.
 */
#include <stdio.h>
#include <stdlib.h>

#include "sink/parquet.h"
#include "sink/s3_impl.h"

struct sink_s3 {
    struct tg_files files;
    /* options */
    int64_t format;
    const char *region, *endpoint;
    struct tg_parquet_files parquet;
    /* own */
    struct tg_s3 *s3;
};

static const struct tg_file_format *const formats[] = { &tg_format_ndjson, &tg_format_csv,
                                                        &tg_format_parquet };

/* ---- chats ---- */

static tg_code init_chat(struct tg_files *files, struct tg_parts *p, struct tg_error *err)
{
    struct sink_s3 *s = (struct sink_s3 *)files;
    struct s3_chat *c = calloc(1, sizeof *c);
    char *path = NULL;

    if (!c || asprintf(&path, "%s%s", tg_s3_name(s->s3), p->path) < 0) {
        free(c);
        return tg_fail(err, TG_NOMEM, "one more chat");
    }
    c->s3 = s->s3;
    snprintf(c->key, sizeof c->key, "%s/", p->path + 1);
    free(p->path);
    p->path = path;
    p->elsewhere = c;
    p->place = &tg_s3_place;
    return TG_OK;
}

struct chat_names {
    tg_dir_seen seen;
    void *ctx;
    char last[32];
};

static bool seen_key(void *ctx, const char *key, uint64_t size)
{
    struct chat_names *names = ctx;
    size_t n = strcspn(key, "/");

    (void)size;
    if (!key[n] || n >= sizeof names->last ||
        (strncmp(names->last, key, n) == 0 && !names->last[n]))
        return true;
    memcpy(names->last, key, n);
    names->last[n] = 0;
    return names->seen(names->ctx, names->last, true, 0);
}

static tg_code list_chats(struct tg_files *files, tg_dir_seen seen, void *ctx,
                          struct tg_error *err)
{
    struct sink_s3 *s = (struct sink_s3 *)files;
    struct chat_names names = { seen, ctx, "" };

    return tg_s3_told(tg_s3_list(s->s3, "chat_", NULL, seen_key, &names, err), err);
}

static const struct tg_files_place place = { .init = init_chat, .list = list_chats };

/* ---- the driver ---- */

static tg_code s3_open(void *self, const char *target, const struct tg_sink_env *env,
                       struct tg_error *err)
{
    struct sink_s3 *s = self;
    tg_code code = tg_files_open(&s->files, formats[s->format], "s3", env, err);

    s->files.root = "";
    s->files.place = &place;
    if (code == TG_OK && formats[s->format] == &tg_format_parquet)
        code = tg_parquet_files_open(&s->parquet, &s->files, err);
    if (code == TG_OK)
        code = tg_s3_new(target, s->region, s->endpoint, &s->s3, err);
    return code == TG_OK ? tg_s3_told(tg_s3_probe(s->s3, err), err) : code;
}

static void s3_close(void *self)
{
    struct sink_s3 *s = self;

    tg_parquet_files_close(&s->parquet);
    tg_files_close(&s->files);
    tg_s3_free(s->s3);
    s->s3 = NULL;
}

static const struct tg_option s3_option[] = {
    { .name = "format",
      .type = TG_OPT_CHOICE,
      .offset = offsetof(struct sink_s3, format),
      .fallback = "ndjson",
      .help = "what a part is",
      .choices = "ndjson|csv|parquet" },
    TG_PARQUET_OPTIONS(struct sink_s3),
    { .name = "region",
      .type = TG_OPT_STR,
      .offset = offsetof(struct sink_s3, region),
      .fallback = "",
      .value = "NAME",
      .help = "region of the bucket, else that of AWS_REGION or the profile" },
    { .name = "endpoint",
      .type = TG_OPT_STR,
      .offset = offsetof(struct sink_s3, endpoint),
      .fallback = "",
      .value = "URL",
      .help = "server, else AWS_ENDPOINT_URL_S3 or Amazon's own" },
    { 0 },
};

const struct tg_sink_ops tg_sink_s3 = {
    .head = { "s3", "objects of Amazon S3, or a server with conditional writes", s3_option,
              sizeof(struct sink_s3) },
    .open = s3_open,
    TG_FILES_OPS_BUT_CLOSE,
    .close = s3_close,
};

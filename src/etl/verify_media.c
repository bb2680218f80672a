/* SPDX-License-Identifier: MIT */
/*
 * verify_media.c - the files that rows tell of, read again: is each there, with the content that
 *                  its name and its row say?
 *
 * A file of many rows is read once for each row that follows another file's.
 */
#include <stdio.h>

#include "etl/media_home.h"
#include "etl/verify_impl.h"

enum { ROWS = 1000 };

struct media_check {
    struct verify_chat *chat;
    struct tg_media_home *home;
    struct tg_media_file last; /* that was good */
    struct tg_error first;     /* what is wrong; code TG_OK: nothing */
    struct tg_error stop;      /* what ended the reading */
};

static tg_code check_row(struct media_check *m, const struct tg_row *row, struct tg_error *err)
{
    char sha256[2 * TG_SHA256 + 1];
    struct tg_media_file f = { 0 };

    if (!tg_media_path_read(row->media_path, &f))
        return tg_fail(err, TG_GAP, "message %lld tells of '%.*s', which is no name of a file",
                       (long long)row->id, (int)TG_MIN(row->media_path.len, 100u),
                       row->media_path.at);
    tg_hex(sha256, f.sha256, TG_SHA256);
    if (!(row->present & TG_ROW_BIT(media_sha256)) ||
        !tg_str_eq(row->media_sha256, tg_str_of(sha256)))
        return tg_fail(err, TG_GAP, "message %lld tells another SHA-256 than its file's name",
                       (long long)row->id);
    if (memcmp(&f, &m->last, sizeof f) == 0)
        return TG_OK;
    if (m->home->ops->check(m->home, &f, err) != TG_OK)
        return err->code;
    m->last = f;
    return TG_OK;
}

static tg_code on_rows(void *ctx, struct tg_batch *batch, struct tg_error *err)
{
    struct media_check *m = ctx;

    for (size_t i = 0; i < batch->n; i++) {
        struct tg_error why;
        tg_code code;

        if (!(batch->row[i].present & TG_ROW_BIT(media_path)))
            continue;
        m->chat->info.media_files++;
        code = check_row(m, &batch->row[i], &why);
        if (code == TG_OK)
            continue;
        if (code != TG_GAP) {
            *err = why;
            return code;
        }
        m->chat->info.media_bad++;
        if (m->first.code == TG_OK)
            m->first = why;
    }
    return TG_OK;
}

tg_code verify_media(struct verify_chat *v, const struct tg_sink *sink, struct tg_error *err)
{
    struct media_check m = { .chat = v };
    const struct tg_cursor from = { .chat_id = v->info.chat_id };
    struct tg_batch *batch;
    tg_code code;

    if (!sink->ops->read)
        return tg_fail(err, TG_UNSUPPORTED, "rows of that destination cannot be read for their "
                                            "files");
    code = tg_media_home_open(&tg_fs_system, v->media, &m.home, err);
    if (code != TG_OK)
        return code;
    batch = tg_batch_new(ROWS);
    if (!batch) {
        tg_media_home_close(m.home);
        return tg_fail(err, TG_NOMEM, "no memory to read rows");
    }
    code = sink->ops->read(sink->self, v->info.chat_id, &from, batch, on_rows, &m, err);
    tg_batch_free(batch);
    tg_media_home_close(m.home);
    if (code == TG_OK && m.first.code != TG_OK) {
        *err = m.first;
        code = tg_hint(err, "extract it with another --job: files that are missing are fetched "
                            "again, and rows tell where they are");
    }
    return code;
}

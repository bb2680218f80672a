/* SPDX-License-Identifier: MIT */
/*
 * fallback_export.c - a Telegram Desktop export as a fallback; see fallback.h
 *
 * The file is read up to the end of the chat that is asked for, the others are passed over. It must
 * have its messages in the order of their ids, as Telegram Desktop writes them.
 */
#include "etl/fallback.h"
#include "export/rows.h"

enum { BATCH_BYTES = 16 << 20, PATH_ROOM = TG_FALLBACK_NAME + 2 };

struct reading {
    const struct tg_fs *fs;
    struct tg_dir *dir;
    struct tg_file *file;
    struct tg_export export;
    struct tg_export_row about;
    int64_t last_id, known;
    struct tg_batch *batch;
    tg_sink_taken take;
    void *ctx;
};

static void reading_done(struct reading *r)
{
    tg_export_done(&r->export);
    r->fs->close(r->fs, r->file);
    if (r->dir)
        r->fs->close_dir(r->fs, r->dir);
}

static tg_code open_file(struct reading *r, const char *path, struct tg_error *err)
{
    const char *slash = strrchr(path, '/');
    char folder[PATH_ROOM];
    size_t len = slash ? (size_t)(slash - path) : 0;
    tg_code code;

    memcpy(folder, path, len);
    memcpy(folder + len, slash ? (len ? "" : "/") : ".", slash && len ? 1 : 2);
    code = r->fs->open_dir(r->fs, folder, false, &r->dir, err);
    if (code == TG_OK)
        code = r->fs->open(r->fs, r->dir, slash ? slash + 1 : path, &r->file, err);
    return code;
}

static tg_code read_file(void *ctx, void *bytes, size_t n, size_t *ret_n, struct tg_error *err)
{
    struct reading *r = ctx;

    return r->fs->read(r->fs, r->file, bytes, n, ret_n, err);
}

tg_code tg_fallback_export_check(const char *path, struct tg_error *err)
{
    TG_CLEANUP(reading_done) struct reading r = { .fs = &tg_fs_system };
    uint8_t first;
    size_t n;
    tg_code code = open_file(&r, path, err);

    if (code == TG_OK)
        code = r.fs->read(r.fs, r.file, &first, 1, &n, err);
    if (code == TG_OK)
        return code;
    tg_fail(err, TG_USAGE, "the fallback '%.200s' cannot be read", path);
    return tg_hint(err, "export:FILE names the result.json of an export of Telegram Desktop");
}

/* Gives the rows that were read so far away. */
static tg_code give(struct reading *r, struct tg_error *err)
{
    struct tg_batch *b = r->batch;
    tg_code code = TG_OK;

    b->source = TG_FROM_EXPORT;
    if (b->n)
        code = r->take(r->ctx, b, err);
    tg_batch_clear(b);
    return code;
}

static tg_code add_message(struct reading *r, struct tg_error *err)
{
    int64_t id = tg_export_peek(&r->export), date;
    const char *wrong;
    json_t *m;
    tg_code code;

    if (id > r->last_id && id <= r->known) { /* delivered, so it was read before */
        r->last_id = id;
        return TG_OK;
    }
    id = 0;
    code = tg_export_parse(&r->export, &m, err);
    if (code != TG_OK)
        return code;
    wrong = tg_export_identity(m, &id, &date);
    if (!wrong && id > 0 && id <= r->last_id)
        wrong = "messages do not stand in the order of their ids";
    if (wrong)
        code = tg_export_fail(&r->export, wrong, err);
    else if (id > 0)
        code = tg_export_row(m, &r->about, r->batch, err);
    r->last_id = TG_MAX(r->last_id, id);
    json_decref(m);
    if (code == TG_OK && (r->batch->n == r->batch->cap || r->batch->bytes >= BATCH_BYTES))
        code = give(r, err);
    return code;
}

/* @return whether the chat at hand is the one that is asked for */
static bool is_chat(struct reading *r, const struct tg_fallback_ask *ask)
{
    const struct tg_export_chat *c = r->export.chat;
    bool bound = c->kind == TG_EXPORT_PRIVATE || c->kind == TG_EXPORT_GROUP;

    if (tg_export_marked(c->kind, c->id) != ask->chat_id)
        return false;
    if (bound && r->export.owner_id && r->export.owner_id != ask->reader)
        return false;
    r->about = (struct tg_export_row){
        .chat_id = ask->chat_id,
        .owner = bound ? ask->reader : 0,
        .reader = ask->reader,
        .kind = c->kind,
        .raw = ask->job->raw,
    };
    return true;
}

static tg_code read_chat(struct reading *r, const struct tg_fallback_ask *ask,
                         struct tg_error *err)
{
    enum tg_export_event event;
    bool inside = false;
    tg_code code;

    do {
        code = tg_export_next(&r->export, &event, err);
        if (code != TG_OK)
            break;
        if (event == TG_EXPORT_MESSAGES && !(r->export.chat->id && r->export.chat->has_type))
            code = tg_export_fail(&r->export, "a chat whose id or type stands behind its messages",
                                  err);
        else if (event == TG_EXPORT_MESSAGES)
            inside = is_chat(r, ask);
        else if (event == TG_EXPORT_MESSAGE && inside)
            code = add_message(r, err);
        else if (event == TG_EXPORT_CHAT_END && inside)
            return give(r, err);
        else if (event == TG_EXPORT_END)
            code = tg_fail(err, TG_NOT_FOUND, "'%.200s' does not have it", r->export.name);
    } while (code == TG_OK);
    return code;
}

tg_code tg_fallback_export(const char *path, const struct tg_fallback_ask *ask,
                           struct tg_batch *batch, tg_sink_taken take, void *ctx,
                           struct tg_error *err)
{
    TG_CLEANUP(reading_done) struct reading r = {
        .fs = &tg_fs_system,
        .known = ask->known,
        .batch = batch,
        .take = take,
        .ctx = ctx,
    };
    const struct tg_export_input input = { read_file, &r };
    struct tg_error late;
    tg_code code = open_file(&r, path, err), given = TG_OK;

    if (code == TG_NOT_FOUND) /* that is said of chats */
        err->code = code = TG_IO;
    if (code != TG_OK)
        return code;
    tg_export_init(&r.export, path, &input);
    code = read_chat(&r, ask, err);
    if (code != TG_OK && code != TG_END) /* what stands before the fault is good */
        given = give(&r, &late);
    if (given != TG_OK && given != TG_END) {
        *err = late;
        return given;
    }
    return code == TG_END ? TG_OK : code;
}

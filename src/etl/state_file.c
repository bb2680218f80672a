/* SPDX-License-Identifier: MIT */
/*
 * state_file.c - a backup of state: lines of JSON; see state.h
 *
 *   {"tgdata_state":1,"at":"2026-11-29T12:00:00Z"}                                    the first
 *   {"doc":"checkpoint","key":"job/-100","number":3,"at_us":1,"fence":2,"bytes":"..."}  a version
 *   {"log":"job","key":"job","number":1,"at_us":1,"bytes":"..."}                         an entry
 *   {"log":"job","key":"job","last":1}               behind a log's entries: its highest number
 *   {"lease":"job/job","token":3}
 *   {"lines":5,"sha256":"..."}                       the last: lines before it, and their digest
 *
 * Bytes are base64. A document's versions stand together, oldest first; so do a log's entries. The
 * file gets its name when it is whole and durable, and replaces none. It is read by nobody but its
 * owner: records set aside hold what people wrote.
 *
 * Limits: a line 2 MiB      Threads: one
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/json.h"
#include "base/json_read.h"
#include "base/text.h"
#include "etl/state.h"
#include "os/loop.h"
#include "store/rules.h"

enum { LINE_MAX_BYTES = 2 << 20, CHUNK = 256 << 10, FORM = 1 };

static const char *const word[] = {
    [TG_STORE_DOCS] = "doc", [TG_STORE_LOGS] = "log", [TG_STORE_LEASES] = "lease"
};

/* ---- lines ---- */

void tg_state_line_write(const struct tg_state_item *item, struct tg_buf *out)
{
    const bool lease = item->shape == TG_STORE_LEASES;
    struct tg_json j;

    tg_json_init(&j, out);
    tg_json_object(&j);
    tg_json_key(&j, word[item->shape]), tg_json_cstr(&j, lease ? item->key : item->kind);
    if (!lease)
        tg_json_key(&j, "key"), tg_json_cstr(&j, item->key);
    tg_json_key(&j, lease ? "token" : item->last ? "last" : "number");
    tg_json_u64(&j, item->number);
    if (!lease && !item->last) {
        tg_json_key(&j, "at_us"), tg_json_i64(&j, item->at_us);
        if (item->shape == TG_STORE_DOCS)
            tg_json_key(&j, "fence"), tg_json_u64(&j, item->fence);
        tg_json_key(&j, "bytes"), tg_json_base64(&j, item->bytes, item->len);
    }
    tg_json_end_object(&j);
}

enum { HAS_NAME = 1, HAS_KEY = 2, HAS_NUMBER = 4, HAS_AT = 8, HAS_FENCE = 16, HAS_BYTES = 32,
       HAS_LAST = 64, HAS_TOKEN = 128 };

/* What a line of that shape has, no more and no less. */
static bool whole(enum tg_store_shape shape, unsigned has, bool last)
{
    static const unsigned want[] = {
        [TG_STORE_DOCS] = HAS_NAME | HAS_KEY | HAS_NUMBER | HAS_AT | HAS_FENCE | HAS_BYTES,
        [TG_STORE_LOGS] = HAS_NAME | HAS_KEY | HAS_NUMBER | HAS_AT | HAS_BYTES,
        [TG_STORE_LEASES] = HAS_NAME | HAS_TOKEN,
    };

    return has == want[shape] ||
           (last && shape == TG_STORE_LOGS && has == (HAS_NAME | HAS_KEY | HAS_LAST));
}

/* A name: text without NUL, of that size at most. */
static bool take_name(struct tg_json_in *in, struct tg_buf *text, char *out, size_t max)
{
    tg_buf_clear(text);
    tg_json_take_str(in, text);
    if (in->bad || text->failed || text->len > max ||
        (text->len && memchr(text->data, 0, text->len)))
        return false;
    memcpy(out, tg_buf_cstr(text), text->len + 1);
    return true;
}

static bool take_bytes(struct tg_json_in *in, struct tg_state_room *room)
{
    tg_buf_clear(&room->text);
    tg_buf_clear(&room->bytes);
    tg_json_take_str(in, &room->text);
    return !in->bad && !room->text.failed &&
           tg_unbase64(&room->bytes, tg_buf_cstr(&room->text), room->text.len) &&
           !room->bytes.failed && room->bytes.len <= TG_STORE_DOC_MAX;
}

static bool take_field(struct tg_json_in *in, struct tg_str key, struct tg_state_room *room,
                       struct tg_state_item *item, unsigned *bit)
{
    for (int shape = TG_STORE_DOCS; shape <= TG_STORE_LEASES; shape++) {
        if (!tg_str_eq(key, tg_str_of(word[shape])))
            continue;
        *bit = HAS_NAME;
        item->shape = (enum tg_store_shape)shape;
        return shape == TG_STORE_LEASES
                   ? take_name(in, &room->text, room->key, TG_STORE_KEY_MAX)
                   : take_name(in, &room->text, room->kind, TG_STORE_KIND_MAX) && room->kind[0];
    }
    *bit = HAS_BYTES;
    if (tg_str_eq(key, TG_STR("key"))) {
        *bit = HAS_KEY;
        return take_name(in, &room->text, room->key, TG_STORE_KEY_MAX);
    }
    if (tg_str_eq(key, TG_STR("number")) || tg_str_eq(key, TG_STR("last")) ||
        tg_str_eq(key, TG_STR("token"))) {
        *bit = key.at[0] == 'n' ? HAS_NUMBER : key.at[0] == 'l' ? HAS_LAST : HAS_TOKEN;
        item->last = *bit == HAS_LAST;
        item->number = tg_json_take_u64(in);
        return item->number <= INT64_MAX && (item->number || *bit == HAS_TOKEN);
    }
    if (tg_str_eq(key, TG_STR("at_us"))) {
        *bit = HAS_AT;
        item->at_us = tg_json_take_i64(in);
        return true;
    }
    if (tg_str_eq(key, TG_STR("fence"))) {
        *bit = HAS_FENCE;
        item->fence = tg_json_take_u64(in);
        return item->fence <= INT64_MAX;
    }
    return tg_str_eq(key, TG_STR("bytes")) && take_bytes(in, room);
}

bool tg_state_line_read(const char *line, size_t len, struct tg_state_room *room,
                        struct tg_state_item *ret)
{
    struct tg_state_item item = { .kind = room->kind, .key = room->key };
    char job[TG_JOB_NAME_MAX + 1];
    unsigned has = 0, bit = 0;
    struct tg_json_in in;
    struct tg_str key;

    tg_json_in_init(&in, line, len);
    memcpy(room->kind, "lease", sizeof "lease");
    for (tg_json_enter(&in, '{'); tg_json_next_key(&in, &key);) {
        if (!take_field(&in, key, room, &item, &bit) || has & bit)
            return false;
        has |= bit;
    }
    if (!tg_json_in_done(&in) || !whole(item.shape, has, item.last) ||
        !tg_state_job_of(item.shape, item.key, job))
        return false;
    item.bytes = room->bytes.data;
    item.len = has & HAS_BYTES ? room->bytes.len : 0;
    *ret = item;
    return true;
}

/* ---- the path ---- */

static tg_code split(const char *path, char **ret_folder, char **ret_name, struct tg_error *err)
{
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;

    if (!*name || strcmp(name, ".") == 0 || strcmp(name, "..") == 0) {
        tg_fail(err, TG_USAGE, "'%.200s' is no name of a file", path);
        return tg_hint(err, "name the file that holds the backup");
    }
    *ret_folder = slash == path ? strdup("/")
                  : slash       ? strndup(path, (size_t)(slash - path))
                                : strdup(".");
    *ret_name = strdup(name);
    return *ret_folder && *ret_name ? TG_OK : tg_fail(err, TG_NOMEM, "no memory for a path");
}

/* ---- writing ---- */

static tg_code flush(struct tg_state_file *f, struct tg_error *err)
{
    tg_code code;

    if (f->buf.failed)
        return tg_fail(err, TG_NOMEM, "no memory for a backup");
    tg_sha256_add(&f->sha256, f->buf.data, f->buf.len);
    code = f->fs->write(f->fs, f->file, f->buf.data, f->buf.len, err);
    tg_buf_clear(&f->buf);
    return code;
}

static tg_code end_line(struct tg_state_file *f, struct tg_error *err)
{
    tg_buf_byte(&f->buf, '\n');
    f->lines++;
    return f->buf.len >= CHUNK || f->buf.failed ? flush(f, err) : TG_OK;
}

tg_code tg_state_file_create(const struct tg_fs *fs, const char *path, struct tg_state_file *ret,
                             struct tg_error *err)
{
    struct tg_state_file *f = ret;
    struct tg_file *there = NULL;
    struct tg_json j;
    tg_code code;

    *f = (struct tg_state_file){ .fs = fs };
    tg_buf_init(&f->buf, CHUNK + LINE_MAX_BYTES);
    code = split(path, &f->folder, &f->name, err);
    if (code == TG_OK && (asprintf(&f->aside, "%s.tmp", f->name) < 0 ||
                          !tg_sha256_init(&f->sha256)))
        code = tg_fail(err, TG_NOMEM, "no memory for a backup");
    if (code == TG_OK)
        code = fs->open_dir(fs, f->folder, false, &f->dir, err);
    if (code != TG_OK)
        return code;
    if (fs->open(fs, f->dir, f->name, &there, err) == TG_OK) {
        fs->close(fs, there);
        tg_fail(err, TG_CONFLICT, "'%.200s' is there already", path);
        return tg_hint(err, "a backup replaces none: choose another name");
    }
    code = fs->create(fs, f->dir, f->aside, true, &f->file, err);
    if (code != TG_OK)
        return code;
    tg_json_init(&j, &f->buf);
    tg_json_object(&j);
    tg_json_key(&j, "tgdata_state"), tg_json_i64(&j, FORM);
    tg_json_key(&j, "at"), tg_json_time(&j, tg_clock_unix_us() / TG_SECOND_US);
    tg_json_end_object(&j);
    return end_line(f, err);
}

tg_code tg_state_file_put(void *file, const struct tg_state_item *item, struct tg_error *err)
{
    struct tg_state_file *f = file;

    if (!tg_utf8_valid(item->kind, strlen(item->kind)) ||
        !tg_utf8_valid(item->key, strlen(item->key)))
        return tg_fail(err, TG_CORRUPT, "a name of state is no text");
    tg_state_line_write(item, &f->buf);
    f->result.entries += item->shape == TG_STORE_LOGS && !item->last;
    f->result.versions += item->shape == TG_STORE_DOCS;
    return end_line(f, err);
}

tg_code tg_state_file_finish(struct tg_state_file *f, struct tg_error *err)
{
    uint8_t digest[TG_SHA256];
    char hex[2 * TG_SHA256 + 1];
    struct tg_json j;
    tg_code code = flush(f, err);

    tg_sha256_take(&f->sha256, digest);
    tg_hex(hex, digest, sizeof digest);
    tg_json_init(&j, &f->buf);
    tg_json_object(&j);
    tg_json_key(&j, "lines"), tg_json_u64(&j, f->lines);
    tg_json_key(&j, "sha256"), tg_json_cstr(&j, hex);
    tg_json_end_object(&j);
    tg_buf_byte(&f->buf, '\n');
    if (code == TG_OK)
        code = flush(f, err);
    if (code == TG_OK)
        code = f->fs->sync(f->fs, f->file, err);
    if (code == TG_OK)
        code = f->fs->rename_new(f->fs, f->dir, f->aside, f->name, err);
    if (code == TG_OK)
        code = f->fs->sync_dir(f->fs, f->dir, err);
    return code;
}

void tg_state_file_done(struct tg_state_file *f)
{
    struct tg_error ignored;

    if (f->file) {
        f->fs->close(f->fs, f->file);
        if (f->fs->unlink(f->fs, f->dir, f->aside, &ignored) != TG_OK) {
            /* it stays beside the backup, and is written anew by the next */
        }
    }
    if (f->dir)
        f->fs->close_dir(f->fs, f->dir);
    tg_sha256_done(&f->sha256);
    tg_buf_done(&f->buf);
    free(f->folder), free(f->name), free(f->aside);
    *f = (struct tg_state_file){ 0 };
}

/* ---- reading ---- */

struct lines {
    const char *path;
    tg_state_taken take;
    void *ctx;
    struct tg_sha256_ctx sha256;
    struct tg_buf buf; /* what was read and is no whole line yet */
    struct tg_state_room room;
    uint64_t n;
    bool ended;
};

static tg_code damaged(const struct lines *l, const char *why, struct tg_error *err)
{
    tg_fail(err, TG_CORRUPT, "'%.160s' is no whole backup of state: line %llu %s", l->path,
            (unsigned long long)l->n + 1, why);
    return tg_hint(err, "nothing of it was restored; take another backup");
}

static bool take_head(const char *line, size_t len, int64_t *ret_form)
{
    struct tg_json_in in;
    struct tg_str key;
    bool form = false;

    tg_json_in_init(&in, line, len);
    for (tg_json_enter(&in, '{'); tg_json_next_key(&in, &key);) {
        if (tg_str_eq(key, TG_STR("tgdata_state"))) {
            form = true;
            *ret_form = tg_json_take_i64(&in);
        } else {
            tg_json_skip(&in);
        }
    }
    return tg_json_in_done(&in) && form;
}

/* @return whether the line is the last of the file, and what stands in it is right */
static bool take_tail(struct lines *l, const char *line, size_t len)
{
    uint8_t digest[TG_SHA256], told[TG_SHA256];
    struct tg_json_in in;
    struct tg_str key;
    uint64_t n = 0;

    memset(told, 0, sizeof told);
    tg_json_in_init(&in, line, len);
    for (tg_json_enter(&in, '{'); tg_json_next_key(&in, &key);) {
        if (tg_str_eq(key, TG_STR("lines"))) {
            n = tg_json_take_u64(&in);
        } else if (tg_str_eq(key, TG_STR("sha256"))) {
            tg_buf_clear(&l->room.text);
            tg_json_take_str(&in, &l->room.text);
            if (!tg_unhex(told, sizeof told, tg_buf_cstr(&l->room.text), l->room.text.len))
                return false;
        } else {
            return false;
        }
    }
    tg_sha256_take(&l->sha256, digest);
    return tg_json_in_done(&in) && n == l->n && memcmp(told, digest, sizeof told) == 0;
}

static tg_code take_line(struct lines *l, const char *line, size_t len, struct tg_error *err)
{
    static const char tail[] = "{\"lines\":";
    struct tg_state_item item;
    int64_t form = 0;
    tg_code code = TG_OK;

    if (l->ended)
        return damaged(l, "stands behind the end", err);
    if (len >= sizeof tail && memcmp(line, tail, sizeof tail - 1) == 0) {
        l->ended = take_tail(l, line, len);
        return l->ended ? TG_OK : damaged(l, "tells of other lines than there are", err);
    }
    if (l->n == 0) {
        if (!take_head(line, len, &form))
            return damaged(l, "is not the first of one", err);
        if (form != FORM) {
            tg_fail(err, TG_UNUSABLE, "'%.160s' is a backup of form %lld, this program knows %d",
                    l->path, (long long)form, FORM);
            return tg_hint(err, "use the program version that wrote it, or a newer one");
        }
    } else if (!tg_state_line_read(line, len, &l->room, &item)) {
        return damaged(l, "cannot be read", err);
    } else {
        code = l->take(l->ctx, &item, err);
    }
    l->n++;
    tg_sha256_add(&l->sha256, line, len + 1); /* with its end */
    return code;
}

static tg_code take_lines(struct lines *l, struct tg_error *err)
{
    size_t done = 0;
    tg_code code = TG_OK;

    while (code == TG_OK && done < l->buf.len) {
        const char *line = (const char *)l->buf.data + done;
        const char *end = memchr(line, '\n', l->buf.len - done);

        if (!end)
            break;
        code = take_line(l, line, (size_t)(end - line), err);
        done += (size_t)(end - line) + 1;
    }
    tg_buf_shift(&l->buf, done);
    if (code == TG_OK && l->buf.len > LINE_MAX_BYTES)
        code = damaged(l, "is too long", err);
    return code;
}

static tg_code read_all(struct lines *l, const struct tg_fs *fs, struct tg_file *file,
                        struct tg_error *err)
{
    size_t n = 0;
    tg_code code;

    do {
        uint8_t *room = tg_buf_extend(&l->buf, CHUNK);

        if (!room)
            return tg_fail(err, TG_NOMEM, "no memory for a backup");
        code = fs->read(fs, file, room, CHUNK, &n, err);
        l->buf.len -= CHUNK - (code == TG_OK ? n : 0);
        if (code == TG_OK)
            code = take_lines(l, err);
    } while (code == TG_OK && n);
    if (code == TG_OK && (l->buf.len || !l->ended))
        code = damaged(l, "is missing or has no end", err);
    return code;
}

tg_code tg_state_file_read(const struct tg_fs *fs, const char *path, tg_state_taken take,
                           void *ctx, struct tg_error *err)
{
    struct lines l = { .path = path, .take = take, .ctx = ctx };
    struct tg_dir *dir = NULL;
    struct tg_file *file = NULL;
    char *folder = NULL, *name = NULL;
    tg_code code = split(path, &folder, &name, err);

    tg_buf_init(&l.buf, LINE_MAX_BYTES + 2 * CHUNK);
    tg_buf_init(&l.room.bytes, TG_STORE_DOC_MAX + 3);
    tg_buf_init(&l.room.text, LINE_MAX_BYTES);
    if (code == TG_OK && !tg_sha256_init(&l.sha256))
        code = tg_fail(err, TG_NOMEM, "no memory for a backup");
    if (code == TG_OK)
        code = fs->open_dir(fs, folder, false, &dir, err);
    if (code == TG_OK)
        code = fs->open(fs, dir, name, &file, err);
    if (code == TG_NOT_FOUND)
        tg_hint(err, "`tgdata state backup STORE FILE` writes one");
    if (code == TG_OK)
        code = read_all(&l, fs, file, err);
    fs->close(fs, file);
    if (dir)
        fs->close_dir(fs, dir);
    tg_sha256_done(&l.sha256);
    tg_buf_done(&l.buf);
    tg_buf_done(&l.room.bytes);
    tg_buf_done(&l.room.text);
    free(folder), free(name);
    return code;
}

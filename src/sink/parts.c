/* SPDX-License-Identifier: MIT */
/*
 * parts.c - see parts.h; listing, checking and scanning of what is there is in parts_check.c
 *
 * After any failure the part under way is dropped and the chat must be attached again: the
 * directory, not the memory of this process, then says what was committed. That also holds when
 * only the last sync of the directory failed: attach syncs it before it reports a commit.
 */
#include "sink/parts.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "sink/parts_internal.h"

enum { MANIFEST_MAX = 64 * 1024 };

void tg_part_name(char out[TG_PART_NAME], uint64_t n, const char *suffix, const char *more)
{
    int len = snprintf(out, TG_PART_NAME, "part-%06llu%s%s", (unsigned long long)n, suffix, more);

    assert(len > 0 && len < TG_PART_NAME);
    (void)len;
}

tg_code tg_parts_init(struct tg_parts *p, const struct tg_sink_env *env, const char *root,
                      int64_t chat_id, const char *suffix, struct tg_error *err)
{
    size_t size = strlen(root) + 32;

    *p = (struct tg_parts){ .env = env, .suffix = suffix, .chat_id = chat_id };
    if (strlen(env->job) > TG_JOB_MAX)
        return tg_fail(err, TG_USAGE, "the job's name is longer than %d bytes", TG_JOB_MAX);
    p->path = malloc(size);
    if (!p->path || !tg_sha256_init(&p->sha))
        return tg_fail(err, TG_NOMEM, "directory of chat %lld", (long long)chat_id);
    snprintf(p->path, size, "%s/chat_%lld", root, (long long)chat_id);
    return TG_OK;
}

tg_code tg_parts_need_dir(struct tg_parts *p, bool create, struct tg_error *err)
{
    const struct tg_fs *fs = p->env->fs;

    return p->dir ? TG_OK : fs->open_dir(fs, p->path, create, &p->dir, err);
}

static void close_dir(struct tg_parts *p)
{
    p->env->fs->close_dir(p->env->fs, p->dir);
    p->dir = NULL;
}

void tg_parts_abort(struct tg_parts *p)
{
    const struct tg_fs *fs = p->env->fs;
    uint8_t unused[TG_SHA256];

    p->attached = false;
    if (p->file) {
        char name[TG_PART_NAME];
        struct tg_error ignored; /* attach tries again */

        fs->close(fs, p->file);
        p->file = NULL;
        tg_part_name(name, p->n + 1, p->suffix, ".tmp");
        fs->unlink(fs, p->dir, name, &ignored);
    }
    tg_sha256_take(&p->sha, unused);
    p->bytes = p->rows = 0;
}

void tg_parts_done(struct tg_parts *p)
{
    if (p->dir) {
        tg_parts_abort(p);
        close_dir(p);
    }
    tg_sha256_done(&p->sha);
    free(p->path);
    *p = (struct tg_parts){ 0 };
}

static tg_code not_attached(const struct tg_parts *p, struct tg_error *err)
{
    return tg_fail(err, TG_INTERNAL, "chat %lld was not taken up after a failure",
                   (long long)p->chat_id);
}

tg_code tg_parts_write(struct tg_parts *p, const void *bytes, size_t len, uint64_t rows,
                       struct tg_error *err)
{
    const struct tg_fs *fs = p->env->fs;
    tg_code code = TG_OK;

    if (!p->attached)
        return not_attached(p, err);
    if (!p->file) {
        char name[TG_PART_NAME];

        tg_part_name(name, p->n + 1, p->suffix, ".tmp");
        code = tg_parts_need_dir(p, true, err);
        if (code == TG_OK)
            code = fs->create(fs, p->dir, name, false, &p->file, err);
        if (code != TG_OK)
            p->file = NULL;
    }
    if (code == TG_OK)
        code = fs->write(fs, p->file, bytes, len, err);
    if (code != TG_OK) {
        tg_parts_abort(p);
        return code;
    }
    tg_sha256_add(&p->sha, bytes, len);
    p->bytes += len;
    p->rows += rows;
    return TG_OK;
}

/* Writes the manifest aside, syncs and renames it; the directory is synced after it. */
static tg_code put_manifest(struct tg_parts *p, const struct tg_manifest *m, const char *name,
                            const char *file, struct tg_error *err)
{
    struct tg_buf text;
    tg_code code;

    tg_buf_init(&text, MANIFEST_MAX);
    tg_manifest_write(m, file, p->env->unix_us(p->env->ctx), &text);
    if (text.failed)
        code = tg_fail(err, TG_NOMEM, "manifest of '%s'", p->path);
    else
        code = tg_fs_replace(p->env->fs, p->dir, name, false, text.data, text.len, err);
    tg_buf_done(&text);
    return code;
}

static void fill_manifest(struct tg_parts *p, const struct tg_commit *commit,
                          struct tg_manifest *ret)
{
    *ret = (struct tg_manifest){
        .chat_id = p->chat_id,
        .part = p->n + (p->file ? 1 : 0),
        .bytes = p->bytes,
        .commit = *commit,
    };
    snprintf(ret->job, sizeof ret->job, "%s", p->env->job);
    tg_sha256_take(&p->sha, ret->sha256);
}

static tg_code commit_part(struct tg_parts *p, const struct tg_commit *commit,
                           struct tg_error *err)
{
    const struct tg_fs *fs = p->env->fs;
    char name[TG_PART_NAME], aside[TG_PART_NAME], manifest_name[TG_PART_NAME];
    struct tg_manifest m;
    tg_code code = fs->sync(fs, p->file, err);

    if (code != TG_OK)
        return code;
    fill_manifest(p, commit, &m);
    tg_part_name(name, m.part, p->suffix, "");
    tg_part_name(aside, m.part, p->suffix, ".tmp");
    tg_part_name(manifest_name, m.part, ".json", "");
    code = put_manifest(p, &m, manifest_name, name, err);
    if (code == TG_OK)
        code = fs->rename(fs, p->dir, aside, name, err); /* the commit */
    if (code != TG_OK)
        return code;
    fs->close(fs, p->file);
    p->file = NULL;
    p->n = m.part;
    return fs->sync_dir(fs, p->dir, err);
}

static tg_code commit_cursor(struct tg_parts *p, const struct tg_commit *commit,
                             struct tg_error *err)
{
    struct tg_manifest m;
    tg_code code = tg_parts_need_dir(p, true, err);

    fill_manifest(p, commit, &m);
    return code == TG_OK ? put_manifest(p, &m, TG_CURSOR_NAME, NULL, err) : code;
}

tg_code tg_parts_commit(struct tg_parts *p, const struct tg_commit *commit, struct tg_error *err)
{
    tg_code code;

    if (!p->attached)
        return not_attached(p, err);
    if (commit->cursor.chat_id != p->chat_id || commit->seq != p->last.seq + 1 ||
        commit->rows != p->rows || commit->rows_total != p->last.rows_total + p->rows) {
        tg_fail(err, TG_INTERNAL,
                "commit %llu of chat %lld does not follow commit %llu: rows %llu of %llu written",
                (unsigned long long)commit->seq, (long long)p->chat_id,
                (unsigned long long)p->last.seq, (unsigned long long)commit->rows,
                (unsigned long long)p->rows);
        tg_parts_abort(p);
        return err->code;
    }
    code = p->file ? commit_part(p, commit, err) : commit_cursor(p, commit, err);
    if (code != TG_OK) {
        tg_parts_abort(p);
        return code;
    }
    p->last = *commit;
    p->bytes = p->rows = 0;
    if (commit->complete)
        close_dir(p);
    return TG_OK;
}

/* Makes room in the history: a part's data goes first, so that no part is ever without manifest. */
static tg_code remove_part(struct tg_parts *p, uint64_t n, struct tg_error *err)
{
    const struct tg_fs *fs = p->env->fs;
    char name[TG_PART_NAME];
    tg_code code;

    tg_part_name(name, n, p->suffix, "");
    code = fs->unlink(fs, p->dir, name, err);
    /* Synced one by one: a power failure must not keep an older removal and lose a newer one. */
    if (code == TG_OK)
        code = fs->sync_dir(fs, p->dir, err);
    tg_part_name(name, n, ".json", "");
    if (code == TG_OK)
        code = fs->unlink(fs, p->dir, name, err);
    return code;
}

tg_code tg_parts_rollback(struct tg_parts *p, uint64_t seq, struct tg_error *err)
{
    const struct tg_fs *fs = p->env->fs;
    struct tg_commit last;
    struct tg_manifest m;
    tg_code code = tg_parts_attach(p, &last, err); /* only a sound chain is cut */

    p->attached = false;
    if (code == TG_END)
        return TG_OK;
    if (code == TG_OK) {
        code = tg_parts_read_manifest(p, TG_CURSOR_NAME, &m, err);
        if (code == TG_OK && m.commit.seq > seq) {
            code = fs->unlink(fs, p->dir, TG_CURSOR_NAME, err);
            if (code == TG_OK)
                code = fs->sync_dir(fs, p->dir, err);
        } else if (code == TG_NOT_FOUND) {
            code = TG_OK;
        }
    }
    while (code == TG_OK && p->n > 0) {
        char name[TG_PART_NAME];

        tg_part_name(name, p->n, ".json", "");
        code = tg_parts_read_manifest(p, name, &m, err);
        if (code == TG_OK && m.commit.seq <= seq)
            break;
        if (code == TG_OK)
            code = remove_part(p, p->n--, err);
    }
    if (code == TG_OK)
        code = fs->sync_dir(fs, p->dir, err);
    return code;
}

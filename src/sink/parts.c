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

void tg_part_name(char out[TG_PART_NAME], uint64_t n, const char *suffix)
{
    int len = snprintf(out, TG_PART_NAME, "part-%06llu%s", (unsigned long long)n, suffix);

    assert(len > 0 && len < TG_PART_NAME);
    (void)len;
}

/* The name of the part under way. */
static void data_aside(const struct tg_parts *p, char out[TG_PART_NAME])
{
    char name[TG_PART_NAME];

    tg_part_name(name, p->n + 1, p->suffix);
    tg_aside_name(out, name, &p->fence);
}

tg_code tg_parts_init(struct tg_parts *p, const struct tg_sink_env *env, const char *root,
                      int64_t chat_id, const char *suffix, struct tg_error *err)
{
    const char *series = env->series ? env->series : "";
    size_t size = strlen(root) + strlen(series) + 33;

    *p = (struct tg_parts){ .env = env, .suffix = suffix, .chat_id = chat_id };
    if (strlen(env->job) > TG_JOB_MAX)
        return tg_fail(err, TG_USAGE, "the job's name is longer than %d bytes", TG_JOB_MAX);
    p->path = malloc(size);
    if (!p->path || !tg_sha256_init(&p->sha))
        return tg_fail(err, TG_NOMEM, "directory of chat %lld", (long long)chat_id);
    snprintf(p->path, size, "%s/%s%schat_%lld", root, series, *series ? "/" : "",
             (long long)chat_id);
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
    if (p->place) {
        p->place->abort(p);
    } else if (p->file) {
        char name[TG_PART_NAME];
        struct tg_error ignored; /* attach tries again */

        fs->close(fs, p->file);
        p->file = NULL;
        data_aside(p, name);
        fs->unlink(fs, p->dir, name, &ignored);
    }
    tg_sha256_take(&p->sha, unused);
    p->bytes = p->rows = 0;
}

void tg_parts_done(struct tg_parts *p)
{
    if (p->dir || p->place)
        tg_parts_abort(p);
    if (p->place)
        p->place->done(p);
    if (p->env)
        tg_parts_release(p);
    if (p->dir)
        close_dir(p);
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
    if (!p->file && !p->place) {
        char name[TG_PART_NAME];

        data_aside(p, name);
        code = tg_parts_need_dir(p, true, err);
        if (code == TG_OK)
            code = fs->create(fs, p->dir, name, false, &p->file, err);
        if (code != TG_OK)
            p->file = NULL;
    }
    if (code == TG_OK)
        code = p->place ? p->place->write(p, bytes, len, err)
                        : fs->write(fs, p->file, bytes, len, err);
    if (code != TG_OK) {
        tg_parts_abort(p);
        return tg_parts_blame(p, code, err);
    }
    tg_sha256_add(&p->sha, bytes, len);
    p->bytes += len;
    p->rows += rows;
    return TG_OK;
}

/* Writes a manifest aside. */
static tg_code write_aside(struct tg_parts *p, const struct tg_manifest *m, const char *file,
                           const char *aside, struct tg_file **ret, struct tg_error *err)
{
    const struct tg_fs *fs = p->env->fs;
    TG_CLEANUP(tg_buf_done) struct tg_buf text;
    struct tg_file *made;
    tg_code code;

    tg_buf_init(&text, MANIFEST_MAX);
    tg_manifest_write(m, file, p->env->unix_us(p->env->ctx), &text);
    if (text.failed)
        return tg_fail(err, TG_NOMEM, "manifest of '%s'", p->path);
    code = fs->create(fs, p->dir, aside, false, &made, err);
    if (code != TG_OK)
        return code;
    code = fs->write(fs, made, text.data, text.len, err);
    if (code != TG_OK)
        fs->close(fs, made);
    else
        *ret = made;
    return code;
}

static void fill_manifest(struct tg_parts *p, const struct tg_commit *commit,
                          struct tg_manifest *ret)
{
    *ret = (struct tg_manifest){
        .chat_id = p->chat_id,
        .part = p->n + (p->bytes ? 1 : 0),
        .bytes = p->bytes,
        .commit = *commit,
    };
    snprintf(ret->job, sizeof ret->job, "%s", p->env->job);
    tg_sha256_take(&p->sha, ret->sha256);
}

/* From here on nothing may fail that a writer who was shut out could still do. */
static tg_code publish_part(struct tg_parts *p, uint64_t n, const char *manifest_aside,
                            struct tg_error *err)
{
    const struct tg_fs *fs = p->env->fs;
    char name[TG_PART_NAME], aside[TG_PART_NAME], manifest[TG_PART_NAME];
    tg_code code = tg_parts_check_claim(p, err);

    data_aside(p, aside);
    tg_part_name(name, n, p->suffix);
    tg_part_name(manifest, n, ".json");
    if (code == TG_OK)
        code = fs->rename(fs, p->dir, manifest_aside, manifest, err);
    if (code == TG_OK)
        code = fs->sync_dir(fs, p->dir, err);
    if (code == TG_OK)
        code = fs->rename_new(fs, p->dir, aside, name, err); /* the commit */
    if (code == TG_CONFLICT && tg_parts_check_claim(p, err) == TG_OK) {
        tg_fail(err, TG_CONFLICT, "'%.160s/%.60s' was made by another program", p->path, name);
        tg_hint(err, "only one job may write to a directory; nothing was replaced");
    }
    return code;
}

static tg_code commit_part(struct tg_parts *p, const struct tg_commit *commit,
                           struct tg_error *err)
{
    const struct tg_fs *fs = p->env->fs;
    char name[TG_PART_NAME], aside[TG_PART_NAME];
    struct tg_file *file = NULL;
    struct tg_manifest m;
    struct tg_error ignored;
    tg_code code;

    fill_manifest(p, commit, &m);
    tg_part_name(name, m.part, ".json");
    tg_aside_name(aside, name, &p->fence);
    tg_part_name(name, m.part, p->suffix);
    /* Both are written before either is synced: one journal commit then carries both. */
    code = write_aside(p, &m, name, aside, &file, err);
    if (code == TG_OK)
        code = fs->sync(fs, p->file, err);
    if (code == TG_OK)
        code = fs->sync(fs, file, err);
    fs->close(fs, file);
    if (code == TG_OK)
        code = publish_part(p, m.part, aside, err);
    if (code != TG_OK) {
        fs->unlink(fs, p->dir, aside, &ignored); /* attach tries again */
        return code;
    }
    fs->close(fs, p->file);
    p->file = NULL;
    p->n = m.part;
    return fs->sync_dir(fs, p->dir, err);
}

static tg_code commit_cursor(struct tg_parts *p, const struct tg_commit *commit,
                             struct tg_error *err)
{
    const struct tg_fs *fs = p->env->fs;
    char aside[TG_PART_NAME];
    struct tg_file *file = NULL;
    struct tg_manifest m;
    struct tg_error ignored;
    tg_code code = tg_parts_need_dir(p, true, err);

    if (code != TG_OK)
        return code;
    fill_manifest(p, commit, &m);
    tg_aside_name(aside, TG_CURSOR_NAME, &p->fence);
    code = write_aside(p, &m, NULL, aside, &file, err);
    if (code == TG_OK)
        code = fs->sync(fs, file, err);
    fs->close(fs, file);
    if (code == TG_OK)
        code = tg_parts_check_claim(p, err);
    if (code == TG_OK)
        code = fs->rename(fs, p->dir, aside, TG_CURSOR_NAME, err); /* the commit */
    if (code != TG_OK) {
        fs->unlink(fs, p->dir, aside, &ignored);
        return code;
    }
    return fs->sync_dir(fs, p->dir, err);
}

static tg_code commit_elsewhere(struct tg_parts *p, const struct tg_commit *commit,
                                struct tg_error *err)
{
    struct tg_manifest m;

    fill_manifest(p, commit, &m);
    return p->place->commit(p, &m, err);
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
    if (p->place)
        code = commit_elsewhere(p, commit, err);
    else
        code = p->file ? commit_part(p, commit, err) : commit_cursor(p, commit, err);
    if (code != TG_OK) {
        tg_parts_abort(p);
        return tg_parts_blame(p, code, err);
    }
    p->last = *commit;
    p->bytes = p->rows = 0;
    if (commit->complete && !p->place)
        close_dir(p);
    return TG_OK;
}

/* Makes room in the history: a part's data goes first, so that no part is ever without manifest. */
static tg_code remove_part(struct tg_parts *p, uint64_t n, struct tg_error *err)
{
    const struct tg_fs *fs = p->env->fs;
    char name[TG_PART_NAME];
    tg_code code;

    tg_part_name(name, n, p->suffix);
    code = fs->unlink(fs, p->dir, name, err);
    /* Synced one by one: a power failure must not keep an older removal and lose a newer one. */
    if (code == TG_OK)
        code = fs->sync_dir(fs, p->dir, err);
    tg_part_name(name, n, ".json");
    if (code == TG_OK)
        code = fs->unlink(fs, p->dir, name, err);
    return code;
}

static tg_code cut(struct tg_parts *p, uint64_t seq, struct tg_error *err)
{
    const struct tg_fs *fs = p->env->fs;
    struct tg_manifest m;
    tg_code code = tg_parts_read_manifest(p, TG_CURSOR_NAME, &m, err);

    if (code == TG_OK && m.commit.seq > seq) {
        code = fs->unlink(fs, p->dir, TG_CURSOR_NAME, err);
        if (code == TG_OK)
            code = fs->sync_dir(fs, p->dir, err);
    } else if (code == TG_NOT_FOUND) {
        code = TG_OK;
    }
    while (code == TG_OK && p->n > 0) {
        char name[TG_PART_NAME];

        tg_part_name(name, p->n, ".json");
        code = tg_parts_read_manifest(p, name, &m, err);
        if (code == TG_OK && m.commit.seq <= seq)
            break;
        if (code == TG_OK)
            code = remove_part(p, p->n--, err);
    }
    return code == TG_OK ? fs->sync_dir(fs, p->dir, err) : code;
}

tg_code tg_parts_rollback(struct tg_parts *p, const struct tg_fence *fence, uint64_t seq,
                          struct tg_error *err)
{
    struct tg_lock *lock;
    struct tg_commit last;
    tg_code code = tg_parts_attach(p, fence, &last, err); /* only a sound chain is cut */

    p->attached = false;
    if (code != TG_OK)
        return code == TG_END ? TG_OK : code;
    if (p->place)
        return p->place->rollback(p, seq, err);
    code = tg_parts_lock(p, &lock, err);
    if (code != TG_OK)
        return tg_parts_blame(p, code, err);
    code = cut(p, seq, err);
    p->env->fs->unlock(p->env->fs, lock);
    return code;
}

/* SPDX-License-Identifier: MIT */
/*
 * parts_check.c - what is in a chat's directory: listed, checked, read again; see parts.h
 *
 * Taking up a chat and scanning it walk the same chain of manifests. Nothing here changes a file.
 *
 * Threads: one at a time
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "sink/parts.h"
#include "sink/parts_internal.h"

enum { MANIFEST_MAX = 64 * 1024, BLOCK = 256 * 1024 };

struct entry {
    uint64_t n;
    uint64_t size; /* of the data */
    bool data, manifest;
    bool other; /* data in another format */
};

struct listing {
    const struct tg_parts *p;
    struct entry *part;
    size_t n, cap;
    bool no_memory;
};

static void listing_done(struct listing *l)
{
    free(l->part);
}

/* @return the digits behind "part-"; 0 if there are none */
static uint64_t number_in(const char *name)
{
    uint64_t n = 0;

    if (strncmp(name, "part-", 5) != 0 || strlen(name) >= TG_PART_NAME)
        return 0;
    for (const char *at = name + 5; *at >= '0' && *at <= '9' && n < UINT64_MAX / 100; at++)
        n = n * 10 + (uint64_t)(*at - '0');
    return n;
}

/* Only the exact spelling counts. */
static bool is_part(const char *name, uint64_t n, const char *suffix)
{
    char again[TG_PART_NAME];

    tg_part_name(again, n, suffix);
    return strcmp(name, again) == 0;
}

uint64_t tg_part_number(const struct tg_parts *p, const char *name, bool *ret_manifest)
{
    uint64_t n = number_in(name);
    bool manifest = n && is_part(name, n, ".json");

    if (!n || (!manifest && !is_part(name, n, p->suffix)))
        return 0;
    if (ret_manifest)
        *ret_manifest = manifest;
    return n;
}

/* @return the number of a part in whatever format, "part-000012.x"; 0 if it is none */
static uint64_t other_number(const char *name)
{
    const char *suffix = strchr(name, '.');
    uint64_t n = number_in(name);

    return n && suffix && !strchr(suffix + 1, '.') && strlen(suffix) < 32 &&
                   is_part(name, n, suffix) ? n : 0;
}

static bool seen_entry(void *ctx, const char *name, bool is_dir, uint64_t size)
{
    struct listing *l = ctx;
    bool manifest = false;
    uint64_t n = is_dir ? 0 : tg_part_number(l->p, name, &manifest);
    bool other = n == 0 && !is_dir;

    if (other)
        n = other_number(name);
    if (n == 0)
        return true;
    if (l->n == l->cap) {
        size_t cap = l->cap ? l->cap * 2 : 64;
        struct entry *more = reallocarray(l->part, cap, sizeof *more);

        l->no_memory = !more;
        if (!more)
            return false;
        l->part = more;
        l->cap = cap;
    }
    l->part[l->n++] = (struct entry){
        .n = n,
        .size = manifest || other ? 0 : size,
        .data = !manifest && !other,
        .manifest = manifest,
        .other = other,
    };
    return true;
}

static int by_number(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;

    return x->n < y->n ? -1 : x->n > y->n;
}

/* Lists the directory: one entry per number, sorted. */
static tg_code list_parts(struct tg_parts *p, struct listing *l, struct tg_error *err)
{
    const struct tg_fs *fs = p->env->fs;
    size_t n = 0;
    tg_code code;

    *l = (struct listing){ .p = p };
    code = fs->list(fs, p->dir, seen_entry, l, err);
    if (code == TG_OK && l->no_memory)
        code = tg_fail(err, TG_NOMEM, "list of '%s'", p->path);
    if (code != TG_OK)
        return code;
    if (l->n)
        qsort(l->part, l->n, sizeof *l->part, by_number);
    for (size_t i = 0; i < l->n; i++) {
        if (n && l->part[n - 1].n == l->part[i].n) {
            l->part[n - 1].data |= l->part[i].data;
            l->part[n - 1].manifest |= l->part[i].manifest;
            l->part[n - 1].other |= l->part[i].other;
            l->part[n - 1].size += l->part[i].size;
        } else {
            l->part[n++] = l->part[i];
        }
    }
    l->n = n;
    return TG_OK;
}

tg_code tg_parts_damaged(const struct tg_parts *p, const char *name, const char *how,
                       struct tg_error *err)
{
    tg_fail(err, TG_CORRUPT, "'%.160s/%.40s' %s", p->path, name, how);
    return tg_hint(err, "restore that file from a backup; or move the chat's directory away, roll "
                        "back to --number 0 with `tgdata checkpoints rollback`, and extract the "
                        "chat again");
}

/* Of any job. */
static tg_code read_manifest(struct tg_parts *p, const char *name, struct tg_manifest *ret,
                             struct tg_error *err)
{
    struct tg_buf text;
    tg_code code;

    tg_buf_init(&text, MANIFEST_MAX);
    code = tg_fs_read_all(p->env->fs, p->dir, name, MANIFEST_MAX, &text, err);
    if (code == TG_LIMIT || (code == TG_OK && !tg_manifest_read(ret, text.data, text.len)))
        code = tg_parts_damaged(p, name, "is no whole manifest", err);
    tg_buf_done(&text);
    if (code != TG_OK)
        return code;
    return ret->chat_id == p->chat_id
               ? TG_OK
               : tg_parts_damaged(p, name, "belongs to another chat", err);
}

tg_code tg_parts_check_job(const struct tg_parts *p, const struct tg_manifest *m,
                           struct tg_error *err)
{
    if (p->env->job && strcmp(m->job, p->env->job) != 0) {
        tg_fail(err, TG_USAGE, "'%.120s' holds the output of job '%.60s', not of '%.60s'", p->path,
                m->job, p->env->job);
        return tg_hint(err, "go on with --job %.100s, or write to another directory", m->job);
    }
    return TG_OK;
}

tg_code tg_parts_read_manifest(struct tg_parts *p, const char *name, struct tg_manifest *ret,
                               struct tg_error *err)
{
    tg_code code = read_manifest(p, name, ret, err);

    if (code != TG_OK)
        return code;
    return tg_parts_check_job(p, ret, err);
}

/* Checks one part against its manifest and against the part before it. */
static tg_code check_part(struct tg_parts *p, const struct entry *e,
                          const struct tg_manifest *before, struct tg_manifest *ret,
                          struct tg_error *err)
{
    char data_name[TG_PART_NAME], name[TG_PART_NAME];
    tg_code code;

    tg_part_name(data_name, e->n, p->suffix);
    tg_part_name(name, e->n, ".json");
    if (!e->manifest)
        return tg_parts_damaged(p, data_name, "has no manifest", err);
    code = tg_parts_read_manifest(p, name, ret, err);
    if (code != TG_OK)
        return code;
    if (ret->part != e->n)
        return tg_parts_damaged(p, name, "belongs to another part", err);
    if (ret->bytes != e->size)
        return tg_parts_damaged(p, data_name, "has another size than its manifest tells", err);
    if (ret->commit.seq <= before->commit.seq ||
        ret->commit.rows_total != before->commit.rows_total + ret->commit.rows)
        return tg_parts_damaged(p, name, "does not follow the part before it", err);
    return TG_OK;
}

/* Reads a part's data: checks its digest, and gives its blocks to the reader if there is one. */
static tg_code read_part(struct tg_parts *p, const struct tg_manifest *m, uint8_t *block,
                         const struct tg_parts_reader *reader, struct tg_error *err)
{
    const struct tg_fs *fs = p->env->fs;
    struct tg_sha256_ctx sha = { 0 };
    uint8_t digest[TG_SHA256];
    char name[TG_PART_NAME];
    struct tg_file *file;
    size_t n = 1;
    tg_code code;

    tg_part_name(name, m->part, p->suffix);
    code = fs->open(fs, p->dir, name, &file, err);
    if (code != TG_OK)
        return code;
    if (!tg_sha256_init(&sha))
        code = tg_fail(err, TG_NOMEM, "digest of '%s'", name);
    while (code == TG_OK && n) {
        code = fs->read(fs, file, block, BLOCK, &n, err);
        if (code != TG_OK || n == 0)
            break;
        tg_sha256_add(&sha, block, n);
        if (reader)
            code = reader->block(reader->ctx, m, block, n, err);
    }
    fs->close(fs, file);
    if (code == TG_OK) {
        tg_sha256_take(&sha, digest);
        if (memcmp(digest, m->sha256, sizeof digest) != 0)
            code = tg_parts_damaged(p, name,
                                    "was changed: its SHA-256 is not what its manifest tells",
                                    err);
        else if (reader)
            code = reader->block(reader->ctx, m, NULL, 0, err);
    }
    tg_sha256_done(&sha);
    return code;
}

/* What a walk does with each part, besides checking its manifest. */
struct visit {
    const struct tg_parts_reader *reader; /* gets all bytes; NULL: no data is read, but for: */
    bool newest;                          /* the newest part's data is read and checked */
    tg_commit_seen seen;                  /* NULL: nobody asks */
    void *ctx;
};

/* @return TG_END if the visitor has seen enough */
static tg_code visit_part(struct tg_parts *p, const struct tg_manifest *m, uint8_t *block,
                          const struct visit *visit, struct tg_error *err)
{
    const struct tg_parts_reader *reader = visit->reader;
    bool wanted = reader && (!reader->wanted || reader->wanted(reader->ctx, m));
    tg_code code = wanted ? read_part(p, m, block, reader, err) : TG_OK;

    if (code == TG_OK && visit->seen && !visit->seen(visit->ctx, &m->commit))
        code = TG_END;
    return code;
}

/* Its manifests must not be replaced. */
tg_code tg_parts_another_format(const struct tg_parts *p, struct tg_error *err)
{
    tg_fail(err, TG_USAGE, "'%.160s' holds parts in another format than '%s'", p->path,
            p->suffix + 1);
    return tg_hint(err, "go on in that format, or write to another directory");
}

/* Walks the chain of parts: numbers 1..n without holes, each sound.
 * ret: the newest's manifest (part 0 if there is none). */
static tg_code walk(struct tg_parts *p, const struct listing *l, const struct visit *visit,
                    struct tg_manifest *ret, struct tg_error *err)
{
    TG_CLEANUP(tg_buf_done) struct tg_buf block;
    struct tg_manifest before = { 0 }, m;
    uint64_t n = 0;
    tg_code code = TG_OK;

    tg_buf_init(&block, BLOCK);
    if (!tg_buf_grow(&block, BLOCK))
        return tg_fail(err, TG_NOMEM, "check of '%s'", p->path);
    for (size_t i = 0; i < l->n && code == TG_OK; i++) {
        char name[TG_PART_NAME];

        if (!l->part[i].data && l->part[i].manifest && l->part[i].other)
            return tg_parts_another_format(p, err);
        if (!l->part[i].data)
            continue; /* the manifest of a commit that did not happen */
        if (l->part[i].n != ++n) {
            tg_part_name(name, n, p->suffix);
            return tg_parts_damaged(p, name, "is missing, but later parts are there", err);
        }
        code = check_part(p, &l->part[i], &before, &m, err);
        if (code == TG_OK)
            code = visit_part(p, &m, block.data, visit, err);
        if (code == TG_OK)
            before = m;
    }
    if (code == TG_OK && visit->newest && n > 0)
        code = read_part(p, &before, block.data, NULL, err);
    if (code == TG_OK)
        *ret = before;
    return code;
}

/* Reads _cursor.json if there is one; seq 0 if not. */
static tg_code read_cursor(struct tg_parts *p, struct tg_manifest *ret, struct tg_error *err)
{
    struct tg_manifest m = { 0 };
    tg_code code = tg_parts_read_manifest(p, TG_CURSOR_NAME, &m, err);

    if (code == TG_NOT_FOUND)
        m = (struct tg_manifest){ 0 };
    else if (code != TG_OK)
        return code;
    *ret = m;
    return TG_OK;
}

/* Takes the newer of the last part's commit and the cursor's. */
static tg_code merge_cursor(struct tg_parts *p, const struct tg_manifest *newest,
                            const struct tg_manifest *cursor, struct tg_commit *ret,
                            struct tg_error *err)
{
    *ret = newest->commit;
    if (cursor->part > newest->part)
        return tg_parts_damaged(p, TG_CURSOR_NAME, "stands behind a part that is missing", err);
    if (cursor->commit.seq <= newest->commit.seq)
        return TG_OK; /* superseded, or none */
    if (cursor->part != newest->part || cursor->commit.rows_total != newest->commit.rows_total)
        return tg_parts_damaged(p, TG_CURSOR_NAME, "does not follow the last part", err);
    *ret = cursor->commit;
    return TG_OK;
}

/*
 * Reads cursor, list and chain. Another may write meanwhile: the cursor is read first, so that the
 * parts it stands behind are in the list that is made next.
 */
static tg_code read_chain(struct tg_parts *p, const struct visit *visit,
                          struct tg_manifest *ret_newest, struct tg_commit *ret_last,
                          struct tg_error *err)
{
    TG_CLEANUP(listing_done) struct listing l = { 0 };
    struct tg_manifest cursor;
    tg_code code = read_cursor(p, &cursor, err);

    if (code == TG_OK)
        code = list_parts(p, &l, err);
    if (code == TG_OK)
        code = walk(p, &l, visit, ret_newest, err);
    if (code == TG_OK)
        code = merge_cursor(p, ret_newest, &cursor, ret_last, err);
    return code;
}

static tg_code attach_elsewhere(struct tg_parts *p, const struct tg_fence *fence,
                                struct tg_commit *ret, struct tg_error *err)
{
    tg_code code = p->place->attach(p, fence, err);

    p->attached = code == TG_OK;
    if (code == TG_OK && p->last.seq == 0)
        return TG_END;
    if (code == TG_OK)
        *ret = p->last;
    return code;
}

tg_code tg_parts_attach(struct tg_parts *p, const struct tg_fence *fence, struct tg_commit *ret,
                        struct tg_error *err)
{
    const struct tg_fs *fs = p->env->fs;
    const struct visit check = { .newest = true };
    struct tg_manifest newest;
    struct tg_commit last;
    tg_code code;

    tg_parts_abort(p);
    if (p->place)
        return attach_elsewhere(p, fence, ret, err);
    code = tg_parts_need_dir(p, true, err);
    if (code == TG_OK)
        code = tg_parts_claim(p, fence, err);
    if (code == TG_OK)
        code = read_chain(p, &check, &newest, &last, err);
    /* A rename that was seen may still be volatile: the run before may have died at this point. */
    if (code == TG_OK)
        code = fs->sync_dir(fs, p->dir, err);
    if (code != TG_OK)
        return tg_parts_blame(p, code, err);
    p->n = newest.part;
    p->last = last;
    p->attached = true;
    if (last.seq == 0)
        return TG_END;
    *ret = last;
    return TG_OK;
}

static tg_code read_all(struct tg_parts *p, const struct visit *visit, struct tg_error *err)
{
    struct tg_manifest newest;
    struct tg_commit last;
    tg_code code = tg_parts_need_dir(p, false, err);

    if (code == TG_OK)
        code = read_chain(p, visit, &newest, &last, err);
    if (code == TG_OK && visit->seen && last.seq != newest.commit.seq)
        visit->seen(visit->ctx, &last);
    return code == TG_END ? TG_OK : code;
}

tg_code tg_parts_scan(struct tg_parts *p, const struct tg_parts_reader *reader,
                      struct tg_error *err)
{
    return p->place ? p->place->scan(p, reader, err)
                    : read_all(p, &(struct visit){ .reader = reader }, err);
}

tg_code tg_parts_commits(struct tg_parts *p, tg_commit_seen seen, void *ctx, struct tg_error *err)
{
    tg_code code = p->place ? p->place->commits(p, seen, ctx, err)
                            : read_all(p, &(struct visit){ .seen = seen, .ctx = ctx }, err);

    return code == TG_NOT_FOUND ? TG_OK : code;
}

tg_code tg_parts_job(struct tg_parts *p, char ret[TG_JOB_MAX + 1], struct tg_error *err)
{
    TG_CLEANUP(listing_done) struct listing l = { 0 };
    char name[TG_PART_NAME] = TG_CURSOR_NAME;
    struct tg_manifest m;
    tg_code code;

    if (p->place)
        return p->place->job(p, ret, err);
    code = tg_parts_need_dir(p, false, err);

    if (code == TG_OK)
        code = list_parts(p, &l, err);
    for (size_t i = 0; i < l.n && code == TG_OK; i++) {
        if (l.part[i].other && !l.part[i].data)
            return tg_fail(err, TG_NOT_FOUND, "'%s' holds another format", p->path);
        if (l.part[i].data && l.part[i].manifest) {
            tg_part_name(name, l.part[i].n, ".json");
            break;
        }
    }
    if (code == TG_OK)
        code = read_manifest(p, name, &m, err);
    if (code == TG_OK)
        snprintf(ret, TG_JOB_MAX + 1, "%s", m.job);
    return code;
}

/* SPDX-License-Identifier: MIT */
/*
 * parts_fence.c - one writer per chat, although writers may be stopped and wake up; see parts.h
 *
 * A writer is shut out without a lock, since a lock would be held by one that sleeps. Two facts do
 * it: each writer makes a file _writer.<tag> of its own, which a newer one removes; and everything
 * a writer publishes it first has aside under a name with its tag, which a newer one removes too.
 *
 *   a commit                         taking over
 *   1 data and manifest aside        1 make _writer.<own tag>
 *   2 is _writer.<own tag> there?    2 a newer one there? then give way
 *   3 rename them                    3 remove older _writer.*
 *                                    4 remove what lies aside under older tags, until none is left
 *                                    5 read what is committed
 *
 * If 2 (left) comes after 3 (right), the old writer stops. If it comes before, what it wants to
 * rename was there before step 4: either the rename comes first, and step 5 reads a whole commit,
 * or it finds nothing to rename any more. After step 4 nothing that an older writer made can get a
 * final name. A writer never removes a final name: between looking and removing it might sleep.
 *
 * Only going back removes parts. It cannot be shut out in the middle, so it holds a lock that
 * whoever takes the chat up looks at after step 3.
 *
 * Threads: one at a time
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "sink/parts.h"
#include "sink/parts_internal.h"

#define WRITER_PREFIX "_writer."
#define ROLLBACK_LOCK ".rollback"
enum { PASSES_MAX = 64 };

void tg_fence_tag(char out[TG_TAG], const struct tg_fence *fence)
{
    int n = snprintf(out, TG_TAG, "%llu-%08x", (unsigned long long)fence->token, fence->nonce);

    assert(n > 0 && n < TG_TAG);
    (void)n;
}

void tg_aside_name(char out[TG_PART_NAME], const char *name, const struct tg_fence *fence)
{
    char tag[TG_TAG];
    int n;

    tg_fence_tag(tag, fence);
    n = snprintf(out, TG_PART_NAME, "%s.%s.tmp", name, tag);
    assert(n > 0 && n < TG_PART_NAME);
    (void)n;
}

static void writer_name(char out[TG_PART_NAME], const struct tg_fence *fence)
{
    char tag[TG_TAG];

    tg_fence_tag(tag, fence);
    snprintf(out, TG_PART_NAME, WRITER_PREFIX "%s", tag);
}

bool tg_fence_read(const char *text, size_t len, struct tg_fence *ret)
{
    struct tg_fence f = { 0 };
    char again[TG_TAG];
    char *end;

    if (len == 0 || len >= TG_TAG || *text < '0' || *text > '9')
        return false;
    f.token = strtoull(text, &end, 10);
    if (*end != '-')
        return false;
    f.nonce = (uint32_t)strtoul(end + 1, NULL, 16);
    tg_fence_tag(again, &f);
    if (strlen(again) != len || memcmp(again, text, len) != 0)
        return false;
    *ret = f;
    return true;
}

int tg_fence_compare(const struct tg_fence *a, const struct tg_fence *b)
{
    if (a->token != b->token)
        return a->token < b->token ? -1 : 1;
    return a->nonce < b->nonce ? -1 : a->nonce > b->nonce;
}

/* ---- what writers leave in a directory ---- */

struct trace {
    char name[TG_PART_NAME];
    struct tg_fence fence;
    bool writer; /* _writer.<tag>; else something aside */
};

struct traces {
    const struct tg_parts *p;
    struct trace *at;
    size_t n, cap;
    bool no_memory;
};

static void traces_done(struct traces *t)
{
    free(t->at);
}

/* Is it "<name of ours>.<tag>.tmp"? */
static bool is_aside(const struct tg_parts *p, const char *name, struct tg_fence *ret)
{
    static const char tail[] = ".tmp";
    size_t len = strlen(name), at;
    char base[TG_PART_NAME];

    if (len < sizeof tail || strcmp(name + len - 4, tail) != 0)
        return false;
    len -= 4;
    for (at = len; at > 0 && name[at - 1] != '.';)
        at--;
    if (at < 2 || !tg_fence_read(name + at, len - at, ret))
        return false;
    memcpy(base, name, at - 1);
    base[at - 1] = 0;
    return strcmp(base, TG_CURSOR_NAME) == 0 || tg_part_number(p, base, NULL) != 0;
}

static bool seen_trace(void *ctx, const char *name, bool is_dir, uint64_t size)
{
    struct traces *t = ctx;
    struct trace one = { .writer = false };
    size_t prefix = strlen(WRITER_PREFIX), len = strlen(name);

    (void)size;
    if (is_dir || len >= TG_PART_NAME)
        return true;
    one.writer = strncmp(name, WRITER_PREFIX, prefix) == 0 &&
                 tg_fence_read(name + prefix, len - prefix, &one.fence);
    if (!one.writer && !is_aside(t->p, name, &one.fence))
        return true;
    memcpy(one.name, name, len + 1);
    if (t->n == t->cap) {
        size_t cap = t->cap ? t->cap * 2 : 16;
        struct trace *more = reallocarray(t->at, cap, sizeof *more);

        t->no_memory = !more;
        if (!more)
            return false;
        t->at = more;
        t->cap = cap;
    }
    t->at[t->n++] = one;
    return true;
}

static tg_code newer_writer(struct tg_parts *p, const struct trace *other, struct tg_error *err)
{
    struct tg_error ignored;
    char own[TG_PART_NAME];

    writer_name(own, &p->fence);
    p->env->fs->unlink(p->env->fs, p->dir, own, &ignored);
    tg_fail(err, TG_CONFLICT, "'%.200s' was taken over by another run", p->path);
    return tg_hint(err, "if none is under way (the state file was lost or replaced), remove "
                        "'%.60s' in that directory and start again", other->name);
}

/*
 * Steps 2 to 4, once over the directory. What lies aside is removed only on a pass that found no
 * older writer, so that it was listed after the last of them was shut out. ret: nothing was found.
 */
static tg_code shut_out(struct tg_parts *p, bool *ret_clean, struct tg_error *err)
{
    const struct tg_fs *fs = p->env->fs;
    TG_CLEANUP(traces_done) struct traces t = { .p = p };
    size_t n_older = 0, n_removed = 0;
    tg_code code = fs->list(fs, p->dir, seen_trace, &t, err);

    if (code == TG_OK && t.no_memory)
        code = tg_fail(err, TG_NOMEM, "list of '%s'", p->path);
    for (size_t i = 0; code == TG_OK && i < t.n; i++) {
        int order = tg_fence_compare(&t.at[i].fence, &p->fence);

        if (t.at[i].writer && order > 0)
            return newer_writer(p, &t.at[i], err);
        n_older += t.at[i].writer && order < 0;
    }
    for (size_t i = 0; code == TG_OK && i < t.n; i++) {
        int order = tg_fence_compare(&t.at[i].fence, &p->fence);

        if (t.at[i].writer ? order < 0 : order <= 0 && n_older == 0) {
            code = fs->unlink(fs, p->dir, t.at[i].name, err);
            n_removed++;
        }
    }
    if (code == TG_OK)
        *ret_clean = n_removed == 0;
    return code;
}

/* A rollback that is under way cannot be shut out; it must end first. */
static tg_code wait_for_no_rollback(struct tg_parts *p, struct tg_error *err)
{
    const struct tg_fs *fs = p->env->fs;
    struct tg_lock *lock;
    struct tg_file *file;
    tg_code code = fs->open(fs, p->dir, ROLLBACK_LOCK, &file, err);

    if (code != TG_OK)
        return code == TG_NOT_FOUND ? TG_OK : code;
    fs->close(fs, file);
    code = fs->lock(fs, p->dir, ROLLBACK_LOCK, &lock, err);
    if (code == TG_OK)
        fs->unlock(fs, lock);
    return code;
}

tg_code tg_parts_claim(struct tg_parts *p, const struct tg_fence *fence, struct tg_error *err)
{
    const struct tg_fs *fs = p->env->fs;
    struct tg_file *file;
    char own[TG_PART_NAME];
    bool clean = false, clean_before = false;
    tg_code code;

    p->fence = *fence;
    writer_name(own, fence);
    code = fs->create(fs, p->dir, own, false, &file, err);
    if (code != TG_OK)
        return code;
    fs->close(fs, file);
    p->claimed = true;
    /* A list made while a name changes may show neither the old nor the new one: so two clean ones
     * in a row once something was found. */
    for (int pass = 0; code == TG_OK && !(clean && (clean_before || pass == 1)); pass++) {
        clean_before = clean;
        code = shut_out(p, &clean, err);
        if (code == TG_OK && pass == PASSES_MAX)
            code = tg_fail(err, TG_BUSY, "'%.200s' keeps changing", p->path);
    }
    return code == TG_OK ? wait_for_no_rollback(p, err) : code;
}

tg_code tg_parts_check_claim(struct tg_parts *p, struct tg_error *err)
{
    const struct tg_fs *fs = p->env->fs;
    struct tg_file *file;
    char own[TG_PART_NAME];
    tg_code code;

    writer_name(own, &p->fence);
    code = fs->open(fs, p->dir, own, &file, err);
    if (code == TG_OK) {
        fs->close(fs, file);
    } else if (code == TG_NOT_FOUND) {
        code = tg_fail(err, TG_CONFLICT, "'%.200s' was taken over by another run", p->path);
        tg_hint(err, "this run has stopped; what it had committed is kept, and the other run goes "
                     "on from there");
    }
    return code;
}

tg_code tg_parts_blame(struct tg_parts *p, tg_code code, struct tg_error *err)
{
    struct tg_error why;

    if (p->claimed && p->dir && code != TG_CONFLICT &&
        tg_parts_check_claim(p, &why) == TG_CONFLICT) {
        *err = why;
        return TG_CONFLICT;
    }
    return code;
}

void tg_parts_release(struct tg_parts *p)
{
    const struct tg_fs *fs = p->env->fs;
    struct tg_error ignored;
    char own[TG_PART_NAME];

    if (!p->claimed)
        return;
    p->claimed = false;
    writer_name(own, &p->fence);
    if (tg_parts_need_dir(p, false, &ignored) == TG_OK)
        fs->unlink(fs, p->dir, own, &ignored); /* else the next writer removes it */
}

tg_code tg_parts_lock(struct tg_parts *p, struct tg_lock **ret, struct tg_error *err)
{
    const struct tg_fs *fs = p->env->fs;
    struct tg_lock *lock;
    struct tg_file *file;
    tg_code code = fs->open(fs, p->dir, ROLLBACK_LOCK, &file, err);

    if (code == TG_NOT_FOUND)
        code = fs->create(fs, p->dir, ROLLBACK_LOCK, false, &file, err);
    if (code != TG_OK)
        return code;
    fs->close(fs, file);
    code = fs->lock(fs, p->dir, ROLLBACK_LOCK, &lock, err);
    if (code != TG_OK)
        return code;
    code = tg_parts_check_claim(p, err); /* whoever came before the lock has shut this one out */
    if (code != TG_OK)
        fs->unlock(fs, lock);
    else
        *ret = lock;
    return code;
}

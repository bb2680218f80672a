/* SPDX-License-Identifier: MIT */
/*
 * s3_parts.c - parts of a chat in S3: taken up, written, taken back, read; see s3_impl.h
 *
 * A part is sent in pieces of 8 MiB while it is written, so that it waits in no file; one that is
 * smaller is sent at its commit. What a writer that died has left - files that no manifest names,
 * pieces of files - is removed by whoever takes the chat up next.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "sink/s3_impl.h"

enum { PIECE = 8 << 20, TRIES = 20 };

/* ---- taking up ---- */

static tg_code newer_writer(const struct tg_parts *p, struct tg_error *err)
{
    tg_fail(err, TG_CONFLICT, "'%.200s' was taken over by another run", p->path);
    return tg_hint(err, "this run has stopped; what it had committed is kept, and the other run "
                        "goes on from there");
}

/* The last slot that holds a commit, by halving: slots 1..n hold one, no later one does. */
static tg_code find_last(struct tg_parts *p, uint64_t top, struct s3_slot *ret, uint64_t *ret_n,
                         struct tg_error *err)
{
    uint64_t low = 0, high = top + 1;

    *ret = (struct s3_slot){ .state = S3_NOTHING };
    for (uint64_t at = top > 1 ? top - 1 : top; high - low > 1; at = low + (high - low) / 2) {
        struct s3_slot slot;
        tg_code code;

        if (at <= low || at >= high)
            at = low + (high - low) / 2;
        code = tg_s3_read_slot(p, at, &slot, err);
        if (code != TG_OK)
            return code;
        if (slot.state != S3_COMMIT) {
            high = at;
            continue;
        }
        low = at;
        *ret = slot;
    }
    *ret_n = low;
    return TG_OK;
}

/* What stands at the end of a chat. */
struct end {
    uint64_t n;
    struct s3_slot last, live; /* slots n and n+1 */
};

static tg_code read_end(struct tg_parts *p, struct s3_listing *l, struct end *ret,
                        struct tg_error *err)
{
    tg_code code = find_last(p, l->top, &ret->last, &ret->n, err);

    ret->live = (struct s3_slot){ .state = S3_NOTHING };
    if (code == TG_OK && ret->n < l->top)
        code = tg_s3_read_slot(p, ret->n + 1, &ret->live, err);
    return code == TG_OK && ret->n ? tg_s3_find_rows(p, l, &ret->last.m, err) : code;
}

/* The last commit: the newest part's, or a later one without rows. */
static tg_code last_commit(struct tg_parts *p, const struct end *end, struct tg_commit *ret,
                           struct tg_error *err)
{
    const struct tg_manifest *cursor = &end->live.m;

    *ret = end->last.m.commit;
    if (!end->live.has_manifest)
        return TG_OK;
    if (cursor->part != end->n || cursor->commit.seq <= ret->seq ||
        cursor->commit.rows_total != ret->rows_total)
        return tg_parts_damaged(p, "the cursor", "does not follow the last part", err);
    *ret = cursor->commit;
    return TG_OK;
}

/* Files that no manifest names. */
static tg_code remove_leftovers(struct tg_parts *p, const struct s3_listing *l, uint64_t n,
                                struct tg_error *err)
{
    struct s3_chat *c = tg_s3_chat(p);
    tg_code code = TG_OK;

    for (size_t i = 0; i < l->n && code == TG_OK; i++) {
        const struct s3_entry *e = &l->at[i];
        bool alone = !(i && l->at[i - 1].n == e->n && !l->at[i - 1].slot) &&
                     !(i + 1 < l->n && l->at[i + 1].n == e->n && !l->at[i + 1].slot);
        struct s3_slot slot = { .state = S3_NOTHING };
        struct s3_key key;

        if (e->slot || (e->n <= n && alone))
            continue;
        if (e->n <= n)
            code = tg_s3_read_slot(p, e->n, &slot, err);
        if (code == TG_OK && strcmp(slot.m.file, e->name) != 0)
            code = tg_s3_told(tg_s3_drop(c->s3, tg_s3_key(p, e->name, &key), err), err);
    }
    if (code == TG_OK)
        code = tg_s3_told(tg_s3_abort_all(c->s3, c->key, err), err);
    return code;
}

/* Claims the live slot. @return TG_AGAIN: somebody was faster */
static tg_code claim(struct tg_parts *p, struct end *end, struct tg_error *err)
{
    bool rolling = end->live.state == S3_ROLLBACK;
    tg_code code;

    if (tg_fence_compare(&end->live.writer, &p->fence) > 0 ||
        (end->n && tg_fence_compare(&end->last.writer, &p->fence) > 0))
        return newer_writer(p, err);
    end->live.state = S3_CLAIM;
    end->live.writer = p->fence;
    code = tg_s3_write_slot(p, end->n + 1, &end->live, false, err);
    if (code == TG_OK && rolling && end->n) {
        end->last.writer = p->fence;
        code = tg_s3_write_slot(p, end->n, &end->last, true, err);
    }
    return code == TG_CONFLICT ? TG_AGAIN : code;
}

static tg_code attach(struct tg_parts *p, const struct tg_fence *fence, struct tg_error *err)
{
    struct s3_chat *c = tg_s3_chat(p);
    tg_code code = TG_AGAIN;

    p->fence = *fence;
    for (int i = 0; code == TG_AGAIN; i++) {
        TG_CLEANUP(tg_s3_listing_done) struct s3_listing l = { .n = 0 };
        struct end end;

        if (i == TRIES)
            return tg_fail(err, TG_BUSY, "'%.200s' keeps changing", p->path);
        code = tg_s3_list_chat(p, &l, err);
        if (code == TG_OK)
            code = read_end(p, &l, &end, err);
        if (code == TG_OK)
            code = last_commit(p, &end, &p->last, err);
        if (code == TG_OK)
            code = claim(p, &end, err);
        if (code != TG_OK)
            continue;
        code = remove_leftovers(p, &l, end.n, err);
        p->n = end.n;
        c->live = end.live.etag;
        c->top = TG_MAX(l.top, end.n + 1);
    }
    return code;
}

/* ---- writing ---- */

static tg_code send_piece(struct tg_parts *p, struct tg_error *err)
{
    struct s3_chat *c = tg_s3_chat(p);
    struct s3_key key;
    struct tg_s3_etag *more;
    tg_code code = TG_OK;

    tg_s3_key(p, c->file, &key);
    if (!*c->upload)
        code = tg_s3_upload(c->s3, key.at, c->upload, err);
    if (code != TG_OK)
        return code;
    if (c->n_pieces == TG_S3_PIECES_MAX)
        return tg_fail(err, TG_LIMIT, "a part of chat %lld is larger than %d MiB",
                       (long long)p->chat_id, (PIECE >> 20) * TG_S3_PIECES_MAX);
    more = reallocarray(c->etag, c->n_pieces + 1, sizeof *more);
    if (!more)
        return tg_fail(err, TG_NOMEM, "list of pieces");
    c->etag = more;
    code = tg_s3_piece(c->s3, key.at, c->upload, c->n_pieces + 1, c->piece.data, c->piece.len,
                       &c->etag[c->n_pieces], err);
    c->n_pieces += code == TG_OK;
    tg_buf_clear(&c->piece);
    return code;
}

static tg_code write(struct tg_parts *p, const void *bytes, size_t len, struct tg_error *err)
{
    struct s3_chat *c = tg_s3_chat(p);
    tg_code code = TG_OK;

    if (!*c->file) {
        char tag[TG_TAG], end[TG_PART_NAME / 2];

        tg_fence_tag(tag, &p->fence);
        snprintf(end, sizeof end, ".%s.%u%s", tag, ++c->attempts, p->suffix);
        tg_part_name(c->file, p->n + 1, end);
        tg_buf_init(&c->piece, PIECE);
    }
    while (len && code == TG_OK) {
        size_t n = TG_MIN(len, PIECE - c->piece.len);

        tg_buf_add(&c->piece, bytes, n);
        bytes = (const char *)bytes + n;
        len -= n;
        if (c->piece.failed)
            return tg_fail(err, TG_NOMEM, "no memory for rows");
        if (c->piece.len == PIECE)
            code = send_piece(p, err);
    }
    return tg_s3_told(code, err);
}

/* The file's own bytes are safe, under a name that no manifest has yet. */
static tg_code finish_file(struct tg_parts *p, struct tg_error *err)
{
    struct s3_chat *c = tg_s3_chat(p);
    struct s3_key key;
    tg_code code = TG_OK;

    tg_s3_key(p, c->file, &key);
    if (!*c->upload)
        return tg_s3_put(c->s3, key.at, NULL, c->piece.data, c->piece.len, NULL, err);
    if (c->piece.len)
        code = send_piece(p, err);
    if (code == TG_OK)
        code = tg_s3_finish(c->s3, key.at, c->upload, c->etag, c->n_pieces, err);
    if (code == TG_OK)
        c->upload[0] = 0;
    return code;
}

/* Forgets the file. */
static void end_file(struct s3_chat *c)
{
    tg_buf_done(&c->piece);
    free(c->etag);
    c->etag = NULL;
    c->n_pieces = 0;
    c->upload[0] = c->file[0] = 0;
}

static void drop_file(struct tg_parts *p)
{
    struct s3_chat *c = tg_s3_chat(p);
    struct tg_error ignored; /* whoever takes the chat up next tries again */
    struct s3_key key;

    if (!c)
        return;
    if (*c->upload)
        tg_s3_abort(c->s3, tg_s3_key(p, c->file, &key), c->upload, &ignored);
    end_file(c);
}

/* What the next commit must find at its slot. Behind a rollback claims are left there. */
static tg_code look_at_live(struct tg_parts *p, struct tg_error *err)
{
    struct s3_chat *c = tg_s3_chat(p);
    struct s3_slot slot;
    tg_code code;

    c->live.at[0] = 0;
    if (p->n + 1 > c->top) {
        c->top = p->n;
        return TG_OK;
    }
    code = tg_s3_read_slot(p, p->n + 1, &slot, err);
    if (code == TG_OK && slot.state != S3_NOTHING &&
        tg_fence_compare(&slot.writer, &p->fence) > 0)
        return newer_writer(p, err);
    c->live = slot.etag;
    return code;
}

static tg_code commit(struct tg_parts *p, const struct tg_manifest *m, struct tg_error *err)
{
    struct s3_chat *c = tg_s3_chat(p);
    struct s3_slot slot = { .state = *c->file ? S3_COMMIT : S3_CLAIM, .etag = c->live,
                            .writer = p->fence, .has_manifest = true, .m = *m };
    tg_code code = TG_OK;

    if (*c->file) {
        memcpy(slot.m.file, c->file, sizeof slot.m.file);
        code = tg_s3_told(finish_file(p, err), err);
    }
    if (code == TG_OK)
        code = tg_s3_write_slot(p, p->n + 1, &slot, false, err);
    if (code == TG_CONFLICT)
        return newer_writer(p, err);
    if (code != TG_OK)
        return code;
    c->live = slot.etag;
    c->top = TG_MAX(c->top, p->n + 1);
    if (*c->file) {
        p->n++;
        end_file(c);
        code = look_at_live(p, err);
    }
    return code;
}

/* ---- taking back ---- */

/* Takes back the last part, if it is behind seq. @return TG_END: it is not */
static tg_code take_back(struct tg_parts *p, uint64_t seq, struct tg_error *err)
{
    struct s3_chat *c = tg_s3_chat(p);
    struct s3_slot slot, above;
    char file[TG_PART_NAME];
    struct s3_key key;
    tg_code code = tg_s3_read_slot(p, p->n, &slot, err);

    if (code == TG_OK && slot.state != S3_COMMIT)
        return newer_writer(p, err);
    if (code == TG_OK && slot.m.commit.seq <= seq)
        return TG_END;
    if (code == TG_OK)
        code = tg_s3_read_slot(p, p->n + 1, &above, err);
    if (code != TG_OK)
        return code;
    if (above.state != S3_ROLLBACK || tg_fence_compare(&above.writer, &p->fence) != 0)
        return newer_writer(p, err);
    memcpy(file, slot.m.file, sizeof file);
    slot.state = S3_ROLLBACK;
    slot.writer = p->fence;
    slot.has_manifest = false;
    code = tg_s3_write_slot(p, p->n, &slot, false, err);
    if (code != TG_OK)
        return code == TG_CONFLICT ? newer_writer(p, err) : code;
    c->live = slot.etag;
    p->n--;
    return tg_s3_told(tg_s3_drop(c->s3, tg_s3_key(p, file, &key), err), err);
}

static tg_code rollback(struct tg_parts *p, uint64_t seq, struct tg_error *err)
{
    struct s3_slot slot = { .state = S3_ROLLBACK, .etag = tg_s3_chat(p)->live,
                            .writer = p->fence };
    tg_code code;

    if (p->last.seq <= seq)
        return TG_OK;
    code = tg_s3_write_slot(p, p->n + 1, &slot, false, err); /* the cursor goes with it */
    tg_s3_chat(p)->live = slot.etag;
    while (code == TG_OK && p->n)
        code = take_back(p, seq, err);
    if (code != TG_OK && code != TG_END)
        return code == TG_CONFLICT ? newer_writer(p, err) : code;
    slot.state = S3_CLAIM;
    slot.etag = tg_s3_chat(p)->live;
    code = tg_s3_write_slot(p, p->n + 1, &slot, false, err);
    return code == TG_CONFLICT ? newer_writer(p, err) : code;
}

/* ---- reading ---- */

static tg_code read_rows(struct tg_parts *p, const struct tg_manifest *m,
                         const struct tg_parts_reader *reader, struct tg_error *err)
{
    TG_CLEANUP(tg_buf_done) struct tg_buf block;
    struct tg_sha256_ctx sha = { 0 };
    uint8_t digest[TG_SHA256];
    struct s3_key key;
    tg_code code = TG_OK;

    tg_buf_init(&block, PIECE);
    if (!tg_sha256_init(&sha))
        return tg_fail(err, TG_NOMEM, "digest of '%s'", m->file);
    tg_s3_key(p, m->file, &key);
    for (uint64_t at = 0; at < m->bytes && code == TG_OK; at += block.len) {
        code = tg_s3_told(tg_s3_get_range(tg_s3_chat(p)->s3, key.at, at, PIECE, &block, err), err);
        if (code == TG_END || (code == TG_OK && (!block.len || block.len > m->bytes - at)))
            code = tg_parts_damaged(p, m->file, "has another size than its manifest tells", err);
        if (code != TG_OK)
            break;
        tg_sha256_add(&sha, block.data, block.len);
        code = reader->block(reader->ctx, m, block.data, block.len, err);
    }
    tg_sha256_take(&sha, digest);
    tg_sha256_done(&sha);
    if (code == TG_OK && memcmp(digest, m->sha256, sizeof digest) != 0)
        return tg_parts_damaged(p, m->file,
                                "was changed: its SHA-256 is not what its manifest tells", err);
    return code == TG_OK ? reader->block(reader->ctx, m, NULL, 0, err) : code;
}

/* Walks the slots; a reader gets the rows, `seen` the commits. @return TG_END: enough was seen */
static tg_code walk(struct tg_parts *p, const struct tg_parts_reader *reader, tg_commit_seen seen,
                    void *ctx, struct tg_error *err)
{
    TG_CLEANUP(tg_s3_listing_done) struct s3_listing l = { .n = 0 };
    struct tg_commit before = { .seq = 0 };
    tg_code code = tg_s3_list_chat(p, &l, err);

    if (code == TG_OK && !l.top)
        return tg_fail(err, TG_NOT_FOUND, "'%.200s' is not there", p->path);
    for (uint64_t n = 1; n <= l.top && code == TG_OK; n++) {
        struct s3_slot slot;
        const struct tg_commit *now = &slot.m.commit;
        char name[TG_PART_NAME];

        tg_part_name(name, n, ".json");
        code = tg_s3_read_slot(p, n, &slot, err);
        if (code != TG_OK)
            return code;
        if (slot.has_manifest && (now->seq <= before.seq ||
                                  now->rows_total != before.rows_total + now->rows))
            return tg_parts_damaged(p, name, "does not follow the part before it", err);
        if (slot.state == S3_COMMIT) {
            code = tg_s3_find_rows(p, &l, &slot.m, err);
            if (code == TG_OK && reader &&
                (!reader->wanted || reader->wanted(reader->ctx, &slot.m)))
                code = read_rows(p, &slot.m, reader, err);
        }
        if (code == TG_OK && slot.has_manifest && seen && !seen(ctx, now))
            return TG_END;
        before = *now;
        if (slot.state != S3_COMMIT)
            break;
    }
    return code;
}

static tg_code scan(struct tg_parts *p, const struct tg_parts_reader *reader, struct tg_error *err)
{
    tg_code code = walk(p, reader, NULL, NULL, err);

    return code == TG_END ? TG_OK : code;
}

static tg_code commits(struct tg_parts *p, tg_commit_seen seen, void *ctx, struct tg_error *err)
{
    tg_code code = walk(p, NULL, seen, ctx, err);

    return code == TG_END ? TG_OK : code;
}

static tg_code job(struct tg_parts *p, char ret[TG_JOB_MAX + 1], struct tg_error *err)
{
    struct tg_sink_env any = *p->env;
    const struct tg_sink_env *own = p->env;
    struct s3_slot slot;
    tg_code code;

    any.job = NULL; /* whosever it is */
    p->env = &any;
    code = tg_s3_read_slot(p, 1, &slot, err);
    p->env = own;
    if (code == TG_OK && !slot.has_manifest)
        return tg_fail(err, TG_NOT_FOUND, "'%.200s' holds no rows", p->path);
    if (code == TG_OK)
        snprintf(ret, TG_JOB_MAX + 1, "%s", slot.m.job);
    return code;
}

static void done(struct tg_parts *p)
{
    if (p->elsewhere)
        end_file(p->elsewhere);
    free(p->elsewhere);
    p->elsewhere = NULL;
}

const struct tg_parts_place tg_s3_place = {
    .done = done, .attach = attach, .write = write, .commit = commit, .abort = drop_file,
    .rollback = rollback, .scan = scan, .commits = commits, .job = job,
};

/* SPDX-License-Identifier: MIT */
/*
 * media_home_s3.c - complete files as objects of Amazon S3; see media_home.h
 *
 * What an object is called says what is in it, so putting one twice changes nothing, and no
 * condition is asked of the server. Large files are put in pieces:
 *
 *   NAME.upload    KEY\nID\n, then the ETag of each piece that is there, a line each
 *
 * A run that was killed goes on with the next piece. What is left of such an upload, here or at the
 * server, is ended when the file turns out to be there already, or when it is swept away.
 *
 * The file is hashed once more while it is put: bytes that changed on the disk get no name.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/option.h"
#include "client/s3.h"
#include "etl/media_home.h"

#define PIECE (INT64_C(8) << 20)
#define AT_ONCE_MAX (2 * PIECE)
enum { PIECES_WANTED = 9000, NOTES_MAX = 2 << 20, READ = 4 << 20 };

struct home_s3 {
    struct tg_media_home head;
    char *url; /* what options point into */
    const char *region, *endpoint, *work;
    struct tg_s3 *s3;
};

static struct home_s3 *of(struct tg_media_home *h)
{
    return (struct home_s3 *)h;
}

/* ---- trouble ---- */

/* @return whether to try again */
static bool again(struct tg_media_home *h, unsigned *n, tg_code code, const struct tg_error *err)
{
    return (code == TG_NET || code == TG_TIMEOUT || code == TG_SERVER) && h->wait &&
           h->wait(h->ctx, ++*n, err);
}

/* ---- what is there ---- */

static bool seen_enough(void *ctx, const char *key, uint64_t size)
{
    (void)ctx, (void)key, (void)size;
    return false;
}

static tg_code s3_look(struct tg_media_home *h, struct tg_error *err)
{
    return tg_s3_told(tg_s3_list(of(h)->s3, "", NULL, seen_enough, NULL, err), err);
}

static tg_code s3_has(struct tg_media_home *h, const struct tg_media_file *f, struct tg_error *err)
{
    char key[TG_MEDIA_PATH];
    struct tg_buf byte;
    unsigned n = 0;
    tg_code code;

    tg_media_path(f, key);
    tg_buf_init(&byte, 4096);
    do {
        tg_buf_clear(&byte);
        code = tg_s3_get_range(of(h)->s3, key, 0, 1, &byte, err);
    } while (again(h, &n, code, err));
    tg_buf_done(&byte);
    return code == TG_END ? tg_fail(err, TG_NOT_FOUND, "there is no '%s'", key)
                          : tg_s3_told(code, err);
}

struct twin {
    struct tg_media_file *file;
    bool found;
};

static bool is_twin(void *ctx, const char *key, uint64_t size)
{
    struct twin *t = ctx;
    struct tg_media_file other = *t->file;

    if ((int64_t)size != t->file->size || !tg_media_path_read(tg_str_of(key), &other) ||
        memcmp(other.sha256, t->file->sha256, TG_SHA256) != 0)
        return true;
    *t->file = other;
    t->found = true;
    return false;
}

static tg_code s3_check(struct tg_media_home *h, const struct tg_media_file *f,
                        struct tg_error *err)
{
    char key[TG_MEDIA_PATH];
    uint8_t sha256[TG_SHA256];
    struct tg_sha256_ctx sha;
    struct tg_buf bytes;
    uint64_t at = 0;
    tg_code code;

    if (!tg_sha256_init(&sha))
        return tg_fail(err, TG_NOMEM, "no memory to read a file");
    tg_media_path(f, key);
    tg_buf_init(&bytes, READ + 4096);
    do {
        tg_buf_clear(&bytes);
        code = tg_s3_get_range(of(h)->s3, key, at, READ, &bytes, err);
        if (code == TG_OK)
            tg_sha256_add(&sha, bytes.data, bytes.len);
        at += bytes.len;
    } while (code == TG_OK && bytes.len == READ);
    tg_buf_done(&bytes);
    tg_sha256_take(&sha, sha256);
    tg_sha256_done(&sha);
    if (code == TG_END)
        return tg_fail(err, TG_GAP, "there is no file '%.160s/%s'", tg_s3_name(of(h)->s3), key);
    if (code == TG_OK && memcmp(sha256, f->sha256, TG_SHA256) != 0)
        return tg_fail(err, TG_GAP, "'%.160s/%s' has another content than its name says",
                       tg_s3_name(of(h)->s3), key);
    return tg_s3_told(code, err);
}

/* ---- notes of an upload ---- */

struct upload {
    char key[TG_MEDIA_PATH], id[TG_S3_ID_MAX];
    struct tg_s3_etag *piece;
    unsigned n;        /* that are there */
    struct tg_file *notes;
};

/* Takes a line that is whole. @return false if there is none, or it does not fit */
static bool take_line(const char **at, const char *end, char *out, size_t max)
{
    const char *stop = memchr(*at, '\n', (size_t)(end - *at));
    size_t n = stop ? (size_t)(stop - *at) : 0;

    if (!n || n >= max || memchr(*at, 0, n))
        return false;
    memcpy(out, *at, n);
    out[n] = 0;
    *at = stop + 1;
    return true;
}

/* Reads what an earlier run has noted. @param pieces  room in u->piece; 0: they are not read
 * @return TG_OK, with an id of "" if nothing was begun */
static tg_code read_notes(const struct tg_fs *fs, struct tg_dir *own, const char *name,
                          struct upload *u, unsigned pieces, uint64_t *ret_kept,
                          struct tg_error *err)
{
    struct tg_buf text;
    const char *at, *end;
    tg_code code;

    *u->key = *u->id = 0;
    u->n = 0;
    *ret_kept = 0;
    tg_buf_init(&text, NOTES_MAX);
    code = tg_fs_read_all(fs, own, name, NOTES_MAX, &text, err);
    at = (const char *)text.data;
    end = at + text.len;
    if (code == TG_OK && take_line(&at, end, u->key, sizeof u->key) &&
        take_line(&at, end, u->id, sizeof u->id)) {
        while (u->n < pieces && take_line(&at, end, u->piece[u->n].at, sizeof u->piece[0].at))
            u->n++;
        *ret_kept = (uint64_t)(at - (const char *)text.data);
    } else {
        *u->id = 0;
    }
    tg_buf_done(&text);
    return code == TG_NOT_FOUND ? TG_OK : code;
}

static tg_code note(struct tg_media_home *h, struct upload *u, const char *line,
                    struct tg_error *err)
{
    tg_code code = h->fs->write(h->fs, u->notes, line, strlen(line), err);

    return code == TG_OK ? h->fs->write(h->fs, u->notes, "\n", 1, err) : code;
}

static tg_code s3_forget(struct tg_media_home *h, struct tg_dir *own, const char *name,
                         struct tg_error *err)
{
    struct upload u;
    uint64_t kept;
    tg_code code = read_notes(h->fs, own, name, &u, 0, &kept, err);

    return code == TG_OK && *u.id ? tg_s3_told(tg_s3_abort(of(h)->s3, u.key, u.id, err), err)
                                  : code;
}

/* ---- putting ---- */

/* A file on its way. */
struct put {
    struct tg_media_home *h;
    const struct tg_media_file *f;
    struct tg_dir *own;
    struct tg_file *file;
    char key[TG_MEDIA_PATH], notes_name[TG_MEDIA_NAME];
    uint8_t *bytes; /* of a piece */
    struct tg_sha256_ctx sha;
};

/* Reads n bytes on. */
static tg_code read_on(struct put *p, size_t n, struct tg_error *err)
{
    const struct tg_fs *fs = p->h->fs;
    size_t got = 0, more = 1;
    tg_code code = TG_OK;

    for (; code == TG_OK && got < n && more; got += more)
        code = fs->read(fs, p->file, p->bytes + got, n - got, &more, err);
    if (code == TG_OK && got != n)
        return tg_fail(err, TG_IO, "a file became shorter while it was put into S3");
    if (code == TG_OK)
        tg_sha256_add(&p->sha, p->bytes, n);
    return code;
}

/* All was read: is it what it is to be called? */
static tg_code is_it(struct put *p, struct tg_error *err)
{
    uint8_t sha256[TG_SHA256];

    tg_sha256_take(&p->sha, sha256);
    return memcmp(sha256, p->f->sha256, TG_SHA256) == 0
               ? TG_OK
               : tg_fail(err, TG_IO, "a file changed on the disk before it was put into S3");
}

static tg_code put_at_once(struct put *p, struct tg_error *err)
{
    struct tg_s3 *s3 = of(p->h)->s3;
    size_t size = (size_t)p->f->size;
    unsigned n = 0;
    tg_code code = read_on(p, size, err);

    if (code == TG_OK)
        code = is_it(p, err);
    if (code != TG_OK)
        return code;
    do
        code = tg_s3_put(s3, p->key, NULL, p->bytes, size, NULL, err);
    while (again(p->h, &n, code, err));
    return code;
}

static tg_code begin_upload(struct put *p, struct upload *u, uint64_t kept, struct tg_error *err)
{
    const struct tg_fs *fs = p->h->fs;
    struct tg_s3 *s3 = of(p->h)->s3;
    unsigned n = 0;
    tg_code code = TG_OK;

    if (*u->id && strcmp(u->key, p->key) == 0)
        return fs->append(fs, p->own, p->notes_name, kept, &u->notes, err);
    if (*u->id) /* under another end of its name */
        code = tg_s3_abort(s3, u->key, u->id, err);
    u->n = 0;
    if (code == TG_OK)
        code = fs->append(fs, p->own, p->notes_name, 0, &u->notes, err);
    if (code != TG_OK)
        return code;
    do
        code = tg_s3_upload(s3, p->key, u->id, err);
    while (again(p->h, &n, code, err));
    if (code == TG_OK)
        code = note(p->h, u, p->key, err);
    return code == TG_OK ? note(p->h, u, u->id, err) : code;
}

static tg_code put_pieces(struct put *p, struct upload *u, int64_t piece, struct tg_error *err)
{
    struct tg_s3 *s3 = of(p->h)->s3;
    unsigned i = 0, n = 0;
    tg_code code = TG_OK;

    for (int64_t at = 0; at < p->f->size && code == TG_OK; at += piece, i++) {
        size_t len = (size_t)TG_MIN(piece, p->f->size - at);

        code = read_on(p, len, err);
        if (code != TG_OK || i < u->n)
            continue;
        n = 0;
        do
            code = tg_s3_piece(s3, p->key, u->id, i + 1, p->bytes, len, &u->piece[i], err);
        while (again(p->h, &n, code, err));
        if (code == TG_OK)
            code = note(p->h, u, u->piece[i].at, err);
        u->n += code == TG_OK;
    }
    if (code == TG_OK)
        code = is_it(p, err);
    n = 0;
    while (code == TG_OK) {
        code = tg_s3_finish(s3, p->key, u->id, u->piece, i, err);
        if (!again(p->h, &n, code, err))
            break;
        code = TG_OK;
    }
    return code;
}

/* @return TG_CONFLICT, TG_UNUSABLE: what was noted is of no use: the upload was ended, or the notes
 * torn by a power failure. They are gone. */
static tg_code put_in_pieces(struct put *p, int64_t piece, struct tg_error *err)
{
    const struct tg_fs *fs = p->h->fs;
    const unsigned n = (unsigned)((p->f->size + piece - 1) / piece);
    struct upload u = { .piece = calloc(n, sizeof *u.piece) };
    struct tg_error ignored;
    uint64_t kept = 0;
    tg_code code = u.piece ? read_notes(fs, p->own, p->notes_name, &u, n, &kept, err)
                           : tg_fail(err, TG_NOMEM, "no memory for the pieces of a file");

    if (code == TG_OK)
        code = begin_upload(p, &u, kept, err);
    if (code == TG_OK)
        code = put_pieces(p, &u, piece, err);
    fs->close(fs, u.notes);
    free(u.piece);
    if (code == TG_CONFLICT || code == TG_UNUSABLE || code == TG_IO) {
        if (*u.id)
            tg_s3_abort(of(p->h)->s3, p->key, u.id, &ignored);
        fs->unlink(fs, p->own, p->notes_name, &ignored);
    }
    return code == TG_OK ? fs->unlink(fs, p->own, p->notes_name, err) : code;
}

/* @return bytes of a piece: no more pieces than a server takes */
static int64_t piece_of(int64_t size)
{
    int64_t mib = (size / PIECES_WANTED >> 20) + 1;

    return TG_MAX(PIECE, mib << 20);
}

static tg_code put_once(struct put *p, const char *name, struct tg_error *err)
{
    const struct tg_fs *fs = p->h->fs;
    tg_code code;

    if (!tg_sha256_init(&p->sha))
        return tg_fail(err, TG_NOMEM, "no memory to put a file into S3");
    code = fs->open(fs, p->own, name, &p->file, err);
    if (code == TG_OK)
        code = p->f->size <= AT_ONCE_MAX ? put_at_once(p, err)
                                         : put_in_pieces(p, piece_of(p->f->size), err);
    fs->close(fs, p->file);
    p->file = NULL;
    tg_sha256_done(&p->sha);
    return code;
}

static tg_code put(struct put *p, const char *name, struct tg_error *err)
{
    tg_code code;

    tg_media_path(p->f, p->key);
    p->bytes = malloc((size_t)(p->f->size <= AT_ONCE_MAX ? p->f->size + 1
                                                         : piece_of(p->f->size)));
    if (!p->bytes)
        return tg_fail(err, TG_NOMEM, "no memory to put a file into S3");
    code = put_once(p, name, err);
    if ((code == TG_CONFLICT || code == TG_UNUSABLE) && p->f->size > AT_ONCE_MAX)
        code = put_once(p, name, err); /* from the beginning */
    free(p->bytes);
    return tg_s3_told(code, err);
}

static tg_code s3_place(struct tg_media_home *h, struct tg_dir *own, const char *name,
                        struct tg_media_file *f, struct tg_error *err)
{
    struct put p = { .h = h, .f = f, .own = own };
    struct twin twin = { f, false };
    struct tg_media_file bare = *f;
    char key[TG_MEDIA_PATH];
    unsigned tries = 0;
    tg_code code;

    snprintf(p.notes_name, sizeof p.notes_name, "%.*s.upload", (int)strcspn(name, "."), name);
    bare.ext[0] = 0;
    tg_media_path(&bare, key);
    do
        code = tg_s3_list(of(h)->s3, key, NULL, is_twin, &twin, err);
    while (again(h, &tries, code, err));
    if (code == TG_OK && !twin.found)
        return put(&p, name, err);
    if (code == TG_OK) /* an upload of it may have been begun */
        code = s3_forget(h, own, p.notes_name, err);
    return code == TG_OK ? h->fs->unlink(h->fs, own, p.notes_name, err) : tg_s3_told(code, err);
}

/* ---- life ---- */

static void s3_close(struct tg_media_home *h)
{
    tg_s3_free(of(h)->s3);
    free(of(h)->url);
    free(h);
}

static const struct tg_media_home_ops s3_ops = {
    .look = s3_look, .has = s3_has, .place = s3_place, .check = s3_check,
    .forget = s3_forget, .close = s3_close,
};

static const struct tg_option s3_option[] = {
    { .name = "work",
      .type = TG_OPT_STR,
      .offset = offsetof(struct home_s3, work),
      .fallback = "tgdata.media" },
    { .name = "region",
      .type = TG_OPT_STR,
      .offset = offsetof(struct home_s3, region),
      .fallback = "" },
    { .name = "endpoint",
      .type = TG_OPT_STR,
      .offset = offsetof(struct home_s3, endpoint),
      .fallback = "" },
    { 0 },
};

tg_code tg_media_home_s3(const struct tg_fs *fs, const char *place, struct tg_media_home **ret,
                         struct tg_error *err)
{
    struct home_s3 *s = calloc(1, sizeof *s);
    char *target = NULL, *query = NULL;
    tg_code code;

    if (!s || !(s->url = strdup(place))) {
        free(s);
        return tg_fail(err, TG_NOMEM, "no memory for a place in S3");
    }
    s->head = (struct tg_media_home){ .ops = &s3_ops, .fs = fs };
    code = tg_options_default(s3_option, s, err);
    if (code == TG_OK)
        code = tg_driver_split(s->url, "place for files", &target, &query, err);
    if (code == TG_OK)
        code = tg_options_query(s3_option, s, query, err);
    if (code == TG_OK)
        code = tg_s3_new(target, s->region, s->endpoint, &s->s3, err);
    if (code == TG_OK)
        s->head.work = s->work;
    if (code == TG_OK)
        *ret = &s->head;
    else
        s3_close(&s->head);
    return code;
}

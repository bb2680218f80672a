/* SPDX-License-Identifier: MIT */
/*
 * media_index.c - see media_index.h
 */
#include "etl/media_index.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { FILES_MAX = 4 << 20 };

void tg_media_index_done(struct tg_media_index *x)
{
    free(x->slot);
    *x = (struct tg_media_index){ 0 };
}

static size_t hash_of(int64_t id, bool photo)
{
    uint64_t h = ((uint64_t)id ^ photo) * UINT64_C(0x9e3779b97f4a7c15);

    return (size_t)(h ^ h >> 32);
}

/* @return the file's slot, or the free one that it would have */
static struct tg_media_entry *slot_of(const struct tg_media_index *x, int64_t id, bool photo)
{
    size_t at = hash_of(id, photo) & (x->cap - 1);

    while (x->slot[at].used && (x->slot[at].id != id || x->slot[at].photo != photo))
        at = (at + 1) & (x->cap - 1);
    return &x->slot[at];
}

static bool grow(struct tg_media_index *x)
{
    struct tg_media_index more = { .cap = x->cap ? 2 * x->cap : 256 };

    more.slot = calloc(more.cap, sizeof *more.slot);
    if (!more.slot)
        return false;
    for (size_t i = 0; i < x->cap; i++)
        if (x->slot[i].used)
            *slot_of(&more, x->slot[i].id, x->slot[i].photo) = x->slot[i];
    free(x->slot);
    x->slot = more.slot;
    x->cap = more.cap;
    return true;
}

bool tg_media_index_add(struct tg_media_index *x, const struct tg_row_file *file,
                        const struct tg_media_file *content)
{
    struct tg_media_entry *e;

    if (x->n >= FILES_MAX)
        return true;
    if (2 * (x->n + 1) > x->cap && !grow(x))
        return false;
    e = slot_of(x, file->id, file->photo);
    x->n += !e->used;
    *e = (struct tg_media_entry){ file->id, true, file->photo, *content };
    return true;
}

bool tg_media_index_find(const struct tg_media_index *x, const struct tg_row_file *file,
                         struct tg_media_file *ret)
{
    const struct tg_media_entry *e = x->cap ? slot_of(x, file->id, file->photo) : NULL;

    if (!e || !e->used)
        return false;
    *ret = e->file;
    return true;
}

size_t tg_media_index_line(const struct tg_row_file *file, const struct tg_media_file *content,
                           char ret[TG_MEDIA_LINE])
{
    char hex[2 * TG_SHA256 + 1];
    int n;

    tg_hex(hex, content->sha256, TG_SHA256);
    n = snprintf(ret, TG_MEDIA_LINE, "%c %" PRId64 " %" PRId64 " %s %s\n", file->photo ? 'p' : 'd',
                 file->id, content->size, hex, content->ext[0] ? content->ext : "-");
    return (size_t)n;
}

/* A torn line must not be taken for another file's: all five words must be there, and make sense
 * together once they are written again. */
static bool read_line(struct tg_media_index *x)
{
    char hex[2 * TG_SHA256 + 1], again[TG_MEDIA_LINE], path[TG_MEDIA_PATH];
    struct tg_row_file file = { 0 };
    struct tg_media_file content = { 0 };
    char kind, ext[TG_MEDIA_EXT];
    size_t n = x->n_line;

    x->n_line = 0;
    if (n == 0 || n >= sizeof x->line - 1)
        return true;
    x->line[n] = 0;
    if (sscanf(x->line, "%c %" SCNd64 " %" SCNd64 " %64s %11s", &kind, &file.id, &content.size, hex,
               ext) != 5 ||
        !tg_unhex(content.sha256, TG_SHA256, hex, strlen(hex)))
        return true;
    file.photo = kind == 'p';
    if (strcmp(ext, "-") != 0)
        memcpy(content.ext, ext, strlen(ext) + 1);
    tg_media_path(&content, path);
    if (!tg_media_path_read(tg_str_of(path), &content) ||
        tg_media_index_line(&file, &content, again) != n + 1 || memcmp(again, x->line, n) != 0)
        return true;
    return tg_media_index_add(x, &file, &content);
}

bool tg_media_index_read(struct tg_media_index *x, const char *text, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (text[i] == '\n') {
            if (!read_line(x))
                return false;
        } else if (x->n_line < sizeof x->line) {
            x->line[x->n_line++] = text[i];
        }
    }
    return true;
}

void tg_media_index_read_end(struct tg_media_index *x)
{
    x->n_line = 0;
}

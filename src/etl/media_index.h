/* SPDX-License-Identifier: MIT */
/*
 * media_index.h - which photo or document has which content; in memory and as lines of text
 *
 *   p 5301849384 size sha256 ext      ext "-": none
 *
 * A line that is no such line is passed over: the end of one that was being written.
 *
 * Threads: none: value type      Limits: 4M files; what comes later is not remembered
 */
#ifndef TG_MEDIA_INDEX_H
#define TG_MEDIA_INDEX_H

#include "etl/media_dir.h"

enum { TG_MEDIA_LINE = 160 };

struct tg_media_entry {
    int64_t id;
    bool used, photo;
    struct tg_media_file file;
};

struct tg_media_index {
    struct tg_media_entry *slot; /* by hash, open addressing */
    size_t n, cap;
    char line[TG_MEDIA_LINE];    /* being read */
    size_t n_line;
};

void tg_media_index_done(struct tg_media_index *x);
/** The newest of a file counts. @return false out of memory */
bool tg_media_index_add(struct tg_media_index *x, const struct tg_row_file *file,
                        const struct tg_media_file *content);
bool tg_media_index_find(const struct tg_media_index *x, const struct tg_row_file *file,
                         struct tg_media_file *ret);
/** Writes a line. @return its length */
size_t tg_media_index_line(const struct tg_row_file *file, const struct tg_media_file *content,
                           char ret[TG_MEDIA_LINE]);
/** Takes in a piece of an index's text; then its end. @return false out of memory */
bool tg_media_index_read(struct tg_media_index *x, const char *text, size_t n);
void tg_media_index_read_end(struct tg_media_index *x);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * media_want.h - which files of rows are wanted, and how they are called
 *
 * Threads: none: pure
 */
#ifndef TG_MEDIA_WANT_H
#define TG_MEDIA_WANT_H

#include "config/settings.h"
#include "etl/media_dir.h"

struct tg_media_want {
    uint32_t kinds;   /* a bit for each that is wanted */
    int64_t size_max; /* 0: any */
};

/** @return TG_USAGE naming the kind that there is not */
tg_code tg_media_want_of(const struct tg_extract_settings *set, struct tg_media_want *ret,
                         struct tg_error *err);

/** @return whether the row's file is of a kind that is wanted */
bool tg_media_wanted(const struct tg_media_want *want, const struct tg_row *row);

/** @return whether it may be fetched; if not, why */
bool tg_media_may(const struct tg_media_want *want, const struct tg_row_file *file,
                  struct tg_error *why);

/** Writes the end of the file's name, without a dot: of its name or its MIME type; "" none. */
void tg_media_ext(const struct tg_row *row, char ret[TG_MEDIA_EXT]);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * expand.h - what a value takes from elsewhere, so that no secret need stand in the file
 *
 *   ${NAME}            the environment variable; a mistake if it is not set
 *   ${NAME:-text}      the same, with a text for when it is not set or empty
 *   ${file:PATH}       what a file holds, without the line end at its end
 *   $${                the two characters "${" themselves
 *
 * Where values come from is an argument: the same code runs in tests and under the fuzzer.
 *
 * Threads: none      Limits: TG_EXPAND_MAX bytes of a value
 */
#ifndef TG_EXPAND_H
#define TG_EXPAND_H

#include "base/buf.h"

enum { TG_EXPAND_MAX = 64 << 10 };

struct tg_expand_from {
    /** @return the value of an environment variable, NULL if it is not set */
    const char *(*env)(void *ctx, const char *name);
    /** Appends what a file holds. */
    tg_code (*file)(void *ctx, const char *path, struct tg_buf *out, struct tg_error *err);
    void *ctx;
};

/** The environment and the files of this process. */
extern const struct tg_expand_from tg_expand_process;

/** Begins a buffer for a value, with all its room: one that grew would leave copies behind. To be
 *  ended with tg_buf_wipe. */
void tg_expand_buf(struct tg_buf *out);

/** @return whether there is anything to be expanded in a text */
bool tg_expand_needed(const char *text);

/** Appends the text with all expanded. @return TG_USAGE: what is missing or malformed */
tg_code tg_expand(const char *text, const struct tg_expand_from *from, struct tg_buf *out,
                  struct tg_error *err);

/** Appends what a file holds, as ${file:PATH}. */
tg_code tg_expand_file(const char *path, const struct tg_expand_from *from, struct tg_buf *out,
                       struct tg_error *err);

#endif

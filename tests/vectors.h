/* SPDX-License-Identifier: MIT */
/*
 * vectors.h - reads the files of tests/vectors: `name = hex`, # for comments
 *
 * Tests run in the root of the source tree. A missing file or name ends the test at once.
 */
#ifndef TG_TEST_VECTORS_H
#define TG_TEST_VECTORS_H

#include <stdio.h>
#include <stdlib.h>

#include "base/text.h"

/** Bytes of a vector, in the room that the caller gave. */
struct vector {
    uint8_t *at;
    size_t len;
};

_Noreturn static inline void vector_missing(const char *file, const char *name)
{
    fprintf(stderr, "no vector %s in %s\n", name, file);
    abort();
}

/** @param room  at least as long as the vector; it is returned in the result */
static inline struct vector vector_read(const char *file, const char *name, uint8_t *room,
                                        size_t room_size)
{
    static char line[8192];
    size_t name_len = strlen(name);
    FILE *f = fopen(file, "re");

    if (!f)
        vector_missing(file, name);
    while (fgets(line, sizeof line, f)) {
        const char *hex = line + name_len + 3;
        size_t len;

        if (strncmp(line, name, name_len) != 0 || strncmp(line + name_len, " = ", 3) != 0)
            continue;
        len = strcspn(hex, "\r\n");
        fclose(f);
        if (len % 2 || len / 2 > room_size || !tg_unhex(room, len / 2, hex, len))
            vector_missing(file, name);
        return (struct vector){ room, len / 2 };
    }
    fclose(f);
    vector_missing(file, name);
}

/** A local array `var_bytes` and a view `var` of the vector in it. */
#define VECTOR(var, file, name)                                                                    \
    uint8_t var##_bytes[2048];                                                                     \
    const struct vector var = vector_read(file, name, var##_bytes, sizeof var##_bytes)

#endif

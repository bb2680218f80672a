/* SPDX-License-Identifier: MIT */
/*
 * build.h - a schema under construction, shared by build.c (names, types) and compile.c (programs)
 *
 * Threads: none
 */
#ifndef TL_BUILD_H
#define TL_BUILD_H

#include "tl/parse.h"

enum { TL_NAME_BYTES = 128 };

struct tl_map_slot {
    const char *text; /* NULL: empty; borrowed */
    size_t len;
    uint32_t value;
};

struct tl_map {
    struct tl_map_slot *slot;
    size_t mask;
};

struct tl_builder {
    const char *const *known; /* see tl_build */
    uint32_t n_known;
    char **extra;          /* fresh names; owned by s */
    struct tl_map symbols; /* fresh name -> symbol */
    struct tl_map types;   /* text -> type */
    struct tl_map ctors;   /* name -> constructor */
    struct tl_map only;    /* type -> its constructor, TL_NONE if it has several */
    struct tl_schema *s;   /* the result, and its arrays as ours */
    struct tl_ctor *ctor;
    struct tl_field *field;
    struct tl_type *type;
    struct tl_hash_slot *hash;
    uint32_t line; /* at work, for messages */
    struct tg_error *err;
};

/** @return the text of a symbol */
const char *tl_builder_name(const struct tl_builder *b, uint32_t symbol);

/** Adds the walk programs and each type's fallback. @return false with b->err set */
bool tl_compile(struct tl_builder *b);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * parse.h - from schema text to declarations, and from declarations to tables
 *
 * Two steps that tools/tlgen takes at build time and tl_schema_load at run time: tl_parse reads TL
 * text into a flat list of declarations whose types are still text; tl_build resolves names, types
 * and flags, and compiles the walk programs. The text may be hostile: everything is bounded, and
 * what would make a walk take more steps than it has bytes is refused.
 *
 * Threads: none: one owner at a time      Limits: see schema.h
 */
#ifndef TL_PARSE_H
#define TL_PARSE_H

#include "base/arena.h"
#include "base/buf.h"
#include "tl/schema.h"

struct tl_decl_field {
    const char *name;
    const char *type; /* without the condition: "Vector<long>", "#", "!X", "%Message" */
    const char *word; /* name of the flags field, NULL: always there */
    uint32_t bit;
};

struct tl_decl {
    const char *name, *result;
    uint32_t id, line;
    uint32_t field, n_fields; /* first in tl_decls.field */
    bool is_function;
};

struct tl_decls {
    struct tg_arena arena; /* all text */
    int32_t layer;
    struct tl_decl *decl;
    size_t n, cap;
    struct tl_decl_field *field;
    size_t n_fields, cap_fields;
};

/** Frees the declarations; safe on a zeroed struct. */
void tl_decls_done(struct tl_decls *d);

/**
 * Reads TL text.
 *
 * @param name  of the text, for messages
 * @param ret   zeroed before by the caller; release with tl_decls_done, after a failure too
 * @return TG_OK; TG_DATA naming the line; TG_LIMIT; TG_NOMEM
 */
TG_MUST_CHECK tg_code tl_parse(const char *name, const char *text, size_t len, struct tl_decls *ret,
                               struct tg_error *err);

/** Appends mtcute's JSON as TL text. @return TG_OK; TG_DATA; TG_LIMIT; TG_NOMEM */
TG_MUST_CHECK tg_code tl_json_to_text(const char *name, const char *json, size_t len,
                                      struct tg_buf *out, struct tg_error *err);

/**
 * Makes the tables. Every array of the result is one malloc'ed block of its own.
 *
 * @param known    names that have numbers: index is the symbol, [0] is "", sorted by strcmp
 * @param ret      free with tl_schema_free
 */
TG_MUST_CHECK tg_code tl_build(const struct tl_decls *d, const char *const *known, uint32_t n_known,
                               struct tl_schema **ret, struct tg_error *err);

/** @return index of text in sorted names, 0 if it is not there */
uint32_t tl_names_find(const char *const *names, uint32_t n, const char *text, size_t len);

/** @return whether the last part of a dotted name begins with a lower-case letter */
bool tl_name_is_bare(const char *name);

#endif

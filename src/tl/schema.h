/* SPDX-License-Identifier: MIT */
/*
 * schema.h - one layer of the Telegram API (or MTProto itself) as tables
 *
 * A schema is five arrays: constructors and functions, their fields, types, a hash from constructor
 * id, and the compact walk program of each constructor. The tables of the built-in layers are
 * generated at build time from schema/ by tools/tlgen; others are loaded from .tl text or from
 * mtcute's JSON at run time. Both go through the same parser and builder.
 *
 * Names are symbols: numbers that are the same in every layer. Predicates, functions, types and
 * fields share one space, a dot becomes an underscore: TLN_message is the predicate `message` and
 * the field `message`, TLN_messages_getHistory a function, TLN_Message a type. A loaded schema uses
 * the same numbers for known names and gets fresh ones, from TLN_COUNT on, for the rest; fresh ones
 * mean nothing outside that schema.
 *
 * Threads: built-in schemas are constant; a loaded one does not change until it is freed
 * Limits:  128 fields a constructor, 16384 constructors, 32768 symbols, 8 MiB of text
 */
#ifndef TL_SCHEMA_H
#define TL_SCHEMA_H

#include "base/base.h"
#include "tl_names.gen.h"

#define TL_VECTOR_ID UINT32_C(0x1cb5c415)
#define TL_TRUE_ID UINT32_C(0x997275b5)  /* boolTrue */
#define TL_FALSE_ID UINT32_C(0xbc799737) /* boolFalse */

enum {
    TL_FIELD_MAX = 128,
    TL_CTOR_MAX = 16384,
    TL_TYPE_MAX = 8192,
    TL_SYMBOL_MAX = 32768,
    TL_TEXT_MAX = 8 << 20,
    TL_DEPTH_MAX = 64,
    TL_NONE = 0xffff, /* no type, no constructor */
    TL_NO_FLAG = 0xff,
};

enum tl_kind {
    TL_KIND_FLAGS, /* `#`: a word whose bits say which later fields are there */
    TL_KIND_TRUE,  /* `flags.N?true`: the bit is the value, no bytes */
    TL_KIND_INT,
    TL_KIND_LONG,
    TL_KIND_DOUBLE,
    TL_KIND_INT128,
    TL_KIND_INT256,
    TL_KIND_STRING,
    TL_KIND_BYTES,
    TL_KIND_BOOL,
    TL_KIND_OBJECT,      /* boxed: constructor id first; tl_type.name is the type */
    TL_KIND_BARE,        /* one constructor without its id; tl_type.item is the constructor */
    TL_KIND_VECTOR,      /* 1cb5c415, count, items of type tl_type.item */
    TL_KIND_BARE_VECTOR, /* count, items */
    TL_KIND_ANY,         /* `!X` or `X`: any boxed object, vector or Bool */
    TL_KIND_COUNT
};

/* 8 bytes */
struct tl_type {
    uint8_t kind;      /* enum tl_kind */
    uint8_t size;      /* bytes on the wire if always the same, else 0 */
    uint16_t name;     /* symbol; 0 for vectors */
    uint16_t item;     /* see tl_kind */
    uint16_t fallback; /* constructor written for an absent object: the smallest; else TL_NONE */
};

/* 8 bytes */
struct tl_field {
    uint16_t name; /* symbol */
    uint16_t type; /* index of a tl_type */
    uint8_t word;  /* number of the field that is its flags word; TL_NO_FLAG: always there */
    uint8_t bit;
    uint8_t kind; /* that of the type, close at hand */
    uint8_t size; /* that of the type */
};

/* 20 bytes */
struct tl_ctor {
    uint32_t id;
    uint16_t name;  /* symbol of the predicate or function */
    uint16_t type;  /* type it belongs to; of a function: type of the result */
    uint16_t field; /* index of the first field */
    uint8_t n_fields;
    bool is_function;
    uint32_t op; /* index of the first word of the walk program */
    uint32_t n_ops;
};

struct tl_hash_slot {
    uint32_t id;
    uint32_t ctor; /* index + 1; 0: empty */
};

struct tl_schema {
    int32_t layer; /* 0 for MTProto itself */
    uint32_t n_ctors, n_fields, n_types, n_ops;
    const struct tl_ctor *ctor;
    const struct tl_field *field;
    const struct tl_type *type;
    const uint32_t *op;
    const struct tl_hash_slot *hash;
    uint32_t hash_mask;
    uint32_t n_by_name;       /* symbols 0 .. n_by_name-1 can be looked up */
    const uint16_t *by_name;  /* symbol -> index of the constructor or function + 1; 0: none */
    const char *const *extra; /* names of symbols TLN_COUNT .. ; NULL for built-in schemas */
    uint32_t n_extra;
};

/** @return the built-in schema of exactly that layer (0: MTProto itself), or NULL */
const struct tl_schema *tl_schema_builtin(int32_t layer);

/** @return the built-in schema number i, in ascending layer, MTProto first; NULL past the last */
const struct tl_schema *tl_schema_at(size_t i);

/**
 * Loads a schema from TL text or mtcute's JSON; which of them is seen from the first byte.
 *
 * The layer is taken from a `// LAYER n` line or the JSON's `l`; without one it is 0, and a caller
 * who knows better sets it in the result. Lines without an id get the CRC32 of their normal form.
 * Entries of mtcute itself are dropped.
 *
 * @param name  file name for messages; borrowed
 * @param ret   free with tl_schema_free; keeps no pointer into text
 * @return TG_OK; TG_DATA with line number and cause; TG_LIMIT; TG_NOMEM
 */
TG_MUST_CHECK tg_code tl_schema_load(const char *name, const char *text, size_t len,
                                     struct tl_schema **ret, struct tg_error *err);

/** Frees a loaded schema. NULL is fine; never call it on a built-in one. */
void tl_schema_free(struct tl_schema *schema);

/** @return the symbol's text as it stands in the schema ("messages.getHistory"); "" if unknown */
const char *tl_symbol_name(const struct tl_schema *schema, uint32_t symbol);

/** @return the symbol of a text; 0 (TLN_NONE) if no schema at hand has it. schema may be NULL */
uint32_t tl_symbol_find(const struct tl_schema *schema, const char *text, size_t len);

/** @return the constructor or function of that id, or NULL */
static inline const struct tl_ctor *tl_ctor_by_id(const struct tl_schema *s, uint32_t id)
{
    for (uint32_t i = id & s->hash_mask;; i = (i + 1) & s->hash_mask) {
        const struct tl_hash_slot *slot = &s->hash[i];

        if (!slot->ctor)
            return NULL;
        if (slot->id == id)
            return &s->ctor[slot->ctor - 1];
    }
}

/** @return the constructor or function of that name in this layer, or NULL */
static inline const struct tl_ctor *tl_ctor_by_name(const struct tl_schema *s, uint32_t symbol)
{
    return symbol < s->n_by_name && s->by_name[symbol] ? &s->ctor[s->by_name[symbol] - 1] : NULL;
}

/** @return the id of that name in this layer; 0 if the layer has no such thing */
static inline uint32_t tl_id(const struct tl_schema *s, uint32_t symbol)
{
    const struct tl_ctor *c = tl_ctor_by_name(s, symbol);

    return c ? c->id : 0;
}

/** @return index of the boxed type of that name (TLN_Message), or TL_NONE. Walks all types. */
uint16_t tl_type_by_name(const struct tl_schema *s, uint32_t symbol);

/** @return number of the field in the constructor, or -1; c may be NULL. Resolve once, use often */
int tl_ctor_field_index(const struct tl_schema *s, const struct tl_ctor *c, uint32_t symbol);

static inline const struct tl_field *tl_ctor_fields(const struct tl_schema *s,
                                                    const struct tl_ctor *c)
{
    return s->field + c->field;
}

#endif

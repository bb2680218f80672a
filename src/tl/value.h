/* SPDX-License-Identifier: MIT */
/*
 * value.h - TL objects as trees: built by name, written for any layer, read from bytes
 *
 * A tree knows names, not layers. tl_encode looks each name up in the schema it is given: fields go
 * out in that layer's order, flag words are computed from what is present, fields that the layer
 * lacks are dropped, mandatory ones that nobody set are zero, empty, or the type's smallest object.
 *
 *   struct tl_value *m = tl_obj(arena, TLN_message);
 *   tl_set_int(m, TLN_id, 7);
 *   tl_set_obj(m, TLN_peer_id, tl_peer);
 *   tl_set_true(m, TLN_out, true);
 *   struct tl_value *list = tl_set_vector(m, TLN_entities);
 *   tl_add_obj(list, entity);
 *   tl_encode(schema, m, &buf, err);
 *
 * Everything lives in the arena that the root was made in; a child made in another one must live as
 * long. Text is not copied unless said so. Building never fails aloud: out of memory marks the
 * tree, and setters take NULL, so only tl_encode needs a check. A field set twice keeps the last
 * value. A tree may be shared by several parents and encoded many times; it must be no circle.
 *
 * Threads: none: one owner at a time; finished trees may be encoded by several
 * Limits:  64 levels
 */
#ifndef TL_VALUE_H
#define TL_VALUE_H

#include "base/arena.h"
#include "base/buf.h"
#include "tl/reader.h"
#include "tl/schema.h"

enum tl_value_kind {
    TL_VALUE_NONE,
    TL_VALUE_INT,
    TL_VALUE_LONG,
    TL_VALUE_DOUBLE,
    TL_VALUE_BOOL,  /* Bool, or a `true` flag: the schema decides */
    TL_VALUE_BYTES, /* string, bytes, int128, int256 */
    TL_VALUE_OBJECT,
    TL_VALUE_VECTOR,
    TL_VALUE_RAW, /* TL bytes of a whole value, written as they are */
    TL_VALUE_REF, /* inside parents only: `ref` is the child */
};

/* 32 bytes. Fields of objects and items of vectors stand in one array each. */
struct tl_value {
    uint8_t kind;   /* enum tl_value_kind */
    bool failed;    /* out of memory while this was built */
    uint16_t name;  /* of an object: predicate or function */
    uint16_t field; /* inside an object: name of the field this is the value of */
    uint32_t n;     /* fields, items or bytes */
    uint32_t cap;
    union {
        int64_t i; /* INT, LONG, BOOL */
        double d;
        const char *bytes;
        struct tl_value *list;
        struct tl_value *ref;
    } u;
    struct tg_arena *arena;
};

/** @return an object without fields; NULL out of memory */
struct tl_value *tl_obj(struct tg_arena *arena, uint32_t name);

/** @return an empty vector that stands alone: a reply such as Vector<User>. Its items are written
 *  as they were added (tl_add_int: 4 bytes, tl_add_long: 8). NULL out of memory */
struct tl_value *tl_vector(struct tg_arena *arena);

/** @return a Bool that stands alone: the reply of many functions. NULL out of memory */
struct tl_value *tl_bool(struct tg_arena *arena, bool v);

/** @return bytes of a whole encoded object as a value; not copied. NULL out of memory */
struct tl_value *tl_raw(struct tg_arena *arena, const void *bytes, size_t n);

/*
 * Setters: o is an object or NULL, field a symbol. int and long are interchangeable: the schema
 * decides what is written. Bytes are not copied unless by tl_set_copy.
 */
void tl_set_int(struct tl_value *o, uint32_t field, int32_t v);
void tl_set_long(struct tl_value *o, uint32_t field, int64_t v);
void tl_set_double(struct tl_value *o, uint32_t field, double v);
void tl_set_bool(struct tl_value *o, uint32_t field, bool v); /* a Bool: false is written too */
void tl_set_true(struct tl_value *o, uint32_t field, bool v); /* a `true` flag: false removes it */
void tl_set_str(struct tl_value *o, uint32_t field, struct tg_str v);
void tl_set_cstr(struct tl_value *o, uint32_t field, const char *v); /* NULL: absent */
void tl_set_bytes(struct tl_value *o, uint32_t field, const void *v, size_t n);
void tl_set_copy(struct tl_value *o, uint32_t field, const void *v, size_t n);
void tl_set_obj(struct tl_value *o, uint32_t field, struct tl_value *child); /* NULL: failed */
void tl_set_raw(struct tl_value *o, uint32_t field, const void *tl_bytes, size_t n);

/** Makes an object in field. @return it; NULL out of memory */
struct tl_value *tl_set_new(struct tl_value *o, uint32_t field, uint32_t name);

/** Makes an empty vector in field (it is then present). @return it; NULL out of memory */
struct tl_value *tl_set_vector(struct tl_value *o, uint32_t field);

/** Removes a field. */
void tl_unset(struct tl_value *o, uint32_t field);

/* Items: v is a vector or NULL. */
void tl_add_int(struct tl_value *v, int32_t item);
void tl_add_long(struct tl_value *v, int64_t item);
void tl_add_double(struct tl_value *v, double item);
void tl_add_str(struct tl_value *v, struct tg_str item);
void tl_add_obj(struct tl_value *v, struct tl_value *child); /* NULL: failed */
void tl_add_raw(struct tl_value *v, const void *bytes, size_t n);
struct tl_value *tl_add_new(struct tl_value *v, uint32_t name); /* makes and adds an object */
struct tl_value *tl_add_vector(struct tl_value *v);             /* a vector within a vector */

/**
 * Appends the value as boxed TL.
 *
 * @return TG_OK; TG_NOT_FOUND naming the predicate that the layer has not; TG_DATA if a value's
 *         kind does not fit its field; TG_LIMIT past the buffer's cap or 64 levels; TG_NOMEM
 *         if the tree is failed or NULL. On failure the buffer is as long as before
 */
TG_MUST_CHECK tg_code tl_encode(const struct tl_schema *s, const struct tl_value *v,
                                struct tg_buf *out, struct tg_error *err);

/** Whether the layer has a constructor or function of that name. */
static inline bool tl_has_name(const struct tl_schema *s, uint32_t name)
{
    return tl_ctor_by_name(s, name) != NULL;
}

/**
 * Reads a whole boxed object, vector or Bool into a tree; strings are views into the bytes.
 *
 * A request that ends in a query (`!X`) holds the query as that field's object.
 *
 * @return NULL with the reader marked if the bytes are no such value (tl_explain then finds the
 *         fault) or the arena is full (tl_explain finds none)
 */
struct tl_value *tl_decode(const struct tl_schema *s, struct tl_reader *r, struct tg_arena *arena);

/** As tl_decode for a value of a type of the schema, such as a function's result. */
struct tl_value *tl_decode_type(const struct tl_schema *s, struct tl_reader *r, uint16_t type,
                                struct tg_arena *arena);

/**
 * Reads an object from the JSON that tl_print_json wrote, of this layer or another: members that
 * the layer has no field for are left out. Its `X` values cannot be read.
 *
 * @return NULL with err filled: TG_DATA if it is no such JSON, TG_NOT_FOUND naming a predicate that
 *         the layer has not, TG_NOMEM
 */
struct tl_value *tl_from_json(const struct tl_schema *s, const char *json, size_t len,
                              struct tg_arena *arena, struct tg_error *err);

/** @return the field's value, followed through references; NULL if absent. o may be NULL */
const struct tl_value *tl_get(const struct tl_value *o, uint32_t field);

int32_t tl_get_int(const struct tl_value *o, uint32_t field, int32_t absent);
int64_t tl_get_long(const struct tl_value *o, uint32_t field, int64_t absent);
double tl_get_double(const struct tl_value *o, uint32_t field, double absent);
bool tl_get_bool(const struct tl_value *o, uint32_t field);         /* Bool or `true` flag */
struct tg_str tl_get_str(const struct tl_value *o, uint32_t field); /* {NULL, 0} if absent */

/** @return the object in field; NULL if absent or no object */
const struct tl_value *tl_get_obj(const struct tl_value *o, uint32_t field);

/** @return the vector in field; NULL if absent or no vector */
const struct tl_value *tl_get_vector(const struct tl_value *o, uint32_t field);

/** @return predicate or function name of an object; 0 for NULL or anything else */
static inline uint32_t tl_name(const struct tl_value *o)
{
    return o && o->kind == TL_VALUE_OBJECT ? o->name : 0;
}

/** @return number of items; 0 for NULL or no vector */
static inline uint32_t tl_len(const struct tl_value *v)
{
    return v && v->kind == TL_VALUE_VECTOR ? v->n : 0;
}

/** @return item i, followed through references; NULL past the end. v may be NULL */
const struct tl_value *tl_item(const struct tl_value *v, uint32_t i);

/** @return item i as a number (int, long, bool); 0 past the end */
int64_t tl_item_long(const struct tl_value *v, uint32_t i);

#endif

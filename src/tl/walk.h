/* SPDX-License-Identifier: MIT */
/*
 * walk.h - one table-driven walker over TL bytes: skip, open, explain, print
 *
 * TL has no lengths: to find the end of an object its layout must be known, down to the last leaf.
 * tl_skip runs the constructor's walk program and checks bounds; tl_object_open does that too and
 * keeps where each field of that one object begins. Nothing is copied. Because an opened object has
 * been walked to its end, reads of its fields stay inside its bytes.
 *
 *   struct tl_object m;
 *   uint32_t n = tl_read_vector(&r, 4);
 *   while (n-- && tl_object_open(schema, &r, &m))
 *       if (m.ctor->name == TLN_message)
 *           text = tl_field_str(&m, TLN_message);
 *
 * In a hot loop, resolve the field's index once per constructor (tl_ctor_field_index) and use
 * tl_at, tl_at_i32, ... with it. When a walk fails, tl_explain says where and why.
 *
 * Threads: none: pure functions of their arguments
 * Limits:  64 levels; counts of vectors are bounded by the bytes left
 */
#ifndef TL_WALK_H
#define TL_WALK_H

#include "base/json.h"
#include "tl/reader.h"
#include "tl/schema.h"

/** One object in place. */
enum { TL_PLAN_WORDS = 4, TL_PLAN_FIELDS = 64 };

struct tl_object {
    const struct tl_schema *schema;
    const struct tl_ctor *ctor;
    const uint8_t *start, *end;         /* from the constructor id to behind the last field */
    const uint8_t *field[TL_FIELD_MAX]; /* start of each field, NULL: absent. A `true` flag that is
                                           set points to where it would stand */
};

enum tl_fault_kind {
    TL_FAULT_NONE,
    TL_FAULT_UNKNOWN, /* a constructor that this layer has not */
    TL_FAULT_TYPE,    /* a known constructor, but of another type; or a wrong vector or Bool id */
    TL_FAULT_SHORT,   /* the bytes end too early, or a count or length is too large for them */
    TL_FAULT_DEPTH,   /* more than TL_DEPTH_MAX levels */
};

/** One step of the way from the outermost object to the fault. */
struct tl_step {
    uint16_t ctor;  /* symbol of the object's constructor; 0: a vector that stands alone */
    uint16_t field; /* symbol of the field; 0: the object itself or an item of a lone vector */
    int32_t item;   /* number of the vector's item, -1 if it is no vector */
};

struct tl_fault {
    enum tl_fault_kind kind;
    uint32_t id;    /* constructor id met, 0 if it is not about one */
    size_t offset;  /* of the id or value at fault, from the start of the walked bytes */
    uint32_t depth; /* steps in `path` */
    struct tl_step path[TL_DEPTH_MAX + 1];
};

/** Skips one boxed object, vector of boxed objects or Bool. @return !r->bad */
bool tl_skip(const struct tl_schema *s, struct tl_reader *r);

/** Skips one value of a type of the schema (tl_ctor.type of a function: its result). */
bool tl_skip_type(const struct tl_schema *s, struct tl_reader *r, uint16_t type);

/**
 * Opens the object at the reader and moves the reader behind it.
 *
 * @param ret  filled in place, as it is large: of no use after a failure
 * @return false, with the reader marked, if it is no whole object of a known constructor
 */
bool tl_object_open(const struct tl_schema *s, struct tl_reader *r, struct tl_object *ret);

/**
 * As tl_object_open for an object whose end does not matter: walks only up to and including field
 * number `last`; later fields are NULL and `end` is where the walk stopped. For replies that are
 * damaged behind what is looked for.
 */
bool tl_object_open_until(const struct tl_schema *s, struct tl_reader *r, int last,
                          struct tl_object *ret);

/*
 * What opening an object of one constructor again and again may know beforehand: which fields each
 * bit of each flags word brings. Only the fields that are there are then looked at; of a message
 * that is a quarter of them.
 */
struct tl_plan {
    const struct tl_ctor *ctor; /* NULL: of no use */
    uint64_t always;            /* fields without a condition, by number */
    uint64_t fixed;             /* fields of one size, `true` flags too; not flags words */
    struct {
        uint8_t field;
        uint64_t of_bit[32];    /* fields that it brings; all behind the word */
    } word[TL_PLAN_WORDS];
    uint32_t n_words;
};

/** Makes the plan of a constructor. It is of no use if c is NULL, has more than TL_PLAN_FIELDS
 *  fields or more than TL_PLAN_WORDS flags words. */
void tl_plan_of(const struct tl_schema *s, const struct tl_ctor *c, struct tl_plan *ret);

/** As tl_object_open; objects of a plan's constructor faster. */
bool tl_object_open_planned(const struct tl_schema *s, struct tl_reader *r,
                            const struct tl_plan *plan, size_t n_plans, struct tl_object *ret);

/**
 * Goes through an object and tells where its fields stand, with no more work than that: the offset
 * of field i from the start goes to ret[place[i]]. Places of absent fields are left alone.
 *
 * @param plan  of the object's constructor, or of no use: it then takes longer
 * @return the object's end, where the reader then stands; NULL, with the reader marked, if it is no
 *         whole object of a known constructor
 */
const uint8_t *tl_object_places(const struct tl_schema *s, struct tl_reader *r,
                                const struct tl_plan *plan, const uint8_t place[TL_FIELD_MAX],
                                uint32_t *ret);

/**
 * Walks the bytes again, slowly, and tells what is wrong with them.
 *
 * @param type  TL_NONE: any boxed object; else a type of the schema
 * @return false if nothing is wrong (bytes behind the object are not looked at)
 */
bool tl_explain(const struct tl_schema *s, const void *bytes, size_t n, uint16_t type,
                struct tl_fault *ret);

/** Appends the fault as one line, such as
 *  "unknown constructor 1a2b3c4d at byte 812: messages.channelMessages.messages[3].media". */
void tl_fault_text(const struct tl_schema *s, const struct tl_fault *fault, struct tg_buf *out);

/** @return a reader on field number i; {NULL, NULL} if i < 0 or the field is absent */
static inline struct tl_reader tl_at(const struct tl_object *o, int i)
{
    if (i < 0 || !o->field[i])
        return (struct tl_reader){ 0 };
    return (struct tl_reader){ .at = o->field[i], .end = o->end };
}

/** Values by resolved index; `absent` if the field is not there. */
static inline int32_t tl_at_i32(const struct tl_object *o, int i, int32_t absent)
{
    return i >= 0 && o->field[i] ? (int32_t)tg_le32(o->field[i]) : absent;
}

static inline int64_t tl_at_i64(const struct tl_object *o, int i, int64_t absent)
{
    return i >= 0 && o->field[i] ? (int64_t)tg_le64(o->field[i]) : absent;
}

/** Whether the field is there; of a `true` flag: whether it is set. */
static inline bool tl_at_has(const struct tl_object *o, int i)
{
    return i >= 0 && o->field[i];
}

/** @return view of a string or bytes; {NULL, 0} if absent */
static inline struct tg_str tl_at_str(const struct tl_object *o, int i)
{
    struct tl_reader r = tl_at(o, i);

    return r.at ? tl_read_str(&r) : (struct tg_str){ 0 };
}

/** Opens the boxed object in field number i. @return false if absent */
static inline bool tl_at_object(const struct tl_object *o, int i, struct tl_object *ret)
{
    struct tl_reader r = tl_at(o, i);

    return r.at && tl_object_open(o->schema, &r, ret);
}

/** @return constructor id in field number i, 0 if absent */
static inline uint32_t tl_at_id(const struct tl_object *o, int i)
{
    return i >= 0 && o->field[i] ? tg_le32(o->field[i]) : 0;
}

/** The same by symbol: finds the index first, for places that are not hot. */
static inline int tl_field_index(const struct tl_object *o, uint32_t symbol)
{
    return tl_ctor_field_index(o->schema, o->ctor, symbol);
}

static inline struct tl_reader tl_field(const struct tl_object *o, uint32_t symbol)
{
    return tl_at(o, tl_field_index(o, symbol));
}

static inline int32_t tl_field_i32(const struct tl_object *o, uint32_t symbol, int32_t absent)
{
    return tl_at_i32(o, tl_field_index(o, symbol), absent);
}

static inline int64_t tl_field_i64(const struct tl_object *o, uint32_t symbol, int64_t absent)
{
    return tl_at_i64(o, tl_field_index(o, symbol), absent);
}

static inline double tl_field_double(const struct tl_object *o, uint32_t symbol, double absent)
{
    struct tl_reader r = tl_field(o, symbol);

    return r.at ? tl_read_double(&r) : absent;
}

static inline struct tg_str tl_field_str(const struct tl_object *o, uint32_t symbol)
{
    return tl_at_str(o, tl_field_index(o, symbol));
}

static inline bool tl_field_object(const struct tl_object *o, uint32_t symbol,
                                   struct tl_object *ret)
{
    return tl_at_object(o, tl_field_index(o, symbol), ret);
}

/** Whether a field is there, a `true` flag is set. (Of a Bool field: see tl_field_bool.) */
static inline bool tl_field_has(const struct tl_object *o, uint32_t symbol)
{
    return tl_at_has(o, tl_field_index(o, symbol));
}

/** A Bool's value, or whether a `true` flag is set; false if absent. */
bool tl_field_bool(const struct tl_object *o, uint32_t symbol);

/**
 * Starts on a vector field: the reader stands on the first item.
 *
 * @return number of items; 0 if absent. Items of boxed objects are then opened one by one.
 */
uint32_t tl_at_vector(const struct tl_object *o, int i, struct tl_reader *ret);

static inline uint32_t tl_field_vector(const struct tl_object *o, uint32_t symbol,
                                       struct tl_reader *ret)
{
    return tl_at_vector(o, tl_field_index(o, symbol), ret);
}

struct tl_json_options {
    uint32_t bytes_max; /* longer bytes fields are written as null; 0: no bound */
};

/**
 * Writes the object at the reader as JSON and moves behind it: "_" is the predicate, fields carry
 * their names, longs are numbers, bytes are base64, set `true` flags are true, absent ones are left
 * out, int128 and int256 are hex.
 *
 * @param options  NULL: defaults
 * @return false if the bytes are no such object: the JSON written so far is then incomplete, take
 *         it back by resetting the buffer's length
 */
bool tl_print_json(const struct tl_schema *s, struct tl_reader *r, struct tg_json *json,
                   const struct tl_json_options *options);

/** As tl_print_json for a value of a type of the schema, such as a function's result. */
bool tl_print_json_type(const struct tl_schema *s, struct tl_reader *r, uint16_t type,
                        struct tg_json *json, const struct tl_json_options *options);

#endif

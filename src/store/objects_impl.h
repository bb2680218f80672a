/* SPDX-License-Identifier: MIT */
/*
 * objects_impl.h - what objects.c and the others of that name share: records and names
 */
#ifndef TG_STORE_OBJECTS_IMPL_H
#define TG_STORE_OBJECTS_IMPL_H

#include "base/text.h"
#include "store/objects.h"

enum { OBJECT_HEAD_MAX = 128, OBJECT_MAX = TG_STORE_DOC_MAX + OBJECT_HEAD_MAX };

struct object_name {
    char at[TG_OBJECT_NAME];
};

/** An object that was read: done with tg_object_done. */
struct object {
    struct object_name name;
    struct tg_object_tag tag; /* "": there is none */
    struct tg_buf text;       /* head and bytes */
    size_t head;              /* bytes of the head */
    /* in the head */
    uint64_t number, fence, mark, pieces;
    int64_t at_us;
};

static inline const void *tg_object_bytes(const struct object *o)
{
    return o->text.data + o->head;
}

static inline size_t tg_object_len(const struct object *o)
{
    return o->text.len - o->head;
}

/** "what/KIND/KEY"; key may be NULL */
void tg_object_name(struct object_name *out, const char *what, const char *kind, const char *key);
/** The same with a slash at its end. */
void tg_object_prefix(struct object_name *out, const char *what, const char *kind,
                      const char *key);
/** The same with "/number" at its end. */
void tg_object_name_n(struct object_name *out, const char *what, const char *kind,
                      const char *key, uint64_t number);
/** Twenty digits. */
void tg_object_digits(char out[21], uint64_t number);
/** @return false if the text does not begin with twenty digits and `end` */
bool tg_object_number(const char *text, char end, uint64_t *ret);
/** Takes a part of a name back to what it was. @return false if it is none of ours */
bool tg_object_key(const char *part, char *out, size_t size);

void tg_object_init(struct object *o);
void tg_object_done(struct object *o);

/** Reads the object of that name; tag "" and zeroes if there is none. @return TG_CORRUPT */
tg_code tg_object_get(struct tg_objects *s, struct object *o, struct tg_error *err);
/** Puts the pieces into text, behind the head. @return TG_END if they are gone: it was dropped */
tg_code tg_object_join(struct tg_objects *s, struct object *o, struct tg_error *err);

/** Makes the object's text of its numbers and these bytes, with a new mark; those that do not fit
 *  are written as pieces, which the object then refers to. */
tg_code tg_object_fill(struct tg_objects *s, struct object *o, const void *bytes, size_t len,
                       struct tg_error *err);
/** Writes it in place of what was seen; NULL: of anything. @return TG_CONFLICT */
tg_code tg_object_put(struct tg_objects *s, const struct object *o,
                      const struct tg_object_tag *seen, struct tg_error *err);
/** Removes it, and its pieces. */
tg_code tg_object_drop(struct tg_objects *s, const struct object *o, struct tg_error *err);

tg_code tg_objects_may_change(const struct tg_objects *s, const char *kind, const char *key,
                              struct tg_error *err);

/** Reads who has a lease into an object and what it says. @return TG_CORRUPT */
tg_code tg_object_lease(struct tg_objects *s, const char *name, struct object *o,
                        struct tg_lease *ret, struct tg_error *err);

/** Notes that something of that kind is there: "doc" or "last". */
tg_code tg_objects_note(struct tg_objects *s, const char *what, const char *kind,
                        struct tg_error *err);

/** The ends of names that begin so, sorted by bytes, each ended by a NUL. */
struct object_ends {
    struct tg_buf text;
    const char **at;
    size_t n;
};

tg_code tg_object_ends(struct tg_objects *s, const char *prefix, struct object_ends *ret,
                       struct tg_error *err);
void tg_object_ends_done(struct object_ends *e);
/** Takes them back to what they were, in place, and puts them into order. */
void tg_object_ends_to_keys(struct object_ends *e);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * thrift.h - Thrift's compact protocol, as far as the metadata of Parquet files needs it
 *
 *   struct = fields, then 0    field = (id - the last id) << 4 | type, value
 *   list   = n << 4 | type, values; from 15 on: 0xf0 | type, n as varint, values
 *   number = zigzag varint     text = length as varint, bytes
 *
 * Writing: every tg_thrift_open is closed. Reading never passes the end; whatever is wrong shows in
 * `bad`, whereafter all values are 0 and no field follows.
 *
 * Threads: one at a time      Limits: structs within structs 16 deep
 */
#ifndef TG_SINK_THRIFT_H
#define TG_SINK_THRIFT_H

#include "base/text.h"

enum tg_thrift_type {
    TG_THRIFT_TRUE = 1,
    TG_THRIFT_FALSE = 2,
    TG_THRIFT_I8 = 3,
    TG_THRIFT_I16 = 4,
    TG_THRIFT_I32 = 5,
    TG_THRIFT_I64 = 6,
    TG_THRIFT_DOUBLE = 7,
    TG_THRIFT_TEXT = 8,
    TG_THRIFT_LIST = 9,
    TG_THRIFT_SET = 10,
    TG_THRIFT_STRUCT = 12,
};

enum { TG_THRIFT_DEPTH = 16 };

struct tg_thrift {
    struct tg_buf *out;
    int16_t last[TG_THRIFT_DEPTH]; /* id of the last field, of each open struct */
    int depth;
};

void tg_thrift_init(struct tg_thrift *t, struct tg_buf *out);
void tg_thrift_varint(struct tg_buf *out, uint64_t v);

/** Begins a struct: the outermost one, or an element of a list. */
void tg_thrift_open(struct tg_thrift *t);
/** Begins a struct that is a field. */
void tg_thrift_open_field(struct tg_thrift *t, int16_t id);
void tg_thrift_close(struct tg_thrift *t);

void tg_thrift_i32(struct tg_thrift *t, int16_t id, int32_t v);
void tg_thrift_i64(struct tg_thrift *t, int16_t id, int64_t v);
void tg_thrift_bool(struct tg_thrift *t, int16_t id, bool v);
void tg_thrift_bytes(struct tg_thrift *t, int16_t id, const void *bytes, size_t n);
void tg_thrift_text(struct tg_thrift *t, int16_t id, const char *text);
/** A struct without fields. */
void tg_thrift_empty(struct tg_thrift *t, int16_t id);
/** Begins a list that is a field; n values follow. */
void tg_thrift_list(struct tg_thrift *t, int16_t id, enum tg_thrift_type type, uint32_t n);

struct tg_thrift_in {
    const uint8_t *at, *end;
    int16_t last[TG_THRIFT_DEPTH];
    int depth;
    bool bad;
};

void tg_thrift_in_init(struct tg_thrift_in *in, const void *bytes, size_t n);
uint64_t tg_thrift_take_varint(struct tg_thrift_in *in);

/** Enters a struct: the outermost one, an element of a list or a field that was found. */
void tg_thrift_enter(struct tg_thrift_in *in);
/** @return whether the struct has one more field, whose value must be taken or skipped; at its end
 *  the struct is left */
bool tg_thrift_next(struct tg_thrift_in *in, int16_t *ret_id, unsigned *ret_type);

/* Each marks as bad what is of another type than `type` tells. */
int64_t tg_thrift_take(struct tg_thrift_in *in, unsigned type);
struct tg_str tg_thrift_take_text(struct tg_thrift_in *in, unsigned type);
/** @return how many elements follow, each at least a byte of those that are left */
uint32_t tg_thrift_take_list(struct tg_thrift_in *in, unsigned type, unsigned *ret_element);
void tg_thrift_skip(struct tg_thrift_in *in, unsigned type);

#endif

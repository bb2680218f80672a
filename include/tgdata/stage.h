/* SPDX-License-Identifier: MIT */
/*
 * stage.h - what is done to rows on their way, in the caller's own code or by name
 *
 *   rows -> step -> step -> ... -> destination
 *
 * A step is a filter, a transformation, or a stage that is named as the program's --stage names it
 * (docs/transform.md lists them): "where?expr=word_count > 3". Steps run in their order; rows keep
 * theirs.
 *
 * Threads: a stream or delta with several stage workers calls filters and transformations from
 * several threads at once, each with rows of its own; with one worker, and in an extraction, they
 * are called from one thread at a time, which is not the caller's
 */
#ifndef TGDATA_STAGE_H
#define TGDATA_STAGE_H

#include "tgdata/row.h"

#ifdef __cplusplus
extern "C" {
#endif

/** @return whether the row goes on. A row of a deletion (field `change`) has no content: most
 *  filters let it pass */
typedef bool (*tg_row_filter_fn)(void *ctx, const struct tg_row *row);

/** A row in a transformation's hand. */
struct tg_row_edit;

/** Changes fields of a row. @return TG_OK; a failure ends the run with that code (tg_row_set_...
 *  fill err already; otherwise it may be left alone) */
typedef tg_code (*tg_row_transform_fn)(void *ctx, struct tg_row_edit *edit, struct tg_error *err);

/** One step: exactly one of `stage`, `filter` and `transform` is set. */
struct tg_step {
    const char *stage; /**< "NAME?option=value&..." */
    tg_row_filter_fn filter;
    tg_row_transform_fn transform;
    void *ctx; /**< of filter and transform */
};

/** @return the row as it stands; texts that were set are seen at once. Valid during the callback */
TG_API const struct tg_row *tg_row_edit_row(const struct tg_row_edit *edit);

/** @return whether the field may be changed: not those that tell which message it is, and what of
 *  it has changed (chat_id, id, owner, change, change_seq, change_pts, change_date, before) */
TG_API bool tg_field_is_free(enum tg_field_id id);

/**
 * Sets an I64, TIME (Unix seconds) or BOOL (0, 1) field.
 * @return TG_OK; TG_USAGE: the field is of another type, or not free; TG_DATA: neither 0 nor 1
 */
TG_API tg_code tg_row_set_int(struct tg_row_edit *edit, enum tg_field_id id, int64_t value,
                              struct tg_error *err) TG_MUST_CHECK;

/**
 * Sets a STR or JSON field; the text is copied.
 * @return TG_OK; TG_USAGE: the field is of another type, or not free; TG_DATA: it is no UTF-8, or
 *         no JSON; TG_LIMIT, TG_NOMEM
 */
TG_API tg_code tg_row_set_text(struct tg_row_edit *edit, enum tg_field_id id, const char *text,
                               size_t len, struct tg_error *err) TG_MUST_CHECK;

/** Takes a field's value away. @return TG_OK; TG_USAGE: it is not free */
TG_API tg_code tg_row_unset(struct tg_row_edit *edit, enum tg_field_id id,
                            struct tg_error *err) TG_MUST_CHECK;

#ifdef __cplusplus
}
#endif
#endif

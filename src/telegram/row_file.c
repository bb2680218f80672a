/* SPDX-License-Identifier: MIT */
/*
 * row_file.c - where the file of a message is, for its download
 *
 * What does not fit the bounds is no place that a server gives: the row stays, and tells that its
 * file could not be had.
 */
#include "telegram/page.h"

enum { REFERENCE_MAX = 4096 };

void tg_fill_file(struct tg_fill *f, struct tl_reader r, int64_t size, struct tg_str thumb)
{
    struct tg_row_file *file;
    struct tg_str reference;
    struct tl_object o;

    if (!tl_object_open(f->shape->schema, &r, &o))
        return;
    file = tg_batch_file(f->batch);
    reference = tl_field_str(&o, TLN_file_reference);
    if (!file) {
        f->no_memory = true;
        return;
    }
    file->photo = o.ctor->name == TLN_photo;
    file->dc = tl_field_i32(&o, TLN_dc_id, 0);
    file->id = tl_field_i64(&o, TLN_id, 0);
    file->access_hash = tl_field_i64(&o, TLN_access_hash, 0);
    file->size = size;
    if (thumb.len < sizeof file->thumb)
        memcpy(file->thumb, thumb.at ? thumb.at : "", thumb.len);
    if (reference.len > REFERENCE_MAX)
        reference.len = 0;
    file->reference = tg_batch_text(f->batch, reference.at, reference.len);
    f->no_memory |= !file->reference.at;
}

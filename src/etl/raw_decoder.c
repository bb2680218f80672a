/* SPDX-License-Identifier: MIT */
/*
 * raw_decoder.c - see raw_decoder.h
 */
#include "etl/raw_decoder.h"

#include "tl/value.h"

enum { TREE_MAX = 64 << 20, BYTES_MAX = 32 << 20, LAYER = 228 };

tg_code tg_raw_decoder_init(struct tg_raw_decoder *d, size_t n_rows, struct tg_error *err)
{
    *d = (struct tg_raw_decoder){ .page = tg_page_new(), .rows = tg_batch_new(n_rows) };
    tg_arena_init(&d->tree, TREE_MAX);
    tg_buf_init(&d->bytes, BYTES_MAX);
    if (d->page && d->rows)
        return TG_OK;
    tg_raw_decoder_done(d);
    return tg_fail(err, TG_NOMEM, "no memory to decode rows");
}

void tg_raw_decoder_done(struct tg_raw_decoder *d)
{
    tg_page_free(d->page);
    tg_batch_free(d->rows);
    tg_arena_done(&d->tree);
    tg_buf_done(&d->bytes);
    *d = (struct tg_raw_decoder){ 0 };
}

void tg_raw_decoder_clear(struct tg_raw_decoder *d)
{
    tg_batch_clear(d->rows);
}

/* A reply with that message alone, as bytes of this layer. */
static tg_code encode(struct tg_raw_decoder *d, const struct tg_row *from,
                      const struct tl_schema *s, struct tg_error *err)
{
    struct tl_value *message, *reply = tl_obj(&d->tree, TLN_messages_messages);

    message = tl_from_json(s, from->raw.len ? from->raw.at : "", from->raw.len, &d->tree, err);
    if (!message)
        return err->code;
    tl_add_obj(tl_set_vector(reply, TLN_messages), message);
    return tl_encode(s, reply, &d->bytes, err);
}

tg_code tg_raw_decode(void *decoder, const struct tg_row *from, struct tg_row *ret,
                      struct tg_error *err)
{
    struct tg_raw_decoder *d = decoder;
    const struct tl_schema *s = tl_schema_builtin(LAYER);
    const struct tg_row_options options = {
        .chat_id = from->chat_id,
        .owner = from->owner,
        .protected_chat = from->present & TG_ROW_BIT(protected) && from->protected,
        .forum = from->present & TG_ROW_BIT(topic_id),
        .copy = true,
    };
    struct tg_page_info info;
    tg_code code;

    tg_arena_clear(&d->tree);
    tg_buf_clear(&d->bytes);
    code = encode(d, from, s, err);
    if (code == TG_OK)
        code = tg_page_open(d->page, s, d->bytes.data, d->bytes.len, &info, err);
    if (code == TG_OK && (info.fault != TG_PAGE_WHOLE || info.n != 1))
        code = tg_fail(err, TG_DATA, "its raw object is no message");
    if (code == TG_OK && tg_page_ids(d->page)[0] != from->id)
        code = tg_fail(err, TG_DATA, "its raw object is message %d", (int)tg_page_ids(d->page)[0]);
    if (code == TG_OK)
        code = tg_page_row(d->page, 0, &options, d->rows, err);
    if (code == TG_END)
        code = tg_fail(err, TG_DATA, "its raw object is an empty message");
    if (code == TG_PROTOCOL)
        err->code = code = TG_DATA;
    if (code == TG_OK)
        *ret = d->rows->row[d->rows->n - 1];
    return code;
}

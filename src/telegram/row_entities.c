/* SPDX-License-Identifier: MIT */
/*
 * row_entities.c - formatting and reactions of a message as JSON arrays
 *
 * [{"type":"text_url","offset":0,"length":4,"url":"https://..."}]: the type is the constructor's
 * name, further fields keep theirs. Most entities are three words long and need no walk; the text
 * up to the offset is prepared in the page's shape.
 */
#include "telegram/page.h"

/* Appends type, offset and length, without the closing brace. */
static void put_head(const struct tg_page_entity *e, int32_t offset, int32_t length,
                     struct tg_buf *out)
{
    static const char key[] = ",\"length\":";
    uint8_t *at;

    if (!tg_buf_room(out, sizeof e->text + sizeof key + 2 * TG_I64_ROOM))
        return;
    at = out->data + out->len;
    memcpy(at, e->text, sizeof e->text);
    at = tg_put_i64_text(at + e->len, offset);
    memcpy(at, key, sizeof key - 1);
    at = tg_put_i64_text(at + sizeof key - 1, length);
    out->len = (size_t)(at - out->data);
}

/* Appends the fields that only this kind of entity has. */
static void put_rest(const struct tl_object *o, struct tg_buf *out)
{
    const struct tl_field *field = tl_ctor_fields(o->schema, o->ctor);
    struct tg_json json = { .out = out, .comma = true };

    for (int i = 0; i < o->ctor->n_fields; i++) {
        struct tl_reader r = tl_at(o, i);
        struct tg_str text;

        if (!r.at || field[i].name == TLN_offset || field[i].name == TLN_length)
            continue;
        switch (field[i].kind) {
        case TL_KIND_TRUE:
            tg_json_key(&json, tl_symbol_name(o->schema, field[i].name));
            tg_json_bool(&json, true);
            break;
        case TL_KIND_INT:
            tg_json_key(&json, tl_symbol_name(o->schema, field[i].name));
            tg_json_i64(&json, tl_read_i32(&r));
            break;
        case TL_KIND_LONG:
            tg_json_key(&json, tl_symbol_name(o->schema, field[i].name));
            tg_json_i64(&json, tl_read_i64(&r));
            break;
        case TL_KIND_STRING:
            text = tl_read_str(&r);
            tg_json_key(&json, tl_symbol_name(o->schema, field[i].name));
            tg_json_str(&json, text.at, text.len);
            break;
        default: /* flag words; objects, which stand in requests only */
            break;
        }
    }
}

void tg_entities_json(const struct tg_page_shape *shape, struct tl_reader r, struct tg_buf *out)
{
    uint32_t n = tl_read_vector(&r, 4);
    char separator = '[';

    for (; n && !r.bad; n--) {
        const struct tg_page_entity *e = tg_page_entity_of(shape, tl_peek_u32(&r));
        struct tl_object o;

        if (e && e->plain && tl_left(&r) >= 12) {
            tg_buf_byte(out, (uint8_t)separator);
            put_head(e, (int32_t)tg_le32(r.at + 4), (int32_t)tg_le32(r.at + 8), out);
            r.at += 12;
        } else {
            if (!tl_object_open(shape->schema, &r, &o))
                break;
            if (!e)
                continue; /* a kind whose name has no room in the shape: none exists */
            tg_buf_byte(out, (uint8_t)separator);
            put_head(e, tl_field_i32(&o, TLN_offset, 0), tl_field_i32(&o, TLN_length, 0), out);
            put_rest(&o, out);
        }
        tg_buf_byte(out, '}');
        separator = ',';
    }
    if (separator == '[')
        tg_buf_byte(out, '[');
    tg_buf_byte(out, ']');
}

void tg_fill_entities(struct tg_fill *f)
{
    size_t from = f->json->len;

    tg_entities_json(f->shape, tg_message_reader(f->message, TG_M_entities), f->json);
    if (f->json->len - from > 2)
        TG_ROW_SET(f->row, entities, tg_fill_take(f, from));
}

/* ---- reactions ---- */

/* Appends the reaction at the reader as a JSON string: the emoji; the document id of a custom one;
 * paid. Moves behind it. */
static void put_reaction(const struct tg_page_shape *shape, struct tl_reader *r, struct tg_buf *out)
{
    uint32_t id = tl_peek_u32(r);
    struct tg_str text;

    if (id == 0 || (id != shape->reaction_emoji && id != shape->reaction_custom)) {
        tg_buf_str(out, id && id == shape->reaction_paid ? "\"paid\"" : "null");
        tl_skip(shape->schema, r);
        return;
    }
    tl_read_u32(r);
    if (id == shape->reaction_emoji) {
        text = tl_read_str(r);
        tg_json_quote(out, text.at, text.len);
    } else {
        tg_buf_byte(out, '"');
        tg_buf_i64_text(out, tl_read_i64(r));
        tg_buf_byte(out, '"');
    }
}

/*
 * Appends the next of the list up to the reaction. In the usual layout that is read in place, as
 * there are several to a message and the list is known to be whole.
 *
 * @return its count
 */
static int32_t put_counted(const struct tg_page_shape *shape, struct tl_reader *list,
                           struct tg_buf *out)
{
    struct tl_object one;
    struct tl_reader r;

    if (tl_peek_u32(list) == shape->reaction_count) {
        tl_read_u32(list);
        if (tl_read_u32(list) & 1)
            tl_read_u32(list); /* the order of the account's own reactions */
        put_reaction(shape, list, out);
        return tl_read_i32(list);
    }
    if (!tl_object_open(shape->schema, list, &one))
        return 0;
    r = tl_at(&one, shape->ix.reactionCount_reaction);
    put_reaction(shape, &r, out);
    return tl_at_i32(&one, shape->ix.reactionCount_count, 0);
}

void tg_fill_reactions(struct tg_fill *f)
{
    static const char head[] = ",{\"reaction\":", count[] = ",\"count\":";
    const struct tg_page_shape *shape = f->shape;
    struct tl_reader list;
    struct tl_object o;
    struct tg_buf *out = f->json;
    size_t from = out->len;
    int32_t times;
    uint32_t n;

    list = tg_page_enter(shape->schema, tg_message_reader(f->message, TG_M_reactions),
                         TLN_messageReactions, shape->ix.messageReactions_results, &o);
    n = list.at ? tl_read_vector(&list, 4) : 0;
    if (!n)
        return;
    for (; n && !list.bad; n--) {
        tg_buf_add(out, head, sizeof head - 1);
        times = put_counted(shape, &list, out);
        tg_buf_add(out, count, sizeof count - 1);
        tg_buf_i64_text(out, times);
        tg_buf_byte(out, '}');
    }
    if (!out->failed)
        out->data[from] = '['; /* over the first comma */
    tg_buf_byte(out, ']');
    TG_ROW_SET(f->row, reactions, tg_fill_take(f, from));
}

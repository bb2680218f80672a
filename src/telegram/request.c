/* SPDX-License-Identifier: MIT */
/*
 * request.c - see request.h
 */
#include "telegram/request.h"

#include <inttypes.h>

#include "telegram/peers.h"
#include "tl/pieces.h"
#include "tl/walk.h"

uint64_t tg_request(struct tgc *c, const struct tl_value *query, const struct tgc_request *how,
                    int64_t now_us)
{
    struct tgc_request request = *how;
    struct tg_error err;
    struct tg_buf body;
    uint64_t call = 0;

    tg_buf_init(&body, TG_REQUEST_MAX);
    if (tl_encode(tgc_schema(c), query, &body, &err) == TG_OK) {
        request.body = body.data;
        request.len = body.len;
        call = tgc_call(c, &request, now_us);
    }
    tg_buf_wipe(&body); /* may hold a code or a token */
    return call;
}

/* ---- replies of which a part cannot be read ---- */

static void put_value(struct tl_value *o, const struct tl_field *f, struct tl_value *v)
{
    if (f->kind == TL_KIND_TRUE)
        tl_set_true(o, f->name, true);
    else if (f->kind != TL_KIND_FLAGS)
        tl_set_obj(o, f->name, v);
}

/* The fields of an object up to the one that cannot be read. @return NULL if itself is unknown */
static struct tl_value *readable_fields(const struct tl_schema *s, const struct tl_piece *piece,
                                        struct tg_arena *arena)
{
    struct tl_reader r = tl_reader_of(piece->at, (size_t)(piece->end - piece->at));
    const struct tl_ctor *c = tl_ctor_by_id(s, tl_read_u32(&r));
    struct tl_value *o = c ? tl_obj(arena, c->name) : NULL, *v;
    const uint8_t *word[TL_FIELD_MAX] = { 0 };

    for (int i = 0; o && i < c->n_fields; i++) {
        const struct tl_field *f = tl_ctor_fields(s, c) + i;

        if (f->word != TL_NO_FLAG && !(tg_le32(word[f->word]) >> f->bit & 1))
            continue;
        word[i] = r.at;
        v = tl_decode_type(s, &r, f->type, arena);
        if (!v)
            break;
        put_value(o, f, v);
    }
    return o;
}

static void tell_unreadable(struct tgc *c, const struct tl_ctor *in, const struct tl_piece *piece)
{
    const struct tl_schema *s = tgc_schema(c);
    const struct tl_field *f = tl_ctor_fields(s, in) + piece->field;
    struct tl_fault fault = { 0 };
    struct tg_error why;
    size_t len = (size_t)(piece->end - piece->at);

    tl_explain(s, piece->at, len, TL_NONE, &fault);
    tg_fail(&why, TG_DATA, "an object with an unknown constructor %08" PRIx32 " in %s.%s", fault.id,
            tl_symbol_name(s, in->name), tl_symbol_name(s, f->name));
    tgc_unreadable(c, &why, piece->at, len);
}

/* Puts together what can be read. @return NULL if nothing can, or out of memory */
static const struct tl_value *readable_part(struct tgc *c, const struct tgc_reply *reply,
                                            struct tg_arena *arena)
{
    const struct tl_schema *s = tgc_schema(c);
    struct tl_value *o = NULL, *list = NULL;
    struct tl_pieces pieces;

    if (tl_pieces_cut(s, reply->body, reply->len, &pieces) && pieces.n_bad)
        o = tl_obj(arena, pieces.ctor->name);
    for (size_t i = 0; o && i < pieces.n; i++) {
        const struct tl_piece *piece = &pieces.piece[i];
        const struct tl_field *f = tl_ctor_fields(s, pieces.ctor) + piece->field;
        struct tl_reader r = tl_reader_of(piece->at, (size_t)(piece->end - piece->at));
        struct tl_value *part;

        switch (piece->kind) {
        case TL_PIECE_VALUE:
            put_value(o, f, tl_decode_type(s, &r, f->type, arena));
            break;
        case TL_PIECE_LIST:
            list = tl_set_vector(o, f->name);
            break;
        case TL_PIECE_ITEM:
            tl_add_obj(list, tl_decode_type(s, &r, s->type[f->type].item, arena));
            o->failed |= !list || list->failed;
            break;
        case TL_PIECE_BAD:
            part = f->kind == TL_KIND_OBJECT ? readable_fields(s, piece, arena) : NULL;
            if (part)
                tl_set_obj(o, f->name, part);
            tell_unreadable(c, pieces.ctor, piece);
            break;
        }
    }
    tl_pieces_done(&pieces);
    return o && !o->failed ? o : NULL;
}

const struct tl_value *tg_reply_value(struct tgc *c, const struct tgc_reply *reply,
                                      struct tg_arena *arena, struct tg_error *err)
{
    struct tl_reader r = tl_reader_of(reply->body, reply->len);
    const struct tl_value *v = tl_decode(tgc_schema(c), &r, arena);

    if (!v)
        v = readable_part(c, reply, arena);
    if (!v)
        tg_fail(err, TG_PROTOCOL, "a reply of the server cannot be read");
    return v;
}

int64_t tg_peer_id(const struct tl_value *peer)
{
    switch (tl_name(peer)) {
    case TLN_peerUser:
        return tg_mark_user(tl_get_long(peer, TLN_user_id, 0));
    case TLN_peerChat:
        return tg_mark_group(tl_get_long(peer, TLN_chat_id, 0));
    case TLN_peerChannel:
        return tg_mark_channel(tl_get_long(peer, TLN_channel_id, 0));
    default:
        return 0;
    }
}

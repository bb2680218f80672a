/* SPDX-License-Identifier: MIT */
/*
 * chats_peers.c - peers as replies tell them, and as requests name them
 */
#include "telegram/chats.h"
#include "tl/pieces.h"
#include "tl/walk.h"

#define ID_INPUT_PEER_SELF 0x7da07ec9u
#define ID_INPUT_PEER_CHAT 0x35a95cb9u
#define ID_INPUT_PEER_USER 0xdde8a54cu
#define ID_INPUT_PEER_CHANNEL 0x27bcbbfcu
#define ID_INPUT_CHANNEL 0xf35aec28u

bool tg_input_peer(const struct tg_peers *peers, int64_t id, struct tg_buf *out)
{
    const struct tg_peer *peer = tg_peers_get(peers, id);

    if (id < 0 && id > -TG_CHANNEL_MARK) { /* basic groups need no access hash */
        tg_buf_u32(out, ID_INPUT_PEER_CHAT);
        tg_buf_u64(out, (uint64_t)-id);
        return true;
    }
    if (!peer || peer->min)
        return false;
    tg_buf_u32(out, id > 0 ? ID_INPUT_PEER_USER : ID_INPUT_PEER_CHANNEL);
    tg_buf_u64(out, (uint64_t)(id > 0 ? id : -id - TG_CHANNEL_MARK));
    tg_buf_u64(out, (uint64_t)peer->access_hash);
    return true;
}

bool tg_input_channel(const struct tg_peers *peers, int64_t id, struct tg_buf *out)
{
    const struct tg_peer *peer = tg_peers_get(peers, id);

    if (!peer || peer->min || id > -TG_CHANNEL_MARK)
        return false;
    tg_buf_u32(out, ID_INPUT_CHANNEL);
    tg_buf_u64(out, (uint64_t)(-id - TG_CHANNEL_MARK));
    tg_buf_u64(out, (uint64_t)peer->access_hash);
    return true;
}

static int64_t id_and_kind(const struct tl_object *o, enum tg_peer_kind *ret)
{
    int64_t id = tl_field_i64(o, TLN_id, 0);

    switch (o->ctor->name) {
    case TLN_user:
        *ret = TG_PEER_USER;
        return tg_mark_user(id);
    case TLN_chat:
    case TLN_chatForbidden:
        *ret = TG_PEER_GROUP;
        return tg_mark_group(id);
    case TLN_channel:
    case TLN_channelForbidden:
        *ret = tl_field_has(o, TLN_megagroup) ? TG_PEER_SUPERGROUP : TG_PEER_CHANNEL;
        return tg_mark_channel(id);
    default:
        return 0;
    }
}

static struct tg_str username_of(const struct tl_object *o)
{
    struct tg_str name = tl_field_str(o, TLN_username);
    struct tl_reader r;
    struct tl_object item;

    if (name.len)
        return name;
    for (uint32_t n = tl_field_vector(o, TLN_usernames, &r);
         n && tl_object_open(o->schema, &r, &item); n--)
        if (tl_field_has(&item, TLN_active))
            return tl_field_str(&item, TLN_username);
    return (struct tg_str){ 0 };
}

static void learn_one(struct tg_peers *peers, const struct tl_object *o, struct tg_buf *text)
{
    struct tg_peer peer = { 0 };
    struct tg_str first = tl_field_str(o, o->ctor->name == TLN_user ? TLN_first_name : TLN_title);
    struct tg_str last = tl_field_str(o, TLN_last_name), username = username_of(o);
    struct tl_object to;
    size_t at;

    peer.id = id_and_kind(o, &peer.kind);
    if (!peer.id)
        return;
    tg_buf_clear(text);
    tg_buf_add(text, first.at, first.len);
    if (first.len && last.len)
        tg_buf_byte(text, ' ');
    tg_buf_add(text, last.at, last.len);
    tg_buf_byte(text, 0);
    at = text->len;
    tg_buf_add(text, username.at, username.len);
    tg_buf_byte(text, 0);
    if (text->failed)
        return;
    peer.name = (const char *)text->data;
    peer.username = username.len ? (const char *)text->data + at : NULL;
    peer.access_hash = tl_field_i64(o, TLN_access_hash, 0);
    peer.min = tl_field_has(o, TLN_min);
    peer.bot = peer.kind == TG_PEER_USER && tl_field_has(o, TLN_bot);
    peer.deleted = tl_field_has(o, TLN_deleted) || tl_field_has(o, TLN_deactivated);
    peer.forum = tl_field_has(o, TLN_forum);
    peer.protected = tl_field_has(o, TLN_noforwards);
    peer.left = tl_field_has(o, TLN_left) || o->ctor->name == TLN_channelForbidden ||
                o->ctor->name == TLN_chatForbidden;
    if (tl_field_object(o, TLN_migrated_to, &to))
        peer.migrated_to = tg_mark_channel(tl_field_i64(&to, TLN_channel_id, 0));
    tg_peers_put(peers, &peer);
}

static void learn_vector(struct tg_peers *peers, const struct tl_object *reply, uint32_t field,
                         struct tg_buf *text)
{
    struct tl_reader r;
    struct tl_object item;

    for (uint32_t n = tl_field_vector(reply, field, &r);
         n && tl_object_open(reply->schema, &r, &item); n--)
        learn_one(peers, &item, text);
}

/* Of a reply that holds unknown objects, what can be read. */
static void learn_pieces(struct tg_peers *peers, const struct tl_schema *schema,
                         const uint8_t *body, size_t len, struct tg_buf *text)
{
    struct tl_pieces pieces;
    struct tl_object o;
    bool cut = tl_pieces_cut(schema, body, len, &pieces);

    for (size_t i = 0; cut && i < pieces.n; i++) {
        const struct tl_piece *piece = &pieces.piece[i];
        const struct tl_field *f = tl_ctor_fields(schema, pieces.ctor) + piece->field;
        struct tl_reader r = tl_reader_of(piece->at, (size_t)(piece->end - piece->at));

        if (piece->kind == TL_PIECE_ITEM && (f->name == TLN_users || f->name == TLN_chats) &&
            tl_object_open(schema, &r, &o))
            learn_one(peers, &o, text);
    }
    tl_pieces_done(&pieces);
}

void tg_peers_learn(struct tg_peers *peers, const struct tl_schema *schema, const uint8_t *body,
                    size_t len)
{
    struct tl_reader r = tl_reader_of(body, len);
    struct tl_object reply, one;
    struct tg_buf text;

    tg_buf_init(&text, 65536);
    if (!tl_object_open(schema, &r, &reply)) {
        learn_pieces(peers, schema, body, len, &text);
        tg_buf_done(&text);
        return;
    }
    learn_vector(peers, &reply, TLN_users, &text);
    learn_vector(peers, &reply, TLN_chats, &text);
    if (tl_field_object(&reply, TLN_user, &one))
        learn_one(peers, &one, &text);
    tg_buf_done(&text);
}

/* SPDX-License-Identifier: MIT */
/*
 * request.c - see request.h
 */
#include "telegram/request.h"

#include "telegram/peers.h"

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

const struct tl_value *tg_reply_value(struct tgc *c, const struct tgc_reply *reply,
                                      struct tg_arena *arena, struct tg_error *err)
{
    struct tl_reader r = tl_reader_of(reply->body, reply->len);
    const struct tl_value *v = tl_decode(tgc_schema(c), &r, arena);

    if (!v)
        tg_fail(err, TG_PROTOCOL, "a reply of the server cannot be read");
    return v;
}

int64_t tg_peer_id(const struct tl_value *peer)
{
    switch (tl_name(peer)) {
    case TLN_peerUser:
        return tl_get_long(peer, TLN_user_id, 0);
    case TLN_peerChat:
        return -tl_get_long(peer, TLN_chat_id, 0);
    case TLN_peerChannel:
        return -TG_CHANNEL_MARK - tl_get_long(peer, TLN_channel_id, 0);
    default:
        return 0;
    }
}

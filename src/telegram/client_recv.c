/* SPDX-License-Identifier: MIT */
/*
 * client_recv.c - bytes of one DC's connection become packets for its handshake or its session
 */
#include <assert.h>

#include "telegram/client_impl.h"

uint8_t *tgc_link_room(struct tgc *c, uint32_t index, size_t *ret_n)
{
    assert(index < TGC_LINKS_MAX && c->link[index]->transport);
    return mt_transport_room(c->link[index]->transport, ret_n);
}

/* @return false when the connection must be dropped */
static bool take_packet(struct tgc *c, struct tgc_link *link, struct mt_packet *packet,
                        int64_t now_us)
{
    if (packet->error) {
        tg_fail(&link->why, packet->error == -429 ? TG_SERVER : TG_NET,
                "DC %d closed the connection with transport error %d", link->dc, packet->error);
        if (packet->error == -404)
            tgc_key_unknown(c, link);
        return false;
    }
    if (link->state == TGC_READY)
        mt_session_packet(link->session, packet, now_us);
    else if (!packet->is_quick_ack)
        tgc_handshake_packet(c, link, packet, now_us);
    if (!link->failed && link->state == TGC_READY)
        link->n_key_unknown = 0; /* it has used the key */
    return !link->failed;
}

/* Takes the packets that have arrived, a few at a time: they are decrypted side by side.
 * @return TG_AGAIN when more bytes are needed; anything else ends the connection */
static tg_code take_packets(struct tgc *c, struct tgc_link *link, int64_t now_us)
{
    enum { AT_ONCE = 4 };
    struct mt_packet packet[AT_ONCE];
    tg_code code = TG_OK;

    while (code == TG_OK) {
        size_t n = 0, wanted = link->state == TGC_READY ? AT_ONCE : 1;

        while (n < wanted &&
               (code = mt_transport_next(link->transport, &packet[n], &link->why)) == TG_OK)
            n++;
        if (n > 1)
            mt_session_decrypt(link->session, packet, n);
        for (size_t i = 0; i < n; i++)
            if (!take_packet(c, link, &packet[i], now_us))
                return TG_NET;
    }
    return code;
}

void tgc_link_received(struct tgc *c, uint32_t index, size_t n, int64_t now_us)
{
    struct tgc_link *link = c->link[index];
    tg_code code;

    assert(index < TGC_LINKS_MAX && link->transport);
    c->now_us = now_us;
    c->stats.bytes_in += n;
    link->rest_us = now_us + TGC_REST_US;
    code = mt_transport_fed(link->transport, n, &link->why);
    link->receiving = true;
    if (code == TG_OK)
        code = take_packets(c, link, now_us);
    link->receiving = false;
    if (code != TG_AGAIN) {
        struct tg_error why = link->why;

        tgc_link_drop(c, link, &why, now_us);
        tgc_circuit_lost(c, link->dc, &why);
    }
    tgc_tick(c, now_us);
}

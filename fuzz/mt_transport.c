/* SPDX-License-Identifier: MIT */
/*
 * mt_transport.c - fuzzes the framing: any bytes, cut anywhere, to a server or to a client
 *
 * Input: one byte of choice (0..3 server; else a client of framing and obfuscation), one byte that
 * cuts the rest into pieces, then the peer's bytes. A client's obfuscation is not undone: its bytes
 * are noise to the fuzzer, so clients are mostly plain.
 */
#include <stdlib.h>

#include "mtproto/transport.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool ok)
{
    if (!ok)
        abort();
}

static struct mt_transport *open_transport(uint8_t choice, const struct tg_random *random)
{
    struct mt_transport_options o = { .framing = choice % MT_FRAMING_COUNT };
    struct mt_transport *t;
    struct tg_buf out;

    if (choice < 4)
        return mt_transport_new_server(random, choice == 3 ? (const uint8_t *)"0123456789abcdef"
                                                           : NULL);
    o.obfuscated = choice >= 0xf0 && o.framing != MT_FULL;
    tg_buf_init(&out, 64);
    t = mt_transport_new_client(&o, random, &out);
    tg_buf_done(&out);
    return t;
}

/* Takes all packets that are there. @return false once the stream is unusable */
static bool drain(struct mt_transport *t, bool server, struct tg_buf *out)
{
    struct tg_error err;
    struct mt_packet p;
    tg_code code;

    while ((code = mt_transport_next(t, &p, &err)) == TG_OK) {
        if (p.len) {
            require(p.at && p.len <= MT_PACKET_MAX + 15 && !p.error && !p.is_quick_ack);
            memset(p.at, 0xa5, p.len); /* ours to write to */
        } else {
            require(!server && (p.error < 0 || p.is_quick_ack));
        }
        tg_buf_clear(out);
        mt_transport_write(t, "0123456789abcdefghij", 20, p.wants_quick_ack, out);
        if (server)
            mt_transport_write_quick_ack(t, (uint32_t)p.len, out);
        require(!out->failed && out->len >= 20);
    }
    require(code == TG_AGAIN || code == TG_PROTOCOL || code == TG_NOMEM);
    return code == TG_AGAIN;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tg_random_seeded seeded;
    struct tg_random random;
    struct mt_transport *t;
    struct tg_error err;
    struct tg_buf out;
    size_t at = 2, step;

    if (size < 2)
        return 0;
    tg_random_seeded_init(&seeded, 1);
    random = tg_random_seeded(&seeded);
    tg_buf_init(&out, 4096);
    t = open_transport(data[0], &random);
    require(t != NULL);
    for (step = data[1]; at < size; step = step * 7 % 61) {
        size_t n = TG_MIN(step + 1, size - at), room_n;
        uint8_t *room = mt_transport_room(t, &room_n);

        require(room && room_n >= n);
        memcpy(room, data + at, n);
        at += n;
        require(mt_transport_fed(t, n, &err) == TG_OK);
        if (!drain(t, data[0] < 4, &out))
            break;
    }
    mt_transport_free(t);
    tg_buf_done(&out);
    return 0;
}

/* SPDX-License-Identifier: MIT */
/*
 * mt_envelope.c - fuzzes what is inside packets
 *
 * Input: one byte of choice, then a packet as it is (plain, encrypted, bind), or the plaintext of
 * one that is sealed here with the right key, so that the checks behind msg_key are reached too.
 */
#include <stdlib.h>

#include "crypto/mt_kdf.h"
#include "mtproto/envelope.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { SIZE_MAX_TRIED = 8192, BIND = 80 };

static void require(bool ok)
{
    if (!ok)
        abort();
}

/* Seals a plaintext of whole blocks. */
static void seal(const struct mt_key *k, const uint8_t *plain, size_t n, uint8_t *packet)
{
    struct tg_aes_ige_key aes;
    uint8_t large[TG_SHA256];

    tg_mt_msg_key_large(k->key, TG_MT_X_SERVER, plain, n, large);
    memcpy(packet, k->id, 8);
    memcpy(packet + 8, large + 8, 16);
    tg_mt_kdf(k->key, TG_MT_X_SERVER, packet + 8, &aes);
    tg_aes_ige_encrypt(packet + 24, plain, n, aes.key, aes.iv);
}

static void open_encrypted(const struct mt_key *k, bool padded, uint8_t *packet, size_t len)
{
    struct mt_packet ahead = { .at = malloc(len + 1), .len = len };
    struct mt_message m;
    struct tg_error err;
    tg_code code;

    require(ahead.at != NULL);
    memcpy(ahead.at, packet, len);
    mt_envelope_decrypt(k, MT_FROM_SERVER, padded, &ahead, 1);
    code = mt_envelope_read(k, MT_FROM_SERVER, padded, &ahead, &m, &err);
    free(ahead.at);
    require(code == mt_envelope_open(k, MT_FROM_SERVER, padded, packet, len, &m, &err));
    require(code == TG_OK || code == TG_SECURITY);
    if (code == TG_OK) {
        require(m.body == packet + 56 && m.len % 4 == 0);
        require(len - 56 - m.len >= 12 && len - 56 - m.len <= 1024 + 15);
    }
}

static void open_plain(uint8_t *packet, size_t len)
{
    struct mt_message m;
    struct tg_error err;

    if (mt_plain_open(packet, len, &m, &err) == TG_OK)
        require(m.body == packet + 20 && m.len <= len - 20);
}

static void open_bind(const struct mt_key *k, const uint8_t *plain)
{
    uint8_t packet[24 + BIND];
    struct tg_aes_ige_key aes;
    struct mt_bind b;
    struct tg_error err;

    memcpy(packet, k->id, 8);
    tg_mt1_msg_key(plain, 72, packet + 8);
    tg_mt1_kdf(k->key, packet + 8, &aes);
    tg_aes_ige_encrypt(packet + 24, plain, BIND, aes.key, aes.iv);
    if (mt_bind_open(k, packet, sizeof packet, &b, &err) == TG_OK)
        require(memcmp(b.perm_key_id, k->id, 8) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t packet[24 + SIZE_MAX_TRIED + 16];
    struct mt_key k = { 0 };
    struct mt_bind b;
    struct tg_error err;

    if (size < 1 || size > SIZE_MAX_TRIED)
        return 0;
    memset(k.key, 0x5a, sizeof k.key);
    mt_key_derive(&k);
    memcpy(packet, data + 1, size - 1);
    switch (data[0] % 5) {
    case 0:
        open_plain(packet, size - 1);
        break;
    case 1:
        open_encrypted(&k, data[0] & 0x80, packet, size - 1);
        break;
    case 2:
        seal(&k, data + 1, (size - 1) & ~(size_t)15, packet);
        open_encrypted(&k, data[0] & 0x80, packet, 24 + ((size - 1) & ~(size_t)15));
        break;
    case 3:
        if (mt_bind_open(&k, data + 1, size - 1, &b, &err) == TG_OK)
            abort(); /* nobody forges that */
        break;
    default:
        if (size - 1 >= BIND)
            open_bind(&k, data + 1);
        break;
    }
    return 0;
}

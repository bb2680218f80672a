/* SPDX-License-Identifier: MIT */
/*
 * obfuscation.c - the layer that makes a connection look like random bytes; see obfuscation.h
 *
 * Threads: none: value type
 */
#include "mtproto/obfuscation.h"

#include <assert.h>

#include "crypto/hash.h"

enum { KEY_AT = 8, IV_AT = 40, TAG_AT = 56, DC_AT = 60, SECRET_SIZE = 16 };

static const uint8_t foreign_words[][4] = {
    { 'H', 'E', 'A', 'D' }, { 'P', 'O', 'S', 'T' },       { 'G', 'E', 'T', ' ' },
    { 'O', 'P', 'T', 'I' }, { 0x16, 0x03, 0x01, 0x02 },
};

bool mt_foreign_word(const uint8_t first[4])
{
    for (size_t i = 0; i < TG_COUNT(foreign_words); i++) {
        if (memcmp(first, foreign_words[i], 4) == 0)
            return true;
    }
    return false;
}

/* An init must not begin like a plain framing or another protocol. */
static bool forbidden(const uint8_t init[MT_INIT_SIZE])
{
    uint32_t first = tg_le32(init);

    return init[0] == 0xef || first == 0xeeeeeeee || first == 0xdddddddd ||
           tg_le32(init + 4) == 0 || mt_foreign_word(init);
}

static bool cipher_of(const uint8_t init[MT_INIT_SIZE], const uint8_t *secret,
                      struct tg_aes_ctr *ret)
{
    uint8_t key[TG_SHA256];
    struct tg_part seed[] = { { init + KEY_AT, TG_AES_KEY }, { secret, SECRET_SIZE } };
    bool ok;

    if (secret)
        tg_sha256_v(key, seed, TG_COUNT(seed));
    else
        memcpy(key, init + KEY_AT, TG_AES_KEY);
    ok = tg_aes_ctr_init(ret, key, init + IV_AT);
    explicit_bzero(key, sizeof key);
    return ok;
}

/* @return false if out of memory; then the layer is off */
static bool turn_on(struct mt_obfuscation *o, const uint8_t init[MT_INIT_SIZE],
                    const uint8_t *secret, bool server)
{
    struct tg_aes_ctr *up = server ? &o->from_peer : &o->to_peer;
    struct tg_aes_ctr *down = server ? &o->to_peer : &o->from_peer;
    uint8_t reversed[MT_INIT_SIZE];

    assert(!o->on);
    for (size_t i = 0; i < MT_INIT_SIZE; i++)
        reversed[i] = init[MT_INIT_SIZE - 1 - i];
    o->on = cipher_of(init, secret, up);
    if (o->on && !cipher_of(reversed, secret, down)) {
        tg_aes_ctr_done(up);
        o->on = false;
    }
    explicit_bzero(reversed, sizeof reversed);
    return o->on;
}

bool mt_obfuscation_open(struct mt_obfuscation *o, const struct mt_init *say,
                         const uint8_t *secret, const struct tg_random *random,
                         struct tg_buf *out)
{
    uint8_t init[MT_INIT_SIZE];
    uint8_t coded[MT_INIT_SIZE];

    do
        tg_random_fill(random, init, sizeof init);
    while (forbidden(init));
    tg_put_le32(init + TAG_AT, say->tag);
    init[DC_AT] = (uint8_t)say->dc;
    init[DC_AT + 1] = (uint8_t)((uint16_t)say->dc >> 8);
    if (!turn_on(o, init, secret, false))
        return false;
    memcpy(coded, init, sizeof coded);
    mt_obfuscation_write(o, coded, sizeof coded);
    memcpy(coded, init, TAG_AT);
    tg_buf_add(out, coded, sizeof coded);
    explicit_bzero(init, sizeof init);
    return true;
}

bool mt_obfuscation_accept(struct mt_obfuscation *o, uint8_t init[MT_INIT_SIZE],
                           const uint8_t *secret, struct mt_init *ret)
{
    if (!turn_on(o, init, secret, true))
        return false;
    mt_obfuscation_read(o, init, MT_INIT_SIZE);
    ret->tag = tg_le32(init + TAG_AT);
    ret->dc = (int16_t)(uint16_t)(tg_le32(init + DC_AT) & 0xffff);
    return true;
}

void mt_obfuscation_done(struct mt_obfuscation *o)
{
    tg_aes_ctr_done(&o->from_peer);
    tg_aes_ctr_done(&o->to_peer);
    o->on = false;
}

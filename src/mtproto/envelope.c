/* SPDX-License-Identifier: MIT */
/*
 * envelope.c - one packet: plain, or encrypted with an authorization key; see envelope.h
 *
 * Opening an encrypted packet first looks only at what an attacker sees anyway (its length), then
 * decrypts and hashes everything, and only with the right msg_key at what stands inside.
 *
 * Threads: none: pure
 */
#include "mtproto/envelope.h"

#include <assert.h>

#include "crypto/ct.h"
#include "crypto/mt_kdf.h"

enum {
    ID = 8,
    OUTER = ID + TG_MT_MSG_KEY, /* before the ciphertext */
    INNER = 8 + 8 + 8 + 4 + 4,  /* before the body */
    PAD_MIN = 12,
    PAD_MAX = 1024,
    PLAIN_HEAD = 8 + 8 + 4,
    BLOCK = TG_AES_BLOCK,
    MSG_KEY_AT = 8, /* in msg_key_large */
};

static const uint32_t quick_bit = 0x80000000;

/* ---- plain ---- */

bool mt_is_plain(const void *packet, size_t len)
{
    return len >= PLAIN_HEAD && tg_le64(packet) == 0;
}

tg_code mt_plain_open(void *packet, size_t len, struct mt_message *ret, struct tg_error *err)
{
    uint8_t *p = packet;
    uint32_t body_len;

    if (!mt_is_plain(packet, len))
        return tg_fail(err, TG_PROTOCOL, "plain packet of %zu bytes", len);
    body_len = tg_le32(p + 16);
    if (body_len > len - PLAIN_HEAD || body_len < 4 || body_len % 4)
        return tg_fail(err, TG_PROTOCOL, "plain message of %u bytes in a packet of %zu", body_len,
                       len);
    *ret = (struct mt_message){ .msg_id = tg_le64(p + 8), .body = p + PLAIN_HEAD, .len = body_len };
    return TG_OK;
}

void mt_plain_write(uint64_t msg_id, const void *body, size_t len, struct tg_buf *out)
{
    uint8_t *p;

    assert(len % 4 == 0);
    if (len > MT_MESSAGE_MAX)
        out->failed = true;
    p = tg_buf_extend(out, PLAIN_HEAD + len);
    if (!p)
        return;
    tg_put_le64(p, 0);
    tg_put_le64(p + 8, msg_id);
    tg_put_le32(p + 16, (uint32_t)len);
    memcpy(p + PLAIN_HEAD, body, len);
}

/* ---- encrypted ---- */

static tg_code refuse(struct tg_error *err)
{
    return tg_fail(err, TG_SECURITY, "packet is not from the holder of the key");
}

/* Decrypts `n` bytes in place. @return whether msg_key is that of the whole plaintext */
static bool decrypt(const struct mt_key *key, enum mt_side side, uint8_t *packet, size_t n)
{
    const uint8_t *msg_key = packet + ID;
    uint8_t *plain = packet + OUTER;
    struct tg_aes_ige_key aes;
    uint8_t large[TG_SHA256];
    bool same;

    tg_mt_kdf(key->key, side, msg_key, &aes);
    tg_aes_ige_decrypt(plain, plain, n, aes.key, aes.iv);
    tg_mt_msg_key_large(key->key, side, plain, n, large);
    same = tg_equal_ct(large + MSG_KEY_AT, msg_key, TG_MT_MSG_KEY);
    explicit_bzero(&aes, sizeof aes);
    explicit_bzero(large, sizeof large);
    return same;
}

tg_code mt_envelope_open(const struct mt_key *key, enum mt_side side, bool padded, uint8_t *packet,
                         size_t len, struct mt_message *ret, struct tg_error *err)
{
    const uint8_t *plain = packet + OUTER;
    uint32_t body_len;
    size_t n, room;
    bool known;

    if (len < OUTER + INNER + PAD_MIN)
        return refuse(err);
    n = len - OUTER;
    if (padded)
        n -= n % BLOCK;
    if (n % BLOCK || n < INNER + PAD_MIN)
        return refuse(err);
    known = tg_equal_ct(packet, key->id, ID);
    if (!decrypt(key, side, packet, n) || !known)
        return refuse(err);
    body_len = tg_le32(plain + 28);
    room = n - INNER;
    if (body_len % 4 || body_len > room || room - body_len < PAD_MIN || room - body_len > PAD_MAX)
        return refuse(err);
    *ret = (struct mt_message){ .session_id = tg_le64(plain + 8),
                                .msg_id = tg_le64(plain + 16),
                                .seq_no = tg_le32(plain + 24),
                                .body = packet + OUTER + INNER,
                                .len = body_len };
    memcpy(ret->salt, plain, sizeof ret->salt);
    return TG_OK;
}

void mt_envelope_write(const struct mt_key *key, enum mt_side side, const struct mt_message *m,
                       const struct tg_random *random, struct tg_buf *out,
                       uint32_t *ret_quick_ack)
{
    size_t used = INNER + (size_t)m->len;
    size_t n = (used + PAD_MIN + BLOCK - 1) & ~(size_t)(BLOCK - 1);
    struct tg_aes_ige_key aes;
    uint8_t large[TG_SHA256];
    uint8_t *packet, *plain;

    assert(m->len % 4 == 0);
    assert(side == MT_FROM_CLIENT || side == MT_FROM_SERVER);
    if (m->len > MT_MESSAGE_MAX)
        out->failed = true;
    packet = tg_buf_extend(out, OUTER + n);
    if (!packet)
        return;
    plain = packet + OUTER;
    memcpy(plain, m->salt, sizeof m->salt);
    tg_put_le64(plain + 8, m->session_id);
    tg_put_le64(plain + 16, m->msg_id);
    tg_put_le32(plain + 24, m->seq_no);
    tg_put_le32(plain + 28, m->len);
    if (m->len)
        memcpy(plain + INNER, m->body, m->len);
    tg_random_fill(random, plain + used, n - used);

    tg_mt_msg_key_large(key->key, side, plain, n, large);
    memcpy(packet, key->id, ID);
    memcpy(packet + ID, large + MSG_KEY_AT, TG_MT_MSG_KEY);
    tg_mt_kdf(key->key, side, packet + ID, &aes);
    tg_aes_ige_encrypt(plain, plain, n, aes.key, aes.iv);
    if (ret_quick_ack)
        *ret_quick_ack = tg_le32(large) | quick_bit;
    explicit_bzero(&aes, sizeof aes);
    explicit_bzero(large, sizeof large);
}

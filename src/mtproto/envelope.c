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

/* @return length of the ciphertext in a packet, 0 if it cannot be one */
static size_t cipher_len(size_t len, bool padded)
{
    size_t n = len < OUTER ? 0 : len - OUTER;

    if (padded)
        n -= n % BLOCK;
    return n % BLOCK || n < INNER + PAD_MIN ? 0 : n;
}

/* @return whether msg_key is that of the whole plaintext */
static bool is_genuine(const struct mt_key *key, enum mt_side side, const uint8_t *packet, size_t n)
{
    uint8_t large[TG_SHA256];
    bool same;

    tg_mt_msg_key_large(key->key, side, packet + OUTER, n, large);
    same = tg_equal_ct(large + MSG_KEY_AT, packet + ID, TG_MT_MSG_KEY);
    explicit_bzero(large, sizeof large);
    return same;
}

void mt_envelope_decrypt(const struct mt_key *key, enum mt_side side, bool padded,
                         struct mt_packet *packet, size_t n)
{
    enum { AT_ONCE = 4 };
    struct tg_aes_ige_key aes[AT_ONCE];
    struct tg_aes_ige_job job[AT_ONCE];
    struct mt_packet *of[AT_ONCE];
    size_t n_jobs = 0;

    for (size_t i = 0; i < n; i++) {
        struct mt_packet *p = &packet[i];
        size_t len = p->decrypted ? 0 : cipher_len(p->len, padded);

        if (len && tg_equal_ct(p->at, key->id, ID)) {
            tg_mt_kdf(key->key, side, p->at + ID, &aes[n_jobs]);
            job[n_jobs] = (struct tg_aes_ige_job){ .out = p->at + OUTER, .in = p->at + OUTER,
                                                   .len = len, .key = aes[n_jobs].key,
                                                   .iv = aes[n_jobs].iv };
            of[n_jobs++] = p;
        }
        if (n_jobs < AT_ONCE && i + 1 < n)
            continue;
        tg_aes_ige_decrypt_many(job, n_jobs);
        for (size_t k = 0; k < n_jobs; k++) {
            of[k]->decrypted = true;
            of[k]->genuine = is_genuine(key, side, of[k]->at, job[k].len);
        }
        n_jobs = 0;
    }
    explicit_bzero(aes, sizeof aes);
}

/* Reads what an authentic packet holds. */
static tg_code read_plain(uint8_t *packet, size_t n, struct mt_message *ret, struct tg_error *err)
{
    const uint8_t *plain = packet + OUTER;
    uint32_t body_len = tg_le32(plain + 28);
    size_t room = n - INNER;

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

tg_code mt_envelope_read(const struct mt_key *key, enum mt_side side, bool padded,
                         const struct mt_packet *packet, struct mt_message *ret,
                         struct tg_error *err)
{
    if (!packet->decrypted)
        return mt_envelope_open(key, side, padded, packet->at, packet->len, ret, err);
    if (!packet->genuine || !tg_equal_ct(packet->at, key->id, ID))
        return refuse(err);
    return read_plain(packet->at, cipher_len(packet->len, padded), ret, err);
}

tg_code mt_envelope_open(const struct mt_key *key, enum mt_side side, bool padded, uint8_t *packet,
                         size_t len, struct mt_message *ret, struct tg_error *err)
{
    size_t n = cipher_len(len, padded);
    struct tg_aes_ige_key aes;
    bool known;

    if (!n)
        return refuse(err);
    known = tg_equal_ct(packet, key->id, ID);
    tg_mt_kdf(key->key, side, packet + ID, &aes);
    tg_aes_ige_decrypt(packet + OUTER, packet + OUTER, n, aes.key, aes.iv);
    explicit_bzero(&aes, sizeof aes);
    if (!is_genuine(key, side, packet, n) || !known)
        return refuse(err);
    return read_plain(packet, n, ret, err);
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

/* SPDX-License-Identifier: MIT */
/*
 * bind.c - the MTProto 1.0 message that ties a temporary key to a permanent one; see envelope.h
 *
 *   perm_auth_key_id 8 | msg_key 16 | IGE( random 16 | msg_id 8 | seq_no 4 = 0 | length 4 = 40 |
 *                                          bind_auth_key_inner 40 | padding 8 )       104 bytes
 *
 * Threads: none: pure
 */
#include "mtproto/envelope.h"

#include <assert.h>

#include "crypto/ct.h"
#include "crypto/mt_kdf.h"

enum {
    OUTER = 8 + TG_MT_MSG_KEY,
    HEAD = 16 + 8 + 4 + 4,
    INNER = 40,
    HASHED = HEAD + INNER,
    CIPHER = 80,
    WHOLE = OUTER + CIPHER,
};

static const uint32_t id_bind_inner = 0x75a3f765;

void mt_bind_write(const struct mt_key *perm, const struct mt_bind *b,
                   const struct tg_random *random, struct tg_buf *out)
{
    uint8_t plain[CIPHER];
    struct tg_aes_ige_key aes;
    uint8_t *packet = tg_buf_extend(out, WHOLE);

    assert(memcmp(perm->id, b->perm_key_id, sizeof perm->id) == 0);
    if (!packet)
        return;
    tg_random_fill(random, plain, sizeof plain);
    tg_put_le64(plain + 16, b->msg_id);
    tg_put_le32(plain + 24, 0);
    tg_put_le32(plain + 28, INNER);
    tg_put_le32(plain + 32, id_bind_inner);
    tg_put_le64(plain + 36, b->nonce);
    memcpy(plain + 44, b->temp_key_id, 8);
    memcpy(plain + 52, b->perm_key_id, 8);
    tg_put_le64(plain + 60, b->temp_session_id);
    tg_put_le32(plain + 68, (uint32_t)b->expires_at);

    memcpy(packet, perm->id, 8);
    tg_mt1_msg_key(plain, HASHED, packet + 8);
    tg_mt1_kdf(perm->key, packet + 8, &aes);
    tg_aes_ige_encrypt(packet + OUTER, plain, CIPHER, aes.key, aes.iv);
    explicit_bzero(&aes, sizeof aes);
    explicit_bzero(plain, sizeof plain);
}

tg_code mt_bind_open(const struct mt_key *perm, const void *encrypted, size_t len,
                     struct mt_bind *ret, struct tg_error *err)
{
    const uint8_t *packet = encrypted;
    uint8_t plain[CIPHER], msg_key[TG_MT_MSG_KEY];
    struct tg_aes_ige_key aes;
    bool good;

    if (len != WHOLE)
        return tg_fail(err, TG_SECURITY, "the binding message is not sealed by the permanent key");
    tg_mt1_kdf(perm->key, packet + 8, &aes);
    tg_aes_ige_decrypt(plain, packet + OUTER, CIPHER, aes.key, aes.iv);
    tg_mt1_msg_key(plain, HASHED, msg_key);
    good = tg_equal_ct(msg_key, packet + 8, sizeof msg_key);
    good = good && tg_equal_ct(packet, perm->id, 8) && tg_le32(plain + 24) == 0 &&
           tg_le32(plain + 28) == INNER && tg_le32(plain + 32) == id_bind_inner &&
           memcmp(plain + 52, perm->id, 8) == 0;
    if (good) {
        *ret = (struct mt_bind){ .nonce = tg_le64(plain + 36),
                                 .msg_id = tg_le64(plain + 16),
                                 .temp_session_id = tg_le64(plain + 60),
                                 .expires_at = (int32_t)tg_le32(plain + 68) };
        memcpy(ret->temp_key_id, plain + 44, 8);
        memcpy(ret->perm_key_id, plain + 52, 8);
    }
    explicit_bzero(&aes, sizeof aes);
    explicit_bzero(plain, sizeof plain);
    return good ? TG_OK
                : tg_fail(err, TG_SECURITY,
                          "the binding message is not sealed by the permanent key");
}

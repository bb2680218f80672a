/* SPDX-License-Identifier: MIT */
/*
 * mt_kdf.c - see mt_kdf.h
 */
#include "crypto/mt_kdf.h"

#include <assert.h>

#include "crypto/ct.h"

void tg_mt_msg_key_large(const uint8_t auth_key[TG_MT_AUTH_KEY], int x, const void *plain,
                         size_t len, uint8_t ret[TG_SHA256])
{
    assert(x == TG_MT_X_CLIENT || x == TG_MT_X_SERVER);
    tg_sha256_v(ret, (struct tg_part[]){ { auth_key + 88 + x, 32 }, { plain, len } }, 2);
}

void tg_mt_kdf(const uint8_t auth_key[TG_MT_AUTH_KEY], int x, const uint8_t msg_key[TG_MT_MSG_KEY],
               struct tg_aes_ige_key *ret)
{
    uint8_t a[TG_SHA256], b[TG_SHA256];
    const struct tg_part pa[] = { { msg_key, TG_MT_MSG_KEY }, { auth_key + x, 36 } };
    const struct tg_part pb[] = { { auth_key + 40 + x, 36 }, { msg_key, TG_MT_MSG_KEY } };

    assert(x == TG_MT_X_CLIENT || x == TG_MT_X_SERVER);
    tg_sha256_many((struct tg_hash_job[]){ { a, pa, 2 }, { b, pb, 2 } }, 2);
    memcpy(ret->key, a, 8);
    memcpy(ret->key + 8, b + 8, 16);
    memcpy(ret->key + 24, a + 24, 8);
    memcpy(ret->iv, b, 8);
    memcpy(ret->iv + 8, a + 8, 16);
    memcpy(ret->iv + 24, b + 24, 8);
    tg_wipe(a, sizeof a);
    tg_wipe(b, sizeof b);
}

void tg_mt1_msg_key(const void *plain, size_t len, uint8_t ret[TG_MT_MSG_KEY])
{
    uint8_t sum[TG_SHA1];

    tg_sha1(sum, plain, len);
    memcpy(ret, sum + 4, TG_MT_MSG_KEY);
}

void tg_mt1_kdf(const uint8_t auth_key[TG_MT_AUTH_KEY], const uint8_t msg_key[TG_MT_MSG_KEY],
                struct tg_aes_ige_key *ret)
{
    const struct tg_part mk = { msg_key, TG_MT_MSG_KEY };
    const struct tg_part pa[] = { mk, { auth_key, 32 } };
    const struct tg_part pb[] = { { auth_key + 32, 16 }, mk, { auth_key + 48, 16 } };
    const struct tg_part pc[] = { { auth_key + 64, 32 }, mk };
    const struct tg_part pd[] = { mk, { auth_key + 96, 32 } };
    uint8_t a[TG_SHA1], b[TG_SHA1], c[TG_SHA1], d[TG_SHA1];

    tg_sha1_many((struct tg_hash_job[]){ { a, pa, 2 }, { b, pb, 3 }, { c, pc, 2 }, { d, pd, 2 } },
                 4);
    memcpy(ret->key, a, 8);
    memcpy(ret->key + 8, b + 8, 12);
    memcpy(ret->key + 20, c + 4, 12);
    memcpy(ret->iv, a + 8, 12);
    memcpy(ret->iv + 12, b, 8);
    memcpy(ret->iv + 20, c + 16, 4);
    memcpy(ret->iv + 24, d, 8);
    tg_wipe(a, sizeof a);
    tg_wipe(b, sizeof b);
    tg_wipe(c, sizeof c);
    tg_wipe(d, sizeof d);
}

void tg_mt_tmp_key(const uint8_t new_nonce[32], const uint8_t server_nonce[16],
                   struct tg_aes_ige_key *ret)
{
    const struct tg_part n = { new_nonce, 32 }, s = { server_nonce, 16 };
    uint8_t ns[TG_SHA1], sn[TG_SHA1], nn[TG_SHA1];

    tg_sha1_many((struct tg_hash_job[]){ { ns, (struct tg_part[]){ n, s }, 2 },
                                         { sn, (struct tg_part[]){ s, n }, 2 },
                                         { nn, (struct tg_part[]){ n, n }, 2 } },
                 3);
    memcpy(ret->key, ns, 20);
    memcpy(ret->key + 20, sn, 12);
    memcpy(ret->iv, sn + 12, 8);
    memcpy(ret->iv + 8, nn, 20);
    memcpy(ret->iv + 28, new_nonce, 4);
    tg_wipe(ns, sizeof ns);
    tg_wipe(sn, sizeof sn);
    tg_wipe(nn, sizeof nn);
}

void tg_mt_auth_key_id(const uint8_t auth_key[TG_MT_AUTH_KEY], uint8_t ret_id[8],
                       uint8_t ret_aux_hash[8])
{
    uint8_t sum[TG_SHA1];

    tg_sha1(sum, auth_key, TG_MT_AUTH_KEY);
    memcpy(ret_id, sum + 12, 8);
    memcpy(ret_aux_hash, sum, 8);
}

void tg_mt_new_nonce_hash(const uint8_t new_nonce[32], uint8_t number, const uint8_t aux_hash[8],
                          uint8_t ret[16])
{
    uint8_t sum[TG_SHA1];

    tg_sha1_v(sum, (struct tg_part[]){ { new_nonce, 32 }, { &number, 1 }, { aux_hash, 8 } }, 3);
    memcpy(ret, sum + 4, 16);
}

void tg_mt_first_salt(const uint8_t new_nonce[32], const uint8_t server_nonce[16], uint8_t ret[8])
{
    for (int i = 0; i < 8; i++)
        ret[i] = new_nonce[i] ^ server_nonce[i];
}

/* SPDX-License-Identifier: MIT */
/*
 * handshake_wire.c - what both roles of the handshake share; see handshake_wire.h
 *
 * Threads: none: pure functions
 */
#include "mtproto/handshake_wire.h"

#include <assert.h>

#include "crypto/ct.h"
#include "crypto/mt_kdf.h"

enum { SHA1 = TG_SHA1, BLOCK = TG_AES_BLOCK };

bool mt_wire_nonces_match(struct tl_reader *r, const struct mt_nonces *n)
{
    const uint8_t *both = tl_read_view(r, 32);

    return both && memcmp(both, n->client, 16) == 0 && memcmp(both + 16, n->server, 16) == 0;
}

void mt_wire_head(struct tg_buf *out, uint32_t id, const struct mt_nonces *n)
{
    tg_buf_u32(out, id);
    tg_buf_add(out, n->client, 16);
    tg_buf_add(out, n->server, 16);
}

void mt_wire_seal(const struct mt_nonces *n, const struct tg_buf *object,
                  const struct tg_random *random, struct tg_buf *out)
{
    uint8_t plain[MT_SEALED_MAX];
    size_t used = SHA1 + object->len;
    size_t len = (used + BLOCK - 1) & ~(size_t)(BLOCK - 1);
    struct tg_aes_ige_key k;

    if (object->failed) {
        out->failed = true;
        return;
    }
    assert(len <= sizeof plain);
    tg_mt_tmp_key(n->secret, n->server, &k);
    tg_sha1(plain, object->data, object->len);
    memcpy(plain + SHA1, object->data, object->len);
    if (len > used)
        tg_random_fill(random, plain + used, len - used);
    tg_aes_ige_encrypt(plain, plain, len, k.key, k.iv);
    tl_put_bytes(out, plain, len);
    explicit_bzero(plain, sizeof plain);
    explicit_bzero(&k, sizeof k);
}

bool mt_wire_unseal(const struct mt_nonces *n, const uint8_t *sealed, size_t len, uint8_t *ret)
{
    struct tg_aes_ige_key k;

    if (len % BLOCK || len < 2 * BLOCK || len > MT_SEALED_MAX)
        return false;
    tg_mt_tmp_key(n->secret, n->server, &k);
    tg_aes_ige_decrypt(ret, sealed, len, k.key, k.iv);
    explicit_bzero(&k, sizeof k);
    return true;
}

bool mt_wire_sealed_ok(const uint8_t *plain, size_t len, size_t used)
{
    uint8_t hash[SHA1];

    assert(used <= len - SHA1);
    if (len - SHA1 - used >= BLOCK)
        return false;
    tg_sha1(hash, plain + SHA1, used);
    return tg_equal_ct(hash, plain, SHA1);
}

size_t mt_wire_number(uint64_t v, uint8_t ret[8])
{
    size_t n = 1;

    while (n < 8 && v >> (8 * n))
        n++;
    for (size_t i = 0; i < n; i++)
        ret[i] = (uint8_t)(v >> (8 * (n - 1 - i)));
    return n;
}

uint64_t mt_wire_number_of(const void *bytes, size_t n)
{
    const uint8_t *at = bytes;
    uint64_t v = 0;

    if (n < 1 || n > MT_PQ_MAX)
        return 0;
    for (size_t i = 0; i < n; i++)
        v = v << 8 | at[i];
    return v <= INT64_MAX ? v : 0;
}

void mt_key_derive(struct mt_key *k)
{
    tg_mt_auth_key_id(k->key, k->id, k->aux_hash);
}

void mt_key_wipe(struct mt_key *k)
{
    explicit_bzero(k, sizeof *k);
}

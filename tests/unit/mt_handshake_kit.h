/* SPDX-License-Identifier: MIT */
/*
 * mt_handshake_kit.h - what the handshake tests build messages with, apart from the code they test
 */
#ifndef MT_HANDSHAKE_KIT_H
#define MT_HANDSHAKE_KIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/text.h"
#include "crypto/mt_kdf.h"
#include "mtproto/handshake.h"
#include "tl/put.h"
#include "tl/reader.h"

/* Gives the bytes of a script first, then those of a seed. */
struct kit_script {
    const uint8_t *at;
    size_t left;
    struct tg_random_seeded rest;
};

static inline void kit_script_fill(void *ctx, void *buf, size_t n)
{
    struct kit_script *s = ctx;
    struct tg_random rest = tg_random_seeded(&s->rest);
    size_t k = TG_MIN(n, s->left);

    if (k) {
        memcpy(buf, s->at, k);
        s->at += k;
        s->left -= k;
    }
    if (n > k)
        tg_random_fill(&rest, (uint8_t *)buf + k, n - k);
}

/* The server's key, made once per program. */
struct kit {
    struct tg_random_seeded seeded;
    struct tg_random rng;
    struct tg_rsa_private *rsa;
};

static inline void kit_open(struct kit *k, uint64_t seed)
{
    tg_random_seeded_init(&k->seeded, seed);
    k->rng = tg_random_seeded(&k->seeded);
    k->rsa = tg_rsa_private_generate(&k->rng);
    assert_non_null(k->rsa);
}

static inline void kit_close(struct kit *k)
{
    tg_rsa_private_free(k->rsa);
}

static inline size_t kit_hex(uint8_t *out, size_t max, const char *hex)
{
    size_t n = strlen(hex) / 2;

    assert_true(n <= max);
    assert_true(tg_unhex(out, n, hex, n * 2));
    return n;
}

/* The three nonces, as either end learns them. */
struct kit_nonces {
    uint8_t client[16], server[16], secret[32];
};

/* How an object is sealed; all zero is the right way. */
struct kit_seal {
    uint8_t hash_flip;     /* into the first byte of the SHA1 */
    size_t more_padding;   /* bytes */
    size_t hash_more;      /* bytes of padding that the SHA1 covers too */
    size_t cut;            /* bytes missing from the ciphertext */
};

/* IGE( SHA1 | object | padding ), appended as a TL string. */
static inline void kit_seal(const struct kit_nonces *n, const struct tg_buf *object,
                            const struct kit_seal *how, struct tg_buf *out)
{
    uint8_t plain[2048] = { 0 };
    size_t len = (20 + object->len + 15) / 16 * 16 + how->more_padding;
    struct tg_aes_ige_key aes;

    assert_true(len <= sizeof plain);
    memcpy(plain + 20, object->data, object->len);
    tg_sha1(plain, plain + 20, object->len + how->hash_more);
    plain[0] ^= how->hash_flip;
    tg_mt_tmp_key(n->secret, n->server, &aes);
    tg_aes_ige_encrypt(plain, plain, len / 16 * 16, aes.key, aes.iv);
    tl_put_bytes(out, plain, len - how->cut);
}

/* The object inside a sealed TL string; no check. */
static inline struct tl_reader kit_unseal(const struct kit_nonces *n, struct tg_str sealed,
                                          uint8_t plain[2048])
{
    struct tg_aes_ige_key aes;

    assert_true(sealed.len <= 2048 && sealed.len % 16 == 0 && sealed.len > 20);
    tg_mt_tmp_key(n->secret, n->server, &aes);
    tg_aes_ige_decrypt(plain, sealed.at, sealed.len, aes.key, aes.iv);
    return tl_reader_of(plain + 20, sealed.len - 20);
}

/* Learns new_nonce from a client's req_DH_params, as the server does. */
static inline void kit_hear_req_dh(const struct kit *k, const struct tg_buf *request,
                                   struct kit_nonces *n)
{
    struct tl_reader r = tl_reader_of(request->data, request->len);
    struct tg_rsa_plain plain;
    struct tg_str encrypted;

    tl_read_view(&r, 4 + 32 + 8 + 8 + 8);
    encrypted = tl_read_str(&r);
    assert_true(!r.bad && tl_left(&r) == 0);
    assert_true(tg_rsa_decrypt(k->rsa, encrypted.at, encrypted.len, &plain));
    r = tl_reader_of(plain.data, plain.len);
    tl_read_view(&r, 4 + 12 + 8 + 8 + 32);
    memcpy(n->secret, tl_read_int256(&r), 32);
}

/* The factors of the sample's pq. */
static const uint64_t kit_pq = UINT64_C(0x256595EDB7766797);
static const uint8_t kit_p[4] = { 0x5A, 0x30, 0x0D, 0x4B };
static const uint8_t kit_q[4] = { 0x6A, 0x26, 0xDB, 0x65 };

#endif

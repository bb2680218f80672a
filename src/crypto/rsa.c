/* SPDX-License-Identifier: MIT */
/*
 * rsa.c - RSA_PAD and its legacy sibling: the client encrypts, the server decides; see rsa.h
 */
#include "crypto/rsa.h"

#include <assert.h>

#include "crypto/aes.h"
#include "crypto/ct.h"
#include "crypto/evp.h"
#include "crypto/hash.h"
#include "crypto/rsa_key.h"

enum {
    TEMP_KEY = 32,
    BODY = TG_RSA_BYTES - TEMP_KEY, /* 224: what IGE covers */
    LEGACY_AT = 1 + TG_SHA1,
    TRIES_MAX = 1000 /* each fits with a chance of one half at least */
};

_Static_assert(BODY == TG_RSA_PAD_PLAIN + TG_SHA256, "data and its hash");
_Static_assert(LEGACY_AT + TG_RSA_LEGACY_PLAIN == TG_RSA_BYTES, "the rest of the block");

static const uint8_t zero_iv[TG_AES_IGE_IV];

/* m^e mod n; m is below n. @return false if out of memory */
static bool public_power(const struct tg_rsa_key *key, const uint8_t m[TG_RSA_BYTES],
                         uint8_t ret[TG_RSA_BYTES])
{
    TG_BN_CTX *ctx = BN_CTX_new();
    TG_BN *n = BN_bin2bn(key->n, TG_RSA_BYTES, NULL);
    TG_BN *x = BN_bin2bn(m, TG_RSA_BYTES, NULL);
    TG_BN *e = BN_new();

    return ctx && n && x && e && BN_set_word(e, key->e) && BN_mod_exp(x, x, e, n, ctx) &&
           BN_bn2binpad(x, ret, TG_RSA_BYTES) == TG_RSA_BYTES;
}

static void reverse(uint8_t *out, const uint8_t *in, size_t n)
{
    for (size_t i = 0; i < n; i++)
        out[i] = in[n - 1 - i];
}

static void xor_with_hash(uint8_t key[TEMP_KEY], const uint8_t body[BODY])
{
    uint8_t h[TG_SHA256];

    tg_sha256(h, body, BODY);
    for (int i = 0; i < TEMP_KEY; i++)
        key[i] ^= h[i];
}

/* The block m of the header for one temp_key. */
static void pad_block(uint8_t m[TG_RSA_BYTES], const uint8_t plain[TG_RSA_PAD_PLAIN],
                      const uint8_t temp_key[TEMP_KEY])
{
    uint8_t *body = m + TEMP_KEY;

    reverse(body, plain, TG_RSA_PAD_PLAIN);
    tg_sha256_v(body + TG_RSA_PAD_PLAIN,
                (struct tg_part[]){ { temp_key, TEMP_KEY }, { plain, TG_RSA_PAD_PLAIN } }, 2);
    tg_aes_ige_encrypt(body, body, BODY, temp_key, zero_iv);
    memcpy(m, temp_key, TEMP_KEY);
    xor_with_hash(m, body);
}

bool tg_rsa_pad_encrypt(const struct tg_rsa_key *key, const void *data, size_t len,
                        const struct tg_random *random, uint8_t ret[TG_RSA_BYTES])
{
    uint8_t plain[TG_RSA_PAD_PLAIN], m[TG_RSA_BYTES], temp_key[TEMP_KEY];
    bool fits = false, ok;

    assert(len <= TG_RSA_PAD_DATA_MAX);
    memcpy(plain, data, len);
    tg_random_fill(random, plain + len, sizeof plain - len);
    for (int i = 0; !fits && i < TRIES_MAX; i++) {
        tg_random_fill(random, temp_key, sizeof temp_key);
        pad_block(m, plain, temp_key);
        fits = memcmp(m, key->n, sizeof m) < 0; /* both big endian */
    }
    ok = fits && public_power(key, m, ret);
    tg_wipe(plain, sizeof plain);
    tg_wipe(m, sizeof m);
    tg_wipe(temp_key, sizeof temp_key);
    return ok;
}

bool tg_rsa_legacy_encrypt(const struct tg_rsa_key *key, const void *data, size_t len,
                           const struct tg_random *random, uint8_t ret[TG_RSA_BYTES])
{
    uint8_t m[TG_RSA_BYTES] = { 0 };
    bool ok;

    assert(len <= TG_RSA_LEGACY_PLAIN);
    tg_sha1(m + 1, data, len);
    memcpy(m + LEGACY_AT, data, len);
    tg_random_fill(random, m + LEGACY_AT + len, TG_RSA_LEGACY_PLAIN - len);
    ok = public_power(key, m, ret);
    tg_wipe(m, sizeof m);
    return ok;
}

static bool read_pad(const uint8_t m[TG_RSA_BYTES], struct tg_rsa_plain *ret)
{
    uint8_t temp_key[TEMP_KEY], x[BODY], plain[TG_RSA_PAD_PLAIN], h[TG_SHA256];
    bool ok;

    memcpy(temp_key, m, sizeof temp_key);
    xor_with_hash(temp_key, m + TEMP_KEY);
    tg_aes_ige_decrypt(x, m + TEMP_KEY, sizeof x, temp_key, zero_iv);
    reverse(plain, x, sizeof plain);
    tg_sha256_v(h, (struct tg_part[]){ { temp_key, sizeof temp_key }, { plain, sizeof plain } }, 2);
    ok = tg_equal_ct(h, x + TG_RSA_PAD_PLAIN, sizeof h);
    if (ok) {
        *ret = (struct tg_rsa_plain){ .flavour = TG_RSA_FLAVOUR_PAD, .len = sizeof plain };
        memcpy(ret->data, plain, sizeof plain);
    }
    tg_wipe(temp_key, sizeof temp_key);
    tg_wipe(x, sizeof x);
    tg_wipe(plain, sizeof plain);
    return ok;
}

/* The hash covers the TL object but not the random tail, and only TL knows where the object ends:
 * so each length it may have is tried. A wrong match is as likely as breaking SHA-1 by chance. */
static bool read_legacy(const uint8_t m[TG_RSA_BYTES], struct tg_rsa_plain *ret)
{
    uint8_t h[TG_SHA1];

    if (m[0] != 0)
        return false;
    for (size_t len = 4; len <= TG_RSA_LEGACY_PLAIN; len += 4) {
        tg_sha1(h, m + LEGACY_AT, len);
        if (tg_equal_ct(h, m + 1, sizeof h)) {
            *ret = (struct tg_rsa_plain){ .flavour = TG_RSA_FLAVOUR_LEGACY, .len = len };
            memcpy(ret->data, m + LEGACY_AT, len);
            return true;
        }
    }
    return false;
}

bool tg_rsa_decrypt(const struct tg_rsa_private *k, const void *cipher, size_t len,
                    struct tg_rsa_plain *ret)
{
    uint8_t m[TG_RSA_BYTES];
    bool ok = len == TG_RSA_BYTES && tg_rsa_private_power(k, cipher, m) &&
              (read_pad(m, ret) || read_legacy(m, ret));

    tg_wipe(m, sizeof m);
    return ok;
}

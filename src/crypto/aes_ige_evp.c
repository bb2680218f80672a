/* SPDX-License-Identifier: MIT */
/*
 * aes_ige_evp.c - IGE over libcrypto's AES-256-ECB, one block per call: the portable path
 *
 * The chaining is two xors on 64-bit halves; the cost is the call into libcrypto, about 50 ns.
 */
#include "crypto/aes_ige.h"

#include <openssl/evp.h>

#include "crypto/ct.h"
#include "crypto/evp.h"

struct block {
    uint64_t w[2];
};

static struct block load(const uint8_t *p)
{
    struct block b;

    memcpy(&b, p, sizeof b);
    return b;
}

static struct block xor2(struct block a, struct block b)
{
    return (struct block){ { a.w[0] ^ b.w[0], a.w[1] ^ b.w[1] } };
}

static void cipher_ctx_freep(EVP_CIPHER_CTX **c)
{
    EVP_CIPHER_CTX_free(*c); /* wipes the round keys */
}

/*
 * Both directions are one formula: y[i] = F(x[i] ^ y[i-1]) ^ x[i-1]. Encrypting, y is the
 * ciphertext; decrypting, the plaintext; only the halves of the iv change places.
 */
static void run(const struct tg_aes_ige_job *job, bool encrypt)
{
    TG_CLEANUP(cipher_ctx_freep) EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
    struct block y = load(job->iv + (encrypt ? 0 : 16)),
                 x_before = load(job->iv + (encrypt ? 16 : 0));
    const uint8_t *in = job->in;
    uint8_t *out = job->out;
    int n;
    bool ok = c &&
              EVP_CipherInit_ex2(c, tg_evp_cipher(TG_EVP_AES_ECB), job->key, NULL, encrypt, NULL) &&
              EVP_CIPHER_CTX_set_padding(c, 0);

    for (size_t at = 0; ok && at < job->len; at += TG_AES_BLOCK) {
        struct block x = load(in + at), f = xor2(x, y), g;

        ok = EVP_CipherUpdate(c, (uint8_t *)&g, &n, (const uint8_t *)&f, sizeof f);
        y = xor2(g, x_before);
        x_before = x;
        memcpy(out + at, &y, sizeof y);
    }
    tg_evp_must(ok);
}

static void encrypt(const struct tg_aes_ige_job *job)
{
    run(job, true);
}

static void decrypt(const struct tg_aes_ige_job *job)
{
    run(job, false);
}

/* Calls dominate here, so side by side would gain nothing. */
static void decrypt_many(const struct tg_aes_ige_job *job, size_t n)
{
    for (size_t i = 0; i < n; i++)
        run(&job[i], false);
}

static bool available(void)
{
    return true;
}

const struct tg_aes_ige_impl tg_aes_ige_evp = {
    .name = "EVP",
    .available = available,
    .encrypt = encrypt,
    .decrypt = decrypt,
    .decrypt_many = decrypt_many,
};

/* SPDX-License-Identifier: MIT */
/*
 * crypto.c - how fast each primitive of src/crypto is, as one table
 *
 *   bench_crypto [MS]      measures each row for MS milliseconds (default 200)
 *
 * Bulk rows state MB/s over 26 KiB, the size of a compressed page of 100 messages, unless named
 * otherwise; the others the time of one call. One core.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "crypto/aead.h"
#include "crypto/aes_ige.h"
#include "crypto/dh.h"
#include "crypto/mt_kdf.h"
#include "crypto/pq.h"
#include "crypto/rsa.h"
#include "crypto/srp.h"

enum { PACKET = 26 * 1024, BIG = 1 << 20, STREAMS = 4 };

/* Everything the rows work on. */
static struct {
    uint8_t in[BIG], out[STREAMS][PACKET], key[32], iv[32], auth_key[256], secret[256], number[256];
    struct tg_aes_ige_job job[STREAMS];
    struct tg_aes_ctr ctr;
    struct tg_random_seeded seed;
    struct tg_random random;
    struct tg_rsa_private *rsa;
    struct tg_dh_group group;
    struct tg_error err;
    volatile uint64_t sink; /* results must be used */
} b;

static int64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void must(bool ok)
{
    if (!ok) {
        fprintf(stderr, "bench_crypto: a call failed: %s\n", b.err.message);
        exit(1);
    }
}

static void ige_ni_encrypt(void)
{
    tg_aes_ige_ni.encrypt(&b.job[0]);
}

static void ige_ni_decrypt(void)
{
    tg_aes_ige_ni.decrypt(&b.job[0]);
}

static void ige_ni_decrypt_2(void)
{
    tg_aes_ige_ni.decrypt_many(b.job, 2);
}

static void ige_ni_decrypt_4(void)
{
    tg_aes_ige_ni.decrypt_many(b.job, 4);
}

static void ige_evp_encrypt(void)
{
    tg_aes_ige_evp.encrypt(&b.job[0]);
}

static void ige_evp_decrypt(void)
{
    tg_aes_ige_evp.decrypt(&b.job[0]);
}

static void ctr(void)
{
    tg_aes_ctr_xor(&b.ctr, b.out[0], b.in, PACKET);
}

static void sha256_packet(void)
{
    tg_sha256(b.number, b.in, PACKET);
}

static void sha256_big(void)
{
    tg_sha256(b.number, b.in, BIG);
}

static void sha1_big(void)
{
    tg_sha1(b.number, b.in, BIG);
}

static void sha512_big(void)
{
    tg_sha512(b.number, b.in, BIG);
}

static void packet_open(void)
{
    struct tg_aes_ige_key k;
    uint8_t large[TG_SHA256];

    tg_mt_kdf(b.auth_key, TG_MT_X_SERVER, b.iv, &k);
    tg_aes_ige_decrypt(b.out[0], b.in, PACKET, k.key, k.iv);
    tg_mt_msg_key_large(b.auth_key, TG_MT_X_SERVER, b.out[0], PACKET, large);
    b.sink += large[0];
}

static void sha256_short(void)
{
    tg_sha256(b.number, b.in, 52);
}

static void kdf(void)
{
    struct tg_aes_ige_key k;

    tg_mt_kdf(b.auth_key, TG_MT_X_SERVER, b.iv, &k);
    b.sink += k.key[0];
}

static void random_system(void)
{
    const struct tg_random r = tg_random_system();

    tg_random_fill(&r, b.number, 16);
}

static void pq(void)
{
    uint64_t p, q;

    must(tg_pq_factor(UINT64_C(2694724800268887959), &p, &q));
    b.sink += p;
}

static void dh_public(void)
{
    must(tg_dh_public(&b.group, b.secret, b.number, &b.err) == TG_OK);
}

static void rsa_pad(void)
{
    must(tg_rsa_pad_encrypt(tg_rsa_private_public(b.rsa), b.in, 144, &b.random, b.number));
}

static void rsa_open(void)
{
    struct tg_rsa_plain plain;

    b.sink += tg_rsa_decrypt(b.rsa, b.secret, sizeof b.secret, &plain);
}

static void rsa_generate(void)
{
    tg_rsa_private_free(tg_rsa_private_generate(&b.random));
}

static void srp(void)
{
    struct tg_srp_proof proof;
    const struct tg_srp_challenge c = {
        .algo = { { b.in, 40 }, { b.in, 16 }, { tg_dh_prime, sizeof tg_dh_prime }, 3, NULL },
        .b = { b.secret, sizeof b.secret },
        .secret_a = b.secret,
    };

    must(tg_srp_prove(&c, (struct tg_part){ "password", 8 }, &proof, &b.err) == TG_OK);
}

static void seal_key(void)
{
    struct tg_seal_key k;

    must(tg_seal_key_new((struct tg_part){ "passphrase", 10 }, &b.random, &k, &b.err) == TG_OK);
    b.sink += k.key[0];
}

static void prepare(void)
{
    tg_random_seeded_init(&b.seed, 1);
    b.random = tg_random_seeded(&b.seed);
    tg_random_fill(&b.random, b.in, sizeof b.in);
    tg_random_fill(&b.random, b.auth_key, sizeof b.auth_key);
    tg_random_fill(&b.random, b.secret, sizeof b.secret);
    b.secret[0] = 0x7f; /* below every modulus here */
    for (int i = 0; i < STREAMS; i++)
        b.job[i] = (struct tg_aes_ige_job){ b.out[i], b.in, PACKET, b.key, b.iv };
    b.rsa = tg_rsa_private_generate(&b.random);
    must(b.rsa && tg_aes_ctr_init(&b.ctr, b.key, b.iv));
    must(tg_dh_check(tg_dh_prime, sizeof tg_dh_prime, 3, NULL, &b.group, &b.err) == TG_OK);
}

/* Nanoseconds of one call, over at least `ms` milliseconds. */
static double measure(void (*call)(void), int ms)
{
    int64_t start, end = 0;
    uint64_t n = 0;

    call();
    start = now_ns();
    for (uint64_t batch = 1; end - start < (int64_t)ms * 1000000; batch *= 2) {
        for (uint64_t i = 0; i < batch; i++)
            call();
        n += batch;
        end = now_ns();
    }
    return (double)(end - start) / (double)n;
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*call)(void);
        size_t bytes; /* 0: the time of one call counts */
        bool ni;
    } row[] = {
        { "AES-256-IGE encrypt, AES-NI", ige_ni_encrypt, PACKET, true },
        { "AES-256-IGE decrypt, AES-NI", ige_ni_decrypt, PACKET, true },
        { "AES-256-IGE decrypt, AES-NI, 2 packets", ige_ni_decrypt_2, 2 * PACKET, true },
        { "AES-256-IGE decrypt, AES-NI, 4 packets", ige_ni_decrypt_4, 4 * PACKET, true },
        { "AES-256-IGE encrypt, EVP", ige_evp_encrypt, PACKET, false },
        { "AES-256-IGE decrypt, EVP", ige_evp_decrypt, PACKET, false },
        { "AES-256-CTR", ctr, PACKET, false },
        { "SHA-256, 26 KiB", sha256_packet, PACKET, false },
        { "SHA-256, 1 MiB", sha256_big, BIG, false },
        { "SHA-1, 1 MiB", sha1_big, BIG, false },
        { "SHA-512, 1 MiB", sha512_big, BIG, false },
        { "packet: kdf, decrypt, msg_key", packet_open, PACKET, false },
        { "SHA-256, 52 bytes", sha256_short, 0, false },
        { "MTProto 2.0 kdf", kdf, 0, false },
        { "16 random bytes, system", random_system, 0, false },
        { "pq of the handshake sample", pq, 0, false },
        { "DH public value, 2048 bits", dh_public, 0, false },
        { "RSA_PAD encrypt", rsa_pad, 0, false },
        { "RSA decrypt and decide", rsa_open, 0, false },
        { "RSA key generation", rsa_generate, 0, false },
        { "SRP proof", srp, 0, false },
        { "passphrase to key (scrypt)", seal_key, 0, false },
    };
    int ms = argc > 1 ? (int)strtol(argv[1], NULL, 10) : 200;

    prepare();
    printf("%-42s %12s\n", "primitive", "speed");
    for (size_t i = 0; i < TG_COUNT(row); i++) {
        double ns;

        if (row[i].ni && !tg_aes_ige_ni.available())
            continue;
        ns = measure(row[i].call, ms);
        if (row[i].bytes)
            printf("%-42s %7.0f MB/s\n", row[i].name, (double)row[i].bytes * 1e3 / ns);
        else if (ns < 1e4)
            printf("%-42s %9.0f ns\n", row[i].name, ns);
        else
            printf("%-42s %9.2f ms\n", row[i].name, ns / 1e6);
    }
    tg_aes_ctr_done(&b.ctr);
    tg_rsa_private_free(b.rsa);
    return 0;
}

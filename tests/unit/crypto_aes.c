/* SPDX-License-Identifier: MIT */
/*
 * crypto_aes.c - IGE: vectors, both implementations, several packets at once; CTR: pieces of a
 * stream
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "crypto/aes_ige.h"
#include "crypto/hash.h"
#include "crypto/random.h"
#include "tests/vectors.h"

#define SAMPLE "tests/vectors/auth_key_sample.txt"

static void test_ige_reads_the_handshake_answer(void **state)
{
    VECTOR(key, SAMPLE, "tmp_aes_key");
    VECTOR(iv, SAMPLE, "tmp_aes_iv");
    VECTOR(cipher, SAMPLE, "encrypted_answer");
    VECTOR(dh_prime, SAMPLE, "dh_prime");
    uint8_t plain[1024], back[1024], sum[TG_SHA1];
    enum { ANSWER = 564 }; /* id 4, nonces 32, g 4, prime 4+256, g_a 4+256, time 4 */

    (void)state;
    tg_aes_ige_decrypt(plain, cipher.at, cipher.len, key.at, iv.at);
    tg_sha1(sum, plain + TG_SHA1, ANSWER);
    assert_memory_equal(sum, plain, TG_SHA1);
    assert_int_equal(tg_le32(plain + TG_SHA1), 0xb5890dba); /* server_DH_inner_data */
    assert_memory_equal(plain + TG_SHA1 + 4 + 32 + 4 + 4, dh_prime.at, dh_prime.len);
    tg_aes_ige_encrypt(back, plain, cipher.len, key.at, iv.at);
    assert_memory_equal(back, cipher.at, cipher.len);
}

static void test_ige_writes_the_handshake_reply(void **state)
{
    VECTOR(key, SAMPLE, "tmp_aes_key");
    VECTOR(iv, SAMPLE, "tmp_aes_iv");
    VECTOR(nonce, SAMPLE, "nonce");
    VECTOR(server_nonce, SAMPLE, "server_nonce");
    VECTOR(g_b, SAMPLE, "g_b");
    VECTOR(padding, SAMPLE, "client_padding");
    VECTOR(want, SAMPLE, "encrypted_data_dh");
    struct tg_buf d, out;
    uint8_t sum[TG_SHA1];

    (void)state;
    tg_buf_init(&d, 4096);
    tg_buf_init(&out, 4096);
    tg_buf_u32(&d, 0x6643b654); /* client_DH_inner_data */
    tg_buf_add(&d, nonce.at, nonce.len);
    tg_buf_add(&d, server_nonce.at, server_nonce.len);
    tg_buf_u64(&d, 0);
    tg_buf_u32(&d, 0xfe | 256 << 8); /* a string of 256 bytes */
    tg_buf_add(&d, g_b.at, g_b.len);
    tg_sha1(sum, d.data, d.len);
    tg_buf_add(&out, sum, sizeof sum);
    tg_buf_add(&out, d.data, d.len);
    tg_buf_add(&out, padding.at, padding.len);
    assert_int_equal(out.len, want.len);
    tg_aes_ige_encrypt(out.data, out.data, out.len, key.at, iv.at);
    assert_memory_equal(out.data, want.at, want.len);
    tg_buf_done(&d);
    tg_buf_done(&out);
}

/* n bytes of their own allocation, so that the sanitizer sees each byte too many */
static uint8_t *draw(const struct tg_random *r, size_t n)
{
    uint8_t *p = malloc(n ? n : 1);

    assert_non_null(p);
    tg_random_fill(r, p, n);
    return p;
}

static void test_ige_implementations_agree(void **state)
{
    struct tg_random_seeded seed;
    const struct tg_random r = tg_random_seeded(&seed);

    (void)state;
    tg_random_seeded_init(&seed, 1);
    if (!tg_aes_ige_ni.available())
        skip();
    for (int i = 0; i < 400; i++) {
        size_t len = 16 * (1 + (size_t)tg_random_below(&r, i % 10 ? 40 : 2000));
        uint8_t *key = draw(&r, 32), *iv = draw(&r, 32), *in = draw(&r, len), *ni = draw(&r, len),
                *evp = draw(&r, len);
        struct tg_aes_ige_job a = { ni, in, len, key, iv }, b = { evp, in, len, key, iv };

        tg_aes_ige_ni.encrypt(&a);
        tg_aes_ige_evp.encrypt(&b);
        assert_memory_equal(ni, evp, len);
        a.in = ni; /* in place */
        b.in = evp;
        tg_aes_ige_ni.decrypt(&a);
        tg_aes_ige_evp.decrypt(&b);
        assert_memory_equal(ni, in, len);
        assert_memory_equal(evp, in, len);
        tg_aes_ige_ni.decrypt(&a); /* in place, of what was never encrypted */
        tg_aes_ige_evp.decrypt(&b);
        assert_memory_equal(ni, evp, len);
        tg_aes_ige_encrypt(ni, ni, len, key, iv);
        assert_memory_equal(ni, in, len);
        free(key), free(iv), free(in), free(ni), free(evp);
    }
}

static void check_many(const struct tg_aes_ige_impl *impl, const struct tg_random *r, size_t n)
{
    struct tg_aes_ige_job job[12] = { 0 };
    uint8_t *want[12];

    for (size_t i = 0; i < n; i++) {
        size_t len = 16 * (size_t)tg_random_below(r, tg_random_below(r, 4) ? 30 : 300);
        uint8_t *in = draw(r, len);
        bool in_place = tg_random_below(r, 2);

        job[i] = (struct tg_aes_ige_job){ in_place ? in : draw(r, len), in, len, draw(r, 32),
                                          draw(r, 32) };
        want[i] = draw(r, len);
        tg_aes_ige_decrypt(want[i], in, len, job[i].key, job[i].iv);
    }
    impl->decrypt_many(job, n);
    for (size_t i = 0; i < n; i++) {
        assert_memory_equal(job[i].out, want[i], job[i].len);
        if (job[i].in != job[i].out)
            free(job[i].out);
        free((void *)(uintptr_t)job[i].in);
        free((void *)(uintptr_t)job[i].key);
        free((void *)(uintptr_t)job[i].iv);
        free(want[i]);
    }
}

static void test_ige_many_equals_one_by_one(void **state)
{
    struct tg_random_seeded seed;
    const struct tg_random r = tg_random_seeded(&seed);

    (void)state;
    tg_random_seeded_init(&seed, 2);
    for (int i = 0; i < 300; i++) {
        size_t n = (size_t)tg_random_below(&r, 13);

        if (tg_aes_ige_ni.available())
            check_many(&tg_aes_ige_ni, &r, n);
        check_many(&tg_aes_ige_evp, &r, n);
    }
    tg_aes_ige_decrypt_many(NULL, 0);
}

static void test_ige_of_nothing_does_nothing(void **state)
{
    static const uint8_t zero[32];
    uint8_t out[1] = { 7 };

    (void)state;
    tg_aes_ige_encrypt(out, zero, 0, zero, zero);
    tg_aes_ige_decrypt(out, zero, 0, zero, zero);
    assert_int_equal(out[0], 7);
}

/* NIST SP 800-38A, F.5.5 */
static const char nist_key[] = "603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4";
static const char nist_iv[] = "f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff";
static const char nist_plain[] = "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51"
                                 "30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710";
static const char nist_cipher[] =
    "601ec313775789a5b7a7f504bbf3d228f443e3ca4d62b59aca84e990cacaf5c5"
    "2b0930daa23de94ce87017ba2d84988ddfc9c58db67aada613c2dd08457941a6";

static void test_ctr_is_the_standard_one(void **state)
{
    uint8_t key[32], iv[16], plain[64], want[64], out[64];
    struct tg_aes_ctr c = { 0 };

    (void)state;
    assert_true(tg_unhex(key, 32, nist_key, 64) && tg_unhex(iv, 16, nist_iv, 32));
    assert_true(tg_unhex(plain, 64, nist_plain, 128) && tg_unhex(want, 64, nist_cipher, 128));
    assert_true(tg_aes_ctr_init(&c, key, iv));
    tg_aes_ctr_xor(&c, out, plain, sizeof out);
    assert_memory_equal(out, want, sizeof out);
    tg_aes_ctr_done(&c);
    tg_aes_ctr_done(&c);
}

static void test_ctr_does_not_care_how_a_stream_is_cut(void **state)
{
    struct tg_random_seeded seed;
    const struct tg_random r = tg_random_seeded(&seed);
    uint8_t key[32], iv[16], in[5000], whole[5000], cut[5000];

    (void)state;
    tg_random_seeded_init(&seed, 3);
    tg_random_fill(&r, key, sizeof key);
    memset(iv, 0xff, sizeof iv); /* the counter overflows in all its bytes */
    tg_random_fill(&r, in, sizeof in);
    for (int i = 0; i < 50; i++) {
        struct tg_aes_ctr a, b;

        assert_true(tg_aes_ctr_init(&a, key, iv) && tg_aes_ctr_init(&b, key, iv));
        tg_aes_ctr_xor(&a, whole, in, sizeof in);
        memcpy(cut, in, sizeof in);
        for (size_t at = 0; at < sizeof in;) {
            size_t n = (size_t)tg_random_below(&r, i < 25 ? 40 : 700);

            n = TG_MIN(n, sizeof in - at);
            tg_aes_ctr_xor(&b, cut + at, cut + at, n);
            at += n;
        }
        assert_memory_equal(cut, whole, sizeof in);
        tg_aes_ctr_done(&a);
        tg_aes_ctr_done(&b);
    }
}

static void test_ctr_starts_anywhere_in_a_cdn_file(void **state)
{
    static const uint8_t key[32] = { 1 }, base[16] = { 9, 8, 7 }; /* low four bytes are zero */
    uint8_t in[4096] = { 0 }, whole[4096], part[4096], iv[16];
    struct tg_aes_ctr c;

    (void)state;
    assert_true(tg_aes_ctr_init(&c, key, base));
    tg_aes_ctr_xor(&c, whole, in, sizeof in);
    tg_aes_ctr_done(&c);
    tg_aes_ctr_cdn_iv(iv, base, 1024);
    assert_true(tg_aes_ctr_init(&c, key, iv));
    tg_aes_ctr_xor(&c, part, in, sizeof in - 1024);
    tg_aes_ctr_done(&c);
    assert_memory_equal(part, whole + 1024, sizeof in - 1024);
    tg_aes_ctr_cdn_iv(iv, base, UINT64_C(0x123456780));
    assert_int_equal(iv[12] << 24 | iv[13] << 16 | iv[14] << 8 | iv[15], 0x12345678);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ige_reads_the_handshake_answer),
        cmocka_unit_test(test_ige_writes_the_handshake_reply),
        cmocka_unit_test(test_ige_implementations_agree),
        cmocka_unit_test(test_ige_many_equals_one_by_one),
        cmocka_unit_test(test_ige_of_nothing_does_nothing),
        cmocka_unit_test(test_ctr_is_the_standard_one),
        cmocka_unit_test(test_ctr_does_not_care_how_a_stream_is_cut),
        cmocka_unit_test(test_ctr_starts_anywhere_in_a_cdn_file),
    };

    return cmocka_run_group_tests_name("crypto_aes", tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
/*
 * crypto_hash.c - digests, HMAC, PBKDF2, random sources, constant-time compare: known answers
 *
 * Digests of FIPS 180 examples; HMAC rows of RFC 4231; PBKDF2 rows computed with Python's hashlib.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/text.h"
#include "crypto/ct.h"
#include "crypto/hash.h"
#include "crypto/random.h"

static void check_hex(const char *what, const uint8_t *got, size_t n, const char *want)
{
    char hex[2 * TG_SHA512 + 1];

    tg_hex(hex, got, n);
    if (strcmp(hex, want) != 0)
        fail_msg("%s: got %s, want %s", what, hex, want);
}

static struct tg_part part(const char *text)
{
    return (struct tg_part){ text, strlen(text) };
}

static void test_digests(void **state)
{
    static const struct {
        const char *text, *sha1, *sha256, *sha512;
    } row[] = {
        { "", "da39a3ee5e6b4b0d3255bfef95601890afd80709",
          "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
          "cf83e1357eefb8bdf1542850d66d8007d620e4050b5715dc83f4a921d36ce9ce"
          "47d0d13c5d85f2b0ff8318d2877eec2f63b931bd47417a81a538327af927da3e" },
        { "abc", "a9993e364706816aba3e25717850c26c9cd0d89d",
          "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
          "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
          "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f" },
        { "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
          "84983e441c3bd26ebaae4aa1f95129e5e54670f1",
          "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1",
          "204a8fc6dda82f0a0ced7beb8e08a41657c16ef468b228a8279be331a703c335"
          "96fd15c13b1b07f9aa1d3bea57789ca031ad85c7a71dd70354ec631238ca3445" },
    };
    uint8_t out[TG_SHA512];

    (void)state;
    for (size_t i = 0; i < TG_COUNT(row); i++) {
        size_t len = strlen(row[i].text);

        tg_sha1(out, row[i].text, len);
        check_hex(row[i].text, out, TG_SHA1, row[i].sha1);
        tg_sha256(out, row[i].text, len);
        check_hex(row[i].text, out, TG_SHA256, row[i].sha256);
        tg_sha512(out, row[i].text, len);
        check_hex(row[i].text, out, TG_SHA512, row[i].sha512);
    }
}

static void test_parts_equal_the_whole(void **state)
{
    static const char text[] = "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
    uint8_t whole[TG_SHA256], parts[TG_SHA256], second[TG_SHA256], taken[TG_SHA256];

    (void)state;
    tg_sha256(whole, text, sizeof text - 1);
    for (size_t cut = 0; cut < sizeof text; cut++) {
        const struct tg_part p[] = { { text, cut }, { NULL, 0 }, { text + cut, 56 - cut } };
        struct tg_sha256_ctx c;

        tg_sha256_v(parts, p, 3);
        assert_memory_equal(parts, whole, sizeof whole);
        tg_sha256_many((struct tg_hash_job[]){ { second, p, 1 }, { parts, p, 3 } }, 2);
        assert_memory_equal(parts, whole, sizeof whole);
        tg_sha256(taken, text, cut);
        assert_memory_equal(second, taken, sizeof taken);
        assert_true(tg_sha256_init(&c));
        for (int round = 0; round < 2; round++) { /* taking starts anew */
            tg_sha256_add(&c, text, cut);
            tg_sha256_add(&c, text + cut, 56 - cut);
            tg_sha256_take(&c, taken);
            assert_memory_equal(taken, whole, sizeof whole);
        }
        tg_sha256_done(&c);
        tg_sha256_done(&c);
    }
}

static void test_hmac(void **state)
{
    static const char key20[] = "\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b"
                                "\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b";
    char key131[132] = { 0 };
    const struct {
        const char *key, *data, *sha256, *sha512;
    } row[] = {
        { key20, "Hi There", "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
          "87aa7cdea5ef619d4ff0b4241a1d6cb02379f4e2ce4ec2787ad0b30545e17cde"
          "daa833b7d6b8a702038b274eaea3f4e4be9d914eeb61f1702e696c203a126854" },
        { "Jefe", "what do ya want for nothing?",
          "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
          "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea250554"
          "9758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737" },
        { key131, "Test Using Larger Than Block-Size Key - Hash Key First",
          "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
          "80b24263c7c1a3ebb71493c1dd7be8b49b46d1f41b4aeec1121b013783f8f352"
          "6b56d037e05f2598bd0fd2215d6a1e5295e64f73f63f0aec8b915a985d786598" },
        { "", "", "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad",
          "b936cee86c9f87aa5d3c6f2e84cb5a4239a5fe50480a6ec66b70ab5b1f4ac673"
          "0c6c515421b327ec1d69402e53dfb49ad7381eb067b338fd7b0cb22247225d47" },
    };
    uint8_t out[TG_SHA512];
    size_t half;

    (void)state;
    memset(key131, 0xaa, 131);
    for (size_t i = 0; i < TG_COUNT(row); i++) {
        tg_hmac_sha256(out, part(row[i].key), row[i].data, strlen(row[i].data));
        check_hex(row[i].data, out, TG_SHA256, row[i].sha256);
        half = strlen(row[i].data) / 2;
        tg_hmac_sha256_v(out, part(row[i].key),
                         (struct tg_part[]){ { row[i].data, half },
                                             { row[i].data + half, strlen(row[i].data) - half } },
                         2);
        check_hex(row[i].data, out, TG_SHA256, row[i].sha256);
        tg_hmac_sha512(out, part(row[i].key), row[i].data, strlen(row[i].data));
        check_hex(row[i].data, out, TG_SHA512, row[i].sha512);
    }
}

static void test_pbkdf2(void **state)
{
    char p200[201] = { 0 }, s70[71] = { 0 };
    const struct {
        const char *password, *salt;
        uint32_t iterations;
        const char *want;
    } row[] = {
        { "password", "salt", 1,
          "867f70cf1ade02cff3752599a3a53dc4af34c7a669815ae5d513554e1c8cf252"
          "c02d470a285a0501bad999bfe943c08f050235d7d68b1da55e63f73b60a57fce" },
        { "", "salt", 3,
          "35728858479af699c1690e989eba0d104c6c9d7ff67373a48e4f87e90cb55af7"
          "71ac93458ee4ba4ac24f1e927bc4aba5bfed6aa82a752ad40403fbfd9575a46c" },
        { p200, s70, 1000,
          "d56c03703beae9a68478165ddbbcff31405ca34ea66e95a2179b7c2e8e1d9217"
          "8f47409eaa7885822e8116dec0b90c20a54ee996f078e34a0e78e11046ec5cfd" },
    };
    uint8_t out[TG_SHA512];

    (void)state;
    memset(p200, 'p', 200);
    memset(s70, 's', 70);
    for (size_t i = 0; i < TG_COUNT(row); i++) {
        tg_pbkdf2_sha512(out, part(row[i].password), part(row[i].salt), row[i].iterations);
        check_hex(row[i].salt, out, sizeof out, row[i].want);
    }
}

static void test_seeded_random_is_a_stream(void **state)
{
    struct tg_random_seeded a, b, cuts;
    const struct tg_random ra = tg_random_seeded(&a), rb = tg_random_seeded(&b),
                           rc = tg_random_seeded(&cuts);
    uint8_t x[1000], y[1000];

    (void)state;
    tg_random_seeded_init(&a, 1234567);
    assert_true(tg_random_u64(&ra) == UINT64_C(6457827717110365317)); /* SplitMix64's reference */
    assert_true(tg_random_u64(&ra) == UINT64_C(3203168211198807973));
    tg_random_seeded_init(&a, 9);
    tg_random_seeded_init(&b, 9);
    tg_random_seeded_init(&cuts, 10);
    tg_random_fill(&ra, x, sizeof x);
    for (size_t at = 0; at < sizeof y;) {
        size_t n = (size_t)tg_random_below(&rc, 20);

        n = TG_MIN(n, sizeof y - at);
        tg_random_fill(&rb, y + at, n);
        at += n;
    }
    assert_memory_equal(x, y, sizeof x);
}

static void test_random_below_reaches_all_and_no_more(void **state)
{
    struct tg_random_seeded s;
    const struct tg_random r = tg_random_seeded(&s);
    int count[7] = { 0 };

    (void)state;
    tg_random_seeded_init(&s, 5);
    for (int i = 0; i < 7000; i++)
        count[tg_random_below(&r, 7)]++;
    for (int i = 0; i < 7; i++)
        assert_in_range(count[i], 800, 1200);
    assert_true(tg_random_below(&r, 1) == 0);
    assert_true(tg_random_below(&r, UINT64_MAX) < UINT64_MAX);
}

static void test_system_random_differs(void **state)
{
    const struct tg_random r = tg_random_system();
    uint8_t a[64] = { 0 }, b[64] = { 0 };

    (void)state;
    tg_random_fill(&r, a, sizeof a);
    tg_random_fill(&r, b, sizeof b);
    tg_random_fill(&r, b, 0);
    assert_memory_not_equal(a, b, sizeof a);
}

static void test_equal_ct(void **state)
{
    uint8_t a[40] = { 1, 2, 3 }, b[40] = { 1, 2, 3 };

    (void)state;
    assert_true(tg_equal_ct(a, b, sizeof a));
    for (size_t i = 0; i < sizeof a * 8; i++) {
        b[i / 8] ^= (uint8_t)(1u << i % 8);
        assert_false(tg_equal_ct(a, b, sizeof a));
        b[i / 8] ^= (uint8_t)(1u << i % 8);
    }
    assert_true(tg_equal_ct(NULL, NULL, 0));
    tg_wipe(a, sizeof a);
    tg_wipe(NULL, 0);
    assert_int_equal(a[0] | a[1] | a[2], 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_digests),
        cmocka_unit_test(test_parts_equal_the_whole),
        cmocka_unit_test(test_hmac),
        cmocka_unit_test(test_pbkdf2),
        cmocka_unit_test(test_seeded_random_is_a_stream),
        cmocka_unit_test(test_random_below_reaches_all_and_no_more),
        cmocka_unit_test(test_system_random_differs),
        cmocka_unit_test(test_equal_ct),
    };

    return cmocka_run_group_tests_name("crypto_hash", tests, NULL, NULL);
}

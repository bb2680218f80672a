/* SPDX-License-Identifier: MIT */
/*
 * crypto_rsa.c - keys and their fingerprints, RSA_PAD and legacy round trips, refused ciphertexts
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "crypto/hash.h"
#include "crypto/rsa.h"
#include "tests/vectors.h"

/* Telegram's public keys, as its clients ship them; the fingerprints are those on the wire. */
static const char production[] =
    "-----BEGIN RSA PUBLIC KEY-----\n"
    "MIIBCgKCAQEA6LszBcC1LGzyr992NzE0ieY+BSaOW622Aa9Bd4ZHLl+TuFQ4lo4g\n"
    "5nKaMBwK/BIb9xUfg0Q29/2mgIR6Zr9krM7HjuIcCzFvDtr+L0GQjae9H0pRB2OO\n"
    "62cECs5HKhT5DZ98K33vmWiLowc621dQuwKWSQKjWf50XYFw42h21P2KXUGyp2y/\n"
    "+aEyZ+uVgLLQbRA1dEjSDZ2iGRy12Mk5gpYc397aYp438fsJoHIgJ2lgMv5h7WY9\n"
    "t6N/byY9Nw9p21Og3AoXSL2q/2IJ1WRUhebgAdGVMlV1fkuOQoEzR7EdpqtQD9Cs\n"
    "5+bfo3Nhmcyvk5ftB0WkJ9z6bNZ7yxrP8wIDAQAB\n"
    "-----END RSA PUBLIC KEY-----\n";
static const char test_dc[] = "-----BEGIN RSA PUBLIC KEY-----\n"
                              "MIIBCgKCAQEAyMEdY1aR+sCR3ZSJrtztKTKqigvO/vBfqACJLZtS7QMgCGXJ6XIR\n"
                              "yy7mx66W0/sOFa7/1mAZtEoIokDP3ShoqF4fVNb6XeqgQfaUHd8wJpDWHcR2OFwv\n"
                              "plUUI1PLTktZ9uW2WE23b+ixNwJjJGwBDJPQEQFBE+vfmH0JP503wr5INS1poWg/\n"
                              "j25sIWeYPHYeOrFp/eXaqhISP6G+q2IeTaWTXpwZj4LzXq5YOpk4bYEQ6mvRq7D1\n"
                              "aHWfYmlEGepfaYR8Q0YqvvhYtMte3ITnuSJs171+GDqpdKcSwHnd6FudwGO4pcCO\n"
                              "j4WcDuXc2CTHgH8gFTNhp/Y8/SpDOhvn9QIDAQAB\n"
                              "-----END RSA PUBLIC KEY-----\n";

/* One key for all tests, made from a seed. */
static struct tg_rsa_private *server;
static struct tg_random_seeded seed;
static struct tg_random r;

static int make_key(void **state)
{
    (void)state;
    tg_random_seeded_init(&seed, 42);
    r = tg_random_seeded(&seed);
    server = tg_rsa_private_generate(&r);
    return server ? 0 : -1;
}

static int drop_key(void **state)
{
    (void)state;
    tg_rsa_private_free(server);
    return 0;
}

static void test_fingerprints_of_telegrams_keys(void **state)
{
    struct tg_rsa_key k;
    struct tg_error err;
    VECTOR(wire, "tests/vectors/auth_key_sample.txt", "fingerprint_wire");

    (void)state;
    assert_int_equal(tg_rsa_key_parse(production, strlen(production), &k, &err), TG_OK);
    assert_true(k.fingerprint == UINT64_C(0xd09d1d85de64fd85) && k.e == 65537);
    assert_true(k.fingerprint == tg_le64(wire.at));
    assert_int_equal(tg_rsa_key_parse(test_dc, strlen(test_dc), &k, &err), TG_OK);
    assert_true(k.fingerprint == UINT64_C(0xb25898df208d2603));
}

static void test_both_public_forms_are_written_and_read(void **state)
{
    const struct tg_rsa_key *pub = tg_rsa_private_public(server);
    static const char *const head[] = { "-----BEGIN RSA PUBLIC KEY-----\n",
                                        "-----BEGIN PUBLIC KEY-----\n" };

    (void)state;
    for (int form = TG_RSA_PKCS1; form <= TG_RSA_SPKI; form++) {
        struct tg_buf pem;
        struct tg_rsa_key back;
        struct tg_error err;

        tg_buf_init(&pem, 4096);
        assert_true(tg_rsa_key_write(pub, (enum tg_rsa_form)form, &pem));
        assert_memory_equal(pem.data, head[form], strlen(head[form]));
        assert_int_equal(tg_rsa_key_parse((char *)pem.data, pem.len, &back, &err), TG_OK);
        assert_memory_equal(back.n, pub->n, sizeof back.n);
        assert_true(back.e == pub->e && back.fingerprint == pub->fingerprint);
        tg_buf_done(&pem);
    }
}

static void test_what_is_no_public_key(void **state)
{
    static const char rsa1024[] =
        "-----BEGIN PUBLIC KEY-----\n"
        "MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQC6LDtjU49VnVkg4nPwobca+YUj\n"
        "CPOXVG7w3wbImeEIXZpUD4/NtaY5RxHfKD6BejkCGfewojmp/jGn7fM1Bm1T17S+\n"
        "9AajHgH3kyz/srAozaDOQIGHEjdX7B5zwPwDIt/yNR/3SRp54+CLk2fYGbDpcerI\n"
        "am2Mm4EtVTbVRnZdAQIDAQAB\n"
        "-----END PUBLIC KEY-----\n";
    static const char ed25519[] = "-----BEGIN PUBLIC KEY-----\n"
                                  "MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n"
                                  "-----END PUBLIC KEY-----\n";
    const struct {
        const char *name, *pem;
        size_t len;
    } row[] = {
        { "nothing", "", 0 },
        { "words", "a key", 5 },
        { "a cut text", production, sizeof production / 2 },
        { "a head alone", production, 31 },
        { "1024 bits", rsa1024, sizeof rsa1024 - 1 },
        { "another kind of key", ed25519, sizeof ed25519 - 1 },
    };
    struct tg_rsa_key k = { .e = 77 };
    struct tg_rsa_private *private = NULL;
    struct tg_error err;

    (void)state;
    for (size_t i = 0; i < TG_COUNT(row); i++) {
        if (tg_rsa_key_parse(row[i].pem, row[i].len, &k, &err) != TG_DATA || k.e != 77)
            fail_msg("accepted: %s", row[i].name);
        if (tg_rsa_private_parse(row[i].pem, row[i].len, &private, &err) != TG_DATA)
            fail_msg("accepted as private: %s", row[i].name);
    }
    assert_int_equal(tg_rsa_private_parse(production, strlen(production), &private, &err), TG_DATA);
    assert_null(private);
}

static void test_numbers_that_make_no_key(void **state)
{
    uint8_t n[257];
    struct tg_rsa_key k;

    (void)state;
    memset(n, 0xff, sizeof n);
    assert_true(tg_rsa_key_set(&k, n, 256, 3));
    assert_false(tg_rsa_key_set(&k, n, 255, 3) || tg_rsa_key_set(&k, n, 257, 3));
    assert_false(tg_rsa_key_set(&k, n, 256, 0) || tg_rsa_key_set(&k, n, 256, 1) ||
                 tg_rsa_key_set(&k, n, 256, 65536));
    n[0] = 0x7f;
    assert_false(tg_rsa_key_set(&k, n, 256, 3));
    n[0] = 0x80;
    n[255] = 0xfe;
    assert_false(tg_rsa_key_set(&k, n, 256, 3));
}

static void test_a_seed_makes_the_same_key_again(void **state)
{
    struct tg_random_seeded again;
    const struct tg_random source = tg_random_seeded(&again);
    struct tg_rsa_private *k;

    (void)state;
    tg_random_seeded_init(&again, 42);
    k = tg_rsa_private_generate(&source);
    assert_non_null(k);
    assert_memory_equal(tg_rsa_private_public(k)->n, tg_rsa_private_public(server)->n, 256);
    assert_true(tg_rsa_private_public(k)->fingerprint >> 60 != 0);
    tg_rsa_private_free(k);
    tg_rsa_private_free(NULL);
}

static void test_private_keys_are_written_and_read(void **state)
{
    struct tg_buf pem;
    struct tg_rsa_private *back = NULL;
    struct tg_error err;
    uint8_t cipher[256];
    struct tg_rsa_plain plain;

    (void)state;
    tg_buf_init(&pem, 8192);
    assert_true(tg_rsa_private_write(server, &pem));
    assert_int_equal(tg_rsa_private_parse((char *)pem.data, pem.len, &back, &err), TG_OK);
    assert_true(tg_rsa_pad_encrypt(tg_rsa_private_public(server), "data", 4, &r, cipher));
    assert_true(tg_rsa_decrypt(back, cipher, sizeof cipher, &plain));
    assert_memory_equal(plain.data, "data", 4);
    tg_rsa_private_free(back);
    tg_buf_wipe(&pem);
    tg_buf_init(&pem, 100);
    assert_false(tg_rsa_private_write(server, &pem)); /* does not fit */
    tg_buf_done(&pem);
}

static void test_rsa_pad_round_trip(void **state)
{
    uint8_t data[TG_RSA_PAD_DATA_MAX], cipher[256], other[256];
    struct tg_rsa_plain plain;

    (void)state;
    tg_random_fill(&r, data, sizeof data);
    for (size_t len = 0; len <= sizeof data; len += len < 8 ? 1 : 17) {
        assert_true(tg_rsa_pad_encrypt(tg_rsa_private_public(server), data, len, &r, cipher));
        assert_true(tg_rsa_pad_encrypt(tg_rsa_private_public(server), data, len, &r, other));
        assert_memory_not_equal(cipher, other, sizeof cipher);
        assert_true(tg_rsa_decrypt(server, cipher, sizeof cipher, &plain));
        assert_int_equal(plain.flavour, TG_RSA_FLAVOUR_PAD);
        assert_int_equal(plain.len, TG_RSA_PAD_PLAIN);
        assert_memory_equal(plain.data, data, len);
    }
}

static void test_legacy_round_trip(void **state)
{
    uint8_t data[TG_RSA_LEGACY_PLAIN], cipher[256];
    struct tg_rsa_plain plain;

    (void)state;
    tg_random_fill(&r, data, sizeof data);
    for (size_t len = 4; len <= sizeof data; len += 4) {
        assert_true(tg_rsa_legacy_encrypt(tg_rsa_private_public(server), data, len, &r, cipher));
        assert_true(tg_rsa_decrypt(server, cipher, sizeof cipher, &plain));
        assert_int_equal(plain.flavour, TG_RSA_FLAVOUR_LEGACY);
        assert_int_equal(plain.len, len);
        assert_memory_equal(plain.data, data, len);
    }
}

static void test_altered_ciphertexts_are_refused(void **state)
{
    uint8_t cipher[2][256];
    struct tg_rsa_plain plain = { .len = 99 };

    (void)state;
    assert_true(tg_rsa_pad_encrypt(tg_rsa_private_public(server), "data", 4, &r, cipher[0]));
    assert_true(tg_rsa_legacy_encrypt(tg_rsa_private_public(server), "data", 4, &r, cipher[1]));
    for (int which = 0; which < 2; which++) {
        for (int bit = 0; bit < 2048; bit += 61) {
            cipher[which][bit / 8] ^= (uint8_t)(1 << bit % 8);
            assert_false(tg_rsa_decrypt(server, cipher[which], 256, &plain));
            cipher[which][bit / 8] ^= (uint8_t)(1 << bit % 8);
        }
        assert_false(tg_rsa_decrypt(server, cipher[which], 255, &plain));
        assert_false(tg_rsa_decrypt(server, cipher[which], 0, &plain));
    }
    assert_false(tg_rsa_decrypt(server, tg_rsa_private_public(server)->n, 256, &plain)); /* c = n */
    memset(cipher[0], 0xff, 256);
    assert_false(tg_rsa_decrypt(server, cipher[0], 256, &plain));
    memset(cipher[0], 0, 256);
    assert_false(tg_rsa_decrypt(server, cipher[0], 256, &plain));
    assert_int_equal(plain.len, 99);
}

static void test_a_foreign_key_reads_nothing(void **state)
{
    struct tg_rsa_key k;
    struct tg_error err;
    uint8_t cipher[256];
    struct tg_rsa_plain plain;

    (void)state;
    assert_int_equal(tg_rsa_key_parse(test_dc, strlen(test_dc), &k, &err), TG_OK);
    assert_true(tg_rsa_pad_encrypt(&k, "data", 4, &r, cipher));
    assert_false(tg_rsa_decrypt(server, cipher, sizeof cipher, &plain));
}

static void fill_zero(void *ctx, void *buf, size_t n)
{
    (void)ctx;
    memset(buf, 0, n);
}

static void fill_one(void *ctx, void *buf, size_t n)
{
    (void)ctx;
    memset(buf, 0xff, n);
}

static void test_a_stuck_random_source_ends(void **state)
{
    const struct tg_random zero = { fill_zero, NULL }, one = { fill_one, NULL };
    const struct tg_random *const both[] = { &zero, &one };
    struct tg_rsa_plain plain;
    struct tg_rsa_key small = *tg_rsa_private_public(server);
    uint8_t cipher[256];
    int n_refused = 0;

    (void)state;
    assert_null(tg_rsa_private_generate(&zero));
    memset(small.n, 0, 255); /* nothing fits below this n */
    for (size_t i = 0; i < TG_COUNT(both); i++) {
        n_refused += !tg_rsa_pad_encrypt(&small, "data", 4, both[i], cipher);
        if (tg_rsa_pad_encrypt(tg_rsa_private_public(server), "data", 4, both[i], cipher))
            assert_true(tg_rsa_decrypt(server, cipher, sizeof cipher, &plain));
    }
    assert_int_equal(n_refused, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fingerprints_of_telegrams_keys),
        cmocka_unit_test(test_both_public_forms_are_written_and_read),
        cmocka_unit_test(test_what_is_no_public_key),
        cmocka_unit_test(test_numbers_that_make_no_key),
        cmocka_unit_test(test_a_seed_makes_the_same_key_again),
        cmocka_unit_test(test_private_keys_are_written_and_read),
        cmocka_unit_test(test_rsa_pad_round_trip),
        cmocka_unit_test(test_legacy_round_trip),
        cmocka_unit_test(test_altered_ciphertexts_are_refused),
        cmocka_unit_test(test_a_foreign_key_reads_nothing),
        cmocka_unit_test(test_a_stuck_random_source_ends),
    };

    return cmocka_run_group_tests_name("crypto_rsa", tests, make_key, drop_key);
}

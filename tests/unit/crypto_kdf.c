/* SPDX-License-Identifier: MIT */
/*
 * crypto_kdf.c - the key derivations of MTProto against published and recomputed vectors
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "crypto/mt_kdf.h"
#include "tests/vectors.h"

#define SAMPLE "tests/vectors/auth_key_sample.txt"
#define MT2 "tests/vectors/mtproto2.txt"

static void check_kdf(const char *prefix, int x)
{
    char name[64];
    struct tg_aes_ige_key k;
    uint8_t auth[256], msg[16], key[32], iv[32];
    const struct {
        const char *name;
        uint8_t *room;
        size_t size;
    } part[] = { { "auth_key", auth, 256 },
                 { "msg_key", msg, 16 },
                 { "aes_key", key, 32 },
                 { "aes_iv", iv, 32 } };

    for (size_t i = 0; i < TG_COUNT(part); i++) {
        snprintf(name, sizeof name, "%s.%s", prefix, part[i].name);
        assert_int_equal(vector_read(MT2, name, part[i].room, part[i].size).len, part[i].size);
    }
    tg_mt_kdf(auth, x, msg, &k);
    assert_memory_equal(k.key, key, sizeof key);
    assert_memory_equal(k.iv, iv, sizeof iv);
}

static void test_keys_of_packets(void **state)
{
    (void)state;
    check_kdf("kdf_client", TG_MT_X_CLIENT);
    check_kdf("kdf_server", TG_MT_X_SERVER);
}

static void test_a_packet_of_the_client(void **state)
{
    VECTOR(auth_key, MT2, "encrypt_client.auth_key");
    VECTOR(plain, MT2, "encrypt_client.plaintext");
    VECTOR(padding, MT2, "encrypt_client.padding");
    VECTOR(want, MT2, "encrypt_client.out"); /* key id 8, msg_key 16, ciphertext */
    uint8_t packet[256], large[32], id[8], aux[8];
    struct tg_aes_ige_key k;
    size_t len = plain.len + padding.len;

    (void)state;
    memcpy(packet + 24, plain.at, plain.len);
    memcpy(packet + 24 + plain.len, padding.at, padding.len);
    assert_int_equal(24 + len, want.len);
    tg_mt_auth_key_id(auth_key.at, id, aux);
    tg_mt_msg_key_large(auth_key.at, TG_MT_X_CLIENT, packet + 24, len, large);
    memcpy(packet, id, 8);
    memcpy(packet + 8, large + 8, 16);
    tg_mt_kdf(auth_key.at, TG_MT_X_CLIENT, packet + 8, &k);
    tg_aes_ige_encrypt(packet + 24, packet + 24, len, k.key, k.iv);
    assert_memory_equal(packet, want.at, want.len);
}

static void test_a_packet_of_the_server(void **state)
{
    VECTOR(auth_key, MT2, "decrypt_server.auth_key");
    VECTOR(packet, MT2, "decrypt_server.packet");
    VECTOR(want, MT2, "decrypt_server.plaintext");
    uint8_t plain[512], large[32], id[8], aux[8];
    struct tg_aes_ige_key k;

    (void)state;
    tg_mt_auth_key_id(auth_key.at, id, aux);
    assert_memory_equal(packet.at, id, 8);
    tg_mt_kdf(auth_key.at, TG_MT_X_SERVER, packet.at + 8, &k);
    assert_int_equal(packet.len - 24, want.len);
    tg_aes_ige_decrypt(plain, packet.at + 24, packet.len - 24, k.key, k.iv);
    assert_memory_equal(plain, want.at, want.len);
    tg_mt_msg_key_large(auth_key.at, TG_MT_X_SERVER, plain, want.len, large);
    assert_memory_equal(large + 8, packet.at + 8, 16);
}

static void test_the_handshake_sample(void **state)
{
    VECTOR(new_nonce, SAMPLE, "new_nonce");
    VECTOR(server_nonce, SAMPLE, "server_nonce");
    VECTOR(key, SAMPLE, "tmp_aes_key");
    VECTOR(iv, SAMPLE, "tmp_aes_iv");
    VECTOR(auth_key, SAMPLE, "auth_key");
    VECTOR(want_id, SAMPLE, "auth_key_id");
    VECTOR(want_hash, SAMPLE, "new_nonce_hash1");
    VECTOR(want_salt, SAMPLE, "first_salt");
    struct tg_aes_ige_key k;
    uint8_t id[8], aux[8], hash[16], salt[8];

    (void)state;
    tg_mt_tmp_key(new_nonce.at, server_nonce.at, &k);
    assert_memory_equal(k.key, key.at, 32);
    assert_memory_equal(k.iv, iv.at, 32);
    tg_mt_auth_key_id(auth_key.at, id, aux);
    assert_memory_equal(id, want_id.at, 8);
    tg_mt_new_nonce_hash(new_nonce.at, 1, aux, hash);
    assert_memory_equal(hash, want_hash.at, 16);
    tg_mt_first_salt(new_nonce.at, server_nonce.at, salt);
    assert_memory_equal(salt, want_salt.at, 8);
}

/* Rows computed from the formulas of the page with Python's hashlib. */
static void test_mtproto_1_and_the_other_nonce_hashes(void **state)
{
    static const struct {
        const char *want;
        uint8_t number;
    } row[] = { { "fa2d59a7127fc4e28a11dd84576c71c3", 1 },
                { "e92fd0f454d94ae19abd951126fef71e", 2 },
                { "606a50736bc4cef5ed37d5eb377c5713", 3 } };
    uint8_t count[256], msg_key[16], hash[16];
    struct tg_aes_ige_key k;
    char hex[65];

    (void)state;
    for (int i = 0; i < 256; i++)
        count[i] = (uint8_t)i;
    tg_mt1_kdf(count, count, &k); /* key 00 01 .. ff, msg_key 00 01 .. 0f */
    tg_hex(hex, k.key, 32);
    assert_string_equal(hex, "17d7295ca9213d1ab656acdb1ad48b2ea7f3a8f7095098d5508b900bbd5fccfc");
    tg_hex(hex, k.iv, 32);
    assert_string_equal(hex, "2d7d16a65a84108e9805656caa474501cc580aa2edc33abfd0bfad785464d1c6");
    tg_mt1_msg_key(count, 72, msg_key);
    tg_hex(hex, msg_key, 16);
    assert_string_equal(hex, "6b4e21343423e434679009cbd3d24dcf");
    for (size_t i = 0; i < TG_COUNT(row); i++) {
        tg_mt_new_nonce_hash(count, row[i].number, count, hash);
        tg_hex(hex, hash, 16);
        assert_string_equal(hex, row[i].want);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keys_of_packets),
        cmocka_unit_test(test_a_packet_of_the_client),
        cmocka_unit_test(test_a_packet_of_the_server),
        cmocka_unit_test(test_the_handshake_sample),
        cmocka_unit_test(test_mtproto_1_and_the_other_nonce_hashes),
    };

    return cmocka_run_group_tests_name("crypto_kdf", tests, NULL, NULL);
}

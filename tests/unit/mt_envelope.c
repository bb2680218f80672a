/* SPDX-License-Identifier: MIT */
/*
 * mt_envelope.c - packets: vectors from an independent implementation, and every way to be refused
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/text.h"
#include "crypto/mt_kdf.h"
#include "mtproto/envelope.h"

static struct tg_random_seeded seeded;
static struct tg_random rng;

static int setup(void **state)
{
    (void)state;
    tg_random_seeded_init(&seeded, 42);
    rng = tg_random_seeded(&seeded);
    return 0;
}

static size_t from_hex(uint8_t *out, const char *hex)
{
    size_t n = strlen(hex) / 2;

    assert_true(tg_unhex(out, n, hex, n * 2));
    return n;
}

static void counting_key(struct mt_key *k)
{
    memset(k, 0, sizeof *k);
    for (int i = 0; i < 256; i++)
        k->key[i] = (uint8_t)i;
    mt_key_derive(k);
}

static void random_key(struct mt_key *k)
{
    memset(k, 0, sizeof *k);
    tg_random_fill(&rng, k->key, sizeof k->key);
    mt_key_derive(k);
}

/*
 * Opens a packet by itself; and copies of it as the first, one of the middle and the last of five
 * that are decrypted ahead, which must come to the same.
 */
static tg_code open_both(const struct mt_key *k, enum mt_side side, bool padded, uint8_t *bytes,
                         size_t len, struct mt_message *ret, struct tg_error *err)
{
    struct mt_packet packet[5];
    tg_code code, ahead;

    for (size_t i = 0; i < TG_COUNT(packet); i++) {
        packet[i] = (struct mt_packet){ .at = malloc(len + 1), .len = i % 2 ? 8 * i : len };
        assert_non_null(packet[i].at);
        memcpy(packet[i].at, bytes, len);
        packet[i].len = TG_MIN(packet[i].len, len);
    }
    mt_envelope_decrypt(k, side, padded, packet, TG_COUNT(packet));
    code = mt_envelope_open(k, side, padded, bytes, len, ret, err);
    for (size_t i = 0; i < TG_COUNT(packet); i++) {
        struct mt_message m = { .len = 1 };
        struct tg_error why;

        ahead = mt_envelope_read(k, side, padded, &packet[i], &m, &why);
        if (packet[i].len == len) {
            assert_int_equal(ahead, code);
            assert_true(code == TG_OK || strcmp(why.message, err->message) == 0);
        }
        if (ahead == TG_OK) {
            assert_true(m.msg_id == ret->msg_id && m.seq_no == ret->seq_no);
            assert_true(m.session_id == ret->session_id && m.len == ret->len);
            assert_memory_equal(m.salt, ret->salt, sizeof m.salt);
            assert_memory_equal(m.body, ret->body, m.len);
        }
        free(packet[i].at);
    }
    return code;
}

/* ---- vectors: tests of grammers-crypto ---- */

static const char client_plain[] = "Hello, world! This data should remain secure!";
static const char client_packet[] =
    "32d1586ea457dfc8a81729d46db54019a2bfd7f744f9b96c4f716cfdc4477db2a2c15f6ddb85235fb9552f1d8407c6"
    "aaea00cc844c5a1bf6ac44b79b5edc2a23868b3d6073a590992c0f2975243d563ea180d218ee757c9a";
static const char server_key[] =
    "5d2e7d65f49ec28bd029a88761ea27b8a4c79f12226525443e7d7c596ef3303530db2107e89aa997c7a0164ab69418"
    "7adeff156bd6ef7118a1962347753c0e7e89a0354b8ec364f9997e71bc6923fb86e8e43491e010606a6ce845e2fa01"
    "940977ef0aa32adf5a97dbf6d428ec0434d717a2d3ad19622cc05887642113c7965ffb862a3e3ccb0ab95addda57f8"
    "9245dbd76b492348f8e94bd5a7c0e0b84808523cfd1ea80b32fe9ad198bc2e103fceb7d52492ecc0273a28674bc923"
    "eee59265ab17a002df1f4aa2c59b819a5e5e1d105ec117336f5c76c6b187037d4b4270cee9cc21071d97e9bca220c6"
    "d7b01b998cf2e5cdb9a50ecda1852a36e635690c8e";
static const char server_packet[] =
    "7a7183c2c10e4f4df945fa9a9abd35e7c3840b61f045304f39674c19c0e209784f50f6226a073529d675c92cbf0bfa"
    "8c99a79b3f39c72a5d9a026d431ab7407ca04ecc55187d6c45f17871524edd90cea02ed728e14d7cb18aea2a636158"
    "f09459a9437710d894c79f368c4e8164b7647ea98612aefe942c5d92121acb8db02dccceb66d0f8720ac12a06db058"
    "2bfd955be34f365118e3bab8cd080ce6b45b28eac56dcd2a29374e";
static const char server_body[] =
    "dcf8f1730200000001a8c1c2918b305e010000001c0000000809c29ec4fd33ad918b305e18a88ea607ee5816fc826a"
    "02248b28fd01ccc1c2918b305e0200000014000000c5737734c4fd33ad918b305e6408300000000000";

/* A packet of the server with a container, decrypted by another implementation. */
static void vector_of_a_server_packet(void **state)
{
    struct mt_key k = { 0 };
    uint8_t packet[256], body[128];
    struct mt_message m;
    struct tg_error err;
    size_t len = from_hex(packet, server_packet), body_len = from_hex(body, server_body);

    (void)state;
    assert_int_equal(from_hex(k.key, server_key), 256);
    mt_key_derive(&k);
    assert_memory_equal(k.id, packet, 8);
    assert_int_equal(open_both(&k, MT_FROM_SERVER, false, packet, len, &m, &err), TG_OK);
    assert_memory_equal(m.salt, "\xfc\x82\x6a\x02\x24\x8b\x28\xfd", 8);
    assert_int_equal(m.session_id, UINT64_C(0x68ad432482c4f260));
    assert_int_equal(m.msg_id, UINT64_C(0x5e308b91c2c1f001));
    assert_int_equal(m.seq_no, 2);
    assert_int_equal(m.len, body_len);
    assert_memory_equal(m.body, body, body_len);
    assert_ptr_equal(m.body, packet + 56);
}

/* This one decrypts rightly to what is no message, and is refused after that. */
static void vector_of_a_client_packet(void **state)
{
    struct mt_key k;
    uint8_t packet[128];
    struct mt_message m;
    struct tg_error err;
    size_t len = from_hex(packet, client_packet);

    (void)state;
    counting_key(&k);
    assert_int_equal(open_both(&k, MT_FROM_CLIENT, false, packet, len, &m, &err),
                     TG_SECURITY);
    assert_memory_equal(packet + 24, client_plain, sizeof client_plain - 1);
}

/* ---- round trips ---- */

static void what_is_written_is_read(void **state)
{
    static const uint32_t lens[] = { 0, 4, 8, 12, 16, 20, 24, 1000, 65536, MT_MESSAGE_MAX };
    static const enum mt_side sides[] = { MT_FROM_CLIENT, MT_FROM_SERVER };
    struct mt_key k;
    struct tg_error err;
    uint8_t *body = malloc(MT_MESSAGE_MAX);

    (void)state;
    random_key(&k);
    tg_random_fill(&rng, body, MT_MESSAGE_MAX);
    for (size_t i = 0; i < TG_COUNT(lens) * 2; i++) {
        struct mt_message m = { .session_id = 0x1122334455667788,
                                .msg_id = 0x99aabbccddeeff00,
                                .seq_no = 77,
                                .body = body,
                                .len = lens[i / 2] };
        struct mt_message got;
        struct tg_buf out;
        uint8_t large[32];
        uint32_t token = 0;

        memcpy(m.salt, "saltsalt", 8);
        tg_buf_init(&out, MT_PACKET_MAX);
        mt_envelope_write(&k, sides[i % 2], &m, &rng, &out, &token);
        assert_false(out.failed);
        assert_int_equal((out.len - 24) % 16, 0);
        assert_int_equal(open_both(&k, sides[i % 2], false, out.data, out.len, &got, &err),
                         TG_OK);
        tg_mt_msg_key_large(k.key, sides[i % 2], out.data + 24, out.len - 24, large);
        assert_int_equal(token, tg_le32(large) | 0x80000000);
        assert_memory_equal(got.salt, m.salt, 8);
        assert_int_equal(got.session_id, m.session_id);
        assert_int_equal(got.msg_id, m.msg_id);
        assert_int_equal(got.seq_no, m.seq_no);
        assert_int_equal(got.len, m.len);
        assert_memory_equal(got.body, body, m.len);
        assert_in_range(out.len - 56 - m.len, 12, 27);
        tg_buf_done(&out);
    }
    free(body);
}

static void too_long_a_body_is_not_written(void **state)
{
    struct mt_key k;
    struct mt_message m = { .len = MT_MESSAGE_MAX + 4 };
    struct tg_buf out;

    (void)state;
    random_key(&k);
    tg_buf_init(&out, 32 << 20);
    mt_envelope_write(&k, MT_FROM_CLIENT, &m, &rng, &out, NULL);
    assert_true(out.failed);
    assert_int_equal(out.len, 0);
    tg_buf_clear(&out);
    mt_plain_write(1, NULL, MT_MESSAGE_MAX + 4, &out);
    assert_true(out.failed);
    assert_int_equal(out.len, 0);
    tg_buf_done(&out);
}

/* Random bytes behind the ciphertext are ignored in padded framing, and wrong in any other. */
static void padded_framing_tail(void **state)
{
    struct mt_key k;
    struct tg_error err;
    uint8_t body[40] = { 1, 2, 3 };

    (void)state;
    random_key(&k);
    for (size_t tail = 0; tail < 16; tail++) {
        for (int padded = 0; padded < 2; padded++) {
            struct mt_message m = { .body = body, .len = sizeof body }, got;
            uint8_t packet[256];
            struct tg_buf out;
            tg_code code;

            tg_buf_init(&out, 256);
            mt_envelope_write(&k, MT_FROM_SERVER, &m, &rng, &out, NULL);
            memcpy(packet, out.data, out.len);
            memset(packet + out.len, 0xa5, tail);
            code = open_both(&k, MT_FROM_SERVER, padded, packet, out.len + tail, &got,
                                    &err);
            assert_int_equal(code, padded || tail == 0 ? TG_OK : TG_SECURITY);
            if (code == TG_OK)
                assert_memory_equal(got.body, body, sizeof body);
            tg_buf_done(&out);
        }
    }
}

/* ---- refusals ---- */

/* Every refusal says the same, so that nobody learns how far a forged packet came. */
static void refused(const struct mt_key *k, enum mt_side side, uint8_t *packet, size_t len)
{
    static char said[320];
    struct mt_message m = { .len = 12345 };
    struct tg_error err;

    assert_int_equal(open_both(k, side, false, packet, len, &m, &err), TG_SECURITY);
    assert_int_equal(m.len, 12345);
    assert_string_equal(err.hint, "");
    if (!said[0])
        memcpy(said, err.message, sizeof said);
    assert_string_equal(err.message, said);
}

static void a_flipped_bit_anywhere(void **state)
{
    struct mt_key k;
    uint8_t body[24] = { 9 }, packet[128];
    struct mt_message m = { .msg_id = 4, .body = body, .len = sizeof body };
    struct tg_buf out;

    (void)state;
    random_key(&k);
    tg_buf_init(&out, sizeof packet);
    mt_envelope_write(&k, MT_FROM_SERVER, &m, &rng, &out, NULL);
    for (size_t bit = 0; bit < out.len * 8; bit++) {
        memcpy(packet, out.data, out.len);
        packet[bit / 8] ^= (uint8_t)(1 << bit % 8);
        refused(&k, MT_FROM_SERVER, packet, out.len);
    }
    for (size_t len = 0; len < out.len; len++) {
        memcpy(packet, out.data, out.len);
        refused(&k, MT_FROM_SERVER, packet, len);
    }
    tg_buf_done(&out);
}

static void another_key_or_direction(void **state)
{
    struct mt_key k, other;
    struct mt_message m = { .msg_id = 4 };
    uint8_t packet[128];
    struct tg_buf out;

    (void)state;
    random_key(&k);
    random_key(&other);
    tg_buf_init(&out, sizeof packet);
    mt_envelope_write(&k, MT_FROM_SERVER, &m, &rng, &out, NULL);
    memcpy(packet, out.data, out.len);
    refused(&other, MT_FROM_SERVER, packet, out.len);
    memcpy(packet, out.data, out.len);
    memcpy(packet, other.id, 8);
    refused(&other, MT_FROM_SERVER, packet, out.len);
    memcpy(packet, out.data, out.len);
    memcpy(packet, other.id, 8);
    refused(&k, MT_FROM_SERVER, packet, out.len);
    memcpy(packet, out.data, out.len);
    refused(&k, MT_FROM_CLIENT, packet, out.len); /* a packet reflected to its writer */
    tg_buf_done(&out);
}

/* Packets sealed with the right key around a wrong length or padding. */
static void lengths_and_padding(void **state)
{
    static const struct {
        uint32_t body_len;
        size_t plain_len; /* with heads and padding */
        bool good;
    } rows[] = {
        { 4, 48, true },            /* 12 bytes of padding: the least */
        { 8, 48, false },           /* 8 */
        { 16, 48, false },          /* none */
        { 20, 48, false },          /* past the end */
        { 5, 64, false },           /* no multiple of 4 */
        { 6, 64, false },
        { 0, 48, true },
        { 0xfffffffc, 48, false },  /* -4 */
        { 0x80000000, 48, false },
        { 0, 1056, true },          /* 1024 of padding: the most */
        { 0, 1072, false },         /* 1040 */
        { 4, 1072, false },         /* 1036 */
        { 16, 1072, true },         /* 1024 */
        { 12, 1072, false },        /* 1028 */
        { 0, 32, false },
    };
    struct mt_key k;

    (void)state;
    random_key(&k);
    for (size_t i = 0; i < TG_COUNT(rows); i++) {
        uint8_t packet[24 + 1072], large[32];
        uint8_t *plain = packet + 24;
        struct tg_aes_ige_key aes;
        struct mt_message m;
        struct tg_error err;

        tg_random_fill(&rng, plain, rows[i].plain_len);
        tg_put_le32(plain + 28, rows[i].body_len);
        tg_mt_msg_key_large(k.key, TG_MT_X_SERVER, plain, rows[i].plain_len, large);
        memcpy(packet, k.id, 8);
        memcpy(packet + 8, large + 8, 16);
        tg_mt_kdf(k.key, TG_MT_X_SERVER, packet + 8, &aes);
        tg_aes_ige_encrypt(plain, plain, rows[i].plain_len, aes.key, aes.iv);
        if (!rows[i].good)
            refused(&k, MT_FROM_SERVER, packet, 24 + rows[i].plain_len);
        else
            assert_int_equal(open_both(&k, MT_FROM_SERVER, false, packet,
                                              24 + rows[i].plain_len, &m, &err),
                             TG_OK);
    }
}

/* ---- plain ---- */

static void plain_packets(void **state)
{
    static const struct {
        const char *name;
        size_t len;      /* of the packet */
        uint32_t length; /* as it says */
        uint8_t first;
        bool good;
    } rows[] = {
        { "exact", 28, 8, 0, true },          { "tail of padding", 43, 8, 0, true },
        { "shorter than it says", 27, 8, 0, false }, { "empty", 20, 0, 0, false },
        { "no head", 19, 0, 0, false },       { "odd", 28, 6, 0, false },
        { "negative", 28, 0xfffffffc, 0, false },    { "a key id", 28, 8, 1, false },
    };

    (void)state;
    for (size_t i = 0; i < TG_COUNT(rows); i++) {
        uint8_t packet[64] = { rows[i].first };
        struct mt_message m;
        struct tg_error err;
        tg_code code;

        tg_put_le64(packet + 8, 0x1234);
        tg_put_le32(packet + 16, rows[i].length);
        code = mt_plain_open(packet, rows[i].len, &m, &err);
        if (code != (rows[i].good ? TG_OK : TG_PROTOCOL))
            fail_msg("%s: %s", rows[i].name, tg_code_name(code));
        if (code == TG_OK) {
            assert_int_equal(m.msg_id, 0x1234);
            assert_int_equal(m.len, 8);
            assert_ptr_equal(m.body, packet + 20);
        }
    }
}

static void plain_round_trip(void **state)
{
    struct tg_buf out;
    struct mt_message m;
    struct tg_error err;

    (void)state;
    tg_buf_init(&out, 100);
    mt_plain_write(0x5e308b91c2c1f004, "12345678", 8, &out);
    assert_true(mt_is_plain(out.data, out.len));
    assert_int_equal(mt_plain_open(out.data, out.len, &m, &err), TG_OK);
    assert_int_equal(m.msg_id, UINT64_C(0x5e308b91c2c1f004));
    assert_memory_equal(m.body, "12345678", 8);
    tg_buf_done(&out);
}

/* ---- binding ---- */

static void bind_of(struct mt_bind *b, const struct mt_key *perm, const struct mt_key *temp)
{
    *b = (struct mt_bind){ .nonce = 0x0102030405060708,
                           .msg_id = 0x5e308b91c2c1f004,
                           .temp_session_id = 0xfeedfacecafebeef,
                           .expires_at = 1700000000 };
    memcpy(b->temp_key_id, temp->id, 8);
    memcpy(b->perm_key_id, perm->id, 8);
}

static void bind_round_trip(void **state)
{
    struct mt_key perm, temp;
    struct mt_bind b, got;
    struct tg_error err;
    struct tg_buf out;

    (void)state;
    random_key(&perm);
    random_key(&temp);
    bind_of(&b, &perm, &temp);
    tg_buf_init(&out, 200);
    mt_bind_write(&perm, &b, &rng, &out);
    assert_int_equal(out.len, 104);
    assert_int_equal(mt_bind_open(&perm, out.data, out.len, &got, &err), TG_OK);
    assert_int_equal(got.nonce, b.nonce);
    assert_int_equal(got.msg_id, b.msg_id);
    assert_int_equal(got.temp_session_id, b.temp_session_id);
    assert_int_equal(got.expires_at, b.expires_at);
    assert_memory_equal(got.temp_key_id, temp.id, 8);
    assert_memory_equal(got.perm_key_id, perm.id, 8);
    assert_int_equal(mt_bind_open(&temp, out.data, out.len, &got, &err), TG_SECURITY);
    assert_int_equal(mt_bind_open(&perm, out.data, out.len - 16, &got, &err), TG_SECURITY);
    assert_int_equal(mt_bind_open(&perm, out.data, 0, &got, &err), TG_SECURITY);
    tg_buf_done(&out);
}

static void bind_with_a_flipped_bit(void **state)
{
    struct mt_key perm, temp;
    struct mt_bind b, got;
    struct tg_error err;
    struct tg_buf out;

    (void)state;
    random_key(&perm);
    random_key(&temp);
    bind_of(&b, &perm, &temp);
    tg_buf_init(&out, 200);
    mt_bind_write(&perm, &b, &rng, &out);
    for (size_t bit = 0; bit < out.len * 8; bit++) {
        out.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_int_equal(mt_bind_open(&perm, out.data, out.len, &got, &err), TG_SECURITY);
        out.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    tg_buf_done(&out);
}

/* Rightly sealed binds whose inside is wrong. */
static void bind_with_wrong_fields(void **state)
{
    static const struct {
        size_t at;
        uint8_t value;
    } rows[] = { { 24, 1 }, { 28, 44 }, { 32, 0 }, { 52, 0xee }, { 59, 0xee } };
    struct mt_key perm, temp;
    struct mt_bind b, got;
    struct tg_error err;

    (void)state;
    random_key(&perm);
    random_key(&temp);
    bind_of(&b, &perm, &temp);
    for (size_t i = 0; i < TG_COUNT(rows); i++) {
        struct tg_aes_ige_key aes;
        struct tg_buf out;
        uint8_t *c;

        tg_buf_init(&out, 200);
        mt_bind_write(&perm, &b, &rng, &out);
        c = out.data + 24;
        tg_mt1_kdf(perm.key, out.data + 8, &aes);
        tg_aes_ige_decrypt(c, c, 80, aes.key, aes.iv);
        assert_int_not_equal(c[rows[i].at], rows[i].value);
        c[rows[i].at] = rows[i].value;
        tg_mt1_msg_key(c, 72, out.data + 8);
        tg_mt1_kdf(perm.key, out.data + 8, &aes);
        tg_aes_ige_encrypt(c, c, 80, aes.key, aes.iv);
        assert_int_equal(mt_bind_open(&perm, out.data, out.len, &got, &err), TG_SECURITY);
        tg_buf_done(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vector_of_a_server_packet),
        cmocka_unit_test(vector_of_a_client_packet),
        cmocka_unit_test(what_is_written_is_read),
        cmocka_unit_test(too_long_a_body_is_not_written),
        cmocka_unit_test(padded_framing_tail),
        cmocka_unit_test(a_flipped_bit_anywhere),
        cmocka_unit_test(another_key_or_direction),
        cmocka_unit_test(lengths_and_padding),
        cmocka_unit_test(plain_packets),
        cmocka_unit_test(plain_round_trip),
        cmocka_unit_test(bind_round_trip),
        cmocka_unit_test(bind_with_a_flipped_bit),
        cmocka_unit_test(bind_with_wrong_fields),
    };

    return cmocka_run_group_tests_name("mt_envelope", tests, setup, NULL);
}

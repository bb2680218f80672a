/* SPDX-License-Identifier: MIT */
/*
 * crypto_aead.c - sealed files: round trip, wrong passphrase, damage at every byte, hostile heads
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "crypto/aead.h"

static struct tg_part text(const char *s)
{
    return (struct tg_part){ s, strlen(s) };
}

static struct tg_part part(const struct tg_buf *b)
{
    return (struct tg_part){ b->data, b->len };
}

static void seal_new(struct tg_seal_key *k, struct tg_buf *sealed, const char *plain,
                     const struct tg_random *r)
{
    struct tg_error err;

    assert_int_equal(tg_seal_key_new(text("pass"), r, k, &err), TG_OK);
    assert_int_equal(tg_seal(k, text(plain), r, sealed, &err), TG_OK);
}

static void test_round_trip(void **state)
{
    static const char *const plain[] = { "", "x", "a session with its keys" };
    struct tg_random_seeded s;
    const struct tg_random r = tg_random_seeded(&s);
    struct tg_buf sealed, again, out;
    struct tg_seal_key k, opened;
    struct tg_error err;

    (void)state;
    tg_random_seeded_init(&s, 1);
    tg_buf_init(&sealed, 4096);
    tg_buf_init(&again, 4096);
    tg_buf_init(&out, 4096);
    assert_int_equal(tg_seal_key_new(text("pass"), &r, &k, &err), TG_OK);
    for (size_t i = 0; i < TG_COUNT(plain); i++) {
        tg_buf_clear(&sealed);
        tg_buf_clear(&again);
        tg_buf_clear(&out);
        assert_int_equal(tg_seal(&k, text(plain[i]), &r, &sealed, &err), TG_OK);
        assert_int_equal(sealed.len, strlen(plain[i]) + TG_SEAL_OVERHEAD);
        assert_true(tg_is_sealed(sealed.data, sealed.len));
        tg_buf_str(&out, "before ");
        assert_int_equal(tg_seal_open(text("pass"), part(&sealed), &out, &opened, &err), TG_OK);
        assert_memory_equal(out.data, "before ", 7);
        assert_string_equal(tg_buf_cstr(&out) + 7, plain[i]);
        assert_memory_equal(opened.key, k.key, sizeof k.key);
        assert_int_equal(tg_seal(&opened, text(plain[i]), &r, &again, &err), TG_OK);
        assert_memory_not_equal(sealed.data + 44, again.data + 44,
                                12); /* a nonce is never reused */
    }
    tg_buf_done(&sealed);
    tg_buf_done(&again);
    tg_buf_done(&out);
    tg_seal_key_wipe(&k);
    tg_seal_key_wipe(&opened);
}

static void test_wrong_passphrase(void **state)
{
    static const char *const wrong[] = { "", "Pass", "pass ", "passpass" };
    struct tg_random_seeded s;
    const struct tg_random r = tg_random_seeded(&s);
    struct tg_buf sealed, out;
    struct tg_seal_key k;
    struct tg_error err;

    (void)state;
    tg_random_seeded_init(&s, 2);
    tg_buf_init(&sealed, 4096);
    tg_buf_init(&out, 4096);
    seal_new(&k, &sealed, "secret", &r);
    for (size_t i = 0; i < TG_COUNT(wrong); i++) {
        assert_int_equal(tg_seal_open(text(wrong[i]), part(&sealed), &out, NULL, &err), TG_AUTH);
        assert_int_equal(out.len, 0);
    }
    tg_buf_done(&sealed);
    tg_buf_done(&out);
}

static void test_damage_is_found(void **state)
{
    struct tg_random_seeded s;
    const struct tg_random r = tg_random_seeded(&s);
    struct tg_buf sealed, out;
    struct tg_seal_key k;
    struct tg_error err;

    (void)state;
    tg_random_seeded_init(&s, 3);
    tg_buf_init(&sealed, 4096);
    tg_buf_init(&out, 4096);
    seal_new(&k, &sealed, "secret bytes", &r);
    for (size_t i = 0; i < sealed.len; i++) {
        tg_code code;

        if (i >= 8 && i % 9)
            continue; /* each of these derives a key, slowly */
        sealed.data[i] ^= 1;
        code = tg_seal_open(text("pass"), part(&sealed), &out, NULL, &err);
        sealed.data[i] ^= 1;
        if (code != TG_CORRUPT && !(code == TG_AUTH && i >= 8 && i < 44))
            fail_msg("byte %zu: %s", i, tg_code_name(code));
        assert_int_equal(out.len, 0);
    }
    for (size_t len = 0; len < sealed.len; len += len < TG_SEAL_OVERHEAD ? 1 : 5)
        assert_int_equal(
            tg_seal_open(text("pass"), (struct tg_part){ sealed.data, len }, &out, NULL, &err),
            TG_CORRUPT);
    tg_buf_done(&sealed);
    tg_buf_done(&out);
}

static void test_hostile_heads_cost_nothing(void **state)
{
    static const struct {
        const char *name;
        uint8_t log2_n, r, p, zero;
    } row[] = {
        { "N = 1", 0, 8, 1, 0 },        { "r = 0", 14, 0, 1, 0 },
        { "p = 0", 14, 8, 0, 0 },       { "too much N", 20, 8, 1, 0 },
        { "N of 2^255", 255, 8, 1, 0 }, { "too much r", 1, 255, 1, 0 },
        { "too much p", 1, 8, 255, 0 }, { "a bit unknown", 14, 8, 1, 1 },
    };
    uint8_t file[TG_SEAL_OVERHEAD] = { 'T', 'G', 'S', 'E', 'A', 'L', 1, 0 };
    struct tg_buf out;
    struct tg_error err;

    (void)state;
    tg_buf_init(&out, 4096);
    for (size_t i = 0; i < TG_COUNT(row); i++) {
        memcpy(file + 8, &row[i].log2_n, 4);
        if (tg_seal_open(text(""), (struct tg_part){ file, sizeof file }, &out, NULL, &err) !=
            TG_CORRUPT)
            fail_msg("accepted: %s", row[i].name);
    }
    assert_false(tg_is_sealed("TGSEA", 5));
    tg_buf_done(&out);
}

static void test_a_full_buffer_is_reported(void **state)
{
    struct tg_random_seeded s;
    const struct tg_random r = tg_random_seeded(&s);
    struct tg_buf sealed, small;
    struct tg_seal_key k;
    struct tg_error err;

    (void)state;
    tg_random_seeded_init(&s, 4);
    tg_buf_init(&sealed, 4096);
    tg_buf_init(&small, 32);
    seal_new(&k, &sealed, "longer than the buffer of 32 bytes allows", &r);
    assert_int_equal(tg_seal(&k, text("x"), &r, &small, &err), TG_LIMIT);
    tg_buf_clear(&small);
    assert_int_equal(tg_seal_open(text("pass"), part(&sealed), &small, NULL, &err), TG_LIMIT);
    tg_buf_done(&sealed);
    tg_buf_done(&small);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_wrong_passphrase),
        cmocka_unit_test(test_damage_is_found),
        cmocka_unit_test(test_hostile_heads_cost_nothing),
        cmocka_unit_test(test_a_full_buffer_is_reported),
    };

    return cmocka_run_group_tests_name("crypto_aead", tests, NULL, NULL);
}

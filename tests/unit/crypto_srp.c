/* SPDX-License-Identifier: MIT */
/*
 * crypto_srp.c - 2FA: two published proofs, client against own server, and servers that lie
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "crypto/random.h"
#include "crypto/srp.h"
#include "tests/vectors.h"

#define FILE_NAME "tests/vectors/srp.txt"

static struct tg_part part(struct vector v)
{
    return (struct tg_part){ v.at, v.len };
}

static struct tg_part text(const char *s)
{
    return (struct tg_part){ s, strlen(s) };
}

static void check_vector(const char *number)
{
    enum { PASSWORD, SALT1, SALT2, B, A_SECRET, A, M1, N };
    static const char *const name[N] = { "password", "salt1", "salt2", "srp_B", "a", "A", "M1" };
    uint8_t room[N][256];
    struct vector v[N];
    struct tg_srp_proof proof;
    struct tg_error err;
    char full[32];

    for (int i = 0; i < N; i++) {
        snprintf(full, sizeof full, "%s.%s", number, name[i]);
        v[i] = vector_read(FILE_NAME, full, room[i], sizeof room[i]);
    }
    const struct tg_srp_challenge c = {
        .algo = { part(v[SALT1]), part(v[SALT2]), { tg_dh_prime, 256 }, 3, NULL },
        .b = part(v[B]),
        .secret_a = v[A_SECRET].at,
    };
    assert_int_equal(tg_srp_prove(&c, part(v[PASSWORD]), &proof, &err), TG_OK);
    assert_memory_equal(proof.a, v[A].at, sizeof proof.a);
    assert_memory_equal(proof.m1, v[M1].at, sizeof proof.m1);
}

static void test_published_proofs(void **state)
{
    (void)state;
    check_vector("1");
    check_vector("2");
}

static const struct tg_srp_algo algo = {
    .salt1 = { "first salt of server and client", 31 },
    .salt2 = { "second salt", 11 },
    .p = { tg_dh_prime, sizeof tg_dh_prime },
    .g = 3,
};

/* What one test attempt needs; drawn from a seed. */
struct attempt {
    uint8_t v[256], secret_a[256], secret_b[256], b[256];
    struct tg_srp_server server;
    struct tg_srp_challenge challenge;
};

static void attempt_init(struct attempt *t, uint64_t seed, const char *password)
{
    struct tg_random_seeded s;
    const struct tg_random r = tg_random_seeded(&s);
    struct tg_error err;

    tg_random_seeded_init(&s, seed);
    tg_random_fill(&r, t->secret_a, 256);
    tg_random_fill(&r, t->secret_b, 256);
    assert_int_equal(tg_srp_verifier(&algo, text(password), t->v, &err), TG_OK);
    t->server = (struct tg_srp_server){ algo, t->v, t->secret_b };
    assert_int_equal(tg_srp_server_b(&t->server, t->b, &err), TG_OK);
    t->challenge = (struct tg_srp_challenge){ algo, { t->b, 256 }, t->secret_a };
}

static void test_client_and_server(void **state)
{
    struct attempt t;
    struct tg_srp_proof proof;
    struct tg_error err;

    (void)state;
    attempt_init(&t, 1, "correct horse");
    assert_int_equal(tg_srp_prove(&t.challenge, text("correct horse"), &proof, &err), TG_OK);
    const struct tg_part a = { proof.a, sizeof proof.a };
    assert_int_equal(tg_srp_server_check(&t.server, a, proof.m1, &err), TG_OK);
    for (int bit = 0; bit < 256; bit += 31) {
        proof.m1[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_int_equal(tg_srp_server_check(&t.server, a, proof.m1, &err), TG_LOGIN);
        proof.m1[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    proof.a[100] ^= 1;
    assert_int_equal(tg_srp_server_check(&t.server, a, proof.m1, &err), TG_LOGIN);
}

static void test_wrong_passwords(void **state)
{
    static const char *const wrong[] = { "", "correct hors", "Correct horse", "correct horse " };
    struct attempt t;
    struct tg_srp_proof proof;
    struct tg_error err;

    (void)state;
    attempt_init(&t, 2, "correct horse");
    for (size_t i = 0; i < TG_COUNT(wrong); i++) {
        assert_int_equal(tg_srp_prove(&t.challenge, text(wrong[i]), &proof, &err), TG_OK);
        assert_int_equal(
            tg_srp_server_check(&t.server, (struct tg_part){ proof.a, 256 }, proof.m1, &err),
            TG_LOGIN);
    }
}

static void test_a_lying_server_is_refused(void **state)
{
    static const uint8_t zeros[257];
    uint8_t above[256], tiny_b[256], small_p[256], b1[256] = { 0 }, b5[256] = { 0 };
    struct attempt t;
    struct tg_error err;
    struct tg_srp_proof proof, untouched;

    (void)state;
    attempt_init(&t, 3, "secret");
    memset(above, 0xff, sizeof above);
    memset(small_p, 0x80, sizeof small_p); /* even */
    b5[255] = 5;
    t.server.secret_b = b1; /* B = k v + 1 */
    assert_int_equal(tg_srp_server_b(&t.server, b1, &err), TG_OK);
    t.server.secret_b = b5; /* B = k v + 3^5 */
    assert_int_equal(tg_srp_server_b(&t.server, tiny_b, &err), TG_OK);
    const struct {
        const char *name;
        struct tg_part p;
        uint32_t g;
        struct tg_part b;
    } row[] = {
        { "no B", algo.p, 3, { t.b, 0 } },
        { "B = 0", algo.p, 3, { zeros, 256 } },
        { "B = p", algo.p, 3, { tg_dh_prime, 256 } },
        { "B above p", algo.p, 3, { above, 256 } },
        { "B of 257 bytes", algo.p, 3, { zeros, 257 } },
        { "B = k v + 1", algo.p, 3, { b1, 256 } },
        { "B = k v + 3^5", algo.p, 3, { tiny_b, 256 } },
        { "p with another g", algo.p, 2, { t.b, 256 } },
        { "g = 0", algo.p, 0, { t.b, 256 } },
        { "p even", { small_p, 256 }, 4, { t.b, 256 } },
        { "p short", { tg_dh_prime, 255 }, 3, { t.b, 256 } },
        { "p empty", { tg_dh_prime, 0 }, 3, { t.b, 256 } },
    };
    memset(&proof, 0x77, sizeof proof);
    untouched = proof;
    for (size_t i = 0; i < TG_COUNT(row); i++) {
        t.challenge.algo.p = row[i].p;
        t.challenge.algo.g = row[i].g;
        t.challenge.b = row[i].b;
        if (tg_srp_prove(&t.challenge, text("secret"), &proof, &err) != TG_SECURITY)
            fail_msg("accepted: %s", row[i].name);
        assert_memory_equal(&proof, &untouched, sizeof proof);
    }
}

static void test_a_lying_client_is_refused(void **state)
{
    static const uint8_t zeros[257];
    uint8_t above[256];
    static const uint8_t m1[TG_SHA256];
    struct attempt t;
    struct tg_error err;

    (void)state;
    attempt_init(&t, 4, "secret");
    memset(above, 0xff, sizeof above);
    const struct {
        const char *name;
        struct tg_part a;
    } row[] = {
        { "nothing", { zeros, 0 } },   { "0", { zeros, 256 } },
        { "short 0", { zeros, 3 } },   { "p", { tg_dh_prime, 256 } },
        { "above p", { above, 256 } }, { "too many bytes", { zeros, 257 } },
    };
    for (size_t i = 0; i < TG_COUNT(row); i++) {
        if (tg_srp_server_check(&t.server, row[i].a, m1, &err) != TG_SECURITY)
            fail_msg("accepted: %s", row[i].name);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_published_proofs),
        cmocka_unit_test(test_client_and_server),
        cmocka_unit_test(test_wrong_passwords),
        cmocka_unit_test(test_a_lying_server_is_refused),
        cmocka_unit_test(test_a_lying_client_is_refused),
    };

    return cmocka_run_group_tests_name("crypto_srp", tests, NULL, NULL);
}
